/* src/stack/tcp_window.c: the window we advertise, and how much of the receiving ring is in use.
 *
 * The window is what of the ring (of rcvbuf octets of it) is free. Three rules of RFC 9293, 3.8.6 bend that:
 *	- the right edge does not go back (SHLD-14): rcv_adv is the furthest ever advertised. What the scale cuts off may make the
 *	  number on the wire a little less; the edge that counts for acceptability stays;
 *	- it moves only in steps worth while, a full segment or half of the buffer (3.8.6.2.2, silly windows);
 *	- when the program reads, the peer is told if that makes such a step.
 *
 * Tuning (dynamic right-sizing): what the program reads in one round trip is what the peer can send in one; the buffer
 * becomes twice that, so that the sender's window can double, up to the ring. The round trip as a receiver sees it: by timestamps
 * that come back (RFC 7323), else the time in which a whole window arrives, which is never less.
 */
#include "stack/tcp_data.h"

#define SCALE_MIN 7 /* room for a ring of 8 MiB that is attached after accept() */

static uint32_t limit(const struct tcp_conn *c)
{
	return c->rcvbuf && c->rcvbuf < c->rx.size ? c->rcvbuf : c->rx.size;
}

/* Octets that could be advertised beyond rcv_nxt, as the field can say them. */
static uint32_t room(const struct tcp_conn *c)
{
	uint32_t most = limit(c), field = (uint32_t)UINT16_MAX << c->rcv_scale, n;

	n = c->rx.used < most ? most - c->rx.used : 0;
	if (n > field)
		n = field;
	return n >> c->rcv_scale << c->rcv_scale;
}

/* A step of the right edge that is worth saying. */
static uint32_t step(const struct tcp_conn *c)
{
	uint32_t mss = c->rcv_mss ? c->rcv_mss : TCP_RCV_MSS_DEFAULT, half = limit(c) / 2;

	return mss < half ? mss : half;
}

uint8_t tcp_window_scale(const struct berth_stack *st, const struct tcp_conn *c)
{
	uint32_t size = c->rx.data ? c->rx.size : st->cfg.rx_ring_bytes;
	uint8_t scale = 0;

	if (c->f & TF_RCVBUF_SET && c->rcvbuf < size)
		size = c->rcvbuf;
	else
		scale = SCALE_MIN;
	while (scale < WIRE_TCP_WSCALE_MAX && size >> scale > UINT16_MAX)
		scale++;
	return scale;
}

uint16_t tcp_window_syn(const struct berth_stack *st, const struct tcp_conn *c)
{
	uint32_t size = c->rx.data ? c->rx.size : st->cfg.rx_ring_bytes;

	if (c->f & TF_RCVBUF_SET && c->rcvbuf < size)
		size = c->rcvbuf;
	return (uint16_t)(size < UINT16_MAX ? size : UINT16_MAX);
}

uint32_t tcp_window_advertise(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t open = tcp_window_open(c), want = room(c), unit = UINT32_C(1) << c->rcv_scale;
	uint32_t most = (uint32_t)UINT16_MAX << c->rcv_scale;

	(void)st;
	if (want > open && want - open >= step(c)) {
		c->rcv_adv = c->rcv_nxt + want;
		return want;
	}
	/* The old edge, rounded up if the ring has the octets. */
	want = (open + unit - 1) & ~(unit - 1);
	if (want > most || want > c->rx.size - c->rx.used)
		return (open & ~(unit - 1)) < most ? open & ~(unit - 1) : most;
	if (want > open)
		c->rcv_adv = c->rcv_nxt + want;
	return want;
}

static void rtt_sample(struct tcp_conn *c, uint32_t us, bool exact)
{
	if (!us)
		us = 1;
	if (!c->w->rcv_rtt_us)
		c->w->rcv_rtt_us = us;
	else if (exact)
		c->w->rcv_rtt_us += us / 8 - c->w->rcv_rtt_us / 8;
	else if (us < c->w->rcv_rtt_us) /* a window's time is an upper bound */
		c->w->rcv_rtt_us = us;
}

void tcp_window_rtt(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t ms;

	if (!(c->f & TF_TS) || !(s->opt.has & WIRE_TCP_HAS_TS) || !s->opt.ts_ecr || s->len < c->rcv_mss)
		return;
	ms = tcp_ts_now(st, c->ts_offset) - s->opt.ts_ecr;
	if (ms < 60 * 1000)
		rtt_sample(c, ms ? ms * 1000 : 1000, true); /* the clock's grain */
}

/* Is the measuring round trip over? */
static bool epoch_over(struct berth_stack *st, struct tcp_conn *c)
{
	uint64_t us = (st->now_ns - c->w->rcv_epoch_ns) / 1000;

	if (c->w->rcv_rtt_us && c->f & TF_TS)
		return us >= c->w->rcv_rtt_us;
	if (seq_lt(c->rcv_nxt, c->w->rcv_epoch_seq))
		return false;
	rtt_sample(c, us < UINT32_MAX ? (uint32_t)us : UINT32_MAX, false);
	return true;
}

static void tune(struct berth_stack *st, struct tcp_conn *c)
{
	if (!epoch_over(st, c))
		return;
	if (c->w->rcv_copied > c->w->rcv_space) {
		c->w->rcv_space = c->w->rcv_copied;
		if (!(c->f & TF_RCVBUF_SET)) {
			uint64_t want = 2 * (uint64_t)c->w->rcv_copied + 16 * (uint64_t)c->rcv_mss;

			if (want > c->rcvbuf)
				c->rcvbuf = want < c->rx.size ? (uint32_t)want : c->rx.size;
		}
	}
	c->w->rcv_copied = 0;
	c->w->rcv_epoch_ns = st->now_ns;
	c->w->rcv_epoch_seq = c->rcv_adv;
}

void tcp_window_read(struct berth_stack *st, struct tcp_conn *c, uint32_t len)
{
	uint32_t open, want;

	c->w->rcv_copied = len < UINT32_MAX - c->w->rcv_copied ? c->w->rcv_copied + len : UINT32_MAX;
	tune(st, c);
	if (c->f & TF_FIN_RCVD)
		return; /* no more comes */
	open = tcp_window_open(c);
	want = room(c);
	/* A step that the peer can use, and that it needs: less than half of the buffer was open to it. */
	if ((want > open && want - open >= step(c) && open < limit(c) / 2) ||
	    (c->rcv_nxt != c->w->rcv_acked && !c->rx.used && !tcp_rcv_pingpong(c))) {
		c->f |= TF_ACK_NOW;
		sock_ready(st, tcp_index(st, c));
	}
}
