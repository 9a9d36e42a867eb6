/* src/cli/why_command.c: `berth why -- COMMAND`: the binds that fail in a command's tree, explained.
 *
 * The command runs natively. A seccomp filter (bind_watch.c) stops each bind() of its tree for the moment that we need to look: at
 * the address, in the caller's memory, and at the socket, on a copy of its descriptor (family, options, owner). That is a whole
 * question, the one `berth why PORT` is asked with options, and it is answered while the caller waits, so the holder is the one
 * that is there now. Then the call goes on in the kernel as it was made; nothing is done in the program's place.
 *
 * So the explanation is of what the bind is about to be told, some microseconds before. What cannot be looked into (another
 * user's process, a setuid program), and sockets of other network namespaces, are counted and told at the end. listen() is not watched.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/attend.h"
#include "cli/bind_watch.h"
#include "cli/elf.h"
#include "cli/relay.h"
#include "cli/why.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#define EXPLAINED_MAX 8

struct watch {
	struct cli *cli;
	struct port_want explained[EXPLAINED_MAX];
	unsigned n_explained, n_more; /* refused; of those not explained again */
	unsigned n_seen, n_unseen, n_elsewhere;
	bool refused; /* the last one: what it takes instead is told */
	int own;      /* a socket of our network namespace */
};

struct caller {
	pid_t pid;
	bool may_bind_low;
	char comm[32];
};

/* Of the thread that called. */
static bool read_caller(pid_t tid, struct caller *ret)
{
	char path[40], line[256];
	unsigned long long caps = 0;
	int pid = 0;
	FILE *f;

	*ret = (struct caller){0};
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Name:\t%31[^\n]", ret->comm) != 1 && sscanf(line, "Tgid: %d", &pid) != 1)
			(void)!sscanf(line, "CapEff: %llx", &caps);
	}
	if (f)
		fclose(f);
	ret->pid = pid;
	ret->may_bind_low = caps >> CAP_NET_BIND_SERVICE & 1;
	cli_clean(ret->comm);
	return pid > 0;
}

static int option(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) == 0 ? v : 0;
}

/* The address that is bound. False: not an IP address, or port 0: nobody can have that. */
static bool read_address(const struct seccomp_notif *n, struct port_want *want)
{
	struct sockaddr_in6 a = {0}; /* the port is at the same place in both */
	struct sockaddr_in v4;
	size_t len = n->data.args[2] < sizeof(a) ? (size_t)n->data.args[2] : sizeof(a);
	struct iovec here = {&a, len}, there = {(void *)(uintptr_t)n->data.args[1], len};

	if (len < sizeof(v4) || process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		return false;
	want->port = ntohs(a.sin6_port);
	if (a.sin6_family == AF_INET) {
		memcpy(&v4, &a, sizeof(v4));
		want->family = PORT_FAMILY_4;
		want->addr = port_addr_from4((const uint8_t *)&v4.sin_addr);
	} else if (a.sin6_family == AF_INET6 && len >= 24) {
		want->family = PORT_FAMILY_6;
		want->addr = port_addr_from6((const uint8_t *)&a.sin6_addr, a.sin6_scope_id);
	} else {
		return false;
	}
	return want->port != 0;
}

/* What the socket was told. False: not one that we can speak of. */
static bool read_socket(int fd, struct port_want *want)
{
	int type = option(fd, SOL_SOCKET, SO_TYPE), proto = option(fd, SOL_SOCKET, SO_PROTOCOL);
	int domain = option(fd, SOL_SOCKET, SO_DOMAIN);
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);
	struct stat st;

	if (domain != (want->family == PORT_FAMILY_4 ? AF_INET : AF_INET6) || fstat(fd, &st) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0 || a.sin6_port != 0)
		return false;
	if (!(type == SOCK_STREAM && proto == IPPROTO_TCP) && !(type == SOCK_DGRAM && proto == IPPROTO_UDP))
		return false;
	want->proto = type == SOCK_STREAM ? PORT_TCP : PORT_UDP;
	want->uid = st.st_uid;
	want->dev = (uint32_t)option(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	want->flags = (uint16_t)((option(fd, SOL_SOCKET, SO_REUSEADDR) ? PORT_REUSEADDR : 0) |
				 (option(fd, SOL_SOCKET, SO_REUSEPORT) ? PORT_REUSEPORT : 0));
	if (domain == AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		want->flags |= PORT_V6ONLY;
	if (option(fd, IPPROTO_IP, IP_FREEBIND) || option(fd, IPPROTO_IP, IP_TRANSPARENT))
		want->flags |= PORT_FREEBIND;
	return true;
}

static bool is_here(const struct watch *w, int fd)
{
	uint64_t a = 0, b = 0;
	socklen_t len = sizeof(a);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &a, &len) < 0 ||
	       getsockopt(w->own, SOL_SOCKET, SO_NETNS_COOKIE, &b, &len) < 0 || a == b;
}

static bool is_new(const struct watch *w, const struct port_want *want)
{
	for (unsigned i = 0; i < w->n_explained; i++) {
		const struct port_want *x = &w->explained[i];

		if (x->port == want->port && x->proto == want->proto && x->flags == want->flags &&
		    port_addr_equal(&x->addr, &want->addr))
			return false;
	}
	return w->n_explained < EXPLAINED_MAX;
}

static void explain(struct watch *w, const struct caller *c, const struct port_want *want)
{
	static struct why why;
	const struct why_asked q = {.want = *want};
	char endpoint[PORT_ENDPOINT_STR_MAX];

	if (why_ask(w->cli, &q, NULL, &why) != 0)
		return;
	if (why.a.refusal.err != 0 && is_new(w, want)) {
		w->explained[w->n_explained++] = *want;
		w->refused = true;
		if (why.a.row && why.holder.pid == c->pid)
			why_note(&why, "OWN_PROGRAM", "", "the holder is the very program that asks");
		cli_warn(w->cli, "%s (pid %d) binds %s, and is refused", c->comm, c->pid,
			 port_endpoint_print(&want->addr, want->port, endpoint));
		why_print(stderr, w->cli, &why);
	} else if (why.a.refusal.err != 0) {
		w->n_more++;
	} else if (w->refused && w->explained[w->n_explained - 1].proto == want->proto) {
		w->refused = false;
		cli_warn(w->cli, "%s (pid %d) then has %s", c->comm, c->pid,
			 port_endpoint_print(&want->addr, want->port, endpoint));
	}
	why_free(&why);
}

static void look(void *ctx, int listener, const struct seccomp_notif *n)
{
	struct watch *w = ctx;
	struct port_want want = {0};
	struct caller c;
	int fd;

	if (!read_address(n, &want) || !read_caller((pid_t)n->pid, &c))
		return;
	w->n_seen++;
	fd = bind_watch_socket(c.pid, (int)n->data.args[0]);
	if (fd < 0) {
		w->n_unseen++;
		return;
	}
	/* Were it answered by now, pid and number could be a stranger's. */
	if (!is_here(w, fd))
		w->n_elsewhere++;
	else if (read_socket(fd, &want) && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->id) == 0) {
		want.flags |= c.may_bind_low ? PORT_PRIVILEGED : 0;
		close(fd); /* before anything is tried: it is the program's own */
		explain(w, &c, &want);
		return;
	}
	close(fd);
}

static bool hear(void *ctx, int fd)
{
	return bind_watch_hear(fd, look, ctx);
}

static void say_end(const struct watch *w)
{
	if (w->n_more)
		cli_warn(w->cli, "%u more of its binds were refused, for the reasons above or others like them",
			 w->n_more);
	else if (!w->n_explained && w->n_seen == w->n_unseen + w->n_elsewhere)
		cli_warn(w->cli, "no bind to a port was seen in it");
	else if (!w->n_explained)
		cli_warn(w->cli, "none of its binds was refused");
	if (w->n_unseen)
		cli_warn(w->cli, "%u bind%s of programs that may not be looked into (another user's, setuid)",
			 w->n_unseen, w->n_unseen == 1 ? " was" : "s were");
	if (w->n_elsewhere)
		cli_warn(w->cli, "%u bind%s in another network namespace, whose ports are not this one's",
			 w->n_elsewhere, w->n_elsewhere == 1 ? " was" : "s were");
}

static int fail(struct cli *cli, char *name, int r)
{
	cli_clean(name);
	if (r == -EBUSY)
		return cli_fail(
			cli, 0,
			"the binds of %s cannot be watched here: this tree is watched already (a berth run does, and "
			"explains refusals itself)",
			name);
	if (r < 0)
		return cli_fail(cli, r, "cannot start %s, or watch it", name);
	cli_warn(cli, "%s: %s", name, r == ENOENT ? "its interpreter or loader does not exist" : strerror(r));
	return CLI_NOT_EXECUTABLE;
}

int why_command(struct cli *cli, char **argv)
{
	static char path[PATH_MAX];
	struct watch w = {.cli = cli, .own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
	const struct attend how = {.prepare = bind_watch_install, .hear = hear, .ctx = &w};
	int status = 0, r = elf_find_command(argv[0], path, sizeof(path));

	if (r < 0) {
		cli_warn(cli, "%s: %s", cli_clean(argv[0]),
			 r == -ENOENT	? "no such command"
			 : r == -EACCES ? "found, but it cannot be executed"
					: strerror(-r));
		r = r == -ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
	} else {
		r = attend(path, argv, &how, &status);
		if (r != 0)
			r = fail(cli, argv[0], r);
		else {
			say_end(&w);
			r = relay_exit_code(status);
		}
	}
	if (w.own >= 0)
		close(w.own);
	return r;
}
