/* tests/sim/app.c: programs: both ends of a flow.
 *
 * A flow is a connection with a plan: how many octets each end sends, and its manners. Octet i that an end sends is a function of the
 * flow's key and i, so what arrives is checked where it arrives, and no program needs a buffer. An end acts when an event says that
 * something changed, or when its own pause is over; it then does all it can (end_run()). So an event that the stack forgets is a
 * stall, and the oracle says what poll() would have told.
 *
 *	client: connect -> write ... -> shutdown -> read ... until end of stream -> close
 *	server: accept  -> the same, or echo
 */
#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/tcp_flight.h"

#define CHUNK 4096u
#define BROKEN_AT 3000	   /* --break: this octet is taken for wrong wherever it comes */
#define STEPS_AT_ONCE 4096 /* of one end_run(): then others have a turn */

uint8_t app_octet(uint64_t key, uint64_t at)
{
	uint64_t z = key + (at / 8) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint8_t)(z >> (8 * (at % 8)));
}

static uint64_t key_of(const struct sim_end *e)
{
	/* an echo sends what the other end sent */
	bool is_server = e == &e->flow->end[SIM_SERVER];

	return e->flow->key + (is_server && !e->manners.echo ? 1 : 0);
}

static struct sim_end *other(struct sim_end *e)
{
	return e == &e->flow->end[SIM_CLIENT] ? &e->flow->end[SIM_SERVER] : &e->flow->end[SIM_CLIENT];
}

static const char *side(const struct sim_end *e)
{
	return e == &e->flow->end[SIM_CLIENT] ? "client" : "server";
}

struct sim_flow *sim_flow(struct sim *s, struct sim_host *client, struct sim_host *server, struct sim_wire *w,
			  int family, uint16_t port)
{
	struct sim_flow *f = calloc(1, sizeof(*f));
	struct rng r;
	char name[32];

	ASSERT(f);
	if (s->n_flows == s->room_flows) {
		s->room_flows = s->room_flows ? 2 * s->room_flows : 16;
		s->flows = realloc(s->flows, s->room_flows * sizeof(struct sim_flow *));
		ASSERT(s->flows);
	}
	f->s = s;
	f->index = s->n_flows;
	s->flows[s->n_flows++] = f;
	snprintf(name, sizeof(name), "flow.%u", f->index);
	rng_init_stream(&r, s->seed, name);
	f->key = rng_u64(&r);
	f->family = family;
	f->wire = w;
	f->port = port;
	f->start_ns = s->now_ns;
	f->end[SIM_CLIENT].host = client;
	f->end[SIM_SERVER].host = server;
	for (int i = 0; i < 2; i++) {
		f->end[i].flow = f;
		f->end[i].wake_ns = BERTH_NEVER;
		f->end[i].manners.abort_at = BERTH_NEVER;
	}
	f->end[SIM_CLIENT].wake_ns = f->start_ns;
	return f;
}

bool sim_flow_done(const struct sim_flow *f)
{
	const struct sim_end *server = &f->end[SIM_SERVER];

	/* a server that may never hear of the client is not waited for */
	return f->end[SIM_CLIENT].is_done && (f->no_accept || server->is_done || (f->may_fail && !server->is_open));
}

bool sim_idle(struct sim *s)
{
	for (unsigned i = 0; i < s->n_flows; i++)
		if (!sim_flow_done(s->flows[i]))
			return false;
	return true;
}

/* Which connection, and since when it has its working block: what came while it had none was dropped. */
static uint64_t block_of(const struct berth_stack *st, uint32_t conn_index, const struct tcp_work *w)
{
	uint64_t conn = (uint64_t)st->conns.generation[conn_index] << 32 | conn_index;
	uint64_t work =
		(uint64_t)((const uint8_t *)w - (const uint8_t *)slab_at(&st->tcp->work, 0)) / st->tcp->work.item_bytes;

	return conn * UINT64_C(0x9e3779b97f4a7c15) + ((uint64_t)st->tcp->work.generation[work] << 16 | work);
}

struct sim_look sim_look_at(const struct berth_stack *st, uint32_t conn_index)
{
	const struct tcp_conn *c = slab_at(&st->conns, conn_index);
	struct sim_look r = {.state = c->state,
			     .is_conn = c->state && c->state != TCP_LISTEN && c->state != TCP_CLOSED};

	r.is_conn = r.is_conn && c->w; /* an idle one has nothing to say */
	if (!r.is_conn)
		return r;
	r.block = block_of(st, conn_index, c->w);
	r.mss = c->mss;
	r.cwnd = c->cwnd;
	r.pipe = tcp_flight_pipe(c);
	r.ca_state = c->w->ca_state;
	r.iss = c->iss;
	r.una = c->una;
	r.nxt = tcp_nxt(c);
	r.rcv_nxt = c->rcv_nxt;
	r.rcv_acked = c->w->rcv_acked;
	r.is_receiving = c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2;
	r.waits_for_neigh = c->s.flags & SOCK_WAITING;
	r.rto_ns = rtt_timeout_ns(c);
	for (unsigned i = 0; i < c->w->n_probes && r.rto_ns < TCP_RTO_MAX_NS; i++)
		r.rto_ns *= 2; /* the persist timer's doublings */
	r.n_tried = (uint64_t)c->rexmits + c->w->n_probes;
	r.local = c->w->local;
	r.peer = c->w->peer;
	r.local_port = c->w->local_port;
	r.peer_port = c->w->peer_port;
	return r;
}

struct sim_look sim_look(const struct sim_end *e)
{
	uint32_t i;

	if (!e->is_open || e->is_away || sock_find_tcp(e->host->st, e->sock, &i) < 0)
		return (struct sim_look){0};
	return sim_look_at(e->host->st, i);
}

/* --- how an end ends --- */

static void end_done(struct sim_end *e, int err)
{
	struct sim *s = e->flow->s;

	ASSERT(!e->is_done);
	e->is_open = false;
	e->is_done = true;
	e->err = err;
	e->done_ns = s->now_ns;
	e->wake_ns = BERTH_NEVER;
	sim_note(s, "flow %u %s: %s; sent %" PRIu64 ", received %" PRIu64, e->flow->index, side(e),
		 err ? strerror(-err) : "done", e->sent, e->received);
	/* What the client never got to say, the server never hears of. */
	if (err && e == &e->flow->end[SIM_CLIENT] && !other(e)->is_open && !other(e)->is_done && !e->is_connected) {
		other(e)->is_done = true;
		other(e)->err = err;
		other(e)->wake_ns = BERTH_NEVER;
	}
}

static void close_it(struct sim_end *e, int err, bool reset)
{
	int r = reset ? berth_sock_abort(e->host->st, e->sock) : berth_sock_close(e->host->st, e->sock);

	if (r < 0)
		sim_fail(e->flow->s, "close", "flow %u %s: %s", e->flow->index, side(e), strerror(-r));
	e->host->n_closing++;
	end_done(e, err);
}

static bool is_expected_error(int err)
{
	switch (-err) {
	case ECONNRESET:
	case ECONNREFUSED:
	case ECONNABORTED:
	case ETIMEDOUT:
	case EPIPE:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENOBUFS:
		return true;
	default:
		return false;
	}
}

static void failed(struct sim_end *e, int err)
{
	struct sim_flow *f = e->flow;

	if (!is_expected_error(err) || (!f->may_fail && !(f->may_not_connect && !e->is_connected)))
		sim_fail(f->s, "error", "flow %u %s: %s, after %" PRIu64 " sent, %" PRIu64 " received", f->index,
			 side(e), strerror(-err), e->sent, e->received);
	close_it(e, err, false);
}

/* --- octets --- */

static void check_octets(struct sim_end *e, const uint8_t *p, uint32_t len)
{
	uint64_t key = key_of(other(e));
	struct sim_flow *f = e->flow;

	for (uint32_t i = 0; i < len; i++)
		if (p[i] != (app_octet(key, e->received + i) ^ (f->s->is_broken && e->received + i == BROKEN_AT)))
			sim_fail(f->s, "every octet once and in order", "flow %u %s: octet %" PRIu64 " is wrong",
				 f->index, side(e), e->received + i);
	if (e->received + len > other(e)->sent && !f->no_accept)
		sim_fail(f->s, "every octet once and in order", "flow %u %s: %" PRIu64 " octets, %" PRIu64 " were sent",
			 f->index, side(e), e->received + len, other(e)->sent);
	e->received += len;
}

static void fill(struct sim_end *e, uint8_t *p, uint32_t len)
{
	uint64_t key = key_of(e);

	if (e->manners.echo) {
		ASSERT(len <= e->echo_used);
		memcpy(p, e->echo, len);
		memmove(e->echo, e->echo + len, e->echo_used - len);
		e->echo_used -= len;
		return;
	}
	for (uint32_t i = 0; i < len; i++)
		p[i] = app_octet(key, e->sent + i);
}

/* What one write may take. */
static uint32_t word_left(const struct sim_end *e)
{
	const struct sim_manners *m = &e->manners;

	return m->whole_words ? m->write_max - (uint32_t)(e->sent % m->write_max) : m->write_max;
}

/* How much is to be sent now. */
static uint32_t wants_to_send(const struct sim_end *e, uint32_t max)
{
	uint64_t n = e->manners.echo ? e->echo_used : e->manners.bytes - e->sent;

	if (e->manners.abort_at != BERTH_NEVER && e->sent + n > e->manners.abort_at)
		n = e->manners.abort_at > e->sent ? e->manners.abort_at - e->sent : 0;
	if (e->manners.write_max && n > word_left(e))
		n = word_left(e);
	return n > max ? max : (uint32_t)n;
}

/* Return: octets, 0 for "no room", or an error. */
static int64_t send_some(struct sim_end *e)
{
	struct berth_stack *st = e->host->st;
	struct berth_part v[2];
	uint8_t chunk[CHUNK];
	uint32_t len = wants_to_send(e, CHUNK), done = 0;
	int64_t n;

	if (e->manners.zero_copy) {
		n = berth_sock_tx_space(st, e->sock, v);
		if (n <= 0)
			return n == -EAGAIN ? 0 : n;
		if (len > n)
			len = (uint32_t)n;
		for (int i = 0; i < 2 && done < len; i++) {
			uint32_t here = v[i].len < len - done ? v[i].len : len - done;

			fill(e, (uint8_t *)(uintptr_t)v[i].data, here);
			e->sent += here;
			done += here;
		}
		sim_expect_u64(e->flow->s, "tx_space() gives room for what it says", done, len);
		n = berth_sock_tx_commit(st, e->sock, len, 0);
		if (n < 0)
			e->sent -= len;
		return n < 0 ? n : len;
	}
	if (e->manners.echo) {
		memcpy(chunk, e->echo, len);
	} else {
		fill(e, chunk, len);
	}
	n = berth_sock_send(st, e->sock, chunk, len, 0);
	if (n == -EAGAIN)
		return 0;
	if (n > (int64_t)len)
		sim_fail(e->flow->s, "send", "took %" PRId64 " of %u", n, len);
	if (n > 0 && e->manners.echo)
		fill(e, chunk, (uint32_t)n);
	if (n > 0)
		e->sent += (uint64_t)n;
	return n;
}

/* Return: octets; 0: end of stream; -EAGAIN; an error. */
static int64_t receive_some(struct sim_end *e)
{
	uint32_t max = e->manners.read_max ? e->manners.read_max : CHUNK;
	struct berth_part v[2];
	uint8_t chunk[CHUNK];
	const uint8_t *p = chunk;
	int64_t n;

	if (e->manners.echo && max > sizeof(e->echo) - e->echo_used)
		max = (uint32_t)sizeof(e->echo) - e->echo_used;
	if (max == 0)
		return -EAGAIN;
	if (max > CHUNK)
		max = CHUNK;
	if (e->manners.zero_copy) {
		int r;

		n = berth_sock_rx_peek(e->host->st, e->sock, v);
		if (n <= 0)
			return n;
		sim_expect_u64(e->flow->s, "rx_peek() shows what it says", (uint64_t)n, (uint64_t)v[0].len + v[1].len);
		if (v[0].len < max)
			max = v[0].len;
		p = v[0].data;
		n = max;
		if (e->manners.echo) {
			memcpy(e->echo + e->echo_used, p, max);
			e->echo_used += max;
		}
		check_octets(e, p, max);
		r = berth_sock_rx_consume(e->host->st, e->sock, max);
		return r < 0 ? r : n;
	}
	n = berth_sock_recv(e->host->st, e->sock, chunk, max);
	if (n <= 0)
		return n;
	if (n > (int64_t)max)
		sim_fail(e->flow->s, "recv", "gave %" PRId64 " of %u", n, max);
	if (e->manners.echo) {
		memcpy(e->echo + e->echo_used, chunk, (size_t)n);
		e->echo_used += (uint32_t)n;
	}
	check_octets(e, chunk, (uint32_t)n);
	return n;
}

/* --- what an end does --- */

static void wake_at(struct sim_end *e, uint64_t at_ns)
{
	if (at_ns < e->wake_ns)
		e->wake_ns = at_ns;
}

static bool has_sent_all(const struct sim_end *e)
{
	if (e->manners.echo)
		return e->got_eof && e->echo_used == 0;
	return e->sent == e->manners.bytes;
}

/* shutdown() of a connection that was reset meanwhile says ENOTCONN, as on Linux; the error itself is in SO_ERROR. */
static int why_not_connected(struct sim_end *e)
{
	uint64_t err = 0;

	if (berth_sock_get(e->host->st, e->sock, BERTH_SO_ERROR, &err) < 0 || err == 0)
		return -ENOTCONN;
	return -(int)err;
}

/* One write if it is time. Return: 1, did something; 0; an error. */
static int write_step(struct sim_end *e)
{
	uint64_t now = e->flow->s->now_ns;
	int64_t n;

	if (e->is_shut)
		return 0;
	if (wants_to_send(e, 1) > 0) {
		if (now < e->write_at_ns) {
			wake_at(e, e->write_at_ns);
			return 0;
		}
		n = send_some(e);
		if (n <= 0)
			return (int)n;
		if (e->manners.write_pause_ns && (!e->manners.whole_words || e->sent % e->manners.write_max == 0))
			e->write_at_ns = now + e->manners.write_pause_ns;
		return 1;
	}
	if (!has_sent_all(e) || (e->manners.waits_for_peer && !e->got_eof))
		return 0;
	n = berth_sock_shutdown(e->host->st, e->sock, BERTH_SHUT_WR);
	if (n < 0)
		return n == -ENOTCONN ? why_not_connected(e) : (int)n;
	e->is_shut = true;
	return 1;
}

/* recv() said 0, and no error: a promise that this is all that the other program said, on flows that may fail, too. A program that was
 * killed, gave up after an error or reset its connection never ended its stream; its peer may not take that for an end. */
static void check_end_of_stream(struct sim_end *e)
{
	const struct sim_end *o = other(e);

	if (e->flow->no_accept)
		return;
	if (!o->is_shut)
		sim_fail(e->flow->s, "a clean end of stream means all of it",
			 "flow %u %s: after %" PRIu64 " octets, and the other program did not end its stream",
			 e->flow->index, side(e), e->received);
	if (e->received != o->sent)
		sim_fail(e->flow->s, "a clean end of stream means all of it",
			 "flow %u %s: after %" PRIu64 " octets of %" PRIu64, e->flow->index, side(e), e->received,
			 o->sent);
}

static int read_step(struct sim_end *e)
{
	uint64_t now = e->flow->s->now_ns;
	int64_t n;

	if (e->got_eof || e->manners.never_reads)
		return 0;
	if (e->read_at_ns < e->begun_ns + e->manners.read_after_ns)
		e->read_at_ns = e->begun_ns + e->manners.read_after_ns;
	if (now < e->read_at_ns) {
		wake_at(e, e->read_at_ns);
		return 0;
	}
	n = receive_some(e);
	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return (int)n;
	if (n == 0) {
		check_end_of_stream(e);
		e->got_eof = true;
	} else if (e->manners.read_pause_ns)
		e->read_at_ns = now + e->manners.read_pause_ns;
	return 1;
}

/* Everything that can be done now. */
static void end_run(struct sim_end *e)
{
	int steps = 0, w, r;

	e->wake_ns = BERTH_NEVER;
	while (e->is_open && e->is_connected) {
		if (e->manners.abort_at != BERTH_NEVER && e->sent >= e->manners.abort_at) {
			e->has_left = true;
			close_it(e, 0, true);
			return;
		}
		w = write_step(e);
		if (w < 0) {
			failed(e, w);
			return;
		}
		r = read_step(e);
		if (r < 0) {
			failed(e, r);
			return;
		}
		if (e->is_shut && (e->got_eof || e->manners.never_reads)) {
			e->has_left = !e->got_eof;
			close_it(e, 0, false);
			return;
		}
		if (!w && !r)
			return;
		if (++steps >= STEPS_AT_ONCE) {
			wake_at(e, e->flow->s->now_ns);
			return;
		}
	}
}

static void set(struct sim_end *e, enum berth_option o, uint64_t value)
{
	int r = berth_sock_set(e->host->st, e->sock, o, value);

	if (r < 0)
		sim_fail(e->flow->s, "setup", "flow %u %s: option %d: %s", e->flow->index, side(e), (int)o,
			 strerror(-r));
}

static void apply_options(struct sim_end *e)
{
	uint32_t o = e->flow->options;

	set(e, BERTH_CONGESTION, o & SIM_OPT_CUBIC ? BERTH_CUBIC : BERTH_NEWRENO);
	if (o & SIM_OPT_PACING)
		set(e, BERTH_PACING, 1);
	if (o & SIM_OPT_NODELAY)
		set(e, BERTH_NODELAY, 1);
	if (o & SIM_OPT_QUICKACK)
		set(e, BERTH_QUICKACK, 1);
	if (o & SIM_OPT_LOWAT)
		set(e, BERTH_NOTSENT_LOWAT, 2000);
	if (o & SIM_OPT_BUFS) {
		set(e, BERTH_RCVBUF, 5000 + 100 * e->flow->index);
		set(e, BERTH_SNDBUF, 6000);
	}
	if (o & SIM_OPT_CORK && !e->manners.echo && !other(e)->manners.echo && !other(e)->manners.waits_for_peer)
		set(e, BERTH_CORK, 1);
	if (o & SIM_OPT_FASTOPEN && e == &e->flow->end[SIM_CLIENT])
		set(e, BERTH_FASTOPEN, 1);
	if (o & SIM_OPT_ATTACH) {
		uint8_t *rings = malloc(8192 + 16384);
		int r;

		ASSERT(rings);
		e->flow->s->windows_shrink = true; /* what attach() may do to a window that the pool's ring promised */
		r = berth_sock_attach(e->host->st, e->sock, rings, 8192, rings + 8192, 16384);
		/* an accepted socket may have received more than fits already */
		if (r < 0 && r != -ENOBUFS && r != -EISCONN)
			sim_fail(e->flow->s, "attach", "flow %u %s: %s", e->flow->index, side(e), strerror(-r));
	}
	if (e->manners.keepalive) {
		set(e, BERTH_KEEPALIVE, 1);
		set(e, BERTH_KEEPIDLE_S, e->manners.keepalive_s ? e->manners.keepalive_s : 10);
		set(e, BERTH_KEEPINTVL_S, e->manners.keepalive_s ? 75 : 5);
		set(e, BERTH_KEEPCNT, e->manners.keepalive_s ? 9 : 5);
	}
}

void app_start(struct sim_flow *f)
{
	struct sim_end *e = &f->end[SIM_CLIENT];
	struct berth_addr peer = sim_addr(f->end[SIM_SERVER].host, f->wire, f->family, f->port), local;
	int r;

	e->wake_ns = BERTH_NEVER;
	e->begun_ns = f->s->now_ns;
	if (!e->host->st) {
		end_done(e, -ENETUNREACH);
		return;
	}
	/* the word's upper half says that it is a flow's client */
	r = berth_sock_open(e->host->st, BERTH_TCP, f->family == 4 ? BERTH_IPV4 : BERTH_IPV6, f->index * UINT64_C(2),
			    &e->sock);
	if (r < 0) {
		if (r != -ENOBUFS || !f->may_fail)
			sim_fail(f->s, "setup", "flow %u: open: %s", f->index, strerror(-r));
		end_done(e, r);
		return;
	}
	e->boot = e->host->n_boots;
	e->is_open = true;
	apply_options(e);
	if (f->options & SIM_OPT_ECN)
		set(e, BERTH_ECN, 1);
	if (f->options & SIM_OPT_MAXSEG)
		set(e, BERTH_MAXSEG, 536);
	if (f->options & SIM_OPT_NO_TS)
		set(e, BERTH_TIMESTAMPS, 0);
	if (f->options & SIM_OPT_NO_SACK)
		set(e, BERTH_SACK, 0);
	if (f->options & SIM_OPT_NO_WSCALE)
		set(e, BERTH_WINDOW_SCALING, 0);
	r = 0;
	if (f->bind_port) {
		const struct berth_addr any = {.port = f->bind_port};

		r = berth_sock_bind(e->host->st, e->sock, &any);
	}
	if (r == 0)
		r = berth_sock_connect(e->host->st, e->sock, &peer);
	if (r == -EADDRNOTAVAIL && f->waits_for_port) {
		if (berth_sock_close(e->host->st, e->sock) < 0)
			sim_fail(f->s, "close", "flow %u: one that has no port", f->index);
		e->host->n_closing++;
		e->is_open = false;
		e->wake_ns = f->s->now_ns + SIM_S / 2;
		return;
	}
	if (r != -EINPROGRESS) {
		if (!(f->may_fail && is_expected_error(r)) && !(f->may_not_connect && r == -ENOBUFS))
			sim_fail(f->s, "connect", "flow %u: %s", f->index, strerror(-r));
		close_it(e, r, false);
		return;
	}
	r = berth_sock_names(e->host->st, e->sock, &local, NULL);
	if (r < 0 || local.port == 0)
		sim_fail(f->s, "names", "flow %u: %s, port %u", f->index, strerror(-r), local.port);
	f->client_port = local.port;
	if (f->options & SIM_OPT_FASTOPEN && wants_to_send(e, 1) > 0 && send_some(e) < 0)
		sim_fail(f->s, "fast open", "flow %u: what is written at once is not taken", f->index);
	sim_note(f->s, "flow %u: host %u port %u connects to host %u port %u", f->index, e->host->index, local.port,
		 f->end[SIM_SERVER].host->index, f->port);
}

/* --- accept --- */

static bool began_later(const struct sim_flow *f, const struct sim_flow *than)
{
	return f->end[SIM_CLIENT].begun_ns > than->end[SIM_CLIENT].begun_ns;
}

/* The latest of those names. */
static struct sim_flow *flow_of(struct sim_host *h, uint16_t port, const struct berth_addr *peer)
{
	struct sim_flow *r = NULL;
	struct sim *s = h->s;

	for (unsigned i = s->n_flows; i-- > 0;) {
		struct sim_flow *f = s->flows[i];
		struct berth_addr a;

		if (f->end[SIM_SERVER].host != h || f->port != port || f->client_port != peer->port || f->no_accept)
			continue;
		a = sim_addr(f->end[SIM_CLIENT].host, f->wire, f->family, 0);
		if (memcmp(a.ip, peer->ip, sizeof(a.ip)) == 0 && (!r || began_later(f, r)))
			r = f;
	}
	return r;
}

static void accept_all(struct sim_host *h, unsigned i)
{
	for (;;) {
		struct berth_addr peer;
		struct sim_flow *f;
		struct sim_end *e;
		berth_sock sock;
		int r = berth_sock_accept(h->st, h->listeners[i], UINT64_MAX - 100, &sock, &peer);

		if (r == -EAGAIN)
			return;
		if (r < 0)
			sim_fail(h->s, "accept", "host %u: %s", h->index, strerror(-r));
		f = flow_of(h, h->listen_ports[i], &peer);
		e = f ? &f->end[SIM_SERVER] : NULL;
		if (!f || e->is_open || e->is_done) {
			/* nobody's that we know: an old SYN's, a forger's, a flow whose client is long gone */
			/* ... or a SYN with data that came twice (RFC 7413, 6.1) */
			if (!h->s->is_attacked && !(f && (f->may_fail || f->options & SIM_OPT_FASTOPEN)))
				sim_fail(h->s, "accept", "host %u: a connection from port %u that nobody made",
					 h->index, peer.port);
			if (berth_sock_abort(h->st, sock) == 0)
				h->n_closing++;
			continue;
		}
		e->sock = sock;
		e->boot = h->n_boots;
		e->is_open = e->is_connected = true;
		e->begun_ns = h->s->now_ns;
		apply_options(e);
		sim_note(h->s, "flow %u is accepted", f->index);
		end_run(e);
	}
}

/* --- events and timers --- */

struct sim_end *app_end_at(struct sim *s, const struct sim_host *h, uint16_t local_port, const struct port_addr *peer,
			   uint16_t peer_port)
{
	struct sim_end *r = NULL;

	for (unsigned i = s->n_flows; i-- > 0;) {
		struct sim_flow *f = s->flows[i];
		struct sim_end *c = &f->end[SIM_CLIENT], *v = &f->end[SIM_SERVER];
		struct berth_addr a;
		bool is_client = c->host == h && f->client_port == local_port && f->port == peer_port;

		if (!is_client && (v->host != h || f->port != local_port || f->client_port != peer_port))
			continue;
		a = sim_addr(is_client ? v->host : c->host, f->wire, f->family, 0);
		if (memcmp(a.ip, peer->b, sizeof(a.ip)) == 0 && (!r || began_later(f, r->flow)))
			r = is_client ? c : v;
	}
	return r;
}

/* An accepted socket's word is not the flow's: accept() had to be called before the flow was known. So ends are found by handle. */
static struct sim_end *end_of(struct sim_host *h, const struct berth_event *ev)
{
	struct sim *s = h->s;

	if (ev->user < UINT64_C(2) * s->n_flows)
		return &s->flows[ev->user / 2]->end[SIM_CLIENT];
	for (unsigned i = 0; i < s->n_flows; i++) {
		struct sim_end *e = &s->flows[i]->end[SIM_SERVER];

		if (e->host == h && e->sock == ev->sock && e->boot == h->n_boots && e->sock)
			return e;
	}
	return NULL;
}

static void client_connected(struct sim_end *e)
{
	uint64_t err = 0;
	int r = berth_sock_get(e->host->st, e->sock, BERTH_SO_ERROR, &err);

	if (r < 0)
		sim_fail(e->flow->s, "SO_ERROR", "flow %u: %s", e->flow->index, strerror(-r));
	if (err) {
		failed(e, -(int)err);
		return;
	}
	e->is_connected = true;
}

void app_event(struct sim_host *h, const struct berth_event *ev)
{
	struct sim_end *e;

	if (ev->user >= SIM_USER_OTHER && ev->user < SIM_USER_OTHER_LAST) {
		h->s->other_event(h->s, h, ev);
		return;
	}
	if (ev->user > UINT64_MAX - 8) {
		if (ev->mask & BERTH_EV_IN)
			accept_all(h, (unsigned)(UINT64_MAX - ev->user));
		return;
	}
	if (ev->mask & BERTH_EV_CLOSED) {
		if (h->n_closing == 0)
			sim_fail(h->s, "events", "host %u: BERTH_EV_CLOSED for a socket that nobody closed", h->index);
		h->n_closing--;
		return;
	}
	e = end_of(h, ev);
	if (!e || !e->is_open || e->boot != h->n_boots || e->sock != ev->sock)
		sim_fail(h->s, "events", "host %u: event %x for a socket that nobody has", h->index, ev->mask);
	if (!e->is_connected && (ev->mask & (BERTH_EV_OUT | BERTH_EV_ERR | BERTH_EV_HUP)))
		client_connected(e);
	end_run(e);
}

uint64_t app_deadline(const struct sim *s)
{
	uint64_t at = BERTH_NEVER;

	for (unsigned i = 0; i < s->n_flows; i++)
		for (int k = 0; k < 2; k++)
			if (s->flows[i]->end[k].wake_ns < at)
				at = s->flows[i]->end[k].wake_ns;
	return at;
}

void app_timers(struct sim *s)
{
	for (unsigned i = 0; i < s->n_flows; i++)
		for (int k = 0; k < 2; k++) {
			struct sim_end *e = &s->flows[i]->end[k];

			if (e->wake_ns > s->now_ns || e->is_away)
				continue;
			if (!e->is_open && k == SIM_CLIENT && !e->is_done)
				app_start(s->flows[i]);
			else
				end_run(e);
		}
}

void app_host_died(struct sim_host *h)
{
	struct sim *s = h->s;

	for (unsigned i = 0; i < s->n_flows; i++)
		for (int k = 0; k < 2; k++) {
			struct sim_end *e = &s->flows[i]->end[k];

			if (e->host != h || e->is_done || e->is_away)
				continue;
			if (e->is_open || (k == SIM_SERVER && s->flows[i]->end[SIM_CLIENT].is_open))
				s->flows[i]->may_fail = true;
			if (e->is_open) {
				e->is_open = false;
				e->is_done = true;
				e->err = -ECONNABORTED;
				e->wake_ns = BERTH_NEVER;
			}
		}
}

/* At the end of the world each end that was one is over, by an error, at the end of a stream that was complete (check_end_of_stream()), or
 * because its program left of its own will. So where one end had an error the other had one too, or had all that there was to know.
 *
 * That takes means: a half-open peer with nothing to send and no keepalive never learns that its host restarted, and need not. Here every
 * flow that may fail has keepalive on both ends (sim_flow_may_fail()), so none is excused. What cannot know are programs that closed before:
 * their octets may be lost after an end without an error. */
void app_expect_over(struct sim_flow *f)
{
	for (int k = 0; k < 2 && !f->no_accept; k++) {
		const struct sim_end *e = &f->end[k], *o = &f->end[!k];

		if (e->is_open || e->is_away)
			sim_fail(f->s, "an error on both ends", "flow %u %s is open still; the other: %s", f->index,
				 side(e), o->is_done ? strerror(-o->err) : "never was");
		if (e->is_done && !e->err && !e->got_eof && !e->has_left)
			sim_fail(f->s, "an error on both ends",
				 "flow %u %s is over with neither an error nor an end of stream; the other: %s",
				 f->index, side(e), strerror(-o->err));
		if (e->got_eof && e->received != o->sent)
			sim_fail(f->s, "a clean end of stream means all of it",
				 "flow %u %s: %" PRIu64 " octets, %" PRIu64 " were sent", f->index, side(e),
				 e->received, o->sent);
	}
}

/* --- connections that are handed over --- */

uint8_t *sim_end_save(struct sim_end *e, uint32_t *ret_len)
{
	struct berth_stack *st = e->host->st;
	int64_t n = berth_sock_save(st, e->sock, NULL, 0);
	uint8_t *data;

	if (n < 0)
		return NULL;
	data = malloc((size_t)n);
	ASSERT(data);
	if (berth_sock_save(st, e->sock, data, (uint32_t)n - 1) != -ENOBUFS)
		sim_fail(e->flow->s, "save", "flow %u %s: into too little room", e->flow->index, side(e));
	sim_expect_u64(e->flow->s, "save() needs what it says",
		       (uint64_t)berth_sock_save(st, e->sock, data, (uint32_t)n), (uint64_t)n);
	if (berth_sock_poll(st, e->sock) != -EBADF)
		sim_fail(e->flow->s, "save", "flow %u %s: the handle is good still", e->flow->index, side(e));
	e->is_away = true;
	e->wake_ns = BERTH_NEVER;
	sim_note(e->flow->s, "flow %u %s is saved, %u octets", e->flow->index, side(e), (unsigned)n);
	*ret_len = (uint32_t)n;
	return data;
}

void sim_end_restore(struct sim_end *e, const uint8_t *data, uint32_t len)
{
	bool is_client = e == &e->flow->end[SIM_CLIENT];
	int r = berth_sock_restore(e->host->st, data, len, is_client ? e->flow->index * UINT64_C(2) : UINT64_MAX - 100,
				   &e->sock);

	if (r < 0)
		sim_fail(e->flow->s, "restore", "flow %u %s: %s", e->flow->index, side(e), strerror(-r));
	e->is_away = false;
	e->was_restored = true;
	e->boot = e->host->n_boots;
	e->wake_ns = e->flow->s->now_ns;
}
