/* src/stack/udp_group.c: groups of UDP sockets: who is in which, and whom of their senders he hears.
 *
 * Memberships are one small table for all sockets: (socket, interface, group), each with a filter (RFC 3376, 2; RFC 3678). IP counts them and
 * takes in what any of them wants (group_change()); which sockets hear it is Linux's rule (udp_hears_group()).
 *
 * Which call is allowed when, and what it says else, is Linux's, too: a filter is changed by calls of its own mode only, unless
 * its list is empty; to include nobody is to leave.
 *
 * Always true (udp_group_check())
 *   M1  a member names a socket that is there, and is in that socket's list, and in no other;
 *   M2  IP counts each member once, and each source of its filter once, by the filter's mode;
 *   M3  who includes has a source.
 */
#include "stack/udp.h"

#include <errno.h>

#include "stack/group.h"

static struct udp_member *member_at(const struct berth_stack *st, uint32_t i)
{
	ASSERT(i < st->cfg.n_groups);
	return &st->udp->members[i];
}

/* --- members --- */
static struct udp_member *member_find(const struct berth_stack *st, uint32_t index, uint16_t iface,
				      const struct port_addr *group)
{
	const struct udp_sock *u = slab_at(&st->udps, index);

	for (uint32_t i = u->member_first; i != NIL; i = member_at(st, i)->next)
		if (member_at(st, i)->iface == iface && port_addr_equal(&member_at(st, i)->group, group))
			return member_at(st, i);
	return NULL;
}

static struct udp_member *member_take(struct berth_stack *st, uint32_t index, uint16_t iface,
				      const struct port_addr *group)
{
	struct udp_sock *u = udp_at(st, index);

	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		struct udp_member *m = member_at(st, i);

		if (m->sock != NIL)
			continue;
		*m = (struct udp_member){.sock = index, .next = u->member_first, .iface = iface, .group = *group};
		u->member_first = i;
		return m;
	}
	return NULL;
}

static void member_give(struct berth_stack *st, struct udp_member *m)
{
	uint32_t *link = &udp_at(st, m->sock)->member_first;

	while (member_at(st, *link) != m)
		link = &member_at(st, *link)->next;
	*link = m->next;
	m->sock = NIL;
}

/* The group and the interface that a call means. A group has no scope here: the interface says it. */
static int group_of(struct berth_stack *st, const struct udp_sock *u, const struct berth_addr *a, uint16_t *iface,
		    struct port_addr *ret)
{
	struct port_addr g = addr_of(a);
	struct ip_route rt;
	int r;

	g.scope = 0;
	if (!port_addr_is_multicast(&g) || (u->s.family == PORT_FAMILY_4 && !port_addr_is4(&g)))
		return -EINVAL;
	if (*iface == BERTH_IFACE_ANY && u->mcast_iface != 0)
		*iface = (uint16_t)(u->mcast_iface - 1);
	if (*iface == BERTH_IFACE_ANY) {
		r = ip_route_find(st, NULL, &g, BERTH_IFACE_ANY, &rt, NULL);
		if (r < 0)
			return -ENODEV;
		*iface = rt.iface;
	}
	*ret = g;
	return 0;
}

static int come(struct berth_stack *st, uint32_t index, uint16_t iface, const struct port_addr *group,
		const struct group_want *w)
{
	struct udp_member *m = member_take(st, index, iface, group);
	int r;

	if (m == NULL)
		return -ENOBUFS;
	r = group_change(st, iface, group, &m->filter, false, w);
	if (r < 0)
		member_give(st, m);
	return r;
}

static int go(struct berth_stack *st, struct udp_member *m)
{
	int r = group_change(st, m->iface, &m->group, &m->filter, true, NULL);

	member_give(st, m);
	return r;
}

int udp_join(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface)
{
	static const struct group_want all;
	struct port_addr g;
	int r = group_of(st, udp_at(st, index), group, &iface, &g);

	if (r < 0)
		return r;
	return member_find(st, index, iface, &g) != NULL ? -EADDRINUSE : come(st, index, iface, &g, &all);
}

int udp_leave(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface)
{
	struct udp_member *m;
	struct port_addr g;
	int r = group_of(st, udp_at(st, index), group, &iface, &g);

	if (r < 0)
		return r;
	m = member_find(st, index, iface, &g);
	return m == NULL ? -EADDRNOTAVAIL : go(st, m);
}

void udp_forget_iface(struct berth_stack *st, uint16_t iface)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		struct udp_member *m = member_at(st, i);

		if (m->sock == NIL || m->iface != iface)
			continue;
		group_filter_clear(st, &m->filter);
		member_give(st, m);
	}
}

void udp_leave_all(struct berth_stack *st, uint32_t index)
{
	const struct udp_sock *u = udp_at(st, index);

	while (u->member_first != NIL)
		ASSERT(go(st, member_at(st, u->member_first)) == 0);
}

/* --- filters --- */

/* Can a datagram to such a group come from there? */
static bool is_source(const struct port_addr *group, const struct berth_addr *a)
{
	struct port_addr s = addr_of(a);

	return is4(group) == is4(&s) && !port_addr_is_any(&s) && !port_addr_is_multicast(&s);
}

static int source_join(struct berth_stack *st, uint32_t index, uint16_t iface, const struct port_addr *group,
		       const struct berth_addr *source)
{
	struct group_want w = {.include = true, .n = 1, .sources = source};
	struct udp_member *m = member_find(st, index, iface, group);
	struct port_addr s = addr_of(source);

	if (m == NULL)
		return come(st, index, iface, group, &w);
	if (m->filter.include)
		return group_filter_has(st, &m->filter, &s) ? -EADDRNOTAVAIL
							    : group_change_one(st, iface, group, &m->filter, &s, true);
	return m->filter.n ? -EINVAL : group_change(st, iface, group, &m->filter, true, &w);
}

int udp_source(struct berth_stack *st, uint32_t index, enum berth_source_change change, const struct berth_addr *group,
	       const struct berth_addr *source, uint16_t iface)
{
	bool include = change == BERTH_SOURCE_JOIN || change == BERTH_SOURCE_LEAVE;
	bool add = change == BERTH_SOURCE_JOIN || change == BERTH_SOURCE_BLOCK;
	struct port_addr g, s = addr_of(source);
	struct udp_member *m;
	int r = group_of(st, udp_at(st, index), group, &iface, &g);

	if (r < 0)
		return r;
	if (!is_source(&g, source) || (unsigned)change > BERTH_SOURCE_UNBLOCK)
		return -EINVAL;
	if (change == BERTH_SOURCE_JOIN)
		return source_join(st, index, iface, &g, source);
	m = member_find(st, index, iface, &g);
	if (m == NULL || (m->filter.n && m->filter.include != include))
		return -EINVAL;
	if (group_filter_has(st, &m->filter, &s) == add)
		return -EADDRNOTAVAIL;
	if (include && m->filter.n == 1)
		return go(st, m);
	return group_change_one(st, iface, &g, &m->filter, &s, add);
}

int udp_set_filter(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface,
		   enum berth_filter_mode mode, const struct berth_addr *sources, unsigned n)
{
	struct group_want w = {.include = mode == BERTH_INCLUDE, .n = n, .sources = sources};
	struct udp_member *m;
	struct port_addr g;
	int r = group_of(st, udp_at(st, index), group, &iface, &g);

	if (r < 0)
		return r;
	if ((mode != BERTH_INCLUDE && mode != BERTH_EXCLUDE) || (n && sources == NULL))
		return -EINVAL;
	if (n > st->cfg.n_filter_sources)
		return -ENOBUFS;
	for (unsigned i = 0; i < n; i++)
		if (!is_source(&g, &sources[i]))
			return -EINVAL;
	m = member_find(st, index, iface, &g);
	if (w.include && n == 0)
		return m == NULL ? -EADDRNOTAVAIL : go(st, m);
	return m == NULL ? -EINVAL : group_change(st, iface, &g, &m->filter, true, &w);
}

int udp_get_filter(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface,
		   enum berth_filter_mode *ret_mode, struct berth_addr *sources, unsigned *n)
{
	const struct udp_member *m;
	struct port_addr g;
	unsigned done = 0;
	int r = group_of(st, udp_at(st, index), group, &iface, &g);

	if (r < 0)
		return r;
	m = member_find(st, index, iface, &g);
	if (m == NULL)
		return -EADDRNOTAVAIL;
	for (uint32_t i = group_filter_first(&m->filter); i != NIL && done < *n; done++) {
		struct port_addr s = port_addr_from6(group_filter_next(st, &i), 0);

		s = with_scope(s, iface);
		sources[done] = addr_public(&s, 0);
	}
	*ret_mode = m->filter.include ? BERTH_INCLUDE : BERTH_EXCLUDE;
	*n = m->filter.n;
	return 0;
}

/* --- who hears --- */

/* Linux's IPv6 asks no interface: any membership will do, where there is none on this one. */
static bool any_takes(const struct berth_stack *st, uint32_t index, const struct port_addr *group,
		      const struct port_addr *source, bool *ret_is_member)
{
	const struct udp_sock *u = slab_at(&st->udps, index);

	*ret_is_member = false;
	for (uint32_t i = u->member_first; i != NIL; i = member_at(st, i)->next) {
		const struct udp_member *m = member_at(st, i);

		if (!port_addr_equal(&m->group, group))
			continue;
		*ret_is_member = true;
		if (group_filter_takes(st, &m->filter, source))
			return true;
	}
	return false;
}

/* As Linux 6.18 does: a member by its filter; groups that only others joined, too, unless BERTH_MULTICAST_ALL is off, but none of IPv4 on a
 * socket of both families. A membership counts on its own interface; of IPv6, on all. */
bool udp_hears_group(const struct berth_stack *st, uint32_t index, uint16_t iface, const struct port_addr *group,
		     const struct port_addr *source, bool *ret_filtered)
{
	const struct udp_sock *u = slab_at(&st->udps, index);
	const struct udp_member *m = member_find(st, index, iface, group);
	bool v4 = port_addr_is4(group), is_member = m != NULL, takes;

	if (m != NULL)
		takes = group_filter_takes(st, &m->filter, source);
	else
		takes = !v4 && any_takes(st, index, group, source, &is_member);
	*ret_filtered = is_member && !takes;
	if (is_member)
		return takes;
	return !(u->s.flags & SOCK_MCAST_OWN) && (!v4 || u->s.family == PORT_FAMILY_4);
}

/* --- the checker --- */

/* Members of the group that name a source, in a mode; NULL: all of that mode. */
static uint32_t n_members(const struct berth_stack *st, const struct udp_member *of, bool include, const uint8_t *ip)
{
	struct port_addr a = ip ? port_addr_from6(ip, 0) : PORT_ADDR_ANY6;
	uint32_t n = 0;

	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct udp_member *m = member_at(st, i);

		if (m->sock != NIL && m->iface == of->iface && port_addr_equal(&m->group, &of->group) &&
		    m->filter.include == include && (!ip || group_filter_has(st, &m->filter, &a)))
			n++;
	}
	return n;
}

static bool counts_check(const struct berth_stack *st, const struct udp_member *m)
{
	uint32_t g = group_find(st, m->iface, &m->group), include = n_members(st, m, true, NULL);

	/* Our own addresses exclude nobody, in groups that sockets may be in, too. */
	if (g == NIL || group_at(st, g)->n_users - group_at(st, g)->n_exclude != include ||
	    group_at(st, g)->n_exclude < n_members(st, m, false, NULL))
		return false;
	for (uint32_t i = group_filter_first(&m->filter); i != NIL;) {
		const uint8_t *ip = group_filter_next(st, &i);
		uint32_t s = group_source_find(st, group_at(st, g), ip);

		if (s == NIL || group_source_at(st, s)->n_include != n_members(st, m, true, ip) ||
		    group_source_at(st, s)->n_exclude != n_members(st, m, false, ip))
			return false;
	}
	return true;
}

bool udp_group_check(const struct berth_stack *st)
{
	uint32_t n_free = 0, n_listed = 0;

	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct udp_member *m = member_at(st, i);

		if (m->sock == NIL) {
			n_free++;
			continue;
		}
		if (!slab_used(&st->udps, m->sock) || member_find(st, m->sock, m->iface, &m->group) != m ||
		    (m->filter.include && !m->filter.n) || m->filter.n > st->cfg.n_filter_sources ||
		    !counts_check(st, m))
			return false;
	}
	for (uint32_t i = 0; i < st->udps.n_max; i++) {
		const struct udp_sock *u = slab_at(&st->udps, i);

		if (!slab_used(&st->udps, i))
			continue;
		for (uint32_t k = u->member_first; k != NIL; k = member_at(st, k)->next, n_listed++)
			if (member_at(st, k)->sock != i || n_listed > st->cfg.n_groups)
				return false;
	}
	return n_listed + n_free == st->cfg.n_groups;
}
