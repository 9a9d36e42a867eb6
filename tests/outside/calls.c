/* tests/outside/calls.c: a script of calls around connections to the outside that says what each one answered.
 *
 *     outside_calls serve PORT          natively, there: one letter says what a connection is to be (serve_one())
 *     outside_calls FOUR SIX PORT [SECTION,... [not]]   the script, or those sections, or all but them. PORT+1 is nobody's; 203.0.113.1 is a hole; 198.18.0.1 has no route
 *
 * run_calls.sh runs it on Linux itself and under berth, and compares the two line by line (tests/shim/compare.py).
 * What a line looks like: tests/shim/script.h. More sections: calls_more.c, calls_processes.c.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

const char *four, *six;
int port;

int tcp(const char *to, int flags)
{
	return socket(strchr(to, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | flags, 0);
}

int ready(int fd, int events, int ms)
{
	struct pollfd p = {.fd = fd, .events = (short)events};
	int r = poll(&p, 1, ms);

	return r == 1 ? p.revents : r;
}

void say_ready(const char *what, int fd, int events, int ms)
{
	char text[24];

	snprintf(text, sizeof(text), "%#x", (unsigned)ready(fd, events, ms));
	say_text(what, text);
}

/* Sends, and reads as many octets back. */
void say_echo(const char *what, int fd, const char *text)
{
	char back[64] = "";
	size_t len = strlen(text), have = 0;

	if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len) {
		say(what, -1);
		return;
	}
	while (have < len && ready(fd, POLLIN, 10000) & POLLIN) {
		ssize_t n = recv(fd, back + have, sizeof(back) - 1 - have, 0);

		if (n <= 0)
			break;
		have += (size_t)n;
	}
	back[have] = '\0';
	say_text(what, back);
}

void say_state(const char *what, int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		say(what, -1);
	else
		say_num(what, info.tcpi_state);
}

/* A connection of that kind, blocking. */
int opened(char kind)
{
	int fd = tcp(four, SOCK_CLOEXEC);

	if (do_connect(fd, four, port) < 0 || send(fd, &kind, 1, 0) != 1)
		say("opened", -1);
	return fd;
}

/* --- the sections --- */

static void blocking(void)
{
	char mapped[80];
	const char *to[] = {four, six, mapped};

	section("blocking");
	snprintf(mapped, sizeof(mapped), "::ffff:%s", four);
	for (int i = 0; i < 3; i++) {
		int fd = tcp(to[i], SOCK_CLOEXEC), n = 0;

		names("before", fd);
		say("connect", do_connect(fd, to[i], port));
		names("after", fd);
		say_state("state", fd);
		say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
		say_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
		say_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
		say_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
		say_option("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
		say_num("cloexec", fcntl(fd, F_GETFD));
		say_num("nonblock", fcntl(fd, F_GETFL) & O_NONBLOCK);
		say_ready("poll", fd, POLLIN | POLLOUT | POLLRDHUP, 1000);
		say("again", do_connect(fd, to[i], port));
		say("elsewhere", do_connect(fd, to[i], port + 1));
		say("bind now", do_bind(fd, i ? "::" : "0.0.0.0", 0));
		say("listen now", listen(fd, 1));
		say("accept now", accept(fd, NULL, NULL));
		say_echo("echo", fd, "there and back");
		say("FIONREAD", ioctl(fd, FIONREAD, &n));
		say_num("unread", n);
		say("shut writing", shutdown(fd, SHUT_WR));
		say("write then", send(fd, "x", 1, MSG_NOSIGNAL));
		say_ready("the end comes", fd, POLLIN, 5000);
		say_count("read", recv(fd, &n, 1, 0));
		say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
		say("shut again", shutdown(fd, SHUT_RDWR));
		close(fd);
	}
}

static void arguments(void)
{
	union addr a;
	socklen_t len = addr(&a, four, port);
	int fd = tcp(four, 0), fd6 = tcp(six, 0);

	section("arguments");
	say("too short", connect(fd, &a.sa, len - 1));
	say("length 1", connect(fd, &a.sa, 1));
	say("length 0", connect(fd, &a.sa, 0));
	say("too long", connect(fd, &a.sa, 129));
	say("null", connect(fd, NULL, len));
	say("IPv4 on an IPv6 socket", connect(fd6, &a.sa, len));
	say("the same, long", connect(fd6, &a.sa, sizeof(a.in6)));
	a.in.sin_family = 77;
	say("family 77", connect(fd, &a.sa, len));
	say("port 0", do_connect(fd, four, 0));
	names("after port 0", fd);
	close(fd);
	fd = tcp(four, 0);
	say("a long length", (long)(addr(&a, four, port) ? connect(fd, &a.sa, 128) : -1));
	say_echo("echo", fd, "long");
	close(fd);
	fd = tcp(four, 0);
	say("IPv6 on an IPv4 socket", do_connect(fd, six, port));
	say("after it", do_connect(fd, four, port));
	say_echo("echo", fd, "IPv4");
	close(fd);
	set(fd6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	say("mapped with V6ONLY", do_connect(fd6, "::ffff:198.51.100.2", port));
	say("IPv6 after it", do_connect(fd6, six, port));
	say_echo("echo", fd6, "IPv6");
	close(fd6);
	fd = tcp(four, 0);
	say("no route", do_connect(fd, "198.18.0.1", 80));
	names("no route", fd);
	say_ready("poll", fd, POLLIN | POLLOUT, 0);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	say("then a way", do_connect(fd, four, port));
	say_echo("echo", fd, "a way");
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	say("no route, non-blocking", do_connect(fd, "198.18.0.1", 80));
	say("then a way", do_connect(fd, four, port));
	say_ready("poll", fd, POLLOUT, 5000);
	close(fd);
	fd = tcp(four, 0);
	say("broadcast", do_connect(fd, "255.255.255.255", 80));
	say("multicast", do_connect(fd, "239.1.1.1", 80));
	close(fd);
	fd = tcp(six, 0);
	say("multicast, IPv6", do_connect(fd, "ff02::1", 80));
	say("link-local without scope", do_connect(fd, "fe80::1", 80));
	say("no route, IPv6", do_connect(fd, "2001:db8:99::1", 80));
	close(fd);
}

static void non_blocking(void)
{
	int fd = tcp(four, SOCK_NONBLOCK);
	fd_set r, w;

	section("non-blocking");
	say("connect", do_connect(fd, four, port));
	say_ready("poll", fd, POLLOUT, 5000);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	names("connected", fd);
	say("connect again", do_connect(fd, four, port));
	say("and again", do_connect(fd, four, port));
	say("recv", recv(fd, &r, 1, 0));
	say_num("nonblock", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	say_echo("echo", fd, "quick");
	close(fd);
	fd = tcp(four, 0);
	nonblock(fd);
	say("a hole", do_connect(fd, "203.0.113.1", 80));
	say_ready("poll", fd, POLLIN | POLLOUT, 50);
	say("again", do_connect(fd, "203.0.113.1", 80));
	say("elsewhere", do_connect(fd, four, port));
	say_state("state", fd);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	names("on its way", fd);
	say("send", send(fd, "x", 1, MSG_NOSIGNAL));
	say("recv", recv(fd, &r, 1, 0));
	say("listen", listen(fd, 1));
	say("bind", do_bind(fd, "0.0.0.0", 0));
	say("shutdown", shutdown(fd, SHUT_RDWR));
	say_ready("poll then", fd, POLLIN | POLLOUT, 1000);
	say("connect then", do_connect(fd, four, port));
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	say("refused", do_connect(fd, four, port + 1));
	FD_ZERO(&r);
	FD_SET(fd, &r);
	w = r;
	say_count("select", select(fd + 1, &r, &w, NULL, &(struct timeval){5, 0}));
	say_num("readable", FD_ISSET(fd, &r) != 0);
	say_num("writable", FD_ISSET(fd, &w) != 0);
	say_ready("poll", fd, POLLIN | POLLOUT, 1000);
	say("recv", recv(fd, &r, 1, 0));
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	names("refused", fd);
	say_ready("poll then", fd, POLLIN | POLLOUT, 1000);
	say("send then", send(fd, "x", 1, MSG_NOSIGNAL));
	say("recv then", recv(fd, &r, 1, 0));
	say("connect", do_connect(fd, four, port));
	say("connect again", do_connect(fd, four, port));
	say_ready("poll", fd, POLLOUT, 5000);
	say_echo("echo", fd, "after all");
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	say("refused", do_connect(fd, four, port + 1));
	(void)ready(fd, POLLOUT, 5000);
	say("send", send(fd, "x", 1, MSG_NOSIGNAL));
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	say("refused", do_connect(fd, four, port + 1));
	(void)ready(fd, POLLOUT, 5000);
	say("the answer by connect", do_connect(fd, four, port + 1));
	say("anew", do_connect(fd, four, port + 1));
	(void)ready(fd, POLLOUT, 5000);
	say("the answer by connect", do_connect(fd, four, port));
	close(fd);
}

static void refused(void)
{
	union addr a;
	socklen_t len;
	int fd = tcp(four, 0), l;

	section("refused");
	say("connect", do_connect(fd, four, port + 1));
	names("after", fd);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	say_ready("poll", fd, POLLIN | POLLOUT, 0);
	say_state("state", fd);
	say("again", do_connect(fd, four, port + 1));
	say("send", send(fd, "x", 1, MSG_NOSIGNAL));
	say("recv", recv(fd, &a, 1, 0));
	say("shutdown", shutdown(fd, SHUT_RDWR));
	say("connect", do_connect(fd, four, port));
	say_echo("echo", fd, "again");
	close(fd);
	/* What was refused may become a server after all. */
	fd = tcp(four, 0);
	say("connect", do_connect(fd, four, port + 1));
	say("bind", do_bind(fd, "0.0.0.0", 6110));
	names("bound", fd);
	say("listen", listen(fd, 5));
	nonblock(fd);
	l = tcp(four, 0);
	say("to it", do_connect(l, "127.0.0.1", 6110));
	len = sizeof(a);
	say("accept", accept4(fd, &a.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK));
	close(l);
	close(fd);
	fd = tcp(four, 0);
	say("bind", do_bind(fd, "0.0.0.0", 6111));
	say("connect", do_connect(fd, four, port + 1));
	names("bound", fd);
	say("bind again", do_bind(fd, "0.0.0.0", 6112));
	say("listen", listen(fd, 5));
	l = tcp(four, 0);
	say("to it", do_connect(l, "127.0.0.1", 6111));
	close(l);
	close(fd);
	fd = tcp(four, 0);
	say("connect", do_connect(fd, four, port + 1));
	say("listen", listen(fd, 5));
	l = tcp(four, 0);
	say("to it", do_connect(l, "127.0.0.1", port_of(fd)));
	close(l);
	close(fd);
}

static void unspec(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = tcp(four, 0);

	section("AF_UNSPEC");
	say("before", connect(fd, &none, sizeof(none)));
	say("connect", do_connect(fd, four, port));
	say("unspec", connect(fd, &none, sizeof(none)));
	names("after", fd);
	say_ready("poll", fd, POLLIN | POLLOUT, 0);
	say("send", send(fd, "x", 1, MSG_NOSIGNAL));
	say("recv", recv(fd, &none, 1, 0));
	say("connect", do_connect(fd, four, port));
	say_echo("echo", fd, "two");
	say("unspec", connect(fd, &none, sizeof(none)));
	say("bind", do_bind(fd, "0.0.0.0", 6120));
	names("bound", fd);
	say("connect", do_connect(fd, four, port));
	names("connected", fd);
	say("unspec", connect(fd, &none, sizeof(none)));
	names("its port stays", fd);
	say("listen", listen(fd, 5));
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	say("a hole", do_connect(fd, "203.0.113.1", 80));
	say("unspec", connect(fd, &none, sizeof(none)));
	say_ready("poll", fd, POLLIN | POLLOUT, 0);
	say("connect", do_connect(fd, four, port));
	say_ready("poll", fd, POLLOUT, 5000);
	close(fd);
}

static void fast_open(void)
{
	union addr a;
	socklen_t len = addr(&a, four, port);
	struct iovec iov = {(char[]){"e-msg"}, 5};
	struct msghdr m = {.msg_name = &a, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};
	char back[8];
	int fd = tcp(four, 0);

	section("fast-open");
	say_count("sendto", sendto(fd, "efast", 5, MSG_FASTOPEN, &a.sa, len));
	say_count("recv", recv(fd, back, 4, MSG_WAITALL));
	say("connect then", do_connect(fd, four, port));
	say("once more", sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &a.sa, len));
	close(fd);
	fd = tcp(four, 0);
	say_count("sendmsg", sendmsg(fd, &m, MSG_FASTOPEN));
	say_count("recv", recv(fd, back, 4, MSG_WAITALL));
	names("fast", fd);
	close(fd);
	fd = tcp(four, 0);
	addr(&a, four, port + 1);
	say("refused", sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &a.sa, len));
	close(fd);
	fd = tcp(four, 0);
	say("no address", send(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL));
	say("no connection", sendto(fd, "x", 1, MSG_NOSIGNAL, &a.sa, len));
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	addr(&a, "198.18.0.1", 80);
	say("no route", sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &a.sa, len));
	close(fd);
	fd = tcp(four, 0);
	say("TCP_FASTOPEN_CONNECT", set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
	say("connect", do_connect(fd, four, port));
	say_echo("echo", fd, "quick");
	close(fd);
}

static void nothing(int sig)
{
	(void)sig;
}

static void waiting(void)
{
	struct timeval t = {.tv_usec = 100000};
	struct sigaction act = {.sa_handler = nothing};
	int fd = tcp(four, 0), e;

	section("waiting");
	say("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	say("a hole", do_connect(fd, "203.0.113.1", 80));
	say("again", do_connect(fd, "203.0.113.1", 80));
	say("to a place", do_connect(fd, four, port));
	close(fd);
	fd = tcp(four, 0);
	say("TCP_USER_TIMEOUT", set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 200));
	say("a hole", do_connect(fd, "203.0.113.1", 80));
	close(fd);
	fd = tcp(four, 0);
	sigaction(SIGALRM, &act, NULL);
	ualarm(100000, 0);
	say("a signal", do_connect(fd, "203.0.113.1", 80));
	nonblock(fd);
	say("then", do_connect(fd, "203.0.113.1", 80));
	close(fd);
	fd = tcp(four, 0);
	e = epoll_create1(EPOLL_CLOEXEC);
	ualarm(100000, 0);
	epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLOUT});
	say("a signal, watched", do_connect(fd, "203.0.113.1", 80));
	say_count("the epoll", epoll_wait(e, &(struct epoll_event){0}, 1, 20));
	close(fd);
	close(e);
	act.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &act, NULL);
	fd = tcp(four, 0);
	t.tv_usec = 300000;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	ualarm(100000, 0);
	say("SA_RESTART and SO_SNDTIMEO", do_connect(fd, "203.0.113.1", 80));
	close(fd);
}

/* --- the server --- */

static void give(int c, size_t len)
{
	static char zeros[65536];

	while (len > 0) {
		ssize_t n = send(c, zeros, len < sizeof(zeros) ? len : sizeof(zeros), MSG_NOSIGNAL);

		if (n <= 0)
			return;
		len -= (size_t)n;
	}
}

/* e: echoes. x: closes at once. r: resets. b: gives 8 MiB and closes. s: counts what comes, and says how much at
 * the end. h: shuts writing, then counts. o: one urgent octet. Anything else is echoed, too. */
static void serve_one(int c)
{
	static char buf[65536];
	struct linger l = {1, 0};
	char text[32], kind = 'e';
	long count = 0;
	ssize_t n = recv(c, &kind, 1, MSG_PEEK);

	if (n == 1 && strchr("exrbsho", kind))
		(void)!read(c, buf, 1);
	if (kind == 'x')
		return;
	if (kind == 'r')
		(void)setsockopt(c, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	if (kind == 'r')
		return;
	if (kind == 'o') {
		send(c, "!", 1, MSG_OOB | MSG_NOSIGNAL);
		(void)!read(c, buf, sizeof(buf));
	} else if (kind == 'b') {
		give(c, 8 << 20);
	} else if (kind == 's' || kind == 'h') {
		if (kind == 'h')
			shutdown(c, SHUT_WR);
		while ((n = read(c, buf, sizeof(buf))) > 0)
			count += n;
		snprintf(text, sizeof(text), "%ld", count);
		if (kind == 's')
			send(c, text, strlen(text), MSG_NOSIGNAL);
	} else {
		while ((n = read(c, buf, sizeof(buf))) > 0 && send(c, buf, (size_t)n, MSG_NOSIGNAL) == n)
			;
	}
}

static int serve(int p)
{
	int l = socket(AF_INET6, SOCK_STREAM, 0), u = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p)};

	signal(SIGCHLD, SIG_IGN);
	set(l, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || bind(u, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(l, 100) < 0)
		return 1;
	printf("serving\n");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[2] = {{.fd = l, .events = POLLIN}, {.fd = u, .events = POLLIN}};
		static char buf[65536];
		union addr from;
		socklen_t len = sizeof(from);
		ssize_t n;
		int c;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents && (n = recvfrom(u, buf, sizeof(buf), 0, &from.sa, &len)) >= 0)
			(void)!sendto(u, buf, (size_t)n, 0, &from.sa, len);
		c = fds[0].revents ? accept(l, NULL, NULL) : -1;
		if (c < 0)
			continue;
		if (fork() == 0) {
			close(l);
			close(u);
			serve_one(c);
			_exit(0);
		}
		close(c);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} sections[] = {
		{"blocking", blocking},
		{"arguments", arguments},
		{"non-blocking", non_blocking},
		{"refused", refused},
		{"unspec", unspec},
		{"fast-open", fast_open},
		{"waiting", waiting},
		{"options", calls_options},
		{"epoll", calls_epoll},
		{"data", calls_data},
		{"processes", calls_processes},
		{"shared", calls_shared},
		{"udp", calls_udp},
		{"loose", calls_loose},
	};

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(atoi(argv[2]));
	if (argc < 4)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	four = argv[1];
	six = argv[2];
	port = atoi(argv[3]);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (argc < 5 || !strstr(argv[4], sections[i].name) == (strcmp(argv[argc - 1], "not") == 0))
			sections[i].run();
	return 0;
}
