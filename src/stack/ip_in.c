/* src/stack/ip_in.c: a frame becomes a packet, and finds who it is for.
 *
 *	frame --> link header --> IPv4 / IPv6 header, addresses --> a fragment? reassembly, then again --> TCP, UDP, ICMP, IGMP
 *
 * Nearly all packets are whole TCP or UDP packets for one of our addresses: fast() does those, wherever their payload lies, and
 * ip_peek() is that without what follows. Everything else is made one piece first (in st->scratch if it comes in parts) and goes
 * through slow4() or slow6().
 *
 * An address of ours is ours on every interface, as on Linux (RFC 1122, 3.3.4.2 calls it the weak model), except those of the loopback,
 * which no link may use. Dropped without an answer: sources that are groups, broadcasts or ourselves; source routes (S6); packets
 * for one host in a frame for many (RFC 1122, 3.3.6); what is for others, for a host does not forward.
 *
 * Descriptions of offloads are a peer's words (S28): the numbers must fit the headers that are really there.
 */
#include "stack/tcp.h"
#include "stack/udp.h"
#include "stack/ip_state.h"

/* A frame without its link header. data[0 .. head) is in one piece, total is what there is with the parts. */
struct frame {
	const struct berth_rx *rx;
	const struct iface *f;
	const uint8_t *data;
	size_t head, total;
	uint16_t type;
	bool not_unicast; /* to many, says the link */
};

static size_t parts_len(const struct berth_rx *rx)
{
	size_t n = 0;

	for (unsigned i = 0; i < rx->n_parts; i++)
		n += rx->parts[i].len;
	return n;
}

/* 0; -EBADMSG; -ENOENT, not for us; -EPROTONOSUPPORT. */
static int ethernet(const struct berth_rx *rx, struct frame *fr)
{
	struct wire_eth e;
	int r = wire_eth_parse(rx->head, rx->head_len, &e);

	if (r < 0)
		return r;
	if (wire_mac_is_multicast(e.src))
		return -EBADMSG;
	if (e.tagged && (e.tag & 0x0fff))
		return -EPROTONOSUPPORT; /* number 0 is a priority alone (802.1Q) */
	fr->not_unicast = wire_mac_is_multicast(e.dst);
	if (!fr->not_unicast && memcmp(e.dst, fr->f->mac, sizeof(e.dst)) != 0)
		return -ENOENT;
	fr->type = e.type;
	fr->data = e.payload.data;
	fr->head = e.payload.len_bytes;
	return 0;
}

static int link_in(const struct berth_stack *st, const struct berth_rx *rx, struct frame *ret)
{
	struct frame fr = {.rx = rx, .f = iface_at(st, rx->iface)};
	int r = 0;

	if (!fr.f || !fr.f->up)
		return -ENODEV;
	if (fr.f->link == BERTH_LINK_ETHERNET && !(fr.f->flags & BERTH_IF_LOOPBACK)) {
		r = ethernet(rx, &fr);
	} else if (rx->head_len) {
		fr.data = rx->head;
		fr.head = rx->head_len;
		fr.type = rx->head[0] >> 4 == 6 ? WIRE_ETH_IP6 : WIRE_ETH_IP4;
	} else {
		r = -EBADMSG;
	}
	if (r < 0)
		return r;
	fr.total = fr.head + parts_len(rx);
	*ret = fr;
	return 0;
}

/* --- who is it for --- */
enum verdict {
	FOR_US,
	FOR_ALL, /* broadcast, or a group we are in */
	FOR_OTHERS,
	MARTIAN,
};

static enum verdict addresses4(const struct berth_stack *st, const struct iface *f, uint16_t iface,
			       const struct wire_ip4 *ip)
{
	bool loops = f->flags & BERTH_IF_LOOPBACK;
	const uint8_t *src = ip->src.b + 12, *dst = ip->dst.b + 12;
	bool group = port_addr_is_multicast(&ip->dst);

	if (src[0] >= 224 || (!loops && (src[0] == 127 || dst[0] == 127)))
		return MARTIAN;
	if (!group && ip_is_local(st, &ip->dst)) {
		if (src[0] == 0 || (!loops && ip_is_local(st, &ip->src)) || ip_is_broadcast(st, iface, &ip->src))
			return MARTIAN;
		return FOR_US;
	}
	if ((src[0] == 0 && !port_addr_is_any(&ip->src)) || (!loops && ip_is_local(st, &ip->src)) ||
	    ip_is_broadcast(st, iface, &ip->src))
		return MARTIAN;
	if (group)
		return group_is_member(st, iface, &ip->dst) ? FOR_ALL : FOR_OTHERS;
	return ip_is_broadcast(st, iface, &ip->dst) ? FOR_ALL : FOR_OTHERS;
}

static enum verdict addresses6(const struct berth_stack *st, const struct iface *f, uint16_t iface,
			       const struct wire_ip6 *ip)
{
	bool loops = f->flags & BERTH_IF_LOOPBACK, group = port_addr_is_multicast(&ip->dst);
	struct port_addr dst = with_scope(ip->dst, iface), src = with_scope(ip->src, iface);
	unsigned scope = ip->dst.b[1] & 0x0f;

	if (!iface_has6(f))
		return FOR_OTHERS;
	if (port_addr_is_multicast(&ip->src) || port_addr_is_any(&ip->dst))
		return MARTIAN;
	if (!loops && (port_addr_is_loopback(&ip->src) || port_addr_is_loopback(&ip->dst)))
		return MARTIAN;
	if (port_addr_is_any(&ip->src) && ip->proto != WIRE_PROTO_ICMP6)
		return MARTIAN; /* who has no address yet speaks ND and MLD alone (RFC 4862, 5.4.2) */
	if (!loops && ip_is_local(st, &src))
		return MARTIAN;
	if (!group)
		return ip_is_local(st, &dst) ? FOR_US : FOR_OTHERS;
	if (scope == 0 || (scope == 1 && !loops))
		return MARTIAN; /* RFC 4291, 2.7 */
	return group_is_member(st, iface, &ip->dst) ? FOR_ALL : FOR_OTHERS;
}

/* --- offloads (S28) --- */

/* Do the descriptor's words fit a packet of this kind whose transport header is at l4? */
static bool offload_ok(const struct berth_rx *rx, const struct packet *p, bool v4)
{
	size_t l4_at = (size_t)(p->l4 - rx->head);
	bool gso_fits;

	switch (rx->gso) {
	case BERTH_GSO_NONE:
		gso_fits = true;
		break;
	case BERTH_GSO_TCP4:
		gso_fits = v4 && p->proto == WIRE_PROTO_TCP;
		break;
	case BERTH_GSO_TCP6:
		gso_fits = !v4 && p->proto == WIRE_PROTO_TCP;
		break;
	case BERTH_GSO_UDP:
		gso_fits = p->proto == WIRE_PROTO_UDP;
		break;
	default: /* UDP4 is fragmentation left to the device: nobody should send it to us */
		gso_fits = false;
	}
	if (!gso_fits || (rx->gso && !rx->gso_size))
		return false;
	if (rx->flags & BERTH_F_NEEDS_CSUM)
		return rx->csum_start == l4_at && rx->csum_offset == (unsigned)wire_checksum_offset(p->proto);
	return true;
}

static void offload_take(const struct berth_stack *st, const struct berth_rx *rx, struct packet *p)
{
	p->gso = rx->gso;
	p->gso_size = rx->gso ? rx->gso_size : 0;
	p->csum_known = (rx->flags & (BERTH_F_NEEDS_CSUM | BERTH_F_DATA_VALID)) || ip_loops(st, rx->iface);
}

/* --- the straight way --- */

static void set_l4(struct packet *p, const struct frame *fr, struct wire_slice payload)
{
	size_t at = (size_t)(payload.data - fr->data);

	p->ip = fr->data;
	p->ip_len = (uint32_t)fr->head;
	p->l4 = payload.data;
	p->l4_len = (uint32_t)payload.len_bytes;
	p->l4_head = payload.len_bytes < fr->head - at ? (uint32_t)payload.len_bytes : (uint32_t)(fr->head - at);
	p->parts = fr->rx->parts;
	p->n_parts = fr->rx->n_parts;
	p->iface = fr->rx->iface;
}

static bool fast4(const struct berth_stack *st, const struct frame *fr, struct packet *p)
{
	struct wire_ip4 ip;

	if (wire_ip4_parse_split(fr->data, fr->head, fr->total - fr->head, &ip) < 0)
		return false;
	if (!ip.checksum_good || ip.options.len_bytes || wire_ip4_is_fragment(&ip) ||
	    addresses4(st, fr->f, fr->rx->iface, &ip) != FOR_US)
		return false;
	wire_get_addr4(fr->data + WIRE_IP4_AT_SRC, &p->src);
	wire_get_addr4(fr->data + WIRE_IP4_AT_DST, &p->dst);
	p->proto = ip.proto;
	p->ttl = ip.ttl;
	p->tos = ip.tos;
	set_l4(p, fr, ip.payload);
	return true;
}

static bool fast6(const struct berth_stack *st, const struct frame *fr, struct packet *p)
{
	struct wire_ip6 ip;

	if (wire_ip6_parse_split(fr->data, fr->head, fr->total - fr->head, &ip, NULL) < 0)
		return false;
	if (ip.extensions.len_bytes || addresses6(st, fr->f, fr->rx->iface, &ip) != FOR_US)
		return false;
	p->src = with_scope(ip.src, fr->rx->iface);
	p->dst = with_scope(ip.dst, fr->rx->iface);
	p->proto = ip.proto;
	p->ttl = ip.hops;
	p->tos = ip.tclass;
	set_l4(p, fr, ip.payload);
	return true;
}

/* A whole TCP or UDP packet for one of our addresses? If not, *p is of no use. */
static bool fast(const struct berth_stack *st, const struct frame *fr, struct packet *p)
{
	bool v4 = fr->type == WIRE_ETH_IP4;

	if (fr->not_unicast || (!v4 && fr->type != WIRE_ETH_IP6))
		return false;
	*p = (struct packet){.gso = BERTH_GSO_NONE}; /* filled in place: a copy would wait for what was just written */
	if (!(v4 ? fast4(st, fr, p) : fast6(st, fr, p)))
		return false;
	if ((p->proto != WIRE_PROTO_TCP && p->proto != WIRE_PROTO_UDP) || !offload_ok(fr->rx, p, v4))
		return false;
	offload_take(st, fr->rx, p);
	return true;
}

int ip_peek(struct berth_stack *st, const struct berth_rx *rx, struct packet *ret)
{
	struct frame fr;
	int r = link_in(st, rx, &fr);

	if (r < 0)
		return r;
	return fast(st, &fr, ret) ? 0 : -ENOENT;
}

/* --- the long way: one piece, anything --- */

static bool is_mld(const struct packet *p)
{
	uint8_t type = p->proto == WIRE_PROTO_ICMP6 && p->l4_head ? p->l4[0] : 0;

	return (type >= WIRE_ICMP6_MLD_QUERY && type <= WIRE_ICMP6_MLD_DONE) || type == WIRE_ICMP6_MLD_REPORT2;
}

/* To a group, from a source that nobody here wants to hear (RFC 3376, 3.2)? What is said about groups is for all (Linux does it so). */
static bool is_unwanted(const struct berth_stack *st, const struct packet *p)
{
	return p->not_unicast && port_addr_is_multicast(&p->dst) && p->proto != WIRE_PROTO_IGMP && !is_mld(p) &&
	       !group_takes(st, p->iface, &p->dst, &p->src);
}

static void deliver(struct berth_stack *st, const struct packet *p, uint16_t proto_at)
{
	bool v4 = is4(&p->dst);

	if (is_unwanted(st, p)) {
		st->n.mcast_filtered++;
		return;
	}
	switch (p->proto) {
	case WIRE_PROTO_TCP:
		tcp_input(st, p);
		return;
	case WIRE_PROTO_UDP:
		udp_input(st, p);
		return;
	case WIRE_PROTO_ICMP4:
		if (v4) {
			icmp_input(st, p);
			return;
		}
		break;
	case WIRE_PROTO_ICMP6:
		if (!v4) {
			icmp_input(st, p);
			return;
		}
		break;
	case WIRE_PROTO_IGMP:
		if (v4) {
			igmp_input(st, p);
			return;
		}
		break;
	case WIRE_PROTO_NONE:
		if (!v4)
			return;
	}
	st->n.dropped_not_ours++;
	icmp_send_error(st, p, ICMP_ERR_PROTO_UNREACH, proto_at);
}

static bool refused(struct berth_stack *st, enum verdict v, bool link_many)
{
	if (v == FOR_OTHERS)
		st->n.dropped_not_ours++;
	else if (v == MARTIAN || (v == FOR_US && link_many))
		st->n.dropped_policy++;
	else
		return false;
	return true;
}

/* The descriptor belongs to the frame as it came: not to what was put together from several. */
static bool take_offload(struct berth_stack *st, const struct berth_rx *rx, struct packet *p, bool whole)
{
	if (whole || !rx)
		return true;
	if (!offload_ok(rx, p, is4(&p->dst))) {
		st->n.dropped_malformed++;
		return false;
	}
	offload_take(st, rx, p);
	return true;
}

static void slow4(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len, bool link_many,
		  const struct berth_rx *rx, bool whole)
{
	struct packet p = {.iface = iface};
	const struct iface *f = iface_at(st, iface);
	enum verdict v;
	struct wire_ip4 ip;

	if (wire_ip4_parse(data, len, &ip) < 0) {
		st->n.dropped_malformed++;
		return;
	}
	if (!ip.checksum_good) {
		st->n.dropped_checksum++;
		return;
	}
	v = addresses4(st, f, iface, &ip);
	if (refused(st, v, link_many))
		return;
	if (ip.has & WIRE_IP4_SOURCE_ROUTE) {
		st->n.dropped_policy++;
		return;
	}
	if (wire_ip4_is_fragment(&ip)) {
		if (rx && rx->gso)
			st->n.dropped_malformed++;
		else if (frag_input4(st, iface, data, &ip, link_many, &len, &link_many))
			ip_packet(st, iface, st->scratch, len, link_many, NULL, true);
		return;
	}
	p.src = ip.src;
	p.dst = ip.dst;
	p.ip = data;
	p.ip_len = (uint32_t)(ip.options.len_bytes + WIRE_IP4_LEN + ip.payload.len_bytes);
	p.l4 = ip.payload.data;
	p.l4_head = p.l4_len = (uint32_t)ip.payload.len_bytes;
	p.proto = ip.proto;
	p.ttl = ip.ttl;
	p.tos = ip.tos;
	p.not_unicast = v == FOR_ALL || link_many;
	p.has_options = ip.options.len_bytes != 0;
	if (take_offload(st, rx, &p, whole))
		deliver(st, &p, 9);
}

static void problem6(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len, bool link_many,
		     const struct wire_ip6_problem *why)
{
	struct packet p = {.src = with_scope(why->src, iface), .dst = with_scope(why->dst, iface), .iface = iface};
	struct wire_ip6 ip = {.src = why->src, .dst = why->dst, .proto = WIRE_PROTO_NONE};

	st->n.dropped_malformed++;
	if (addresses6(st, iface_at(st, iface), iface, &ip) > FOR_ALL)
		return;
	p.ip = data;
	p.ip_len = (uint32_t)len;
	p.proto = WIRE_PROTO_NONE;
	p.not_unicast = link_many || port_addr_is_multicast(&p.dst);
	icmp_parameter_problem6(st, &p, why->code, why->pointer, why->to_multicast_too);
}

static void slow6(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len, bool link_many,
		  const struct berth_rx *rx, bool whole)
{
	struct wire_ip6_problem why;
	struct packet p = {.iface = iface};
	enum verdict v;
	struct wire_ip6 ip;
	int r = wire_ip6_parse(data, len, &ip, &why);

	if (r == -EPROTO) {
		problem6(st, iface, data, len, link_many, &why);
		return;
	}
	if (r < 0) {
		st->n.dropped_malformed++;
		return;
	}
	v = addresses6(st, iface_at(st, iface), iface, &ip);
	if (refused(st, v, link_many))
		return;
	if (wire_ip6_is_fragment(&ip)) {
		if (whole || (rx && rx->gso))
			st->n.dropped_malformed++;
		else if (frag_input6(st, iface, data, &ip, link_many, &len, &link_many))
			ip_packet(st, iface, st->scratch, len, link_many, NULL, true);
		return;
	}
	p.src = with_scope(ip.src, iface);
	p.dst = with_scope(ip.dst, iface);
	p.ip = data;
	p.ip_len = (uint32_t)(WIRE_IP6_LEN + ip.extensions.len_bytes + ip.payload.len_bytes);
	p.l4 = ip.payload.data;
	p.l4_head = p.l4_len = (uint32_t)ip.payload.len_bytes;
	p.proto = ip.proto;
	p.ttl = ip.hops;
	p.tos = ip.tclass;
	p.not_unicast = v == FOR_ALL || link_many;
	/* A reassembled packet's fragment header is gone: ND must know it was there (RFC 6980). */
	p.has_options = ip.extensions.len_bytes != 0 || whole;
	if (take_offload(st, rx, &p, whole))
		deliver(st, &p, ip.proto_at);
}

void ip_packet(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len, bool not_unicast,
	       const struct berth_rx *rx, bool whole)
{
	if (len && data[0] >> 4 == 6)
		slow6(st, iface, data, len, not_unicast, rx, whole);
	else
		slow4(st, iface, data, len, not_unicast, rx, whole);
}

/* All of the frame in st->scratch, as one piece; false: it is larger than any packet. */
static bool one_piece(struct berth_stack *st, const struct berth_rx *rx, struct berth_rx *ret)
{
	size_t at = rx->head_len;

	if (at + parts_len(rx) > STACK_SCRATCH_BYTES)
		return false;
	memcpy(st->scratch, rx->head, at);
	for (unsigned i = 0; i < rx->n_parts; i++) {
		memcpy(st->scratch + at, rx->parts[i].data, rx->parts[i].len);
		at += rx->parts[i].len;
	}
	*ret = *rx;
	ret->head = st->scratch;
	ret->head_len = (uint32_t)at;
	ret->parts = NULL;
	ret->n_parts = 0;
	return true;
}

static void slow(struct berth_stack *st, const struct frame *fr)
{
	const struct berth_rx *rx = fr->rx;
	bool v6 = fr->data && fr->head && fr->data[0] >> 4 == 6;

	switch (fr->type) {
	case WIRE_ETH_ARP:
		arp_input(st, rx->iface, fr->data, fr->head);
		return;
	case WIRE_ETH_IP4:
	case WIRE_ETH_IP6:
		if (v6 == (fr->type == WIRE_ETH_IP6))
			ip_packet(st, rx->iface, fr->data, fr->head, fr->not_unicast, rx, false);
		else
			st->n.dropped_malformed++;
		return;
	default:
		st->n.dropped_not_ours++;
	}
}

void ip_input(struct berth_stack *st, const struct berth_rx *rx, const struct packet *peeked)
{
	struct berth_rx piece;
	struct packet p;
	struct frame fr;
	int r;

	if (peeked) {
		deliver(st, peeked, 0);
		return;
	}
	r = link_in(st, rx, &fr);
	if (r == 0 && fast(st, &fr, &p)) {
		deliver(st, &p, 0);
		return;
	}
	if (r == 0 && rx->n_parts) {
		r = one_piece(st, rx, &piece) ? link_in(st, &piece, &fr) : -EBADMSG;
	}
	if (r == 0)
		slow(st, &fr);
	else if (r == -EBADMSG)
		st->n.dropped_malformed++;
	else
		st->n.dropped_not_ours++;
}
