/* bench/net2.c: what the second net costs: a control call that is served, and calls that nobody looks at.
 *
 *     bench_net2 BERTH        runs itself natively and under `berth run` in turn; medians of ROUNDS
 *     bench_net2 --inside     prints one round
 *
 * All calls are made past libc, as a static program makes them. "getpid" and "read" show that calls no rule names stay
 * on the kernel's fast path: they cost what they cost without the filter.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define RAW_INLINE
#include "../tests/net2/calls.h"
#include "measure.h"

#define ROUNDS 7
#define CHEAP 300000
#define SERVED 3000

enum { GETPID, READ, SOCKET, GETSOCKNAME, CONNECTION, DATA, N };
static const char *const names[N] = {"getpid",	    "read of 1 octet",	   "socket and close",
				     "getsockname", "connection: 7 calls", "1 octet there and back"};

static double now_ns(void)
{
	return now_s() * 1e9;
}

static int measure(double ret[N])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int zero = open("/dev/zero", O_RDONLY), l, c, s;
	socklen_t len = sizeof(a);
	double t;
	char o;

	t = now_ns();
	for (int i = 0; i < CHEAP; i++)
		(void)RAW(SYS_getpid, 0, 0, 0, 0, 0);
	ret[GETPID] = (now_ns() - t) / CHEAP;
	t = now_ns();
	for (int i = 0; i < CHEAP; i++)
		(void)RAW(SYS_read, zero, &o, 1, 0, 0);
	ret[READ] = (now_ns() - t) / CHEAP;
	t = now_ns();
	for (int i = 0; i < SERVED; i++)
		close(x_socket(AF_INET, SOCK_STREAM, 0));
	ret[SOCKET] = (now_ns() - t) / SERVED;
	l = x_socket(AF_INET, SOCK_STREAM, 0);
	if (l < 0 || x_bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || x_listen(l, 100) < 0)
		fail("listener");
	t = now_ns();
	for (int i = 0; i < SERVED; i++)
		if (x_getsockname(l, (struct sockaddr *)&a, &len) < 0)
			fail("getsockname");
	ret[GETSOCKNAME] = (now_ns() - t) / SERVED;
	t = now_ns();
	for (int i = 0; i < SERVED; i++) {
		struct sockaddr_in from;

		c = x_socket(AF_INET, SOCK_STREAM, 0);
		if (x_connect(c, (struct sockaddr *)&a, sizeof(a)) < 0)
			fail("connect");
		len = sizeof(from);
		s = x_accept4(l, (struct sockaddr *)&from, &len, 0);
		if (s < 0 || write(c, "x", 1) != 1 || read(s, &o, 1) != 1)
			fail("accept");
		close(s);
		close(c);
	}
	ret[CONNECTION] = (now_ns() - t) / SERVED;
	c = x_socket(AF_INET, SOCK_STREAM, 0);
	if (x_connect(c, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail("connect");
	s = x_accept4(l, NULL, NULL, 0);
	t = now_ns();
	for (int i = 0; i < CHEAP / 3; i++)
		if (write(c, "x", 1) != 1 || read(s, &o, 1) != 1 || write(s, "x", 1) != 1 || read(c, &o, 1) != 1)
			fail("data");
	ret[DATA] = (now_ns() - t) / (CHEAP / 3);
	return 0;
}

static void child(const char *berth, const char *self, double ret[N])
{
	int p[2], st;
	pid_t pid;
	FILE *f;

	if (pipe(p) < 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(p[1], STDOUT_FILENO);
		if (berth)
			execl(berth, berth, "run", "-q", "-H", "bench", "--", self, "--inside", (char *)NULL);
		else
			execl(self, self, "--inside", (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	f = fdopen(p[0], "r");
	for (int i = 0; i < N; i++)
		if (fscanf(f, "%lf", &ret[i]) != 1)
			ret[i] = 0;
	fclose(f);
	if (waitpid(pid, &st, 0) != pid || st != 0) {
		fprintf(stderr, "bench_net2: a round failed\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static double v[2][N][ROUNDS];
	char dir[] = "/tmp/berth-bench-XXXXXX", rm[64], self[4096] = "";
	double one[N];

	if (argc == 2 && !strcmp(argv[1], "--inside")) {
		measure(one);
		for (int i = 0; i < N; i++)
			printf("%f\n", one[i]);
		return 0;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: bench_net2 BERTH\n");
		return 2;
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || !mkdtemp(dir))
		fail("start");
	setenv("BERTH_DIR", dir, 1);
	for (int r = 0; r < ROUNDS; r++)
		for (int k = 0; k < 2; k++) {
			child(k ? argv[1] : NULL, self, one);
			for (int i = 0; i < N; i++)
				v[k][i][r] = one[i];
		}
	printf("%-24s %10s %10s %8s   %10s %10s\n", "past libc, median ns", "kernel", "berth", "ratio", "best", "best");
	for (int i = 0; i < N; i++) {
		double kernel = median(v[0][i], ROUNDS), berth = median(v[1][i], ROUNDS); /* sorted: [0] is the best */

		printf("%-24s %10.0f %10.0f %8.2f   %10.0f %10.0f\n", names[i], kernel, berth, berth / kernel,
		       v[0][i][0], v[1][i][0]);
	}
	snprintf(rm, sizeof(rm), "rm -rf %s", dir);
	return system(rm) != 0;
}
