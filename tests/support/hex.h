/* tests/support/hex.h: octets as tests write them: pairs of digits, spaces where they help, "xN" for N octets of 0x78. */
#ifndef TESTS_SUPPORT_HEX_H
#define TESTS_SUPPORT_HEX_H

#include <stdlib.h>

#include "base/base.h"

static inline unsigned hex_digit(char c)
{
	ASSERT((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* How many octets text is; they are written to buf. */
static inline size_t hex(const char *text, uint8_t *buf, size_t size)
{
	size_t n = 0;

	while (*text) {
		if (*text == ' ') {
			text++;
		} else if (*text == 'x') {
			char *end;

			for (unsigned long left = strtoul(text + 1, &end, 10); left; left--) {
				ASSERT(n < size);
				buf[n++] = 'x';
			}
			text = end;
		} else {
			ASSERT(n < size);
			buf[n++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
			text += 2;
		}
	}
	return n;
}

#endif
