/* tests/unit/test_wire_print.c: the lines for what test_wire_frames.c's frames do not have: odd ones, broken ones, long ones. */
#include "wire_rows.h"

#include "wire/print.h"
#include "wire_round.h"

#define ETH4 "02000000000b 02000000000a 0800 "
#define ETH6 "02000000000b 02000000000a 86dd "
#define ADDR4 "0a000001 0a000002"
#define ADDR6 "fd000000000000000000000000000001 fd000000000000000000000000000002"
#define TCP(off_flags, rest) \
	ETH4 "4500 0064 0000 4000 4006 0000" ADDR4 "0050 9c40 00000001 00000002" off_flags "ffff 0000 0009" rest
/* IPv4 without a good checksum says so. */
#define BAD ", bad IP checksum"
#define ONE_PREFIX "030440c0 ffffffff 00093a80 00000000 20010db8000100020000000000000000"
#define RA_HEAD \
	"3aff fe80000000000000000000000000000f ff020000000000000000000000000001 8600 0000 40c8 0708 00000000 00000000"

static const struct {
	const char *name, *octets, *line;
} rows[] = {
	{"nothing", "", "Ethernet malformed (0 octets)"},
	{"another protocol", "02000000000b 02000000000a 88cc 0102",
	 "02:00:00:00:00:0a > 02:00:00:00:00:0b: type 0x88cc, len 2"},
	{"802.3", "02000000000b 02000000000a 0026 424203", "Ethernet not known (17 octets)"},
	{"a tag", "02000000000b 02000000000a 8100 2005 0806 0001", "VLAN 5 ARP malformed (2 octets)"},
	{"IPv6 said to be IPv4", ETH4 "60000000", "IP malformed (4 octets)"},
	{"IPv4 said to be IPv6", ETH6 "45000000", "IP6 malformed (4 octets)"},
	{"IPv4 cut", ETH4 "4500 0014 0000", "IP malformed (6 octets)"},
	{"all flags and an urgent pointer", TCP("51ff", "x60"),
	 "IP 10.0.0.1:80 > 10.0.0.2:40000: [SFRPUEWA.], seq 1, ack 2, win 65535, urg 9, len 60" BAD},
	{"no flags", TCP("5000", "x60"), "IP 10.0.0.1:80 > 10.0.0.2:40000: [none], seq 1, win 65535, len 60" BAD},
	{"blocks, a timeout, a cookie, an odd option",
	 TCP("f010", "050a 00000005 00000009 1c04 0078 2206 01020304 0203aa 03030e 0101 0402 0204 05b4 01 00 x24"),
	 "IP 10.0.0.1:80 > 10.0.0.2:40000: [.], seq 1, ack 2, win 65535, <mss 1460,sackOK,wscale 14,uto 120,tfo 01020304,sack 5-9,odd "
	 "1>, len 20" BAD},
	{"a cookie asked for, the old way", TCP("6002", "fe04 f989 x56"),
	 "IP 10.0.0.1:80 > 10.0.0.2:40000: [S], seq 1, win 65535, <tfo-x request>, len 56" BAD},
	{"TCP with a bad offset", TCP("4010", "x60"), "IP 10.0.0.1 > 10.0.0.2: TCP malformed (80 octets)" BAD},
	{"UDP with a bad length", ETH4 "4500 001c 0000 4000 4011 0000" ADDR4 "0035 0035 0009 0000",
	 "IP 10.0.0.1 > 10.0.0.2: UDP malformed (8 octets)" BAD},
	{"congestion experienced", ETH4 "4503 001c 0000 4000 4011 0000" ADDR4 "0035 0035 0008 0000",
	 "IP 10.0.0.1:53 > 10.0.0.2:53: UDP len 0, CE" BAD},
	{"a fragment", ETH4 "4500 001c 1234 2001 4011 0000" ADDR4 "x8",
	 "IP 10.0.0.1 > 10.0.0.2: fragment of 4660, protocol 17, octets 8+8, more" BAD},
	{"a protocol without a name", ETH4 "4500 0018 0000 4000 4084 0000" ADDR4 "x4",
	 "IP 10.0.0.1 > 10.0.0.2: protocol 132, len 4" BAD},
	{"fragmentation needed",
	 ETH4 "4500 0038 0000 4000 4001 0000" ADDR4 "0304 0000 0000 0500 4500 05dc 0000 4000 0106 ffff" ADDR4
	      "9c40 0050 00000007",
	 "IP 10.0.0.1 > 10.0.0.2: ICMP unreachable: fragmentation needed, mtu 1280, about TCP 10.0.0.1:40000 > 10.0.0.2:80 seq 7" BAD},
	{"time exceeded about nothing known", ETH4 "4500 001d 0000 4000 4001 0000" ADDR4 "0b00 0000 00000000 45",
	 "IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded, quotes 1 octets" BAD},
	{"a parameter problem about a protocol",
	 ETH4 "4500 0030 0000 4000 4001 0000" ADDR4 "0c00 0000 14000000 4500 05dc 0000 4000 0184 ffff" ADDR4,
	 "IP 10.0.0.1 > 10.0.0.2: ICMP parameter problem at 20, about protocol 132 10.0.0.1 > 10.0.0.2" BAD},
	{"source quench", ETH4 "4500 001c 0000 4000 4001 0000" ADDR4 "0400 0000 00000000",
	 "IP 10.0.0.1 > 10.0.0.2: ICMP not known (8 octets), type 4" BAD},
	{"IGMPv2 leave", ETH4 "4600 0020 0000 0000 0102 0000" ADDR4 "94040000 1700 0000 ef010203",
	 "IP 10.0.0.1 > 10.0.0.2: IGMPv2 leave 239.1.2.3, IP options 4" BAD},
	{"IGMPv3 query", ETH4 "4500 0024 0000 0000 0102 0000" ADDR4 "1164 0000 00000000 0a7d 0001 0a000009",
	 "IP 10.0.0.1 > 10.0.0.2: IGMPv3 query {10.0.0.9}" BAD},
	{"IGMPv3 report",
	 ETH4 "4500 0034 0000 0000 0102 0000" ADDR4
	      "2200 0000 0000 0002 0500 0002 ef010203 0a000008 0a000009 0400 0000 ef010204",
	 "IP 10.0.0.1 > 10.0.0.2: IGMPv3 report, <allow 239.1.2.3 {10.0.0.8 10.0.0.9},to-ex 239.1.2.4>" BAD},
	{"MLDv2 query about sources",
	 ETH6 "60000000 003c 3a01" ADDR6
	      "8200 0000 0064 0000 ff020000000000000000000000010003 0a7d 0002 fd000000000000000000000000000001 "
	      "fd000000000000000000000000000002",
	 "IP6 [fd00::1] > [fd00::2]: MLDv2 query [ff02::1:3] {[fd00::1] [fd00::2]}"},
	{"an unknown option of IPv6", ETH6 "60000000 0010 3c40" ADDR6 "1100 0000 de02 0102 x8",
	 "IP6 malformed (56 octets), problem 2 at 44"},
	{"packet too big", ETH6 "60000000 0008 3a40" ADDR6 "0200 0000 00000500",
	 "IP6 [fd00::1] > [fd00::2]: ICMP6 packet too big, mtu 1280, quotes 0 octets"},
	{"an unknown error", ETH6 "60000000 0008 3a40" ADDR6 "6400 0000 00000000",
	 "IP6 [fd00::1] > [fd00::2]: ICMP6 error of type 100, quotes 0 octets"},
	{"a router advertisement", ETH6 "60000000 0030 " RA_HEAD ONE_PREFIX,
	 "IP6 [fe80::f] > [ff02::1]: ND router advertisement, lifetime 1800, managed, <2001:db8:1:2::/64 auto>"},
	{"an advertisement with an option of length 0", ETH6 "60000000 0018 " RA_HEAD "0100 02000000000f",
	 "IP6 [fe80::f] > [ff02::1]: ICMP6 malformed (24 octets), type 134"},
	{"a redirect",
	 ETH6 "60000000 0028 3aff fe80000000000000000000000000000f fd000000000000000000000000000001 8900 0000 00000000 "
	      "fe80000000000000000000000000000e fd000000000000000000000000000002",
	 "IP6 [fe80::f] > [fd00::1]: ND redirect: to [fd00::2] by way of [fe80::e]"},
	{"a fragment of IPv6", ETH6 "60000000 0010 2c40" ADDR6 "1100 05a8 11223344 x8",
	 "IP6 [fd00::1] > [fd00::2]: fragment of 287454020, protocol 17, octets 1448+8, last, extensions 8"},
};

static void run_line(void **state)
{
	size_t i = (size_t)(uintptr_t)*state;
	char line[WIRE_PRINT_MAX];

	row_len = hex(rows[i].octets, row_octets, sizeof(row_octets));
	assert_string_equal(wire_print_frame(row_octets, row_len, line, sizeof(line)), rows[i].line);
	for (size_t len = 0; len <= row_len; len++) {
		uint8_t *exact = malloc(len ? len : 1);

		assert_non_null(exact);
		memcpy(exact, row_octets, len);
		wire_round_print(exact, len, true);
		free(exact);
	}
}

/* More than WIRE_PRINT_MAX: cut at a word, and it says so. */
static void a_long_line_is_cut(void **state)
{
	char line[WIRE_PRINT_MAX];
	size_t n, len;

	(void)state;
	n = hex(ETH6
		"60000000 0000 3aff fe80000000000000000000000000000f ff020000000000000000000000000016 8f00 0000 0000 0040",
		row_octets, sizeof(row_octets));
	for (unsigned i = 0; i < 64; i++)
		n += hex("0400 0000 ff021111222233334444555566667777", row_octets + n, sizeof(row_octets) - n);
	wire_put16(row_octets + 18, (uint16_t)(n - 54));
	len = strlen(wire_print_frame(row_octets, n, line, sizeof(line)));
	assert_true(len < WIRE_PRINT_MAX && len > WIRE_PRINT_MAX - 50);
	assert_string_equal(line + len - 4, " ...");
	assert_non_null(strstr(line, "MLDv2 report, <to-ex [ff02:1111:2222:3333:4444:5555:6666:7777],"));
	wire_round_print(row_octets, n, true);
}

static void the_smallest_buffers(void **state)
{
	char line[8];

	(void)state;
	line[0] = 'x';
	assert_ptr_equal(wire_print_ip(row_octets, 0, line, 0), line);
	assert_int_equal(line[0], 'x');
	assert_string_equal(wire_print_ip(row_octets, 0, line, 1), "");
	assert_string_equal(wire_print_ip(row_octets, 0, line, 4), "");
	assert_string_equal(wire_print_ip(row_octets, 0, line, 5), " ...");
	assert_string_equal(wire_print_ip(row_octets, 0, line, 8), "IP ...");
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows) + 2];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tests[n++] = (struct CMUnitTest){rows[i].name, run_line, NULL, NULL, (void *)(uintptr_t)i};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_long_line_is_cut);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(the_smallest_buffers);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
