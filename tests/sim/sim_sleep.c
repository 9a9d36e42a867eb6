/* tests/sim/sim_sleep.c: programs that say something once in an hour, or in a month.
 *
 * Clocks of 32 bits go round meanwhile: microseconds in 72 minutes, milliseconds, and with them timestamps, in 50 days; in half of that an
 * old time looks like one to come. So silences are drawn from around those, and each is followed by a burst long enough to lose some of.
 */
#include "sim.h"

#define MINUTE (60 * SIM_S)
#define DAY (24 * 60 * MINUTE)
#define WORDS_MAX 6u

static uint64_t draw_silence(struct sim *s)
{
	switch (sim_draw(s, "silence", 0, 5)) {
	case 0:
		return sim_draw(s, "seconds", 1, 100) * SIM_S;
	case 1: /* half a round of microseconds: 35.8 minutes */
		return sim_draw(s, "half_round_s", 2100, 2200) * SIM_S;
	case 2:
		return sim_draw(s, "round_s", 4200, 4400) * SIM_S;
	case 3: /* two hours, when keepalive looks, and a day */
		return sim_draw(s, "minutes", 20, 1500) * MINUTE;
	case 4: /* PAWS forgets in 24 days, timestamps change their sign in 24.9 */
		return 24 * DAY + sim_draw(s, "beyond_24_days_min", 0, 1500) * MINUTE;
	default:
		return 49 * DAY + sim_draw(s, "beyond_49_days_min", 0, 1500) * MINUTE;
	}
}

static void draw_sleeper(struct sim *s, struct sim_manners *m)
{
	unsigned n = (unsigned)sim_draw(s, "n_words", 1, WORDS_MAX);

	m->write_max = (uint32_t)sim_draw(s, "word_octets", 1, 40000);
	m->bytes = (uint64_t)n * m->write_max;
	m->write_pause_ns = draw_silence(s);
	m->whole_words = true;
	m->keepalive = sim_once_in(s, "keepalive", 3);
	m->keepalive_s =
		(uint32_t)sim_draw(s, "keepalive_s", 7200, 32767); /* also where sim_flow_may_fail() asks for it */
	m->zero_copy = sim_once_in(s, "zero_copy", 2);
}

/* Nothing is lost over a silence, and nothing is sent again because of one. */
SIM_TEST(programs_that_sleep)
{
	struct fault_config c = {.link = draw_link(s)};
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 4);
	uint64_t n_again = 0, n_probes = 0;
	struct sim_host *h[2];
	struct sim_wire *w;

	c.delay_ns = sim_draw(s, "delay_us", 0, 50000) * SIM_US;
	if (sim_once_in(s, "has_loss", 2))
		c.loss_ppm = (uint32_t)sim_draw(s, "loss_ppm", 0, 40000);
	draw_hosts(s, h, 2);
	w = sim_hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = sim_flow(s, h[0], h[1], w, sim_once_in(s, "ipv6", 2) ? 6 : 4, SIM_PORT);

		f->options = draw_options(s);
		f->may_not_connect = c.loss_ppm > 0;
		draw_sleeper(s, &f->end[SIM_CLIENT].manners);
		draw_sleeper(s, &f->end[SIM_SERVER].manners);
		if (sim_once_in(s, "echo", 2)) {
			f->end[SIM_SERVER].manners.echo = true;
			f->end[SIM_SERVER].manners.write_max = 0;
			f->end[SIM_SERVER].manners.write_pause_ns = 0;
		} else {
			f->end[SIM_CLIENT].manners.waits_for_peer = sim_once_in(s, "waits_for_peer", 3);
		}
	}
	s->patience_ns = 2 * (WORDS_MAX + 1) * 51 * DAY;
	sim_run_all(s);
	for (unsigned i = 0; i < 2; i++) {
		n_again += sim_counters(h[i]).tcp_retrans;
		n_probes += sim_counters(h[i]).tcp_tlp;
	}
	/* A probe after two round trips finds an acknowledgment that is put off for 40 ms, and what left beyond a window is refused. */
	if (!c.loss_ppm && !s->windows_shrink)
		sim_expect_le(s, "nothing is sent again where nothing is lost", n_again, n_probes);
}

#define SEGMENTS 30u /* of a word, with timestamps */
#define MSS 1448u

/* Of each word after a silence one segment is lost, not the last ones: that one is sent again, and nothing else. */
SIM_TEST(a_loss_after_a_silence)
{
	struct fault_config c = {.link = BERTH_LINK_IP, .wire = true};
	unsigned n_words = (unsigned)sim_draw(s, "n_words", 2, WORDS_MAX);
	struct sim_host *h[2];
	struct sim_flow *f;
	struct sim_wire *w;

	c.delay_ns = sim_draw(s, "delay_us", 1000, 50000) * SIM_US;
	for (int i = 0; i < 2; i++) {
		h[i] = sim_host(s);
		h[i]->late_ns = 0;
		h[i]->config.tx_ring_bytes = 256 << 10;
		h[i]->config.rx_ring_bytes = 256 << 10;
	}
	w = sim_wire(s, h, 2, &c);
	for (unsigned i = 1; i < n_words; i++)
		c.rules[i - 1] = (struct fault_rule){
			.with_data = true,
			.only_new = true,
			.dst_port = SIM_PORT,
			.first = i * SEGMENTS + (uint32_t)sim_draw(s, "which", 1, SEGMENTS - 5),
			.count = 1,
			.action = FAULT_DROP,
		};
	sim_wire_set(s, w, 1, &c);
	for (int i = 0; i < 2; i++) {
		sim_boot(h[i]);
		sim_listen(h[i], SIM_PORT, 4);
	}
	f = sim_flow(s, h[0], h[1], w, 4, SIM_PORT);
	f->options = sim_once_in(s, "cubic", 2) ? SIM_OPT_CUBIC : 0;
	f->end[SIM_CLIENT].manners.write_max = SEGMENTS * MSS;
	f->end[SIM_CLIENT].manners.whole_words = true;
	f->end[SIM_CLIENT].manners.bytes = (uint64_t)n_words * SEGMENTS * MSS;
	f->end[SIM_CLIENT].manners.write_pause_ns = draw_silence(s);
	s->patience_ns = (WORDS_MAX + 1) * 51 * DAY;
	sim_run_all(s);
	sim_expect_u64(s, "what was lost was sent again", sim_counters(h[0]).tcp_retrans, n_words - 1);
	sim_expect_u64(s, "copies that nobody needed", sim_counters(h[0]).tcp_dsack_in, 0);
	sim_expect_u64(s, "timeouts", sim_counters(h[0]).tcp_rto, 0);
}
