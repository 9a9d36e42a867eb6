/* tests/shim/more_shut.c: more.c: shutdown() of the reading side, and whom it wakes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "more.h"

/* shutdown(SHUT_RD): what is there is read, then the end; the peer notices nothing. */
void deaf(void)
{
	char buf[16] = "";
	int l, c, s, n;

	section("deaf");
	pair(8185, &l, &c, &s);
	write(c, "before", 6);
	usleep(20000);
	say("shutdown", shutdown(s, SHUT_RD));
	say_count("what was there", recv(s, buf, sizeof(buf), 0));
	say_count("the end", recv(s, buf, sizeof(buf), 0));
	say_count("the end, by read", read(s, buf, sizeof(buf)));
	say_count("the end, not waiting", recv(s, buf, sizeof(buf), MSG_DONTWAIT));
	say_count("the peer writes", write(c, "after", 5));
	usleep(20000);
	say_count("and it is read", recv(s, buf, sizeof(buf), 0));
	say_count("the end", recv(s, buf, sizeof(buf), 0));
	say_count("it still writes", write(s, "x", 1));
	say_count("the peer reads", read(c, buf, 1));
	n = fcntl(s, F_GETFL);
	fcntl(s, F_SETFL, n | O_NONBLOCK);
	say_count("non-blocking", read(s, buf, 1));
	dup2(c, s);
	fcntl(c, F_SETFL, O_RDWR | O_NONBLOCK);
	say_count("another socket by that number", recv(s, buf, 1, MSG_DONTWAIT));
	shut(l, c, s);
}

/* The same of a program that has one thread and asks poll and its kin: they wake at once. */
void deaf_polled(void)
{
	struct pollfd p = {.events = POLLIN | POLLRDHUP};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
	struct timespec second = {1, 0};
	struct timeval one = {1, 0};
	int l, c, s, e = epoll_create1(0);
	char buf[16];
	fd_set set;

	section("deaf-polled");
	pair(8186, &l, &c, &s);
	epoll_ctl(e, EPOLL_CTL_ADD, s, &ev);
	shutdown(s, SHUT_RD);
	say_count("epoll", epoll_wait(e, &ev, 1, 1000));
	say_num("says", (long)(ev.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)));
	say_count("the peer writes", write(c, "after", 5));
	say_count("and so on", send(c, "after", 5, 0));
	p.fd = c;
	say_count("to it, nothing happened", poll(&p, 1, 0));
	say_count("it still writes", write(s, "x", 1));
	say_count("the peer reads", read(c, buf, 1));
	say("the other side, too", shutdown(s, SHUT_WR));
	say_count("the peer sees the end", read(c, buf, 1));
	shut(l, c, s);
	close(e);

	pair(8186, &l, &c, &s);
	shutdown(s, SHUT_RD);
	p.fd = s;
	say_count("poll", poll(&p, 1, 1000));
	say_num("says", p.revents);
	say_count("a message", recvmsg(s, &(struct msghdr){.msg_iov = &(struct iovec){buf, 1}, .msg_iovlen = 1}, 0));
	say_count("several buffers", readv(s, &(struct iovec){buf, 1}, 1));
	shut(l, c, s);

	pair(8186, &l, &c, &s);
	shutdown(s, SHUT_RD);
	FD_ZERO(&set);
	FD_SET(s, &set);
	say_count("select", select(s + 1, &set, NULL, NULL, &one));
	shut(l, c, s);

	pair(8186, &l, &c, &s);
	shutdown(s, SHUT_RD);
	FD_ZERO(&set);
	FD_SET(s, &set);
	say_count("pselect", pselect(s + 1, &set, NULL, NULL, &second, NULL));
	shut(l, c, s);

	pair(8186, &l, &c, &s);
	shutdown(s, SHUT_RD);
	p.fd = s;
	say_count("ppoll", ppoll(&p, 1, &second, NULL));
	shut(l, c, s);

	pair(8186, &l, &c, &s);
	shutdown(s, SHUT_RD);
	say_count("everything", recv(s, buf, sizeof(buf), MSG_WAITALL));
	say_count("a look", recv(s, buf, sizeof(buf), MSG_PEEK | MSG_TRUNC));
	ev.events = EPOLLIN;
	e = epoll_create1(0);
	epoll_ctl(e, EPOLL_CTL_ADD, s, &ev);
	say_count("several buffers, deaf", readv(s, &(struct iovec){buf, 1}, 1));
	say_count("a message, deaf",
		  recvmsg(s, &(struct msghdr){.msg_iov = &(struct iovec){buf, 1}, .msg_iovlen = 1}, 0));
	say_count("epoll_pwait2", epoll_pwait2(e, &ev, 1, &second, NULL));
	close(e);
	say("both", shutdown(s, SHUT_WR));
	p.fd = s;
	say_count("then poll", poll(&p, 1, 1000));
	say_num("says", p.revents);
	shut(l, c, s);
}

/* A thread, and a process, that wait while another shuts the socket: woken, with what Linux tells them. */
struct sleeper {
	const char *how;
	int fd;
	long got;
	int err;
};

static void *sleeps(void *arg)
{
	struct sleeper *w = arg;
	struct pollfd p = {.fd = w->fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	struct timeval three = {3, 0};
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	fd_set set;
	int e;

	FD_ZERO(&set);
	FD_SET(w->fd, &set);
	if (!strcmp(w->how, "recv")) {
		w->got = recv(w->fd, buf, sizeof(buf), 0);
	} else if (!strcmp(w->how, "recvfrom")) {
		w->got = recvfrom(w->fd, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len);
	} else if (!strcmp(w->how, "read")) {
		w->got = read(w->fd, buf, sizeof(buf));
	} else if (!strcmp(w->how, "readv")) {
		w->got = readv(w->fd, &iov, 1);
	} else if (!strcmp(w->how, "recvmsg")) {
		w->got = recvmsg(w->fd, &m, 0);
	} else if (!strcmp(w->how, "MSG_WAITALL")) {
		w->got = recv(w->fd, buf, sizeof(buf), MSG_WAITALL);
	} else if (!strcmp(w->how, "MSG_PEEK")) {
		w->got = recv(w->fd, buf, sizeof(buf), MSG_PEEK);
	} else if (!strcmp(w->how, "accept")) {
		w->got = accept(w->fd, NULL, NULL);
	} else if (!strcmp(w->how, "poll")) {
		w->got = poll(&p, 1, 3000);
	} else if (!strcmp(w->how, "select")) {
		w->got = select(w->fd + 1, &set, NULL, NULL, &three);
	} else {
		e = epoll_create1(0);
		epoll_ctl(e, EPOLL_CTL_ADD, w->fd, &ev);
		w->got = epoll_wait(e, &ev, 1, 3000);
		close(e);
	}
	w->err = errno;
	return NULL;
}

static void woken(const char *how, bool shut_both)
{
	struct sleeper w = {.how = how};
	struct timespec end;
	int l, c, s;
	pthread_t t;

	pair(8187, &l, &c, &s);
	w.fd = strcmp(how, "accept") ? s : l;
	pthread_create(&t, NULL, sleeps, &w);
	usleep(30000);
	shutdown(w.fd, shut_both ? SHUT_RDWR : SHUT_RD);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 2;
	if (pthread_timedjoin_np(t, NULL, &end)) {
		say_text(how, "goes on waiting");
		shutdown(w.fd, SHUT_RDWR);
		pthread_join(t, NULL);
	} else {
		errno = w.err;
		say_count(how, w.got);
	}
	if (w.fd == s && !shut_both) {
		say_count("the peer writes", write(c, "after", 5));
		say_count("and so on", write(c, "after", 5));
		say_count("the socket writes", write(s, "x", 1));
	}
	shut(l, c, s);
}

static void other_process(void)
{
	struct sleeper w = {.how = "read"};
	int l, c, s, status = -1;
	pid_t child;

	pair(8187, &l, &c, &s);
	w.fd = s;
	child = fork();
	if (child == 0) {
		alarm(3);
		sleeps(&w);
		_exit(w.got == 0 ? 7 : 8);
	}
	usleep(30000);
	shutdown(s, SHUT_RD);
	waitpid(child, &status, 0);
	say_text("a process that waits in read",
		 WIFEXITED(status) && WEXITSTATUS(status) == 7 ? "woken" : "goes on waiting");
	shut(l, c, s);
}

void waiting(void)
{
	static const char *const ways[] = {"recv",	  "recvfrom", "read", "readv",	"recvmsg",
					   "MSG_WAITALL", "MSG_PEEK", "poll", "select", "epoll"};

	section("waiting");
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		woken(ways[i], false);
	woken("recv", true);
	woken("accept", false);
	woken("accept", true);
	other_process();
}
