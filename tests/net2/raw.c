/* tests/net2/raw.c: a program that berth's library does not reach, on a host of its own.
 *
 * Built static by glibc and by musl, and dynamic with raw system calls (calls.h). Each check reports under its own
 * name; an argument picks the checks whose name contains it. "serve PORT TEXT" is a little server that blocks in
 * accept, "fetch ADDRESS PORT" its client, "crowd N" many threads, "hold PORT" has a UDP port; they are used by run_net2.sh.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* musl's test has no build system */
#endif
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "../checks.h"
#include "calls.h"

_Atomic int failures;

#define FAILS(e, n) ((e) == -1 && errno == (n))

static struct sockaddr *sa(struct sockaddr_in *a)
{
	return (struct sockaddr *)a;
}

static int listener(int port)
{
	struct sockaddr_in a = at("127.0.0.1", port);
	int fd = x_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || x_bind(fd, sa(&a), sizeof(a)) < 0 || x_listen(fd, 8) < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static int dial(const char *text, int port)
{
	struct sockaddr_in a = at(text, port);
	int fd = x_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), e;

	if (fd >= 0 && x_connect(fd, sa(&a), sizeof(a)) == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

static bool says(int fd, const char *text)
{
	char buf[64];
	ssize_t n = read(fd, buf, sizeof(buf));

	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

/* A connected pair: the client's end and the accepted one. */
static bool pair(int port, int *ret_client, int *ret_server)
{
	int l = listener(port);

	*ret_client = dial("127.0.0.1", port);
	*ret_server = l < 0 ? -1 : x_accept4(l, NULL, NULL, SOCK_CLOEXEC);
	close(l);
	return *ret_client >= 0 && *ret_server >= 0;
}

/* --- checks --- */

static void a_connection(void)
{
	struct sockaddr_in a, b = {0}, from = {0};
	socklen_t len = sizeof(a);
	int l = listener(7001), c = dial("127.0.0.1", 7001), s;

	WANT(l >= 0 && c >= 0);
	s = x_accept4(l, sa(&from), &len, SOCK_NONBLOCK);
	WANT(s >= 0 && len == sizeof(from) && from.sin_family == AF_INET);
	WANT(fcntl(s, F_GETFL) & O_NONBLOCK && !(fcntl(s, F_GETFD) & FD_CLOEXEC) && fcntl(l, F_GETFD) & FD_CLOEXEC);
	len = sizeof(a);
	WANT(x_getsockname(c, sa(&a), &len) == 0 && a.sin_port == from.sin_port);
	len = sizeof(b);
	WANT(x_getpeername(s, sa(&b), &len) == 0 && b.sin_port == a.sin_port && b.sin_addr.s_addr == a.sin_addr.s_addr);
	len = sizeof(b);
	WANT(x_getpeername(c, sa(&b), &len) == 0 && ntohs(b.sin_port) == 7001);
	len = sizeof(b);
	WANT(x_getsockname(l, sa(&b), &len) == 0 && ntohs(b.sin_port) == 7001);
	len = 4; /* cut, and the whole length told */
	WANT(x_getsockname(l, sa(&b), &len) == 0 && len == sizeof(b));
	WANT(write(c, "ping", 4) == 4);
	WANT(poll(&(struct pollfd){s, POLLIN, 0}, 1, 1000) == 1 && says(s, "ping"));
	WANT(write(s, "pong", 4) == 4 && says(c, "pong"));
	WANT(x_shutdown(c, SHUT_WR) == 0 && read(s, &b, 1) == 0);
	close(c);
	close(s);
	close(l);
}

static void to_itself(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7090), b = {0};
	int c = x_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n = 0;
	socklen_t len = sizeof(b);
	char octets[8];

	WANT(x_bind(c, sa(&a), sizeof(a)) == 0 && x_connect(c, sa(&a), sizeof(a)) == 0);
	WANT(x_getpeername(c, sa(&b), &len) == 0 && b.sin_port == a.sin_port && b.sin_addr.s_addr == a.sin_addr.s_addr);
	for (int i = 0; i < 100; i++)
		n += write(c, "to oneself", 10) == 10 && says(c, "to oneself");
	WANT(n == 100);
	WANT(write(c, "end", 3) == 3 && x_shutdown(c, SHUT_WR) == 0);
	WANT(says(c, "end") && read(c, octets, sizeof(octets)) == 0);
	close(c);
	c = x_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	a.sin_addr.s_addr = INADDR_ANY;
	WANT(x_bind(c, sa(&a), sizeof(a)) == 0 && FAILS(x_connect(c, sa(&a), sizeof(a)), EINPROGRESS));
	WANT(poll(&(struct pollfd){c, POLLOUT, 0}, 1, 1000) == 1 && write(c, "x", 1) == 1);
	WANT(poll(&(struct pollfd){c, POLLIN, 0}, 1, 1000) == 1 && says(c, "x"));
	close(c);
}

static void refusals(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7002);
	int l = listener(7002), fd = x_socket(AF_INET, SOCK_STREAM, 0);
	char none[64];

	WANT(l >= 0 && fd >= 0);
	WANT(FAILS(x_bind(fd, sa(&a), sizeof(a)), EADDRINUSE));
	WANT(FAILS(dial("127.0.0.1", 7003), ECONNREFUSED));
	WANT(FAILS(dial(nobodys(none), 80), ENETUNREACH));
	WANT(FAILS(x_bind(fd, sa(&a), 3), EINVAL));
	a.sin_family = AF_UNIX;
	WANT(FAILS(x_bind(fd, sa(&a), sizeof(a)), EAFNOSUPPORT));
	WANT(FAILS(x_listen(-1, 1), EBADF));
	WANT(FAILS(x_accept4(fd, NULL, NULL, 0), EINVAL));
	WANT(FAILS(x_shutdown(fd, SHUT_RDWR), ENOTCONN));
	close(fd);
	close(l);
	l = listener(7002); /* and free again at once */
	WANT(l >= 0);
	close(l);
}

static void bad_pointers(void)
{
	void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = listener(7004);

	WANT(l >= 0 && nowhere != MAP_FAILED);
#ifdef RAW_SYSCALL /* the library has syscall(), and touches the octets itself (docs/shim.md) */
	close(l);
	return;
#endif
	WANT(FAILS(x_bind(l, nowhere, sizeof(a)), EFAULT));
	WANT(FAILS(x_connect(l, nowhere, sizeof(a)), EFAULT));
	WANT(FAILS(x_getsockname(l, nowhere, &len), EFAULT));
	WANT(FAILS(x_getsockname(l, sa(&a), nowhere), EFAULT));
	WANT(FAILS(x_setsockopt(l, SOL_SOCKET, SO_REUSEADDR, nowhere, 4), EFAULT));
	WANT(FAILS(x_getsockopt(l, SOL_SOCKET, SO_REUSEADDR, &a, nowhere), EFAULT));
	close(l);
}

static void options(void)
{
	int fd = x_socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP), v = 1;
	socklen_t len = sizeof(v);

	WANT(fd >= 0);
	WANT(x_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)) == 0);
	WANT(x_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)) == 0);
	v = 0;
	WANT(x_getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0 && v == 1 && len == sizeof(v));
	WANT(x_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len) == 0 && v == AF_INET6);
	WANT(x_getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len) == 0 && v == SOCK_STREAM);
	WANT(x_getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v == 0);
	WANT(FAILS(x_setsockopt(fd, IPPROTO_TCP, 9999, &v, sizeof(v)), ENOPROTOOPT));
	close(fd);
}

static void nonblocking(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7005);
	int l = listener(7005), c = x_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), v = -1;
	socklen_t len = sizeof(v);

	WANT(l >= 0 && c >= 0);
	fcntl(l, F_SETFL, O_NONBLOCK);
	WANT(FAILS(x_accept4(l, NULL, NULL, 0), EAGAIN));
	WANT(FAILS(x_connect(c, sa(&a), sizeof(a)), EINPROGRESS));
	WANT(poll(&(struct pollfd){c, POLLOUT, 0}, 1, 1000) == 1);
	WANT(x_getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v == 0);
	WANT(poll(&(struct pollfd){l, POLLIN, 0}, 1, 1000) == 1);
	v = x_accept4(l, NULL, NULL, 0);
	WANT(v >= 0);
	close(v);
	close(c);
	c = x_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	a.sin_port = htons(7006);
	WANT(FAILS(x_connect(c, sa(&a), sizeof(a)), EINPROGRESS));
	WANT(x_getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v == ECONNREFUSED);
	close(c);
	close(l);
}

/* connect() to nobody, and the socket is as new: it has another descriptor's place. */
static void disconnecting(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a = at("127.0.0.1", 7007);
	int c, s, l;

	WANT(pair(7008, &c, &s));
	l = listener(7007);
	WANT(x_connect(c, &none, sizeof(none)) == 0);
	WANT(read(s, &a, 1) == 0);
	a = at("127.0.0.1", 7007);
	WANT(x_connect(c, sa(&a), sizeof(a)) == 0);
	close(s);
	s = x_accept4(l, NULL, NULL, 0);
	WANT(s >= 0 && write(s, "x", 1) == 1 && says(c, "x"));
	close(c);
	close(s);
	close(l);
}

static volatile sig_atomic_t rang;

static void ring(int sig)
{
	(void)sig;
	rang++;
}

static void ring_later(int flags)
{
	struct itimerval t = {.it_value.tv_usec = 60000};
	struct sigaction s = {.sa_handler = ring, .sa_flags = flags};

	rang = 0;
	sigaction(SIGALRM, &s, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void interrupted(void)
{
	int l = listener(7010), s, st;
	pid_t pid;

	WANT(l >= 0);
	ring_later(0);
	WANT(FAILS(x_accept4(l, NULL, NULL, 0), EINTR) && rang == 1);
	ring_later(SA_RESTART);
	pid = fork();
	if (pid == 0) {
		usleep(250000); /* well after the signal */
		_exit(dial("127.0.0.1", 7010) >= 0 ? 0 : 1);
	}
	s = x_accept4(l, NULL, NULL, 0);
	WANT(s >= 0 && rang == 1);
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	close(s);
	close(l);
}

/* A signal that stops, and one that ends, reach a program whose call waits. */
static void stopped_and_ended(void)
{
	static const int ends[] = {SIGTERM, SIGKILL, SIGQUIT};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int st, l;
		pid_t pid = fork();

		if (pid == 0) {
			setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
			l = listener(7011);
			_exit(x_accept4(l, NULL, NULL, 0) + 1);
		}
		usleep(50000);
		WANT(kill(pid, SIGSTOP) == 0 && waitpid(pid, &st, WUNTRACED) == pid && WIFSTOPPED(st));
		WANT(kill(pid, SIGCONT) == 0);
		usleep(20000);
		WANT(waitpid(pid, &st, WNOHANG) == 0); /* it waits on */
		WANT(kill(pid, ends[i]) == 0 && waitpid(pid, &st, 0) == pid);
		WANT(WIFSIGNALED(st) && WTERMSIG(st) == ends[i]);
		l = listener(7011); /* its port is free at once */
		WANT(l >= 0);
		close(l);
	}
}

static void timeouts(void)
{
	struct timeval t = {.tv_usec = 80000};
	struct timespec a, b;
	int l = listener(7012);

	WANT(l >= 0 && x_setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	WANT(FAILS(x_accept4(l, NULL, NULL, 0), EAGAIN));
	clock_gettime(CLOCK_MONOTONIC, &b);
	WANT((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 79);
	close(l);
}

static void *take_one(void *arg)
{
	int s = x_accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);

	if (s >= 0) {
		ssize_t n = write(s, "t", 1);

		close(s);
		return n == 1 ? arg : NULL;
	}
	return NULL;
}

static void threads(void)
{
	enum { N = 12 };
	pthread_t th[N];
	int l = listener(7013);

	WANT(l >= 0);
	for (int i = 0; i < N; i++)
		WANT(pthread_create(&th[i], NULL, take_one, &l) == 0);
	usleep(20000); /* some wait by now */
	for (int i = 0; i < N; i++) {
		int c = dial("127.0.0.1", 7013);

		WANT(c >= 0 && says(c, "t"));
		close(c);
	}
	for (int i = 0; i < N; i++) {
		void *r;

		pthread_join(th[i], &r);
		WANT(r);
	}
	close(l);
}

static void *reads(void *arg)
{
	char b;

	return (void *)(read(*(int *)arg, &b, 1) == 0 ? arg : NULL);
}

/* shutdown(SHUT_RD): who waits is woken, poll shows it, and writing goes on. */
static void shut_for_reading(void)
{
	struct pollfd p = {.events = POLLIN};
	pthread_t th;
	void *woken;
	int c, s;
	char b;

	WANT(pair(7022, &c, &s));
	WANT(write(c, "x", 1) == 1 && read(s, &b, 1) == 1);
	WANT(pthread_create(&th, NULL, reads, &s) == 0);
	usleep(20000);
	WANT(x_shutdown(s, SHUT_RD) == 0);
	pthread_join(th, &woken);
	p.fd = s;
	WANT(woken && read(s, &b, 1) == 0 && poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	WANT(write(s, "y", 1) == 1 && says(c, "y"));
	WANT(x_shutdown(s, SHUT_WR) == 0 && read(c, &b, 1) == 0);
	close(c);
	close(s);
}

/* Children that wait in accept() on one blocking socket: each connection goes to one of them. */
static void preforked(void)
{
	enum { N = 4, EACH = 40 };
	int l = listener(7014), st;
	pid_t pid[N];

	WANT(l >= 0);
	for (int i = 0; i < N; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			for (;;) {
				int s = x_accept4(l, NULL, NULL, 0);

				if (s < 0 || write(s, "p", 1) != 1)
					_exit(1);
				close(s);
			}
	}
	for (int i = 0; i < N * EACH; i++) {
		int c = dial("127.0.0.1", 7014);

		WANT(c >= 0 && says(c, "p"));
		close(c);
	}
	for (int i = 0; i < N; i++) {
		kill(pid[i], SIGKILL);
		WANT(waitpid(pid[i], &st, 0) == pid[i] && WIFSIGNALED(st));
	}
	close(l);
}

static void shut_down_listener(void)
{
	int l = listener(7015);
	pthread_t th;
	void *r = &l;

	WANT(l >= 0 && pthread_create(&th, NULL, take_one, &l) == 0);
	usleep(50000);
	WANT(x_shutdown(l, SHUT_RDWR) == 0);
	pthread_join(th, &r);
	WANT(!r);
	close(l);
}

static void addresses_on_streams(void)
{
	struct sockaddr_in a = at("10.1.2.3", 99), from;
	socklen_t len = sizeof(from);
	char buf[64];
	struct iovec iov[2] = {{(void *)"two", 3}, {(void *)"parts", 5}}, in = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = iov, .msg_iovlen = 2};
	int c, s;

	WANT(pair(7016, &c, &s));
	WANT(x_sendto(c, "to", 2, 0, sa(&a), sizeof(a)) == 2); /* TCP does not look at it */
	WANT(x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len) == 2 && memcmp(buf, "to", 2) == 0 && len == 0);
	WANT(x_sendmsg(c, &m, 0) == 8);
	m = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &in, .msg_iovlen = 1};
	WANT(x_recvmsg(s, &m, 0) == 8 && memcmp(buf, "twoparts", 8) == 0 && m.msg_namelen == 0);
	len = sizeof(from);
	WANT(FAILS(x_recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, sa(&from), &len), EAGAIN));
	close(c);
	WANT(x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len) == 0);
	(void)!x_sendto(s, "x", 1, MSG_NOSIGNAL, sa(&a), sizeof(a)); /* TCP takes one more */
	WANT(FAILS(x_sendto(s, "x", 1, MSG_NOSIGNAL, sa(&a), sizeof(a)), EPIPE));
	close(s);
}

/* More than fits, with an address: it waits for room, and all of it goes. */
static void much_with_address(void)
{
	enum { OCTETS = 12 << 20 };
	struct sockaddr_in a = at("10.1.2.3", 99);
	char *p = mmap(NULL, OCTETS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int c, s, st;
	pid_t pid;

	WANT(p != MAP_FAILED && pair(7017, &c, &s));
	for (size_t i = 0; i < OCTETS; i++)
		p[i] = (char)(i * 7 + i / 4093);
	pid = fork();
	if (pid == 0) {
		static char buf[1 << 16];
		size_t done = 0;
		ssize_t n;

		close(c);
		usleep(20000);
		while ((n = read(s, buf, sizeof(buf))) > 0) {
			if (memcmp(buf, p + done, (size_t)n))
				_exit(2);
			done += (size_t)n;
		}
		_exit(done == OCTETS ? 0 : 1);
	}
	close(s);
	WANT(x_sendto(c, p, OCTETS, 0, sa(&a), sizeof(a)) == OCTETS);
	close(c);
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	munmap(p, OCTETS);
}

static int udp(int port)
{
	struct sockaddr_in a = at("127.0.0.1", port);
	int fd = x_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || (port && x_bind(fd, sa(&a), sizeof(a)) < 0)) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	return x_getsockname(fd, sa(&a), &len) == 0 ? ntohs(a.sin_port) : -1;
}

static void datagrams(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7101), from;
	int s = udp(7101), c = udp(0), d = udp(0), other = x_socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(from);
	struct timeval t = {.tv_usec = 60000};
	char buf[64];

	WANT(s >= 0 && c >= 0 && d >= 0 && other >= 0);
	WANT(FAILS(x_bind(other, sa(&a), sizeof(a)), EADDRINUSE));
	WANT(x_sendto(c, "from c", 6, 0, sa(&a), sizeof(a)) == 6 &&
	     x_sendto(d, "from d", 6, 0, sa(&a), sizeof(a)) == 6);
	WANT(poll(&(struct pollfd){s, POLLIN, 0}, 1, 1000) == 1);
	WANT(x_recvfrom(s, buf, 4, MSG_PEEK | MSG_TRUNC, sa(&from), &len) == 6 && !memcmp(buf, "from", 4));
	WANT(len == sizeof(from) && ntohs(from.sin_port) == port_of(c));
	WANT(x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len) == 6 && ntohs(from.sin_port) == port_of(c));
	WANT(x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len) == 6 && ntohs(from.sin_port) == port_of(d));
	WANT(x_sendto(s, "back", 4, 0, sa(&from), len) == 4);
	WANT(x_recvfrom(d, buf, sizeof(buf), 0, sa(&from), &len) == 4 && ntohs(from.sin_port) == 7101);
	WANT(FAILS(x_recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, sa(&from), &len), EAGAIN));
	WANT(x_setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	WANT(FAILS(x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len), EAGAIN));
	close(s);
	s = udp(7101); /* free at once */
	WANT(s >= 0);
	close(s);
	close(c);
	close(d);
	close(other);
}

/* Connected, and read and written without an address: the kernel's own calls. */
static void connected_datagrams(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7102), from;
	int s = udp(7102), c = udp(0), st;
	socklen_t len = sizeof(from);
	char buf[2048] = "";
	pid_t pid;

	WANT(s >= 0 && c >= 0 && x_connect(c, sa(&a), sizeof(a)) == 0);
	WANT(x_getpeername(c, sa(&from), &len) == 0 && ntohs(from.sin_port) == 7102);
	pid = fork();
	if (pid == 0)
		for (;;) {
			ssize_t n = x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len); /* waits each time */

			if (n < 0 || x_sendto(s, buf, (size_t)n, 0, sa(&from), len) != n)
				_exit(1);
			if (n == 1)
				_exit(0);
		}
	for (size_t i = 2; i < 300; i++) {
		WANT(write(c, buf, i * 5) == (ssize_t)i * 5);
		WANT(poll(&(struct pollfd){c, POLLIN, 0}, 1, 2000) == 1 && read(c, buf, sizeof(buf)) == (ssize_t)i * 5);
	}
	WANT(write(c, "x", 1) == 1 && waitpid(pid, &st, 0) == pid && st == 0);
	close(s);
	close(c);
}

/* Taken by read() and by recvfrom() in turn: whose each is stays known. More than is in flight at once. */
static void mixed_datagrams(void)
{
	enum { N = 120 };
	struct sockaddr_in a = at("127.0.0.1", 7103), from;
	int s = udp(7103), c[2] = {udp(0), udp(0)};
	socklen_t len = sizeof(from);
	char buf[2048];

	WANT(s >= 0 && c[0] >= 0 && c[1] >= 0);
	for (int i = 0; i < N; i++) {
		memset(buf, i, sizeof(buf));
		WANT(x_sendto(c[i % 3 == 0], buf, (size_t)(10 + i * 3 % 700), 0, sa(&a), sizeof(a)) > 0);
	}
	for (int i = 0; i < N; i++) {
		WANT(poll(&(struct pollfd){s, POLLIN, 0}, 1, 2000) == 1);
		if (i % 4 == 1) {
			WANT(read(s, buf, sizeof(buf)) == 10 + i * 3 % 700);
		} else {
			WANT(x_recvfrom(s, buf, sizeof(buf), 0, sa(&from), &len) == 10 + i * 3 % 700);
			WANT(ntohs(from.sin_port) == port_of(c[i % 3 == 0]));
		}
		WANT(buf[0] == (char)i && buf[9] == (char)i);
	}
	close(s);
	close(c[0]);
	close(c[1]);
}

static void other_families(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0berth-net2-test"};
	struct {
		sa_family_t family;
		uint16_t pad;
		uint32_t port, groups;
	} nl = {.family = AF_NETLINK}; /* struct sockaddr_nl, which musl has not */
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 17), nl_len = sizeof(nl);
	int l = x_socket(AF_UNIX, SOCK_STREAM, 0), c = x_socket(AF_UNIX, SOCK_STREAM, 0), s;
	int d = x_socket(AF_UNIX, SOCK_DGRAM, 0), n = x_socket(AF_NETLINK, SOCK_RAW, 0);
	int v = 0, two[2];
	socklen_t v_len = sizeof(v);

	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "berth-net2-%d", (int)getpid());
	WANT(l >= 0 && c >= 0 && d >= 0 && n >= 0);
	WANT(x_bind(l, (struct sockaddr *)&un, len) == 0 && x_listen(l, 1) == 0);
	WANT(x_connect(c, (struct sockaddr *)&un, len) == 0);
	s = x_accept4(l, NULL, NULL, 0);
	WANT(s >= 0 && write(c, "u", 1) == 1 && says(s, "u"));
	WANT(x_getsockopt(c, SOL_SOCKET, SO_DOMAIN, &v, &v_len) == 0 && v == AF_UNIX);
	WANT(FAILS(x_sendto(d, "x", 1, 0, (struct sockaddr *)&un, len), EPROTOTYPE) || errno == ECONNREFUSED);
	WANT(x_bind(n, (struct sockaddr *)&nl, sizeof(nl)) == 0);
	WANT(x_getsockname(n, (struct sockaddr *)&nl, &nl_len) == 0 && nl.family == AF_NETLINK);
	WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0 && write(two[0], "v", 1) == 1 && says(two[1], "v"));
	close(two[0]);
	close(two[1]);
	close(l);
	close(c);
	close(s);
	close(d);
	close(n);
}

static void no_io_uring(void)
{
	char params[256] = {0};

	WANT(FAILS((int)syscall(425, 8, params), ENOSYS));
}

static void descriptors_run_out(void)
{
	struct rlimit before, few = {32, 0};
	int c, l = listener(7018), fd, n = 0;

	WANT(l >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
	c = dial("127.0.0.1", 7018);
	few.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (fd = dup(0)) >= 0)
		n++;
	fd = x_socket(AF_INET, SOCK_STREAM, 0);
	n = errno;
	for (int i = 3; i < 32; i++)
		if (i != l && i != c)
			close(i);
	setrlimit(RLIMIT_NOFILE, &before);
	WANT(fd == -1 && n == EMFILE);
	fd = x_accept4(l, NULL, NULL, 0);
	WANT(fd >= 0);
	close(fd);
	close(c);
	close(l);
}

/* accept() that has no number for the new socket: the connection stays, and the listener shows it. */
static void no_descriptor_to_accept_with(void)
{
	struct rlimit before, few = {32, 0};
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);
	struct pollfd p = {.events = POLLIN};
	int c, d, l = listener(7021), e, s, n = 0, filler[64], errors = 0;
	char b;

	WANT(l >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
	c = dial("127.0.0.1", 7021);
	WANT(c >= 0 && write(c, "c", 1) == 1);
	few.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (s = dup(0)) >= 0)
		filler[n++] = s;
	p.fd = l;
	for (int i = 0; i < 3; i++)
		errors += FAILS(x_accept4(l, NULL, NULL, 0), EMFILE) && poll(&p, 1, 0) == 1;
	fcntl(l, F_SETFL, O_RDWR | O_NONBLOCK);
	errors += FAILS(x_accept4(l, NULL, NULL, 0), EMFILE);
	while (n > 0)
		close(filler[--n]);
	setrlimit(RLIMIT_NOFILE, &before);
	WANT(errors == 4);
	d = dial("127.0.0.1", 7021);
	WANT(d >= 0 && write(d, "d", 1) == 1);
	fcntl(l, F_SETFL, O_RDWR);
	s = x_accept4(l, sa(&a), &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	WANT(s >= 0 && a.sin_family == AF_INET && a.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && len == sizeof(a));
	WANT(says(s, "c") && FAILS(recv(s, &b, 1, 0), EAGAIN) && fcntl(s, F_GETFD) == FD_CLOEXEC);
	close(s);
	WANT(read(c, &b, 1) == 0);
	s = x_accept4(l, NULL, NULL, 0);
	WANT(s >= 0 && says(s, "d") && fcntl(s, F_GETFD) == 0);
	close(s);
	fcntl(l, F_SETFL, O_RDWR | O_NONBLOCK);
	WANT(FAILS(x_accept4(l, NULL, NULL, 0), EAGAIN) && poll(&p, 1, 0) == 0);
	close(c);
	close(d);

	c = dial("127.0.0.1", 7021); /* and when the listener goes, so does it */
	WANT(c >= 0);
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (s = dup(0)) >= 0)
		filler[n++] = s;
	s = x_accept4(l, NULL, NULL, 0);
	e = errno;
	close(l);
	while (n > 0)
		close(filler[--n]);
	setrlimit(RLIMIT_NOFILE, &before);
	WANT(s == -1 && e == EMFILE);
	p.fd = c;
	WANT(poll(&p, 1, 3000) == 1 && read(c, &b, 1) <= 0);
	close(c);
}

static void large_numbers(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7019);
	int l = listener(7019), c = x_socket(AF_INET, SOCK_STREAM, 0), high, s;

	WANT(l >= 0 && c >= 0);
	high = fcntl(c, F_DUPFD, 900);
	close(c);
	WANT(high >= 900 && x_connect(high, sa(&a), sizeof(a)) == 0);
	s = x_accept4(l, NULL, NULL, 0);
	WANT(s >= 0 && write(s, "h", 1) == 1 && says(high, "h"));
	close(high);
	close(s);
	close(l);
}

/* Another architecture's calls have no IP sockets: not the machine's own either. */
static void other_architectures(void)
{
#if defined(__x86_64__)
	int32_t r;
	uint32_t *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	WANT(args != MAP_FAILED);
	args[0] = AF_INET;
	args[1] = SOCK_STREAM;
	args[2] = 0;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(102), "b"(1), "c"(args) : "memory"); /* socketcall(SYS_SOCKET) */
	WANT(r == -EAFNOSUPPORT || r == -ENOSYS);
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(359), "b"(AF_INET6), "c"(SOCK_DGRAM), "d"(0) : "memory");
	WANT(r == -EAFNOSUPPORT || r == -ENOSYS);
	WANT(FAILS(syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0), ENOSYS));
#endif
}

/* --- used by run_net2.sh --- */

static int serve(int port, const char *text)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int l = x_socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	(void)x_setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (x_bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || x_listen(l, 8) < 0) {
		printf("serve: %s\n", strerror(errno));
		return 1;
	}
	for (;;) {
		int s = x_accept4(l, NULL, NULL, 0);
		char buf[512];

		if (s < 0) {
			printf("serve: accept: %s\n", strerror(errno));
			return 1;
		}
		if (read(s, buf, sizeof(buf)) >= 0)
			dprintf(s, "HTTP/1.0 200 OK\r\n\r\n%s\n", text);
		(void)x_shutdown(s, SHUT_WR);
		while (read(s, buf, sizeof(buf)) > 0)
			;
		close(s);
	}
}

/* A UDP port and a TCP listener, held until somebody connects. */
static int hold(int port)
{
	struct sockaddr_in a = at("0.0.0.0", port);
	int u = x_socket(AF_INET, SOCK_DGRAM, 0), l = listener(port);

	if (l < 0 || x_bind(u, sa(&a), sizeof(a)) < 0) {
		printf("hold: %s\n", strerror(errno));
		return 1;
	}
	return x_accept4(l, NULL, NULL, 0) >= 0 ? 0 : 1;
}

static int fetch(const char *address, int port)
{
	int c = dial(address, port);
	char buf[512];
	ssize_t n;

	if (c < 0) {
		printf("fetch: %s\n", strerror(errno));
		return 1;
	}
	dprintf(c, "GET / HTTP/1.0\r\n\r\n");
	while ((n = read(c, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return 0;
}

/* Many threads that all live at once, each of which has had its calls served, one after the other. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t together;
static void *one_of_many(void *arg)
{
	struct sockaddr_in a = at("127.0.0.1", 0);
	int fd, r;

	pthread_mutex_lock(&turn);
	fd = x_socket(AF_INET, SOCK_STREAM, 0);
	r = fd < 0 || x_bind(fd, sa(&a), sizeof(a)) < 0 || x_listen(fd, 1) < 0;
	if (r)
		printf("crowd: %s\n", strerror(errno));
	close(fd);
	pthread_mutex_unlock(&turn);
	pthread_barrier_wait(&together);
	return r ? NULL : arg;
}

static int crowd(int n)
{
	pthread_t *th = calloc((size_t)n, sizeof(*th));
	int bad = 0;

	pthread_barrier_init(&together, NULL, (unsigned)n);
	for (int i = 0; i < n; i++)
		if (pthread_create(&th[i], NULL, one_of_many, &turn) != 0)
			return 1;
	for (int i = 0; i < n; i++) {
		void *r;

		pthread_join(th[i], &r);
		bad += !r;
	}
	free(th);
	return bad != 0;
}

static const struct check checks[] = {
	{"a connection, both ends' addresses, flags", a_connection},
	{"connected to itself", to_itself},
	{"what is refused, and with which error", refusals},
	{"pointers that lead nowhere", bad_pointers},
	{"options", options},
	{"non-blocking accept and connect", nonblocking},
	{"connect to nobody, then again", disconnecting},
	{"a signal interrupts a call that waits, or not", interrupted},
	{"signals stop and end a program whose call waits", stopped_and_ended},
	{"SO_RCVTIMEO ends a call that waits", timeouts},
	{"many threads in accept", threads},
	{"shut for reading", shut_for_reading},
	{"preforked children in accept", preforked},
	{"a listener shut down while a call waits", shut_down_listener},
	{"addresses on streams", addresses_on_streams},
	{"more than fits, with an address", much_with_address},
	{"datagrams, with addresses", datagrams},
	{"datagrams on connected sockets", connected_datagrams},
	{"datagrams taken with and without address", mixed_datagrams},
	{"sockets of other families are the kernel's", other_families},
	{"io_uring is not there", no_io_uring},
	{"no descriptors left", descriptors_run_out},
	{"no descriptor to accept with", no_descriptor_to_accept_with},
	{"large descriptor numbers", large_numbers},
	{"another architecture's calls", other_architectures},
};

int main(int argc, char **argv)
{
	int ran;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(atoi(argv[2]), argv[3]);
	if (argc == 3 && !strcmp(argv[1], "crowd"))
		return crowd(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "fetch"))
		return fetch(argv[2], atoi(argv[3]));
	ran = run_checks(checks, sizeof(checks) / sizeof(checks[0]), argc > 1 ? argv[1] : NULL);
	return ran == 0 || failures ? 1 : 0;
}
