/* tests/shim/calls_self.c: calls.c: a socket that is connected to itself. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

/* Bound to one address and port, connected to another address of the same port. */
static int to_itself(const char *at, const char *to, int port)
{
	int c = strchr(at, ':') ? tcp6() : tcp4();

	set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	if (do_bind(c, at, port) < 0)
		say("bind", -1);
	say("connect to oneself", do_connect(c, to, port));
	names(at, c);
	return c;
}

static int wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 5000) == 1 && p.revents & events;
}

static unsigned char pattern(long at)
{
	return (unsigned char)(at * 7 + (at >> 12));
}

/* Octets from to to of the pattern, as far as they are there; wait: until they are. Return: how far it came, below 0
 * where they are not the pattern's. */
static long read_pattern(int fd, long from, long to, bool wait)
{
	static unsigned char buf[65536];
	long at = from;

	while (at < to && (!wait || wait_for(fd, POLLIN))) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pattern(at + i))
				return -1 - at - i;
		at += n;
	}
	return at;
}

/* The same, written; wait_ms: for room. */
static long write_pattern(int fd, long from, long to, int wait_ms)
{
	static unsigned char buf[65536];
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	long at = from;

	while (at < to) {
		size_t len = to - at < (long)sizeof(buf) ? (size_t)(to - at) : sizeof(buf);

		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(at + (long)i);
		ssize_t n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			at += n;
		else if (errno != EAGAIN || poll(&p, 1, wait_ms) != 1)
			break;
	}
	return at;
}

static void self_names(void)
{
	int c, b;
	char buf[16];

	section("self-names");
	c = to_itself("127.0.0.1", "127.0.0.1", 8170);
	say("once more", do_connect(c, "127.0.0.1", 8170));
	say("bind", do_bind(c, "127.0.0.1", 8171));
	say("listen", listen(c, 1));
	say("accept", accept(c, NULL, NULL));
	say_option("SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	b = tcp4();
	say("the port is held", do_bind(b, "127.0.0.1", 8170));
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	say("or shared", do_bind(b, "0.0.0.0", 8170));
	say("its four are taken", do_connect(b, "127.0.0.1", 8170));
	close(b);
	b = tcp4();
	say("nobody else is there", do_connect(b, "127.0.0.1", 8170));
	close(b);
	close(c);
	close(to_itself("127.0.0.2", "127.0.0.2", 8171));
	c = to_itself("0.0.0.0", "127.0.0.1", 8172);
	b = tcp4();
	say("another address is free", do_bind(b, "127.0.0.2", 8172));
	close(b);
	close(c);
	close(to_itself("0.0.0.0", "0.0.0.0", 8173));
	close(to_itself("::1", "::1", 8174));
	close(to_itself("::", "::1", 8175));
	close(to_itself("::", "::ffff:127.0.0.1", 8176));
	close(to_itself("::ffff:127.0.0.1", "::ffff:127.0.0.1", 8177));
	close(to_itself("::ffff:0.0.0.0", "::ffff:127.0.0.1", 8178));
	close(to_itself("127.0.0.1", "127.0.0.2", 8179));
	/* the kernel finds it before a listener of its port */
	b = tcp4();
	c = tcp4();
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	do_bind(b, "127.0.0.1", 8170);
	do_bind(c, "127.0.0.1", 8170);
	say("beside a listener", listen(b, 1));
	nonblock(b);
	say("connect", do_connect(c, "127.0.0.1", 8170));
	say("the listener has nobody", accept(b, NULL, NULL));
	say_num("write", write(c, "ab", 2));
	say_num("read", recv(c, buf, sizeof(buf), 0));
	close(b);
	close(c);
}

static void self_data(void)
{
	int c, n = 0, d, status;
	char buf[64] = "";
	pid_t pid;

	section("self-data");
	c = to_itself("127.0.0.1", "127.0.0.1", 8180);
	say_num("nothing is there", wait_for(c, POLLOUT) && recv(c, buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	say_num("write", write(c, "hello", 5));
	say_num("peek", recv(c, buf, sizeof(buf), MSG_PEEK));
	say_num("read", recv(c, buf, sizeof(buf), 0));
	say_text("what", buf);
	for (int i = 0; i < 50; i++)
		n += write(c, "0123456789", 10) == 10 && recv(c, buf, 10, MSG_WAITALL) == 10;
	say_num("fifty times", n);
	d = dup(c);
	pid = fork();
	if (pid == 0)
		_exit(write(d, "child", 5) == 5 ? 0 : 1);
	waitpid(pid, &status, 0);
	close(d);
	memset(buf, 0, sizeof(buf));
	say_num("what a child wrote", recv(c, buf, 5, MSG_WAITALL));
	say_text("what", buf);
	/* half of it ends */
	say_num("write", write(c, "abc", 3));
	say("shut writing", shutdown(c, SHUT_WR));
	memset(buf, 0, sizeof(buf));
	say_num("read the rest", recv(c, buf, sizeof(buf), MSG_WAITALL));
	say_text("what", buf);
	say_num("read the end", read(c, buf, sizeof(buf)));
	say_num("and again", read(c, buf, sizeof(buf)));
	say("write", (int)send(c, "x", 1, MSG_NOSIGNAL));
	say_num("poll", wait_for(c, POLLHUP));
	names("both ended", c);
	say("shut writing again", shutdown(c, SHUT_WR));
	say_option("SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	close(c);
	c = to_itself("127.0.0.1", "127.0.0.1", 8181);
	say("shut both", shutdown(c, SHUT_RDWR));
	say_num("read", read(c, buf, sizeof(buf)));
	close(c);
}

static void self_bulk(void)
{
	const long half = 1 << 19, most = 1 << 28;
	struct pollfd room = {.events = POLLOUT};
	long in = 0, out = 0;
	int c;

	section("self-bulk");
	c = to_itself("127.0.0.1", "127.0.0.1", 8182);
	say_num("half a megabyte before any is read", write_pattern(c, 0, half, 5000));
	say_num("and back", read_pattern(c, 0, half, true));
	close(c);
	c = to_itself("127.0.0.1", "127.0.0.1", 8183);
	while (out < 8 * half) { /* four megabytes in turns */
		in = write_pattern(c, in, 8 * half, 0);
		if (!wait_for(c, POLLIN))
			break;
		out = read_pattern(c, out, in, in == 8 * half);
		if (out < 0)
			break;
	}
	say_num("four megabytes in turns", out);
	close(c);
	/* who never reads is held up; then every octet is there, in order */
	c = to_itself("::1", "::1", 8184);
	in = write_pattern(c, 0, most, 1000);
	say_num("held up", in > half && in < most);
	room.fd = c;
	say_num("no room", poll(&room, 1, 0));
	say_num("all of it came back", read_pattern(c, 0, in, true) == in);
	say_num("room again", wait_for(c, POLLOUT));
	close(c);
	c = to_itself("127.0.0.1", "127.0.0.1", 8185);
	say_num("half a megabyte and its end", write_pattern(c, 0, half, 5000));
	say("shut writing", shutdown(c, SHUT_WR));
	say_num("all of it", read_pattern(c, 0, 2 * half, true));
	say_num("the end", read(c, &in, 1));
	close(c);
}

static void self_events(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	int c = tcp4(), ep = epoll_create1(EPOLL_CLOEXEC), n = 0;
	char buf[8];

	section("self-events");
	nonblock(c);
	do_bind(c, "127.0.0.1", 8190);
	epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
	epoll_wait(ep, &e, 1, 0);
	say("non-blocking", do_connect(c, "127.0.0.1", 8190));
	say_num("epoll wakes", epoll_wait(ep, &e, 1, 1000));
	say_num("with OUT", (e.events & EPOLLOUT) != 0);
	say_num("without ERR and HUP", (e.events & (EPOLLERR | EPOLLHUP)) == 0);
	say_option("SO_ERROR", c, SOL_SOCKET, SO_ERROR);
	say("connect, second", do_connect(c, "127.0.0.1", 8190));
	say("connect, third", do_connect(c, "127.0.0.1", 8190));
	names("connected", c);
	say("read, nothing there", (int)read(c, buf, 1));
	for (int i = 0; i < 20; i++) {
		if (write(c, "x", 1) != 1)
			break;
		do
			e.events = 0;
		while (epoll_wait(ep, &e, 1, 2000) == 1 && !(e.events & EPOLLIN));
		n += e.events & EPOLLIN && read(c, buf, sizeof(buf)) == 1;
	}
	say_num("twenty edges", n);
	shutdown(c, SHUT_WR);
	do
		e.events = 0;
	while (epoll_wait(ep, &e, 1, 2000) == 1 && !(e.events & EPOLLHUP));
	say_num("its end: IN, RDHUP, HUP", (e.events & EPOLLIN) != 0 && (e.events & EPOLLHUP) != 0);
	close(c);
	close(ep);
}

static void self_ends(void)
{
	union addr un = {.sa = {.sa_family = AF_UNSPEC}};
	int c, b, l, status, fds[2];
	char octet;
	pid_t pid;

	section("self-ends");
	c = to_itself("127.0.0.1", "127.0.0.1", 8191);
	say("AF_UNSPEC", connect(c, &un.sa, sizeof(un.in)));
	names("undone", c);
	l = listener4("127.0.0.1", 8192);
	say("connects to another", do_connect(c, "127.0.0.1", 8192));
	names("connected", c);
	close(c);
	close(l);
	/* killed, with octets on their way */
	if (pipe(fds) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		c = tcp4();
		set(c, SOL_SOCKET, SO_REUSEADDR, 1);
		do_bind(c, "127.0.0.1", 8193);
		do_connect(c, "127.0.0.1", 8193);
		octet = write_pattern(c, 0, 100000, 5000) == 100000;
		(void)!write(fds[1], &octet, 1);
		pause();
		_exit(0);
	}
	say_num("a child is connected to itself", read(fds[0], &octet, 1) == 1 && octet);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	b = tcp4();
	set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	say("its port is free", do_bind(b, "127.0.0.1", 8193));
	say("for a listener", listen(b, 1));
	close(b);
	close(fds[0]);
	close(fds[1]);
}

void self_connect(void)
{
	self_names();
	self_data();
	self_bulk();
	self_events();
	self_ends();
}
