/* src/cli/kernel_port.c: holding a port of the kernel's without listening on it, and never silently.
 *
 * A TCP socket that was bound to a named port keeps it when shutdown(2) takes it back from listening, so one socket
 * is a closed door and an open one by turns, and between the two nobody else can have the port.
 *
 * SO_REUSEADDR is two things on Linux. To who binds: connections of an earlier publisher, open or in TIME_WAIT, are
 * not in the way, if they had it too. To who holds: another that has it may bind as well, as long as nobody listens. So
 * a door has it while it listens, where it makes the connections have it and gives nothing away, and has it not while
 * it is closed. It is bound without; with it only if that failed.
 *
 * All calls are made past libc: in a nested `berth run` these sockets are to be the kernel's all the same.
 */
#include "cli/kernel_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/raw.h"

#define BACKLOG 4096 /* the kernel clamps it to somaxconn */
#define CHOICES_MAX 64

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t to_kernel(const struct port_addr *a, uint16_t port, enum port_family family, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (family == PORT_FAMILY_4) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		memcpy(&ret->v4.sin_addr, a->b + 12, 4);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	ret->v6.sin6_scope_id = a->scope;
	memcpy(&ret->v6.sin6_addr, a->b, 16);
	return sizeof(ret->v6);
}

static void from_kernel(const union address *u, struct port_addr *ret, uint16_t *ret_port)
{
	if (u->any.sa_family == AF_INET) {
		*ret = port_addr_from4((const uint8_t *)&u->v4.sin_addr);
		*ret_port = ntohs(u->v4.sin_port);
	} else {
		*ret = port_addr_from6((const uint8_t *)&u->v6.sin6_addr, u->v6.sin6_scope_id);
		*ret_port = ntohs(u->v6.sin6_port);
	}
}

static void set(int fd, int level, int name, int v)
{
	(void)raw_pass(SYS_setsockopt, fd, level, name, (long)&v, sizeof(v));
}

/* One attempt. */
static int hold(const struct port_addr *addr, uint16_t port, enum port_family family, enum port_proto proto, bool reuse)
{
	int type = (proto == PORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	union address u;
	socklen_t len = to_kernel(addr, port, family, &u);
	int fd = (int)raw_pass(SYS_socket, u.any.sa_family, type, 0, 0, 0), r;

	if (fd < 0)
		return fd;
	if (family == PORT_FAMILY_6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !port_addr_is4(addr));
	if (reuse)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	r = (int)raw_pass(SYS_bind, fd, (long)&u, len, 0, 0);
	if (reuse)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	if (r < 0) {
		raw_close(fd);
		return r;
	}
	return fd;
}

static uint16_t port_of(int fd)
{
	union address u = {0};
	socklen_t len = sizeof(u);
	struct port_addr a;
	uint16_t port = 0;

	if (raw_pass(SYS_getsockname, fd, (long)&u, (long)&len, 0, 0) == 0)
		from_kernel(&u, &a, &port);
	return port;
}

int kernel_port_hold(const struct port_addr *addr, uint16_t port, enum port_family family, enum port_proto proto,
		     uint16_t *ret_port)
{
	int fd = -EADDRINUSE;

	if (port) {
		fd = hold(addr, port, family, proto, false);
		if (fd == -EADDRINUSE && proto == PORT_TCP)
			fd = hold(addr, port, family, proto, true);
		*ret_port = port;
		return fd;
	}
	/* A port that bind() chose is given back by shutdown(): it is only asked which one, and then that is named. */
	for (int i = 0; i < CHOICES_MAX && fd == -EADDRINUSE; i++) {
		int asked = hold(addr, 0, family, proto, false);

		if (asked < 0)
			return asked;
		port = port_of(asked);
		raw_close(asked);
		fd = hold(addr, port, family, proto, false);
	}
	*ret_port = port;
	return fd;
}

int kernel_port_swap(int fd, const struct port_addr *addr, uint16_t port, enum port_family family,
		     enum port_proto proto)
{
	int new_fd;

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	new_fd = hold(addr, port, family, proto, true);
	set(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	if (new_fd >= 0)
		raw_close(fd);
	return new_fd;
}

/* Who is accepted has SO_LINGER 0 from the start: closed by whomever before the program has taken it (its listener went, or we
 * did), it is reset, as the kernel resets what nobody has accepted. The library takes that back (shim/published.c). */
int kernel_port_listen(int fd)
{
	const struct linger reset = {.l_onoff = 1};
	int r;

	(void)raw_pass(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, (long)&reset, sizeof(reset));

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	r = (int)raw_pass(SYS_listen, fd, BACKLOG, 0, 0, 0);
	if (r < 0)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	return r;
}

void kernel_port_unlisten(int fd)
{
	(void)raw_pass(SYS_shutdown, fd, SHUT_RDWR, 0, 0, 0);
	set(fd, SOL_SOCKET, SO_REUSEADDR, 0);
}

int kernel_port_accept(int fd, struct port_addr *ret, uint16_t *ret_port)
{
	union address u = {0};
	socklen_t len = sizeof(u);
	int r = (int)raw_pass(SYS_accept4, fd, (long)&u, (long)&len, SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (r >= 0)
		from_kernel(&u, ret, ret_port);
	return r;
}

unsigned kernel_port_unprivileged(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	unsigned v = 1024;

	if (f) {
		if (fscanf(f, "%u", &v) != 1)
			v = 1024;
		fclose(f);
	}
	return v;
}
