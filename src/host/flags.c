/* src/host/flags.c: a socket's options, from a copy of somebody's descriptor. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/flags.h"

#define LOCAL_PORT_RANGE 51 /* IP_LOCAL_PORT_RANGE, younger than our headers */

/* 0 when the socket has no such option. */
static int option(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) == 0 ? v : 0;
}

static void read_options(int fd, struct host_flags *ret)
{
	uint32_t range = (uint32_t)option(fd, IPPROTO_IP, LOCAL_PORT_RANGE);
	bool tcp = option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;

	*ret = (struct host_flags){
		.reuseaddr = option(fd, SOL_SOCKET, SO_REUSEADDR) != 0,
		.reuseport = option(fd, SOL_SOCKET, SO_REUSEPORT) != 0,
		.v6only = option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0,
		.freebind = option(fd, IPPROTO_IP, IP_FREEBIND) != 0,
		.transparent = option(fd, IPPROTO_IP, IP_TRANSPARENT) != 0,
		.keepalive = option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0,
		.listens = option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 0,
		.nodelay = tcp && option(fd, IPPROTO_TCP, TCP_NODELAY) != 0,
		.defer_accept_s = tcp ? option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) : 0,
		.fastopen = tcp ? option(fd, IPPROTO_TCP, TCP_FASTOPEN) : 0,
		.range_low = range & UINT16_MAX,
		.range_high = range >> 16,
	};
}

static int as_error(int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return -EPERM;
	case ENOSYS:
		return -ENOSYS;
	default:
		return -ESRCH;
	}
}

int host_flags_read(int32_t pid, int fd, uint64_t inode, struct host_flags *ret)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0), copy, r;
	struct stat st;

	if (process < 0)
		return as_error(errno);
	copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	r = copy < 0 ? as_error(errno) : 0;
	close(process);
	if (r < 0)
		return r;
	if (fstat(copy, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_ino != inode)
		r = -ESRCH;
	else
		read_options(copy, ret);
	close(copy);
	return r;
}
