/* src/stack/group.c: multicast membership, and what is said about it (RFC 2236, 3376; RFC 2710, 3810: the host's side).
 *
 * A membership is (interface, group), counted: sockets, and our own addresses (solicited-node groups, RFC 4861, 7.2.1). We are in
 * all-hosts (224.0.0.1, ff02::1) always and say nothing of that (RFC 2236, 6; RFC 3810, 6).
 *
 *	join --> report now, and again within a second or so (robustness 2)	leave --> say so, if somebody might not know
 *	query --> report after a random part of the time it gives		an older querier --> its version, for a while
 *
 * Sources are not filtered: every membership is "exclude nobody". IGMPv3 and MLDv2 reports therefore have records without sources, and
 * a query about sources of a group is answered as one about the group. One timer for each membership; answers to general queries of
 * version 3 wait in the interface's.
 *
 * Always true (group_check())
 *   G1  a membership in use is counted at least once, or is leaving; no two are the same;
 *   G2  one with something left to say has a timer.
 */
#include "stack/ip_state.h"

#define UNSOLICITED_MS 1000		   /* between the first two reports: RFC 3376, 8.11; RFC 3810, 9.11 */
#define UNSOLICITED_OLD_MS 10000	   /* RFC 2236, 8.10; RFC 2710, 7.10 */
#define OLDER_QUERIER_NS (400 * SECOND_NS) /* RFC 3376, 8.12, of the defaults */
#define RECORDS_MAX 32

static bool is_all_hosts(const struct port_addr *g)
{
	static const struct port_addr hosts4 = {.b = {[10] = 0xff, 0xff, 224, 0, 0, 1}};
	static const struct port_addr hosts6 = {.b = {0xff, 2, [15] = 1}};

	return same_addr(g, &hosts4) || same_addr(g, &hosts6);
}

/* Groups of which nothing is said: all hosts, and those that stay inside a host. */
static bool is_silent(const struct port_addr *g)
{
	return is_all_hosts(g) || (!is4(g) && (g->b[1] & 0x0f) <= 1);
}

static uint32_t find(const struct berth_stack *st, uint16_t iface, const struct port_addr *g)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++)
		if (st->ip->groups[i].used && st->ip->groups[i].iface == iface && same_addr(&st->ip->groups[i].addr, g))
			return i;
	return NIL;
}

bool group_is_member(const struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	uint32_t i;

	if (is_all_hosts(group))
		return true;
	i = find(st, iface, group);
	return i != NIL && st->ip->groups[i].n_users;
}

/* What the link speaks: 1, 2 or 3 (MLDv1 is 2). */
static unsigned version(const struct berth_stack *st, uint16_t iface, bool v4)
{
	const struct iface *f = iface_at(st, iface);
	const struct group_querier *q = v4 ? &f->igmp : &f->mld;

	if (q->v1_until_ns > st->now_ns)
		return 1;
	return q->v2_until_ns > st->now_ns ? 2 : 3;
}

static bool says_anything(const struct berth_stack *st, uint16_t iface, bool v4)
{
	const struct iface *f = iface_at(st, iface);

	return f->up && !(f->flags & BERTH_IF_LOOPBACK) && (v4 || iface_has6(f));
}

static void send(struct berth_stack *st, uint16_t iface, const struct wire_group *g, const struct port_addr *dst,
		 const uint8_t *body, size_t len)
{
	st->n.mcast_reports_out++;
	if (is4(dst))
		igmp_send(st, iface, g, dst, body, len);
	else
		mld_send(st, iface, g, dst, body, len);
}

/* Version 3: records of n groups, to those who route (RFC 3376, 4.2.14; RFC 3810, 5.2.14). */
static void send_records(struct berth_stack *st, uint16_t iface, bool v4, uint16_t n, const uint8_t *body, size_t len)
{
	struct wire_group g = {.kind = WIRE_GROUP_REPORT3, .version = 3, .n_records = n};
	struct port_addr to4 = port_addr_v4(224, 0, 0, 22), to6 = {.b = {0xff, 2, [15] = 0x16}};

	g.address = v4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	send(st, iface, &g, v4 ? &to4 : &to6, body, len);
}

static void send_one(struct berth_stack *st, const struct group *m, enum wire_group_change change)
{
	struct wire_group_record r = {.change = change, .address = m->addr};
	uint8_t body[24];
	int n = wire_group_record_emit(&r, body, sizeof(body));

	ASSERT(n > 0);
	send_records(st, m->iface, is4(&m->addr), 1, body, (size_t)n);
}

static void report(struct berth_stack *st, struct group *m)
{
	unsigned v = version(st, m->iface, is4(&m->addr));
	struct wire_group g = {.kind = v == 1 ? WIRE_GROUP_REPORT1 : WIRE_GROUP_REPORT2, .version = (uint8_t)v};

	if (v == 3) {
		send_one(st, m,
			 m->queried   ? WIRE_GROUP_IS_EXCLUDE
			 : m->leaving ? WIRE_GROUP_TO_INCLUDE
				      : WIRE_GROUP_TO_EXCLUDE);
		return;
	}
	g.address = m->addr;
	m->last_reporter = true;
	send(st, m->iface, &g, &m->addr, NULL, 0);
}

static void leave_message(struct berth_stack *st, const struct group *m)
{
	struct wire_group g = {.kind = WIRE_GROUP_LEAVE, .version = 2, .address = m->addr};
	struct port_addr to4 = port_addr_v4(224, 0, 0, 2), to6 = {.b = {0xff, 2, [15] = 2}};

	send(st, m->iface, &g, is4(&m->addr) ? &to4 : &to6, NULL, 0);
}

static void next_report(struct berth_stack *st, uint32_t index)
{
	struct group *m = &st->ip->groups[index];
	uint32_t ms = version(st, m->iface, is4(&m->addr)) == 3 ? UNSOLICITED_MS : UNSOLICITED_OLD_MS;

	if (m->n_reports)
		wheel_set(&st->wheel, TIMER_GROUP, index, st->now_ns + (1 + stack_random_below(st, ms)) * MS_NS);
}

static void forget(struct berth_stack *st, uint32_t index)
{
	wheel_cancel(&st->wheel, TIMER_GROUP, index);
	st->ip->groups[index].used = false;
}

/* A change, said as often as the robustness says. */
static void announce(struct berth_stack *st, uint32_t index)
{
	struct group *m = &st->ip->groups[index];

	if (is_silent(&m->addr) || !says_anything(st, m->iface, is4(&m->addr)))
		return;
	m->queried = false;
	m->n_reports = (uint8_t)((is4(&m->addr) ? iface_at(st, m->iface)->igmp.robustness
						: iface_at(st, m->iface)->mld.robustness) -
				 1);
	report(st, m);
	next_report(st, index);
}

int group_join(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	struct group *m;
	uint32_t i;

	if (!iface_at(st, iface))
		return -ENODEV;
	if (!port_addr_is_multicast(group))
		return -EINVAL;
	i = find(st, iface, group);
	if (i != NIL && st->ip->groups[i].n_users) {
		st->ip->groups[i].n_users++;
		return 0;
	}
	if (i == NIL) {
		for (i = 0; i < st->cfg.n_groups && st->ip->groups[i].used; i++)
			;
		if (i == st->cfg.n_groups)
			return -ENOBUFS;
		st->ip->groups[i] = (struct group){.addr = *group, .iface = iface, .used = true};
		timer_init(&st->ip->groups[i].timer);
	}
	m = &st->ip->groups[i];
	m->addr.scope = 0;
	m->n_users = 1;
	m->leaving = false;
	announce(st, i);
	return 0;
}

int group_leave(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	uint32_t i;
	struct group *m;

	if (!iface_at(st, iface))
		return -ENODEV;
	i = find(st, iface, group);
	if (i == NIL || !st->ip->groups[i].n_users)
		return -EADDRNOTAVAIL;
	m = &st->ip->groups[i];
	if (--m->n_users)
		return 0;
	wheel_cancel(&st->wheel, TIMER_GROUP, i);
	m->n_reports = 0;
	if (is_silent(group) || !says_anything(st, iface, is4(group))) {
		forget(st, i);
		return 0;
	}
	switch (version(st, iface, is4(group))) {
	case 2:
		if (m->last_reporter)
			leave_message(st, m);
		forget(st, i);
		break;
	case 3:
		m->leaving = true;
		announce(st, i);
		if (!m->n_reports)
			forget(st, i);
		break;
	default:
		forget(st, i); /* version 1 leaves without a word */
	}
	return 0;
}

void group_timer(struct berth_stack *st, uint32_t index)
{
	struct group *m = &st->ip->groups[index];

	if (!says_anything(st, m->iface, is4(&m->addr))) {
		m->n_reports = 0;
		if (m->leaving)
			forget(st, index);
		return;
	}
	report(st, m);
	m->queried = false;
	if (m->n_reports)
		m->n_reports--;
	if (m->n_reports)
		next_report(st, index);
	else if (m->leaving)
		forget(st, index);
}

/* --- queries --- */

/* RFC 3376, 7.2.1: which version the querier speaks. */
static void note_querier(struct berth_stack *st, struct group_querier *q, const struct wire_group *g)
{
	if (g->version == 1)
		q->v1_until_ns = st->now_ns + OLDER_QUERIER_NS;
	else if (g->version == 2)
		q->v2_until_ns = st->now_ns + OLDER_QUERIER_NS;
	else if (g->robustness >= 1)
		q->robustness = g->robustness > 7 ? 7 : g->robustness;
	if (q->robustness < 2)
		q->robustness = 2;
}

static void answer_within(struct berth_stack *st, uint32_t index, uint32_t max_ms)
{
	struct group *m = &st->ip->groups[index];
	uint64_t at = st->now_ns + stack_random_below(st, max_ms + 1) * MS_NS;

	if (is_silent(&m->addr) || m->leaving || !m->n_users)
		return;
	if (timer_is_set(&m->timer) && timer_at_ns(&m->timer) <= at)
		return; /* it is said before that anyhow */
	m->queried = true;
	wheel_set(&st->wheel, TIMER_GROUP, index, at);
}

static void query(struct berth_stack *st, uint16_t iface, const struct wire_group *g, bool v4)
{
	struct iface *f = iface_at(st, iface);
	struct group_querier *q = v4 ? &f->igmp : &f->mld;
	uint32_t max_ms = g->version == 1 ? 10000 : g->max_response_ms;
	uint64_t at;

	note_querier(st, q, g);
	if (port_addr_is_any(&g->address) && version(st, iface, v4) == 3) {
		at = st->now_ns + stack_random_below(st, max_ms + 1) * MS_NS;
		if (at < q->general_at_ns)
			q->general_at_ns = at;
		iface_timer_set(st, iface);
		return;
	}
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct group *m = &st->ip->groups[i];

		if (m->used && m->iface == iface && is4(&m->addr) == v4 &&
		    (port_addr_is_any(&g->address) || same_addr(&m->addr, &g->address)))
			answer_within(st, i, max_ms);
	}
}

/* Versions 1 and 2: another member said it, so we need not (RFC 2236, 3; RFC 2710, 4). */
void group_heard(struct berth_stack *st, uint16_t iface, const struct port_addr *group)
{
	uint32_t i = find(st, iface, group);

	if (i == NIL || version(st, iface, is4(group)) == 3 || !timer_is_set(&st->ip->groups[i].timer))
		return;
	if (st->ip->groups[i]
		    .leaving) { /* what it still wanted to say is said in a version that is not spoken any more */
		forget(st, i);
		return;
	}
	wheel_cancel(&st->wheel, TIMER_GROUP, i);
	st->ip->groups[i].n_reports = 0;
	st->ip->groups[i].last_reporter = false;
}

void group_message(struct berth_stack *st, const struct packet *p, const struct wire_group *g, bool v4)
{
	switch (g->kind) {
	case WIRE_GROUP_QUERY:
		st->n.mcast_queries_in++;
		query(st, p->iface, g, v4);
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

static void general_answer(struct berth_stack *st, uint16_t iface, bool v4)
{
	uint8_t body[RECORDS_MAX * 20];
	uint16_t n = 0;
	size_t len = 0;

	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct group *m = &st->ip->groups[i];
		struct wire_group_record r = {.change = WIRE_GROUP_IS_EXCLUDE, .address = m->addr};
		int w;

		if (!m->used || m->iface != iface || is4(&m->addr) != v4 || !m->n_users || is_silent(&m->addr))
			continue;
		w = wire_group_record_emit(&r, body + len, sizeof(body) - len);
		ASSERT(w > 0);
		len += (size_t)w;
		if (++n == RECORDS_MAX) {
			send_records(st, iface, v4, n, body, len);
			n = 0;
			len = 0;
		}
	}
	if (n)
		send_records(st, iface, v4, n, body, len);
}

void group_general(struct berth_stack *st, uint16_t iface)
{
	struct iface *f = iface_at(st, iface);

	if (f->igmp.general_at_ns <= st->now_ns) {
		f->igmp.general_at_ns = NEVER_NS;
		general_answer(st, iface, true);
	}
	if (f->mld.general_at_ns <= st->now_ns) {
		f->mld.general_at_ns = NEVER_NS;
		general_answer(st, iface, false);
	}
}

/* --- interfaces --- */

void group_iface_up(struct berth_stack *st, uint16_t iface, bool only6)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct group *m = &st->ip->groups[i];

		if (m->used && m->iface == iface && m->n_users && !(only6 && is4(&m->addr)))
			announce(st, i);
	}
}

void group_forget_iface(struct berth_stack *st, uint16_t iface)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++)
		if (st->ip->groups[i].used && st->ip->groups[i].iface == iface)
			forget(st, i);
}

bool group_check(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct group *m = &st->ip->groups[i];

		if (!m->used)
			continue;
		if (find(st, m->iface, &m->addr) != i || (!m->n_users && !(m->leaving && timer_is_set(&m->timer))) ||
		    !port_addr_is_multicast(&m->addr))
			return false;
	}
	return true;
}
