/* src/port/demux.c: what arrives, to the right claim.
 *
 * Flows are one hashed look-up. Listeners are looked up by place: the exact address, then the
 * wildcard of the packet's family, then (IPv4) the dual-stack wildcard; each look-up is one hash
 * chain, however many listeners the host has. The chains are keyed, so a stranger cannot lengthen one.
 *
 * A reuse group is decided by rendezvous: each member draws a number from the flow's hash and its own
 * identity, and the highest wins. A member that joins takes only the flows it wins; one that leaves
 * gives up only its own.
 */
#include <errno.h>

#include "port/demux.h"
#include "port/internal.h"

int port_demux_flow(const struct port_table *t, const struct port_tuple *tuple, struct port_ref *ret)
{
	uint32_t i;
	int r = index_find_flow(t, tuple->proto, &tuple->local, tuple->local_port, &tuple->remote, tuple->remote_port,
				&i);

	if (r < 0)
		return r;
	if (slot_at(t, i)->state == CLAIM_LINGER && tuple->proto == PORT_UDP)
		return -ENOENT;
	*ret = (struct port_ref){i, slot_at(t, i)->generation};
	return 0;
}

/* Three passes over the batch: where each chain begins, its first slot, then comparing. Each asks for what the next one reads. */
unsigned port_demux_batch(const struct port_table *t, const struct port_tuple *v, unsigned n, struct port_ref *ret,
			  uint64_t *ret_users)
{
	const uint32_t *head[PORT_DEMUX_BATCH];
	uint32_t at[PORT_DEMUX_BATCH];
	unsigned longest = 0;

	ASSERT(n <= PORT_DEMUX_BATCH);
	for (unsigned i = 0; i < n; i++) {
		head[i] = index_flow_head(t, v[i].proto, &v[i].local, v[i].local_port, &v[i].remote, v[i].remote_port);
		__builtin_prefetch(head[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct slot *s = slot_at(t, at[i] = *head[i]);

		if (s != NULL) {
			__builtin_prefetch(s);
			__builtin_prefetch((const uint8_t *)s + sizeof(*s) -
					   1); /* a table may lie at any multiple of 8 */
		}
	}
	for (unsigned i = 0; i < n; i++) {
		const struct slot *s;
		uint32_t steps = 0;

		ret[i] = PORT_REF_NONE;
		while ((s = slot_at(t, at[i])) != NULL && ++steps <= t->n_max) {
			if (index_is_flow(s, v[i].proto, &v[i].local, v[i].local_port, &v[i].remote,
					  v[i].remote_port)) {
				if (s->state != CLAIM_LINGER || v[i].proto != PORT_UDP) {
					ret[i] = (struct port_ref){at[i], s->generation};
					ret_users[i] = s->user;
				}
				break;
			}
			at[i] = s->f_next;
		}
		longest = steps > longest ? steps : longest;
	}
	return longest;
}

/* May this hold receive what arrives on dev for the tuple's destination? */
static bool receives(const struct hold *h, enum port_proto proto, uint32_t dev, bool is4)
{
	struct parts p = rules_parts(h->family, &h->addr, h->flags);

	if (proto == PORT_TCP ? h->kind != KIND_LISTEN : h->kind != KIND_PLAIN || h->connected)
		return false;
	if (h->dev != 0 && h->dev != dev)
		return false;
	return is4 ? p.has4 : p.has6;
}

static int score(const struct hold *h, bool is4)
{
	return (h->dev != 0 ? 2 : 0) + ((h->family == PORT_FAMILY_4) == is4 ? 1 : 0);
}

struct winner {
	uint32_t hold, slot;
	int score;
	uint64_t weight;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

/* The heaviest member of hold h, for this flow. */
static int heaviest(const struct port_table *t, const struct hold *h, uint64_t hash, struct winner *win)
{
	uint32_t i = h->first, steps = 0;

	for (const struct member *m; i != NIL; i = m->m_next) {
		uint64_t weight;

		m = member_at(t, i);
		if (m == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		weight = mix(hash ^ mix((uint64_t)i << 32 | slot_at(t, i)->generation));
		if (win->slot == NIL || weight > win->weight) {
			win->slot = i;
			win->weight = weight;
		}
	}
	return 0;
}

/* Best hold at this place; UDP without a group: the newest. */
static int best_at(const struct port_table *t, const struct port_tuple *tuple, const struct port_addr *at, uint32_t dev,
		   struct winner *win)
{
	bool is4 = port_addr_is4(&tuple->local);
	uint32_t i = index_lookup_head(t, tuple->proto, tuple->local_port, at), steps = 0;

	for (const struct hold *h; i != NIL; i = h->l_next) {
		h = hold_at(t, i);
		if (h == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (!index_same_place(h, tuple->proto, tuple->local_port, at) || !receives(h, tuple->proto, dev, is4))
			continue;
		int s = score(h, is4);

		if (win->hold == NIL || s > win->score ||
		    (s == win->score && h->order > hold_at(t, win->hold)->order)) {
			win->hold = i;
			win->score = s;
		}
	}
	return 0;
}

static uint64_t tuple_hash(const struct port_table *t, const struct port_tuple *tuple)
{
	uint8_t k[38];

	for (int i = 0; i < 16; i++) {
		k[i] = tuple->local.b[i];
		k[16 + i] = tuple->remote.b[i];
	}
	k[32] = (uint8_t)tuple->local_port;
	k[33] = (uint8_t)(tuple->local_port >> 8);
	k[34] = (uint8_t)tuple->remote_port;
	k[35] = (uint8_t)(tuple->remote_port >> 8);
	k[36] = (uint8_t)tuple->proto;
	k[37] = 0x9e;
	return siphash13(&hdr(t)->key_hash, k, sizeof(k));
}

/* The group of the hold that won: everybody at its place with SO_REUSEPORT of that user, whatever
 * else they set. */
static int pick_in_group(const struct port_table *t, const struct port_tuple *tuple, uint32_t dev, struct winner *win)
{
	const struct hold *lead = hold_at(t, win->hold);
	bool is4 = port_addr_is4(&tuple->local);
	uint32_t i = index_lookup_head(t, tuple->proto, tuple->local_port, &lead->addr), steps = 0;
	uint64_t hash = tuple_hash(t, tuple);

	for (const struct hold *h; i != NIL; i = h->l_next) {
		h = hold_at(t, i);
		if (h == NULL || ++steps > t->n_max)
			return -EUCLEAN;
		if (!index_same_place(h, tuple->proto, tuple->local_port, &lead->addr) ||
		    !(h->flags & PORT_REUSEPORT) || h->uid != lead->uid || !receives(h, tuple->proto, dev, is4) ||
		    score(h, is4) != win->score)
			continue;
		int r = heaviest(t, h, hash, win);

		if (r < 0)
			return r;
	}
	return 0;
}

int port_demux_listener(const struct port_table *t, const struct port_tuple *tuple, uint32_t dev, struct port_ref *ret)
{
	static const struct port_addr any4 = {.b = {[10] = 0xff, [11] = 0xff}}, any6;
	struct winner win = {.hold = NIL, .slot = NIL};
	int r;

	if (tuple->proto >= PORT_NPROTOS || tuple->local_port == 0)
		return -ENOENT; /* port 0 is never reached */
	r = best_at(t, tuple, &tuple->local, dev, &win);
	if (r == 0 && win.hold == NIL) {
		/* Both wildcards stand in one line for IPv4: the packet's own family scores higher. */
		if (port_addr_is4(&tuple->local))
			r = best_at(t, tuple, &any4, dev, &win);
		if (r == 0)
			r = best_at(t, tuple, &any6, dev, &win);
	}
	if (r < 0)
		return r;
	if (win.hold == NIL)
		return -ENOENT;
	if (hold_at(t, win.hold)->flags & PORT_REUSEPORT)
		r = pick_in_group(t, tuple, dev, &win);
	else
		win.slot = hold_at(t, win.hold)->first;
	if (r < 0 || slot_at(t, win.slot) == NULL)
		return -EUCLEAN;
	*ret = (struct port_ref){win.slot, slot_at(t, win.slot)->generation};
	return 0;
}

int port_demux(const struct port_table *t, const struct port_tuple *tuple, uint32_t dev, struct port_ref *ret)
{
	int r = port_demux_flow(t, tuple, ret);

	return r == -ENOENT ? port_demux_listener(t, tuple, dev, ret) : r;
}
