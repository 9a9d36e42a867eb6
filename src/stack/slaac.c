/* src/stack/slaac.c: routers found, addresses made (RFC 4861, 6.3; RFC 4862, 5.5), and better first hops (RFC 4861, 8).
 *
 * On interfaces with BERTH_IF_ROUTER_ADV. Coming up, a link-local address is made and routers are asked for: after 4 seconds, then twice as
 * long each time, up to an hour (RFC 7559), until one answers.
 *
 * What an advertisement may add is bounded (S19): four default routers, eight prefixes, eight addresses for each interface, eight prefixes of
 * one message. Lifetimes are the router's, but a valid address cannot be made to end within two hours (RFC 4862, 5.5.3 (e)).
 *
 * Interface identifiers are hashes of prefix, interface and a counter under a key (RFC 7217): stable here, telling nothing elsewhere. The
 * counter moves on when the address is taken, three times. slaac_temp.c makes others beside them.
 *
 * A redirect is believed from the router that is now the first hop to that destination, and if it quotes a packet, that must be ours. It
 * becomes a route for one address, for ten minutes; at most sixteen of them on an interface, the oldest goes.
 */
#include "stack/ip_state.h"

#define ROUTERS_MAX 4
#define PREFIXES_MAX 8
#define ADDRS_MAX 8
#define REDIRECTS_MAX 16
#define REDIRECT_NS (600 * SECOND_NS)
#define IID_TRIES 3 /* RFC 7217, 7: IDGEN_RETRIES */
#define METRIC 1024 /* behind what the program configured, as on Linux */
#define TWO_HOURS_NS (7200 * SECOND_NS)
#define RS_FIRST_MS 1000 /* MAX_RTR_SOLICITATION_DELAY */
#define RS_NS (4 * SECOND_NS)
#define RS_DOUBLINGS 10 /* 4 s to 4096 s, cut at an hour */
#define REACHABLE_MS_MAX 3600000
#define RETRANS_MS_MIN 100
#define HOPS_MIN 32 /* fewer, and nothing of ours would leave the site: CVE-2015-2922 */

static bool listens(const struct iface *f)
{
	return f->up && (f->flags & BERTH_IF_ROUTER_ADV) && f->link == BERTH_LINK_ETHERNET && iface_has6(f);
}

static uint64_t until(const struct berth_stack *st, uint32_t lifetime_s)
{
	return lifetime_s == WIRE_ND_INFINITE_S ? NEVER_NS : st->now_ns + lifetime_s * SECOND_NS;
}

/* --- addresses --- */

bool slaac_is_reserved(const uint8_t iid[8])
{
	static const uint8_t router[8], ethernet[5] = {2, 0, 0x5e, 0xff, 0xfe},
					anycast[7] = {0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return memcmp(iid, router, 8) == 0 || memcmp(iid, ethernet, 5) == 0 ||
	       (memcmp(iid, anycast, 7) == 0 && iid[7] >= 0x80);
}

static struct port_addr make_addr(const struct berth_stack *st, uint16_t iface, const struct port_addr *prefix,
				  uint8_t *tries)
{
	const struct iface *f = iface_at(st, iface);
	struct port_addr a = *prefix;
	uint8_t name[8 + 16 + 6 + 1];
	uint64_t hash;

	memcpy(name, prefix->b, 8);
	memcpy(name + 8, f->name, 16);
	memcpy(name + 24, f->mac, 6);
	for (unsigned i = 0; i < 8; i++, ++*tries) {
		name[30] = *tries;
		hash = siphash24(&st->keys.iid, name, sizeof(name));
		for (unsigned b = 0; b < 8; b++)
			a.b[8 + b] = (uint8_t)(hash >> (56 - 8 * b));
		if (!slaac_is_reserved(a.b + 8))
			break;
	}
	return a;
}

static uint32_t make(struct berth_stack *st, uint16_t iface, const struct port_addr *prefix, uint8_t tries)
{
	struct port_addr a = make_addr(st, iface, prefix, &tries);
	uint32_t i;

	if (addr_add(st, iface, &a, 64, BERTH_ADDR_AUTO, &i) < 0)
		return NIL;
	st->ip->addrs[i].tries = tries;
	addr_begin(st, i);
	return i;
}

void slaac_conflict(struct berth_stack *st, const struct ip_addr *was)
{
	struct port_addr prefix = was->addr;
	uint32_t i;

	if (was->flags & BERTH_ADDR_TEMPORARY) {
		slaac_temp_conflict(st, was);
		return;
	}
	memset(prefix.b + 8, 0, 8);
	prefix.scope = 0;
	if (was->tries + 1 >= IID_TRIES)
		return;
	i = make(st, was->iface, &prefix, (uint8_t)(was->tries + 1));
	if (i == NIL)
		return;
	st->ip->addrs[i].no_temps = was->no_temps;
	addr_live(st, i, was->valid_until_ns, was->preferred_until_ns);
	slaac_temp_said(st, i);
}

/* --- asking for routers --- */

void slaac_start(struct berth_stack *st, uint16_t iface)
{
	static const struct port_addr link_local = {.b = {0xfe, 0x80}};
	struct iface *f = iface_at(st, iface);

	if (!listens(f))
		return;
	make(st, iface, &link_local, 0);
	f->n_rs = 0;
	f->rs_at_ns = st->now_ns + stack_random_below(st, RS_FIRST_MS) * MS_NS;
	iface_timer_set(st, iface);
}

void slaac_timer(struct berth_stack *st, uint16_t iface)
{
	struct port_addr routers = {.b = {0xff, 2, [15] = 2}}, src = PORT_ADDR_ANY6;
	struct iface *f = iface_at(st, iface);
	struct wire_nd_rs rs = {.options.has = 0};
	uint8_t msg[64];
	uint64_t wait_ns;
	int r;

	if (route_source(st, iface, &routers, true, &src) && port_addr_is_linklocal6(&src)) {
		rs.options.has = WIRE_ND_HAS_SOURCE_MAC;
		memcpy(rs.options.source_mac, f->mac, 6);
	} else {
		src = PORT_ADDR_ANY6;
	}
	r = wire_nd_rs_emit(&rs, msg, sizeof(msg));
	ASSERT(r > 0);
	nd_send(st, iface, &src, &routers, NULL, msg, (size_t)r);
	wait_ns = RS_NS << f->n_rs;
	if (wait_ns > 3600 * SECOND_NS)
		wait_ns = 3600 * SECOND_NS;
	if (f->n_rs < RS_DOUBLINGS)
		f->n_rs++;
	f->rs_at_ns = st->now_ns + wait_ns;
}

/* --- advertisements --- */

static unsigned n_routes_of(const struct berth_stack *st, uint16_t iface, enum route_kind kind)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < st->cfg.n_routes; i++)
		n += st->ip->routes[i].used && st->ip->routes[i].iface == iface && st->ip->routes[i].kind == kind;
	return n;
}

/* A route that a router says, new or for longer or no more. */
static void say_route(struct berth_stack *st, const struct ip_route_entry *e, unsigned max)
{
	uint32_t i =
		route_find_exact(st, &e->net, e->prefix_bits, e->iface, e->kind, e->has_gateway ? &e->gateway : NULL);

	if (i != NIL && (e->valid_until_ns <= st->now_ns || st->ip->routes[i].preference != e->preference)) {
		route_remove(st, i);
		i = NIL;
	}
	if (e->valid_until_ns <= st->now_ns)
		return;
	if (i != NIL) {
		st->ip->routes[i].valid_until_ns = e->valid_until_ns;
		wheel_set(&st->wheel, TIMER_ROUTE, i, e->valid_until_ns);
	} else if (n_routes_of(st, e->iface, (enum route_kind)e->kind) >= max || route_add(st, e, &i) < 0) {
		st->n.dropped_policy++;
	}
}

uint32_t slaac_addr(const struct berth_stack *st, uint16_t iface, const struct port_addr *prefix, unsigned *ret_n)
{
	uint32_t found = NIL;
	unsigned n = 0;

	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i];

		if (!a->used || a->iface != iface || !(a->flags & BERTH_ADDR_AUTO) ||
		    (a->flags & BERTH_ADDR_TEMPORARY) || port_addr_is_linklocal6(&a->addr))
			continue;
		n++;
		if (port_addr_in(&a->addr, prefix, 64))
			found = i;
	}
	if (ret_n)
		*ret_n = n;
	return found;
}

/* RFC 4862, 5.5.3 */
static void say_addr(struct berth_stack *st, uint16_t iface, const struct wire_nd_prefix *p)
{
	unsigned n;
	uint32_t i = slaac_addr(st, iface, &p->prefix, &n);
	uint64_t valid = until(st, p->valid_s), had, left;

	if (i == NIL) {
		if (!p->valid_s)
			return;
		i = n < ADDRS_MAX ? make(st, iface, &p->prefix, 0) : NIL;
		if (i == NIL) {
			st->n.dropped_policy++;
			return;
		}
		st->ip->addrs[i].valid_until_ns = valid;
	}
	had = st->ip->addrs[i].valid_until_ns;
	left = had > st->now_ns ? had - st->now_ns : 0;
	if (valid <= st->now_ns + TWO_HOURS_NS && valid <= had)
		valid = left > TWO_HOURS_NS ? st->now_ns + TWO_HOURS_NS : had;
	addr_live(st, i, valid, until(st, p->preferred_s));
	slaac_temp_said(st, i);
}

static void say_prefix(struct berth_stack *st, uint16_t iface, const struct wire_nd_prefix *p)
{
	struct ip_route_entry e = {.net = p->prefix,
				   .prefix_bits = p->prefix_bits,
				   .kind = ROUTE_PREFIX,
				   .iface = iface};

	if (port_addr_is_linklocal6(&p->prefix) || port_addr_is_multicast(&p->prefix) || is4(&p->prefix) ||
	    p->prefix_bits < 3)
		return;
	e.metric = METRIC;
	e.valid_until_ns = until(st, p->valid_s);
	if (p->on_link)
		say_route(st, &e, PREFIXES_MAX);
	if (p->autonomous && p->prefix_bits == 64)
		say_addr(st, iface, p);
}

static void say_parameters(struct berth_stack *st, struct iface *f, const struct wire_nd_ra *ra)
{
	if (ra->hops >= HOPS_MIN)
		f->hops = ra->hops;
	if (ra->reachable_ms && ra->reachable_ms <= REACHABLE_MS_MAX && ra->reachable_ms != f->reachable_base_ms) {
		f->reachable_base_ms = ra->reachable_ms;
		f->reachable_ns = 0;
	}
	if (ra->retrans_ms >= RETRANS_MS_MIN && ra->retrans_ms <= RETRANS_MS_MAX)
		f->retrans_ms = ra->retrans_ms;
	if ((ra->options.has & WIRE_ND_HAS_MTU) && ra->options.mtu >= IP6_MTU_MIN && ra->options.mtu <= f->mtu_bytes &&
	    f->mtu6_bytes != ra->options.mtu) {
		f->mtu6_bytes = ra->options.mtu;
		route_changed(st);
	}
}

void slaac_advert(struct berth_stack *st, const struct packet *p)
{
	struct iface *f = iface_at(st, p->iface);
	struct ip_route_entry e = {.net = PORT_ADDR_ANY6,
				   .kind = ROUTE_DEFAULT,
				   .has_gateway = true,
				   .iface = p->iface};
	struct wire_nd_ra ra;
	uint32_t n;

	if (!listens(f))
		return;
	if (!port_addr_is_linklocal6(&p->src) || wire_nd_ra_parse(p->l4, p->l4_len, &ra) < 0) {
		st->n.dropped_malformed++;
		return;
	}
	if (ra.lifetime_s != 0) { /* RFC 4861, 6.3.7: who is no router does not end the asking for one */
		f->rs_at_ns = NEVER_NS;
		iface_timer_set(st, p->iface);
	}
	say_parameters(st, f, &ra);
	if (ra.options.has & WIRE_ND_HAS_SOURCE_MAC) {
		n = neigh_get(st, p->iface, &p->src, false);
		if (n != NIL) {
			st->ip->neighs[n].is_router = true;
			neigh_learn(st, n, ra.options.source_mac);
		}
	}
	e.gateway = p->src;
	e.metric = METRIC;
	e.preference = ra.preference == WIRE_ND_HIGH ? 1 : ra.preference == WIRE_ND_LOW ? -1 : 0;
	e.valid_until_ns = st->now_ns + ra.lifetime_s * SECOND_NS;
	say_route(st, &e, ROUTERS_MAX);
	for (unsigned i = 0; i < ra.options.n_prefixes; i++)
		say_prefix(st, p->iface, &ra.options.prefixes[i]);
	sock_wake_waiting(st);
}

/* --- redirects --- */

static void drop_oldest_redirect(struct berth_stack *st, uint16_t iface)
{
	uint32_t oldest = NIL;

	for (uint32_t i = 0; i < st->cfg.n_routes; i++) {
		const struct ip_route_entry *e = &st->ip->routes[i];

		if (e->used && e->kind == ROUTE_REDIRECT && e->iface == iface &&
		    (oldest == NIL || e->valid_until_ns < st->ip->routes[oldest].valid_until_ns))
			oldest = i;
	}
	if (oldest != NIL)
		route_remove(st, oldest);
}

static bool believable(const struct berth_stack *st, const struct packet *p, const struct wire_nd_redirect *m,
		       const struct port_addr *target, const struct port_addr *dst)
{
	uint32_t slot;
	struct wire_embedded e;

	if (!port_addr_is_linklocal6(&p->src) || port_addr_is_multicast(dst) || dst->scope || ip_is_local(st, dst) ||
	    ip_is_local(st, target))
		return false;
	if (!same_addr(target, dst) && !port_addr_is_linklocal6(target))
		return false;
	slot = route_lookup(st, dst, p->iface);
	if (slot == NIL || !st->ip->routes[slot].has_gateway || !same_addr(&st->ip->routes[slot].gateway, &p->src))
		return false;
	if (!(m->options.has & WIRE_ND_HAS_REDIRECTED))
		return true;
	if (wire_embedded_parse(PORT_FAMILY_6, m->options.redirected, &e) < 0)
		return false;
	e.src = with_scope(e.src, p->iface);
	return ip_is_local(st, &e.src) && memcmp(e.dst.b, dst->b, 16) == 0;
}

void slaac_redirect(struct berth_stack *st, const struct packet *p)
{
	struct ip_route_entry e = {.kind = ROUTE_REDIRECT, .prefix_bits = 128, .iface = p->iface};
	struct wire_nd_redirect m;
	struct port_addr target, dst;
	uint32_t i;

	if (wire_nd_redirect_parse(p->l4, p->l4_len, &m) < 0) {
		st->n.dropped_malformed++;
		return;
	}
	target = with_scope(m.target, p->iface);
	dst = with_scope(m.dst, p->iface);
	if (!believable(st, p, &m, &target, &dst)) {
		st->n.dropped_policy++;
		return;
	}
	i = route_find_exact(st, &dst, 128, p->iface, ROUTE_REDIRECT, NULL);
	if (i != NIL)
		route_remove(st, i);
	if (n_routes_of(st, p->iface, ROUTE_REDIRECT) >= REDIRECTS_MAX)
		drop_oldest_redirect(st, p->iface);
	e.net = dst;
	e.has_gateway = !same_addr(&target, &dst);
	e.gateway = target;
	e.valid_until_ns = st->now_ns + REDIRECT_NS;
	if (route_add(st, &e, &i) < 0)
		return;
	if (m.options.has & WIRE_ND_HAS_TARGET_MAC) {
		i = neigh_get(st, p->iface, &target, false);
		if (i == NIL)
			return;
		st->ip->neighs[i].is_router |= e.has_gateway;
		neigh_learn(st, i, m.options.target_mac);
	}
}
