/* tests/unit/test_endpoint.c: what people write, and what we say when it is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "port/endpoint.h"

#define NOT_SAID (-1)

static const struct {
	const char *text, *addr, *host, *service;
	uint16_t first, last;
	int proto;
} good[] = {
	{"80", NULL, "", "", 80, 80, NOT_SAID},
	{"0", NULL, "", "", 0, 0, NOT_SAID},
	{"65535", NULL, "", "", 65535, 65535, NOT_SAID},
	{"80/tcp", NULL, "", "", 80, 80, PORT_TCP},
	{"53/UDP", NULL, "", "", 53, 53, PORT_UDP},
	{":8080", NULL, "", "", 8080, 8080, NOT_SAID},
	{"http", NULL, "", "http", 80, 80, NOT_SAID},
	{"HTTP", NULL, "", "HTTP", 80, 80, NOT_SAID},
	{"https/tcp", NULL, "", "https", 443, 443, PORT_TCP},
	{"domain/udp", NULL, "", "domain", 53, 53, PORT_UDP},
	{"192.168.1.10:3306", "192.168.1.10", "", "", 3306, 3306, NOT_SAID},
	{"[::1]:53/udp", "::1", "", "", 53, 53, PORT_UDP},
	{"[fe80::1%3]:22", "fe80::1%3", "", "", 22, 22, NOT_SAID},
	{"8000-8010", NULL, "", "", 8000, 8010, NOT_SAID},
	{"8000-8010/udp", NULL, "", "", 8000, 8010, PORT_UDP},
	{"127.0.0.1:8000-8010", "127.0.0.1", "", "", 8000, 8010, NOT_SAID},
	{"*:80", "0.0.0.0", "", "", 80, 80, NOT_SAID},
	{"[::]:443", "::", "", "", 443, 443, NOT_SAID},
	{"localhost:80", NULL, "localhost", "", 80, 80, NOT_SAID},
	{"web:http", NULL, "web", "http", 80, 80, NOT_SAID},
	{"my-web_1.test:81", NULL, "my-web_1.test", "", 81, 81, NOT_SAID},
};

static void reads_every_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct port_parse_error err;
		struct port_endpoint e;
		char s[PORT_ADDR_STR_MAX];

		if (port_endpoint_parse(good[i].text, &e, &err) != 0)
			fail_msg("%s: %zu: %s", good[i].text, err.at, err.what);
		assert_int_equal(e.has_addr, good[i].addr != NULL);
		if (good[i].addr)
			assert_string_equal(port_addr_print(&e.addr, s), good[i].addr);
		assert_string_equal(e.host, good[i].host);
		assert_string_equal(e.service, good[i].service);
		assert_int_equal(e.ports.first, good[i].first);
		assert_int_equal(e.ports.last, good[i].last);
		assert_int_equal(e.has_proto, good[i].proto != NOT_SAID);
		assert_int_equal(e.proto, good[i].proto == NOT_SAID ? PORT_TCP : good[i].proto);
	}
}

static const struct {
	const char *text;
	size_t at;
	const char *what; /* how the message begins */
} bad[] = {
	{"", 0, "a port is missing here"},
	{":", 1, "a port is missing here"},
	{"65536", 0, "a port is a number from 0 to 65535"},
	{"99999999999999999999", 0, "a port is a number from 0 to 65535"},
	{"-1", 0, "a port is a number from 0 to 65535"},
	{"8010-8000", 5, "a range goes from the smaller port"},
	{"8000-", 5, "a port number is missing here"},
	{"80-70000", 3, "a port is a number from 0 to 65535"},
	{"80/", 3, "after the slash comes tcp or udp"},
	{"80/sctp", 3, "after the slash comes tcp or udp"},
	{"80/tcp/udp", 3, "after the slash comes tcp or udp"},
	{"80 ", 2, "there is a blank here"},
	{"no-such-service-x", 0, "no service has this name"},
	{"web:nonesuch-x", 4, "no service has this name"},
	{"ht=tp", 2, "this character cannot be part of a port"},
	{"10.0.0.1", 8, "a port is missing here: after the address"},
	{"[::1]", 5, "a port is missing here: after the address"},
	{"[::1]80", 5, "after the closing bracket comes a colon"},
	{"[::1:80", 0, "this bracket is never closed"},
	{"::1:80", 0, "an IPv6 address is written in brackets"},
	{"::1", 0, "an IPv6 address is written in brackets"},
	{"1:2:80", 1, "there is one colon before the port"},
	{"10.0.0.256:80", 7, "each number of an IPv4 address is at most 255"},
	{"010.0.0.1:80", 0, "a number of an IPv4 address has no leading zero"},
	{"10.0.0:80", 6, "an IPv4 address is four numbers"},
	{"10.0.0.1.2:80", 8, "an IPv4 address ends after four numbers"},
	{"[::1%eth0]:80", 5, "after % comes the number of a network interface, not"},
	{"[2001:db8::1%2]:80", 12, "only a link-local address"},
	{"[1::2::3]:80", 5, "\"::\" may stand only once"},
	{"[::g]:80", 3, "this character cannot be part of an IPv6"},
	{"[::12345]:80", 7, "a group of an IPv6 address has at most four"},
	{"[1:2:3]:80", 6, "an IPv6 address has eight groups"},
	{"we!b:80", 2, "this character cannot be part of a host name"},
	{"web..x:80", 4, "a part of this host name is empty"},
	{"-web:80", 0, "a part of a host name does not begin or end"},
	{"\xff:80", 0, "this character cannot be part of a host name"},
};

static void points_at_what_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct port_parse_error err = {0};
		struct port_endpoint e, before;

		memset(&e, 0x5a, sizeof(e));
		before = e;
		if (port_endpoint_parse(bad[i].text, &e, &err) != -EINVAL)
			fail_msg("\"%s\" was accepted", bad[i].text);
		if (err.at != bad[i].at || strncmp(err.what, bad[i].what, strlen(bad[i].what)) != 0)
			fail_msg("\"%s\": %zu: %s", bad[i].text, err.at, err.what);
		assert_int_not_equal(err.what[strlen(err.what) - 1], '.');
		assert_memory_equal(&e, &before, sizeof(e));
		assert_int_equal(port_endpoint_parse(bad[i].text, &e, NULL), -EINVAL);
	}
}

static void bounds_what_it_reads(void **state)
{
	struct port_parse_error err;
	struct port_endpoint e;
	char text[400];

	(void)state;
	memset(text, '1', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(port_endpoint_parse(text, &e, &err), -EINVAL);
	assert_int_equal(err.at, 255);
}

static void numbers_alone(void **state)
{
	struct port_parse_error err;
	uint16_t port = 7;

	(void)state;
	assert_int_equal(port_number_parse("65535", &port, NULL), 0);
	assert_int_equal(port, 65535);
	assert_int_equal(port_number_parse("12x", &port, &err), -EINVAL);
	assert_int_equal(err.at, 2);
	assert_int_equal(port_number_parse("", &port, &err), -EINVAL);
	assert_int_equal(port_number_parse("+1", &port, &err), -EINVAL);
	assert_int_equal(port, 65535);
}

static void classes_end_where_rfc_6335_says(void **state)
{
	(void)state;
	assert_int_equal(port_class_of(0), PORT_CLASS_SYSTEM);
	assert_int_equal(port_class_of(1023), PORT_CLASS_SYSTEM);
	assert_int_equal(port_class_of(1024), PORT_CLASS_USER);
	assert_int_equal(port_class_of(49151), PORT_CLASS_USER);
	assert_int_equal(port_class_of(49152), PORT_CLASS_DYNAMIC);
	assert_int_equal(port_class_of(65535), PORT_CLASS_DYNAMIC);
}

static void prints(void **state)
{
	struct port_addr any4 = PORT_ADDR_ANY4, any6 = PORT_ADDR_ANY6, one = PORT_ADDR_LOOP6;
	struct port_tuple t = {PORT_TCP, port_addr_v4(10, 0, 0, 1), port_addr_v4(10, 0, 0, 2), 40000, 80};
	char s[PORT_ENDPOINT_STR_MAX], ts[PORT_TUPLE_STR_MAX];
	struct port_addr widest;

	(void)state;
	assert_string_equal(port_endpoint_print(&any4, 80, s), "*:80");
	assert_string_equal(port_endpoint_print(&any6, 80, s), "[::]:80");
	assert_string_equal(port_endpoint_print(&one, 65535, s), "[::1]:65535");
	assert_string_equal(port_tuple_print(&t, ts), "tcp 10.0.0.1:40000 -> 10.0.0.2:80");
	assert_int_equal(port_addr_parse("fe80:1111:2222:3333:4444:5555:6666:7777%4294967295", &widest, NULL), 0);
	t = (struct port_tuple){PORT_UDP, widest, widest, 65535, 65535};
	assert_int_equal(strlen(port_tuple_print(&t, ts)), 4 + 2 * 58 + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_form),
		cmocka_unit_test(points_at_what_is_wrong),
		cmocka_unit_test(bounds_what_it_reads),
		cmocka_unit_test(numbers_alone),
		cmocka_unit_test(classes_end_where_rfc_6335_says),
		cmocka_unit_test(prints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
