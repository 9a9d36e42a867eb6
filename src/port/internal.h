/* src/port/internal.h: the shape of a port table in memory. Only the heart's own files include it.
 *
 *     header | slots | members | lives | holds | buckets | groups | pages | maps | four arrays of hash heads
 *
 *     buckets[hash(proto, port)] -> bucket -> hold -> hold            what bind asks (rules.c)
 *                                               |
 *                                             slot <-> slot <-> ...   the claims of one kind
 *     lookup[hash(proto, port, address)] -> hold                      what demux asks (demux.c)
 *     flows[hash(four-tuple)] -> slot                                 what connect and demux ask
 *     groups[hash(destination | local address)] -> group -> page      what choosing asks (choose.c)
 *
 * A *hold* stands for all TCP claims of one port that the bind rules cannot tell apart (same address,
 * flags, user, device, listening or not), so a listener with a million children costs bind one
 * comparison. UDP claims never share a hold: for them the order of binding decides (D3).
 *
 * A claim is three records of one index: a *slot*, what a packet's look-up reads, one cache line; a *member*, its place among
 * others; and a *life*, whose it is and how long, which a lean table does not have.
 *
 * A *group* counts the ports in use towards one destination, or bound on one local address. From GROUP_PAGE_MIN members on it
 * has a page, a bitmap of its ports. A group and its page are a help and never a need: a bit that is set is true, and what is not
 * set is asked of the hashes (choose.c), so there may be fewer of both than could be used. Flows whose port bind() or listen()
 * holds are in none: no port of MAP_BOUND is ever chosen.
 *
 * There are as many holds as the table has places, and buckets, groups and pages by their number. Every bucket in use has a
 * hold, so what runs out is slots and holds alone; index_room() says so before anything has changed.
 *
 * Everything is an index into a section, NIL for none. Indices come from memory that others can
 * write, at this very moment perhaps: every one passes through an accessor that returns NULL when it
 * is out of range, the pointer is tested and then used (the index is not read again), numbers that
 * become array subscripts are read once into a local, and every walk is counted. What does not add up
 * is -EUCLEAN.
 */
#ifndef BERTH_PORT_INTERNAL_H
#define BERTH_PORT_INTERNAL_H

#include "base/siphash.h"
#include "port/table.h"

#define NIL UINT32_MAX
#define PORT_WORDS 1024u    /* 65,536 bits */
#define GROUP_PAGE_MIN 64u  /* a group gets a page at this many members */
#define GROUP_PAGE_DROP 32u /* and gives it back below this many */
#define N_PERTURB 256u
#define N_LOCALS 18u
#define N_RESERVED 32u
#define MAPS_PLACES_MIN 256u /* a table of fewer has no maps and no pages: its ports are asked for one by one */
#define PLACES_PER_PAGE 256u
#define N_BUCKETS_MAX (2u << 16)		 /* a port of each protocol has one */
#define TABLE_MAGIC UINT64_C(0x32656c6261747062) /* "bptable2" */

enum section {
	SEC_HEADER,
	SEC_SLOTS,
	SEC_MEMBERS,
	SEC_LIVES,
	SEC_HOLDS,
	SEC_BUCKETS,
	SEC_GROUPS,
	SEC_PAGES,
	SEC_MAPS,
	SEC_H_BUCKET,
	SEC_H_FLOW,
	SEC_H_GROUP,
	SEC_H_LOOKUP
};

/* Ports by what holds them, one bitmap each. The bitmaps are 80 KiB, most of a table for a few places: below
 * MAPS_PLACES_MIN they are left out, and a port's bucket says the same. */
enum port_map {
	MAP_ANY4,  /* some claim has a v4 part */
	MAP_ANY6,  /* some claim has a v6 part */
	MAP_WILD4, /* some claim's v4 part is the wildcard */
	MAP_WILD6,
	MAP_BOUND, /* some claim was bound by bind() or listen(), not chosen by connect() */
};
#define N_MAPS 5

enum hold_kind { KIND_PLAIN, KIND_LISTEN, KIND_LINGER };
enum group_kind { GROUP_DEST, GROUP_LOCAL };
enum frp { FRP_NONE, FRP_ANY, FRP_STRICT }; /* a TCP port's fastreuseport (D3) */

struct slot {
	struct port_addr addr, peer;
	uint16_t port, peer_port;
	uint8_t proto;
	uint8_t state : 4, family : 4;
	uint16_t flags;
	uint64_t user;
	uint32_t generation; /* never 0 */
	uint32_t f_next;     /* flow hash chain; free list */
};
static_assert(sizeof(struct slot) == 64, "a look-up reads one cache line of each slot");

struct member {
	uint32_t hold;
	uint32_t m_next, m_prev; /* the hold's members, newest first */
	uint32_t group;		 /* destination group; NIL when it needs none, or none was left */
	uint32_t uid, dev;
};
/* What each accepted connection of a stack costs, beside its hash head (docs/stack.md). */
static_assert(sizeof(struct slot) + sizeof(struct member) == 88, "the lean form of a claim");

struct life {
	struct port_owner owner;
	uint64_t since_us, expires_us;
	uint32_t t_next, t_prev; /* lingering claims, the first to end first */
};

struct hold {
	struct port_addr addr;
	uint32_t uid, dev;
	uint16_t flags; /* REUSEADDR REUSEPORT V6ONLY AUTOBOUND */
	uint8_t proto, family, kind;
	uint8_t used, connected, pad; /* connected: the address is one a wildcard collapsed to, or a peer is set (R2) */
	uint16_t port, pad2;
	uint32_t bucket;
	uint32_t b_next, b_prev; /* the bucket's holds; free list by b_next */
	uint32_t l_next;	 /* lookup hash chain */
	uint32_t first;		 /* its members */
	uint32_t n;
	uint32_t group; /* local group; NIL for wildcards, or when none was left */
	int64_t order;	/* UDP: the higher is met first */
};

struct bucket {
	uint32_t h_next; /* hash chain; free list */
	uint32_t first;
	uint32_t n_holds;
	uint32_t n_map[N_MAPS]; /* holds that set the bit in each map */
	uint16_t port;
	uint8_t proto, used;
	/* D3: the TCP port's memory of a socket that let others with SO_REUSEPORT in unasked */
	uint8_t frp, fast_family, fast_v6only, pad;
	uint32_t fast_uid;
	struct port_addr fast_addr;
};

struct group {
	struct port_addr local, peer;
	uint16_t peer_port;
	uint8_t proto, kind, used, pad[3];
	uint32_t h_next; /* hash chain; free list */
	uint32_t n;	 /* members: claims (GROUP_DEST) or holds (GROUP_LOCAL) */
	uint32_t page;
};

struct local_net {
	struct port_addr net;
	uint32_t prefix_bits;
};

struct header {
	uint64_t magic;
	uint64_t len_bytes;
	uint32_t layout; /* tells builds apart whose structures differ */
	uint32_t n_max, n_places;
	uint32_t lean;
	struct siphash_key key_hash, key_dest, key_pick;
	struct port_settings settings;
	uint32_t n_locals;
	struct local_net locals[N_LOCALS];
	uint32_t n_claims, n_dev; /* n_dev: holds bound to a device */
	uint32_t n_groupless;	  /* holds and claims that would be in a group, had one been left */
	uint32_t free_slot, free_hold, free_bucket, free_group, free_page;
	uint32_t linger_first, linger_last;
	int64_t order;
	uint64_t n_picks;
	uint32_t perturb[N_PERTURB]; /* RFC 6056, 3.3.4: the table of the double hash */
	uint32_t n_reserved;
	struct port_range reserved[N_RESERVED];
};

struct page {
	uint64_t w[PORT_WORDS];
};

/* --- accessors: NULL when the index is no index --- */
static inline struct header *hdr(const struct port_table *t)
{
	return (struct header *)(void *)t->base;
}
#define AT(name, type, sec, limit)                                                                \
	static inline struct type *name(const struct port_table *t, uint32_t i)                   \
	{                                                                                         \
		return i < (limit) ? &((struct type *)(void *)(t->base + t->off[sec]))[i] : NULL; \
	}
AT(slot_at, slot, SEC_SLOTS, t->n_max)
AT(member_at, member, SEC_MEMBERS, t->n_max)
AT(life_at, life, SEC_LIVES, t->lean ? 0 : t->n_max) /* NULL in a lean table, whatever the index */
AT(hold_at, hold, SEC_HOLDS, t->n_places)
AT(bucket_at, bucket, SEC_BUCKETS, t->n_buckets)
AT(group_at, group, SEC_GROUPS, t->n_places)
AT(page_at, page, SEC_PAGES, t->n_pages)
#undef AT

/* Ports of a protocol by what holds them; NULL in a small table. */
static inline uint64_t *map_at(const struct port_table *t, uint32_t proto, uint32_t m)
{
	uint64_t *maps = (uint64_t *)(void *)(t->base + t->off[SEC_MAPS]);

	return t->n_places < MAPS_PLACES_MIN ? NULL : maps + ((size_t)(proto & 1) * N_MAPS + m) * PORT_WORDS;
}

static inline uint32_t *heads(const struct port_table *t, enum section sec)
{
	return (uint32_t *)(void *)(t->base + t->off[sec]);
}

static inline bool bit_get(const uint64_t *w, uint16_t port)
{
	return w[port / 64] >> (port % 64) & 1;
}
static inline void bit_put(uint64_t *w, uint16_t port, bool on)
{
	uint64_t bit = UINT64_C(1) << (port % 64);

	w[port / 64] = on ? w[port / 64] | bit : w[port / 64] & ~bit;
}

/* --- rules.c: pure, no table --- */
struct parts { /* R1: what a socket owns of each family */
	bool has4, has6, any4, any6;
};
struct parts rules_parts(enum port_family family, const struct port_addr *a, uint16_t flags);
bool rules_overlap(const struct port_want *w, const struct hold *h);
bool rules_device_apart(uint32_t a, uint32_t b);
/* TCP: may w and h share the port (R4, R5)? When not, *ret_rule says why. */
bool rules_may_share_tcp(const struct port_want *w, const struct hold *h, enum port_rule *ret_rule);
enum port_rule rules_name_udp(const struct port_want *w, const struct hold *h);
/* D3: does the port's remembered socket let w in unasked? And what it remembers after w came in. */
bool rules_frp_match(const struct bucket *b, const struct port_want *w);
void rules_frp_update(struct bucket *b, const struct port_want *w, bool first);

/* --- index_group.c: who shares an address or a destination --- */
int index_find_group(const struct port_table *t, enum group_kind kind, enum port_proto proto,
		     const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port,
		     uint32_t *ret); /* -ENOENT */
/* The group counts one more. When none is left, *ret is NIL: the newcomer does without. */
int index_group_join(struct port_table *t, enum group_kind kind, enum port_proto proto, const struct port_addr *local,
		     const struct port_addr *peer, uint16_t peer_port, uint16_t port, uint32_t *ret);
/* One that was in that group (NIL: it did without) is not any more. still: another member has the same port (two holds of one address). */
int index_group_leave(struct port_table *t, uint32_t group, uint16_t port, bool still);

/* --- index.c: the structure --- */
int index_bucket(const struct port_table *t, enum port_proto proto, uint16_t port, uint32_t *ret); /* -ENOENT */
/* First hold of the lookup chain of (proto, port, addr); the chain has strangers in it. */
uint32_t index_lookup_head(const struct port_table *t, enum port_proto proto, uint16_t port, const struct port_addr *a);
bool index_same_place(const struct hold *h, enum port_proto proto, uint16_t port, const struct port_addr *a);
int index_find_flow(const struct port_table *t, enum port_proto proto, const struct port_addr *local, uint16_t port,
		    const struct port_addr *peer, uint16_t peer_port, uint32_t *ret); /* -ENOENT */
/* The same in steps, for many at once: the head of the flow's chain; is a slot that flow? */
uint32_t *index_flow_head(const struct port_table *t, enum port_proto proto, const struct port_addr *local,
			  uint16_t port, const struct port_addr *peer, uint16_t peer_port);
bool index_is_flow(const struct slot *s, enum port_proto proto, const struct port_addr *local, uint16_t port,
		   const struct port_addr *peer, uint16_t peer_port);
/* What a slot below n_max says, put together; whether it is a sane claim is the caller's to ask (index_claim_sane()). */
struct port_claim index_claim(const struct port_table *t, uint32_t slot);
void index_claim_write(struct port_table *t, uint32_t slot, const struct port_claim *c);
void index_set_owner(struct port_table *t, uint32_t slot, const struct port_owner *o);
int index_claim_new(struct port_table *t, const struct port_claim *c, uint32_t *ret); /* -ENOBUFS */
void index_claim_free(struct port_table *t, uint32_t slot);
void index_unlink(struct port_table *t, uint32_t slot); /* it forgets its neighbours, not they it */
/* Put a claim, which the slot says, into all structures by its fields, and take it out again. -ENOBUFS: no hold is left, and nothing
 * changed. */
int index_insert(struct port_table *t, uint32_t slot, const struct port_claim *c);
int index_remove(struct port_table *t, uint32_t slot);
/* The claim's fields become those of c: in place in the order (UDP), never emptying the bucket. -ENOBUFS as above. */
int index_change(struct port_table *t, uint32_t slot, const struct port_claim *c);
/* Is there a hold for c, which is in slot now (NIL: in none)? Return: 0; -ENOBUFS; -EUCLEAN. */
int index_room(const struct port_table *t, uint32_t slot, const struct port_claim *c);
/* Does c count in a destination group? */
bool index_wants_group(const struct port_claim *c);
int index_slot_of(const struct port_table *t, struct port_ref ref, uint32_t *ret); /* -ESTALE */
/* Empty every pool and chain; the claims' slots are left as they are. */
void index_reset(struct port_table *t);
bool index_claim_sane(const struct port_claim *c);
/* For the checker: which maps a hold counts in, and whether it is one such a claim belongs to. */
void index_hold_maps(const struct hold *h, bool ret[N_MAPS]);
bool index_hold_fits(const struct hold *h, const struct port_claim *c);

/* ip_local_reserved_ports. */
bool table_is_reserved(const struct port_table *t, uint16_t port);
uint64_t table_reserved_word(const struct port_table *t, uint32_t w);

/* --- conflict.c: the rules over the table --- */
/* Who refuses w on w->port? own: the claim's own slot, not asked, or NIL. Exclusive: no sharing
 * counts (a port that is chosen). Return: 0, nobody; -EADDRINUSE with *ret_hold and *ret_rule; -EUCLEAN. */
int conflict_find(const struct port_table *t, const struct port_want *w, uint32_t own, bool exclusive,
		  uint32_t *ret_hold, enum port_rule *ret_rule);

/* --- choose.c --- */
/* A free port for bind (peer NULL; now_us is not looked at) or for a flow. Return: 0; -EADDRINUSE, the range is full; -EUCLEAN. */
int choose_port(struct port_table *t, const struct port_want *w, const struct port_addr *local,
		const struct port_addr *peer, uint16_t peer_port, uint64_t now_us, uint16_t *ret_port);
struct port_range choose_range(const struct port_table *t, const struct port_want *w);

void table_layout(struct port_table *t, const struct port_table_form *f);

#endif
