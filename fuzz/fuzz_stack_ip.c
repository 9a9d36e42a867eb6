/* fuzz/fuzz_stack_ip.c: the IP layer on a link of strangers: ARP, ND, routers, redirects, groups, fragments, ICMP, and time between.
 *
 * The input is a list of steps. A step's octet says what comes: headers that decide who is asked are made right (addresses, hop limit,
 * checksums), so that the rest is reached; the messages are the input's. Interfaces go down and up, addresses come and go, sockets send.
 * The lowest bit of the input's last octet says whether there are temporary addresses; they live for minutes here.
 *
 * Always: the checker holds, caps hold (S17, S19), no frame is answered by more than a few (S11; a large echo by its fragments), what the
 * stack sends is well formed, and after quiet hours nothing is kept of what was learnt but what has no end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "stack/ip_state.h"
#include "stack_look.h"

#define SECOND UINT64_C(1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void *memory;
static struct berth_stack *st;
static uint64_t now_ns;
static uint16_t iface;
static berth_sock sock4, sock6;
static uint8_t frame[4096];
static struct cursor_reader in;

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t macs[4][6] = {{2, 0, 0, 0, 0, 2},
				   {2, 0, 0, 0, 0, 3},
				   {0x33, 0x33, 0, 0, 0, 1},
				   {2, 0, 0, 0, 0, 1}};

/* A few addresses, so that what comes meets what is there. */
static struct port_addr some_addr(bool v4, uint8_t which)
{
	struct port_addr a = v4 ? port_addr_v4(10, 0, 0, which % 8) : PORT_ADDR_ANY6;

	if (v4)
		return which % 16 == 9	  ? port_addr_v4(224, 0, 0, 1)
		       : which % 16 == 10 ? port_addr_v4(239, 1, 2, 3)
		       : which % 16 == 11 ? port_addr_v4(10, 0, 0, 255)
		       : which % 16 == 12 ? port_addr_v4(192, 0, 2, which)
					  : a;
	a.b[15] = which % 8;
	switch (which / 8 % 6) {
	case 0:
		a.b[0] = 0xfd;
		break;
	case 1:
	case 2:
		a.b[0] = 0xfe;
		a.b[1] = 0x80;
		break;
	case 3:
		memcpy(a.b, (const uint8_t[]){0xff, 2, [11] = 1, [12] = 0xff}, 13);
		break;
	case 4:
		memcpy(a.b, (const uint8_t[]){0xff, 2}, 2);
		break;
	default:
		memcpy(a.b, (const uint8_t[]){0x20, 1, 0x0d, 0xb8, which}, 5);
	}
	return a;
}

/* --- what the stack sends --- */
static unsigned n_sent;
static void look_at(const struct berth_tx *v)
{
	static const struct look_iface by = {BERTH_LINK_ETHERNET, BERTH_IF_ROUTER_ADV, 1500};
	static uint8_t sent[LOOK_ROOM];
	struct link_view seen;

	stack_look(v, &by, sent, &seen);
	ASSERT(memcmp(sent + 6, our_mac, 6) == 0);
	n_sent++;
}

static void drain(void)
{
	struct berth_tx tx[8];
	unsigned n;

	while ((n = berth_stack_output(st, tx, 8, now_ns)) > 0)
		for (unsigned i = 0; i < n; i++)
			look_at(&tx[i]);
}

/* --- what comes in --- */
static void give(size_t len, unsigned most)
{
	uint8_t *exact = malloc(len);
	struct berth_rx rx = {.head = exact, .head_len = (uint32_t)len, .iface = iface};

	ASSERT(exact);
	memcpy(exact, frame, len);
	n_sent = 0;
	berth_stack_input(st, &rx, 1, now_ns);
	free(exact);
	drain();
	ASSERT(n_sent <= most);
}

static size_t link_head(uint16_t type, uint8_t who)
{
	struct wire_eth e = {.type = type};

	memcpy(e.dst, who & 8 ? macs[2] : our_mac, 6);
	memcpy(e.src, macs[who % 4], 6);
	return (size_t)wire_eth_emit(&e, frame, sizeof(frame));
}

/* What an error quotes of UDP gets the label that we send with: no input guesses it. */
static void mend_label(uint8_t *l4, size_t len)
{
	struct wire_embedded e;
	struct port_tuple t;

	if (len < WIRE_ICMP_LEN || l4[0] >= 128 ||
	    wire_embedded_parse(PORT_FAMILY_6, (struct wire_slice){l4 + WIRE_ICMP_LEN, len - WIRE_ICMP_LEN}, &e) < 0 ||
	    e.proto != WIRE_PROTO_UDP || e.flow_label != 0)
		return;
	t = (struct port_tuple){PORT_UDP, e.src, e.dst, e.src_port, e.dst_port};
	wire_put32(l4 + WIRE_ICMP_LEN, wire_get32(l4 + WIRE_ICMP_LEN) | ip_flow_label(st, &t));
}

/* A neighbour's question or answer about ee:NN is about the NNth of our addresses: no input guesses one that was drawn. */
static void mend_target(uint8_t *l4, size_t len)
{
	const struct ip_addr *a;

	if (len < 24 || (l4[0] != WIRE_ICMP6_ND_NS && l4[0] != WIRE_ICMP6_ND_NA) || l4[8] != 0xee || !st->ip->n_addrs)
		return;
	a = &st->ip->addrs[l4[9] % st->ip->n_addrs];
	if (a->used)
		memcpy(l4 + 8, a->addr.b, 16);
}

/* The input's octets behind the headers, as an ICMP, IGMP, UDP... message with its checksum right. */
static void packet(bool v4, uint8_t proto, uint8_t ttl)
{
	uint8_t who = cursor_get_u8(&in), from = cursor_get_u8(&in), to = cursor_get_u8(&in);
	size_t len = cursor_get_be16(&in) % 1400, at = link_head(v4 ? WIRE_ETH_IP4 : WIRE_ETH_IP6, who);
	struct port_addr src = some_addr(v4, from), dst = some_addr(v4, to);
	int offset = wire_checksum_offset(proto), n;

	len = len < cursor_reader_left(&in) ? len : cursor_reader_left(&in);
	if (v4) {
		struct wire_ip4 ip = {.src = src,
				      .dst = dst,
				      .ttl = ttl,
				      .proto = proto,
				      .id = (uint16_t)(who / 16),
				      .payload = {NULL, len}};

		if (who & 4) {
			ip.fragment_at = (uint16_t)(cursor_get_u8(&in) * 48);
			ip.mf = who & 2;
			len = len < cursor_reader_left(&in) ? len : cursor_reader_left(&in);
			ip.payload.len_bytes = len;
		}
		n = wire_ip4_emit(&ip, frame + at, sizeof(frame) - at);
	} else {
		uint8_t extension[8];
		struct wire_ip6 ip = {.src = src, .dst = dst, .hops = ttl, .proto = proto, .payload = {NULL, len}};

		if (proto == WIRE_PROTO_ICMP6 && ttl == 1) {
			wire_ip6_put_router_alert(extension, proto, 0);
			ip.next = WIRE_PROTO_HOPOPTS;
			ip.extensions = (struct wire_slice){extension, 8};
		} else if (who & 4) {
			wire_ip6_put_fragment(extension, proto, (uint16_t)(cursor_get_u8(&in) * 8), who & 2, who / 16);
			ip.next = WIRE_PROTO_FRAGMENT;
			ip.extensions = (struct wire_slice){extension, 8};
			len = len < cursor_reader_left(&in) ? len : cursor_reader_left(&in);
			ip.payload.len_bytes = len;
		}
		n = wire_ip6_emit(&ip, frame + at, sizeof(frame) - at);
	}
	if (n < 0)
		return;
	at += (size_t)n;
	if (len)
		memcpy(frame + at, cursor_take(&in, len), len);
	if (offset >= 0 && (size_t)offset + 2 <= len && !(who & 4)) {
		if (proto == WIRE_PROTO_ICMP6) {
			mend_label(frame + at, len);
			mend_target(frame + at, len);
		}
		wire_checksum_fill(&src, &dst, proto, frame + at, len, 0, 0);
	}
	give(at + len, 64);
}

static void arp(void)
{
	uint8_t who = cursor_get_u8(&in), a = cursor_get_u8(&in), b = cursor_get_u8(&in);
	struct wire_arp m = {.op = who & 16 ? WIRE_ARP_REPLY : WIRE_ARP_REQUEST,
			     .sender = some_addr(true, a),
			     .target = some_addr(true, b)};
	size_t at = link_head(WIRE_ETH_ARP, who);

	memcpy(m.sender_mac, macs[who / 32 % 4], 6);
	ASSERT(wire_arp_emit(&m, frame + at, sizeof(frame) - at) == WIRE_ARP_LEN);
	give(at + WIRE_ARP_LEN, 8);
}

static void raw(void)
{
	size_t n = cursor_get_be16(&in) % 200;

	n = n < cursor_reader_left(&in) ? n : cursor_reader_left(&in);
	if (!n)
		return;
	memcpy(frame, cursor_take(&in, n), n);
	if (n >= 6)
		memcpy(frame, our_mac, 6);
	give(n, 16);
}

/* --- what the program does --- */
static void send(void)
{
	uint8_t to = cursor_get_u8(&in);
	bool v4 = to & 0x80;
	static uint8_t data[4000];
	struct port_addr dst = some_addr(v4, to & 0x7f);
	struct berth_dgram d = {.data = data, .len = cursor_get_be16(&in) % sizeof(data), .iface = BERTH_IFACE_ANY};

	if (port_addr_is_linklocal6(&dst))
		dst.scope = iface + 1u;
	d.peer = addr_public(&dst, 9);
	(void)berth_sock_udp_send(st, v4 ? sock4 : sock6, &d, 1);
	drain();
}

static void change(void)
{
	uint8_t what = cursor_get_u8(&in);
	struct port_addr a = some_addr(what & 0x80, cursor_get_u8(&in)),
			 gateway = some_addr(what & 0x80, cursor_get_u8(&in));
	struct berth_addr p = addr_public(&a, 0), g = addr_public(&gateway, 0);
	unsigned bits = a.b[10] == 0xff && (what & 0x80) ? 24 : 64;

	switch (what % 10) {
	case 0:
		(void)berth_addr_add(st, iface, &p, bits);
		break;
	case 1:
		(void)berth_addr_remove(st, iface, &p);
		break;
	case 2:
		(void)berth_route_add(st, &p, bits - 8, what & 0x40 ? &g : NULL, iface, what / 16);
		break;
	case 3:
		(void)berth_route_remove(st, &p, bits - 8, iface);
		break;
	case 4:
		(void)berth_neigh_add(st, iface, &p, macs[what / 16 % 2]);
		break;
	case 5:
		(void)berth_neigh_remove(st, iface, &p);
		break;
	case 6:
		(void)berth_iface_set_up(st, iface, what & 0x40);
		break;
	case 7:
		(void)berth_iface_set_mtu(st, iface, what & 0x40 ? 1500 : what & 0x20 ? 1000 : 1280);
		break;
	case 8:
		if (what & 0x40)
			(void)berth_sock_source(st, what & 0x80 ? sock4 : sock6,
						(enum berth_source_change)(what / 16 % 4), &p, &g, iface);
		else
			(void)berth_sock_join(st, what & 0x80 ? sock4 : sock6, &p, iface);
		break;
	case 9:
		(void)berth_sock_leave(st, what & 0x80 ? sock4 : sock6, &p, iface);
		break;
	}
	drain();
}

static void pass(uint64_t ns)
{
	uint64_t end = now_ns + ns;

	for (unsigned i = 0; i < 20000 && berth_stack_deadline(st) <= end; i++) {
		now_ns = berth_stack_deadline(st) > now_ns ? berth_stack_deadline(st) : now_ns;
		berth_stack_tick(st, now_ns, 64);
		drain();
	}
	now_ns = end;
	berth_stack_tick(st, now_ns, 64);
	drain();
}

static void caps_hold(void)
{
	unsigned n[5] = {0}, n_auto = 0, n_temps = 0;

	for (uint32_t i = 0; i < st->cfg.n_routes; i++)
		if (st->ip->routes[i].used)
			n[st->ip->routes[i].kind]++;
	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i];

		n_auto += a->used && (a->flags & (BERTH_ADDR_AUTO | BERTH_ADDR_TEMPORARY)) == BERTH_ADDR_AUTO;
		n_temps += a->used && (a->flags & BERTH_ADDR_TEMPORARY);
	}
	ASSERT(n_temps <= (iface_at(st, iface)->flags & BERTH_IF_TEMP_ADDRS ? 16 : 0));
	ASSERT(n[ROUTE_DEFAULT] <= 4 && n[ROUTE_PREFIX] <= 8 && n[ROUTE_REDIRECT] <= 16 && n_auto <= 8 + 1);
	ASSERT(st->pkts.n_used <= st->cfg.n_packets);
}

static void begin(bool has_temps)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .secret = "an ip fuzzer needs no secrets!!",
				       .n_conns = 4,
				       .n_udp = 4,
				       .n_syn = 4};
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.flags = BERTH_IF_ROUTER_ADV | (has_temps ? BERTH_IF_TEMP_ADDRS : 0),
				.mtu_bytes = 1500,
				.temp_valid_s = 1500,
				.temp_preferred_s = 600};
	struct berth_addr a4 = berth_addr4(10, 0, 0, 1, 0), any4 = berth_addr4(0, 0, 0, 0, 9), any6 = {.port = 9};
	size_t size;

	c.n_time_wait = 4;
	c.rx_ring_bytes = c.tx_ring_bytes = c.udp_ring_bytes = 4096;
	c.n_packets = 96;
	c.n_neighs = 16;
	c.n_routes = 48;
	c.n_groups = 24;
	c.frag_bytes = 32 * 1024;
	size = berth_stack_size(&c);
	if (!memory)
		memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
	ASSERT(memory && size);
	memset(memory, 0, size);
	now_ns = SECOND;
	memcpy(f.mac, our_mac, 6);
	ASSERT(berth_stack_init(&st, memory, size, &c, now_ns) == 0 && berth_iface_add(st, &f, &iface) == 0);
	ASSERT(berth_addr_add(st, iface, &a4, 24) == 0);
	ASSERT(berth_sock_open(st, BERTH_UDP, BERTH_IPV4, 0, &sock4) == 0 && berth_sock_bind(st, sock4, &any4) == 0);
	ASSERT(berth_sock_open(st, BERTH_UDP, BERTH_IPV6, 0, &sock6) == 0);
	ASSERT(berth_sock_set(st, sock6, BERTH_V6ONLY, 1) == 0 && berth_sock_bind(st, sock6, &any6) == 0);
	pass(8 * SECOND); /* addresses are good */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	in = cursor_reader(data, len_bytes);
	begin(len_bytes > 0 && data[len_bytes - 1] & 1);
	while (cursor_reader_left(&in)) {
		uint8_t what = cursor_get_u8(&in);

		switch (what % 12) {
		case 0:
			raw();
			break;
		case 1:
			arp();
			break;
		case 2:
		case 3:
			packet(false, WIRE_PROTO_ICMP6, 255);
			break;
		case 4:
			packet(false, WIRE_PROTO_ICMP6, 1);
			break;
		case 5:
			packet(true, WIRE_PROTO_IGMP, 1);
			break;
		case 6:
			packet(true, WIRE_PROTO_ICMP4, 64);
			break;
		case 7:
			packet(what & 0x80, WIRE_PROTO_UDP, 64);
			break;
		case 8:
			send();
			break;
		case 9:
			change();
			break;
		case 10:
			pass(what / 12 * (SECOND / 4));
			break;
		case 11:
			pass(what / 12 * 20 * SECOND);
			break;
		}
		ASSERT(berth_stack_check(st));
		caps_hold();
	}
	pass(200 * SECOND);
	for (unsigned i = 0; i < FRAG_DATAGRAMS; i++)
		ASSERT(!st->ip->frags[i].used);
	ASSERT(st->ip->n_frag_free == st->ip->n_frag_blocks && berth_stack_check(st));
	for (uint32_t i = 0; i < st->cfg.n_neighs; i++)
		ASSERT(!st->ip->neighs[i].used || st->ip->neighs[i].n_queued == 0 || st->ip->neighs[i].doubted);
	return 0;
}
