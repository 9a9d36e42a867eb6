/* src/stack/tcp_recover.c: what a loss does to the sender: states, how much may be in flight, and the way back if it was none.
 *
 *	OPEN	  nothing is amiss
 *	DISORDER  something arrived beyond una: lost, or late? New segments go on for each that arrived (RFC 3042, 6675)
 *	CWR	  the network said "congestion" (ECE): the window shrinks over a round trip, nothing is lost
 *	RECOVERY  something is lost and sent again; until recover_seq is acknowledged (RFC 6675; without SACK RFC 6582)
 *	LOSS	  a timeout: all is taken for lost, one segment in flight, slow start (RFC 5681, 3.1)
 *
 * In CWR and RECOVERY proportional rate reduction (RFC 6937) says how much may be in flight: for each octet that arrives, so
 * much is sent that the flight shrinks to ssthresh just when the recovery ends. Below ssthresh it grows back by what arrives, and
 * by one segment more when una moved and nothing more was lost (the slow start bound; else the conservative one: RFC 9937).
 *
 * Was it a loss at all? Four witnesses, and each restores the window as it was before:
 *	- timestamps: the acknowledgment answers the original, not the copy (Eifel, RFC 3522 and 4015);
 *	- D-SACK: every copy that was sent was reported as a duplicate (RFC 3708);
 *	- nothing was sent again yet, and una moved;
 *	- after a timeout: data that was sent once is acknowledged while two new segments test the path (F-RTO, RFC 5682).
 */
#include "stack/tcp_flight.h"

#define RENEGE_LEAST_NS UINT64_C(10000000)
#define RTO_LEFT_LEAST_NS UINT64_C(1000000)

static bool in_handshake(const struct tcp_conn *c)
{
	return c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD;
}

/* --- timers --- */

static void rtx_set(struct berth_stack *st, struct tcp_conn *c, enum tcp_rtx_mode mode, uint64_t in_ns)
{
	c->w->rtx_mode = (uint8_t)mode;
	tcp_deadline_set(st, c, TCP_AT_RTX, st->now_ns + in_ns);
}

/* What is left of the RTO of the first segment, since it was sent last: another timer has run in its place meanwhile. */
static uint64_t rto_left_ns(const struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_burst *b = burst_at(st, c->w->burst_first);
	uint32_t sent_us = b->rexmit & 1 ? board_rexmit_last_us(b, tcp_now_us(st)) : board_sent_us(b, 0);
	uint64_t gone_ns = (uint64_t)(tcp_now_us(st) - sent_us) * 1000, rto_ns = rtt_timeout_ns(c);

	return gone_ns < rto_ns ? rto_ns - gone_ns : 0;
}

void recover_rto(struct berth_stack *st, struct tcp_conn *c)
{
	uint64_t left_ns = rto_left_ns(st, c);

	rtx_set(st, c, RTX_RTO, left_ns > RTO_LEFT_LEAST_NS ? left_ns : RTO_LEFT_LEAST_NS);
}

void recover_arm(struct berth_stack *st, struct tcp_conn *c, bool restart, bool advanced)
{
	bool other = c->w->rtx_mode == RTX_TLP || c->w->rtx_mode == RTX_REORDER;

	if (c->w->n_out == 0) {
		c->w->rtx_mode = RTX_NONE;
		tcp_deadline_clear(st, c, TCP_AT_RTX);
		return;
	}
	/* The peer's own data has acknowledgments, too: a probe that each of them put off would never leave. */
	if (!restart && c->w->rtx_mode != RTX_NONE && (c->w->rtx_mode != RTX_TLP || tlp_may(c)))
		return;
	if (tlp_arm(st, c, advanced ? rtt_timeout_ns(c) : rto_left_ns(st, c)))
		return;
	if (other)
		recover_rto(st, c);
	else
		rtx_set(st, c, RTX_RTO, rtt_timeout_ns(c));
}

/* --- entering and leaving --- */

static void undo_forget(struct tcp_conn *c)
{
	c->recover_flags &= (uint16_t) ~(RF_UNDO | RF_REXMITTED);
	c->w->undo_retrans = 0;
}

/* Copies that are in flight already draw their D-SACKs later: until those have come too, one of them says nothing about this reduction. */
static void undo_begin(struct tcp_conn *c)
{
	undo_forget(c);
	c->recover_flags |= RF_UNDO;
	c->w->undo_retrans = c->w->n_rexmit;
	c->w->undo_cwnd = c->cwnd;
	c->w->undo_ssthresh = c->ssthresh;
	c->w->undo_una = c->una;
}

/* fs: what was in flight when it began. */
static void prr_begin(struct tcp_conn *c, uint32_t fs)
{
	c->w->prr_delivered = c->w->prr_out = 0;
	c->w->prr_recover_fs = fs > c->mss ? fs : c->mss;
}

static void enter_recovery(struct berth_stack *st, struct tcp_conn *c, uint32_t pipe_before)
{
	if (c->w->ca_state < CA_CWR) {
		undo_begin(c);
		c->ssthresh = cc_of(c)->on_loss(c);
		prr_begin(c, pipe_before);
	}
	c->w->recover_seq = c->w->max;
	c->w->ca_state = CA_RECOVERY;
	c->recover_flags &= (uint16_t) ~(RF_TLP | RF_TLP_DUE);
	st->n.tcp_fast_recovery++;
}

void recover_enter_cwr(struct berth_stack *st, struct tcp_conn *c)
{
	(void)st;
	undo_forget(c); /* the network said so itself: there is nothing to be undone */
	c->ssthresh = cc_of(c)->on_loss(c);
	prr_begin(c, tcp_flight_pipe(c));
	c->w->recover_seq = c->w->max;
	c->w->ca_state = CA_CWR;
}

/* Segments are lost, said RACK's timer: not on an acknowledgment. */
void recover_lost(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->w->mtu_probe && tcp_mtu_probe_lost(st, c)) {
		sock_ready(st, tcp_index(st, c));
		return;
	}
	if (c->w->ca_state < CA_RECOVERY) {
		enter_recovery(st, c, c->w->pipe);
		c->cwnd = tcp_flight_pipe(c) + c->mss; /* the first one goes at once (RFC 6937: a fast retransmit) */
	} else if (c->w->ca_state == CA_RECOVERY && c->cwnd < tcp_flight_pipe(c) + c->mss) {
		c->cwnd = tcp_flight_pipe(c) + c->mss;
	}
	sock_ready(st, tcp_index(st, c));
}

static void to_open(struct tcp_conn *c)
{
	c->w->ca_state = c->w->n_sacked ? CA_DISORDER : CA_OPEN;
	c->w->dupacks = 0;
}

/* --- undoing --- */

static void undo(struct berth_stack *st, struct tcp_conn *c)
{
	board_unlose(st, c);
	if (c->w->ca_state == CA_RECOVERY)
		c->recover_flags |= RF_REORDER; /* that was reordering, then (RFC 8985, 6.2, step 3) */
	if (c->cwnd < c->w->undo_cwnd)
		c->cwnd = c->w->undo_cwnd;
	if (c->ssthresh < c->w->undo_ssthresh)
		c->ssthresh = c->w->undo_ssthresh;
	if (cc_of(c)->undo)
		cc_of(c)->undo(c);
	undo_forget(c);
	st->n.tcp_undo++;
}

/* Does the segment answer something sent before the first copy? */
static bool answers_original(const struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!(c->recover_flags & RF_REXMITTED))
		return true;
	return c->f & TF_TS && s->opt.has & WIRE_TCP_HAS_TS && s->opt.ts_ecr != 0 &&
	       seq_lt(s->opt.ts_ecr, c->w->rexmit_ts);
}

static bool all_copies_duplicate(const struct tcp_conn *c, const struct flight_ack *a)
{
	return a->dsack_segs > 0 && c->recover_flags & RF_REXMITTED && c->w->undo_retrans == 0;
}

static bool may_undo(const struct tcp_conn *c, const struct tcp_seg *s, const struct flight_ack *a)
{
	return c->recover_flags & RF_UNDO && (all_copies_duplicate(c, a) || (a->acked > 0 && answers_original(c, s)));
}

/* --- how much may be in flight --- */

static void prr(struct tcp_conn *c, const struct flight_ack *a, uint32_t delivered, bool lost_more)
{
	uint64_t send;
	uint32_t pipe = tcp_flight_pipe(c);

	if (delivered == 0)
		return;
	c->w->prr_delivered += delivered;
	if (pipe > c->ssthresh) {
		uint64_t want =
			((uint64_t)c->w->prr_delivered * c->ssthresh + c->w->prr_recover_fs - 1) / c->w->prr_recover_fs;

		/* In whole segments, as they will be sent, and as Linux counts: rounded down, each fraction waits for an acknowledgment. */
		want = (want + c->mss - 1) / c->mss * c->mss;
		send = want > c->w->prr_out ? want - c->w->prr_out : 0;
	} else {
		uint32_t limit = c->w->prr_delivered > c->w->prr_out ? c->w->prr_delivered - c->w->prr_out : 0;

		if (limit < delivered)
			limit = delivered;
		if (a->acked > 0 && !lost_more)
			limit += c->mss;
		send = c->ssthresh - pipe < limit ? c->ssthresh - pipe : limit;
	}
	if (c->w->prr_out == 0 && send < c->mss)
		send = c->mss; /* the fast retransmit itself */
	c->cwnd = pipe + (uint32_t)send;
}

/* --- without SACK (RFC 6582) --- */

/* Of how many segments can a duplicate be, by now? Those that were sent half a least round trip ago: who makes duplicates up gains
 * little. */
static uint32_t could_have_arrived(const struct berth_stack *st, const struct tcp_conn *c, uint32_t now_us)
{
	uint32_t n = 0;

	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next) {
		const struct tcp_burst *b = burst_at(st, i);

		if (now_us - b->sent_us < c->min_rtt_us / 2)
			break;
		n += b->n;
	}
	return n;
}

/* The segment at una is a hole, and what is sent again has not arrived: there may be fewer segments than duplicates that the network made, or
 * since una moved past a hole. */
void recover_limit_duplicates(struct tcp_conn *c)
{
	uint32_t holes = c->w->n_lost > 0 ? c->w->n_lost : 1, most = c->w->n_out > holes ? c->w->n_out - holes : 0;

	if (c->w->dupacks > most)
		c->w->dupacks = (uint16_t)most;
}

/* Counts segments that arrived beyond una; returns octets newly known to have arrived. */
static uint32_t count_duplicates(const struct berth_stack *st, struct tcp_conn *c, const struct flight_ack *a)
{
	uint32_t gone;

	if (c->w->ca_state == CA_LOSS) {
		c->w->dupacks = 0;
		return a->delivered;
	}
	if (a->acked > 0) {
		gone = a->cum_segs > 0 ? a->cum_segs - 1 : 0; /* all but the hole itself were counted before */
		if (gone > c->w->dupacks || c->w->ca_state < CA_RECOVERY)
			gone = c->w->dupacks;
		c->w->dupacks = (uint16_t)(c->w->dupacks - gone);
		recover_limit_duplicates(c);
		return a->delivered > gone * c->mss ? a->delivered - gone * c->mss : 0;
	}
	if (!a->dup || c->w->dupacks == UINT16_MAX || c->w->dupacks + 1u >= could_have_arrived(st, c, a->now_us))
		return 0;
	c->w->dupacks++;
	return c->mss;
}

static bool duplicates_mean_loss(struct berth_stack *st, struct tcp_conn *c, const struct flight_ack *a)
{
	if (c->w->ca_state == CA_RECOVERY ? a->acked > 0 && seq_lt(c->una, c->w->recover_seq)
					  : c->w->dupacks >= TCP_REORDERING && !seq_lt(c->una, c->w->recover_seq)) {
		uint32_t before = c->w->n_lost;

		board_lose_first(st, c);
		return c->w->n_lost > before;
	}
	return false;
}

/* --- the states --- */

static void process_loss(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a)
{
	bool recovered = !seq_lt(c->una, c->w->recover_seq);

	c->recover_flags &= (uint16_t)~RF_FRTO_NEW;
	if (c->recover_flags & RF_FRTO && a->orig_low && c->recover_flags & RF_UNDO) {
		st->n.tcp_spurious_rto++; /* RFC 5682, 3.1, step 3b */
		c->recover_flags &= (uint16_t)~RF_FRTO;
		undo(st, c);
		to_open(c);
		return;
	}
	if (may_undo(c, s, a)) {
		st->n.tcp_spurious_rto++;
		undo(st, c);
		to_open(c);
		return;
	}
	if (c->recover_flags & RF_FRTO) {
		if (seq_lt(c->w->recover_seq, c->w->max)) {
			if (a->sacked || a->dup) /* 3a: the new ones arrived, the old ones did not */
				c->recover_flags &= (uint16_t)~RF_FRTO;
		} else if (a->acked > 0 && !recovered) {
			if (flight_has_new(c))
				c->recover_flags |= RF_FRTO_NEW; /* 2b */
			else
				c->recover_flags &= (uint16_t)~RF_FRTO;
		}
	}
	if (recovered) {
		c->recover_flags &= (uint16_t)~RF_FRTO;
		to_open(c);
	}
}

static void process_recovery(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a,
			     uint32_t delivered, bool lost_more)
{
	if (may_undo(c, s, a) && (a->dsack_segs || c->w->n_rexmit == 0)) {
		if (!a->dsack_segs && seq_lt(c->w->undo_una, c->w->rack_fack))
			reordering_seen(c, c->w->rack_fack - c->w->undo_una); /* the hole was filled by who came late */
		undo(st, c);
		to_open(c);
		return;
	}
	if (!seq_lt(c->una, c->w->recover_seq)) {
		c->cwnd = c->ssthresh; /* RFC 6937, 3: at the end of recovery */
		to_open(c);
		if (c->rack_reo_persist > 0 && --c->rack_reo_persist == 0)
			c->rack_reo_mult = 1; /* RFC 8985, 6.2, step 4: after 16 recoveries without D-SACK */
		return;
	}
	prr(c, a, delivered, lost_more);
}

/* OPEN, DISORDER, CWR. */
static void process_open(struct berth_stack *st, struct tcp_conn *c, struct flight_ack *a, uint32_t delivered,
			 bool lost)
{
	if (lost) {
		enter_recovery(st, c, a->pipe_before);
		prr(c, a, delivered, true);
		return;
	}
	if (c->w->ca_state == CA_CWR) {
		if (seq_lt(c->w->recover_seq,
			   c->una)) { /* beyond it: the echo may have come with nothing left in flight */
			c->cwnd = c->ssthresh;
			to_open(c);
		} else {
			prr(c, a, delivered, false);
		}
		return;
	}
	if (c->recover_flags & RF_UNDO && all_copies_duplicate(c, a))
		undo(st, c); /* the recovery was over when the last duplicate was reported */
	c->w->ca_state = c->w->n_sacked || c->w->dupacks ? CA_DISORDER : CA_OPEN;
}

static bool may_grow(uint8_t state)
{
	return state != CA_CWR && state != CA_RECOVERY;
}

static uint64_t renege_ns(const struct tcp_conn *c)
{
	uint64_t half = (uint64_t)c->srtt_us * 500;

	return half > RENEGE_LEAST_NS ? half : RENEGE_LEAST_NS;
}

/* Set when una moved; the peer's own data has acknowledgments, too, and does not put it off. */
static void recover_renege(struct berth_stack *st, struct tcp_conn *c, bool moved)
{
	if (moved || c->w->rtx_mode != RTX_RTO || c->w->at[TCP_AT_RTX] > st->now_ns + renege_ns(c))
		rtx_set(st, c, RTX_RTO, renege_ns(c));
}

void recover_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a)
{
	uint8_t state = c->w->ca_state;
	uint32_t delivered = a->delivered, again_us = 0, cwnd_before = c->cwnd;
	bool lost_more;

	if (in_handshake(c) || (a->acked == 0 && c->w->n_out == 0 && !a->ece)) {
		recover_arm(st, c, a->acked > 0, true);
		return;
	}
	if (a->acked > 0)
		c->recover_flags &= (uint16_t)~RF_TLP_DUE; /* it is not overdue any more */
	if (delivered == 0)
		delivered = a->acked; /* pieces of a segment (tcp_flight_too_big()) */
	tlp_ack(st, c, s, a);
	ecn_ack(st, c, a);
	if (c->f & TF_SACK) {
		int32_t lost_before;

		rack_ack(st, c, s, a);
		lost_before = flight_to_resend(c);
		/* Nothing is amiss, and una moved: what was sent before a copy that came back is not looked for (as Linux does not). */
		if (state != CA_OPEN || a->sacked || a->acked == 0)
			again_us = rack_detect(st, c);
		lost_more = flight_to_resend(c) > lost_before;
	} else {
		delivered = count_duplicates(st, c, a);
		lost_more = duplicates_mean_loss(st, c, a);
	}
	if (lost_more && c->w->mtu_probe && tcp_mtu_probe_lost(st, c))
		lost_more = false; /* RFC 4821, 7.7 */
	if (c->w->ca_state == CA_LOSS)
		process_loss(st, c, s, a);
	else if (c->w->ca_state == CA_RECOVERY)
		process_recovery(st, c, s, a, delivered, lost_more);
	else
		process_open(st, c, a, delivered, lost_more);
	/* What was recovered from last is behind una, and stays there when numbers go round: else duplicates after 2 GiB without a loss
	 * would count as its own (RFC 6582, 3.2, step 2). */
	if (c->w->ca_state < CA_CWR && seq_lt(c->w->recover_seq, c->una))
		c->w->recover_seq = c->una;
	if (a->acked > 0 && may_grow(c->w->ca_state)) /* what ends a recovery lets the window grow from ssthresh, too */
		cc_ack(c, a, state == CA_LOSS && c->cwnd == cwnd_before);
	if (c->f & TF_SACK && c->w->n_out > 0 && board_sacked(burst_at(st, c->w->burst_first)) & 1)
		/* What una points at was said to have arrived: the receiver dropped it again (RFC 2018, 8), or more is on its way. */
		recover_renege(st, c, a->acked > 0);
	else if (again_us > 0)
		rtx_set(st, c, RTX_REORDER, (uint64_t)again_us * 1000);
	else
		recover_arm(st, c,
			    a->acked > 0 || (c->w->rtx_mode == RTX_TLP && a->sacked) || c->w->rtx_mode == RTX_REORDER,
			    true);
}

void recover_sent(struct berth_stack *st, struct tcp_conn *c, uint32_t len, bool rexmit, uint32_t segs)
{
	if (c->w->ca_state == CA_RECOVERY || c->w->ca_state == CA_CWR)
		c->w->prr_out += len;
	if (rexmit) {
		if (!(c->recover_flags & RF_REXMITTED))
			c->w->rexmit_ts = tcp_ts_now(st, c->ts_offset);
		c->recover_flags |= RF_REXMITTED;
		c->w->undo_retrans += segs;
	}
	if (c->recover_flags & RF_TLP_DUE) {
		tlp_sent(st, c, rexmit);
		return;
	}
	recover_arm(st, c, !rexmit && c->w->rtx_mode == RTX_TLP, false);
}

/* --- timeouts --- */

/* RFC 6298, 5.4 to 5.6; RFC 5681, 3.1. */
void recover_timeout(struct berth_stack *st, struct tcp_conn *c)
{
	bool first = c->w->ca_state < CA_RECOVERY || !seq_lt(c->una, c->w->recover_seq) ||
		     (c->w->ca_state == CA_LOSS && c->w->n_rtx == 0);
	/* While losses are recovered from, an acknowledgment of what was sent once says nothing about this timeout (as Linux). */
	bool frto = c->w->ca_state < CA_RECOVERY || c->w->n_rtx > 0;

	st->n.tcp_rto++;
	if (c->w->burst_first != NIL && board_sacked(burst_at(st, c->w->burst_first)) & 1)
		board_renege(st, c); /* what una points at was once said to have arrived (RFC 2018, 8) */
	c->recover_flags &= (uint16_t) ~(RF_TLP | RF_TLP_DUE | RF_FRTO_NEW);
	if (!in_handshake(c)) {
		if (first) {
			undo_begin(c);
			c->ssthresh = cc_of(c)->on_rto(c);
		}
		c->recover_flags &= (uint16_t)~RF_FRTO;
		if (frto)
			c->recover_flags |= RF_FRTO;
		c->w->cwnd_acked = 0;
		c->w->ca_state = CA_LOSS;
		c->w->recover_seq = c->w->max;
	}
	c->w->dupacks = 0;
	if (c->f & TF_SACK && c->recover_flags & RF_RACK)
		board_lose_overdue(st, c);
	else
		board_lose_all(st, c);
	if (!in_handshake(c))
		c->cwnd = tcp_flight_pipe(c) + c->mss; /* the loss window, beside what is still under way */
	if (c->w->first_rtx_ns == 0)
		c->w->first_rtx_ns = st->now_ns;
	if (c->w->n_rtx < UINT8_MAX)
		c->w->n_rtx++;
	if (c->w->backoff < 16 && (c->state != TCP_SYN_SENT || c->w->n_rtx > c->syn_linear))
		c->w->backoff++;
	rtx_set(st, c, RTX_RTO, rtt_timeout_ns(c));
	sock_ready(st, tcp_index(st, c));
}

void tcp_flight_timer(struct berth_stack *st, struct tcp_conn *c)
{
	enum tcp_rtx_mode mode = (enum tcp_rtx_mode)c->w->rtx_mode;

	c->w->rtx_mode = RTX_NONE;
	tcp_deadline_clear(st, c, TCP_AT_RTX);
	if (c->w->n_out == 0)
		return;
	/* It may have been the user timeout's deadline, whatever else was waited for. */
	if ((mode == RTX_RTO || tcp_user_timeout_is_over(st, c)) && !tcp_may_retry(st, c))
		return;
	switch (mode) {
	case RTX_NONE:
		break;
	case RTX_RTO:
		recover_timeout(st, c);
		break;
	case RTX_TLP:
		tlp_due(st, c);
		break;
	case RTX_REORDER:
		rack_timer_due(st, c);
		break;
	}
}

uint32_t tcp_flight_room(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t pipe, room;

	if (c->w->n_out == 0)
		cc_idle(st, c);
	pipe = tcp_flight_pipe(c);
	room = c->cwnd > pipe ? c->cwnd - pipe : 0;
	if (c->w->ca_state == CA_LOSS) { /* the loss window is segments: a small one is one, too (RFC 5681, 3.1) */
		uint32_t all = c->cwnd / c->mss, out = c->w->n_out - c->w->n_sacked - c->w->n_lost + c->w->n_rexmit;
		uint32_t segs = out < all ? all - out : 0;

		room = room < segs * c->mss ? room : segs * c->mss;
	}
	if (c->recover_flags & RF_TLP_DUE && room < c->mss)
		room = c->mss; /* the probe goes beside the window of congestion (RFC 8985, 7.3) */
	return room;
}

bool tcp_flight_probing(const struct tcp_conn *c)
{
	return c->recover_flags & (RF_TLP_DUE | RF_FRTO_NEW);
}

/* What is recovered from is not all acknowledged; a state ends when that is. */
bool recover_check(const struct tcp_conn *c)
{
	return c->w->ca_state <= CA_LOSS && (c->w->ca_state < CA_CWR || c->w->n_out == 0 ||
					     seq_lt(c->una, c->w->recover_seq + (c->w->ca_state == CA_CWR)));
}
