/* src/stack/ip.c: the IP layer's memory, keys and timers: what stack.c calls.
 *
 * Every table is an array of the size that the configuration says, in the stack's memory, with the links as indices. arena_take() gives
 * zeroed memory, so free slots are those whose `used` is false; only timers and links need to be set.
 *
 * Elsewhere: what each table is for (ip_state.h).
 */
#include "stack/ip_state.h"

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n && p < UINT32_C(1) << 31)
		p <<= 1;
	return p;
}

static uint32_t n_blocks(const struct berth_stack *st)
{
	return st->cfg.frag_bytes / FRAG_BLOCK < UINT16_MAX ? st->cfg.frag_bytes / FRAG_BLOCK : UINT16_MAX - 1;
}

void ip_layout(struct berth_stack *st, struct arena *a)
{
	const struct berth_stack_config *c = &st->cfg;
	struct ip_state *ip = arena_take(a, sizeof(*ip));
	struct ip_state none = {.n_addrs = 0}, *s = ip ? ip : &none;

	s->ifaces = arena_take(a, c->n_ifaces * sizeof(*s->ifaces));
	s->addrs = arena_take(a, c->n_addrs * sizeof(*s->addrs));
	s->routes = arena_take(a, c->n_routes * sizeof(*s->routes));
	s->route_order = arena_take(a, c->n_routes * sizeof(*s->route_order));
	s->neighs = arena_take(a, c->n_neighs * sizeof(*s->neighs));
	s->neigh_mask = power_of_two(c->n_neighs) - 1;
	s->neigh_first = arena_take(a, ((size_t)s->neigh_mask + 1) * sizeof(*s->neigh_first));
	s->pmtu_mask = power_of_two(c->n_neighs < PMTU_WAYS ? 1 : c->n_neighs / PMTU_WAYS) - 1;
	s->pmtus = arena_take(a, ((size_t)s->pmtu_mask + 1) * PMTU_WAYS * sizeof(*s->pmtus));
	s->frag_hash = arena_take(a, FRAG_DATAGRAMS * sizeof(*s->frag_hash));
	s->frags = arena_take(a, FRAG_DATAGRAMS * sizeof(*s->frags));
	s->frag_blocks = arena_take(a, (size_t)n_blocks(st) * FRAG_BLOCK);
	s->frag_free = arena_take(a, n_blocks(st) * sizeof(*s->frag_free));
	group_layout(st, a, s);
	s->icmp_sources = arena_take(a, ICMP_SOURCES * sizeof(*s->icmp_sources));
	s->ids = arena_take(a, IP_ID_COUNTERS * sizeof(*s->ids));
	st->ip = ip;
}

static void init_self(struct iface *f)
{
	f->used = f->up = true;
	f->link = BERTH_LINK_IP;
	f->flags = BERTH_IF_LOOPBACK | BERTH_IF_NO_DAD | BERTH_IF_TX_CSUM | BERTH_IF_TSO4 | BERTH_IF_TSO6 |
		   BERTH_IF_USO | BERTH_IF_TSO_ECN;
	f->mtu_bytes = f->gso_max_bytes = 65535;
	memcpy(f->name, "self", 5);
	timer_init(&f->timer);
}

void ip_init(struct berth_stack *st)
{
	const struct berth_stack_config *c = &st->cfg;
	struct ip_state *ip = st->ip;

	for (uint32_t i = 0; i < c->n_ifaces; i++)
		timer_init(&ip->ifaces[i].timer);
	for (uint32_t i = 0; i < c->n_addrs; i++)
		timer_init(&ip->addrs[i].timer);
	for (uint32_t i = 0; i < c->n_routes; i++)
		timer_init(&ip->routes[i].timer);
	for (uint32_t i = 0; i < c->n_neighs; i++)
		timer_init(&ip->neighs[i].timer);
	for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
		timer_init(&ip->frags[i].timer);
	for (uint32_t i = 0; i < (ip->pmtu_mask + 1) * PMTU_WAYS; i++)
		timer_init(&ip->pmtus[i].timer);
	for (uint32_t i = 0; i <= ip->neigh_mask; i++)
		ip->neigh_first[i] = NIL;
	ip->n_frag_blocks = ip->n_frag_free = n_blocks(st);
	for (uint32_t i = 0; i < ip->n_frag_blocks; i++)
		ip->frag_free[i] = (uint16_t)(ip->n_frag_blocks - 1 - i);
	init_self(&ip->self);
	group_init(st);
	wheel_kind(&st->wheel, TIMER_IFACE, &ip->ifaces->timer, sizeof(*ip->ifaces));
	wheel_kind(&st->wheel, TIMER_ADDR, &ip->addrs->timer, sizeof(*ip->addrs));
	wheel_kind(&st->wheel, TIMER_ROUTE, &ip->routes->timer, sizeof(*ip->routes));
	wheel_kind(&st->wheel, TIMER_NEIGH, &ip->neighs->timer, sizeof(*ip->neighs));
	wheel_kind(&st->wheel, TIMER_FRAG, &ip->frags->timer, sizeof(*ip->frags));
	wheel_kind(&st->wheel, TIMER_PMTU, &ip->pmtus->timer, sizeof(*ip->pmtus));
	st->route_epoch = 1; /* a zeroed struct ip_route is stale */
}

void ip_timer(struct berth_stack *st, enum timer_kind kind, uint32_t index)
{
	switch (kind) {
	case TIMER_NEIGH:
		neigh_timer(st, index);
		break;
	case TIMER_FRAG:
		frag_timer(st, index);
		break;
	case TIMER_ADDR:
		addr_timer(st, index);
		break;
	case TIMER_ROUTE:
		route_timer(st, index);
		break;
	case TIMER_GROUP:
		group_timer(st, index);
		break;
	case TIMER_IFACE:
		iface_timer(st, index);
		break;
	case TIMER_PMTU:
		pmtu_timer(st, index);
		break;
	case TIMER_TCP:
	case TIMER_SYN:
	case TIMER_TIME_WAIT:
		ASSERT(!"not IP's timer");
	}
}

bool ip_check(const struct berth_stack *st)
{
	return addr_check(st) && route_check(st) && neigh_check(st) && pmtu_check(st) && frag_check(st) &&
	       group_check(st);
}
