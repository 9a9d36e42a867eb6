/* tests/unit/test_tcp_mtu.c: src/stack/tcp_mtu.c: routers' words, black holes, and the search for a path's MTU. */
#include "tcp_script.h"

static const struct script_row rows[] = {
	/* RFC 1191: a router says so */
	{"what was too big is sent again, smaller",
	 "send 1460; out 1+1460; mtu 1000; out 1+960; out 961+500 P; in 1+0 ack 1461; quiet; send 1000; out 1461+960; out 2421+40"},
	{"it is no congestion: all of it is sent again at once",
	 "send 14600; drop; mtu 1240; out 1+1200; out 1201+260; out 1461+1200; out 2661+260; out 2921+1200; drop; in 1+0 ack 14601; quiet"},
	{"S13: a router's word below 552 counts as 552",
	 "send 1460; drop; mtu 100; out 1+512; out 513+512; out 1025+436 P"},
	{"S13: a larger one than what we have is nothing", "send 1460; drop; mtu 1500; quiet"},

	{"a piece that is lost, too, goes again at the next timeout",
	 "set mtu_probing 0; send 3000; drop; wait 1100; drop; mtu 1000; drop; wait 2500; out 1+960; quiet; wait 4500; out 1+960; in 1+0 ack 961; out 961+500"},

	/* RFC 4821, 8899: nobody says so */
	{"a black hole: after three timeouts segments are smaller",
	 "send 3000; drop; wait 1100; out 1+1460; quiet; wait 2000; out 1+1460; quiet; wait 4000; out 1+1240 .; out 1241+220; quiet; in 1+0 ack 1461; out 1461+1240; out 2701+300",
	 .no_sack = true},
	{"a black hole for a segment that is not full, too",
	 "send 1300; drop; wait 1100; out 1+1300; wait 2000; out 1+1300; wait 4000; out 1+1240; out 1241+60",
	 .no_sack = true},
	{"at each further timeout they are smaller still",
	 "send 1300; drop; wait 7500; drop; wait 8000; out 1+536; out 537+536; quiet; in 1+0 ack 1073; out 1073+228; in 1+0 ack 1301; send 1000; out 1301+536; out 1837+464",
	 .no_sack = true},
	{"a segment that is lost while others as large arrive says nothing of the path",
	 "send 4380; drop; in 1+0 ack 1 sack 1461-2921; wait 100; drop; wait 2000; drop; wait 3000; out 1+1460; drop; in 1+0 ack 4381; send 1460; out 4381+1460"},
	{"... but not for ever: the path may have become smaller after that",
	 "send 4380; drop; in 1+0 ack 1 sack 1461-2921; wait 100; drop; wait 9000; drop; wait 5000; out 1+1240; out 1241+220"},
	{"a short segment that arrived says nothing of large ones",
	 "send 2000; drop; in 1+0 ack 1 sack 1461-2001; wait 100; drop; wait 900; drop; wait 1000; out 1+1240; out 1241+220"},
	{"BERTH_MTU_PROBING 0: nothing is lowered",
	 "set mtu_probing 0; send 1200; drop; wait 7500; drop; wait 8000; out 1+1200", .no_sack = true},
	{"a small segment that times out says nothing of the path",
	 "send 100; drop; wait 1100; out 1+100; wait 2000; out 1+100; wait 4000; out 1+100; in 1+0 ack 101; send 1460; out 101+1460"},
};

/* --- the search: two stacks, and a path between them that swallows what is too large --- */

struct way {
	struct berth_stack *st[2];
	void *mem[2];
	uint32_t mtu; /* of the path */
	uint64_t now;
	struct berth_tx fly[2][64]; /* on their way from each */
	uint8_t payload[2][64][2048];
	unsigned n_fly[2];
	unsigned n_lost, n_too_big;
	uint32_t largest; /* that arrived */
};

static void way_stack(struct way *w, unsigned i)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .n_conns = 8,
				       .n_udp = 4,
				       .n_syn = 8,
				       .n_time_wait = 8};
	struct berth_iface f = {.struct_size = sizeof(f), .link = BERTH_LINK_IP, .mtu_bytes = 1500};
	struct berth_addr a = berth_addr4(10, 0, 0, (uint8_t)(i + 1), 80);
	uint16_t iface;
	size_t n;

	memset(c.secret, (int)i + 1, sizeof(c.secret));
	n = berth_stack_size(&c);
	w->mem[i] = aligned_alloc(64, (n + 63) / 64 * 64);
	assert_non_null(w->mem[i]);
	memset(w->mem[i], 0, n);
	assert_int_equal(berth_stack_init(&w->st[i], w->mem[i], n, &c, w->now), 0);
	assert_int_equal(berth_iface_add(w->st[i], &f, &iface), 0);
	assert_int_equal(berth_addr_add(w->st[i], iface, &a, 24), 0);
}

/* What left arrives at the other end, 10 ms later. */
static void way_turn(struct way *w)
{
	w->now += 10000000;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < w->n_fly[i]; k++) {
			const struct berth_tx *v = &w->fly[i][k];
			struct berth_part part = {w->payload[i][k], v->len - v->head_len};
			struct berth_rx rx = {.head = v->head, .head_len = v->head_len, .parts = &part};

			rx.n_parts = part.len != 0;
			if (v->len > w->mtu) {
				w->n_too_big++;
				continue;
			}
			w->largest = v->len > w->largest ? v->len : w->largest;
			berth_stack_input(w->st[!i], &rx, 1, w->now);
		}
		w->n_fly[i] = 0;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct berth_tx *v = w->fly[i];

		berth_stack_tick(w->st[i], w->now, 64);
		w->n_fly[i] = berth_stack_output(w->st[i], v, 64, w->now);
		for (unsigned k = 0; k < w->n_fly[i]; k++)
			for (unsigned at = 0, j = 0; j < v[k].n_parts; at += v[k].parts[j].len, j++)
				memcpy(w->payload[i][k] + at, v[k].parts[j].data, v[k].parts[j].len);
		assert_true(berth_stack_check(w->st[i]));
	}
}

/* One stream of so many octets, checked at its end. */
static void way_stream(struct way *w, berth_sock from, berth_sock to, uint64_t *sent, uint64_t *got, uint64_t until)
{
	static uint8_t data[4096];

	for (unsigned turn = 0; *got < until && turn < 20000; turn++) {
		uint32_t n = until - *sent < sizeof(data) ? (uint32_t)(until - *sent) : sizeof(data);
		int64_t r;

		for (uint32_t i = 0; i < n; i++)
			data[i] = octet_of(*sent + i);
		r = n ? berth_sock_send(w->st[0], from, data, n, 0) : 0;
		if (r > 0)
			*sent += (uint64_t)r;
		if (r == n && n)
			continue;
		way_turn(w);
		while ((r = berth_sock_recv(w->st[1], to, data, sizeof(data))) > 0) {
			for (int64_t i = 0; i < r; i++)
				assert_int_equal(data[i], octet_of(*got + (uint64_t)i));
			*got += (uint64_t)r;
		}
	}
	assert_int_equal(*got, until);
}

static void search(void **state)
{
	static struct way w;
	struct berth_addr to = berth_addr4(10, 0, 0, 2, 80);
	berth_sock listener, from, peer = 0;
	uint64_t sent = 0, got = 0, mss = 0;
	struct berth_tcp_info info = {.struct_size = sizeof(info)};
	uint32_t fast;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.now = 1000000000;
	w.mtu = 1500;
	way_stack(&w, 0);
	way_stack(&w, 1);
	assert_int_equal(berth_sock_open(w.st[1], BERTH_TCP, BERTH_IPV4, 0, &listener), 0);
	assert_int_equal(berth_sock_bind(w.st[1], listener, &to), 0);
	assert_int_equal(berth_sock_listen(w.st[1], listener, 1), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_TCP, BERTH_IPV4, 0, &from), 0);
	assert_int_equal(berth_sock_connect(w.st[0], from, &to), -EINPROGRESS);
	for (int i = 0; i < 10; i++)
		way_turn(&w);
	assert_int_equal(berth_sock_accept(w.st[1], listener, 0, &peer, NULL), 0);
	way_stream(&w, from, peer, &sent, &got, 200000);
	assert_int_equal(berth_sock_get(w.st[0], from, BERTH_MAXSEG, &mss), 0);
	assert_int_equal(mss, 1448);

	/* The path becomes smaller, and nobody says so. */
	w.mtu = 1450;
	w.largest = 0;
	way_stream(&w, from, peer, &sent, &got, 2000000);
	assert_int_equal(berth_sock_get(w.st[0], from, BERTH_MAXSEG, &mss), 0);
	assert_true(mss >= 1228 && mss <= 1398);
	assert_true(w.largest <= 1450);

	/* Ten minutes later it is larger again; the probes that fail before that are no congestion. */
	for (int i = 0; i < 60 * 100 * 10; i++)
		w.now += 10000000;
	assert_int_equal(berth_sock_tcp_info(w.st[0], from, &info), 0);
	fast = (uint32_t)w.st[0]->n.tcp_fast_recovery;
	w.n_too_big = 0;
	way_stream(&w, from, peer, &sent, &got, 3000000);
	assert_true(w.n_too_big >= 1);
	assert_int_equal(w.st[0]->n.tcp_fast_recovery, fast);
	w.mtu = 1500;
	for (int round = 0; round < 2; round++) {
		w.now += UINT64_C(601) * 1000000000;
		way_stream(&w, from, peer, &sent, &got, got + 1000000);
	}
	assert_int_equal(berth_sock_get(w.st[0], from, BERTH_MAXSEG, &mss), 0);
	assert_int_equal(mss, 1448);
	free(w.mem[0]);
	free(w.mem[1]);
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows) + 1];

	script_tests(tests, rows, COUNT_OF(rows));
	tests[COUNT_OF(rows)] = (struct CMUnitTest)cmocka_unit_test(search);
	return cmocka_run_group_tests_name("tcp_mtu", tests, NULL, NULL);
}
