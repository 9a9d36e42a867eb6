/* src/stack/tcp_in.c: a segment arrives (RFC 9293, 3.10.7).
 *
 *	tcp_input()	whose is it? The batch's look-up knows (p->has_flow), else the heart is asked: a flow, a listener, nobody.
 *			A flow's user word says whether it is a connection or a record in TIME-WAIT.
 *	tcp_conn_input()	the order of RFC 9293, 3.10.7.3 and 3.10.7.4:
 *
 *		PAWS -> acceptable? -> RST -> SYN -> ACK -> timestamp kept -> urgent -> payload, FIN -> state
 *
 *	with RFC 5961's checks of RST, SYN and ACK, and RFC 7323's of timestamps. In ESTABLISHED, the next segment in order
 *	and the pure acknowledgment, which are nearly all, take a short way (header prediction).
 *
 * Nothing is sent from here but resets and challenge acknowledgments: the connection is put into st->ready.
 * What the segment says is a stranger's word: no ASSERT depends on it.
 */
#include <errno.h>

#include "stack/tcp_control.h"
#include "wire/checksum.h"

#define PAWS_IDLE_NS (UINT64_C(24) * 86400 * NS_PER_S) /* RFC 7323, 5.5 */

/* --- a packet becomes a segment --- */

static bool checksum_good(const struct packet *p)
{
	uint32_t sum = wire_sum_pseudo(&p->src, &p->dst, WIRE_PROTO_TCP, p->l4_len);
	uint32_t at = p->l4_head < p->l4_len ? p->l4_head : p->l4_len;

	sum = wire_sum(sum, p->l4, at);
	for (uint32_t i = 0; i < p->n_parts && at < p->l4_len; i++) {
		uint32_t n = p->parts[i].len;

		if (n > p->l4_len - at)
			n = p->l4_len - at;
		sum = wire_sum_at(sum, at, p->parts[i].data, n);
		at += n;
	}
	return at == p->l4_len && wire_sum_good(sum);
}

int tcp_seg_parse(struct berth_stack *st, const struct packet *p, struct tcp_seg *ret)
{
	struct wire_tcp t;
	int r;

	(void)st;
	/* All options must be in the first piece: the contract of struct berth_rx. */
	r = wire_tcp_parse_split(p->l4, p->l4_head < p->l4_len ? p->l4_head : p->l4_len, &t, &ret->opt);
	if (r < 0)
		return -EBADMSG;
	if (!p->csum_known && !checksum_good(p))
		return -EILSEQ;
	ret->p = p;
	ret->seq = t.seq;
	ret->ack = t.ack;
	ret->data_off = (uint32_t)(t.payload.data - p->l4);
	ret->len = p->l4_len - ret->data_off;
	ret->wnd = t.window;
	ret->urg = t.urgent;
	ret->flags = t.flags;
	ret->n_segs = 1;
	if (p->gso != BERTH_GSO_NONE && p->gso_size != 0 && ret->len > p->gso_size) {
		uint32_t n = (ret->len + p->gso_size - 1) / p->gso_size;

		ret->n_segs = (uint16_t)(n > UINT16_MAX ? UINT16_MAX : n);
	}
	ret->ce = (p->tos & WIRE_ECN_MASK) == WIRE_ECN_CE;
	return 0;
}

static struct port_tuple tuple_of(const struct tcp_seg *s)
{
	return (struct port_tuple){PORT_TCP, s->p->dst, s->p->src, tcp_seg_local_port(s), tcp_seg_peer_port(s)};
}

/* --- the steps of RFC 9293, 3.10.7.4 --- */

/* Is the timestamp older than one that was seen (RFC 7323, 5.3, R1)? */
static bool paws_old(const struct berth_stack *st, const struct tcp_conn *c, const struct tcp_seg *s)
{
	return c->f & TF_TS && c->f & TF_TS_RECENT && s->opt.has & WIRE_TCP_HAS_TS &&
	       seq_lt(s->opt.ts_val, c->ts_recent) && st->now_ns - c->w->ts_recent_ns < PAWS_IDLE_NS;
}

/* RFC 7323, 4.3, (3): kept when the segment covers what was acknowledged last. */
static void keep_timestamp(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!(c->f & TF_TS) || !(s->opt.has & WIRE_TCP_HAS_TS) || seq_lt(c->w->rcv_acked, s->seq))
		return;
	/* Either it is newer, or 24 days of silence made what is kept worthless. */
	if (c->f & TF_TS_RECENT && seq_lt(s->opt.ts_val, c->ts_recent) &&
	    st->now_ns - c->w->ts_recent_ns < PAWS_IDLE_NS)
		return;
	c->ts_recent = s->opt.ts_val;
	c->w->ts_recent_ns = st->now_ns;
	c->f |= TF_TS_RECENT;
}

static void reset_in(struct berth_stack *st, struct tcp_conn *c)
{
	int err = -ECONNRESET;

	st->n.tcp_rst_in++;
	if (c->state == TCP_SYN_RCVD && !(c->f & TF_PASSIVE))
		err = -ECONNREFUSED; /* a simultaneous open */
	else if (c->state == TCP_CLOSE_WAIT)
		err = -EPIPE; /* as Linux */
	if (c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT)
		st->n.tcp_estab_resets++;
	tcp_end(st, c, err);
}

/* First, second and fourth: may the segment be looked at further? */
static bool may_come_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	bool rst = s->flags & WIRE_TCP_RST;

	if (!rst && paws_old(st, c, s)) {
		st->n.tcp_paws_dropped++;
		/* An original that was overtaken by its copy is old, too: the D-SACK tells the sender so. */
		if (tcp_may_answer(st, c))
			tcp_rcv_refused(st, c, s);
		return false;
	}
	if (!tcp_rcv_acceptable(c, s)) {
		if (s->flags & WIRE_TCP_SYN && !rst)
			tcp_challenge_ack(st, c);
		else if (rst)
			st->n.tcp_out_of_window++;
		else if (s->len || s->flags & WIRE_TCP_FIN ? tcp_may_repeat(st, c) : tcp_may_answer(st, c))
			tcp_rcv_refused(st, c, s);
		return false;
	}
	if (rst) {
		/* RFC 5961, 3.2: only the very next sequence number is beyond doubt. */
		if (s->seq == c->rcv_nxt)
			reset_in(st, c);
		else
			tcp_challenge_ack(st, c);
		return false;
	}
	if (s->flags & WIRE_TCP_SYN) {
		tcp_challenge_ack(st, c); /* RFC 5961, 4.2 */
		return false;
	}
	return s->flags & WIRE_TCP_ACK;
}

void tcp_established(struct berth_stack *st, struct tcp_conn *c, uint64_t rtt_ns)
{
	tcp_set_state(st, c, TCP_ESTABLISHED);
	tcp_flight_established(st, c, rtt_ns);
	tcp_keep_update(st, c);
	if (!(c->f & TF_PASSIVE) || c->f & TF_FASTOPEN)
		event_add(st, tcp_index(st, c), BERTH_EV_OUT);
}

/* How long our SYN took, if it was sent once. */
static uint64_t handshake_rtt(struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_burst *b;

	if (c->w->burst_first == NIL || c->w->n_rtx != 0)
		return 0;
	b = slab_at(&st->tcp->bursts, c->w->burst_first);
	return b->lost | b->rexmit ? 0 : (uint64_t)(tcp_now_us(st) - b->sent_us) * 1000;
}

/* It leaves SYN-RECEIVED: one less of those that began with data. A client that asked for it and was called at the same time is
 * none of them. */
void tcp_fastopen_done(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->state == TCP_SYN_RCVD && c->f & TF_FASTOPEN && c->f & TF_PASSIVE)
		st->tcp->n_fastopen--;
}

/* Our SYN is acknowledged. Data that went with it (RFC 7413) and was not taken is new again. */
static void early_data_answered(struct berth_stack *st, struct tcp_conn *c)
{
	if (c->una != c->w->max) {
		tcp_flight_free(st, c);
		c->w->nxt = c->w->max = c->una;
		tcp_flight_init(st, c);
	} else if (c->w->max != c->iss + 1) {
		st->n.tcp_fast_open++;
	}
}

enum verdict { GO_ON, STOP };

/* Fifth: the ACK field of a segment in SYN-RECEIVED. */
static enum verdict ack_in_syn_rcvd(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	uint64_t rtt;

	if (!seq_in(s->ack, c->una + 1, c->w->max + 1)) {
		tcp_reset_for(st, s);
		return STOP;
	}
	c->soft_err = 0;
	rtt = handshake_rtt(st, c);
	c->snd_wl1 = s->seq - 1;
	c->snd_wl2 = s->ack;
	if (tcp_ack(st, c, s) & ACK_ENDED)
		return STOP;
	tcp_fastopen_done(st, c);
	early_data_answered(st, c);
	tcp_established(st, c, rtt);
	if (c->f & TF_FIN_QUEUED) /* closed while the handshake went on */
		tcp_set_state(st, c, TCP_FIN_WAIT_1);
	if (c->f & TF_PASSIVE && c->f & TF_IN_ACCEPT)
		event_add(st, c->s.listener, BERTH_EV_IN);
	return GO_ON;
}

/* Fifth, in the states after it. */
static enum verdict ack_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	unsigned bits;

	if (seq_lt(c->w->max, s->ack)) {
		tcp_challenge_ack(st, c); /* what was never sent: RFC 5961, 5.2 */
		return STOP;
	}
	if (seq_lt(s->ack, c->una)) {
		/* An old one says nothing new; a very old one is not from this peer (RFC 5961, 5.2), nor is one of before the first octet. */
		uint64_t acked = c->bytes_acked + (c->f & TF_FIN_SENT && c->una == c->w->max);

		if (c->una - s->ack > c->snd_wnd_max || c->una - s->ack > acked) {
			tcp_challenge_ack(st, c);
			return STOP;
		}
		return GO_ON;
	}
	c->soft_err = 0; /* the way is there */
	bits = tcp_ack(st, c, s);
	if (bits & ACK_ENDED)
		return STOP;
	if (bits)
		sock_ready(st, tcp_index(st, c));
	if (!(bits & ACK_FIN))
		return GO_ON;
	switch ((enum tcp_state_name)c->state) {
	case TCP_FIN_WAIT_1:
		tcp_set_state(st, c, TCP_FIN_WAIT_2);
		tcp_fin_wait_2(st, c);
		return GO_ON;
	case TCP_CLOSING:
		if (c->rcv_nxt != c->w->rcv_acked) /* its FIN, when ours is acknowledged in the same batch */
			tcp_ack_bare(st, c, tcp_bare_seq(c));
		tcp_set_state(st, c, TCP_TIME_WAIT);
		tcp_time_wait_enter(st, c);
		return STOP;
	case TCP_LAST_ACK:
		tcp_end(st, c, 0);
		return STOP;
	default:
		return GO_ON;
	}
}

/* Sixth: urgent data ends before the octet that the pointer names (RFC 6093), and the pointer is never believed beyond the segment
 * (S7). It counts though the window is zero (MUST-66). */
static void urgent_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t up = s->seq + (s->urg < s->len ? s->urg : s->len);

	if (s->urg == 0 || s->len == 0 ||
	    !tcp_state_in(c, TCP_IN(ESTABLISHED) | TCP_IN(FIN_WAIT_1) | TCP_IN(FIN_WAIT_2)) ||
	    !seq_lt(c->rcv_nxt, up) || (c->f & TF_URG_IN && !seq_lt(c->w->rcv_up, up)))
		return;
	c->w->rcv_up = up;
	c->f |= TF_URG_IN;
	event_add(st, tcp_index(st, c), BERTH_EV_PRI);
}

/* Eighth: the peer's FIN is in order. */
static void fin_in(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t index = tcp_index(st, c);
	uint32_t hup = c->s.flags & SOCK_SHUT_WR ? BERTH_EV_HUP : 0;

	if (c->state != TCP_ESTABLISHED)
		c->f |= TF_ACK_NOW;
	event_add(st, index, BERTH_EV_IN | BERTH_EV_RDHUP | hup);
	switch ((enum tcp_state_name)c->state) {
	case TCP_ESTABLISHED:
		tcp_set_state(st, c, TCP_CLOSE_WAIT);
		break;
	case TCP_FIN_WAIT_1:
		tcp_set_state(st, c, TCP_CLOSING);
		break;
	case TCP_FIN_WAIT_2:
		tcp_ack_bare(st, c, tcp_bare_seq(c)); /* the record that takes over knows only what to repeat */
		tcp_set_state(st, c, TCP_TIME_WAIT);
		tcp_time_wait_enter(st, c);
		return;
	default:
		break;
	}
	sock_ready(st, index);
}

/* Data for a program that reads no more: the peer must learn that it goes nowhere (RFC 9293, 3.6.1; RFC 1122, 4.2.2.13). */
static bool nobody_reads(const struct tcp_conn *c, const struct tcp_seg *s)
{
	return c->s.flags & SOCK_SHUT_RD && c->s.flags & SOCK_SHUT_WR && s->len != 0 &&
	       tcp_state_in(c, TCP_IN(FIN_WAIT_1) | TCP_IN(FIN_WAIT_2)) && seq_lt(c->rcv_nxt, s->seq + s->len);
}

/* Sixth to eighth. */
static void text_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	if (nobody_reads(c, s)) {
		tcp_reset_for(st, s); /* at the number that the peer itself says it expects */
		st->n.tcp_aborts++;
		tcp_end(st, c, -ECONNRESET);
		return;
	}
	if (s->flags & WIRE_TCP_URG)
		urgent_in(st, c, s);
	/* After the peer's FIN only what it sends again is answered. */
	if ((s->len || s->flags & WIRE_TCP_FIN) && (!(c->f & TF_FIN_RCVD) || seq_lt(s->seq, c->rcv_nxt)) &&
	    tcp_rcv_segment(st, c, s)) {
		fin_in(st, c);
		return;
	}
	if (c->f & TF_ACK_NOW)
		sock_ready(st, tcp_index(st, c));
}

static void synchronized_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!may_come_in(st, c, s))
		return;
	c->last_in_ns = st->now_ns;
	c->n_keep = 0;
	if (c->state == TCP_SYN_RCVD && ack_in_syn_rcvd(st, c, s) == STOP)
		return;
	else if (c->state != TCP_SYN_RCVD && ack_in(st, c, s) == STOP)
		return;
	keep_timestamp(st, c, s);
	c->peer_uto = tcp_uto_heard(c, &s->opt, c->peer_uto);
	if (c->f & TF_ECN)
		tcp_ecn_in(st, c, s);
	text_in(st, c, s);
}

/* --- SYN-SENT (RFC 9293, 3.10.7.3) --- */

#define SYN_SOON_NS UINT64_C(4000000)

/* The peer's SYN: where its octets begin, and what it wants. */
static void syn_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	c->irs = s->seq;
	tcp_rcv_init(st, c);
	tcp_options_agree(st, c, s);
}

/* tcp_out.c says what we are to say in SYN-RECEIVED: our SYN as a SYN-ACK. */
static void say_syn_ack(struct berth_stack *st, struct tcp_conn *c)
{
	c->f |= TF_ACK_NOW;
	sock_ready(st, tcp_index(st, c));
}

/* Both called each other (RFC 9293, 3.5, figure 7): our SYN goes out again as a SYN-ACK. Data that went with it stays in flight: the peer
 * may have taken it. */
static void simultaneous(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	syn_in(st, c, s);
	c->snd_wnd = c->snd_wnd_max = s->wnd;
	c->snd_wl1 = s->seq;
	tcp_set_state(st, c, TCP_SYN_RCVD);
	say_syn_ack(st, c);
}

static void syn_sent_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	bool ack = s->flags & WIRE_TCP_ACK;
	struct tcp_seg rest;
	uint64_t rtt;

	if (ack && !seq_in(s->ack, c->iss + 1, c->w->max + 1)) {
		tcp_reset_for(st, s); /* never to an RST */
		/* Whoever is there will have forgotten now what it took our SYN for: it is sent again soon (as Linux), once. */
		if (c->w->n_rtx == 0 && c->w->nxt != c->iss)
			tcp_deadline_set(st, c, TCP_AT_RTX, st->now_ns + SYN_SOON_NS);
		return;
	}
	if (s->flags & WIRE_TCP_RST) {
		if (!ack)
			return; /* blind */
		st->n.tcp_rst_in++;
		tcp_end(st, c, -ECONNREFUSED);
		return;
	}
	if (!(s->flags & WIRE_TCP_SYN))
		return;
	c->last_in_ns = st->now_ns;
	if (!ack) {
		simultaneous(st, c, s);
		return;
	}
	rtt = handshake_rtt(st, c);
	syn_in(st, c, s);
	tcp_fastopen_answered(st, c, s);
	c->snd_wl1 = s->seq - 1;
	c->snd_wl2 = c->una;
	if (tcp_ack(st, c, s) & ACK_ENDED)
		return;
	early_data_answered(st, c);
	tcp_established(st, c, rtt);
	c->f |= TF_ACK_NOW;
	sock_ready(st, tcp_index(st, c));
	rest = *s;
	rest.seq++;
	rest.flags &= (uint16_t)~WIRE_TCP_SYN;
	text_in(st, c, &rest);
}

/* In a simultaneous open the peer's SYN-ACK comes with a SYN that we have (RFC 9293, figure 7, line 5). */
static bool is_crossed_syn_ack(const struct tcp_conn *c, const struct tcp_seg *s)
{
	return c->state == TCP_SYN_RCVD &&
	       (s->flags & (WIRE_TCP_SYN | WIRE_TCP_ACK | WIRE_TCP_RST)) == (WIRE_TCP_SYN | WIRE_TCP_ACK) &&
	       s->seq == c->irs && s->len == 0 && seq_in(s->ack, c->iss + 1, c->w->max + 1);
}

/* The SYN that made this connection, again. */
static bool is_repeated_syn(const struct tcp_conn *c, const struct tcp_seg *s)
{
	return c->state == TCP_SYN_RCVD && c->una == c->iss && c->w->nxt != c->iss && s->seq == c->irs &&
	       (s->flags & (WIRE_TCP_SYN | WIRE_TCP_ACK | WIRE_TCP_RST | WIRE_TCP_FIN)) == WIRE_TCP_SYN;
}

/* --- header prediction --- */

/* The next segment in order, or a pure acknowledgment, of a connection that is open in both directions: no check of
 * 3.10.7.4 can fail. */
static bool is_expected(const struct berth_stack *st, const struct tcp_conn *c, const struct tcp_seg *s)
{
	return c->state == TCP_ESTABLISHED &&
	       (s->flags & ~(WIRE_TCP_PSH | WIRE_TCP_ECE | WIRE_TCP_CWR)) == WIRE_TCP_ACK && s->seq == c->rcv_nxt &&
	       s->len <= c->rcv_adv - c->rcv_nxt && seq_in(s->ack, c->una, c->w->max + 1) &&
	       !(s->opt.has & WIRE_TCP_HAS_USER_TIMEOUT) && !paws_old(st, c, s);
}

static void expected_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	unsigned bits;

	c->last_in_ns = st->now_ns;
	c->n_keep = 0;
	bits = tcp_ack(st, c, s);
	if (bits & ACK_ENDED)
		return;
	keep_timestamp(st, c, s);
	if (c->f & TF_ECN)
		tcp_ecn_in(st, c, s);
	if (s->len != 0 && tcp_rcv_segment(st, c, s)) {
		fin_in(st, c); /* it came early, and waited for this segment */
		return;
	}
	if (bits || c->f & TF_ACK_NOW)
		sock_ready(st, tcp_index(st, c));
}

void tcp_conn_input(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp_seg crossed;

	if (!tcp_work_take(st, c))
		return; /* its sender has it */
	c->segs_in += s->n_segs;
	c->data_segs_in += s->len ? s->n_segs : 0;
	if (is_expected(st, c, s)) {
		expected_in(st, c, s);
	} else if (c->state == TCP_SYN_SENT) {
		syn_sent_in(st, c, s);
	} else if (is_repeated_syn(c, s)) {
		if (tcp_may_answer(st, c))
			say_syn_ack(st, c); /* it was lost */
	} else if (is_crossed_syn_ack(c, s)) {
		crossed = *s;
		crossed.seq++;
		crossed.flags &= (uint16_t)~WIRE_TCP_SYN;
		synchronized_in(st, c, &crossed);
	} else {
		synchronized_in(st, c, s);
	}
}

/* --- whose is it? --- */

/* The batch was looked up before its first segment was worked on: is what was found still so? A claim outlives its connection where the
 * program bound it, and connect() failed. */
static bool flow_is_fresh(struct berth_stack *st, const struct packet *p)
{
	struct port_ref now = PORT_REF_NONE;

	if (p->flow_sock & SOCK_ID_TIME_WAIT)
		now = tcp_wait_claim(st, p->flow_sock & ~SOCK_ID_TIME_WAIT);
	else if (slab_used(&st->conns, p->flow_sock) && tcp_at(st, p->flow_sock)->state != TCP_CLOSED)
		now = tcp_at(st, p->flow_sock)->s.claim;
	return now.generation != 0 && now.slot == p->flow.slot && now.generation == p->flow.generation;
}

/* The claim's user word: a connection, a record in TIME-WAIT; NIL: nobody's. */
static uint32_t flow_of(struct berth_stack *st, const struct tcp_seg *s)
{
	struct port_claim claim;
	struct port_tuple t;
	struct port_ref ref;

	if (s->p->has_flow && flow_is_fresh(st, s->p))
		return s->p->flow_sock;
	t = tuple_of(s);
	if (port_demux_flow(&st->ports, &t, &ref) < 0 || port_table_get(&st->ports, ref, &claim) < 0)
		return NIL;
	return (uint32_t)claim.user;
}

/* A socket that is bound to an interface hears that one only (SO_BINDTODEVICE). */
static bool hears(struct berth_stack *st, const struct packet *p, uint32_t user)
{
	uint8_t only = tcp_at(st, user)->s.bind_iface;

	return !only || only == p->iface + 1u;
}

/* Does somebody listen for new connections of this four-tuple? */
static bool has_listener(struct berth_stack *st, const struct tcp_seg *s)
{
	struct port_tuple t = tuple_of(s);
	struct port_ref ref;

	return port_demux_listener(&st->ports, &t, (uint32_t)s->p->iface + 1, &ref) == 0;
}

static void to_listener(struct berth_stack *st, const struct tcp_seg *s, uint32_t iss_min)
{
	struct port_tuple t = tuple_of(s);
	struct port_claim claim;
	struct port_ref ref;

	if (port_demux_listener(&st->ports, &t, (uint32_t)s->p->iface + 1, &ref) < 0 ||
	    port_table_get(&st->ports, ref, &claim) < 0 || !slab_used(&st->conns, (uint32_t)claim.user)) {
		if (s->flags & WIRE_TCP_RST)
			st->n.tcp_rst_in++;
		tcp_reset_for(st, s);
		return;
	}
	tcp_listen_from(st, tcp_at(st, (uint32_t)claim.user), s, iss_min);
}

void tcp_input(struct berth_stack *st, const struct packet *p)
{
	struct tcp_seg s;
	uint32_t user, iss_min = 0;
	int r = tcp_seg_parse(st, p, &s);

	if (r < 0) {
		if (r == -EILSEQ)
			st->n.dropped_checksum++;
		else
			st->n.dropped_malformed++;
		return;
	}
	st->n.tcp_segs_in += s.n_segs;
	if (p->not_unicast) { /* MUST-57: a connection has two ends */
		st->n.dropped_policy++;
		return;
	}
	user = flow_of(st, &s);
	if (user != NIL && user & SOCK_ID_TIME_WAIT) {
		if (tcp_wait_input(st, user & ~SOCK_ID_TIME_WAIT, &s, has_listener(st, &s), &iss_min))
			to_listener(st, &s, iss_min);
	} else if (user != NIL && slab_used(&st->conns, user) && hears(st, p, user)) {
		tcp_conn_input(st, tcp_at(st, user), &s);
	} else {
		to_listener(st, &s, 0);
	}
}
