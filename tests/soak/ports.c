/* tests/soak/ports.c: a client that takes all its ephemeral ports to one destination, over and over.
 *
 * When they are gone the next connect() says so at once (EADDRNOTAVAIL), at the price of any other, and changes nothing; towards another
 * address or port they are all there. They come back when TIME-WAIT ends, or before: to whoever closed second, after a reset, and to a
 * bound connect() a second later (RFC 6191; RFC 9293, MAY-2). The wire is none at all: frames are handed over.
 */
#include "soak.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "link/frame.h"

#define FIRST 32768
#define PORT 80
#define OTHERS 100
#define TRIES 50

enum how { CLIENT_CLOSES, SERVER_CLOSES, RESET, NO_ANSWER, N_HOWS };

static struct {
	struct soak_host h[2];
	struct work_book book;
	uint64_t now_ns;
	uint32_t n_ports;
	berth_sock listeners[2], *calls, *answers; /* answers: the server's ends */
	uint32_t n_calls, n_answers;
	bool is_cut; /* nothing arrives */
	uint64_t n_refused, n_made;
} w;

static unsigned events(unsigned me)
{
	struct berth_event ev[BATCH];
	unsigned n;
	berth_sock s;

	WORK(&w.book, events, 1, n = berth_stack_events(w.h[me].st, ev, BATCH));
	for (unsigned i = 0; i < n; i++) {
		int r = 0;

		w.h[me].n_closing -= (ev[i].mask & BERTH_EV_CLOSED) != 0;
		while (me == 1 && ev[i].user == UINT64_MAX && r == 0) {
			WORK(&w.book, accept, 1, r = berth_sock_accept(w.h[1].st, ev[i].sock, 0, &s, NULL));
			if (r == 0)
				w.answers[w.n_answers++] = s;
		}
	}
	return n;
}

/* Until nothing moves. */
static void exchange(void)
{
	static struct berth_tx tx[BATCH];
	struct berth_rx rx[BATCH];
	unsigned n, moved;

	do {
		moved = 0;
		for (unsigned me = 0; me < 2; me++) {
			struct soak_host *h = &w.h[me], *to = &w.h[!me];

			if (berth_stack_deadline(h->st) <= w.now_ns)
				WORK(&w.book, tick, n, n = berth_stack_tick(h->st, w.now_ns, BATCH));
			moved += events(me);
			WORK(&w.book, output, 1, n = berth_stack_output(h->st, tx, BATCH, w.now_ns));
			for (unsigned i = 0; i < n; i++)
				link_direct(&tx[i], 0, &rx[i]);
			if (n && !w.is_cut)
				WORK(&w.book, input, n, berth_stack_input(to->st, rx, n, w.now_ns));
			moved += n;
		}
	} while (moved);
}

static void pass(uint64_t ns)
{
	uint64_t until_ns = w.now_ns + ns;

	for (;;) {
		uint64_t at;

		exchange();
		at = berth_stack_deadline(w.h[0].st);
		if (berth_stack_deadline(w.h[1].st) < at)
			at = berth_stack_deadline(w.h[1].st);
		if (at > until_ns)
			break;
		w.now_ns = at > w.now_ns ? at : w.now_ns;
	}
	w.now_ns = until_ns;
	exchange();
}

static berth_sock open_socket(int family)
{
	berth_sock s = 0;
	int r;

	WORK(&w.book, open, 1, r = berth_sock_open(w.h[0].st, BERTH_TCP, family, 0, &s));
	if (r == 0)
		r = berth_sock_set(w.h[0].st, s, BERTH_REUSEADDR,
				   1); /* who names the port later shares it with what waits there */
	EXPECT(r == 0, "ports: open: %s", strerror(-r));
	return s;
}

static int call(berth_sock s, const struct berth_addr *to)
{
	int r;

	WORK(&w.book, connect, 1, r = berth_sock_connect(w.h[0].st, s, to));
	return r;
}

static void end(unsigned me, berth_sock s, bool abort)
{
	int r;

	WORK(&w.book, close, 1, r = abort ? berth_sock_abort(w.h[me].st, s) : berth_sock_close(w.h[me].st, s));
	EXPECT(r == 0, "ports: close: %s", strerror(-r));
	w.h[me].n_closing++;
}

static uint32_t n_claims(unsigned me)
{
	struct berth_usage u = {.struct_size = sizeof(u)};

	berth_stack_usage(w.h[me].st, &u);
	return u.n_ports;
}

/* No port is left towards this place, and that is said at once, every time, and nothing comes of it. */
static void expect_none(int family, const struct berth_addr *to, const char *when)
{
	uint32_t before = n_claims(0);
	berth_sock s = open_socket(family);

	for (int i = 0; i < TRIES; i++) {
		int r = call(s, to);

		EXPECT(r == -EADDRNOTAVAIL, "ports: %s: connect() when all are taken: %s", when,
		       r == 0 ? "taken" : strerror(-r));
		w.n_refused++;
	}
	exchange();
	EXPECT(n_claims(0) == before, "ports: %s: %u claims, %u before", when, n_claims(0), before);
	end(0, s, false);
	exchange();
}

/* Every port there is, and no more. */
static void take_all(int family, const struct berth_addr *to)
{
	w.n_calls = 0;
	for (;;) {
		berth_sock s = open_socket(family);
		int r = call(s, to);

		if (r == -EADDRNOTAVAIL) {
			end(0, s, false);
			break;
		}
		EXPECT(r == -EINPROGRESS, "ports: connect: %s, after %u", strerror(-r), w.n_calls);
		EXPECT(w.n_calls < w.n_ports, "ports: more than there are: %u", w.n_ports);
		w.calls[w.n_calls++] = s;
		if (w.n_calls % 64 == 0)
			exchange();
	}
	exchange();
	EXPECT(w.n_calls == w.n_ports, "ports: %u of %u were taken", w.n_calls, w.n_ports);
	EXPECT(w.is_cut || w.n_answers == w.n_ports, "ports: %u connections of %u", w.n_answers, w.n_ports);
	w.n_made += w.n_calls;
}

static void end_all(bool abort)
{
	for (uint32_t i = 0; i < w.n_calls; i++) {
		end(0, w.calls[i], abort);
		if (i % 64 == 63)
			exchange();
	}
	exchange();
	w.n_calls = 0;
}

static void answers_end_all(void)
{
	for (uint32_t i = 0; i < w.n_answers; i++) {
		end(1, w.answers[i], false);
		if (i % 64 == 63)
			exchange();
	}
	exchange();
	w.n_answers = 0;
}

/* To other places all is as ever. */
static void elsewhere(int family)
{
	struct berth_addr to[2] = {soak_addr(family, 0, 2, PORT + 1), soak_addr(family, 0, 3, PORT)};
	berth_sock s[OTHERS];
	uint32_t before = w.n_answers;

	for (unsigned i = 0; i < OTHERS; i++) {
		int r;

		s[i] = open_socket(family);
		r = call(s[i], &to[i % 2]);
		EXPECT(r == -EINPROGRESS, "ports: to another place: %s", strerror(-r));
	}
	exchange();
	EXPECT(w.is_cut || w.n_answers == before + OTHERS, "ports: %u of %u to another place", w.n_answers - before,
	       OTHERS);
	for (unsigned i = 0; i < OTHERS; i++)
		end(0, s[i], true);
	exchange();
	while (w.n_answers > before) /* they were reset */
		end(1, w.answers[--w.n_answers], false);
	exchange();
}

/* A program that names its port may have it again a second after the last one's end. */
static void bound_again(int family, const struct berth_addr *to)
{
	struct berth_addr from = soak_addr(family, 0, 1, (uint16_t)(FIRST + w.n_ports / 2));
	struct berth_counters before = soak_counters(&w.h[0]);
	berth_sock s = open_socket(family);
	int r = berth_sock_set(w.h[0].st, s, BERTH_REUSEADDR, 1);

	if (r == 0)
		r = berth_sock_bind(w.h[0].st, s, &from);
	EXPECT(r == 0, "ports: bind() of one in TIME-WAIT, BERTH_REUSEADDR: %s", strerror(-r));
	r = call(s, to);
	EXPECT(r == -EADDRNOTAVAIL, "ports: bound, too soon: %s", strerror(-r));
	pass(1500 * MS);
	r = call(s, to);
	EXPECT(r == -EINPROGRESS, "ports: bound, after a second: %s", strerror(-r));
	exchange();
	EXPECT(w.n_answers == 1, "ports: bound, after a second: no connection");
	EXPECT(soak_counters(&w.h[0]).tcp_time_wait_reused == before.tcp_time_wait_reused + 1,
	       "ports: no TIME-WAIT was reused");
	end(0, s, true);
	exchange();
	answers_end_all();
}

static void one_round(enum how how, int family)
{
	struct berth_addr to = soak_addr(family, 0, 2, PORT);
	struct berth_counters before = soak_counters(&w.h[1]);

	w.is_cut = how == NO_ANSWER;
	take_all(family, &to);
	expect_none(family, &to, "open");
	elsewhere(family);
	expect_none(family, &to, "open, still");
	switch (how) {
	case CLIENT_CLOSES:
		end_all(false);
		answers_end_all();
		expect_none(family, &to, "TIME-WAIT");
		elsewhere(family);
		bound_again(family, &to);
		pass(30 * SEC);
		w.n_calls = 0; /* the bound one's port is back: one is there, no more */
		break;
	case SERVER_CLOSES:
		answers_end_all();
		end_all(false);
		pass(10 * MS);
		take_all(family, &to); /* at once: the client has no TIME-WAIT, and the server's yield to newer SYNs */
		EXPECT(soak_counters(&w.h[1]).tcp_time_wait_reused == before.tcp_time_wait_reused + w.n_ports,
		       "ports: the server's TIME-WAITs did not yield");
		end_all(true);
		answers_end_all();
		break;
	case RESET:
	case NO_ANSWER:
		end_all(true);
		answers_end_all();
		take_all(family, &to);
		end_all(true);
		answers_end_all();
		break;
	case N_HOWS:
		break;
	}
	pass(70 * SEC);
	w.is_cut = false;
	for (unsigned i = 0; i < 2; i++)
		soak_expect_back(&w.h[i], "ports");
}

static void set_up(uint32_t n_ports)
{
	struct berth_port_settings p = {.ephemeral_first = FIRST, .ephemeral_last = (uint16_t)(FIRST + n_ports - 1)};
	struct berth_stack_config c = {.n_udp = 1,
				       .n_packets = 1024,
				       .rx_ring_bytes = 4096,
				       .tx_ring_bytes = 4096,
				       .n_bursts = 4096,
				       .n_gaps = 16};

	memset(&w, 0, sizeof(w));
	w.now_ns = 1000 * SEC;
	w.n_ports = n_ports;
	c.n_conns = n_ports + 2 * OTHERS + 16;
	c.n_conns += c.n_conns / 8; /* nobody is pushed out: tcp_orphans_yield() */
	c.n_time_wait = n_ports + 2 * OTHERS;
	c.n_syn = 1024;
	for (uint8_t i = 0; i < 2; i++) {
		struct soak_host *h = &w.h[i];
		uint16_t f;

		soak_boot(h, i == 0 ? "ports 0" : "ports 1", &c, w.now_ns);
		h->book = &w.book;
		f = soak_iface(h, BERTH_LINK_IP, (uint8_t[6]){0}, BERTH_IF_NO_DAD);
		for (int family = 4; family <= 6; family += 2) {
			soak_address(h, f, (struct berth_addr[1]){soak_addr(family, 0, (uint8_t)(i + 1), 0)});
			if (i == 1)
				soak_address(h, f, (struct berth_addr[1]){soak_addr(family, 0, 3, 0)});
		}
		EXPECT(berth_stack_set_ports(h->st, &p) == 0, "setup: ports");
	}
	w.listeners[0] = soak_listen(&w.h[1], PORT, 1024);
	w.listeners[1] = soak_listen(&w.h[1], PORT + 1, 1024);
	for (unsigned i = 0; i < 2; i++)
		soak_settled(&w.h[i]);
	w.calls = calloc(c.n_conns, sizeof(*w.calls));
	w.answers = calloc(c.n_conns, sizeof(*w.answers));
	EXPECT(w.calls && w.answers, "setup: no memory");
}

void soak_ports(unsigned n_rounds, uint32_t n_ports)
{
	uint64_t began_ns;

	set_up(n_ports);
	began_ns = w.now_ns;
	for (unsigned i = 0; i < n_rounds; i++)
		one_round((enum how)(i % N_HOWS), i / N_HOWS % 2 ? 6 : 4);
	printf("ports: %u rounds of %u ports in %" PRIu64 " s of virtual time, %" PRIu64 " connections, %" PRIu64
	       " times none was left\n",
	       n_rounds, n_ports, (w.now_ns - began_ns) / SEC, w.n_made, w.n_refused);
	work_print(&w.book);
	work_expect_bounded(&w.book, "ports");
	for (unsigned i = 0; i < 2; i++)
		soak_free(&w.h[i]);
	free(w.calls);
	free(w.answers);
}
