/* src/stack/group_say.c: what is said of groups, in the version that the link speaks: changes, again and again, and answers to queries.
 *
 *	a change --> now, and again within a second or so (robustness 2)	a query --> after a random part of the time it gives
 *
 * A report of version 3 says of a change (RFC 3376, 5.1; RFC 3810, 6.1) either the mode with all of the list, as long as the
 * mode was said less often than the robustness wants, or the sources that were. What changes meanwhile goes into the next report, which goes
 * at once. Each group has its own report of changes; answers to general queries hold all groups, in the interface's time.
 *
 * A list that does not fit a packet is split; one of those who are excluded is cut, since each part would be taken for all of it (4.2.16).
 *
 * Older versions know of groups only: one report when it comes, repeated, and one when it goes.
 */
#include "stack/group.h"

#define UNSOLICITED_MS 1000	 /* between the first two reports: RFC 3376, 8.11; RFC 3810, 9.11 */
#define UNSOLICITED_OLD_MS 10000 /* RFC 2236, 8.10; RFC 2710, 7.10 */
#define HEAD4 24		 /* IP with a router alert */
#define HEAD6 48
#define REPORT_HEAD 8

unsigned group_version(const struct berth_stack *st, uint16_t iface, bool v4)
{
	const struct iface *f = iface_at(st, iface);
	const struct group_querier *q = v4 ? &f->igmp : &f->mld;

	if (q->v1_until_ns > st->now_ns)
		return 1;
	return q->v2_until_ns > st->now_ns ? 2 : 3;
}

uint8_t group_robustness(const struct berth_stack *st, const struct group *m)
{
	const struct iface *f = iface_at(st, m->iface);

	return is4(&m->addr) ? f->igmp.robustness : f->mld.robustness;
}

bool group_may_say(const struct berth_stack *st, const struct group *m)
{
	const struct iface *f = iface_at(st, m->iface);

	return f->up && !(f->flags & BERTH_IF_LOOPBACK) && (is4(&m->addr) || iface_has6(f));
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

/* --- version 3: records --- */

/* A report that fills up: it goes when it is full, to those who route (RFC 3376, 4.2.14; RFC 3810, 5.2.14). */
struct report {
	struct berth_stack *st;
	uint16_t iface;
	uint16_t n_records;
	bool v4;
	size_t len, room; /* of body */
	uint8_t body[PKT_ROOM];
};

static void report_begin(struct report *r, struct berth_stack *st, uint16_t iface, bool v4)
{
	uint32_t mtu = iface_mtu(iface_at(st, iface), v4) - (v4 ? HEAD4 : HEAD6);

	r->st = st;
	r->iface = iface;
	r->v4 = v4;
	r->n_records = 0;
	r->len = 0;
	r->room = (mtu < PKT_ROOM ? mtu : PKT_ROOM) - REPORT_HEAD;
}

static void report_end(struct report *r)
{
	struct wire_group g = {.kind = WIRE_GROUP_REPORT3, .version = 3, .n_records = r->n_records};
	struct port_addr to4 = port_addr_v4(224, 0, 0, 22), to6 = {.b = {0xff, 2, [15] = 0x16}};

	if (!r->n_records)
		return;
	g.address = r->v4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	send(r->st, r->iface, &g, r->v4 ? &to4 : &to6, r->body, r->len);
	r->n_records = 0;
	r->len = 0;
}

enum pick {
	LISTED,
	ALLOWED, /* changed, and wanted now */
	BLOCKED, /* changed, and not wanted now */
	ASKED,	 /* asked for, and wanted: RFC 3376, 5.2 */
};

static bool is_picked(const struct group *m, const struct group_source *s, enum pick pick)
{
	bool wanted = s->listed != m->excludes;

	switch (pick) {
	case LISTED:
		return s->listed;
	case ALLOWED:
		return s->n_says && wanted;
	case BLOCKED:
		return s->n_says && !wanted;
	case ASKED:
		return s->asked && wanted;
	}
	return false;
}

static size_t n_picked(const struct berth_stack *st, const struct group *m, enum pick pick)
{
	size_t n = 0;

	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next)
		n += is_picked(m, group_source_at(st, i), pick);
	return n;
}

/* At most n sources that are picked, from *at on, as the octets of a record. Returns how many. */
static size_t gather(const struct berth_stack *st, const struct group *m, enum pick pick, uint32_t *at, size_t n,
		     uint8_t *to)
{
	size_t one = is4(&m->addr) ? 4 : 16, done = 0;

	for (; *at != NIL && done < n; *at = group_source_at(st, *at)->next) {
		const struct group_source *s = group_source_at(st, *at);

		if (is_picked(m, s, pick))
			memcpy(to + one * done++, s->ip + 16 - one, one);
	}
	return done;
}

static void report_add(struct report *r, const struct group *m, enum wire_group_change change, enum pick pick)
{
	size_t one = r->v4 ? 4 : 16, head = 4 + one, n = n_picked(r->st, m, pick);
	bool is_exclude = change == WIRE_GROUP_IS_EXCLUDE || change == WIRE_GROUP_TO_EXCLUDE;
	uint8_t sources[PKT_ROOM];
	uint32_t at = m->first;

	if (!n && !is_exclude && change != WIRE_GROUP_TO_INCLUDE)
		return; /* it would say nothing */
	if (head + n * one > r->room - r->len)
		report_end(r);
	for (;;) {
		struct wire_group_record record = {.change = change, .address = m->addr};
		size_t k = gather(r->st, m, pick, &at, (r->room - r->len - head) / one, sources);
		int w;

		record.n_sources = (uint16_t)k;
		record.sources = (struct wire_slice){sources, k * one};
		w = wire_group_record_emit(&record, r->body + r->len, r->room - r->len);
		ASSERT(w > 0);
		r->len += (size_t)w;
		r->n_records++;
		n -= k;
		if (!n || is_exclude)
			return;
		report_end(r);
	}
}

/* --- changes --- */
static bool has_to_say(const struct berth_stack *st, const struct group *m)
{
	if (m->n_says)
		return true;
	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next)
		if (group_source_at(st, i)->n_says)
			return true;
	return false;
}

static void said_once(struct berth_stack *st, struct group *m)
{
	if (m->n_says)
		m->n_says--;
	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next)
		if (group_source_at(st, i)->n_says)
			group_source_at(st, i)->n_says--;
}

static void say_change3(struct berth_stack *st, const struct group *m)
{
	struct report r;

	report_begin(&r, st, m->iface, is4(&m->addr));
	if (m->n_says) {
		report_add(&r, m, m->excludes ? WIRE_GROUP_TO_EXCLUDE : WIRE_GROUP_TO_INCLUDE, LISTED);
	} else {
		report_add(&r, m, WIRE_GROUP_ALLOW, ALLOWED);
		report_add(&r, m, WIRE_GROUP_BLOCK, BLOCKED);
	}
	report_end(&r);
}

/* Versions 1 and 2, MLDv1: the group, to the group. */
static void say_group(struct berth_stack *st, struct group *m, unsigned v)
{
	struct wire_group g = {.kind = v == 1 ? WIRE_GROUP_REPORT1 : WIRE_GROUP_REPORT2,
			       .version = (uint8_t)v,
			       .address = m->addr};

	m->last_reporter = true;
	send(st, m->iface, &g, &m->addr, NULL, 0);
}

void group_say_change(struct berth_stack *st, uint32_t index)
{
	struct group *m = group_at(st, index);
	unsigned v = group_version(st, m->iface, is4(&m->addr));
	uint32_t ms = v == 3 ? UNSOLICITED_MS : UNSOLICITED_OLD_MS;

	if (v == 3)
		say_change3(st, m);
	else if (m->n_says)
		say_group(st, m, v);
	said_once(st, m);
	m->change_at_ns = has_to_say(st, m) ? st->now_ns + (1 + stack_random_below(st, ms)) * MS_NS : NEVER_NS;
}

void group_say_leave(struct berth_stack *st, const struct group *m)
{
	struct wire_group g = {.kind = WIRE_GROUP_LEAVE, .version = 2, .address = m->addr};
	struct port_addr to4 = port_addr_v4(224, 0, 0, 2), to6 = {.b = {0xff, 2, [15] = 2}};

	if (group_version(st, m->iface, is4(&m->addr)) == 2) /* version 1 leaves without a word */
		send(st, m->iface, &g, is4(&m->addr) ? &to4 : &to6, NULL, 0);
}

/* --- answers --- */
static void answer3(struct report *r, const struct group *m)
{
	if (m->n_asked)
		report_add(r, m, WIRE_GROUP_IS_INCLUDE, ASKED);
	else
		report_add(r, m, m->excludes ? WIRE_GROUP_IS_EXCLUDE : WIRE_GROUP_IS_INCLUDE, LISTED);
}

void group_answer_about_all(struct berth_stack *st, struct group *m)
{
	for (uint32_t i = m->first; i != NIL; i = group_source_at(st, i)->next)
		group_source_at(st, i)->asked = false;
	m->n_asked = 0;
}

void group_answer_none(struct berth_stack *st, struct group *m)
{
	group_answer_about_all(st, m);
	m->answer_at_ns = NEVER_NS;
}

void group_say_answer(struct berth_stack *st, uint32_t index)
{
	struct group *m = group_at(st, index);
	unsigned v = group_version(st, m->iface, is4(&m->addr));
	struct report r;

	if (v == 3) {
		report_begin(&r, st, m->iface, is4(&m->addr));
		answer3(&r, m);
		report_end(&r);
	} else {
		say_group(st, m, v);
	}
	group_answer_none(st, m);
	m->answered_ns = st->now_ns;
}

static void general_answer(struct berth_stack *st, uint16_t iface, bool v4)
{
	struct report r;

	report_begin(&r, st, iface, v4);
	for (uint32_t i = 0; i < st->cfg.n_groups; i++) {
		const struct group *m = group_at(st, i);

		if (m->used && m->iface == iface && is4(&m->addr) == v4 && m->reported && !group_is_silent(&m->addr))
			report_add(&r, m, m->excludes ? WIRE_GROUP_IS_EXCLUDE : WIRE_GROUP_IS_INCLUDE, LISTED);
	}
	report_end(&r);
}

static void general(struct berth_stack *st, uint16_t iface, struct group_querier *q, bool v4)
{
	if (q->general_at_ns > st->now_ns)
		return;
	q->general_at_ns = NEVER_NS;
	q->answered_ns = st->now_ns;
	if (v4 || iface_has6(iface_at(st, iface)))
		general_answer(st, iface, v4);
}

void group_general(struct berth_stack *st, uint16_t iface)
{
	struct iface *f = iface_at(st, iface);

	general(st, iface, &f->igmp, true);
	general(st, iface, &f->mld, false);
}

/* --- time --- */
void group_timer_set(struct berth_stack *st, uint32_t index)
{
	const struct group *m = group_at(st, index);

	wheel_set(&st->wheel, TIMER_GROUP, index,
		  m->change_at_ns < m->answer_at_ns ? m->change_at_ns : m->answer_at_ns);
}

void group_timer(struct berth_stack *st, uint32_t index)
{
	struct group *m = group_at(st, index);

	if (!group_may_say(st, m)) {
		group_hush(st, index);
		return;
	}
	if (m->change_at_ns <= st->now_ns)
		group_say_change(st, index);
	if (m->answer_at_ns <= st->now_ns)
		group_say_answer(st, index);
	group_timer_set(st, index);
	group_tidy(st, index);
}
