/* tests/unit/wire_rows.h: rows of octets, the parser that gets them, and what it answers; each under its own name.
 *
 * A row that is taken may look at what was read. Every row is also cut at every octet, in memory of exactly that length: a sanitizer
 * then sees a read too far, and no cut of a packet may be taken for the packet.
 */
#ifndef TESTS_UNIT_WIRE_ROWS_H
#define TESTS_UNIT_WIRE_ROWS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hex.h"
#include "wire/wire.h"

#define ROW_OCTETS_MAX 70000

struct wire_row {
	const char *name, *octets;
	int (*parse)(const uint8_t *data, size_t len_bytes); /* into a static structure, which look() looks at */
	int result;
	void (*look)(void);
};

static uint8_t row_octets[ROW_OCTETS_MAX];
static size_t row_len;

static inline int row_parse_exact(int (*parse)(const uint8_t *, size_t), size_t len_bytes)
{
	uint8_t *exact = malloc(len_bytes ? len_bytes : 1);
	int r;

	assert_non_null(exact);
	memcpy(exact, row_octets, len_bytes);
	r = parse(exact, len_bytes);
	free(exact);
	return r;
}

static inline void row_run(void **state)
{
	const struct wire_row *row = *state;
	int r;

	row_len = hex(row->octets, row_octets, sizeof(row_octets));
	for (size_t len = 0; len < row_len && row_len < 2000; len++)
		(void)row_parse_exact(row->parse, len);
	r = row_parse_exact(row->parse, row_len);
	if (r != row->result)
		fail_msg("%s: wanted %d, got %d", row->name, row->result, r);
	r = row->parse(row_octets, row_len);
	assert_int_equal(r, row->result);
	if (row->look)
		row->look();
}

#define ROW_TEST(row) ((struct CMUnitTest){(row)->name, row_run, NULL, NULL, (void *)(uintptr_t)(row)})

#endif
