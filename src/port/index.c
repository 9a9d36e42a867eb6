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

#include "port/chain.h"
#include "port/internal.h"

/* --- keys --- */
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

static uint32_t *bucket_head(const struct port_table *t, enum port_proto proto, uint16_t port)
{
	uint8_t k[4] = {(uint8_t)port, (uint8_t)(port >> 8), (uint8_t)proto, 0xb0};

	return hash_head(t, SEC_H_BUCKET, k, sizeof(k));
}

static uint32_t *place_head(const struct port_table *t, enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	struct place_key k = place_key(proto, port, a);

	return hash_head(t, SEC_H_LOOKUP, &k, sizeof(k));
}

uint32_t *index_flow_head(const struct port_table *t, enum port_proto proto, const struct port_addr *local,
			  uint16_t port, const struct port_addr *peer, uint16_t peer_port)
{
	struct flow_key k = flow_key(proto, local, port, peer, peer_port);

	return hash_head(t, SEC_H_FLOW, &k, sizeof(k));
}

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
	return bucket_in(t, *bucket_head(t, proto, port), proto, port, ret);
}

static int bucket_make(struct port_table *t, enum port_proto proto, uint16_t port, uint32_t *ret)
{
	uint32_t i, *head = bucket_head(t, proto, port);
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
	UNCHAIN(t, bucket_head(t, b->proto, b->port), i, bucket_at, h_next);
	b->used = 0;
	b->h_next = hdr(t)->free_bucket;
	hdr(t)->free_bucket = i;
	return 0;
}

/* --- holds --- */
uint32_t index_lookup_head(const struct port_table *t, enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	return *place_head(t, proto, port, a);
}

bool index_same_place(const struct hold *h, enum port_proto proto, uint16_t port, const struct port_addr *a)
{
	return h->used && h->port == port && h->proto == proto && port_addr_equal(&h->addr, a);
}

static bool is_flow_state(uint8_t state)
{
	return state == CLAIM_CONNECTED || state == CLAIM_ACCEPTED || state == CLAIM_LINGER;
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
		.connected = is_flow_state(c->state),
		.port = c->port,
		.b_next = NIL,
		.b_prev = NIL,
		.l_next = NIL,
		.first = NIL,
		.group = NIL,
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

/* Another hold of this group with this very place, on the chain that begins with i? Then its bit in the page must stay. */
static int place_shared(const struct port_table *t, uint32_t i, uint32_t me, const struct hold *h, bool *ret)
{
	uint32_t steps = 0;

	*ret = false;
	for (const struct hold *o; i != NIL; i = o->l_next) {
		o = hold_at(t, i);
		if (o == NULL || ++steps > t->n_places)
			return -EUCLEAN;
		if (i != me && o->group == h->group && index_same_place(o, h->proto, h->port, &h->addr))
			*ret = true;
	}
	return 0;
}

/* Into the lookup chain, the maps and the local group. */
static int hold_index(struct port_table *t, uint32_t i)
{
	static const struct port_addr none;
	struct hold *h = hold_at(t, i);
	struct bucket *b = bucket_at(t, h->bucket);
	uint32_t *head = place_head(t, h->proto, h->port, &h->addr);

	if (b == NULL)
		return -EUCLEAN;
	h->l_next = *head;
	*head = i;
	maps_count(t, b, h, true);
	if (h->dev != 0)
		hdr(t)->n_dev++;
	if (port_addr_is_any(&h->addr))
		return 0;
	return index_group_join(t, GROUP_LOCAL, h->proto, &h->addr, &none, 0, h->port, &h->group);
}

static int hold_unindex(struct port_table *t, uint32_t i)
{
	struct hold *h = hold_at(t, i);
	struct bucket *b = bucket_at(t, h->bucket);
	uint32_t *head = place_head(t, h->proto, h->port, &h->addr);
	bool still = false;
	int r;

	if (b == NULL)
		return -EUCLEAN;
	UNCHAIN(t, head, i, hold_at, l_next);
	maps_count(t, b, h, false);
	if (h->dev != 0)
		hdr(t)->n_dev--;
	if (port_addr_is_any(&h->addr))
		return 0;
	r = place_shared(t, *head, i, h, &still);
	return r < 0 ? r : index_group_leave(t, h->group, h->port, still);
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
	struct bucket *b;
	struct hold *h, *old;
	int r;

	if (hdr(t)->free_hold == NIL)
		return -ENOBUFS;
	r = bucket_make(t, c->proto, c->port, &ib);
	if (r < 0)
		return -EUCLEAN; /* every bucket in use has a hold, and there is room for one of those */
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

static int hold_join(struct port_table *t, uint32_t is, const struct port_claim *c)
{
	struct member *m = member_at(t, is), *old;
	struct hold like = hold_for(c), *h;
	uint32_t ih;
	int r = c->proto == PORT_TCP ? hold_like(t, &like, &ih) : -ENOENT;

	if (r == -ENOENT)
		r = hold_make(t, c, &like, &ih);
	if (r < 0)
		return r;
	h = hold_at(t, ih);
	old = member_at(t, h->first);
	m->hold = ih;
	m->m_next = h->first;
	m->m_prev = NIL;
	if (old != NULL)
		old->m_prev = is;
	h->first = is;
	h->n++;
	return 0;
}

static int hold_leave(struct port_table *t, uint32_t is, bool keep_bucket)
{
	struct member *m = member_at(t, is), *next = member_at(t, m->m_next), *prev = member_at(t, m->m_prev);
	uint32_t ih = *(volatile uint32_t *)&m->hold;
	struct hold *h = hold_at(t, ih);

	if (h == NULL || !h->used || h->n == 0)
		return -EUCLEAN;
	if (next != NULL)
		next->m_prev = m->m_prev;
	if (prev != NULL)
		prev->m_next = m->m_next;
	else
		h->first = m->m_next;
	return --h->n == 0 ? hold_drop(t, ih, keep_bucket) : 0;
}

int index_room(const struct port_table *t, uint32_t is, const struct port_claim *c)
{
	const struct member *m = member_at(t, is);
	const struct hold *mine = m != NULL ? hold_at(t, m->hold) : NULL;
	struct hold like;
	uint32_t ih;
	int r = -ENOENT;

	if (hdr(t)->free_hold != NIL || (mine != NULL && mine->n == 1)) /* it leaves its own behind */
		return 0;
	like = hold_for(c);
	if (c->proto == PORT_TCP)
		r = hold_like(t, &like, &ih);
	return r == -ENOENT ? -ENOBUFS : r;
}

/* --- flows --- */
bool index_is_flow(const struct slot *s, enum port_proto proto, const struct port_addr *local, uint16_t port,
		   const struct port_addr *peer, uint16_t peer_port)
{
	return s->port == port && s->peer_port == peer_port && s->proto == proto && is_flow_state(s->state) &&
	       port_addr_equal(&s->addr, local) && port_addr_equal(&s->peer, peer);
}

int index_find_flow(const struct port_table *t, enum port_proto proto, const struct port_addr *local, uint16_t port,
		    const struct port_addr *peer, uint16_t peer_port, uint32_t *ret)
{
	uint32_t i = *index_flow_head(t, proto, local, port, peer, peer_port), steps = 0;

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

/* A port is chosen for a flow of TCP's when no other to its destination has it. Ports that bind() holds are not in question
 * (MAP_BOUND), and UDP's choice does not look at peers: so most flows, and all of a server's, are in no group. */
static bool wants_group(uint8_t state, uint8_t proto, uint16_t flags)
{
	return is_flow_state(state) && proto == PORT_TCP && flags & PORT_AUTOBOUND;
}

bool index_wants_group(const struct port_claim *c)
{
	return wants_group(c->state, c->proto, c->flags);
}

static int flow_join(struct port_table *t, uint32_t is, const struct port_claim *c)
{
	uint32_t *head = index_flow_head(t, c->proto, &c->addr, c->port, &c->peer, c->peer_port);
	struct slot *s = slot_at(t, is);

	s->f_next = *head;
	*head = is;
	if (!index_wants_group(c))
		return 0;
	return index_group_join(t, GROUP_DEST, c->proto, &c->addr, &c->peer, c->peer_port, c->port,
				&member_at(t, is)->group);
}

static int flow_leave(struct port_table *t, uint32_t is)
{
	const struct slot *s = slot_at(t, is);
	struct member *m = member_at(t, is);
	uint32_t group = m->group;

	UNCHAIN(t, index_flow_head(t, s->proto, &s->addr, s->port, &s->peer, s->peer_port), is, slot_at, f_next);
	m->group = NIL;
	return wants_group(s->state, s->proto, s->flags) ? index_group_leave(t, group, s->port, false) : 0;
}

/* --- the order in which lingering claims end --- */
static int linger_join(struct port_table *t, uint32_t is)
{
	struct header *h = hdr(t);
	struct life *l = life_at(t, is), *after = NULL;
	uint32_t i = h->linger_last, steps = 0;

	if (l == NULL)
		return 0; /* a lean table: it ends when it is told to */
	while (i != NIL) {
		after = life_at(t, i);
		if (after == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (after->expires_us <= l->expires_us)
			break;
		i = after->t_prev;
	}
	l->t_prev = i;
	l->t_next = i == NIL ? h->linger_first : after->t_next;
	struct life *next = life_at(t, l->t_next);

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
	struct life *l = life_at(t, is), *next, *prev;

	if (l == NULL)
		return;
	next = life_at(t, l->t_next);
	prev = life_at(t, l->t_prev);
	if (next != NULL)
		next->t_prev = l->t_prev;
	else
		hdr(t)->linger_last = l->t_prev;
	if (prev != NULL)
		prev->t_next = l->t_next;
	else
		hdr(t)->linger_first = l->t_next;
}

/* --- claims --- */
struct port_claim index_claim(const struct port_table *t, uint32_t i)
{
	const volatile struct slot *bits = slot_at(t, i); /* what becomes a subscript is read once */
	const struct slot *s = slot_at(t, i);
	const struct member *m = member_at(t, i);
	const struct life *l = life_at(t, i);
	struct port_claim c = {
		.addr = s->addr,
		.peer = s->peer,
		.port = s->port,
		.peer_port = s->peer_port,
		.proto = bits->proto,
		.family = bits->family,
		.state = bits->state,
		.flags = s->flags,
		.uid = m->uid,
		.dev = m->dev,
		.expires_us = NEVER_US,
		.user = s->user,
	};

	if (l != NULL) {
		c.owner = l->owner;
		c.since_us = l->since_us;
		c.expires_us = l->expires_us;
	}
	return c;
}

void index_set_owner(struct port_table *t, uint32_t i, const struct port_owner *o)
{
	struct life *l = life_at(t, i);

	if (l != NULL)
		l->owner = *o;
}

void index_claim_write(struct port_table *t, uint32_t i, const struct port_claim *c)
{
	struct slot *s = slot_at(t, i);
	struct member *m = member_at(t, i);
	struct life *l = life_at(t, i);

	s->addr = c->addr;
	s->peer = c->peer;
	s->port = c->port;
	s->peer_port = c->peer_port;
	s->proto = c->proto;
	s->family = c->family & 15;
	s->state = c->state & 15;
	s->flags = c->flags;
	s->user = c->user;
	m->uid = c->uid;
	m->dev = c->dev;
	if (l != NULL) {
		l->owner = c->owner;
		l->since_us = c->since_us;
		l->expires_us = c->expires_us;
	}
}

int index_claim_new(struct port_table *t, const struct port_claim *c, uint32_t *ret)
{
	uint32_t i;
	struct slot *s;

	POP_FREE(t, free_slot, slot_at, f_next, &i);
	s = slot_at(t, i);
	if (s->state != CLAIM_FREE)
		return -EUCLEAN;
	index_claim_write(t, i, c);
	index_unlink(t, i);
	if (s->generation == 0)
		s->generation = 1;
	hdr(t)->n_claims++;
	*ret = i;
	return 0;
}

void index_claim_free(struct port_table *t, uint32_t i)
{
	struct slot *s = slot_at(t, i);

	s->state = CLAIM_FREE;
	if (++s->generation == 0) /* every handle out there is now stale */
		s->generation = 1;
	s->f_next = hdr(t)->free_slot;
	hdr(t)->free_slot = i;
	hdr(t)->n_claims--;
}

/* Forget what it says of others. */
void index_unlink(struct port_table *t, uint32_t i)
{
	struct member *m = member_at(t, i);
	struct life *l = life_at(t, i);

	slot_at(t, i)->f_next = m->hold = m->m_next = m->m_prev = m->group = NIL;
	if (l != NULL)
		l->t_next = l->t_prev = NIL;
}

int index_insert(struct port_table *t, uint32_t i, const struct port_claim *c)
{
	int r = hold_join(t, i, c);

	if (r < 0)
		return r;
	if (is_flow_state(c->state))
		r = flow_join(t, i, c);
	if (r == 0 && c->state == CLAIM_LINGER)
		r = linger_join(t, i);
	return r < 0 ? -EUCLEAN : 0;
}

/* D3: once only ports chosen by connect() are left, the port forgets. ib: its bucket, if it is still there. */
static void forget_if_only_chosen(struct port_table *t, uint32_t ib)
{
	struct bucket *b = bucket_at(t, ib);

	if (b != NULL && b->used && b->proto == PORT_TCP && b->n_map[MAP_BOUND] == 0)
		b->frp = FRP_NONE;
}

/* The bucket of a claim's port. */
static uint32_t bucket_of(const struct port_table *t, uint32_t i)
{
	const struct hold *h = hold_at(t, member_at(t, i)->hold);

	return h != NULL ? h->bucket : NIL;
}

static int leave_all(struct port_table *t, uint32_t i, bool keep_bucket)
{
	const struct slot *s = slot_at(t, i);
	int r = is_flow_state(s->state) ? flow_leave(t, i) : 0;

	if (r == 0 && s->state == CLAIM_LINGER)
		linger_leave(t, i);
	return r == 0 ? hold_leave(t, i, keep_bucket) : r;
}

int index_remove(struct port_table *t, uint32_t i)
{
	uint32_t ib = bucket_of(t, i);
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
	const struct slot *was = slot_at(t, i);
	uint32_t ih = *(volatile uint32_t *)&member_at(t, i)->hold, twin;
	struct hold *h = hold_at(t, ih), like;
	struct bucket *b = h != NULL ? bucket_at(t, h->bucket) : NULL;
	int r;

	if (b == NULL || !h->used || h->n != 1 || h->first != i || c->proto != PORT_TCP ||
	    !port_addr_equal(&was->addr, &c->addr) || !port_addr_equal(&was->peer, &c->peer) ||
	    was->peer_port != c->peer_port || is_flow_state(was->state) != is_flow_state(c->state) ||
	    was->state == CLAIM_LINGER || c->dev != h->dev || (was->flags ^ c->flags) & PORT_AUTOBOUND)
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
	index_claim_write(t, i, c);
	r = c->state == CLAIM_LINGER ? linger_join(t, i) : 0;
	return r < 0 ? r : 1;
}

int index_change(struct port_table *t, uint32_t i, const struct port_claim *c)
{
	const struct slot *s = slot_at(t, i);
	struct hold *h = hold_at(t, member_at(t, i)->hold);
	int r;

	if (h == NULL || c->proto != s->proto || c->port != s->port)
		return -EUCLEAN;
	r = index_room(t, i, c);
	if (r < 0)
		return r;
	int64_t order = h->order;

	r = change_in_place(t, i, c);
	if (r != 0) {
		forget_if_only_chosen(t, h->bucket);
		return r < 0 ? r : 0;
	}
	r = leave_all(t, i, true);
	if (r < 0)
		return r;
	index_claim_write(t, i, c);
	r = index_insert(t, i, c);
	if (r < 0)
		return -EUCLEAN;
	h = hold_at(t, member_at(t, i)->hold);
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

	if (ref.generation == 0 || s == NULL || s->generation != ref.generation || s->state == CLAIM_FREE ||
	    s->state >= CLAIM_NSTATES)
		return -ESTALE;
	*ret = ref.slot;
	return 0;
}
