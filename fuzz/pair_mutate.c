/* fuzz/pair_mutate.c: see pair_mutate.h. Fields are found by the frame's own headers, so a change meets what it is meant for; a frame that
 * no parser reads any more (by an earlier change) is changed by place only. */
#include "pair_mutate.h"

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define OPTION_TS 8
#define OPTION_SACK 5
#define QUOTE_MAX 500

/* Small, about a segment or a window, or the other side of the circle. */
static uint32_t take_delta(struct cursor_reader *in)
{
	static const uint32_t odd[] = {216,  536,  1000,  1440,	    1460,     2048,	   4095,
				       4096, 8192, 65535, 1u << 20, 1u << 24, 0x7fffffffu, 0x80000000u};
	uint8_t how = cursor_get_u8(in);
	uint32_t d = odd[how / 2 % COUNT_OF(odd)];

	if (how < 128)
		return (uint32_t)(how - 64);
	return how & 1 ? 0 - d : d;
}

static void add32(uint8_t *at, uint32_t delta)
{
	wire_put32(at, wire_get32(at) + delta);
}

/* The IP header says what is there now. */
static void set_length(struct link_frame *f, const struct link_view *v)
{
	uint32_t len = f->len - v->ip_at;

	if (v->family == 4)
		wire_put16(f->data + v->ip_at + 2, (uint16_t)len);
	else if (v->family == 6)
		wire_put16(f->data + v->ip_at + 4, (uint16_t)(len - WIRE_IP6_LEN));
}

static void put_field(struct cursor_reader *in, struct link_frame *f, const struct link_view *v)
{
	const uint32_t bases[] = {0, v->ip_at, v->l4_at, v->l4_at + 20u};
	uint8_t how = cursor_get_u8(in);
	uint32_t at = bases[how % 4] + cursor_get_u8(in) % 64, width = 1u << how / 4 % 3;
	uint32_t value = width == 1 ? cursor_get_u8(in) : width == 2 ? cursor_get_be16(in) : cursor_get_be32(in);

	for (uint32_t i = 0; i < width && at + i < f->len; i++)
		f->data[at + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

/* --- TCP options --- */

/* n octets of options instead of those that are there, NOPs up to the next word. */
static void put_options(struct link_frame *f, const struct link_view *v, const uint8_t *options, uint32_t n)
{
	uint32_t old = (f->data[v->l4_at + 12] >> 4) * 4u - WIRE_TCP_LEN, room = (n + 3) & ~3u;
	uint8_t *at = f->data + v->l4_at + WIRE_TCP_LEN;
	uint32_t behind = f->len - (v->l4_at + WIRE_TCP_LEN + old);

	if (room > WIRE_TCP_OPTIONS_MAX || f->len - old + room > f->room)
		return;
	memmove(at + room, at + old, behind);
	memset(at, 1, room);
	memcpy(at, options, n);
	f->len = f->len - old + room;
	f->data[v->l4_at + 12] = (uint8_t)((WIRE_TCP_LEN + room) / 4 << 4 | (f->data[v->l4_at + 12] & 15));
	f->hdr_len = (uint16_t)(v->l4_at + WIRE_TCP_LEN + room);
	set_length(f, v);
}

static void any_options(struct cursor_reader *in, struct link_frame *f, const struct link_view *v)
{
	uint8_t options[WIRE_TCP_OPTIONS_MAX];
	uint32_t n = cursor_get_u8(in) % (sizeof(options) + 1);

	n = n < cursor_reader_left(in) ? n : (uint32_t)cursor_reader_left(in);
	(void)cursor_get_bytes(in, options, n);
	put_options(f, v, options, n);
}

/* SACK blocks near what is acknowledged, behind the timestamps that are there. */
static void sack(struct cursor_reader *in, struct link_frame *f, const struct link_view *v)
{
	struct wire_tcp_options o = v->tcp.options;
	uint8_t octets[64];
	uint32_t from = v->tcp.ack;
	int n;

	o.has = (uint8_t)((o.has & WIRE_TCP_HAS_TS) | WIRE_TCP_HAS_SACK);
	o.n_sacks = (uint8_t)(1 + cursor_get_u8(in) % (o.has & WIRE_TCP_HAS_TS ? 3 : 4));
	for (unsigned i = 0; i < o.n_sacks; i++) {
		o.sacks[i].left = from + take_delta(in);
		o.sacks[i].right = from = o.sacks[i].left + take_delta(in);
	}
	n = wire_tcp_options_emit(&o, octets, sizeof(octets));
	if (n > 0)
		put_options(f, v, octets, (uint32_t)n);
}

/* The numbers in a timestamp or SACK option, where they stand. */
static void shift_numbers(struct cursor_reader *in, struct link_frame *f, const struct link_view *v)
{
	uint32_t at = v->l4_at + WIRE_TCP_LEN, end = v->l4_at + (f->data[v->l4_at + 12] >> 4) * 4u;

	for (unsigned n = 0; n < WIRE_TCP_OPTIONS_MAX && at + 2 <= end; n++) {
		uint8_t kind = f->data[at], len = f->data[at + 1];

		if (kind == 0)
			return;
		if (kind == 1) {
			at++;
			continue;
		}
		if (len < 2 || at + len > end)
			return;
		if (kind == OPTION_TS || kind == OPTION_SACK)
			for (uint32_t i = at + 2; i + 4 <= at + len; i += 4)
				add32(f->data + i, take_delta(in));
		at += len;
	}
}

/* --- lengths, descriptors, others' octets --- */

static void resize(struct cursor_reader *in, struct link_frame *f, const struct link_view *v)
{
	uint8_t how = cursor_get_u8(in);
	uint32_t n = cursor_get_u8(in);

	n = how & 2 ? n * 16 : n;
	if (how & 1) {
		n = n < f->room - f->len ? n : f->room - f->len;
		memset(f->data + f->len, how, n);
		f->len += n;
	} else {
		f->len -= n < f->len ? n : f->len - 1;
	}
	if (how & 4 && f->len > v->l4_at)
		set_length(f, v);
}

static void lie(struct cursor_reader *in, struct link_frame *f)
{
	uint8_t how = cursor_get_u8(in);

	if (how & 1)
		f->gso = cursor_get_u8(in) % 8;
	if (how & 2)
		f->gso_size = how & 128 ? cursor_get_u8(in) : cursor_get_be16(in);
	if (how & 4)
		f->flags = cursor_get_u8(in) & 7;
	if (how & 8)
		f->csum_start = how & 64 ? cursor_get_be16(in) : (uint16_t)(f->csum_start + take_delta(in));
	if (how & 16)
		f->csum_offset = cursor_get_be16(in);
	if (how & 32)
		f->gso_size = (uint16_t)(f->gso_size + take_delta(in));
}

static void splice(struct cursor_reader *in, struct link_frame *f, const struct link_view *v,
		   const struct link_frame *other)
{
	struct link_view o;
	uint32_t at, n;

	if (other == NULL || link_view(other->data, other->len, other->link, &o) < 0 || !o.has_tcp)
		return;
	if (cursor_get_u8(in) & 1) { /* what is f's goes to other's connection, perhaps with its numbers */
		memcpy(f->data + v->l4_at, other->data + o.l4_at, 4 + cursor_get_u8(in) % 3 * 4);
		return;
	}
	at = (uint32_t)(v->tcp.payload.data - f->data);
	n = (uint32_t)o.tcp.payload.len_bytes;
	n = n < f->room - at ? n : f->room - at;
	memcpy(f->data + at, o.tcp.payload.data, n);
	f->len = at + n;
	set_length(f, v);
}

static void of_tcp(struct cursor_reader *in, struct link_frame *f, const struct link_view *v,
		   const struct link_frame *other, uint8_t what)
{
	uint8_t *tcp = f->data + v->l4_at;

	switch (what) {
	case 3:
		add32(tcp + WIRE_TCP_AT_SEQ, take_delta(in));
		break;
	case 4:
		add32(tcp + WIRE_TCP_AT_ACK, take_delta(in));
		break;
	case 5:
		wire_put16(tcp + WIRE_TCP_AT_WINDOW, cursor_get_be16(in));
		break;
	case 6:
		tcp[WIRE_TCP_AT_FLAGS + 1] ^= cursor_get_u8(in);
		break;
	case 7:
		tcp[WIRE_TCP_AT_FLAGS + 1] |= WIRE_TCP_URG;
		wire_put16(tcp + WIRE_TCP_AT_URGENT, (uint16_t)take_delta(in));
		break;
	case 8:
		any_options(in, f, v);
		break;
	case 9:
		sack(in, f, v);
		break;
	case 10:
		shift_numbers(in, f, v);
		break;
	default:
		splice(in, f, v, other);
	}
}

static void change(struct cursor_reader *in, struct link_frame *f, const struct link_frame *other)
{
	uint8_t what = cursor_get_u8(in) % 14;
	struct link_view v = {0};

	if (link_view(f->data, f->len, f->link, &v) < 0)
		v = (struct link_view){0};
	if (what < 3)
		put_field(in, f, &v);
	else if (what < 12 && v.has_tcp)
		of_tcp(in, f, &v, other, what);
	else if (what == 12)
		resize(in, f, &v);
	else
		lie(in, f);
}

static void finish(struct cursor_reader *in, struct link_frame *f)
{
	uint8_t how = cursor_get_u8(in);
	bool was_left = f->flags & BERTH_F_NEEDS_CSUM;
	struct link_view v;

	if (how >= 240)
		return;
	if (link_view(f->data, f->len, f->link, &v) < 0)
		return;
	if (f->gso == BERTH_GSO_NONE && how < 120) {
		f->flags = 0;
		link_frame_checksums(f);
		return;
	}
	if (v.family == 4) {
		uint8_t *ip = f->data + v.ip_at;

		wire_put16(ip + 10, 0);
		wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, v.l4_at - v.ip_at)));
	}
	if (!was_left || how & 1)
		f->flags = (uint8_t)((f->flags & ~BERTH_F_NEEDS_CSUM) | BERTH_F_DATA_VALID);
}

void pair_mutate(struct cursor_reader *in, struct link_frame *f, const struct link_frame *other)
{
	for (unsigned n = 1 + cursor_get_u8(in) % 3; n > 0; n--)
		change(in, f, other);
	finish(in, f);
}

/* --- errors from the way --- */

static int icmp4(struct cursor_reader *in, uint8_t *at, size_t room, const struct link_view *v, uint32_t quote)
{
	static const uint8_t types[] = {WIRE_ICMP4_UNREACHABLE, WIRE_ICMP4_TIME_EXCEEDED, WIRE_ICMP4_PARAMETER_PROBLEM};
	struct wire_icmp4 m = {.type = types[cursor_get_u8(in) % COUNT_OF(types)], .code = cursor_get_u8(in) % 16};
	struct wire_ip4 ip = {.src = v->dst,
			      .dst = v->src,
			      .ttl = 64,
			      .proto = WIRE_PROTO_ICMP4,
			      .payload = {NULL, WIRE_ICMP_LEN + quote}};
	int n = wire_ip4_emit(&ip, at, room);

	m.mtu = cursor_get_be16(in);
	return n < 0 || wire_icmp4_emit(&m, at + n, room - (size_t)n) < 0 ? -1 : n + WIRE_ICMP_LEN;
}

static int icmp6(struct cursor_reader *in, uint8_t *at, size_t room, const struct link_view *v, uint32_t quote)
{
	struct wire_icmp6 m = {.type = (uint8_t)(1 + cursor_get_u8(in) % 5), .code = cursor_get_u8(in) % 8};
	struct wire_ip6 ip = {.src = v->dst,
			      .dst = v->src,
			      .hops = 64,
			      .proto = WIRE_PROTO_ICMP6,
			      .payload = {NULL, WIRE_ICMP_LEN + quote}};
	int n = wire_ip6_emit(&ip, at, room);

	m.mtu = cursor_get_be16(in);
	return n < 0 || wire_icmp6_emit(&m, at + n, room - (size_t)n) < 0 ? -1 : n + WIRE_ICMP_LEN;
}

struct link_frame *pair_icmp_about(struct cursor_reader *in, struct link_frames *frames, const struct link_frame *about)
{
	struct link_frame *f;
	struct link_view v;
	uint32_t quote;
	int n;

	if (link_view(about->data, about->len, about->link, &v) < 0 || v.family == 0)
		return NULL;
	quote = v.ip_len < QUOTE_MAX ? v.ip_len : QUOTE_MAX;
	f = link_frame_new(frames, 1024);
	ASSERT(f != NULL);
	f->link = about->link;
	memcpy(f->data, about->data, v.ip_at);
	if (v.ip_at >= WIRE_ETH_LEN) {
		memcpy(f->data, about->data + WIRE_MAC_LEN, WIRE_MAC_LEN);
		memcpy(f->data + WIRE_MAC_LEN, about->data, WIRE_MAC_LEN);
	}
	n = (v.family == 4 ? icmp4 : icmp6)(in, f->data + v.ip_at, 256, &v, quote);
	ASSERT(n > 0);
	memcpy(f->data + v.ip_at + n, about->data + v.ip_at, quote);
	f->len = v.ip_at + (uint32_t)n + quote;
	link_frame_checksums(f);
	return f;
}
