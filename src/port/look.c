/* src/port/look.c: what a port table holds: the calls that read and change nothing.
 *
 * What they hand out is a copy, and the copy is judged: somebody else may write the table at this very moment.
 */
#include <errno.h>

#include "port/internal.h"

int port_table_get_user(const struct port_table *t, struct port_ref ref, uint64_t *ret)
{
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r == 0)
		*ret = slot_at(t, i)->user;
	return r;
}

/* Callers index arrays by what a claim says: the copy is judged, not what it was copied from. */
static int copy_out(const struct port_table *t, uint32_t i, struct port_claim *ret)
{
	struct port_claim c = index_claim(t, i);

	if (!index_claim_sane(&c))
		return -ESTALE;
	*ret = c;
	return 0;
}

int port_table_get(const struct port_table *t, struct port_ref ref, struct port_claim *ret)
{
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	return r == 0 ? copy_out(t, i, ret) : r;
}

int port_table_get_slot(const struct port_table *t, uint32_t slot, struct port_ref *ret_ref, struct port_claim *ret)
{
	const struct slot *s = slot_at(t, slot);
	struct port_ref ref;

	if (s == NULL || s->state == CLAIM_FREE)
		return -ESTALE;
	ref = (struct port_ref){slot, s->generation};
	if (ref.generation == 0 || copy_out(t, slot, ret) < 0)
		return -ESTALE;
	*ret_ref = ref;
	return 0;
}

bool port_table_next(const struct port_table *t, uint32_t *cursor, struct port_ref *ret_ref, struct port_claim *ret)
{
	while (*cursor < t->n_max)
		if (port_table_get_slot(t, (*cursor)++, ret_ref, ret) == 0)
			return true;
	return false;
}

uint32_t port_table_on_port(const struct port_table *t, enum port_proto proto, uint16_t port, struct port_ref *refs,
			    uint32_t max)
{
	uint32_t ib, n = 0;

	if (index_bucket(t, proto, port, &ib) < 0)
		return 0;
	const struct hold *h = hold_at(t, bucket_at(t, ib)->first);

	for (uint32_t holds = 0; h != NULL && holds < t->n_max; h = hold_at(t, h->b_next), holds++) {
		uint32_t i = h->first;

		for (const struct member *m = member_at(t, i); m != NULL && n < t->n_max;
		     i = m->m_next, m = member_at(t, i), n++)
			if (n < max)
				refs[n] = (struct port_ref){i, slot_at(t, i)->generation};
	}
	return n;
}

uint32_t port_table_n_claims(const struct port_table *t)
{
	return hdr(t)->n_claims;
}
