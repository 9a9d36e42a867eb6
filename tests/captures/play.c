/* tests/captures/play.c: plays captures of attacks against a stack that is at work, and judges all by the same rules.
 *
 *	play FILE...	each in a process of its own; TAP
 *	play -v FILE	what came of it: answers, counters, work
 *
 *	friend ---- 5 ms, 200 KB/s ---- victim <---- the capture's frames, in no queue
 *
 * The victim serves one polite connection (300,000 octets each way) and a hundred datagrams while the capture's frames come, and listens for
 * strangers as the capture says. The same world runs once more without the frames; what differs is the attack's doing. Rules, for each:
 *	- the polite connection and the datagrams end as they should, every octet right;
 *	- berth_stack_check() after each frame, and no ASSERT; nothing is above its limit, at any time;
 *	- no frame costs more work than soak.h's bound;
 *	- the answers are as many as the capture says (`answers`), the counters that show where it was noticed moved (`counters`), others are within
 *	  `limits`, and what the victim's program was to hear of the stranger it heard (`heard`);
 *	- what leaves for the friend has a hop limit that takes it there (32);
 *	- a stranger whose octets were all read announced no others as urgent;
 *	- when all is over, memory and ports are as before.
 */
#include "play.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link/fault.h"
#include "stack/tcp.h"
#include "wire/checksum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

#define PORT 80
#define FRIENDS_PORT 40000
#define UDP_PORT 53
#define OCTETS 300000u
#define DGRAMS 100u
#define DGRAM_EVERY (20 * MS)
#define DGRAM_BYTES(i) ((i) % 10 == 9 ? 2000u : 100u) /* every tenth in fragments */
#define BEGINS (300 * MS)			      /* after the polite connection's beginning */
#define STRANGERS 16

enum { VICTIM, FRIEND };

struct end {
	berth_sock s;
	bool has_eof, is_shut, is_over;
	uint32_t sent, got;
};

static bool is_verbose;

/* A world. */
static struct {
	struct soak_host h[2];
	struct work_book book, attack;
	struct fault *to[2];
	berth_sock listener, udp[2];
	struct end end[2];
	struct {
		berth_sock s;
		uint64_t sent;
	} strangers[STRANGERS];
	uint32_t dgrams_sent, dgrams_back;
	uint64_t now_ns, begin_ns, frames_out, heard;
	uint32_t iss[65536]; /* by the attacker's port */
	uint32_t isns[64];   /* of all SYN-ACKs to strangers, in order */
	unsigned n_isns;
	const struct capture *c;
	struct rng rng;
} w;

/* What a world came to. */
struct outcome {
	uint64_t frames_out;
	struct berth_counters n;
};

/* --- the polite programs --- */

static uint64_t key_of(unsigned from)
{
	return UINT64_C(0x5f3759df1234567) + from;
}

static void run_end(unsigned me)
{
	struct end *e = &w.end[me];
	uint8_t buf[4096];
	int64_t n;

	while (e->s && !e->has_eof && (n = berth_sock_recv(w.h[me].st, e->s, buf, sizeof(buf))) != -EAGAIN &&
	       n != -ENOTCONN) {
		EXPECT(n >= 0, "the polite connection: %s, after %u octets", strerror((int)-n), e->got);
		for (int64_t i = 0; i < n; i++, e->got++)
			EXPECT(buf[i] == soak_octet(key_of(!me), e->got), "the polite connection: octet %u is wrong",
			       e->got);
		e->has_eof = n == 0;
	}
	while (e->s && e->sent < OCTETS) {
		uint32_t len = OCTETS - e->sent < sizeof(buf) ? OCTETS - e->sent : (uint32_t)sizeof(buf);

		for (uint32_t i = 0; i < len; i++)
			buf[i] = soak_octet(key_of(me), e->sent + i);
		n = berth_sock_send(w.h[me].st, e->s, buf, len, 0);
		if (n == -EAGAIN || n == -ENOTCONN)
			break;
		EXPECT(n >= 0, "the polite connection: send: %s", strerror((int)-n));
		e->sent += (uint32_t)n;
	}
	if (e->s && e->sent == OCTETS && !e->is_shut) {
		EXPECT(berth_sock_shutdown(w.h[me].st, e->s, BERTH_SHUT_WR) == 0, "shutdown");
		e->is_shut = true;
	}
	if (e->s && e->has_eof && e->is_shut) {
		EXPECT(e->got == OCTETS, "the polite connection: %u octets of %u", e->got, OCTETS);
		EXPECT(berth_sock_close(w.h[me].st, e->s) == 0, "close");
		w.h[me].n_closing++;
		e->s = 0;
		e->is_over = true;
	}
}

/* When the next datagram leaves; BERTH_NEVER. */
static uint64_t next_dgram(void)
{
	return w.begin_ns && w.dgrams_sent < DGRAMS ? w.begin_ns + w.dgrams_sent * DGRAM_EVERY : BERTH_NEVER;
}

static void run_udp(void)
{
	struct berth_addr victim = soak_addr(w.c->family, 0, 1, UDP_PORT),
			  friend = soak_addr(w.c->family, 0, 2, UDP_PORT);
	uint8_t data[2048];

	while (next_dgram() <= w.now_ns) {
		struct berth_dgram d = {.peer = victim, .data = data, .len = DGRAM_BYTES(w.dgrams_sent)};

		for (uint32_t i = 0; i < d.len; i++)
			data[i] = soak_octet(w.dgrams_sent, i);
		EXPECT(berth_sock_udp_send(w.h[FRIEND].st, w.udp[FRIEND], &d, 1) == 1, "a datagram cannot be sent");
		w.dgrams_sent++;
	}
	for (unsigned me = 0; me < 2; me++) {
		struct berth_dgram d = {.data = data, .len = sizeof(data)};

		while (berth_sock_udp_recv(w.h[me].st, w.udp[me], &d, 1) == 1) {
			bool polite = memcmp(d.peer.ip, me == VICTIM ? friend.ip : victim.ip, 16) == 0 &&
				      d.peer.port == UDP_PORT;

			if (me == VICTIM && polite) {
				struct berth_dgram back = {.peer = d.peer, .data = data, .len = d.len};

				EXPECT(berth_sock_udp_send(w.h[me].st, w.udp[me], &back, 1) == 1,
				       "an echo cannot be sent");
			} else if (me == FRIEND) {
				EXPECT(polite && d.len == DGRAM_BYTES(w.dgrams_back),
				       "a datagram that nobody sent, or one is lost");
				for (uint32_t i = 0; i < d.len; i++)
					EXPECT(data[i] == soak_octet(w.dgrams_back, i),
					       "datagram %u: octet %u is wrong", w.dgrams_back, i);
				w.dgrams_back++;
			}
			d = (struct berth_dgram){.data = data, .len = sizeof(data)};
		}
	}
}

/* --- the victim's program, for strangers --- */

static bool serves(const char *what)
{
	return strcmp(w.c->serve, what) == 0;
}

static void end_stranger(unsigned i, bool abort)
{
	struct berth_stack *st = w.h[VICTIM].st;

	if (!w.strangers[i].s)
		return;
	EXPECT((abort ? berth_sock_abort(st, w.strangers[i].s) : berth_sock_close(st, w.strangers[i].s)) == 0, "close");
	w.h[VICTIM].n_closing++;
	w.strangers[i].s = 0;
}

static void run_stranger(unsigned i)
{
	struct berth_stack *st = w.h[VICTIM].st;
	uint8_t buf[4096] = {0};
	int64_t n = 1;

	while (serves("sink") && w.strangers[i].s && n > 0) {
		n = berth_sock_recv(st, w.strangers[i].s, buf, sizeof(buf));
		w.heard += n > 0 ? (uint64_t)n : 0;
	}
	if (serves("close")) {
		(void)berth_sock_send(st, w.strangers[i].s, buf, (uint32_t)w.c->serve_n, 0);
		end_stranger(i, false);
	}
	while (serves("source") && w.strangers[i].sent < w.c->serve_n && n > 0) {
		uint64_t left = w.c->serve_n - w.strangers[i].sent;

		n = berth_sock_send(st, w.strangers[i].s, buf,
				    left < sizeof(buf) ? (uint32_t)left : (uint32_t)sizeof(buf), 0);
		w.strangers[i].sent += n > 0 ? (uint64_t)n : 0;
	}
}

static void accept_all(void)
{
	struct berth_addr peer, friend = soak_addr(w.c->family, 0, 2, FRIENDS_PORT);
	berth_sock s;

	while (berth_sock_accept(w.h[VICTIM].st, w.listener, 0, &s, &peer) == 0) {
		unsigned i = 0;

		if (memcmp(peer.ip, friend.ip, 16) == 0 && peer.port == FRIENDS_PORT) {
			EXPECT(!w.end[VICTIM].s && !w.end[VICTIM].is_over, "the polite connection, twice");
			w.end[VICTIM].s = s;
			continue;
		}
		while (i < STRANGERS && w.strangers[i].s)
			i++;
		EXPECT(i < STRANGERS, "too many strangers");
		w.strangers[i].s = s;
		w.strangers[i].sent = 0;
	}
}

/* --- frames out --- */

/* A SYN-ACK to a stranger tells him our first number. */
static void note_isn(const struct berth_tx *tx)
{
	uint32_t ip = w.c->link == BERTH_LINK_ETHERNET ? 14 : 0, l4 = tx->head[ip] >> 4 == 6 ? 40 : 20;
	const uint8_t *p = tx->head + ip;

	if ((l4 == 40 ? p[6] : p[9]) != WIRE_PROTO_TCP || tx->head_len < ip + l4 + 20 || (p[l4 + 13] & 0x12) != 0x12)
		return;
	if (w.iss[wire_get16(p + l4 + 2)] == wire_get32(p + l4 + 4))
		return; /* again */
	w.iss[wire_get16(p + l4 + 2)] = wire_get32(p + l4 + 4);
	if (w.n_isns < COUNT_OF(w.isns))
		w.isns[w.n_isns++] = wire_get32(p + l4 + 4);
}

static bool is_for(unsigned host, const struct berth_tx *tx)
{
	const uint8_t *p = tx->head;

	if (w.c->link == BERTH_LINK_ETHERNET)
		return p[0] & 1 || (p[0] == 2 && p[5] == host + 1);
	if (p[0] >> 4 == 6)
		return memcmp(p + 24, soak_addr(6, 0, (uint8_t)(host + 1), 0).ip, 16) == 0;
	return memcmp(p + 16, soak_addr(4, 0, (uint8_t)(host + 1), 0).ip + 12, 4) == 0;
}

/* Of TCP and UDP; others have their own reasons. */
static unsigned hops_of(const struct berth_tx *tx)
{
	const uint8_t *p = tx->head + (w.c->link == BERTH_LINK_ETHERNET ? 14 : 0);
	uint8_t proto = p[0] >> 4 == 6 ? p[6] : p[9];

	if ((p[0] >> 4 != 6 && p[0] >> 4 != 4) || (proto != WIRE_PROTO_TCP && proto != WIRE_PROTO_UDP))
		return UINT8_MAX;
	return p[0] >> 4 == 6 ? p[7] : p[8];
}

static bool drive(unsigned me)
{
	static struct berth_tx tx[BATCH];
	struct soak_host *h = &w.h[me];
	struct berth_event ev[BATCH];
	struct berth_rx rx[BATCH];
	unsigned n_in = fault_take(w.to[me], 0, rx, BATCH, w.now_ns), n_out, n_ran = 0, n_events;

	if (n_in)
		berth_stack_input(h->st, rx, n_in, w.now_ns);
	if (berth_stack_deadline(h->st) <= w.now_ns)
		WORK(&w.book, tick, n_ran, n_ran = berth_stack_tick(h->st, w.now_ns, BATCH));
	n_events = berth_stack_events(h->st, ev, BATCH);
	for (unsigned i = 0; i < n_events; i++)
		h->n_closing -= (ev[i].mask & BERTH_EV_CLOSED) != 0;
	WORK(&w.book, output, 1, n_out = berth_stack_output(h->st, tx, BATCH, w.now_ns));
	for (unsigned i = 0; i < n_out; i++) {
		if (is_for(!me, &tx[i])) {
			EXPECT(hops_of(&tx[i]) >= 32, "a packet leaves with a hop limit of %u", hops_of(&tx[i]));
			fault_put(w.to[!me], &tx[i], w.now_ns);
		} else if (me == VICTIM) {
			note_isn(&tx[i]);
		}
		w.frames_out += me == VICTIM;
	}
	return n_in || n_ran || n_events || n_out;
}

static void step(void)
{
	bool moved;

	do {
		moved = drive(VICTIM);
		moved |= drive(FRIEND);
		accept_all();
		for (unsigned i = 0; i < 2; i++)
			run_end(i);
		run_udp();
		for (unsigned i = 0; i < STRANGERS; i++)
			if (w.strangers[i].s)
				run_stranger(i);
	} while (moved);
}

static void run_until(uint64_t until_ns)
{
	for (;;) {
		uint64_t at = until_ns, t;

		step();
		for (unsigned i = 0; i < 2; i++) {
			t = berth_stack_deadline(w.h[i].st);
			at = t < at ? t : at;
			t = fault_deadline(w.to[i]);
			at = t < at ? t : at;
		}
		t = next_dgram();
		at = t < at ? t : at;
		if (w.now_ns >= until_ns)
			return;
		w.now_ns = at > w.now_ns ? at : w.now_ns;
	}
}

/* --- a world --- */

static uint16_t host_up(unsigned i)
{
	struct berth_stack_config c =
		{.n_conns = 64, .n_udp = 8, .n_syn = 32, .n_time_wait = 16, .n_neighs = 64, .n_packets = 128};
	struct berth_addr net;
	uint16_t f;

	c.frag_bytes = 128 << 10;
	c.rx_ring_bytes = c.tx_ring_bytes = 65536;
	c.udp_ring_bytes = 16384;
	soak_boot(&w.h[i], i == VICTIM ? "victim" : "friend", &c, w.now_ns);
	w.h[i].book = &w.book;
	f = soak_iface(&w.h[i], w.c->link, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)(i + 1)},
		       i == VICTIM ? w.c->iface_flags : BERTH_IF_NO_DAD);
	for (int family = 4; family <= 6; family += 2) {
		/* The rest of the world is where the attacker is: 10.0.0.254, whose link address is known. */
		struct berth_addr any = family == 4 ? berth_addr4(0, 0, 0, 0, 0) : (struct berth_addr){0},
				  way = soak_addr(family, 0, 254, 0);
		bool eth = w.c->link == BERTH_LINK_ETHERNET;

		net = soak_addr(family, 0, (uint8_t)(i + 1), 0);
		soak_address(&w.h[i], f, &net);
		EXPECT(!eth || berth_neigh_add(w.h[i].st, f, &way, (uint8_t[6]){2, 0, 0, 0, 0, 254}) == 0,
		       "setup: neighbour");
		EXPECT(berth_route_add(w.h[i].st, &any, 0, eth ? &way : NULL, f, 1) == 0, "setup: route");
	}
	return f;
}

static void open_udp(unsigned i)
{
	struct berth_addr any = {.port = UDP_PORT};

	EXPECT(berth_sock_open(w.h[i].st, BERTH_UDP, BERTH_IPV6, 0, &w.udp[i]) == 0, "setup: UDP");
	EXPECT(berth_sock_bind(w.h[i].st, w.udp[i], &any) == 0, "setup: UDP port");
}

static void begin(const struct capture *c)
{
	struct fault_config wire = {.link = c->link, .wire = true, .delay_ns = 5 * MS, .rate_bps = 200000};
	struct berth_addr from = soak_addr(c->family, 0, 2, FRIENDS_PORT), to = soak_addr(c->family, 0, 1, PORT);

	memset(&w, 0, sizeof(w));
	w.c = c;
	w.now_ns = 1000 * SEC;
	rng_init_stream(&w.rng, 1, "attack");
	for (unsigned i = 0; i < 2; i++) {
		w.to[i] = fault_new(&wire, 1, i == VICTIM ? "victim" : "friend");
		EXPECT(w.to[i], "setup: no memory");
		(void)host_up(i);
	}
	run_until(w.now_ns + 10 * SEC); /* addresses are good, routers were asked for */
	w.listener = soak_listen(&w.h[VICTIM], PORT, 16);
	for (unsigned i = 0; i < 2; i++) {
		open_udp(i);
		soak_settled(&w.h[i]);
	}
	EXPECT(berth_sock_open(w.h[FRIEND].st, BERTH_TCP, c->family, 0, &w.end[FRIEND].s) == 0, "setup: open");
	EXPECT(berth_sock_bind(w.h[FRIEND].st, w.end[FRIEND].s, &from) == 0, "setup: bind");
	EXPECT(berth_sock_connect(w.h[FRIEND].st, w.end[FRIEND].s, &to) == -EINPROGRESS, "setup: connect");
	w.begin_ns = w.now_ns;
	run_until(w.begin_ns + BEGINS);
	EXPECT(w.end[VICTIM].s, "setup: no polite connection");
}

static void free_world(void)
{
	for (unsigned i = 0; i < 2; i++) {
		soak_free(&w.h[i]);
		fault_free(w.to[i]);
	}
}

/* --- the attack --- */

static uint32_t base_now(const struct mark *m)
{
	struct berth_tcp_info t = {.struct_size = sizeof(t)};

	if (m->base == BASE_ISS)
		return w.iss[m->port];
	EXPECT(w.end[VICTIM].s && berth_sock_tcp_info(w.h[VICTIM].st, w.end[VICTIM].s, &t) == 0,
	       "the polite connection was over before the attack");
	switch ((enum base)m->base) {
	case BASE_RCV_NXT:
		return t.rcv_nxt;
	case BASE_UNA:
		return t.snd_una;
	case BASE_TS:
		return tcp_at(w.h[VICTIM].st, (uint32_t)w.end[VICTIM].s)->ts_recent;
	default:
		return t.snd_nxt;
	}
}

/* A word of the frame changes, and the checksums that cover it: what was wrong stays as wrong as it was. */
static void change(uint8_t *p, const struct mark *m, uint32_t at, uint16_t to)
{
	uint16_t was = wire_get16(p + at);

	wire_put16(p + at, to);
	for (unsigned i = 0; i < m->n_sums; i++)
		wire_put16(p + m->sums[i], wire_checksum_update16(wire_get16(p + m->sums[i]), was, to));
}

static void inject(const struct frame *f, bool look)
{
	uint8_t *data = malloc(f->len ? f->len : 1); /* its own, so that sanitizers see a read past its end */
	uint32_t head = f->split && f->split < f->len ? f->split : f->len;
	struct berth_part parts[2] = {{data + head, (f->len - head) / 2},
				      {data + head + (f->len - head) / 2, (f->len - head + 1) / 2}};
	struct berth_rx rx = {.head = data, .head_len = head, .parts = parts, .n_parts = head < f->len ? 2 : 0};

	EXPECT(data, "no memory");
	memcpy(data, f->data, f->len);
	for (unsigned i = 0; i < f->n_live; i++) {
		uint32_t to = wire_get32(data + f->live[i].at) + base_now(&f->live[i]);

		change(data, &f->live[i], f->live[i].at, (uint16_t)(to >> 16));
		change(data, &f->live[i], f->live[i].at + 2u, (uint16_t)to);
	}
	for (unsigned i = 0; i < f->n_vary; i++)
		change(data, &f->vary[i], f->vary[i].at, (uint16_t)rng_u64(&w.rng));
	if (f->has_rx) {
		rx.gso = (uint8_t)f->gso;
		rx.gso_size = (uint16_t)f->gso_size;
		rx.flags = (uint8_t)f->flags;
		rx.csum_start = (uint16_t)f->csum_start;
		rx.csum_offset = (uint16_t)f->csum_offset;
	}
	WORK(&w.attack, input, 1, berth_stack_input(w.h[VICTIM].st, &rx, 1, w.now_ns));
	free(data);
	if (look)
		soak_look(&w.h[VICTIM], f->text);
	step();
}

static void attack(void)
{
	const struct capture *c = w.c;

	if (c->adds_address) {
		struct berth_addr a = soak_addr(c->family, 0, 99, 0);

		soak_address(&w.h[VICTIM], 0, &a);
	}
	for (unsigned i = 0; i < c->n_frames; i++)
		for (uint32_t n = 0; n < c->frames[i].repeat; n++) {
			uint64_t at =
				w.begin_ns + BEGINS + c->frames[i].at_ns + (uint64_t)n * c->frames[i].every_us * 1000;

			run_until(at > w.now_ns ? at : w.now_ns);
			inject(&c->frames[i], n < 100 || n % 16 == 0);
		}
}

static void finish(void)
{
	run_until(w.now_ns + 2 * SEC);
	for (unsigned i = 0; i < STRANGERS; i++) {
		bool all_read = w.strangers[i].s && serves("sink");

		EXPECT(!all_read || !(berth_sock_poll(w.h[VICTIM].st, w.strangers[i].s) & BERTH_EV_PRI),
		       "urgent data is announced that a stranger never sent");
		end_stranger(i, true);
	}
	run_until(w.begin_ns + 120 * SEC);
	for (unsigned i = 0; i < 2; i++)
		EXPECT(w.end[i].is_over, "the polite connection did not end: the %s heard %u octets of %u",
		       i == VICTIM ? "victim" : "friend", w.end[i].got, OCTETS);
	EXPECT(w.dgrams_back == DGRAMS, "%u datagrams of %u came back", w.dgrams_back, DGRAMS);
	run_until(w.begin_ns + 400 * SEC); /* TIME-WAIT, handshakes, reassembly, neighbours: all over */
	for (unsigned i = 0; i < 2; i++)
		soak_expect_back(&w.h[i], i == VICTIM ? "the victim" : "the friend");
}

static struct outcome run(const struct capture *c, bool is_attacked)
{
	struct outcome o;

	begin(c);
	if (is_attacked)
		attack();
	finish();
	o.frames_out = w.frames_out;
	o.n = soak_counters(&w.h[VICTIM]);
	free_world();
	return o;
}

/* --- what came of it --- */

static uint64_t counter(const struct berth_counters *n, const char *name)
{
#define SHOW(x)                    \
	if (strcmp(name, #x) == 0) \
		return n->x;
	BERTH_COUNTERS(SHOW)
#undef SHOW
	soak_fail("no counter '%s'", name);
}

static void print(const struct outcome *a, const struct outcome *b)
{
	printf("# answers %" PRId64 ", heard %" PRIu64 ", work of a frame at most %" PRIu64 "\n#",
	       (int64_t)(a->frames_out - b->frames_out), w.heard, w.attack.calls[CALL_input].most);
#define SHOW(x)               \
	if (a->n.x != b->n.x) \
		printf(" " #x " %+" PRId64, (int64_t)(a->n.x - b->n.x));
	BERTH_COUNTERS(SHOW)
#undef SHOW
	putchar('\n');
}

/* First numbers of one listener's SYN-ACKs, for who calls from one port after the other: no two steps are the same, and few are small. */
static void judge_isns(void)
{
	unsigned n_small = 0;

	EXPECT(w.n_isns >= 8, "only %u first numbers", w.n_isns);
	for (unsigned i = 1; i < w.n_isns; i++) {
		uint32_t by = w.isns[i] - w.isns[i - 1];

		n_small += by < 1u << 26 || by > ~(1u << 26);
		for (unsigned k = 1; k < i; k++)
			EXPECT(by != w.isns[k] - w.isns[k - 1], "first numbers go by steps");
	}
	EXPECT(n_small <= 2, "%u of %u steps of first numbers are small", n_small, w.n_isns - 1);
}

static void judge(const struct capture *c)
{
	struct outcome b = run(c, false), a = run(c, true);
	int64_t answers = (int64_t)(a.frames_out - b.frames_out);

	if (is_verbose)
		print(&a, &b);
	EXPECT(answers <= c->allow && answers >= c->least, "%" PRId64 " answers, %" PRId64 " to %" PRId64 " are right",
	       answers, c->least, c->allow);
	for (unsigned i = 0; i < c->n_expect; i++) {
		uint64_t n = counter(&a.n, c->expect[i].name) - counter(&b.n, c->expect[i].name);

		EXPECT((int64_t)n >= (int64_t)c->expect[i].n, "%s moved by %" PRId64 ", %" PRIu64 " were expected",
		       c->expect[i].name, (int64_t)n, c->expect[i].n);
	}
	for (unsigned i = 0; i < c->n_limit; i++) {
		uint64_t n = counter(&a.n, c->limit[i].name) - counter(&b.n, c->limit[i].name);

		EXPECT((int64_t)n <= (int64_t)c->limit[i].n, "%s moved by %" PRId64 ", at most %" PRIu64 " was right",
		       c->limit[i].name, (int64_t)n, c->limit[i].n);
	}
	EXPECT(!c->has_heard || w.heard == c->heard,
	       "the victim's program heard %" PRIu64 " octets of the stranger, %" PRIu64 " is right", w.heard,
	       c->heard);
	if (c->isns)
		judge_isns();
	work_expect_bounded(&w.attack, "the attack");
}

static int play(const char *path)
{
	static struct capture c;
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		capture_read(&c, path);
		judge(&c);
		capture_free(&c);
		exit(0);
	}
	EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	return status;
}

int main(int argc, char **argv)
{
	int n_failed = 0, first = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && strcmp(argv[1], "-v") == 0) {
		is_verbose = true;
		first++;
	}
	printf("1..%d\n", argc - first);
	for (int i = first; i < argc; i++) {
		const char *name = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
		int status = play(argv[i]);

		n_failed += status != 0;
		printf("%sok %d %s%s\n", status ? "not " : "", i - first + 1, name,
		       status && !WIFEXITED(status) ? ": it crashed" : "");
	}
	return n_failed ? 1 : 0;
}
