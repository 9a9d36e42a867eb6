/* src/wire/embedded.c: the packet an ICMP error quotes.
 *
 * It looks like a packet and is none: cut behind 8 octets of transport or later, its TTL counted down, its checksum maybe not
 * mended, and whoever sent the error may have made it up. So the lengths it states are reported and not followed, and
 * nothing is refused for its values: whether it is ours is the stack's question (RFC 5927).
 */
#include "wire/icmp.h"

#include <errno.h>

#include "base/cursor.h"
#include "wire/ip6.h"

#define N_KNOWN_MAX 8

static bool is_echo(const struct wire_embedded *e)
{
	if (e->proto == WIRE_PROTO_ICMP4)
		return e->icmp_type == WIRE_ICMP4_ECHO || e->icmp_type == WIRE_ICMP4_ECHO_REPLY;
	return e->icmp_type == WIRE_ICMP6_ECHO || e->icmp_type == WIRE_ICMP6_ECHO_REPLY;
}

/* What the first octets of the transport header tell. */
static void read_transport(struct wire_embedded *e)
{
	const uint8_t *p = e->transport.data;
	size_t n = e->transport.len_bytes;

	if (e->later_fragment)
		return;
	e->n_known = n < N_KNOWN_MAX ? (unsigned)n : N_KNOWN_MAX;
	switch (e->proto) {
	case WIRE_PROTO_TCP:
	case WIRE_PROTO_UDP:
		if (n >= 4) {
			e->src_port = wire_get16(p);
			e->dst_port = wire_get16(p + 2);
		}
		if (n < 8)
			break;
		if (e->proto == WIRE_PROTO_TCP)
			e->seq = wire_get32(p + 4);
		else
			e->udp_bytes = wire_get16(p + 4);
		break;
	case WIRE_PROTO_ICMP4:
	case WIRE_PROTO_ICMP6:
		if (n)
			e->icmp_type = p[0];
		if (n >= 8 && is_echo(e)) {
			e->src_port = wire_get16(p + 4);
			e->dst_port = wire_get16(p + 6);
		}
		break;
	}
}

static int parse4(struct wire_slice s, struct wire_embedded *e)
{
	const uint8_t *p = s.data;

	if (s.len_bytes < 20 || p[0] >> 4 != 4)
		return -EBADMSG;
	e->header_bytes = (size_t)(p[0] & 0x0f) * 4;
	e->total_bytes = wire_get16(p + 2);
	if (e->header_bytes < 20 || e->header_bytes > s.len_bytes)
		return -EBADMSG;
	e->tos = p[1];
	e->id = wire_get16(p + 4);
	e->fragment = wire_get16(p + 6) & 0x3fff;
	e->later_fragment = wire_get16(p + 6) & 0x1fff;
	e->proto = p[9];
	wire_get_addr4(p + 12, &e->src);
	wire_get_addr4(p + 16, &e->dst);
	return 0;
}

/* The chain, as in ip6.c, but nothing is judged: options and routing are passed over. */
static int walk6(struct cursor_reader *c, struct wire_embedded *e)
{
	for (unsigned n = 0; n <= WIRE_IP6_HEADERS_MAX; n++) {
		const uint8_t *p;

		switch (e->proto) {
		case WIRE_PROTO_HOPOPTS:
		case WIRE_PROTO_ROUTING:
		case WIRE_PROTO_DSTOPTS:
			p = cursor_take(c, 2);
			if (!p || !cursor_skip(c, ((size_t)p[1] + 1) * 8 - 2))
				return -EBADMSG;
			break;
		case WIRE_PROTO_FRAGMENT:
			p = cursor_take(c, WIRE_IP6_FRAGMENT_LEN);
			if (!p)
				return -EBADMSG;
			e->fragment = true;
			e->later_fragment = wire_get16(p + 2) & 0xfff8;
			break;
		default:
			return 0;
		}
		e->proto = p[0];
		if (e->later_fragment)
			return 0;
	}
	return -EBADMSG;
}

static int parse6(struct wire_slice s, struct wire_embedded *e)
{
	struct cursor_reader c = cursor_reader(s.data, s.len_bytes);
	const uint8_t *p = cursor_take(&c, WIRE_IP6_LEN);
	int r;

	if (!p || p[0] >> 4 != 6)
		return -EBADMSG;
	e->tos = (uint8_t)(wire_get16(p) >> 4);
	e->flow_label = wire_get32(p) & 0xfffff;
	e->total_bytes = WIRE_IP6_LEN + (size_t)wire_get16(p + 4);
	e->proto = p[6];
	if (wire_is_mapped(p + 8) || wire_is_mapped(p + 24))
		return -EBADMSG; /* we never sent that */
	wire_get_addr6(p + 8, &e->src);
	wire_get_addr6(p + 24, &e->dst);
	r = walk6(&c, e);
	e->header_bytes = c.at;
	return r;
}

int wire_embedded_parse(enum port_family family, struct wire_slice quoted, struct wire_embedded *ret)
{
	struct wire_embedded e = {.proto = 0};
	int r = family == PORT_FAMILY_4 ? parse4(quoted, &e) : parse6(quoted, &e);

	if (r < 0)
		return r;
	e.transport = (struct wire_slice){quoted.data + e.header_bytes, quoted.len_bytes - e.header_bytes};
	read_transport(&e);
	*ret = e;
	return 0;
}
