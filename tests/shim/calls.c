/* tests/shim/calls.c: a long script of socket calls that says what each one answered.
 *
 * An ordinary program that knows nothing of berth. run_calls.sh runs it natively (in a network
 * namespace of its own) and under the shim, and compares the two outputs line by line; the lines that
 * may differ are in differences.txt. What a line looks like: script.h. More sections: calls_options.c, calls_self.c.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

static const char *self;

int tcp4(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int tcp6(void)
{
	return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

int listener4(const char *text, int port)
{
	int fd = tcp4();

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (do_bind(fd, text, port) < 0 || listen(fd, 16) < 0)
		say("listener", -1);
	return fd;
}

/* --- the sections --- */

static void sockets(void)
{
	int fd;

	section("socket");
	fd = say("inet stream", socket(AF_INET, SOCK_STREAM, 0));
	say_num("cloexec off", fcntl(fd, F_GETFD) & FD_CLOEXEC);
	say_num("nonblock off", fcntl(fd, F_GETFL) & O_NONBLOCK);
	say_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	say_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
	say_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
	say_option("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	names("fresh", fd);
	close(fd);
	fd = say("inet6 stream tcp", socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
	say_num("cloexec on", (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	say_num("nonblock on", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	say_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	say_option("IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY);
	names("fresh", fd);
	close(fd);
	say("stream with udp", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	say("unknown type", socket(AF_INET, 9, 0));
	fd = say("unix stream is left alone", socket(AF_UNIX, SOCK_STREAM, 0));
	say_option("its SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	close(fd);
	fd = say("udp is left alone", socket(AF_INET, SOCK_DGRAM, 0));
	say_option("its SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	say_option("its SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
	close(fd);
}

static void bind_errors(void)
{
	union addr a;
	int fd = tcp4(), fd6 = tcp6(), fd2;

	section("bind-errors");
	addr(&a, "127.0.0.1", 7000);
	say("EBADF", bind(-1, &a.sa, sizeof(a.in)));
	fd2 = open("/dev/null", O_RDONLY);
	say("ENOTSOCK", bind(fd2, &a.sa, sizeof(a.in)));
	close(fd2);
	say("v4 too short", bind(fd, &a.sa, sizeof(a.in) - 1));
	say("length 0", bind(fd, &a.sa, 0));
	say("length 129", bind(fd, &a.sa, 129));
	say("negative length", bind(fd, &a.sa, (socklen_t)-1));
	say("null", bind(fd, NULL, 16));
	addr(&a, "::1", 7000);
	say("v6 too short", bind(fd6, &a.sa, 23));
	say("v6 address on v4", bind(fd, &a.sa, sizeof(a.in6)));
	addr(&a, "127.0.0.1", 7000);
	say("v4 address on v6, short", bind(fd6, &a.sa, sizeof(a.in)));
	say("v4 address on v6", bind(fd6, &a.sa, sizeof(a.in6)));
	a.in.sin_family = AF_UNSPEC;
	say("AF_UNSPEC with an address", bind(fd, &a.sa, sizeof(a.in)));
	say("AF_UNSPEC on v6", bind(fd6, &a.sa, sizeof(a.in6)));
	a.in.sin_family = 77;
	say("family 77", bind(fd, &a.sa, sizeof(a.in)));
	say("not local", do_bind(fd, "192.0.2.1", 7000));
	say("not local v6", do_bind(fd6, "2001:db8::1", 7000));
	say("v6 link-local without scope", do_bind(fd6, "fe80::1", 7000));
	say("v6 multicast", do_bind(fd6, "ff02::1", 7000));
	say("v4 multicast", do_bind(fd, "239.1.1.1", 7000));
	say("second bind", do_bind(fd, "127.0.0.1", 7001));
	say("second bind, not local", do_bind(fd, "192.0.2.1", 7001));
	names("after failed second bind", fd);
	set(fd6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	say("mapped on V6ONLY", do_bind(fd6, "::ffff:127.0.0.1", 7002));
	say("v6 after errors", do_bind(fd6, "::1", 7002));
	say("V6ONLY after bind", set(fd6, IPPROTO_IPV6, IPV6_V6ONLY, 0));
	close(fd);
	close(fd6);
	fd = tcp4();
	addr(&a, "0.0.0.0", 7003);
	a.in.sin_family = AF_UNSPEC;
	say("AF_UNSPEC with the wildcard", bind(fd, &a.sa, sizeof(a.in)));
	names("AF_UNSPEC", fd);
	close(fd);
	fd = tcp4();
	addr(&a, "127.0.0.1", 7004);
	say("longer than needed", bind(fd, &a.sa, 128));
	close(fd);
	fd = tcp4();
	set(fd, IPPROTO_IP, IP_FREEBIND, 1);
	say("FREEBIND", do_bind(fd, "192.0.2.1", 7005));
	names("FREEBIND", fd);
	close(fd);
}

struct pair {
	const char *first;
	int flags1; /* 1 REUSEADDR, 2 REUSEPORT, 4 V6ONLY, 8 listens */
	const char *second;
	int flags2;
};

static int pair_socket(const char *text, int flags)
{
	int fd = strchr(text, ':') ? tcp6() : tcp4();

	if (flags & 1)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (flags & 2)
		set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (flags & 4)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return fd;
}

static void bind_pairs(void)
{
	static const struct pair pairs[] = {
		{"127.0.0.1", 0, "127.0.0.1", 0},
		{"0.0.0.0", 0, "127.0.0.1", 0},
		{"127.0.0.1", 0, "0.0.0.0", 0},
		{"127.0.0.1", 0, "127.0.0.2", 0},
		{"127.0.0.1", 1, "127.0.0.1", 0},
		{"127.0.0.1", 1, "127.0.0.1", 1},
		{"127.0.0.1", 9, "127.0.0.1", 1},
		{"127.0.0.1", 9, "127.0.0.1", 9},
		{"127.0.0.1", 2, "127.0.0.1", 2},
		{"127.0.0.1", 10, "127.0.0.1", 10},
		{"127.0.0.1", 10, "127.0.0.1", 8},
		{"0.0.0.0", 9, "127.0.0.1", 9},
		{"::", 0, "0.0.0.0", 0},
		{"::", 4, "0.0.0.0", 0},
		{"::", 8, "127.0.0.1", 8},
		{"0.0.0.0", 8, "::", 8},
		{"0.0.0.0", 8, "::", 12},
		{"::1", 8, "127.0.0.1", 8},
		{"::1", 0, "::", 0},
		{"::1", 0, "::", 4},
		{"::ffff:127.0.0.1", 0, "127.0.0.1", 0},
		{"::ffff:127.0.0.1", 0, "::1", 0},
		{"::ffff:0.0.0.0", 0, "0.0.0.0", 0},
		{"::ffff:0.0.0.0", 0, "::", 0},
		{"::ffff:0.0.0.0", 0, "::", 4},
		{"127.0.0.1", 3, "127.0.0.1", 11},
		{"127.0.0.1", 11, "127.0.0.1", 1},
		{"127.0.0.1", 1, "127.0.0.1", 9},
	};

	section("bind-pairs");
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const struct pair *p = &pairs[i];
		int a = pair_socket(p->first, p->flags1), b = pair_socket(p->second, p->flags2);
		char what[100];

		snprintf(what, sizeof(what), "%s/%d first", p->first, p->flags1);
		say(what, do_bind(a, p->first, 7100) < 0 || (p->flags1 & 8 && listen(a, 5) < 0) ? -1 : 0);
		snprintf(what, sizeof(what), "%s/%d then %s/%d bind", p->first, p->flags1, p->second, p->flags2);
		if (say(what, do_bind(b, p->second, 7100)) == 0) {
			snprintf(what, sizeof(what), "%s/%d then %s/%d listen", p->first, p->flags1, p->second,
				 p->flags2);
			say(what, listen(b, 5));
		}
		close(a);
		close(b);
	}
}

static void port_zero(void)
{
	int fd = tcp4(), fd2 = tcp4(), p, n_same = 0;
	int many[200];

	section("port-zero");
	say("bind port 0", do_bind(fd, "127.0.0.1", 0));
	p = port_of(fd);
	say_num("in the range", p >= 32768 && p <= 60999);
	say("the same port again", do_bind(fd2, "127.0.0.1", p));
	names("chosen", fd);
	close(fd);
	say("the same port after close", do_bind(fd2, "127.0.0.1", p));
	close(fd2);
	for (int i = 0; i < 200; i++) {
		many[i] = tcp4();
		if (do_bind(many[i], "0.0.0.0", 0) < 0)
			say("bind 0", -1);
		for (int j = 0; j < i; j++)
			n_same += port_of(many[i]) == port_of(many[j]);
	}
	say_num("equal ports among 200", n_same);
	for (int i = 0; i < 200; i++)
		close(many[i]);
	fd = tcp4();
	say("listen unbound", listen(fd, 5));
	names("listen unbound", fd);
	say_num("in the range", port_of(fd) >= 32768 && port_of(fd) <= 60999);
	fd2 = tcp4();
	say("connect to it", do_connect(fd2, "127.0.0.1", port_of(fd)));
	close(fd);
	close(fd2);
	fd = tcp6();
	say("v6 listen unbound", listen(fd, 5));
	names("v6 listen unbound", fd);
	close(fd);
	fd = tcp4();
	set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	say("bind without a port", do_bind(fd, "127.0.0.1", 0));
	names("without a port", fd);
	fd2 = listener4("127.0.0.1", 7200);
	say("connect", do_connect(fd, "127.0.0.1", 7200));
	names("with a port", fd);
	close(fd);
	close(fd2);
	fd = tcp4();
	say("IP_LOCAL_PORT_RANGE", setsockopt(fd, IPPROTO_IP, 51, &(uint32_t){45000u << 16 | 45000u}, 4));
	say("bind port 0", do_bind(fd, "127.0.0.1", 0));
	say_num("the port", port_of(fd));
	fd2 = tcp4();
	setsockopt(fd2, IPPROTO_IP, 51, &(uint32_t){45000u << 16 | 45000u}, 4);
	say("range full", do_bind(fd2, "127.0.0.1", 0));
	say("range full, listen unbound", listen(fd2, 1));
	close(fd);
	close(fd2);
}

static void one_flow(const char *what, int l, int c, const char *to, int port)
{
	union addr a = {0};
	socklen_t len = sizeof(a);
	char buf[16] = "", text[100];
	int s;

	section(what);
	names("listener", l);
	say("connect", do_connect(c, to, port));
	s = accept(l, &a.sa, &len);
	say_addr("accept", s, &a, len);
	say_num("accept names the client",
		port_of(c) == ntohs(a.sa.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port));
	names("client", c);
	names("server", s);
	say_option("client SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	say_option("server SO_DOMAIN", s, SOL_SOCKET, SO_DOMAIN);
	say_option("server SO_PROTOCOL", s, SOL_SOCKET, SO_PROTOCOL);
	say_num("write", write(c, "ping", 4));
	say_num("read", read(s, buf, sizeof(buf)));
	say_text("data", buf);
	say("connect again", do_connect(c, to, port));
	say("connect on accepted", do_connect(s, to, port));
	say("bind a connected one", do_bind(c, strchr(to, ':') && !strstr(to, "ffff") ? "::1" : "127.0.0.1", 7999));
	say("listen on a connected one", listen(c, 5));
	say("accept on a connected one", accept(c, NULL, NULL));
	say("listen on an accepted one", listen(s, 5));
	snprintf(text, sizeof(text), "%s after close", what);
	say("half close", shutdown(c, SHUT_WR));
	say_num("reads the end", read(s, buf, sizeof(buf)));
	say_num("other half", write(s, "pong!", 5));
	memset(buf, 0, sizeof(buf));
	say_num("reads", read(c, buf, sizeof(buf)));
	close(s);
	close(c);
	close(l);
}

static void flows(void)
{
	int l = listener4("127.0.0.1", 7300), l6;

	one_flow("flow-4", l, tcp4(), "127.0.0.1", 7300);
	l = listener4("0.0.0.0", 7301);
	one_flow("flow-any", l, tcp4(), "127.0.0.3", 7301);
	l6 = tcp6();
	say("bind", do_bind(l6, "::", 7302));
	say("listen", listen(l6, 5));
	one_flow("flow-6", l6, tcp6(), "::1", 7302);
	l6 = tcp6();
	do_bind(l6, "::", 7303);
	listen(l6, 5);
	one_flow("flow-dual", l6, tcp4(), "127.0.0.1", 7303);
	l6 = tcp6();
	do_bind(l6, "::", 7304);
	listen(l6, 5);
	one_flow("flow-mapped", l6, tcp6(), "::ffff:127.0.0.1", 7304);
	l = listener4("127.0.0.1", 7305);
	one_flow("flow-mapped-to-4", l, tcp6(), "::ffff:127.0.0.1", 7305);
	l = listener4("127.0.0.1", 7306);
	one_flow("flow-wildcard", l, tcp4(), "0.0.0.0", 7306);
	l6 = tcp6();
	do_bind(l6, "::1", 7307);
	listen(l6, 5);
	one_flow("flow-wildcard-6", l6, tcp6(), "::", 7307);
	l = listener4("127.0.0.1", 7308);
	l6 = tcp4();
	section("bound-client");
	say("bind the client", do_bind(l6, "127.0.0.1", 7309));
	one_flow("flow-bound", l, l6, "127.0.0.1", 7308);
	l = listener4("127.0.0.1", 7310);
	l6 = tcp4();
	do_bind(l6, "0.0.0.0", 7311);
	one_flow("flow-bound-any", l, l6, "127.0.0.1", 7310);
	l = listener4("127.0.0.5", 7312);
	l6 = tcp4();
	do_bind(l6, "127.0.0.6", 0);
	one_flow("flow-bound-other", l, l6, "127.0.0.5", 7312);
}

static void connect_errors(void)
{
	union addr a;
	int fd = tcp4(), fd6 = tcp6(), l;

	section("connect-errors");
	say("refused", do_connect(fd, "127.0.0.1", 7400));
	names("refused", fd);
	say("refused again", do_connect(fd, "127.0.0.1", 7400));
	say("port 0", do_connect(fd, "127.0.0.1", 0));
	addr(&a, "127.0.0.1", 7400);
	say("too short", connect(fd, &a.sa, 8));
	say("length 1", connect(fd, &a.sa, 1));
	say("length 129", connect(fd, &a.sa, 129));
	say("null", connect(fd, NULL, 16));
	a.in.sin_family = 77;
	say("family 77", connect(fd, &a.sa, sizeof(a.in)));
	addr(&a, "::1", 7400);
	say("v6 on v4", connect(fd, &a.sa, sizeof(a.in6)));
	addr(&a, "127.0.0.1", 7400);
	say("v4 on v6", connect(fd6, &a.sa, sizeof(a.in6)));
	say("v6 too short", connect(fd6, &a.sa, 16));
	say("v6 refused", do_connect(fd6, "::1", 7400));
	say("mapped refused", do_connect(fd6, "::ffff:127.0.0.1", 7400));
	say("v6 link-local without scope", do_connect(fd6, "fe80::1", 7400));
	say("v6 multicast", do_connect(fd6, "ff02::1", 7400));
	a.sa.sa_family = AF_UNSPEC;
	say("AF_UNSPEC", connect(fd, &a.sa, sizeof(a.in)));
	close(fd6);
	fd6 = tcp6();
	set(fd6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	say("mapped with V6ONLY", do_connect(fd6, "::ffff:127.0.0.1", 7400));
	close(fd6);
	l = listener4("127.0.0.1", 7401);
	say("connect a listener", do_connect(l, "127.0.0.1", 7401));
	say("after refusals", do_connect(fd, "127.0.0.1", 7401));
	names("after refusals", fd);
	close(fd);
	fd = tcp4();
	do_bind(fd, "127.0.0.1", 7402);
	say("bound, refused", do_connect(fd, "127.0.0.1", 7403));
	names("bound, refused", fd);
	say("bound, then connected", do_connect(fd, "127.0.0.1", 7401));
	names("bound, then connected", fd);
	close(l);
	l = listener4("127.0.0.1", 7401);
	close(fd);
	fd = tcp4();
	say("bind beside", do_bind(fd, "127.0.0.1", 7404));
	say("connect", do_connect(fd, "127.0.0.1", 7401));
	fd6 = tcp4();
	set(fd6, SOL_SOCKET, SO_REUSEADDR, 1);
	say("same port, other side has no flag", do_bind(fd6, "127.0.0.1", 7404));
	close(fd6);
	close(fd);
	close(l);
}

static void tuple_in_use(void)
{
	int l = listener4("127.0.0.1", 7450), a = tcp4(), b = tcp4();

	section("tuple");
	set(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	say("first", do_bind(a, "127.0.0.1", 7451));
	say("second shares", do_bind(b, "127.0.0.1", 7451));
	say("first connects", do_connect(a, "127.0.0.1", 7450));
	say("second, same four", do_connect(b, "127.0.0.1", 7450));
	close(a);
	close(b);
	close(l);
}

static void nonblocking(void)
{
	int l = listener4("127.0.0.1", 7500), c = tcp4(), s, ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	struct pollfd p;
	char buf[8];

	section("nonblocking");
	nonblock(l);
	say("accept, nobody", accept(l, NULL, NULL));
	nonblock(c);
	epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
	epoll_wait(ep, &e, 1, 0);
	say("connect", do_connect(c, "127.0.0.1", 7500));
	say_num("epoll wakes", epoll_wait(ep, &e, 1, 1000));
	say_num("with OUT", (e.events & EPOLLOUT) != 0);
	say_num("without ERR", (e.events & EPOLLERR) == 0);
	say_option("SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	names("client", c);
	say("connect, second", do_connect(c, "127.0.0.1", 7500));
	say("connect, third", do_connect(c, "127.0.0.1", 7500));
	p = (struct pollfd){.fd = l, .events = POLLIN};
	say_num("listener readable", poll(&p, 1, 1000));
	s = say("accept", accept(l, NULL, NULL));
	say_num("accepted blocks", (fcntl(s, F_GETFL) & O_NONBLOCK) == 0);
	say_num("accepted not cloexec", (fcntl(s, F_GETFD) & FD_CLOEXEC) == 0);
	say("read, nothing there", (int)read(c, buf, 1));
	close(s);
	close(c);
	c = tcp4();
	nonblock(c);
	do_connect(c, "127.0.0.1", 7500);
	poll(&p, 1, 1000);
	s = say("accept4", accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	say_num("nonblock", (fcntl(s, F_GETFL) & O_NONBLOCK) != 0);
	say_num("cloexec", (fcntl(s, F_GETFD) & FD_CLOEXEC) != 0);
	say("accept4 bad flags", accept4(l, NULL, NULL, 0x40));
	close(s);
	close(c);
	close(l);
	c = tcp4();
	nonblock(c);
	e.events = EPOLLOUT | EPOLLET;
	epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
	epoll_wait(ep, &e, 1, 0);
	say("refused", do_connect(c, "127.0.0.1", 7501));
	say_num("epoll wakes", epoll_wait(ep, &e, 1, 1000));
	say_num("with OUT", (e.events & EPOLLOUT) != 0);
	say_num("with HUP", (e.events & EPOLLHUP) != 0);
	say_option("SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	say_option("SO_ERROR again", c, SOL_SOCKET, SO_ERROR);
	say("connect after SO_ERROR", do_connect(c, "127.0.0.1", 7501));
	say("and again", do_connect(c, "127.0.0.1", 7501));
	say("and without SO_ERROR", do_connect(c, "127.0.0.1", 7501));
	say_option("SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	close(c);
	close(ep);
}

static void *late_connect(void *arg)
{
	int c = tcp4();

	(void)arg;
	usleep(50000);
	do_connect(c, "127.0.0.1", 7600);
	usleep(50000);
	close(c);
	return NULL;
}

static void *late_shutdown(void *arg)
{
	usleep(50000);
	shutdown(*(int *)arg, SHUT_RDWR);
	return NULL;
}

static void listening(void)
{
	int l = tcp4(), l2 = tcp4(), c, s;
	pthread_t th;

	section("listen");
	say("accept, not listening", accept(l, NULL, NULL));
	say("bind", do_bind(l, "127.0.0.1", 7600));
	say("accept, only bound", accept(l, NULL, NULL));
	c = tcp4();
	say("connect to a bound one", do_connect(c, "127.0.0.1", 7600));
	say("listen", listen(l, 1));
	say("listen twice", listen(l, 100));
	say_option("SO_ACCEPTCONN", l, SOL_SOCKET, SO_ACCEPTCONN);
	say("bind a listener", do_bind(l, "127.0.0.1", 7601));
	names("listener", l);
	pthread_create(&th, NULL, late_connect, NULL);
	s = say("accept waits", accept(l, NULL, NULL));
	pthread_join(th, NULL);
	close(s);
	close(l);
	say("bind again at once", do_bind(l2, "127.0.0.1", 7600));
	close(l2);
	close(c);
	l = listener4("127.0.0.1", 7602);
	close(l);
	c = tcp4();
	say("connect after close", do_connect(c, "127.0.0.1", 7602));
	close(c);
	l = listener4("127.0.0.1", 7603);
	pthread_create(&th, NULL, late_shutdown, &l);
	say("accept woken by shutdown", accept(l, NULL, NULL));
	pthread_join(th, NULL);
	c = tcp4();
	say("connect after shutdown", do_connect(c, "127.0.0.1", 7603));
	close(c);
	say_option("SO_ACCEPTCONN", l, SOL_SOCKET, SO_ACCEPTCONN);
	names("after shutdown", l);
	l2 = tcp4();
	say("the port is still held", do_bind(l2, "127.0.0.1", 7603));
	close(l2);
	close(l);
	l = listener4("127.0.0.1", 7604);
	say("listen, write side shut", shutdown(l, SHUT_WR));
	c = tcp4();
	say("still listens", do_connect(c, "127.0.0.1", 7604));
	close(c);
	close(l);
	say("listen EBADF", listen(-1, 1));
	l = socket(AF_INET, SOCK_DGRAM, 0);
	say("listen udp", listen(l, 1));
	close(l);
}

static void shutdowns(void)
{
	int fd = tcp4(), l = listener4("127.0.0.1", 7700), c = tcp4(), s;
	char buf[8];

	section("shutdown");
	say("fresh", shutdown(fd, SHUT_RDWR));
	say("bad how", shutdown(fd, 7));
	do_bind(fd, "127.0.0.1", 7701);
	say("bound", shutdown(fd, SHUT_WR));
	close(fd);
	do_connect(c, "127.0.0.1", 7700);
	s = accept(l, NULL, NULL);
	say("connected, read side", shutdown(c, SHUT_RD));
	say_num("the peer still writes", write(s, "abc", 3));
	say("connected, write side", shutdown(c, SHUT_WR));
	say_num("the peer reads the end", read(s, buf, sizeof(buf)));
	signal(SIGPIPE, SIG_IGN);
	say("write after SHUT_WR", (int)write(c, "x", 1));
	say("both on the server", shutdown(s, SHUT_RDWR));
	say("write after SHUT_RDWR", (int)write(s, "x", 1));
	close(c);
	close(s);
	close(l);
}

static void inheritance(void)
{
	int l = listener4("127.0.0.1", 7950), c = tcp4(), s, d, st;
	char a[16], b[16], e[16];
	pid_t pid;

	section("inherit");
	do_connect(c, "127.0.0.1", 7950);
	s = accept(l, NULL, NULL);
	d = dup(c);
	names("dup", d);
	close(d);
	d = fcntl(l, F_DUPFD, 100);
	names("F_DUPFD", d);
	say("bind a dup", do_bind(d, "127.0.0.1", 7951));
	close(d);
	d = dup2(s, 90);
	names("dup2", d);
	close(d);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		names("fork client", c);
		names("fork server", s);
		names("fork listener", l);
		close(c);
		close(s);
		close(l);
		exit(0);
	}
	waitpid(pid, &st, 0);
	line_in_section += 6;
	names("after fork", c);
	fcntl(c, F_SETFD, 0);
	fcntl(s, F_SETFD, 0);
	fcntl(l, F_SETFD, 0);
	snprintf(a, sizeof(a), "%d", c);
	snprintf(b, sizeof(b), "%d", s);
	snprintf(e, sizeof(e), "%d", l);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		char *empty[] = {NULL};

		execve("/proc/self/exe", (char *[]){(char *)self, (char[]){"names"}, a, b, e, NULL}, empty);
		say("execve", -1);
		exit(1);
	}
	waitpid(pid, &st, 0);
	say_num("exec ended", st);
	close(c);
	close(s);
	/* a listener held by a child only */
	pid = fork();
	if (pid == 0) {
		d = accept(l, NULL, NULL);
		exit(d < 0);
	}
	close(l);
	c = tcp4();
	say("a child listens on", do_connect(c, "127.0.0.1", 7950));
	waitpid(pid, &st, 0);
	d = tcp4();
	set(d, SOL_SOCKET, SO_REUSEADDR, 1);
	close(c);
	say("and then it is free", do_bind(d, "127.0.0.1", 7950));
	close(d);
}

static int after_exec(char **argv)
{
	int c = atoi(argv[2]), s = atoi(argv[3]), l = atoi(argv[4]), n;

	section("after-exec");
	names("client", c);
	names("server", s);
	names("listener", l);
	say_option("SO_DOMAIN", c, SOL_SOCKET, SO_DOMAIN);
	say_option("SO_REUSEADDR", l, SOL_SOCKET, SO_REUSEADDR);
	say("listen again", listen(l, 5));
	n = tcp4();
	say("connect", do_connect(n, "127.0.0.1", port_of(l)));
	close(n);
	n = accept(l, NULL, NULL);
	say("accept", n);
	n = tcp4();
	say("bind what is taken", do_bind(n, "127.0.0.1", 7950));
	return 0;
}

static void disconnects(void)
{
	int l = listener4("127.0.0.1", 7960), c = tcp4(), s;
	union addr a = {.sa = {.sa_family = AF_UNSPEC}};

	section("unspec");
	do_connect(c, "127.0.0.1", 7960);
	s = accept(l, NULL, NULL);
	say("connected", connect(c, &a.sa, sizeof(a.in)));
	names("disconnected", c);
	say("connect again", do_connect(c, "127.0.0.1", 7960));
	close(s);
	close(c);
	c = tcp4();
	say("fresh", connect(c, &a.sa, sizeof(a.in)));
	do_bind(c, "127.0.0.1", 7961);
	say("bound", connect(c, &a.sa, sizeof(a.in)));
	names("bound", c);
	close(c);
	say("listening", connect(l, &a.sa, sizeof(a.in)));
	c = tcp4();
	say("nobody listens", do_connect(c, "127.0.0.1", 7960));
	close(c);
	close(l);
}

/* A port that connect() or bind() chose is shown after a failure, and held by nobody. */
static void ports_given_back(void)
{
	int l = listener4("127.0.0.1", 7980), a = tcp4(), b = tcp4(), p;
	union addr un = {.sa = {.sa_family = AF_UNSPEC}};

	section("given-back");
	say("refused", do_connect(a, "127.0.0.1", 7981));
	names("refused", a);
	p = port_of(a);
	say("somebody else binds the port", do_bind(b, "127.0.0.1", p));
	say("and listens", listen(b, 1));
	say("refused again", do_connect(a, "127.0.0.1", 7981));
	say_num("with another port", port_of(a) != p);
	say("V6ONLY is for the other family", set(a, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	say("bind after a refusal", do_bind(a, "127.0.0.1", 7982));
	say("bind twice", do_bind(a, "127.0.0.1", 7983));
	say("refused", do_connect(a, "127.0.0.1", 7981));
	names("bound by hand, refused", a);
	close(b);
	b = tcp4();
	say("its port is held", do_bind(b, "127.0.0.1", 7982));
	close(a);
	a = tcp4();
	do_bind(a, "127.0.0.1", 0);
	say("bound to port 0, refused", do_connect(a, "127.0.0.1", 7981));
	names("bound to port 0, refused", a);
	say("its port is free", do_bind(b, "127.0.0.1", port_of(a)));
	say("connects", do_connect(a, "127.0.0.1", 7980));
	names("connected", a);
	close(b);
	say("AF_UNSPEC", connect(a, &un.sa, sizeof(un.in)));
	names("bound to port 0, undone", a);
	b = tcp4();
	say("its port is free", do_bind(b, "127.0.0.1", port_of(a)));
	close(a);
	close(b);
	a = tcp4();
	do_bind(a, "0.0.0.0", 7984);
	do_connect(a, "127.0.0.1", 7980);
	names("bound to all, connected", a);
	say("AF_UNSPEC", connect(a, &un.sa, sizeof(un.in)));
	names("bound to all, undone", a);
	b = tcp4();
	say("it holds all again", do_bind(b, "127.0.0.2", 7984));
	close(a);
	close(b);
	a = tcp4();
	nonblock(a);
	say("non-blocking, refused", do_connect(a, "127.0.0.1", 7981));
	names("not told yet", a);
	say("listen, not told yet", listen(a, 1));
	say("connect tells", do_connect(a, "127.0.0.1", 7981));
	names("told", a);
	close(a);
	a = tcp4();
	nonblock(a);
	say("non-blocking, refused", do_connect(a, "127.0.0.1", 7981));
	say("bind, not told yet", do_bind(a, "127.0.0.1", 7985));
	names("bound", a);
	say("recv tells", (int)recv(a, &un, 1, 0));
	say("recv again", (int)recv(a, &un, 1, 0));
	close(a);
	a = tcp4();
	say("refused", do_connect(a, "127.0.0.1", 7981));
	say("listen after a refusal", listen(a, 1));
	names("listens", a);
	close(a);
	a = tcp4();
	set(a, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	do_bind(a, "127.0.0.1", 0);
	say("no port yet, refused", do_connect(a, "127.0.0.1", 7981));
	names("no port yet, refused", a);
	close(a);
	close(l);
}

/* To Linux ::ffff:0.0.0.0 is an address: the one that a failed connect() put in its place stays. */
static void addresses_kept(void)
{
	int l = listener4("127.0.0.1", 7986), a = tcp6(), b = tcp4();
	union addr un = {.sa = {.sa_family = AF_UNSPEC}};

	section("kept");
	say("bind to a mapped wildcard", do_bind(a, "::ffff:0.0.0.0", 7987));
	say("it holds all", do_bind(b, "127.0.0.2", 7987));
	say("refused", do_connect(a, "::ffff:127.0.0.1", 7989));
	names("refused", a);
	say("it holds one", do_bind(b, "127.0.0.2", 7987));
	say("connects", do_connect(a, "::ffff:127.0.0.1", 7986));
	names("connected", a);
	say("AF_UNSPEC", connect(a, &un.sa, sizeof(un.in)));
	names("undone", a);
	close(a);
	close(b);
	a = tcp6();
	nonblock(a);
	do_bind(a, "::ffff:0.0.0.0", 7987);
	say("non-blocking, refused", do_connect(a, "::ffff:127.0.0.1", 7989));
	names("not told yet", a);
	say("connect tells", do_connect(a, "::ffff:127.0.0.1", 7989));
	names("told", a);
	close(a);
	a = tcp6();
	b = tcp4();
	set(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	do_bind(b, "127.0.0.1", 7988);
	do_connect(b, "127.0.0.1", 7986);
	say("bind beside a flow", do_bind(a, "::ffff:0.0.0.0", 7988));
	say("its four", do_connect(a, "::ffff:127.0.0.1", 7986));
	names("refused its four", a);
	close(b);
	b = tcp4();
	say("it holds one", do_bind(b, "127.0.0.2", 7988));
	close(a);
	close(b);
	a = tcp4();
	b = tcp4();
	set(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	do_bind(a, "127.0.0.1", 0);
	say("share a chosen port", do_bind(b, "127.0.0.1", port_of(a)));
	say("and connect", do_connect(b, "127.0.0.1", 7986));
	say("its four", do_connect(a, "127.0.0.1", 7986));
	names("refused its four", a);
	say("the chosen port is given back", do_bind(a, "127.0.0.1", 7987));
	names("bound again", a);
	close(a);
	close(b);
	close(l);
}

/* A listener that was shut down is a socket like any other. */
static void listening_again(void)
{
	int l = listener4("127.0.0.1", 7990), c = tcp4(), s;

	section("again");
	say("shutdown", shutdown(l, SHUT_RDWR));
	say("accept", accept(l, NULL, NULL));
	names("shut down", l);
	say("nobody listens", do_connect(c, "127.0.0.1", 7990));
	say("listen again", listen(l, 3));
	say("somebody listens", do_connect(c, "127.0.0.1", 7990));
	s = say("accept", accept(l, NULL, NULL));
	close(s);
	close(c);
	say("shutdown again", shutdown(l, SHUT_RD));
	c = tcp4();
	set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	do_bind(c, "127.0.0.1", 7991);
	listen(c, 3);
	say("the listener becomes a client", do_connect(l, "127.0.0.1", 7991));
	names("client", l);
	s = say("accept", accept(c, NULL, NULL));
	close(s);
	close(c);
	close(l);
	l = tcp4();
	listen(l, 1);
	say("shut down, port chosen", shutdown(l, SHUT_RDWR));
	names("shut down, port chosen", l);
	c = tcp4();
	say("its port is free", do_bind(c, "127.0.0.1", port_of(l)));
	close(c);
	close(l);
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc == 5 && !strcmp(argv[1], "names"))
		return after_exec(argv);
	sockets();
	bind_errors();
	bind_pairs();
	port_zero();
	flows();
	connect_errors();
	tuple_in_use();
	nonblocking();
	listening();
	shutdowns();
	options();
	lengths();
	data();
	inheritance();
	disconnects();
	ports_given_back();
	addresses_kept();
	listening_again();
	self_connect();
	return 0;
}
