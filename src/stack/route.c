/* src/stack/route.c: which way: the longest prefix, then the lowest metric; and from which of our addresses.
 *
 *	route_order[]: slots, longest prefix first, then lower metric, then the router's preference (RFC 4191), then age
 *
 * The first in this order that holds the destination, whose interface is up, has the family and is the one asked for, is the route. This is a walk of
 * at most n_routes entries; a connection does it when st->route_epoch has moved, not for each packet. A router that did not answer
 * (neigh.c: doubted) is passed over when another default router is there (RFC 4861, 6.3.6).
 *
 * Sources are chosen by the rules of RFC 6724, 5 that a host without mobility can tell: the same address (1), scope (2), not deprecated (3),
 * the outgoing interface (5), the label (6), a temporary address before one that stays or, who wants that, behind it (7), the longest common
 * prefix (8). Of two temporary ones that are equal by these the one that is preferred for longer.
 *
 * Always true (route_check())
 *   R1  route_order has each slot in use once, in order;
 *   R2  an ON_LINK route is counted by as many addresses as its n_users says (addr_check() sees the other side).
 */
#include "stack/ip_state.h"

static bool before(const struct ip_route_entry *a, const struct ip_route_entry *b)
{
	if (a->prefix_bits != b->prefix_bits)
		return a->prefix_bits > b->prefix_bits;
	if (a->metric != b->metric)
		return a->metric < b->metric;
	return a->preference > b->preference;
}

uint32_t route_find_exact(const struct berth_stack *st, const struct port_addr *net, unsigned prefix_bits,
			  uint16_t iface, int kind, const struct port_addr *gateway)
{
	for (uint32_t i = 0; i < st->ip->n_routes; i++) {
		const struct ip_route_entry *e = &st->ip->routes[st->ip->route_order[i]];

		if (e->prefix_bits == prefix_bits && e->iface == iface && e->kind == kind &&
		    port_addr_in(net, &e->net, prefix_bits) &&
		    (!gateway || (e->has_gateway && same_addr(&e->gateway, gateway))))
			return st->ip->route_order[i];
	}
	return NIL;
}

/* Nothing beyond its prefix: 10.0.0.1/24 is the route to 10.0.0.0/24, and is shown as that. */
static void cut(struct port_addr *net, uint32_t bits)
{
	for (uint32_t i = bits; i < 128; i++)
		net->b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

int route_add(struct berth_stack *st, const struct ip_route_entry *e, uint32_t *ret_index)
{
	struct ip_state *ip = st->ip;
	uint32_t slot, at;

	for (slot = 0; slot < st->cfg.n_routes && ip->routes[slot].used; slot++)
		;
	if (slot == st->cfg.n_routes || slot > UINT16_MAX)
		return -ENOBUFS;
	ip->routes[slot] = *e;
	ip->routes[slot].used = true;
	cut(&ip->routes[slot].net, e->prefix_bits);
	timer_init(&ip->routes[slot].timer);
	for (at = 0; at < ip->n_routes && !before(e, &ip->routes[ip->route_order[at]]); at++)
		;
	memmove(&ip->route_order[at + 1], &ip->route_order[at], (ip->n_routes - at) * sizeof(*ip->route_order));
	ip->route_order[at] = (uint16_t)slot;
	ip->n_routes++;
	if (e->valid_until_ns != NEVER_NS)
		wheel_set(&st->wheel, TIMER_ROUTE, slot, e->valid_until_ns);
	route_changed(st);
	sock_wake_waiting(st);
	ASSERT_SLOW(route_check(st));
	*ret_index = slot;
	return 0;
}

void route_remove(struct berth_stack *st, uint32_t index)
{
	struct ip_state *ip = st->ip;
	uint32_t at;

	ASSERT(ip->routes[index].used);
	for (at = 0; ip->route_order[at] != index; at++)
		ASSERT(at < ip->n_routes);
	ip->n_routes--;
	memmove(&ip->route_order[at], &ip->route_order[at + 1], (ip->n_routes - at) * sizeof(*ip->route_order));
	wheel_cancel(&st->wheel, TIMER_ROUTE, index);
	ip->routes[index].used = false;
	route_changed(st);
	ASSERT_SLOW(route_check(st));
}

void route_timer(struct berth_stack *st, uint32_t index)
{
	struct ip_route_entry *e = &st->ip->routes[index];

	if (e->valid_until_ns <= st->now_ns)
		route_remove(st, index);
	else
		wheel_set(&st->wheel, TIMER_ROUTE, index, e->valid_until_ns);
}

static bool router_is_dead(const struct berth_stack *st, const struct ip_route_entry *e)
{
	uint32_t n = e->has_gateway ? neigh_find(st, e->iface, &e->gateway) : NIL;

	return n != NIL && st->ip->neighs[n].doubted;
}

uint32_t route_lookup(const struct berth_stack *st, const struct port_addr *dst, uint16_t iface)
{
	uint32_t found = NIL;
	struct port_addr unscoped = *dst;

	unscoped.scope = 0;
	for (uint32_t i = 0; i < st->ip->n_routes; i++) {
		uint32_t slot = st->ip->route_order[i];
		const struct ip_route_entry *e = &st->ip->routes[slot];
		const struct iface *f = iface_at(st, e->iface);

		if (found != NIL && (e->prefix_bits != st->ip->routes[found].prefix_bits))
			break;
		if (iface != BERTH_IFACE_ANY && e->iface != iface)
			continue;
		if (!port_addr_in(&unscoped, &e->net, e->prefix_bits) || is4(&e->net) != is4(dst) || !f->up ||
		    (!is4(dst) && !iface_has6(f)))
			continue;
		if (!router_is_dead(st, e))
			return slot;
		found = found == NIL ? slot : found; /* better than nothing */
	}
	return found;
}

/* --- which source --- */

/* RFC 6724, 3.1: scopes as multicast numbers them. */
static unsigned scope_of(const struct port_addr *a)
{
	if (is4(a))
		return a->b[12] == 127 || (a->b[12] == 169 && a->b[13] == 254) ? 2 : 14;
	if (a->b[0] == 0xff)
		return a->b[1] & 0x0f;
	if (port_addr_is_loopback(a) || port_addr_is_linklocal6(a))
		return 2;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0 ? 5 : 14;
}

/* RFC 6724, 2.1: the default policy table's labels that a host meets. */
static unsigned label_of(const struct port_addr *a)
{
	if (is4(a))
		return 4;
	if (port_addr_is_loopback(a))
		return 0;
	if (a->b[0] == 0x20 && a->b[1] == 0x02)
		return 2;
	if (a->b[0] == 0x20 && a->b[1] == 0x01 && a->b[2] == 0 && a->b[3] == 0)
		return 5;
	return (a->b[0] & 0xfe) == 0xfc ? 13 : 1;
}

static unsigned common_bits(const struct port_addr *a, const struct port_addr *b)
{
	unsigned n = 0;

	while (n < 128 && !((a->b[n / 8] ^ b->b[n / 8]) & 0x80 >> n % 8))
		n++;
	return n;
}

/* Is a the better source (RFC 6724, 5)? Equal: the one that was there first. */
static bool better(const struct ip_addr *a, const struct ip_addr *b, uint16_t iface, const struct port_addr *dst,
		   bool is_public)
{
	unsigned sa = scope_of(&a->addr), sb = scope_of(&b->addr), sd = scope_of(dst);
	bool la = label_of(&a->addr) == label_of(dst), lb = label_of(&b->addr) == label_of(dst);
	unsigned ca = common_bits(&a->addr, dst), cb = common_bits(&b->addr, dst);

	if (same_addr(&a->addr, dst) || same_addr(&b->addr, dst))
		return same_addr(&a->addr, dst);
	if (sa != sb)
		return sa < sb ? sa >= sd : sb < sd;
	if ((a->flags ^ b->flags) & BERTH_ADDR_DEPRECATED)
		return b->flags & BERTH_ADDR_DEPRECATED;
	if ((a->iface == iface) != (b->iface == iface))
		return a->iface == iface;
	if (la != lb)
		return la;
	if ((a->flags ^ b->flags) & BERTH_ADDR_TEMPORARY)
		return !(a->flags & BERTH_ADDR_TEMPORARY) == is_public;
	ca = ca > a->prefix_bits ? a->prefix_bits : ca;
	cb = cb > b->prefix_bits ? b->prefix_bits : cb;
	if (ca != cb)
		return ca > cb;
	return (a->flags & BERTH_ADDR_TEMPORARY) && a->preferred_until_ns > b->preferred_until_ns;
}

bool route_source(const struct berth_stack *st, uint16_t iface, const struct port_addr *dst, bool is_public,
		  struct port_addr *ret)
{
	const struct ip_addr *best = NULL;

	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i];

		if (!a->used || (a->flags & BERTH_ADDR_TENTATIVE) || is4(&a->addr) != is4(dst))
			continue;
		if (a->iface != iface && (a->addr.scope || port_addr_is_loopback(&a->addr) || dst->scope))
			continue; /* good on its own link only */
		if (!best || better(a, best, iface, dst, is_public))
			best = a;
	}
	if (best)
		*ret = best->addr;
	return best != NULL;
}

/* --- the public calls --- */

int berth_route_add(struct berth_stack *st, const struct berth_addr *net, unsigned prefix_bits,
		    const struct berth_addr *gateway, uint16_t iface, uint32_t metric)
{
	struct ip_route_entry e = {.net = addr_of(net), .iface = iface, .metric = metric, .kind = ROUTE_USER};
	struct port_addr none = {.scope = 0};
	uint32_t index;

	if (!iface_at(st, iface) || iface == IP_IFACE_SELF)
		return -ENODEV;
	e.net.scope = 0;
	if (prefix_bits > (is4(&e.net) ? 32u : 128u) || port_addr_is_multicast(&e.net))
		return -EINVAL;
	e.prefix_bits = (uint8_t)(prefix_bits + (is4(&e.net) ? 96 : 0));
	if (gateway) {
		e.gateway = with_scope(addr_of(gateway), iface);
		e.has_gateway = true;
		none = e.gateway;
		if (is4(&none) != is4(&e.net) || port_addr_is_multicast(&none) || port_addr_is_any(&none))
			return -EINVAL;
	}
	e.valid_until_ns = NEVER_NS;
	index = route_find_exact(st, &e.net, e.prefix_bits, iface, ROUTE_USER, NULL);
	if (index != NIL && st->ip->routes[index].metric == metric)
		return -EEXIST;
	return route_add(st, &e, &index);
}

int berth_route_remove(struct berth_stack *st, const struct berth_addr *net, unsigned prefix_bits, uint16_t iface)
{
	struct port_addr n = addr_of(net);
	uint32_t index;

	if (!iface_at(st, iface))
		return -ENODEV;
	if (prefix_bits > (is4(&n) ? 32u : 128u))
		return -EINVAL;
	index = route_find_exact(st, &n, prefix_bits + (is4(&n) ? 96 : 0), iface, ROUTE_USER, NULL);
	if (index == NIL)
		return -ESRCH;
	route_remove(st, index);
	return 0;
}

_Static_assert((int)BERTH_ROUTE_STATIC == ROUTE_USER && (int)BERTH_ROUTE_ON_LINK == ROUTE_ON_LINK &&
		       (int)BERTH_ROUTE_PREFIX == ROUTE_PREFIX && (int)BERTH_ROUTE_ROUTER == ROUTE_DEFAULT &&
		       (int)BERTH_ROUTE_REDIRECT == ROUTE_REDIRECT,
	       "the public numbers are ours");

int berth_route_next(struct berth_stack *st, uint32_t *cursor, struct berth_route_info *ret)
{
	const struct ip_route_entry *e;
	struct berth_route_info i;

	if (*cursor >= st->ip->n_routes)
		return 0;
	e = &st->ip->routes[st->ip->route_order[*cursor]];
	i = (struct berth_route_info){
		.net = addr_public(&e->net, 0),
		.iface = e->iface,
		.prefix_bits = (uint8_t)(e->prefix_bits - (is4(&e->net) ? 96 : 0)),
		.has_gateway = e->has_gateway,
		.origin = e->kind,
		.preference = e->preference,
		.metric = e->metric,
		.valid_until_ns = e->valid_until_ns,
	};
	if (e->has_gateway)
		i.gateway = addr_public(&e->gateway, 0);
	++*cursor;
	return struct_out(ret, &i, sizeof(i), offsetof(struct berth_route_info, metric)) < 0 ? -EINVAL : 1;
}

bool route_check(const struct berth_stack *st)
{
	const struct ip_state *ip = st->ip;
	uint32_t n_used = 0;

	for (uint32_t i = 0; i < st->cfg.n_routes; i++)
		n_used += ip->routes[i].used;
	if (n_used != ip->n_routes)
		return false;
	for (uint32_t i = 0; i < ip->n_routes; i++) {
		const struct ip_route_entry *e = &ip->routes[ip->route_order[i]];

		if (!e->used || !iface_at(st, e->iface))
			return false;
		if (i && before(e, &ip->routes[ip->route_order[i - 1]]))
			return false;
		for (uint32_t j = 0; j < i; j++)
			if (ip->route_order[j] == ip->route_order[i])
				return false;
	}
	return true;
}
