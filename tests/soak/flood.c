/* tests/soak/flood.c: a million SYNs in each second, from sources drawn by chance, at a listener that real clients call meanwhile.
 *
 * The flood does not wait in a queue: its SYNs are given to the server's stack in batches, 32 every 32 us. Its answers go to nobody; what
 * is for the client goes over a wire of a millisecond. What must hold: every client is served, without a repetition (so cookies do what
 * the cache no longer can); a SYN costs no more at the end than at the beginning, in work, memory and answers; and a minute later there is
 * nothing left of it (STACK.md, S14, S21; RFC 4987).
 */
#include "soak.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "link/fault.h"
#include "wire/checksum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

#define PORT 80
#define SAYS 3000u /* octets, each way */
#define CALLS_PER_S 2000
#define SYN_NS 1000
#define HOST_SERVER 0
#define HOST_CLIENT 1
#define CALLS_AT_ONCE 64

struct call {
	berth_sock s[2]; /* of the two hosts */
	bool is_used, is_connected;
	uint32_t sent[2], got[2];
	uint64_t began_ns;
};

static struct {
	struct soak_host h[2];
	struct work_book book, flood; /* flood: input and output of the server in one tenth */
	struct fault *to[2];
	struct rng rng;
	berth_sock listener;
	struct call calls[CALLS_AT_ONCE];
	int family;
	uint64_t now_ns, n_syns, n_answers, n_begun, n_served, slowest_ns;
} w;

/* --- real clients --- */

static void set_up(int family)
{
	struct fault_config wire = {.link = BERTH_LINK_IP, .delay_ns = 1 * MS, .wire = true};
	struct berth_stack_config c = {.n_conns = 256,
				       .n_udp = 1,
				       .n_syn = 1024,
				       .n_time_wait = 512,
				       .rx_ring_bytes = 8192,
				       .tx_ring_bytes = 8192};
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 0);

	memset(&w, 0, sizeof(w));
	w.family = family;
	w.now_ns = 1000 * SEC;
	rng_init_stream(&w.rng, 1, "flood");
	for (uint8_t i = 0; i < 2; i++) {
		uint16_t f;

		soak_boot(&w.h[i], i == 0 ? "flood 0" : "flood 1", &c, w.now_ns);
		w.h[i].book = &w.book;
		f = soak_iface(&w.h[i], BERTH_LINK_IP, (uint8_t[6]){0}, BERTH_IF_NO_DAD);
		soak_address(&w.h[i], f, (struct berth_addr[1]){soak_addr(family, 0, (uint8_t)(i + 1), 0)});
		if (family == 6)
			any = (struct berth_addr){0};
		EXPECT(berth_route_add(w.h[i].st, &any, 0, NULL, f, 1) == 0, "setup: route");
		w.to[i] = fault_new(&wire, 1, i == 0 ? "to server" : "to client");
		EXPECT(w.to[i], "setup: no memory");
	}
	w.listener = soak_listen(&w.h[HOST_SERVER], PORT, 128);
	for (unsigned i = 0; i < 2; i++)
		soak_settled(&w.h[i]);
}

static void begin_call(void)
{
	struct berth_addr to = soak_addr(w.family, 0, 1, PORT);
	struct call *k = w.calls;
	int r;

	while (k < w.calls + CALLS_AT_ONCE && k->is_used)
		k++;
	EXPECT(k < w.calls + CALLS_AT_ONCE, "flood: clients are not served: %" PRIu64 " of %" PRIu64, w.n_served,
	       w.n_begun);
	*k = (struct call){.is_used = true, .began_ns = w.now_ns};
	r = berth_sock_open(w.h[HOST_CLIENT].st, BERTH_TCP, w.family, 0, &k->s[HOST_CLIENT]);
	EXPECT(r == 0, "flood: open: %s", strerror(-r));
	r = berth_sock_connect(w.h[HOST_CLIENT].st, k->s[HOST_CLIENT], &to);
	EXPECT(r == -EINPROGRESS, "flood: connect: %s", strerror(-r));
	w.n_begun++;
}

/* Both sides say SAYS octets of the call's number; the number is the first four. */
static uint8_t said(const struct call *k, unsigned host, uint32_t at)
{
	uint32_t number = (uint32_t)(k - w.calls);

	return at < 4 && host == HOST_CLIENT ? (uint8_t)(number >> 8 * at) : soak_octet(number * 2 + host + 99, at);
}

static void talk(struct call *k, unsigned me)
{
	struct soak_host *h = &w.h[me];
	uint8_t buf[SAYS];
	int64_t n = 0;

	while (k->s[me] && (n = berth_sock_recv(h->st, k->s[me], buf, sizeof(buf))) > 0)
		for (int64_t i = 0; i < n; i++, k->got[me]++)
			EXPECT(buf[i] == said(k, !me, k->got[me]), "flood: octet %u is wrong", k->got[me]);
	EXPECT(n >= 0 || n == -EAGAIN || n == -ENOTCONN, "flood: recv: %s", strerror((int)-n));
	if (k->s[me] && n == 0 && me == HOST_CLIENT)
		k->is_connected = true;
	for (uint32_t i = k->sent[me]; i < SAYS; i++)
		buf[i] = said(k, me, i);
	if (k->s[me] && k->sent[me] < SAYS) {
		n = berth_sock_send(h->st, k->s[me], buf + k->sent[me], SAYS - k->sent[me], 0);
		EXPECT(n >= 0 || n == -EAGAIN || n == -ENOTCONN, "flood: send: %s", strerror((int)-n));
		k->sent[me] += n > 0 ? (uint32_t)n : 0;
	}
}

static void close_call(struct call *k)
{
	uint64_t took_ns = w.now_ns - k->began_ns;

	if (k->got[0] < SAYS || k->got[1] < SAYS)
		return;
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(berth_sock_close(w.h[i].st, k->s[i]) == 0, "flood: close");
		w.h[i].n_closing++;
	}
	k->is_used = false;
	w.n_served++;
	if (took_ns > w.slowest_ns)
		w.slowest_ns = took_ns;
}

/* --- a server's connections are told apart by their first octets --- */

static struct {
	berth_sock s;
	uint8_t head[4];
	uint32_t n;
} callers[CALLS_AT_ONCE];

static void accept_all(void)
{
	berth_sock s;

	while (berth_sock_accept(w.h[HOST_SERVER].st, w.listener, 0, &s, NULL) == 0) {
		unsigned i = 0;

		while (i < CALLS_AT_ONCE && callers[i].s)
			i++;
		EXPECT(i < CALLS_AT_ONCE, "flood: a connection that nobody made");
		callers[i].s = s;
		callers[i].n = 0;
	}
}

static void who_calls(void)
{
	for (unsigned i = 0; i < CALLS_AT_ONCE; i++) {
		uint32_t number;
		int64_t n;

		if (!callers[i].s)
			continue;
		n = berth_sock_recv(w.h[HOST_SERVER].st, callers[i].s, callers[i].head + callers[i].n,
				    4 - callers[i].n);
		callers[i].n += n > 0 ? (uint32_t)n : 0;
		if (callers[i].n < 4)
			continue;
		number = callers[i].head[0] | (uint32_t)callers[i].head[1] << 8;
		EXPECT(number < CALLS_AT_ONCE && w.calls[number].is_used && !w.calls[number].s[HOST_SERVER],
		       "flood: whose call is it?");
		w.calls[number].s[HOST_SERVER] = callers[i].s;
		w.calls[number].got[HOST_SERVER] = 4;
		callers[i].s = 0;
	}
}

static bool is_for(unsigned host, const struct berth_tx *tx)
{
	struct berth_addr a = soak_addr(w.family, 0, (uint8_t)(host + 1), 0);

	return w.family == 4 ? memcmp(tx->head + 16, a.ip + 12, 4) == 0 : memcmp(tx->head + 24, a.ip, 16) == 0;
}

static bool drive(unsigned me)
{
	static struct berth_tx tx[BATCH];
	struct soak_host *h = &w.h[me];
	struct berth_event ev[BATCH];
	struct berth_rx rx[BATCH];
	unsigned n_in = fault_take(w.to[me], 0, rx, BATCH, w.now_ns), n_out, n_ran = 0, n_events;

	berth_stack_input(h->st, rx, n_in, w.now_ns);
	if (berth_stack_deadline(h->st) <= w.now_ns)
		WORK(&w.book, tick, n_ran, n_ran = berth_stack_tick(h->st, w.now_ns, BATCH));
	n_events = berth_stack_events(h->st, ev, BATCH);
	for (unsigned i = 0; i < n_events; i++) {
		h->n_closing -= (ev[i].mask & BERTH_EV_CLOSED) != 0;
		EXPECT(!(ev[i].mask & BERTH_EV_ERR), "flood: an error: %s", strerror(-ev[i].err));
	}
	WORK(&w.flood, output, 1, n_out = berth_stack_output(h->st, tx, BATCH, w.now_ns));
	for (unsigned i = 0; i < n_out; i++) {
		if (is_for(!me, &tx[i]))
			fault_put(w.to[!me], &tx[i], w.now_ns);
		else
			w.n_answers++;
	}
	return n_in || n_ran || n_events || n_out;
}

static void step(void)
{
	bool moved;

	do {
		moved = drive(HOST_SERVER);
		moved |= drive(HOST_CLIENT);
		if (!moved)
			break;
		accept_all();
		who_calls();
		for (struct call *k = w.calls; k < w.calls + CALLS_AT_ONCE; k++) {
			if (!k->is_used)
				continue;
			talk(k, HOST_SERVER);
			talk(k, HOST_CLIENT);
			close_call(k);
		}
	} while (moved);
}

/* --- the flood --- */

static uint32_t put_syn(uint8_t *buf, size_t room)
{
	struct berth_addr victim = soak_addr(w.family, 0, 1, 0);
	struct port_addr dst = port_addr_from6(victim.ip, 0), src;
	struct wire_tcp t = {.dst_port = PORT, .flags = WIRE_TCP_SYN, .window = 1024};
	uint8_t from[16] = {0x20, 0x01, 0x0d, 0xb8};
	uint64_t r = rng_u64(&w.rng), at = rng_u64(&w.rng);
	int ip, n;

	memcpy(from + 8, &at, 8);
	src = w.family == 6 ? port_addr_from6(from, 0)
			    : port_addr_v4(198, (uint8_t)(18 + (at & 1)), from[9], from[10]); /* RFC 2544's nets */
	t.seq = (uint32_t)r;
	t.src_port = (uint16_t)(r >> 32 | 1);
	t.options = (struct wire_tcp_options){.has = WIRE_TCP_HAS_MSS | WIRE_TCP_HAS_SACK_OK | WIRE_TCP_HAS_WSCALE,
					      .mss = 1460,
					      .wscale = 7};
	if (r >> 63) {
		t.options.has |= WIRE_TCP_HAS_TS;
		t.options.ts_val = (uint32_t)at;
	}
	n = (int)(WIRE_TCP_LEN + wire_tcp_options_len(&t.options));
	if (w.family == 4) {
		struct wire_ip4 h = {.src = src,
				     .dst = dst,
				     .ttl = 60,
				     .proto = WIRE_PROTO_TCP,
				     .df = true,
				     .payload.len_bytes = (size_t)n};

		ip = wire_ip4_emit(&h, buf, room);
	} else {
		struct wire_ip6 h = {.src = src,
				     .dst = dst,
				     .hops = 60,
				     .proto = WIRE_PROTO_TCP,
				     .payload.len_bytes = (size_t)n};

		ip = wire_ip6_emit(&h, buf, room);
	}
	EXPECT(ip > 0 && wire_tcp_emit(&t, buf + ip, room - (size_t)ip) == n, "flood: a SYN");
	wire_checksum_fill(&src, &dst, WIRE_PROTO_TCP, buf + ip, (size_t)n, 0, 0);
	return (uint32_t)(ip + n);
}

static void flood_batch(void)
{
	static uint8_t frames[BATCH][128];
	struct berth_rx rx[BATCH];

	for (unsigned i = 0; i < BATCH; i++)
		rx[i] = (struct berth_rx){.head = frames[i], .head_len = put_syn(frames[i], sizeof(frames[i]))};
	WORK(&w.flood, input, BATCH, berth_stack_input(w.h[HOST_SERVER].st, rx, BATCH, w.now_ns));
	w.n_syns += BATCH;
}

static void add(const struct work_book *from)
{
	for (int i = 0; i < N_CALLS; i++) {
		w.book.calls[i].n += from->calls[i].n;
		w.book.calls[i].blocks += from->calls[i].blocks;
		if (from->calls[i].most > w.book.calls[i].most)
			w.book.calls[i].most = from->calls[i].most;
	}
}

static void judge(unsigned ms, uint64_t retrans_before)
{
	const struct soak_host *v = &w.h[HOST_SERVER];
	struct berth_counters n = soak_counters(v), c = soak_counters(&w.h[HOST_CLIENT]);
	struct berth_usage u = {.struct_size = sizeof(u)};

	berth_stack_usage(v->st, &u);
	printf("flood, IPv%d: %" PRIu64 " SYNs in %u ms, %" PRIu64 " answers, %" PRIu64 " cookies; %" PRIu64
	       " real connections of %" PRIu64
	       ", the slowest took %.1f ms; at most: blocks %u, handshakes %u, packets %u\n",
	       w.family, w.n_syns, ms, w.n_answers, n.tcp_cookies_sent, w.n_served, w.n_begun,
	       (double)w.slowest_ns / 1e6, u.conns.peak, u.syns.peak, u.packets.peak);
	EXPECT(w.n_served == w.n_begun && w.n_begun >= (uint64_t)CALLS_PER_S * ms / 1000,
	       "flood: %" PRIu64 " clients of %" PRIu64 " were served", w.n_served, w.n_begun);
	EXPECT(c.tcp_retrans == retrans_before && w.slowest_ns < 100 * MS,
	       "flood: a client had to repeat itself: %" PRIu64 " times, %.1f ms", c.tcp_retrans,
	       (double)w.slowest_ns / 1e6);
	EXPECT(n.tcp_cookies_ok >= w.n_served / 2, "flood: %" PRIu64 " came by a cookie", n.tcp_cookies_ok);
	EXPECT(u.syns.peak <= u.syns.limit && u.conns.peak <= 3 * CALLS_AT_ONCE,
	       "flood: memory: %u handshakes, %u blocks", u.syns.peak, u.conns.peak);
	/* One SYN-ACK each; those of the cache are repeated five times. */
	EXPECT(w.n_answers <= w.n_syns + 5 * v->config.n_syn, "flood: %" PRIu64 " answers to %" PRIu64 " SYNs",
	       w.n_answers, w.n_syns);
}

void soak_flood(unsigned ms, int family)
{
	struct work_book first = {0}, last = {0};
	uint64_t end_ns, next_call_ns, until_ns;
	unsigned tenth = 0;

	memset(callers, 0, sizeof(callers));
	set_up(family);
	next_call_ns = w.now_ns;
	end_ns = w.now_ns + ms * MS;
	for (uint64_t began_ns = w.now_ns; w.now_ns < end_ns; w.now_ns += BATCH * SYN_NS) {
		if (w.now_ns >= next_call_ns) {
			begin_call();
			next_call_ns += SEC / CALLS_PER_S;
		}
		flood_batch();
		step();
		if (w.now_ns >= began_ns + ms * MS * (tenth + 1) / 10) {
			soak_look(&w.h[HOST_SERVER], "flood");
			if (tenth++ == 1) /* the first one fills the cache */
				first = w.flood;
			last = w.flood;
			add(&w.flood);
			memset(&w.flood, 0, sizeof(w.flood));
		}
	}
	add(&w.flood);
	for (until_ns = w.now_ns + 200 * SEC; w.now_ns < until_ns; w.now_ns += 1 * MS)
		step();
	judge(ms, 0);
	work_print(&w.book);
	work_expect_bounded(&w.book, "flood");
	work_expect_no_drift(&first, &last, first.calls[CALL_input].n, last.calls[CALL_input].n, "flood");
	for (unsigned i = 0; i < 2; i++) {
		soak_expect_back(&w.h[i], "flood");
		soak_free(&w.h[i]);
		fault_free(w.to[i]);
	}
}
