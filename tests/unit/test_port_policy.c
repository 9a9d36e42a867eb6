/* tests/unit/test_port_policy.c: rules are read, printed and read again; the most exact one decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "port/policy.h"

/* text, as it is printed; NULL: it is wrong, at the offset. */
static const struct {
	const char *text, *printed;
	size_t at;
} texts[] = {
	{"10.0.0.0/8", "10.0.0.0/8", 0},
	{"10.1.2.3/8", "10.0.0.0/8", 0},
	{"192.168.1.10", "192.168.1.10", 0},
	{"192.168.1.10:5432", "192.168.1.10:5432", 0},
	{"192.168.1.10:443-450/tcp", "192.168.1.10:443-450/tcp", 0},
	{"192.168.1.10/32:443", "192.168.1.10:443", 0},
	{"192.168.1.10/udp", "192.168.1.10/udp", 0},
	{"10.0.0.0/8:domain/UDP", "10.0.0.0/8:53/udp", 0},
	{"::ffff:10.0.0.1", "10.0.0.1", 0},
	{"[::ffff:10.0.0.0]/104:443", "10.0.0.0/8:443", 0},
	{"fd00::/8", "fd00::/8", 0},
	{"2001:db8::1", "2001:db8::1", 0},
	{"[2001:db8::1]", "2001:db8::1", 0},
	{"[2001:db8::1]:443", "[2001:db8::1]:443", 0},
	{"[fd00::1:2]/8:443/tcp", "[fd00::]/8:443/tcp", 0},
	{"fe80::1%3", "fe80::1", 0},
	{"0.0.0.0/0", "0.0.0.0/0", 0},
	{"::/0", "::/0", 0},
	{"*", "*", 0},
	{"*:443", "*:443", 0},
	{":443", "*:443", 0},
	{"443", "*:443", 0},
	{"8000-8010/tcp", "*:8000-8010/tcp", 0},
	{"*/udp", "*/udp", 0},
	{":https", "*:443", 0},
	{"10.0.0.1:*", "10.0.0.1", 0},
	{"", NULL, 0},
	{":", NULL, 1},
	{"/tcp", NULL, 0},
	{"0.0.0.0", NULL, 0},
	{"::", NULL, 0},
	{"127.0.0.1", NULL, 0},
	{"127.0.0.0/8", NULL, 0},
	{"[::1]:80", NULL, 1},
	{"::ffff:127.0.0.1", NULL, 0},
	{"10.0.0.0/33", NULL, 9},
	{"10.0.0.0/x", NULL, 9},
	{"10.0.0.0/", NULL, 9},
	{"fd00::/129", NULL, 7},
	{"::ffff:10.0.0.0/95", NULL, 0},
	{"10.0.0.256", NULL, 7},
	{"10.0.0.1:0", NULL, 9},
	{"10.0.0.1:90-80", NULL, 12},
	{"10.0.0.1:65536", NULL, 9},
	{"10.0.0.1:nosuchservice", NULL, 9},
	{"[2001:db8::1", NULL, 0},
	{"[fd00::]1:443", NULL, 8},
	{"10.0.0.1,10.0.0.2", NULL, 8},
	{"10.0.0.1 ", NULL, 8},
	{"a..b", NULL, 2},
};

static void rules_are_read_and_printed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct port_parse_error e = {0};
		struct port_policy_rule r, again;
		char host[64], s[PORT_POLICY_RULE_STR_MAX];
		int got = port_policy_rule_parse(texts[i].text, true, &r, host, &e);

		if (!texts[i].printed) {
			if (got == 0 || e.at != texts[i].at)
				fail_msg("'%s': %d, at %zu: %s", texts[i].text, got, e.at, e.what);
			continue;
		}
		if (got < 0)
			fail_msg("'%s': %s, at %zu", texts[i].text, e.what, e.at);
		assert_string_equal(host, "");
		assert_true(port_policy_rule_sane(&r));
		assert_string_equal(port_policy_rule_print(&r, s), texts[i].printed);
		assert_int_equal(port_policy_rule_parse(s, true, &again, host, NULL), 0);
		assert_memory_equal(&r, &again, sizeof(r));
	}
}

static void names_are_handed_back(void **state)
{
	struct port_addr a = port_addr_v4(10, 1, 2, 3);
	struct port_policy_rule r;
	char host[64], s[PORT_POLICY_RULE_STR_MAX];

	(void)state;
	assert_int_equal(port_policy_rule_parse("deb.debian.org:443", true, &r, host, NULL), 0);
	assert_string_equal(host, "deb.debian.org");
	assert_false(port_policy_rule_sane(&r)); /* until it has an address */
	port_policy_rule_at(&r, &a);
	assert_true(port_policy_rule_sane(&r));
	assert_string_equal(port_policy_rule_print(&r, s), "10.1.2.3:443");
	assert_int_equal(port_policy_rule_parse("gateway", false, &r, host, NULL), 0);
	assert_string_equal(host, "gateway");
}

static const struct {
	const char *what, *policy, *to;
	uint16_t port;
	enum port_proto proto;
	int want;
} asks[] = {
	{"open lets pass", "open", "10.1.2.3", 80, PORT_TCP, 0},
	{"closed does not", "closed", "10.1.2.3", 80, PORT_TCP, -ENETUNREACH},
	{"closed to IPv6, too", "closed", "2001:db8::1", 80, PORT_UDP, -ENETUNREACH},
	{"an allow makes a hole", "closed +10.0.0.0/8", "10.1.2.3", 80, PORT_TCP, 0},
	{"and only there", "closed +10.0.0.0/8", "11.1.2.3", 80, PORT_TCP, -ENETUNREACH},
	{"for its port", "closed +10.0.0.0/8:443", "10.1.2.3", 80, PORT_TCP, -ENETUNREACH},
	{"for its range's ends", "closed +*:80-90", "10.1.2.3", 90, PORT_TCP, 0},
	{"not beyond", "closed +*:80-90", "10.1.2.3", 91, PORT_TCP, -ENETUNREACH},
	{"for its protocol", "closed +*:53/udp", "10.1.2.3", 53, PORT_TCP, -ENETUNREACH},
	{"a deny refuses", "open -10.0.0.0/8", "10.1.2.3", 80, PORT_TCP, -ECONNREFUSED},
	{"the longer prefix decides: allow", "open -10.0.0.0/8 +10.1.0.0/16", "10.1.2.3", 80, PORT_TCP, 0},
	{"in any order", "open +10.1.0.0/16 -10.0.0.0/8", "10.1.2.3", 80, PORT_TCP, 0},
	{"the longer prefix decides: deny", "closed +10.0.0.0/8 -10.1.0.0/16", "10.1.2.3", 80, PORT_TCP, -ECONNREFUSED},
	{"the prefix before the port", "open -10.0.0.0/8:80 +10.1.0.0/16", "10.1.2.3", 80, PORT_TCP, 0},
	{"the port before the protocol", "open -10.0.0.0/8/tcp +10.0.0.0/8:80", "10.1.2.3", 80, PORT_TCP, 0},
	{"the protocol then", "open -10.0.0.0/8:80/tcp +10.0.0.0/8:80", "10.1.2.3", 80, PORT_TCP, -ECONNREFUSED},
	{"equally exact: deny", "open +10.0.0.0/8:80-81 -10.0.0.0/8:80-81/tcp", "10.1.2.3", 80, PORT_TCP,
	 -ECONNREFUSED},
	{"ranges of one size: deny", "open +*:79-80 -*:80-81", "10.1.2.3", 80, PORT_TCP, -ECONNREFUSED},
	{"every address is the least", "open -* +0.0.0.0/0", "10.1.2.3", 80, PORT_TCP, 0},
	{"and of both families", "open -* +0.0.0.0/0", "2001:db8::1", 80, PORT_TCP, -ECONNREFUSED},
	{"::/0 is not IPv4", "open -::/0", "10.1.2.3", 80, PORT_TCP, 0},
	{"not in its other spelling", "open -::/0", "::ffff:10.1.2.3", 80, PORT_TCP, 0},
	{"the other spelling is no way round", "open -10.0.0.0/8", "::ffff:10.1.2.3", 80, PORT_TCP, -ECONNREFUSED},
	{"0.0.0.0/0 is not IPv6", "closed +0.0.0.0/0", "2001:db8::1", 80, PORT_TCP, -ENETUNREACH},
	{"the scope of a link-local address does not matter", "open -fe80::1", "fe80::1%3", 80, PORT_TCP,
	 -ECONNREFUSED},
	{"multicast is an address, too", "closed", "224.0.0.251", 5353, PORT_UDP, -ENETUNREACH},
	{"the last rule holds of two about the same", "open -10.0.0.1 +10.0.0.1", "10.0.0.1", 80, PORT_TCP, 0},
};

static void the_most_exact_rule_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(asks); i++) {
		struct port_policy p;
		struct port_addr a;
		int rule, got;

		assert_int_equal(port_policy_parse(asks[i].policy, &p), 0);
		assert_true(port_policy_sane(&p));
		assert_int_equal(port_addr_parse(asks[i].to, &a, NULL), 0);
		got = port_policy_ask(&p, asks[i].proto, &a, asks[i].port, &rule);
		if (got != asks[i].want)
			fail_msg("%s: %d, not %d", asks[i].what, got, asks[i].want);
		assert_true(rule < (int)p.n_rules);
	}
}

static void whole_policies_are_lines(void **state)
{
	static const char *const wrong[] = {"",	      "Open",	    "opened", "open 10.0.0.1",
					    "open +", "open +name", "open,",  "closed +10.0.0.1,open"};
	static char s[PORT_POLICY_CHAIN_STR_MAX], again[PORT_POLICY_CHAIN_STR_MAX];
	static struct port_policy_chain c;
	struct port_policy p;

	(void)state;
	assert_int_equal(port_policy_parse("closed +10.0.0.0/8:443 -10.0.0.1 +fd00::/8/udp", &p), 0);
	assert_int_equal(p.n_rules, 3);
	assert_string_equal(port_policy_print(&p, s, sizeof(s)), "closed +10.0.0.0/8:443 -10.0.0.1 +fd00::/8/udp");
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		if (port_policy_parse(wrong[i], &p) == 0)
			fail_msg("'%s' was read", wrong[i]);
	assert_int_equal(port_policy_chain_parse("closed +10.0.0.1,open -10.0.0.1", &c), 0);
	assert_int_equal(c.n_layers, 2);
	assert_string_equal(port_policy_chain_print(&c, s, sizeof(s)), "closed +10.0.0.1,open -10.0.0.1");
	assert_int_equal(port_policy_chain_add(&c, &c.layer[1]), 0); /* said already */
	assert_int_equal(c.n_layers, 2);
	assert_int_equal(port_policy_chain_parse("", &c), -EINVAL);
	assert_int_equal(port_policy_chain_parse("open,open,open,open,open", &c), -EINVAL);
	/* The longest there is fits what is made for it. */
	memset(&c, 0, sizeof(c));
	c.n_layers = PORT_POLICY_LAYERS_MAX;
	for (unsigned l = 0; l < PORT_POLICY_LAYERS_MAX; l++)
		for (unsigned i = 0; i < PORT_POLICY_RULES_MAX; i++) {
			struct port_policy_rule r;
			char host[64];

			assert_int_equal(
				port_policy_rule_parse("[1111:1111:1111:1111:1111:1111:1111:1110]/127:10000-10001/tcp",
						       true, &r, host, NULL),
				0);
			r.ports.last = (uint16_t)(10001 + i);
			assert_int_equal(port_policy_add(&c.layer[l], &r), 0);
		}
	assert_int_equal(port_policy_add(&c.layer[0], &(struct port_policy_rule){.proto = PORT_TCP}), -ENOSPC);
	port_policy_chain_print(&c, s, sizeof(s));
	assert_int_equal(port_policy_chain_parse(s, &c), 0);
	assert_int_equal(c.n_layers, PORT_POLICY_LAYERS_MAX);
	assert_string_equal(port_policy_chain_print(&c, again, sizeof(again)), s);
}

static void garbage_is_not_sane(void **state)
{
	uint64_t x = 88172645463325252u;
	struct port_policy p;
	struct port_addr a = port_addr_v4(10, 0, 0, 1);
	unsigned sane = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		port_policy_parse("closed +10.0.0.0/8:443 -10.0.0.1 +fd00::/8/udp", &p) == 0 ? (void)0 : fail();
		for (unsigned k = 0; k < 3; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			((uint8_t *)&p)[x % 96] = (uint8_t)(x >> 32);
		}
		if (port_policy_sane(&p)) {
			char s[PORT_POLICY_STR_MAX];

			sane++;
			(void)port_policy_ask(&p, PORT_TCP, &a, 443, NULL);
			(void)port_policy_print(&p, s, sizeof(s));
		}
	}
	assert_in_range(sane, 1, 19999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_read_and_printed),  cmocka_unit_test(names_are_handed_back),
		cmocka_unit_test(the_most_exact_rule_decides), cmocka_unit_test(whole_policies_are_lines),
		cmocka_unit_test(garbage_is_not_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
