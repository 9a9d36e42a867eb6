/* src/stack/icmp_in.c: ICMP that arrives: echo, and errors about packets of ours.
 *
 * An error is believed as far as RFC 5927 allows: here its quotation must be of a packet from one of our addresses to a single host, with
 * eight octets of the transport header; the transport then looks whether it has such a flow, and TCP whether the sequence number is in
 * flight (S13). Redirects of IPv4, timestamps, address masks and source quenches are not answered and not believed.
 *
 * An echo reply has the data of its request and never its options (S6); it is as long as the request, so nothing is gained by asking.
 * Requests to broadcasts and IPv4 groups are not answered (RFC 1122, 3.2.2.6 allows it), those to IPv6 groups within the limits of errors.
 */
#include "stack/tcp.h"
#include "stack/udp.h"
#include "stack/ip_state.h"

int icmp_errno(enum icmp_error e, bool v4)
{
	switch (e) {
	case ICMP_ERR_NET_UNREACH:
		return -ENETUNREACH;
	case ICMP_ERR_HOST_UNREACH:
	case ICMP_ERR_TIME_EXCEEDED:
		return -EHOSTUNREACH;
	case ICMP_ERR_PORT_UNREACH:
		return -ECONNREFUSED;
	case ICMP_ERR_PROTO_UNREACH:
		return -ENOPROTOOPT;
	case ICMP_ERR_PROHIBITED:
		return v4 ? -EHOSTUNREACH : -EACCES;
	case ICMP_ERR_TOO_BIG:
		return -EMSGSIZE;
	case ICMP_ERR_PARAMETER:
		return -EPROTO;
	}
	return -EPROTO;
}

/* Routers before RFC 1191 do not say their MTU: the next of its section 7.1's plateaus below what was too big. */
static uint32_t plateau(size_t total_bytes)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 552};

	for (unsigned i = 0; i < COUNT_OF(plateaus); i++)
		if (plateaus[i] < total_bytes)
			return plateaus[i];
	return plateaus[COUNT_OF(plateaus) - 1];
}

static void error_in(struct berth_stack *st, const struct packet *p, enum icmp_error error, uint32_t mtu_bytes,
		     struct wire_slice quoted)
{
	bool v4 = is4(&p->dst);
	struct icmp_note n = {.error = error, .mtu_bytes = mtu_bytes};
	struct wire_embedded e;

	if (p->not_unicast || wire_embedded_parse(v4 ? PORT_FAMILY_4 : PORT_FAMILY_6, quoted, &e) < 0 ||
	    e.n_known < 8) {
		st->n.icmp_rejected++;
		return;
	}
	n.local = with_scope(e.src, p->iface);
	n.peer = with_scope(e.dst, p->iface);
	if (!ip_is_local(st, &n.local) || port_addr_is_multicast(&n.peer) || ip_is_broadcast(st, p->iface, &n.peer)) {
		st->n.icmp_rejected++;
		return;
	}
	/* RFC 8201, 4: below the least MTU of IPv6 it must be discarded. */
	if (error == ICMP_ERR_TOO_BIG && !v4 && mtu_bytes < IP6_MTU_MIN) {
		st->n.icmp_rejected++;
		return;
	}
	if (error == ICMP_ERR_TOO_BIG && mtu_bytes == 0)
		n.mtu_bytes = plateau(e.total_bytes);
	n.head_bytes = (uint32_t)e.header_bytes;
	n.total_bytes = (uint32_t)e.total_bytes;
	n.flow_label = e.flow_label;
	n.id = e.id;
	n.fragment = e.fragment;
	n.iface = p->iface;
	n.l4 = e.transport.data;
	n.l4_len = (uint32_t)e.transport.len_bytes;
	n.proto = e.proto;
	if (e.proto == WIRE_PROTO_TCP)
		tcp_icmp_error(st, &n);
	else if (e.proto == WIRE_PROTO_UDP)
		udp_icmp_error(st, &n);
	else
		st->n.icmp_rejected++;
}

/* Codes of "unreachable": RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1. */
static enum icmp_error unreachable4(uint8_t code)
{
	switch (code) {
	case WIRE_ICMP4_UNREACHABLE_NET:
	case 6:
	case 11:
		return ICMP_ERR_NET_UNREACH;
	case WIRE_ICMP4_UNREACHABLE_PROTO:
		return ICMP_ERR_PROTO_UNREACH;
	case WIRE_ICMP4_UNREACHABLE_PORT:
		return ICMP_ERR_PORT_UNREACH;
	case WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED:
		return ICMP_ERR_TOO_BIG;
	case 9:
	case 10:
	case WIRE_ICMP4_UNREACHABLE_ADMIN:
	case 14:
	case 15:
		return ICMP_ERR_PROHIBITED;
	default:
		return ICMP_ERR_HOST_UNREACH;
	}
}

static enum icmp_error unreachable6(uint8_t code)
{
	switch (code) {
	case WIRE_ICMP6_UNREACHABLE_ROUTE:
		return ICMP_ERR_NET_UNREACH;
	case WIRE_ICMP6_UNREACHABLE_PORT:
		return ICMP_ERR_PORT_UNREACH;
	case WIRE_ICMP6_UNREACHABLE_ADMIN:
	case 5: /* source failed policy */
	case 6: /* reject route */
		return ICMP_ERR_PROHIBITED;
	default:
		return ICMP_ERR_HOST_UNREACH;
	}
}

static void input4(struct berth_stack *st, const struct packet *p)
{
	struct wire_icmp4 m, reply;
	uint8_t head[WIRE_ICMP_LEN];
	int r = wire_icmp4_parse(p->l4, p->l4_len, &m);

	if (r < 0) {
		st->n.icmp_rejected++;
		return;
	}
	switch (m.type) {
	case WIRE_ICMP4_ECHO:
		if (p->not_unicast)
			return;
		reply = (struct wire_icmp4){.type = WIRE_ICMP4_ECHO_REPLY, .id = m.id, .seq = m.seq};
		r = wire_icmp4_emit(&reply, head, sizeof(head));
		ASSERT(r == WIRE_ICMP_LEN);
		icmp_send(st, &p->dst, &p->src, BERTH_IFACE_ANY, p->tos & ~WIRE_ECN_MASK, head, m.payload.data,
			  m.payload.len_bytes);
		return;
	case WIRE_ICMP4_UNREACHABLE:
		error_in(st, p, unreachable4(m.code), m.mtu, m.payload);
		return;
	case WIRE_ICMP4_TIME_EXCEEDED:
		error_in(st, p, ICMP_ERR_TIME_EXCEEDED, 0, m.payload);
		return;
	case WIRE_ICMP4_PARAMETER_PROBLEM:
		error_in(st, p, ICMP_ERR_PARAMETER, 0, m.payload);
		return;
	default: /* replies to echoes that we did not send */
		return;
	}
}

static void echo6(struct berth_stack *st, const struct packet *p, const struct wire_icmp6 *m)
{
	struct wire_icmp6 reply = {.type = WIRE_ICMP6_ECHO_REPLY, .id = m->id, .seq = m->seq};
	bool group = port_addr_is_multicast(&p->dst);
	uint8_t head[WIRE_ICMP_LEN];
	int r;

	if (port_addr_is_any(&p->src) || (p->not_unicast && !group) || (group && !icmp_allow(st, &p->src)))
		return;
	r = wire_icmp6_emit(&reply, head, sizeof(head));
	ASSERT(r == WIRE_ICMP_LEN);
	icmp_send(st, group ? NULL : &p->dst, &p->src, group ? p->iface : BERTH_IFACE_ANY, p->tos & ~WIRE_ECN_MASK,
		  head, m->payload.data, m->payload.len_bytes);
}

static void input6(struct berth_stack *st, const struct packet *p)
{
	uint8_t type = p->l4_len ? p->l4[0] : 0;
	struct wire_icmp6 m;

	if (type >= WIRE_ICMP6_ND_RS && type <= WIRE_ICMP6_ND_REDIRECT) {
		nd_input(st, p);
		return;
	}
	if (type == WIRE_ICMP6_MLD_REPORT2 || (type >= WIRE_ICMP6_MLD_QUERY && type <= WIRE_ICMP6_MLD_DONE)) {
		mld_input(st, p);
		return;
	}
	if (wire_icmp6_parse(p->l4, p->l4_len, &m) < 0) {
		st->n.icmp_rejected++;
		return;
	}
	switch (m.type) {
	case WIRE_ICMP6_ECHO:
		echo6(st, p, &m);
		return;
	case WIRE_ICMP6_UNREACHABLE:
		error_in(st, p, unreachable6(m.code), 0, m.payload);
		return;
	case WIRE_ICMP6_TOO_BIG:
		error_in(st, p, ICMP_ERR_TOO_BIG, m.mtu, m.payload);
		return;
	case WIRE_ICMP6_TIME_EXCEEDED:
		error_in(st, p, ICMP_ERR_TIME_EXCEEDED, 0, m.payload);
		return;
	case WIRE_ICMP6_PARAMETER_PROBLEM:
		error_in(st, p, m.code == WIRE_IP6_PROBLEM_HEADER ? ICMP_ERR_PROTO_UNREACH : ICMP_ERR_PARAMETER, 0,
			 m.payload);
		return;
	default:
		return;
	}
}

void icmp_input(struct berth_stack *st, const struct packet *p)
{
	st->n.icmp_in++;
	if (!p->csum_known && !wire_transport_checksum_good(&p->src, &p->dst, p->proto, p->l4, p->l4_len)) {
		st->n.dropped_checksum++;
		return;
	}
	if (is4(&p->dst))
		input4(st, p);
	else
		input6(st, p);
}
