/* src/network/lock.c: one lock per host, that no death and no signal can lose (SETTLED 5).
 *
 * The word is our own: pthread mutexes have a layout per libc. Its low half is the owner's tid and a
 * bit that says somebody sleeps; its high half is the owner's pid namespace, because a tid means nothing
 * in another. 0: free.
 *
 *     take: CAS 0 -> me.  give: CAS me -> 0, and wake one if the bit was set.
 *     busy: spin a little, set the bit, sleep on the low half for 20 ms, 40 ms...; after each sleep ask
 *           whether the owner still lives, and if not CAS its word -> mine: what it guards is suspect.
 *
 * since_ns tells a reused tid apart: a task that began after the lock was taken did not take it. It is
 * written after the CAS and cleared before the release, and while it is 0 a task of that tid counts as
 * the owner.
 *
 * Always true
 *   L1  all signals are blocked from before the CAS to after the release, so a handler never finds its
 *       own thread's lock taken;
 *   L2  a wake-up may be lost with a killed waiter; sleeps are bounded, so that costs time only.
 *
 * A child of vfork() takes it in its parent's name, who does nothing meanwhile.
 *
 * Cost: uncontended, three small system calls, no more than 0.4 us.
 */
#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#include "network/internal.h"

#define WAITERS UINT64_C(0x80000000)
#define OWNER(w) ((w) & ~WAITERS)
#define SPINS 200
#define WAIT_MAX_NS UINT64_C(5000000000)
#define TURNS_MAX_NS UINT64_C(60000000000)
#define FOREIGN_STEAL_NS UINT64_C(30000000000) /* nothing is held so long; its namespace cannot be asked */
#define TID_MAX (1u << 22)		       /* Linux's own limit */
#define NS_INODE_MIN 0xeffffff0u /* the first namespaces have fixed numbers from here, later ones follow */
#define NS_UNKNOWN 1u		 /* no /proc to ask */

uint64_t boot_ns(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t network_now_us(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

/* Which pid namespace this task is in. Remembered by tid: a child in a new namespace has another. */
static uint32_t pidns_of(uint32_t tid)
{
	static _Atomic uint64_t seen[64];
	static _Atomic uint32_t last;
	uint64_t v = atomic_load_explicit(&seen[tid % COUNT_OF(seen)], memory_order_relaxed);
	struct stat st;
	int keep = errno;

	if (v >> 32 == tid)
		return (uint32_t)v;
	if (stat("/proc/thread-self/ns/pid", &st) == 0 || stat("/proc/self/ns/pid", &st) == 0)
		atomic_store(&last, (uint32_t)st.st_ino);
	errno = keep;
	v = atomic_load(&last); /* no /proc (chroot): what it was before */
	if (v == 0)
		v = NS_UNKNOWN;
	atomic_store(&seen[tid % COUNT_OF(seen)], (uint64_t)tid << 32 | v);
	return (uint32_t)v;
}

uint32_t lock_pidns(void)
{
	return pidns_of((uint32_t)raw_gettid());
}

/* A word that is zero again in a child of fork(), so that what a thread remembers of itself is known to be its
 * parent's: the life's number, which no other process of the line has. NULL: nothing is remembered. */
static _Atomic uint64_t *life(void)
{
	static _Atomic(_Atomic uint64_t *) word;
	static _Atomic bool without;
	_Atomic uint64_t *p = atomic_load_explicit(&word, memory_order_acquire), *none = NULL;
	uint64_t unborn = 0;

	if (!p && !atomic_load_explicit(&without, memory_order_relaxed)) {
		p = raw_mmap(PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (p && raw_call(SYS_madvise, (long)p, PAGE_BYTES, MADV_WIPEONFORK, 0, 0, 0) < 0) {
			raw_munmap(p, PAGE_BYTES);
			p = NULL;
		}
		atomic_store(&without, p == NULL);
		if (p && !atomic_compare_exchange_strong(&word, &none, p)) {
			raw_munmap(p, PAGE_BYTES);
			p = none;
		}
	}
	if (p && atomic_load_explicit(p, memory_order_relaxed) == 0)
		(void)atomic_compare_exchange_strong(p, &unborn, boot_ns());
	return p;
}

uint64_t lock_me(void)
{
	static __thread __attribute__((tls_model("initial-exec"))) uint64_t me, my_life;
	_Atomic uint64_t *p = life();
	uint64_t now = p ? atomic_load_explicit(p, memory_order_relaxed) : 0;
	uint32_t tid;

	if (now && my_life == now)
		return me;
	tid = (uint32_t)raw_gettid();
	me = (uint64_t)pidns_of(tid) << 32 | tid;
	atomic_signal_fence(memory_order_seq_cst); /* a signal handler finds both or neither */
	my_life = now;
	return me;
}

/* The state letter and start time out of /proc/TID/stat. Return: 0; -ENOENT, no such task; others. */
static int task_stat(int32_t tid, char *ret_state, uint64_t *ret_start_ticks)
{
	char path[48], buf[512];
	struct text t = text_on(path, sizeof(path));
	const char *p = NULL;
	long n;
	int fd;

	text_str(&t, "/proc/");
	text_u64(&t, (uint32_t)tid);
	text_str(&t, "/stat");
	fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = raw_pread(fd, buf, sizeof(buf) - 1, 0);
	raw_close(fd);
	if (n <= 0)
		return n < 0 ? (int)n : -EIO;
	buf[n] = '\0';
	for (long i = 0; i < n; i++) /* the command may contain ')' : the last one counts */
		if (buf[i] == ')')
			p = buf + i;
	if (!p || p[1] != ' ')
		return -EIO;
	*ret_state = p[2];
	p += 3;
	for (unsigned field = 4; field <= 22; field++) {
		if (!text_take_char(&p, ' '))
			return -EIO;
		if (field == 22)
			return text_take_u64(&p, 10, ret_start_ticks) ? 0 : -EIO;
		while (*p && *p != ' ')
			p++;
	}
	return -EIO;
}

bool task_is_gone(int32_t tid, uint64_t since_ns)
{
	uint64_t start_ticks;
	char state;
	int r;

	if (tid <= 0 || raw_call(SYS_tkill, tid, 0, 0, 0, 0, 0) == -ESRCH)
		return true;
	r = task_stat(tid, &state, &start_ticks);
	if (r < 0)
		return r == -ESRCH;
	if (state == 'Z' || state == 'X' || state == 'x')
		return true;
	/* Ticks are 10 ms (USER_HZ is 100 on every Linux); one tick of slack for their rounding. */
	return since_ns != 0 && start_ticks > 1 && start_ticks * 10000000u > since_ns + 20000000u;
}

/* Take the word from whoever is gone. since_ns goes first: were it left standing, then until we write ours the
 * word would be ours and the time the dead one's, and a third would take us, the younger task, for one with
 * a reused tid. Whoever finds since_ns changed meanwhile was not the first to steal. */
static bool steal(struct map_lock *l, uint64_t w, uint64_t since_ns, uint64_t mine)
{
	return atomic_compare_exchange_strong(&l->since_ns, &since_ns, 0) &&
	       atomic_compare_exchange_strong(&l->word, &w, mine);
}

/* Nothing we ever write: octets somebody scribbled. */
static bool is_garbled(uint64_t word)
{
	uint32_t tid = (uint32_t)OWNER(word), ns = (uint32_t)(word >> 32);

	return tid == 0 || tid > TID_MAX || (ns < NS_INODE_MIN && ns != NS_UNKNOWN);
}

/* A time to come is garbage, too, or an owner's in another time namespace: not to be judged before he had time to end. */
static bool is_garbage(uint64_t word, uint64_t since_ns)
{
	return is_garbled(word) || since_ns > boot_ns();
}

static bool owner_is_gone(uint64_t word, uint64_t since_ns, uint32_t my_ns, bool waited_long)
{
	if (is_garbage(word, since_ns))
		return true;
	if ((uint32_t)(word >> 32) != my_ns) /* since_ns is 0 for an instant only */
		return since_ns == 0 ? waited_long : boot_ns() - since_ns > FOREIGN_STEAL_NS;
	return task_is_gone((int32_t)(OWNER(word) & 0x7fffffff), since_ns);
}

static uint32_t *futex_half(struct map_lock *l)
{
	return (uint32_t *)(void *)&l->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

int map_lock_take(struct map_lock *l, uint64_t me, int32_t *reterr_pid)
{
	uint32_t my_ns = (uint32_t)(me >> 32);
	uint64_t w = 0, mine = me;
	uint64_t deadline = 0, give_up = 0, waited_for = 0, sleep_ns = 20000000;
	bool suspect = false;

	for (unsigned spin = 0;; spin++) {
		w = atomic_load_explicit(&l->word, memory_order_relaxed);
		if (w == 0) {
			if (atomic_compare_exchange_weak(&l->word, &w, mine))
				break;
			continue;
		}
		if (spin < SPINS) {
#if defined(__x86_64__)
			__builtin_ia32_pause();
#endif
			continue;
		}
		if (OWNER(w) == me || is_garbled(w)) {
			/* Ours while our signals are blocked, or nobody's: octets somebody scribbled. */
			if (steal(l, w, atomic_load(&l->since_ns), mine)) {
				suspect = true;
				break;
			}
			continue;
		}
		if (deadline == 0 || OWNER(w) != waited_for) { /* one owner may keep us so long; several take turns */
			waited_for = OWNER(w);
			deadline = boot_ns() + WAIT_MAX_NS;
			if (give_up == 0)
				give_up = boot_ns() + TURNS_MAX_NS;
		}
		if (!(w & WAITERS) && !atomic_compare_exchange_strong(&l->word, &w, w | WAITERS))
			continue;
		w |= WAITERS;
		mine = me | WAITERS; /* others may sleep too; whoever slept takes it with the bit */
		struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)sleep_ns};
		long r = raw_call(SYS_futex, (long)futex_half(l), FUTEX_WAIT, (long)(uint32_t)w, (long)&ts, 0, 0);

		if (r == -EFAULT)
			return -EUCLEAN; /* the file was cut short under us */
		if (r != -ETIMEDOUT)
			continue;
		if (atomic_load(&l->word) != w)
			continue;
		uint64_t since = atomic_load(&l->since_ns);

		if (owner_is_gone(w, since, my_ns, sleep_ns >= 160000000)) {
			if (steal(l, w, since, mine)) {
				suspect = true;
				break;
			}
			continue;
		}
		if (boot_ns() >= deadline || boot_ns() >= give_up) {
			if (reterr_pid)
				*reterr_pid = (int32_t)(OWNER(w) & 0x7fffffff);
			return -ETIMEDOUT;
		}
		if (sleep_ns < 160000000)
			sleep_ns *= 2;
	}
	atomic_store_explicit(&l->since_ns, boot_ns(), memory_order_relaxed);
	return suspect;
}

void map_lock_give(struct map_lock *l, uint64_t me)
{
	uint64_t w = atomic_load_explicit(&l->word, memory_order_relaxed);

	if (OWNER(w) != me)
		return; /* taken over from us, or scribbled: not ours to give */
	atomic_store_explicit(&l->since_ns, 0, memory_order_relaxed);
	while (OWNER(w) == me)
		if (atomic_compare_exchange_weak(&l->word, &w, 0))
			break;
	if (w & WAITERS)
		(void)raw_call(SYS_futex, (long)futex_half(l), FUTEX_WAKE, 1, 0, 0, 0);
}

int network_lock(struct network *n, uint32_t host, struct network_lock *ret)
{
	uint64_t sigmask = raw_sigmask_block_all(), me = lock_me();
	struct map_host *h;
	int32_t pid = 0;
	int r;

	for (int attempt = 0; attempt < 3; attempt++) {
		r = -EUCLEAN;
		h = map_host(n, host); /* makes the file whole first if it must */
		if (!h)
			break;
		r = map_lock_take(&h->lock, me, &pid);
		if (r == -EUCLEAN)
			continue;
		if (r < 0)
			break;
		*ret = (struct network_lock){.sigmask = sigmask, .word = &h->lock, .me = me};
		int dead_owner = r;

		if (dead_owner)
			TRACE(lock_steal, host);

		r = host_attach(n, host, ret);
		if (r == 0 && dead_owner && !port_table_check(&ret->table))
			r = host_mend(n, host, ret, false);
		if (r == 0)
			return 0;
		map_lock_give(&h->lock, me);
		if (r != -EUCLEAN)
			break;
	}
	raw_sigmask_restore(sigmask);
	ret->blocker_pid = pid;
	ret->word = NULL;
	return r;
}

void network_unlock(struct network_lock *l)
{
	map_lock_give(l->word, l->me);
	raw_sigmask_restore(l->sigmask);
}
