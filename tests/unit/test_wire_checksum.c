/* tests/unit/test_wire_checksum.c: the clever sum beside the one that two lines make, over any lengths, places and cuts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "hex.h"
#include "wire/checksum.h"

#define SEED 20261121

static uint8_t octets[70000], copy[70000];

static uint16_t naive(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint64_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* 0 to n - 1 */
static size_t below(struct rng *r, size_t n)
{
	return (size_t)rng_range(r, 0, n - 1);
}

static void fill(struct rng *r)
{
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (uint8_t)rng_u64(r);
}

static void the_example_of_rfc_1071(void **state)
{
	uint8_t buf[8];

	(void)state;
	hex("0001 f203 f4f5 f6f7", buf, sizeof(buf));
	assert_int_equal(wire_sum_fold(wire_sum(0, buf, 8)), 0xddf2);
	assert_int_equal(wire_checksum(wire_sum(0, buf, 8)), 0x220d);
	assert_int_equal(wire_sum(0, NULL, 0), 0);
}

static void any_length_at_any_place(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, SEED);
	fill(&r);
	for (size_t n = 0; n < 300; n++) {
		for (size_t at = 0; at < 17; at++) {
			uint16_t want = naive(octets + at, n);

			assert_int_equal(wire_sum_fold(wire_sum(0, octets + at, n)), want);
			memset(copy, 0x5a, n + 40);
			assert_int_equal(wire_sum_fold(wire_sum_copy(0, copy + at % 3, octets + at, n)), want);
			assert_memory_equal(copy + at % 3, octets + at, n);
			assert_int_equal(copy[at % 3 + n], 0x5a);
		}
	}
	for (size_t n = 60000; n < 60070; n++)
		assert_int_equal(wire_sum_fold(wire_sum(0, octets, n)), naive(octets, n));
}

static void octets_that_are_all_ones(void **state)
{
	static const size_t lengths[] = {2, 64, 65, 1460, 65535, 65536, 70000};

	(void)state;
	memset(octets, 0xff, sizeof(octets));
	for (size_t i = 0; i < COUNT_OF(lengths); i++)
		assert_int_equal(wire_sum_fold(wire_sum(0, octets, lengths[i])), naive(octets, lengths[i]));
	assert_int_equal(wire_sum_fold(wire_sum(0xffffffff, octets, 65536)), 0xffff);
}

static void any_cut_into_slices(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, SEED + 1);
	fill(&r);
	for (unsigned round = 0; round < 3000; round++) {
		struct wire_slice parts[6];
		size_t at = 0, begin = below(&r, 64);
		uint32_t joined = 0;
		unsigned n = 1 + (unsigned)below(&r, COUNT_OF(parts));

		for (unsigned i = 0; i < n; i++) {
			parts[i] = (struct wire_slice){octets + begin + at, below(&r, 200)};
			if (parts[i].len_bytes)
				joined = wire_sum_join(joined, at, wire_sum(0, parts[i].data, parts[i].len_bytes));
			at += parts[i].len_bytes;
		}
		assert_int_equal(wire_sum_fold(wire_sum_slices(0, parts, n)), naive(octets + begin, at));
		assert_int_equal(wire_sum_fold(joined), naive(octets + begin, at));
	}
}

/* RFC 1624: after a word changed, the checksum is that of the new octets, though nobody looked at the rest. */
static void a_word_changes(void **state)
{
	struct rng r;
	uint8_t buf[40];

	(void)state;
	rng_init(&r, SEED + 2);
	for (unsigned round = 0; round < 5000; round++) {
		uint16_t before, old16, new16 = (uint16_t)rng_u64(&r);
		uint32_t old32, new32 = (uint32_t)rng_u64(&r);
		size_t at = 2 * below(&r, 18);

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)rng_u64(&r);
		if (round % 4 == 0)
			new16 = 0;
		if (round % 4 == 1)
			new32 = UINT32_MAX;
		before = wire_checksum(wire_sum(0, buf, sizeof(buf)));
		old16 = wire_get16(buf + at);
		wire_put16(buf + at, new16);
		before = wire_checksum_update16(before, old16, new16);
		assert_int_equal(before, wire_checksum(wire_sum(0, buf, sizeof(buf))));
		old32 = wire_get32(buf + at);
		wire_put32(buf + at, new32);
		before = wire_checksum_update32(before, old32, new32);
		assert_int_equal(before, wire_checksum(wire_sum(0, buf, sizeof(buf))));
	}
}

/* RFC 1624, 4: the example where eqn. 4 of RFC 1141 gives the wrong zero. */
static void the_wrong_zero(void **state)
{
	(void)state;
	assert_int_equal(wire_checksum_update16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

static void pseudo_headers(void **state)
{
	const struct port_addr a4 = port_addr_v4(10, 0, 0, 1), b4 = port_addr_v4(255, 255, 255, 254);
	const struct port_addr a6 = {.b = {0xfe, 0x80, [8] = 2, [15] = 1}}, b6 = {.b = {0xff, 2, [15] = 0xfe}};
	uint8_t pseudo[40];
	size_t n;

	(void)state;
	n = hex("0a000001 fffffffe 0006 9c40", pseudo, sizeof(pseudo));
	assert_int_equal(wire_sum_fold(wire_sum_pseudo(&a4, &b4, WIRE_PROTO_TCP, 40000)), naive(pseudo, n));
	n = hex("fe800000 00000000 02000000 00000001 ff020000 00000000 00000000 000000fe 00012345 0000003a", pseudo,
		sizeof(pseudo));
	assert_int_equal(wire_sum_fold(wire_sum_pseudo(&a6, &b6, WIRE_PROTO_ICMP6, 0x12345)), naive(pseudo, n));
}

/* What is deferred and finished is what is filled in at once; virtio's rule is the same for TCP and UDP. */
static void deferred_and_finished(void **state)
{
	static const uint8_t protos[] = {WIRE_PROTO_TCP, WIRE_PROTO_UDP, WIRE_PROTO_ICMP6, WIRE_PROTO_ICMP4};
	const struct port_addr src = port_addr_v4(10, 0, 0, 1), dst = port_addr_v4(10, 0, 0, 2);
	struct rng r;

	(void)state;
	rng_init(&r, SEED + 3);
	fill(&r);
	for (unsigned round = 0; round < 400; round++) {
		uint8_t proto = protos[round % COUNT_OF(protos)], a[1600], b[1600];
		size_t n = 20 + below(&r, 1500), link = 14;
		int at = wire_checksum_offset(proto);

		memcpy(a, octets + round, link + n);
		memcpy(b, a, link + n);
		wire_checksum_fill(&src, &dst, proto, a + link, 20, wire_sum(0, a + link + 20, n - 20), n - 20);
		wire_checksum_defer(&src, &dst, proto, b + link, 20, n - 20);
		assert_int_equal(wire_checksum_finish(b, link + n, link, (size_t)at), 0);
		assert_memory_equal(a, b, link + n);
		assert_true(wire_transport_checksum_good(&src, &dst, proto, a + link, n));
	}
}

/* S28: csum_start and csum_offset are a peer's. */
static void what_lies_outside_is_not_finished(void **state)
{
	static const struct {
		size_t len, start, offset;
		int result;
	} rows[] = {
		{60, 34, 16, 0},
		{60, 34, 24, 0},
		{60, 34, 25, -EBADMSG},
		{60, 58, 0, 0},
		{60, 59, 0, -EBADMSG},
		{60, 60, 0, -EBADMSG},
		{60, 61, 0, -EBADMSG},
		{60, 0xffff, 0xffff, -EBADMSG},
		{60, SIZE_MAX, 2, -EBADMSG},
		{60, 34, SIZE_MAX, -EBADMSG},
		{1, 0, 0, -EBADMSG},
		{0, 0, 0, -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(wire_checksum_finish(octets, rows[i].len, rows[i].start, rows[i].offset),
				 rows[i].result);
}

static void udp_may_have_none_over_ipv4(void **state)
{
	const struct port_addr a4 = port_addr_v4(10, 0, 0, 1), b4 = port_addr_v4(10, 0, 0, 2), a6 = PORT_ADDR_LOOP6;
	uint8_t buf[12];
	size_t n;

	(void)state;
	n = hex("04d2 0035 000c 0000 61626364", buf, sizeof(buf));
	assert_true(wire_transport_checksum_good(&a4, &b4, WIRE_PROTO_UDP, buf, n));
	assert_false(wire_transport_checksum_good(&a6, &a6, WIRE_PROTO_UDP, buf, n));
	assert_false(wire_transport_checksum_good(&a4, &b4, WIRE_PROTO_UDP, buf, 7));
	/* A sum of 0xffff is written as 0xffff, since 0 says that there is none. */
	buf[8] = buf[9] = buf[10] = buf[11] = 0;
	wire_checksum_fill(&a4, &b4, WIRE_PROTO_UDP, buf, n, 0, 0);
	wire_put16(buf + 8, wire_get16(buf + 6)); /* now all else sums up to 0xffff */
	wire_checksum_fill(&a4, &b4, WIRE_PROTO_UDP, buf, n, 0, 0);
	assert_int_equal(wire_get16(buf + 6), 0xffff);
	assert_true(wire_transport_checksum_good(&a4, &b4, WIRE_PROTO_UDP, buf, n));
	assert_true(wire_transport_checksum_good(&a4, &b4, 132, buf, n)); /* a protocol not known here */
}

/* A message that cannot hold its checksum is not good; the shortest that can may be. */
static void the_shortest_messages(void **state)
{
	const struct port_addr src = port_addr_v4(10, 0, 0, 1), dst = port_addr_v4(10, 0, 0, 2);
	static const struct {
		uint8_t proto;
		size_t len;
	} rows[] = {{WIRE_PROTO_TCP, 18},
		    {WIRE_PROTO_UDP, 8},
		    {WIRE_PROTO_ICMP4, 4},
		    {WIRE_PROTO_ICMP6, 4},
		    {WIRE_PROTO_IGMP, 4}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		memset(octets, 0x11, rows[i].len);
		wire_checksum_fill(&src, &dst, rows[i].proto, octets, rows[i].len, 0, 0);
		assert_true(wire_transport_checksum_good(&src, &dst, rows[i].proto, octets, rows[i].len));
		assert_false(wire_transport_checksum_good(&src, &dst, rows[i].proto, octets, rows[i].len - 1));
	}
	assert_int_equal(wire_checksum_offset(132), -EPROTONOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_rfc_1071),
		cmocka_unit_test(any_length_at_any_place),
		cmocka_unit_test(octets_that_are_all_ones),
		cmocka_unit_test(any_cut_into_slices),
		cmocka_unit_test(a_word_changes),
		cmocka_unit_test(the_wrong_zero),
		cmocka_unit_test(pseudo_headers),
		cmocka_unit_test(deferred_and_finished),
		cmocka_unit_test(what_lies_outside_is_not_finished),
		cmocka_unit_test(udp_may_have_none_over_ipv4),
		cmocka_unit_test(the_shortest_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
