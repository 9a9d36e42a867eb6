/* tests/sim/sim_recovery.c: one thing goes wrong, exactly there, and the branch of TCP that is made for it does its work.
 *
 * Each row is a transfer of 60 segments over 40 ms of round trip, in which rules of the link drop, delay, repeat or mark chosen segments
 * (STACK.md, T8). Besides all that must hold in every world, the row says what the counters of the sender must be afterwards: that a
 * loss was repaired without a timeout is as much a promise as that it was repaired.
 */
#include "sim.h"

#include <stddef.h>

#include "tests.h"
#include "wire/tcp.h"

#define MSS 1448
#define N_SEGMENTS 60u
#define PORT 80

#define C(name) offsetof(struct berth_counters, name)

/* A counter of a host lies in [lo, hi]. */
struct wish {
	int host; /* 0 sends the data */
	size_t counter;
	uint64_t lo, hi;
};
#define ANY UINT64_MAX

struct row {
	const char *name;
	uint32_t options;		    /* SIM_OPT_ */
	struct fault_rule data[4], acks[4]; /* rules for what goes to the receiver, to the sender */
	struct wish wishes[5];
	uint64_t ms_max;     /* done within; 0: two seconds */
	uint32_t n_segments; /* 0: N_SEGMENTS */
	uint64_t write_pause_ms;
	uint64_t read_after_ms;
};

#define DATA .with_data = true
#define SYN .flags_mask = WIRE_TCP_SYN | WIRE_TCP_ACK, .flags = WIRE_TCP_SYN
#define SYN_ACK .flags_mask = WIRE_TCP_SYN | WIRE_TCP_ACK, .flags = WIRE_TCP_SYN | WIRE_TCP_ACK
#define FIN .flags_mask = WIRE_TCP_FIN, .flags = WIRE_TCP_FIN
#define PURE .flags_mask = WIRE_TCP_SYN | WIRE_TCP_FIN, .flags = 0
#define NTH(n) .first = (n), .count = 1
#define NTHS(n, m) .first = (n), .count = (m)
#define AGAIN .only_rexmit = true
#define LATE(ms) .action = FAULT_DELAY, .delay_ns = (ms)*SIM_MS

static const struct row rows[SIM_RECOVERY_ROWS] = {
	{"nothing goes wrong: nothing is sent twice", .wishes = {{0, C(tcp_retrans), 0, 0}, {0, C(tcp_rto), 0, 0}}},
	{"one segment is lost: sent once more, no timeout", .data = {{DATA, NTH(30)}},
	 .wishes = {{0, C(tcp_retrans), 1, 1}, {0, C(tcp_rto), 0, 0}, {0, C(tcp_fast_recovery), 1, 1}}},
	{"one segment is lost, without SACK (NewReno)", SIM_OPT_NO_SACK, .data = {{DATA, NTH(30)}},
	 .wishes = {{0, C(tcp_retrans), 1, 2}, {0, C(tcp_rto), 0, 0}}},
	{"one segment is lost, without SACK and timestamps", SIM_OPT_NO_SACK | SIM_OPT_NO_TS, .data = {{DATA, NTH(30)}},
	 .wishes = {{0, C(tcp_retrans), 1, 2}, {0, C(tcp_rto), 0, 0}}},
	{"one segment is lost, without timestamps", SIM_OPT_NO_TS, .data = {{DATA, NTH(30)}},
	 .wishes = {{0, C(tcp_retrans), 1, 1}, {0, C(tcp_rto), 0, 0}}},
	{"two holes in one window", .data = {{DATA, NTH(28)}, {DATA, NTH(33)}},
	 .wishes = {{0, C(tcp_retrans), 2, 2}, {0, C(tcp_rto), 0, 0}}},
	{"two holes in one window, without SACK", SIM_OPT_NO_SACK, .data = {{DATA, NTH(28)}, {DATA, NTH(33)}},
	 .wishes = {{0, C(tcp_retrans), 2, 4}, {0, C(tcp_rto), 0, 0}}},
	{"every third segment of a window",
	 .data = {{DATA, NTH(20)}, {DATA, NTH(23)}, {DATA, NTH(26)}, {DATA, NTH(29)}},
	 .wishes = {{0, C(tcp_retrans), 4, 4}, {0, C(tcp_rto), 0, 0}}},
	{"the retransmission is lost, too: RACK sends it again", .data = {{DATA, NTH(20)}, {DATA, AGAIN, NTH(1)}},
	 .wishes = {{0, C(tcp_retrans), 2, 3}, {0, C(tcp_rto), 0, 0}}},
	{"the retransmission is lost twice", .data = {{DATA, NTH(20)}, {DATA, AGAIN, NTHS(1, 2)}},
	 .wishes = {{0, C(tcp_retrans), 3, 20}}},
	{"the last segment is lost: a tail loss probe", .data = {{DATA, NTH(N_SEGMENTS)}},
	 .wishes = {{0, C(tcp_tlp), 1, 1}, {0, C(tcp_rto), 0, 0}}, .ms_max = 700},
	{"the last three segments are lost", .data = {{DATA, NTHS(N_SEGMENTS - 2, 3)}},
	 .wishes = {{0, C(tcp_tlp), 1, 2}, {0, C(tcp_rto), 0, 0}}, .ms_max = 900},
	{"the last segment and the probe are lost: a timeout", .data = {{DATA, NTH(N_SEGMENTS)}, {DATA, AGAIN, NTH(1)}},
	 .wishes = {{0, C(tcp_rto), 1, 2}}},
	{"a whole window is lost", .data = {{DATA, NTHS(11, 20)}}, .wishes = {{0, C(tcp_retrans), 20, 45}}},
	{"the only segment is lost", .data = {{DATA, NTH(1)}}, .wishes = {{0, C(tcp_retrans), 1, 2}}, .n_segments = 1},
	{"every segment's first copy is lost", .data = {{DATA, .only_new = true, NTHS(1, 1000)}},
	 .wishes = {{0, C(tcp_retrans), 60, 400}}, .ms_max = 60000},
	{"the SYN is lost", .data = {{SYN, NTH(1)}}, .ms_max = 3000},
	{"the SYN is lost three times", .data = {{SYN, NTHS(1, 3)}}, .ms_max = 9000},
	{"the SYN-ACK is lost", .acks = {{SYN_ACK, NTH(1)}}, .ms_max = 3000},
	{"the handshake's last segment is lost", .data = {{PURE, NTH(1)}}, .ms_max = 3000},
	{"the FIN is lost", .data = {{FIN, NTH(1)}}, .ms_max = 3000},
	{"the other end's FIN is lost", .acks = {{FIN, NTH(1)}}, .ms_max = 3000},
	{"the acknowledgment of the last FIN is lost", .data = {{PURE, NTHS(N_SEGMENTS + 2, 1)}}, .ms_max = 3000},
	{"every other acknowledgment is lost",
	 .acks = {{PURE, NTH(4)}, {PURE, NTH(6)}, {PURE, NTH(8)}, {PURE, NTH(10)}}, .wishes = {{0, C(tcp_rto), 0, 0}}},
	{"ten acknowledgments in a row are lost", .acks = {{PURE, NTHS(5, 10)}}},
	{"a little late is not lost: nothing is sent twice", .data = {{DATA, NTH(30), LATE(5)}},
	 .wishes = {{0, C(tcp_retrans), 0, 0}}},
	{"much too late: sent again for nothing, and undone", .data = {{DATA, NTH(12), LATE(90)}},
	 .wishes = {{0, C(tcp_retrans), 1, 3},
		    {1, C(tcp_dsack_out), 1, 3},
		    {0, C(tcp_undo), 1, 2},
		    {0, C(tcp_rto), 0, 0}},
	 .n_segments = 400},
	{"all stand still for a second: the timeout was for nothing (F-RTO)",
	 .data = {{DATA, NTHS(11, 1000), LATE(1000)}}, .wishes = {{0, C(tcp_rto), 1, 3}, {0, C(tcp_undo), 1, 3}},
	 .ms_max = 4000},
	{"every segment comes twice", .data = {{DATA, NTHS(1, 1000), .action = FAULT_DUPLICATE}},
	 .wishes = {{0, C(tcp_retrans), 0, 0}, {1, C(tcp_dsack_out), 20, 60}}},
	{"a segment is damaged: dropped by its checksum, and sent again",
	 .data = {{DATA, NTH(30), .action = FAULT_CORRUPT}},
	 .wishes = {{0, C(tcp_retrans), 1, 1}, {0, C(tcp_rto), 0, 0}}},
	{"congestion is marked: slower, and nothing is sent twice", SIM_OPT_ECN,
	 .data = {{DATA, NTHS(30, 5), .action = FAULT_MARK_CE}},
	 .wishes = {{1, C(tcp_ecn_ce_in), 5, 5}, {0, C(tcp_retrans), 0, 0}}},
	{"the window closes and opens: probes", .wishes = {{0, C(tcp_zero_window_probes), 1, 12}},
	 .read_after_ms = 3000, .ms_max = 15000},
	{"the window opens, and nobody hears of it", .acks = {{PURE, NTHS(12, 6)}}, .read_after_ms = 3000,
	 .ms_max = 60000},
	{"tiny writes with pauses, one lost", .data = {{DATA, NTH(5)}}, .wishes = {{0, C(tcp_rto), 0, 0}},
	 .n_segments = 10, .write_pause_ms = 30},
};

static void check_wishes(struct sim *s, struct sim_host **h, const struct row *r)
{
	for (size_t i = 0; i < COUNT_OF(r->wishes) && (r->wishes[i].lo || r->wishes[i].hi || r->wishes[i].counter);
	     i++) {
		const struct wish *w = &r->wishes[i];
		struct berth_counters c = sim_counters(h[w->host]);
		uint64_t got = *(const uint64_t *)(const void *)((const char *)&c + w->counter);
		static const char *const names[] = {
#define NAME(n) #n,
			BERTH_COUNTERS(NAME)};
		const char *name = names[w->counter / sizeof(uint64_t)];

		sim_expect_ge(s, name, got, w->lo);
		sim_expect_le(s, name, got, w->hi);
	}
}

SIM_TEST(recovery_branches)
{
	const struct row *r = &rows[(s->seed - 1) % COUNT_OF(rows)];
	struct fault_config c = {.delay_ns = 20 * SIM_MS, .link = BERTH_LINK_IP, .wire = true, .rate_bps = 12500000};
	struct sim_host *h[2];
	struct sim_flow *f;
	struct sim_wire *w;
	uint64_t began;

	s->row = r->name;
	for (int i = 0; i < 2; i++) {
		h[i] = sim_host(s);
		h[i]->late_ns = 0;
		h[i]->config.tx_ring_bytes = 256 << 10;
		h[i]->config.rx_ring_bytes = r->read_after_ms ? 32 << 10 : 256 << 10;
	}
	w = sim_wire(s, h, 2, &c);
	for (size_t i = 0; i < COUNT_OF(r->data); i++)
		c.rules[i] = r->data[i];
	sim_wire_set(s, w, 1, &c);
	for (size_t i = 0; i < COUNT_OF(r->acks); i++)
		c.rules[i] = r->acks[i];
	sim_wire_set(s, w, 0, &c);
	sim_boot(h[0]);
	sim_boot(h[1]);
	sim_listen(h[1], PORT, 4);
	f = sim_flow(s, h[0], h[1], w, 4, PORT);
	f->options = r->options;
	f->end[0].manners.bytes =
		(r->n_segments ? r->n_segments : N_SEGMENTS) * (r->options & SIM_OPT_NO_TS ? MSS + 12u : MSS);
	if (r->write_pause_ms) {
		f->end[0].manners.write_max = 1000;
		f->end[0].manners.write_pause_ns = r->write_pause_ms * SIM_MS;
		f->options |= SIM_OPT_NODELAY;
	}
	f->end[1].manners.read_after_ns = r->read_after_ms * SIM_MS;
	began = s->now_ns;
	if (!sim_run_until(s, sim_idle, s->now_ns + 600 * SIM_S))
		sim_fail(s, "stall", "it did not end in ten minutes");
	sim_expect_le(s, "it took so many ms", (s->now_ns - began) / SIM_MS, r->ms_max ? r->ms_max : 2000);
	check_wishes(s, h, r);
	sim_expect_all_over(s);
}
