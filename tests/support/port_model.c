/* tests/support/port_model.c: an array and loops. No index, no hash, no sharing of code with src/port
 * beyond the comparison of two addresses: what it decides, it decides by reading docs/linux-bind.md. */
#include <errno.h>
#include <string.h>

#include "port_model.h"

void model_init(struct model *m, uint16_t base)
{
	memset(m, 0, sizeof(*m));
	m->base = base;
}

static bool flowing(const struct model_claim *c)
{
	return c->state == CLAIM_CONNECTED || c->state == CLAIM_ACCEPTED || c->state == CLAIM_LINGER;
}

static bool v6only(const struct port_want *w)
{
	return w->family == PORT_FAMILY_6 &&
	       ((w->flags & PORT_V6ONLY) || (!port_addr_is4(&w->addr) && !port_addr_is_any(&w->addr)));
}

/* R1: what a socket owns of one family: 0 nothing, 1 one address, 2 all. */
static int part4(const struct port_want *w)
{
	if (port_addr_is4(&w->addr))
		return port_addr_is_any(&w->addr) ? 2 : 1;
	return port_addr_is_any(&w->addr) && !v6only(w) ? 2 : 0;
}

static int part6(const struct port_want *w)
{
	if (port_addr_is4(&w->addr))
		return 0;
	return port_addr_is_any(&w->addr) ? 2 : 1;
}

static bool meet(int a, int b, bool equal)
{
	return a != 0 && b != 0 && (a == 2 || b == 2 || equal);
}

static bool overlap(const struct port_want *w, const struct model_claim *c)
{
	bool equal = port_addr_equal(&w->addr, &c->w.addr);

	if (w->dev != 0 && c->w.dev != 0 && w->dev != c->w.dev)
		return false;
	if (meet(part4(w), part4(&c->w), equal) || meet(part6(w), part6(&c->w), equal))
		return true;
	/* R2's placeholder: dual by its flag, IPv6 by its use */
	return flowing(c) && c->w.family == PORT_FAMILY_6 && !(c->w.flags & PORT_V6ONLY) &&
	       !port_addr_is4(&c->w.addr) && w->family == PORT_FAMILY_4 && port_addr_is_any(&w->addr);
}

static bool on_port(const struct model_claim *c, const struct port_want *w)
{
	return c->used && c->w.proto == w->proto && c->w.port == w->port;
}

static uint32_t word4(const struct port_addr *a)
{
	if (port_addr_is4(a))
		return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 | a->b[15];
	return port_addr_is_any(a) ? 0 : 0x7f000006;
}

static bool remembered(const struct model *m, const struct port_want *w)
{
	const struct port_want *who = &m->port[w->port - m->base].who;
	int frp = m->port[w->port - m->base].frp;

	if (frp == 0 || !(w->flags & PORT_REUSEPORT) || who->uid != w->uid)
		return false;
	if (frp == 1)
		return true;
	if (who->family == PORT_FAMILY_4 || (port_addr_is4(&who->addr) && port_addr_is4(&w->addr)))
		return !v6only(w) && (word4(&who->addr) == word4(&w->addr) || word4(&who->addr) == 0);
	if (port_addr_is_any(&who->addr) && !port_addr_is4(&who->addr))
		return !(v6only(who) && port_addr_is4(&w->addr));
	return port_addr_equal(&who->addr, &w->addr);
}

static int ask_tcp(const struct model *m, const struct port_want *w, int me)
{
	if (remembered(m, w))
		return 0;
	for (int i = 0; i < MODEL_MAX; i++) {
		const struct model_claim *c = &m->c[i];
		uint16_t both = w->flags & c->w.flags;

		if (i == me || !on_port(c, w) || !overlap(w, c))
			continue;
		if ((both & PORT_REUSEADDR) && c->state != CLAIM_LISTENING)
			continue;
		if ((both & PORT_REUSEPORT) && (c->state == CLAIM_LINGER || c->w.uid == w->uid))
			continue;
		return -EADDRINUSE;
	}
	return 0;
}

static int ask_udp(const struct model *m, const struct port_want *w)
{
	const struct model_claim *first = NULL;

	for (int i = 0; i < MODEL_MAX; i++) {
		const struct model_claim *c = &m->c[i];

		if (!on_port(c, w) || !overlap(w, c) || (w->flags & c->w.flags & PORT_REUSEADDR))
			continue;
		if (first == NULL || c->order > first->order)
			first = c;
	}
	if (first == NULL || ((w->flags & first->w.flags & PORT_REUSEPORT) && w->uid == first->w.uid))
		return 0;
	return -EADDRINUSE;
}

static void remember(struct model *m, const struct port_want *w, bool first)
{
	int *frp = &m->port[w->port - m->base].frp;

	if (!(w->flags & PORT_REUSEPORT)) {
		*frp = 0;
	} else if (first || !remembered(m, w)) {
		*frp = first ? 1 : 2;
		m->port[w->port - m->base].who = *w;
	}
}

int model_add(struct model *m, const struct port_want *w, enum claim_state state, bool bound)
{
	bool first = true;
	int i = 0;

	for (int k = 0; k < MODEL_MAX; k++)
		first = first && !on_port(&m->c[k], w);
	while (i < MODEL_MAX && m->c[i].used)
		i++;
	if (i == MODEL_MAX)
		return -ENOBUFS;
	m->c[i] = (struct model_claim){.used = true, .state = state, .w = *w, .order = ++m->clock};
	if (v6only(w))
		m->c[i].w.flags |= PORT_V6ONLY;
	if (w->family == PORT_FAMILY_6 && (w->flags & PORT_REUSEPORT))
		m->c[i].order = -m->c[i].order;
	if (bound && w->proto == PORT_TCP)
		remember(m, w, first);
	return i;
}

int model_bind(struct model *m, const struct port_want *w, int *ret)
{
	int r = w->proto == PORT_TCP ? ask_tcp(m, w, -1) : ask_udp(m, w);

	if (r == 0) {
		*ret = model_add(m, w, CLAIM_HELD, true);
		r = *ret < 0 ? *ret : 0;
	}
	return r;
}

int model_listen(struct model *m, int i)
{
	struct model_claim *c = &m->c[i];

	if (c->state == CLAIM_LISTENING)
		return 0;
	if (c->w.proto == PORT_UDP)
		return -EOPNOTSUPP;
	if (c->state != CLAIM_HELD)
		return -EINVAL;
	if (ask_tcp(m, &c->w, i) < 0)
		return -EADDRINUSE;
	remember(m, &c->w, false);
	c->state = CLAIM_LISTENING;
	return 0;
}

int model_tuple(const struct model *m, const struct port_want *w, const struct port_addr *peer, uint16_t peer_port)
{
	for (int i = 0; i < MODEL_MAX; i++) {
		const struct model_claim *c = &m->c[i];

		if (on_port(c, w) && flowing(c) && c->peer_port == peer_port && port_addr_equal(&c->w.addr, &w->addr) &&
		    port_addr_equal(&c->peer, peer))
			return i;
	}
	return -1;
}

bool model_may_choose(const struct model *m, const struct port_want *w, bool flow, const struct port_addr *local,
		      const struct port_addr *peer, uint16_t peer_port)
{
	struct port_want at = *w;

	for (int i = 0; i < MODEL_MAX; i++) {
		if (!on_port(&m->c[i], w))
			continue;
		if (flow ? !m->c[i].chosen : overlap(w, &m->c[i]))
			return false;
	}
	if (local != NULL)
		at.addr = *local;
	return !flow || model_tuple(m, &at, peer, peer_port) < 0;
}

void model_forget(struct model *m, uint16_t port)
{
	for (int i = 0; i < MODEL_MAX; i++)
		if (m->c[i].used && m->c[i].w.proto == PORT_TCP && m->c[i].w.port == port && !m->c[i].chosen)
			return;
	m->port[port - m->base].frp = 0;
}

void model_release(struct model *m, int i)
{
	m->c[i].used = false;
	if (m->c[i].w.proto == PORT_TCP)
		model_forget(m, m->c[i].w.port);
}
