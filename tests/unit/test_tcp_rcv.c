/* tests/unit/test_tcp_rcv.c: src/stack/tcp_rcv.c: what is acceptable, where it goes, when it is acknowledged, and by which SACK blocks. */
#include "tcp_script.h"

static const struct script_row rows[] = {
	{"data in order is read", "in 1+100; read 100; read none; out 1+0 ack 101"},
	{"numbers that go round do not matter",
	 "in 1+30000 gso 1000; read 30000; in 30001+10000 gso 1000; read 10000; drop; in 40001+10; wait 50; out 1+0 ack 40011; read 10"},
	{"what was received is trimmed on the left", "in 1+100; drop; in 51+100; out 1+0 ack 151; read 150; read none"},
	{"what is beyond the window is trimmed on the right",
	 "in 1+3000; drop; in 3001+3000; out 1+0 ack 4097 win 0; read 4096; out 1+0 ack 4097 win 4096", .ring = 4096},

	/* RFC 9293, 3.10.7.4, first: acceptability */
	{"an old segment is acknowledged and dropped",
	 "in 1+100; drop; in 1+100; out 1+0 ack 101; read 100; read none"},
	{"a keepalive below the window is answered", "in 1+100; drop; in 100+0; out 1+0 ack 101"},
	{"a segment beyond the window is answered", "in 4098+10; out 1+0 ack 1; read none", .ring = 4096},
	{"the last octet of the window is acceptable", "in 4096+1; out 1+0 ack 1 sack 4096-4097", .ring = 4096},
	{"an acknowledgment at the window's right edge counts: the peer filled it, and some of that was lost",
	 "send 100; out 1+100 P; in 4097+0 ack 101; wait 3000; quiet", .ring = 4096},
	{"one octet further it does not",
	 "send 100; out 1+100 P; in 4098+0 ack 101; out 101+0 ack 1; wait 1500; out 1+100 P", .ring = 4096},
	{"with a zero window data at rcv_nxt is dropped and answered at once",
	 "in 1+4096; drop; in 4097+1; out 1+0 ack 4097 win 0; read 4096; read none; out 1+0 ack 4097 win 4096",
	 .ring = 4096},
	{"with a zero window an ACK counts all the same",
	 "send 100; drop; in 1+4096; drop; in 4097+1 ack 101; out 101+0; wait 3000; quiet", .ring = 4096},
	{"with a zero window a bare ACK is acceptable",
	 "send 100; drop; in 1+4096; drop; in 4097+0 ack 101; wait 3000; quiet", .ring = 4096},

/* RFC 5681, 4.2; RFC 9293, 3.8.6.3: delayed acknowledgments, after a stream's beginning */
#define STREAM_BEGINS                                                                                                  \
	"in 1+1000; in 1001+1000; in 2001+1000; in 3001+1000; in 4001+1000; in 5001+1000; in 6001+1000; in 7001+1000;" \
	"in 8001+1000; in 9001+1000; in 10001+1000; in 11001+1000; in 12001+1000; in 13001+1000; in 14001+1000;"       \
	"in 15001+1000; drop;"
	{"a stream begins with an acknowledgment for each segment",
	 "in 1+1000; out 1+0 ack 1001; in 1001+1000; out 1+0 ack 2001; quiet"},
	{"later every second full segment is acknowledged",
	 STREAM_BEGINS "in 16001+1000; quiet; in 17001+1000; out 1+0 ack 18001; in 18001+1000; quiet"},
	{"MUST-40: the rest within 40 ms",
	 STREAM_BEGINS "in 16001+1000; quiet; wait 100; at 40; out 1+0 ack 17001; quiet"},
	{"MUST-58: a super-frame has one acknowledgment",
	 STREAM_BEGINS "in 16001+20000 gso 1000; out 1+0 ack 36001; quiet"},
	{"a super-frame of one full segment and a rest is acknowledged at once",
	 STREAM_BEGINS "in 16001+1001 gso 1000; out 1+0 ack 17002"},
	{"the acknowledgment rides on data",
	 STREAM_BEGINS "in 16001+1000; quiet; send 10; out 1+10 ack 17001; wait 30; quiet"},
	{"a dialogue's first acknowledgment waits for its answer, too",
	 "in 1+100; drop; send 100; out 1+100 ack 101; in 101+100 ack 101; quiet; send 100; out 101+100 ack 201"},
	{"a dialogue that gets no answer is acknowledged after 40 ms, and ends",
	 "in 1+100; drop; send 100; drop; in 101+100 ack 101; quiet; wait 50; at 40; out 101+0 ack 201; in 201+100 ack 101;"
	 "out 101+0 ack 301"},
	{"reading all of it acknowledges what is owed",
	 STREAM_BEGINS "in 16001+1000; quiet; read 17000; out 1+0 ack 17001; quiet"},
	{"BERTH_QUICKACK acknowledges each", STREAM_BEGINS "set quickack 1; in 16001+1000; out 1+0 ack 17001"},

	/* RFC 5681, 4.2: at once */
	{"a segment out of order is answered at once",
	 STREAM_BEGINS "in 17001+1000; out 1+0 ack 16001 sack 17001-18001"},
	{"a hole that fills is acknowledged at once",
	 STREAM_BEGINS "in 17001+1000; drop; in 16001+1000; out 1+0 ack 18001 sack none; read 18000"},
	{"a part of a hole that fills is acknowledged at once",
	 STREAM_BEGINS "in 18001+1000; drop; in 16001+1000; out 1+0 ack 17001 sack 18001-19001"},
	{"FIN without anything before it is acknowledged at once", "in 1+0 F; out 1+0 ack 2; read eof"},
	{"FIN after data waits for our own, at most 40 ms",
	 STREAM_BEGINS "in 16001+0 F; quiet; wait 100; at 40; out 1+0 ack 16002; read 16000; read eof"},

	/* holes */
	{"S15: early data waits in the ring, not in segments",
	 "in 1001+1; in 1003+1; in 1005+1; in 1007+1; in 1009+1; in 1011+1; in 1013+1; in 1015+1; in 1017+1; in 1019+1; drop;"
	 "in 1+1000; out 1+0 ack 1002; in 1002+19; out 1+0 ack 1021 sack 1003-1004; read 1020"},
	{"holes fill in any order",
	 "in 2001+1000; in 4001+1000; in 3001+1000; in 1001+1000; drop; in 1+1000; out 1+0 ack 5001; read 5000"},
	{"early data that overlaps is once in the ring",
	 "in 101+100; in 151+100; in 91+300; drop; in 1+100; out 1+0 ack 391; read 390; read none"},
	{"an early FIN waits for its data",
	 "in 101+100 F; read none; drop; in 1+100; out 1+0 ack 202; read 200; read eof"},
	{"an early FIN without data is in the SACK",
	 "in 101+0 F; out 1+0 ack 1 sack 101-102; in 1+100; out 1+0 ack 102; read 100; read eof"},
	{"nothing comes after a FIN",
	 "in 101+100 F; in 201+100; in 151+200; drop; in 1+100; out 1+0 ack 202; read 200; read eof"},
	{"a FIN in the middle of early data is none",
	 "in 101+100; drop; in 101+50 F; drop; in 1+100; out 1+0 ack 201; read 200; read none"},
	{"a FIN in order ends it, whatever came early",
	 "in 201+100; drop; in 1+100 F; out 1+0 ack 102; read 100; read eof"},
	{"a second FIN further on does not count: octets between them were never sent",
	 "in 2+0 F; in 3+0 F; in 4+0 F; in 6+0 F; drop; in 1+1; out 1+0 ack 3; read 1; read eof"},
	{"a FIN beyond the window is not kept",
	 "in 1+4096 F; out 1+0 ack 4097 win 0; read 4096; read none; drop; in 4097+0 F; wait 50; out 1+0 ack 4098; read eof",
	 .ring = 4096},

	/* RFC 2018, 4: blocks */
	{"the first block has the segment that came last",
	 "in 101+10; out 1+0 ack 1 sack 101-111; in 201+10; out 1+0 sack 201-211,101-111; in 301+10;"
	 "out 1+0 sack 301-311,201-211,101-111; in 111+10; out 1+0 sack 101-121,301-311,201-211"},
	{"four blocks at most",
	 "in 101+10; in 201+10; in 301+10; in 401+10; drop; in 501+10; out 1+0 sack 501-511,401-411,301-311,201-211"},
	{"three beside timestamps",
	 "in 101+10; in 201+10; in 301+10; drop; in 401+10; out 1+0 sack 401-411,301-311,201-211", .ts = true},
	{"a batch of early segments has an acknowledgment for each, together they name all holes",
	 "in 101+10 hold; in 201+10 hold; in 301+10 hold; in 401+10 hold; in 501+10; out 1+0 ack 1 sack 101-111,201-211,301-311,401-411;"
	 "out 1+0 sack 201-211,101-111,301-311,401-411; out 1+0 sack 301-311,201-211,101-111,401-411; out 1+0 sack 401-411,301-311,201-211,101-111;"
	 "out 1+0 sack 501-511,401-411,301-311,201-211; quiet"},
	{"without SACK, too: they are counted",
	 "in 101+10 hold; in 111+10 hold; in 121+10; out 1+0 ack 1; out 1+0 ack 1; out 1+0 ack 1; quiet",
	 .no_sack = true},
	{"a batch whose hole fills has one acknowledgment",
	 "in 101+10 hold; in 111+10 hold; in 1+100; out 1+0 ack 121; quiet"},
	{"blocks that merge are one", "in 101+10; in 121+10; drop; in 111+10; out 1+0 sack 101-131"},
	{"without SACK there are none", "in 101+10; out 1+0 ack 1 sack none", .no_sack = true},

	/* RFC 2883 */
	{"D-SACK of a segment that is old", "in 1+1000; drop; in 501+500; out 1+0 ack 1001 sack 501-1001"},
	{"D-SACK of what overlaps on the left", "in 1+1000; drop; in 501+1000; out 1+0 ack 1501 sack 501-1001"},
	{"D-SACK of an early duplicate is followed by its interval",
	 "in 101+100; in 301+100; drop; in 131+10; out 1+0 ack 1 sack 131-141,101-201,301-401"},
	{"D-SACK is said once", "in 1+1000; drop; in 1+1000; out 1+0 sack 1-1001; in 2001+10; out 1+0 sack 2001-2011"},
	{"D-SACK of early data that an in-order segment repeats",
	 "in 101+100; drop; in 1+150; out 1+0 ack 201 sack 101-151; read 200"},
	{"no D-SACK without SACK", "in 1+1000; drop; in 1+1000; out 1+0 ack 1001 sack none", .no_sack = true},
	{"a keepalive's octet before the first is no duplicate", "in 0+1; out 1+0 ack 1 sack none"},

	/* S7 */
	{"S7: an urgent pointer beyond the segment is clamped to it",
	 "in 1+10 urg 60000; ev in,pri; read 10; poll out; out 1+0 ack 11"},
	{"S7: urgent data is part of the stream",
	 "in 1+10 urg 5; poll in,out,pri; read 4; poll in,out,pri; read 6; poll out; out 1+0 ack 11"},
};

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows)];

	script_tests(tests, rows, COUNT_OF(rows));
	return cmocka_run_group_tests_name("tcp_rcv", tests, NULL, NULL);
}
