/* tests/unit/ip_fixture.h: one stack on one link, whose other end is the test: frames in, frames out, time as the test says. */
#ifndef BERTH_TESTS_IP_FIXTURE_H
#define BERTH_TESTS_IP_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "port/endpoint.h"
#include "stack/ip_state.h"
#include "wire/udp.h"

#define LAB_FRAMES 512
#define SEC(n) ((uint64_t)((n)*1000000000.0))

struct frame_out {
	uint64_t at_ns;
	uint32_t len;
	uint8_t data[1600];
};

struct lab {
	struct berth_stack *st;
	void *mem;
	uint64_t now;
	uint16_t iface;
	unsigned n_out; /* frames since lab_clear() */
	struct frame_out *out;
	uint8_t link;
};

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, his_mac[6] = {2, 0, 0, 0, 0, 2},
		     other_mac[6] = {2, 0, 0, 0, 0, 3};
static const uint8_t all_macs[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static inline struct port_addr A(const char *text) {
	struct port_addr a;

	assert_int_equal(port_addr_parse(text, &a, NULL), 0);
	return a;
}

static inline struct berth_addr
pub(const char *text)
{
	struct port_addr a = A(text);

	return addr_public(&a, 0);
}

static inline void lab_open_iface(struct lab *l, const struct berth_iface *f, struct berth_stack_config *c)
{
	size_t size;

	c->struct_size = sizeof(*c);
	c->n_conns = c->n_conns ? c->n_conns : 8;
	c->n_udp = 8;
	c->n_syn = 8;
	c->n_time_wait = 8;
	c->rx_ring_bytes = c->tx_ring_bytes = 4096;
	c->udp_ring_bytes = 128 * 1024;
	if (!c->secret[0])
		memcpy(c->secret, "ip unit tests, a secret of 32 oc", 32);
	size = berth_stack_size(c);
	assert_true(size > 0);
	*l = (struct lab){.now = SEC(1000), .link = f->link};
	l->mem = aligned_alloc(64, (size + 63) & ~(size_t)63);
	memset(l->mem, 0, size);
	l->out = calloc(LAB_FRAMES, sizeof(*l->out));
	assert_int_equal(berth_stack_init(&l->st, l->mem, size, c, l->now), 0);
	assert_int_equal(berth_iface_add(l->st, f, &l->iface), 0);
}

static inline void lab_open_with(struct lab *l, enum berth_link link, uint32_t flags, uint32_t mtu,
				 struct berth_stack_config *c)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = (uint8_t)link,
				.flags = flags,
				.mtu_bytes = mtu,
				.name = "lab0"};

	memcpy(f.mac, our_mac, 6);
	lab_open_iface(l, &f, c);
}

static inline void lab_open(struct lab *l, enum berth_link link, uint32_t flags)
{
	struct berth_stack_config c = {.n_packets = 128};

	lab_open_with(l, link, flags, 1500, &c);
}

static inline void lab_close(struct lab *l)
{
	assert_true(berth_stack_check(l->st));
	free(l->mem);
	free(l->out);
}

/* What the stack wants to send, now. */
static inline void lab_drain(struct lab *l)
{
	struct berth_tx tx[8];
	unsigned n;

	do {
		n = berth_stack_output(l->st, tx, 8, l->now);
		for (unsigned i = 0; i < n; i++) {
			struct frame_out *f = &l->out[l->n_out];
			uint32_t at = tx[i].head_len;

			assert_true(l->n_out < LAB_FRAMES && tx[i].len <= sizeof(f->data));
			l->n_out++;
			f->at_ns = l->now;
			f->len = tx[i].len;
			memcpy(f->data, tx[i].head, at);
			for (unsigned p = 0; p < tx[i].n_parts; p++) {
				memcpy(f->data + at, tx[i].parts[p].data, tx[i].parts[p].len);
				at += tx[i].parts[p].len;
			}
			assert_int_equal(at, f->len);
		}
	} while (n == 8);
}

/* Time passes, deadline by deadline. */
static inline void lab_pass(struct lab *l, uint64_t ns)
{
	uint64_t end = l->now + ns;

	lab_drain(l);
	for (unsigned rounds = 0; rounds < 100000; rounds++) {
		uint64_t at = berth_stack_deadline(l->st);

		if (at > end)
			break;
		l->now = at > l->now ? at : l->now;
		berth_stack_tick(l->st, l->now, 64);
		lab_drain(l);
	}
	l->now = end;
	berth_stack_tick(l->st, l->now, 64);
	lab_drain(l);
}

static inline void lab_clear(struct lab *l)
{
	l->n_out = 0;
}

static inline void lab_rx(struct lab *l, struct berth_rx *rx)
{
	rx->iface = l->iface;
	berth_stack_input(l->st, rx, 1, l->now);
	lab_drain(l);
}

static inline void lab_frame(struct lab *l, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* so that sanitizers see a read past the end */
	struct berth_rx rx = {.head = copy, .head_len = (uint32_t)len};

	memcpy(copy, data, len);
	lab_rx(l, &rx);
	free(copy);
}

/* A packet (IP header on) in a frame from mac src to mac dst. */
static inline void lab_packet_to(struct lab *l, const uint8_t *dst, const uint8_t *src, const uint8_t *data, size_t len)
{
	uint8_t *frame = malloc(14 + len);
	struct wire_eth e = {.type = data[0] >> 4 == 6 ? WIRE_ETH_IP6 : WIRE_ETH_IP4};

	memcpy(e.dst, dst, 6);
	memcpy(e.src, src, 6);
	if (l->link == BERTH_LINK_ETHERNET)
		assert_int_equal(wire_eth_emit(&e, frame, 14), 14);
	memcpy(frame + (l->link == BERTH_LINK_ETHERNET ? 14 : 0), data, len);
	lab_frame(l, frame, len + (l->link == BERTH_LINK_ETHERNET ? 14 : 0));
	free(frame);
}

static inline void lab_packet(struct lab *l, const uint8_t *data, size_t len)
{
	lab_packet_to(l, our_mac, his_mac, data, len);
}

/* Description of an IP packet to build. */
struct pk {
	const char *src, *dst;
	uint8_t proto, ttl, tos;
	const uint8_t *options;
	size_t n_options; /* IPv4 */
	const uint8_t *extensions;
	size_t n_extensions; /* IPv6: starts with what next names */
	uint8_t next;
	uint16_t id, at;
	bool mf, df;
	const void *payload;
	size_t len;
};

static inline size_t pk_build(const struct pk *p, uint8_t *buf, size_t room)
{
	struct port_addr src = A(p->src), dst = A(p->dst);
	int r;

	src.scope = dst.scope = 0;
	if (port_addr_is4(&dst)) {
		struct wire_ip4 ip = {.src = src,
				      .dst = dst,
				      .tos = p->tos,
				      .ttl = p->ttl ? p->ttl : 64,
				      .proto = p->proto,
				      .id = p->id};

		ip.fragment_at = p->at;
		ip.mf = p->mf;
		ip.df = p->df;
		ip.options = (struct wire_slice){p->options, p->n_options};
		ip.payload.len_bytes = p->len;
		r = wire_ip4_emit(&ip, buf, room);
	} else {
		struct wire_ip6 ip = {.src = src,
				      .dst = dst,
				      .tclass = p->tos,
				      .hops = p->ttl ? p->ttl : 64,
				      .proto = p->proto};

		ip.next = p->next;
		ip.extensions = (struct wire_slice){p->extensions, p->n_extensions};
		ip.payload.len_bytes = p->len;
		r = wire_ip6_emit(&ip, buf, room);
	}
	assert_true(r > 0 && (size_t)r + p->len <= room);
	if (p->len)
		memcpy(buf + r, p->payload, p->len);
	return (size_t)r + p->len;
}

/* Transport header and data with their checksum right: payload's first octets are the header. */
static inline void seal(const char *src, const char *dst, uint8_t proto, uint8_t *l4, size_t len)
{
	struct port_addr s = A(src), d = A(dst);

	wire_checksum_fill(&s, &d, proto, l4, len, 0, 0);
}

static inline size_t udp_build(const char *src, const char *dst, uint16_t sport, uint16_t dport, const void *data,
			       size_t len, uint8_t *buf)
{
	struct wire_udp u = {.src_port = sport, .dst_port = dport, .payload.len_bytes = len};

	assert_int_equal(wire_udp_emit(&u, buf, 8), 8);
	if (len)
		memcpy(buf + 8, data, len);
	seal(src, dst, WIRE_PROTO_UDP, buf, 8 + len);
	return 8 + len;
}

static inline void lab_udp(struct lab *l, const char *src, const char *dst, uint16_t dport, const void *data,
			   size_t len)
{
	static uint8_t l4[70000], buf[70000];
	struct pk p = {.src = src, .dst = dst, .proto = WIRE_PROTO_UDP, .payload = l4};

	p.len = udp_build(src, dst, 9999, dport, data, len, l4);
	lab_packet(l, buf, pk_build(&p, buf, sizeof(buf)));
}

static inline size_t echo_build(const char *src, const char *dst, const void *data, size_t len, uint8_t *buf)
{
	bool v4 = strchr(dst, ':') == NULL;
	struct wire_icmp4 m4 = {.type = WIRE_ICMP4_ECHO, .id = 7, .seq = 3};
	struct wire_icmp6 m6 = {.type = WIRE_ICMP6_ECHO, .id = 7, .seq = 3};
	int r = v4 ? wire_icmp4_emit(&m4, buf, 8) : wire_icmp6_emit(&m6, buf, 8);

	assert_int_equal(r, 8);
	if (len)
		memcpy(buf + 8, data, len);
	seal(src, dst, v4 ? WIRE_PROTO_ICMP4 : WIRE_PROTO_ICMP6, buf, 8 + len);
	return 8 + len;
}

static inline void lab_arp(struct lab *l, uint16_t op, const char *sender, const uint8_t *mac, const char *target,
			   const uint8_t *to)
{
	struct wire_arp a = {.op = op, .sender = A(sender), .target = A(target)};
	struct wire_eth e = {.type = WIRE_ETH_ARP};
	uint8_t buf[60] = {0};

	memcpy(e.dst, to, 6);
	memcpy(e.src, mac, 6);
	memcpy(a.sender_mac, mac, 6);
	if (op == WIRE_ARP_REPLY)
		memcpy(a.target_mac, to, 6);
	assert_int_equal(wire_eth_emit(&e, buf, 14), 14);
	assert_int_equal(wire_arp_emit(&a, buf + 14, 28), 28);
	lab_frame(l, buf, sizeof(buf));
}

/* An ICMPv6 message made by one of wire_nd_*_emit(), hop limit 255. */
static inline void lab_nd(struct lab *l, const char *src, const char *dst, uint8_t *msg, int len, uint8_t hops)
{
	uint8_t buf[1500];
	struct pk p = {.src = src, .dst = dst, .proto = WIRE_PROTO_ICMP6, .ttl = hops, .payload = msg};
	struct port_addr to = A(dst);
	uint8_t mac[6];

	assert_true(len > 0);
	p.len = (size_t)len;
	seal(src, dst, WIRE_PROTO_ICMP6, msg, p.len);
	if (port_addr_is_multicast(&to))
		wire_mac_of_group(&to, mac);
	else
		memcpy(mac, our_mac, 6);
	lab_packet_to(l, mac, his_mac, buf, pk_build(&p, buf, sizeof(buf)));
}

static inline void lab_na(struct lab *l, const char *src, const char *dst, const char *target, const uint8_t *mac,
			  bool solicited, bool override)
{
	struct wire_nd_na na = {.solicited = solicited, .override = override, .target = A(target)};
	uint8_t msg[64];

	na.target.scope = 0;
	if (mac) {
		na.options.has = WIRE_ND_HAS_TARGET_MAC;
		memcpy(na.options.target_mac, mac, 6);
	}
	lab_nd(l, src, dst, msg, wire_nd_na_emit(&na, msg, sizeof(msg)), 255);
}

static inline void lab_ns(struct lab *l, const char *src, const char *dst, const char *target, const uint8_t *mac)
{
	struct wire_nd_ns ns = {.target = A(target)};
	uint8_t msg[64];

	ns.target.scope = 0;
	if (mac) {
		ns.options.has = WIRE_ND_HAS_SOURCE_MAC;
		memcpy(ns.options.source_mac, mac, 6);
	}
	lab_nd(l, src, dst, msg, wire_nd_ns_emit(&ns, msg, sizeof(msg)), 255);
}

/* --- what came out --- */
struct seen {
	struct wire_eth eth;
	bool is_arp, v4, v6;
	struct wire_arp arp;
	struct wire_ip4 ip4;
	struct wire_ip6 ip6;
	struct port_addr src, dst;
	uint8_t proto, hops;
	struct wire_slice payload;
	uint64_t at_ns;
};

static inline struct seen lab_seen(const struct lab *l, unsigned i)
{
	const struct frame_out *f = &l->out[i];
	struct seen s = {.at_ns = f->at_ns};
	const uint8_t *p = f->data;
	size_t len = f->len;

	assert_true(i < l->n_out);
	if (l->link == BERTH_LINK_ETHERNET) {
		assert_int_equal(wire_eth_parse(p, len, &s.eth), 0);
		p = s.eth.payload.data;
		len = s.eth.payload.len_bytes;
		assert_memory_equal(s.eth.src, our_mac, 6);
		s.is_arp = s.eth.type == WIRE_ETH_ARP;
	}
	if (s.is_arp) {
		assert_int_equal(wire_arp_parse(p, len, &s.arp), 0);
		return s;
	}
	s.v4 = p[0] >> 4 == 4;
	s.v6 = !s.v4;
	if (s.v4) {
		assert_int_equal(wire_ip4_parse(p, len, &s.ip4), 0);
		assert_true(s.ip4.checksum_good);
		s.src = s.ip4.src;
		s.dst = s.ip4.dst;
		s.proto = s.ip4.proto;
		s.hops = s.ip4.ttl;
		s.payload = s.ip4.payload;
		if (!wire_ip4_is_fragment(&s.ip4))
			assert_true(wire_transport_checksum_good(&s.src, &s.dst, s.proto, s.payload.data,
								 s.payload.len_bytes));
	} else {
		assert_int_equal(wire_ip6_parse(p, len, &s.ip6, NULL), 0);
		s.src = s.ip6.src;
		s.dst = s.ip6.dst;
		s.proto = s.ip6.proto;
		s.hops = s.ip6.hops;
		s.payload = s.ip6.fragmented ? s.ip6.fragment : s.ip6.payload;
		if (!wire_ip6_is_fragment(&s.ip6))
			assert_true(wire_transport_checksum_good(&s.src, &s.dst, s.proto, s.payload.data,
								 s.payload.len_bytes));
	}
	return s;
}

/* Frames of a kind: ARP requests for target; or ICMP messages of a type. */
static inline unsigned lab_n_arp(const struct lab *l, uint16_t op)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n_out; i++) {
		struct seen s = lab_seen(l, i);

		n += s.is_arp && s.arp.op == op;
	}
	return n;
}

static inline unsigned lab_n_icmp(const struct lab *l, uint8_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n_out; i++) {
		struct seen s = lab_seen(l, i);

		n += !s.is_arp && (s.proto == WIRE_PROTO_ICMP4 || s.proto == WIRE_PROTO_ICMP6) && s.payload.len_bytes &&
		     s.payload.data[0] == type;
	}
	return n;
}

static inline struct seen lab_icmp(const struct lab *l, uint8_t type)
{
	for (unsigned i = 0; i < l->n_out; i++) {
		struct seen s = lab_seen(l, i);

		if (!s.is_arp && (s.proto == WIRE_PROTO_ICMP4 || s.proto == WIRE_PROTO_ICMP6) && s.payload.len_bytes &&
		    s.payload.data[0] == type)
			return s;
	}
	fail_msg("no ICMP message of type %u left", type);
	return (struct seen){.at_ns = 0};
}

/* A UDP socket on port, and one datagram from it (length, or the negative errno). */
static inline berth_sock lab_socket(struct lab *l, int family, uint16_t port)
{
	struct berth_addr a = family == BERTH_IPV4 ? berth_addr4(0, 0, 0, 0, port) : (struct berth_addr){.port = port};
	berth_sock s;

	assert_int_equal(berth_sock_open(l->st, BERTH_UDP, family, 0, &s), 0);
	assert_int_equal(berth_sock_bind(l->st, s, &a), 0);
	return s;
}

static inline int lab_recv(struct lab *l, berth_sock s, uint8_t *data, uint32_t room)
{
	struct berth_dgram d = {.data = data, .len = room};
	int r = berth_sock_udp_recv(l->st, s, &d, 1);

	return r == 1 ? (int)d.len : r;
}

static inline int lab_send(struct lab *l, berth_sock s, const char *dst, const void *data, uint32_t len)
{
	struct port_addr to = A(dst);
	struct berth_dgram d = {.data = (void *)(uintptr_t)data, .len = len, .iface = BERTH_IFACE_ANY};
	int r;

	d.peer = addr_public(&to, 5000);
	r = berth_sock_udp_send(l->st, s, &d, 1);
	lab_drain(l);
	return r;
}

static inline void lab_addr(struct lab *l, const char *text, unsigned bits)
{
	struct berth_addr a = pub(text);

	assert_int_equal(berth_addr_add(l->st, l->iface, &a, bits), 0);
}

static inline int lab_addr_flags(struct lab *l, const char *text)
{
	struct port_addr a = A(text);
	uint32_t i = addr_find(l->st, &a);

	return i == NIL ? -1 : l->st->ip->addrs[i].flags;
}

#endif
