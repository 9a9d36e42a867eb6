/* tests/unit/test_tcp_handshake.c: how connections begin: both sides, options, simultaneous opens, what does not belong there.
 * Names in front are RFC 9293's ids (docs/stack-rfc.md). */
#include <errno.h>

#include "stack_fixture.h"

#include "stack/tcp.h"

static const struct stack_row rows[] = {
	{"the window's scale is the SYN-ACK's, whatever the listener's buffer becomes",
	 {"listen", "< S 0 mss 1460 ws 7", "> SA 0 ack 1 ws 7", "lset rcvbuf 8192", "< A 1 ack 1 win 500", "accept",
	  "< PA 1+1000 ack 1 win 500", "> A 1 ack 1001 win 57"}},
	{"a passive handshake, data both ways, the peer closes first",
	 {"listen",
	  "< S 0 win 65535 mss 1460",
	  "> SA 0 ack 1 win 65535 mss * no-ts no-ws no-sackok",
	  "quiet",
	  "no accept",
	  "< A 1 ack 1",
	  "events IN",
	  "accept",
	  "state ESTABLISHED",
	  "< PA 1+10 ack 1",
	  "events IN",
	  "recv 10",
	  "> A 1 ack 11",
	  "recv EAGAIN",
	  "send 20",
	  "> PA 1+20 ack 11",
	  "< A 11 ack 21",
	  "< FA 11 ack 21",
	  "state CLOSE-WAIT",
	  "recv eof",
	  "close",
	  "> FA 21 ack 12",
	  "< A 12 ack 22",
	  "events CLOSED",
	  "gone"}},
	{"MUST-14: an active handshake offers everything, and the options of the SYN-ACK count",
	 {"connect", "state SYN-SENT", "> S 0 win 65535 mss * ws 7 sackok ts * 0",
	  "< SA 0 ack 1 win 65535 mss 1000 ws 3 sackok ts 77 0", "> A 1 ack 1 ts * 77", "events OUT",
	  "state ESTABLISHED", "error none", "get maxseg 988"}},
	{"options that the program refuses are neither offered nor accepted",
	 {"open", "set timestamps 0", "set sack 0", "set window-scaling 0", "connect",
	  "> S 0 mss * no-ts no-ws no-sackok", "< SA 0 ack 1 win 1000 mss 1000 ws 3 sackok ts 77 0",
	  "> A 1 ack 1 no-ts", "get maxseg 1000"}},
	{"a listener that refuses options answers none",
	 {"listen", "lset timestamps 0", "lset window-scaling 0", "< S 0 win 65535 mss 1460 ws 7 sackok ts 5 0",
	  "> SA 0 ack 1 sackok no-ts no-ws"}},
	{"a listener accepts what both want",
	 {"listen", "< S 0 win 65535 mss 1460 ws 2 sackok ts 5 0", "> SA 0 ack 1 ws 7 sackok ts * 5",
	  "< A 1 ack 1 ts 6 0", "accept", "send 10", "> PA 1+10 ack 1 ts * 6"}},
	{"S16: an MSS of one octet is taken for 216",
	 {"established win 65535 mss 1", "send 400", "> A 1+216 ack 1", "> PA 217+184 ack 1"}},
	{"RFC 7323, 2.3: a scale above 14 counts as 14",
	 {"connect", "> S 0", "< SA 0 ack 1 win 65535 mss 1460 ws 200", "> A 1 ack 1", "info snd_wscale 14",
	  "info snd_wnd 65535", "< A 1 ack 1 win 3", "info snd_wnd 49152"}},
	{"RFC 7323, 2.3: so does 15, and a listener reads it so, too",
	 {"established win 65535 mss 1460 ws 15", "info snd_wscale 14", "< A 1 ack 1 win 0", "send 10", "quiet",
	  "< A 1 ack 1 win 3", "info snd_wnd 49152", "> PA 1+10 ack 1"}},
	{"a connection that the peer refuses",
	 {"connect", "> S 0", "< RA 0 ack 1", "events IN OUT RDHUP HUP ERR", "poll IN OUT RDHUP HUP ERR",
	  "error ECONNREFUSED", "state CLOSED"}},
	{"after a refusal the same socket may try again",
	 {"connect", "> S 0", "< RA 0 ack 1", "error ECONNREFUSED", "connect", "> S 0", "< SA 0 ack 1", "> A 1 ack 1",
	  "state ESTABLISHED"}},
	{"a second connect() says what is going on",
	 {"connect", "connect EALREADY", "> S 0", "< SA 0 ack 1", "> A 1 ack 1", "connect EISCONN"}},
	{"SYN-SENT: a reset without ACK is blind, one with a wrong ACK too",
	 {"connect", "> S 0", "< R 0", "< R =17", "< RA 0 ack 0", "< RA 0 ack 2", "state SYN-SENT"}},
	{"SYN-SENT: an ACK of what was never sent is reset",
	 {"connect", "> S 0", "< A 1 ack 5", "> R 5", "< SA 0 ack 0", "> R 0", "state SYN-SENT"}},
	{"SYN-SENT: a segment without SYN or RST is dropped",
	 {"connect", "> S 0", "< PA 1+10 ack 1", "quiet", "state SYN-SENT"}},
	{"SYN-SENT: data and FIN with the SYN-ACK count",
	 {"connect", "> S 0", "< FSA 0+10 ack 1", "> A 1 ack 12", "state CLOSE-WAIT"}},
	{"a window in a SYN-ACK is not scaled",
	 {"connect", "> S 0", "< SA 0 ack 1 win 100 mss 1460 ws 7", "> A 1 ack 1", "send 1000", "> A 1+100 ack 1",
	  "quiet"}},
	{"MUST-10: both call each other at the same time",
	 {"connect", "> S 0", "< S 0 win 65535 mss 1460", "> SA 0 ack 1", "state SYN-RECEIVED",
	  "< SA 0 ack 1 win 65535 mss 1460", "state ESTABLISHED", "events OUT", "< PA 1+5 ack 1", "> A 1 ack 6",
	  "recv 5"}},
	{"simultaneous open: the peer's bare acknowledgment ends it, too",
	 {"connect", "> S 0", "< S 0 win 65535 mss 1460 sackok ts 9 0", "> SA 0 ack 1 sackok ts * 9",
	  "< A 1 ack 1 ts 10 0", "state ESTABLISHED"}},
	{"simultaneous open: the SYN-ACK is sent again",
	 {"connect", "> S 0", "< S 0", "> SA 0 ack 1", "+1100", "> SA 0 ack 1"}},
	{"simultaneous open: the answer may be the SYN's or the SYN-ACK's: no round trip (Karn)",
	 {"connect", "> S 0", "+500", "< S 0 mss 1460", "> SA 0 ack 1", "+10", "< A 1 ack 1", "send 10",
	  "> PA 1+10 ack 1", "+1010", "> PA 1+10 ack 1"}},
	{"MUST-11: simultaneous open: a reset says refused",
	 {"connect", "> S 0", "< S 0", "> SA 0 ack 1", "< R 1", "error ECONNREFUSED"}},
	{"simultaneous open: an ACK of nothing is reset",
	 {"connect", "> S 0", "< S 0", "> SA 0 ack 1", "< A 1 ack 7", "> R 7", "state SYN-RECEIVED"}},
	{"ECN is asked for and agreed (RFC 3168, 6.1.1)",
	 {"open", "set ecn 1", "connect", "> SEC 0", "< SAE 0 ack 1", "> A 1 ack 1", "send 5", "> PA 1+5 ack 1 ect"}},
	{"RFC 3168, 6.1.5: what is sent again is not marked as capable",
	 {"open", "set ecn 1", "connect", "> SEC 0", "< SAE 0 ack 1", "> A 1 ack 1", "send 5", "> PA 1+5 ack 1 ect",
	  "+1100", "> PA 1+5 ack 1 not-ect"}},
	{"RFC 3168, 6.1.3: a mark is echoed until CWR comes",
	 {"listen", "< SEC 0 mss 1460", "> SAE 0 ack 1", "< A 1 ack 1", "accept", "< PA 1+10 ack 1 ce", "> AE 1 ack 11",
	  "< PA 11+10 ack 1", "> AE 1 ack 21", "< PAC 21+10 ack 1", "> A 1 ack 31"}},
	{"ECN is not believed when the SYN-ACK reflects both bits",
	 {"open", "set ecn 1", "connect", "> SEC 0", "< SAEC 0 ack 1", "> A 1 ack 1", "send 5",
	  "> PA 1+5 ack 1 not-ect"}},
	{"a listener answers ECN",
	 {"listen", "< SEC 0 mss 1460", "> SAE 0 ack 1", "< A 1 ack 1", "accept", "send 5", "> PA 1+5 ack 1 ect"}},
	{"a listener that does not want ECN does not", {"listen", "lset ecn 0", "< SEC 0 mss 1460", "> SA 0 ack 1"}},
	{"SYNs are sent again, later and later, then ETIMEDOUT",
	 {"open", "set syncnt 2", "connect", "> S 0", "+999", "quiet", "+2", "> S 0", "+1998", "quiet", "+4", "> S 0",
	  "+3990", "quiet", "+20", "quiet", "error ETIMEDOUT", "state CLOSED"}},
	{"close() before the SYN-ACK forgets the attempt, without a word",
	 {"connect", "> S 0", "close", "events CLOSED", "quiet", "< SA 0 ack 1", "> R 1"}},
	{"shutdown() in SYN-SENT ends the attempt",
	 {"connect", "> S 0", "shutdown wr", "state CLOSED", "< SA 0 ack 1", "> R 1"}},
	{"data written while closing goes out before the FIN",
	 {"connected win 65535 mss 1000", "send 1500", "shutdown wr", "> A 1+1000 ack 1", "> FPA 1001+500 ack 1"}},
	{"the program's error when nothing is connected",
	 {"open", "send ENOTCONN", "recv ENOTCONN", "shutdown wr ENOTCONN", "poll OUT HUP"}},
	{"RFC 5482: the user timeout is told with the SYN",
	 {"open", "set user-timeout 90000", "set uto 1", "connect", "> S 0 uto 90"}},
	{"RFC 5482, 3.1: unless the program wants that it is not told",
	 {"open", "set user-timeout 90000", "connect", "> S 0 no-uto"}},
	{"RFC 5482, 3.2: a SYN-ACK tells it, too",
	 {"listen", "lset uto 1", "lset user-timeout 90000", "< S 0", "> SA 0 ack 1 uto 90"}},
	{"RFC 5482: a listener that is not to tell it does not",
	 {"listen", "lset user-timeout 90000", "< S 0 uto 300", "> SA 0 ack 1 no-uto"}},
	{"RFC 5482, 3.1: the peer's user timeout in a SYN holds where the program has none",
	 {"listen", "lset uto 1", "established uto 240", "info peer_uto_s 240", "info user_timeout_ms 240000"}},
	{"a handshake keeps it in minutes, rounded up; the most that counts is 30",
	 {"listen", "lset uto 1", "established uto 241", "info user_timeout_ms 300000", "< A 1 ack 1 uto 65535",
	  "info user_timeout_ms 1800000"}},
	{"a day in a SYN is more than 30 minutes",
	 {"listen", "lset uto 1", "established uto 86400", "info user_timeout_ms 1800000"}},
	{"RFC 5482, 3.1: in a SYN-ACK",
	 {"open", "set uto 1", "connected uto 600", "info peer_uto_s 600", "info user_timeout_ms 600000"}},
	{"RFC 5482, 3.1: when both call each other",
	 {"open", "set uto 1", "connect", "> S 0", "< S 0 uto 600", "> SA 0 ack 1", "info user_timeout_ms 0",
	  "< A 1 ack 1", "info user_timeout_ms 600000"}},
	{"RFC 5482, 3: unless the program wants it (ENABLED) it is not heard",
	 {"connected uto 600", "< A 1 ack 1 uto 600", "info peer_uto_s 0", "info user_timeout_ms 0"}},
	{"MUST-65: data segments have no MSS",
	 {"established", "send 10", "> PA 1+10 ack 1 no-mss", "< FA 1 ack 11", "> A 11 ack 2 no-mss"}},
	{"BERTH_MAXSEG is what the SYN offers, and what is sent at most",
	 {"open", "set maxseg 500", "connect", "> S 0 mss 500", "< SA 0 ack 1 mss 1400", "> A 1 ack 1", "send 900",
	  "> A 1+500 ack 1", "> PA 501+400 ack 1"}},
	{"S16: also when the program itself wants smaller ones",
	 {"open", "set maxseg 100", "connect", "> S 0 mss 216", "< SA 0 ack 1 mss 1400", "> A 1 ack 1", "send 400",
	  "> A 1+216 ack 1", "> PA 217+184 ack 1"}},
	{"MUST-43: a bound address and port are the connection's",
	 {"bind 3333", "connect", "> S 0", "< SA 0 ack 1", "> A 1 ack 1", "state ESTABLISHED"}},
	{"congestion control may change in the middle",
	 {"established", "set congestion 0", "send 10", "> PA 1+10 ack 1", "set congestion 1", "< A 1 ack 11",
	  "send 10", "> PA 11+10 ack 1", "get congestion 1"}},
};

static struct stack_fixture f;

/* MUST-67: what we can receive is the MTU less the headers of IP and TCP. */
static void test_mss_offered(void **state)
{
	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		stack_fixture_init(&f, is6, NULL);
		stack_line(&f, "connect");
		stack_line(&f, is6 ? "> S 0 mss 1440" : "> S 0 mss 1460");
		stack_fixture_free(&f);
	}
}

/* MUST-15: without an option 536, or 1220 (RFC 9293, 3.7.1). */
static void test_mss_default(void **state)
{
	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		stack_fixture_init(&f, is6, NULL);
		stack_line(&f, "established win 65535");
		stack_line(&f, "send 2000");
		stack_line(&f, is6 ? "> A 1+1220 ack 1" : "> A 1+536 ack 1");
		stack_fixture_free(&f);
	}
}

/* MUST-8, MUST-9, SHLD-1, S22: a clock of 64 ns, and a hash that only this stack can compute. */
static void test_isn(void **state)
{
	struct berth_stack_config other = stack_fixture_config();
	struct port_addr a = port_addr_v4(10, 0, 0, 1), b = port_addr_v4(10, 0, 0, 2), c = port_addr_v4(10, 0, 0, 3);
	static struct stack_fixture g;
	uint32_t first, offset;

	(void)state;
	other.secret[5] ^= 1;
	stack_fixture_init(&f, false, NULL);
	stack_fixture_init(&g, false, &other);
	first = tcp_isn(f.st, &a, 80, &b, 5000);
	offset = tcp_ts_offset(f.st, &a, &b);
	assert_int_not_equal(first, tcp_isn(f.st, &a, 80, &b, 5001));
	assert_int_not_equal(first, tcp_isn(f.st, &a, 81, &b, 5000));
	assert_int_not_equal(first, tcp_isn(f.st, &a, 80, &c, 5000));
	assert_int_not_equal(first, tcp_isn(f.st, &b, 80, &a, 5000));
	assert_int_not_equal(first, tcp_isn(g.st, &a, 80, &b, 5000));
	assert_int_not_equal(offset, tcp_ts_offset(f.st, &a, &c));
	assert_int_not_equal(offset, tcp_ts_offset(g.st, &a, &b));
	berth_stack_tick(f.st, f.now_ns + 6400, 1);
	assert_int_equal(tcp_isn(f.st, &a, 80, &b, 5000) - first, 100);
	assert_int_equal(offset,
			 tcp_ts_offset(f.st, &a, &b)); /* goes on from connection to connection: RFC 6191 needs that */
	stack_fixture_free(&f);
	stack_fixture_free(&g);
}

/* ... and it is what leaves, in SYN and SYN-ACK. */
static void test_isn_leaves(void **state)
{
	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		struct port_addr ours, peers;

		stack_fixture_init(&f, is6, NULL);
		ours = (struct port_addr){.scope = 0};
		peers = ours;
		memcpy(ours.b, f.ours.ip, 16);
		memcpy(peers.b, f.peers.ip, 16);
		stack_line(&f, "connect");
		stack_line(&f, "> S 0");
		assert_int_equal(f.our_iss, tcp_isn(f.st, &ours, f.local_port, &peers, 8080));
		stack_line(&f, "abort");
		stack_line(&f, "listen");
		stack_line(&f, "peer-port 5000");
		stack_line(&f, "< S 0 mss 1460");
		stack_line(&f, "> SA 0 ack 1");
		assert_int_equal(f.our_iss, tcp_isn(f.st, &ours, 80, &peers, 5000));
		stack_fixture_free(&f);
	}
}

/* MUST-43: of two addresses the one that bind() says, and its port; MUST-44: without a word, always the same. */
static void test_bound_to(void **state)
{
	berth_sock s;
	struct berth_addr at = berth_addr4(10, 0, 0, 9, 3333), to;

	(void)state;
	for (int bound = 0; bound < 2; bound++) {
		stack_fixture_init(&f, false, NULL);
		assert_int_equal(berth_addr_add(f.st, f.iface, &at, 24), 0);
		to = f.peers;
		to.port = f.peer_port = 8080;
		assert_int_equal(berth_sock_open(f.st, BERTH_TCP, BERTH_IPV4, 0, &s), 0);
		if (bound) {
			assert_int_equal(berth_sock_bind(f.st, s, &at), 0);
			f.ours = at; /* the fixture's checksums are of this address */
		}
		assert_int_equal(berth_sock_connect(f.st, s, &to), -EINPROGRESS);
		stack_line(&f, "> S 0");
		if (bound)
			assert_int_equal(f.local_port, 3333);
		stack_line(&f, "< SA 0 ack 1");
		stack_line(&f, "> A 1 ack 1");
		stack_fixture_free(&f);
	}
}

/* MUST-46: nobody can be called there. */
static void test_bad_peers(void **state)
{
	static const struct {
		uint8_t ip[4];
		int err;
	} to[] = {{{255, 255, 255, 255}, -ENETUNREACH},
		  {{10, 0, 0, 255}, -ENETUNREACH},
		  {{224, 0, 0, 1}, -ENETUNREACH}};
	berth_sock s;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	assert_int_equal(berth_sock_open(f.st, BERTH_TCP, BERTH_IPV4, 0, &s), 0);
	for (size_t i = 0; i < COUNT_OF(to); i++) {
		struct berth_addr a = berth_addr4(to[i].ip[0], to[i].ip[1], to[i].ip[2], to[i].ip[3], 80);
		int r = berth_sock_connect(f.st, s, &a);

		assert_true(r == to[i].err || r == -EACCES);
		assert_true(berth_stack_check(f.st));
	}
	f.peers.port = 0;
	assert_int_equal(berth_sock_connect(f.st, s, &f.peers), -ECONNREFUSED);
	assert_true(berth_stack_check(f.st));
	stack_fixture_free(&f);
}

/* MUST-48, MUST-49: TTL and TOS are on every segment, SYN-ACK and reset included. */
static void test_ttl_tos(void **state)
{
	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "listen");
	stack_line(&f, "lset ttl 7");
	stack_line(&f, "lset tos 0x20");
	stack_line(&f, "< S 0 mss 1460");
	stack_line(&f, "> SA 0 ack 1");
	assert_int_equal(f.out_ttl, 7);
	assert_int_equal(f.out_tos, 0x20);
	stack_line(&f, "< S 1000"); /* challenged */
	stack_line(&f, "> A 1 ack 1");
	assert_int_equal(f.out_ttl, 7);
	assert_int_equal(f.out_tos, 0x20);
	stack_line(&f, "< A 1 ack 1");
	stack_line(&f, "accept");
	stack_line(&f, "send 5");
	stack_line(&f, "> PA 1+5 ack 1");
	assert_int_equal(f.out_ttl, 7);
	assert_int_equal(f.out_tos, 0x20);
	stack_line(&f, "set tos 0x40"); /* SHLD-23: it may change */
	stack_line(&f, "abort");
	stack_line(&f, "> RA 6 ack 1");
	assert_int_equal(f.out_ttl, 7);
	assert_int_equal(f.out_tos, 0x40);
	stack_fixture_free(&f);
}

static uint32_t label_of(const char *line)
{
	stack_line(&f, line);
	return f.out_label;
}

/* RFC 6437, 3: all segments of a flow have the same label, other flows have others, none is 0, and each stack has its own. */
static void test_flow_labels(void **state)
{
	struct berth_stack_config other = stack_fixture_config();
	uint32_t first, second, ours;

	(void)state;
	stack_fixture_init(&f, true, NULL);
	stack_line(&f, "listen");
	stack_line(&f, "< S 0 mss 1400");
	first = label_of("> SA 0 ack 1");
	assert_in_range(first, 1, 0xfffff);
	stack_line(&f, "+1001");
	assert_int_equal(label_of("> SA 0 ack 1"), first);
	stack_line(&f, "< A 1 ack 1");
	stack_line(&f, "accept");
	stack_line(&f, "send 5");
	assert_int_equal(label_of("> PA 1+5 ack 1"), first);
	stack_line(&f, "+1100");
	assert_int_equal(label_of("> PA 1+5 ack 1"), first); /* a copy */
	stack_line(&f, "< R 2");
	assert_int_equal(label_of("> A 6 ack 1"), first); /* a challenge */
	stack_line(&f, "< A 1 ack 6");
	stack_line(&f, "close");
	assert_int_equal(label_of("> FA 6 ack 1"), first);
	stack_line(&f, "< FA 1 ack 7");
	assert_int_equal(label_of("> A 7 ack 2"), first);
	stack_line(&f, "< FA 1 ack 7");
	assert_int_equal(label_of("> A 7 ack 2"), first); /* TIME-WAIT's */

	stack_line(&f, "peer-port 5001");
	stack_line(&f, "established");
	stack_line(&f, "send 5");
	second = label_of("> PA 1+5 ack 1");
	assert_in_range(second, 1, 0xfffff);
	assert_int_not_equal(second, first);
	stack_line(&f, "abort");
	assert_int_equal(label_of("> RA 6 ack 1"), second);

	f.s = 0;
	stack_line(&f, "connect");
	ours = label_of("> S 0");
	assert_in_range(ours, 1, 0xfffff);
	assert_true(ours != first && ours != second);
	stack_line(&f, "+1001");
	assert_int_equal(label_of("> S 0"), ours);
	stack_line(&f, "< SA 0 ack 1");
	assert_int_equal(label_of("> A 1 ack 1"), ours);
	stack_fixture_free(&f);

	other.secret[5] ^= 1;
	stack_fixture_init(&f, true, &other);
	stack_line(&f, "listen");
	stack_line(&f, "< S 0 mss 1400");
	assert_int_not_equal(label_of("> SA 0 ack 1"), first);
	stack_fixture_free(&f);
}

static uint16_t id_of(const char *line, bool df)
{
	stack_line(&f, line);
	assert_int_equal((f.out_octets[6] & 0x40) != 0, df);
	return wire_get16(f.out_octets + 4);
}

/* RFC 6864, 4.1: with DF there is none, in a copy (MAY-4) neither. Without, a copy is another datagram: its pieces must not meet the first's. */
static void test_identifications(void **state)
{
	uint16_t first;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established");
	stack_line(&f, "send 5");
	assert_int_equal(id_of("> PA 1+5 ack 1", true), 0);
	stack_line(&f, "+1100");
	assert_int_equal(id_of("> PA 1+5 ack 1", true), 0);
	stack_line(&f, "< A 1 ack 6");
	assert_int_equal(berth_sock_set(f.st, f.s, BERTH_PMTUDISC, 0), 0);
	stack_line(&f, "send 5");
	first = id_of("> PA 6+5 ack 1", false);
	assert_int_not_equal(first, 0);
	stack_line(&f, "+3000");
	assert_int_not_equal(id_of("> PA 6+5 ack 1", false), first);
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_mss_offered),
					  cmocka_unit_test(test_mss_default),
					  cmocka_unit_test(test_isn),
					  cmocka_unit_test(test_isn_leaves),
					  cmocka_unit_test(test_bound_to),
					  cmocka_unit_test(test_bad_peers),
					  cmocka_unit_test(test_ttl_tos),
					  cmocka_unit_test(test_flow_labels),
					  cmocka_unit_test(test_identifications)};

	return stack_rows_run("tcp handshake", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
