/* src/stack/tcp_rack.c: RACK-TLP (RFC 8985): loss by time instead of by counting, and probes for the tail.
 *
 * RACK. Of what arrived, the board tells the segment that was sent last (RACK.xmit_ts, end_seq). What was sent before it and has not
 * arrived within a round trip plus a reordering window since it was sent is lost; what is younger is looked at again when that time has come
 * (mode RTX_REORDER). The reordering window is 0 until reordering was seen and while three segments are already sacked; then
 * a quarter of the least round trip, times rack_reo_mult, which grows with each round trip in which D-SACKs tell that we
 * sent again in vain, and falls back after 16 recoveries without.
 *
 * Segments are first sent in order of sequence, so the walk ends at the first burst that was sent after RACK.xmit_ts: nothing
 * behind it can be judged. Copies are judged by the latest time at which their burst sent one: never too early.
 *
 * TLP. When an acknowledgment is overdue by one round trip, one segment is sent beyond the window: a new one if there is one, else the
 * last one again. Its acknowledgment makes the losses before it visible to RACK, and saves the timeout. The episode ends when
 * tlp_end_seq is acknowledged: by a D-SACK (the copy was not needed), or by plain acknowledgment of a copy: then it repaired a
 * loss that nobody saw, and the window is reduced once (7.4).
 */
#include "stack/tcp_data.h"
#include "stack/tcp_flight.h"

#define REORDERING_MAX 300 /* segments, as Linux: it is only told, RACK needs no more than that there was some */
#define REO_PERSIST 16
#define REO_MULT_MAX 255
#define TLP_ALONE_US ((uint32_t)(TCP_RTO_MIN_NS / 1000)) /* WCDelAckT: the peer's delayed acknowledgment, at most */
#define TLP_SLACK_US 2000

/* RFC 8985, 6.2, step 4. */
static uint32_t reo_wnd(const struct tcp_conn *c)
{
	uint64_t wnd;

	if (!(c->recover_flags & RF_REORDER) && (c->w->ca_state >= CA_RECOVERY || c->w->n_sacked >= TCP_REORDERING))
		return 0;
	wnd = (uint64_t)c->min_rtt_us / 4 * c->rack_reo_mult;
	return wnd < c->srtt_us ? (uint32_t)wnd : c->srtt_us;
}

void reordering_seen(struct tcp_conn *c, uint32_t octets)
{
	uint32_t segs = (octets + c->mss - 1) / c->mss;

	if (segs > REORDERING_MAX)
		segs = REORDERING_MAX;
	if (segs > TCP_REORDERING && segs > c->reordering)
		c->reordering = (uint16_t)segs;
	c->recover_flags |= RF_REORDER;
	if (c->reord_seen < UINT16_MAX)
		c->reord_seen++;
}

/* Steps 1 to 4: round trip, the latest sent that arrived, reordering. */
void rack_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, const struct flight_ack *a)
{
	if (a->dsack_segs && (!(c->recover_flags & RF_DSACK_ROUND) || seq_lt(c->w->rack_dsack_seq, c->una))) {
		if (c->rack_reo_mult < REO_MULT_MAX)
			c->rack_reo_mult++;
		c->rack_reo_persist = REO_PERSIST;
		c->w->rack_dsack_seq = c->w->max;
		c->recover_flags |= RF_DSACK_ROUND;
	}
	if (a->reorder) {
		reordering_seen(c, a->reorder_octets);
	}
	if (!a->rack)
		return;
	if (a->rack_rexmit) {
		/* Was it the original or the copy that arrived? Not the copy, if that would have been too fast, or if una moved and the
		 * timestamp echoed is older than any copy (out of order, RFC 7323 echoes an older one anyway). */
		if (a->now_us - a->rack_last_us < c->min_rtt_us)
			return;
		if (a->acked > 0 && c->f & TF_TS && s->opt.has & WIRE_TCP_HAS_TS && c->recover_flags & RF_REXMITTED &&
		    seq_lt(s->opt.ts_ecr, c->w->rexmit_ts))
			return;
	}
	(void)st;
	c->w->rack_rtt_us = a->rack_rtt_us ? a->rack_rtt_us : 1; /* step 2 takes each one's, so the last counts */
	if (c->recover_flags & RF_RACK &&
	    (us_after(c->w->rack_sent_us, a->rack_us, a->now_us) ||
	     (c->w->rack_sent_us == a->rack_us && !seq_lt(c->w->rack_end_seq, a->rack_end))))
		return;
	c->recover_flags |= RF_RACK;
	c->w->rack_sent_us = a->rack_us;
	c->w->rack_end_seq = a->rack_end;
}

/* Was a segment that was sent at us and ends at end sent before the latest that arrived? In the same microsecond sequence tells,
 * but not of a copy: new segments may have left before it. */
static bool before_latest(const struct tcp_conn *c, uint32_t us, uint32_t end, bool copy, uint32_t now_us)
{
	return us_after(c->w->rack_sent_us, us, now_us) ||
	       (us == c->w->rack_sent_us && !copy && seq_lt(end, c->w->rack_end_seq));
}

/* Step 5, of one burst: returns in how many us the youngest candidate is due. */
static uint32_t detect(struct tcp_conn *c, struct tcp_burst *b, uint32_t now_us, uint32_t wnd_us)
{
	uint64_t open = board_all(b) & ~board_sacked(b) & ~(b->lost & ~b->rexmit), lost = 0;
	/* Times within a burst are estimates: good enough to order its own segments, not to say which side of a retransmission
	 * that was sent meanwhile they are on. Then the last one's time, which is exact, is the one that makes us wait. */
	bool own = seq_lt(b->seq, c->w->rack_end_seq) && seq_le(c->w->rack_end_seq, b->seq + b->len);
	uint32_t again_us = 0;

	while (open) {
		unsigned i = (unsigned)__builtin_ctzll(open);
		bool copy = b->rexmit >> i & 1;
		uint32_t us = copy ? board_rexmit_last_us(b, now_us) : board_sent_us(b, own ? i : b->n - 1u);
		/* Nothing was sent later than now, so an age has all 32 bits: half an hour, when the program slept, is not before it. */
		uint32_t age_us = now_us - us, wait_us = c->w->rack_rtt_us + wnd_us;

		open &= open - 1;
		if (!before_latest(c, us, board_to(b, i), copy, now_us))
			continue;
		if (age_us >= wait_us)
			lost |= UINT64_C(1) << i;
		else if (wait_us - age_us > again_us)
			again_us = wait_us - age_us;
	}
	if (lost)
		board_lose(c, b, lost);
	return again_us;
}

uint32_t rack_detect(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t now_us = tcp_now_us(st), wnd_us = reo_wnd(c), again_us = 0;

	if (!(c->recover_flags & RF_RACK) || c->w->n_out == 0)
		return 0;
	for (uint32_t i = c->w->burst_first; i != NIL; i = burst_at(st, i)->next) {
		struct tcp_burst *b = burst_at(st, i);
		uint32_t us;

		if (us_after(b->sent_us, c->w->rack_sent_us, now_us))
			break;
		us = detect(c, b, now_us, wnd_us);
		if (us > again_us)
			again_us = us;
	}
	return again_us;
}

void rack_timer_due(struct berth_stack *st, struct tcp_conn *c)
{
	int32_t before = flight_to_resend(c);
	uint32_t again_us = rack_detect(st, c);

	if (flight_to_resend(c) > before)
		recover_lost(st, c);
	else
		c->w->rtx_mode = RTX_REORDER;
	if (again_us > 0) {
		c->w->rtx_mode = RTX_REORDER;
		tcp_deadline_set(st, c, TCP_AT_RTX, st->now_ns + (uint64_t)again_us * 1000);
	} else {
		recover_arm(st, c, true, true);
	}
}

/* --- tail loss probes --- */

bool tlp_may(const struct tcp_conn *c)
{
	return c->f & TF_SACK && c->w->ca_state <= CA_CWR && !c->w->n_sacked && !c->w->n_lost && c->srtt_us != 0 &&
	       !(c->recover_flags & RF_TLP_DUE) && c->state != TCP_SYN_SENT && c->state != TCP_SYN_RCVD;
}

/* Can the last segment be repeated? Not while its copy is in flight (also after an undo), and not when it is larger than what goes now:
 * the path became narrower, or it was to find out whether it is wider (tcp_mtu.c). Who waited for a probe that cannot go would wait
 * for the RTO after that. */
static bool last_may_go(const struct berth_stack *st, const struct tcp_conn *c, uint32_t len_max)
{
	const struct tcp_burst *b;
	unsigned i;

	if (c->w->burst_last == NIL)
		return false;
	b = burst_at(st, c->w->burst_last);
	i = b->n - 1u;
	if (board_sacked(b) >> i & 1 || b->rexmit >> i & 1)
		return false;
	return flight_in_window(c, board_from(b, i)) &&
	       b->seq + b->len - seq_max(board_from(b, i), c->una) <= len_max + (b->flags & BURST_FIN ? 1u : 0u);
}

static bool probe_may_go(struct berth_stack *st, struct tcp_conn *c)
{
	return (flight_has_new(c) && tcp_flight_can_send(st, c)) || last_may_go(st, c, c->mss);
}

bool tlp_arm(struct berth_stack *st, struct tcp_conn *c, uint64_t rto_ns)
{
	uint64_t pto_us, rto_us = rto_ns / 1000;

	/* While one is out no other goes: then this waits as long, and what is left of the RTO after it (tlp_due()). */
	if (!tlp_may(c) || (!(c->recover_flags & RF_TLP) && !probe_may_go(st, c)))
		return false;
	pto_us = 2 * (uint64_t)c->srtt_us + (c->w->n_out == 1 ? TLP_ALONE_US : TLP_SLACK_US);
	if (rto_us && pto_us > rto_us) /* one that is over already does not make the probe go at once (as Linux) */
		pto_us = rto_us;
	c->w->rtx_mode = RTX_TLP;
	tcp_deadline_set(st, c, TCP_AT_RTX, st->now_ns + pto_us * 1000);
	return true;
}

void tlp_due(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->recover_flags & RF_TLP || !probe_may_go(st, c)) { /* one at a time; and the RTO has run all the time */
		recover_rto(st, c);
		return;
	}
	c->recover_flags |= RF_TLP_DUE;
	st->n.tcp_tlp++;
	c->w->rtx_mode = RTX_RTO; /* whether the probe can go or not */
	tcp_deadline_set(st, c, TCP_AT_RTX, st->now_ns + rtt_timeout_ns(c));
	sock_ready(st, tcp_index(st, c));
}

/* New data, or a FIN, for a probe. Neither Nagle nor a cork holds it back, as on Linux: it is about what is in flight. */
bool flight_has_new(const struct tcp_conn *c)
{
	uint32_t end = tcp_tx_end(c), unsent = seq_lt(c->w->nxt, end) ? end - c->w->nxt : 0;
	uint32_t len = unsent < c->mss ? unsent : c->mss;

	if (!unsent && c->f & TF_FIN_QUEUED && !(c->f & TF_FIN_SENT))
		len = 1;
	return len > 0 && c->snd_wnd >= c->w->nxt - c->una + len;
}

bool tlp_rexmit(struct berth_stack *st, struct tcp_conn *c, uint32_t len_max, struct tcp_send *ret)
{
	const struct tcp_burst *b;
	unsigned i;

	if (flight_has_new(c) && tcp_flight_can_send(st, c))
		return false;
	if (!last_may_go(st, c, len_max)) {
		c->recover_flags &= (uint16_t)~RF_TLP_DUE;
		return false;
	}
	b = burst_at(st, c->w->burst_last);
	i = b->n - 1u;
	*ret = (struct tcp_send){.seq = seq_max(board_from(b, i), c->una), .burst = c->w->burst_last, .probe = true};
	ret->len = b->seq + b->len - ret->seq;
	ret->segs = UINT64_C(1) << i;
	return true;
}

void tlp_sent(struct berth_stack *st, struct tcp_conn *c, bool rexmit)
{
	const struct tcp_burst *b = burst_at(st, c->w->burst_last);

	c->recover_flags &= (uint16_t) ~(RF_TLP_DUE | RF_TLP_REXMIT | RF_TLP_DSACK);
	c->recover_flags |= RF_TLP | (rexmit ? RF_TLP_REXMIT : 0);
	c->w->tlp_end_seq = b->seq + b->len;
	c->w->rtx_mode = RTX_RTO;
	tcp_deadline_set(st, c, TCP_AT_RTX, st->now_ns + rtt_timeout_ns(c));
}

/* RFC 8985, 7.4: how the episode ends. */
void tlp_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, const struct flight_ack *a)
{
	if (!(c->recover_flags & RF_TLP) || seq_lt(s->ack, c->w->tlp_end_seq))
		return;
	if (!(c->recover_flags & RF_TLP_REXMIT)) {
		c->recover_flags &= (uint16_t)~RF_TLP;
	} else if (c->recover_flags & RF_TLP_DSACK || (a->dup && !a->sacked)) {
		c->recover_flags &= (uint16_t)~RF_TLP; /* original and copy have arrived */
	} else if (seq_lt(c->w->tlp_end_seq, s->ack)) {
		c->recover_flags &= (uint16_t)~RF_TLP; /* the copy repaired a loss that nobody saw */
		if (c->w->ca_state < CA_CWR) {
			c->ssthresh = cc_of(c)->on_loss(c);
			c->cwnd = c->ssthresh;
		}
	}
	(void)st;
}
