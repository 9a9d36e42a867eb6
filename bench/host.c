/* bench/host.c: reading all of a machine's sockets and whose they are, beside ss and the bare walk through /proc.
 *
 *     bench_host [SOCKETS [PROCESSES [ROUNDS [BERTH]]]]        (0: 10000 and 100000; 25; 7)
 *
 * In a network namespace of its own (skipped, 77, where none can be made or the limits forbid so many descriptors): SOCKETS
 * TCP sockets, nearly all of them established connections, in PROCESSES processes. Measured by turns, medians:
 *
 *     walk of /proc     what any tool has to do: list /proc/PID/fd, read each link; one thread, nothing kept
 *     owners            the same by host_owners_read()
 *     sockets           host_sockets_read() alone
 *     listing           both, the join, and each process's name and command line read once
 *     one port          host_sockets_read() of one port among all these
 *     ss, lsof          ss -tanp, ss -tulnap, ss -tan, lsof -nP -i: from fork() to the end, output read and thrown away; those installed
 *     berth ls, who     the command, when it is given, in the same way
 *
 * All in one run, and at the end each beside the walk, ss -tanp and lsof. A command that takes long is measured less often
 * (SLOW_S in all for each).
 *
 * The goals (issue 5): a listing, and `berth ls -a`, at most half of `ss -tanp` and 1.3 times the bare walk; `ls` a fiftieth of lsof.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/host.h"
#include "measure.h"

#define PROCESSES_MAX 1000
#define ROUNDS_MAX 101
#define PORT 7777
#define SLOW_S 20.0

static pid_t children[PROCESSES_MAX];
static int n_children;

static void end_children(void)
{
	for (int i = 0; i < n_children; i++)
		kill(children[i], SIGKILL);
	for (int i = 0; i < n_children; i++)
		waitpid(children[i], NULL, 0);
	n_children = 0;
}

/* --- the crowd --- */

/* A listener on an address of its own, and connections to it: n sockets in all. */
static void make_sockets(int which, int n)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(PORT),
				.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)which * 256)};
	int l = socket(AF_INET, SOCK_STREAM, 0);

	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 1024) < 0)
		_exit(1);
	for (int i = 1; i + 1 < n; i += 2) {
		int c = socket(AF_INET, SOCK_STREAM, 0);

		if (c < 0 || connect(c, (struct sockaddr *)&a, sizeof(a)) < 0 || accept(l, NULL, NULL) < 0)
			_exit(2);
	}
}

static bool enter_new_network(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		fail("loopback");
	close(fd);
	return true;
}

static bool start_crowd(int n_sockets, int n_processes)
{
	int each = n_sockets / n_processes, up[2];
	struct rlimit lim = {(rlim_t)each + 64, (rlim_t)each + 64}, now;
	char c;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0 || (now.rlim_max < lim.rlim_max && setrlimit(RLIMIT_NOFILE, &lim) < 0))
		return false;
	lim.rlim_max = now.rlim_max > lim.rlim_max ? now.rlim_max : lim.rlim_max;
	if (pipe(up) < 0)
		fail("pipe");
	for (int i = 0; i < n_processes; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			setrlimit(RLIMIT_NOFILE, &lim);
			make_sockets(i, each);
			if (write(up[1], "r", 1) != 1)
				_exit(3);
			for (;;)
				pause();
		}
		if (pid < 0)
			fail("fork");
		children[n_children++] = pid;
	}
	close(up[1]);
	for (int i = 0; i < n_processes; i++)
		if (read(up[0], &c, 1) != 1) { /* all the others ended: no memory, no ports */
			close(up[0]);
			end_children();
			return false;
		}
	close(up[0]);
	return true;
}

/* --- what is measured --- */

/* The least that a tool with one thread does. Returns how many sockets it saw. */
static size_t bare_walk(void)
{
	char text[32768];
	DIR *proc = opendir("/proc");
	struct dirent *e;
	size_t n_sockets = 0;

	while (proc && (e = readdir(proc)) != NULL) {
		char path[300];
		long n;
		int dir;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "%s/fd", e->d_name);
		dir = openat(dirfd(proc), path, O_RDONLY | O_DIRECTORY);
		if (dir < 0)
			continue;
		while ((n = syscall(SYS_getdents64, dir, text, sizeof(text))) > 0)
			for (long at = 0; at < n;) {
				const struct dirent64 *d = (const void *)(text + at);
				char link[64];

				at += d->d_reclen;
				if (d->d_name[0] != '.' && readlinkat(dir, d->d_name, link, sizeof(link)) > 8)
					n_sockets += memcmp(link, "socket:[", 8) == 0;
			}
		close(dir);
	}
	if (proc)
		closedir(proc);
	return n_sockets;
}

static void run_walk(void)
{
	if (bare_walk() == 0)
		fail("walk");
}

static void run_owners(void)
{
	struct host_owners o;

	host_owners_read(NULL, &o);
	host_owners_free(&o);
}

static void run_sockets(void)
{
	static const struct host_filter tcp = {.protos = 1u << HOST_TCP};
	struct host_sockets s;

	if (host_sockets_read(NULL, &tcp, &s) < 0)
		fail("host_sockets_read");
	host_sockets_free(&s);
}

static size_t n_listed, n_named;

static void run_listing(void)
{
	static const struct host_filter tcp = {.protos = 1u << HOST_TCP};
	struct host_names names = {0};
	struct host_sockets s;
	struct host_owners o;

	if (host_sockets_read(NULL, &tcp, &s) < 0)
		fail("host_sockets_read");
	host_owners_read(NULL, &o);
	n_listed = s.n;
	n_named = 0;
	for (size_t i = 0; i < s.n; i++) {
		size_t n;
		const struct host_owner *w = host_owners_find(&o, s.rows[i].inode, &n);

		n_named += n > 0;
		if (n > 0 && !host_names_get(&names, NULL, w->pid))
			fail("host_names_get");
	}
	host_names_free(&names);
	host_owners_free(&o);
	host_sockets_free(&s);
}

static void run_port(void)
{
	static const struct host_filter port = {.ports = {PORT + 1, PORT + 1}};
	struct host_sockets s;

	if (host_sockets_read(NULL, &port, &s) < 0)
		fail("host_sockets_read");
	host_sockets_free(&s);
}

static bool run_command(const char *line)
{
	char text[65536];
	FILE *f = popen(line, "re");
	size_t n = 0, got;

	while (f && (got = fread(text, 1, sizeof(text), f)) > 0)
		n += got;
	return f && pclose(f) == 0 && n > 0;
}

static void run_ss_p(void)
{
	(void)run_command("exec ss -H -tanp 2>/dev/null");
}

static void run_ss_doors(void)
{
	(void)run_command("exec ss -H -tulnap 2>/dev/null");
}

static void run_ss(void)
{
	(void)run_command("exec ss -H -tan 2>/dev/null");
}

static const char *berth; /* NULL: not measured */

static void run_berth(const char *what)
{
	char line[1024];

	snprintf(line, sizeof(line), "'%s' %s 2>/dev/null", berth, what);
	if (!run_command(line))
		fail(what);
}

static void run_ls(void)
{
	run_berth("ls -m");
}

static void run_ls_all(void)
{
	run_berth("ls -m -a -t");
}

static void run_ls_json(void)
{
	run_berth("ls -m -a -t --json");
}

static void run_who(void)
{
	run_berth("who -m 7777; true");
}

static void run_why(void)
{
	run_berth("why -m 7777; true");
}

static void run_why_free(void)
{
	run_berth("why -m 7778; true");
}

static void run_lsof(void)
{
	(void)run_command("exec timeout 120 lsof -nP -i 2>/dev/null");
}

enum {
	WALK,
	OWNERS,
	SOCKETS,
	LISTING,
	ONE_PORT,
	SS_P,
	SS_DOORS,
	SS,
	LSOF,
	LS,
	LS_ALL,
	LS_JSON,
	WHO,
	WHY,
	WHY_FREE,
	N_FIGURES,
};
static const struct {
	const char *name;
	void (*run)(void);
	const char *needs; /* "ss", "lsof", "berth"; NULL */
} figures[N_FIGURES] = {
	{"bare walk of /proc, one thread", run_walk, NULL},
	{"owners", run_owners, NULL},
	{"sockets", run_sockets, NULL},
	{"listing, all of it", run_listing, NULL},
	{"one port", run_port, NULL},
	{"ss -tanp", run_ss_p, "ss"},
	{"ss -tulnap", run_ss_doors, "ss"},
	{"ss -tan", run_ss, "ss"},
	{"lsof -nP -i", run_lsof, "lsof"},
	{"berth ls -m", run_ls, "berth"},
	{"berth ls -m -a -t", run_ls_all, "berth"},
	{"berth ls -m -a -t --json", run_ls_json, "berth"},
	{"berth who -m PORT, half of all", run_who, "berth"},
	{"berth why -m that PORT", run_why, "berth"},
	{"berth why -m a free PORT", run_why_free, "berth"},
};
static bool has_ss, has_lsof;

static bool is_measured(int f)
{
	const char *needs = figures[f].needs;

	return !needs || (strcmp(needs, "ss") == 0 && has_ss) || (strcmp(needs, "lsof") == 0 && has_lsof) ||
	       (strcmp(needs, "berth") == 0 && berth);
}

static void print_ratios(const double m[N_FIGURES])
{
	static const int of[] = {LISTING, LS, LS_ALL, LS_JSON}, by[] = {WALK, SS_P, SS_DOORS, LSOF};

	printf("  %-32s", "as parts of");
	for (size_t k = 0; k < COUNT_OF(by); k++)
		printf(" %16.16s", k == 0 ? "the walk" : figures[by[k]].name);
	printf("\n");
	for (size_t i = 0; i < COUNT_OF(of); i++) {
		if (!is_measured(of[i]))
			continue;
		printf("  %-32s", figures[of[i]].name);
		for (size_t k = 0; k < COUNT_OF(by); k++)
			if (is_measured(by[k]))
				printf(" %16.4f", m[of[i]] / m[by[k]]);
			else
				printf(" %16s", "-");
		printf("\n");
	}
	if (is_measured(LSOF))
		printf("  the walk alone is %.4f of lsof (wanted of ls: 0.02)\n", m[WALK] / m[LSOF]);
}

static void measure(int n_sockets, int n_processes, int rounds)
{
	static double t[N_FIGURES][ROUNDS_MAX];
	double m[N_FIGURES] = {0}, spent[N_FIGURES] = {0};
	int n[N_FIGURES] = {0};

	for (int r = 0; r < rounds; r++)
		for (int f = 0; f < N_FIGURES; f++) {
			double from = now_s();

			if (!is_measured(f) || spent[f] > SLOW_S)
				continue;
			figures[f].run();
			t[f][n[f]] = now_s() - from;
			spent[f] += t[f][n[f]++];
		}
	printf("%d TCP sockets in %d processes, %d rounds (listed %zu, with a process %zu)\n", n_sockets, n_processes,
	       rounds, n_listed, n_named);
	for (int f = 0; f < N_FIGURES; f++)
		if (is_measured(f)) {
			m[f] = median(t[f], n[f]);
			printf("  %-32s %9.2f ms%s\n", figures[f].name, m[f] * 1e3,
			       n[f] < rounds ? ", fewer rounds" : "");
		}
	printf("  listing / walk %.2f (at most 1.3)", m[LISTING] / m[WALK]);
	if (has_ss)
		printf(", listing / ss -tanp %.2f (at most 0.5)", m[LISTING] / m[SS_P]);
	printf("\n");
	print_ratios(m);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const int sizes[] = {10000, 100000};
	int one = argc > 1 ? atoi(argv[1]) : 0, n_processes = argc > 2 ? atoi(argv[2]) : 25;
	int rounds = argc > 3 ? atoi(argv[3]) : 7, n_done = 0;

	berth = argc > 4 ? argv[4] : NULL;
	has_ss = run_command("ss -V 2>/dev/null");
	has_lsof = run_command("lsof -v 2>&1");

	if (n_processes < 1 || n_processes > PROCESSES_MAX || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	if (geteuid() && unshare(CLONE_NEWUSER) < 0) {
		printf("skipped: no user namespace can be made here: %s\n", strerror(errno));
		return 77;
	}
	for (size_t i = 0; i < COUNT_OF(sizes) && (!one || i == 0); i++) {
		int n = one ? one : sizes[i];

		if (!enter_new_network()) { /* a new one each time: no TIME_WAIT of the last crowd's */
			printf("skipped: no network namespace can be made here: %s\n", strerror(errno));
			return 77;
		}
		if (!start_crowd(n, n_processes)) {
			printf("skipped: %d sockets in %d processes: the limits forbid it\n", n, n_processes);
			continue;
		}
		measure(n, n_processes, rounds);
		end_children();
		n_done++;
	}
	return n_done ? 0 : 77;
}
