/* tests/sim/draw.c: what worlds are drawn from. The lowest value of each draw is the plainest world. */
#include "sim.h"

#include <string.h>

/* What time it is when the world begins: in plain ones one second (not 0, so that a forgotten time shows), else shortly before a clock that the
 * stack keeps in 32 bits goes round, or changes its sign. */
uint64_t draw_clock(struct sim *s)
{
	static const uint64_t rounds_ns[] = {
		(UINT64_C(1) << 31) * SIM_US,
		(UINT64_C(1) << 32) * SIM_US, /* 36 and 72 minutes */
		(UINT64_C(1) << 31) * SIM_MS,
		(UINT64_C(1) << 32) * SIM_MS, /* 25 and 50 days */
		UINT64_C(1) << 46,
		UINT64_C(1) << 48, /* the wheel's round, its timers' lower words */
	};
	uint64_t kind = sim_draw(s, "clock", 0, 2 * COUNT_OF(rounds_ns));
	uint64_t before_ms = sim_draw(s, "clock_before_ms", 0, 8000);

	return kind > COUNT_OF(rounds_ns) ? rounds_ns[kind - COUNT_OF(rounds_ns) - 1] - before_ms * SIM_MS : SIM_S;
}

struct fault_config draw_faults(struct sim *s, enum berth_link link)
{
	struct fault_config c = {.link = link};

	c.delay_ns = sim_draw(s, "delay_us", 0, 60000) * SIM_US;
	c.wire = !sim_once_in(s, "super_frames_pass", 2);
	if (sim_once_in(s, "has_loss", 2))
		c.loss_ppm = (uint32_t)sim_draw(s, "loss_ppm", 0, 80000);
	if (sim_once_in(s, "has_bursts", 4)) {
		c.burst_in_ppm = (uint32_t)sim_draw(s, "burst_in_ppm", 0, 10000);
		/* short enough that fifteen retransmissions are never all lost: that would be an end in good order */
		c.burst_out_ppm = (uint32_t)sim_draw(s, "burst_out_ppm", 500000, 900000);
		c.burst_loss_ppm = (uint32_t)sim_draw(s, "burst_loss_ppm", 300000, 700000);
	}
	if (sim_once_in(s, "has_reorder", 3)) {
		c.reorder_ppm = (uint32_t)sim_draw(s, "reorder_ppm", 0, 100000);
		c.reorder_ns = sim_draw(s, "reorder_us", 1, 50000) * SIM_US;
	}
	if (sim_once_in(s, "has_dup", 3))
		c.dup_ppm = (uint32_t)sim_draw(s, "dup_ppm", 0, 50000);
	if (sim_once_in(s, "has_corrupt", 3))
		c.corrupt_ppm = (uint32_t)sim_draw(s, "corrupt_ppm", 0, 30000);
	if (sim_once_in(s, "has_jitter", 3))
		c.jitter_ns = sim_draw(s, "jitter_us", 0, 20000) * SIM_US;
	if (sim_once_in(s, "has_rate", 2)) {
		c.rate_bps = sim_draw(s, "rate_bps", 50000, 10000000);
		c.queue_bytes = (uint32_t)sim_draw(s, "queue_bytes", 10000, 200000);
		if (sim_once_in(s, "has_ce", 3))
			c.ce_queue_bytes = (uint32_t)sim_draw(s, "ce_queue_bytes", 3000, 50000);
	}
	if (sim_once_in(s, "has_gro", 3)) {
		c.coalesce_ns = sim_draw(s, "coalesce_us", 0, 2000) * SIM_US;
		c.merge = true;
	}
	return c;
}

void draw_manners(struct sim *s, struct sim_manners *m, uint64_t bytes_max)
{
	m->bytes = sim_draw(s, "bytes", 0, bytes_max);
	if (sim_once_in(s, "few_bytes", 3))
		m->bytes %= 100;
	if (sim_once_in(s, "tiny_writes", 5)) {
		m->write_max = (uint32_t)sim_draw(s, "write_max", 1, 300);
		m->bytes %= 20000;
	}
	if (sim_once_in(s, "write_pauses", 6)) {
		m->write_pause_ns = sim_draw(s, "write_pause_us", 1, 300000) * SIM_US;
		m->bytes %= 100000;
	}
	if (sim_once_in(s, "slow_reader", 5)) {
		m->read_max = (uint32_t)sim_draw(s, "read_max", 100, 4096);
		m->read_pause_ns = sim_draw(s, "read_pause_us", 1, 30000) * SIM_US;
	}
	if (sim_once_in(s, "late_reader", 8))
		m->read_after_ns = sim_draw(s, "read_after_ms", 1, 20000) * SIM_MS;
	m->zero_copy = sim_once_in(s, "zero_copy", 2);
}

uint32_t draw_options(struct sim *s)
{
	uint32_t o = 0;

	if (sim_once_in(s, "cubic", 2))
		o |= SIM_OPT_CUBIC;
	if (sim_once_in(s, "pacing", 4))
		o |= SIM_OPT_PACING;
	if (sim_once_in(s, "ecn", 3))
		o |= SIM_OPT_ECN;
	if (sim_once_in(s, "nodelay", 3))
		o |= SIM_OPT_NODELAY;
	if (sim_once_in(s, "no_ts", 4))
		o |= SIM_OPT_NO_TS;
	if (sim_once_in(s, "no_sack", 5))
		o |= SIM_OPT_NO_SACK;
	if (sim_once_in(s, "no_wscale", 5))
		o |= SIM_OPT_NO_WSCALE;
	if (sim_once_in(s, "quickack", 6))
		o |= SIM_OPT_QUICKACK;
	if (sim_once_in(s, "lowat", 5))
		o |= SIM_OPT_LOWAT;
	if (sim_once_in(s, "maxseg", 6))
		o |= SIM_OPT_MAXSEG;
	if (sim_once_in(s, "bufs", 5))
		o |= SIM_OPT_BUFS;
	if (sim_once_in(s, "attach", 5))
		o |= SIM_OPT_ATTACH;
	if (sim_once_in(s, "cork", 6))
		o |= SIM_OPT_CORK;
	return o;
}
