/* tests/sim/sim_worlds.c: worlds drawn from a seed: good links and bad, polite programs and rude ones, hosts that vanish.
 *
 * What must hold in each is in sim_expect_all_over() and the oracles: every octet once and in order, or an error on both ends; no
 * memory and no port left behind.
 */
#include "sim.h"

#include "stack/tcp.h"

#define HOUR (3600 * SIM_S)

static void draw_listener(struct sim *s, struct sim_host *h)
{
	static const struct {
		const char *name;
		enum berth_option option;
		uint64_t value;
		unsigned once_in;
	} rows[] = {
		{"listener_ecn", BERTH_ECN, 1, 2},
		{"listener_no_ts", BERTH_TIMESTAMPS, 0, 6},
		{"listener_no_sack", BERTH_SACK, 0, 6},
		{"listener_no_wscale", BERTH_WINDOW_SCALING, 0, 6},
		{"cookies_always", BERTH_SYNCOOKIES, 2, 4},
		{"no_cookies", BERTH_SYNCOOKIES, 0, 6},
		{"defer_accept", BERTH_DEFER_ACCEPT_S, 5, 8},
	};
	unsigned n = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (sim_once_in(s, rows[i].name, rows[i].once_in)) {
			h->listener_options[n].option = rows[i].option;
			h->listener_options[n++].value = rows[i].value;
		}
}

/* Device and sizes of a host, before it boots. */
static void draw_device(struct sim *s, struct sim_host *h)
{
	static const uint32_t mtus[] = {1500, 1280, 9000, 65535, 1400, 1281};

	h->mtu_bytes = mtus[sim_draw(s, "mtu", 0, COUNT_OF(mtus) - 1)];
	if (sim_once_in(s, "tx_csum", 2))
		h->iface_flags |= BERTH_IF_TX_CSUM;
	if (sim_once_in(s, "tso", 2))
		h->iface_flags |= BERTH_IF_TX_CSUM | BERTH_IF_TSO4 | BERTH_IF_TSO6;
	if (sim_once_in(s, "tso_ecn", 2))
		h->iface_flags |= BERTH_IF_TSO_ECN;
	draw_listener(s, h);
}

enum berth_link draw_link(struct sim *s)
{
	return sim_once_in(s, "raw_ip", 3) ? BERTH_LINK_IP : BERTH_LINK_ETHERNET;
}

static int draw_family(struct sim *s)
{
	return sim_once_in(s, "ipv6", 2) ? 6 : 4;
}

void draw_hosts(struct sim *s, struct sim_host **h, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		h[i] = sim_host(s);
		draw_device(s, h[i]);
		h[i]->mtu_bytes = h[0]->mtu_bytes; /* one Ethernet, one MTU */
	}
}

struct sim_wire *sim_hub(struct sim *s, struct sim_host **h, unsigned n, const struct fault_config *c)
{
	struct sim_wire *w = sim_wire(s, h, n, c);

	for (unsigned i = 0; i < n; i++) {
		sim_boot(h[i]);
		sim_listen(h[i], SIM_PORT, 16);
	}
	return w;
}

static struct sim_wire *hub(struct sim *s, struct sim_host **h, unsigned n, const struct fault_config *c)
{
	draw_hosts(s, h, n);
	return sim_hub(s, h, n, c);
}

struct sim_flow *draw_flow(struct sim *s, struct sim_host *a, struct sim_host *b, struct sim_wire *w,
			   uint64_t bytes_max)
{
	struct sim_flow *f = sim_flow(s, a, b, w, draw_family(s), SIM_PORT);

	f->options = draw_options(s);
	f->start_ns = s->now_ns + sim_draw(s, "start_us", 0, 100000) * SIM_US;
	f->end[SIM_CLIENT].wake_ns = f->start_ns;
	draw_manners(s, &f->end[SIM_CLIENT].manners, bytes_max);
	draw_manners(s, &f->end[SIM_SERVER].manners, bytes_max);
	switch (sim_draw(s, "kind", 0, 3)) {
	case 1:
		f->end[SIM_SERVER].manners.echo = true;
		/* It writes what the client wrote at its own pace: a megabyte by two octets, ten times a second, is half a day. */
		if (f->end[SIM_SERVER].manners.write_max || f->end[SIM_SERVER].manners.write_pause_ns)
			f->end[SIM_CLIENT].manners.bytes %= 20000;
		break;
	case 2:
		f->end[SIM_CLIENT].manners.waits_for_peer = true;
		break;
	case 3:
		f->end[SIM_SERVER].manners.waits_for_peer = true;
		break;
	default:
		break;
	}
	return f;
}

/* Where every SYN is answered by a cookie, a segment that overtakes the acknowledgment which carries it is answered by a reset, as Linux
 * does: the listener has no memory of a handshake that could forgive it. */
static bool may_overtake(const struct sim_flow *f)
{
	const struct sim_host *h = f->end[SIM_SERVER].host;
	const struct fault_config *c;

	for (size_t i = 0; i < COUNT_OF(h->listener_options); i++)
		if (h->listener_options[i].option == BERTH_SYNCOOKIES && h->listener_options[i].value == 2)
			for (unsigned p = 0; p < f->wire->n_ports; p++) {
				if (f->s->n_plans) /* the link is good for now */
					return true;
				c = fault_get(f->wire->ports[p].to);
				if (c->loss_ppm || c->burst_in_ppm || c->reorder_ppm || c->dup_ppm || c->corrupt_ppm ||
				    c->queue_bytes || c->mtu_bytes)
					return true;
			}
	return false;
}

void sim_flow_may_fail(struct sim_flow *f)
{
	f->may_fail = true;
	f->end[0].manners.keepalive = f->end[1].manners.keepalive = true;
}

static uint64_t latest_start(const struct sim *s)
{
	uint64_t at = s->now_ns;

	for (unsigned i = 0; i < s->n_flows; i++)
		at = s->flows[i]->start_ns > at ? s->flows[i]->start_ns : at;
	return at;
}

void sim_run_all(struct sim *s)
{
	for (unsigned i = 0; i < s->n_flows; i++)
		if (may_overtake(s->flows[i]))
			sim_flow_may_fail(s->flows[i]);
	if (!sim_run_until(s, sim_idle, latest_start(s) + 6 * HOUR + s->patience_ns)) {
		for (unsigned i = 0; i < s->n_flows; i++)
			for (int k = 0; k < 2; k++) {
				struct sim_end *e = &s->flows[i]->end[k];

				if (!e->is_done)
					sim_fail(s, "stall", "flow %u %s: %llu sent, %llu received, poll %x", i,
						 k ? "server" : "client", (unsigned long long)e->sent,
						 (unsigned long long)e->received,
						 e->is_open ? (unsigned)berth_sock_poll(e->host->st, e->sock) : 0);
			}
	}
	sim_expect_all_over(s);
}

SIM_TEST(two_hosts_and_a_good_link)
{
	struct fault_config c = {.link = draw_link(s)};
	struct sim_host *h[2];
	struct sim_wire *w;

	c.delay_ns = sim_draw(s, "delay_us", 0, 100000) * SIM_US;
	c.wire = !sim_once_in(s, "super_frames_pass", 2);
	w = hub(s, h, 2, &c);
	draw_flow(s, h[0], h[1], w, 1 << 20);
	sim_run_all(s);
}

SIM_TEST(transfer_survives_a_bad_network)
{
	struct fault_config c = draw_faults(s, draw_link(s));
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 4);
	struct sim_host *h[2];
	struct sim_wire *w;

	w = hub(s, h, 2, &c);
	if (sim_once_in(s, "one_way_is_good", 3)) {
		struct fault_config good = {.delay_ns = c.delay_ns, .wire = c.wire};

		sim_wire_set(s, w, 0, &good);
	}
	for (unsigned i = 0; i < n_flows; i++)
		draw_flow(s, h[0], h[1], w, 200000)->may_not_connect = true;
	sim_run_all(s);
}

SIM_TEST(many_programs_on_a_hub)
{
	struct fault_config c = draw_faults(s, BERTH_LINK_ETHERNET);
	unsigned n_hosts = (unsigned)sim_draw(s, "n_hosts", 2, 5), n_flows = (unsigned)sim_draw(s, "n_flows", 1, 12);
	struct sim_host *h[5];
	struct sim_wire *w;

	w = hub(s, h, n_hosts, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		unsigned from = (unsigned)sim_draw(s, "from", 0, n_hosts - 1);
		unsigned to = (from + (unsigned)sim_draw(s, "to", 1, n_hosts - 1)) % n_hosts;

		draw_flow(s, h[from], h[to], w, 50000)->may_not_connect = true;
	}
	sim_run_all(s);
}

/* Resets, readers that never read, ends that close at once. Errors are fine, silence is not: keepalive finds what a lost reset left. */
SIM_TEST(rude_programs)
{
	struct fault_config c = draw_faults(s, draw_link(s));
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 6);
	struct sim_host *h[2];
	struct sim_wire *w;

	w = hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = draw_flow(s, h[0], h[1], w, 60000);
		struct sim_manners *m = &f->end[sim_draw(s, "who", 0, 1)].manners;

		sim_flow_may_fail(f);
		/* who does not read would wait for ever, or for an echo that has no room */
		m->waits_for_peer = f->end[0].manners.echo = f->end[1].manners.echo = false;
		switch (sim_draw(s, "how", 0, 2)) {
		case 0:
			m->abort_at = sim_draw(s, "abort_at", 0, m->bytes);
			break;
		case 1:
			m->never_reads = true;
			break;
		default:
			m->bytes = 0;
			m->never_reads = true;
		}
	}
	sim_run_all(s);
}

#define N_SILENT 16u

/* Dialogues with long silences between: all are open at the same time, and both hosts have fewer working blocks than that. */
SIM_TEST(dialogues_with_long_silences)
{
	struct fault_config c = {.link = draw_link(s)};
	struct sim_host *h[2];
	uint32_t n_work = (uint32_t)sim_draw(s, "n_work", 3, 8);
	struct sim_wire *w;

	for (unsigned i = 0; i < 2; i++)
		h[i] = sim_host(s);
	c.delay_ns = sim_draw(s, "delay_us", 0, 50000) * SIM_US;
	if (sim_once_in(s, "is_lossy", 2))
		c.loss_ppm = (uint32_t)sim_draw(s, "loss_ppm", 0, 50000);
	w = sim_wire(s, h, 2, &c);
	for (unsigned i = 0; i < 2; i++) {
		h[i]->config.n_work = n_work;
		sim_boot(h[i]);
		sim_listen(h[i], SIM_PORT, 16);
	}
	for (unsigned i = 0; i < N_SILENT; i++) {
		struct sim_flow *f = sim_flow(s, h[0], h[1], w, draw_family(s), SIM_PORT);
		struct sim_manners *m = &f->end[SIM_CLIENT].manners;

		f->options = draw_options(s);
		f->may_not_connect = true; /* there may be no block for it */
		f->start_ns = s->now_ns + i * sim_draw(s, "apart_ms", 300, 900) * SIM_MS;
		f->end[SIM_CLIENT].wake_ns = f->start_ns;
		m->bytes = sim_draw(s, "bytes", 2000, 8000);
		m->write_max = (uint32_t)sim_draw(s, "write_max", 400, 2000);
		m->write_pause_ns = sim_draw(s, "pause_ms", 5000, 15000) * SIM_MS;
		m->keepalive = true;
		f->end[SIM_SERVER].manners.echo = true;
		f->end[SIM_SERVER].manners.keepalive = true;
	}
	sim_run_for(s, 18 * SIM_S);
	for (unsigned i = 0; i < 2; i++) {
		sim_expect_ge(s, "more connections are open than have something under way", h[i]->st->conns.n_used,
			      n_work + 2);
		sim_expect_le(s, "blocks", h[i]->st->tcp->work.n_used, n_work);
	}
	sim_run_all(s);
}

static void restart(struct sim *s, void *ctx)
{
	struct sim_host *h = ctx;

	(void)s;
	sim_kill(h);
	sim_boot(h);
}

/* A host loses its memory and comes back with the same address: half-open connections end with errors, new ones work. */
SIM_TEST(hosts_that_restart)
{
	struct fault_config c = draw_faults(s, draw_link(s));
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 6);
	struct sim_host *h[2];
	struct sim_wire *w;

	w = hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = draw_flow(s, h[0], h[1], w, 60000);

		sim_flow_may_fail(f);
		f->start_ns += sim_draw(s, "later_ms", 0, 4000) * SIM_MS;
		f->end[SIM_CLIENT].wake_ns = f->start_ns;
	}
	for (unsigned i = 0, n = (unsigned)sim_draw(s, "n_restarts", 1, 3); i < n; i++)
		sim_at(s, s->now_ns + sim_draw(s, "restart_ms", 0, 4000) * SIM_MS, restart,
		       h[sim_draw(s, "victim", 0, 1)]);
	sim_run_all(s);
}

/* More connections at a time than there is room for in the queues. */
SIM_TEST(storm_of_connections)
{
	struct fault_config c = {.link = draw_link(s)};
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 200);
	struct sim_host *h[2];
	struct sim_wire *w;

	c.delay_ns = sim_draw(s, "delay_us", 0, 20000) * SIM_US;
	if (sim_once_in(s, "has_loss", 2))
		c.loss_ppm = (uint32_t)sim_draw(s, "loss_ppm", 0, 20000);
	w = hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = sim_flow(s, h[0], h[1], w, 4 + 2 * (int)(i % 2), SIM_PORT);

		sim_flow_may_fail(f); /* -ENOBUFS and refusals are what such a storm is about */
		f->end[0].manners.bytes = i * 7 % 3000;
		f->end[1].manners.bytes = i * 5 % 3000;
	}
	sim_run_all(s);
}

static void narrow(struct sim *s, void *ctx)
{
	struct sim_wire *w = ctx;
	struct fault_config c = *fault_get(w->ports[0].to);

	c.mtu_bytes = 1280 + (uint32_t)sim_draw(s, "narrow_mtu", 0, 200);
	c.mtu_silent = sim_once_in(s, "black_hole", 3);
	sim_note(s, "the path takes %u octets now%s", c.mtu_bytes, c.mtu_silent ? ", silently" : "");
	sim_wire_set_all(s, w, &c);
}

/* The path's MTU falls in the middle, with or without a router that says so. */
SIM_TEST(the_path_gets_narrow)
{
	struct fault_config c = {.link = draw_link(s), .wire = true};
	struct sim_host *h[2];
	struct sim_wire *w;

	c.delay_ns = sim_draw(s, "delay_us", 0, 30000) * SIM_US;
	w = hub(s, h, 2, &c);
	draw_flow(s, h[0], h[1], w, 300000);
	sim_at(s, s->now_ns + sim_draw(s, "narrow_us", 0, 500000) * SIM_US, narrow, w);
	sim_run_all(s);
}
