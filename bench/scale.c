/* bench/scale.c: a network with very many hosts and listeners, beside an empty one in the same run.
 *
 *     scale LIBBERTH_SO BERTH [HOSTS [LISTENERS [FLOWS [ROUNDS]]]]      (1000 100 20000 7)
 *     scale --check LIBBERTH_SO BERTH HOSTS LISTENERS FLOWS              what make test runs: no times
 *
 * Every host gets a process of its own under the shim, which listens on LISTENERS ports with real sockets
 * and then waits; so 1000 hosts with 100 listeners are 1000 processes and 100,000 sockets, each process
 * far below any limit of descriptors. Then the same things are done by turns in that network and in one
 * that has two hosts and nobody on them:
 *
 *     a host is made; a program binds, listens, connects (its own calls are timed, not its start), to a
 *     listener of its own and to those that were there before;
 *     `berth who PORT -H HOST`, `berth ls --json -H HOST`, `berth run -- true`
 *
 * and figures are medians over the rounds. `berth ls --json` of everything is timed alone. Then one host
 * is given FLOWS live connections, and connect() is timed as they become more. What a host and a claim
 * cost in memory, table and folder is printed. Last, everybody is killed (kill -9), and one sweep must
 * leave no claim and no path.
 *
 * SCALE_THEN=COMMAND runs a shell command while everybody is up (perf, say), with BERTH_DIR set, instead of
 * measuring. It works in a network namespace of its own where it may make one: a hundred thousand sockets would slow
 * down every other program's questions to the kernel's unix_diag, and theirs ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "network/internal.h"

#define FIRST_PORT 1000
#define SAMPLES 200
#define ROUNDS_MAX 101
#define FLOW_STEPS 8

enum figure { MAKE_HOST, BIND, LISTEN, CONNECT, CONNECT_OLD, WHO, LS_HOST, RUN, N_FIGURES };
static const struct {
	const char *name, *unit;
	double wanted; /* at most so many times the empty network's; 0: no goal */
} figures[N_FIGURES] = {
	{"a host is made", "us", 3},
	{"bind", "us", 3},
	{"listen", "us", 3},
	{"connect", "us", 3},
	{"connect to an old listener", "us", 3},
	{"berth who PORT -H HOST", "ms", 3},
	{"berth ls --json -H HOST", "ms", 0},
	{"berth run -H HOST -- true", "ms", 0},
};

static const char *library, *berth;
static struct network empty, full;
static bool checking;
static int bad;

/* --- the programs under the shim; they know nothing of berth --- */

static struct sockaddr_in at(uint32_t addr, int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(addr),
				    .sin_port = htons((uint16_t)port)};
}

static int open_listener(int port, double *bind_s, double *listen_s)
{
	struct sockaddr_in a = at(INADDR_ANY, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	double t = now_s();

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail("bind");
	*bind_s = now_s() - t;
	t = now_s();
	if (listen(fd, 16) < 0)
		fail("listen");
	*listen_s = now_s() - t;
	return fd;
}

/* Listens on n ports, says so, and waits until its standard input ends. */
static int work_hold(int n)
{
	double b, l;
	char c;

	for (int i = 0; i < n; i++)
		open_listener(FIRST_PORT + i, &b, &l);
	if (write(1, "r", 1) != 1)
		return 1;
	while (read(0, &c, 1) > 0)
		continue;
	return 0;
}

/* Connections to the first n ports of the host's holder, who was there before; n of them are made, or none. */
static int connect_old(int n, double took_s[])
{
	for (int i = 0; i < n; i++) {
		struct sockaddr_in a = at(INADDR_LOOPBACK, FIRST_PORT + i);
		int s = socket(AF_INET, SOCK_STREAM, 0);
		double began = now_s();

		if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0) {
			if (errno != ECONNREFUSED || i > 0)
				fail("connect to the holder");
			close(s);
			return 0;
		}
		took_s[i] = now_s() - began;
		close(s);
	}
	return n;
}

/* Times bind, listen and connect, each the median of SAMPLES, on ports nobody uses; and connect to the n ports of the
 * host's holder. Where there is none, its own listeners must do. */
static int work_probe(int n_old)
{
	static double b[SAMPLES], l[SAMPLES], c[SAMPLES], old[SAMPLES];
	int fd[SAMPLES];

	for (int i = 0; i < SAMPLES; i++)
		fd[i] = open_listener(20000 + i, &b[i], &l[i]);
	for (int i = 0; i < SAMPLES; i++) {
		struct sockaddr_in a = at(INADDR_LOOPBACK, 20000 + i);
		int s = socket(AF_INET, SOCK_STREAM, 0), t;
		double began = now_s();

		if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
			fail("connect");
		c[i] = now_s() - began;
		t = accept(fd[i], NULL, NULL);
		if (t < 0)
			fail("accept");
		close(t);
		close(s);
	}
	n_old = connect_old(n_old < SAMPLES ? n_old : SAMPLES, old);
	printf("%.9g %.9g %.9g %.9g\n", median(b, SAMPLES) * 1e6, median(l, SAMPLES) * 1e6, median(c, SAMPLES) * 1e6,
	       n_old ? median(old, n_old) * 1e6 : median(c, SAMPLES) * 1e6);
	return 0;
}

/* n live flows, the two ends in two pairs of processes so that few descriptors are enough. Prints the
 * median time of a connect() in each eighth of them, then waits. */
static int work_flows(int n)
{
	int half = n / 2, l[2], up[2];
	double b, ls;
	char c;

	for (int k = 0; k < 2; k++)
		l[k] = open_listener(30000 + k, &b, &ls);
	if (pipe(up) < 0)
		fail("pipe");
	for (int k = 0; k < 2; k++) /* who accepts */
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(l[!k]);
			for (int i = 0; i < half; i++)
				if (accept(l[k], NULL, NULL) < 0)
					fail("accept");
			for (;;)
				pause();
		}
	for (int k = 0; k < 2; k++) { /* who connects, one after the other */
		if (fork() == 0) {
			double *took = calloc((size_t)half, sizeof(*took));
			struct sockaddr_in a = at(INADDR_LOOPBACK, 30000 + k);

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int i = 0; i < half; i++) {
				int s = socket(AF_INET, SOCK_STREAM, 0);
				double t = now_s();

				if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
					fail("connect");
				took[i] = now_s() - t;
			}
			for (int i = 0; i < FLOW_STEPS / 2; i++) {
				int m = half / (FLOW_STEPS / 2);

				printf("%.9g ", median(took + i * m, m) * 1e6);
			}
			fflush(stdout);
			if (write(up[1], "r", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		if (read(up[0], &c, 1) != 1)
			fail("the flows");
	}
	printf("\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		continue;
	return 0;
}

/* --- starting them --- */

struct program {
	pid_t pid;
	int in, out;
};

static struct program start(const struct network *n, const char *host, const char *what, int count)
{
	struct program p = {0};
	char number[16];
	int in[2], out[2];

	snprintf(number, sizeof(number), "%d", count);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		fail("pipe");
	p.pid = fork();
	if (p.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		if (n) {
			setenv("BERTH_NETWORK_DIR", n->dir, 1);
			setenv("BERTH_HOST", host, 1);
			setenv("LD_PRELOAD", library, 1);
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/proc/self/exe", "scale", what, number, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p.in = in[1];
	p.out = out[0];
	return p;
}

static void read_line(const struct program *p, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read(p->out, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
}

static void stop(struct program *p)
{
	close(p->in);
	close(p->out);
	waitpid(p->pid, NULL, 0);
}

/* Run `berth ARGS`; its output's length into *ret_octets, and a count of `needle` in it. */
static double berth_takes(const struct network *n, const char *host, const char *const *args, const char *needle,
			  size_t *ret_found)
{
	const char *argv[16] = {berth};
	static char out[1 << 27];
	double t = now_s();
	size_t len = 0, found = 0;
	int p[2], i = 1;
	ssize_t r;
	pid_t pid;

	argv[i++] = *args++;
	argv[i++] = "-n";
	argv[i++] = n->name;
	if (host) {
		argv[i++] = "-H";
		argv[i++] = host;
	}
	while (*args)
		argv[i++] = *args++;
	if (pipe(p) < 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		execv(berth, (char *const *)argv);
		_exit(127);
	}
	close(p[1]);
	while (len < sizeof(out) - 1 && (r = read(p[0], out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)r;
	close(p[0]);
	waitpid(pid, NULL, 0);
	t = now_s() - t;
	out[len] = '\0';
	for (const char *s = out; needle && (s = strstr(s, needle)) != NULL; s++)
		found++;
	if (ret_found)
		*ret_found = found;
	return t;
}

/* --- measuring --- */

static void make_host(struct network *n, int i)
{
	struct network_host h;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "h%d", i);
	r = network_host_get(n, name, true, &h);
	if (r < 0) {
		errno = -r;
		fail("a host");
	}
}

static void measure(struct network *n, const char *host, int listeners, int *next_host, double out[N_FIGURES])
{
	static const char *const who[] = {"who", "1000", NULL}, *const ls[] = {"ls", "--json", NULL},
				 *const run[] = {"run", "--", "true", NULL};
	struct program p;
	char line[256];
	double t = now_s();

	make_host(n, (*next_host)++);
	out[MAKE_HOST] = (now_s() - t) * 1e6;
	p = start(n, host, "--probe", listeners);
	read_line(&p, line, sizeof(line));
	stop(&p);
	if (sscanf(line, "%lf %lf %lf %lf", &out[BIND], &out[LISTEN], &out[CONNECT], &out[CONNECT_OLD]) != 4)
		fail("the probe");
	out[WHO] = berth_takes(n, host, who, NULL, NULL) * 1e3;
	out[LS_HOST] = berth_takes(n, host, ls, NULL, NULL) * 1e3;
	out[RUN] = berth_takes(n, host, run, NULL, NULL) * 1e3;
}

static uint64_t blocks_of(const struct network *n, const char *leaf)
{
	char path[NETWORK_PATH_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", n->dir, leaf);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static long kib_of(pid_t pid, const char *what)
{
	char path[64], line[256];
	long kib = 0, v;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)) && sscanf(line + strlen(what), " %ld", &v) == 1)
			kib += v;
	if (f)
		fclose(f);
	return kib;
}

static void print_sizes(int hosts, int listeners, const struct program *one, uint64_t table0, uint64_t table)
{
	struct program bare = start(NULL, NULL, "--hold", listeners);
	uint64_t hosts_file = blocks_of(&full, "hosts"), s = blocks_of(&full, "s");
	double claims = (double)hosts * listeners;
	char c;

	if (read(bare.out, &c, 1) != 1)
		fail("a native holder");
	printf("sizes: table %.1f MB of which an empty network's %.1f MB; per host %.1f KiB, per claim %.0f octets\n",
	       (double)table / 1e6, (double)table0 / 1e6, (double)(table - table0) / hosts / 1024,
	       (double)(table - table0) / claims);
	printf("       folder: hosts file %.0f KiB, s/ itself %.1f MB: %.0f octets per listener\n",
	       (double)hosts_file / 1024, (double)s / 1e6, (double)s / claims);
	printf("       memory of a program's own with %d listeners: %ld KiB, natively %ld KiB\n", listeners,
	       kib_of(one->pid, "Private_Dirty:"), kib_of(bare.pid, "Private_Dirty:"));
	stop(&bare);
}

static void print_figures(double got[2][N_FIGURES][ROUNDS_MAX], int rounds)
{
	printf("%-28s %12s %12s %7s\n", "", "empty", "full", "ratio");
	for (int k = 0; k < N_FIGURES; k++) {
		double e = median(got[0][k], rounds), f = median(got[1][k], rounds);

		printf("%-28s %9.2f %s %9.2f %s %6.2fx", figures[k].name, e, figures[k].unit, f, figures[k].unit,
		       f / e);
		if (figures[k].wanted > 0)
			printf("  at most %.0fx: %s", figures[k].wanted, f / e <= figures[k].wanted ? "ok" : "NOT MET");
		printf("\n");
	}
}

static void say_wrong(const char *what, long got, long want)
{
	if (got == want)
		return;
	fprintf(stderr, "scale: %s: %ld, and not %ld\n", what, got, want);
	bad = 1;
}

static long count_claims(void)
{
	struct network_lock l;
	long n = 0;

	for (uint32_t i = 0; i < network_n_hosts(&full); i++)
		if (network_lock(&full, i, &l) == 0) {
			n += port_table_n_claims(&l.table);
			network_unlock(&l);
		}
	return n;
}

static long count_paths(void)
{
	char cmd[NETWORK_PATH_MAX + 64];
	long n = -1;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "find '%s/s' -type s | wc -l", full.dir);
	f = popen(cmd, "re");
	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

/* Who asks about a port waits for no long sweep, and is told the truth all the same; others' dead go later. */
static void ask_among_dead(struct program *holder, const char *host, long all, int listeners)
{
	static const char *const who[] = {"who", "1000", NULL}, *const ls[] = {"ls", "--json", NULL};
	struct map_header *hd = map_header(&full);
	size_t held, free_port, rows;

	berth_takes(&full, host, who, "is held by", &held);
	say_wrong("a living listener is held", (long)held, 1);
	kill(holder->pid, SIGKILL);
	stop(holder);
	atomic_store(&hd->sweep_cost_ns, UINT64_C(1000000000)); /* a long one, and due */
	atomic_store(&hd->swept_ns, 0);
	berth_takes(&full, host, who, "is free", &free_port);
	say_wrong("a killed listener's port is free", (long)free_port, 1);
	say_wrong("paths: the others' that were killed stay", count_paths(), all - 1);
	berth_takes(&full, NULL, ls, "\"listening\"", &rows);
	say_wrong("rows of ls --json after one was killed", (long)rows, all - listeners);
	say_wrong("paths after ls", count_paths(), all - listeners);
}

static void run_flows(int flows)
{
	struct program p = start(&full, "h1", "--flows", flows);
	static const char *const ls[] = {"ls", "--all", "--json", NULL};
	char line[512], *s = line;
	size_t rows;
	double t;

	read_line(&p, line, sizeof(line));
	printf("flows on one host: connect() in us, by how many there are\n");
	for (int i = 0; i < FLOW_STEPS; i++) {
		double us = strtod(s, &s);

		printf("  %6d-%-6d %7.2f\n", flows / FLOW_STEPS * i, flows / FLOW_STEPS * (i + 1), us);
	}
	t = berth_takes(&full, "h1", ls, "\"connected\"", &rows);
	printf("  berth ls --all --json -H h1: %.0f ms\n", t * 1e3);
	say_wrong("flows that ls shows", (long)rows, flows / 2 * 2);
	stop(&p);
}

static double seconds(const struct rusage *r)
{
	return (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
	       (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
}

static int drive(int hosts, int listeners, int flows, int rounds)
{
	static double got[2][N_FIGURES][ROUNDS_MAX];
	static const char *const ls[] = {"ls", "--json", NULL};
	struct program *holders = calloc((size_t)hosts, sizeof(*holders));
	double t, ls_s[5], ls_cpu_s;
	struct rusage before, after;
	size_t rows = 0;
	uint64_t table0, table;
	int next[2] = {2, hosts};
	char host[16], c;

	table0 = blocks_of(&empty, "table");
	t = now_s();
	for (int i = 0; i < hosts; i++)
		make_host(&full, i);
	printf("%d hosts made in %.0f ms, ", hosts, (now_s() - t) * 1e3);
	t = now_s();
	for (int i = 0; i < hosts; i++) {
		snprintf(host, sizeof(host), "h%d", i);
		holders[i] = start(&full, host, "--hold", listeners);
		if (i >= 8 && read(holders[i - 8].out, &c, 1) != 1)
			fail("a holder");
	}
	for (int i = hosts > 8 ? hosts - 8 : 0; i < hosts; i++)
		if (read(holders[i].out, &c, 1) != 1)
			fail("a holder");
	printf("%d listeners in %d processes up in %.1f s\n", hosts * listeners, hosts, now_s() - t);
	say_wrong("claims", count_claims(), (long)hosts * listeners);
	say_wrong("paths", count_paths(), (long)hosts * listeners);
	table = blocks_of(&full, "table"); /* before probes make some tables larger */

	if (getenv("SCALE_THEN"))
		return system(getenv("SCALE_THEN"));
	for (int i = 0; i < rounds; i++)
		for (int turn = 0; turn < 2; turn++) {
			int which = (i + turn) & 1;
			double out[N_FIGURES];

			/* Each time another host's, first made and last made ones by turns. */
			snprintf(host, sizeof(host), "h%d", which ? 1 + (int)((long)i * 619 % (hosts - 1)) : 1);
			measure(which ? &full : &empty, host, listeners, &next[which], out);
			for (int k = 0; k < N_FIGURES; k++)
				got[which][k][i] = out[k];
		}
	if (!checking)
		print_figures(got, rounds);
	getrusage(RUSAGE_CHILDREN, &before);
	for (int i = 0; i < (int)COUNT_OF(ls_s); i++)
		ls_s[i] = berth_takes(&full, NULL, ls, "\"listening\"", &rows);
	getrusage(RUSAGE_CHILDREN, &after);
	ls_cpu_s = (seconds(&after) - seconds(&before)) / COUNT_OF(ls_s);
	say_wrong("rows of ls --json", (long)rows, (long)hosts * listeners);
	t = median(ls_s, COUNT_OF(ls_s));
	if (!checking) {
		printf("berth ls --json of %zu rows: %.2f s (under 2 s: %s), of a processor's time %.2f s\n", rows, t,
		       t < 2 ? "ok" : "NOT MET", ls_cpu_s);
		print_sizes(hosts, listeners, &holders[0], table0, table);
	}
	snprintf(host, sizeof(host), "h%d", hosts - 1);
	ask_among_dead(&holders[hosts - 1], host, (long)hosts * listeners, listeners);
	run_flows(flows);

	for (int i = 0; i < hosts - 1; i++)
		kill(holders[i].pid, SIGKILL);
	for (int i = 0; i < hosts - 1; i++)
		stop(&holders[i]);
	t = now_s();
	if (network_sweep(&full, NETWORK_HOSTS_MAX) < 0)
		fail("sweep");
	printf("all killed; the sweep took %.2f s\n", now_s() - t);
	say_wrong("claims left", count_claims(), 0);
	say_wrong("paths left", count_paths(), 0);
	free(holders);
	return bad;
}

int main(int argc, char **argv)
{
	struct network_options o = {.create = true};
	struct network_error err;
	struct rlimit files;
	char dir[64], cmd[128];
	int n[4] = {1000, 100, 20000, 7}, st;
	pid_t pid;

	if (argc == 3 && !strcmp(argv[1], "--hold"))
		return work_hold(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "--probe"))
		return work_probe(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "--flows"))
		return work_flows(atoi(argv[2]));
	if (argc > 1 && !strcmp(argv[1], "--check")) {
		checking = true;
		n[3] = 1;
		argc--;
		argv++;
	}
	if (argc < 3 || argc > 7) {
		fprintf(stderr, "usage: scale [--check] LIBBERTH_SO BERTH [HOSTS [LISTENERS [FLOWS [ROUNDS]]]]\n");
		return 2;
	}
	library = argv[1];
	berth = argv[2];
	for (int i = 3; i < argc; i++)
		n[i - 3] = atoi(argv[i]);
	if (n[0] < 2 || n[1] < 1 || n[3] < 1 || n[3] > ROUNDS_MAX || n[3] > 10 * (n[0] - 1))
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
		if (files.rlim_max < (rlim_t)n[2] / 2 + 64 || files.rlim_max < 2 * (rlim_t)n[0] + 64) {
			printf("only %llu descriptors are allowed here: fewer hosts and flows\n",
			       (unsigned long long)files.rlim_max);
			n[2] = (int)(files.rlim_max - 64) * 2 < n[2] ? (int)(files.rlim_max - 64) * 2 : n[2];
			n[0] = (int)(files.rlim_max - 64) / 2 < n[0] ? (int)(files.rlim_max - 64) / 2 : n[0];
		}
	}
	if (unshare(CLONE_NEWNET) < 0)
		printf("in this machine's own network namespace, other programs' sockets included\n");
	/* In memory if it can be: a disk's time to make a path is not ours. */
	snprintf(dir, sizeof(dir), "%s/berth-scale-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(dir) || setenv("BERTH_DIR", dir, 1) < 0)
		fail("mkdtemp");
	/* In a child, so that the folder goes away whatever happens. */
	pid = fork();
	if (pid == 0) {
		setvbuf(stdout, NULL, _IOLBF, 0);
		if (network_open(&empty, "empty", &o, &err) < 0 || network_open(&full, "full", &o, &err) < 0) {
			fprintf(stderr, "scale: %s\n", err.what);
			exit(1);
		}
		make_host(&empty, 0);
		make_host(&empty, 1);
		exit(drive(n[0], n[1], n[2], n[3]));
	}
	waitpid(pid, &st, 0);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	if (system(cmd) != 0)
		fprintf(stderr, "scale: could not remove %s\n", dir);
	printf("%s\n", st == 0 ? "ok" : "FAILED");
	return st != 0;
}
