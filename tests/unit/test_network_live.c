/* tests/unit/test_network_live.c: the kernel says who is alive. */
#include <sched.h>
#include <sys/resource.h>

#include "network_fixture.h"

static void a_socket_lives_until_its_last_copy(void **state)
{
	struct port_owner o;
	int fd, copy;

	(void)state;
	fixture_open("net");
	fd = fixture_socket();
	assert_int_equal(network_owner_of(&net, fd, &o), 0);
	assert_int_equal(o.pid, getpid());
	assert_true(o.inode && o.cookie && o.netns == net.netns && o.comm[0]);
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_ALIVE);
	copy = dup(fd);
	close(fd);
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_ALIVE);
	close(copy);
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_DEAD);
	assert_int_equal(network_owner_of(&net, 0x7fff, &o), -EBADF);
}

static void a_copy_in_a_child_keeps_it(void **state)
{
	struct port_owner o;
	int fd = 0, p[2];
	pid_t pid;

	(void)state;
	fixture_open("net");
	fd = fixture_socket();
	assert_int_equal(network_owner_of(&net, fd, &o), 0);
	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(p[1]);
		_exit(read(p[0], &c, 1) == 0 ? 0 : 1);
	}
	close(fd);
	close(p[0]);
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_ALIVE);
	close(p[1]);
	waitpid(pid, NULL, 0);
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_DEAD);
}

static void an_inode_with_another_cookie_is_another_socket(void **state)
{
	struct port_owner o;
	int fd;

	(void)state;
	fixture_open("net");
	fd = fixture_socket();
	assert_int_equal(network_owner_of(&net, fd, &o), 0);
	o.cookie++;
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_DEAD);
	close(fd);
}

static void what_cannot_be_asked_is_unknown(void **state)
{
	struct port_owner o, none = {0};
	struct rlimit old, no_fds;
	enum network_alive without;
	int fd, status;
	pid_t pid;

	(void)state;
	fixture_open("net");
	assert_int_equal(network_owner_alive(&net, &none), NETWORK_ALIVE);
	fd = fixture_socket();
	assert_int_equal(network_owner_of(&net, fd, &o), 0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	no_fds = old;
	no_fds.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &no_fds);
	without = network_owner_alive(&net, &o);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(without, NETWORK_UNKNOWN);
	pid = fork();
	if (pid == 0) /* a process that moved away must not call everybody dead */
		_exit(unshare(CLONE_NEWNET) < 0 ? 77 : (int)network_owner_alive(&net, &o));
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77)
		assert_int_equal(WEXITSTATUS(status), NETWORK_UNKNOWN);
	o.netns++;
	assert_int_equal(network_owner_alive(&net, &o), NETWORK_UNKNOWN);
}

struct search {
	struct port_owner o;
	int found;
};

static void look(void *ctx, const struct live_id *id, int state, uint32_t vfs_ino, const uint8_t *name, size_t len)
{
	struct search *s = ctx;

	(void)state, (void)vfs_ino, (void)name, (void)len;
	s->found += id->cookie == s->o.cookie && id->inode == s->o.inode;
}

static void a_dump_has_it_too(void **state)
{
	struct search s = {.found = 0};
	int fd;

	(void)state;
	fixture_open("net");
	fd = fixture_socket();
	assert_int_equal(network_owner_of(&net, fd, &s.o), 0);
	assert_true(live_dump(&net, false, look, &s) > 0);
	assert_int_equal(s.found, 1);
	close(fd);
	s.found = 0;
	assert_true(live_dump(&net, true, look, &s) >= 0);
	assert_int_equal(s.found, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_socket_lives_until_its_last_copy),
		TEST(a_copy_in_a_child_keeps_it),
		TEST(an_inode_with_another_cookie_is_another_socket),
		TEST(what_cannot_be_asked_is_unknown),
		TEST(a_dump_has_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
