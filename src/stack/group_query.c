/* src/stack/group_query.c: queries, and the reports of others: when what is asked is answered (RFC 3376, 5.2, 7.2; RFC 3810, 6.2, 8.2).
 *
 *	all groups --> the interface's time (version 3), or each group's	one group --> the group's time
 *	sources of a group --> the group's time, and the sources are remembered
 *
 * What waits is answered at the earliest time that any query set, together. When more is asked than GROUP_ASKED_MAX, or than there is room for,
 * the answer is about the whole group, which says more. Nobody is answered more often than ten times a second, whatever time his queries give:
 * a query costs less than what answers it (S11).
 *
 * An older querier makes us speak its version for a while, and forget what was to be said in the newer one.
 */
#include "stack/group.h"

#define OLDER_QUERIER_NS (400 * SECOND_NS) /* RFC 3376, 8.12, of the defaults */
#define ANSWER_GAP_NS (100 * MS_NS)

/* --- whose version --- */

/* RFC 3376, 7.2.1; RFC 3810, 8.2.1. */
static void note_querier(struct berth_stack *st, uint16_t iface, const struct wire_group *g, bool v4)
{
	struct iface *f = iface_at(st, iface);
	struct group_querier *q = v4 ? &f->igmp : &f->mld;
	unsigned before = group_version(st, iface, v4);

	if (g->version == 1)
		q->v1_until_ns = st->now_ns + OLDER_QUERIER_NS;
	else if (g->version == 2 && port_addr_is_any(&g->address))
		q->v2_until_ns = st->now_ns + OLDER_QUERIER_NS;
	else if (g->version == 3 && g->robustness >= 1)
		q->robustness = g->robustness;
	if (q->robustness < 2)
		q->robustness = 2;
	if (group_version(st, iface, v4) == before)
		return;
	q->general_at_ns = NEVER_NS;
	iface_timer_set(st, iface);
	for (uint32_t i = 0; i < st->cfg.n_groups; i++)
		if (group_at(st, i)->used && group_at(st, i)->iface == iface && is4(&group_at(st, i)->addr) == v4)
			group_hush(st, i);
}

/* --- when --- */
static uint64_t later(struct berth_stack *st, uint32_t max_ms, uint64_t answered_ns)
{
	uint64_t at = st->now_ns + stack_random_below(st, max_ms + 1) * MS_NS;

	return answered_ns && at < answered_ns + ANSWER_GAP_NS ? answered_ns + ANSWER_GAP_NS : at;
}

static bool is_asked_of(const struct group *m)
{
	return m->used && m->reported && !group_is_silent(&m->addr);
}

static void answer_at(struct berth_stack *st, uint32_t index, uint64_t at)
{
	struct group *m = group_at(st, index);

	if (at < m->answer_at_ns)
		m->answer_at_ns = at;
	group_timer_set(st, index);
}

/* --- sources --- */

/* Can a packet come from there? */
static bool is_source(const struct port_addr *a, bool v4)
{
	return is4(a) == v4 && !port_addr_is_any(a) && !port_addr_is_multicast(a);
}

/* One source that is asked about. False: there is no room to remember it. */
static bool ask(struct berth_stack *st, struct group *m, const struct port_addr *source)
{
	uint32_t i = group_source_find(st, m, source->b);

	/* We want none that we do not know, or all but those we know: then it is worth remembering. */
	if (i == NIL && !m->excludes)
		return true;
	if (i != NIL && group_source_at(st, i)->asked)
		return true;
	if (m->n_asked == GROUP_ASKED_MAX)
		return false;
	if (i == NIL)
		i = group_source_add(st, m, source->b);
	if (i == NIL)
		return false;
	group_source_at(st, i)->asked = true;
	m->n_asked++;
	return true;
}

/* Remembers the sources of a query. False: there are too many. */
static bool ask_all(struct berth_stack *st, struct group *m, const struct wire_group *g, bool v4)
{
	if (g->n_sources > GROUP_ASKED_MAX)
		return false;
	for (unsigned i = 0; i < g->n_sources; i++) {
		struct port_addr a = wire_group_source(v4 ? PORT_FAMILY_4 : PORT_FAMILY_6, g->body, i);

		if (is_source(&a, v4) && !ask(st, m, &a))
			return false;
	}
	return true;
}

/* --- queries --- */
static void query_all(struct berth_stack *st, uint16_t iface, uint32_t max_ms, bool v4)
{
	struct iface *f = iface_at(st, iface);
	struct group_querier *q = v4 ? &f->igmp : &f->mld;
	uint64_t at;

	if (group_version(st, iface, v4) == 3) {
		at = later(st, max_ms, q->answered_ns);
		if (at < q->general_at_ns)
			q->general_at_ns = at;
		iface_timer_set(st, iface);
		return;
	}
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct group *m = group_at(st, i);

		if (!is_asked_of(m) || m->iface != iface || is4(&m->addr) != v4)
			continue;
		at = later(st, max_ms, m->answered_ns);
		if (m->change_at_ns > at) /* else it is said before that anyhow */
			answer_at(st, i, at);
	}
}

static void query_one(struct berth_stack *st, uint16_t iface, const struct wire_group *g, uint32_t max_ms, bool v4)
{
	const struct iface *f = iface_at(st, iface);
	uint32_t i = group_find(st, iface, &g->address);
	struct group *m;
	bool waits;
	uint64_t at;

	if (i == NIL || !is_asked_of(group_at(st, i)))
		return;
	m = group_at(st, i);
	at = later(st, max_ms, m->answered_ns);
	if ((v4 ? &f->igmp : &f->mld)->general_at_ns <= at)
		return; /* which says it, too */
	waits = m->answer_at_ns != NEVER_NS;
	if (!g->n_sources || (waits && !m->n_asked) || !ask_all(st, m, g, v4)) {
		group_answer_about_all(st, m);
		answer_at(st, i, at);
	} else if (m->n_asked) {
		answer_at(st, i, at);
	}
	group_tidy(st, i);
}

void group_heard(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	uint32_t i = group_find(st, iface, group);

	/* Versions 1 and 2: another member said it, so we need not (RFC 2236, 3; RFC 2710, 4). Of sources he said nothing (RFC 4604, 2.2.2). */
	if (i == NIL || group_is_ssm(group) || group_version(st, iface, is4(group)) == 3 ||
	    !timer_is_set(&group_at(st, i)->timer))
		return;
	group_at(st, i)->last_reporter = false;
	group_hush(st, i);
}

void group_message(struct berth_stack *st, const struct packet *p, const struct wire_group *g, bool v4)
{
	uint32_t max_ms = g->version == 1 ? 10000 : g->max_response_ms;

	switch (g->kind) {
	case WIRE_GROUP_QUERY:
		st->n.mcast_queries_in++;
		note_querier(st, p->iface, g, v4);
		if (port_addr_is_any(&g->address))
			query_all(st, p->iface, max_ms, v4);
		else
			query_one(st, p->iface, g, max_ms, v4);
		return;
	case WIRE_GROUP_REPORT1:
	case WIRE_GROUP_REPORT2:
		if (same_addr(&p->dst, &g->address))
			group_heard(st, p->iface, &g->address);
		return;
	case WIRE_GROUP_LEAVE:
	case WIRE_GROUP_REPORT3:
		return; /* for routers */
	}
}
