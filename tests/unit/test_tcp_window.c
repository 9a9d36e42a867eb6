/* tests/unit/test_tcp_window.c: src/stack/tcp_window.c and tcp_persist.c: windows, ours and the peer's. */
#include "tcp_script.h"

static const struct script_row rows[] = {
	/* ours: RFC 9293, 3.8.6 */
	{"the window is what of the ring is free",
	 "in 1+1000; out 1+0 ack 1001 win 64512; in 1001+536; out 1+0 ack 1537 win 64000"},
	{"SHLD-14: the right edge does not go back",
	 "in 1+1000; out 1+0 win 3072; in 1001+1000; out 1+0 ack 2001 win 2048; in 2001+2096; out 1+0 ack 4097 win 0",
	 .ring = 4096},
	{"SWS: it opens by a full segment at least",
	 "in 1+1000; in 1001+1000; in 2001+1000; in 3001+1096; drop; read 500; quiet; read 651; quiet; read 1; out 1+0 ack 4097 win 1152",
	 .ring = 4096},
	{"SWS: or by half of the buffer",
	 "in 1+4096 gso 4096; drop; read 1000; quiet; read 1047; quiet; read 1; out 1+0 ack 4097 win 2048",
	 .ring = 4096},
	{"while half of the buffer is open, reading says nothing", "set quickack 1; in 1+1000; drop; read 1000; quiet"},
	{"BERTH_RCVBUF is less than the ring",
	 "set rcvbuf 8192; in 1+60000 gso 1460; drop; read 60000; quiet; in 60001+1000; wait 50; out 1+0 ack 61001 win 7168"},
	{"no update after FIN", "in 1+4095 F; drop; read 4095; quiet; read eof", .ring = 4096},
	{"tuning: the buffer becomes twice what was read in a round trip",
	 "in 1+60000 gso 1460; drop; read 60000; drop; wait 10; in 60001+60000 gso 1460; drop; read 60000; drop;"
	 "wait 10; in 120001+1000; wait 50; drop; in 121001+1000; wait 50; out 1+0 ack 122001 win 261504",
	 .rx_ring = 1 << 20, .ring = 65536},
	{"tuning: not beyond the ring",
	 "in 1+60000 gso 1460; read 60000; wait 10; in 60001+60000 gso 1460; drop; read 60000; wait 10; in 120001+60000 gso 1460; drop; read 60000; out 1+0 ack 180001 win 65536"},
	{"tuning: not where BERTH_RCVBUF says",
	 "set rcvbuf 65536; in 1+60000 gso 1460; drop; read 60000; drop; wait 10; in 60001+60000 gso 1460; drop; read 60000; out 1+0 ack 120001 win 65536",
	 .rx_ring = 1 << 20, .ring = 65536},

	/* the peer's is closed: RFC 9293, 3.8.6.1 */
	{"MUST-36: a closed window is probed, at intervals that double",
	 "send 1000; drop; in 1+0 ack 1001 win 0; send 500; quiet; wait 20000; at 200; out 1000+0 .; at 600; out 1000+0; at 1400; out 1000+0;"
	 "at 3000; out 1000+0; at 6200; out 1000+0; at 12600; out 1000+0; quiet"},
	{"a window that opens ends it",
	 "send 1000; drop; in 1+0 ack 1001 win 0; send 500; wait 300; drop; in 1+0 ack 1001 win 1000; out 1001+500 P; in 1+0 ack 1501; wait 10000; quiet"},
	{"MUST-37: a peer that answers is never given up",
	 "send 1000; drop; in 1+0 ack 1001 win 0; send 500; wait 100000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000;"
	 "in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0;"
	 "wait 120000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000;"
	 "in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0; wait 120000; drop;"
	 "in 1+0 ack 1001 win 9000; out 1001+500 P; err 0"},
	{"a peer that is silent is, after R2",
	 "send 1000; drop; in 1+0 ack 1001 win 0; send 500; wait 2000000; err 110; drop"},
	{"S20: the user timeout counts though the peer answers",
	 "set user_timeout 5000; send 1000; drop; in 1+0 ack 1001 win 0; send 500; wait 300; in 1+0 ack 1001 win 0; wait 500; in 1+0 ack 1001 win 0;"
	 "wait 1000; in 1+0 ack 1001 win 0; wait 2000; in 1+0 ack 1001 win 0; wait 4000; in 1+0 ack 1001 win 0; err 110; drop"},
	{"S20: a program that closed does not wait for ever",
	 "send 1000; drop; in 1+0 ack 1001 win 0; send 500; close; wait 60000; in 1+0 ack 1001 win 0; wait 60000; in 1+0 ack 1001 win 0; wait 120000; in 1+0 ack 1001 win 0;"
	 "wait 120000; drop; in 1+0 ack 1001 win 1000; out 1001+0 R; quiet"},
	{"FIN behind a closed window waits",
	 "send 1000; drop; in 1+0 ack 1001 win 0; fin; quiet; wait 250; out 1000+0 .; in 1+0 ack 1001 win 10; out 1001+0 F"},
	{"a window that shrinks under what is in flight",
	 "send 3000; out 1+1460; out 1461+1460; out 2921+80; in 1+0 ack 1461 win 500; send 100; quiet; in 1+0 ack 3001 win 500; out 3001+100 P"},
	{"a probe's answer with a window that is too small to use is no reason to stop",
	 "send 3000; drop; in 1+0 ack 3001 win 0; send 3000; wait 300; drop; in 1+0 ack 3001 win 10; quiet; wait 2000; out 3001+10 P; drop; in 1+0 ack 3011 win 3000; out 3011+1460; out 4471+1460; quiet"},
};

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows)];

	script_tests(tests, rows, COUNT_OF(rows));
	return cmocka_run_group_tests_name("tcp_window", tests, NULL, NULL);
}
