/* src/stack/iface.c: interfaces: where frames come from and go to.
 *
 * An interface is a number from 0, up from the start. Taking one down forgets what was learnt on it (neighbours, what routers said,
 * fragments) and keeps what was configured: addresses, routes, memberships; bringing it up checks the addresses for duplicates again.
 * With an MTU below 1280 there is no IPv6 on it (RFC 8200, 5): what was learnt by IPv6 goes, and so do all addresses, as on Linux.
 * Routes, neighbours and memberships that were configured wait until there is IPv6 again.
 * IP_IFACE_SELF is the stack's own loopback, always there and in no table.
 *
 * An interface has one timer, at the earliest of: router solicitations (slaac.c), answers to general queries (igmp.c, mld.c).
 */
#include "stack/ip_state.h"
#include "stack/udp.h"

#define REACHABLE_MS 30000 /* RFC 4861, 10 */
#define RETRANS_MS 1000
#define REACHABLE_REDRAW_NS (2 * 3600 * SECOND_NS)

struct iface *iface_at(const struct berth_stack *st, uint16_t iface)
{
	if (iface == IP_IFACE_SELF)
		return &st->ip->self;
	return iface < st->cfg.n_ifaces && st->ip->ifaces[iface].used ? &st->ip->ifaces[iface] : NULL;
}

uint32_t iface_mtu(const struct iface *f, bool v4)
{
	return !v4 && f->mtu6_bytes ? f->mtu6_bytes : f->mtu_bytes;
}

bool ip_loops(const struct berth_stack *st, uint16_t iface)
{
	const struct iface *f = iface_at(st, iface);

	return f && (f->flags & BERTH_IF_LOOPBACK);
}

bool ip_iface_can(const struct berth_stack *st, uint16_t iface, uint32_t flags)
{
	const struct iface *f = iface_at(st, iface);
	uint32_t can;

	if (!f)
		return false;
	can = f->flags & BERTH_IF_LOOPBACK ? f->flags | st->ip->self.flags : f->flags;
	return (can & flags) == flags;
}

uint32_t ip_iface_gso_max(const struct berth_stack *st, uint16_t iface)
{
	const struct iface *f = iface_at(st, iface);

	return f ? f->gso_max_bytes : 0;
}

/* Routes, addresses, interfaces or path MTUs changed: whoever keeps a struct ip_route asks again. */
void route_changed(struct berth_stack *st)
{
	st->route_epoch++;
}

/* RFC 4861, 6.3.2: uniform between half and one and a half of the base, drawn anew now and then. */
uint64_t iface_reachable_ns(struct berth_stack *st, struct iface *f)
{
	if (!f->reachable_ns || st->now_ns - f->reachable_drawn_ns > REACHABLE_REDRAW_NS) {
		f->reachable_ns = (f->reachable_base_ms / 2 + stack_random_below(st, f->reachable_base_ms + 1)) * MS_NS;
		f->reachable_drawn_ns = st->now_ns;
	}
	return f->reachable_ns;
}

static bool config_ok(const struct berth_iface *i)
{
	if (i->link > BERTH_LINK_ETHERNET)
		return false;
	if (i->mtu_bytes < IP4_MTU_MIN || i->mtu_bytes > 65535 || i->gso_max_bytes > 65535)
		return false;
	return i->link != BERTH_LINK_ETHERNET || !wire_mac_is_multicast(i->mac);
}

static void learn_nothing6(struct iface *f)
{
	f->hops = 0;
	f->mtu6_bytes = 0;
	f->n_rs = f->keyed_tries = 0;
	f->reachable_base_ms = REACHABLE_MS;
	f->retrans_ms = RETRANS_MS;
	f->reachable_ns = 0;
	f->rs_at_ns = NEVER_NS;
	f->temp_paid_ns = 0;
	f->mld = (struct group_querier){.general_at_ns = NEVER_NS, .robustness = 2};
}

static void learn_nothing(struct iface *f)
{
	learn_nothing6(f);
	f->igmp = f->mld;
}

int berth_iface_add(struct berth_stack *st, const struct berth_iface *theirs, uint16_t *ret)
{
	struct berth_iface own, *i = &own;
	struct iface *f = NULL;
	uint16_t n;
	int r = struct_in(i, sizeof(*i), offsetof(struct berth_iface, gso_max_bytes), theirs);

	if (r < 0)
		return r;
	if (!config_ok(i) || !slaac_temp_limits(&i->temp_valid_s, &i->temp_preferred_s))
		return -EINVAL;
	for (n = 0; n < st->cfg.n_ifaces && n < IP_IFACE_SELF; n++)
		if (!st->ip->ifaces[n].used) {
			f = &st->ip->ifaces[n];
			break;
		}
	if (!f)
		return -ENOBUFS;
	*f = (struct iface){.used = true, .up = true, .link = i->link, .flags = i->flags, .mtu_bytes = i->mtu_bytes};
	f->gso_max_bytes = i->gso_max_bytes ? i->gso_max_bytes : 65535;
	f->temp_valid_s = i->temp_valid_s;
	f->temp_preferred_s = i->temp_preferred_s;
	memcpy(f->mac, i->mac, sizeof(f->mac));
	memcpy(f->name, i->name, sizeof(f->name) - 1);
	timer_init(&f->timer);
	learn_nothing(f);
	slaac_start(st, n);
	route_changed(st);
	*ret = n;
	return 0;
}

enum what {
	LEARNT,
	IPV6, /* what was learnt by it, and its addresses */
	ALL,  /* what was configured, too */
};

static bool goes(enum what what, const struct port_addr *a, bool learnt)
{
	return what == ALL || (learnt && (what == LEARNT || !is4(a)));
}

static void forget(struct berth_stack *st, uint16_t iface, enum what what)
{
	struct ip_state *ip = st->ip;

	for (uint32_t i = 0; i < st->cfg.n_neighs; i++) {
		const struct neigh *n = &ip->neighs[i];

		if (n->used && n->iface == iface && goes(what, &n->addr, n->state != NEIGH_STATIC))
			neigh_remove(st, i);
	}
	for (uint32_t i = 0; i < st->cfg.n_addrs; i++) {
		const struct ip_addr *a = &ip->addrs[i];

		if (a->used && a->iface == iface && goes(what, &a->addr, what == IPV6 || (a->flags & BERTH_ADDR_AUTO)))
			addr_remove(st, i);
	}
	for (uint32_t i = 0; i < st->cfg.n_routes; i++) {
		const struct ip_route_entry *e = &ip->routes[i];

		if (e->used && e->iface == iface && goes(what, &e->net, e->kind >= ROUTE_PREFIX))
			route_remove(st, i);
	}
	frag_forget_iface(st, iface, what == IPV6);
	if (what == ALL) {
		group_forget_iface(st, iface);
		udp_forget_iface(st, iface);
	}
}

int berth_iface_remove(struct berth_stack *st, uint16_t iface)
{
	struct iface *f = iface_at(st, iface);

	if (!f || iface == IP_IFACE_SELF)
		return -ENODEV;
	f->up = false; /* nothing is said on it any more */
	forget(st, iface, ALL);
	wheel_cancel(&st->wheel, TIMER_IFACE, iface);
	f->used = false;
	route_changed(st);
	sock_wake_waiting(st);
	return 0;
}

int berth_iface_set_up(struct berth_stack *st, uint16_t iface, bool up)
{
	struct iface *f = iface_at(st, iface);

	if (!f || iface == IP_IFACE_SELF)
		return -ENODEV;
	if (f->up == up)
		return 0;
	f->up = up;
	if (up) {
		for (uint32_t i = 0; i < st->cfg.n_addrs; i++)
			if (st->ip->addrs[i].used && st->ip->addrs[i].iface == iface)
				addr_begin(st, i);
		group_iface_up(st, iface, false);
		slaac_start(st, iface);
	} else {
		forget(st, iface, LEARNT);
		learn_nothing(f);
		wheel_cancel(&st->wheel, TIMER_IFACE, iface);
	}
	route_changed(st);
	sock_wake_waiting(st);
	return 0;
}

int berth_iface_set_mtu(struct berth_stack *st, uint16_t iface, uint32_t mtu_bytes)
{
	struct iface *f = iface_at(st, iface);
	bool had6;

	if (!f || iface == IP_IFACE_SELF)
		return -ENODEV;
	if (mtu_bytes < IP4_MTU_MIN || mtu_bytes > 65535)
		return -EINVAL;
	had6 = iface_has6(f);
	if (had6 && mtu_bytes < IP6_MTU_MIN) {
		forget(st, iface, IPV6); /* still with IPv6: that groups are left is said */
		learn_nothing6(f);
		iface_timer_set(st, iface);
	}
	f->mtu_bytes = mtu_bytes;
	if (f->mtu6_bytes > mtu_bytes)
		f->mtu6_bytes = 0;
	if (!had6 && iface_has6(f)) {
		group_iface_up(st, iface, true);
		slaac_start(st, iface);
	}
	route_changed(st);
	sock_wake_waiting(st);
	return 0;
}

int berth_iface_next(struct berth_stack *st, uint32_t *cursor, struct berth_iface_info *ret)
{
	for (; *cursor < st->cfg.n_ifaces; ++*cursor) {
		const struct iface *f = iface_at(st, (uint16_t)*cursor);
		struct berth_iface_info i;

		if (!f)
			continue;
		i = (struct berth_iface_info){
			.iface = (uint16_t)*cursor,
			.link = f->link,
			.up = f->up,
			.hop_limit = f->hops,
			.flags = f->flags,
			.mtu_bytes = f->mtu_bytes,
			.mtu6_bytes = f->mtu6_bytes ? f->mtu6_bytes : f->mtu_bytes,
			.gso_max_bytes = f->gso_max_bytes,
		};
		memcpy(i.mac, f->mac, sizeof(i.mac));
		memcpy(i.name, f->name, sizeof(i.name));
		++*cursor;
		return struct_out(ret, &i, sizeof(i), offsetof(struct berth_iface_info, name)) < 0 ? -EINVAL : 1;
	}
	return 0;
}

void iface_timer_set(struct berth_stack *st, uint16_t iface)
{
	const struct iface *f = iface_at(st, iface);
	uint64_t at = f->rs_at_ns;

	at = f->igmp.general_at_ns < at ? f->igmp.general_at_ns : at;
	at = f->mld.general_at_ns < at ? f->mld.general_at_ns : at;
	wheel_set(&st->wheel, TIMER_IFACE, iface, at);
}

void iface_timer(struct berth_stack *st, uint32_t index)
{
	uint16_t iface = (uint16_t)index;
	const struct iface *f = iface_at(st, iface);

	if (!f || !f->up)
		return;
	if (f->rs_at_ns <= st->now_ns)
		slaac_timer(st, iface);
	if (f->igmp.general_at_ns <= st->now_ns || f->mld.general_at_ns <= st->now_ns)
		group_general(st, iface);
	iface_timer_set(st, iface);
}
