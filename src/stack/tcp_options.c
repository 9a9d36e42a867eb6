/* src/stack/tcp_options.c: what is agreed in the handshake: segment size, window scale, SACK, timestamps, ECN.
 *
 * An option counts only if both SYNs carry it (RFC 7323, 1.3; RFC 2018, 2). conn->refuse has those that the program does not want:
 * they are neither offered nor accepted. The peer's segment size is clamped from below (S16: many tiny segments cost us more than
 * they cost it); without the option it is 536 or 1220 (RFC 9293, MUST-15; RFC 9293, 3.7.1).
 */
#include "stack/tcp_control.h"

#define MSS_DEFAULT_4 536
#define MSS_DEFAULT_6 1220

uint16_t tcp_mss_offer(uint16_t mtu_bytes, bool is4, uint16_t mss_user)
{
	uint32_t headers = (is4 ? 20u : 40u) + WIRE_TCP_LEN, mss = mtu_bytes > headers ? mtu_bytes - headers : 0;

	if (mss_user && mss_user < mss)
		mss = mss_user;
	return (uint16_t)(mss < TCP_MSS_FLOOR ? TCP_MSS_FLOOR : mss);
}

uint16_t tcp_mss_of_peer(const struct wire_tcp_options *o, bool is4)
{
	if (!(o->has & WIRE_TCP_HAS_MSS) || o->mss == 0)
		return is4 ? MSS_DEFAULT_4 : MSS_DEFAULT_6;
	return o->mss < TCP_MSS_FLOOR ? (uint16_t)TCP_MSS_FLOOR : o->mss;
}

/* RFC 5482, 3.2: ADV_UTO is the program's user timeout; without one nothing is told. */
void tcp_uto_say(const struct tcp_conn *c, struct wire_tcp_options *o)
{
	uint32_t s = (c->user_timeout_ms + 999) / 1000;

	if (!(c->refuse & SAY_UTO) || s == 0 || wire_tcp_options_len(o) + 4 > WIRE_TCP_OPTIONS_MAX)
		return;
	o->has |= WIRE_TCP_HAS_USER_TIMEOUT;
	o->user_timeout_s = s < 32768 ? s : (s < 32767 * 60 ? s / 60 * 60 : 32767 * 60);
}

/* REMOTE_UTO. 0 is reserved and says nothing (RFC 5482, 3.4). */
uint16_t tcp_uto_heard(const struct tcp_conn *c, const struct wire_tcp_options *o, uint16_t was)
{
	uint32_t s = o->user_timeout_s;

	if (!(c->refuse & SAY_UTO) || !(o->has & WIRE_TCP_HAS_USER_TIMEOUT) || s == 0)
		return was;
	return (uint16_t)(s < 0x8000 ? s : 0x8000 | s / 60);
}

void tcp_options_syn(struct berth_stack *st, const struct tcp_conn *c, struct wire_tcp_options *ret)
{
	/* SYN-SENT offers all that is not refused; SYN-RECEIVED answers what the peer's SYN had. */
	uint32_t f = c->state == TCP_SYN_SENT ? ~(uint32_t)c->refuse : c->f;

	*ret = (struct wire_tcp_options){.has = WIRE_TCP_HAS_MSS};
	ret->mss = tcp_mss_offer(c->w->route.mtu_bytes, port_addr_is4(&c->w->local), c->mss_user);
	if (f & TF_WSCALE) {
		ret->has |= WIRE_TCP_HAS_WSCALE;
		ret->wscale = c->rcv_scale;
	}
	if (f & TF_SACK)
		ret->has |= WIRE_TCP_HAS_SACK_OK;
	if (f & TF_TS) {
		ret->has |= WIRE_TCP_HAS_TS;
		ret->ts_val = tcp_ts_now(st, c->ts_offset);
		ret->ts_ecr = c->ts_recent; /* 0 in SYN-SENT */
	}
	if (c->state == TCP_SYN_SENT)
		tcp_fastopen_ask(st, c, ret);
	tcp_uto_say(c, ret);
}

static void agree_ecn(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint16_t both = WIRE_TCP_ECE | WIRE_TCP_CWR, got = s->flags & both;

	/* RFC 3168, 6.1.1: a SYN that asks has both bits, a SYN-ACK that agrees ECE alone. */
	if (s->flags & WIRE_TCP_ACK ? c->ecn_wish == 1 && got == WIRE_TCP_ECE : c->ecn_wish && got == both)
		c->f |= TF_ECN;
}

void tcp_options_agree(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	const struct wire_tcp_options *o = &s->opt;

	c->f &= ~(uint32_t)(TF_WSCALE | TF_TS | TF_SACK | TF_ECN);
	if (o->has & WIRE_TCP_HAS_WSCALE && !(c->refuse & TF_WSCALE)) {
		c->f |= TF_WSCALE;
		c->snd_scale = o->wscale;
	} else {
		c->snd_scale = c->rcv_scale = 0; /* both or none: RFC 7323, 2.2 */
	}
	if (o->has & WIRE_TCP_HAS_TS && !(c->refuse & TF_TS)) {
		c->f |= TF_TS | TF_TS_RECENT;
		c->ts_recent = o->ts_val;
		c->w->ts_recent_ns = st->now_ns;
	}
	if (o->has & WIRE_TCP_HAS_SACK_OK && !(c->refuse & TF_SACK))
		c->f |= TF_SACK;
	c->mss_peer = tcp_mss_of_peer(o, port_addr_is4(&c->w->local));
	c->peer_uto = tcp_uto_heard(c, o, 0);
	agree_ecn(c, s);
	tcp_mss_update(st, c);
}
