/* tests/unit/test_wire_frames.c: what Linux sends is read, printed, and written again octet for octet. */
#include <stdio.h>

#include "wire_rows.h"

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/group.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/nd.h"
#include "wire/print.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire_frames.h"
#include "wire_round.h"

/* A transport message taken apart and made again, its checksum computed here. */
struct upper {
	enum port_family family;
	uint8_t proto;
	struct port_addr src, dst;
	struct wire_slice octets;
};

static int remake_group(const struct upper *u, uint8_t *buf, size_t size)
{
	struct wire_group_record record;
	struct wire_group g;
	struct wire_slice rest;
	int n, r;

	if (u->family == PORT_FAMILY_4)
		r = wire_igmp_parse(u->octets.data, u->octets.len_bytes, &g);
	else
		r = wire_mld_parse(u->octets.data, u->octets.len_bytes, &g);
	assert_int_equal(r, 0);
	n = u->family == PORT_FAMILY_4 ? wire_igmp_emit(&g, buf, size) : wire_mld_emit(&g, buf, size);
	assert_true(n > 0);
	rest = g.body;
	while (wire_group_record_next(u->family, &rest, &record)) {
		r = wire_group_record_emit(&record, buf + n, size - (size_t)n);
		assert_true(r > 0);
		n += r;
	}
	return n;
}

/* One of the three that Linux sent. */
static int remake_nd(const struct upper *u, uint8_t *buf, size_t size)
{
	const uint8_t *data = u->octets.data;
	size_t len = u->octets.len_bytes;
	struct wire_nd_rs rs;
	struct wire_nd_ns ns;
	struct wire_nd_na na;

	switch (data[0]) {
	case WIRE_ICMP6_ND_RS:
		assert_int_equal(wire_nd_rs_parse(data, len, &rs), 0);
		return wire_nd_rs_emit(&rs, buf, size);
	case WIRE_ICMP6_ND_NS:
		assert_int_equal(wire_nd_ns_parse(data, len, &ns), 0);
		return wire_nd_ns_emit(&ns, buf, size);
	default:
		assert_int_equal(data[0], WIRE_ICMP6_ND_NA);
		assert_int_equal(wire_nd_na_parse(data, len, &na), 0);
		return wire_nd_na_emit(&na, buf, size);
	}
}

static size_t remake_upper(const struct upper *u, uint8_t *buf, size_t size)
{
	const uint8_t *data = u->octets.data;
	size_t len = u->octets.len_bytes;
	struct wire_slice payload = {NULL, 0};
	struct wire_icmp4 i4;
	struct wire_icmp6 i6;
	struct wire_tcp t;
	struct wire_udp d;
	int n = -1;

	if (u->proto == WIRE_PROTO_TCP) {
		assert_int_equal(wire_tcp_parse(data, len, &t), 0);
		n = wire_tcp_emit(&t, buf, size);
		payload = t.payload;
	} else if (u->proto == WIRE_PROTO_UDP) {
		assert_int_equal(wire_udp_parse(data, len, &d), 0);
		n = wire_udp_emit(&d, buf, size);
		payload = d.payload;
	} else if (u->proto == WIRE_PROTO_ICMP4) {
		assert_int_equal(wire_icmp4_parse(data, len, &i4), 0);
		n = wire_icmp4_emit(&i4, buf, size);
		payload = i4.payload;
	} else if (u->proto == WIRE_PROTO_IGMP || data[0] == WIRE_ICMP6_MLD_REPORT2) {
		n = remake_group(u, buf, size);
	} else if (data[0] == WIRE_ICMP6_ECHO || data[0] == WIRE_ICMP6_ECHO_REPLY ||
		   data[0] == WIRE_ICMP6_UNREACHABLE) {
		assert_int_equal(wire_icmp6_parse(data, len, &i6), 0);
		n = wire_icmp6_emit(&i6, buf, size);
		payload = i6.payload;
	} else {
		n = remake_nd(u, buf, size);
	}
	assert_true(n > 0);
	buf[wire_checksum_offset(u->proto)] ^= 0x55; /* whatever stood there must not matter */
	wire_checksum_fill(&u->src, &u->dst, u->proto, buf, (size_t)n, wire_sum(0, payload.data, payload.len_bytes),
			   payload.len_bytes);
	if (payload.len_bytes)
		memcpy(buf + n, payload.data, payload.len_bytes);
	return (size_t)n + payload.len_bytes;
}

static size_t remake_frame(const uint8_t *data, size_t len_bytes, uint8_t *buf, size_t size)
{
	struct upper u;
	struct wire_eth e;
	struct wire_ip4 ip4;
	struct wire_ip6 ip6;
	struct wire_arp a;
	int at, r;

	assert_int_equal(wire_eth_parse(data, len_bytes, &e), 0);
	at = wire_eth_emit(&e, buf, size);
	assert_true(at > 0);
	if (e.type == WIRE_ETH_ARP) {
		assert_int_equal(wire_arp_parse(e.payload.data, e.payload.len_bytes, &a), 0);
		r = wire_arp_emit(&a, buf + at, size - (size_t)at);
		return (size_t)(at + r);
	}
	if (e.type == WIRE_ETH_IP4) {
		assert_int_equal(wire_ip4_parse(e.payload.data, e.payload.len_bytes, &ip4), 0);
		assert_true(ip4.checksum_good);
		u = (struct upper){PORT_FAMILY_4, ip4.proto, ip4.src, ip4.dst, ip4.payload};
		r = wire_ip4_emit(&ip4, buf + at, size - (size_t)at);
	} else {
		assert_int_equal(wire_ip6_parse(e.payload.data, e.payload.len_bytes, &ip6, NULL), 0);
		u = (struct upper){PORT_FAMILY_6, ip6.proto, ip6.src, ip6.dst, ip6.payload};
		r = wire_ip6_emit(&ip6, buf + at, size - (size_t)at);
	}
	assert_true(r > 0);
	assert_true(wire_transport_checksum_good(&u.src, &u.dst, u.proto, u.octets.data, u.octets.len_bytes));
	return (size_t)(at + r) + remake_upper(&u, buf + at + r, size - (size_t)(at + r));
}

/* A flipped bit in a transport message is noticed, wherever it is. */
static void every_bit_counts(const uint8_t *data, size_t len_bytes)
{
	struct wire_eth e;
	struct wire_ip4 ip;
	uint8_t buf[200];

	assert_int_equal(wire_eth_parse(data, len_bytes, &e), 0);
	if (e.type != WIRE_ETH_IP4)
		return;
	assert_int_equal(wire_ip4_parse(e.payload.data, e.payload.len_bytes, &ip), 0);
	memcpy(buf, ip.payload.data, ip.payload.len_bytes);
	for (size_t i = 0; i < 8 * ip.payload.len_bytes; i++) {
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(wire_transport_checksum_good(&ip.src, &ip.dst, ip.proto, buf, ip.payload.len_bytes));
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

static void run_frame(void **state)
{
	size_t i = (size_t)(uintptr_t)*state, len;
	uint8_t octets[200], again[200];
	char line[WIRE_PRINT_MAX];

	len = hex(frames[i].octets, octets, sizeof(octets));
	assert_string_equal(wire_print_frame(octets, len, line, sizeof(line)), frames[i].line);
	assert_string_equal(wire_print_ip(octets + 14, len - 14, line, sizeof(line)),
			    octets[12] == 0x08 && octets[13] == 0x06 ? "IP malformed (28 octets)" : frames[i].line);
	assert_int_equal(remake_frame(octets, len, again, sizeof(again)), len);
	assert_memory_equal(again, octets, len);
	assert_true(wire_round_frame(octets, len));
	wire_round_print(octets, len, true);
	every_bit_counts(octets, len);
}

/* Cut anywhere, in memory of that length, it is refused: no length in it was believed. */
static void run_cut(void **state)
{
	size_t i = (size_t)(uintptr_t)*state, len;
	uint8_t octets[200];

	len = hex(frames[i].octets, octets, sizeof(octets));
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		assert_non_null(exact);
		memcpy(exact, octets, cut);
		assert_false(wire_round_frame(exact, cut));
		wire_round_print(exact, cut, true);
		if (cut >= 14)
			assert_false(wire_round_ip(exact + 14, cut - 14));
		free(exact);
	}
}

int main(void)
{
	static char cut_names[COUNT_OF(frames)][80];
	struct CMUnitTest tests[2 * COUNT_OF(frames)];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(frames); i++) {
		(void)snprintf(cut_names[i], sizeof(cut_names[i]), "%s, cut anywhere", frames[i].name);
		tests[n++] = (struct CMUnitTest){frames[i].name, run_frame, NULL, NULL, (void *)(uintptr_t)i};
		tests[n++] = (struct CMUnitTest){cut_names[i], run_cut, NULL, NULL, (void *)(uintptr_t)i};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
