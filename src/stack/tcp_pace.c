/* src/stack/tcp_pace.c: how fast is it, and how fast may it go.
 *
 * Rate samples (after draft-cheng-iccrg-delivery-rate-estimation). Each burst remembers how many octets had arrived when it was sent, and
 * when. On the acknowledgment of the one sent last, what arrived in between, divided by the longer of the time it took to send and
 * the time it took to be acknowledged, is a sample. A sample taken while the program had nothing more to send counts only if it is higher.
 *
 * Pacing: cwnd / srtt, times 2 in slow start and 1.2 after, at most what the program allows; in goes of a millisecond's worth, at
 * least two segments, so that super-frames stay large. Off unless BERTH_PACING asks.
 */
#include "stack/tcp_data.h"
#include "stack/tcp_flight.h"

void rate_sent(struct tcp_conn *c, uint32_t now_us)
{
	if (c->w->n_out == 0) /* the clock starts when something is in flight */
		c->w->first_sent_us = c->w->delivered_us = now_us;
}

void rate_delivered(const struct tcp_conn *c, const struct tcp_burst *b, uint32_t sent_us, struct flight_ack *a)
{
	(void)c;
	if (a->rate && us_after(a->r.sent_us, sent_us, a->now_us))
		return;
	a->rate = true;
	a->r.delivered = b->delivered;
	a->r.delivered_us = b->delivered_us;
	a->r.first_sent_us = b->first_sent_us;
	a->r.sent_us = sent_us;
	a->r.app_limited = (b->flags & BURST_APP_LIMITED) != 0;
}

void rate_ack(struct tcp_conn *c, const struct flight_ack *a)
{
	uint32_t sent_us, acked_us, us;
	uint64_t bps;

	c->w->delivered += a->delivered;
	if (a->delivered)
		c->w->delivered_us = a->now_us;
	if (c->w->app_limited && seq_lt(c->w->app_limited, c->w->delivered))
		c->w->app_limited = 0;
	if (!a->rate)
		return;
	sent_us = a->r.sent_us - a->r.first_sent_us;
	acked_us = a->now_us - a->r.delivered_us;
	us = seq_lt(sent_us, acked_us) ? acked_us : sent_us;
	c->w->first_sent_us = a->r.sent_us;
	if ((int32_t)us <= 0 || us < c->min_rtt_us) /* less than a round trip: nonsense (4.1.5) */
		return;
	bps = (uint64_t)(c->w->delivered - a->r.delivered) * 1000000 / us;
	if (!a->r.app_limited || bps >= c->w->rate_bps)
		c->w->rate_bps = bps;
}

/* What is sent from here on is sent because the program had no more before: its samples are no measure of the path. */
void rate_look(struct tcp_conn *c)
{
	uint32_t pipe = tcp_flight_pipe(c);

	if (tcp_tx_end(c) != c->w->nxt || pipe >= c->cwnd || c->w->n_lost > c->w->n_rexmit)
		return;
	c->w->app_limited = c->w->delivered + pipe;
	if (c->w->app_limited == 0)
		c->w->app_limited = 1;
}

void pace_update(struct tcp_conn *c)
{
	uint64_t bps;

	if (c->srtt_us == 0)
		return;
	bps = (uint64_t)c->cwnd * 1000000 / c->srtt_us;
	bps = c->cwnd < c->ssthresh / 2 ? bps * 2 : bps * 6 / 5;
	if (c->pacing_max_bps > 1 && bps > c->pacing_max_bps)
		bps = c->pacing_max_bps;
	c->w->pacing_bps = bps;
}

uint32_t tcp_pace_quantum(struct berth_stack *st, struct tcp_conn *c, uint64_t *ret_at_ns)
{
	uint64_t quantum;

	if (c->pacing_max_bps == 0)
		return UINT32_MAX;
	if (st->now_ns < c->w->pace_at_ns) {
		*ret_at_ns = c->w->pace_at_ns;
		return 0;
	}
	pace_update(c);
	quantum = c->w->pacing_bps / 1000;
	if (quantum < 2u * c->mss)
		quantum = 2u * c->mss;
	return quantum < UINT32_MAX ? (uint32_t)quantum : UINT32_MAX;
}

void tcp_pace_sent(struct berth_stack *st, struct tcp_conn *c, uint32_t len)
{
	uint64_t from = c->w->pace_at_ns, credit_ns = WHEEL_TICK_NS * 2;

	if (c->pacing_max_bps == 0 || c->w->pacing_bps == 0)
		return;
	/* Time that was lost because a timer came late is made up for, no more than a little. */
	if (from + credit_ns < st->now_ns)
		from = st->now_ns - credit_ns;
	c->w->pace_at_ns = from + (uint64_t)len * 1000000000 / c->w->pacing_bps;
}
