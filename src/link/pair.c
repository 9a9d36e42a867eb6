/* src/link/pair.c: ends in one process.
 *
 *	put(0) -> copy -> ends[1].first -> ... -> ends[1].last -> take(1) -> lent until the next take(1)
 *
 * Always true
 *	P1  a frame is in one list of one end: on its way, or lent;
 *	P2  frames.n_out counts them all.
 */
#include "link/pair.h"

#include <string.h>

void pair_init(struct pair *p, enum berth_link link, unsigned n_ends, const uint16_t *ifaces)
{
	ASSERT(n_ends >= 2 && n_ends <= PAIR_ENDS_MAX);
	memset(p, 0, sizeof(*p));
	p->link = link;
	p->n_ends = n_ends;
	for (unsigned i = 0; i < n_ends; i++)
		p->ends[i].iface = ifaces[i];
}

static void free_list(struct pair *p, struct link_frame **list)
{
	while (*list) {
		struct link_frame *f = *list;

		*list = f->next;
		link_frame_free(&p->frames, f);
	}
}

void pair_fini(struct pair *p)
{
	for (unsigned i = 0; i < p->n_ends; i++) {
		free_list(p, &p->ends[i].first);
		free_list(p, &p->ends[i].lent);
	}
	link_frames_fini(&p->frames);
}

static void append(struct pair *p, unsigned to, struct link_frame *f)
{
	if (!f) {
		p->n_lost++;
		return;
	}
	f->next = NULL;
	if (p->ends[to].first)
		p->ends[to].last->next = f;
	else
		p->ends[to].first = f;
	p->ends[to].last = f;
	p->ends[to].n++;
}

void pair_put(struct pair *p, unsigned from, const struct berth_tx *v, unsigned n)
{
	ASSERT(from < p->n_ends);
	for (unsigned i = 0; i < n; i++)
		for (unsigned to = 0; to < p->n_ends; to++)
			if (to != from)
				append(p, to, link_frame_from(&p->frames, &v[i], p->link));
}

unsigned pair_take(struct pair *p, unsigned to, struct berth_rx *v, unsigned n)
{
	unsigned taken = 0;

	ASSERT(to < p->n_ends);
	free_list(p, &p->ends[to].lent);
	while (taken < n && p->ends[to].first) {
		struct link_frame *f = p->ends[to].first;

		p->ends[to].first = f->next;
		p->ends[to].n--;
		f->next = p->ends[to].lent;
		p->ends[to].lent = f;
		link_frame_rx(f, p->ends[to].iface, &v[taken++]);
	}
	return taken;
}

bool pair_idle(const struct pair *p)
{
	for (unsigned i = 0; i < p->n_ends; i++)
		if (p->ends[i].n)
			return false;
	return true;
}
