/* src/port/index.c: putting claims into the structure and taking them out.
 *
 * internal.h has the picture. Every claim in the pool is, by its own fields alone, in exactly one
 * place of each structure; insert and remove are each other's mirror, and nothing else links or
 * unlinks. That is what makes repair possible: forget every link, insert every claim again.
 *
 * Cost: all of it O(1), but for chains of the keyed hashes, whose load is at most one.
 */
#include <errno.h>
#include <string.h>

#include "port/internal.h"

/* --- hashing --- */
static uint32_t hash_head(const struct port_table *t, const void *key, size_t len_bytes)
{
	return (uint32_t)siphash13(&hdr(t)->key_hash, key, len_bytes) & t->hash_mask;
}

struct place_key {
	uint8_t b[16];
	uint32_t scope;
	uint16_t port;
	uint8_t proto, kind;
};
static_assert(sizeof(struct place_key) == 24, "keys are hashed as octets: no padding");

static struct place_key place_key(enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	struct place_key k = {.scope = a->scope, .port = port, .proto = (uint8_t)proto};

	memcpy(k.b, a->b, sizeof(k.b));
	return k;
}

struct flow_key {
	uint8_t local[16], peer[16];
	uint32_t local_scope, peer_scope;
	uint16_t port, peer_port;
	uint8_t proto, kind, pad[2];
};
static_assert(sizeof(struct flow_key) == 48, "keys are hashed as octets: no padding");

static struct flow_key flow_key(enum port_proto proto, const struct port_addr *local, uint16_t port,
				const struct port_addr *peer, uint16_t peer_port)
{
	struct flow_key k = {.local_scope = local->scope,
			     .peer_scope = peer->scope,
			     .port = port,
			     .peer_port = peer_port,
			     .proto = (uint8_t)proto};

	memcpy(k.local, local->b, 16);
	memcpy(k.peer, peer->b, 16);
	return k;
}

static uint32_t bucket_head(const struct port_table *t, enum port_proto proto, uint16_t port)
{
	uint8_t k[4] = {(uint8_t)port, (uint8_t)(port >> 8), (uint8_t)proto, 0xb0};

	return hash_head(t, k, sizeof(k));
}

static uint32_t place_head(const struct port_table *t, enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	struct place_key k = place_key(proto, port, a);

	return hash_head(t, &k, sizeof(k));
}

static uint32_t flow_head(const struct port_table *t, enum port_proto proto, const struct port_addr *local,
			  uint16_t port, const struct port_addr *peer, uint16_t peer_port)
{
	struct flow_key k = flow_key(proto, local, port, peer, peer_port);

	return hash_head(t, &k, sizeof(k));
}

static uint32_t group_head(const struct port_table *t, enum group_kind kind, enum port_proto proto,
			   const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port)
{
	struct flow_key k = flow_key(proto, local, 0, peer, peer_port);

	k.kind = (uint8_t)(1 + kind);
	return hash_head(t, &k, sizeof(k));
}

/* --- singly linked hash chains: the link is a uint32_t at a fixed place of the element --- */
#define UNCHAIN(t, head, i, at, link)                                \
	do {                                                         \
		uint32_t *p_ = (head), steps_ = 0;                   \
		while (*p_ != (i)) {                                 \
			__auto_type e_ = at(t, *p_);                 \
			if (e_ == NULL || ++steps_ > 2 * (t)->n_max) \
				return -EUCLEAN;                     \
			p_ = &e_->link;                              \
		}                                                    \
		*p_ = at(t, i)->link;                                \
	} while (0)

#define POP_FREE(t, field, at, link, ret)    \
	do {                                 \
		uint32_t i_ = hdr(t)->field; \
		__auto_type e_ = at(t, i_);  \
		if (i_ == NIL)               \
			return -ENOBUFS;     \
		if (e_ == NULL)              \
			return -EUCLEAN;     \
		hdr(t)->field = e_->link;    \
		*(ret) = i_;                 \
	} while (0)

/* --- buckets --- */
static int bucket_in(const struct port_table *t, uint32_t i, enum port_proto proto, uint16_t port, uint32_t *ret)
{
	uint32_t steps = 0;

	for (const struct bucket *b; i != NIL; i = b->h_next) {
		b = bucket_at(t, i);
		if (b == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (b->used && b->port == port && b->proto == proto) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

int index_bucket(const struct port_table *t, enum port_proto proto, uint16_t port, uint32_t *ret)
{
	return bucket_in(t, heads(t, SEC_H_BUCKET)[bucket_head(t, proto, port)], proto, port, ret);
}

static int bucket_make(struct port_table *t, enum port_proto proto, uint16_t port, uint32_t *ret)
{
	uint32_t i, *head = &heads(t, SEC_H_BUCKET)[bucket_head(t, proto, port)];
	int r = bucket_in(t, *head, proto, port, ret);

	if (r != -ENOENT)
		return r;
	POP_FREE(t, free_bucket, bucket_at, h_next, &i);
	*bucket_at(t, i) =
		(struct bucket){.h_next = *head, .first = NIL, .port = port, .proto = (uint8_t)proto, .used = 1};
	*head = i;
	*ret = i;
	return 0;
}

static int bucket_drop(struct port_table *t, uint32_t i)
{
	struct bucket *b = bucket_at(t, i);

	if (b == NULL)
		return -EUCLEAN;
	UNCHAIN(t, &heads(t, SEC_H_BUCKET)[bucket_head(t, b->proto, b->port)], i, bucket_at, h_next);
	b->used = 0;
	b->h_next = hdr(t)->free_bucket;
	hdr(t)->free_bucket = i;
	return 0;
}

/* --- groups --- */
static int group_in(const struct port_table *t, uint32_t i, enum group_kind kind, enum port_proto proto,
		    const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	uint32_t steps = 0;

	for (const struct group *g; i != NIL; i = g->h_next) {
		g = group_at(t, i);
		if (g == NULL || ++steps > 2 * t->n_max)
			return -EUCLEAN;
		if (g->used && g->kind == kind && g->proto == proto && g->peer_port == peer_port &&
		    port_addr_equal(&g->local, local) && port_addr_equal(&g->peer, peer)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

int index_find_group(const struct port_table *t, enum group_kind kind, enum port_proto proto,
		     const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	return group_in(t, heads(t, SEC_H_GROUP)[group_head(t, kind, proto, local, peer, peer_port)], kind, proto,
			local, peer, peer_port, ret);
}

static int group_make(struct port_table *t, enum group_kind kind, enum port_proto proto, const struct port_addr *local,
		      const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	uint32_t i, *head = &heads(t, SEC_H_GROUP)[group_head(t, kind, proto, local, peer, peer_port)];
	int r = group_in(t, *head, kind, proto, local, peer, peer_port, ret);

	if (r != -ENOENT)
		return r;
	POP_FREE(t, free_group, group_at, h_next, &i);
	*group_at(t, i) = (struct group){.local = *local,
					 .peer = *peer,
					 .peer_port = peer_port,
					 .proto = (uint8_t)proto,
					 .kind = (uint8_t)kind,
					 .used = 1,
					 .h_next = *head,
					 .page = NIL,
					 .first = NIL};
	*head = i;
	*ret = i;
	return 0;
}

static void page_give_back(struct port_table *t, struct group *g)
{
	struct page *p = page_at(t, g->page);

	if (p != NULL) {
		p->w[0] = hdr(t)->free_page;
		hdr(t)->free_page = g->page;
	}
	g->page = NIL;
}

static int group_drop(struct port_table *t, uint32_t i)
{
	struct group *g = group_at(t, i);

	if (g == NULL)
		return -EUCLEAN;
	UNCHAIN(t, &heads(t, SEC_H_GROUP)[group_head(t, g->kind, g->proto, &g->local, &g->peer, g->peer_port)], i,
		group_at, h_next);
	page_give_back(t, g);
	g->used = 0;
	g->h_next = hdr(t)->free_group;
	hdr(t)->free_group = i;
	return 0;
}

static int member(const struct port_table *t, const struct group *g, uint32_t i, uint16_t *ret_port, uint32_t *ret_next)
{
	if (g->kind == GROUP_DEST) {
		const struct slot *s = slot_at(t, i);

		if (s == NULL)
			return -EUCLEAN;
		*ret_port = s->c.port;
		*ret_next = s->g_next;
	} else {
		const struct hold *h = hold_at(t, i);

		if (h == NULL)
			return -EUCLEAN;
		*ret_port = h->port;
		*ret_next = h->g_next;
	}
	return 0;
}

/* A page is a help, not a need: with none left the group goes on being asked port by port. */
static int group_take_page(struct port_table *t, struct group *g)
{
	uint32_t i = hdr(t)->free_page, steps = 0;
	struct page *p = page_at(t, i);

	if (i == NIL)
		return 0;
	if (p == NULL)
		return -EUCLEAN;
	hdr(t)->free_page = (uint32_t)p->w[0];
	memset(p, 0, sizeof(*p));
	g->page = i;
	for (uint32_t m = g->first; m != NIL;) {
		uint16_t port;
		int r = member(t, g, m, &port, &m);

		if (r < 0 || ++steps > t->n_max)
			return -EUCLEAN;
		bit_put(p->w, port, true);
	}
	return 0;
}

static int group_grew(struct port_table *t, struct group *g, uint16_t port)
{
	struct page *p = page_at(t, g->page);

	g->n++;
	if (p != NULL)
		bit_put(p->w, port, true);
	else if (g->n >= GROUP_PAGE_MIN)
		return group_take_page(t, g);
	return 0;
}

/* still: another member has the same port (two holds of one address, two UDP flows of one tuple) */
static int group_shrank(struct port_table *t, uint32_t i, uint16_t port, bool still)
{
	struct group *g = group_at(t, i);
	struct page *p = g != NULL ? page_at(t, g->page) : NULL;

	if (g == NULL || g->n == 0)
		return -EUCLEAN;
	if (--g->n == 0)
		return group_drop(t, i);
	if (p != NULL && g->n < GROUP_PAGE_DROP)
		page_give_back(t, g);
	else if (p != NULL && !still)
		bit_put(p->w, port, false);
	return 0;
}

/* --- holds --- */
uint32_t index_lookup_head(const struct port_table *t, enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	return heads(t, SEC_H_LOOKUP)[place_head(t, proto, port, a)];
}

bool index_same_place(const struct hold *h, enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	return h->used && h->port == port && h->proto == proto && port_addr_equal(&h->addr, a);
}

static bool is_flow(const struct port_claim *c)
{
	return c->state == CLAIM_CONNECTED || c->state == CLAIM_ACCEPTED || c->state == CLAIM_LINGER;
}

static struct hold hold_for(const struct port_claim *c)
{
	return (struct hold){
		.addr = c->addr,
		.uid = c->uid,
		.dev = c->dev,
		.flags = c->flags & (PORT_REUSEADDR | PORT_REUSEPORT | PORT_V6ONLY | PORT_AUTOBOUND),
		.proto = c->proto,
		.family = c->family,
		.kind = c->state == CLAIM_LISTENING ? KIND_LISTEN
			: c->state == CLAIM_LINGER  ? KIND_LINGER
						    : KIND_PLAIN,
		.used = 1,
		.connected = is_flow(c),
		.port = c->port,
		.b_next = NIL,
		.b_prev = NIL,
		.l_next = NIL,
		.first = NIL,
		.group = NIL,
		.g_next = NIL,
		.g_prev = NIL,
	};
}

static bool same_hold(const struct hold *a, const struct hold *b)
{
	return a->uid == b->uid && a->dev == b->dev && a->flags == b->flags && a->family == b->family &&
	       a->kind == b->kind && a->connected == b->connected;
}

void index_hold_maps(const struct hold *h, bool ret[N_MAPS])
{
	struct parts p = rules_parts(h->family, &h->addr, h->flags);
	/* R2's placeholder stands in the way of 0.0.0.0 only: it counts as "some v4 part". */
	bool ghost = h->connected && h->family == PORT_FAMILY_6 && p.has6 && !(h->flags & PORT_V6ONLY);

	ret[MAP_ANY4] = p.has4 || ghost;
	ret[MAP_ANY6] = p.has6;
	ret[MAP_WILD4] = p.any4;
	ret[MAP_WILD6] = p.any6;
	ret[MAP_BOUND] = !(h->flags & PORT_AUTOBOUND);
}

static void maps_count(struct port_table *t, struct bucket *b, const struct hold *h, bool up)
{
	bool in[N_MAPS];

	index_hold_maps(h, in);
	for (int m = 0; m < N_MAPS; m++) {
		if (!in[m])
			continue;
		b->n_map[m] += up ? 1 : UINT32_MAX;
		uint64_t *map = map_at(t, b->proto, (uint32_t)m);

		if (map != NULL)
			bit_put(map, b->port, b->n_map[m] != 0);
	}
}

/* Another hold with this very place, on the chain that begins with i? Then a bit in a page must stay. */
static int place_shared(const struct port_table *t, uint32_t i, uint32_t me, const struct hold *h, bool *ret)
{
	uint32_t steps = 0;

	*ret = false;
	for (const struct hold *o; i != NIL; i = o->l_next) {
		o = hold_at(t, i);
		if (o == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (i != me && index_same_place(o, h->proto, h->port, &h->addr))
			*ret = true;
	}
	return 0;
}

/* Into the lookup chain, the maps and the local group. */
static int hold_index(struct port_table *t, uint32_t i)
{
	struct hold *h = hold_at(t, i);
	struct bucket *b = bucket_at(t, h->bucket);
	uint32_t *head = &heads(t, SEC_H_LOOKUP)[place_head(t, h->proto, h->port, &h->addr)];
	struct port_addr none = {0};
	uint32_t ig;
	int r;

	if (b == NULL)
		return -EUCLEAN;
	h->l_next = *head;
	*head = i;
	maps_count(t, b, h, true);
	if (h->dev != 0)
		hdr(t)->n_dev++;
	h->group = h->g_next = h->g_prev = NIL;
	if (port_addr_is_any(&h->addr))
		return 0;
	r = group_make(t, GROUP_LOCAL, h->proto, &h->addr, &none, 0, &ig);
	if (r < 0)
		return r == -ENOBUFS ? -EUCLEAN : r; /* there are as many groups as claims can need */
	struct group *g = group_at(t, ig);

	struct hold *old = hold_at(t, g->first);

	h->group = ig;
	h->g_next = g->first;
	if (old != NULL)
		old->g_prev = i;
	g->first = i;
	return group_grew(t, g, h->port);
}

static int hold_unindex(struct port_table *t, uint32_t i)
{
	struct hold *h = hold_at(t, i);
	struct bucket *b = bucket_at(t, h->bucket);
	uint32_t *head = &heads(t, SEC_H_LOOKUP)[place_head(t, h->proto, h->port, &h->addr)];
	bool still = false;
	int r;

	if (b == NULL)
		return -EUCLEAN;
	UNCHAIN(t, head, i, hold_at, l_next);
	maps_count(t, b, h, false);
	if (h->dev != 0)
		hdr(t)->n_dev--;
	if (h->group == NIL)
		return 0;
	struct group *g = group_at(t, h->group);
	struct hold *next = hold_at(t, h->g_next), *prev = hold_at(t, h->g_prev);

	if (g == NULL || !g->used)
		return -EUCLEAN;
	if (next != NULL)
		next->g_prev = h->g_prev;
	if (prev != NULL)
		prev->g_next = h->g_next;
	else
		g->first = h->g_next;
	r = place_shared(t, *head, i, h, &still);
	return r < 0 ? r : group_shrank(t, h->group, h->port, still);
}

bool index_hold_fits(const struct hold *h, const struct port_claim *c)
{
	struct hold like = hold_for(c);

	return index_same_place(h, (enum port_proto)c->proto, c->port, &c->addr) && same_hold(h, &like);
}

/* TCP: the hold of claims just like h on its port, or NIL. */
static int hold_like(const struct port_table *t, const struct hold *h, uint32_t *ret)
{
	uint32_t i = index_lookup_head(t, h->proto, h->port, &h->addr), steps = 0;

	for (const struct hold *o; i != NIL; i = o->l_next) {
		o = hold_at(t, i);
		if (o == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (index_same_place(o, h->proto, h->port, &h->addr) && same_hold(o, h)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

/* D3: the UDP chain is newest first, but IPv6 sockets with SO_REUSEPORT queue at its end. */
static int64_t hold_order(struct port_table *t, const struct port_claim *c)
{
	int64_t n = (int64_t)(((uint64_t)hdr(t)->order + 1) & INT64_MAX);

	hdr(t)->order = n;

	return c->family == PORT_FAMILY_6 && (c->flags & PORT_REUSEPORT) ? -n : n;
}

static int hold_make(struct port_table *t, const struct port_claim *c, const struct hold *like, uint32_t *ret)
{
	uint32_t i, ib;
	int r = bucket_make(t, c->proto, c->port, &ib);
	struct bucket *b;
	struct hold *h, *old;

	if (r < 0)
		return r;
	POP_FREE(t, free_hold, hold_at, b_next, &i);
	b = bucket_at(t, ib);
	h = hold_at(t, i);
	old = hold_at(t, b->first);
	*h = *like;
	h->bucket = ib;
	h->order = hold_order(t, c);
	h->b_next = b->first;
	if (old != NULL)
		old->b_prev = i;
	b->first = i;
	b->n_holds++;
	*ret = i;
	return hold_index(t, i);
}

static int hold_drop(struct port_table *t, uint32_t i, bool keep_bucket)
{
	struct hold *h = hold_at(t, i), *next, *prev;
	struct bucket *b = bucket_at(t, h->bucket);
	int r = hold_unindex(t, i);

	if (r < 0)
		return r;
	if (b == NULL || b->n_holds == 0)
		return -EUCLEAN;
	next = hold_at(t, h->b_next);
	prev = hold_at(t, h->b_prev);
	if (next != NULL)
		next->b_prev = h->b_prev;
	if (prev != NULL)
		prev->b_next = h->b_next;
	else
		b->first = h->b_next;
	uint32_t left = --b->n_holds, ib = h->bucket;

	h->used = 0;
	h->b_next = hdr(t)->free_hold;
	hdr(t)->free_hold = i;
	return left == 0 && !keep_bucket ? bucket_drop(t, ib) : 0;
}

static int hold_join(struct port_table *t, uint32_t is)
{
	struct slot *s = slot_at(t, is), *old;
	struct hold like = hold_for(&s->c), *h;
	uint32_t ih;
	int r = s->c.proto == PORT_TCP ? hold_like(t, &like, &ih) : -ENOENT;

	if (r == -ENOENT)
		r = hold_make(t, &s->c, &like, &ih);
	if (r < 0)
		return r;
	h = hold_at(t, ih);
	old = slot_at(t, h->first);
	s->hold = ih;
	s->m_next = h->first;
	s->m_prev = NIL;
	if (old != NULL)
		old->m_prev = is;
	h->first = is;
	h->n++;
	return 0;
}

static int hold_leave(struct port_table *t, uint32_t is, bool keep_bucket)
{
	struct slot *s = slot_at(t, is), *next = slot_at(t, s->m_next), *prev = slot_at(t, s->m_prev);
	uint32_t ih = *(volatile uint32_t *)&s->hold;
	struct hold *h = hold_at(t, ih);

	if (h == NULL || !h->used || h->n == 0)
		return -EUCLEAN;
	if (next != NULL)
		next->m_prev = s->m_prev;
	if (prev != NULL)
		prev->m_next = s->m_next;
	else
		h->first = s->m_next;
	return --h->n == 0 ? hold_drop(t, ih, keep_bucket) : 0;
}

/* --- flows --- */
uint32_t *index_flow_head(const struct port_table *t, enum port_proto proto, const struct port_addr *local,
			  uint16_t port, const struct port_addr *peer, uint16_t peer_port)
{
	return &heads(t, SEC_H_FLOW)[flow_head(t, proto, local, port, peer, peer_port)];
}

bool index_is_flow(const struct slot *s, enum port_proto proto, const struct port_addr *local, uint16_t port,
		   const struct port_addr *peer, uint16_t peer_port)
{
	return s->c.port == port && s->c.peer_port == peer_port && s->c.proto == proto && is_flow(&s->c) &&
	       port_addr_equal(&s->c.addr, local) && port_addr_equal(&s->c.peer, peer);
}

static int flow_in(const struct port_table *t, uint32_t i, enum port_proto proto, const struct port_addr *local,
		   uint16_t port, const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	uint32_t steps = 0;

	for (const struct slot *s; i != NIL; i = s->f_next) {
		s = slot_at(t, i);
		if (s == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (index_is_flow(s, proto, local, port, peer, peer_port)) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

int index_find_flow(const struct port_table *t, enum port_proto proto, const struct port_addr *local, uint16_t port,
		    const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	return flow_in(t, *index_flow_head(t, proto, local, port, peer, peer_port), proto, local, port, peer, peer_port,
		       ret);
}

static int flow_join(struct port_table *t, uint32_t is)
{
	struct slot *s = slot_at(t, is), *old;
	const struct port_claim *c = &s->c;
	uint32_t *head = &heads(t, SEC_H_FLOW)[flow_head(t, c->proto, &c->addr, c->port, &c->peer, c->peer_port)];
	struct group *g;
	uint32_t ig;
	int r;

	s->f_next = *head;
	*head = is;
	r = group_make(t, GROUP_DEST, c->proto, &c->addr, &c->peer, c->peer_port, &ig);
	if (r < 0)
		return r == -ENOBUFS ? -EUCLEAN : r;
	s->group = ig;
	g = group_at(t, ig);
	old = slot_at(t, g->first);
	s->g_next = g->first;
	s->g_prev = NIL;
	if (old != NULL)
		old->g_prev = is;
	g->first = is;
	return group_grew(t, g, c->port);
}

static int flow_leave(struct port_table *t, uint32_t is)
{
	struct slot *s = slot_at(t, is), *next = slot_at(t, s->g_next), *prev = slot_at(t, s->g_prev);
	const struct port_claim *c = &s->c;
	struct group *g = group_at(t, s->group);
	uint32_t twin, *head = index_flow_head(t, c->proto, &c->addr, c->port, &c->peer, c->peer_port);

	UNCHAIN(t, head, is, slot_at, f_next);
	if (g == NULL || !g->used)
		return -EUCLEAN;
	if (next != NULL)
		next->g_prev = s->g_prev;
	if (prev != NULL)
		prev->g_next = s->g_next;
	else
		g->first = s->g_next;
	int r = flow_in(t, *head, c->proto, &c->addr, c->port, &c->peer, c->peer_port, &twin);

	if (r == -EUCLEAN)
		return r;
	r = group_shrank(t, s->group, c->port, r == 0);
	s->group = NIL;
	return r;
}

/* --- the order in which lingering claims end --- */
static int linger_join(struct port_table *t, uint32_t is)
{
	struct header *h = hdr(t);
	struct slot *s = slot_at(t, is), *after = NULL;
	uint32_t i = h->linger_last, steps = 0;

	while (i != NIL) {
		after = slot_at(t, i);
		if (after == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (after->c.expires_us <= s->c.expires_us)
			break;
		i = after->t_prev;
	}
	s->t_prev = i;
	s->t_next = i == NIL ? h->linger_first : after->t_next;
	struct slot *next = slot_at(t, s->t_next);

	if (next != NULL)
		next->t_prev = is;
	else
		h->linger_last = is;
	if (i == NIL)
		h->linger_first = is;
	else
		after->t_next = is;
	return 0;
}

static void linger_leave(struct port_table *t, uint32_t is)
{
	struct slot *s = slot_at(t, is), *next = slot_at(t, s->t_next), *prev = slot_at(t, s->t_prev);

	if (next != NULL)
		next->t_prev = s->t_prev;
	else
		hdr(t)->linger_last = s->t_prev;
	if (prev != NULL)
		prev->t_next = s->t_next;
	else
		hdr(t)->linger_first = s->t_next;
}

/* --- claims --- */
int index_claim_new(struct port_table *t, const struct port_claim *c, uint32_t *ret)
{
	uint32_t i;
	struct slot *s;

	POP_FREE(t, free_slot, slot_at, m_next, &i);
	s = slot_at(t, i);
	if (s->c.state != CLAIM_FREE)
		return -EUCLEAN;
	s->c = *c;
	s->hold = s->m_next = s->m_prev = s->f_next = s->group = s->g_next = s->g_prev = s->t_next = s->t_prev = NIL;
	if (s->generation == 0)
		s->generation = 1;
	hdr(t)->n_claims++;
	*ret = i;
	return 0;
}

void index_claim_free(struct port_table *t, uint32_t i)
{
	struct slot *s = slot_at(t, i);

	s->c.state = CLAIM_FREE;
	if (++s->generation == 0) /* every handle out there is now stale */
		s->generation = 1;
	s->m_next = hdr(t)->free_slot;
	hdr(t)->free_slot = i;
	hdr(t)->n_claims--;
}

int index_insert(struct port_table *t, uint32_t i)
{
	struct slot *s = slot_at(t, i);
	int r = hold_join(t, i);

	if (r == 0 && is_flow(&s->c))
		r = flow_join(t, i);
	if (r == 0 && s->c.state == CLAIM_LINGER)
		r = linger_join(t, i);
	return r;
}

/* D3: once only ports chosen by connect() are left, the port forgets. ib: its bucket, if it is still there. */
static void forget_if_only_chosen(struct port_table *t, uint32_t ib)
{
	struct bucket *b = bucket_at(t, ib);

	if (b != NULL && b->used && b->proto == PORT_TCP && b->n_map[MAP_BOUND] == 0)
		b->frp = FRP_NONE;
}

/* The bucket of a claim's port. */
static uint32_t bucket_of(const struct port_table *t, const struct slot *s)
{
	const struct hold *h = hold_at(t, s->hold);

	return h != NULL ? h->bucket : NIL;
}

static int leave_all(struct port_table *t, uint32_t i, bool keep_bucket)
{
	struct slot *s = slot_at(t, i);
	int r = is_flow(&s->c) ? flow_leave(t, i) : 0;

	if (r == 0 && s->c.state == CLAIM_LINGER)
		linger_leave(t, i);
	return r == 0 ? hold_leave(t, i, keep_bucket) : r;
}

int index_remove(struct port_table *t, uint32_t i)
{
	uint32_t ib = bucket_of(t, slot_at(t, i));
	int r = leave_all(t, i, false);

	if (r == 0)
		forget_if_only_chosen(t, ib);
	return r;
}

/* To the front of its bucket, as a new one would be. */
static void hold_to_front(struct port_table *t, struct bucket *b, uint32_t i, struct hold *h)
{
	struct hold *next = hold_at(t, h->b_next), *prev = hold_at(t, h->b_prev), *first = hold_at(t, b->first);

	if (prev == NULL || first == NULL)
		return; /* it is there */
	prev->b_next = h->b_next;
	if (next != NULL)
		next->b_prev = h->b_prev;
	h->b_prev = NIL;
	h->b_next = b->first;
	first->b_prev = i;
	b->first = i;
}

/* A TCP claim that stays where it is and is alone in its hold (a client's flow that ends, a socket that begins to listen): the hold
 * becomes the new one in place, when there is none like it to join. 1: done; 0: not so simple. */
static int change_in_place(struct port_table *t, uint32_t i, const struct port_claim *c)
{
	struct slot *s = slot_at(t, i);
	uint32_t ih = *(volatile uint32_t *)&s->hold, twin;
	struct hold *h = hold_at(t, ih), like;
	struct bucket *b = h != NULL ? bucket_at(t, h->bucket) : NULL;
	bool lingered = s->c.state == CLAIM_LINGER;
	int r;

	if (b == NULL || !h->used || h->n != 1 || h->first != i || c->proto != PORT_TCP ||
	    !port_addr_equal(&s->c.addr, &c->addr) || !port_addr_equal(&s->c.peer, &c->peer) ||
	    s->c.peer_port != c->peer_port || is_flow(&s->c) != is_flow(c) || lingered || c->dev != h->dev)
		return 0;
	like = hold_for(c);
	if (!same_hold(h, &like)) {
		r = hold_like(t, &like, &twin);
		if (r != -ENOENT)
			return r < 0 ? r : 0;
		maps_count(t, b, h, false);
		h->uid = like.uid;
		h->flags = like.flags;
		h->family = like.family;
		h->kind = like.kind;
		h->connected = like.connected;
		maps_count(t, b, h, true);
	}
	h->order = hold_order(t, c);
	hold_to_front(t, b, ih, h);
	s->c = *c;
	r = c->state == CLAIM_LINGER ? linger_join(t, i) : 0;
	return r < 0 ? r : 1;
}

int index_change(struct port_table *t, uint32_t i, const struct port_claim *c)
{
	struct slot *s = slot_at(t, i);
	struct hold *h = hold_at(t, s->hold);
	int r;

	if (h == NULL || c->proto != s->c.proto || c->port != s->c.port)
		return -EUCLEAN;
	int64_t order = h->order;

	r = change_in_place(t, i, c);
	if (r != 0) {
		forget_if_only_chosen(t, h->bucket);
		return r < 0 ? r : 0;
	}
	r = leave_all(t, i, true);
	if (r < 0)
		return r;
	s->c = *c;
	r = index_insert(t, i);
	if (r < 0)
		return r;
	h = hold_at(t, s->hold);
	if (h == NULL)
		return -EUCLEAN;
	if (c->proto == PORT_UDP)
		h->order = order;
	forget_if_only_chosen(t, h->bucket);
	return 0;
}

int index_slot_of(const struct port_table *t, struct port_ref ref, uint32_t *ret)
{
	const struct slot *s = slot_at(t, ref.slot);

	if (ref.generation == 0 || s == NULL || s->generation != ref.generation || s->c.state == CLAIM_FREE ||
	    s->c.state >= CLAIM_NSTATES)
		return -ESTALE;
	*ret = ref.slot;
	return 0;
}
