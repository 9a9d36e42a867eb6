/* tests/outside/calls_processes.c: more sections of calls.c: threads, children, sockets that several processes have. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

static long wait_for(pid_t child)
{
	int status = -1;

	fflush(stdout);
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int pass(int fd)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c;
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -1;
	c.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	if (sendmsg(pair[0], &m, 0) != 1 || recvmsg(pair[1], &m, 0) != 1)
		return -1;
	memcpy(&ret, CMSG_DATA(&c.h), sizeof(ret));
	close(pair[0]);
	close(pair[1]);
	return ret;
}

static void *connect_in_thread(void *arg)
{
	long ok = 0;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		int fd = tcp(i % 2 ? four : six, SOCK_CLOEXEC);
		char c = 't';

		ok += do_connect(fd, i % 2 ? four : six, port) == 0 && send(fd, &c, 1, 0) == 1 &&
		      recv(fd, &c, 1, 0) == 1 && c == 't';
		close(fd);
	}
	return (void *)ok;
}

static void *connect_it(void *arg)
{
	return (void *)(long)do_connect(*(int *)arg, four, port);
}

void calls_processes(void)
{
	int fd = tcp(four, 0), e = epoll_create1(0), other;
	pthread_t t[16];
	pid_t child;
	void *r;
	long ok = 0;

	section("threads");
	for (int i = 0; i < 16; i++)
		pthread_create(&t[i], NULL, connect_in_thread, NULL);
	for (int i = 0; i < 16; i++) {
		pthread_join(t[i], &r);
		ok += (long)r;
	}
	say_num("of 160 connections", ok);
	pthread_create(&t[0], NULL, connect_it, &fd);
	pthread_join(t[0], &r);
	say_num("connected by a thread", (long)r);
	say_echo("echo", fd, "thread");
	section("passing");
	other = pass(fd);
	say_echo("a copy by a message", other, "passed");
	close(fd);
	say_echo("the only one", other, "passed");
	names("passed", other);
	close(other);
	fd = tcp(four, 0);
	other = pass(fd);
	say("connect the copy", do_connect(other, four, port));
	say_echo("the first", fd, "message");
	names("the first", fd);
	close(other);
	close(fd);
	section("children");
	fd = tcp(four, 0);
	say("watched", watch(e, fd, EPOLLIN));
	say("connect", do_connect(fd, four, port));
	child = fork();
	if (child == 0) {
		char c = 'c';

		_exit(send(fd, &c, 1, 0) == 1 && recv(fd, &c, 1, MSG_PEEK) == 1 && c == 'c' ? 7 : 8);
	}
	say_num("a child uses it", wait_for(child));
	say_events("the parent's epoll", e, 5000);
	close(fd);
	fd = tcp(four, 0);
	child = fork();
	if (child == 0) {
		if (do_connect(fd, four, port) < 0)
			_exit(9);
		_exit(send(fd, "p", 1, 0) == 1 && ready(fd, POLLIN, 5000) ? 7 : 8);
	}
	say_num("a child connects and uses it", wait_for(child));
	close(fd);
	fd = opened('t');
	child = fork();
	if (child == 0) {
		char text[200];

		snprintf(text, sizeof(text), "import socket; s = socket.socket(fileno=%d); s.send(b'a'); s.recv(1)",
			 fd);
		fcntl(fd, F_SETFD, 0);
		(void)recv(fd, text + 199, 1, 0);
		execlp("python3", "python3", "-c", text, (char *)NULL);
		_exit(127);
	}
	say_num("another program uses it", wait_for(child));
	say_echo("and we then", fd, "tail");
	close(fd);
	close(e);
}

/* --- a socket that two processes have, before it is connected --- */

static int fd, hand[2]; /* the socket, and a pair between the two */

/* In a child: told the result, the parent goes on; the child is there until `hand` is closed. */
static pid_t child_connects(int kind, int p, bool by_message)
{
	pid_t child;
	char c = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, hand) < 0)
		return -1;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		int mine = by_message ? pass(fd) : fd, r = do_connect(mine, four, p), e = r < 0 ? errno : 0;
		char k = (char)kind;

		close(hand[0]);
		if (r == 0 && kind)
			(void)!send(mine, &k, 1, 0);
		(void)!write(hand[1], &e, sizeof(e));
		(void)!read(hand[1], &c, 1);
		_exit(e);
	}
	close(hand[1]);
	return child;
}

static void say_childs(const char *what)
{
	int e = -1;

	if (read(hand[0], &e, sizeof(e)) != sizeof(e))
		e = -1;
	say_text(what, e ? strerrorname_np(e) : "0");
}

static void child_ends(pid_t child)
{
	close(hand[0]);
	(void)wait_for(child);
}

static void shared_blocking(void)
{
	for (int by_message = 0; by_message < 2; by_message++) {
		pid_t child;

		fd = tcp(four, SOCK_CLOEXEC);
		child = child_connects('e', port, by_message);
		say_childs("a child connects");
		names("the parent's", fd);
		say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
		say_state("state", fd);
		say_ready("poll", fd, POLLIN | POLLOUT, 1000);
		say("connect", do_connect(fd, four, port));
		say_echo("the parent's echo", fd, "parent");
		child_ends(child);
		say_echo("and alone", fd, "alone");
		say("shut", shutdown(fd, SHUT_WR));
		say_ready("the end", fd, POLLIN | POLLRDHUP, 5000);
		say_count("recv", recv(fd, &child, 1, 0));
		close(fd);
	}
	fd = tcp(four, SOCK_CLOEXEC);
	{
		int go[2];
		pid_t child;
		char c;

		say("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, go));
		fflush(stdout);
		child = fork();
		if (child == 0) {
			close(go[0]);
			(void)!read(go[1], &c, 1);
			_exit(send(fd, "q", 1, 0) == 1 && recv(fd, &c, 1, 0) == 1 && c == 'q' ? 7 : 8);
		}
		close(go[1]);
		say("the parent connects", do_connect(fd, four, port));
		say_count("tells the child", write(go[0], "x", 1));
		say_num("the child's echo", wait_for(child));
		say_echo("the parent's", fd, "parent");
		close(go[0]);
		close(fd);
	}
}

static void shared_events(void)
{
	int e = epoll_create1(EPOLL_CLOEXEC);
	pid_t child;

	fd = tcp(four, SOCK_NONBLOCK);
	say("watched", watch(e, fd, EPOLLIN | EPOLLOUT | EPOLLET));
	(void)epoll_wait(e, &(struct epoll_event){0}, 1, 0);
	child = child_connects(0, port, false);
	say_childs("a child connects, non-blocking");
	say_events("the parent's epoll", e, 5000);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	say_echo("echo", fd, "parent");
	child_ends(child);
	close(fd);
	close(e);
	fd = tcp(four, SOCK_NONBLOCK);
	child = child_connects(0, port + 1, false);
	say_childs("to nobody");
	say_num("ready", ready(fd, POLLIN | POLLOUT, 5000) > 0);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	say_option("SO_ERROR then", fd, SOL_SOCKET, SO_ERROR);
	say("connect then", do_connect(fd, four, port));
	say("again", do_connect(fd, four, port));
	say_ready("poll", fd, POLLOUT, 5000);
	say_echo("echo", fd, "parent");
	child_ends(child);
	close(fd);
	fd = tcp(four, SOCK_CLOEXEC);
	child = child_connects(0, port + 1, false);
	say_childs("to nobody, waiting");
	say("connect", do_connect(fd, four, port + 1));
	child_ends(child);
	say("connect", do_connect(fd, four, port));
	say_echo("echo", fd, "parent");
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	{
		int go[2] = {-1, -1};

		child = fork();
		if (child == 0) {
			pause();
			_exit(0);
		}
		say("to a hole", do_connect(fd, "203.0.113.1", 80));
		say_ready("poll", fd, POLLIN | POLLOUT, 100);
		say("recv", recv(fd, go, 1, 0));
		kill(child, SIGKILL);
		(void)wait_for(child);
		close(fd);
	}
}

static void shared_data(void)
{
	static const char kinds[] = {'b', 's', 'h', 'x', 'b'};
	char buf[16];

	for (size_t i = 0; i < sizeof(kinds); i++) {
		pid_t child;

		fd = tcp(four, SOCK_CLOEXEC);
		child = child_connects(kinds[i], port, i == 1);
		snprintf(buf, sizeof(buf), "kind %c", kinds[i]);
		say_childs(buf);
		child_ends(child);
		memset(buf, 0, sizeof(buf));
		if (kinds[i] == 'b') {
			if (i) /* a slow reader: all buffers are full meanwhile */
				usleep(200000);
			say_count("8 MiB", drain(fd));
		} else if (kinds[i] == 's') {
			say_count("pour", pour(fd, 5000000));
			say("shut", shutdown(fd, SHUT_WR));
			say_count("all there", recv(fd, buf, 7, MSG_WAITALL));
			say_text("count", buf);
		} else if (kinds[i] == 'h') {
			say_count("its end", recv(fd, buf, 1, 0));
			say_count("pour against an end", pour(fd, 100000));
		} else {
			say_ready("closed", fd, POLLIN | POLLRDHUP, 5000);
			say_count("recv", recv(fd, buf, 1, 0));
		}
		close(fd);
	}
	{
		pid_t child;

		fd = tcp(four, SOCK_CLOEXEC);
		child = child_connects('r', port, false);
		say_childs("reset");
		child_ends(child);
		say_num("ready", ready(fd, POLLIN, 5000) > 0);
		say_count("recv", recv(fd, buf, 1, 0));
		say_count("recv then", recv(fd, buf, 1, 0));
		say("connect", do_connect(fd, four, port));
		close(fd);
	}
}

void calls_shared(void)
{
	section("shared");
	shared_blocking();
	section("shared-events");
	shared_events();
	section("shared-data");
	shared_data();
}
