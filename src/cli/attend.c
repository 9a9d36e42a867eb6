/* src/cli/attend.c: a command as our child, without anything between it and the terminal.
 *
 * relay.c does this for `berth run`, with a keeper between; here the child is ours, and all there is to do is to sleep until a
 * signal comes: one for us is passed on, a child that stopped stops us, one that ended ends it. Nothing else wakes us up, but
 * what the caller wants to hear besides (free_watch.c): a descriptor that the child made of itself before it became the command.
 *
 * Descriptors that are handed over (sd_listen_fds(3)) come as 3, 4, 5... with LISTEN_PID, which only the child knows. They are
 * copied out of the way first, since their own numbers may be where others have to go.
 */
#include "cli/attend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/relay.h"

#define FIRST_FD 3

struct before {
	sigset_t mask;
	struct sigaction chld;
	bool activated; /* a manager's descriptors, for us by their LISTEN_PID: they are the command's */
	int tell[2];	/* why it could not become the command */
	int pair[2];	/* the way for prepare()'s descriptor; -1: none */
};

static bool put_number(const char *name, long v)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", v);
	return setenv(name, text, 1) == 0;
}

/* Out of the way of what is handed over. Return: 0; negative errno. */
static int raise_fd(int *fd, int high)
{
	int r = *fd < 0 || *fd >= high ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, high);

	if (r < 0 && *fd >= 0)
		return -errno;
	*fd = r;
	return 0;
}

static int place_fds(const struct attend *how, int *tell, int *pair)
{
	int high = FIRST_FD + (int)how->n_fds, r;

	for (size_t i = 0; i < how->n_fds; i++) {
		how->fds[i] = fcntl(how->fds[i], F_DUPFD_CLOEXEC, high);
		if (how->fds[i] < 0)
			return -errno;
	}
	r = raise_fd(tell, high);
	if (r == 0)
		r = raise_fd(pair, high);
	if (r < 0)
		return r;
	for (size_t i = 0; i < how->n_fds; i++)
		if (dup2(how->fds[i], FIRST_FD + (int)i) < 0)
			return -errno;
	if (!put_number("LISTEN_FDS", (long)how->n_fds) || setenv("LISTEN_FDNAMES", how->names, 1) < 0)
		return -ENOMEM;
	return 0;
}

/* One descriptor, or why there is none. */
static void send_fd(int to, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	int e = fd < 0 ? fd : 0;
	struct iovec iov = {&e, sizeof(e)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	if (fd >= 0) {
		m.msg_control = &c;
		m.msg_controllen = sizeof(c);
	}
	(void)!sendmsg(to, &m, MSG_NOSIGNAL);
}

static int receive_fd(int from)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	int e = -EPIPE, fd = -1;
	struct iovec iov = {&e, sizeof(e)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);

	if (n != (ssize_t)sizeof(e) || e < 0)
		return e < 0 ? e : -EPIPE;
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd < 0 ? -EMFILE : fd;
}

_Noreturn static void become(const char *path, char **argv, const struct attend *how, const struct before *b)
{
	int e = 0, tell = b->tell[1], pair = b->pair[1];

	if (how->n_fds)
		e = -place_fds(how, &tell, &pair);
	if (e == 0 && (how->n_fds || b->activated) && !put_number("LISTEN_PID", getpid()))
		e = ENOMEM;
	if (how->files)
		(void)setrlimit(RLIMIT_NOFILE, how->files);
	sigaction(SIGCHLD, &b->chld, NULL);
	sigprocmask(SIG_SETMASK, &b->mask, NULL);
	if (e == 0 && how->prepare) {
		int fd = how->prepare();

		send_fd(pair, fd);
		if (fd < 0)
			_exit(126);
		close(fd);
	}
	if (e == 0)
		e = relay_exec(path, argv);
	(void)!write(tell, &e, sizeof(e));
	_exit(126);
}

/* Until it has ended. */
static int wait_for(pid_t child, int signals, const struct attend *how, int heard)
{
	struct pollfd p[] = {{.fd = signals, .events = POLLIN}, {.fd = heard, .events = POLLIN}};
	struct signalfd_siginfo si;
	int status;

	for (;;) {
		pid_t pid = waitpid(child, &status, WNOHANG | WUNTRACED);

		if (pid == child && WIFSTOPPED(status)) {
			relay_stop_with(child, WSTOPSIG(status));
			continue;
		}
		if (pid == child || (pid < 0 && errno != EINTR))
			return pid == child ? status : 125 << 8;
		if (poll(p, COUNT_OF(p), -1) < 0)
			continue;
		if (p[1].revents && (!(p[1].revents & POLLIN) || !how->hear(how->ctx, heard)))
			p[1].fd = -1;
		if (p[0].revents && read(signals, &si, sizeof(si)) == (ssize_t)sizeof(si) && si.ssi_signo != SIGCHLD)
			relay_pass_on(child, &si);
	}
}

/* Has it become the command? Return: 0, and what it sent from prepare(), or -1; else as attend(). */
static int hear_start(const struct attend *how, const struct before *b, int *ret_heard)
{
	int heard = how->prepare ? receive_fd(b->pair[0]) : -1, e = 0;

	*ret_heard = heard < 0 ? -1 : heard;
	if (how->prepare && heard < 0 && heard != -EPIPE) /* EPIPE: it failed before that, and says so now */
		return heard;
	return read(b->tell[0], &e, sizeof(e)) == (ssize_t)sizeof(e) ? e : 0;
}

/* Ours are closed: that the child's are, too, is what we wait for. */
static void close_ends(const struct attend *how, const struct before *b)
{
	close(b->tell[1]);
	if (b->pair[1] >= 0)
		close(b->pair[1]);
	for (size_t i = 0; i < how->n_fds; i++)
		close(how->fds[i]);
}

int attend(const char *path, char **argv, const struct attend *how, int *ret_status)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	const char *pid = getenv("LISTEN_PID");
	struct before before = {.activated = pid && atoi(pid) == getpid(), .pair = {-1, -1}};
	int signals, heard = -1, e;
	sigset_t set;
	pid_t child;

	relay_signals(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0 || pipe2(before.tell, O_CLOEXEC) < 0 ||
	    (how->prepare && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, before.pair) < 0))
		return -errno; /* the caller ends */
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, &before.mask);
	sigaction(SIGCHLD, &dfl, &before.chld); /* were it ignored, the child would vanish without a status */
	fflush(NULL);
	child = fork();
	if (child == 0)
		become(path, argv, how, &before);
	e = child < 0 ? -errno : 0;
	close_ends(how, &before);
	if (e == 0) {
		e = hear_start(how, &before, &heard);
		if (e)
			(void)waitpid(child, NULL, 0);
		else
			*ret_status = wait_for(child, signals, how, heard);
	}
	if (heard >= 0)
		close(heard);
	if (before.pair[0] >= 0)
		close(before.pair[0]);
	close(before.tell[0]);
	close(signals);
	if (e)
		sigprocmask(SIG_SETMASK, &before.mask, NULL);
	return e;
}
