/* tests/unit/test_ip_temp.c: temporary addresses (RFC 8981): how long each lives, what follows it, and whose it is. */
#include "ip_temp.h"

/* --- RFC 8981, 3.4: lifetimes --- */

struct life {
	const char *name;
	uint32_t valid_s, preferred_s, own_valid_s, own_preferred_s;
	uint32_t want_s, least_s, most_s; /* valid, preferred; 0: none is made */
	uint32_t flags;
	uint8_t bits;
	bool not_autonomous;
};
static const struct life lives[] = {
	{"3.4: two days, and a day less up to two fifths", 30 * DAY, 7 * DAY, 0, 0, 2 * DAY, 51840, DAY},
	{"3.4: no longer than the prefix", 7200, 3600, 0, 0, 7200, 3600, 3600},
	{"3.4: no longer valid than the prefix", DAY + 1, DAY + 1, 0, 0, DAY + 1, 51840, DAY},
	{"3.4: a prefix without end", WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S, 0, 0, 2 * DAY, 51840, DAY},
	{"3.4: a prefix that ends in 136 years", 0xfffffffe, 0xfffffffe, 0, 0, 2 * DAY, 51840, DAY},
	{"3.4: valid without end, preferred for an hour", WIRE_ND_INFINITE_S, 3600, 0, 0, 2 * DAY, 3600, 3600},
	{"3.4: none for a deprecated prefix", 7200, 0, 0, 0, 0, 0, 0},
	{"3.4: none for a prefix that is over", 0, 0, 0, 0, 0, 0, 0},
	{"3.4: none that would be preferred no longer than its successor is made ahead", 7200, ADVANCE_S, 0, 0, 0, 0,
	 0},
	{"3.4: a second more is enough", 7200, ADVANCE_S + 1, 0, 0, 7200, ADVANCE_S + 1, ADVANCE_S + 1},
	{"3.4: lifetimes of the program's own", 30 * DAY, 7 * DAY, 3600, 1000, 3600, 600, 1000},
	{"3.4: the longest that can be said", WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S, 0xffffffff, 0xfffffffe,
	 0xffffffff, 2576980376, 0xfffffffe},
	{"3.4: without checks for duplicates, too", 7200, 3600, 0, 0, 7200, 3600, 3600, FLAGS | BERTH_IF_NO_DAD},
	{"3.4: none unless asked for", 7200, 3600, 0, 0, 0, 0, 0, BERTH_IF_ROUTER_ADV},
	{"3.4: none where routers are not listened to", 7200, 3600, 0, 0, 0, 0, 0, BERTH_IF_TEMP_ADDRS},
	{"3.4: none for a prefix of 56 bits", 7200, 3600, 0, 0, 0, 0, 0, FLAGS, 56},
	{"3.4: none for a prefix that is not for addresses", 7200, 3600, 0, 0, 0, 0, 0, FLAGS, 64, true},
};

static void run_life(void **state)
{
	const struct life *t = *state;
	struct berth_stack_config c = {.n_conns = 0};
	struct wire_nd_ra ra = advert(1800);
	const struct ip_addr *a;
	struct lab l;

	open_sized(&l, t->flags ? t->flags : FLAGS, t->own_valid_s, t->own_preferred_s, &c);
	add_prefix(&ra, NET, t->valid_s, t->preferred_s);
	ra.options.prefixes[0].prefix_bits = t->bits ? t->bits : 64;
	ra.options.prefixes[0].autonomous = !t->not_autonomous;
	say(&l, &ra);
	assert_int_equal(n_temps(&l, NULL), t->want_s ? 1 : 0);
	if (t->want_s) {
		a = temp(&l, NET);
		assert_int_equal(a->flags & ~BERTH_ADDR_TENTATIVE, BERTH_ADDR_AUTO | T);
		assert_int_equal(a->prefix_bits, 64);
		assert_int_equal((a->valid_until_ns - l.now) / SECOND_NS, t->want_s);
		assert_in_range((a->preferred_until_ns - l.now) / SECOND_NS, t->least_s, t->most_s);
	}
	lab_close(&l);
}

/* DESYNC_FACTOR is drawn for each: prefixes of one router do not change together, and all of its range is met. */
static void each_is_preferred_for_another_time(void **state)
{
	uint64_t times[64], least = UINT64_MAX, most = 0;
	unsigned n_same = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(times); i++) {
		struct berth_stack_config c = {.secret = {1, (uint8_t)i}};
		struct lab l;

		open_sized(&l, FLAGS, 0, 0, &c);
		say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
		times[i] = (temp(&l, NET)->preferred_until_ns - l.now) / SECOND_NS;
		for (unsigned k = 0; k < i; k++)
			n_same += times[k] == times[i];
		least = times[i] < least ? times[i] : least;
		most = times[i] > most ? times[i] : most;
		lab_close(&l);
	}
	assert_in_range(n_same, 0, 2);
	assert_in_range(least, 51840, 51840 + 4000);
	assert_in_range(most, DAY - 4000, DAY);
}

/* What a router says later holds, but never beyond the limits that it had from the start (3.4, 1 and 2). */
static void it_follows_its_prefix_within_its_own_limits(void **state)
{
	const struct ip_addr *a;
	uint64_t made, preferred;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 30 * DAY, 30 * DAY);
	lab_pass(&l, SEC(5));
	a = temp(&l, NET);
	made = a->valid_until_ns - SEC(2 * DAY);
	preferred = a->preferred_until_ns;
	lab_pass(&l, SEC(1000));
	say_prefix(&l, NET, 7300, 60); /* shorter */
	assert_int_equal(a->valid_until_ns, l.now + SEC(7300));
	assert_int_equal(a->preferred_until_ns, l.now + SEC(60));
	say_prefix(&l, NET, 60, 60); /* RFC 4862, 5.5.3 (e): two hours at least, for this one, too */
	assert_int_equal(a->valid_until_ns, l.now + SEC(7200));
	assert_int_equal(a->preferred_until_ns, l.now + SEC(60));
	lab_pass(&l, SEC(61));
	assert_true(a->flags & GONE);
	say_prefix(&l, NET, 30 * DAY,
		   30 * DAY); /* and longer again: it is the same one, and lives as long as it would have */
	assert_false(a->flags & GONE);
	assert_int_equal(a->valid_until_ns, made + SEC(2 * DAY));
	assert_int_equal(a->preferred_until_ns, preferred);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	assert_int_equal(a->valid_until_ns, made + SEC(2 * DAY));
	assert_int_equal(a->preferred_until_ns, preferred);
	assert_int_equal(n_temps(&l, NULL), 1);
	lab_close(&l);
}

/* 3.4, 3: nothing is made in answer to what ends a prefix; and a prefix that comes back has one again. */
static void a_prefix_that_is_deprecated_makes_none(void **state)
{
	const struct ip_addr *a;
	struct port_addr was;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 30 * DAY, 30 * DAY);
	lab_pass(&l, SEC(5));
	was = temp(&l, NET)->addr;
	say_prefix(&l, NET, 30 * DAY, 0);
	lab_pass(&l, SEC(1.5 * DAY)); /* its own time to be preferred passes: no other comes */
	assert_int_equal(n_of(&l, NET, T | GONE, T, NULL), 0);
	assert_int_equal(n_temps(&l, NET), 1);
	say_prefix(&l, NET, 30 * DAY, 30 * DAY);
	a = temp(&l, NET);
	assert_false(port_addr_equal(&a->addr, &was));
	assert_int_equal(n_temps(&l, NET), 2);
	lab_close(&l);
}

/* Another network number: what begins here moves over at once, what has the old one keeps it. */
static void a_network_is_renumbered(void **state)
{
	struct wire_nd_ra ra = advert(1800);
	struct port_addr old, new;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	lab_pass(&l, SEC(5));
	old = temp(&l, NET)->addr;
	assert_true(memcmp(source(&l, FAR).b, old.b, 16) == 0);
	add_prefix(&ra, NET, 7200, 0);
	add_prefix(&ra, NET2, 7200, 3600);
	say(&l, &ra);
	lab_pass(&l, SEC(5));
	new = temp(&l, NET2)->addr;
	assert_true(memcmp(source(&l, FAR).b, new.b, 16) == 0);
	assert_true(memcmp(old.b + 8, new.b + 8, 8) != 0);
	assert_true(ip_is_local(l.st, &old));
	lab_pass(&l, SEC(7200));
	assert_false(ip_is_local(l.st, &old));
	lab_close(&l);
}

/* --- 3.5, 3.6: one after the other --- */

static void the_next_one_is_there_before_the_last_one_is_deprecated(void **state)
{
	const struct ip_addr *first, *second = NULL;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	way_out(&l);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	first = temp(&l, NET);
	lab_pass(&l, first->preferred_until_ns - l.now - SEC(ADVANCE_S + 0.1));
	assert_int_equal(n_temps(&l, NET), 1);
	lab_pass(&l, SEC(0.2));
	assert_int_equal(n_temps(&l, NET), 2);
	assert_int_equal(n_of(&l, NET, T | BERTH_ADDR_TENTATIVE, T | BERTH_ADDR_TENTATIVE, &second), 1);
	assert_true(memcmp(source(&l, FAR).b, first->addr.b, 16) == 0);
	lab_pass(&l, SEC(3)); /* good: the newer one is taken, though the older one is preferred, too */
	assert_false(first->flags & GONE);
	assert_true(memcmp(source(&l, FAR).b, second->addr.b, 16) == 0);
	lab_pass(&l, SEC(2));
	assert_true(first->flags & GONE);
	assert_true(temp(&l, NET) == second);
	lab_pass(&l, first->valid_until_ns - l.now - SEC(0.1));
	assert_true(first->used);
	lab_pass(&l, SEC(0.2));
	assert_false(first->used);
	lab_close(&l);
}

static void ten_days(struct lab *l, uint64_t step_ns, uint64_t advert_s, unsigned at_once)
{
	struct port_addr seen[64];
	unsigned n_seen = 0;
	uint64_t end = l->now + SEC(10 * DAY), said = 0;

	while (l->now < end) {
		const struct ip_addr *a = NULL;
		unsigned n;
		bool is_new = true;

		if (l->now - said >= SEC(advert_s)) {
			said = l->now;
			say_prefix(l, NET, 4 * 3600, 2 * 3600);
		}
		lab_pass(l, step_ns);
		lab_clear(l);
		n = n_of(l, NET, T | GONE, T, &a);
		if (n == 2) { /* within REGEN_ADVANCE only */
			assert_int_equal(n_of(l, NET, T | GONE | BERTH_ADDR_TENTATIVE, T, &a), 1);
			assert_in_range(a->preferred_until_ns, l->now, l->now + SEC(ADVANCE_S));
			continue;
		}
		assert_int_equal(n, 1);
		assert_int_equal(a->flags, BERTH_ADDR_AUTO | T);
		assert_in_range(n_temps(l, NET), 1, at_once);
		lasting(l, NET);
		assert_memory_equal(source(l, FAR).b, a->addr.b, 16);
		for (unsigned i = 0; i < n_seen; i++)
			is_new &= !port_addr_equal(&seen[i], &a->addr);
		if (is_new) {
			assert_true(n_seen < COUNT_OF(seen));
			seen[n_seen++] = a->addr;
		}
	}
	assert_in_range(n_seen, 10, 17); /* each a day at most, three fifths of one at least */
	assert_true(berth_stack_check(l->st));
}

static void ten_days_of_a_router_that_says_so_twice_an_hour(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	way_out(&l);
	say_prefix(&l, NET, 4 * 3600, 2 * 3600);
	lab_pass(&l, SEC(5));
	ten_days(&l, SEC(911), 1800, AT_ONCE);
	lab_close(&l);
}

/* A prefix without end and a silent router: nothing but their own timers makes them, and there are few of these. */
static void ten_days_of_silence_cost_a_few_timers(void **state)
{
	unsigned n_ticks = 0, n_most = 0;
	uint64_t end;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	for (end = l.now + SEC(10 * DAY); l.now < end; n_ticks++) {
		uint64_t at = berth_stack_deadline(l.st);

		assert_true(at > l.now || n_ticks == 0);
		l.now = at < end ? at : end;
		berth_stack_tick(l.st, l.now, 64);
		lab_drain(&l);
		lab_clear(&l);
		n_most = n_temps(&l, NET) > n_most ? n_temps(&l, NET) : n_most;
	}
	assert_in_range(n_most, 3, AT_ONCE);
	assert_in_range(n_ticks, 20, 3000); /* the wheel looks at far timers now and then */
	assert_int_equal(n_of(&l, NET, T | GONE, T, NULL), 1);
	lab_close(&l);
}

/* The program slept for days: when it wakes there is a new one, and one only. */
static void a_clock_that_jumps(void **state)
{
	static const double days[] = {0.99, 1.5, 3, 400};
	struct port_addr was;
	struct lab l;

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(days); i++) {
		open_lab(&l, FLAGS);
		say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
		lab_pass(&l, SEC(5));
		was = temp(&l, NET)->addr;
		l.now += SEC(days[i] * DAY);
		while (berth_stack_tick(l.st, l.now, 64) == 64)
			;
		lab_drain(&l);
		assert_false(port_addr_equal(&temp(&l, NET)->addr, &was));
		assert_int_equal(n_temps(&l, NET), days[i] < 2 ? 2 : 1);
		lab_pass(&l, SEC(5));
		assert_int_equal(temp(&l, NET)->flags & BERTH_ADDR_TENTATIVE, 0);
		lab_close(&l);
	}
}

/* 3.6: another network. What we were there nobody sees here. */
static void an_interface_that_comes_up_again_has_new_ones(void **state)
{
	struct port_addr seen[3];
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	for (unsigned i = 0; i < 3; i++) {
		say_prefix(&l, NET, 7200, 3600);
		lab_pass(&l, SEC(5));
		seen[i] = temp(&l, NET)->addr;
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(seen[k].b + 8, seen[i].b + 8, 8);
		if (i == 0) {
			assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0);
			assert_int_equal(n_temps(&l, NULL), 0);
			assert_int_equal(berth_iface_set_up(l.st, l.iface, true), 0);
		} else {
			assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1000), 0);
			assert_int_equal(n_temps(&l, NULL), 0);
			assert_int_equal(berth_iface_set_mtu(l.st, l.iface, 1500), 0);
		}
		lab_pass(&l, SEC(5));
		assert_int_equal(n_temps(&l, NULL), 0);
		assert_false(ip_is_local(l.st, &seen[i]));
	}
	lab_close(&l);
}

/* Who takes the address that stays away takes them all; who takes a temporary one away has another with the router's next word. */
static void a_program_removes_them(void **state)
{
	struct berth_addr p;
	struct port_addr was;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	say_prefix(&l, NET2, 7200, 3600);
	lab_pass(&l, SEC(5));
	was = temp(&l, NET)->addr;
	p = addr_public(&was, 0);
	assert_int_equal(berth_addr_remove(l.st, l.iface, &p), 0);
	assert_int_equal(n_temps(&l, NET), 0);
	say_prefix(&l, NET, 7200, 3600);
	assert_false(port_addr_equal(&temp(&l, NET)->addr, &was));
	p = addr_public(&lasting(&l, NET)->addr, 0);
	assert_int_equal(berth_addr_remove(l.st, l.iface, &p), 0);
	assert_int_equal(n_temps(&l, NET), 0);
	assert_int_equal(n_temps(&l, NET2), 1);
	lab_close(&l);
}

/* --- identifiers (3.3.1) --- */

struct iid {
	const char *name;
	uint8_t iid[8];
	bool is_reserved;
};
static const struct iid iids[] = {
	{"RFC 5453: the routers' anycast address", {0}, true},
	{"RFC 5453: IANA's block of Ethernet addresses", {2, 0, 0x5e, 0xff, 0xfe, 0, 0x52, 0x12}, true},
	{"RFC 5453: its neighbour is free", {2, 0, 0x5e, 0xff, 0xff, 0, 0x52, 0x12}, false},
	{"RFC 5453: the first anycast address of a subnet", {0xfd, 255, 255, 255, 255, 255, 255, 0x80}, true},
	{"RFC 5453: the last one", {0xfd, 255, 255, 255, 255, 255, 255, 255}, true},
	{"RFC 5453: the one below is free", {0xfd, 255, 255, 255, 255, 255, 255, 0x7f}, false},
};

static void run_iid(void **state)
{
	const struct iid *t = *state;

	assert_int_equal(slaac_is_reserved(t->iid), t->is_reserved);
}

static void identifiers_are_drawn(void **state)
{
	struct port_addr ids[3][2], stay;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct berth_stack_config c = {.secret = {i == 2 ? 9 : 5}};
		struct lab l;

		open_sized(&l, FLAGS, 0, 0, &c);
		say_prefix(&l, NET, 7200, 3600);
		say_prefix(&l, NET2, 7200, 3600);
		ids[i][0] = temp(&l, NET)->addr;
		ids[i][1] = temp(&l, NET2)->addr;
		stay = lasting(&l, NET)->addr;
		assert_memory_not_equal(ids[i][0].b + 8, stay.b + 8, 8);
		assert_memory_not_equal(ids[i][0].b + 8, ids[i][1].b + 8, 8);
		lab_close(&l);
	}
	assert_memory_equal(ids[0], ids[1], sizeof(ids[0])); /* one seed, one run */
	assert_memory_not_equal(ids[0][0].b + 8, ids[2][0].b + 8, 8);
}

/* The same numbers come up again: they are in use, so others are drawn. */
static void an_identifier_in_use_is_not_taken_again(void **state)
{
	uint64_t counter;
	struct lab l;
	const struct ip_addr *a;

	(void)state;
	open_lab(&l, FLAGS);
	counter = l.st->random_counter;
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	counter = l.st->random_counter - counter;
	a = temp(&l, NET);
	for (uint64_t at = l.st->random_counter - counter;; at++) { /* where in the sequence it came from */
		uint64_t word;

		assert_true(at < l.st->random_counter);
		word = siphash24(&l.st->keys.random, &at, sizeof(at));
		if ((uint8_t)word != a->addr.b[15] || (uint8_t)(word >> 56) != a->addr.b[8])
			continue;
		lab_pass(&l, a->preferred_until_ns - l.now - SEC(ADVANCE_S + 1));
		l.st->random_counter = at;
		break;
	}
	lab_pass(&l, SEC(ADVANCE_S + 2));
	assert_int_equal(n_temps(&l, NET), 2);
	assert_true(temp(&l, NET) != a);
	lab_close(&l);
}

/* --- duplicates (3.4, 7) --- */

static void it_is_used_when_nobody_else_has_it(void **state)
{
	struct port_addr stay;
	const struct ip_addr *a;
	unsigned n = 0;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	a = temp(&l, NET);
	stay = lasting(&l, NET)->addr;
	assert_true(a->flags & BERTH_ADDR_TENTATIVE);
	assert_false(ip_is_local(l.st, &a->addr));
	addr_begin(l.st, addr_find(l.st, &a->addr)); /* later than the one that stays */
	for (unsigned i = 0; i < 40 && !ip_is_local(l.st, &a->addr); i++) {
		if (ip_is_local(l.st, &stay))
			assert_true(memcmp(source(&l, FAR).b, stay.b, 16) == 0);
		lab_pass(&l, SEC(0.1));
	}
	assert_int_equal(a->flags, BERTH_ADDR_AUTO | T);
	for (unsigned i = 0; i < l.n_out; i++) {
		struct seen s = lab_seen(&l, i);
		struct wire_nd_ns ns;

		if (s.proto == WIRE_PROTO_ICMP6 && s.payload.data[0] == WIRE_ICMP6_ND_NS &&
		    wire_nd_ns_parse(s.payload.data, s.payload.len_bytes, &ns) == 0 &&
		    memcmp(ns.target.b, a->addr.b, 16) == 0) {
			assert_true(port_addr_is_any(&s.src));
			n++;
		}
	}
	assert_int_equal(n, 1);
	lab_close(&l);
}

static void somebody_has(struct lab *l, const struct port_addr *a)
{
	char text[PORT_ADDR_STR_MAX];

	port_addr_print(a, text);
	lab_na(l, text, "ff02::1", text, other_mac, false, true);
}

static void taken_three_times_the_prefix_has_none(void **state)
{
	struct port_addr seen[3];
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	say_prefix(&l, NET2, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	for (unsigned i = 0; i < 3; i++) {
		seen[i] = temp(&l, NET)->addr;
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(seen[i].b + 8, seen[k].b + 8, 8);
		assert_int_equal(l.st->n.temp_addrs_taken, 0);
		somebody_has(&l, &seen[i]);
		assert_true(addr_find(l.st, &seen[i]) == NIL);
	}
	assert_int_equal(l.st->n.temp_addrs_taken, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(n_temps(&l, NET), 0);
		assert_int_equal(n_temps(&l, NET2), 1);
		lasting(&l, NET);
		say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
		lab_pass(&l, SEC(2 * 3600));
		lab_clear(&l);
	}
	assert_int_equal(l.st->n.temp_addrs_taken, 1);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, false), 0);
	assert_int_equal(berth_iface_set_up(l.st, l.iface, true), 0);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	assert_int_equal(n_temps(&l, NET), 1);
	lab_close(&l);
}

/* Twice is bad luck: it begins to count anew. And what is in use is kept, whatever somebody says. */
static void taken_twice_the_third_one_is_good(void **state)
{
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, WIRE_ND_INFINITE_S, WIRE_ND_INFINITE_S);
	for (unsigned round = 0; round < 3; round++) {
		struct port_addr a = PORT_ADDR_ANY6;
		const struct ip_addr *fresh = NULL;

		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(n_of(&l, NET, T | BERTH_ADDR_TENTATIVE, T | BERTH_ADDR_TENTATIVE, &fresh), 1);
			a = fresh->addr;
			somebody_has(&l, &a);
		}
		lab_pass(&l, SEC(ADVANCE_S + 1));
		fresh = temp(&l, NET);
		a = fresh->addr;
		assert_int_equal(fresh->flags & BERTH_ADDR_TENTATIVE, 0);
		somebody_has(&l, &a);
		assert_true(temp(&l, NET) == fresh);
		lab_pass(&l, fresh->preferred_until_ns - l.now - SEC(ADVANCE_S - 0.1));
	}
	assert_int_equal(l.st->n.temp_addrs_taken, 0);
	lab_close(&l);
}

static void the_one_that_stays_is_taken(void **state)
{
	struct port_addr was;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	for (unsigned i = 0; i < 3; i++) {
		was = lasting(&l, NET)->addr;
		temp(&l, NET);
		somebody_has(&l, &was);
	}
	assert_int_equal(n_of(&l, NET, 0, 0, NULL), 0); /* none stays, so there is none for a time, either */
	lab_pass(&l, SEC(5));
	say_prefix(&l, NET, 7200, 3600);
	temp(&l, NET);
	lab_close(&l);
}

/* What is known of a prefix stays when the address that stays is taken, too. */
static void all_of_them_are_taken(void **state)
{
	struct port_addr was;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	for (unsigned i = 0; i < 3; i++) {
		was = temp(&l, NET)->addr;
		somebody_has(&l, &was);
	}
	was = lasting(&l, NET)->addr;
	somebody_has(&l, &was);
	assert_memory_not_equal(lasting(&l, NET)->addr.b, was.b, 16);
	assert_int_equal(n_temps(&l, NET), 0);
	say_prefix(&l, NET, 7200, 3600);
	assert_int_equal(n_temps(&l, NET), 0);
	lab_close(&l);
}

/* --- what programs see --- */

static void programs_see_them(void **state)
{
	struct berth_addr_info i = {.struct_size = sizeof(i)};
	const struct ip_addr *a;
	unsigned n = 0;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	lab_pass(&l, SEC(5));
	a = temp(&l, NET);
	for (uint32_t cursor = 0; berth_addr_next(l.st, &cursor, &i) == 1;) {
		if (!(i.flags & BERTH_ADDR_TEMPORARY))
			continue;
		n++;
		assert_int_equal(i.flags, BERTH_ADDR_TEMPORARY | BERTH_ADDR_AUTO);
		assert_memory_equal(i.addr.ip, a->addr.b, 16);
		assert_int_equal(i.prefix_bits, 64);
		assert_int_equal(i.valid_until_ns, l.now + SEC(7195));
		assert_int_equal(i.preferred_until_ns, l.now + SEC(3595));
	}
	assert_int_equal(n, 1);
	lab_close(&l);
}

struct limit {
	const char *name;
	uint32_t valid_s, preferred_s;
	int r;
};
static const struct limit limits[] = {
	{"lifetimes: the standard's", 0, 0, 0},
	{"lifetimes: the shortest", 601, 600, 0},
	{"lifetimes: too short to be followed by another", 3600, 599, -EINVAL},
	{"lifetimes: preferred for as long as valid", 3600, 3600, -EINVAL},
	{"lifetimes: a day, the other left out", 86400, 0, -EINVAL},
	{"lifetimes: a week, the other left out", 7 * 86400, 0, 0},
	{"lifetimes: preferred for longer than the default is valid", 0, 3 * 86400, -EINVAL},
	{"lifetimes: the longest", 0xffffffff, 0xfffffffe, 0},
};

static void run_limit(void **state)
{
	const struct limit *t = *state;
	struct berth_iface f = {.struct_size = sizeof(f),
				.flags = FLAGS,
				.mtu_bytes = 1500,
				.temp_valid_s = t->valid_s,
				.temp_preferred_s = t->preferred_s};
	uint16_t n;
	struct lab l;

	open_lab(&l, 0);
	assert_int_equal(berth_iface_add(l.st, &f, &n), t->r);
	f.struct_size = offsetof(struct berth_iface, temp_valid_s); /* who was compiled before them has the defaults */
	assert_int_equal(berth_iface_add(l.st, &f, &n), 0);
	assert_int_equal(l.st->ip->ifaces[n].temp_valid_s, 2 * DAY);
	lab_close(&l);
}

/* Each of the invariants, broken once. */
static void the_checker_sees_what_is_wrong(void **state)
{
	struct ip_addr *t, *s, was_t, was_s;
	struct iface *f;
	struct lab l;

	(void)state;
	open_lab(&l, FLAGS);
	say_prefix(&l, NET, 7200, 3600);
	t = &l.st->ip->addrs[addr_find(l.st, &temp(&l, NET)->addr)];
	s = &l.st->ip->addrs[addr_find(l.st, &lasting(&l, NET)->addr)];
	f = iface_at(l.st, l.iface);
	was_t = *t;
	was_s = *s;
#define BREAKS(change)                           \
	do {                                     \
		assert_true(addr_check(l.st));   \
		change;                          \
		assert_false(addr_check(l.st));  \
		*t = was_t;                      \
		*s = was_s;                      \
		f->flags |= BERTH_IF_TEMP_ADDRS; \
	} while (0)
	BREAKS(t->valid_until_ns++);
	BREAKS(t->preferred_until_ns++);
	BREAKS(t->temp_valid_ns = t->valid_until_ns - 1);
	BREAKS(t->temp_preferred_ns = t->preferred_until_ns - 1);
	BREAKS(t->flags &= (uint8_t)~BERTH_ADDR_AUTO);
	BREAKS(s->flags &= (uint8_t)~BERTH_ADDR_AUTO);
	BREAKS(s->flags |= BERTH_ADDR_TEMPORARY);
	BREAKS(f->flags &= ~(uint32_t)BERTH_IF_TEMP_ADDRS);
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(lives) + COUNT_OF(iids) + COUNT_OF(limits) + 32];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(each_is_preferred_for_another_time),
		cmocka_unit_test(it_follows_its_prefix_within_its_own_limits),
		cmocka_unit_test(a_prefix_that_is_deprecated_makes_none),
		cmocka_unit_test(a_network_is_renumbered),
		cmocka_unit_test(the_next_one_is_there_before_the_last_one_is_deprecated),
		cmocka_unit_test(ten_days_of_a_router_that_says_so_twice_an_hour),
		cmocka_unit_test(ten_days_of_silence_cost_a_few_timers),
		cmocka_unit_test(a_clock_that_jumps),
		cmocka_unit_test(an_interface_that_comes_up_again_has_new_ones),
		cmocka_unit_test(a_program_removes_them),
		cmocka_unit_test(identifiers_are_drawn),
		cmocka_unit_test(an_identifier_in_use_is_not_taken_again),
		cmocka_unit_test(it_is_used_when_nobody_else_has_it),
		cmocka_unit_test(taken_three_times_the_prefix_has_none),
		cmocka_unit_test(taken_twice_the_third_one_is_good),
		cmocka_unit_test(the_one_that_stays_is_taken),
		cmocka_unit_test(all_of_them_are_taken),
		cmocka_unit_test(programs_see_them),
		cmocka_unit_test(the_checker_sees_what_is_wrong),
	};
	size_t n = 0;

#define ROWS(rows, run)                             \
	for (size_t i = 0; i < COUNT_OF(rows); i++) \
		tests[n++] = (struct CMUnitTest){(rows)[i].name, run, NULL, NULL, (void *)(uintptr_t) & (rows)[i]};
	ROWS(lives, run_life)
	ROWS(iids, run_iid)
	ROWS(limits, run_limit)
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_temp", tests, n, NULL, NULL);
}
