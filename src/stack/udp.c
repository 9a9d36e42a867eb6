/* src/stack/udp.c: UDP sockets: making, connecting, options, the end.
 *
 * A socket has two rings of datagrams, a fixed part of the stack's memory, so that nobody's datagrams wait in memory that others need.
 * Its port is a claim of the heart's: UDP's rules of sharing, of who receives (docs/linux-bind.md, D3, D4), and what a connected
 * socket hears are there.
 *
 * Always true (udp_check())
 *   U1  both rings are chains of whole records;
 *   U2  n_wait counts the records that wait, n_pins the frames that are pinned;
 *   U3  the guards behind both rings hold zeros;
 *   U4  tx_at is where a record begins, or the end; all records before it wait or went out.
 */
#include "stack/udp.h"

#include <errno.h>

/* --- memory --- */
void udp_layout(struct berth_stack *st, struct arena *a)
{
	void *slab = arena_take(a, slab_size(st->cfg.n_udp, sizeof(struct udp_sock)));

	struct udp_member *members = arena_take(a, sizeof(struct udp_member) * st->cfg.n_groups);
	struct udp_sent *sent = arena_take(a, sizeof(*sent));
	uint8_t *rings = arena_take(a, (size_t)st->cfg.n_udp * 2 * (st->cfg.udp_ring_bytes + RING_GUARD));

	st->udp = arena_take(a, sizeof(*st->udp));
	if (st->udp == NULL)
		return;
	slab_init(&st->udps, slab, st->cfg.n_udp, sizeof(struct udp_sock));
	*st->udp = (struct udp_state){.rings = rings, .members = members, .sent = sent};
}

void udp_init(struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++)
		st->udp->members[i].sock = NIL;
}

int udp_open(struct berth_stack *st, int family, uint64_t user, uint32_t *ret_index)
{
	uint32_t i = slab_take(&st->udps), size = st->cfg.udp_ring_bytes;
	struct udp_sock *u;
	uint8_t *rings;

	if (i == NIL)
		return -ENOBUFS;
	u = udp_at(st, i);
	rings = st->udp->rings + (size_t)i * 2 * (size + RING_GUARD);
	sock_init(&u->s, BERTH_UDP, family, user);
	udp_ring_init(&u->rx, rings, size);
	udp_ring_init(&u->tx, rings + size + RING_GUARD, size);
	u->rcvbuf = size;
	u->mcast_ttl = 1;
	u->pmtu_disc = 1;
	u->member_first = NIL;
	*ret_index = i;
	return 0;
}

/* --- ports and peers --- */
void udp_bound(struct berth_stack *st, uint32_t index)
{
	struct udp_sock *u = udp_at(st, index);
	struct port_claim c;
	int r = port_table_get(&st->ports, u->s.claim, &c);

	ASSERT(r == 0);
	u->local_port = c.port;
	u->local = c.addr;
	if (c.state == CLAIM_HELD)
		u->bound = c.addr;
}

static int disconnect(struct berth_stack *st, struct udp_sock *u)
{
	struct port_claim c;

	if (!(u->s.flags & SOCK_CONNECTED))
		return 0;
	u->s.flags &= ~(uint32_t)SOCK_CONNECTED;
	ASSERT(port_table_disconnect(&st->ports, u->s.claim, &u->bound) == 0);
	u->local = u->bound;
	if (port_table_get(&st->ports, u->s.claim, &c) < 0) { /* connect() had chosen the port: it went */
		u->s.claim = PORT_REF_NONE;
		u->local_port = 0;
	}
	return 0;
}

int udp_connect(struct berth_stack *st, uint32_t index, const struct berth_addr *peer)
{
	struct udp_sock *u = udp_at(st, index);
	struct port_want w = sock_want(st, &u->s, index | SOCK_ID_UDP);
	struct port_addr to, from;
	uint16_t iface = u->s.bind_iface != 0 ? (uint16_t)(u->s.bind_iface - 1) : BERTH_IFACE_ANY;
	bool fresh = u->s.claim.generation == 0;
	struct ip_route rt;
	int r;

	if (peer == NULL)
		return disconnect(st, u);
	to = addr_of(peer);
	if (iface == BERTH_IFACE_ANY && port_addr_is_multicast(&to) && u->mcast_iface != 0)
		iface = (uint16_t)(u->mcast_iface - 1);
	r = ip_route_find_for(st, &u->s, fresh ? NULL : &u->local, &to, iface, &rt, &from);
	if (r < 0)
		return r;
	if (rt.not_unicast && !port_addr_is_multicast(&to) && !(u->s.flags & SOCK_BROADCAST))
		return -EACCES;
	if (fresh)
		u->bound = w.addr;
	w.addr = u->bound;
	r = port_table_connect(&st->ports, &u->s.claim, &w, &from, &to, peer->port, stack_now_us(st), NULL);
	r = sock_placed(st, r);
	if (r < 0)
		return r;
	u->s.flags |= SOCK_CONNECTED;
	u->peer = to;
	u->peer_port = peer->port;
	udp_bound(st, index);
	return 0;
}

/* --- options --- */
static int flag_set(struct udp_sock *u, uint32_t flag, bool on)
{
	u->s.flags = on ? u->s.flags | flag : u->s.flags & ~flag;
	return 0;
}

static int iface_set(const struct berth_stack *st, struct udp_sock *u, uint64_t value)
{
	if (value > st->cfg.n_ifaces)
		return -ENODEV;
	u->mcast_iface = (uint16_t)value;
	return 0;
}

int udp_set(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t value)
{
	struct udp_sock *u = udp_at(st, index);

	switch ((int)o) {
	case BERTH_MULTICAST_TTL:
		if (value > 255)
			return -EINVAL;
		u->mcast_ttl = (uint8_t)value;
		return 0;
	case BERTH_MULTICAST_LOOP:
		return flag_set(u, SOCK_MCAST_NO_LOOP, value == 0);
	case BERTH_MULTICAST_ALL:
		return flag_set(u, SOCK_MCAST_OWN, value == 0);
	case BERTH_MULTICAST_IFACE:
		return iface_set(st, u, value);
	case BERTH_PMTUDISC:
		if (value > 3)
			return -EINVAL;
		u->pmtu_disc = (uint8_t)value;
		return 0;
	case BERTH_NO_CHECKSUM:
		return flag_set(u, SOCK_NO_CHECKSUM, value != 0);
	case BERTH_RCVBUF: /* as much as there is, and never less than one small datagram */
		u->rcvbuf = value == 0 || value > u->rx.size ? u->rx.size : value < 256 ? 256 : (uint32_t)value;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int udp_get(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t *ret)
{
	const struct udp_sock *u = udp_at(st, index);

	switch ((int)o) {
	case BERTH_MULTICAST_TTL:
		*ret = u->mcast_ttl;
		return 0;
	case BERTH_MULTICAST_LOOP:
		*ret = !(u->s.flags & SOCK_MCAST_NO_LOOP);
		return 0;
	case BERTH_MULTICAST_ALL:
		*ret = !(u->s.flags & SOCK_MCAST_OWN);
		return 0;
	case BERTH_MULTICAST_IFACE:
		*ret = u->mcast_iface;
		return 0;
	case BERTH_PMTUDISC:
		*ret = u->pmtu_disc;
		return 0;
	case BERTH_NO_CHECKSUM:
		*ret = (u->s.flags & SOCK_NO_CHECKSUM) != 0;
		return 0;
	case BERTH_RCVBUF:
		*ret = u->rcvbuf;
		return 0;
	case BERTH_SNDBUF:
		*ret = u->tx.size;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* --- state, and the end --- */
bool udp_writable(const struct udp_sock *u)
{
	return udp_ring_free(&u->tx) >= (u->tx.size < 8192 ? u->tx.size / 2 : 4096);
}

int udp_poll(struct berth_stack *st, uint32_t index)
{
	struct udp_sock *u = udp_at(st, index);
	int mask = 0;

	udp_reclaim(st, u);
	if (u->rx.used > 0 || u->s.flags & SOCK_SHUT_RD)
		mask |= BERTH_EV_IN;
	if (udp_writable(u))
		mask |= BERTH_EV_OUT;
	if (u->s.err != 0)
		mask |= BERTH_EV_ERR;
	if (u->s.flags & SOCK_SHUT_RD)
		mask |= BERTH_EV_RDHUP;
	if ((u->s.flags & (SOCK_SHUT_RD | SOCK_SHUT_WR)) == (SOCK_SHUT_RD | SOCK_SHUT_WR))
		mask |= BERTH_EV_HUP;
	return mask;
}

int udp_shutdown(struct berth_stack *st, uint32_t index, int how)
{
	struct udp_sock *u = udp_at(st, index);

	if (!(u->s.flags & SOCK_CONNECTED))
		return -ENOTCONN;
	if (how & BERTH_SHUT_RD)
		u->s.flags |= SOCK_SHUT_RD;
	if (how & BERTH_SHUT_WR)
		u->s.flags |= SOCK_SHUT_WR;
	event_add(st, index | SOCK_ID_UDP,
		  (uint32_t)udp_poll(st, index) & (BERTH_EV_IN | BERTH_EV_RDHUP | BERTH_EV_HUP));
	return 0;
}

static bool guards_ok(const struct udp_sock *u)
{
	return ring_guard_ok(u->rx.data + u->rx.size) && ring_guard_ok(u->tx.data + u->tx.size);
}

void udp_end(struct berth_stack *st, uint32_t index)
{
	struct udp_sock *u = udp_at(st, index);

	if (u->n_pins > 0)
		return;
	ASSERT_SLOW(guards_ok(u));
	event_forget(st, index | SOCK_ID_UDP);
	sock_unready(st, index | SOCK_ID_UDP);
	slab_give(&st->udps, index);
}

/* What was sent goes out still, as on Linux: the socket is gone for the program, and for good when its ring is empty. */
int udp_close(struct berth_stack *st, uint32_t index)
{
	struct udp_sock *u = udp_at(st, index);

	event_forget(st, index | SOCK_ID_UDP);
	u->s.flags |= SOCK_ORPHAN;
	udp_leave_all(st, index);
	sock_release(st, &u->s);
	u->rx.used = 0;
	udp_reclaim(st, u);
	if (u->tx.used == 0)
		udp_end(st, index);
	return 0;
}

/* --- the checker --- */
static bool tx_check(const struct udp_sock *u)
{
	uint32_t n_wait = 0, n_pins = 0, at = 0;
	bool seen = u->tx_at == u->tx.used;

	while (at < u->tx.used) {
		const struct udp_record *rec = udp_ring_at(&u->tx, at);

		seen = seen || at == u->tx_at;
		n_wait += rec->state == UDP_WAITS;
		n_pins += rec->pins;
		if (at < u->tx_at && rec->state == UDP_QUEUED)
			return false;
		at += udp_record_bytes(rec->len);
	}
	return seen && n_wait == u->n_wait && n_pins == u->n_pins;
}

bool udp_check(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->udps.n_max; i++) {
		const struct udp_sock *u;

		if (!slab_used(&st->udps, i))
			continue;
		u = slab_at(&st->udps, i);
		if (!udp_ring_check(&u->rx) || !udp_ring_check(&u->tx) || !tx_check(u) || !guards_ok(u))
			return false;
	}
	return udp_group_check(st);
}
