/* src/stack/ip_out.c: where a packet goes, and the headers in front of it.
 *
 * A destination is one of: ourselves (a loopback interface, no link header), a group or broadcast (the link address follows from it), a
 * neighbour, or behind a router that is one. ip_route_find() says which, once; ip_head_put() then is some stores. What must wait for a
 * neighbour waits there (neigh.c), at most three packets.
 *
 * What is larger than the way takes is cut here (RFC 791, 3.2; RFC 8200, 4.5), unless DF says no. Identifications: 0 or the
 * transport's where DF is set, since nobody reassembles those (RFC 6864, 4.1); else, and for IPv6's fragments, a counter under a keyed hash of the two addresses that
 * moves in random steps (S22, RFC 7739).
 */
#include "stack/ip_state.h"

#define TTL_DEFAULT 64

/* --- where to --- */

static uint16_t loopback_iface(const struct berth_stack *st)
{
	for (uint16_t i = 0; i < st->cfg.n_ifaces && i < IP_IFACE_SELF; i++)
		if (st->ip->ifaces[i].used && st->ip->ifaces[i].up && (st->ip->ifaces[i].flags & BERTH_IF_LOOPBACK))
			return i;
	return IP_IFACE_SELF;
}

static int to_self(struct berth_stack *st, const struct port_addr *dst, struct ip_route *rt, struct port_addr *src)
{
	rt->iface = loopback_iface(st);
	rt->loopback = 1;
	rt->mtu_bytes = (uint16_t)iface_mtu(iface_at(st, rt->iface), is4(dst));
	if (port_addr_is_any(src))
		*src = *dst;
	return 0;
}

/* The interface for what every interface could send. */
static uint16_t some_iface(const struct berth_stack *st, const struct port_addr *dst)
{
	uint32_t slot = route_lookup(st, dst, BERTH_IFACE_ANY);
	struct port_addr unused;

	if (slot != NIL)
		return st->ip->routes[slot].iface;
	for (uint16_t i = 0; i < st->cfg.n_ifaces && i < IP_IFACE_SELF; i++)
		if (st->ip->ifaces[i].used && st->ip->ifaces[i].up && !(st->ip->ifaces[i].flags & BERTH_IF_LOOPBACK) &&
		    (is4(dst) || iface_has6(&st->ip->ifaces[i])) && route_source(st, i, dst, false, &unused))
			return i;
	return BERTH_IFACE_ANY;
}

static int to_many(struct berth_stack *st, const struct port_addr *dst, uint16_t iface, bool is_public,
		   struct ip_route *rt, struct port_addr *src)
{
	const struct iface *f;

	rt->iface = iface != BERTH_IFACE_ANY ? iface : some_iface(st, dst);
	rt->not_unicast = 1;
	f = iface_at(st, rt->iface);
	if (!f || (!is4(dst) && !iface_has6(f)))
		return -ENETUNREACH;
	if (!f->up)
		return -ENETDOWN;
	if (port_addr_is_multicast(dst))
		wire_mac_of_group(dst, rt->mac);
	else
		memset(rt->mac, 0xff, sizeof(rt->mac));
	rt->mtu_bytes = (uint16_t)iface_mtu(f, is4(dst));
	/* Who has no address yet may still call everybody: DHCP (RFC 2131, 4.1). */
	if (port_addr_is_any(src) && !route_source(st, rt->iface, dst, is_public, src))
		return is4(dst) ? 0 : -EADDRNOTAVAIL;
	return 0;
}

static int to_one(struct berth_stack *st, const struct port_addr *dst, uint16_t iface, bool is_public,
		  struct ip_route *rt, struct port_addr *src)
{
	struct port_addr hop = *dst;
	const struct iface *f;
	uint32_t slot = dst->scope && iface_at(st, (uint16_t)(dst->scope - 1)) ? NIL : route_lookup(st, dst, iface);
	uint32_t mtu;

	if (dst->scope) { /* a link-local address is on its link, whatever the routes say; but a redirect may know better */
		rt->iface = (uint16_t)(dst->scope - 1);
	} else if (slot != NIL) {
		rt->iface = st->ip->routes[slot].iface;
		if (st->ip->routes[slot].has_gateway)
			hop = st->ip->routes[slot].gateway;
	} else {
		return -ENETUNREACH;
	}
	f = iface_at(st, rt->iface);
	if (!f || (!is4(dst) && !iface_has6(f)))
		return -ENETUNREACH;
	if (!f->up)
		return -ENETDOWN;
	if (port_addr_is_any(src) && !route_source(st, rt->iface, dst, is_public, src))
		return -EADDRNOTAVAIL;
	mtu = pmtu_get(st, dst, iface_mtu(f, is4(dst)));
	rt->mtu_bytes = (uint16_t)(mtu > 65535 ? 65535 : mtu);
	rt->loopback = (f->flags & BERTH_IF_LOOPBACK) != 0;
	if (f->link == BERTH_LINK_IP || rt->loopback)
		return 0;
	rt->neigh = neigh_get(st, rt->iface, &hop, true);
	if (rt->neigh == NIL)
		return -ENETUNREACH;
	st->ip->neighs[rt->neigh].routed = true;
	return 0;
}

static int find(struct berth_stack *st, const struct port_addr *src, const struct port_addr *dst, uint16_t iface,
		bool is_public, struct ip_route *ret, struct port_addr *ret_src)
{
	struct ip_route rt = {.neigh = NIL, .iface = iface};
	struct port_addr from = src ? *src : (is4(dst) ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6);
	struct port_addr to = *dst;
	bool bound = !port_addr_is_any(&from);
	int r;

	if (iface != BERTH_IFACE_ANY && !iface_at(st, iface))
		return -ENETUNREACH;
	if (port_addr_is_linklocal6(&to) && !to.scope && iface != BERTH_IFACE_ANY)
		to.scope = (uint32_t)iface + 1;
	if (port_addr_is_linklocal6(&to) &&
	    (!to.scope || (iface != BERTH_IFACE_ANY && to.scope != (uint32_t)iface + 1)))
		return -ENETUNREACH;
	if (port_addr_is_any(&to) || (bound && is4(&from) != is4(&to)))
		return -ENETUNREACH;
	if (bound && !ip_is_local(st, &from))
		return -EADDRNOTAVAIL;
	if (!bound)
		from = is4(&to) ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	if (port_addr_is_multicast(&to) || ip_is_broadcast(st, iface, &to))
		r = to_many(st, &to, iface, is_public, &rt, &from);
	else if (ip_is_local(st, &to))
		r = to_self(st, &to, &rt, &from);
	else if (port_addr_is_loopback(&from))
		r = -ENETUNREACH; /* RFC 1122, 3.2.1.3 (g): never on a link */
	else
		r = to_one(st, &to, iface, is_public, &rt, &from);
	if (r < 0)
		return r;
	rt.epoch = st->route_epoch; /* neigh_get() may have moved it */
	*ret = rt;
	if (ret_src)
		*ret_src = from;
	return 0;
}

int ip_route_find(struct berth_stack *st, const struct port_addr *src, const struct port_addr *dst, uint16_t iface,
		  struct ip_route *ret, struct port_addr *ret_src)
{
	return find(st, src, dst, iface, false, ret, ret_src);
}

int ip_route_find_for(struct berth_stack *st, const struct sock *s, const struct port_addr *src,
		      const struct port_addr *dst, uint16_t iface, struct ip_route *ret, struct port_addr *ret_src)
{
	return find(st, src, dst, iface, s->flags & SOCK_PUBLIC, ret, ret_src);
}

/* --- headers --- */

size_t ip_link_len(const struct berth_stack *st, const struct ip_route *rt)
{
	const struct iface *f = iface_at(st, rt->iface);

	return f && f->link == BERTH_LINK_ETHERNET && !(f->flags & BERTH_IF_LOOPBACK) ? WIRE_ETH_LEN : 0;
}

static size_t link_put(struct berth_stack *st, const struct ip_route *rt, uint16_t type, uint8_t *head)
{
	struct wire_eth e = {.type = type};

	if (!ip_link_len(st, rt))
		return 0;
	memcpy(e.src, iface_at(st, rt->iface)->mac, sizeof(e.src));
	memcpy(e.dst, rt->neigh == NIL ? rt->mac : st->ip->neighs[rt->neigh].mac, sizeof(e.dst));
	return (size_t)wire_eth_emit(&e, head, WIRE_ETH_LEN);
}

/* The next identification between these two (and for this protocol). */
static uint32_t next_id(struct berth_stack *st, const struct siphash_key *key, const struct ip_head *h)
{
	uint8_t name[33];
	uint64_t hash;
	uint32_t *counter;

	memcpy(name, h->src->b, 16);
	memcpy(name + 16, h->dst->b, 16);
	name[32] = h->proto;
	hash = siphash13(key, name, sizeof(name));
	counter = &st->ip->ids[hash % IP_ID_COUNTERS];
	*counter += 1 + stack_random_below(st, 8); /* others share the counter: how far it moved tells them little */
	return *counter + (uint32_t)(hash >> 32);
}

uint32_t ip_fragment_id(struct berth_stack *st, const struct ip_head *h)
{
	return next_id(st, is4(h->src) ? &st->keys.ip_id : &st->keys.frag_id, h);
}

uint32_t ip_flow_label(const struct berth_stack *st, const struct port_tuple *t)
{
	uint8_t name[37];
	uint32_t label;

	memcpy(name, t->local.b, 16);
	memcpy(name + 16, t->remote.b, 16);
	wire_put16(name + 32, t->local_port);
	wire_put16(name + 34, t->remote_port);
	name[36] = (uint8_t)t->proto;
	label = (uint32_t)siphash13(&st->keys.flow_label, name, sizeof(name)) & 0xfffff;
	return label ? label : 1;
}

static uint8_t hops_of(const struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h)
{
	const struct iface *f = iface_at(st, rt->iface);

	if (h->ttl)
		return h->ttl;
	return !is4(h->src) && f->hops ? f->hops : TTL_DEFAULT;
}

static size_t put4(const struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h, uint16_t id,
		   uint32_t at, uint32_t len, bool more, uint8_t *head)
{
	struct wire_ip4 ip = {.src = *h->src,
			      .dst = *h->dst,
			      .tos = h->tos,
			      .proto = h->proto,
			      .df = h->dont_fragment && !more && !at};
	int r;

	ip.ttl = hops_of(st, rt, h);
	ip.id = id;
	ip.fragment_at = (uint16_t)at;
	ip.mf = more;
	ip.payload.len_bytes = len;
	r = wire_ip4_emit(&ip, head, WIRE_IP4_LEN);
	ASSERT(r == WIRE_IP4_LEN); /* a datagram's length is the transport's to limit */
	return WIRE_IP4_LEN;
}

static size_t put6(struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h, uint32_t len,
		   const uint8_t *fragment, uint8_t *head)
{
	struct wire_ip6 ip = {.src = *h->src,
			      .dst = *h->dst,
			      .flow = h->flow_label,
			      .tclass = h->tos,
			      .proto = h->proto};
	int r;

	ip.hops = hops_of(st, rt, h);
	ip.next = WIRE_PROTO_FRAGMENT;
	ip.extensions = (struct wire_slice){fragment, fragment ? WIRE_IP6_FRAGMENT_LEN : 0};
	ip.payload.len_bytes = len;
	r = wire_ip6_emit(&ip, head, WIRE_IP6_LEN + WIRE_IP6_FRAGMENT_LEN);
	ASSERT(r > 0);
	return (size_t)r;
}

size_t ip_head_put(struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h, uint8_t *head)
{
	bool v4 = is4(h->src);
	size_t at = link_put(st, rt, v4 ? WIRE_ETH_IP4 : WIRE_ETH_IP6, head);

	if (v4)
		return at + put4(st, rt, h, h->dont_fragment ? h->id : (uint16_t)ip_fragment_id(st, h), 0, h->l4_len,
				 false, head + at);
	return at + put6(st, rt, h, h->l4_len, NULL, head + at);
}

size_t ip_fragment_put(struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h, uint32_t id,
		       uint32_t at, uint8_t *head, uint32_t *ret_len)
{
	bool v4 = is4(h->src);
	size_t link = link_put(st, rt, v4 ? WIRE_ETH_IP4 : WIRE_ETH_IP6, head);
	uint32_t mtu = rt->mtu_bytes, room, len = h->l4_len - at;
	uint8_t fragment[WIRE_IP6_FRAGMENT_LEN];

	ASSERT(at < h->l4_len && at % 8 == 0);
	/* A fragment itself may always be cut further: DF is for those who could send less (as Linux). */
	room = mtu - (v4 ? WIRE_IP4_LEN : WIRE_IP6_LEN + WIRE_IP6_FRAGMENT_LEN);
	if (len > room)
		len = room & ~7u;
	*ret_len = len;
	if (v4)
		return link + put4(st, rt, h, (uint16_t)id, at, len, at + len < h->l4_len, head + link);
	wire_ip6_put_fragment(fragment, h->proto, (uint16_t)at, at + len < h->l4_len, id);
	return link + put6(st, rt, h, len, fragment, head + link);
}

/* --- sending --- */

void ip_transmit(struct berth_stack *st, uint32_t pkt_index)
{
	pkt_queue_add(st, &st->control, pkt_index);
}

void ip_link_send(struct berth_stack *st, uint16_t iface, uint32_t pkt_index, const uint8_t mac[6], uint16_t type)
{
	const struct iface *f = iface_at(st, iface);
	struct pkt *p = pkt_at(st, pkt_index);
	struct wire_eth e = {.type = type};
	int r;

	if (!f->up) {
		st->n.dropped_no_route++;
		pkt_give(st, pkt_index);
		return;
	}
	p->iface = iface;
	if (f->link == BERTH_LINK_ETHERNET && !(f->flags & BERTH_IF_LOOPBACK)) {
		memcpy(e.src, f->mac, sizeof(e.src));
		memcpy(e.dst, mac, sizeof(e.dst));
		ASSERT(p->off >= WIRE_ETH_LEN);
		p->off -= WIRE_ETH_LEN;
		p->len += WIRE_ETH_LEN;
		r = wire_eth_emit(&e, p->data + p->off, WIRE_ETH_LEN);
		ASSERT(r == WIRE_ETH_LEN);
	}
	p->l2_done = 1;
	ip_transmit(st, pkt_index);
}

int ip_send_ready(struct berth_stack *st, uint32_t i, const struct ip_route *rt, bool v4)
{
	int r = ip_route_ready(st, rt);

	if (r == -EINPROGRESS) {
		pkt_at(st, i)->iface = rt->iface;
		neigh_queue(st, rt->neigh, i);
		return 0;
	}
	if (r < 0) {
		st->n.dropped_no_route++;
		pkt_give(st, i);
		return r;
	}
	ip_link_send(st, rt->iface, i, rt->neigh == NIL ? rt->mac : st->ip->neighs[rt->neigh].mac,
		     v4 ? WIRE_ETH_IP4 : WIRE_ETH_IP6);
	return 0;
}

/* head is without the link's, which ip_link_send() writes. */
static void push_head(struct pkt *p, const uint8_t *head, size_t len)
{
	ASSERT(p->off >= len);
	p->off -= (uint16_t)len;
	p->len += (uint16_t)len;
	memcpy(p->data + p->off, head, len);
}

static int send_fragments(struct berth_stack *st, uint32_t whole, const struct ip_head *h, const struct ip_route *rt)
{
	const struct pkt *w = pkt_at(st, whole);
	uint8_t head[WIRE_ETH_LEN + WIRE_IP6_LEN + WIRE_IP6_FRAGMENT_LEN];
	size_t link = ip_link_len(st, rt);
	uint32_t id = ip_fragment_id(st, h), len, i;
	int r = 0;

	for (uint32_t at = 0; at < h->l4_len && r == 0; at += len) {
		struct pkt *p = pkt_take(st, &i);
		size_t n = ip_fragment_put(st, rt, h, id, at, head, &len);

		if (!p) {
			r = -ENOBUFS;
			break;
		}
		memcpy(p->data + p->off, w->data + w->off + at, len);
		p->len = (uint16_t)len;
		push_head(p, head + link, n - link);
		r = ip_send_ready(st, i, rt, is4(h->src));
		st->n.frag_out++;
	}
	pkt_give(st, whole);
	return r;
}

int ip_send(struct berth_stack *st, uint32_t pkt_index, const struct ip_head *h, const struct ip_route *rt)
{
	uint8_t head[WIRE_ETH_LEN + WIRE_IP6_LEN];
	struct ip_route fresh;
	size_t n, link;
	int r = 0;

	if (rt->epoch != st->route_epoch) {
		r = ip_route_find(st, NULL, h->dst, rt->loopback ? BERTH_IFACE_ANY : rt->iface, &fresh, NULL);
		rt = &fresh;
	}
	if (r < 0) {
		st->n.dropped_no_route++;
		pkt_give(st, pkt_index);
		return -ENETUNREACH;
	}
	if ((is4(h->src) ? WIRE_IP4_LEN : WIRE_IP6_LEN) + h->l4_len > rt->mtu_bytes) {
		if (!h->dont_fragment)
			return send_fragments(st, pkt_index, h, rt);
		pkt_give(st, pkt_index);
		return -EMSGSIZE;
	}
	link = ip_link_len(st, rt);
	n = ip_head_put(st, rt, h, head);
	push_head(pkt_at(st, pkt_index), head + link, n - link);
	return ip_send_ready(st, pkt_index, rt, is4(h->src));
}
