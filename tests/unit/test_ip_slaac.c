/* tests/unit/test_ip_slaac.c: routers, the addresses they give, and redirects; what they may not do. */
#include "ip_router.h"

static void open_lab(struct lab *l)
{
	struct berth_stack_config c = {.n_packets = 128};

	lab_open_with(l, BERTH_LINK_ETHERNET, BERTH_IF_ROUTER_ADV, 1500, &c);
	lab_pass(l, SEC(5)); /* its link-local address is good */
	lab_clear(l);
}

static unsigned n_auto(struct lab *l, const char *prefix, const struct ip_addr **ret)
{
	struct port_addr net = A(prefix);
	unsigned n = 0;

	for (uint32_t i = 0; i < l->st->ip->n_addrs; i++) {
		const struct ip_addr *a = &l->st->ip->addrs[i];

		if (a->used && (a->flags & BERTH_ADDR_AUTO) && port_addr_in(&a->addr, &net, 64)) {
			n++;
			if (ret)
				*ret = a;
		}
	}
	return n;
}

static unsigned n_kind(struct lab *l, enum route_kind kind)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < l->st->cfg.n_routes; i++)
		n += l->st->ip->routes[i].used && l->st->ip->routes[i].kind == kind;
	return n;
}

static void an_interface_makes_a_link_local_address_and_asks_for_routers(void **state)
{
	struct berth_stack_config c = {.n_packets = 128};
	uint64_t at[16];
	unsigned n = 0;
	struct lab l;

	(void)state;
	lab_open_with(&l, BERTH_LINK_ETHERNET, BERTH_IF_ROUTER_ADV, 1500, &c);
	assert_int_equal(n_auto(&l, "fe80::", NULL), 1);
	lab_pass(&l, SEC(100));
	for (unsigned i = 0; i < l.n_out && n < COUNT_OF(at); i++) {
		struct seen s = lab_seen(&l, i);

		if (s.v6 && s.proto == WIRE_PROTO_ICMP6 && s.payload.data[0] == WIRE_ICMP6_ND_RS) {
			assert_int_equal(s.hops, 255);
			at[n++] = s.at_ns;
		}
	}
	assert_int_equal(n, 5); /* 0..1 s, then after 4, 8, 16, 32 s (RFC 7559) */
	for (unsigned i = 1; i < n; i++) {
		uint64_t gap = at[i] - at[i - 1], want = SEC(4) << (i - 1);

		assert_true(gap >= want && gap < want + SEC(0.01));
	}
	lab_close(&l);
}

static void an_advertisement_gives_a_router_a_network_and_an_address(void **state)
{
	const struct ip_addr *a = NULL;
	struct wire_nd_ra ra = advert(1800);
	struct port_addr far = A("2001:db8:ffff::1"), near = A("2001:db8:1::77"), from;
	struct ip_route rt;
	struct lab l;

	(void)state;
	open_lab(&l);
	add_prefix(&ra, "2001:db8:1::", 86400, 14400);
	ra.hops = 33;
	ra.options.has |= WIRE_ND_HAS_MTU;
	ra.options.mtu = 1400;
	say(&l, &ra);
	assert_int_equal(n_auto(&l, "2001:db8:1::", &a), 1);
	assert_true(a->flags & BERTH_ADDR_TENTATIVE);
	lab_pass(&l, SEC(3));
	assert_int_equal(a->flags, BERTH_ADDR_AUTO);
	assert_int_equal(ip_route_find(l.st, NULL, &far, BERTH_IFACE_ANY, &rt, &from), 0);
	assert_true(port_addr_equal(&from, &a->addr));
	assert_int_equal(rt.mtu_bytes, 1400);
	assert_memory_equal(l.st->ip->neighs[rt.neigh].mac, his_mac, 6);
	assert_int_equal(ip_route_find(l.st, NULL, &near, BERTH_IFACE_ANY, &rt, &from), 0);
	assert_true(port_addr_equal(&l.st->ip->neighs[rt.neigh].addr, &near)); /* on the link: he himself is asked */
	assert_int_equal(l.st->ip->ifaces[l.iface].hops, 33);
	ra.hops = 1; /* S19: what we send would not leave the link (CVE-2015-2922) */
	say(&l, &ra);
	assert_int_equal(l.st->ip->ifaces[l.iface].hops, 33);
	/* No more solicitations. */
	lab_clear(&l);
	lab_pass(&l, SEC(100));
	assert_int_equal(lab_n_icmp(&l, WIRE_ICMP6_ND_RS), 0);
	/* And all of it ends. */
	lab_pass(&l, SEC(1800));
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 0);
	lab_pass(&l, SEC(14400));
	assert_true(a->flags & BERTH_ADDR_DEPRECATED);
	lab_pass(&l, SEC(86400));
	assert_int_equal(n_auto(&l, "2001:db8:1::", NULL), 0);
	assert_int_equal(n_kind(&l, ROUTE_PREFIX), 0);
	lab_close(&l);
}

/* RFC 4862, 5.5.3 (e) */
struct two_hours {
	const char *name;
	uint32_t first_s, wait_s, then_s, want_s;
};
static const struct two_hours two_hours[] = {
	{"2 hours: more is taken", 1000, 0, 5000, 5000},
	{"2 hours: above two hours anything is taken", 86400, 0, 7300, 7300},
	{"2 hours: it cannot be cut below two hours", 86400, 0, 60, 7200},
	{"2 hours: nor ended", 86400, 0, 0, 7200},
	{"2 hours: with less left it stays as it is", 8000, 4000, 60, 4000},
	{"2 hours: with less left, more than is left is taken", 8000, 4000, 4500, 4500},
};

static void run_two_hours(void **state)
{
	const struct two_hours *t = *state;
	const struct ip_addr *a = NULL;
	struct wire_nd_ra first = advert(1800), then = advert(1800);
	struct lab l;

	open_lab(&l);
	add_prefix(&first, "2001:db8:1::", t->first_s, t->first_s);
	add_prefix(&then, "2001:db8:1::", t->then_s, t->then_s);
	say(&l, &first);
	lab_pass(&l, SEC(t->wait_s));
	say(&l, &then);
	assert_int_equal(n_auto(&l, "2001:db8:1::", &a), 1);
	assert_int_equal((a->valid_until_ns - l.now) / 1000000000, t->want_s);
	lab_close(&l);
}

/* --- what an advertisement may not do --- */

struct bad {
	const char *name, *from;
	uint8_t hops;
	bool no_flag; /* the interface does not listen */
};
static const struct bad bads[] = {
	{"S19: from a global address", "2001:db8::1", 255},
	{"S19: from another link", ROUTER, 254},
	{"S19: on an interface that does not listen", ROUTER, 255, true},
};

static void run_bad(void **state)
{
	const struct bad *b = *state;
	struct berth_stack_config c = {.n_packets = 128};
	struct wire_nd_ra ra = advert(1800);
	struct lab l;

	lab_open_with(&l, BERTH_LINK_ETHERNET, b->no_flag ? 0 : BERTH_IF_ROUTER_ADV, 1500, &c);
	lab_pass(&l, SEC(5));
	add_prefix(&ra, "2001:db8:1::", 86400, 14400);
	say_from(&l, b->from, &ra, b->hops);
	assert_int_equal(n_auto(&l, "2001:db8:1::", NULL), 0);
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 0);
	lab_close(&l);
}

static void s19_prefixes_that_make_no_sense(void **state)
{
	struct wire_nd_ra ra = advert(0);
	struct lab l;
	unsigned n;

	(void)state;
	open_lab(&l);
	add_prefix(&ra, "fe80::", 86400, 14400); /* link-local */
	add_prefix(&ra, "ff02::", 86400, 14400); /* a group */
	add_prefix(&ra, "2001:db8:1::", 0, 0);	 /* over before it began */
	add_prefix(&ra, "2001:db8:2::", 86400, 14400);
	ra.options.prefixes[3].prefix_bits = 56; /* no place for an identifier of 64 bits */
	ra.options.prefixes[3].on_link = false;
	n = l.st->ip->n_addrs;
	say(&l, &ra);
	assert_int_equal(l.st->ip->n_addrs, n);
	assert_int_equal(n_kind(&l, ROUTE_PREFIX), 0);
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 0);
	lab_close(&l);
}

static void s19_a_thousand_advertisements_add_no_more_than_the_caps(void **state)
{
	char router[32], prefix[48];
	struct lab l;
	unsigned n_addrs = 0;

	(void)state;
	open_lab(&l);
	for (unsigned i = 0; i < 1000; i++) {
		struct wire_nd_ra ra = advert(9000);

		for (unsigned k = 0; k < 8; k++) {
			snprintf(prefix, sizeof(prefix), "2001:db8:%x:%x::", i, k);
			add_prefix(&ra, prefix, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
		}
		snprintf(router, sizeof(router), "fe80::1:%x", i + 1);
		say_from(&l, router, &ra, 255);
		lab_clear(&l);
	}
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 4);
	assert_int_equal(n_kind(&l, ROUTE_PREFIX), 8);
	for (uint32_t i = 0; i < l.st->ip->n_addrs; i++)
		n_addrs += l.st->ip->addrs[i].used;
	assert_int_equal(n_addrs, 9); /* and the link-local one */
	assert_true(l.st->n.dropped_policy > 1000);
	lab_close(&l);
}

static void s19_parameters_out_of_all_bounds_are_not_taken(void **state)
{
	struct wire_nd_ra ra = advert(1800);
	struct lab l;
	const struct iface *f;

	(void)state;
	open_lab(&l);
	f = &l.st->ip->ifaces[l.iface];
	ra.reachable_ms = 0xffffffff;
	ra.retrans_ms = 0xffffffff;
	ra.options.has |= WIRE_ND_HAS_MTU;
	ra.options.mtu = 500;
	say(&l, &ra);
	assert_int_equal(f->reachable_base_ms, 30000);
	assert_int_equal(f->retrans_ms, 1000);
	assert_int_equal(f->mtu6_bytes, 0);
	ra.retrans_ms = 1;
	ra.options.mtu = 9000;
	say(&l, &ra);
	assert_int_equal(f->retrans_ms, 1000);
	assert_int_equal(f->mtu6_bytes, 0);
	lab_close(&l);
}

/* A link that is too small for IPv6 forgets its routers; when it is large enough it begins as one that comes up. */
static void an_mtu_below_1280_ends_it_and_it_begins_anew(void **state)
{
	struct wire_nd_ra ra = advert(1800);
	const struct iface *f;
	const struct ip_addr *a;
	struct lab l;

	(void)state;
	open_lab(&l);
	f = iface_at(l.st, l.iface);
	add_prefix(&ra, "fd00::", 7200, 3600);
	ra.hops = 99;
	ra.options.has |= WIRE_ND_HAS_MTU;
	ra.options.mtu = 1300;
	say(&l, &ra);
	lab_pass(&l, SEC(5));
	assert_int_equal(n_auto(&l, "fd00::", NULL), 1);
	assert_int_equal(f->mtu6_bytes, 1300);
	for (unsigned asking = 0; asking <= 1; asking++) { /* the second time no router was heard yet */
		assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1000), 0);
		assert_int_equal(l.st->ip->n_addrs, 0);
		assert_int_equal(l.st->ip->n_routes, 0);
		assert_int_equal(f->mtu6_bytes, 0);
		assert_int_equal(f->hops, 0);
		lab_drain(&l);
		lab_clear(&l);
		say(&l, &ra);
		lab_pass(&l, SEC(100));
		assert_int_equal(l.n_out, 0);
		assert_int_equal(l.st->ip->n_addrs, 0);
		assert_int_equal(l.st->ip->n_routes, 0);
		assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1500), 0);
		lab_pass(&l, SEC(3));
		assert_int_equal(n_auto(&l, "fe80::", &a), 1);
		assert_int_equal(a->flags & BERTH_ADDR_TENTATIVE, 0);
		lab_icmp(&l, WIRE_ICMP6_ND_RS);
		if (asking)
			say(&l, &ra);
		assert_int_equal(n_auto(&l, "fd00::", NULL), asking);
	}
	lab_close(&l);
}

static void a_router_takes_itself_back(void **state)
{
	struct wire_nd_ra ra = advert(1800);
	struct wire_nd_na na = {.target = A(ROUTER), .solicited = false, .override = true};
	uint8_t msg[64];
	struct lab l;

	(void)state;
	open_lab(&l);
	say(&l, &ra);
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 1);
	ra.lifetime_s = 0;
	say(&l, &ra);
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 0);
	/* or says in an advertisement of its address that it is none any more (RFC 4861, 7.2.5) */
	ra.lifetime_s = 1800;
	say(&l, &ra);
	na.options.has = WIRE_ND_HAS_TARGET_MAC;
	memcpy(na.options.target_mac, his_mac, 6);
	lab_nd(&l, ROUTER, "ff02::1", msg, wire_nd_na_emit(&na, msg, sizeof(msg)), 255);
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 0);
	lab_close(&l);
}

/* RFC 4861, 6.3.7: only a router that is one ends the asking for routers. */
static void who_is_no_router_does_not_end_the_asking(void **state)
{
	struct wire_nd_ra ra = advert(0);
	struct lab l;

	(void)state;
	open_lab(&l);
	lab_pass(&l, SEC(2));
	say(&l, &ra);
	lab_clear(&l);
	lab_pass(&l, SEC(60));
	assert_true(lab_n_icmp(&l, WIRE_ICMP6_ND_RS) >= 2);
	ra.lifetime_s = 1800;
	say(&l, &ra);
	lab_clear(&l);
	lab_pass(&l, SEC(1000));
	assert_int_equal(lab_n_icmp(&l, WIRE_ICMP6_ND_RS), 0);
	lab_close(&l);
}

static void the_preferred_router_is_taken(void **state)
{
	struct wire_nd_ra low = advert(1800), high = advert(1800);
	struct port_addr far = A("2001:db8:ffff::1"), want = A(ROUTER2 "%1");
	struct ip_route rt;
	struct lab l;

	(void)state;
	open_lab(&l);
	lab_addr(&l, "2001:db8::5", 64);
	lab_pass(&l, SEC(5));
	low.preference = WIRE_ND_LOW;
	high.preference = WIRE_ND_HIGH;
	say_from(&l, ROUTER, &low, 255);
	say_from(&l, ROUTER2, &high, 255);
	assert_int_equal(ip_route_find(l.st, NULL, &far, BERTH_IFACE_ANY, &rt, NULL), 0);
	assert_true(port_addr_equal(&l.st->ip->neighs[rt.neigh].addr, &want));
	lab_close(&l);
}

/* RFC 7217: the same here again, another elsewhere; and another one when it is taken. */
static void identifiers_are_stable_and_tell_nothing(void **state)
{
	const struct ip_addr *a = NULL;
	struct port_addr ids[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct berth_stack_config c = {.n_packets = 128};
		struct wire_nd_ra ra = advert(1800);
		struct lab l;

		memset(c.secret, i == 2 ? 9 : 5, 16);
		lab_open_with(&l, BERTH_LINK_ETHERNET, BERTH_IF_ROUTER_ADV, 1500, &c);
		lab_pass(&l, SEC(5));
		add_prefix(&ra, i == 3 ? "2001:db8:3::" : "2001:db8:1::", 86400, 14400);
		say(&l, &ra);
		assert_int_equal(n_auto(&l, i == 3 ? "2001:db8:3::" : "2001:db8:1::", &a), 1);
		ids[i] = a->addr;
		assert_true(memcmp(ids[i].b + 11, (uint8_t[]){0xff, 0xfe}, 2) != 0); /* no MAC in it */
		lab_close(&l);
	}
	assert_memory_equal(ids[0].b, ids[1].b, 16);
	assert_memory_not_equal(ids[0].b + 8, ids[2].b + 8, 8);
	assert_memory_not_equal(ids[0].b + 8, ids[3].b + 8, 8);
}

static void a_taken_address_is_made_anew_three_times_at_most(void **state)
{
	const struct ip_addr *a = NULL;
	struct wire_nd_ra ra = advert(1800);
	struct port_addr before;
	char text[PORT_ADDR_STR_MAX];
	struct lab l;

	(void)state;
	open_lab(&l);
	add_prefix(&ra, "2001:db8:1::", 86400, 14400);
	say(&l, &ra);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(n_auto(&l, "2001:db8:1::", &a), 1);
		before = a->addr;
		port_addr_print(&before, text);
		lab_na(&l, text, "ff02::1", text, other_mac, false, true);
		assert_true(addr_find(l.st, &before) == NIL);
	}
	assert_int_equal(n_auto(&l, "2001:db8:1::", NULL), 0);
	lab_close(&l);
}

/* --- redirects --- */

struct redirect {
	const char *name, *from, *target, *dst;
	uint8_t hops;
	const char *quoted_src; /* NULL: nothing is quoted */
	bool taken;
};
static const struct redirect redirects[] = {
	{"redirect: to a better router", ROUTER, ROUTER2, "2001:db8:ffff::1", 255, NULL, true},
	{"redirect: he is on the link", ROUTER, "2001:db8:ffff::1", "2001:db8:ffff::1", 255, NULL, true},
	{"redirect: it quotes a packet of ours", ROUTER, ROUTER2, "2001:db8:ffff::1", 255, "2001:db8::5", true},
	{"redirect: it quotes somebody else's", ROUTER, ROUTER2, "2001:db8:ffff::1", 255, "2001:db8::6", false},
	{"redirect: from who is not the first hop", ROUTER2, ROUTER2, "2001:db8:ffff::1", 255, NULL, false},
	{"redirect: from another link", ROUTER, ROUTER2, "2001:db8:ffff::1", 254, NULL, false},
	{"redirect: from a global address", "2001:db8::1", ROUTER2, "2001:db8:ffff::1", 255, NULL, false},
	{"redirect: to a global router", ROUTER, "2001:db8::9", "2001:db8:ffff::1", 255, NULL, false},
	{"redirect: to ourselves", ROUTER, "2001:db8::5", "2001:db8::5", 255, NULL, false},
	{"redirect: for a neighbour on the link", ROUTER, ROUTER2, "2001:db8::77", 255, NULL, false},
};

static void redirect(struct lab *l, const struct redirect *r, const char *dst)
{
	struct wire_nd_redirect m = {.target = A(r->target), .dst = A(strcmp(r->target, r->dst) == 0 ? r->dst : dst)};
	uint8_t msg[300], quoted[64] = {0};

	m.options.has = WIRE_ND_HAS_TARGET_MAC;
	memcpy(m.options.target_mac, other_mac, 6);
	if (r->quoted_src) {
		struct pk p = {.src = r->quoted_src,
			       .dst = dst,
			       .proto = WIRE_PROTO_UDP,
			       .payload = "12345678abcdefgh",
			       .len = 16};

		m.options.has |= WIRE_ND_HAS_REDIRECTED;
		m.options.redirected = (struct wire_slice){quoted, pk_build(&p, quoted, sizeof(quoted))};
	}
	lab_nd(l, r->from, "2001:db8::5", msg, wire_nd_redirect_emit(&m, msg, sizeof(msg)), r->hops);
}

static void run_redirect(void **state)
{
	const struct redirect *r = *state;
	struct wire_nd_ra ra = advert(1800);
	struct port_addr dst = A(r->dst);
	struct ip_route rt;
	struct lab l;

	open_lab(&l);
	lab_addr(&l, "2001:db8::5", 64);
	lab_pass(&l, SEC(5));
	say(&l, &ra);
	redirect(&l, r, r->dst);
	assert_int_equal(n_kind(&l, ROUTE_REDIRECT), r->taken);
	if (r->taken) {
		assert_int_equal(ip_route_find(l.st, NULL, &dst, BERTH_IFACE_ANY, &rt, NULL), 0);
		assert_memory_equal(l.st->ip->neighs[rt.neigh].mac, other_mac, 6);
		lab_pass(&l, SEC(601));
		assert_int_equal(n_kind(&l, ROUTE_REDIRECT), 0);
	}
	lab_close(&l);
}

static void s19_redirects_are_bounded(void **state)
{
	struct wire_nd_ra ra = advert(9000);
	char dst[48];
	struct lab l;

	(void)state;
	open_lab(&l);
	lab_addr(&l, "2001:db8::5", 64);
	lab_pass(&l, SEC(5));
	say(&l, &ra);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(dst, sizeof(dst), "2001:db8:aaaa::%x", i + 1);
		redirect(&l, &redirects[0], dst);
		lab_pass(&l, SEC(0.1));
	}
	assert_int_equal(n_kind(&l, ROUTE_REDIRECT), 16);
	struct port_addr newest = A(dst);

	assert_int_equal(l.st->ip->routes[route_lookup(l.st, &newest, BERTH_IFACE_ANY)].kind, ROUTE_REDIRECT);
	lab_close(&l);
}

/* What is too many on one interface takes nothing from another. */
static void s19_redirects_of_another_interface_stay(void **state)
{
	struct ip_route_entry e = {.kind = ROUTE_REDIRECT, .prefix_bits = 128, .net = A("2001:db8:bbbb::1")};
	struct berth_iface second = {.struct_size = sizeof(second), .mtu_bytes = 1500, .flags = BERTH_IF_NO_DAD};
	struct wire_nd_ra ra = advert(9000);
	char dst[48];
	struct lab l;
	uint32_t i;

	(void)state;
	open_lab(&l);
	lab_addr(&l, "2001:db8::5", 64);
	lab_pass(&l, SEC(5));
	say(&l, &ra);
	assert_int_equal(berth_iface_add(l.st, &second, &e.iface), 0);
	e.valid_until_ns = l.now + SEC(500); /* before all that follow */
	assert_int_equal(route_add(l.st, &e, &i), 0);
	for (unsigned k = 0; k < 20; k++) {
		snprintf(dst, sizeof(dst), "2001:db8:aaaa::%x", k + 1);
		redirect(&l, &redirects[0], dst);
	}
	assert_int_equal(n_kind(&l, ROUTE_REDIRECT), 17);
	assert_true(l.st->ip->routes[i].used && l.st->ip->routes[i].iface == e.iface);
	lab_close(&l);
}

/* A probe for an address goes to its own group (RFC 4861, 7.1.1): another one is no reason to give it up. */
static void a_probe_that_is_not_for_the_group_is_no_probe(void **state)
{
	static const char *const dsts[] = {"ff02::1", "2001:db8::5", "ff02::1:ff00:5"};
	struct lab l;

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(dsts); i++) {
		lab_open(&l, BERTH_LINK_ETHERNET, 0);
		lab_addr(&l, "2001:db8::5", 64);
		lab_ns(&l, "::", dsts[i], "2001:db8::5", NULL);
		assert_int_equal(lab_addr_flags(&l, "2001:db8::5") & BERTH_ADDR_DUPLICATE,
				 i == 2 ? BERTH_ADDR_DUPLICATE : 0);
		lab_close(&l);
	}
}

/* RFC 6980: ND in fragments is refused; and with extension headers, too. */
static void nd_behind_extension_headers_is_refused(void **state)
{
	uint8_t msg[600], buf[900], fh[8];
	struct wire_nd_ra ra = advert(1800);
	struct pk p = {.src = ROUTER,
		       .dst = "ff02::1",
		       .proto = WIRE_PROTO_ICMP6,
		       .ttl = 255,
		       .payload = msg,
		       .next = WIRE_PROTO_FRAGMENT};
	static const uint8_t mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct lab l;

	(void)state;
	open_lab(&l);
	p.len = (size_t)wire_nd_ra_emit(&ra, msg, sizeof(msg));
	seal(ROUTER, "ff02::1", WIRE_PROTO_ICMP6, msg, p.len);
	wire_ip6_put_fragment(fh, WIRE_PROTO_ICMP6, 0, false, 9);
	p.extensions = fh;
	p.n_extensions = 8;
	lab_packet_to(&l, mac, his_mac, buf, pk_build(&p, buf, sizeof(buf)));
	assert_int_equal(n_kind(&l, ROUTE_DEFAULT), 0);
	assert_int_equal(l.st->n.dropped_policy, 1);
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(two_hours) + COUNT_OF(bads) + COUNT_OF(redirects) + 16];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(an_interface_makes_a_link_local_address_and_asks_for_routers),
		cmocka_unit_test(an_advertisement_gives_a_router_a_network_and_an_address),
		cmocka_unit_test(s19_prefixes_that_make_no_sense),
		cmocka_unit_test(s19_a_thousand_advertisements_add_no_more_than_the_caps),
		cmocka_unit_test(s19_parameters_out_of_all_bounds_are_not_taken),
		cmocka_unit_test(an_mtu_below_1280_ends_it_and_it_begins_anew),
		cmocka_unit_test(a_router_takes_itself_back),
		cmocka_unit_test(the_preferred_router_is_taken),
		cmocka_unit_test(identifiers_are_stable_and_tell_nothing),
		cmocka_unit_test(a_taken_address_is_made_anew_three_times_at_most),
		cmocka_unit_test(s19_redirects_are_bounded),
		cmocka_unit_test(who_is_no_router_does_not_end_the_asking),
		cmocka_unit_test(s19_redirects_of_another_interface_stay),
		cmocka_unit_test(a_probe_that_is_not_for_the_group_is_no_probe),
		cmocka_unit_test(nd_behind_extension_headers_is_refused),
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(two_hours); i++)
		tests[n++] = (struct CMUnitTest){two_hours[i].name, run_two_hours, NULL, NULL,
						 (void *)(uintptr_t)&two_hours[i]};
	for (size_t i = 0; i < COUNT_OF(bads); i++)
		tests[n++] = (struct CMUnitTest){bads[i].name, run_bad, NULL, NULL, (void *)(uintptr_t)&bads[i]};
	for (size_t i = 0; i < COUNT_OF(redirects); i++)
		tests[n++] = (struct CMUnitTest){redirects[i].name, run_redirect, NULL, NULL,
						 (void *)(uintptr_t)&redirects[i]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_slaac", tests, n, NULL, NULL);
}
