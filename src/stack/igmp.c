/* src/stack/igmp.c: IGMP messages in and out (RFC 2236, 3376, the host's side). What to say and when is group.c's.
 *
 * All go with TTL 1 and a router alert (RFC 3376, 4), from our address on the interface or, before there is one, from 0.0.0.0.
 * A query that came from farther than this link, or to an address that queries do not go to, is not believed (RFC 3376, 9.1).
 */
#include "stack/ip_state.h"

#define HEADER (WIRE_IP4_LEN + sizeof(wire_ip4_router_alert))

void igmp_send(struct berth_stack *st, uint16_t iface, const struct wire_group *g, const struct port_addr *dst,
	       const uint8_t *body, size_t len)
{
	struct wire_ip4 ip =
		{.src = PORT_ADDR_ANY4, .dst = *dst, .tos = 0xc0, .ttl = 1, .proto = WIRE_PROTO_IGMP, .df = true};
	uint8_t mac[6];
	uint32_t i;
	struct pkt *p = pkt_take(st, &i);
	int n, r;

	if (!p)
		return;
	if (!route_source(st, iface, dst, false, &ip.src))
		ip.src = PORT_ADDR_ANY4;
	n = wire_igmp_emit(g, p->data + p->off, PKT_ROOM);
	ASSERT(n > 0 && (size_t)n + len <= PKT_ROOM);
	if (len)
		memcpy(p->data + p->off + n, body, len);
	ip.payload.len_bytes = (size_t)n + len;
	wire_checksum_fill(&ip.src, dst, WIRE_PROTO_IGMP, p->data + p->off, ip.payload.len_bytes, 0, 0);
	ip.options = (struct wire_slice){wire_ip4_router_alert, sizeof(wire_ip4_router_alert)};
	p->off -= HEADER;
	r = wire_ip4_emit(&ip, p->data + p->off, HEADER);
	ASSERT(r == HEADER);
	p->len = (uint16_t)(HEADER + ip.payload.len_bytes);
	wire_mac_of_group(dst, mac);
	ip_link_send(st, iface, i, mac, WIRE_ETH_IP4);
}

void igmp_input(struct berth_stack *st, const struct packet *p)
{
	struct port_addr all = port_addr_v4(224, 0, 0, 1);
	struct wire_group g;

	if (!wire_transport_checksum_good(&p->src, &p->dst, p->proto, p->l4, p->l4_len)) {
		st->n.dropped_checksum++;
		return;
	}
	if (p->ttl != 1 || wire_igmp_parse(p->l4, p->l4_len, &g) < 0) {
		st->n.dropped_policy++;
		return;
	}
	if (g.kind == WIRE_GROUP_QUERY && !same_addr(&p->dst, port_addr_is_any(&g.address) ? &all : &g.address)) {
		st->n.dropped_policy++;
		return;
	}
	group_message(st, p, &g, true);
}
