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
 * shows only what was written since (used, and the intervals of tcp_gaps.c), and st's owner sees all of it anyway.
 *
 * Always true (tcp_rings_check())
 *	R1  head < size, used <= size;
 *	R2  sending: from una to max there is nothing that the ring has not, but SYN and FIN;
 *	R3  receiving: used and what is advertised beyond rcv_nxt fit into the ring together.
 */
#include "stack/tcp_data.h"

#include <errno.h>
#include <string.h>

/* A pair's item in the slab. */
struct pair {
	uint32_t index;
	uint32_t zero;
};

static size_t pair_bytes(const struct berth_stack *st)
{
	return (size_t)st->cfg.rx_ring_bytes + st->cfg.tx_ring_bytes;
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

uint32_t tcp_ring_free(const struct tcp_ring *r)
{
	return r->size - r->used;
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

/* Autotuning begins small; what the program chose stays. */
static void limits(struct tcp_conn *c)
{
	if (!(c->f & TF_RCVBUF_SET))
		c->rcvbuf = c->rx.size < TCP_BUF_FIRST ? c->rx.size : TCP_BUF_FIRST;
	if (!(c->f & TF_SNDBUF_SET))
		c->sndbuf = c->tx.size < TCP_BUF_FIRST ? c->tx.size : TCP_BUF_FIRST;
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
	pair->index = i;
	at = t->ring_memory + i * pair_bytes(st);
	tcp_ring_init(&c->rx, at, st->cfg.rx_ring_bytes);
	tcp_ring_init(&c->tx, at + st->cfg.rx_ring_bytes, st->cfg.tx_ring_bytes);
	limits(c);
	return 0;
}

void tcp_rings_give(struct berth_stack *st, struct tcp_conn *c)
{
	if (!c->rx.data)
		return;
	if (!(c->f & TF_RING_OWN))
		slab_give(&st->tcp->rings, (uint32_t)((size_t)(c->rx.data - st->tcp->ring_memory) / pair_bytes(st)));
	c->rx = c->tx = (struct tcp_ring){0};
	c->f &= ~(uint32_t)TF_RING_OWN;
}

static bool is_ring_size(uint32_t n)
{
	return n >= 4096 && n <= UINT32_C(1) << 30 && (n & (n - 1)) == 0;
}

/* Octets of the receiving ring that must move: what is in order, the holes, and what lies behind them. */
static uint32_t span(struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_gaps *g;

	if (c->gaps == NIL)
		return c->rx.used;
	g = slab_at(&st->tcp->gaps, c->gaps);
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

int berth_sock_attach(struct berth_stack *st, berth_sock s, uint8_t *rx, uint32_t rx_bytes, uint8_t *tx,
		      uint32_t tx_bytes)
{
	struct tcp_ring new_rx, new_tx;
	struct tcp_conn *c;
	uint32_t index, len;
	int r = sock_find_tcp(st, s, &index);

	if (r < 0)
		return r;
	if (!rx || !tx || !is_ring_size(rx_bytes) || !is_ring_size(tx_bytes))
		return -EINVAL;
	c = tcp_at(st, index);
	if (c->state == TCP_LISTEN)
		return -EINVAL;
	if (c->state == TCP_SYN_SENT || c->max != c->iss + (c->state != TCP_CLOSED) || c->tx.used)
		return -EISCONN;
	tcp_ring_init(&new_rx, rx, rx_bytes);
	tcp_ring_init(&new_tx, tx, tx_bytes);
	if (c->rx.data) {
		len = span(st, c);
		if (len > rx_bytes)
			return -ENOBUFS;
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
	if (c->rx.used > c->rx.size || c->rx.head >= c->rx.size || c->tx.used > c->tx.size || c->tx.head >= c->tx.size)
		return false; /* R1 */
	if (c->state == TCP_CLOSED || c->state == TCP_LISTEN || c->state == TCP_SYN_SENT)
		return true;
	sent = seq_lt(tcp_tx_seq(c), c->max) ? c->max - tcp_tx_seq(c) : 0;
	if (sent > c->tx.used + fin)
		return false; /* R2 */
	if (tcp_window_open(c) > c->rx.size - c->rx.used)
		return false; /* R3 */
	return c->gaps == NIL || tcp_gaps_check(slab_at(&st->tcp->gaps, c->gaps), c->rcv_nxt);
}
