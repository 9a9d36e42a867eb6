/* src/shim/confine.c: a program that puts itself into a sandbox.
 *
 * Browsers, sshd, vsftpd and others install a seccomp filter of their own and are killed by it for a system
 * call that they would not make. From then on we make none on the data path that the program did not ask for:
 * no look at a descriptor's tag, no look around before sleeping. What is lost is small: a stream
 * that came with a message after the filter did answers as AF_UNIX does in the corners that data.c mends, and
 * a UDP socket that came so is not known to be one.
 *
 * Calls that name or change a socket (getsockname, setsockopt...) still ask for the tag: they need it, and a
 * filter that lets them through lets getsockopt through as a rule.
 *
 * There are two ways to install a filter, prctl(2) and seccomp(2), and the second has no function in libc: it
 * goes through syscall(3) (syscall.c). One made inline is not seen. A forked child inherits the knowledge with the memory.
 */
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "shim/shim.h"

_Atomic bool confine_filter;

static long answer(long r)
{
	if (r < 0 && r >= -4095) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

EXPORT(int, prctl, (int option, ...))
{
	unsigned long a[4];
	va_list ap;
	long r;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	r = raw_call(SYS_prctl, option, (long)a[0], (long)a[1], (long)a[2], (long)a[3], 0);
	if (option == PR_SET_SECCOMP && r == 0)
		atomic_store_explicit(&confine_filter, true, memory_order_relaxed);
	return (int)answer(r);
}

long confine_syscall(long nr, long a, long b, long c, long d, long e)
{
	long r = raw_call(nr, a, b, c, d, e, 0);

	if (r >= 0 && ((nr == SYS_seccomp && (a == SECCOMP_SET_MODE_FILTER || a == SECCOMP_SET_MODE_STRICT)) ||
		       (nr == SYS_prctl && a == PR_SET_SECCOMP)))
		atomic_store_explicit(&confine_filter, true, memory_order_relaxed);
	return r;
}
