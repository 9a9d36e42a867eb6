/* src/stack/tcp_board.c: the board of what is in flight: bursts, and a mark for each of their segments.
 *
 *	c->w->burst_first --> burst --> burst --> burst (c->w->burst_last) --> NIL	in order of sequence, and of first sending
 *
 *	segment	 sacked lost rexmit
 *		   .	  .    .    in flight
 *		   .	  x    .    lost: to be sent again
 *		   .	  x    x    sent again, the copy is in flight
 *		   .	  .    x    original and copy are in flight (a probe; a loss that was undone)
 *		   x	  .    .    arrived, una has not come so far
 *		   x	  x    .    lost, and so is a copy that was sent: it is not sacked (board_sacked()), the bit
 *		   x	  x    x    ... only says that it was sent more than once, for who measures round trips
 *
 * What is acknowledged leaves from the front. A segment of which una or a SACK block covers a part only counts as not arrived, so
 * the first burst may begin before una; a peer that acknowledges single octets changes nothing here (S16). Segments that are sent
 * soon after each other share a burst, so that 16 records hold a window of 64 KiB and a record can still say when each of its segments was sent, well
 * enough: the first and the last exactly, those between them as if they had left evenly.
 *
 * RACK needs the times of retransmissions, too. A burst knows from when to when its copies in flight were sent: for "how recent is
 * what arrived" the first counts, for "is this copy overdue" the last, so a doubt makes us wait and not send.
 *
 * Always true (tcp_flight_check())
 *   B1  bursts are contiguous; the first one's first segment holds una;
 *   B2  only segments have marks; what is sacked has no copy in flight;
 *   B3  n_out, n_sacked, n_lost, n_rexmit and pipe are what counting gives: pipe has the octets of all that are not sacked and not
 *	 lost, and of all copies.
 *
 * Cost: an acknowledgment's SACK blocks are one walk over the connection's bursts; everything else is constant for each
 * burst that leaves.
 */
#include "stack/tcp_flight.h"

/* Octets that may be left unsent beside a burst before a new one begins: a 32nd of the round trip. */
#define JOIN_SHIFT 5
#define JOIN_SHIFT_SCARCE 3 /* ... an eighth when records are getting few */
#define SPAN_SHIFT 6	    /* of rexmit_span */

static uint64_t bits(unsigned from, unsigned to)
{
	uint64_t below_to = to >= 64 ? UINT64_MAX : (UINT64_C(1) << to) - 1;

	return from >= 64 ? 0 : below_to & ~((UINT64_C(1) << from) - 1);
}

static uint64_t bit(unsigned i)
{
	return UINT64_C(1) << i;
}

static unsigned lowest(uint64_t m)
{
	return (unsigned)__builtin_ctzll(m);
}

static unsigned highest(uint64_t m)
{
	return 63 - (unsigned)__builtin_clzll(m);
}

static unsigned count(uint64_t m)
{
	return (unsigned)__builtin_popcountll(m);
}

uint64_t board_all(const struct tcp_burst *b)
{
	return bits(0, b->n);
}

uint32_t board_from(const struct tcp_burst *b, unsigned i)
{
	return b->seq + i * b->mss;
}

uint32_t board_to(const struct tcp_burst *b, unsigned i)
{
	return i + 1u == b->n ? b->seq + b->len : b->seq + (i + 1) * b->mss;
}

uint32_t board_octets(const struct tcp_burst *b, uint64_t m)
{
	uint32_t octets = count(m) * b->mss;

	if (m & bit(b->n - 1u))
		octets += b->len - b->n * b->mss; /* the last one's own size; goes round when it is shorter */
	return octets;
}

uint32_t board_sent_us(const struct tcp_burst *b, unsigned i)
{
	return b->n < 2 ? b->sent_us : b->sent_us + (uint32_t)b->sent_span * i / (b->n - 1u);
}

uint32_t board_rexmit_last_us(const struct tcp_burst *b, uint32_t now_us)
{
	uint32_t last_us = b->rexmit_us + ((uint32_t)b->rexmit_span << SPAN_SHIFT);

	/* The span is rounded up. (What is later than now by more was sent half an hour ago and more: the program slept.) */
	return last_us - now_us < 1u << SPAN_SHIFT ? now_us : last_us;
}

uint64_t board_sacked(const struct tcp_burst *b)
{
	return b->sacked & ~b->lost;
}

/* Segments that were sent only once (Karn's question), as far as the marks tell: after an undone loss they forget. */
static uint64_t sent_once(const struct tcp_burst *b)
{
	return ~b->rexmit & ~(b->sacked & b->lost);
}

/* --- marks, and the counts with them --- */

static void unmark_lost(struct tcp_conn *c, struct tcp_burst *b, uint64_t m)
{
	m &= b->lost;
	c->w->n_lost -= count(m);
	c->w->pipe += board_octets(b, m);
	b->lost &= ~m;
	b->sacked &= ~m;
}

static void unmark_rexmit(struct tcp_conn *c, struct tcp_burst *b, uint64_t m)
{
	m &= b->rexmit;
	c->w->n_rexmit -= count(m);
	c->w->pipe -= board_octets(b, m);
	b->rexmit &= ~m;
}

/* The segment that is sent again in pieces just now; 0: none of this burst. */
static uint64_t piece_of(const struct tcp_conn *c, const struct tcp_burst *b)
{
	uint32_t at = c->w->rexmit_at - b->seq, k = at / b->mss;

	return c->recover_flags & RF_PIECES && at < b->len ? bit(k < b->n ? k : b->n - 1u) : 0;
}

static bool has_piece(const struct tcp_conn *c, const struct tcp_burst *b, uint64_t m)
{
	return m & piece_of(c, b);
}

void board_lose(struct tcp_conn *c, struct tcp_burst *b, uint64_t m)
{
	uint64_t again;

	m &= board_all(b) & ~board_sacked(b);
	again = m & b->rexmit;
	unmark_rexmit(c, b, again);
	m &= ~b->lost;
	c->w->n_lost += count(m);
	c->w->pipe -= board_octets(b, m);
	b->lost |= m;
	b->sacked |= again;
}

void board_lose_all(struct berth_stack *st, struct tcp_conn *c)
{
	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next)
		board_lose(c, burst_at(st, i), UINT64_MAX);
	c->recover_flags &=
		(uint16_t)~RF_PIECES; /* a piece that was out is lost, too: it is not in the pipe any more */
}

/* RFC 8985, 6.3: the first, and what was sent last more than a round trip ago. The rest may well be under way. */
void board_lose_overdue(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t now_us = tcp_now_us(st);

	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next) {
		struct tcp_burst *b = burst_at(st, i);
		uint64_t old = i == c->w->burst_first;

		for (unsigned k = 0; k < b->n; k++)
			if (now_us - (b->rexmit & bit(k) ? board_rexmit_last_us(b, now_us) : board_sent_us(b, k)) >=
			    c->w->rack_rtt_us)
				old |= bit(k);
		board_lose(c, b, old);
	}
	c->recover_flags &= (uint16_t)~RF_PIECES;
}

void board_lose_first(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->w->burst_first != NIL)
		board_lose(c, burst_at(st, c->w->burst_first), 1);
}

void board_unlose(struct berth_stack *st, struct tcp_conn *c)
{
	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next)
		unmark_lost(c, burst_at(st, i), UINT64_MAX);
	c->recover_flags &= (uint16_t)~RF_PIECES;
}

void board_renege(struct berth_stack *st, struct tcp_conn *c)
{
	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next) {
		struct tcp_burst *b = burst_at(st, i);

		c->w->pipe += board_octets(b, board_sacked(b));
		b->sacked &= b->lost;
	}
	c->w->n_sacked = 0;
}

/* --- what arrived --- */

/* Segments m of b were sent once and have arrived: round trips, the latest, reordering. */
static void note_once(const struct tcp_conn *c, const struct tcp_burst *b, uint64_t m, struct flight_ack *a)
{
	unsigned first = lowest(m), last = highest(m);
	uint32_t first_us = board_sent_us(b, first), last_us = board_sent_us(b, last);

	if (!a->rtt || us_after(a->oldest_us, first_us, a->now_us))
		a->oldest_us = first_us;
	if (!a->rtt || us_after(last_us, a->newest_us, a->now_us))
		a->newest_us = last_us;
	a->rtt = true;
	a->orig = true;
	if (seq_le(board_to(b, first), c->w->recover_seq))
		a->orig_low = true;
	if (seq_lt(board_to(b, first), a->fack)) { /* RFC 8985, 6.2, step 3 */
		a->reorder_octets = a->fack - board_from(b, first) > a->reorder_octets ? a->fack - board_from(b, first)
										       : a->reorder_octets;
		a->reorder = true;
	}
	rate_delivered(c, b, last_us, a);
}

/* The latest sent of what arrived, by time and then by sequence (RFC 8985, RACK_sent_after()). */
static void note_latest(uint32_t sent_us, uint32_t last_us, uint32_t end, bool rexmit, struct flight_ack *a)
{
	if (a->rack &&
	    (us_after(a->rack_us, sent_us, a->now_us) || (a->rack_us == sent_us && !seq_lt(a->rack_end, end))))
		return;
	a->rack = true;
	a->rack_us = sent_us;
	a->rack_last_us = last_us;
	a->rack_end = end;
	a->rack_rexmit = rexmit;
}

/* Segments m of b, none of them sacked before, have arrived. Leaves them sacked. */
static void arrived(struct tcp_conn *c, struct tcp_burst *b, uint64_t m, struct flight_ack *a)
{
	uint64_t once = m & sent_once(b), again = m & ~once;
	uint32_t octets = board_octets(b, m);

	if (m == 0)
		return;
	if (once) {
		uint32_t us = board_sent_us(b, highest(once));

		note_once(c, b, once, a);
		note_latest(us, us, board_to(b, highest(once)), false, a);
		a->rack_rtt_us = a->now_us - us;
	}
	if (again) {
		note_latest(b->rexmit_us, board_rexmit_last_us(b, a->now_us), board_to(b, highest(again)), true, a);
		if (highest(m) == highest(again) && a->now_us - board_rexmit_last_us(b, a->now_us) >= c->min_rtt_us)
			a->rack_rtt_us = a->now_us - b->rexmit_us;
		rate_delivered(c, b, b->rexmit_us, a);
	}
	if (seq_lt(c->w->rack_fack, board_to(b, highest(m))))
		c->w->rack_fack = board_to(b, highest(m));
	a->delivered += octets;
	a->segs += count(m);
	unmark_lost(c, b, m);
	unmark_rexmit(c, b, m);
	c->w->pipe -= octets;
	c->w->n_sacked += count(m);
	b->sacked |= m;
}

/* The first k segments leave b. */
static void burst_trim(struct tcp_burst *b, unsigned k)
{
	uint32_t first_us = board_sent_us(b, k);

	b->sent_span = (uint16_t)(b->sent_span - (first_us - b->sent_us));
	b->sent_us = first_us;
	b->seq += k * b->mss;
	b->len -= k * b->mss;
	b->n = (uint8_t)(b->n - k);
	b->sacked >>= k;
	b->lost >>= k;
	b->rexmit >>= k;
	b->flags &= (uint8_t)~BURST_SYN;
}

void board_cum_ack(struct berth_stack *st, struct tcp_conn *c, uint32_t ack, struct flight_ack *a)
{
	struct flight_ack before = *a;

	while (c->w->burst_first != NIL) {
		uint32_t i = c->w->burst_first;
		struct tcp_burst *b = burst_at(st, i);
		unsigned k = seq_le(b->seq + b->len, ack) ? b->n : (ack - b->seq) / b->mss;
		uint64_t gone = bits(0, k > b->n - 1u && seq_lt(ack, b->seq + b->len) ? b->n - 1u : k);

		k = count(gone);
		if (k == 0)
			break;
		if (gone & ~sent_once(b))
			a->rexmit_acked = true;
		arrived(c, b, gone & ~board_sacked(b), a);
		a->cum_segs += k;
		c->w->n_sacked -= k;
		c->w->n_out -= k;
		if (k < b->n) {
			burst_trim(b, k);
			break;
		}
		a->syn |= (b->flags & BURST_SYN) != 0;
		a->fin |= (b->flags & BURST_FIN) != 0;
		c->w->burst_first = b->next;
		if (c->w->burst_first == NIL)
			c->w->burst_last = NIL;
		slab_give(&st->tcp->bursts, i);
	}
	if (c->recover_flags & RF_PIECES && seq_lt(c->w->rexmit_from, ack))
		a->rexmit_acked = true; /* of one that has no mark yet */
	if (c->recover_flags & RF_PIECES && seq_lt(c->w->rexmit_at, ack))
		c->recover_flags &= (uint16_t)~RF_PIECES;
	if (!a->rexmit_acked)
		return;
	/* What was sent once waited at the receiver for what was sent again: that is no round trip. And without SACK nobody can tell whether
	 * it was under way or had long arrived: no witness for F-RTO. */
	a->rtt = before.rtt;
	a->oldest_us = before.oldest_us;
	a->newest_us = before.newest_us;
	if (!(c->f & TF_SACK))
		a->orig_low = before.orig_low;
}

/* The segments of b that lie wholly within [left, right). */
static uint64_t within(const struct tcp_burst *b, uint32_t left, uint32_t right)
{
	uint32_t end = b->seq + b->len;
	unsigned from, to;

	if (seq_le(right, b->seq) || seq_le(end, left))
		return 0;
	from = seq_le(left, b->seq) ? 0 : (left - b->seq + b->mss - 1u) / b->mss;
	to = seq_le(end, right) ? b->n : (right - b->seq) / b->mss;
	if (to >= b->n && seq_lt(right, end))
		to = b->n - 1u; /* the last one may be longer than mss by a FIN */
	return from < to ? bits(from, to) : 0;
}

void board_sack(struct berth_stack *st, struct tcp_conn *c, const struct wire_tcp_sack *v, unsigned n,
		struct flight_ack *a)
{
	unsigned first = 0;
	uint32_t before = a->segs;

	for (uint32_t i = c->w->burst_first; i != NIL && first < n; i = burst_at(st, i)->next) {
		struct tcp_burst *b = burst_at(st, i);

		while (first < n && seq_le(v[first].right, b->seq))
			first++;
		for (unsigned k = first; k < n && seq_lt(v[k].left, b->seq + b->len); k++) {
			uint64_t m = within(b, v[k].left, v[k].right) & ~board_sacked(b);

			if (has_piece(c, b, m)) /* all of it is there, however it came */
				c->recover_flags &= (uint16_t)~RF_PIECES;
			arrived(c, b, m, a);
		}
	}
	a->sacked = a->segs != before;
}

/* --- what is sent --- */

/* May b take one more segment, sent now? */
static bool may_join(const struct berth_stack *st, const struct tcp_conn *c, const struct tcp_burst *b, uint32_t seq,
		     uint8_t flags)
{
	const struct slab *s = &st->tcp->bursts;
	uint32_t wait_us = c->srtt_us >> (s->n_used > s->n_max / 2 ? JOIN_SHIFT_SCARCE : JOIN_SHIFT);
	uint32_t age_us = tcp_now_us(st) - b->sent_us;

	return !c->train && b->n < 64 && b->seq + b->len == seq && b->len == (uint32_t)b->n * b->mss &&
	       !((b->flags | flags) & BURST_SYN) && !(b->flags & BURST_FIN) &&
	       (b->flags & BURST_APP_LIMITED) == (flags & BURST_APP_LIMITED) && age_us <= wait_us &&
	       age_us <= UINT16_MAX;
}

/* Would len octets, sent in segments of mss, be the same segments when they are cut by b's size? And do they fit? */
static bool same_cut(const struct tcp_burst *b, uint32_t len, uint16_t mss)
{
	return (b->mss == mss || (len <= mss && len <= b->mss)) && len <= (64u - b->n) * b->mss;
}

/* Append to burst b as much of [.., +len) as it takes, of which the last `fin` octets are a FIN; returns how much. */
static uint32_t append(struct tcp_conn *c, struct tcp_burst *b, uint32_t len, uint32_t fin, uint32_t now_us)
{
	uint32_t data = len - fin, room = (64u - b->n) * b->mss, n, take;

	take = data <= room ? len : room;
	n = (data <= room ? data : room) / b->mss;
	if (data <= room && (data % b->mss || data == 0))
		n++; /* a short one, or a FIN of its own */
	b->len += take;
	b->n = (uint8_t)(b->n + n);
	b->sent_span = (uint16_t)(now_us - b->sent_us);
	c->w->n_out += n;
	c->w->pipe += take;
	return take;
}

static struct tcp_burst *burst_new(struct berth_stack *st, struct tcp_conn *c, uint32_t seq, uint16_t mss,
				   uint32_t now_us)
{
	uint32_t i = slab_take(&st->tcp->bursts);
	struct tcp_burst *b;

	ASSERT(i != NIL); /* tcp_flight_can_send() was asked */
	b = burst_at(st, i);
	*b = (struct tcp_burst){.next = NIL, .seq = seq, .mss = mss, .sent_us = now_us};
	b->delivered = c->w->delivered;
	b->delivered_us = c->w->delivered_us;
	b->first_sent_us = c->w->first_sent_us;
	if (c->w->burst_last == NIL)
		c->w->burst_first = i;
	else
		burst_at(st, c->w->burst_last)->next = i;
	c->w->burst_last = i;
	return b;
}

/* A connection may always have one record; more only while there is one left for each of the others. */
bool tcp_flight_can_send(struct berth_stack *st, struct tcp_conn *c)
{
	const struct slab *s = &st->tcp->bursts;
	uint32_t n_free = s->n_max - s->n_used, kept = st->conns.n_max;

	if (kept > s->n_max / 2)
		kept = s->n_max / 2;
	if (n_free > kept || (n_free > 0 && c->w->burst_first == NIL))
		return true;
	if (c->w->burst_first == NIL && c->w->at[TCP_AT_PACE] == NEVER_NS) /* no acknowledgment will wake it */
		tcp_deadline_set(st, c, TCP_AT_PACE, st->now_ns + UINT64_C(10000000));
	return false;
}

void tcp_flight_sent(struct berth_stack *st, struct tcp_conn *c, uint32_t seq, uint32_t len, uint16_t mss,
		     uint8_t burst_flags)
{
	uint32_t now_us = tcp_now_us(st), all = len, before = c->w->n_out;
	uint32_t fin = burst_flags & BURST_FIN ? 1 : 0;

	ASSERT(len > 0 && mss > 0);
	rate_sent(c, now_us);
	if (c->w->app_limited)
		burst_flags |= BURST_APP_LIMITED;
	if (len - fin < mss && !fin)
		mss = (uint16_t)len; /* small segments of one size share a burst, too */
	if (burst_flags & BURST_SYN)
		mss = (uint16_t)(len > UINT16_MAX ? UINT16_MAX : len);
	while (len > 0) {
		struct tcp_burst *b = c->w->burst_last == NIL ? NULL : burst_at(st, c->w->burst_last);
		uint32_t took;

		if (b == NULL || !may_join(st, c, b, seq, burst_flags) || !same_cut(b, len - fin, mss))
			b = burst_new(st, c, seq, mss, now_us);
		b->flags &= (uint8_t)~BURST_PUSH;
		took = append(c, b, len, fin, now_us);
		seq += took;
		len -= took;
		b->flags |= (uint8_t)(burst_flags & ~(len > 0 ? BURST_FIN | BURST_PUSH : 0));
		burst_flags &= (uint8_t)~BURST_SYN;
	}
	recover_sent(st, c, all, false, c->w->n_out - before);
	cc_sent(c, seq);
	ASSERT_SLOW(tcp_flight_check(st, c));
}

/* Where segment i's payload ends. */
static uint32_t payload_end(const struct tcp_burst *b, unsigned i)
{
	return board_to(b, i) - (i + 1u == b->n && b->flags & BURST_FIN ? 1 : 0);
}

/* A window that shrank (RFC 9293, SHLD-16): what is beyond it is not repeated, but for the first of all, which then is a probe. */
bool flight_in_window(const struct tcp_conn *c, uint32_t seq)
{
	return seq_le(seq, c->una) || seq_lt(seq, c->una + c->snd_wnd);
}

/* The burst whose turn it is, and those of its segments: lost, no copy in flight. One that goes in pieces is finished before another is begun, for of one
 * only is known how far it went. 0: none. */
static uint64_t whose_turn(struct berth_stack *st, const struct tcp_conn *c, uint32_t *ret_burst)
{
	uint64_t first = 0;

	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next) {
		const struct tcp_burst *b = burst_at(st, i);
		uint64_t m = b->lost & ~b->rexmit;

		if (first == 0) {
			*ret_burst = i;
			first = m;
		}
		if (has_piece(c, b, m) && flight_in_window(c, c->w->rexmit_at)) {
			*ret_burst = i;
			return m & ~(piece_of(c, b) - 1);
		}
		if (first && !(c->recover_flags & RF_PIECES))
			break;
	}
	return first;
}

/* The next run of those. */
static bool next_lost(struct berth_stack *st, struct tcp_conn *c, uint32_t len_max, struct tcp_send *ret)
{
	const struct tcp_burst *b;
	unsigned from, to;
	uint32_t i, seq;
	uint64_t m = whose_turn(st, c, &i);

	if (m == 0)
		return false;
	b = burst_at(st, i);
	from = lowest(m);
	seq = seq_max(board_from(b, from), c->una);
	if (has_piece(c, b, bit(from)))
		seq = seq_max(seq, c->w->rexmit_at);
	if (!flight_in_window(c, seq))
		return false;
	if (c->snd_wnd && seq_lt(c->una + c->snd_wnd, seq + len_max))
		len_max = c->una + c->snd_wnd - seq;
	else if (!c->snd_wnd && len_max > c->mss)
		len_max = c->mss;
	for (to = from + 1;
	     to < b->n && m & bit(to) && !has_piece(c, b, bit(to)) && payload_end(b, to) - seq <= len_max; to++)
		continue;
	*ret = (struct tcp_send){.seq = seq, .len = board_to(b, to - 1) - seq, .burst = i};
	if (seq_lt(seq + len_max, payload_end(b, to - 1)))
		ret->len = len_max; /* a piece of one segment: it counts as sent with the last */
	else
		ret->segs = bits(from, to);
	return ret->len > 0;
}

bool tcp_flight_rexmit(struct berth_stack *st, struct tcp_conn *c, uint32_t len_max, struct tcp_send *ret)
{
	uint32_t pipe, room;

	if (c->recover_flags & RF_TLP_DUE && tlp_rexmit(st, c, len_max, ret))
		return true;
	if (c->w->n_lost == 0 || c->recover_flags & RF_FRTO_NEW)
		return false;
	pipe = tcp_flight_pipe(c);
	room = c->cwnd > pipe ? c->cwnd - pipe : 0;
	if (!next_lost(st, c, len_max, ret))
		return false;
	if (ret->len > room) {
		uint32_t one = burst_at(st, ret->burst)->mss;

		if (one > c->mss)
			one = c->mss; /* it goes in pieces */
		room = room / one * one;
		if (room == 0 && pipe == 0)
			room = one; /* with nothing in flight one segment must go */
		if (room == 0)
			return false;
		if (ret->len > room)
			return next_lost(st, c, room < len_max ? room : len_max, ret);
	}
	return true;
}

bool tcp_flight_join(struct berth_stack *st, const struct tcp_conn *c, const struct tcp_send *after, uint32_t room,
		     struct tcp_send *ret)
{
	const struct tcp_burst *b = burst_at(st, after->burst);
	uint32_t i = b->next;
	unsigned n = 0;

	if (after->segs == 0 || after->probe || after->seq + after->len != b->seq + b->len || i == NIL)
		return false;
	b = burst_at(st, i);
	if (seq_lt(b->seq, c->una + c->snd_wnd) && seq_lt(c->una + c->snd_wnd, b->seq + room))
		room = c->una + c->snd_wnd - b->seq;
	else if (!seq_lt(b->seq, c->una + c->snd_wnd))
		return false;
	if (b->flags & BURST_SYN || (c->w->mtu_probe && seq_in(c->w->mtu_probe_seq, b->seq, b->seq + b->len)))
		return false;
	while (n < b->n && !((board_sacked(b) | b->rexmit) & bit(n)) && !has_piece(c, b, bit(n)) &&
	       (b->lost & bit(n) || payload_end(b, n) == b->seq) && payload_end(b, n) - b->seq <= room)
		n++;
	if (n == 0)
		return false;
	*ret = (struct tcp_send){.seq = b->seq, .len = board_to(b, n - 1) - b->seq, .burst = i, .segs = bits(0, n)};
	return true;
}

void tcp_flight_rexmitted(struct berth_stack *st, struct tcp_conn *c, const struct tcp_send *s)
{
	struct tcp_burst *b = burst_at(st, s->burst);
	uint64_t m = s->segs & board_all(b) & ~board_sacked(b) & ~b->rexmit;
	uint32_t now_us = tcp_now_us(st), span;

	if (s->segs == 0) {
		if (!(c->recover_flags & RF_PIECES) || c->w->rexmit_at != s->seq)
			c->w->rexmit_from = s->seq;
		c->w->rexmit_at = s->seq + s->len;
		c->recover_flags |= RF_PIECES;
	} else if (has_piece(c, b, s->segs)) { /* that was the rest of it; of another one it still is out */
		c->recover_flags &= (uint16_t)~RF_PIECES;
	}
	if (b->rexmit == 0)
		b->rexmit_us = now_us;
	span = (now_us - b->rexmit_us + (1u << SPAN_SHIFT) - 1) >> SPAN_SHIFT;
	if (span > UINT16_MAX) { /* the first of these left four seconds ago: it is not waited for */
		span = UINT16_MAX;
		b->rexmit_us = now_us - ((uint32_t)UINT16_MAX << SPAN_SHIFT);
	}
	if (m != 0)
		b->rexmit_span = (uint16_t)span;
	b->rexmit |= m;
	c->w->n_rexmit += count(m);
	c->w->pipe += board_octets(b, m);
	c->rexmits += m ? count(m) : 1;
	st->n.tcp_retrans += m ? count(m) : 1;
	recover_sent(st, c, s->len, true, m ? count(m) : 1);
	if (s->burst == c->w->burst_first && m & 1 && c->w->ca_state >= CA_RECOVERY)
		recover_rto(st, c);
	ASSERT_SLOW(tcp_flight_check(st, c));
}

void tcp_flight_too_big(struct berth_stack *st, struct tcp_conn *c, uint16_t mss)
{
	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next) {
		struct tcp_burst *b = burst_at(st, i);

		if (b->mss > mss)
			board_lose(c, b, UINT64_MAX);
	}
	recover_limit_duplicates(c); /* without SACK nobody knows which of these arrived: all go again */
	if (c->w->n_lost)
		sock_ready(st, tcp_index(st, c));
}

/* --- the connection's part --- */

void tcp_flight_free(struct berth_stack *st, struct tcp_conn *c)
{
	while (c->w->burst_first != NIL) {
		uint32_t i = c->w->burst_first;

		c->w->burst_first = burst_at(st, i)->next;
		slab_give(&st->tcp->bursts, i);
	}
	c->w->burst_last = NIL;
	c->w->n_out = c->w->n_sacked = c->w->n_lost = c->w->n_rexmit = c->w->pipe = 0;
}

uint32_t tcp_flight_pipe(const struct tcp_conn *c)
{
	uint32_t arrived_octets = c->f & TF_SACK ? 0 : (uint32_t)c->w->dupacks * c->mss, pipe = c->w->pipe, from;

	if (c->recover_flags & RF_PIECES) { /* of a segment that is not all sent again yet: no mark counts them */
		from = seq_max(c->w->rexmit_from, c->una);
		if (seq_lt(from, c->w->rexmit_at))
			pipe += c->w->rexmit_at - from;
	}
	return pipe > arrived_octets ? pipe - arrived_octets : 0;
}

/* Slow, and right by reading. */
bool tcp_flight_check(const struct berth_stack *st, const struct tcp_conn *c)
{
	uint32_t n_out = 0, n_sacked = 0, n_lost = 0, n_rexmit = 0, pipe = 0, at = 0, last = NIL;
	bool good = true;

	for (uint32_t i = c->w->burst_first; i != NIL && good; i = burst_at(st, i)->next) {
		const struct tcp_burst *b = burst_at(st, i);

		if (i == c->w->burst_first)
			good = b->n > 0 && seq_in(c->una, b->seq, board_to(b, 0));
		else
			good = b->n > 0 && b->seq == at;
		good = good && b->n <= 64 && slab_used(&st->tcp->bursts, i) && b->mss > 0;
		good = good && b->len > (b->n - 1u) * b->mss && b->len <= (uint32_t)b->n * b->mss + 1;
		good = good && ((b->sacked | b->lost | b->rexmit) & ~board_all(b)) == 0;
		good = good && (board_sacked(b) & b->rexmit) == 0;
		for (unsigned k = 0; good && k < b->n; k++) {
			uint32_t len = board_to(b, k) - board_from(b, k);

			n_out++;
			n_sacked += (board_sacked(b) & bit(k)) != 0;
			n_lost += (b->lost & bit(k)) != 0;
			n_rexmit += (b->rexmit & bit(k)) != 0;
			pipe += !((b->sacked | b->lost) & bit(k)) ? len : 0;
			pipe += b->rexmit & bit(k) ? len : 0;
		}
		at = b->seq + b->len;
		last = i;
	}
	return good && last == c->w->burst_last && n_out == c->w->n_out && n_sacked == c->w->n_sacked &&
	       n_lost == c->w->n_lost && n_rexmit == c->w->n_rexmit && pipe == c->w->pipe && recover_check(c);
}
