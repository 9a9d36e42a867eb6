/* tests/unit/test_rng.c: the same seed, the same numbers, for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

static void xoshiro_from_a_known_state(void **state)
{
	/* By hand from the definition with s = {1, 2, 3, 4}: rotl(2 * 5, 7) * 9 = 11520; the state
	 * then is {7, 0, 262146, 6 << 45}, so 0 comes next, and then rotl(5 * 262149, 7) * 9. */
	struct rng r = {{1, 2, 3, 4}};

	(void)state;
	assert_int_equal(rng_u64(&r), 11520);
	assert_int_equal(rng_u64(&r), 0);
	assert_int_equal(rng_u64(&r), 1509978240);
}

static void pinned(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 0);
	assert_int_equal(r.s[0], UINT64_C(0xe220a8397b1dcdaf)); /* SplitMix64's well-known first number */
	assert_int_equal(rng_u64(&r), UINT64_C(0x99ec5f36cb75f2b4));
	rng_init_stream(&r, 42, "ports");
	assert_int_equal(rng_u64(&r), UINT64_C(0x974085a6b5ea03b6));
	assert_int_equal(rng_u64(&r), UINT64_C(0xd27eceaff9f34076));
	assert_int_equal(rng_range(&r, 1, 6), 2);
}

static void streams_are_apart(void **state)
{
	struct rng a, b, again;

	(void)state;
	rng_init_stream(&a, 7, "a");
	rng_init_stream(&b, 7, "b");
	rng_init_stream(&again, 7, "a");
	for (int i = 0; i < 100; i++) {
		uint64_t x = rng_u64(&a);

		assert_int_not_equal(x, rng_u64(&b));
		assert_int_equal(x, rng_u64(&again));
	}
}

static void ranges_hold_and_are_fair(void **state)
{
	uint32_t n[6] = {0};
	struct rng r;

	(void)state;
	rng_init(&r, 3);
	for (int i = 0; i < 60000; i++) {
		uint64_t x = rng_range(&r, 1, 6);

		assert_in_range(x, 1, 6);
		n[x - 1]++;
	}
	for (int i = 0; i < 6; i++)
		assert_in_range(n[i], 9600, 10400);
	assert_int_equal(rng_range(&r, 5, 5), 5);
	assert_int_equal(rng_range(&r, UINT64_MAX, UINT64_MAX), UINT64_MAX);
	rng_range(&r, 0, UINT64_MAX);
	for (int i = 0; i < 1000; i++) {
		assert_false(rng_chance_ppm(&r, 0));
		assert_true(rng_chance_ppm(&r, 1000000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xoshiro_from_a_known_state),
		cmocka_unit_test(pinned),
		cmocka_unit_test(streams_are_apart),
		cmocka_unit_test(ranges_hold_and_are_fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
