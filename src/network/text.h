/* src/network/text.h: building and reading short texts without stdio, which is not ours to use here. */
#ifndef BERTH_NETWORK_TEXT_H
#define BERTH_NETWORK_TEXT_H

#include <string.h>

#include "base/base.h"

/* Always NUL-terminated; what does not fit is cut and `full` says so. */
struct text {
	char *s;
	size_t len, size;
	bool full;
};

static inline struct text text_on(char *s, size_t size)
{
	if (size > 0)
		s[0] = '\0';
	return (struct text){.s = s, .size = size};
}

static inline void text_mem(struct text *t, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (t->len + 1 >= t->size) {
			t->full = true;
			break;
		}
		t->s[t->len++] = s[i];
	}
	t->s[t->len] = '\0';
}

static inline void text_str(struct text *t, const char *s)
{
	text_mem(t, s, strlen(s));
}

static inline void text_u64(struct text *t, uint64_t v)
{
	char d[20];
	size_t n = sizeof(d);

	do
		d[--n] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	text_mem(t, d + n, sizeof(d) - n);
}

/* At least `digits` of them, lower case. */
static inline void text_hex(struct text *t, uint64_t v, unsigned digits)
{
	char d[16];
	size_t n = sizeof(d);

	do
		d[--n] = "0123456789abcdef"[v & 15];
	while ((v >>= 4) != 0 || sizeof(d) - n < digits);
	text_mem(t, d + n, sizeof(d) - n);
}

/* Digits of the base (10 or 16) up to the first other character; false when there is none or too much. */
static inline bool text_take_u64(const char **s, unsigned base, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	for (;; p++) {
		unsigned d = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
			     : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10
						      : 99;
		if (d >= base)
			break;
		if (v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

static inline bool text_take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

#endif
