/* tests/sim/sim_again.c: four-tuples that are used again, and what is left on its way of those who had them before.
 *
 * The client has one to three ports, so each connection has an earlier one's names: TIME-WAIT at one end or the other, SYNs that meet it, segments that
 * were held back for seconds and arrive in the next connection. Every octet is a function of its flow: one that comes from an earlier flow is seen.
 */
#include "sim.h"

#define FIRST_PORT 40000

SIM_TEST(four_tuples_used_again)
{
	struct fault_config c = draw_faults(s, draw_link(s));
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 2, 12);
	struct berth_port_settings few = {FIRST_PORT, 0, 0};
	uint64_t start_ns = 0;
	struct sim_host *h[2];
	struct sim_wire *w;

	c.rate_bps = 0; /* a queue of seconds would take hours */
	if (sim_once_in(s, "holds_back", 2)) {
		c.reorder_ppm = (uint32_t)sim_draw(s, "held_ppm", 1, 50000);
		c.reorder_ns = sim_draw(s, "held_ms", 1, 8000) * SIM_MS;
	}
	draw_hosts(s, h, 2);
	/* With cookies an old acknowledgment is a connection, as on Linux. */
	for (size_t i = 0; i < COUNT_OF(h[1]->listener_options); i++)
		if (h[1]->listener_options[i].option == BERTH_SYNCOOKIES)
			h[1]->listener_options[i].value = 0;
	w = sim_hub(s, h, 2, &c);
	few.ephemeral_last = (uint16_t)(FIRST_PORT + sim_draw(s, "n_ports_less_1", 0, 2));
	ASSERT(berth_stack_set_ports(h[0]->st, &few) == 0);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = draw_flow(s, h[0], h[1], w, 20000);

		f->family = i ? s->flows[0]->family : f->family;
		f->may_not_connect = true;
		f->waits_for_port = true;
		for (int k = 0; k < 2; k++)
			f->end[k].manners.read_after_ns %= 2 * SIM_S;
		start_ns += sim_draw(s, "apart_ms", 0, 3000) * SIM_MS;
		f->start_ns += start_ns;
		f->end[SIM_CLIENT].wake_ns = f->start_ns;
	}
	sim_run_all(s);
}
