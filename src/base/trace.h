/* src/base/trace.h: the last things that happened, for the moment when something must not have.
 *
 * A ring of fixed records. TRACE() is a few stores and one atomic add, safe in signal handlers and
 * between threads; a record being overwritten while it is read is left out, never shown torn.
 * With -DBERTH_NO_TRACE there is none: libberth-stack and libberth-dhcp promise that they have no global variable.
 */
#ifndef BERTH_BASE_TRACE_H
#define BERTH_BASE_TRACE_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/trace_events.h"

enum trace_event {
#define X(event, ...) TRACE_##event,
	TRACE_EVENTS(X)
#undef X
		TRACE_NEVENTS,
};

#define TRACE_WORDS 4

struct trace_record {
	_Atomic uint64_t seq; /* 0: being written, or never was; else its number, from 1 */
	_Atomic uint64_t event;
	_Atomic uint64_t words[TRACE_WORDS];
};

/* Make it with trace_ring_init(). */
struct trace_ring {
	_Atomic uint64_t n_ever; /* records ever begun */
	uint64_t mask;		 /* number of records - 1 */
	struct trace_record *records;
};

/* A record as read: a plain copy. */
struct trace_entry {
	uint64_t seq;
	enum trace_event event;
	uint64_t words[TRACE_WORDS];
};

/* n_records is a power of two; records are the caller's and outlive the ring. */
void trace_ring_init(struct trace_ring *r, struct trace_record *records, uint32_t n_records);

/* Where TRACE() writes from now on. NULL: back to the static ring of 256 that is there from the
 * start. A thread inside TRACE() may still write one record to the ring before: keep its memory. */
void trace_register(struct trace_ring *r);

void trace_add(enum trace_event event, const uint64_t words[TRACE_WORDS]);

/* TRACE(port_bind, proto, port, slot, result): up to four numbers, missing ones are 0. */
#ifdef BERTH_NO_TRACE /* in libraries without global variables: its numbers are not even looked at */
#define TRACE(event, ...) ((void)sizeof(TRACE_##event), (void)sizeof((const uint64_t[TRACE_WORDS]){__VA_ARGS__}))
#else
#define TRACE(event, ...) trace_add(TRACE_##event, (const uint64_t[TRACE_WORDS]){__VA_ARGS__})
#endif

/* The newest max records, oldest first. Returns how many were filled. */
uint32_t trace_last(struct trace_entry *ret, uint32_t max);

/* One line of text with a newline, at most len_bytes, not terminated. Returns its length. */
size_t trace_entry_print(const struct trace_entry *e, char *s, size_t len_bytes);

/* The last 256 records, one line each, with write(2) only. */
void trace_dump(int fd);

#endif
