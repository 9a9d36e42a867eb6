/* bench/publish.c BERTH [ROUNDS]: a published port beside the kernel's own loopback.
 *
 * One server, natively and under `berth run -p :80`; the same client, natively, by turns to each. Figures are medians over
 * the rounds, and the ratio is of those.
 *
 *     throughput      one connection, 64 KiB writes, one way
 *     round trip      one connection, 64 octets there and back
 *     connections     connect, one octet from the server, close; one after the other, and 16 at once
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define ROUNDS_DEFAULT 9
#define ROUNDS_MAX 101
#define BULK_OCTETS (512u << 20)
#define TRIPS 20000
#define CONNECTIONS 4000
#define AT_ONCE 16

/* --- the server: what it does with a connection is its first octet --- */

static void serve_one(int c)
{
	static char buf[65536];
	char kind;
	ssize_t n;

	if (read(c, &kind, 1) != 1)
		return;
	if (kind == 'c') {
		(void)!write(c, "c", 1);
		(void)!read(c, buf, 1); /* the client closes first */
		return;
	}
	while ((n = read(c, buf, sizeof(buf))) > 0)
		if (kind == 'r' && write(c, buf, (size_t)n) != n)
			return;
	if (kind == 't')
		(void)!write(c, "t", 1);
}

static int server(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 1024) < 0 ||
	    getsockname(s, (struct sockaddr *)&a, &len) < 0)
		fail("server");
	printf("127.0.0.1:%u leads\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0)
			continue;
		serve_one(c);
		close(c);
	}
}

/* Start it; the port at which the machine reaches it is the first such line it, or berth, says. */
static pid_t start(const char **argv, int from, uint16_t *ret_port)
{
	char line[256], *colon;
	unsigned port = 0;
	int p[2];
	FILE *f;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		dup2(p[1], from);
		if (from == STDERR_FILENO)
			dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	close(p[1]);
	f = fdopen(p[0], "r");
	while (f && !port && fgets(line, sizeof(line), f)) {
		colon = strstr(line, "127.0.0.1:");
		if (!colon || sscanf(colon, "127.0.0.1:%u leads", &port) != 1)
			fprintf(stderr, "%s", line);
	}
	*ret_port = (uint16_t)port; /* the pipe stays open: what is said later goes nowhere and hurts nobody */
	if (!port) {
		fprintf(stderr, "bench_publish: %s did not start\n", argv[0]);
		exit(1);
	}
	return pid;
}

/* --- the client --- */

static int reach(uint16_t port, char kind, int flags)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; connect(s, (struct sockaddr *)&a, sizeof(a)) < 0; i++) {
		if (errno == EINPROGRESS)
			return s;
		if (errno != ECONNREFUSED || i == 1000)
			fail("connect");
		usleep(2000); /* it has not begun to listen */
	}
	if (write(s, &kind, 1) != 1)
		fail("write");
	return s;
}

/* With a reset, so that no port is in TIME_WAIT for the next round. */
static void drop(int s)
{
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(s);
}

static double throughput(uint16_t port)
{
	static char buf[65536];
	int s = reach(port, 't', 0);
	double t = now_s();

	for (uint64_t sent = 0; sent < BULK_OCTETS; sent += sizeof(buf))
		for (size_t at = 0; at < sizeof(buf);) {
			ssize_t n = write(s, buf + at, sizeof(buf) - at);

			if (n <= 0)
				fail("write");
			at += (size_t)n;
		}
	shutdown(s, SHUT_WR);
	if (read(s, buf, 1) != 1)
		fail("read");
	t = now_s() - t;
	drop(s);
	return BULK_OCTETS / t / 1e9;
}

static double round_trip(uint16_t port)
{
	char buf[64] = "";
	int s = reach(port, 'r', 0);
	double t = now_s();

	for (int i = 0; i < TRIPS; i++)
		if (write(s, buf, sizeof(buf)) != (ssize_t)sizeof(buf) ||
		    recv(s, buf, sizeof(buf), MSG_WAITALL) != (ssize_t)sizeof(buf))
			fail("round trip");
	t = now_s() - t;
	drop(s);
	return t / TRIPS * 1e6;
}

static double connections(uint16_t port)
{
	double t = now_s();
	char c;

	for (int i = 0; i < CONNECTIONS; i++) {
		int s = reach(port, 'c', 0);

		if (read(s, &c, 1) != 1)
			fail("read");
		drop(s);
	}
	return CONNECTIONS / (now_s() - t) / 1000;
}

static double connections_at_once(uint16_t port)
{
	struct pollfd p[AT_ONCE];
	double t = now_s();
	int begun = 0, done = 0;
	char c = 'c';

	for (int i = 0; i < AT_ONCE; i++, begun++)
		p[i] = (struct pollfd){.fd = reach(port, 'c', SOCK_NONBLOCK), .events = POLLOUT};
	while (done < CONNECTIONS) {
		if (poll(p, AT_ONCE, 10000) <= 0)
			fail("poll");
		for (int i = 0; i < AT_ONCE; i++) {
			if (!p[i].revents)
				continue;
			if (p[i].events == POLLOUT) {
				if (write(p[i].fd, &c, 1) != 1)
					fail("write");
				p[i].events = POLLIN;
				continue;
			}
			if (read(p[i].fd, &c, 1) != 1)
				fail("read");
			c = 'c';
			drop(p[i].fd);
			done++;
			p[i].fd = -1;
			if (begun < CONNECTIONS) {
				p[i] = (struct pollfd){.fd = reach(port, 'c', SOCK_NONBLOCK), .events = POLLOUT};
				begun++;
			}
		}
	}
	return CONNECTIONS / (now_s() - t) / 1000;
}

static const struct {
	const char *name, *unit;
	double (*measure)(uint16_t port);
	bool less_is_better;
	double wanted;
} figures[] = {
	{"throughput", "GB/s", throughput, false, 0.95},
	{"round trip", "us", round_trip, true, 0.95},
	{"connections, one by one", "k/s", connections, false, 0.7},
	{"connections, 16 at once", "k/s", connections_at_once, false, 0.7},
};
#define N_FIGURES (sizeof(figures) / sizeof(figures[0]))

int main(int argc, char **argv)
{
	static double v[N_FIGURES][2][ROUNDS_MAX];
	char dir[] = "/tmp/berth-bench-XXXXXX", command[64], self[4096];
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS_DEFAULT;
	uint16_t port[2];
	pid_t pid[2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (argc == 3 && strcmp(argv[1], "server") == 0)
		return server((uint16_t)atoi(argv[2]));
	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX || n < 0) {
		fprintf(stderr, "usage: bench_publish BERTH [ROUNDS]\n");
		return 2;
	}
	self[n] = '\0';
	if (!mkdtemp(dir))
		fail("mkdtemp");
	setenv("BERTH_DIR", dir, 1);
	signal(SIGPIPE, SIG_IGN);
	pid[0] = start((const char *[]){self, "server", "0", NULL}, STDOUT_FILENO, &port[0]);
	pid[1] = start((const char *[]){argv[1], "run", "-p", "127.0.0.1:0:80", "--", self, "server", "80", NULL},
		       STDERR_FILENO, &port[1]);
	for (int way = 0; way < 2; way++)
		drop(reach(port[way], 'c', 0));
	for (int r = 0; r < rounds; r++)
		for (size_t f = 0; f < N_FIGURES; f++)
			for (int k = 0; k < 2; k++) {
				int way = (k + r) % 2;

				v[f][way][r] = figures[f].measure(port[way]);
			}
	printf("%-26s %10s %10s %7s  (wanted)\n", "", "kernel", "published", "ratio");
	for (size_t f = 0; f < N_FIGURES; f++) {
		double m[2];

		for (int way = 0; way < 2; way++)
			m[way] = median(v[f][way], rounds);
		printf("%-26s %8.2f %s %8.2f %s %6.2f  (%.2f)\n", figures[f].name, m[0], figures[f].unit, m[1],
		       figures[f].unit, figures[f].less_is_better ? m[0] / m[1] : m[1] / m[0], figures[f].wanted);
	}
	for (int way = 0; way < 2; way++) {
		kill(pid[way], SIGTERM);
		waitpid(pid[way], NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) != 0;
}
