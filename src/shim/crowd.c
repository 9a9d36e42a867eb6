/* src/shim/crowd.c: a look before a sleep is free only while nobody else wants the processor.
 *
 * Ten servers on one processor each get their next request some 20 us after the last answer, if they look for it.
 * So every look of spin.c helps, by its own measure, and all of them together are slow: for those 20 us the nine others, who
 * have work, wait. Who looks cannot see that. Who was made to wait can: the kernel counts for each thread how long
 * it ran and how long it wanted to run and another did (/proc/thread-self/schedstat). Since those who look and those who
 * wait are the same threads by turns, each needs to mind its own two numbers only:
 *
 *     window      some milliseconds; at its end the kernel is asked, three system calls of 5 us together
 *     crowded     it waited more than a quarter of what it ran, and more than a 32nd of the window:
 *                 only short looks for 4 ms, then a window with long ones again; the pause after each
 *                 crowded window in a row is four times as long, up to a second. So a crowd that lasts pays for one window in a hundred
 *     not         long looks go on, and the pause begins at 4 ms again
 *
 * A look of CROWD_LOOK_NS is always allowed: to sleep and be woken takes as much of the processor, so that nobody loses.
 * Two programs that answer each other in two microseconds keep their speed beside a compiler, and it gets no less
 * than before. Where the answer takes longer such looks fail, and spin.c makes fewer and fewer of them.
 *
 * A short first pause matters where two programs that talk to each other happen to be on one processor while another is
 * idle: as soon as one of them sleeps, the kernel wakes it on the idle one, and looking pays again.
 *
 * Not sched_yield(), which tells at once whether somebody waits: since Linux 6.18 it gives up a whole turn, and beside a compiler
 * one call took 69 ms. Not a count of who looks: it knows nothing of programs that are not ours.
 *
 * No lock, no order: a thread finds its numbers by its own name among 64 places. Two that share one pause together, and
 * judge in turns; what a race garbles is a window's verdict. After fork() a child has its parent's for one window. Where
 * the kernel does not tell it is never crowded, and spin.c's own backing off is all there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "shim/crowd.h"
#include "shim/sys.h"

#define PLACES 64

/* What threads know. Not thread-local memory: a preloaded library has none that is sure to be there. */
static struct place {
	_Atomic uintptr_t owner; /* whose counters they are */
	_Atomic uint64_t began_ns, ran_ns, waited_ns, until_ns, shut_ns;
} places[PLACES];

static struct place *place_of(uintptr_t thread)
{
	return &places[(thread * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
}

/* A number and what ends it. */
static bool take_number(const char *text, size_t len, size_t *at, char end, uint64_t *ret)
{
	size_t begin = *at;
	uint64_t v = 0;

	for (; *at < len && text[*at] >= '0' && text[*at] <= '9'; ++*at)
		v = v * 10 + (uint64_t)(text[*at] - '0');
	*ret = v;
	return *at > begin && *at < len && text[(*at)++] == end;
}

bool crowd_parse(const char *text, size_t len, uint64_t *ret_ran_ns, uint64_t *ret_waited_ns)
{
	uint64_t ran, waited, times;
	size_t at = 0;

	if (!take_number(text, len, &at, ' ', &ran) || !take_number(text, len, &at, ' ', &waited) ||
	    !take_number(text, len, &at, '\n', &times) || !times)
		return false; /* a kernel that does not count says 0 0 0; one that does may say 0 at first, of who runs now */
	*ret_ran_ns = ran;
	*ret_waited_ns = waited;
	return true;
}

/* The last window was too long ago, or another thread's. */
static bool usable(const struct crowd *c, uint64_t now_ns, uint64_t ran_ns, uint64_t waited_ns)
{
	return c->began_ns && now_ns - c->began_ns < CROWD_OLD_NS && ran_ns >= c->ran_ns && waited_ns >= c->waited_ns;
}

void crowd_judge(struct crowd *c, uint64_t now_ns, uint64_t ran_ns, uint64_t waited_ns)
{
	uint64_t window = now_ns - c->began_ns, ran = ran_ns - c->ran_ns, waited = waited_ns - c->waited_ns;
	bool known = usable(c, now_ns, ran_ns, waited_ns);

	c->began_ns = now_ns;
	c->ran_ns = ran_ns;
	c->waited_ns = waited_ns;
	if (!known)
		return;
	if (waited <= ran / 4 || waited <= window / 32) {
		c->shut_ns = 0;
		return;
	}
	c->shut_ns = c->shut_ns ? c->shut_ns * 4 : CROWD_SHUT_MIN_NS;
	if (c->shut_ns > CROWD_SHUT_MAX_NS)
		c->shut_ns = CROWD_SHUT_MAX_NS;
	c->until_ns = now_ns + c->shut_ns;
	c->began_ns = 0; /* the next window has looks in it */
}

bool crowd_open(const struct crowd *c, uint64_t now_ns)
{
	return now_ns >= c->until_ns;
}

/* Nobody tells: a kernel that does not count, no /proc, a profile that forbids it and logs each try. Not for want of a
 * descriptor, which passes. */
static _Atomic bool mute;

/* A handler that jumps out must not leave the descriptor behind. */
static long read_file(char *text, size_t len)
{
	static const char path[] = "/proc/thread-self/schedstat";
	uint64_t all = UINT64_MAX, before = 0;
	long n, fd;

	sys_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&before, sizeof(all), 0);
	n = fd = sys_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
	if (fd >= 0) {
		n = sys_call(SYS_read, fd, (long)text, (long)len, 0, 0);
		sys_close((int)fd);
	}
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before), 0);
	return n;
}

static bool read_counters(uint64_t *ret_ran_ns, uint64_t *ret_waited_ns)
{
	char text[96];
	long n = read_file(text, sizeof(text));
	bool ok = n > 0 && crowd_parse(text, (size_t)n, ret_ran_ns, ret_waited_ns);

	if (!ok && n != -EMFILE && n != -ENFILE && n != -ENOMEM)
		atomic_store_explicit(&mute, true, memory_order_relaxed);
	return ok;
}

/* The thread's counters, read at now_ns, into the place; another's are replaced by them. */
static void note(struct place *p, uintptr_t me, uint64_t now_ns, uint64_t ran_ns, uint64_t waited_ns)
{
	struct crowd c = {0};

	if (atomic_exchange_explicit(&p->owner, me, memory_order_relaxed) == me)
		c = (struct crowd){.began_ns = atomic_load_explicit(&p->began_ns, memory_order_relaxed),
				   .ran_ns = atomic_load_explicit(&p->ran_ns, memory_order_relaxed),
				   .waited_ns = atomic_load_explicit(&p->waited_ns, memory_order_relaxed),
				   .shut_ns = atomic_load_explicit(&p->shut_ns, memory_order_relaxed)};
	crowd_judge(&c, now_ns, ran_ns, waited_ns);
	atomic_store_explicit(&p->began_ns, c.began_ns, memory_order_relaxed);
	atomic_store_explicit(&p->ran_ns, c.ran_ns, memory_order_relaxed);
	atomic_store_explicit(&p->waited_ns, c.waited_ns, memory_order_relaxed);
	atomic_store_explicit(&p->shut_ns, c.shut_ns, memory_order_relaxed);
	if (c.until_ns)
		atomic_store_explicit(&p->until_ns, c.until_ns, memory_order_relaxed);
}

static void ask(struct place *p, uintptr_t me, uint64_t now_ns)
{
	uint64_t ran_ns, waited_ns;

	if (read_counters(&ran_ns, &waited_ns))
		note(p, me, now_ns, ran_ns, waited_ns);
	else
		atomic_store_explicit(&p->began_ns, now_ns, memory_order_relaxed); /* not to be asked at each look */
}

uint32_t crowd_limit(uint32_t want_ns)
{
	uintptr_t me = (uintptr_t)pthread_self();
	struct place *p = place_of(me);
	uint64_t now_ns, began_ns;

	if (atomic_load_explicit(&mute, memory_order_relaxed))
		return want_ns;
	now_ns = crowd_clock_ns();
	if (now_ns >= atomic_load_explicit(&p->until_ns, memory_order_relaxed)) {
		began_ns = atomic_load_explicit(&p->began_ns, memory_order_relaxed);
		if (!began_ns || now_ns - began_ns >= CROWD_WINDOW_NS)
			ask(p, me, now_ns);
	}
	if (now_ns < atomic_load_explicit(&p->until_ns, memory_order_relaxed) && want_ns > CROWD_LOOK_NS)
		return CROWD_LOOK_NS;
	return want_ns;
}
