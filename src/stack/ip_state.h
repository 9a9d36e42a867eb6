/* src/stack/ip_state.h: what the files of the IP layer share among themselves. ip.h is what others see.
 *
 * All tables have the size that the configuration says and are walked by index. Addresses are few and found by looking at all of them;
 * neighbours, path MTUs and fragments are found by keyed hashes (S18), because strangers choose what is in them.
 */
#ifndef BERTH_STACK_IP_STATE_H
#define BERTH_STACK_IP_STATE_H

#include <errno.h>
#include <string.h>

#include "stack/ip.h"
#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/group.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/nd.h"

#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define IP6_MTU_MIN 1280
#define IP4_MTU_MIN 68
#define RETRANS_MS_MAX 60000			 /* that a router may ask for */
#define PKT_ROOM (PKT_BYTES - 20 - PKT_HEADROOM) /* octets of a packet behind the headroom */

/* --- interfaces (iface.c) --- */

/* What a querier of a family said (igmp.c, mld.c). */
struct group_querier {
	uint64_t v1_until_ns,
		v2_until_ns;	/* an older one was heard: its version is spoken until then (RFC 3376, 7.2.1) */
	uint64_t general_at_ns; /* when a general query is answered; NEVER_NS */
	uint64_t answered_ns;	/* when one was, the last time */
	uint8_t robustness;
};

struct iface {
	bool used, up;
	uint8_t link; /* enum berth_link */
	uint8_t mac[6];
	uint8_t hops;	     /* hop limit that routers say; 0: none did */
	uint8_t n_rs;	     /* router solicitations sent */
	uint8_t keyed_tries; /* link-local addresses that were taken (RFC 7217, 5: DAD_Counter) */
	uint32_t flags;	     /* BERTH_IF_ */
	uint32_t mtu_bytes;  /* as configured */
	uint32_t mtu6_bytes; /* what a router says for IPv6, at most mtu_bytes; 0: nothing */
	uint32_t gso_max_bytes;
	uint32_t reachable_base_ms, retrans_ms; /* RFC 4861, 6.3.2 */
	uint64_t reachable_ns;			/* drawn from the base, anew every few hours */
	uint64_t reachable_drawn_ns;
	struct timer timer;
	uint64_t rs_at_ns;
	struct group_querier igmp, mld;
	uint32_t temp_valid_s, temp_preferred_s; /* of temporary addresses, at most */
	uint64_t temp_paid_ns;			 /* those that were made are paid for by then: slaac_temp.c */
	char name[16];
};

/* --- addresses (addr.c) --- */
struct ip_addr {
	struct port_addr addr;
	uint16_t iface;
	uint8_t prefix_bits; /* of the 128-bit form */
	uint8_t flags;	     /* BERTH_ADDR_ */
	bool used;
	uint8_t probes_left;	/* of duplicate detection */
	uint8_t announces_left; /* ARP (RFC 5227, 2.3) */
	uint8_t tries;		/* addresses made before this one were taken (RFC 7217; RFC 8981) */
	bool no_temps;		/* one that routers gave: none of the temporary ones beside it was free */
	uint32_t route;		/* the on-link route that came with it; NIL */
	uint64_t valid_until_ns, preferred_until_ns, dad_at_ns, defended_ns;
	uint64_t temp_valid_ns, temp_preferred_ns; /* temporary: until then at most, whatever routers say */
	uint64_t next_at_ns;			   /* temporary: when the next one is made; NEVER_NS: that is over */
	uint8_t nonce[WIRE_ND_NONCE_LEN];	   /* of our own probes (RFC 7527) */
	struct timer timer;
};

/* --- routes (route.c) --- */
enum route_kind {
	ROUTE_USER,
	ROUTE_ON_LINK,	/* of an address */
	ROUTE_PREFIX,	/* on the link, says a router */
	ROUTE_DEFAULT,	/* a router advertised itself */
	ROUTE_REDIRECT, /* a better first hop for one address */
};
struct ip_route_entry {
	struct port_addr net, gateway;
	bool used, has_gateway;
	uint8_t prefix_bits; /* of the 128-bit form */
	uint8_t kind;	     /* enum route_kind */
	int8_t preference;   /* RFC 4191: 1 high, 0 medium, -1 low */
	uint16_t iface;
	uint32_t metric;
	uint32_t n_users; /* ON_LINK: addresses that share it */
	uint64_t valid_until_ns;
	struct timer timer;
};

/* --- neighbours (neigh.c) --- */
enum neigh_state {
	NEIGH_NONE, /* known by name only: nobody asked yet */
	NEIGH_INCOMPLETE,
	NEIGH_REACHABLE,
	NEIGH_STALE,
	NEIGH_DELAY,
	NEIGH_PROBE,
	NEIGH_FAILED, /* nobody answered; for a second this is the answer. used_ns: since when */
	NEIGH_STATIC,
};
#define NEIGH_NSTATES 8
#define NEIGH_QUEUE_MAX 3
#define NEIGH_CHAIN_MAX 16
struct neigh {
	struct port_addr addr;
	uint16_t iface;
	uint8_t mac[6];
	uint8_t state; /* neigh.c: set_state() only */
	uint8_t n_probes;
	bool used;
	bool routed; /* handed out in a route: who evicts it bumps the epoch */
	bool is_router;
	bool doubted; /* a router that failed, and has not answered since */
	uint8_t n_queued;
	uint32_t queue[NEIGH_QUEUE_MAX]; /* packets, the oldest first */
	uint32_t hash_next;
	uint64_t used_ns, reachable_until_ns;
	struct timer timer;
};

/* --- path MTUs (pmtu.c) --- */
#define PMTU_WAYS 4
struct pmtu {
	struct port_addr dst;
	uint32_t mtu_bytes; /* 0: free */
	uint64_t at_ns;
	struct timer timer; /* until it is forgotten */
};

/* --- reassembly (frag.c) --- */
#define FRAG_DATAGRAMS 64
#define FRAG_PIECES_MAX 32
#define FRAG_BLOCK 2048
#define FRAG_BLOCKS 32
#define FRAG_HEAD_MAX 320
struct frag_datagram {
	bool used, have_last, spoilt;
	uint8_t proto, ecn_seen;
	uint8_t n_pieces, n_fragments;
	uint16_t iface;
	uint16_t
		head_len; /* octets in head: of the first fragment, up to its part of the datagram; 0: it is not there */
	uint16_t proto_at;	 /* IPv6: where in head the reassembled packet names its next header */
	uint16_t unfragmentable; /* IPv6: octets of extension headers before the fragment header */
	uint16_t n_blocks;
	uint32_t id;
	uint32_t total;	    /* octets, once the last is there */
	uint32_t first_len; /* octets of the first fragment, for a quotation */
	struct port_addr src, dst;
	bool not_unicast;
	uint64_t begun_ns;
	struct timer timer;
	struct {
		uint32_t from, to;
	} pieces[FRAG_PIECES_MAX];
	uint16_t blocks[FRAG_BLOCKS]; /* block i has octets from i * FRAG_BLOCK on; UINT16_MAX: none */
	uint8_t head[FRAG_HEAD_MAX];
};

/* --- limits of ICMP (icmp_out.c) --- */
#define ICMP_SOURCES 256
struct icmp_bucket {
	uint64_t at_ns;
	uint32_t milli; /* thousandths of an answer in store */
	uint32_t price; /* of the next one; 0: not drawn yet */
};

#define IP_ID_COUNTERS 1024
struct group;
struct ip_state {
	struct iface *ifaces;
	struct iface self; /* IP_IFACE_SELF */
	struct ip_addr *addrs;
	uint32_t n_addrs; /* slots up to this one may be used */
	struct ip_route_entry *routes;
	uint16_t *route_order; /* n_routes of them: longest prefix first, then metric, preference, age */
	uint32_t n_routes;
	struct neigh *neighs;
	uint32_t *neigh_first; /* chains, of at most NEIGH_CHAIN_MAX */
	uint32_t neigh_mask, neigh_hand;
	uint32_t n_neigh_queued; /* packets that wait in all neighbours */
	struct pmtu *pmtus;	 /* sets of PMTU_WAYS */
	uint32_t pmtu_mask;
	uint64_t *frag_hash; /* of each datagram's name */
	struct frag_datagram *frags;
	uint8_t *frag_blocks;
	uint16_t *frag_free; /* a stack of free blocks */
	uint32_t n_frag_blocks, n_frag_free;
	struct group *groups; /* group.h */
	struct slab sources;  /* struct group_source: what all members of a group name, and queries ask about */
	struct slab filters;  /* group_filter.c: what each names */
	struct icmp_bucket icmp_all, *icmp_sources;
	uint32_t *ids;
};

/* Is there IPv6 on it (RFC 8200, 5)? */
static inline bool iface_has6(const struct iface *f)
{
	return f->mtu_bytes >= IP6_MTU_MIN;
}

/* iface.c: NULL when there is none of that number. */
struct iface *iface_at(const struct berth_stack *st, uint16_t iface);
/* Also IP_IFACE_SELF's. Up or not. */
uint32_t iface_mtu(const struct iface *f, bool is4);
void iface_timer(struct berth_stack *st, uint32_t index);
/* The earliest of what the interface waits for goes into the wheel. */
void iface_timer_set(struct berth_stack *st, uint16_t iface);
uint64_t iface_reachable_ns(struct berth_stack *st, struct iface *f);
void route_changed(struct berth_stack *st);

/* addr.c. Return of add: 0; -EEXIST; -ENOBUFS; -EINVAL. */
MUST_CHECK int addr_add(struct berth_stack *st, uint16_t iface, const struct port_addr *a, unsigned prefix_bits,
			uint8_t flags, uint32_t *ret_index);
void addr_remove(struct berth_stack *st, uint32_t index);
/* Tentative ones too; NIL. */
uint32_t addr_find(const struct berth_stack *st, const struct port_addr *a);
void addr_timer(struct berth_stack *st, uint32_t index);
void addr_timer_set(struct berth_stack *st, uint32_t index);
/* Its lifetimes from now on. */
void addr_live(struct berth_stack *st, uint32_t index, uint64_t valid_until_ns, uint64_t preferred_until_ns);
void addr_begin(struct berth_stack *st, uint32_t index); /* duplicate detection, from the start */
/* Somebody else has or wants it. */
void addr_conflict(struct berth_stack *st, uint32_t index);
bool addr_check(const struct berth_stack *st);

/* route.c */
MUST_CHECK int route_add(struct berth_stack *st, const struct ip_route_entry *e, uint32_t *ret_index);
void route_remove(struct berth_stack *st, uint32_t index);
uint32_t route_find_exact(const struct berth_stack *st, const struct port_addr *net, unsigned prefix_bits,
			  uint16_t iface, int kind, const struct port_addr *gateway);
uint32_t route_lookup(const struct berth_stack *st, const struct port_addr *dst, uint16_t iface);
void route_timer(struct berth_stack *st, uint32_t index);
bool route_check(const struct berth_stack *st);
/* The source for dst out of iface, temporary ones first or (is_public) last; false: there is none. */
bool route_source(const struct berth_stack *st, uint16_t iface, const struct port_addr *dst, bool is_public,
		  struct port_addr *ret);

/* neigh.c */
uint32_t neigh_find(const struct berth_stack *st, uint16_t iface, const struct port_addr *a);
/* Finds it or makes room for it. asked_for: by us; else by a stranger, who pushes nothing out that is in use. */
uint32_t neigh_get(struct berth_stack *st, uint16_t iface, const struct port_addr *a, bool asked_for);
void neigh_remove(struct berth_stack *st, uint32_t index);
void neigh_timer(struct berth_stack *st, uint32_t index);
/* Somebody mentioned his link address (a question, an advertisement): RFC 4861, 7.2.3. */
void neigh_learn(struct berth_stack *st, uint32_t index, const uint8_t mac[6]);
/* He answered (7.2.5). mac NULL: none was said. */
void neigh_answer(struct berth_stack *st, uint32_t index, const uint8_t *mac, bool solicited, bool override);
void neigh_queue(struct berth_stack *st, uint32_t index, uint32_t pkt_index);
bool neigh_check(const struct berth_stack *st);

/* arp.c, nd.c: ask. to NULL: everybody; else he alone. */
void arp_ask(struct berth_stack *st, uint16_t iface, const struct port_addr *src, const struct port_addr *target,
	     const uint8_t *to);
void arp_input(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len);
void nd_ask(struct berth_stack *st, uint16_t iface, const struct port_addr *src, const struct port_addr *target,
	    const uint8_t *to, const uint8_t *nonce);
void nd_input(struct berth_stack *st, const struct packet *p);
void nd_send(struct berth_stack *st, uint16_t iface, const struct port_addr *src, const struct port_addr *dst,
	     const uint8_t *to, const uint8_t *msg, size_t len);

/* slaac.c */
void slaac_start(struct berth_stack *st, uint16_t iface);
void slaac_timer(struct berth_stack *st, uint16_t iface);
void slaac_advert(struct berth_stack *st, const struct packet *p);
void slaac_redirect(struct berth_stack *st, const struct packet *p);
/* An address that slaac made is taken: another one. */
void slaac_conflict(struct berth_stack *st, const struct ip_addr *a);
/* RFC 5453: does the identifier mean something else? */
bool slaac_is_reserved(const uint8_t iid[8]);
/* The address, not temporary, that routers gave in the prefix (64 bits; what is behind them does not matter); NIL. ret_n: how many they gave
 * in all; may be NULL. */
uint32_t slaac_addr(const struct berth_stack *st, uint16_t iface, const struct port_addr *prefix, unsigned *ret_n);

/* slaac_temp.c. limits: puts defaults in; false: they make no sense. */
bool slaac_temp_limits(uint32_t *valid_s, uint32_t *preferred_s);
/* A router said something about an address's prefix: those beside it follow, and there is one. */
void slaac_temp_said(struct berth_stack *st, uint32_t index);
/* The time of a temporary address is over, or is soon: the next one. */
void slaac_temp_next(struct berth_stack *st, uint16_t iface, const struct port_addr *a);
void slaac_temp_conflict(struct berth_stack *st, const struct ip_addr *a);
/* Is t a temporary address in a's prefix? */
bool slaac_temp_is_beside(const struct ip_addr *t, const struct ip_addr *a);
/* Removes a temporary address: of those that are deprecated the one that ends first; else, if any will do, of all. iface:
 * BERTH_IFACE_ANY, or where. False: there is none. */
bool slaac_temp_drop(struct berth_stack *st, uint16_t iface, bool any);
bool slaac_temp_check(const struct berth_stack *st);

/* ip_in.c: a packet without its link header, in one piece. */
void ip_packet(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len, bool not_unicast,
	       const struct berth_rx *rx, bool whole);
/* ip_out.c: put the link header in front of pkt and send it. */
void ip_link_send(struct berth_stack *st, uint16_t iface, uint32_t pkt_index, const uint8_t mac[6], uint16_t type);

/* A packet with its IP header: out, or to wait for the neighbour. 0; -EHOSTUNREACH. It is the callee's, also then. */
int ip_send_ready(struct berth_stack *st, uint32_t i, const struct ip_route *rt, bool v4);

/* frag.c. true: the datagram is whole, in st->scratch; *ret its length. data is the packet, from its IP header on. */
bool frag_input4(struct berth_stack *st, uint16_t iface, const uint8_t *data, const struct wire_ip4 *ip,
		 bool not_unicast, size_t *ret_len, bool *ret_not_unicast);
bool frag_input6(struct berth_stack *st, uint16_t iface, const uint8_t *data, const struct wire_ip6 *ip,
		 bool not_unicast, size_t *ret_len, bool *ret_not_unicast);
void frag_timer(struct berth_stack *st, uint32_t index);
void frag_forget_iface(struct berth_stack *st, uint16_t iface, bool only6);
bool frag_check(const struct berth_stack *st);

/* icmp_in.c, icmp_out.c */
void icmp_input(struct berth_stack *st, const struct packet *p);
void icmp_parameter_problem6(struct berth_stack *st, const struct packet *p, uint8_t code, uint32_t pointer,
			     bool to_group_too);
/* May an answer go to this address now? Takes it from the stores. */
bool icmp_allow(struct berth_stack *st, const struct port_addr *to);
/* head (8 octets, the checksum open) and data as an ICMP message from src to dst; any length, in fragments if need be. */
void icmp_send(struct berth_stack *st, const struct port_addr *src, const struct port_addr *dst, uint16_t iface,
	       uint8_t tos, const uint8_t head[WIRE_ICMP_LEN], const uint8_t *data, size_t len);

/* group.c, group_filter.c */
void group_layout(struct berth_stack *st, struct arena *a, struct ip_state *s);
void group_init(struct berth_stack *st);
void group_iface_up(struct berth_stack *st, uint16_t iface, bool only6);
void group_forget_iface(struct berth_stack *st, uint16_t iface);
bool group_check(const struct berth_stack *st);
size_t group_filter_bytes(void); /* of an item of st->ip->filters */
/* One source more; -ENOBUFS, the list or the pool is full. It is not in it. */
MUST_CHECK int group_filter_add(struct berth_stack *st, struct member_filter *f, const struct port_addr *source);
void group_filter_remove(struct berth_stack *st, struct member_filter *f, const struct port_addr *source);

/* group_say.c */
void group_timer(struct berth_stack *st, uint32_t index);
/* Answers to general queries that are due. */
void group_general(struct berth_stack *st, uint16_t iface);

/* group_query.c, igmp.c, mld.c */
void group_heard(struct berth_stack *st, uint16_t iface, const struct port_addr *group); /* another member's report */
/* A message of IGMP or MLD that may be believed: igmp.c and mld.c have looked at where it came from. */
void group_message(struct berth_stack *st, const struct packet *p, const struct wire_group *g, bool v4);
void igmp_input(struct berth_stack *st, const struct packet *p);
void igmp_send(struct berth_stack *st, uint16_t iface, const struct wire_group *g, const struct port_addr *dst,
	       const uint8_t *body, size_t len);
void mld_input(struct berth_stack *st, const struct packet *p);
void mld_send(struct berth_stack *st, uint16_t iface, const struct wire_group *g, const struct port_addr *dst,
	      const uint8_t *body, size_t len);

/* pmtu.c */
void pmtu_timer(struct berth_stack *st, uint32_t index);
bool pmtu_check(const struct berth_stack *st);

static inline bool is4(const struct port_addr *a)
{
	return port_addr_is4(a);
}

static inline bool same_addr(const struct port_addr *a, const struct port_addr *b)
{
	return memcmp(a->b, b->b, 16) == 0 && a->scope == b->scope;
}

/* fe80::/10 belongs to an interface; the number in an address is that + 1. */
static inline struct port_addr with_scope(struct port_addr a, uint16_t iface)
{
	a.scope = port_addr_is_linklocal6(&a) ? (uint32_t)iface + 1 : 0;
	return a;
}

#endif
