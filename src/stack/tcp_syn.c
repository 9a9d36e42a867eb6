/* src/stack/tcp_syn.c: handshakes of listeners that are under way (connections that wait for accept(): tcp_listen.c).
 *
 * A SYN makes a record of 64 octets, no block and no ring (S14): those come with the last segment of the handshake. A record is
 * found by a keyed hash of its four-tuple, on a chain of at most CHAIN_MAX; all records that wait for their n-th repetition are on
 * one list, in order of time, with one timer for the list.
 *
 *	bucket[hash] --> record --> record
 *	level[n]     --> record --> record --> ...	SYN-ACK sent n + 1 times; the first is due first
 *
 * When there is no room (the stack's, the listener's backlog, the chain's) the SYN-ACK is a cookie (tcp_cookie.c), or the SYN is
 * dropped. As on Linux, a SYN is dropped too while the accept queue is full, and so is the last segment of a handshake: the
 * SYN-ACK goes out again, and the peer tries again.
 *
 * Always true (tcp_syn_check())
 *   L1  a record in use is on exactly one chain, its hash's, and on exactly one level's list;
 *   L2  a listener's n_syn counts its records: those of all listeners together are as many as there are records.
 */
#include <errno.h>
#include <string.h>

#include "stack/tcp_control.h"

#define LEVELS 6 /* as Linux's tcp_synack_retries 5: sent six times, given up after 63 s */
#define CHAIN_MAX 16

struct tcp_syn {
	uint8_t local[16], peer[16];
	uint16_t local_port, peer_port;
	uint32_t irs, iss;
	uint32_t ts_recent;
	uint32_t listener;
	uint32_t sent; /* when the last SYN-ACK was; SENT_SHIFT */
	uint16_t mss;
	uint16_t scope; /* of link-local addresses; 0: there are none */
	uint8_t f;	/* SYN_ */
	uint8_t snd_scale : 4,
		rcv_scale : 4; /* ours as the SYN-ACK said it: the listener's buffer may change meanwhile */
	uint8_t level : 3,
		uto_min : 5; /* the peer's user timeout in minutes, rounded up; 31: more (30 is the most that counts) */
	uint8_t answered;    /* tcp_record_may_answer() */
};
_Static_assert(sizeof(struct tcp_syn) == 64, "a handshake costs 64 octets");
enum {
	SYN_TS = 1,
	SYN_SACK = 2,
	SYN_WSCALE = 4,
	SYN_ECN = 8,
	SYN_RESENT = 16,
	SYN_ACKED = 32,	 /* but not taken: the accept queue was full, or data is awaited */
	SYN_COOKIE = 64, /* fast open's cookie goes with the SYN-ACK */
};

#define SENT_SHIFT 16 /* ticks of 65.5 us: goes round in three days */

struct syn_link {
	uint32_t chain, next, prev;
};

struct tcp_syn_state {
	uint32_t *buckets;
	struct syn_link *links;
	uint32_t bucket_mask;
	uint32_t first[LEVELS], last[LEVELS];
	struct timer timers[LEVELS];
};

/* --- the cache --- */

static uint32_t bucket_count(uint32_t n_syn)
{
	uint32_t n = 16;

	while (n < n_syn)
		n *= 2;
	return n;
}

void tcp_syn_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t)
{
	uint32_t n = st->cfg.n_syn;
	void *records = arena_take(a, slab_size(n, sizeof(struct tcp_syn)));
	struct tcp_syn_state *y = arena_take(a, sizeof(*y));
	uint32_t *buckets = arena_take(a, bucket_count(n) * sizeof(*buckets));
	struct syn_link *links = arena_take(a, n * sizeof(*links));

	if (t == NULL)
		return;
	slab_init(&t->syns, records, n, sizeof(struct tcp_syn));
	t->syn = y;
	y->buckets = buckets;
	y->links = links;
	y->bucket_mask = bucket_count(n) - 1;
}

void tcp_syn_init(struct berth_stack *st)
{
	struct tcp_syn_state *y = st->tcp->syn;

	for (uint32_t i = 0; i <= y->bucket_mask; i++)
		y->buckets[i] = NIL;
	for (int i = 0; i < LEVELS; i++) {
		y->first[i] = y->last[i] = NIL;
		timer_init(&y->timers[i]);
	}
	wheel_kind(&st->wheel, TIMER_SYN, y->timers, sizeof(struct timer));
}

static struct tcp_syn *syn_at(struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->tcp->syns, i);
}

static uint32_t bucket_of(const struct berth_stack *st, const uint8_t local[16], uint16_t local_port,
			  const uint8_t peer[16], uint16_t peer_port)
{
	uint8_t k[36];

	memcpy(k, local, 16);
	memcpy(k + 16, peer, 16);
	wire_put16(k + 32, local_port);
	wire_put16(k + 34, peer_port);
	return (uint32_t)siphash13(&st->keys.syn_hash, k, sizeof(k)) & st->tcp->syn->bucket_mask;
}

/* The record of s's four-tuple; NIL. *ret_full: its chain has no room for another. */
static uint32_t syn_find(struct berth_stack *st, const struct tcp_seg *s, bool *ret_full)
{
	struct tcp_syn_state *y = st->tcp->syn;
	uint16_t lp = tcp_seg_local_port(s), pp = tcp_seg_peer_port(s);
	uint32_t i = y->buckets[bucket_of(st, s->p->dst.b, lp, s->p->src.b, pp)], n = 0;

	for (; i != NIL; i = y->links[i].chain, n++) {
		const struct tcp_syn *q = syn_at(st, i);

		if (q->local_port == lp && q->peer_port == pp && q->scope == tcp_seg_scope(s) &&
		    memcmp(q->local, s->p->dst.b, 16) == 0 && memcmp(q->peer, s->p->src.b, 16) == 0)
			return i;
	}
	*ret_full = n >= CHAIN_MAX;
	return NIL;
}

static uint32_t ticks(uint64_t ns)
{
	return (uint32_t)(ns >> SENT_SHIFT);
}

/* When the first on a level's list is due: after 1, 2, 4 ... seconds. */
static uint64_t level_due(struct berth_stack *st, uint32_t level)
{
	const struct tcp_syn *q = syn_at(st, st->tcp->syn->first[level]);
	int64_t ago = (int32_t)(ticks(st->now_ns) - q->sent);
	int64_t left = (int64_t)(ticks(TCP_RTO_FIRST_NS << level) + 1) - ago;

	return left <= 0 ? st->now_ns : st->now_ns + ((uint64_t)left << SENT_SHIFT);
}

static void level_arm(struct berth_stack *st, uint32_t level)
{
	struct tcp_syn_state *y = st->tcp->syn;

	if (y->first[level] == NIL)
		wheel_cancel(&st->wheel, TIMER_SYN, level);
	else
		wheel_set(&st->wheel, TIMER_SYN, level, level_due(st, level));
}

static void level_add(struct berth_stack *st, uint32_t i)
{
	struct tcp_syn_state *y = st->tcp->syn;
	uint8_t level = syn_at(st, i)->level;

	y->links[i].next = NIL;
	y->links[i].prev = y->last[level];
	if (y->last[level] == NIL)
		y->first[level] = i;
	else
		y->links[y->last[level]].next = i;
	y->last[level] = i;
	if (y->first[level] == i)
		level_arm(st, level);
}

static void level_remove(struct berth_stack *st, uint32_t i)
{
	struct tcp_syn_state *y = st->tcp->syn;
	struct syn_link *l = &y->links[i];
	uint8_t level = syn_at(st, i)->level;

	if (l->prev == NIL)
		y->first[level] = l->next;
	else
		y->links[l->prev].next = l->next;
	if (l->next == NIL)
		y->last[level] = l->prev;
	else
		y->links[l->next].prev = l->prev;
	if (y->first[level] == NIL)
		wheel_cancel(&st->wheel, TIMER_SYN, level);
}

static void syn_free(struct berth_stack *st, uint32_t i)
{
	struct tcp_syn_state *y = st->tcp->syn;
	struct tcp_syn *q = syn_at(st, i);
	uint32_t *at = &y->buckets[bucket_of(st, q->local, q->local_port, q->peer, q->peer_port)];

	while (*at != i) {
		ASSERT(*at != NIL);
		at = &y->links[*at].chain;
	}
	*at = y->links[i].chain;
	level_remove(st, i);
	tcp_at(st, q->listener)->n_syn--;
	slab_give(&st->tcp->syns, i);
}

/* --- SYN-ACKs --- */

/* b has addresses, ports, numbers; the rest is what listener l answers to an offer of f. */
void tcp_syn_answer(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_bare *b, uint32_t f,
		    uint8_t rcv_scale, uint32_t ts_ecr)
{
	struct tcp_bare a = *b;
	struct ip_route rt;

	a.bind_iface = l->s.bind_iface;
	if (ip_route_find(st, a.local, a.peer, a.bind_iface ? (uint16_t)(a.bind_iface - 1) : BERTH_IFACE_ANY, &rt,
			  NULL) < 0) {
		st->n.dropped_no_route++;
		return;
	}
	a.flags = WIRE_TCP_SYN | WIRE_TCP_ACK | (f & TF_ECN ? WIRE_TCP_ECE : 0);
	a.wnd = tcp_window_syn(st, l);
	a.ttl = l->s.ttl;
	a.tos = l->s.tos;
	a.opt.has |= WIRE_TCP_HAS_MSS;
	a.opt.mss = tcp_mss_offer(rt.mtu_bytes, port_addr_is4(a.local), l->mss_user);
	if (f & TF_SACK)
		a.opt.has |= WIRE_TCP_HAS_SACK_OK;
	if (f & TF_WSCALE) {
		a.opt.has |= WIRE_TCP_HAS_WSCALE;
		a.opt.wscale = rcv_scale;
	}
	if (f & TF_TS) {
		a.opt.has |= WIRE_TCP_HAS_TS;
		a.opt.ts_ecr = ts_ecr;
		if (a.opt.ts_val == 0)
			a.opt.ts_val = tcp_ts_now(st, tcp_ts_offset(st, a.local, a.peer));
	}
	tcp_uto_say(l, &a.opt);
	tcp_send_bare(st, &a);
}

static uint8_t uto_minutes(uint16_t uto)
{
	uint32_t n = (tcp_uto_s(uto) + 59) / 60;

	return (uint8_t)(n < 31 ? n : 31);
}

static uint32_t syn_tf(const struct tcp_syn *q)
{
	return (q->f & SYN_TS ? TF_TS : 0u) | (q->f & SYN_SACK ? TF_SACK : 0u) | (q->f & SYN_WSCALE ? TF_WSCALE : 0u) |
	       (q->f & SYN_ECN ? TF_ECN : 0u);
}

static void syn_send(struct berth_stack *st, uint32_t i)
{
	struct tcp_syn *q = syn_at(st, i);
	const struct tcp_conn *l = tcp_at(st, q->listener);
	struct port_addr local = port_addr_from6(q->local, 0), peer = port_addr_from6(q->peer, 0);
	struct tcp_bare b = {.local = &local,
			     .peer = &peer,
			     .local_port = q->local_port,
			     .peer_port = q->peer_port,
			     .seq = q->iss,
			     .ack = q->irs + 1};

	local.scope = port_addr_is_linklocal6(&local) ? q->scope : 0;
	peer.scope = port_addr_is_linklocal6(&peer) ? q->scope : 0;
	if (q->f & SYN_COOKIE)
		tcp_fastopen_offer(st, &peer, &b.opt);
	tcp_syn_answer(st, l, &b, syn_tf(q), q->rcv_scale, q->ts_recent);
}

/* Does the listener still want data with the handshake's last segment (TCP_DEFER_ACCEPT)? Level n begins after 2^n - 1 seconds. */
static bool is_deferred(const struct tcp_conn *l, const struct tcp_syn *q)
{
	return l->defer_s > (1u << q->level) - 1;
}

void tcp_syn_timer(struct berth_stack *st, uint32_t level)
{
	struct tcp_syn_state *y = st->tcp->syn;
	uint32_t i = y->first[level];
	struct tcp_syn *q;

	if (i == NIL)
		return;
	if (level_due(st, level) > st->now_ns) {
		level_arm(st, level);
		return;
	}
	q = syn_at(st, i);
	if (level + 1 == LEVELS) {
		st->n.tcp_attempt_fails++;
		syn_free(st, i);
	} else {
		level_remove(st, i);
		q->level++;
		q->sent = ticks(st->now_ns);
		q->f |= SYN_RESENT;
		if (!(q->f & SYN_ACKED) || !is_deferred(tcp_at(st, q->listener), q)) {
			syn_send(st, i);
			st->n.tcp_retrans++;
		}
		level_add(st, i);
	}
	if (y->first[level] != NIL)
		level_arm(st, level);
}

/* --- a SYN arrives --- */

/* What both want of what the SYN offers. */
static void offer_in(const struct tcp_conn *l, const struct tcp_seg *s, struct tcp_child *ret)
{
	const struct wire_tcp_options *o = &s->opt;
	uint16_t both = WIRE_TCP_ECE | WIRE_TCP_CWR;

	*ret = (struct tcp_child){.irs = s->seq, .mss = tcp_mss_of_peer(o, port_addr_is4(&s->p->dst))};
	if (o->has & WIRE_TCP_HAS_TS && !(l->refuse & TF_TS)) {
		ret->f |= TF_TS;
		ret->ts_recent = o->ts_val;
	}
	if (o->has & WIRE_TCP_HAS_SACK_OK && !(l->refuse & TF_SACK))
		ret->f |= TF_SACK;
	if (o->has & WIRE_TCP_HAS_WSCALE && !(l->refuse & TF_WSCALE)) {
		ret->f |= TF_WSCALE;
		ret->snd_scale = o->wscale;
	}
	ret->peer_uto = tcp_uto_heard(l, o, 0);
	/* RFC 3168, 6.1.1; and 6.1.1.1: not when the SYN itself is marked. */
	if (l->ecn_wish && (s->flags & both) == both && (s->p->tos & WIRE_ECN_MASK) == WIRE_ECN_NOT_ECT)
		ret->f |= TF_ECN;
}

static void send_cookie(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_seg *s, struct tcp_child *k)
{
	struct tcp_bare b = {.local = &s->p->dst,
			     .peer = &s->p->src,
			     .local_port = tcp_seg_local_port(s),
			     .peer_port = tcp_seg_peer_port(s),
			     .ack = s->seq + 1};
	uint32_t ts = 0;

	k->rcv_scale = tcp_window_scale(st, l);
	b.seq = tcp_cookie_make(st, s, k, &ts);
	b.opt.ts_val = ts;
	st->n.tcp_cookies_sent++;
	tcp_syn_answer(st, l, &b, k->f, k->rcv_scale, k->ts_recent);
}

/* Above what the connection before it used: RFC 9293, MAY-2. */
static uint32_t first_seq(struct berth_stack *st, const struct tcp_seg *s, uint32_t iss_min)
{
	uint32_t iss = tcp_isn(st, &s->p->dst, tcp_seg_local_port(s), &s->p->src, tcp_seg_peer_port(s));

	return iss_min && seq_lt(iss, iss_min) ? iss_min : iss;
}

static void syn_new(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s, const struct tcp_child *k,
		    uint32_t iss_min)
{
	struct tcp_syn_state *y = st->tcp->syn;
	uint32_t i = slab_take(&st->tcp->syns), b;
	struct tcp_syn *q = syn_at(st, i);

	memcpy(q->local, s->p->dst.b, 16);
	memcpy(q->peer, s->p->src.b, 16);
	q->local_port = tcp_seg_local_port(s);
	q->peer_port = tcp_seg_peer_port(s);
	q->irs = s->seq;
	q->iss = first_seq(st, s, iss_min);
	q->ts_recent = k->ts_recent;
	q->listener = tcp_index(st, l);
	q->mss = k->mss;
	q->scope = (uint16_t)tcp_seg_scope(s);
	q->f = (k->f & TF_TS ? SYN_TS : 0) | (k->f & TF_SACK ? SYN_SACK : 0) | (k->f & TF_WSCALE ? SYN_WSCALE : 0) |
	       (k->f & TF_ECN ? SYN_ECN : 0) | (k->cookie ? SYN_COOKIE : 0);
	q->uto_min = uto_minutes(k->peer_uto) & 31;
	q->snd_scale = k->snd_scale & 15;
	q->rcv_scale = k->f & TF_WSCALE ? tcp_window_scale(st, l) & 15 : 0;
	b = bucket_of(st, q->local, q->local_port, q->peer, q->peer_port);
	y->links[i].chain = y->buckets[b];
	y->buckets[b] = i;
	l->n_syn++;
	q->sent = ticks(st->now_ns);
	syn_send(st, i);
	level_add(st, i);
}

/* A bare acknowledgment of what was received so far, if the record has an answer left. */
static bool syn_ack_bare(struct berth_stack *st, struct tcp_syn *q, const struct tcp_seg *s)
{
	const struct tcp_conn *l = tcp_at(st, q->listener);
	struct tcp_bare b = {.local = &s->p->dst,
			     .peer = &s->p->src,
			     .local_port = q->local_port,
			     .peer_port = q->peer_port,
			     .seq = q->iss + 1,
			     .ack = q->irs + 1,
			     .flags = WIRE_TCP_ACK,
			     /* only a SYN's window is not scaled (RFC 7323, 2.2) */
			     .wnd = (uint16_t)(tcp_window_syn(st, l) >> q->rcv_scale),
			     .ttl = l->s.ttl,
			     .tos = l->s.tos,
			     .bind_iface = l->s.bind_iface};

	if (!tcp_record_may_answer(st, &q->answered))
		return false;
	if (q->f & SYN_TS) {
		b.opt.has = WIRE_TCP_HAS_TS;
		b.opt.ts_val = tcp_ts_now(st, tcp_ts_offset(st, b.local, b.peer));
		b.opt.ts_ecr = q->ts_recent;
	}
	tcp_send_bare(st, &b);
	return true;
}

/* A SYN for a handshake that we know. */
static void syn_again(struct berth_stack *st, uint32_t i, const struct tcp_seg *s)
{
	struct tcp_syn *q = syn_at(st, i);

	if (q->irs != s->seq) { /* another connection's? Whoever sent it says so by a reset (RFC 5961, 4.2) */
		if (syn_ack_bare(st, q, s))
			st->n.tcp_challenge_acks++;
		return;
	}
	q->f |= SYN_RESENT;
	if (ticks(st->now_ns) - q->sent < ticks(NS_PER_S / 2))
		return;
	syn_send(st, i); /* ours was lost; the timer counts from this one */
	level_remove(st, i);
	q->sent = ticks(st->now_ns);
	level_add(st, i);
}

/* Fast open: the connection is made by the SYN, its data is taken (RFC 7413, 4.2.2). */
static bool begin_early(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s, struct tcp_child *k,
			uint32_t iss_min)
{
	struct tcp_conn *c;

	k->early = true;
	k->rcv_scale = tcp_window_scale(st, l);
	k->iss = first_seq(st, s, iss_min);
	c = tcp_child_new(st, l, s, k);
	k->early = false;
	if (c == NULL)
		return false;
	if (s->len) {
		st->n.tcp_fast_open++;
		(void)tcp_rcv_segment(st, c, s); /* no FIN: tcp_listen_from() drops SYNs with one */
	}
	sock_ready(st, tcp_index(st, c));
	return true;
}

static void syn_arrives(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s, uint32_t i,
			bool chain_full, uint32_t iss_min)
{
	struct tcp_child k;
	bool full;

	if (i != NIL) {
		syn_again(st, i, s);
		return;
	}
	if (tcp_accept_is_full(l)) {
		st->n.tcp_syn_dropped++;
		st->n.tcp_accept_overflow++;
		return;
	}
	offer_in(l, s, &k);
	if (l->fastopen_max && s->opt.has & WIRE_TCP_HAS_COOKIE) {
		if (tcp_fastopen_good(st, l, s) && begin_early(st, l, s, &k, iss_min))
			return;
		k.cookie = true;
	}
	full = chain_full || st->tcp->syns.n_used == st->tcp->syns.n_max ||
	       l->n_syn >= (l->backlog < 8 ? 8 : l->backlog);
	if (l->syncookies == 2 || (full && l->syncookies))
		send_cookie(st, l, s, &k);
	else if (full)
		st->n.tcp_syn_dropped++;
	else
		syn_new(st, l, s, &k, iss_min);
}

/* --- the last segment of a handshake --- */

/* A segment with ACK for record i: may it finish the handshake (RFC 9293, 3.10.7.4, in SYN-RECEIVED)? */
static bool may_finish(struct berth_stack *st, struct tcp_syn *q, const struct tcp_seg *s)
{
	struct tcp_conn *l = tcp_at(st, q->listener);

	if (q->f & SYN_TS && s->opt.has & WIRE_TCP_HAS_TS && seq_lt(s->opt.ts_val, q->ts_recent)) {
		st->n.tcp_paws_dropped++;
		(void)syn_ack_bare(st, q, s);
		return false;
	}
	if (!seq_in(s->seq, q->irs + 1, q->irs + 1 + tcp_window_syn(st, l))) {
		st->n.tcp_out_of_window++;
		(void)syn_ack_bare(st, q, s);
		return false;
	}
	if (s->ack != q->iss + 1) {
		tcp_reset_for(st, s);
		return false;
	}
	return true;
}

static void finish(struct berth_stack *st, uint32_t i, const struct tcp_seg *s)
{
	struct tcp_syn *q = syn_at(st, i);
	struct tcp_conn *l = tcp_at(st, q->listener), *c;
	struct tcp_child k = {.iss = q->iss,
			      .irs = q->irs,
			      .ts_recent = q->ts_recent,
			      .mss = q->mss,
			      .snd_scale = q->snd_scale,
			      .rcv_scale = q->rcv_scale,
			      .peer_uto = q->uto_min ? (uint16_t)(0x8000 | q->uto_min) : 0,
			      .f = syn_tf(q)};

	if (!may_finish(st, q, s))
		return;
	q->f |= SYN_ACKED;
	if (s->len == 0 && !(s->flags & WIRE_TCP_FIN) && is_deferred(l, q))
		return;
	if (tcp_accept_is_full(l)) {
		st->n.tcp_accept_overflow++;
		return; /* the SYN-ACK goes out again */
	}
	if (!(q->f & SYN_RESENT))
		k.rtt_ns = (uint64_t)(ticks(st->now_ns) - q->sent) << SENT_SHIFT;
	c = tcp_child_new(st, l, s, &k);
	if (c == NULL)
		return;
	syn_free(st, i);
	tcp_conn_input(st, c, s);
}

static void ack_arrives(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s, uint32_t i)
{
	struct tcp_child k;
	struct tcp_conn *c;

	if (i != NIL) {
		finish(st, i, s);
		return;
	}
	if (!l->syncookies || !tcp_cookie_check(st, l, s, &k)) {
		tcp_reset_for(st, s);
		return;
	}
	st->n.tcp_cookies_ok++;
	if (tcp_accept_is_full(l)) {
		st->n.tcp_accept_overflow++;
		return;
	}
	c = tcp_child_new(st, l, s, &k);
	if (c != NULL)
		tcp_conn_input(st, c, s);
}

/* RFC 9293, 3.10.7.2, and SYN-RECEIVED of the cache. */
void tcp_listen_from(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s, uint32_t iss_min)
{
	bool chain_full = false;
	uint32_t i = syn_find(st, s, &chain_full);

	if (i != NIL && syn_at(st, i)->listener != tcp_index(st, l)) { /* another of its reuse group began it */
		l = tcp_at(st, syn_at(st, i)->listener);
	}
	if (s->flags & WIRE_TCP_RST) {
		if (i != NIL && s->seq == syn_at(st, i)->irs + 1) { /* exactly the next: RFC 5961, 3.2 */
			st->n.tcp_rst_in++;
			st->n.tcp_attempt_fails++;
			syn_free(st, i);
		}
		return;
	}
	if ((s->flags & (WIRE_TCP_SYN | WIRE_TCP_ACK)) == WIRE_TCP_SYN) {
		if (!(s->flags & WIRE_TCP_FIN))
			syn_arrives(st, l, s, i, chain_full, iss_min);
		return;
	}
	if (s->flags & WIRE_TCP_SYN) {
		tcp_reset_for(st, s); /* nobody here called it */
		return;
	}
	if (s->flags & WIRE_TCP_ACK)
		ack_arrives(st, l, s, i);
}

/* --- the end of a listener --- */

void tcp_syn_forget(struct berth_stack *st, const struct tcp_conn *l)
{
	struct tcp_syn_state *y = st->tcp->syn;
	uint32_t self = tcp_index(st, l);

	for (int level = 0; level < LEVELS && l->n_syn; level++) {
		for (uint32_t i = y->first[level], next; i != NIL; i = next) {
			next = y->links[i].next;
			if (syn_at(st, i)->listener == self)
				syn_free(st, i);
		}
	}
}

/* --- the checker --- */

static bool chains_check(struct berth_stack *st, uint32_t *ret_n)
{
	struct tcp_syn_state *y = st->tcp->syn;

	*ret_n = 0;
	for (uint32_t b = 0; b <= y->bucket_mask; b++) {
		uint32_t n = 0;

		for (uint32_t i = y->buckets[b]; i != NIL; i = y->links[i].chain, n++) {
			const struct tcp_syn *q = syn_at(st, i);

			if (!slab_used(&st->tcp->syns, i) || n > CHAIN_MAX ||
			    bucket_of(st, q->local, q->local_port, q->peer, q->peer_port) != b)
				return false;
		}
		*ret_n += n;
	}
	return true;
}

static bool counts_check(const struct berth_stack *st)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < st->conns.n_max; i++) {
		const struct tcp_conn *c = slab_at(&st->conns, i);

		if (slab_used(&st->conns, i) && c->state == TCP_LISTEN)
			n += c->n_syn;
	}
	return n == st->tcp->syns.n_used;
}

bool tcp_syn_check(const struct berth_stack *cst)
{
	struct berth_stack *st = (struct berth_stack *)cst; /* looked at only: syn_at() wants it so */
	struct tcp_syn_state *y = st->tcp->syn;
	uint32_t on_chains, on_levels = 0;

	if (!chains_check(st, &on_chains) || on_chains != st->tcp->syns.n_used || !counts_check(st))
		return false;
	for (uint32_t level = 0; level < LEVELS; level++) {
		uint32_t prev = NIL;

		for (uint32_t i = y->first[level]; i != NIL; i = y->links[i].next) {
			const struct tcp_syn *q = syn_at(st, i);

			if (q->level != level || y->links[i].prev != prev || !slab_used(&st->conns, q->listener) ||
			    tcp_at(st, q->listener)->state != TCP_LISTEN || ++on_levels > on_chains)
				return false;
			prev = i;
		}
		if (y->last[level] != prev || timer_is_set(&y->timers[level]) != (prev != NIL))
			return false;
	}
	return on_levels == on_chains;
}
