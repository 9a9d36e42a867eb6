/* tests/unit/test_tcp_board.c: the board of bursts beside a model that has a record for every octet.
 *
 * The model knows nothing of bursts or bitmaps: each octet says in which segment it was sent, and whether that segment is sacked,
 * lost, sent again. After every operation the counts and every segment's marks must be the same.
 */
#include "flight_fixture.h"

#define SPAN (1u << 18)

struct octet {
	uint32_t from, to; /* its segment */
	bool sacked, lost, rexmit;
};

struct model {
	struct octet v[SPAN]; /* by seq % SPAN */
	uint32_t una, max;    /* max: end of what was sent */
};

static struct octet *at(struct model *m, uint32_t seq)
{
	return &m->v[seq % SPAN];
}

static void model_send(struct model *m, uint32_t seq, uint32_t len, uint32_t mss, bool fin)
{
	uint32_t data = len - fin;

	for (uint32_t i = 0; i < len; i++) {
		uint32_t k = i / mss, from = k * mss, to;

		if (fin && i == data && data > 0 && data % mss == 0)
			from -= mss; /* FIN rides on a full last segment */
		to = from + mss >= data ? len : from + mss;
		*at(m, seq + i) = (struct octet){.from = seq + from, .to = seq + to};
	}
	m->max = seq + len;
}

/* Calls f for the first octet of each segment that is not wholly acknowledged. */
static void each(struct model *m, void (*f)(struct model *m, struct octet *o, void *arg), void *arg)
{
	for (uint32_t s = m->una; seq_lt(s, m->max); s = at(m, s)->to)
		f(m, at(m, s), arg);
}

static void spread(struct model *m, const struct octet *o)
{
	struct octet copy = *o;

	for (uint32_t s = seq_max(copy.from, m->una); seq_lt(s, copy.to); s++)
		*at(m, s) = copy;
}

struct range {
	uint32_t left, right;
};

static void sack_one(struct model *m, struct octet *o, void *arg)
{
	const struct range *r = arg;

	if (o->sacked || seq_lt(o->from, r->left) || seq_lt(r->right, o->to))
		return;
	o->sacked = true;
	o->lost = o->rexmit = false;
	spread(m, o);
}

static void lose_one(struct model *m, struct octet *o, void *arg)
{
	const struct range *r = arg;

	if (o->sacked || seq_lt(o->from, r->left) || seq_lt(r->right, o->to))
		return;
	o->lost = true;
	o->rexmit = false;
	spread(m, o);
}

static void again_one(struct model *m, struct octet *o, void *arg)
{
	const struct range *r = arg;

	if (seq_lt(r->left, o->to) && seq_lt(o->from, r->right)) {
		assert_true(o->lost && !o->rexmit && !o->sacked);
		o->rexmit = true;
		spread(m, o);
	}
}

static void unlose_one(struct model *m, struct octet *o, void *arg)
{
	(void)arg;
	o->lost = false;
	spread(m, o);
}

static void renege_one(struct model *m, struct octet *o, void *arg)
{
	(void)arg;
	o->sacked = false;
	spread(m, o);
}

struct counts {
	uint32_t n_out, n_sacked, n_lost, n_rexmit, pipe, first_todo;
	bool todo;
};

static void count_one(struct model *m, struct octet *o, void *arg)
{
	struct counts *k = arg;
	uint32_t len = o->to - o->from;

	(void)m;
	k->n_out++;
	k->n_sacked += o->sacked;
	k->n_lost += o->lost;
	k->n_rexmit += o->rexmit;
	k->pipe += (o->sacked || o->lost ? 0 : len) + (o->rexmit ? len : 0);
	if (o->lost && !o->rexmit && !k->todo) {
		k->todo = true;
		k->first_todo = o->from;
	}
}

static void compare(struct fl *f, struct model *m)
{
	struct counts k = {0};
	uint32_t s = m->una;

	each(m, count_one, &k);
	assert_int_equal(f->c->w->n_out, k.n_out);
	assert_int_equal(f->c->w->n_sacked, k.n_sacked);
	assert_int_equal(f->c->w->n_lost, k.n_lost);
	assert_int_equal(f->c->w->n_rexmit, k.n_rexmit);
	assert_int_equal(f->c->w->pipe, k.pipe);
	assert_true(tcp_flight_check(&f->st, f->c));
	for (uint32_t i = f->c->w->burst_first; i != NIL; i = burst_at(&f->st, i)->next) {
		const struct tcp_burst *b = burst_at(&f->st, i);

		for (unsigned n = 0; n < b->n; n++) {
			const struct octet *o = at(m, s);

			assert_int_equal(board_from(b, n), o->from);
			assert_int_equal(board_to(b, n), o->to);
			assert_int_equal(board_sacked(b) >> n & 1, o->sacked);
			assert_int_equal(b->lost >> n & 1, o->lost);
			assert_int_equal(b->rexmit >> n & 1, o->rexmit);
			s = o->to;
		}
	}
	assert_int_equal(s, m->max);
}

static uint32_t below(struct fl *f, uint32_t n)
{
	return n ? (uint32_t)rng_range(&f->rng, 0, n - 1) : 0;
}

/* A place in what is in flight; mostly where a segment begins. */
static uint32_t place(struct fl *f, struct model *m)
{
	uint32_t s = m->una + below(f, m->max - m->una + 1);

	if (s != m->max && below(f, 4))
		s = seq_max(at(m, s)->from, m->una);
	return s;
}

static void do_send(struct fl *f, struct model *m)
{
	static const uint16_t sizes[] = {100, 536, 1000, 1000, 1000, 1448};
	uint32_t mss = sizes[below(f, COUNT_OF(sizes))], len, kind = below(f, 4);
	struct tcp_conn *c = f->c;

	len = kind == 0	  ? 1 + below(f, mss)
	      : kind == 1 ? mss
			  : mss * (1 + below(f, 70)) - (below(f, 2) ? below(f, mss) : 0);
	if (c->w->max - c->una + len > SPAN / 2 || !tcp_flight_can_send(&f->st, c))
		return;
	model_send(m, c->w->max, len, mss, false);
	c->w->nxt = c->w->max = c->w->max + len;
	tcp_flight_sent(&f->st, c, c->w->max - len, len, (uint16_t)mss, 0);
}

static void do_sack(struct fl *f, struct model *m)
{
	struct wire_tcp_sack v[4];
	struct flight_ack a = {.now_us = tcp_now_us(&f->st)};
	unsigned n = 0;
	uint32_t from = m->una, segs = f->c->w->n_sacked;

	for (unsigned i = 0; i < 4 && seq_lt(from, m->max); i++) {
		uint32_t left = from + below(f, m->max - from), right;

		if (below(f, 4))
			left = seq_max(at(m, left)->from, from);
		right = left + 1 + below(f, (m->max - left) / (1 + below(f, 8)));
		if (below(f, 4) && right != m->max)
			right = at(m, right)->from;
		if (seq_le(right, left) || seq_lt(m->max, right))
			continue;
		v[n++] = (struct wire_tcp_sack){left, right};
		from = right + 1;
	}
	for (unsigned i = 0; i < n; i++) {
		struct range r = {v[i].left, v[i].right};

		each(m, sack_one, &r);
	}
	board_sack(&f->st, f->c, v, n, &a);
	assert_int_equal(a.segs, f->c->w->n_sacked - segs);
}

static void do_cum(struct fl *f, struct model *m)
{
	struct flight_ack a = {.now_us = tcp_now_us(&f->st)};
	uint32_t ack = place(f, m), fresh = 0;

	for (uint32_t s = m->una; seq_lt(s, ack); s = at(m, s)->to)
		fresh += !at(m, s)->sacked && seq_le(at(m, s)->to, ack);
	m->una = ack;
	board_cum_ack(&f->st, f->c, ack, &a);
	f->c->una = ack;
	assert_int_equal(a.segs, fresh);
}

static void do_lose(struct fl *f, struct model *m)
{
	uint32_t left = place(f, m), right = place(f, m);
	struct range r = {seq_min(left, right), seq_max(left, right)};

	each(m, lose_one, &r);
	for (uint32_t i = f->c->w->burst_first; i != NIL; i = burst_at(&f->st, i)->next) {
		struct tcp_burst *b = burst_at(&f->st, i);

		for (unsigned n = 0; n < b->n; n++)
			if (seq_le(r.left, board_from(b, n)) && seq_le(board_to(b, n), r.right))
				board_lose(f->c, b, UINT64_C(1) << n);
	}
}

static void do_again(struct fl *f, struct model *m)
{
	struct counts k = {0};
	struct tcp_send s;
	struct range r;
	uint32_t len_max = 1500 + below(f, 3) * 20000;
	bool got;

	f->c->cwnd = CC_CWND_MAX;
	each(m, count_one, &k);
	got = tcp_flight_rexmit(&f->st, f->c, len_max, &s);
	assert_int_equal(got, k.todo);
	if (!got)
		return;
	assert_int_equal(s.seq, seq_max(k.first_todo, m->una));
	assert_true(s.len <= len_max);
	r = (struct range){s.seq, s.seq + s.len};
	each(m, again_one, &r);
	tcp_flight_rexmitted(&f->st, f->c, &s);
}

static void random_rounds(void **state)
{
	uint64_t seed = *(const uint64_t *)*state;
	struct fl *f = calloc(1, sizeof(*f));
	struct model *m = calloc(1, sizeof(*m));

	fl_init(f, BERTH_NEWRENO);
	rng_init(&f->rng, seed);
	m->una = m->max = f->c->una;
	f->c->srtt_us = 100000;
	for (unsigned round = 0; round < 4000; round++) {
		unsigned what = below(f, 16);

		f->st.now_ns += below(f, 5000) * UINT64_C(1000);
		if (what < 5)
			do_send(f, m);
		else if (what < 8)
			do_sack(f, m);
		else if (what < 10)
			do_cum(f, m);
		else if (what < 12)
			do_lose(f, m);
		else if (what < 15)
			do_again(f, m);
		else if (below(f, 8) == 0) {
			each(m, renege_one, NULL);
			board_renege(&f->st, f->c);
		} else if (below(f, 4) == 0) {
			each(m, unlose_one, NULL);
			board_unlose(&f->st, f->c);
		}
		compare(f, m);
	}
	tcp_flight_free(&f->st, f->c);
	assert_int_equal(f->tcp.bursts.n_used, 0);
	fl_free(f);
	free(m);
	free(f);
}

/* FIN belongs to the last segment, or is one of its own. */
static void fin_rides_along(void **state)
{
	static const uint32_t data[] = {0, 1, 999, 1000, 1001, 63999, 64000, 64001, 130000};
	struct fl *f = calloc(1, sizeof(*f));
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	for (unsigned pre = 0; pre < 2; pre++) {
		for (unsigned i = 0; i < COUNT_OF(data); i++) {
			struct flight_ack a = {0};

			fl_init(f, BERTH_NEWRENO);
			f->c->srtt_us = 100000;
			m->una = m->max = f->c->una;
			if (pre) {
				model_send(m, m->max, 3000, MSS, false);
				f->c->w->max += 3000;
				tcp_flight_sent(&f->st, f->c, m->una, 3000, MSS, 0);
			}
			model_send(m, m->max, data[i] + 1, MSS, true);
			f->c->w->nxt = f->c->w->max = m->max;
			tcp_flight_sent(&f->st, f->c, m->max - data[i] - 1, data[i] + 1, MSS, BURST_FIN);
			compare(f, m);
			/* all but the FIN */
			m->una = m->max - 1;
			board_cum_ack(&f->st, f->c, m->una, &a);
			f->c->una = m->una;
			assert_false(a.fin);
			compare(f, m);
			board_cum_ack(&f->st, f->c, m->max, &a);
			assert_true(a.fin);
			assert_int_equal(f->c->w->n_out, 0);
			fl_free(f);
		}
	}
	free(m);
	free(f);
}

/* S16: whatever the peer acknowledges, the records are those that we made. */
static void s16_the_peer_makes_no_records(void **state)
{
	struct fl *f = calloc(1, sizeof(*f));
	uint32_t used;

	(void)state;
	fl_init(f, BERTH_NEWRENO);
	f->c->cwnd = 1 << 20;
	f->frame = 64;
	f->owd_ns = 1000000 * MS; /* the path answers nothing */
	fl_write(f, 640 * MSS);
	used = f->tcp.bursts.n_used;
	assert_int_equal(f->c->w->n_out, 640);
	assert_true(used <= 11);
	for (uint32_t i = 0; i < 640 * MSS; i += 7) {
		struct tcp_seg s = {.seq = 1, .ack = f->c->una, .wnd = 65535, .flags = WIRE_TCP_ACK};

		for (unsigned k = 0; k < 4; k++) /* slivers and every second segment */
			s.opt.sacks[k] = (struct wire_tcp_sack){f->c->una + i + k * 2000,
								f->c->una + i + k * 2000 + (k % 2 ? 3 : MSS)};
		s.opt.n_sacks = 4;
		s.opt.has = WIRE_TCP_HAS_SACK;
		tcp_ack(&f->st, f->c, &s);
		assert_true(f->tcp.bursts.n_used <= used);
		assert_true(tcp_flight_check(&f->st, f->c));
	}
	fl_free(f);
	free(f);
}

/* Segments sent soon after each other share a record, and still have their own times. */
static void times_of_a_burst(void **state)
{
	struct fl *f = calloc(1, sizeof(*f));
	struct tcp_burst *b;
	uint32_t t0;

	(void)state;
	fl_init(f, BERTH_NEWRENO);
	f->c->srtt_us = 100000;
	t0 = tcp_now_us(&f->st);
	for (unsigned i = 0; i < 5; i++) {
		f->c->w->nxt = f->c->w->max = f->c->w->max + MSS;
		tcp_flight_sent(&f->st, f->c, f->c->w->max - MSS, MSS, MSS, 0);
		f->st.now_ns += MS;
	}
	assert_int_equal(f->tcp.bursts.n_used, 2); /* a 32nd of 100 ms is 3.1 ms: the fifth came at 4 */
	b = burst_at(&f->st, f->c->w->burst_first);
	for (unsigned i = 0; i < b->n; i++)
		assert_int_equal(board_sent_us(b, i) - t0, i * 1000);
	fl_free(f);
	free(f);
}

/* Many connections, few records: each can always send something. */
/* The span of copies is kept in 64 us and rounded up: no copy is of the future, whose age would be 71 minutes. */
static void no_copy_is_later_than_now(void **state)
{
	struct tcp_burst b = {.rexmit_us = 1000, .rexmit_span = 1};

	(void)state;
	assert_int_equal(board_rexmit_last_us(&b, 1010), 1010);
	assert_int_equal(board_rexmit_last_us(&b, 1064), 1064);
	assert_int_equal(board_rexmit_last_us(&b, 5000), 1064);
	assert_int_equal(board_rexmit_last_us(&b, 1064 + 3600000000), 1064); /* an hour ago */
	b.rexmit_us = UINT32_MAX - 9;
	assert_int_equal(board_rexmit_last_us(&b, 3), 3);
}

static void nobody_is_starved_of_records(void **state)
{
	struct fl *f = calloc(1, sizeof(*f));
	struct tcp_conn *greedy, *late;
	struct tcp_work work[3];

	(void)state;
	fl_init(f, BERTH_NEWRENO);
	greedy = f->c;
	greedy->cwnd = CC_CWND_MAX;
	while (tcp_flight_can_send(&f->st, greedy)) {
		f->st.now_ns += 10 * MS;
		greedy->w->nxt = greedy->w->max = greedy->w->max + 10;
		tcp_flight_sent(&f->st, greedy, greedy->w->max - 10, 10, MSS, 0);
	}
	assert_true(f->tcp.bursts.n_used >= f->tcp.bursts.n_max - 4);
	for (unsigned i = 0; i < 3; i++) {
		late = slab_at(&f->st.conns, slab_take(&f->st.conns));
		*late = *greedy;
		work[i] = *greedy->w;
		late->w = &work[i];
		late->una = late->w->nxt = late->w->max;
		tcp_flight_init(&f->st, late);
		assert_true(tcp_flight_can_send(&f->st, late));
		late->w->nxt = late->w->max = late->w->max + 10;
		tcp_flight_sent(&f->st, late, late->w->max - 10, 10, MSS, 0);
		assert_true(tcp_flight_check(&f->st, late));
	}
	assert_false(tcp_flight_can_send(&f->st, greedy));
	fl_free(f);
	free(f);
}

/* A path that became smaller: segments go out in pieces, and count once all of them has. */
static void too_big_goes_in_pieces(void **state)
{
	struct fl *f = calloc(1, sizeof(*f));
	struct tcp_send s;
	uint32_t cwnd;

	(void)state;
	fl_init(f, BERTH_NEWRENO);
	f->owd_ns = 1000000 * MS;
	fl_write(f, 3 * MSS);
	cwnd = f->c->cwnd;
	f->c->mss = 400;
	tcp_flight_too_big(&f->st, f->c, 400);
	assert_int_equal(f->c->w->n_lost, 3);
	assert_int_equal(f->c->w->pipe, 0);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t from[] = {0, 400, 800}, len[] = {400, 400, 200};

		for (unsigned k = 0; k < 3; k++) {
			assert_true(tcp_flight_rexmit(&f->st, f->c, 400, &s));
			assert_int_equal(s.seq - f->c->una, i * MSS + from[k]);
			assert_int_equal(s.len, len[k]);
			tcp_flight_rexmitted(&f->st, f->c, &s);
			assert_int_equal(f->c->w->n_rexmit, i + (k == 2));
			assert_true(tcp_flight_check(&f->st, f->c));
		}
	}
	assert_false(tcp_flight_rexmit(&f->st, f->c, 400, &s));
	assert_int_equal(f->c->cwnd, cwnd); /* not congestion */
	fl_free(f);
	free(f);
}

/* A piece of a segment is out, and one before it, or after it, is sent again whole: the piece still is in flight, and is not sent twice. */
static void a_piece_is_not_forgotten(void **state)
{
	for (unsigned other = 0; other < 3; other += 2) {
		struct fl *f = calloc(1, sizeof(*f));
		struct flight_ack a = {.now_us = 0};
		struct wire_tcp_sack sack;
		struct tcp_burst *b;
		struct tcp_send s;

		(void)state;
		fl_init(f, BERTH_NEWRENO);
		f->owd_ns = 1000000 * MS;
		f->frame = 3;
		fl_write(f, 3 * MSS);
		b = burst_at(&f->st, f->c->w->burst_first);
		assert_int_equal(b->n, 3);
		board_lose(f->c, b, 2);
		assert_true(tcp_flight_rexmit(&f->st, f->c, 400, &s));
		assert_int_equal(s.seq - f->c->una, MSS);
		tcp_flight_rexmitted(&f->st, f->c, &s);
		assert_int_equal(tcp_flight_pipe(f->c), 2 * MSS + 400);
		board_lose(f->c, b, 1u << other);
		assert_int_equal(tcp_flight_pipe(f->c), MSS + 400);
		assert_true(tcp_flight_rexmit(&f->st, f->c, 400, &s)); /* it is finished before the other is begun */
		assert_int_equal(s.seq - f->c->una, MSS + 400);
		tcp_flight_rexmitted(&f->st, f->c, &s);
		assert_true(f->c->recover_flags & RF_PIECES);
		assert_int_equal(tcp_flight_pipe(f->c), MSS + 800);
		sack = (struct wire_tcp_sack){f->c->una + MSS, f->c->una + 2 * MSS}; /* the first copy was only late */
		a.now_us = tcp_now_us(&f->st);
		board_sack(&f->st, f->c, &sack, 1, &a);
		assert_false(f->c->recover_flags & RF_PIECES);
		assert_int_equal(tcp_flight_pipe(f->c), MSS);
		assert_true(tcp_flight_rexmit(&f->st, f->c, MSS, &s));
		assert_int_equal(s.seq - f->c->una, other * MSS);
		assert_true(tcp_flight_check(&f->st, f->c));
		fl_free(f);
		free(f);
	}
}

/* ... as the window lets them: each counts as in flight before its segment has a mark, and una takes them one by one. */
static void pieces_heed_the_window(void **state)
{
	struct fl *f = calloc(1, sizeof(*f));
	struct tcp_seg ack = {.seq = 1, .wnd = 512, .flags = WIRE_TCP_ACK, .n_segs = 1};
	struct tcp_send s;

	(void)state;
	fl_init(f, BERTH_NEWRENO);
	f->owd_ns = 1000000 * MS;
	f->frame = 10;
	fl_write(f, 10 * MSS);
	f->c->mss = 400;
	tcp_flight_too_big(&f->st, f->c, 400);
	f->c->cwnd = 400;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(tcp_flight_rexmit(&f->st, f->c, 10 * MSS, &s)); /* a frame could hold all */
		assert_int_equal(s.seq, f->c->una);
		assert_int_equal(s.len, 400);
		tcp_flight_rexmitted(&f->st, f->c, &s);
		assert_int_equal(tcp_flight_pipe(f->c), 400);
		assert_false(tcp_flight_rexmit(&f->st, f->c, 10 * MSS, &s));
		f->c->f &= ~(uint32_t)TF_CC_LIMITED; /* the window stays, for this test */
		ack.ack = f->c->una + 400;
		tcp_ack(&f->st, f->c, &ack);
		f->c->cwnd = 400;
		assert_int_equal(tcp_flight_pipe(f->c), 0);
	}
	fl_free(f);
	free(f);
}

static const uint64_t seeds[] = {1, 2, 3, 4, 5};

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"random rounds beside a model of octets, seed 1", random_rounds, NULL, NULL,
		 (void *)(uintptr_t)&seeds[0]},
		{"seed 2", random_rounds, NULL, NULL, (void *)(uintptr_t)&seeds[1]},
		{"seed 3", random_rounds, NULL, NULL, (void *)(uintptr_t)&seeds[2]},
		{"seed 4", random_rounds, NULL, NULL, (void *)(uintptr_t)&seeds[3]},
		{"seed 5", random_rounds, NULL, NULL, (void *)(uintptr_t)&seeds[4]},
		{"FIN rides on the last segment, or is one of its own", fin_rides_along, NULL, NULL, NULL},
		{"S16: the peer makes no records", s16_the_peer_makes_no_records, NULL, NULL, NULL},
		{"segments of a burst have their own times", times_of_a_burst, NULL, NULL, NULL},
		{"no copy is later than now", no_copy_is_later_than_now, NULL, NULL, NULL},
		{"nobody is starved of records", nobody_is_starved_of_records, NULL, NULL, NULL},
		{"what became too big goes in pieces", too_big_goes_in_pieces, NULL, NULL, NULL},
		{"a piece is not forgotten", a_piece_is_not_forgotten, NULL, NULL, NULL},
		{"pieces heed the window", pieces_heed_the_window, NULL, NULL, NULL},
	};

	return cmocka_run_group_tests_name("tcp_board", tests, NULL, NULL);
}
