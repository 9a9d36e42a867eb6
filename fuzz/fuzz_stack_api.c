/* fuzz/fuzz_stack_api.c: any sequence of calls, with handles that are stale or made up and arguments that make no sense.
 *
 * One stack talks to itself over its loopback, so connections come about, carry octets and end. A handle that was closed is remembered
 * and tried again: it must be -EBADF for ever. Errors are errno numbers, the stack's checker holds after each call, and what is lent
 * (parts, rings) is written over from end to end, so that the sanitizers see where it lies.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/stack.h>

#include "base/cursor.h"
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

#define N_HANDLES 24
#define N_PINS 16
#define ERRNO_MAX 4095

/* Small, at a boundary, or anything. */
static uint32_t take_number(struct cursor_reader *in)
{
	static const uint32_t odd[] = {0,     1,     255,      256,	 4095,	   4096,
				       65535, 65536, 1u << 20, 1u << 30, 1u << 31, UINT32_MAX};
	uint8_t how = cursor_get_u8(in);

	if (how < 128)
		return how;
	if (how < 200)
		return odd[how % COUNT_OF(odd)];
	return cursor_get_be32(in);
}

static void *memory;
static size_t memory_size;
static uint8_t scratch[1 << 17], rings[2][1 << 17];

struct world {
	struct berth_stack *st;
	berth_sock s[N_HANDLES];
	bool closed[N_HANDLES]; /* by us: stale for ever */
	uint64_t now_ns;
	uint16_t n_ifaces;
	uint64_t pins[N_PINS]; /* given out and not undone, oldest first; more than that are undone at once */
	unsigned n_pins;
};

static void begin(struct world *w, bool pins)
{
	struct berth_stack_config c = {
		.struct_size = sizeof(c),
		.flags = pins ? BERTH_STACK_PIN : 0,
		.n_conns = 12,
		.n_work = 5,
		.n_udp = 4,
		.n_syn = 4,
		.n_time_wait = 4,
		.n_ifaces = 2,
		.n_addrs = 8,
		.n_routes = 8,
		.n_neighs = 8,
		.n_groups = 4,
		.n_sources = 6,
		.n_filter_sources = 4,
		.n_packets = 8,
		.frag_bytes = 16384,
		.n_rings = 8,
		.rx_ring_bytes = 4096,
		.tx_ring_bytes = 4096,
		.udp_ring_bytes = 4096,
		.n_bursts = 32,
		.n_gaps = 2,
		.n_places = 12, /* of 20 that there could be */
	};

	memset(c.secret, 0x5a, sizeof(c.secret));
	memset(w, 0, sizeof(*w));
	if (memory == NULL) {
		c.flags = BERTH_STACK_PIN; /* takes no less than without */
		memory_size = berth_stack_size(&c);
		c.flags = pins ? BERTH_STACK_PIN : 0;
		ASSERT(memory_size >= berth_stack_size(&c));
		memory = aligned_alloc(64, memory_size);
		ASSERT(memory != NULL);
	}
	memset(memory, 0, memory_size);
	w->now_ns = 1;
	ASSERT(berth_stack_init(&w->st, memory, memory_size, &c, w->now_ns) == 0);
	for (int i = 0; i < N_HANDLES; i++)
		w->closed[i] = true; /* handle 0 is none */
}

static struct berth_addr take_addr(struct cursor_reader *in)
{
	static const uint8_t net[4] = {10, 1, 1, 0};
	struct berth_addr a = berth_addr4(127, 0, 0, 1, 0);
	uint8_t how = cursor_get_u8(in);

	switch (how & 7) {
	case 0:
		memset(a.ip, 0, sizeof(a.ip));
		break;
	case 1:
		memset(a.ip, 0, sizeof(a.ip));
		a.ip[15] = 1;
		break;
	case 2:
		memcpy(a.ip + 12, net, 4);
		a.ip[15] = (uint8_t)(how >> 4);
		break;
	case 3:
		for (size_t i = 0; i < sizeof(a.ip); i++)
			a.ip[i] = cursor_get_u8(in);
		a.scope = cursor_get_u8(in);
		break;
	case 4:
		memset(a.ip + 12, 0, 4);
		break;
	case 5:
		a.ip[12] = 239;
		break;
	default:
		break;
	}
	a.port = (uint16_t)(how & 8 ? 0 : 40000 + (how >> 4));
	return a;
}

static void settle(struct world *w)
{
	struct berth_tx tx[8];
	unsigned n;

	for (int round = 0; round < 40 && (n = berth_stack_output(w->st, tx, 8, w->now_ns)) > 0; round++) {
		for (unsigned i = 0; i < n; i++) {
			uint32_t len = tx[i].head_len;

			ASSERT(tx[i].head_len <= BERTH_TX_HEAD_MAX && tx[i].n_parts <= BERTH_TX_PARTS_MAX);
			for (unsigned k = 0; k < tx[i].n_parts; k++) {
				ASSERT(tx[i].parts[k].len <= sizeof(scratch));
				memcpy(scratch, tx[i].parts[k].data, tx[i].parts[k].len);
				len += tx[i].parts[k].len;
			}
			ASSERT(len == tx[i].len);
			ASSERT(tx[i].pin == 0 || tx[i].n_parts > 0);
			if (tx[i].pin != 0 && w->n_pins < N_PINS)
				w->pins[w->n_pins++] = tx[i].pin;
			else if (tx[i].pin != 0)
				berth_stack_unpin(w->st, tx[i].pin);
		}
	}
}

static void opened(struct world *w, struct cursor_reader *in, int64_t r, berth_sock s)
{
	unsigned at = cursor_get_u8(in) % N_HANDLES;

	if (r != 0)
		return;
	if (!w->closed[at])
		berth_sock_close(w->st, w->s[at]);
	w->s[at] = s;
	w->closed[at] = false;
}

/* Octets that are lent to us, read or written. */
static void touch(const struct berth_part v[2], int64_t n, bool write)
{
	uint32_t sum = 0;

	if (n <= 0)
		return;
	for (int i = 0; i < 2; i++) {
		if (v[i].len > 0 && write)
			memset((void *)(uintptr_t)v[i].data, 0xaa, v[i].len);
		if (v[i].len > 0 && !write)
			memcpy(scratch, v[i].data, v[i].len < sizeof(scratch) ? v[i].len : sizeof(scratch));
		sum += v[i].len;
	}
	ASSERT(sum == n);
}

static int64_t many(struct world *w, struct cursor_reader *in, berth_sock s, bool send)
{
	struct berth_dgram d[3];
	unsigned n = cursor_get_u8(in) % 4;

	for (unsigned i = 0; i < n; i++)
		d[i] = (struct berth_dgram){.peer = take_addr(in),
					    .local = cursor_get_u8(in) & 1 ? take_addr(in) : (struct berth_addr){{0}},
					    .data = cursor_get_u8(in) < 250 ? scratch : NULL,
					    .len = take_number(in) % sizeof(scratch),
					    .gso_size = (uint16_t)take_number(in),
					    .ttl = cursor_get_u8(in),
					    .iface = cursor_get_u8(in) < 200 ? BERTH_IFACE_ANY : cursor_get_u8(in)};
	return send ? berth_sock_udp_send(w->st, s, d, n) : berth_sock_udp_recv(w->st, s, d, n);
}

/* Source filters: any numbers, any addresses, and lists that may be longer than there is room for. */
static int64_t filter(struct world *w, struct cursor_reader *in, uint32_t n, berth_sock s,
		      const struct berth_addr *group)
{
	uint16_t iface = n & 16 ? BERTH_IFACE_ANY : (uint16_t)(n & 3);
	enum berth_filter_mode mode = (enum berth_filter_mode)(cursor_get_u8(in) % 3);
	unsigned n_list = cursor_get_u8(in) % 7, room = n_list;
	struct berth_addr list[7];
	int r;

	for (unsigned i = 0; i <= n_list; i++)
		list[i] = take_addr(in);
	if (n & 32)
		return berth_sock_source(w->st, s, (enum berth_source_change)(n / 64 % 5), group, &list[0], iface);
	if (n & 64)
		return berth_sock_set_filter(w->st, s, group, iface, mode, list, n_list);
	r = berth_sock_get_filter(w->st, s, group, iface, &mode, list, &room);
	ASSERT(r < 0 || (mode <= BERTH_INCLUDE && room <= 4));
	return r;
}

/* Calls that are told a handle. */
static int64_t sock_call(struct world *w, struct cursor_reader *in, uint8_t what, berth_sock s, bool *ret_closes)
{
	struct berth_addr a = take_addr(in), b;
	struct berth_part v[2] = {{NULL, 0}, {NULL, 0}};
	uint32_t n = take_number(in);
	berth_sock child = 0;
	uint64_t value = 0;
	int64_t r;

	switch (what) {
	case 0:
		return berth_sock_bind(w->st, s, &a);
	case 1:
		return berth_sock_listen(w->st, s, n);
	case 2:
		r = berth_sock_accept(w->st, s, n, &child, n & 1 ? &b : NULL);
		opened(w, in, r, child);
		return r;
	case 3:
		return berth_sock_connect(w->st, s, cursor_get_u8(in) < 240 ? &a : NULL);
	case 4:
		return berth_sock_send(w->st, s, scratch, n % sizeof(scratch), cursor_get_u8(in));
	case 5:
		return berth_sock_recv(w->st, s, scratch, n % sizeof(scratch));
	case 6:
		*ret_closes = true;
		return berth_sock_close(w->st, s);
	case 7:
		*ret_closes = true;
		return berth_sock_abort(w->st, s);
	case 8:
		return berth_sock_shutdown(w->st, s, (int)n);
	case 9:
		return berth_sock_set(w->st, s, (enum berth_option)(cursor_get_u8(in) % (BERTH_NOPTIONS + 3)),
				      cursor_get_u8(in) & 1 ? n : (uint64_t)n << 32 | cursor_get_be32(in));
	case 10:
		return berth_sock_get(w->st, s, (enum berth_option)(cursor_get_u8(in) % (BERTH_NOPTIONS + 3)), &value);
	case 11:
		return berth_sock_poll(w->st, s);
	case 12:
		return berth_sock_names(w->st, s, n & 1 ? &a : NULL, n & 2 ? &b : NULL);
	case 13:
		r = berth_sock_tx_space(w->st, s, v);
		touch(v, r, true);
		return r;
	case 14:
		return berth_sock_tx_commit(w->st, s, n, cursor_get_u8(in));
	case 15:
		r = berth_sock_rx_peek(w->st, s, v);
		touch(v, r, false);
		return r;
	case 16:
		return berth_sock_rx_consume(w->st, s, n);
	case 17:
		return many(w, in, s, true);
	case 18:
		return many(w, in, s, false);
	case 19:
		if (n & 8)
			return filter(w, in, n, s, &a);
		return berth_sock_join(w->st, s, &a, cursor_get_u8(in) & 1 ? BERTH_IFACE_ANY : (uint16_t)(n & 3));
	case 20:
		return berth_sock_leave(w->st, s, &a, cursor_get_u8(in) & 1 ? BERTH_IFACE_ANY : (uint16_t)(n & 3));
	default:
		/* One pair of rings for all: what two sockets write over each other is the program's own affair. */
		return berth_sock_attach(w->st, s, rings[0], UINT32_C(1) << (n % 18), rings[1],
					 UINT32_C(1) << (cursor_get_u8(in) % 18));
	}
}

static void on_handle(struct world *w, struct cursor_reader *in, uint8_t what)
{
	uint8_t which = cursor_get_u8(in);
	unsigned at = which % N_HANDLES;
	bool made_up = which >= 250, stale = w->closed[at], closes = false;
	berth_sock s = made_up ? (uint64_t)cursor_get_be32(in) << 32 | cursor_get_be32(in) : w->s[at];
	int64_t r = sock_call(w, in, what, s, &closes);

	ASSERT(r >= -ERRNO_MAX);
	if (!made_up && stale)
		ASSERT(r == -EBADF);
	if (closes && r == 0 && !made_up)
		w->closed[at] = true;
	if (made_up)
		for (int i = 0; i < N_HANDLES; i++) /* it may have been one of ours */
			if (!w->closed[i] && berth_sock_poll(w->st, w->s[i]) == -EBADF)
				w->closed[i] = true;
}

/* Interfaces, addresses, routes, settings: numbers of things that may not be there. */
static void on_stack(struct world *w, struct cursor_reader *in)
{
	struct berth_addr a = take_addr(in), b = take_addr(in);
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = cursor_get_u8(in) & 1,
				.mac = {2},
				.flags = take_number(in),
				.mtu_bytes = take_number(in)};
	struct berth_port_settings p = {(uint16_t)take_number(in), (uint16_t)take_number(in),
					(uint16_t)(cursor_get_u8(in) & 3)};
	struct berth_addr_info info = {.struct_size = sizeof(info)};
	uint32_t cursor = take_number(in);
	uint16_t iface = cursor_get_u8(in) & 3;
	berth_sock s;
	int r = 0;

	switch (cursor_get_u8(in) % 13) {
	case 0:
		r = berth_iface_add(w->st, &f, &iface);
		break;
	case 1:
		r = berth_iface_remove(w->st, iface);
		break;
	case 2:
		r = berth_iface_set_up(w->st, iface, cursor & 1);
		break;
	case 3:
		r = berth_iface_set_mtu(w->st, iface, f.mtu_bytes);
		break;
	case 4:
		r = berth_addr_add(w->st, iface, &a, cursor & 0xff);
		break;
	case 5:
		r = berth_addr_remove(w->st, iface, &a);
		break;
	case 6:
		r = berth_route_add(w->st, &a, cursor & 0xff, f.link ? &b : NULL, iface, f.flags);
		break;
	case 7:
		r = berth_route_remove(w->st, &a, cursor & 0xff, iface);
		break;
	case 8:
		r = berth_neigh_add(w->st, iface, &a, f.mac);
		break;
	case 9:
		r = berth_neigh_remove(w->st, iface, &a);
		break;
	case 10:
		r = berth_stack_set_ports(w->st, &p);
		break;
	case 11:
		r = berth_stack_reserve_ports(w->st, p.ephemeral_first, p.ephemeral_last, cursor & 1);
		break;
	default:
		r = berth_addr_next(w->st, &cursor, &info);
		while (r == 1 && berth_sock_next(w->st, &cursor, &s) == 1)
			;
		break;
	}
	ASSERT(r >= -ERRNO_MAX && r <= 1);
}

static void step(struct world *w, struct cursor_reader *in)
{
	uint8_t what = cursor_get_u8(in) % 32;
	struct berth_event ev[4];
	berth_sock s = 0;
	int r;

	if (what < 22) {
		on_handle(w, in, what);
	} else if (what < 25) {
		r = berth_sock_open(w->st, cursor_get_u8(in) & 1 ? BERTH_TCP : BERTH_UDP,
				    cursor_get_u8(in) & 1 ? BERTH_IPV4 : BERTH_IPV6, 7, &s);
		ASSERT(r == 0 || r == -ENOBUFS);
		opened(w, in, r, s);
	} else if (what < 27) {
		w->now_ns += UINT64_C(1) << (cursor_get_u8(in) % 45);
		ASSERT(berth_stack_tick(w->st, w->now_ns, 64) <= 64);
	} else if (what < 29) {
		settle(w);
	} else if (what == 29) {
		ASSERT(berth_stack_events(w->st, ev, 4) <= 4);
	} else if (what == 30) {
		if (w->n_pins > 0 && cursor_get_u8(in) < 200)
			berth_stack_unpin(w->st, w->pins[--w->n_pins]);
		else
			berth_stack_unpin(w->st, (uint64_t)cursor_get_be32(in) << 32 | cursor_get_be32(in));
	} else {
		on_stack(w, in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct cursor_reader in = cursor_reader(data, len_bytes);
	struct world w;

	begin(&w, cursor_get_u8(&in) & 1);
	ASSERT(berth_stack_check(w.st));
	while (cursor_reader_left(&in) > 0) {
		step(&w, &in);
		ASSERT(berth_stack_check(w.st));
	}
	settle(&w);
	return 0;
}
