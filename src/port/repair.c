/* src/port/repair.c: the slow checker, and what to do when it says no.
 *
 * Any program of the same user can scribble on a shared table, and a process can be killed between
 * two stores of one change. The claims themselves are plain records; all else can be made from them.
 * So repair forgets every link, keeps the records that make sense by themselves (and that the caller
 * finds alive), and inserts them again. It cannot fail: at worst the table is empty.
 */
#include <errno.h>
#include <string.h>

#include "base/trace.h"
#include "port/internal.h"

#define FLAGS_KNOWN                                                                                         \
	(PORT_REUSEADDR | PORT_REUSEPORT | PORT_V6ONLY | PORT_AUTOBOUND | PORT_LISTEN_READY | PORT_PUMPED | \
	 PORT_CHOSEN | PORT_COLLAPSED | PORT_RESETS | PORT_PEER_RESETS)

bool index_claim_sane(const struct port_claim *c)
{
	bool flow = c->state == CLAIM_CONNECTED || c->state == CLAIM_ACCEPTED || c->state == CLAIM_LINGER;
	bool is4 = port_addr_is4(&c->addr);

	if (c->state == CLAIM_FREE || c->state >= CLAIM_NSTATES || c->proto >= PORT_NPROTOS || c->port == 0 ||
	    (c->flags & ~FLAGS_KNOWN))
		return false;
	if (c->family != PORT_FAMILY_6 && (c->family != PORT_FAMILY_4 || !is4))
		return false;
	if (c->state == CLAIM_LISTENING && c->proto != PORT_TCP)
		return false;
	if (!flow)
		return true;
	return port_addr_is4(&c->peer) == is4 && !port_addr_is_any(&c->addr) &&
	       (c->proto == PORT_UDP || c->peer_port != 0);
}

static void empty_heads(struct port_table *t)
{
	for (enum section sec = SEC_H_BUCKET; sec <= SEC_H_LOOKUP; sec++)
		memset(heads(t, sec), 0xff, sizeof(uint32_t) * ((size_t)t->hash_mask[sec - SEC_H_BUCKET] + 1));
}

void index_reset(struct port_table *t)
{
	struct header *h = hdr(t);

	empty_heads(t);
	if (map_at(t, 0, 0) != NULL)
		memset(map_at(t, 0, 0), 0, sizeof(uint64_t) * PORT_WORDS * N_MAPS * PORT_NPROTOS);
	h->n_claims = h->n_dev = h->n_groupless = 0;
	h->linger_first = h->linger_last = NIL;
	h->free_slot = h->free_hold = h->free_bucket = h->free_group = h->free_page = NIL;
	/* Not 1: a ref into a table that was lost and made again is to be a stale one. */
	uint32_t first_generation = (uint32_t)siphash13(&h->key_hash, "generation", 10);

	for (uint32_t i = t->n_max; i-- > 0;) {
		struct slot *s = slot_at(t, i);

		if (s->generation == 0)
			s->generation = (first_generation + i * UINT32_C(0x9e3779b2)) | 1;
		if (s->state == CLAIM_FREE) {
			s->f_next = h->free_slot;
			h->free_slot = i;
		}
	}
	for (uint32_t i = t->n_places; i-- > 0;) {
		*hold_at(t, i) = (struct hold){.b_next = h->free_hold};
		*group_at(t, i) = (struct group){.h_next = h->free_group};
		h->free_hold = h->free_group = i;
	}
	for (uint32_t i = t->n_buckets; i-- > 0;) {
		*bucket_at(t, i) = (struct bucket){.h_next = h->free_bucket};
		h->free_bucket = i;
	}
	for (uint32_t i = t->n_pages; i-- > 0;) {
		page_at(t, i)->w[0] = h->free_page;
		h->free_page = i;
	}
}

static void mend_settings(struct header *h)
{
	const struct port_settings *s = &h->settings;

	if (s->range.first == 0 || s->range.first > s->range.last || s->unprivileged_start > s->range.first)
		h->settings = (struct port_settings){.range = {32768, 60999}, .unprivileged_start = 1024};
	if (h->n_locals > N_LOCALS)
		h->n_locals = N_LOCALS;
	for (uint32_t i = 0; i < h->n_locals; i++)
		if (h->locals[i].prefix_bits > 128)
			h->locals[i].prefix_bits = 128;
}

static int insert_again(struct port_table *t, uint32_t i)
{
	struct port_claim c = index_claim(t, i);
	uint32_t twin;
	int r;

	index_unlink(t, i);
	if (c.state >= CLAIM_CONNECTED && c.proto == PORT_TCP &&
	    index_find_flow(t, PORT_TCP, &c.addr, c.port, &c.peer, c.peer_port, &twin) == 0)
		return -EEXIST;
	r = index_insert(t, i, &c);
	hdr(t)->n_claims += r == 0;
	return r;
}

static void drop(struct slot *s)
{
	s->state = CLAIM_FREE;
	if (++s->generation == 0)
		s->generation = 1;
}

/* Inserts every claim but flows that are there already and those that find no place; returns how many it dropped. UINT32_MAX: it
 * did not go, somebody writes at this very moment. */
static uint32_t insert_all(struct port_table *t)
{
	uint32_t dropped = 0;

	index_reset(t);
	for (uint32_t i = 0; i < t->n_max; i++) {
		struct slot *s = slot_at(t, i);
		int r = s->state == CLAIM_FREE ? 0 : insert_again(t, i);

		if (r == 0)
			continue;
		if (r == -EUCLEAN)
			return UINT32_MAX;
		drop(s);
		s->f_next = hdr(t)->free_slot;
		hdr(t)->free_slot = i;
		dropped++;
	}
	return dropped;
}

uint32_t port_table_repair(struct port_table *t, bool (*keep)(void *ctx, const struct port_claim *c), void *ctx)
{
	uint32_t dropped = 0, more;

	mend_settings(hdr(t));
	for (uint32_t i = 0; i < t->n_max; i++) {
		struct slot *s = slot_at(t, i);
		struct port_claim c = index_claim(t, i);

		if (s->state == CLAIM_FREE || (index_claim_sane(&c) && (keep == NULL || keep(ctx, &c))))
			continue;
		drop(s);
		dropped++;
	}
	more = insert_all(t);
	if (more == UINT32_MAX) {
		more = 0;
		for (uint32_t i = 0; i < t->n_max; i++) {
			if (slot_at(t, i)->state != CLAIM_FREE) {
				drop(slot_at(t, i));
				more++;
			}
		}
		index_reset(t);
	}
	dropped += more;
	TRACE(port_repair, hdr(t)->n_claims, dropped);
	return dropped;
}

int port_table_copy(struct port_table *ret_bigger, void *mem, size_t len_bytes, uint32_t n_claims_max,
		    const struct port_table *t)
{
	static const uint8_t no_secret[16];
	const struct header *from = hdr(t);
	struct header *to;
	const struct port_table_form f = {.n_claims = n_claims_max,
					  .n_places = t->n_places == t->n_max ? n_claims_max : t->n_places,
					  .lean = t->lean};
	int r;

	if (n_claims_max < t->n_max)
		return -EINVAL;
	r = port_table_form_init(ret_bigger, mem, len_bytes, &f, no_secret);
	if (r < 0)
		return r;
	to = hdr(ret_bigger);
	to->key_hash = from->key_hash;
	to->key_dest = from->key_dest;
	to->key_pick = from->key_pick;
	to->settings = from->settings;
	to->n_locals = from->n_locals;
	memcpy(to->locals, from->locals, sizeof(to->locals));
	to->n_picks = from->n_picks;
	to->order = from->order;
	memcpy(to->perturb, from->perturb, sizeof(to->perturb));
	memcpy(to->reserved, from->reserved, sizeof(to->reserved));
	to->n_reserved = from->n_reserved;
	for (uint32_t i = 0; i < t->n_max; i++) {
		struct port_claim c = index_claim(t, i);

		index_claim_write(ret_bigger, i, &c);
		slot_at(ret_bigger, i)->generation = slot_at(t, i)->generation;
	}
	if (port_table_repair(ret_bigger, NULL, NULL) != 0)
		return -EUCLEAN;
	/* What only the buckets and holds know: sharing remembered (D3), and the order of UDP claims. */
	for (uint32_t i = 0; i < t->n_max; i++) {
		const struct slot *s = slot_at(t, i);
		const struct hold *h = hold_at(t, member_at(t, i)->hold);
		const struct bucket *o = h != NULL ? bucket_at(t, h->bucket) : NULL;
		struct hold *mine = hold_at(ret_bigger, member_at(ret_bigger, i)->hold);
		uint32_t ib;

		if (s->state == CLAIM_FREE || o == NULL || mine == NULL)
			continue;
		if (s->proto == PORT_UDP)
			mine->order = h->order;
		if (index_bucket(ret_bigger, s->proto, s->port, &ib) == 0) {
			struct bucket *b = bucket_at(ret_bigger, ib);

			b->frp = o->frp;
			b->fast_family = o->fast_family;
			b->fast_v6only = o->fast_v6only;
			b->fast_uid = o->fast_uid;
			b->fast_addr = o->fast_addr;
		}
	}
	return 0;
}

/* --- the checker --- */
/* What an element of a free list leads to; false: it is none. */
static bool free_next(const struct port_table *t, enum section sec, uint32_t i, uint32_t *ret)
{
	const struct slot *s = sec == SEC_SLOTS ? slot_at(t, i) : NULL;
	const struct hold *h = sec == SEC_HOLDS ? hold_at(t, i) : NULL;
	const struct bucket *b = sec == SEC_BUCKETS ? bucket_at(t, i) : NULL;
	const struct group *g = sec == SEC_GROUPS ? group_at(t, i) : NULL;
	const struct page *p = sec == SEC_PAGES ? page_at(t, i) : NULL;

	if (s != NULL)
		*ret = s->f_next;
	else if (h != NULL)
		*ret = h->b_next;
	else if (b != NULL)
		*ret = b->h_next;
	else if (g != NULL)
		*ret = g->h_next;
	else if (p != NULL)
		*ret = (uint32_t)p->w[0];
	else
		return false;
	return (s == NULL || s->state == CLAIM_FREE) && (h == NULL || !h->used) && (b == NULL || !b->used) &&
	       (g == NULL || !g->used);
}

static uint32_t free_len(const struct port_table *t, enum section sec, uint32_t first, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t i = first; i != NIL && n <= max; n++)
		if (!free_next(t, sec, i, &i))
			return NIL;
	return n;
}

/* What members and groups must agree in: how many there are of each group, summed as an unlikely number for each. */
static uint64_t group_mark(uint32_t ig)
{
	uint64_t x = (ig + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

	return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

struct count {
	uint32_t claims, holds, members, buckets, groups, pages, lingering, groupless;
	uint64_t marks; /* of each group, as many as it says it has members, less those who are */
};

/* T1 for one claim: found where its fields say it is. */
static bool check_claim(const struct port_table *t, uint32_t i, struct count *n)
{
	struct port_claim c = index_claim(t, i);
	const struct member *m = member_at(t, i), *before = member_at(t, m->m_prev);
	const struct hold *h = hold_at(t, m->hold);
	uint32_t found;

	if (!index_claim_sane(&c) || slot_at(t, i)->generation == 0 || h == NULL || !index_hold_fits(h, &c))
		return false;
	if (before == NULL ? h->first != i : before->m_next != i)
		return false;
	if (!index_wants_group(&c)) {
		if (m->group != NIL)
			return false;
	} else if (m->group == NIL) {
		n->groupless++;
	} else {
		if (index_find_group(t, GROUP_DEST, c.proto, &c.addr, &c.peer, c.peer_port, &found) < 0 ||
		    found != m->group)
			return false;
		n->marks -= group_mark(found);
	}
	/* Two UDP sockets may have one four-tuple, two of TCP never. */
	return c.state < CLAIM_CONNECTED ||
	       (index_find_flow(t, c.proto, &c.addr, c.port, &c.peer, c.peer_port, &found) == 0 &&
		(found == i || c.proto == PORT_UDP));
}

/* A hold's group is its address's. */
static bool check_hold_group(const struct port_table *t, const struct hold *h, struct count *n)
{
	static const struct port_addr none;
	uint32_t found;

	if (port_addr_is_any(&h->addr))
		return h->group == NIL;
	if (h->group == NIL) {
		n->groupless++;
		return true;
	}
	if (index_find_group(t, GROUP_LOCAL, h->proto, &h->addr, &none, 0, &found) < 0 || found != h->group)
		return false;
	n->marks -= group_mark(found);
	return true;
}

/* A port that stands in a group's page is a member's. */
static bool check_page_bit(const struct port_table *t, uint32_t ig, uint16_t port)
{
	const struct group *g = group_at(t, ig);
	uint32_t i, steps = 0;

	if (g->kind == GROUP_DEST)
		return index_find_flow(t, g->proto, &g->local, port, &g->peer, g->peer_port, &i) == 0 &&
		       member_at(t, i)->group == ig;
	i = index_lookup_head(t, g->proto, port, &g->local);
	for (const struct hold *h; i != NIL && ++steps <= t->n_places; i = h->l_next) {
		h = hold_at(t, i);
		if (h == NULL)
			return false;
		if (h->group == ig && index_same_place(h, g->proto, port, &g->local))
			return true;
	}
	return false;
}

static bool check_group(const struct port_table *t, uint32_t ig, struct count *n)
{
	const struct group *g = group_at(t, ig);
	const struct page *p = page_at(t, g->page);

	if (g->n == 0 || (g->page != NIL && p == NULL))
		return false;
	n->marks += g->n * group_mark(ig);
	for (uint32_t w = 0; p != NULL && w < PORT_WORDS; w++)
		for (uint64_t left = p->w[w]; left != 0; left &= left - 1)
			if (!check_page_bit(t, ig, (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(left))))
				return false;
	return true;
}

/* The look-up chain of its place has the hold, once. */
static bool check_lookup(const struct port_table *t, uint32_t ih)
{
	const struct hold *h = hold_at(t, ih), *o;
	uint32_t n = 0, steps = 0;

	for (uint32_t i = index_lookup_head(t, h->proto, h->port, &h->addr); i != NIL; i = o->l_next) {
		o = hold_at(t, i);
		if (o == NULL || ++steps > t->n_places)
			return false;
		n += i == ih;
	}
	return n == 1;
}

static bool check_bucket(const struct port_table *t, uint32_t ib, struct count *count)
{
	const struct bucket *b = bucket_at(t, ib);
	uint32_t n = 0, n_map[N_MAPS] = {0}, found, i = b->first, prev = NIL;
	uint8_t proto = *(const volatile uint8_t *)&b->proto;

	if (proto >= PORT_NPROTOS || index_bucket(t, proto, b->port, &found) < 0 || found != ib)
		return false;
	for (uint32_t m = 0; m < N_MAPS; m++)
		if (map_at(t, proto, m) != NULL && bit_get(map_at(t, proto, m), b->port) != (b->n_map[m] != 0))
			return false;
	for (const struct hold *h; i != NIL; prev = i, i = h->b_next) {
		uint32_t members = 0, s = 0;

		h = hold_at(t, i);
		if (h == NULL || !h->used || h->bucket != ib || h->b_prev != prev || ++n > t->n_places ||
		    !check_lookup(t, i) || !check_hold_group(t, h, count))
			return false;
		bool in[N_MAPS];
		uint32_t before = NIL;

		index_hold_maps(h, in);
		for (int m = 0; m < N_MAPS; m++)
			n_map[m] += in[m];
		s = h->first;
		for (const struct member *m; s != NIL; before = s, s = m->m_next) {
			m = member_at(t, s);
			if (m == NULL || m->hold != i || m->m_prev != before || ++members > t->n_max)
				return false;
		}
		if (members != h->n || members == 0)
			return false;
		count->members += members;
	}
	count->holds += n;
	return n == b->n_holds && n != 0 && memcmp(n_map, b->n_map, sizeof(n_map)) == 0;
}

static bool check_maps(const struct port_table *t)
{
	uint32_t n_bits[PORT_NPROTOS][N_MAPS] = {{0}}, n_buckets[PORT_NPROTOS][N_MAPS] = {{0}};

	if (map_at(t, 0, 0) == NULL)
		return true;
	for (uint32_t p = 0; p < PORT_NPROTOS; p++)
		for (uint32_t m = 0; m < N_MAPS; m++)
			for (uint32_t w = 0; w < PORT_WORDS; w++)
				n_bits[p][m] += (uint32_t)__builtin_popcountll(map_at(t, p, m)[w]);
	for (uint32_t i = 0; i < t->n_buckets; i++) {
		const struct bucket *b = bucket_at(t, i);

		for (int m = 0; b->used && m < N_MAPS; m++)
			n_buckets[b->proto & 1][m] += b->n_map[m] != 0;
	}
	return memcmp(n_bits, n_buckets, sizeof(n_bits)) == 0;
}

/* Lingering claims, each once, in the order in which they end. */
static bool check_lingering(const struct port_table *t, uint32_t n)
{
	uint32_t i = hdr(t)->linger_first, prev = NIL;
	uint64_t last_us = 0;

	if (t->lean)
		return i == NIL;
	for (const struct life *l; i != NIL; prev = i, i = l->t_next, n--) {
		l = life_at(t, i);
		if (l == NULL || slot_at(t, i)->state != CLAIM_LINGER || n == 0 || l->t_prev != prev ||
		    l->expires_us < last_us)
			return false;
		last_us = l->expires_us;
	}
	return n == 0 && hdr(t)->linger_last == prev;
}

bool port_table_check(const struct port_table *t)
{
	const struct header *h = hdr(t);
	struct count n = {0};

	if (h->magic != TABLE_MAGIC || h->n_max != t->n_max || h->n_places != t->n_places || h->lean != t->lean)
		return false;
	for (uint32_t i = 0; i < t->n_max; i++) {
		if (slot_at(t, i)->state == CLAIM_FREE)
			continue;
		n.claims++;
		n.lingering += slot_at(t, i)->state == CLAIM_LINGER;
		if (!check_claim(t, i, &n))
			return false;
	}
	for (uint32_t i = 0; i < t->n_buckets; i++) {
		n.buckets += bucket_at(t, i)->used != 0;
		if (bucket_at(t, i)->used && !check_bucket(t, i, &n))
			return false;
	}
	for (uint32_t i = 0; i < t->n_places; i++) {
		const struct group *g = group_at(t, i);

		n.groups += g->used != 0;
		n.pages += g->used && g->page != NIL;
		if (g->used && !check_group(t, i, &n))
			return false;
	}
	return n.claims == h->n_claims && n.members == n.claims && n.marks == 0 && n.groupless == h->n_groupless &&
	       check_lingering(t, n.lingering) && check_maps(t) &&
	       free_len(t, SEC_SLOTS, h->free_slot, t->n_max) == t->n_max - n.claims &&
	       free_len(t, SEC_HOLDS, h->free_hold, t->n_places) == t->n_places - n.holds &&
	       free_len(t, SEC_BUCKETS, h->free_bucket, t->n_buckets) == t->n_buckets - n.buckets &&
	       free_len(t, SEC_GROUPS, h->free_group, t->n_places) == t->n_places - n.groups &&
	       free_len(t, SEC_PAGES, h->free_page, t->n_pages) == t->n_pages - n.pages;
}
