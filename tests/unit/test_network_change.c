/* tests/unit/test_network_change.c: who waits for a port is woken, by other processes too, and never for ever asleep. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "network/mailbox.h"
#include "network_fixture.h"

#define LONG_MS 60000 /* the test would time out */

static uint32_t raw_word(void)
{
	return *(volatile uint32_t *)network_change_word(&net);
}

static void each_thing_that_is_waited_for_counts(void **state)
{
	struct port_ref ref, udp, again;
	struct port_claim c;
	struct port_want w;
	uint32_t seen;
	int fd, dgram;

	(void)state;
	fixture_open("net");
	seen = network_change_seen(&net);
	fixture_host("a");
	assert_int_not_equal(network_change_seen(&net), seen); /* a host is made */
	seen = network_change_seen(&net);
	fixture_host("a");
	assert_int_equal(network_change_seen(&net), seen); /* found, not made */
	fd = fixture_socket();
	w = fixture_want(fd, 81);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, NULL), 0);
	assert_int_equal(network_release(&net, 0, ref), 0);
	assert_int_equal(network_change_seen(&net), seen); /* a TCP socket that is bound and no more reaches nobody */
	close(fd);
	fd = fixture_listen(0, 80, &ref, &c);
	assert_int_not_equal(network_change_seen(&net), seen); /* it listens */
	seen = network_change_seen(&net);
	assert_int_equal(network_dead(&net, 0, ref), -EBUSY);
	assert_int_equal(network_change_seen(&net), seen); /* asked, and alive */
	close(fd);
	assert_int_equal(network_dead(&net, 0, ref), 0);
	assert_int_not_equal(network_change_seen(&net), seen); /* found dead */
	seen = network_change_seen(&net);
	dgram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	w = fixture_want(dgram, 53);
	w.proto = PORT_UDP;
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &udp, NULL), 0);
	assert_int_not_equal(network_change_seen(&net), seen);
	seen = network_change_seen(&net);
	assert_int_equal(network_release(&net, 0, udp), 0);
	assert_int_not_equal(network_change_seen(&net), seen);
	close(dgram);
	fd = fixture_listen(0, 80, &ref, &c);
	seen = network_change_seen(&net);
	assert_int_equal(network_unlisten(&net, 0, ref), 0);
	assert_int_not_equal(network_change_seen(&net), seen);
	close(fd);
	fd = fixture_listen(0, 82, &again, &c);
	close(fd);
	seen = network_change_seen(&net);
	assert_true(network_sweep(&net, NETWORK_HOSTS_MAX) >= 1);
	assert_int_not_equal(network_change_seen(&net), seen); /* swept */
}

static void a_wait_ends_by_its_time(void **state)
{
	uint32_t seen;

	(void)state;
	fixture_open("net");
	seen = network_change_seen(&net);
	assert_int_equal(network_change_wait(&net, seen, 0), -ETIMEDOUT);
	assert_int_equal(network_change_wait(&net, seen, 20), -ETIMEDOUT);
	assert_int_equal(network_change_wait(&net, seen - 2, LONG_MS), 0); /* what was seen is not any more */
	assert_int_equal(network_change_wait(&net, seen, -1), 0);	   /* a second at most */
	assert_int_equal(network_change_seen(&net), seen);
}

/* Children wait for port 80 on host a, which does not exist yet, and say that they saw it. */
static void wait_for_80(void)
{
	struct port_tuple t = {.proto = PORT_TCP, .local_port = 80, .remote_port = 40000};
	struct network_host a;
	struct port_claim c;
	struct port_ref ref;

	for (;;) {
		uint32_t seen = network_change_seen(&net);

		if (network_host_get(&net, "a", false, &a) == 0) {
			t.local = a.addr4;
			t.remote = a.addr4;
			if (network_find_listener(&net, a.index, &t, &ref, &c) == 0)
				_exit(0);
		}
		if (network_change_wait(&net, seen, LONG_MS) < 0)
			_exit(1);
	}
}

static void every_process_that_sleeps_is_woken(void **state)
{
	enum { N = 8, ROUNDS = 20 };
	struct port_claim c;
	struct port_ref ref;
	int fd, status;

	(void)state;
	fixture_open("net");
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid[N];

		for (int i = 0; i < N; i++) {
			pid[i] = fork();
			if (pid[i] == 0)
				wait_for_80();
		}
		raw_sleep_us(round % 2 ? 2000 : 100); /* some asleep, some on their way there */
		fixture_host("a");
		fd = fixture_listen(0, 80, &ref, &c);
		for (int i = 0; i < N; i++) {
			assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
			assert_int_equal(status, 0);
		}
		close(fd);
		assert_int_equal(network_dead(&net, 0, ref), 0);
	}
}

static void a_killed_waiter_costs_one_wake_up(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	fixture_open("net");
	pid = fork();
	if (pid == 0)
		for (;;)
			(void)!network_change_wait(&net, network_change_seen(&net), -1);
	while (!(raw_word() & 1))
		raw_sleep_us(1000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(raw_word() & 1);
	network_changed(&net);
	assert_false(raw_word() & 1);
}

/* Two that count up and one that never misses the last of it: with a wake-up lost it would take a second a round. */
static void *count_up(void *arg)
{
	_Atomic uint32_t *goal = arg;

	for (int i = 0; i < 2000; i++) {
		atomic_fetch_add(goal, 1);
		network_changed(&net);
		if (i % 7 == 0)
			raw_sleep_us(50);
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	static _Atomic uint32_t goal;
	uint32_t timeouts = 0, before;
	pthread_t t[2];

	(void)state;
	fixture_open("net");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_up, &goal), 0);
	for (;;) {
		uint32_t seen = network_change_seen(&net);

		if (atomic_load(&goal) == 4000)
			break;
		before = network_change_seen(&net);
		if (network_change_wait(&net, seen, 900) == -ETIMEDOUT && network_change_seen(&net) != before)
			timeouts++; /* slept its whole time although it changed */
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(timeouts, 0);
	assert_int_equal(network_change_seen(&net) & 1, 0);
}

/* Somebody writes octets there: each sleeper goes on within its second, each change does. */
static void garbage_in_the_word_costs_time_only(void **state)
{
	static const uint32_t garbage[] = {0, 1, UINT32_MAX, 0xdeadbeef, 0x80000000};
	uint32_t seen, value;
	int status;

	(void)state;
	fixture_open("net");
	for (size_t i = 0; i < COUNT_OF(garbage); i++) {
		pid_t pid;

		seen = network_change_seen(&net); /* before the fork: the child may be late */
		pid = fork();
		if (pid == 0) {
			for (;;) {
				uint32_t at = network_change_seen(&net);

				if (at != seen)
					_exit(0);
				(void)!network_change_wait(&net, at, LONG_MS);
			}
		}
		raw_sleep_us(20000);
		*(volatile uint32_t *)network_change_word(&net) = garbage[i];
		network_changed(&net);
		network_changed(&net);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		seen = network_change_seen(&net);
		assert_int_equal(network_change_arm(&net, seen, &value), 0);
		assert_int_equal(value, seen | 1);
		assert_int_equal(network_change_arm(&net, seen, &value), 0); /* another sleeper */
		network_changed(&net);
		assert_int_equal(network_change_arm(&net, seen, &value), -EAGAIN);
	}
}

static void a_file_cut_short_is_made_whole_and_waited_on(void **state)
{
	char path[NETWORK_PATH_MAX + 8];
	uint32_t seen;

	(void)state;
	fixture_open("net");
	snprintf(path, sizeof(path), "%s/table", net.dir);
	assert_int_equal(truncate(path, 0), 0);
	seen = network_change_seen(&net);
	assert_int_equal(network_change_wait(&net, seen, 10), -ETIMEDOUT);
	network_changed(&net);
	assert_int_not_equal(network_change_seen(&net), seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_thing_that_is_waited_for_counts),
		TEST(a_wait_ends_by_its_time),
		TEST(every_process_that_sleeps_is_woken),
		TEST(a_killed_waiter_costs_one_wake_up),
		TEST(no_wake_up_is_lost),
		TEST(garbage_in_the_word_costs_time_only),
		TEST(a_file_cut_short_is_made_whole_and_waited_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
