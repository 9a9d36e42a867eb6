/* tests/unit/test_wire_tcp.c: TCP, its options, and UDP: what is refused, what is passed over, what is written (S1 to S3, S5, S7, S8). */
#include "wire_rows.h"

#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire_round.h"

static struct wire_tcp tcp;
static struct wire_tcp_options opt;
static struct wire_udp udp;

static int parse_tcp(const uint8_t *data, size_t len_bytes)
{
	return wire_tcp_parse(data, len_bytes, &tcp);
}

static int parse_options(const uint8_t *data, size_t len_bytes)
{
	int r = wire_tcp_options_parse(data, len_bytes, &opt);

	assert_int_equal(wire_round_tcp_options(data, len_bytes), r == 0);
	return r;
}

static int parse_udp(const uint8_t *data, size_t len_bytes)
{
	return wire_udp_parse(data, len_bytes, &udp);
}

#define TCP(off_flags, urgent, rest) "0050 9c40 11223344 55667788" off_flags "ffff abcd" urgent rest

static void tcp_has_all_flags(void)
{
	assert_int_equal(tcp.flags, WIRE_TCP_FLAGS);
	assert_int_equal(tcp.src_port, 80);
	assert_int_equal(tcp.dst_port, 40000);
	assert_int_equal(tcp.seq, 0x11223344);
	assert_int_equal(tcp.ack, 0x55667788);
	assert_int_equal(tcp.window, 0xffff);
	assert_int_equal(tcp.checksum, 0xabcd);
	assert_int_equal(tcp.options.has, 0);
	assert_int_equal(tcp.payload.len_bytes, 3);
}

static void tcp_points_anywhere(void)
{
	assert_int_equal(tcp.urgent, 0xffff);
	assert_int_equal(tcp.flags, WIRE_TCP_ACK | WIRE_TCP_URG);
	assert_int_equal(tcp.payload.len_bytes, 1);
}

static void tcp_is_all_options(void)
{
	assert_int_equal(tcp.payload.len_bytes, 0);
	assert_int_equal(tcp.options.has, WIRE_TCP_HAS_MSS);
	assert_int_equal(tcp.options.mss, 1460);
}

static const struct wire_row tcp_rows[] = {
	{"all flags, reserved bits passed over", TCP("5fff", "0000", "616263"), parse_tcp, 0, tcp_has_all_flags},
	{"19 octets", "0050 9c40 11223344 55667788 5010 ffff abcd 00", parse_tcp, -EBADMSG, NULL},
	{"S3: a data offset of 4", TCP("4010", "0000", "x20"), parse_tcp, -EBADMSG, NULL},
	{"S3: a data offset of 0", TCP("0010", "0000", "x20"), parse_tcp, -EBADMSG, NULL},
	{"S3: a data offset beyond the segment", TCP("6010", "0000", "010101"), parse_tcp, -EBADMSG, NULL},
	{"S3: a data offset of 15 in 59 octets", TCP("f010", "0000", "x39"), parse_tcp, -EBADMSG, NULL},
	{"S7: an urgent pointer to anywhere is the stack's to clamp", TCP("5030", "ffff", "61"), parse_tcp, 0,
	 tcp_points_anywhere},
	{"40 octets of options", TCP("f002", "0000", "020405b4 00 x35"), parse_tcp, 0, tcp_is_all_options},
	{"S2: an option of length 0 in a segment", TCP("6010", "0000", "08000000 x100"), parse_tcp, -EBADMSG, NULL},
	{"S2: an option that reaches into the payload", TCP("6010", "0000", "080a0000 x100"), parse_tcp, -EBADMSG,
	 NULL},
};

static void has_none(void)
{
	assert_int_equal(opt.has, 0);
	assert_int_equal(opt.n_ignored, 0);
}

static void one_ignored(void)
{
	assert_int_equal(opt.has, 0);
	assert_int_equal(opt.n_ignored, 1);
	assert_int_equal(opt.n_sacks, 0);
}

static void all_of_a_syn(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_MSS | WIRE_TCP_HAS_SACK_OK | WIRE_TCP_HAS_TS | WIRE_TCP_HAS_WSCALE);
	assert_int_equal(opt.mss, 1460);
	assert_int_equal(opt.ts_val, 0xc07b6c62);
	assert_int_equal(opt.ts_ecr, 0);
	assert_int_equal(opt.wscale, 10);
}

static void timestamps(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_TS);
	assert_int_equal(opt.ts_val, 1);
	assert_int_equal(opt.ts_ecr, 0xfffffffe);
}

static void timestamps_and_mss(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_TS | WIRE_TCP_HAS_MSS);
}

static void scale_is_14(void)
{
	assert_int_equal(opt.wscale, 14);
}

static void mss_is_zero(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_MSS);
	assert_int_equal(opt.mss, 0);
}

static void mss_is_the_last(void)
{
	assert_int_equal(opt.mss, 536);
}

static void one_block(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_SACK);
	assert_int_equal(opt.n_sacks, 1);
	assert_int_equal(opt.sacks[0].left, 0x100);
	assert_int_equal(opt.sacks[0].right, 0x200);
}

static void block_around_zero(void)
{
	assert_int_equal(opt.n_sacks, 1);
	assert_int_equal(opt.sacks[0].left, 0xfffffff0);
	assert_int_equal(opt.sacks[0].right, 0x10);
}

static void four_blocks(void)
{
	assert_int_equal(opt.n_sacks, 4);
	assert_int_equal(opt.sacks[3].left, 7);
	assert_int_equal(opt.sacks[3].right, 8);
}

static void second_block_only(void)
{
	assert_int_equal(opt.n_sacks, 1);
	assert_int_equal(opt.sacks[0].left, 0x300);
	assert_int_equal(opt.sacks[1].left, 0);
}

static void timeout_120_s(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_USER_TIMEOUT);
	assert_int_equal(opt.user_timeout_s, 120);
}

static void timeout_5_minutes(void)
{
	assert_int_equal(opt.user_timeout_s, 300);
}

static void cookie_asked_for(void)
{
	assert_int_equal(opt.has, WIRE_TCP_HAS_COOKIE);
	assert_int_equal(opt.cookie_bytes, 0);
	assert_false(opt.cookie_experimental);
}

static void cookie_of_8(void)
{
	const uint8_t want[WIRE_TCP_COOKIE_MAX] = {1, 2, 3, 4, 5, 6, 7, 8};

	assert_int_equal(opt.cookie_bytes, 8);
	assert_memory_equal(opt.cookie, want, sizeof(want));
}

static void cookie_of_16(void)
{
	assert_int_equal(opt.cookie_bytes, 16);
	assert_int_equal(opt.cookie[15], 'x');
}

static void cookie_of_4(void)
{
	assert_int_equal(opt.cookie_bytes, 4);
	assert_int_equal(opt.cookie[3], 4);
}

static void cookie_of_8_in_254(void)
{
	cookie_of_8();
	assert_true(opt.cookie_experimental);
}

static const struct wire_row option_rows[] = {
	{"no options", "", parse_options, 0, has_none},
	{"those of a SYN from Linux", "020405b4 0402 080ac07b6c6200000000 01 03030a", parse_options, 0, all_of_a_syn},
	{"NOP NOP timestamps, the short cut", "0101 080a 00000001 fffffffe", parse_options, 0, timestamps},
	{"timestamps NOP NOP, the long way", "080a 00000001 fffffffe 0101", parse_options, 0, timestamps},
	{"the short cut is for 12 octets only", "0101 080a 00000001 fffffffe 020405b4", parse_options, 0,
	 timestamps_and_mss},
	{"what follows the end is not looked at", "00 080001", parse_options, 0, has_none},
	{"an unknown option is passed over", "fd04aaaa 1e02 0101", parse_options, 0, has_none},
	{"S2: a length of 0", "0800", parse_options, -EBADMSG, NULL},
	{"S2: a length of 1", "0801", parse_options, -EBADMSG, NULL},
	{"S2: a length of 0 of an unknown kind", "fd000101", parse_options, -EBADMSG, NULL},
	{"S2: a length past the end", "0101 fd03", parse_options, -EBADMSG, NULL},
	{"S2: a kind at the very end", "010101 08", parse_options, -EBADMSG, NULL},
	{"S2: a length of 255", "fdff0101", parse_options, -EBADMSG, NULL},
	{"S2: 41 octets cannot be options", "x41", parse_options, -EBADMSG, NULL},
	{"S2: 40 NOPs", "0101010101010101010101010101010101010101 0101010101010101010101010101010101010101",
	 parse_options, 0, has_none},
	{"an MSS of 3 octets is passed over", "0203ff 01", parse_options, 0, one_ignored},
	{"an MSS of 0 is told", "02040000", parse_options, 0, mss_is_zero},
	{"the last of two counts", "020405b4 02040218", parse_options, 0, mss_is_the_last},
	{"S8: a window scale of 15 is 14", "03030f 01", parse_options, 0, scale_is_14},
	{"S8: a window scale of 255 is 14", "0303ff 01", parse_options, 0, scale_is_14},
	{"a window scale of 4 octets", "0304 0101", parse_options, 0, one_ignored},
	{"SACK permitted of 3 octets", "0403 0101", parse_options, 0, one_ignored},
	{"timestamps of 11 octets", "080b 0000000000000000 00 01", parse_options, 0, one_ignored},
	{"S5: one block", "0101 050a 00000100 00000200", parse_options, 0, one_block},
	{"S5: four blocks", "0101 0522 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008",
	 parse_options, 0, four_blocks},
	{"S5: a block around sequence number 0", "0101 050a fffffff0 00000010", parse_options, 0, block_around_zero},
	{"S5: no block", "0502 0101", parse_options, 0, one_ignored},
	{"S5: 2 + 8n + 1 octets", "050b 00000100 00000200 00", parse_options, 0, one_ignored},
	{"S5: 2 + 8n - 1 octets", "0509 00000100 000002", parse_options, 0, one_ignored},
	{"S5: more blocks than can be", "052a x38", parse_options, -EBADMSG, NULL},
	{"S5: an empty block is left out", "0101 0512 00000200 00000200 00000300 00000400", parse_options, 0,
	 second_block_only},
	{"S5: a block the wrong way round is left out", "0101 0512 00000200 00000100 00000300 00000400", parse_options,
	 0, second_block_only},
	{"S5: a block of half the sequence space is left out", "0101 0512 00000000 80000000 00000300 00000400",
	 parse_options, 0, second_block_only},
	{"a user timeout in seconds", "1c04 0078", parse_options, 0, timeout_120_s},
	{"a user timeout in minutes", "1c04 8005", parse_options, 0, timeout_5_minutes},
	{"a user timeout of 5 octets", "1c05 0078 00", parse_options, 0, one_ignored},
	{"a cookie is asked for", "2202 0101", parse_options, 0, cookie_asked_for},
	{"a cookie", "220a 0102030405060708 0101", parse_options, 0, cookie_of_8},
	{"an experimental cookie", "fe0c f989 0102030405060708", parse_options, 0, cookie_of_8_in_254},
	{"another experiment", "fe0c 0001 0102030405060708", parse_options, 0, has_none},
	{"an experiment of no octets", "fe02 0101", parse_options, 0, has_none},
	{"a cookie of 16 octets", "2212 x16", parse_options, 0, cookie_of_16},
	{"a cookie of 4 octets", "2206 01020304", parse_options, 0, cookie_of_4},
	{"a cookie of an odd length", "2207 0102030405", parse_options, 0, one_ignored},
	{"a cookie of 2 octets", "2204 0102", parse_options, 0, one_ignored},
	{"a cookie of 18 octets", "2214 x18", parse_options, 0, one_ignored},
};

static void udp_is_cut(void)
{
	assert_int_equal(udp.src_port, 1234);
	assert_int_equal(udp.dst_port, 53);
	assert_int_equal(udp.checksum, 0);
	assert_int_equal(udp.payload.len_bytes, 2);
}

static void udp_is_empty(void)
{
	assert_int_equal(udp.payload.len_bytes, 0);
}

static const struct wire_row udp_rows[] = {
	{"S1: octets behind the length are nobody's", "04d2 0035 000a 0000 6162 6364", parse_udp, 0, udp_is_cut},
	{"an empty datagram", "04d2 0035 0008 0000", parse_udp, 0, udp_is_empty},
	{"S1: a length beyond the packet", "04d2 0035 000d 0000 61626364", parse_udp, -EBADMSG, NULL},
	{"S1: a length below the header", "04d2 0035 0007 0000 61626364", parse_udp, -EBADMSG, NULL},
	{"S1: a length of 0, a jumbogram's", "04d2 0035 0000 0000 61626364", parse_udp, -EBADMSG, NULL},
	{"7 octets", "04d2 0035 0008 00", parse_udp, -EBADMSG, NULL},
};

/* What is written for sets of options, octet for octet: the form that other stacks' short cuts expect. */
static const struct {
	const char *name;
	struct wire_tcp_options o;
	const char *octets; /* NULL: does not fit */
} emit_rows[] = {
	{"nothing", {.has = 0}, ""},
	{"a SYN of Linux",
	 {.has = WIRE_TCP_HAS_MSS | WIRE_TCP_HAS_SACK_OK | WIRE_TCP_HAS_TS | WIRE_TCP_HAS_WSCALE,
	  .mss = 1460,
	  .ts_val = 7,
	  .wscale = 10},
	 "020405b4 0402 080a 00000007 00000000 01 03030a"},
	{"SACK permitted without timestamps", {.has = WIRE_TCP_HAS_SACK_OK}, "0101 0402"},
	{"timestamps", {.has = WIRE_TCP_HAS_TS, .ts_val = 1, .ts_ecr = 2}, "0101 080a 00000001 00000002"},
	{"timestamps and three blocks",
	 {.has = WIRE_TCP_HAS_TS | WIRE_TCP_HAS_SACK, .n_sacks = 3, .sacks = {{1, 2}, {3, 4}, {5, 6}}},
	 "0101 080a 00000000 00000000 0101 051a 00000001 00000002 00000003 00000004 00000005 00000006"},
	{"timestamps and four blocks do not fit",
	 {.has = WIRE_TCP_HAS_TS | WIRE_TCP_HAS_SACK, .n_sacks = 4, .sacks = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
	 NULL},
	{"a user timeout of an hour", {.has = WIRE_TCP_HAS_USER_TIMEOUT, .user_timeout_s = 3600}, "1c04 0e10"},
	{"a user timeout of a day is said in minutes",
	 {.has = WIRE_TCP_HAS_USER_TIMEOUT, .user_timeout_s = 86400},
	 "1c04 85a0"},
	{"a user timeout of 32767 s", {.has = WIRE_TCP_HAS_USER_TIMEOUT, .user_timeout_s = 32767}, "1c04 7fff"},
	{"a user timeout of 32768 s", {.has = WIRE_TCP_HAS_USER_TIMEOUT, .user_timeout_s = 32768}, "1c04 8222"},
	{"a cookie asked for", {.has = WIRE_TCP_HAS_COOKIE}, "2202 0101"},
	{"a cookie of 4",
	 {.has = WIRE_TCP_HAS_COOKIE, .cookie_bytes = 4, .cookie = {1, 2, 3, 4}},
	 "2206 01020304 0101"},
	{"an experimental one",
	 {.has = WIRE_TCP_HAS_COOKIE, .cookie_experimental = true, .cookie_bytes = 4, .cookie = {1, 2, 3, 4}},
	 "fe08 f989 01020304"},
};

static void run_emit(void **state)
{
	size_t i = (size_t)(uintptr_t)*state, n;
	struct wire_tcp t = {.options = emit_rows[i].o, .flags = WIRE_TCP_ACK}, again;
	uint8_t buf[WIRE_TCP_LEN_MAX], want[WIRE_TCP_LEN_MAX];
	int r = wire_tcp_emit(&t, buf, sizeof(buf));

	if (!emit_rows[i].octets) {
		assert_int_equal(r, -EMSGSIZE);
		assert_int_equal(wire_tcp_options_emit(&t.options, buf, sizeof(buf)), -EMSGSIZE);
		return;
	}
	n = hex(emit_rows[i].octets, want, sizeof(want));
	assert_int_equal(r, WIRE_TCP_LEN + n);
	assert_int_equal(wire_tcp_options_len(&t.options), n);
	assert_memory_equal(buf + WIRE_TCP_LEN, want, n);
	assert_int_equal(wire_tcp_parse(buf, (size_t)r, &again), 0);
	assert_memory_equal(&again.options.sacks, &t.options.sacks, sizeof(t.options.sacks));
	for (size_t room = 0; room < (size_t)r; room++)
		assert_int_equal(wire_tcp_emit(&t, buf, room), -ENOBUFS);
}

/* S8: the length field of UDP does not wrap. */
static void udp_lengths_do_not_wrap(void **state)
{
	struct wire_udp u = {.payload = {NULL, 65527}};
	uint8_t buf[WIRE_UDP_LEN];

	(void)state;
	assert_int_equal(wire_udp_emit(&u, buf, sizeof(buf)), WIRE_UDP_LEN);
	assert_int_equal(wire_get16(buf + 4), 65535);
	u.payload.len_bytes = 65528;
	assert_int_equal(wire_udp_emit(&u, buf, sizeof(buf)), -EMSGSIZE);
	u.payload.len_bytes = 4;
	assert_int_equal(wire_udp_emit(&u, buf, 7), -ENOBUFS);
}

/* Nothing is left from an earlier parse: a structure on a dirty stack is the same as on a clean one (replay). */
static void every_field_is_set(void **state)
{
	static struct wire_tcp_options a, b;
	uint8_t octets[12];

	(void)state;
	hex("0101 080a 00000001 fffffffe", octets, sizeof(octets));
	memset(&a, 0xff, sizeof(a));
	memset(&b, 0x00, sizeof(b));
	assert_int_equal(wire_tcp_options_parse(octets, sizeof(octets), &a), 0);
	assert_int_equal(wire_tcp_options_parse(octets, sizeof(octets), &b), 0);
	assert_int_equal(a.n_sacks | a.cookie_bytes | a.mss | a.wscale | a.user_timeout_s | a.n_ignored, 0);
	assert_memory_equal(a.cookie, b.cookie, sizeof(a.cookie));
	assert_memory_equal(a.sacks, b.sacks, sizeof(a.sacks));
}

int main(void)
{
	struct CMUnitTest
		tests[COUNT_OF(tcp_rows) + COUNT_OF(option_rows) + COUNT_OF(udp_rows) + COUNT_OF(emit_rows) + 2];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(tcp_rows); i++)
		tests[n++] = ROW_TEST(&tcp_rows[i]);
	for (size_t i = 0; i < COUNT_OF(option_rows); i++)
		tests[n++] = ROW_TEST(&option_rows[i]);
	for (size_t i = 0; i < COUNT_OF(udp_rows); i++)
		tests[n++] = ROW_TEST(&udp_rows[i]);
	for (size_t i = 0; i < COUNT_OF(emit_rows); i++)
		tests[n++] = (struct CMUnitTest){emit_rows[i].name, run_emit, NULL, NULL, (void *)(uintptr_t)i};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(udp_lengths_do_not_wrap);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(every_field_is_set);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
