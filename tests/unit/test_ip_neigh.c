/* tests/unit/test_ip_neigh.c: neighbours, by ARP and by ND, in virtual time. */
#include "ip_fixture.h"

#define NO_DAD BERTH_IF_NO_DAD

/* The same story in both families. */
struct family {
	const char *name, *us, *him, *other, *far;
	unsigned bits;
	int sock;
};
static const struct family families[] = {
	{"IPv4", "10.0.0.1", "10.0.0.2", "10.0.0.3", "192.0.2.9", 24, BERTH_IPV4},
	{"IPv6", "fd00::1", "fd00::2", "fd00::3", "2001:db8::9", 64, BERTH_IPV6},
};

struct world {
	struct lab l;
	const struct family *f;
	berth_sock s;
};

static void open_world(struct world *w, const struct family *f)
{
	w->f = f;
	lab_open(&w->l, BERTH_LINK_ETHERNET, NO_DAD);
	lab_addr(&w->l, f->us, f->bits);
	w->s = lab_socket(&w->l, f->sock, 5000);
	lab_pass(&w->l, SEC(30)); /* announcements and reports are over */
	lab_clear(&w->l);
}

static void send_to(struct world *w, const char *dst)
{
	assert_int_equal(lab_send(&w->l, w->s, dst, "hello", 5), 1);
}

static unsigned n_asked(struct world *w)
{
	return w->f->sock == BERTH_IPV4 ? lab_n_arp(&w->l, WIRE_ARP_REQUEST) : lab_n_icmp(&w->l, WIRE_ICMP6_ND_NS);
}

static unsigned n_udp(struct world *w, const uint8_t *to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->l.n_out; i++) {
		struct seen s = lab_seen(&w->l, i);

		n += !s.is_arp && s.proto == WIRE_PROTO_UDP && memcmp(s.eth.dst, to, 6) == 0;
	}
	return n;
}

static void answer(struct world *w, const char *who, const uint8_t *mac, bool solicited)
{
	if (w->f->sock == BERTH_IPV4)
		lab_arp(&w->l, WIRE_ARP_REPLY, who, mac, solicited ? w->f->us : who, solicited ? our_mac : all_macs);
	else
		lab_na(&w->l, who, solicited ? w->f->us : "ff02::1", who, mac, solicited, true);
	lab_drain(&w->l);
}

static enum neigh_state state_of(struct world *w, const char *who)
{
	struct port_addr a = A(who);
	uint32_t i = neigh_find(w->l.st, w->l.iface, &a);

	return i == NIL ? NEIGH_NSTATES : w->l.st->ip->neighs[i].state;
}

enum step_kind { END, SEND, PASS, ANSWER, ANNOUNCE, ASK_US, STATE, ASKED, SENT, SENT_OTHER, GONE, CONFIRM };
struct step {
	enum step_kind what;
	double n;
};
struct row {
	const char *name;
	struct step steps[24];
};

static const struct row rows[] = {
	{"the first packet asks, the answer lets it go",
	 {{SEND}, {STATE, NEIGH_INCOMPLETE}, {ASKED, 1}, {SENT, 0}, {ANSWER}, {STATE, NEIGH_REACHABLE}, {SENT, 1}}},
	{"asked three times, a second apart, then given up",
	 {{SEND},
	  {PASS, 0.5},
	  {ASKED, 1},
	  {PASS, 1},
	  {ASKED, 2},
	  {PASS, 1},
	  {ASKED, 3},
	  {PASS, 1},
	  {ASKED, 3},
	  {STATE, NEIGH_FAILED},
	  {SENT, 0}}},
	{"after a second of failure the next packet asks again",
	 {{SEND}, {PASS, 5}, {GONE}, {SEND}, {ASKED, 4}, {ANSWER}, {STATE, NEIGH_REACHABLE}}},
	{"an answer to nobody's question is not learnt", {{ANSWER}, {GONE}}},
	{"reachable for at most 45 seconds, then stale when looked at",
	 {{SEND}, {ANSWER}, {PASS, 46}, {STATE, NEIGH_REACHABLE}, {SEND}, {STATE, NEIGH_DELAY}, {SENT, 2}}},
	{"reachable for at least 15 seconds", {{SEND}, {ANSWER}, {PASS, 14}, {SEND}, {STATE, NEIGH_REACHABLE}}},
	{"delay for 5 seconds, then he alone is asked",
	 {{SEND},
	  {ANSWER},
	  {PASS, 46},
	  {SEND},
	  {PASS, 4.9},
	  {ASKED, 1},
	  {PASS, 0.2},
	  {ASKED, 2},
	  {STATE, NEIGH_PROBE}}},
	{"a probe that is answered",
	 {{SEND},
	  {ANSWER},
	  {PASS, 46},
	  {SEND},
	  {PASS, 5.5},
	  {ANSWER},
	  {STATE, NEIGH_REACHABLE},
	  {PASS, 10},
	  {ASKED, 2}}},
	{"three probes, then it has failed",
	 {{SEND},
	  {ANSWER},
	  {PASS, 46},
	  {SEND},
	  {PASS, 7.5},
	  {ASKED, 4},
	  {STATE, NEIGH_PROBE},
	  {PASS, 0.6},
	  {STATE, NEIGH_FAILED},
	  {PASS, 1.1},
	  {GONE}}},
	{"packets go on while he is probed", {{SEND}, {ANSWER}, {PASS, 46}, {SEND}, {PASS, 5.5}, {SEND}, {SENT, 3}}},
	{"the transport's word saves the question",
	 {{SEND},
	  {ANSWER},
	  {PASS, 46},
	  {SEND},
	  {PASS, 1},
	  {CONFIRM},
	  {STATE, NEIGH_REACHABLE},
	  {PASS, 10},
	  {ASKED, 1}}},
	{"another address that is announced is taken, and is stale",
	 {{SEND}, {ANSWER}, {ANNOUNCE}, {STATE, NEIGH_STALE}, {SEND}, {SENT_OTHER, 1}, {STATE, NEIGH_DELAY}}},
	{"who asks for us is remembered, stale",
	 {{ASK_US}, {STATE, NEIGH_STALE}, {SEND}, {SENT, 1}, {STATE, NEIGH_DELAY}, {ASKED, 0}}},
	{"who asks for us while we ask is an answer of a kind", {{SEND}, {ASK_US}, {SENT, 1}, {STATE, NEIGH_DELAY}}},
};

static void ask_us(struct world *w)
{
	if (w->f->sock == BERTH_IPV4)
		lab_arp(&w->l, WIRE_ARP_REQUEST, w->f->him, his_mac, w->f->us, all_macs);
	else
		lab_ns(&w->l, w->f->him, "ff02::1:ff00:1", w->f->us, his_mac);
}

static void run(const struct row *r, const struct family *f)
{
	struct world w;
	struct ip_route rt;
	struct port_addr him = A(f->him);

	open_world(&w, f);
	for (const struct step *s = r->steps; s < r->steps + COUNT_OF(r->steps); s++) {
		switch (s->what) {
		case SEND:
			send_to(&w, f->him);
			break;
		case PASS:
			lab_pass(&w.l, SEC(s->n));
			break;
		case ANSWER:
			answer(&w, f->him, his_mac, true);
			break;
		case ANNOUNCE:
			answer(&w, f->him, other_mac, false);
			break;
		case ASK_US:
			ask_us(&w);
			break;
		case STATE:
			assert_int_equal(state_of(&w, f->him), (int)s->n);
			break;
		case ASKED:
			assert_int_equal(n_asked(&w), (int)s->n);
			break;
		case SENT:
			assert_int_equal(n_udp(&w, his_mac), (int)s->n);
			break;
		case SENT_OTHER:
			assert_int_equal(n_udp(&w, other_mac), (int)s->n);
			break;
		case GONE:
			assert_int_equal(state_of(&w, f->him), NEIGH_NSTATES);
			break;
		case CONFIRM:
			assert_int_equal(ip_route_find(w.l.st, NULL, &him, BERTH_IFACE_ANY, &rt, NULL), 0);
			ip_route_confirm(w.l.st, &rt);
			break;
		case END:
			goto done;
		}
		assert_true(berth_stack_check(w.l.st));
	}
done:
	lab_close(&w.l);
}

static void run4(void **state)
{
	run(*state, &families[0]);
}

static void run6(void **state)
{
	run(*state, &families[1]);
}

/* S19: what an unresolved neighbour may hold up. */
static void s19_an_unresolved_neighbour_holds_up_nobody_else(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		open_world(&w, &families[f]);
		send_to(&w, w.f->him);
		answer(&w, w.f->him, his_mac, true);
		for (int i = 0; i < 50; i++)
			assert_true(lab_send(&w.l, w.s, w.f->other, "x", 1) == 1 || i > 3);
		lab_clear(&w.l);
		berth_sock second = lab_socket(&w.l, w.f->sock, 5001);

		assert_int_equal(lab_send(&w.l, second, w.f->him, "y", 1), 1);
		assert_int_equal(n_udp(&w, his_mac), 1);
		lab_close(&w.l);
	}
}

static void queue_packet(struct lab *l, const char *src, const char *dst, uint8_t mark)
{
	struct port_addr s = A(src), d = A(dst);
	struct ip_head h = {.src = &s, .dst = &d, .proto = 253, .l4_len = 4};
	struct ip_route rt;
	uint32_t i;
	struct pkt *p = pkt_take(l->st, &i);

	assert_non_null(p);
	assert_int_equal(ip_route_find(l->st, &s, &d, BERTH_IFACE_ANY, &rt, NULL), 0);
	memset(p->data + p->off, mark, 4);
	p->len = 4;
	assert_int_equal(ip_send(l->st, i, &h, &rt), 0);
}

static void s19_three_packets_wait_the_newest(void **state)
{
	struct world w;
	unsigned n = 0;

	(void)state;
	open_world(&w, &families[0]);
	for (uint8_t mark = 1; mark <= 7; mark++)
		queue_packet(&w.l, w.f->us, w.f->him, mark);
	lab_drain(&w.l);
	lab_clear(&w.l);
	assert_int_equal(w.l.st->pkts.n_used, 3);
	answer(&w, w.f->him, his_mac, true);
	for (unsigned i = 0; i < w.l.n_out; i++) {
		struct seen s = lab_seen(&w.l, i);

		assert_int_equal(s.payload.data[0], 5 + n);
		n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(w.l.st->pkts.n_used, 0);
	lab_close(&w.l);
}

/* Questions in the names of many who are not there: the answers wait for neighbours, but not with all packets that there are, or nobody
 * could be asked for any more. */
static void s19_answers_to_nobody_leave_packets_for_others(void **state)
{
	uint8_t l4[64], buf[128];
	char from[32];
	struct world w;

	(void)state;
	open_world(&w, &families[0]); /* 128 packets */
	for (unsigned i = 0; i < 3 * 200; i++) {
		struct pk p = {.src = from, .dst = "10.0.0.1", .proto = WIRE_PROTO_ICMP4, .payload = l4};

		snprintf(from, sizeof(from), "10.0.0.%u", 20 + i % 200);
		p.len = echo_build(from, "10.0.0.1", "x", 1, l4);
		lab_packet(&w.l, buf, pk_build(&p, buf, sizeof(buf)));
		lab_clear(&w.l);
	}
	assert_in_range(w.l.st->pkts.n_used, 3, 128 / 4);
	send_to(&w, "10.0.0.2");
	assert_int_equal(n_asked(&w), 1);
	lab_close(&w.l);
}

static void s19_failure_gives_the_packets_back(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, &families[1]);
	queue_packet(&w.l, w.f->us, w.f->him, 1);
	queue_packet(&w.l, w.f->us, w.f->him, 2);
	lab_pass(&w.l, SEC(3.5));
	assert_int_equal(w.l.st->pkts.n_used, 0);
	assert_int_equal(w.l.st->n.neigh_failed, 1);
	lab_close(&w.l);
}

/* --- bounds --- */

static void small_table(struct lab *l)
{
	struct berth_stack_config c = {.n_packets = 64, .n_neighs = 8};

	lab_open_with(l, BERTH_LINK_ETHERNET, NO_DAD, 1500, &c);
	lab_addr(l, "10.0.0.1", 16);
	lab_pass(l, SEC(10));
	lab_clear(l);
}

static void s19_strangers_do_not_push_out_who_we_talk_to(void **state)
{
	struct lab l;
	struct port_addr him = A("10.0.0.2");
	char text[32];

	(void)state;
	small_table(&l);
	queue_packet(&l, "10.0.0.1", "10.0.0.2", 1);
	lab_drain(&l);
	lab_arp(&l, WIRE_ARP_REPLY, "10.0.0.2", his_mac, "10.0.0.1", our_mac);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", 1 + i / 250, 1 + i % 250);
		lab_arp(&l, WIRE_ARP_REQUEST, text, other_mac, "10.0.0.1", all_macs);
		lab_clear(&l);
	}
	assert_true(neigh_find(l.st, l.iface, &him) != NIL);
	assert_true(l.st->n.neigh_evicted > 900);
	lab_close(&l);
}

static void s19_a_table_full_of_neighbours_in_use_takes_no_strangers(void **state)
{
	struct lab l;
	char text[32];

	(void)state;
	small_table(&l);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "10.0.0.%u", 10 + i);
		queue_packet(&l, "10.0.0.1", text, 1);
		lab_drain(&l);
		lab_arp(&l, WIRE_ARP_REPLY, text, his_mac, "10.0.0.1", our_mac);
	}
	for (unsigned i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.0.1.%u", 1 + i);
		lab_arp(&l, WIRE_ARP_REQUEST, text, other_mac, "10.0.0.1", all_macs);
	}
	assert_int_equal(lab_n_arp(&l, WIRE_ARP_REPLY), 200); /* answered all the same */
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(l.st->ip->neighs[i].state, NEIGH_REACHABLE);
	lab_close(&l);
}

/* RFC 4861, 7.2.5: without the override flag a known address is doubted, not replaced. */
static void an_advertisement_without_override(void **state)
{
	struct world w;
	struct port_addr him = A("fd00::2");
	const struct neigh *n;

	(void)state;
	open_world(&w, &families[1]);
	send_to(&w, w.f->him);
	answer(&w, w.f->him, his_mac, true);
	n = &w.l.st->ip->neighs[neigh_find(w.l.st, w.l.iface, &him)];
	lab_na(&w.l, w.f->him, w.f->us, w.f->him, other_mac, true, false);
	assert_int_equal(n->state, NEIGH_STALE);
	assert_memory_equal(n->mac, his_mac, 6);
	lab_na(&w.l, w.f->him, w.f->us, w.f->him, other_mac, true, true);
	assert_int_equal(n->state, NEIGH_REACHABLE);
	assert_memory_equal(n->mac, other_mac, 6);
	lab_close(&w.l);
}

static void an_answer_to_a_question_that_was_not_asked_yet(void **state)
{
	struct ip_route rt;
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct port_addr him = A(families[f].him);

		open_world(&w, &families[f]);
		assert_int_equal(ip_route_find(w.l.st, NULL, &him, BERTH_IFACE_ANY, &rt, NULL), 0);
		answer(&w, w.f->him, other_mac, true);
		assert_int_equal(state_of(&w, w.f->him), NEIGH_NONE);
		lab_close(&w.l);
	}
}

static void the_table_stays_usable_when_more_are_asked_for_than_fit(void **state)
{
	struct lab l;
	char text[32];

	(void)state;
	small_table(&l);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "10.0.7.%u", 1 + i % 250);
		queue_packet(&l, "10.0.0.1", text, 1);
		lab_drain(&l);
		lab_clear(&l);
	}
	assert_true(l.st->pkts.n_used <= 8 * 3);
	assert_true(berth_stack_check(l.st));
	lab_close(&l);
}

static void a_static_one_is_never_asked_nor_pushed_out_nor_changed(void **state)
{
	struct lab l;
	struct berth_addr a = pub("10.0.0.77");
	struct port_addr him = A("10.0.0.77");
	char text[32];
	uint32_t n;

	(void)state;
	small_table(&l);
	assert_int_equal(berth_neigh_add(l.st, l.iface, &a, his_mac), 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "10.0.7.%u", 1 + i);
		queue_packet(&l, "10.0.0.1", text, 1);
		lab_drain(&l);
		lab_clear(&l);
	}
	lab_arp(&l, WIRE_ARP_REPLY, "10.0.0.77", other_mac, "10.0.0.1", our_mac);
	n = neigh_find(l.st, l.iface, &him);
	assert_true(n != NIL);
	assert_memory_equal(l.st->ip->neighs[n].mac, his_mac, 6);
	lab_clear(&l);
	queue_packet(&l, "10.0.0.1", "10.0.0.77", 1);
	lab_drain(&l);
	assert_int_equal(l.n_out, 1);
	assert_int_equal(berth_neigh_remove(l.st, l.iface, &a), 0);
	assert_int_equal(berth_neigh_remove(l.st, l.iface, &a), -ESRCH);
	lab_close(&l);
}

/* Where a socket waits for a neighbour, resolution and failure both wake it. */
static void sockets_that_wait_are_woken(void **state)
{
	struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		open_world(&w, &families[f]);
		send_to(&w, w.f->him);
		send_to(&w, w.f->him);
		assert_int_equal(n_udp(&w, his_mac), 0);
		answer(&w, w.f->him, his_mac, true);
		assert_int_equal(n_udp(&w, his_mac), 2);
		assert_true(w.l.st->waiting.first == NIL);
		lab_close(&w.l);
	}
}

/* RFC 4861, 6.3.6 in short: when the router in use does not answer, the other one is taken. */
static void a_dead_router_gives_way_to_another(void **state)
{
	struct world w;
	struct berth_addr any = pub("0.0.0.0"), r1 = pub("10.0.0.2"), r2 = pub("10.0.0.3");

	(void)state;
	open_world(&w, &families[0]);
	assert_int_equal(berth_route_add(w.l.st, &any, 0, &r1, w.l.iface, 1), 0);
	assert_int_equal(berth_route_add(w.l.st, &any, 0, &r2, w.l.iface, 2), 0);
	lab_arp(&w.l, WIRE_ARP_REQUEST, "10.0.0.3", other_mac, w.f->us, all_macs);
	queue_packet(&w.l, w.f->us, w.f->far, 1);
	lab_pass(&w.l, SEC(3.2));
	lab_clear(&w.l);
	queue_packet(&w.l, w.f->us, w.f->far, 2);
	lab_drain(&w.l);
	assert_int_equal(w.l.n_out, 1);
	assert_memory_equal(lab_seen(&w.l, 0).eth.dst, other_mac, 6);
	/* For minutes nothing waits for the dead one, which is asked now and then. */
	for (unsigned i = 0; i < 200; i++) {
		lab_pass(&w.l, SEC(1));
		if (i % 10 == 0)
			lab_arp(&w.l, WIRE_ARP_REPLY, "10.0.0.3", other_mac, w.f->us, our_mac);
		lab_clear(&w.l);
		queue_packet(&w.l, w.f->us, w.f->far, 2);
		lab_drain(&w.l);
		assert_memory_equal(lab_seen(&w.l, w.l.n_out - 1).eth.dst, other_mac, 6);
		assert_true(berth_stack_check(w.l.st));
	}
	lab_clear(&w.l);
	lab_pass(&w.l, SEC(40));
	assert_true(lab_n_arp(&w.l, WIRE_ARP_REQUEST) >= 3);
	/* Back, it is taken again. */
	while (state_of(&w, "10.0.0.2") != NEIGH_INCOMPLETE)
		lab_pass(&w.l, SEC(0.5));
	lab_arp(&w.l, WIRE_ARP_REPLY, "10.0.0.2", his_mac, w.f->us, our_mac);
	lab_clear(&w.l);
	queue_packet(&w.l, w.f->us, w.f->far, 3);
	lab_drain(&w.l);
	assert_memory_equal(lab_seen(&w.l, 0).eth.dst, his_mac, 6);
	lab_close(&w.l);
}

/* With one router alone there is nothing to doubt for: it is asked again a second after it failed. */
static void a_dead_router_without_another(void **state)
{
	struct world w;
	struct berth_addr any = pub("0.0.0.0"), r1 = pub("10.0.0.2");
	struct port_addr far = A("192.0.2.9");
	struct ip_route rt;

	(void)state;
	open_world(&w, &families[0]);
	assert_int_equal(berth_route_add(w.l.st, &any, 0, &r1, w.l.iface, 1), 0);
	queue_packet(&w.l, w.f->us, w.f->far, 1);
	lab_pass(&w.l, SEC(3.2));
	assert_int_equal(ip_route_find(w.l.st, NULL, &far, BERTH_IFACE_ANY, &rt, NULL), 0);
	assert_int_equal(ip_route_ready(w.l.st, &rt), -EHOSTUNREACH);
	lab_pass(&w.l, SEC(1));
	assert_int_equal(ip_route_ready(w.l.st, &rt), -EINPROGRESS);
	lab_arp(&w.l, WIRE_ARP_REPLY, "10.0.0.2", his_mac, w.f->us, our_mac);
	assert_int_equal(ip_route_find(w.l.st, NULL, &far, BERTH_IFACE_ANY, &rt, NULL), 0);
	assert_int_equal(ip_route_ready(w.l.st, &rt), 0);
	lab_close(&w.l);
}

/* A stranger whose addresses all fall on one chain, should he ever know how: it stays short, and who we talk to stays on it. */
static void s18_a_chain_stays_short(void **state)
{
	uint8_t name[18] = {0}, mac[6] = {2, 0, 0, 0, 1};
	struct port_addr him = A("10.0.0.2"), a[48];
	unsigned n = 0;
	struct world w;
	char text[PORT_ADDR_STR_MAX];
	uint32_t at;

	(void)state;
	open_world(&w, &families[0]);
	send_to(&w, "10.0.0.2");
	answer(&w, "10.0.0.2", his_mac, true);
	memcpy(name, &w.l.iface, 2);
	memcpy(name + 2, him.b, 16);
	at = (uint32_t)siphash13(&w.l.st->keys.neigh_hash, name, sizeof(name)) & w.l.st->ip->neigh_mask;
	for (unsigned i = 3; n < COUNT_OF(a); i++) {
		a[n] = port_addr_v4(10, 0, (uint8_t)(i >> 8), (uint8_t)i);
		memcpy(name + 2, a[n].b, 16);
		n += ((uint32_t)siphash13(&w.l.st->keys.neigh_hash, name, sizeof(name)) & w.l.st->ip->neigh_mask) == at;
	}
	for (unsigned i = 0; i < n; i++) {
		mac[5] = (uint8_t)i;
		lab_arp(&w.l, WIRE_ARP_REQUEST, port_addr_print(&a[i], text), mac, "10.0.0.1", all_macs);
		assert_int_not_equal(neigh_find(w.l.st, w.l.iface, &a[i]), NIL);
		assert_int_not_equal(neigh_find(w.l.st, w.l.iface, &him), NIL);
	}
	assert_int_equal(w.l.st->n.neigh_chain_max, 16);
	assert_true(w.l.st->n.neigh_evicted >= 33);
	assert_true(neigh_check(w.l.st));
	lab_close(&w.l);
}

int main(void)
{
	static char names[2 * COUNT_OF(rows)][96];
	static struct CMUnitTest tests[2 * COUNT_OF(rows) + 16];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(s19_an_unresolved_neighbour_holds_up_nobody_else),
		cmocka_unit_test(s18_a_chain_stays_short),
		cmocka_unit_test(s19_three_packets_wait_the_newest),
		cmocka_unit_test(s19_answers_to_nobody_leave_packets_for_others),
		cmocka_unit_test(s19_failure_gives_the_packets_back),
		cmocka_unit_test(s19_strangers_do_not_push_out_who_we_talk_to),
		cmocka_unit_test(s19_a_table_full_of_neighbours_in_use_takes_no_strangers),
		cmocka_unit_test(an_advertisement_without_override),
		cmocka_unit_test(an_answer_to_a_question_that_was_not_asked_yet),
		cmocka_unit_test(the_table_stays_usable_when_more_are_asked_for_than_fit),
		cmocka_unit_test(a_static_one_is_never_asked_nor_pushed_out_nor_changed),
		cmocka_unit_test(sockets_that_wait_are_woken),
		cmocka_unit_test(a_dead_router_gives_way_to_another),
		cmocka_unit_test(a_dead_router_without_another),
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		for (size_t f = 0; f < 2; f++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s: %s", families[f].name, rows[i].name);
			tests[n] =
				(struct CMUnitTest){names[n], f ? run6 : run4, NULL, NULL, (void *)(uintptr_t)&rows[i]};
		}
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_neigh", tests, n, NULL, NULL);
}
