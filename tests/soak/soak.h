/* tests/soak/soak.h: what lasts long: a million connections, ports that run out, floods of a million SYNs a second, in virtual time.
 *
 *	main.c	arguments, figures			host.c	stacks in memory of their own, and how they are driven
 *	churn.c	connections that come and go		work.c	how much a call does, counted, not timed
 *	ports.c	all ports to one destination		flood.c	SYNs of strangers, and real clients
 *
 * Unlike the simulator (tests/sim), whose worlds are many and small, each drawn from a seed, these are few and long: what they look
 * for is what grows. The work of a call is the number of basic blocks that it runs: the stack, wire/ and port/ are compiled once
 * more so that each counts itself. That is the same on every machine with one compiler, and no clock is looked at.
 */
#ifndef BERTH_TESTS_SOAK_H
#define BERTH_TESTS_SOAK_H

#include <stdio.h>
#include <stdlib.h>

#include <berth/stack.h>

#include "base/base.h"
#include "base/rng.h"

#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)
#define BATCH 32u

/* --- work.c --- */

/* clang-format off */
#define SOAK_CALLS(X) X(input) X(output) X(tick) X(events) X(open) X(connect) X(accept) X(send) X(recv) X(close)
/* clang-format on */
enum soak_call {
#define CALL_NAME(name) CALL_##name,
	SOAK_CALLS(CALL_NAME)
#undef CALL_NAME
		N_CALLS
};

struct work {
	uint64_t n, blocks, most; /* of things done: frames, timers, calls; most: of one call, for each of its things */
};
struct work_book {
	struct work calls[N_CALLS];
	uint64_t blocks; /* of all */
};
extern uint64_t work_blocks; /* since the program began */

/* A call of the stack that did n things (0 counts as 1): WORK(book, tick, n, n = berth_stack_tick(...)). */
#define WORK(book, call, n_things, what)                                             \
	do {                                                                         \
		uint64_t work_before_ = work_blocks;                                 \
		what;                                                                \
		work_add(book, CALL_##call, work_blocks - work_before_, (n_things)); \
	} while (0)
void work_add(struct work_book *b, enum soak_call call, uint64_t blocks, uint64_t n);
/* No call may have done more than this for each frame, timer or call; drift: not more in `last` than in `first`, on average. */
void work_expect_bounded(const struct work_book *b, const char *where);
void work_expect_no_drift(const struct work_book *first, const struct work_book *last, uint64_t n_first,
			  uint64_t n_last, const char *where);
void work_print(const struct work_book *b);

/* --- host.c --- */

/* One line, and the program ends. */
_Noreturn void soak_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
#define EXPECT(e, ...)                          \
	do {                                    \
		if (!(e))                       \
			soak_fail(__VA_ARGS__); \
	} while (0)

struct soak_host {
	struct berth_stack *st;
	void *memory;
	size_t len_bytes;
	struct berth_stack_config config;
	struct berth_usage at_start; /* when all that stays was made */
	struct work_book *book;
	uint64_t n_closing; /* closed by the program; BERTH_EV_CLOSED has not come */
};

/* A stack of this configuration; its secret is of the name. Memory that is not touched costs nothing. */
void soak_boot(struct soak_host *h, const char *name, const struct berth_stack_config *config, uint64_t now_ns);
void soak_free(struct soak_host *h);
uint16_t soak_iface(struct soak_host *h, enum berth_link link, const uint8_t mac[6], uint32_t flags);
void soak_address(struct soak_host *h, uint16_t iface, const struct berth_addr *a);
berth_sock soak_listen(struct soak_host *h, uint16_t port, unsigned backlog);
/* 10.NET.0.HOST or fd00:NET::HOST */
struct berth_addr soak_addr(int family, uint8_t net, uint8_t host, uint16_t port);
/* h->at_start is what is used from here on. */
void soak_settled(struct soak_host *h);
/* Nothing is above its limit, and every invariant holds. */
void soak_look(const struct soak_host *h, const char *where);
/* All is as it was in soak_settled(). */
void soak_expect_back(const struct soak_host *h, const char *where);
struct berth_counters soak_counters(const struct soak_host *h);

static inline uint8_t soak_octet(uint64_t key, uint64_t at)
{
	return (uint8_t)((key >> (at & 7) * 7) + at * 167 + (at >> 8) * 13);
}

/* --- the soaks --- */
void soak_churn(uint64_t n_connections, uint64_t seed);
void soak_ports(unsigned n_rounds, uint32_t n_ports);
void soak_flood(unsigned ms, int family);

#endif
