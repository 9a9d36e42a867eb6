/* src/stack/slab.h: a fixed number of equal items in the stack's memory, found by index.
 *
 * base/pool.h is for memory that strangers write; this is the stack's own, so it trusts itself and costs an array look-up. Items
 * are 64-byte aligned when item_bytes is a multiple of 64. An item's generation is odd while it is in use; handles carry it.
 */
#ifndef BERTH_STACK_SLAB_H
#define BERTH_STACK_SLAB_H

#include "base/base.h"

#define NIL UINT32_MAX

struct slab {
	uint8_t *items;
	uint32_t *generation; /* of each item; odd: in use */
	uint32_t *next;	      /* the free list */
	uint32_t item_bytes, n_max, n_used, n_peak, free_first;
};

/* Octets of memory (64-byte aligned) for n_max items. */
size_t slab_size(uint32_t n_max, uint32_t item_bytes);
/* mem is 64-byte aligned and zeroed. */
void slab_init(struct slab *s, void *mem, uint32_t n_max, uint32_t item_bytes);
/* A zeroed item's index; NIL: none is left. The item given back last comes first (it is in the cache). */
uint32_t slab_take(struct slab *s);
/* The same, and the item is as it was left: for big ones whose octets are written before they are read. */
uint32_t slab_take_dirty(struct slab *s);
void slab_give(struct slab *s, uint32_t i);
/* Is item i in use, and of that generation? */
bool slab_is(const struct slab *s, uint32_t i, uint32_t generation);
bool slab_check(const struct slab *s);

static inline void *slab_at(const struct slab *s, uint32_t i)
{
	ASSERT(i < s->n_max);
	return s->items + (size_t)i * s->item_bytes;
}

static inline bool slab_used(const struct slab *s, uint32_t i)
{
	return i < s->n_max && s->generation[i] % 2 == 1;
}

#endif
