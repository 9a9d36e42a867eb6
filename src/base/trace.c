/* src/base/trace.c: the ring behind TRACE().
 *
 * A writer takes a number from n_ever, and with it a record: number modulo size. It marks the record
 * as unfinished (seq 0), stores the words, then stores its number as seq. A reader takes seq, the
 * words, and seq again: equal and not 0 means that the words belong together. Two writers meet in
 * one record only when one is a whole ring ahead of the other; the reader then sees a seq that is not
 * the one it expected, and leaves the record out.
 *
 * Everything is a lock-free atomic: no lock to be held when a signal comes, nothing to wait for.
 * There is no clock here (the core has none); the order is the sequence number.
 *
 * Cost: one atomic add and seven stores. Elsewhere: the list of events (trace_events.h).
 */
#include "base/trace.h"

#include <errno.h>
#include <unistd.h>

#include "base/cursor.h"

#define DEFAULT_RECORDS 256
#define DUMP_RECORDS 256

static struct trace_record default_records[DEFAULT_RECORDS];
static struct trace_ring default_ring = {.mask = DEFAULT_RECORDS - 1, .records = default_records};
static struct trace_ring *_Atomic current = &default_ring;

static const struct {
	const char *name, *words[TRACE_WORDS];
} events[] = {
#define X(event, w0, w1, w2, w3) [TRACE_##event] = {#event, {w0, w1, w2, w3}},
	TRACE_EVENTS(X)
#undef X
};
static_assert(COUNT_OF(events) == TRACE_NEVENTS, "every event has a name");

void trace_ring_init(struct trace_ring *r, struct trace_record *records, uint32_t n_records)
{
	ASSERT(n_records > 0 && (n_records & (n_records - 1)) == 0);
	atomic_init(&r->n_ever, 0);
	r->mask = n_records - 1;
	r->records = records;
	for (uint32_t i = 0; i < n_records; i++)
		atomic_init(&records[i].seq, 0);
}

void trace_register(struct trace_ring *r)
{
	atomic_store(&current, r ? r : &default_ring);
}

void trace_add(enum trace_event event, const uint64_t words[TRACE_WORDS])
{
	struct trace_ring *r = atomic_load_explicit(&current, memory_order_acquire);
	uint64_t n = atomic_fetch_add_explicit(&r->n_ever, 1, memory_order_relaxed);
	struct trace_record *rec = &r->records[n & r->mask];

	/* seq 0 must be seen before any new word: each word is a release store after it. */
	atomic_store_explicit(&rec->seq, 0, memory_order_relaxed);
	atomic_store_explicit(&rec->event, event, memory_order_release);
	for (size_t i = 0; i < TRACE_WORDS; i++)
		atomic_store_explicit(&rec->words[i], words[i], memory_order_release);
	atomic_store_explicit(&rec->seq, n + 1, memory_order_release);
}

/* Record number n (from 0) of r, if it is whole and still there. */
static bool read_record(struct trace_ring *r, uint64_t n, struct trace_entry *ret)
{
	struct trace_record *rec = &r->records[n & r->mask];
	uint64_t event;

	if (atomic_load_explicit(&rec->seq, memory_order_acquire) != n + 1)
		return false;
	event = atomic_load_explicit(&rec->event, memory_order_acquire);
	for (size_t i = 0; i < TRACE_WORDS; i++)
		ret->words[i] = atomic_load_explicit(&rec->words[i], memory_order_acquire);
	if (atomic_load_explicit(&rec->seq, memory_order_relaxed) != n + 1 || event >= TRACE_NEVENTS)
		return false;
	ret->seq = n + 1;
	ret->event = (enum trace_event)event;
	return true;
}

uint32_t trace_last(struct trace_entry *ret, uint32_t max)
{
	struct trace_ring *r = atomic_load(&current);
	uint64_t end = atomic_load(&r->n_ever), span = r->mask + 1;
	uint32_t n = 0;

	if (span > end)
		span = end;
	if (span > max)
		span = max;
	for (uint64_t i = end - span; i < end; i++)
		n += read_record(r, i, &ret[n]);
	return n;
}

size_t trace_entry_print(const struct trace_entry *e, char *s, size_t len_bytes)
{
	struct cursor_writer w = cursor_writer(s, len_bytes);

	cursor_put_text(&w, "#");
	cursor_put_decimal(&w, e->seq);
	cursor_put_text(&w, " ");
	cursor_put_text(&w, events[e->event].name);
	for (size_t i = 0; i < TRACE_WORDS; i++) {
		bool negative = (int64_t)e->words[i] < 0 && (int64_t)e->words[i] >= -4095; /* an errno */

		if (!events[e->event].words[i][0])
			continue;
		cursor_put_text(&w, " ");
		cursor_put_text(&w, events[e->event].words[i]);
		cursor_put_text(&w, negative ? "=-" : "=");
		cursor_put_decimal(&w, negative ? -e->words[i] : e->words[i]);
	}
	cursor_put_text(&w, "\n");
	return cursor_writer_len(&w);
}

void trace_dump(int fd)
{
	struct trace_ring *r = atomic_load(&current);
	uint64_t end = atomic_load(&r->n_ever), span = r->mask + 1;

	if (span > end)
		span = end;
	if (span > DUMP_RECORDS)
		span = DUMP_RECORDS;
	for (uint64_t i = end - span; i < end; i++) {
		struct trace_entry e;
		char line[256];
		ssize_t n;

		if (!read_record(r, i, &e))
			continue;
		n = write(fd, line, trace_entry_print(&e, line, sizeof(line)));
		if (n < 0 && errno != EINTR)
			return; /* nobody reads: nothing better to do */
	}
}
