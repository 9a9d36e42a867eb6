/* tests/sim/host.c: a host is a stack in memory of its own, its interfaces on wires, and the loop of a program around it.
 *
 * The loop is that of include/berth/stack.h: tick, events, output, until nothing comes of it. How many frames and events a call
 * takes is drawn, so that every "is there more?" is met. What comes in may lie in several parts.
 */
#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/stack.h"
#include "stack/tcp.h"

#define ROUNDS_MAX 20000 /* of one host's loop at one time */

struct sim_host *sim_host(struct sim *s)
{
	struct sim_host *h = calloc(1, sizeof(*h));

	ASSERT(h && s->n_hosts < SIM_HOSTS_MAX);
	h->s = s;
	h->index = s->n_hosts;
	h->octet = (uint8_t)(s->n_hosts + 1);
	s->hosts[s->n_hosts++] = h;
	h->config = (struct berth_stack_config){.struct_size = sizeof(h->config), .n_conns = 64, .n_udp = 8};
	h->config.n_syn = 32;
	h->config.n_time_wait = 256;
	h->config.rx_ring_bytes = 4096u << sim_draw(s, "rx_ring", 0, 5);
	h->config.tx_ring_bytes = 4096u << sim_draw(s, "tx_ring", 0, 5);
	h->mtu_bytes = 1500;
	h->batch = (unsigned)sim_draw(s, "batch", 0, 31);
	h->batch = 32 - h->batch;
	h->split_rx = sim_once_in(s, "split_rx", 2);
	if (sim_once_in(s, "is_scarce", 3)) {
		h->config.n_bursts = (uint32_t)sim_draw(s, "n_bursts", 0, 100);
		h->config.n_bursts =
			164 - h->config.n_bursts; /* fewer than one for each connection makes it wait, not fail */
		h->config.n_gaps = (uint32_t)sim_draw(s, "n_gaps", 1, 4);
		h->config.n_packets = (uint32_t)sim_draw(s, "n_packets", 16, 64);
		h->config.n_time_wait = (uint32_t)sim_draw(s, "n_time_wait", 1, 8);
		h->config.n_neighs = (uint32_t)sim_draw(s, "n_neighs", 8, 16);
	}
	if (sim_once_in(s, "is_pinned", 4)) {
		h->config.flags |= BERTH_STACK_PIN;
		h->pin_ns = sim_draw(s, "pin_us", 0, 2000) * SIM_US;
	}
	h->late_ns = sim_once_in(s, "is_late", 4) ? sim_draw(s, "late_us", 1, 3000) * SIM_US : 0;
	return h;
}

/* Cannot fail: what we ask of the stack makes sense. */
static void must(struct sim_host *h, const char *what, int r)
{
	if (r < 0)
		sim_fail(h->s, "setup", "host %u: %s: %s", h->index, what, strerror(-r));
}

static void add_iface(struct sim_host *h, unsigned i)
{
	struct sim_wire *w = h->ifaces[i].wire;
	struct berth_iface f = {.struct_size = sizeof(f), .link = (uint8_t)w->link, .mtu_bytes = h->mtu_bytes};
	struct berth_addr a;
	uint16_t number;

	f.flags = h->iface_flags | (h->is_auto ? BERTH_IF_ROUTER_ADV : BERTH_IF_NO_DAD);
	f.temp_valid_s = h->temp_valid_s;
	f.temp_preferred_s = h->temp_preferred_s;
	memcpy(f.mac, (uint8_t[6]){2, 0, 0, 0, (uint8_t)w->index, h->octet}, sizeof(f.mac));
	snprintf(f.name, sizeof(f.name), "sim%u", i);
	must(h, "berth_iface_add", berth_iface_add(h->st, &f, &number));
	w->ports[h->ifaces[i].port].iface = number;
	if (h->is_auto)
		return;
	a = sim_addr(h, w, 4, 0);
	must(h, "berth_addr_add", berth_addr_add(h->st, number, &a, 24));
	a = sim_addr(h, w, 6, 0);
	must(h, "berth_addr_add", berth_addr_add(h->st, number, &a, 64));
}

static void listen_on(struct sim_host *h, unsigned i, unsigned backlog)
{
	struct berth_addr any = {.port = h->listen_ports[i]};

	/* the listener's word has no flow in it */
	must(h, "open", berth_sock_open(h->st, BERTH_TCP, BERTH_IPV6, UINT64_MAX - i, &h->listeners[i]));
	must(h, "reuse", berth_sock_set(h->st, h->listeners[i], BERTH_REUSEADDR, 1));
	must(h, "bind", berth_sock_bind(h->st, h->listeners[i], &any));
	for (size_t k = 0; k < COUNT_OF(h->listener_options) && h->listener_options[k].option; k++)
		must(h, "option",
		     berth_sock_set(h->st, h->listeners[i], h->listener_options[k].option,
				    h->listener_options[k].value));
	must(h, "listen", berth_sock_listen(h->st, h->listeners[i], backlog));
}

void sim_boot(struct sim_host *h)
{
	struct rng r;
	char name[32];

	ASSERT(!h->st);
	snprintf(name, sizeof(name), "secret.%u.%u", h->index, h->n_boots++);
	rng_init_stream(&r, h->s->seed, name);
	for (size_t i = 0; i < sizeof(h->config.secret); i++)
		h->config.secret[i] = (uint8_t)rng_u64(&r);
	h->len_bytes = berth_stack_size(&h->config);
	if (!h->len_bytes)
		sim_fail(h->s, "setup", "host %u: berth_stack_size() takes the configuration for nonsense", h->index);
	h->memory = aligned_alloc(64, (h->len_bytes + 63) & ~(size_t)63);
	ASSERT(h->memory);
	memset(h->memory, 0, h->len_bytes);
	must(h, "berth_stack_init", berth_stack_init(&h->st, h->memory, h->len_bytes, &h->config, h->s->now_ns));
	for (unsigned i = 0; i < h->n_ifaces; i++)
		add_iface(h, i);
	for (unsigned i = 0; i < h->n_listeners; i++)
		listen_on(h, i, 16);
	sim_note(h->s, "host %u is up, boot %u, %zu octets", h->index, h->n_boots, h->len_bytes);
}

/* --- an asynchronous writer: what it has not written may not change, whatever happens to the connection meanwhile --- */

struct sim_pinned {
	struct sim_pinned *next;
	uint64_t at_ns, sum;
	struct berth_tx tx;
};

static void pin(struct sim_host *h, const struct berth_tx *tx)
{
	struct sim_pinned *p = calloc(1, sizeof(*p));

	ASSERT(p);
	p->at_ns = h->s->now_ns + h->pin_ns;
	p->sum = wire_sum_of(tx);
	p->tx = *tx;
	if (h->pinned_first)
		h->pinned_last->next = p;
	else
		h->pinned_first = p;
	h->pinned_last = p;
}

void host_write_pinned(struct sim_host *h)
{
	while (h->st && h->pinned_first && h->pinned_first->at_ns <= h->s->now_ns) {
		struct sim_pinned *p = h->pinned_first;

		h->pinned_first = p->next;
		if (wire_sum_of(&p->tx) != p->sum)
			sim_fail(h->s, "a pinned frame stays as it is", "host %u: %u octets", h->index, p->tx.len);
		wire_put(h->s, h, &p->tx);
		if (p->tx.pin)
			berth_stack_unpin(h->st, p->tx.pin);
		free(p);
	}
}

static void forget_pinned(struct sim_host *h)
{
	while (h->pinned_first) {
		struct sim_pinned *p = h->pinned_first;

		h->pinned_first = p->next;
		free(p);
	}
}

void sim_kill(struct sim_host *h)
{
	ASSERT(h->st);
	sim_note(h->s, "host %u dies", h->index);
	app_host_died(h);
	forget_pinned(h);
	free(h->memory);
	h->memory = NULL;
	h->st = NULL;
	h->n_closing = 0;
}

void sim_listen(struct sim_host *h, uint16_t port, unsigned backlog)
{
	ASSERT(h->n_listeners < COUNT_OF(h->listeners));
	h->listen_ports[h->n_listeners] = port;
	h->n_listeners++;
	if (h->st)
		listen_on(h, h->n_listeners - 1, backlog);
}

uint64_t host_deadline(const struct sim_host *h)
{
	uint64_t at;

	if (!h->st)
		return BERTH_NEVER;
	at = berth_stack_deadline(h->st);
	if (at != BERTH_NEVER && at > h->s->now_ns)
		at += h->late_ns;
	if (h->pinned_first && h->pinned_first->at_ns < at)
		at = h->pinned_first->at_ns;
	return at;
}

/* Where the headers end, at the latest: a device that splits gives at least those in one piece. */
static uint32_t head_of(const struct sim_host *h, enum berth_link link, const struct berth_rx *rx)
{
	struct link_view v;

	if (!h->split_rx || link_view(rx->head, rx->head_len, link, &v) < 0 || v.family == 0)
		return rx->head_len;
	if (v.has_tcp)
		return (uint32_t)(v.tcp.payload.data - rx->head);
	return v.l4_at + 8u < rx->head_len ? v.l4_at + 8u : rx->head_len;
}

void host_input(struct sim_host *h, uint16_t iface)
{
	struct berth_part parts[32][3];
	struct berth_rx rx[32];
	struct sim_wire *w = NULL;
	struct fault *f = NULL;
	unsigned n;

	for (unsigned i = 0; i < h->n_ifaces; i++)
		if (h->ifaces[i].wire->ports[h->ifaces[i].port].iface == iface) {
			w = h->ifaces[i].wire;
			f = w->ports[h->ifaces[i].port].to;
		}
	ASSERT(w);
	while ((n = fault_take(f, iface, rx, h->batch, h->s->now_ns)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			uint32_t head = head_of(h, w->link, &rx[i]), rest = rx[i].head_len - head;

			observe_in(h->s, h, w->link, &rx[i]);
			h->n_frames_in++;
			if (rest < 3)
				continue;
			parts[i][0] = (struct berth_part){rx[i].head + head, rest / 3};
			parts[i][1] = (struct berth_part){rx[i].head + head + rest / 3, 1};
			parts[i][2] = (struct berth_part){rx[i].head + head + rest / 3 + 1, rest - rest / 3 - 1};
			rx[i].parts = parts[i];
			rx[i].n_parts = 3;
			rx[i].head_len = head;
		}
		berth_stack_input(h->st, rx, n, h->s->now_ns);
		host_pump(h);
		if (!h->st)
			return;
	}
}

static unsigned take_events(struct sim_host *h)
{
	struct berth_event ev[32];
	unsigned n = berth_stack_events(h->st, ev, h->batch);

	for (unsigned i = 0; i < n; i++) {
		struct {
			uint64_t user;
			uint32_t host, mask;
			int32_t err;
			uint32_t zero;
		} said = {ev[i].user, h->index, ev[i].mask, ev[i].err, 0};

		sim_hash(h->s, &said, sizeof(said));
		app_event(h, &ev[i]);
	}
	return n;
}

static unsigned take_output(struct sim_host *h)
{
	static struct berth_tx tx[32];
	unsigned n;

	flight_before(h);
	n = berth_stack_output(h->st, tx, h->batch, h->s->now_ns);
	if (n > h->batch)
		sim_fail(h->s, "bounded work", "output() gave %u frames of %u", n, h->batch);
	for (unsigned i = 0; i < n; i++) {
		wire_look(h->s, h, &tx[i]);
		if (h->config.flags & BERTH_STACK_PIN)
			pin(h, &tx[i]);
		else
			wire_put(h->s, h, &tx[i]);
	}
	h->n_frames_out += n;
	flight_after(h);
	return n;
}

void host_pump(struct sim_host *h)
{
	unsigned rounds = 0, ticks, events, frames;
	uint64_t at;

	if (!h->st)
		return;
	host_write_pinned(h);
	do {
		ticks = berth_stack_deadline(h->st) <= h->s->now_ns ? berth_stack_tick(h->st, h->s->now_ns, h->batch)
								    : 0;
		events = take_events(h);
		frames = take_output(h);
		if (++rounds > ROUNDS_MAX)
			sim_fail(h->s, "livelock", "host %u: %u rounds at one time", h->index, rounds);
	} while (ticks || events || frames);
	at = berth_stack_deadline(h->st);
	if (at > h->s->now_ns) {
		h->n_stuck = 0;
	} else if (h->stuck_ns != h->s->now_ns) {
		h->stuck_ns = h->s->now_ns;
		h->n_stuck = 0;
	} else if (++h->n_stuck > 1000) {
		sim_fail(h->s, "livelock", "host %u: the deadline %" PRIu64 " passed and nothing happens", h->index,
			 at);
	}
}

struct berth_counters sim_counters(const struct sim_host *h)
{
	struct berth_counters c = {.struct_size = sizeof(c)};

	berth_stack_counters(h->st, &c);
	return c;
}

void host_expect_clean(struct sim_host *h)
{
	char what[64];

	if (!h->st)
		return;
	(void)berth_stack_tick(h->st, h->s->now_ns, 16); /* what the last output() gave out is free from now on */
	struct {
		const char *name;
		uint32_t used, want;
	} v[] = {
		{"connections", h->st->conns.n_used, h->n_listeners},
		{"records of what is in flight", h->st->tcp->bursts.n_used, 0},
		{"records of holes", h->st->tcp->gaps.n_used, 0},
		{"pairs of rings", h->st->tcp->rings.n_used, 0},
		{"waiting handshakes", h->st->tcp->syns.n_used, 0},
		{"TIME-WAIT records", h->st->tcp->time_waits.n_used, 0},
		{"packet buffers", h->st->pkts.n_used, 0},
		{"claims of ports", port_table_n_claims(&h->st->ports), h->n_listeners},
		{"closed sockets that said nothing", h->n_closing, 0},
	};
	for (size_t i = 0; i < COUNT_OF(v); i++) {
		snprintf(what, sizeof(what), "host %u gave everything back: %s", h->index, v[i].name);
		sim_expect_u64(h->s, what, v[i].used, v[i].want);
	}
}
