/* tests/unit/test_tcp_listen.c: listeners: the SYN cache, the accept queue, cookies. */
#include <stdio.h>

#include "stack_fixture.h"

static const struct stack_row rows[] = {
	{"the SYN-ACK goes out again after 1, 2, 4, 8, 16 seconds, then the handshake is forgotten",
	 {"listen", "< S 0 mss 1460", "> SA 0 ack 1", "+999", "quiet", "+2", "> SA 0 ack 1", "+2001", "> SA 0 ack 1",
	  "+4001", "> SA 0 ack 1", "+8001", "> SA 0 ack 1", "+16001", "> SA 0 ack 1", "+32100", "quiet", "< A 1 ack 1",
	  "> R 1"}},
	{"a SYN that comes again is answered again, not at once",
	 {"listen", "< S 0 mss 1460", "> SA 0 ack 1", "< S 0 mss 1460", "quiet", "+600", "< S 0 mss 1460",
	  "> SA 0 ack 1", "quiet"}},
	{"RFC 5961, 4: another SYN for the same handshake is challenged",
	 {"listen", "< S 0 mss 1460", "> SA 0 ack 1", "< S =2000000000 mss 1460", "> A 1 ack 1", "< A 1 ack 1",
	  "accept"}},
	{"SYN-RECEIVED: an ACK of what was never sent is reset",
	 {"listen", "< S 0", "> SA 0 ack 1", "< A 1 ack 2", "> R 2", "< A 1 ack 1", "accept"}},
	{"SYN-RECEIVED: a segment outside of the window is answered",
	 {"listen", "< S 0", "> SA 0 ack 1", "< A =2000000000 ack 1", "> A 1 ack 1", "no accept"}},
	{"S10: one such answer in a quarter of a second, whatever the segment carries",
	 {"listen", "< S 0", "> SA 0 ack 1", "< PA =2000000000+5 ack 1", "< S =2000000000", "< A =2000000000 ack 1",
	  "< PA =2000000000+5 ack 1", "> A 1 ack 1", "quiet", "count tcp_challenge_limited 3", "+270",
	  "< S =2000000000", "< PA =2000000000+5 ack 1", "> A 1 ack 1", "quiet", "< A 1 ack 1", "accept"}},
	{"such an answer has what each segment has: timestamp, window, TTL",
	 {"listen", "< S 0 mss 1460 ws 7 ts 1000 0", "> SA 0 ack 1 ws 7", "lset rcvbuf 8192",
	  "< A =2000000000 ack 1 ts 1001 0", "> A 1 ack 1 win 64 ts * 1000"}},
	{"SYN-RECEIVED: a reset at the right place ends the handshake",
	 {"listen", "< S 0", "> SA 0 ack 1", "< R 1", "+1100", "quiet", "< A 1 ack 1", "> R 1"}},
	{"SYN-RECEIVED: a reset anywhere else does not",
	 {"listen", "< S 0", "> SA 0 ack 1", "< R 2", "< R 0", "< A 1 ack 1", "accept"}},
	{"S12: a reset for one handshake does not touch another",
	 {"listen", "< S 0", "> SA 0 ack 1", "peer-port 5001", "< R 1", "peer-port 5000", "< A 1 ack 1", "accept"}},
	{"LISTEN: a reset is ignored, an ACK is reset", {"listen", "< R 0", "quiet", "< A 5 ack 7", "> R 7"}},
	{"LISTEN: SYN with ACK is reset, SYN with FIN dropped", {"listen", "< SA 0 ack 7", "> R 7", "< FS 0", "quiet"}},
	{"data with the last segment of the handshake arrives",
	 {"listen", "< S 0", "> SA 0 ack 1", "< PA 1+7 ack 1", "accept", "recv 7", "> A 1 ack 8"}},
	{"data whose handshake segment was lost arrives",
	 {"listen", "< S 0", "> SA 0 ack 1", "< PA 1+7 ack 1", "< A 1 ack 1", "accept", "recv 7", "> A 1 ack 8"}},
	{"a FIN with the last segment of the handshake",
	 {"listen", "< S 0", "> SA 0 ack 1", "< FA 1 ack 1", "> A 1 ack 2", "accept", "state CLOSE-WAIT", "recv eof"}},
	{"events of a connection wait for accept()",
	 {"listen", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "events IN", "< PA 1+7 ack 1", "events nothing", "accept",
	  "events IN", "recv 7", "> A 1 ack 8"}},
	{"a full accept queue drops the last segment of a handshake, and the SYN-ACK goes out again until there is room",
	 {"listen 0",	    "< S 0",
	  "> SA 0 ack 1",   "peer-port 5001",
	  "< S 0",	    "> SA 0 ack 1",
	  "< A 1 ack 1",    "+1001",
	  "peer-port 5000", "> SA 0 ack 1",
	  "< A 1 ack 1",    "count tcp_accept_overflow 1",
	  "quiet",	    "+2001",
	  "> SA 0 ack 1",   "peer-port 5001",
	  "accept",	    "no accept",
	  "peer-port 5000", "< A 1 ack 1",
	  "accept",	    "state ESTABLISHED"}},
	{"a full accept queue drops SYNs",
	 {"listen 0", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "peer-port 5001", "< S 0", "quiet",
	  "count tcp_syn_dropped 1", "count tcp_accept_overflow 1"}},
	{"connections reset before accept() are accepted with their error",
	 {"listen", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "< R 1", "accept", "recv ECONNRESET", "state CLOSED"}},
	{"closing a listener resets what nobody accepted",
	 {"listen", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "close-listener", "> RA 1 ack 1", "quiet", "< A 1 ack 1",
	  "> R 1"}},
	{"closing a listener forgets handshakes",
	 {"listen", "< S 0", "> SA 0 ack 1", "close-listener", "+1100", "quiet", "< A 1 ack 1", "> R 1"}},
	{"defer accept: a bare ACK does not finish the handshake, data does",
	 {"listen", "lset defer-accept 5", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "no accept", "+1100", "quiet",
	  "< PA 1+3 ack 1", "accept", "recv 3", "> A 1 ack 4"}},
	{"defer accept: when the time is over a bare ACK is enough",
	 {"listen", "lset defer-accept 3", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "+1001", "quiet", "+2001",
	  "> SA 0 ack 1", "< A 1 ack 1", "accept"}},
	{"S14: with cookies always, a SYN leaves nothing behind, and the ACK makes the connection",
	 {"listen", "lset syncookies 2", "< S 0 win 65535 mss 1460", "> SA 0 ack 1 no-ts no-ws no-sackok",
	  "count tcp_cookies_sent 1", "+1100", "quiet", "< A 1 ack 1", "count tcp_cookies_ok 1", "accept",
	  "state ESTABLISHED", "< PA 1+9 ack 1", "> A 1 ack 10", "recv 9"}},
	{"S14: a cookie's timestamp carries scale and SACK",
	 {"listen", "lset syncookies 2", "< S 0 win 65535 mss 1460 ws 5 sackok ts 44 0",
	  "> SA 0 ack 1 ws 7 sackok ts * 44"}},
	{"S14: a made-up cookie is reset",
	 {"listen", "lset syncookies 2", "< S 0", "> SA 0 ack 1", "< A 1 ack 9", "> R 9", "count tcp_cookies_bad 1",
	  "no accept"}},
	{"S14: so is one that names another segment size",
	 {"listen", "lset syncookies 2", "< S 0 mss 1460", "> SA 0 ack 1", "< A 1 ack 0", "> R 0", "< A 1 ack 2",
	  "> R 2", "count tcp_cookies_bad 2"}},
	{"S14: a cookie is good for two minutes at most",
	 {"listen", "lset syncookies 2", "< S 0", "> SA 0 ack 1", "+129000", "< A 1 ack 1", "> R 1", "no accept"}},
	{"S14: and for a minute at least",
	 {"listen", "lset syncookies 2", "< S 0", "> SA 0 ack 1", "+63900", "< A 1 ack 1", "accept"}},
	{"S14: the scale of our window is the SYN-ACK's, whatever the listener's buffer becomes",
	 {"listen", "lset syncookies 2", "< S 0 mss 1460 ws 7 ts 44 0", "> SA 0 ack 1 ws 7 ts * 44", "lset rcvbuf 8192",
	  "< A 1 ack 1 ts 45 echo", "accept", "< PA 1+1000 ack 1 win 500 ts 46 0", "> A 1 ack 1001 win 57"}},
	{"without cookies out, an ACK out of nowhere is reset",
	 {"listen", "< A 1 ack 1", "> R 1", "count tcp_cookies_bad 0"}},
	{"MUST-42: nobody listens",
	 {"< S 0", "> RA 0 ack 1", "< A 0+10 ack 3", "> R 3", "< PS 0+5", "> RA 0 ack 6", "< R 0", "quiet",
	  "count tcp_rst_out 3"}},
};

/* The SYN cache is full: handshakes go on by cookies, with all options, and no block is used (S14). */
static void test_flood(void **state)
{
	struct stack_fixture f;
	char line[64];

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "listen 4");
	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "peer-port %d", 6000 + i);
		stack_line(&f, line);
		stack_line(&f, "< S 0 win 65535 mss 1400 ws 4 sackok ts 70 0");
		stack_line(&f, "> SA 0 ack 1 ws 7 sackok ts * 70");
	}
	stack_line(&f, "count tcp_cookies_sent 92"); /* a backlog of 4 has room for 8 */
	snprintf(line, sizeof(line), "< A 1 ack 1 ts 71 %u", f.out.options.ts_val);
	stack_line(&f, line);
	stack_line(&f, "accept");
	stack_line(&f, "get maxseg 1348"); /* 1360 of the table, less 12 of timestamps */
	stack_line(&f, "send 10");
	stack_line(&f, "> PA 1+10 ack 1 ts * 71");
	stack_line(&f, "< A 1 ack 11 ts 72 0 win 100");
	stack_fixture_free(&f);
}

/* A cookie, and the moment and connection it was made for. */
static struct stack_fixture f;

static void cookie_begin(bool is6)
{
	stack_fixture_init(&f, is6, NULL);
	stack_line(&f, "listen");
	stack_line(&f, "lset syncookies 2");
	stack_line(&f, "< S 0");
	stack_line(&f, "> SA 0 ack 1");
}

static void cookie_is_bad(void)
{
	stack_line(&f, "> R 1");
	stack_line(&f, "count tcp_cookies_bad 1");
	stack_line(&f, "no accept");
	stack_fixture_free(&f);
}

/* S14: nothing of what the hash covers may be another's. */
static void test_cookie_is_ones_own(void **state)
{
	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		uint32_t iss;

		cookie_begin(is6);
		stack_line(&f, "< A 2 ack 1"); /* the client's sequence number */
		cookie_is_bad();
		cookie_begin(is6);
		stack_line(&f, "peer-port 5001");
		stack_line(&f, "< A 1 ack 1");
		cookie_is_bad();
		cookie_begin(is6);
		f.peers.ip[15] = 77;
		stack_line(&f, "< A 1 ack 1");
		cookie_is_bad();

		cookie_begin(is6);
		f.ours.ip[15] = 78;
		assert_int_equal(berth_addr_add(f.st, f.iface, &f.ours, is6 ? 64 : 24), 0);
		while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
			;
		stack_line(&f, "< A 1 ack 1");
		cookie_is_bad();
		cookie_begin(is6);
		f.ours.port = 81;
		f.listener = 0;
		assert_int_equal(berth_sock_open(f.st, BERTH_TCP, is6 ? BERTH_IPV6 : BERTH_IPV4, 1, &f.listener), 0);
		assert_int_equal(berth_sock_bind(f.st, f.listener, &f.ours), 0);
		assert_int_equal(berth_sock_listen(f.st, f.listener, 4), 0);
		stack_line(&f, "local-port 81");
		stack_line(&f, "< A 1 ack 1");
		cookie_is_bad();

		cookie_begin(is6); /* too old, though the stack has made one since */
		iss = f.our_iss;
		stack_line(&f, "+70000");
		stack_line(&f, "peer-port 5001");
		stack_line(&f, "< S 0");
		stack_line(&f, "> SA 0 ack 1");
		f.our_iss = iss;
		stack_line(&f, "peer-port 5000");
		stack_line(&f, "+60000");
		stack_line(&f, "< A 1 ack 1");
		cookie_is_bad();
	}
}

/* A socket that is bound to a link hears nothing that came over another one (SO_BINDTODEVICE). */
static void test_bound_to_a_link(void **state)
{
	struct berth_iface i = {.struct_size = sizeof(i), .link = BERTH_LINK_IP, .mtu_bytes = 1500, .name = "test1"};
	struct berth_addr at;
	uint16_t iface[2];

	(void)state;
	stack_fixture_init(&f, false, NULL);
	at = f.ours;
	iface[0] = f.iface;
	assert_int_equal(berth_iface_add(f.st, &i, &iface[1]), 0);
	at.port = 80;
	assert_int_equal(berth_sock_open(f.st, BERTH_TCP, BERTH_IPV4, 0, &f.listener), 0);
	assert_int_equal(berth_sock_set(f.st, f.listener, BERTH_BIND_IFACE, iface[0] + 1u), 0);
	assert_int_equal(berth_sock_bind(f.st, f.listener, &at), 0);
	assert_int_equal(berth_sock_listen(f.st, f.listener, 5), 0);
	stack_line(&f, "< S 0 mss 1400");
	stack_line(&f, "> SA 0 ack 1");
	stack_line(&f, "< A 1 ack 1");
	stack_line(&f, "accept");
	f.iface = iface[1];
	stack_line(&f, "< PA 1+5 ack 1");
	f.iface = iface[0];
	stack_line(&f, "> R 1");
	stack_line(&f, "recv EAGAIN");
	stack_line(&f, "< PA 1+5 ack 1");
	stack_line(&f, "> A 1 ack 6");
	stack_line(&f, "recv 5");
}

/* The same link-local addresses and ports on two links are two handshakes. */
static void test_two_links(void **state)
{
	struct berth_iface i = {.struct_size = sizeof(i),
				.link = BERTH_LINK_IP,
				.flags = BERTH_IF_NO_DAD,
				.mtu_bytes = 1500,
				.name = "test1"};
	uint16_t iface[2];

	(void)state;
	stack_fixture_init(&f, true, NULL);
	iface[0] = f.iface;
	assert_int_equal(berth_iface_add(f.st, &i, &iface[1]), 0);
	assert_int_equal(berth_iface_set_up(f.st, iface[1], true), 0);
	f.ours = (struct berth_addr){.ip = {0xfe, 0x80, [15] = 1}};
	f.peers = (struct berth_addr){.ip = {0xfe, 0x80, [15] = 2}};
	for (unsigned k = 0; k < 2; k++) {
		f.ours.scope = iface[k] + 1u;
		assert_int_equal(berth_addr_add(f.st, iface[k], &f.ours, 64), 0);
	}
	while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
		;
	stack_line(&f, "listen");
	stack_line(&f, "< S 0 mss 1400");
	stack_line(&f, "> SA 0 ack 1");
	f.iface = iface[1];
	stack_line(&f, "< S 300 mss 1400");
	stack_line(&f, "> SA 0 ack 301");
	stack_line(&f, "< A 301 ack 1");
	stack_line(&f, "accept");
	stack_line(&f, "no accept");
	f.iface = iface[0];
	stack_line(&f, "< R 1"); /* of the first handshake alone */
	stack_line(&f, "state ESTABLISHED");
	stack_line(&f, "+1100");
	stack_line(&f, "quiet");
	f.iface = iface[1];
	stack_line(&f, "lset syncookies 2");
	stack_line(&f, "peer-port 5001");
	stack_line(&f, "< S 0");
	stack_line(&f, "> SA 0 ack 1");
	f.iface = iface[0];
	stack_line(&f, "< A 1 ack 1");
	cookie_is_bad();
}

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_flood), cmocka_unit_test(test_cookie_is_ones_own),
					  cmocka_unit_test(test_two_links), cmocka_unit_test(test_bound_to_a_link)};

	return stack_rows_run("tcp listen", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
