/* src/cli/doctor_berth.c: `berth doctor`'s look at what berth stands on. What can be tried is tried, in children that end at
 * once; a kernel may be new enough and still refuse (containers, Yama, AppArmor).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/apparmor.h"
#include "cli/doctor.h"
#include "cli/judge.h"
#include "cli/shim_file.h"
#include "cli/try_machine.h"
#include "host/host.h"
#include "net2/try.h"

static struct finding *about(struct findings *all, const char *code)
{
	return finding_new(all, FINDING_BERTH, code);
}

/* A number of /proc/sys; -1. */
static int64_t setting(const char *file)
{
	int64_t v[3];

	(void)doctor_numbers(NULL, file, v);
	return v[0];
}

static void kernel(struct findings *all)
{
	struct finding *f = about(all, "kernel");
	struct utsname u;

	if (uname(&u) < 0)
		snprintf(u.release, sizeof(u.release), "?");
	finding_value(f, "Linux %s", u.release);
	if (!try_release(5, 14))
		finding_means(f, FINDING_TROUBLE,
			      "Before 5.14 programs that go past libc (static, Go) cannot be served, and are refused.");
	else if (!try_release(5, 19))
		finding_means(
			f, FINDING_NOTE,
			"Before 5.19 a signal may come between a served call and its answer: the call is made again.");
}

/* May every user read the file? Programs that root starts and that give their rights away load it, too. */
static bool for_everybody(const char *file)
{
	char path[PATH_MAX];
	struct stat st;

	if (stat(file, &st) < 0 || !(st.st_mode & S_IROTH))
		return false;
	snprintf(path, sizeof(path), "%s", file);
	for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (stat(path, &st) < 0 || !(st.st_mode & S_IXOTH))
			return false;
	}
	return true;
}

static void place(struct finding *f, const char *path, bool wants_exec)
{
	struct statvfs st;

	if (statvfs(path, &st) == 0)
		judge_place(f, path, st.f_flag & ST_NOEXEC, st.f_flag & ST_RDONLY, (uint64_t)st.f_bavail * st.f_frsize,
			    wants_exec);
}

static void library(struct findings *all)
{
	char shim[PATH_MAX], what[PATH_MAX + 128] = "";
	struct finding *f = about(all, "library");
	int r;

	if (shim_file_find(shim, sizeof(shim), what, sizeof(what)) < 0) {
		finding_value(f, "%s", what);
		finding_means(f, FINDING_TROUBLE, "Nothing can be run on a host; install berth whole.");
		finding_unseen(about(all, "preload"), false, "there is no library to try");
		return;
	}
	finding_value(f, "%s", shim);
	place(f, shim, true);
	if (f->state == FINDING_GOOD && geteuid() == 0 && !for_everybody(shim))
		finding_means(
			f, FINDING_NOTE,
			"Other users cannot read it: what a server executes after it became another user goes past it.");
	f = about(all, "preload");
	r = try_preload(shim, what, sizeof(what));
	if (r == 0) {
		finding_value(f, "a program loads it (LD_PRELOAD)");
	} else {
		finding_value(f, "not loaded: %s", *what ? what : strerror(-r));
		finding_means(f, FINDING_TROUBLE,
			      "Programs go past it: those that the second net cannot serve are refused.");
	}
}

static void folder(struct findings *all)
{
	struct finding *f = about(all, "folder");
	char dir[NETWORK_PATH_MAX];
	struct network_error err;
	int r = network_base_dir(false, dir, &err);

	if (r == 0) {
		finding_value(f, "%s", dir);
		place(f, dir, false);
	} else if (r == -ENOENT) {
		finding_value(f, "%s; the first berth run makes it", err.what);
	} else {
		finding_value(f, "%s", err.what);
		finding_means(f, FINDING_TROUBLE, "Networks cannot be kept there; BERTH_DIR names another folder.");
	}
}

static void tried(struct findings *all, const char *code, int r, const char *good, const char *lost)
{
	struct finding *f = about(all, code);

	if (r == 0) {
		finding_value(f, "%s", good);
		return;
	}
	finding_value(f, "refused: %s", strerror(-r));
	finding_means(f, FINDING_TROUBLE, "%s", lost);
}

static void second_net(struct findings *all)
{
	bool killable = false;
	int r = try_filter(&killable);

	if (r == -EBUSY)
		finding_value(about(all, "second-net"),
			      "this is inside a tree that is watched already; a nested berth run joins it");
	else
		tried(all, "second-net", r,
		      killable ? "seccomp user notification works"
			       : "seccomp user notification works, without WAIT_KILLABLE_RECV",
		      "Static programs, Go programs and raw system calls are refused: seccomp's user notification is what serves them. "
		      "In a container its own seccomp profile must allow it.");
	tried(all, "pidfd-getfd", try_getfd(), "a program's descriptors can be got",
	      "A program's descriptor cannot be got: what goes past libc cannot be served.");
	tried(all, "memory", try_memory(), "a program's memory can be read",
	      "A program's memory cannot be read: what goes past libc cannot be served.");
}

static void rights(struct findings *all)
{
	struct finding *f;

	judge_ptrace(all, setting("sys/kernel/yama/ptrace_scope"), geteuid() == 0);
	f = about(all, "setuid");
	finding_value(f, geteuid() == 0 ? "you are root: setuid programs keep their rights" : "you are not root");
	if (geteuid() != 0)
		finding_means(
			f, FINDING_NOTE,
			"Under berth run setuid, setgid and file capabilities give no rights (no_new_privs), unless root starts it.");
}

/* Is a live socket of ours said to be alive, and a dead one dead? */
static void liveness(struct findings *all)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	static struct network n; /* big; only its namespace matters here */
	struct finding *f = about(all, "liveness");
	enum network_alive alive, dead;
	struct port_owner o;
	struct stat st;

	n.netns = stat("/proc/self/ns/net", &st) == 0 ? (uint32_t)st.st_ino : 0;
	r = fd < 0 ? -errno : network_owner_of(&n, fd, &o);
	if (r < 0) {
		finding_value(f, "no socket to be had: %s", strerror(-r));
		finding_means(f, FINDING_TROUBLE, "Nothing can be told.");
		if (fd >= 0)
			close(fd);
		return;
	}
	alive = network_owner_alive(&n, &o);
	close(fd);
	dead = network_owner_alive(&n, &o);
	if (alive == NETWORK_ALIVE && dead == NETWORK_DEAD) {
		finding_value(f, "the kernel tells which sockets live (unix_diag)");
		return;
	}
	finding_value(f, "the kernel does not tell which sockets live (unix_diag)");
	finding_means(f, FINDING_TROUBLE, "Ports of programs that died stay held.");
	finding_lines(f, "modprobe unix_diag", "echo unix_diag > /etc/modules-load.d/unix-diag.conf");
}

/* How netlink answers: one port is asked for, which costs nothing. */
static void inet_diag(struct findings *all)
{
	static const struct host_filter f = {.protos = 1 << HOST_TCP, .ports = {1, 1}};
	struct host_sockets s;
	int r = host_sockets_read(NULL, &f, &s);

	judge_inet_diag(all, r < 0 ? r : s.notes.netlink_err, r == 0 && s.notes.no_bound);
	if (r == 0)
		host_sockets_free(&s);
}

static void processes(struct findings *all)
{
	char profile[APPARMOR_NAME_MAX] = "", label[256];
	struct host_owners o;
	bool is_on;

	host_owners_read(NULL, &o);
	judge_proc(all, o.unseen, o.n_denied, geteuid() == 0);
	host_owners_free(&o);
	is_on = access("/sys/kernel/security/apparmor", F_OK) == 0 || access("/sys/module/apparmor", F_OK) == 0;
	if (host_slurp(AT_FDCWD, "/proc/self/attr/current", label, sizeof(label)) > 0) {
		label[strcspn(label, "\n")] = '\0';
		if (!apparmor_parse(cli_clean(label), profile))
			profile[0] = '\0';
	}
	judge_apparmor(all, is_on, profile);
}

static void namespaces(struct findings *all)
{
	struct try_namespaces t = try_namespaces();

	judge_user_namespaces(all, t.user, setting("sys/user/max_user_namespaces"),
			      setting("sys/kernel/unprivileged_userns_clone"),
			      setting("sys/kernel/apparmor_restrict_unprivileged_userns"));
	judge_net_namespaces(all, t.user, t.net, setting("sys/user/max_net_namespaces"));
	judge_tap(all, t.tun, t.tap);
	judge_io_uring(all, try_io_uring(), setting("sys/kernel/io_uring_disabled"));
}

static void limits(struct findings *all)
{
	struct rlimit files = {0}, locked = {0};

	(void)getrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_MEMLOCK, &locked);
	judge_socket_memory(all, setting("sys/net/core/wmem_max"), setting("sys/net/core/rmem_max"));
	judge_dgram_queue(all, setting("sys/net/unix/max_dgram_qlen"));
	judge_descriptors(all, files.rlim_cur, files.rlim_max, setting("sys/fs/nr_open"));
	judge_memlock(all, locked.rlim_cur);
}

void doctor_berth(struct cli *cli, struct findings *all)
{
	(void)cli;
	fflush(NULL); /* children are made */
	kernel(all);
	library(all);
	folder(all);
	second_net(all);
	rights(all);
	liveness(all);
	inet_diag(all);
	processes(all);
	namespaces(all);
	limits(all);
}
