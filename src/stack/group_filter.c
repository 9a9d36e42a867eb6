/* src/stack/group_filter.c: one member's filter: whom of a group's senders its socket hears (RFC 3376, 2; RFC 3678).
 *
 * A list of addresses from a pool of n_sources, in the order in which they were named. No address is in it twice. The list is walked for each
 * datagram that comes to the group: it has n_filter_sources at most.
 *
 * Elsewhere: what all members of a group want together (group.c); which call changes what (udp_group.c).
 */
#include "stack/ip_state.h"

struct filter_source {
	uint8_t ip[16];
	uint32_t next;
};

size_t group_filter_bytes(void)
{
	return sizeof(struct filter_source);
}

static struct filter_source *at(const struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->ip->filters, i);
}

bool group_filter_has(const struct berth_stack *st, const struct member_filter *f, const struct port_addr *source)
{
	for (uint32_t i = group_filter_first(f); i != NIL;)
		if (memcmp(group_filter_next(st, &i), source->b, 16) == 0)
			return true;
	return false;
}

bool group_filter_takes(const struct berth_stack *st, const struct member_filter *f, const struct port_addr *source)
{
	return group_filter_has(st, f, source) == f->include;
}

int group_filter_add(struct berth_stack *st, struct member_filter *f, const struct port_addr *source)
{
	uint32_t i, *link = &f->first;

	if (f->n >= st->cfg.n_filter_sources)
		return -ENOBUFS;
	i = slab_take(&st->ip->filters);
	if (i == NIL)
		return -ENOBUFS;
	memcpy(at(st, i)->ip, source->b, 16);
	at(st, i)->next = NIL;
	for (uint32_t k = 0; k < f->n; k++)
		link = &at(st, *link)->next;
	*link = i;
	f->n++;
	return 0;
}

void group_filter_remove(struct berth_stack *st, struct member_filter *f, const struct port_addr *source)
{
	uint32_t *link = &f->first;

	for (uint32_t k = 0; k < f->n; k++, link = &at(st, *link)->next) {
		uint32_t i = *link;

		if (memcmp(at(st, i)->ip, source->b, 16) != 0)
			continue;
		*link = at(st, i)->next;
		slab_give(&st->ip->filters, i);
		f->n--;
		return;
	}
}

void group_filter_clear(struct berth_stack *st, struct member_filter *f)
{
	uint32_t i = f->first;

	for (; f->n; f->n--) {
		uint32_t next = at(st, i)->next;

		slab_give(&st->ip->filters, i);
		i = next;
	}
}

uint32_t group_filter_first(const struct member_filter *f)
{
	return f->n ? f->first : NIL;
}

const uint8_t *group_filter_next(const struct berth_stack *st, uint32_t *cursor)
{
	const struct filter_source *s = at(st, *cursor);

	*cursor = s->next;
	return s->ip;
}
