/* src/shim/wait.c: poll and epoll_wait look a little before they sleep, as receives do (spin.c).
 *
 * A server that waits for its next request, and a client that waits for the answer in poll(), sleep and are
 * woken once for each; on two processors that is most of the time between them. Before such a call sleeps it
 * asks for some microseconds without waiting. What the program sees is what the kernel answered to the
 * same question, asked with a timeout of nothing; events are taken by that call as by any other. Where it does
 * not help, the process's next waits sleep at once, up to 1024 of them; where others want the processor they are short (crowd.c).
 *
 * Only in a process that had a connected stream of ours, only where no signal mask is given (a handler may be meant
 * to run in the call), and not in a sandbox of the program's own. For all others: one test, and libc's.
 */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "shim/deaf.h"
#include "shim/spin.h"
#include "shim/swap.h"

static struct spinner waits = SPINNER_INIT;

/* Of one that is shut for reading the kernel has to know, before it is asked. */
static void tell_polled(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; deaf_any() && i < n; i++)
		if (fds[i].events & (POLLIN | POLLRDNORM | POLLRDHUP))
			deaf_tell(fds[i].fd);
}

static bool may_look(bool waits_at_all)
{
	return __builtin_expect(atomic_load_explicit(&spin_streams, memory_order_relaxed), 0) && waits_at_all &&
	       !confined() && !spin_skips(&waits);
}

struct epoll_question {
	int fd, max;
	struct epoll_event *events;
};

static long ask_epoll(const void *what)
{
	const struct epoll_question *q = what;

	return sys_call(SYS_epoll_pwait, q->fd, (long)q->events, q->max, 0, 0);
}

struct poll_question {
	struct pollfd *fds;
	nfds_t n;
};

static long ask_poll(const void *what)
{
	const struct poll_question *q = what;
	struct timespec now = {0};

	return sys_call(SYS_ppoll, (long)q->fds, (long)q->n, (long)&now, 0, 0);
}

/* An error is asked for again, and is then the kernel's answer to the program; but a signal is gone. */
static bool answered(int *ret)
{
	if (*ret != -EINTR)
		return *ret > 0;
	*ret = -1;
	errno = EINTR;
	return true;
}

static bool epoll_looked(int fd, struct epoll_event *events, int max, bool waits_at_all, int *ret)
{
	struct epoll_question q = {fd, max, events};

	if (!may_look(waits_at_all))
		return false;
	*ret = (int)spin_look(&waits, 0, false, ask_epoll, &q);
	return answered(ret);
}

static bool poll_looked(struct pollfd *fds, nfds_t n, bool waits_at_all, int *ret)
{
	struct poll_question q = {fds, n};

	if (!may_look(waits_at_all))
		return false;
	*ret = (int)spin_look(&waits, 0, false, ask_poll, &q);
	return answered(ret);
}

/* Which numbers are epolls: swap.c asks. */
EXPORT(int, epoll_create1, (int flags))
{
	int fd = shim_next()->epoll_create1(flags);

	swap_mark_epoll(fd);
	return fd;
}

EXPORT(int, epoll_create, (int size))
{
	int fd = shim_next()->epoll_create(size);

	swap_mark_epoll(fd);
	return fd;
}

EXPORT(int, epoll_wait, (int fd, struct epoll_event *events, int max, int timeout_ms))
{
	int n;

	deaf_tell_all();
	if (epoll_looked(fd, events, max, timeout_ms != 0, &n))
		return n;
	return shim_next()->epoll_wait(fd, events, max, timeout_ms);
}

EXPORT(int, epoll_pwait, (int fd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask))
{
	int n;

	deaf_tell_all();
	if (!mask && epoll_looked(fd, events, max, timeout_ms != 0, &n))
		return n;
	return shim_next()->epoll_pwait(fd, events, max, timeout_ms, mask);
}

EXPORT(int, poll, (struct pollfd * fds, nfds_t n, int timeout_ms))
{
	int ready;

	tell_polled(fds, n);
	if (poll_looked(fds, n, timeout_ms != 0, &ready))
		return ready;
	return shim_next()->poll(fds, n, timeout_ms);
}

EXPORT(int, __poll, (struct pollfd * fds, nfds_t n, int timeout_ms))
{
	return shim_poll(fds, n, timeout_ms);
}

EXPORT(int, __poll_chk, (struct pollfd * fds, nfds_t n, int timeout_ms, size_t fds_octets))
{
	if (fds_octets / sizeof(*fds) < n)
		return shim_next()->__poll_chk(fds, n, timeout_ms, fds_octets);
	return shim_poll(fds, n, timeout_ms);
}

/* The others sleep at once: asked for shutdown(SHUT_RD) alone. */
EXPORT(int, ppoll, (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask))
{
	tell_polled(fds, n);
	return shim_next()->ppoll(fds, n, timeout, mask);
}

EXPORT(int, __ppoll_chk,
       (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t fds_octets))
{
	tell_polled(fds, fds_octets / sizeof(*fds) < n ? 0 : n);
	return shim_next()->__ppoll_chk(fds, n, timeout, mask, fds_octets);
}

EXPORT(int, epoll_pwait2,
       (int fd, struct epoll_event *events, int max, const struct timespec *timeout, const sigset_t *mask))
{
	deaf_tell_all();
	return shim_next()->epoll_pwait2(fd, events, max, timeout, mask);
}

EXPORT(int, select, (int n, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout))
{
	deaf_tell_all();
	return shim_next()->select(n, in, out, odd, timeout);
}

EXPORT(int, pselect,
       (int n, fd_set *in, fd_set *out, fd_set *odd, const struct timespec *timeout, const sigset_t *mask))
{
	deaf_tell_all();
	return shim_next()->pselect(n, in, out, odd, timeout, mask);
}
