/* fuzz/fuzz_stack_frames.c: any frame into a stack that listens, has UDP sockets, groups with source filters and a live connection.
 *
 * The input is a list of steps: raw frames; packets of IPv4 and IPv6 whose headers we make right, so that what is behind them is reached;
 * segments near the live connection's numbers, with any flags and options; super-frames; queries and datagrams to our groups; and time, reading,
 * writing, closing and other filters in between. Frames are marked BERTH_F_DATA_VALID, so no checksum of a transport stands in the way.
 *
 * The stack's checker holds after each step, and what the stack sends is whole: lengths add up, and our own parser reads it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/stack.h>

#include "base/cursor.h"
#include "base/base.h"
#include "stack/tcp.h"
#include "stack_look.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

#define IFACE_FLAGS (BERTH_IF_TX_CSUM | BERTH_IF_TSO4 | BERTH_IF_NO_DAD | BERTH_IF_ROUTER_ADV)

static size_t take_bytes(struct cursor_reader *in, uint8_t *to, size_t max)
{
	size_t n = cursor_get_be16(in) % (max + 1);

	n = n < cursor_reader_left(in) ? n : cursor_reader_left(in);
	return cursor_get_bytes(in, to, n) ? n : 0;
}

static void *memory;
static size_t memory_size;
static struct berth_stack *st;
static uint64_t now_ns;
static berth_sock listener, live, udp4, udp6;
static uint8_t frame[2048], sent[LOOK_ROOM], zeros[66000];
static uint32_t last_seq; /* of the last TCP segment the stack sent */

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const struct port_addr our4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1}, 0};
static const struct port_addr peer4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2}, 0};
static const struct port_addr our6 = {{0xfd, [15] = 1}, 0}, peer6 = {{0xfd, [15] = 2}, 0};
static const struct port_addr router6 = {{0xfe, 0x80, [15] = 9}, 0};
static const struct port_addr all4 = {{[10] = 0xff, 0xff, 224, 0, 0, 1}, 0}, all6 = {{0xff, 2, [15] = 1}, 0};
static const struct port_addr group4 = {{[10] = 0xff, 0xff, 239, 1, 1, 1}, 0}, group6 = {{0xff, 5, [15] = 7}, 0};

/* --- what the stack sends --- */
static void look_at(const struct berth_tx *v)
{
	static const struct look_iface by = {BERTH_LINK_ETHERNET, IFACE_FLAGS, 1500};
	struct link_view seen;

	stack_look(v, &by, sent, &seen);
	if (seen.has_tcp)
		last_seq = seen.tcp.seq;
}

static void drain(void)
{
	struct berth_tx tx[8];
	unsigned n, rounds = 0;

	while ((n = berth_stack_output(st, tx, 8, now_ns)) > 0 && ++rounds < 64)
		for (unsigned i = 0; i < n; i++)
			look_at(&tx[i]);
}

/* --- what comes in --- */
static struct berth_rx described(uint8_t gso, uint16_t gso_size)
{
	return (struct berth_rx){.gso = gso, .gso_size = gso_size, .flags = BERTH_F_DATA_VALID};
}

static void give(const uint8_t *data, size_t len, const struct berth_part *part, struct berth_rx rx)
{
	uint8_t *exact = malloc(len > 0 ? len : 1); /* so that a read past its end is seen */

	ASSERT(exact != NULL);
	memcpy(exact, data, len);
	rx.head = exact;
	rx.head_len = (uint32_t)len;
	rx.parts = part;
	rx.n_parts = part != NULL;
	berth_stack_input(st, &rx, 1, now_ns);
	free(exact);
}

static size_t head4(uint8_t proto, size_t l4_len, uint8_t tos)
{
	struct wire_eth eth = {.type = WIRE_ETH_IP4};
	struct wire_ip4 ip =
		{.src = peer4, .dst = our4, .ttl = 64, .tos = tos, .proto = proto, .payload = {NULL, l4_len}};
	int n, m;

	memcpy(eth.dst, our_mac, 6);
	memcpy(eth.src, peer_mac, 6);
	n = wire_eth_emit(&eth, frame, sizeof(frame));
	m = wire_ip4_emit(&ip, frame + n, sizeof(frame) - (size_t)n);
	return m < 0 ? 0 : (size_t)(n + m);
}

static size_t head6(uint8_t proto, size_t l4_len)
{
	struct wire_eth eth = {.type = WIRE_ETH_IP6};
	struct wire_ip6 ip = {.src = peer6, .dst = our6, .hops = 255, .proto = proto, .payload = {NULL, l4_len}};
	int n, m;

	memcpy(eth.dst, our_mac, 6);
	memcpy(eth.src, peer_mac, 6);
	n = wire_eth_emit(&eth, frame, sizeof(frame));
	m = wire_ip6_emit(&ip, frame + n, sizeof(frame) - (size_t)n);
	return m < 0 ? 0 : (size_t)(n + m);
}

/* An ICMP message's checksum is looked at whatever the device says: make it right. */
static void mend(uint8_t proto, uint8_t *l4, size_t len, bool is4)
{
	uint32_t sum;

	if (len < 4 || (proto != WIRE_PROTO_ICMP4 && proto != WIRE_PROTO_ICMP6 && proto != WIRE_PROTO_IGMP))
		return;
	l4[2] = l4[3] = 0;
	sum = proto == WIRE_PROTO_ICMP6 && !is4 ? wire_sum_pseudo(&peer6, &our6, proto, (uint32_t)len) : 0;
	wire_put16(l4 + 2, wire_checksum(wire_sum(sum, l4, len)));
}

static void packet4(struct cursor_reader *in, uint8_t proto)
{
	uint8_t body[1480];
	size_t len = take_bytes(in, body, sizeof(body)), at = head4(proto, len, 0);

	mend(proto, body, len, true);
	memcpy(frame + at, body, len);
	give(frame, at + len, NULL, described(0, 0));
}

static void packet6(struct cursor_reader *in, uint8_t proto)
{
	uint8_t body[1460];
	size_t len = take_bytes(in, body, sizeof(body)), at = head6(proto, len);

	mend(proto, body, len, false);
	memcpy(frame + at, body, len);
	give(frame, at + len, NULL, described(0, 0));
}

/* Any descriptor (S28): a kind of super-frame that the headers are not, sizes of segments, places of checksums. */
static struct berth_rx take_descriptor(struct cursor_reader *in)
{
	struct berth_rx rx = described(cursor_get_u8(in) % 8, cursor_get_be16(in));

	rx.flags = cursor_get_u8(in) < 128 ? BERTH_F_DATA_VALID : cursor_get_u8(in);
	rx.csum_start = cursor_get_be16(in);
	rx.csum_offset = cursor_get_be16(in);
	return rx;
}

/* A segment with payload_len octets; more than fits one frame is a super-frame. */
static void segment(uint16_t src_port, uint32_t seq, uint32_t ack, uint16_t flags, uint16_t wnd, const uint8_t *options,
		    size_t options_len, uint32_t payload_len, uint8_t tos, struct berth_rx how)
{
	struct berth_part part = {zeros, payload_len};
	size_t head = 20 + options_len, at = head4(WIRE_PROTO_TCP, head + payload_len, tos);
	uint8_t *tcp = frame + at;

	if (at == 0)
		return;
	memset(tcp, 0, 20);
	wire_put16(tcp, src_port);
	wire_put16(tcp + 2, 80);
	wire_put32(tcp + 4, seq);
	wire_put32(tcp + 8, ack);
	tcp[12] = (uint8_t)(head / 4 << 4);
	tcp[13] = (uint8_t)flags;
	wire_put16(tcp + 14, wnd);
	wire_put16(tcp + 18, (uint16_t)(flags >> 8));
	memcpy(tcp + 20, options, options_len);
	give(frame, at + head, payload_len > 0 ? &part : NULL, how);
}

static void near_segment(struct cursor_reader *in, bool odd_one)
{
	uint8_t options[40] = {0};
	const struct tcp_conn *c = NULL;
	uint32_t index, seq = cursor_get_be16(in), ack = 0, payload;
	uint16_t flags = cursor_get_be16(in), wnd = cursor_get_be16(in);
	uint8_t how = cursor_get_u8(in);
	size_t n;

	if (sock_find_tcp(st, live, &index) == 0)
		c = tcp_at(st, index);
	if (c != NULL) {
		seq = c->rcv_nxt + (uint32_t)(int32_t)(int16_t)seq;
		ack = how & 1 ? tcp_nxt(c) : how & 2 ? c->una : c->una + cursor_get_be16(in) - 100;
	}
	payload = how & 4 ? 0 : how & 8 ? cursor_get_be16(in) : cursor_get_u8(in);
	n = take_bytes(in, options, sizeof(options)) / 4 * 4;
	if (how & 16 && n >= 12) { /* a SACK block of our own octets */
		options[0] = options[1] = 1;
		options[2] = 5;
		options[3] = 10;
		wire_put32(options + 4, ack + options[4]);
		wire_put32(options + 8, ack + options[4] + options[8]);
	}
	segment(how & 32 ? 5001 : 5000, seq, ack, flags, wnd, options, n, payload, how >> 6,
		odd_one ? take_descriptor(in) : described(payload > 1460 ? BERTH_GSO_TCP4 : 0, 1460));
}

/* To one of our groups, or to all hosts: a message of IGMP or MLD as a router on the link sends it, or a datagram. */
static void to_group(struct cursor_reader *in, uint8_t how)
{
	bool v4 = how & 1, udp = how & 4;
	struct port_addr dst = how & 2 ? (v4 ? all4 : all6) : (v4 ? group4 : group6);
	uint8_t body[1400], alert[WIRE_IP6_ROUTER_ALERT_LEN];
	size_t len = take_bytes(in, body, sizeof(body));
	struct wire_eth eth = {.type = v4 ? WIRE_ETH_IP4 : WIRE_ETH_IP6};
	struct wire_ip4 ip4 = {.src = peer4, .dst = dst, .ttl = 1, .payload = {NULL, len}};
	struct wire_ip6 ip6 = {.src = udp ? peer6 : router6, .dst = dst, .hops = 1, .payload = {NULL, len}};
	uint32_t sum = 0;
	int n, m;

	ip4.proto = udp ? WIRE_PROTO_UDP : WIRE_PROTO_IGMP;
	ip6.proto = udp ? WIRE_PROTO_UDP : WIRE_PROTO_ICMP6;
	if (!udp && v4) {
		ip4.options = (struct wire_slice){wire_ip4_router_alert, sizeof(wire_ip4_router_alert)};
	} else if (!udp) {
		wire_ip6_put_router_alert(alert, WIRE_PROTO_ICMP6, 0);
		ip6.next = WIRE_PROTO_HOPOPTS;
		ip6.extensions = (struct wire_slice){alert, sizeof(alert)};
	}
	wire_mac_of_group(&dst, eth.dst);
	memcpy(eth.src, peer_mac, 6);
	n = wire_eth_emit(&eth, frame, sizeof(frame));
	m = v4 ? wire_ip4_emit(&ip4, frame + n, sizeof(frame) - (size_t)n)
	       : wire_ip6_emit(&ip6, frame + n, sizeof(frame) - (size_t)n);
	if (m < 0)
		return;
	if (!udp && len >= 4) {
		body[2] = body[3] = 0;
		if (!v4)
			sum = wire_sum_pseudo(&ip6.src, &dst, WIRE_PROTO_ICMP6, (uint32_t)len);
		wire_put16(body + 2, wire_checksum(wire_sum(sum, body, len)));
	}
	memcpy(frame + n + m, body, len);
	give(frame, (size_t)(n + m) + len, NULL, described(0, 0));
}

/* --- the program --- */

/* Whom our sockets want to hear: a few addresses, so that lists meet each other and what queries ask. */
static void filter(struct cursor_reader *in, uint8_t how)
{
	bool v4 = how & 1;
	struct berth_addr group = addr_public(v4 ? &group4 : &group6, 0), list[6];
	uint8_t what = cursor_get_u8(in), which = cursor_get_u8(in);
	berth_sock s = v4 && how & 2 ? udp4 : udp6;
	unsigned n = what / 16 % 7;

	for (unsigned i = 0; i < COUNT_OF(list); i++) {
		list[i] = addr_public(v4 ? &peer4 : &peer6, 0);
		list[i].ip[15] = (uint8_t)(2 + (which + i * (which / 8)) % 8);
	}
	switch (what % 8) {
	case 0:
		berth_sock_join(st, s, &group, 0);
		break;
	case 1:
		berth_sock_leave(st, s, &group, 0);
		break;
	case 2:
	case 3:
		berth_sock_set_filter(st, s, &group, 0, (enum berth_filter_mode)(what & 1), list, n);
		break;
	default:
		berth_sock_source(st, s, (enum berth_source_change)(what % 4), &group, list, 0);
		break;
	}
}

static void act(struct cursor_reader *in)
{
	static uint8_t buffer[8192];
	struct berth_dgram d = {.data = buffer, .len = sizeof(buffer)};
	struct berth_event ev[8];
	berth_sock s;

	switch (cursor_get_u8(in) % 9) {
	case 0:
		berth_sock_send(st, live, buffer, cursor_get_be16(in) % sizeof(buffer), 0);
		break;
	case 1:
		berth_sock_recv(st, live, buffer, cursor_get_be16(in) % sizeof(buffer));
		break;
	case 2:
		berth_sock_close(st, live);
		break;
	case 3:
		berth_sock_shutdown(st, live, cursor_get_u8(in) & 3);
		break;
	case 4:
		if (berth_sock_accept(st, listener, 0, &s, NULL) == 0) {
			berth_sock_abort(st, live);
			live = s;
		}
		break;
	case 5:
		berth_sock_udp_recv(st, cursor_get_u8(in) & 1 ? udp4 : udp6, &d, 1);
		break;
	case 6:
		berth_sock_abort(st, live);
		break;
	case 7:
		berth_sock_set(st, live, (enum berth_option)(cursor_get_u8(in) % BERTH_NOPTIONS), cursor_get_be16(in));
		break;
	default:
		berth_stack_events(st, ev, 8);
		break;
	}
}

static void step(struct cursor_reader *in)
{
	uint8_t what = cursor_get_u8(in) % 16;
	size_t n;

	switch (what) {
	case 0:
	case 1:
		n = take_bytes(in, frame, sizeof(frame));
		give(frame, n, NULL, take_descriptor(in));
		break;
	case 2:
		packet4(in, cursor_get_u8(in));
		break;
	case 3:
		packet4(in, WIRE_PROTO_ICMP4);
		break;
	case 4:
		packet6(in, cursor_get_u8(in));
		break;
	case 5:
	case 6:
		packet6(in, WIRE_PROTO_ICMP6);
		break;
	case 7:
		packet4(in, WIRE_PROTO_UDP);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
	case 12:
		near_segment(in, what == 12);
		break;
	case 15:
		what = cursor_get_u8(in);
		if (what & 8)
			filter(in, what);
		else
			to_group(in, what);
		break;
	case 13:
		now_ns += UINT64_C(1) << (cursor_get_u8(in) % 40);
		berth_stack_tick(st, now_ns, 64);
		break;
	default:
		act(in);
		break;
	}
	drain();
}

/* --- the beginning: the same for each input --- */
static void hand_shake(void)
{
	static const uint8_t options[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 2};
	static const uint8_t ts[12] = {1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 0};

	segment(5000, 1000, 0, 2, 65535, options, 20, 0, 0, described(0, 0));
	drain();
	segment(5000, 1001, last_seq + 1, 16, 65535, ts, 12, 0, 0, described(0, 0));
	drain();
	ASSERT(berth_sock_accept(st, listener, 0, &live, NULL) == 0);
}

static berth_sock udp(int family, struct berth_addr a)
{
	berth_sock s;

	ASSERT(berth_sock_open(st, BERTH_UDP, family, 0, &s) == 0);
	ASSERT(berth_sock_bind(st, s, &a) == 0);
	return s;
}

static void begin(void)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .n_conns = 8,
				       .n_work = 3,
				       .n_udp = 4,
				       .n_syn = 4,
				       .n_time_wait = 4,
				       .n_ifaces = 1,
				       .n_addrs = 8,
				       .n_routes = 8,
				       .n_neighs = 8,
				       .n_groups = 6,
				       .n_sources = 6,
				       .n_filter_sources = 4,
				       .n_packets = 16,
				       .frag_bytes = 32768,
				       .n_rings = 6,
				       .rx_ring_bytes = 16384,
				       .tx_ring_bytes = 8192,
				       .udp_ring_bytes = 4096,
				       .n_bursts = 32,
				       .n_gaps = 2};
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.mac = {2, 0, 0, 0, 0, 1},
				.flags = IFACE_FLAGS,
				.mtu_bytes = 1500};
	struct berth_addr a4 = addr_public(&our4, 0), a6 = addr_public(&our6, 0), any = {.port = 80},
			  p4 = addr_public(&peer4, 0);
	struct berth_addr in4 = addr_public(&group4, 0), in6 = addr_public(&group6, 0), p6 = addr_public(&peer6, 0);
	uint16_t iface;

	memset(c.secret, 0x3c, sizeof(c.secret));
	if (memory == NULL) {
		memory_size = berth_stack_size(&c);
		memory = aligned_alloc(64, memory_size);
		ASSERT(memory != NULL);
	}
	memset(memory, 0, memory_size);
	now_ns = 1000000000;
	ASSERT(berth_stack_init(&st, memory, memory_size, &c, now_ns) == 0);
	ASSERT(berth_iface_add(st, &f, &iface) == 0);
	ASSERT(berth_addr_add(st, iface, &a4, 24) == 0 && berth_addr_add(st, iface, &a6, 64) == 0);
	ASSERT(berth_neigh_add(st, iface, &p4, peer_mac) == 0);
	ASSERT(berth_sock_open(st, BERTH_TCP, BERTH_IPV6, 0, &listener) == 0);
	ASSERT(berth_sock_bind(st, listener, &any) == 0 && berth_sock_listen(st, listener, 4) == 0);
	udp4 = udp(BERTH_IPV4, berth_addr4(0, 0, 0, 0, 53));
	udp6 = udp(BERTH_IPV6, (struct berth_addr){.port = 54});
	ASSERT(berth_sock_source(st, udp4, BERTH_SOURCE_JOIN, &in4, &p4, iface) == 0);
	ASSERT(berth_sock_join(st, udp6, &in6, iface) == 0);
	ASSERT(berth_sock_source(st, udp6, BERTH_SOURCE_BLOCK, &in6, &p6, iface) == 0);
	drain();
	hand_shake();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct cursor_reader in = cursor_reader(data, len_bytes);

	begin();
	ASSERT(berth_stack_check(st));
	while (cursor_reader_left(&in) > 0) {
		step(&in);
		ASSERT(berth_stack_check(st));
	}
	return 0;
}
