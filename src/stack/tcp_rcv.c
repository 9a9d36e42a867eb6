/* src/stack/tcp_rcv.c: the payload of segments: which are acceptable, where it goes, when it is acknowledged.
 *
 * A segment is cut to what is new and inside the window (RFC 9293, 3.10.7.4), and its octets are copied once: out of the frame to
 * their place in the receiving ring. In order, they are readable at once; early, tcp_gaps.c remembers the interval; either
 * way there is nothing to keep for each segment.
 *
 *	rcv_nxt - (old)      rcv_nxt                             rcv_adv
 *	   | duplicate: D-SACK | in order: read it | early: an interval | beyond: dropped
 *
 * When to acknowledge (RFC 5681, 4.2; RFC 9293, 3.8.6.3)
 *	at once		out of order, a hole that fills, FIN, a duplicate; more than one full segment is owed; a stream begins
 *			(quickacks: slow start at the other end needs acknowledgments) or the program asked for it
 *	within 40 ms	else: a ride on data, a window update or the second segment usually comes first
 * A super-frame counts by its octets, so whoever puts 40 segments into one gets one acknowledgment for them. Nothing is sent from
 * here, TF_ACK_NOW is set: a batch of input is acknowledged once, when all of it was seen (MUST-58, MUST-59), but for early segments, each
 * of which has its duplicate acknowledgment (n_dup_acks).
 *
 * A dialogue (data leaves within 40 ms of data that came) delays even where a stream would not; a delay that runs
 * out without a ride ends it.
 *
 * A zero window: a segment at rcv_nxt is acceptable whatever it carries, so that its ACK, URG and RST count (RFC 9293,
 * 3.10.7.4, "special allowance"); its octets are dropped and it is answered at once. So does a bare acknowledgment at the window's right
 * edge, as on Linux: whoever filled the window, and lost some of that, has no other number for it.
 */
#include "stack/tcp_data.h"

#include <string.h>

#define DUP_ACKS_MAX 64 /* of one batch */
#define GAPS_LOOKS 8
#define GAPS_KEEP_NS UINT64_C(30000000000)

static uint32_t seq_space(const struct tcp_seg *s)
{
	return s->len + ((s->flags & WIRE_TCP_SYN) != 0) + ((s->flags & WIRE_TCP_FIN) != 0);
}

bool tcp_rcv_acceptable(const struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t len = seq_space(s), open = tcp_window_open(c), behind = c->rcv_nxt - s->seq;

	if (behind == 0)
		return true; /* also with a zero window, see above */
	if (seq_in(s->seq, c->rcv_nxt, c->rcv_nxt + open))
		return true;
	if (len == 0 && !(s->flags & WIRE_TCP_RST) && open && s->seq == c->rcv_nxt + open)
		return true;
	/* It begins before the window and reaches into it (its length is at most a super-frame's), or (as on Linux) to what was acknowledged
	 * last: its octets are duplicates, but its ACK may be news. */
	return behind < len || (!(s->flags & WIRE_TCP_RST) && behind - len <= c->rcv_nxt - c->w->rcv_acked);
}

void tcp_rcv_init(struct berth_stack *st, struct tcp_conn *c)
{
	c->rcv_nxt = c->w->rcv_acked = c->irs + 1;
	c->w->rcv_up = c->irs;
	c->rcv_adv = c->rcv_nxt + tcp_window_syn(st, c);
	c->rcv_mss = 0;
	c->quickacks = 0;
	c->ato_pingpong = 0;
	c->w->dsack_from = c->w->dsack_to = c->rcv_nxt;
	c->w->rcv_rtt_us = c->w->rcv_space = c->w->rcv_copied = 0;
	c->w->rcv_epoch_ns = st->now_ns;
	c->w->rcv_epoch_seq = c->rcv_adv;
	c->w->rcv_last_us = tcp_now_us(st);
}

static void ack_now(struct berth_stack *st, struct tcp_conn *c)
{
	c->f |= TF_ACK_NOW;
	sock_ready(st, tcp_index(st, c));
}

static void dsack(struct berth_stack *st, struct tcp_conn *c, uint32_t from, uint32_t to)
{
	if (!(c->f & TF_SACK) || !seq_lt(from, to))
		return;
	c->w->dsack_from = from;
	c->w->dsack_to = to;
	st->n.tcp_dsack_out++;
}

void tcp_rcv_refused(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	if (s->flags & WIRE_TCP_RST)
		return;
	if (seq_space(s) && seq_lt(s->seq, c->rcv_nxt)) {
		uint32_t end = s->seq + seq_space(s), from = s->seq;

		/* Only what was received: a keepalive's octet before the first of all was not. (irs is comparable for 2 GiB only.) */
		if (c->bytes_in < UINT32_C(1) << 30)
			from = seq_max(from, c->irs + 1);
		dsack(st, c, from, seq_min(end, c->rcv_nxt));
		if (c->quickacks < TCP_QUICKACKS)
			c->quickacks = TCP_QUICKACKS; /* the peer is in loss recovery */
		c->ato_pingpong = 0;
	}
	ack_now(st, c);
}

/* len octets of the payload, from its octet `skip` on, to their place `at` in the ring. */
static void copy_in(struct tcp_conn *c, const struct tcp_seg *s, uint32_t skip, uint32_t at, uint32_t len)
{
	uint32_t off = s->data_off + skip, piece = s->p->l4_head;
	const uint8_t *data = s->p->l4;
	unsigned i = 0;

	for (;;) {
		if (off < piece) {
			uint32_t n = piece - off < len ? piece - off : len;

			tcp_ring_write(&c->rx, at, data + off, n);
			at += n;
			len -= n;
			off += n;
		}
		if (!len)
			return;
		off -= piece;
		ASSERT(i < s->p->n_parts); /* ip_input() checked l4_len against the frame */
		data = s->p->parts[i].data;
		piece = s->p->parts[i].len;
		i++;
	}
}

/* A stream that begins, or begins again after a pause, is acknowledged at once for some segments (Linux's quick acknowledgments). */
static void measure(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t seg = s->n_segs > 1 && s->p->gso_size ? s->p->gso_size : s->len;
	uint32_t now_us = tcp_now_us(st), rto_us = c->rto_us ? c->rto_us : (uint32_t)(TCP_RTO_FIRST_NS / 1000);

	if (!c->rcv_mss || now_us - c->w->rcv_last_us > rto_us)
		c->quickacks = TCP_QUICKACKS;
	if (seg > c->rcv_mss)
		c->rcv_mss = (uint16_t)(seg > UINT16_MAX ? UINT16_MAX : seg);
	c->w->rcv_last_us = now_us;
	tcp_window_rtt(st, c, s);
}

bool tcp_rcv_pingpong(const struct tcp_conn *c)
{
	return c->ato_pingpong && !(c->f & TF_QUICKACK);
}

void tcp_rcv_data_sent(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->rcv_mss && tcp_now_us(st) - c->w->rcv_last_us < TCP_DELACK_NS / 1000)
		c->ato_pingpong = 1;
}

/* Something in order came that is owed an acknowledgment. */
static void owe(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t owed = c->rcv_nxt - c->w->rcv_acked - ((c->f & TF_FIN_RCVD) != 0);
	bool quick = (c->quickacks || c->f & TF_QUICKACK) && !tcp_rcv_pingpong(c);

	if (quick || owed > c->rcv_mss)
		ack_now(st, c);
	else if (c->w->at[TCP_AT_DELACK] == NEVER_NS)
		tcp_deadline_set(st, c, TCP_AT_DELACK, st->now_ns + TCP_DELACK_NS);
}

void tcp_rcv_delack_timer(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->rcv_nxt == c->w->rcv_acked)
		return;
	c->ato_pingpong = 0; /* no ride came: a stream, not a dialogue */
	ack_now(st, c);
}

void tcp_rcv_acked(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t owed = c->rcv_nxt - c->w->rcv_acked, n;

	if (owed && c->quickacks) {
		n = c->rcv_mss ? (owed + c->rcv_mss - 1) / c->rcv_mss : 1;
		c->quickacks = (uint8_t)(n < c->quickacks ? c->quickacks - n : 0);
	}
	c->f &= ~(uint32_t)TF_ACK_NOW;
	c->w->rcv_acked = c->rcv_nxt;
	c->w->dsack_from = c->w->dsack_to;
	tcp_deadline_clear(st, c, TCP_AT_DELACK);
}

void tcp_gaps_free(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->w->gaps == NIL)
		return;
	slab_give(&st->tcp->gaps, c->w->gaps);
	c->w->gaps = NIL;
}

static struct tcp_gaps *gaps_of(const struct berth_stack *st, const struct tcp_conn *c)
{
	return c->w->gaps == NIL ? NULL : slab_at(&st->tcp->gaps, c->w->gaps);
}

bool tcp_gaps_stale(const struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_gaps *g = gaps_of(st, c);

	return g != NULL && st->now_ns - g->since_ns >= GAPS_KEEP_NS;
}

/* A record for c; when there is none left, that of a peer that leaves its hole open. It may send again what it had sent beyond (RFC 2018, 8). */
static bool gaps_take(struct berth_stack *st, struct tcp_conn *c)
{
	struct tcp_state *t = st->tcp;
	struct tcp_gaps *g;

	c->w->gaps = slab_take(&t->gaps);
	for (unsigned n = 0; n < GAPS_LOOKS && c->w->gaps == NIL; n++) {
		struct tcp_conn *other;

		t->gaps_hand = t->gaps_hand + 1 < t->gaps.n_max ? t->gaps_hand + 1 : 0;
		if (!slab_used(&t->gaps, t->gaps_hand))
			continue;
		g = slab_at(&t->gaps, t->gaps_hand);
		other = tcp_at(st, g->conn);
		if (tcp_gaps_stale(st, other)) {
			tcp_gaps_free(st, other);
			st->n.tcp_ooo_dropped++;
			c->w->gaps = slab_take(&t->gaps);
		}
	}
	if (c->w->gaps == NIL) {
		st->n.tcp_ooo_dropped++;
		st->n.tcp_no_memory++;
		return false;
	}
	g = gaps_of(st, c);
	g->conn = tcp_index(st, c);
	g->since_ns = st->now_ns;
	return true;
}

/* The FIN is the next in order. */
static void take_fin(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->f |= TF_FIN_RCVD;
}

/* [rcv_nxt, rcv_nxt + len) was copied to its place: in order now, and with it what waited behind. true: FIN, too. */
static bool in_order(struct berth_stack *st, struct tcp_conn *c, uint32_t len, bool fin)
{
	struct tcp_gaps *g = gaps_of(st, c);
	uint32_t nxt = c->rcv_nxt + len, to;

	if (g) {
		if (seq_lt(g->v[0].left, nxt))
			dsack(st, c, g->v[0].left, seq_min(nxt, g->v[0].right));
		to = fin ? nxt : tcp_gaps_advance(g, nxt); /* nothing comes after a FIN, whatever came early */
		c->f |= TF_ACK_NOW;			   /* a hole filled, or part of one (RFC 5681, 4.2) */
		if (g->has_fin && to == g->fin_seq + 1) {
			fin = true;
			to--;
		}
		nxt = to;
		g->since_ns = st->now_ns;
		if (!g->n || fin)
			tcp_gaps_free(st, c);
	}
	c->w->n_dup_acks = 0; /* what was early is not the news any more */
	c->bytes_in += nxt - c->rcv_nxt;
	c->rx.used += nxt - c->rcv_nxt;
	c->rcv_nxt = nxt;
	if (fin)
		take_fin(c);
	return fin;
}

static bool early_fin_fits(const struct tcp_gaps *g, uint32_t fin_seq)
{
	return !g->n || seq_le(g->v[g->n - 1].right, fin_seq);
}

/* A duplicate acknowledgment for each early segment (RFC 5681, 4.2), though they come in one batch: a sender without SACK counts them, one
 * with SACK learns of more holes than one acknowledgment has room for. */
static void owe_duplicate(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t n = c->w->n_dup_acks + (c->f & TF_SACK ? 1u : s->n_segs);

	c->w->n_dup_acks = (uint8_t)(n < DUP_ACKS_MAX ? n : DUP_ACKS_MAX);
	ack_now(st, c);
}

/* A segment beyond a hole: its octets [seq, seq + len), FIN behind them. */
static void early(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, uint32_t skip, uint32_t seq,
		  uint32_t len, bool fin)
{
	struct tcp_gaps *g;
	struct wire_tcp_sack dup;

	owe_duplicate(st, c, s);
	if (c->w->gaps == NIL && !gaps_take(st, c))
		return;
	g = gaps_of(st, c);
	if (g->has_fin) { /* nothing comes after a FIN */
		uint32_t room = seq_lt(seq, g->fin_seq) ? g->fin_seq - seq : 0;

		/* One FIN: another, further on, would make octets of the ring readable that nobody sent. */
		fin = fin && seq + len == g->fin_seq;
		len = len < room ? len : room;
	} else if (fin && !early_fin_fits(g, seq + len)) {
		fin = false;
	}
	if (!len && !fin)
		return; /* then a record was there before */
	if (!tcp_gaps_add(g, seq, seq + len + fin, &dup)) {
		st->n.tcp_ooo_dropped++;
		return;
	}
	if (fin) {
		g->has_fin = true;
		g->fin_seq = seq + len;
	}
	copy_in(c, s, skip, c->rx.used + (seq - c->rcv_nxt), len);
	dsack(st, c, dup.left, dup.right);
	st->n.tcp_ooo_queued++;
	ASSERT_SLOW(tcp_gaps_check(g, c->rcv_nxt));
}

/* A segment at rcv_nxt or before it, cut to len octets from rcv_nxt on. */
static bool next(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, uint32_t skip, uint32_t len,
		 bool fin)
{
	copy_in(c, s, skip, c->rx.used, len);
	fin = in_order(st, c, len, fin);
	/* Who has sent something and then closes is likely to hear our own FIN soon: its acknowledgment may ride, as Linux's does. */
	if (fin && c->state == TCP_ESTABLISHED && c->rcv_mss)
		c->ato_pingpong = 1;
	else if (fin)
		c->f |= TF_ACK_NOW;
	if (c->f & TF_ACK_NOW)
		sock_ready(st, tcp_index(st, c));
	else
		owe(st, c);
	if (fin || tcp_rx_readable(c))
		event_add(st, tcp_index(st, c), BERTH_EV_IN);
	return fin;
}

bool tcp_rcv_segment(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t seq = s->seq + ((s->flags & WIRE_TCP_SYN) != 0), len = s->len, skip = 0, room, ahead;
	bool fin = (s->flags & WIRE_TCP_FIN) != 0;

	if (!len && !fin)
		return false;
	if (c->f & TF_FIN_RCVD || !c->rx.data) { /* sent again, or beyond the end */
		if (tcp_may_repeat(st, c))
			tcp_rcv_refused(st, c, s);
		return false;
	}
	measure(st, c, s);
	if (seq_lt(seq, c->rcv_nxt)) {
		skip = c->rcv_nxt - seq < len ? c->rcv_nxt - seq : len;
		if (seq + skip != c->rcv_nxt || (skip == len && !fin)) { /* all of it is old, its FIN, too */
			if (tcp_may_repeat(st, c))
				tcp_rcv_refused(st, c, s);
			return false;
		}
		dsack(st, c, seq, seq + skip);
		c->f |= TF_ACK_NOW;
		seq += skip;
		len -= skip;
	}
	room = tcp_window_open(c);
	ahead = seq - c->rcv_nxt;
	room = ahead < room ? room - ahead : 0;
	if (len + fin > room) { /* the FIN takes a number, too */
		fin = false;
		len = len < room ? len : room;
		if (!len) {
			ack_now(st, c);
			return false;
		}
	}
	if (ahead) {
		early(st, c, s, skip, seq, len, fin);
		return false;
	}
	return next(st, c, s, skip, len, fin);
}

/* The interval that has s becomes the next block, unless it is one already. */
static unsigned add_block(struct wire_tcp_sack v[4], unsigned n, unsigned first, const struct wire_tcp_sack *in)
{
	if (!in)
		return n;
	for (unsigned i = first; i < n; i++)
		if (v[i].left == in->left)
			return n;
	v[n] = *in;
	return n + 1;
}

unsigned tcp_rcv_sack_blocks(struct berth_stack *st, const struct tcp_conn *c, struct wire_tcp_sack v[4], unsigned max)
{
	const struct tcp_gaps *g = gaps_of(st, c);
	unsigned n = 0, first, skip;

	ASSERT(max <= 4);
	if (!(c->f & TF_SACK) || !max)
		return 0;
	if (c->w->dsack_from != c->w->dsack_to)
		v[n++] = (struct wire_tcp_sack){c->w->dsack_from, c->w->dsack_to};
	first = n;
	if (!g)
		return n;
	/* RFC 2883, 4.2: a duplicate of what waits beyond a hole is followed by the interval it lies in. */
	if (n && n < max && seq_lt(c->rcv_nxt, c->w->dsack_from))
		n = add_block(v, n, first, tcp_gaps_find(g, c->w->dsack_from));
	/* With more duplicates to come, this one is as of an earlier segment of the batch, so that together they name all that changed. */
	skip = c->w->n_dup_acks > 1 ? c->w->n_dup_acks - 1u : 0;
	for (unsigned i = skip < g->n_recent ? skip : g->n_recent - 1u; i < g->n_recent && n < max; i++)
		n = add_block(v, n, first, tcp_gaps_find(g, g->recent[i]));
	for (uint32_t i = 0; i < g->n && n < max; i++)
		n = add_block(v, n, first, &g->v[i]);
	return n;
}
