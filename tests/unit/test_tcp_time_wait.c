/* tests/unit/test_tcp_time_wait.c: records in TIME-WAIT: what they answer, who may take their four-tuple, how they end. */
#include <stdio.h>

#include "stack_fixture.h"

#define ENDED "established", "shutdown wr", "> FA 1 ack 1", "< FA 1 ack 2", "> A 2 ack 2", "close", "events CLOSED"
#define ENDED_TS                                                                                             \
	"established win 65535 mss 1460 ts 1000 0", "shutdown wr", "> FA 1 ack 1", "< FA 1 ack 2 ts 1005 0", \
		"> A 2 ack 2", "close", "events CLOSED"

static const struct stack_row rows[] = {
	{"a SYN does not end the wait where nobody listens",
	 {"connected", "shutdown wr", "> FA 1 ack 1", "< FA 1 ack 2", "> A 2 ack 2", "count tcp_time_wait 1",
	  "< S 70000 mss 1460", "> A 2 ack 2", "count tcp_time_wait_reused 0", "+300", "< FA 1 ack 2", "> A 2 ack 2"}},
	{"the peer's FIN again is answered, and starts the wait anew",
	 {ENDED, "+50000", "< FA 1 ack 2", "> A 2 ack 2", "+50000", "< FA 1 ack 2", "> A 2 ack 2", "+60100",
	  "< FA 1 ack 2", "> R 2"}},
	{"MUST-13: it ends after 2 MSL",
	 {ENDED, "+59900", "< FA 1 ack 2", "> A 2 ack 2", "+60100", "< A 2 ack 2", "> R 2"}},
	{"RFC 1337: a reset does not end the wait", {ENDED, "< R 2", "< FA 1 ack 2", "> A 2 ack 2"}},
	{"S10: one answer in a quarter of a second says all that there is to say",
	 {ENDED, "< PA 1+5 ack 2", "< A 1 ack 2", "< PA 1+5 ack 2", "> A 2 ack 2", "quiet",
	  "count tcp_challenge_limited 2", "+270", "< FA 1 ack 2", "> A 2 ack 2", "quiet"}},
	{"old data is answered", {ENDED, "< PA 1+5 ack 2", "> A 2 ack 2"}},
	{"the peer's last word is not", {ENDED, "< A 2 ack 2", "quiet"}},
	{"RFC 9293, 3.6.1, MAY-2: a SYN beyond the old sequence numbers is a new connection",
	 {ENDED, "< S 100 win 65535 mss 1460", "> SA 0 ack 101", "< A 101 ack 1", "accept", "state ESTABLISHED",
	  "count tcp_time_wait_reused 1"}},
	{"a SYN below them is answered, not accepted", {ENDED, "< S -100 win 65535 mss 1460", "> A 2 ack 2"}},
	{"RFC 6191: a SYN with a newer timestamp is a new connection, whatever its number",
	 {ENDED_TS, "< S -100 win 65535 mss 1460 ts 1006 0", "> SA 0 ack -99"}},
	{"RFC 6191: a SYN with an older timestamp is answered",
	 {ENDED_TS, "< S 100 win 65535 mss 1460 ts 1000 0", "> A 2 ack 2 ts * 1005"}},
	{"PAWS counts in TIME-WAIT",
	 {ENDED_TS, "< FA 1 ack 2 ts 1001 0", "> A 2 ack 2 ts * 1005", "count tcp_paws_dropped 1"}},
	{"S20: a record needs no connection and no ring: the socket is gone at once",
	 {ENDED, "gone", "count tcp_time_wait 1"}},
	{"the program may keep the socket and read what was left",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< FPA 1+5 ack 2", "> A 2 ack 7", "poll IN OUT RDHUP HUP",
	  "recv 5", "recv eof", "close", "events CLOSED"}},
	{"RFC 6191: a bound connect() may have the four-tuple after a second, by timestamps",
	 {"bind 3000 reuse", "connected win 65535 mss 1460 ts 50 0", "shutdown wr", "> FA 1 ack 1",
	  "< FA 1 ack 2 ts 51 0", "> A 2 ack 2", "close", "events CLOSED", "+1100", "bind 3000 reuse", "connect",
	  "> S 0", "count tcp_time_wait_reused 1"}},
	{"without timestamps it may not",
	 {"bind 3000 reuse", "connected", "shutdown wr", "> FA 1 ack 1", "< FA 1 ack 2", "> A 2 ack 2", "close",
	  "events CLOSED", "+1100", "bind 3000 reuse", "connect EADDRNOTAVAIL"}},
};

/* S20: the cap. The oldest one goes, and its port with it. */
static void test_cap(void **state)
{
	struct stack_fixture f;
	char line[64];

	(void)state;
	stack_fixture_init(&f, false, NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(line, sizeof(line), "peer-port %d", 6000 + i);
		stack_line(&f, line);
		stack_line(&f, "established");
		stack_line(&f, "shutdown wr");
		stack_line(&f, "> FA 1 ack 1");
		stack_line(&f, "< FA 1 ack 2");
		stack_line(&f, "> A 2 ack 2");
		stack_line(&f, "close");
		stack_line(&f, "events CLOSED");
	}
	stack_line(&f, "count tcp_time_wait_evicted 12");
	stack_line(&f, "< FA 1 ack 2"); /* the latest is there */
	stack_line(&f, "> A 2 ack 2");
	stack_line(&f, "peer-port 6000"); /* the first is not */
	stack_line(&f, "< FA 1 ack 2");
	stack_line(&f, "> R 2");
	stack_line(&f, "+61000");
	stack_line(&f, "peer-port 6019");
	stack_line(&f, "< FA 1 ack 2");
	stack_line(&f, "> R 2");
	stack_fixture_free(&f);
}

/* MAY-2: the new connection's numbers begin beyond any window of the old one. */
static void test_numbers_go_on(void **state)
{
	static const char *const ended[] = {ENDED};
	struct stack_fixture f;
	uint32_t iss;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	for (size_t i = 0; i < COUNT_OF(ended); i++)
		stack_line(&f, ended[i]);
	iss = f.our_iss;
	stack_line(&f, "< S 100 mss 1460");
	stack_line(&f, "> SA 0 ack 101");
	assert_in_range(f.our_iss - iss, 65538, 1u << 30);
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_cap), cmocka_unit_test(test_numbers_go_on)};

	return stack_rows_run("tcp time-wait", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
