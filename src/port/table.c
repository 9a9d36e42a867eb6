/* src/port/table.c: who holds which port, and who may have it next: the calls.
 *
 * Each call checks its arguments in the kernel's order (C3), asks the rules (conflict.c) or the
 * chooser (choose.c), and only then changes the structure (index.c). A call that fails has changed
 * nothing, but for -EUCLEAN, after which the caller repairs, and for keeps_what_it_tried().
 *
 * Always true of a table nobody scribbled on (port_table_check() verifies each)
 *   T1  a claim in use is a member of exactly one hold, its own place's, and a flow is in exactly one flow chain; one whose port
 *       connect() chose counts in the group of its destination, unless none was left for it;
 *   T2  the maps say of every port what the holds on it say;
 *   T3  n_claims counts the claims in use; what is not in use is in a free list, once;
 *   T4  no claim has port 0: port 0 is a request, not a place.
 *
 * Cost: no allocation; bind is O(1) for a specific address, O(holds on the port) for a wildcard.
 */
#include <errno.h>
#include <string.h>

#include "base/trace.h"
#include "port/internal.h"

const char *const claim_state_name[CLAIM_NSTATES] = {
	[CLAIM_FREE] = "free",		 [CLAIM_HELD] = "bound",	[CLAIM_LISTENING] = "listening",
	[CLAIM_CONNECTED] = "connected", [CLAIM_ACCEPTED] = "accepted", [CLAIM_LINGER] = "time-wait",
};

#define TO(s) (1u << CLAIM_##s)
static const uint8_t edges[CLAIM_NSTATES] = {
	[CLAIM_FREE] = TO(HELD) | TO(LISTENING) | TO(CONNECTED) | TO(ACCEPTED),
	[CLAIM_HELD] = TO(LISTENING) | TO(CONNECTED) | TO(FREE),
	[CLAIM_LISTENING] = TO(HELD) | TO(FREE),
	[CLAIM_CONNECTED] = TO(CONNECTED) | TO(HELD) | TO(LINGER) | TO(FREE), /* UDP connects again, or not at all */
	[CLAIM_ACCEPTED] = TO(LINGER) | TO(FREE),
	[CLAIM_LINGER] = TO(LINGER) | TO(FREE), /* TIME-WAIT keeps the port (RFC 9293, 3.6.1), and may begin anew */
};

/* The one place where a claim's state changes. An edge that is not there means a caller's mistake or
 * a scribbled state; the table cannot tell, so it refuses. */
static int set_state(struct port_table *t, uint32_t i, const struct port_claim *c)
{
	const volatile struct slot *s = slot_at(t, i);
	uint8_t from = s->state;

	if (from >= CLAIM_NSTATES || !(edges[from] & (1u << c->state)))
		return -EINVAL;
	TRACE(claim_state, c->port, from, c->state, i);
	return index_change(t, i, c);
}

/* --- refusals --- */
static int refuse(const struct port_table *t, struct port_refusal *ret, int err, enum port_rule rule, uint32_t slot)
{
	const struct slot *s = slot_at(t, slot);

	TRACE(port_refused, s != NULL ? s->port : 0, rule, (uint64_t)-err, slot);
	if (ret == NULL)
		return err;
	*ret = (struct port_refusal){.err = err, .rule = rule};
	if (s != NULL) {
		ret->by_valid = true;
		ret->by_ref = (struct port_ref){slot, s->generation};
		ret->by = index_claim(t, slot);
	}
	return err;
}

static int refuse_hold(const struct port_table *t, struct port_refusal *ret, enum port_rule rule, uint32_t hold)
{
	const struct hold *h = hold_at(t, hold);

	return h == NULL ? -EUCLEAN : refuse(t, ret, -EADDRINUSE, rule, h->first);
}

/* --- memory --- */
static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static size_t lay(struct port_table *t, enum section sec, size_t at, size_t size)
{
	t->off[sec] = at;
	return align64(at + size);
}

/* Arrays of hash heads have a load of at most one. */
static size_t lay_heads(struct port_table *t, enum section sec, size_t at, uint32_t n)
{
	uint32_t n_heads = 16;

	while (n_heads < n)
		n_heads *= 2;
	t->hash_mask[sec - SEC_H_BUCKET] = n_heads - 1;
	return lay(t, sec, at, sizeof(uint32_t) * n_heads);
}

void table_layout(struct port_table *t, const struct port_table_form *f)
{
	size_t at;

	t->n_max = f->n_claims;
	t->n_places = f->n_places == 0 ? f->n_claims : f->n_places;
	t->n_buckets = t->n_places < N_BUCKETS_MAX ? t->n_places : N_BUCKETS_MAX;
	t->n_pages = t->n_places / PLACES_PER_PAGE; /* and so none without maps */
	t->lean = f->lean;
	at = lay(t, SEC_HEADER, 0, sizeof(struct header));
	at = lay(t, SEC_SLOTS, at, sizeof(struct slot) * t->n_max);
	at = lay(t, SEC_MEMBERS, at, sizeof(struct member) * t->n_max);
	at = lay(t, SEC_LIVES, at, t->lean ? 0 : sizeof(struct life) * t->n_max);
	at = lay(t, SEC_HOLDS, at, sizeof(struct hold) * t->n_places);
	at = lay(t, SEC_BUCKETS, at, sizeof(struct bucket) * t->n_buckets);
	at = lay(t, SEC_GROUPS, at, sizeof(struct group) * t->n_places);
	at = lay(t, SEC_PAGES, at, sizeof(struct page) * t->n_pages);
	at = lay(t, SEC_MAPS, at,
		 t->n_places < MAPS_PLACES_MIN ? 0 : sizeof(uint64_t) * PORT_WORDS * N_MAPS * PORT_NPROTOS);
	at = lay_heads(t, SEC_H_BUCKET, at, t->n_buckets);
	at = lay_heads(t, SEC_H_FLOW, at, t->n_max);
	at = lay_heads(t, SEC_H_GROUP, at, t->n_places);
	at = lay_heads(t, SEC_H_LOOKUP, at, t->n_places);
	t->len_bytes = at;
}
static_assert(PLACES_PER_PAGE >= MAPS_PLACES_MIN, "a table without maps has no pages");

size_t port_table_form_size(const struct port_table_form *f)
{
	struct port_table t = {0};

	table_layout(&t, f);
	return t.len_bytes;
}

size_t port_table_size(uint32_t n_claims_max)
{
	return port_table_form_size(&(struct port_table_form){.n_claims = n_claims_max});
}

/* Two builds whose structures differ must not share a table. */
static uint32_t layout_number(void)
{
	return (uint32_t)(sizeof(struct header) * 31 + sizeof(struct member) * 37 + sizeof(struct hold) * 41 +
			  sizeof(struct bucket) * 43 + sizeof(struct group) * 47 + offsetof(struct life, since_us));
}

static bool form_ok(const struct port_table_form *f)
{
	return f->n_claims > 0 && f->n_claims <= PORT_TABLE_CLAIMS_MAX && f->n_places <= f->n_claims;
}

int port_table_form_init(struct port_table *t, void *mem, size_t len_bytes, const struct port_table_form *f,
			 const uint8_t secret[16])
{
	struct siphash_key k = siphash_key_from(secret);
	struct port_addr loop4 = port_addr_v4(127, 0, 0, 0);
	struct header *h;

	if (!form_ok(f) || len_bytes < port_table_form_size(f) || (uintptr_t)mem % 8 != 0)
		return -EINVAL;
	t->base = mem;
	table_layout(t, f);
	memset(mem, 0, t->len_bytes);
	h = hdr(t);
	h->len_bytes = t->len_bytes;
	h->layout = layout_number();
	h->n_max = t->n_max;
	h->n_places = t->n_places;
	h->lean = t->lean;
	h->key_hash = siphash_key_derive(&k, "hash");
	h->key_dest = siphash_key_derive(&k, "dest");
	h->key_pick = siphash_key_derive(&k, "pick");
	h->settings = (struct port_settings){.range = {32768, 60999}, .unprivileged_start = 1024};
	h->locals[0] = (struct local_net){loop4, 104};
	h->locals[1] = (struct local_net){PORT_ADDR_LOOP6, 128};
	h->n_locals = 2;
	index_reset(t);
	h->magic = TABLE_MAGIC;
	return 0;
}

int port_table_init(struct port_table *t, void *mem, size_t len_bytes, uint32_t n_claims_max, const uint8_t secret[16])
{
	const struct port_table_form f = {.n_claims = n_claims_max};

	return port_table_form_init(t, mem, len_bytes, &f, secret);
}

int port_table_attach(struct port_table *t, void *mem, size_t len_bytes)
{
	const volatile struct header *h = mem; /* each is read once: it may change under us */
	struct port_table_form f;
	uint32_t lean;

	if (len_bytes < sizeof(*h) || (uintptr_t)mem % 8 != 0 || h->magic != TABLE_MAGIC ||
	    h->layout != layout_number())
		return -EUCLEAN;
	lean = h->lean;
	f = (struct port_table_form){.n_claims = h->n_max, .n_places = h->n_places, .lean = lean == 1};
	if (!form_ok(&f) || f.n_places == 0 || lean > 1)
		return -EUCLEAN;
	t->base = mem;
	table_layout(t, &f);
	return t->len_bytes <= len_bytes ? 0 : -EUCLEAN;
}

/* --- settings --- */
int port_table_set_settings(struct port_table *t, const struct port_settings *s)
{
	if (s->range.first == 0 || s->range.first > s->range.last || s->unprivileged_start > s->range.first)
		return -EINVAL;
	hdr(t)->settings = *s;
	return 0;
}

void port_table_get_settings(const struct port_table *t, struct port_settings *ret)
{
	*ret = hdr(t)->settings;
}

int port_table_reserve(struct port_table *t, struct port_range r, bool reserved)
{
	struct header *h = hdr(t);
	struct port_range left[2 * N_RESERVED + 1];
	uint32_t n = 0, had = h->n_reserved < N_RESERVED ? h->n_reserved : N_RESERVED;

	if (r.first == 0 || r.first > r.last)
		return -EINVAL;
	/* What the others are without r, and with it one more. */
	for (uint32_t i = 0; i < had; i++) {
		struct port_range o = h->reserved[i];

		if (o.first < r.first && o.first <= o.last)
			left[n++] = (struct port_range){o.first, o.last < r.first ? o.last : (uint16_t)(r.first - 1)};
		if (o.last > r.last && o.first <= o.last)
			left[n++] = (struct port_range){o.first > r.last ? o.first : (uint16_t)(r.last + 1), o.last};
	}
	for (uint32_t i = 0; reserved && i < n; i++) /* those that touch it become part of it */
		if ((uint32_t)left[i].last + 1 == r.first || (uint32_t)r.last + 1 == left[i].first) {
			r.first = left[i].first < r.first ? left[i].first : r.first;
			r.last = left[i].last > r.last ? left[i].last : r.last;
			left[i--] = left[--n];
		}
	if (reserved)
		left[n++] = r;
	if (n > N_RESERVED)
		return -ENOSPC;
	memcpy(h->reserved, left, n * sizeof(left[0]));
	h->n_reserved = n;
	return 0;
}

bool table_is_reserved(const struct port_table *t, uint16_t port)
{
	const struct header *h = hdr(t);

	for (uint32_t i = 0; i < h->n_reserved && i < N_RESERVED; i++)
		if (port >= h->reserved[i].first && port <= h->reserved[i].last)
			return true;
	return false;
}

uint64_t table_reserved_word(const struct port_table *t, uint32_t w)
{
	const struct header *h = hdr(t);
	uint32_t low = w * 64, high = w * 64 + 63;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < h->n_reserved && i < N_RESERVED; i++) {
		struct port_range r = h->reserved[i];
		uint32_t a = r.first > low ? r.first - low : 0, z = r.last < high ? r.last - low : 63;

		if (r.first <= high && r.last >= low && r.first <= r.last)
			bits |= UINT64_MAX << a & UINT64_MAX >> (63 - z);
	}
	return bits;
}

int port_table_add_local(struct port_table *t, const struct port_addr *net, unsigned prefix_bits)
{
	struct header *h = hdr(t);
	uint32_t n = *(volatile uint32_t *)&h->n_locals;

	if (prefix_bits > 128 || n > N_LOCALS)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++)
		if (port_addr_equal(&h->locals[i].net, net) && h->locals[i].prefix_bits == prefix_bits)
			return -EEXIST;
	if (n == N_LOCALS)
		return -ENOSPC;
	h->locals[n] = (struct local_net){*net, prefix_bits};
	h->n_locals = n + 1;
	return 0;
}

bool port_table_is_local(const struct port_table *t, const struct port_addr *a)
{
	const struct header *h = hdr(t);
	struct port_addr unscoped = *a;

	unscoped.scope = 0;
	for (uint32_t i = 0; i < h->n_locals && i < N_LOCALS; i++)
		if (h->locals[i].prefix_bits <= 128 &&
		    port_addr_in(&unscoped, &h->locals[i].net, h->locals[i].prefix_bits))
			return true;
	return false;
}

/* --- bind --- */
/* As the kernel sees the socket when it looks for conflicts: one bound to a specific IPv6 address is
 * IPv6-only whatever it was told. */
static struct port_want normal(const struct port_want *w)
{
	struct port_want n = *w;

	if (n.family == PORT_FAMILY_6 && !port_addr_is4(&n.addr) && !port_addr_is_any(&n.addr))
		n.flags |= PORT_V6ONLY;
	if (n.family == PORT_FAMILY_4)
		n.flags &= (uint16_t)~PORT_V6ONLY;
	return n;
}

/* C3, 4: calls that make no sense. */
static bool argument_ok(const struct port_want *w)
{
	bool is4 = port_addr_is4(&w->addr);

	if (w->proto >= PORT_NPROTOS || (w->family != PORT_FAMILY_4 && w->family != PORT_FAMILY_6))
		return false;
	if (w->family == PORT_FAMILY_4)
		return is4;
	if (is4)
		return !(w->flags & PORT_V6ONLY);
	if (port_addr_is_multicast(&w->addr) && w->proto == PORT_TCP)
		return false;
	return !port_addr_is_linklocal6(&w->addr) || w->addr.scope != 0 || w->dev != 0;
}

static bool is_broadcast4(const struct port_addr *a)
{
	static const uint8_t ones[4] = {255, 255, 255, 255};

	return port_addr_is4(a) && memcmp(a->b + 12, ones, 4) == 0;
}

/* C3, 5. Linux lets v4 sockets bind to multicast and broadcast addresses, TCP too. */
static bool address_ok(const struct port_table *t, const struct port_want *w)
{
	return (w->flags & PORT_FREEBIND) || port_addr_is_any(&w->addr) || port_addr_is_multicast(&w->addr) ||
	       is_broadcast4(&w->addr) || port_table_is_local(t, &w->addr);
}

static int check_want(const struct port_table *t, const struct port_want *w, struct port_refusal *reterr)
{
	if (!argument_ok(w))
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, NIL);
	if (!address_ok(t, w))
		return refuse(t, reterr, -EADDRNOTAVAIL, PORT_RULE_NOT_LOCAL, NIL);
	if (w->port != 0 && w->port < hdr(t)->settings.unprivileged_start && !(w->flags & PORT_PRIVILEGED))
		return refuse(t, reterr, -EACCES, PORT_RULE_PRIVILEGED, NIL);
	return 0;
}

static struct port_claim claim_from(const struct port_want *w, enum claim_state state, uint64_t now_us)
{
	return (struct port_claim){
		.addr = w->addr,
		.port = w->port,
		.proto = (uint8_t)w->proto,
		.family = (uint8_t)w->family,
		.state = (uint8_t)state,
		.flags = w->flags & (PORT_REUSEADDR | PORT_REUSEPORT | PORT_V6ONLY | PORT_AUTOBOUND | PORT_PUMPED |
				     PORT_CHOSEN | PORT_COLLAPSED),
		.uid = w->uid,
		.dev = w->dev,
		.since_us = now_us,
		.expires_us = NEVER_US,
		.user = w->user,
		.owner = w->owner,
	};
}

/* A new claim into the table; TCP ports remember who came (D3). */
static int admit(struct port_table *t, const struct port_claim *c, const struct port_want *bound, struct port_ref *ret)
{
	uint32_t i, ib;
	bool first = bound != NULL && index_bucket(t, c->proto, c->port, &ib) == -ENOENT;
	int r = index_claim_new(t, c, &i);

	if (r < 0)
		return r;
	r = index_insert(t, i, c);
	if (r == -ENOBUFS)
		index_claim_free(t, i);
	if (r < 0)
		return r;
	if (bound != NULL && c->proto == PORT_TCP) {
		if (index_bucket(t, c->proto, c->port, &ib) < 0)
			return -EUCLEAN;
		rules_frp_update(bucket_at(t, ib), bound, first);
	}
	*ret = (struct port_ref){i, slot_at(t, i)->generation};
	TRACE(claim_state, c->port, CLAIM_FREE, c->state, i);
	return 0;
}

static int refuse_full(const struct port_table *t, struct port_refusal *reterr, int r)
{
	if (r == -ENOBUFS)
		return refuse(t, reterr, r, PORT_RULE_TABLE_FULL, NIL);
	return refuse(t, reterr, r, PORT_RULE_NONE, NIL);
}

/* bind() and listen() without bind(): the port asked for, or one chosen. */
static int claim_port(struct port_table *t, struct port_want *w, enum claim_state state, uint64_t now_us,
		      struct port_ref *ret, struct port_refusal *reterr)
{
	enum port_rule rule;
	uint32_t hold;
	int r;

	if (w->port == 0) {
		r = choose_port(t, w, &w->addr, NULL, 0, 0, &w->port);
		if (r == -EADDRINUSE)
			return refuse(t, reterr, r, PORT_RULE_RANGE_FULL, NIL);
		/* connect(AF_UNSPEC) gives it back, as Linux does */
		w->flags |= w->proto == PORT_UDP ? PORT_AUTOBOUND : PORT_CHOSEN;
	} else {
		r = conflict_find(t, w, NIL, false, &hold, &rule);
		if (r == -EADDRINUSE)
			return refuse_hold(t, reterr, rule, hold);
	}
	if (r == 0) {
		struct port_claim c = claim_from(w, state, now_us);

		r = admit(t, &c, w, ret);
	}
	return r < 0 ? refuse_full(t, reterr, r) : 0;
}

int port_table_bind(struct port_table *t, struct port_ref have, const struct port_want *want, uint64_t now_us,
		    struct port_ref *ret_ref, struct port_refusal *reterr)
{
	struct port_want w = normal(want);
	uint32_t i;
	int r = check_want(t, want, reterr);

	if (r < 0)
		return r;
	if (index_slot_of(t, have, &i) == 0)
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, i);
	w.flags &= (uint16_t) ~(PORT_AUTOBOUND | PORT_CHOSEN | PORT_COLLAPSED);
	return claim_port(t, &w, CLAIM_HELD, now_us, ret_ref, reterr);
}

int port_table_put(struct port_table *t, const struct port_claim *c, struct port_ref *ret_ref)
{
	return index_claim_sane(c) ? admit(t, c, NULL, ret_ref) : -EINVAL;
}

int port_table_probe(struct port_table *t, const struct port_want *want, bool listen, struct port_refusal *reterr)
{
	struct port_want w = normal(want);
	enum port_rule rule;
	uint32_t hold;
	int r = check_want(t, want, reterr);

	/* listen() asks what bind() asked, of the same neighbours: SO_REUSEADDR excused only those that
	 * do not listen then, too (R5). Nothing can differ between the two. */
	if (listen && w.proto == PORT_UDP)
		return refuse(t, reterr, -EOPNOTSUPP, PORT_RULE_ARGUMENT, NIL);
	if (r < 0)
		return r;
	if (w.port == 0) {
		r = choose_port(t, &w, &w.addr, NULL, 0, 0, &w.port);
		return r == -EADDRINUSE ? refuse(t, reterr, r, PORT_RULE_RANGE_FULL, NIL) : r;
	}
	r = conflict_find(t, &w, NIL, false, &hold, &rule);
	return r == -EADDRINUSE ? refuse_hold(t, reterr, rule, hold) : r;
}

/* --- listen --- */
static struct port_want want_of(const struct port_claim *c)
{
	return (struct port_want){
		.proto = (enum port_proto)c->proto,
		.family = (enum port_family)c->family,
		.addr = c->addr,
		.port = c->port,
		.flags = c->flags,
		.uid = c->uid,
		.dev = c->dev,
		.user = c->user,
		.owner = c->owner,
	};
}

static int listen_bound(struct port_table *t, uint32_t i, struct port_refusal *reterr)
{
	struct port_claim c = index_claim(t, i);
	struct port_want w = want_of(&c);
	enum port_rule rule;
	uint32_t hold, ib;
	int r;

	if (c.state == CLAIM_LISTENING)
		return 0;
	if (c.proto == PORT_UDP)
		return refuse(t, reterr, -EOPNOTSUPP, PORT_RULE_ARGUMENT, i);
	if (c.state != CLAIM_HELD)
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, i);
	r = conflict_find(t, &w, i, false, &hold, &rule);
	if (r == -EADDRINUSE)
		return refuse_hold(t, reterr, rule, hold);
	if (r < 0 || index_bucket(t, w.proto, w.port, &ib) < 0)
		return refuse(t, reterr, -EUCLEAN, PORT_RULE_NONE, NIL);
	c.state = CLAIM_LISTENING;
	r = index_room(t, i, &c);
	if (r < 0)
		return refuse_full(t, reterr, r);
	rules_frp_update(bucket_at(t, ib), &w, false);
	r = set_state(t, i, &c);
	return r < 0 ? refuse(t, reterr, r, PORT_RULE_NONE, NIL) : 0;
}

int port_table_listen(struct port_table *t, struct port_ref *ref, const struct port_want *want, uint64_t now_us,
		      struct port_refusal *reterr)
{
	struct port_want w;
	uint32_t i;

	if (ref->generation != 0) {
		int r = index_slot_of(t, *ref, &i);

		return r < 0 ? refuse(t, reterr, r, PORT_RULE_ARGUMENT, NIL) : listen_bound(t, i, reterr);
	}
	w = normal(want);
	if (w.proto == PORT_UDP)
		return refuse(t, reterr, -EOPNOTSUPP, PORT_RULE_ARGUMENT, NIL);
	if (!argument_ok(&w))
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, NIL);
	w.port = 0;
	w.flags &= (uint16_t) ~(PORT_AUTOBOUND | PORT_CHOSEN | PORT_COLLAPSED);
	return claim_port(t, &w, CLAIM_LISTENING, now_us, ref, reterr);
}

int port_table_unlisten(struct port_table *t, struct port_ref ref)
{
	struct port_claim c;
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r < 0)
		return r;
	c = index_claim(t, i);
	if (c.state != CLAIM_LISTENING)
		return 0;
	c.state = CLAIM_HELD;
	c.flags &= (uint16_t)~PORT_LISTEN_READY;
	return set_state(t, i, &c);
}

/* --- flows --- */
/* A four-tuple in TIME-WAIT may begin again (RFC 9293, MAY-2; RFC 6191): Linux lets it for a port that
 * was bound by hand, and for a listener's child. Whether the segment that asks is new enough is the
 * stack's to judge, before. */
static int tuple_free(struct port_table *t, uint32_t own, const struct port_claim *c, struct port_refusal *reterr)
{
	uint32_t i;
	int r;

	if (c->proto == PORT_UDP)
		return 0; /* two UDP sockets that share a port may share a peer, too */
	r = index_find_flow(t, c->proto, &c->addr, c->port, &c->peer, c->peer_port, &i);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && slot_at(t, i)->state != CLAIM_LINGER)
		return refuse(t, reterr, -EADDRNOTAVAIL, PORT_RULE_TUPLE, i);
	/* It does not end for one that then finds no place. Its own may be the one. */
	if (r == 0 && index_room(t, own, c) < 0)
		r = index_room(t, i, c);
	if (r == 0)
		r = port_table_release(t, (struct port_ref){i, slot_at(t, i)->generation});
	return r < 0 ? refuse_full(t, reterr, r) : 0;
}

/* A TCP socket of IPv6's that was bound to ::ffff:0.0.0.0: to Linux that was an address, so when connect()
 * comes to nothing it does not take away again what connect() put in its place. */
static bool keeps_what_it_tried(const struct port_claim *c)
{
	return c->proto == PORT_TCP && c->family == PORT_FAMILY_6 && port_addr_is4(&c->addr) &&
	       port_addr_is_any(&c->addr);
}

static int keep_tried(struct port_table *t, uint32_t i, const struct port_addr *local)
{
	struct port_claim c = index_claim(t, i);

	c.addr = *local;
	return index_change(t, i, &c);
}

static int connect_bound(struct port_table *t, uint32_t i, const struct port_addr *local, const struct port_addr *peer,
			 uint16_t peer_port, struct port_refusal *reterr)
{
	struct port_claim c = index_claim(t, i);
	bool keeps = keeps_what_it_tried(&c);
	int r;

	if (c.proto == PORT_TCP && c.state != CLAIM_HELD)
		return refuse(t, reterr, -EISCONN, PORT_RULE_ARGUMENT, i);
	if (port_addr_is_any(&c.addr)) { /* R2: the wildcard becomes the address in use */
		c.addr = *local;
		c.flags |= c.proto == PORT_TCP && !keeps ? PORT_COLLAPSED : 0;
	}
	if (port_addr_is4(&c.addr) != port_addr_is4(peer))
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, NIL);
	c.peer = *peer;
	c.peer_port = peer_port;
	c.state = CLAIM_CONNECTED;
	r = tuple_free(t, i, &c, reterr);
	if (r == -EADDRNOTAVAIL && keeps) {
		int moved = keep_tried(t, i, local);

		return moved < 0 ? refuse_full(t, reterr, moved) : r;
	}
	if (r < 0)
		return r;
	r = set_state(t, i, &c);
	return r < 0 ? refuse_full(t, reterr, r) : 0;
}

static int connect_unbound(struct port_table *t, struct port_ref *ref, const struct port_want *want,
			   const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port,
			   uint64_t now_us, struct port_refusal *reterr)
{
	struct port_want w = normal(want);
	struct port_addr from = port_addr_is_any(&w.addr) ? *local : w.addr;
	bool udp = w.proto == PORT_UDP;
	struct port_claim c;
	int r;

	if (w.port != 0 || !argument_ok(&w) || port_addr_is4(&from) != port_addr_is4(peer))
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, NIL);
	/* A UDP port chosen late is still one nobody else has: its wildcard counts, not the peer. */
	r = choose_port(t, &w, udp ? &w.addr : &from, udp ? NULL : peer, peer_port, now_us, &w.port);
	if (r == -EADDRINUSE)
		return refuse(t, reterr, udp ? -EAGAIN : -EADDRNOTAVAIL, PORT_RULE_RANGE_FULL, NIL);
	if (r < 0)
		return refuse_full(t, reterr, r);
	w.flags |= PORT_AUTOBOUND;
	if (!udp && port_addr_is_any(&w.addr))
		w.flags |= PORT_COLLAPSED;
	c = claim_from(&w, CLAIM_CONNECTED, now_us);
	c.addr = from;
	c.peer = *peer;
	c.peer_port = peer_port;
	r = admit(t, &c, NULL, ref);
	return r < 0 ? refuse_full(t, reterr, r) : 0;
}

int port_table_connect(struct port_table *t, struct port_ref *ref, const struct port_want *want,
		       const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port, uint64_t now_us,
		       struct port_refusal *reterr)
{
	uint32_t i;
	int r;

	if (port_addr_is_any(local))
		return refuse(t, reterr, -EINVAL, PORT_RULE_ARGUMENT, NIL);
	if (peer_port == 0 && want->proto == PORT_TCP)
		return refuse(t, reterr, -ECONNREFUSED, PORT_RULE_ARGUMENT, NIL);
	if (ref->generation == 0)
		return connect_unbound(t, ref, want, local, peer, peer_port, now_us, reterr);
	r = index_slot_of(t, *ref, &i);
	return r < 0 ? refuse(t, reterr, r, PORT_RULE_ARGUMENT, NIL)
		     : connect_bound(t, i, local, peer, peer_port, reterr);
}

int port_table_disconnect(struct port_table *t, struct port_ref ref, const struct port_addr *bound)
{
	struct port_claim c;
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r < 0)
		return r;
	c = index_claim(t, i);
	if (c.flags & PORT_AUTOBOUND)
		return port_table_release(t, ref);
	if (c.state != CLAIM_CONNECTED)
		return 0;
	c.state = CLAIM_HELD;
	c.addr = *bound;
	c.peer = (struct port_addr){0};
	c.peer_port = 0;
	return set_state(t, i, &c);
}

int port_table_undo(struct port_table *t, struct port_ref ref, bool keep, const struct port_owner *o, uint64_t user)
{
	struct port_claim c;
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r < 0)
		return r;
	c = index_claim(t, i);
	if (!keep && c.flags & (PORT_AUTOBOUND | PORT_CHOSEN)) {
		r = port_table_release(t, ref);
		return r < 0 ? r : 1;
	}
	if (c.state != CLAIM_HELD) {
		if (c.flags & PORT_COLLAPSED)
			c.addr = c.family == PORT_FAMILY_6 ? PORT_ADDR_ANY6 : PORT_ADDR_ANY4;
		c.state = CLAIM_HELD;
		c.flags &= (uint16_t) ~(PORT_COLLAPSED | PORT_LISTEN_READY | PORT_RESETS | PORT_PEER_RESETS);
		c.peer = (struct port_addr){0};
		c.peer_port = 0;
		r = set_state(t, i, &c);
	}
	if (r == 0) {
		index_set_owner(t, i, o);
		slot_at(t, i)->user = user;
	}
	return r;
}

int port_table_accept(struct port_table *t, struct port_ref listener, const struct port_addr *local,
		      const struct port_addr *peer, uint16_t peer_port, const struct port_owner *owner, uint64_t now_us,
		      struct port_ref *ret_ref)
{
	struct port_claim c;
	uint32_t i;
	int r = index_slot_of(t, listener, &i);

	if (r < 0)
		return r;
	c = index_claim(t, i);
	if (c.state != CLAIM_LISTENING || peer_port == 0 || port_addr_is4(local) != port_addr_is4(peer) ||
	    port_addr_is_any(local))
		return -EINVAL;
	c.addr = *local;
	c.peer = *peer;
	c.peer_port = peer_port;
	c.state = CLAIM_ACCEPTED;
	c.flags &= (uint16_t) ~(PORT_LISTEN_READY | PORT_CHOSEN);
	c.user = 0; /* the caller's word spoke of the listener */
	c.owner = *owner;
	c.since_us = now_us;
	r = tuple_free(t, NIL, &c, NULL);
	return r < 0 ? r : admit(t, &c, NULL, ret_ref);
}

int port_table_linger(struct port_table *t, struct port_ref ref, uint64_t expires_us)
{
	struct port_claim c;
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r < 0)
		return r;
	c = index_claim(t, i);
	c.state = CLAIM_LINGER;
	c.expires_us = expires_us;
	c.user = 0;
	c.owner = (struct port_owner){0};
	return set_state(t, i, &c);
}

uint32_t port_table_expire(struct port_table *t, uint64_t now_us, uint32_t budget)
{
	uint32_t n = 0;

	for (; n < budget; n++) {
		uint32_t i = hdr(t)->linger_first;
		const struct slot *s = slot_at(t, i);

		if (s == NULL || index_claim(t, i).expires_us > now_us ||
		    port_table_release(t, (struct port_ref){i, s->generation}) < 0)
			break;
	}
	return n;
}

int port_table_release(struct port_table *t, struct port_ref ref)
{
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r == 0)
		r = index_remove(t, i);
	TRACE(port_release, ref.slot, ref.generation, (uint64_t)-r);
	if (r == 0)
		index_claim_free(t, i);
	return r;
}

/* --- small changes and questions --- */
int port_table_set_flags(struct port_table *t, struct port_ref ref, uint16_t mask, uint16_t flags)
{
	const uint16_t shown = PORT_LISTEN_READY | PORT_PUMPED | PORT_RESETS | PORT_PEER_RESETS,
		       ruled = PORT_REUSEADDR | PORT_REUSEPORT;
	struct port_claim c;
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r < 0)
		return r;
	if (mask & ~(shown | ruled))
		return -EINVAL;
	c = index_claim(t, i);
	c.flags = (uint16_t)((c.flags & ~mask) | (flags & mask));
	if (((c.flags ^ slot_at(t, i)->flags) & ruled) == 0) {
		slot_at(t, i)->flags = c.flags;
		return 0;
	}
	return index_change(t, i, &c);
}

int port_table_set_owner(struct port_table *t, struct port_ref ref, const struct port_owner *o)
{
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r == 0)
		index_set_owner(t, i, o);
	return r;
}

int port_table_set_user(struct port_table *t, struct port_ref ref, uint64_t user)
{
	uint32_t i;
	int r = index_slot_of(t, ref, &i);

	if (r == 0)
		slot_at(t, i)->user = user;
	return r;
}

/* --- a free port near the one that was wanted --- */
static bool nice_port(const struct port_table *t, const struct port_want *w, uint16_t port, bool ephemeral_too)
{
	const struct port_settings *s = &hdr(t)->settings;
	struct port_want at = *w;
	enum port_rule rule;
	uint32_t hold;

	at.port = port;
	if (table_is_reserved(t, port) || (port < s->unprivileged_start && !(w->flags & PORT_PRIVILEGED)) ||
	    (!ephemeral_too && port >= s->range.first && port <= s->range.last))
		return false;
	return conflict_find(t, &at, NIL, true, &hold, &rule) == 0;
}

int port_table_nearest_free(struct port_table *t, const struct port_want *want, uint16_t *ret_port)
{
	struct port_want w = normal(want);

	for (int ephemeral_too = 0; ephemeral_too < 2; ephemeral_too++) {
		for (uint32_t p = (uint32_t)w.port + 1; p <= UINT16_MAX; p++) {
			if (nice_port(t, &w, (uint16_t)p, ephemeral_too)) {
				*ret_port = (uint16_t)p;
				return 0;
			}
		}
		for (uint32_t p = w.port; p-- > 1;) {
			if (nice_port(t, &w, (uint16_t)p, ephemeral_too)) {
				*ret_port = (uint16_t)p;
				return 0;
			}
		}
	}
	return -EADDRINUSE;
}
