/* tests/soak/churn.c: connections that come and go between three stacks, over a good wire and a bad one, in both families.
 *
 *	slot --- one connection: its kind (how it is to end), its two programs, what each has said and heard
 *	seats[client host][server host][wire][family][client's port] --> slot: whose call an accepted connection is
 *
 * When a slot is over another connection begins in it, as many at a time as there are slots. The programs see each other ("both have
 * all now"), so nothing waits for a clock but TCP. What must hold: every octet once and in order, both ways, and no error, unless the
 * kind is one that resets; at the end every port and all memory is back; and nothing costs more at the end than at the beginning.
 */
#include "soak.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "link/fault.h"
#include "wire/eth.h"
#include "wire/ip4.h"

#define HOSTS 3
#define WIRES 2
#define SLOTS 600
#define STRAYS 64
#define CONNS 2048
#define PORT 80
#define PORT_CLOSED 81
#define STARTS_MAX 16 /* at one time */
#define LOOKS 50

/* clang-format off */
#define KINDS(X) \
	X(CLIENT_FIRST, 30)	/* the client ends its stream, then the server its own */ \
	X(SERVER_FIRST, 20) \
	X(BOTH_AT_ONCE, 12)	/* FINs cross */ \
	X(HALF, 10)		/* the server speaks only after the client's end, piece by piece */ \
	X(CLOSE_NOW, 8)		/* the client writes and closes; the server takes its time */ \
	X(CLIENT_RESETS, 5) \
	X(SERVER_RESETS, 5) \
	X(UNREAD, 3)		/* the server closes without reading: a reset */ \
	X(REFUSED, 3)		/* nobody listens there */ \
	X(GIVES_UP, 4)		/* the client closes before anybody answered */
/* clang-format on */
enum kind {
#define KIND(name, share) KIND_##name,
	KINDS(KIND)
#undef KIND
		N_KINDS
};
static const char *const kind_names[] = {
#define KIND(name, share) #name,
	KINDS(KIND)
#undef KIND
};
static const unsigned shares[] = {
#define KIND(name, share) share,
	KINDS(KIND)
#undef KIND
};

enum { CLIENT, SERVER };

struct side {
	berth_sock s; /* 0: not there yet, or closed */
	uint8_t host;
	bool was_there, is_connected, is_shut, has_eof, is_over; /* closed by its program */
	uint32_t wants, sent, got;				 /* octets to say, said, heard */
};

struct slot {
	uint64_t key; /* of the octets; 0: free */
	uint8_t kind, wire, family;
	bool is_queued, is_lazy;
	uint16_t client_port;
	uint32_t cut; /* KIND_..._RESETS: after so many octets heard */
	struct side side[2];
};

#define SEAT_MAY_BE_STRAY UINT32_MAX /* its call is over, and may be answered yet */

static struct {
	struct soak_host h[HOSTS];
	struct work_book book, tenth;
	struct fault *to[WIRES][HOSTS];
	berth_sock listeners[HOSTS];
	struct rng rng;
	uint64_t now_ns, key;
	struct slot slots[SLOTS];
	struct {
		berth_sock s;
		uint8_t host;
	} strays[STRAYS];
	uint32_t queue[SLOTS], n_queue, n_giving_up;
	uint64_t n_begun, n_over, n_octets, n_strays, n_kinds[N_KINDS];
	uint32_t of_sock[HOSTS][CONNS]; /* a handle's low half is a number below n_conns */
	uint32_t seats[HOSTS][HOSTS][WIRES][2][65536];
} w;

static void queue_slot(uint32_t i)
{
	if (!w.slots[i].is_queued) {
		w.slots[i].is_queued = true;
		w.queue[w.n_queue++] = i;
	}
}

static struct soak_host *host_of(const struct side *d)
{
	return &w.h[d->host];
}

/* --- the programs --- */

static uint64_t key_of(const struct slot *k, int from)
{
	return k->key * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)from;
}

static bool may_fail(const struct slot *k)
{
	return k->kind == KIND_CLIENT_RESETS || k->kind == KIND_SERVER_RESETS || k->kind == KIND_UNREAD ||
	       k->kind == KIND_REFUSED || k->kind == KIND_GIVES_UP;
}

static void close_side(struct side *d, bool abort)
{
	struct soak_host *h = host_of(d);
	int r;

	WORK(&w.tenth, close, 1, r = abort ? berth_sock_abort(h->st, d->s) : berth_sock_close(h->st, d->s));
	EXPECT(r == 0, "close: %s", strerror(-r));
	h->n_closing++;
	d->s = 0;
	d->is_over = true;
}

static void failed(struct slot *k, struct side *d, const char *what, int r)
{
	EXPECT(may_fail(k), "%s, %s side, wire %u, IPv%u: %s: %s, after %u of %u octets", kind_names[k->kind],
	       d == &k->side[CLIENT] ? "client's" : "server's", k->wire, k->family, what, strerror(-r), d->sent,
	       d->wants);
	close_side(d, false);
}

static void read_side(struct slot *k, int me)
{
	struct side *d = &k->side[me], *from = &k->side[!me];
	uint64_t key = key_of(k, !me);
	uint8_t buf[4096];
	int64_t n;

	while (d->s && !d->has_eof) {
		WORK(&w.tenth, recv, 1, n = berth_sock_recv(host_of(d)->st, d->s, buf, sizeof(buf)));
		if (n == -EAGAIN || n == -ENOTCONN)
			return;
		if (n < 0) {
			failed(k, d, "recv", (int)n);
			return;
		}
		d->has_eof = n == 0;
		for (int64_t i = 0; i < n; i++)
			EXPECT(buf[i] == soak_octet(key, d->got + (uint64_t)i), "%s: octet %" PRIu64 " is wrong",
			       kind_names[k->kind], d->got + (uint64_t)i);
		d->got += (uint32_t)n;
		w.n_octets += (uint64_t)n;
		EXPECT(d->got <= from->sent, "%s: %u octets heard, %u said", kind_names[k->kind], d->got, from->sent);
		EXPECT(!d->has_eof || from->is_shut || from->is_over || may_fail(k),
		       "%s, %s side, wire %u, IPv%u: an end that nobody said", kind_names[k->kind],
		       me == CLIENT ? "client's" : "server's", k->wire, k->family);
	}
}

/* Up to octet `to`. */
static void write_side(struct slot *k, int me, uint32_t to)
{
	struct side *d = &k->side[me];
	uint64_t key = key_of(k, me);
	uint8_t buf[2048];
	int64_t n = 1;

	while (d->s && d->is_connected && d->sent < to && n > 0) {
		uint32_t len = to - d->sent < sizeof(buf) ? to - d->sent : (uint32_t)sizeof(buf);

		for (uint32_t i = 0; i < len; i++)
			buf[i] = soak_octet(key, d->sent + i);
		WORK(&w.tenth, send, 1, n = berth_sock_send(host_of(d)->st, d->s, buf, len, 0));
		if (n == -EAGAIN)
			return;
		if (n < 0)
			failed(k, d, "send", (int)n);
		else
			d->sent += (uint32_t)n;
	}
}

static void shut_side(struct slot *k, int me)
{
	struct side *d = &k->side[me];
	int r;

	if (!d->s || !d->is_connected || d->is_shut || d->sent < d->wants)
		return;
	WORK(&w.tenth, close, 1, r = berth_sock_shutdown(host_of(d)->st, d->s, BERTH_SHUT_WR));
	if (r < 0)
		failed(k, d, "shutdown", r);
	d->is_shut = true;
}

/* Has it said and heard all? */
static bool has_all(const struct slot *k, int me)
{
	const struct side *d = &k->side[me];

	return d->s && d->is_connected && d->sent == d->wants && d->got == k->side[!me].wants;
}

static void one_first(struct slot *k, int first)
{
	write_side(k, first, k->side[first].wants);
	shut_side(k, first);
	if (k->kind == KIND_HALF && k->side[!first].has_eof) /* what is said next waits for what was said last */
		write_side(k, !first,
			   k->side[first].got + 400 < k->side[!first].wants ? k->side[first].got + 400
									    : k->side[!first].wants);
	else if (k->kind != KIND_HALF)
		write_side(k, !first, k->side[!first].wants);
	if (has_all(k, !first) && k->side[!first].has_eof)
		close_side(&k->side[!first], false);
	if (has_all(k, first) && k->side[first].has_eof)
		close_side(&k->side[first], false);
}

static void close_now(struct slot *k)
{
	struct side *c = &k->side[CLIENT], *v = &k->side[SERVER];

	write_side(k, CLIENT, c->wants);
	if (c->s && c->is_connected && c->sent == c->wants)
		close_side(c, false);
	if (v->s && v->has_eof && !k->is_lazy)
		close_side(v, false);
}

static void reset_by(struct slot *k, int me)
{
	struct side *d = &k->side[me], *o = &k->side[!me];

	write_side(k, CLIENT, k->side[CLIENT].wants);
	write_side(k, SERVER, k->side[SERVER].wants);
	if (d->s && d->is_connected && (d->got >= k->cut || d->has_eof))
		close_side(d, true);
	if (o->s && o->has_eof)
		close_side(o, false);
}

static void leave_unread(struct slot *k)
{
	struct side *c = &k->side[CLIENT], *v = &k->side[SERVER];

	write_side(k, CLIENT, c->wants);
	shut_side(k, CLIENT);
	if (v->s && berth_sock_poll(host_of(v)->st, v->s) & BERTH_EV_IN)
		close_side(v, false);
	if (c->s && c->has_eof)
		close_side(c, false);
}

static void run_slot(uint32_t i)
{
	struct slot *k = &w.slots[i];
	struct side *c = &k->side[CLIENT], *v = &k->side[SERVER];

	if (k->kind != KIND_UNREAD)
		read_side(k, SERVER);
	read_side(k, CLIENT);
	switch ((enum kind)k->kind) {
	case KIND_CLIENT_FIRST:
	case KIND_HALF:
		one_first(k, CLIENT);
		break;
	case KIND_SERVER_FIRST:
		one_first(k, SERVER);
		break;
	case KIND_BOTH_AT_ONCE:
		write_side(k, CLIENT, c->wants);
		write_side(k, SERVER, v->wants);
		if (has_all(k, CLIENT) && has_all(k, SERVER)) {
			close_side(c, false);
			close_side(v, false);
		}
		break;
	case KIND_CLOSE_NOW:
		close_now(k);
		break;
	case KIND_CLIENT_RESETS:
		reset_by(k, CLIENT);
		break;
	case KIND_SERVER_RESETS:
		reset_by(k, SERVER);
		break;
	case KIND_UNREAD:
		leave_unread(k);
		break;
	case KIND_REFUSED:
	case KIND_GIVES_UP:
		if (v->s && v->has_eof)
			close_side(v, false);
		break;
	case N_KINDS:
		break;
	}
}

/* --- a connection begins, and is over --- */

static uint32_t *seat_of(const struct slot *k)
{
	return &w.seats[k->side[CLIENT].host][k->side[SERVER].host][k->wire][k->family == 6][k->client_port];
}

static void draw(struct slot *k)
{
	uint32_t at = (uint32_t)rng_range(&w.rng, 0, 99);

	memset(k, 0, sizeof(*k));
	k->key = ++w.key;
	for (k->kind = 0; at >= shares[k->kind]; k->kind++)
		at -= shares[k->kind];
	k->wire = rng_chance_ppm(&w.rng, 300000);
	k->family = rng_chance_ppm(&w.rng, 500000) ? 6 : 4;
	k->is_lazy = rng_chance_ppm(&w.rng, 100000);
	k->side[CLIENT].host = (uint8_t)rng_range(&w.rng, 0, HOSTS - 1);
	k->side[SERVER].host = (uint8_t)((k->side[CLIENT].host + rng_range(&w.rng, 1, HOSTS - 1)) % HOSTS);
	for (int i = 0; i < 2; i++)
		k->side[i].wants = (uint32_t)rng_range(&w.rng, k->kind == KIND_UNREAD,
						       rng_chance_ppm(&w.rng, 50000) ? 20000 : 1500);
	if (k->kind == KIND_CLOSE_NOW)
		k->side[SERVER].wants = 0; /* it would be reset: nobody reads there any more */
	k->cut = (uint32_t)rng_range(&w.rng, 0, k->side[k->kind == KIND_SERVER_RESETS ? CLIENT : SERVER].wants);
}

static void set(struct soak_host *h, berth_sock s)
{
	int r = berth_sock_set(h->st, s, BERTH_KEEPALIVE, 1); /* a reset that was lost is noticed */

	if (r == 0)
		r = berth_sock_set(h->st, s, BERTH_KEEPIDLE_S, 5);
	if (r == 0)
		r = berth_sock_set(h->st, s, BERTH_KEEPINTVL_S, 1);
	EXPECT(r == 0, "an option: %s", strerror(-r));
}

static void begin(uint32_t i)
{
	struct slot *k = &w.slots[i];
	struct berth_addr to, from;
	struct soak_host *h;
	struct side *c = &k->side[CLIENT];
	int r;

	draw(k);
	h = host_of(c);
	to = soak_addr(k->family, k->wire, (uint8_t)(k->side[SERVER].host + 1),
		       k->kind == KIND_REFUSED ? PORT_CLOSED : PORT);
	WORK(&w.tenth, open, 1,
	     r = berth_sock_open(h->st, BERTH_TCP, k->family == 6 ? BERTH_IPV6 : BERTH_IPV4, 0, &c->s));
	EXPECT(r == 0, "open: %s", strerror(-r));
	set(h, c->s);
	WORK(&w.tenth, connect, 1, r = berth_sock_connect(h->st, c->s, &to));
	EXPECT(r == -EINPROGRESS, "connect: %s", strerror(-r));
	r = berth_sock_names(h->st, c->s, &from, NULL);
	EXPECT(r == 0, "names: %s", strerror(-r));
	k->client_port = from.port;
	c->was_there = true;
	w.of_sock[c->host][(uint32_t)c->s] = i;
	if (k->kind != KIND_REFUSED) /* that was another port: its local one may serve a second time */
		*seat_of(k) = i + 1;
	w.n_begun++;
	w.n_kinds[k->kind]++;
	w.n_giving_up += k->kind == KIND_GIVES_UP;
}

static bool is_over(const struct slot *k)
{
	const struct side *c = &k->side[CLIENT], *v = &k->side[SERVER];

	return c->is_over && (v->is_over || (!v->was_there && may_fail(k)));
}

static void check_over(const struct slot *k)
{
	const struct side *c = &k->side[CLIENT], *v = &k->side[SERVER];

	if (may_fail(k))
		return;
	EXPECT(c->sent == c->wants && v->got == c->wants && v->sent == v->wants &&
		       (c->got == v->wants || k->kind == KIND_CLOSE_NOW),
	       "%s: client %u said, %u heard; server %u said, %u heard", kind_names[k->kind], c->sent, v->got, v->sent,
	       c->got);
}

static void end_slot(uint32_t i)
{
	struct slot *k = &w.slots[i];

	check_over(k);
	if (*seat_of(k) == i + 1)
		*seat_of(k) = may_fail(k) ? SEAT_MAY_BE_STRAY : 0;
	k->key = 0;
	w.n_over++;
}

/* --- events --- */

static void stray(uint8_t host, berth_sock s)
{
	for (unsigned i = 0; i < STRAYS; i++)
		if (!w.strays[i].s) {
			w.strays[i].s = s;
			w.strays[i].host = host;
			w.n_strays++;
			return;
		}
	soak_fail("more than %d connections whose client is gone", STRAYS);
}

/* Reads to the end, then closes. */
static void run_strays(void)
{
	uint8_t buf[2048];
	int64_t n = 0;

	for (unsigned i = 0; i < STRAYS; i++) {
		struct soak_host *h = &w.h[w.strays[i].host];

		if (!w.strays[i].s)
			continue;
		while ((n = berth_sock_recv(h->st, w.strays[i].s, buf, sizeof(buf))) > 0)
			;
		if (n == -EAGAIN)
			continue;
		EXPECT(berth_sock_close(h->st, w.strays[i].s) == 0, "close");
		h->n_closing++;
		w.strays[i].s = 0;
	}
}

/* Whose call it is says where it comes from. */
static void accepted(uint8_t host, berth_sock s, const struct berth_addr *peer)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool is4 = memcmp(peer->ip, mapped, sizeof(mapped)) == 0;
	unsigned wire = is4 ? peer->ip[13] : peer->ip[3], client = peer->ip[15] - 1u;
	uint32_t *seat;
	struct slot *k;
	int r;

	EXPECT(client < HOSTS && wire < WIRES && client != host, "a connection from nowhere");
	seat = &w.seats[client][host][wire][!is4][peer->port];
	set(&w.h[host], s);
	if (*seat == SEAT_MAY_BE_STRAY) {
		stray(host, s);
		return;
	}
	EXPECT(*seat != 0, "a connection that nobody called");
	k = &w.slots[*seat - 1];
	EXPECT(!k->side[SERVER].was_there, "%s: two connections of one call", kind_names[k->kind]);
	k->side[SERVER].s = s;
	k->side[SERVER].was_there = k->side[SERVER].is_connected = true;
	w.of_sock[host][(uint32_t)s] = *seat - 1;
	queue_slot(*seat - 1);
	r = berth_sock_poll(w.h[host].st, s);
	EXPECT(r >= 0, "poll: %s", strerror(-r));
}

static void accept_all(uint8_t host)
{
	struct soak_host *h = &w.h[host];
	struct berth_addr peer;
	berth_sock s;
	int r;

	for (;;) {
		WORK(&w.tenth, accept, 1, r = berth_sock_accept(h->st, w.listeners[host], 0, &s, &peer));
		if (r == -EAGAIN)
			return;
		EXPECT(r == 0, "accept: %s", strerror(-r));
		accepted(host, s, &peer);
	}
}

static void event(uint8_t host, const struct berth_event *e)
{
	struct slot *k = &w.slots[w.of_sock[host][(uint32_t)e->sock % CONNS]];

	if (e->mask & BERTH_EV_CLOSED) {
		w.h[host].n_closing--;
		return;
	}
	if (e->user == UINT64_MAX) {
		accept_all(host);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct side *d = &k->side[i];

		if (!k->key || d->host != host || d->s != e->sock)
			continue;
		if (e->mask & BERTH_EV_ERR) {
			EXPECT(k->kind != KIND_REFUSED || e->err == -ECONNREFUSED || e->err == -ECONNRESET,
			       "refused: %s", strerror(-e->err));
			failed(k, d, "an event", e->err);
		} else if (e->mask & BERTH_EV_OUT) {
			d->is_connected = true;
		}
		queue_slot((uint32_t)(k - w.slots));
	}
}

/* --- wires --- */

/* Which host a frame is for; HOSTS: all. */
static unsigned target(unsigned wire, const struct berth_tx *tx)
{
	const uint8_t *p = tx->head;

	if (wire == 0)
		return p[0] & 1 ? HOSTS : p[5] - 1u;
	return p[p[0] >> 4 == 6 ? 39 : 19] - 1u;
}

static void carry(uint8_t host, const struct berth_tx *tx)
{
	unsigned to = target(tx->iface, tx);

	for (unsigned i = 0; i < HOSTS; i++)
		if (i != host && (to == HOSTS || to == i))
			fault_put(w.to[tx->iface][i], tx, w.now_ns);
}

static void set_up_wires(uint64_t seed)
{
	/* What arrives within 50 us arrives together, as from a device. */
	struct fault_config good = {.link = BERTH_LINK_ETHERNET,
				    .wire = true,
				    .delay_ns = 1 * MS,
				    .coalesce_ns = 50000};
	struct fault_config bad = good;
	char name[16];

	bad.link = BERTH_LINK_IP;
	bad.delay_ns = 3 * MS;
	bad.jitter_ns = 1 * MS;
	bad.loss_ppm = 30000;
	bad.reorder_ppm = 10000;
	bad.reorder_ns = 2 * MS;
	bad.dup_ppm = 5000;
	for (unsigned i = 0; i < WIRES; i++)
		for (unsigned to = 0; to < HOSTS; to++) {
			snprintf(name, sizeof(name), "%u>%u", i, to);
			w.to[i][to] = fault_new(i == 0 ? &good : &bad, seed, name);
			EXPECT(w.to[i][to], "setup: no memory");
		}
}

static void set_up_host(uint8_t i)
{
	struct soak_host *h = &w.h[i];
	struct berth_stack_config c = {.n_conns = CONNS,
				       .n_udp = 1,
				       .n_syn = 256,
				       .n_time_wait = 4096,
				       .rx_ring_bytes = 8192,
				       .tx_ring_bytes = 8192};
	char name[16];

	snprintf(name, sizeof(name), "churn %u", i);
	soak_boot(h, name, &c, w.now_ns);
	h->book = &w.tenth;
	for (unsigned wire = 0; wire < WIRES; wire++) {
		uint16_t f = soak_iface(h, wire == 0 ? BERTH_LINK_ETHERNET : BERTH_LINK_IP,
					(uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, BERTH_IF_NO_DAD);

		for (int family = 4; family <= 6; family += 2)
			soak_address(h, f,
				     (struct berth_addr[1]){soak_addr(family, (uint8_t)wire, (uint8_t)(i + 1), 0)});
	}
	w.listeners[i] = soak_listen(h, PORT, 1024);
	soak_settled(h);
}

/* --- time --- */

static bool drive(uint8_t i)
{
	static struct berth_tx tx[BATCH];
	struct soak_host *h = &w.h[i];
	struct berth_event ev[BATCH];
	struct berth_rx rx[BATCH];
	unsigned n_in = 0, n_out, n_ran = 0, n_events;

	for (uint16_t wire = 0; wire < WIRES; wire++) {
		unsigned n = fault_take(w.to[wire][i], wire, rx, BATCH, w.now_ns);

		if (n)
			WORK(&w.tenth, input, n, berth_stack_input(h->st, rx, n, w.now_ns));
		n_in += n;
	}
	if (berth_stack_deadline(h->st) <= w.now_ns)
		WORK(&w.tenth, tick, n_ran, n_ran = berth_stack_tick(h->st, w.now_ns, BATCH));
	WORK(&w.tenth, events, 1, n_events = berth_stack_events(h->st, ev, BATCH));
	for (unsigned e = 0; e < n_events; e++)
		event(i, &ev[e]);
	WORK(&w.tenth, output, 1, n_out = berth_stack_output(h->st, tx, BATCH, w.now_ns));
	EXPECT(n_out <= BATCH, "output() gave %u frames of %u", n_out, BATCH);
	for (unsigned f = 0; f < n_out; f++)
		carry(i, &tx[f]);
	return n_in || n_ran || n_events || n_out;
}

static void run_queue(void)
{
	for (uint32_t q = 0; q < w.n_queue; q++) {
		uint32_t i = w.queue[q];

		w.slots[i].is_queued = false;
		if (!w.slots[i].key)
			continue;
		run_slot(i);
		if (is_over(&w.slots[i]))
			end_slot(i);
	}
	w.n_queue = 0;
}

static bool step(void)
{
	bool any = false;

	for (unsigned rounds = 0;; rounds++) {
		bool moved = false;

		for (uint8_t i = 0; i < HOSTS; i++)
			moved |= drive(i);
		run_queue();
		if (!moved)
			return any;
		any = true;
		EXPECT(rounds < 100000, "livelock at %" PRIu64 " ns", w.now_ns);
	}
}

static uint64_t next_time(void)
{
	uint64_t at = BERTH_NEVER, t;

	for (unsigned i = 0; i < HOSTS; i++) {
		t = berth_stack_deadline(w.h[i].st);
		at = t < at ? t : at;
		for (unsigned wire = 0; wire < WIRES; wire++) {
			t = fault_deadline(w.to[wire][i]);
			at = t < at ? t : at;
		}
	}
	return at;
}

/* Once in a second of the programs' time: those who take theirs, and those who give up. */
static void now_and_then(void)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *k = &w.slots[i];

		if (!k->key)
			continue;
		k->is_lazy = false;
		queue_slot(i);
	}
	run_strays();
}

static void start_some(uint64_t n_connections)
{
	static uint32_t at;

	for (unsigned n = 0; n < STARTS_MAX && w.n_begun - w.n_over < SLOTS && w.n_begun < n_connections;) {
		at = (at + 1) % SLOTS;
		if (w.slots[at].key)
			continue;
		begin(at);
		n++;
	}
}

/* Clients that give up do so when their SYN has left. */
static void give_up(void)
{
	for (uint32_t i = 0; i < SLOTS && w.n_giving_up > 0; i++) {
		struct slot *k = &w.slots[i];

		if (k->key && k->kind == KIND_GIVES_UP && k->side[CLIENT].s) {
			close_side(&k->side[CLIENT], false);
			queue_slot(i);
			w.n_giving_up--;
		}
	}
}

static void look(const char *where)
{
	for (unsigned i = 0; i < HOSTS; i++)
		soak_look(&w.h[i], where);
}

/* Everybody is done, then TIME-WAIT ends. */
static void wait_for_the_end(void)
{
	uint64_t until_ns = w.now_ns + 400 * SEC;

	while (w.now_ns < until_ns) {
		uint64_t at = next_time();

		if (at > w.now_ns)
			w.now_ns = at < w.now_ns + SEC ? at : w.now_ns + SEC;
		step();
		now_and_then();
	}
}

static void print(uint64_t n_connections)
{
	struct berth_counters c;

	printf("churn: %" PRIu64 " connections in %" PRIu64 " s of virtual time, %" PRIu64 " octets, %" PRIu64
	       " whose client was gone\n ",
	       n_connections, w.now_ns / SEC - 1000, w.n_octets, w.n_strays);
	for (int i = 0; i < N_KINDS; i++)
		printf(" %s %" PRIu64, kind_names[i], w.n_kinds[i]);
	putchar('\n');
	for (unsigned i = 0; i < HOSTS; i++) {
		struct berth_usage u = {.struct_size = sizeof(u)};

		c = soak_counters(&w.h[i]);
		berth_stack_usage(w.h[i].st, &u);
		printf("  host %u: retransmissions %" PRIu64 ", resets %" PRIu64 ", TIME-WAITs %" PRIu64
		       " (evicted %" PRIu64 ", reused %" PRIu64 "), cookies %" PRIu64
		       ", at most: blocks %u, rings %u, handshakes %u, TIME-WAITs %u of %u, longest chain %" PRIu64
		       "\n",
		       i, c.tcp_retrans, c.tcp_rst_out, c.tcp_time_wait, c.tcp_time_wait_evicted,
		       c.tcp_time_wait_reused, c.tcp_cookies_ok, u.conns.peak, u.rings.peak, u.syns.peak,
		       u.time_waits.peak, u.time_waits.limit, c.flow_chain_max);
	}
	work_print(&w.book);
}

static void add_tenth(void)
{
	for (int i = 0; i < N_CALLS; i++) {
		w.book.calls[i].n += w.tenth.calls[i].n;
		w.book.calls[i].blocks += w.tenth.calls[i].blocks;
		if (w.tenth.calls[i].most > w.book.calls[i].most)
			w.book.calls[i].most = w.tenth.calls[i].most;
	}
	w.book.blocks += w.tenth.blocks;
	memset(&w.tenth, 0, sizeof(w.tenth));
}

void soak_churn(uint64_t n_connections, uint64_t seed)
{
	struct work_book tenths[10];
	uint64_t counts[10] = {0}, next_look = n_connections / LOOKS, next_second = 0;
	unsigned n_tenths = 0;

	w.now_ns = 1000 * SEC;
	rng_init_stream(&w.rng, seed, "churn");
	set_up_wires(seed);
	for (uint8_t i = 0; i < HOSTS; i++)
		set_up_host(i);
	while (w.n_over < n_connections) {
		uint64_t at;

		start_some(n_connections);
		step();
		give_up();
		step();
		if (w.now_ns >= next_second) {
			now_and_then();
			next_second = w.now_ns + SEC;
		}
		if (w.n_over >= next_look) {
			look("churn");
			next_look += n_connections / LOOKS;
		}
		if (n_tenths < 10 && w.n_over >= n_connections * (n_tenths + 1) / 10) {
			tenths[n_tenths] = w.tenth;
			counts[n_tenths++] = w.n_over;
			add_tenth();
		}
		at = next_time();
		at = at < next_second ? at : next_second;
		w.now_ns = at > w.now_ns ? at : w.now_ns;
		EXPECT(w.now_ns < 1000 * SEC + 100000 * SEC, "it does not come to its end: %" PRIu64 " of %" PRIu64,
		       w.n_over, n_connections);
	}
	wait_for_the_end();
	add_tenth();
	print(n_connections);
	for (unsigned i = 0; i < HOSTS; i++) {
		soak_expect_back(&w.h[i], "churn");
		EXPECT(soak_counters(&w.h[i]).flow_chain_max <= 16, "a chain of %" PRIu64 " flows",
		       soak_counters(&w.h[i]).flow_chain_max);
	}
	work_expect_bounded(&w.book, "churn");
	if (n_tenths == 10)
		work_expect_no_drift(&tenths[0], &tenths[9], counts[0], counts[9] - counts[8], "churn");
	for (unsigned i = 0; i < HOSTS; i++)
		soak_free(&w.h[i]);
	for (unsigned i = 0; i < WIRES; i++)
		for (unsigned to = 0; to < HOSTS; to++)
			fault_free(w.to[i][to]);
}
