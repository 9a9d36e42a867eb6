/* tests/unit/test_port_service.c: the registry both ways, overlays, and /etc/services lines. */
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "port/service.h"
#include "port/service_data.h"

static const struct {
	uint16_t port;
	const char *name;
} pinned[] = {
	{7, "echo"},	       {9, "discard"},	  {20, "ftp-data"},	   {21, "ftp"},		 {22, "ssh"},
	{23, "telnet"},	       {25, "smtp"},	  {53, "domain"},	   {79, "finger"},	 {80, "http"},
	{88, "kerberos"},      {110, "pop3"},	  {119, "nntp"},	   {143, "imap"},	 {179, "bgp"},
	{389, "ldap"},	       {443, "https"},	  {445, "microsoft-ds"},   {465, "submissions"}, {554, "rtsp"},
	{587, "submission"},   {631, "ipp"},	  {636, "ldaps"},	   {853, "domain-s"},	 {873, "rsync"},
	{993, "imaps"},	       {995, "pop3s"},	  {1433, "ms-sql-s"},	   {1723, "pptp"},	 {2049, "nfs"},
	{2379, "etcd-client"}, {3306, "mysql"},	  {3389, "ms-wbt-server"}, {5060, "sip"},	 {5222, "xmpp-client"},
	{5432, "postgresql"},  {5672, "amqp"},	  {6000, "x11"},	   {6063, "x11"},	 {6379, "redis"},
	{8080, "http-alt"},    {11434, "ollama"}, {27017, "mongodb"},
};

static void test_pinned(void **state)
{
	struct port_service s;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(pinned); i++) {
		if (port_service_name(pinned[i].port, PORT_TCP, NULL, &s) != 0 || strcmp(s.name, pinned[i].name) != 0)
			fail_msg("%u/tcp is '%s', want '%s'", pinned[i].port, s.name, pinned[i].name);
		assert_int_equal(s.source, PORT_SERVICE_IANA);
	}
	assert_int_equal(port_service_find("MAIL", PORT_TCP, NULL, &s), 0);
	assert_int_equal(s.first, 25);
	assert_int_equal(s.source, PORT_SERVICE_ALIAS);
	assert_int_equal(port_service_name(5173, PORT_TCP, NULL, &s), -ENOENT);
	assert_int_equal(port_service_all(5173, -1, NULL, &s, 1), 1);
	assert_int_equal(s.source, PORT_SERVICE_OBSERVED);
	assert_string_equal(s.name, "vite");
}

/* Every row is found by number and by name; a primary name leads back to a port it is primary of. */
static void test_round_trip(void **state)
{
	static const enum port_proto protos[] = {PORT_TCP, PORT_UDP};

	(void)state;
	assert_true(service_n_rows > 6200);
	for (uint32_t i = 0; i < service_n_rows; i++) {
		const struct service_row *r = &service_rows[i];
		const char *name = service_text + (r->name_flags & ((1u << SERVICE_NAME_BITS) - 1));
		uint32_t flags = r->name_flags >> SERVICE_NAME_BITS;

		for (int p = 0; p < PORT_NPROTOS; p++) {
			struct port_service s, back, all[64];
			uint32_t n;
			bool seen = false;

			if (!(flags & (p ? SERVICE_UDP : SERVICE_TCP)))
				continue;
			n = port_service_all(r->first, p, NULL, all, COUNT_OF(all));
			assert_true(n <= COUNT_OF(all));
			for (uint32_t j = 0; j < n; j++)
				seen = seen || (strcmp(all[j].name, name) == 0 && all[j].last == r->last);
			assert_true(seen);
			assert_int_equal(port_service_find(name, protos[p], NULL, &s), 0);
			assert_int_equal(strcasecmp(s.name, name), 0);
			if (!(flags & (p ? SERVICE_PRIMARY_UDP : SERVICE_PRIMARY_TCP)))
				continue;
			assert_int_equal(s.source, PORT_SERVICE_IANA);
			assert_int_equal(port_service_name(s.last, protos[p], NULL, &back), 0);
			if (s.first == s.last)
				assert_string_equal(back.name, s.name);
		}
	}
}

/* Debian's file, where this machine has it: each of its names leads to its number. */
static void test_netbase(void **state)
{
	struct servent *e;
	unsigned n = 0, n_differ = 0;

	(void)state;
	setservent(1);
	while ((e = getservent())) {
		struct port_service s;
		enum port_proto p = strcmp(e->s_proto, "udp") == 0 ? PORT_UDP : PORT_TCP;
		uint16_t port = (uint16_t)((((unsigned)e->s_port & 255) << 8) | ((unsigned)e->s_port >> 8 & 255));

		if (strcmp(e->s_proto, "tcp") != 0 && p != PORT_UDP)
			continue;
		n++;
		if (port_service_find(e->s_name, p, NULL, &s) != 0 || s.first > port || port > s.last) {
			print_message("differs: %s %u/%s\n", e->s_name, port, e->s_proto);
			n_differ++;
		}
	}
	endservent();
	if (n == 0)
		skip();
	assert_int_equal(n_differ, 0);
}

static const struct {
	const char *line;
	int n;
	const char *last, *description;
	uint16_t first_port, last_port;
} lines[] = {
	{"http\t80/tcp\twww web # World Wide Web\n", 3, "web", "World Wide Web", 80, 80},
	{"mine 6000-6010/UDP", 1, "mine", "", 6000, 6010},
	{"# a comment", 0, "", "", 0, 0},
	{"  \n", 0, "", "", 0, 0},
	{"other 80/sctp", 0, "", "", 0, 0},
	{"alone", -EINVAL, "", "", 0, 0},
	{"big 65536/tcp", -EINVAL, "", "", 0, 0},
	{"zero 0/tcp", -EINVAL, "", "", 0, 0},
	{"bad 80tcp", -EINVAL, "", "", 0, 0},
	{"back 90-80/tcp", -EINVAL, "", "", 0, 0},
	{"noproto 80/", -EINVAL, "", "", 0, 0},
	{"a-name-of-more-than-thirty-one-letters 80/tcp", -EINVAL, "", "", 0, 0},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		struct port_service rows[4];
		int n = port_service_parse_line(lines[i].line, rows, COUNT_OF(rows));

		if (n != lines[i].n)
			fail_msg("'%s' gives %d, want %d", lines[i].line, n, lines[i].n);
		if (n <= 0)
			continue;
		assert_string_equal(rows[n - 1].name, lines[i].last);
		assert_string_equal(rows[n - 1].description, lines[i].description);
		assert_int_equal(rows[0].first, lines[i].first_port);
		assert_int_equal(rows[0].last, lines[i].last_port);
		assert_int_equal(port_service_parse_line(lines[i].line, rows, 1), 1);
	}
}

static void test_overlay_and_search(void **state)
{
	struct port_service rows[2], s, found[512];
	struct port_service_overlay o = {rows, 2};
	uint32_t n;

	(void)state;
	assert_int_equal(port_service_parse_line("shop 80/tcp ssh", rows, 2), 2);
	assert_int_equal(port_service_name(80, PORT_TCP, &o, &s), 0);
	assert_string_equal(s.name, "shop");
	assert_int_equal(s.source, PORT_SERVICE_OVERLAY);
	assert_int_equal(port_service_find("SSH", PORT_TCP, &o, &s), 0);
	assert_int_equal(s.first, 80);
	assert_int_equal(port_service_find("ssh", PORT_UDP, &o, &s), 0);
	assert_int_equal(s.first, 22);
	n = port_service_search("POSTGRES", -1, &o, found, COUNT_OF(found));
	assert_true(n >= 2 && n <= COUNT_OF(found));
	n = port_service_search("sh", PORT_TCP, &o, found, COUNT_OF(found));
	for (uint32_t i = 1; i < n && i < COUNT_OF(found); i++)
		assert_true(found[i - 1].first <= found[i].first);
	assert_int_equal(port_service_search("no such thing anywhere", -1, &o, found, 1), 0);
}

static void test_small(void **state)
{
	(void)state;
	assert_true(port_service_name_ok("http-alt") && port_service_name_ok("914c-g"));
	assert_false(port_service_name_ok("") || port_service_name_ok("80") || port_service_name_ok("-a") ||
		     port_service_name_ok("a-") || port_service_name_ok("a--b") || port_service_name_ok("a_b") ||
		     port_service_name_ok("sixteen-letters-"));
	assert_true(port_is_browser_blocked(1) && port_is_browser_blocked(6000) && port_is_browser_blocked(10080));
	assert_false(port_is_browser_blocked(80) || port_is_browser_blocked(8080) || port_is_browser_blocked(65535));
}

/* The bitmap that libberth-port brings along says what the registry says. */
static void test_named(void **state)
{
	struct port_service s;
	uint32_t n = 0;

	(void)state;
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		assert_int_equal(port_is_named((uint16_t)port), port_service_all((uint16_t)port, -1, NULL, &s, 1) > 0);
		n += port_is_named((uint16_t)port);
	}
	assert_true(n > 5000 && n < 10000);
	assert_true(port_is_named(5173) && port_is_named(3306) && port_is_named(6063) && !port_is_named(61234));
}

/* The tables are what make the registry fit: text, rows and both indexes together. */
static void test_size(void **state)
{
	uint32_t text = 0;

	(void)state;
	for (uint32_t i = 0; i < service_n_rows; i++) {
		uint32_t at = service_rows[i].name_flags & ((1u << SERVICE_NAME_BITS) - 1),
			 d = service_rows[i].description;

		at += (uint32_t)strlen(service_text + at) + 1;
		d += (uint32_t)strlen(service_text + d) + 1;
		text = at > text ? at : text;
		text = d > text ? d : text;
	}
	assert_true(text + service_n_rows * (sizeof(struct service_row) + sizeof(uint16_t)) < 400 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pinned),	cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_netbase), cmocka_unit_test(test_lines),
		cmocka_unit_test(test_size),	cmocka_unit_test(test_overlay_and_search),
		cmocka_unit_test(test_small),	cmocka_unit_test(test_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
