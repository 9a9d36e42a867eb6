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
	{"S13: a smaller path MTU makes segments smaller, and what is out is sent again",
	 {"established win 65535 mss 1400", "send 1400", "> PA 1+1400 ack 1", "icmp big 1 1300", "+1"}},
	{"S13: a path MTU for a segment that is not in flight is ignored",
	 {"established win 65535 mss 1400", "send 1400", "> PA 1+1400 ack 1", "icmp big 5000 1300", "get maxseg 1400"}},
};

int main(void)
{
	return stack_rows_run("tcp icmp", rows, COUNT_OF(rows), NULL, 0);
}
