/* src/wire/ip6.c: the IPv6 header and its chain (RFC 8200).
 *
 * The chain is walked once, header by header, through a cursor that ends where the payload length does. Bounds (S2): at most
 * WIRE_IP6_HEADERS_MAX headers and WIRE_IP6_OPTIONS_MAX octets of options, each step takes at least 8 octets, options at least
 * one. Whatever is not an extension header we know ends the walk (S4): AH, ESP and mobility are upper layers to us.
 *
 * A packet may be wrong in three ways: not worth an answer (-EBADMSG), to be answered with a parameter problem (-EPROTO), or a
 * first fragment that leaves headers to later ones, which would blind everybody on the way (RFC 7112): -EPROTO, code 3.
 *
 * Cost: 40 octets read once where there is no chain. Elsewhere: reassembly (stack/).
 */
#include "wire/ip6.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define OPTION_PAD1 0
#define OPTION_PADN 1
#define OPTION_ROUTER_ALERT 5

#define FRAGMENT_AT_MASK 0xfff8
#define FRAGMENT_MORE 0x0001

struct walk {
	struct cursor_reader c; /* over the packet, cut to the payload length */
	struct wire_ip6 ip;
	struct wire_ip6_problem problem;
	unsigned n_headers, options_bytes;
	size_t more_bytes; /* of the packet, behind c */
};

static int refuse(struct walk *w, uint8_t code, size_t pointer)
{
	w->problem.code = code;
	w->problem.pointer = (uint32_t)pointer;
	return -EPROTO;
}

/* The chain ran out of octets. */
static int cut_short(struct walk *w)
{
	return w->ip.fragmented && w->ip.more ? refuse(w, WIRE_IP6_PROBLEM_CHAIN, 0) : -EBADMSG;
}

/* An option we do not know says itself what to do: the two high bits of its type (RFC 8200, 4.2). */
static int unknown_option(struct walk *w, uint8_t type, size_t at)
{
	switch (type >> 6) {
	case 0:
		return 0;
	case 1:
		return -EBADMSG;
	case 2:
		w->problem.to_multicast_too = true;
	}
	return refuse(w, WIRE_IP6_PROBLEM_OPTION, at);
}

/* The options of one header, c ends with it. base is the header's offset in the packet. */
static int walk_options(struct walk *w, struct cursor_reader *c, size_t base, bool hop_by_hop)
{
	while (cursor_reader_left(c)) {
		size_t at = base + c->at;
		uint8_t type = cursor_get_u8(c), len;
		const uint8_t *value;
		int r;

		if (type == OPTION_PAD1)
			continue;
		len = cursor_get_u8(c);
		value = cursor_take(c, len);
		if (!value)
			return -EBADMSG;
		if (type == OPTION_PADN)
			continue;
		if (type == OPTION_ROUTER_ALERT && hop_by_hop) {
			if (len != 2 || w->ip.router_alert)
				return -EBADMSG; /* once, RFC 2711, 2.1 */
			w->ip.router_alert = true;
			w->ip.router_alert_value = wire_get16(value);
			continue;
		}
		r = unknown_option(w, type, at);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A header of next, length in units of 8 octets beyond the first, rest. */
static int walk_sized(struct walk *w, uint8_t which)
{
	size_t base = w->c.at;
	const uint8_t *p = cursor_take(&w->c, 2);
	size_t len;
	struct cursor_reader inner;

	if (!p)
		return cut_short(w);
	len = ((size_t)p[1] + 1) * 8;
	if (!cursor_skip(&w->c, len - 2))
		return cut_short(w);
	w->ip.proto = p[0];
	w->ip.proto_at = (uint16_t)base;
	if (which == WIRE_PROTO_ROUTING) {
		/* No type is known here, 0 is not allowed (RFC 5095, 3): passed over when it has done its work, else refused at
		 * its type (RFC 8200, 4.4). */
		return p[3] ? refuse(w, WIRE_IP6_PROBLEM_FIELD, base + 2) : 0;
	}
	w->options_bytes += (unsigned)len;
	if (w->options_bytes > WIRE_IP6_OPTIONS_MAX)
		return -EBADMSG;
	inner = cursor_reader(p, len);
	cursor_skip(&inner, 2);
	return walk_options(w, &inner, base, which == WIRE_PROTO_HOPOPTS);
}

static int walk_fragment(struct walk *w)
{
	struct wire_ip6 *ip = &w->ip;
	size_t base = w->c.at;
	const uint8_t *p = cursor_take(&w->c, WIRE_IP6_FRAGMENT_LEN);
	uint16_t at_and_more;

	if (!p || ip->fragmented)
		return -EBADMSG; /* a fragment of a fragment is nobody's */
	at_and_more = wire_get16(p + 2);
	ip->fragmented = true;
	ip->more = at_and_more & FRAGMENT_MORE;
	ip->fragment_at = at_and_more & FRAGMENT_AT_MASK;
	ip->fragment_id = wire_get32(p + 4);
	ip->fragment_named = ip->proto_at;
	ip->fragment_next = p[0];
	ip->unfragmentable_bytes = (uint16_t)(base - WIRE_IP6_LEN);
	ip->fragment = (struct wire_slice){p + WIRE_IP6_FRAGMENT_LEN, cursor_reader_left(&w->c)};
	ip->proto = p[0];
	ip->proto_at = (uint16_t)base;
	/* Reassembled, the payload length would not hold it (RFC 8200, 4.5). */
	if (ip->unfragmentable_bytes + (size_t)ip->fragment_at + ip->fragment.len_bytes + w->more_bytes >
	    WIRE_IP6_PAYLOAD_MAX)
		return refuse(w, WIRE_IP6_PROBLEM_FIELD, base + 2);
	return 0;
}

/* Does a first fragment hold the whole upper header, as RFC 7112, 5 wants? */
static bool upper_header_whole(uint8_t proto, struct wire_slice s)
{
	switch (proto) {
	case WIRE_PROTO_TCP:
		return s.len_bytes >= 20 && s.len_bytes >= (size_t)(s.data[12] >> 4) * 4;
	case WIRE_PROTO_UDP:
	case WIRE_PROTO_ICMP6:
		return s.len_bytes >= 8;
	default:
		return true;
	}
}

static int walk_chain(struct walk *w)
{
	int r;

	for (;;) {
		uint8_t which = w->ip.proto;

		switch (which) {
		case WIRE_PROTO_HOPOPTS:
			if (w->n_headers) /* only the fixed header may name it (RFC 8200, 4.1) */
				return refuse(w, WIRE_IP6_PROBLEM_HEADER, w->ip.proto_at);
			FALLTHROUGH;
		case WIRE_PROTO_ROUTING:
		case WIRE_PROTO_DSTOPTS:
			r = walk_sized(w, which);
			break;
		case WIRE_PROTO_FRAGMENT:
			r = walk_fragment(w);
			if (r == 0 && w->ip.fragment_at)
				return 0; /* what follows is the middle of something */
			break;
		default:
			return 0;
		}
		if (r < 0)
			return r;
		if (++w->n_headers > WIRE_IP6_HEADERS_MAX)
			return -EBADMSG;
	}
}

static int walk_packet(struct walk *w)
{
	struct wire_ip6 *ip = &w->ip;
	int r = walk_chain(w);

	if (r < 0)
		return r;
	ip->extensions = (struct wire_slice){w->c.data + WIRE_IP6_LEN, w->c.at - WIRE_IP6_LEN};
	ip->payload = (struct wire_slice){w->c.data + w->c.at, w->c.len - w->c.at};
	if (ip->more && !ip->fragment_at && !upper_header_whole(ip->proto, ip->payload))
		return refuse(w, WIRE_IP6_PROBLEM_CHAIN, 0);
	ip->payload.len_bytes += w->more_bytes;
	if (ip->fragmented)
		ip->fragment.len_bytes += w->more_bytes;
	return 0;
}

int wire_ip6_parse(const uint8_t *data, size_t len_bytes, struct wire_ip6 *ret, struct wire_ip6_problem *reterr_problem)
{
	return wire_ip6_parse_split(data, len_bytes, 0, ret, reterr_problem);
}

static bool is_extension(uint8_t proto)
{
	return proto == WIRE_PROTO_HOPOPTS || proto == WIRE_PROTO_ROUTING || proto == WIRE_PROTO_FRAGMENT ||
	       proto == WIRE_PROTO_DSTOPTS;
}

/* The fields of the fixed header; all others are 0. */
static void get_fixed(const uint8_t *data, struct wire_ip6 *ip)
{
	*ip = (struct wire_ip6){.fragmented = false};
	wire_get_addr6(data + 8, &ip->src);
	wire_get_addr6(data + 24, &ip->dst);
	ip->flow = wire_get32(data) & 0xfffff;
	ip->tclass = (uint8_t)(wire_get16(data) >> 4);
	ip->hops = data[7];
	ip->next = ip->proto = data[6];
	ip->proto_at = 6;
}

/* With extension headers: payload octets behind the fixed header, more_bytes of which are elsewhere. */
static int parse_chain(const uint8_t *data, size_t payload, size_t more_bytes, struct wire_ip6 *ret,
		       struct wire_ip6_problem *reterr_problem)
{
	struct walk w = {.more_bytes = more_bytes};
	int r;

	get_fixed(data, &w.ip);
	w.problem.src = w.ip.src;
	w.problem.dst = w.ip.dst;
	w.c = cursor_reader(data, WIRE_IP6_LEN + payload - more_bytes);
	cursor_skip(&w.c, WIRE_IP6_LEN);
	r = walk_packet(&w);
	if (r == 0)
		*ret = w.ip;
	else if (r == -EPROTO && reterr_problem)
		*reterr_problem = w.problem;
	return r;
}

int wire_ip6_parse_split(const uint8_t *data, size_t len_bytes, size_t more_bytes, struct wire_ip6 *ret,
			 struct wire_ip6_problem *reterr_problem)
{
	size_t payload, elsewhere;

	if (len_bytes < WIRE_IP6_LEN || data[0] >> 4 != 6)
		return -EBADMSG;
	payload = wire_get16(data + 4);
	if (payload > len_bytes - WIRE_IP6_LEN + more_bytes)
		return -EBADMSG;
	if (payload == 0 && data[6] == WIRE_PROTO_HOPOPTS && len_bytes > WIRE_IP6_LEN)
		return -EPROTONOSUPPORT; /* RFC 2675 */
	if (wire_is_mapped(data + 8) || wire_is_mapped(data + 24))
		return -EBADMSG;
	if (is_extension(data[6])) {
		elsewhere = WIRE_IP6_LEN + payload > len_bytes ? WIRE_IP6_LEN + payload - len_bytes : 0;
		return parse_chain(data, payload, elsewhere, ret, reterr_problem);
	}
	get_fixed(data, ret);
	ret->extensions = (struct wire_slice){data + WIRE_IP6_LEN, 0};
	ret->payload = (struct wire_slice){data + WIRE_IP6_LEN, payload};
	return 0;
}

int wire_ip6_emit(const struct wire_ip6 *ip, uint8_t *buf, size_t len_bytes)
{
	size_t header = WIRE_IP6_LEN + ip->extensions.len_bytes;

	ASSERT(ip->extensions.len_bytes % 8 == 0 && ip->flow <= 0xfffff);
	ASSERT(!port_addr_is4(&ip->src) && !port_addr_is4(&ip->dst));
	if (len_bytes < header)
		return -ENOBUFS;
	if (ip->payload.len_bytes > WIRE_IP6_PAYLOAD_MAX ||
	    ip->extensions.len_bytes + ip->payload.len_bytes > WIRE_IP6_PAYLOAD_MAX)
		return -EMSGSIZE;
	wire_put32(buf, (uint32_t)6 << 28 | (uint32_t)ip->tclass << 20 | ip->flow);
	wire_put16(buf + 4, (uint16_t)(ip->extensions.len_bytes + ip->payload.len_bytes));
	buf[6] = ip->extensions.len_bytes ? ip->next : ip->proto;
	buf[7] = ip->hops;
	memcpy(buf + 8, ip->src.b, 16);
	memcpy(buf + 24, ip->dst.b, 16);
	if (ip->extensions.len_bytes)
		memcpy(buf + WIRE_IP6_LEN, ip->extensions.data, ip->extensions.len_bytes);
	return (int)header;
}

void wire_ip6_put_fragment(uint8_t buf[WIRE_IP6_FRAGMENT_LEN], uint8_t next, uint16_t at_bytes, bool more, uint32_t id)
{
	ASSERT(at_bytes % 8 == 0);
	buf[0] = next;
	buf[1] = 0;
	wire_put16(buf + 2, (uint16_t)(at_bytes | (more ? FRAGMENT_MORE : 0)));
	wire_put32(buf + 4, id);
}

void wire_ip6_put_router_alert(uint8_t buf[WIRE_IP6_ROUTER_ALERT_LEN], uint8_t next, uint16_t value)
{
	buf[0] = next;
	buf[1] = 0;
	buf[2] = OPTION_ROUTER_ALERT;
	buf[3] = 2;
	wire_put16(buf + 4, value);
	buf[6] = OPTION_PADN;
	buf[7] = 0;
}
