/* tests/unit/test_stack_core.c: making a stack, handles, ports, options, events, turns: what TCP and UDP have in common. */
#include "two_stacks.h"

#include <errno.h>
#include <sys/mman.h>

static struct two w;
static char octet[1] = "x";
static const struct two_how ethernet = {.link = BERTH_LINK_ETHERNET};
static const struct two_how bare_ip = {.link = BERTH_LINK_IP};

/* --- making one --- */
struct config_case {
	const char *name;
	struct berth_stack_config c;
	bool good;
};
#define SIZED .struct_size = sizeof(struct berth_stack_config)
static const struct config_case config_cases[] = {
	{"S23: defaults; no stack without entropy", {SIZED}, true},
	{"a small one",
	 {SIZED, .n_conns = 1, .n_udp = 1, .n_syn = 1, .n_time_wait = 1, .n_packets = 1, .n_rings = 1},
	 true},
	{"pins", {SIZED, .flags = BERTH_STACK_PIN}, true},
	{"another version's structure", {.struct_size = 8}, false},
	{"a router", {SIZED, .flags = BERTH_STACK_FORWARD}, false},
	{"flags of the future", {SIZED, .flags = 1u << 9}, false},
	{"a ring that is no power of two", {SIZED, .rx_ring_bytes = 5000}, false},
	{"a ring that is too small", {SIZED, .tx_ring_bytes = 2048}, false},
	{"a ring that is too large", {SIZED, .udp_ring_bytes = 1u << 31}, false},
	{"more connections than claims", {SIZED, .n_conns = 1u << 23}, false},
	{"the largest numbers", {SIZED, .n_conns = UINT32_MAX, .n_udp = UINT32_MAX, .n_time_wait = UINT32_MAX}, false},
	{"too many UDP sockets", {SIZED, .n_udp = 1u << 19}, false},
	{"too many interfaces", {SIZED, .n_ifaces = 251}, false},
	{"one source in all filters", {SIZED, .n_sources = 1, .n_filter_sources = 1}, true},
	{"more sources in a filter than there are", {SIZED, .n_sources = 1, .n_filter_sources = 256}, true},
	{"too many sources", {SIZED, .n_sources = 4097}, false},
	{"too many sources in a filter", {SIZED, .n_filter_sources = 257}, false},
};

static void run_config(void **state)
{
	const struct config_case *k = *state;
	struct berth_stack_config c = k->c;
	struct berth_stack *st = NULL;
	size_t n = berth_stack_size(&c);
	uint8_t *mem, few[64] __attribute__((aligned(64))) = {0};

	assert_int_equal(n > 0, k->good);
	c.secret[31] = 1;
	if (!k->good) {
		assert_int_equal(berth_stack_init(&st, few, sizeof(few), &c, 0), -EINVAL);
		return;
	}
	mem = mmap(NULL, n + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	memset(mem + n, 0xee, 64);
	assert_int_equal(berth_stack_init(&st, mem, n - 1, &c, 0), -ENOMEM);
	assert_int_equal(berth_stack_init(&st, mem + 8, n, &c, 0), -EINVAL);
	c.secret[31] = 0; /* S23: no entropy, no stack */
	assert_int_equal(berth_stack_init(&st, mem, n, &c, 0), -EINVAL);
	assert_null(st);
	c.secret[31] = 1;
	assert_int_equal(berth_stack_init(&st, mem, n, &c, 0), 0);
	assert_true(berth_stack_check(st));
	for (int i = 0; i < 64; i++)
		assert_int_equal(mem[n + (size_t)i], 0xee);
	munmap(mem, n + 64);
}

/* --- programs that were compiled with an older or a newer header --- */
static void structures_of_other_versions(void **state)
{
	struct {
		struct berth_stack_config c;
		uint32_t more;
	} newer = {{.struct_size = sizeof(newer), .n_conns = 5, .secret[3] = 1}, 0};
	struct {
		struct berth_counters c;
		uint64_t more;
	} counters = {{.struct_size = sizeof(counters)}, 77};
	struct berth_stack_config older = {.struct_size = offsetof(struct berth_stack_config, n_rings), .n_conns = 5};
	size_t n;

	(void)state;
	n = berth_stack_size(&newer.c);
	assert_true(n > 0);
	newer.more = 1; /* what this library does not know, it cannot do */
	assert_true(berth_stack_size(&newer.c) == 0);
	older.n_rings = 1000; /* not the older program's: it lies behind its structure */
	assert_true(berth_stack_size(&older) == n);

	two_begin(&w, &bare_ip);
	assert_int_equal(berth_stack_counters(w.st[0], &counters.c), 0);
	assert_true(counters.more == 0 && counters.c.struct_size == sizeof(counters));
	counters.c.struct_size = offsetof(struct berth_counters, arp_in);
	counters.c.arp_in = 55;
	assert_int_equal(berth_stack_counters(w.st[0], &counters.c), 0);
	assert_int_equal(counters.c.arp_in, 55);
	counters.c.struct_size = 4;
	assert_int_equal(berth_stack_counters(w.st[0], &counters.c), -EINVAL);
	two_end(&w);
}

/* --- handles (S26) --- */
static void a_closed_handle_is_stale_for_ever(void **state)
{
	struct berth_addr a = berth_addr4(10, 0, 0, 1, 0), b = a;
	enum berth_filter_mode mode;
	unsigned n = 0;
	uint8_t in;
	uint64_t value;
	berth_sock s, next;
	struct berth_dgram d = {.data = &in, .len = 1};
	struct berth_part v[2];

	(void)state;
	two_begin(&w, &bare_ip);
	for (int proto = BERTH_TCP; proto <= BERTH_UDP; proto += BERTH_UDP - BERTH_TCP) {
		struct berth_event ev[4];

		assert_int_equal(berth_sock_open(w.st[0], proto, BERTH_IPV4, 1, &s), 0);
		assert_int_equal(berth_sock_close(w.st[0], s), 0);
		berth_stack_events(w.st[0], ev, 4);
		for (int round = 0; round < 3; round++) {
			assert_int_equal(berth_sock_bind(w.st[0], s, &a), -EBADF);
			assert_int_equal(berth_sock_listen(w.st[0], s, 1), -EBADF);
			assert_int_equal(berth_sock_accept(w.st[0], s, 1, &next, NULL), -EBADF);
			assert_int_equal(berth_sock_connect(w.st[0], s, &a), -EBADF);
			assert_int_equal(berth_sock_connect(w.st[0], s, NULL), -EBADF);
			assert_int_equal(berth_sock_close(w.st[0], s), -EBADF);
			assert_int_equal(berth_sock_abort(w.st[0], s), -EBADF);
			assert_int_equal(berth_sock_shutdown(w.st[0], s, 1), -EBADF);
			assert_int_equal(berth_sock_poll(w.st[0], s), -EBADF);
			assert_int_equal(berth_sock_set(w.st[0], s, BERTH_TTL, 1), -EBADF);
			assert_int_equal(berth_sock_get(w.st[0], s, BERTH_TTL, &value), -EBADF);
			assert_int_equal(berth_sock_names(w.st[0], s, &b, NULL), -EBADF);
			assert_int_equal(berth_sock_send(w.st[0], s, "x", 1, 0), -EBADF);
			assert_int_equal(berth_sock_recv(w.st[0], s, &in, 1), -EBADF);
			assert_int_equal(berth_sock_udp_send(w.st[0], s, &d, 1), -EBADF);
			assert_int_equal(berth_sock_udp_recv(w.st[0], s, &d, 1), -EBADF);
			assert_int_equal(berth_sock_tx_space(w.st[0], s, v), -EBADF);
			assert_int_equal(berth_sock_rx_peek(w.st[0], s, v), -EBADF);
			assert_int_equal(berth_sock_join(w.st[0], s, &a, 0), -EBADF);
			assert_int_equal(berth_sock_leave(w.st[0], s, &a, 0), -EBADF);
			assert_int_equal(berth_sock_source(w.st[0], s, BERTH_SOURCE_JOIN, &a, &b, 0), -EBADF);
			assert_int_equal(berth_sock_set_filter(w.st[0], s, &a, 0, BERTH_EXCLUDE, NULL, 0), -EBADF);
			assert_int_equal(berth_sock_get_filter(w.st[0], s, &a, 0, &mode, NULL, &n), -EBADF);
			/* The slot is another's now. */
			assert_int_equal(berth_sock_open(w.st[0], proto, BERTH_IPV4, 1, &next), 0);
			assert_true((uint32_t)next == (uint32_t)s || round > 0);
			assert_true(next != s);
		}
	}
	two_end(&w);
}

static void made_up_handles_are_refused(void **state)
{
	static const berth_sock made_up[] = {0,
					     1,
					     UINT64_MAX,
					     0x80000000u,
					     UINT64_C(0x100000000),
					     UINT64_C(0x1ffffffff),
					     UINT64_C(0x180000000),
					     UINT64_C(0x1c0000000),
					     UINT64_C(0x1fffffff80000000)};

	(void)state;
	two_begin(&w, &bare_ip);
	for (size_t i = 0; i < COUNT_OF(made_up); i++)
		assert_int_equal(berth_sock_poll(w.st[0], made_up[i]), -EBADF);
	two_end(&w);
}

static void wrong_protocols_and_families(void **state)
{
	struct berth_part v[2];
	struct berth_dgram d = {0};
	struct berth_addr six = addr6(0xfd00, 1, 80), none = {.port = 80};
	berth_sock s = 77, t;

	(void)state;
	two_begin(&w, &bare_ip);
	assert_int_equal(berth_sock_open(w.st[0], 1, BERTH_IPV4, 0, &s), -EPROTONOSUPPORT);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, 5, 0, &s), -EAFNOSUPPORT);
	assert_int_equal(s, 77);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &s), 0);
	assert_int_equal(berth_sock_listen(w.st[0], s, 1), -EOPNOTSUPP);
	assert_int_equal(berth_sock_tx_space(w.st[0], s, v), -EOPNOTSUPP);
	assert_int_equal(berth_sock_bind(w.st[0], s, &six), -EAFNOSUPPORT);
	assert_int_equal(berth_sock_bind(w.st[0], s, &none), 0); /* :: means 0.0.0.0 here */
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &t), 0);
	assert_int_equal(berth_sock_udp_send(w.st[0], t, &d, 1), -EOPNOTSUPP);
	assert_int_equal(berth_sock_join(w.st[0], t, &six, 0), -EPROTO);
	assert_int_equal(berth_sock_source(w.st[0], t, BERTH_SOURCE_BLOCK, &six, &six, 0), -EPROTO);
	assert_int_equal(berth_sock_connect(w.st[0], t, NULL), -EINVAL);
	assert_int_equal(berth_sock_connect(w.st[0], t, &six), -EAFNOSUPPORT);
	two_end(&w);
}

/* --- ports: each row a second bind beside a first; the heart's rules, by its errors --- */
struct bind_case {
	const char *name;
	int proto;
	struct berth_addr first, second;
	enum berth_option option; /* of both; 0: none */
	int want;
};
#define A4(d, port)                                                                 \
	{                                                                           \
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, d}, 0, port, 0 \
	}
#define ANY(port)                                                                  \
	{                                                                          \
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, 0, port, 0 \
	}
static const struct bind_case bind_cases[] = {
	{"a port has one holder", BERTH_TCP, ANY(80), ANY(80), 0, -EADDRINUSE},
	{"UDP's and TCP's are apart", 0, ANY(80), ANY(80), 0, 0},
	{"the wildcard covers an address", BERTH_TCP, ANY(80), A4(1, 80), 0, -EADDRINUSE},
	{"an address that is not ours", BERTH_TCP, ANY(80), A4(9, 81), 0, -EADDRNOTAVAIL},
	{"unless it is asked for", BERTH_TCP, ANY(80), A4(9, 81), BERTH_FREEBIND, 0},
	{"a subnet's broadcast address is one to bind to", BERTH_UDP, ANY(80), A4(255, 81), 0, 0},
	{"both share by SO_REUSEADDR", BERTH_UDP, ANY(80), ANY(80), BERTH_REUSEADDR, 0},
	{"both share by SO_REUSEPORT", BERTH_TCP, ANY(80), ANY(80), BERTH_REUSEPORT, 0},
	{"loopback is there without an interface",
	 BERTH_TCP,
	 ANY(80),
	 {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}, 0, 81, 0},
	 0,
	 0},
	{"port 0 finds one", BERTH_TCP, ANY(80), ANY(0), 0, 0},
};

static void run_bind(void **state)
{
	const struct bind_case *c = *state;
	struct berth_addr got;
	berth_sock s[2];

	two_begin(&w, &bare_ip);
	for (int i = 0; i < 2; i++) {
		int proto = c->proto != 0 ? c->proto : i == 0 ? BERTH_TCP : BERTH_UDP;

		assert_int_equal(berth_sock_open(w.st[0], proto, BERTH_IPV4, 0, &s[i]), 0);
		if (c->option != 0)
			assert_int_equal(berth_sock_set(w.st[0], s[i], c->option, 1), 0);
		assert_int_equal(berth_sock_bind(w.st[0], s[i], i == 0 ? &c->first : &c->second), i == 0 ? 0 : c->want);
	}
	assert_int_equal(berth_sock_bind(w.st[0], s[0], &c->first), -EINVAL); /* twice */
	assert_int_equal(berth_sock_names(w.st[0], s[1], &got, NULL), 0);
	if (c->want == 0 && c->second.port != 0)
		assert_int_equal(got.port, c->second.port);
	else if (c->want == 0)
		assert_in_range(got.port, 32768, 60999);
	else
		assert_int_equal(got.port, 0);
	/* What is closed gives its port back. */
	assert_int_equal(berth_sock_close(w.st[0], s[0]), 0);
	assert_int_equal(berth_sock_open(w.st[0], c->proto == BERTH_UDP ? BERTH_UDP : BERTH_TCP, BERTH_IPV4, 0, &s[0]),
			 0);
	if (c->want < 0)
		assert_int_equal(berth_sock_bind(w.st[0], s[0], &c->first), 0);
	two_end(&w);
}

static void settings_of_ports(void **state)
{
	struct berth_port_settings p = {.ephemeral_first = 5000, .ephemeral_last = 5003, .unprivileged_start = 1024};
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 80), got;
	berth_sock s;
	unsigned seen = 0;

	(void)state;
	two_begin(&w, &bare_ip);
	assert_int_equal(berth_stack_set_ports(w.st[0], &p), 0);
	assert_int_equal(berth_stack_reserve_ports(w.st[0], 5001, 5001, true), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &s), 0);
	assert_int_equal(berth_sock_bind(w.st[0], s, &any), -EACCES);
	any.port = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &s), 0);
		assert_int_equal(berth_sock_bind(w.st[0], s, &any), 0);
		assert_int_equal(berth_sock_names(w.st[0], s, &got, NULL), 0);
		seen |= 1u << (got.port - 5000);
	}
	assert_int_equal(seen, 0xd);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &s), 0);
	assert_int_equal(berth_sock_bind(w.st[0], s, &any), -EADDRINUSE);
	/* Its own range narrows. */
	p.ephemeral_last = 6000;
	assert_int_equal(berth_stack_set_ports(w.st[0], &p), 0);
	assert_int_equal(berth_sock_set(w.st[0], s, BERTH_LOCAL_PORTS, 5900 | UINT64_C(5900) << 16), 0);
	assert_int_equal(berth_sock_set(w.st[0], s, BERTH_LOCAL_PORTS, 5900 | UINT64_C(5800) << 16), -EINVAL);
	assert_int_equal(berth_sock_bind(w.st[0], s, &any), 0);
	assert_int_equal(berth_sock_names(w.st[0], s, &got, NULL), 0);
	assert_int_equal(got.port, 5900);
	p.ephemeral_first = 0;
	assert_int_equal(berth_stack_set_ports(w.st[0], &p), -EINVAL);
	two_end(&w);
}

/* --- options --- */
struct option_case {
	const char *name;
	int proto;
	enum berth_option o;
	uint64_t good, reads, bad;
	int error; /* of bad; 0: nothing is bad */
};
static const struct option_case option_cases[] = {
	{"SO_REUSEADDR", BERTH_TCP, BERTH_REUSEADDR, 5, 1, 0, 0},
	{"SO_REUSEPORT", BERTH_UDP, BERTH_REUSEPORT, 1, 1, 0, 0},
	{"IPV6_V6ONLY is IPv6's", BERTH_UDP, BERTH_V6ONLY, 0, 0, 1, -ENOPROTOOPT},
	{"SO_BROADCAST", BERTH_UDP, BERTH_BROADCAST, 1, 1, 0, 0},
	{"IP_TTL is an octet", BERTH_UDP, BERTH_TTL, 7, 7, 256, -EINVAL},
	{"IP_TOS of UDP keeps its ECN bits", BERTH_UDP, BERTH_TOS, 0xb9, 0xb9, 256, -EINVAL},
	{"IP_TOS of TCP has none", BERTH_TCP, BERTH_TOS, 0xbb, 0xb8, 256, -EINVAL},
	{"a device that cannot be", BERTH_UDP, BERTH_BIND_IFACE, 1, 1, 99, -ENODEV},
	{"IP_MULTICAST_TTL", BERTH_UDP, BERTH_MULTICAST_TTL, 9, 9, 256, -EINVAL},
	{"IP_MULTICAST_LOOP", BERTH_UDP, BERTH_MULTICAST_LOOP, 0, 0, 0, 0},
	{"IP_MTU_DISCOVER", BERTH_UDP, BERTH_PMTUDISC, 3, 3, 4, -EINVAL},
	{"TCP's options are not UDP's", BERTH_UDP, BERTH_RCVBUF, 4096, 4096, 0, 0},
	{"TCP_NODELAY of UDP", BERTH_UDP, BERTH_BROADCAST, 0, 0, 0, 0},
};

static void run_option(void **state)
{
	const struct option_case *c = *state;
	uint64_t got = 999;
	berth_sock s;

	two_begin(&w, &bare_ip);
	assert_int_equal(berth_sock_open(w.st[0], c->proto, BERTH_IPV4, 0, &s), 0);
	if (c->o != BERTH_V6ONLY) {
		assert_int_equal(berth_sock_set(w.st[0], s, c->o, c->good), 0);
		assert_int_equal(berth_sock_get(w.st[0], s, c->o, &got), 0);
		assert_int_equal(got, c->reads);
	}
	if (c->error != 0) {
		assert_int_equal(berth_sock_set(w.st[0], s, c->o, c->bad), c->error);
		if (c->o != BERTH_V6ONLY) {
			assert_int_equal(berth_sock_get(w.st[0], s, c->o, &got), 0);
			assert_int_equal(got, c->reads);
		}
	}
	assert_int_equal(berth_sock_set(w.st[0], s, BERTH_SO_ERROR, 1), -ENOPROTOOPT);
	assert_int_equal(berth_sock_set(w.st[0], s, (enum berth_option)1000, 1), -ENOPROTOOPT);
	assert_int_equal(berth_sock_get(w.st[0], s, (enum berth_option)0, &got), -ENOPROTOOPT);
	two_end(&w);
}

/* --- events: one for each socket, whatever happened; none for what is closed --- */
static void events_are_one_for_each_socket(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_event ev[8];
	berth_sock a, b[5];
	struct berth_dgram d = {.peer = at, .data = octet, .len = 1, .iface = BERTH_IFACE_ANY};

	(void)state;
	two_begin(&w, &bare_ip);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &a), 0);
	for (uint16_t i = 0; i < 5; i++) {
		at.port = 53 + i;
		assert_int_equal(berth_sock_open(w.st[1], BERTH_UDP, BERTH_IPV4, 100 + i, &b[i]), 0);
		assert_int_equal(berth_sock_bind(w.st[1], b[i], &at), 0);
	}
	for (int i = 0; i < 20; i++) {
		d.peer.port = (uint16_t)(53 + (i * 3) % 5);
		assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), 1);
	}
	two_settle(&w);
	assert_int_equal(berth_sock_close(w.st[1], b[3]), 0); /* the second in line */
	assert_int_equal(berth_stack_events(w.st[1], ev, 2), 2);
	assert_true(ev[0].sock == b[0] && ev[0].user == 100 && ev[0].mask == BERTH_EV_IN && ev[0].err == 0);
	assert_true(ev[1].sock == b[1]);
	assert_int_equal(berth_stack_events(w.st[1], ev, 8), 2);
	assert_true(ev[0].sock == b[4] && ev[1].sock == b[2]);
	assert_int_equal(berth_stack_events(w.st[1], ev, 8), 0);
	two_end(&w);
}

static void a_closed_tcp_socket_says_that_it_is_gone_once(void **state)
{
	struct berth_event ev[4];
	berth_sock s, again;

	(void)state;
	two_begin(&w, &bare_ip);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 42, &s), 0);
	assert_int_equal(berth_sock_close(w.st[0], s), 0);
	assert_int_equal(berth_stack_events(w.st[0], ev, 4), 1);
	assert_true(ev[0].sock == s && ev[0].user == 42 && ev[0].mask == BERTH_EV_CLOSED);
	assert_int_equal(berth_stack_events(w.st[0], ev, 4), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &again), 0);
	assert_int_equal((uint32_t)again, (uint32_t)s); /* the slot is free */
	two_end(&w);
}

static void sockets_are_walked_in_the_order_of_their_slots(void **state)
{
	uint32_t cursor = 0;
	berth_sock s[6], got;
	int n = 0;

	(void)state;
	two_begin(&w, &bare_ip);
	for (int i = 0; i < 6; i++)
		assert_int_equal(berth_sock_open(w.st[0], i < 3 ? BERTH_TCP : BERTH_UDP, BERTH_IPV4, 0, &s[i]), 0);
	assert_int_equal(berth_sock_close(w.st[0], s[1]), 0);
	assert_int_equal(berth_sock_close(w.st[0], s[4]), 0);
	for (; berth_sock_next(w.st[0], &cursor, &got) == 1; n++)
		assert_true(got == s[n == 0 ? 0 : n == 1 ? 2 : n == 2 ? 3 : 5]);
	assert_int_equal(n, 4);
	cursor = UINT32_MAX - 1;
	assert_int_equal(berth_sock_next(w.st[0], &cursor, &got), 0);
	two_end(&w);
}

/* --- turns: a socket with much to send does not starve another --- */
static void output_goes_round_the_sockets(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_dgram d = {.peer = at, .data = octet, .len = 1, .iface = BERTH_IFACE_ANY};
	struct berth_tx tx[32];
	berth_sock s[3];
	unsigned from[3] = {0}, port[3];

	(void)state;
	two_begin(&w, &bare_ip);
	two_run(&w, 30 * SECOND);
	for (int i = 0; i < 3; i++) {
		struct berth_addr any = berth_addr4(0, 0, 0, 0, (uint16_t)(7000 + i));

		port[i] = any.port;
		assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &s[i]), 0);
		assert_int_equal(berth_sock_bind(w.st[0], s[i], &any), 0);
	}
	for (int i = 0; i < 300; i++)
		assert_int_equal(berth_sock_udp_send(w.st[0], s[0], &d, 1), 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(berth_sock_udp_send(w.st[0], s[1 + i], &d, 1), 1);
	assert_true(berth_stack_deadline(w.st[0]) <= w.now_ns);
	assert_int_equal(berth_stack_output(w.st[0], tx, 32, w.now_ns), 32);
	for (int k = 0; k < 32; k++)
		for (int i = 0; i < 3; i++)
			from[i] += (unsigned)(tx[k].head[20] << 8 | tx[k].head[21]) == port[i];
	assert_int_equal(from[0], 30);
	assert_int_equal(from[1], 1);
	assert_int_equal(from[2], 1);
	two_end(&w);
}

static void time_does_not_go_back(void **state)
{
	struct berth_tx tx;

	(void)state;
	two_begin(&w, &ethernet);
	two_run(&w, 30 * SECOND);
	berth_stack_tick(w.st[0], UINT64_MAX, 10000);
	berth_stack_tick(w.st[0], 0, 10000);
	berth_stack_output(w.st[0], &tx, 1, 5);
	assert_true(berth_stack_check(w.st[0]));
	two_end(&w);
}

/* --- a connection's way --- */
static berth_sock connected(const struct berth_addr *to)
{
	berth_sock l, a, b;

	assert_int_equal(berth_sock_open(w.st[1], BERTH_TCP, BERTH_IPV6, 0, &l), 0);
	assert_int_equal(berth_sock_bind(w.st[1], l, to), 0);
	assert_int_equal(berth_sock_listen(w.st[1], l, 5), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV6, 0, &a), 0);
	assert_int_equal(berth_sock_connect(w.st[0], a, to), -EINPROGRESS);
	two_settle(&w);
	assert_int_equal(berth_sock_accept(w.st[1], l, 0, &b, NULL), 0);
	return a;
}

/* Two neighbours for good in a table of two: the connection's is pushed out, and no room is left for it. */
static const struct two_how two_neighs = {.link = BERTH_LINK_ETHERNET, .config.n_neighs = 2};
static const uint8_t stranger_mac[6] = {2, 0, 0, 0, 0, 9};

static struct berth_addr stranger(uint8_t n)
{
	return berth_addr4(10, 0, 0, (uint8_t)(70 + n), 0);
}

static void fill_neighs(void)
{
	for (uint8_t n = 0; n < 2; n++) {
		struct berth_addr at = stranger(n);

		assert_int_equal(berth_neigh_add(w.st[0], w.iface[0], &at, stranger_mac), 0);
	}
}

static void without_a_way_nothing_goes_the_old_one(void **state)
{
	struct berth_addr at4 = berth_addr4(10, 0, 0, 2, 80), ours4 = berth_addr4(10, 0, 0, 1, 0);
	struct berth_addr at6 = addr6(0xfd00, 2, 80), ours6 = addr6(0xfd00, 1, 0);

	(void)state;
	for (int is6 = 0; is6 < 2; is6++)
		for (int why = 0; why < 2 + is6; why++) {
			berth_sock a;
			uint64_t n;

			two_begin(&w, &two_neighs);
			a = connected(is6 ? &at6 : &at4);
			if (why == 0) /* the entry that its route names is a stranger's from now on */
				fill_neighs();
			else if (why == 1)
				assert_int_equal(berth_addr_remove(w.st[0], w.iface[0], is6 ? &ours6 : &ours4), 0);
			else /* no link for IPv6 any more */
				assert_int_equal(berth_iface_set_mtu(w.st[0], w.iface[0], 1000), 0);
			n = two_counters(&w, 0).tcp_segs_out;
			assert_int_equal(berth_sock_send(w.st[0], a, "x", 1, 0), 1);
			two_run(&w, 5 * SECOND);
			assert_int_equal(two_counters(&w, 0).tcp_segs_out, n);
			if (why != 0) { /* as if the frames were lost: it goes on when there is a way */
				assert_int_equal(berth_iface_set_mtu(w.st[0], w.iface[0], 1500), 0);
				assert_int_equal(berth_addr_add(w.st[0], w.iface[0], is6 ? &ours6 : &ours4,
								is6 ? 64 : 24),
						 0);
				two_run(&w, 10 * SECOND);
				assert_int_equal(two_counters(&w, 0).tcp_segs_out, n + 1);
				assert_int_equal(two_counters(&w, 1).tcp_segs_in, n + 1);
			}
			two_end(&w);
		}
}

/* Room for a neighbour tells nobody: only who looks again finds the way. */
static void must_20_after_three_timeouts_the_way_is_looked_for(void **state)
{
	static const uint64_t waits[] = {1 * SECOND, 20 * SECOND}; /* the third timeout comes between them */
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 80), one = stranger(0);

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(waits); i++) {
		uint64_t n;
		berth_sock a;

		two_begin(&w, &two_neighs);
		a = connected(&at);
		two_run(&w, 10 * SECOND);
		fill_neighs();
		n = two_counters(&w, 0).tcp_segs_out;
		assert_int_equal(berth_sock_send(w.st[0], a, "x", 1, 0), 1);
		two_run(&w, waits[i]);
		assert_int_equal(berth_neigh_remove(w.st[0], w.iface[0], &one), 0);
		two_run(&w, 50 * MS);
		assert_int_equal(two_counters(&w, 0).tcp_segs_out, n);
		two_run(&w, 40 * SECOND);
		assert_int_equal(two_counters(&w, 0).tcp_segs_out, n + 1);
		assert_int_equal(two_counters(&w, 1).tcp_segs_in, n + 1);
		two_end(&w);
	}
}

/* --- a batch whose first packets change what the later ones were looked up for --- */
static void a_flow_that_ends_within_a_batch(void **state)
{
	static uint8_t kept[3][2000];
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 80);
	struct berth_rx rx[3];
	berth_sock l, a, b;

	(void)state;
	two_begin(&w, &bare_ip);
	assert_int_equal(berth_sock_open(w.st[1], BERTH_TCP, BERTH_IPV4, 0, &l), 0);
	assert_int_equal(berth_sock_bind(w.st[1], l, &at), 0);
	assert_int_equal(berth_sock_listen(w.st[1], l, 5), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &a), 0);
	assert_int_equal(berth_sock_connect(w.st[0], a, &at), -EINPROGRESS);
	two_settle(&w);
	assert_int_equal(berth_sock_accept(w.st[1], l, 0, &b, NULL), 0);
	w.cut = true;
	for (int i = 0; i < 3; i++) { /* data, a reset, and the data once more */
		if (i == 0)
			assert_int_equal(berth_sock_send(w.st[0], a, "data", 4, 0), 4);
		else if (i == 1)
			assert_int_equal(berth_sock_abort(w.st[0], a), 0);
		two_settle(&w);
		memcpy(kept[i], i < 2 ? w.last : kept[0], i < 2 ? w.last_len : sizeof(kept[0]));
		rx[i] = (struct berth_rx){.head = kept[i], .head_len = i < 2 ? w.last_len : rx[0].head_len};
	}
	berth_stack_input(w.st[1], rx, 3, w.now_ns);
	assert_true(berth_stack_check(w.st[1]));
	/* The third is nobody's, or a listener's that knows no such handshake: answered with a reset. */
	assert_int_equal(two_counters(&w, 1).tcp_rst_in, 1);
	assert_int_equal(berth_stack_output(w.st[1], &w.last_tx, 1, w.now_ns), 1);
	assert_int_equal(w.last_tx.head[33] & 4, 4);
	assert_true(berth_sock_poll(w.st[1], b) & BERTH_EV_ERR);
	two_end(&w);
}

/* A bound socket keeps its claim when nobody answers its connect(): what was looked up as a flow is none any more. */
static void a_refusal_that_comes_twice_in_a_batch(void **state)
{
	static uint8_t kept[2000];
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 81), from = berth_addr4(10, 0, 0, 1, 5555);
	struct berth_rx rx[2];
	uint64_t err = 0;
	berth_sock a;

	(void)state;
	two_begin(&w, &bare_ip);
	w.cut = true;
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &a), 0);
	assert_int_equal(berth_sock_bind(w.st[0], a, &from), 0);
	assert_int_equal(berth_sock_connect(w.st[0], a, &at), -EINPROGRESS);
	for (unsigned i = 0; i < 2; i++) { /* the SYN, and its reset */
		two_settle(&w);
		memcpy(kept, w.last, w.last_len);
		rx[0] = rx[1] = (struct berth_rx){.head = kept, .head_len = w.last_len};
		berth_stack_input(w.st[1 - i], rx, 1 + i, w.now_ns);
	}
	assert_true(berth_stack_check(w.st[0]));
	assert_int_equal(two_counters(&w, 0).tcp_rst_in, 2);
	assert_int_equal(berth_sock_get(w.st[0], a, BERTH_SO_ERROR, &err), 0);
	assert_int_equal(err, ECONNREFUSED);
	assert_int_equal(berth_sock_connect(w.st[0], a, &at), -EINPROGRESS);
	two_end(&w);
}

/* --- the same inputs, the same outputs --- */
static uint64_t a_run(void)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 80);
	uint64_t digest = 1469598103934665603u;
	berth_sock l, c, u;

	two_begin(&w, &ethernet);
	assert_int_equal(berth_sock_open(w.st[1], BERTH_TCP, BERTH_IPV4, 0, &l), 0);
	assert_int_equal(berth_sock_bind(w.st[1], l, &at), 0);
	assert_int_equal(berth_sock_listen(w.st[1], l, 5), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &c), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV6, 0, &u), 0);
	assert_int_equal(berth_sock_connect(w.st[0], c, &at), -EINPROGRESS);
	at = addr6(0xfd00, 2, 99);
	assert_int_equal(berth_sock_connect(w.st[0], u, &at), 0);
	assert_int_equal(berth_sock_send(w.st[0], u, "x", 1, 0), 1);
	for (int step = 0; step < 400; step++) {
		two_exchange(&w);
		for (uint32_t i = 0; i < w.last_len; i++)
			digest = (digest ^ w.last[i]) * 1099511628211u;
		if (step == 200)
			berth_sock_close(w.st[0], c);
		w.now_ns += 7 * MS;
	}
	two_end(&w);
	return digest;
}

static void the_same_inputs_give_the_same_outputs(void **state)
{
	(void)state;
	assert_true(a_run() == a_run());
}

#define ROWS(cases, run)                                                             \
	for (size_t i = 0; i < COUNT_OF(cases); i++)                                 \
		tests[n++] = (struct CMUnitTest)                                     \
		{                                                                    \
			cases[i].name, run, NULL, NULL, (void *)(uintptr_t)&cases[i] \
		}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		{"S26: a closed handle is stale for ever", a_closed_handle_is_stale_for_ever, NULL, NULL, NULL},
		{"S26: made-up handles are refused", made_up_handles_are_refused, NULL, NULL, NULL},
		cmocka_unit_test(structures_of_other_versions),
		cmocka_unit_test(wrong_protocols_and_families),
		cmocka_unit_test(settings_of_ports),
		cmocka_unit_test(events_are_one_for_each_socket),
		cmocka_unit_test(a_closed_tcp_socket_says_that_it_is_gone_once),
		cmocka_unit_test(sockets_are_walked_in_the_order_of_their_slots),
		{"S21: output goes round the sockets", output_goes_round_the_sockets, NULL, NULL, NULL},
		cmocka_unit_test(without_a_way_nothing_goes_the_old_one),
		cmocka_unit_test(must_20_after_three_timeouts_the_way_is_looked_for),
		cmocka_unit_test(a_flow_that_ends_within_a_batch),
		cmocka_unit_test(a_refusal_that_comes_twice_in_a_batch),
		cmocka_unit_test(time_does_not_go_back),
		cmocka_unit_test(the_same_inputs_give_the_same_outputs),
	};
	struct CMUnitTest
		tests[COUNT_OF(plain) + COUNT_OF(config_cases) + COUNT_OF(bind_cases) + COUNT_OF(option_cases)];
	size_t n = COUNT_OF(plain);

	memcpy(tests, plain, sizeof(plain));
	ROWS(config_cases, run_config);
	ROWS(bind_cases, run_bind);
	ROWS(option_cases, run_option);
	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
