/* src/stack/tcp_hystart.c: HyStart++ (RFC 9406): the first slow start ends when round trips grow, before the queue overflows.
 *
 *	SLOW	cwnd doubles in each round. A round whose least round trip is an eighth (4 to 16 ms) above that of the last one: the
 *		queue fills, perhaps
 *	CSS	conservative slow start: a quarter of that growth, for five rounds. Round trips fall back: it was jitter, SLOW again;
 *		they do not: congestion avoidance begins here
 *
 * A round is what was sent before its first acknowledgment; at least 8 samples make its minimum worth something. One difference from the
 * RFC: an acknowledgment of more than 8 segments counts in full (its L is 8 without pacing), because a receiver of super-frames
 * acknowledges each with one.
 */
#include "stack/tcp_flight.h"

#define N_RTT_SAMPLE 8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS 5
#define MIN_RTT_THRESH_US 4000
#define MAX_RTT_THRESH_US 16000
#define NONE_US UINT32_MAX

enum { SLOW, CSS };

static void round_begin(const struct tcp_conn *c, struct hystart *h)
{
	h->round_end = c->w->nxt;
	h->last_us = h->current_us;
	h->current_us = NONE_US;
	h->n_samples = 0;
}

void hystart_init(struct hystart *h)
{
	*h = (struct hystart){.last_us = NONE_US, .current_us = NONE_US, .base_us = NONE_US};
}

static void look(struct hystart *h)
{
	uint32_t thresh_us;

	if (h->n_samples < N_RTT_SAMPLE || h->current_us == NONE_US)
		return;
	if (h->state == CSS) {
		if (h->current_us < h->base_us) { /* 4.2: jitter */
			h->state = SLOW;
			h->base_us = NONE_US;
		}
		return;
	}
	if (h->last_us == NONE_US)
		return;
	thresh_us = h->last_us / 8;
	if (thresh_us < MIN_RTT_THRESH_US)
		thresh_us = MIN_RTT_THRESH_US;
	if (thresh_us > MAX_RTT_THRESH_US)
		thresh_us = MAX_RTT_THRESH_US;
	if (h->current_us < h->last_us + thresh_us)
		return;
	h->base_us = h->current_us;
	h->state = CSS;
	h->css_rounds = 0;
}

uint32_t hystart_ack(struct tcp_conn *c, struct hystart *h, const struct cc_ack *a)
{
	uint32_t take = a->octets;

	if (!h->begun || seq_le(h->round_end, c->una)) {
		if (h->begun && h->state == CSS && ++h->css_rounds >= CSS_ROUNDS) {
			c->ssthresh = c->cwnd;
			return a->octets;
		}
		h->begun = true;
		round_begin(c, h);
	}
	if (a->rtt_us) {
		if (a->rtt_us < h->current_us)
			h->current_us = a->rtt_us;
		if (h->n_samples < UINT8_MAX)
			h->n_samples++;
		look(h);
	}
	if (h->state == CSS)
		take /= CSS_GROWTH_DIVISOR;
	cc_slow_start(c, take);
	return 0;
}
