/* src/stack/tcp_open.c: active opens: the four-tuple from the heart, the first sequence number, the SYN's state.
 *
 * connect() asks the routes for a source address and the heart for a port: the same claims, conflicts and choice as everywhere in
 * berth (port_table_connect()). The SYN itself is sent by tcp_out.c when the socket's turn comes, and sent again by the board.
 *
 * A first sequence number is a keyed hash of the four-tuple plus a clock of 64 ns (RFC 6528; RFC 9293, MUST-8: at most 4 us): a new
 * connection's numbers lie above those of an earlier one of the same four-tuple, and tell nothing about another's. A timestamp's
 * offset is a keyed hash of the two addresses only (RFC 7323, 5.4), so that the clock goes on from connection to connection, which
 * TIME-WAIT's reuse needs (RFC 6191).
 */
#include <errno.h>
#include <string.h>

#include "stack/tcp_control.h"

uint32_t tcp_isn(struct berth_stack *st, const struct port_addr *local, uint16_t local_port,
		 const struct port_addr *peer, uint16_t peer_port)
{
	uint8_t k[36];

	memcpy(k, local->b, 16);
	memcpy(k + 16, peer->b, 16);
	wire_put16(k + 32, local_port);
	wire_put16(k + 34, peer_port);
	return (uint32_t)siphash24(&st->keys.isn, k, sizeof(k)) + (uint32_t)(st->now_ns >> 6);
}

uint32_t tcp_ts_offset(struct berth_stack *st, const struct port_addr *local, const struct port_addr *peer)
{
	uint8_t k[32];

	memcpy(k, local->b, 16);
	memcpy(k + 16, peer->b, 16);
	return (uint32_t)siphash24(&st->keys.ts, k, sizeof(k));
}

int tcp_setup(struct berth_stack *st, struct tcp_conn *c)
{
	int r = ip_route_find(st, &c->w->local, &c->w->peer,
			      c->s.bind_iface ? (uint16_t)(c->s.bind_iface - 1) : BERTH_IFACE_ANY, &c->w->route, NULL);

	if (r < 0)
		return r;
	if (c->rx.data == NULL) {
		r = tcp_rings_take(st, c);
		if (r < 0) {
			st->n.tcp_no_memory++;
			return -ENOBUFS;
		}
	}
	c->mss_peer = tcp_mss_of_peer(&(struct wire_tcp_options){0}, port_addr_is4(&c->w->local));
	c->ts_offset = tcp_ts_offset(st, &c->w->local, &c->w->peer);
	c->last_in_ns = st->now_ns;
	tcp_mss_update(st, c);
	return 0;
}

/* What connect() may be asked, before anything changes. */
static int may_connect(const struct tcp_conn *c)
{
	if (c->state == TCP_SYN_SENT || (c->state == TCP_SYN_RCVD && !(c->f & TF_PASSIVE)))
		return -EALREADY;
	if (c->state != TCP_CLOSED || c->f & TF_CONNECTED)
		return -EISCONN;
	return 0;
}

/* The peer's address as this socket may use it; 0.0.0.0 and :: are this host, as on Linux. */
static int peer_of(const struct tcp_conn *c, const struct berth_addr *a, struct port_addr *ret)
{
	struct port_addr peer = addr_of(a);

	if (c->s.family == PORT_FAMILY_4 && !port_addr_is4(&peer))
		return -EAFNOSUPPORT;
	if (c->s.family == PORT_FAMILY_6 && c->s.flags & SOCK_V6ONLY && port_addr_is4(&peer))
		return -ENETUNREACH;
	if (port_addr_is_any(&peer))
		peer = port_addr_is4(&peer) ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
	if (port_addr_is_multicast(&peer))
		return -ENETUNREACH;
	*ret = peer;
	return 0;
}

/* The address that a bound socket may use towards peer; NULL: any. */
static int source_of(struct berth_stack *st, const struct tcp_conn *c, const struct port_addr *peer,
		     struct port_claim *claim, const struct port_addr **ret)
{
	*ret = NULL;
	if (c->s.claim.generation == 0)
		return 0;
	if (port_table_get(&st->ports, c->s.claim, claim) < 0)
		return -EINVAL;
	if (port_addr_is_any(&claim->addr))
		return 0;
	if (port_addr_is4(&claim->addr) != port_addr_is4(peer))
		return port_addr_is4(peer) ? -ENETUNREACH : -EAFNOSUPPORT;
	*ret = &claim->addr;
	return 0;
}

/* The claim becomes the flow; a record in TIME-WAIT may be in the way (RFC 9293, MAY-2). */
static int take_flow(struct berth_stack *st, struct tcp_conn *c, uint16_t peer_port, uint32_t *ret_iss,
		     bool *ret_reused)
{
	struct port_want want = sock_want(st, &c->s, tcp_index(st, c));
	struct port_claim claim;
	int r;

	want.port = 0;
	*ret_reused = false;
	if (c->s.claim.generation != 0 && port_table_get(&st->ports, c->s.claim, &claim) == 0) {
		struct port_tuple t = {PORT_TCP, c->w->local, c->w->peer, claim.port, peer_port};

		r = tcp_wait_reuse(st, &t, ret_iss);
		if (r == -EADDRNOTAVAIL)
			return r;
		*ret_reused = r == 0;
	}
	r = port_table_connect(&st->ports, &c->s.claim, &want, &c->w->local, &c->w->peer, peer_port, st->now_ns / 1000,
			       NULL);
	r = sock_placed(st, r);
	if (r < 0)
		return r == -EUCLEAN ? -ENOBUFS : r;
	r = port_table_get(&st->ports, c->s.claim, &claim);
	ASSERT(r == 0); /* it was made a line ago, and nobody else changes the table */
	c->w->local_port = claim.port;
	c->w->peer_port = peer_port;
	return 0;
}

/* Back to what it was before connect(): also after a connect() that failed later (tcp_end()). */
void tcp_connect_undo(struct berth_stack *st, struct tcp_conn *c)
{
	struct port_owner nobody = {0};
	int r = 0;

	if (c->s.claim.generation)
		r = sock_placed(st, port_table_undo(&st->ports, c->s.claim, false, &nobody, tcp_index(st, c)));
	if (r == -ENOBUFS)
		sock_release(st, &c->s); /* what it was is a place of its own, and there is none */
	if (r != 0)
		c->s.claim = PORT_REF_NONE; /* Linux gives a port back that nobody named */
	memset(&c->w->local, 0, sizeof(c->w->local));
	memset(&c->w->peer, 0, sizeof(c->w->peer));
	c->w->peer_port = 0;
}

static int begin(struct berth_stack *st, uint32_t index, const struct berth_addr *peer)
{
	struct tcp_conn *c = tcp_at(st, index);
	const struct port_addr *src;
	struct port_claim claim;
	bool reused;
	int r = may_connect(c);

	if (r == 0 && !tcp_work_take(st, c))
		r = -ENOBUFS;
	if (r == 0)
		r = peer_of(c, peer, &c->w->peer);
	if (r == 0)
		r = source_of(st, c, &c->w->peer, &claim, &src);
	if (r == 0)
		r = ip_route_find_for(st, &c->s, src, &c->w->peer,
				      c->s.bind_iface ? (uint16_t)(c->s.bind_iface - 1) : BERTH_IFACE_ANY, &c->w->route,
				      &c->w->local);
	if (r < 0)
		return r;
	if (c->w->route.not_unicast)
		return -ENETUNREACH;
	r = take_flow(st, c, peer->port, &c->iss, &reused);
	if (r < 0)
		return r;
	r = tcp_setup(st, c);
	if (r < 0) {
		tcp_connect_undo(st, c);
		return r;
	}
	if (!reused)
		c->iss = tcp_isn(st, &c->w->local, c->w->local_port, &c->w->peer, c->w->peer_port);
	c->una = c->w->nxt = c->w->max = c->w->snd_up = c->w->snd_push = c->iss;
	c->snd_wnd = c->snd_wnd_max = 0;
	c->rcv_scale = c->refuse & TF_WSCALE ? 0 : tcp_window_scale(st, c);
	c->rcv_nxt = c->rcv_adv = c->w->rcv_acked = c->ts_recent = 0;
	c->s.err = 0;
	c->soft_err = 0;
	c->f = c->fastopen_max ? c->f | TF_FASTOPEN : c->f & ~(uint32_t)TF_FASTOPEN;
	tcp_set_state(st, c, TCP_SYN_SENT);
	tcp_flight_init(st, c);
	st->n.tcp_active_opens++;
	sock_ready(st, index);
	return -EINPROGRESS;
}

int tcp_connect(struct berth_stack *st, uint32_t index, const struct berth_addr *peer)
{
	struct tcp_conn *c = tcp_at(st, index);
	int r = begin(st, index, peer);

	if (r != -EINPROGRESS && c->state == TCP_CLOSED)
		tcp_work_give(st, c);
	return r;
}
