/* tests/shim/life.c: the life of a process: exec in every form, spawn, descriptors that are passed, closed,
 * inherited and activated. Run natively and under berth by run_life.sh: every check holds in both.
 *
 * Each check reports under its own name; the first argument, when there is one, picks the checks whose
 * name contains it. With --role it is one of the programs that the checks start:
 *
 *     dial PORT          exit 0 when somebody listens on 127.0.0.1:PORT
 *     ask PORT           connect there and print what comes until the end
 *     serve FD           accept one connection on FD and answer it with the peer's and own port
 *     echo               inetd style: what stands on descriptor 0 is a connection
 *     activated N        LISTEN_FDS as sd_listen_fds(3) reads it, N of them; then serve on 3
 *     take FD            receive a descriptor on the AF_UNIX socket FD, then as serve
 *     deep LIBRARY       life_lib.c, loaded with RTLD_DEEPBIND (with a third word: by dlmopen), dials a listener of ours
 *     foreign            files, pipes and sockets that are not ours, between two write(-1): run_life.sh counts
 *                        the system calls, which must be the same natively and under berth
 */
#include "life.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;
_Atomic int failures;
bool life_under;
static char self[4096];

int port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port) : -1;
}

static int peer_port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	return getpeername(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port) : -1;
}

int listener(int port)
{
	struct sockaddr_in a = at("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), e;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 64) == 0)
		return fd;
	e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return -1;
}

int dial(int port)
{
	struct sockaddr_in a = at("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), e;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return -1;
}

int cycle(void)
{
	int step = 1, l = listener(0), c = -1, s = -1, e;
	char b = 'x';

	if (l < 0)
		goto out;
	step = 2;
	c = dial(port_of(l));
	if (c < 0)
		goto out;
	step = 3;
	s = accept(l, NULL, NULL);
	if (s < 0)
		goto out;
	step = 4;
	if (peer_port_of(s) != port_of(c) || peer_port_of(c) != port_of(l))
		goto out;
	step = 5;
	if (send(c, &b, 1, MSG_NOSIGNAL) != 1 || recv(s, &b, 1, 0) != 1 || b != 'x')
		goto out;
	step = 6;
	if (shutdown(c, SHUT_WR) < 0 || recv(s, &b, 1, 0) != 0)
		goto out;
	step = 0;
out:
	e = errno;
	if (l >= 0)
		close(l);
	if (c >= 0)
		close(c);
	if (s >= 0)
		close(s);
	errno = e;
	return step;
}

int reap(int pid)
{
	int st;

	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

static const char *number(int n)
{
	static char text[8][16];
	static int at;

	at = (at + 1) % 8;
	snprintf(text[at], sizeof(text[at]), "%d", n);
	return text[at];
}

/* --- the programs that are started --- */

static int serve(int fd)
{
	int s = accept(fd, NULL, NULL), n;
	char line[64];

	if (s < 0)
		return 10;
	n = snprintf(line, sizeof(line), "%d %d", peer_port_of(s), port_of(s));
	return write(s, line, (size_t)n) == n ? 0 : 11;
}

static int ask(int port)
{
	char line[64];
	int c = dial(port);
	ssize_t n;

	if (c < 0)
		return 1;
	while ((n = read(c, line, sizeof(line))) > 0)
		(void)!write(1, line, (size_t)n);
	return n < 0 ? 2 : 0;
}

static int activated(int want)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct stat st;
	int v;

	if (!pid || !n || atoi(pid) != getpid() || atoi(n) != want)
		return 20;
	for (int fd = 3; fd < 3 + want; fd++) { /* as sd_is_socket_inet(3) looks at it */
		if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
			return 21;
		len = sizeof(v);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len) < 0 || v != SOCK_STREAM)
			return 22;
		len = sizeof(v);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len) < 0 || v != 1)
			return 23;
		len = sizeof(a);
		if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 || a.ss_family != AF_INET)
			return 24;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return 25;
	}
	return serve(3);
}

static int pass(int sock, int fd)
{
	char ctl[CMSG_SPACE(sizeof(int))] = "", b = 'x';
	struct iovec iov = {&b, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	return (int)sendmsg(sock, &m, 0);
}

static int take(int sock)
{
	char ctl[CMSG_SPACE(sizeof(int))] = "", b;
	struct iovec iov = {&b, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	int fd;

	if (recvmsg(sock, &m, 0) != 1 || m.msg_controllen == 0)
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* A connection on descriptors 0 and 1. */
static int echo(void)
{
	char line[128], whole[160];
	ssize_t n = read(0, line, sizeof(line) - 1);

	if (n <= 0 || peer_port_of(0) <= 0)
		return 30;
	line[n] = '\0';
	n = snprintf(whole, sizeof(whole), "%s from %d", line, peer_port_of(0));
	return write(1, whole, (size_t)n) == n ? 0 : 31;
}

static int foreign(void)
{
	static char block[4096];
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct epoll_event ev = {.events = EPOLLIN};
	char name[] = "/tmp/lifeXXXXXX";
	int fd = mkstemp(name), fds[2], sv[2], ep = epoll_create1(EPOLL_CLOEXEC), e = eventfd(0, EFD_CLOEXEC), ok;
	struct iovec iov[2] = {{block, 10}, {block + 10, 10}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	uint64_t one = 1;
	FILE *f;

	if (fd < 0 || pipe(fds) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
		return 50;
	unlink(name);
	(void)!write(-1, "MARK", 4);
	for (int i = 0; i < 20; i++) {
		ok = write(fd, block, sizeof(block)) > 0 && pwrite(fd, block, 10, 5) > 0 && lseek(fd, 0, SEEK_SET) == 0;
		ok = ok && read(fd, block, 100) > 0 && readv(fd, iov, 2) > 0 && writev(fd, iov, 2) > 0 &&
		     fsync(fd) == 0;
		ok = ok && write(fds[1], block, 20) == 20 && read(fds[0], block, 20) == 20;
		ok = ok && write(sv[0], block, 20) == 20 && read(sv[1], block, 20) == 20;
		ok = ok && send(sv[0], block, 20, 0) == 20 && recv(sv[1], block, 20, 0) == 20;
		ok = ok && sendto(sv[0], block, 20, MSG_NOSIGNAL, NULL, 0) == 20;
		ok = ok && recvfrom(sv[1], block, 20, MSG_DONTWAIT, NULL, NULL) == 20;
		ok = ok && sendmsg(sv[0], &m, 0) == 20 && recvmsg(sv[1], &m, 0) == 20;
		ok = ok && writev(sv[0], iov, 2) == 20 && readv(sv[1], iov, 2) == 20;
		ok = ok && sendfile(sv[0], fd, &(off_t){0}, 20) == 20 && splice(sv[1], NULL, fds[1], NULL, 20, 0) == 20;
		ok = ok && read(fds[0], block, 20) == 20 && write(e, &one, 8) == 8 && read(e, &one, 8) == 8;
		p[0].fd = fds[0];
		p[1].fd = sv[1];
		ok = ok && poll(p, 2, 0) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, sv[1], &ev) == 0;
		ok = ok && epoll_wait(ep, &ev, 1, 0) == 0 && epoll_ctl(ep, EPOLL_CTL_DEL, sv[1], &ev) == 0;
		f = fopen("/proc/self/comm", "re");
		ok = ok && f && fgets(block, 10, f) && fclose(f) == 0 && close(dup(fd)) == 0 &&
		     close(dup2(fd, 60)) == 0;
		ok = ok && fcntl(fd, F_GETFL) >= 0 && !isatty(fd) && ftruncate(fd, 0) == 0 &&
		     lseek(fd, 0, SEEK_SET) == 0;
		if (!ok)
			return 51;
	}
	(void)!write(-1, "MARK", 4);
	return 0;
}

static int deep(const char *library, bool other_namespace)
{
	void *h = other_namespace ? dlmopen(LM_ID_NEWLM, library, RTLD_NOW) : dlopen(library, RTLD_NOW | RTLD_DEEPBIND);
	int (*dial_there)(int), l = listener(0), st;
	pid_t pid;

	if (!h || l < 0) {
		fprintf(stderr, "%s\n", h ? strerror(errno) : dlerror());
		return 60;
	}
	*(void **)&dial_there = dlsym(h, "life_lib_dial");
	if (!dial_there)
		return 62;
	pid = fork();
	if (pid == 0) {
		int r = dial_there(port_of(l));

		_exit(r == 'x' ? 0 : -r);
	}
	st = accept(l, NULL, NULL);
	if (st < 0 || write(st, "x", 1) != 1)
		return 61;
	return reap(pid);
}

static int role(char **argv)
{
	int n = argv[1] ? atoi(argv[1]) : 0;

	if (!strcmp(argv[0], "dial"))
		return dial(n) < 0 ? 1 : 0;
	if (!strcmp(argv[0], "ask"))
		return ask(n);
	if (!strcmp(argv[0], "serve"))
		return serve(n);
	if (!strcmp(argv[0], "echo"))
		return echo();
	if (!strcmp(argv[0], "deep"))
		return deep(argv[1], argv[2]);
	if (!strcmp(argv[0], "foreign"))
		return foreign();
	if (!strcmp(argv[0], "activated"))
		return activated(n);
	if (!strcmp(argv[0], "take")) {
		int fd = take(n);

		return fd < 0 ? 40 : serve(fd);
	}
	return 99;
}

/* Does the program that holds a copy of listener l answer as it must? */
static bool answers(int port)
{
	int c = dial(port), mine, theirs, n;
	char line[64] = "";
	bool ok;

	if (c < 0)
		return false;
	n = (int)read(c, line, sizeof(line) - 1);
	ok = n > 0 && sscanf(line, "%d %d", &mine, &theirs) == 2 && mine == port_of(c) && theirs == port;
	close(c);
	return ok;
}

/* --- exec --- */

enum form { EXECV, EXECVE, EXECVP, EXECVPE, EXECL, EXECLP, EXECLE, FEXECVE, EXECVEAT, N_FORMS };

static void exec_as(enum form f, const char *a, const char *b, char *const *env)
{
	char *const argv[] = {(char *)"life", (char *)"--role", (char *)a, (char *)b, NULL};

	switch (f) {
	case EXECV:
		execv(self, argv);
		break;
	case EXECVE:
		execve(self, argv, env);
		break;
	case EXECVP:
		execvp(self, argv);
		break;
	case EXECVPE:
		execvpe(self, argv, env);
		break;
	case EXECL:
		execl(self, "life", "--role", a, b, (char *)NULL);
		break;
	case EXECLP:
		execlp(self, "life", "--role", a, b, (char *)NULL);
		break;
	case EXECLE:
		execle(self, "life", "--role", a, b, (char *)NULL, env);
		break;
	case FEXECVE:
		fexecve(open(self, O_RDONLY | O_CLOEXEC), argv, env);
		break;
	case EXECVEAT:
		execveat(AT_FDCWD, self, argv, env, 0);
		break;
	case N_FORMS:
		break;
	}
	_exit(127);
}

static pid_t start(bool by_vfork, enum form f, const char *a, const char *b)
{
	pid_t pid = by_vfork ? vfork() : fork();

	if (pid == 0)
		exec_as(f, a, b, environ);
	return pid;
}

static void exec_with_sockets(void)
{
	for (int f = 0; f < N_FORMS; f++)
		for (int v = 0; v < 2; v++) { /* after fork, after vfork */
			int l = listener(0), port = port_of(l);
			pid_t pid;

			WANT(l >= 0 && port > 0);
			pid = start(v, (enum form)f, "serve", number(l));
			close(l);
			WANT(answers(port));
			WANT(reap(pid) == 0);
			WANT(dial(port) < 0 && errno == ECONNREFUSED);
		}
}

static void exec_with_nothing(void)
{
	char *none[] = {NULL}, *one[] = {(char *)"A=1", NULL};
	char *const *envs[] = {NULL, none, one};
	int l = listener(0);
	pid_t pid;

	for (int f = 0; f < N_FORMS; f++)
		for (int e = 0; e < 3; e++) {
			pid = fork();
			if (pid == 0) {
				clearenv();
				exec_as((enum form)f, "dial", number(port_of(l)), envs[e]);
			}
			/* glibc's fexecve() wants an environment */
			WANT(reap(pid) == (f == FEXECVE && e == 0 ? 127 : 0));
		}
	close(l);
}

static void env_i(void)
{
	int l = listener(0);
	char command[4400];
	FILE *p;
	pid_t pid;

	snprintf(command, sizeof(command), "env -i '%s' --role dial %d", self, port_of(l));
	WANT(system(command) == 0);
	p = popen(command, "r");
	WANT(p && pclose(p) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		wordexp_t w;

		clearenv();
		if (system(command) != 0)
			_exit(1);
		p = popen(command, "r");
		if (!p || pclose(p) != 0)
			_exit(2);
		snprintf(command, sizeof(command), "$('%s' --role dial %d && echo yes)", self, port_of(l));
		if (wordexp(command, &w, 0) != 0 || w.we_wordc != 1 || strcmp(w.we_wordv[0], "yes") != 0)
			_exit(3);
		_exit(environ && environ[0] ? 4 : 0); /* to the program it stays cleared */
	}
	WANT(reap(pid) == 0);
	close(l);
}

static void spawn_actions(void)
{
	char *const argv[] = {(char *)"life", (char *)"--role", (char *)"serve", (char *)"0", NULL};
	int l = listener(0), port = port_of(l), l2 = listener(0);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	char *none[] = {NULL};
	sigset_t all;
	pid_t pid;

	WANT(l >= 0 && l2 >= 0);
	for (int round = 0; round < 4; round++) {
		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_addopen(&fa, 90, "/dev/null", O_RDWR, 0);
		posix_spawn_file_actions_adddup2(&fa, l, 0);
		posix_spawn_file_actions_addclose(&fa, l2);
		posix_spawn_file_actions_addchdir_np(&fa, "/");
		posix_spawn_file_actions_addclosefrom_np(&fa, 3);
		posix_spawnattr_init(&attr);
		sigemptyset(&all);
		posix_spawnattr_setsigmask(&attr, &all);
		sigfillset(&all);
		posix_spawnattr_setsigdefault(&attr, &all);
		posix_spawnattr_setpgroup(&attr, 0);
		posix_spawnattr_setflags(&attr,
					 (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_RESETIDS |
						 (round % 2 ? POSIX_SPAWN_SETPGROUP : POSIX_SPAWN_SETSID) |
						 (round % 2 ? POSIX_SPAWN_USEVFORK : 0)));
		WANT((round < 2 ? posix_spawn : posix_spawnp)(&pid, self, &fa, &attr, argv,
							      round % 2 ? environ : none) == 0);
		WANT(answers(port));
		WANT(reap(pid) == 0);
		posix_spawn_file_actions_destroy(&fa);
		posix_spawnattr_destroy(&attr);
	}
	WANT(posix_spawn(&pid, "/no/such/program", NULL, NULL, argv, environ) == ENOENT);
	WANT(posix_spawn(&pid, self, NULL, NULL,
			 (char *const[]){(char *)"life", (char *)"--role", (char *)"dial", (char *)number(port), NULL},
			 NULL) == 0);
	WANT(reap(pid) == 0);
	close(l);
	close(l2);
}

static void exec_fails(void)
{
	char *const argv[] = {(char *)"life", NULL};
	int before = n_descriptors(), l = listener(0);

	WANT(execve("/no/such/program", argv, NULL) < 0 && errno == ENOENT);
	WANT(execvp("no-such-program", argv) < 0 && errno == ENOENT);
	WANT(execl("/etc/passwd", "x", (char *)NULL) < 0 && errno == EACCES);
	WANT(execve("/", argv, environ) < 0 && errno == EACCES);
	WANT(fexecve(-1, argv, environ) < 0 && (errno == EINVAL || errno == EBADF));
	WANT(l >= 0 && port_of(l) > 0 && cycle() == 0); /* and everything goes on */
	close(l);
	WANT(n_descriptors() == before);
}

/* --- background --- */

static void daemons(void)
{
	int l = listener(0), port = port_of(l);

	WANT(l >= 0);
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (i == 0 && daemon(1, 1) < 0)
				_exit(1);
			if (i == 1 && (setsid() < 0 || fork() != 0))
				_exit(0);
			if (i == 2) { /* the classic: everything closed but the listener, / as folder, no terminal */
				if (fork() != 0)
					_exit(0);
				setsid();
				if (fork() != 0)
					_exit(0);
				(void)!chdir("/");
				umask(0);
				for (int fd = 0; fd < 1024; fd++)
					if (fd != l)
						close(fd);
				open("/dev/null", O_RDWR);
			}
			_exit(serve(l));
		}
		WANT(answers(port));
		WANT(reap(pid) == 0);
	}
	close(l);
	for (int i = 0; i < 100; i++) { /* the last one needs a moment to end, and may reset who comes in that moment */
		l = dial(port);
		if (l < 0 && errno == ECONNREFUSED)
			break;
		if (l >= 0)
			close(l);
		usleep(10000);
	}
	WANT(l < 0 && errno == ECONNREFUSED);
}

/* --- passing --- */

static void passed_to_another_program(void)
{
	int l = listener(0), port = port_of(l), sv[2];
	pid_t pid;

	WANT(l >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	fcntl(sv[0], F_SETFD, FD_CLOEXEC);
	fcntl(l, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (pid == 0)
		exec_as(EXECVE, "take", number(sv[1]), (char *[]){NULL});
	WANT(pass(sv[0], l) == 1);
	close(l);
	WANT(answers(port));
	WANT(reap(pid) == 0);
	close(sv[0]);
	close(sv[1]);
}

static void passed_in_every_state(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int sv[2], l = listener(0), fresh = socket(AF_INET, SOCK_STREAM, 0), bound = socket(AF_INET, SOCK_STREAM, 0), c,
		   s, got, port;
	char b = 'q';

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	WANT(l >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	WANT(bind(bound, (struct sockaddr *)&a, sizeof(a)) == 0);
	port = port_of(bound);
	/* A socket that was only made: the copy binds, and the original has the port. */
	WANT(pass(sv[0], fresh) == 1 && (got = take(sv[1])) >= 0);
	WANT(bind(got, (struct sockaddr *)&a, sizeof(a)) == 0 && port_of(fresh) == port_of(got));
	close(got);
	close(fresh);
	/* One that is bound: the copy listens. */
	WANT(pass(sv[0], bound) == 1 && (got = take(sv[1])) >= 0);
	close(bound);
	WANT(listen(got, 5) == 0 && port_of(got) == port);
	c = dial(port);
	s = accept(got, NULL, NULL);
	WANT(c >= 0 && s >= 0);
	close(got);
	/* Both ends of a connection. */
	WANT(pass(sv[0], c) == 1 && (got = take(sv[1])) >= 0);
	WANT(peer_port_of(got) == port && port_of(got) == peer_port_of(s));
	close(c);
	WANT(send(got, &b, 1, 0) == 1 && recv(s, &b, 1, 0) == 1);
	close(got);
	WANT(recv(s, &b, 1, 0) == 0);
	close(s);
	close(l);
	close(sv[0]);
	close(sv[1]);
}

/* --- activation and inetd --- */

static void socket_activation(void)
{
	int l = listener(0), port = port_of(l), l2 = listener(0);
	pid_t pid;

	WANT(l >= 0 && l2 >= 0);
	pid = fork();
	if (pid == 0) {
		char me[32], n[] = "LISTEN_FDS=2", names[] = "LISTEN_FDNAMES=a:b", *env[] = {me, n, names, NULL};
		int high = fcntl(l, F_DUPFD, 100), high2 = fcntl(l2, F_DUPFD, 100);

		dup2(high, 3);
		dup2(high2, 4);
		closefrom(5);
		snprintf(me, sizeof(me), "LISTEN_PID=%d", getpid());
		exec_as(EXECVE, "activated", "2", env);
	}
	close(l);
	close(l2);
	WANT(answers(port));
	WANT(reap(pid) == 0);
}

static void inetd_style(void)
{
	int l = listener(0), c, s;
	char line[160] = "", want[64];
	pid_t pid;

	WANT(l >= 0 && (c = dial(port_of(l))) >= 0 && (s = accept(l, NULL, NULL)) >= 0);
	pid = fork();
	if (pid == 0) {
		dup2(s, 0);
		dup2(s, 1);
		dup2(s, 2);
		closefrom(3);
		exec_as(EXECV, "echo", NULL, NULL);
	}
	close(s);
	WANT(write(c, "hello", 5) == 5 && read(c, line, sizeof(line) - 1) > 0);
	snprintf(want, sizeof(want), "hello from %d", port_of(c));
	WANT(!strcmp(line, want));
	WANT(reap(pid) == 0);
	WANT(read(c, line, 1) == 0);
	close(c);
	close(l);
}

/* --- descriptors --- */

static void in_child(int (*work)(void), int want)
{
	pid_t pid;
	int got;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(work());
	got = reap(pid);
	if (got != want)
		printf("    the child ended with %d\n", got);
	WANT(got == want);
}

static int after_closefrom(void)
{
	closefrom(0);
	return cycle() ? 1 : 0;
}

static int after_close_range(void)
{
	int l = listener(0), port = port_of(l);

	if (syscall(SYS_close_range, 3, ~0U, 0) < 0 || cycle())
		return 1;
	if (dial(port) >= 0 || errno != ECONNREFUSED)
		return 2;
	l = listener(0);
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 || cycle() || port_of(l) <= 0)
		return 3;
	return close_range(0, ~0U, CLOSE_RANGE_UNSHARE) < 0 || cycle() ? 4 : 0;
}

static int after_a_loop(void)
{
	for (int i = 0; i < 60; i++) { /* at any time: between any two calls */
		int l = listener(0);

		if (i % 20 == 0)
			for (int fd = 0; fd < 65536; fd++)
				close(fd);
		if (cycle())
			return 1;
		close(l);
	}
	return 0;
}

static void close_all(void)
{
	in_child(after_closefrom, 0);
	in_child(after_close_range, 0);
	in_child(after_a_loop, 0);
}

static void fclose_and_streams(void)
{
	int before = n_descriptors(), l = listener(0), c, s;
	char line[32] = "";
	FILE *f, *g;

	WANT(l >= 0 && (c = dial(port_of(l))) >= 0 && (s = accept(l, NULL, NULL)) >= 0);
	f = fdopen(c, "r+");
	g = fdopen(s, "r+");
	WANT(f && g && fprintf(f, "a line\n") > 0 && fflush(f) == 0);
	WANT(fgets(line, sizeof(line), g) && !strcmp(line, "a line\n"));
	fclose(f);
	WANT(!fgets(line, sizeof(line), g) && feof(g));
	fclose(g);
	close(l);
	WANT(cycle() == 0 && n_descriptors() == before);
}

static void large_numbers(void)
{
	struct rlimit old, many;
	struct pollfd p = {.events = POLLIN};
	int l = listener(0), high, c, s;
	char b = 'x';

	WANT(getrlimit(RLIMIT_NOFILE, &old) == 0);
	many = old;
	many.rlim_cur = old.rlim_max < 8192 ? old.rlim_max : 8192;
	WANT(setrlimit(RLIMIT_NOFILE, &many) == 0);
	high = (int)many.rlim_cur - 1;
	WANT(dup2(l, high) == high);
	close(l);
	c = dial(port_of(high));
	WANT(c >= 0 && (s = fcntl(accept(high, NULL, NULL), F_DUPFD, 1500)) >= 1500);
	WANT(dup3(c, 1400, O_CLOEXEC) == 1400);
	close(c);
	WANT(send(1400, &b, 1, 0) == 1);
	p.fd = s;
	WANT(poll(&p, 1, 1000) == 1 && p.revents == POLLIN);
	WANT(peer_port_of(s) == port_of(1400));
	closefrom(1000);
	WANT(setrlimit(RLIMIT_NOFILE, &old) == 0);
	closefrom(high < 1000 ? high : 1000);
	for (int fd = 3; fd < 64; fd++) /* what accept() gave */
		if (peer_port_of(fd) > 0)
			close(fd);
}

static void no_leak(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int before = n_descriptors(), fd;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 100; i++) {
		int l = listener(0);
		struct sockaddr_in taken = a;

		WANT(l >= 0);
		taken.sin_port = htons((uint16_t)port_of(l));
		fd = socket(AF_INET, SOCK_STREAM, 0);
		WANT(bind(fd, (struct sockaddr *)&taken, sizeof(taken)) < 0 && errno == EADDRINUSE);
		WANT(bind(fd, (struct sockaddr *)&taken, 3) < 0 && errno == EINVAL);
		WANT(listen(l, 1) == 0 && accept(fd, NULL, NULL) < 0);
		close(l);
		WANT(connect(fd, (struct sockaddr *)&taken, sizeof(taken)) < 0 && errno == ECONNREFUSED);
		WANT(shutdown(fd, SHUT_RDWR) < 0 && getpeername(fd, (struct sockaddr *)&a, &(socklen_t){0}) < 0);
		close(fd);
		WANT(cycle() == 0);
		WANT(socket(AF_INET, SOCK_STREAM, 99) < 0 && socket(AF_INET, 77, 0) < 0);
		WANT(bind(-1, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == EBADF);
	}
	WANT(n_descriptors() == before);
}

/* --- libraries --- */

static void loaded_later(void)
{
	void *h = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), *all;
	int (*f)(int, int, int);
	int fd;

	WANT(h);
	dlclose(h);
	all = dlopen(NULL, RTLD_NOW);
	*(void **)&f = dlsym(all, "socket");
	WANT(f && (fd = f(AF_INET, SOCK_STREAM, 0)) >= 0);
	close(fd);
	*(void **)&f = dlsym(RTLD_DEFAULT, "connect");
	WANT(f == (void *)connect);
}

static void other_folders(void)
{
	pid_t pid;
	int l = listener(0);

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("TMPDIR", "/no/such/folder", 1);
		setenv("HOME", "/", 1);
		setenv("BERTH_DIR", "/no/such/folder", 1);
		setenv("XDG_RUNTIME_DIR", "/no", 1);
		if (chdir("/") < 0 || cycle())
			_exit(1);
		exec_as(EXECV, "dial", number(port_of(l)), NULL);
	}
	WANT(reap(pid) == 0);
	close(l);
}

static const struct check checks[] = {
	{"exec in nine forms, after fork and vfork, with a listener", exec_with_sockets},
	{"exec with an empty environment, or none", exec_with_nothing},
	{"env -i, system, popen, wordexp with a cleared environment", env_i},
	{"posix_spawn with every attribute and action", spawn_actions},
	{"an exec that fails changes nothing", exec_fails},
	{"daemon, setsid, double fork", daemons},
	{"a listener passed to another program", passed_to_another_program},
	{"sockets passed in every state", passed_in_every_state},
	{"socket activation: LISTEN_FDS", socket_activation},
	{"inetd: a connection as standard input and output", inetd_style},
	{"closefrom, close_range, a loop to 65536", close_all},
	{"stdio on sockets, and fclose", fclose_and_streams},
	{"descriptors above 1000", large_numbers},
	{"no descriptor is leaked, whatever fails", no_leak},
	{"sockets by dlsym", loaded_later},
	{"another TMPDIR, HOME, folder", other_folders},
};

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int ran;

	if (argc > 2 && !strcmp(argv[1], "--role"))
		return role(argv + 2);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	life_under = getenv("BERTH_HOST");
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 2;
	ran = run_checks(checks, sizeof(checks) / sizeof(checks[0]), only);
	ran += run_checks(life_limits, n_life_limits, only);
	return ran == 0 || failures ? 1 : 0;
}
