/* src/cli/relay.c: a parent that is not noticed.
 *
 * The child stays in our process group, so that a pipeline and the terminal treat both as one job:
 * what the keyboard sends (Ctrl-C, Ctrl-\, Ctrl-Z, a new window size) the kernel gives to both, and
 * we must not pass it on a second time. What another process sends to us alone is meant for the
 * program and is passed on. siginfo tells the two apart: SI_KERNEL came from the terminal. One thing the
 * terminal tells to its session's leader alone: that it is gone (SIGHUP). Are we the leader, we pass it on.
 *
 *     signals --> signalfd -----\
 *     keeper --> socket ---------poll --> pass on / stop with the child / its end / news
 *     word -- futex, thread --> eventfd --/
 *
 * Between us and the program is the keeper (net2/keeper.c), which is the program's parent, serves its tree and
 * stays when we are gone. It tells us what became of the program. Should it be killed, its children become ours,
 * and we wait for the program ourselves.
 *
 * Everything is blocked in the parent and read from a signalfd, so nothing interrupts anything. The
 * word in shared memory can only be slept on with futex(2), which poll() does not know: a thread with
 * no signals sleeps on it and rings an eventfd. Nothing wakes up unless something happened.
 *
 * Stopping: only the child's stop counts (vim and less stop themselves). We then stop, too, as the
 * shell expects of its job, and when we are continued, so is the child. A child that made a process
 * group of its own in the foreground (a shell) gets the terminal back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/relay.h"

static const int watched[] = {SIGCHLD,	SIGINT,	 SIGQUIT, SIGTERM, SIGHUP,  SIGUSR1, SIGUSR2,
			      SIGWINCH, SIGTSTP, SIGTTIN, SIGCONT, SIGALRM, SIGPIPE};

void relay_signals(sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < COUNT_OF(watched); i++)
		sigaddset(ret, watched[i]);
}

struct bell {
	uint32_t *word;
	int event_fd;
};

/* Rings for the value it is about to sleep on, so that a change between the two is not missed. */
static void *sleep_on_word(void *arg)
{
	const struct bell *b = arg;
	const uint64_t one = 1;

	for (;;) {
		uint32_t seen = __atomic_load_n(b->word, __ATOMIC_ACQUIRE);

		if (write(b->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			return NULL;
		while (syscall(SYS_futex, b->word, FUTEX_WAIT, seen, NULL, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

struct program {
	const char *path;
	char **argv;
	sigset_t mask;
	struct sigaction chld;
	bool activated;
};

/* A manager that started us with listeners of its own (sd_listen_fds(3)) meant the program: it wrote our number
 * into LISTEN_PID, and the program, which inherits the descriptors, is to find its own there. */
static bool activation_is_ours(void)
{
	const char *pid = getenv("LISTEN_PID");

	return pid && atoi(pid) == getpid();
}

static void pass_activation(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
}

int relay_exec(const char *path, char **argv)
{
	int e;

	execv(path, argv);
	e = errno;
	if (e == ENOEXEC) { /* a script without a first line: sh reads it, as from a shell */
		size_t n = 0;
		char **sh;

		while (argv[n])
			n++;
		sh = calloc(n + 2, sizeof(*sh));
		if (sh) {
			sh[0] = (char *)"sh";
			sh[1] = (char *)(uintptr_t)path;
			for (size_t i = 1; i < n; i++)
				sh[i + 1] = argv[i];
			execv("/bin/sh", sh);
		}
	}
	return e;
}

/* In the program's process: as we were called, then the program. Never returns. */
static void become(void *ctx, int tell_fd)
{
	const struct program *p = ctx;
	int e;

	sigaction(SIGCHLD, &p->chld, NULL);
	sigprocmask(SIG_SETMASK, &p->mask, NULL);
	if (p->activated)
		pass_activation();
	e = relay_exec(p->path, p->argv);
	if (write(tell_fd, &e, sizeof(e)) != (ssize_t)sizeof(e))
		_exit(126);
	_exit(127);
}

void relay_stop_with(pid_t child, int sig)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	pid_t group = getpgid(child);
	bool had_terminal;
	sigset_t one;

	if (tty < 0)
		return; /* no terminal, no job control: somebody stopped the program on purpose */
	had_terminal = group > 0 && group != getpgrp() && tcgetpgrp(tty) == group;
	/* SIGTSTP, and not SIGSTOP: where nobody could continue us (an orphaned group) it does nothing. */
	sig = sig == SIGSTOP ? SIGTSTP : sig;
	sigemptyset(&one);
	sigaddset(&one, sig);
	signal(sig, SIG_DFL);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL); /* here we sleep */
	sigprocmask(SIG_BLOCK, &one, NULL);
	if (had_terminal && tcgetpgrp(tty) == getpgrp())
		(void)!tcsetpgrp(tty, group);
	close(tty);
	kill(had_terminal ? -group : child, SIGCONT);
}

struct watch {
	const struct relay *relay;
	struct relay_end *end;
	pid_t keeper, forked, child; /* child 0: not started yet */
	int front;		     /* from the keeper; -1: it is gone, and the child is ours */
	bool over;
};

/* Reap, once the child is ours. True when it has ended. */
static bool reap(struct watch *w)
{
	int status;

	for (;;) {
		pid_t p = waitpid(w->child, &status, WNOHANG | WUNTRACED);

		if (p < 0 && errno == EINTR)
			continue;
		if (p < 0) { /* cannot be: it is ours, and nobody else waits */
			w->end->status = 125 << 8;
			return true;
		}
		if (p == 0)
			return false;
		if (!WIFSTOPPED(status)) {
			w->end->status = status;
			return true;
		}
		relay_stop_with(w->child, WSTOPSIG(status));
	}
}

static void started(struct watch *w, pid_t child)
{
	w->child = child;
	w->end->executed = true;
	w->relay->started(w->relay->ctx, child);
}

/* The keeper has ended before the child: its children become ours in that moment. */
static void adopt(struct watch *w)
{
	close(w->front);
	w->front = -1;
	while (waitpid(w->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	if (w->forked > 0 && w->child <= 0 && !w->end->exec_errno && !w->end->net_errno) {
		started(w, w->forked); /* it was killed before it could say so */
		w->over = reap(w);
	}
	if (w->child <= 0)
		w->over = true;
	else
		w->relay->say(w->relay->ctx, true,
			      "the keeper of this run was killed: calls that go past libc fail from now on");
}

static void hear(struct watch *w)
{
	struct net2_news n;
	ssize_t len = recv(w->front, &n, sizeof(n), 0);

	if (len != (ssize_t)sizeof(n)) {
		if (len >= 0 || (errno != EINTR && errno != EAGAIN))
			adopt(w);
		return;
	}
	n.text[sizeof(n.text) - 1] = '\0';
	switch ((enum net2_news_kind)n.kind) {
	case NET2_FORKED:
		w->forked = n.value;
		break;
	case NET2_STARTED:
		started(w, n.value);
		break;
	case NET2_FAILED:
		w->end->exec_errno = n.value;
		w->over = true;
		break;
	case NET2_NO_NET:
		w->end->net_errno = n.value;
		w->relay->no_net(w->relay->ctx, n.value);
		break;
	case NET2_STOPPED:
		relay_stop_with(w->child, n.value);
		break;
	case NET2_ENDED:
		w->end->status = n.value;
		w->over = true;
		w->end->last = strcmp(n.text, NET2_LAST) == 0;
		if (w->end->last) /* leave no zombie for an init that does not wait */
			while (waitpid(w->keeper, NULL, 0) < 0 && errno == EINTR)
				;
		break;
	case NET2_LINE:
	case NET2_VERBOSE:
		w->relay->say(w->relay->ctx, n.kind == NET2_LINE, n.text);
		break;
	}
}

void relay_pass_on(pid_t child, const struct signalfd_siginfo *si)
{
	bool from_terminal = si->ssi_code == SI_KERNEL;
	bool hung_up = from_terminal && si->ssi_signo == SIGHUP && getsid(0) == getpid();

	if (si->ssi_signo == SIGPIPE || si->ssi_pid == (uint32_t)getpid())
		return; /* our own */
	if (si->ssi_signo == SIGCONT && from_terminal)
		return;
	if (from_terminal && !hung_up && getpgid(child) == getpgrp())
		return; /* it has had it */
	kill(child, (int)si->ssi_signo);
}

/* Until the child has ended. */
static void supervise(struct watch *w, int signal_fd, int event_fd)
{
	struct pollfd p[4] = {{.fd = signal_fd, .events = POLLIN},
			      {.fd = event_fd, .events = POLLIN},
			      {.fd = w->front, .events = POLLIN},
			      {.fd = w->relay->other_news ? w->relay->other : -1, .events = POLLIN}};
	struct signalfd_siginfo si;
	uint64_t rings;

	while (!w->over) {
		if (poll(p, COUNT_OF(p), -1) < 0 && errno != EINTR)
			break;
		if ((p[1].revents & POLLIN) && read(event_fd, &rings, sizeof(rings)) > 0)
			w->relay->news(w->relay->ctx);
		if (w->front >= 0 && p[2].revents)
			hear(w);
		p[2].fd = w->front;
		if (p[3].fd >= 0 && p[3].revents)
			p[3].fd = w->relay->other_news(w->relay->ctx);
		while (read(signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
			if (si.ssi_signo != SIGCHLD)
				relay_pass_on(w->child, &si);
		if (w->front < 0 && !w->over)
			w->over = reap(w);
	}
}

int relay_run(const char *path, char **argv, const struct relay *r, struct relay_end *ret)
{
	static struct bell bell; /* the thread outlives us */
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	struct program program = {.path = path, .argv = argv, .activated = activation_is_ours()};
	struct watch w = {.relay = r, .end = ret, .front = -1};
	int signal_fd, event_fd = -1, front[2] = {-1, -1}, err = 0;
	pthread_t thread;
	sigset_t set;

	*ret = (struct relay_end){.status = 125 << 8};
	relay_signals(&set);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signal_fd < 0 || event_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, front) < 0) {
		err = -errno;
		goto out;
	}
	sigaddset(&set, SIGTTOU); /* an explanation may be written from the background */
	sigprocmask(SIG_BLOCK, &set, &program.mask);
	sigaction(SIGCHLD, &dfl, &program.chld); /* were it ignored, children would vanish without a status */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	w.keeper = fork();
	if (w.keeper < 0) {
		err = -errno;
		sigprocmask(SIG_SETMASK, &program.mask, NULL);
		goto out;
	}
	if (w.keeper == 0) {
		close(front[0]);
		close(signal_fd);
		close(event_fd);
		net2_keep(r->net2, front[1], become, &program);
	}
	close(front[1]);
	front[1] = -1;
	w.front = front[0];
	front[0] = -1;
	while (!w.over && !w.child)
		hear(&w);
	if (!w.over) {
		if (r->word) {
			bell = (struct bell){r->word, event_fd};
			if (pthread_create(&thread, NULL, sleep_on_word, &bell) != 0)
				bell.word = NULL; /* no threads left: the news comes at the end */
			else
				pthread_detach(thread);
		}
		supervise(&w, signal_fd, event_fd);
		r->news(r->ctx);
		event_fd = -1; /* the thread still rings it */
	}
out:
	if (signal_fd >= 0)
		close(signal_fd);
	if (event_fd >= 0)
		close(event_fd);
	if (w.front >= 0)
		close(w.front);
	for (int i = 0; i < 2; i++)
		if (front[i] >= 0)
			close(front[i]);
	return err;
}

int relay_exit_code(int status)
{
	sigset_t one;
	int sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	prctl(PR_SET_DUMPABLE, 0); /* the child has left a core already, if one was wanted */
	signal(sig, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	return 128 + sig;
}
