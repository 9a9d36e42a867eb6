/* bench/measure.h: what the benchmarks share: a clock, a median, and an end that says why. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

/* Seconds of the monotonic clock. */
double now_s(void);

/* The middle one of n values, which are sorted in place. */
double median(double *v, int n);

/* Stay on this processor; ANY_CPU: where the kernel likes. A wish: a machine with one processor, or a narrower set, is measured as it is. */
#define ANY_CPU (-1)
void pin(int cpu);

/* Say what failed, and errno, under the program's own name; end. */
_Noreturn void fail(const char *what);

#endif
