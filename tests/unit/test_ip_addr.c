/* tests/unit/test_ip_addr.c: our addresses: duplicate detection of both families, in virtual time. */
#include "ip_fixture.h"
#include "stack/group.h"

enum act { NOTHING, ARP_REPLY, ARP_PROBE, ARP_USE, NS_DAD, NS_OWN, NS_ASK, NA };
struct row {
	const char *name;
	const char *addr;
	unsigned bits;
	uint32_t flags;
	enum act act;
	double act_at_s;
	double good_at_s, not_before_s; /* 0: never */
	int end_flags;
	unsigned n_probes, n_announces;
};
static const struct row rows[] = {
	{"IPv6: one probe, then a second", "fd00::1", 64, 0, NOTHING, 0, 2.1, 0.9, 0, 1, 0},
	{"IPv6: somebody has it", "fd00::1", 64, 0, NA, 0.001, 0, 0, BERTH_ADDR_TENTATIVE | BERTH_ADDR_DUPLICATE, 0, 0},
	{"IPv6: somebody probes for it, too", "fd00::1", 64, 0, NS_DAD, 0.001, 0, 0,
	 BERTH_ADDR_TENTATIVE | BERTH_ADDR_DUPLICATE, 0, 0},
	{"IPv6: our own probe comes back", "fd00::1", 64, 0, NS_OWN, 1.01, 2.1, 0.9, 0, 1, 0},
	{"IPv6: a question for a tentative one is not answered", "fd00::1", 64, 0, NS_ASK, 0.001, 2.1, 0.9, 0, 1, 0},
	{"IPv6: without detection it is good at once", "fd00::1", 64, BERTH_IF_NO_DAD, NOTHING, 0, 0.0001, 0, 0, 0, 0},
	{"IPv4: three probes, then two announcements", "10.0.0.1", 24, 0, NOTHING, 0, 7.1, 4, 0, 3, 2},
	{"IPv4: somebody answers", "10.0.0.1", 24, 0, ARP_REPLY, 2, 0, 0, BERTH_ADDR_TENTATIVE | BERTH_ADDR_DUPLICATE,
	 0, 0},
	{"IPv4: somebody probes for it, too", "10.0.0.1", 24, 0, ARP_PROBE, 2, 0, 0,
	 BERTH_ADDR_TENTATIVE | BERTH_ADDR_DUPLICATE, 0, 0},
	{"IPv4: somebody uses it", "10.0.0.1", 24, 0, ARP_USE, 2, 0, 0, BERTH_ADDR_TENTATIVE | BERTH_ADDR_DUPLICATE, 0,
	 0},
	{"IPv4: without detection it is good at once, and announced", "10.0.0.1", 24, BERTH_IF_NO_DAD, NOTHING, 0,
	 0.0001, 0, 0, 0, 2},
};

static void act(struct lab *l, const struct row *r)
{
	struct wire_nd_ns ns = {.target = A(r->addr)};
	uint8_t msg[64];

	switch (r->act) {
	case NOTHING:
		return;
	case ARP_REPLY:
		lab_arp(l, WIRE_ARP_REPLY, r->addr, his_mac, "0.0.0.0", our_mac);
		return;
	case ARP_PROBE:
		lab_arp(l, WIRE_ARP_REQUEST, "0.0.0.0", his_mac, r->addr, all_macs);
		return;
	case ARP_USE:
		lab_arp(l, WIRE_ARP_REQUEST, r->addr, his_mac, "10.0.0.9", all_macs);
		return;
	case NS_OWN:
		ns.options.has = WIRE_ND_HAS_NONCE;
		memcpy(ns.options.nonce, l->st->ip->addrs[0].nonce, WIRE_ND_NONCE_LEN);
		lab_nd(l, "::", "ff02::1:ff00:1", msg, wire_nd_ns_emit(&ns, msg, sizeof(msg)), 255);
		return;
	case NS_DAD:
		lab_ns(l, "::", "ff02::1:ff00:1", r->addr, NULL);
		return;
	case NS_ASK:
		lab_ns(l, "fd00::2", "ff02::1:ff00:1", r->addr, his_mac);
		return;
	case NA:
		lab_na(l, r->addr, "ff02::1", r->addr, his_mac, false, true);
		return;
	}
}

static void probes_are_well_formed(const struct lab *l, const struct row *r, unsigned *n_probes, unsigned *n_announces)
{
	*n_probes = *n_announces = 0;
	for (unsigned i = 0; i < l->n_out; i++) {
		struct seen s = lab_seen(l, i);
		struct wire_nd_ns ns;

		if (s.is_arp && s.arp.op == WIRE_ARP_REQUEST) {
			assert_memory_equal(s.eth.dst, all_macs, 6);
			*(port_addr_is_any(&s.arp.sender) ? n_probes : n_announces) += 1;
			assert_true(port_addr_is_any(&s.arp.sender) || port_addr_equal(&s.arp.sender, &s.arp.target));
		}
		if (s.v6 && s.proto == WIRE_PROTO_ICMP6 && s.payload.data[0] == WIRE_ICMP6_ND_NS) {
			struct port_addr target = A(r->addr), group = wire_nd_solicited_node(&target);

			assert_int_equal(wire_nd_ns_parse(s.payload.data, s.payload.len_bytes, &ns), 0);
			assert_true(port_addr_is_any(&s.src) && port_addr_equal(&s.dst, &group));
			assert_false(ns.options.has & WIRE_ND_HAS_SOURCE_MAC);
			assert_int_equal(s.hops, 255);
			++*n_probes;
		}
	}
}

static void run(void **state)
{
	const struct row *r = *state;
	struct port_addr a = A(r->addr);
	double good_at = 0;
	unsigned n_probes, n_announces;
	struct lab l;
	bool acted = false;

	lab_open(&l, BERTH_LINK_ETHERNET, r->flags);
	lab_addr(&l, r->addr, r->bits);
	assert_int_equal(ip_is_local(l.st, &a), r->flags & BERTH_IF_NO_DAD ? 1 : 0);
	for (double t = 0; t < 12; t += 0.01) {
		if (!acted && t >= r->act_at_s) {
			act(&l, r);
			acted = true;
		}
		if (!good_at && ip_is_local(l.st, &a))
			good_at = t ? t : 0.00001;
		lab_pass(&l, SEC(0.01));
	}
	if (r->good_at_s) {
		assert_true(good_at && good_at <= r->good_at_s && good_at >= r->not_before_s);
		probes_are_well_formed(&l, r, &n_probes, &n_announces);
		assert_int_equal(n_probes, r->n_probes);
		assert_int_equal(n_announces, r->n_announces);
	} else {
		assert_true(good_at == 0);
	}
	assert_int_equal(lab_addr_flags(&l, r->addr), r->end_flags);
	assert_int_equal(lab_n_icmp(&l, WIRE_ICMP6_ND_NA), 0);
	lab_close(&l);
}

static void a_tentative_address_is_no_source_and_gets_no_packets(void **state)
{
	struct lab l;
	struct port_addr dst = A("fd00::2"), src = A("fd00::1");
	struct ip_route rt;

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, 0);
	lab_addr(&l, "fd00::1", 64);
	assert_int_equal(ip_route_find(l.st, NULL, &dst, BERTH_IFACE_ANY, &rt, NULL), -EADDRNOTAVAIL);
	assert_int_equal(ip_route_find(l.st, &src, &dst, BERTH_IFACE_ANY, &rt, NULL), -EADDRNOTAVAIL);
	lab_udp(&l, "fd00::2", "fd00::1", 5000, "x", 1);
	assert_int_equal(l.st->n.dropped_not_ours, 1);
	lab_close(&l);
}

static void an_address_in_use_is_defended_once_in_ten_seconds(void **state)
{
	struct lab l;

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD);
	lab_addr(&l, "10.0.0.1", 24);
	lab_pass(&l, SEC(10));
	lab_clear(&l);
	for (int i = 0; i < 90; i++) {
		lab_arp(&l, WIRE_ARP_REPLY, "10.0.0.1", his_mac, "10.0.0.1", all_macs);
		lab_pass(&l, SEC(0.1));
	}
	assert_int_equal(lab_n_arp(&l, WIRE_ARP_REQUEST), 1);
	assert_int_equal(lab_addr_flags(&l, "10.0.0.1"), 0);
	lab_pass(&l, SEC(2));
	lab_arp(&l, WIRE_ARP_REPLY, "10.0.0.1", his_mac, "10.0.0.1", all_macs);
	assert_int_equal(lab_n_arp(&l, WIRE_ARP_REQUEST), 2);
	lab_close(&l);
}

static void a_probe_for_an_address_in_use_is_answered(void **state)
{
	struct lab l;
	struct seen s;

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD);
	lab_addr(&l, "10.0.0.1", 24);
	lab_addr(&l, "fd00::1", 64);
	lab_pass(&l, SEC(10));
	lab_clear(&l);
	lab_arp(&l, WIRE_ARP_REQUEST, "0.0.0.0", his_mac, "10.0.0.1", all_macs);
	assert_int_equal(lab_n_arp(&l, WIRE_ARP_REPLY), 1);
	lab_clear(&l);
	lab_ns(&l, "::", "ff02::1:ff00:1", "fd00::1", NULL);
	s = lab_icmp(&l, WIRE_ICMP6_ND_NA);
	assert_int_equal(s.hops, 255);
	assert_true(port_addr_is_multicast(&s.dst));
	lab_close(&l);
}

static void adding_and_removing(void **state)
{
	static const struct {
		const char *name, *addr;
		unsigned bits;
		int want;
	} adds[] = {
		{"a good one", "10.0.0.1", 24, 0},
		{"the same again", "10.0.0.1", 24, -EEXIST},
		{"the wildcard", "0.0.0.0", 0, -EINVAL},
		{"a group", "224.0.0.9", 4, -EINVAL},
		{"broadcast", "255.255.255.255", 32, -EINVAL},
		{"a loopback on a link", "127.0.0.1", 8, -EINVAL},
		{"too many bits", "10.0.0.2", 33, -EINVAL},
		{"an IPv6 one", "fd00::1", 64, 0},
		{"an IPv6 group", "ff02::9", 64, -EINVAL},
		{"IPv6's loopback on a link", "::1", 128, -EINVAL},
		{"link-local, its scope is the interface", "fe80::1", 64, 0},
	};
	struct berth_addr_info info = {.struct_size = sizeof(info)};
	uint32_t cursor = 0, n = 0;
	struct lab l;

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD);
	for (unsigned i = 0; i < COUNT_OF(adds); i++) {
		struct berth_addr a = pub(adds[i].addr);
		int r = berth_addr_add(l.st, l.iface, &a, adds[i].bits);

		if (r != adds[i].want)
			fail_msg("%s: %d, not %d", adds[i].name, r, adds[i].want);
	}
	while (berth_addr_next(l.st, &cursor, &info)) {
		struct berth_addr a = info.addr;

		n++;
		assert_int_equal(info.iface, l.iface);
		assert_int_equal(a.scope, a.ip[0] == 0xfe ? l.iface + 1 : 0);
		assert_int_equal(info.prefix_bits, a.ip[0] ? 64 : 24);
	}
	assert_int_equal(n, 3);
	for (cursor = 0; berth_addr_next(l.st, &cursor, &info); cursor = 0)
		assert_int_equal(berth_addr_remove(l.st, l.iface, &info.addr), 0);
	assert_int_equal(l.st->ip->n_routes, 0);
	for (uint32_t i = 0; i < l.st->cfg.n_groups; i++)
		assert_true(!l.st->ip->groups[i].used || !l.st->ip->groups[i].n_users);
	lab_close(&l);
}

static void down_and_up_checks_the_address_again(void **state)
{
	struct lab l;
	struct port_addr a = A("10.0.0.1");

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, 0);
	lab_addr(&l, "10.0.0.1", 24);
	lab_pass(&l, SEC(12));
	assert_true(ip_is_local(l.st, &a));
	assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, true), 0);
	assert_false(ip_is_local(l.st, &a));
	lab_pass(&l, SEC(12));
	assert_true(ip_is_local(l.st, &a));
	assert_int_equal(berth_iface_remove(l.st, l.iface), 0);
	assert_false(ip_is_local(l.st, &a));
	assert_int_equal(berth_iface_remove(l.st, l.iface), -ENODEV);
	lab_close(&l);
}

/* --- a link that is too small for IPv6 (RFC 8200, 5) --- */

static unsigned n_addrs6(const struct lab *l)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < l->st->ip->n_addrs; i++)
		n += l->st->ip->addrs[i].used && !is4(&l->st->ip->addrs[i].addr);
	return n;
}

static unsigned n_out6(const struct lab *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n_out; i++)
		n += lab_seen(l, i).v6;
	return n;
}

static int route_by(struct lab *l, const char *src, const char *dst, uint16_t iface)
{
	struct port_addr from = src ? A(src) : PORT_ADDR_ANY6, to = A(dst);
	struct ip_route rt;

	return ip_route_find(l->st, src ? &from : NULL, &to, iface, &rt, NULL);
}

static int route_to(struct lab *l, const char *dst)
{
	return route_by(l, NULL, dst, BERTH_IFACE_ANY);
}

/* The first fragment of a datagram. */
static void begin_datagram(struct lab *l, const char *src, const char *dst)
{
	uint8_t buf[1000], fh[8], data[640] = {0};
	struct pk p =
		{.src = src, .dst = dst, .proto = WIRE_PROTO_UDP, .mf = true, .payload = data, .len = sizeof(data)};

	wire_ip6_put_fragment(fh, WIRE_PROTO_UDP, 0, true, 1);
	p.extensions = fh;
	p.n_extensions = sizeof(fh);
	p.next = WIRE_PROTO_FRAGMENT;
	lab_packet(l, buf, pk_build(&p, buf, sizeof(buf)));
}

static void ping(struct lab *l, const char *dst)
{
	uint8_t echo[64], buf[200];
	struct pk p = {.src = "fd00::9", .dst = dst, .proto = WIRE_PROTO_ICMP6, .payload = echo};

	p.len = echo_build(p.src, dst, "x", 1, echo);
	lab_packet(l, buf, pk_build(&p, buf, sizeof(buf)));
}

/* A second interface, whose IPv6 stays. */
static uint16_t other_link(struct lab *l)
{
	struct berth_iface f = {.struct_size = sizeof(f), .link = BERTH_LINK_IP, .mtu_bytes = 1500};
	struct berth_addr a = pub("fd77::1");
	uint16_t n;

	assert_int_equal(berth_iface_add(l->st, &f, &n), 0);
	assert_int_equal(berth_addr_add(l->st, n, &a, 64), 0);
	return n;
}

static void below_1280_an_interface_has_no_ipv6(void **state)
{
	struct berth_addr own = pub("fd00::1"), net = pub("fd11::"), via = pub("fd00::9"), group = pub("ff05::77");
	struct berth_addr all = {.port = 0};
	struct lab l;
	uint16_t other;
	berth_sock s;

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, 0);
	other = other_link(&l);
	lab_addr(&l, "10.0.0.1", 24);
	lab_addr(&l, "fd00::1", 64);
	assert_int_equal(berth_route_add(l.st, &net, 16, &via, l.iface, 0), 0);
	assert_int_equal(berth_neigh_add(l.st, l.iface, &via, his_mac), 0);
	s = lab_socket(&l, BERTH_IPV6, 5000);
	assert_int_equal(berth_sock_join(l.st, s, &group, l.iface), 0);
	lab_pass(&l, SEC(12));
	lab_addr(&l, "fd00::2", 64); /* still tentative then */
	assert_int_equal(route_to(&l, "fd11::5"), 0);
	assert_int_equal(route_to(&l, "fd00::5"), 0);
	assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1280), 0);
	assert_int_equal(n_addrs6(&l), 3);
	begin_datagram(&l, "10.0.0.9", "10.0.0.1");
	begin_datagram(&l, "fd00::9", "fd00::1");
	assert_int_equal(ip_frag_bytes(l.st), 2 * FRAG_BLOCK);

	assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1279), 0);
	assert_int_equal(n_addrs6(&l), 1);
	assert_int_equal(lab_addr_flags(&l, "10.0.0.1"), 0);
	assert_int_equal(route_to(&l, "10.0.0.5"), 0);
	assert_int_equal(ip_frag_bytes(l.st), FRAG_BLOCK);
	assert_int_equal(route_to(&l, "fd11::5"), -ENETUNREACH); /* not from the other link's address either */
	assert_int_equal(route_to(&l, "fd00::5"), -ENETUNREACH);
	assert_int_equal(route_by(&l, "fd77::1", "fe80::5", l.iface), -ENETUNREACH);
	assert_int_equal(route_by(&l, "fd77::1", "ff05::5", l.iface), -ENETUNREACH);
	assert_int_equal(berth_route_add(l.st, &all, 0, NULL, other, 0), 0);
	assert_int_equal(route_to(&l, "fd11::5"), 0); /* the better one does not count */
	assert_int_equal(berth_route_remove(l.st, &all, 0, other), 0);
	lab_drain(&l); /* that groups were left */
	lab_clear(&l);
	ping(&l, "fd77::1");
	lab_pass(&l, SEC(100));
	assert_int_equal(n_out6(&l), 0);
	assert_int_equal(l.st->n.dropped_not_ours, 1);
	assert_int_equal(berth_addr_add(l.st, l.iface, &own, 64), -EINVAL);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, true), 0);
	lab_pass(&l, SEC(100));
	assert_int_equal(n_out6(&l), 0);

	/* Again, but for the addresses, which are the program's to add: what was configured, and membership, which is said. */
	assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1280), 0);
	assert_int_equal(n_addrs6(&l), 1);
	lab_pass(&l, SEC(100));
	assert_int_equal(lab_n_icmp(&l, WIRE_ICMP6_MLD_REPORT2), 2);
	assert_int_equal(route_to(&l, "fd11::5"), 0);
	assert_int_equal(berth_addr_add(l.st, l.iface, &own, 64), 0);
	assert_int_equal(lab_addr_flags(&l, "fd00::1"), BERTH_ADDR_TENTATIVE);
	lab_pass(&l, SEC(5));
	assert_int_equal(lab_addr_flags(&l, "fd00::1"), 0);
	lab_clear(&l);
	ping(&l, "fd00::1");
	assert_int_equal(lab_n_icmp(&l, WIRE_ICMP6_ECHO_REPLY), 1);
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(rows) + 16];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(a_tentative_address_is_no_source_and_gets_no_packets),
		cmocka_unit_test(below_1280_an_interface_has_no_ipv6),
		cmocka_unit_test(an_address_in_use_is_defended_once_in_ten_seconds),
		cmocka_unit_test(a_probe_for_an_address_in_use_is_answered),
		cmocka_unit_test(adding_and_removing),
		cmocka_unit_test(down_and_up_checks_the_address_again),
	};
	size_t n = 0;

	for (; n < COUNT_OF(rows); n++)
		tests[n] = (struct CMUnitTest){rows[n].name, run, NULL, NULL, (void *)(uintptr_t)&rows[n]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_addr", tests, n, NULL, NULL);
}
