/* src/stack/tcp_persist.c: data that waits while nothing is in flight, so that no acknowledgment will come to let it go: the
 * window is closed, or open so little that a segment would be silly, or the program corked it.
 *
 * RFC 9293, 3.8.6.1 (MUST-36): a closed window is probed, after one RTO and then at intervals that double to two minutes. The probe is
 * a segment without data below una; the peer must answer it, because it is not acceptable, and the answer has its window.
 * As long as answers come the connection is kept open (MUST-37); only silence counts towards its end: tcp_may_retry()'s limits, and
 * a program that has closed the socket does not wait for ever (S20).
 *
 * A window that is open: when the timer runs out, what fits is sent, silly or not (3.8.6.2.1's override), and what was corked.
 */
#include "stack/tcp_data.h"
#include "stack/tcp_flight.h"

#include <errno.h>

#define ORPHAN_PROBES 9 /* at doubling intervals from 200 ms: more than 100 s */

static bool waits(const struct tcp_conn *c)
{
	uint32_t end;

	if (!c->tx.data || c->una != c->w->max)
		return false;
	switch ((enum tcp_state_name)c->state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
	case TCP_FIN_WAIT_1:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RCVD:
	case TCP_FIN_WAIT_2:
	case TCP_TIME_WAIT:
	case TCP_CLOSED:
	case TCP_LISTEN:
		return false;
	}
	end = tcp_tx_end(c) + ((c->f & TF_FIN_QUEUED) != 0);
	return seq_lt(c->w->nxt, end);
}

/* The wait after n probes: the RTO, with what a timeout left of doublings (Karn), doubled n times. */
static uint64_t wait_ns(const struct tcp_conn *c, unsigned n)
{
	uint64_t ns = rtt_timeout_ns(c);

	for (unsigned i = 0; i < n && ns < TCP_RTO_MAX_NS; i++)
		ns *= 2;
	return ns < TCP_RTO_MAX_NS ? ns : TCP_RTO_MAX_NS;
}

static uint64_t interval_ns(const struct tcp_conn *c)
{
	return wait_ns(c, c->w->n_probes);
}

/* How long it has been tried when the timer is due: the intervals so far. */
static uint64_t tried_ns(const struct tcp_conn *c)
{
	uint64_t sum = 0;

	for (unsigned n = 0; n <= c->w->n_probes; n++)
		sum += wait_ns(c, n);
	return sum;
}

static void stop(struct berth_stack *st, struct tcp_conn *c)
{
	tcp_deadline_clear(st, c, TCP_AT_PERSIST);
	if (!c->w->n_probes)
		return;
	c->w->n_probes = 0;
	if (c->una == c->w->max) /* else it is the retransmission timer's again */
		c->w->n_rtx = 0;
}

void tcp_persist_check(struct berth_stack *st, struct tcp_conn *c)
{
	if (!waits(c)) {
		stop(st, c);
		return;
	}
	if (c->w->at[TCP_AT_PERSIST] == NEVER_NS)
		tcp_deadline_set(st, c, TCP_AT_PERSIST, st->now_ns + interval_ns(c));
}

/* An acknowledgment has told the window: what a probe would ask (as Linux). */
void tcp_persist_again(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->w->at[TCP_AT_PERSIST] != NEVER_NS)
		tcp_deadline_set(st, c, TCP_AT_PERSIST, st->now_ns + interval_ns(c));
}

static bool is_over(const struct tcp_conn *c)
{
	if (c->s.flags & SOCK_ORPHAN && c->w->n_probes >= ORPHAN_PROBES)
		return true;
	/* What the program gave to the peer is too old for it, though the peer answers (as Linux). Only the program can say so. */
	return c->user_timeout_ms && tried_ns(c) >= tcp_user_timeout_ns(c);
}

/* While nothing is in flight n_rtx is free: here it counts the probes that nobody answered, for tcp_may_retry(). */
void tcp_persist_timer(struct berth_stack *st, struct tcp_conn *c)
{
	if (!waits(c)) {
		stop(st, c);
		return;
	}
	if (is_over(c)) {
		st->n.tcp_timeouts++;
		tcp_end(st, c, c->soft_err ? c->soft_err : -ETIMEDOUT);
		return;
	}
	if (!c->w->n_probes || st->now_ns - c->last_in_ns < interval_ns(c))
		c->w->n_rtx = 0; /* the last one was answered */
	else if (c->w->n_rtx < UINT8_MAX)
		c->w->n_rtx++;
	if (c->w->n_probes && !tcp_may_retry(st, c))
		return;
	if (c->w->n_probes < UINT8_MAX)
		c->w->n_probes++;
	c->f |= TF_PROBE;
	sock_ready(st, tcp_index(st, c));
	tcp_deadline_set(st, c, TCP_AT_PERSIST, st->now_ns + interval_ns(c));
}
