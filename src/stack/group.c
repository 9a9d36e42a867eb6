/* src/stack/group.c: multicast membership, and what all members of a group on an interface want together (RFC 2236, 3376; RFC 2710, 3810:
 * the host's side).
 *
 * A membership is (interface, group), counted: sockets, and our own addresses (solicited-node groups, RFC 4861, 7.2.1). Each has a filter. We
 * are in all-hosts (224.0.0.1, ff02::1) always and say nothing of that (RFC 2236, 6; RFC 3810, 6).
 *
 *	members' filters --> count() --> n_include, n_exclude of each source --> changed() --> what is reported (group_say.c)
 *
 * The merge (RFC 3376, 3.2) is a count: while one member excludes, the interface excludes what all who exclude name and nobody
 * includes; else it includes what anybody does. A group that nobody is in is "include nobody", so coming and going are changes
 * like all others (5.1). Groups of the source-specific range are reported as if nobody excluded there (RFC 4604, 2.2).
 *
 * A source that nobody names any more stays while that is said. The pool of them (n_sources and n_filter_sources together) has room for all
 * that members name, and for those that one call gives up; what lies in it besides goes when it is needed.
 *
 * Always true (group_check())
 *   G1  a group in use has a member, or something left to say; no two are the same;
 *   G2  something left to say has a time, and the earlier time is the timer's;
 *   G3  a source is in its group's list once, because a member names it, or it is still to be said or asked about;
 *   G4  what is listed is what the counts make of it; the counts are of all that members' filters name.
 */
#include "stack/group.h"

static bool is_all_hosts(const struct port_addr *g)
{
	static const struct port_addr hosts4 = {.b = {[10] = 0xff, 0xff, 224, 0, 0, 1}};
	static const struct port_addr hosts6 = {.b = {0xff, 2, [15] = 1}};

	return same_addr(g, &hosts4) || same_addr(g, &hosts6);
}

bool group_is_silent(const struct port_addr *g)
{
	return is_all_hosts(g) || (!is4(g) && (g->b[1] & 0x0f) <= 1);
}

bool group_is_ssm(const struct port_addr *g)
{
	return is4(g) ? g->b[12] == 232 : g->b[0] == 0xff && (g->b[1] & 0xf0) == 0x30 && g->b[2] == 0 && g->b[3] == 0;
}

uint32_t group_find(const struct berth_stack *st, uint16_t iface, const struct port_addr *g)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++)
		if (st->ip->groups[i].used && st->ip->groups[i].iface == iface && same_addr(&st->ip->groups[i].addr, g))
			return i;
	return NIL;
}

/* --- memory --- */
void group_layout(struct berth_stack *st, struct arena *a, struct ip_state *s)
{
	const struct berth_stack_config *c = &st->cfg;
	uint32_t n_sources = c->n_sources + c->n_filter_sources;
	void *sources = arena_take(a, slab_size(n_sources, sizeof(struct group_source)));
	void *filters = arena_take(a, slab_size(c->n_sources, (uint32_t)group_filter_bytes()));

	s->groups = arena_take(a, c->n_groups * sizeof(*s->groups));
	if (!a->base)
		return;
	slab_init(&s->sources, sources, n_sources, sizeof(struct group_source));
	slab_init(&s->filters, filters, c->n_sources, (uint32_t)group_filter_bytes());
}

void group_init(struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++)
		timer_init(&st->ip->groups[i].timer);
	wheel_kind(&st->wheel, TIMER_GROUP, &st->ip->groups->timer, sizeof(*st->ip->groups));
}

/* --- sources --- */
uint32_t group_source_find(const struct berth_stack *st, const struct group *m, const uint8_t ip[16])
{
	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next)
		if (memcmp(group_source_at(st, i)->ip, ip, 16) == 0)
			return i;
	return NIL;
}

uint32_t group_source_add(struct berth_stack *st, struct group *m, const uint8_t ip[16])
{
	uint32_t i = slab_take(&st->ip->sources), *link = &m->first;

	if (i == NIL)
		return NIL;
	memcpy(group_source_at(st, i)->ip, ip, 16);
	group_source_at(st, i)->next = NIL;
	while (*link != NIL)
		link = &group_source_at(st, *link)->next;
	*link = i;
	return i;
}

static bool is_named(const struct group_source *s)
{
	return s->n_include || s->n_exclude;
}

static bool is_kept(const struct group_source *s)
{
	return is_named(s) || s->listed || s->n_says || s->asked;
}

void group_tidy(struct berth_stack *st, uint32_t index)
{
	struct group *m = group_at(st, index);
	uint32_t *link = &m->first;

	while (*link != NIL) {
		uint32_t i = *link;
		struct group_source *s = group_source_at(st, i);

		if (is_kept(s)) {
			link = &s->next;
			continue;
		}
		*link = s->next;
		slab_give(&st->ip->sources, i);
	}
	if (m->n_users || m->n_says || m->first != NIL)
		return;
	wheel_cancel(&st->wheel, TIMER_GROUP, index);
	m->used = false;
}

/* Sources of a group that no member names are not needed as much as new ones are: what was still to be said of them is not said again, and a
 * query about some of them is answered about all. Returns whether there were any. */
static bool make_room(struct berth_stack *st)
{
	uint32_t n = st->ip->sources.n_used;

	for (uint32_t g = 0; g < st->cfg.n_groups && st->ip->sources.n_used == n; g++) {
		struct group *m = group_at(st, g);
		bool asked = false;

		if (!m->used)
			continue;
		for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next) {
			struct group_source *s = group_source_at(st, i);

			if (is_named(s))
				continue;
			s->n_says = 0;
			asked |= s->asked;
		}
		if (asked)
			group_answer_about_all(st, m);
		group_tidy(st, g);
	}
	return st->ip->sources.n_used < n;
}

/* --- counting --- */
static void count_source(struct berth_stack *st, struct group *m, const uint8_t ip[16], bool include, int by)
{
	uint32_t i = group_source_find(st, m, ip);
	struct group_source *s;

	if (i == NIL)
		i = group_source_add(st, m, ip);
	if (i == NIL && make_room(st))
		i = group_source_add(st, m, ip);
	ASSERT(i != NIL);
	s = group_source_at(st, i);
	if (include)
		s->n_include += (uint32_t)by;
	else
		s->n_exclude += (uint32_t)by;
}

static void count_sources(struct berth_stack *st, struct group *m, const struct member_filter *f, int by)
{
	for (uint32_t i = group_filter_first(f); i != NIL;)
		count_source(st, m, group_filter_next(st, &i), f->include, by);
}

static void count_user(struct group *m, const struct member_filter *f, int by)
{
	m->n_users += (uint32_t)by;
	if (!f->include)
		m->n_exclude += (uint32_t)by;
}

/* --- merging --- */
static bool excludes(const struct group *m)
{
	return m->n_exclude && !group_is_ssm(&m->addr);
}

static bool is_listed(const struct group *m, const struct group_source *s)
{
	return excludes(m) ? s->n_exclude == m->n_exclude && !s->n_include : s->n_include != 0;
}

/* Is there anything that whoever routes should know of? */
static bool is_reported(const struct group *m)
{
	return group_is_ssm(&m->addr) ? m->n_users > m->n_exclude : m->n_users != 0;
}

static void hush(struct berth_stack *st, struct group *m)
{
	m->n_says = 0;
	m->change_at_ns = NEVER_NS;
	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next)
		group_source_at(st, i)->n_says = 0;
}

void group_hush(struct berth_stack *st, uint32_t index)
{
	struct group *m = group_at(st, index);

	hush(st, m);
	group_answer_none(st, m);
	group_timer_set(st, index);
	group_tidy(st, index);
}

enum { OTHER_MODE = 1, OTHER_LIST = 2 };

/* Lists anew, and says what differs. A source that does is to be said so many times: if the mode differs, by the records that say the mode. */
static unsigned merge(struct berth_stack *st, struct group *m, uint8_t n_says)
{
	unsigned differs = excludes(m) != m->excludes ? OTHER_MODE : 0;

	m->excludes = excludes(m);
	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next) {
		struct group_source *s = group_source_at(st, i);
		bool listed = is_listed(m, s);

		if (listed != s->listed) {
			s->n_says = n_says;
			differs |= OTHER_LIST;
		}
		s->listed = listed;
	}
	return differs;
}

/* Members came, went, or want to hear others: the interface's state follows, and it is said if there is anybody to say it to. */
static void changed(struct berth_stack *st, uint32_t index)
{
	struct group *m = group_at(st, index);
	bool speaks = !group_is_silent(&m->addr) && group_may_say(st, m), was = m->reported;
	unsigned version = group_version(st, m->iface, is4(&m->addr)), differs;
	uint8_t n_says = group_robustness(st, m);

	m->reported = is_reported(m);
	if (!m->reported)
		group_answer_none(st, m);
	differs = merge(st, m, speaks && version == 3 ? n_says : 0);
	if (!speaks) {
		hush(st, m);
	} else if (version == 3) {
		if (differs & OTHER_MODE)
			m->n_says = n_says;
		if (differs)
			group_say_change(st, index);
	} else if (m->reported && !was) { /* older versions know of groups alone (RFC 3376, 7.2.1; RFC 3810, 8.2.1) */
		m->n_says = n_says;
		group_say_change(st, index);
	} else if (!m->reported && was) {
		hush(st, m);
		if (m->last_reporter)
			group_say_leave(st, m);
	}
	group_timer_set(st, index);
	group_tidy(st, index);
}

/* --- members --- */

/* The group's slot, a new one if need be; NIL: there is none. */
static uint32_t slot(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	uint32_t i = group_find(st, iface, group);
	struct group *m;

	for (uint32_t k = 0; i == NIL && k < st->cfg.n_groups; k++)
		if (!group_at(st, k)->used)
			i = k;
	if (i == NIL || group_at(st, i)->used)
		return i;
	m = group_at(st, i);
	*m = (struct group){.addr = *group, .first = NIL, .iface = iface, .used = true};
	m->addr.scope = 0;
	m->change_at_ns = m->answer_at_ns = NEVER_NS;
	timer_init(&m->timer);
	return i;
}

static bool same_ip(const struct berth_addr *a, const struct berth_addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool is_first(const struct group_want *w, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (same_ip(&w->sources[i], &w->sources[at]))
			return false;
	return true;
}

/* Will its list fit, once the one it has is gone? */
static bool list_fits(const struct berth_stack *st, const struct member_filter *f, const struct group_want *w)
{
	uint32_t n = 0;

	if (w->n > st->cfg.n_filter_sources)
		return false;
	for (unsigned i = 0; i < w->n; i++)
		n += is_first(w, i);
	return n <= st->cfg.n_sources - st->ip->filters.n_used + f->n;
}

static void list_make(struct berth_stack *st, struct member_filter *f, const struct group_want *w)
{
	int r = 0;

	group_filter_clear(st, f);
	f->include = w->include;
	for (unsigned i = 0; i < w->n && r == 0; i++) {
		struct port_addr a = addr_of(&w->sources[i]);

		if (is_first(w, i))
			r = group_filter_add(st, f, &a);
	}
	ASSERT(r == 0);
}

int group_change(struct berth_stack *st, uint16_t iface, const struct port_addr *group, struct member_filter *f,
		 bool was, const struct group_want *to)
{
	struct group *m;
	uint32_t i;

	if (!iface_at(st, iface))
		return -ENODEV;
	if (!port_addr_is_multicast(group))
		return -EINVAL;
	i = group_find(st, iface, group);
	if (was && (i == NIL || !group_at(st, i)->n_users))
		return -EADDRNOTAVAIL;
	if (to && !list_fits(st, f, to))
		return -ENOBUFS;
	if (!was)
		i = slot(st, iface, group);
	if (i == NIL)
		return -ENOBUFS;
	m = group_at(st, i);
	/* Who stays is counted throughout: make_room() must not take the group for one that nobody is in. */
	if (was) {
		count_sources(st, m, f, -1);
		count_user(m, f, -1);
		group_filter_clear(st, f);
	}
	if (to) {
		f->include = to->include;
		count_user(m, f, 1);
		list_make(st, f, to);
		count_sources(st, m, f, 1);
	}
	changed(st, i);
	return 0;
}

int group_change_one(struct berth_stack *st, uint16_t iface, const struct port_addr *group, struct member_filter *f,
		     const struct port_addr *source, bool add)
{
	uint32_t i = group_find(st, iface, group);
	int r = 0;

	if (i == NIL)
		return -EADDRNOTAVAIL;
	if (add)
		r = group_filter_add(st, f, source);
	if (r < 0)
		return r;
	count_source(st, group_at(st, i), source->b, f->include, add ? 1 : -1);
	if (!add)
		group_filter_remove(st, f, source);
	changed(st, i);
	return 0;
}

int group_join(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	static const struct group_want all;
	struct member_filter f = {.include = false};

	return group_change(st, iface, group, &f, false, &all);
}

int group_leave(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	struct member_filter f = {.include = false};

	return group_change(st, iface, group, &f, true, NULL);
}

bool group_is_member(const struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	uint32_t i;

	if (is_all_hosts(group))
		return true;
	i = group_find(st, iface, group);
	return i != NIL && group_at(st, i)->n_users;
}

bool group_takes(const struct berth_stack *st, uint16_t iface, const struct port_addr *group,
		 const struct port_addr *source)
{
	const struct group_source *s;
	const struct group *m;
	uint32_t i;

	if (is_all_hosts(group))
		return true;
	i = group_find(st, iface, group);
	if (i == NIL)
		return false;
	m = group_at(st, i);
	i = group_source_find(st, m, source->b);
	if (i == NIL)
		return m->n_exclude != 0;
	s = group_source_at(st, i);
	return s->n_include || s->n_exclude != m->n_exclude;
}

/* --- interfaces --- */

/* Whoever routes may have forgotten all: it is said as if it were new. */
void group_iface_up(struct berth_stack *st, uint16_t iface, bool only6)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		struct group *m = group_at(st, i);

		if (!m->used || m->iface != iface || (only6 && is4(&m->addr)))
			continue;
		hush(st, m);
		group_answer_none(st, m);
		m->reported = m->excludes = false;
		for (uint32_t k = m->first; k != NIL; k = group_source_at(st, k)->next)
			group_source_at(st, k)->listed = false;
		changed(st, i);
	}
}

void group_forget_iface(struct berth_stack *st, uint16_t iface)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		struct group *m = group_at(st, i);

		if (!m->used || m->iface != iface)
			continue;
		for (uint32_t k = m->first; k != NIL; k = group_source_at(st, k)->next)
			*group_source_at(st, k) = (struct group_source){.next = group_source_at(st, k)->next};
		m->n_users = m->n_exclude = 0;
		group_hush(st, i);
	}
}

/* --- the checker --- */
static bool source_check(const struct berth_stack *st, const struct group *m, uint32_t i)
{
	const struct group_source *s = group_source_at(st, i);

	return slab_used(&st->ip->sources, i) && group_source_find(st, m, s->ip) == i && is_kept(s) &&
	       s->listed == is_listed(m, s) && s->n_include <= m->n_users - m->n_exclude &&
	       s->n_exclude <= m->n_exclude;
}

static bool times_check(const struct group *m, bool says)
{
	uint64_t at = m->change_at_ns < m->answer_at_ns ? m->change_at_ns : m->answer_at_ns;

	if ((says && m->change_at_ns == NEVER_NS) || timer_is_set(&m->timer) != (at != NEVER_NS))
		return false;
	return !timer_is_set(&m->timer) ||
	       (timer_at_ns(&m->timer) >= at && timer_at_ns(&m->timer) - at < WHEEL_TICK_NS);
}

bool group_check(const struct berth_stack *st)
{
	uint32_t n_sources = 0, n_named = 0;

	for (uint32_t g = 0; g < st->cfg.n_groups; g++) {
		const struct group *m = group_at(st, g);
		bool says = m->n_says;
		uint32_t n_asked = 0;

		if (!m->used)
			continue;
		for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next) {
			const struct group_source *s;

			if (!source_check(st, m, i))
				return false;
			s = group_source_at(st, i);
			n_sources++;
			n_named += s->n_include + s->n_exclude;
			n_asked += s->asked;
			says |= s->n_says != 0;
		}
		if (group_find(st, m->iface, &m->addr) != g || !port_addr_is_multicast(&m->addr) ||
		    (!m->n_users && !says) || m->n_asked != n_asked || n_asked > GROUP_ASKED_MAX ||
		    (n_asked && m->answer_at_ns == NEVER_NS) || m->excludes != excludes(m) ||
		    m->reported != is_reported(m) || !times_check(m, says))
			return false;
	}
	return n_sources == st->ip->sources.n_used && n_named == st->ip->filters.n_used &&
	       slab_check(&st->ip->sources) && slab_check(&st->ip->filters);
}
