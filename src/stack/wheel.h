/* src/stack/wheel.h: all deadlines of a stack: set, move and cancel in constant time, the next one by counting zeros.
 *
 * A hierarchical timing wheel (Varghese and Lauck, 1987): 5 levels of 64 slots; a slot of level 0 is WHEEL_TICK_NS (65.5 us), one of
 * level n 64^n times that, which reaches 19 hours (later deadlines wait in the last slot and are put back). A timer never
 * runs early, and late by a tick at most. Timers of one tick run in the order in which they were set; one that is moved within its
 * tick keeps its place.
 *
 * A timer is known by its kind and its index: (TIMER_TCP, 7) is inside connection 7. wheel_kind() says where they are.
 *
 * Always true
 *   W1  a timer is in exactly one slot, or nowhere (not set);
 *   W2  a level's bit is set exactly when its slot has timers.
 */
#ifndef BERTH_STACK_WHEEL_H
#define BERTH_STACK_WHEEL_H

#include "stack/slab.h"

#define NEVER_NS UINT64_MAX
#define WHEEL_TICK_SHIFT 16
#define WHEEL_TICK_NS (UINT64_C(1) << WHEEL_TICK_SHIFT)
#define WHEEL_LEVELS 5
#define WHEEL_SLOTS 64

enum timer_kind {
	TIMER_TCP,	 /* a connection's next deadline */
	TIMER_SYN,	 /* a handshake in the SYN cache */
	TIMER_TIME_WAIT, /* one for all: the first to end (index 0) */
	TIMER_NEIGH,	 /* a neighbour's state */
	TIMER_FRAG,	 /* a datagram in reassembly */
	TIMER_ADDR,	 /* an address: duplicate detection, lifetimes */
	TIMER_ROUTE,	 /* a route that a router advertised */
	TIMER_GROUP,	 /* a multicast group's reports */
	TIMER_IFACE,	 /* an interface: router solicitations, general queries */
	TIMER_PMTU,	 /* a path's MTU is forgotten */
};
#define TIMER_NKINDS 10

struct timer {
	uint32_t next, prev; /* in its slot: kind << 28 | index */
	uint32_t
		tick_low; /* when it is due, rounded up; all ones: not set. Zeroed memory is not a timer: timer_init() */
	uint16_t tick_high;
	uint8_t level, slot;
};
_Static_assert(sizeof(struct timer) == 16, "each connection has one");

struct wheel {
	uint64_t now_tick; /* every tick before this one is done */
	uint64_t bits[WHEEL_LEVELS];
	uint32_t first[WHEEL_LEVELS][WHEEL_SLOTS], last[WHEEL_LEVELS][WHEEL_SLOTS];
	struct {
		uint8_t *base; /* of index 0's struct timer */
		size_t stride;
	} kinds[TIMER_NKINDS];
	uint32_t n;
};

void timer_init(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
	return t->tick_low != UINT32_MAX || t->tick_high != UINT16_MAX;
}
/* When it is due: the deadline it was set to, and less than a tick. NEVER_NS: it is not set. */
static inline uint64_t timer_at_ns(const struct timer *t)
{
	return timer_is_set(t) ? ((uint64_t)t->tick_high << 32 | t->tick_low) << WHEEL_TICK_SHIFT : NEVER_NS;
}

void wheel_init(struct wheel *w, uint64_t now_ns);
/* Where timers of a kind are: index i's is at first + i * stride. */
void wheel_kind(struct wheel *w, enum timer_kind kind, struct timer *first, size_t stride);
/* Set it or move it. In the past: due at once. NEVER_NS: cancel. */
void wheel_set(struct wheel *w, enum timer_kind kind, uint32_t index, uint64_t at_ns);
void wheel_cancel(struct wheel *w, enum timer_kind kind, uint32_t index);
/* When wheel_pop() has the next one at the latest; NEVER_NS when there is none. */
uint64_t wheel_deadline(const struct wheel *w);
/* One timer that is due, taken out of the wheel. Bounded: one call moves at most one slot's worth of coarser timers down. */
bool wheel_pop(struct wheel *w, uint64_t now_ns, enum timer_kind *ret_kind, uint32_t *ret_index);
bool wheel_check(const struct wheel *w);

#endif
