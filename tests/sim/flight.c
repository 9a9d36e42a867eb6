/* tests/sim/flight.c: what output() puts in flight stays within the congestion window, in every state.
 *
 * Before each call of output() the pipe (RFC 6675: octets in flight, as the sender reckons) of each connection is noted. After it the pipe may
 * be larger than it was only up to cwnd; and what it was and the octets of the frames that left together neither: a copy that nobody
 * counts would show there. What may go beside the window, and no more:
 *	one octet	a FIN: it takes a number, and no room in the network (it rides on a segment)
 *	one segment	a tail loss probe (RFC 8985, 7.3), when one was due before the call and is not after it
 *	one segment	with nothing in flight: proportional rate reduction may leave less than a segment of window, and no acknowledgment
 *			would come that made it larger
 *	mss - its size	without SACK, for each small segment that duplicates say arrived: they are taken for full ones (RFC 6582, 3.2, step 4)
 * A fast retransmission needs none: PRR has room for it. Nor does limited transmit (RFC 3042): what arrived has left the pipe. Window
 * probes take no sequence space, or are new data within cwnd.
 */
#include "sim.h"

#include "stack/tcp_flight.h"

static uint32_t above(const struct tcp_conn *c, uint32_t from, uint32_t to)
{
	from = seq_max(from, c->una);
	return seq_lt(from, to) ? to - from : 0;
}

/* Octets, counted here once more. The stack counts segments as a whole as long as una has not passed them, so its number is larger when
 * una lies inside of one, which was sent again in pieces because the path got narrow. */
static struct sim_pipe pipe_of(const struct berth_stack *st, const struct tcp_conn *c)
{
	int64_t pipe = 0, arrived = c->f & TF_SACK ? 0 : (int64_t)c->w->dupacks * c->mss, small = 0;

	for (uint32_t k = c->w->burst_first; k != NIL; k = burst_at(st, k)->next) {
		const struct tcp_burst *b = burst_at(st, k);

		for (unsigned i = 0; i < b->n; i++) {
			uint32_t len = above(c, board_from(b, i), board_to(b, i));

			if (!((board_sacked(b) | b->lost) >> i & 1)) {
				pipe += len;
				small += len < c->mss ? c->mss - len : 0;
			}
			if (b->rexmit >> i & 1)
				pipe += len;
		}
	}
	if (c->recover_flags & RF_PIECES)
		pipe += above(c, c->w->rexmit_from, c->w->rexmit_at);
	pipe -= arrived;
	return (struct sim_pipe){pipe > 0 ? pipe : 0, pipe > 0 ? pipe : pipe > -small ? pipe : -small};
}

void flight_before(struct sim_host *h)
{
	ASSERT(h->st->conns.n_max <= COUNT_OF(h->flights));
	for (uint32_t i = 0; i < h->st->conns.n_max; i++) {
		const struct tcp_conn *c = slab_used(&h->st->conns, i) ? slab_at(&h->st->conns, i) : NULL;
		struct sim_flight *f = &h->flights[i];

		f->is_conn = c && c->state && c->state != TCP_LISTEN && c->state != TCP_CLOSED && c->w;
		if (!f->is_conn)
			continue;
		f->generation = h->st->conns.generation[i];
		f->pipe = pipe_of(h->st, c);
		f->mss = c->mss;
		f->sent = 0;
		f->peer = c->w->peer;
		f->local_port = c->w->local_port;
		f->peer_port = c->w->peer_port;
		f->is_probe_due = c->recover_flags & RF_TLP_DUE;
	}
}

void flight_sent(struct sim_host *h, const struct link_view *v)
{
	uint32_t len =
		(uint32_t)v->tcp.payload.len_bytes + !!(v->tcp.flags & WIRE_TCP_SYN) + !!(v->tcp.flags & WIRE_TCP_FIN);

	for (uint32_t i = 0; len && i < h->st->conns.n_max; i++) {
		struct sim_flight *f = &h->flights[i];

		if (f->is_conn && f->local_port == v->tcp.src_port && f->peer_port == v->tcp.dst_port &&
		    port_addr_equal(&f->peer, &v->dst))
			f->sent += len;
	}
}

static void check(struct sim_host *h, const struct tcp_conn *c, const struct sim_flight *f)
{
	struct sim_pipe before = f->pipe, after = pipe_of(h->st, c);
	int64_t most = c->cwnd > before.octets ? c->cwnd : before.octets;
	/* A path that got narrow just now takes what was too long for lost before anything is sent. */
	int64_t base = before.least < after.least ? before.least : after.least;

	if (c->mss < f->mss) /* ... and what went instead may be as much as that was */
		base = 0;
	if (f->is_probe_due && !(c->recover_flags & RF_TLP_DUE) && most < before.octets + c->mss)
		most = before.octets + c->mss;
	if (before.octets == 0 && most < c->mss)
		most = c->mss;
	if (c->f & TF_FIN_SENT)
		most++;
	if ((after.octets > before.octets && after.octets > most) || base + f->sent > most)
		sim_fail(h->s, "in flight within the congestion window",
			 "host %u port %u: %u octets sent, %d before, %d after, cwnd %u, mss %u, state %u", h->index,
			 c->w->local_port, f->sent, (int)before.octets, (int)after.octets, c->cwnd, c->mss,
			 c->w->ca_state);
}

void flight_after(struct sim_host *h)
{
	for (uint32_t i = 0; i < h->st->conns.n_max; i++) {
		const struct sim_flight *f = &h->flights[i];
		const struct tcp_conn *c;

		if (!f->is_conn || !slab_used(&h->st->conns, i) || f->generation != h->st->conns.generation[i])
			continue;
		c = slab_at(&h->st->conns, i);
		if (c->w && c->state != TCP_CLOSED)
			check(h, c, f);
	}
}
