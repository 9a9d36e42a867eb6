/* src/stack/udp_in.c: datagrams that arrive, errors about those that left, and how the program takes them.
 *
 * A datagram for one of our addresses has one receiver, the heart's choice: the connected socket of its four-tuple, else the most
 * specific socket of its port, else one of a reuse group. One to a group or a broadcast address goes to all that hear it, each gets
 * a copy, at most FANOUT of them.
 *
 * A super-frame is kept as it came, one record with the size of its datagrams, and given out as a train to a program that says it
 * wants trains, else one by one.
 *
 * Errors (RFC 1122, 4.1.3.3): a connected socket hears of what the kernel calls fatal, one that is not connected hears nothing, as
 * on Linux without IP_RECVERR. Over IPv6 an error must quote the flow's label, which who did not see the flow does not know; so
 * errors from beyond a router that changes labels (RFC 6437, 3: it must not) are not heard.
 */
#include <errno.h>
#include <string.h>

#include "stack/udp.h"
#include "wire/checksum.h"
#include "wire/udp.h"

#define FANOUT 64u

/* Octets [from, from + len) of the transport message into the ring's newest record. */
static void copy_in(struct udp_ring *r, uint32_t at, const struct packet *p, uint32_t from, uint32_t len)
{
	uint32_t done = 0;

	if (from < p->l4_head) {
		done = p->l4_head - from < len ? p->l4_head - from : len;
		udp_ring_write(r, at, 0, p->l4 + from, done);
		from = 0;
	} else {
		from -= p->l4_head;
	}
	for (unsigned i = 0; i < p->n_parts && done < len; i++) {
		uint32_t n = p->parts[i].len;

		if (from >= n) {
			from -= n;
			continue;
		}
		n = n - from < len - done ? n - from : len - done;
		udp_ring_write(r, at, done, p->parts[i].data + from, n);
		done += n;
		from = 0;
	}
}

void udp_deliver(struct berth_stack *st, uint32_t index, const struct packet *p, uint16_t src_port, uint32_t len)
{
	struct udp_sock *u = udp_at(st, index);
	uint32_t bytes = udp_record_bytes(len), at;
	struct udp_record *rec;

	if (u->s.flags & (SOCK_SHUT_RD | SOCK_ORPHAN))
		return;
	/* As on Linux one datagram may go over the limit that the program set; the ring's end is the end. */
	if (bytes > udp_ring_free(&u->rx) || (u->rx.used > 0 && u->rx.used + bytes > u->rcvbuf)) {
		st->n.udp_queue_full++;
		return;
	}
	rec = udp_ring_add(&u->rx, len, &at);
	rec->gso_size = p->gso != BERTH_GSO_NONE && p->gso_size < len ? p->gso_size : 0;
	rec->iface = p->iface;
	rec->peer_port = src_port;
	rec->local_port = u->local_port;
	rec->ttl = p->ttl;
	rec->tos = p->tos;
	rec->peer = p->src;
	rec->local = p->dst;
	copy_in(&u->rx, at, p, WIRE_UDP_LEN, len);
	event_add(st, index | SOCK_ID_UDP, BERTH_EV_IN);
}

/* --- groups and broadcasts --- */
static bool hears(const struct port_claim *c, const struct packet *p, uint16_t src_port)
{
	bool is4 = port_addr_is4(&p->dst);

	if (c->dev != 0 && c->dev != (uint32_t)p->iface + 1)
		return false;
	if (c->state == CLAIM_CONNECTED && (c->peer_port != src_port || !port_addr_equal(&c->peer, &p->src)))
		return false;
	if (!port_addr_is_any(&c->addr))
		return memcmp(c->addr.b, p->dst.b, sizeof(c->addr.b)) == 0;
	if (is4)
		return port_addr_is4(&c->addr) || !(c->flags & PORT_V6ONLY);
	return !port_addr_is4(&c->addr);
}

void udp_deliver_all(struct berth_stack *st, const struct packet *p, uint16_t src_port, uint16_t dst_port, uint32_t len)
{
	bool to_group = port_addr_is_multicast(&p->dst);
	struct port_addr group = p->dst;
	struct port_ref refs[FANOUT];
	uint32_t n = port_table_on_port(&st->ports, PORT_UDP, dst_port, refs, FANOUT);

	group.scope = 0;
	for (uint32_t i = 0; i < n && i < FANOUT; i++) {
		struct port_claim c;
		uint32_t index;
		bool filtered = false;

		if (port_table_get(&st->ports, refs[i], &c) < 0 || !hears(&c, p, src_port))
			continue;
		index = (uint32_t)c.user & ~SOCK_ID_UDP;
		if (!to_group || udp_hears_group(st, index, p->iface, &group, &p->src, &filtered))
			udp_deliver(st, index, p, src_port, len);
		st->n.mcast_filtered += filtered;
	}
}

/* --- one receiver --- */
static bool is_bound_here(const struct udp_sock *u, uint16_t iface)
{
	return u->s.bind_iface == 0 || u->s.bind_iface == (uint32_t)iface + 1;
}

/* -ENOENT: nobody's. */
static int receiver(struct berth_stack *st, const struct packet *p, uint16_t src_port, uint16_t dst_port,
		    uint32_t *ret_index)
{
	struct port_tuple tuple = {PORT_UDP, p->dst, p->src, dst_port, src_port};
	uint32_t dev = (uint32_t)p->iface + 1, index;
	struct port_ref ref;
	uint64_t user = p->flow_sock;
	int r = 0;

	if (!p->has_flow) {
		r = port_demux(&st->ports, &tuple, dev, &ref);
		if (r == 0)
			r = port_table_get_user(&st->ports, ref, &user);
	}
	if (r < 0)
		return -ENOENT;
	index = (uint32_t)user & ~SOCK_ID_UDP;
	/* A flow is found by its four-tuple alone; the socket may be bound to another interface. */
	if (!is_bound_here(udp_at(st, index), p->iface)) {
		if (port_demux_listener(&st->ports, &tuple, dev, &ref) < 0 ||
		    port_table_get_user(&st->ports, ref, &user) < 0)
			return -ENOENT;
		index = (uint32_t)user & ~SOCK_ID_UDP;
	}
	*ret_index = index;
	return 0;
}

static bool checksum_good(const struct packet *p, uint16_t field, uint32_t len)
{
	uint32_t at = p->l4_head < len ? p->l4_head : len, sum;

	if (p->csum_known)
		return true;
	if (field == 0) /* absent: RFC 768; over IPv6 there must be one (RFC 8200, 8.1) */
		return port_addr_is4(&p->dst);
	sum = wire_sum(wire_sum_pseudo(&p->src, &p->dst, BERTH_UDP, len), p->l4, at);
	for (unsigned i = 0; i < p->n_parts && at < len; i++) {
		uint32_t n = p->parts[i].len < len - at ? p->parts[i].len : len - at;

		sum = wire_sum_at(sum, at, p->parts[i].data, n);
		at += n;
	}
	return wire_sum_good(sum);
}

void udp_input(struct berth_stack *st, const struct packet *p)
{
	uint16_t src_port, dst_port;
	uint32_t len, index;

	if (p->l4_head < WIRE_UDP_LEN || p->l4_len < WIRE_UDP_LEN) {
		st->n.dropped_malformed++;
		return;
	}
	src_port = wire_get16(p->l4);
	dst_port = wire_get16(p->l4 + 2);
	/* What the length leaves out is nobody's; a super-frame's says nothing (it may be one datagram's). */
	len = p->gso != BERTH_GSO_NONE ? p->l4_len : wire_get16(p->l4 + 4);
	if (len < WIRE_UDP_LEN || len > p->l4_len) {
		st->n.dropped_malformed++;
		return;
	}
	if (!checksum_good(p, wire_get16(p->l4 + 6), len)) {
		st->n.dropped_checksum++;
		return;
	}
	st->n.udp_in++;
	len -= WIRE_UDP_LEN;
	if (p->not_unicast && !ip_is_local(st, &p->dst)) {
		udp_deliver_all(st, p, src_port, dst_port, len);
	} else if (receiver(st, p, src_port, dst_port, &index) == 0) {
		udp_deliver(st, index, p, src_port, len);
	} else {
		st->n.udp_no_port++;
		icmp_send_error(st, p, ICMP_ERR_PORT_UNREACH, 0);
	}
}

/* --- errors --- */
static bool is_fatal(const struct udp_sock *u, enum icmp_error e)
{
	switch (e) {
	case ICMP_ERR_PORT_UNREACH:
	case ICMP_ERR_PROTO_UNREACH:
	case ICMP_ERR_PROHIBITED:
	case ICMP_ERR_PARAMETER:
		return true;
	case ICMP_ERR_TOO_BIG:
		return u->pmtu_disc != 0;
	case ICMP_ERR_NET_UNREACH:
	case ICMP_ERR_HOST_UNREACH:
	case ICMP_ERR_TIME_EXCEEDED:
		return false;
	}
	return false;
}

/* Is it about a datagram that left lately, and does the MTU that it names contradict the datagram's length? */
static bool too_big(struct berth_stack *st, const struct udp_sock *u, const struct icmp_note *e)
{
	struct udp_quote q = {.local = &e->local, .peer = &e->peer, .udp = e->l4, .id = e->id};
	uint32_t whole_bytes = e->head_bytes + wire_get16(e->l4 + 4);

	if (e->l4_len >= WIRE_UDP_LEN + UDP_QUOTE_DATA)
		q.data = e->l4 + WIRE_UDP_LEN;
	if ((e->fragment ? e->total_bytes >= whole_bytes : e->total_bytes != whole_bytes) ||
	    e->total_bytes <= e->mtu_bytes || !udp_sent_lately(st, &q))
		return false;
	/* Routers cut IPv4's datagrams without DF and none of IPv6's. Who probes has his own mind (RFC 8899). */
	if (u->pmtu_disc != 3 && (u->pmtu_disc != 0 || !port_addr_is4(&e->peer)))
		(void)pmtu_lower(st, &e->peer, e->mtu_bytes);
	return true;
}

void udp_icmp_error(struct berth_stack *st, const struct icmp_note *e)
{
	struct port_tuple tuple = {.proto = PORT_UDP, .local = e->local, .remote = e->peer};
	struct udp_sock *u;
	struct port_ref ref;
	uint64_t user;
	uint32_t index;

	if (e->l4_len < WIRE_UDP_LEN)
		return;
	tuple.local_port = wire_get16(e->l4);
	tuple.remote_port = wire_get16(e->l4 + 2);
	/* Nobody here can have sent it: a stranger made it up (RFC 5927). */
	if (port_demux(&st->ports, &tuple, (uint32_t)e->iface + 1, &ref) < 0 ||
	    port_table_get_user(&st->ports, ref, &user) < 0) {
		st->n.icmp_rejected++;
		return;
	}
	if (!port_addr_is4(&e->peer) && e->flow_label != ip_flow_label(st, &tuple)) {
		st->n.icmp_rejected++;
		return;
	}
	index = (uint32_t)user & ~SOCK_ID_UDP;
	u = udp_at(st, index);
	if (e->error == ICMP_ERR_TOO_BIG && !too_big(st, u, e)) {
		st->n.icmp_rejected++;
		return;
	}
	if (!(u->s.flags & SOCK_CONNECTED) || !is_fatal(u, e->error))
		return;
	u->s.err = (int16_t)(e->error == ICMP_ERR_TOO_BIG ? -EMSGSIZE : icmp_errno(e->error, port_addr_is4(&e->peer)));
	event_add(st, index | SOCK_ID_UDP, BERTH_EV_ERR);
}

/* --- to the program --- */
/* Octets of the next datagram of a record, or of the train that fits. */
static uint32_t next_len(const struct udp_record *rec, uint32_t room, bool train)
{
	uint32_t left = rec->len - rec->at;

	if (rec->gso_size == 0 || left <= rec->gso_size)
		return left;
	if (!train || room < 2u * rec->gso_size)
		return rec->gso_size;
	return left <= room ? left : room - room % rec->gso_size;
}

static void give(struct udp_ring *r, struct berth_dgram *d)
{
	struct udp_record *rec = udp_ring_at(r, 0);
	uint32_t room = d->len, len = next_len(rec, room, d->gso_size != 0);

	udp_ring_read(r, 0, rec->at, d->data, len < room ? len : room);
	d->peer = addr_public(&rec->peer, rec->peer_port);
	d->local = addr_public(&rec->local, rec->local_port);
	d->len = len;
	d->gso_size = rec->gso_size != 0 && len > rec->gso_size ? rec->gso_size : 0;
	d->ttl = rec->ttl;
	d->tos = rec->tos;
	d->iface = rec->iface;
	d->zero = 0;
	rec->at += len;
	if (rec->at >= rec->len)
		udp_ring_drop(r);
}

int udp_recv_many(struct berth_stack *st, uint32_t index, struct berth_dgram *v, unsigned n)
{
	struct udp_sock *u = udp_at(st, index);
	unsigned i;

	if (u->s.err != 0) {
		int err = u->s.err;

		u->s.err = 0;
		return err;
	}
	for (i = 0; i < n && i < INT32_MAX && u->rx.used > 0; i++) {
		if (v[i].data == NULL && v[i].len > 0)
			return i > 0 ? (int)i : -EFAULT;
		give(&u->rx, &v[i]);
	}
	if (i == 0 && n > 0 && !(u->s.flags & SOCK_SHUT_RD))
		return -EAGAIN;
	return (int)i;
}

int64_t udp_recv(struct berth_stack *st, uint32_t index, void *data, uint32_t len)
{
	struct berth_dgram d = {.data = data, .len = len};
	int r = udp_recv_many(st, index, &d, 1);

	if (r <= 0)
		return r;
	return d.len < len ? d.len : len;
}
