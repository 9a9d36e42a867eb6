/* fuzz/fuzz_stack_pair.c: two of our stacks, and between them whoever the input says.
 *
 *	side 0 --- frames it gave out ---> [ link: drop, repeat, hold back, cut, merge, mark, MUTATE ] ---> side 1, and the same back
 *
 * The first octets choose the world: family, link, offloads, MTUs, how little memory there is, what the listeners wish. Then steps: calls of
 * either program, time, and what becomes of the frames on their way. All is small, so every bound is met.
 *
 * Always
 *	- both checkers hold, what is sent is whole (stack_look.h), pinned octets stay;
 *	- one frame is answered by a bounded number of frames, and two stacks that only answer each other fall silent;
 *	- what is owed or in flight has a timer (nobody_is_forgotten());
 *	- the deadline moves on: when all that is due was done it is not in the past;
 *	- at the end, when all was closed and hours went by, nothing is left, and nothing will happen.
 * As long as the link was only bad (nothing was forged)
 *	- an octet of a stream is what was written at its place (octet_at()), and none is read that was not written; an end of stream comes
 *	  behind the last one;
 *	- what one end has of the other is what that one sent, within what it granted (agree());
 *	- nobody is reset or refused by a peer that is alive and well;
 *	- once the link is good and both programs read, all arrives (live_on()).
 *
 * Elsewhere: the programs and what they check (pair_ends.c), the link (pair_link.c), what an attacker does to a frame (pair_mutate.c).
 * BERTH_FUZZ_TRACE=1 in the environment prints what happens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "wire/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

#define STEPS_MAX 1500
#define TICKS_MAX 6000 /* in an hour */

struct pair_world w;

void pair_say(const struct side *s, const char *what, const struct link_frame *f)
{
	char text[WIRE_PRINT_MAX] = "";

	if (!w.is_traced)
		return;
	if (f != NULL && f->link == BERTH_LINK_IP)
		wire_print_ip(f->data, f->len, text, sizeof(text));
	else if (f != NULL)
		wire_print_frame(f->data, f->len, text, sizeof(text));
	fprintf(stderr, "%12.6f %u %s %s%s\n", (double)w.now_ns / 1e9, number(s), what, text,
		f != NULL && f->gso != BERTH_GSO_NONE ? " (super)" : "");
}

/* --- what one end knows of the other --- */

static bool is_conn(const struct berth_stack *st, uint32_t i)
{
	const struct tcp_conn *c = slab_at(&st->conns, i);

	return slab_used(&st->conns, i) && c->state != TCP_LISTEN && c->state != TCP_CLOSED;
}

static bool is_pair(const struct tcp_conn *c, const struct tcp_conn *d)
{
	return tcp_state_in(c, TCP_SYNCHRONIZED) && tcp_state_in(d, TCP_SYNCHRONIZED) && c->iss == d->irs &&
	       c->irs == d->iss;
}

/* c sends, d receives. */
static void agree(const struct berth_stack *st, const struct tcp_conn *c, const struct tcp_conn *d)
{
	uint32_t max = c->w ? c->w->max : c->una;

	ASSERT(seq_le(c->una, d->rcv_nxt));			  /* nothing counts as arrived that did not */
	ASSERT(seq_le(d->rcv_nxt, max));			  /* nothing was received that was not sent */
	ASSERT(seq_le(max, seq_max(d->rcv_adv, d->rcv_nxt) + 2)); /* but for a probe and a FIN */
	if (d->w && d->w->gaps != NIL) {
		const struct tcp_gaps *g = slab_at(&st->tcp->gaps, d->w->gaps);

		ASSERT(g->n == 0 || seq_le(g->v[g->n - 1].right, max));
	}
}

static void all_agree(void)
{
	const struct berth_stack *a = w.sides[0].st, *b = w.sides[1].st;

	for (uint32_t i = 0; i < a->conns.n_max; i++)
		for (uint32_t k = 0; is_conn(a, i) && k < b->conns.n_max; k++) {
			const struct tcp_conn *c = slab_at(&a->conns, i), *d = slab_at(&b->conns, k);

			if (!is_conn(b, k) || !is_pair(c, d))
				continue;
			agree(b, c, d);
			agree(a, d, c);
		}
}

/* What is owed, in flight or cannot go has a timer, or its turn is to come; or it waits for frames to be unpinned. */
static void nobody_is_forgotten(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->conns.n_max; i++) {
		const struct tcp_conn *c = slab_at(&st->conns, i);

		if (!is_conn(st, i) || !tcp_state_in(c, TCP_SYNCHRONIZED) || c->w == NULL ||
		    c->s.flags & SOCK_TX_QUEUED || (c->w->tx_pins[0] | c->w->tx_pins[1]) != 0)
			continue;
		ASSERT(c->rcv_nxt == c->w->rcv_acked || c->w->at[TCP_AT_DELACK] != NEVER_NS);
		ASSERT(c->una == c->w->max || c->w->at[TCP_AT_RTX] != NEVER_NS);
		ASSERT(c->una != c->w->max || c->tx.used == 0 || c->w->at[TCP_AT_PERSIST] != NEVER_NS ||
		       c->w->at[TCP_AT_PACE] != NEVER_NS);
	}
}

static void check(void)
{
	nobody_is_forgotten(w.sides[0].st);
	nobody_is_forgotten(w.sides[1].st);
	ASSERT(berth_stack_check(w.sides[0].st) && berth_stack_check(w.sides[1].st));
	if (!w.is_forged && !pair_used_cookies())
		all_agree();
}

/* --- time --- */

static uint64_t next_deadline(void)
{
	uint64_t a = berth_stack_deadline(w.sides[0].st), b = berth_stack_deadline(w.sides[1].st);

	return a < b ? a : b;
}

static void tick(struct side *s)
{
	unsigned rounds = 0;

	for (;;) {
		unsigned n = berth_stack_tick(s->st, w.now_ns, 64);

		pair_drain(s);
		if (w.is_ended || !w.is_lazy)
			pair_fetch_events(s);
		if (n == 0 && berth_stack_deadline(s->st) > w.now_ns)
			return;
		ASSERT(++rounds < 200); /* what is due was done: the deadline moves on */
	}
}

static void time_is(uint64_t ns)
{
	if (ns != BERTH_NEVER && ns > w.now_ns)
		w.now_ns = ns;
	tick(&w.sides[0]);
	tick(&w.sides[1]);
}

/* Deadline by deadline, at most n of them, up to `end`; with a good link if it is clean. false: it was not reached. Where working blocks
 * or bursts are few, who has none asks for one every 10 ms (tcp_work.c, tcp_board.c): then programs look at the deadline once in a second. */
static bool pass(uint64_t end, unsigned n, bool is_clean)
{
	for (; n > 0; n--) {
		uint64_t at;

		if (is_clean)
			pair_settle();
		at = next_deadline();
		if (w.is_short && at != BERTH_NEVER && at < w.now_ns + SECOND)
			at = w.now_ns + SECOND;
		if (at > end) {
			time_is(end);
			return true;
		}
		time_is(at);
	}
	return false;
}

/* --- steps --- */

static void step(void)
{
	uint8_t op = cursor_get_u8(&w.in), what = op & 31, how = op >> 5 & 3;
	struct side *s = &w.sides[op >> 7];

	w.now_ns += 1000; /* nothing happens in no time: initial sequence numbers of the same ports differ */
	if (what < 10) {
		pair_program(s, what, how);
	} else if (what == 10) {
		if (how == 0)
			pair_set(s);
		else if (how == 1)
			pair_udp_send(s);
		else if (how == 2)
			pair_udp_receive(s);
		else
			pair_fetch_events(s);
	} else if (what == 11) {
		if (s->n_pinned > 0)
			pair_unpin(s, how % s->n_pinned);
	} else if (what == 12) {
		w.now_ns += UINT64_C(1000) << cursor_get_u8(&w.in) % 24;
		tick(s);
	} else if (what == 13) {
		time_is(next_deadline());
	} else if (what == 14) {
		(void)pass(w.now_ns + cursor_get_u8(&w.in) * (SECOND / 10), 32, how & 1);
	} else if (what == 15) {
		w.now_ns += SECOND << cursor_get_u8(&w.in) % 15;
		tick(s);
	} else if (what < 24) {
		pair_link_step(s, what - 16, how);
	} else if (what < 26) {
		pair_settle();
	} else {
		pair_attack(s, how);
	}
	if (!w.is_lazy || how != 3) {
		pair_drain(&w.sides[0]);
		pair_drain(&w.sides[1]);
		pair_fetch_events(&w.sides[0]);
		pair_fetch_events(&w.sides[1]);
	}
}

/* --- the end --- */

/* Programs that are well: what was handed out is written, what came is accepted, read and heard of. */
static void be_well(void)
{
	for (unsigned i = 0; i < 2; i++) {
		pair_unpin_all(&w.sides[i]);
		pair_read_all(&w.sides[i]);
		pair_fetch_events(&w.sides[i]);
	}
}

/* The link is good from now on, and both programs read. */
static void live_on(void)
{
	uint64_t end = w.now_ns + 3600 * SECOND;

	for (unsigned n = 0; w.now_ns < end; n++) {
		pair_settle();
		be_well();
		pair_settle();
		(void)pass(end, 1, false);
		ASSERT(n < TICKS_MAX);
	}
	pair_settle();
	be_well();
	pair_all_arrived(&w.sides[0]);
	pair_all_arrived(&w.sides[1]);
}

static void nothing_is_left(struct side *s)
{
	struct berth_usage u = {.struct_size = sizeof(u)};

	pair_unpin_all(s);
	pair_fetch_events(s);
	(void)berth_stack_tick(s->st, w.now_ns, 64); /* what output() gave out last is free from now on */
	ASSERT(berth_stack_usage(s->st, &u) == 0);
	ASSERT(u.conns.used == 0 && u.work.used == 0 && u.rings.used == 0 && u.bursts.used == 0 && u.gaps.used == 0);
	ASSERT(u.syns.used == 0 && u.time_waits.used == 0 && u.udp.used == 0 && u.packets.used == 0);
	ASSERT(u.n_orphans == 0 && u.n_ports == 0 && u.n_frag_bytes == 0 && s->st->n_pinned == 0);
	ASSERT(berth_stack_deadline(s->st) == BERTH_NEVER);
	ASSERT(berth_stack_check(s->st));
}

static void finish(uint8_t how)
{
	if (!w.is_forged && how & 128)
		live_on();
	w.is_ended = true;
	for (unsigned i = 0; i < 2; i++) {
		pair_close_all(&w.sides[i], (uint8_t)(how >> i));
		if (how & 64)
			pair_lose(&w.sides[i]);
		pair_unpin_all(&w.sides[i]);
	}
	for (unsigned hours = 0; hours < 3; hours++) {
		ASSERT(pass(w.now_ns + 3600 * SECOND, TICKS_MAX, true));
		pair_unpin_all(&w.sides[0]);
		pair_unpin_all(&w.sides[1]);
	}
	for (unsigned i = 0; i < 2; i++) {
		nothing_is_left(&w.sides[i]);
		pair_forget(&w.sides[i]);
	}
	ASSERT(w.frames.n_out == 0);
}

/* --- the beginning --- */

static void make_stack(struct side *s, uint8_t room)
{
	struct berth_stack_config c = {
		.struct_size = sizeof(c),
		.flags = room & 1 ? BERTH_STACK_PIN : 0,
		.n_conns = N_CONNS + 1,
		.n_work = room & 2 ? N_CONNS + 1 : 2,
		.n_udp = 2,
		.n_syn = room & 4 ? 4 : 1,
		.n_time_wait = room & 8 ? 4 : 1,
		.n_ifaces = 1,
		.n_addrs = 2,
		.n_routes = 2,
		.n_neighs = 2,
		.n_groups = 4,
		.n_packets = room & 16 ? 16 : 4,
		.frag_bytes = 8192,
		.n_rings = room & 32 ? N_CONNS : 3,
		.rx_ring_bytes = RING,
		.tx_ring_bytes = RING,
		.udp_ring_bytes = RING,
		.n_bursts = room & 64 ? 64 : 6,
		.n_gaps = room & 128 ? 3 : 1,
		.n_places = room & 64 ? 0 : 8,
	};
	size_t size;

	w.is_short |= c.n_work < c.n_conns || c.n_bursts < 64;
	memset(c.secret, 0x3c + (int)number(s), sizeof(c.secret));
	size = berth_stack_size(&c);
	ASSERT(size > 0);
	if (s->memory_size < size) {
		free(s->memory);
		s->memory = aligned_alloc(64, size);
		s->memory_size = size;
		ASSERT(s->memory != NULL);
	}
	memset(s->memory, 0, size);
	ASSERT(berth_stack_init(&s->st, s->memory, size, &c, w.now_ns) == 0);
}

static void make_iface(struct side *s, uint8_t flags, uint8_t link)
{
	static const uint16_t mtus[] = {1500, 1280, 9000, 65535, 576, 296, 1500, 4000};
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = link & 1 ? BERTH_LINK_ETHERNET : BERTH_LINK_IP,
				.mac = {2, 0, 0, 0, 0, (uint8_t)(1 + number(s))},
				.flags = BERTH_IF_NO_DAD,
				.mtu_bytes = mtus[(flags >> 5) % (w.is_v4 ? 8 : 4)]};
	struct berth_addr a = addr_public(&s->addr, 0), b = addr_public(&other(s)->addr, 0);
	uint16_t iface;

	f.flags |= flags & 1 ? BERTH_IF_TX_CSUM |
				       (flags & (BERTH_IF_TSO4 | BERTH_IF_TSO6 | BERTH_IF_USO | BERTH_IF_TSO_ECN))
			     : 0;
	s->iface = (struct look_iface){(enum berth_link)f.link, f.flags, f.mtu_bytes};
	ASSERT(berth_iface_add(s->st, &f, &iface) == 0 && iface == 0);
	ASSERT(berth_addr_add(s->st, iface, &a, w.is_v4 ? 24 : 64) == 0);
	if (link & 2 && f.link == BERTH_LINK_ETHERNET) {
		uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(2 - number(s))};

		ASSERT(berth_neigh_add(s->st, iface, &b, mac) == 0);
	}
}

static void make_sockets(struct side *s, uint8_t wish, uint8_t ports)
{
	struct berth_addr any = {.port = PORT_LISTEN}, udp = {.port = PORT_UDP};
	const struct berth_port_settings few = {40000, 40002, 0};

	ASSERT(berth_sock_open(s->st, BERTH_TCP, BERTH_IPV6, 0, &s->listener) == 0);
	ASSERT(berth_sock_bind(s->st, s->listener, &any) == 0);
	ASSERT(berth_sock_set(s->st, s->listener, BERTH_SYNCOOKIES, wish % 3) == 0);
	ASSERT(berth_sock_set(s->st, s->listener, BERTH_CONGESTION, wish >> 2 & 1) == 0);
	ASSERT(berth_sock_set(s->st, s->listener, BERTH_FASTOPEN, wish >> 3 & 3) == 0);
	ASSERT(berth_sock_set(s->st, s->listener, BERTH_ECN, wish & 32 ? 1 : 2) == 0);
	if (wish & 64)
		ASSERT(berth_sock_set(s->st, s->listener, BERTH_DEFER_ACCEPT_S, 3) == 0);
	ASSERT(berth_sock_listen(s->st, s->listener, wish & 128 ? 4 : 1) == 0);
	ASSERT(berth_sock_open(s->st, BERTH_UDP, BERTH_IPV6, 0, &s->udp) == 0);
	ASSERT(berth_sock_bind(s->st, s->udp, &udp) == 0);
	if (ports & 1)
		ASSERT(berth_stack_set_ports(s->st, &few) == 0);
}

/* When the world begins: in half of them two seconds before a clock that the stack keeps in 32 bits (microseconds, milliseconds) goes round or
 * changes its sign. */
static uint64_t clock_of(unsigned wish)
{
	static const uint64_t units_ns[] = {1000, 1000000};

	return wish & 4 ? (units_ns[wish & 1] << (wish & 2 ? 32 : 31)) - 2 * SECOND : SECOND;
}

static void begin(void)
{
	uint8_t world = cursor_get_u8(&w.in);

	w.now_ns = clock_of(world >> 5);
	w.is_forged = w.is_ended = w.is_short = false;
	w.is_lazy = world & 8;
	w.is_v4 = world & 4;
	w.n_flows = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w.sides[i];
		const struct side was = *s;

		*s = (struct side){.memory = was.memory, .memory_size = was.memory_size};
		s->addr = w.is_v4 ? port_addr_v4(10, 0, 0, (uint8_t)(1 + i)) : PORT_ADDR_ANY6;
		s->addr.b[0] = w.is_v4 ? 0 : 0xfd;
		s->addr.b[15] = (uint8_t)(1 + i);
	}
	for (unsigned i = 0; i < 2; i++) {
		make_stack(&w.sides[i], cursor_get_u8(&w.in));
		make_iface(&w.sides[i], cursor_get_u8(&w.in), world);
		make_sockets(&w.sides[i], cursor_get_u8(&w.in), world >> 4);
	}
	pair_drain(&w.sides[0]);
	pair_drain(&w.sides[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	uint8_t how;

	w.is_traced = getenv("BERTH_FUZZ_TRACE") != NULL;
	w.in = cursor_reader(data, len_bytes);
	begin();
	how = cursor_get_u8(&w.in);
	check();
	for (unsigned n = 0; n < STEPS_MAX && cursor_reader_left(&w.in) > 0; n++) {
		step();
		check();
	}
	finish(how);
	return 0;
}
