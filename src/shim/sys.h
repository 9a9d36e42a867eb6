/* src/shim/sys.h: system calls made inline, for the calls the shim makes on its own behalf.
 *
 * libc is not asked for them: another preload library (or ours) may stand in front of its symbols, it
 * sets errno, and some are not there before its constructor ran. Each returns what the kernel returns,
 * a negative errno on failure; errno is left alone. They are safe in signal handlers and vfork children.
 *
 * Calls that may wait are made by sys_wait(), which is a cancellation point as libc's are.
 */
#ifndef BERTH_SHIM_SYS_H
#define BERTH_SHIM_SYS_H

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/base.h"
#include "network/raw.h"

/* At most five arguments: the sixth register says to the second net that the call is ours. */
static inline long sys_call(long nr, long a, long b, long c, long d, long e)
{
	return raw_pass(nr, a, b, c, d, e);
}

static inline int sys_socket(int domain, int type, int protocol)
{
	return (int)sys_call(SYS_socket, domain, type, protocol, 0, 0);
}

static inline int sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len_bytes)
{
	return (int)sys_call(SYS_getsockopt, fd, level, name, (long)val, (long)len_bytes);
}

static inline int sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len_bytes)
{
	return (int)sys_call(SYS_setsockopt, fd, level, name, (long)val, (long)len_bytes);
}

static inline int sys_getsockname(int fd, void *addr, socklen_t *len_bytes)
{
	return (int)sys_call(SYS_getsockname, fd, (long)addr, (long)len_bytes, 0, 0);
}

static inline int sys_getpeername(int fd, void *addr, socklen_t *len_bytes)
{
	return (int)sys_call(SYS_getpeername, fd, (long)addr, (long)len_bytes, 0, 0);
}

static inline int sys_bind(int fd, const void *addr, socklen_t len_bytes)
{
	return (int)sys_call(SYS_bind, fd, (long)addr, (long)len_bytes, 0, 0);
}

static inline int sys_listen(int fd, int backlog)
{
	return (int)sys_call(SYS_listen, fd, backlog, 0, 0, 0);
}

static inline int sys_shutdown(int fd, int how)
{
	return (int)sys_call(SYS_shutdown, fd, how, 0, 0, 0);
}

static inline int sys_fcntl(int fd, int cmd, long arg)
{
	return (int)sys_call(SYS_fcntl, fd, cmd, arg, 0, 0);
}

static inline int sys_dup3(int from, int to, int flags)
{
	return (int)sys_call(SYS_dup3, from, to, flags, 0, 0);
}

static inline int sys_close(int fd)
{
	return (int)sys_call(SYS_close, fd, 0, 0, 0, 0);
}

/* A call that may block. While it does, the thread can be cancelled if the program allows that, in the way libc
 * does it: asynchronously for the length of the call. */
static inline long sys_wait(long nr, long a, long b, long c, long d, long e)
{
	int before;
	long r;

	(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
	r = sys_call(nr, a, b, c, d, e);
	(void)pthread_setcanceltype(before, NULL);
	return r;
}

static inline int sys_accept4(int fd, void *addr, socklen_t *len_bytes, int flags)
{
	return (int)sys_wait(SYS_accept4, fd, (long)addr, (long)len_bytes, flags, 0);
}

static inline int sys_connect(int fd, const void *addr, socklen_t len_bytes)
{
	return (int)sys_wait(SYS_connect, fd, (long)addr, (long)len_bytes, 0, 0);
}

static inline long sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
	return sys_wait(SYS_sendmsg, fd, (long)m, flags, 0, 0);
}

static inline long sys_recvmsg(int fd, struct msghdr *m, int flags)
{
	return sys_wait(SYS_recvmsg, fd, (long)m, flags, 0, 0);
}

#endif
