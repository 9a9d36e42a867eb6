/* tests/unit/test_stack_wheel.c: the wheel beside a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/wheel.h"

#define T WHEEL_TICK_NS
#define N 3000
static struct timer timers[N];
static struct wheel wheel;

static void fresh(uint64_t now_ns)
{
	wheel_init(&wheel, now_ns);
	wheel_kind(&wheel, TIMER_TCP, timers, sizeof(timers[0]));
	for (int i = 0; i < N; i++)
		timer_init(&timers[i]);
}

static int pop(uint64_t now_ns)
{
	enum timer_kind kind;
	uint32_t i;

	if (!wheel_pop(&wheel, now_ns, &kind, &i))
		return -1;
	assert_int_equal(kind, TIMER_TCP);
	assert_false(timer_is_set(&timers[i]));
	return (int)i;
}

/* --- one timer, anywhere: not before its time, and within a tick of it --- */
struct at_case {
	const char *name;
	uint64_t now_ns, at_ns;
};
static const struct at_case at_cases[] = {
	{"a deadline that is past is due at once", 1000 * T, 5},
	{"now is due now", 1000 * T, 1000 * T},
	{"a nanosecond later is the next tick's", 1000 * T, 1000 * T + 1},
	{"the end of the finest level", 1000 * T, 1023 * T},
	{"the next slot of the second level", 1000 * T, 1024 * T},
	{"the second level's end", 1000 * T, 4095 * T + 1},
	{"an hour", 7 * T, 7 * T + UINT64_C(3600000000000)},
	{"two hours, from a time that is no tick's", 12345678901, 12345678901 + UINT64_C(7200000000000)},
	{"nineteen hours, level 4's last slot", 3 * T, 3 * T + UINT64_C(68400000000000)},
	{"three days: further than the wheel reaches", 3 * T, 3 * T + UINT64_C(259200000000000)},
	{"a year", 0, UINT64_C(31536000000000000)},
	{"across the end of level 4's round", (UINT64_C(63) << 24) * T, (UINT64_C(65) << 24) * T + 7},
};

static void run_at(void **state)
{
	const struct at_case *c = *state;
	uint64_t due = c->at_ns > c->now_ns ? c->at_ns : c->now_ns, now = c->now_ns;

	fresh(c->now_ns);
	wheel_set(&wheel, TIMER_TCP, 1, c->at_ns);
	assert_true(wheel_check(&wheel));
	for (int step = 0;; step++) {
		uint64_t next = wheel_deadline(&wheel);
		int got;

		assert_in_range(step, 0, 600); /* a year is 467 rounds of the furthest slot */
		assert_true(next <= due + T);
		if (next > now)
			now = next;
		got = pop(now);
		assert_true(wheel_check(&wheel));
		if (got < 0)
			continue;
		assert_int_equal(got, 1);
		assert_true(now >= c->at_ns);
		assert_true(now < due + T);
		break;
	}
	assert_true(wheel_deadline(&wheel) == NEVER_NS);
}

static void timers_of_one_tick_run_in_the_order_of_setting(void **state)
{
	uint64_t tick = UINT64_C(61000000) * T, at = tick - 100; /* far: they move down three times together */

	(void)state;
	fresh(0);
	for (uint32_t i = 0; i < 50; i++)
		wheel_set(&wheel, TIMER_TCP, (i * 7) % 50, at);
	wheel_set(&wheel, TIMER_TCP, 7, at + 1); /* the same tick: it keeps its place */
	wheel_set(&wheel, TIMER_TCP, 0, at + T);
	wheel_set(&wheel, TIMER_TCP, 0, at); /* set anew: last */
	for (uint64_t now = tick - 60 * T; now < tick; now += T)
		assert_int_equal(pop(now), -1);
	for (uint32_t i = 1; i < 50; i++)
		assert_int_equal(pop(tick), (i * 7) % 50);
	assert_int_equal(pop(tick), 0);
	assert_int_equal(wheel.n, 0);
}

static void moving_and_cancelling(void **state)
{
	(void)state;
	fresh(0);
	for (uint32_t i = 0; i < 10; i++)
		wheel_set(&wheel, TIMER_TCP, i, (10 + i) * T);
	wheel_set(&wheel, TIMER_TCP, 3, 5 * T);
	wheel_cancel(&wheel, TIMER_TCP, 4);
	wheel_cancel(&wheel, TIMER_TCP, 4);
	wheel_set(&wheel, TIMER_TCP, 5, 9000 * T);
	assert_int_equal(wheel.n, 9);
	assert_true(wheel_deadline(&wheel) == 5 * T);
	assert_int_equal(pop(4 * T), -1);
	assert_int_equal(pop(100 * T), 3);
	assert_int_equal(pop(100 * T), 0);
	assert_int_equal(pop(100 * T), 1);
	assert_int_equal(pop(100 * T), 2);
	assert_int_equal(pop(100 * T), 6);
	wheel_set(&wheel, TIMER_TCP, 3, 50 * T); /* past by now: due */
	for (int want = 7; want < 10; want++)
		assert_int_equal(pop(100 * T), want);
	assert_int_equal(pop(100 * T), 3);
	assert_int_equal(pop(100 * T), -1);
	assert_int_equal(pop(9000 * T), 5);
	assert_true(wheel_check(&wheel));
}

/* A slot with thousands: no call moves more than a bounded number, and all come, none early, in order of setting. */
static void a_full_slot_is_moved_in_pieces(void **state)
{
	uint64_t at = UINT64_C(7200) * 1000000000, now = 0;
	uint32_t n = 0, calls = 0;

	(void)state;
	fresh(0);
	for (uint32_t i = 0; i < N; i++)
		wheel_set(&wheel, TIMER_TCP, i, at);
	while (n < N) {
		uint64_t next = wheel_deadline(&wheel);
		int got;

		assert_in_range(++calls, 1, 10 * N);
		now = next > now ? next : now;
		got = pop(now);
		if (got < 0)
			continue;
		assert_true(now >= at);
		assert_int_equal(got, n);
		n++;
	}
	assert_true(wheel_check(&wheel));
}

/* Random sets, moves, cancels and steps of time, beside the plain truth: each timer's deadline, rounded up to a tick. */
static void agrees_with_a_plain_list(void **state)
{
	static uint64_t want[200]; /* NEVER_NS: not set */
	uint64_t x = 88172645463325252u, now = 999;

	(void)state;
	fresh(now);
	for (int i = 0; i < 200; i++)
		want[i] = NEVER_NS;
	for (int step = 0; step < 200000; step++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		uint32_t i = (uint32_t)(x >> 40) % 200;
		unsigned what = (unsigned)(x & 7);
		uint64_t span = UINT64_C(1) << ((x >> 8) % 48);

		if (what < 4) {
			want[i] = now + (x >> 16) % span;
			wheel_set(&wheel, TIMER_TCP, i, want[i]);
		} else if (what == 4) {
			want[i] = NEVER_NS;
			wheel_cancel(&wheel, TIMER_TCP, i);
		} else {
			int got;

			now += (x >> 20) % (span >> 6 | 1);
			while ((got = pop(now)) >= 0) {
				assert_true(want[got] <= now);
				want[got] = NEVER_NS;
			}
			for (int k = 0; k < 200; k++)
				assert_true(want[k] == NEVER_NS || want[k] + T > now);
		}
		if (step % 1000 == 0)
			assert_true(wheel_check(&wheel));
	}
}

static void the_checker_sees_damage(void **state)
{
	(void)state;
	fresh(0);
	wheel_set(&wheel, TIMER_TCP, 1, 10 * T);
	wheel_set(&wheel, TIMER_TCP, 2, 10 * T);
	assert_true(wheel_check(&wheel));
	wheel.bits[0] = 0;
	assert_false(wheel_check(&wheel));
	wheel.bits[0] = UINT64_C(1) << 10;
	assert_true(wheel_check(&wheel));
	timers[2].prev = NIL;
	assert_false(wheel_check(&wheel));
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(at_cases) + 5];
	size_t n = 0;

	for (; n < COUNT_OF(at_cases); n++)
		tests[n] = (struct CMUnitTest){at_cases[n].name, run_at, NULL, NULL, (void *)(uintptr_t)&at_cases[n]};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(timers_of_one_tick_run_in_the_order_of_setting);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(moving_and_cancelling);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_full_slot_is_moved_in_pieces);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(agrees_with_a_plain_list);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(the_checker_sees_damage);
	return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
