/* src/shim/spin.c: a receive that would sleep looks a few times more before it does.
 *
 * A request and its answer between two programs on one machine take a few microseconds; putting a
 * processor to sleep and waking it takes ten times that, and on a virtual machine more. So a blocking
 * receive on a stream of ours asks again without waiting, for SPIN_LOOK_NS, and only then sleeps.
 * Where that does not pay it must cost nothing:
 *
 *     it helped      the next one looks, too
 *     it did not     the next 2, 4, 8 ... 1024 receives of this process sleep at once
 *
 * A look is longer than waking an idle processor takes (40 us on a virtual machine). Else two that answer each other and
 * have both begun to sleep would go on so: each one's looks would end before the other is awake.
 *
 * A peer that shares our processor cannot answer while we look; one that thinks for long will not. Both
 * are a failure each time, so they cost one look in a thousand receives. When the kernel takes the
 * processor from us in the middle, somebody else needs it: also a failure. A look that helped us may have hurt others
 * that had work for the processor: that is crowd.c's to find out, and then looks are short.
 *
 * No lock, no order between threads: the words of a spinner are hints. Waits in poll and epoll: wait.c. Signals wait while
 * we look; one with a handler that came then ends the call with EINTR, as it would have ended the sleep. Only receives that ask for nothing special come
 * here (spin_may()); descriptors that were never a stream of ours pay one bit test, and one that turns out
 * not to wait is forgotten.
 */
#include <signal.h>

#include "shim/crowd.h"
#include "shim/spin.h"

#define SKIP_MAX 1024u
#define PREEMPTED_NS 15000u /* between two looks that take half a microsecond */

_Atomic uint64_t spin_words[SPIN_FDS_MAX / 64];
_Atomic bool spin_streams;
static struct spinner receives = SPINNER_INIT;

void spin_mark(int fd)
{
	atomic_store_explicit(&spin_streams, true, memory_order_relaxed);
	if (fd >= 0 && fd < SPIN_FDS_MAX)
		atomic_fetch_or_explicit(&spin_words[fd / 64], UINT64_C(1) << (fd % 64), memory_order_relaxed);
}

/* It does not wait, or the number is another descriptor's by now: nothing to gain here. */
static void unmark(int fd)
{
	atomic_fetch_and_explicit(&spin_words[fd / 64], ~(UINT64_C(1) << (fd % 64)), memory_order_relaxed);
}

void spin_forget(int fd)
{
	if (fd >= 0 && fd < SPIN_FDS_MAX)
		unmark(fd);
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause");
#else
	__asm__ volatile("yield");
#endif
}

static void failed(struct spinner *s)
{
	uint32_t b = atomic_load_explicit(&s->backoff, memory_order_relaxed);

	b = b * 2 < SKIP_MAX ? b * 2 : SKIP_MAX;
	atomic_store_explicit(&s->backoff, b, memory_order_relaxed);
	atomic_store_explicit(&s->skip, b, memory_order_relaxed);
}

static void helped(struct spinner *s)
{
	atomic_store_explicit(&s->backoff, 1, memory_order_relaxed);
}

bool spin_skips(struct spinner *s)
{
	uint32_t left = atomic_load_explicit(&s->skip, memory_order_relaxed);

	if (left)
		atomic_store_explicit(&s->skip, left - 1, memory_order_relaxed);
	return left != 0;
}

uint32_t spin_limit_ns(struct spinner *s)
{
	if (spin_skips(s))
		return 0;
	return crowd_limit(SPIN_LOOK_NS);
}

void spin_learn(struct spinner *s, bool found)
{
	if (found)
		helped(s);
	else
		failed(s);
}

/* 32 and 33 are libc's own. */
int spin_interrupted(uint64_t before)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} act;
	uint64_t pending = 0;
	int ret = 0;

	if (sys_call(SYS_rt_sigpending, (long)&pending, sizeof(pending), 0, 0, 0) < 0)
		return 0;
	pending &= ~before & ~(UINT64_C(3) << 31);
	for (int sig = 1; sig <= 64 && pending; sig++) {
		if (!(pending >> (sig - 1) & 1))
			continue;
		pending &= ~(UINT64_C(1) << (sig - 1));
		if (sys_call(SYS_rt_sigaction, sig, 0, (long)&act, sizeof(uint64_t), 0) < 0 || act.handler == SIG_DFL ||
		    act.handler == SIG_IGN)
			continue;
		if (!(act.flags & SA_RESTART))
			return -EINTR;
		ret = 1;
	}
	return ret;
}

long spin_look(struct spinner *s, long nothing, bool restarts, long (*ask)(const void *what), const void *what)
{
	uint32_t limit;
	uint64_t all = UINT64_MAX, before = 0, start, last;
	long n;
	int r = 0;

	/* A handler that ran while we look would not end the sleep that follows, as it would have done. */
	sys_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&before, sizeof(all), 0);
	limit = crowd_limit(SPIN_LOOK_NS);
	start = last = crowd_clock_ns();
	for (;;) {
		uint64_t now;

		n = ask(what);
		if (n != nothing) {
			helped(s);
			break;
		}
		now = crowd_clock_ns();
		if (now - start > limit || now - last > PREEMPTED_NS) {
			failed(s);
			r = spin_interrupted(before);
			break;
		}
		last = now;
		relax();
	}
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before), 0);
	return r < 0 || (r && !restarts) ? -EINTR : n;
}

struct receive {
	int fd, flags;
	void *buf;
	size_t len;
};

static long receive_now(const void *what)
{
	const struct receive *r = what;

	return sys_call(SYS_recvfrom, r->fd, (long)r->buf, (long)r->len, r->flags | MSG_DONTWAIT, 0);
}

/* Nothing is there now. Does the descriptor wait, and is it a stream of ours? */
static bool waits(int fd)
{
	struct tag t;

	if (!sock_nonblocking(fd) && tag_get(fd, &t) == 0 && !(t.flags & TAG_UDP))
		return true;
	unmark(fd);
	return false;
}

/* After a receive that said EAGAIN. Return: true, *n and errno are the answer; false, sleep. */
static bool looked(int fd, void *buf, size_t len, int flags, int saved, ssize_t *n)
{
	if (!waits(fd)) {
		bool answer = sock_nonblocking(fd);

		errno = answer ? EAGAIN : saved;
		return answer;
	}
	*n = spin_look(&receives, -EAGAIN, true, receive_now, &(struct receive){fd, flags, buf, len});
	errno = saved;
	if (*n == -EAGAIN)
		return false;
	if (*n < 0) {
		errno = (int)-*n;
		*n = -1;
	}
	return true;
}

ssize_t spin_recv(int fd, void *buf, size_t len, int flags)
{
	int saved = errno;
	ssize_t n;

	if (spin_skips(&receives))
		return shim_next()->recv(fd, buf, len, flags);
	n = shim_next()->recv(fd, buf, len, flags | MSG_DONTWAIT);
	if ((n < 0 && errno == EAGAIN) ? looked(fd, buf, len, flags, saved, &n) : true)
		return n;
	return shim_next()->recv(fd, buf, len, flags);
}

ssize_t spin_read(int fd, void *buf, size_t len)
{
	int saved = errno;
	ssize_t n;

	if (!len || spin_skips(&receives))
		return shim_next()->read(fd, buf, len);
	n = shim_next()->recv(fd, buf, len, MSG_DONTWAIT);
	if (n >= 0 || (errno != EAGAIN && errno != ENOTSOCK))
		return n; /* an error that was told is gone: a read(2) would not say it again */
	if (errno == EAGAIN && looked(fd, buf, len, 0, saved, &n))
		return n;
	if (errno == ENOTSOCK)
		unmark(fd);
	errno = saved;
	return shim_next()->read(fd, buf, len); /* the kernel's own answer to read(2) */
}
