/* tests/sim/wire.c: a hub. What a host sends goes into the fault of the port whose host it is for, or of all others. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/conn_text.h"
#include "base/siphash.h"
#include "link/pcap.h"
#include "wire/eth.h"

struct berth_addr sim_addr(const struct sim_host *h, const struct sim_wire *w, int family, uint16_t port)
{
	struct berth_addr a = berth_addr4(10, 0, (uint8_t)w->index, h->octet, port);

	if (family == 6) {
		memset(a.ip, 0, sizeof(a.ip));
		a.ip[0] = 0xfd;
		a.ip[5] = (uint8_t)w->index;
		a.ip[15] = h->octet;
	}
	return a;
}

static struct fault_config complete(const struct sim_wire *w, const struct fault_config *c)
{
	struct fault_config r = *c;

	r.link = w->link;
	r.router4 = port_addr_v4(10, 0, (uint8_t)w->index, 254);
	r.router6 = port_addr_from6((uint8_t[16]){0xfd, [5] = (uint8_t)w->index, [15] = 254}, 0);
	return r;
}

/* A frame as its host gave it out. The comment tells the connection, as it is after that call of output(), and at the same time at the host it is
 * for. */
static void write_pcap(struct sim *s, const struct sim_host *h, const struct sim_wire *w, const uint8_t *data,
		       uint32_t len)
{
	static uint8_t block[PCAP_BLOCK_MAX];
	struct berth_part part = {data, len};
	char comment[PCAP_COMMENT_MAX], text[256];
	struct pcap_packet p = {.iface = w->index,
				.at_ns = s->now_ns,
				.direction = PCAP_OUT,
				.parts = &part,
				.n_parts = 1};
	struct link_view v;
	size_t n = (size_t)snprintf(comment, sizeof(comment), "host %u, frame %llu", h->index,
				    (unsigned long long)s->n_frames);
	int r;

	if (link_view(data, len, w->link, &v) == 0 && v.has_tcp) {
		if (conn_text(h->st, &v, true, text, sizeof(text)))
			n += (size_t)snprintf(comment + n, sizeof(comment) - n, ": %s", text);
		for (unsigned i = 0; i < s->n_hosts; i++)
			if (s->hosts[i] != h && conn_text(s->hosts[i]->st, &v, false, text, sizeof(text)))
				n += (size_t)snprintf(comment + n, sizeof(comment) - n, "; for host %u: %s", i, text);
	}
	p.comment = comment;
	r = pcap_put(block, sizeof(block), &p);
	if (r > 0 && fwrite(block, 1, (size_t)r, s->pcap) != (size_t)r)
		sim_fail(s, "pcap", "cannot write");
}

/* Each wire is an interface of the capture, with its own kind of link. */
static void begin_pcap(struct sim *s, const struct sim_wire *w)
{
	uint8_t block[256];
	char name[32];
	int r;

	snprintf(name, sizeof(name), "wire%u", w->index);
	r = pcap_interface(block, sizeof(block), w->link, name);
	if (r < 0 || fwrite(block, 1, (size_t)r, s->pcap) != (size_t)r)
		sim_fail(s, "pcap", "cannot write");
}

struct sim_wire *sim_wire(struct sim *s, struct sim_host **hosts, unsigned n, const struct fault_config *c)
{
	struct sim_wire *w = calloc(1, sizeof(*w));
	struct fault_config config;
	char name[32];

	ASSERT(w && n >= 1 && n <= SIM_PORTS_MAX && s->n_wires < SIM_WIRES_MAX);
	w->index = s->n_wires;
	w->link = c->link;
	s->wires[s->n_wires++] = w;
	if (s->pcap)
		begin_pcap(s, w);
	w->n_ports = n;
	config = complete(w, c);
	s->has_corruption |= c->corrupt_ppm > 0;
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "wire%u>%u", w->index, i);
		w->ports[i].to = fault_new(&config, s->seed, name);
		ASSERT(w->ports[i].to);
		w->ports[i].host = hosts[i];
		if (!hosts[i])
			continue;
		ASSERT(hosts[i]->n_ifaces < COUNT_OF(hosts[i]->ifaces));
		hosts[i]->ifaces[hosts[i]->n_ifaces].wire = w;
		hosts[i]->ifaces[hosts[i]->n_ifaces++].port = i;
	}
	/* a router that says "too big" says it towards the other end; with more than two, towards the first */
	for (unsigned i = 0; i < n && n > 1; i++)
		fault_set_back(w->ports[i].to, w->ports[i == 0 ? 1 : 0].to);
	return w;
}

void sim_wire_set(struct sim *s, struct sim_wire *w, unsigned port, const struct fault_config *c)
{
	struct fault_config config = complete(w, c);

	s->has_corruption |= c->corrupt_ppm > 0;
	fault_set(w->ports[port].to, &config);
}

void sim_wire_set_all(struct sim *s, struct sim_wire *w, const struct fault_config *c)
{
	for (unsigned i = 0; i < w->n_ports; i++)
		sim_wire_set(s, w, i, c);
}

void sim_inject(struct sim *s, struct sim_wire *w, unsigned to, const uint8_t *data, uint32_t len)
{
	fault_put_octets(w->ports[to].to, data, len, s->now_ns);
}

unsigned wire_frames_on_way(const struct sim *s)
{
	unsigned n = 0;

	for (unsigned w = 0; w < s->n_wires; w++)
		for (unsigned p = 0; p < s->wires[w]->n_ports; p++)
			n += fault_n_queued(s->wires[w]->ports[p].to);
	return n;
}

/* Which port a frame is for, by its addresses; SIM_NOWHERE: all of them. */
static unsigned port_for(const struct sim_wire *w, const uint8_t *data, uint32_t len)
{
	struct link_view v;

	if (w->n_ports == 2)
		return SIM_NOWHERE;
	if (w->link == BERTH_LINK_ETHERNET) {
		for (unsigned p = 0; p < w->n_ports; p++)
			if (w->ports[p].host && len >= WIRE_MAC_LEN &&
			    memcmp(data, (uint8_t[6]){2, 0, 0, 0, (uint8_t)w->index, w->ports[p].host->octet},
				   WIRE_MAC_LEN) == 0)
				return p;
		return SIM_NOWHERE;
	}
	if (link_view(data, len, w->link, &v) < 0 || v.family == 0 || port_addr_is_multicast(&v.dst))
		return SIM_NOWHERE;
	for (unsigned p = 0; p < w->n_ports; p++) {
		struct berth_addr a;

		if (!w->ports[p].host)
			continue;
		a = sim_addr(w->ports[p].host, w, v.family, 0);
		if (memcmp(a.ip, v.dst.b, sizeof(a.ip)) == 0)
			return p;
	}
	return w->n_ports; /* nobody's: the world outside */
}

/* The wire of the interface a frame is for. */
static struct sim_wire *wire_of(struct sim *s, const struct sim_host *from, const struct berth_tx *tx,
				unsigned *ret_port)
{
	for (unsigned i = 0; i < from->n_ifaces; i++)
		if (from->ifaces[i].wire->ports[from->ifaces[i].port].iface == tx->iface) {
			*ret_port = from->ifaces[i].port;
			return from->ifaces[i].wire;
		}
	sim_fail(s, "output", "host %u: a frame for interface %u, which it does not have", from->index, tx->iface);
}

static uint32_t in_one_piece(struct sim *s, const struct sim_host *from, const struct berth_tx *tx, uint8_t *whole,
			     uint32_t room)
{
	uint32_t len = tx->head_len;

	if (tx->len > room || tx->head_len > sizeof(tx->head) || tx->n_parts > BERTH_TX_PARTS_MAX)
		sim_fail(s, "output", "host %u: a frame of %u octets, head %u, %u parts", from->index, tx->len,
			 tx->head_len, tx->n_parts);
	memcpy(whole, tx->head, tx->head_len);
	for (unsigned i = 0; i < tx->n_parts; i++) {
		if (len + tx->parts[i].len > tx->len)
			sim_fail(s, "output", "host %u: parts are longer than the frame says", from->index);
		memcpy(whole + len, tx->parts[i].data, tx->parts[i].len);
		len += tx->parts[i].len;
	}
	sim_expect_u64(s, "a frame is as long as it says", len, tx->len);
	return len;
}

uint64_t wire_sum_of(const struct berth_tx *tx)
{
	struct siphash_key k = {tx->len, tx->n_parts};

	for (unsigned i = 0; i < tx->n_parts; i++)
		k.k1 = siphash13(&k, tx->parts[i].data, tx->parts[i].len);
	return k.k1;
}

void wire_look(struct sim *s, struct sim_host *from, const struct berth_tx *tx)
{
	static uint8_t whole[LINK_FRAME_MAX];
	uint32_t len = in_one_piece(s, from, tx, whole, sizeof(whole));
	unsigned me;

	s->n_frames++;
	sim_hash(s, whole, len);
	sim_hash(s, (uint16_t[]){tx->gso, tx->flags, tx->gso_size, tx->csum_start, tx->csum_offset, tx->iface}, 12);
	if (s->pcap)
		write_pcap(s, from, wire_of(s, from, tx, &me), whole, len);
	observe_out(s, from, tx, whole, len);
}

void wire_put(struct sim *s, struct sim_host *from, const struct berth_tx *tx)
{
	static uint8_t whole[LINK_FRAME_MAX];
	uint32_t len = in_one_piece(s, from, tx, whole, sizeof(whole));
	unsigned me, to;
	struct sim_wire *w = wire_of(s, from, tx, &me);

	bool changed = s->middlebox && s->middlebox(s, w, whole, len);

	to = port_for(w, whole, len);
	for (unsigned p = 0; p < w->n_ports; p++) {
		if (p == me || (to != SIM_NOWHERE && to != p))
			continue;
		if (changed)
			fault_put_octets(w->ports[p].to, whole, len, s->now_ns);
		else
			fault_put(w->ports[p].to, tx, s->now_ns);
	}
}
