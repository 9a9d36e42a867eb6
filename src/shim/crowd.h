/* src/shim/crowd.h: do others want the processor that a look before a sleep would use (crowd.c)? */
#ifndef BERTH_SHIM_CROWD_H
#define BERTH_SHIM_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CROWD_WINDOW_NS UINT64_C(8000000) /* from one question to the next */
#define CROWD_OLD_NS UINT64_C(100000000)  /* a window that lasted so long says nothing about now */
#define CROWD_LOOK_NS 5000u		  /* what a sleep costs, where others run meanwhile: a look may cost that */
#define CROWD_SHUT_MIN_NS UINT64_C(4000000)
#define CROWD_SHUT_MAX_NS UINT64_C(1024000000)

/* What a thread knows. All zero: nothing, and looks may be long. */
struct crowd {
	uint64_t began_ns, ran_ns, waited_ns; /* the window: its start, and the kernel's two counters then; 0: none */
	uint64_t until_ns, shut_ns;	      /* short looks until then; how long the last such time was */
};

static inline uint64_t crowd_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* A look begins. It wants to last for want_ns; for how long may it? Asks the kernel, if it is time to. */
uint32_t crowd_limit(uint32_t want_ns);

/* --- what decides, without a clock or a kernel --- */
/* Of /proc/thread-self/schedstat: nanoseconds on a processor, and waiting for one. Return: whether it says. */
bool crowd_parse(const char *text, size_t len, uint64_t *ret_ran_ns, uint64_t *ret_waited_ns);
/* The counters stand so now: ends the window that was open, and begins the next. */
void crowd_judge(struct crowd *c, uint64_t now_ns, uint64_t ran_ns, uint64_t waited_ns);
bool crowd_open(const struct crowd *c, uint64_t now_ns);

#endif
