/* The held door, on the kernel: who gets in, who does not, and which numbers are given.
 *
 * Where we may, in a network namespace of our own, so that ranges are ours alone; else the tests about whole ranges
 * are skipped, and the rest runs on ports that were reserved, which is what they are for. Ranges are far from where ports
 * are chosen without one: there the connections of earlier tests stay in TIME_WAIT, and such a number is not free.
 */
#include <arpa/inet.h>
#include <berth/port.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "door/door.h"

#define A 1u
#define P 2u

static bool alone, has6;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	(void)state;
	alone = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (alone && ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		alone = false;
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	has6 = fd >= 0 && bind(fd,
			       (struct sockaddr *)&(struct sockaddr_in6){.sin6_family = AF_INET6,
									 .sin6_addr = IN6ADDR_LOOPBACK_INIT},
			       sizeof(struct sockaddr_in6)) == 0;
	close(fd);
	return 0;
}

/* --- a server --- */

static int server(int type, const char *address, uint16_t port, unsigned flags)
{
	const int on = 1;
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool v6 = inet_pton(AF_INET6, address, &a6.sin6_addr) == 1;
	int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	assert_true(fd >= 0);
	if (!v6)
		assert_int_equal(inet_pton(AF_INET, address, &a4.sin_addr), 1);
	if (flags & A)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (flags & P)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	r = bind(fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? sizeof(a6) : sizeof(a4));
	if (r == 0 && type == SOCK_STREAM)
		r = listen(fd, 5);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin6_port); /* at the same place in both families */
}

/* Is a connection to 127.0.0.1 (::1) heard by that listener, or a datagram by that socket? */
static bool reaches(int type, const char *to, uint16_t port, int fd)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool v6 = inet_pton(AF_INET6, to, &a6.sin6_addr) == 1;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c[4];
	int from = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0), got;
	bool ok;

	if (!v6)
		assert_int_equal(inet_pton(AF_INET, to, &a4.sin_addr), 1);
	if (connect(from, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? sizeof(a6) : sizeof(a4)) < 0 ||
	    (type == SOCK_DGRAM && send(from, "x", 1, 0) != 1)) {
		close(from);
		return false;
	}
	ok = poll(&p, 1, 2000) == 1;
	if (ok && type == SOCK_STREAM) {
		got = accept(fd, NULL, NULL);
		ok = got >= 0;
		close(got);
	} else if (ok) {
		ok = recv(fd, c, sizeof(c), 0) == 1;
	}
	close(from);
	return ok;
}

static const struct who_case {
	const char *sentence, *address, *to;
	unsigned flags;
	int result;
} whos[] = {
	{"SO_REUSEADDR gets in on all of IPv4", "0.0.0.0", "127.0.0.1", A, 0},
	{"SO_REUSEADDR gets in on the loopback", "127.0.0.1", "127.0.0.1", A, 0},
	{"and on an address beside it", "127.0.0.2", "127.0.0.2", A, 0},
	{"and on all of IPv6", "::", "::1", A, 0},
	{"which is heard over IPv4, too", "::", "127.0.0.1", A, 0},
	{"and on IPv6's loopback", "::1", "::1", A, 0},
	{"SO_REUSEPORT gets in on all of IPv4", "0.0.0.0", "127.0.0.1", P, 0},
	{"SO_REUSEPORT gets in on all of IPv6", "::", "::1", P, 0},
	{"SO_REUSEPORT gets in on the loopback", "127.0.0.1", "127.0.0.1", P, 0},
	{"both flags get in", "0.0.0.0", "127.0.0.1", A | P, 0},
	{"both flags get in on IPv6", "::", "::1", A | P, 0},
	{"none does not", "0.0.0.0", NULL, 0, -EADDRINUSE},
	{"none does not on the loopback", "127.0.0.1", NULL, 0, -EADDRINUSE},
	{"none does not on another address", "127.0.0.2", NULL, 0, -EADDRINUSE},
	{"none does not on IPv6", "::", NULL, 0, -EADDRINUSE},
	{"none does not on IPv6's loopback", "::1", NULL, 0, -EADDRINUSE},
};

/* Each with a port of its own: what TIME_WAIT is left from has its server's flag alone. */
static void try_who(const struct who_case *c, int type)
{
	const char *what = type == SOCK_DGRAM ? "UDP" : "TCP";
	struct berth_port p;
	int fd;

	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_UDP, 0, 0, &p, 1, NULL), 0);
	assert_true(p.port >= 1024 && p.tcp > 2 && p.udp > 2);
	fd = server(type, c->address, p.port, c->flags);
	if ((fd < 0 ? fd : 0) != c->result)
		fail_msg("%s (%s): %s", c->sentence, what, strerror(fd < 0 ? -fd : 0));
	for (int k = 0; fd >= 0 && k < 8; k++) /* a holder that takes part would get some of these */
		if (!reaches(type, c->to, p.port, fd))
			fail_msg("%s (%s): it is not heard", c->sentence, what);
	if (fd >= 0)
		close(fd);
	fd = server(type, c->address, p.port, c->flags); /* it is as it was */
	if ((fd < 0 ? fd : 0) != c->result)
		fail_msg("%s (%s), once more: %s", c->sentence, what, strerror(fd < 0 ? -fd : 0));
	if (fd >= 0)
		close(fd);
	berth_port_drop(&p, 1);
	assert_int_equal(p.tcp, -1);
	assert_int_equal(p.udp, -1);
	fd = server(type, c->address, p.port, A | P); /* it is anybody's */
	assert_true(fd >= 0);
	close(fd);
}

static void test_who(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(whos); i++)
		if (has6 || !strchr(whos[i].address, ':')) {
			try_who(&whos[i], SOCK_STREAM);
			try_who(&whos[i], SOCK_DGRAM);
		}
}

/* With nothing else left in the range, the kernel says that there is nothing left. */
static void test_kernel_goes_around(void **state)
{
	struct sockaddr_in any = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
	struct berth_port p[4];
	int l, fd;

	(void)state;
	if (!alone)
		skip();
	l = server(SOCK_STREAM, "127.0.0.1", 5999, A);
	to.sin_port = htons(5999);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	write_file("/proc/sys/net/ipv4/ip_local_port_range", "28810 28813");
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_UDP, 28810, 28813, p, 4, NULL), 0);
	for (unsigned flags = 0; flags < 4; flags++) {
		assert_int_equal(server(SOCK_STREAM, "0.0.0.0", 0, flags), -EADDRINUSE);
		assert_int_equal(server(SOCK_STREAM, "127.0.0.2", 0, flags), -EADDRINUSE);
		if (has6)
			assert_int_equal(server(SOCK_STREAM, "::1", 0, flags), -EADDRINUSE);
	}
	assert_int_equal(server(SOCK_DGRAM, "0.0.0.0", 0, 0), -EADDRINUSE);
	assert_int_equal(server(SOCK_DGRAM, "127.0.0.2", 0, 0), -EADDRINUSE);
	if (has6)
		assert_int_equal(server(SOCK_DGRAM, "::1", 0, 0), -EADDRINUSE);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	assert_int_equal(listen(fd, 5), -1); /* without a bind it chooses, too */
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	berth_port_drop(&p[1], 1);
	fd = server(SOCK_STREAM, "0.0.0.0", 0, 0);
	assert_true(fd >= 0);
	assert_int_equal(port_of(fd), p[1].port);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	close(fd);
	close(l);
	berth_port_drop(p, 4);
	write_file("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999");
}

static const struct place_case {
	const char *sentence;
	uint16_t port;
	bool named;
	enum door_place place;
} places[] = {
	{"below 1024", 1023, true, DOOR_PRIVILEGED},
	{"0 is none", 0, true, DOOR_PRIVILEGED},
	{"reserved alone", 61010, true, DOOR_RESERVED},
	{"reserved in a range", 20002, true, DOOR_RESERVED},
	{"reserved, the last of the list", 65535, true, DOOR_RESERVED},
	{"beside the reserved ones", 20004, true, DOOR_USER},
	{"browsers refuse it", 6667, true, DOOR_BLOCKED},
	{"registered", 3306, false, DOOR_NAMED},
	{"registered, and asked for", 3306, true, DOOR_USER},
	{"only seen in practice", 5173, false, DOOR_NAMED},
	{"the last registered one is no better", 6063, false, DOOR_NAMED},
	{"in the range of the kernel's choice", 60999, false, DOOR_EPHEMERAL},
	{"its first", 40000, true, DOOR_EPHEMERAL},
	{"just behind it", 61000, false, DOOR_DYNAMIC},
	{"below it", 28999, false, DOOR_USER},
	{"dynamic, before it would begin", 39999, true, DOOR_USER},
};

static void test_places(void **state)
{
	struct door_settings s = {.low = 40000, .high = 60999, .unprivileged = 1024};

	(void)state;
	for (uint32_t p = 20000; p <= 20003; p++)
		s.reserved[p / 64] |= UINT64_C(1) << (p % 64);
	s.reserved[61010 / 64] |= UINT64_C(1) << (61010 % 64);
	s.reserved[65535 / 64] |= UINT64_C(1) << (65535 % 64);
	for (size_t i = 0; i < COUNT_OF(places); i++)
		if (door_place(&s, places[i].port, places[i].named) != places[i].place)
			fail_msg("%s: %u", places[i].sentence, places[i].port);
	s.unprivileged = 0; /* as docker sets it */
	assert_int_equal(door_place(&s, 80, true), DOOR_PRIVILEGED);
	s.unprivileged = 30000;
	assert_int_equal(door_place(&s, 29999, true), DOOR_PRIVILEGED);
	assert_int_equal(door_place(&s, 30000, true), DOOR_USER);
}

static void test_settings(void **state)
{
	static char list[4096]; /* the kernel takes no more at a time */
	struct door_settings s;
	size_t at = 0;

	(void)state;
	if (!alone)
		skip();
	write_file("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000");
	for (unsigned p = 20001; p < 21200; p += 2)
		at += (size_t)sprintf(list + at, "%s%u", at ? "," : "", p);
	at += (size_t)sprintf(list + at, ",61000-61009,65535");
	write_file("/proc/sys/net/ipv4/ip_local_reserved_ports", list);
	door_settings_read(&s);
	assert_int_equal(s.low, 1024);
	assert_int_equal(s.high, 65000);
	assert_int_equal(s.unprivileged, 1024);
	for (uint32_t p = 1; p <= 65535; p++) {
		bool reserved = (p > 20000 && p < 21200 && p % 2) || (p >= 61000 && p <= 61009) || p == 65535;

		assert_int_equal(door_place(&s, (uint16_t)p, true) == DOOR_RESERVED, reserved);
	}
	write_file("/proc/sys/net/ipv4/ip_local_reserved_ports", "\n");
	write_file("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999");
	door_settings_read(&s);
	assert_int_equal(door_place(&s, 20001, true), DOOR_USER);
	assert_int_equal(s.low, 32768);
}

static void test_order(void **state)
{
	enum { MANY = 300 };
	static struct berth_port p[MANY];
	struct door_settings s;

	(void)state;
	door_settings_read(&s);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 0, 0, p, MANY, NULL), 0);
	for (int i = 0; i < MANY; i++) {
		enum door_place place = door_place(&s, p[i].port, false);

		assert_true(place < DOOR_NGIVEN);
		if (s.high <= 61000 && s.low > 1024)
			assert_int_equal(place, DOOR_DYNAMIC);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(p[k].port, p[i].port);
	}
	berth_port_drop(p, MANY);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_CONSECUTIVE, 0, 0, p, 20, NULL), 0);
	for (int i = 1; i < 20; i++)
		assert_int_equal(p[i].port, p[0].port + i);
	berth_port_drop(p, 20);
}

/* A range with holes: what is free in it is found, all of it, and counted when it is not enough. */
static void test_ranges(void **state)
{
	struct berth_port p[16];
	size_t n_free = 99;
	int taken, udp;

	(void)state;
	if (!alone)
		skip();
	taken = server(SOCK_STREAM, "127.0.0.9", 28805, A);
	udp = server(SOCK_DGRAM, "127.0.0.1", 28802, 0);
	assert_true(taken >= 0 && udp >= 0);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 28800, 28809, p, 10, &n_free), -EADDRINUSE);
	assert_int_equal(n_free, 9);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_UDP, 28800, 28809, p, 10, &n_free),
			 -EADDRINUSE);
	assert_int_equal(n_free, 8);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 28800, 28809, p, 9, &n_free), 0);
	for (int i = 0; i < 9; i++)
		assert_true(p[i].port >= 28800 && p[i].port <= 28809 && p[i].port != 28805 && p[i].udp == -1);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 28800, 28809, p + 9, 1, &n_free), -EADDRINUSE);
	assert_int_equal(n_free, 0);
	berth_port_drop(p, 9);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_CONSECUTIVE, 28800, 28809, p, 6, &n_free),
			 -EADDRINUSE);
	assert_int_equal(n_free, 9);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_CONSECUTIVE, 28800, 28809, p, 5,
						    &n_free),
				 0);
		assert_int_equal(p[0].port, 28800);
		berth_port_drop(p, 5);
	}
	close(taken);
	close(udp);
	assert_int_equal(berth_port_reserve(BERTH_PORT_UDP, 28805, 28805, p, 1, NULL), 0); /* a range of one */
	assert_int_equal(p[0].port, 28805);
	berth_port_drop(p, 1);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 3306, 3306, p, 1, &n_free), -EADDRINUSE);
	assert_int_equal(n_free, 0);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_REGISTERED, 3306, 3306, p, 1, &n_free), 0);
	berth_port_drop(p, 1);
	/* Nothing was left held by what failed. */
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_UDP, 28800, 28809, p, 10, NULL), 0);
	berth_port_drop(p, 10);
}

static void test_wrong(void **state)
{
	struct berth_port p = {.port = 7, .tcp = -1, .udp = -1};

	(void)state;
	assert_int_equal(berth_port_reserve(0, 0, 0, &p, 1, NULL), -EINVAL);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 0, 0, &p, 0, NULL), -EINVAL);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 9, 8, &p, 1, NULL), -EINVAL);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | 1u << 20, 0, 0, &p, 1, NULL), -EINVAL);
	assert_int_equal(berth_port_socket(&p, BERTH_PORT_TCP, NULL), -EINVAL);
	assert_int_equal(p.port, 7);
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP, 0, 0, &p, 1, NULL), 0);
	assert_int_equal(berth_port_socket(&p, BERTH_PORT_UDP, NULL), -EINVAL);
	assert_int_equal(berth_port_socket(&p, BERTH_PORT_TCP, "localhost"), -EINVAL);
	assert_int_equal(berth_port_socket(&p, BERTH_PORT_TCP | BERTH_PORT_UDP, NULL), -EINVAL);
	assert_int_equal(berth_port_socket(&p, BERTH_PORT_TCP, "192.0.2.1"), -EADDRNOTAVAIL);
	berth_port_drop(&p, 1);
	berth_port_drop(&p, 1); /* once more does no harm */
}

static void test_descriptors(void **state)
{
	const char *const addresses[] = {NULL, "127.0.0.1", "::1"};
	struct berth_port p;

	(void)state;
	assert_int_equal(berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_UDP, 0, 0, &p, 1, NULL), 0);
	for (size_t i = 0; i < COUNT_OF(addresses) - !has6; i++) {
		const char *to = addresses[i] ? addresses[i] : "127.0.0.1";
		int fd = berth_port_socket(&p, BERTH_PORT_TCP, addresses[i]);

		assert_true(fd > 2);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(port_of(fd), p.port);
		assert_false(reaches(SOCK_STREAM, to, p.port, fd)); /* refused: it does not listen yet */
		assert_int_equal(listen(fd, 5), 0);
		assert_true(reaches(SOCK_STREAM, to, p.port, fd));
		assert_int_equal(berth_port_socket(&p, BERTH_PORT_TCP, addresses[i]), -EADDRINUSE);
		close(fd);
		fd = berth_port_socket(&p, BERTH_PORT_TCP | BERTH_PORT_LISTEN, addresses[i]);
		assert_true(fd > 2);
		assert_true(reaches(SOCK_STREAM, to, p.port, fd));
		close(fd);
		fd = berth_port_socket(&p, BERTH_PORT_UDP, addresses[i]);
		assert_true(fd > 2);
		assert_true(reaches(SOCK_DGRAM, to, p.port, fd));
		close(fd);
	}
	berth_port_drop(&p, 1);
}

/* Descriptors 0, 1 and 2 may be closed; the doors are not put there. And none left: said, and nothing held. */
static void test_few_descriptors(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		static struct berth_port p[64];
		size_t n_free = 77;
		int r, lowest;

		for (int fd = 0; fd < 3; fd++)
			close(fd);
		r = berth_port_reserve(BERTH_PORT_TCP | BERTH_PORT_UDP, 0, 0, p, 1, NULL);
		if (r != 0 || p[0].tcp < 3 || p[0].udp < 3)
			_exit(1);
		berth_port_drop(p, 1);
		for (int fd = 0; fd < 3; fd++)
			(void)!open("/dev/null", O_RDWR);
		while ((lowest = dup(0)) >= 0 && lowest < 1000)
			;
		for (int i = 0; i < 6; i++)
			close(990 + i);
		if (lowest < 0)
			_exit(2);
		for (int fd = 1001; dup2(0, fd) == fd; fd++)
			;
		r = berth_port_reserve(BERTH_PORT_TCP, 0, 0, p, 64, &n_free);
		if (r != -EMFILE || n_free != 77)
			_exit(3);
		r = berth_port_reserve(BERTH_PORT_TCP, 0, 0, p, 6, NULL); /* all six are there again */
		_exit(r == 0 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_kernel_goes_around),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_few_descriptors),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
