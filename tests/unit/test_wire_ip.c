/* tests/unit/test_wire_ip.c: Ethernet, ARP, IPv4 and IPv6: what is refused, and why (S1 to S4, S6). */
#include "wire_rows.h"

#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire_round.h"

static struct wire_eth eth;
static struct wire_arp arp;
static struct wire_ip4 ip4;
static struct wire_ip6 ip6;
static struct wire_ip6_problem problem;

static int parse_eth(const uint8_t *data, size_t len_bytes)
{
	int r = wire_eth_parse(data, len_bytes, &eth);

	if (r == 0) /* written again, it is the same: tag and all */
		assert_true(wire_round_frame(data, len_bytes) || eth.type != 0x0600);
	return r;
}

static int parse_arp(const uint8_t *data, size_t len_bytes)
{
	return wire_arp_parse(data, len_bytes, &arp);
}

static int parse_ip4(const uint8_t *data, size_t len_bytes)
{
	return wire_ip4_parse(data, len_bytes, &ip4);
}

static int parse_ip6(const uint8_t *data, size_t len_bytes)
{
	memset(&problem, 0xee, sizeof(problem));
	return wire_ip6_parse(data, len_bytes, &ip6, &problem);
}

#define MACS "02000000000b 02000000000a "

static void eth_is_tagged(void)
{
	assert_true(eth.tagged);
	assert_int_equal(eth.tag, 0x2005);
	assert_int_equal(eth.type, WIRE_ETH_IP4);
	assert_int_equal(eth.payload.len_bytes, 2);
}

static void eth_is_plain(void)
{
	assert_false(eth.tagged);
	assert_int_equal(eth.type, WIRE_ETH_IP6);
	assert_int_equal(eth.src[5], 0x0a);
	assert_int_equal(eth.dst[5], 0x0b);
	assert_int_equal(eth.payload.len_bytes, 0);
}

static void arp_is_probe(void)
{
	assert_int_equal(arp.op, WIRE_ARP_REQUEST);
	assert_true(port_addr_is_any(&arp.sender));
	assert_int_equal(arp.target.b[15], 2);
}

/* Length and fragment word, protocol, then options and payload. */
#define IP4(ver_len, total, frag, rest) ver_len "00" total "1234" frag "4006 0000 0a000001 0a000002" rest

static void ip4_is_trimmed(void)
{
	assert_int_equal(ip4.payload.len_bytes, 4);
	assert_int_equal(ip4.options.len_bytes, 0);
	assert_ptr_equal(ip4.payload.data, row_octets + 20);
	assert_int_equal(ip4.ttl, 0x40);
	assert_int_equal(ip4.proto, WIRE_PROTO_TCP);
	assert_int_equal(ip4.id, 0x1234);
	assert_true(ip4.df && !ip4.mf && !ip4.fragment_at);
	assert_false(ip4.checksum_good);
}

static void ip4_checksum_is_good(void)
{
	assert_true(ip4.checksum_good);
}

static void ip4_has_source_route(void)
{
	assert_int_equal(ip4.has, WIRE_IP4_SOURCE_ROUTE);
}

static void ip4_has_record_route(void)
{
	assert_int_equal(ip4.has, WIRE_IP4_RECORD_ROUTE);
}

static void ip4_has_alert(void)
{
	assert_int_equal(ip4.has, WIRE_IP4_ROUTER_ALERT);
}

static void ip4_has_alert_only(void)
{
	assert_int_equal(ip4.has, WIRE_IP4_ROUTER_ALERT);
	assert_int_equal(ip4.options.len_bytes, 8);
}

static void ip4_has_others(void)
{
	assert_int_equal(ip4.has, WIRE_IP4_TIMESTAMP | WIRE_IP4_OTHER);
}

static void ip4_is_last_fragment(void)
{
	assert_true(wire_ip4_is_fragment(&ip4) && !ip4.mf);
	assert_int_equal(ip4.fragment_at, 0x1ffb * 8);
}

static void ip4_is_inner(void)
{
	assert_int_equal(ip4.proto, 4);
	assert_int_equal(ip4.payload.len_bytes, 20);
}

static const struct wire_row link_rows[] = {
	{"a frame of 14 octets has no payload", MACS "86dd", parse_eth, 0, eth_is_plain},
	{"a frame of 13 octets is none", MACS "86", parse_eth, -EBADMSG, NULL},
	{"one 802.1Q tag is read", MACS "8100 2005 0800 4500", parse_eth, 0, eth_is_tagged},
	{"a tag is there as a whole", MACS "8100 2005 08", parse_eth, -EBADMSG, NULL},
	{"two tags are not for us", MACS "8100 2005 8100 0006 0800", parse_eth, -EPROTONOSUPPORT, NULL},
	{"a provider's tag is not for us", MACS "88a8 2005 0800", parse_eth, -EPROTONOSUPPORT, NULL},
	{"a length in place of the type is not for us", MACS "05dc aaaa03", parse_eth, -EPROTONOSUPPORT, NULL},
	{"the smallest type", MACS "0600 aa", parse_eth, 0, NULL},
	{"the largest length", MACS "05ff aa", parse_eth, -EPROTONOSUPPORT, NULL},
	{"a tag and the smallest type", MACS "8100 2005 0600 aa", parse_eth, 0, NULL},
	{"an ARP probe, with padding", "0001 0800 06 04 0001 02000000000a 00000000 000000000000 0a000002 x18",
	 parse_arp, 0, arp_is_probe},
	{"ARP of 27 octets is cut", "0001 0800 06 04 0001 02000000000a 00000000 000000000000 0a0000", parse_arp,
	 -EBADMSG, NULL},
	{"ARP with lengths that lie", "0001 0800 06 10 0001 02000000000a 00000000 000000000000 0a000002 x18", parse_arp,
	 -EBADMSG, NULL},
	{"ARP for another link", "0006 0800 06 04 0001 02000000000a 00000000 000000000000 0a000002", parse_arp,
	 -EPROTONOSUPPORT, NULL},
	{"ARP that is neither question nor answer", "0001 0800 06 04 0003 02000000000a 00000000 000000000000 0a000002",
	 parse_arp, -EPROTONOSUPPORT, NULL},
};

static const struct wire_row ip4_rows[] = {
	{"S1: padding of the frame is cut off", IP4("45", "0018", "4000", "x4 000000000000"), parse_ip4, 0,
	 ip4_is_trimmed},
	{"S1: a total length beyond the frame", IP4("45", "0019", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"S1: a total length of 65535 in a short frame", IP4("45", "ffff", "4000", "x40"), parse_ip4, -EBADMSG, NULL},
	{"S1: a total length below the header", IP4("45", "0013", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"S1: a total length of 0", IP4("45", "0000", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"S3: a header length of 4 words", IP4("44", "0018", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"S3: a header length of 0", IP4("40", "0018", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"S3: a header length beyond the total length", IP4("46", "0014", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"S3: a header length beyond the packet", IP4("4f", "0018", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"another version", IP4("65", "0018", "4000", "x4"), parse_ip4, -EBADMSG, NULL},
	{"19 octets", "45 00 0014 1234 4000 4006 0000 0a000001 0a0000", parse_ip4, -EBADMSG, NULL},
	{"no octets", "", parse_ip4, -EBADMSG, NULL},
	{"a good checksum", "4500003c83f740004006a2c20a0000010a000002 x40", parse_ip4, 0, ip4_checksum_is_good},
	{"S2: an option of length 0", IP4("46", "0018", "4000", "07000000"), parse_ip4, -EBADMSG, NULL},
	{"S2: an option of length 1", IP4("46", "0018", "4000", "01070101"), parse_ip4, -EBADMSG, NULL},
	{"S2: an option of length 2", IP4("46", "0018", "4000", "94020101"), parse_ip4, 0, ip4_has_alert},
	{"S2: an option that reaches past the header", IP4("46", "001c", "4000", "07050000 x4"), parse_ip4, -EBADMSG,
	 NULL},
	{"S2: an option cut behind its kind", IP4("46", "0018", "4000", "01010107"), parse_ip4, -EBADMSG, NULL},
	{"S6: loose source route is told", IP4("47", "001c", "4000", "8307040a00000900"), parse_ip4, 0,
	 ip4_has_source_route},
	{"S6: strict source route is told", IP4("47", "001c", "4000", "8907040a00000900"), parse_ip4, 0,
	 ip4_has_source_route},
	{"S6: record route is told", IP4("47", "001c", "4000", "0707040000000000"), parse_ip4, 0, ip4_has_record_route},
	{"S6: IP in IP is a protocol like others", "4500 0028 1234 0000 4004 0000 0a000001 0a000002 4500 x18",
	 parse_ip4, 0, ip4_is_inner},
	{"octets behind the end of options are no options", IP4("47", "001c", "4000", "94040000 00 070000"), parse_ip4,
	 0, ip4_has_alert_only},
	{"timestamps and unknown options are told", IP4("47", "001c", "4000", "44040500 9e040000"), parse_ip4, 0,
	 ip4_has_others},
	{"the last fragment there can be", IP4("45", "0027", "1ffb", "x19"), parse_ip4, 0, ip4_is_last_fragment},
	{"one octet more", IP4("45", "0028", "1ffb", "x20"), parse_ip4, -EBADMSG, NULL},
	{"a fragment past 65535 octets", IP4("45", "001c", "1ffd", "x8"), parse_ip4, -EBADMSG, NULL},
	{"the furthest offset", IP4("45", "0014", "1fff", ""), parse_ip4, -EBADMSG, NULL},
};

#define SRC "fd000000000000000000000000000001"
#define DST "fd000000000000000000000000000002"
#define GROUP "ff020000000000000000000000000001"
#define IP6(len, next, rest) "60000000" len next "40" SRC DST rest
#define IP6_TO_GROUP(len, next, rest) "60000000" len next "40" SRC GROUP rest
#define PAD6 "010400000000"
#define UDP " 0001000200080000"

static void ip6_is_trimmed(void)
{
	assert_int_equal(ip6.payload.len_bytes, 8);
	assert_ptr_equal(ip6.payload.data, row_octets + 40);
	assert_int_equal(ip6.proto, WIRE_PROTO_UDP);
	assert_int_equal(ip6.next, WIRE_PROTO_UDP);
	assert_int_equal(ip6.proto_at, 6);
	assert_int_equal(ip6.hops, 0x40);
	assert_int_equal(ip6.extensions.len_bytes, 0);
}

static void ip6_is_empty(void)
{
	assert_int_equal(ip6.proto, WIRE_PROTO_NONE);
	assert_int_equal(ip6.payload.len_bytes, 0);
}

static void ip6_has_fields(void)
{
	assert_int_equal(ip6.tclass, 0xb9);
	assert_int_equal(ip6.flow, 0xabcde);
	assert_int_equal(ip6.tclass & WIRE_ECN_MASK, WIRE_ECN_ECT1);
}

static void ip6_is_udp_behind_8(void)
{
	assert_int_equal(ip6.proto, WIRE_PROTO_UDP);
	assert_int_equal(ip6.extensions.len_bytes, 8);
	assert_int_equal(ip6.proto_at, 40);
	assert_int_equal(ip6.payload.len_bytes, 8);
}

static void ip6_has_alert(void)
{
	ip6_is_udp_behind_8();
	assert_true(ip6.router_alert);
	assert_int_equal(ip6.router_alert_value, 0);
}

static void ip6_is_udp_behind_64(void)
{
	assert_int_equal(ip6.proto, WIRE_PROTO_UDP);
	assert_int_equal(ip6.extensions.len_bytes, 64);
	assert_int_equal(ip6.proto_at, 40 + 56);
}

static void ip6_ends_in_unknown(void)
{
	assert_int_equal(ip6.proto, 0x87);
	assert_int_equal(ip6.proto_at, 40);
	assert_int_equal(ip6.payload.len_bytes, 8);
}

static void ip6_ends_in_nothing(void)
{
	assert_int_equal(ip6.proto, WIRE_PROTO_NONE);
	assert_int_equal(ip6.payload.len_bytes, 8);
}

static void ip6_is_first_fragment(void)
{
	assert_true(wire_ip6_is_fragment(&ip6) && ip6.more);
	assert_int_equal(ip6.fragment_at, 0);
	assert_int_equal(ip6.fragment_id, 0x11223344);
	assert_int_equal(ip6.unfragmentable_bytes, 8);
	assert_int_equal(ip6.fragment_named, 40);
	assert_int_equal(ip6.fragment_next, WIRE_PROTO_DSTOPTS);
	assert_int_equal(ip6.fragment.len_bytes, 16);
	assert_ptr_equal(ip6.fragment.data, row_octets + 56);
	assert_int_equal(ip6.proto, WIRE_PROTO_UDP);
	assert_int_equal(ip6.payload.len_bytes, 8);
}

static void ip6_is_later_fragment(void)
{
	assert_true(wire_ip6_is_fragment(&ip6) && !ip6.more);
	assert_int_equal(ip6.fragment_at, 1448);
	assert_int_equal(ip6.proto, WIRE_PROTO_DSTOPTS); /* not walked: it is the middle of something */
	assert_int_equal(ip6.payload.len_bytes, 8);
	assert_int_equal(ip6.fragment_named, 6);
}

static void ip6_is_atomic(void)
{
	assert_true(ip6.fragmented && !wire_ip6_is_fragment(&ip6));
	assert_int_equal(ip6.proto, WIRE_PROTO_UDP);
}

static void problem_is(uint8_t code, uint32_t pointer, bool to_multicast_too)
{
	struct port_addr src = {.b = {0xfd, [15] = 1}};

	assert_int_equal(problem.code, code);
	assert_int_equal(problem.pointer, pointer);
	assert_int_equal(problem.to_multicast_too, to_multicast_too);
	assert_true(port_addr_equal(&problem.src, &src));
}

static void problem_is_silent(void)
{
	const struct wire_ip6_problem untouched = {.code = 0xee};

	assert_int_equal(problem.code, untouched.code);
}

static void problem_routing(void)
{
	problem_is(WIRE_IP6_PROBLEM_FIELD, 42, false);
}

static void problem_second_hop_by_hop(void)
{
	problem_is(WIRE_IP6_PROBLEM_HEADER, 40, false);
}

static void problem_option(void)
{
	problem_is(WIRE_IP6_PROBLEM_OPTION, 44, false);
}

static void problem_option_of_group(void)
{
	problem_is(WIRE_IP6_PROBLEM_OPTION, 42, true);
}

static void problem_chain(void)
{
	problem_is(WIRE_IP6_PROBLEM_CHAIN, 0, false);
}

static void problem_fragment_offset(void)
{
	problem_is(WIRE_IP6_PROBLEM_FIELD, 42, false);
}

/* Destination options that are only padding, 8 octets. */
#define DO(next) next "00" PAD6

static const struct wire_row ip6_rows[] = {
	{"S1: padding of a frame is cut off", IP6("0008", "11", UDP "000000"), parse_ip6, 0, ip6_is_trimmed},
	{"S1: a payload length beyond the frame", IP6("0009", "11", UDP), parse_ip6, -EBADMSG, problem_is_silent},
	{"40 octets", IP6("0000", "3b", ""), parse_ip6, 0, ip6_is_empty},
	{"S1: 39 octets", "60000000 0000 3b 40" SRC "fd0000000000000000000000000000", parse_ip6, -EBADMSG, NULL},
	{"IPv4's version in IPv6's place", "40000000 0000 3b 40" SRC DST, parse_ip6, -EBADMSG, NULL},
	{"class and flow label", "6b9abcde 0008 11 40" SRC DST UDP, parse_ip6, 0, ip6_has_fields},
	{"a jumbogram is not for us", IP6("0000", "00", "1100c20400010000" UDP), parse_ip6, -EPROTONOSUPPORT, NULL},
	{"a mapped source is nobody's", "60000000 0008 11 40 00000000000000000000ffff0a000001" DST UDP, parse_ip6,
	 -EBADMSG, NULL},
	{"a mapped destination is nobody's", "60000000 0008 11 40" SRC "00000000000000000000ffff0a000001" UDP,
	 parse_ip6, -EBADMSG, NULL},
	{"options that are padding", IP6("0010", "3c", DO("11") UDP), parse_ip6, 0, ip6_is_udp_behind_8},
	{"a router alert", IP6_TO_GROUP("0010", "00", "1100 0502 0000 0100" UDP), parse_ip6, 0, ip6_has_alert},
	{"a router alert twice", IP6_TO_GROUP("0018", "00", "1101 0502 0000 0502 0001 010400000000" UDP), parse_ip6,
	 -EBADMSG, NULL},
	{"a router alert of 3 octets", IP6_TO_GROUP("0010", "00", "1100 0503 0000 0000" UDP), parse_ip6, -EBADMSG,
	 NULL},
	{"a header that ends behind its kind", IP6("0001", "3c", "11"), parse_ip6, -EBADMSG, problem_is_silent},
	{"a header whose length lies", IP6("0010", "3c", "1102" PAD6 UDP), parse_ip6, -EBADMSG, NULL},
	{"an option that reaches past its header", IP6("0010", "3c", "1100 0105 00000000" UDP), parse_ip6, -EBADMSG,
	 NULL},
	{"an option cut behind its kind", IP6("0010", "3c", "1100 0103 000000 01" UDP), parse_ip6, -EBADMSG, NULL},
	{"S2: eight headers are walked",
	 IP6("0048", "3c", DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("11") UDP), parse_ip6, 0,
	 ip6_is_udp_behind_64},
	{"S2: nine are not",
	 IP6("0050", "3c", DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("3c") DO("11") UDP),
	 parse_ip6, -EBADMSG, problem_is_silent},
	{"S2: 256 octets of options are walked", IP6("0108", "3c", "111f 01fc x252" UDP), parse_ip6, 0, NULL},
	{"S2: 264 are not", IP6("0110", "3c", "1120 01fc x252 010600000000 0000" UDP), parse_ip6, -EBADMSG, NULL},
	{"S3: a length of 255 does not wrap", IP6("0010", "3c", "11ff" PAD6 UDP), parse_ip6, -EBADMSG, NULL},
	{"S4: an unknown header ends the walk", IP6("0010", "3c", DO("87") "1100000000000000"), parse_ip6, 0,
	 ip6_ends_in_unknown},
	{"S4: nothing follows", IP6("0010", "3c", DO("3b") "x8"), parse_ip6, 0, ip6_ends_in_nothing},
	{"hop-by-hop options come first or not at all", IP6("0018", "3c", DO("00") DO("11") UDP), parse_ip6, -EPROTO,
	 problem_second_hop_by_hop},
	{"an unknown option of type 00 is passed over", IP6("0010", "3c", "1100 1e04 01020304" UDP), parse_ip6, 0,
	 ip6_is_udp_behind_8},
	{"of type 01 costs the packet", IP6("0010", "3c", "1100 5e04 01020304" UDP), parse_ip6, -EBADMSG,
	 problem_is_silent},
	{"of type 11 is answered", IP6("0010", "3c", "1100 0000 de02 0102" UDP), parse_ip6, -EPROTO, problem_option},
	{"of type 10 also to a group", IP6_TO_GROUP("0010", "3c", "1100 9e04 01020304" UDP), parse_ip6, -EPROTO,
	 problem_option_of_group},
	{"S6: a type 0 routing header with segments left", IP6("0020", "2b", "1102 0001 00000000" SRC UDP), parse_ip6,
	 -EPROTO, problem_routing},
	{"a routing header whose work is done", IP6("0010", "2b", "1100 0400 00000000" UDP), parse_ip6, 0,
	 ip6_is_udp_behind_8},
	{"a first fragment behind a header", IP6("0020", "3c", DO("2c") "3c000001 11223344" DO("11") UDP), parse_ip6, 0,
	 ip6_is_first_fragment},
	{"a later fragment is not walked", IP6("0010", "2c", "3c0005a8 11223344 00ffffffffffffff"), parse_ip6, 0,
	 ip6_is_later_fragment},
	{"an atomic fragment is whole (RFC 6946)", IP6("0010", "2c", "11000000 11223344" UDP), parse_ip6, 0,
	 ip6_is_atomic},
	{"a fragment of a fragment", IP6("0018", "2c", "2c000001 11223344 11000001 11223344" UDP), parse_ip6, -EBADMSG,
	 NULL},
	{"a fragment header cut", IP6("0007", "2c", "11000000 112233"), parse_ip6, -EBADMSG, NULL},
	{"a fragment past 65535 octets", IP6("0010", "2c", "1100fff8 11223344" UDP), parse_ip6, -EPROTO,
	 problem_fragment_offset},
	{"S4: a first fragment without the whole chain (RFC 7112)", IP6("0010", "2c", "3c000001 11223344 1101" PAD6),
	 parse_ip6, -EPROTO, problem_chain},
	{"S4: a first fragment with a TCP header and no more",
	 IP6("001c", "2c", "06000001 11223344 0001000200000000000000005010000000000000"), parse_ip6, 0, NULL},
	{"S4: a first fragment of what we do not know", IP6("0009", "2c", "87000001 11223344 00"), parse_ip6, 0, NULL},
	{"S4: a first fragment with a UDP header and no more", IP6("0010", "2c", "11000001 11223344" UDP), parse_ip6, 0,
	 NULL},
	{"S4: a first fragment without the whole UDP header", IP6("000f", "2c", "11000001 11223344 00010002000800"),
	 parse_ip6, -EPROTO, problem_chain},
	{"S4: a first fragment without all TCP options",
	 IP6("001c", "2c", "06000001 11223344 0001000200000000000000006010000000000000"), parse_ip6, -EPROTO,
	 problem_chain},
};

static void emit_says_what_does_not_fit(void **state)
{
	static uint8_t buf[WIRE_IP6_LEN + 8], bytes[8];
	struct wire_eth e = {.type = WIRE_ETH_IP4, .tagged = true};
	struct wire_arp a = {.sender = PORT_ADDR_ANY4, .target = PORT_ADDR_ANY4};
	struct wire_ip4 v4 = {.src = PORT_ADDR_ANY4, .dst = PORT_ADDR_ANY4, .options = {bytes, 8}};
	struct wire_ip6 v6 = {.extensions = {bytes, 8}};

	(void)state;
	assert_int_equal(wire_eth_emit(&e, buf, 17), -ENOBUFS);
	assert_int_equal(wire_eth_emit(&e, buf, 18), 18);
	assert_int_equal(wire_arp_emit(&a, buf, 27), -ENOBUFS);
	assert_int_equal(wire_arp_emit(&a, buf, 28), 28);
	assert_int_equal(wire_ip4_emit(&v4, buf, 27), -ENOBUFS);
	v4.payload.len_bytes = 65535 - 28;
	assert_int_equal(wire_ip4_emit(&v4, buf, 28), 28);
	v4.payload.len_bytes++;
	assert_int_equal(wire_ip4_emit(&v4, buf, sizeof(buf)), -EMSGSIZE);
	v4.payload.len_bytes = SIZE_MAX - 10; /* no sum wraps */
	assert_int_equal(wire_ip4_emit(&v4, buf, sizeof(buf)), -EMSGSIZE);
	v4.payload.len_bytes = 8;
	v4.fragment_at = 65528;
	assert_int_equal(wire_ip4_emit(&v4, buf, sizeof(buf)), -EMSGSIZE);
	assert_int_equal(wire_ip6_emit(&v6, buf, 47), -ENOBUFS);
	v6.payload.len_bytes = 65535 - 8;
	assert_int_equal(wire_ip6_emit(&v6, buf, 48), 48);
	v6.payload.len_bytes++;
	assert_int_equal(wire_ip6_emit(&v6, buf, 48), -EMSGSIZE);
	v6.payload.len_bytes = SIZE_MAX - 4;
	assert_int_equal(wire_ip6_emit(&v6, buf, 48), -EMSGSIZE);
}

static void chains_are_made_of_two_headers(void **state)
{
	uint8_t alert[WIRE_IP6_ROUTER_ALERT_LEN], fragment[WIRE_IP6_FRAGMENT_LEN], want[8];

	(void)state;
	wire_ip6_put_router_alert(alert, WIRE_PROTO_ICMP6, 0);
	hex("3a00 0502 0000 0100", want, sizeof(want));
	assert_memory_equal(alert, want, 8);
	wire_ip6_put_fragment(fragment, WIRE_PROTO_UDP, 1448, true, 0x11223344);
	hex("1100 05a9 11223344", want, sizeof(want));
	assert_memory_equal(fragment, want, 8);
}

/* A frame in parts: its headers are here, more_bytes elsewhere. Lengths count both, nothing of the second is read. */
static void headers_without_their_payload(void **state)
{
	uint8_t buf[80];
	struct wire_ip4 v4;
	struct wire_ip6 v6;
	size_t n;

	(void)state;
	n = hex(IP4("45", "04b0", "4000", "x4"), buf, sizeof(buf));
	assert_int_equal(wire_ip4_parse_split(buf, n, 1175, &v4), -EBADMSG);
	assert_int_equal(wire_ip4_parse_split(buf, n, 1176, &v4), 0);
	assert_int_equal(v4.payload.len_bytes, 1180);
	assert_int_equal(wire_ip4_parse_split(buf, n, 1300, &v4), 0); /* padding in the other part */
	assert_int_equal(v4.payload.len_bytes, 1180);
	assert_int_equal(wire_ip4_parse_split(buf, 19, 2000, &v4), -EBADMSG); /* a header is whole in the first */
	buf[0] = 0x4f;
	assert_int_equal(wire_ip4_parse_split(buf, n, 2000, &v4), -EBADMSG);
	n = hex(IP6("04b0", "11", "0001000204b00000"), buf, sizeof(buf));
	assert_int_equal(wire_ip6_parse_split(buf, n, 1191, &v6, NULL), -EBADMSG);
	assert_int_equal(wire_ip6_parse_split(buf, n, 1192, &v6, NULL), 0);
	assert_int_equal(v6.payload.len_bytes, 1200);
	assert_int_equal(wire_ip6_parse_split(buf, n, 1300, &v6, NULL), 0);
	assert_int_equal(v6.payload.len_bytes, 1200);
	wire_put16(buf + 4, 4); /* the length ends in the first part: the second is padding */
	assert_int_equal(wire_ip6_parse_split(buf, n, 1300, &v6, NULL), 0);
	assert_int_equal(v6.payload.len_bytes, 4);
	n = hex(IP6("04b0", "2c", "1100 05a9 11223344 x8"), buf, sizeof(buf));
	assert_int_equal(wire_ip6_parse_split(buf, n, 1184, &v6, NULL), 0);
	assert_int_equal(v6.fragment.len_bytes, 1192);
	assert_int_equal(v6.payload.len_bytes, 1192);
	wire_put16(buf + 42, 64352); /* and 1192 make 65544 octets */
	assert_int_equal(wire_ip6_parse_split(buf, n, 1184, &v6, NULL), -EPROTO);
	n = hex(IP6("04b0", "3c", "11ff 0104 00000000"), buf, sizeof(buf)); /* a chain that goes on elsewhere */
	assert_int_equal(wire_ip6_parse_split(buf, n, 1192, &v6, NULL), -EBADMSG);
}

static void groups_have_link_addresses(void **state)
{
	struct port_addr g4 = port_addr_v4(239, 129, 2, 3), g6 = {.b = {0xff, 2, [12] = 0xff, 0xaa, 0xbb, 0xcc}};
	const uint8_t want4[] = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}, want6[] = {0x33, 0x33, 0xff, 0xaa, 0xbb, 0xcc};
	uint8_t mac[WIRE_MAC_LEN], all[WIRE_MAC_LEN];

	(void)state;
	wire_mac_of_group(&g4, mac);
	assert_memory_equal(mac, want4, sizeof(mac));
	assert_true(wire_mac_is_multicast(mac));
	wire_mac_of_group(&g6, mac);
	assert_memory_equal(mac, want6, sizeof(mac));
	assert_false(wire_mac_is_broadcast(mac));
	memset(all, 0xff, sizeof(all));
	assert_true(wire_mac_is_broadcast(all));
	mac[0] = 0x02;
	assert_false(wire_mac_is_multicast(mac));
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(link_rows) + COUNT_OF(ip4_rows) + COUNT_OF(ip6_rows) + 4];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(link_rows); i++)
		tests[n++] = ROW_TEST(&link_rows[i]);
	for (size_t i = 0; i < COUNT_OF(ip4_rows); i++)
		tests[n++] = ROW_TEST(&ip4_rows[i]);
	for (size_t i = 0; i < COUNT_OF(ip6_rows); i++)
		tests[n++] = ROW_TEST(&ip6_rows[i]);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(emit_says_what_does_not_fit);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(chains_are_made_of_two_headers);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(headers_without_their_payload);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(groups_have_link_addresses);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
