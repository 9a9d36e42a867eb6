/* src/door/hold.c: the held door: a port that the kernel gives to nobody, and a server can have all the same.
 *
 *   1. bind [::]:PORT for both families, with no flag at all. The kernel lets that happen only if nobody has the number on any
 *      address, connections and TIME_WAIT included, and from then on refuses everybody: it is an exclusive claim, in one step.
 *   2. Then set SO_REUSEADDR and SO_REUSEPORT on it, and never listen. Two sockets share a port when both have the flag and
 *      neither listens (R4), so a server that has one gets in and listens, beside us. bind(0), connect() and
 *      listen() without a bind do not count these flags when they choose, and go around us.
 *
 * UDP has no listening: whoever is bound gets datagrams, so a holder must be one that none is for. A connected one is, but
 * connect() also ties it to 127.0.0.1, and then strangers can have the number on every other address (on Linux 6.18 a
 * bind without flags to 127.0.0.2 or ::1 works, and bind(0) there may choose it). So it is tied to an interface that there is not: a
 * socket of an interface is in the way of all that are of none (R3), and what comes over another interface is not for it.
 * Only where that is refused (before Linux 5.0, in a berth network) it is connected.
 *
 * All calls are libc's: in a program of a `berth run` the port is to be one of its host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "door/door.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#define NO_INTERFACE INT_MAX
#define DISCARD_PORT 1 /* of 127.0.0.1: where a connected holder hears from, should somebody send from there */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static void set(int fd, int level, int name, int v)
{
	(void)setsockopt(fd, level, name, &v, sizeof(v));
}

/* Who starts us may have closed 0, 1 or 2; a door there would be closed by the next dup2(). */
static int new_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0), r;

	if (fd > 2 || fd < 0)
		return fd < 0 ? -errno : fd;
	r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (r < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Everything of both families; where there is no IPv6, of IPv4. */
static int new_wildcard(int type, uint16_t port, union address *ret, socklen_t *ret_len)
{
	int fd = new_socket(AF_INET6, type);

	memset(ret, 0, sizeof(*ret));
	if (fd >= 0) {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		*ret_len = sizeof(ret->v6);
	} else if (fd == -EAFNOSUPPORT) {
		fd = new_socket(AF_INET, type);
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		*ret_len = sizeof(ret->v4);
	}
	return fd;
}

static int bind_it(int fd, const union address *u, socklen_t len)
{
	int r = bind(fd, &u->any, len) < 0 ? -errno : fd;

	if (r < 0)
		close(fd);
	return r;
}

/* No datagram is for it from now on. */
static int deafen(int fd, int family)
{
	const int nowhere = NO_INTERFACE;
	union address u = {0};
	socklen_t len;

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof(nowhere)) == 0)
		return 0;
	if (family == AF_INET6) {
		u.v6.sin6_family = AF_INET6;
		u.v6.sin6_port = htons(DISCARD_PORT);
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &u.v6.sin6_addr);
		len = sizeof(u.v6);
	} else {
		u.v4.sin_family = AF_INET;
		u.v4.sin_port = htons(DISCARD_PORT);
		u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		len = sizeof(u.v4);
	}
	return connect(fd, &u.any, len) < 0 ? -errno : 0;
}

int door_hold(int type, uint16_t port)
{
	union address u;
	socklen_t len;
	int fd = new_wildcard(type, port, &u, &len), r = 0;

	if (fd < 0)
		return fd;
	fd = bind_it(fd, &u, len);
	if (fd < 0)
		return fd;
	/* Deaf first: who gets in by the flags is never robbed of a datagram. */
	if (type == SOCK_DGRAM)
		r = deafen(fd, u.any.sa_family);
	if (r < 0) {
		close(fd);
		return r;
	}
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return fd;
}

int door_beside(int type, uint16_t port, const char *address)
{
	union address u = {0};
	socklen_t len;
	int fd;

	if (!address) {
		fd = new_wildcard(type, port, &u, &len);
	} else if (inet_pton(AF_INET, address, &u.v4.sin_addr) == 1) {
		u.v4.sin_family = AF_INET;
		u.v4.sin_port = htons(port);
		len = sizeof(u.v4);
		fd = new_socket(AF_INET, type);
	} else if (inet_pton(AF_INET6, address, &u.v6.sin6_addr) == 1) {
		u.v6.sin6_family = AF_INET6;
		u.v6.sin6_port = htons(port);
		len = sizeof(u.v6);
		fd = new_socket(AF_INET6, type);
	} else {
		return -EINVAL;
	}
	if (fd < 0)
		return fd;
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return bind_it(fd, &u, len);
}
