/* tests/unit/test_ip_group.c: multicast membership: what IGMP and MLD say, when, and in which version. */
#include "group_fixture.h"

static int join(struct world *w)
{
	struct port_addr g = A(w->f->group);
	int r = group_join(w->l.st, w->l.iface, &g);

	lab_drain(&w->l);
	return r;
}

static int leave(struct world *w)
{
	struct port_addr g = A(w->f->group);
	int r = group_leave(w->l.st, w->l.iface, &g);

	lab_drain(&w->l);
	return r;
}

static void is_record(const struct wire_group *g, const struct family *f, enum wire_group_change change)
{
	struct wire_slice rest = g->body;
	struct wire_group_record r;
	struct port_addr group = A(f->group);
	bool found = false;

	assert_int_equal(g->kind, WIRE_GROUP_REPORT3);
	while (wire_group_record_next(f->v4 ? PORT_FAMILY_4 : PORT_FAMILY_6, &rest, &r)) {
		assert_int_equal(r.n_sources, 0);
		if (port_addr_equal(&r.address, &group)) {
			assert_int_equal(r.change, change);
			found = true;
		}
	}
	assert_true(found);
}

static void joining_is_said_twice_and_leaving_too(void **state)
{
	struct world w;

	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct wire_group g;
		struct port_addr to = A(families[f].to_routers3), group = A(families[f].group);
		struct seen s;

		(void)state;
		open_world(&w, &families[f]);
		assert_int_equal(join(&w), 0);
		assert_true(group_is_member(w.l.st, w.l.iface, &group));
		lab_pass(&w.l, SEC(10));
		assert_int_equal(n_said(&w), 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_true(said(&w, i, &g, &s));
			is_record(&g, w.f, WIRE_GROUP_TO_EXCLUDE);
			assert_true(port_addr_equal(&s.dst, &to));
		}
		assert_true(s.at_ns - w.l.out[0].at_ns <= SEC(1));
		lab_clear(&w.l);
		assert_int_equal(join(&w), 0); /* counted */
		assert_int_equal(leave(&w), 0);
		lab_pass(&w.l, SEC(10));
		assert_int_equal(n_said(&w), 0);
		assert_int_equal(leave(&w), 0);
		assert_false(group_is_member(w.l.st, w.l.iface, &group));
		lab_pass(&w.l, SEC(10));
		assert_int_equal(n_said(&w), 2);
		assert_true(said(&w, 1, &g, &s));
		is_record(&g, w.f, WIRE_GROUP_TO_INCLUDE);
		assert_int_equal(leave(&w), -EADDRNOTAVAIL);
		lab_close(&w.l);
	}
}

static void queries_are_answered_within_their_time(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned specific = 0; specific < 2; specific++) {
			struct wire_group g;
			struct seen s;
			uint64_t asked;

			open_world(&w, &families[f]);
			assert_int_equal(join(&w), 0);
			lab_pass(&w.l, SEC(20));
			lab_clear(&w.l);
			asked = w.l.now;
			query(&w, 3, specific ? w.f->group : NULL, 4000, w.f->querier, 1, true);
			lab_pass(&w.l, SEC(20));
			assert_int_equal(n_said(&w), 1);
			assert_true(said(&w, 0, &g, &s));
			is_record(&g, w.f, WIRE_GROUP_IS_EXCLUDE);
			assert_true(s.at_ns >= asked && s.at_ns - asked <= SEC(4.1));
			assert_int_equal(w.l.st->n.mcast_queries_in, 1);
			lab_close(&w.l);
		}
}

static void an_older_querier_is_answered_in_its_version(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned version = families[f].v4 ? 1 : 2; version <= 2; version++) {
			struct port_addr group = A(families[f].group), to = A(families[f].to_leave);
			struct wire_group g;
			struct seen s;

			open_world(&w, &families[f]);
			assert_int_equal(join(&w), 0);
			lab_pass(&w.l, SEC(20));
			lab_clear(&w.l);
			query(&w, version, NULL, 3000, w.f->querier, 1, true);
			lab_pass(&w.l, SEC(11));
			assert_true(said(&w, 0, &g, &s));
			for (unsigned i = 0; said(&w, i, &g, &s); i++)
				if (port_addr_equal(&g.address, &group))
					break;
			assert_int_equal(g.kind, version == 1 ? WIRE_GROUP_REPORT1 : WIRE_GROUP_REPORT2);
			assert_true(port_addr_equal(&s.dst, &group));
			lab_clear(&w.l);
			assert_int_equal(leave(&w), 0);
			lab_pass(&w.l, SEC(11));
			assert_int_equal(n_said(&w), version == 1 ? 0 : 1);
			if (version == 2) {
				assert_true(said(&w, 0, &g, &s));
				assert_int_equal(g.kind, WIRE_GROUP_LEAVE);
				assert_true(port_addr_equal(&s.dst, &to));
			}
			/* After 400 seconds without it the newest is spoken again. */
			lab_pass(&w.l, SEC(400));
			lab_clear(&w.l);
			assert_int_equal(join(&w), 0);
			assert_true(said(&w, 0, &g, &s));
			assert_int_equal(g.kind, WIRE_GROUP_REPORT3);
			lab_close(&w.l);
		}
}

/* Version 2: who hears another member say it need not, and does not say when it leaves. */
static void another_members_report_is_enough(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct wire_group g = {.kind = WIRE_GROUP_REPORT2, .version = 2};
		const struct family *fam = &families[f];
		uint8_t msg[64], buf[128], hbh[8], mac[6];
		struct pk p = {.src = fam->querier,
			       .dst = fam->group,
			       .proto = fam->v4 ? WIRE_PROTO_IGMP : WIRE_PROTO_ICMP6,
			       .ttl = 1,
			       .payload = msg};
		struct port_addr group = A(fam->group);
		struct wire_group heard;
		struct seen s;
		int n;

		open_world(&w, fam);
		assert_int_equal(join(&w), 0);
		lab_pass(&w.l, SEC(20));
		query(&w, 2, NULL, 10000, fam->querier, 1, true);
		lab_clear(&w.l);
		g.address = group;
		n = fam->v4 ? wire_igmp_emit(&g, msg, sizeof(msg)) : wire_mld_emit(&g, msg, sizeof(msg));
		p.len = (size_t)n;
		seal(p.src, p.dst, p.proto, msg, p.len);
		if (fam->v4) {
			p.options = wire_ip4_router_alert;
			p.n_options = 4;
		} else {
			wire_ip6_put_router_alert(hbh, WIRE_PROTO_ICMP6, 0);
			p.extensions = hbh;
			p.n_extensions = 8;
			p.next = WIRE_PROTO_HOPOPTS;
		}
		wire_mac_of_group(&group, mac);
		lab_packet_to(&w.l, mac, his_mac, buf, pk_build(&p, buf, sizeof(buf)));
		lab_pass(&w.l, SEC(11));
		for (unsigned i = 0; said(&w, i, &heard, &s); i++)
			assert_false(port_addr_equal(&heard.address, &group));
		lab_clear(&w.l);
		assert_int_equal(leave(&w), 0);
		lab_pass(&w.l, SEC(11));
		assert_int_equal(n_said(&w), 0);
		lab_close(&w.l);
	}
}

/* Who leaves in version 3 has one more report to say; then an older querier comes, and another member's report. */
static void a_report_heard_while_leaving(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct port_addr group = A(families[f].group);

		open_world(&w, &families[f]);
		assert_int_equal(join(&w), 0);
		lab_pass(&w.l, SEC(10));
		assert_int_equal(leave(&w), 0);
		query(&w, 2, NULL, 4000, w.f->querier, 1, true);
		group_heard(w.l.st, w.l.iface, &group);
		assert_true(group_check(w.l.st));
		lab_pass(&w.l, SEC(10));
		for (uint32_t i = 0; i < w.l.st->cfg.n_groups; i++)
			assert_false(w.l.st->ip->groups[i].used &&
				     port_addr_equal(&w.l.st->ip->groups[i].addr, &group));
		lab_close(&w.l);
	}
}

static void queries_that_are_not_believed(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		open_world(&w, &families[f]);
		assert_int_equal(join(&w), 0);
		lab_pass(&w.l, SEC(20));
		lab_clear(&w.l);
		query(&w, 3, NULL, 100, w.f->querier, 2, true); /* from another link */
		if (!w.f->v4) {
			query(&w, 3, NULL, 100, w.f->querier, 1, false); /* RFC 3810, 5.1.14 */
			query(&w, 3, NULL, 100, "2001:db8::1", 1, true);
		}
		query(&w, 3, w.f->v4 ? "239.1.2.4" : "ff05::78", 100, w.f->querier, 1,
		      true); /* of a group we are not in */
		lab_pass(&w.l, SEC(20));
		assert_int_equal(n_said(&w), 0);
		assert_int_equal(w.l.st->n.mcast_queries_in, 0);
		lab_close(&w.l);
	}
}

static void of_all_hosts_nothing_is_said(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct port_addr all = A(families[f].all);

		open_world(&w, &families[f]);
		assert_true(group_is_member(w.l.st, w.l.iface, &all));
		assert_int_equal(group_join(w.l.st, w.l.iface, &all), 0);
		lab_pass(&w.l, SEC(5));
		assert_int_equal(n_said(&w), 0);
		assert_int_equal(group_leave(w.l.st, w.l.iface, &all), 0);
		assert_true(group_is_member(w.l.st, w.l.iface, &all));
		lab_close(&w.l);
	}
}

/* A flood of queries makes no flood of reports. */
static void s11_a_flood_of_queries(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		open_world(&w, &families[f]);
		assert_int_equal(join(&w), 0);
		lab_pass(&w.l, SEC(20));
		lab_clear(&w.l);
		for (unsigned i = 0; i < 500; i++) {
			query(&w, 3, NULL, 10000, w.f->querier, 1, true);
			query(&w, 3, w.f->group, 10000, w.f->querier, 1, true);
		}
		lab_pass(&w.l, SEC(20));
		assert_true(n_said(&w) >= 1 && n_said(&w) <= 3);
		lab_close(&w.l);
	}
}

/* A query that comes again and again does not put off the answer to the first. */
static void queries_do_not_postpone_the_answer(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned specific = 0; specific < 2; specific++) {
			uint64_t asked;
			struct wire_group g;
			struct seen s;

			open_world(&w, &families[f]);
			assert_int_equal(join(&w), 0);
			lab_pass(&w.l, SEC(20));
			lab_clear(&w.l);
			asked = w.l.now;
			for (unsigned i = 0; i < 400; i++) {
				query(&w, 3, specific ? w.f->group : NULL, 10000, w.f->querier, 1, true);
				lab_pass(&w.l, SEC(0.01));
			}
			assert_true(said(&w, 0, &g, &s));
			assert_true(s.at_ns - asked <= SEC(2)); /* the earliest of so many draws */
			lab_close(&w.l);
		}
}

/* RFC 4861, 7.2.1: the groups that are asked for our addresses, counted by address. */
static void solicited_node_groups_come_and_go_with_addresses(void **state)
{
	struct lab l;
	struct port_addr one = A("ff02::1:ff00:1"), two = A("ff02::1:ff00:2");
	struct berth_addr a = pub("fd00::1"), b = pub("fd00:1::1"), c = pub("fd00::2");

	(void)state;
	lab_open(&l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD);
	assert_int_equal(berth_addr_add(l.st, l.iface, &a, 64), 0);
	assert_int_equal(berth_addr_add(l.st, l.iface, &b, 64), 0);
	assert_int_equal(berth_addr_add(l.st, l.iface, &c, 64), 0);
	assert_true(group_is_member(l.st, l.iface, &one) && group_is_member(l.st, l.iface, &two));
	assert_int_equal(berth_addr_remove(l.st, l.iface, &a), 0);
	assert_true(group_is_member(l.st, l.iface, &one));
	assert_int_equal(berth_addr_remove(l.st, l.iface, &b), 0);
	assert_false(group_is_member(l.st, l.iface, &one));
	lab_close(&l);
}

static void the_table_is_full_at_its_end(void **state)
{
	struct berth_stack_config c = {.n_packets = 64, .n_groups = 4};
	struct lab l;
	char text[32];
	int r = 0;

	(void)state;
	lab_open_with(&l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD, 1500, &c);
	for (unsigned i = 0; i < 5; i++) {
		struct port_addr g;

		snprintf(text, sizeof(text), "239.0.0.%u", i + 1);
		g = A(text);
		r = group_join(l.st, l.iface, &g);
		assert_int_equal(r, i < 4 ? 0 : -ENOBUFS);
	}
	struct port_addr host = A("10.0.0.9"), group = A("239.0.0.1");

	assert_int_equal(group_join(l.st, l.iface, &host), -EINVAL);
	assert_int_equal(group_join(l.st, 77, &group), -ENODEV);
	lab_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joining_is_said_twice_and_leaving_too),
		cmocka_unit_test(queries_are_answered_within_their_time),
		cmocka_unit_test(an_older_querier_is_answered_in_its_version),
		cmocka_unit_test(another_members_report_is_enough),
		cmocka_unit_test(a_report_heard_while_leaving),
		cmocka_unit_test(queries_that_are_not_believed),
		cmocka_unit_test(of_all_hosts_nothing_is_said),
		cmocka_unit_test(s11_a_flood_of_queries),
		cmocka_unit_test(queries_do_not_postpone_the_answer),
		cmocka_unit_test(solicited_node_groups_come_and_go_with_addresses),
		cmocka_unit_test(the_table_is_full_at_its_end),
	};

	return cmocka_run_group_tests_name("ip_group", tests, NULL, NULL);
}
