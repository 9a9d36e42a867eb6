/* tests/sim/silence.c: nobody is silent for longer than the rules allow.
 *
 * What an end has to say is known from outside: the observer saw what it sent and which acknowledgments reached it, the program
 * knows what it wrote. How long it may be silent follows from its RTO (RFC 6298, doublings and all):
 *
 *	something is unacknowledged, or written and not sent	its RTO, which is 120 s at most
 *	data came that is next in order and within the window	half a second until it is acknowledged (RFC 9293, MUST-58);
 *								not what others overtook so far that it is refused
 *
 * A silence begins with the latest of: a segment with sequence space left, or a probe; the acknowledgment point moved; SACK blocks came; with
 * nothing in flight, any bare acknowledgment (it tells the window); it got something to say, or was restored. The RTO is the largest since the acknowledgment point moved: only that sets a running timer anew, and a round trip
 * that is measured meanwhile takes doublings back from the RTO, not from the timer. Added is how late the host's program
 * is, how long its frames wait for their writer, and two milliseconds for the slots of the wheel.
 *
 * Not seen: a SYN that never left; a connection that waits for a working block; SYN-ACKs of the cache (tcp_syn_check() looks at its timers); a window that opened without a word (the
 * other end's probes go on); whether the RTO itself is right (test_tcp_rtt); attacked worlds. While a neighbour's link address
 * is asked for nobody can say anything; where it does not answer, the connection's own count of what it tried stands for frames.
 */
#include "sim.h"

#include <stdio.h>

#include "stack/stack.h"

#define RTO_LONGEST (120 * SIM_S)
#define ACK_LONGEST (500 * SIM_MS)
#define TS_RECENT_NS (24 * 86400 * SIM_S)
#define NEIGH_LONGEST (4 * SIM_S) /* three questions, a second each */

static int32_t diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

void silence_syn(struct silence *q, uint32_t isn, uint64_t now_ns)
{
	*q = (struct silence){.una = isn, .since_ns = now_ns};
}

void silence_sent(struct silence *q, const struct wire_tcp *t, uint64_t now_ns)
{
	bool takes_space = t->payload.len_bytes || t->flags & (WIRE_TCP_SYN | WIRE_TCP_FIN);

	if (takes_space || diff(t->seq, q->una) < 0)
		q->since_ns = now_ns;
	if (t->flags & WIRE_TCP_ACK) {
		if (!q->has_acked || diff(t->ack, q->acked) > 0)
			q->acked = t->ack;
		q->has_acked = true;
		if (q->owes_ack && diff(t->ack, q->owed) >= 0)
			q->owes_ack = false;
	}
}

/* A segment that others overtook may be refused, its data, too: by its timestamp when a copy that was sent later filled the hole before it
 * (PAWS, RFC 7323, 5.2; 24 days later the timestamp is forgotten, 5.5), by an acknowledgment from before the largest window (RFC 5961, 5.2). Its sender sends it again. */
static bool is_outdated(struct silence *q, const struct wire_tcp *t, uint32_t window, uint64_t now_ns)
{
	bool older = false;

	if (t->options.has & WIRE_TCP_HAS_TS) {
		older = q->has_ts && diff(t->options.ts_val, q->ts_recent) < 0 && now_ns - q->ts_ns < TS_RECENT_NS;
		if (!older && q->has_acked && diff(t->seq, q->acked) <= 0) {
			q->has_ts = true;
			q->ts_recent = t->options.ts_val;
			q->ts_ns = now_ns;
		}
	}
	if (!older && window > q->window_max)
		q->window_max = window;
	return older || diff(t->ack, q->una - q->window_max) < 0;
}

void silence_got(struct silence *q, const struct wire_tcp *t, uint32_t window, uint32_t granted, uint64_t now_ns)
{
	uint32_t len = (uint32_t)t->payload.len_bytes + !!(t->flags & WIRE_TCP_FIN);

	if (is_outdated(q, t, window, now_ns))
		return;
	if (diff(t->ack, q->una) > 0 || t->options.n_sacks)
		q->since_ns = now_ns;
	if (diff(t->ack, q->una) > 0)
		q->una = t->ack;
	if (len && !q->owes_ack && q->has_acked && diff(t->seq, q->acked) <= 0 && diff(t->seq + len, q->acked) > 0 &&
	    diff(t->seq + len, granted) <= 0) {
		q->owes_ack = true;
		q->owed = t->seq + len;
		q->owed_ns = now_ns;
	}
}

static uint64_t slack_ns(const struct sim_host *h)
{
	return 3 * h->late_ns + 2 * h->pin_ns + 2 * SIM_MS;
}

static void check_sender(struct sim *s, const struct sim_host *h, struct silence *q, const struct sim_look *t,
			 bool has_work)
{
	uint64_t rto_ns = t->rto_ns < RTO_LONGEST ? t->rto_ns : RTO_LONGEST, longest;

	if (!has_work || !q->had_work || t->una != q->looked_una) {
		q->since_ns = s->now_ns;
		q->rto_ns = 0;
	} else if (t->n_tried != q->n_tried && h->st->n.neigh_failed) {
		q->since_ns = s->now_ns;
	}
	q->had_work = has_work;
	q->looked_una = t->una;
	q->n_tried = t->n_tried;
	if (rto_ns > q->rto_ns)
		q->rto_ns = rto_ns;
	longest = q->rto_ns + slack_ns(h);
	if (s->now_ns - q->since_ns > longest)
		sim_fail(s, "no silence is longer than the RTO allows",
			 "host %u port %u, state %u: silent for %.6f s, RTO %.6f s", h->index, t->local_port, t->state,
			 (double)(s->now_ns - q->since_ns) / 1e9, (double)q->rto_ns / 1e9);
}

static void check_conn(struct sim *s, const struct sim_host *h, uint32_t i)
{
	struct sim_look t = sim_look_at(h->st, i);
	struct silence *q;
	bool has_work;

	if (!t.is_conn || !(q = observe_silence(s, &t, &has_work)))
		return;
	t.block ^= (uint64_t)h->n_boots << 56;
	if (t.block != q->block) { /* what came before was nobody's: dropped, as it should be */
		q->owes_ack = false;
		q->had_work = false;
		q->waits = false;
		q->block = t.block;
	}
	if (t.waits_for_neigh) {
		if (!q->waits)
			q->waits_ns = s->now_ns;
		q->waits = true;
		if (s->now_ns - q->waits_ns > NEIGH_LONGEST + slack_ns(h))
			sim_fail(s, "no silence is longer than the RTO allows",
				 "host %u port %u: waits for a neighbour since %.6f s", h->index, t.local_port,
				 (double)q->waits_ns / 1e9);
		q->since_ns = s->now_ns;
		q->owed_ns = s->now_ns;
		return;
	}
	q->waits = false;
	check_sender(s, h, q, &t, has_work);
	if (h->st->n.neigh_failed && diff(t.rcv_acked, q->owed) >= 0)
		q->owes_ack = false; /* it was said, and nobody was there to carry it */
	if (q->owes_ack && t.is_receiving && !s->windows_shrink && s->now_ns - q->owed_ns > ACK_LONGEST + slack_ns(h))
		sim_fail(s, "what came is acknowledged within half a second",
			 "host %u port %u: up to %u since %.6f s, acknowledged %u", h->index, t.local_port, q->owed,
			 (double)q->owed_ns / 1e9, q->acked);
}

void silence_check(struct sim *s)
{
	if (s->is_attacked)
		return;
	for (unsigned k = 0; k < s->n_hosts; k++) {
		struct sim_host *h = s->hosts[k];

		for (uint32_t i = 0; h->st && i < h->st->conns.n_max; i++)
			if (slab_used(&h->st->conns, i))
				check_conn(s, h, i);
	}
}
