/* tests/unit/test_stack_slab.c: items come and go, and stale generations are told apart. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/slab.h"

#define N 37
static struct slab *fresh(struct slab *s, uint32_t item_bytes, void **ret_mem)
{
	size_t n = slab_size(N, item_bytes);

	assert_int_equal(n % 64, 0);
	*ret_mem = aligned_alloc(64, n);
	memset(*ret_mem, 0, n);
	slab_init(s, *ret_mem, N, item_bytes);
	assert_true(slab_check(s));
	return s;
}

static void items_come_in_order_until_there_are_none(void **state)
{
	struct slab s;
	void *mem;

	(void)state;
	fresh(&s, 24, &mem);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(slab_take(&s), i);
	assert_int_equal(slab_take(&s), NIL);
	assert_int_equal(s.n_used, N);
	assert_true(slab_check(&s));
	free(mem);
}

static void the_last_given_back_comes_first_and_is_zeroed(void **state)
{
	struct slab s;
	void *mem;

	(void)state;
	fresh(&s, 64, &mem);
	for (int i = 0; i < 5; i++)
		memset(slab_at(&s, slab_take(&s)), 0xaa, 64);
	slab_give(&s, 1);
	slab_give(&s, 3);
	assert_int_equal(slab_take_dirty(&s), 3);
	assert_int_equal(*(uint8_t *)slab_at(&s, 3), 0xaa);
	assert_int_equal(slab_take(&s), 1);
	for (int i = 0; i < 64; i++)
		assert_int_equal(((uint8_t *)slab_at(&s, 1))[i], 0);
	assert_int_equal(slab_take(&s), 5);
	assert_true(slab_check(&s));
	free(mem);
}

static void a_generation_is_good_while_its_item_is_in_use(void **state)
{
	struct slab s;
	void *mem;
	uint32_t g, i;

	(void)state;
	fresh(&s, 8, &mem);
	assert_false(slab_is(&s, 0, 0));
	i = slab_take(&s);
	g = s.generation[i];
	assert_int_equal(g % 2, 1);
	assert_true(slab_is(&s, i, g));
	slab_give(&s, i);
	assert_false(slab_is(&s, i, g));
	assert_false(slab_is(&s, i, g + 1)); /* even: nobody's */
	assert_int_equal(slab_take(&s), i);
	assert_false(slab_is(&s, i, g));
	assert_true(slab_is(&s, i, g + 2));
	assert_false(slab_is(&s, N, 1));
	assert_false(slab_is(&s, NIL, 1));
	free(mem);
}

/* Beside an array of flags, for a while. */
static void many_taken_and_given_agree_with_a_set(void **state)
{
	struct slab s;
	void *mem;
	bool in[N] = {false};
	uint32_t n = 0, x = 12345;

	(void)state;
	fresh(&s, 16, &mem);
	for (int step = 0; step < 20000; step++) {
		x = x * 1103515245u + 12345u;
		uint32_t i = (x >> 16) % N;

		if (in[i]) {
			slab_give(&s, i);
			in[i] = false;
			n--;
		} else {
			i = slab_take(&s);
			assert_int_equal(i == NIL, n == N);
			assert_false(i != NIL && in[i]);
			in[i] = true;
			n++;
		}
		assert_int_equal(s.n_used, n);
		for (uint32_t k = 0; step % 100 == 0 && k < N; k++)
			assert_int_equal(slab_used(&s, k), in[k]);
	}
	assert_true(slab_check(&s));
	s.next[s.free_first] = 0; /* the checker sees a list that goes elsewhere */
	s.generation[0] ^= 1;
	assert_false(slab_check(&s));
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_in_order_until_there_are_none),
		cmocka_unit_test(the_last_given_back_comes_first_and_is_zeroed),
		cmocka_unit_test(a_generation_is_good_while_its_item_is_in_use),
		cmocka_unit_test(many_taken_and_given_agree_with_a_set),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
