/* src/cli/range_use.c: how much of the ephemeral range is used.
 *
 * bind(0) wants a port that no socket has on that address or on the wildcard, so ports are counted once for each local
 * address. connect() wants one that makes a new four-tuple, so they are counted once for each (local address, peer, peer's
 * port); it tries the ports of the low end's parity first, all of them, which is why it becomes slow at half
 * (RULES-OF-PORTS D5), not when the range is full.
 *
 * Rows are sorted, once each way, and runs are counted: no table, and 100,000 rows take some 30 ms.
 */
#include "cli/range_use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ports {
	uint64_t bits[1024];
	uint32_t n;
};

static bool has(const struct ports *p, uint16_t port)
{
	return p->bits[port / 64] >> (port % 64) & 1;
}

static void add(struct ports *p, uint16_t port)
{
	if (has(p, port))
		return;
	p->bits[port / 64] |= UINT64_C(1) << (port % 64);
	p->n++;
}

static bool in_range(const struct host_settings *s, uint16_t port)
{
	return port >= s->ports.range.first && port <= s->ports.range.last && !host_settings_is_reserved(s, port);
}

static bool is_first(const struct host_settings *s, uint16_t port)
{
	return (port - s->ports.range.first) % 2 == 0;
}

static int by_local(const void *a, const void *b)
{
	const struct host_socket *x = *(const struct host_socket *const *)a, *y = *(const struct host_socket *const *)b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return r ? r : (int)x->port - (int)y->port;
}

static int by_destination(const void *a, const void *b)
{
	const struct host_socket *x = *(const struct host_socket *const *)a, *y = *(const struct host_socket *const *)b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (r == 0)
		r = memcmp(&x->peer, &y->peer, sizeof(x->peer));
	if (r == 0)
		r = (int)x->peer_port - (int)y->peer_port;
	return r ? r : (int)x->port - (int)y->port;
}

/* For each local address, its ports and those that wildcards have. */
static void measure_addresses(const struct host_socket **rows, size_t n, const struct ports *wild4,
			      const struct ports *wild6, struct range_use *ret)
{
	ret->addr = PORT_ADDR_ANY4;
	ret->addr_used = wild4->n;
	if (wild6->n > wild4->n) {
		ret->addr = PORT_ADDR_ANY6;
		ret->addr_used = wild6->n;
	}
	qsort(rows, n, sizeof(rows[0]), by_local);
	for (size_t i = 0, next; i < n; i = next) {
		const struct ports *wild = port_addr_is4(&rows[i]->addr) ? wild4 : wild6;
		uint32_t used = wild->n;

		for (next = i; next < n && port_addr_equal(&rows[next]->addr, &rows[i]->addr); next++)
			if ((next == i || rows[next]->port != rows[next - 1]->port) && !has(wild, rows[next]->port))
				used++;
		if (used > ret->addr_used) {
			ret->addr = rows[i]->addr;
			ret->addr_used = used;
		}
	}
}

static void measure_destinations(const struct host_settings *s, const struct host_socket **rows, size_t n,
				 struct range_use *ret)
{
	qsort(rows, n, sizeof(rows[0]), by_destination);
	for (size_t i = 0, next; i < n; i = next) {
		struct range_destination d = {.local = rows[i]->addr,
					      .peer = rows[i]->peer,
					      .peer_port = rows[i]->peer_port};

		for (next = i; next < n && port_addr_equal(&rows[next]->addr, &d.local) &&
			       port_addr_equal(&rows[next]->peer, &d.peer) && rows[next]->peer_port == d.peer_port;
		     next++) {
			if (next > i && rows[next]->port == rows[next - 1]->port)
				continue;
			d.n++;
			d.n_first += is_first(s, rows[next]->port);
			d.n_time_wait += rows[next]->state == HOST_TIME_WAIT;
		}
		if (d.n > ret->worst.n)
			ret->worst = d;
	}
}

/* Sets of ports: 8 KiB each, so not on the stack together. */
struct sets {
	struct ports used, udp, wild4, wild6, listening;
};

static void measure_ports(const struct host_settings *s, const struct host_socket *rows, size_t n, struct sets *sets)
{
	for (size_t i = 0; i < n; i++) {
		const struct host_socket *r = &rows[i];

		if (r->proto == HOST_TCP && r->state == HOST_LISTEN)
			add(&sets->listening, r->port);
		if (!in_range(s, r->port))
			continue;
		if (r->proto == HOST_UDP)
			add(&sets->udp, r->port);
		if (r->proto != HOST_TCP)
			continue;
		add(&sets->used, r->port);
		if (port_addr_is_any(&r->addr) && port_addr_is4(&r->addr))
			add(&sets->wild4, r->port);
		else if (port_addr_is_any(&r->addr))
			add(&sets->wild6, r->port);
		if (host_socket_is_dual(r))
			add(&sets->wild4, r->port);
	}
}

int range_use_measure(const struct host_settings *s, const struct host_socket *rows, size_t n, struct range_use *ret)
{
	struct sets *sets = calloc(1, sizeof(*sets));
	const struct host_socket **some = malloc((n + 1) * sizeof(some[0]));
	size_t n_some = 0, n_connected = 0;
	int r = -ENOMEM;

	if (!sets || !some)
		goto out;
	*ret = (struct range_use){0};
	for (uint32_t p = s->ports.range.first; p <= s->ports.range.last; p++) {
		ret->usable += in_range(s, (uint16_t)p);
		ret->first_half += in_range(s, (uint16_t)p) && is_first(s, (uint16_t)p);
	}
	measure_ports(s, rows, n, sets);
	ret->used = sets->used.n;
	ret->used_udp = sets->udp.n;
	for (size_t i = 0; i < n; i++) {
		bool is_tcp = rows[i].proto == HOST_TCP, linger = is_tcp && rows[i].state == HOST_TIME_WAIT;

		ret->time_wait += linger;
		if (!is_tcp || !in_range(s, rows[i].port))
			continue;
		ret->time_wait_client += linger && !has(&sets->listening, rows[i].port);
		if (!port_addr_is_any(&rows[i].addr))
			some[n_some++] = &rows[i];
	}
	measure_addresses(some, n_some, &sets->wild4, &sets->wild6, ret);
	for (size_t i = 0; i < n_some; i++)
		if (some[i]->peer_port != 0 && !has(&sets->listening, some[i]->port))
			some[n_connected++] = some[i];
	measure_destinations(s, some, n_connected, ret);
	r = 0;
out:
	free(sets);
	free(some);
	return r;
}
