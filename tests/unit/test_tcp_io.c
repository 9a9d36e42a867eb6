/* tests/unit/test_tcp_io.c: src/stack/tcp_io.c and tcp_ring.c: what the program reads and writes, hears and owns. */
#include "base/rng.h"
#include "tcp_script.h"

static const struct script_row rows[] = {
	/* events and what poll says */
	{"data is BERTH_EV_IN", "poll out; in 1+10; ev in; poll in,out; read 10; poll out; ev none; out 1+0 ack 11"},
	{"each arrival is an edge",
	 "in 1+10; ev in; in 11+10; ev in; read 20; poll out; out 1+0 ack 11; out 1+0 ack 21"},
	{"early data is none", "in 11+10; ev none; poll out; in 1+10; ev in; read 20; out 1+0 ack 1; out 1+0 ack 21"},
	{"BERTH_RCVLOWAT waits for so much",
	 "set rcvlowat 100; in 1+50; ev none; poll out; in 51+50; ev in; poll in,out; read 50; poll out; out 1+0 ack 51; out 1+0 ack 101"},
	{"BERTH_RCVLOWAT does not wait for more than can come",
	 "set rcvlowat 5000; in 1+4000; ev none; in 4001+96; ev in; poll in,out; out 1+0 ack 4001; out 1+0 ack 4097 win 0",
	 .ring = 4096},
	{"BERTH_RCVLOWAT does not wait beyond the end",
	 "set rcvlowat 100; in 1+10 F; ev in,rdhup; poll in,out,rdhup; read 10; read eof"},
	{"the end of the stream", "in 1+0 F; ev in,rdhup; poll in,out,rdhup; read eof; read eof; out 1+0 ack 2"},
	{"a ring that is full is not writable; a third of it free is",
	 "send 4096; want; poll none; in 1+0 ack 1001; ev none; poll none; in 1+0 ack 1461; ev out; poll out; send 1460; drop",
	 .ring = 4096},
	{"BERTH_SNDBUF is less than the ring", "set sndbuf 5000; send 6000 part; want; poll none; drop"},
	{"BERTH_NOTSENT_LOWAT: writable while less than that is unsent",
	 "set notsent 2000; send 3000; poll none; in 1+0 ack 1001 win 2000; ev out; poll out; out 1+1000; out 1001+1460; out 2461+540",
	 .win = 1000},
	{"a write takes what fits", "send 5000 part; want; in 1+0 ack 1461; send 5000 part; drop", .ring = 4096},
	{"what was written before the end is sent", "send 3000; fin; drop; in 1+0 ack 3002; poll out; ev none"},
	{"a write after shutdown is refused", "fin; poll out; drop; in 1+0 ack 2; quiet"},
	{"a reset is an error, once",
	 "in 1+10; in 11+0 R; ev in,out,rdhup,hup,err; read 10; err 104; err 0; read eof; out 1+0 ack 11"},

	/* rings of the program's own */
	{"attach: what arrived moves over, holes too",
	 "in 1+1000; in 2001+500; drop; attach 16384 16384; read 1000; drop; in 1001+1000; out 1+0 ack 2501; read 1500; send 10000; drop"},
	{"attach: a larger ring is a larger window",
	 "attach 1048576 65536; in 1+60000 gso 1460; read 60000; wait 10; in 60001+60000 gso 1460; read 60000; drop; in 120001+60000 gso 1460; read 60000; wait 100; drop; in 180001+1000; wait 50; out 1+0 ack 181001 win 262272"},
	{"attach: a smaller one takes the window back",
	 "in 1+1000; drop; attach 4096 4096; in 1001+4000; out 1+0 ack 4097 win 0; read 4096; out 1+0 ack 4097 win 4096"},

	/* the sending buffer grows with the window of congestion */
	{"tuning: the sending buffer is 64 KiB at first", "send 100000 part; want; poll none; drop", .ring = 1 << 20,
	 .scale = 7, .win = 1 << 20},
};

/* --- rings beside an array --- */

static void ring_beside_an_array(void **state)
{
	static uint8_t memory[64], array[64];
	struct rng r;

	(void)state;
	rng_init(&r, 7);
	for (int world = 0; world < 200; world++) {
		struct tcp_ring ring;
		uint32_t n = 0;

		tcp_ring_init(&ring, memory, sizeof(memory));
		for (int i = 0; i < 200; i++) {
			uint32_t len = (uint32_t)rng_range(&r, 0, ring.size - ring.used - ring.held), at, sum = 0;
			struct berth_part v[2];
			unsigned n_parts;

			for (uint32_t k = 0; k < len; k++)
				array[n + k] = (uint8_t)rng_u64(&r);
			/* In two goes, the later one first, as early segments come. */
			at = (uint32_t)rng_range(&r, 0, len);
			tcp_ring_write(&ring, ring.used + at, array + n + at, len - at);
			tcp_ring_write(&ring, ring.used, array + n, at);
			ring.used += len;
			n += len;
			at = (uint32_t)rng_range(&r, 0, n);
			len = (uint32_t)rng_range(&r, 0, n - at);
			n_parts = tcp_ring_parts(&ring, at, len, v);
			for (unsigned k = 0; k < n_parts; sum += v[k].len, k++)
				assert_memory_equal(v[k].data, array + at + sum, v[k].len);
			assert_int_equal(sum, len);
			len = (uint32_t)rng_range(&r, 0, n);
			tcp_ring_drop(&ring, len);
			n -= len;
			memmove(array, array + len, n);
			assert_int_equal(ring.used, n);
		}
	}
}

/* --- pins --- */

static const struct script_row pinned_row = {"pins", "", .stack_flags = BERTH_STACK_PIN, .ring = 4096};

static void unpin_all(struct script *s)
{
	for (unsigned i = 0; i < s->n_out; i++)
		berth_stack_unpin(s->st, s->out[i].pin);
	script_events(s);
}

static void pinned_octets_stay(void **state)
{
	struct script s;

	(void)state;
	script_open(&s, &pinned_row, 5000);
	script_run(&s, "send 4096; in 1+0 ack 4097; want; poll none; ev none");
	for (unsigned i = 0; i < s.n_out; i++)
		assert_int_not_equal(s.out[i].pin, 0);
	unpin_all(&s);
	script_run(&s, "ev out; send 4096");
	script_free(&s);
}

/* A writer that always has a frame on its way: each unpin comes after the next frame is out. */
static void pins_that_overlap(void **state)
{
	struct script s;
	uint64_t held = 0;

	(void)state;
	script_open(&s, &pinned_row, 5000);
	for (unsigned i = 0; i < 60; i++) {
		char text[80];

		snprintf(text, sizeof(text), "send 1000; in 1+0 ack %u", 1 + 1000 * (i + 1));
		script_run(&s, text);
		if (held)
			berth_stack_unpin(s.st, held);
		held = s.out[s.n_out - 1].pin;
		assert_int_not_equal(held, 0);
	}
	script_free(&s);
}

/* The connection ends, the writer is not done: its ring is nobody else's yet. */
static void pins_outlive_the_connection(void **state)
{
	struct script s;
	uint32_t used;

	(void)state;
	script_open(&s, &pinned_row, 5000);
	script_run(&s, "send 1000; in 1+0 ack 1001 R");
	used = s.st->tcp->rings.n_used;
	script_run(&s, "close");
	assert_int_equal(s.st->tcp->rings.n_used, used);
	unpin_all(&s);
	assert_int_equal(s.st->tcp->rings.n_used, used - 1);
	assert_int_equal(s.st->n_pinned, 0);
	unpin_all(&s); /* a pin that was undone is nobody's */
	assert_int_equal(s.st->tcp->rings.n_used, used - 1);
	assert_true(berth_stack_check(s.st));
	script_free(&s);
}

/* --- attach() refuses --- */

static void attach_refuses(void **state)
{
	static const struct script_row row = {"attach", ""};
	struct script s;
	uint8_t *m;

	(void)state;
	script_open(&s, &row, 5000);
	m = s.rings;
	assert_int_equal(berth_sock_attach(s.st, s.listener, m, 4096, m + 4096, 4096), -EINVAL);
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 5000, m + 8192, 4096), -EINVAL);
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 2048, m + 8192, 4096), -EINVAL);
	assert_int_equal(berth_sock_attach(s.st, s.s, NULL, 4096, m + 8192, 4096), -EINVAL);
	assert_int_equal(berth_sock_attach(s.st, s.s + 1, m, 4096, m + 8192, 4096), -EBADF);
	script_run(&s, "in 1+5000; drop");
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 4096, m + 8192, 4096), -ENOBUFS);
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 8192, m + 4096, 4096), -EINVAL);
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 8192, m + 8192, 4096), 0);
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 8192, m + 8192, 4096), -EINVAL); /* to where it is */
	script_run(&s, "read 5000; send 10; drop");
	assert_int_equal(berth_sock_attach(s.st, s.s, m, 8192, m + 8192, 4096), -EISCONN);
	script_free(&s);
}

/* --- tx_space and rx_peek: the rings without a copy --- */

static void without_a_copy(void **state)
{
	static const struct script_row row = {"peek", "", .ring = 4096};
	struct berth_part v[2];
	struct script s;

	(void)state;
	script_open(&s, &row, 5000);
	assert_int_equal(berth_sock_rx_peek(s.st, s.s, v), -EAGAIN);
	script_run(&s, "in 1+3000; read 2999; in 3001+2000; drop");
	assert_int_equal(berth_sock_rx_peek(s.st, s.s, v), 2001);
	assert_int_equal(v[0].len, 1097);
	assert_int_equal(v[1].len, 904);
	assert_int_equal(v[0].data[0], octet_of(2999));
	assert_int_equal(v[1].data[903], octet_of(4999));
	assert_int_equal(berth_sock_rx_consume(s.st, s.s, 2002), -EINVAL);
	assert_int_equal(berth_sock_rx_consume(s.st, s.s, 2001), 0);
	assert_int_equal(berth_sock_tx_space(s.st, s.s, v), 4096);
	assert_int_equal(v[0].len, 4096);
	assert_int_equal(berth_sock_tx_commit(s.st, s.s, 4097, 0), -EINVAL);
	assert_int_equal(berth_sock_tx_commit(s.st, s.s, 1, 4), -EINVAL);
	assert_int_equal(berth_sock_tx_commit(s.st, s.s, 0, 0), 0);
	script_run(&s, "quiet; fin; drop");
	assert_int_equal(berth_sock_tx_space(s.st, s.s, v), -EPIPE);
	assert_int_equal(berth_sock_tx_commit(s.st, s.s, 1, 0), -EPIPE);
	script_free(&s);
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows) + 6] = {
		cmocka_unit_test(ring_beside_an_array), cmocka_unit_test(pinned_octets_stay),
		cmocka_unit_test(pins_that_overlap),	cmocka_unit_test(pins_outlive_the_connection),
		cmocka_unit_test(attach_refuses),	cmocka_unit_test(without_a_copy),
	};

	script_tests(tests + 6, rows, COUNT_OF(rows));
	return cmocka_run_group_tests_name("tcp_io", tests, NULL, NULL);
}
