/* tests/unit/test_tcp_save.c: a connection as octets, and back; and octets that are no connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"

static const struct stack_row rows[] = {
	{"an idle connection goes on",
	 {"established win 65535 mss 1460 ws 3 sackok ts 100 0", "reborn", "> A 1 ack 1 ts * 100",
	  "< PA 1+5 ack 1 ts 1001 0", "recv 5", "> A 1 ack 6 ts * 1001", "send 7", "> PA 1+7 ack 6"}},
	{"unread and unsent octets go on",
	 {"established", "< PA 1+5 ack 1", "> A 1 ack 6", "send 50", "reborn", "> PA 1+50 ack 6", "< A 6 ack 51"}},
	{"what was in flight can be acknowledged",
	 {"established", "send 50", "> PA 1+50 ack 1", "reborn", "> A 51 ack 1", "< A 1 ack 51", "send 5",
	  "> PA 51+5 ack 1"}},
	{"a wish to tell the user timeout goes on", {"established", "set uto 1", "reborn", "> A 1 ack 1", "get uto 1"}},
	{"what the peer told of its user timeout goes on",
	 {"listen", "lset uto 2", "established uto 65520", "reborn", "> A 1 ack 1", "get uto 2",
	  "info user_timeout_ms 1800000", "< A 1 ack 1 uto 500", "reborn", "> A 1 ack 1", "info peer_uto_s 500",
	  "info user_timeout_ms 500000"}},
	{"what was lost is sent again",
	 {"established", "send 50", "> PA 1+50 ack 1", "reborn", "> A 51 ack 1", "+1100", "> PA 1+50 ack 1"}},
	{"FIN-WAIT-1 goes on",
	 {"established", "send 5", "shutdown wr", "> FPA 1+5 ack 1", "reborn", "> A 7 ack 1", "state FIN-WAIT-1",
	  "< A 1 ack 7", "state FIN-WAIT-2", "< FA 1 ack 7", "> A 7 ack 2"}},
	{"FIN-WAIT-2 goes on",
	 {"established", "shutdown wr", "> FA 1 ack 1", "< A 1 ack 2", "reborn", "> A 2 ack 1", "state FIN-WAIT-2",
	  "< FA 1 ack 2", "> A 2 ack 2"}},
	{"CLOSE-WAIT goes on",
	 {"established", "< FPA 1+5 ack 1", "+50", "> A 1 ack 7", "reborn", "> A 1 ack 7", "state CLOSE-WAIT", "recv 5",
	  "recv eof", "send 5", "> PA 1+5 ack 7"}},
};

static struct stack_fixture f;

/* Octets of a connection that has all: unread, unsent, in flight. */
static uint32_t sample(uint8_t **ret)
{
	int64_t n;

	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established win 65535 mss 1460 ws 3 sackok ts 100 0");
	stack_line(&f, "< PA 1+5 ack 1 ts 1001 0");
	stack_line(&f, "> A 1 ack 6");
	stack_line(&f, "send 50");
	stack_line(&f, "> PA 1+50 ack 6");
	n = berth_sock_save(f.st, f.s, NULL, 0);
	assert_true(n > 0);
	*ret = malloc((size_t)n);
	assert_non_null(*ret);
	assert_int_equal(berth_sock_save(f.st, f.s, *ret, (uint32_t)n), n);
	return (uint32_t)n;
}

static void test_same_place_twice(void **state)
{
	uint8_t *octets;
	uint32_t n = sample(&octets);
	berth_sock a, b;

	(void)state;
	assert_int_equal(berth_sock_restore(f.st, octets, n, 1, &a), 0);
	assert_int_equal(berth_sock_restore(f.st, octets, n, 1, &b), -EADDRINUSE);
	assert_true(berth_stack_check(f.st));
	assert_int_equal(berth_sock_abort(f.st, a), 0);
	assert_true(berth_stack_check(f.st));
	free(octets);
	stack_fixture_free(&f);
}

/* The variation of round trips is kept four times over: it may be larger than the longest of them. */
static void test_slow_path(void **state)
{
	static const char *const lines[][2] = {{"> PA 1+5 ack 1", "< A 1 ack 6"},
					       {"> PA 6+5 ack 1", "< A 1 ack 11"},
					       {"> PA 11+5 ack 1", "< A 1 ack 16"}};
	struct berth_tcp_info before = {.struct_size = sizeof(before)}, after = before;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established");
	for (unsigned i = 0; i < COUNT_OF(lines); i++) {
		stack_line(&f, "send 5");
		stack_line(&f, lines[i][0]);
		f.now_ns += UINT64_C(59000000000); /* and nobody looked at the deadline */
		stack_line(&f, lines[i][1]);
	}
	assert_int_equal(berth_sock_tcp_info(f.st, f.s, &before), 0);
	assert_int_equal(before.rto_us, 120000000);
	stack_line(&f, "reborn");
	stack_line(&f, "> A 16 ack 1");
	assert_int_equal(berth_sock_tcp_info(f.st, f.s, &after), 0);
	assert_int_equal(after.rttvar_us, before.rttvar_us);
	stack_fixture_free(&f);
}

/* A program that replaces itself opens its listener before or after: the connection shares the port as it did. */
static void test_listener_after(void **state)
{
	struct berth_addr any = {.port = 80};
	uint8_t *octets;
	berth_sock s, l;
	int64_t n;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "listen");
	stack_line(&f, "lset reuseaddr 1");
	stack_line(&f, "established");
	n = berth_sock_save(f.st, f.s, NULL, 0);
	octets = malloc((size_t)n);
	assert_non_null(octets);
	assert_int_equal(berth_sock_save(f.st, f.s, octets, (uint32_t)n), n);
	stack_line(&f, "close-listener");
	assert_int_equal(berth_sock_restore(f.st, octets, (uint32_t)n, 1, &s), 0);
	assert_int_equal(berth_sock_open(f.st, BERTH_TCP, BERTH_IPV6, 0, &l), 0);
	assert_int_equal(berth_sock_bind(f.st, l, &any), -EADDRINUSE);
	assert_int_equal(berth_sock_set(f.st, l, BERTH_REUSEADDR, 1), 0);
	assert_int_equal(berth_sock_bind(f.st, l, &any), 0);
	assert_int_equal(berth_sock_listen(f.st, l, 4), 0);
	free(octets);
	stack_fixture_free(&f);
}

static void test_cut_short(void **state)
{
	uint8_t *octets;
	uint32_t n = sample(&octets);
	berth_sock s;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(berth_sock_restore(f.st, octets, i, 1, &s), -EINVAL);
	assert_int_equal(berth_sock_restore(f.st, NULL, 0, 1, &s), -EINVAL);
	assert_true(berth_stack_check(f.st));
	free(octets);
	stack_fixture_free(&f);
}

/* Each octet of the numbers changed in many ways: refused, or a connection that keeps every invariant and can be used. */
static void test_every_octet(void **state)
{
	static const uint8_t flips[] = {1, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x7f};
	uint8_t *octets, *bad;
	uint32_t n = sample(&octets), taken = 0;

	(void)state;
	bad = malloc(n);
	assert_non_null(bad);
	for (uint32_t i = 0; i < n; i++) {
		for (size_t k = 0; k < COUNT_OF(flips); k++) {
			berth_sock s;
			int r;

			memcpy(bad, octets, n);
			bad[i] ^= flips[k];
			r = berth_sock_restore(f.st, bad, n, 1, &s);
			assert_true(berth_stack_check(f.st));
			if (r != 0)
				continue;
			taken++;
			berth_sock_send(f.st, s, octets, 100, 0);
			while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
				;
			f.now_ns += UINT64_C(2000000000);
			berth_stack_tick(f.st, f.now_ns, 256);
			while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
				;
			assert_true(berth_stack_check(f.st));
			assert_int_equal(berth_sock_abort(f.st, s), 0);
			while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
				;
			berth_stack_events(f.st, (struct berth_event[8]){0}, 8);
			assert_true(berth_stack_check(f.st));
		}
	}
	assert_true(taken > 0);
	free(bad);
	free(octets);
	stack_fixture_free(&f);
}

static void test_not_a_connection(void **state)
{
	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "listen");
	assert_int_equal(berth_sock_save(f.st, f.listener, NULL, 0), -EINVAL);
	stack_line(&f, "connect");
	assert_int_equal(berth_sock_save(f.st, f.s, NULL, 0), -EINVAL);
	assert_int_equal(berth_sock_save(f.st, 12345, NULL, 0), -EBADF);
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest more[] = {
		cmocka_unit_test(test_same_place_twice), cmocka_unit_test(test_listener_after),
		cmocka_unit_test(test_slow_path),	 cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_every_octet),	 cmocka_unit_test(test_not_a_connection),
	};

	return stack_rows_run("tcp save", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
