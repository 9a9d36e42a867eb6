/* bench/shim_udp.c: UDP between two programs, through the shim and through the kernel's loopback.
 *
 *     shim_udp LIBBERTH_SO [ROUNDS]
 *
 * As shim_conn.c: one worker that knows nothing of berth runs by turns natively and under the shim, the
 * order changes, figures are medians over the rounds. The worker is two processes, each on a processor
 * of its own where there are two. Both sockets ask for a receive buffer of 1 MiB. The client
 *
 *     sends with at most 48 datagrams unanswered (each 16th is answered): datagrams per second, none lost
 *     sends as fast as it can: datagrams per second that arrived. What finds no room is lost, and that is UDP
 *     sends 64 octets and waits for 64: round trip, median; both processes on one processor, and on two
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "network/network.h"

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX 101
#define N_TRIPS 10000
#define N_WINDOWED 100000
#define N_ONE_WAY 150000
#define WINDOW 48
#define ANSWER_EACH 16
#define N_SIZES 3
static const size_t sizes[N_SIZES] = {64, 1400, 8192};

enum figure { WINDOWED, ONE_WAY = WINDOWED + N_SIZES, TRIP_ONE = ONE_WAY + N_SIZES, TRIP_TWO };
#define N_FIGURES 8
static const struct {
	const char *name, *unit;
	bool less_is_better;
	double wanted; /* berth / kernel; 0: no goal */
} figures[N_FIGURES] = {
	{"window of 48, 64 octets", "k/s", false, 1.5},	      {"window of 48, 1400 octets", "k/s", false, 1.5},
	{"window of 48, 8192 octets", "k/s", false, 1.5},     {"one way, 64 octets, arrived", "k/s", false, 1.5},
	{"one way, 1400 octets, arrived", "k/s", false, 1.5}, {"one way, 8192 octets, arrived", "k/s", false, 1.5},
	{"64 octets there and back, 1 cpu", "us", true, 1},   {"64 octets there and back, 2 cpus", "us", true, 1},
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void fail(const char *what)
{
	fprintf(stderr, "shim_udp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char big[1 << 16];

static int udp_socket(struct sockaddr_in *ret)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		fail("bind");
	*ret = a;
	return fd;
}

/* A phase is ended by a datagram of one octet, which is answered with the number of those that came. */
static void serve(int fd)
{
	uint32_t n = 0;

	for (int phase = 0; phase < 2 * N_SIZES + 2;) {
		ssize_t len = recv(fd, big, sizeof(big), 0);
		bool trips = phase >= 2 * N_SIZES;

		if (len < 0)
			fail("recv");
		if (len == 1) {
			if (n == 0)
				continue; /* said more than once */
			send(fd, &n, sizeof(n), 0);
			n = 0;
			phase++;
			if (phase >= 2 * N_SIZES)
				pin(phase == 2 * N_SIZES ? 0 : 1);
			continue;
		}
		n++;
		if (trips || (phase < N_SIZES && n % ANSWER_EACH == 0))
			if (send(fd, big, trips ? 64 : 8, 0) < 0)
				fail("send");
	}
}

/* Say that the phase is over until the answer comes. */
static uint32_t finish(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	uint32_t n = 0;

	for (int i = 0; i < 200; i++) {
		if (send(fd, "x", 1, 0) < 0)
			fail("send");
		while (poll(&p, 1, 50) > 0)
			if (recv(fd, big, sizeof(big), 0) == sizeof(n)) {
				memcpy(&n, big, sizeof(n));
				return n;
			}
	}
	errno = ETIMEDOUT;
	fail("no answer");
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return v[n / 2];
}

static double windowed(int fd, size_t size)
{
	double t = now_s();
	unsigned out = 0;

	for (int i = 0; i < N_WINDOWED; i++) {
		if (send(fd, big, size, 0) != (ssize_t)size)
			fail("send");
		if (++out < WINDOW)
			continue;
		if (recv(fd, big, sizeof(big), 0) != 8)
			fail("recv");
		out -= ANSWER_EACH;
	}
	if (finish(fd) != N_WINDOWED) {
		errno = EIO;
		fail("datagrams were lost in a window of 48");
	}
	return N_WINDOWED / (now_s() - t) / 1000;
}

static double one_way(int fd, size_t size)
{
	double t = now_s();

	for (int i = 0; i < N_ONE_WAY; i++)
		if (send(fd, big, size, 0) != (ssize_t)size)
			fail("send");
	t = now_s() - t;
	return finish(fd) / t / 1000;
}

static double trip(int fd)
{
	static double trips[N_TRIPS];

	for (int i = 0; i < N_TRIPS; i++) {
		double t = now_s();

		if (send(fd, big, 64, 0) != 64 || recv(fd, big, sizeof(big), 0) != 64)
			fail("round trip");
		trips[i] = (now_s() - t) * 1e6;
	}
	(void)finish(fd);
	return median(trips, N_TRIPS);
}

static int worker(void)
{
	struct sockaddr_in a, b;
	double out[N_FIGURES];
	int ours = udp_socket(&a), theirs = udp_socket(&b), st;
	pid_t pid = fork();

	pin(pid != 0);
	if (connect(pid ? ours : theirs, (struct sockaddr *)(pid ? &b : &a), sizeof(a)) < 0)
		fail("connect");
	if (pid == 0) {
		close(ours);
		serve(theirs);
		exit(0);
	}
	close(theirs);
	for (int i = 0; i < N_SIZES; i++)
		out[WINDOWED + i] = windowed(ours, sizes[i]);
	for (int i = 0; i < N_SIZES; i++)
		out[ONE_WAY + i] = one_way(ours, sizes[i]);
	pin(0);
	out[TRIP_ONE] = trip(ours);
	out[TRIP_TWO] = trip(ours);
	for (int i = 0; i < N_FIGURES; i++)
		printf("%.9g%c", out[i], i + 1 < N_FIGURES ? ' ' : '\n');
	waitpid(pid, &st, 0);
	return st != 0;
}

/* Run the worker once, with a clean or a berth environment; its figures into out. */
static bool run(const struct network *n, const char *library, double out[N_FIGURES])
{
	char line[512] = "";
	int p[2], st;
	FILE *f;
	pid_t pid;
	bool ok;

	if (pipe(p) < 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		if (n) {
			setenv("BERTH_NETWORK_DIR", n->dir, 1);
			setenv("BERTH_HOST", "bench", 1);
			setenv("LD_PRELOAD", library, 1);
		}
		execl("/proc/self/exe", "shim_udp", "--worker", (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	f = fdopen(p[0], "r");
	ok = f && fgets(line, sizeof(line), f);
	if (f)
		fclose(f);
	waitpid(pid, &st, 0);
	return ok && st == 0 &&
	       sscanf(line, "%lf %lf %lf %lf %lf %lf %lf %lf", &out[0], &out[1], &out[2], &out[3], &out[4], &out[5],
		      &out[6], &out[7]) == N_FIGURES;
}

int main(int argc, char **argv)
{
	static struct network net;
	static double got[2][N_FIGURES][ROUNDS_MAX];
	struct network_options o = {.create = true};
	struct network_host host;
	struct network_error err;
	char dir[] = "/tmp/berth-bench-XXXXXX";
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS_DEFAULT, bad = 0;

	if (argc == 2 && !strcmp(argv[1], "--worker"))
		return worker();
	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: shim_udp LIBBERTH_SO [ROUNDS]\n");
		return 2;
	}
	if (!mkdtemp(dir) || setenv("BERTH_DIR", dir, 1) < 0)
		fail("mkdtemp");
	if (network_open(&net, "bench", &o, &err) < 0 || network_host_get(&net, "bench", true, &host) < 0) {
		fprintf(stderr, "shim_udp: %s\n", err.what);
		return 1;
	}
	for (int i = 0; i < rounds && !bad; i++)
		for (int turn = 0; turn < 2; turn++) {
			int which = (i + turn) % 2; /* kernel, berth */
			double out[N_FIGURES];

			if (!run(which ? &net : NULL, argv[1], out)) {
				fprintf(stderr, "shim_udp: the worker failed %s\n", which ? "under berth" : "natively");
				bad = 1;
				break;
			}
			for (int k = 0; k < N_FIGURES; k++)
				got[which][k][i] = out[k];
		}
	if (!bad) {
		printf("%-38s %12s %12s %7s  goal\n", "medians of rounds", "kernel", "berth", "ratio");
		for (int k = 0; k < N_FIGURES; k++) {
			double kernel = median(got[0][k], rounds), berth = median(got[1][k], rounds);

			printf("%-33s %4s %12.2f %12.2f %7.2f  %s %.2f\n", figures[k].name, figures[k].unit, kernel,
			       berth, berth / kernel, figures[k].less_is_better ? "at most" : "at least",
			       figures[k].wanted);
		}
	}
	if (network_remove("bench", true, &err) < 0)
		fprintf(stderr, "shim_udp: %s\n", err.what);
	rmdir(dir);
	return bad;
}
