/* tests/unit/test_tcp_recover.c: what the sender does about losses, late segments and liars, on a path made of a few lines
 * (flight_fixture.h). Round trip 100 ms, segments of 1000 octets, initial window 10. */
#include "flight_fixture.h"

#define T0 (5000000 * MS)

static const unsigned drop_1[] = {1, 0}, drop_5[] = {5, 0}, drop_10[] = {10, 0}, drop_3_11[] = {3, 11, 0},
		      drop_3_6[] = {3, 6, 0}, drop_8_9_10[] = {8, 9, 10, 0},
		      drop_all[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0}, drop_2_to_5[] = {2, 3, 4, 5, 0},
		      drop_1_11[] = {1, 11, 12, 0};

struct case_ {
	const char *name;
	const unsigned *drop;
	uint32_t octets;
	bool no_sack, no_ts, no_dsack;
	unsigned frame;
	/* what must come out; -1: not looked at */
	int rexmits, rto, tlp, fast, undo;
	unsigned done_ms; /* everything acknowledged by then */
};

static const struct case_ cases[] = {
	{"nothing lost: nothing is sent again", NULL, 100000, .rexmits = 0, .rto = 0, .tlp = 0, .fast = 0, .undo = 0,
	 .done_ms = 500},
	{"one loss, SACK: one segment again, one recovery", drop_5, 40000, .rexmits = 1, .rto = 0, .tlp = 0, .fast = 1,
	 .done_ms = 500},
	{"one loss in a super-frame", drop_5, 40000, .frame = 10, .rexmits = 1, .rto = 0, .tlp = 0, .fast = 1,
	 .done_ms = 500},
	{"one loss, no SACK: NewReno", drop_5, 40000, .no_sack = true, .rexmits = 1, .rto = 0, .tlp = 0, .fast = 1,
	 .done_ms = 600},
	{"the first of ten is lost", drop_1, 40000, .rexmits = 1, .rto = 0, .tlp = 0, .fast = 1, .done_ms = 600},
	{"two holes, SACK: both at once", drop_3_6, 40000, .rexmits = 2, .rto = 0, .tlp = 0, .fast = 1, .done_ms = 600},
	{"two holes, no SACK: a partial acknowledgment asks for the second", drop_3_6, 40000, .no_sack = true,
	 .rexmits = 2, .rto = 0, .tlp = 0, .fast = 1, .done_ms = 700},
	{"four holes in a row, SACK", drop_2_to_5, 40000, .rexmits = 4, .rto = 0, .tlp = 0, .fast = 1, .done_ms = 700},
	{"the last segment is lost: a probe, no timeout", drop_10, 10000, .rexmits = 1, .rto = 0, .tlp = 1, .fast = 0,
	 .done_ms = 500},
	{"the last three are lost: the probe shows the other two", drop_8_9_10, 10000, .rexmits = 3, .rto = 0, .tlp = 1,
	 .fast = 1, .done_ms = 650},
	{"a retransmission is lost: RACK sees it, no timeout", drop_3_11, 60000, .rexmits = 2, .rto = 0, .fast = 1,
	 .done_ms = 900},
	{"a retransmission is lost, no timestamps", drop_3_11, 60000, .no_ts = true, .rexmits = 2, .rto = 0, .fast = 1,
	 .done_ms = 900},
	{"everything is lost", drop_all, 10000, .rexmits = 10, .rto = -1, .tlp = 1, .fast = -1, .done_ms = 1500},
	{"everything is lost, no SACK, no timestamps", drop_all, 10000, .no_sack = true, .no_ts = true, .rexmits = 10,
	 .rto = 1, .tlp = 0, .fast = 0, .done_ms = 3000},
	{"the last is lost, no SACK: a timeout", drop_10, 10000, .no_sack = true, .rexmits = 1, .rto = 1, .tlp = 0,
	 .fast = 0, .done_ms = 1500},
	{"a loss after a loss", drop_1_11, 40000, .rexmits = 3, .rto = 0, .fast = 1, .done_ms = 900},
};

static void setup(struct fl *f, const struct case_ *t)
{
	fl_init(f, BERTH_NEWRENO);
	f->drop = t->drop;
	f->frame = t->frame ? t->frame : 1;
	f->sack = !t->no_sack;
	f->ts = !t->no_ts;
	f->dsack = !t->no_dsack;
	f->c->f = (t->no_sack ? 0 : TF_SACK) | (t->no_ts ? 0 : TF_TS);
	rtt_sample(f->c, 100000, tcp_now_us(&f->st)); /* the handshake's */
}

static void show(const struct fl *f)
{
	for (unsigned i = 0; i < f->n_log; i++)
		print_message("%8.3f ms %s%s seq %u len %u\n", (double)(f->log[i].at_ns - T0) / 1e6,
			      f->log[i].rexmit ? "again" : "new  ", f->log[i].probe ? " probe" : "",
			      f->log[i].seq - ISS - 1, f->log[i].len);
	print_message("rto %d tlp %d fast %d undo %d spurious %d, una %u at %.3f ms, cwnd %u ssthresh %u\n",
		      (int)f->st.n.tcp_rto, (int)f->st.n.tcp_tlp, (int)f->st.n.tcp_fast_recovery, (int)f->st.n.tcp_undo,
		      (int)f->st.n.tcp_spurious_rto, f->c->una - ISS - 1, (double)(f->st.now_ns - T0) / 1e6, f->c->cwnd,
		      f->c->ssthresh);
}

static void expect(const struct fl *f, const char *what, uint64_t got, int want)
{
	if (want < 0 || got == (uint64_t)want)
		return;
	show(f);
	fail_msg("%s: %d, not %d", what, (int)got, want);
}

static void run_case(void **state)
{
	const struct case_ *t = *state;
	struct fl *f = calloc(1, sizeof(*f));

	setup(f, t);
	fl_write(f, t->octets);
	fl_run(f, 60000 * MS);
	if (getenv("SHOW"))
		show(f);
	expect(f, "octets that arrived", f->received, (int)t->octets);
	expect(f, "octets in flight at the end", f->c->w->n_out, 0);
	expect(f, "retransmissions", fl_rexmits(f), t->rexmits);
	expect(f, "timeouts", f->st.n.tcp_rto, t->rto);
	expect(f, "probes", f->st.n.tcp_tlp, t->tlp);
	expect(f, "recoveries", f->st.n.tcp_fast_recovery, t->fast);
	expect(f, "undone", f->st.n.tcp_undo, t->undo);
	if (f->st.now_ns - T0 > t->done_ms * MS) {
		show(f);
		fail_msg("done after %d ms, not %u", (int)((f->st.now_ns - T0) / MS), t->done_ms);
	}
	fl_free(f);
	free(f);
}

static struct fl *make(uint8_t cc)
{
	struct fl *f = calloc(1, sizeof(*f));

	fl_init(f, cc);
	rtt_sample(f->c, 100000, tcp_now_us(&f->st));
	return f;
}

static void done(struct fl *f)
{
	if (getenv("SHOW"))
		show(f);
	fl_free(f);
	free(f);
}

/* Segments that are 10 ms late are taken for lost once; then the reordering window knows, and the undo has given back the window. */
static void reordering_is_learnt(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	unsigned at_first;

	(void)state;
	f->reorder_ppm = 20000;
	f->reorder_ns = 10 * MS;
	f->rwnd = 60000;
	fl_write(f, 500000);
	fl_run(f, 60000 * MS);
	at_first = fl_rexmits(f);
	assert_true(f->c->recover_flags & RF_REORDER);
	assert_true(at_first <= 3);
	fl_write(f, 2000000);
	fl_run(f, 60000 * MS);
	expect(f, "spurious retransmissions after that", fl_rexmits(f) - at_first, 0);
	expect(f, "timeouts", f->st.n.tcp_rto, 0);
	expect(f, "octets", f->received, 2500000);
	assert_true(f->c->cwnd >= 60000);
	done(f);
}

/* Later than the reordering window at first: D-SACKs tell, and it grows (RFC 8985, 6.2, step 4). */
static void reordering_is_learnt_by_dsack(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	unsigned at_first;

	(void)state;
	f->reorder_ppm = 20000;
	f->reorder_ns = 60 * MS;
	f->rwnd = 60000;
	fl_write(f, 500000);
	fl_run(f, 60000 * MS);
	at_first = fl_rexmits(f);
	assert_true(at_first > 1 && f->c->rack_reo_mult > 1);
	fl_write(f, 2000000);
	fl_run(f, 60000 * MS);
	expect(f, "spurious retransmissions after that", fl_rexmits(f) - at_first, 0);
	expect(f, "octets", f->received, 2500000);
	done(f);
}

/* All of a window is late by up to 1.5 s: the timeout was spurious, and the window comes back. By timestamps, by F-RTO, by D-SACK. */
struct late_case {
	const char *name;
	bool no_ts, no_sack, no_dsack;
};
static const struct late_case late[] = {
	{"a timeout was spurious: timestamps tell (Eifel)", .no_dsack = true},
	{"a timeout was spurious: F-RTO tells", .no_ts = true, .no_dsack = true},
	{"a timeout was spurious: F-RTO without SACK", .no_ts = true, .no_sack = true},
};

static void spurious_timeout(void **state)
{
	const struct late_case *t = *state;
	struct fl *f = make(BERTH_NEWRENO);
	uint32_t cwnd;

	f->ts = !t->no_ts;
	f->sack = !t->no_sack;
	f->dsack = !t->no_dsack;
	f->c->f = (t->no_sack ? 0 : TF_SACK) | (t->no_ts ? 0 : TF_TS);
	f->rwnd = 20000;
	fl_write(f, 100000);
	fl_run(f, 400 * MS);
	cwnd = f->c->cwnd;
	f->pause_from_ns = f->st.now_ns;
	f->pause_to_ns = f->pause_from_ns + 1500 * MS;
	fl_write(f, 400000);
	fl_run(f, 60000 * MS);
	expect(f, "octets", f->received, 500000);
	expect(f, "spurious timeouts noticed", f->st.n.tcp_spurious_rto, 1);
	assert_true(f->c->cwnd >= cwnd);
	assert_true(f->c->ssthresh == CC_SSTHRESH_NONE || f->c->ssthresh >= cwnd);
	done(f);
}

/* The receiver drops what it had sacked (RFC 2018, 8): a timeout sends all of it again. */
/* The copy of a segment is lost, too, and all that was sent after it is acknowledged before the reordering window is over: its timer
 * alone can tell, and what it finds goes out at once and not after a timeout. */
static void a_copy_is_lost_too(void **state)
{
	unsigned drop[3] = {1, 0, 0}, n_told = 0;

	(void)state;
	for (uint32_t octets = 11000; octets <= 30000; octets += 1000) {
		unsigned copy = 0, n = 0;

		for (int both = 0; both < 2; both++) {
			struct fl *f = make(BERTH_NEWRENO);

			f->c->recover_flags |= RF_REORDER;
			drop[1] = both ? copy : 0;
			f->drop = drop;
			fl_write(f, 5000);
			fl_run(f, 30 * MS);
			fl_write(
				f,
				octets -
					5000); /* so it is acknowledgments that tell of the first loss, and clock out more */
			fl_run(f, 60000 * MS);
			expect(f, "octets that arrived", f->received, (int)octets);
			n = f->n_log;
			for (unsigned i = 0; i < n && !copy; i++)
				copy = f->log[i].rexmit ? i + 1 : 0;
			if (both &&
			    f->log[copy].at_ns - f->log[copy - 1].at_ns < 20 * MS) { /* something was sent behind it */
				expect(f, "timeouts", f->st.n.tcp_rto, 0);
				n_told++;
			}
			done(f);
		}
		assert_int_not_equal(copy, 0);
	}
	assert_true(n_told > 3);
}

/* A probe that could not go is not waited for: the timeout is. */
static void a_probe_that_cannot_go_is_not_armed(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	struct tcp_burst *b;

	(void)state;
	fl_write(f, 2000);
	assert_int_equal(f->c->w->rtx_mode, RTX_TLP);
	assert_true(tlp_arm(&f->st, f->c, BERTH_NEVER));
	f->c->mss = MSS - 1; /* the path became narrower */
	assert_false(tlp_arm(&f->st, f->c, BERTH_NEVER));
	tlp_due(&f->st, f->c); /* or did so since */
	assert_false(f->c->recover_flags & RF_TLP_DUE);
	assert_int_equal(f->c->w->rtx_mode, RTX_RTO);
	assert_true(f->c->w->at[TCP_AT_RTX] == f->c->last_out_ns + rtt_timeout_ns(f->c));
	f->c->mss = MSS;
	b = burst_at(&f->st, f->c->w->burst_last);
	b->rexmit |= UINT64_C(1) << (b->n - 1); /* its copy is in flight */
	assert_false(tlp_arm(&f->st, f->c, BERTH_NEVER));
	b->rexmit = 0;
	assert_true(tlp_arm(&f->st, f->c, BERTH_NEVER));
	fl_run(f, 60000 * MS);
	done(f);
}

static void reneging(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	static const unsigned first[] = {1, 11, 0};

	(void)state;
	f->drop = first;
	fl_write(f, 10000);
	fl_run(f, 140 * MS);
	assert_int_equal(f->c->w->n_sacked, 9);
	f->n_held = 0; /* it forgets */
	fl_run(f, 60000 * MS);
	expect(f, "octets", f->received, 10000);
	expect(f, "in flight", f->c->w->n_out, 0);
	done(f);
}

/* S5: blocks that cannot be are ignored and counted; the rest of the acknowledgment is not. */
struct block_case {
	const char *name;
	int32_t left, right, ack; /* from una of ten segments in flight */
	unsigned sacked, ignored, dsacks;
};
static const struct block_case blocks[] = {
	{"S5: a block of what was sent", 2000, 5000, 0, 3, 0, 0},
	{"S5: parts of segments do not count", 1500, 4500, 0, 2, 0, 0},
	{"S5: less than a segment", 1001, 1999, 0, 0, 0, 0},
	{"S5: a block beyond what was sent", 2000, 10001, 0, 0, 1, 0},
	{"S5: all of it beyond", 20000, 30000, 0, 0, 1, 0},
	{"S5: left and right swapped", 5000, 2000, 0, 0, 1, 0},
	{"S5: empty", 3000, 3000, 0, 0, 1, 0},
	{"S5: half of the sequence space", 1000, INT32_MIN, 0, 0, 1, 0},
	{"S5: a duplicate below una", -1000, 0, 0, 0, 0, 1},
	{"S5: a duplicate from before the first octet", -9000, -8000, 0, 0, 1, 0},
	{"S5: a duplicate below the acknowledgment it comes with", 1000, 2000, 3000, 0, 0, 1},
	{"S5: from below una to above it", -1000, 3000, 0, 0, 1, 0},
};

static void s5_block(void **state)
{
	const struct block_case *t = *state;
	struct fl *f = make(BERTH_NEWRENO);
	struct tcp_seg s = {.seq = 1, .wnd = 65535, .flags = WIRE_TCP_ACK, .n_segs = 1};
	uint32_t una;

	f->owd_ns = 1000000 * MS;
	f->c->una = f->c->w->nxt = f->c->w->max = ISS + 5001; /* there was something before */
	f->c->bytes_acked = 5000;
	fl_write(f, 10000);
	una = f->c->una;
	s.ack = una + (uint32_t)t->ack;
	s.opt.has = WIRE_TCP_HAS_SACK;
	s.opt.n_sacks = 1;
	s.opt.sacks[0] = (struct wire_tcp_sack){una + (uint32_t)t->left, una + (uint32_t)t->right};
	if (t->right == INT32_MIN)
		s.opt.sacks[0].right = una + 0x80000000u;
	tcp_ack(&f->st, f->c, &s);
	assert_int_equal(f->c->w->n_sacked, t->sacked);
	assert_int_equal(f->st.n.tcp_sack_ignored, t->ignored);
	assert_int_equal(f->c->dsacks, t->dsacks);
	assert_int_equal(f->c->una, una + (uint32_t)t->ack);
	assert_true(tcp_flight_check(&f->st, f->c));
	done(f);
}

/* Duplicates that nobody sent segments for: the window grows by no more than what is in flight. */
static void forged_duplicates(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	struct tcp_seg s = {.seq = 1, .wnd = 65535, .flags = WIRE_TCP_ACK, .n_segs = 1};
	unsigned n;

	(void)state;
	f->c->f = 0;
	f->sack = f->ts = false;
	f->owd_ns = 1000000 * MS;
	fl_write(f, 10000000);
	n = f->n_sent;
	s.ack = f->c->una;
	tcp_ack(&f->st, f->c, &s); /* sets the window */
	f->st.now_ns += 110 * MS;
	for (unsigned i = 0; i < 10000; i++) {
		tcp_ack(&f->st, f->c, &s);
		fl_pump(f);
	}
	assert_true(f->n_sent - n <= 20);
	done(f);
}

/* RFC 3465: an acknowledgment in a thousand pieces opens the window no further than one. */
static void split_acknowledgments(void **state)
{
	uint32_t cwnd[2];

	(void)state;
	for (unsigned split = 0; split < 2; split++) {
		struct fl *f = make(BERTH_NEWRENO);
		struct tcp_seg s = {.seq = 1, .wnd = 65535, .flags = WIRE_TCP_ACK, .n_segs = 1};

		f->owd_ns = 1000000 * MS;
		fl_write(f, 10000000);
		for (uint32_t i = split ? 1 : MSS; i <= MSS; i++) {
			s.ack = ISS + 1 + i;
			tcp_ack(&f->st, f->c, &s);
		}
		cwnd[split] = f->c->cwnd;
		done(f);
	}
	assert_int_equal(cwnd[0], cwnd[1]);
}

/* len octets to a peer without SACK and timestamps whose answers are the test's: the first window is out, *ret acknowledges nothing. */
static struct fl *without_sack(uint32_t len, struct tcp_seg *ret)
{
	struct fl *f = make(BERTH_NEWRENO);

	f->c->f = 0;
	f->sack = f->ts = false;
	f->owd_ns = 1000000 * MS;
	fl_write(f, len);
	*ret = (struct tcp_seg){.seq = 1, .ack = f->c->una, .wnd = 65535, .flags = WIRE_TCP_ACK, .n_segs = 1};
	tcp_ack(&f->st, f->c, ret);
	return f;
}

/* RFC 3042: the first two duplicates let two new segments go, the third is a fast retransmit. */
static void limited_transmit(void **state)
{
	struct tcp_seg s;
	struct fl *f = without_sack(100000, &s);

	(void)state;
	assert_int_equal(f->n_sent, 10);
	f->st.now_ns += 110 * MS;
	for (unsigned i = 1; i <= 3; i++) {
		tcp_ack(&f->st, f->c, &s);
		fl_pump(f);
		assert_int_equal(f->n_sent, 10 + i);
		assert_int_equal(f->log[f->n_log - 1].rexmit, i == 3);
	}
	assert_int_equal(f->log[f->n_log - 1].seq, ISS + 1);
	done(f);
}

/* Nine duplicates for ten segments, and then una moves by one: another hole, and eight that can have arrived beyond it. The ninth was the
 * network's: it may not hide the copy that is in flight now. */
static void duplicates_are_no_more_than_segments(void **state)
{
	struct tcp_seg s;
	struct fl *f = without_sack(10000, &s);

	(void)state;
	f->st.now_ns += 110 * MS;
	for (unsigned i = 0; i < 9; i++) {
		tcp_ack(&f->st, f->c, &s);
		fl_pump(f);
	}
	assert_int_equal(f->c->w->dupacks, 9);
	s.ack += MSS;
	tcp_ack(&f->st, f->c, &s);
	fl_pump(f);
	assert_int_equal(f->c->w->n_out, 9);
	assert_int_equal(f->c->w->dupacks, 8);
	assert_int_equal(fl_rexmits(f), 2);
	assert_int_equal(tcp_flight_pipe(f->c), MSS);
	tcp_flight_too_big(&f->st, f->c, MSS / 2); /* the path got narrow: all of them go again */
	assert_int_equal(f->c->w->dupacks, 0);
	done(f);
}

/* Each segment of the peer's own data has an acknowledgment that says nothing new: none of them may put the probe off. */
static void data_of_the_peer_does_not_put_off_the_probe(void **state)
{
	struct fl *f = make(BERTH_CUBIC);
	struct tcp_seg s = {.seq = 1, .wnd = 65535, .flags = WIRE_TCP_ACK, .n_segs = 1, .len = 100};

	(void)state;
	fl_write(f, 10000);
	fl_run(f, 1000 * MS);
	assert_int_equal(f->c->w->n_out, 0);
	f->loss_ppm = 1000000;
	fl_write(f, 3000);
	for (unsigned i = 0; i < 100; i++, s.seq += s.len) {
		s.ack = f->c->una;
		tcp_ack(&f->st, f->c, &s);
		fl_run(f, 10 * MS);
	}
	expect(f, "probes", f->st.n.tcp_tlp, 1);
	assert_true(f->st.n.tcp_rto >= 1);
	done(f);
}

/* RFC 8985, 7.4: the copy repaired a loss: the window is reduced; or a D-SACK says that both arrived: it is not. */
static void ends_of_a_probe(void **state)
{
	(void)state;
	for (unsigned was_lost = 0; was_lost < 2; was_lost++) {
		struct fl *f = make(BERTH_NEWRENO);

		f->drop = was_lost ? drop_10 : NULL;
		f->ack_loss_ppm = was_lost ? 0 : 1000000;
		fl_write(f, 10000);
		fl_run(f, 240 * MS);
		f->ack_loss_ppm = 0;
		fl_run(f, 300 * MS);
		expect(f, "probes", f->st.n.tcp_tlp, 1);
		expect(f, "in flight", f->c->w->n_out, 0);
		fl_write(f, 5000);
		fl_run(f, 1000 * MS);
		expect(f, "octets", f->received, 15000);
		expect(f, "window reduced", f->c->ssthresh != CC_SSTHRESH_NONE, (int)was_lost);
		done(f);
	}
}

/* RFC 3168, 6.1.2: however many acknowledgments of a round trip say ECE. */
static void one_reduction_in_a_round_trip(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);
	struct tcp_seg s = {.seq = 1, .wnd = 512, .flags = WIRE_TCP_ACK | WIRE_TCP_ECE, .n_segs = 1};

	(void)state;
	f->c->f |= TF_ECN;
	f->owd_ns = 1000000 * MS;
	fl_write(f, 10 * MSS);
	f->st.now_ns += 100 * MS;
	for (unsigned i = 1; i <= 10; i++) {
		s.ack = ISS + 1 + i * MSS;
		tcp_ack(&f->st, f->c, &s);
		assert_int_equal(f->c->ssthresh, 5 * MSS);
	}
	assert_true(f->c->f & TF_ECN_CWR);
	done(f);
}

/* After a timeout one segment goes, also where super-frames could; or a short queue never lets a window through. */
static void a_timeout_sends_one_segment(void **state)
{
	struct fl *f = make(BERTH_CUBIC);
	unsigned n;

	(void)state;
	f->frame = 20;
	f->ns_per_octet = 1000;
	f->queue_ns = 3 * MS; /* three segments */
	f->drop = drop_all;
	fl_write(f, 10 * MSS);
	f->drop = NULL;
	f->c->recover_flags |= RF_TLP; /* no probe: a timeout */
	recover_arm(&f->st, f->c, true, true);
	n = f->n_log;
	f->st.now_ns = f->c->w->at[TCP_AT_RTX];
	tcp_flight_timer(&f->st, f->c); /* one probe at a time: the RTO's rest */
	assert_int_equal(f->c->w->rtx_mode, RTX_RTO);
	f->st.now_ns = f->c->w->at[TCP_AT_RTX];
	tcp_flight_timer(&f->st, f->c);
	fl_pump(f);
	assert_int_equal(f->n_log, n + 1);
	assert_int_equal(f->log[n].len, MSS);
	fl_run(f, 60000 * MS);
	expect(f, "octets", f->received, 10 * MSS);
	done(f);
}

/* A queue that marks instead of dropping: the window follows, nothing is sent twice. */
static void ecn_instead_of_loss(void **state)
{
	struct fl *f = make(BERTH_NEWRENO);

	(void)state;
	f->c->f |= TF_ECN;
	f->ns_per_octet = 1000; /* 1 MB/s: 100 KB in a round trip */
	f->queue_ns = 400 * MS;
	f->mark_ns = 30 * MS;
	fl_write(f, 5000000);
	fl_run(f, 60000 * MS);
	expect(f, "octets", f->received, 5000000);
	expect(f, "retransmissions", f->c->rexmits, 0);
	assert_true(f->c->ssthresh < 200000);
	assert_true(f->st.now_ns - T0 <
		    8000 * MS); /* five seconds' worth, and the overshoot of slow start cost three halvings */
	done(f);
}

/* Whatever happens on the way, everything arrives, and a seed tells the same story twice. */
static void any_path(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		unsigned sent[2];

		for (unsigned again = 0; again < 2; again++) {
			struct fl *f = make(seed % 2 ? BERTH_CUBIC : BERTH_NEWRENO);
			uint32_t octets;

			rng_init(&f->rng, seed);
			f->sack = rng_range(&f->rng, 0, 3) != 0;
			f->ts = rng_range(&f->rng, 0, 1) != 0;
			f->dsack = rng_range(&f->rng, 0, 1) != 0;
			f->c->f = (f->sack ? TF_SACK : 0) | (f->ts ? TF_TS : 0);
			f->loss_ppm = (uint32_t)rng_range(&f->rng, 0, 200000);
			f->ack_loss_ppm = (uint32_t)rng_range(&f->rng, 0, 200000);
			f->reorder_ppm = (uint32_t)rng_range(&f->rng, 0, 100000);
			f->reorder_ns = rng_range(&f->rng, 1, 200) * MS;
			f->owd_ns = rng_range(&f->rng, 1, 100) * MS;
			f->frame = (uint32_t)rng_range(&f->rng, 1, 20);
			f->ack_every = (unsigned)rng_range(&f->rng, 1, 2);
			f->rwnd = (uint32_t)rng_range(&f->rng, 3000, 300000);
			octets = (uint32_t)rng_range(&f->rng, 1, 300000);
			f->written = octets;
			fl_pump(f);
			fl_run(f, 3600000 * MS);
			if (f->received != octets || f->c->w->n_out) {
				show(f);
				fail_msg("seed %d: %d of %u octets, %u in flight", (int)seed, (int)f->received, octets,
					 f->c->w->n_out);
			}
			sent[again] = f->n_sent;
			fl_free(f);
			free(f);
		}
		assert_int_equal(sent[0], sent[1]);
	}
}

/* 2 GiB without a loss, then one: "beyond what was recovered from last" must still be true. The numbers jump by 768 MiB between
 * transfers, as if quiet ones had been there. */
static void numbers_go_round_without_sack(void **state)
{
	static const unsigned drop[] = {35, 0};
	const struct case_ t = {.no_sack = true, .drop = drop};
	const uint32_t jump = UINT32_C(0x30000000);
	struct fl *f = calloc(1, sizeof(*f));

	(void)state;
	setup(f, &t);
	for (int i = 0; i < 3; i++) {
		fl_write(f, 10000);
		fl_run(f, 10000 * MS);
		assert_int_equal(f->c->w->n_out, 0);
		f->c->una = f->c->w->nxt = f->c->w->max = f->c->una + jump;
		f->c->snd_wl2 += jump;
		f->rcv_nxt += jump;
	}
	fl_write(f, 40000);
	fl_run(f, 10000 * MS);
	expect(f, "octets that arrived", f->received, 70000);
	expect(f, "timeouts", f->st.n.tcp_rto, 0);
	expect(f, "recoveries", f->st.n.tcp_fast_recovery, 1);
	fl_free(f);
	free(f);
}

/* Something is in flight, one of it for the second time, the reordering timer runs, and nobody calls for a while: half of the circle of
 * microseconds is 36 minutes, all of it 72. */
static void asleep(struct fl *f, const struct case_ *t, uint64_t for_ns)
{
	struct tcp_burst *b;

	setup(f, t);
	fl_write(f, 5000);
	b = burst_at(&f->st, f->c->w->burst_first);
	assert_int_equal(f->c->w->n_out, 5);
	b->rexmit = 1;
	b->rexmit_us = b->sent_us;
	b->rexmit_span = 2;
	f->c->w->n_rexmit = 1;
	f->c->recover_flags |= RF_RACK;
	f->c->w->rack_sent_us = b->sent_us + 1000;
	f->c->w->rack_rtt_us = 100000;
	f->c->w->rtx_mode = RTX_REORDER;
	f->st.now_ns += for_ns;
}

static void who_slept_knows_what_is_lost(void **state)
{
	static const struct case_ t = {"asleep", NULL, 5000};
	static const unsigned minutes[] = {1, 35, 37, 60, 71, 100};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(minutes); i++) {
		struct fl *f = calloc(1, sizeof(*f));

		asleep(f, &t, minutes[i] * 60000 * MS);
		assert_int_equal(rack_detect(&f->st, f->c), 0);
		assert_int_equal(f->c->w->n_lost, 5);
		fl_free(f);
		free(f);
	}
}

/* What arrived before a silence was sent before all that is sent after it, however long it was. */
static void a_silence_is_before_what_follows(void **state)
{
	static const unsigned minutes[] = {0, 1, 20, 36, 40, 60, 71, 72, 110, 1000}, drop[] = {13, 0};
	static const struct case_ t = {"silence", drop, 10000};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(minutes); i++) {
		struct fl *f = calloc(1, sizeof(*f));

		setup(f, &t);
		f->owd_ns = 50 * MS;
		fl_write(f, 10000);
		fl_run(f, 10000 * MS);
		assert_int_equal(f->c->w->n_out, 0);
		f->st.now_ns += minutes[i] * 60000 * MS;
		for (int part = 0; part < 8;
		     part++) { /* some is on its way for less than a round trip while the loss is heard of */
			fl_write(f, 5000);
			fl_run(f, 20 * MS);
		}
		fl_run(f, 10000 * MS);
		expect(f, "octets that arrived", f->received, 50000);
		expect(f, "retransmissions", f->st.n.tcp_retrans, 1);
		expect(f, "timeouts", f->st.n.tcp_rto, 0);
		expect(f, "recoveries", f->st.n.tcp_fast_recovery, 1);
		fl_free(f);
		free(f);
	}
}

/* The one deadline of the flight may stand for the user timeout: then nothing else that is due is done. */
static void the_user_timeout_ends_any_wait(void **state)
{
	static const enum tcp_rtx_mode modes[] = {RTX_RTO, RTX_TLP, RTX_REORDER};
	static const struct case_ t = {"over", NULL, 5000};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		struct fl *f = calloc(1, sizeof(*f));
		unsigned n_ready;

		asleep(f, &t, 1000 * MS);
		f->c->w->rtx_mode = (uint8_t)modes[i];
		f->user_is_over = f->give_up = true;
		n_ready = f->n_ready;
		tcp_flight_timer(&f->st, f->c);
		assert_true(f->c->w->at[TCP_AT_RTX] == NEVER_NS);
		assert_int_equal(f->n_ready, n_ready);
		fl_free(f);
		free(f);
	}
}

#define N_MORE 19
int main(void)
{
	static const struct CMUnitTest more[N_MORE] = {
		{"reordering is learnt", reordering_is_learnt, NULL, NULL, NULL},
		{"reordering by more than a quarter of a round trip is learnt from D-SACK",
		 reordering_is_learnt_by_dsack, NULL, NULL, NULL},
		{"the receiver reneges: a timeout sends all of it again", reneging, NULL, NULL, NULL},
		{"S15: forged duplicates open nothing", forged_duplicates, NULL, NULL, NULL},
		{"an acknowledgment in pieces opens no more than one", split_acknowledgments, NULL, NULL, NULL},
		{"a timeout sends one segment, super-frames or not", a_timeout_sends_one_segment, NULL, NULL, NULL},
		{"the peer's own data does not put off the probe", data_of_the_peer_does_not_put_off_the_probe, NULL,
		 NULL, NULL},
		{"how a tail loss probe ends", ends_of_a_probe, NULL, NULL, NULL},
		{"ECE: one reduction in a round trip", one_reduction_in_a_round_trip, NULL, NULL, NULL},
		{"a copy is lost, too: RACK's timer sends it again", a_copy_is_lost_too, NULL, NULL, NULL},
		{"a probe that cannot go is not armed", a_probe_that_cannot_go_is_not_armed, NULL, NULL, NULL},
		{"limited transmit", limited_transmit, NULL, NULL, NULL},
		{"no SACK: duplicates are no more than segments", duplicates_are_no_more_than_segments, NULL, NULL,
		 NULL},
		{"a marked path: ECN instead of loss", ecn_instead_of_loss, NULL, NULL, NULL},
		{"a loss after 2 GiB without one, no SACK: no timeout", numbers_go_round_without_sack, NULL, NULL,
		 NULL},
		{"any path: everything arrives", any_path, NULL, NULL, NULL},
		{"who slept for half an hour knows what is lost", who_slept_knows_what_is_lost, NULL, NULL, NULL},
		{"a silence is before what follows", a_silence_is_before_what_follows, NULL, NULL, NULL},
		{"the user timeout ends any wait", the_user_timeout_ends_any_wait, NULL, NULL, NULL},
	};
	struct CMUnitTest tests[COUNT_OF(cases) + COUNT_OF(late) + COUNT_OF(blocks) + N_MORE];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		tests[n++] = (struct CMUnitTest){cases[i].name, run_case, NULL, NULL, (void *)(uintptr_t)&cases[i]};
	for (size_t i = 0; i < COUNT_OF(late); i++)
		tests[n++] =
			(struct CMUnitTest){late[i].name, spurious_timeout, NULL, NULL, (void *)(uintptr_t)&late[i]};
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		tests[n++] = (struct CMUnitTest){blocks[i].name, s5_block, NULL, NULL, (void *)(uintptr_t)&blocks[i]};
	for (size_t i = 0; i < N_MORE && more[i].name; i++)
		tests[n++] = more[i];
	return _cmocka_run_group_tests("tcp_recover", tests, n, NULL, NULL);
}
