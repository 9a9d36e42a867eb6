/* src/base/cursor.h: octets in order, never past the end.
 *
 * A cursor is a pointer and what remains. Each get and put compares its length with what remains,
 * once, and nothing else in the program does pointer arithmetic on untrusted octets. Failure sticks:
 * after the first step too far every get gives 0 and every put writes nothing, so a parser reads
 * straight down and asks once, at the end, whether it all was there.
 *
 * Always true
 *   C1  at <= len; data[at .. len) is what remains;
 *   C2  once failed, at does not move again.
 */
#ifndef BERTH_BASE_CURSOR_H
#define BERTH_BASE_CURSOR_H

#include <string.h>

#include "base/base.h"

struct cursor_reader {
	const uint8_t *data;
	size_t at, len;
	bool failed;
};

struct cursor_writer {
	uint8_t *data;
	size_t at, len;
	bool failed;
};

/* The octets stay the caller's and must outlive the cursor. data may be NULL when len_bytes is 0. */
static inline struct cursor_reader cursor_reader(const void *data, size_t len_bytes)
{
	return (struct cursor_reader){.data = data, .len = len_bytes};
}

static inline struct cursor_writer cursor_writer(void *data, size_t len_bytes)
{
	return (struct cursor_writer){.data = data, .len = len_bytes};
}

/* Did every get so far find its octets? */
static inline bool cursor_reader_ok(const struct cursor_reader *c)
{
	return !c->failed;
}

static inline size_t cursor_reader_left(const struct cursor_reader *c)
{
	return c->failed ? 0 : c->len - c->at;
}

static inline bool cursor_writer_ok(const struct cursor_writer *c)
{
	return !c->failed;
}

static inline size_t cursor_writer_left(const struct cursor_writer *c)
{
	return c->failed ? 0 : c->len - c->at;
}

/* Octets written so far: what is good even after a failure. */
static inline size_t cursor_writer_len(const struct cursor_writer *c)
{
	return c->at;
}

/* The one place where a reader's length is checked: n octets, or NULL and the cursor has failed. */
static inline const uint8_t *cursor_take(struct cursor_reader *c, size_t n)
{
	const uint8_t *p;

	if (c->failed || n > c->len - c->at) {
		c->failed = true;
		return NULL;
	}
	p = c->data ? c->data + c->at : (const uint8_t *)""; /* n is 0 then */
	c->at += n;
	return p;
}

/* The same for a writer. */
static inline uint8_t *cursor_room(struct cursor_writer *c, size_t n)
{
	uint8_t *p;

	if (c->failed || n > c->len - c->at) {
		c->failed = true;
		return NULL;
	}
	p = c->data ? c->data + c->at : NULL;
	c->at += n;
	return p;
}

static inline uint64_t cursor_get_be(struct cursor_reader *c, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	uint64_t v = 0;

	if (p)
		for (size_t i = 0; i < n; i++)
			v = v << 8 | p[i];
	return v;
}

static inline uint8_t cursor_get_u8(struct cursor_reader *c)
{
	return (uint8_t)cursor_get_be(c, 1);
}

static inline uint16_t cursor_get_be16(struct cursor_reader *c)
{
	return (uint16_t)cursor_get_be(c, 2);
}

static inline uint32_t cursor_get_be32(struct cursor_reader *c)
{
	return (uint32_t)cursor_get_be(c, 4);
}

static inline uint64_t cursor_get_be64(struct cursor_reader *c)
{
	return cursor_get_be(c, 8);
}

/* Copies n octets to ret, or zeroes them on failure: ret is never left unset. */
static inline bool cursor_get_bytes(struct cursor_reader *c, void *ret, size_t n)
{
	const uint8_t *p = cursor_take(c, n);

	if (n == 0)
		return p != NULL;
	if (p)
		memcpy(ret, p, n);
	else
		memset(ret, 0, n);
	return p != NULL;
}

static inline bool cursor_skip(struct cursor_reader *c, size_t n)
{
	return cursor_take(c, n) != NULL;
}

static inline void cursor_put_be(struct cursor_writer *c, uint64_t v, size_t n)
{
	uint8_t *p = cursor_room(c, n);

	if (p)
		for (size_t i = 0; i < n; i++)
			p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static inline void cursor_put_u8(struct cursor_writer *c, uint8_t v)
{
	cursor_put_be(c, v, 1);
}

static inline void cursor_put_be16(struct cursor_writer *c, uint16_t v)
{
	cursor_put_be(c, v, 2);
}

static inline void cursor_put_be32(struct cursor_writer *c, uint32_t v)
{
	cursor_put_be(c, v, 4);
}

static inline void cursor_put_be64(struct cursor_writer *c, uint64_t v)
{
	cursor_put_be(c, v, 8);
}

static inline void cursor_put_bytes(struct cursor_writer *c, const void *src, size_t n)
{
	uint8_t *p = cursor_room(c, n);

	if (p && n)
		memcpy(p, src, n);
}

/* Text, without its final NUL: writes all of it or fails. */
static inline void cursor_put_text(struct cursor_writer *c, const char *text)
{
	cursor_put_bytes(c, text, strlen(text));
}

/* An unsigned number in decimal. */
static inline void cursor_put_decimal(struct cursor_writer *c, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[sizeof(digits) - ++n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	cursor_put_bytes(c, digits + sizeof(digits) - n, n);
}

#endif
