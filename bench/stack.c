/* bench/stack.c: what the stack itself costs: two of them in one process, joined by nothing, on one core.
 *
 *     stack [--quick] [--only NAME]
 *
 * A frame that one stack gives out is given to the other as it is: its head and parts are pointed at, nothing is copied between
 * them, and no system call is made but for the clock. What is left is the stacks' own work, both ends', and the program's part: "copied" writes
 * with berth_sock_send() and reads with berth_sock_recv(); "in place" fills and empties the rings where they are.
 *
 * What is counted is the processor's time, not the clock's: a busy machine does not make the stack look slower than it is (its caches
 * do). Goals stand behind the figures.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <berth/stack.h>

#include "base/rng.h"
#include "measure.h"
#include "port/demux.h"
#include "stack/tcp.h"

#define BATCH 32u
#define N_PORTS 64

static struct berth_stack *st[2];
static void *memory[2];
static size_t memory_len[2];
static double length_s = 1.0;

/* Seconds of this program's own time on a processor; it is the stacks' clock, too. */
static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t now_ns(void)
{
	return (uint64_t)(cpu_s() * 1e9);
}

#define MUST(e)                            \
	do {                               \
		int64_t r_ = (int64_t)(e); \
		if (r_ < 0) {              \
			errno = (int)-r_;  \
			fail(#e);          \
		}                          \
	} while (0)

static void *map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	madvise(p, n, MADV_HUGEPAGE); /* a wish: a big table is otherwise a matter of page tables */
	memset(p, 0, n);	      /* and the kernel's part is done before the clock runs */
	return p;
}

static void begin(uint32_t if_flags, uint32_t mtu_bytes, const struct berth_stack_config *config)
{
	for (int i = 0; i < 2; i++) {
		struct berth_stack_config c = *config;
		struct berth_iface f = {.struct_size = sizeof(f),
					.link = BERTH_LINK_IP,
					.flags = if_flags | BERTH_IF_NO_DAD,
					.mtu_bytes = mtu_bytes};
		struct berth_addr a = berth_addr4(10, 0, 0, (uint8_t)(i + 1), 0);
		struct berth_port_settings ports = {1024, 65535, 0};
		uint16_t n;

		c.struct_size = sizeof(c);
		memset(c.secret, 1 + i, sizeof(c.secret));
		memory_len[i] = berth_stack_size(&c);
		memory[i] = map(memory_len[i]);
		MUST(berth_stack_init(&st[i], memory[i], memory_len[i], &c, now_ns()));
		MUST(berth_iface_add(st[i], &f, &n));
		MUST(berth_addr_add(st[i], n, &a, 24));
		MUST(berth_stack_set_ports(st[i], &ports));
	}
}

static void end(void)
{
	for (int i = 0; i < 2; i++)
		munmap(memory[i], memory_len[i]);
}

static uint64_t n_segments; /* frames, both ways */

static int carry(int from, uint64_t now)
{
	static struct berth_tx tx[BATCH];
	struct berth_rx rx[BATCH];
	unsigned n = berth_stack_output(st[from], tx, BATCH, now);

	for (unsigned i = 0; i < n; i++)
		rx[i] = (struct berth_rx){
			.head = tx[i].head,
			.parts = tx[i].parts,
			.head_len = tx[i].head_len,
			.n_parts = tx[i].n_parts,
			.iface = 0,
			.gso = tx[i].gso,
			.flags = (uint8_t)(tx[i].flags | (tx[i].flags & BERTH_F_NEEDS_CSUM ? BERTH_F_DATA_VALID : 0)),
			.gso_size = tx[i].gso_size,
			.csum_start = tx[i].csum_start,
			.csum_offset = tx[i].csum_offset,
		};
	if (n > 0)
		berth_stack_input(st[1 - from], rx, n, now);
	n_segments += n;
	return n > 0;
}

static void exchange(uint64_t now)
{
	while (carry(0, now) | carry(1, now))
		;
	for (int i = 0; i < 2; i++)
		if (berth_stack_deadline(st[i]) <= now)
			berth_stack_tick(st[i], now, 256);
}

static void drop_events(void)
{
	struct berth_event ev[64];

	for (int i = 0; i < 2; i++)
		while (berth_stack_events(st[i], ev, 64) == 64)
			;
}

static berth_sock listener(uint16_t port, unsigned backlog)
{
	struct berth_addr a = berth_addr4(0, 0, 0, 0, port);
	berth_sock s;

	MUST(berth_sock_open(st[1], BERTH_TCP, BERTH_IPV4, 0, &s));
	MUST(berth_sock_bind(st[1], s, &a));
	MUST(berth_sock_listen(st[1], s, backlog));
	return s;
}

static berth_sock caller(uint16_t port)
{
	struct berth_addr a = berth_addr4(10, 0, 0, 2, port);
	berth_sock s;
	int r;

	MUST(berth_sock_open(st[0], BERTH_TCP, BERTH_IPV4, 0, &s));
	r = berth_sock_connect(st[0], s, &a);
	if (r != -EINPROGRESS)
		MUST(r);
	return s;
}

static void row(const char *what, double value, const char *unit, double goal, bool at_most)
{
	bool good = goal == 0 || (at_most ? value <= goal : value >= goal);

	printf("  %-56s %10.2f %-22s", what, value, unit);
	if (goal != 0)
		printf(" (%s %.3g: %s)", at_most ? "at most" : "goal", goal, good ? "yes" : "no");
	putchar('\n');
	fflush(stdout);
}

/* --- bulk --- */
static void bulk(const char *what, uint32_t flags, uint32_t mtu, bool copied, double goal)
{
	struct berth_stack_config c = {.n_conns = 16, .rx_ring_bytes = 1 << 20, .tx_ring_bytes = 1 << 20};
	static uint8_t buffer[65536];
	berth_sock l, a, b;
	uint64_t got = 0, frames;
	double t0, t;

	begin(flags, mtu, &c);
	l = listener(80, 4);
	a = caller(80);
	exchange(now_ns());
	MUST(berth_sock_accept(st[1], l, 0, &b, NULL));
	t0 = cpu_s();
	frames = n_segments;
	for (t = t0; t - t0 < length_s; t = cpu_s()) {
		uint64_t now = now_ns();

		for (int round = 0; round < 16; round++) {
			struct berth_part v[2];
			int64_t n;

			if (copied) {
				while (berth_sock_send(st[0], a, buffer, sizeof(buffer), 0) > 0)
					;
			} else {
				n = berth_sock_tx_space(st[0], a, v);
				if (n > 0)
					MUST(berth_sock_tx_commit(st[0], a, (uint32_t)n, 0));
			}
			exchange(now);
			if (copied) {
				while ((n = berth_sock_recv(st[1], b, buffer, sizeof(buffer))) > 0)
					got += (uint64_t)n;
			} else {
				n = berth_sock_rx_peek(st[1], b, v);
				if (n > 0) {
					got += (uint64_t)n;
					MUST(berth_sock_rx_consume(st[1], b, (uint32_t)n));
				}
			}
		}
	}
	row(what, (double)got * 8 / (t - t0) / 1e9, "Gbit/s", goal, false);
	printf("      %.0f frames a second both ways, %.0f octets each way a frame\n",
	       (double)(n_segments - frames) / (t - t0), (double)got / (double)(n_segments - frames));
	end();
}

/* --- small segments: many connections, 64 octets each, one segment each time --- */
static void small_segments(double goal)
{
	enum { N = 256 };
	struct berth_stack_config c = {.n_conns = 1024};
	static berth_sock a[N], b[N];
	uint8_t octets[64] = {0};
	uint64_t frames, messages = 0;
	berth_sock l;
	double t0, t;

	begin(BERTH_IF_TX_CSUM, 1500, &c);
	l = listener(80, N);
	for (int i = 0; i < N; i++) {
		a[i] = caller(80);
		exchange(now_ns());
		MUST(berth_sock_accept(st[1], l, 0, &b[i], NULL));
		MUST(berth_sock_set(st[0], a[i], BERTH_NODELAY, 1));
	}
	drop_events();
	t0 = cpu_s();
	frames = n_segments;
	for (t = t0; t - t0 < length_s; t = cpu_s()) {
		uint64_t now = now_ns();

		for (int i = 0; i < N; i++)
			MUST(berth_sock_send(st[0], a[i], octets, sizeof(octets), 0));
		exchange(now);
		for (int i = 0; i < N; i++) {
			int64_t n = berth_sock_recv(st[1], b[i], octets, sizeof(octets));

			if (n != (int64_t)sizeof(octets))
				fail("a message is missing");
		}
		messages += N;
		drop_events();
	}
	row("64-octet segments, 256 connections", (double)messages / (t - t0) / 1e6, "million/s", goal, false);
	printf("      %.2f million frames a second with their acknowledgments\n",
	       (double)(n_segments - frames) / (t - t0) / 1e6);
	end();
}

/* --- connections --- */
static void connect_close(double goal)
{
	enum { AT_ONCE = 32 };
	struct berth_stack_config c = {.n_conns = 1024};
	berth_sock l[N_PORTS], a[AT_ONCE], b[AT_ONCE];
	uint64_t n = 0;
	unsigned port = 0;
	double t0, t;

	begin(BERTH_IF_TX_CSUM, 1500, &c);
	for (uint16_t i = 0; i < N_PORTS; i++)
		l[i] = listener((uint16_t)(100 + i), AT_ONCE);
	t0 = cpu_s();
	for (t = t0; t - t0 < length_s; t = cpu_s()) {
		uint64_t now = now_ns();

		port = (port + 1) % N_PORTS;
		for (int i = 0; i < AT_ONCE; i++)
			a[i] = caller((uint16_t)(100 + port));
		exchange(now);
		for (int i = 0; i < AT_ONCE; i++) {
			MUST(berth_sock_accept(st[1], l[port], 0, &b[i], NULL));
			MUST(berth_sock_close(st[0], a[i]));
		}
		exchange(now);
		for (int i = 0; i < AT_ONCE; i++)
			MUST(berth_sock_close(st[1], b[i]));
		exchange(now);
		drop_events();
		n += AT_ONCE;
	}
	row("connect, accept, close both ends", (double)n / (t - t0) / 1e3, "thousand/s", goal, false);
	end();
}

/* --- UDP --- */
static void datagrams(const char *what, uint32_t flags, uint32_t len, uint16_t gso_size)
{
	struct berth_stack_config c = {.n_udp = 4, .udp_ring_bytes = 1 << 20};
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	static uint8_t out[65536], in[65536];
	struct berth_dgram d[BATCH];
	uint64_t n = 0, octets = 0;
	berth_sock a, b;
	double t0, t;

	begin(flags, 1500, &c);
	MUST(berth_sock_open(st[0], BERTH_UDP, BERTH_IPV4, 0, &a));
	MUST(berth_sock_open(st[1], BERTH_UDP, BERTH_IPV4, 0, &b));
	MUST(berth_sock_bind(st[1], b, &at));
	MUST(berth_sock_connect(st[0], a, &at));
	t0 = cpu_s();
	for (t = t0; t - t0 < length_s; t = cpu_s()) {
		uint64_t now = now_ns();
		int r;

		for (unsigned i = 0; i < BATCH; i++)
			d[i] = (struct berth_dgram){.data = out,
						    .len = len,
						    .gso_size = gso_size,
						    .iface = BERTH_IFACE_ANY};
		MUST(berth_sock_udp_send(st[0], a, d, gso_size != 0 ? 8 : BATCH));
		exchange(now);
		do {
			for (unsigned i = 0; i < BATCH; i++)
				d[i] = (struct berth_dgram){.data = in, .len = sizeof(in), .gso_size = gso_size};
			r = berth_sock_udp_recv(st[1], b, d, BATCH);
			for (int i = 0; i < r; i++) {
				octets += d[i].len;
				n += gso_size != 0 ? (d[i].len + gso_size - 1) / gso_size : 1;
			}
		} while (r == (int)BATCH);
	}
	row(what, (double)n / (t - t0) / 1e6, "million datagrams/s", 0, false);
	printf("      %.2f Gbit/s\n", (double)octets * 8 / (t - t0) / 1e9);
	end();
}

/* --- look-ups --- */
static struct port_tuple *flows_make(struct port_table *t, void **ret_mem, size_t *ret_len, uint32_t n)
{
	static const uint8_t secret[16] = "bench lookups";
	const struct port_table_form form = {.n_claims = n, .n_places = 64, .lean = true};
	struct port_tuple *v = map(n * sizeof(*v));

	*ret_len = port_table_form_size(&form);
	*ret_mem = map(*ret_len);
	MUST(port_table_form_init(t, *ret_mem, *ret_len, &form, secret));
	for (uint32_t i = 0; i < n; i++) {
		struct port_claim c = {
			.addr = port_addr_v4(10, 0, 0, 1),
			.peer = port_addr_v4(11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i),
			.port = 80,
			.peer_port = (uint16_t)(1024 + i % 60000),
			.proto = PORT_TCP,
			.family = PORT_FAMILY_4,
			.state = CLAIM_ACCEPTED,
			.expires_us = NEVER_US,
			.user = i,
		};
		struct port_ref ref;

		MUST(port_table_put(t, &c, &ref));
		v[i] = (struct port_tuple){PORT_TCP, c.addr, c.peer, c.port, c.peer_port};
	}
	return v;
}

static double look_up(struct port_table *t, const struct port_tuple *v, uint32_t n_flows, unsigned batch,
		      unsigned *longest)
{
	struct port_tuple ask[BATCH];
	struct port_ref refs[BATCH];
	uint64_t users[BATCH], n = 0, sum = 0;
	struct rng rng;
	double took = 0;

	rng_init(&rng, 7);
	while (took < length_s / 4) {
		double t0;

		for (unsigned i = 0; i < BATCH; i++)
			ask[i] = v[rng_range(&rng, 0, n_flows - 1)];
		t0 = cpu_s();
		for (unsigned i = 0; i < BATCH; i += batch) {
			unsigned l = port_demux_batch(t, ask + i, batch, refs + i, users + i);

			*longest = l > *longest ? l : *longest;
		}
		took += cpu_s() - t0;
		for (unsigned i = 0; i < BATCH; i++)
			sum += refs[i].generation == 0;
		n += BATCH;
	}
	if (sum != 0)
		fail("a flow was not found");
	return took / (double)n * 1e9;
}

static void lookups(void)
{
	double ns[2];
	unsigned longest = 0;

	for (int k = 0; k < 2; k++) {
		uint32_t n = k == 0 ? 1000 : 1000000;
		struct port_table t;
		void *mem;
		size_t len;
		struct port_tuple *v = flows_make(&t, &mem, &len, n);
		char name[80];

		ns[k] = look_up(&t, v, n, BATCH, &longest);
		snprintf(name, sizeof(name), "look-up in batches of 32 among %u flows", n);
		row(name, ns[k], "ns each", 0, false);
		snprintf(name, sizeof(name), "one at a time among %u flows", n);
		row(name, look_up(&t, v, n, 1, &longest), "ns each", 0, false);
		munmap(mem, len);
		munmap(v, n * sizeof(*v));
	}
	row("a million flows over a thousand, in batches", ns[1] / ns[0], "times", 4, true);
	row("the longest chain that was walked", longest, "steps", 16, true);
	if (longest > 16)
		fail("chains are too long");
}

/* --- memory --- */
/* What a configuration of this many connections and one of all else sets aside, in all and in the heart. n_places and n_work: 0, as by
 * default, one for each. */
static size_t set_aside(uint32_t n_conns, uint32_t n_places, uint32_t n_work, size_t *ret_heart)
{
	const struct berth_stack_config c = {.struct_size = sizeof(c),
					     .n_conns = n_conns,
					     .n_udp = 1,
					     .n_syn = 1,
					     .n_time_wait = 1,
					     .n_packets = 1,
					     .frag_bytes = 1,
					     .n_rings = 1,
					     .n_bursts = 1,
					     .n_gaps = 1,
					     .n_work = n_work,
					     .n_places = n_places};
	const struct port_table_form f = {.n_claims = n_conns + 2, .n_places = n_places, .lean = true};

	*ret_heart = port_table_form_size(&f);
	return berth_stack_size(&c);
}

static void memory_of_connections(void)
{
	static const struct {
		const char *what;
		uint32_t n_places, n_work;
		double goal;
	} forms[] = {
		{"idle and on 64 places at most, as a server's", 64, 1, 512},
		{"by default: each may work and has a port of its own", 0, 0, 0},
	};

	row("a connection: its block", (double)sizeof(struct tcp_conn), "octets", 0, true);
	row("... and while something is under way", (double)sizeof(struct tcp_work), "octets", 0, true);
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t some_heart, heart, few_heart,
			few = set_aside(1000, forms[i].n_places, forms[i].n_work, &few_heart);
		size_t some = set_aside(100000, forms[i].n_places, forms[i].n_work, &some_heart),
		       all = set_aside(200000, forms[i].n_places, forms[i].n_work, &heart);

		printf("    all that is set aside for it without its rings, %s\n", forms[i].what);
		row("between 100,000 and 200,000 connections", (double)(all - some) / 100000, "octets", forms[i].goal,
		    true);
		row("the heart's share", (double)(heart - some_heart) / 100000, "octets", forms[i].goal != 0 ? 110 : 0,
		    true);
		row("a stack for 1,000 connections, divided by them", (double)few / 1000, "octets", 0, true);
		row("the heart's share", (double)few_heart / 1000, "octets", 0, true);
	}
}

int main(int argc, char **argv)
{
	const uint32_t tso = BERTH_IF_TX_CSUM | BERTH_IF_TSO4;
	const char *only = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			length_s = 0.1;
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			only = argv[++i];
		else
			return fprintf(stderr, "usage: %s [--quick] [--only NAME]\n", argv[0]), 2;
	}
	pin(ANY_CPU);
#define RUN(name, call)                              \
	if (only == NULL || strcmp(only, name) == 0) \
	call
	printf("stack to stack, one process, one core\n");
	RUN("super", bulk("super-frames, in place", tso, 1500, false, 40));
	RUN("super-copied", bulk("super-frames, copied", tso, 1500, true, 0));
	RUN("mtu", bulk("MTU 1500, checksums here, in place", 0, 1500, false, 10));
	RUN("mtu-copied", bulk("MTU 1500, checksums here, copied", 0, 1500, true, 0));
	RUN("mtu-offload", bulk("MTU 1500, checksums left to the device, in place", BERTH_IF_TX_CSUM, 1500, false, 0));
	RUN("jumbo", bulk("MTU 65535, checksums here, in place", 0, 65535, false, 0));
	RUN("small", small_segments(2));
	RUN("connect", connect_close(250));
	RUN("udp", datagrams("UDP, 64 octets", BERTH_IF_TX_CSUM, 64, 0));
	RUN("udp-train",
	    datagrams("UDP, trains of 43 datagrams of 1400", BERTH_IF_TX_CSUM | BERTH_IF_USO, 43 * 1400, 1400));
	RUN("lookup", lookups());
	RUN("memory", memory_of_connections());
	return 0;
}
