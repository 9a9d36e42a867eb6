/* src/stack/mld.c: MLD messages in and out (RFC 2710, 3810, the host's side). What to say and when is group.c's.
 *
 * All go with hop limit 1 and a router alert in hop-by-hop options, from a link-local address or, before there is one, from :: (RFC 3590,
 * 4). Queries must come like that, too, and from a link-local address (RFC 3810, 5.1.14).
 */
#include "stack/ip_state.h"

#define HEADER (WIRE_IP6_LEN + WIRE_IP6_ROUTER_ALERT_LEN)

static struct port_addr link_local(const struct berth_stack *st, uint16_t iface)
{
	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i];

		if (a->used && a->iface == iface && port_addr_is_linklocal6(&a->addr) &&
		    !(a->flags & BERTH_ADDR_TENTATIVE))
			return a->addr;
	}
	return PORT_ADDR_ANY6;
}

void mld_send(struct berth_stack *st, uint16_t iface, const struct wire_group *g, const struct port_addr *dst,
	      const uint8_t *body, size_t len)
{
	struct wire_ip6 ip = {.src = link_local(st, iface), .dst = *dst, .hops = 1, .proto = WIRE_PROTO_ICMP6};
	uint8_t mac[6], alert[WIRE_IP6_ROUTER_ALERT_LEN];
	uint32_t i;
	struct pkt *p = pkt_take(st, &i);
	int n, r;

	if (!p)
		return;
	n = wire_mld_emit(g, p->data + p->off, PKT_ROOM);
	ASSERT(n > 0 && (size_t)n + len <= PKT_ROOM);
	if (len)
		memcpy(p->data + p->off + n, body, len);
	ip.payload.len_bytes = (size_t)n + len;
	wire_checksum_fill(&ip.src, dst, WIRE_PROTO_ICMP6, p->data + p->off, ip.payload.len_bytes, 0, 0);
	wire_ip6_put_router_alert(alert, WIRE_PROTO_ICMP6, 0);
	ip.next = WIRE_PROTO_HOPOPTS;
	ip.extensions = (struct wire_slice){alert, sizeof(alert)};
	p->off -= HEADER;
	r = wire_ip6_emit(&ip, p->data + p->off, HEADER);
	ASSERT(r == HEADER);
	p->len = (uint16_t)(HEADER + ip.payload.len_bytes);
	wire_mac_of_group(dst, mac);
	ip_link_send(st, iface, i, mac, WIRE_ETH_IP6);
}

void mld_input(struct berth_stack *st, const struct packet *p)
{
	struct wire_group g;

	if (p->ttl != 1 || !p->has_options || wire_mld_parse(p->l4, p->l4_len, &g) < 0) {
		st->n.dropped_policy++;
		return;
	}
	if (g.kind == WIRE_GROUP_QUERY && !port_addr_is_linklocal6(&p->src)) {
		st->n.dropped_policy++;
		return;
	}
	group_message(st, p, &g, false);
}
