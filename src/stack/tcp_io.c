/* src/stack/tcp_io.c: the program's side of a connection's rings: what it writes, what it reads, and what it is told of.
 *
 * Writing commits octets that lie in the sending ring already (berth_sock_send() copies them there first); from then on
 * tcp_output() sends them out of it, and tcp_tx_acked() takes them away. Reading gives ring back to the window.
 *
 * When the program hears of room (BERTH_EV_OUT): when at least a third of the buffer is free, as Linux has it, so that it does not
 * wake for every segment; or two segments when all it wrote is sent, because then it is what the connection waits for; and with
 * BERTH_NOTSENT_LOWAT, when less than that is unsent. TF_TX_FULL remembers that it saw less. Of data (BERTH_EV_IN): from BERTH_RCVLOWAT
 * octets on, at the end of the stream, and when the ring is full, because no more can come then.
 *
 * The sending buffer grows with the window of congestion, to twice of it: what is in flight, and as much again so that the
 * program need not be quick. Up to the ring; BERTH_SNDBUF switches that off.
 */
#include "stack/tcp_data.h"
#include "stack/udp.h"

#include <errno.h>
#include <string.h>

static uint32_t tx_limit(const struct tcp_conn *c)
{
	return c->sndbuf && c->sndbuf < c->tx.size ? c->sndbuf : c->tx.size;
}

uint32_t tcp_tx_room(const struct tcp_conn *c)
{
	uint32_t most = tx_limit(c), used = c->tx.used + c->tx.held;

	return used < most ? most - used : 0;
}

static uint32_t unsent(const struct tcp_conn *c)
{
	uint32_t end = tcp_tx_end(c);

	return seq_lt(tcp_nxt(c), end) ? end - tcp_nxt(c) : 0;
}

bool tcp_tx_writable(const struct tcp_conn *c)
{
	uint32_t room = tcp_tx_room(c), third = tx_limit(c) / 3;

	if (!c->tx.data || (room < third && (room < 2u * c->mss || unsent(c) > 0)))
		return false;
	return !c->notsent_lowat || unsent(c) < c->notsent_lowat;
}

bool tcp_rx_readable(const struct tcp_conn *c)
{
	uint32_t lowat = c->rcvlowat ? c->rcvlowat : 1;

	if (c->f & TF_FIN_RCVD)
		return true;
	return c->rx.used && (c->rx.used >= lowat || tcp_window_open(c) == 0);
}

/* Fast open: what is written before the SYN leaves may go with it (RFC 7413). */
static bool goes_with_syn(const struct tcp_conn *c)
{
	return c->state == TCP_SYN_SENT && c->f & TF_FASTOPEN && c->w->nxt == c->iss;
}

static bool may_send(const struct tcp_conn *c)
{
	return (c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT || goes_with_syn(c)) &&
	       !(c->f & TF_FIN_QUEUED) && !(c->s.flags & SOCK_SHUT_WR);
}

int tcp_io_poll(const struct tcp_conn *c)
{
	int mask = 0;

	if (c->rx.data && tcp_rx_readable(c))
		mask |= BERTH_EV_IN;
	if (may_send(c) && tcp_tx_writable(c))
		mask |= BERTH_EV_OUT;
	if (c->f & TF_URG_IN)
		mask |= BERTH_EV_PRI;
	return mask;
}

static void grow(struct tcp_conn *c)
{
	uint64_t want = 2 * (uint64_t)c->cwnd;

	if (c->f & TF_SNDBUF_SET || c->sndbuf >= c->tx.size || want <= c->sndbuf)
		return;
	c->sndbuf = want < c->tx.size ? (uint32_t)want : c->tx.size;
}

/* What the program has seen of its room, and not what was so a moment ago: what counts as room changes with the segments' size, too. */
static void remember_full(struct tcp_conn *c)
{
	if (!tcp_tx_writable(c))
		c->f |= TF_TX_FULL;
}

void tcp_tx_tell(struct berth_stack *st, struct tcp_conn *c)
{
	if (!(c->f & TF_TX_FULL) || !may_send(c) || !tcp_tx_writable(c))
		return;
	c->f &= ~(uint32_t)TF_TX_FULL;
	event_add(st, tcp_index(st, c), BERTH_EV_OUT);
}

void tcp_tx_acked(struct berth_stack *st, struct tcp_conn *c, uint32_t ack, uint32_t len)
{
	c->una = ack;
	if (seq_lt(c->w->nxt, ack))
		c->w->nxt = ack;
	if (c->w->mtu_probe)
		tcp_mtu_acked(st, c);
	if (!len)
		return;
	tcp_ring_drop(&c->tx, len);
	tcp_tx_hold(st, c, len);
	grow(c);
	tcp_tx_tell(st, c);
}

/* What a call on a connection that has no stream says; 0: it has one. */
static int no_stream(struct tcp_conn *c)
{
	int r = c->s.err;

	if (r) { /* once, as SO_ERROR */
		c->s.err = 0;
		return r;
	}
	switch ((enum tcp_state_name)c->state) {
	case TCP_LISTEN:
		return -ENOTCONN;
	case TCP_SYN_SENT:
		return goes_with_syn(c) ? 0 : -EAGAIN;
	case TCP_SYN_RCVD:
		return -EAGAIN;
	case TCP_CLOSED:
		return c->f & TF_CONNECTED ? 0 : -ENOTCONN;
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT_1:
	case TCP_FIN_WAIT_2:
	case TCP_TIME_WAIT:
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		break;
	}
	return 0;
}

static int writer(struct berth_stack *st, berth_sock s, struct tcp_conn **ret)
{
	uint32_t index;
	struct tcp_conn *c;
	int r = sock_find_tcp(st, s, &index);

	if (r < 0)
		return r;
	c = tcp_at(st, index);
	r = no_stream(c);
	if (r < 0)
		return r;
	if (!may_send(c))
		return -EPIPE;
	*ret = c;
	return 0;
}

int64_t berth_sock_tx_space(struct berth_stack *st, berth_sock s, struct berth_part v[2])
{
	struct tcp_conn *c;
	uint32_t n;
	int r = writer(st, s, &c);

	v[0] = v[1] = (struct berth_part){0};
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	n = tcp_tx_room(c);
	remember_full(c);
	tcp_ring_parts(&c->tx, c->tx.used, n, v);
	return n;
}

static void commit(struct berth_stack *st, struct tcp_conn *c, uint32_t len, uint32_t flags)
{
	uint32_t end;

	if (!tcp_work_take(st, c))
		c->f |= TF_PUSH; /* it waits for one, and then all goes (tcp_work_image()) */
	c->tx.used += len;
	end = tcp_tx_end(c);
	if (flags & BERTH_MORE) {
		c->f |= TF_MORE;
	} else {
		c->f &= ~(uint32_t)TF_MORE;
		c->f |= TF_PUSH;
		if (c->w != NULL)
			c->w->snd_push = end;
	}
	if (flags & BERTH_URGENT) {
		c->f |= TF_URG_OUT;
		if (c->w != NULL)
			c->w->snd_up = end;
	}
	remember_full(c);
	sock_ready(st, tcp_index(st, c));
}

int berth_sock_tx_commit(struct berth_stack *st, berth_sock s, uint32_t len, uint32_t flags)
{
	struct tcp_conn *c;
	int r = writer(st, s, &c);

	if (r < 0)
		return r;
	if (len > tcp_tx_room(c) || flags & ~(uint32_t)(BERTH_MORE | BERTH_URGENT))
		return -EINVAL;
	if (len)
		commit(st, c, len, flags);
	return 0;
}

/* The pieces that can be read. An error that waits comes after the data that came before it. */
static int64_t reader(struct berth_stack *st, berth_sock s, struct tcp_conn **ret)
{
	uint32_t index;
	struct tcp_conn *c;
	int r = sock_find_tcp(st, s, &index);

	if (r < 0)
		return r;
	c = tcp_at(st, index);
	*ret = c;
	if (c->rx.data && c->rx.used)
		return c->rx.used;
	if (c->f & TF_FIN_RCVD)
		return 0; /* whatever came after: the error stays for who writes, or asks (as Linux) */
	r = no_stream(c);
	if (r < 0)
		return r;
	return c->s.flags & SOCK_SHUT_RD || c->state == TCP_CLOSED ? 0 : -EAGAIN;
}

int64_t berth_sock_rx_peek(struct berth_stack *st, berth_sock s, struct berth_part v[2])
{
	struct tcp_conn *c;
	int64_t n = reader(st, s, &c);

	v[0] = v[1] = (struct berth_part){0};
	if (n > 0)
		tcp_ring_parts(&c->rx, 0, (uint32_t)n, v);
	return n;
}

static void consume(struct berth_stack *st, struct tcp_conn *c, uint32_t len)
{
	tcp_ring_drop(&c->rx, len);
	if (!c->rx.used && (c->w == NULL || c->w->gaps == NIL))
		c->rx.head = 0; /* as berth_sock_send() does */
	if (c->f & TF_URG_IN && (c->w == NULL || !seq_lt(c->rcv_nxt - c->rx.used, c->w->rcv_up)))
		c->f &= ~(uint32_t)TF_URG_IN; /* read past it */
	if (c->state != TCP_CLOSED)
		tcp_window_read(st, c, len);
}

int berth_sock_rx_consume(struct berth_stack *st, berth_sock s, uint32_t len)
{
	struct tcp_conn *c;
	uint32_t index;
	int r = sock_find_tcp(st, s, &index);

	if (r < 0)
		return r;
	c = tcp_at(st, index);
	if (len > c->rx.used)
		return -EINVAL;
	if (len)
		consume(st, c, len);
	return 0;
}

static bool is_udp(struct berth_stack *st, berth_sock s, uint32_t *ret_index)
{
	uint32_t id;

	if (sock_find(st, s, &id) < 0 || !(id & SOCK_ID_UDP))
		return false;
	*ret_index = id & ~SOCK_ID_UDP;
	return true;
}

int64_t berth_sock_send(struct berth_stack *st, berth_sock s, const void *data, uint32_t len, uint32_t flags)
{
	struct tcp_conn *c;
	uint32_t room, index;
	int r;

	if (is_udp(st, s, &index))
		return udp_send(st, index, data, len);
	r = writer(st, s, &c);
	if (r < 0)
		return r;
	if (flags & ~(uint32_t)(BERTH_MORE | BERTH_URGENT))
		return -EINVAL;
	room = tcp_tx_room(c);
	if (!len)
		return 0;
	if (!room) {
		c->f |= TF_TX_FULL;
		return -EAGAIN;
	}
	/* An empty ring begins at its beginning: a dialogue of short messages stays in a few lines of the cache. Not where frames may
	 * still be looked at; and only here, because what tx_space() showed must stay where it is. */
	if (!c->tx.used && (c->w == NULL || !(c->w->tx_pins[0] | c->w->tx_pins[1])))
		c->tx.head = 0;
	if (len > room) { /* the rest will be written soon, and its flags with it */
		len = room;
		flags &= ~(uint32_t)BERTH_URGENT;
	}
	tcp_ring_write(&c->tx, c->tx.used, data, len);
	commit(st, c, len, flags);
	return len;
}

int64_t berth_sock_recv(struct berth_stack *st, berth_sock s, void *data, uint32_t len)
{
	struct berth_part v[2];
	struct tcp_conn *c;
	uint32_t index, at = 0;
	unsigned n_parts;
	int64_t n;

	if (is_udp(st, s, &index))
		return udp_recv(st, index, data, len);
	n = reader(st, s, &c);
	if (n <= 0)
		return n;
	if (n < len)
		len = (uint32_t)n;
	n_parts = tcp_ring_parts(&c->rx, 0, len, v);
	for (unsigned i = 0; i < n_parts; i++) {
		memcpy((uint8_t *)data + at, v[i].data, v[i].len);
		at += v[i].len;
	}
	if (len)
		consume(st, c, len);
	return len;
}
