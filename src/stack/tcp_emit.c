/* src/stack/tcp_emit.c: one segment, or super-frame, as octets: headers into the caller's struct berth_tx, the payload as parts
 * that point into the sending ring. No octet of payload is copied, and with BERTH_IF_TX_CSUM none is looked at.
 *
 * Options are those of RFC 7323 (timestamps, on every segment once agreed) and RFC 2018 (SACK blocks, newest first). SACK blocks take room from
 * the payload: who cuts new data asks tcp_emit_mss() first; a retransmission keeps its size, and leaves out the
 * blocks that do not fit beside it.
 *
 * A super-frame's header is that of its first segment; the device (or the next stack) makes the others, with PSH and FIN on
 * the last and CWR on the first alone (BERTH_F_GSO_ECN).
 */
#include "stack/tcp_data.h"
#include "wire/checksum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <string.h>

#define TS_LEN 12u
#define SACK_LEN(n) (4u + 8u * (n))
#define SACKS_ALONE 4u
#define SACKS_WITH_TS 3u

static bool is4(const struct tcp_conn *c)
{
	return port_addr_is4(&c->w->peer);
}

static unsigned ts_len(const struct tcp_conn *c)
{
	return c->f & TF_TS ? TS_LEN : 0;
}

/* An upper bound of the blocks that are there to be sent. */
static unsigned n_sacks(const struct berth_stack *st, const struct tcp_conn *c)
{
	unsigned max = c->f & TF_TS ? SACKS_WITH_TS : SACKS_ALONE, n = c->w->dsack_from != c->w->dsack_to;

	if (!(c->f & TF_SACK))
		return 0;
	if (c->w->gaps != NIL)
		n += ((const struct tcp_gaps *)slab_at(&st->tcp->gaps, c->w->gaps))->n;
	return n < max ? n : max;
}

uint16_t tcp_emit_mss(const struct berth_stack *st, const struct tcp_conn *c)
{
	unsigned n = n_sacks(st, c), take = n ? SACK_LEN(n) : 0;

	/* Where a segment is so small that blocks would take most of it, they are left out (put_options() sees to it). */
	return c->mss > 2 * take ? (uint16_t)(c->mss - take) : c->mss;
}

static unsigned put_syn_options(struct berth_stack *st, const struct tcp_conn *c, uint8_t *at)
{
	struct wire_tcp_options o;
	int n;

	tcp_options_syn(st, c, &o);
	n = wire_tcp_options_emit(&o, at, WIRE_TCP_OPTIONS_MAX);
	ASSERT(n >= 0);
	return (unsigned)n;
}

/* room: octets for options beside the payload. */
static unsigned put_options(struct berth_stack *st, const struct tcp_conn *c, unsigned room, uint8_t *at)
{
	struct wire_tcp_sack v[4];
	unsigned n = 0, max = SACKS_ALONE, len = 0;

	if (c->f & TF_TS) {
		wire_put32(at, 0x0101080a); /* NOP, NOP, kind 8, length 10 (RFC 7323, appendix A) */
		wire_put32(at + 4, tcp_ts_now(st, c->ts_offset));
		wire_put32(at + 8, c->ts_recent);
		len = TS_LEN;
		max = SACKS_WITH_TS;
	}
	while (max && len + SACK_LEN(max) > room)
		max--;
	if (max)
		n = tcp_rcv_sack_blocks(st, c, v, max);
	if (!n)
		return len;
	wire_put32(at + len, 0x01010500 | (2 + 8 * n)); /* NOP, NOP, kind 5 */
	len += 4;
	for (unsigned i = 0; i < n; i++, len += 8) {
		wire_put32(at + len, v[i].left);
		wire_put32(at + len + 4, v[i].right);
	}
	return len;
}

static uint32_t flow_label(struct berth_stack *st, const struct tcp_conn *c)
{
	struct port_tuple t = {PORT_TCP, c->w->local, c->w->peer, c->w->local_port, c->w->peer_port};

	return ip_flow_label(st, &t);
}

/* Octets of TCP options that fit beside the payload of one segment. */
static unsigned option_room(const struct tcp_conn *c, const struct tcp_frame *f)
{
	uint32_t seg = f->len < f->mss ? f->len : f->mss, room;

	room = (uint32_t)c->mss + ts_len(c);
	if (!f->len)
		return WIRE_TCP_OPTIONS_MAX;
	if (room <= seg)
		return ts_len(c);
	room -= seg;
	return room < WIRE_TCP_OPTIONS_MAX ? room : WIRE_TCP_OPTIONS_MAX;
}

/* The TCP header at t; returns its length. The checksum is not in it yet. */
static unsigned put_tcp(struct berth_stack *st, struct tcp_conn *c, const struct tcp_frame *f, uint8_t *t)
{
	uint16_t flags = f->flags, wnd, up = 0;
	uint32_t ack = 0;
	unsigned len;

	if (c->state != TCP_SYN_SENT) {
		flags |= WIRE_TCP_ACK;
		ack = c->rcv_nxt;
	}
	if (flags & WIRE_TCP_SYN) {
		/* Data that came with the SYN has used some of what a SYN-ACK can grant (RFC 7413, 4.2.2). */
		wnd = c->state == TCP_SYN_SENT ? tcp_window_syn(st, c) : (uint16_t)tcp_window_open(c);
		len = put_syn_options(st, c, t + WIRE_TCP_LEN);
	} else {
		wnd = (uint16_t)(tcp_window_advertise(st, c) >> c->rcv_scale);
		len = put_options(st, c, option_room(c, f), t + WIRE_TCP_LEN);
	}
	if (flags & WIRE_TCP_URG)
		up = (uint16_t)(c->w->snd_up - f->seq < UINT16_MAX ? c->w->snd_up - f->seq : UINT16_MAX);
	len += WIRE_TCP_LEN;
	wire_put16(t, c->w->local_port);
	wire_put16(t + 2, c->w->peer_port);
	wire_put32(t + WIRE_TCP_AT_SEQ, f->seq);
	wire_put32(t + WIRE_TCP_AT_ACK, ack);
	wire_put16(t + WIRE_TCP_AT_FLAGS, (uint16_t)(len / 4 << 12 | flags));
	wire_put16(t + WIRE_TCP_AT_WINDOW, wnd);
	wire_put16(t + WIRE_TCP_AT_CHECKSUM, 0);
	wire_put16(t + WIRE_TCP_AT_URGENT, up);
	return len;
}

static void put_checksum(struct berth_stack *st, const struct tcp_conn *c, struct berth_tx *v, size_t at, unsigned len,
			 uint32_t payload)
{
	uint8_t *t = v->head + at;
	uint32_t sum = 0;

	if (v->gso || ip_iface_can(st, c->w->route.iface, BERTH_IF_TX_CSUM)) {
		wire_checksum_defer(&c->w->local, &c->w->peer, WIRE_PROTO_TCP, t, len, payload);
		v->flags |= BERTH_F_NEEDS_CSUM;
		v->csum_start = (uint16_t)at;
		v->csum_offset = WIRE_TCP_AT_CHECKSUM;
		return;
	}
	for (unsigned i = 0, n = 0; i < v->n_parts; n += v->parts[i].len, i++)
		sum = wire_sum_at(sum, n, v->parts[i].data, v->parts[i].len);
	wire_checksum_fill(&c->w->local, &c->w->peer, WIRE_PROTO_TCP, t, len, sum, payload);
}

void tcp_emit_frame(struct berth_stack *st, struct tcp_conn *c, const struct tcp_frame *f, struct berth_tx *v)
{
	/* Its own header first, to know its length for IP's: each is written where it belongs. */
	size_t at = ip_link_len(st, &c->w->route) + (is4(c) ? WIRE_IP4_LEN : WIRE_IP6_LEN), ip_end;
	unsigned tcp_len = put_tcp(st, c, f, v->head + at);
	bool new_data = f->len && !f->rexmit;
	uint32_t syn = f->flags & WIRE_TCP_SYN ? 1 : 0; /* data may follow it: RFC 7413 */
	struct ip_head h = {
		.src = &c->w->local,
		.dst = &c->w->peer,
		.proto = WIRE_PROTO_TCP,
		.ttl = c->s.ttl,
		.tos = (uint8_t)((c->s.tos & ~WIRE_ECN_MASK) | tcp_ecn_out_tos(c, new_data, f->rexmit)),
		.dont_fragment = c->pmtu_disc != 0,
		.flow_label = is4(c) ? 0 : flow_label(st, c),
		.l4_len = tcp_len + f->len,
	};

	ip_end = ip_head_put(st, &c->w->route, &h, v->head);
	ASSERT(ip_end == at);
	v->head_len = (uint16_t)(at + tcp_len);
	v->len = v->head_len + f->len;
	v->iface = c->w->route.iface;
	v->gso = BERTH_GSO_NONE;
	v->flags = 0;
	v->gso_size = v->hdr_len = v->csum_start = v->csum_offset = 0;
	v->pin = 0;
	v->n_parts = (uint16_t)tcp_ring_parts(&c->tx, f->len ? f->seq + syn - tcp_tx_seq(c) : 0, f->len, v->parts);
	if (f->len > f->mss) {
		v->gso = is4(c) ? BERTH_GSO_TCP4 : BERTH_GSO_TCP6;
		v->gso_size = f->mss;
		v->hdr_len = v->head_len;
		if (f->flags & WIRE_TCP_CWR)
			v->flags |= BERTH_F_GSO_ECN;
	}
	if (v->n_parts && st->cfg.flags & BERTH_STACK_PIN)
		v->pin = tcp_pin_take(st, c);
	put_checksum(st, c, v, at, tcp_len, f->len);
	st->n.tcp_segs_out++;
	c->segs_out += f->len > f->mss ? (f->len + f->mss - 1) / f->mss : 1;
	if (c->state != TCP_SYN_SENT)
		tcp_rcv_acked(st, c);
}
