/* tests/unit/test_tcp_close.c: how connections end. */
#include <stdio.h>

#include "stack_fixture.h"

static const struct stack_row rows[] = {
	{"we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT",
	 {"established", "shutdown wr", "> FA 1 ack 1", "state FIN-WAIT-1", "send EPIPE", "< A 1 ack 2",
	  "state FIN-WAIT-2", "< PA 1+5 ack 2", "> A 2 ack 6", "recv 5", "< FA 6 ack 2", "> A 2 ack 7", "recv eof",
	  "count tcp_time_wait 1", "close", "events CLOSED"}},
	{"FIN and the acknowledgment of ours in one segment",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< FA 1 ack 2", "> A 2 ack 2", "count tcp_time_wait 1"}},
	{"both close at once: CLOSING",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< FA 1 ack 1", "> A 2 ack 2", "state CLOSING", "< A 2 ack 2",
	  "count tcp_time_wait 1", "recv eof"}},
	{"the peer closes first: LAST-ACK",
	 {"established", "< FA 1 ack 1", "events IN RDHUP", "> A 1 ack 2", "shutdown wr", "> FA 1 ack 2",
	  "state LAST-ACK", "< A 2 ack 2", "events IN OUT RDHUP HUP", "state CLOSED", "recv eof", "close",
	  "events CLOSED"}},
	{"data goes before the FIN, and the FIN rides on it",
	 {"established", "send 10", "shutdown wr", "> FPA 1+10 ack 1", "< A 1 ack 12", "state FIN-WAIT-2"}},
	{"a FIN that is lost is sent again",
	 {"established", "shutdown wr", "> FA 1 ack 1", "+2000", "> FA 1 ack 1", "< A 1 ack 2", "state FIN-WAIT-2"}},
	{"RFC 2525, 2.17: close() with unread data is a reset",
	 {"established", "< PA 1+5 ack 1", "> A 1 ack 6", "close", "> RA 1 ack 6", "events CLOSED", "quiet",
	  "< A 6 ack 1", "> R 1"}},
	{"close() with everything read is a FIN",
	 {"established", "< PA 1+5 ack 1", "> A 1 ack 6", "recv 5", "close", "> FA 1 ack 6", "gone"}},
	{"abort() resets",
	 {"established", "send 5", "> PA 1+5 ack 1", "abort", "> RA 6 ack 1", "events CLOSED", "gone"}},
	{"abort() after the peer's FIN resets",
	 {"established", "< FA 1 ack 1", "> A 1 ack 2", "abort", "> RA 1 ack 2"}},
	{"a reset never goes beyond the peer's window",
	 {"established win 10 mss 1460", "< A 1 ack 1 win 10", "send 100", "abort", "> RA 1 ack 1"}},
	{"data for an orphan is answered with a reset (RFC 1122, 4.2.2.13)",
	 {"established", "close", "> FA 1 ack 1", "< A 1 ack 2", "< PA 1+5 ack 2", "> R 2", "events CLOSED"}},
	{"a half-close still takes data",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< A 1 ack 2", "< PA 1+5 ack 2", "recv 5", "> A 2 ack 6"}},
	{"shutdown of both directions refuses data",
	 {"established", "shutdown rdwr", "> FA 1 ack 1", "< A 1 ack 2", "< PA 1+5 ack 2", "> R 2"}},
	{"shutdown(RD) alone reads end of stream",
	 {"established", "shutdown rd", "events IN RDHUP", "recv eof", "poll IN OUT RDHUP", "state ESTABLISHED"}},
	{"S20: an orphan in FIN-WAIT-2 ends after a minute",
	 {"established", "close", "> FA 1 ack 1", "< A 1 ack 2", "+59900", "events nothing", "+200", "events CLOSED",
	  "< FA 1 ack 2", "> R 2"}},
	{"BERTH_LINGER2 shortens that",
	 {"established", "set linger2 5", "close", "> FA 1 ack 1", "< A 1 ack 2", "+4900", "events nothing", "+200",
	  "events CLOSED"}},
	{"FIN-WAIT-2 of a program that still listens lasts",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< A 1 ack 2", "+600000", "state FIN-WAIT-2"}},
	{"a reset in FIN-WAIT-1 ends it",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< R 1", "error ECONNRESET", "state CLOSED"}},
	{"a reset in LAST-ACK ends it",
	 {"established", "< FA 1 ack 1", "> A 1 ack 2", "close", "> FA 1 ack 2", "< R 2", "events CLOSED"}},
	{"an orphan whose peer is gone gives up",
	 {"established", "close", "> FA 1 ack 1", "lost 1000000", "events CLOSED"}},
	{"the FIN of a peer that sends it again is answered in CLOSE-WAIT",
	 {"established", "< FA 1 ack 1", "> A 1 ack 2", "< FA 1 ack 1", "> A 1 ack 2"}},
	{"what was written before close() still goes out",
	 {"established win 65535 mss 1000", "send 2500", "close", "> A 1+1000 ack 1", "> A 1001+1000 ack 1",
	  "> FPA 2001+500 ack 1", "< A 1 ack 2502", "< FA 1 ack 2502", "> A 2502 ack 2", "events CLOSED"}},
};

/* More orphans than half of all connections: the next one is reset (S20). */
static void test_orphans(void **state)
{
	struct berth_stack_config c = stack_fixture_config();
	struct stack_fixture f;
	char line[64];

	(void)state;
	c.n_rings = 32;
	c.n_bursts = 512;
	stack_fixture_init(&f, false, &c);
	for (int i = 0; i < 17; i++) {
		snprintf(line, sizeof(line), "peer-port %d", 6000 + i);
		stack_line(&f, line);
		stack_line(&f, "established");
		stack_line(&f, "close");
		stack_line(&f, i < 16 ? "> FA 1 ack 1" : "> RA 1 ack 1");
	}
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_orphans)};

	return stack_rows_run("tcp close", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
