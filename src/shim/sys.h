/* src/shim/sys.h: system calls made inline, for the calls the shim makes on its own behalf.
 *
 * libc is not asked for them: another preload library (or ours) may stand in front of its symbols, it
 * sets errno, and some are not there before its constructor ran. Each returns what the kernel returns,
 * a negative errno on failure; errno is left alone. They are safe in signal handlers and vfork children.
 */
#ifndef BERTH_SHIM_SYS_H
#define BERTH_SHIM_SYS_H

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/base.h"

#if defined(__x86_64__)
static inline long sys_call(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys_call(long nr, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
#else
#error "the shim knows the system calls of x86_64 and aarch64"
#endif

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

#endif
