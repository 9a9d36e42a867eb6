/* bench/shim_conn.c: TCP between two programs, through the shim and through the kernel's loopback.
 *
 *     shim_conn LIBBERTH_SO [ROUNDS]
 *
 * The same worker, which knows nothing of berth, runs by turns natively and under the shim, in a
 * network made for the run, in an order that rotates; the figures are medians over the rounds, so that
 * a machine that is busy for a while hurts both. The worker is two processes, on two processors where
 * there are two. The client
 *
 *     connects, closes, and does not wait: connections per second
 *     connects, reads an octet, closes: the same with an answer
 *     sends 64 octets and waits for 64: round trip, median. Once with both processes on one processor,
 *     which measures the way itself, and once on two, where waking an idle processor may cost more than
 *     all the rest, on a virtual machine above all. By recv and send, and by read and write: the shim
 *     sees the first two and looks a little before it sleeps (src/shim/spin.c)
 *     writes for a while in 64 KiB, 1460 and 1024 octet pieces: bulk
 *
 * "stock" is the shim on a machine with net.core.wmem_max as it comes (212992), which bounds how much
 * may be unread: both ends are given that send buffer by a raw system call, which the shim cannot see.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "network/network.h"

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX 101
#define N_CONNECTIONS 8000 /* with the answered ones below the 14,116 ports Linux tries first for one destination */
#define N_ANSWERED 2000
#define N_TRIPS 10000
#define BULK_OCTETS (512u << 20)
#define SMALL_OCTETS (96u << 20)
#define STOCK_WMEM_MAX 212992

enum figure { CONN, CONN_ANSWER, TRIP_ONE, TRIP_TWO, TRIP_ONE_READ, TRIP_TWO_READ, BULK_64K, BULK_1460, BULK_1K };
#define N_FIGURES 9
static const struct {
	const char *name, *unit;
	bool less_is_better;
	double wanted; /* berth / kernel; 0: no goal */
} figures[N_FIGURES] = {
	{"connections", "/s", false, 1.5},
	{"connections, one octet answered", "/s", false, 0},
	{"64 octets there and back, 1 cpu", "us", true, 0.75},
	{"64 octets there and back, 2 cpus", "us", true, 0.75},
	{"... by read and write, 1 cpu", "us", true, 0.75},
	{"... by read and write, 2 cpus", "us", true, 0.75},
	{"bulk, 64 KiB writes", "GB/s", false, 0.9},
	{"bulk, 1460 octet writes", "GB/s", false, 0},
	{"bulk, 1 KiB writes", "GB/s", false, 0},
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A wish: a machine with one processor, or a narrower set, is measured as it is. */
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void fail(const char *what)
{
	fprintf(stderr, "shim_conn: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void stock(int fd)
{
	int v = STOCK_WMEM_MAX; /* the kernel doubles it, here as there */

	if (getenv("BENCH_STOCK"))
		syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v));
}

static void read_all(int fd, char *buf, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buf, len);

		if (n <= 0)
			fail("read");
		len -= (size_t)n;
	}
}

static char big[1 << 16];

/* 64 octets, by read(2) and write(2) or by recv(2) and send(2). */
static void take(int fd, bool by_read)
{
	size_t len = 64;

	while (len) {
		ssize_t n = by_read ? read(fd, big, len) : recv(fd, big, len, 0);

		if (n <= 0)
			fail("read");
		len -= (size_t)n;
	}
}

static void give(int fd, bool by_write)
{
	if ((by_write ? write(fd, big, 64) : send(fd, big, 64, 0)) != 64)
		fail("write");
}

static int accept_one(int l)
{
	int fd = accept(l, NULL, NULL);

	if (fd < 0)
		fail("accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	stock(fd);
	return fd;
}

static void serve(int l)
{
	for (int i = 0; i < N_CONNECTIONS; i++)
		close(accept(l, NULL, NULL));
	for (int i = 0; i < N_ANSWERED; i++) {
		int fd = accept(l, NULL, NULL);

		if (write(fd, "x", 1) != 1)
			fail("write");
		close(fd);
	}
	for (int i = 0; i < 7; i++) {
		int fd = accept_one(l);
		ssize_t n;

		pin(i != 0 && i != 2);
		if (i < 4)
			for (int j = 0; j < N_TRIPS; j++) {
				take(fd, i >= 2);
				give(fd, i >= 2);
			}
		while ((n = read(fd, big, sizeof(big))) > 0)
			;
		if (i >= 4 && write(fd, "x", 1) != 1) /* all of it was read */
			fail("write");
		close(fd);
	}
}

static int dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		fail("connect");
	return fd;
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

static double bulk(const struct sockaddr_in *to, size_t piece, size_t total)
{
	int fd = dial(to);
	size_t done = 0;
	double t;

	stock(fd);
	t = now_s();
	for (; done < total; done += piece)
		if (write(fd, big, piece) != (ssize_t)piece)
			fail("write");
	shutdown(fd, SHUT_WR);
	read_all(fd, big, 1);
	t = now_s() - t;
	close(fd);
	return (double)done / t / 1e9;
}

static double trip(const struct sockaddr_in *to, bool by_read)
{
	static double trips[N_TRIPS];
	int fd = dial(to);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	stock(fd);
	for (int i = 0; i < N_TRIPS; i++) {
		double t = now_s();

		give(fd, by_read);
		take(fd, by_read);
		trips[i] = (now_s() - t) * 1e6;
	}
	close(fd);
	return median(trips, N_TRIPS);
}

static void client(const struct sockaddr_in *to)
{
	double out[N_FIGURES], t = now_s();
	int fd;

	for (int i = 0; i < N_CONNECTIONS; i++)
		close(dial(to));
	out[CONN] = N_CONNECTIONS / (now_s() - t);
	t = now_s();
	for (int i = 0; i < N_ANSWERED; i++) {
		fd = dial(to);
		read_all(fd, big, 1);
		close(fd);
	}
	out[CONN_ANSWER] = N_ANSWERED / (now_s() - t);
	for (int k = TRIP_ONE; k <= TRIP_TWO_READ; k++)
		out[k] = trip(to, k >= TRIP_ONE_READ);
	out[BULK_64K] = bulk(to, 1 << 16, BULK_OCTETS);
	out[BULK_1460] = bulk(to, 1460, SMALL_OCTETS);
	out[BULK_1K] = bulk(to, 1024, SMALL_OCTETS);
	for (int i = 0; i < N_FIGURES; i++)
		printf("%.9g%c", out[i], i + 1 < N_FIGURES ? ' ' : '\n');
}

static int worker(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), st;
	pid_t pid;

	if (bind(l, (struct sockaddr *)&a, len) < 0 || listen(l, 4096) < 0 ||
	    getsockname(l, (struct sockaddr *)&a, &len) < 0)
		fail("listen");
	pid = fork();
	pin(pid == 0);
	if (pid == 0) {
		serve(l);
		exit(0);
	}
	close(l);
	client(&a);
	waitpid(pid, &st, 0);
	return st != 0;
}

/* Run the worker once, with a clean or a berth environment; its figures into out. */
static bool run(const char *self, const struct network *n, const char *library, bool as_stock, double out[N_FIGURES])
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
		if (as_stock)
			setenv("BENCH_STOCK", "1", 1);
		execl(self, self, "--worker", (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	f = fdopen(p[0], "r");
	ok = f && fgets(line, sizeof(line), f);
	if (f)
		fclose(f);
	waitpid(pid, &st, 0);
	return ok && st == 0 &&
	       sscanf(line, "%lf %lf %lf %lf %lf %lf %lf %lf %lf", &out[0], &out[1], &out[2], &out[3], &out[4], &out[5],
		      &out[6], &out[7], &out[8]) == N_FIGURES;
}

int main(int argc, char **argv)
{
	static struct network net;
	static double got[3][N_FIGURES][ROUNDS_MAX];
	struct network_options o = {.create = true};
	struct network_host host;
	struct network_error err;
	char dir[] = "/tmp/berth-bench-XXXXXX";
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS_DEFAULT, bad = 0;

	if (argc == 2 && !strcmp(argv[1], "--worker"))
		return worker();
	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: shim_conn LIBBERTH_SO [ROUNDS]\n");
		return 2;
	}
	if (!mkdtemp(dir) || setenv("BERTH_DIR", dir, 1) < 0)
		fail("mkdtemp");
	if (network_open(&net, "bench", &o, &err) < 0 || network_host_get(&net, "bench", true, &host) < 0) {
		fprintf(stderr, "shim_conn: %s\n", err.what);
		return 1;
	}
	for (int i = 0; i < rounds && !bad; i++)
		for (int turn = 0; turn < 3; turn++) {
			int which = (i + turn) % 3; /* kernel, berth, berth with a stock wmem_max */
			double out[N_FIGURES];

			if (!run("/proc/self/exe", which ? &net : NULL, argv[1], which == 2, out)) {
				fprintf(stderr, "shim_conn: the worker failed %s\n",
					which ? "under berth" : "natively");
				bad = 1;
				break;
			}
			for (int k = 0; k < N_FIGURES; k++)
				got[which][k][i] = out[k];
		}
	if (!bad) {
		printf("%-38s %12s %12s %7s %12s %7s  goal\n", "medians of rounds", "kernel", "berth", "ratio",
		       "berth stock", "ratio");
		for (int k = 0; k < N_FIGURES; k++) {
			double kernel = median(got[0][k], rounds), berth = median(got[1][k], rounds),
			       small = median(got[2][k], rounds);

			printf("%-33s %4s %12.2f %12.2f %7.2f %12.2f %7.2f", figures[k].name, figures[k].unit, kernel,
			       berth, berth / kernel, small, small / kernel);
			if (figures[k].wanted > 0)
				printf("  %s %.2f", figures[k].less_is_better ? "at most" : "at least",
				       figures[k].wanted);
			printf("\n");
		}
	}
	if (network_remove("bench", true, &err) < 0)
		fprintf(stderr, "shim_conn: %s\n", err.what);
	rmdir(dir);
	return bad;
}
