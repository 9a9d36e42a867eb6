/* src/stack/tcp_train.c: how long a super-frame should be (BERTH_TRAIN), by Linux's rules.
 *
 * A train that is as long as the window allows comes out of the device as one burst, and its acknowledgments come back as one. So a train is
 * what the connection sends in a millisecond at its rate (cwnd / srtt, times 2 in slow start and 1.2 after), plus, on short
 * paths, 64 KiB halved for each half millisecond of the round trip; at least as many segments as the option says; and at most half of
 * the window of congestion, and of the peer's, so that there are always two.
 *
 * And when less may go than that, waiting for the next acknowledgment can make one good train of two bad ones. It waits only where it
 * costs nothing: something was sent less than a millisecond ago, less than a third of the window is free, and the oldest segment in flight is
 * out for half a round trip, so that an acknowledgment is about to come. No timer is needed for that reason.
 */
#include "stack/tcp_data.h"

#define RATE_SHIFT 10 /* of octets a second: a millisecond's */
#define RTT_SHIFT 9   /* of the shortest round trip in microseconds: halvings */
#define WHOLE_OCTETS UINT32_C(65535)
#define WIN_DIVISOR 3u
#define RECENT_NS UINT64_C(900000) /* a millisecond ago is not recent, whoever looked at the clock first */

static uint32_t whole_segments(const struct tcp_conn *c, uint32_t mss)
{
	uint64_t bytes = WHOLE_OCTETS;
	uint32_t n;

	if (c->srtt_us != 0) {
		bytes = (uint64_t)c->cwnd * 1000000 / c->srtt_us;
		bytes = (c->cwnd < c->ssthresh / 2 ? bytes * 2 : bytes * 6 / 5) >> RATE_SHIFT;
		if (c->min_rtt_us >> RTT_SHIFT < 32)
			bytes += (uint64_t)WHOLE_OCTETS >> (c->min_rtt_us >> RTT_SHIFT);
		if (bytes > WHOLE_OCTETS)
			bytes = WHOLE_OCTETS;
	}
	n = (uint32_t)bytes / mss;
	return n > c->train ? n : c->train;
}

/* Is less than a whole train worth waiting with? */
static bool wait_for_more(struct berth_stack *st, const struct tcp_conn *c, uint32_t len, uint32_t whole)
{
	const struct tcp_burst *oldest;
	uint32_t window = c->cwnd < c->snd_wnd ? c->cwnd : c->snd_wnd, sent_us;

	if (len >= whole || c->w->ca_state >= 3 || len >= window / WIN_DIVISOR || c->w->burst_first == NIL)
		return false;
	if (st->now_ns > c->last_out_ns + RECENT_NS)
		return false;
	oldest = slab_at(&st->tcp->bursts, c->w->burst_first);
	sent_us = oldest->rexmit ? oldest->rexmit_us : oldest->sent_us;
	return tcp_now_us(st) - sent_us >= c->srtt_us / 2;
}

uint32_t tcp_train(struct berth_stack *st, const struct tcp_conn *c, uint32_t len, uint32_t left, uint32_t mss)
{
	uint32_t whole = whole_segments(c, mss), half = c->cwnd / mss / 2;

	if (left > mss && len < left && wait_for_more(st, c, len, whole * mss))
		return 0;
	if (half > c->snd_wnd_max / mss / 2)
		half = c->snd_wnd_max / mss / 2;
	if (half < 1)
		half = 1;
	if (whole > half)
		whole = half;
	return len < whole * mss ? len : whole * mss;
}
