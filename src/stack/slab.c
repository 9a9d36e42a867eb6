/* src/stack/slab.c: a fixed number of equal items, taken and given back in constant time.
 *
 * The free list is an array beside the items, so that taking one does not touch the memory of another. Its entries are written as
 * differences: entry i holds "the next free item, less i + 1". Zeroed memory is then a list of all items in order, and a slab of a
 * million items costs nothing to make: pages that are never used are never touched.
 *
 * Always true (slab_check())
 *   L1  item i is in the free list exactly when its generation is even;
 *   L2  the list has n_max - n_used items and ends.
 */
#include "stack/slab.h"

#include <string.h>

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

size_t slab_size(uint32_t n_max, uint32_t item_bytes)
{
	return align64((size_t)n_max * item_bytes) + 2 * align64((size_t)n_max * sizeof(uint32_t));
}

void slab_init(struct slab *s, void *mem, uint32_t n_max, uint32_t item_bytes)
{
	uint8_t *at = mem;

	ASSERT((uintptr_t)mem % 64 == 0 && item_bytes > 0 && n_max < NIL);
	*s = (struct slab){.items = at, .item_bytes = item_bytes, .n_max = n_max};
	at += align64((size_t)n_max * item_bytes);
	s->generation = (uint32_t *)(void *)at;
	at += align64((size_t)n_max * sizeof(uint32_t));
	s->next = (uint32_t *)(void *)at;
	s->free_first = 0; /* n_max: the list's end */
}

uint32_t slab_take_dirty(struct slab *s)
{
	uint32_t i = s->free_first;

	if (i >= s->n_max)
		return NIL;
	ASSERT(s->generation[i] % 2 == 0);
	s->free_first = s->next[i] + i + 1;
	s->generation[i]++;
	if (++s->n_used > s->n_peak)
		s->n_peak = s->n_used;
	return i;
}

uint32_t slab_take(struct slab *s)
{
	uint32_t i = slab_take_dirty(s);

	if (i != NIL)
		memset(s->items + (size_t)i * s->item_bytes, 0, s->item_bytes);
	return i;
}

void slab_give(struct slab *s, uint32_t i)
{
	ASSERT(slab_used(s, i));
	s->generation[i]++;
	s->next[i] = s->free_first - i - 1;
	s->free_first = i;
	s->n_used--;
}

bool slab_is(const struct slab *s, uint32_t i, uint32_t generation)
{
	return slab_used(s, i) && s->generation[i] == generation;
}

bool slab_check(const struct slab *s)
{
	uint32_t n_free = 0, n_used = 0;

	for (uint32_t i = s->free_first; i != s->n_max; i = s->next[i] + i + 1)
		if (i > s->n_max || s->generation[i] % 2 != 0 || ++n_free > s->n_max)
			return false;
	for (uint32_t i = 0; i < s->n_max; i++)
		n_used += s->generation[i] % 2;
	return n_used == s->n_used && n_used <= s->n_peak && n_free == s->n_max - n_used;
}
