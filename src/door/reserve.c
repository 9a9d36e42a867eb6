/* src/door/reserve.c: choosing numbers, and holding all of them or none.
 *
 * A range is walked in an order of its own for each call: from a random number, by a random step that has no common factor with the
 * range's size, so each number comes once. Two programs that ask at the same time thus rarely try the same one, and when they
 * do, bind() decides. Nothing is remembered between calls and nothing is asked of anybody but the kernel.
 *
 * Places (settings.c) are tried one after the other, best first. When the range is exhausted every number of it that can be
 * given was tried once, so that what we hold by then is how many were free.
 *
 * Cost: TCP some 6 us a port, and 30 us for the settings; an exhausted range of 65,535 some 0.3 s.
 */
#include <berth/port.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "door/door.h"

#define PUBLIC __attribute__((visibility("default")))
#define PORT_MAX 65535u
#define LISTEN_BACKLOG 4096 /* the kernel clamps it to somaxconn */

struct choice {
	struct door_settings settings;
	unsigned flags;
	uint32_t first, last;
	struct berth_port *ports;
	size_t n, held;
};

static uint32_t random_below(uint32_t n)
{
	uint64_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != (ssize_t)sizeof(r))
		r = (uintptr_t)&r >> 4 ^ (uint64_t)getpid() << 20; /* early boot: any order is a right one */
	return (uint32_t)(r % n);
}

static uint32_t common_factor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Taken, for us: somebody has it, or we may not. The rest is about us, and the next number would fare no better. */
static bool is_taken(int r)
{
	return r == -EADDRINUSE || r == -EACCES || r == -EPERM;
}

static int hold_number(const struct choice *c, uint16_t port, struct berth_port *ret)
{
	struct berth_port p = {.port = port, .tcp = -1, .udp = -1};

	if (c->flags & BERTH_PORT_TCP) {
		p.tcp = door_hold(SOCK_STREAM, port);
		if (p.tcp < 0)
			return p.tcp;
	}
	if (c->flags & BERTH_PORT_UDP) {
		p.udp = door_hold(SOCK_DGRAM, port);
		if (p.udp < 0) {
			int r = p.udp;

			p.udp = -1;
			berth_port_drop(&p, 1);
			return r;
		}
	}
	*ret = p;
	return 0;
}

static bool fits(const struct choice *c, uint32_t port, enum door_place from, enum door_place to)
{
	enum door_place place = door_place(&c->settings, (uint16_t)port, c->flags & BERTH_PORT_REGISTERED);

	return place >= from && place <= to;
}

/* Each number of that place once. Return: 0, and c->held says how many we have; negative errno. */
static int walk(struct choice *c, enum door_place place)
{
	uint32_t size = c->last - c->first + 1, at = random_below(size), step;

	do
		step = 1 + random_below(size);
	while (common_factor(size, step) != 1);
	for (uint32_t i = 0; i < size && c->held < c->n; i++, at = (at + step) % size) {
		int r;

		if (!fits(c, c->first + at, place, place))
			continue;
		r = hold_number(c, (uint16_t)(c->first + at), &c->ports[c->held]);
		if (r < 0 && !is_taken(r))
			return r;
		c->held += r == 0;
	}
	return 0;
}

static void drop_held(struct choice *c)
{
	berth_port_drop(c->ports, c->held);
	c->held = 0;
}

/* n in a row between two numbers, of places up to that one. *ret_free: how many could be held. Return as walk(). */
static int walk_run(struct choice *c, uint32_t first, uint32_t last, enum door_place to, size_t *ret_free)
{
	*ret_free = 0;
	for (uint32_t port = first; port <= last && c->held < c->n; port++) {
		int r = fits(c, port, DOOR_DYNAMIC, to) ? hold_number(c, (uint16_t)port, &c->ports[c->held])
							: -EADDRINUSE;

		if (r < 0 && !is_taken(r))
			return r;
		if (r < 0) {
			drop_held(c);
			continue;
		}
		c->held++;
		(*ret_free)++;
	}
	if (c->held < c->n)
		drop_held(c);
	return 0;
}

static int choose_run(struct choice *c, size_t *ret_free)
{
	int r = 0;

	for (unsigned place = 0; place < DOOR_NGIVEN && r == 0 && c->held < c->n; place++) {
		uint32_t from = c->first + random_below(c->last - c->first + 1);

		r = walk_run(c, from, c->last, (enum door_place)place, ret_free);
		if (r == 0 && c->held < c->n)
			r = walk_run(c, c->first, c->last, (enum door_place)place, ret_free);
	}
	return r;
}

PUBLIC int berth_port_reserve(unsigned flags, uint16_t first, uint16_t last, struct berth_port *ports, size_t n,
			      size_t *reterr_free)
{
	struct choice c = {.flags = flags, .first = first ? first : 1, .last = last, .ports = ports, .n = n};
	size_t n_free = 0;
	int r = 0;

	if (!first && !last)
		c.last = PORT_MAX;
	if (!(flags & (BERTH_PORT_TCP | BERTH_PORT_UDP)) || flags & ~15u || n == 0 || c.first > c.last)
		return -EINVAL;
	door_settings_read(&c.settings);
	if (flags & BERTH_PORT_CONSECUTIVE) {
		r = choose_run(&c, &n_free);
	} else {
		for (unsigned place = 0; place < DOOR_NGIVEN && r == 0 && c.held < n; place++)
			r = walk(&c, (enum door_place)place);
		n_free = c.held;
	}
	if (r == 0 && c.held == n)
		return 0;
	berth_port_drop(ports, c.held);
	if (r == 0 && reterr_free)
		*reterr_free = n_free;
	return r < 0 ? r : -EADDRINUSE;
}

PUBLIC void berth_port_drop(struct berth_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ports[i].tcp >= 0)
			close(ports[i].tcp);
		if (ports[i].udp >= 0)
			close(ports[i].udp);
		ports[i].tcp = ports[i].udp = -1;
	}
}

PUBLIC int berth_port_socket(const struct berth_port *p, unsigned flags, const char *address)
{
	bool udp = flags & BERTH_PORT_UDP, listening = flags & BERTH_PORT_LISTEN;
	int fd;

	if (!(flags & (BERTH_PORT_TCP | BERTH_PORT_UDP)) || (flags & BERTH_PORT_TCP && udp) || (udp && listening) ||
	    (udp ? p->udp : p->tcp) < 0)
		return -EINVAL;
	fd = door_beside(udp ? SOCK_DGRAM : SOCK_STREAM, p->port, address);
	if (fd >= 0 && listening && listen(fd, LISTEN_BACKLOG) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}
