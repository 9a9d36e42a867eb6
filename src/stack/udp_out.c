/* src/stack/udp_out.c: what the program sends, and how it leaves.
 *
 * A send looks up the way, judges the size and the permission as the kernel does, and copies the datagram into the socket's ring. output()
 * makes frames of it: headers in the descriptor, octets in the ring. A train leaves as one super-frame where the interface can,
 * else cut; what is larger than the path's MTU leaves in fragments.
 *
 * A datagram whose neighbour is not known yet waits in the ring and lets the others pass (S19): at most WAITS of a socket, the oldest is
 * dropped for one more, and all of them for room. So a neighbour that never answers is in nobody's way.
 *
 *	QUEUED --> DONE		it left: its octets stay until the next call that is not berth_stack_output()
 *	  \--> WAITS --> DONE	the neighbour answered, or did not
 */
#include <errno.h>
#include <string.h>

#include "stack/udp.h"
#include "wire/checksum.h"
#include "wire/udp.h"

#define WAITS 8u
#define TRAIN 64u /* datagrams of one train at most, as Linux's UDP_MAX_SEGMENTS had it */

static bool is4(const struct port_addr *a)
{
	return port_addr_is4(a);
}

static uint32_t ip_len(const struct port_addr *dst)
{
	return is4(dst) ? 20 : 40;
}

/* --- the way --- */
static int way_find(struct berth_stack *st, struct udp_sock *u, const struct port_addr *dst,
		    const struct port_addr *want, uint16_t iface)
{
	struct udp_way *w = &u->way;
	bool is_public = u->s.flags & SOCK_PUBLIC;
	struct port_addr src;
	int r;

	if (w->route.epoch == st->route_epoch && w->iface == iface && port_addr_equal(&w->dst, dst) &&
	    w->is_public == is_public && (port_addr_equal(&w->want, want) || port_addr_equal(&w->src, want)))
		return 0;
	w->dst = (struct port_addr){0};
	r = ip_route_find_for(st, &u->s, port_addr_is_any(want) ? NULL : want, dst, iface, &w->route, &src);
	if (r < 0)
		return r;
	w->flow_label = 0;
	w->dst = *dst;
	w->want = *want;
	w->src = src;
	w->iface = iface;
	w->is_public = is_public;
	return 0;
}

/* --- what a send means --- */
struct wish {
	struct port_addr dst, src; /* src: a wildcard: IP chooses */
	uint16_t port, iface, gso_size;
};

static bool is_zero(const struct berth_addr *a)
{
	static const struct berth_addr zero;

	return memcmp(a->ip, zero.ip, sizeof(zero.ip)) == 0 && a->port == 0;
}

static int wish_peer(const struct udp_sock *u, const struct berth_dgram *d, struct wish *w)
{
	if (is_zero(&d->peer)) {
		if (!(u->s.flags & SOCK_CONNECTED))
			return -EDESTADDRREQ;
		w->dst = u->peer;
		w->port = u->peer_port;
		return 0;
	}
	if (d->peer.port == 0)
		return -EINVAL;
	w->port = d->peer.port;
	return sock_peer(&u->s, &d->peer, &w->dst);
}

static int wish_source(const struct udp_sock *u, const struct berth_dgram *d, struct wish *w)
{
	uint16_t bound = u->s.bind_iface != 0 ? (uint16_t)(u->s.bind_iface - 1) : BERTH_IFACE_ANY;

	if (bound != BERTH_IFACE_ANY && d->iface != BERTH_IFACE_ANY && d->iface != bound)
		return -EINVAL;
	w->iface = d->iface != BERTH_IFACE_ANY ? d->iface : bound;
	if (w->iface == BERTH_IFACE_ANY && port_addr_is_multicast(&w->dst) && u->mcast_iface != 0)
		w->iface = (uint16_t)(u->mcast_iface - 1);
	w->src = is_zero(&d->local) ? u->local : addr_of(&d->local);
	/* A group, or a wildcard of either family, is no source. */
	if (port_addr_is_any(&w->src) || (is_zero(&d->local) && port_addr_is_multicast(&w->src)))
		w->src = PORT_ADDR_ANY6;
	else if (is4(&w->src) != is4(&w->dst))
		return -EINVAL;
	return 0;
}

/* -EMSGSIZE: it cannot go, or may not go in pieces. */
static int size_ok(const struct udp_sock *u, const struct wish *w, uint32_t len)
{
	uint32_t most = is4(&w->dst) ? 65535 - 20 - WIRE_UDP_LEN : 65535 - WIRE_UDP_LEN;
	uint32_t room = u->way.route.mtu_bytes - ip_len(&w->dst) - WIRE_UDP_LEN;

	if (len > most || udp_record_bytes(len) > u->tx.size)
		return -EMSGSIZE;
	if (w->gso_size != 0) {
		if ((len + w->gso_size - 1) / w->gso_size > TRAIN)
			return -EINVAL;
		return w->gso_size > room ? -EMSGSIZE : 0;
	}
	return len > room && u->pmtu_disc >= 2 ? -EMSGSIZE : 0;
}

static int port_needed(struct berth_stack *st, struct udp_sock *u, uint32_t index)
{
	struct port_want w = sock_want(st, &u->s, index | SOCK_ID_UDP);
	int r;

	if (u->s.claim.generation != 0)
		return 0;
	r = sock_placed(st, port_table_bind(&st->ports, u->s.claim, &w, stack_now_us(st), &u->s.claim, NULL));
	if (r < 0)
		return r == -EADDRINUSE ? -EAGAIN : r;
	udp_bound(st, index);
	return 0;
}

/* --- room --- */
void udp_reclaim(struct berth_stack *st, struct udp_sock *u)
{
	(void)st;
	while (u->tx.used > 0) {
		const struct udp_record *rec = udp_ring_at(&u->tx, 0);
		uint32_t bytes = udp_record_bytes(rec->len);

		if (rec->state != UDP_DONE || rec->pins > 0)
			return;
		udp_ring_drop(&u->tx);
		u->tx_at -= bytes;
	}
}

static void done(struct udp_sock *u, struct udp_record *rec)
{
	if (rec->state == UDP_WAITS)
		u->n_wait--;
	rec->state = UDP_DONE;
}

/* The first record that waits, from the head on, gives way. */
static void drop_oldest_wait(struct berth_stack *st, struct udp_sock *u)
{
	for (uint32_t at = 0; at < u->tx.used;) {
		struct udp_record *rec = udp_ring_at(&u->tx, at);

		if (rec->state == UDP_WAITS) {
			done(u, rec);
			st->n.neigh_failed++;
			return;
		}
		at += udp_record_bytes(rec->len);
	}
}

static bool room_for(struct berth_stack *st, struct udp_sock *u, uint32_t bytes)
{
	udp_reclaim(st, u);
	while (udp_ring_free(&u->tx) < bytes && u->n_wait > 0) {
		drop_oldest_wait(st, u);
		udp_reclaim(st, u);
	}
	return udp_ring_free(&u->tx) >= bytes;
}

/* --- the calls --- */
static int send_one(struct berth_stack *st, uint32_t index, const struct berth_dgram *d)
{
	struct udp_sock *u = udp_at(st, index);
	struct wish w = {.gso_size = d->gso_size < d->len ? d->gso_size : 0};
	struct udp_record *rec;
	uint32_t at;
	int r;

	if (d->data == NULL && d->len > 0)
		return -EFAULT;
	r = wish_peer(u, d, &w);
	if (r == 0)
		r = wish_source(u, d, &w);
	if (r == 0)
		r = way_find(st, u, &w.dst, &w.src, w.iface);
	if (r < 0)
		return r;
	if (u->way.route.not_unicast && !port_addr_is_multicast(&w.dst) && !(u->s.flags & SOCK_BROADCAST))
		return -EACCES;
	r = size_ok(u, &w, d->len);
	if (r == 0)
		r = port_needed(st, u, index);
	if (r < 0)
		return r;
	if (!room_for(st, u, udp_record_bytes(d->len))) {
		u->blocked = true;
		return -EAGAIN;
	}
	rec = udp_ring_add(&u->tx, d->len, &at);
	rec->gso_size = w.gso_size;
	rec->iface = w.iface;
	rec->peer_port = w.port;
	rec->local_port = u->local_port;
	rec->ttl = d->ttl;
	rec->tos = d->tos;
	rec->peer = w.dst;
	rec->local = u->way.src;
	udp_ring_write(&u->tx, at, 0, d->data, d->len);
	sock_ready(st, index | SOCK_ID_UDP);
	return 0;
}

int udp_send_many(struct berth_stack *st, uint32_t index, const struct berth_dgram *v, unsigned n)
{
	struct udp_sock *u = udp_at(st, index);

	if (u->s.flags & SOCK_SHUT_WR)
		return -EPIPE;
	if (u->s.err != 0) {
		int err = u->s.err;

		u->s.err = 0;
		return err;
	}
	for (unsigned i = 0; i < n && i < INT32_MAX; i++) {
		int r = send_one(st, index, &v[i]);

		if (r < 0)
			return i > 0 ? (int)i : r;
	}
	return (int)(n < INT32_MAX ? n : INT32_MAX);
}

int64_t udp_send(struct berth_stack *st, uint32_t index, const void *data, uint32_t len)
{
	struct berth_dgram d = {.len = len, .iface = BERTH_IFACE_ANY};
	int r;

	memcpy(&d.data, &data, sizeof(data)); /* a send does not write there */
	r = udp_send_many(st, index, &d, 1);
	return r < 0 ? r : (int64_t)len;
}

/* --- frames --- */
static void pin(struct berth_stack *st, struct udp_sock *u, uint32_t index, uint32_t at, struct berth_tx *v)
{
	uint64_t place = ((u->tx.head + at) & (u->tx.size - 1)) / 64;

	v->pin = PIN_NOT_TCP | PIN_UDP | (uint64_t)index << 44 | place << 20 | (st->udps.generation[index] & 0xfffff);
	udp_ring_at(&u->tx, at)->pins++;
	u->n_pins++;
	st->n_pinned++;
}

/* The UDP header for len octets of data that lie in v's parts, and who does its checksum. */
static void put_header(struct berth_stack *st, const struct udp_sock *u, const struct udp_record *rec, uint32_t len,
		       bool whole, struct berth_tx *v)
{
	uint8_t *h = v->head + v->head_len;
	uint32_t sum = 0, at = 0;

	wire_put16(h, rec->local_port);
	wire_put16(h + 2, rec->peer_port);
	wire_put16(h + 4, (uint16_t)(WIRE_UDP_LEN + len));
	wire_put16(h + 6, 0);
	if ((u->s.flags & SOCK_NO_CHECKSUM) && is4(&rec->peer) && v->gso == BERTH_GSO_NONE) {
		v->head_len += WIRE_UDP_LEN;
		return;
	}
	if (whole && ip_iface_can(st, v->iface, BERTH_IF_TX_CSUM)) {
		wire_checksum_defer(&rec->local, &rec->peer, BERTH_UDP, h, WIRE_UDP_LEN, len);
		v->flags = BERTH_F_NEEDS_CSUM;
		v->csum_start = v->head_len;
		v->csum_offset = 6;
	} else {
		for (unsigned i = 0; i < v->n_parts; at += v->parts[i].len, i++)
			sum = wire_sum_at(sum, at, v->parts[i].data, v->parts[i].len);
		wire_checksum_fill(&rec->local, &rec->peer, BERTH_UDP, h, WIRE_UDP_LEN, sum, len);
	}
	v->head_len += WIRE_UDP_LEN;
}

static struct ip_head head_for(const struct udp_sock *u, const struct udp_record *rec, uint32_t len)
{
	struct ip_head h = {.src = &rec->local, .dst = &rec->peer, .proto = BERTH_UDP, .l4_len = WIRE_UDP_LEN + len};

	h.ttl = rec->ttl != 0 ? rec->ttl : port_addr_is_multicast(&rec->peer) ? u->mcast_ttl : u->s.ttl;
	h.tos = rec->tos != 0 ? rec->tos : u->s.tos;
	return h;
}

/* Of what goes the way that was found for rec. A hash for each datagram would be felt, one for each change of destination is not. */
static uint32_t flow_label(const struct berth_stack *st, struct udp_sock *u, const struct udp_record *rec)
{
	struct udp_way *w = &u->way;
	struct port_tuple t;

	if (is4(&rec->peer))
		return 0;
	if (w->flow_label == 0 || w->label_from != rec->local_port || w->label_to != rec->peer_port) {
		t = (struct port_tuple){PORT_UDP, rec->local, rec->peer, rec->local_port, rec->peer_port};
		w->flow_label = ip_flow_label(st, &t);
		w->label_from = rec->local_port;
		w->label_to = rec->peer_port;
	}
	return w->flow_label;
}

/* A router may find it too big: its name is kept, so that an error about it can be told from a lie. */
static void remember(struct berth_stack *st, const struct udp_sock *u, uint32_t at, const struct ip_head *h,
		     const struct berth_tx *v, bool train)
{
	const struct udp_record *rec = udp_ring_at(&u->tx, at);
	uint8_t udp[WIRE_UDP_LEN], data[UDP_QUOTE_DATA];
	struct udp_quote q = {&rec->local, &rec->peer, udp, data, h->id};

	memcpy(udp, v->head + v->head_len - WIRE_UDP_LEN, sizeof(udp));
	if (train)
		wire_put16(udp + 4, (uint16_t)(WIRE_UDP_LEN + rec->gso_size)); /* of each, as the device cuts it */
	udp_ring_read(&u->tx, at, rec->at, data, sizeof(data));
	udp_sent_note(st, &q, v->flags & BERTH_F_NEEDS_CSUM, train);
}

/* May a router find a datagram of len octets too big, and say so? */
static bool may_be_too_big(const struct berth_stack *st, const struct udp_sock *u, const struct udp_record *rec,
			   uint32_t len)
{
	return ip_len(&rec->peer) + WIRE_UDP_LEN + len > pmtu_floor(&rec->peer) &&
	       (u->pmtu_disc != 0 || !is4(&rec->peer)) && !u->way.route.not_unicast &&
	       !ip_loops(st, u->way.route.iface);
}

static void tx_begin(struct berth_tx *v, const struct ip_route *rt)
{
	v->n_parts = 0;
	v->head_len = 0;
	v->iface = rt->iface;
	v->gso = BERTH_GSO_NONE;
	v->flags = 0;
	v->gso_size = v->hdr_len = v->csum_start = v->csum_offset = 0;
	v->pin = 0;
}

/* One datagram, or a train that the interface cuts. */
static void frame_whole(struct berth_stack *st, struct udp_sock *u, uint32_t at, uint32_t len, bool super,
			struct berth_tx *v)
{
	struct udp_record *rec = udp_ring_at(&u->tx, at);
	struct ip_head h = head_for(u, rec, len);

	bool noted = may_be_too_big(st, u, rec, super ? rec->gso_size : len);

	h.dont_fragment = u->pmtu_disc != 0;
	h.flow_label = flow_label(st, u, rec);
	if (noted)
		h.id = udp_sent_id(st, super);
	v->n_parts = (uint16_t)udp_ring_parts(&u->tx, at, rec->at, len, v->parts);
	v->head_len = (uint16_t)ip_head_put(st, &u->way.route, &h, v->head);
	v->gso = super ? BERTH_GSO_UDP : BERTH_GSO_NONE;
	put_header(st, u, rec, len, true, v);
	if (noted)
		remember(st, u, at, &h, v, super);
	if (super) {
		v->gso_size = rec->gso_size;
		v->hdr_len = v->head_len;
	}
	v->len = v->head_len + len;
	rec->at += len;
}

static void frame_fragment(struct berth_stack *st, struct udp_sock *u, uint32_t at, struct berth_tx *v)
{
	struct udp_record *rec = udp_ring_at(&u->tx, at);
	struct ip_head h = head_for(u, rec, rec->len);
	uint32_t from = rec->at == 0 ? 0 : rec->at + WIRE_UDP_LEN, len;

	h.flow_label = flow_label(st, u, rec);
	if (from == 0)
		rec->id = ip_fragment_id(st, &h);
	v->head_len = (uint16_t)ip_fragment_put(st, &u->way.route, &h, rec->id, from, v->head, &len);
	if (from == 0) {
		/* Its checksum is the whole datagram's. */
		v->n_parts = (uint16_t)udp_ring_parts(&u->tx, at, 0, rec->len, v->parts);
		put_header(st, u, rec, rec->len, false, v);
		if (!is4(&rec->peer) && may_be_too_big(st, u, rec, rec->len))
			remember(st, u, at, &h, v, false);
		len -= WIRE_UDP_LEN;
	}
	v->n_parts = (uint16_t)udp_ring_parts(&u->tx, at, rec->at, len, v->parts);
	v->len = v->head_len + len;
	rec->at += len;
	st->n.frag_out++;
}

/* false: it does not fit any more (the path's MTU went down), and may not be cut. */
static bool frame(struct berth_stack *st, struct udp_sock *u, uint32_t index, uint32_t at, struct berth_tx *v)
{
	const struct udp_record *rec = udp_ring_at(&u->tx, at);
	const struct ip_route *rt = &u->way.route;
	uint32_t left = rec->len - rec->at, room = rt->mtu_bytes - ip_len(&rec->peer) - WIRE_UDP_LEN;

	tx_begin(v, rt);
	if (rec->gso_size != 0) {
		bool super = left > rec->gso_size && rec->gso_size <= room &&
			     ip_iface_can(st, rt->iface, BERTH_IF_USO | BERTH_IF_TX_CSUM) &&
			     ip_len(&rec->peer) + WIRE_UDP_LEN + left <= ip_iface_gso_max(st, rt->iface);
		uint32_t len = super || left < rec->gso_size ? left : rec->gso_size;

		if (!super && len > room)
			return false;
		frame_whole(st, u, at, len, super, v);
	} else if (rec->len <= room && rec->at == 0) { /* the MTU may have grown since the first fragment */
		frame_whole(st, u, at, rec->len, false, v);
	} else if (u->pmtu_disc >= 2) {
		return false;
	} else {
		frame_fragment(st, u, at, v);
	}
	if (st->cfg.flags & BERTH_STACK_PIN && v->n_parts > 0)
		pin(st, u, index, at, v);
	return true;
}

/* What goes to a group we are in, or to all, is for ourselves, too. */
static void hear_ourselves(struct berth_stack *st, const struct udp_sock *u, uint32_t at)
{
	const struct udp_record *rec = udp_ring_at(&u->tx, at);
	const struct ip_route *rt = &u->way.route;
	struct port_addr group = rec->peer;
	struct berth_part parts[2];
	uint8_t head[WIRE_UDP_LEN] = {0};
	struct packet p = {.src = rec->local,
			   .dst = rec->peer,
			   .l4 = head,
			   .l4_head = sizeof(head),
			   .l4_len = WIRE_UDP_LEN + rec->len,
			   .parts = parts,
			   .iface = rt->iface,
			   .gso = rec->gso_size != 0 ? BERTH_GSO_UDP : BERTH_GSO_NONE,
			   .gso_size = rec->gso_size,
			   .proto = BERTH_UDP,
			   .csum_known = true,
			   .not_unicast = true};
	struct ip_head h = head_for(u, rec, rec->len);

	group.scope = 0;
	if (port_addr_is_multicast(&rec->peer) &&
	    ((u->s.flags & SOCK_MCAST_NO_LOOP) || !group_takes(st, rt->iface, &group, &rec->local)))
		return;
	p.ttl = h.ttl;
	p.tos = h.tos;
	p.n_parts = (uint16_t)udp_ring_parts(&u->tx, at, 0, rec->len, parts);
	udp_deliver_all(st, &p, rec->local_port, rec->peer_port, rec->len);
}

static void fail(struct berth_stack *st, struct udp_sock *u, uint32_t index, struct udp_record *rec, int err)
{
	if (err == -EHOSTUNREACH)
		st->n.neigh_failed++;
	else
		st->n.dropped_no_route++;
	done(u, rec);
	if (u->s.flags & SOCK_CONNECTED) {
		u->s.err = (int16_t)err;
		event_add(st, index | SOCK_ID_UDP, BERTH_EV_ERR);
	}
}

static void wait_for_neigh(struct berth_stack *st, struct udp_sock *u, struct udp_record *rec)
{
	if (rec->state == UDP_WAITS)
		return;
	if (u->n_wait == WAITS)
		drop_oldest_wait(st, u);
	rec->state = UDP_WAITS;
	u->n_wait++;
}

/* At most n frames of one record. */
static unsigned output_record(struct berth_stack *st, struct udp_sock *u, uint32_t index, uint32_t at,
			      struct berth_tx *v, unsigned n)
{
	struct udp_record *rec = udp_ring_at(&u->tx, at);
	unsigned made = 0;
	int r = way_find(st, u, &rec->peer, &rec->local, rec->iface);

	if (r == 0)
		r = ip_route_ready(st, &u->way.route);
	if (r == -EINPROGRESS) {
		wait_for_neigh(st, u, rec);
		return 0;
	}
	if (r < 0) {
		fail(st, u, index, rec, r);
		return 0;
	}
	if (u->way.route.not_unicast && !ip_loops(st, u->way.route.iface)) {
		if (rec->at == 0)
			hear_ourselves(st, u, at);
		if (port_addr_is_multicast(&rec->peer) && rec->ttl == 0 && u->mcast_ttl == 0) {
			done(u, rec); /* not beyond this host */
			return 0;
		}
	}
	do {
		if (!frame(st, u, index, at, &v[made])) {
			fail(st, u, index, rec, -EMSGSIZE);
			return made;
		}
		made++;
	} while (rec->at < rec->len && made < n);
	if (rec->at >= rec->len) {
		done(u, rec);
		st->n.udp_out++;
	}
	return made;
}

static void end_if_over(struct berth_stack *st, struct udp_sock *u, uint32_t index)
{
	if (u->s.flags & SOCK_ORPHAN && u->tx_at == u->tx.used && u->n_wait == 0)
		udp_end(st, index);
}

unsigned udp_output(struct berth_stack *st, uint32_t index, struct berth_tx *v, unsigned n)
{
	struct udp_sock *u = udp_at(st, index);
	uint32_t at = u->n_wait > 0 ? 0 : u->tx_at, id = index | SOCK_ID_UDP;
	unsigned made = 0;
	bool more;

	while (at < u->tx.used && made < n) {
		const struct udp_record *rec = udp_ring_at(&u->tx, at);

		if (rec->state != UDP_DONE)
			made += output_record(st, u, index, at, v + made, n - made);
		if (rec->state != UDP_DONE && made == n) /* more of it when we are asked again */
			break;
		at += udp_record_bytes(rec->len);
		u->tx_at = at > u->tx_at ? at : u->tx_at;
	}
	more = at < u->tx.used;
	udp_reclaim(st, u);
	if (u->blocked && udp_writable(u)) { /* also when nothing left: what cannot go makes room, too */
		u->blocked = false;
		event_add(st, id, BERTH_EV_OUT);
	}
	if (more)
		return made;
	if (u->n_wait > 0)
		sock_wait(st, id);
	else
		sock_unready(st, id);
	end_if_over(st, u, index);
	return made;
}

void udp_unpin(struct berth_stack *st, uint64_t p)
{
	uint32_t index = (uint32_t)(p >> 44) & 0x3ffff, place = ((uint32_t)(p >> 20) & 0xffffff) * 64, at;
	struct udp_record *rec;
	struct udp_sock *u;

	if (!slab_used(&st->udps, index) || (st->udps.generation[index] & 0xfffff) != (p & 0xfffff))
		return;
	u = udp_at(st, index);
	for (at = 0; at < u->tx.used && ((u->tx.head + at) & (u->tx.size - 1)) != place;)
		at += udp_record_bytes(udp_ring_at(&u->tx, at)->len);
	if (at >= u->tx.used)
		return;
	rec = udp_ring_at(&u->tx, at);
	if (rec->pins == 0)
		return;
	rec->pins--;
	u->n_pins--;
	st->n_pinned--;
	udp_reclaim(st, u);
	if (u->blocked && udp_writable(u)) {
		u->blocked = false;
		event_add(st, index | SOCK_ID_UDP, BERTH_EV_OUT);
	}
	end_if_over(st, u, index);
}
