/* tests/sim/sim_round.c: connections whose numbers go round.
 *
 * A first sequence number is anywhere in the circle, and so are timestamps: of forty thousand flows of a hundred kilobytes one would meet
 * its end. Both are a keyed hash and a clock, so a flow that begins at the right time does: within 275 seconds for sequence numbers,
 * within fifty days for timestamps.
 */
#include "sim.h"

#include "stack/stack.h"
#include "stack/tcp.h"

#define FIRST_PORT 20000
#define FEW 20000u

enum number { CLIENT_SEQ, SERVER_SEQ, CLIENT_TS, SERVER_TS };

/* The ends' addresses and ports, as seen from one of them. */
struct names {
	struct port_addr local, peer;
	uint16_t local_port, peer_port;
};

static struct names names_of(const struct sim_flow *f, int end)
{
	const struct berth_addr c = sim_addr(f->end[SIM_CLIENT].host, f->wire, f->family, f->bind_port),
				v = sim_addr(f->end[SIM_SERVER].host, f->wire, f->family, f->port);
	struct names n = {.local_port = f->bind_port, .peer_port = f->port};

	n.local = addr_of(&c);
	n.peer = addr_of(&v);
	if (end == SIM_SERVER)
		n = (struct names){n.peer, n.local, n.peer_port, n.local_port};
	return n;
}

/* The first time from now on at which a clock of `tick_ns` has gone so far that base, counted on by it, is `want`. */
static uint64_t time_of(uint64_t now_ns, uint64_t tick_ns, uint32_t base, uint32_t want)
{
	uint64_t ticks = now_ns / tick_ns + 1;

	return (ticks + (uint32_t)(want - base - (uint32_t)ticks)) * tick_ns;
}

/* When the flow must begin for the number to reach its end `after` octets or milliseconds later. */
static uint64_t begin_for(const struct sim_flow *f, enum number which, uint32_t after)
{
	int end = which == CLIENT_SEQ || which == CLIENT_TS ? SIM_CLIENT : SIM_SERVER;
	const struct names n = names_of(f, end);
	struct berth_stack *st = f->end[end].host->st;
	uint32_t base;

	if (which == CLIENT_TS || which == SERVER_TS)
		return time_of(f->s->now_ns, SIM_MS, tcp_ts_offset(st, &n.local, &n.peer), 0 - after);
	base = tcp_isn(st, &n.local, n.local_port, &n.peer, n.peer_port) - (uint32_t)(st->now_ns / 64);
	return time_of(f->s->now_ns, 64, base, 0 - 1 - after);
}

/* connect() happens at the latest time that the stack was told. */
static void tell_time(struct sim *s, void *ctx)
{
	const struct sim_host *h = ctx;

	(void)berth_stack_tick(h->st, s->now_ns, 1);
}

SIM_TEST(numbers_go_round)
{
	bool is_good = sim_draw(s, "is_bad", 0, 3) == 0;
	struct fault_config c = is_good ? (struct fault_config){.link = draw_link(s)} : draw_faults(s, draw_link(s));
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 6);
	struct sim_host *h[2];
	struct sim_wire *w;

	if (is_good)
		c.delay_ns = sim_draw(s, "delay_us", 0, 50000) * SIM_US;
	draw_hosts(s, h, 2);
	w = sim_hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = draw_flow(s, h[0], h[1], w, 200000);
		enum number which = (enum number)sim_draw(s, "which_number", CLIENT_SEQ, SERVER_TS);
		int end = which == CLIENT_SEQ || which == CLIENT_TS ? SIM_CLIENT : SIM_SERVER;
		struct sim_manners *m = &f->end[f->end[end].manners.echo ? SIM_CLIENT : end].manners;

		if (which <= SERVER_SEQ && m->bytes < FEW) /* so that windows and holes lie across the end */
			m->bytes += FEW;
		f->may_not_connect = true;
		f->bind_port = (uint16_t)(FIRST_PORT + i);
		if (which == CLIENT_TS || which == SERVER_TS)
			f->start_ns = begin_for(f, which, (uint32_t)sim_draw(s, "after_ms", 0, 300));
		else
			f->start_ns = begin_for(f, which, (uint32_t)sim_draw(s, "after_octets", 0, m->bytes));
		if (which == SERVER_SEQ) /* it begins when the SYN comes */
			f->start_ns -= c.delay_ns;
		if (f->start_ns < s->now_ns)
			f->start_ns = s->now_ns;
		f->end[SIM_CLIENT].wake_ns = f->start_ns;
		sim_at(s, f->start_ns, tell_time, h[0]);
	}
	sim_run_all(s);
}
