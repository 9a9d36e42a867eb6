/* src/link/segment.c: cutting super-frames, and putting frames together.
 *
 *	| eth | ip | tcp | payload of gso_size | gso_size | ... | rest |
 *	  -->  | eth | ip | tcp | gso_size |   | eth | ip | tcp' | gso_size |   ...   | eth | ip | tcp" | rest |
 *
 * Each segment has the super-frame's headers, with its own lengths, IPv4 ID (counted up, RFC 6864 does not mind), sequence number and
 * checksums. FIN and PSH stay with the last one; CWR with the first (RFC 3168, 6.1.2: one new data packet says it).
 *
 * Merging is the reverse, for what a device would merge and nothing else (STACK.md, S28): no IP options, no fragments, the same TOS,
 * TTL, TCP options, acknowledgment and window, only ACK and PSH, each checksum good, and every segment but the last of one size.
 */
#include "link/segment.h"

#include <errno.h>
#include <string.h>

#include "wire/checksum.h"

static int header_end(const struct link_frame *f, const struct link_view *v, uint32_t *ret)
{
	uint32_t end = v->ip_at + v->ip_len;

	if (v->proto == WIRE_PROTO_TCP) {
		if (!v->has_tcp)
			return -EINVAL;
		*ret = (uint32_t)(v->tcp.payload.data - f->data);
		return 0;
	}
	if (v->proto != WIRE_PROTO_UDP || end - v->l4_at < 8)
		return -EINVAL;
	*ret = v->l4_at + 8u;
	return 0;
}

int link_segments_init(struct link_segments *s, const struct link_frame *super)
{
	struct link_segments r = {.from = super, .size = super->gso_size};

	if (super->gso == BERTH_GSO_NONE || r.size == 0)
		return -EINVAL;
	if (link_view(super->data, super->len, super->link, &r.v) < 0 || r.v.family == 0 || r.v.fragment)
		return -EINVAL;
	switch (super->gso) {
	case BERTH_GSO_TCP4:
	case BERTH_GSO_TCP6:
		if (r.v.proto != WIRE_PROTO_TCP || r.v.family != (super->gso == BERTH_GSO_TCP4 ? 4 : 6))
			return -EINVAL;
		break;
	case BERTH_GSO_UDP:
		if (r.v.proto != WIRE_PROTO_UDP)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (header_end(super, &r.v, &r.head) < 0)
		return -EINVAL;
	r.end = r.v.ip_at + r.v.ip_len;
	r.at = r.head;
	*s = r;
	return 0;
}

unsigned link_segments_count(const struct link_segments *s)
{
	uint32_t payload = s->end - s->head;

	return payload ? (payload + s->size - 1) / s->size : 1;
}

/* Lengths and numbers of one segment; checksums come last. */
static void patch(const struct link_segments *s, struct link_frame *f, uint32_t len, bool last)
{
	uint8_t *ip = f->data + s->v.ip_at, *l4 = f->data + s->v.l4_at;

	if (s->v.family == 4) {
		wire_put16(ip + 2, (uint16_t)(f->len - s->v.ip_at));
		wire_put16(ip + 4, (uint16_t)(wire_get16(ip + 4) + s->n));
	} else {
		wire_put16(ip + 4, (uint16_t)(f->len - s->v.ip_at - 40));
	}
	if (s->v.proto == WIRE_PROTO_UDP) {
		wire_put16(l4 + 4, (uint16_t)(len + 8));
		wire_put16(l4 + 6, 1); /* anything but 0, "none": it is computed anew */
		return;
	}
	wire_put32(l4 + WIRE_TCP_AT_SEQ, s->v.tcp.seq + (s->at - s->head));
	if (!last)
		l4[WIRE_TCP_AT_FLAGS + 1] &= (uint8_t) ~(WIRE_TCP_FIN | WIRE_TCP_PSH);
	if (s->n > 0)
		l4[WIRE_TCP_AT_FLAGS + 1] &= (uint8_t)~WIRE_TCP_CWR;
}

struct link_frame *link_segments_next(struct link_segments *s, struct link_frames *f)
{
	uint32_t left = s->end - s->at, len = left < s->size ? left : s->size;
	struct link_frame *r;

	if (left == 0 && s->n > 0)
		return NULL;
	r = link_frame_new(f, s->head + len);
	if (!r)
		return NULL;
	memcpy(r->data, s->from->data, s->head);
	memcpy(r->data + s->head, s->from->data + s->at, len);
	r->len = s->head + len;
	r->link = s->from->link;
	r->sent_ns = s->from->sent_ns;
	patch(s, r, len, left == len);
	link_frame_checksums(r);
	s->at += len;
	s->n++;
	return r;
}

/* What GRO may touch at all. */
static bool plain(const struct link_frame *f, const struct link_view *v)
{
	uint16_t special = (uint16_t)(WIRE_TCP_FLAGS & ~(WIRE_TCP_ACK | WIRE_TCP_PSH));

	return v->has_tcp && !v->has_options && !(f->flags & BERTH_F_NEEDS_CSUM) && !(v->tcp.flags & special) &&
	       (v->tcp.flags & WIRE_TCP_ACK) && v->tcp.payload.len_bytes > 0;
}

static bool same_headers(const struct link_frame *a, const struct link_view *va, const struct link_frame *b,
			 const struct link_view *vb)
{
	uint32_t opt_a = (uint32_t)(va->tcp.payload.data - a->data) - va->l4_at;
	uint32_t opt_b = (uint32_t)(vb->tcp.payload.data - b->data) - vb->l4_at;

	return va->ip_at == vb->ip_at && va->l4_at == vb->l4_at && va->family == vb->family &&
	       memcmp(a->data, b->data, va->ip_at) == 0 && port_addr_equal(&va->src, &vb->src) &&
	       port_addr_equal(&va->dst, &vb->dst) && va->tos == vb->tos && va->ttl == vb->ttl && va->df == vb->df &&
	       va->tcp.src_port == vb->tcp.src_port && va->tcp.dst_port == vb->tcp.dst_port &&
	       va->tcp.ack == vb->tcp.ack && va->tcp.window == vb->tcp.window && opt_a == opt_b &&
	       memcmp(a->data + va->l4_at + WIRE_TCP_LEN, b->data + vb->l4_at + WIRE_TCP_LEN, opt_a - WIRE_TCP_LEN) ==
		       0;
}

static bool grow(struct link_frames *f, struct link_frame **a, uint32_t len)
{
	struct link_frame *more;
	uint32_t room;

	if (len <= (*a)->room)
		return true;
	more = link_frame_new(f, len);
	if (!more)
		return false;
	room = more->room;
	memcpy(more, *a, sizeof(**a) + (*a)->len);
	more->room = room;
	link_frame_free(f, *a);
	*a = more;
	return true;
}

bool link_merge(struct link_frames *f, struct link_frame **a, const struct link_frame *b)
{
	struct link_view va, vb;
	uint32_t len_a, len_b, size, len;
	struct link_frame *r;
	uint8_t *l4;

	if (b->gso != BERTH_GSO_NONE || b->link != (*a)->link)
		return false;
	if (link_view((*a)->data, (*a)->len, (*a)->link, &va) < 0 || link_view(b->data, b->len, b->link, &vb) < 0)
		return false;
	if (!plain(*a, &va) || !plain(b, &vb) || !same_headers(*a, &va, b, &vb))
		return false;
	len_a = (uint32_t)va.tcp.payload.len_bytes;
	len_b = (uint32_t)vb.tcp.payload.len_bytes;
	size = (*a)->gso ? (*a)->gso_size : len_a;
	if (vb.tcp.seq != va.tcp.seq + len_a || (va.tcp.flags & WIRE_TCP_PSH) || len_a % size != 0 || len_b > size ||
	    size > UINT16_MAX || va.ip_len + len_b > UINT16_MAX)
		return false;
	if (((*a)->gso == BERTH_GSO_NONE && !link_checksum_good((*a)->data, &va)) || !link_checksum_good(b->data, &vb))
		return false;
	len = va.ip_at + va.ip_len + len_b;
	if (!grow(f, a, len))
		return false;
	r = *a;
	memcpy(r->data + va.ip_at + va.ip_len, vb.tcp.payload.data, len_b);
	r->len = len;
	r->gso = va.family == 4 ? BERTH_GSO_TCP4 : BERTH_GSO_TCP6;
	r->gso_size = (uint16_t)size;
	r->flags |= BERTH_F_DATA_VALID;
	l4 = r->data + va.l4_at;
	l4[WIRE_TCP_AT_FLAGS + 1] |= (uint8_t)(vb.tcp.flags & WIRE_TCP_PSH);
	if (va.family == 4) {
		uint8_t *ip = r->data + va.ip_at;

		wire_put16(ip + 2, (uint16_t)(va.ip_len + len_b));
		wire_put16(ip + 10, 0);
		wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, va.l4_at - va.ip_at)));
	} else {
		wire_put16(r->data + va.ip_at + 4, (uint16_t)(va.ip_len + len_b - 40));
	}
	return true;
}
