/* tests/unit/link_fixture.h: TCP frames from a few numbers, for the tests of link/. */
#ifndef BERTH_TESTS_LINK_FIXTURE_H
#define BERTH_TESTS_LINK_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "link/frame.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/udp.h"

#define FIX_MAC_A                \
	{                        \
		2, 0, 0, 0, 0, 1 \
	}
#define FIX_MAC_B                \
	{                        \
		2, 0, 0, 0, 0, 2 \
	}

struct fix {
	enum berth_link link;
	int family;
	uint32_t seq;
	uint16_t flags;
	uint32_t len; /* of the payload; octet i of the stream is fix_octet(seq + i) */
	bool df;
	uint8_t tos;
	uint32_t ts_val;
	uint16_t gso_size; /* 0: none */
	bool udp;
};

static inline uint8_t fix_octet(uint32_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

/* A complete frame with good checksums; a super-frame's TCP checksum is not complete, as a stack gives it out. */
static inline uint32_t fix_put(const struct fix *x, uint8_t *buf, uint32_t room)
{
	struct wire_eth e = {.dst = FIX_MAC_B, .src = FIX_MAC_A, .type = x->family == 4 ? WIRE_ETH_IP4 : WIRE_ETH_IP6};
	struct wire_tcp t =
		{.src_port = 1000, .dst_port = 80, .seq = x->seq, .ack = 7, .flags = x->flags, .window = 500};
	struct wire_udp u = {.src_port = 1000, .dst_port = 80};
	struct port_addr src = port_addr_v4(10, 0, 0, 1), dst = port_addr_v4(10, 0, 0, 2);
	uint8_t l4[64];
	int n = 0, m, k;

	if (x->family == 6) {
		src = port_addr_from6((uint8_t[16]){0xfd, [15] = 1}, 0);
		dst = port_addr_from6((uint8_t[16]){0xfd, [15] = 2}, 0);
	}
	if (x->link == BERTH_LINK_ETHERNET)
		n = wire_eth_emit(&e, buf, room);
	if (x->ts_val) {
		t.options.has = WIRE_TCP_HAS_TS;
		t.options.ts_val = x->ts_val;
	}
	u.payload.len_bytes = x->len;
	m = x->udp ? wire_udp_emit(&u, l4, sizeof(l4)) : wire_tcp_emit(&t, l4, sizeof(l4));
	if (x->family == 4) {
		struct wire_ip4 ip = {.src = src, .dst = dst, .ttl = 64, .tos = x->tos, .id = 100, .df = x->df};

		ip.proto = x->udp ? WIRE_PROTO_UDP : WIRE_PROTO_TCP;
		ip.payload.len_bytes = (uint32_t)m + x->len;
		k = wire_ip4_emit(&ip, buf + n, room - (uint32_t)n);
	} else {
		struct wire_ip6 ip = {.src = src, .dst = dst, .hops = 64, .tclass = x->tos};

		ip.proto = x->udp ? WIRE_PROTO_UDP : WIRE_PROTO_TCP;
		ip.payload.len_bytes = (uint32_t)m + x->len;
		k = wire_ip6_emit(&ip, buf + n, room - (uint32_t)n);
	}
	assert_true(n >= 0 && m > 0 && k > 0 && (uint32_t)(n + k + m) + x->len <= room);
	memcpy(buf + n + k, l4, (size_t)m);
	for (uint32_t i = 0; i < x->len; i++)
		buf[(uint32_t)(n + k + m) + i] = fix_octet(x->seq + i);
	if (x->gso_size)
		wire_checksum_defer(&src, &dst, x->udp ? WIRE_PROTO_UDP : WIRE_PROTO_TCP, buf + n + k, (size_t)m,
				    x->len);
	else
		wire_checksum_fill(&src, &dst, x->udp ? WIRE_PROTO_UDP : WIRE_PROTO_TCP, buf + n + k, (size_t)m,
				   wire_sum_at(0, (size_t)m, buf + n + k + m, x->len), x->len);
	return (uint32_t)(n + k + m) + x->len;
}

/* The same as a stack gives it out: the head apart, the payload in two parts of `data`, which must stay. */
static inline void fix_tx(const struct fix *x, uint8_t data[LINK_FRAME_MAX], struct berth_tx *ret)
{
	uint32_t len = fix_put(x, data, LINK_FRAME_MAX), head = len - x->len;
	struct berth_tx tx = {.head_len = (uint16_t)head, .len = len};

	memcpy(tx.head, data, head);
	if (x->len) {
		tx.parts[0] = (struct berth_part){data + head, x->len / 3};
		tx.parts[1] = (struct berth_part){data + head + x->len / 3, x->len - x->len / 3};
		tx.n_parts = 2;
	}
	if (x->gso_size) {
		uint16_t l4 = (uint16_t)((x->link == BERTH_LINK_ETHERNET ? 14 : 0) + (x->family == 4 ? 20 : 40));

		tx.gso = x->udp ? BERTH_GSO_UDP : x->family == 4 ? BERTH_GSO_TCP4 : BERTH_GSO_TCP6;
		tx.gso_size = x->gso_size;
		tx.hdr_len = (uint16_t)head;
		tx.flags = BERTH_F_NEEDS_CSUM;
		tx.csum_start = l4;
		tx.csum_offset = x->udp ? 6 : 16;
	}
	*ret = tx;
}

#endif
