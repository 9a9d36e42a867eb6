/* tests/unit/test_tcp_close.c: how connections end. */
#include <stdio.h>

#include "stack_fixture.h"

#include "stack/tcp.h"

static const struct stack_row rows[] = {
	{"we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT",
	 {"established", "shutdown wr", "> FA 1 ack 1", "state FIN-WAIT-1", "send EPIPE", "< A 1 ack 2",
	  "state FIN-WAIT-2", "< PA 1+5 ack 2", "> A 2 ack 6", "recv 5", "< FA 6 ack 2", "> A 2 ack 7", "recv eof",
	  "count tcp_time_wait 1", "close", "events CLOSED"}},
	{"what is in use, and the most there was",
	 {"used conns 0 0",  "established",	"used conns 2 2",      "used rings 1 1",
	  "used bursts 0 0", "send 10",		"> PA 1+10 ack 1",     "used bursts 1 1",
	  "< A 1 ack 11",    "used bursts 0 1", "used time_waits 0 0", "shutdown wr",
	  "> FA 11 ack 1",   "< FA 1 ack 12",	"> A 12 ack 2",	       "used time_waits 1 1",
	  "close",	     "events CLOSED",	"used conns 1 2",      "used rings 0 1",
	  "used work 0 1"}},
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

/* S20: no close() is a reset because there are many orphans: what was written before is on its way. The oldest makes room for a new
 * connection when blocks are few and orphans have most of them. */
static void test_orphans(void **state)
{
	struct berth_stack_config c = stack_fixture_config();
	struct stack_fixture f;
	char line[64];

	(void)state;
	c.n_conns = c.n_rings = 16; /* one of them is the listener's */
	stack_fixture_init(&f, false, &c);
	for (int i = 0; i < 20; i++) {
		snprintf(line, sizeof(line), "peer-port %d", 6000 + i);
		stack_line(&f, line);
		stack_line(&f, "established");
		if (i >= 14)
			stack_line(&f, "lost 1"); /* the oldest one's reset */
		snprintf(line, sizeof(line), "count tcp_aborts %d", i < 14 ? 0 : i - 13);
		stack_line(&f, line);
		stack_line(&f, "close");
		stack_line(&f, "> FA 1 ack 1");
	}
	stack_fixture_free(&f);
}

/* S20: the peer has data in flight of a connection that the program closed, and keeps its window shut for ever. */
static void test_shut_window_of_an_orphan(void **state)
{
	static struct stack_fixture f;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established");
	stack_line(&f, "send 100");
	stack_line(&f, "> PA 1+100 ack 1");
	stack_line(&f, "close");
	stack_line(&f, "> FA 101 ack 1");
	for (int i = 0; i < 12; i++) {
		stack_line(&f, "< A 1 ack 1 win 0");
		stack_line(&f, "lost 120000");
	}
	stack_line(&f, "events CLOSED");
	stack_fixture_free(&f);
}

/* A connection with 160 segments of room, whose way goes away: more than one call's worth of frames is lost. */
static void test_way_is_gone(void **state)
{
	static struct stack_fixture f;
	struct tcp_conn *c;
	char line[64];
	uint32_t end = 1;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established win 65535 mss 216");
	stack_line(&f, "set sndbuf 65536");
	for (uint32_t n = 2160; n <= 17280; n *= 2) {
		snprintf(line, sizeof(line), "send %u", n);
		stack_line(&f, line);
		stack_line(&f, "lost 10");
		end += n;
		snprintf(line, sizeof(line), "< A 1 ack %u win 65535", end);
		stack_line(&f, line);
	}
	c = tcp_at(f.st, (uint32_t)f.s);
	c->w->route.neigh = 0; /* an entry that nobody has: as after its neighbour was removed */
	stack_line(&f, "send 30000");
	stack_line(&f, "quiet");
	c->w->route.neigh = NIL;
	stack_line(&f, "+500");
	snprintf(line, sizeof(line), "> A %u+216 ack 1", end);
	stack_line(&f, line);
	stack_fixture_free(&f);
}

/* Fewer records of what is in flight than connections: the SYN that finds none waits for one. */
static void test_no_record_for_a_syn(void **state)
{
	static struct stack_fixture f;
	struct berth_stack_config c = stack_fixture_config();
	berth_sock first;

	(void)state;
	c.n_bursts = 1;
	stack_fixture_init(&f, false, &c);
	stack_line(&f, "connect");
	stack_line(&f, "> S 0");
	first = f.s;
	stack_line(&f, "open");
	stack_line(&f, "connect");
	stack_line(&f, "quiet");
	assert_int_equal(berth_sock_abort(f.st, first), 0);
	stack_line(&f, "+20");
	stack_line(&f, "> S *");
	stack_fixture_free(&f);
}

/* The interface goes, the connection stays: what it would send is lost, and the program hears of it in time. */
static void test_interface_is_gone(void **state)
{
	static struct stack_fixture f;

	for (int is6 = 0; is6 < 2; is6++) {
		(void)state;
		stack_fixture_init(&f, is6, NULL);
		stack_line(&f, "established");
		assert_int_equal(berth_iface_remove(f.st, f.iface), 0);
		stack_line(&f, "send 100");
		stack_line(&f, "quiet");
		stack_line(&f, "+5000");
		stack_line(&f, "quiet");
		stack_line(&f, "set user-timeout 10000");
		stack_line(&f, "+60000");
		stack_line(&f, "error ETIMEDOUT");
		stack_fixture_free(&f);
	}
}

/* S30: who writes beyond a ring is noticed, and before it, that is beyond the one in front. */
static void test_guards_of_rings(void **state)
{
	static struct stack_fixture f;
	uint8_t *at[4];
	struct tcp_conn *c;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established");
	c = tcp_at(f.st, (uint32_t)f.s);
	at[0] = c->rx.data + c->rx.size;
	at[1] = c->tx.data - 1;
	at[2] = c->tx.data + c->tx.size;
	at[3] = c->tx.data + c->tx.size + RING_GUARD - 1;
	assert_int_equal((uintptr_t)c->tx.data % 64, 0);
	assert_true(berth_stack_check(f.st));
	for (unsigned i = 0; i < COUNT_OF(at); i++) {
		*at[i] = 0x80;
		assert_false(berth_stack_check(f.st));
		*at[i] = 0;
		assert_true(berth_stack_check(f.st));
	}
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_orphans),
					  cmocka_unit_test(test_shut_window_of_an_orphan),
					  cmocka_unit_test(test_way_is_gone),
					  cmocka_unit_test(test_no_record_for_a_syn),
					  cmocka_unit_test(test_interface_is_gone),
					  cmocka_unit_test(test_guards_of_rings)};

	return stack_rows_run("tcp close", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
