/* fuzz/pair_ends.c: the programs of fuzz_stack_pair: what they write is checked where it is read.
 *
 * Octet i that a side writes into a stream is a function of the stream's name (the client's port, and who called), the side and i. A name may
 * be used again, by another connection or one that came about twice: so what counts is what was ever written there.
 */
#include "pair.h"

#include <errno.h>
#include <string.h>

static uint8_t scratch[2 * RING];

/* --- streams --- */

static uint8_t octet_at(uint8_t opener, uint16_t port, unsigned writer, uint64_t at)
{
	uint32_t z = (uint32_t)at * UINT32_C(2654435761) + port * UINT32_C(40503) + opener * 977u + writer * 7919u;

	return (uint8_t)(z >> 24 ^ z >> 9);
}

static struct flow *flow_of(uint8_t opener, uint16_t port)
{
	for (unsigned i = 0; i < w.n_flows; i++)
		if (w.flows[i].opener == opener && w.flows[i].port == port)
			return &w.flows[i];
	if (w.n_flows == N_FLOWS)
		return NULL;
	w.flows[w.n_flows] = (struct flow){.port = port, .opener = opener};
	return &w.flows[w.n_flows++];
}

static struct flow *flow_of_end(const struct end *e)
{
	struct flow *f = flow_of(e->opener, e->port);

	ASSERT(f != NULL); /* it was there when the end was made */
	return f;
}

static void wrote(const struct side *s, struct end *e, uint64_t n)
{
	struct flow *f = flow_of_end(e);

	e->sent += n;
	if (f->written[number(s)] < e->sent)
		f->written[number(s)] = e->sent;
}

static void got(const struct side *s, struct end *e, const uint8_t *data, uint64_t n)
{
	const struct flow *f = flow_of_end(e);
	unsigned writer = !number(s);

	if (!w.is_forged) {
		for (uint64_t i = 0; i < n; i++)
			ASSERT(data[i] == octet_at(e->opener, e->port, writer, e->received + i));
		ASSERT(e->received + n <= f->written[writer]);
	}
	e->received += n;
}

/* Was this stream's name used for one connection only, which nobody cut off? */
static bool is_plain(const struct flow *f)
{
	return !f->lost && f->n_opened == 1 && f->n_accepted <= 1 && f->opener < 2;
}

/* A cookie is good for two minutes: a connection that is gone may come about once more, with the same numbers, as on Linux; and a segment that
 * overtakes the one with the cookie is reset (docs/stack.md, "Known gaps"). */
bool pair_used_cookies(void)
{
	return w.sides[0].st->n.tcp_cookies_sent + w.sides[1].st->n.tcp_cookies_sent > 0;
}

/* --- ends --- */

static struct end *free_end(struct side *s)
{
	for (unsigned i = 0; i < N_ENDS; i++)
		if (!s->ends[i].used)
			return &s->ends[i];
	return NULL;
}

static struct end *some_end(struct side *s)
{
	unsigned n = 0, which = cursor_get_u8(&w.in);

	for (unsigned i = 0; i < N_ENDS; i++)
		n += s->ends[i].used;
	if (n == 0)
		return NULL;
	which %= n;
	for (unsigned i = 0; i < N_ENDS; i++)
		if (s->ends[i].used && which-- == 0)
			return &s->ends[i];
	return NULL;
}

static struct tcp_conn *conn_of(const struct side *s, const struct end *e)
{
	uint32_t i;

	return sock_find_tcp(s->st, e->s, &i) == 0 ? tcp_at(s->st, i) : NULL;
}

/* The other end of e, where it is one of the other program's, and connected to it. */
static struct end *peer_of(struct side *s, const struct end *e)
{
	const struct tcp_conn *c = conn_of(s, e);
	struct side *o = other(s);

	for (unsigned i = 0; c != NULL && i < N_ENDS; i++) {
		const struct tcp_conn *d = o->ends[i].used ? conn_of(o, &o->ends[i]) : NULL;

		if (d != NULL && tcp_state_in(d, TCP_SYNCHRONIZED) && c->iss == d->irs && c->irs == d->iss)
			return &o->ends[i];
	}
	return NULL;
}

/* An error that the program saw. A reset or a refusal by a peer that is well: out of nowhere. */
static void failed(struct side *s, struct end *e, int64_t err)
{
	struct flow *f = flow_of_end(e);

	ASSERT(err < 0 && err > -4096);
	f->lost = true;
	e->failed = true;
	if (w.is_forged)
		return;
	switch (-err) {
	case ECONNRESET:
		/* Data for who shut down reading and writing resets both, as on Linux, the reader first. */
		ASSERT(pair_used_cookies() || e->shut_read || peer_of(s, e) == NULL);
		break;
	case ECONNREFUSED:
		ASSERT(e->opener == 2 || w.is_ended);
		break;
	case EPIPE:
	case ENOTCONN:
	case ETIMEDOUT:
	case EHOSTUNREACH:
		break;
	default:
		ASSERT(!"an error that a bad link does not explain");
	}
}

static void look_for_error(struct side *s, struct end *e)
{
	uint64_t err = 0;

	ASSERT(berth_sock_get(s->st, e->s, BERTH_SO_ERROR, &err) == 0);
	if (err != 0)
		failed(s, e, -(int64_t)err);
}

static void gone(struct end *e)
{
	e->used = false;
}

static void leave(struct side *s, struct end *e, bool reset)
{
	const struct tcp_conn *c = conn_of(s, e);

	/* a reset: what is on its way may be lost with it */
	if (reset || (c != NULL && (c->rx.used > 0 || !tcp_state_in(c, TCP_SYNCHRONIZED))))
		flow_of_end(e)->lost = true;
	ASSERT((reset ? berth_sock_abort(s->st, e->s) : berth_sock_close(s->st, e->s)) == 0);
	gone(e);
}

static bool is_over(const struct side *s, const struct end *e)
{
	const struct tcp_conn *c = conn_of(s, e);

	return c == NULL || c->state == TCP_CLOSED;
}

/* --- what the programs do --- */

static void step_connect(struct side *s)
{
	uint8_t how = cursor_get_u8(&w.in);
	struct berth_addr to = addr_public(&other(s)->addr, PORT_LISTEN), from = addr_public(&s->addr, PORT_CROSS),
			  name;
	struct end *e = free_end(s);
	struct flow *f;
	int r;

	if (e == NULL || w.n_flows == N_FLOWS ||
	    berth_sock_open(s->st, BERTH_TCP, w.is_v4 ? BERTH_IPV4 : BERTH_IPV6, 0, &e->s) < 0)
		return;
	if (how & 1)
		(void)berth_sock_set(s->st, e->s, BERTH_CONGESTION, how >> 1 & 1);
	if (how & 4)
		(void)berth_sock_set(s->st, e->s, BERTH_ECN, 1);
	if (how & 8)
		(void)berth_sock_set(s->st, e->s, BERTH_FASTOPEN, 1);
	if (how & 16)
		(void)berth_sock_set(s->st, e->s, (enum berth_option)(BERTH_TIMESTAMPS + (how >> 5) % 3), 0);
	if (how >= 0xf0) {
		to.port = PORT_CROSS;
		if (berth_sock_bind(s->st, e->s, &from) < 0)
			to.port = PORT_LISTEN;
	}
	r = berth_sock_connect(s->st, e->s, &to);
	if (r != -EINPROGRESS) {
		ASSERT(r < 0 && berth_sock_close(s->st, e->s) == 0);
		return;
	}
	ASSERT(berth_sock_names(s->st, e->s, &name, NULL) == 0 && name.port != 0);
	*e = (struct end){.used = true,
			  .s = e->s,
			  .port = name.port,
			  .opener = to.port == PORT_CROSS ? 2 : (uint8_t)number(s)};
	f = flow_of_end(e);
	f->n_opened += f->n_opened < 255;
}

static bool accept_one(struct side *s)
{
	struct end *e = free_end(s);
	struct berth_addr peer;
	struct flow *f;
	berth_sock child;

	if (berth_sock_accept(s->st, s->listener, 0, &child, &peer) < 0)
		return false;
	f = flow_of((uint8_t)!number(s), peer.port);
	if (f != NULL)
		f->n_accepted += f->n_accepted < 255;
	if (e == NULL || f == NULL) {
		if (f != NULL)
			f->lost = true;
		ASSERT(berth_sock_abort(s->st, child) == 0);
		return true;
	}
	ASSERT(w.is_forged || f->n_opened > 0);
	*e = (struct end){.used = true, .s = child, .port = peer.port, .opener = (uint8_t)!number(s)};
	return true;
}

static void send_some(struct side *s, struct end *e, uint32_t n, uint32_t flags)
{
	int64_t r;

	n = n < sizeof(scratch) ? n : sizeof(scratch);
	for (uint32_t i = 0; i < n; i++)
		scratch[i] = octet_at(e->opener, e->port, number(s), e->sent + i);
	r = berth_sock_send(s->st, e->s, scratch, n, flags);
	ASSERT(r <= n);
	if (r > 0)
		wrote(s, e, (uint64_t)r);
	else if (r < 0 && r != -EAGAIN)
		failed(s, e, r);
}

/* By hand: room, then what is there is committed. */
static void send_in_place(struct side *s, struct end *e, uint32_t n)
{
	struct berth_part v[2] = {0};
	int64_t r = berth_sock_tx_space(s->st, e->s, v);
	uint32_t at = 0;

	if (r < 0 && r != -EAGAIN)
		failed(s, e, r);
	if (r <= 0)
		return;
	ASSERT(v[0].len + v[1].len == r);
	n = n < r ? n : (uint32_t)r;
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t k = 0; k < v[i].len && at < n; k++, at++)
			((uint8_t *)(uintptr_t)v[i].data)[k] = octet_at(e->opener, e->port, number(s), e->sent + at);
	if (berth_sock_tx_commit(s->st, e->s, n, 0) == 0)
		wrote(s, e, n);
}

static void stream_ended(struct side *s, struct end *e)
{
	const struct flow *f = flow_of_end(e);

	if (!w.is_forged && !e->shut_read && !e->failed && !is_over(s, e) && is_plain(f))
		ASSERT(e->received == f->written[!number(s)]);
	e->ended = true;
}

static void receive(struct side *s, struct end *e, uint32_t n)
{
	int64_t r;

	n = n < sizeof(scratch) ? n : sizeof(scratch);
	if (n == 0)
		return;
	r = berth_sock_recv(s->st, e->s, scratch, n);
	ASSERT(r <= n);
	if (r > 0)
		got(s, e, scratch, (uint64_t)r);
	else if (r == 0)
		stream_ended(s, e);
	else if (r != -EAGAIN)
		failed(s, e, r);
}

static void receive_in_place(struct side *s, struct end *e, uint32_t n)
{
	struct berth_part v[2] = {0};
	int64_t r = berth_sock_rx_peek(s->st, e->s, v);

	if (r <= 0)
		return;
	ASSERT(v[0].len + v[1].len == r);
	n = n < v[0].len ? n : v[0].len;
	got(s, e, v[0].data, n);
	ASSERT(berth_sock_rx_consume(s->st, e->s, n) == 0);
}

static void read_all(struct side *s, struct end *e)
{
	uint64_t before;

	do {
		before = e->received;
		receive(s, e, sizeof(scratch));
	} while (e->received > before);
}

void pair_set(struct side *s)
{
	enum berth_option o = (enum berth_option)(cursor_get_u8(&w.in) % BERTH_NOPTIONS);
	uint64_t value = cursor_get_be16(&w.in);
	const struct end *e = some_end(s);
	berth_sock to = e == NULL ? s->listener : e->s;

	if (o == BERTH_PACING)
		value = value > 1 ? value * 1000 + 1000000
				  : value;  /* a few octets a second: as many deadlines as octets */
	if (o == BERTH_RCVBUF && e == NULL) /* takes back what a SYN-ACK granted: docs/stack.md, "Known gaps" */
		return;
	if (o != BERTH_SO_ERROR && o != BERTH_BIND_IFACE)
		(void)berth_sock_set(s->st, to, o, value);
}

/* The program replaces itself by one that is the same. */
static void save_and_restore(struct side *s, struct end *e)
{
	static uint8_t record[4 * RING];
	int64_t n = berth_sock_save(s->st, e->s, record, sizeof(record));
	int r;

	if (n < 0)
		return;
	ASSERT(n <= (int64_t)sizeof(record) && berth_sock_poll(s->st, e->s) == -EBADF);
	r = berth_sock_restore(s->st, record, (uint32_t)n, 0, &e->s);
	if (r == 0)
		return;
	ASSERT(r == -ENOBUFS || w.is_forged);
	flow_of_end(e)->lost = true;
	gone(e);
}

void pair_udp_send(struct side *s)
{
	uint8_t how = cursor_get_u8(&w.in);
	uint32_t len = cursor_get_be16(&w.in) % 3500, each = how & 1 ? len : 1 + cursor_get_u8(&w.in) * 4u;
	struct berth_dgram d = {.peer = addr_public(&other(s)->addr, how & 2 ? PORT_UDP : PORT_UDP + 1),
				.data = scratch,
				.len = len,
				.gso_size = (uint16_t)(each < len ? each : 0),
				.iface = BERTH_IFACE_ANY};

	for (uint32_t at = 0; at < len; at++) {
		uint32_t from = at / each * each, n = len - from < each ? len - from : each;

		scratch[at] = (uint8_t)(n + (at - from) * 7);
	}
	(void)berth_sock_udp_send(s->st, s->udp, &d, 1);
}

void pair_udp_receive(struct side *s)
{
	struct berth_dgram d = {.data = scratch, .len = sizeof(scratch)};
	int r = berth_sock_udp_recv(s->st, s->udp, &d, 1);

	ASSERT(r <= 1);
	for (uint32_t i = 0; r == 1 && !w.is_forged && i < d.len; i++)
		ASSERT(scratch[i] == (uint8_t)(d.len + i * 7));
}

void pair_fetch_events(struct side *s)
{
	struct berth_event ev[8];
	unsigned rounds = 0;

	while (berth_stack_events(s->st, ev, COUNT_OF(ev)) == COUNT_OF(ev))
		ASSERT(++rounds < 2 * N_CONNS);
}

void pair_program(struct side *s, uint8_t what, uint8_t how)
{
	static const char *const names[] = {"connect", "accept",   "send",    "recv", "shutdown",
					    "close",   "tx_space", "rx_peek", "save", "SO_ERROR"};
	struct end *e;

	pair_say(s, names[what], NULL);
	if (what == 0) {
		step_connect(s);
		return;
	}
	if (what == 1) {
		accept_one(s);
		return;
	}
	e = some_end(s);
	if (e == NULL)
		return;
	switch (what) {
	case 2:
		send_some(s, e, cursor_get_be16(&w.in) % 6000, how);
		break;
	case 3:
		receive(s, e, how ? sizeof(scratch) : cursor_get_u8(&w.in));
		break;
	case 4:
		e->shut_read |= (how & BERTH_SHUT_RD) != 0;
		(void)!berth_sock_shutdown(s->st, e->s, how ? how : BERTH_SHUT_WR);
		break;
	case 5:
		leave(s, e, how == 3);
		break;
	case 6:
		send_in_place(s, e, cursor_get_be16(&w.in) % RING);
		break;
	case 7:
		receive_in_place(s, e, cursor_get_u8(&w.in) * 16u);
		break;
	case 8:
		save_and_restore(s, e);
		break;
	default:
		look_for_error(s, e);
	}
}

/* --- the end --- */

/* Is everything there that was written, or did somebody hear that it is not? */
static void arrived(struct side *s, struct end *e)
{
	const struct tcp_conn *c = conn_of(s, e);
	const struct end *p = peer_of(s, e);

	look_for_error(s, e);
	if (c == NULL || c->state == TCP_CLOSED || e->failed)
		return;
	ASSERT(c->tx.used == 0 && (c->w == NULL || c->w->max == c->una));
	if (p != NULL && !p->shut_read)
		ASSERT(p->received == e->sent);
}

void pair_all_arrived(struct side *s)
{
	for (unsigned i = 0; i < N_ENDS; i++)
		if (s->ends[i].used)
			arrived(s, &s->ends[i]);
}

void pair_read_all(struct side *s)
{
	while (accept_one(s))
		;
	for (unsigned i = 0; i < N_ENDS; i++)
		if (s->ends[i].used)
			read_all(s, &s->ends[i]);
}

void pair_close_all(struct side *s, uint8_t how)
{
	ASSERT(berth_sock_close(s->st, s->listener) == 0 && berth_sock_close(s->st, s->udp) == 0);
	for (unsigned i = 0; i < N_ENDS; i++)
		if (s->ends[i].used)
			leave(s, &s->ends[i], how >> i & 1);
}
