/* tests/sim/sim_handover.c: programs that replace themselves, fast opens, and stacks with less of everything than is asked of them. */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/checksum.h"

/* --- save and restore --- */

#define HELD_MAX 64
struct held {
	struct sim_end *e;
	uint8_t *data;
	uint32_t len;
};
struct handover {
	struct sim_host *h;
	struct held v[HELD_MAX];
	unsigned n;
	uint64_t away_ns;
	bool same_stack, listeners_last;
	unsigned n_forgeries;
	struct rng rng;
};

/* Octets that are almost a connection: refused, or a connection that can be saved again; the stack is sound in both cases. */
static void try_forgeries(struct sim *s, struct handover *o, const struct held *k)
{
	uint8_t *data = malloc(k->len + 4), *again = malloc(k->len + 4);

	ASSERT(data && again);
	for (unsigned i = 0; i < o->n_forgeries; i++) {
		uint32_t len = k->len, at = (uint32_t)rng_range(&o->rng, 0, k->len < 400 ? k->len - 1 : 400);
		berth_sock sock;
		int r;

		memcpy(data, k->data, k->len);
		memset(data + k->len, 0, 4);
		switch (rng_range(&o->rng, 0, 3)) {
		case 0:
			len = at;
			break;
		case 1:
			len += (uint32_t)rng_range(&o->rng, 1, 4);
			break;
		case 2:
			data[at] = (uint8_t)rng_u64(&o->rng);
			data[at / 2] ^= (uint8_t)rng_range(&o->rng, 0, 255);
			break;
		default:
			data[at] ^= (uint8_t)(1u << rng_range(&o->rng, 0, 7));
		}
		r = berth_sock_restore(o->h->st, data, len, 0, &sock);
		if (r == 0 && len != k->len)
			sim_fail(s, "forgeries are refused", "%u octets of %u", len, k->len);
		if (r == 0 && berth_sock_save(o->h->st, sock, again, k->len) != k->len)
			sim_fail(s, "forgeries are refused", "what was restored cannot be saved");
		if (!berth_stack_check(o->h->st))
			sim_fail(s, "berth_stack_check", "after a forged connection");
	}
	free(data);
	free(again);
}

static void come_back(struct sim *s, void *ctx)
{
	struct handover *o = ctx;
	unsigned n_listeners = o->h->n_listeners;

	if (!o->same_stack) {
		if (o->listeners_last)
			o->h->n_listeners = 0;
		sim_boot(o->h);
	}
	for (unsigned i = 0; i < o->n; i++) {
		try_forgeries(s, o, &o->v[i]);
		sim_end_restore(o->v[i].e, o->v[i].data, o->v[i].len);
		free(o->v[i].data);
	}
	o->n = 0;
	while (o->h->n_listeners < n_listeners)
		sim_listen(o->h, SIM_PORT, 16);
}

/* Handshakes, and what was closed and is still on its way, are lost with the stack; the peer of those may notice. */
static void go_away(struct sim *s, void *ctx)
{
	struct handover *o = ctx;

	if (!o->h->st) /* away already */
		return;
	for (unsigned i = 0; i < s->n_flows; i++)
		for (int k = 0; k < 2; k++) {
			struct sim_end *e = &s->flows[i]->end[k], *other = &s->flows[i]->end[!k];
			struct held *v = &o->v[o->n];

			if (e->host != o->h)
				continue;
			if (!o->same_stack && e->is_done && !other->is_done)
				s->flows[i]->may_fail = true;
			if (!e->is_open || !e->is_connected || o->n == HELD_MAX)
				continue;
			v->data = sim_end_save(e, &v->len);
			if (v->data) {
				v->e = e;
				o->n++;
			}
		}
	if (o->same_stack) {
		come_back(s, o);
		return;
	}
	sim_kill(o->h);
	sim_at(s, s->now_ns + o->away_ns, come_back, o);
}

/* Connections move to another stack with the same addresses, or to another block of the same stack, in the middle of traffic. The peer does not
 * notice. */
SIM_TEST(programs_that_replace_themselves)
{
	struct fault_config c = draw_faults(s, draw_link(s));
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 6);
	struct sim_host *h[2];
	struct sim_wire *w;

	draw_hosts(s, h, 2);
	w = sim_hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = draw_flow(s, h[0], h[1], w, 200000);

		f->options &= ~(
			uint32_t)SIM_OPT_ATTACH; /* the restored one has the stack's rings, and those may be smaller */
		f->may_not_connect = true;
		f->end[0].manners.keepalive = f->end[1].manners.keepalive = true;
	}
	for (unsigned i = 0, n = (unsigned)sim_draw(s, "n_handovers", 1, 4); i < n; i++) {
		struct handover *o = calloc(1, sizeof(*o));

		ASSERT(o);
		rng_init_stream(&o->rng, s->seed, "forgeries");
		o->h = h[sim_draw(s, "who", 0, 1)];
		o->same_stack = !sim_once_in(s, "another_stack", 2);
		o->away_ns = sim_draw(s, "away_ms", 0, 3000) * SIM_MS;
		o->listeners_last = sim_once_in(s, "listeners_last", 2);
		o->n_forgeries = (unsigned)sim_draw(s, "n_forgeries", 0, 8);
		sim_at(s, s->now_ns + sim_draw(s, "handover_ms", 0, 4000) * SIM_MS, go_away, o);
	}
	sim_run_all(s);
}

/* --- fast open (RFC 7413) --- */

/* Takes the option out of SYNs and SYN-ACKs: nothing but no-operations is left of it. */
static bool strip_fast_open(struct sim *s, const struct sim_wire *w, uint8_t *data, uint32_t len)
{
	struct link_view v;
	uint8_t *l4, *o, *end;

	(void)s;
	if (link_view(data, len, w->link, &v) < 0 || !v.has_tcp || !(v.tcp.flags & WIRE_TCP_SYN) ||
	    !(v.tcp.options.has & WIRE_TCP_HAS_COOKIE))
		return false;
	l4 = data + v.l4_at;
	end = data + (v.tcp.payload.data - data);
	for (o = l4 + WIRE_TCP_LEN; o < end && *o != 0; o += *o == 1 ? 1 : o[1])
		if (*o == 34) {
			uint8_t n = o[1];

			memset(o, 1, n);
			break;
		}
	wire_checksum_fill(&v.src, &v.dst, WIRE_PROTO_TCP, l4, (size_t)(end - l4),
			   wire_sum_at(0, (size_t)(end - l4), end, v.tcp.payload.len_bytes), v.tcp.payload.len_bytes);
	return true;
}

static void forget_all(struct sim *s, void *ctx)
{
	struct sim_host *h = ctx;

	(void)s;
	sim_kill(h);
	sim_boot(h);
}

/* Clients that come again and again: with cookies, with old ones after days, through boxes that do not like them. */
SIM_TEST(fast_opens)
{
	struct fault_config c = draw_faults(s, draw_link(s)), strict;
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 2, 10);
	uint64_t apart_ns = sim_draw(s, "apart_ms", 0, 1000) * SIM_MS, box;
	bool restarts = sim_once_in(s, "server_restarts", 4);
	struct sim_host *h[2];
	struct sim_wire *w;

	if (sim_once_in(s, "days", 4))
		apart_ns += 86400 * SIM_S / 2;
	box = sim_draw(s, "box", 0, 5);
	draw_hosts(s, h, 2);
	for (int i = 0; i < 2; i++) {
		if (box == 1)
			h[i]->iface_flags = 0;
		for (size_t k = 0; k < COUNT_OF(h[i]->listener_options); k++)
			if (!h[i]->listener_options[k].option) {
				h[i]->listener_options[k].option = BERTH_FASTOPEN;
				h[i]->listener_options[k].value = sim_draw(s, "fastopen_max", 1, 8);
				break;
			}
	}
	w = sim_hub(s, h, 2, &c);
	if (box == 1)
		s->middlebox = strip_fast_open;
	if (box == 2) { /* SYNs with data never arrive */
		strict = c;
		strict.rules[0] = (struct fault_rule){.flags_mask = WIRE_TCP_SYN | WIRE_TCP_ACK,
						      .flags = WIRE_TCP_SYN,
						      .with_data = true,
						      .first = 1,
						      .count = UINT32_MAX,
						      .action = FAULT_DROP};
		sim_wire_set(s, w, 1, &strict);
	}
	for (unsigned i = 0; i < n_flows; i++) {
		struct sim_flow *f = draw_flow(s, h[0], h[1], w, 20000);

		f->options |= SIM_OPT_FASTOPEN;
		f->may_not_connect = true;
		f->start_ns += i * apart_ns;
		f->end[SIM_CLIENT].wake_ns = f->start_ns;
		if (restarts)
			sim_flow_may_fail(f);
	}
	if (restarts)
		sim_at(s, s->now_ns + n_flows / 2 * apart_ns + sim_draw(s, "restart_ms", 0, 1000) * SIM_MS, forget_all,
		       h[1]);
	sim_run_all(s);
}

/* --- more than there is --- */

/* Fewer rings, working blocks, bursts, gaps, handshakes and packets than connections want. Who gets nothing is told so; who got something gets it all; and
 * when it is over there is room again. */
SIM_TEST(more_than_there_is)
{
	struct fault_config c = {.link = draw_link(s)};
	unsigned n_flows = (unsigned)sim_draw(s, "n_flows", 1, 50);
	struct sim_flow *last;
	struct sim_host *h[2];
	struct sim_wire *w;

	c.delay_ns = sim_draw(s, "delay_us", 0, 30000) * SIM_US;
	if (sim_once_in(s, "has_loss", 2))
		c.loss_ppm = (uint32_t)sim_draw(s, "loss_ppm", 0, 50000);
	if (sim_once_in(s, "has_reorder", 2)) {
		c.reorder_ppm = (uint32_t)sim_draw(s, "reorder_ppm", 0, 100000);
		c.reorder_ns = sim_draw(s, "reorder_us", 1, 20000) * SIM_US;
	}
	draw_hosts(s, h, 2);
	for (int i = 0; i < 2; i++) {
		struct berth_stack_config *k = &h[i]->config;

		k->n_conns = (uint32_t)sim_draw(s, "n_conns", 0, 56);
		k->n_conns = 64 - k->n_conns;
		k->n_rings = (uint32_t)sim_draw(s, "n_rings", 0, k->n_conns - 2);
		k->n_rings = k->n_conns - k->n_rings;
		k->n_bursts = (uint32_t)sim_draw(s, "n_bursts", 0, 60);
		k->n_bursts = 64 - k->n_bursts;
		k->n_work = (uint32_t)sim_draw(s, "n_work", 0, 60);
		k->n_work = 64 - k->n_work;
		if (k->n_work > k->n_conns)
			k->n_work = k->n_conns;
		k->n_gaps = (uint32_t)sim_draw(s, "n_gaps", 1, 3);
		k->n_syn = (uint32_t)sim_draw(s, "n_syn", 1, 8);
		k->n_time_wait = (uint32_t)sim_draw(s, "n_time_wait", 1, 4);
		k->n_packets = (uint32_t)sim_draw(s, "n_packets", 8, 32);
	}
	w = sim_hub(s, h, 2, &c);
	for (unsigned i = 0; i < n_flows; i++)
		sim_flow_may_fail(draw_flow(s, h[i % 2], h[(i + 1) % 2], w, 30000));
	last = draw_flow(s, h[0], h[1], w, 30000);
	last->may_not_connect = true; /* a bad link may still lose seven SYNs */
	last->start_ns = s->now_ns + 4 * 3600 * SIM_S;
	last->end[SIM_CLIENT].wake_ns = last->start_ns;
	sim_run_all(s);
	if (c.loss_ppm == 0 && !last->end[SIM_CLIENT].is_connected && !last->may_fail)
		sim_fail(s, "there is room again", "the last flow did not connect");
}
