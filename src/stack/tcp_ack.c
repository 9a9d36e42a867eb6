/* src/stack/tcp_ack.c: an acknowledgment arrives (RFC 9293, 3.10.7.4, fifth).
 *
 * One pass, in an order that matters:
 *	1. the window (WL1, WL2), so that what follows knows it;
 *	2. SACK blocks, then una: the board says what arrived, when that was sent, and whether out of order (struct flight_ack);
 *	3. the round trip (tcp_rtt.c), the rate (tcp_pace.c);
 *	4. what is lost, by that (tcp_rack.c, tcp_recover.c), and what the window of congestion becomes (tcp_cc.c);
 *	5. the timer, the program's room, and the connection's turn to send.
 *
 * SACK blocks are the peer's word and checked against what was sent (S5): one that is not within [una, max] is counted and ignored, the
 * rest of the segment is not. The first block may tell of a duplicate instead (RFC 2883): it lies below the ACK field, or inside the
 * second block.
 */
#include <string.h>

#include "stack/tcp_flight.h"

/* RFC 9293, 3.10.7.4: a window is as new as the segment that says it. Of a SYN it is not scaled (RFC 7323, 2.2). A segment that came
 * late, yet acknowledges more than any before, is taken at its word, too, as Linux does: with its ACK and an older window the right
 * edge would move further than the peer ever granted. Of two that differ in nothing else the larger window is the newer one; but a
 * closed one is believed. */
static bool window(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t wnd = s->flags & WIRE_TCP_SYN ? s->wnd : (uint32_t)s->wnd << c->snd_scale;
	uint32_t before = c->snd_wnd;

	if (!(s->flags & WIRE_TCP_SYN) && !seq_lt(c->snd_wl1, s->seq) && !seq_lt(c->snd_wl2, s->ack) &&
	    !(c->snd_wl1 == s->seq && c->snd_wl2 == s->ack && (wnd >= before || wnd == 0)))
		return false;
	c->snd_wnd = wnd;
	c->snd_wl1 = s->flags & WIRE_TCP_SYN ? s->seq : seq_max(c->snd_wl1, s->seq);
	c->snd_wl2 = s->ack;
	if (wnd > c->snd_wnd_max)
		c->snd_wnd_max = wnd;
	return wnd != before;
}

/* Is the first block a D-SACK (RFC 2883, 4)? */
static bool is_dsack(const struct tcp_seg *s)
{
	const struct wire_tcp_sack *v = s->opt.sacks;

	if (seq_le(v[0].right, s->ack))
		return true;
	return s->opt.n_sacks > 1 && seq_le(v[1].left, v[0].left) && seq_le(v[0].right, v[1].right);
}

/* What was reported as arrived twice: of what was sent, and not longer ago than a window. */
static void dsack(struct berth_stack *st, struct tcp_conn *c, const struct wire_tcp_sack *d, struct flight_ack *a)
{
	uint32_t len = d->right - d->left, mss = c->mss ? c->mss : 1;

	/* Below iss nothing was sent; "seq_lt(d->left, iss)" would be wrong after 2 GiB. */
	if (seq_lt(c->w->max, d->right) || c->w->max - d->left > c->snd_wnd_max + (c->w->max - c->una) ||
	    (seq_lt(d->left, c->una) && c->una - d->left > c->bytes_acked + 1)) {
		st->n.tcp_sack_ignored++;
		return;
	}
	st->n.tcp_dsack_in++;
	c->dsacks++;
	a->dsack_segs = len <= mss ? 1 : len / mss;
	if (c->recover_flags & RF_TLP_REXMIT && d->right == c->w->tlp_end_seq)
		c->recover_flags |= RF_TLP_DSACK;
	if (c->recover_flags & RF_UNDO && !seq_lt(d->right, c->w->undo_una))
		c->w->undo_retrans -= c->w->undo_retrans < a->dsack_segs ? c->w->undo_retrans : a->dsack_segs;
}

static void sack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a)
{
	struct wire_tcp_sack v[WIRE_TCP_SACKS_MAX];
	unsigned n = 0, first = 0;

	if (s->opt.n_sacks == 0)
		return;
	if (is_dsack(s)) {
		dsack(st, c, &s->opt.sacks[0], a);
		first = 1;
	}
	for (unsigned i = first; i < s->opt.n_sacks && i < WIRE_TCP_SACKS_MAX; i++) {
		const struct wire_tcp_sack *b = &s->opt.sacks[i];
		unsigned at = n;

		if (!seq_lt(b->left, b->right) || !seq_in(b->left, c->una, c->w->max) || seq_lt(c->w->max, b->right)) {
			st->n.tcp_sack_ignored++;
			continue;
		}
		while (at > 0 && seq_lt(b->left, v[at - 1].left)) {
			v[at] = v[at - 1];
			at--;
		}
		v[at] = *b;
		n++;
	}
	if (n > 0)
		board_sack(st, c, v, n, a);
}

/* RFC 5681, 2: nothing new in it but that something arrived beyond una. */
static bool is_duplicate(const struct tcp_conn *c, const struct tcp_seg *s, bool wnd_changed)
{
	return s->ack == c->una && c->w->n_out > 0 && s->len == 0 && !wnd_changed &&
	       !(s->flags & (WIRE_TCP_SYN | WIRE_TCP_FIN));
}

/* una moves: the sending ring gives its octets back. SYN and FIN are sequence numbers but no octets. */
static unsigned advance(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a)
{
	unsigned ret = ACK_ADVANCED;
	uint32_t octets = a->acked;

	a->syn |= tcp_tx_seq(c) != c->una; /* una == iss alone would be wrong after 4 GiB */
	octets -= (a->syn ? 1u : 0u) + (a->fin ? 1u : 0u);
	tcp_tx_acked(st, c, s->ack, octets);
	c->bytes_acked += octets;
	if (seq_lt(c->w->snd_up, c->una))
		c->f &= ~(uint32_t)TF_URG_OUT;
	c->w->n_rtx = 0;
	c->w->first_rtx_ns = 0;
	if (a->syn)
		ret |= ACK_SYN;
	if (a->fin)
		ret |= ACK_FIN;
	return ret;
}

unsigned tcp_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	bool nothing_was_out = c->w->n_out == 0;
	struct flight_ack a;
	unsigned ret = 0;

	memset(&a, 0, sizeof(a));
	a.now_us = tcp_now_us(st);
	a.acked = s->ack - c->una;
	a.pipe_before = tcp_flight_pipe(c);
	a.lost_before = c->w->n_lost;
	a.fack = c->w->rack_fack;
	if (window(c, s))
		ret |= ACK_WINDOW;
	a.dup = is_duplicate(c, s, (ret & ACK_WINDOW) != 0);
	a.ece = c->f & TF_ECN && (s->flags & (WIRE_TCP_ECE | WIRE_TCP_SYN)) == WIRE_TCP_ECE;
	if (c->f & TF_SACK)
		sack(st, c, s, &a);
	a.sack_octets = a.delivered;
	if (a.acked > 0) {
		board_cum_ack(st, c, s->ack, &a);
		ret |= advance(st, c, s, &a);
		ip_route_confirm(st, &c->w->route); /* it reached the peer: that is news of the neighbour, too */
	}
	/* It lives, and has no room: no reason to give up (RFC 9293, 3.8.6.1). But nobody waits for ever for a peer that keeps its window
	 * shut: not after close(), nor longer than the program said (S20). */
	if (c->snd_wnd == 0 && c->w->n_out > 0 && c->w->first_rtx_ns && !(c->s.flags & SOCK_ORPHAN) &&
	    !c->user_timeout_ms) {
		c->w->n_rtx = 0;
		c->w->first_rtx_ns = st->now_ns;
	}
	rtt_from_ack(st, c, s, &a);
	rate_ack(c, &a);
	recover_ack(st, c, s, &a);
	rate_look(c);
	tcp_persist_check(st, c);
	if (nothing_was_out && s->len == 0)
		tcp_persist_again(st, c);
	if (a.acked > 0 || a.sacked || a.dup || ret & ACK_WINDOW || c->w->n_lost)
		sock_ready(st, tcp_index(st, c));
	ASSERT_SLOW(tcp_flight_check(st, c));
	return ret;
}
