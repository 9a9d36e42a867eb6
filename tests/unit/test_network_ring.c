/* tests/unit/test_network_ring.c: explanations arrive in order, the newest when there are too many, and checked. */
#include "network_fixture.h"

static struct network_event event(int i)
{
	return (struct network_event){.at_us = (uint64_t)i,
				      .pid = 1,
				      .comm = "x",
				      .call = 'b',
				      .want = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .port = (uint16_t)i},
				      .refusal = {.err = -EADDRINUSE, .rule = PORT_RULE_R1_OVERLAP}};
}

static void events_arrive_in_order(void **state)
{
	struct network_event e;
	uint64_t cursor = 0;
	uint32_t *word, before;
	int run;

	(void)state;
	fixture_open("net");
	run = network_run_open(&net);
	assert_true(run >= 0);
	word = network_event_word(&net, (uint32_t)run);
	before = *word;
	assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), -EAGAIN);
	for (int i = 1; i <= 100; i++) {
		struct network_event put = event(i);

		network_event_put(&net, (uint32_t)run, &put);
		if (i <= 3) {
			assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), 0);
			assert_int_equal(e.want.port, i);
		}
	}
	assert_int_equal(*word, before + 100);
	for (int i = 100 - (int)MAP_RUN_EVENTS + 1; i <= 100; i++) {
		assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), 0);
		assert_int_equal(e.want.port, i);
	}
	assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), -EAGAIN);
	network_run_close(&net, (uint32_t)run);
}

static void any_number_is_safe(void **state)
{
	struct network_event e = event(1);
	uint64_t cursor = 0;

	(void)state;
	fixture_open("net");
	network_event_put(&net, 0, &e); /* nobody's run */
	network_event_put(&net, UINT32_MAX, &e);
	assert_int_equal(network_event_take(&net, UINT32_MAX, &cursor, &e), -EAGAIN);
	assert_int_equal(network_event_take(&net, 0, &cursor, &e), -EAGAIN);
	assert_null(network_event_word(&net, MAP_RUNS));
	network_run_close(&net, UINT32_MAX);
}

static void rubbish_is_not_handed_on(void **state)
{
	struct network_event e = event(1);
	struct map_run *rec;
	uint64_t cursor = 0;
	int run;

	(void)state;
	fixture_open("net");
	run = network_run_open(&net);
	rec = map_run(&net, (uint32_t)run);
	network_event_put(&net, (uint32_t)run, &e);
	memset(&rec->events[0].e.refusal, 0xee, sizeof(rec->events[0].e.refusal));
	e = event(2);
	network_event_put(&net, (uint32_t)run, &e);
	assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), 0);
	assert_int_equal(e.want.port, 2);
	atomic_store(&rec->head, UINT64_MAX / 2);
	assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), -EAGAIN);
	cursor = UINT64_MAX;
	assert_int_equal(network_event_take(&net, (uint32_t)run, &cursor, &e), -EAGAIN);
}

static void a_dead_runs_record_is_used_again(void **state)
{
	(void)state;
	fixture_open("net");
	for (uint32_t i = 0; i < MAP_RUNS; i++) {
		pid_t pid = fork();
		int st = -1;

		if (pid == 0)
			_exit(network_run_open(&net) >= 0 ? 0 : 1);
		waitpid(pid, &st, 0);
		assert_int_equal(st, 0);
	}
	assert_int_equal(network_run_open(&net), 0);
	for (uint32_t i = 1; i < MAP_RUNS; i++)
		assert_int_equal(network_run_open(&net), i);
	assert_int_equal(network_run_open(&net), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_arrive_in_order),
		TEST(any_number_is_safe),
		TEST(rubbish_is_not_handed_on),
		TEST(a_dead_runs_record_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
