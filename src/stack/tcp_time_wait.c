/* src/stack/tcp_time_wait.c: TIME-WAIT, 64 octets each (RFC 9293, 3.10.7.4; RFC 1337; RFC 6191).
 *
 * A connection that is over keeps its four-tuple for 2 MSL, so that octets of it that are still on their way meet nobody new. Its
 * block and rings go at once; what stays is the heart's claim, lingering, and a record here that knows what to answer:
 *
 *	a FIN again, old data	<SEQ=snd_nxt><ACK=rcv_nxt>; a FIN also starts the 2 MSL anew
 *	RST			nothing: it must not end the wait (RFC 1337)
 *	SYN			a new connection, if its timestamp is newer (RFC 6191, 2) or, without timestamps, its sequence
 *				number is beyond what was received; else the same acknowledgment
 *
 * All waits are equally long, so the list by time is the list by arrival: one timer, for the first. When all records are in use the
 * oldest ends early (S20): its claim with it.
 *
 * Always true (tcp_wait_check())
 *   X1  a record in use is on the list once, and the list's times ascend;
 *   X2  its claim lingers as long as the record, which alone ends it, and its user word says which one it is - unless a bound
 *	 connect() took the claim over.
 */
#include <errno.h>

#include "stack/tcp_control.h"

#define WAIT_NS (2 * TCP_MSL_NS)
/* connect() may have the four-tuple again when the peer's timestamp clock has moved for sure, as Linux's tcp_tw_reuse. */
#define REUSE_AFTER_NS (1 * NS_PER_S)

struct tcp_time_wait {
	struct port_ref claim;
	uint64_t ends_ns;
	uint64_t ts_recent_ns;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent, ts_offset;
	uint32_t rcv_wnd; /* octets */
	uint32_t next, prev;
	uint16_t wnd; /* as on the wire */
	uint8_t f;    /* WAIT_ */
	uint8_t ttl, tos;
	uint8_t answered; /* tcp_record_may_answer() */
	uint8_t pad[2];
};
_Static_assert(sizeof(struct tcp_time_wait) == 64, "TIME-WAIT costs 64 octets");
enum { WAIT_TS = 1 };

struct tcp_wait_state {
	uint32_t first, last;
	struct timer timer;
};

void tcp_wait_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t)
{
	void *records = arena_take(a, slab_size(st->cfg.n_time_wait, sizeof(struct tcp_time_wait)));
	struct tcp_wait_state *w = arena_take(a, sizeof(*w));

	if (t == NULL)
		return;
	slab_init(&t->time_waits, records, st->cfg.n_time_wait, sizeof(struct tcp_time_wait));
	t->wait = w;
}

void tcp_wait_init(struct berth_stack *st)
{
	struct tcp_wait_state *w = st->tcp->wait;

	w->first = w->last = NIL;
	timer_init(&w->timer);
	wheel_kind(&st->wheel, TIMER_TIME_WAIT, &w->timer, sizeof(w->timer));
}

static struct tcp_time_wait *wait_at(struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->tcp->time_waits, i);
}

struct port_ref tcp_wait_claim(struct berth_stack *st, uint32_t index)
{
	return slab_used(&st->tcp->time_waits, index) ? wait_at(st, index)->claim : PORT_REF_NONE;
}

static void arm(struct berth_stack *st)
{
	struct tcp_wait_state *w = st->tcp->wait;

	wheel_set(&st->wheel, TIMER_TIME_WAIT, 0, w->first == NIL ? NEVER_NS : wait_at(st, w->first)->ends_ns);
}

static void append(struct berth_stack *st, uint32_t i)
{
	struct tcp_wait_state *w = st->tcp->wait;
	struct tcp_time_wait *t = wait_at(st, i);

	t->ends_ns = st->now_ns + WAIT_NS;
	t->next = NIL;
	t->prev = w->last;
	if (w->last == NIL)
		w->first = i;
	else
		wait_at(st, w->last)->next = i;
	w->last = i;
	if (w->first == i)
		arm(st);
}

static void unlink_record(struct berth_stack *st, uint32_t i)
{
	struct tcp_wait_state *w = st->tcp->wait;
	const struct tcp_time_wait *t = wait_at(st, i);

	if (t->prev == NIL)
		w->first = t->next;
	else
		wait_at(st, t->prev)->next = t->next;
	if (t->next == NIL)
		w->last = t->prev;
	else
		wait_at(st, t->next)->prev = t->prev;
	if (t->prev == NIL)
		arm(st);
}

static void forget(struct berth_stack *st, uint32_t i)
{
	unlink_record(st, i);
	if (port_table_release(&st->ports, wait_at(st, i)->claim) < 0)
		st->n.tcp_time_wait_reused++; /* a bound connect() has it: RFC 9293, MAY-2 */
	slab_give(&st->tcp->time_waits, i);
}

void tcp_time_wait_enter(struct berth_stack *st, struct tcp_conn *c)
{
	struct tcp_wait_state *w = st->tcp->wait;
	uint32_t wnd = (c->rcv_adv - c->rcv_nxt) >> c->rcv_scale, i;
	struct tcp_time_wait *t;

	if (sock_placed(st, port_table_linger(&st->ports, c->s.claim, NEVER_US)) < 0) {
		tcp_end(st, c, 0); /* it goes without: the port is free at once */
		return;
	}
	if (st->tcp->time_waits.n_used == st->tcp->time_waits.n_max) {
		st->n.tcp_time_wait_evicted++;
		forget(st, w->first);
	}
	i = slab_take(&st->tcp->time_waits);
	t = wait_at(st, i);
	t->snd_nxt = c->w->max;
	t->rcv_nxt = c->rcv_nxt;
	t->rcv_wnd = c->rcv_adv - c->rcv_nxt;
	t->wnd = (uint16_t)(wnd > UINT16_MAX ? UINT16_MAX : wnd);
	t->f = c->f & TF_TS ? WAIT_TS : 0;
	t->ts_recent = c->ts_recent;
	t->ts_recent_ns = c->w->ts_recent_ns;
	t->ts_offset = c->ts_offset;
	t->ttl = c->s.ttl;
	t->tos = c->s.tos;
	t->claim = c->s.claim;
	append(st, i);
	ASSERT(port_table_set_user(&st->ports, t->claim, SOCK_ID_TIME_WAIT | i) == 0);
	c->s.claim = PORT_REF_NONE; /* it is the record's now */
	st->n.tcp_time_wait++;
	tcp_end(st, c, 0);
}

void tcp_wait_timer(struct berth_stack *st)
{
	struct tcp_wait_state *w = st->tcp->wait;

	if (w->first == NIL)
		return;
	if (wait_at(st, w->first)->ends_ns > st->now_ns)
		arm(st);
	else
		forget(st, w->first); /* arms for the next one */
}

static void answer(struct berth_stack *st, struct tcp_time_wait *t, const struct tcp_seg *s)
{
	struct tcp_bare b = {.local = &s->p->dst,
			     .peer = &s->p->src,
			     .local_port = tcp_seg_local_port(s),
			     .peer_port = tcp_seg_peer_port(s),
			     .seq = t->snd_nxt,
			     .ack = t->rcv_nxt,
			     .flags = WIRE_TCP_ACK,
			     .wnd = t->wnd,
			     .ttl = t->ttl,
			     .tos = t->tos};

	if (!tcp_record_may_answer(st, &t->answered))
		return;
	if (t->f & WAIT_TS) {
		b.opt.has = WIRE_TCP_HAS_TS;
		b.opt.ts_val = tcp_ts_now(st, t->ts_offset);
		b.opt.ts_ecr = t->ts_recent;
	}
	tcp_send_bare(st, &b);
}

/* RFC 6191, 2, as far as it can be told from here: is this SYN a new connection's for sure? */
static bool is_new(const struct tcp_time_wait *t, const struct tcp_seg *s)
{
	bool ts = t->f & WAIT_TS && s->opt.has & WIRE_TCP_HAS_TS;

	if (ts && s->opt.ts_val != t->ts_recent)
		return seq_lt(t->ts_recent, s->opt.ts_val);
	return seq_lt(t->rcv_nxt, s->seq);
}

bool tcp_wait_input(struct berth_stack *st, uint32_t index, const struct tcp_seg *s, bool has_listener,
		    uint32_t *ret_iss_min)
{
	struct tcp_time_wait *t = wait_at(st, index);
	bool ts = t->f & WAIT_TS && s->opt.has & WIRE_TCP_HAS_TS;

	if (s->flags & WIRE_TCP_RST) {
		st->n.tcp_rst_in++;
		return false; /* RFC 1337: it does not end the wait */
	}
	/* Where nobody listens a SYN must not end the wait any more than a reset may. */
	if (has_listener && (s->flags & (WIRE_TCP_SYN | WIRE_TCP_ACK)) == WIRE_TCP_SYN && is_new(t, s)) {
		*ret_iss_min = t->snd_nxt + 65537; /* beyond any window that was open */
		*ret_iss_min += *ret_iss_min == 0;
		st->n.tcp_time_wait_reused++;
		forget(st, index);
		return true;
	}
	if (ts && seq_lt(s->opt.ts_val, t->ts_recent))
		st->n.tcp_paws_dropped++;
	else if (s->flags & WIRE_TCP_FIN && s->seq + tcp_seg_len(s) == t->rcv_nxt) {
		if (ts) {
			t->ts_recent = s->opt.ts_val;
			t->ts_recent_ns = st->now_ns;
		}
		unlink_record(st, index);
		append(st, index); /* our acknowledgment was lost: the wait begins anew */
	}
	/* A bare acknowledgment of all that there was is the peer's last word; anything else gets one of ours. */
	if (tcp_seg_len(s) != 0 || s->seq != t->rcv_nxt)
		answer(st, t, s);
	return false;
}

int tcp_wait_reuse(struct berth_stack *st, const struct port_tuple *tuple, uint32_t *ret_iss)
{
	struct tcp_time_wait *t;
	struct port_claim claim;
	struct port_ref ref;
	uint32_t i;

	if (port_demux_flow(&st->ports, tuple, &ref) < 0 || port_table_get(&st->ports, ref, &claim) < 0 ||
	    claim.state != CLAIM_LINGER || !(claim.user & SOCK_ID_TIME_WAIT))
		return -ENOENT;
	i = (uint32_t)claim.user & ~SOCK_ID_TIME_WAIT;
	t = wait_at(st, i);
	if (!(t->f & WAIT_TS) || st->now_ns - t->ts_recent_ns < REUSE_AFTER_NS)
		return -EADDRNOTAVAIL;
	*ret_iss = t->snd_nxt + 65537;
	st->n.tcp_time_wait_reused++;
	forget(st, i);
	return 0;
}

bool tcp_wait_check(const struct berth_stack *cst)
{
	struct berth_stack *st = (struct berth_stack *)cst; /* looked at only */
	const struct tcp_wait_state *w = st->tcp->wait;
	uint64_t last_ns = 0;
	uint32_t n = 0, prev = NIL;

	for (uint32_t i = w->first; i != NIL; i = wait_at(st, i)->next) {
		const struct tcp_time_wait *t = wait_at(st, i);
		struct port_claim claim;

		if (!slab_used(&st->tcp->time_waits, i) || t->prev != prev || t->ends_ns < last_ns ||
		    ++n > st->tcp->time_waits.n_used)
			return false;
		if (port_table_get(&st->ports, t->claim, &claim) == 0 &&
		    (claim.state != CLAIM_LINGER || claim.user != (SOCK_ID_TIME_WAIT | i)))
			return false;
		last_ns = t->ends_ns;
		prev = i;
	}
	return w->last == prev && n == st->tcp->time_waits.n_used && timer_is_set(&w->timer) == (n != 0);
}
