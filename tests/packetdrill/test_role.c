/* tests/packetdrill/test_role.c: packetdrill's role, played through the structure and nothing else (PACKETDRILL.md, sections 2 to 6).
 *
 * pdrill.py drives the library from Python; this does it the way packetdrill itself does: memory locked before the library is loaded,
 * RTLD_DEEPBIND, calls that block in a second thread that must be seen asleep in /proc, and libc's own close() and getsockopt() on
 * the library's descriptors, which the same file answers because it is preloaded (the program starts itself again for that).
 */
#include "interface.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

#define FIN 1
#define SYN 2
#define RST 4
#define PSH 8
#define ACK 16

static struct packetdrill_interface ifc;
static uint32_t their_seq; /* the stack's initial number, as the SYN-ACK told */

/* --- packets, by hand --- */

struct segment {
	uint32_t seq, ack, len;
	uint8_t flags;
	long long at_us;
};

static uint32_t sum(uint32_t s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void inject(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	static const uint8_t addresses[8] = {192, 0, 2, 1, 192, 168, 0, 1};
	uint8_t p[2000] = {0x45};

	put16(p + 2, 40 + len);
	p[8] = 64;
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, addresses, 8);
	put16(p + 10, (uint16_t)~fold(sum(0, p, 20)));
	put16(p + 20, 40000);
	put16(p + 22, 8080);
	put32(p + 24, seq);
	put32(p + 28, flags & ACK ? their_seq + ack : 0);
	put16(p + 32, 0x5000 | flags);
	put16(p + 34, 20000);
	put16(p + 36, (uint16_t)~fold(sum(20 + len + IPPROTO_TCP, p + 12, 28 + len)));
	assert_int_equal(ifc.netdev_send(ifc.userdata, p, 40 + len), 0);
}

static struct segment receive(void)
{
	uint8_t p[4096];
	size_t n = sizeof(p), head;
	struct segment s;

	assert_int_equal(ifc.netdev_receive(ifc.userdata, p, &n, &s.at_us), 0);
	assert_true(n >= 40);
	assert_int_equal(p[0], 0x45);
	assert_int_equal((size_t)p[2] << 8 | p[3], n);
	assert_int_equal(fold(sum(0, p, 20)), 0xffff);
	assert_int_equal(fold(sum((uint32_t)n - 20 + IPPROTO_TCP, p + 12, n - 12)), 0xffff);
	head = 20 + (size_t)(p[32] >> 4) * 4;
	s.flags = p[33];
	if (s.flags & SYN)
		their_seq = get32(p + 24);
	s.seq = get32(p + 24) - their_seq;
	s.ack = get32(p + 28);
	s.len = (uint32_t)(n - head);
	return s;
}

static void expect(uint8_t flags, uint32_t seq, uint32_t len)
{
	struct segment s = receive();

	assert_int_equal(s.flags, flags);
	assert_int_equal(s.seq, seq);
	assert_int_equal(s.len, len);
}

static long long now_us(void)
{
	struct timeval tv;

	assert_int_equal(ifc.gettimeofday(ifc.userdata, &tv, NULL), 0);
	return (long long)tv.tv_sec * 1000000 + tv.tv_usec;
}

static int listening(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(8080)};
	int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_STREAM, IPPROTO_TCP);

	assert_true(fd >= 0);
	inet_pton(AF_INET, "192.168.0.1", &a.sin_addr);
	assert_int_equal(ifc.bind(ifc.userdata, fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(ifc.listen(ifc.userdata, fd, 1), 0);
	return fd;
}

static int connected(int *ret_listener)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd;

	*ret_listener = listening();
	inject(SYN, 0, 0, 0);
	expect(SYN | ACK, 0, 0);
	inject(ACK, 1, 1, 0);
	fd = ifc.accept(ifc.userdata, *ret_listener, (void *)&a, &len);
	assert_true(fd >= 0 && fd != *ret_listener);
	assert_int_equal(len, sizeof(a));
	assert_int_equal(ntohs(a.sin_port), 40000);
	assert_int_equal(ntohl(a.sin_addr.s_addr), 0xc0000201);
	return fd;
}

/* What packetdrill does in the end: libc's close(), a RST, free(). */
static void over(int fd, int listener)
{
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(listener), 0);
	inject(RST | ACK, 1, 1, 0);
}

/* --- tests --- */

static void load(const char *flags)
{
	void (*init)(const char *, struct packetdrill_interface *);
	void *lib = dlopen(getenv("BERTH_PACKETDRILL"), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);

	if (lib == NULL)
		fail_msg("%s", dlerror());
	*(void **)&init = dlsym(lib, "packetdrill_interface_init");
	assert_non_null(init);
	memset(&ifc, 0, sizeof(ifc));
	init(flags, &ifc);
}

static int setup(void **state)
{
	(void)state;
	load("nosysctl");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ifc.free(ifc.userdata);
	return 0;
}

static void test_members(void **state)
{
	void *member[sizeof(ifc) / sizeof(void *)];

	(void)state;
	memcpy(member, &ifc, sizeof(ifc));
	assert_int_equal(sizeof(ifc) / sizeof(void *), 33);
	for (size_t i = 0; i < sizeof(ifc) / sizeof(void *); i++)
		assert_non_null(member[i]);
}

static void test_clock(void **state)
{
	long long a = now_us(), b = now_us();

	(void)state;
	assert_true(b > a);
	assert_int_equal(ifc.usleep(ifc.userdata, 250000), 0);
	assert_in_range(now_us() - b, 250000, 250010);
}

static void test_nothing_to_receive(void **state)
{
	uint8_t p[100];
	size_t n = sizeof(p);
	long long at_us = -1;

	(void)state;
	assert_int_equal(ifc.netdev_receive(ifc.userdata, p, &n, &at_us), 0);
	assert_int_equal(n, 0);
}

static void test_packets_wait(void **state)
{
	int l, fd = connected(&l);
	long long at = now_us();
	struct segment s;
	char buf[3000] = {0};

	(void)state;
	assert_int_equal(ifc.write(ifc.userdata, fd, buf, sizeof(buf)), 3000);
	ifc.usleep(ifc.userdata, 50000); /* it is asked for later, and tells when it left */
	for (uint32_t seq = 1; seq < 3001; seq += s.len) {
		s = receive();
		assert_int_equal(s.seq, seq);
		assert_in_range(s.len, 1, 1460);
		assert_in_range(s.at_us, at, at + 20);
	}
	over(fd, l);
}

struct call {
	int fd, flags;
	size_t len;
	ssize_t got;
	long long done_us;
	_Atomic int tid, done;
};

static void *reader(void *arg)
{
	struct call *k = arg;
	char buf[1000];

	k->tid = (int)syscall(SYS_gettid);
	k->got = ifc.recv(ifc.userdata, k->fd, buf, k->len, k->flags);
	k->done_us = now_us();
	k->done = 1;
	return NULL;
}

/* As packetdrill: until /proc says S. */
static bool asleep(const struct call *k)
{
	char path[64], text[512];
	FILE *f;
	size_t n;

	if (k->tid == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", getpid(), k->tid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return strstr(text, ") S ") != NULL;
}

static void in_thread(struct call *k, pthread_t *t)
{
	assert_int_equal(pthread_create(t, NULL, reader, k), 0);
	for (int i = 0; i < 10000 && !asleep(k); i++)
		usleep(1000);
	assert_true(asleep(k));
	assert_int_equal(k->done, 0);
}

static void test_blocking_read(void **state)
{
	int l, fd = connected(&l);
	struct call k = {.fd = fd, .len = 1000};
	long long at;
	pthread_t t;

	(void)state;
	in_thread(&k, &t);
	ifc.usleep(ifc.userdata, 100000);
	at = now_us();
	inject(PSH | ACK, 1, 1, 100);
	ifc.usleep(ifc.userdata, 1000000); /* time goes on at once: the call was over before */
	pthread_join(t, NULL);
	assert_int_equal(k.got, 100);
	assert_in_range(k.done_us, at, at + 20);
	expect(ACK, 1, 0);
	over(fd, l);
}

static void test_blocking_twice(void **state)
{
	int l, fd = connected(&l);
	struct call k = {.fd = fd, .len = 300, .flags = MSG_WAITALL};
	long long at;
	pthread_t t;

	(void)state;
	in_thread(&k, &t);
	inject(PSH | ACK, 1, 1, 100);
	ifc.usleep(ifc.userdata, 100000);
	assert_int_equal(k.done, 0);
	at = now_us();
	inject(PSH | ACK, 101, 1, 200);
	pthread_join(t, NULL);
	assert_int_equal(k.got, 300);
	assert_in_range(k.done_us, at, at + 20);
	over(fd, l);
}

static void test_blocking_timeout(void **state)
{
	int l, fd = connected(&l);
	struct timeval tv = {.tv_usec = 300000};
	struct call k = {.fd = fd, .len = 300};
	long long at = now_us();
	pthread_t t;

	(void)state;
	assert_int_equal(ifc.setsockopt(ifc.userdata, fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	in_thread(&k, &t);
	ifc.usleep(ifc.userdata, 2000000);
	pthread_join(t, NULL);
	assert_int_equal(k.got, -1);
	assert_in_range(k.done_us, at + 300000, at + 300100);
	over(fd, l);
}

/* What a %{ }% block does: with libc's functions. */
static void test_libc_calls(void **state)
{
	int l, fd = connected(&l);
	uint8_t info[600];
	uint32_t mem[9];
	socklen_t len = sizeof(info);

	(void)state;
	memset(info, 0xff, sizeof(info));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
	assert_int_equal(len, sizeof(info)); /* as much as packetdrill's own structure has */
	assert_int_equal(info[0], 1);
	len = sizeof(info);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, info, &len), 0);
	len = sizeof(mem);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len), 0);
	assert_int_equal(len, sizeof(mem));
	assert_int_equal(close(fd), 0);
	errno = 0;
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
	expect(FIN | ACK, 1, 0);
	assert_int_equal(close(l), 0);
}

/* A script's NULL is a number here, and its address is given: 0, and nowhere. Pipes are the kernel's. */
static void test_splice(void **state)
{
	int l, fd = connected(&l), p[2];
	loff_t none_in = 0, none_out = 0;
	char buf[200];

	(void)state;
	assert_int_equal(ifc.pipe(ifc.userdata, p), 0);
	inject(PSH | ACK, 1, 1, 100);
	assert_int_equal(ifc.splice(ifc.userdata, fd, &none_in, p[1], &none_out, 1000, 0), 100);
	assert_int_equal(ifc.read(ifc.userdata, p[0], buf, sizeof(buf)), 100);
	assert_int_equal(ifc.write(ifc.userdata, p[1], buf, 50), 50);
	assert_int_equal(ifc.splice(ifc.userdata, p[0], &none_in, fd, &none_out, 1000, 0), 50);
	expect(ACK, 1, 0);
	expect(PSH | ACK, 1, 50);
	assert_int_equal(ifc.close(ifc.userdata, p[0]), 0);
	assert_int_equal(close(p[1]), 0); /* left open: packetdrill's own close */
	over(fd, l);
}

/* The upper half of an event's data is whatever packetdrill's stack had there; two watches may have the same data. */
static void test_epoll(void **state)
{
	int l, fd = connected(&l), e = ifc.epoll_create(ifc.userdata, 1);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = UINT64_C(0xdeadbeef00000000) | 7}, got[4];

	(void)state;
	assert_true(e >= 0);
	assert_int_equal(ifc.epoll_ctl(ifc.userdata, e, EPOLL_CTL_ADD, fd, &ev), 0);
	assert_int_equal(ifc.epoll_ctl(ifc.userdata, e, EPOLL_CTL_ADD, l, &ev), 0);
	assert_int_equal(ifc.epoll_wait(ifc.userdata, e, got, 4, 0), 0);
	inject(PSH | ACK, 1, 1, 100);
	assert_int_equal(ifc.epoll_wait(ifc.userdata, e, got, 4, 0), 1);
	assert_int_equal(got[0].events, EPOLLIN);
	assert_true(got[0].data.u64 == ev.data.u64);
	assert_int_equal(ifc.epoll_wait(ifc.userdata, e, got, 4, 0), 0); /* said once */
	assert_int_equal(close(e), 0);
	over(fd, l);
}

/* recvmsg() with what TCP_INQ tells, nothing to be had from the queue of errors, and buffers that are not there. */
static void test_recvmsg(void **state)
{
	int l, fd = connected(&l), on = 1, left = -1;
	char data[40], control[64];
	struct iovec iov[2] = {{data, 10}, {data + 10, 20}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *h;

	(void)state;
	assert_int_equal(ifc.setsockopt(ifc.userdata, fd, IPPROTO_TCP, TCP_INQ, &on, sizeof(on)), 0);
	inject(PSH | ACK, 1, 1, 100);
	assert_int_equal(ifc.recvmsg(ifc.userdata, fd, &m, 0), 30);
	assert_int_equal(m.msg_flags, 0);
	h = CMSG_FIRSTHDR(&m);
	assert_non_null(h);
	assert_int_equal(h->cmsg_type, TCP_CM_INQ);
	memcpy(&left, CMSG_DATA(h), sizeof(left));
	assert_int_equal(left, 70);
	assert_null(CMSG_NXTHDR(&m, h));
	m.msg_controllen = sizeof(control);
	assert_int_equal(ifc.recvmsg(ifc.userdata, fd, &m, MSG_ERRQUEUE), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ifc.read(ifc.userdata, fd, NULL, 10), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(ifc.readv(ifc.userdata, fd, iov, 2), 30);
	assert_int_equal(ifc.ioctl(ifc.userdata, fd, (unsigned long)FIONREAD, &left), 0);
	assert_int_equal(left, 40);
	assert_int_equal(ifc.fcntl(ifc.userdata, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	assert_int_equal(ifc.fcntl(ifc.userdata, fd, F_GETFL), O_RDWR | O_NONBLOCK);
	over(fd, l);
}

/* packetdrill sets its descriptors free by libc's close() in any order, and with data that nobody read. */
static void test_left_open(void **state)
{
	int l, fd = connected(&l), e = ifc.epoll_create(ifc.userdata, 1);

	(void)state;
	inject(PSH | ACK, 1, 1, 100);
	expect(ACK, 1, 0);
	assert_int_equal(close(e), 0);
	assert_int_equal(close(l), 0);
	assert_int_equal(close(fd), 0);
	expect(RST | ACK, 1, 0);
	inject(RST | ACK, 101, 1, 0);
}

static void test_locked_memory(void **state)
{
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %ld kB", &kb) == 1)
			break;
	fclose(f);
	assert_in_range(kb, 1, 200000); /* rings for 64 connections are 768 MiB, and nobody has touched them */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_members, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packets_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocking_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocking_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocking_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_libc_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_splice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_epoll, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recvmsg, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_memory, setup, teardown),
	};

	if (getenv("BERTH_PACKETDRILL") == NULL) {
		if (argc != 2)
			return 2;
		setenv("BERTH_PACKETDRILL", argv[1], 1);
		setenv("LD_PRELOAD", argv[1], 1);
		execv("/proc/self/exe", argv);
		return 2;
	}
	(void)mlockall(MCL_CURRENT | MCL_FUTURE); /* not everybody may; then the last test is an easy one */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
