/* tests/shim/calls_udp_wait.c: calls_udp.c: who waits and is woken, what a buffer holds, descriptors in several hands. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls_udp.h"

static void *late_sender(void *arg)
{
	usleep(30000);
	to(*(int *)arg, "late", 4, "127.0.0.1", 5501);
	return NULL;
}

static void *late_shutdown(void *arg)
{
	usleep(30000);
	shutdown(*(int *)arg, SHUT_RD);
	return NULL;
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void *cancelled(void *arg)
{
	char c;

	recv(*(int *)arg, &c, 1, 0);
	return NULL;
}

void waiting(void)
{
	int a = bound4("127.0.0.1", 5501), b = udp4();
	struct timeval tv = {.tv_usec = 30000};
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval_ {
		long a[4];
	};
	pthread_t t;
	void *ret;
	fd_set set_;

	section("wait");
	pthread_create(&t, NULL, late_sender, &b);
	say("a blocking recv", recv(a, buf, 100, 0));
	pthread_join(t, NULL);
	pthread_create(&t, NULL, late_sender, &b);
	say("a blocking read", read(a, buf, 100));
	pthread_join(t, NULL);
	pthread_create(&t, NULL, late_sender, &b);
	say("a blocking peek", recv(a, buf, 100, MSG_PEEK));
	pthread_join(t, NULL);
	say("and take", get(a));
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("SO_RCVTIMEO", recv(a, buf, 100, 0));
	tv.tv_usec = 0;
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	sigaction(SIGALRM, &sa, NULL);
	ualarm(30000, 0);
	say("a signal", recv(a, buf, 100, 0));
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	ualarm(10000, 0);
	pthread_create(&t, NULL, late_sender, &b);
	say("a signal with SA_RESTART", recv(a, buf, 100, 0));
	pthread_join(t, NULL);
	pthread_create(&t, NULL, cancelled, &a);
	usleep(20000);
	pthread_cancel(t);
	pthread_join(t, &ret);
	say("pthread_cancel", ret == PTHREAD_CANCELED);
	nonblock(a);
	say("O_NONBLOCK", recv(a, buf, 100, 0));
	say("and read", read(a, buf, 100));
	FD_ZERO(&set_);
	FD_SET(a, &set_);
	tv.tv_usec = 10000;
	say("select", select(a + 1, &set_, NULL, NULL, &tv));
	to(b, "x", 1, "127.0.0.1", 5501);
	FD_SET(a, &set_);
	say("select", select(a + 1, &set_, NULL, NULL, &tv));
	get(a);
	close(a);
	close(b);
}

void ending(void)
{
	int a = bound4("127.0.0.1", 5501), b = udp4();
	pthread_t t;

	section("shutdown");
	say("unconnected", shutdown(b, SHUT_RDWR));
	say("a bad one", shutdown(b, 7));
	say("mask all the same", mask(b));
	say("sendto", to(b, "x", 1, "127.0.0.1", 5501));
	close(b);
	b = udp4();
	do_connect(b, "127.0.0.1", 5501);
	say("connected, SHUT_WR", shutdown(b, SHUT_WR));
	say("mask", mask(b));
	say("send", send(b, "x", 1, 0));
	say("still receives", (to(a, "y", 1, "127.0.0.1", port_of(b)), get(b)));
	say("SHUT_RD", shutdown(b, SHUT_RD));
	say("mask", mask(b));
	say("recv", recv(b, buf, 10, 0));
	say("recv without waiting", recv(b, buf, 10, MSG_DONTWAIT));
	say("what comes is kept", (to(a, "z", 1, "127.0.0.1", port_of(b)), get(b)));
	close(b);
	b = udp4();
	do_connect(b, "127.0.0.1", 5501);
	pthread_create(&t, NULL, late_shutdown, &b);
	say("a reader that waits is woken", recv(b, buf, 10, 0));
	pthread_join(t, NULL);
	close(a);
	close(b);
}

static int wait_ep(int ep)
{
	struct epoll_event e;
	int n = epoll_wait(ep, &e, 1, 0);

	return n <= 0 ? n : (int)e.events;
}

void epolls(void)
{
	int a = bound4("127.0.0.1", 5601), b = udp4(), lt = epoll_create1(0), et = epoll_create1(0),
	    once = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};

	section("epoll");
	do_connect(b, "127.0.0.1", 5601);
	epoll_ctl(lt, EPOLL_CTL_ADD, a, &e);
	e.events = EPOLLIN | EPOLLET;
	epoll_ctl(et, EPOLL_CTL_ADD, a, &e);
	e.events = EPOLLIN | EPOLLONESHOT;
	epoll_ctl(once, EPOLL_CTL_ADD, a, &e);
	say("level, nothing", wait_ep(lt));
	say("edge, nothing", wait_ep(et));
	for (int i = 0; i < 3; i++) {
		send(b, "12", 2, 0);
		say("level", wait_ep(lt));
		say("level again", wait_ep(lt));
		say("edge", wait_ep(et));
		say("edge again", wait_ep(et));
		say("once", wait_ep(once));
		say("once again", wait_ep(once));
		say("recv", get(a));
		say("level, empty", wait_ep(lt));
		say("edge, empty", wait_ep(et));
	}
	epoll_ctl(once, EPOLL_CTL_MOD, a, &e);
	say("once, armed", wait_ep(once));
	send(b, "1", 1, 0);
	send(b, "2", 1, 0);
	say("two: edge", wait_ep(et));
	say("once", wait_ep(once));
	say("take one", get(a));
	say("level", wait_ep(lt));
	epoll_ctl(once, EPOLL_CTL_MOD, a, &e);
	say("once, armed with one there", wait_ep(once));
	say("take the other", get(a));
	say("level", wait_ep(lt));
	for (int i = 0; i < 200; i++) {
		send(b, "x", 1, 0);
		if (wait_ep(et) != EPOLLIN || get(a) != 1 || wait_ep(et) != 0 || wait_ep(lt) != 0)
			say("out of step", i);
	}
	close(lt);
	close(et);
	close(once);
	close(a);
	close(b);
}

void buffers(void)
{
	static const int sizes[] = {1, 64, 200, 1000, 1400, 4000, 8192, 20000, 65507};
	union {
		struct cmsghdr align;
		char room[64];
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};

	section("buffer");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int a = bound4("127.0.0.1", 5701), b = udp4(), n = 0;
		char what[64];

		do_connect(b, "127.0.0.1", 5701);
		for (int k = 0; k < 500; k++)
			if (send(b, buf, (size_t)sizes[i], 0) < 0)
				say("send", -1);
		while (get(a) >= 0)
			n++;
		snprintf(what, sizeof(what), "default, %d octets", sizes[i]);
		say(what, n);
		close(a);
		close(b);
	}
	int a = bound4("127.0.0.1", 5701), b = udp4(), n = 0;

	do_connect(b, "127.0.0.1", 5701);
	say("SO_RCVBUF", opt(a, SOL_SOCKET, SO_RCVBUF));
	say("SO_SNDBUF", opt(a, SOL_SOCKET, SO_SNDBUF));
	say("set SO_RCVBUF", set(a, SOL_SOCKET, SO_RCVBUF, 5000));
	say("SO_RCVBUF", opt(a, SOL_SOCKET, SO_RCVBUF));
	say("set SO_RXQ_OVFL", set(a, SOL_SOCKET, SO_RXQ_OVFL, 1));
	for (int k = 0; k < 50; k++)
		send(b, buf, 100, 0);
	while (get(a) >= 0)
		n++;
	say("fit", n);
	send(b, "x", 1, 0);
	say("recvmsg", recvmsg(a, &m, 0));
	say("control", (long)m.msg_controllen);
	say("drops", m.msg_controllen ? *(int *)(void *)CMSG_DATA(&control.align) : -1);
	say("the least", set(a, SOL_SOCKET, SO_RCVBUF, 1));
	say("SO_RCVBUF", opt(a, SOL_SOCKET, SO_RCVBUF));
	say("one large always fits", (send(b, buf, 60000, 0), get(a)));
	close(a);
	close(b);
}

static void pass(int over, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	struct iovec iov = {(char[]){"f"}, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	memset(&c, 0, sizeof(c));
	c.align = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	say("pass", sendmsg(over, &m, 0));
}

static int passed(int over)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	char x;
	struct iovec iov = {&x, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd = -1;

	if (recvmsg(over, &m, 0) == 1)
		memcpy(&fd, CMSG_DATA(&c.align), sizeof(fd));
	return fd;
}

void shared(const char *self)
{
	int a = bound4("127.0.0.1", 6301), b = udp4(), c, p[2], st;
	pid_t pid;

	section("shared");
	do_connect(b, "127.0.0.1", 6301);
	c = dup(a);
	send(b, "dup", 3, 0);
	say("mask of the copy", mask(c));
	say("read through the copy", read(c, buf, 100));
	say("mask of the first", mask(a));
	close(c);
	c = fcntl(a, F_DUPFD_CLOEXEC, 100);
	send(b, "dupfd", 5, 0);
	say("read through F_DUPFD", read(c, buf, 100));
	say("dup2", dup2(a, 150) == 150);
	send(b, "dup2", 4, 0);
	say("read through dup2", read(150, buf, 100));
	close(150);
	close(c);
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	pass(p[0], a);
	c = passed(p[1]);
	send(b, "passed", 6, 0);
	say("read through the passed one", read(c, buf, 100));
	names("passed", c);
	close(c);
	pid = fork();
	if (pid == 0)
		_exit(read(a, buf, 100) == 4 && write(b, "child", 5) == 5 ? 0 : 1);
	send(b, "fork", 4, 0);
	waitpid(pid, &st, 0);
	say("read in a child", st);
	say("what the child wrote", get(a));
	pid = fork();
	if (pid == 0) {
		dup2(a, 200); /* without close-on-exec */
		execl("/proc/self/exe", self, "--reader", (char *)NULL);
		_exit(9);
	}
	send(b, "exec", 4, 0);
	waitpid(pid, &st, 0);
	say("read after exec", st);
	/* closed here, and still held by a child */
	pid = fork();
	if (pid == 0) {
		usleep(100000);
		_exit(get(a) == 4 ? 0 : 1);
	}
	close(a);
	say("the other copy keeps it", send(b, "kept", 4, 0));
	waitpid(pid, &st, 0);
	say("and receives", st);
	say("nobody has it any more", send(b, "gone", 4, 0));
	say("refused", recv(b, buf, 10, MSG_DONTWAIT));
	close(b);
	close(p[0]);
	close(p[1]);
}

static void *reader(void *arg)
{
	char c[10];

	return (void *)(intptr_t)recv(*(int *)arg, c, sizeof(c), 0);
}

void threads(void)
{
	int a = bound4("127.0.0.1", 6401), b = udp4();
	pthread_t t[4];
	void *got;
	long sum = 0;

	section("threads");
	do_connect(b, "127.0.0.1", 6401);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, reader, &a);
	usleep(30000);
	for (int i = 0; i < 4; i++)
		send(b, "123", 3, 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &got);
		sum += (intptr_t)got;
	}
	say("four readers, four datagrams at once", sum);
	say("nothing is left", get(a));
	say("mask", mask(a));
	close(a);
	close(b);
}
