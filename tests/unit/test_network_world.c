/* tests/unit/test_network_world.c: claims and runs of namespaces that are gone end in a sweep, and no others. */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "network_fixture.h"

#define BOUND 81
#define HELD 82
#define LISTENS 83

/* What the other side says and hears: one octet at a time, a descriptor may come along. */
static int say(int over, int fd)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c = {0};
	char octet = 0;
	struct iovec iov = {&octet, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = &c;
		m.msg_controllen = sizeof(c);
		c.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	}
	return sendmsg(over, &m, MSG_NOSIGNAL) == 1;
}

static int hear(int over)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c = {0};
	char octet;
	struct iovec iov = {&octet, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd = -1;

	if (recvmsg(over, &m, 0) != 1)
		return -2;
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

static int bound(uint16_t port)
{
	int fd = fixture_socket();
	struct port_want w = fixture_want(fd, port);
	struct port_ref ref;

	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, NULL), 0);
	return fd;
}

static unsigned held_ports(void)
{
	struct network_lock l;
	struct port_claim c;
	struct port_ref ref;
	uint32_t cursor = 0;
	unsigned ports = 0;

	assert_int_equal(network_lock(&net, 0, &l), 0);
	while (port_table_next(&l.table, &cursor, &ref, &c))
		ports |= 1u << (c.port - 80);
	network_unlock(&l);
	return ports;
}
#define IS(port) (1u << ((port)-80))

/* Somebody whom we may not look into may pass by: then nothing is said this time. */
static void sweep_until(unsigned ports)
{
	for (int i = 0; i < 100; i++) {
		assert_true(network_sweep(&net, NETWORK_HOSTS_MAX) >= 0);
		if (held_ports() == ports)
			return;
		usleep(50000);
	}
	assert_int_equal(held_ports(), ports);
}

/* In a network namespace of its own: three claims; one of the sockets goes to who asks. Lives until killed. */
static void far_away(const char *dir, int over)
{
	struct network_error e;
	struct port_claim c;
	struct port_ref ref;
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		_exit(77);
	if (network_open_dir(&net, dir, &e) < 0)
		_exit(1);
	(void)bound(BOUND);
	fd = bound(HELD);
	(void)fixture_listen(0, LISTENS, &ref, &c);
	if (!say(over, fd))
		_exit(1);
	close(fd);
	for (;;)
		pause();
}

static pid_t start(void (*what)(const char *, int), int *ret_over)
{
	char dir[sizeof(net.dir)];
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	strcpy(dir, net.dir);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		what(dir, pair[1]);
		_exit(1);
	}
	close(pair[1]);
	*ret_over = pair[0];
	return pid;
}

static void finish(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void sees_all_or_skip(void)
{
	struct stat st;

	if (geteuid() != 0 || stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != 0xeffffffc)
		skip(); /* no right to make namespaces, or a view of the machine in which nothing is certain */
}

static void claims_of_a_namespace_that_is_gone_end(void **state)
{
	int over, fd;
	pid_t pid;

	(void)state;
	sees_all_or_skip();
	fixture_open("net");
	fixture_host("a");
	pid = start(far_away, &over);
	fd = hear(over);
	assert_true(fd >= 0);
	assert_int_equal(held_ports(), IS(BOUND) | IS(HELD) | IS(LISTENS));
	assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), 0); /* somebody lives there */
	assert_int_equal(held_ports(), IS(BOUND) | IS(HELD) | IS(LISTENS));
	finish(pid);
	sweep_until(IS(HELD)); /* we have that socket, from there */
	close(fd);
	sweep_until(0);
	close(over);
}

static void a_listener_that_is_gone_ends_before_its_namespace_does(void **state)
{
	struct port_claim c;
	struct port_ref ref;
	int fd, status;
	pid_t pid;

	(void)state;
	sees_all_or_skip();
	fixture_open("net");
	fixture_host("a");
	pid = fork();
	if (pid == 0) {
		char dir[sizeof(net.dir)];
		struct network_error e;

		strcpy(dir, net.dir);
		if (unshare(CLONE_NEWNET) < 0 || network_open_dir(&net, dir, &e) < 0)
			_exit(1);
		fd = fixture_listen(0, LISTENS, &ref, &c);
		(void)bound(BOUND);
		close(fd);
		raise(SIGSTOP); /* the namespace has a process, and the bound socket died with nobody to tell */
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), 1);
	assert_int_equal(held_ports(), IS(BOUND));
	finish(pid);
	sweep_until(0);
}

/* A view in which not everybody is seen: nothing is said. */
static void who_does_not_see_all_says_nothing(void **state)
{
	int over, fd, status;
	pid_t pid, seer;

	(void)state;
	sees_all_or_skip();
	fixture_open("net");
	fixture_host("a");
	pid = start(far_away, &over);
	fd = hear(over);
	assert_true(fd >= 0);
	close(fd);
	finish(pid);
	seer = fork();
	if (seer == 0) {
		struct world w = {0};

		if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
			_exit(1);
		seer = fork();
		if (seer == 0) { /* in another pid namespace, with the machine's /proc, then with its own */
			bool said = world_net_is_empty(&net, &w, 1) || world_pidns_is_gone(&net, &w, 1);

			if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			    mount("proc", "/proc", "proc", 0, NULL) < 0)
				_exit(2);
			w.looked = false;
			_exit(said || world_net_is_empty(&net, &w, 1) || world_pidns_is_gone(&net, &w, 1) ? 3 : 0);
		}
		waitpid(seer, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
	}
	waitpid(seer, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 0);
	sweep_until(0);
	close(over);
}

/* A supervisor in a pid namespace of its own. */
static void far_run(const char *dir, int over)
{
	struct network_error e;
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		_exit(77);
	pid = fork();
	if (pid == 0) {
		if (network_open_dir(&net, dir, &e) < 0 || network_run_open(&net) != 0 || !say(over, -1))
			_exit(1);
		for (;;)
			pause();
	}
	(void)hear(over); /* until told */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	_exit(0);
}

static void runs_of_a_pid_namespace_that_is_gone_end(void **state)
{
	int over;
	pid_t pid;

	(void)state;
	sees_all_or_skip();
	fixture_open("net");
	pid = start(far_run, &over);
	assert_int_equal(hear(over), -1);
	assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), 0);
	assert_true(map_run(&net, 0)->used);
	assert_true(say(over, -1));
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 100 && map_run(&net, 0)->used; i++) {
		assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), 0);
		usleep(50000);
	}
	assert_false(map_run(&net, 0)->used);
	close(over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(claims_of_a_namespace_that_is_gone_end),
		TEST(a_listener_that_is_gone_ends_before_its_namespace_does),
		TEST(who_does_not_see_all_says_nothing),
		TEST(runs_of_a_pid_namespace_that_is_gone_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
