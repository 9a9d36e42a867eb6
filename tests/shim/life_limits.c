/* tests/shim/life_limits.c: life.c: limits, signals, threads, sandboxes. */
#include "life.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- limits --- */

static int few_descriptors(void)
{
	struct rlimit few = {32, 32};
	struct sockaddr_in a = {.sin_family = AF_INET};
	int l = listener(0), c = socket(AF_INET, SOCK_STREAM, 0), n;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)port_of(l));
	setrlimit(RLIMIT_NOFILE, &few);
	while ((n = dup(0)) >= 0)
		continue;
	if (errno != EMFILE)
		return 1;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EMFILE)
		return 2;
	if (connect(c, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 3;
	if (accept(l, NULL, NULL) >= 0 || errno != EMFILE)
		return 4;
	if (dup(l) >= 0 || errno != EMFILE || fcntl(l, F_DUPFD, 0) >= 0 || errno != EMFILE)
		return 5;
	close(31);
	n = accept(l, NULL, NULL);
	return n < 0 || port_of(n) != ntohs(a.sin_port) ? 6 : 0;
}

static int little_memory(void)
{
	struct rlimit as = {0};
	char line[256];
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!f || !fgets(line, sizeof(line), f) || sscanf(line, "%ld", &pages) != 1)
		return 1;
	fclose(f);
	as.rlim_cur = as.rlim_max = (rlim_t)pages * 4096; /* not one page more */
	if (setrlimit(RLIMIT_AS, &as) < 0 ||
	    mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 2;
	for (int i = 0; i < 100; i++)
		if (cycle())
			return 3;
	return 0;
}

/* Files may not grow: nobody may be killed by SIGXFSZ for a socket, nor a bind fail that writes no file. */
static int no_file_growth(void)
{
	struct rlimit none = {0, 0};
	int fd[900], n = 0;

	if (setrlimit(RLIMIT_FSIZE, &none) < 0 || cycle())
		return 1;
	for (; n < 900; n++) { /* more than a new network's table holds: it has to grow */
		fd[n] = listener(0);
		if (fd[n] < 0) {
			if (!life_under)
				return 2;
			break;
		}
	}
	if (n < 10)
		return 3;
	while (n > 0)
		close(fd[--n]);
	return cycle() ? 4 : 0;
}

static void limits(void)
{
	in_child(few_descriptors);
	in_child(little_memory);
	in_child(no_file_growth);
}

/* --- small stacks --- */

static void *cycle_in_thread(void *ret)
{
	*(int *)ret = 0;
	for (int i = 0; i < 20 && *(int *)ret == 0; i++)
		*(int *)ret = cycle();
	return NULL;
}

static void small_stack(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE) * 4; /* PTHREAD_STACK_MIN: 16 KiB */
	pthread_attr_t attr;
	pthread_t th;
	int r = -1;

	WANT(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, size) == 0);
	WANT(pthread_create(&th, &attr, cycle_in_thread, &r) == 0);
	pthread_join(th, NULL);
	pthread_attr_destroy(&attr);
	WANT(r == 0);
}

static volatile sig_atomic_t handler_result;

static void cycle_in_handler(int sig)
{
	int e = errno;

	(void)sig;
	handler_result = cycle();
	errno = e;
}

static void small_signal_stack(void)
{
	size_t size = (size_t)sysconf(_SC_SIGSTKSZ);
	struct sigaction act = {.sa_handler = cycle_in_handler, .sa_flags = SA_ONSTACK}, old;
	stack_t ss = {.ss_size = size}, none = {.ss_flags = SS_DISABLE};
	char *guarded = mmap(NULL, 4096 + ((size + 4095) & ~4095ul), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	WANT(guarded != MAP_FAILED && mprotect(guarded, 4096, PROT_NONE) == 0);
	ss.ss_sp = guarded + 4096;
	WANT(sigaltstack(&ss, NULL) == 0 && sigaction(SIGUSR1, &act, &old) == 0);
	handler_result = -1;
	raise(SIGUSR1);
	sigaction(SIGUSR1, &old, NULL);
	sigaltstack(&none, NULL);
	munmap(guarded, 4096 + ((size + 4095) & ~4095ul));
	WANT(handler_result == 0);
}

/* --- signals --- */

static volatile sig_atomic_t n_handled, n_handled_badly, bad_step, bad_errno;

static void on_timer(int sig)
{
	int e = errno, r = cycle();

	(void)sig;
	n_handled = n_handled + 1;
	if (r) {
		n_handled_badly = n_handled_badly + 1;
		bad_step = r;
		bad_errno = errno;
	}
	errno = e;
}

/* The same calls in the handler and in what it interrupts; SA_RESTART, so that none of them says EINTR. */
static void signal_handlers(void)
{
	struct itimerval often = {{0, 700}, {0, 700}}, off = {0};
	struct sigaction act = {.sa_handler = on_timer, .sa_flags = SA_RESTART}, old;
	int bad = 0, n = 0, e = 0;

	n_handled = n_handled_badly = 0;
	WANT(sigaction(SIGALRM, &act, &old) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (; n < 20000 && n_handled < 400; n++) {
		int r = cycle();

		if (r) {
			bad = r;
			e = errno;
		}
	}
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	if (bad || n_handled_badly)
		printf("    step %d: %s; in handlers %d times, step %d: %s\n", bad, strerror(e), (int)n_handled_badly,
		       (int)bad_step, strerror(bad_errno));
	WANT(bad == 0 && n_handled_badly == 0 && n_handled > 100);
}

static void on_nothing(int sig)
{
	(void)sig;
}

/* Without SA_RESTART a blocked accept() says EINTR, with it it goes on. */
static void interrupted(void)
{
	struct sigaction act = {.sa_handler = on_nothing}, old;
	struct itimerval soon = {{0, 0}, {0, 50000}};
	int l = listener(0), c, s;
	char b;

	WANT(l >= 0 && sigaction(SIGALRM, &act, &old) == 0);
	setitimer(ITIMER_REAL, &soon, NULL);
	WANT(accept(l, NULL, NULL) < 0 && errno == EINTR);
	c = dial(port_of(l));
	s = accept(l, NULL, NULL);
	WANT(c >= 0 && s >= 0);
	setitimer(ITIMER_REAL, &soon, NULL);
	WANT(recv(s, &b, 1, 0) < 0 && errno == EINTR);
	sigaction(SIGALRM, &old, NULL);
	close(c);
	close(s);
	close(l);
}

/* --- threads --- */

static _Atomic bool stop;

static void *churn(void *arg)
{
	int *bad = arg;

	while (!stop && !*bad) {
		*bad = cycle();
		if (*bad)
			*bad |= errno << 8;
	}
	return NULL;
}

static void *churn_names(void *arg)
{
	int *bad = arg;

	while (!stop && !*bad) {
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *ai;

		if (getaddrinfo("localhost", "80", &hints, &ai) != 0)
			*bad = 1;
		else
			freeaddrinfo(ai);
	}
	return NULL;
}

/* One socket in all hands: no call may crash or hang, whatever it answers. */
static _Atomic int shared;

static void *churn_shared(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	unsigned r = (unsigned)(uintptr_t)arg;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while (!stop) {
		int fd = shared, v = 1;

		r = r * 1664525 + 1013904223;
		switch (r >> 24 & 7) {
		case 0:
			a.sin_port = 0;
			(void)!bind(fd, (struct sockaddr *)&a, sizeof(a));
			break;
		case 1:
			(void)!listen(fd, 5);
			break;
		case 2:
			a.sin_port = htons((uint16_t)port_of(fd));
			(void)!connect(fd, (struct sockaddr *)&a, sizeof(a));
			break;
		case 3:
			close(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
			break;
		case 4:
			len = sizeof(a);
			(void)!getpeername(fd, (struct sockaddr *)&a, &len);
			break;
		case 5:
			(void)!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v));
			break;
		case 6:
			(void)!shutdown(fd, SHUT_RDWR);
			break;
		case 7:
			fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			if (fd >= 0 && dup2(fd, shared) >= 0)
				close(fd);
		}
	}
	return NULL;
}

static void threads(void)
{
	enum { N = 6 };
	pthread_t th[N + 2], sh[4];
	int bad[N + 2] = {0}, st;

	stop = false;
	shared = fcntl(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), F_DUPFD, 200);
	for (int i = 0; i < N + 2; i++)
		WANT(pthread_create(&th[i], NULL, i < N ? churn : churn_names, &bad[i]) == 0);
	for (int i = 0; i < 4; i++)
		WANT(pthread_create(&sh[i], NULL, churn_shared, (void *)(uintptr_t)(unsigned)(i * 7919)) == 0);
	for (int i = 0; i < 40; i++) {
		pid_t pid = i % 2 ? fork() : vfork();

		if (pid == 0) {
			if (i % 2)
				_exit(cycle() ? 1 : 0);
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		WANT(waitpid(pid, &st, 0) == pid && st == 0);
		usleep(10000);
	}
	stop = true;
	for (int i = 0; i < N + 2; i++)
		pthread_join(th[i], NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(sh[i], NULL);
	close(shared);
	for (int fd = 3; fd < 200; fd++) /* the leftovers of the shared one */
		if (port_of(fd) >= 0)
			close(fd);
	for (int i = 0; i < N + 2; i++) {
		if (bad[i])
			printf("    thread %d: step %d: %s\n", i, bad[i] & 255, strerror(bad[i] >> 8));
		WANT(bad[i] == 0);
	}
}

static void *wait_in_accept(void *arg)
{
	accept(*(int *)arg, NULL, NULL);
	return NULL;
}

static void *wait_in_recv(void *arg)
{
	char b;

	recv(*(int *)arg, &b, 1, 0);
	return NULL;
}

static void cancelled(void)
{
	int l = listener(0), c = dial(port_of(l)), s = accept(l, NULL, NULL);
	pthread_t th[2];
	void *ret[2];

	WANT(l >= 0 && c >= 0 && s >= 0);
	WANT(pthread_create(&th[0], NULL, wait_in_accept, &l) == 0);
	WANT(pthread_create(&th[1], NULL, wait_in_recv, &s) == 0);
	usleep(50000);
	for (int i = 0; i < 2; i++) {
		pthread_cancel(th[i]);
		pthread_join(th[i], &ret[i]);
		WANT(ret[i] == PTHREAD_CANCELED);
	}
	WANT(cycle() == 0);
	close(l);
	close(c);
	close(s);
}

static int ends_while_threads_wait(void)
{
	static int l;
	pthread_t th;

	l = listener(0);
	for (int i = 0; i < 8; i++)
		pthread_create(&th, NULL, wait_in_accept, &l);
	usleep(1000);
	exit(0);
}

static void exits(void)
{
	for (int i = 0; i < 8; i++)
		in_child(ends_while_threads_wait);
}

static int n_prepared;
static int at_fork_results;

static void at_fork(void)
{
	n_prepared++;
	at_fork_results |= cycle();
}

static void at_exit(void)
{
	if (cycle())
		_exit(9);
}

static int forks_with_handlers(void)
{
	pid_t pid;

	pthread_atfork(at_fork, at_fork, at_fork);
	atexit(at_exit);
	pid = fork();
	if (pid == 0)
		exit(at_fork_results || n_prepared != 2 ? 1 : 0);
	return reap(pid) || at_fork_results || n_prepared != 2 ? 1 : 0;
}

static int forks_and_exits(void)
{
	int r = forks_with_handlers();

	if (r)
		return r;
	exit(0);
}

static void fork_handlers(void)
{
	in_child(forks_and_exits);
}

/* --- sandboxes --- */

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* As sshd's preauth does: a connection that exists, and few system calls. The calls on data are exactly libc's. */
static int sandboxed(void)
{
	static struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_readv),
		ALLOW(SYS_writev),
		ALLOW(SYS_recvfrom),
		ALLOW(SYS_sendto),
		ALLOW(SYS_ppoll),
#ifdef SYS_poll
		ALLOW(SYS_poll),
#endif
		ALLOW(SYS_getsockname),
		ALLOW(SYS_getpeername),
		ALLOW(SYS_getsockopt),
		ALLOW(SYS_shutdown),
		ALLOW(SYS_close),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};
	int l = listener(0), c = dial(port_of(l)), s = accept(l, NULL, NULL);
	struct pollfd p = {.fd = s, .events = POLLIN};
	char b[4] = "abc";

	if (c < 0 || s < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return 1;
	if (write(c, b, 3) != 3 || poll(&p, 1, 1000) != 1 || read(s, b, 3) != 3)
		return 2;
	if (send(s, b, 3, MSG_NOSIGNAL) != 3 || recv(c, b, 3, 0) != 3)
		return 3;
	if (port_of(s) != port_of(l) || port_of(c) <= 0)
		return 4;
	if (shutdown(c, SHUT_WR) < 0 || read(s, b, 1) != 0 || close(s) < 0)
		return 5;
	return 0;
}

/* A filter that lists shutdown(2) and nothing that asks or tells a socket anything, as sshd's. */
static int shuts(void)
{
	static struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_sendto), /* how the library makes write() on a stream */
		ALLOW(SYS_shutdown),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};
	int l = listener(0), c = dial(port_of(l)), s = accept(l, NULL, NULL), d = dial(port_of(l));
	char b[4] = "abc";

	if (c < 0 || s < 0 || d < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return 1;
	if (write(c, b, 3) != 3 || shutdown(c, SHUT_WR) < 0 || read(s, b, 4) != 3 || read(s, b, 1) != 0)
		return 2;
	if (write(s, b, 3) != 3 || read(c, b, 3) != 3 || shutdown(s, SHUT_RDWR) < 0 || read(c, b, 1) != 0)
		return 3;
	if (shutdown(d, SHUT_RD) < 0 || read(d, b, 1) != 0 || shutdown(l, SHUT_RDWR) < 0)
		return 4;
	return 0;
}

/* read, write and exit, and nothing else. */
static int strict(void)
{
	int l = listener(0), c = dial(port_of(l)), s = accept(l, NULL, NULL);
	char b[4] = "abc";

	if (c < 0 || s < 0)
		return 1;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0) /* who has a filter, the second net's, may not */
		return errno == EINVAL && getenv("BERTH_RUN") ? 0 : 1;
	if (write(c, b, 3) != 3 || read(s, b, 3) != 3)
		syscall(SYS_exit, 2);
	syscall(SYS_exit, 0);
	return 3;
}

static void sandboxes(void)
{
	in_child(sandboxed);
	in_child(shuts);
	in_child(strict);
}

const struct check life_limits[] = {
	{"few descriptors, little memory, no file may grow", limits},
	{"a thread with 16 KiB of stack", small_stack},
	{"a signal handler on a small stack of its own", small_signal_stack},
	{"signal handlers that make the calls they interrupt", signal_handlers},
	{"a signal interrupts accept and recv", interrupted},
	{"threads, one socket in all hands, fork and vfork in between", threads},
	{"a thread is cancelled in accept, in recv", cancelled},
	{"exit while threads wait", exits},
	{"handlers of fork and exit use sockets", fork_handlers},
	{"seccomp sandboxes: the calls on data are libc's own", sandboxes},
};
const size_t n_life_limits = sizeof(life_limits) / sizeof(life_limits[0]);
