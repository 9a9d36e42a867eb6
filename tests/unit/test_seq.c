/* tests/unit/test_seq.c: src/stack/seq.h beside numbers of 64 bits that do not go round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "stack/seq.h"

#define CIRCLE (INT64_C(1) << 32)
#define HALF (INT64_C(1) << 31)
#define RANDOM 1000000

/* Where signs and carries change, and their neighbours. */
static uint32_t edges[64];
static unsigned n_edges;

static int make_edges(void **state)
{
	static const uint32_t middle[] = {0, 1u << 16, (uint32_t)HALF / 2, HALF, (uint32_t)HALF / 2 * 3};

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(middle); i++)
		for (uint32_t d = 0; d < 7; d++)
			edges[n_edges++] = middle[i] + d - 3; /* around 0: 2^32 - 3 to 3 */
	return 0;
}

/* How far a is ahead of b: the one of a - b, a - b + 2^32, a - b - 2^32 that lies within [-2^31, 2^31). */
static int64_t model_diff(uint32_t a, uint32_t b)
{
	int64_t d = (int64_t)a - (int64_t)b;

	if (d >= HALF)
		d -= CIRCLE;
	else if (d < -HALF)
		d += CIRCLE;
	assert_true(d >= -HALF && d < HALF);
	return d;
}

/* s and hi as they come after lo on a line. */
static bool model_in(uint32_t s, uint32_t lo, uint32_t hi)
{
	int64_t from = lo, at = s, to = hi;

	if (at < from)
		at += CIRCLE;
	if (to < from)
		to += CIRCLE;
	return at < to;
}

static void pair(uint32_t a, uint32_t b)
{
	int64_t d = model_diff(a, b);

	if (seq_diff(a, b) != d || seq_lt(a, b) != (d < 0) || seq_le(a, b) != (d <= 0) ||
	    seq_max(a, b) != (d < 0 ? b : a) || seq_min(a, b) != (d < 0 ? a : b))
		fail_msg("%#x and %#x", a, b);
	/* Exactly one of before, the same and behind; but at half the circle each is before the other. */
	if (seq_lt(a, b) + seq_lt(b, a) + (a == b) != (d == -HALF ? 2 : 1))
		fail_msg("%#x and %#x: an order of both", a, b);
	if (d == -HALF ? seq_le(a, b) != seq_le(b, a) : seq_le(a, b) == seq_lt(b, a))
		fail_msg("%#x and %#x: not the other way round", a, b);
}

static void triple(uint32_t s, uint32_t lo, uint32_t hi)
{
	bool in = model_in(s, lo, hi);

	if (seq_in(s, lo, hi) != in)
		fail_msg("%#x within %#x and %#x", s, lo, hi);
	/* As two comparisons say, where the range and the distance are less than half the circle. */
	if (hi - lo < HALF && s - lo != HALF && hi - s != HALF && (seq_le(lo, s) && seq_lt(s, hi)) != in)
		fail_msg("%#x within %#x and %#x: two comparisons differ", s, lo, hi);
}

static void all_pairs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_edges; i++)
		for (unsigned j = 0; j < n_edges; j++)
			pair(edges[i], edges[j]);
}

static void all_triples(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_edges; i++)
		for (unsigned j = 0; j < n_edges; j++)
			for (unsigned k = 0; k < n_edges; k++)
				triple(edges[i], edges[j], edges[k]);
}

/* The same wherever it begins: what counts is the distance. */
static void all_triples_moved(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 293);
	for (unsigned n = 0; n < 20; n++) {
		uint32_t by = (uint32_t)rng_u64(&r);

		for (unsigned i = 0; i < n_edges; i++)
			for (unsigned j = 0; j < n_edges; j++) {
				pair(edges[i] + by, edges[j] + by);
				assert_int_equal(seq_diff(edges[i] + by, edges[j] + by), seq_diff(edges[i], edges[j]));
				for (unsigned k = 0; k < n_edges; k++)
					triple(edges[i] + by, edges[j] + by, edges[k] + by);
			}
	}
}

static void random_ones(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 9293);
	for (unsigned i = 0; i < RANDOM; i++) {
		uint32_t a = (uint32_t)rng_u64(&r), b = (uint32_t)rng_u64(&r), c = (uint32_t)rng_u64(&r);

		if (i % 2) { /* near each other, or half the circle away */
			b = a + edges[b % n_edges];
			c = a + edges[c % n_edges];
		}
		pair(a, b);
		triple(a, b, c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_pairs), cmocka_unit_test(all_triples),
					   cmocka_unit_test(all_triples_moved), cmocka_unit_test(random_ones)};

	return cmocka_run_group_tests_name("sequence numbers", tests, make_edges, NULL);
}
