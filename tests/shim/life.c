/* tests/shim/life.c: the life of a process: exec in every form, spawn, descriptors that are passed, closed,
 * inherited and activated. Run natively and under berth by run_life.sh: every check holds in both. This file has what
 * the checks share and the programs they start; the checks are in life_exec.c, life_fds.c and life_limits.c.
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
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

_Atomic int failures;
bool life_under;
char life_self[4096];

int port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port) : -1;
}

int peer_port_of(int fd)
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

void in_child(int (*work)(void))
{
	pid_t pid;
	int got;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(work());
	got = reap(pid);
	if (got != 0)
		printf("    the child ended with %d\n", got);
	WANT(got == 0);
}

const char *number(int n)
{
	static char text[8][16];
	static int at;

	at = (at + 1) % 8;
	snprintf(text[at], sizeof(text[at]), "%d", n);
	return text[at];
}

/* --- the programs that are started --- */

int serve(int fd)
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

int pass(int sock, int fd)
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

int take(int sock)
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

bool answers(int port)
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

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int ran;

	if (argc > 2 && !strcmp(argv[1], "--role"))
		return role(argv + 2);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	life_under = getenv("BERTH_HOST");
	if (readlink("/proc/self/exe", life_self, sizeof(life_self) - 1) < 0)
		return 2;
	ran = run_checks(life_exec, n_life_exec, only) + run_checks(life_fds, n_life_fds, only) +
	      run_checks(life_limits, n_life_limits, only);
	return ran == 0 || failures ? 1 : 0;
}
