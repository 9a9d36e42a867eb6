/* src/stack/pmtu.c: path MTUs that were learnt (RFC 1191, RFC 8201), for a while.
 *
 * Sets of four entries, chosen by a keyed hash of the destination; a full set forgets the entry it learnt first. So memory and work are
 * bounded, and a stranger who makes up errors (he cannot: the transport checks them, RFC 5927) would not know what he pushes out.
 * After ten minutes a value is no longer believed (RFC 1191, 6.3; RFC 8201, 4), and the interface's counts again: each entry has a
 * timer, so that who keeps a route hears of it.
 *
 * Always true (pmtu_check())
 *   P1  an entry lies in its destination's set, between the floor and 65535;
 *   P2  one in use has a timer, the others none.
 */
#include "stack/ip_state.h"

#define AGE_NS (600 * SECOND_NS)
#define FLOOR4 552 /* S13: below that an attacker gains, and no link of today is smaller */
#define FLOOR6 IP6_MTU_MIN

static struct pmtu *set_of(const struct berth_stack *st, const struct port_addr *dst)
{
	uint64_t hash = siphash13(&st->keys.pmtu_hash, dst->b, 16);

	return &st->ip->pmtus[(hash & st->ip->pmtu_mask) * PMTU_WAYS];
}

static bool fresh(const struct berth_stack *st, const struct pmtu *p)
{
	return p->mtu_bytes != 0 && st->now_ns - p->at_ns < AGE_NS;
}

static struct pmtu *find(const struct berth_stack *st, const struct port_addr *dst)
{
	struct pmtu *set = set_of(st, dst);

	for (unsigned i = 0; i < PMTU_WAYS; i++)
		if (fresh(st, &set[i]) && same_addr(&set[i].dst, dst))
			return &set[i];
	return NULL;
}

/* Where a new one goes: a free or old entry, else the one learnt first. */
static struct pmtu *place(const struct berth_stack *st, const struct port_addr *dst)
{
	struct pmtu *set = set_of(st, dst), *best = set;

	for (unsigned i = 0; i < PMTU_WAYS; i++) {
		if (!fresh(st, &set[i]))
			return &set[i];
		if (set[i].at_ns < best->at_ns)
			best = &set[i];
	}
	return best;
}

uint32_t pmtu_get(struct berth_stack *st, const struct port_addr *dst, uint32_t iface_mtu)
{
	const struct pmtu *p = find(st, dst);

	return p && p->mtu_bytes < iface_mtu ? p->mtu_bytes : iface_mtu;
}

uint32_t pmtu_floor(const struct port_addr *dst)
{
	return is4(dst) ? FLOOR4 : FLOOR6;
}

static void learnt(struct berth_stack *st, struct pmtu *p, uint32_t mtu_bytes)
{
	p->mtu_bytes = mtu_bytes;
	p->at_ns = st->now_ns;
	wheel_set(&st->wheel, TIMER_PMTU, (uint32_t)(p - st->ip->pmtus), st->now_ns + AGE_NS);
	route_changed(st);
}

bool pmtu_lower(struct berth_stack *st, const struct port_addr *dst, uint32_t mtu_bytes)
{
	uint32_t floor = pmtu_floor(dst);
	struct pmtu *p = find(st, dst);

	if (mtu_bytes < floor)
		mtu_bytes = floor;
	if (mtu_bytes > 65535 || (p && p->mtu_bytes <= mtu_bytes))
		return false;
	if (!p)
		p = place(st, dst);
	p->dst = *dst;
	learnt(st, p, mtu_bytes);
	return true;
}

void pmtu_raise(struct berth_stack *st, const struct port_addr *dst, uint32_t mtu_bytes)
{
	struct pmtu *p = find(st, dst);

	if (!p || p->mtu_bytes >= mtu_bytes)
		return;
	learnt(st, p, mtu_bytes > 65535 ? 65535 : mtu_bytes);
}

void pmtu_timer(struct berth_stack *st, uint32_t index)
{
	st->ip->pmtus[index].mtu_bytes = 0;
	route_changed(st);
}

bool pmtu_check(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < (st->ip->pmtu_mask + 1) * PMTU_WAYS; i++) {
		const struct pmtu *p = &st->ip->pmtus[i];

		if ((p->mtu_bytes != 0) != timer_is_set(&p->timer))
			return false;
		if (p->mtu_bytes && (p->mtu_bytes < pmtu_floor(&p->dst) || p->mtu_bytes > 65535))
			return false;
		if (p->mtu_bytes && set_of(st, &p->dst) != &st->ip->pmtus[i / PMTU_WAYS * PMTU_WAYS])
			return false;
	}
	return true;
}
