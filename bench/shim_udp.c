/* bench/shim_udp.c: UDP between two programs, through the shim and through the kernel's loopback.
 *
 *     shim_udp LIBBERTH_SO [ROUNDS]
 *
 * How it is run and what is printed: rival.h. The worker is two processes, each on a processor
 * of its own where there are two. Both sockets ask for a receive buffer of 1 MiB. The client
 *
 *     sends with at most 48 datagrams unanswered (each 16th is answered): datagrams per second, none lost
 *     sends as fast as it can: datagrams per second that arrived. What finds no room is lost, and that is UDP
 *     sends 64 octets and waits for 64: round trip, median; both processes on one processor, and on two
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "rival.h"

#define N_TRIPS 10000
#define N_WINDOWED 100000
#define N_ONE_WAY 150000
#define WINDOW 48
#define ANSWER_EACH 16
#define N_SIZES 3
static const size_t sizes[N_SIZES] = {64, 1400, 8192};

enum figure { WINDOWED, ONE_WAY = WINDOWED + N_SIZES, TRIP_ONE = ONE_WAY + N_SIZES, TRIP_TWO, TRIP_FREE };
#define N_FIGURES 9
#define N_PHASES (2 * N_SIZES + 3)
static const struct rival_figure figures[N_FIGURES] = {
	{"window of 48, 64 octets", "k/s", false, 1.5},	       {"window of 48, 1400 octets", "k/s", false, 1.5},
	{"window of 48, 8192 octets", "k/s", false, 1.5},      {"one way, 64 octets, arrived", "k/s", false, 1.5},
	{"one way, 1400 octets, arrived", "k/s", false, 1.5},  {"one way, 8192 octets, arrived", "k/s", false, 1.5},
	{"64 octets there and back, 1 cpu", "us", true, 1},    {"64 octets there and back, 2 cpus", "us", true, 1},
	{"64 octets there and back, unpinned", "us", true, 1},
};

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

	for (int phase = 0; phase < N_PHASES;) {
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
				pin(phase == 2 * N_SIZES ? 0 : phase == 2 * N_SIZES + 1 ? 1 : ANY_CPU);
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

static int worker(double *out)
{
	struct sockaddr_in a, b;
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
	pin(ANY_CPU);
	out[TRIP_FREE] = trip(ours);
	waitpid(pid, &st, 0);
	return st != 0;
}

int main(int argc, char **argv)
{
	static const struct rival rival = {"shim_udp", figures, N_FIGURES, worker, NULL, NULL};

	return rival_main(&rival, argc, argv);
}
