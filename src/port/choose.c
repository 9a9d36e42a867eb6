/* src/port/choose.c: a free port out of a range, at the same price whether the range is empty or full.
 *
 * Where to begin is RFC 6056, algorithm 4 (double hash): for a flow, a keyed hash of its destination
 * plus a counter that flows with the same second hash share, so that a stranger cannot tell the next
 * port from the last and one destination meets its ports in turn. The counters are few, so that who is called often enough could
 * learn which destinations share one (CVE-2022-1012): every SALT_US all are dealt anew, as Linux does it. bind() has no destination and
 * begins at a keyed hash of a counter. From there the first free port is taken, going round.
 *
 * Finding it costs a scan of bitmaps, 64 ports a step: of ports that stand in the way whoever asks,
 * and the page of the group (this destination's ports, or this local address's). What the bitmaps let through is asked of the
 * hashes, where a port that is taken all the same goes into the page for the next time: members of a group too small to have
 * one, or who came before it had one. So 28,232 ports cost at
 * most 442 steps and a question for each such member, and "full" is the answer of the same scan. (A table of a few places has
 * no bitmaps; its ports are asked for one by one, and no more of them can be taken than it has places. Linux walks buckets, and
 * jumps from 3 to 370 us when half are taken: docs/linux-bind.md, D5.)
 *
 * A port is given out only when no overlapping claim holds it, whatever the reuse flags; towards a
 * destination, a port that connect() itself chose may serve again for another destination (R1 knows
 * four-tuples apart), one that bind() holds never.
 */
#include <errno.h>

#include "base/trace.h"
#include "port/internal.h"

#define SALT_US UINT64_C(10000000)

struct choice {
	const struct port_table *t;
	const struct port_want *w;
	const struct port_addr *local, *peer;
	uint16_t peer_port;
	uint32_t which[2], n_which; /* maps whose ports are always in the way */
	uint32_t group;		    /* whose ports are in the way, too; NIL: it is not there, or has no page */
	struct page *page;	    /* and where they are known */
};

/* IP_LOCAL_PORT_RANGE narrows only; a bound outside the host's range has no effect. */
struct port_range choose_range(const struct port_table *t, const struct port_want *w)
{
	struct port_range r = hdr(t)->settings.range, want = w->range;

	if (r.first == 0 || r.first > r.last)
		r = (struct port_range){32768, 60999}; /* somebody scribbled: Linux's default */
	if (want.first >= r.first && want.first <= r.last)
		r.first = want.first;
	if (want.last >= r.first && want.last <= r.last)
		r.last = want.last;
	return r;
}

static void maps_for(struct choice *c)
{
	struct parts p = rules_parts(c->w->family, &c->w->addr, c->w->flags);

	c->n_which = 0;
	if (c->peer != NULL) {
		c->which[c->n_which++] = MAP_BOUND;
		return;
	}
	if (p.has4)
		c->which[c->n_which++] = p.any4 ? MAP_ANY4 : MAP_WILD4;
	if (p.has6)
		c->which[c->n_which++] = p.any6 ? MAP_ANY6 : MAP_WILD6;
}

static int group_for(struct choice *c)
{
	struct port_addr none = {0};
	uint32_t i;
	int r = 0;

	if (c->peer != NULL)
		r = index_find_group(c->t, GROUP_DEST, c->w->proto, c->local, c->peer, c->peer_port, &i);
	else if (!port_addr_is_any(&c->w->addr))
		r = index_find_group(c->t, GROUP_LOCAL, c->w->proto, &c->w->addr, &none, 0, &i);
	else
		return 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	c->page = page_at(c->t, group_at(c->t, i)->page);
	c->group = i;
	return 0;
}

/* In a table without maps the port's bucket knows. 1 taken, 0 not. */
static int bucket_taken(const struct choice *c, uint16_t port)
{
	uint32_t i;
	int r = index_bucket(c->t, c->w->proto, port, &i);
	const struct bucket *b;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	b = bucket_at(c->t, i);
	for (uint32_t m = 0; b != NULL && m < c->n_which; m++)
		if (b->n_map[c->which[m]] != 0)
			return 1;
	return b != NULL ? 0 : -EUCLEAN;
}

/* Of the next two, *ret_group is the group that the port's holder is in. 1 taken, 0 not. */
static int place_taken(const struct choice *c, uint16_t port, uint32_t *ret_group)
{
	uint32_t i = index_lookup_head(c->t, c->w->proto, port, &c->w->addr), steps = 0;

	for (const struct hold *h; i != NIL; i = h->l_next) {
		h = hold_at(c->t, i);
		if (h == NULL || ++steps > c->t->n_places)
			return -EUCLEAN;
		if (index_same_place(h, c->w->proto, port, &c->w->addr)) {
			*ret_group = h->group;
			return 1;
		}
	}
	return 0;
}

static int flow_taken(const struct choice *c, uint16_t port, uint32_t *ret_group)
{
	uint32_t i;
	int r = index_find_flow(c->t, c->w->proto, c->local, port, c->peer, c->peer_port, &i);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret_group = member_at(c->t, i)->group;
	return 1;
}

/* 1 taken, 0 free, as the hashes know for sure. Whoever is in the group takes his bit along when he goes; only his is put there. */
static int is_taken(const struct choice *c, uint16_t port)
{
	uint32_t group = NIL;
	int r;

	if (c->peer == NULL && port_addr_is_any(&c->w->addr))
		return 0; /* the maps say all there is */
	r = c->peer == NULL ? place_taken(c, port, &group) : flow_taken(c, port, &group);
	if (r == 1 && c->page != NULL && group == c->group)
		bit_put(c->page->w, port, true);
	return r;
}

/* Port by port: as many are taken as the small table has claims, at most. */
static int scan_small(const struct choice *c, uint32_t first, uint32_t last, uint16_t *ret)
{
	for (uint32_t p = first ? first : 1; p <= last; p++) {
		int r = table_is_reserved(c->t, (uint16_t)p) ? 1 : bucket_taken(c, (uint16_t)p);

		if (r == 0)
			r = is_taken(c, (uint16_t)p);
		if (r == 0)
			*ret = (uint16_t)p;
		if (r != 1)
			return r;
	}
	return -EADDRINUSE;
}

static int scan(const struct choice *c, uint32_t first, uint32_t last, uint16_t *ret)
{
	static const uint64_t none[PORT_WORDS];
	const uint64_t *one = map_at(c->t, c->w->proto, c->which[0]), *page = c->page != NULL ? c->page->w : none;
	const uint64_t *other = c->n_which > 1 ? map_at(c->t, c->w->proto, c->which[1]) : none;

	if (one == NULL)
		return scan_small(c, first, last, ret);
	for (uint32_t w = first / 64; first <= last && w <= last / 64; w++) {
		uint64_t free = ~(one[w] | other[w] | page[w]);

		if (free == 0)
			continue;
		free &= ~table_reserved_word(c->t, w);
		if (w == first / 64)
			free &= UINT64_MAX << (first % 64);
		if (w == last / 64)
			free &= UINT64_MAX >> (63 - last % 64);
		for (; free != 0; free &= free - 1) {
			uint16_t port = (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(free));
			int r = port == 0 ? 1 : is_taken(c, port);

			if (r < 0)
				return r;
			if (r == 0) {
				*ret = port;
				return 0;
			}
		}
	}
	return -EADDRINUSE;
}

/* Two things stand in the maps for everybody though they stand in the way of some: claims bound to a
 * device, and the placeholder of R2, which ::ffff:0.0.0.0 does not meet. When the maps say "full" and
 * it may be for their sake, the rules decide port by port. */
static int scan_exactly(const struct choice *c, struct port_range range, uint16_t *ret)
{
	struct port_want w = *c->w;
	enum port_rule rule;
	uint32_t hold;

	bool mapped_any = w.family == PORT_FAMILY_6 && port_addr_is4(&w.addr) && port_addr_is_any(&w.addr);

	if ((hdr(c->t)->n_dev == 0 && !mapped_any) || c->peer != NULL)
		return -EADDRINUSE;
	for (uint32_t p = range.first; p <= range.last; p++) {
		w.port = (uint16_t)p;
		if (table_is_reserved(c->t, w.port))
			continue;
		int r = conflict_find(c->t, &w, NIL, true, &hold, &rule);

		if (r == 0)
			*ret = w.port;
		if (r != -EADDRINUSE)
			return r;
	}
	return -EADDRINUSE;
}

struct dest_key {
	uint8_t local[16], peer[16];
	uint32_t local_scope, peer_scope, peer_port, proto;
	uint64_t salt;
};
static_assert(sizeof(struct dest_key) == 56, "keys are hashed as octets: no padding");

static uint64_t dest_hash(const struct choice *c, uint64_t now_us)
{
	struct dest_key k = {.salt = now_us / SALT_US,
			     .local_scope = c->local->scope,
			     .peer_scope = c->peer->scope,
			     .peer_port = c->peer_port,
			     .proto = c->w->proto};

	for (int i = 0; i < 16; i++) {
		k.local[i] = c->local->b[i];
		k.peer[i] = c->peer->b[i];
	}
	return siphash13(&hdr(c->t)->key_dest, &k, sizeof(k));
}

int choose_port(struct port_table *t, const struct port_want *w, const struct port_addr *local,
		const struct port_addr *peer, uint16_t peer_port, uint64_t now_us, uint16_t *ret_port)
{
	struct choice c = {.t = t, .w = w, .local = local, .peer = peer, .peer_port = peer_port, .group = NIL};
	struct port_range range = choose_range(t, w);
	uint32_t n = (uint32_t)range.last - range.first + 1, start, *counter = NULL;
	uint64_t pick = ++hdr(t)->n_picks, hash = siphash13(&hdr(t)->key_pick, &pick, sizeof(pick));
	uint16_t port = 0;
	int r = group_for(&c);

	if (r < 0)
		return r;
	maps_for(&c);
	if (peer != NULL) {
		uint64_t dest = dest_hash(&c, now_us);

		counter = &hdr(t)->perturb[dest >> 32 & (N_PERTURB - 1)];
		start = range.first + ((uint32_t)dest + *counter) % n;
	} else {
		start = range.first + (uint32_t)(hash % n);
	}
	r = scan(&c, start, range.last, &port);
	if (r == -EADDRINUSE && start > range.first)
		r = scan(&c, range.first, start - 1, &port);
	if (r == -EADDRINUSE)
		r = scan_exactly(&c, range, &port);
	if (r < 0)
		return r;
	if (counter != NULL) /* past the one taken, and a random step more, so that counting tells little */
		*counter += (port + n - start) % n + 1 + (uint32_t)(hash & 7);
	TRACE(port_chosen, port, start);
	*ret_port = port;
	return 0;
}
