/* src/stack/nd.c: how an IPv6 neighbour is asked, and answers (RFC 4861, 7; RFC 4862, 5.4 for duplicates).
 *
 * Nothing comes from farther than this link: hop limit 255, no fragments (RFC 6980), no extension headers. wire/nd.c has checked what the
 * message itself can tell. What routers say (advertisements, redirects) is slaac.c's.
 */
#include "stack/ip_state.h"

#define MESSAGE_MAX 128

void nd_send(struct berth_stack *st, uint16_t iface, const struct port_addr *src, const struct port_addr *dst,
	     const uint8_t *to, const uint8_t *msg, size_t len)
{
	struct wire_ip6 ip = {.src = *src, .dst = *dst, .hops = WIRE_ND_HOPS, .proto = WIRE_PROTO_ICMP6};
	uint8_t mac[6];
	uint32_t i;
	struct pkt *p = pkt_take(st, &i);
	int r;

	if (!p)
		return;
	ip.payload.len_bytes = len;
	p->off -= WIRE_IP6_LEN;
	r = wire_ip6_emit(&ip, p->data + p->off, WIRE_IP6_LEN);
	ASSERT(r == WIRE_IP6_LEN);
	memcpy(p->data + p->off + WIRE_IP6_LEN, msg, len);
	wire_checksum_fill(src, dst, WIRE_PROTO_ICMP6, p->data + p->off + WIRE_IP6_LEN, len, 0, 0);
	p->len = (uint16_t)(WIRE_IP6_LEN + len);
	if (to)
		memcpy(mac, to, 6);
	else
		wire_mac_of_group(dst, mac);
	st->n.nd_out++;
	ip_link_send(st, iface, i, mac, WIRE_ETH_IP6);
}

void nd_ask(struct berth_stack *st, uint16_t iface, const struct port_addr *src, const struct port_addr *target,
	    const uint8_t *to, const uint8_t *nonce)
{
	struct port_addr dst = to ? *target : wire_nd_solicited_node(target);
	struct wire_nd_ns ns = {.target = *target};
	uint8_t msg[MESSAGE_MAX];
	int r;

	if (!port_addr_is_any(src)) { /* RFC 4861, 4.3 */
		ns.options.has |= WIRE_ND_HAS_SOURCE_MAC;
		memcpy(ns.options.source_mac, iface_at(st, iface)->mac, 6);
	}
	if (nonce) {
		ns.options.has |= WIRE_ND_HAS_NONCE;
		memcpy(ns.options.nonce, nonce, WIRE_ND_NONCE_LEN);
	}
	r = wire_nd_ns_emit(&ns, msg, sizeof(msg));
	ASSERT(r > 0);
	nd_send(st, iface, src, &dst, to, msg, (size_t)r);
}

static void advertise(struct berth_stack *st, uint16_t iface, const struct port_addr *target,
		      const struct port_addr *dst, const uint8_t *to, bool solicited)
{
	struct wire_nd_na na = {.solicited = solicited, .override = true, .target = *target};
	uint8_t msg[MESSAGE_MAX];
	int r;

	na.options.has = WIRE_ND_HAS_TARGET_MAC;
	memcpy(na.options.target_mac, iface_at(st, iface)->mac, 6);
	r = wire_nd_na_emit(&na, msg, sizeof(msg));
	ASSERT(r > 0);
	nd_send(st, iface, target, dst, to, msg, (size_t)r);
}

static void solicited(struct berth_stack *st, const struct packet *p)
{
	struct wire_nd_ns ns;
	struct port_addr target, group, all = {.b = {0xff, 2, [15] = 1}};
	bool dad = port_addr_is_any(&p->src);
	uint32_t own, n;

	if (wire_nd_ns_parse(p->l4, p->l4_len, &ns) < 0 || (dad && (ns.options.has & WIRE_ND_HAS_SOURCE_MAC))) {
		st->n.dropped_malformed++;
		return;
	}
	target = with_scope(ns.target, p->iface);
	group = wire_nd_solicited_node(&target);
	if (dad && memcmp(p->dst.b, group.b, sizeof(group.b)) != 0) { /* RFC 4861, 7.1.1 */
		st->n.dropped_malformed++;
		return;
	}
	own = addr_find(st, &target);
	if (own == NIL || st->ip->addrs[own].iface != p->iface)
		return;
	if (st->ip->addrs[own].flags & BERTH_ADDR_TENTATIVE) {
		/* Our own probe, sent back by the link, has our nonce (RFC 7527); another's is a conflict. */
		if (dad && !((ns.options.has & WIRE_ND_HAS_NONCE) &&
			     memcmp(ns.options.nonce, st->ip->addrs[own].nonce, WIRE_ND_NONCE_LEN) == 0))
			addr_conflict(st, own);
		return;
	}
	if (dad) {
		advertise(st, p->iface, &target, &all, NULL, false);
		return;
	}
	if (ns.options.has & WIRE_ND_HAS_SOURCE_MAC) {
		n = neigh_get(st, p->iface, &p->src, false);
		if (n != NIL)
			neigh_learn(st, n, ns.options.source_mac);
		advertise(st, p->iface, &target, &p->src, ns.options.source_mac, true);
		return;
	}
	/* Asked alone, without a link address: he must be known. */
	n = neigh_find(st, p->iface, &p->src);
	if (n != NIL && st->ip->neighs[n].state >= NEIGH_REACHABLE && st->ip->neighs[n].state != NEIGH_FAILED)
		advertise(st, p->iface, &target, &p->src, st->ip->neighs[n].mac, true);
}

/* A router that says it is none any more is no way out (RFC 4861, 7.2.5). */
static void no_router(struct berth_stack *st, uint16_t iface, const struct port_addr *router)
{
	for (uint32_t i = 0; i < st->cfg.n_routes; i++) {
		const struct ip_route_entry *e = &st->ip->routes[i];

		if (e->used && e->iface == iface && e->kind >= ROUTE_DEFAULT && e->has_gateway &&
		    same_addr(&e->gateway, router))
			route_remove(st, i);
	}
}

static void advertised(struct berth_stack *st, const struct packet *p)
{
	struct wire_nd_na na;
	struct port_addr target;
	const uint8_t *mac;
	struct neigh *e;
	uint32_t own, n;

	if (wire_nd_na_parse(p->l4, p->l4_len, &na) < 0 || (port_addr_is_multicast(&p->dst) && na.solicited)) {
		st->n.dropped_malformed++;
		return;
	}
	target = with_scope(na.target, p->iface);
	own = addr_find(st, &target);
	if (own != NIL) {
		if (st->ip->addrs[own].iface == p->iface)
			addr_conflict(st, own);
		return;
	}
	n = neigh_find(st, p->iface, &target);
	if (n == NIL)
		return;
	mac = na.options.has & WIRE_ND_HAS_TARGET_MAC ? na.options.target_mac : NULL;
	e = &st->ip->neighs[n];
	if (e->is_router && !na.router)
		no_router(st, p->iface, &target);
	e->is_router = na.router;
	neigh_answer(st, n, mac, na.solicited, na.override);
}

void nd_input(struct berth_stack *st, const struct packet *p)
{
	if (p->ttl != WIRE_ND_HOPS || p->has_options) {
		st->n.dropped_policy++;
		return;
	}
	st->n.nd_in++;
	switch (p->l4[0]) {
	case WIRE_ICMP6_ND_NS:
		solicited(st, p);
		return;
	case WIRE_ICMP6_ND_NA:
		advertised(st, p);
		return;
	case WIRE_ICMP6_ND_RA:
		slaac_advert(st, p);
		return;
	case WIRE_ICMP6_ND_REDIRECT:
		slaac_redirect(st, p);
		return;
	default: /* solicitations of routers are for routers */
		return;
	}
}
