/* bench/shim_conn.c: TCP between two programs, through the shim and through the kernel's loopback.
 *
 *     shim_conn LIBBERTH_SO [ROUNDS]
 *
 * How it is run and what is printed: rival.h. The worker is two processes, on two processors where
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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "rival.h"

#define N_CONNECTIONS 8000 /* with the answered ones below the 14,116 ports Linux tries first for one destination */
#define N_ANSWERED 2000
#define N_TRIPS 10000
#define BULK_OCTETS (512u << 20)
#define SMALL_OCTETS (96u << 20)
#define STOCK_WMEM_MAX 212992

enum figure { CONN, CONN_ANSWER, TRIP_ONE, TRIP_TWO, TRIP_ONE_READ, TRIP_TWO_READ, BULK_64K, BULK_1460, BULK_1K };
#define N_FIGURES 9
static const struct rival_figure figures[N_FIGURES] = {
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

static void client(const struct sockaddr_in *to, double *out)
{
	double t = now_s();
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
}

static int worker(double *out)
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
	client(&a, out);
	waitpid(pid, &st, 0);
	return st != 0;
}

int main(int argc, char **argv)
{
	static const struct rival rival = {"shim_conn", figures, N_FIGURES, worker, "BENCH_STOCK", "berth stock"};

	return rival_main(&rival, argc, argv);
}
