/* src/stack/sock.c: what a program says to a socket: handles, ports, options, names. TCP and UDP do the rest (tcp_sock.c, udp.c).
 *
 * A handle is the slab's generation above and the socket's id below. A generation is odd while its item is in use, so 0 is no handle, and
 * one that was closed never becomes another socket's (S26).
 *
 * Ports are the heart's: bind() and listen() ask it what the kernel would be asked, with the socket's flags as they are then. The heart
 * knows loopbacks only; whether an address is one of ours IP says, and an address that is goes to the heart as one that need not be
 * asked about. All else, and the order of errors, is the heart's (docs/linux-bind.md).
 */
#include <errno.h>
#include <string.h>

#include "stack/tcp.h"
#include "stack/udp.h"

/* --- handles --- */
berth_sock sock_handle(const struct berth_stack *st, uint32_t id)
{
	const struct slab *s = id & SOCK_ID_UDP ? &st->udps : &st->conns;

	return (uint64_t)s->generation[id & ~SOCK_ID_UDP] << 32 | id;
}

/* A socket the program may name: not one it closed, and not one it has not accepted. */
static bool is_shown(const struct berth_stack *st, uint32_t id)
{
	const struct sock *s;

	if (id & SOCK_ID_UDP) {
		s = slab_at(&st->udps, id & ~SOCK_ID_UDP);
		return !(s->flags & SOCK_ORPHAN);
	}
	s = slab_at(&st->conns, id);
	return !(s->flags & SOCK_ORPHAN) && !(((const struct tcp_conn *)(const void *)s)->f & TF_IN_ACCEPT);
}

int sock_find(const struct berth_stack *st, berth_sock h, uint32_t *ret_id)
{
	uint32_t id = (uint32_t)h;
	const struct slab *s = id & SOCK_ID_UDP ? &st->udps : &st->conns;

	if (!slab_is(s, id & ~SOCK_ID_UDP, (uint32_t)(h >> 32)) || !is_shown(st, id))
		return -EBADF;
	*ret_id = id;
	return 0;
}

int sock_find_tcp(const struct berth_stack *st, berth_sock h, uint32_t *ret_index)
{
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	if (id & SOCK_ID_UDP)
		return -EOPNOTSUPP;
	*ret_index = id;
	return 0;
}

static int find_udp(const struct berth_stack *st, berth_sock h, uint32_t *ret_index)
{
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	if (!(id & SOCK_ID_UDP))
		return -EPROTO;
	*ret_index = id & ~SOCK_ID_UDP;
	return 0;
}

void sock_init(struct sock *s, int proto, int family, uint64_t user)
{
	s->proto = (uint8_t)proto;
	s->family = (uint8_t)family;
	s->user = user;
	s->claim = PORT_REF_NONE;
}

int berth_sock_open(struct berth_stack *st, int proto, int family, uint64_t user, berth_sock *ret)
{
	uint32_t i, id;
	int r;

	if (family != BERTH_IPV4 && family != BERTH_IPV6)
		return -EAFNOSUPPORT;
	if (proto != BERTH_TCP && proto != BERTH_UDP)
		return -EPROTONOSUPPORT;
	r = proto == BERTH_TCP ? tcp_open(st, family, user, &i) : udp_open(st, family, user, &i);
	if (r < 0)
		return r;
	id = proto == BERTH_TCP ? i : i | SOCK_ID_UDP;
	*ret = sock_handle(st, id);
	return 0;
}

/* --- who has something to send --- */
void sock_unready(struct berth_stack *st, uint32_t id)
{
	struct sock *s = sock_at(st, id);

	if (s->flags & SOCK_WAITING)
		sock_list_remove(st, &st->waiting, id, false);
	else if (s->flags & SOCK_TX_QUEUED)
		sock_list_remove(st, &st->ready, id, false);
	s->flags &= ~(uint32_t)(SOCK_TX_QUEUED | SOCK_WAITING);
}

void sock_ready(struct berth_stack *st, uint32_t id)
{
	struct sock *s = sock_at(st, id);

	if ((s->flags & (SOCK_TX_QUEUED | SOCK_WAITING)) == SOCK_TX_QUEUED)
		return;
	sock_unready(st, id);
	s->flags |= SOCK_TX_QUEUED;
	sock_list_add(st, &st->ready, id, false);
}

void sock_wait(struct berth_stack *st, uint32_t id)
{
	sock_unready(st, id);
	sock_at(st, id)->flags |= SOCK_TX_QUEUED | SOCK_WAITING;
	sock_list_add(st, &st->waiting, id, false);
}

void sock_turn(struct berth_stack *st, uint32_t id)
{
	if (st->ready.last == id)
		return;
	sock_list_remove(st, &st->ready, id, false);
	sock_list_add(st, &st->ready, id, false);
}

void sock_wake_waiting(struct berth_stack *st)
{
	while (st->waiting.first != NIL)
		sock_ready(st, st->waiting.first);
}

/* --- addresses --- */
struct berth_addr addr_public(const struct port_addr *a, uint16_t port)
{
	struct berth_addr r = {.scope = a->scope, .port = port};

	memcpy(r.ip, a->b, sizeof(r.ip));
	return r;
}

static struct port_addr any_of(const struct sock *s)
{
	return s->family == PORT_FAMILY_6 ? PORT_ADDR_ANY6 : PORT_ADDR_ANY4;
}

/* Scope is for link-local addresses; a socket that is bound to an interface means that one. */
static void scope_mend(const struct sock *s, struct port_addr *a)
{
	if (!port_addr_is_linklocal6(a))
		a->scope = 0;
	else if (a->scope == 0)
		a->scope = s->bind_iface;
}

int sock_peer(const struct sock *s, const struct berth_addr *a, struct port_addr *ret)
{
	struct port_addr p = addr_of(a);

	if (s->family == PORT_FAMILY_4 && port_addr_is_any(&p))
		p = PORT_ADDR_ANY4;
	if (s->family == PORT_FAMILY_4 && !port_addr_is4(&p))
		return -EAFNOSUPPORT;
	if (port_addr_is4(&p) && (s->flags & SOCK_V6ONLY) && s->family == PORT_FAMILY_6)
		return -ENETUNREACH;
	if (port_addr_is_any(&p))
		p = port_addr_is4(&p) ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
	scope_mend(s, &p);
	if (port_addr_is_linklocal6(&p) && p.scope == 0)
		return -EINVAL;
	*ret = p;
	return 0;
}

/* --- ports --- */
struct port_want sock_want(const struct berth_stack *st, const struct sock *s, uint32_t id)
{
	struct port_want w = {
		.proto = s->proto == BERTH_UDP ? PORT_UDP : PORT_TCP,
		.family = (enum port_family)s->family,
		.addr = any_of(s),
		.dev = s->bind_iface,
		.range = s->range,
		.user = id,
	};

	(void)st;
	if (s->flags & SOCK_REUSEADDR)
		w.flags |= PORT_REUSEADDR;
	if (s->flags & SOCK_REUSEPORT)
		w.flags |= PORT_REUSEPORT;
	if (s->flags & SOCK_V6ONLY)
		w.flags |= PORT_V6ONLY;
	if (s->flags & SOCK_FREEBIND)
		w.flags |= PORT_FREEBIND;
	return w;
}

int sock_placed(struct berth_stack *st, int r)
{
	st->n.no_places += r == -ENOBUFS;
	return r;
}

void sock_release(struct berth_stack *st, struct sock *s)
{
	if (s->claim.generation == 0)
		return;
	/* The table is ours alone: a claim we hold is there. */
	ASSERT(port_table_release(&st->ports, s->claim) == 0);
	s->claim = PORT_REF_NONE;
}

static bool may_be_bound(const struct berth_stack *st, const struct port_addr *a)
{
	if (ip_is_local(st, a))
		return true;
	for (uint16_t i = 0; i < st->cfg.n_ifaces; i++)
		if (ip_is_broadcast(st, i, a))
			return true;
	return false;
}

int berth_sock_bind(struct berth_stack *st, berth_sock h, const struct berth_addr *a)
{
	struct port_want w;
	struct sock *s;
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	s = sock_at(st, id);
	w = sock_want(st, s, id);
	w.addr = addr_of(a);
	w.port = a->port;
	if (s->family == PORT_FAMILY_4 && port_addr_is_any(&w.addr))
		w.addr = PORT_ADDR_ANY4;
	if (s->family == PORT_FAMILY_4 && !port_addr_is4(&w.addr))
		return -EAFNOSUPPORT;
	scope_mend(s, &w.addr);
	if (may_be_bound(st, &w.addr))
		w.flags |= PORT_FREEBIND;
	if (!(id & SOCK_ID_UDP) && tcp_at(st, id)->state != TCP_CLOSED)
		return -EINVAL; /* connected or connecting: C3, 7 */
	r = sock_placed(st, port_table_bind(&st->ports, s->claim, &w, stack_now_us(st), &s->claim, NULL));
	if (r < 0)
		return r;
	if (id & SOCK_ID_UDP)
		udp_bound(st, id & ~SOCK_ID_UDP);
	return 0;
}

int berth_sock_listen(struct berth_stack *st, berth_sock h, unsigned backlog)
{
	uint32_t i;
	int r = sock_find_tcp(st, h, &i);

	return r < 0 ? r : tcp_listen(st, i, backlog);
}

int berth_sock_accept(struct berth_stack *st, berth_sock h, uint64_t user, berth_sock *ret, struct berth_addr *ret_peer)
{
	struct tcp_work image;
	uint32_t i, child;
	struct tcp_conn *c;
	int r = sock_find_tcp(st, h, &i);

	if (r == 0)
		r = tcp_accept(st, i, &child);
	if (r < 0)
		return r;
	c = tcp_at(st, child);
	c->s.user = user;
	*ret = sock_handle(st, child);
	if (ret_peer != NULL) {
		bool lent = tcp_work_lend(st, c, &image);

		*ret_peer = addr_public(&c->w->peer, c->w->peer_port);
		if (lent)
			c->w = NULL;
	}
	tcp_work_done(st, c);
	return 0;
}

int berth_sock_connect(struct berth_stack *st, berth_sock h, const struct berth_addr *peer)
{
	struct port_addr to;
	struct berth_addr clean;
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	if (peer == NULL)
		return id & SOCK_ID_UDP ? udp_connect(st, id & ~SOCK_ID_UDP, NULL) : -EINVAL;
	r = sock_peer(sock_at(st, id), peer, &to);
	if (r < 0)
		return r;
	clean = addr_public(&to, peer->port);
	return id & SOCK_ID_UDP ? udp_connect(st, id & ~SOCK_ID_UDP, &clean) : tcp_connect(st, id, &clean);
}

int berth_sock_names(struct berth_stack *st, berth_sock h, struct berth_addr *ret_local, struct berth_addr *ret_peer)
{
	struct port_claim c = {0};
	const struct sock *s;
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	s = sock_at(st, id);
	if (s->claim.generation == 0)
		c.addr = any_of(s);
	else
		r = port_table_get(&st->ports, s->claim, &c);
	ASSERT(r == 0);
	if (ret_peer != NULL) {
		if (c.state != CLAIM_CONNECTED && c.state != CLAIM_ACCEPTED)
			return -ENOTCONN;
		*ret_peer = addr_public(&c.peer, c.peer_port);
	}
	if (ret_local != NULL)
		*ret_local = addr_public(&c.addr, c.port);
	return 0;
}

/* --- the end --- */
int berth_sock_shutdown(struct berth_stack *st, berth_sock h, int how)
{
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	if (how <= 0 || how > (BERTH_SHUT_RD | BERTH_SHUT_WR))
		return -EINVAL;
	return id & SOCK_ID_UDP ? udp_shutdown(st, id & ~SOCK_ID_UDP, how) : tcp_shutdown(st, id, how);
}

static int end(struct berth_stack *st, berth_sock h, int (*tcp)(struct berth_stack *, uint32_t))
{
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	return id & SOCK_ID_UDP ? udp_close(st, id & ~SOCK_ID_UDP) : tcp(st, id);
}

int berth_sock_close(struct berth_stack *st, berth_sock h)
{
	return end(st, h, tcp_close);
}

int berth_sock_abort(struct berth_stack *st, berth_sock h)
{
	return end(st, h, tcp_abort);
}

int berth_sock_poll(struct berth_stack *st, berth_sock h)
{
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	return id & SOCK_ID_UDP ? udp_poll(st, id & ~SOCK_ID_UDP) : tcp_poll(st, id);
}

/* --- options that both have --- */
static int flag_set(struct sock *s, uint32_t flag, uint64_t value)
{
	s->flags = value ? s->flags | flag : s->flags & ~flag;
	return 0;
}

/* They may change when the port is bound, for those who come later (docs/linux-bind.md, D3). */
static int reuse_set(struct berth_stack *st, struct sock *s, uint32_t flag, uint16_t port_flag, uint64_t value)
{
	int r = 0;

	if (s->claim.generation != 0)
		r = sock_placed(st, port_table_set_flags(&st->ports, s->claim, port_flag, value ? port_flag : 0));
	return r < 0 ? r : flag_set(s, flag, value);
}

static int range_set(struct sock *s, uint64_t value)
{
	struct port_range r = {(uint16_t)value, (uint16_t)(value >> 16)};

	if (value >> 32 != 0 || (r.first != 0 && r.last != 0 && r.first > r.last))
		return -EINVAL;
	s->range = r;
	return 0;
}

static int common_set(struct berth_stack *st, struct sock *s, enum berth_option o, uint64_t value)
{
	bool bound = s->claim.generation != 0;

	switch ((int)o) {
	case BERTH_REUSEADDR:
		return reuse_set(st, s, SOCK_REUSEADDR, PORT_REUSEADDR, value);
	case BERTH_REUSEPORT:
		return reuse_set(st, s, SOCK_REUSEPORT, PORT_REUSEPORT, value);
	case BERTH_V6ONLY:
		if (s->family != PORT_FAMILY_6)
			return -ENOPROTOOPT;
		return bound ? -EINVAL : flag_set(s, SOCK_V6ONLY, value);
	case BERTH_PUBLIC_SOURCE:
		return s->family == PORT_FAMILY_6 ? flag_set(s, SOCK_PUBLIC, value) : -ENOPROTOOPT;
	case BERTH_FREEBIND:
		return flag_set(s, SOCK_FREEBIND, value);
	case BERTH_BROADCAST:
		return flag_set(s, SOCK_BROADCAST, value);
	case BERTH_BIND_IFACE:
		if (bound || value > st->cfg.n_ifaces)
			return bound ? -EINVAL : -ENODEV;
		s->bind_iface = (uint8_t)value;
		return 0;
	case BERTH_LOCAL_PORTS:
		return range_set(s, value);
	case BERTH_TTL:
		if (value > 255)
			return -EINVAL;
		s->ttl = (uint8_t)value;
		return 0;
	case BERTH_TOS:
		if (value > 255)
			return -EINVAL;
		s->tos = (uint8_t)(s->proto == BERTH_TCP ? value & 0xfc : value);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int common_get(struct sock *s, enum berth_option o, uint64_t *ret)
{
	switch ((int)o) {
	case BERTH_SO_ERROR:
		*ret = (uint64_t)-s->err;
		s->err = 0;
		return *ret == 0 && s->proto == BERTH_TCP ? -ENOPROTOOPT : 0; /* TCP may know of a soft one */
	case BERTH_REUSEADDR:
		*ret = (s->flags & SOCK_REUSEADDR) != 0;
		return 0;
	case BERTH_REUSEPORT:
		*ret = (s->flags & SOCK_REUSEPORT) != 0;
		return 0;
	case BERTH_V6ONLY:
		*ret = (s->flags & SOCK_V6ONLY) != 0;
		return s->family == PORT_FAMILY_6 ? 0 : -ENOPROTOOPT;
	case BERTH_PUBLIC_SOURCE:
		*ret = (s->flags & SOCK_PUBLIC) != 0;
		return s->family == PORT_FAMILY_6 ? 0 : -ENOPROTOOPT;
	case BERTH_FREEBIND:
		*ret = (s->flags & SOCK_FREEBIND) != 0;
		return 0;
	case BERTH_BROADCAST:
		*ret = (s->flags & SOCK_BROADCAST) != 0;
		return 0;
	case BERTH_BIND_IFACE:
		*ret = s->bind_iface;
		return 0;
	case BERTH_LOCAL_PORTS:
		*ret = s->range.first | (uint64_t)s->range.last << 16;
		return 0;
	case BERTH_TTL:
		*ret = s->ttl;
		return 0;
	case BERTH_TOS:
		*ret = s->tos;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int berth_sock_set(struct berth_stack *st, berth_sock h, enum berth_option o, uint64_t value)
{
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	r = common_set(st, sock_at(st, id), o, value);
	if (r != -ENOPROTOOPT || o == BERTH_SO_ERROR)
		return r;
	return id & SOCK_ID_UDP ? udp_set(st, id & ~SOCK_ID_UDP, o, value) : tcp_set(st, id, o, value);
}

int berth_sock_get(struct berth_stack *st, berth_sock h, enum berth_option o, uint64_t *ret)
{
	uint64_t value = 0;
	uint32_t id;
	int r = sock_find(st, h, &id);

	if (r < 0)
		return r;
	r = common_get(sock_at(st, id), o, &value);
	if (r == -ENOPROTOOPT)
		r = id & SOCK_ID_UDP ? udp_get(st, id & ~SOCK_ID_UDP, o, &value) : tcp_get(st, id, o, &value);
	if (r == 0)
		*ret = value;
	return r;
}

/* --- groups: UDP's --- */
int berth_sock_join(struct berth_stack *st, berth_sock h, const struct berth_addr *group, uint16_t iface)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	return r < 0 ? r : udp_join(st, i, group, iface);
}

int berth_sock_leave(struct berth_stack *st, berth_sock h, const struct berth_addr *group, uint16_t iface)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	return r < 0 ? r : udp_leave(st, i, group, iface);
}

int berth_sock_source(struct berth_stack *st, berth_sock h, enum berth_source_change change,
		      const struct berth_addr *group, const struct berth_addr *source, uint16_t iface)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	return r < 0 ? r : udp_source(st, i, change, group, source, iface);
}

int berth_sock_set_filter(struct berth_stack *st, berth_sock h, const struct berth_addr *group, uint16_t iface,
			  enum berth_filter_mode mode, const struct berth_addr *sources, unsigned n)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	return r < 0 ? r : udp_set_filter(st, i, group, iface, mode, sources, n);
}

int berth_sock_get_filter(struct berth_stack *st, berth_sock h, const struct berth_addr *group, uint16_t iface,
			  enum berth_filter_mode *ret_mode, struct berth_addr *sources, unsigned *n)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	return r < 0 ? r : udp_get_filter(st, i, group, iface, ret_mode, sources, n);
}

int berth_sock_udp_send(struct berth_stack *st, berth_sock h, const struct berth_dgram *v, unsigned n)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	if (r < 0)
		return r == -EPROTO ? -EOPNOTSUPP : r;
	return udp_send_many(st, i, v, n);
}

int berth_sock_udp_recv(struct berth_stack *st, berth_sock h, struct berth_dgram *v, unsigned n)
{
	uint32_t i;
	int r = find_udp(st, h, &i);

	if (r < 0)
		return r == -EPROTO ? -EOPNOTSUPP : r;
	return udp_recv_many(st, i, v, n);
}

/* --- all of them --- */
int berth_sock_next(struct berth_stack *st, uint32_t *cursor, berth_sock *ret)
{
	for (; *cursor < st->conns.n_max + st->udps.n_max; ++*cursor) {
		uint32_t i = *cursor, id = i < st->conns.n_max ? i : (i - st->conns.n_max) | SOCK_ID_UDP;

		if (!slab_used(id & SOCK_ID_UDP ? &st->udps : &st->conns, id & ~SOCK_ID_UDP) || !is_shown(st, id))
			continue;
		*ret = sock_handle(st, id);
		++*cursor;
		return 1;
	}
	return 0;
}

/* --- the checker --- */
static bool claim_check(const struct berth_stack *st, const struct sock *s, uint32_t id)
{
	uint64_t user;

	return s->claim.generation == 0 || (port_table_get_user(&st->ports, s->claim, &user) == 0 && user == id);
}

bool sock_check(const struct berth_stack *st)
{
	uint32_t n[3], want[3] = {0};

	if (!sock_list_check(st, &st->events, true, SOCK_EV_QUEUED, &n[0]) ||
	    !sock_list_check(st, &st->ready, false, SOCK_TX_QUEUED, &n[1]) ||
	    !sock_list_check(st, &st->waiting, false, SOCK_WAITING, &n[2]))
		return false;
	for (uint32_t at = 0; at < st->conns.n_max + st->udps.n_max; at++) {
		uint32_t id = at < st->conns.n_max ? at : (at - st->conns.n_max) | SOCK_ID_UDP;
		const struct slab *slab = id & SOCK_ID_UDP ? &st->udps : &st->conns;
		const struct sock *s;

		if (!slab_used(slab, id & ~SOCK_ID_UDP))
			continue;
		s = slab_at(slab, id & ~SOCK_ID_UDP);
		want[0] += (s->flags & SOCK_EV_QUEUED) != 0;
		want[1] += (s->flags & (SOCK_TX_QUEUED | SOCK_WAITING)) == SOCK_TX_QUEUED;
		want[2] += (s->flags & SOCK_WAITING) != 0;
		if (s->proto != (id & SOCK_ID_UDP ? BERTH_UDP : BERTH_TCP) || !claim_check(st, s, id))
			return false;
	}
	return memcmp(n, want, sizeof(n)) == 0;
}
