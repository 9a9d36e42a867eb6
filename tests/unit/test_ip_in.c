/* tests/unit/test_ip_in.c: which frames are for us, and which are refused. */
#include "ip_fixture.h"

/* Every row is a UDP datagram to port 5000, or the start of one; did it arrive? */
struct row {
	const char *name;
	const char *src, *dst;
	const uint8_t *mac; /* NULL: ours */
	const uint8_t *options;
	size_t n_options;
	const uint8_t *extensions;
	size_t n_extensions;
	uint8_t next;
	bool arrives;
	const char *counter; /* which counts it, if not */
};
#define COUNTED_BY(x) .counter = #x

static const uint8_t group_mac[6] = {1, 0, 0x5e, 0, 0, 1}, group_mac6[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t loose[8] = {131, 7, 4, 10, 0, 0, 9, 0}, strict_[8] = {137, 7, 4, 10, 0, 0, 9, 0},
		     record[8] = {7, 7, 4, 0, 0, 0, 0, 0};
static const uint8_t nops[4] = {1, 1, 1, 0}, bad_option[4] = {0x88, 0, 0, 0};
static const uint8_t dstopts[8] = {WIRE_PROTO_UDP, 0, 1, 4, 0, 0, 0, 0};
static const uint8_t routing0[24] = {WIRE_PROTO_UDP, 2, 0, 1};
static const uint8_t atomic[8] = {WIRE_PROTO_UDP, 0, 0, 0, 1, 2, 3, 4};
static const uint8_t unknown_discard[8] = {WIRE_PROTO_UDP, 0, 0x5e, 0, 1, 2, 0, 0};

static const struct row rows[] = {
	{"IPv4 to us", "10.0.0.2", "10.0.0.1", .arrives = true},
	{"IPv4 to us from far", "192.0.2.1", "10.0.0.1", .arrives = true},
	{"IPv4 to all on the link", "10.0.0.2", "255.255.255.255", all_macs, .arrives = true},
	{"IPv4 to the subnet's broadcast", "10.0.0.2", "10.0.0.255", all_macs, .arrives = true},
	{"IPv4 to all hosts", "10.0.0.2", "224.0.0.1", group_mac, .arrives = true},
	{"IPv4 from nobody to all (DHCP)", "0.0.0.0", "255.255.255.255", all_macs, .arrives = true},
	{"IPv4 to another host", "10.0.0.2", "10.0.0.9", COUNTED_BY(dropped_not_ours)},
	{"IPv4 to a group we are not in", "10.0.0.2", "224.1.2.3", group_mac, COUNTED_BY(dropped_not_ours)},
	{"IPv4 to another subnet's broadcast", "10.0.0.2", "10.0.1.255", all_macs, COUNTED_BY(dropped_not_ours)},
	{"S11: IPv4 from a group", "224.0.0.5", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 from everybody", "255.255.255.255", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 from our subnet's broadcast", "10.0.0.255", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 from nobody to us", "0.0.0.0", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 from 0.1.2.3", "0.1.2.3", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 from ourselves", "10.0.0.1", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 from class E", "250.1.1.1", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"IPv4 loopback source on a link", "127.0.0.1", "10.0.0.1", COUNTED_BY(dropped_policy)},
	{"IPv4 loopback destination on a link", "10.0.0.2", "127.0.0.1", COUNTED_BY(dropped_policy)},
	{"S11: IPv4 for one in a frame for all", "10.0.0.2", "10.0.0.1", all_macs, COUNTED_BY(dropped_policy)},
	{"a frame for another host", "10.0.0.2", "10.0.0.1", other_mac, COUNTED_BY(dropped_not_ours)},
	{"S6: a loose source route", "10.0.0.2", "10.0.0.1", .options = loose, .n_options = 8,
	 COUNTED_BY(dropped_policy)},
	{"S6: a strict source route", "10.0.0.2", "10.0.0.1", .options = strict_, .n_options = 8,
	 COUNTED_BY(dropped_policy)},
	{"IPv4 with options that do nothing", "10.0.0.2", "10.0.0.1", .options = nops, .n_options = 4, .arrives = true},
	{"IPv4 with record route, which is not filled in", "10.0.0.2", "10.0.0.1", .options = record, .n_options = 8,
	 .arrives = true},
	{"S2: an option of length 0", "10.0.0.2", "10.0.0.1", .options = bad_option, .n_options = 4,
	 COUNTED_BY(dropped_malformed)},
	{"IPv6 to us", "fd00::2", "fd00::1", .arrives = true},
	{"IPv6 to our link-local address", "fe80::2", "fe80::1", .arrives = true},
	{"IPv6 to all nodes", "fe80::2", "ff02::1", group_mac6, .arrives = true},
	{"IPv6 to another host", "fd00::2", "fd00::9", COUNTED_BY(dropped_not_ours)},
	{"IPv6 to a group we are not in", "fd00::2", "ff02::1234", group_mac6, COUNTED_BY(dropped_not_ours)},
	{"IPv6 to a group that stays inside a host", "fd00::2", "ff01::1", group_mac6, COUNTED_BY(dropped_policy)},
	{"IPv6 to a group of scope 0", "fd00::2", "ff00::1", group_mac6, COUNTED_BY(dropped_policy)},
	{"S11: IPv6 from a group", "ff02::5", "fd00::1", COUNTED_BY(dropped_policy)},
	{"S11: IPv6 from nobody", "::", "fd00::1", COUNTED_BY(dropped_policy)},
	{"S11: IPv6 from ourselves", "fd00::1", "fd00::1", COUNTED_BY(dropped_policy)},
	{"IPv6 loopback source on a link", "::1", "fd00::1", COUNTED_BY(dropped_policy)},
	{"IPv6 loopback destination on a link", "fd00::2", "::1", COUNTED_BY(dropped_policy)},
	{"S11: IPv6 for one in a frame for many", "fd00::2", "fd00::1", group_mac6, COUNTED_BY(dropped_policy)},
	{"IPv6 with destination options", "fd00::2", "fd00::1", .extensions = dstopts, .n_extensions = 8,
	 .next = WIRE_PROTO_DSTOPTS, .arrives = true},
	{"IPv6, an atomic fragment (RFC 6946)", "fd00::2", "fd00::1", .extensions = atomic, .n_extensions = 8,
	 .next = WIRE_PROTO_FRAGMENT, .arrives = true},
	{"S6: IPv6 routing header 0 (RFC 5095)", "fd00::2", "fd00::1", .extensions = routing0, .n_extensions = 24,
	 .next = WIRE_PROTO_ROUTING, COUNTED_BY(dropped_malformed)},
	{"IPv6 with an option that says discard", "fd00::2", "fd00::1", .extensions = unknown_discard,
	 .n_extensions = 8, .next = WIRE_PROTO_DSTOPTS, COUNTED_BY(dropped_malformed)},
};

static uint64_t counter(struct lab *l, const char *name)
{
#define ROW(x)                     \
	if (strcmp(name, #x) == 0) \
		return l->st->n.x;
	BERTH_COUNTERS(ROW)
#undef ROW
	fail_msg("no counter %s", name);
	return 0;
}

static berth_sock fresh(struct lab *l, int family)
{
	lab_open(l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD);
	lab_addr(l, "10.0.0.1", 24);
	lab_addr(l, "fd00::1", 64);
	lab_addr(l, "fe80::1", 64);
	struct berth_addr all = pub(family == BERTH_IPV4 ? "224.0.0.1" : "ff02::1");
	berth_sock s = lab_socket(l, family, 5000);

	assert_int_equal(berth_sock_join(l->st, s, &all, l->iface), 0); /* else UDP would not hear of it */
	lab_pass(l, SEC(10));
	lab_clear(l);
	return s;
}

static size_t build(const struct row *r, uint8_t *buf, size_t room)
{
	uint8_t l4[64];
	struct pk p = {.src = r->src, .dst = r->dst, .proto = WIRE_PROTO_UDP, .payload = l4};

	p.options = r->options;
	p.n_options = r->n_options;
	p.extensions = r->extensions;
	p.n_extensions = r->n_extensions;
	p.next = r->next;
	p.len = udp_build(r->src, r->dst, 9999, 5000, "hello", 5, l4);
	return pk_build(&p, buf, room);
}

static void run(void **state)
{
	const struct row *r = *state;
	bool v4 = strchr(r->dst, ':') == NULL;
	uint8_t buf[256], got[64];
	struct lab l;
	berth_sock s = fresh(&l, v4 ? BERTH_IPV4 : BERTH_IPV6);
	size_t len = build(r, buf, sizeof(buf));

	lab_packet_to(&l, r->mac ? r->mac : our_mac, his_mac, buf, len);
	if (r->arrives) {
		assert_int_equal(lab_recv(&l, s, got, sizeof(got)), 5);
		assert_memory_equal(got, "hello", 5);
	} else {
		assert_int_equal(lab_recv(&l, s, got, sizeof(got)), -EAGAIN);
		assert_int_equal(counter(&l, r->counter), 1);
	}
	lab_close(&l);
}

/* The same rows with the payload in parts, cut at every place behind the headers: the way in must not matter. */
static void parts_make_no_difference(void **state)
{
	uint8_t buf[256], got[64], frame[300];

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(rows); i++) {
		const struct row *r = &rows[i];
		size_t len = build(r, buf, sizeof(buf)), header = len - 13;

		for (size_t cut = header + 8; cut <= len; cut++) {
			struct lab l;
			berth_sock s = fresh(&l, strchr(r->dst, ':') == NULL ? BERTH_IPV4 : BERTH_IPV6);
			struct wire_eth e = {.type = buf[0] >> 4 == 6 ? WIRE_ETH_IP6 : WIRE_ETH_IP4};
			struct berth_part parts[2];
			struct berth_rx rx = {.head = frame,
					      .head_len = (uint32_t)(14 + cut),
					      .parts = parts,
					      .n_parts = 2};

			memcpy(e.dst, r->mac ? r->mac : our_mac, 6);
			memcpy(e.src, his_mac, 6);
			assert_int_equal(wire_eth_emit(&e, frame, 14), 14);
			memcpy(frame + 14, buf, len);
			parts[0] = (struct berth_part){frame + 14 + cut, (uint32_t)((len - cut) / 2)};
			parts[1] = (struct berth_part){parts[0].data + parts[0].len,
						       (uint32_t)(len - cut - (len - cut) / 2)};
			lab_rx(&l, &rx);
			if (lab_recv(&l, s, got, sizeof(got)) != (r->arrives ? 5 : -EAGAIN))
				fail_msg("%s, cut at %zu", r->name, cut);
			lab_close(&l);
		}
	}
}

/* S1: no frame that is cut anywhere, or says it is longer than it is, arrives or is read past its end. */
static void s1_cut_frames(void **state)
{
	uint8_t buf[256], got[64], frame[300];

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(rows); i++) {
		const struct row *r = &rows[i];
		size_t len = build(r, buf, sizeof(buf));
		struct lab l;
		berth_sock s = fresh(&l, strchr(r->dst, ':') == NULL ? BERTH_IPV4 : BERTH_IPV6);

		memcpy(frame, our_mac, 6);
		memcpy(frame + 6, his_mac, 6);
		wire_put16(frame + 12, buf[0] >> 4 == 6 ? WIRE_ETH_IP6 : WIRE_ETH_IP4);
		memcpy(frame + 14, buf, len);
		for (size_t cut = 0; cut < 14 + len; cut++) {
			lab_frame(&l, frame, cut);
			assert_int_equal(lab_recv(&l, s, got, sizeof(got)), -EAGAIN);
		}
		lab_close(&l);
	}
}

static void padding_is_cut_off(void **state)
{
	uint8_t buf[256] = {0}, got[64];
	struct lab l;
	berth_sock s = fresh(&l, BERTH_IPV4);

	(void)state;
	build(&rows[0], buf, sizeof(buf));
	lab_packet(&l, buf, 46);
	assert_int_equal(lab_recv(&l, s, got, sizeof(got)), 5);
	lab_close(&l);
}

static void a_bad_header_checksum_is_dropped(void **state)
{
	uint8_t buf[256], got[64];
	struct lab l;
	berth_sock s = fresh(&l, BERTH_IPV4);
	size_t len = build(&rows[0], buf, sizeof(buf));

	(void)state;
	for (size_t at = 0; at < 20; at++) {
		buf[at] ^= 0x10;
		lab_packet(&l, buf, len);
		buf[at] ^= 0x10;
		assert_int_equal(lab_recv(&l, s, got, sizeof(got)), -EAGAIN);
	}
	assert_true(l.st->n.dropped_checksum > 10);
	lab_close(&l);
}

/* --- S28: what a descriptor says --- */
struct offload {
	const char *name;
	uint8_t gso, flags;
	uint16_t gso_size, csum_start, csum_offset;
	bool spoil; /* the checksum in the packet is wrong */
	bool arrives;
};
static const struct offload offloads[] = {
	{"S28: nothing said, good checksum", 0, 0, 0, 0, 0, false, true},
	{"S28: nothing said, bad checksum", 0, 0, 0, 0, 0, true, false},
	{"S28: the device checked it", 0, BERTH_F_DATA_VALID, 0, 0, 0, true, true},
	{"S28: the checksum is still to be made", 0, BERTH_F_NEEDS_CSUM, 0, 34, 6, true, true},
	{"S28: ... at a place that is not the header's", 0, BERTH_F_NEEDS_CSUM, 0, 30, 6, true, false},
	{"S28: ... beyond the frame", 0, BERTH_F_NEEDS_CSUM, 0, 60000, 6, true, false},
	{"S28: ... at another field", 0, BERTH_F_NEEDS_CSUM, 0, 34, 16, true, false},
	{"S28: a train of datagrams", BERTH_GSO_UDP, BERTH_F_NEEDS_CSUM, 2, 34, 6, true, true},
	{"S28: a train of size 0", BERTH_GSO_UDP, BERTH_F_NEEDS_CSUM, 0, 34, 6, true, false},
	{"S28: a TCP super-frame that is UDP", BERTH_GSO_TCP4, BERTH_F_NEEDS_CSUM, 2, 34, 6, true, false},
	{"S28: an IPv6 super-frame that is IPv4", BERTH_GSO_TCP6, BERTH_F_NEEDS_CSUM, 2, 34, 6, true, false},
	{"S28: fragmentation left to the device", BERTH_GSO_UDP4, BERTH_F_NEEDS_CSUM, 2, 34, 6, true, false},
	{"S28: a kind that does not exist", 77, BERTH_F_NEEDS_CSUM, 2, 34, 6, true, false},
};

static void run_offload(void **state)
{
	const struct offload *o = *state;
	uint8_t buf[256], frame[300], got[64];
	struct lab l;
	berth_sock s = fresh(&l, BERTH_IPV4);
	size_t len = build(&rows[0], buf, sizeof(buf));
	struct berth_rx rx = {.head = frame, .head_len = (uint32_t)(14 + len), .gso = o->gso, .flags = o->flags};

	rx.gso_size = o->gso_size;
	rx.csum_start = o->csum_start;
	rx.csum_offset = o->csum_offset;
	memcpy(frame, our_mac, 6);
	memcpy(frame + 6, his_mac, 6);
	wire_put16(frame + 12, WIRE_ETH_IP4);
	memcpy(frame + 14, buf, len);
	if (o->spoil)
		frame[14 + 26] ^= 0x55;
	lab_rx(&l, &rx);
	assert_int_equal(lab_recv(&l, s, got, sizeof(got)) > 0, o->arrives);
	lab_close(&l);
}

/* Any octets whatever, and every frame above with octets changed: nothing breaks, and everything is counted somewhere or delivered. */
static void any_octets(void **state)
{
	uint8_t buf[256], frame[300];
	struct lab l;
	uint64_t x = 88172645463325252u;

	(void)state;
	fresh(&l, BERTH_IPV6);
	for (unsigned i = 0; i < 60000; i++) {
		const struct row *r = &rows[i % COUNT_OF(rows)];
		size_t len = build(r, buf, sizeof(buf));

		memcpy(frame, r->mac ? r->mac : our_mac, 6);
		memcpy(frame + 6, his_mac, 6);
		wire_put16(frame + 12, buf[0] >> 4 == 6 ? WIRE_ETH_IP6 : WIRE_ETH_IP4);
		memcpy(frame + 14, buf, len);
		for (unsigned k = 0; k < 1 + i % 4; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			frame[12 + x % (len + 2)] = (uint8_t)(x >> 32);
		}
		lab_frame(&l, frame, 14 + len - x % 3);
		lab_clear(&l);
	}
	assert_int_equal(l.st->n.frames_in, 60000);
	lab_pass(&l, SEC(100));
	assert_int_equal(l.st->pkts.n_used - l.st->held.n, 0);
	lab_close(&l);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(rows) + COUNT_OF(offloads) + 8];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(parts_make_no_difference),
		cmocka_unit_test(s1_cut_frames),
		cmocka_unit_test(padding_is_cut_off),
		cmocka_unit_test(a_bad_header_checksum_is_dropped),
		cmocka_unit_test(any_octets),
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tests[n++] = (struct CMUnitTest){rows[i].name, run, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	for (size_t i = 0; i < COUNT_OF(offloads); i++)
		tests[n++] =
			(struct CMUnitTest){offloads[i].name, run_offload, NULL, NULL, (void *)(uintptr_t)&offloads[i]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_in", tests, n, NULL, NULL);
}
