/* fuzz/stack_look.c: see stack_look.h. */
#include "stack_look.h"

#include <string.h>

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/ip4.h"

static void copy(const struct berth_tx *tx, uint8_t *octets)
{
	uint32_t n = tx->head_len;

	ASSERT(tx->head_len <= BERTH_TX_HEAD_MAX && tx->n_parts <= BERTH_TX_PARTS_MAX && tx->iface == 0);
	memcpy(octets, tx->head, tx->head_len);
	for (unsigned i = 0; i < tx->n_parts; i++) {
		ASSERT(tx->parts[i].len <= LOOK_ROOM - n);
		memcpy(octets + n, tx->parts[i].data, tx->parts[i].len);
		n += tx->parts[i].len;
	}
	ASSERT(n == tx->len);
	ASSERT(tx->pin == 0 || tx->n_parts > 0);
}

static void super_frame(const struct berth_tx *tx, const struct look_iface *by, const struct link_view *v)
{
	uint32_t head = v->has_tcp ? v->ip_len - (uint32_t)v->tcp.payload.len_bytes : v->l4_at - v->ip_at + 8u;

	switch (tx->gso) {
	case BERTH_GSO_TCP4:
		ASSERT(by->flags & BERTH_IF_TSO4 && v->has_tcp && v->family == 4);
		break;
	case BERTH_GSO_TCP6:
		ASSERT(by->flags & BERTH_IF_TSO6 && v->has_tcp && v->family == 6);
		break;
	default:
		ASSERT(tx->gso == BERTH_GSO_UDP && by->flags & BERTH_IF_USO && v->proto == WIRE_PROTO_UDP);
	}
	ASSERT(!(tx->flags & BERTH_F_GSO_ECN) || by->flags & BERTH_IF_TSO_ECN);
	ASSERT(tx->gso_size > 0 && tx->flags & BERTH_F_NEEDS_CSUM && tx->hdr_len == v->ip_at + head);
	ASSERT(head + tx->gso_size <= by->mtu_bytes);
}

void stack_look(const struct berth_tx *tx, const struct look_iface *by, uint8_t *octets, struct link_view *ret_v)
{
	struct link_view v;
	struct wire_arp arp;

	copy(tx, octets);
	ASSERT(link_view(octets, tx->len, by->link, &v) == 0);
	*ret_v = v;
	if (v.family == 0) {
		ASSERT(wire_arp_parse(octets + WIRE_ETH_LEN, tx->len - WIRE_ETH_LEN, &arp) == 0);
		return;
	}
	ASSERT(tx->len == v.ip_at + v.ip_len && !port_addr_is_multicast(&v.src));
	ASSERT(v.family == 6 || wire_checksum(wire_sum(0, octets + v.ip_at, (octets[v.ip_at] & 15) * (size_t)4)) == 0);
	ASSERT(v.has_tcp || v.proto != WIRE_PROTO_TCP || v.fragment);
	if (tx->gso != BERTH_GSO_NONE)
		super_frame(tx, by, &v);
	else
		ASSERT(v.ip_len <= by->mtu_bytes);
	if (tx->flags & BERTH_F_NEEDS_CSUM)
		ASSERT(by->flags & BERTH_IF_TX_CSUM && tx->csum_start == v.l4_at &&
		       tx->csum_offset == wire_checksum_offset(v.proto));
	else
		ASSERT(link_checksum_good(octets, &v));
}
