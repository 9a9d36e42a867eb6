/* tests/unit/test_tcp_timers.c: keepalive, the user timeout, R2. */
#include "stack_fixture.h"

static const struct stack_row rows[] = {
	{"MUST-25: keepalive is off unless asked for", {"established", "+20000000", "quiet", "state ESTABLISHED"}},
	{"MUST-28: the first probe comes after two hours",
	 {"established", "set keepalive 1", "+7199000", "quiet", "+2000", "> A 0 ack 1", "< A 1 ack 1",
	  "count tcp_keepalive_probes 1", "+7199000", "quiet", "+2000", "> A 0 ack 1"}},
	{"probes of a closed window that nobody answers are probes, and no retransmissions",
	 {"established", "send 10", "> PA 1+10 ack 1", "< A 1 ack 11 win 0", "send 10", "lost 3000", "info probes 3",
	  "info retransmits 0", "< A 1 ack 11 win 0", "info retransmits 0"}},
	{"probes that nobody answers end the connection",
	 {"established", "set keepalive 1", "set keepidle 10", "set keepintvl 5", "set keepcnt 3", "+10001",
	  "> A 0 ack 1", "+5001", "> A 0 ack 1", "+5001", "> A 0 ack 1", "+5001", "> RA 1 ack 1", "error ETIMEDOUT",
	  "state CLOSED"}},
	{"anything that comes is a sign of life",
	 {"established", "set keepalive 1", "set keepidle 10", "+9000", "< PA 1+1 ack 1", "> A 1 ack 2", "+9000",
	  "quiet", "+1001", "> A 0 ack 2"}},
	{"switched off again it stays silent",
	 {"established", "set keepalive 1", "set keepidle 10", "set keepalive 0", "+20000", "quiet"}},
	{"MUST-26: not while what is unacknowledged asks the peer",
	 {"established", "set keepalive 1", "set keepidle 1", "set keepintvl 1", "send 10", "> PA 1+10 ack 1",
	  "lost 20000", "count tcp_keepalive_probes 0", "< A 1 ack 11", "+1001", "> A 10 ack 1",
	  "count tcp_keepalive_probes 1"}},
	{"children inherit keepalive",
	 {"listen", "lset keepalive 1", "lset keepidle 10", "established", "+10001", "> A 0 ack 1"}},
	{"RFC 5482: the user timeout ends a connection that nobody acknowledges",
	 {"established", "set user-timeout 3000", "send 5", "> PA 1+5 ack 1", "lost 3990", "state ESTABLISHED",
	  "lost 20", "error ETIMEDOUT", "state CLOSED"}},
	{"R2: data that nobody acknowledges ends the connection, after 100 s at least",
	 {"established", "send 5", "> PA 1+5 ack 1", "lost 100000", "state ESTABLISHED", "lost 1800000",
	  "error ETIMEDOUT"}},
	{"the answer to a soft error that came before is the way's (MUST-56)",
	 {"established", "send 5", "> PA 1+5 ack 1", "icmp host 1", "state ESTABLISHED", "lost 1900000",
	  "error EHOSTUNREACH"}},
	{"delayed acknowledgments leave within 40 ms",
	 {"established", "set quickack 0", "< PA 1+5 ack 1", "+41", "> A 1 ack 6"}},
	{"MUST-23: with BERTH_SYNCNT 7 a SYN is tried for more than three minutes",
	 {"open", "set syncnt 7", "connect", "lost 180000", "state SYN-SENT", "lost 80000", "error ETIMEDOUT"}},
	{"as on Linux, a SYN is tried for 127 seconds",
	 {"connect", "lost 126000", "state SYN-SENT", "lost 2000", "error ETIMEDOUT"}},
};

int main(void)
{
	return stack_rows_run("tcp timers", rows, COUNT_OF(rows), NULL, 0);
}
