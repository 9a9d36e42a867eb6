/* tests/unit/test_stack_places.c: a stack whose sockets may hold few places at once (n_places): what shares one, and what is refused,
 * counted and left as it was when there is none left. What the heart itself does then is test_port_table.c's.
 */
#include <errno.h>
#include <stdio.h>

#include "stack_fixture.h"

static void fixture(struct stack_fixture *f, uint32_t n_places)
{
	struct berth_stack_config c = stack_fixture_config();

	c.n_places = n_places;
	stack_fixture_init(f, false, &c);
}

static void lines(struct stack_fixture *f, const char *const *line)
{
	for (; *line != NULL; line++)
		stack_line(f, *line);
	assert_true(berth_stack_check(f->st));
}
#define LINES(f, ...) lines((f), (const char *const[]){__VA_ARGS__, NULL})

static uint64_t n_refused(const struct stack_fixture *f)
{
	struct berth_counters n = {.struct_size = sizeof(n)};

	assert_int_equal(berth_stack_counters(f->st, &n), 0);
	assert_true(berth_stack_check(f->st));
	return n.no_places;
}

static berth_sock open_(struct stack_fixture *f, int proto)
{
	berth_sock s;

	assert_int_equal(berth_sock_open(f->st, proto, BERTH_IPV4, 0, &s), 0);
	return s;
}

static int bind_(struct stack_fixture *f, berth_sock s, uint16_t port)
{
	struct berth_addr a = f->ours;

	a.port = port;
	return berth_sock_bind(f->st, s, &a);
}

static int connect_(struct stack_fixture *f, berth_sock s, const struct berth_addr *to, uint16_t port)
{
	struct berth_addr a = *to;

	a.port = port;
	return berth_sock_connect(f->st, s, &a);
}

static uint16_t port_of(struct stack_fixture *f, berth_sock s)
{
	struct berth_addr a;

	assert_int_equal(berth_sock_names(f->st, s, &a, NULL), 0);
	return a.port;
}

/* Nothing leaves but what we say to ourselves. */
static void settle(struct stack_fixture *f)
{
	struct berth_tx tx[4];

	f->now_ns += 1000;
	(void)berth_stack_output(f->st, tx, 4, f->now_ns);
}

/* A listening port, what it accepted at one address, and their TIME-WAITs: three, for any number. */
static void a_server_needs_three(void **state)
{
	struct stack_fixture f;
	char line[32];

	(void)state;
	fixture(&f, 3);
	for (int i = 0; i < 9; i++) {
		snprintf(line, sizeof(line), "peer-port %d", 5000 + i);
		LINES(&f, line, "established");
		if (i % 2 != 0)
			LINES(&f, "close", "> FA 1 ack 1", "< FA 1 ack 2", "> A 2 ack 2", "< FA 1 ack 2",
			      "> A 2 ack 2");
	}
	LINES(&f, "count tcp_time_wait 4", "count no_places 0");
	assert_int_equal(bind_(&f, open_(&f, BERTH_TCP), 90), -ENOBUFS);
	LINES(&f, "+61000", "count no_places 1"); /* the records end, and one of the three is free */
	assert_int_equal(bind_(&f, open_(&f, BERTH_TCP), 91), 0);
	stack_fixture_free(&f);
}

static void without_one_a_handshake_is_not_completed(void **state)
{
	struct stack_fixture f;

	(void)state;
	fixture(&f, 1);
	LINES(&f, "listen", "< S 0", "> SA 0 ack 1", "< A 1 ack 1", "no accept", "count tcp_no_memory 1",
	      "count no_places 1");
	stack_fixture_free(&f);
}

static void without_one_time_wait_is_left_out(void **state)
{
	struct stack_fixture f;

	(void)state;
	fixture(&f, 2);
	LINES(&f, "established", "peer-port 5001", "established", "close", "> FA 1 ack 1", "< FA 1 ack 2",
	      "> A 2 ack 2", "count tcp_time_wait 0", "count no_places 1", "events CLOSED", "< FA 1 ack 2", "> R 2");
	stack_fixture_free(&f);
}

static void every_call_that_wants_one_is_refused(void **state)
{
	struct stack_fixture f;
	berth_sock first, s, u;

	(void)state;
	fixture(&f, 1);
	first = open_(&f, BERTH_TCP);
	s = open_(&f, BERTH_TCP);
	u = open_(&f, BERTH_UDP);
	assert_int_equal(bind_(&f, first, 80), 0);
	assert_int_equal(berth_sock_listen(f.st, first, 1), 0); /* where it is */
	assert_int_equal(bind_(&f, s, 81), -ENOBUFS);
	assert_int_equal(bind_(&f, s, 0), -ENOBUFS);
	assert_int_equal(berth_sock_listen(f.st, s, 1), -ENOBUFS);
	assert_int_equal(connect_(&f, s, &f.peers, 8080), -ENOBUFS);
	assert_int_equal(bind_(&f, u, 53), -ENOBUFS);
	assert_int_equal(connect_(&f, u, &f.peers, 53), -ENOBUFS);
	assert_int_equal(n_refused(&f), 6);
	assert_int_equal(berth_sock_close(f.st, first), 0);
	assert_int_equal(connect_(&f, s, &f.peers, 8080), -EINPROGRESS);
	assert_int_equal(connect_(&f, u, &f.peers, 53), -ENOBUFS);
	assert_int_equal(berth_sock_close(f.st, s), 0);
	assert_int_equal(connect_(&f, u, &f.peers, 53), 0);
	assert_int_equal(n_refused(&f), 7);
	stack_fixture_free(&f);
}

static void an_option_that_would_need_one_stays_as_it_is(void **state)
{
	struct stack_fixture f;
	berth_sock s[2];
	uint64_t v;

	(void)state;
	fixture(&f, 1);
	for (int i = 0; i < 2; i++) {
		s[i] = open_(&f, BERTH_TCP);
		assert_int_equal(berth_sock_set(f.st, s[i], BERTH_REUSEADDR, 1), 0);
		assert_int_equal(bind_(&f, s[i], 80), 0);
	}
	assert_int_equal(berth_sock_set(f.st, s[0], BERTH_REUSEPORT, 1), -ENOBUFS);
	assert_int_equal(berth_sock_get(f.st, s[0], BERTH_REUSEPORT, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(n_refused(&f), 1);
	stack_fixture_free(&f);
}

/* Two listen at one place; the third place that one of them needs when it stops is not there. */
static void a_listener_that_stops_may_lose_its_port(void **state)
{
	struct stack_fixture f;
	berth_sock s[2];

	(void)state;
	fixture(&f, 2);
	for (int i = 0; i < 2; i++) {
		s[i] = open_(&f, BERTH_TCP);
		assert_int_equal(berth_sock_set(f.st, s[i], BERTH_REUSEPORT, 1), 0);
		assert_int_equal(bind_(&f, s[i], 80), 0);
		assert_int_equal(berth_sock_listen(f.st, s[i], 1), 0);
	}
	assert_int_equal(bind_(&f, open_(&f, BERTH_TCP), 81), 0);
	assert_int_equal(berth_sock_shutdown(f.st, s[0], BERTH_SHUT_RD), 0);
	assert_int_equal(n_refused(&f), 1);
	assert_int_equal(port_of(&f, s[0]), 0);
	assert_int_equal(port_of(&f, s[1]), 80);
	LINES(&f, "< S 0", "> SA 0 ack 1"); /* the other one does as before */
	stack_fixture_free(&f);
}

/* And two connect()s from one place that are refused. */
static void a_connect_that_fails_may_lose_its_port(void **state)
{
	struct stack_fixture f;
	berth_sock s[2];

	(void)state;
	fixture(&f, 2);
	for (int i = 0; i < 2; i++) {
		s[i] = open_(&f, BERTH_TCP);
		assert_int_equal(berth_sock_set(f.st, s[i], BERTH_REUSEADDR, 1), 0);
		assert_int_equal(bind_(&f, s[i], 90), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(connect_(&f, s[i], &f.ours, (uint16_t)(7 + i)), -EINPROGRESS);
	assert_int_equal(bind_(&f, open_(&f, BERTH_TCP), 91), 0);
	for (int i = 0; i < 8; i++)
		settle(&f); /* nobody is there */
	assert_int_equal(n_refused(&f), 1);
	assert_int_equal(port_of(&f, s[0]), 0);
	assert_int_equal(port_of(&f, s[1]), 90);
	stack_fixture_free(&f);
}

/* There is a place for each socket and each record unless the program asks for fewer, and more than that is no use. */
static void by_default_there_is_always_one(void **state)
{
	struct berth_stack_config c = stack_fixture_config();
	struct stack_fixture f;
	size_t len = berth_stack_size(&c);
	uint32_t n = 0;

	(void)state;
	c.n_places = UINT32_MAX;
	assert_int_equal(berth_stack_size(&c), len);
	c.n_places = 1;
	assert_true(berth_stack_size(&c) < len);
	fixture(&f, 0);
	for (; n < c.n_conns + c.n_udp; n++)
		assert_int_equal(bind_(&f, open_(&f, n < c.n_conns ? BERTH_TCP : BERTH_UDP), (uint16_t)(1000 + n)), 0);
	assert_int_equal(n_refused(&f), 0);
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_needs_three),
		cmocka_unit_test(without_one_a_handshake_is_not_completed),
		cmocka_unit_test(without_one_time_wait_is_left_out),
		cmocka_unit_test(every_call_that_wants_one_is_refused),
		cmocka_unit_test(an_option_that_would_need_one_stays_as_it_is),
		cmocka_unit_test(a_listener_that_stops_may_lose_its_port),
		cmocka_unit_test(a_connect_that_fails_may_lose_its_port),
		cmocka_unit_test(by_default_there_is_always_one),
	};

	return cmocka_run_group_tests_name("stack places", tests, NULL, NULL);
}
