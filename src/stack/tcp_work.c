/* src/stack/tcp_work.c: what a connection needs while it works, in a block of its own beside struct tcp_conn.
 *
 * There are as many as connections for now, and each has one from its first moment to its last.
 */
#include "stack/tcp_control.h"

void tcp_work_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t)
{
	void *items = arena_take(a, slab_size(st->cfg.n_conns, sizeof(struct tcp_work)));

	if (t != NULL)
		slab_init(&t->work, items, st->cfg.n_conns, sizeof(struct tcp_work));
}

bool tcp_work_take(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t i = slab_take(&st->tcp->work);

	if (i == NIL)
		return false;
	c->w = slab_at(&st->tcp->work, i);
	return true;
}

void tcp_work_give(struct berth_stack *st, struct tcp_conn *c)
{
	slab_give(&st->tcp->work,
		  (uint32_t)((size_t)((const uint8_t *)c->w - st->tcp->work.items) / sizeof(struct tcp_work)));
	c->w = NULL;
}
