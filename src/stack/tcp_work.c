/* src/stack/tcp_work.c: what a connection needs only while it works, in a block of its own beside struct tcp_conn.
 *
 * Most connections of a busy server are silent most of the time. What is in flight, what was learnt of losses, rates, deadlines, the
 * way to the peer: none of that is there to be known of a connection in which nothing is on its way and nothing waits. So
 * it is in struct tcp_work, from a slab that may have fewer items than there are connections (cfg.n_work).
 *
 *	taken		by connect() and by a handshake's last segment; by a segment that comes in, by octets that are written, when the
 *			connection has none
 *	taken back	when the slab is empty and another connection wants one: from the one that was used longest ago, if it rests.
 *			While there are enough nobody loses anything
 *	given back	when the connection is CLOSED, was accepted, and none of its frames is pinned
 *
 * A connection rests when nothing is unacknowledged, unsent, unread or owed, no hole is open, no deadline but the keepalive's is set,
 * and it was silent for a second and an RTO at least: as long as a window that is not used stays as it was (RFC 5681, 4.1). What is
 * known of the path stays in struct tcp_conn: round trips, windows, the degree of reordering; so does one word of the congestion
 * control's. The rest is made anew from it (tcp_work_image()): addresses are the claim's, the way is asked for, and what
 * came and went has been acknowledged up to una and rcv_nxt.
 *
 * When all of them work the new segment is dropped (its sender has it), and what was written waits; both are counted, and tried
 * again. Probes of keepalive and resets are sent without a block, from an image of it.
 *
 * The list is in the order of use to an eighth of a second: a block that was used within the same one stays where it is.
 *
 * Always true (tcp_work_check())
 *	W1  a connection in SYN-SENT or SYN-RECEIVED, and one that does not rest, has a block; a listener has none;
 *	W2  each block that is in use is one connection's, and once on the list.
 */
#include "stack/tcp_control.h"
#include "stack/tcp_data.h"
#include "stack/tcp_flight.h"

#include <string.h>

#define LOOKS 16 /* at most so many are asked whether they rest */
#define RETRY_NS UINT64_C(10000000)

void tcp_work_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t)
{
	void *items = arena_take(a, slab_size(st->cfg.n_work, sizeof(struct tcp_work)));

	if (t == NULL)
		return;
	slab_init(&t->work, items, st->cfg.n_work, sizeof(struct tcp_work));
	t->work_first = t->work_last = NIL;
}

static struct tcp_work *work_at(const struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->tcp->work, i);
}

static uint32_t index_of(const struct berth_stack *st, const struct tcp_work *w)
{
	return (uint32_t)((size_t)((const uint8_t *)w - st->tcp->work.items) / sizeof(*w));
}

/* --- the list: the first was used longest ago --- */

static uint32_t touch_time(const struct berth_stack *st)
{
	return (uint32_t)(st->now_ns >> TCP_WORK_SHIFT);
}

static void append(struct berth_stack *st, struct tcp_work *w)
{
	struct tcp_state *t = st->tcp;
	uint32_t i = index_of(st, w);

	w->touched = touch_time(st);
	w->next = NIL;
	w->prev = t->work_last;
	if (t->work_last == NIL)
		t->work_first = i;
	else
		work_at(st, t->work_last)->next = i;
	t->work_last = i;
}

static void take_out(struct berth_stack *st, const struct tcp_work *w)
{
	struct tcp_state *t = st->tcp;

	if (w->prev == NIL)
		t->work_first = w->next;
	else
		work_at(st, w->prev)->next = w->next;
	if (w->next == NIL)
		t->work_last = w->prev;
	else
		work_at(st, w->next)->prev = w->prev;
}

static void touch(struct berth_stack *st, struct tcp_work *w)
{
	if (w->touched == touch_time(st))
		return;
	take_out(st, w);
	append(st, w);
}

/* --- what it is like after a silence --- */

static void names(const struct berth_stack *st, const struct tcp_conn *c, struct tcp_work *w)
{
	struct port_claim k;

	if (c->s.claim.generation == 0 || port_table_get(&st->ports, c->s.claim, &k) < 0)
		return;
	w->local = k.addr;
	w->peer = k.peer;
	w->local_port = k.port;
	w->peer_port = k.peer_port;
}

static void way(struct berth_stack *st, const struct tcp_conn *c, struct tcp_work *w)
{
	uint16_t iface = c->s.bind_iface ? (uint16_t)(c->s.bind_iface - 1) : BERTH_IFACE_ANY;

	/* No way now: as if its neighbour did not answer, until routes change. */
	if (ip_route_find(st, &w->local, &w->peer, iface, &w->route, NULL) < 0)
		w->route = (struct ip_route){.epoch = st->route_epoch, .neigh = NIL, .iface = BERTH_IFACE_ANY};
}

void tcp_work_image(struct berth_stack *st, const struct tcp_conn *c, struct tcp_work *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->burst_first = ret->burst_last = ret->gaps = ret->next = ret->prev = NIL;
	for (unsigned i = 0; i < COUNT_OF(ret->at); i++)
		ret->at[i] = NEVER_NS;
	ret->nxt = ret->max = ret->snd_small = c->una;
	if (c->state == TCP_CLOSED || c->state == TCP_LISTEN)
		return;
	names(st, c, ret);
	way(st, c, ret);
	ret->snd_up = ret->snd_push = tcp_tx_end(c);
	ret->rcv_acked = ret->rcv_up = ret->dsack_from = ret->dsack_to = c->rcv_nxt;
	ret->rcv_epoch_ns = st->now_ns;
	ret->rcv_epoch_seq = c->rcv_adv;
	ret->ts_recent_ns = c->last_in_ns;
	ret->rcv_last_us = (uint32_t)(c->last_in_ns / 1000);
	ret->rtt_seq = ret->rack_end_seq = ret->rack_fack = ret->recover_seq = ret->cwnd_seq = c->una;
	ret->delivered_us = ret->first_sent_us = tcp_now_us(st);
	ret->app_limited = 1;
}

/* --- taking and giving --- */

void tcp_work_give(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->w == NULL)
		return;
	take_out(st, c->w);
	slab_give(&st->tcp->work, index_of(st, c->w));
	c->w = NULL;
}

void tcp_work_done(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->state == TCP_CLOSED && c->w != NULL && !(c->w->tx_pins[0] | c->w->tx_pins[1]) && !(c->f & TF_IN_ACCEPT))
		tcp_work_give(st, c);
}

static bool owes(const struct tcp_conn *c)
{
	return c->f & (TF_ACK_NOW | TF_PROBE) || c->tx.used != 0 || (c->f & TF_FIN_QUEUED && !(c->f & TF_FIN_SENT));
}

static bool rests(const struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_work *w = c->w;
	uint64_t silent_ns = TCP_RTO_FIRST_NS,
		 last_ns = c->last_in_ns > c->last_out_ns ? c->last_in_ns : c->last_out_ns;

	if (c->rto_us > silent_ns / 1000)
		silent_ns = (uint64_t)c->rto_us * 1000;
	if (!tcp_state_in(c, TCP_SYNCHRONIZED) || owes(c) || st->now_ns - last_ns < silent_ns)
		return false;
	if (c->una != w->max || c->rx.used != 0 || (w->gaps != NIL && !tcp_gaps_stale(st, c)) ||
	    w->rcv_acked != c->rcv_nxt || w->n_dup_acks || w->dsack_from != w->dsack_to ||
	    w->tx_pins[0] | w->tx_pins[1] || c->s.flags & SOCK_TX_QUEUED)
		return false;
	for (unsigned i = 0; i < COUNT_OF(w->at); i++)
		if (w->at[i] != NEVER_NS)
			return false;
	return true;
}

/* It goes to rest: what lasts is kept. */
static void rest(struct berth_stack *st, struct tcp_conn *c)
{
	if ((c->w->ca_state == CA_CWR || c->w->ca_state == CA_RECOVERY) && c->cwnd > c->ssthresh)
		c->cwnd = c->ssthresh; /* as at its end */
	tcp_gaps_free(st, c);
	c->recover_flags &= RF_REORDER | RF_IDLE_SEEN;
	c->cc_kept = cc_of(c)->kept ? cc_of(c)->kept(c) : 0;
	tcp_work_give(st, c);
}

/* One that rests gives its block back. */
static void reclaim(struct berth_stack *st)
{
	for (unsigned n = 0; n < LOOKS && st->tcp->work_first != NIL; n++) {
		struct tcp_work *w = work_at(st, st->tcp->work_first);
		struct tcp_conn *c = tcp_at(st, w->conn);

		if (w->touched == touch_time(st))
			return; /* and all behind it were used as lately */
		if (rests(st, c)) {
			rest(st, c);
			return;
		}
		touch(st, w);
	}
}

bool tcp_work_take_or_touch(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t i;

	if (c->w != NULL) {
		touch(st, c->w);
		return true;
	}
	if (st->tcp->work.n_used == st->tcp->work.n_max)
		reclaim(st);
	i = slab_take_dirty(&st->tcp->work);
	if (i == NIL) {
		st->n.tcp_no_work++;
		return false;
	}
	c->w = work_at(st, i);
	tcp_work_image(st, c, c->w);
	c->w->conn = tcp_index(st, c);
	append(st, c->w);
	if (owes(c)) /* it waited for this: nobody else will ask */
		sock_ready(st, tcp_index(st, c));
	if (tcp_state_in(c, TCP_SYNCHRONIZED)) {
		if (c->w->route.mtu_bytes != 0)
			tcp_mss_update(st, c);
		cc_of(c)->init(c);
		if (cc_of(c)->wake)
			cc_of(c)->wake(c, c->cc_kept);
	}
	return true;
}

bool tcp_work_lend(struct berth_stack *st, struct tcp_conn *c, struct tcp_work *image)
{
	if (c->w != NULL)
		return false;
	tcp_work_image(st, c, image);
	c->w = image;
	return true;
}

bool tcp_work_wanted(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->w == NULL && !owes(c))
		return false;
	if (tcp_work_take(st, c))
		return true;
	if (timer_at_ns(&c->timer) > st->now_ns + RETRY_NS) /* conn_timer() asks again */
		wheel_set(&st->wheel, TIMER_TCP, tcp_index(st, c), st->now_ns + RETRY_NS);
	return false;
}

/* --- the checker --- */

bool tcp_work_check(const struct berth_stack *st)
{
	const struct tcp_state *t = st->tcp;
	uint32_t n = 0, prev = NIL;

	for (uint32_t i = t->work_first; i != NIL; i = work_at(st, i)->next) {
		const struct tcp_work *w;

		if (!slab_used(&t->work, i) || ++n > t->work.n_used)
			return false;
		w = work_at(st, i);
		if (w->prev != prev || !slab_used(&st->conns, w->conn) ||
		    ((const struct tcp_conn *)slab_at(&st->conns, w->conn))->w != w)
			return false;
		prev = i;
	}
	return n == t->work.n_used && t->work_last == prev && slab_check(&t->work);
}
