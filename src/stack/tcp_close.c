/* src/stack/tcp_close.c: how a connection ends (RFC 9293, 3.6, 3.10.4, 3.10.5; RFC 1122, 4.2.2.13).
 *
 * shutdown() of the sending direction queues a FIN behind what the ring holds, and the state moves at once; tcp_out.c sends the FIN
 * when its turn comes. close() does the same and makes the connection an orphan: the program's handle is stale, TCP goes on until
 * the peer has all. It is a reset instead where the peer would else take for delivered what nobody read (unread data).
 *
 *	tcp_end()	the one way out: all that refers to the block goes. A block whose program still holds the handle stays, in
 *			CLOSED, with what was received and the error; an orphan's goes once event.c has said BERTH_EV_CLOSED.
 *
 * FIN-WAIT-2 of an orphan ends after linger2_s: the peer may never close (RFC 9293, 3.6.1 allows it; S20). And when blocks or rings become
 * few, and orphans have more than half of them, each new block costs the oldest orphan (tcp_orphans_yield()): never the one that is just
 * closed, whose last octets are on their way. Orphans stand in a list by age; they have no events, so its links are those of the events.
 */
#include <errno.h>
#include <string.h>

#include "stack/tcp_control.h"

void tcp_fin_wait_2(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->s.flags & SOCK_ORPHAN)
		tcp_deadline_set(st, c, TCP_AT_KEEP,
				 st->now_ns + (c->linger2_s ? c->linger2_s : TCP_LINGER2_S) * NS_PER_S);
}

/* No more from the program: FIN after the last octet. */
static void send_fin(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->f & TF_FIN_QUEUED)
		return;
	c->f |= TF_FIN_QUEUED;
	if (c->state == TCP_SYN_RCVD)
		return; /* until it is ESTABLISHED: RFC 9293, 3.10.4 */
	tcp_set_state(st, c, c->state == TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT_1);
	sock_ready(st, tcp_index(st, c));
}

/* Everything but the rings, the error and the block. */
static void let_go(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t index = tcp_index(st, c);

	tcp_timers_stop(st, c);
	if (c->s.flags & (SOCK_TX_QUEUED | SOCK_WAITING))
		sock_unready(st, index);
	if (c->w != NULL) {
		tcp_flight_free(st, c);
		tcp_gaps_free(st, c);
	}
	if (c->state == TCP_SYN_SENT && !(c->s.flags & SOCK_ORPHAN)) {
		tcp_connect_undo(st, c);
	} else if (c->s.claim.generation) {
		if (port_table_release(&st->ports, c->s.claim) < 0)
			st->n.dropped_policy++; /* it was taken over: MAY-2 */
		c->s.claim = PORT_REF_NONE;
	}
}

/* From here on the program has no handle. */
static void orphan(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t index = tcp_index(st, c);

	ASSERT(!(c->f & TF_OWE_CLOSED));
	if (c->state == TCP_LISTEN)
		tcp_listener_stop(st, c);
	event_forget(st, index);
	c->s.flags |= SOCK_ORPHAN | SOCK_SHUT_RD | SOCK_SHUT_WR;
	c->f |= TF_OWE_CLOSED;
	st->tcp->n_orphans++;
	sock_list_add(st, &st->tcp->orphans, index, true);
}

/* The program closed it, and now TCP is done: the block stays until that is said. */
static void bury(struct berth_stack *st, struct tcp_conn *c)
{
	ASSERT(!(c->f & TF_IN_ACCEPT));
	tcp_rings_give(st, c);
	tcp_work_give(st, c);
	if (c->f & TF_OWE_CLOSED) {
		st->tcp->n_orphans--;
		sock_list_remove(st, &st->tcp->orphans, tcp_index(st, c), true);
		event_add(st, tcp_index(st, c), BERTH_EV_CLOSED);
	} else {
		tcp_block_free(st, c);
	}
}

void tcp_end(struct berth_stack *st, struct tcp_conn *c, int err)
{
	ASSERT(c->state != TCP_LISTEN && c->state != TCP_CLOSED);
	tcp_fastopen_done(st, c);
	let_go(st, c);
	if (err && !(c->f & TF_CONNECTED))
		st->n.tcp_attempt_fails++;
	tcp_set_state(st, c, TCP_CLOSED);
	if (c->s.flags & SOCK_ORPHAN) {
		bury(st, c);
		return;
	}
	tcp_work_done(st, c);
	if (err)
		c->s.err = (int16_t)err;
	event_add(st, tcp_index(st, c),
		  BERTH_EV_IN | BERTH_EV_OUT | BERTH_EV_RDHUP | BERTH_EV_HUP | (err ? BERTH_EV_ERR : 0u));
}

int tcp_shutdown(struct berth_stack *st, uint32_t index, int how)
{
	struct tcp_conn *c = tcp_at(st, index);

	if (how == 0 || how & ~(BERTH_SHUT_RD | BERTH_SHUT_WR))
		return -EINVAL;
	if (c->state == TCP_CLOSED)
		return -ENOTCONN;
	if (c->state == TCP_LISTEN) {
		if (how & BERTH_SHUT_RD)
			tcp_listener_stop(st, c);
		return 0;
	}
	if (c->state == TCP_SYN_SENT) {
		tcp_end(st, c, 0); /* as Linux: the attempt is over */
		return 0;
	}
	if (how & BERTH_SHUT_RD && !(c->s.flags & SOCK_SHUT_RD)) {
		c->s.flags |= SOCK_SHUT_RD;
		event_add(st, index, BERTH_EV_IN | BERTH_EV_RDHUP);
	}
	if (how & BERTH_SHUT_WR && !(c->s.flags & SOCK_SHUT_WR)) {
		c->s.flags |= SOCK_SHUT_WR;
		send_fin(st, c);
	}
	if (c->s.flags & SOCK_SHUT_WR && (c->s.flags & SOCK_SHUT_RD || c->f & TF_FIN_RCVD))
		event_add(st, index, BERTH_EV_HUP);
	return 0;
}

void tcp_child_discard(struct berth_stack *st, struct tcp_conn *c)
{
	c->s.flags |= SOCK_ORPHAN; /* no program ever had its handle: nothing is owed */
	if (c->state == TCP_CLOSED) {
		let_go(st, c);
		bury(st, c);
		return;
	}
	tcp_reset_conn(st, c);
	tcp_end(st, c, 0);
}

/* A socket that never was a connection, or is none any more. */
static void close_idle(struct berth_stack *st, struct tcp_conn *c)
{
	let_go(st, c);
	bury(st, c);
}

/* RFC 9293, 3.10.5: a reset in every state in which the peer may know of us; SYN-SENT is not one. */
static void cut_off(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->state != TCP_SYN_SENT)
		tcp_reset_conn(st, c);
	st->n.tcp_aborts++;
	tcp_end(st, c, 0);
}

int tcp_abort(struct berth_stack *st, uint32_t index)
{
	struct tcp_conn *c = tcp_at(st, index);

	orphan(st, c);
	if (c->state == TCP_CLOSED)
		close_idle(st, c);
	else
		cut_off(st, c);
	return 0;
}

static bool is_short(const struct slab *s)
{
	return s->n_max - s->n_used <= s->n_max / 16;
}

void tcp_orphans_yield(struct berth_stack *st)
{
	struct tcp_state *t = st->tcp;
	uint32_t n = st->conns.n_max < t->rings.n_max ? st->conns.n_max : t->rings.n_max;

	if ((is_short(&st->conns) || is_short(&t->rings)) && t->n_orphans > n / 2)
		cut_off(st, tcp_at(st, t->orphans.first));
}

int tcp_close(struct berth_stack *st, uint32_t index)
{
	struct tcp_conn *c = tcp_at(st, index);

	/* What was received and not read is lost, and the peer must learn that (RFC 9293, 3.6.1; RFC 2525, 2.17). */
	if (tcp_state_in(c, TCP_SYNCHRONIZED) && c->rx.used != 0)
		return tcp_abort(st, index);
	orphan(st, c);
	switch ((enum tcp_state_name)c->state) {
	case TCP_LISTEN: /* orphan() stopped it */
	case TCP_CLOSED:
		close_idle(st, c);
		break;
	case TCP_SYN_SENT:
		tcp_end(st, c, 0);
		break;
	case TCP_SYN_RCVD:
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		send_fin(st, c);
		break;
	case TCP_FIN_WAIT_2:
		tcp_fin_wait_2(st, c);
		break;
	case TCP_FIN_WAIT_1:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
	case TCP_TIME_WAIT:
		break;
	}
	return 0;
}
