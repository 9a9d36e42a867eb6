/* bench/start.c: what a command costs from its start to its end: `berth run true`, `berth ls` on a hundred hosts.
 *
 *     start LIBBERTH_SO BERTH [HOSTS [LISTENERS [ROUNDS]]]      (100 3 41)
 *
 * In one network with HOSTS hosts, each with a program of its own that listens on LISTENERS ports, and in one with a single idle
 * host, by turns; medians over the rounds, from fork() to the end of the process. Beside them `true` alone, which is what
 * the machine takes for a program, and the time from a listen() to the end of a `berth wait` for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "network/network.h"

#define FIRST_PORT 1000
#define ROUNDS_MAX 1001

enum figure { PLAIN, VERSION, RUN, EXEC, LS, WAIT_NOW, N_FIGURES };
static const struct {
	const char *name;
	const char *args[6]; /* after "berth"; NULL first: without berth */
	double wanted_ms;    /* 0: no goal */
} figures[N_FIGURES] = {
	{"true", {NULL}, 0},
	{"berth version", {"version"}, 0},
	{"berth run true", {"run", "-n", "NET", "true"}, 10},
	{"berth exec h0 true", {"exec", "--any", "-n", "NET", "h0"}, 10},
	{"berth ls", {"ls", "-n", "NET"}, 20},
	{"berth wait, there already", {"wait", "-n", "NET", "-qt0", "h0:1000"}, 0},
};

static const char *library, *berth;
static struct network idle, busy;

/* --- a program under the shim: listens on n ports, says so, and waits for the end of its input --- */

static int open_listener(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
		fail("listen");
	return fd;
}

static int hold(int n)
{
	char c;

	for (int i = 0; i < n; i++)
		open_listener(FIRST_PORT + i);
	if (write(1, "r", 1) != 1)
		return 1;
	while (read(0, &c, 1) > 0)
		continue;
	return 0;
}

/* Each time a number comes in, listens on that port and says at what time it began to. */
static int listen_when_told(void)
{
	int port, fd;
	double t;

	while (read(0, &port, sizeof(port)) == (ssize_t)sizeof(port)) {
		t = now_s();
		fd = open_listener(port);
		if (write(1, &t, sizeof(t)) != (ssize_t)sizeof(t))
			return 1;
		(void)fd; /* open until the end */
	}
	return 0;
}

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
		setenv("BERTH_NETWORK_DIR", n->dir, 1);
		setenv("BERTH_HOST", host, 1);
		setenv("LD_PRELOAD", library, 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/proc/self/exe", "start", what, number, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p.in = in[1];
	p.out = out[0];
	return p;
}

/* --- measuring --- */

static pid_t start_command(const struct network *n, const char *const *args)
{
	const char *argv[12] = {"berth"};
	pid_t pid = fork();
	int k = 1;

	if (pid != 0)
		return pid;
	dup2(open("/dev/null", O_RDWR), 1);
	if (!args[0])
		execlp("true", "true", (char *)NULL);
	for (int i = 0; i < 6 && args[i]; i++)
		argv[k++] = strcmp(args[i], "NET") == 0 ? n->name : args[i];
	if (strcmp(args[0], "exec") == 0)
		argv[k++] = "true";
	execv(berth, (char *const *)argv);
	_exit(127);
}

static double takes_ms(const struct network *n, const char *const *args)
{
	double t = now_s();
	int status;

	if (waitpid(start_command(n, args), &status, 0) < 0 || WEXITSTATUS(status) > 1)
		fail("a command");
	return (now_s() - t) * 1e3;
}

/* From a listen() to the end of the process that waits for it. */
static double wakes_ms(const struct network *n, const struct program *p, int port)
{
	const char *args[7] = {"wait", "-n", "NET", NULL};
	char place[32];
	double began, end;
	pid_t pid;

	snprintf(place, sizeof(place), "w:%d", port);
	args[3] = place;
	pid = start_command(n, args);
	usleep(30000); /* it is asleep by now */
	if (write(p->in, &port, sizeof(port)) != (ssize_t)sizeof(port) || waitpid(pid, NULL, 0) != pid)
		fail("a wait");
	end = now_s();
	if (read(p->out, &began, sizeof(began)) != (ssize_t)sizeof(began))
		fail("the listener");
	return (end - began) * 1e3;
}

static void open_network(struct network *n, const char *name)
{
	struct network_options o = {.create = true};
	struct network_error e = {0};
	struct network_host h;

	if (network_open(n, name, &o, &e) < 0 || network_host_get(n, "h0", true, &h) < 0) {
		fprintf(stderr, "start: %s\n", e.what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static double got[2][N_FIGURES][ROUNDS_MAX], wakes[2][ROUNDS_MAX];
	int hosts, listeners, rounds;
	struct program p, waker[2];
	char name[16], c;

	if (argc == 3 && strcmp(argv[1], "--hold") == 0)
		return hold(atoi(argv[2]));
	if (argc == 3 && strcmp(argv[1], "--told") == 0)
		return listen_when_told();
	if (argc < 3)
		return 2;
	library = argv[1];
	berth = argv[2];
	hosts = argc > 3 ? atoi(argv[3]) : 100;
	listeners = argc > 4 ? atoi(argv[4]) : 3;
	rounds = argc > 5 ? atoi(argv[5]) : 41;
	if (hosts < 1 || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	open_network(&idle, "idle");
	open_network(&busy, "busy");
	for (int i = 0; i < hosts; i++) {
		struct network_host h;

		snprintf(name, sizeof(name), "h%d", i);
		if (network_host_get(&busy, name, true, &h) < 0)
			fail("a host");
		p = start(&busy, name, "--hold", listeners);
		if (read(p.out, &c, 1) != 1)
			fail("a listener");
	}
	for (int k = 0; k < 2; k++) {
		struct network *n = k ? &busy : &idle;
		struct network_host h;

		if (network_host_get(n, "w", true, &h) < 0)
			fail("a host");
		waker[k] = start(n, "w", "--told", 0);
	}
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < 2; k++) {
			for (int f = 0; f < N_FIGURES; f++)
				got[k][f][i] = takes_ms(k ? &busy : &idle, figures[f].args);
			wakes[k][i] = wakes_ms(k ? &busy : &idle, &waker[k], FIRST_PORT + i);
		}
	printf("%-28s %12s %15s\n", "", "idle network", "of so many hosts");
	for (int f = 0; f < N_FIGURES; f++) {
		double a = median(got[0][f], rounds), b = median(got[1][f], rounds);

		printf("%-28s %9.2f ms %12.2f ms", figures[f].name, a, b);
		if (figures[f].wanted_ms > 0)
			printf("   at most %.0f ms: %s", figures[f].wanted_ms,
			       b <= figures[f].wanted_ms ? "ok" : "NOT MET");
		printf("\n");
	}
	printf("%-28s %9.2f ms %12.2f ms\n", "listen() to wait's end", median(wakes[0], rounds),
	       median(wakes[1], rounds));
	return 0;
}
