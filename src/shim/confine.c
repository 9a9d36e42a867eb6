/* src/shim/confine.c: a program that puts itself into a sandbox.
 *
 * Browsers, sshd, vsftpd and others install a seccomp filter of their own and are killed by it for a system
 * call that they would not make. From then on we make none on the data path that the program did not ask for:
 * no look at a descriptor's tag, no look around before sleeping. What is lost is small: a stream
 * that came with a message after the filter did answers as AF_UNIX does in the corners that data.c mends, and
 * a UDP socket that came so is not known to be one.
 *
 * A UDP socket of before goes on: its mailbox would take calls that no such filter lists (a lock's gettid, opening a
 * file), so the program's own call is made, without the value that passes the second net, and that does it.
 *
 * Calls that name or change a socket (getsockname, setsockopt...) are the second net's from then on: they are made as
 * the program makes them, so whatever its filter lets through is let through. Where there is no second net they still
 * ask for the tag, and may be killed for it; but for shutdown(), which many such filters list alone: it is made as it is.
 *
 * There are two ways to install a filter, prctl(2) and seccomp(2), and the second has no function in libc: it
 * goes through syscall(3) (syscall.c). One made inline is not seen. A forked child inherits the knowledge with the memory.
 */
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "network/ask.h"
#include "shim/shim.h"

_Atomic bool confine_filter, confine_served;

static bool installs(long nr, long a)
{
	if (nr == SYS_seccomp)
		return a == SECCOMP_SET_MODE_FILTER || a == SECCOMP_SET_MODE_STRICT;
	return nr == SYS_prctl && a == PR_SET_SECCOMP;
}

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
	r = confine_syscall(SYS_prctl, option, (long)a[0], (long)a[1], (long)a[2], (long)a[3]);
	return (int)answer(r);
}

long confine_syscall(long nr, long a, long b, long c, long d, long e)
{
	bool served = installs(nr, a) && shim_get() && ask(ASK_HELLO, NULL, 0) == 0; /* asked while it may be */
	long r = raw_call(nr, a, b, c, d, e, 0);

	if (r >= 0 && installs(nr, a)) {
		atomic_store_explicit(&confine_filter, true, memory_order_relaxed);
		atomic_store_explicit(&confine_served, served, memory_order_relaxed);
	}
	return r;
}
