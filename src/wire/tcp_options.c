/* src/wire/tcp_options.c: the options of a TCP header.
 *
 * Options are kind, length, value, or a kind alone (end, NOP). A length of 0 or 1, or beyond the header, says that the rest cannot be
 * told apart: the segment is refused (S2). A known kind with a length it cannot have is passed over like an unknown one and counted:
 * the walk still advances, and one odd middlebox option should not cost a connection (S5: this is how a SACK of 2 + 8n + 1 octets
 * yields no block). The last of two of a kind counts.
 *
 * emit writes the order most stacks send, so that a parser's short cut for NOP NOP timestamps, ours too, meets it.
 *
 * Always true of what parse returns
 *   O1  n_sacks <= 4, each block left < right; has SACK says n_sacks > 0;
 *   O2  wscale <= 14;
 *   O3  cookie_bytes is 0 or an even number of 4 to 16.
 */
#include "wire/tcp.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define KIND_END 0
#define KIND_NOP 1
#define KIND_MSS 2
#define KIND_WSCALE 3
#define KIND_SACK_OK 4
#define KIND_SACK 5
#define KIND_TS 8
#define KIND_USER_TIMEOUT 28
#define KIND_COOKIE 34
#define KIND_EXPERIMENT 254

#define EXPERIMENT_COOKIE 0xf989 /* RFC 6994's number of fast open */
#define USER_TIMEOUT_MINUTES 0x8000

/* NOP, NOP, kind 8, length 10 (RFC 7323, appendix A). */
#define NOP_NOP_TS 0x0101080au

static void get_ts(struct wire_tcp_options *o, const uint8_t *p)
{
	o->has |= WIRE_TCP_HAS_TS;
	o->ts_val = wire_get32(p);
	o->ts_ecr = wire_get32(p + 4);
}

static bool get_sacks(struct wire_tcp_options *o, const uint8_t *p, size_t n)
{
	if (n == 0 || n % 8 || n / 8 > WIRE_TCP_SACKS_MAX)
		return false;
	o->n_sacks = 0;
	for (; n; p += 8, n -= 8) {
		struct wire_tcp_sack s = {.left = wire_get32(p), .right = wire_get32(p + 4)};

		if ((uint32_t)(s.right - s.left - 1) < UINT32_C(0x7fffffff)) /* left < right, modulo 2^32 */
			o->sacks[o->n_sacks++] = s;
	}
	memset(o->sacks + o->n_sacks, 0, (WIRE_TCP_SACKS_MAX - o->n_sacks) * sizeof(o->sacks[0]));
	o->has &= (uint8_t)~WIRE_TCP_HAS_SACK;
	o->has |= o->n_sacks ? WIRE_TCP_HAS_SACK : 0;
	return true;
}

static bool get_cookie(struct wire_tcp_options *o, const uint8_t *p, size_t n, bool experimental)
{
	if (n && (n < WIRE_TCP_COOKIE_MIN || n > WIRE_TCP_COOKIE_MAX || n % 2))
		return false;
	o->has |= WIRE_TCP_HAS_COOKIE;
	o->cookie_experimental = experimental;
	o->cookie_bytes = (uint8_t)n;
	memset(o->cookie, 0, sizeof(o->cookie));
	memcpy(o->cookie, p, n);
	return true;
}

static uint32_t user_timeout(uint16_t v)
{
	return v & USER_TIMEOUT_MINUTES ? (uint32_t)(v & ~USER_TIMEOUT_MINUTES) * 60 : v;
}

/* One option's value of n octets. false: a length this kind cannot have. */
static bool get_option(struct wire_tcp_options *o, uint8_t kind, const uint8_t *p, size_t n)
{
	switch (kind) {
	case KIND_MSS:
		if (n != 2)
			return false;
		o->has |= WIRE_TCP_HAS_MSS;
		o->mss = wire_get16(p);
		return true;
	case KIND_WSCALE:
		if (n != 1)
			return false;
		o->has |= WIRE_TCP_HAS_WSCALE;
		o->wscale = *p > WIRE_TCP_WSCALE_MAX ? WIRE_TCP_WSCALE_MAX : *p; /* RFC 7323, 2.3 */
		return true;
	case KIND_SACK_OK:
		if (n != 0)
			return false;
		o->has |= WIRE_TCP_HAS_SACK_OK;
		return true;
	case KIND_SACK:
		return get_sacks(o, p, n);
	case KIND_TS:
		if (n != 8)
			return false;
		get_ts(o, p);
		return true;
	case KIND_USER_TIMEOUT:
		if (n != 2)
			return false;
		o->has |= WIRE_TCP_HAS_USER_TIMEOUT;
		o->user_timeout_s = user_timeout(wire_get16(p));
		return true;
	case KIND_COOKIE:
		return get_cookie(o, p, n, false);
	case KIND_EXPERIMENT:
		return n < 2 || wire_get16(p) != EXPERIMENT_COOKIE || get_cookie(o, p + 2, n - 2, true);
	default:
		return true;
	}
}

int wire_tcp_options_parse(const uint8_t *data, size_t len_bytes, struct wire_tcp_options *ret)
{
	struct cursor_reader c = cursor_reader(data, len_bytes);
	struct wire_tcp_options o;

	if (len_bytes > WIRE_TCP_OPTIONS_MAX)
		return -EBADMSG;
	if (len_bytes == 12 && wire_get32(data) == NOP_NOP_TS) {
		*ret = (struct wire_tcp_options){.has = 0};
		get_ts(ret, data + 4);
		return 0;
	}
	o = (struct wire_tcp_options){.has = 0};
	while (cursor_reader_left(&c)) {
		uint8_t kind = cursor_get_u8(&c), len;
		const uint8_t *value;

		if (kind == KIND_END)
			break;
		if (kind == KIND_NOP)
			continue;
		len = cursor_get_u8(&c);
		if (len < 2)
			return -EBADMSG;
		value = cursor_take(&c, (size_t)len - 2);
		if (!value)
			return -EBADMSG;
		if (!get_option(&o, kind, value, (size_t)len - 2))
			o.n_ignored++;
	}
	*ret = o;
	return 0;
}

/* Which of the options without a padding of their own there are: on a SYN, SACK permitted takes the NOPs of the timestamps. */
static bool sack_ok_before_ts(const struct wire_tcp_options *o)
{
	return (o->has & WIRE_TCP_HAS_SACK_OK) && (o->has & WIRE_TCP_HAS_TS);
}

static unsigned cookie_len(const struct wire_tcp_options *o)
{
	return 2u + (o->cookie_experimental ? 2 : 0) + o->cookie_bytes;
}

unsigned wire_tcp_options_len(const struct wire_tcp_options *o)
{
	unsigned len = 0;

	len += o->has & WIRE_TCP_HAS_MSS ? 4 : 0;
	len += o->has & WIRE_TCP_HAS_SACK_OK && !sack_ok_before_ts(o) ? 4 : 0;
	len += o->has & WIRE_TCP_HAS_TS ? 12 : 0;
	len += o->has & WIRE_TCP_HAS_WSCALE ? 4 : 0;
	len += o->has & WIRE_TCP_HAS_USER_TIMEOUT ? 4 : 0;
	len += o->has & WIRE_TCP_HAS_COOKIE ? (cookie_len(o) + 3) / 4 * 4 : 0;
	len += o->has & WIRE_TCP_HAS_SACK ? 4 + 8u * o->n_sacks : 0;
	return len;
}

static void put_nops(struct cursor_writer *w, unsigned n)
{
	while (n--)
		cursor_put_u8(w, KIND_NOP);
}

static void put_ts(struct cursor_writer *w, const struct wire_tcp_options *o)
{
	if (sack_ok_before_ts(o)) {
		cursor_put_u8(w, KIND_SACK_OK);
		cursor_put_u8(w, 2);
	} else {
		put_nops(w, 2);
	}
	cursor_put_u8(w, KIND_TS);
	cursor_put_u8(w, 10);
	cursor_put_be32(w, o->ts_val);
	cursor_put_be32(w, o->ts_ecr);
}

static void put_user_timeout(struct cursor_writer *w, uint32_t s)
{
	uint16_t v = s < USER_TIMEOUT_MINUTES ? (uint16_t)s : (uint16_t)(USER_TIMEOUT_MINUTES | s / 60);

	ASSERT(s < USER_TIMEOUT_MINUTES || s / 60 < USER_TIMEOUT_MINUTES);
	cursor_put_u8(w, KIND_USER_TIMEOUT);
	cursor_put_u8(w, 4);
	cursor_put_be16(w, v);
}

static void put_cookie(struct cursor_writer *w, const struct wire_tcp_options *o)
{
	ASSERT(o->cookie_bytes <= WIRE_TCP_COOKIE_MAX);
	cursor_put_u8(w, o->cookie_experimental ? KIND_EXPERIMENT : KIND_COOKIE);
	cursor_put_u8(w, (uint8_t)cookie_len(o));
	if (o->cookie_experimental)
		cursor_put_be16(w, EXPERIMENT_COOKIE);
	cursor_put_bytes(w, o->cookie, o->cookie_bytes);
	put_nops(w, (4 - cookie_len(o) % 4) % 4); /* after it, as Linux */
}

static void put_sacks(struct cursor_writer *w, const struct wire_tcp_options *o)
{
	ASSERT(o->n_sacks > 0 && o->n_sacks <= WIRE_TCP_SACKS_MAX);
	put_nops(w, 2);
	cursor_put_u8(w, KIND_SACK);
	cursor_put_u8(w, (uint8_t)(2 + 8 * o->n_sacks));
	for (unsigned i = 0; i < o->n_sacks; i++) {
		cursor_put_be32(w, o->sacks[i].left);
		cursor_put_be32(w, o->sacks[i].right);
	}
}

int wire_tcp_options_emit(const struct wire_tcp_options *o, uint8_t *buf, size_t len_bytes)
{
	unsigned len = wire_tcp_options_len(o);
	struct cursor_writer w = cursor_writer(buf, len);

	if (len > WIRE_TCP_OPTIONS_MAX)
		return -EMSGSIZE;
	if (len > len_bytes)
		return -ENOBUFS;
	if (o->has & WIRE_TCP_HAS_MSS) {
		cursor_put_u8(&w, KIND_MSS);
		cursor_put_u8(&w, 4);
		cursor_put_be16(&w, o->mss);
	}
	if (o->has & WIRE_TCP_HAS_SACK_OK && !sack_ok_before_ts(o)) {
		put_nops(&w, 2);
		cursor_put_u8(&w, KIND_SACK_OK);
		cursor_put_u8(&w, 2);
	}
	if (o->has & WIRE_TCP_HAS_TS)
		put_ts(&w, o);
	if (o->has & WIRE_TCP_HAS_WSCALE) {
		put_nops(&w, 1);
		cursor_put_u8(&w, KIND_WSCALE);
		cursor_put_u8(&w, 3);
		cursor_put_u8(&w, o->wscale);
	}
	if (o->has & WIRE_TCP_HAS_USER_TIMEOUT)
		put_user_timeout(&w, o->user_timeout_s);
	if (o->has & WIRE_TCP_HAS_COOKIE)
		put_cookie(&w, o);
	if (o->has & WIRE_TCP_HAS_SACK)
		put_sacks(&w, o);
	ASSERT(cursor_writer_ok(&w) && cursor_writer_len(&w) == len);
	return (int)len;
}
