/* src/stack/tcp_reset.c: segments that belong to no stream: resets, challenge acknowledgments, and how they are limited.
 *
 * What a stranger sends must not make us send without bound, and must not tell the stranger anything by a counter that it shares
 * with others (CVE-2016-5696). So
 *   - a challenge acknowledgment (RFC 5961) comes out of the connection's own budget, drawn anew for each window (S10); an answer to data
 *     that is refused is a twelfth of it, because a peer whose acknowledgments were lost sends a window of them;
 *   - a record (a handshake's, TIME-WAIT's) answers once in a quarter of a second, as it would say the same each time;
 *   - resets for nobody's segments come out of their source's budget (a /64 of IPv6 is one), which others share by chance alone and in
 *     no two windows, and out of one of all that is sixteen times as large; neither size nor window can be predicted (S11);
 *   - nothing answers a reset, or a segment whose source or destination is not one host's (RFC 9293, MUST-57).
 */
#include <string.h>

#include "stack/tcp_control.h"
#include "wire/checksum.h"

#define RESETS_PER_S 1000 /* for a source */
#define RESETS_ALL 16	  /* times as many for all */
#define CHALLENGES 12	  /* on average in a second */
#define CHALLENGE_COST 12
#define WINDOW_MS 1500	     /* at most; a third at least */
#define RECORD_TIME_SHIFT 28 /* 268 ms */

static uint32_t now_ms(const struct berth_stack *st)
{
	return (uint32_t)(st->now_ns / NS_PER_MS);
}

void tcp_send_bare(struct berth_stack *st, const struct tcp_bare *b)
{
	struct wire_tcp t = {.src_port = b->local_port,
			     .dst_port = b->peer_port,
			     .seq = b->seq,
			     .ack = b->ack,
			     .flags = b->flags,
			     .window = b->wnd,
			     .options = b->opt};
	struct ip_head h = {.src = b->local,
			    .dst = b->peer,
			    .proto = WIRE_PROTO_TCP,
			    .ttl = b->ttl ? b->ttl : 64,
			    .tos = b->tos,
			    .dont_fragment = true};
	struct port_tuple flow = {PORT_TCP, *b->local, *b->peer, b->local_port, b->peer_port};
	struct ip_route rt;
	uint32_t i;
	struct pkt *p;
	int n;
	uint16_t iface = b->bind_iface ? (uint16_t)(b->bind_iface - 1) : BERTH_IFACE_ANY;

	if (ip_route_find(st, b->local, b->peer, iface, &rt, NULL) < 0) {
		st->n.dropped_no_route++;
		return;
	}
	p = pkt_take(st, &i);
	if (p == NULL)
		return;
	n = wire_tcp_emit(&t, p->data + PKT_HEADROOM, WIRE_TCP_LEN_MAX);
	ASSERT(n > 0); /* whoever fills b->opt knows that it fits */
	p->off = PKT_HEADROOM;
	p->len = (uint16_t)n;
	wire_checksum_fill(b->local, b->peer, WIRE_PROTO_TCP, p->data + PKT_HEADROOM, (size_t)n, 0, 0);
	h.l4_len = (uint32_t)n;
	if (!port_addr_is4(b->peer)) /* the same as of the flow's data: RFC 6437, 3 */
		h.flow_label = ip_flow_label(st, &flow);
	if (ip_send(st, i, &h, &rt) == 0)
		st->n.tcp_segs_out++;
}

static uint32_t about(struct berth_stack *st, uint32_t n)
{
	return n * 3 / 4 + stack_random_below(st, n / 2);
}

/* May one more reset leave, to src? Windows of 0.5 to 1.5 s, budgets of 3/4 to 5/4. */
static bool may_reset(struct berth_stack *st, const struct port_addr *src)
{
	struct tcp_state *t = st->tcp;
	uint8_t who[24] = {0};
	uint16_t *used;

	if (st->now_ns >= t->rst_until_ns) {
		t->rst_until_ns = st->now_ns + NS_PER_S / 2 + stack_random_below(st, (uint32_t)NS_PER_S);
		t->rst_left = about(st, RESETS_ALL * RESETS_PER_S);
		t->rst_left_source = about(st, RESETS_PER_S);
		t->rst_salt = stack_random(st);
		memset(t->rst_used, 0, sizeof(t->rst_used));
	}
	memcpy(who, &t->rst_salt, 8);
	memcpy(who + 8, src->b, port_addr_is4(src) ? 16 : 8);
	used = &t->rst_used[siphash13(&st->keys.rst_hash, who, sizeof(who)) % TCP_RST_SOURCES];
	if (t->rst_left == 0 || *used >= t->rst_left_source)
		return false;
	t->rst_left--;
	(*used)++;
	return true;
}

static bool is_one_host(const struct berth_stack *st, const struct packet *p)
{
	return !p->not_unicast && !port_addr_is_any(&p->src) && !port_addr_is_multicast(&p->src) &&
	       !ip_is_broadcast(st, p->iface, &p->src);
}

void tcp_reset_for(struct berth_stack *st, const struct tcp_seg *s)
{
	struct tcp_bare b = {.local = &s->p->dst,
			     .peer = &s->p->src,
			     .local_port = tcp_seg_local_port(s),
			     .peer_port = tcp_seg_peer_port(s),
			     .flags = WIRE_TCP_RST};

	if (s->flags & WIRE_TCP_RST || !is_one_host(st, s->p))
		return;
	if (!may_reset(st, &s->p->src)) {
		st->n.dropped_policy++;
		return;
	}
	if (s->flags & WIRE_TCP_ACK) {
		b.seq = s->ack;
	} else {
		b.flags |= WIRE_TCP_ACK;
		b.ack = s->seq + tcp_seg_len(s);
	}
	st->n.tcp_rst_out++;
	tcp_send_bare(st, &b);
}

/* A window that shrank does not take the number after all that was sent: at its edge the peer hears us (as Linux). What scaling rounds off is no
 * shrinking. */
uint32_t tcp_bare_seq(const struct tcp_conn *c)
{
	uint32_t edge = c->una + c->snd_wnd, over = c->w->max - edge;

	if (!seq_lt(edge, c->w->max) || (c->f & TF_WSCALE && over < 1u << c->rcv_scale))
		return c->w->max;
	return edge;
}

static struct tcp_bare bare_of(struct berth_stack *st, struct tcp_conn *c, uint32_t seq, uint16_t flags)
{
	struct tcp_bare b = {.local = &c->w->local,
			     .peer = &c->w->peer,
			     .local_port = c->w->local_port,
			     .peer_port = c->w->peer_port,
			     .seq = seq,
			     .ack = c->rcv_nxt,
			     .flags = flags,
			     .ttl = c->s.ttl,
			     .tos = c->s.tos,
			     .bind_iface = c->s.bind_iface};

	if (c->f & TF_TS) {
		b.opt.has = WIRE_TCP_HAS_TS;
		b.opt.ts_val = tcp_ts_now(st, c->ts_offset);
		b.opt.ts_ecr = c->ts_recent;
	}
	c->segs_out++;
	return b;
}

void tcp_reset_conn(struct berth_stack *st, struct tcp_conn *c)
{
	struct tcp_work image;
	bool lent = tcp_work_lend(st, c, &image);
	/* The peer takes a reset only at the sequence number it expects (RFC 5961, 3.2): if it got all, that is the furthest sent. */
	struct tcp_bare b = bare_of(st, c, tcp_bare_seq(c), WIRE_TCP_RST | WIRE_TCP_ACK);
	uint32_t wnd = tcp_window_advertise(st, c) >> c->rcv_scale;

	b.wnd = (uint16_t)(wnd > UINT16_MAX ? UINT16_MAX : wnd);
	st->n.tcp_rst_out++;
	tcp_send_bare(st, &b);
	if (lent)
		c->w = NULL;
}

void tcp_ack_bare(struct berth_stack *st, struct tcp_conn *c, uint32_t seq)
{
	struct tcp_work image;
	bool lent = tcp_work_lend(st, c, &image);
	struct tcp_bare b = bare_of(st, c, seq, WIRE_TCP_ACK);
	uint32_t wnd = tcp_window_advertise(st, c) >> c->rcv_scale;

	b.opt.n_sacks = (uint8_t)tcp_rcv_sack_blocks(st, c, b.opt.sacks, c->f & TF_TS ? 3 : 4);
	if (b.opt.n_sacks)
		b.opt.has |= WIRE_TCP_HAS_SACK;
	b.wnd = (uint16_t)(wnd > UINT16_MAX ? UINT16_MAX : wnd);
	tcp_send_bare(st, &b);
	tcp_rcv_acked(st, c);
	if (lent)
		c->w = NULL;
}

static bool spend(struct berth_stack *st, struct tcp_conn *c, uint8_t cost)
{
	uint32_t now = now_ms(st), left_ms = c->challenge_ms - now;

	if (!c->challenge_ms || left_ms == 0 || left_ms > WINDOW_MS) { /* the clock may have gone round since */
		c->challenge_ms = now + WINDOW_MS / 3 + stack_random_below(st, WINDOW_MS * 2 / 3);
		c->challenge_left = (uint8_t)(CHALLENGE_COST * (CHALLENGES / 2 + stack_random_below(st, CHALLENGES)));
	}
	if (c->challenge_left < cost) {
		st->n.tcp_challenge_limited++;
		return false;
	}
	c->challenge_left = (uint8_t)(c->challenge_left - cost);
	return true;
}
_Static_assert(CHALLENGE_COST *(CHALLENGES / 2 + CHALLENGES - 1) <= UINT8_MAX, "challenge_left has 8 bits");

bool tcp_may_answer(struct berth_stack *st, struct tcp_conn *c)
{
	return spend(st, c, CHALLENGE_COST);
}

bool tcp_may_repeat(struct berth_stack *st, struct tcp_conn *c)
{
	return c->f & TF_ACK_NOW || spend(st, c, 1);
}

bool tcp_record_may_answer(struct berth_stack *st, uint8_t *answered)
{
	uint8_t now = (uint8_t)(1 + (st->now_ns >> RECORD_TIME_SHIFT) % UINT8_MAX);

	if (*answered == now) {
		st->n.tcp_challenge_limited++;
		return false;
	}
	*answered = now;
	return true;
}

void tcp_challenge_ack(struct berth_stack *st, struct tcp_conn *c)
{
	if (!tcp_may_answer(st, c))
		return;
	st->n.tcp_challenge_acks++;
	tcp_ack_bare(st, c, tcp_bare_seq(c));
}
