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
	 {"listen", "< S 0", "> SA 0 ack 1", "< PA 1+7 ack 1", "< A 1 ack 1", "accept", "recv 7"}},
	{"a FIN with the last segment of the handshake",
	 {"listen", "< S 0", "> SA 0 ack 1", "< FA 1 ack 1", "> A 1 ack 2", "accept", "state CLOSE-WAIT", "recv eof"}},
	{"events of a connection wait for accept()",
	 {"listen", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "events IN", "< PA 1+7 ack 1", "events nothing", "accept",
	  "events IN", "recv 7"}},
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
	  "< PA 1+3 ack 1", "accept", "recv 3"}},
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
	{"S14: a cookie is good for two minutes at most",
	 {"listen", "lset syncookies 2", "< S 0", "> SA 0 ack 1", "+129000", "< A 1 ack 1", "> R 1", "no accept"}},
	{"S14: a cookie is one connection's",
	 {"listen", "lset syncookies 2", "< S 0", "> SA 0 ack 1", "peer-port 5001", "< A 1 ack 1", "> R 1",
	  "no accept"}},
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

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_flood)};

	return stack_rows_run("tcp listen", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
