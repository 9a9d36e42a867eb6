/* src/stack/icmp_out.c: ICMP messages of ours: errors, which are limited, and echo replies.
 *
 * An error is never sent for an ICMP error, a group or broadcast of IP or of the link, a later fragment, or to a source that is no
 * single host (RFC 1122, 3.2.2; RFC 4443, 2.4 (e)). It quotes as much as fits 576 (IPv4) or 1280 octets (IPv6).
 *
 * Limits (S11): a store of answers for each source (ten, filled with ten a second; an IPv6 source is its /64) and one for all (fifty,
 * a thousand a second). The price of the next answer is drawn at random around 1, so that nobody can tell from outside how full it is and
 * count our answers to others (SAD DNS, CVE-2020-25705). Sources share the stores of a keyed hash table.
 */
#include "stack/ip_state.h"

#define QUOTE4_MAX (576 - WIRE_IP4_LEN - WIRE_ICMP_LEN)
#define QUOTE6_MAX (1280 - WIRE_IP6_LEN - WIRE_ICMP_LEN)
#define SOURCE_STORE 10
#define SOURCE_RATE 10 /* a second */
#define ALL_STORE 50
#define ALL_RATE 1000
#define PRICE_MIN 500 /* thousandths */
#define PRICE_SPREAD 1001

static bool take(struct berth_stack *st, struct icmp_bucket *b, uint32_t store, uint32_t rate)
{
	uint64_t since_ns = st->now_ns - b->at_ns, grown;

	if (!b->at_ns || since_ns > 100 * SECOND_NS)
		since_ns = 100 * SECOND_NS;
	grown = b->milli + since_ns * rate / MS_NS;
	b->milli = grown > store * 1000 ? store * 1000 : (uint32_t)grown;
	b->at_ns = st->now_ns ? st->now_ns : 1;
	if (!b->price)
		b->price = PRICE_MIN + stack_random_below(st, PRICE_SPREAD);
	if (b->milli < b->price)
		return false;
	b->milli -= b->price;
	b->price = 0;
	return true;
}

bool icmp_allow(struct berth_stack *st, const struct port_addr *to)
{
	uint64_t hash = siphash13(&st->keys.icmp_hash, to->b, is4(to) ? 16 : 8);

	if (take(st, &st->ip->icmp_sources[hash % ICMP_SOURCES], SOURCE_STORE, SOURCE_RATE) &&
	    take(st, &st->ip->icmp_all, ALL_STORE, ALL_RATE))
		return true;
	st->n.icmp_limited++;
	return false;
}

/* --- sending --- */

struct message {
	const struct port_addr *src, *dst;
	const uint8_t *head, *data; /* head: WIRE_ICMP_LEN octets with the checksum */
	size_t len;		    /* of data */
};

/* Octets [at, at + len) of the message. */
static void copy(const struct message *m, size_t at, uint8_t *to, size_t len)
{
	size_t from_head = at < WIRE_ICMP_LEN ? WIRE_ICMP_LEN - at : 0;

	if (from_head > len)
		from_head = len;
	if (from_head)
		memcpy(to, m->head + at, from_head);
	if (len > from_head)
		memcpy(to + from_head, m->data + (at + from_head - WIRE_ICMP_LEN), len - from_head);
}

/* In fragments, each a datagram of its own to ip_send(): a message may be larger than a packet buffer. */
static void send_pieces(struct berth_stack *st, const struct message *m, const struct ip_head *h, struct ip_route *rt)
{
	uint8_t head[WIRE_ETH_LEN + WIRE_IP6_LEN + WIRE_IP6_FRAGMENT_LEN];
	size_t link = ip_link_len(st, rt);
	uint32_t id = ip_fragment_id(st, h), len, i;

	if (rt->mtu_bytes > PKT_ROOM)
		rt->mtu_bytes = PKT_ROOM;
	for (uint32_t at = 0; at < h->l4_len; at += len) {
		struct pkt *p = pkt_take(st, &i);
		size_t n = ip_fragment_put(st, rt, h, id, at, head, &len);

		if (!p)
			return;
		copy(m, at, p->data + p->off, len);
		p->off -= (uint16_t)(n - link);
		p->len = (uint16_t)(len + n - link);
		memcpy(p->data + p->off, head + link, n - link);
		st->n.frag_out++;
		ip_send_ready(st, i, rt, is4(h->src));
	}
}

void icmp_send(struct berth_stack *st, const struct port_addr *src, const struct port_addr *dst, uint16_t iface,
	       uint8_t tos, const uint8_t head[WIRE_ICMP_LEN], const uint8_t *data, size_t len)
{
	uint8_t proto = is4(dst) ? WIRE_PROTO_ICMP4 : WIRE_PROTO_ICMP6, sealed[WIRE_ICMP_LEN];
	struct message m = {.head = sealed, .data = data, .len = len};
	struct port_addr from;
	struct ip_route rt;
	struct ip_head h = {.proto = proto, .tos = tos, .l4_len = (uint32_t)(WIRE_ICMP_LEN + len)};
	struct pkt *p;
	uint32_t i;

	if (ip_route_find(st, src, dst, iface, &rt, &from) < 0) {
		st->n.dropped_no_route++;
		return;
	}
	memcpy(sealed, head, WIRE_ICMP_LEN);
	wire_checksum_fill(&from, dst, proto, sealed, WIRE_ICMP_LEN, wire_sum_at(0, WIRE_ICMP_LEN, data, len), len);
	m.src = h.src = &from;
	m.dst = h.dst = dst;
	st->n.icmp_out++;
	if (h.l4_len > PKT_ROOM) {
		send_pieces(st, &m, &h, &rt);
		return;
	}
	p = pkt_take(st, &i);
	if (!p)
		return;
	copy(&m, 0, p->data + p->off, h.l4_len);
	p->len = (uint16_t)h.l4_len;
	if (ip_send(st, i, &h, &rt) < 0)
		st->n.dropped_no_route++;
}

/* --- errors --- */

/* May p be answered with an error at all? */
static bool may_answer(const struct berth_stack *st, const struct packet *p, bool to_group_too)
{
	bool v4 = is4(&p->src);

	if ((p->not_unicast && !to_group_too) || port_addr_is_any(&p->src) || port_addr_is_multicast(&p->src) ||
	    ip_is_broadcast(st, p->iface, &p->src))
		return false;
	if (v4 && p->proto == WIRE_PROTO_ICMP4)
		return p->l4_head && !wire_icmp4_is_error(p->l4[0]) && p->l4[0] != 5; /* 5: redirect */
	if (!v4 && p->proto == WIRE_PROTO_ICMP6)
		return p->l4_head && !wire_icmp6_is_error(p->l4[0]) && p->l4[0] != WIRE_ICMP6_ND_REDIRECT;
	return true;
}

static void send_error(struct berth_stack *st, const struct packet *p, const uint8_t head[WIRE_ICMP_LEN])
{
	size_t max = is4(&p->src) ? QUOTE4_MAX : QUOTE6_MAX, len = p->ip_len < max ? p->ip_len : max;
	const struct port_addr *from = !p->not_unicast && ip_is_local(st, &p->dst) ? &p->dst : NULL;

	if (icmp_allow(st, &p->src))
		icmp_send(st, from, &p->src, p->src.scope ? p->iface : BERTH_IFACE_ANY, 0, head, p->ip, len);
}

static struct wire_icmp4 error4(enum icmp_error error, uint32_t value)
{
	struct wire_icmp4 m = {.type = WIRE_ICMP4_UNREACHABLE};

	switch (error) {
	case ICMP_ERR_NET_UNREACH:
		m.code = WIRE_ICMP4_UNREACHABLE_NET;
		break;
	case ICMP_ERR_HOST_UNREACH:
		m.code = WIRE_ICMP4_UNREACHABLE_HOST;
		break;
	case ICMP_ERR_PORT_UNREACH:
		m.code = WIRE_ICMP4_UNREACHABLE_PORT;
		break;
	case ICMP_ERR_PROTO_UNREACH:
		m.code = WIRE_ICMP4_UNREACHABLE_PROTO;
		break;
	case ICMP_ERR_PROHIBITED:
		m.code = WIRE_ICMP4_UNREACHABLE_ADMIN;
		break;
	case ICMP_ERR_TOO_BIG:
		m.code = WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED;
		m.mtu = (uint16_t)value;
		break;
	case ICMP_ERR_TIME_EXCEEDED:
		m.type = WIRE_ICMP4_TIME_EXCEEDED;
		m.code = (uint8_t)value;
		break;
	case ICMP_ERR_PARAMETER:
		m.type = WIRE_ICMP4_PARAMETER_PROBLEM;
		m.pointer = (uint8_t)value;
		break;
	}
	return m;
}

static struct wire_icmp6 error6(enum icmp_error error, uint32_t value)
{
	struct wire_icmp6 m = {.type = WIRE_ICMP6_UNREACHABLE};

	switch (error) {
	case ICMP_ERR_NET_UNREACH:
		m.code = WIRE_ICMP6_UNREACHABLE_ROUTE;
		break;
	case ICMP_ERR_HOST_UNREACH:
		m.code = WIRE_ICMP6_UNREACHABLE_ADDRESS;
		break;
	case ICMP_ERR_PORT_UNREACH:
		m.code = WIRE_ICMP6_UNREACHABLE_PORT;
		break;
	case ICMP_ERR_PROTO_UNREACH:
		m.type = WIRE_ICMP6_PARAMETER_PROBLEM;
		m.code = WIRE_IP6_PROBLEM_HEADER;
		m.pointer = value;
		break;
	case ICMP_ERR_PROHIBITED:
		m.code = WIRE_ICMP6_UNREACHABLE_ADMIN;
		break;
	case ICMP_ERR_TOO_BIG:
		m.type = WIRE_ICMP6_TOO_BIG;
		m.mtu = value;
		break;
	case ICMP_ERR_TIME_EXCEEDED:
		m.type = WIRE_ICMP6_TIME_EXCEEDED;
		m.code = (uint8_t)value;
		break;
	case ICMP_ERR_PARAMETER:
		m.type = WIRE_ICMP6_PARAMETER_PROBLEM;
		m.pointer = value;
		break;
	}
	return m;
}

void icmp_send_error(struct berth_stack *st, const struct packet *p, enum icmp_error error, uint32_t value)
{
	struct wire_icmp4 m4 = error4(error, value);
	struct wire_icmp6 m6 = error6(error, value);
	uint8_t head[WIRE_ICMP_LEN];
	int r;

	if (!may_answer(st, p, error == ICMP_ERR_TOO_BIG && !is4(&p->src)))
		return;
	r = is4(&p->src) ? wire_icmp4_emit(&m4, head, sizeof(head)) : wire_icmp6_emit(&m6, head, sizeof(head));
	ASSERT(r == WIRE_ICMP_LEN);
	send_error(st, p, head);
}

void icmp_parameter_problem6(struct berth_stack *st, const struct packet *p, uint8_t code, uint32_t pointer,
			     bool to_group_too)
{
	struct wire_icmp6 m = {.type = WIRE_ICMP6_PARAMETER_PROBLEM, .code = code, .pointer = pointer};
	uint8_t head[WIRE_ICMP_LEN];
	int r;

	if (!may_answer(st, p, to_group_too))
		return;
	r = wire_icmp6_emit(&m, head, sizeof(head));
	ASSERT(r == WIRE_ICMP_LEN);
	send_error(st, p, head);
}
