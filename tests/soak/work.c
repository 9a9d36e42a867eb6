/* tests/soak/work.c: the work of a call is the basic blocks it runs, counted by the compiler's -fsanitize-coverage=trace-pc. */
#include "soak.h"

#include <inttypes.h>

uint64_t work_blocks;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	work_blocks++;
}

static const char *const names[] = {
#define NAME(name) #name,
	SOAK_CALLS(NAME)
#undef NAME
};

/* Several times what was ever seen with gcc and clang (make soak prints it), and far from what a walk over thousands of anything would
 * cost. output() and events() are for a batch, whatever came of it. */
static const uint64_t bounds[N_CALLS] = {
	[CALL_input] = 6000,   [CALL_output] = 60000, [CALL_tick] = 12000, [CALL_events] = 3000, [CALL_open] = 1000,
	[CALL_connect] = 8000, [CALL_accept] = 1000,  [CALL_send] = 2000,  [CALL_recv] = 3000,	 [CALL_close] = 3000,
};

void work_add(struct work_book *b, enum soak_call call, uint64_t blocks, uint64_t n)
{
	struct work *w = &b->calls[call];
	uint64_t each = n ? blocks / n : blocks;

	w->n += n ? n : 1;
	w->blocks += blocks;
	b->blocks += blocks;
	if (each > w->most)
		w->most = each;
}

void work_expect_bounded(const struct work_book *b, const char *where)
{
	for (int i = 0; i < N_CALLS; i++)
		EXPECT(b->calls[i].most <= bounds[i],
		       "%s: bounded work: %s() ran %" PRIu64 " blocks for one thing, %" PRIu64 " are allowed", where,
		       names[i], b->calls[i].most, bounds[i]);
}

#define DRIFT_PERCENT 5

void work_expect_no_drift(const struct work_book *first, const struct work_book *last, uint64_t n_first,
			  uint64_t n_last, const char *where)
{
	double a = (double)first->blocks / (double)n_first, z = (double)last->blocks / (double)n_last;

	EXPECT(z <= a * (100 + DRIFT_PERCENT) / 100, "%s: drift: %.0f blocks each at first, %.0f at last", where, a, z);
	printf("  work for each: %.0f blocks in the first tenth, %.0f in the last\n", a, z);
}

void work_print(const struct work_book *b)
{
	for (int i = 0; i < N_CALLS; i++)
		if (b->calls[i].n)
			printf("  %-8s %12" PRIu64 " things, blocks each: %6.0f on average, %6" PRIu64 " at most\n",
			       names[i], b->calls[i].n, (double)b->calls[i].blocks / (double)b->calls[i].n,
			       b->calls[i].most);
}
