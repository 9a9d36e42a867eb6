/* tests/unit/test_tcp_rtt.c: round trips and the timeout (RFC 6298), as rows of samples; where samples come from. */
#include "flight_fixture.h"

struct row {
	const char *name;
	uint32_t samples_ms[24];	/* one for each round trip */
	uint32_t srtt_ms[2], rto_ms[2]; /* from, to */
};

static const struct row rows[] = {
	{"nothing measured: one second (2.1)", {0}, {0, 0}, {1000, 1000}},
	{"the first sample: srtt = R, variation R/2 (2.2)", {600}, {600, 600}, {1800, 1800}},
	{"the variation's share is never below 200 ms", {10}, {10, 10}, {210, 210}},
	{"even round trips: the variation goes down to 200 ms",
	 {400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400},
	 {400, 400},
	 {600, 700}},
	{"it grows: srtt follows by eighths, the variation by quarters", {100, 200}, {112, 113}, {362, 363}},
	{"a jump to 1 s: the timeout is above it at once", {100, 1000}, {212, 213}, {1000, 1400}},
	{"it falls: the variation hardly widens (Eifel)",
	 {1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 100},
	 {880, 890},
	 {1000, 1500}},
	{"nonsense of hours is cut", {4000000}, {60000, 60000}, {120000, 120000}},
};

static void run_row(void **state)
{
	const struct row *r = *state;
	struct fl *f = calloc(1, sizeof(*f));
	struct tcp_conn *c;

	fl_init(f, BERTH_NEWRENO);
	c = f->c;
	for (size_t i = 0; i < COUNT_OF(r->samples_ms) && r->samples_ms[i]; i++) {
		c->una = c->w->nxt; /* a round trip is over */
		c->w->nxt += MSS;
		rtt_sample(c, r->samples_ms[i] * 1000, tcp_now_us(&f->st));
	}
	assert_in_range(c->srtt_us / 1000, r->srtt_ms[0], r->srtt_ms[1]);
	assert_in_range(rtt_timeout_ns(c) / MS, r->rto_ms[0], r->rto_ms[1]);
	fl_free(f);
	free(f);
}

static struct fl *one_out(bool ts)
{
	struct fl *f = calloc(1, sizeof(*f));

	fl_init(f, BERTH_NEWRENO);
	f->owd_ns = 1000000 * MS;
	f->c->f = TF_SACK | (ts ? TF_TS : 0);
	fl_write(f, MSS);
	return f;
}

static void answer(struct fl *f, uint32_t ts_ecr)
{
	struct tcp_seg s = {.seq = 1, .ack = f->c->w->max, .wnd = 512, .flags = WIRE_TCP_ACK, .n_segs = 1};

	s.opt.has = ts_ecr ? WIRE_TCP_HAS_TS : 0;
	s.opt.ts_ecr = ts_ecr;
	tcp_ack(&f->st, f->c, &s);
}

static void done(struct fl *f)
{
	fl_free(f);
	free(f);
}

static void by_the_board(void **state)
{
	struct fl *f = one_out(false);

	(void)state;
	f->st.now_ns += 123 * MS + 456000;
	answer(f, 0);
	assert_int_equal(f->c->srtt_us, 123456);
	assert_int_equal(f->c->min_rtt_us, 123456);
	done(f);
}

/* Sent again: whose acknowledgment is it? Without timestamps nothing is learnt, and the doubled timeout stays (Karn). */
static void karn(void **state)
{
	struct fl *f = one_out(false);
	uint64_t rto;

	(void)state;
	f->st.now_ns = f->c->w->at[TCP_AT_RTX];
	tcp_flight_timer(&f->st, f->c);
	fl_pump(f);
	assert_int_equal(fl_rexmits(f), 1);
	rto = rtt_timeout_ns(f->c);
	assert_int_equal(rto, 2000 * MS);
	f->st.now_ns += 50 * MS;
	answer(f, 0);
	assert_int_equal(f->c->w->n_out, 0);
	assert_int_equal(f->c->srtt_us, 0);
	assert_int_equal(rtt_timeout_ns(f->c), rto);
	fl_write(f, MSS); /* the next one, sent once, is measured: the doubling is over (5.7) */
	f->st.now_ns += 80 * MS;
	answer(f, 0);
	assert_int_equal(f->c->srtt_us, 80000);
	assert_int_equal(rtt_timeout_ns(f->c), 280 * MS);
	done(f);
}

static void timestamps_tell(void **state)
{
	struct fl *f = one_out(true);

	(void)state;
	f->st.now_ns = f->c->w->at[TCP_AT_RTX];
	tcp_flight_timer(&f->st, f->c);
	fl_pump(f);
	assert_int_equal(fl_rexmits(f), 1);
	f->st.now_ns += 50 * MS;
	answer(f, tcp_ts_now(&f->st, f->c->ts_offset) - 50); /* of the copy */
	assert_int_equal(f->c->srtt_us, 50000);
	assert_int_equal(rtt_timeout_ns(f->c), 250 * MS);
	done(f);
}

/* An echo of what was never sent is no sample. */
static void forged_echo(void **state)
{
	static const uint32_t offsets[] = {1, 1000, 0x7fffffff, 0x80000000};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		struct fl *f = one_out(true);

		f->st.now_ns = f->c->w->at[TCP_AT_RTX];
		tcp_flight_timer(&f->st, f->c);
		fl_pump(f);
		answer(f, tcp_ts_now(&f->st, f->c->ts_offset) + offsets[i]);
		assert_int_equal(f->c->srtt_us, 0);
		done(f);
	}
}

/* RFC 6298, 5.5 and 5.6: it doubles to two minutes; and starts anew when una moves (5.3). */
static void doubling(void **state)
{
	static const uint32_t waits_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 120000, 120000};
	struct fl *f = one_out(false);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(waits_ms); i++) {
		uint64_t from = f->st.now_ns;

		assert_int_equal(f->c->w->at[TCP_AT_RTX] - from, waits_ms[i] * MS);
		f->st.now_ns = f->c->w->at[TCP_AT_RTX];
		tcp_flight_timer(&f->st, f->c);
		fl_pump(f);
		assert_int_equal(fl_rexmits(f), i + 1);
		assert_int_equal(f->c->cwnd, MSS);
	}
	assert_true(f->c->w->first_rtx_ns != 0);
	done(f);
}

static void gives_up(void **state)
{
	struct fl *f = one_out(false);

	(void)state;
	f->give_up = true;
	f->st.now_ns = f->c->w->at[TCP_AT_RTX];
	tcp_flight_timer(&f->st, f->c);
	assert_int_equal(f->c->w->n_lost, 0); /* it was ended: nothing may be touched any more */
	done(f);
}

static void least_round_trip(void **state)
{
	struct fl *f = calloc(1, sizeof(*f));

	(void)state;
	fl_init(f, BERTH_NEWRENO);
	rtt_sample(f->c, 20000, tcp_now_us(&f->st));
	f->st.now_ns += 299000 * MS;
	rtt_sample(f->c, 50000, tcp_now_us(&f->st));
	assert_int_equal(f->c->min_rtt_us, 20000);
	f->st.now_ns += 2000 * MS; /* five minutes: the path may be another one */
	rtt_sample(f->c, 50000, tcp_now_us(&f->st));
	assert_int_equal(f->c->min_rtt_us, 50000);
	rtt_sample(f->c, 49000, tcp_now_us(&f->st));
	assert_int_equal(f->c->min_rtt_us, 49000);
	done(f);
}

int main(void)
{
	static const struct CMUnitTest more[] = {
		{"a round trip by the board's times", by_the_board, NULL, NULL, NULL},
		{"Karn: a copy measures nothing", karn, NULL, NULL, NULL},
		{"a copy is measured by its timestamp", timestamps_tell, NULL, NULL, NULL},
		{"an echo of the future is no sample", forged_echo, NULL, NULL, NULL},
		{"the timeout doubles, to two minutes", doubling, NULL, NULL, NULL},
		{"a connection that was ended is not touched", gives_up, NULL, NULL, NULL},
		{"the least round trip is forgotten after five minutes", least_round_trip, NULL, NULL, NULL},
	};
	struct CMUnitTest tests[COUNT_OF(rows) + COUNT_OF(more)];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tests[n++] = (struct CMUnitTest){rows[i].name, run_row, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	for (size_t i = 0; i < COUNT_OF(more); i++)
		tests[n++] = more[i];
	return cmocka_run_group_tests_name("tcp_rtt", tests, NULL, NULL);
}
