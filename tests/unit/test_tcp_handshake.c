/* tests/unit/test_tcp_handshake.c: how connections begin: both sides, options, simultaneous opens, what does not belong there. */
#include "stack_fixture.h"

static const struct stack_row rows[] = {
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
	  "> A 21 ack 12",
	  "state CLOSE-WAIT",
	  "recv eof",
	  "close",
	  "> FA 21 ack 12",
	  "< A 12 ack 22",
	  "events CLOSED",
	  "gone"}},
	{"an active handshake offers everything, and the options of the SYN-ACK count",
	 {"connect", "> S 0 win 65535 mss * ws 7 sackok ts * 0", "< SA 0 ack 1 win 65535 mss 1000 ws 3 sackok ts 77 0",
	  "> A 1 ack 1 ts * 77", "events OUT", "state ESTABLISHED", "error none"}},
	{"a connection that the peer refuses",
	 {"connect", "> S 0", "< RA 0 ack 1", "error ECONNREFUSED", "poll OUT HUP", "state CLOSED"}},
};

int main(void)
{
	return stack_rows_run("tcp handshake", rows, COUNT_OF(rows));
}
