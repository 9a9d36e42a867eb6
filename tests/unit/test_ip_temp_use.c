/* tests/unit/test_ip_temp_use.c: what temporary addresses (RFC 8981) are the source of, and how many there may be (S19). */
#include "ip_temp.h"

/* --- what it is the source of (RFC 6724, 5, rule 7) --- */

static berth_sock udp6(struct lab *l)
{
	berth_sock s;

	assert_int_equal(berth_sock_open(l->st, BERTH_UDP, BERTH_IPV6, 0, &s), 0);
	return s;
}

static void neighbour_is_known(struct lab *l)
{
	struct berth_addr r = pub(ROUTER "%1");

	assert_int_equal(berth_neigh_add(l->st, l->iface, &r, his_mac), 0);
}

/* The source of a SYN, and the segment's connection is let go. */
static struct port_addr syn_from(struct lab *l, uint64_t is_public)
{
	struct port_addr far = A(FAR);
	struct berth_addr peer = addr_public(&far, 80);
	struct port_addr from;
	berth_sock s;

	assert_int_equal(berth_sock_open(l->st, BERTH_TCP, BERTH_IPV6, 0, &s), 0);
	assert_int_equal(berth_sock_set(l->st, s, BERTH_PUBLIC_SOURCE, is_public), 0);
	assert_int_equal(berth_sock_connect(l->st, s, &peer), -EINPROGRESS);
	lab_drain(l);
	from = seen_from(l, FAR, WIRE_PROTO_TCP);
	berth_sock_abort(l->st, s);
	lab_drain(l);
	return from;
}

static void what_begins_here_comes_from_it_unless_the_socket_says_otherwise(void **state)
{
	struct port_addr stay, time, from;
	uint64_t value = 9;
	struct lab l;
	berth_sock s;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	lab_pass(&l, SEC(5));
	neighbour_is_known(&l);
	stay = lasting(&l, NET)->addr;
	time = temp(&l, NET)->addr;
	from = syn_from(&l, 0);
	assert_memory_equal(from.b, time.b, 16);
	from = syn_from(&l, 1);
	assert_memory_equal(from.b, stay.b, 16);
	for (unsigned i = 0; i < 2; i++) {
		struct port_addr far = A(FAR);
		struct berth_addr peer = addr_public(&far, 9), own;

		s = udp6(&l);
		assert_int_equal(berth_sock_set(l.st, s, BERTH_PUBLIC_SOURCE, i), 0);
		assert_int_equal(berth_sock_connect(l.st, s, &peer), 0);
		assert_int_equal(berth_sock_names(l.st, s, &own, NULL), 0);
		assert_memory_equal(own.ip, i ? stay.b : time.b, 16);
	}
	s = udp6(&l);
	assert_int_equal(berth_sock_get(l.st, s, BERTH_PUBLIC_SOURCE, &value), 0);
	assert_int_equal(value, 0);
	for (unsigned i = 0; i < 4; i++) { /* a socket that is not connected changes at once */
		assert_int_equal(berth_sock_set(l.st, s, BERTH_PUBLIC_SOURCE, i % 2), 0);
		assert_int_equal(berth_sock_get(l.st, s, BERTH_PUBLIC_SOURCE, &value), 0);
		assert_int_equal(value, i % 2);
		assert_int_equal(lab_send(&l, s, FAR, "x", 1), 1);
		from = seen_from(&l, FAR, WIRE_PROTO_UDP);
		assert_memory_equal(from.b, i % 2 ? stay.b : time.b, 16);
	}
	assert_int_equal(berth_sock_open(l.st, BERTH_UDP, BERTH_IPV4, 0, &s), 0);
	assert_int_equal(berth_sock_set(l.st, s, BERTH_PUBLIC_SOURCE, 1), -ENOPROTOOPT);
	assert_int_equal(berth_sock_get(l.st, s, BERTH_PUBLIC_SOURCE, &value), -ENOPROTOOPT);
	lab_close(&l);
}

struct rule {
	const char *name, *own, *dst;
	int8_t temp; /* 1: from the temporary one, 0: from the one that stays, -1: from own */
	bool is_public, is_deprecated;
};
static const struct rule rules[] = {
	{"rule 7: the temporary one", NULL, FAR, 1, false, false},
	{"rule 7: turned round", NULL, FAR, 0, true, false},
	{"rule 7: before the longest prefix", "2001:db8:ffff::5", FAR, 1, false, false},
	{"rule 7: turned round the longest prefix counts", "2001:db8:ffff::5", FAR, -1, true, false},
	{"rule 7: behind rule 3, what is deprecated", NULL, FAR, 0, false, true},
	{"rule 7: behind rule 2, the scope", NULL, "fe80::77%1", -1, false, false},
	{"rule 7: behind rule 6, the label", "fd00::5", "fd00:0:0:9::1", -1, false, false},
};

static void run_rule(void **state)
{
	const struct rule *r = *state;
	const struct ip_addr *link_local = NULL;
	struct port_addr want, from, to = A(r->dst), wild = PORT_ADDR_ANY6;
	struct sock s = {.flags = r->is_public ? SOCK_PUBLIC : 0};
	struct ip_route rt;
	struct lab l;

	open_lab(&l, FLAGS);
	if (r->own)
		lab_addr(&l, r->own, 128);
	say_prefix(&l, NET, 7200, 3600);
	lab_pass(&l, SEC(5));
	assert_int_equal(n_of(&l, "fe80::", 0, 0, &link_local), 1);
	want = r->temp == 1   ? temp(&l, NET)->addr
	       : r->temp == 0 ? lasting(&l, NET)->addr
	       : r->own	      ? A(r->own)
			      : link_local->addr;
	if (r->is_deprecated) {
		uint32_t i = addr_find(l.st, &temp(&l, NET)->addr);

		addr_live(l.st, i, l.st->ip->addrs[i].valid_until_ns, l.now);
		lab_pass(&l, SEC(1));
	}
	assert_int_equal(ip_route_find_for(l.st, &s, &wild, &to, BERTH_IFACE_ANY, &rt, &from), 0);
	assert_memory_equal(from.b, want.b, 16);
	lab_close(&l);
}

/* Who asks one address is answered from that one; and routers and groups never hear from a temporary one. */
static void answers_come_from_the_address_that_was_asked(void **state)
{
	const struct ip_addr *t;
	uint8_t l4[64], buf[200];
	struct port_addr asked[2], from;
	char text[PORT_ADDR_STR_MAX];
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	lab_pass(&l, SEC(5));
	neighbour_is_known(&l);
	t = temp(&l, NET);
	asked[0] = lasting(&l, NET)->addr;
	asked[1] = t->addr;
	for (unsigned i = 0; i < 2; i++) {
		struct pk p = {.src = FAR, .dst = text, .proto = WIRE_PROTO_ICMP6, .payload = l4};

		port_addr_print(&asked[i], text);
		p.len = echo_build(FAR, text, "x", 1, l4);
		lab_packet(&l, buf, pk_build(&p, buf, sizeof(buf)));
		from = seen_from(&l, FAR, WIRE_PROTO_ICMP6);
		assert_memory_equal(from.b, asked[i].b, 16);
	}
	lab_pass(&l, SEC(4000));
	for (unsigned i = 0; i < l.n_out; i++) {
		struct seen s = lab_seen(&l, i);

		if (s.v6 && s.proto == WIRE_PROTO_ICMP6 && memcmp(s.src.b, t->addr.b, 16) == 0)
			assert_true(s.payload.data[0] != WIRE_ICMP6_ND_RS && s.payload.data[0] < 143); /* no MLD */
	}
	lab_close(&l);
}

/* A connection goes on from a deprecated address, until that is gone. */
static void what_has_it_keeps_it_while_it_is_valid(void **state)
{
	struct port_addr far = A(FAR), from, first;
	struct berth_addr peer = addr_public(&far, 5000);
	struct lab l;
	berth_sock s;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	lab_pass(&l, SEC(5));
	neighbour_is_known(&l);
	first = temp(&l, NET)->addr;
	s = udp6(&l);
	assert_int_equal(berth_sock_connect(l.st, s, &peer), 0);
	lab_pass(&l, SEC(1.2 * DAY));
	lab_clear(&l);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S); /* a router again */
	assert_true(ip_is_local(l.st, &first));
	assert_int_equal(berth_sock_send(l.st, s, "x", 1, 0), 1);
	lab_drain(&l);
	from = seen_from(&l, FAR, WIRE_PROTO_UDP);
	assert_memory_equal(from.b, first.b, 16);
	assert_memory_not_equal(source(&l, FAR).b, first.b, 16);
	lab_pass(&l, SEC(DAY));
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	assert_int_equal(berth_sock_send(l.st, s, "x", 1, 0), -EADDRNOTAVAIL);
	lab_close(&l);
}

/* --- how many (S19) --- */

static void s19_a_thousand_advertisements_make_no_more_than_the_caps(void **state)
{
	char prefix[48];
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	for (unsigned i = 0; i < 1000; i++) {
		struct wire_nd_ra ra = advert(9000);

		for (unsigned k = 0; k < 8; k++) {
			snprintf(prefix, sizeof(prefix), "2001:db8:%x:%x::", i, k);
			add_prefix(&ra, prefix, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
		}
		say(&l, &ra);
		lab_clear(&l);
	}
	assert_int_equal(n_of(&l, NULL, T, 0, NULL), 9); /* and the link-local one */
	assert_int_equal(n_temps(&l, NULL), 8);
	for (unsigned day = 0; day < 12; day++) {
		lab_pass(&l, SEC(DAY / 3));
		lab_clear(&l);
		assert_true(n_temps(&l, NULL) <= N_MAX);
		assert_int_equal(n_of(&l, NULL, T | GONE, T, NULL), 8); /* old ones make room */
	}
	assert_int_equal(n_temps(&l, NULL), N_MAX);
	lab_close(&l);
}

/* Prefixes that live for seconds and come again: each time a new address would do; there are 32, then one every ten seconds. */
static void s19_prefixes_that_come_and_go_make_few(void **state)
{
	struct port_addr seen[512] = {0};
	unsigned n_seen = 0;
	char prefix[48];
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	for (unsigned i = 0; i < 100; i++) { /* eight new ones every seven seconds, for 700 */
		struct wire_nd_ra ra = advert(9000);

		for (unsigned k = 0; k < 8; k++) {
			snprintf(prefix, sizeof(prefix), "2001:db8:1:%x::", k);
			add_prefix(&ra, prefix, 6, 6);
		}
		say(&l, &ra);
		for (uint32_t a = 0; a < l.st->ip->n_addrs; a++)
			if (l.st->ip->addrs[a].used && (l.st->ip->addrs[a].flags & T)) {
				assert_true(n_seen < COUNT_OF(seen));
				seen[n_seen++] = l.st->ip->addrs[a].addr;
			}
		lab_pass(&l, SEC(7));
		lab_clear(&l);
		assert_int_equal(n_of(&l, NULL, BERTH_ADDR_AUTO, BERTH_ADDR_AUTO, NULL), 1);
	}
	assert_in_range(n_seen, 32 + 60, 32 + 70);
	assert_true(l.st->n.dropped_policy >= 700 - (32 + 70));
	say_prefix(&l, NET, 7200, 3600);
	say_prefix(&l, NET2, 7200, 3600);
	assert_true(n_temps(&l, NULL) <= 1);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0); /* another network, another account */
	assert_int_equal(berth_iface_set_up(l.st, l.iface, true), 0);
	say_prefix(&l, NET, 7200, 3600);
	say_prefix(&l, NET2, 7200, 3600);
	assert_int_equal(n_temps(&l, NULL), 2);
	lab_close(&l);
}

/* Lifetimes that go up and down make none. */
static void s19_lifetimes_that_flap_make_none(void **state)
{
	static const uint32_t lifetimes[] = {0, 7200, 60, WIRE_ND_INFINITE_S, 6, 30 * DAY};
	struct port_addr was;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 30 * DAY, 30 * DAY);
	lab_pass(&l, SEC(5));
	was = temp(&l, NET)->addr;
	for (unsigned i = 0; i < 2000; i++) {
		say_prefix(&l, NET, WIRE_ND_INFINITE_S, lifetimes[i % COUNT_OF(lifetimes)]);
		lab_pass(&l, SEC(i % 7));
		lab_clear(&l);
		assert_int_equal(n_temps(&l, NULL), 1);
		assert_true(addr_find(l.st, &was) != NIL);
	}
	assert_true(berth_stack_check(l.st));
	lab_close(&l);
}

/* Room is for others first: of temporary ones the deprecated go, then the rest. */
static void s19_they_make_room_for_all_others(void **state)
{
	struct berth_stack_config c = {.n_addrs = 6};
	struct berth_addr more = pub("10.0.0.1");
	struct port_addr first, second;
	struct lab l;

	(void)state;
	open_sized(&l, FLAGS, 0, 0, &c);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	lab_pass(&l, SEC(1.1 * DAY)); /* link-local, the one that stays, two temporary ones */
	lab_clear(&l);
	assert_int_equal(n_temps(&l, NET), 2);
	assert_int_equal(n_of(&l, NET, T | GONE, T | GONE, NULL), 1);
	second = temp(&l, NET)->addr;
	for (unsigned i = 0; i < 2; i++, more.ip[15]++) /* the table is full */
		assert_int_equal(berth_addr_add(l.st, l.iface, &more, 24), 0);
	assert_int_equal(n_temps(&l, NET), 2);
	assert_int_equal(berth_addr_add(l.st, l.iface, &more, 24), 0); /* the deprecated one goes */
	assert_memory_equal(temp(&l, NET)->addr.b, second.b, 16);
	assert_int_equal(n_temps(&l, NET), 1);
	say_prefix(&l, NET2, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S); /* one that stays: the other one goes, too */
	assert_int_equal(n_temps(&l, NULL), 0);
	first = lasting(&l, NET)->addr;
	more.ip[15]++;
	assert_int_equal(berth_addr_add(l.st, l.iface, &more, 24), -ENOBUFS); /* and no more than that */
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	assert_int_equal(n_temps(&l, NULL), 0);
	assert_true(addr_find(l.st, &first) != NIL);
	lasting(&l, NET2);
	lab_close(&l);
}

static void s19_the_oldest_goes_first(void **state)
{
	struct berth_stack_config c = {.n_addrs = 5};
	struct berth_addr more = pub("10.0.0.1");
	struct port_addr seen[3];
	unsigned n = 0;
	struct lab l;

	(void)state;
	open_sized(&l, FLAGS, 0, 0, &c);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	for (; n < 3; n++) {
		seen[n] = temp(&l, NET)->addr;
		if (n < 2)
			lab_pass(&l, temp(&l, NET)->preferred_until_ns - l.now + SEC(1));
	}
	for (n = 0; n < 3; n++, more.ip[15]++) {
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(addr_find(l.st, &seen[i]) != NIL, i >= n);
		assert_int_equal(berth_addr_add(l.st, l.iface, &more, 24), 0);
	}
	assert_int_equal(n_temps(&l, NET), 0);
	lab_close(&l);
}

/* One link's temporary addresses neither count nor go for another's. */
static void s19_interfaces_have_rooms_of_their_own(void **state)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.flags = FLAGS,
				.mtu_bytes = 1500};
	struct lab l;

	(void)state;
	memcpy(f.mac, our_mac, 6);
	for (unsigned is_small = 0; is_small <= 1; is_small++) {
		struct berth_stack_config c = {.n_addrs = is_small ? 6 : 64};
		struct wire_nd_ra ra = advert(9000);
		uint16_t first;
		unsigned n = 0;
		char prefix[48];

		for (unsigned k = 0; k < (is_small ? 1 : 8); k++) {
			snprintf(prefix, sizeof(prefix), "2001:db8:1:%x::", k);
			add_prefix(&ra, prefix, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
		}
		open_sized(&l, FLAGS, 0, 0, &c);
		first = l.iface;
		say(&l, &ra);
		for (unsigned i = 0; i < 6; i++, lab_clear(&l))
			lab_pass(&l, SEC(is_small ? DAY / 5 : DAY / 2));
		n = n_temps(&l, NULL);
		assert_int_equal(n, is_small ? 2 : N_MAX);
		assert_int_equal(berth_iface_add(l.st, &f, &l.iface), 0);
		say(&l, &ra);
		assert_int_equal(n_temps(&l, NULL), is_small ? 2 : N_MAX + 8);
		for (uint32_t i = 0; is_small && i < l.st->ip->n_addrs; i++)
			assert_true(!(l.st->ip->addrs[i].flags & T) || l.st->ip->addrs[i].iface == first);
		lab_close(&l);
	}
}

/* A table without room for another: the deprecated one makes way for the next. */
static void s19_old_ones_make_room_for_new_ones(void **state)
{
	struct berth_stack_config c = {.n_addrs = 3};
	struct port_addr first;
	struct lab l;

	(void)state;
	open_sized(&l, FLAGS, 0, 0, &c);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	lab_pass(&l, SEC(5));
	first = temp(&l, NET)->addr;
	lab_pass(&l, temp(&l, NET)->preferred_until_ns - l.now - SEC(1));
	assert_memory_equal(temp(&l, NET)->addr.b, first.b, 16); /* nobody took its place while it is preferred */
	lab_pass(&l, SEC(2));
	assert_int_equal(n_of(&l, NET, T | GONE, T | GONE, NULL), 1);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	assert_memory_not_equal(temp(&l, NET)->addr.b, first.b, 16);
	assert_int_equal(n_temps(&l, NET), 1);
	lab_close(&l);
}

/* Each address is in a group. Groups that run out count as addresses do. */
static void s19_groups_run_out(void **state)
{
	struct berth_stack_config c = {.n_groups = 4};
	struct lab l;
	unsigned n_stay;

	(void)state;
	open_sized(&l, FLAGS, 0, 0, &c);
	say_prefix(&l, NET, 7200, 3600);
	assert_int_equal(n_temps(&l, NULL), 1);
	n_stay = n_of(&l, NULL, T, 0, NULL);
	for (unsigned i = 0; i < 3; i++) {
		char prefix[48];

		snprintf(prefix, sizeof(prefix), "2001:db8:%x::", 5 + i);
		say_prefix(&l, prefix, 7200, 3600);
		if (n_of(&l, prefix, 0, 0, NULL) == 0)
			break;
		n_stay++;
	}
	assert_int_equal(n_of(&l, NULL, T, 0, NULL), n_stay);
	assert_int_equal(n_temps(&l, NULL), 0);
	assert_true(n_stay >= 3);
	lab_close(&l);
}

/* --- more than one link --- */

/* One router at two links says the same prefix on both: each link has its own, and they do not meet. */
static void two_interfaces_in_one_prefix(void **state)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.flags = FLAGS,
				.mtu_bytes = 1500};
	struct berth_stack_config c = {.n_addrs = 6};
	struct berth_addr more = pub("10.0.0.1");
	const struct ip_addr *other = NULL;
	uint64_t until;
	uint16_t first;
	struct lab l;

	(void)state;
	open_sized(&l, FLAGS, 0, 0, &c);
	memcpy(f.mac, our_mac, 6);
	first = l.iface;
	say_prefix(&l, NET, 7200, 3600);
	assert_int_equal(berth_iface_add(l.st, &f, &l.iface), 0);
	assert_int_equal(n_of(&l, NET, T, T, &other), 1);
	until = other->preferred_until_ns;
	lab_pass(&l, SEC(5));
	say_prefix(&l, NET, 3600, 1800);
	assert_int_equal(n_temps(&l, NET), 2);
	assert_int_equal(other->iface, first);
	assert_int_equal(other->preferred_until_ns, until);
	assert_int_equal(berth_addr_add(l.st, l.iface, &more, 24),
			 0); /* the table was full: one goes, wherever it is */
	assert_int_equal(n_temps(&l, NET), 1);
	more.ip[15]++;
	assert_int_equal(berth_addr_add(l.st, l.iface, &more, 24), 0);
	assert_int_equal(n_temps(&l, NET), 0);
	assert_int_equal(n_of(&l, NET, T, 0, NULL), 2);
	lab_close(&l);
}

static void an_interface_that_is_removed_takes_its_own_only(void **state)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.flags = FLAGS,
				.mtu_bytes = 1500};
	const struct ip_addr *other = NULL;
	uint16_t first;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	memcpy(f.mac, our_mac, 6);
	first = l.iface;
	say_prefix(&l, NET, 7200, 3600);
	assert_int_equal(berth_iface_add(l.st, &f, &l.iface), 0);
	say_prefix(&l, NET, 7200, 3600);
	assert_int_equal(n_temps(&l, NET), 2);
	assert_int_equal(berth_iface_remove(l.st, l.iface), 0);
	assert_int_equal(n_of(&l, NET, T, T, &other), 1);
	assert_int_equal(other->iface, first);
	l.iface = first;
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(rules) + 32];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(two_interfaces_in_one_prefix),
		cmocka_unit_test(an_interface_that_is_removed_takes_its_own_only),
		cmocka_unit_test(what_begins_here_comes_from_it_unless_the_socket_says_otherwise),
		cmocka_unit_test(answers_come_from_the_address_that_was_asked),
		cmocka_unit_test(what_has_it_keeps_it_while_it_is_valid),
		cmocka_unit_test(s19_a_thousand_advertisements_make_no_more_than_the_caps),
		cmocka_unit_test(s19_prefixes_that_come_and_go_make_few),
		cmocka_unit_test(s19_lifetimes_that_flap_make_none),
		cmocka_unit_test(s19_they_make_room_for_all_others),
		cmocka_unit_test(s19_old_ones_make_room_for_new_ones),
		cmocka_unit_test(s19_groups_run_out),
		cmocka_unit_test(s19_the_oldest_goes_first),
		cmocka_unit_test(s19_interfaces_have_rooms_of_their_own),
	};
	size_t n = 0;

#define ROWS(rows, run)                             \
	for (size_t i = 0; i < COUNT_OF(rows); i++) \
		tests[n++] = (struct CMUnitTest){(rows)[i].name, run, NULL, NULL, (void *)(uintptr_t) & (rows)[i]};
	ROWS(rules, run_rule)
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_temp_use", tests, n, NULL, NULL);
}
