/* src/port/conflict.c: who on this port refuses a newcomer?
 *
 * A wildcard may meet anybody on the port, so it walks the port's holds. A specific address can meet
 * only itself and the wildcards, and asks the lookup hash for those: a port with ten thousand
 * addresses bound costs no more than one with three. The two ways must agree; test builds compare
 * (the kernel once had them differ: CVE-2026-31503).
 *
 * TCP: everybody must agree, unless the port remembers a socket that lets this one in (D3).
 * UDP: the newest overlapping socket with which SO_REUSEADDR is not shared decides alone (D3).
 */
#include <errno.h>

#include "port/internal.h"

struct search {
	const struct port_table *t;
	const struct port_want *w;
	uint32_t own;
	bool exclusive;
	uint32_t found; /* hold, NIL: none */
	enum port_rule rule;
	int64_t order;
};

static bool only_me(const struct search *s, const struct hold *h)
{
	return s->own != NIL && h->n == 1 && h->first == s->own;
}

static void ask_tcp(struct search *s, uint32_t i, const struct hold *h)
{
	enum port_rule rule = PORT_RULE_R1_OVERLAP;

	if (!s->exclusive && rules_may_share_tcp(s->w, h, &rule))
		return;
	/* Of several that refuse, name a listener: it is what a person is looking for. */
	if (s->found == NIL || h->kind == KIND_LISTEN) {
		s->found = i;
		s->rule = rule;
	}
}

static void ask_udp(struct search *s, uint32_t i, const struct hold *h)
{
	if (!s->exclusive && (s->w->flags & h->flags & PORT_REUSEADDR))
		return;
	if (s->found == NIL || h->order > s->order) {
		s->found = i;
		s->order = h->order;
	}
}

static void ask(struct search *s, uint32_t i, const struct hold *h)
{
	if (only_me(s, h) || rules_device_apart(s->w->dev, h->dev) || !rules_overlap(s->w, h))
		return;
	if (s->w->proto == PORT_TCP)
		ask_tcp(s, i, h);
	else
		ask_udp(s, i, h);
}

static int walk_port(struct search *s, const struct bucket *b)
{
	uint32_t i = b->first, steps = 0;

	for (const struct hold *h; i != NIL; i = h->b_next) {
		h = hold_at(s->t, i);
		if (h == NULL || ++steps > s->t->n_places)
			return -EUCLEAN;
		ask(s, i, h);
	}
	return 0;
}

static int walk_place(struct search *s, const struct port_addr *a)
{
	uint32_t i = index_lookup_head(s->t, s->w->proto, s->w->port, a), steps = 0;

	for (const struct hold *h; i != NIL; i = h->l_next) {
		h = hold_at(s->t, i);
		if (h == NULL || ++steps > s->t->n_places)
			return -EUCLEAN;
		if (index_same_place(h, s->w->proto, s->w->port, a))
			ask(s, i, h);
	}
	return 0;
}

static int walk_specific(struct search *s)
{
	static const struct port_addr any4 = {.b = {[10] = 0xff, [11] = 0xff}}, any6;
	int r = walk_place(s, &s->w->addr);

	if (r == 0 && port_addr_is4(&s->w->addr))
		r = walk_place(s, &any4);
	return r == 0 ? walk_place(s, &any6) : r;
}

#ifdef BERTH_SLOW_CHECKS
static bool both_ways_agree(const struct search *fast, const struct bucket *b)
{
	struct search slow = *fast;

	slow.found = NIL;
	return walk_port(&slow, b) < 0 || (slow.found == NIL) == (fast->found == NIL);
}
#endif

int conflict_find(const struct port_table *t, const struct port_want *w, uint32_t own, bool exclusive,
		  uint32_t *ret_hold, enum port_rule *ret_rule)
{
	struct search s = {.t = t, .w = w, .own = own, .exclusive = exclusive, .found = NIL};
	uint32_t i;
	int r = index_bucket(t, w->proto, w->port, &i);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	const struct bucket *b = bucket_at(t, i);
	if (w->proto == PORT_TCP && !exclusive && rules_frp_match(b, w))
		return 0;
	/* The port's own counter, not the wildcard's rarity, decides which walk is the shorter. */
	if (port_addr_is_any(&w->addr) || b->n_holds <= 8) {
		r = walk_port(&s, b);
	} else {
		r = walk_specific(&s);
		ASSERT_SLOW(r < 0 || both_ways_agree(&s, b) || !port_table_check(t));
	}
	if (r < 0 || s.found == NIL)
		return r;
	if (w->proto == PORT_UDP) {
		const struct hold *h = hold_at(t, s.found);

		if (!exclusive && (w->flags & h->flags & PORT_REUSEPORT) && w->uid == h->uid)
			return 0;
		s.rule = rules_name_udp(w, h);
	}
	*ret_hold = s.found;
	*ret_rule = s.rule;
	return -EADDRINUSE;
}
