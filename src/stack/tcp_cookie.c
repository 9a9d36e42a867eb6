/* src/stack/tcp_cookie.c: SYN cookies (RFC 4987, 3.6): a SYN-ACK that remembers the handshake for us.
 *
 * The sequence number of the SYN-ACK is 29 bits of a keyed hash and 3 bits that name a segment size; the hash covers the four-tuple, the
 * peer's sequence number, the size and the minute, so that nobody can make one, use one for another connection, or keep one.
 * Two keys take turns, each derived anew for its time (PERIOD_NS); what was made in this period or the last one counts.
 *
 *	sequence number   |<------------ 29: hash ------------>|<- 3: segment size ->|
 *	timestamp         |<------ 22: our clock ------>|<- 1: ECN ->|<- 1: SACK ->|<- 4: our scale ->|<- 4: the peer's, 15: none ->|
 *
 * What does not fit goes into the low bits of our timestamp, which the peer sends back: it is up to a second late. Without timestamps
 * there is neither scale nor SACK (STACK.md, S14). No key protects these bits: who lies in them harms its own connection.
 */
#include <string.h>

#include "stack/tcp_control.h"

#define PERIOD_NS (64 * NS_PER_S)
#define TS_BITS 10
#define TS_OUR_SCALE 4
#define TS_SACK (1u << 8)
#define TS_ECN (1u << 9)
#define TS_NO_SCALE 15

/* Common ones: IPv4's and IPv6's defaults, tunnels, Ethernet, jumbo frames. Ascending; the largest that fits is taken. */
static const uint16_t sizes[8] = {TCP_MSS_FLOOR, 536, 1220, 1360, 1440, 1460, 4312, 8940};

static uint32_t hash(const struct berth_stack *st, const struct tcp_seg *s, uint32_t irs, uint32_t size,
		     uint64_t period)
{
	const struct siphash_key *base = &st->keys.cookie[period & 1];
	struct siphash_key key;
	uint8_t k[48];

	wire_put32(k, (uint32_t)(period >> 32));
	wire_put32(k + 4, (uint32_t)period);
	key.k0 = siphash24(base, k, 8);
	k[0] ^= 0x80;
	key.k1 = siphash24(base, k, 8);
	memcpy(k, s->p->dst.b, 16);
	memcpy(k + 16, s->p->src.b, 16);
	wire_put16(k + 32, tcp_seg_local_port(s));
	wire_put16(k + 34, tcp_seg_peer_port(s));
	wire_put32(k + 36, irs);
	wire_put32(k + 40, size);
	wire_put32(k + 44, tcp_seg_scope(s));
	return (uint32_t)siphash24(&key, k, sizeof(k)) & ~UINT32_C(7);
}

uint32_t tcp_cookie_make(struct berth_stack *st, const struct tcp_seg *s, struct tcp_child *k, uint32_t *ret_ts)
{
	uint32_t size = COUNT_OF(sizes) - 1, now, bits;

	while (size > 0 && sizes[size] > k->mss)
		size--;
	if (!(k->f & TF_TS)) /* nothing to keep these in */
		k->f &= ~(uint32_t)(TF_SACK | TF_WSCALE | TF_ECN);
	now = tcp_ts_now(st, tcp_ts_offset(st, &s->p->dst, &s->p->src));
	bits = k->f & TF_WSCALE ? k->snd_scale | (uint32_t)k->rcv_scale << TS_OUR_SCALE : TS_NO_SCALE;
	bits |= (k->f & TF_SACK ? TS_SACK : 0) | (k->f & TF_ECN ? TS_ECN : 0);
	*ret_ts = (now & ~((1u << TS_BITS) - 1)) | bits;
	if (seq_lt(now, *ret_ts))
		*ret_ts -= 1u << TS_BITS; /* never ahead of our clock: RFC 7323, 5.4 */
	st->tcp->cookie_ns = st->now_ns;
	return hash(st, s, s->seq, size, st->now_ns / PERIOD_NS) | size;
}

bool tcp_cookie_check(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_seg *s, struct tcp_child *ret)
{
	uint32_t cookie = s->ack - 1, irs = s->seq - 1, size = cookie & 7;
	uint64_t period = st->now_ns / PERIOD_NS;

	/* Only while some may be out there: guesses are worthless at all other times. */
	if (st->tcp->cookie_ns == 0 || st->now_ns - st->tcp->cookie_ns >= 2 * PERIOD_NS)
		return false;
	if ((cookie ^ hash(st, s, irs, size, period)) >> 3 &&
	    (period == 0 || (cookie ^ hash(st, s, irs, size, period - 1)) >> 3)) {
		st->n.tcp_cookies_bad++;
		return false;
	}
	*ret = (struct tcp_child){.iss = cookie, .irs = irs, .mss = sizes[size]};
	if (s->opt.has & WIRE_TCP_HAS_TS && !(l->refuse & TF_TS)) {
		uint32_t bits = s->opt.ts_ecr, scale = bits & 15, ours = bits >> TS_OUR_SCALE & 15;

		ret->f = TF_TS | (bits & TS_SACK ? TF_SACK : 0u) | (bits & TS_ECN ? TF_ECN : 0u);
		ret->ts_recent = s->opt.ts_val;
		if (scale <= WIRE_TCP_WSCALE_MAX && ours <= WIRE_TCP_WSCALE_MAX) {
			ret->f |= TF_WSCALE;
			ret->snd_scale = (uint8_t)scale;
			ret->rcv_scale = (uint8_t)ours;
		}
		ret->f &= ~(uint32_t)l->refuse;
	}
	return true;
}
