/* src/stack/slaac_temp.c: addresses for a day: who meets us tomorrow does not know us again (RFC 8981).
 *
 * On interfaces with BERTH_IF_TEMP_ADDRS there is, beside each address that routers gave (slaac.c's, which stays), a temporary one in the same
 * prefix, whose identifier is drawn. It is the source of what begins here (RFC 6724, rule 7), until the next one is. Connections that have it
 * go on while it is valid.
 *
 *	stays	   |---------------------------------------------------------------------->
 *	temporary  |---- preferred ----|. . . . deprecated . . . .|
 *	the next		     |---- preferred ----|. . . . deprecated . . . .|
 *
 * An address has limits of its own, from the time it was made: TEMP_VALID_LIFETIME, and TEMP_PREFERRED_LIFETIME less something by chance
 * (DESYNC_FACTOR, up to two fifths), so that addresses of many prefixes and hosts do not change together. What a router says shortens both and
 * may lengthen them again, up to these limits, so whoever flaps lifetimes makes no address more. The next one is made as much earlier as
 * three checks for duplicates may take (REGEN_ADVANCE), and only where its prefix stays preferred for longer than that: else when a router says so.
 *
 * What strangers can do to it is bounded (S19): addresses that routers gave are eight, each has one temporary address that is not followed by
 * another yet, and there are TEMPS_MAX of all ages on an interface, 32 at once and then one every ten seconds in the long run. Deprecated ones make
 * room for new ones, the one that ends first; all of them make room for addresses of any other kind (addr_add()). When three in a row
 * are taken the prefix has none any more, until it or the interface comes anew.
 *
 * Always true (slaac_temp_check(), by addr_check())
 *   A5  a temporary address is on an interface with the flag, beside one that stays, and neither valid nor preferred for longer than that or than its
 *       own limits;
 *   A6  of those beside one address at most one is not followed yet;
 *   A7  an interface has TEMPS_MAX of them at most.
 */
#include "stack/ip_state.h"

#define TEMPS_MAX 16		 /* as Linux's max_addresses */
#define TEMP_TRIES 3		 /* TEMP_IDGEN_RETRIES, the first one included, as on Linux */
#define TEMP_VALID_S (2 * 86400) /* TEMP_VALID_LIFETIME */
#define TEMP_PREFERRED_S 86400	 /* TEMP_PREFERRED_LIFETIME */
#define TEMP_PREFERRED_MIN_S 600 /* that a program may ask for */
#define DESYNC_S(preferred_s) ((uint64_t)(preferred_s)*2 / 5) /* MAX_DESYNC_FACTOR */
#define DAD_WAIT_NS (2 * SECOND_NS) /* of REGEN_ADVANCE: what comes before and after the questions */
#define BURST 32
#define PRICE_NS (10 * SECOND_NS)
#define DRAWS 8

/* Each lives beyond the time at which the next one is made. */
_Static_assert(TEMP_PREFERRED_MIN_S - DESYNC_S(TEMP_PREFERRED_MIN_S) > 2 + TEMP_TRIES * RETRANS_MS_MAX / 1000,
	       "DESYNC_FACTOR is less than TEMP_PREFERRED_LIFETIME - REGEN_ADVANCE");

bool slaac_temp_limits(uint32_t *valid_s, uint32_t *preferred_s)
{
	if (!*valid_s)
		*valid_s = TEMP_VALID_S;
	if (!*preferred_s)
		*preferred_s = TEMP_PREFERRED_S;
	return *preferred_s >= TEMP_PREFERRED_MIN_S && *preferred_s < *valid_s;
}

static bool is_temp(const struct ip_addr *a)
{
	return a->used && (a->flags & BERTH_ADDR_TEMPORARY);
}

bool slaac_temp_is_beside(const struct ip_addr *t, const struct ip_addr *a)
{
	return is_temp(t) && t->iface == a->iface && port_addr_in(&t->addr, &a->addr, 64);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- room --- */

bool slaac_temp_drop(struct berth_stack *st, uint16_t iface, bool any)
{
	uint32_t first = NIL;

	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i], *b = first == NIL ? NULL : &st->ip->addrs[first];
		bool is_old = a->flags & BERTH_ADDR_DEPRECATED, is_b_old = b && (b->flags & BERTH_ADDR_DEPRECATED);

		if (!is_temp(a) || (iface != BERTH_IFACE_ANY && a->iface != iface) || (!any && !is_old))
			continue;
		if (!b || (is_old != is_b_old ? is_old : a->temp_valid_ns < b->temp_valid_ns))
			first = i;
	}
	if (first != NIL)
		addr_remove(st, first);
	return first != NIL;
}

static unsigned n_temps(const struct berth_stack *st, uint16_t iface)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < st->ip->n_addrs; i++)
		n += is_temp(&st->ip->addrs[i]) && st->ip->addrs[i].iface == iface;
	return n;
}

/* A slot, for one that is to be made now: NIL if there is none. */
static uint32_t take(struct berth_stack *st, uint16_t iface, const struct port_addr *a)
{
	uint32_t i;
	int r;

	if (n_temps(st, iface) >= TEMPS_MAX && !slaac_temp_drop(st, iface, false))
		return NIL;
	do
		r = addr_add(st, iface, a, 64, BERTH_ADDR_AUTO | BERTH_ADDR_TEMPORARY, &i);
	while (r == -ENOBUFS && slaac_temp_drop(st, iface, false));
	return r < 0 ? NIL : i;
}

static bool may_pay(const struct berth_stack *st, const struct iface *f)
{
	return f->temp_paid_ns <= st->now_ns + (BURST - 1) * PRICE_NS;
}

static void pay(const struct berth_stack *st, struct iface *f)
{
	f->temp_paid_ns = (f->temp_paid_ns > st->now_ns ? f->temp_paid_ns : st->now_ns) + PRICE_NS;
}

/* --- making one --- */

/* RFC 8981, 3.8 */
static uint64_t regen_advance_ns(const struct iface *f)
{
	return DAD_WAIT_NS + TEMP_TRIES * f->retrans_ms * MS_NS;
}

/* RFC 8981, 3.3.1 */
static bool draw(struct berth_stack *st, struct port_addr *a)
{
	for (unsigned i = 0; i < DRAWS; i++) {
		uint64_t iid = stack_random(st);

		for (unsigned b = 0; b < 8; b++)
			a->b[8 + b] = (uint8_t)(iid >> (56 - 8 * b));
		if (!slaac_is_reserved(a->b + 8) && addr_find(st, a) == NIL)
			return true;
	}
	return false;
}

/* It lives as its prefix does, and no longer than is its own. */
static void follow(struct berth_stack *st, uint32_t index, const struct ip_addr *beside)
{
	const struct ip_addr *t = &st->ip->addrs[index];

	addr_live(st, index, least(beside->valid_until_ns, t->temp_valid_ns),
		  least(beside->preferred_until_ns, t->temp_preferred_ns));
}

/* RFC 8981, 3.4, 4 to 7, beside an address that stays. */
static void make(struct berth_stack *st, uint32_t beside, uint8_t tries)
{
	const struct ip_addr *s = &st->ip->addrs[beside];
	struct iface *f = iface_at(st, s->iface);
	struct port_addr a = s->addr;
	uint64_t preferred_ns;
	struct ip_addr *t;
	uint32_t i;

	if (s->no_temps || s->preferred_until_ns <= st->now_ns + regen_advance_ns(f))
		return;
	if (!may_pay(st, f) || !draw(st, &a) || (i = take(st, s->iface, &a)) == NIL) {
		st->n.dropped_policy++;
		return;
	}
	pay(st, f);
	preferred_ns = f->temp_preferred_s * SECOND_NS -
		       stack_random_below(st, (uint32_t)DESYNC_S(f->temp_preferred_s) + 1) * SECOND_NS;
	t = &st->ip->addrs[i];
	t->tries = tries;
	t->temp_valid_ns = st->now_ns + f->temp_valid_s * SECOND_NS;
	t->temp_preferred_ns = st->now_ns + preferred_ns;
	t->next_at_ns = t->temp_preferred_ns - regen_advance_ns(f);
	addr_begin(st, i);
	follow(st, i, s);
}

/* One that is not followed by another yet. */
static bool has_one(const struct berth_stack *st, const struct ip_addr *beside)
{
	for (uint32_t i = 0; i < st->ip->n_addrs; i++)
		if (slaac_temp_is_beside(&st->ip->addrs[i], beside) && st->ip->addrs[i].next_at_ns != NEVER_NS)
			return true;
	return false;
}

static bool wanted(const struct berth_stack *st, const struct ip_addr *a)
{
	return (iface_at(st, a->iface)->flags & BERTH_IF_TEMP_ADDRS) && !port_addr_is_linklocal6(&a->addr);
}

void slaac_temp_said(struct berth_stack *st, uint32_t index)
{
	const struct ip_addr *a = &st->ip->addrs[index];

	if (!wanted(st, a))
		return;
	for (uint32_t i = 0; i < st->ip->n_addrs; i++)
		if (slaac_temp_is_beside(&st->ip->addrs[i], a))
			follow(st, i, a);
	if (!has_one(st, a))
		make(st, index, 0);
}

void slaac_temp_next(struct berth_stack *st, uint16_t iface, const struct port_addr *a)
{
	uint32_t i = slaac_addr(st, iface, a, NULL);

	if (i != NIL && !has_one(st, &st->ip->addrs[i]))
		make(st, i, 0);
}

void slaac_temp_conflict(struct berth_stack *st, const struct ip_addr *was)
{
	uint32_t i = slaac_addr(st, was->iface, &was->addr, NULL);

	if (i == NIL)
		return;
	if (was->tries + 1 < TEMP_TRIES) {
		make(st, i, (uint8_t)(was->tries + 1));
		return;
	}
	st->ip->addrs[i].no_temps = true;
	st->n.temp_addrs_taken++;
}

/* --- the checker --- */

static bool one_check(const struct berth_stack *st, const struct ip_addr *t)
{
	uint32_t at = slaac_addr(st, t->iface, &t->addr, NULL);
	const struct ip_addr *s = &st->ip->addrs[at == NIL ? 0 : at];
	unsigned n = 0;

	if (at == NIL || !(iface_at(st, t->iface)->flags & BERTH_IF_TEMP_ADDRS) || !(t->flags & BERTH_ADDR_AUTO))
		return false;
	if (t->valid_until_ns > s->valid_until_ns || t->preferred_until_ns > s->preferred_until_ns)
		return false;
	if (t->valid_until_ns > t->temp_valid_ns || t->preferred_until_ns > t->temp_preferred_ns)
		return false;
	for (uint32_t i = 0; i < st->ip->n_addrs; i++)
		n += slaac_temp_is_beside(&st->ip->addrs[i], t) && st->ip->addrs[i].next_at_ns != NEVER_NS;
	return n <= 1;
}

bool slaac_temp_check(const struct berth_stack *st)
{
	for (uint32_t i = 0; i < st->ip->n_addrs; i++) {
		const struct ip_addr *a = &st->ip->addrs[i];

		if (is_temp(a) && (!one_check(st, a) || n_temps(st, a->iface) > TEMPS_MAX))
			return false;
	}
	return true;
}
