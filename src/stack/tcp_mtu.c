/* src/stack/tcp_mtu.c: how large a segment may be.
 *
 *	mss = min(path MTU - IP header - 20, what the peer's MSS option allows, BERTH_MAXSEG) - options on every segment
 *
 * (RFC 9293, 3.7.1; RFC 6691: the MSS option counts no options, the sender takes its own off.) What the peer asks for, and what a
 * router says, is clamped to TCP_MSS_FLOOR (S16): a peer that asks for segments of one octet makes us write forty octets of header
 * for each. Only the interface's own MTU may make them smaller.
 *
 * Routers tell a path's MTU by ICMP (tcp_icmp.c, tcp_mtu_lowered()). Where they do not, large segments vanish and small ones arrive:
 * a black hole. Then the path is searched without their help (packetization layer path MTU discovery, RFC 4821, 8899):
 *
 *	black hole	the same segment timed out BLACK_HOLE times: go on with 1280 octets, at the next timeout (IPv4) with 576
 *	search		mtu_low is known to pass, mtu_high is not known to fail. One segment of real data, larger than the rest, is the
 *			probe: of mtu_high, as soon as so much may be sent
 *	it arrived	mtu_low becomes its size
 *	it was lost	alone, while what was sent after it arrived: the octets are sent again as usual segments, and the window of
 *			congestion stays (RFC 4821, 7.7). The third time mtu_high becomes the middle between them
 *	found		nothing between them is worth a probe; ten minutes later mtu_high is the route's again
 * A segment that is lost four times is not rare where a fifth of all segments are. So where as large a one arrived meanwhile it is no black
 * hole, and the first probe, which is as large as before, comes soon. BERTH_MTU_PROBING 2 begins with the search. What a router's word lowered is looked up
 * again ten minutes later (RFC 1191, 6.3).
 *
 * mtu_low is 0 while there is nothing to search: the path takes what the route says.
 */
#include "stack/tcp_data.h"

#define MTU_UNKNOWN4 576u /* no route yet */
#define MTU_UNKNOWN6 1280u
#define TCP_TS_LEN 12u
#define BLACK_HOLE 3	/* timeouts of the same segment */
#define SEARCH_STEP 16u /* octets: less is not worth a probe */
#define MAX_PROBES 3	/* of one size that are lost, before it counts as too large (RFC 8899, 5.1.2) */
#define MTU_BASE4 1024u /* where a search begins that nothing made necessary */
#define MTU_BASE6 1280u
#define SEARCH_S 600u

static uint32_t now_s(const struct berth_stack *st)
{
	return (uint32_t)(st->now_ns / 1000000000);
}

static uint32_t headers(const struct tcp_conn *c)
{
	return (port_addr_is4(&c->w->peer) ? 20u : 40u) + WIRE_TCP_LEN;
}

static uint32_t floored(uint32_t n)
{
	return n > TCP_MSS_FLOOR ? n : TCP_MSS_FLOOR;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t options(const struct tcp_conn *c)
{
	return c->f & TF_TS ? TCP_TS_LEN : 0;
}

/* Payload of a full segment on a path of that MTU, whatever the peer allows. */
static uint32_t payload(const struct tcp_conn *c, uint32_t mtu)
{
	uint32_t most = headers(c) + options(c);

	return mtu > most ? mtu - most : 1;
}

/* What the peer and the program allow. */
static uint32_t allowed(const struct tcp_conn *c)
{
	uint32_t mss = UINT16_MAX;

	if (c->mss_peer)
		mss = smaller(mss, c->mss_peer);
	if (c->mss_user)
		mss = smaller(mss, c->mss_user);
	return floored(mss) - options(c);
}

void tcp_mss_update(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t mtu = c->w->route.mtu_bytes;

	(void)st;
	if (!mtu)
		mtu = port_addr_is4(&c->w->peer) ? MTU_UNKNOWN4 : MTU_UNKNOWN6;
	if (c->mtu_probing == 2 && !c->mtu_high && c->w->route.mtu_bytes) {
		c->mtu_high = c->w->route.mtu_bytes;
		c->mtu_low = (uint16_t)smaller(port_addr_is4(&c->w->peer) ? MTU_BASE4 : MTU_BASE6, c->mtu_high);
	}
	if (c->mtu_low)
		mtu = smaller(mtu, c->mtu_low);
	c->mss = (uint16_t)smaller(allowed(c), payload(c, mtu));
}

/* From here on segments are cut for the new size; what is in flight and larger is sent again. */
static void shrink(struct berth_stack *st, struct tcp_conn *c)
{
	uint16_t before = c->mss;

	tcp_mss_update(st, c);
	if (c->mss >= before)
		return;
	c->w->mtu_probe = 0;
	tcp_flight_too_big(st, c, c->mss);
	sock_ready(st, tcp_index(st, c));
}

void tcp_mtu_lowered(struct berth_stack *st, struct tcp_conn *c, uint32_t mtu_bytes)
{
	if (mtu_bytes < c->w->route.mtu_bytes)
		c->w->route.mtu_bytes = (uint16_t)mtu_bytes;
	if (c->mtu_low > mtu_bytes)
		c->mtu_low = (uint16_t)mtu_bytes;
	c->mtu_next_s = now_s(st) + SEARCH_S;
	shrink(st, c);
}

/* --- the search --- */

/* The MTU to try next; 0: none is worth it. */
static uint32_t candidate(const struct tcp_conn *c)
{
	uint32_t mtu = smaller(c->mtu_high, c->w->route.mtu_bytes);

	mtu = smaller(mtu, allowed(c) + options(c) + headers(c));
	return mtu >= c->mtu_low + SEARCH_STEP ? mtu : 0;
}

void tcp_mtu_tick(struct berth_stack *st, struct tcp_conn *c)
{
	if (!c->mtu_next_s || seq_lt(now_s(st), c->mtu_next_s))
		return;
	c->mtu_next_s = 0;
	if (c->mtu_low) /* what failed may pass by now */
		c->mtu_high = c->w->route.mtu_bytes;
	else /* what a router said has been forgotten (pmtu.c), or is said again */
		c->w->route.epoch = st->route_epoch - 1;
}

uint16_t tcp_mtu_probe_size(struct berth_stack *st, const struct tcp_conn *c, uint32_t may)
{
	uint32_t mtu, len;

	(void)st;
	if (!c->mtu_low || c->w->mtu_probe || c->w->ca_state != 0 || c->w->n_rtx)
		return 0;
	mtu = candidate(c);
	len = mtu ? payload(c, mtu) : 0;
	return len > c->mss && may >= len ? (uint16_t)len : 0;
}

void tcp_mtu_probe_sent(struct tcp_conn *c, uint32_t seq, uint16_t len)
{
	c->w->mtu_probe = (uint16_t)(len + options(c) + headers(c));
	c->w->mtu_probe_seq = seq;
}

static void found(struct berth_stack *st, struct tcp_conn *c)
{
	c->mtu_fails = 0;
	if (c->mtu_low >= c->w->route.mtu_bytes || !c->w->route.mtu_bytes)
		c->mtu_low = 0, c->mtu_next_s = 0;
	else if (!candidate(c))
		c->mtu_next_s = now_s(st) + SEARCH_S;
}

void tcp_mtu_acked(struct berth_stack *st, struct tcp_conn *c)
{
	if (!c->w->mtu_probe || !seq_lt(c->w->mtu_probe_seq, c->una))
		return;
	c->mtu_low = c->w->mtu_probe;
	c->w->mtu_probe = 0;
	pmtu_raise(st, &c->w->peer, c->mtu_low);
	found(st, c);
	tcp_mss_update(st, c);
}

/* One that is lost may have met with what all segments meet with. */
static void failed(struct berth_stack *st, struct tcp_conn *c)
{
	uint16_t mtu = c->w->mtu_probe;

	c->w->mtu_probe = 0;
	if (++c->mtu_fails < MAX_PROBES)
		return;
	c->mtu_high = (uint16_t)(c->mtu_low + (mtu - c->mtu_low) / 2);
	found(st, c);
}

void tcp_mtu_probe_resent(struct berth_stack *st, struct tcp_conn *c)
{
	failed(st, c);
}

bool tcp_mtu_probe_lost(struct berth_stack *st, struct tcp_conn *c)
{
	const struct tcp_burst *b;

	if (!c->w->mtu_probe)
		return false;
	for (uint32_t i = c->w->burst_first; i != NIL; i = b->next) {
		b = slab_at(&st->tcp->bursts, i);
		if (b->seq != c->w->mtu_probe_seq)
			continue;
		if (!(b->lost & 1))
			return false;
		failed(st, c);
		return c->w->n_lost == 1;
	}
	return false;
}

/* --- black holes --- */

/* Where to go on from a hole: few steps, because a program that left has eight timeouts. What passes is searched from there. */
static uint32_t base_below(const struct tcp_conn *c, uint32_t mtu)
{
	static const uint16_t bases[] = {1280, 576};
	uint32_t least = port_addr_is4(&c->w->peer) ? 576u : 1280u;

	for (size_t i = 0; i < COUNT_OF(bases); i++)
		if (bases[i] < mtu && bases[i] >= least)
			return bases[i];
	return 0;
}

/* Octets of IP of the segment that is sent again and again; full or not, it may be too large. */
static uint32_t first_size(const struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_burst *b;

	if (c->w->burst_first == NIL)
		return 0;
	b = slab_at(&st->tcp->bursts, c->w->burst_first);
	return smaller(smaller(b->len, b->mss), c->mss) + options(c) + headers(c);
}

/* Did as large a segment arrive behind it? Then it is not the size; but the path may have become smaller just after, so that is believed
 * for some timeouts only. */
static bool large_arrived(const struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_burst *b;
	uint32_t size = first_size(st, c);

	if (c->w->n_rtx >= 2 * BLACK_HOLE)
		return false;
	for (uint32_t i = c->w->burst_first; i != NIL; i = b->next) {
		uint64_t full;

		b = slab_at(&st->tcp->bursts, i);
		full = b->sacked & ~b->lost;
		if (b->len < (uint32_t)b->mss * b->n)
			full &= ~(UINT64_C(1) << (b->n - 1)); /* the last one is shorter */
		if (full && b->mss + options(c) + headers(c) >= size)
			return true;
	}
	return false;
}

void tcp_mtu_timeouts(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t mtu = smaller(c->mtu_low ? c->mtu_low : c->w->route.mtu_bytes, c->mss + options(c) + headers(c)), next;

	if (c->pmtu_disc == 0 || c->w->ca_state != 4 || c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)
		return;
	if (c->w->mtu_probe)
		failed(st, c);
	if (c->w->n_rtx == c->w->mtu_rtx) /* this timeout was seen */
		return;
	c->w->mtu_rtx = c->w->n_rtx;
	if (c->w->n_rtx < BLACK_HOLE || c->mtu_probing == 0 || large_arrived(st, c))
		return;
	next = base_below(c, smaller(mtu, first_size(st, c)));
	if (!next)
		return;
	if (!c->mtu_low || c->mtu_high < mtu)
		c->mtu_high = (uint16_t)mtu;
	c->mtu_low = (uint16_t)next;
	c->mtu_next_s = 0;
	shrink(st, c);
}
