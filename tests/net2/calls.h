/* tests/net2/calls.h: socket calls made in one of three ways, so that one program tests them all.
 *
 *     (nothing)     libc's functions: meant for static programs, that no library can be loaded into
 *     RAW_SYSCALL   syscall(2)
 *     RAW_INLINE    the instruction itself, with garbage in the registers that the call does not use
 */
#ifndef BERTH_TESTS_NET2_CALLS_H
#define BERTH_TESTS_NET2_CALLS_H

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(RAW_SYSCALL)
#define CALL6(nr, a, b, c, d, e, f) syscall(nr, a, b, c, d, e, f)
#elif defined(RAW_INLINE)
static inline long call_inline(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	ret = x0;
#endif
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}
#define CALL6(nr, a, b, c, d, e, f) call_inline(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#endif

#ifdef CALL6
#define JUNK 0x5ca1ab1e5ca1ab1e
#define RAW(nr, a, b, c, d, e) CALL6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), JUNK)
#define x_socket(a, b, c) ((int)RAW(SYS_socket, a, b, c, JUNK, JUNK))
#define x_bind(a, b, c) ((int)RAW(SYS_bind, a, b, c, JUNK, JUNK))
#define x_listen(a, b) ((int)RAW(SYS_listen, a, b, JUNK, JUNK, JUNK))
#define x_connect(a, b, c) ((int)RAW(SYS_connect, a, b, c, JUNK, JUNK))
#define x_accept4(a, b, c, d) ((int)RAW(SYS_accept4, a, b, c, d, JUNK))
#define x_getsockname(a, b, c) ((int)RAW(SYS_getsockname, a, b, c, JUNK, JUNK))
#define x_getpeername(a, b, c) ((int)RAW(SYS_getpeername, a, b, c, JUNK, JUNK))
#define x_getsockopt(a, b, c, d, e) ((int)RAW(SYS_getsockopt, a, b, c, d, e))
#define x_setsockopt(a, b, c, d, e) ((int)RAW(SYS_setsockopt, a, b, c, d, e))
#define x_shutdown(a, b) ((int)RAW(SYS_shutdown, a, b, JUNK, JUNK, JUNK))
#define x_sendmsg(a, b, c) ((ssize_t)RAW(SYS_sendmsg, a, b, c, JUNK, JUNK))
#define x_recvmsg(a, b, c) ((ssize_t)RAW(SYS_recvmsg, a, b, c, JUNK, JUNK))
#define x_sendto(a, b, c, d, e, f) \
	((ssize_t)CALL6(SYS_sendto, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))
#define x_recvfrom(a, b, c, d, e, f) \
	((ssize_t)CALL6(SYS_recvfrom, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))
#else
#define x_socket socket
#define x_bind bind
#define x_listen listen
#define x_connect connect
#define x_accept4 accept4
#define x_getsockname getsockname
#define x_getpeername getpeername
#define x_getsockopt getsockopt
#define x_setsockopt setsockopt
#define x_shutdown shutdown
#define x_sendmsg sendmsg
#define x_recvmsg recvmsg
#define x_sendto sendto
#define x_recvfrom recvfrom
#endif

#endif
