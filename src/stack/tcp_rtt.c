/* src/stack/tcp_rtt.c: how long a round trip takes, and how long to wait for one (RFC 6298).
 *
 * srtt is the moving average of RFC 6298, 2.3. The variation differs from it, as Linux's does and for the same reason: there is a sample
 * for almost every acknowledgment, and a variation that forgets within one round trip is none. So the mean deviation is kept
 * from sample to sample (mdev), its maximum over a round trip becomes the variation when that ends (rttvar falls by quarters), and
 * a round trip that got much shorter widens nothing (Ludwig and Katz's Eifel retransmission timer). The variation's
 * share of the timeout is never below 200 ms: RTO = srtt + max(4 * deviation, 200 ms).
 *
 * Samples: of what was sent once, by the board's times (Karn, RFC 6298, 3); else by timestamps (RFC 7323, 4), in milliseconds.
 *
 * The least round trip is kept for five minutes, then the next one counts.
 */
#include "stack/tcp_flight.h"

#define MIN_RTT_AGE_US 300000000u
#define RTO_FLOOR_US ((uint32_t)(TCP_RTO_MIN_NS / 1000))
#define RTO_MAX_US ((uint32_t)(TCP_RTO_MAX_NS / 1000))
#define RTT_MAX_US 60000000u /* a sample above is no sample */

static void min_rtt(struct tcp_conn *c, uint32_t rtt_us, uint32_t now_us)
{
	if (c->min_rtt_us && rtt_us > c->min_rtt_us && now_us - c->min_rtt_at_us < MIN_RTT_AGE_US)
		return;
	c->min_rtt_us = rtt_us;
	c->min_rtt_at_us = now_us;
}

static void deviation(struct tcp_conn *c, int32_t err)
{
	int32_t m = err < 0 ? -err : err;

	m -= (int32_t)(c->mdev_us / 4); /* mdev has two bits of fraction: it is four times the mean deviation */
	if (err < 0 && m > 0)
		m >>= 3; /* got shorter: believe it slowly */
	c->mdev_us = (uint32_t)((int32_t)c->mdev_us + m);
	if (c->mdev_us > c->mdev_max_us) {
		c->mdev_max_us = c->mdev_us;
		if (c->mdev_max_us > c->rttvar_us)
			c->rttvar_us = c->mdev_max_us;
	}
	if (seq_lt(c->w->rtt_seq, c->una)) { /* a round trip is over */
		if (c->mdev_max_us < c->rttvar_us)
			c->rttvar_us -= (c->rttvar_us - c->mdev_max_us) / 4;
		c->w->rtt_seq = c->w->nxt;
		c->mdev_max_us = RTO_FLOOR_US;
	}
}

void rtt_sample(struct tcp_conn *c, uint32_t rtt_us, uint32_t now_us)
{
	if (rtt_us > RTT_MAX_US)
		rtt_us = RTT_MAX_US;
	if (rtt_us == 0)
		rtt_us = 1;
	min_rtt(c, rtt_us, now_us);
	c->w->backoff = 0;     /* Karn: a doubled timeout stays until a round trip was measured (RFC 6298, 5.7) */
	if (c->srtt_us == 0) { /* 2.2 */
		c->srtt_us = rtt_us;
		c->mdev_us = 2 * rtt_us;
		c->rttvar_us = c->mdev_us > RTO_FLOOR_US ? c->mdev_us : RTO_FLOOR_US;
		c->mdev_max_us = c->rttvar_us;
		c->w->rtt_seq = c->w->nxt;
	} else {
		int32_t err = (int32_t)(rtt_us - c->srtt_us);

		c->srtt_us = (uint32_t)((int32_t)c->srtt_us + (err + (err > 0 ? 4 : -4)) / 8);
		if (c->srtt_us == 0)
			c->srtt_us = 1;
		deviation(c, err);
	}
	c->rto_us = c->srtt_us + c->rttvar_us;
	if (c->rto_us > RTO_MAX_US)
		c->rto_us = RTO_MAX_US;
}

void rtt_from_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a)
{
	uint32_t ticks;

	if (a->rtt) {
		a->rtt_us = a->now_us - a->newest_us;
		if (a->rtt_us == 0)
			a->rtt_us = 1;
		min_rtt(c, a->rtt_us, a->now_us);
		rtt_sample(c, a->now_us - a->oldest_us, a->now_us);
		return;
	}
	if (a->acked == 0 || !(c->f & TF_TS) || !(s->opt.has & WIRE_TCP_HAS_TS) || s->opt.ts_ecr == 0)
		return;
	ticks = tcp_ts_now(st, c->ts_offset) - s->opt.ts_ecr;
	if (ticks > RTT_MAX_US / 1000)
		return; /* an echo of something that we never sent */
	/* The clock ticked up to once more than time went by; with less than a tick nothing was learnt. */
	if (ticks > 0)
		rtt_sample(c, ticks * 1000, a->now_us);
	else
		c->w->backoff = 0;
}

uint64_t rtt_timeout_ns(const struct tcp_conn *c)
{
	uint64_t rto = c->rto_us ? (uint64_t)c->rto_us * 1000 : TCP_RTO_FIRST_NS;
	unsigned doublings = c->w->backoff < 16 ? c->w->backoff : 16;

	rto <<= doublings;
	return rto < TCP_RTO_MAX_NS ? rto : TCP_RTO_MAX_NS;
}

void tcp_flight_init(struct berth_stack *st, struct tcp_conn *c)
{
	c->w->burst_first = c->w->burst_last = NIL;
	c->w->n_out = c->w->n_sacked = c->w->n_lost = c->w->n_rexmit = c->w->pipe = 0;
	c->srtt_us = c->rttvar_us = c->mdev_us = c->mdev_max_us = c->min_rtt_us = 0;
	c->rto_us = (uint32_t)(TCP_RTO_FIRST_NS / 1000);
	c->w->rtt_seq = c->iss;
	c->w->rack_fack = c->w->rack_end_seq = c->iss;
	c->w->rack_rtt_us = 0;
	c->rack_reo_mult = 1;
	c->rack_reo_persist = 0;
	c->w->ca_state = CA_OPEN;
	c->recover_flags = 0;
	c->w->recover_seq = c->iss;
	c->w->dupacks = 0;
	c->w->n_rtx = c->w->backoff = 0;
	c->w->first_rtx_ns = 0;
	c->w->rtx_mode = RTX_NONE;
	c->w->delivered = 0;
	c->w->delivered_us = c->w->first_sent_us = tcp_now_us(st);
	c->w->app_limited = 0;
	cc_start(st, c);
}

void tcp_flight_established(struct berth_stack *st, struct tcp_conn *c, uint64_t handshake_rtt_ns)
{
	uint64_t rtt_us = handshake_rtt_ns / 1000;

	if (handshake_rtt_ns && c->srtt_us == 0) /* else the board has measured the SYN's already */
		rtt_sample(c, rtt_us > RTT_MAX_US ? RTT_MAX_US : (uint32_t)rtt_us, tcp_now_us(st));
	cc_start(st, c);
}
