/* tests/shim/life_fds.c: life.c: descriptors that are passed, activated, closed, duplicated; libraries that are loaded. */
#include "life.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

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
	in_child(after_closefrom);
	in_child(after_close_range);
	in_child(after_a_loop);
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

const struct check life_fds[] = {
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
const size_t n_life_fds = sizeof(life_fds) / sizeof(life_fds[0]);
