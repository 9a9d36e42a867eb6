/* src/stack/tcp_mtu.c: how large a segment may be.
 *
 *	mss = min(path MTU - IP header - 20, what the peer's MSS option allows, BERTH_MAXSEG) - options on every segment
 *
 * (RFC 9293, 3.7.1; RFC 6691: the MSS option counts no options, the sender takes its own off.) What the peer asks for, and what a
 * router says, is clamped to TCP_MSS_FLOOR (S16): a peer that asks for segments of one octet makes us write forty octets of header
 * for each. Only the interface's own MTU may make them smaller.
 */
#include "stack/tcp_data.h"

#define MTU_UNKNOWN4 576u /* no route yet */
#define MTU_UNKNOWN6 1280u
#define TCP_TS_LEN 12u

static uint32_t headers(const struct tcp_conn *c)
{
	return (port_addr_is4(&c->peer) ? 20u : 40u) + WIRE_TCP_LEN;
}

static uint32_t floored(uint32_t n)
{
	return n > TCP_MSS_FLOOR ? n : TCP_MSS_FLOOR;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void tcp_mss_update(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t mtu = c->route.mtu_bytes, most, mss, options = c->f & TF_TS ? TCP_TS_LEN : 0;

	(void)st;
	if (!mtu)
		mtu = port_addr_is4(&c->peer) ? MTU_UNKNOWN4 : MTU_UNKNOWN6;
	most = mtu > headers(c) + options ? mtu - headers(c) - options : 1;
	mss = UINT16_MAX;
	if (c->mss_peer)
		mss = smaller(mss, c->mss_peer);
	if (c->mss_user)
		mss = smaller(mss, c->mss_user);
	mss = floored(mss) - options;
	c->mss = (uint16_t)smaller(mss, most);
}

void tcp_mtu_lowered(struct berth_stack *st, struct tcp_conn *c, uint32_t mtu_bytes)
{
	uint16_t before = c->mss;

	if (mtu_bytes < c->route.mtu_bytes)
		c->route.mtu_bytes = (uint16_t)mtu_bytes;
	tcp_mss_update(st, c);
	if (c->mss >= before)
		return;
	tcp_flight_too_big(st, c, c->mss);
	sock_ready(st, tcp_index(st, c));
}
