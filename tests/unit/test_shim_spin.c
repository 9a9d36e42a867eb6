/* tests/unit/test_shim_spin.c: how long a wait looks before it sleeps, and how often.
 *
 * spin_look() is given a question of the test's own. What holds on a machine however busy: all asking but the last time is over
 * within the time that is allowed, since that is looked at after each. That a look may last longer than a short one is waited for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/crowd.h"
#include "shim/spin.h"

#define NOTHING (-EAGAIN)
#define PATIENCE_NS UINT64_C(20000000000)

/* What was asked: how often, when first, and when the last but one was over. */
struct asked {
	int n, answer_at, signal_at;
	uint64_t first_ns, over_ns, before_ns;
};

static long question(const void *what)
{
	struct asked *a = (struct asked *)(uintptr_t)what;

	if (!a->n++)
		a->first_ns = crowd_clock_ns();
	if (a->n == a->signal_at)
		raise(SIGUSR1);
	a->before_ns = a->over_ns;
	a->over_ns = crowd_clock_ns();
	return a->n == a->answer_at ? 42 : NOTHING;
}

static uint64_t lasted(const struct asked *a)
{
	return a->n < 2 ? 0 : a->before_ns - a->first_ns;
}

static void answer_ends_it(void **state)
{
	struct spinner s = SPINNER_INIT;
	struct asked a = {.answer_at = 1};

	(void)state;
	assert_int_equal(spin_look(&s, NOTHING, true, question, &a), 42);
	assert_int_equal(a.n, 1);
	assert_false(spin_skips(&s));
}

/* 2, 4, 8 ... 1024 waits sleep at once after each look in a row that was for nothing; one that was not ends that. */
static void backs_off(void **state)
{
	struct spinner s = SPINNER_INIT;

	(void)state;
	for (unsigned want = 2, i = 0; i < 12; i++, want = want < 1024 ? want * 2 : 1024) {
		struct asked a = {0};
		unsigned skipped = 0;

		assert_int_equal(spin_look(&s, NOTHING, true, question, &a), NOTHING);
		while (spin_skips(&s))
			skipped++;
		assert_int_equal(skipped, want);
	}
	assert_int_equal(spin_look(&s, NOTHING, true, question, &(struct asked){.answer_at = 1}), 42);
	assert_int_equal(spin_look(&s, NOTHING, true, question, &(struct asked){0}), NOTHING);
	assert_true(spin_skips(&s) && spin_skips(&s) && !spin_skips(&s));
}

static void on_signal(int sig)
{
	(void)sig;
}

/* A handler that came meanwhile runs after the look, and ends the call as it would have ended the sleep. */
static void signals(void **state)
{
	static const struct {
		int flags;
		bool restarts;
		long want;
	} rows[] = {{0, true, -EINTR}, {0, false, -EINTR}, {SA_RESTART, false, -EINTR}, {SA_RESTART, true, NOTHING}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sigaction act = {.sa_handler = on_signal, .sa_flags = rows[i].flags};
		struct spinner s = SPINNER_INIT;
		struct asked a = {.signal_at = 1};

		sigaction(SIGUSR1, &act, NULL);
		assert_int_equal(spin_look(&s, NOTHING, rows[i].restarts, question, &a), rows[i].want);
		a = (struct asked){.signal_at = 1, .answer_at = 1};
		assert_int_equal(spin_look(&s, NOTHING, rows[i].restarts, question, &a), 42); /* it had come already */
	}
}

static atomic_bool over;

static void *hog(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		;
	return NULL;
}

static bool look_long(uint64_t longer_ns, uint64_t *ret_longest_ns)
{
	uint64_t begin = crowd_clock_ns();

	*ret_longest_ns = 0;
	while (*ret_longest_ns <= longer_ns && crowd_clock_ns() - begin < PATIENCE_NS) {
		struct spinner s = SPINNER_INIT;
		struct asked a = {0};

		spin_look(&s, NOTHING, true, question, &a);
		if (lasted(&a) > *ret_longest_ns)
			*ret_longest_ns = lasted(&a);
	}
	return *ret_longest_ns > longer_ns;
}

/* With company on the processor looks are short; before and after they are longer. */
static void short_in_a_crowd(void **state)
{
	uint64_t begin, longest;
	cpu_set_t was, one;
	pthread_t other;
	int n_short = 0;

	(void)state;
	assert_true(look_long(CROWD_LOOK_NS, &longest));
	assert_true(longest <= SPIN_LOOK_NS);
	sched_getaffinity(0, sizeof(was), &was);
	CPU_ZERO(&one);
	for (size_t i = 0; !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &was))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pthread_create(&other, NULL, hog, NULL), 0);
	for (begin = crowd_clock_ns(); n_short < 100 && crowd_clock_ns() - begin < PATIENCE_NS;) {
		struct spinner s = SPINNER_INIT;
		struct asked a = {0};
		uint64_t at = crowd_clock_ns();
		bool crowded = crowd_limit(SPIN_LOOK_NS) == CROWD_LOOK_NS;

		spin_look(&s, NOTHING, true, question, &a);
		if (!crowded || crowd_limit(SPIN_LOOK_NS) != CROWD_LOOK_NS || crowd_clock_ns() - at >= CROWD_WINDOW_NS)
			continue; /* the pause was over meanwhile, or may have been */
		assert_true(lasted(&a) <= CROWD_LOOK_NS);
		n_short++;
	}
	atomic_store(&over, true);
	pthread_join(other, NULL);
	sched_setaffinity(0, sizeof(was), &was);
	assert_int_equal(n_short, 100);
	assert_true(look_long(CROWD_LOOK_NS, &longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_ends_it),
		cmocka_unit_test(backs_off),
		cmocka_unit_test(signals),
		cmocka_unit_test(short_in_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
