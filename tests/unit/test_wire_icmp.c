/* tests/unit/test_wire_icmp.c: ICMP of both families, the packets errors quote, discovery and membership (S2, S3, S13, S19). */
#include "wire_rows.h"

#include "wire/group.h"
#include "wire/icmp.h"
#include "wire/nd.h"
#include "wire_round.h"

static struct wire_icmp4 icmp4;
static struct wire_icmp6 icmp6;
static struct wire_embedded quoted;
static struct wire_nd_ra ra;
static struct wire_nd_ns ns;
static struct wire_nd_na na;
static struct wire_nd_rs rs;
static struct wire_nd_redirect redirect;
static struct wire_group group;

static int parse_icmp4(const uint8_t *data, size_t len_bytes)
{
	assert_true(wire_round_upper(PORT_FAMILY_4, WIRE_PROTO_ICMP4, data, len_bytes) || len_bytes < 8 ||
		    data[0] != 8);
	return wire_icmp4_parse(data, len_bytes, &icmp4);
}

static int parse_icmp6(const uint8_t *data, size_t len_bytes)
{
	(void)wire_round_upper(PORT_FAMILY_6, WIRE_PROTO_ICMP6, data, len_bytes);
	return wire_icmp6_parse(data, len_bytes, &icmp6);
}

static int parse_quoted4(const uint8_t *data, size_t len_bytes)
{
	return wire_embedded_parse(PORT_FAMILY_4, (struct wire_slice){data, len_bytes}, &quoted);
}

static int parse_quoted6(const uint8_t *data, size_t len_bytes)
{
	return wire_embedded_parse(PORT_FAMILY_6, (struct wire_slice){data, len_bytes}, &quoted);
}

#define PARSE_ND(kind)                                                                                   \
	static int parse_##kind(const uint8_t *data, size_t len_bytes)                                   \
	{                                                                                                \
		int r = wire_nd_##kind##_parse(data, len_bytes, &kind);                                  \
                                                                                                         \
		if (r == 0)                                                                              \
			assert_true(wire_round_upper(PORT_FAMILY_6, WIRE_PROTO_ICMP6, data, len_bytes)); \
		return r;                                                                                \
	}
PARSE_ND(rs)
PARSE_ND(ra)
PARSE_ND(ns)
PARSE_ND(na)
PARSE_ND(redirect)

static int parse_igmp(const uint8_t *data, size_t len_bytes)
{
	(void)wire_round_upper(PORT_FAMILY_4, WIRE_PROTO_IGMP, data, len_bytes);
	return wire_igmp_parse(data, len_bytes, &group);
}

static int parse_mld(const uint8_t *data, size_t len_bytes)
{
	if (len_bytes && data[0] != 0xff)
		(void)wire_round_upper(PORT_FAMILY_6, WIRE_PROTO_ICMP6, data, len_bytes);
	return wire_mld_parse(data, len_bytes, &group);
}

static void echo4(void)
{
	assert_int_equal(icmp4.type, WIRE_ICMP4_ECHO);
	assert_int_equal(icmp4.id, 0x1234);
	assert_int_equal(icmp4.seq, 9);
	assert_int_equal(icmp4.payload.len_bytes, 3);
}

static void needs_1280(void)
{
	assert_int_equal(icmp4.mtu, 1280);
	assert_int_equal(icmp4.payload.len_bytes, 1);
}

static void needs_nothing_said(void)
{
	assert_int_equal(icmp4.mtu, 0);
}

static void no_mtu(void)
{
	assert_int_equal(icmp4.code, WIRE_ICMP4_UNREACHABLE_PORT);
	assert_int_equal(icmp4.mtu, 0);
}

static void pointer_20(void)
{
	assert_int_equal(icmp4.pointer, 20);
}

static void echo6(void)
{
	assert_int_equal(icmp6.id, 0x1234);
	assert_int_equal(icmp6.seq, 9);
	assert_int_equal(icmp6.payload.len_bytes, 3);
}

static void mtu_of_32_bits(void)
{
	assert_int_equal(icmp6.mtu, 0x80000001);
}

static void pointer_40(void)
{
	assert_int_equal(icmp6.pointer, 40);
	assert_int_equal(icmp6.code, 1);
}

static void unknown_error(void)
{
	assert_int_equal(icmp6.type, 100);
	assert_true(wire_icmp6_is_error(icmp6.type));
	assert_int_equal(icmp6.payload.len_bytes, 4);
}

static void discovery(void)
{
	assert_int_equal(icmp6.payload.len_bytes, 0);
}

static const struct wire_row icmp_rows[] = {
	{"an echo request", "0800 0000 1234 0009 616263", parse_icmp4, 0, echo4},
	{"S3: seven octets of one", "0800 0000 1234 00", parse_icmp4, -EBADMSG, NULL},
	{"fragmentation needed, 1280", "0304 0000 0000 0500 45", parse_icmp4, 0, needs_1280},
	{"fragmentation needed, an old router", "0304 0000 0000 0000", parse_icmp4, 0, needs_nothing_said},
	{"port unreachable has no MTU", "0303 0000 ffff ffff", parse_icmp4, 0, no_mtu},
	{"a parameter problem", "0c00 0000 14 000000 45", parse_icmp4, 0, pointer_20},
	{"time exceeded", "0b00 0000 00000000 45", parse_icmp4, 0, NULL},
	{"source quench is not believed (RFC 6633)", "0400 0000 00000000 45", parse_icmp4, -EPROTONOSUPPORT, NULL},
	{"a redirect is not", "0501 0000 0a000001 45", parse_icmp4, -EPROTONOSUPPORT, NULL},
	{"a timestamp is not answered", "0d00 0000 1234 0009 x12", parse_icmp4, -EPROTONOSUPPORT, NULL},
	{"an unknown type", "ff00 0000 00000000", parse_icmp4, -EPROTONOSUPPORT, NULL},
	{"an echo request of IPv6", "8000 0000 1234 0009 616263", parse_icmp6, 0, echo6},
	{"S3: seven octets of it", "8000 0000 1234 00", parse_icmp6, -EBADMSG, NULL},
	{"packet too big says 32 bits", "0200 0000 80000001 60", parse_icmp6, 0, mtu_of_32_bits},
	{"a parameter problem of IPv6", "0401 0000 00000028 60", parse_icmp6, 0, pointer_40},
	{"an unknown error is for who sent the packet (RFC 4443, 2.4 (a))", "6400 0000 00000000 60000000", parse_icmp6,
	 0, unknown_error},
	{"unknown information is not for us (b)", "c800 0000 00000000", parse_icmp6, -EPROTONOSUPPORT, NULL},
	{"a neighbour solicitation is nd.h's", "8700 0000 00000000 fd000000000000000000000000000002", parse_icmp6, 0,
	 discovery},
};

#define Q4 "0a000001 0a000002"

static void quoted_tcp(void)
{
	assert_int_equal(quoted.proto, WIRE_PROTO_TCP);
	assert_int_equal(quoted.src.b[15], 1);
	assert_int_equal(quoted.dst.b[15], 2);
	assert_int_equal(quoted.src_port, 40000);
	assert_int_equal(quoted.dst_port, 80);
	assert_int_equal(quoted.seq, 0x11223344);
	assert_int_equal(quoted.n_known, 8);
	assert_int_equal(quoted.total_bytes, 1500);
	assert_int_equal(quoted.id, 0xbeef);
	assert_false(quoted.fragment);
	assert_int_equal(quoted.transport.len_bytes, 8);
}

static void quoted_ports_only(void)
{
	assert_int_equal(quoted.n_known, 7);
	assert_int_equal(quoted.src_port, 40000);
	assert_int_equal(quoted.seq, 0);
}

static void quoted_nothing(void)
{
	assert_int_equal(quoted.n_known, 0);
	assert_int_equal(quoted.src_port, 0);
}

static void quoted_behind_options(void)
{
	assert_int_equal(quoted.header_bytes, 24);
	assert_int_equal(quoted.src_port, 40000);
	assert_int_equal(quoted.udp_bytes, 0x20);
}

static void quoted_has_no_ports(void)
{
	assert_int_equal(quoted.src_port, 0);
	assert_int_equal(quoted.dst_port, 0);
}

static void quoted_later(void)
{
	assert_true(quoted.fragment && quoted.later_fragment);
	quoted_nothing();
}

static void quoted_echo(void)
{
	assert_int_equal(quoted.icmp_type, WIRE_ICMP4_ECHO);
	assert_int_equal(quoted.src_port, 0x1234);
	assert_int_equal(quoted.dst_port, 9);
}

static void quoted_no_echo(void)
{
	assert_int_equal(quoted.icmp_type, WIRE_ICMP4_UNREACHABLE);
	quoted_has_no_ports();
}

static void quoted_no_echo6(void)
{
	assert_int_equal(quoted.icmp_type, WIRE_ICMP6_TOO_BIG);
	quoted_has_no_ports();
}

static void quoted_echo6(void)
{
	assert_int_equal(quoted.icmp_type, WIRE_ICMP6_ECHO_REPLY);
	assert_int_equal(quoted.src_port, 0x1234);
}

static void quoted_four(void)
{
	assert_int_equal(quoted.n_known, 4);
	assert_int_equal(quoted.dst_port, 80);
}

static void quoted_three(void)
{
	assert_int_equal(quoted.n_known, 3);
	quoted_has_no_ports();
}

static void quoted_udp6(void)
{
	assert_int_equal(quoted.proto, WIRE_PROTO_UDP);
	assert_int_equal(quoted.header_bytes, 56);
	assert_int_equal(quoted.src_port, 40000);
	assert_int_equal(quoted.total_bytes, 40 + 1460);
	assert_false(quoted.later_fragment);
}

static void quoted_class(void)
{
	assert_int_equal(quoted.tos, 0xb8);
	assert_int_equal(quoted.flow_label, 0xa1234);
	assert_int_equal(quoted.header_bytes, 104);
}

#define Q6(next, rest) "6b8a1234 05b4" next "40 fd000000000000000000000000000001 fd000000000000000000000000000002" rest

static const struct wire_row quoted_rows[] = {
	{"S13: TCP cut behind 8 octets", "4500 05dc beef 4000 01 06 ffff" Q4 "9c40 0050 11223344", parse_quoted4, 0,
	 quoted_tcp},
	{"S13: cut before", "4500 05dc 0000 4000 01 06 ffff" Q4 "9c40 0050 112233", parse_quoted4, 0,
	 quoted_ports_only},
	{"S13: cut behind IP", "4500 05dc 0000 4000 01 06 ffff" Q4, parse_quoted4, 0, quoted_nothing},
	{"S13: cut within IP", "4500 05dc 0000 4000 01 06 ffff 0a000001 0a0000", parse_quoted4, -EBADMSG, NULL},
	{"S13: IP options are passed over", "4600 05dc 0000 4000 01 11 ffff" Q4 "94040000 9c40 0050 0020 0000",
	 parse_quoted4, 0, quoted_behind_options},
	{"S3: a header length beyond what is quoted", "4f00 05dc 0000 4000 01 11 ffff" Q4 "94040000", parse_quoted4,
	 -EBADMSG, NULL},
	{"S3: a header length of 4 words", "4400 05dc 0000 4000 01 11 ffff" Q4 "94040000", parse_quoted4, -EBADMSG,
	 NULL},
	{"S13: a later fragment has no ports", "4500 05dc 0000 00b9 01 11 ffff" Q4 "9c40 0050 0020 0000", parse_quoted4,
	 0, quoted_later},
	{"an echo's number is its port", "4500 0054 0000 4000 01 01 ffff" Q4 "0800 0000 1234 0009", parse_quoted4, 0,
	 quoted_echo},
	{"an unreachable message has no number", "4500 0054 0000 4000 01 01 ffff" Q4 "0301 0000 1234 0009",
	 parse_quoted4, 0, quoted_no_echo},
	{"four octets of UDP are its ports", "4500 0054 0000 4000 01 11 ffff" Q4 "9c40 0050", parse_quoted4, 0,
	 quoted_four},
	{"three are none", "4500 0054 0000 4000 01 11 ffff" Q4 "9c40 00", parse_quoted4, 0, quoted_three},
	{"an echo of IPv6", Q6("3a", "8100 0000 1234 0009"), parse_quoted6, 0, quoted_echo6},
	{"packet too big has no number", Q6("3a", "0200 0000 1234 0009"), parse_quoted6, 0, quoted_no_echo6},
	{"IPv6 with a mapped source",
	 "60000000 05b4 1140 00000000000000000000ffff0a000001 fd000000000000000000000000000002 x8", parse_quoted6,
	 -EBADMSG, NULL},
	{"IPv6 in the place of IPv4", Q6("11", "9c40 0050 0020 0000"), parse_quoted4, -EBADMSG, NULL},
	{"IPv6 with headers", Q6("3c", "2c00 010400000000 1100 0001 11223344 9c40 0050 0020 0000"), parse_quoted6, 0,
	 quoted_udp6},
	{"IPv6, a chain cut", Q6("3c", "1101 010400000000"), parse_quoted6, -EBADMSG, NULL},
	{"S13: IPv6 cut within its header",
	 "60000000 05b4 1140 fd000000000000000000000000000001 fd0000000000000000000000000000", parse_quoted6, -EBADMSG,
	 NULL},
	{"IPv4 in the place of IPv6", "4500 05dc 0000 4000 01 06 ffff" Q4 "x20", parse_quoted6, -EBADMSG, NULL},
	{"IPv6, a fragment header cut", Q6("2c", "1100 0001 112233"), parse_quoted6, -EBADMSG, NULL},
	{"IPv6, eight headers",
	 Q6("3c",
	    "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
	    "1100010400000000 x8"),
	 parse_quoted6, 0, quoted_class},
	{"IPv6, nine",
	 Q6("3c",
	    "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
	    "3c00010400000000 1100010400000000 x8"),
	 parse_quoted6, -EBADMSG, NULL},
	{"IPv6, a later fragment", Q6("2c", "1100 05a8 11223344 9c40 0050 0020 0000"), parse_quoted6, 0, quoted_later},
	{"S2: IPv6, a chain of ten",
	 Q6("3c",
	    "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
	    "3c00010400000000 3c00010400000000 1100010400000000 x8"),
	 parse_quoted6, -EBADMSG, NULL},
};

#define ME "fd000000000000000000000000000001"
#define YOU "fd000000000000000000000000000002"
#define ROUTER "fe80000000000000000000000000000f"
#define RA "8600 0000 40 c8 0708 00007530 000003e8"
#define PREFIX(bits, flags, valid, preferred, prefix) "0304" bits flags valid preferred "00000000" prefix
#define DOC "20010db8000100020000000000000000"

static void ra_is_whole(void)
{
	assert_int_equal(ra.hops, 64);
	assert_true(ra.managed && ra.other);
	assert_int_equal(ra.preference, WIRE_ND_HIGH);
	assert_int_equal(ra.lifetime_s, 1800);
	assert_int_equal(ra.reachable_ms, 30000);
	assert_int_equal(ra.retrans_ms, 1000);
	assert_int_equal(ra.options.has, WIRE_ND_HAS_SOURCE_MAC | WIRE_ND_HAS_MTU);
	assert_int_equal(ra.options.mtu, 1400);
	assert_int_equal(ra.options.n_prefixes, 1);
	assert_int_equal(ra.options.prefixes[0].prefix_bits, 64);
	assert_true(ra.options.prefixes[0].on_link && ra.options.prefixes[0].autonomous);
	assert_int_equal(ra.options.prefixes[0].valid_s, WIRE_ND_INFINITE_S);
	assert_int_equal(ra.options.prefixes[0].preferred_s, 604800);
	assert_int_equal(ra.options.prefixes[0].prefix.b[7], 2);
	assert_int_equal(ra.options.n_ignored, 0);
}

static void ra_prefix_ignored(void)
{
	assert_int_equal(ra.options.n_prefixes, 0);
	assert_int_equal(ra.options.n_ignored, 1);
}

static void ra_prefix_cleared(void)
{
	static const uint8_t want[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0xfe};

	assert_int_equal(ra.options.n_prefixes, 1);
	assert_memory_equal(ra.options.prefixes[0].prefix.b, want, 16);
}

static void ra_long_prefix(void)
{
	assert_int_equal(ra.options.n_prefixes, 1);
	assert_int_equal(ra.options.prefixes[0].prefix_bits, 128);
	assert_int_equal(ra.options.prefixes[0].prefix.b[15], 1);
}

static void ra_eight_prefixes(void)
{
	assert_int_equal(ra.options.n_prefixes, WIRE_ND_PREFIXES_MAX);
	assert_int_equal(ra.options.n_ignored, 1);
}

static void ra_is_medium(void)
{
	assert_int_equal(ra.preference, WIRE_ND_MEDIUM);
}

static void ra_has_nothing(void)
{
	assert_int_equal(ra.options.has, 0);
	assert_int_equal(ra.options.n_ignored, 0);
}

static void ra_odd_mac(void)
{
	assert_int_equal(ra.options.has, 0);
	assert_int_equal(ra.options.n_ignored, 1);
}

static void ns_asks_you(void)
{
	assert_int_equal(ns.target.b[15], 2);
	assert_int_equal(ns.options.has, WIRE_ND_HAS_SOURCE_MAC);
	assert_int_equal(ns.options.source_mac[5], 0x0a);
}

static void ns_first_counts(void)
{
	assert_int_equal(ns.options.source_mac[5], 0x0a);
}

static void ns_has_nonce(void)
{
	assert_int_equal(ns.options.has, WIRE_ND_HAS_NONCE);
	assert_int_equal(ns.options.nonce[5], 6);
}

static void na_says(void)
{
	assert_true(na.router && na.solicited && !na.override);
	assert_int_equal(na.options.target_mac[5], 0x0b);
}

static void rs_is_bare(void)
{
	assert_int_equal(rs.options.has, 0);
}

static void redirect_quotes(void)
{
	assert_int_equal(redirect.options.redirected.len_bytes, 8);
	assert_true(port_addr_is_linklocal6(&redirect.target));
	assert_int_equal(redirect.dst.b[15], 2);
}

static void redirect_odd(void)
{
	assert_int_equal(redirect.options.has, 0);
	assert_int_equal(redirect.options.n_ignored, 1);
}

#define ONE_PREFIX PREFIX("40", "c0", "ffffffff", "00093a80", DOC)

static const struct wire_row nd_rows[] = {
	{"a router advertisement", RA "0101 02000000000f 0501 0000 00000578" ONE_PREFIX, parse_ra, 0, ra_is_whole},
	{"one without options", RA, parse_ra, 0, ra_has_nothing},
	{"S19: an option of length 0", RA "0100 02000000000f", parse_ra, -EBADMSG, NULL},
	{"S19: one of length 0 that nobody knows", RA "ff00 02000000000f", parse_ra, -EBADMSG, NULL},
	{"S19: one that reaches past the message", RA "0102 02000000000f", parse_ra, -EBADMSG, NULL},
	{"S19: one cut behind its kind", RA "01", parse_ra, -EBADMSG, NULL},
	{"S19: nine prefixes, eight are kept",
	 RA ONE_PREFIX ONE_PREFIX ONE_PREFIX ONE_PREFIX ONE_PREFIX ONE_PREFIX ONE_PREFIX ONE_PREFIX ONE_PREFIX,
	 parse_ra, 0, ra_eight_prefixes},
	{"a prefix of 128 bits", RA PREFIX("80", "c0", "00000001", "00000001", ME), parse_ra, 0, ra_long_prefix},
	{"a prefix of 129 bits", RA PREFIX("81", "c0", "ffffffff", "00093a80", DOC), parse_ra, 0, ra_prefix_ignored},
	{"preferred longer than valid (RFC 4862, 5.5.3 (c))", RA PREFIX("40", "c0", "00093a7f", "00093a80", DOC),
	 parse_ra, 0, ra_prefix_ignored},
	{"a multicast prefix", RA PREFIX("40", "c0", "ffffffff", "00093a80", "ff02000000000000 0000000000000000"),
	 parse_ra, 0, ra_prefix_ignored},
	{"IPv4's mapped prefix", RA PREFIX("60", "c0", "ffffffff", "00093a80", "0000000000000000 0000ffff00000000"),
	 parse_ra, 0, ra_prefix_ignored},
	{"bits behind the prefix are cleared",
	 RA PREFIX("3f", "c0", "ffffffff", "00093a80", "20010db8000100ff ffffffffffffffff"), parse_ra, 0,
	 ra_prefix_cleared},
	{"the reserved preference is medium (RFC 4191, 2.1)", "8600 0000 40 10 0708 00007530 000003e8", parse_ra, 0,
	 ra_is_medium},
	{"RDNSS is passed over", RA "1903 0000 00000e10" ME, parse_ra, 0, ra_has_nothing},
	{"a link address of 14 octets", RA "0102 02000000000f 0000000000000000", parse_ra, 0, ra_odd_mac},
	{"15 octets of an advertisement", "8600 0000 40 c8 0708 00007530 000003", parse_ra, -EBADMSG, NULL},
	{"code 1", "8601 0000 40 c8 0708 00007530 000003e8", parse_ra, -EBADMSG, NULL},
	{"another type", "8500 0000 40 c8 0708 00007530 000003e8", parse_ra, -EBADMSG, NULL},
	{"a solicitation", "8700 0000 00000000" YOU "0101 02000000000a", parse_ns, 0, ns_asks_you},
	{"the first link address counts", "8700 0000 00000000" YOU "0101 02000000000a 0101 02000000000b", parse_ns, 0,
	 ns_first_counts},
	{"a solicitation with a nonce", "8700 0000 00000000" YOU "0e01 010203040506", parse_ns, 0, ns_has_nonce},
	{"of a group", "8700 0000 00000000 ff020000000000000000000000000001", parse_ns, -EBADMSG, NULL},
	{"of nobody", "8700 0000 00000000 00000000000000000000000000000000", parse_ns, -EBADMSG, NULL},
	{"of a mapped address", "8700 0000 00000000 00000000000000000000ffff0a000001", parse_ns, -EBADMSG, NULL},
	{"23 octets of a solicitation", "8700 0000 00000000 fd0000000000000000000000000000", parse_ns, -EBADMSG, NULL},
	{"S19: a solicitation with an option of length 0", "8700 0000 00000000" YOU "0000", parse_ns, -EBADMSG, NULL},
	{"an advertisement", "8800 0000 c0000000" YOU "0201 02000000000b", parse_na, 0, na_says},
	{"an advertisement of a group", "8800 0000 e0000000 ff020000000000000000000000000001", parse_na, -EBADMSG,
	 NULL},
	{"a router solicitation", "8500 0000 00000000", parse_rs, 0, rs_is_bare},
	{"seven octets of one", "8500 0000 000000", parse_rs, -EBADMSG, NULL},
	{"a redirect", "8900 0000 00000000" ROUTER YOU "0201 02000000000f 0402 000000000000 6000000000000000",
	 parse_redirect, 0, redirect_quotes},
	{"a redirect with two packets: the first counts",
	 "8900 0000 00000000" ROUTER YOU
	 "0402 000000000000 6000000000000000 0403 000000000000 60000000000000006000000000000000",
	 parse_redirect, 0, redirect_quotes},
	{"a redirect with a packet of no octets", "8900 0000 00000000" ROUTER YOU "0401 000000000000", parse_redirect,
	 0, redirect_odd},
	{"a redirect to a far router (RFC 4861, 8.1)", "8900 0000 00000000" ME YOU, parse_redirect, -EBADMSG, NULL},
	{"a redirect of a group", "8900 0000 00000000" ROUTER "ff020000000000000000000000000001", parse_redirect,
	 -EBADMSG, NULL},
};

#define G4 "ef010203"
#define G6 "ff020000000000000000000000010003"

static void query_1(void)
{
	assert_int_equal(group.kind, WIRE_GROUP_QUERY);
	assert_int_equal(group.version, 1);
}

static void query_2(void)
{
	assert_int_equal(group.version, 2);
	assert_int_equal(group.max_response_ms, 10000);
	assert_true(port_addr_is_any(&group.address));
}

static void query_3(void)
{
	assert_int_equal(group.version, 3);
	assert_int_equal(group.max_response_ms, 100 * (0x1f << 10)); /* code 0xff */
	assert_true(group.suppress);
	assert_int_equal(group.robustness, 2);
	assert_int_equal(group.query_interval_s, 125);
	assert_int_equal(group.n_sources, 2);
	assert_int_equal(wire_group_source(PORT_FAMILY_4, group.body, 1).b[15], 9);
}

static void leaves(void)
{
	assert_int_equal(group.kind, WIRE_GROUP_LEAVE);
	assert_int_equal(group.address.b[15], 3);
}

static void reports_two(void)
{
	struct wire_slice rest = group.body;
	struct wire_group_record r;

	assert_int_equal(group.kind, WIRE_GROUP_REPORT3);
	assert_int_equal(group.n_records, 2);
	assert_true(wire_group_record_next(PORT_FAMILY_4, &rest, &r));
	assert_int_equal(r.change, WIRE_GROUP_TO_EXCLUDE);
	assert_int_equal(r.n_sources, 0);
	assert_true(wire_group_record_next(PORT_FAMILY_4, &rest, &r));
	assert_int_equal(r.change, WIRE_GROUP_ALLOW);
	assert_int_equal(r.n_sources, 1);
	assert_int_equal(wire_group_source(PORT_FAMILY_4, r.sources, 0).b[15], 9);
	assert_false(wire_group_record_next(PORT_FAMILY_4, &rest, &r));
}

static void mld_query_1(void)
{
	assert_int_equal(group.version, 2);
	assert_int_equal(group.max_response_ms, 10000);
	assert_int_equal(group.address.b[15], 3);
}

static void mld_query_2(void)
{
	assert_int_equal(group.version, 3);
	assert_int_equal(group.max_response_ms, (0x123 + 0x1000) << 4); /* code 0x9123 */
	assert_int_equal(group.n_sources, 1);
}

static void mld_reports(void)
{
	assert_int_equal(group.kind, WIRE_GROUP_REPORT2);
	assert_int_equal(group.address.b[0], 0xff);
}

static void mld_report_2(void)
{
	struct wire_slice rest = group.body;
	struct wire_group_record r;
	struct port_addr a;

	assert_int_equal(group.n_records, 2);
	assert_true(wire_group_record_next(PORT_FAMILY_6, &rest, &r));
	assert_true(r.change == WIRE_GROUP_ALLOW && r.n_sources == 1);
	assert_true(wire_group_record_next(PORT_FAMILY_6, &rest, &r));
	assert_true(r.change == WIRE_GROUP_BLOCK && r.n_sources == 1);
	a = wire_group_source(PORT_FAMILY_6, r.sources, 0);
	assert_true(a.b[0] == 0xfd && a.b[15] == 1);
	assert_false(wire_group_record_next(PORT_FAMILY_6, &rest, &r));
}

static const struct wire_row group_rows[] = {
	{"IGMPv1 query", "1100 0000 00000000", parse_igmp, 0, query_1},
	{"IGMPv2 query", "1164 0000 00000000", parse_igmp, 0, query_2},
	{"IGMPv3 query", "11ff 0000" G4 "0a 7d 0002 0a000008 0a000009", parse_igmp, 0, query_3},
	{"a query of 9 octets is of no version", "1164 0000 00000000 00", parse_igmp, -EBADMSG, NULL},
	{"more sources than there are octets", "1164 0000" G4 "0a 7d 0002 0a000008 0a0000", parse_igmp, -EBADMSG, NULL},
	{"65535 sources", "1164 0000" G4 "0a 7d ffff 0a000008 0a000009", parse_igmp, -EBADMSG, NULL},
	{"a query of what is no group", "1164 0000 0a000001", parse_igmp, -EBADMSG, NULL},
	{"IGMPv2 leave", "1700 0000" G4, parse_igmp, 0, leaves},
	{"a leave of nothing", "1700 0000 00000000", parse_igmp, -EBADMSG, NULL},
	{"seven octets", "1700 0000 ef0102", parse_igmp, -EBADMSG, NULL},
	{"IGMPv3 report, with auxiliary data", "2200 0000 0000 0002 04 01 0000" G4 "aaaaaaaa 05 00 0001" G4 "0a000009",
	 parse_igmp, 0, reports_two},
	{"more records than there are octets", "2200 0000 0000 0003 04 00 0000" G4 "05 00 0001" G4 "0a000009",
	 parse_igmp, -EBADMSG, NULL},
	{"65535 records in none", "2200 0000 0000 ffff", parse_igmp, -EBADMSG, NULL},
	{"auxiliary data past the end", "2200 0000 0000 0001 04 ff 0000" G4, parse_igmp, -EBADMSG, NULL},
	{"a record of what is no group", "2200 0000 0000 0001 04 00 0000 0a000001", parse_igmp, -EBADMSG, NULL},
	{"DVMRP is not for us", "1300 0000 00000000", parse_igmp, -EPROTONOSUPPORT, NULL},
	{"MLDv1 query", "8200 0000 2710 0000" G6, parse_mld, 0, mld_query_1},
	{"MLDv2 query", "8200 0000 9123 0000" G6 "0a 7d 0001" ME, parse_mld, 0, mld_query_2},
	{"a query of 25 octets is of no version", "8200 0000 2710 0000" G6 "00", parse_mld, -EBADMSG, NULL},
	{"MLDv1 report", "8300 0000 0000 0000" G6, parse_mld, 0, mld_reports},
	{"23 octets", "8300 0000 0000 0000 ff0200000000000000000000000100", parse_mld, -EBADMSG, NULL},
	{"a mapped group", "8300 0000 0000 0000 00000000000000000000ffffef010203", parse_mld, -EBADMSG, NULL},
	{"a mapped group in a record", "8f00 0000 0000 0001 04 00 0000 00000000000000000000ffffef010203", parse_mld,
	 -EBADMSG, NULL},
	{"S1: a record with more sources than there are octets", "2200 0000 0000 0001 05 00 0002" G4 "0a000008 0a0000",
	 parse_igmp, -EBADMSG, NULL},
	{"S1: a record with 65535 sources", "2200 0000 0000 0001 05 00 ffff" G4 "0a000008", parse_igmp, -EBADMSG, NULL},
	{"S1: sources that reach into the next record", "2200 0000 0000 0002 05 00 0002" G4 "0a000008 05 00 0000" G4,
	 parse_igmp, -EBADMSG, NULL},
	{"S1: an MLDv2 query with more sources than there are octets", "8200 0000 9123 0000" G6 "0a 7d 0002" ME,
	 parse_mld, -EBADMSG, NULL},
	{"S1: an MLDv2 query with 65535 sources", "8200 0000 9123 0000" G6 "0a 7d ffff" ME, parse_mld, -EBADMSG, NULL},
	{"S1: an MLDv2 record with more sources than there are octets", "8f00 0000 0000 0001 05 00 0002" G6 ME,
	 parse_mld, -EBADMSG, NULL},
	{"MLDv2 report with sources", "8f00 0000 0000 0002 05 00 0001" G6 ME "06 01 0001" G6 ME "aaaaaaaa", parse_mld,
	 0, mld_report_2},
	{"another message", "8000 0000 2710 0000" G6, parse_mld, -EPROTONOSUPPORT, NULL},
};

static void solicited_node(void **state)
{
	const struct port_addr a = {.b = {0xfd, [12] = 0x12, 0xaa, 0xbb, 0xcc}};
	const struct port_addr want = {.b = {0xff, 2, [11] = 1, 0xff, 0xaa, 0xbb, 0xcc}};
	struct port_addr got = wire_nd_solicited_node(&a);

	(void)state;
	assert_true(port_addr_equal(&got, &want));
}

static void emit_says_what_does_not_fit(void **state)
{
	struct wire_icmp4 i4 = {.type = WIRE_ICMP4_ECHO};
	struct wire_icmp6 i6 = {.type = WIRE_ICMP6_ECHO};
	struct wire_nd_ns m = {.options = {.has = WIRE_ND_HAS_SOURCE_MAC}};
	struct wire_nd_redirect big = {.options = {.has = WIRE_ND_HAS_REDIRECTED, .redirected = {NULL, 255 * 8}}};
	struct wire_group g = {.kind = WIRE_GROUP_LEAVE, .address = port_addr_v4(239, 1, 2, 3)};
	static uint8_t large[3000];
	uint8_t buf[32];

	(void)state;
	assert_int_equal(wire_icmp4_emit(&i4, buf, 7), -ENOBUFS);
	assert_int_equal(wire_icmp6_emit(&i6, buf, 7), -ENOBUFS);
	for (size_t n = 0; n < 32; n++)
		assert_int_equal(wire_nd_ns_emit(&m, buf, n), -ENOBUFS);
	assert_int_equal(wire_nd_ns_emit(&m, buf, 32), 32);
	assert_int_equal(wire_nd_redirect_emit(&big, large, sizeof(large)), -EMSGSIZE);
	big.options.redirected = (struct wire_slice){row_octets, 254 * 8};
	assert_int_equal(wire_nd_redirect_emit(&big, large, sizeof(large)), 40 + 255 * 8);
	assert_int_equal(large[41], 255);
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(wire_igmp_emit(&g, buf, n), -ENOBUFS);
	assert_int_equal(wire_igmp_emit(&g, buf, 8), 8);
}

/* Every code of the short floating point forms is said again as itself. */
static void times_come_back(void **state)
{
	struct wire_group g = {.kind = WIRE_GROUP_QUERY, .version = 3, .address = PORT_ADDR_ANY4}, again;
	uint8_t a[28], b[28];

	(void)state;
	for (unsigned code = 0; code < 256; code++) {
		assert_int_equal(wire_igmp_emit(&g, a, sizeof(a)), 12);
		a[1] = a[9] = (uint8_t)code;
		assert_int_equal(wire_igmp_parse(a, 12, &again), 0);
		assert_int_equal(wire_igmp_emit(&again, b, sizeof(b)), 12);
		assert_memory_equal(a, b, 12);
	}
	g.address = PORT_ADDR_ANY6;
	for (unsigned code = 0; code < 65536; code += 7) {
		assert_int_equal(wire_mld_emit(&g, a, sizeof(a)), 28);
		wire_put16(a + 4, (uint16_t)code);
		assert_int_equal(wire_mld_parse(a, 28, &again), 0);
		assert_int_equal(wire_mld_emit(&again, b, sizeof(b)), 28);
		assert_memory_equal(a, b, 28);
	}
	g.query_interval_s = g.max_response_ms = UINT32_MAX; /* the largest there is */
	assert_int_equal(wire_mld_emit(&g, a, sizeof(a)), 28);
	assert_int_equal(a[25], 0xff);
	assert_int_equal(wire_get16(a + 4), 0xffff);
	g = (struct wire_group){.kind = WIRE_GROUP_QUERY,
				.version = 2,
				.address = PORT_ADDR_ANY4,
				.max_response_ms = 25600};
	assert_int_equal(wire_igmp_emit(&g, a, sizeof(a)), 8);
	assert_int_equal(a[1], 255); /* version 2 has no more to say */
	g = (struct wire_group){.kind = WIRE_GROUP_QUERY, .version = 3, .address = PORT_ADDR_ANY6};
	g.query_interval_s = 129; /* between two: the smaller */
	assert_int_equal(wire_mld_emit(&g, a, sizeof(a)), 28);
	assert_int_equal(a[25], 0x80);
}

static void errors_are_told_from_questions(void **state)
{
	static const uint8_t errors[] = {3, 4, 5, 11, 12};

	(void)state;
	for (unsigned type = 0, i = 0; type < 256; type++) {
		bool is_error = i < COUNT_OF(errors) && errors[i] == type;

		i += is_error;
		assert_int_equal(wire_icmp4_is_error((uint8_t)type), is_error);
		assert_int_equal(wire_icmp6_is_error((uint8_t)type), type < 128);
	}
}

/* What a type does not use is 0, whatever lay in the buffer or in the structure (RFC 792). */
static void unused_octets_are_zero(void **state)
{
	struct wire_icmp4 i4 = {.type = WIRE_ICMP4_TIME_EXCEEDED, .mtu = 7, .id = 7, .seq = 7, .pointer = 7};
	struct wire_icmp6 i6 = {.type = WIRE_ICMP6_UNREACHABLE, .mtu = 7, .id = 7, .seq = 7, .pointer = 7};
	struct wire_nd_ra m = {.hops = 64,
			       .preference = WIRE_ND_LOW,
			       .options = {.has = WIRE_ND_HAS_MTU, .mtu = 1400, .n_prefixes = 1}};
	uint8_t buf[72], want[72];
	size_t n;

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	hex("0b00 0000 00000000", want, sizeof(want));
	assert_int_equal(wire_icmp4_emit(&i4, buf, 8), 8);
	assert_memory_equal(buf, want, 8);
	i4.type = WIRE_ICMP4_UNREACHABLE;
	i4.code = WIRE_ICMP4_UNREACHABLE_PORT;
	memset(buf, 0xff, sizeof(buf));
	hex("0303 0000 00000000", want, sizeof(want));
	assert_int_equal(wire_icmp4_emit(&i4, buf, 8), 8);
	assert_memory_equal(buf, want, 8);
	memset(buf, 0xff, sizeof(buf));
	hex("0100 0000 00000000", want, sizeof(want));
	assert_int_equal(wire_icmp6_emit(&i6, buf, 8), 8);
	assert_memory_equal(buf, want, 8);
	m.options.prefixes[0] = (struct wire_nd_prefix){.prefix = {.b = {0xfd}}, .prefix_bits = 64, .on_link = true};
	memset(buf, 0xff, sizeof(buf));
	n = hex("8600 0000 40 18 0000 00000000 00000000 0501 0000 00000578 0304 40 80 00000000 00000000 00000000"
		"fd000000000000000000000000000000",
		want, sizeof(want));
	assert_int_equal(wire_nd_ra_emit(&m, buf, sizeof(buf)), n);
	assert_memory_equal(buf, want, n);
}

int main(void)
{
	static const struct {
		const struct wire_row *rows;
		size_t n;
	} tables[] = {{icmp_rows, COUNT_OF(icmp_rows)},
		      {quoted_rows, COUNT_OF(quoted_rows)},
		      {nd_rows, COUNT_OF(nd_rows)},
		      {group_rows, COUNT_OF(group_rows)}};
	struct CMUnitTest
		tests[COUNT_OF(icmp_rows) + COUNT_OF(quoted_rows) + COUNT_OF(nd_rows) + COUNT_OF(group_rows) + 5];
	size_t n = 0;

	for (size_t t = 0; t < COUNT_OF(tables); t++)
		for (size_t i = 0; i < tables[t].n; i++)
			tests[n++] = ROW_TEST(&tables[t].rows[i]);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(solicited_node);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(times_come_back);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(errors_are_told_from_questions);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(unused_octets_are_zero);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(emit_says_what_does_not_fit);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
