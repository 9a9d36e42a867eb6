/* src/stack/addr.c: our addresses: are they ours alone, and for how long.
 *
 *	tentative --- probes unanswered ---> preferred --- lifetime ---> deprecated --- lifetime ---> gone
 *	    |
 *	    `-- somebody answered or asks the same ---> duplicate (configured by the program: stays as such, unusable)
 *						        gone, and another one is made (slaac.c's)
 *
 * IPv6 asks once, after a random wait (RFC 4862, 5.4); IPv4 three times (RFC 5227, 2.1), then announces itself twice. An IPv4 address
 * in use that somebody else claims is defended by one announcement in ten seconds and kept (RFC 5227, 2.4 (c)): giving it up would let
 * any host of the link take it away. Links without link addresses, loopbacks and BERTH_IF_NO_DAD have no such states.
 *
 * Always true (addr_check())
 *   A1  an address in use is not in the table twice;
 *   A2  a slot in use lies below n_addrs;
 *   A3  an address of IPv6 is on an interface that carries 1280 octets (iface_has6());
 *   A4  only an address that is or was tentative is a duplicate, and it stays tentative;
 *   A5  what slaac_temp_check() says of temporary addresses.
 */
#include "stack/ip_state.h"

#define PROBE_WAIT_MS 1000 /* RFC 5227, 1.1, and MAX_RTR_SOLICITATION_DELAY of RFC 4861 */
#define ARP_PROBES 3
#define ARP_PROBE_MIN_MS 1000
#define ARP_PROBE_SPREAD_MS 1000
#define ARP_ANNOUNCE_WAIT_MS 2000
#define ARP_ANNOUNCES 2
#define ARP_ANNOUNCE_MS 2000
#define DEFEND_NS (10 * SECOND_NS)

uint32_t addr_find(const struct berth_stack *st, const struct port_addr *a)
{
	for (uint32_t i = 0; i < st->ip->n_addrs; i++)
		if (st->ip->addrs[i].used && same_addr(&st->ip->addrs[i].addr, a))
			return i;
	return NIL;
}

bool ip_is_local(const struct berth_stack *st, const struct port_addr *a)
{
	uint32_t i = addr_find(st, a);

	if (i != NIL)
		return !(st->ip->addrs[i].flags & BERTH_ADDR_TENTATIVE);
	if (port_addr_is_loopback(a))
		return true;
	if (!is4(a))
		return false;
	for (i = 0; i < st->ip->n_addrs; i++) { /* as Linux: all of an IPv4 prefix on a loopback is local */
		const struct ip_addr *own = &st->ip->addrs[i];

		if (own->used && is4(&own->addr) && own->prefix_bits < 128 && ip_loops(st, own->iface) &&
		    port_addr_in(a, &own->addr, own->prefix_bits))
			return true;
	}
	return false;
}

/* The last address of a prefix: all host bits 1. */
static bool last_of(const struct port_addr *a, const struct port_addr *net, unsigned prefix_bits)
{
	if (!port_addr_in(a, net, prefix_bits))
		return false;
	for (unsigned bit = prefix_bits; bit < 128; bit++)
		if (!(a->b[bit / 8] & 0x80 >> bit % 8))
			return false;
	return true;
}

bool ip_is_broadcast(const struct berth_stack *st, uint16_t iface, const struct port_addr *a)
{
	if (!is4(a))
		return false;
	if (wire_get32(a->b + 12) == UINT32_MAX)
		return true;
	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *own = &st->ip->addrs[i];

		if (own->used && (own->iface == iface || iface == BERTH_IFACE_ANY) && is4(&own->addr) &&
		    own->prefix_bits < 127 && !ip_loops(st, own->iface) && last_of(a, &own->addr, own->prefix_bits))
			return true;
	}
	return false;
}

void addr_timer_set(struct berth_stack *st, uint32_t index)
{
	const struct ip_addr *a = &st->ip->addrs[index];
	uint64_t at = a->dad_at_ns;

	at = a->valid_until_ns < at ? a->valid_until_ns : at;
	at = a->next_at_ns < at ? a->next_at_ns : at;
	if (!(a->flags & BERTH_ADDR_DEPRECATED))
		at = a->preferred_until_ns < at ? a->preferred_until_ns : at;
	wheel_set(&st->wheel, TIMER_ADDR, index, at);
}

void addr_live(struct berth_stack *st, uint32_t index, uint64_t valid_until_ns, uint64_t preferred_until_ns)
{
	struct ip_addr *a = &st->ip->addrs[index];

	a->valid_until_ns = valid_until_ns;
	a->preferred_until_ns = preferred_until_ns;
	if (preferred_until_ns > st->now_ns && (a->flags & BERTH_ADDR_DEPRECATED)) {
		a->flags &= (uint8_t)~BERTH_ADDR_DEPRECATED;
		route_changed(st);
	}
	addr_timer_set(st, index);
}

/* The address may be used from now on. */
static void good(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];
	bool arp = is4(&a->addr) && st->ip->ifaces[a->iface].link == BERTH_LINK_ETHERNET && !ip_loops(st, a->iface);

	a->flags &= (uint8_t)~BERTH_ADDR_TENTATIVE;
	a->announces_left = arp ? ARP_ANNOUNCES : 0;
	a->dad_at_ns = arp ? st->now_ns : NEVER_NS;
	route_changed(st);
	sock_wake_waiting(st);
}

void addr_begin(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];
	const struct iface *f = iface_at(st, a->iface);

	a->flags &= (uint8_t)~BERTH_ADDR_DUPLICATE;
	if ((f->flags & (BERTH_IF_NO_DAD | BERTH_IF_LOOPBACK)) || f->link == BERTH_LINK_IP) {
		good(st, index);
	} else {
		a->flags |= BERTH_ADDR_TENTATIVE;
		a->probes_left = is4(&a->addr) ? ARP_PROBES : 1;
		a->dad_at_ns = st->now_ns + stack_random_below(st, PROBE_WAIT_MS) * MS_NS;
		route_changed(st);
	}
	addr_timer_set(st, index);
}

static void probe(struct berth_stack *st, struct ip_addr *a)
{
	struct port_addr nobody = is4(&a->addr) ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;

	a->probes_left--;
	if (is4(&a->addr)) {
		arp_ask(st, a->iface, &nobody, &a->addr, NULL);
		a->dad_at_ns =
			st->now_ns + (a->probes_left ? ARP_PROBE_MIN_MS + stack_random_below(st, ARP_PROBE_SPREAD_MS)
						     : ARP_ANNOUNCE_WAIT_MS) *
					     MS_NS;
		return;
	}
	for (unsigned i = 0; i < sizeof(a->nonce); i++)
		a->nonce[i] = (uint8_t)stack_random_below(st, 256);
	nd_ask(st, a->iface, &nobody, &a->addr, NULL, a->nonce);
	a->dad_at_ns = st->now_ns + iface_at(st, a->iface)->retrans_ms * MS_NS;
}

static void dad_step(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];

	if ((a->flags & BERTH_ADDR_TENTATIVE) && a->probes_left) {
		probe(st, a);
		return;
	}
	if (a->flags & BERTH_ADDR_TENTATIVE)
		good(st, index);
	if (a->announces_left) {
		a->announces_left--;
		arp_ask(st, a->iface, &a->addr, &a->addr, NULL);
		a->dad_at_ns = a->announces_left ? st->now_ns + ARP_ANNOUNCE_MS * MS_NS : NEVER_NS;
	}
}

static void live_on(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];

	if (a->preferred_until_ns <= st->now_ns && !(a->flags & BERTH_ADDR_DEPRECATED)) {
		a->flags |= BERTH_ADDR_DEPRECATED;
		route_changed(st);
	}
	if (a->dad_at_ns <= st->now_ns)
		dad_step(st, index);
	addr_timer_set(st, index);
}

void addr_timer(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];
	const struct port_addr addr = a->addr;
	uint16_t iface = a->iface;
	bool is_next_due = a->next_at_ns <= st->now_ns;

	if (is_next_due)
		a->next_at_ns = NEVER_NS;
	if (a->valid_until_ns <= st->now_ns)
		addr_remove(st, index);
	else
		live_on(st, index);
	if (is_next_due) /* last: it may need this one's room */
		slaac_temp_next(st, iface, &addr);
}

void addr_conflict(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];

	if (a->flags & BERTH_ADDR_DUPLICATE)
		return;
	if (!(a->flags & BERTH_ADDR_TENTATIVE)) {
		if (is4(&a->addr) && (!a->defended_ns || st->now_ns - a->defended_ns >= DEFEND_NS)) {
			a->defended_ns = st->now_ns;
			arp_ask(st, a->iface, &a->addr, &a->addr, NULL);
		}
		return;
	}
	if (a->flags & BERTH_ADDR_AUTO) {
		struct ip_addr was = *a;

		addr_remove(st, index);
		slaac_conflict(st, &was);
		return;
	}
	a->flags |= BERTH_ADDR_DUPLICATE;
	a->dad_at_ns = NEVER_NS;
	addr_timer_set(st, index);
}

static bool addr_ok(const struct iface *f, const struct port_addr *a)
{
	if (port_addr_is_any(a) || port_addr_is_multicast(a))
		return false;
	if (is4(a) && (a->b[12] == 0 || a->b[12] >= 240))
		return false;
	return !port_addr_is_loopback(a) || (f->flags & BERTH_IF_LOOPBACK);
}

static int add(struct berth_stack *st, uint16_t iface, const struct port_addr *a, unsigned prefix_bits, uint8_t flags,
	       uint32_t *ret_index)
{
	const struct iface *f = iface_at(st, iface);
	struct port_addr at = with_scope(*a, iface), group;
	struct ip_addr *n;
	uint32_t i;

	if (!addr_ok(f, &at) || prefix_bits > 128)
		return -EINVAL;
	if (!is4(&at) && !iface_has6(f))
		return -EINVAL;
	if (addr_find(st, &at) != NIL)
		return -EEXIST;
	for (i = 0; i < st->cfg.n_addrs && st->ip->addrs[i].used; i++)
		;
	if (i == st->cfg.n_addrs)
		return -ENOBUFS;
	n = &st->ip->addrs[i];
	*n = (struct ip_addr){.addr = at,
			      .iface = iface,
			      .prefix_bits = (uint8_t)prefix_bits,
			      .flags = flags,
			      .used = true};
	n->route = NIL;
	n->valid_until_ns = n->preferred_until_ns = n->dad_at_ns = n->next_at_ns = NEVER_NS;
	timer_init(&n->timer);
	if (i >= st->ip->n_addrs)
		st->ip->n_addrs = i + 1;
	group = wire_nd_solicited_node(&at);
	if (!is4(&at) && f->link == BERTH_LINK_ETHERNET && group_join(st, iface, &group) < 0) {
		n->used = false;
		return -ENOBUFS;
	}
	*ret_index = i;
	return 0;
}

/* Where there is no room left temporary addresses go, for any that is none. */
int addr_add(struct berth_stack *st, uint16_t iface, const struct port_addr *a, unsigned prefix_bits, uint8_t flags,
	     uint32_t *ret_index)
{
	int r = add(st, iface, a, prefix_bits, flags, ret_index);

	while (r == -ENOBUFS && !(flags & BERTH_ADDR_TEMPORARY) && slaac_temp_drop(st, BERTH_IFACE_ANY, true))
		r = add(st, iface, a, prefix_bits, flags, ret_index);
	return r;
}

static void remove_one(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];
	struct port_addr group = wire_nd_solicited_node(&a->addr);

	ASSERT(a->used);
	wheel_cancel(&st->wheel, TIMER_ADDR, index);
	if (a->route != NIL && --st->ip->routes[a->route].n_users == 0)
		route_remove(st, a->route);
	if (!is4(&a->addr) && iface_at(st, a->iface)->link == BERTH_LINK_ETHERNET &&
	    group_leave(st, a->iface, &group) < 0)
		ASSERT(!"the group was joined with the address");
	a->used = false;
	while (st->ip->n_addrs && !st->ip->addrs[st->ip->n_addrs - 1].used)
		st->ip->n_addrs--;
	route_changed(st);
}

void addr_remove(struct berth_stack *st, uint32_t index)
{
	const struct ip_addr was = st->ip->addrs[index];

	remove_one(st, index);
	for (uint32_t i = 0; i < st->ip->n_addrs; i++)
		if ((was.flags & (BERTH_ADDR_AUTO | BERTH_ADDR_TEMPORARY)) == BERTH_ADDR_AUTO &&
		    slaac_temp_is_beside(&st->ip->addrs[i], &was))
			remove_one(st, i);
	ASSERT_SLOW(addr_check(st));
}

/* The network on the link that comes with the address; several addresses share one. */
static int on_link(struct berth_stack *st, uint32_t index)
{
	struct ip_addr *a = &st->ip->addrs[index];
	struct ip_route_entry e = {.net = a->addr,
				   .prefix_bits = a->prefix_bits,
				   .kind = ROUTE_ON_LINK,
				   .iface = a->iface};
	int r;

	if (a->prefix_bits == 128)
		return 0;
	a->route = route_find_exact(st, &a->addr, a->prefix_bits, a->iface, ROUTE_ON_LINK, NULL);
	if (a->route == NIL) {
		e.valid_until_ns = NEVER_NS;
		r = route_add(st, &e, &a->route);
		if (r < 0)
			return r;
	}
	st->ip->routes[a->route].n_users++;
	return 0;
}

int berth_addr_add(struct berth_stack *st, uint16_t iface, const struct berth_addr *a, unsigned prefix_bits)
{
	struct port_addr at = addr_of(a);
	uint32_t i;
	int r;

	if (!iface_at(st, iface) || iface == IP_IFACE_SELF)
		return -ENODEV;
	if (prefix_bits > (is4(&at) ? 32u : 128u))
		return -EINVAL;
	r = addr_add(st, iface, &at, prefix_bits + (is4(&at) ? 96 : 0), 0, &i);
	if (r < 0)
		return r;
	r = on_link(st, i);
	if (r < 0) {
		addr_remove(st, i);
		return r;
	}
	addr_begin(st, i);
	ASSERT_SLOW(addr_check(st));
	return 0;
}

int berth_addr_remove(struct berth_stack *st, uint16_t iface, const struct berth_addr *a)
{
	struct port_addr at = addr_of(a);
	uint32_t i;

	if (!iface_at(st, iface))
		return -ENODEV;
	at = with_scope(at, iface);
	i = addr_find(st, &at);
	if (i == NIL || st->ip->addrs[i].iface != iface)
		return -ESRCH;
	addr_remove(st, i);
	return 0;
}

int berth_addr_next(struct berth_stack *st, uint32_t *cursor, struct berth_addr_info *ret)
{
	for (; *cursor < st->ip->n_addrs; ++*cursor) {
		const struct ip_addr *a = &st->ip->addrs[*cursor];
		struct berth_addr_info i;

		if (!a->used)
			continue;
		i = (struct berth_addr_info){
			.addr = addr_public(&a->addr, 0),
			.iface = a->iface,
			.prefix_bits = (uint8_t)(a->prefix_bits - (is4(&a->addr) ? 96 : 0)),
			.flags = a->flags,
			.valid_until_ns = a->valid_until_ns,
			.preferred_until_ns = a->preferred_until_ns,
		};
		++*cursor;
		return struct_out(ret, &i, sizeof(i), offsetof(struct berth_addr_info, iface)) < 0 ? -EINVAL : 1;
	}
	return 0;
}

bool addr_check(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->cfg.n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i];

		if (!a->used)
			continue;
		if (i >= st->ip->n_addrs || addr_find(st, &a->addr) != i || !iface_at(st, a->iface))
			return false;
		if (!is4(&a->addr) && !iface_has6(iface_at(st, a->iface)))
			return false;
		if ((a->flags & BERTH_ADDR_DUPLICATE) && !(a->flags & BERTH_ADDR_TENTATIVE))
			return false;
		if (a->route != NIL && (!st->ip->routes[a->route].used || !st->ip->routes[a->route].n_users))
			return false;
	}
	return slaac_temp_check(st);
}
