/* src/stack/wheel.c: a hierarchical timing wheel whose slots are aligned to the clock.
 *
 * A tick is the number of a 65.5 us interval; a timer's tick is its deadline rounded up, so it never runs early. now_tick is the
 * tick that the wheel has come to. The level of a timer is the highest group of six bits in which its tick differs from now_tick:
 *
 *	tick      ... | bits 24-29 | 18-23 | 12-17 | 6-11 | 0-5 |
 *	level              4           3       2       1     0
 *
 * so a slot of level 0 is one tick within the present 64, and one of level 1 is one 64 of the present 4096. When now_tick comes to the
 * start of a coarser slot its timers are placed anew, which puts each at least one level lower. Nothing is set in the finer
 * slots of that time before, so timers of one tick stay in the order in which they were set.
 *
 * Level 4 goes round: its slots up to 63 ahead of the present one are told apart, whatever the bits above. What is further away waits
 * in the 63rd and is placed anew there.
 *
 * A coarse slot may hold every timer of a big stack (all keepalives of a quiet hour). One call of wheel_pop() moves at most
 * WHEEL_MOVES of them; until the slot is empty the wheel stands still, and its deadline is now.
 *
 * Cost: set and cancel touch the timer and its two neighbours; a timer moves at most four times in its life.
 */
#include "stack/wheel.h"

#include <string.h>

#define WHEEL_MOVES 512u
#define LEVEL_BITS 6u
#define TOP (WHEEL_LEVELS - 1)
#define INDEX_BITS 28u

static uint32_t ref_of(enum timer_kind kind, uint32_t index)
{
	return (uint32_t)kind << INDEX_BITS | index;
}

static struct timer *timer_at(const struct wheel *w, uint32_t ref)
{
	uint32_t kind = ref >> INDEX_BITS, index = ref & ((1u << INDEX_BITS) - 1);

	ASSERT(kind < TIMER_NKINDS && w->kinds[kind].base != NULL);
	return (struct timer *)(void *)(w->kinds[kind].base + index * w->kinds[kind].stride);
}

void timer_init(struct timer *t)
{
	*t = (struct timer){.tick_low = UINT32_MAX, .tick_high = UINT16_MAX, .next = NIL, .prev = NIL};
}

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	*w = (struct wheel){.now_tick = now_ns >> WHEEL_TICK_SHIFT};
	memset(w->first, 0xff, sizeof(w->first));
	memset(w->last, 0xff, sizeof(w->last));
}

void wheel_kind(struct wheel *w, enum timer_kind kind, struct timer *first, size_t stride)
{
	w->kinds[kind].base = (uint8_t *)first;
	w->kinds[kind].stride = stride;
}

#define TICK_NEVER ((UINT64_C(1) << 48) - 1)

/* The first tick that begins at or after at_ns. */
static uint64_t tick_of(uint64_t at_ns)
{
	uint64_t tick = (at_ns >> WHEEL_TICK_SHIFT) + ((at_ns & (WHEEL_TICK_NS - 1)) != 0);

	return tick < TICK_NEVER ? tick : TICK_NEVER;
}

static uint64_t tick_at(const struct timer *t)
{
	return (uint64_t)t->tick_high << 32 | t->tick_low;
}

static unsigned slot_index(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (level * LEVEL_BITS)) & (WHEEL_SLOTS - 1);
}

/* Which slot is a tick's, as seen from now_tick? */
static void place(const struct wheel *w, uint64_t tick, uint8_t *ret_level, uint8_t *ret_slot)
{
	uint64_t differ = tick ^ w->now_tick, ahead;
	unsigned level = differ == 0 ? 0 : (63u - (unsigned)__builtin_clzll(differ)) / LEVEL_BITS;

	if (level < TOP) {
		*ret_level = (uint8_t)level;
		*ret_slot = (uint8_t)slot_index(tick, level);
		return;
	}
	ahead = (tick >> (TOP * LEVEL_BITS)) - (w->now_tick >> (TOP * LEVEL_BITS));
	if (ahead > WHEEL_SLOTS - 1)
		ahead = WHEEL_SLOTS - 1;
	*ret_level = TOP;
	*ret_slot = (uint8_t)((slot_index(w->now_tick, TOP) + ahead) % WHEEL_SLOTS);
}

static void link_in(struct wheel *w, uint32_t ref, struct timer *t)
{
	uint64_t tick = tick_at(t);
	uint32_t *last;

	place(w, tick < w->now_tick ? w->now_tick : tick, &t->level, &t->slot);
	last = &w->last[t->level][t->slot];
	t->next = NIL;
	t->prev = *last;
	if (*last != NIL)
		timer_at(w, *last)->next = ref;
	else
		w->first[t->level][t->slot] = ref;
	*last = ref;
	w->bits[t->level] |= UINT64_C(1) << t->slot;
}

static void link_out(struct wheel *w, const struct timer *t)
{
	if (t->prev != NIL)
		timer_at(w, t->prev)->next = t->next;
	else
		w->first[t->level][t->slot] = t->next;
	if (t->next != NIL)
		timer_at(w, t->next)->prev = t->prev;
	else
		w->last[t->level][t->slot] = t->prev;
	if (w->first[t->level][t->slot] == NIL)
		w->bits[t->level] &= ~(UINT64_C(1) << t->slot);
}

void wheel_set(struct wheel *w, enum timer_kind kind, uint32_t index, uint64_t at_ns)
{
	uint32_t ref = ref_of(kind, index);
	uint64_t tick = tick_of(at_ns);
	struct timer *t;

	ASSERT(index < 1u << INDEX_BITS);
	t = timer_at(w, ref);
	if (tick_at(t) == tick)
		return;
	if (timer_is_set(t)) {
		link_out(w, t);
		w->n--;
	}
	t->tick_low = (uint32_t)tick;
	t->tick_high = (uint16_t)(tick >> 32);
	if (!timer_is_set(t))
		return;
	link_in(w, ref, t);
	w->n++;
}

void wheel_cancel(struct wheel *w, enum timer_kind kind, uint32_t index)
{
	wheel_set(w, kind, index, NEVER_NS);
}

/* The first occupied slot from now on, and the tick with which it begins. Finer slots come before coarser ones, but for a slot that
 * begins now and is not emptied yet. */
static bool next_slot(const struct wheel *w, unsigned *ret_level, unsigned *ret_slot, uint64_t *ret_tick)
{
	for (unsigned level = TOP; level > 0; level--) {
		unsigned now = slot_index(w->now_tick, level);

		if (w->bits[level] >> now & 1) {
			*ret_level = level;
			*ret_slot = now;
			*ret_tick = w->now_tick;
			return true;
		}
	}
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		unsigned now = slot_index(w->now_tick, level), ahead, shift = level * LEVEL_BITS;
		uint64_t bits = w->bits[level];

		if (bits == 0)
			continue;
		if (now != 0) /* from now on, going round: only level 4 has any before */
			bits = bits >> now | bits << (WHEEL_SLOTS - now);
		ahead = (unsigned)__builtin_ctzll(bits);
		*ret_level = level;
		*ret_slot = (now + ahead) % WHEEL_SLOTS;
		*ret_tick = ((w->now_tick >> shift) + ahead) << shift;
		return true;
	}
	return false;
}

uint64_t wheel_deadline(const struct wheel *w)
{
	unsigned level, slot;
	uint64_t tick;

	return next_slot(w, &level, &slot, &tick) ? tick << WHEEL_TICK_SHIFT : NEVER_NS;
}

/* Place the timers of a slot that begins now. true: all of them are done. */
static bool move_down(struct wheel *w, unsigned level, unsigned slot, uint32_t *moves)
{
	for (uint32_t ref; (ref = w->first[level][slot]) != NIL; ++*moves) {
		struct timer *t = timer_at(w, ref);

		if (*moves >= WHEEL_MOVES)
			return false;
		link_out(w, t);
		link_in(w, ref, t);
	}
	return true;
}

bool wheel_pop(struct wheel *w, uint64_t now_ns, enum timer_kind *ret_kind, uint32_t *ret_index)
{
	uint64_t target = now_ns >> WHEEL_TICK_SHIFT, tick;
	uint32_t moves = 0, ref;
	unsigned level, slot;

	while (next_slot(w, &level, &slot, &tick) && tick <= target) {
		struct timer *t;

		w->now_tick = tick;
		if (level > 0) {
			if (!move_down(w, level, slot, &moves))
				return false;
			continue;
		}
		ref = w->first[0][slot];
		t = timer_at(w, ref);
		link_out(w, t);
		timer_init(t);
		w->n--;
		*ret_kind = (enum timer_kind)(ref >> INDEX_BITS);
		*ret_index = ref & ((1u << INDEX_BITS) - 1);
		return true;
	}
	if (w->now_tick < target)
		w->now_tick = target; /* nothing is due up to here */
	return false;
}

static bool slot_check(const struct wheel *w, unsigned level, unsigned slot, uint32_t *n)
{
	uint32_t prev = NIL;

	for (uint32_t ref = w->first[level][slot]; ref != NIL;) {
		const struct timer *t = timer_at(w, ref);

		if (!timer_is_set(t) || t->level != level || t->slot != slot || t->prev != prev || ++*n > w->n)
			return false;
		prev = ref;
		ref = t->next;
	}
	return w->last[level][slot] == prev && (w->bits[level] >> slot & 1) == (prev != NIL);
}

bool wheel_check(const struct wheel *w)
{
	uint32_t n = 0;

	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			if (!slot_check(w, level, slot, &n))
				return false;
	return n == w->n;
}
