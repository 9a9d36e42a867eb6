/* src/cli/kernel_probe.c: a bind that proves, and does no harm (SETTLED 17).
 *
 * A bind that fails changes nothing. One that works holds the port until the socket is closed, some microseconds; in them a
 * server that starts right then would be refused, and nothing worse: the socket never listens, so it takes no
 * connection from a group that shares the port, and on UDP, where a socket that shares takes datagrams at once, it sets no flag.
 *
 * The address alone is asked with IP_BIND_ADDRESS_NO_PORT and port 0: the kernel looks at the address and takes no port.
 *
 * Calls are made past libc, as these sockets are to be the kernel's within `berth run`, too.
 */
#include "cli/kernel_probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "network/raw.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int set(int fd, int level, int name)
{
	int one = 1;

	return (int)raw_pass(SYS_setsockopt, fd, level, name, (long)&one, sizeof(one));
}

/* A socket as want says, but for flags. */
static int make(const struct port_want *want)
{
	int type = (want->proto == PORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	bool other = geteuid() == 0 && want->uid != 0;
	int fd, r = 0;

	if (other) /* SO_REUSEPORT compares the user that the socket was made by (R4) */
		setfsuid(want->uid);
	fd = (int)raw_pass(SYS_socket, want->family == PORT_FAMILY_4 ? AF_INET : AF_INET6, type, 0, 0, 0);
	if (other)
		setfsuid(0);
	if (fd >= 0 && want->family == PORT_FAMILY_6) {
		int only = (want->flags & PORT_V6ONLY) != 0;

		r = (int)raw_pass(SYS_setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, (long)&only, sizeof(only));
	}
	if (fd >= 0 && r == 0 && (want->flags & PORT_FREEBIND))
		r = set(fd, IPPROTO_IP, IP_FREEBIND);
	if (r < 0) {
		raw_close(fd);
		return r;
	}
	return fd;
}

static int bind_to(int fd, const struct port_want *want, uint16_t port)
{
	union address u = {0};
	socklen_t len = sizeof(u.v6);

	if (want->family == PORT_FAMILY_4) {
		u.v4.sin_family = AF_INET;
		u.v4.sin_port = htons(port);
		memcpy(&u.v4.sin_addr, want->addr.b + 12, 4);
		len = sizeof(u.v4);
	} else {
		u.v6.sin6_family = AF_INET6;
		u.v6.sin6_port = htons(port);
		u.v6.sin6_scope_id = want->addr.scope;
		memcpy(&u.v6.sin6_addr, want->addr.b, 16);
	}
	return (int)raw_pass(SYS_bind, fd, (long)&u, len, 0, 0);
}

int kernel_probe_address(const struct port_want *want)
{
	int fd = make(want), r;

	if (fd < 0)
		return fd;
	r = set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	if (r == 0)
		r = bind_to(fd, want, 0);
	raw_close(fd);
	return r;
}

int kernel_probe_bind(const struct port_want *want)
{
	int fd = make(want), r = 0;

	if (fd < 0)
		return fd;
	if (want->proto == PORT_TCP && (want->flags & PORT_REUSEADDR))
		r = set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (r == 0 && want->proto == PORT_TCP && (want->flags & PORT_REUSEPORT))
		r = set(fd, SOL_SOCKET, SO_REUSEPORT);
	if (r == 0)
		r = bind_to(fd, want, want->port);
	raw_close(fd);
	return r;
}
