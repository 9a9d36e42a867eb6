/* src/stack/tcp_cc.c: congestion control: what all have in common, and the table of them.
 *
 * A congestion control is a struct tcp_cc_ops in a file of its own and a line in the table here (docs/stack.md has the recipe). It
 * says how cwnd grows on an acknowledgment and what ssthresh becomes on a loss; recovery (tcp_recover.c) does the rest. All is
 * in octets: acknowledgments are counted by what they cover (RFC 3465), so splitting them gains nothing.
 *
 * cwnd grows only while it is what holds us back (TF_CC_LIMITED): a window that was not used says nothing about the path (RFC 7661).
 * Slow start counts as limited when half of it was used. After silence the window is halved for each timeout that went by,
 * down to the initial one (RFC 2861's decay; RFC 5681, 4.1).
 */
#include "stack/tcp_flight.h"

static const struct tcp_cc_ops *const table[] = {
	[BERTH_NEWRENO] = &cc_newreno,
	[BERTH_CUBIC] = &cc_cubic,
};

const struct tcp_cc_ops *cc_of(const struct tcp_conn *c)
{
	return table[c->cc < COUNT_OF(table) ? c->cc : BERTH_NEWRENO];
}

static uint32_t segment(const struct tcp_conn *c)
{
	return c->mss ? c->mss : TCP_MSS_FLOOR;
}

/* RFC 6928; RFC 5681, 3.1: one segment after a handshake that lost more than one SYN. */
static uint32_t initial(const struct tcp_conn *c)
{
	return segment(c) * (c->rexmits > 1 && c->bytes_acked == 0 ? 1 : TCP_INIT_CWND);
}

void cc_start(struct berth_stack *st, struct tcp_conn *c)
{
	(void)st;
	c->cwnd = initial(c);
	c->ssthresh = CC_SSTHRESH_NONE;
	c->w->cwnd_acked = 0;
	c->w->cwnd_seq = c->una;
	c->f &= ~(uint32_t)TF_CC_LIMITED;
	for (unsigned i = 0; i < COUNT_OF(c->w->cc_private); i++)
		c->w->cc_private[i] = 0;
	cc_of(c)->init(c);
}

void tcp_flight_congestion(struct tcp_conn *c, uint8_t cc)
{
	c->cc = cc;
	c->cc_kept = 0;
	if (c->w == NULL)
		return;
	c->w->cwnd_acked = 0;
	for (unsigned i = 0; i < COUNT_OF(c->w->cc_private); i++)
		c->w->cc_private[i] = 0;
	cc_of(c)->init(c);
}

uint32_t cc_slow_start(struct tcp_conn *c, uint32_t octets)
{
	uint32_t room = c->ssthresh - c->cwnd, take = octets < room ? octets : room;

	c->cwnd += take;
	if (c->cwnd > CC_CWND_MAX)
		c->cwnd = CC_CWND_MAX;
	return octets - take;
}

void cc_grow(struct tcp_conn *c, uint32_t octets)
{
	uint64_t sum = (uint64_t)c->w->cwnd_acked + octets;

	while (c->cwnd < CC_CWND_MAX) { /* octets are at most what was in flight: twice or so */
		uint32_t gain = c->mss - c->cwnd % c->mss;
		uint64_t need = (uint64_t)c->cwnd * gain / c->mss;

		if (sum < need)
			break;
		sum -= need;
		c->cwnd += gain;
	}
	c->w->cwnd_acked = sum < c->cwnd ? (uint32_t)sum : 0;
}

void cc_ack(struct tcp_conn *c, const struct flight_ack *a, bool after_loss)
{
	struct cc_ack ack = {.octets = a->delivered, .now_us = a->now_us, .rtt_us = a->rtt ? a->rtt_us : 0};

	/* An acknowledgment in pieces is worth no more than a whole one. */
	if (ack.octets == 0 || ack.octets > a->acked + a->sack_octets)
		ack.octets = a->acked + a->sack_octets;
	/* After a timeout the window is what limits, whatever was sent before it. */
	if (!(c->f & TF_CC_LIMITED) && !after_loss)
		return;
	/* ... and a segment is a segment, as on Linux: by octets small ones would not let it grow. Pieces of one count as pieces. */
	if (after_loss && a->segs && ack.octets % c->mss)
		ack.octets += c->mss - ack.octets % c->mss;
	cc_of(c)->on_ack(c, &ack);
}

void cc_sent(struct tcp_conn *c, uint32_t end_seq)
{
	uint32_t pipe = tcp_flight_pipe(c);

	c->recover_flags &= (uint16_t)~RF_IDLE_SEEN;
	if (pipe + segment(c) > c->cwnd || (cc_in_slow_start(c) && (uint64_t)pipe * 2 >= c->cwnd)) {
		c->f |= TF_CC_LIMITED;
		c->w->cwnd_seq = end_seq;
	} else if (seq_le(c->w->cwnd_seq, c->una)) {
		c->f &= ~(uint32_t)TF_CC_LIMITED;
	}
}

/* Called with nothing in flight, before something is sent. */
void cc_idle(struct berth_stack *st, struct tcp_conn *c)
{
	uint64_t idle_ns = st->now_ns - c->last_out_ns, rto_ns = (uint64_t)c->rto_us * 1000;
	uint32_t least = initial(c);

	if (c->idle_keep || c->recover_flags & RF_IDLE_SEEN || c->last_out_ns == 0 || st->now_ns < c->last_out_ns ||
	    rto_ns == 0 || idle_ns <= rto_ns)
		return;
	c->recover_flags |= RF_IDLE_SEEN; /* once for each silence */
	if (c->cwnd > least) {
		uint32_t kept = c->cwnd / 4 * 3;

		if (c->ssthresh < kept)
			c->ssthresh = kept; /* what the path once carried (RFC 2861, 3) */
		for (; idle_ns > rto_ns && c->cwnd > least; idle_ns -= rto_ns)
			c->cwnd /= 2;
		if (c->cwnd < least)
			c->cwnd = least;
	}
	c->w->cwnd_acked = 0;
	if (cc_of(c)->on_idle)
		cc_of(c)->on_idle(c, idle_ns / 1000 > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)(idle_ns / 1000));
}
