/* src/stack/tcp_ring.c: the two rings of a connection, and the pool that has pairs of them.
 *
 * A ring is a power of two of octets. The stream goes round in it: the octet `at` places after the first one that is needed lies at
 * (head + at) & (size - 1).
 *
 *	sending		head: the octet at una	    used: written by the program, not acknowledged
 *	receiving	head: the next to be read   used: in order; what came early lies behind, at its place
 *
 *	+------------+=======================+....##......###....+------------+
 *	|    free    | used                  |  early, in holes  |    free    |
 *	+------------+=======================+...................+------------+
 *	             head                    rcv_nxt              rcv_adv
 *
 * The pool is one piece of memory, pair after pair, the receiving ring first. A pair is taken when a connection is set up and given
 * back when it ends; the one given back last is taken first, because it is in the cache. Memory is not wiped between: a ring
 * shows only what was written since (used, and the intervals of tcp_gaps.c), and st's owner sees all of it anyway. Behind each ring
 * are RING_GUARD octets that nobody writes: who goes beyond a ring is noticed there.
 *
 * Pins (BERTH_STACK_PIN). A frame that was handed out points into the sending ring until berth_stack_unpin(). Octets that are
 * acknowledged meanwhile leave `used` but are `held`: not yet free. A frame points at nothing that was acknowledged before it was made, so
 * frames are counted by epoch, tx_pins[2]: when the older count is zero, what was held when the newer epoch began is free, and the
 * epoch turns. So a writer that always has frames on their way gets its ring back all the same. A pair whose connection
 * ends while frames are pinned goes back to the pool with the last of them.
 *
 * Always true (tcp_rings_check())
 *	R1  head < size, used + held <= size;
 *	R2  sending: from una to max there is nothing that the ring has not, but SYN and FIN;
 *	R3  receiving: used and what is advertised beyond rcv_nxt fit into the ring together;
 *	R4  the guards behind both rings of a pair in use hold zeros (tcp_ring_guards_check()).
 */
#include "stack/tcp_data.h"

#include <errno.h>
#include <string.h>

/* A pair's item in the slab. */
struct pair {
	uint32_t conn;	 /* whose it is; NIL: the connection has ended, and frames are pinned */
	uint32_t n_pins; /* then: how many */
};

/* struct berth_tx's pin: index (of the pair, or of the connection if its rings are the program's) | generation << 32 | kind. */
#define PIN_OWN (UINT64_C(1) << 62)
#define PIN_EPOCH (UINT64_C(1) << 61)
#define PIN_GENERATION UINT32_C(0x1fffffff)

static size_t pair_bytes(const struct berth_stack *st)
{
	return (size_t)st->cfg.rx_ring_bytes + RING_GUARD + st->cfg.tx_ring_bytes + RING_GUARD;
}

static bool guards_ok(const struct berth_stack *st, uint32_t i)
{
	const uint8_t *rx = st->tcp->ring_memory + i * pair_bytes(st), *tx = rx + st->cfg.rx_ring_bytes + RING_GUARD;

	return ring_guard_ok(rx + st->cfg.rx_ring_bytes) && ring_guard_ok(tx + st->cfg.tx_ring_bytes);
}

bool tcp_ring_guards_check(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->tcp->rings.n_max; i++)
		if (slab_used(&st->tcp->rings, i) && !guards_ok(st, i))
			return false;
	return true;
}

void tcp_rings_layout(struct berth_stack *st, struct arena *a)
{
	uint8_t *items = arena_take(a, slab_size(st->cfg.n_rings, sizeof(struct pair)));
	uint8_t *memory = arena_take(a, st->cfg.n_rings * pair_bytes(st));

	if (!a->base)
		return;
	st->tcp->rings.items = items;
	st->tcp->ring_memory = memory;
}

void tcp_rings_init(struct berth_stack *st)
{
	slab_init(&st->tcp->rings, st->tcp->rings.items, st->cfg.n_rings, sizeof(struct pair));
}

void tcp_ring_init(struct tcp_ring *r, uint8_t *data, uint32_t size)
{
	ASSERT(data && size && (size & (size - 1)) == 0);
	*r = (struct tcp_ring){.data = data, .size = size};
}

unsigned tcp_ring_parts(const struct tcp_ring *r, uint32_t at, uint32_t len, struct berth_part v[2])
{
	uint32_t from, first;

	ASSERT(at <= r->size && len <= r->size - at);
	if (!len)
		return 0;
	from = (r->head + at) & (r->size - 1);
	first = r->size - from;
	if (len <= first) {
		v[0] = (struct berth_part){r->data + from, len};
		return 1;
	}
	v[0] = (struct berth_part){r->data + from, first};
	v[1] = (struct berth_part){r->data, len - first};
	return 2;
}

void tcp_ring_write(struct tcp_ring *r, uint32_t at, const uint8_t *data, uint32_t len)
{
	uint32_t from, first;

	ASSERT(at <= r->size && len <= r->size - at);
	if (!len)
		return;
	from = (r->head + at) & (r->size - 1);
	first = r->size - from;
	if (len <= first) {
		memcpy(r->data + from, data, len);
		return;
	}
	memcpy(r->data + from, data, first);
	memcpy(r->data, data + first, len - first);
}

/* The pair that a connection has from the pool. */
static uint32_t pair_of(const struct berth_stack *st, const struct tcp_conn *c)
{
	return (uint32_t)((size_t)(c->rx.data - st->tcp->ring_memory) / pair_bytes(st));
}

/* What of a ring is used before autotuning asks for more: 64 KiB, or a part of a ring that is much larger, for who gives such rings
 * expects to fill them (Linux begins with a 16th of tcp_wmem's maximum, and a 30th of tcp_rmem's). */
static uint32_t first(uint32_t size, uint32_t part)
{
	uint32_t most = size / part > TCP_BUF_FIRST ? size / part : TCP_BUF_FIRST;

	return size < most ? size : most;
}

/* Autotuning begins small; what the program chose stays. */
static void limits(struct tcp_conn *c)
{
	if (!(c->f & TF_RCVBUF_SET))
		c->rcvbuf = first(c->rx.size, 32);
	if (!(c->f & TF_SNDBUF_SET))
		c->sndbuf = first(c->tx.size, 16);
}

int tcp_rings_take(struct berth_stack *st, struct tcp_conn *c)
{
	struct tcp_state *t = st->tcp;
	struct pair *pair;
	uint8_t *at;
	uint32_t i;

	if (c->rx.data) /* attached, or taken before */
		return 0;
	i = slab_take(&t->rings);
	if (i == NIL) {
		st->n.tcp_no_memory++;
		return -ENOBUFS;
	}
	pair = slab_at(&t->rings, i);
	pair->conn = tcp_index(st, c);
	at = t->ring_memory + i * pair_bytes(st);
	tcp_ring_init(&c->rx, at, st->cfg.rx_ring_bytes);
	tcp_ring_init(&c->tx, at + st->cfg.rx_ring_bytes + RING_GUARD, st->cfg.tx_ring_bytes);
	limits(c);
	return 0;
}

void tcp_rings_give(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t n_pins = c->w != NULL ? (uint32_t)c->w->tx_pins[0] + c->w->tx_pins[1] : 0;

	if (!c->rx.data)
		return;
	if (c->f & TF_RING_OWN) {
		st->n_pinned -= n_pins; /* tcp_unpin() will not know them */
	} else {
		uint32_t i = pair_of(st, c);
		struct pair *p = slab_at(&st->tcp->rings, i);

		ASSERT_SLOW(guards_ok(st, i));
		p->conn = NIL;
		p->n_pins = n_pins;
		if (!p->n_pins)
			slab_give(&st->tcp->rings, i);
	}
	c->rx = c->tx = (struct tcp_ring){0};
	if (c->w != NULL)
		c->w->tx_pins[0] = c->w->tx_pins[1] = 0, c->w->tx_held_late = 0;
	c->f &= ~(uint32_t)TF_RING_OWN;
}

uint64_t tcp_pin_take(struct berth_stack *st, struct tcp_conn *c)
{
	unsigned epoch = (c->f & TF_PIN_EPOCH) != 0;
	uint64_t pin = epoch ? PIN_EPOCH : 0;
	uint32_t i;

	ASSERT(c->w->tx_pins[epoch] < UINT16_MAX); /* tcp_pin_room() was asked */
	c->w->tx_pins[epoch]++;
	st->n_pinned++;
	if (c->f & TF_RING_OWN) {
		i = tcp_index(st, c);
		return pin | PIN_OWN | (uint64_t)(st->conns.generation[i] & PIN_GENERATION) << 32 | i;
	}
	i = pair_of(st, c);
	return pin | (uint64_t)(st->tcp->rings.generation[i] & PIN_GENERATION) << 32 | i;
}

bool tcp_pin_room(const struct tcp_conn *c)
{
	return c->w->tx_pins[(c->f & TF_PIN_EPOCH) != 0] < UINT16_MAX;
}

static void turn_epoch(struct berth_stack *st, struct tcp_conn *c)
{
	while (c->tx.held && !c->w->tx_pins[!(c->f & TF_PIN_EPOCH)]) {
		c->tx.held = c->w->tx_held_late;
		c->w->tx_held_late = 0;
		c->f ^= TF_PIN_EPOCH;
	}
	tcp_tx_tell(st, c);
}

void tcp_tx_hold(struct berth_stack *st, struct tcp_conn *c, uint32_t len)
{
	if (!(c->w->tx_pins[0] | c->w->tx_pins[1]))
		return;
	c->tx.held += len;
	c->w->tx_held_late += len;
	turn_epoch(st, c);
}

static bool generation_is(const struct slab *s, uint32_t i, uint64_t pin)
{
	return slab_used(s, i) && (s->generation[i] & PIN_GENERATION) == ((pin >> 32) & PIN_GENERATION);
}

void tcp_unpin(struct berth_stack *st, uint64_t pin)
{
	uint32_t i = (uint32_t)pin;
	unsigned epoch = (pin & PIN_EPOCH) != 0;
	struct tcp_conn *c;
	struct pair *p;

	if (pin & PIN_OWN) {
		if (!generation_is(&st->conns, i, pin))
			return; /* ended: the ring is the program's again */
		c = tcp_at(st, i);
	} else {
		if (!generation_is(&st->tcp->rings, i, pin))
			return;
		p = slab_at(&st->tcp->rings, i);
		if (p->conn == NIL) {
			st->n_pinned--;
			if (--p->n_pins == 0)
				slab_give(&st->tcp->rings, i);
			return;
		}
		c = tcp_at(st, p->conn);
	}
	if (c->w == NULL || !c->w->tx_pins[epoch])
		return; /* twice */
	if (!tcp_pin_room(c))
		sock_ready(st, tcp_index(st, c)); /* it waits for that */
	c->w->tx_pins[epoch]--;
	st->n_pinned--;
	turn_epoch(st, c);
	tcp_work_done(st, c);
}

static bool is_ring_size(uint32_t n)
{
	return n >= 4096 && n <= UINT32_C(1) << 30 && (n & (n - 1)) == 0;
}

/* Octets of the receiving ring that must move: what is in order, the holes, and what lies behind them. */
static uint32_t span(struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_gaps *g;

	if (c->w == NULL || c->w->gaps == NIL)
		return c->rx.used;
	g = slab_at(&st->tcp->gaps, c->w->gaps);
	return c->rx.used + (g->v[g->n - 1].right - c->rcv_nxt);
}

static void move(const struct tcp_ring *from, uint32_t len, struct tcp_ring *to)
{
	struct berth_part v[2];
	unsigned n = tcp_ring_parts(from, 0, len, v);
	uint32_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		tcp_ring_write(to, at, v[i].data, v[i].len);
		at += v[i].len;
	}
}

static bool overlap(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes)
{
	return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

int berth_sock_attach(struct berth_stack *st, berth_sock s, uint8_t *rx, uint32_t rx_bytes, uint8_t *tx,
		      uint32_t tx_bytes)
{
	struct tcp_ring new_rx, new_tx;
	struct tcp_conn *c;
	uint32_t index, len, max;
	int r = sock_find_tcp(st, s, &index);

	if (r < 0)
		return r;
	if (!rx || !tx || !is_ring_size(rx_bytes) || !is_ring_size(tx_bytes) || overlap(rx, rx_bytes, tx, tx_bytes))
		return -EINVAL;
	c = tcp_at(st, index);
	if (c->state == TCP_LISTEN)
		return -EINVAL;
	max = c->w != NULL ? c->w->max : c->una;
	if (c->state == TCP_SYN_SENT || max != c->iss + (c->state != TCP_CLOSED) || c->tx.used)
		return -EISCONN;
	tcp_ring_init(&new_rx, rx, rx_bytes);
	tcp_ring_init(&new_tx, tx, tx_bytes);
	if (c->rx.data) {
		len = span(st, c);
		if (len > rx_bytes)
			return -ENOBUFS;
		if (len && overlap(c->rx.data, c->rx.size, rx, rx_bytes))
			return -EINVAL;
		move(&c->rx, len, &new_rx);
		new_rx.used = c->rx.used;
	}
	tcp_rings_give(st, c);
	c->rx = new_rx;
	c->tx = new_tx;
	c->f |= TF_RING_OWN;
	limits(c);
	/* The one place where the right edge may go back (SHLD-14 warns of it): the peer was promised the pool's ring, and this one
	 * is smaller. Nothing that came is lost, and what is on its way beyond the edge will be sent again. */
	if (c->state != TCP_CLOSED && tcp_window_open(c) > rx_bytes - new_rx.used)
		c->rcv_adv = c->rcv_nxt + (rx_bytes - new_rx.used);
	return 0;
}

bool tcp_rings_check(const struct berth_stack *st, const struct tcp_conn *c)
{
	uint32_t sent, fin = (c->f & TF_FIN_SENT) != 0;

	if (!c->rx.data)
		return !c->tx.data;
	if (c->rx.used > c->rx.size || c->rx.head >= c->rx.size || c->tx.used + c->tx.held > c->tx.size ||
	    c->tx.head >= c->tx.size)
		return false; /* R1 */
	if (c->state == TCP_CLOSED || c->state == TCP_LISTEN || c->state == TCP_SYN_SENT)
		return true;
	sent = seq_lt(tcp_tx_seq(c), c->w->max) ? c->w->max - tcp_tx_seq(c) : 0;
	if (sent > c->tx.used + fin)
		return false; /* R2 */
	if (tcp_window_open(c) > c->rx.size - c->rx.used)
		return false; /* R3 */
	return c->w->gaps == NIL || tcp_gaps_check(slab_at(&st->tcp->gaps, c->w->gaps), c->rcv_nxt);
}
