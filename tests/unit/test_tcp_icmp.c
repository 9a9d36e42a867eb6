/* tests/unit/test_tcp_icmp.c: errors from the way (RFC 9293, 3.9.2.2; RFC 5927). */
#include "stack_fixture.h"

static const struct stack_row rows[] = {
	{"SYN-SENT: port unreachable refuses",
	 {"connect", "> S 0", "icmp port 0", "error ECONNREFUSED", "state CLOSED"}},
	{"SYN-SENT: administratively prohibited ends the attempt",
	 {"connect", "> S 0", "icmp admin 0", "state CLOSED"}},
	{"MUST-56: SYN-SENT: host unreachable does not, but is what the timeout says",
	 {"open", "set syncnt 1", "connect", "> S 0", "icmp host 0", "state SYN-SENT", "+1001", "> S 0", "+3000",
	  "error EHOSTUNREACH"}},
	{"S13: an error about what is not in flight is ignored",
	 {"connect", "> S 0", "icmp port 1", "icmp port 70000", "state SYN-SENT", "count icmp_rejected 2"}},
	{"MUST-56: an established connection is never ended",
	 {"established", "send 5", "> PA 1+5 ack 1", "icmp port 1", "icmp host 1", "icmp admin 1", "state ESTABLISHED",
	  "< A 1 ack 6", "send 5", "> PA 6+5 ack 1"}},
	{"S13: nothing in flight, nothing believed",
	 {"established", "icmp port 1", "state ESTABLISHED", "count icmp_rejected 1"}},
	{"S13: a path MTU for a segment that is not in flight is ignored",
	 {"established win 65535 mss 1400", "send 1400", "> PA 1+1400 ack 1", "icmp big 5000 1300", "get maxseg 1400"}},
};

/* What the path takes is less the headers, which IPv6's are larger of. What is in flight goes again at once: it is no congestion. */
static void test_smaller_segments(void **state)
{
	static const char *const lines[2][7] = {{"> A 1+1260 ack 1", "> PA 1261+140 ack 1", "get maxseg 1260", "quiet",
						 "< A 1 ack 1401", "send 1261", "> A 1401+1260 ack 1"},
						{"> A 1+1240 ack 1", "> PA 1241+160 ack 1", "get maxseg 1240", "quiet",
						 "< A 1 ack 1401", "send 1241", "> A 1401+1240 ack 1"}};
	struct stack_fixture f;

	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		stack_fixture_init(&f, is6, NULL);
		stack_line(&f, "established win 65535 mss 1400");
		stack_line(&f, "send 1400");
		stack_line(&f, "> PA 1+1400 ack 1");
		stack_line(&f, "icmp big 1 1300");
		for (size_t i = 0; i < COUNT_OF(lines[is6]); i++)
			stack_line(&f, lines[is6][i]);
		stack_line(&f, "count tcp_rto 0");
		stack_fixture_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest more[] = {
		{"S13: a smaller path MTU makes segments smaller, and what is out is sent again", test_smaller_segments,
		 NULL, NULL, NULL}};

	return stack_rows_run("tcp icmp", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
