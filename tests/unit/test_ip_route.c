/* tests/unit/test_ip_route.c: which way and from where; what goes out: headers, fragments, identifications. */
#include "ip_fixture.h"

static void open_lab(struct lab *l, enum berth_link link)
{
	lab_open(l, link, BERTH_IF_NO_DAD);
}

static uint16_t second_iface(struct lab *l, uint32_t flags)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_IP,
				.flags = flags | BERTH_IF_NO_DAD,
				.mtu_bytes = 9000};
	uint16_t n;

	assert_int_equal(berth_iface_add(l->st, &f, &n), 0);
	return n;
}

static void add_addr(struct lab *l, uint16_t iface, const char *text, unsigned bits)
{
	struct berth_addr a = pub(text);

	assert_int_equal(berth_addr_add(l->st, iface, &a, bits), 0);
}

static int find(struct lab *l, const char *src, const char *dst, uint16_t iface, struct ip_route *rt,
		struct port_addr *from)
{
	struct port_addr d = A(dst), s = src ? A(src) : PORT_ADDR_ANY6;

	return ip_route_find(l->st, src ? &s : NULL, &d, iface, rt, from);
}

/* --- the longest prefix, against looking at all of them --- */

static uint64_t seed = 0x9e3779b97f4a7c15u;
static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) % n);
}

struct naive {
	struct port_addr net;
	unsigned bits; /* of 128 */
	uint32_t metric;
	uint16_t iface;
};

static struct port_addr near_addr(bool v4)
{
	/* few values, so that prefixes hold many of them */
	struct port_addr a =
		v4 ? port_addr_v4(10, (uint8_t)below(3), (uint8_t)(below(4) << 6), (uint8_t)below(8)) : PORT_ADDR_ANY6;

	if (!v4) {
		a.b[0] = 0xfd;
		a.b[2] = (uint8_t)below(3);
		a.b[8] = (uint8_t)(below(4) << 5);
		a.b[15] = (uint8_t)(1 + below(7));
	}
	return a;
}

static void the_longest_prefix_against_a_naive_search(void **state)
{
	struct naive t[48];
	struct lab l;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 0;
		uint16_t ifaces[2];

		open_lab(&l, BERTH_LINK_IP);
		ifaces[0] = l.iface;
		ifaces[1] = second_iface(&l, 0);
		while (n < COUNT_OF(t)) {
			bool v4 = below(2), twice = false;
			struct naive e = {.net = near_addr(v4), .metric = below(3), .iface = ifaces[below(2)]};
			struct berth_addr net;
			unsigned own_bits = v4 ? below(33) : below(129);
			int r;

			e.bits = own_bits + (v4 ? 96 : 0);
			net = addr_public(&e.net, 0);
			r = berth_route_add(l.st, &net, own_bits, NULL, e.iface, e.metric);
			for (unsigned i = 0; i < n; i++)
				twice |= t[i].bits == e.bits && t[i].iface == e.iface &&
					 port_addr_in(&e.net, &t[i].net, e.bits);
			assert_true(r == 0 || (r == -EEXIST && twice));
			if (r == 0)
				t[n++] = e;
			if (r == 0 && below(4) == 0) { /* and away again: the first of its kind, as the table has it */
				unsigned first = n - 1;

				for (unsigned i = 0; i < n; i++)
					if (t[i].bits == e.bits && t[i].iface == e.iface &&
					    port_addr_in(&e.net, &t[i].net, e.bits) && t[i].metric < t[first].metric)
						first = i;
				assert_int_equal(berth_route_remove(l.st, &net, own_bits, e.iface), 0);
				t[first] = t[--n];
			}
		}
		for (unsigned k = 0; k < 300; k++) {
			struct port_addr a = near_addr(below(2));
			uint16_t only = below(3) ? BERTH_IFACE_ANY : ifaces[below(2)];
			uint32_t got = route_lookup(l.st, &a, only);
			const struct naive *best = NULL;

			for (unsigned i = 0; i < n; i++)
				if (port_addr_in(&a, &t[i].net, t[i].bits) &&
				    port_addr_is4(&t[i].net) == port_addr_is4(&a) &&
				    (only == BERTH_IFACE_ANY || only == t[i].iface) &&
				    (!best || t[i].bits > best->bits ||
				     (t[i].bits == best->bits && t[i].metric < best->metric)))
					best = &t[i];
			assert_int_equal(got == NIL, best == NULL);
			if (best) {
				assert_int_equal(l.st->ip->routes[got].prefix_bits, best->bits);
				assert_int_equal(l.st->ip->routes[got].metric, best->metric);
			}
		}
		lab_close(&l);
	}
}

/* --- where to: tables --- */

struct where {
	const char *name, *src, *dst;
	int result;
	const char *from; /* the source chosen */
	int loopback, not_unicast;
	uint32_t mtu;
	bool second; /* the second interface is the answer (or the one asked for) */
	bool ask_second;
};
static const struct where wheres[] = {
	{"on the link", NULL, "10.0.0.9", 0, "10.0.0.1", 0, 0, 1500},
	{"behind the router", NULL, "192.0.2.1", 0, "10.0.0.1", 0, 0, 1500},
	{"on the other link", NULL, "10.9.0.9", 0, "10.9.0.1", 0, 0, 9000, true},
	{"nowhere", NULL, "fd77::1", -ENETUNREACH},
	{"to ourselves", NULL, "10.0.0.1", 0, "10.0.0.1", 1, 0, 65535},
	{"to ourselves, from our other address", "10.9.0.1", "10.0.0.1", 0, "10.9.0.1", 1, 0, 65535},
	{"the loopback is there without an interface", NULL, "127.0.0.1", 0, "127.0.0.1", 1, 0, 65535},
	{"all of 127/8", NULL, "127.1.2.3", 0, "127.1.2.3", 1, 0, 65535},
	{"IPv6's loopback", NULL, "::1", 0, "::1", 1, 0, 65535},
	{"from the loopback to a link", "127.0.0.1", "10.0.0.9", -ENETUNREACH},
	{"from an address that is not ours", "10.0.0.99", "10.0.0.9", -EADDRNOTAVAIL},
	{"from the other family", "10.0.0.1", "fd00::2", -ENETUNREACH},
	{"from our other address: it is ours everywhere", "10.9.0.1", "10.0.0.9", 0, "10.9.0.1", 0, 0, 1500},
	{"to nobody", NULL, "0.0.0.0", -ENETUNREACH},
	{"to everybody", NULL, "255.255.255.255", 0, "10.0.0.1", 0, 1, 1500},
	{"to everybody on the other link", NULL, "255.255.255.255", 0, "10.9.0.1", 0, 1, 9000, true, true},
	{"to all of a subnet", NULL, "10.0.0.255", 0, "10.0.0.1", 0, 1, 1500},
	{"to a group", NULL, "224.1.2.3", 0, "10.0.0.1", 0, 1, 1500},
	{"to a group on the other link", NULL, "224.1.2.3", 0, "10.9.0.1", 0, 1, 9000, true, true},
	{"to an IPv6 group", NULL, "ff02::5", 0, "fe80::1%1", 0, 1, 1500},
	{"to a link-local neighbour", NULL, "fe80::9%1", 0, "fe80::1%1", 0, 0, 1500},
	{"to a link-local neighbour, of no link", NULL, "fe80::9", -ENETUNREACH},
	{"to our link-local address", NULL, "fe80::1%1", 0, "fe80::1%1", 1, 0, 65535},
	{"IPv6 on the link", NULL, "fd00::9", 0, "fd00::1", 0, 0, 1500},
	{"by the other link, where no route leads", NULL, "192.0.2.1", -ENETUNREACH, .ask_second = true},
	/* RFC 6724 */
	{"rule 2: a global address for a global one", NULL, "2001:db8::9", 0, "2001:db8::1", 0, 0, 1500},
	{"rule 6: ULA for ULA, though both are global in scope", NULL, "fd00:1::9", 0, "fd00::1", 0, 0, 1500},
	{"rule 8: the longest common prefix", NULL, "2001:db8:5::9", 0, "2001:db8:5::1", 0, 0, 1500},
};

static void run_where(void **state)
{
	const struct where *w = *state;
	struct berth_addr any4 = pub("0.0.0.0"), any6 = pub("2001:db8::"), ula = pub("fd00:1::"),
			  r4 = pub("10.0.0.254"), r6 = pub("fe80::fe");
	struct ip_route rt;
	struct port_addr from;
	uint16_t second;
	struct lab l;
	int r;

	open_lab(&l, BERTH_LINK_ETHERNET);
	lab_addr(&l, "10.0.0.1", 24);
	lab_addr(&l, "fe80::1", 64);
	lab_addr(&l, "fd00::1", 64);
	lab_addr(&l, "2001:db8::1", 64);
	lab_addr(&l, "2001:db8:5::1", 64);
	second = second_iface(&l, 0);
	add_addr(&l, second, "10.9.0.1", 24);
	assert_int_equal(berth_route_add(l.st, &any4, 0, &r4, l.iface, 0), 0);
	assert_int_equal(berth_route_add(l.st, &any6, 32, &r6, l.iface, 0), 0);
	assert_int_equal(berth_route_add(l.st, &ula, 32, &r6, l.iface, 0), 0);
	r = find(&l, w->src, w->dst, w->ask_second ? second : BERTH_IFACE_ANY, &rt, &from);
	assert_int_equal(r, w->result);
	if (r == 0) {
		struct port_addr want = A(w->from);

		assert_true(port_addr_equal(&from, &want));
		assert_int_equal(rt.loopback, w->loopback);
		assert_int_equal(rt.not_unicast, w->not_unicast);
		assert_int_equal(rt.mtu_bytes, w->mtu);
		if (!w->loopback)
			assert_int_equal(rt.iface, w->second ? second : l.iface);
		else
			assert_true(ip_loops(l.st, rt.iface));
		assert_int_equal(rt.epoch, l.st->route_epoch);
	}
	lab_close(&l);
}

static void a_deprecated_source_is_the_last_choice(void **state)
{
	struct lab l;
	struct ip_route rt;
	struct port_addr from, first = A("fd00::1"), second = A("fd00::2");
	uint32_t i;

	(void)state;
	open_lab(&l, BERTH_LINK_IP);
	lab_addr(&l, "fd00::1", 64);
	lab_addr(&l, "fd00::2", 64);
	assert_int_equal(find(&l, NULL, "fd00::9", BERTH_IFACE_ANY, &rt, &from), 0);
	assert_true(port_addr_equal(&from, &first));
	i = addr_find(l.st, &first);
	l.st->ip->addrs[i].preferred_until_ns = l.now + SEC(1);
	addr_timer_set(l.st, i);
	lab_pass(&l, SEC(2));
	assert_true(rt.epoch != l.st->route_epoch);
	assert_int_equal(find(&l, NULL, "fd00::9", BERTH_IFACE_ANY, &rt, &from), 0);
	assert_true(port_addr_equal(&from, &second));
	lab_close(&l);
}

/* RFC 6724, 5, rule 6: the label goes before the longest prefix. A Teredo address is no source for what is native. */
static void rule_6_goes_before_rule_8(void **state)
{
	struct lab l;
	struct ip_route rt;
	struct berth_addr net = pub("2001:db8::");
	struct port_addr from, native = A("2a00::1");

	(void)state;
	open_lab(&l, BERTH_LINK_IP);
	lab_addr(&l, "2001:0:53aa::1", 64);
	lab_addr(&l, "2a00::1", 64);
	assert_int_equal(berth_route_add(l.st, &net, 32, NULL, l.iface, 0), 0);
	assert_int_equal(find(&l, NULL, "2001:db8::9", BERTH_IFACE_ANY, &rt, &from), 0);
	assert_true(port_addr_equal(&from, &native));
	lab_close(&l);
}

/* Whoever keeps a route learns of every change by the epoch. */
static void every_change_moves_the_epoch(void **state)
{
	struct berth_addr a = pub("10.0.0.1"), net = pub("10.5.0.0");
	struct port_addr far = A("10.0.0.7");
	struct lab l;
	uint32_t epoch;

	(void)state;
	open_lab(&l, BERTH_LINK_ETHERNET);
#define MOVES(call)                                             \
	do {                                                    \
		epoch = l.st->route_epoch;                      \
		call;                                           \
		assert_int_not_equal(epoch, l.st->route_epoch); \
	} while (0)
	MOVES(assert_int_equal(berth_addr_add(l.st, l.iface, &a, 24), 0));
	MOVES(assert_int_equal(berth_route_add(l.st, &net, 16, NULL, l.iface, 0), 0));
	MOVES(assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1400), 0));
	MOVES(assert_true(pmtu_lower(l.st, &far, 1300)));
	MOVES(assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0));
	MOVES(assert_int_equal(berth_iface_set_up(l.st, l.iface, true), 0));
	MOVES(assert_int_equal(berth_route_remove(l.st, &net, 16, l.iface), 0));
	MOVES(assert_int_equal(berth_addr_remove(l.st, l.iface, &a), 0));
	MOVES(assert_int_equal(berth_iface_remove(l.st, l.iface), 0));
	lab_close(&l);
}

static void an_interface_that_is_down(void **state)
{
	struct ip_route rt;
	struct lab l;

	(void)state;
	open_lab(&l, BERTH_LINK_ETHERNET);
	lab_addr(&l, "10.0.0.1", 24);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0);
	assert_int_equal(find(&l, NULL, "10.0.0.9", BERTH_IFACE_ANY, &rt, NULL), -ENETUNREACH);
	assert_int_equal(find(&l, NULL, "255.255.255.255", l.iface, &rt, NULL), -ENETDOWN);
	lab_udp(&l, "10.0.0.9", "10.0.0.1", 5000, "x", 1);
	assert_int_equal(l.st->n.dropped_not_ours, 1);
	lab_close(&l);
}

static void bad_arguments(void **state)
{
	struct berth_iface good = {.struct_size = sizeof(good), .link = BERTH_LINK_ETHERNET, .mtu_bytes = 1500}, f;
	struct berth_addr net4 = pub("10.0.0.0"), net6 = pub("fd00::"), gw4 = pub("10.0.0.2"), group = pub("224.0.0.0");
	struct lab l;
	uint16_t n;

	(void)state;
	open_lab(&l, BERTH_LINK_ETHERNET);
#define REFUSED(change)                                                   \
	do {                                                              \
		f = good;                                                 \
		f.change;                                                 \
		assert_int_equal(berth_iface_add(l.st, &f, &n), -EINVAL); \
	} while (0)
	REFUSED(struct_size = 3);
	REFUSED(link = 9);
	REFUSED(mtu_bytes = 67);
	REFUSED(mtu_bytes = 65536);
	REFUSED(mac[0] = 1);
	REFUSED(gso_max_bytes = 70000);
	assert_int_equal(berth_route_add(l.st, &net4, 33, NULL, l.iface, 0), -EINVAL);
	assert_int_equal(berth_route_add(l.st, &net6, 129, NULL, l.iface, 0), -EINVAL);
	assert_int_equal(berth_route_add(l.st, &net6, 64, &gw4, l.iface, 0), -EINVAL);
	assert_int_equal(berth_route_add(l.st, &group, 4, NULL, l.iface, 0), -EINVAL);
	assert_int_equal(berth_route_add(l.st, &net4, 24, NULL, 77, 0), -ENODEV);
	assert_int_equal(berth_route_remove(l.st, &net4, 24, l.iface), -ESRCH);
	assert_int_equal(berth_iface_set_mtu(l.st, 77, 1500), -ENODEV);
	assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 50), -EINVAL);
	assert_int_equal(berth_iface_set_up(l.st, IP_IFACE_SELF, false), -ENODEV);
	for (n = 0; n < 10 && berth_iface_add(l.st, &good, &(uint16_t){0}) == 0; n++)
		;
	assert_int_equal(n, 3); /* four in all, as configured */
	lab_close(&l);
}

/* --- what goes out --- */

static int send_raw(struct lab *l, const char *src, const char *dst, size_t len, bool df, uint8_t proto)
{
	struct port_addr s = A(src), d = A(dst);
	struct ip_head h = {.src = &s, .dst = &d, .proto = proto, .dont_fragment = df, .l4_len = (uint32_t)len};
	struct ip_route rt;
	uint32_t i;
	struct pkt *p = pkt_take(l->st, &i);
	int r;

	assert_int_equal(ip_route_find(l->st, &s, &d, BERTH_IFACE_ANY, &rt, NULL), 0);
	for (size_t k = 0; k < len; k++)
		p->data[p->off + k] = (uint8_t)(k * 13);
	p->len = (uint16_t)len;
	r = ip_send(l->st, i, &h, &rt);
	lab_drain(l);
	return r;
}

static void fragments_out_fit_and_hold_everything(void **state)
{
	static const uint32_t mtus[] = {1280, 1300, 1303, 1399, 1500};
	struct lab l;

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned m = 0; m < COUNT_OF(mtus); m++)
			for (size_t len = 1200; len <= 1860; len += 33) {
				uint8_t got[2000] = {0};
				size_t n_got = 0, header = v6 ? 40 : 20;
				uint32_t ids[8];

				open_lab(&l, BERTH_LINK_IP);
				assert_int_equal(berth_iface_set_mtu(l.st, l.iface, mtus[m]), 0);
				lab_addr(&l, v6 ? "fd00::1" : "10.0.0.1", v6 ? 64 : 24);
				lab_clear(&l);
				assert_int_equal(send_raw(&l, v6 ? "fd00::1" : "10.0.0.1", v6 ? "fd00::2" : "10.0.0.2",
							  len, false, 253),
						 0);
				assert_int_equal(l.n_out == 1, header + len <= mtus[m]);
				for (unsigned i = 0; i < l.n_out; i++) {
					struct seen s = lab_seen(&l, i);
					size_t at = v6 ? s.ip6.fragment_at : s.ip4.fragment_at;

					assert_true(l.out[i].len <= mtus[m]);
					assert_int_equal(v6 ? s.ip6.more : s.ip4.mf, i + 1 < l.n_out);
					ids[i] = v6 ? s.ip6.fragment_id : s.ip4.id;
					assert_int_equal(ids[i], ids[0]);
					memcpy(got + at, s.payload.data, s.payload.len_bytes);
					n_got += s.payload.len_bytes;
				}
				assert_int_equal(n_got, len);
				for (size_t k = 0; k < len; k++)
					assert_int_equal(got[k], (uint8_t)(k * 13));
				lab_close(&l);
			}
}

static void what_may_not_be_cut_is_refused(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, BERTH_LINK_IP);
	lab_addr(&l, "10.0.0.1", 24);
	assert_int_equal(send_raw(&l, "10.0.0.1", "10.0.0.2", 1481, true, 253), -EMSGSIZE);
	assert_int_equal(send_raw(&l, "10.0.0.1", "10.0.0.2", 1480, true, 253), 0);
	assert_int_equal(l.n_out, 1);
	assert_int_equal(l.st->pkts.n_used - l.st->held.n, 0);
	lab_close(&l);
}

/* S22, RFC 6864: 0 where nobody reassembles; else no counter that others can read. */
static void s22_identifications(void **state)
{
	uint16_t ids[64], steps[64];
	unsigned same = 0;
	struct lab l;

	(void)state;
	open_lab(&l, BERTH_LINK_IP);
	lab_addr(&l, "10.0.0.1", 24);
	send_raw(&l, "10.0.0.1", "10.0.0.2", 100, true, 253);
	assert_int_equal(lab_seen(&l, 0).ip4.id, 0);
	assert_true(lab_seen(&l, 0).ip4.df);
	lab_clear(&l);
	for (unsigned i = 0; i < 64; i++)
		send_raw(&l, "10.0.0.1", "10.0.0.2", 100, false, 253);
	for (unsigned i = 0; i < 64; i++) {
		ids[i] = lab_seen(&l, i).ip4.id;
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(ids[i], ids[k]); /* not used again soon */
		steps[i] = i ? (uint16_t)(ids[i] - ids[i - 1]) : 0;
		same += i > 1 && steps[i] == steps[i - 1];
	}
	assert_true(same < 40); /* steps are drawn */
	lab_clear(&l);
	send_raw(&l, "10.0.0.1", "10.0.0.3", 100, false, 253); /* another destination, another number altogether */
	send_raw(&l, "10.0.0.1", "10.0.0.4", 100, false, 253);
	assert_true((uint16_t)(lab_seen(&l, 0).ip4.id - ids[63]) > 8 ||
		    (uint16_t)(lab_seen(&l, 1).ip4.id - lab_seen(&l, 0).ip4.id) > 8);
	lab_close(&l);
}

static void ourselves_is_reached_without_a_link(void **state)
{
	static const char *const dsts[] = {"127.0.0.1", "10.0.0.1", "::1", "fd00::1"};
	uint8_t got[9000];
	struct lab l;

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(dsts); i++) {
		int family = strchr(dsts[i], ':') ? BERTH_IPV6 : BERTH_IPV4;
		berth_sock a, b;

		open_lab(&l, BERTH_LINK_ETHERNET);
		lab_addr(&l, "10.0.0.1", 24);
		lab_addr(&l, "fd00::1", 64);
		lab_pass(&l, SEC(5));
		lab_clear(&l);
		a = lab_socket(&l, family, 6000);
		b = lab_socket(&l, family, 5000);
		memset(got, 7, sizeof(got));
		assert_int_equal(lab_send(&l, a, dsts[i], got, 9000), 1);
		assert_int_equal(lab_recv(&l, b, got, sizeof(got)), 9000);
		assert_int_equal(l.n_out, 0);
		lab_close(&l);
	}
}

/* What a person who asks "which way?" is shown: everything once, routes in the order in which they are asked. */
static void walks_show_everything(void **state)
{
	struct berth_iface second = {.struct_size = sizeof(second), .mtu_bytes = 1400, .name = "tun7"};
	struct berth_iface_info f = {.struct_size = sizeof(f)};
	struct berth_route_info r = {.struct_size = sizeof(r)};
	struct berth_neigh_info h = {.struct_size = sizeof(h)};
	struct berth_addr gw = pub("10.0.0.2"), all = pub("0.0.0.0"), net = pub("10.9.8.7"), to = pub("10.0.0.3");
	uint32_t cursor = 0, n = 0;
	uint16_t tun;
	struct lab l;

	(void)state;
	open_lab(&l, BERTH_LINK_ETHERNET);
	lab_addr(&l, "10.0.0.1", 24);
	assert_int_equal(berth_iface_add(l.st, &second, &tun), 0);
	assert_int_equal(berth_iface_set_up(l.st, tun, false), 0);
	assert_int_equal(berth_route_add(l.st, &all, 0, &gw, l.iface, 7), 0);
	assert_int_equal(berth_route_add(l.st, &net, 16, NULL, tun, 0), 0);
	assert_int_equal(berth_neigh_add(l.st, l.iface, &gw, his_mac), 0);
	lab_pass(&l, SEC(5));
	assert_int_equal(lab_send(&l, lab_socket(&l, BERTH_IPV4, 5000), "10.0.0.3", "x", 1), 1);

	assert_int_equal(berth_iface_next(l.st, &cursor, &f), 1);
	assert_int_equal(f.iface, l.iface);
	assert_true(f.up && f.link == BERTH_LINK_ETHERNET && memcmp(f.mac, our_mac, 6) == 0);
	assert_int_equal(berth_iface_next(l.st, &cursor, &f), 1);
	assert_int_equal(f.iface, tun);
	assert_true(!f.up && f.mtu_bytes == 1400 && f.mtu6_bytes == 1400 && strcmp(f.name, "tun7") == 0);
	assert_int_equal(berth_iface_next(l.st, &cursor, &f), 0);

	for (cursor = 0; berth_route_next(l.st, &cursor, &r) == 1; n++) {
		static const struct {
			uint8_t bits, origin;
			bool gateway;
			const char *net;
		} want[] = {{24, BERTH_ROUTE_ON_LINK, false, "10.0.0.0"},
			    {16, BERTH_ROUTE_STATIC, false, "10.9.0.0"},
			    {0, BERTH_ROUTE_STATIC, true, "0.0.0.0"}};
		struct berth_addr to_net;

		assert_true(n < COUNT_OF(want));
		to_net = pub(want[n].net);
		assert_memory_equal(&r.net, &to_net, sizeof(to_net));
		assert_int_equal(r.prefix_bits, want[n].bits);
		assert_int_equal(r.origin, want[n].origin);
		assert_int_equal(r.has_gateway, want[n].gateway);
		assert_int_equal(r.metric, n == 2 ? 7 : 0);
		assert_true(r.valid_until_ns == BERTH_NEVER && (n < 2 || memcmp(&r.gateway, &gw, sizeof(gw)) == 0));
	}
	assert_int_equal(n, 3);

	for (cursor = n = 0; berth_neigh_next(l.st, &cursor, &h) == 1; n++) {
		bool known = memcmp(h.addr.ip, gw.ip, 16) == 0;

		assert_true(known || memcmp(h.addr.ip, to.ip, 16) == 0);
		assert_int_equal(h.state, known ? BERTH_NEIGH_PERMANENT : BERTH_NEIGH_INCOMPLETE);
		assert_memory_equal(h.mac, known ? his_mac : (const uint8_t[6]){0}, 6);
	}
	assert_int_equal(n, 2);
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(wheres) + 16];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(the_longest_prefix_against_a_naive_search),
		cmocka_unit_test(a_deprecated_source_is_the_last_choice),
		cmocka_unit_test(rule_6_goes_before_rule_8),
		cmocka_unit_test(every_change_moves_the_epoch),
		cmocka_unit_test(an_interface_that_is_down),
		cmocka_unit_test(bad_arguments),
		cmocka_unit_test(fragments_out_fit_and_hold_everything),
		cmocka_unit_test(what_may_not_be_cut_is_refused),
		cmocka_unit_test(s22_identifications),
		cmocka_unit_test(walks_show_everything),
		cmocka_unit_test(ourselves_is_reached_without_a_link),
	};
	size_t n = 0;

	for (; n < COUNT_OF(wheres); n++)
		tests[n] = (struct CMUnitTest){wheres[n].name, run_where, NULL, NULL, (void *)(uintptr_t)&wheres[n]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_route", tests, n, NULL, NULL);
}
