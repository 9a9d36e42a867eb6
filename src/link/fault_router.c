/* src/link/fault_router.c: "fragmentation needed" and fragments, as a router makes them.
 *
 * The answer goes out on Ethernet with the two addresses of the question exchanged, as if the router had the receiver's MAC. Its
 * TTL is 64 and it quotes as much as fits 576 octets (IPv4, RFC 1812, 4.3.2.3) or 1280 (IPv6).
 */
#include "link/fault_router.h"

#include <errno.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

static bool may_answer(const struct link_frame *about, const struct link_view *v)
{
	uint32_t end = v->ip_at + v->ip_len;
	uint8_t type;

	if (v->fragment || port_addr_is_multicast(&v->dst) || port_addr_is_any(&v->src))
		return false;
	if (end <= v->l4_at)
		return true;
	type = about->data[v->l4_at];
	if (v->proto == WIRE_PROTO_ICMP4)
		return !wire_icmp4_is_error(type);
	return v->proto != WIRE_PROTO_ICMP6 || !wire_icmp6_is_error(type);
}

static int put_ip4(uint8_t *at, uint32_t room, const struct link_view *v, const struct port_addr *router, uint32_t mtu,
		   const uint8_t *quoted, uint32_t quote)
{
	struct wire_icmp4 icmp = {.type = WIRE_ICMP4_UNREACHABLE,
				  .code = WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED,
				  .mtu = (uint16_t)(mtu > UINT16_MAX ? UINT16_MAX : mtu)};
	struct wire_ip4 ip = {.src = *router, .dst = v->src, .ttl = 64, .proto = WIRE_PROTO_ICMP4, .df = true};
	int n, m;

	ip.payload.len_bytes = WIRE_ICMP_LEN + quote;
	n = wire_ip4_emit(&ip, at, room);
	if (n < 0)
		return n;
	m = wire_icmp4_emit(&icmp, at + n, room - (uint32_t)n);
	if (m < 0)
		return m;
	memcpy(at + n + m, quoted, quote);
	return n + m + (int)quote;
}

static int put_ip6(uint8_t *at, uint32_t room, const struct link_view *v, const struct port_addr *router, uint32_t mtu,
		   const uint8_t *quoted, uint32_t quote)
{
	struct wire_icmp6 icmp = {.type = WIRE_ICMP6_TOO_BIG, .mtu = mtu};
	struct wire_ip6 ip = {.src = *router, .dst = v->src, .hops = 64, .proto = WIRE_PROTO_ICMP6};
	int n, m;

	ip.payload.len_bytes = WIRE_ICMP_LEN + quote;
	n = wire_ip6_emit(&ip, at, room);
	if (n < 0)
		return n;
	m = wire_icmp6_emit(&icmp, at + n, room - (uint32_t)n);
	if (m < 0)
		return m;
	memcpy(at + n + m, quoted, quote);
	return n + m + (int)quote;
}

struct link_frame *router_too_big(struct link_frames *f, const struct link_frame *about, const struct link_view *v,
				  const struct port_addr *router, uint32_t mtu_bytes)
{
	uint32_t quote = v->family == 4 ? 576 - WIRE_IP4_LEN - WIRE_ICMP_LEN : 1280 - WIRE_IP6_LEN - WIRE_ICMP_LEN;
	const uint8_t *quoted = about->data + v->ip_at;
	struct link_frame *r;
	int n;

	if (!may_answer(about, v))
		return NULL;
	if (quote > v->ip_len)
		quote = v->ip_len;
	r = link_frame_new(f, v->ip_at + 1280);
	if (!r)
		return NULL;
	r->link = about->link;
	if (v->ip_at >= WIRE_ETH_LEN) {
		memcpy(r->data, about->data, v->ip_at);
		memcpy(r->data, about->data + WIRE_MAC_LEN, WIRE_MAC_LEN);
		memcpy(r->data + WIRE_MAC_LEN, about->data, WIRE_MAC_LEN);
	}
	if (v->family == 4)
		n = put_ip4(r->data + v->ip_at, 1280, v, router, mtu_bytes, quoted, quote);
	else
		n = put_ip6(r->data + v->ip_at, 1280, v, router, mtu_bytes, quoted, quote);
	ASSERT(n > 0); /* the room was made for it */
	r->len = v->ip_at + (uint32_t)n;
	link_frame_checksums(r);
	return r;
}

/* Octets [at, at + len) of the payload of a packet, behind its header. */
static struct link_frame *piece(struct link_frames *f, const struct link_frame *whole, const struct link_view *v,
				uint32_t at, uint32_t len, bool more)
{
	struct link_frame *r = link_frame_new(f, v->l4_at + len);
	uint8_t *ip;

	if (!r)
		return NULL;
	memcpy(r->data, whole->data, v->l4_at);
	memcpy(r->data + v->l4_at, whole->data + v->l4_at + at, len);
	r->len = v->l4_at + len;
	r->link = whole->link;
	r->sent_ns = whole->sent_ns;
	ip = r->data + v->ip_at;
	wire_put16(ip + 2, (uint16_t)(r->len - v->ip_at));
	/* a fragment may be cut again: what it says already counts on */
	wire_put16(ip + 6,
		   (uint16_t)((wire_get16(ip + 6) & 0x3fff) + (at / 8) + (more && !(ip[6] & 0x20) ? 0x2000u : 0)));
	wire_put16(ip + 10, 0);
	wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, v->l4_at - v->ip_at)));
	return r;
}

struct link_frame *router_fragment(struct link_frames *f, const struct link_frame *whole, const struct link_view *v,
				   uint32_t mtu_bytes)
{
	uint32_t header = v->l4_at - v->ip_at, payload = v->ip_len - header, each;
	struct link_frame *first = NULL, **last = &first;

	if (v->family != 4 || v->df || v->has_options || mtu_bytes < header + 8)
		return NULL;
	each = (mtu_bytes - header) & ~7u;
	for (uint32_t at = 0; at < payload; at += each) {
		uint32_t len = payload - at < each ? payload - at : each;

		*last = piece(f, whole, v, at, len, at + len < payload);
		if (!*last)
			break;
		last = &(*last)->next;
	}
	return first;
}
