/* tests/unit/test_addr.c: addresses, against tables and against the C library's reading and printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "base/rng.h"
#include "port/endpoint.h"

#define SEED UINT64_C(0xadd4)
#define ROUNDS 200000

enum { ANY = 1, LOOP = 2, MULTI = 4, LINK = 8, IS4 = 16 };

static const struct {
	const char *text;
	int kinds;
} kinds[] = {
	{"0.0.0.0", ANY | IS4},
	{"127.0.0.1", LOOP | IS4},
	{"127.255.255.255", LOOP | IS4},
	{"128.0.0.1", IS4},
	{"126.255.255.255", IS4},
	{"223.255.255.255", IS4},
	{"224.0.0.1", MULTI | IS4},
	{"239.255.255.255", MULTI | IS4},
	{"240.0.0.1", IS4},
	{"::", ANY},
	{"::1", LOOP},
	{"::2", 0},
	{"fe80::1%3", LINK},
	{"febf::1", LINK},
	{"fec0::1", 0},
	{"ff02::1", MULTI},
	{"2001:db8::1", 0},
	{"::ffff:0.0.0.0", ANY | IS4},
	{"::7f00:1", 0},
};

static void knows_the_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct port_addr a;
		int got;

		assert_int_equal(port_addr_parse(kinds[i].text, &a, NULL), 0);
		got = (port_addr_is_any(&a) ? ANY : 0) | (port_addr_is_loopback(&a) ? LOOP : 0) |
		      (port_addr_is_multicast(&a) ? MULTI : 0) | (port_addr_is_linklocal6(&a) ? LINK : 0) |
		      (port_addr_is4(&a) ? IS4 : 0);
		if (got != kinds[i].kinds)
			fail_msg("%s: kinds %d, expected %d", kinds[i].text, got, kinds[i].kinds);
	}
}

static const struct {
	const char *text, *printed;
} printed[] = {
	/* RFC 5952, 4 */
	{"2001:0DB8::0001", "2001:db8::1"},
	{"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
	{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
	{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
	{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
	{"1:0:0:0:0:0:0:0", "1::"},
	{"0:0:0:0:0:0:0:0", "::"},
	{"::1:0:0", "::1:0:0"},
	{"fe80::1%4294967295", "fe80::1%4294967295"},
	{"::ffff:10.0.0.1", "10.0.0.1"},
	{"::ffff:a00:1", "10.0.0.1"},
	{"[::1]", "::1"},
	{"255.255.255.255", "255.255.255.255"},
	{"64:ff9b::10.0.0.1", "64:ff9b::a00:1"},
};

static void prints_the_canonical_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(printed); i++) {
		char s[PORT_ADDR_STR_MAX];
		struct port_addr a;

		assert_int_equal(port_addr_parse(printed[i].text, &a, NULL), 0);
		assert_string_equal(port_addr_print(&a, s), printed[i].printed);
	}
}

static void prefixes(void **state)
{
	const struct port_addr net = port_addr_v4(127, 0, 0, 0), a = port_addr_v4(127, 9, 9, 9),
			       b = port_addr_v4(126, 0, 0, 0), odd = port_addr_v4(10, 64, 0, 0),
			       in = port_addr_v4(10, 127, 1, 1), out = port_addr_v4(10, 128, 0, 0);

	(void)state;
	assert_true(port_addr_in(&a, &net, 104));
	assert_false(port_addr_in(&b, &net, 104));
	assert_true(port_addr_in(&in, &odd, 96 + 10));
	assert_false(port_addr_in(&out, &odd, 96 + 10));
	assert_true(port_addr_in(&b, &net, 0));
	assert_true(port_addr_in(&a, &a, 128));
	assert_false(port_addr_in(&a, &net, 128));
	assert_false(port_addr_in(&a, &a, 129));
}

/* Random octets with many zero groups, so that "::" is met. */
static void draw(struct rng *r, uint8_t octets[16])
{
	uint64_t zeroes = rng_u64(r);

	for (int i = 0; i < 16; i++) {
		octets[i] = (uint8_t)rng_u64(r);
		if (zeroes >> (i / 2) & 1)
			octets[i] = 0;
	}
}

static void agrees_with_the_c_library(void **state)
{
	struct rng r;

	(void)state;
	rng_init_stream(&r, SEED, "addresses");
	for (int i = 0; i < ROUNDS; i++) {
		char ours[PORT_ADDR_STR_MAX], theirs[INET6_ADDRSTRLEN];
		uint8_t octets[16], back[16];
		struct port_addr a, again;

		draw(&r, octets);
		if (i % 4 == 0) {
			a = port_addr_from4(octets);
			assert_string_equal(port_addr_print(&a, ours),
					    inet_ntop(AF_INET, octets, theirs, sizeof(theirs)));
		} else {
			static const uint8_t zero[12];

			a = port_addr_from6(octets, 0);
			port_addr_print(&a, ours);
			assert_int_equal(inet_pton(AF_INET6, ours, back), 1);
			assert_memory_equal(back, octets, 16);
			/* The library prints ::/96 with a dotted tail, RFC 5952 (5) does not ask for it. */
			if (memcmp(octets, zero, 12) != 0)
				assert_string_equal(ours, inet_ntop(AF_INET6, octets, theirs, sizeof(theirs)));
		}
		assert_int_equal(port_addr_parse(ours, &again, NULL), 0);
		assert_true(port_addr_equal(&a, &again));
	}
}

/* Random text of an address's characters: what one refuses the other refuses. */
static void refuses_what_the_c_library_refuses(void **state)
{
	static const char alphabet[] = "00112:::::..ff9g";
	struct rng r;
	int n_good = 0;

	(void)state;
	rng_init_stream(&r, SEED, "text");
	for (int i = 0; i < 4 * ROUNDS; i++) {
		uint64_t n = rng_range(&r, 1, 14);
		uint8_t octets[16];
		char text[16];
		struct port_addr a;
		bool good, v4;

		for (uint64_t k = 0; k < n; k++)
			text[k] = alphabet[rng_range(&r, 0, sizeof(alphabet) - 2)];
		text[n] = '\0';
		v4 = inet_pton(AF_INET, text, octets) == 1;
		good = v4 || inet_pton(AF_INET6, text, octets) == 1;
		if ((port_addr_parse(text, &a, NULL) == 0) != good)
			fail_msg("\"%s\": the C library says %s", text, good ? "good" : "bad");
		if (good)
			assert_memory_equal(v4 ? a.b + 12 : a.b, octets, v4 ? 4 : 16);
		n_good += good;
	}
	assert_true(n_good > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_the_kinds),
		cmocka_unit_test(prints_the_canonical_form),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(agrees_with_the_c_library),
		cmocka_unit_test(refuses_what_the_c_library_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
