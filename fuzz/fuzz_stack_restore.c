/* fuzz/fuzz_stack_restore.c: octets that say they are a connection, then segments for it.
 *
 * The first octets choose how a good record is damaged: which of its octets change to what, or all of it is the input's own. What the
 * stack takes must keep every invariant (berth_stack_check()), while segments with headers of the input's choosing arrive, the program writes and
 * reads, and time passes.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/stack.h>

#include "base/cursor.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

#define MEMORY_MAX (4u << 20)

struct world {
	struct berth_stack *st;
	uint64_t now_ns;
	uint16_t iface;
	struct wire_tcp last; /* that left */
};

static uint8_t good[4096];
static uint32_t good_len;

static void begin(struct world *w, uint8_t *memory)
{
	struct berth_stack_config c =
		{.struct_size = sizeof(c), .secret = {1}, .n_conns = 8, .n_udp = 1, .n_syn = 4, .n_time_wait = 2};
	struct berth_iface i = {.struct_size = sizeof(i), .flags = BERTH_IF_NO_DAD, .mtu_bytes = 1500};
	struct berth_addr us = berth_addr4(10, 0, 0, 1, 0);

	c.n_ifaces = c.n_neighs = 1;
	c.n_addrs = c.n_routes = c.n_groups = 4;
	c.n_packets = 16;
	c.frag_bytes = 8192;
	c.n_rings = 4;
	c.rx_ring_bytes = c.tx_ring_bytes = c.udp_ring_bytes = 4096;
	c.n_bursts = 16;
	*w = (struct world){.now_ns = 1000000000};
	ASSERT(berth_stack_size(&c) <= MEMORY_MAX);
	memset(memory, 0, MEMORY_MAX);
	ASSERT(berth_stack_init(&w->st, memory, MEMORY_MAX, &c, w->now_ns) == 0);
	ASSERT(berth_iface_add(w->st, &i, &w->iface) == 0 && berth_iface_set_up(w->st, w->iface, true) == 0);
	ASSERT(berth_addr_add(w->st, w->iface, &us, 24) == 0);
}

static void output(struct world *w)
{
	struct berth_tx tx;
	struct wire_ip4 ip;

	for (int i = 0; i < 64 && berth_stack_output(w->st, &tx, 1, w->now_ns) == 1; i++) {
		uint8_t octets[BERTH_TX_HEAD_MAX + 4096];
		uint32_t n = tx.head_len;

		memcpy(octets, tx.head, n);
		for (unsigned k = 0; k < tx.n_parts && n + tx.parts[k].len <= sizeof(octets); n += tx.parts[k].len, k++)
			memcpy(octets + n, tx.parts[k].data, tx.parts[k].len);
		if (wire_ip4_parse(octets, n, &ip) == 0 && ip.proto == WIRE_PROTO_TCP)
			(void)!wire_tcp_parse(ip.payload.data, ip.payload.len_bytes, &w->last);
	}
}

static void segment(struct world *w, uint16_t flags, uint32_t seq, uint32_t ack, uint16_t wnd, uint32_t len)
{
	static uint8_t octets[2048];
	struct wire_ip4 ip = {.src = port_addr_v4(10, 0, 0, 2),
			      .dst = port_addr_v4(10, 0, 0, 1),
			      .ttl = 64,
			      .proto = WIRE_PROTO_TCP};
	struct wire_tcp t = {.src_port = 5000, .dst_port = 80, .seq = seq, .ack = ack, .flags = flags, .window = wnd};
	struct berth_rx rx = {.head = octets, .iface = w->iface, .flags = BERTH_F_DATA_VALID};
	int n, m;

	ip.payload.len_bytes = WIRE_TCP_LEN + len;
	n = wire_ip4_emit(&ip, octets, sizeof(octets));
	ASSERT(n > 0);
	m = wire_tcp_emit(&t, octets + n, sizeof(octets) - (size_t)n);
	ASSERT(m == WIRE_TCP_LEN);
	memset(octets + n + m, 'x', len);
	rx.head_len = (uint32_t)(n + m) + len;
	berth_stack_input(w->st, &rx, 1, w->now_ns);
}

/* A connection with octets in both rings and some in flight. */
static void make_good(uint8_t *memory)
{
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 80);
	static uint8_t text[2000];
	struct world w;
	berth_sock l, s;
	int64_t n;

	begin(&w, memory);
	ASSERT(berth_sock_open(w.st, BERTH_TCP, BERTH_IPV4, 0, &l) == 0 && berth_sock_bind(w.st, l, &any) == 0);
	ASSERT(berth_sock_listen(w.st, l, 4) == 0);
	segment(&w, WIRE_TCP_SYN, 1000, 0, 1000, 0);
	output(&w);
	segment(&w, WIRE_TCP_ACK, 1001, w.last.seq + 1, 1000, 100);
	ASSERT(berth_sock_accept(w.st, l, 0, &s, NULL) == 0);
	ASSERT(berth_sock_send(w.st, s, text, sizeof(text), 0) == (int64_t)sizeof(text));
	output(&w);
	n = berth_sock_save(w.st, s, good, sizeof(good));
	ASSERT(n > 0);
	good_len = (uint32_t)n;
}

static void step(struct world *w, berth_sock s, struct cursor_reader *in)
{
	static uint8_t text[4096];
	int16_t seq, ack;

	switch (cursor_get_u8(in) % 6) {
	case 0:
	case 1:
		seq = (int16_t)cursor_get_be16(in);
		ack = (int16_t)cursor_get_be16(in);
		segment(w, cursor_get_u8(in), w->last.ack + (uint32_t)seq, w->last.seq + (uint32_t)ack,
			cursor_get_be16(in), cursor_get_u8(in));
		break;
	case 2:
		berth_sock_send(w->st, s, text, cursor_get_be16(in) % sizeof(text), 0);
		break;
	case 3:
		berth_sock_recv(w->st, s, text, cursor_get_be16(in) % sizeof(text));
		break;
	case 4:
		w->now_ns += (uint64_t)cursor_get_be16(in) << (cursor_get_u8(in) % 32);
		berth_stack_tick(w->st, w->now_ns, 16);
		break;
	case 5:
		(void)!berth_sock_shutdown(w->st, s, BERTH_SHUT_WR);
		break;
	}
	output(w);
	ASSERT(berth_stack_check(w->st));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static uint8_t *memory;
	static uint8_t record[sizeof(good)];
	struct cursor_reader in = cursor_reader(data, len_bytes);
	uint32_t len = good_len;
	struct world w;
	berth_sock s;
	int r;

	if (memory == NULL) {
		memory = aligned_alloc(64, MEMORY_MAX);
		ASSERT(memory != NULL);
		make_good(memory);
		len = good_len;
	}
	begin(&w, memory);
	memcpy(record, good, good_len);
	for (uint8_t n = cursor_get_u8(&in) % 16; n > 0; n--) {
		uint32_t at = cursor_get_be16(&in) % (good_len < 320 ? good_len : 320);

		record[at] = cursor_get_u8(&in);
	}
	r = berth_sock_restore(w.st, record, len, 0, &s);
	ASSERT(berth_stack_check(w.st));
	if (r != 0) {
		(void)!berth_sock_restore(w.st, data + in.at, (uint32_t)cursor_reader_left(&in), 0,
					  &s); /* the input as it is */
		ASSERT(berth_stack_check(w.st));
		return 0;
	}
	output(&w);
	for (int i = 0; i < 40 && cursor_reader_left(&in) > 0; i++)
		step(&w, s, &in);
	return 0;
}
