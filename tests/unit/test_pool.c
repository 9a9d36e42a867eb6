/* tests/unit/test_pool.c: handles go stale, and damaged memory is refused, not followed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/pool.h"
#include "base/rng.h"

#define N 50
#define ITEM 12

static uint64_t mem[4096];

static void make(struct pool *p)
{
	assert_int_equal(pool_init(p, mem, sizeof(mem), N, ITEM), 0);
}

static void a_stale_handle_is_refused(void **state)
{
	struct pool p;
	struct pool_ref a, b;

	(void)state;
	make(&p);
	assert_int_equal(pool_take(&p, &a), 0);
	assert_non_null(pool_at(&p, a));
	assert_int_equal(pool_give(&p, a), 0);
	assert_null(pool_at(&p, a));
	assert_int_equal(pool_give(&p, a), -ESTALE);
	assert_int_equal(pool_take(&p, &b), 0);
	assert_int_equal(b.slot, a.slot); /* the same place, and yet */
	assert_null(pool_at(&p, a));
	assert_null(pool_at(&p, POOL_REF_NONE));
	assert_null(pool_at(&p, (struct pool_ref){N, 1}));
	assert_null(pool_at(&p, (struct pool_ref){UINT32_MAX, 1}));
}

static void it_fills_and_says_so(void **state)
{
	struct pool p;
	struct pool_ref refs[N], more;

	(void)state;
	make(&p);
	for (int i = 0; i < N; i++) {
		assert_int_equal(pool_take(&p, &refs[i]), 0);
		memset(pool_at(&p, refs[i]), i, ITEM);
	}
	assert_int_equal(pool_take(&p, &more), -ENOBUFS);
	for (int i = 0; i < N; i++)
		for (int k = 0; k < ITEM; k++)
			assert_int_equal(((uint8_t *)pool_at(&p, refs[i]))[k], i);
	assert_int_equal(pool_give(&p, refs[7]), 0);
	assert_int_equal(pool_take(&p, &more), 0);
	for (int k = 0; k < ITEM; k++)
		assert_int_equal(((uint8_t *)pool_at(&p, more))[k], 0);
}

static void sizes_are_checked(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_size(0, 8), 0);
	assert_int_equal(pool_size(UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(pool_init(&p, mem, pool_size(N, ITEM) - 1, N, ITEM), -EINVAL);
	assert_int_equal(pool_init(&p, (uint8_t *)mem + 4, 4096, N, ITEM), -EINVAL);
	make(&p);
	assert_int_equal(pool_attach(&p, mem, sizeof(mem), N, ITEM), 0);
	assert_int_equal(pool_attach(&p, mem, sizeof(mem), N - 1, ITEM), -EUCLEAN);
	memset(mem, 0xff, sizeof(mem));
	assert_int_equal(pool_attach(&p, mem, sizeof(mem), N, ITEM), -EUCLEAN);
}

/* Random takings and givings beside the dumb model: an array of what is out. */
static void agrees_with_a_dumb_model(void **state)
{
	struct pool_ref out[N];
	uint32_t n_out = 0;
	struct pool p;
	struct rng r;

	(void)state;
	make(&p);
	rng_init_stream(&r, 1, "pool");
	for (int step = 0; step < 20000; step++) {
		if (rng_chance_ppm(&r, 500000)) {
			struct pool_ref ref;
			int got = pool_take(&p, &ref);

			assert_int_equal(got, n_out == N ? -ENOBUFS : 0);
			if (got == 0)
				out[n_out++] = ref;
		} else if (n_out) {
			uint32_t i = (uint32_t)rng_range(&r, 0, n_out - 1);

			assert_int_equal(pool_give(&p, out[i]), 0);
			out[i] = out[--n_out];
		}
		assert_int_equal(pool_n_used(&p), n_out);
		assert_true(pool_check(&p));
	}
	for (uint32_t cursor = 0, n = 0; n <= n_out; n++) {
		struct pool_ref ref;

		assert_int_equal(pool_next(&p, &cursor, &ref), n < n_out);
	}
}

/* Whatever is scribbled, calls return, repair mends, and what was in use by its generation stays. */
static void survives_a_scribble(void **state)
{
	struct rng r;

	(void)state;
	rng_init_stream(&r, 2, "scribble");
	for (int round = 0; round < 2000; round++) {
		struct pool_ref ref;
		struct pool p;
		size_t len_bytes = pool_size(N, ITEM);
		int got = 0;

		make(&p);
		for (int i = 0; i < 20; i++)
			assert_int_equal(pool_take(&p, &ref), 0);
		for (int i = 0; i < 8; i++)
			((uint8_t *)mem)[rng_range(&r, 0, len_bytes - 1)] = (uint8_t)rng_u64(&r);
		for (int i = 0; i < 2 * N && got == 0; i++)
			got = pool_take(&p, &ref);
		assert_true(got == -ENOBUFS || got == -EUCLEAN);
		(void)!pool_give(&p, (struct pool_ref){3, 1});
		pool_repair(&p);
		assert_true(pool_check(&p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stale_handle_is_refused), cmocka_unit_test(it_fills_and_says_so),
		cmocka_unit_test(sizes_are_checked),	     cmocka_unit_test(agrees_with_a_dumb_model),
		cmocka_unit_test(survives_a_scribble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
