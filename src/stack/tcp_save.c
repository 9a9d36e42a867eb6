/* src/stack/tcp_save.c: a connection as octets, and back: for a program that replaces itself.
 *
 * The octets are a head (magic, version, length), a record of numbers in network order, then what the two rings hold. One list says
 * which numbers there are (walk()), and is used in both directions, so writer and reader cannot differ.
 *
 * What is not saved: octets that arrived early (the peer still has them: RFC 2018, 8 lets a receiver forget what it only
 * reported), timers (all are armed anew), what was learnt of loss (all in flight counts as sent now; what was lost is found out
 * anew), and rings that were attached (the restored one has rings of the stack's).
 *
 * Restoring trusts nothing: the octets may be anybody's. Every number is checked against every other before anything is taken, in
 * numbers_ok() and makes_sense(); the checkers hold afterwards (fuzz target). Timestamps go on from where they were although the clock of
 * the new stack may have another origin.
 */
#include <errno.h>
#include <string.h>

#include "stack/tcp_control.h"

#define MAGIC 0x42545031u /* "BTP1" */
#define VERSION 1
#define HEAD_BYTES 16
#define RTT_MAX_US UINT32_C(60000000) /* tcp_rtt.c: the variation is kept four times over */

#define KEEP_SOCK                                                                                                    \
	(SOCK_NODELAY | SOCK_CORK | SOCK_KEEPALIVE | SOCK_SHUT_RD | SOCK_SHUT_WR | SOCK_REUSEADDR | SOCK_REUSEPORT | \
	 SOCK_V6ONLY)
#define KEEP_F                                                                                                        \
	(TF_WSCALE | TF_TS | TF_SACK | TF_ECN | TF_FIN_QUEUED | TF_FIN_SENT | TF_FIN_RCVD | TF_ECN_CE | TF_ECN_SEEN | \
	 TF_URG_OUT | TF_URG_IN | TF_QUICKACK | TF_PASSIVE | TF_TS_RECENT | TF_RCVBUF_SET | TF_SNDBUF_SET)

struct saved {
	struct port_addr local, peer;
	uint16_t local_port, peer_port;
	uint8_t state, family, ttl, tos, cc, snd_scale, rcv_scale, keep_cnt, ecn_wish, pmtu_disc, refuse, bind_iface;
	uint32_t sock_flags, f;
	uint32_t iss, una, max, snd_wnd, snd_wl1, snd_wl2, snd_wnd_max, snd_up;
	uint32_t irs, rcv_nxt, rcv_adv, rcv_up;
	uint16_t mss_peer, mss_user, rcv_mss;
	uint32_t ts_now, ts_recent;
	uint64_t ts_recent_age_ns;
	uint32_t sndbuf, rcvbuf, notsent_lowat, rcvlowat;
	uint32_t cwnd, ssthresh, srtt_us, rttvar_us, rto_us;
	uint32_t user_timeout_ms, peer_uto, keep_idle_s, keep_intvl_s, linger2_s;
	uint64_t pacing_max_bps;
	uint64_t bytes_acked, bytes_in, bytes_out;
	uint32_t tx_used, rx_used;
};

/* --- octets --- */

/* Reads or writes; `at` beyond `len` means that it did not fit. */
struct tape {
	const uint8_t *in;
	uint8_t *out; /* NULL: reading, or only counting when in is NULL too */
	size_t len, at;
};

static void number(struct tape *t, uint64_t *v, size_t n)
{
	size_t from = t->at;

	t->at += n;
	if (t->out != NULL) {
		ASSERT(t->at <= t->len);
		for (size_t i = 0; i < n; i++)
			t->out[from + i] = (uint8_t)(*v >> 8 * (n - 1 - i));
	} else if (t->in != NULL) {
		*v = 0;
		for (size_t i = 0; i < n && t->at <= t->len; i++)
			*v = *v << 8 | t->in[from + i];
	}
}

static void u8(struct tape *t, uint8_t *v)
{
	uint64_t n = *v;

	number(t, &n, 1);
	*v = (uint8_t)n;
}

static void u16(struct tape *t, uint16_t *v)
{
	uint64_t n = *v;

	number(t, &n, 2);
	*v = (uint16_t)n;
}

static void u32(struct tape *t, uint32_t *v)
{
	uint64_t n = *v;

	number(t, &n, 4);
	*v = (uint32_t)n;
}

static void u64(struct tape *t, uint64_t *v)
{
	number(t, v, 8);
}

static void address(struct tape *t, struct port_addr *a)
{
	for (int i = 0; i < 16; i++)
		u8(t, &a->b[i]);
	u32(t, &a->scope);
}

static void walk_sequence(struct tape *t, struct saved *s)
{
	uint32_t *const v[] = {&s->iss,		&s->una,       &s->max,	    &s->snd_wnd, &s->snd_wl1, &s->snd_wl2,
			       &s->snd_wnd_max, &s->snd_up,    &s->irs,	    &s->rcv_nxt, &s->rcv_adv, &s->rcv_up,
			       &s->ts_now,	&s->ts_recent, &s->tx_used, &s->rx_used};

	for (size_t i = 0; i < COUNT_OF(v); i++)
		u32(t, v[i]);
	u64(t, &s->ts_recent_age_ns);
	u16(t, &s->mss_peer);
	u16(t, &s->mss_user);
	u16(t, &s->rcv_mss);
}

static void walk_tuning(struct tape *t, struct saved *s)
{
	uint32_t *const v[] = {&s->sndbuf,   &s->rcvbuf,      &s->notsent_lowat, &s->rcvlowat, &s->cwnd,
			       &s->ssthresh, &s->srtt_us,     &s->rttvar_us,	 &s->rto_us,   &s->user_timeout_ms,
			       &s->peer_uto, &s->keep_idle_s, &s->keep_intvl_s,	 &s->linger2_s};

	for (size_t i = 0; i < COUNT_OF(v); i++)
		u32(t, v[i]);
	u64(t, &s->pacing_max_bps);
	u64(t, &s->bytes_acked);
	u64(t, &s->bytes_in);
	u64(t, &s->bytes_out);
}

/* Everything of fixed size, in the order of the octets. */
static void walk(struct tape *t, struct saved *s)
{
	uint8_t *const v[] = {&s->state,     &s->family,   &s->ttl,	 &s->tos,	&s->cc,	    &s->snd_scale,
			      &s->rcv_scale, &s->keep_cnt, &s->ecn_wish, &s->pmtu_disc, &s->refuse, &s->bind_iface};

	address(t, &s->local);
	address(t, &s->peer);
	u16(t, &s->local_port);
	u16(t, &s->peer_port);
	for (size_t i = 0; i < COUNT_OF(v); i++)
		u8(t, v[i]);
	u32(t, &s->sock_flags);
	u32(t, &s->f);
	walk_sequence(t, s);
	walk_tuning(t, s);
}

static void head(struct tape *t, uint32_t *len)
{
	uint32_t magic = MAGIC, version = VERSION, zero = 0;

	u32(t, &magic);
	u32(t, &version);
	u32(t, len);
	u32(t, &zero);
	if (magic != MAGIC || version != VERSION || zero != 0)
		*len = 0;
}

/* --- saving --- */

static void fill(struct berth_stack *st, const struct tcp_conn *c, struct saved *s)
{
	*s = (struct saved){
		.local = c->w->local,
		.peer = c->w->peer,
		.local_port = c->w->local_port,
		.peer_port = c->w->peer_port,
		.state = c->state,
		.family = c->s.family,
		.ttl = c->s.ttl,
		.tos = c->s.tos,
		.cc = c->cc,
		.snd_scale = c->snd_scale,
		.rcv_scale = c->rcv_scale,
		.keep_cnt = c->keep_cnt,
		.ecn_wish = c->ecn_wish,
		.pmtu_disc = c->pmtu_disc,
		.refuse = c->refuse,
		.bind_iface = c->s.bind_iface,
		.sock_flags = c->s.flags & KEEP_SOCK,
		.f = c->f & KEEP_F,
		.iss = c->iss,
		.una = c->una,
		.max = c->w->max,
		.snd_wnd = c->snd_wnd,
		.snd_wl1 = c->snd_wl1,
		.snd_wl2 = c->snd_wl2,
		.snd_wnd_max = c->snd_wnd_max,
		.snd_up = c->w->snd_up,
		.irs = c->irs,
		.rcv_nxt = c->rcv_nxt,
		.rcv_adv = c->rcv_adv,
		.rcv_up = c->w->rcv_up,
		.mss_peer = c->mss_peer,
		.mss_user = c->mss_user,
		.rcv_mss = c->rcv_mss,
		.ts_now = tcp_ts_now(st, c->ts_offset),
		.ts_recent = c->ts_recent,
		.ts_recent_age_ns = st->now_ns - c->w->ts_recent_ns,
		.sndbuf = c->sndbuf,
		.rcvbuf = c->rcvbuf,
		.notsent_lowat = c->notsent_lowat,
		.rcvlowat = c->rcvlowat,
		.cwnd = c->cwnd,
		.ssthresh = c->ssthresh,
		.srtt_us = c->srtt_us,
		.rttvar_us = c->rttvar_us,
		.rto_us = c->rto_us,
		.user_timeout_ms = c->user_timeout_ms,
		.peer_uto = c->peer_uto,
		.keep_idle_s = c->keep_idle_s,
		.keep_intvl_s = c->keep_intvl_s,
		.linger2_s = c->linger2_s,
		.pacing_max_bps = c->pacing_max_bps,
		.bytes_acked = c->bytes_acked,
		.bytes_in = c->bytes_in,
		.bytes_out = tcp_bytes_out(c),
		.tx_used = c->tx.used,
		.rx_used = c->rx.used,
	};
	if (!seq_lt(c->rcv_nxt, c->rcv_adv))
		s->rcv_adv = c->rcv_nxt;
}

static void put_ring(struct tape *t, const struct tcp_ring *r)
{
	struct berth_part v[2];
	unsigned n = tcp_ring_parts(r, 0, r->used, v);

	for (unsigned i = 0; i < n; i++) {
		ASSERT(t->at + v[i].len <= t->len);
		memcpy(t->out + t->at, v[i].data, v[i].len);
		t->at += v[i].len;
	}
}

/* It is somebody else's now: nothing is said to the peer, nothing to the program. */
static void vanish(struct berth_stack *st, struct tcp_conn *c)
{
	event_forget(st, tcp_index(st, c));
	c->s.flags |= SOCK_ORPHAN;
	tcp_end(st, c, 0);
}

int64_t berth_sock_save(struct berth_stack *st, berth_sock h, void *data, uint32_t len)
{
	struct tape t = {0};
	uint32_t index, total = 0;
	struct tcp_work image;
	struct tcp_conn *c;
	struct saved s;
	bool lent;
	int r = sock_find_tcp(st, h, &index);

	if (r < 0)
		return r;
	c = tcp_at(st, index);
	if (!tcp_state_in(c, TCP_SYNCHRONIZED))
		return -EINVAL;
	lent = tcp_work_lend(st, c, &image);
	fill(st, c, &s);
	if (lent)
		c->w = NULL;
	head(&t, &total);
	walk(&t, &s); /* counts */
	total = (uint32_t)t.at + c->tx.used + c->rx.used;
	if (data == NULL)
		return total;
	if (len < total)
		return -ENOBUFS;
	t = (struct tape){.out = data, .len = len};
	head(&t, &total);
	walk(&t, &s);
	put_ring(&t, &c->tx);
	put_ring(&t, &c->rx);
	ASSERT(t.at == total);
	vanish(st, c);
	return total;
}

/* --- restoring: is it sound? --- */

/* The flags that a state has, by what was sent and what came. */
static bool state_ok(const struct saved *s)
{
	bool queued = s->f & TF_FIN_QUEUED, sent = s->f & TF_FIN_SENT, rcvd = s->f & TF_FIN_RCVD;
	bool acked = sent && s->una == s->max && s->tx_used == 0;

	if ((sent && !queued) || queued != ((s->sock_flags & SOCK_SHUT_WR) != 0))
		return false;
	switch ((enum tcp_state_name)s->state) {
	case TCP_ESTABLISHED:
		return !queued && !rcvd;
	case TCP_CLOSE_WAIT:
		return !queued && rcvd;
	case TCP_FIN_WAIT_1:
		return queued && !rcvd && !acked;
	case TCP_FIN_WAIT_2:
		return acked && !rcvd;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return queued && rcvd && !acked;
	case TCP_SYN_SENT:
	case TCP_SYN_RCVD:
	case TCP_TIME_WAIT:
	case TCP_CLOSED:
	case TCP_LISTEN:
		break;
	}
	return false;
}

/* Does the sending ring hold what is in flight, and FIN come right behind it? */
static bool sending_ok(const struct berth_stack *st, const struct saved *s)
{
	uint32_t out = s->max - s->una, fin = s->f & TF_FIN_SENT ? 1 : 0;

	if (s->tx_used > st->cfg.tx_ring_bytes)
		return false;
	if (fin && s->una == s->max)
		return s->tx_used == 0; /* FIN is acknowledged, too */
	return out <= s->tx_used + fin && (!fin || out == s->tx_used + 1);
}

static bool numbers_ok(const struct berth_stack *st, const struct saved *s)
{
	uint32_t open = s->rcv_adv - s->rcv_nxt;

	if (s->sock_flags & ~(uint32_t)KEEP_SOCK || s->f & ~(uint32_t)KEEP_F ||
	    s->refuse & ~(TF_WSCALE | TF_TS | TF_SACK | SAY_UTO | UTO_YIELDS))
		return false;
	if (s->snd_scale > WIRE_TCP_WSCALE_MAX || s->rcv_scale > WIRE_TCP_WSCALE_MAX ||
	    (!(s->f & TF_WSCALE) && (s->snd_scale || s->rcv_scale)))
		return false;
	if (s->cc > BERTH_CUBIC || s->ecn_wish > 2 || s->pmtu_disc > 3 || s->bind_iface > st->cfg.n_ifaces ||
	    s->mss_peer < TCP_MSS_FLOOR || (s->mss_user != 0 && s->mss_user < TCP_MSS_USER_MIN))
		return false;
	if (s->rx_used > st->cfg.rx_ring_bytes || open > st->cfg.rx_ring_bytes - s->rx_used)
		return false;
	if (s->snd_wnd > UINT32_C(1) << 30 || s->snd_wnd_max < s->snd_wnd || s->snd_wnd_max > UINT32_C(1) << 30)
		return false;
	return s->rto_us <= TCP_RTO_MAX_NS / 1000 && s->srtt_us <= RTT_MAX_US && s->rttvar_us <= 4 * RTT_MAX_US &&
	       s->user_timeout_ms <= INT32_MAX && s->peer_uto <= UINT16_MAX && s->keep_idle_s <= 32767 &&
	       s->keep_intvl_s <= 32767 && s->linger2_s <= 120 && s->keep_cnt <= 127;
}

static bool addresses_ok(const struct saved *s)
{
	bool is4 = port_addr_is4(&s->local);

	if (s->family != PORT_FAMILY_4 && s->family != PORT_FAMILY_6)
		return false;
	if (is4 != port_addr_is4(&s->peer) || (s->family == PORT_FAMILY_4 && !is4))
		return false;
	return s->local_port != 0 && s->peer_port != 0 && !port_addr_is_any(&s->local) && !port_addr_is_any(&s->peer) &&
	       !port_addr_is_multicast(&s->local) && !port_addr_is_multicast(&s->peer);
}

static int parse(const struct berth_stack *st, const void *data, uint32_t len, struct saved *ret, size_t *ret_at)
{
	struct tape t = {.in = data, .len = len};
	uint32_t total = 0;

	head(&t, &total);
	*ret = (struct saved){0};
	walk(&t, ret);
	if (t.at > len || total != len || ret->tx_used > len || ret->rx_used > len ||
	    t.at + ret->tx_used + ret->rx_used != len)
		return -EINVAL;
	if (!addresses_ok(ret) || !numbers_ok(st, ret) || !sending_ok(st, ret) || !state_ok(ret))
		return -EINVAL;
	*ret_at = t.at;
	return 0;
}

/* --- restoring: the connection --- */

static int claim(struct berth_stack *st, struct tcp_conn *c)
{
	struct port_tuple t = {PORT_TCP, c->w->local, c->w->peer, c->w->local_port, c->w->peer_port};
	struct port_claim k = {.flags = sock_want(st, &c->s, tcp_index(st, c)).flags,
			       .addr = c->w->local,
			       .peer = c->w->peer,
			       .port = c->w->local_port,
			       .peer_port = c->w->peer_port,
			       .proto = PORT_TCP,
			       .family = c->s.family,
			       .state = c->f & TF_PASSIVE ? CLAIM_ACCEPTED : CLAIM_CONNECTED,
			       .dev = c->s.bind_iface,
			       .since_us = stack_now_us(st),
			       .expires_us = NEVER_US,
			       .user = tcp_index(st, c)};
	struct port_ref there;
	int r = port_demux_flow(&st->ports, &t, &there);

	if (r == 0)
		return -EADDRINUSE;
	r = port_table_put(&st->ports, &k, &c->s.claim);
	return r < 0 ? -ENOBUFS : 0;
}

static void unfill(struct berth_stack *st, struct tcp_conn *c, const struct saved *s)
{
	c->w->local = s->local;
	c->w->peer = s->peer;
	c->w->local_port = s->local_port;
	c->w->peer_port = s->peer_port;
	c->s.ttl = s->ttl;
	c->s.tos = s->tos & 0xfc;
	c->s.flags |= s->sock_flags;
	c->s.bind_iface = s->bind_iface;
	c->f |= s->f;
	c->cc = s->cc;
	c->refuse = s->refuse;
	c->ecn_wish = s->ecn_wish & 3;
	c->pmtu_disc = s->pmtu_disc & 3;
	c->mss_user = s->mss_user;
	c->sndbuf = s->sndbuf;
	c->rcvbuf = s->rcvbuf;
	c->notsent_lowat = s->notsent_lowat;
	c->rcvlowat = s->rcvlowat;
	c->user_timeout_ms = s->user_timeout_ms;
	c->peer_uto = (uint16_t)s->peer_uto;
	c->keep_idle_s = (uint16_t)s->keep_idle_s;
	c->keep_intvl_s = (uint16_t)s->keep_intvl_s;
	c->keep_cnt = s->keep_cnt;
	c->linger2_s = (uint8_t)s->linger2_s;
	c->pacing_max_bps = s->pacing_max_bps;
	c->bytes_acked = s->bytes_acked;
	c->bytes_in = s->bytes_in;
	c->last_in_ns = st->now_ns;
}

/* After tcp_setup(): sequence numbers, windows, the clock of timestamps. */
static void unfill_sequence(struct berth_stack *st, struct tcp_conn *c, const struct saved *s)
{
	c->iss = s->iss;
	c->una = c->w->nxt = s->una;
	c->w->max = s->una;
	c->snd_wnd = s->snd_wnd;
	c->snd_wl1 = s->snd_wl1;
	c->snd_wl2 = s->snd_wl2;
	c->snd_wnd_max = s->snd_wnd_max;
	c->w->snd_up = s->snd_up;
	c->w->snd_push = c->una;
	c->snd_scale = s->snd_scale;
	c->rcv_scale = s->rcv_scale;
	c->mss_peer = s->mss_peer;
	c->irs = s->irs;
	tcp_rcv_init(st, c);
	c->rcv_nxt = c->w->rcv_acked = s->rcv_nxt;
	c->rcv_adv = c->w->rcv_epoch_seq = s->rcv_adv;
	c->w->dsack_from = c->w->dsack_to = s->rcv_nxt;
	c->w->rcv_up = s->rcv_up;
	c->rcv_mss = s->rcv_mss;
	c->ts_offset = s->ts_now - tcp_ts_now(st, 0);
	c->ts_recent = s->ts_recent;
	c->w->ts_recent_ns = s->ts_recent_age_ns < st->now_ns ? st->now_ns - s->ts_recent_age_ns : 0;
	tcp_mss_update(st, c);
}

/* All that was in flight counts as sent now. false: no records left for it. */
static bool refly(struct berth_stack *st, struct tcp_conn *c, const struct saved *s)
{
	uint32_t mss = c->mss;

	tcp_flight_init(st, c);
	if (s->srtt_us) {
		c->srtt_us = s->srtt_us;
		c->rttvar_us = s->rttvar_us ? s->rttvar_us : 1;
		c->rto_us = s->rto_us < TCP_RTO_MIN_NS / 1000 ? (uint32_t)(TCP_RTO_MIN_NS / 1000) : s->rto_us;
	}
	if (s->cwnd >= mss && s->cwnd <= UINT32_C(1) << 30)
		c->cwnd = s->cwnd;
	if (s->ssthresh >= 2 * mss)
		c->ssthresh = s->ssthresh;
	while (c->w->max != s->max) {
		uint32_t left = s->max - c->w->max, fin = s->f & TF_FIN_SENT ? 1 : 0, len = left;

		if (len > 32 * mss)
			len = 32 * mss;
		fin = fin && len == left ? 1 : 0;
		if (!tcp_flight_can_send(st, c))
			return false;
		c->w->max = c->w->nxt = c->w->max + len;
		tcp_flight_sent(st, c, c->w->max - len, len, c->mss, fin ? BURST_FIN : 0);
	}
	return true;
}

static int revive(struct berth_stack *st, struct tcp_conn *c, const struct saved *s, const uint8_t *rings)
{
	int r;

	unfill(st, c, s);
	r = claim(st, c);
	if (r == 0)
		r = tcp_setup(st, c);
	if (r < 0)
		return r;
	unfill_sequence(st, c, s);
	tcp_ring_write(&c->tx, 0, rings, s->tx_used);
	tcp_ring_write(&c->rx, 0, rings + s->tx_used, s->rx_used);
	c->tx.used = s->tx_used;
	c->rx.used = s->rx_used;
	tcp_state_restore(c, (enum tcp_state_name)s->state);
	return refly(st, c, s) ? 0 : -ENOBUFS;
}

int berth_sock_restore(struct berth_stack *st, const void *data, uint32_t len, uint64_t user, berth_sock *ret)
{
	struct tcp_conn *c;
	struct saved s;
	uint32_t index;
	size_t at;
	int r;

	if (data == NULL)
		return -EINVAL;
	r = parse(st, data, len, &s, &at);
	if (r < 0)
		return r;
	c = tcp_block_new(st, s.family, &index);
	if (c == NULL)
		return -ENOBUFS;
	if (!tcp_work_take(st, c)) {
		tcp_block_free(st, c);
		return -ENOBUFS;
	}
	r = revive(st, c, &s, (const uint8_t *)data + at);
	if (r < 0) {
		tcp_timers_stop(st, c);
		tcp_flight_free(st, c);
		if (c->state != TCP_CLOSED)
			tcp_set_state(st, c, TCP_CLOSED);
		tcp_rings_give(st, c);
		sock_release(st, &c->s);
		tcp_block_free(st, c);
		return r;
	}
	c->s.user = user;
	tcp_keep_update(st, c);
	c->f |= TF_ACK_NOW; /* the peer hears from us, and what it missed comes again */
	sock_ready(st, index);
	event_add(st, index, (uint32_t)tcp_poll(st, index));
	*ret = sock_handle(st, index);
	return 0;
}
