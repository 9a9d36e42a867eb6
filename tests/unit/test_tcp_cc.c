/* tests/unit/test_tcp_cc.c: congestion controls alone, by the formulas of their RFCs; HyStart++ and pacing on a path. */
#include "flight_fixture.h"

#include <math.h>

static struct fl *make(uint8_t cc)
{
	struct fl *f = calloc(1, sizeof(*f));

	fl_init(f, cc);
	f->c->f |= TF_CC_LIMITED;
	return f;
}

static void done(struct fl *f)
{
	fl_free(f);
	free(f);
}

/* octets arrived; that is all there is to tell. */
static void acked(struct fl *f, uint32_t octets, uint32_t rtt_us)
{
	struct flight_ack a = {.delivered = octets,
			       .acked = octets,
			       .now_us = tcp_now_us(&f->st),
			       .rtt = rtt_us != 0,
			       .rtt_us = rtt_us};

	cc_ack(f->c, &a, f->c->w->ca_state == CA_LOSS);
}

static void initial_windows(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);

	(void)state;
	assert_int_equal(f->c->cwnd, 10 * MSS);
	f->c->rexmits = 1;
	cc_start(&f->st, f->c);
	assert_int_equal(f->c->cwnd, 10 * MSS);
	f->c->rexmits = 2; /* RFC 5681, 3.1: the SYN was lost, more than once */
	cc_start(&f->st, f->c);
	assert_int_equal(f->c->cwnd, 1 * MSS);
	done(f);
}

static void newreno(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	struct tcp_conn *c = f->c;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		acked(f, MSS, 0);
	assert_int_equal(c->cwnd, 20 * MSS); /* doubled */
	c->ssthresh = cc_of(c)->on_loss(c);
	assert_int_equal(c->ssthresh, 10 * MSS);
	c->cwnd = c->ssthresh;
	for (unsigned i = 0; i < 10; i++)
		acked(f, MSS, 0);
	assert_int_equal(c->cwnd, 11 * MSS); /* one more in a round trip */
	for (unsigned i = 0; i < 10; i++)
		acked(f, MSS, 0);
	assert_int_equal(c->cwnd, 11 * MSS);
	acked(f, MSS, 0);
	assert_int_equal(c->cwnd, 12 * MSS);
	c->cwnd = 3 * MSS;
	assert_int_equal(cc_of(c)->on_loss(c), 2 * MSS); /* never less */
	c->cwnd = 9 * MSS; /* slow start ends at ssthresh, and the rest counts for avoidance */
	c->ssthresh = 10 * MSS;
	c->w->cwnd_acked = 0;
	acked(f, 11 * MSS, 0);
	assert_int_equal(c->cwnd, 11 * MSS);
	done(f);
}

/* A window that is not used does not grow (RFC 7661), and is forgotten in silence (RFC 2861). */
static void validation(void **state)
{
	static const uint32_t want[] = {64, 32, 16, 10, 10};
	struct fl *f = make(BERTH_NEWRENO);
	struct tcp_conn *c = f->c;

	(void)state;
	c->f &= ~(uint32_t)TF_CC_LIMITED;
	acked(f, 10 * MSS, 0);
	assert_int_equal(c->cwnd, 10 * MSS);
	c->rto_us = 300000;
	for (unsigned i = 0; i < COUNT_OF(want); i++) {
		c->cwnd = 64 * MSS;
		c->ssthresh = 20 * MSS;
		c->last_out_ns = f->st.now_ns;
		c->recover_flags = 0;
		f->st.now_ns += 300 * MS * i + (i ? 1 : 0);
		cc_idle(&f->st, c);
		assert_int_equal(c->cwnd, want[i] * MSS);
		assert_int_equal(c->ssthresh, i ? 48 * MSS : 20 * MSS);
	}
	done(f);
}

/* --- CUBIC beside RFC 9438's formulas in floating point --- */

struct cubic_case {
	const char *name;
	uint32_t mss, segs; /* window at the loss */
	uint32_t rtt_ms;
	unsigned rounds;
};
static const struct cubic_case cubics[] = {
	{"CUBIC: 10 segments, 100 ms", 1000, 10, 100, 200},	{"CUBIC: 100 segments, 100 ms", 1448, 100, 100, 300},
	{"CUBIC: 1000 segments, 100 ms", 1448, 1000, 100, 400}, {"CUBIC: 10000 segments, 50 ms", 8948, 10000, 50, 500},
	{"CUBIC: 20 segments, 1 ms", 1448, 20, 1, 400},		{"CUBIC: 4 segments, 300 ms", 536, 4, 300, 100},
	{"CUBIC: 1000 segments, 2 s", 1448, 1000, 2000, 60},
};

/* 4.1 to 4.6 as they are written, in segments and seconds. */
struct formula {
	long double w_max, k, cwnd, w_est, cwnd_prior;
};

static void formula_ack(struct formula *m, long double t, long double rtt, long double segs)
{
	long double alpha = m->w_est < m->cwnd_prior ? 3 * (1 - 0.7L) / (1 + 0.7L) : 1, target, w;

	m->w_est += alpha * segs / m->cwnd;
	w = 0.4L * powl(t - m->k, 3) + m->w_max;
	if (w < m->w_est) {
		if (m->cwnd < m->w_est)
			m->cwnd = m->w_est;
		return;
	}
	target = 0.4L * powl(t + rtt - m->k, 3) + m->w_max;
	if (target < m->cwnd)
		target = m->cwnd;
	if (target > 1.5L * m->cwnd)
		target = 1.5L * m->cwnd;
	m->cwnd += (target - m->cwnd) / m->cwnd * segs;
}

static void cubic(void **state)
{
	const struct cubic_case *t = *state;
	struct fl *f = make(BERTH_CUBIC);
	struct tcp_conn *c = f->c;
	struct formula m = {0};
	uint64_t begin;

	c->mss = (uint16_t)t->mss;
	c->srtt_us = t->rtt_ms * 1000;
	c->cwnd = t->segs * t->mss;
	c->ssthresh = cc_of(c)->on_loss(c);
	c->cwnd = c->ssthresh;
	m.w_max = m.cwnd_prior = t->segs;
	m.cwnd = m.w_est = c->cwnd / t->mss;
	m.k = cbrtl((m.w_max - m.cwnd) / 0.4L);
	assert_int_equal(c->cwnd % t->mss, 0); /* whole segments, the nearest */
	assert_true(fabsl(m.cwnd - t->segs * 0.7L) <= 0.5L);
	begin = f->st.now_ns;
	for (unsigned round = 0; round < t->rounds; round++) {
		/* a window's worth of acknowledgments of two segments each, evenly */
		uint32_t n = (c->cwnd / t->mss + 1) / 2;
		uint64_t from = f->st.now_ns;

		if (n > 200)
			n = 200;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t octets = c->cwnd / n;
			long double diff;

			f->st.now_ns = from + t->rtt_ms * MS * i / n;
			acked(f, octets, 0);
			formula_ack(&m, (long double)(f->st.now_ns - begin) / 1e9L, t->rtt_ms / 1000.0L,
				    (long double)octets / t->mss);
			diff = fabsl((long double)c->cwnd / t->mss - m.cwnd);
			if (diff > 0.01L * m.cwnd + 0.51L)
				fail_msg("round %u, %u: %.3f segments, the formula says %.3Lf", round, i,
					 (double)c->cwnd / t->mss, m.cwnd);
		}
		f->st.now_ns = from + t->rtt_ms * MS;
	}
	assert_true(c->cwnd > t->segs * t->mss);
	done(f);
}

/* 4.7: who loses again before it was back leaves room: W_max is less than the window was. */
static void cubic_fast_convergence(void **state)
{
	struct fl *f = make(BERTH_CUBIC);
	struct tcp_conn *c = f->c;
	uint32_t t, at[2]; /* 4 s after the loss: K is 4.2 s, or 3.3 */

	(void)state;
	for (unsigned before = 0; before < 2; before++) {
		memset(c->w->cc_private, 0, sizeof(c->w->cc_private));
		cc_of(c)->init(c);
		c->srtt_us = 1000000;
		if (before) {
			c->cwnd = 200 * MSS;
			cc_of(c)->on_loss(c);
		}
		c->cwnd = 100 * MSS;
		c->ssthresh = cc_of(c)->on_loss(c);
		c->cwnd = c->ssthresh;
		/* how high is the plateau? */
		for (t = 0; t < 16; t++) {
			f->st.now_ns += 250 * MS;
			acked(f, c->cwnd / 4, 0);
		}
		at[before] = c->cwnd;
	}
	assert_in_range(at[0], 99 * MSS, 101 * MSS);
	assert_in_range(at[1], 84 * MSS, 87 * MSS);
	done(f);
}

/* 4.9: an undone loss leaves no trace: the window grows on as if nothing had been. */
static void cubic_undo(void **state)
{
	uint32_t cwnd[2];

	(void)state;
	for (unsigned lose = 0; lose < 2; lose++) {
		struct fl *f = make(BERTH_CUBIC);
		struct tcp_conn *c = f->c;

		c->srtt_us = 100000;
		c->cwnd = 300 * MSS;
		c->ssthresh = cc_of(c)->on_loss(c);
		c->cwnd = c->ssthresh;
		for (unsigned i = 0; i < 100; i++) {
			f->st.now_ns += 100 * MS;
			acked(f, c->cwnd, 0);
			if (lose && i == 80) {
				uint32_t was = c->cwnd;

				cc_of(c)->on_loss(c);
				c->cwnd = was;
				cc_of(c)->undo(c);
			}
		}
		cwnd[lose] = c->cwnd;
		done(f);
	}
	assert_true(cwnd[1] > cwnd[0] - cwnd[0] / 50 && cwnd[1] < cwnd[0] + cwnd[0] / 50);
}

/* --- HyStart++ --- */

static void hystart_rounds(struct fl *f, unsigned n, uint32_t rtt_us)
{
	struct tcp_conn *c = f->c;

	for (unsigned round = 0; round < n; round++) {
		uint32_t segs = c->cwnd / MSS;

		c->w->nxt = c->w->max = c->una + segs * MSS;
		for (unsigned i = 0; i < segs; i++) {
			c->una += MSS;
			acked(f, MSS, rtt_us);
		}
	}
}

static void hystart(void **state)
{
	struct fl *f = make(BERTH_CUBIC);
	struct tcp_conn *c = f->c;
	uint32_t cwnd;

	(void)state;
	hystart_rounds(f, 3, 100000);
	assert_in_range(c->cwnd, 79 * MSS, 80 * MSS);
	hystart_rounds(f, 1, 112000); /* less than an eighth more */
	assert_in_range(c->cwnd, 158 * MSS, 160 * MSS);
	cwnd = c->cwnd;
	hystart_rounds(f, 1, 127000); /* 15 ms more than the round before: above an eighth */
	assert_in_range(c->cwnd, cwnd + cwnd / 4, cwnd + cwnd / 4 + 8 * MSS);
	cwnd = c->cwnd;
	hystart_rounds(f, 1, 120000); /* jitter: double again */
	assert_in_range(c->cwnd, cwnd + cwnd * 9 / 10, 2 * cwnd);
	hystart_rounds(f, 1, 140000);
	assert_int_equal(c->ssthresh, CC_SSTHRESH_NONE);
	hystart_rounds(f, 5, 140000); /* it stays: five rounds later avoidance begins */
	assert_true(c->ssthresh < CC_SSTHRESH_NONE);
	cwnd = c->cwnd;
	hystart_rounds(f, 1, 140000);
	assert_true(c->cwnd <= cwnd + cwnd / 16);
	done(f);
}

/* On a path with a long queue: CUBIC with HyStart++ leaves slow start sooner. */
static void hystart_on_a_path(void **state)
{
	uint64_t lost[2];

	(void)state;
	for (uint8_t cc = 0; cc < 2; cc++) {
		struct fl *f = make(cc);

		rtt_sample(f->c, 100000, tcp_now_us(&f->st));
		f->ns_per_octet = 100; /* 10 MB/s: a megabyte in a round trip */
		f->queue_ns = 100 * MS;
		fl_write(f, 8000000);
		fl_run(f, 60000 * MS);
		assert_int_equal(f->received, 8000000);
		lost[cc] = f->c->rexmits;
		done(f);
	}
	assert_true(lost[BERTH_NEWRENO] > 100);
	assert_true(lost[BERTH_CUBIC] < lost[BERTH_NEWRENO] / 2);
}

/* --- pacing and rates --- */

static void pacing(void **state)
{
	static const uint64_t limits[] = {1, 500000};

	(void)state;
	for (unsigned k = 0; k < COUNT_OF(limits); k++) {
		struct fl *f = make(BERTH_NEWRENO);
		uint64_t most = 0, from;

		rtt_sample(f->c, 100000, tcp_now_us(&f->st));
		f->c->pacing_max_bps = limits[k];
		f->rwnd = 100000;
		fl_write(f, 4000000);
		fl_run(f, 2000 * MS);
		from = f->n_log;
		fl_run(f, 1000 * MS);
		/* never more than a few segments within a millisecond */
		for (uint64_t i = from; i < f->n_log; i++) {
			uint64_t n = 0;

			for (uint64_t j = i; j < f->n_log && f->log[j].at_ns - f->log[i].at_ns < 1 * MS; j++)
				n += f->log[j].len;
			most = n > most ? n : most;
		}
		assert_true(most > 0 && most <= 4 * MSS);
		if (limits[k] > 1) {
			uint64_t octets = 0;

			for (uint64_t i = from; i < f->n_log; i++)
				octets += f->log[i].len;
			assert_in_range(octets, 480000, 520000);
		}
		done(f);
	}
}

/* The rate that was delivered is the bottleneck's, and a program that has little to say does not lower it. */
static void rates(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);

	(void)state;
	rtt_sample(f->c, 100000, tcp_now_us(&f->st));
	f->ns_per_octet = 1000;
	f->queue_ns = 1000 * MS;
	f->rwnd = 200000;
	fl_write(f, 3000000);
	fl_run(f, 10000 * MS);
	assert_in_range(f->c->w->rate_bps, 950000, 1050000);
	for (unsigned i = 0; i < 10; i++) {
		fl_write(f, 1000);
		fl_run(f, 1000 * MS);
	}
	assert_in_range(f->c->w->rate_bps, 950000, 1050000);
	done(f);
}

int main(void)
{
	static const struct CMUnitTest some[] = {
		{"initial windows", initial_windows, NULL, NULL, NULL},
		{"NewReno", newreno, NULL, NULL, NULL},
		{"a window that is not used", validation, NULL, NULL, NULL},
		{"CUBIC: fast convergence", cubic_fast_convergence, NULL, NULL, NULL},
		{"CUBIC: an undone loss leaves no trace", cubic_undo, NULL, NULL, NULL},
		{"HyStart++: rounds", hystart, NULL, NULL, NULL},
		{"HyStart++ on a path with a queue", hystart_on_a_path, NULL, NULL, NULL},
		{"pacing", pacing, NULL, NULL, NULL},
		{"delivery rates", rates, NULL, NULL, NULL},
	};
	struct CMUnitTest tests[COUNT_OF(some) + COUNT_OF(cubics)];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(some); i++)
		tests[n++] = some[i];
	for (size_t i = 0; i < COUNT_OF(cubics); i++)
		tests[n++] = (struct CMUnitTest){cubics[i].name, cubic, NULL, NULL, (void *)(uintptr_t)&cubics[i]};
	return cmocka_run_group_tests_name("tcp_cc", tests, NULL, NULL);
}
