/* src/shim/compat.c: libc's functions about sockets that call the kernel where we cannot stand in between.
 *
 * bindresvport, rresvport and rresvport_af look for a free port below 1024; the source filters are setsockopt with
 * a structure to fill. libc makes these calls inside itself, so that ours would not be seen. What else libc does
 * inside itself on sockets (rcmd, rexec, sunrpc's clnt_* and svc_*, syslog to another machine) is the second net's.
 */
#include <netinet/in.h>
#include <string.h>

#include "shim/shim.h"

#define RESERVED_FIRST 512 /* libc's bindresvport begins at 600, rresvport goes down to 512 */
#define RESERVED_BIND 600
#define RESERVED_LAST 1023
#define SOURCES_MAX 128u

EXPORTED(int, bind, (int fd, const struct sockaddr *sa, socklen_t len));
EXPORTED(int, socket, (int domain, int type, int protocol));
EXPORTED(int, getsockopt, (int fd, int level, int name, void *val, socklen_t *len));
EXPORTED(int, setsockopt, (int fd, int level, int name, const void *val, socklen_t len));

/* bind() to the first free port of the range, beginning anywhere in it. */
static int bind_reserved(int fd, struct sockaddr *sa, socklen_t len, in_port_t *port, unsigned first)
{
	unsigned n = RESERVED_LAST - first + 1, at = (unsigned)sys_call(SYS_getpid, 0, 0, 0, 0, 0) % n;
	int r = -1;

	for (unsigned i = 0; i < n; i++) {
		*port = htons((uint16_t)(first + (at + i) % n));
		r = shim_bind(fd, sa, len);
		if (r == 0 || errno != EADDRINUSE)
			return r;
	}
	return r;
}

EXPORT(int, bindresvport, (int fd, struct sockaddr_in *sin))
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	if (!shim_get())
		return shim_next()->bindresvport(fd, sin);
	if (!sin)
		sin = &any;
	if (sin->sin_family != AF_INET) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return bind_reserved(fd, (struct sockaddr *)sin, sizeof(*sin), &sin->sin_port, RESERVED_BIND);
}

EXPORT(int, rresvport_af, (int *port, sa_family_t family))
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	bool v6 = family == AF_INET6;
	in_port_t *at = v6 ? &a.in6.sin6_port : &a.in.sin_port;
	socklen_t len = v6 ? sizeof(a.in6) : sizeof(a.in);
	int fd;

	if (!shim_get())
		return shim_next()->rresvport_af(port, family);
	if (family != AF_INET && family != AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	memset(&a, 0, sizeof(a));
	a.sa.sa_family = family;
	fd = shim_socket(family, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	*at = htons((uint16_t)*port);
	if (*port >= RESERVED_FIRST && *port <= RESERVED_LAST && shim_bind(fd, &a.sa, len) == 0)
		return fd;
	if (bind_reserved(fd, &a.sa, len, at, RESERVED_FIRST) == 0) {
		*port = ntohs(*at);
		return fd;
	}
	if (errno == EADDRINUSE)
		errno = EAGAIN;
	sys_close(fd);
	return -1;
}

EXPORT(int, rresvport, (int *port))
{
	return shim_rresvport_af(port, AF_INET);
}

/* --- source filters (RFC 3678) --- */
union any_filter {
	struct group_filter g;
	struct ip_msfilter m;
	uint8_t octets[GROUP_FILTER_SIZE(SOURCES_MAX)];
};

static int level_of(const struct sockaddr *group)
{
	return group->sa_family == AF_INET6 ? IPPROTO_IPV6 : group->sa_family == AF_INET ? IPPROTO_IP : -1;
}

EXPORT(int, setsourcefilter,
       (int fd, uint32_t interface, const struct sockaddr *group, socklen_t group_len, uint32_t mode, uint32_t n,
	const struct sockaddr_storage *list))
{
	union any_filter f = {.octets = {0}};

	if (!shim_get())
		return shim_next()->setsourcefilter(fd, interface, group, group_len, mode, n, list);
	if (n > SOURCES_MAX)
		return shim_ret(-ENOBUFS);
	if (level_of(group) < 0 || group_len > sizeof(f.g.gf_group))
		return shim_ret(-EINVAL);
	f.g.gf_interface = interface;
	memcpy(&f.g.gf_group, group, group_len);
	f.g.gf_fmode = mode;
	f.g.gf_numsrc = n;
	memcpy(f.g.gf_slist, list, n * sizeof(*list));
	return shim_setsockopt(fd, level_of(group), MCAST_MSFILTER, &f, GROUP_FILTER_SIZE(n));
}

EXPORT(int, getsourcefilter,
       (int fd, uint32_t interface, const struct sockaddr *group, socklen_t group_len, uint32_t *mode, uint32_t *n,
	struct sockaddr_storage *list))
{
	union any_filter f = {.octets = {0}};
	uint32_t room = *n < SOURCES_MAX ? *n : SOURCES_MAX;
	socklen_t len = GROUP_FILTER_SIZE(room);
	int r;

	if (!shim_get())
		return shim_next()->getsourcefilter(fd, interface, group, group_len, mode, n, list);
	if (level_of(group) < 0 || group_len > sizeof(f.g.gf_group))
		return shim_ret(-EINVAL);
	f.g.gf_interface = interface;
	memcpy(&f.g.gf_group, group, group_len);
	f.g.gf_numsrc = room;
	r = shim_getsockopt(fd, level_of(group), MCAST_MSFILTER, &f, &len);
	if (r == 0) {
		*mode = f.g.gf_fmode;
		memcpy(list, f.g.gf_slist, (f.g.gf_numsrc < room ? f.g.gf_numsrc : room) * sizeof(*list));
		*n = f.g.gf_numsrc;
	}
	return r;
}

EXPORT(int, setipv4sourcefilter,
       (int fd, struct in_addr interface, struct in_addr group, uint32_t mode, uint32_t n, const struct in_addr *list))
{
	union any_filter f = {.octets = {0}};

	if (!shim_get())
		return shim_next()->setipv4sourcefilter(fd, interface, group, mode, n, list);
	if (n > SOURCES_MAX)
		return shim_ret(-ENOBUFS);
	f.m.imsf_multiaddr = group;
	f.m.imsf_interface = interface;
	f.m.imsf_fmode = mode;
	f.m.imsf_numsrc = n;
	memcpy(f.m.imsf_slist, list, n * sizeof(*list));
	return shim_setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &f, IP_MSFILTER_SIZE(n));
}

EXPORT(int, getipv4sourcefilter,
       (int fd, struct in_addr interface, struct in_addr group, uint32_t *mode, uint32_t *n, struct in_addr *list))
{
	union any_filter f = {.octets = {0}};
	uint32_t room = *n < SOURCES_MAX ? *n : SOURCES_MAX;
	socklen_t len = IP_MSFILTER_SIZE(room);
	int r;

	if (!shim_get())
		return shim_next()->getipv4sourcefilter(fd, interface, group, mode, n, list);
	f.m.imsf_multiaddr = group;
	f.m.imsf_interface = interface;
	f.m.imsf_numsrc = room;
	r = shim_getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &f, &len);
	if (r == 0) {
		*mode = f.m.imsf_fmode;
		memcpy(list, f.m.imsf_slist, (f.m.imsf_numsrc < room ? f.m.imsf_numsrc : room) * sizeof(*list));
		*n = f.m.imsf_numsrc;
	}
	return r;
}
