/* src/net2/keeper.c: the process between `berth run` and its command: puts the filter on and serves it.
 *
 *     listener (stopped calls) --> serve() --> answer
 *                                        \--> waits: parked, until its descriptor is ready
 *     children --> reap; news of the command go to the front
 *
 * It is the parent and the reaper of all that the command starts, so that ptrace's rules let it look into
 * them and their ancestry stays known. It ends when it has no child any more. When it is killed the kernel answers stopped
 * calls with ENOSYS: they fail, they do not hang; the front adopts the command.
 *
 * A parked call holds no descriptor of the program's: the open file is registered with epoll and our copy
 * closed, and epoll forgets it by itself when the program's last copy goes. So a server that is killed while it
 * waits in accept(2) leaves no socket behind, and its port is free at once.
 *
 * A program whose call is parked hears nothing but deadly signals (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, which
 * keeps signals from tearing a call that is half done). So every LOOK_US somebody looks whether one of its
 * signals is due; then the call is given back as interrupted, and the kernel runs the handler and restarts the
 * call or not, as SA_RESTART says. Nothing is looked at while nothing is parked.
 */
#include "net2/net2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net2/echo.h"
#include "net2/ferry.h"
#include "net2/filter.h"
#include "net2/letters.h"
#include "net2/outer.h"
#include "net2/owed.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif

#define PARKED_MAX 65536
#define LOOK_US 40000
#define LOOK_EACH_US 500 /* of the time between two looks, for each that is parked */
#define RETRY_US 4000
#define SWEEP_US 2000000 /* while there are UDP sockets of programs past libc, or that talk to the outside */
#define KERNEL_ERESTARTSYS 512

enum { EV_LISTENER, EV_CHILDREN, EV_FRONT, EV_TIMER, EV_SWEEP, EV_OWED, EV_PARKED };

struct parked {
	struct parked *next;
	struct call call;
	uint64_t cookie; /* of the socket it waits for */
	uint32_t events; /* 0: nothing to wait for but time */
	bool due;	 /* a signal was seen once */
};

static struct keeper {
	int listener, front, epoll, signals, timer, sweep;
	bool killable, sweeping;
	pid_t command;
	struct parked *parked;
	size_t n_parked;
	struct seccomp_notif_sizes sizes;
	struct seccomp_notif *notif;
	struct seccomp_notif_resp *resp;
} k = {.listener = -1};

/* --- news --- */

static void tell(enum net2_news_kind kind, int value, const char *text)
{
	struct net2_news n = {.kind = kind, .value = value};

	if (k.front < 0)
		return;
	if (text)
		snprintf(n.text, sizeof(n.text), "%s", text);
	/* Where nobody reads any more, or fast enough, a line is lost and not we. The command's end is not. */
	(void)!send(k.front, &n, sizeof(n),
		    MSG_NOSIGNAL | (kind == NET2_LINE || kind == NET2_VERBOSE ? MSG_DONTWAIT : 0));
}

void serve_say(bool always, const char *fmt, ...)
{
	char text[400], comm[17] = "";
	int32_t pid = context_caller(comm);
	int at = snprintf(text, sizeof(text), "%s (pid %d) ", comm, pid);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, ap);
	va_end(ap);
	tell(always ? NET2_LINE : NET2_VERBOSE, 0, text);
}

/* --- answers --- */

bool serve_is_wanted(uint64_t id)
{
	return ioctl(k.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int serve_replace_fd(uint64_t id, int from, int to, bool cloexec)
{
	struct seccomp_notif_addfd a = {.id = id,
					.flags = SECCOMP_ADDFD_FLAG_SETFD,
					.srcfd = (uint32_t)from,
					.newfd = (uint32_t)to,
					.newfd_flags = cloexec ? O_CLOEXEC : 0};

	return ioctl(k.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a) < 0 ? -errno : 0;
}

static void answer(uint64_t id, int64_t value, uint32_t flags)
{
	memset(k.resp, 0, k.sizes.seccomp_notif_resp);
	k.resp->id = id;
	k.resp->flags = flags;
	if (value < 0)
		k.resp->error = (int32_t)value;
	else
		k.resp->val = value;
	(void)ioctl(k.listener, SECCOMP_IOCTL_NOTIF_SEND, k.resp); /* ENOENT: nobody waits any more */
}

static void add(int fd, uint64_t key)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = key};

	if (fd >= 0)
		(void)epoll_ctl(k.epoll, EPOLL_CTL_ADD, fd, &e);
}

static void answer_socket(const struct call *c, const struct reply *r)
{
	struct seccomp_notif_addfd a = {.id = c->n.id,
					.flags = SECCOMP_ADDFD_FLAG_SEND,
					.srcfd = (uint32_t)r->fd,
					.newfd_flags = r->fd_flags};

	/* Installed and answered in one step: there is no moment in which it could be interrupted between. */
	int err = ioctl(k.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a) < 0 ? errno : 0, ticket;

	if (err && r->accepted) {
		owed_put(c, r->fd, &ticket); /* before the answer, after which the listener must show it */
		add(ticket, EV_OWED);
	} else {
		close(r->fd);
	}
	if (err && err != ENOENT)
		answer(c->n.id, -err, 0);
}

/* --- calls that wait --- */

static void set_timer(int timer, uint64_t us)
{
	struct itimerspec t = {.it_value = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000}};

	timerfd_settime(timer, 0, &t, NULL);
}

/* When to look next: signals that are due, times that are over, and what can only be tried again. */
static void plan(void)
{
	uint64_t now = network_now_us(), us = LOOK_US + k.n_parked * LOOK_EACH_US;

	if (!k.n_parked) {
		set_timer(k.timer, 0);
		return;
	}
	for (const struct parked *p = k.parked; p; p = p->next) {
		if (!p->events || p->due)
			us = us < RETRY_US ? us : RETRY_US;
		if (p->call.until_us)
			us = p->call.until_us <= now ? 1 : p->call.until_us - now < us ? p->call.until_us - now : us;
	}
	set_timer(k.timer, us ? us : 1);
}

/* One registration for a socket, whoever waits for it; our number of it is used again and again. */
static bool watch(int fd, uint64_t cookie)
{
	struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = EV_PARKED + cookie};

	for (const struct parked *p = k.parked; p; p = p->next)
		if (p->cookie == cookie)
			e.events |= p->events;
	if (epoll_ctl(k.epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return true;
	return errno == EEXIST && epoll_ctl(k.epoll, EPOLL_CTL_MOD, fd, &e) == 0;
}

void letters_watch(int fd, uint64_t key, bool readable, bool room)
{
	struct epoll_event e = {.events = (readable ? EPOLLIN : 0) | (room ? EPOLLOUT : 0), .data.u64 = key};

	if (epoll_ctl(k.epoll, EPOLL_CTL_MOD, fd, &e) < 0)
		(void)epoll_ctl(k.epoll, EPOLL_CTL_ADD, fd, &e);
	if (!k.sweeping)
		set_timer(k.sweep, SWEEP_US);
	k.sweeping = true;
}

void outer_watch(int fd, uint64_t key)
{
	add(fd, key);
	if (!k.sweeping)
		set_timer(k.sweep, SWEEP_US);
	k.sweeping = true;
}

void echo_watch(int fd, uint64_t key, bool readable, bool room)
{
	struct epoll_event e = {.events = (readable ? EPOLLIN : 0) | (room ? EPOLLOUT : 0), .data.u64 = key};

	if (epoll_ctl(k.epoll, EPOLL_CTL_MOD, fd, &e) < 0)
		(void)epoll_ctl(k.epoll, EPOLL_CTL_ADD, fd, &e);
}

/* At the end: who waits longest is served first. */
static void park(struct parked *p, const struct reply *r)
{
	struct parked **at = &k.parked;

	p->call.again = true;
	p->events = r->events;
	p->cookie = r->events ? sock_cookie(p->call.fd) : 0;
	p->due = false;
	p->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = p;
	k.n_parked++;
	if (p->events && !watch(p->call.fd, p->cookie))
		p->events = 0; /* time will do */
}

static struct parked *unpark(struct parked **at)
{
	struct parked *p = *at;

	*at = p->next;
	k.n_parked--;
	return p;
}

/* Serve it, now or again. Owns p. False: it waits. */
static bool handle(struct parked *p)
{
	struct reply r = serve(&p->call);
	uint64_t id = p->call.n.id;

	switch (r.kind) {
	case REPLY_VALUE:
		answer(id, r.value, 0);
		break;
	case REPLY_KERNEL:
		answer(id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		break;
	case REPLY_SOCKET:
		answer_socket(&p->call, &r);
		break;
	case REPLY_NONE:
		break;
	case REPLY_WAIT:
		if (p->call.until_us && network_now_us() >= p->call.until_us) {
			answer(id, p->call.n.data.nr == SYS_connect ? -EINPROGRESS : -EAGAIN, 0);
			break;
		}
		if (k.n_parked == PARKED_MAX) {
			answer(id, -ENOBUFS, 0);
			break;
		}
		park(p, &r);
		if (p->call.fd >= 0)
			close(p->call.fd);
		return false;
	}
	if (p->call.fd >= 0)
		close(p->call.fd);
	free(p);
	return true;
}

/* Has the program, which hears no signals while it waits for us, a signal to hear? */
static bool interrupted(struct parked *p)
{
	struct target_state s;
	uint64_t pending;

	if (!k.killable)
		return false; /* it was woken by itself, and its call is gone */
	if (target_look((int32_t)p->call.n.pid, &s) < 0)
		return false;
	pending = s.sig_thread | s.sig_process;
	if (!pending)
		p->due = false;
	if (!pending)
		return false;
	if (s.sig_thread || s.n_threads == 1) {
		answer(p->call.n.id, -KERNEL_ERESTARTSYS, 0); /* the kernel makes EINTR of it, or the call again */
		return true;
	}
	/* Of the process, which has other threads: one that does not wait here would have taken it by now. */
	if (!p->due) {
		p->due = true;
		return false;
	}
	answer(p->call.n.id, -EINTR, 0);
	return true;
}

/* Look at each that is parked: not wanted any more, interrupted, over, or to be tried again. */
static void look_at_parked(void)
{
	uint64_t now = network_now_us();
	struct parked **at = &k.parked, *again = NULL;

	while (*at) {
		struct parked *p = *at;

		if (!serve_is_wanted(p->call.n.id) || interrupted(p)) {
			free(unpark(at));
		} else if (!p->events || (p->call.until_us && now >= p->call.until_us)) {
			p = unpark(at);
			p->next = again;
			again = p;
		} else {
			at = &p->next;
		}
	}
	while (again) {
		struct parked *p = again;

		again = p->next;
		(void)handle(p);
	}
}

/* Something happened to a socket: those who wait for it have their turn, until one has to wait again, which
 * registers it anew. */
static void ready(uint64_t cookie)
{
	struct parked **at = &k.parked;

	for (size_t i = k.n_parked; i > 0 && *at; i--) {
		if ((*at)->cookie != cookie || !(*at)->events)
			at = &(*at)->next;
		else if (!handle(unpark(at)))
			return;
	}
}

/* --- one stopped call --- */

static void take_call(void)
{
	struct parked *p;

	memset(k.notif, 0, k.sizes.seccomp_notif);
	if (ioctl(k.listener, SECCOMP_IOCTL_NOTIF_RECV, k.notif) < 0)
		return;
	p = calloc(1, sizeof(*p));
	if (!p) {
		answer(k.notif->id, -ENOMEM, 0);
		return;
	}
	memcpy(&p->call.n, k.notif, sizeof(p->call.n));
	(void)handle(p);
}

/* --- children --- */

/* Are all our children publishers (cli/publisher_loop.c)? One that was started by hand inside the tree waits for the end
 * of the host's programs, and so for ours: we do not wait for it. A kernel that cannot list them: no. */
static bool only_publishers(void)
{
	char path[64], name[32];
	FILE *f, *comm;
	int pid, n = 0;
	bool only = true;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	while (f && only && fscanf(f, "%d", &pid) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		comm = fopen(path, "re");
		only = comm && fgets(name, sizeof(name), comm) && strcmp(name, NET2_PUBLISHER "\n") == 0;
		if (comm)
			fclose(comm);
		n++;
	}
	if (f)
		fclose(f);
	return only && n > 0;
}

/* False: there are none any more. */
static bool reap(void)
{
	int status, end = 0;
	bool ended = false, more;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, WNOHANG | WUNTRACED);
		if (pid > 0 && pid == k.command && WIFSTOPPED(status)) {
			tell(NET2_STOPPED, WSTOPSIG(status), NULL);
		} else if (pid > 0 && pid == k.command) {
			ended = true;
			end = status;
			k.command = -1;
		}
	} while (pid > 0 || (pid < 0 && errno == EINTR));
	more = pid == 0 && !(k.command < 0 && only_publishers());
	if (ended)
		tell(NET2_ENDED, end, more ? NULL : NET2_LAST);
	return more;
}

/* Signals that a program of the tree sends to its parent are meant for `berth run`, which would pass them on to
 * the command; the parent is us. What comes from elsewhere is for the front, which has it, too, if it was sent
 * to all of us. */
static void pass_on(const struct signalfd_siginfo *si)
{
	struct target_state s;
	pid_t pid = (pid_t)si->ssi_pid, self = getpid();

	if (si->ssi_signo == SIGCHLD || si->ssi_code == SI_KERNEL || k.command <= 0)
		return;
	for (int i = 0; i < 64 && pid > 1 && target_look(pid, &s) == 0; i++) {
		if (s.ppid == self) {
			(void)kill(k.command, (int)si->ssi_signo);
			return;
		}
		pid = s.ppid;
	}
}

/* --- starting --- */

static int send_fd(int over, int fd, int value)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c = {0};
	struct iovec iov = {&value, sizeof(value)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = &c;
		m.msg_controllen = sizeof(c);
		c.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
				       .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	}
	/* The filter is on by now and nobody serves it yet: this call must pass. */
	return (int)raw_pass(SYS_sendmsg, over, (long)&m, MSG_NOSIGNAL, 0, 0);
}

static int take_fd(int over, int *ret_value)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c = {0};
	struct iovec iov = {ret_value, sizeof(*ret_value)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd = -1;

	*ret_value = -EPIPE;
	if (recvmsg(over, &m, MSG_CMSG_CLOEXEC) == (ssize_t)sizeof(*ret_value) &&
	    m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

/* In the command's process. */
_Noreturn static void start(const struct net2 *o, int pass, int tell_fd, void (*become)(void *, int), void *ctx)
{
	bool killable = false;

	prctl(PR_SET_NAME, "berth");
	if (!o->inside && !o->without) {
		int fd = filter_install(&killable);

		(void)send_fd(pass, fd, fd < 0 ? fd : killable);
		if (fd >= 0)
			close(fd);
		else if (o->needed)
			_exit(126);
	}
	close(pass);
	become(ctx, tell_fd);
	_exit(127);
}

static void quiet(int sig)
{
	(void)sig;
}

/* Away from the standard streams' numbers, which may have been closed when we were started. */
static int above(int fd)
{
	return fd < 0 || fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* What we were given is the command's alone: a pipe's reader and a lock's waiter wait for its end, not for ours. */
static void let_go(const int *held, size_t n_held)
{
	int keep[2 + NET2_HELD], n = 0, from = 3, null;

	keep[n++] = k.front;
	keep[n++] = k.listener;
	for (size_t i = 0; i < n_held; i++)
		keep[n++] = held[i];
	/* From one that is kept to the next: the lowest that is left each time. */
	for (;;) {
		int next = -1;

		for (int i = 0; i < n; i++)
			if (keep[i] >= from && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0)
			break;
		if (next > from)
			(void)close_range((unsigned)from, (unsigned)next - 1, 0);
		from = next + 1;
	}
	(void)close_range((unsigned)from, ~0u, 0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
	(void)!chdir("/");
}

static void prepare(void)
{
	struct sigaction guard = {.sa_handler = quiet}; /* no SA_RESTART: it is to interrupt (serve.c) */
	struct rlimit files;
	sigset_t all, alarm;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGALRM, &guard, NULL);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	umask(077);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static bool prepare_listener(void)
{
	uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &k.sizes) < 0)
		return false;
	if (k.sizes.seccomp_notif < sizeof(struct seccomp_notif))
		k.sizes.seccomp_notif = sizeof(struct seccomp_notif);
	if (k.sizes.seccomp_notif_resp < sizeof(struct seccomp_notif_resp))
		k.sizes.seccomp_notif_resp = sizeof(struct seccomp_notif_resp);
	k.notif = calloc(1, k.sizes.seccomp_notif);
	k.resp = calloc(1, k.sizes.seccomp_notif_resp);
	(void)ioctl(k.listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags); /* Linux 6.6: the answer wakes at once */
	return k.notif && k.resp;
}

/* --- the loop --- */

/* False: it was the last. */
static bool on_event(const struct epoll_event *e)
{
	struct signalfd_siginfo si;
	uint64_t n;

	switch (e->data.u64) {
	case EV_LISTENER:
		if (e->events & EPOLLIN)
			take_call();
		else if (e->events & (EPOLLHUP | EPOLLERR)) {
			close(k.listener); /* nobody is left who has the filter on; a child may still be ending */
			k.listener = -1;
			return reap();
		}
		break;
	case EV_CHILDREN:
		while (read(k.signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
			pass_on(&si);
		return reap();
	case EV_FRONT: /* it says nothing: it is gone */
		close(k.front);
		k.front = -1;
		context_first()->shim.has_run = false; /* its ring is somebody else's from now on */
		break;
	case EV_TIMER:
		(void)!read(k.timer, &n, sizeof(n));
		look_at_parked();
		break;
	case EV_SWEEP:
		(void)!read(k.sweep, &n, sizeof(n));
		k.sweeping = letters_sweep();
		k.sweeping = outer_sweep() || k.sweeping;
		if (k.sweeping)
			set_timer(k.sweep, SWEEP_US);
		break;
	case EV_OWED:
		owed_sweep();
		break;
	default:
		if (e->data.u64 >> 62 == ECHO_KEYS)
			echo_event(e->data.u64);
		else if (e->data.u64 >> 62)
			letters_event(e->data.u64);
		else if (e->data.u64 >> 60 == FERRY_KEYS)
			ferry_event(e->data.u64);
		else if (e->data.u64 >> 61 == OUTER_KEYS)
			outer_event(e->data.u64);
		else
			ready(e->data.u64 - EV_PARKED);
	}
	return true;
}

static void loop(void)
{
	struct epoll_event e[32];
	bool more = true;

	while (more) {
		size_t before = k.n_parked;
		int n = epoll_wait(k.epoll, e, COUNT_OF(e), -1);

		if (n < 0 && errno != EINTR)
			return;
		for (int i = 0; i < n && more; i++)
			more = on_event(&e[i]);
		if (k.n_parked || before)
			plan();
	}
}

static void join(const struct net2 *o)
{
	static struct ask_join j;

	snprintf(j.dir, sizeof(j.dir), "%s", o->net->dir);
	snprintf(j.host, sizeof(j.host), "%s", o->host->name);
	j.has_run = o->has_run;
	j.run = o->run;
	j.allow_outside = o->allow_outside;
	j.policy = *o->policy;
	if (ask(ASK_JOIN, &j, sizeof(j)) < 0)
		tell(NET2_LINE, 0,
		     "the supervisor of the outer berth run does not take this one: programs that call "
		     "the kernel past libc are on the outer one's host");
}

_Noreturn void net2_keep(const struct net2 *o, int front_fd, void (*become)(void *ctx, int tell_fd), void *ctx)
{
	int pass[2], tell_fd[2], killable = 0, e;
	sigset_t heard;

	k.front = above(front_fd);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, NET2_KEEPER);
	if (o->inside)
		join(o);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pass) < 0 || pipe2(tell_fd, O_CLOEXEC) < 0)
		_exit(125);
	k.command = fork();
	if (k.command == 0) {
		close(pass[0]);
		close(tell_fd[0]);
		tell(NET2_FORKED, getpid(), NULL); /* by itself: the keeper may be killed before it could */
		start(o, pass[1], tell_fd[1], become, ctx);
	}
	close(pass[1]);
	close(tell_fd[1]);
	if (k.command < 0) {
		tell(NET2_FAILED, errno, NULL);
		_exit(125);
	}
	prepare();
	if (!o->inside && !o->without) {
		k.listener = above(take_fd(pass[0], &killable));
		k.killable = killable > 0;
		if (k.listener < 0 || !prepare_listener()) {
			tell(NET2_NO_NET, killable < 0 ? -killable : EINVAL, NULL);
			if (o->needed)
				_exit(125);
		}
	}
	close(pass[0]);
	if (read(tell_fd[0], &e, sizeof(e)) == (ssize_t)sizeof(e)) {
		tell(NET2_FAILED, e, NULL);
		_exit(125);
	}
	close(tell_fd[0]);
	tell(NET2_STARTED, k.command, NULL);
	let_go(o->held, NET2_HELD);
	context_set_first(o->net, o->host, o->has_run, o->run, o->allow_outside, o->policy);
	sigfillset(&heard);
	sigdelset(&heard, SIGALRM);
	k.signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	k.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	k.sweep = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	k.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k.signals < 0 || k.timer < 0 || k.sweep < 0 || k.epoll < 0)
		_exit(125);
	add(k.listener, EV_LISTENER);
	add(k.signals, EV_CHILDREN);
	add(k.front, EV_FRONT);
	add(k.timer, EV_TIMER);
	add(k.sweep, EV_SWEEP);
	if (reap()) /* the command may have ended before we listened */
		loop();
	_exit(0);
}

bool net2_inside(void)
{
	return ask(ASK_HELLO, NULL, 0) == 0;
}

int net2_possible(void)
{
	return filter_possible();
}
