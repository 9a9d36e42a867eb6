/* tests/unit/test_ip_icmp.c: ICMP of both families: echo, errors that we send and their limits, errors that we get, path MTUs. */
#include "ip_fixture.h"

struct family {
	const char *name, *us, *him;
	int sock;
	uint8_t proto, echo, reply, unreachable;
	size_t header;
};
static const struct family families[] = {
	{"IPv4", "10.0.0.1", "10.0.0.2", BERTH_IPV4, WIRE_PROTO_ICMP4, WIRE_ICMP4_ECHO, WIRE_ICMP4_ECHO_REPLY,
	 WIRE_ICMP4_UNREACHABLE, 20},
	{"IPv6", "fd00::1", "fd00::2", BERTH_IPV6, WIRE_PROTO_ICMP6, WIRE_ICMP6_ECHO, WIRE_ICMP6_ECHO_REPLY,
	 WIRE_ICMP6_UNREACHABLE, 40},
};

static void open_lab(struct lab *l, const struct family *f)
{
	struct berth_stack_config c = {.n_packets = 256};

	lab_open_with(l, BERTH_LINK_IP, BERTH_IF_NO_DAD, 1500, &c);
	lab_addr(l, f->us, f->sock == BERTH_IPV4 ? 24 : 64);
	lab_pass(l, SEC(1));
	lab_clear(l);
}

/* --- echo --- */

static void ping(struct lab *l, const struct family *f, const char *src, const char *dst, size_t len)
{
	static uint8_t data[66000], msg[66100], buf[66200];
	struct pk p = {.src = src, .dst = dst, .proto = f->proto, .tos = 0x2e, .payload = msg};

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7);
	p.len = echo_build(src, dst, data, len, msg);
	lab_packet(l, buf, pk_build(&p, buf, sizeof(buf)));
}

static void an_echo_is_answered_with_its_data(void **state)
{
	static const size_t lens[] = {0, 1, 56, 1000, 1452};
	struct lab l;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned i = 0; i < COUNT_OF(lens); i++) {
			const struct family *fam = &families[f];
			struct port_addr him = A(fam->him), us = A(fam->us);
			struct seen s;

			open_lab(&l, fam);
			ping(&l, fam, fam->him, fam->us, lens[i]);
			assert_int_equal(l.n_out, 1);
			s = lab_icmp(&l, fam->reply);
			assert_true(port_addr_equal(&s.src, &us) && port_addr_equal(&s.dst, &him));
			assert_int_equal(s.payload.len_bytes, 8 + lens[i]);
			for (size_t k = 0; k < lens[i]; k++)
				assert_int_equal(s.payload.data[8 + k], (uint8_t)(k * 7));
			lab_close(&l);
		}
}

/* A request of any size: its reply, put together again by a second stack, is the request's data. */
static void large_pings_are_answered_in_fragments(void **state)
{
	static const size_t lens[] = {1473, 1900, 2000, 20000, 65000};
	struct lab l, back;
	struct berth_stack_config c = {.n_packets = 256};

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned i = 0; i < COUNT_OF(lens); i++) {
			const struct family *fam = &families[f];

			open_lab(&l, fam);
			lab_open_with(&back, BERTH_LINK_IP, BERTH_IF_NO_DAD, 1500, &c);
			c = (struct berth_stack_config){.n_packets = 256};
			lab_addr(&back, fam->him, fam->sock == BERTH_IPV4 ? 24 : 64);
			ping(&l, fam, fam->him, fam->us, lens[i]);
			assert_true(l.n_out > 1);
			for (unsigned k = 0; k < l.n_out; k++) {
				assert_true(l.out[k].len <= 1500);
				lab_packet(&back, l.out[k].data, l.out[k].len);
			}
			assert_int_equal(back.st->n.frag_done, 1);
			assert_int_equal(back.st->n.icmp_in, 1); /* its checksum was right */
			assert_int_equal(back.st->n.dropped_checksum, 0);
			lab_close(&l);
			lab_close(&back);
		}
}

static void s11_no_echo_for_many(void **state)
{
	struct lab l;
	struct seen first;

	(void)state;
	open_lab(&l, &families[0]);
	ping(&l, &families[0], "10.0.0.2", "10.0.0.255", 8);
	ping(&l, &families[0], "10.0.0.2", "255.255.255.255", 8);
	ping(&l, &families[0], "10.0.0.2", "224.0.0.1", 8);
	ping(&l, &families[0], "10.0.0.255", "10.0.0.1", 8);
	ping(&l, &families[0], "0.0.0.0", "10.0.0.1", 8);
	assert_int_equal(l.n_out, 0);
	lab_close(&l);
	/* RFC 4443, 4.2: to a group it is answered, from an address of ours; within limits */
	open_lab(&l, &families[1]);
	for (int i = 0; i < 100; i++)
		ping(&l, &families[1], "fd00::2", "ff02::1", 8);
	assert_true(l.n_out >= 5 && l.n_out <= 14);
	first = lab_seen(&l, 0);
	assert_false(port_addr_is_multicast(&first.src));
	lab_close(&l);
}

static void s6_a_reply_has_no_options(void **state)
{
	static const uint8_t record[8] = {7, 7, 4, 0, 0, 0, 0, 0}, loose[8] = {131, 7, 4, 10, 0, 0, 9, 0};
	uint8_t msg[64], buf[128];
	struct pk p = {.src = "10.0.0.2", .dst = "10.0.0.1", .proto = WIRE_PROTO_ICMP4, .payload = msg, .n_options = 8};
	struct lab l;

	(void)state;
	open_lab(&l, &families[0]);
	p.len = echo_build(p.src, p.dst, "abcd", 4, msg);
	p.options = record;
	lab_packet(&l, buf, pk_build(&p, buf, sizeof(buf)));
	assert_int_equal(l.n_out, 1);
	assert_int_equal(lab_seen(&l, 0).ip4.options.len_bytes, 0);
	p.options = loose;
	lab_packet(&l, buf, pk_build(&p, buf, sizeof(buf)));
	assert_int_equal(l.n_out, 1);
	lab_close(&l);
}

static void a_bad_checksum_is_not_answered(void **state)
{
	uint8_t msg[64], buf[128];
	struct lab l;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct pk p = {.src = families[f].him,
			       .dst = families[f].us,
			       .proto = families[f].proto,
			       .payload = msg};

		open_lab(&l, &families[f]);
		p.len = echo_build(p.src, p.dst, "abcd", 4, msg);
		msg[9] ^= 1;
		lab_packet(&l, buf, pk_build(&p, buf, sizeof(buf)));
		assert_int_equal(l.n_out, 0);
		assert_int_equal(l.st->n.dropped_checksum, 1);
		lab_close(&l);
	}
}

/* --- errors that we send --- */

struct cause {
	const char *name;
	const char *src, *dst;
	uint8_t proto;
	uint8_t icmp_type; /* of the ICMP message that is the cause, if proto is ICMP */
	int type, code;	   /* of the answer; -1: none */
	uint32_t pointer;
};
static const struct cause causes[] = {
	{"IPv4: a port nobody has", "10.0.0.2", "10.0.0.1", WIRE_PROTO_UDP, 0, 3, 3, 0},
	{"IPv4: a protocol nobody speaks", "10.0.0.2", "10.0.0.1", 200, 0, 3, 2, 0},
	{"IPv4: IP in IP is such a one (S6)", "10.0.0.2", "10.0.0.1", 4, 0, 3, 2, 0},
	{"IPv4: S11: not for a broadcast", "10.0.0.2", "10.0.0.255", WIRE_PROTO_UDP, 0, -1, 0, 0},
	{"IPv4: S11: not for a group", "10.0.0.2", "224.0.0.1", WIRE_PROTO_UDP, 0, -1, 0, 0},
	{"IPv4: S11: not for a broadcast of a protocol nobody speaks", "10.0.0.2", "10.0.0.255", 200, 0, -1, 0, 0},
	{"IPv6: S11: not for a group, of a header nobody knows", "fd00::2", "ff02::1", 200, 0, -1, 0, 0},
	{"IPv4: S11: not to nobody", "0.0.0.0", "255.255.255.255", 200, 0, -1, 0, 0},
	{"IPv4: not for an ICMP error", "10.0.0.2", "10.0.0.1", WIRE_PROTO_ICMP4, 3, -1, 0, 0},
	{"IPv4: not for an unknown ICMP message", "10.0.0.2", "10.0.0.1", WIRE_PROTO_ICMP4, 99, -1, 0, 0},
	{"IPv6: a port nobody has", "fd00::2", "fd00::1", WIRE_PROTO_UDP, 0, 1, 4, 0},
	{"IPv6: a header nobody knows, at its place", "fd00::2", "fd00::1", 200, 0, 4, 1, 6},
	{"IPv6: ICMPv4 is such a one", "fd00::2", "fd00::1", WIRE_PROTO_ICMP4, 8, 4, 1, 6},
	{"IPv6: no next header is the end, not an error", "fd00::2", "fd00::1", WIRE_PROTO_NONE, 0, -1, 0, 0},
	{"IPv6: S11: not for a group", "fd00::2", "ff02::1", WIRE_PROTO_UDP, 0, -1, 0, 0},
	{"IPv6: not for an ICMP error", "fd00::2", "fd00::1", WIRE_PROTO_ICMP6, 1, -1, 0, 0},
	{"IPv6: not for an unknown error", "fd00::2", "fd00::1", WIRE_PROTO_ICMP6, 77, -1, 0, 0},
	{"IPv6: not for an unknown message", "fd00::2", "fd00::1", WIRE_PROTO_ICMP6, 201, -1, 0, 0},
};

static size_t cause_build(const struct cause *c, uint8_t *buf, size_t room)
{
	static uint8_t l4[1400], data[1392];
	struct pk p = {.src = c->src, .dst = c->dst, .proto = c->proto, .payload = l4, .len = 1400};

	memset(l4, 0x5a, sizeof(l4));
	if (c->proto == WIRE_PROTO_UDP) {
		udp_build(c->src, c->dst, 4000, 5001, data, sizeof(data), l4);
	} else if (c->proto == WIRE_PROTO_ICMP4 || c->proto == WIRE_PROTO_ICMP6) {
		l4[0] = c->icmp_type;
		l4[1] = 1;
		if (c->proto == (strchr(c->dst, ':') ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP4))
			seal(c->src, c->dst, c->proto, l4, 1400);
	}
	return pk_build(&p, buf, room);
}

static void run_cause(void **state)
{
	const struct cause *c = *state;
	unsigned f = strchr(c->dst, ':') ? 1 : 0;
	uint8_t buf[1500];
	struct lab l;
	size_t len = cause_build(c, buf, sizeof(buf));

	open_lab(&l, &families[f]);
	lab_packet(&l, buf, len);
	if (c->type < 0) {
		assert_int_equal(l.n_out, 0);
	} else {
		struct port_addr us = A(families[f].us);
		struct seen s = lab_icmp(&l, (uint8_t)c->type);
		size_t quoted = s.payload.len_bytes - 8;

		assert_int_equal(s.payload.data[1], c->code);
		if (c->pointer)
			assert_int_equal(wire_get32(s.payload.data + 4), c->pointer);
		assert_int_equal(l.out[0].len, f ? 1280 : 576); /* as much of it as fits */
		assert_memory_equal(s.payload.data + 8, buf, quoted);
		assert_true(port_addr_equal(&s.src, &us));
	}
	lab_close(&l);
}

static void unreachable_port(struct lab *l, const char *src)
{
	lab_udp(l, src, "10.0.0.1", 5001, "x", 1);
}

static void s11_errors_are_limited_for_each_source(void **state)
{
	struct lab l;
	unsigned first, n;

	(void)state;
	open_lab(&l, &families[0]);
	for (int i = 0; i < 200; i++)
		unreachable_port(&l, "10.0.0.2");
	first = l.n_out;
	assert_true(first >= 7 && first <= 14); /* ten, each at a price around one */
	assert_int_equal(l.st->n.icmp_limited, 200 - first);
	/* Others are not the worse for it. */
	unreachable_port(&l, "10.0.0.77");
	assert_int_equal(l.n_out, first + 1);
	/* Ten a second come back. */
	lab_clear(&l);
	for (int i = 0; i < 1000; i++) {
		lab_pass(&l, SEC(0.01));
		unreachable_port(&l, "10.0.0.2");
	}
	n = l.n_out;
	assert_true(n > 85 && n < 115);
	lab_close(&l);
}

static void s11_and_for_all_together(void **state)
{
	struct lab l;
	char src[32];

	(void)state;
	open_lab(&l, &families[0]);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(src, sizeof(src), "10.%u.%u.3", 1 + i % 250, i / 250);
		unreachable_port(&l, src);
	}
	assert_int_equal(l.n_out, 0); /* no way to them: nothing is said */
	lab_close(&l);
	open_lab(&l, &families[0]);
	struct berth_addr any = pub("0.0.0.0"), router = pub("10.0.0.9");

	assert_int_equal(berth_route_add(l.st, &any, 0, &router, l.iface, 0), 0);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(src, sizeof(src), "10.%u.%u.3", 1 + i % 250, i / 250);
		unreachable_port(&l, src);
	}
	assert_true(l.n_out >= 40 && l.n_out <= 66);
	lab_close(&l);
}

/* S11: how many answers a store gives is not the same number for every key. */
static void s11_how_many_is_not_known_from_outside(void **state)
{
	unsigned seen[32] = {0}, kinds = 0;

	(void)state;
	for (uint8_t k = 1; k < 30; k++) {
		struct berth_stack_config c = {.n_packets = 256};
		struct lab l;

		memset(c.secret, k, sizeof(c.secret) / 2); /* the halves differ: stack.c adds them up */
		lab_open_with(&l, BERTH_LINK_IP, BERTH_IF_NO_DAD, 1500, &c);
		lab_addr(&l, "10.0.0.1", 24);
		lab_pass(&l, SEC(1));
		lab_clear(&l);
		for (int i = 0; i < 40; i++)
			unreachable_port(&l, "10.0.0.2");
		seen[l.n_out]++;
		lab_close(&l);
	}
	for (unsigned i = 0; i < COUNT_OF(seen); i++)
		kinds += seen[i] != 0;
	assert_true(kinds >= 2);
}

/* --- errors that we get --- */

struct got {
	const char *name;
	unsigned family;
	uint8_t type, code;
	uint32_t value; /* MTU */
	const char *quoted_src, *quoted_dst;
	uint16_t quoted_sport, quoted_dport;
	size_t quoted_len; /* of the transport's octets */
	int error;	   /* the socket's, positive; 0: none */
	unsigned n_rejected;
	bool no_label;
};
#define U4 \
	.quoted_src = "10.0.0.1", .quoted_dst = "10.0.0.2", .quoted_sport = 5000, .quoted_dport = 7000, .quoted_len = 8
#define U6 .quoted_src = "fd00::1", .quoted_dst = "fd00::2", .quoted_sport = 5000, .quoted_dport = 7000, .quoted_len = 8
static const struct got gots[] = {
	{"IPv4: port unreachable", 0, 3, 3, U4, .error = ECONNREFUSED},
	{"IPv4: protocol unreachable", 0, 3, 2, U4, .error = ENOPROTOOPT},
	{"IPv6: port unreachable", 1, 1, 4, U6, .error = ECONNREFUSED},
	{"IPv6: prohibited", 1, 1, 1, U6, .error = EACCES},
	{"S13: IPv6: without the flow's label", 1, 1, 4, U6, .n_rejected = 1, .no_label = true},
	{"S13: IPv4: about another peer's port", 0, 3, 3, .quoted_src = "10.0.0.1", .quoted_dst = "10.0.0.2",
	 .quoted_sport = 5000, .quoted_dport = 7001, .quoted_len = 8, .n_rejected = 1},
	{"S13: IPv4: about another port of ours", 0, 3, 3, .quoted_src = "10.0.0.1", .quoted_dst = "10.0.0.2",
	 .quoted_sport = 5002, .quoted_dport = 7000, .quoted_len = 8, .n_rejected = 1},
	{"S13: IPv4: about a packet that is not ours", 0, 3, 3, .quoted_src = "10.0.0.8", .quoted_dst = "10.0.0.2",
	 .quoted_sport = 5000, .quoted_dport = 7000, .quoted_len = 8, .n_rejected = 1},
	{"S13: IPv6: about a packet that is not ours", 1, 1, 4, .quoted_src = "fd00::8", .quoted_dst = "fd00::2",
	 .quoted_sport = 5000, .quoted_dport = 7000, .quoted_len = 8, .n_rejected = 1},
	{"S13: IPv4: without the whole 8 octets", 0, 3, 3, .quoted_src = "10.0.0.1", .quoted_dst = "10.0.0.2",
	 .quoted_sport = 5000, .quoted_dport = 7000, .quoted_len = 7, .n_rejected = 1},
	{"S13: IPv4: about a packet to a group", 0, 3, 3, .quoted_src = "10.0.0.1", .quoted_dst = "224.0.0.9",
	 .quoted_sport = 5000, .quoted_dport = 7000, .quoted_len = 8, .n_rejected = 1},
	{"S13: IPv4: too big, of a datagram that never left (stack_udp has those that did)", 0, 3, 4, 1000, U4,
	 .n_rejected = 1},
	{"S13: IPv6: too big, of a datagram that never left", 1, 2, 0, 1300, U6, .n_rejected = 1},
};

static void run_got(void **state)
{
	const struct got *g = *state;
	const struct family *f = &families[g->family];
	uint8_t quoted[1400], msg[1500], buf[1600];
	struct pk q = {.src = g->quoted_src, .dst = g->quoted_dst, .proto = WIRE_PROTO_UDP},
		  p = {.src = f->him, .dst = f->us};
	struct berth_addr peer = pub(f->him);
	struct port_addr him = A(f->him);
	struct port_tuple t;
	struct lab l;
	berth_sock s;
	uint64_t err;
	size_t len;
	uint8_t l4[1200] = {0};

	open_lab(&l, f);
	s = lab_socket(&l, f->sock, 5000);
	peer.port = 7000;
	assert_int_equal(berth_sock_connect(l.st, s, &peer), 0);
	/* The quoted packet was one of 1228 octets and more; what is there of it ends with the transport's first octets. */
	udp_build(g->quoted_src, g->quoted_dst, g->quoted_sport, g->quoted_dport, l4 + 8, 1192, l4);
	q.payload = l4;
	q.len = 1200;
	pk_build(&q, quoted, sizeof(quoted));
	if (g->family == 1 && !g->no_label) {
		t = (struct port_tuple){PORT_UDP, A(q.src), A(q.dst), g->quoted_sport, g->quoted_dport};
		wire_put32(quoted, wire_get32(quoted) | ip_flow_label(l.st, &t));
	}
	len = f->header + g->quoted_len;
	memset(msg, 0, 8);
	msg[0] = g->type;
	msg[1] = g->code;
	wire_put32(msg + 4, g->value);
	memcpy(msg + 8, quoted, len);
	seal(f->him, f->us, f->proto, msg, 8 + len);
	p.proto = f->proto;
	p.payload = msg;
	p.len = 8 + len;
	lab_packet(&l, buf, pk_build(&p, buf, sizeof(buf)));
	assert_int_equal(berth_sock_get(l.st, s, BERTH_SO_ERROR, &err), 0);
	assert_int_equal(err, g->error);
	assert_int_equal(pmtu_get(l.st, &him, 1500), 1500);
	assert_int_equal(l.st->n.icmp_rejected, g->n_rejected);
	lab_close(&l);
}

/* --- path MTUs --- */

static void a_path_mtu_is_believed_for_ten_minutes(void **state)
{
	struct lab l;
	struct port_addr him = A("10.0.0.2"), other = A("10.0.0.3");
	struct ip_route rt;
	uint32_t epoch;

	(void)state;
	open_lab(&l, &families[0]);
	epoch = l.st->route_epoch;
	assert_true(pmtu_lower(l.st, &him, 1300));
	assert_true(l.st->route_epoch != epoch);
	assert_false(pmtu_lower(l.st, &him, 1400)); /* higher than what is known */
	assert_int_equal(ip_route_find(l.st, NULL, &him, BERTH_IFACE_ANY, &rt, NULL), 0);
	assert_int_equal(rt.mtu_bytes, 1300);
	assert_int_equal(pmtu_get(l.st, &other, 1500), 1500);
	lab_pass(&l, SEC(599));
	assert_int_equal(pmtu_get(l.st, &him, 1500), 1300);
	lab_pass(&l, SEC(2));
	assert_int_equal(pmtu_get(l.st, &him, 1500), 1500);
	assert_true(pmtu_lower(l.st, &him, 1200));
	pmtu_raise(l.st, &him, 1450);
	assert_int_equal(pmtu_get(l.st, &him, 1500), 1450);
	pmtu_raise(l.st, &him, 100);
	assert_int_equal(pmtu_get(l.st, &him, 1500), 1450);
	lab_close(&l);
}

/* Who keeps a route asks again when the path's MTU is forgotten, and not before (RFC 1191, 6.3). */
static void who_keeps_a_route_notices_the_end(void **state)
{
	struct lab l;
	struct port_addr him = A("10.0.0.2");
	struct ip_route rt;
	uint32_t epoch;

	(void)state;
	open_lab(&l, &families[0]);
	lab_pass(&l, SEC(30));
	assert_true(pmtu_lower(l.st, &him, 1300));
	lab_pass(&l, SEC(300));
	pmtu_raise(l.st, &him, 1350); /* ten minutes from here */
	epoch = l.st->route_epoch;
	lab_pass(&l, SEC(598));
	assert_int_equal(l.st->route_epoch, epoch);
	lab_pass(&l, SEC(4));
	assert_true(l.st->route_epoch != epoch);
	assert_int_equal(ip_route_find(l.st, NULL, &him, BERTH_IFACE_ANY, &rt, NULL), 0);
	assert_int_equal(rt.mtu_bytes, 1500);
	epoch = l.st->route_epoch;
	lab_pass(&l, SEC(2000));
	assert_int_equal(l.st->route_epoch, epoch);
	lab_close(&l);
}

/* The table of sources is no oracle for stack_random()'s key (RFC 9415; S22). */
static void s22_sources_have_a_key_of_their_own(void **state)
{
	struct lab l;
	unsigned same = 0;

	(void)state;
	open_lab(&l, &families[0]);
	for (unsigned i = 0; i < 32; i++) {
		struct port_addr a = port_addr_v4(10, 0, 0, (uint8_t)(2 + i));

		memset(l.st->ip->icmp_sources, 0, ICMP_SOURCES * sizeof(*l.st->ip->icmp_sources));
		l.st->ip->icmp_all = (struct icmp_bucket){0};
		assert_true(icmp_allow(l.st, &a));
		same += l.st->ip->icmp_sources[siphash13(&l.st->keys.random, a.b, 16) % ICMP_SOURCES].at_ns != 0;
	}
	assert_in_range(same, 0, 8);
	lab_close(&l);
}

static void s18_path_mtus_take_no_more_memory_than_there_is(void **state)
{
	struct lab l;
	unsigned n_known = 0;

	(void)state;
	open_lab(&l, &families[0]);
	for (unsigned i = 0; i < 20000; i++) {
		struct port_addr a = port_addr_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);

		l.now += 1000;
		l.st->now_ns = l.now;
		pmtu_lower(l.st, &a, 600 + i % 500);
		assert_true(pmtu_get(l.st, &a, 1500) == 600 + i % 500); /* the newest is never lost */
	}
	for (unsigned i = 0; i < 20000; i++) {
		struct port_addr a = port_addr_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
		uint32_t mtu = pmtu_get(l.st, &a, 1500);

		assert_true(mtu == 1500 || mtu == 600 + i % 500);
		n_known += mtu != 1500;
	}
	assert_true(n_known > 128 && n_known <= 256);
	assert_true(pmtu_check(l.st));
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(causes) + COUNT_OF(gots) + 16];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(an_echo_is_answered_with_its_data),
		cmocka_unit_test(large_pings_are_answered_in_fragments),
		cmocka_unit_test(s11_no_echo_for_many),
		cmocka_unit_test(s6_a_reply_has_no_options),
		cmocka_unit_test(a_bad_checksum_is_not_answered),
		cmocka_unit_test(s11_errors_are_limited_for_each_source),
		cmocka_unit_test(s11_and_for_all_together),
		cmocka_unit_test(s11_how_many_is_not_known_from_outside),
		cmocka_unit_test(a_path_mtu_is_believed_for_ten_minutes),
		cmocka_unit_test(who_keeps_a_route_notices_the_end),
		cmocka_unit_test(s22_sources_have_a_key_of_their_own),
		cmocka_unit_test(s18_path_mtus_take_no_more_memory_than_there_is),
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(causes); i++)
		tests[n++] = (struct CMUnitTest){causes[i].name, run_cause, NULL, NULL, (void *)(uintptr_t)&causes[i]};
	for (size_t i = 0; i < COUNT_OF(gots); i++)
		tests[n++] = (struct CMUnitTest){gots[i].name, run_got, NULL, NULL, (void *)(uintptr_t)&gots[i]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_icmp", tests, n, NULL, NULL);
}
