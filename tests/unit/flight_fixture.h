/* tests/unit/flight_fixture.h: a TCP sender that is only the files about what is in flight, on a path of a few lines of test.
 *
 * The files of src/stack/ named in tests/unit/meson.build are linked as they are; what they call elsewhere is here: deadlines are
 * stored, the ring is a count, output is a loop like tcp_out.c's without Nagle. At the other end is a receiver made of intervals,
 * which answers with SACK, D-SACK and timestamps, or without. Time is virtual.
 */
#ifndef BERTH_TESTS_FLIGHT_FIXTURE_H
#define BERTH_TESTS_FLIGHT_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "stack/tcp_data.h"
#include "stack/tcp_flight.h"

#ifndef MSS
#define MSS 1000u
#endif
#define ISS fl_iss
#define N_LOG 4096
#define N_PENDING 16384
#define N_HELD 4096
#define MS 1000000ull /* ns */

struct fl_sent {
	uint64_t at_ns;
	uint32_t seq, len;
	bool rexmit, probe;
};

enum fl_kind { TO_RECEIVER, TO_SENDER };
struct fl_event {
	uint64_t at_ns;
	uint64_t order;
	enum fl_kind kind;
	uint32_t seq, len, ts_val; /* to the receiver */
	bool ce;
	struct tcp_seg ack; /* to the sender */
};

struct fl_interval {
	uint32_t from, to;
	uint64_t age; /* greater: touched later */
};

struct fl {
	struct berth_stack st;
	struct tcp_state tcp;
	struct tcp_conn *c;
	struct tcp_work work;
	void *memory;
	unsigned n_ready;
	bool give_up;	   /* tcp_may_retry() says no */
	bool user_is_over; /* tcp_user_timeout_is_over() says yes */

	/* what was sent */
	struct fl_sent log[N_LOG];
	unsigned n_log, n_sent; /* n_sent goes on when the log is full */
	uint64_t written;	/* octets the program still has to put into the ring */
	uint32_t ring;		/* the ring's size */
	uint32_t frame;		/* segments a frame may have */

	/* the path */
	uint64_t owd_ns;
	uint64_t ns_per_octet; /* of the bottleneck; 0: none */
	uint64_t queue_ns;     /* what waits longer is dropped */
	uint64_t link_free_ns;
	uint32_t loss_ppm, ack_loss_ppm, reorder_ppm;
	uint64_t reorder_ns;
	const unsigned *drop;		     /* numbers of segments that are lost, from 1, ascending, 0 at the end */
	uint64_t pause_from_ns, pause_to_ns; /* what is sent then leaves at the end of it */
	uint64_t mark_ns;		     /* a queue longer than that is marked CE */
	struct rng rng;
	unsigned n_data; /* segments so far */
	struct fl_event pending[N_PENDING];
	unsigned n_pending;
	uint64_t order;

	/* the receiver */
	uint32_t rcv_nxt;
	struct fl_interval held[N_HELD];
	unsigned n_held;
	uint64_t age;
	uint32_t rwnd, ts_recent;
	unsigned unacked, ack_every;
	bool sack, dsack, ts, ece, renege;
	uint64_t received; /* octets in order */
};

static struct fl *fl_now; /* the fakes have no argument for it */
static uint32_t fl_iss;	  /* goes round soon: BERTH_TEST_ISS_BEFORE octets later, 7296 if that says nothing */

/* --- what the rest of the stack does for them --- */

uint32_t tcp_index(const struct berth_stack *st, const struct tcp_conn *c)
{
	(void)st;
	(void)c;
	return 0;
}

void tcp_deadline_set(struct berth_stack *st, struct tcp_conn *c, enum tcp_deadline which, uint64_t at_ns)
{
	(void)st;
	c->w->at[which] = at_ns;
}

bool tcp_user_timeout_is_over(const struct berth_stack *st, const struct tcp_conn *c)
{
	(void)st;
	(void)c;
	return fl_now->user_is_over;
}

bool tcp_may_retry(struct berth_stack *st, struct tcp_conn *c)
{
	(void)st;
	(void)c;
	return !fl_now->give_up;
}

bool tcp_mtu_probe_lost(struct berth_stack *st, struct tcp_conn *c)
{
	(void)st;
	(void)c;
	return false;
}

void sock_ready(struct berth_stack *st, uint32_t id)
{
	(void)st;
	(void)id;
	fl_now->n_ready++;
}

void tcp_persist_again(struct berth_stack *st, struct tcp_conn *c)
{
	(void)st;
	(void)c;
}

void tcp_persist_check(struct berth_stack *st, struct tcp_conn *c)
{
	(void)st;
	(void)c;
}

void ip_route_confirm(struct berth_stack *st, const struct ip_route *rt)
{
	(void)st;
	(void)rt;
}

void tcp_tx_acked(struct berth_stack *st, struct tcp_conn *c, uint32_t ack, uint32_t len)
{
	(void)st;
	assert_true(len <= c->tx.used);
	c->una = ack;
	c->w->nxt = seq_max(c->w->nxt, ack);
	c->tx.used -= len;
}

/* --- making one --- */

static inline void fl_init(struct fl *f, uint8_t cc)
{
	const char *before = getenv("BERTH_TEST_ISS_BEFORE");
	size_t n = slab_size(4096, sizeof(struct tcp_burst)), m = slab_size(4, sizeof(struct tcp_conn));
	uint8_t *p;

	memset(f, 0, sizeof(*f));
	fl_now = f;
	fl_iss = 0 - (uint32_t)(before ? strtoul(before, NULL, 10) : 7296);
	f->memory = p = aligned_alloc(64, (n + m + 63) / 64 * 64);
	assert_non_null(p);
	memset(p, 0, n + m);
	f->st.tcp = &f->tcp;
	slab_init(&f->tcp.bursts, p, 4096, sizeof(struct tcp_burst));
	slab_init(&f->st.conns, p + n, 4, sizeof(struct tcp_conn));
	f->c = slab_at(&f->st.conns, slab_take(&f->st.conns));
	f->c->w = &f->work;
	f->st.now_ns = 5000000 * MS; /* 32 bits of microseconds go round in it */
	for (unsigned i = 0; i < COUNT_OF(f->work.at); i++)
		f->work.at[i] = NEVER_NS;
	f->c->iss = ISS;
	f->c->una = f->c->w->nxt = f->c->w->max = ISS + 1;
	f->c->state = TCP_ESTABLISHED;
	f->c->cc = cc;
	f->c->mss = MSS;
	f->c->snd_scale = 7;
	f->c->f = TF_SACK | TF_TS;
	f->c->ts_offset = 77;
	f->c->snd_wnd = f->c->snd_wnd_max = 1 << 30;
	f->c->s.flags = SOCK_NODELAY;
	tcp_flight_init(&f->st, f->c);
	tcp_flight_established(&f->st, f->c, 0);
	f->ring = 1 << 30;
	f->frame = 1;
	f->owd_ns = 50 * MS;
	f->rcv_nxt = ISS + 1;
	f->rwnd = 1 << 30;
	f->sack = f->dsack = f->ts = true;
	f->ack_every = 1;
	rng_init(&f->rng, 1);
}

static inline void fl_free(struct fl *f)
{
	free(f->memory);
}

static inline bool fl_chance(struct fl *f, uint32_t ppm)
{
	return ppm && rng_chance_ppm(&f->rng, ppm);
}

static inline void fl_schedule(struct fl *f, const struct fl_event *e)
{
	unsigned at = f->n_pending;

	assert_true(f->n_pending < N_PENDING);
	while (at > 0 && f->pending[at - 1].at_ns < e->at_ns) { /* the earliest is last */
		f->pending[at] = f->pending[at - 1];
		at--;
	}
	while (at > 0 && f->pending[at - 1].at_ns == e->at_ns && f->pending[at - 1].order < e->order) {
		f->pending[at] = f->pending[at - 1];
		at--;
	}
	f->pending[at] = *e;
	f->n_pending++;
}

/* One segment leaves for the receiver. */
static inline void fl_segment(struct fl *f, uint32_t seq, uint32_t len)
{
	struct fl_event e = {.kind = TO_RECEIVER, .seq = seq, .len = len, .order = f->order++};
	uint64_t now = f->st.now_ns, wait;

	f->n_data++;
	for (const unsigned *d = f->drop; d && *d; d++)
		if (*d == f->n_data)
			return;
	if (fl_chance(f, f->loss_ppm))
		return;
	if (f->ns_per_octet) {
		if (f->link_free_ns < now)
			f->link_free_ns = now;
		wait = f->link_free_ns - now;
		if (wait > f->queue_ns)
			return;
		e.ce = f->mark_ns && wait > f->mark_ns;
		f->link_free_ns += len * f->ns_per_octet;
		now = f->link_free_ns;
	}
	e.at_ns = now + f->owd_ns;
	if (fl_chance(f, f->reorder_ppm))
		e.at_ns += f->reorder_ns;
	if (f->st.now_ns >= f->pause_from_ns && f->st.now_ns < f->pause_to_ns)
		e.at_ns = f->pause_to_ns + f->owd_ns;
	e.ts_val = tcp_ts_now(&f->st, f->c->ts_offset);
	fl_schedule(f, &e);
}

static inline void fl_emit(struct fl *f, uint32_t seq, uint32_t len, bool rexmit, bool probe)
{
	if (f->n_log < N_LOG)
		f->log[f->n_log++] = (struct fl_sent){f->st.now_ns, seq, len, rexmit, probe};
	f->n_sent++;
	for (uint32_t at = 0; at < len; at += MSS)
		fl_segment(f, seq + at, len - at < MSS ? len - at : MSS);
}

/* As tcp_output(). */
static inline void fl_pump(struct fl *f)
{
	struct tcp_conn *c = f->c;
	struct tcp_send s;

	for (;;) {
		uint32_t room, end = tcp_tx_end(c), left, window;
		uint64_t at_ns = 0, more = f->ring - c->tx.used < f->written ? f->ring - c->tx.used : f->written;

		c->tx.used += (uint32_t)more;
		f->written -= more;
		end = tcp_tx_end(c);
		if (tcp_flight_rexmit(&f->st, c, f->frame * MSS, &s)) {
			assert_true(s.len > 0 && s.len <= f->frame * MSS);
			assert_true(seq_le(c->una, s.seq) && seq_le(s.seq + s.len, c->w->max));
			fl_emit(f, s.seq, s.len, true, s.probe);
			tcp_flight_rexmitted(&f->st, c, &s);
			assert_true(tcp_flight_check(&f->st, c));
			continue;
		}
		left = end - c->w->nxt;
		window = seq_lt(c->w->nxt, c->una + c->snd_wnd) ? c->una + c->snd_wnd - c->w->nxt : 0;
		if (!left || !window || !tcp_flight_can_send(&f->st, c))
			return;
		room = tcp_flight_room(&f->st, c);
		if (left > window)
			left = window;
		if (left > f->frame * MSS)
			left = f->frame * MSS;
		if (left > room)
			left = room / MSS * MSS;
		if (!left)
			return;
		if (left > tcp_pace_quantum(&f->st, c, &at_ns)) {
			if (at_ns > f->st.now_ns) {
				tcp_deadline_set(&f->st, c, TCP_AT_PACE, at_ns);
				return;
			}
		}
		fl_emit(f, c->w->nxt, left, false, false);
		c->w->nxt += left;
		c->w->max = c->w->nxt;
		c->last_out_ns = f->st.now_ns;
		tcp_flight_sent(&f->st, c, c->w->nxt - left, left, MSS, 0);
		tcp_pace_sent(&f->st, c, left);
		assert_true(tcp_flight_check(&f->st, c));
	}
}

/* --- the receiver --- */

static inline void fl_answer(struct fl *f, const struct wire_tcp_sack *dsack)
{
	struct fl_event e = {.kind = TO_SENDER, .order = f->order++, .at_ns = f->st.now_ns + f->owd_ns};
	struct tcp_seg *s = &e.ack;
	uint64_t below = UINT64_MAX;
	unsigned n = 0, max = f->ts ? 3 : 4;

	f->unacked = 0;
	if (fl_chance(f, f->ack_loss_ppm))
		return;
	s->seq = 1;
	s->ack = f->rcv_nxt;
	s->flags = WIRE_TCP_ACK | (f->ece ? WIRE_TCP_ECE : 0);
	s->n_segs = 1;
	s->wnd = (uint16_t)(f->rwnd >> f->c->snd_scale > UINT16_MAX ? UINT16_MAX : f->rwnd >> f->c->snd_scale);
	if (f->ts) {
		s->opt.has |= WIRE_TCP_HAS_TS;
		s->opt.ts_ecr = f->ts_recent;
	}
	if (f->sack) {
		if (dsack && f->dsack)
			s->opt.sacks[n++] = *dsack;
		while (n < max) { /* the latest first */
			const struct fl_interval *best = NULL;

			for (unsigned i = 0; i < f->n_held; i++)
				if (f->held[i].age < below && (!best || f->held[i].age > best->age))
					best = &f->held[i];
			if (!best)
				break;
			below = best->age;
			s->opt.sacks[n++] = (struct wire_tcp_sack){best->from, best->to};
		}
		s->opt.n_sacks = (uint8_t)n;
		s->opt.has |= n ? WIRE_TCP_HAS_SACK : 0;
	}
	fl_schedule(f, &e);
}

/* [from, to) is held; false: all of it was already. */
static inline bool fl_hold(struct fl *f, uint32_t from, uint32_t to)
{
	struct fl_interval v = {from, to, ++f->age};
	unsigned n = 0;
	bool fresh = true;

	for (unsigned i = 0; i < f->n_held; i++) {
		struct fl_interval *h = &f->held[i];

		if (seq_lt(v.to, h->from) || seq_lt(h->to, v.from)) {
			f->held[n++] = *h;
			continue;
		}
		if (seq_le(h->from, from) && seq_le(to, h->to))
			fresh = false;
		v.from = seq_min(v.from, h->from);
		v.to = seq_max(v.to, h->to);
	}
	assert_true(n < N_HELD);
	f->held[n] = v;
	f->n_held = n + 1;
	return fresh;
}

static inline void fl_arrives(struct fl *f, const struct fl_event *e)
{
	uint32_t end = e->seq + e->len, before = f->rcv_nxt;
	struct wire_tcp_sack dup = {e->seq, end};
	bool fresh = true;

	if (e->len == 0) {
		if (f->unacked)
			fl_answer(f, NULL);
		return;
	}
	if (e->ce)
		f->ece = true;
	if (seq_le(e->seq, f->rcv_nxt))
		f->ts_recent = e->ts_val; /* RFC 7323, 4.3: what is echoed is the segment that moves the left edge */
	if (seq_le(end, f->rcv_nxt)) {
		fl_answer(f, &dup);
		return;
	}
	if (seq_lt(f->rcv_nxt, e->seq)) {
		fresh = fl_hold(f, e->seq, end);
		fl_answer(f, fresh ? NULL : &dup);
		return;
	}
	f->rcv_nxt = end;
	for (unsigned i = 0; i < f->n_held;) {
		if (seq_le(f->held[i].from, f->rcv_nxt)) {
			f->rcv_nxt = seq_max(f->rcv_nxt, f->held[i].to);
			f->held[i] = f->held[--f->n_held];
			i = 0;
		} else {
			i++;
		}
	}
	f->received += f->rcv_nxt - before;
	if (++f->unacked >= f->ack_every || f->n_held || f->rcv_nxt != end) {
		fl_answer(f, NULL);
	} else { /* a delayed acknowledgment: a segment of no octets to itself */
		struct fl_event later = {.kind = TO_RECEIVER, .order = f->order++, .at_ns = f->st.now_ns + 40 * MS};

		fl_schedule(f, &later);
	}
}

static inline void fl_ack_in(struct fl *f, const struct tcp_seg *s)
{
	if (seq_lt(s->ack, f->c->una) || seq_lt(f->c->w->max, s->ack))
		return;
	if (f->c->f & TF_ECN_CWR && s->flags & WIRE_TCP_ECE) {
		f->ece = false; /* as if CWR had come with the next segment */
		f->c->f &= ~(uint32_t)TF_ECN_CWR;
	}
	tcp_ack(&f->st, f->c, s);
	assert_true(tcp_flight_check(&f->st, f->c));
}

/* The next thing happens; false: nothing is left, or not before until_ns. */
static inline bool fl_step(struct fl *f, uint64_t until_ns)
{
	struct tcp_conn *c = f->c;
	uint64_t at = f->n_pending ? f->pending[f->n_pending - 1].at_ns : NEVER_NS;
	enum tcp_deadline which = TCP_NDEADLINES;

	if (c->w->at[TCP_AT_RTX] < at) {
		at = c->w->at[TCP_AT_RTX];
		which = TCP_AT_RTX;
	}
	if (c->w->at[TCP_AT_PACE] < at) {
		at = c->w->at[TCP_AT_PACE];
		which = TCP_AT_PACE;
	}
	if (at > until_ns || at == NEVER_NS)
		return false;
	if (at > f->st.now_ns)
		f->st.now_ns = at;
	if (which == TCP_NDEADLINES) {
		struct fl_event e = f->pending[--f->n_pending];

		if (e.kind == TO_RECEIVER)
			fl_arrives(f, &e);
		else
			fl_ack_in(f, &e.ack);
	} else {
		tcp_deadline_set(&f->st, c, which, NEVER_NS);
		unsigned n_ready = f->n_ready;

		if (which == TCP_AT_RTX)
			tcp_flight_timer(&f->st, c);
		assert_true(tcp_flight_check(&f->st, c));
		if (which == TCP_AT_RTX && f->n_ready == n_ready)
			return true; /* nobody asks for more */
	}
	fl_pump(f);
	return true;
}

static inline void fl_write(struct fl *f, uint64_t octets)
{
	f->written += octets;
	fl_pump(f);
}

/* Until everything is acknowledged, or that late. */
static inline void fl_run(struct fl *f, uint64_t for_ns)
{
	uint64_t until = f->st.now_ns + for_ns;

	while (fl_step(f, until))
		continue;
	if (f->st.now_ns < until && (f->c->una != f->c->w->max || f->written))
		f->st.now_ns = until;
}

static inline unsigned fl_rexmits(const struct fl *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_log; i++)
		n += f->log[i].rexmit;
	return n;
}

#endif
