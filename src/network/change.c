/* src/network/change.c: a word that changes when somebody begins, or ceases, to be reachable.
 *
 * A futex word in the file's header, one for the whole network. Whoever begins to listen, binds a UDP socket, makes a
 * host, gives such a claim back or buries one counts it up; who waits for a port sleeps on it and looks again.
 *
 *     bit 0        somebody sleeps, or is about to
 *     bits 1-31    the count
 *
 * Count and bit are one word, so that no wake-up is lost between them: a sleeper sets the bit by a CAS from the very
 * count it has seen and sleeps on what it wrote; who counts up clears the bit in the same CAS, and wakes all if it was set.
 * A bit and not a number of waiters: one that was killed costs one wake-up for nobody, and then is forgotten.
 *
 * Always true
 *   G1  a change costs those who make it one atomic operation, and a system call only if somebody sleeps;
 *   G2  no sleep is longer than CHANGE_SLEEP_MAX_MS: the word is the world's, and octets somebody scribbles there, or a
 *       file that is replaced under its sleepers, cost that much time, or a look for nothing, and never more.
 *
 * Nobody is told that a process died with its socket open, or closed it: close() is not ours. A dead listener is noticed
 * by who asks for it (end_dead() in ports.c, sweep.c), and counted then.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>

#include "network/internal.h"

#define CHANGE_SLEEPERS 1u
#define CHANGE_ONE 2u
#define CHANGE_SLEEP_MAX_MS 1000

static _Atomic uint32_t *word_of(struct network *n)
{
	struct map_header *hd = map_header(n);

	return hd ? &hd->change : NULL;
}

void network_changed(struct network *n)
{
	_Atomic uint32_t *word = word_of(n);
	uint32_t was;

	if (!word)
		return;
	was = atomic_load_explicit(word, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(word, &was, (was & ~CHANGE_SLEEPERS) + CHANGE_ONE))
		continue;
	if (was & CHANGE_SLEEPERS)
		(void)raw_call(SYS_futex, (long)word, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

uint32_t *network_change_word(struct network *n)
{
	return (uint32_t *)(void *)word_of(n);
}

uint32_t network_change_seen(struct network *n)
{
	_Atomic uint32_t *word = word_of(n);

	return word ? atomic_load(word) & ~CHANGE_SLEEPERS : 0;
}

int network_change_arm(struct network *n, uint32_t seen, uint32_t *ret_value)
{
	_Atomic uint32_t *word = word_of(n);
	uint32_t was = seen;

	if (!word)
		return -EUCLEAN;
	if (!atomic_compare_exchange_strong(word, &was, seen | CHANGE_SLEEPERS) && was != (seen | CHANGE_SLEEPERS))
		return -EAGAIN;
	*ret_value = seen | CHANGE_SLEEPERS;
	return 0;
}

int network_change_wait(struct network *n, uint32_t seen, int timeout_ms)
{
	bool short_sleep = timeout_ms >= 0 && timeout_ms < CHANGE_SLEEP_MAX_MS;
	int ms = short_sleep ? timeout_ms : CHANGE_SLEEP_MAX_MS;
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	_Atomic uint32_t *word;
	uint32_t value;
	long r = network_change_arm(n, seen, &value);

	if (r < 0)
		return r == -EAGAIN ? 0 : (int)r;
	word = word_of(n);
	if (!word)
		return -EUCLEAN;
	r = raw_call(SYS_futex, (long)word, FUTEX_WAIT, (long)value, (long)&t, 0, 0);
	if (r == -ETIMEDOUT)
		return short_sleep ? -ETIMEDOUT : 0;
	return r == -EINTR ? -EINTR : r == -EFAULT ? -EUCLEAN : 0;
}
