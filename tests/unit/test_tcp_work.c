/* tests/unit/test_tcp_work.c: blocks of what connections need while they work: who takes one, who keeps it, what is kept without. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stack/tcp.h"
#include "stack_fixture.h"

static struct stack_fixture f;

/* A stack with so many blocks, and a connection that has had data both ways and was acknowledged. */
static void begin(bool is6, uint32_t n_work)
{
	struct berth_stack_config c = stack_fixture_config();

	c.n_work = n_work;
	stack_fixture_init(&f, is6, &c);
	stack_line(&f, "established win 65535 mss 1460 sackok ts 1000 0 ws 4");
	stack_line(&f, "+7");
	stack_line(&f, "send 100");
	stack_line(&f, "> PA 1+100 ack 1 ts * 1000");
	stack_line(&f, "+30");
	stack_line(&f, "< PA 1+50 ack 101 ts 1002 *");
	stack_line(&f, "recv 50");
	stack_line(&f, "+50");
	stack_line(&f, "> A 101 ack 51");
	stack_line(&f, "quiet");
}

static struct tcp_conn *conn(void)
{
	return tcp_at(f.st, (uint32_t)f.s);
}

static void lines(const char *const *v)
{
	for (; *v; v++)
		stack_line(&f, *v);
}
#define LINES(...) lines((const char *const[]){__VA_ARGS__, NULL})

/* Another connection wants a block, and is gone again. */
static bool another_gets_one(void)
{
	struct berth_addr to = f.peers;
	berth_sock other;
	int r;

	to.port = 9999;
	assert_int_equal(berth_sock_open(f.st, BERTH_TCP, f.is6 ? BERTH_IPV6 : BERTH_IPV4, 0, &other), 0);
	r = berth_sock_connect(f.st, other, &to);
	assert_true(r == -EINPROGRESS || r == -ENOBUFS);
	assert_true(berth_stack_check(f.st));
	assert_int_equal(berth_sock_abort(f.st, other), 0);
	assert_true(berth_stack_check(f.st));
	return r == -EINPROGRESS;
}

/* Another connection has the only block and does not give it back: it has octets that its program does not read. f goes on
 * with the first. */
static struct stack_fixture second;
static void another_keeps_it(void)
{
	struct stack_fixture first = f;

	LINES("peer-port 5001", "established", "< PA 1+10 ack 1", "> A 1 ack 11");
	second = f;
	f.s = first.s;
	f.our_iss = first.our_iss;
	f.sent = first.sent;
	f.received = first.received;
	f.peer_port = first.peer_port;
	assert_null(conn()->w);
}

/* The second one's program reads, and it ends. */
static void another_lets_go(void)
{
	uint16_t port = f.peer_port;

	assert_int_equal(berth_sock_abort(f.st, second.s), 0);
	LINES("peer-port 5001", "> RA *");
	f.peer_port = port;
}

static struct berth_tcp_info info(void)
{
	struct berth_tcp_info i = {.struct_size = sizeof(i)};

	assert_int_equal(berth_sock_tcp_info(f.st, f.s, &i), 0);
	return i;
}

#define BOTH for (int is6 = 0; is6 < 2; is6++)

static void test_given_up_at_rest(void **state)
{
	(void)state;
	BOTH
	{
		struct berth_tcp_info before, after;

		begin(is6, 1);
		LINES("+1500");
		before = info();
		assert_non_null(conn()->w);
		assert_true(another_gets_one());
		assert_null(conn()->w);
		after = info();
		assert_true(before.rtt_us > 1000 && before.min_rtt_us > 0);
		/* What only a working connection knows is unknown now, the rest as it was. */
		before.rcv_rtt_us = before.rcv_space = 0;
		before.delivery_rate_bps = before.pacing_rate_bps = 0;
		before.last_data_recv_ms = after.last_data_recv_ms;
		assert_memory_equal(&before, &after, sizeof(before));
		assert_int_equal(berth_sock_poll(f.st, f.s), BERTH_EV_OUT);
		LINES("quiet", "+100000", "< PA 51+10 ack 101 ts 1003 *", "recv 10", "> A 101 ack 61 ts * 1003",
		      "send 20", "> PA 101+20 ack 61", "+10", "< A 61 ack 121 ts 1004 *", "quiet", "shutdown wr",
		      "> FA 121", "< FA 61 ack 122 ts 1005 *", "> A 122 ack 62");
		assert_int_equal(f.st->n.tcp_no_work, 0);
		stack_fixture_free(&f);
	}
}

static void test_writing_wakes(void **state)
{
	(void)state;
	begin(false, 1);
	LINES("+1500");
	assert_true(another_gets_one());
	LINES("send 3000", "> A 101+1448 ack 51", "> A 1549+1448", "> PA 2997+104", "+10", "< A 51 ack 3101 ts 1009 *",
	      "quiet");
	stack_fixture_free(&f);
}

/* Each of these holds on to its block. */
static void test_kept(void **state)
{
	static const char *const cases[][6] = {
		{"+500"},							      /* silent, but not for long */
		{"< PA 51+10 ack 101 ts 1003 *", "> A 101 ack 61", "quiet", "+5000"}, /* unread */
		{"send 10", "> PA 101+10", "lost 5000"},			      /* unacknowledged */
		{"< PA 61+10 ack 101 ts 1003 *", "> A 101 ack 51", "quiet", "+5000"}, /* a hole */
		{"< A 51 ack 101 win 0 ts 1003 *", "send 10", "lost 5000"},	      /* a closed window is probed */
		{"shutdown wr", "> FA 101", "lost 5000"},			      /* FIN is not acknowledged */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin(false, 1);
		for (const char *const *v = cases[i]; *v; v++)
			stack_line(&f, *v);
		assert_false(another_gets_one());
		assert_non_null(conn()->w);
		assert_int_equal(f.st->n.tcp_no_work, 1);
		stack_fixture_free(&f);
	}
}

/* S15: a peer that leaves a hole open and falls silent keeps no block for ever, and no record of what lies behind the hole, when others want
 * them. It sends that again (RFC 2018, 8). */
static void test_old_hole(void **state)
{
	(void)state;
	BOTH
	{
		begin(is6, 1);
		LINES("< PA 61+10 ack 101 ts 1003 *", "> A 101 ack 51 sack 61-71", "lost 29000");
		assert_false(another_gets_one());
		LINES("+1100");
		assert_true(another_gets_one());
		assert_null(conn()->w);
		LINES("< PA 51+10 ack 101 ts 1004 *", "recv 10", "> A 101 ack 61 no-sack",
		      "< PA 61+10 ack 101 ts 1005 *", "recv 10");
		stack_fixture_free(&f);
	}
}

static void test_old_hole_of_another(void **state)
{
	struct berth_stack_config c = stack_fixture_config();

	(void)state;
	c.n_gaps = 1;
	stack_fixture_init(&f, false, &c);
	LINES("established win 65535 mss 1460 sackok", "< PA 11+10 ack 1", "> A 1 ack 1 sack 11-21", "+20000",
	      "< PA 1+5 ack 1", "> A 1 ack 6 sack 11-21", "+20000", "peer-port 5001",
	      "established win 65535 mss 1460 sackok", "< PA 11+10 ack 1", "> A 1 ack 1 no-sack",
	      "count tcp_no_memory 1"); /* the first hole became smaller 20 s ago */
	LINES("+11000", "< PA 11+10 ack 1", "> A 1 ack 1 sack 11-21", "< PA 1+10 ack 1", "> A 1 ack 21",
	      "count tcp_no_memory 1");
	stack_fixture_free(&f);
}

/* What asks the peer for a sign of life, and what ends a connection, needs no block. */
static void test_probes_and_resets(void **state)
{
	(void)state;
	BOTH
	{
		begin(is6, 1);
		LINES("set keepalive 1", "set keepidle 10", "set keepintvl 5", "set keepcnt 2", "+2000");
		another_keeps_it();
		LINES("+6000", "quiet", "+2000", "> A 100 ack 51 ts * 1002", "+5001", "> A 100 ack 51", "+5001",
		      "> RA 101 ack 51", "error ETIMEDOUT", "state CLOSED");
		stack_fixture_free(&f);

		begin(is6, 1);
		LINES("+2000");
		another_keeps_it();
		LINES("abort", "> RA 101 ack 51 ts * 1002", "gone");
		stack_fixture_free(&f);
	}
}

static void test_none_left(void **state)
{
	(void)state;
	BOTH
	{
		begin(is6, 1);
		LINES("+2000");
		another_keeps_it();
		/* What comes is dropped; what is written waits. */
		LINES("< PA 51+10 ack 101 ts 1003 *", "quiet", "recv EAGAIN", "count tcp_no_work 1", "send 30", "quiet",
		      "poll OUT", "shutdown wr", "quiet", "+100", "quiet");
		assert_true(f.st->n.tcp_no_work > 3);
		another_lets_go();
		LINES("+20", "> FPA 101+30 ack 51", "< PA 51+10 ack 132 ts 1004 *", "recv 10", "> A 132 ack 61");
		stack_fixture_free(&f);

		/* Nor is there one for a new connection, of either kind. */
		begin(is6, 1);
		LINES("peer-port 5001", "< S 0 win 1000 mss 1000", "> SA *", "< A 1 ack 1", "quiet", "no accept",
		      "+2000");
		stack_fixture_free(&f);
	}
}

/* Who waits for a block gets one with a segment that says nothing: what waits is not forgotten then. */
static void test_waits_and_gets_nonsense(void **state)
{
	(void)state;
	BOTH
	{
		begin(is6, 1);
		LINES("+2000");
		another_keeps_it();
		LINES("send 30", "shutdown wr", "quiet");
		another_lets_go();
		LINES("< R 0", "> FPA 101+30 ack 51", "+20", "quiet");
		stack_fixture_free(&f);
	}
}

/* Those that were silent longest give theirs first. */
static void test_longest_first(void **state)
{
	berth_sock s[4];
	char line[32];

	(void)state;
	begin(false, 4);
	s[0] = f.s;
	for (unsigned i = 1; i < 4; i++) {
		snprintf(line, sizeof(line), "peer-port %u", 5000 + i);
		LINES("+400", line, "established");
		s[i] = f.s;
	}
	LINES("+1500");
	for (unsigned i = 0; i < 4; i++) {
		struct berth_addr to = f.peers;
		berth_sock other;

		to.port = 9999;
		for (unsigned k = 0; k < 4; k++)
			assert_true((tcp_at(f.st, (uint32_t)s[k])->w == NULL) == (k < i));
		assert_int_equal(berth_sock_open(f.st, BERTH_TCP, BERTH_IPV4, 0, &other), 0);
		assert_int_equal(berth_sock_connect(f.st, other, &to), -EINPROGRESS);
	}
	assert_false(another_gets_one());
	stack_fixture_free(&f);
}

/* What a connection learned of its path is there after a rest: CUBIC's last loss, too. */
static void test_path_is_remembered(void **state)
{
	struct tcp_conn *c;

	(void)state;
	begin(false, 1);
	c = conn();
	c->cwnd = 50 * c->mss;
	c->ssthresh = 40 * c->mss;
	assert_int_equal(berth_sock_set(f.st, f.s, BERTH_IDLE_RESTART, 0), 0);
	LINES("send 4344", "> A 101+1448", "> A 1549+1448", "> PA 2997+1448", "+10",
	      "< A 51 ack 101 sack 1549-4445 ts 1003 *", "+200", "> A 101+1448", "+10", "< A 51 ack 4445 ts 1004 *",
	      "quiet");
	assert_true(c->cwnd < 50u * c->mss);
	LINES("+3000");
	{
		uint32_t cwnd = c->cwnd, ssthresh = c->ssthresh, w_max;

		memcpy(&w_max, (uint8_t *)c->w->cc_private + 8, sizeof(w_max));
		assert_true(another_gets_one());
		assert_null(c->w);
		LINES("send 1", "> PA 4445+1");
		assert_int_equal(c->cwnd, cwnd);
		assert_int_equal(c->ssthresh, ssthresh);
		assert_true(w_max != 0);
		assert_memory_equal(&w_max, (uint8_t *)c->w->cc_private + 8, sizeof(w_max));
	}
	stack_fixture_free(&f);
}

/* The program's calls on one that rests. */
static void test_calls(void **state)
{
	struct berth_addr local, peer;
	uint64_t v;

	(void)state;
	BOTH
	{
		begin(is6, 1);
		LINES("+2000");
		another_keeps_it();
		assert_int_equal(berth_sock_names(f.st, f.s, &local, &peer), 0);
		assert_int_equal(peer.port, f.peer_port);
		assert_int_equal(berth_sock_get(f.st, f.s, BERTH_MAXSEG, &v), 0);
		assert_true(v > 1400);
		LINES("set nodelay 1", "set cork 1", "set cork 0", "set quickack 1", "set quickack 0", "set maxseg 500",
		      "set congestion 0", "set congestion 1", "set sndbuf 5000", "quiet", "recv EAGAIN", "poll OUT",
		      "reborn", "> A 101 ack 51", "send 10", "> PA 101+10 ack 51");
		stack_fixture_free(&f);
	}
}

/* One that ended has no block. */
static void test_after_the_end(void **state)
{
	(void)state;
	BOTH
	{
		struct berth_tcp_info i;

		begin(is6, 1);
		LINES("< RA 51 ack 101", "state CLOSED");
		assert_null(conn()->w);
		i = info();
		assert_true(i.snd_nxt == i.snd_una && i.notsent_bytes == 0);
		assert_true(i.bytes_sent == 100 && i.bytes_acked == 100 && i.bytes_received == 50);
		assert_true(another_gets_one());
		LINES("error ECONNRESET", "recv eof");
		stack_fixture_free(&f);
	}
}

/* Nor has one whose frames are written, or that was accepted, only then. */
static void test_after_the_end_of_all(void **state)
{
	struct berth_stack_config c = stack_fixture_config();
	struct berth_tx tx;

	(void)state;
	c.n_work = 1;
	c.flags = BERTH_STACK_PIN;
	BOTH
	{
		stack_fixture_init(&f, is6, &c);
		LINES("established", "send 10");
		assert_int_equal(berth_stack_output(f.st, &tx, 1, f.now_ns), 1);
		assert_true(tx.pin != 0);
		LINES("< RA 1 ack 11", "state CLOSED");
		assert_non_null(conn()->w);
		berth_stack_unpin(f.st, tx.pin);
		assert_null(conn()->w);
		assert_true(another_gets_one());
		stack_fixture_free(&f);

		stack_fixture_init(&f, is6, &c);
		LINES("listen", "< S 0 win 1000 mss 1000", "> SA 0 ack 1", "< A 1 ack 1", "< RA 1 ack 1");
		assert_false(another_gets_one());
		LINES("accept", "state CLOSED");
		assert_null(conn()->w);
		assert_true(another_gets_one());
		stack_fixture_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest more[] = {
		cmocka_unit_test(test_given_up_at_rest),
		cmocka_unit_test(test_writing_wakes),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_old_hole),
		cmocka_unit_test(test_old_hole_of_another),
		cmocka_unit_test(test_probes_and_resets),
		cmocka_unit_test(test_none_left),
		cmocka_unit_test(test_waits_and_gets_nonsense),
		cmocka_unit_test(test_longest_first),
		cmocka_unit_test(test_path_is_remembered),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_after_the_end),
		cmocka_unit_test(test_after_the_end_of_all),
	};

	return stack_rows_run("tcp work", NULL, 0, more, COUNT_OF(more));
}
