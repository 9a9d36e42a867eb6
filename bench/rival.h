/* bench/rival.h: one worker, run by turns on the kernel's own network and under berth.
 *
 * The worker knows nothing of berth: it is this program again, in a process made for the run, natively or with the
 * shim in a network made for the run. The order rotates, and the figures are medians over the rounds, so that a machine
 * that is busy for a while hurts both.
 */
#ifndef BENCH_RIVAL_H
#define BENCH_RIVAL_H

#include <stdbool.h>

#define RIVAL_FIGURES_MAX 16

struct rival_figure {
	const char *name, *unit;
	bool less_is_better;
	double wanted; /* berth / kernel; 0: no goal */
};

struct rival {
	const char *name; /* of the program, for its usage and its complaints */
	const struct rival_figure *figures;
	int n_figures;
	int (*worker)(double *out); /* measures once; 0, or what the process ends with */
	const char *third;	    /* a third way, berth with this variable set: NULL for none */
	const char *third_title;    /* what its column is called */
};

/* The whole of main(): NAME LIBBERTH_SO [ROUNDS]. */
int rival_main(const struct rival *r, int argc, char **argv);

#endif
