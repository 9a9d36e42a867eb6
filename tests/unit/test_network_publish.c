/* tests/unit/test_network_publish.c: records of published ports: whose they are, and that they end with their owner. */
#include <fcntl.h>
#include <signal.h>

#include "network/publish.h"
#include "network_fixture.h"

static struct network_published row(uint16_t outer, uint16_t inner, uint16_t n)
{
	struct network_published p = {.proto = PORT_TCP, .n_addrs = 2, .inner = inner};

	p.addrs[0] = PORT_ADDR_LOOP4;
	p.addrs[1] = PORT_ADDR_LOOP6;
	p.outer = (struct port_range){outer, (uint16_t)(outer + n - 1)};
	return p;
}

static unsigned count(int file, struct network_published *ret)
{
	uint32_t at = 0, record;
	unsigned n = 0;

	while (network_publish_next(&net, file, &at, &record, ret) == 0)
		n++;
	return n;
}

/* A process that publishes and then sleeps. */
static pid_t publisher(const struct network_published *p, unsigned n)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int file = network_publish_open(&net, true);

		for (unsigned i = 0; i < n; i++) {
			struct network_published q = p[i];

			if (network_publish_put(&net, file, &q) < 0)
				_exit(1);
		}
		(void)!write(ready[1], "r", 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void what_was_put_is_read(void **state)
{
	struct network_published p[2] = {row(8080, 80, 1), row(9000, 3000, 11)}, got;
	const struct port_addr loop6 = PORT_ADDR_LOOP6;
	uint32_t at = 0, record;
	pid_t pid;
	int file;

	(void)state;
	fixture_open("lab");
	assert_int_equal(network_publish_open(&net, false), -ENOENT);
	p[0].automatic = true;
	p[1].spliced = true;
	pid = publisher(p, 2);
	file = network_publish_open(&net, false);
	assert_true(file >= 0);
	assert_int_equal(network_publish_next(&net, file, &at, &record, &got), 0);
	assert_int_equal(record, 0);
	assert_int_equal(got.outer.first, 8080);
	assert_int_equal(got.outer.last, 8080);
	assert_int_equal(got.inner, 80);
	assert_int_equal(got.pid, pid);
	assert_true(got.automatic);
	assert_false(got.spliced);
	assert_int_equal(got.n_addrs, 2);
	assert_true(port_addr_equal(&got.addrs[1], &loop6));
	assert_true(network_publish_is_by(&got));
	assert_int_equal(network_publish_next(&net, file, &at, &record, &got), 0);
	assert_int_equal(record, 1);
	assert_int_equal(got.outer.last, 9010);
	assert_true(got.spliced);
	assert_false(got.automatic);
	assert_int_equal(network_publish_next(&net, file, &at, &record, &got), -ENOENT);
	end(pid);
	assert_false(network_publish_is_by(&got));
	close(file);
}

static void a_killed_publisher_has_nothing(void **state)
{
	struct network_published p = row(8080, 80, 1), got;
	uint8_t octets[512], blank[512] = {0};
	pid_t pid;
	int file;

	(void)state;
	fixture_open("lab");
	pid = publisher(&p, 1);
	file = network_publish_open(&net, false);
	assert_int_equal(count(file, &got), 1);
	end(pid);
	assert_int_equal(count(file, &got), 0);
	assert_int_equal(pread(file, octets, sizeof(octets), 0), (long)sizeof(octets));
	assert_memory_equal(octets, blank, sizeof(octets));
	close(file);
}

static void records_are_used_again(void **state)
{
	struct network_published p[2] = {row(1, 1, 1), row(2, 2, 1)}, q = row(3, 3, 1), got;
	pid_t first, second;
	int file, own;

	(void)state;
	fixture_open("lab");
	first = publisher(p, 2);
	second = publisher(p, 1);
	own = network_publish_open(&net, true);
	assert_int_equal(network_publish_put(&net, own, &q), 3);
	assert_int_equal(network_publish_put(&net, own, &q), 4);
	end(first);
	assert_int_equal(network_publish_put(&net, own, &q), 0);
	file = network_publish_open(&net, false);
	assert_int_equal(count(file, &got), 4);
	network_publish_drop(own, 4);
	assert_int_equal(count(file, &got), 3);
	close(own);
	assert_int_equal(count(file, &got), 1);
	assert_int_equal(got.pid, second);
	end(second);
	close(file);
}

static void garbage_is_passed_over(void **state)
{
	struct network_published p[2] = {row(8080, 80, 1), row(9000, 3000, 11)}, got;
	uint8_t octets[512];
	pid_t pid;
	int file;

	(void)state;
	fixture_open("lab");
	pid = publisher(p, 2);
	file = network_publish_open(&net, false);
	for (int i = 0; i < 2000; i++) {
		uint32_t record = (uint32_t)i % 2;
		uint8_t was[512];

		assert_int_equal(pread(file, was, sizeof(was), record * 512), (long)sizeof(was));
		memcpy(octets, was, sizeof(was));
		for (int k = 0; k < 1 + i % 7; k++)
			octets[(size_t)rand() % 500] ^= (uint8_t)(1 + rand() % 255);
		assert_int_equal(pwrite(file, octets, sizeof(octets), record * 512), (long)sizeof(octets));
		if (memcmp(octets, was, 511) != 0)
			assert_int_equal(count(file, &got), 1);
		assert_int_equal(pwrite(file, was, sizeof(was), record * 512), (long)sizeof(was));
	}
	assert_int_equal(count(file, &got), 2);
	/* A record that says what it should, in another's place, is not taken for that one's. */
	assert_int_equal(pread(file, octets, sizeof(octets), 0), (long)sizeof(octets));
	assert_int_equal(pwrite(file, octets, sizeof(octets), 512), (long)sizeof(octets));
	assert_int_equal(count(file, &got), 1);
	assert_int_equal(ftruncate(file, 700), 0);
	assert_int_equal(count(file, &got), 1);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(count(file, &got), 0);
	end(pid);
	close(file);
}

static void an_end_can_be_asked_for_and_awaited(void **state)
{
	struct network_published p = row(8080, 80, 1), got;
	pid_t pid;
	int file;

	(void)state;
	fixture_open("lab");
	pid = publisher(&p, 1);
	file = network_publish_open(&net, false);
	assert_false(network_publish_is_asked(file, 0));
	assert_int_equal(network_publish_ask_end(file, 0), 0);
	assert_true(network_publish_is_asked(file, 0));
	assert_int_equal(count(file, &got), 1); /* the mark is not in the sum */
	if (fork() == 0) {
		usleep(50000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	assert_int_equal(network_publish_wait_end(file, 0), 0);
	assert_false(network_publish_is_asked(file, 0));
	assert_int_equal(count(file, &got), 0);
	waitpid(pid, NULL, 0);
	wait(NULL);
	close(file);
}

static void what_is_set_is_seen(void **state)
{
	struct network_published p = row(8080, 80, 1), got;
	int own, file;
	uint32_t record;

	(void)state;
	fixture_open("lab");
	own = network_publish_open(&net, true);
	record = (uint32_t)network_publish_put(&net, own, &p);
	file = network_publish_open(&net, false);
	for (uint32_t up = 0; up < 3; up++) {
		p.n_up = up;
		assert_int_equal(network_publish_set(&net, own, record, &p), 0);
		assert_int_equal(count(file, &got), 1);
		assert_int_equal(got.n_up, up);
	}
	p.n_addrs = PUBLISH_ADDRS_MAX + 1;
	assert_int_equal(network_publish_set(&net, own, record, &p), -EINVAL);
	close(file);
	close(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_read),   TEST(a_killed_publisher_has_nothing),	 TEST(records_are_used_again),
		TEST(garbage_is_passed_over), TEST(an_end_can_be_asked_for_and_awaited), TEST(what_is_set_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
