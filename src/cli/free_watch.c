/* src/cli/free_watch.c: servers that set no reuse flag, seen at the moment they bind a port that is held for them.
 *
 * Their EADDRINUSE reaches nobody but themselves. So with --explain and --any-server each bind() of the command's tree is stopped
 * (bind_watch.c) and looked at: the address, in the caller's memory, and the socket's flags, on a copy of its descriptor. Is it
 * one of the held ports, and has neither flag? Then it is either remembered, or the flag is set, on the copy, which is the same
 * socket.
 */
#include "cli/free_watch.h"

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/bind_watch.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* --- looking --- */

/* The port that is bound, if it is an IP address's; 0. */
static uint16_t port_in(const struct seccomp_notif *n)
{
	struct sockaddr_in6 a = {0}; /* the port is at the same place in both */
	size_t len = n->data.args[2] < sizeof(a) ? (size_t)n->data.args[2] : sizeof(a);
	struct iovec here = {&a, len}, there = {(void *)(uintptr_t)n->data.args[1], len};

	if (len < sizeof(struct sockaddr_in) ||
	    process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) != (ssize_t)len ||
	    (a.sin6_family != AF_INET && a.sin6_family != AF_INET6))
		return 0;
	return ntohs(a.sin6_port);
}

static unsigned held_for(const struct free_order *o, uint16_t port)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->ports[i].port == port)
			return (o->ports[i].tcp >= 0 ? BERTH_PORT_TCP : 0u) |
			       (o->ports[i].udp >= 0 ? BERTH_PORT_UDP : 0u);
	return 0;
}

/* A number of /proc/TID/status; 0: it is gone. */
static pid_t process_of(pid_t tid)
{
	char path[40], line[128];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (f)
		fclose(f);
	return pid;
}

static int option(int fd, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, name, &v, &len) == 0 ? v : -1;
}

/* In our network namespace? In another the number is another one. */
static bool is_here(const struct free_order *o, int fd)
{
	int own = o->ports[0].tcp >= 0 ? o->ports[0].tcp : o->ports[0].udp;
	uint64_t a = 0, b = 0;
	socklen_t len = sizeof(a);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &a, &len) < 0 ||
	       getsockopt(own, SOL_SOCKET, SO_NETNS_COOKIE, &b, &len) < 0 || a == b;
}

static void remember(struct free_watch *w, pid_t pid, uint16_t port, bool udp)
{
	struct free_refused *r = &w->refused[w->n_refused];
	char path[40];
	FILE *f;

	for (unsigned i = 0; i < w->n_refused; i++)
		if (w->refused[i].port == port && w->refused[i].udp == udp && w->refused[i].pid == pid)
			return;
	if (w->n_refused == FREE_REFUSED_MAX)
		return;
	*r = (struct free_refused){.pid = pid, .port = port, .udp = udp, .comm = "a program"};
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(r->comm, sizeof(r->comm), f))
		r->comm[strcspn(r->comm, "\n")] = '\0';
	if (f)
		fclose(f);
	w->n_refused++;
}

static void look(void *ctx, int listener, const struct seccomp_notif *n)
{
	struct free_watch *w = ctx;
	uint16_t port = port_in(n);
	unsigned held = port ? held_for(w->order, port) : 0;
	const int on = 1;
	pid_t pid;
	bool udp;
	int fd;

	if (!held)
		return;
	pid = process_of((pid_t)n->pid);
	fd = pid ? bind_watch_socket(pid, (int)n->data.args[0]) : -1;
	if (fd < 0)
		return;
	udp = option(fd, SO_TYPE) == SOCK_DGRAM;
	/* Were it answered by now, pid and number could be a stranger's. */
	if (option(fd, SO_REUSEADDR) == 0 && option(fd, SO_REUSEPORT) == 0 &&
	    held & (udp ? BERTH_PORT_UDP : BERTH_PORT_TCP) && is_here(w->order, fd) &&
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->id) == 0) {
		if (w->help)
			(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		else
			remember(w, pid, port, udp);
	}
	close(fd);
}

bool free_watch_serve(struct free_watch *w, int fd)
{
	return bind_watch_hear(fd, look, w);
}

void free_watch_say(struct cli *cli, const struct free_watch *w)
{
	for (unsigned i = 0; i < w->n_refused; i++) {
		char comm[16], port[16];

		memcpy(comm, w->refused[i].comm, sizeof(comm));
		cli_warn(
			cli,
			"%s (pid %d) was refused %s, which is held for it: EADDRINUSE\n"
			"  why  it sets neither SO_REUSEADDR nor SO_REUSEPORT before bind(), so it shares with nobody [R7]\n"
			"  try  --any-server sets SO_REUSEADDR for it; --listen-fds hands it a socket that is bound",
			cli_clean(comm), w->refused[i].pid,
			cli_port(w->refused[i].port, w->refused[i].udp ? PORT_UDP : PORT_TCP, port));
	}
}
