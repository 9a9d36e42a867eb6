/* src/base/pool.h: a fixed number of equal items on the caller's memory, with handles that go stale.
 *
 * The memory may be a shared mapping: it holds numbers and offsets, no pointers, and whatever is
 * found in it is checked before it is used. struct pool is a process's own view of it.
 */
#ifndef BERTH_BASE_POOL_H
#define BERTH_BASE_POOL_H

#include "base/base.h"

/* A slot and its generation. Generations of items in use are odd, so generation 0 is no item. */
struct pool_ref {
	uint32_t slot, generation;
};
#define POOL_REF_NONE ((struct pool_ref){0, 0})

struct pool {
	uint8_t *base;
	uint32_t n_max, item_bytes; /* from the caller, never read back from the memory */
	size_t items_off;
};

#define POOL_ITEMS_MAX (1u << 24)
#define POOL_ITEM_BYTES_MAX (1u << 16)

/* Octets of memory for n_max items of item_bytes each; 0 when a number is 0 or beyond the above. */
size_t pool_size(uint32_t n_max, uint32_t item_bytes);

/* mem is 8-byte aligned. An empty pool. Return: 0; -EINVAL, sizes do not fit. */
MUST_CHECK int pool_init(struct pool *p, void *mem, size_t len_bytes, uint32_t n_max, uint32_t item_bytes);
/* A pool somebody else made with these numbers. Return: 0; -EINVAL; -EUCLEAN, it is not that. */
MUST_CHECK int pool_attach(struct pool *p, void *mem, size_t len_bytes, uint32_t n_max, uint32_t item_bytes);

/* A zeroed item. Return: 0; -ENOBUFS, all are taken; -EUCLEAN, damaged. */
MUST_CHECK int pool_take(struct pool *p, struct pool_ref *ret);
/* Every handle to it is stale from here on. Return: 0; -ESTALE; -EUCLEAN. */
MUST_CHECK int pool_give(struct pool *p, struct pool_ref ref);
/* The item, aligned to 8, until it is given back; NULL when ref is stale. */
void *pool_at(const struct pool *p, struct pool_ref ref);

/* Walk the items in slot order: start with *cursor = 0; false at the end. */
bool pool_next(const struct pool *p, uint32_t *cursor, struct pool_ref *ret);
uint32_t pool_n_used(const struct pool *p);

/* The slow checker. False: damaged. */
bool pool_check(const struct pool *p);
/* Builds free list and count anew from the generations; items in use stay so. */
void pool_repair(struct pool *p);

#endif
