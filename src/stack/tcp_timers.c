/* src/stack/tcp_timers.c: five deadlines of a connection in one timer of the wheel; keepalive, user timeout, R1 and R2.
 *
 * The timer stands at the earliest deadline or before it. A deadline that moves away is a store: the wheel finds out when the old
 * time comes, and is set again then. A deadline that comes nearer than the timer moves the timer. So an acknowledgment that
 * restarts the retransmission timer costs no work in the wheel.
 *
 * Always true
 *   D1  the timer's tick is not after that of any deadline (a timer that is not set stands at NEVER);
 *   D2  deadlines of a block that is CLOSED are NEVER.
 */
#include <errno.h>

#include "stack/tcp_control.h"

/* R1 (RFC 9293, MUST-20): from this many retransmissions on the way is doubted. */
#define R1 3
#define R2 15
#define R2_ORPHAN 8 /* as Linux's tcp_orphan_retries */

void tcp_timers_init(struct tcp_conn *c)
{
	timer_init(&c->timer);
	c->keep_at_ns = NEVER_NS;
}

void tcp_timers_stop(struct berth_stack *st, struct tcp_conn *c)
{
	for (unsigned i = 0; c->w != NULL && i < COUNT_OF(c->w->at); i++)
		c->w->at[i] = NEVER_NS;
	c->keep_at_ns = NEVER_NS;
	if (timer_is_set(&c->timer))
		wheel_cancel(&st->wheel, TIMER_TCP, tcp_index(st, c));
}

/* A peer's word is at least this (RFC 5482, 3.1: not below RFC 1122's 100 s, and longer than any RTO), and at most that: it can keep data
 * that nobody acknowledges, and the memory for it, for half an hour (6); R2 alone does for a quarter. */
#define UTO_LEAST_NS (UINT64_C(120) * NS_PER_S)
#define UTO_MOST_NS (UINT64_C(1800) * NS_PER_S)

/* Does the peer's option count? Not against what the program asked for (RFC 5482's CHANGEABLE), not in a handshake, and
 * not once nobody has the connection open: what it then costs is not the peer's to say. */
static bool peer_uto_counts(const struct tcp_conn *c)
{
	return c->peer_uto && c->refuse & SAY_UTO && (!c->user_timeout_ms || c->refuse & UTO_YIELDS) &&
	       !(c->s.flags & SOCK_ORPHAN) && tcp_state_in(c, TCP_SYNCHRONIZED);
}

/* USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)). What the program itself asks for is below its own U_LIMIT. */
uint64_t tcp_user_timeout_ns(const struct tcp_conn *c)
{
	uint64_t own_ns = c->user_timeout_ms * NS_PER_MS, ns;

	if (!peer_uto_counts(c))
		return own_ns;
	ns = tcp_uto_s(c->peer_uto) * NS_PER_S;
	ns = ns < UTO_LEAST_NS ? UTO_LEAST_NS : ns > UTO_MOST_NS ? UTO_MOST_NS : ns;
	return ns > own_ns ? ns : own_ns;
}

/* Since when the peer is silent, for R2 and the user timeout: the first retransmission, of a SYN the first one. 0: it is not. */
static uint64_t tried_since_ns(const struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_burst *b;

	if (c->state != TCP_SYN_SENT || c->w->first_rtx_ns == 0 || c->w->burst_first == NIL)
		return c->w->first_rtx_ns;
	b = slab_at(&st->tcp->bursts, c->w->burst_first);
	return st->now_ns - (uint64_t)(tcp_now_us(st) - b->sent_us) * 1000;
}

void tcp_deadline_set(struct berth_stack *st, struct tcp_conn *c, enum tcp_deadline which, uint64_t at_ns)
{
	/* RFC 5482: the user timeout does not wait for the retransmission after it. */
	if (which == TCP_AT_RTX && (c->user_timeout_ms || c->peer_uto) && at_ns != NEVER_NS) {
		uint64_t since_ns = tried_since_ns(st, c), user_ns = tcp_user_timeout_ns(c);

		if (since_ns && user_ns && at_ns > since_ns + user_ns)
			at_ns = since_ns + user_ns;
	}
	if (which == TCP_AT_KEEP)
		c->keep_at_ns = at_ns;
	else
		c->w->at[which] = at_ns;
	if (at_ns < timer_at_ns(&c->timer))
		wheel_set(&st->wheel, TIMER_TCP, tcp_index(st, c), at_ns);
}

static uint64_t keep_idle_ns(const struct tcp_conn *c)
{
	return (c->keep_idle_s ? c->keep_idle_s : TCP_KEEP_IDLE_S) * NS_PER_S;
}

static uint64_t keep_intvl_ns(const struct tcp_conn *c)
{
	return (c->keep_intvl_s ? c->keep_intvl_s : TCP_KEEP_INTVL_S) * NS_PER_S;
}

void tcp_keep_update(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->state == TCP_FIN_WAIT_2 && c->s.flags & SOCK_ORPHAN)
		return; /* the deadline is FIN-WAIT-2's: tcp_close.c */
	if (!(c->s.flags & SOCK_KEEPALIVE) || !tcp_state_in(c, TCP_SYNCHRONIZED)) {
		tcp_deadline_clear(st, c, TCP_AT_KEEP);
		return;
	}
	c->n_keep = 0;
	tcp_deadline_set(st, c, TCP_AT_KEEP, c->last_in_ns + keep_idle_ns(c));
}

/* Is this many unanswered probes, the last of them sent, more than the program bears? */
static bool keep_is_over(const struct tcp_conn *c, uint64_t silent_ns)
{
	uint64_t user_ns = tcp_user_timeout_ns(c);

	if (c->user_timeout_ms)
		return silent_ns >= user_ns && c->n_keep > 0;
	/* What the peer asked for is not cut short here (RFC 5482, 4.2). */
	return c->n_keep >= (c->keep_cnt ? c->keep_cnt : TCP_KEEP_CNT) && silent_ns >= user_ns;
}

static void keep_timer(struct berth_stack *st, struct tcp_conn *c)
{
	uint64_t silent_ns = st->now_ns - c->last_in_ns;

	c->keep_at_ns = NEVER_NS;
	if (c->state == TCP_FIN_WAIT_2 && c->s.flags & SOCK_ORPHAN) {
		tcp_end(st, c, 0); /* RFC 9293, 3.6: nobody waits for the peer's FIN for ever */
		return;
	}
	if (!(c->s.flags & SOCK_KEEPALIVE) || !tcp_state_in(c, TCP_SYNCHRONIZED))
		return;
	if (silent_ns < keep_idle_ns(c)) {
		c->n_keep = 0;
		tcp_deadline_set(st, c, TCP_AT_KEEP, c->last_in_ns + keep_idle_ns(c));
		return;
	}
	if ((c->w != NULL && c->una != c->w->max) ||
	    c->tx.used != 0) { /* what is unacknowledged asks the peer by itself (MUST-26) */
		tcp_deadline_set(st, c, TCP_AT_KEEP, st->now_ns + keep_intvl_ns(c));
		return;
	}
	if (keep_is_over(c, silent_ns)) {
		st->n.tcp_timeouts++;
		tcp_reset_conn(st, c);
		tcp_end(st, c, c->soft_err ? c->soft_err : -ETIMEDOUT);
		return;
	}
	c->n_keep++;
	st->n.tcp_keepalive_probes++;
	tcp_ack_bare(st, c, c->una - 1); /* an old octet: the peer must answer (RFC 9293, 3.8.4) */
	tcp_deadline_set(st, c, TCP_AT_KEEP, st->now_ns + keep_intvl_ns(c));
}

bool tcp_user_timeout_is_over(const struct berth_stack *st, const struct tcp_conn *c)
{
	uint64_t since_ns = tried_since_ns(st, c), user_ns = tcp_user_timeout_ns(c);

	return user_ns && c->w->first_rtx_ns && since_ns && st->now_ns - since_ns >= user_ns;
}

bool tcp_may_retry(struct berth_stack *st, struct tcp_conn *c)
{
	uint64_t user_ns = tcp_user_timeout_ns(c);
	uint32_t most = R2;
	bool over;

	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)
		most = c->syn_retries ? c->syn_retries : TCP_SYN_RETRIES;
	else if (c->s.flags & SOCK_ORPHAN)
		most = R2_ORPHAN;
	/* RFC 5482: the user timeout takes R2's place. */
	if (user_ns && c->w->first_rtx_ns)
		over = tcp_user_timeout_is_over(st, c);
	else
		over = c->w->n_rtx >= most;
	if (!over) {
		/* Look for another way (RFC 9293, MUST-20, SHLD-9). There can be one now that did not tell: room for the neighbour. */
		if (c->w->n_rtx >= R1)
			c->w->route.epoch = st->route_epoch - 1;
		return true;
	}
	st->n.tcp_timeouts++; /* without a reset, which nobody would hear: who still speaks later gets one */
	/* A soft error that the way reported says more than "timed out" (RFC 9293, 3.9.2.2). */
	tcp_end(st, c, c->soft_err ? c->soft_err : -ETIMEDOUT);
	return false;
}

/* One deadline is due. */
static void run(struct berth_stack *st, struct tcp_conn *c, enum tcp_deadline which)
{
	switch (which) {
	case TCP_AT_RTX:
		tcp_flight_timer(st, c);
		return;
	case TCP_AT_DELACK:
		tcp_rcv_delack_timer(st, c);
		return;
	case TCP_AT_PERSIST:
		tcp_persist_timer(st, c);
		return;
	case TCP_AT_KEEP:
		keep_timer(st, c);
		return;
	case TCP_AT_PACE:
		sock_ready(st, tcp_index(st, c));
		return;
	}
}

static void conn_timer(struct berth_stack *st, uint32_t index)
{
	struct tcp_conn *c = tcp_at(st, index);
	uint32_t generation = st->conns.generation[index];
	uint64_t next = NEVER_NS;

	if (c->w == NULL)
		sock_ready(st, index); /* it may wait for one: tcp_work_wanted() */
	for (int i = 0; i < TCP_NDEADLINES; i++) {
		if (tcp_deadline(c, (enum tcp_deadline)i) > st->now_ns)
			continue;
		tcp_deadline_set(st, c, (enum tcp_deadline)i, NEVER_NS);
		run(st, c, (enum tcp_deadline)i);
		if (!slab_is(&st->conns, index, generation))
			return;
	}
	for (int i = 0; i < TCP_NDEADLINES; i++)
		if (tcp_deadline(c, (enum tcp_deadline)i) < next)
			next = tcp_deadline(c, (enum tcp_deadline)i);
	if (next < timer_at_ns(&c->timer))
		wheel_set(&st->wheel, TIMER_TCP, index, next);
}

void tcp_timer(struct berth_stack *st, enum timer_kind kind, uint32_t index)
{
	if (kind == TIMER_SYN)
		tcp_syn_timer(st, index);
	else if (kind == TIMER_TIME_WAIT)
		tcp_wait_timer(st);
	else
		conn_timer(st, index);
}
