/* tests/shim/under_wait.c: under.c: calls that wait, and that look a little before they do (src/shim/spin.c, wait.c). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "under.h"

/* wait.c looks before it sleeps: what poll and epoll say must not hang on when something comes. */
static void *answer_later(void *arg)
{
	const int *fd = arg;

	for (int i = 0; i < 60; i++) {
		struct timespec pause = {.tv_nsec = (i % 6) * 20000};

		nanosleep(&pause, NULL);
		if (write(*fd, "x", 1) != 1)
			break;
	}
	return NULL;
}

static void waiting_for_events(void)
{
	int l = listener("127.0.0.1", 4301, 0), c = dial("127.0.0.1", 4301), a = accept(l, NULL, NULL);
	int level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(EPOLL_CLOEXEC), got = 0;
	struct epoll_event in = {.events = EPOLLIN}, on_edge = {.events = EPOLLIN | EPOLLET}, e;
	struct pollfd p = {.fd = c, .events = POLLIN};
	pthread_t t;
	char b[64];

	WANT(l >= 0 && c >= 0 && a >= 0);
	WANT(epoll_ctl(level, EPOLL_CTL_ADD, c, &in) == 0 && epoll_ctl(edge, EPOLL_CTL_ADD, c, &on_edge) == 0);
	for (int i = 0; i < 3; i++) {
		errno = 0;
		WANT(poll(&p, 1, 5) == 0 && epoll_wait(level, &e, 1, 5) == 0 && errno == 0);
		WANT(epoll_pwait(edge, &e, 1, 5, NULL) == 0 && poll(NULL, 0, 1) == 0);
	}
	WANT(epoll_wait(-1, &e, 1, 5) == -1 && errno == EBADF);
	WANT(epoll_wait(level, &e, 0, 5) == -1 && errno == EINVAL);
	WANT(pthread_create(&t, NULL, answer_later, &a) == 0);
	errno = 0;
	for (int i = 0; got < 60; i++) {
		ssize_t n;

		switch (i % 3) { /* whoever waits on the edge has emptied the stream before */
		case 0:
			WANT(epoll_wait(edge, &e, 1, 5000) == 1 && e.events & EPOLLIN);
			break;
		case 1:
			WANT(poll(&p, 1, 5000) == 1 && p.revents & POLLIN);
			break;
		default:
			WANT(epoll_wait(level, &e, 1, 5000) == 1 && e.events & EPOLLIN);
		}
		while ((n = recv(c, b, sizeof(b), MSG_DONTWAIT)) > 0)
			got += (int)n;
		if (i % 3 != 0) /* takes an edge that was seen otherwise */
			WANT(epoll_wait(edge, &e, 1, 0) >= 0);
		while ((n = recv(c, b, sizeof(b), MSG_DONTWAIT)) > 0)
			got += (int)n;
	}
	WANT(got == 60);
	pthread_join(t, NULL);
	close(level);
	close(edge);
	close(a);
	close(c);
	close(l);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A signal that comes while poll, epoll_wait or recv looks must end the call, as it ends a sleep: else a server
 * that was told to stop waits for its next client. A few may come before the call is entered. */
static void signals_while_looking(void)
{
	struct sigaction sa = {.sa_handler = on_alarm}, old;
	int l = listener("127.0.0.1", 4302, 0), c = dial("127.0.0.1", 4302), a = accept(l, NULL, NULL), lost = 0;
	int level = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event in = {.events = EPOLLIN}, e;
	struct pollfd p = {.fd = c, .events = POLLIN};
	struct timeval limit = {.tv_usec = 100000};
	char b[4];

	WANT(c >= 0 && a >= 0 && epoll_ctl(level, EPOLL_CTL_ADD, c, &in) == 0);
	WANT(setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	WANT(sigaction(SIGALRM, &sa, &old) == 0);
	for (int i = 0; i < 90; i++) {
		struct itimerval soon = {.it_value.tv_usec = 15 + i % 10};
		int n;

		WANT(write(a, "x", 1) == 1);
		for (int k = 0; k < 6; k++) /* these are answered at once: the next one looks */
			WANT(poll(&p, 1, 100) == 1 && epoll_wait(level, &e, 1, 100) == 1 &&
			     recv(c, b, 1, MSG_PEEK) == 1);
		WANT(recv(c, b, 1, 0) == 1);
		setitimer(ITIMER_REAL, &soon, NULL);
		n = i % 3 == 0 ? poll(&p, 1, 100) : i % 3 == 1 ? epoll_wait(level, &e, 1, 100) : (int)recv(c, b, 1, 0);
		lost += !(n < 0 && errno == EINTR);
	}
	sigaction(SIGALRM, &old, NULL);
	if (lost > 30)
		printf("    %d of 90 signals ended no call\n", lost);
	WANT(lost <= 30);
	close(level);
	close(a);
	close(c);
	close(l);
}

static void *answer_late(void *arg)
{
	const int *fd = arg;

	for (int i = 0; i < 40; i++) {
		struct timespec pause = {.tv_nsec = (i % 8) * 15000}; /* before, while and after somebody looks */

		nanosleep(&pause, NULL);
		if (send(*fd, "x", 1, 0) != 1)
			break;
	}
	shutdown(*fd, SHUT_WR);
	return NULL;
}

/* spin.c looks before it sleeps: what a receive says must not hang on when the octet comes. */
static void waiting_receives(void)
{
	struct timeval limit = {.tv_usec = 20000}, none = {0};
	int l = listener("127.0.0.1", 4300, 0), c = dial("127.0.0.1", 4300), a = accept(l, NULL, NULL), got = 0,
	    pipes[2];
	struct pollfd quiet = {.fd = c, .events = POLLIN};
	pthread_t t;
	char b[8];

	WANT(l >= 0 && c >= 0 && a >= 0);
	for (int i = 0; i < 3; i++) {
		setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		WANT(recv(c, b, sizeof(b), 0) == -1 && errno == EAGAIN);
	}
	WANT(recv(c, b, sizeof(b), MSG_DONTWAIT) == -1 && errno == EAGAIN);
	fcntl(c, F_SETFL, O_NONBLOCK);
	WANT(recv(c, b, sizeof(b), 0) == -1 && errno == EAGAIN);
	fcntl(c, F_SETFL, 0);
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	WANT(pthread_create(&t, NULL, answer_late, &a) == 0);
	errno = 0;
	while (got < 40) {
		ssize_t n;

		WANT(recv(c, b, sizeof(b), MSG_PEEK) >= 1);
		n = got % 2 ? recvfrom(c, b, sizeof(b), 0, NULL, NULL) : read(c, b, sizeof(b));
		WANT(n >= 1);
		got += (int)n;
	}
	WANT(errno == 0);
	WANT(recv(c, b, sizeof(b), 0) == 0);
	WANT(read(c, b, sizeof(b)) == 0);
	pthread_join(t, NULL);
	WANT(poll(&quiet, 1, 0) == 1);
	close(a);
	/* the number is something else's now */
	WANT(pipe2(pipes, O_CLOEXEC) == 0 && write(pipes[1], "yz", 2) == 2 && dup2(pipes[0], c) == c);
	WANT(read(c, b, 0) == 0 && read(c, b, 1) == 1 && b[0] == 'y' && read(c, b, 8) == 1 && b[0] == 'z');
	WANT(close(pipes[1]) == 0 && read(c, b, 1) == 0);
	close(pipes[0]);
	close(c);
	close(l);
}

/* More may be unread than AF_UNIX gives by default: a program that writes before it reads must not hang. */
static void much_unread(void)
{
	static char block[65536];
	int l = listener("127.0.0.1", 7800, 0), c = dial("127.0.0.1", 7800), s = accept(l, NULL, NULL);
	size_t up = 0, down = 0;
	ssize_t n;

	WANT(c >= 0 && s >= 0);
	fcntl(c, F_SETFL, O_NONBLOCK);
	fcntl(s, F_SETFL, O_NONBLOCK);
	while ((n = write(c, block, sizeof(block))) > 0)
		up += (size_t)n;
	while ((n = write(s, block, sizeof(block))) > 0)
		down += (size_t)n;
	WANT(up >= 380000 && down >= 380000);
	close(c);
	close(s);
	close(l);
}

/* Threads that wait in our calls, on sockets of ours and on others, end when they are cancelled. */
static void *wait_in(void *arg)
{
	const int *what = arg;
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	char octet;
	struct iovec iov = {&octet, 1};
	struct msghdr m = {.msg_name = &un, .msg_namelen = sizeof(un), .msg_iov = &iov, .msg_iovlen = 1};

	switch (what[0]) {
	case 0:
		accept(what[1], NULL, NULL);
		break;
	case 1:
		recvfrom(what[1], &octet, 1, 0, (struct sockaddr *)&un, &len);
		break;
	default:
		recvmsg(what[1], &m, 0);
	}
	return NULL;
}

static void waiting_calls_are_cancelled(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX}; /* bound to a name of the kernel's choice */
	int unix_dgram = socket(AF_UNIX, SOCK_DGRAM, 0), l = listener("127.0.0.1", 4900, 0);
	int on[][2] = {{0, l}, {1, unix_dgram}, {2, unix_dgram}};

	WANT(l >= 0 && bind(unix_dgram, (struct sockaddr *)&un, sizeof(un.sun_family)) == 0);
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
		pthread_t th;
		void *r = NULL;

		WANT(pthread_create(&th, NULL, wait_in, on[i]) == 0);
		usleep(i == 0 ? 0 : 20000); /* before it waits, and while */
		WANT(pthread_cancel(th) == 0);
		pthread_join(th, &r);
		WANT(r == PTHREAD_CANCELED);
	}
	close(unix_dgram);
	close(l);
}

/* As natively: what is left of the limit is written back, when something came. */
static void time_left_of_recvmmsg(void)
{
	int l = listener("127.0.0.1", 7410, 0), c = dial("127.0.0.1", 7410), s = accept(l, NULL, NULL);
	struct timespec limit = {.tv_sec = 10};
	struct iovec iov = {(char[]){"x"}, 1};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	WANT(s >= 0 && send(c, "ab", 2, 0) == 2);
	WANT(recvmmsg(s, &m, 1, 0, &limit) == 1 && m.msg_len == 1);
	WANT(limit.tv_sec < 10 && (limit.tv_sec || limit.tv_nsec));
	WANT(recv(s, iov.iov_base, 1, 0) == 1);
	limit = (struct timespec){.tv_sec = 10};
	WANT(recvmmsg(s, &m, 1, MSG_DONTWAIT, &limit) == -1 && limit.tv_sec == 10);
	close(c);
	close(s);
	close(l);
}

/* A socket that is connected anew is another one underneath: who has it registered, or a copy of it, follows. */
static void registered_and_connected_anew(void)
{
	int l = listener("127.0.0.1", 7411, 0), c = dial("127.0.0.1", 7411), s = accept(l, NULL, NULL), copy = dup(c);
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = UINT64_C(0xfedcba9876543210)};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a = at("127.0.0.1", 7411);
	int epoll = epoll_create1(0);
	char octet;

	WANT(s >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, c, &e) == 0);
	WANT(connect(c, &none, sizeof(none)) == 0);
	close(s);
	WANT(connect(copy, (struct sockaddr *)&a, sizeof(a)) == 0);
	s = accept(l, NULL, NULL);
	while (epoll_wait(epoll, &e, 1, 0) == 1)
		;
	memset(&e, 0, sizeof(e));
	WANT(s >= 0 && write(s, "z", 1) == 1);
	WANT(epoll_wait(epoll, &e, 1, 5000) == 1 && e.events == EPOLLIN && e.data.u64 == UINT64_C(0xfedcba9876543210));
	WANT(read(c, &octet, 1) == 1 && octet == 'z');
	WANT(epoll_ctl(epoll, EPOLL_CTL_DEL, c, NULL) == 0);
	close(epoll);
	close(copy);
	close(c);
	close(s);
	close(l);
}

const struct check under_wait[] = {
	{"hundreds of kilobytes unread, both ways", much_unread},
	{"a receive that waits, however long", waiting_receives},
	{"what is left of recvmmsg's time limit", time_left_of_recvmmsg},
	{"poll and epoll that wait, level and edge", waiting_for_events},
	{"registered, and connected anew", registered_and_connected_anew},
	{"a signal ends a call that looks before it sleeps", signals_while_looking},
	{"calls that wait can be cancelled", waiting_calls_are_cancelled},
};
const size_t n_under_wait = sizeof(under_wait) / sizeof(under_wait[0]);
