/* src/cli/judge_berth.c: what the machine's answers mean to berth. Tries come as the negative errno they met. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/judge.h"
#include "host/owners.h"

enum {
	DESCRIPTORS_LEAST = 4096,
	WMEM_GOOD = 4 << 20,
	RMEM_GOOD = 212992,	/* Linux's own */
	DGRAM_QUEUE_GOOD = 512, /* what systemd sets */
	FOLDER_LEAST = 16 << 20 /* octets: a network's table when it has grown */
};

void judge_user_namespaces(struct findings *all, int r, int64_t most, int64_t clone, int64_t apparmor)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "user-namespaces");

	if (r == 0) {
		finding_value(f, "one was made");
		if (apparmor > 0)
			finding_value(f, "one was made; AppArmor keeps plain programs from using their rights in it");
		return;
	}
	finding_value(f, "refused: %s", strerror(-r));
	finding_means(f, FINDING_NOTE, "berth run does not need them; rootless containers and browsers' sandboxes do.");
	if (most == 0)
		finding_sysctl(f, "user.max_user_namespaces", "15000");
	else if (clone == 0)
		finding_sysctl(f, "kernel.unprivileged_userns_clone", "1");
	else if (apparmor > 0)
		finding_sysctl(f, "kernel.apparmor_restrict_unprivileged_userns", "0");
}

void judge_net_namespaces(struct findings *all, int user_r, int r, int64_t most)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "net-namespaces");

	if (r == 0) {
		finding_value(f, "one was made%s", user_r == 0 ? ", in the user namespace" : ", as root");
		return;
	}
	finding_value(f, "refused: %s", strerror(-r));
	finding_means(f, FINDING_NOTE,
		      "berth run does not need one; containers do, and berth's own tests make theirs.");
	if (most == 0)
		finding_sysctl(f, "user.max_net_namespaces", "15000");
	else
		f->root_helps = user_r < 0;
}

void judge_tap(struct findings *all, int r, int made)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "tap");

	if (r == 0) {
		if (made == 0)
			finding_value(f, "/dev/net/tun opens, and a device could be made in a network namespace");
		else
			finding_value(f, "/dev/net/tun opens; a device was not made: %s", strerror(-made));
		return;
	}
	finding_value(f, "/dev/net/tun: %s", strerror(-r));
	finding_means(f, FINDING_NOTE,
		      "berth needs no TAP device; VPNs, virtual machines and other user space networks do.");
	if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
		finding_lines(f, "modprobe tun", "echo tun > /etc/modules-load.d/tun.conf");
	else
		finding_lines(f, "chmod 666 /dev/net/tun",
			      "echo 'KERNEL==\"tun\", MODE=\"0666\"' > /etc/udev/rules.d/90-tun.rules");
}

void judge_io_uring(struct findings *all, int r, int64_t disabled)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "io-uring");
	char setting[64] = "";

	if (disabled >= 0)
		snprintf(setting, sizeof(setting), " (kernel.io_uring_disabled=%" PRId64 ")", disabled);
	if (r == 0)
		finding_value(f, "a ring was made%s; berth run answers ENOSYS, so that programs use calls it can serve",
			      setting);
	else
		finding_value(f, "not here%s: %s; nothing is lost: berth run answers ENOSYS, too", setting,
			      strerror(-r));
}

void judge_ptrace(struct findings *all, int64_t scope, bool is_root)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "ptrace");

	if (scope < 0) {
		finding_value(f, "Yama is not there");
		return;
	}
	finding_value(f, "kernel.yama.ptrace_scope=%" PRId64, scope);
	if (scope < 2 || (scope == 2 && is_root))
		return;
	finding_means(
		f, FINDING_TROUBLE,
		"Programs are kept from each other, parents from children too: what goes past libc (static, Go) cannot be served.%s",
		scope >= 3 ? " 3 stays until the machine is started again." : "");
	f->root_helps = scope == 2;
	if (scope == 2)
		finding_sysctl(f, "kernel.yama.ptrace_scope", "1");
	else
		finding_lines(f, "", "echo 'kernel.yama.ptrace_scope = 1' >> /etc/sysctl.d/90-ports.conf");
}

void judge_inet_diag(struct findings *all, int err, bool no_bound)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "inet-diag");

	if (err < 0) {
		finding_value(f, "refused: %s", strerror(-err));
		finding_means(
			f, FINDING_NOTE,
			"The machine's ports are read from /proc/net instead: slower, without bound sockets that do not listen, and "
			"without units.");
		if (err == -ENOENT || err == -EPROTONOSUPPORT)
			finding_lines(f, "modprobe -a inet_diag tcp_diag udp_diag",
				      "printf 'inet_diag\\ntcp_diag\\nudp_diag\\n' > /etc/modules-load.d/diag.conf");
		return;
	}
	finding_value(f, "the kernel lists its sockets%s", no_bound ? "" : ", bound and idle ones, too");
	if (no_bound)
		finding_means(f, FINDING_NOTE,
			      "Not those TCP sockets that are bound and do not listen: Linux 6.8 and later do.");
}

void judge_proc(struct findings *all, uint32_t unseen, uint32_t n_denied, bool is_root)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "proc");

	if (unseen == 0) {
		finding_value(f, "every process can be seen");
		return;
	}
	f->root_helps = !is_root && unseen & (HOST_UNSEEN_USERS | HOST_UNSEEN_HIDEPID);
	if (unseen & HOST_UNSEEN_NO_PROC) {
		finding_value(f, "/proc cannot be read");
		finding_means(f, FINDING_TROUBLE, "No program can be named, and berth cannot tell who lives.");
		finding_lines(f, "mount -t proc proc /proc", "");
	} else if (unseen & HOST_UNSEEN_HIDEPID) {
		finding_value(f, "/proc hides other users' processes (hidepid)");
		finding_means(f, FINDING_NOTE,
			      "The programs behind their ports have no name here, but their units have.");
		finding_lines(f, "mount -o remount,hidepid=0 /proc", "");
	} else if (unseen & HOST_UNSEEN_USERS) {
		finding_value(f, "%u process%s could not be looked into", n_denied, n_denied == 1 ? "" : "es");
		if (!is_root)
			finding_value(
				f,
				"%u processes of other users could not be looked into: root sees their ports' programs",
				n_denied);
	} else {
		finding_value(f, "only this container's processes can be seen");
	}
}

void judge_apparmor(struct findings *all, int64_t is_on, const char *profile)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "apparmor");

	if (!*profile) {
		finding_value(f, is_on ? "no profile holds berth" : "AppArmor is not in use");
		return;
	}
	finding_value(f, "the profile %s holds what runs here", profile);
	finding_means(
		f, FINDING_NOTE,
		"What it forbids fails in programs under berth, too; berth run says so when it is the library or the folder.");
}

void judge_descriptors(struct findings *all, uint64_t soft, uint64_t hard, int64_t nr_open)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "descriptors");
	char most[32] = "unlimited";

	if (hard <= INT64_MAX)
		snprintf(most, sizeof(most), "%" PRIu64, hard);
	finding_value(f, "%" PRIu64 " for each process, up to %s if it asks (fs.nr_open %" PRId64 ")", soft, most,
		      nr_open);
	if (hard >= DESCRIPTORS_LEAST)
		return;
	finding_means(
		f, FINDING_NOTE,
		"A server under berth takes a descriptor for each connection, and berth's keeper some of its own: few hundred "
		"connections.");
	finding_lines(f, "ulimit -Hn 65536", "echo '* hard nofile 65536' > /etc/security/limits.d/90-ports.conf");
}

void judge_memlock(struct findings *all, uint64_t soft)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "memlock");

	if (soft > INT64_MAX)
		finding_value(f, "unlimited; berth locks no memory");
	else
		finding_value(f, "%" PRIu64 " KiB (ulimit -l); berth locks no memory", soft / 1024);
}

void judge_socket_memory(struct findings *all, int64_t wmem, int64_t rmem)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "wmem-max");

	if (wmem < 0) {
		finding_unseen(f, false, "net.core.wmem_max is not shown here");
	} else {
		finding_value(f, "net.core.wmem_max=%" PRId64, wmem);
		if (wmem < WMEM_GOOD) {
			finding_means(f, FINDING_NOTE,
				      "About %" PRId64
				      " KB may be unread on a connection between two programs; then the writer waits.",
				      wmem * 2 / 1000);
			finding_sysctl(f, "net.core.wmem_max", "%d", WMEM_GOOD);
		}
	}
	f = finding_new(all, FINDING_BERTH, "rmem-max");
	if (rmem < 0) {
		finding_unseen(f, false, "net.core.rmem_max is not shown here");
		return;
	}
	finding_value(f, "net.core.rmem_max=%" PRId64, rmem);
	if (rmem < RMEM_GOOD) {
		finding_means(
			f, FINDING_NOTE,
			"Less than Linux's own %d: UDP that comes from outside in bursts is lost while the program is busy.",
			RMEM_GOOD);
		finding_sysctl(f, "net.core.rmem_max", "%d", RMEM_GOOD);
	}
}

void judge_dgram_queue(struct findings *all, int64_t most)
{
	struct finding *f = finding_new(all, FINDING_BERTH, "dgram-queue");

	if (most < 0) {
		finding_unseen(f, false, "net.unix.max_dgram_qlen is not shown here");
		return;
	}
	finding_value(f, "net.unix.max_dgram_qlen=%" PRId64, most);
	if (most >= DGRAM_QUEUE_GOOD)
		return;
	finding_means(
		f, FINDING_NOTE,
		"So many datagrams at a time are handed to a static or Go program; what comes faster waits in its mailbox, or is "
		"lost, as UDP may be.");
	finding_sysctl(f, "net.unix.max_dgram_qlen", "%d", DGRAM_QUEUE_GOOD);
}

void judge_place(struct finding *f, const char *path, bool is_noexec, bool is_readonly, uint64_t free_bytes,
		 bool wants_exec)
{
	char line[512];

	if (f->state != FINDING_GOOD)
		return;
	if (wants_exec && is_noexec) {
		finding_means(f, FINDING_TROUBLE,
			      "Its file system is mounted noexec: no program can load the library from there.");
		snprintf(line, sizeof(line), "mount -o remount,exec \"$(findmnt -no TARGET -T '%.256s')\"", path);
		finding_lines(f, line, "");
	} else if (!wants_exec && is_readonly) {
		finding_means(
			f, FINDING_TROUBLE,
			"Its file system is read-only: no network can be made there. BERTH_DIR names another folder.");
	} else if (!wants_exec && free_bytes < FOLDER_LEAST) {
		finding_means(
			f, FINDING_NOTE,
			"%" PRIu64
			" KiB are free there, and a network's table takes megabytes when it grows. BERTH_DIR names "
			"another folder.",
			free_bytes / 1024);
	}
}
