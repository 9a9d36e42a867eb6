/* tests/unit/test_tcp_out.c: src/stack/tcp_out.c and tcp_emit.c: what is sent, in frames of which size, with which flags. */
#include "tcp_script.h"

#define TSO (BERTH_IF_TX_CSUM | BERTH_IF_TSO4)

static const struct script_row rows[] = {
	{"what is written leaves", "send 100; out 1+100 P ack 1; quiet"},
	{"in segments, PSH on the last", "send 4000; out 1+1460 .; out 1461+1460 .; out 2921+1080 P; quiet"},
	{"no more than the window",
	 "send 4000; out 1+1460; quiet; in 1+0 ack 1461 win 3000; out 1461+1460; out 2921+1080 P; quiet", .win = 2000},
	{"no more than the initial window of ten segments",
	 "send 20000; out 1+1460; out 1461+1460; out 2921+1460; out 4381+1460; out 5841+1460;"
	 "out 7301+1460; out 8761+1460; out 10221+1460; out 11681+1460; out 13141+1460; quiet"},
	{"with timestamps a segment is 12 octets shorter", "send 2000; out 1+1448; out 1449+552 P; quiet", .ts = true},
	{"the peer's MSS counts no options", "send 2000; out 1+988; out 989+988; out 1977+24 P", .mss = 1000,
	 .ts = true},
	{"SACK blocks take their room from new data",
	 "in 101+10; drop; send 3000; out 1+1448 sack 101-111; out 1449+1448; out 2897+104 P"},
	{"S16: a peer that wants tiny segments gets 216 octets", "send 500; out 1+216; out 217+216; out 433+68 P",
	 .mss = 1},
	{"an interface's own MTU is obeyed below that", "send 120; out 1+88; out 89+32 P", .mtu = 128},

	/* Nagle's rule as Minshall changed it */
	{"Nagle: the second small segment waits for the first's acknowledgment",
	 "send 100; out 1+100 P; send 100; send 50; quiet; in 1+0 ack 101; out 101+150 P; quiet"},
	{"Minshall: a tail behind full segments does not wait",
	 "send 1460; out 1+1460 P; send 100; out 1461+100 P; send 100; quiet"},
	{"full segments do not wait for a small one",
	 "send 100; out 1+100 P; send 1500; out 101+1460 .; quiet; in 1+0 ack 101; out 1561+40 P"},
	{"BERTH_NODELAY: nothing waits", "set nodelay 1; send 100; out 1+100 P; send 100; out 101+100 P; quiet"},
	{"BERTH_NODELAY lets what waits go", "send 100; out 1+100; send 100; quiet; set nodelay 1; out 101+100 P"},
	{"BERTH_CORK: only full ones",
	 "set cork 1; send 100; quiet; send 1400; out 1+1460 .; quiet; set cork 0; out 1461+40 P"},
	{"BERTH_CORK with BERTH_NODELAY: only full ones",
	 "set nodelay 1; set cork 1; send 100; quiet; set cork 0; out 1+100 P"},
	{"corked data goes after a timeout all the same, as Linux",
	 "set cork 1; send 100; quiet; wait 1100; at 1000; out 1+100 P; quiet"},
	{"BERTH_MORE waits for more", "send 100 more; quiet; send 100; out 1+200 P; quiet"},
	{"BERTH_MORE fills segments",
	 "send 1000 more; quiet; send 1000 more; out 1+1460 .; quiet; send 10; out 1461+550 P"},
	{"FIN lets a small one go", "send 100; out 1+100; send 100; quiet; fin; out 101+100 FP; quiet"},
	{"FIN lets corked data go", "set cork 1; send 100; quiet; fin; out 1+100 FP; quiet"},

	/* RFC 9293, 3.8.6.2.1 */
	{"SWS: a window of less than half its largest does not make a small segment",
	 "send 10000; out 1+1460; out 1461+1460; out 2921+1460; out 4381+1460; out 5841+1460; quiet; in 1+0 ack 7301 win 100; quiet;"
	 "in 1+0 ack 7301 win 1500; out 7301+1460; quiet; in 1+0 ack 8761 win 1500; out 8761+1240 P",
	 .win = 8000},
	{"SWS: half of the largest window is worth a segment",
	 "send 1500; out 1+1000; quiet; in 1+0 ack 1001 win 500; out 1001+500 P; quiet", .win = 1000},
	{"SWS: all that is there is worth a segment",
	 "send 1200; out 1+1000; quiet; in 1+0 ack 1001 win 200; out 1001+200 P; quiet", .win = 1000},
	{"SWS: what is not worth it goes after a while",
	 "send 2000; out 1+1000; in 1+0 ack 1001 win 300; quiet; wait 300; at 200; out 1001+300; quiet", .win = 1000},

	/* closing */
	{"both close at once, and its FIN comes with the acknowledgment of ours: it has one, too",
	 "fin; out 1+0 F ack 1; in 1+100 F hold; in 102+0 ack 2; out 2+0 . ack 102; quiet"},
	{"FIN rides on the last data", "send 100 more; fin; out 1+100 FP; quiet"},
	{"FIN alone", "fin; out 1+0 F; quiet; in 1+0 ack 2; quiet"},
	{"FIN behind full segments rides on the last", "send 2920 more; drop; fin; out 2921+0 F"},
	{"FIN waits for the window, too", "send 1000; out 1+1000 P; fin; quiet; in 1+0 ack 1001 win 1; out 1001+0 F",
	 .win = 1000},
	{"FIN after data that is in flight", "send 100; out 1+100 P; fin; out 101+0 F; in 1+0 ack 102; quiet"},
	{"no data after FIN, sent again it is the same", "send 100; fin; drop; wait 1000; drop; in 1+0 ack 102; quiet"},

	/* super-frames */
	{"a super-frame has all that may go", "send 14600; out 1+14600 P gso 1460; quiet", .iface_flags = TSO},
	{"a super-frame is of whole segments when more follows", "send 20000; out 1+14600 . gso 1460; quiet",
	 .iface_flags = TSO},
	{"a tail that may go rides on the super-frame", "send 5000; out 1+5000 P gso 1460; quiet", .iface_flags = TSO},
	{"a tail that Nagle holds does not",
	 "send 10; out 1+10; send 5000; out 11+4380 . gso 1460; quiet; in 1+0 ack 11; out 4391+620 P",
	 .iface_flags = TSO},
	{"one segment is no super-frame", "send 1460; out 1+1460 P gso 0; quiet", .iface_flags = TSO},
	{"FIN on a super-frame", "send 5000 more; drop; fin; out 4381+620 FP gso 0", .iface_flags = TSO},
	{"a super-frame ends at the window", "send 10000; out 1+4380 . gso 1460; quiet", .iface_flags = TSO,
	 .win = 5000},
	{"sent again and sent first are never in one frame",
	 "send 14600; drop; wait 20; send 5000; quiet; in 1+0 ack 1 sack 1461-14601; out 1+1460 gso 0; out 14601+5000 P gso 1460",
	 .iface_flags = TSO},
	{"the checksum is complete where the device does none", "send 5001; drop"},
	{"the checksum is the device's where it can", "send 5001; drop; in 1+7; drop", .iface_flags = BERTH_IF_TX_CSUM},

	/* urgent data: RFC 9293, 3.8.5; RFC 6093: the pointer names the octet behind */
	{"urgent data has a pointer behind it", "send 10 urgent; out 1+10 PU urg 10"},
	{"all segments before it point there", "send 2000 urgent; out 1+1460 U urg 2000; out 1461+540 PU urg 540"},
	{"not those behind it", "send 10 urgent; out 1+10 PU; in 1+0 ack 11; send 10; out 11+10 P"},
	{"an urgent pointer is one segment's, not a super-frame's",
	 "send 3000 urgent; out 1+1460 U urg 3000 gso 0; out 1461+1460 U urg 1540 gso 0; out 2921+80 PU urg 80",
	 .iface_flags = TSO},
};

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows)];

	script_tests(tests, rows, COUNT_OF(rows));
	return cmocka_run_group_tests_name("tcp_out", tests, NULL, NULL);
}
