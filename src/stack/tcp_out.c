/* src/stack/tcp_out.c: what a connection sends next.
 *
 * berth_stack_output() asks; each frame is the first of these that there is:
 *	SYN, SYN-ACK	in SYN-SENT and SYN-RECEIVED, while nxt == iss
 *	retransmission	what tcp_flight_rexmit() says, whole segments as they were sent
 *	new data	as much as all of these allow: what the program wrote, the peer's window, congestion (tcp_flight_room()), pacing,
 *			one super-frame (64 segments, the interface's limit); then Nagle and silly windows have their say; FIN rides on the last octet
 *	probe		a segment below una, when tcp_persist.c wants an answer
 *	acknowledgment	when TF_ACK_NOW is set and nothing above carried it
 * and when there is none the socket leaves st->ready. What makes it come back: an acknowledgment, the program, a timer.
 *
 * Is a segment worth sending (RFC 9293, 3.8.6.2.1 and 3.7.4)? A full one always. Less than that when it is all there is and
 * either BERTH_NODELAY, or nothing small is in flight (Nagle's rule as Minshall changed it: a tail behind full segments may go at
 * once, the next small one waits for its acknowledgment), or FIN goes with it; and when half of the largest window the peer ever
 * offered is filled. Corked: only full ones. What stays behind with nothing in flight is tcp_persist.c's to let go.
 *
 * PSH is on the segment that ends what the program wrote, and with BERTH_TRAIN on the last one of each train (tcp_train.c). Old and new octets never share a frame, so a super-frame is one burst.
 */
#include "stack/tcp_data.h"

#include <errno.h>

#define BURST_SEGMENTS 64u

/* How a go over the connection went. */
struct go {
	struct berth_tx *v; /* NULL: the next hop does not answer: frames are counted as sent and lost */
	uint32_t frame_max; /* payload of a frame */
	bool may_gso;
};

static bool is4(const struct tcp_conn *c)
{
	return port_addr_is4(&c->w->peer);
}

static void put(struct berth_stack *st, struct tcp_conn *c, struct go *g, const struct tcp_frame *f)
{
	if (g->v)
		tcp_emit_frame(st, c, f, g->v);
	else if (c->state != TCP_SYN_SENT)
		tcp_rcv_acked(st, c);
}

/* Payload that one frame may have. */
static void measure_frame(struct berth_stack *st, const struct tcp_conn *c, struct go *g)
{
	uint32_t max, headers = (is4(c) ? 20u : 40u) + WIRE_TCP_LEN_MAX;

	g->may_gso = ip_iface_can(st, c->w->route.iface, is4(c) ? BERTH_IF_TSO4 : BERTH_IF_TSO6);
	g->frame_max = 0;
	if (!g->may_gso)
		return;
	max = ip_iface_gso_max(st, c->w->route.iface);
	g->frame_max = max > headers ? max - headers : 0;
}

/* len octets in segments of mss, as far as one frame goes. */
static uint32_t fit(const struct go *g, uint32_t len, uint32_t mss)
{
	uint32_t most = g->frame_max / mss;

	if (most > BURST_SEGMENTS)
		most = BURST_SEGMENTS;
	if (most < 1)
		most = 1;
	return len < most * mss ? len : most * mss;
}

static uint16_t push_flag(const struct tcp_conn *c, uint32_t seq, uint32_t end)
{
	if (c->f & TF_PUSH && seq_lt(seq, c->w->snd_push) && seq_le(c->w->snd_push, end))
		return WIRE_TCP_PSH;
	return end == tcp_tx_end(c) && !(c->f & TF_MORE) ? WIRE_TCP_PSH : 0;
}

static uint16_t urgent_flag(const struct tcp_conn *c, uint32_t seq)
{
	return c->f & TF_URG_OUT && seq_lt(seq, c->w->snd_up) ? WIRE_TCP_URG : 0;
}

static void sent(struct berth_stack *st, struct tcp_conn *c, uint32_t seq, uint32_t len, uint16_t mss, uint8_t burst)
{
	c->w->nxt = seq + len;
	c->w->max = seq_max(c->w->max, c->w->nxt);
	tcp_tx_tell(st, c); /* less is unsent: that may be what was waited for */
	tcp_flight_sent(st, c, seq, len, mss, burst);
}

static bool send_syn(struct berth_stack *st, struct tcp_conn *c, struct go *g)
{
	struct tcp_frame f = {.seq = c->iss, .flags = WIRE_TCP_SYN, .mss = c->mss};

	if (c->w->nxt != c->iss || !tcp_flight_can_send(st, c))
		return false;
	f.flags |= tcp_ecn_out_flags(c, false);
	f.len = st->tcp->bursts.n_max - st->tcp->bursts.n_used > 1 ? tcp_fastopen_len(st, c) : 0;
	if (f.len > f.mss)
		f.mss = (uint16_t)f.len; /* one segment */
	put(st, c, g, &f);
	sent(st, c, c->iss, 1, c->mss, BURST_SYN);
	if (f.len) {
		sent(st, c, c->iss + 1, f.len, f.mss, 0);
		c->data_segs_out++;
	}
	return true;
}

#define JOIN_MAX 8 /* records that one repeated segment takes from */

/* What is sent again is joined by what comes after it, as far as one segment and the congestion window go, and by the FIN: who has to repeat much of little needs fewer
 * segments (RFC 9293, 3.8.6: repacketization). v[0] is what goes in any case; returns how many go. */
static unsigned join(struct berth_stack *st, const struct tcp_conn *c, struct tcp_send v[JOIN_MAX])
{
	uint32_t len = v[0].len, pipe = tcp_flight_pipe(c), most = c->cwnd > pipe ? c->cwnd - pipe : 0;
	unsigned n = 1;

	if (most > c->mss)
		most = c->mss;
	while (n < JOIN_MAX && tcp_flight_join(st, c, &v[n - 1], most > len ? most - len : 0, &v[n]))
		len += v[n++].len;
	return n;
}

static bool send_again(struct berth_stack *st, struct tcp_conn *c, struct go *g)
{
	struct tcp_frame f = {.rexmit = true};
	uint32_t fin_seq = tcp_tx_end(c), end;
	struct tcp_send v[JOIN_MAX];
	const struct tcp_burst *b;
	unsigned n = 1;

	if (c->w->n_rtx)
		tcp_mtu_timeouts(st, c);
	if (!tcp_flight_rexmit(st, c, g->frame_max > c->mss ? g->frame_max : c->mss, &v[0]))
		return false;
	if ((c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD) && v[0].seq != c->iss)
		return false; /* data that went with the SYN waits for its answer */
	if (c->w->mtu_probe && seq_in(c->w->mtu_probe_seq, v[0].seq, v[0].seq + v[0].len))
		tcp_mtu_probe_resent(st, c);
	f.seq = v[0].seq;
	f.len = v[0].len;
	f.mss = ((const struct tcp_burst *)slab_at(&st->tcp->bursts, v[0].burst))->mss;
	if (f.mss > c->mss || f.len <= c->mss)
		f.mss = c->mss; /* small ones that fit together go as one, on every device */
	if (v[0].seq == c->iss && c->una == c->iss && (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)) {
		f.flags = WIRE_TCP_SYN | tcp_ecn_out_flags(c, false);
		f.len = 0;
	} else {
		if (f.len <= c->mss)
			n = join(st, c, v);
		end = v[n - 1].seq + v[n - 1].len;
		f.len = end - f.seq;
		if (c->f & TF_FIN_SENT && end == fin_seq + 1) {
			f.flags |= WIRE_TCP_FIN;
			f.len--;
		}
		f.flags |= push_flag(c, f.seq, f.seq + f.len) | urgent_flag(c, f.seq) | tcp_ecn_out_flags(c, false);
		for (unsigned i = 0; i < n; i++) {
			b = slab_at(&st->tcp->bursts, v[i].burst);
			if (b->flags & BURST_PUSH && v[i].seq + v[i].len == b->seq + b->len)
				f.flags |= WIRE_TCP_PSH;
		}
		if (c->train && f.len > f.mss)
			f.flags |= WIRE_TCP_PSH;
		if (!f.len)
			f.flags &= (uint16_t)~WIRE_TCP_PSH;
		c->data_segs_out += (f.len + f.mss - 1) / f.mss;
	}
	put(st, c, g, &f);
	c->bytes_rexmit += f.len;
	for (unsigned i = 0; i < n; i++)
		tcp_flight_rexmitted(st, c, &v[i]);
	return true;
}

/* Nagle, Minshall, cork, silly windows: may len octets go that are less than a full segment? all: the peer's window and congestion let all
 * that is there go. */
static bool small_may_go(const struct tcp_conn *c, uint32_t len, bool all, bool fin)
{
	bool small_in_flight = seq_lt(c->una, c->w->snd_small) && seq_le(c->w->snd_small, c->w->nxt);

	if (c->f & TF_PROBE || tcp_flight_probing(c))
		return true; /* it waited long enough: tcp_persist.c; or it asks what became of the flight */
	if (all && fin)
		return true;
	if (c->s.flags & SOCK_CORK || (all && c->f & TF_MORE))
		return false;
	if (all)
		return c->s.flags & SOCK_NODELAY || !small_in_flight || c->una == c->w->nxt;
	return len >= c->snd_wnd_max / 2 && (c->s.flags & SOCK_NODELAY || c->una == c->w->nxt);
}

/* What of the peer's window is unused. */
static uint32_t usable(const struct tcp_conn *c)
{
	uint32_t edge = c->una + c->snd_wnd;

	return seq_lt(c->w->nxt, edge) ? edge - c->w->nxt : 0;
}

/* How much new data may go in a frame of f's segments, or as a probe of a larger one; 0: none now. *ret_fin: FIN goes with it. */
static uint32_t choose(struct berth_stack *st, struct tcp_conn *c, const struct go *g, struct tcp_frame *f,
		       bool *ret_fin)
{
	uint32_t mss = f->mss;
	uint32_t data_end = tcp_tx_end(c), left = seq_lt(c->w->nxt, data_end) ? data_end - c->w->nxt : 0;
	uint32_t window = usable(c), len = left < window ? left : window, room, quantum;
	bool fin = c->f & TF_FIN_QUEUED && !(c->f & TF_FIN_SENT);
	uint64_t at_ns;

	*ret_fin = false;
	if (!left && !fin)
		return 0;
	room = tcp_flight_room(st, c);
	if (len > room) {
		len = room;
		c->f |= TF_CC_LIMITED;
		if (len < mss && len < left && c->una != c->w->nxt)
			return 0; /* acknowledgments will make it a full one */
	}
	fin = fin && len == left && window > len && (len || room);
	if (!len && !fin)
		return 0;
	quantum = tcp_pace_quantum(st, c, &at_ns);
	if (!quantum) {
		tcp_deadline_set(st, c, TCP_AT_PACE, at_ns);
		return 0;
	}
	if (c->mtu_low && !f->flags) {
		uint16_t probe = tcp_mtu_probe_size(st, c, len);

		if (probe) {
			tcp_mtu_probe_sent(c, f->seq, probe);
			return f->mss = probe;
		}
	}
	if (quantum < mss)
		quantum = mss;
	if (len > quantum)
		len = quantum;
	len = fit(g, len, mss);
	if (c->train && len)
		len = tcp_train(st, c, len, left, mss);
	if (!len && !fin)
		return 0;
	fin = fin && len == left;
	if (len % mss && !small_may_go(c, len % mss, len == left, fin))
		len -= len % mss;
	fin = fin && len == left;
	*ret_fin = fin;
	return len;
}

static bool send_new(struct berth_stack *st, struct tcp_conn *c, struct go *g)
{
	struct tcp_frame f = {.seq = c->w->nxt, .mss = tcp_emit_mss(st, c)};
	struct go one = {.frame_max = 0};
	uint16_t push;
	bool fin;

	if (!c->tx.data || !tcp_flight_can_send(st, c))
		return false;
	f.flags = urgent_flag(c, f.seq);
	/* An urgent pointer is one segment's, not a super-frame's. */
	f.len = choose(st, c, f.flags ? &one : g, &f, &fin);
	if (!f.len && !fin)
		return false;
	push = f.len ? push_flag(c, f.seq, f.seq + f.len) : 0; /* also should it be sent again; a train's own is not */
	f.flags |= push;
	if (c->train && (f.len > f.mss || f.len > c->snd_wnd_max / 2))
		f.flags |= WIRE_TCP_PSH; /* no more follows at once */
	if (c->f & TF_PROBE && f.len)
		f.flags |= WIRE_TCP_PSH;
	if (fin)
		f.flags |= f.len ? WIRE_TCP_FIN | WIRE_TCP_PSH : WIRE_TCP_FIN;
	f.flags |= tcp_ecn_out_flags(c, f.len != 0);
	if (f.flags & WIRE_TCP_CWR && f.len > f.mss && !ip_iface_can(st, c->w->route.iface, BERTH_IF_TSO_ECN)) {
		f.len = f.mss;
		f.flags &= (uint16_t) ~(WIRE_TCP_PSH | WIRE_TCP_FIN);
		fin = false;
	}
	if (c->una == c->w->nxt)
		c->w->snd_small = c->una;
	if (f.len % f.mss)
		c->w->snd_small = f.seq + f.len;
	put(st, c, g, &f);
	if (fin)
		c->f |= TF_FIN_SENT;
	c->f &= ~(uint32_t)TF_PROBE;
	c->data_segs_out += (f.len + f.mss - 1) / f.mss;
	c->last_out_ns = st->now_ns;
	sent(st, c, f.seq, f.len + fin, f.mss, (uint8_t)((fin ? BURST_FIN : 0) | (push ? BURST_PUSH : 0)));
	tcp_pace_sent(st, c, f.len);
	if (f.len)
		tcp_rcv_data_sent(st, c);
	return true;
}

/* Below una, without data: whoever is there must answer it (RFC 9293, 3.8.6.1). */
static bool send_probe(struct berth_stack *st, struct tcp_conn *c, struct go *g)
{
	struct tcp_frame f = {.seq = c->una - 1, .mss = c->mss};

	if (!(c->f & TF_PROBE))
		return false;
	c->f &= ~(uint32_t)TF_PROBE;
	put(st, c, g, &f);
	st->n.tcp_zero_window_probes++;
	return true;
}

static bool send_ack(struct berth_stack *st, struct tcp_conn *c, struct go *g)
{
	struct tcp_frame f = {.seq = tcp_bare_seq(c), .mss = c->mss};

	if (!(c->f & TF_ACK_NOW) && !c->w->n_dup_acks)
		return false;
	if (c->state == TCP_SYN_RCVD && c->una == c->iss) { /* a simultaneous open: RFC 9293, 3.10.7.3 */
		f.seq = c->iss;
		f.flags = WIRE_TCP_SYN;
	}
	f.flags |= tcp_ecn_out_flags(c, false);
	put(st, c, g, &f);
	if (f.flags & WIRE_TCP_SYN)
		tcp_flight_rexmitted(st, c, &(struct tcp_send){c->iss, 1, c->w->burst_first, 1, false});
	if (c->w->n_dup_acks)
		c->w->n_dup_acks--;
	return true;
}

static bool send_one(struct berth_stack *st, struct tcp_conn *c, struct go *g)
{
	bool syn = c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD;

	if (syn && send_syn(st, c, g))
		return true;
	if (send_again(st, c, g))
		return true;
	if (syn)
		return c->state == TCP_SYN_RCVD && c->w->nxt != c->iss && send_ack(st, c, g);
	return send_new(st, c, g) || send_probe(st, c, g) || send_ack(st, c, g);
}

/* The way anew, when routes or path MTUs have changed since. */
static void refresh_route(struct berth_stack *st, struct tcp_conn *c)
{
	uint16_t iface = c->s.bind_iface ? (uint16_t)(c->s.bind_iface - 1) : BERTH_IFACE_ANY;
	struct ip_route rt;
	uint16_t before = c->mss;

	if (c->w->route.epoch == st->route_epoch)
		return;
	if (ip_route_find(st, &c->w->local, &c->w->peer, iface, &rt, NULL) < 0) {
		/* No way, until something changes. The old one may not be gone: its neighbour's entry may be another's by
		 * now, its MTU too large, its source no longer ours. */
		c->w->route.epoch = st->route_epoch;
		c->w->route.neigh = NIL;
		c->w->route.iface = BERTH_IFACE_ANY;
		return;
	}
	c->w->route = rt;
	tcp_mss_update(st, c);
	if (c->mss < before && c->una != c->w->max)
		tcp_flight_too_big(st, c, c->mss);
}

/* There is no more for now. If that is because the program wrote no more, rates that are measured are not the path's. */
static void rest(struct berth_stack *st, struct tcp_conn *c)
{
	tcp_persist_check(st, c);
	if (c->w->nxt == tcp_tx_end(c) && tcp_flight_pipe(c) + c->mss <= c->cwnd) {
		c->w->app_limited = c->w->delivered + tcp_flight_pipe(c);
		if (!c->w->app_limited)
			c->w->app_limited = 1;
	}
}

static bool sends(const struct tcp_conn *c)
{
	return c->state != TCP_CLOSED && c->state != TCP_LISTEN && c->state != 0;
}

unsigned tcp_output(struct berth_stack *st, uint32_t index, struct berth_tx *v, unsigned n)
{
	struct tcp_conn *c = tcp_at(st, index);
	unsigned k = 0, lost = 0;
	struct go g = {.v = v};
	int r;

	if (!sends(c)) {
		sock_unready(st, index);
		return 0;
	}
	if (!tcp_work_wanted(st, c)) {
		sock_unready(st, index);
		return 0;
	}
	tcp_mtu_tick(st, c);
	refresh_route(st, c);
	r = ip_route_ready(st, &c->w->route);
	if (r == -EINPROGRESS) {
		sock_wait(st, index);
		return 0;
	}
	if (r < 0) {
		/* Nobody answers there. A connect() fails; else it is as if the frames were lost: the RTO tries again (MUST-56). */
		if (c->state == TCP_SYN_SENT) {
			tcp_end(st, c, r);
			return 0;
		}
		g.v = NULL;
	}
	measure_frame(st, c, &g);
	while (g.v ? k < n : lost < BURST_SEGMENTS) {
		if (!tcp_pin_room(c)) { /* until frames are unpinned */
			sock_unready(st, index);
			break;
		}
		if (g.v)
			g.v = v + k;
		if (!send_one(st, c, &g)) {
			rest(st, c);
			sock_unready(st, index);
			break;
		}
		if (g.v)
			k++;
		else if (++lost == BURST_SEGMENTS)
			sock_unready(st, index); /* what is in flight now has the RTO, and that goes on */
	}
	ASSERT_SLOW(tcp_rings_check(st, c));
	return k;
}
