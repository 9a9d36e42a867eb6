/* bench/port_table.c: the heart's three questions, timed; the kernel's answers to the same beside them.
 *
 *     port_table [--no-kernel]
 *
 * Medians (and 99th percentiles) of single calls. The kernel is asked in a network namespace of its own
 * (root, or a user namespace); its figures contain the system call, ours are the table's alone: what a
 * program pays here on top is in shim_conn. Occupancy is of the default ephemeral range, 28,232 ports,
 * towards one destination.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "port/demux.h"

#define RANGE_N 28232u
#define SAMPLES 2001

static uint64_t sample_ns[SAMPLES];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *what, uint32_t n)
{
	qsort(sample_ns, n, sizeof(sample_ns[0]), by_value);
	printf("  %-58s median %8.2f us   99 %% %9.2f us\n", what, (double)sample_ns[n / 2] / 1000,
	       (double)sample_ns[n * 99 / 100] / 1000);
	fflush(stdout);
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *memory;

static void fresh(struct port_table *t, uint32_t n_claims)
{
	static const uint8_t secret[16] = "bench";

	free(memory);
	memory = aligned_alloc(4096, (port_table_size(n_claims) + 4095) & ~(size_t)4095);
	if (memory == NULL || port_table_init(t, memory, port_table_size(n_claims), n_claims, secret) < 0)
		die("port_table_init");
	printf("  (%u claims: %.1f MiB)\n", n_claims, (double)port_table_size(n_claims) / (1 << 20));
}

static struct port_addr addr_n(uint32_t n)
{
	return port_addr_v4(127, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n);
}

static struct port_want want_of(struct port_addr a, uint16_t port)
{
	return (struct port_want){.proto = PORT_TCP,
				  .family = PORT_FAMILY_4,
				  .addr = a,
				  .port = port,
				  .flags = PORT_PRIVILEGED};
}

/* --- bind --- */
static void time_binds(struct port_table *t, struct rng *rng, bool one_port, bool taken, const char *what)
{
	for (int i = 0; i < SAMPLES; i++) {
		uint32_t n = (uint32_t)rng_range(rng, 1, 10000);
		struct port_want w = one_port ? want_of(addr_n(taken ? n : 20000 + n), 80)
					      : want_of(PORT_ADDR_ANY4, (uint16_t)(taken ? 20000 + n : 40000 + n));
		struct port_ref ref;
		uint64_t t0 = now_ns();
		int r = port_table_bind(t, PORT_REF_NONE, &w, 0, &ref, NULL);

		sample_ns[i] = now_ns() - t0;
		if (r != (taken ? -EADDRINUSE : 0) || (r == 0 && port_table_release(t, ref) < 0))
			die("bind");
	}
	report(what, SAMPLES);
}

static void time_kernel_binds(struct rng *rng)
{
	static int fds[10001];
	struct sockaddr_in sin = {.sin_family = AF_INET};

	for (uint32_t n = 1; n <= 10000; n++) {
		fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		sin.sin_port = htons((uint16_t)(20000 + n));
		if (fds[n] < 0 || bind(fds[n], (struct sockaddr *)&sin, sizeof(sin)) < 0)
			die("kernel bind");
	}
	for (int taken = 0; taken < 2; taken++) {
		for (int i = 0; i < SAMPLES; i++) {
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

			sin.sin_port = htons((uint16_t)((taken ? 20000 : 40000) + rng_range(rng, 1, 10000)));
			uint64_t t0 = now_ns();
			int r = bind(fd, (struct sockaddr *)&sin, sizeof(sin));

			sample_ns[i] = now_ns() - t0;
			if ((r < 0) != taken)
				die("kernel bind");
			close(fd);
		}
		report(taken ? "kernel bind, refused, 10,000 ports held" : "kernel bind, granted, 10,000 ports held",
		       SAMPLES);
	}
	for (uint32_t n = 1; n <= 10000; n++)
		close(fds[n]);
}

static void bench_bind(struct rng *rng, bool kernel)
{
	struct port_table t;
	struct port_ref ref;

	printf("bind and conflict check (goal: at most 1 us)\n");
	fresh(&t, 16384);
	for (uint32_t n = 1; n <= 10000; n++) {
		struct port_want w = want_of(PORT_ADDR_ANY4, (uint16_t)(20000 + n));

		if (port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL) < 0)
			die("fill");
	}
	time_binds(&t, rng, false, false, "granted, 10,000 claims on 10,000 ports");
	time_binds(&t, rng, false, true, "refused, 10,000 claims on 10,000 ports");
	fresh(&t, 32768);
	for (uint32_t n = 1; n <= 10000; n++) {
		struct port_want w = want_of(addr_n(n), 80);

		if (port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL) < 0)
			die("fill");
	}
	time_binds(&t, rng, true, false, "granted, 10,000 addresses on one port");
	time_binds(&t, rng, true, true, "refused, 10,000 addresses on one port");
	if (kernel)
		time_kernel_binds(rng);
}

/* --- ephemeral choice --- */
static const double occupancy[] = {0, 50, 90, 99, 99.9, 100};

static void time_choice(struct port_table *t, double percent, uint32_t *n_held, struct port_ref *held)
{
	struct port_want w = want_of(PORT_ADDR_ANY4, 0);
	struct port_addr local = PORT_ADDR_LOOP4, peer = PORT_ADDR_LOOP4;
	char what[80];

	for (; *n_held < (uint32_t)(RANGE_N * percent / 100); (*n_held)++) {
		held[*n_held] = PORT_REF_NONE;
		if (port_table_connect(t, &held[*n_held], &w, &local, &peer, 80, 0, NULL) < 0)
			die("fill");
	}
	for (int i = 0; i < SAMPLES; i++) {
		struct port_ref ref = PORT_REF_NONE;
		uint64_t t0 = now_ns();
		int r = port_table_connect(t, &ref, &w, &local, &peer, 80, 0, NULL);

		sample_ns[i] = now_ns() - t0;
		if (r != (*n_held == RANGE_N ? -EADDRNOTAVAIL : 0) || (r == 0 && port_table_release(t, ref) < 0))
			die("choose");
	}
	snprintf(what, sizeof(what), "table, connect's port chosen and claimed, %g %% taken", percent);
	report(what, SAMPLES);
}

/* One process may not have the descriptors for 28,232 connections: children hold them. */
#define PER_CHILD 9000u
#define CHILDREN_MAX 16
static pid_t children[CHILDREN_MAX];
static uint32_t n_children;

static void hold_connections(int listener, const struct sockaddr_in *to, uint32_t n)
{
	int ready[2];
	char c;

	if (pipe(ready) < 0 || n_children == CHILDREN_MAX)
		die("pipe");
	children[n_children] = fork();
	if (children[n_children] < 0)
		die("fork");
	if (children[n_children++] == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint32_t i = 0; i < n; i++) {
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

			if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
			    accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0)
				die("kernel connect");
		}
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		die("a child could not connect");
	close(ready[0]);
}

static void time_kernel_connect(int listener, const struct sockaddr_in *to, double percent, uint32_t *n_held)
{
	uint32_t n = percent > 0 ? 201 : SAMPLES, goal = (uint32_t)(RANGE_N * percent / 100);
	char what[80];

	while (*n_held < goal) {
		uint32_t some = goal - *n_held < PER_CHILD ? goal - *n_held : PER_CHILD;

		hold_connections(listener, to, some);
		*n_held += some;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct linger reset = {.l_onoff = 1};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		uint64_t t0 = now_ns();
		int r = connect(fd, (const struct sockaddr *)to, sizeof(*to));

		sample_ns[i] = now_ns() - t0;
		if ((r < 0) != (*n_held == RANGE_N))
			die("kernel connect");
		if (r == 0) {
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* no TIME_WAIT */
			close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
		}
		close(fd);
	}
	snprintf(what, sizeof(what), "kernel, connect, %g %% taken", percent);
	report(what, n);
}

static void bench_choice(bool kernel)
{
	static struct port_ref held[RANGE_N];
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(80),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint32_t n_held = 0, n_kernel = 0;
	int listener = -1;
	struct port_table t;

	printf("ephemeral choice, one destination (goal: at most 1 us at every occupancy)\n");
	fresh(&t, 32768);
	if (kernel) {
		listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(listener, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(listener, 4096) < 0)
			die("kernel listen");
	}
	for (size_t i = 0; i < COUNT_OF(occupancy); i++) {
		time_choice(&t, occupancy[i], &n_held, held);
		if (kernel)
			time_kernel_connect(listener, &to, occupancy[i], &n_kernel);
	}
	for (uint32_t i = 0; i < n_children; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	close(listener);
}

/* --- demux --- */
static void bench_demux(struct rng *rng)
{
	static const uint32_t sizes[] = {1, 1000, 1000000};
	struct port_addr local = PORT_ADDR_LOOP4;
	char what[80];

	printf("demultiplexing, a segment's four-tuple to its flow (the kernel's is not to be had alone)\n");
	for (size_t k = 0; k < COUNT_OF(sizes); k++) {
		struct port_want w = want_of(PORT_ADDR_ANY4, 80);
		struct port_owner nobody = {0};
		struct port_table t;
		struct port_ref l, ref;

		fresh(&t, sizes[k] + 16);
		if (port_table_bind(&t, PORT_REF_NONE, &w, 0, &l, NULL) < 0 ||
		    port_table_listen(&t, &l, &w, 0, NULL) < 0)
			die("listen");
		for (uint32_t n = 0; n < sizes[k]; n++) {
			struct port_addr peer = addr_n(n / 50000 + 1);

			if (port_table_accept(&t, l, &local, &peer, (uint16_t)(1 + n % 50000), &nobody, 0, &ref) < 0)
				die("accept");
		}
		for (int i = 0; i < SAMPLES; i++) {
			uint32_t n = (uint32_t)rng_range(rng, 0, sizes[k] - 1);
			struct port_tuple p = {PORT_TCP, local, addr_n(n / 50000 + 1), 80, (uint16_t)(1 + n % 50000)};
			uint64_t t0 = now_ns();
			int r = port_demux(&t, &p, 0, &ref);

			sample_ns[i] = now_ns() - t0;
			if (r < 0)
				die("demux");
		}
		snprintf(what, sizeof(what), "found among %u flows", sizes[k]);
		report(what, SAMPLES);
	}
}

static bool own_namespace(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct rlimit lim;
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 || getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return false;
	close(fd);
	lim.rlim_cur = lim.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur > 2 * PER_CHILD + 100;
}

int main(int argc, char **argv)
{
	bool kernel = !(argc > 1 && strcmp(argv[1], "--no-kernel") == 0);
	struct rng rng;

	rng_init(&rng, 7);
	if (kernel && !own_namespace()) {
		printf("no network namespace or too few descriptors here: the kernel is left out\n");
		kernel = false;
	}
	bench_bind(&rng, kernel);
	bench_choice(kernel);
	bench_demux(&rng);
	free(memory);
	return 0;
}
