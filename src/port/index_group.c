/* src/port/index_group.c: groups: who shares a local address, or a destination, and which of its ports are taken.
 *
 * Choosing a port (choose.c) asks a group, not all that is bound. A group counts its members, and has a page of bits, one for each
 * port, when it is large enough and a page is free. When no group is left a member does without (NIL), and is counted.
 */
#include "port/chain.h"
#include "port/internal.h"

static uint32_t *group_head(const struct port_table *t, enum group_kind kind, enum port_proto proto,
			    const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port)
{
	struct flow_key k = flow_key(proto, local, 0, peer, peer_port);

	k.kind = (uint8_t)(1 + kind);
	return hash_head(t, SEC_H_GROUP, &k, sizeof(k));
}

static int group_in(const struct port_table *t, uint32_t i, enum group_kind kind, enum port_proto proto,
		    const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	uint32_t steps = 0;

	for (const struct group *g; i != NIL; i = g->h_next) {
		g = group_at(t, i);
		if (g == NULL || ++steps > t->n_places)
			return -EUCLEAN;
		if (g->used && g->kind == kind && g->proto == proto && g->peer_port == peer_port &&
		    port_addr_equal(&g->local, local) && port_addr_equal(&g->peer, peer)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

int index_find_group(const struct port_table *t, enum group_kind kind, enum port_proto proto,
		     const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	return group_in(t, *group_head(t, kind, proto, local, peer, peer_port), kind, proto, local, peer, peer_port,
			ret);
}

static void page_give_back(struct port_table *t, struct group *g)
{
	struct page *p = page_at(t, g->page);

	if (p != NULL) {
		p->w[0] = hdr(t)->free_page;
		hdr(t)->free_page = g->page;
	}
	g->page = NIL;
}

/* A new page is empty: choosing finds the ports of those who came before it, and writes them in (choose.c). */
static int group_grew(struct port_table *t, struct group *g, uint16_t port)
{
	struct page *p = page_at(t, g->page);
	uint32_t free = hdr(t)->free_page;

	g->n++;
	if (p == NULL && g->n >= GROUP_PAGE_MIN && free != NIL) {
		p = page_at(t, free);
		if (p == NULL)
			return -EUCLEAN;
		hdr(t)->free_page = (uint32_t)p->w[0];
		memset(p, 0, sizeof(*p));
		g->page = free;
	}
	if (p != NULL)
		bit_put(p->w, port, true);
	return 0;
}

int index_group_join(struct port_table *t, enum group_kind kind, enum port_proto proto, const struct port_addr *local,
		     const struct port_addr *peer, uint16_t peer_port, uint16_t port, uint32_t *ret)
{
	uint32_t i, *head = group_head(t, kind, proto, local, peer, peer_port);
	int r = group_in(t, *head, kind, proto, local, peer, peer_port, &i);

	if (r == -ENOENT && hdr(t)->free_group == NIL) {
		hdr(t)->n_groupless++;
		*ret = NIL;
		return 0;
	}
	if (r == -ENOENT) {
		POP_FREE(t, free_group, group_at, h_next, &i);
		*group_at(t, i) = (struct group){.local = *local,
						 .peer = *peer,
						 .peer_port = peer_port,
						 .proto = (uint8_t)proto,
						 .kind = (uint8_t)kind,
						 .used = 1,
						 .h_next = *head,
						 .page = NIL};
		*head = i;
	} else if (r < 0) {
		return r;
	}
	*ret = i;
	return group_grew(t, group_at(t, i), port);
}

static int group_drop(struct port_table *t, uint32_t i)
{
	struct group *g = group_at(t, i);

	if (g == NULL)
		return -EUCLEAN;
	UNCHAIN(t, group_head(t, g->kind, g->proto, &g->local, &g->peer, g->peer_port), i, group_at, h_next);
	page_give_back(t, g);
	g->used = 0;
	g->h_next = hdr(t)->free_group;
	hdr(t)->free_group = i;
	return 0;
}

int index_group_leave(struct port_table *t, uint32_t i, uint16_t port, bool still)
{
	struct group *g = group_at(t, i);
	struct page *p = g != NULL ? page_at(t, g->page) : NULL;

	if (i == NIL) {
		hdr(t)->n_groupless--;
		return 0;
	}
	if (g == NULL || !g->used || g->n == 0)
		return -EUCLEAN;
	if (--g->n == 0)
		return group_drop(t, i);
	if (p != NULL && g->n < GROUP_PAGE_DROP)
		page_give_back(t, g);
	else if (p != NULL && !still)
		bit_put(p->w, port, false);
	return 0;
}
