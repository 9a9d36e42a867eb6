/* src/stack/tcp_listen.c: a listener as the program has it, and its queue of connections that wait for accept().
 *
 *	listener.accept_first --> block --> block <-- listener.accept_last
 *
 * A block comes onto the queue with the last segment of its handshake (tcp_syn.c), with a cookie's ACK (tcp_cookie.c), or
 * with a SYN whose fast open is good. One that ends while it waits keeps its place: nothing leaves from the middle. A
 * listener's n_accept counts the blocks on its queue.
 */
#include <errno.h>

#include "stack/tcp_control.h"

/* --- the queue --- */

bool tcp_accept_is_full(const struct tcp_conn *l)
{
	return l->n_accept > l->backlog; /* as Linux: one more than the backlog */
}

/* It waits for accept(). */
static void enqueue(struct berth_stack *st, struct tcp_conn *l, struct tcp_conn *c)
{
	uint32_t index = tcp_index(st, c), li = tcp_index(st, l);

	c->s.listener = li;
	c->s.accept_next = NIL;
	if (l->accept_last == NIL)
		l->accept_first = index;
	else
		tcp_at(st, l->accept_last)->s.accept_next = index;
	l->accept_last = index;
	l->n_accept++;
	event_add(st, li, BERTH_EV_IN);
}

/* The first that waits. */
static struct tcp_conn *dequeue(struct berth_stack *st, struct tcp_conn *l)
{
	struct tcp_conn *c = tcp_at(st, l->accept_first);

	ASSERT(c->f & TF_IN_ACCEPT && c->s.listener == tcp_index(st, l));
	l->accept_first = c->s.accept_next;
	if (l->accept_first == NIL)
		l->accept_last = NIL;
	c->s.accept_next = c->s.listener = NIL;
	c->f &= ~(uint32_t)TF_IN_ACCEPT;
	l->n_accept--;
	return c;
}

struct tcp_conn *tcp_child_new(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s,
			       const struct tcp_child *k)
{
	struct port_owner nobody = {0};
	uint32_t index;
	struct tcp_conn *c = tcp_block_new(st, l->s.family, &index);
	int r;

	if (c == NULL)
		return NULL;
	if (!tcp_work_take(st, c)) {
		tcp_block_free(st, c);
		return NULL;
	}
	tcp_inherit(c, l);
	c->w->local = s->p->dst;
	c->w->peer = s->p->src;
	c->w->local_port = tcp_seg_local_port(s);
	c->w->peer_port = tcp_seg_peer_port(s);
	r = port_table_accept(&st->ports, l->s.claim, &c->w->local, &c->w->peer, c->w->peer_port, &nobody,
			      st->now_ns / 1000, &c->s.claim);
	if (sock_placed(st, r) < 0 || port_table_set_user(&st->ports, c->s.claim, index) < 0 || tcp_setup(st, c) < 0) {
		if (c->s.claim.generation && port_table_release(&st->ports, c->s.claim) < 0)
			st->n.dropped_policy++;
		tcp_block_free(st, c);
		st->n.tcp_no_memory++;
		return NULL;
	}
	c->f |= k->f | TF_PASSIVE | TF_IN_ACCEPT;
	if (k->f & TF_TS) {
		c->f |= TF_TS_RECENT;
		c->ts_recent = k->ts_recent;
		c->w->ts_recent_ns = st->now_ns;
	}
	c->iss = k->iss;
	c->una = c->w->nxt = c->w->max = c->w->snd_up = c->w->snd_push = k->early ? k->iss : k->iss + 1;
	c->irs = k->irs;
	tcp_rcv_init(st, c);
	c->mss_peer = k->mss;
	c->peer_uto = k->peer_uto;
	c->snd_scale = k->snd_scale;
	c->rcv_scale = k->f & TF_WSCALE ? k->rcv_scale : 0;
	c->snd_wnd = k->early ? s->wnd : (uint32_t)s->wnd << c->snd_scale; /* a SYN's is not scaled */
	c->snd_wnd_max = c->snd_wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	c->segs_in = 1; /* the SYN */
	tcp_mss_update(st, c);
	tcp_flight_init(st, c);
	enqueue(st, l, c);
	if (k->early) {
		c->f |= TF_FASTOPEN;
		st->tcp->n_fastopen++;
		tcp_set_state(st, c, TCP_SYN_RCVD);
	} else {
		tcp_established(st, c, k->rtt_ns);
	}
	st->n.tcp_passive_opens++;
	return c;
}

/* --- what the program asks --- */

int tcp_listen(struct berth_stack *st, uint32_t index, unsigned backlog)
{
	struct tcp_conn *c = tcp_at(st, index);
	struct port_want want = sock_want(st, &c->s, index);
	int r;

	if (c->state != TCP_CLOSED && c->state != TCP_LISTEN)
		return -EINVAL;
	if (c->state == TCP_CLOSED && c->f & TF_CONNECTED)
		return -EINVAL;
	c->backlog = backlog > st->cfg.n_conns ? st->cfg.n_conns : backlog;
	if (c->state == TCP_LISTEN)
		return 0;
	r = sock_placed(st, port_table_listen(&st->ports, &c->s.claim, &want, st->now_ns / 1000, NULL));
	if (r < 0)
		return r == -EUCLEAN || r == -ESTALE ? -ENOBUFS : r;
	c->accept_first = c->accept_last = NIL;
	c->n_accept = c->n_syn = 0;
	tcp_set_state(st, c, TCP_LISTEN);
	return 0;
}

int tcp_accept(struct berth_stack *st, uint32_t index, uint32_t *ret_index)
{
	struct tcp_conn *l = tcp_at(st, index), *c;

	if (l->state != TCP_LISTEN)
		return -EINVAL;
	if (l->accept_first == NIL)
		return -EAGAIN;
	c = dequeue(st, l);
	*ret_index = tcp_index(st, c);
	/* What came while it waited is news to the program. That it can write goes without saying. */
	event_add(st, *ret_index, (uint32_t)tcp_poll(st, *ret_index) & ~(uint32_t)BERTH_EV_OUT);
	return 0;
}

void tcp_listener_stop(struct berth_stack *st, struct tcp_conn *l)
{
	tcp_syn_forget(st, l);
	while (l->accept_first != NIL)
		tcp_child_discard(st, dequeue(st, l));
	/* Of several that share a port one becomes a place of its own: without one left it loses the port. */
	if (sock_placed(st, port_table_unlisten(&st->ports, l->s.claim)) < 0)
		sock_release(st, &l->s);
	l->accept_first = l->accept_last = l->backlog = 0;
	tcp_set_state(st, l, TCP_CLOSED);
}
