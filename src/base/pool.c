/* src/base/pool.c: items by slot and generation.
 *
 *     header | meta[n_max] | items[n_max]          meta: generation, next free slot
 *
 * Whether a slot is in use is written in one place, the lowest bit of its generation: odd is in use.
 * Taking and giving add one each. The free list and the count only make that quick to use, and can
 * be built anew from the generations (pool_repair()).
 *
 * Always true of sound memory (pool_check() verifies each)
 *   P1  every slot with an even generation is on the free list once, no other is;
 *   P2  n_used counts the odd generations.
 * Of damaged memory: every slot number is compared with the view's n_max before it is used; a free
 * list that leads to a slot in use ends with -EUCLEAN. A cycle does so too, as taking makes odd.
 *
 * A generation wraps after 2^31 takings of one slot; a handle kept that long is the caller's risk.
 *
 * Cost: take and give O(1) plus zeroing the item.
 */
#include "base/pool.h"

#include <errno.h>
#include <string.h>

#define POOL_MAGIC UINT32_C(0x6c6f6f70)
#define END UINT32_MAX

struct header {
	uint32_t magic, n_max, item_bytes, n_used, free_head, pad;
};

struct meta {
	uint32_t generation, next_free;
};

static size_t stride(uint32_t item_bytes)
{
	return ((size_t)item_bytes + 7) & ~(size_t)7;
}

static struct header *header(const struct pool *p)
{
	return (struct header *)p->base;
}

static struct meta *metas(const struct pool *p)
{
	return (struct meta *)(p->base + sizeof(struct header));
}

static bool in_use(uint32_t generation)
{
	return generation & 1;
}

size_t pool_size(uint32_t n_max, uint32_t item_bytes)
{
	if (n_max == 0 || n_max > POOL_ITEMS_MAX || item_bytes == 0 || item_bytes > POOL_ITEM_BYTES_MAX)
		return 0;
	return sizeof(struct header) + n_max * (sizeof(struct meta) + stride(item_bytes));
}

static int make_view(struct pool *p, void *mem, size_t len_bytes, uint32_t n_max, uint32_t item_bytes)
{
	size_t need = pool_size(n_max, item_bytes);

	if (need == 0 || need > len_bytes || (uintptr_t)mem % 8 != 0)
		return -EINVAL;
	*p = (struct pool){
		.base = mem,
		.n_max = n_max,
		.item_bytes = item_bytes,
		.items_off = sizeof(struct header) + n_max * sizeof(struct meta),
	};
	return 0;
}

int pool_init(struct pool *p, void *mem, size_t len_bytes, uint32_t n_max, uint32_t item_bytes)
{
	int r = make_view(p, mem, len_bytes, n_max, item_bytes);

	if (r < 0)
		return r;
	*header(p) = (struct header){.magic = POOL_MAGIC, .n_max = n_max, .item_bytes = item_bytes};
	for (uint32_t i = 0; i < n_max; i++)
		metas(p)[i] = (struct meta){.generation = 0, .next_free = i + 1 < n_max ? i + 1 : END};
	ASSERT_SLOW(pool_check(p));
	return 0;
}

int pool_attach(struct pool *p, void *mem, size_t len_bytes, uint32_t n_max, uint32_t item_bytes)
{
	struct pool view;
	int r = make_view(&view, mem, len_bytes, n_max, item_bytes);

	if (r < 0)
		return r;
	if (header(&view)->magic != POOL_MAGIC || header(&view)->n_max != n_max ||
	    header(&view)->item_bytes != item_bytes)
		return -EUCLEAN;
	*p = view;
	return 0;
}

int pool_take(struct pool *p, struct pool_ref *ret)
{
	uint32_t slot = header(p)->free_head;
	struct meta *m;

	if (slot == END)
		return -ENOBUFS;
	if (slot >= p->n_max)
		return -EUCLEAN;
	m = &metas(p)[slot];
	if (in_use(m->generation))
		return -EUCLEAN;
	header(p)->free_head = m->next_free; /* checked when it is taken */
	header(p)->n_used++;
	m->generation++;
	memset(p->base + p->items_off + slot * stride(p->item_bytes), 0, p->item_bytes);
	*ret = (struct pool_ref){slot, m->generation};
	return 0;
}

int pool_give(struct pool *p, struct pool_ref ref)
{
	struct meta *m;

	if (!pool_at(p, ref))
		return -ESTALE;
	m = &metas(p)[ref.slot];
	m->generation++;
	m->next_free = header(p)->free_head;
	header(p)->free_head = ref.slot;
	if (header(p)->n_used == 0)
		return -EUCLEAN;
	header(p)->n_used--;
	return 0;
}

void *pool_at(const struct pool *p, struct pool_ref ref)
{
	if (ref.slot >= p->n_max || !in_use(ref.generation) || metas(p)[ref.slot].generation != ref.generation)
		return NULL;
	return p->base + p->items_off + ref.slot * stride(p->item_bytes);
}

bool pool_next(const struct pool *p, uint32_t *cursor, struct pool_ref *ret)
{
	for (uint32_t slot = *cursor; slot < p->n_max; slot++) {
		uint32_t generation = metas(p)[slot].generation;

		if (!in_use(generation))
			continue;
		*ret = (struct pool_ref){slot, generation};
		*cursor = slot + 1;
		return true;
	}
	*cursor = p->n_max;
	return false;
}

uint32_t pool_n_used(const struct pool *p)
{
	return header(p)->n_used;
}

bool pool_check(const struct pool *p)
{
	uint32_t n_used = 0, n_free = 0, slot = header(p)->free_head;

	if (header(p)->magic != POOL_MAGIC || header(p)->n_max != p->n_max || header(p)->item_bytes != p->item_bytes)
		return false;
	for (uint32_t i = 0; i < p->n_max; i++)
		n_used += in_use(metas(p)[i].generation);
	/* As many steps as there are free slots, each a free slot, then the end: since a list that
	 * meets a slot twice never ends, no slot was met twice, so every free one was met (P1). */
	while (slot != END && n_free < p->n_max - n_used) {
		if (slot >= p->n_max || in_use(metas(p)[slot].generation))
			return false;
		slot = metas(p)[slot].next_free;
		n_free++;
	}
	return slot == END && n_free == p->n_max - n_used && n_used == header(p)->n_used;
}

void pool_repair(struct pool *p)
{
	uint32_t n_used = 0, head = END;

	for (uint32_t i = p->n_max; i-- > 0;) {
		if (in_use(metas(p)[i].generation)) {
			n_used++;
			continue;
		}
		metas(p)[i].next_free = head;
		head = i;
	}
	*header(p) = (struct header){.magic = POOL_MAGIC,
				     .n_max = p->n_max,
				     .item_bytes = p->item_bytes,
				     .n_used = n_used,
				     .free_head = head};
	ASSERT_SLOW(pool_check(p));
}
