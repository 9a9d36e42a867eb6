/* bench/rival.c: see rival.h.
 *
 * A worker's figures come back as one line of numbers on its standard output. What it says otherwise, it says on
 * standard error; a worker that failed ends the benchmark.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "network/network.h"
#include "rival.h"

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX 101

enum way { KERNEL, BERTH, THIRD };
#define N_WAYS 3

static int work(const struct rival *r)
{
	double out[RIVAL_FIGURES_MAX];
	int st = r->worker(out);

	for (int i = 0; i < r->n_figures; i++)
		printf("%.9g%c", out[i], i + 1 < r->n_figures ? ' ' : '\n');
	return st;
}

static bool parse(const char *line, double *out, int n)
{
	char *end;

	for (int i = 0; i < n; i++, line = end) {
		out[i] = strtod(line, &end);
		if (end == line)
			return false;
	}
	return true;
}

/* Run the worker once, with a clean or a berth environment; its figures into out. */
static bool run(const struct rival *r, enum way way, const struct network *net, const char *library, double *out)
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
		if (way != KERNEL) {
			setenv("BERTH_NETWORK_DIR", net->dir, 1);
			setenv("BERTH_HOST", "bench", 1);
			setenv("LD_PRELOAD", library, 1);
		}
		if (way == THIRD)
			setenv(r->third, "1", 1);
		execl("/proc/self/exe", r->name, "--worker", (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	f = fdopen(p[0], "r");
	ok = f && fgets(line, sizeof(line), f);
	if (f)
		fclose(f);
	waitpid(pid, &st, 0);
	return ok && st == 0 && parse(line, out, r->n_figures);
}

static void print(const struct rival *r, double got[N_WAYS][RIVAL_FIGURES_MAX][ROUNDS_MAX], int rounds)
{
	printf("%-38s %12s %12s %7s", "medians of rounds", "kernel", "berth", "ratio");
	if (r->third)
		printf(" %12s %7s", r->third_title, "ratio");
	printf("  goal\n");
	for (int k = 0; k < r->n_figures; k++) {
		const struct rival_figure *f = &r->figures[k];
		double kernel = median(got[KERNEL][k], rounds), berth = median(got[BERTH][k], rounds);

		printf("%-33s %4s %12.2f %12.2f %7.2f", f->name, f->unit, kernel, berth, berth / kernel);
		if (r->third) {
			double third = median(got[THIRD][k], rounds);

			printf(" %12.2f %7.2f", third, third / kernel);
		}
		if (f->wanted > 0)
			printf("  %s %.2f", f->less_is_better ? "at most" : "at least", f->wanted);
		printf("\n");
	}
}

int rival_main(const struct rival *r, int argc, char **argv)
{
	static struct network net;
	static double got[N_WAYS][RIVAL_FIGURES_MAX][ROUNDS_MAX];
	struct network_options o = {.create = true};
	struct network_host host;
	struct network_error err;
	char dir[] = "/tmp/berth-bench-XXXXXX";
	int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS_DEFAULT, n_ways = r->third ? 3 : 2, bad = 0;

	if (argc == 2 && !strcmp(argv[1], "--worker"))
		return work(r);
	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: %s LIBBERTH_SO [ROUNDS]\n", r->name);
		return 2;
	}
	if (!mkdtemp(dir) || setenv("BERTH_DIR", dir, 1) < 0)
		fail("mkdtemp");
	if (network_open(&net, "bench", &o, &err) < 0 || network_host_get(&net, "bench", true, &host) < 0) {
		fprintf(stderr, "%s: %s\n", r->name, err.what);
		return 1;
	}
	for (int i = 0; i < rounds && !bad; i++)
		for (int turn = 0; turn < n_ways && !bad; turn++) {
			enum way way = (enum way)((i + turn) % n_ways);
			double out[RIVAL_FIGURES_MAX];

			if (!run(r, way, &net, argv[1], out)) {
				fprintf(stderr, "%s: the worker failed %s\n", r->name,
					way == KERNEL ? "natively" : "under berth");
				bad = 1;
			}
			for (int k = 0; k < r->n_figures && !bad; k++)
				got[way][k][i] = out[k];
		}
	if (!bad)
		print(r, got, rounds);
	if (network_remove("bench", true, &err) < 0)
		fprintf(stderr, "%s: %s\n", r->name, err.what);
	rmdir(dir);
	return bad;
}
