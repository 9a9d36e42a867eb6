/* tests/shim/under.c: what only happens in a network, seen by an ordinary program on host "one".
 *
 * Run by the launcher; the network also has a host "two". Each check reports under its own name; the
 * first argument, when there is one, picks the checks whose name contains it. More of them: under_wait.c, under_files.c.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "under.h"

extern char **environ;
_Atomic int failures;
const char *network_dir;

int listener(const char *text, int port, int option)
{
	struct sockaddr_in a = at(text, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (option)
		setsockopt(fd, SOL_SOCKET, option, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int dial(const char *text, int port)
{
	struct sockaddr_in a = at(text, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* --- names --- */

static void getaddrinfo_finds_hosts(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME | AI_ADDRCONFIG}, *ai, *two;
	char text[64], host[64];

	WANT(getaddrinfo("TWO", "http", &hints, &ai) == 0);
	WANT(ai->ai_family == AF_INET && ai->ai_next && ai->ai_next->ai_family == AF_INET6 && !ai->ai_next->ai_next);
	WANT(((struct sockaddr_in *)(void *)ai->ai_addr)->sin_port == htons(80));
	WANT(((struct sockaddr_in6 *)(void *)ai->ai_next->ai_addr)->sin6_port == htons(80));
	WANT(ai->ai_canonname && !strcmp(ai->ai_canonname, "two"));
	WANT(getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), text, sizeof(text), NI_NUMERICSERV) == 0);
	WANT(!strcmp(host, "two") && !strcmp(text, "80"));
	WANT(getnameinfo(ai->ai_next->ai_addr, ai->ai_next->ai_addrlen, host, sizeof(host), NULL, 0, 0) == 0);
	WANT(!strcmp(host, "two"));
	WANT(getnameinfo(ai->ai_addr, ai->ai_addrlen, host, 3, NULL, 0, 0) == EAI_OVERFLOW);
	hints.ai_family = AF_INET6;
	WANT(getaddrinfo("two.under.berth.", "8080", &hints, &two) == 0);
	WANT(two->ai_family == AF_INET6 && !two->ai_next);
	freeaddrinfo(two);
	freeaddrinfo(ai);
}

static void getaddrinfo_leaves_the_rest(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *ai;

	WANT(getaddrinfo("nobody.under.berth", "80", NULL, &ai) == EAI_NONAME);
	WANT(getaddrinfo("two", "80", &hints, &ai) == EAI_NONAME); /* not a number */
	WANT(getaddrinfo("127.0.0.9", "80", &hints, &ai) == 0);
	freeaddrinfo(ai);
	WANT(getaddrinfo("localhost", "80", NULL, &ai) == 0);
	freeaddrinfo(ai);
	hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	WANT(getaddrinfo(NULL, "80", &hints, &ai) == 0);
	freeaddrinfo(ai);
	WANT(getaddrinfo("two", "no-such-service-at-all", NULL, &ai) == EAI_SERVICE);
}

static void gethostby_family(void)
{
	char text[64], six[64], buf[1024], seen[64];
	struct hostent *h, he, *ret;
	uint8_t octets[16];
	int err;

	WANT(address_of("two", text, AF_INET) && address_of("two", six, AF_INET6));
	h = gethostbyname("two");
	WANT(h && h->h_addrtype == AF_INET && h->h_length == 4 && h->h_addr_list[0] && !h->h_addr_list[1]);
	WANT(!strcmp(h->h_name, "two") && h->h_aliases[0] && !strcmp(h->h_aliases[0], "two.under.berth"));
	WANT(inet_ntop(AF_INET, h->h_addr_list[0], seen, sizeof(seen)) && !strcmp(seen, text));
	h = gethostbyname2("two", AF_INET6);
	WANT(h && inet_ntop(AF_INET6, h->h_addr_list[0], seen, sizeof(seen)) && !strcmp(seen, six));
	WANT(gethostbyname_r("two", &he, buf, sizeof(buf), &ret, &err) == 0 && ret == &he);
	WANT(gethostbyname_r("two", &he, buf, 8, &ret, &err) == ERANGE && !ret);
	WANT(gethostbyname2_r("two", AF_INET6, &he, buf + 1, sizeof(buf) - 1, &ret, &err) == 0 && ret == &he);
	WANT(!gethostbyname("nobody.under.berth") && h_errno == HOST_NOT_FOUND);
	inet_pton(AF_INET, text, octets);
	h = gethostbyaddr(octets, 4, AF_INET);
	WANT(h && !strcmp(h->h_name, "two"));
	inet_pton(AF_INET6, six, octets);
	WANT(gethostbyaddr_r(octets, 16, AF_INET6, &he, buf, sizeof(buf), &ret, &err) == 0 && ret == &he);
	WANT(!strcmp(he.h_name, "two"));
}

/* --- addresses --- */

static void own_address_and_others(void)
{
	char own[64], two[64], none[64];
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l, c, s;

	WANT(address_of("one", own, AF_INET) && address_of("two", two, AF_INET));
	l = listener("0.0.0.0", 7000, 0);
	WANT(l >= 0);
	c = dial(own, 7000);
	WANT(c >= 0);
	s = accept(l, (struct sockaddr *)&a, &len);
	WANT(s >= 0 && a.sin_addr.s_addr == at(own, 0).sin_addr.s_addr);
	close(c);
	close(s);
	WANT(dial(two, 7000) < 0 && errno == ECONNREFUSED);
	WANT(dial(nobodys(none), 7000) < 0 && errno == ENETUNREACH);
	close(l);
	WANT(listener(two, 7001, 0) < 0 && errno == EADDRNOTAVAIL);
	l = listener(own, 7001, 0);
	WANT(l >= 0 && dial("127.0.0.1", 7001) < 0 && errno == ECONNREFUSED);
	close(l);
}

static void loopback_cannot_leave(void)
{
	struct sockaddr_in a = at("127.0.0.1", 0), b;
	char two[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	WANT(address_of("two", two, AF_INET));
	b = at(two, 7002);
	WANT(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	WANT(connect(fd, (struct sockaddr *)&b, sizeof(b)) < 0 && errno == EINVAL);
	close(fd);
}

/* --- sharing --- */

static void reuseport_spreads(void)
{
	enum { N = 4, FLOWS = 200 };
	int l[N], got[N] = {0}, c[FLOWS];

	for (int i = 0; i < N; i++) {
		l[i] = listener("127.0.0.1", 7100, SO_REUSEPORT);
		WANT(l[i] >= 0);
	}
	for (int i = 0; i < FLOWS; i++) {
		c[i] = dial("127.0.0.1", 7100);
		WANT(c[i] >= 0);
	}
	for (int i = 0; i < N; i++) {
		struct pollfd p = {.fd = l[i], .events = POLLIN};

		while (poll(&p, 1, 0) == 1) {
			close(accept(l[i], NULL, NULL));
			got[i]++;
		}
		WANT(got[i] > FLOWS / N / 4); /* fair shares are 50; 12 is 6 deviations away */
	}
	WANT(got[0] + got[1] + got[2] + got[3] == FLOWS);
	for (int i = 0; i < FLOWS; i++)
		close(c[i]);
	for (int i = 0; i < N - 1; i++)
		close(l[i]);
	for (int i = 0; i < 20; i++) { /* the one that is left serves all */
		int fd = dial("127.0.0.1", 7100);

		WANT(fd >= 0);
		close(fd);
	}
	close(l[N - 1]);
}

static void killed_server_frees_its_port(void)
{
	int p[2], l, st;
	char b;
	pid_t pid;

	WANT(pipe(p) == 0);
	for (int i = 0; i < 20; i++) {
		pid = fork();
		if (pid == 0) {
			l = listener("0.0.0.0", 7200, 0);
			b = l >= 0 ? 'y' : 'n';
			if (write(p[1], &b, 1) != 1)
				_exit(1);
			pause();
		}
		WANT(read(p[0], &b, 1) == 1 && b == 'y');
		WANT(listener("127.0.0.1", 7200, 0) < 0 && errno == EADDRINUSE);
		kill(pid, SIGKILL);
		waitpid(pid, &st, 0);
		WANT(dial("127.0.0.1", 7200) < 0 && errno == ECONNREFUSED);
	}
	close(p[0]);
	close(p[1]);
}

/* --- strangers and limits --- */

static void strangers_are_not_shown(void)
{
	int l = listener("127.0.0.1", 7300, 0), fd, c, n = 0;
	char dir[4200];
	struct dirent *e;
	DIR *d;

	WANT(l >= 0);
	fcntl(l, F_SETFL, O_NONBLOCK);
	snprintf(dir, sizeof(dir), "%s/s", network_dir);
	d = opendir(dir);
	WANT(d);
	while ((e = readdir(d))) { /* connect to every listener there is, as no program of the network would */
		struct sockaddr_un un = {.sun_family = AF_UNIX};

		if (e->d_name[0] == '.' || strlen(dir) + strlen(e->d_name) + 2 > sizeof(un.sun_path))
			continue;
		strcpy(stpcpy(stpcpy(un.sun_path, dir), "/"), e->d_name);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
			n++;
		close(fd);
	}
	closedir(d);
	WANT(n > 0);
	WANT(accept(l, NULL, NULL) < 0 && errno == EAGAIN);
	c = dial("127.0.0.1", 7300);
	fd = accept(l, NULL, NULL);
	WANT(c >= 0 && fd >= 0);
	close(c);
	close(fd);
	close(l);
}

static void no_descriptors_left(void)
{
	struct rlimit old, few = {64, 64};
	int fd[64], n = 0, l, c = socket(AF_INET, SOCK_STREAM, 0), spare = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at("127.0.0.1", 7400), b = at("127.0.0.1", 7401);

	WANT(getrlimit(RLIMIT_NOFILE, &old) == 0);
	few.rlim_max = old.rlim_max;
	l = listener("127.0.0.1", 7400, 0);
	WANT(l >= 0 && setrlimit(RLIMIT_NOFILE, &few) == 0);
	while (n < 64 && (fd[n] = dup(0)) >= 0)
		n++;
	WANT(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EMFILE);
	WANT(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0); /* needs no descriptor of its own */
	WANT(accept(l, NULL, NULL) < 0 && errno == EMFILE);
	WANT(bind(spare, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == EADDRINUSE);
	WANT(bind(spare, (struct sockaddr *)&b, sizeof(b)) == 0 && listen(spare, 5) == 0);
	while (n > 0)
		close(fd[--n]);
	WANT(setrlimit(RLIMIT_NOFILE, &old) == 0);
	n = accept(l, NULL, NULL);
	WANT(n >= 0);
	close(n);
	close(c);
	close(l);
	close(spare);
}

static void errno_is_kept(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l, c, s;

	errno = 4242;
	l = listener("127.0.0.1", 7450, SO_REUSEADDR);
	c = dial("127.0.0.1", 7450);
	s = accept(l, (struct sockaddr *)&a, &len);
	len = sizeof(a);
	getsockname(s, (struct sockaddr *)&a, &len);
	len = sizeof(a);
	getpeername(c, (struct sockaddr *)&a, &len);
	shutdown(s, SHUT_WR);
	WANT(errno == 4242);
	close(l);
	close(c);
	close(s);
}

/* A socket is connected to itself by the supervisor of a run; here is none. The socket is as good as before. */
static void to_itself_without_a_supervisor(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7452), b = {0};
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), l = listener("127.0.0.1", 7453, SO_REUSEADDR), s;
	socklen_t len = sizeof(b);
	char octet = 'x';

	WANT(bind(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	WANT(connect(c, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ECONNREFUSED);
	WANT(getsockname(c, (struct sockaddr *)&b, &len) == 0 && b.sin_port == a.sin_port);
	a.sin_port = htons(7453);
	WANT(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	s = accept(l, NULL, NULL);
	WANT(write(c, &octet, 1) == 1 && read(s, &octet, 1) == 1);
	close(c);
	close(s);
	close(l);
}

/* --- processes --- */

static bool child_says_ours(char *const *env, bool spawn)
{
	char name[] = "under", ask[] = "--am-i-under", *const argv[] = {name, ask, NULL};
	pid_t pid;
	int st;

	if (spawn) {
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, env) != 0)
			return false;
	} else {
		pid = vfork();
		if (pid == 0) {
			execve("/proc/self/exe", argv, env);
			_exit(127);
		}
	}
	return waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 0;
}

static void exec_keeps_the_network(void)
{
	char a[] = "A=b", libc[] = "LD_PRELOAD=libc.so.6", *none[] = {NULL}, *other[] = {a, libc, NULL};
	pid_t pid;
	int st;

	WANT(child_says_ours(environ, false));
	WANT(child_says_ours(none, false));
	WANT(child_says_ours(none, true));
	WANT(child_says_ours(other, false));
	fflush(stdout);
	pid = fork();
	if (pid == 0) { /* execl and clearenv, as daemons do */
		clearenv();
		execl("/proc/self/exe", "under", "--am-i-under", (char *)NULL);
		_exit(127);
	}
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	pid = fork();
	if (pid == 0) {
		execle("/proc/self/exe", "under", "--am-i-under", (char *)NULL, none);
		_exit(127);
	}
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
}

/* A program started with nothing: a TCP socket of ours is an AF_UNIX one underneath, in fstat's eyes too. */
static int am_i_under(void)
{
	char link[64] = "", line[256];
	unsigned long inode = 0, seen;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool found = false;
	FILE *f = fopen("/proc/net/unix", "r");

	snprintf(line, sizeof(line), "/proc/self/fd/%d", fd);
	if (readlink(line, link, sizeof(link) - 1) < 0 || sscanf(link, "socket:[%lu]", &inode) != 1 || !f)
		return 2;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu", &seen) == 1 && seen == inode)
			found = true;
	fclose(f);
	return !found;
}

static volatile sig_atomic_t n_signals;

static void on_signal(int sig)
{
	struct sockaddr_in a = at("127.0.0.1", 0);
	int e = errno, fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)sig;
	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		n_signals = n_signals + 1;
	if (fd >= 0)
		close(fd);
	errno = e;
}

static _Atomic bool stop;

struct churned {
	long n;		    /* rounds that went well */
	const char *failed; /* the call that did not, and its errno */
	int err;
};

static void *churn(void *arg)
{
	struct churned *me = arg;

	while (!stop && !me->failed) {
		int l = listener("127.0.0.1", 0, 0), c = -1, s = -1;
		struct sockaddr_in a;
		socklen_t len = sizeof(a);

		if (l < 0)
			me->failed = "listen";
		else if (getsockname(l, (struct sockaddr *)&a, &len) < 0)
			me->failed = "getsockname";
		else if ((c = dial("127.0.0.1", ntohs(a.sin_port))) < 0)
			me->failed = "connect";
		else if ((s = accept(l, NULL, NULL)) < 0)
			me->failed = "accept";
		me->err = errno;
		close(c);
		close(s);
		close(l);
		me->n++;
	}
	return NULL;
}

/* Threads that open and close, a signal handler that binds, and forks in between: nobody waits for ever
 * (the test's time limit is the judge), and every call does what it should. */
static void threads_signals_and_forks(void)
{
	enum { N = 4 };
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
	pthread_t th[N];
	struct churned did[N] = {0};
	int st, bad = 0;

	sigaction(SIGUSR1, &act, &old);
	stop = false;
	for (int i = 0; i < N; i++)
		WANT(pthread_create(&th[i], NULL, churn, &did[i]) == 0);
	for (int i = 0; i < 60; i++) {
		pid_t pid;

		fflush(stdout);
		for (int k = 0; k < N; k++)
			pthread_kill(th[k], SIGUSR1);
		pid = fork();
		if (pid == 0) {
			int l = listener("127.0.0.1", 0, 0);

			_exit(l < 0);
		}
		waitpid(pid, &st, 0);
		bad += st != 0;
		usleep(10000);
	}
	stop = true;
	for (int i = 0; i < N; i++)
		pthread_join(th[i], NULL);
	sigaction(SIGUSR1, &old, NULL);
	WANT(bad == 0);
	WANT(n_signals > 0);
	for (int i = 0; i < N; i++) {
		if (did[i].failed)
			printf("    thread %d, round %ld: %s: %s\n", i, did[i].n, did[i].failed, strerror(did[i].err));
		WANT(!did[i].failed && did[i].n > 0);
	}
}

static void passed_descriptors(void)
{
	char ctl[CMSG_SPACE(sizeof(int))] = "", b = 'x';
	struct iovec iov = {&b, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int sv[2], l = listener("127.0.0.1", 7500, 0), got;

	WANT(l >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &l, sizeof(int));
	WANT(sendmsg(sv[0], &m, 0) == 1);
	close(l);
	memset(ctl, 0, sizeof(ctl));
	m.msg_controllen = sizeof(ctl);
	WANT(recvmsg(sv[1], &m, 0) == 1 && m.msg_controllen);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	WANT(getsockname(got, (struct sockaddr *)&a, &len) == 0 && a.sin_port == htons(7500));
	l = dial("127.0.0.1", 7500);
	WANT(l >= 0);
	close(l);
	close(got);
	close(sv[0]);
	close(sv[1]);
}

static void *idle_connect(void *arg)
{
	*(int *)arg = dial("127.0.0.1", 7600);
	return NULL;
}

/* A listener that does not accept: 2,000 clients are connected all the same, and a close refuses none late. */
static void deep_backlog(void)
{
	enum { N = 400 };
	int l = listener("127.0.0.1", 7600, 0), c[N], last = -1;
	pthread_t th;

	WANT(l >= 0);
	for (int i = 0; i < N; i++) {
		c[i] = dial("127.0.0.1", 7600);
		WANT(c[i] >= 0);
	}
	WANT(pthread_create(&th, NULL, idle_connect, &last) == 0);
	pthread_join(th, NULL);
	WANT(last >= 0);
	close(last);
	for (int i = 0; i < N; i++) {
		int s = accept(l, NULL, NULL);

		WANT(s >= 0);
		close(s);
		close(c[i]);
	}
	close(l);
}

static void fast_open(void)
{
	int l = listener("127.0.0.1", 7700, 0), c = socket(AF_INET, SOCK_STREAM, 0), s;
	struct sockaddr_in a = at("127.0.0.1", 7700);
	char buf[8] = "";

	WANT(l >= 0);
	WANT(sendto(c, "early", 5, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a)) == 5);
	s = accept(l, NULL, NULL);
	WANT(s >= 0 && read(s, buf, sizeof(buf)) == 5 && !strcmp(buf, "early"));
	close(s);
	close(c);
	close(l);
}

/* Many threads choose, and give back: the range is full of the dead again and again, and whoever finds it so
 * while another has just swept it must look again. */
static void *choose_ports(void *arg)
{
	int *bad = arg;

	for (int i = 0; i < 2000; i++) {
		struct sockaddr_in a = at("127.0.0.1", 0);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		*bad += bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0;
		close(fd);
	}
	return NULL;
}

static void many_choose_ports(void)
{
	enum { N = 16 };
	pthread_t th[N];
	int bad[N] = {0};

	for (int i = 0; i < N; i++)
		WANT(pthread_create(&th[i], NULL, choose_ports, &bad[i]) == 0);
	for (int i = 0; i < N; i++)
		pthread_join(th[i], NULL);
	for (int i = 0; i < N; i++)
		WANT(bad[i] == 0);
}

static void cleared_environment(void)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		char line[64] = "";
		FILE *f;

		clearenv();
		if (system("/usr/bin/env | grep -q '^BERTH_HOST=one$'") != 0)
			_exit(1);
		f = popen("/usr/bin/env | grep -c '^LD_PRELOAD=.*libberth'", "r");
		if (!f || !fgets(line, sizeof(line), f) || line[0] != '1')
			_exit(2);
		_exit(getenv("LD_PRELOAD") ? 3 : 0); /* to the program it stays cleared */
	}
	WANT(waitpid(pid, &st, 0) == pid);
	WANT(WIFEXITED(st) && WEXITSTATUS(st) == 0);
}

/* sendto() and recvfrom() on a socket that is not ours say what libc's say. */
static void addresses_on_other_sockets(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX}, from;
	int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
	socklen_t len = sizeof(un), from_len = sizeof(from);
	char buf[8];

	WANT(bind(a, (struct sockaddr *)&un, sizeof(un.sun_family)) == 0);
	WANT(bind(b, (struct sockaddr *)&un, sizeof(un.sun_family)) == 0);
	WANT(getsockname(a, (struct sockaddr *)&un, &len) == 0);
	WANT(sendto(b, "hello", 5, 0, (struct sockaddr *)&un, len) == 5);
	WANT(recvfrom(a, buf, sizeof(buf), MSG_PEEK, (struct sockaddr *)&from, &from_len) == 5);
	WANT(from.sun_family == AF_UNIX && from_len == len && from.sun_path[0] == '\0');
	from_len = 4; /* cut, and the whole length told */
	WANT(recvfrom(a, buf, 3, MSG_TRUNC, (struct sockaddr *)&from, &from_len) == 5 && from_len == len);
	WANT(memcmp(buf, "hel", 3) == 0);
	WANT(sendto(b, "x", 1, 0, (struct sockaddr *)&un, 200) == -1 && errno == EINVAL);
	WANT(sendto(-1, "x", 1, 0, (struct sockaddr *)&un, len) == -1 && errno == EBADF);
	WANT(recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len) == -1 && errno == EAGAIN);
	close(a);
	close(b);
}

/* What a program finds when it asks which addresses it has is what it can bind. */
static void interfaces_are_the_hosts(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *own;
	struct ifreq r[4] = {0}, one = {0};
	struct ifconf c = {.ifc_len = sizeof(r), .ifc_req = r};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), six = 0, four = 0;
	struct ifaddrs *all;

	WANT(getaddrinfo("one", NULL, &hints, &own) == 0);
	WANT(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len == 2 * (int)sizeof(r[0]));
	WANT(!strcmp(r[0].ifr_name, "lo") && !strcmp(r[1].ifr_name, "berth0"));
	WANT(!memcmp(&((struct sockaddr_in *)&r[1].ifr_addr)->sin_addr, &((struct sockaddr_in *)own->ai_addr)->sin_addr,
		     4));
	WANT(if_nametoindex("berth0") == 2 && if_nametoindex("eth0") == 0 && errno == ENODEV);
	strcpy(one.ifr_name, "berth0");
	WANT(ioctl(fd, SIOCGIFMTU, &one) == 0 && one.ifr_mtu == 65536);
	WANT(ioctl(fd, SIOCGIFFLAGS, &one) == 0 && one.ifr_flags & IFF_UP && one.ifr_flags & IFF_MULTICAST);
	WANT(ioctl(fd, SIOCGIFBRDADDR, &one) == 0);
	WANT(((struct sockaddr_in *)&one.ifr_addr)->sin_addr.s_addr >> 24 == 0xff);
	WANT(ioctl(fd, SIOCSIFFLAGS, &one) < 0 && errno == EPERM);
	WANT(ioctl(fd, SIOCSIFADDR, &one) < 0 && errno == EPERM);
	WANT(getifaddrs(&all) == 0);
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		int s;

		WANT(!strcmp(i->ifa_name, "lo") || !strcmp(i->ifa_name, "berth0"));
		four += i->ifa_addr->sa_family == AF_INET;
		six += i->ifa_addr->sa_family == AF_INET6;
		if (i->ifa_addr->sa_family == AF_PACKET)
			continue;
		s = socket(i->ifa_addr->sa_family, SOCK_STREAM, 0); /* each can be bound */
		WANT(bind(s, i->ifa_addr,
			  i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
							    : sizeof(struct sockaddr_in6)) == 0);
		close(s);
	}
	WANT(four == 2 && six == 2);
	freeifaddrs(all);
	freeaddrinfo(own);
	close(fd);
}

/* What a program on host "two" finds at an address of ours: 1, the TCP port answers; 2, the UDP port does. */
static int reach(const char *text, int port)
{
	struct sockaddr_in a = at(text, port);
	int c = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0), found = 0;
	char one;

	if (connect(c, (struct sockaddr *)&a, sizeof(a)) == 0)
		found |= 1;
	if (connect(u, (struct sockaddr *)&a, sizeof(a)) == 0 && send(u, "?", 1, 0) == 1 &&
	    !(recv(u, &one, 1, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED))
		found |= 2;
	return found;
}

static int reach_from_two(const char *text, int port)
{
	char number[16];
	int st = -1;
	pid_t pid;

	snprintf(number, sizeof(number), "%d", port);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("BERTH_HOST", "two", 1);
		execl("/proc/self/exe", "under", "--reach", text, number, (char *)NULL);
		_exit(99);
	}
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

/* A listener on one interface hears what comes there. */
static void devices_are_heard(void)
{
	static const struct {
		const char *device;
		int from_here, from_two;
	} rows[] = {{"lo", 3, 0}, {"berth0", 0, 3}, {"", 3, 3}};
	char own[64];

	WANT(address_of("one", own, AF_INET));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int l = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
		struct sockaddr_in a = at("0.0.0.0", 6190);
		const char *d = rows[i].device;

		WANT(setsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, d, (socklen_t)strlen(d)) == 0);
		WANT(setsockopt(u, SOL_SOCKET, SO_BINDTODEVICE, d, (socklen_t)strlen(d)) == 0);
		WANT(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 4) == 0);
		WANT(bind(u, (struct sockaddr *)&a, sizeof(a)) == 0);
		WANT(reach("127.0.0.1", 6190) == rows[i].from_here);
		WANT(reach(own, 6190) == rows[i].from_here); /* one's own address is reached over the loopback */
		WANT(reach_from_two(own, 6190) == rows[i].from_two);
		close(l);
		close(u);
	}
}

static const struct check checks[] = {
	{"getaddrinfo finds the network's hosts", getaddrinfo_finds_hosts},
	{"getaddrinfo leaves every other name to libc", getaddrinfo_leaves_the_rest},
	{"gethostbyname, gethostbyaddr and their kin", gethostby_family},
	{"a host has its own address, and no other's", own_address_and_others},
	{"a loopback address cannot leave its host", loopback_cannot_leave},
	{"SO_REUSEPORT spreads flows over its group", reuseport_spreads},
	{"a killed server frees its port at once", killed_server_frees_its_port},
	{"a connection from outside the network is not shown", strangers_are_not_shown},
	{"no descriptors left", no_descriptors_left},
	{"connected to itself: not without a supervisor", to_itself_without_a_supervisor},
	{"errno is kept by calls that succeed", errno_is_kept},
	{"exec and spawn keep the network, whatever the environment", exec_keeps_the_network},
	{"threads, signal handlers and forks", threads_signals_and_forks},
	{"many threads choose ports", many_choose_ports},
	{"a shell of a program that cleared its environment", cleared_environment},
	{"a descriptor that was passed is still the socket", passed_descriptors},
	{"a backlog deeper than was asked for", deep_backlog},
	{"MSG_FASTOPEN connects", fast_open},
	{"addresses on sockets that are not ours", addresses_on_other_sockets},
	{"the interfaces are the host's own two", interfaces_are_the_hosts},
	{"a listener on an interface hears that one", devices_are_heard},
};

int main(int argc, char **argv)
{
	const char *only;
	int ran;

	if (argc > 1 && !strcmp(argv[1], "--am-i-under"))
		return am_i_under();
	if (argc == 4 && !strcmp(argv[1], "--reach"))
		return reach(argv[2], atoi(argv[3]));
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	network_dir = getenv("BERTH_NETWORK_DIR");
	if (!network_dir)
		return 2;
	only = argc > 1 ? argv[1] : NULL;
	ran = run_checks(checks, sizeof(checks) / sizeof(checks[0]), only) +
	      run_checks(under_wait, n_under_wait, only) + run_checks(under_files, n_under_files, only);
	return ran == 0 || failures ? 1 : 0;
}
