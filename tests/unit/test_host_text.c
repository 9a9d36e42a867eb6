/* tests/unit/test_host_text.c: sockets out of canned /proc/net files, kept in order, and as claims. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/socket.h"
#include "host/text.h"
#include "host_fixture.h"

#define TITLE "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

static const struct line_case {
	const char *name, *line;
	uint8_t proto, family;
	int want;
	uint16_t port, peer_port;
	uint8_t state;
	uint64_t inode;
	const char *addr;
	uint32_t timer_ms;
} lines[] = {
	{"a listener",
	 "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0",
	 HOST_TCP, PORT_FAMILY_4, 0, 8080, 0, HOST_LISTEN, 12345, "127.0.0.1", 0},
	{"a connection with a timer",
	 "  11: 0100007F:1F90 0200007F:C350 01 00000001:00000000 02:000000C8 00000000     0        0 222 2 0000000000000000 20 4 30 10 -1",
	 HOST_TCP, PORT_FAMILY_4, 0, 8080, 50000, HOST_ESTABLISHED, 222, "127.0.0.1", 2000},
	{"TIME_WAIT",
	 " 12: 0100007F:1F90 0200007F:C350 06 00000000:00000000 03:0000176F 00000000     0        0 0 3 0000000000000000",
	 HOST_TCP, PORT_FAMILY_4, 0, 8080, 50000, HOST_TIME_WAIT, 0, "127.0.0.1", 59990},
	{"IPv6",
	 "   1: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23 1 0000000000000000 100 0 0 10 0",
	 HOST_TCP, PORT_FAMILY_6, 0, 22, 0, HOST_LISTEN, 23, "::1", 0},
	{"UDP that is bound",
	 " 1234: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 24 2 0000000000000000 0",
	 HOST_UDP, PORT_FAMILY_4, 0, 53, 0, HOST_BOUND, 24, "0.0.0.0", 0},
	{"the title", TITLE, HOST_TCP, PORT_FAMILY_4, -EBADMSG, 0, 0, 0, 0, NULL, 0},
	{"nothing", "", HOST_TCP, PORT_FAMILY_4, -EBADMSG, 0, 0, 0, 0, NULL, 0},
	{"a line that was cut", "   0: 0100007F:1F90 00000000:0000 0A 0000", HOST_TCP, PORT_FAMILY_4, -EBADMSG, 0, 0, 0,
	 0, NULL, 0},
	{"an IPv4 line in an IPv6 file",
	 "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 12345 1", HOST_TCP,
	 PORT_FAMILY_6, -EBADMSG, 0, 0, 0, 0, NULL, 0},
	{"a port too big",
	 "   0: 0100007F:1F901 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 1 1", HOST_TCP,
	 PORT_FAMILY_4, -EBADMSG, 0, 0, 0, 0, NULL, 0},
	{"a state of another world",
	 "   0: 0100007F:1F90 00000000:0000 2A 00000000:00000003 00:00000000 00000000  1000        0 1 1", HOST_TCP,
	 PORT_FAMILY_4, -EBADMSG, 0, 0, 0, 0, NULL, 0},
};

static void lines_are_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		const struct line_case *c = &lines[i];
		struct host_socket s = {0};
		char addr[PORT_ADDR_STR_MAX];

		print_message("# %s\n", c->name);
		assert_int_equal(host_text_parse(c->line, c->proto, c->family, &s), c->want);
		if (c->want < 0)
			continue;
		assert_int_equal(s.port, c->port);
		assert_int_equal(s.peer_port, c->peer_port);
		assert_int_equal(s.state, c->state);
		assert_int_equal(s.inode, c->inode);
		assert_int_equal(s.timer_ms, c->timer_ms);
		assert_string_equal(port_addr_print(&s.addr, addr), c->addr);
	}
}

static const char tcp[] =
	TITLE "   0: 0100007F:1F90 0100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 33 1\n"
	      "   1: 0100007F:C351 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 34 1\n"
	      "   2: 0100007F:1F90 0100007F:C350 06 00000000:00000000 03:0000176F 00000000     0        0 0 3\n"
	      "   3: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 32 1\n"
	      "   4: nonsense\n"
	      "   5: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31 1\n";
static const char udp6[] = TITLE
	" 9: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 41 2 0000000000000000 0\n";

static const struct host_root root = {.proc = canned_root, .no_netlink = true};

static void rows_come_in_order_with_a_note(void **state)
{
	static const struct host_filter all = {0};
	struct port_claim c;
	struct host_sockets s;

	(void)state;
	canned_file("net/tcp", tcp);
	canned_file("net/udp", TITLE);
	canned_file("net/udp6", udp6);
	assert_int_equal(host_sockets_read(&root, &all, &s), 0);
	assert_int_equal(s.n, 6);
	assert_int_equal(s.notes.netlink_err, -EOPNOTSUPP);
	assert_true(s.notes.no_bound);
	assert_int_equal(s.notes.n_bad, 1);
	for (size_t i = 0; i < s.n; i++) {
		static const uint64_t inodes[] = {41, 31, 32, 0, 33, 34};

		assert_int_equal(s.rows[i].inode, inodes[i]);
	}
	/* as a network would say it */
	assert_true(host_socket_claim(&s.rows[0], 1000, &c));
	assert_int_equal(c.state, CLAIM_HELD);
	assert_int_equal(c.proto, PORT_UDP);
	assert_int_equal(c.family, PORT_FAMILY_6);
	assert_true(host_socket_claim(&s.rows[2], 1000, &c));
	assert_int_equal(c.state, CLAIM_LISTENING);
	assert_int_equal(c.owner.inode, 32);
	assert_true(host_socket_claim(&s.rows[3], 1000, &c));
	assert_int_equal(c.state, CLAIM_LINGER);
	assert_int_equal(c.expires_us, 1000 + 59990 * 1000);
	assert_true(host_socket_claim(&s.rows[4], 1000, &c));
	assert_int_equal(c.state, CLAIM_ACCEPTED);
	assert_int_equal(c.peer_port, 50001);
	assert_true(host_socket_claim(&s.rows[5], 1000, &c));
	assert_int_equal(c.state, CLAIM_CONNECTED);
	host_sockets_free(&s);
}

static size_t count(struct host_filter f)
{
	struct host_sockets s;
	size_t n;

	assert_int_equal(host_sockets_read(&root, &f, &s), 0);
	n = s.n;
	host_sockets_free(&s);
	return n;
}

static void a_filter_picks(void **state)
{
	(void)state;
	canned_file("net/tcp", tcp);
	canned_file("net/udp", TITLE);
	canned_file("net/udp6", udp6);
	assert_int_equal(count((struct host_filter){.ports = {80, 80}}), 1);
	assert_int_equal(count((struct host_filter){.ports = {8000, 9000}}), 3);
	assert_int_equal(count((struct host_filter){.states = 1u << HOST_LISTEN}), 2);
	assert_int_equal(count((struct host_filter){.protos = 1u << HOST_UDP}), 1);
	assert_int_equal(count((struct host_filter){.family = PORT_FAMILY_4}), 5);
	assert_int_equal(count((struct host_filter){.family = PORT_FAMILY_6}), 1);
	assert_int_equal(count((struct host_filter){.ports = {81, 81}}), 0);
}

static void without_any_source_it_is_an_error(void **state)
{
	static const struct host_filter all = {0};
	struct host_sockets s;

	(void)state;
	assert_int_equal(host_sockets_read(&root, &all, &s), -ENOENT);
	assert_null(s.rows);
}

/* Raw is a row, and no claim: no network has such. */
static void raw_is_a_row(void **state)
{
	static const struct host_filter only = {.protos = 1u << HOST_RAW};
	struct host_sockets s;
	struct port_claim c;

	(void)state;
	canned_file(
		"net/raw", TITLE
		"   1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 51 2 0000000000000000 0\n");
	assert_int_equal(host_sockets_read(&root, &only, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.rows[0].port, 1); /* ICMP */
	assert_false(host_socket_claim(&s.rows[0], 0, &c));
	host_sockets_free(&s);
}

static const struct holder_case {
	const char *name;
	struct host_socket s;
	size_t n_owners;
	bool all_seen;
	enum host_holder want;
} holders[] = {
	{"a process has it", {.state = HOST_LISTEN, .inode = 5}, 1, false, HOST_HELD_BY_PROCESS},
	{"TIME_WAIT is nobody's", {.state = HOST_TIME_WAIT}, 0, true, HOST_HELD_TIME_WAIT},
	{"closed, and the peer is waited for", {.state = HOST_FIN_WAIT2}, 0, true, HOST_HELD_ORPHAN},
	{"closed, its last octets under way", {.state = HOST_LAST_ACK}, 0, false, HOST_HELD_ORPHAN},
	{"a handshake", {.state = HOST_SYN_RECV}, 0, true, HOST_HELD_UNACCEPTED},
	{"connected and not yet accepted", {.state = HOST_ESTABLISHED}, 0, true, HOST_HELD_UNACCEPTED},
	{"the same after the caller hung up", {.state = HOST_CLOSE_WAIT}, 0, true, HOST_HELD_UNACCEPTED},
	{"open, and not everybody was seen", {.state = HOST_LISTEN, .inode = 5}, 0, false, HOST_HELD_UNSEEN},
	{"open, and nobody has it", {.state = HOST_BOUND, .inode = 5}, 0, true, HOST_HELD_NOBODY},
};

static void holders_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(holders); i++) {
		const struct holder_case *c = &holders[i];

		print_message("# %s\n", c->name);
		assert_int_equal(host_socket_holder(&c->s, c->n_owners, c->all_seen), c->want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_rows),
		cmocka_unit_test_setup_teardown(rows_come_in_order_with_a_note, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(a_filter_picks, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(without_any_source_it_is_an_error, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(raw_is_a_row, canned_begin, canned_end),
		cmocka_unit_test(holders_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
