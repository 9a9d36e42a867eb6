/* tests/unit/test_cursor.c: octets in order, never past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cursor.h"

static void what_is_put_is_got(void **state)
{
	uint8_t buf[32], got[3];
	struct cursor_writer w = cursor_writer(buf, sizeof(buf));
	struct cursor_reader r;

	(void)state;
	cursor_put_u8(&w, 0x01);
	cursor_put_be16(&w, 0x0203);
	cursor_put_be32(&w, 0x04050607);
	cursor_put_be64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	cursor_put_bytes(&w, "xyz", 3);
	assert_true(cursor_writer_ok(&w));
	assert_int_equal(cursor_writer_len(&w), 18);
	for (uint8_t i = 0; i < 15; i++)
		assert_int_equal(buf[i], i + 1);
	r = cursor_reader(buf, 18);
	assert_int_equal(cursor_get_u8(&r), 0x01);
	assert_int_equal(cursor_get_be16(&r), 0x0203);
	assert_int_equal(cursor_get_be32(&r), 0x04050607);
	assert_int_equal(cursor_get_be64(&r), UINT64_C(0x08090a0b0c0d0e0f));
	assert_true(cursor_get_bytes(&r, got, 3));
	assert_memory_equal(got, "xyz", 3);
	assert_int_equal(cursor_reader_left(&r), 0);
	assert_true(cursor_reader_ok(&r));
}

static void a_step_too_far_sticks(void **state)
{
	const uint8_t buf[3] = {1, 2, 3};
	struct cursor_reader r = cursor_reader(buf, sizeof(buf));
	uint8_t got[4] = {9, 9, 9, 9};

	(void)state;
	assert_int_equal(cursor_get_be16(&r), 0x0102);
	assert_int_equal(cursor_get_be16(&r), 0);
	assert_false(cursor_reader_ok(&r));
	assert_int_equal(cursor_get_u8(&r), 0); /* though one octet is there */
	assert_false(cursor_get_bytes(&r, got, 4));
	assert_int_equal(got[0] | got[3], 0);
	assert_int_equal(cursor_reader_left(&r), 0);
}

static void lengths_do_not_wrap(void **state)
{
	uint8_t buf[4] = {0};
	struct cursor_reader r = cursor_reader(buf, sizeof(buf));
	struct cursor_writer w = cursor_writer(buf, sizeof(buf));

	(void)state;
	cursor_get_u8(&r);
	assert_false(cursor_skip(&r, SIZE_MAX));
	cursor_put_u8(&w, 1);
	assert_null(cursor_room(&w, SIZE_MAX));
}

static void a_full_writer_writes_nothing(void **state)
{
	uint8_t buf[4] = {0};
	struct cursor_writer w = cursor_writer(buf, 3);

	(void)state;
	cursor_put_be16(&w, 0x1111);
	cursor_put_be32(&w, 0x22222222);
	cursor_put_u8(&w, 0x33);
	assert_false(cursor_writer_ok(&w));
	assert_int_equal(cursor_writer_len(&w), 2);
	assert_int_equal(buf[2] | buf[3], 0);
}

static void nothing_is_fine(void **state)
{
	struct cursor_reader r = cursor_reader(NULL, 0);
	struct cursor_writer w = cursor_writer(NULL, 0);

	(void)state;
	assert_true(cursor_skip(&r, 0));
	assert_true(cursor_get_bytes(&r, NULL, 0));
	cursor_put_bytes(&w, NULL, 0);
	assert_true(cursor_reader_ok(&r) && cursor_writer_ok(&w));
}

static void decimals(void **state)
{
	char s[64];
	struct cursor_writer w = cursor_writer(s, sizeof(s));

	(void)state;
	cursor_put_decimal(&w, 0);
	cursor_put_text(&w, " ");
	cursor_put_decimal(&w, UINT64_MAX);
	assert_int_equal(cursor_writer_len(&w), 22);
	assert_memory_equal(s, "0 18446744073709551615", 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_got),  cmocka_unit_test(a_step_too_far_sticks),
		cmocka_unit_test(lengths_do_not_wrap), cmocka_unit_test(a_full_writer_writes_nothing),
		cmocka_unit_test(nothing_is_fine),     cmocka_unit_test(decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
