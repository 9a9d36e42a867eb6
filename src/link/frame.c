/* src/link/frame.c: frames on their way, and what a link sees of them.
 *
 * Two sizes: 2 KiB holds what an Ethernet of MTU 1500 carries, the large one any super-frame. A free frame goes back on the list of
 * its size. Everything a link changes in a frame (splitting, merging, marking CE) is done on complete checksums: a checksum that
 * was left to the device is finished first, because a device would.
 */
#include "link/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define SMALL 2048u

struct link_frame *link_frame_new(struct link_frames *f, uint32_t room)
{
	unsigned size = room > SMALL;
	struct link_frame *r = f->free[size];

	if (room > LINK_FRAME_MAX)
		return NULL;
	if (r) {
		f->free[size] = r->next;
	} else {
		uint32_t octets = size ? LINK_FRAME_MAX : SMALL;

		r = malloc(sizeof(*r) + octets);
		if (!r)
			return NULL;
		r->room = octets;
	}
	room = r->room;
	memset(r, 0, sizeof(*r)); /* the octets behind are written by whoever asked */
	r->room = room;
	f->n_out++;
	return r;
}

void link_frame_free(struct link_frames *f, struct link_frame *frame)
{
	unsigned size = frame->room > SMALL;

	ASSERT(f->n_out > 0);
	f->n_out--;
	frame->next = f->free[size];
	f->free[size] = frame;
}

void link_frames_fini(struct link_frames *f)
{
	ASSERT(f->n_out == 0);
	for (size_t i = 0; i < COUNT_OF(f->free); i++)
		while (f->free[i]) {
			struct link_frame *r = f->free[i];

			f->free[i] = r->next;
			free(r);
		}
}

struct link_frame *link_frame_from(struct link_frames *f, const struct berth_tx *tx, enum berth_link link)
{
	struct link_frame *r;
	uint32_t len = tx->head_len;

	for (unsigned i = 0; i < tx->n_parts; i++)
		len += tx->parts[i].len;
	ASSERT(len == tx->len); /* our own stack's promise */
	r = link_frame_new(f, len);
	if (!r)
		return NULL;
	memcpy(r->data, tx->head, tx->head_len);
	r->len = tx->head_len;
	for (unsigned i = 0; i < tx->n_parts; i++) {
		memcpy(r->data + r->len, tx->parts[i].data, tx->parts[i].len);
		r->len += tx->parts[i].len;
	}
	r->gso = tx->gso;
	r->flags = tx->flags;
	r->gso_size = tx->gso_size;
	r->hdr_len = tx->hdr_len;
	r->csum_start = tx->csum_start;
	r->csum_offset = tx->csum_offset;
	r->link = (uint8_t)link;
	return r;
}

struct link_frame *link_frame_copy(struct link_frames *f, const struct link_frame *from)
{
	struct link_frame *r = link_frame_new(f, from->len);
	uint32_t room;

	if (!r)
		return NULL;
	room = r->room;
	memcpy(r, from, sizeof(*r) + from->len);
	r->room = room;
	r->next = NULL;
	return r;
}

void link_frame_rx(const struct link_frame *frame, uint16_t iface, struct berth_rx *ret)
{
	*ret = (struct berth_rx){.head = frame->data,
				 .head_len = frame->len,
				 .iface = iface,
				 .gso = frame->gso,
				 .flags = frame->flags,
				 .gso_size = frame->gso_size,
				 .csum_start = frame->csum_start,
				 .csum_offset = frame->csum_offset};
}

void link_direct(const struct berth_tx *tx, uint16_t iface, struct berth_rx *ret)
{
	*ret = (struct berth_rx){.head = tx->head,
				 .head_len = tx->head_len,
				 .parts = tx->parts,
				 .n_parts = tx->n_parts,
				 .iface = iface,
				 .gso = tx->gso,
				 .flags = tx->flags,
				 .gso_size = tx->gso_size,
				 .csum_start = tx->csum_start,
				 .csum_offset = tx->csum_offset};
}

static int view_ip4(const uint8_t *data, uint32_t len, struct link_view *v)
{
	struct wire_ip4 ip;
	int r = wire_ip4_parse(data + v->ip_at, len - v->ip_at, &ip);

	if (r < 0)
		return r;
	v->family = 4;
	v->proto = ip.proto;
	v->fragment = wire_ip4_is_fragment(&ip);
	v->df = ip.df;
	v->has_options = ip.options.len_bytes > 0;
	v->ttl = ip.ttl;
	v->tos = ip.tos;
	v->src = ip.src;
	v->dst = ip.dst;
	v->l4_at = (uint16_t)(v->ip_at + WIRE_IP4_LEN + ip.options.len_bytes);
	v->ip_len = (uint32_t)(WIRE_IP4_LEN + ip.options.len_bytes + ip.payload.len_bytes);
	return 0;
}

static int view_ip6(const uint8_t *data, uint32_t len, struct link_view *v)
{
	struct wire_ip6 ip;
	int r = wire_ip6_parse(data + v->ip_at, len - v->ip_at, &ip, NULL);

	if (r < 0)
		return r;
	v->family = 6;
	v->proto = ip.proto;
	v->fragment = wire_ip6_is_fragment(&ip);
	v->df = true;
	v->has_options = ip.extensions.len_bytes > 0;
	v->ttl = ip.hops;
	v->tos = ip.tclass;
	v->src = ip.src;
	v->dst = ip.dst;
	v->l4_at = (uint16_t)(v->ip_at + WIRE_IP6_LEN + ip.extensions.len_bytes);
	v->ip_len = (uint32_t)(WIRE_IP6_LEN + ip.extensions.len_bytes + ip.payload.len_bytes);
	return 0;
}

int link_view(const uint8_t *data, uint32_t len, enum berth_link link, struct link_view *ret)
{
	struct link_view v = {0};
	uint16_t type = 0;
	int r;

	if (link == BERTH_LINK_ETHERNET) {
		struct wire_eth e;

		r = wire_eth_parse(data, len, &e);
		if (r < 0)
			return -EBADMSG;
		v.ip_at = (uint16_t)(len - e.payload.len_bytes);
		type = e.type;
	} else if (len > 0) {
		type = data[0] >> 4 == 4 ? WIRE_ETH_IP4 : data[0] >> 4 == 6 ? WIRE_ETH_IP6 : 0;
	}
	switch (type) {
	case WIRE_ETH_IP4:
		r = view_ip4(data, len, &v);
		break;
	case WIRE_ETH_IP6:
		r = view_ip6(data, len, &v);
		break;
	case WIRE_ETH_ARP:
		*ret = v;
		return 0;
	default:
		r = -EBADMSG;
	}
	if (r < 0)
		return -EBADMSG;
	if (v.proto == WIRE_PROTO_TCP && !v.fragment)
		v.has_tcp = wire_tcp_parse(data + v.l4_at, v.ip_at + v.ip_len - v.l4_at, &v.tcp) == 0;
	*ret = v;
	return 0;
}

void link_frame_finish(struct link_frame *frame)
{
	if (!(frame->flags & BERTH_F_NEEDS_CSUM) || frame->gso != BERTH_GSO_NONE)
		return; /* a super-frame's is finished when it is split */
	if (wire_checksum_finish(frame->data, frame->len, frame->csum_start, frame->csum_offset) < 0)
		return; /* a malformed wish stays as it is: the receiver's affair */
	frame->flags &= (uint8_t)~BERTH_F_NEEDS_CSUM;
	frame->csum_start = frame->csum_offset = 0;
}

void link_frame_checksums(struct link_frame *frame)
{
	struct link_view v;
	uint8_t *l4;
	uint32_t head, len;

	if (link_view(frame->data, frame->len, frame->link, &v) < 0 || v.family == 0)
		return;
	if (v.family == 4) {
		uint8_t *ip = frame->data + v.ip_at;

		wire_put16(ip + 10, 0);
		wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, v.l4_at - v.ip_at)));
	}
	if (v.fragment || wire_checksum_offset(v.proto) < 0)
		return;
	l4 = frame->data + v.l4_at;
	len = v.ip_at + v.ip_len - v.l4_at;
	head = v.proto == WIRE_PROTO_TCP ? WIRE_TCP_LEN : 8;
	if (len < head || (v.proto == WIRE_PROTO_UDP && wire_get16(l4 + 6) == 0))
		return;
	wire_checksum_fill(&v.src, &v.dst, v.proto, l4, head, wire_sum_at(0, head, l4 + head, len - head), len - head);
}

bool link_checksum_good(const uint8_t *data, const struct link_view *v)
{
	if (v->family == 0 || v->fragment)
		return true;
	return wire_transport_checksum_good(&v->src, &v->dst, v->proto, data + v->l4_at,
					    v->ip_at + v->ip_len - v->l4_at);
}
