/* tests/unit/test_ip_frag.c: reassembly: tables of cases, and any order of any pieces against a model that is right by reading. */
#include "ip_fixture.h"

#define LEN_MAX 3000

struct family {
	const char *us, *him, *other;
	int sock;
	unsigned unit; /* of the tables' offsets: octets, so that pieces are large enough */
	double timeout_s;
};
static const struct family families[] = {
	{"10.0.0.1", "10.0.0.2", "10.0.0.3", BERTH_IPV4, 64, 30},
	{"fd00::1", "fd00::2", "fd00::3", BERTH_IPV6, 640, 60},
};

struct world {
	struct lab l;
	const struct family *f;
	berth_sock s;
	uint8_t datagram[70000]; /* UDP header and data */
	size_t len;
	uint8_t tos; /* of the datagram that arrived last */
};

static void open_world(struct world *w, const struct family *f, uint32_t frag_bytes)
{
	struct berth_stack_config c = {.n_packets = 128, .frag_bytes = frag_bytes};

	w->f = f;
	lab_open_with(&w->l, BERTH_LINK_IP, BERTH_IF_NO_DAD, 1500, &c);
	lab_addr(&w->l, f->us, f->sock == BERTH_IPV4 ? 24 : 64);
	w->s = lab_socket(&w->l, f->sock, 5000);
	lab_pass(&w->l, SEC(1));
	lab_clear(&w->l);
}

static void datagram(struct world *w, const char *src, size_t len)
{
	static uint8_t data[70000];

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	w->len = udp_build(src, w->f->us, 9999, 5000, data, len - 8, w->datagram);
	assert_int_equal(w->len, len);
}

/* Octets [from, to) of w->datagram as a fragment. */
static void fragment(struct world *w, const char *src, uint32_t id, size_t from, size_t to, bool more, uint8_t tos)
{
	uint8_t buf[70100], fh[8];
	struct pk p = {.src = src, .dst = w->f->us, .proto = WIRE_PROTO_UDP, .tos = tos, .payload = w->datagram + from};

	p.len = to - from;
	p.id = (uint16_t)id;
	p.at = (uint16_t)from;
	p.mf = more;
	if (w->f->sock == BERTH_IPV6) {
		wire_ip6_put_fragment(fh, WIRE_PROTO_UDP, (uint16_t)from, more, id);
		p.extensions = fh;
		p.n_extensions = 8;
		p.next = WIRE_PROTO_FRAGMENT;
	}
	lab_packet(&w->l, buf, pk_build(&p, buf, sizeof(buf)));
	assert_true(frag_check(w->l.st));
}

static bool arrived(struct world *w)
{
	static uint8_t got[70000];
	struct berth_dgram d = {.data = got, .len = sizeof(got)};

	if (berth_sock_udp_recv(w->l.st, w->s, &d, 1) != 1)
		return false;
	assert_int_equal(d.len, w->len - 8);
	w->tos = d.tos;
	assert_memory_equal(got, w->datagram + 8, w->len - 8);
	return true;
}

/* --- tables --- */
struct piece {
	uint8_t from, to; /* in units; both 0: the end of the row */
	bool more;
	bool changed; /* other octets than before */
	uint8_t ecn;
	double pause_s;
};
struct row {
	const char *name;
	size_t units;
	struct piece pieces[12];
	bool arrives;
	unsigned n_overlap;
	uint8_t tos; /* of the whole */
};
#define CE WIRE_ECN_CE
#define ECT WIRE_ECN_ECT0
static const struct row rows[] = {
	{"in order", 3, {{0, 1, true}, {1, 2, true}, {2, 3, false}}, true, 0},
	{"backwards", 3, {{2, 3, false}, {1, 2, true}, {0, 1, true}}, true, 0},
	{"the middle last", 3, {{0, 1, true}, {2, 3, false}, {1, 2, true}}, true, 0},
	{"one is missing", 3, {{0, 1, true}, {2, 3, false}}, false, 0},
	{"the last is missing", 3, {{0, 1, true}, {1, 2, true}}, false, 0},
	{"one comes twice", 3, {{0, 1, true}, {1, 2, true}, {1, 2, true}, {2, 3, false}}, true, 0},
	{"the last comes twice", 3, {{2, 3, false}, {2, 3, false}, {0, 1, true}, {1, 2, true}}, true, 0},
	{"S17: one comes again with other octets",
	 3,
	 {{0, 1, true}, {1, 2, true}, {1, 2, true, true}, {2, 3, false}},
	 false,
	 1},
	{"S17: the second overlaps the first's end", 4, {{0, 2, true}, {1, 3, true}, {3, 4, false}}, false, 1},
	{"S17: the second overlaps the first's beginning", 4, {{1, 3, true}, {0, 2, true}, {3, 4, false}}, false, 1},
	{"S17: one covers another", 4, {{1, 2, true}, {0, 3, true}, {3, 4, false}}, false, 1},
	{"S17: two last ones that disagree", 4, {{0, 1, true}, {1, 2, false}, {1, 4, false}}, true, 0},
	{"S17: a last one before what is there", 4, {{2, 3, true}, {1, 2, false}, {0, 1, true}}, false, 1},
	{"S17: more behind the last", 4, {{1, 2, false}, {2, 3, true}, {0, 1, true}}, false, 1},
	{"S17: what comes after an overlap is dropped, too",
	 3,
	 {{0, 1, true}, {0, 1, true, true}, {0, 1, true}, {1, 2, true}, {2, 3, false}},
	 false,
	 1},
	{"too late", 2, {{0, 1, true}, {1, 2, false, false, 0, 61}}, false, 0},
	{"just in time", 2, {{0, 1, true}, {1, 2, false, false, 0, 29}}, true, 0},
	{"ECN: all alike", 2, {{0, 1, true, false, ECT}, {1, 2, false, false, ECT}}, true, 0, ECT},
	{"ECN: one was marked", 2, {{0, 1, true, false, ECT}, {1, 2, false, false, CE}}, true, 0, CE},
	{"ECN: marked and not capable do not go together",
	 2,
	 {{0, 1, true, false, CE}, {1, 2, false, false, 0}},
	 false,
	 0},
};

static void run(void **state)
{
	const struct row *r = *state;
	static struct world w;

	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		unsigned unit = families[f].unit;
		bool got = false;

		open_world(&w, &families[f], 0);
		/* The row about two ends is whole before the second: its length is then that of the first. */
		datagram(&w, w.f->him, (r->units == 4 && r->arrives ? 2 : r->units) * unit);
		for (const struct piece *p = r->pieces; p->to; p++) {
			lab_pass(&w.l, SEC(p->pause_s));
			if (p->changed)
				w.datagram[p->from * unit + 20] ^= 1;
			fragment(&w, w.f->him, 77, p->from * unit, p->to * unit, p->more, p->ecn);
			if (p->changed)
				w.datagram[p->from * unit + 20] ^= 1;
			got = arrived(&w) || got;
		}
		assert_int_equal(got, r->arrives);
		if (got)
			assert_int_equal(w.tos, r->tos);
		assert_int_equal(w.l.st->n.frag_overlap, r->n_overlap);
		lab_pass(&w.l, SEC(130));
		assert_int_equal(w.l.st->ip->n_frag_free, w.l.st->ip->n_frag_blocks);
		lab_close(&w.l);
	}
}

/* --- any pieces in any order, against a naive model --- */

static uint64_t seed = 0x243f6a8885a308d3u;
static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) % n);
}

/* One octet, one entry: what it holds, or -1. */
struct model {
	int octet[LEN_MAX];
	int total; /* -1: not known */
	bool spoilt, done;
	unsigned n_fragments;
};

static void model_add(struct model *m, const uint8_t *d, size_t from, size_t to, bool more)
{
	bool overlaps = false, doubled = true;
	int last = 0;

	if (m->spoilt || m->done)
		return;
	for (int i = 0; i < LEN_MAX; i++)
		if (m->octet[i] >= 0)
			last = i + 1;
	for (size_t i = from; i < to; i++) {
		overlaps |= m->octet[i] >= 0;
		doubled &= m->octet[i] == d[i];
	}
	if ((m->total >= 0 && (more ? (int)to > m->total : (int)to != m->total)) || (!more && last > (int)to) ||
	    (overlaps && !doubled)) {
		m->spoilt = true;
		return;
	}
	if (overlaps)
		return;
	if (++m->n_fragments > 64) {
		m->spoilt = true;
		return;
	}
	for (size_t i = from; i < to; i++)
		m->octet[i] = d[i];
	if (!more)
		m->total = (int)to;
	m->done = m->total >= 0;
	for (int i = 0; i < m->total; i++)
		m->done &= m->octet[i] >= 0;
}

static void any_order_of_any_pieces(void **state)
{
	static struct world w;
	static struct model m;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		size_t unit = 64, n_units = 2 + below(40), len = n_units * unit - below(40);
		unsigned n_done = 0;

		open_world(&w, &families[0], 0);
		datagram(&w, w.f->him, len);
		m = (struct model){.total = -1};
		memset(m.octet, 0xff, sizeof(m.octet));
		for (unsigned k = 0; k < 3 * n_units && !m.done; k++) {
			size_t a = below((uint32_t)n_units), b = a + 1;
			bool last, spoil = below(400) == 0;

			if (round % 3 == 0)
				b += below(3);
			if (b > n_units)
				b = n_units;
			last = b == n_units && below(300) != 0;
			a *= unit;
			b = last || b == n_units ? len : b * unit;
			if (!last && (b - a) % 8)
				b = a + ((b - a) & ~(size_t)7);
			if ((b - a < 48 && !last) || (a == 0 && last))
				continue; /* refused, or no fragment at all */
			w.datagram[a + 12] ^= spoil;
			model_add(&m, w.datagram, a, b, !last);
			fragment(&w, w.f->him, 5, a, b, !last, 0);
			w.datagram[a + 12] ^= spoil;
			if (m.done)
				break;
		}
		/* What was kept may have the spoilt octet: then UDP's checksum refuses it. */
		n_done = (unsigned)w.l.st->n.frag_done;
		assert_int_equal(n_done, m.done);
		assert_int_equal(w.l.st->n.frag_overlap > 0, m.spoilt && m.n_fragments <= 64);
		lab_close(&w.l);
	}
}

/* --- bounds --- */

static void a_datagram_of_64_kib_comes_through(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		size_t step = f ? 1448 : 1480, at = 0;

		open_world(&w, &families[f], 0);
		datagram(&w, w.f->him, 65515);
		for (; at + step < w.len; at += step)
			fragment(&w, w.f->him, 9, at, at + step, true, 0);
		fragment(&w, w.f->him, 9, at, w.len, false, 0);
		assert_true(arrived(&w));
		lab_close(&w.l);
	}
}

static void s17_sixteen_datagrams_of_one_source_leave_room_for_others(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		unsigned unit = families[f].unit;

		open_world(&w, &families[f], 0);
		datagram(&w, w.f->him, 2 * unit);
		for (uint32_t id = 0; id < 1000; id++)
			fragment(&w, w.f->him, id, 0, unit, true, 0);
		assert_int_equal(w.l.st->n.frag_evicted, 1000 - 16);
		datagram(&w, w.f->other, 2 * unit);
		fragment(&w, w.f->other, 7, 0, unit, true, 0);
		fragment(&w, w.f->other, 7, unit, 2 * unit, false, 0);
		assert_true(arrived(&w));
		/* Nor is the source itself shut out: they may be forged, or what losses left. */
		datagram(&w, w.f->him, 2 * unit);
		fragment(&w, w.f->him, 2000, 0, unit, true, 0);
		fragment(&w, w.f->him, 2000, unit, 2 * unit, false, 0);
		assert_true(arrived(&w));
		lab_close(&w.l);
	}
}

static void s17_a_flood_of_sources_takes_no_more_than_there_is_and_new_ones_get_through(void **state)
{
	static struct world w;
	char src[32];

	(void)state;
	open_world(&w, &families[0], 64 * 1024);
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(src, sizeof(src), "10.1.%u.%u", i / 200, 1 + i % 200);
		datagram(&w, src, 4096);
		fragment(&w, src, i, 0, 2048, true, 0);
	}
	datagram(&w, w.f->him, 3000);
	fragment(&w, w.f->him, 1, 0, 1504, true, 0);
	fragment(&w, w.f->him, 1, 1504, 3000, false, 0);
	assert_true(arrived(&w));
	lab_close(&w.l);
}

static void s17_pieces_apart_from_each_other_are_counted(void **state)
{
	static struct world w;

	(void)state;
	open_world(&w, &families[0], 0);
	datagram(&w, w.f->him, 128 * 80);
	for (unsigned i = 0; i < 40; i++)
		fragment(&w, w.f->him, 1, 128 * i, 128 * i + 64, true, 0);
	assert_int_equal(w.l.st->n.frag_evicted, 1);
	assert_int_equal(w.l.st->ip->n_frag_free, w.l.st->ip->n_frag_blocks);
	lab_close(&w.l);
}

static void s17_sixty_four_fragments_and_no_more(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned n = 64; n <= 65; n++) {
		open_world(&w, &families[0], 0);
		datagram(&w, w.f->him, n * 64);
		for (unsigned i = 0; i < n; i++)
			fragment(&w, w.f->him, 1, i * 64, (i + 1) * 64, i + 1 < n, 0);
		assert_int_equal(arrived(&w), n == 64);
		lab_close(&w.l);
	}
}

static void s17_a_source_has_a_quarter_of_the_memory(void **state)
{
	static struct world w;
	const struct ip_state *ip;

	(void)state;
	open_world(&w, &families[0], 0);
	ip = w.l.st->ip;
	datagram(&w, w.f->him, 60000);
	for (uint32_t id = 0; id < 16; id++)
		for (size_t at = 0; at < 16000; at += 1600)
			fragment(&w, w.f->him, id, at, at + 1600, true, 0);
	assert_true(ip->n_frag_blocks - ip->n_frag_free <= ip->n_frag_blocks / 4);
	assert_true(ip->n_frag_blocks - ip->n_frag_free >= ip->n_frag_blocks / 8);
	for (size_t at = 0; at < 60000; at += 1600)
		fragment(&w, w.f->him, 100, at, at + 1600 < 60000 ? at + 1600 : 60000, at + 1600 < 60000, 0);
	assert_true(arrived(&w)); /* its newest, of almost all of the share */
	lab_close(&w.l);
}

/* Who has a /64 has as many addresses as he likes: he has the share of one source. */
static void s17_a_64_of_ipv6_is_one_source(void **state)
{
	static struct world w;
	const struct ip_state *ip;
	char src[32];

	(void)state;
	for (unsigned large = 0; large <= 1; large++) {
		open_world(&w, &families[1], 0);
		ip = w.l.st->ip;
		datagram(&w, w.f->him, 1280);
		fragment(&w, w.f->him, 1, 0, 640, true, 0);
		for (uint32_t i = 0; i < 1000; i++) {
			snprintf(src, sizeof(src), "fd00:0:0:1::%x", i + 1);
			datagram(&w, src, 8000);
			fragment(&w, src, i, 0, 640, true, 0);
			for (size_t at = 640; large && at < 6400; at += 1280)
				fragment(&w, src, i, at, at + 1280, true, 0);
			lab_pass(&w.l, SEC(0.001));
		}
		assert_true(ip_frag_bytes(w.l.st) <= (ip->n_frag_blocks / 4 + 1) * FRAG_BLOCK);
		if (!large) /* sixteen of the flood, and his */
			assert_int_equal(ip_frag_bytes(w.l.st), 17 * FRAG_BLOCK);
		datagram(&w, w.f->him, 1280);
		fragment(&w, w.f->him, 1, 640, 1280, false, 0);
		assert_true(arrived(&w)); /* it was there before all of these */
		/* The newest of the /64 were kept, so a neighbour of the flood gets through. */
		datagram(&w, "fd00:0:0:1::ffff", 1280);
		fragment(&w, "fd00:0:0:1::ffff", 2, 0, 640, true, 0);
		fragment(&w, "fd00:0:0:1::ffff", 2, 640, 1280, false, 0);
		assert_true(arrived(&w));
		lab_close(&w.l);
	}
}

static void s17_fragments_that_nobody_needs_to_make(void **state)
{
	static const struct {
		unsigned family;
		size_t from, to;
		bool more;
		const char *why;
	} bad[] = {
		{0, 0, 8, true, "IPv4, 8 octets"},	     {0, 0, 40, true, "IPv4, 40 octets"},
		{0, 0, 100, true, "IPv4, no multiple of 8"}, {1, 0, 584, true, "IPv6, a packet of 632"},
		{1, 0, 801, true, "IPv6, no multiple of 8"},
	};
	static struct world w;

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(bad); i++) {
		open_world(&w, &families[bad[i].family], 0);
		datagram(&w, w.f->him, 2000);
		fragment(&w, w.f->him, 1, bad[i].from, bad[i].to, bad[i].more, 0);
		if (w.l.st->n.dropped_malformed != 1 || w.l.st->n.frag_in)
			fail_msg("%s was taken", bad[i].why);
		/* RFC 8200, 4.5: a wrong length is told */
		assert_int_equal(lab_n_icmp(&w.l, WIRE_ICMP6_PARAMETER_PROBLEM),
				 bad[i].family && (bad[i].to - bad[i].from) % 8);
		lab_close(&w.l);
	}
}

static void names_are_addresses_number_and_protocol(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		unsigned unit = families[f].unit;

		open_world(&w, &families[f], 0);
		datagram(&w, w.f->him, 2 * unit);
		fragment(&w, w.f->him, 1, 0, unit, true, 0);
		fragment(&w, w.f->him, 2, unit, 2 * unit, false, 0); /* another number */
		assert_false(arrived(&w));
		fragment(&w, w.f->other, 1, unit, 2 * unit, false, 0); /* another source */
		assert_false(arrived(&w));
		fragment(&w, w.f->him, 1, unit, 2 * unit, false, 0);
		assert_true(arrived(&w));
		lab_close(&w.l);
	}
}

/* --- time --- */

static void the_sender_is_told_when_the_first_fragment_was_there(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		unsigned unit = families[f].unit;
		uint8_t type = f ? WIRE_ICMP6_TIME_EXCEEDED : WIRE_ICMP4_TIME_EXCEEDED;
		struct wire_embedded e;
		struct seen s;

		open_world(&w, &families[f], 0);
		datagram(&w, w.f->him, 3 * unit);
		fragment(&w, w.f->him, 1, unit, 2 * unit, true, 0);
		lab_pass(&w.l, SEC(w.f->timeout_s + 1));
		assert_int_equal(w.l.n_out, 0); /* the first is not there: nothing is said */
		fragment(&w, w.f->him, 2, 0, unit, true, 0);
		lab_pass(&w.l, SEC(w.f->timeout_s - 0.1));
		assert_int_equal(w.l.n_out, 0);
		lab_pass(&w.l, SEC(0.2));
		s = lab_icmp(&w.l, type);
		assert_int_equal(s.payload.data[1], WIRE_ICMP_REASSEMBLY_EXCEEDED);
		s.payload.data += 8;
		s.payload.len_bytes -= 8;
		assert_int_equal(wire_embedded_parse(f ? PORT_FAMILY_6 : PORT_FAMILY_4, s.payload, &e), 0);
		assert_int_equal(e.proto, WIRE_PROTO_UDP);
		assert_int_equal(e.dst_port, 5000);
		assert_int_equal(w.l.st->n.frag_timeout, 2);
		lab_close(&w.l);
	}
}

/* RFC 7112: a first fragment without the whole chain of headers is refused, and the sender told. */
static void rfc_7112_headers_in_later_fragments(void **state)
{
	static struct world w;

	(void)state;
	open_world(&w, &families[1], 0);
	datagram(&w, w.f->him, 2000);
	/* Destination options that reach beyond the fragment. */
	uint8_t buf[1000] = {0}, fh[8];
	struct pk p = {.src = w.f->him, .dst = w.f->us, .proto = WIRE_PROTO_DSTOPTS, .payload = buf, .len = 800};

	buf[0] = WIRE_PROTO_UDP;
	buf[1] = 200;
	wire_ip6_put_fragment(fh, WIRE_PROTO_DSTOPTS, 0, true, 3);
	p.extensions = fh;
	p.n_extensions = 8;
	p.next = WIRE_PROTO_FRAGMENT;
	uint8_t frame[1200];

	lab_packet(&w.l, frame, pk_build(&p, frame, sizeof(frame)));
	struct seen s = lab_icmp(&w.l, WIRE_ICMP6_PARAMETER_PROBLEM);

	assert_int_equal(s.payload.data[1], WIRE_IP6_PROBLEM_CHAIN);
	assert_int_equal(w.l.st->n.frag_in, 0);
	lab_close(&w.l);
}

/* Any fragment whatever: memory and marks stay in order, and all of it comes back. */
static void any_fragments(void **state)
{
	static struct world w;
	char src[32];

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		open_world(&w, &families[f], 32 * 1024);
		datagram(&w, w.f->him, 65000);
		for (unsigned i = 0; i < 30000; i++) {
			size_t from = below(8000) * 8, len = below(1400) + (below(2) ? 0 : 600);

			if (below(3))
				len &= ~(size_t)7;
			if (from + len > 65000)
				len = 65000 - from;
			snprintf(src, sizeof(src), f ? "fd00::%x" : "10.0.0.%u", 2 + below(6));
			fragment(&w, src, below(8), from, from + len, below(4) != 0, (uint8_t)below(4));
			if (below(200) == 0)
				lab_pass(&w.l, SEC(below(20)));
			if (w.l.n_out > LAB_FRAMES / 2)
				lab_clear(&w.l);
		}
		lab_clear(&w.l);
		lab_pass(&w.l, SEC(61));
		assert_int_equal(w.l.st->ip->n_frag_free, w.l.st->ip->n_frag_blocks);
		lab_close(&w.l);
	}
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(rows) + 16];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(any_order_of_any_pieces),
		cmocka_unit_test(a_datagram_of_64_kib_comes_through),
		cmocka_unit_test(s17_sixteen_datagrams_of_one_source_leave_room_for_others),
		cmocka_unit_test(s17_a_flood_of_sources_takes_no_more_than_there_is_and_new_ones_get_through),
		cmocka_unit_test(s17_pieces_apart_from_each_other_are_counted),
		cmocka_unit_test(s17_sixty_four_fragments_and_no_more),
		cmocka_unit_test(s17_a_source_has_a_quarter_of_the_memory),
		cmocka_unit_test(s17_a_64_of_ipv6_is_one_source),
		cmocka_unit_test(s17_fragments_that_nobody_needs_to_make),
		cmocka_unit_test(names_are_addresses_number_and_protocol),
		cmocka_unit_test(the_sender_is_told_when_the_first_fragment_was_there),
		cmocka_unit_test(rfc_7112_headers_in_later_fragments),
		cmocka_unit_test(any_fragments),
	};
	size_t n = 0;

	for (; n < COUNT_OF(rows); n++)
		tests[n] = (struct CMUnitTest){rows[n].name, run, NULL, NULL, (void *)(uintptr_t)&rows[n]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_frag", tests, n, NULL, NULL);
}
