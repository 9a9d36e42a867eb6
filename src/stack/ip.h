/* src/stack/ip.h: interfaces, addresses, routes, neighbours, and IP in and out. The contract between IP and what stands on it.
 *
 *	iface.c		interfaces and their addresses		addr.c		duplicate detection, lifetimes (RFC 4862)
 *	route.c		longest prefix, source selection	neigh.c		neighbour cache: states (RFC 4861, 7.3)
 *	arp.c, nd.c	how a neighbour is asked		slaac.c		router discovery, address making
 *	ip_in.c		a frame becomes a packet		ip_out.c	headers, fragmentation, queues of neighbours
 *	frag.c		reassembly				icmp_in.c, icmp_out.c	errors and echo
 *	pmtu.c		path MTUs that were learnt		group*.c, igmp.c, mld.c	multicast membership (group.h)
 *	slaac_temp.c	temporary addresses
 */
#ifndef BERTH_STACK_IP_H
#define BERTH_STACK_IP_H

#include "stack/stack.h"

/* Where packets to a destination go: kept by whoever sends many, asked anew when st->route_epoch has moved on. */
struct ip_route {
	uint32_t epoch;
	uint32_t neigh; /* NIL: none is needed (loopback, point to point, multicast, broadcast) */
	uint16_t iface;
	uint16_t mtu_bytes; /* of the path as known, IP header included; at most the interface's */
	uint8_t mac[6];	    /* multicast and broadcast: where to */
	uint8_t loopback;   /* the destination is this stack itself */
	uint8_t not_unicast;
};

/* --- memory: called by stack.c, once to count and once for real --- */
void ip_layout(struct berth_stack *st, struct arena *a);
void ip_init(struct berth_stack *st);
/* A timer of TIMER_NEIGH, FRAG, ADDR, ROUTE, GROUP, IFACE or PMTU is due. */
void ip_timer(struct berth_stack *st, enum timer_kind kind, uint32_t index);
bool ip_check(const struct berth_stack *st);
/* Of cfg.frag_bytes, in use. */
uint32_t ip_frag_bytes(const struct berth_stack *st);

/* --- in --- */
/* Headers looked at and checked, without any effect: for the batch's first pass. 0: *ret is a whole unfragmented TCP or UDP packet
 * for one of our addresses, whose flow can be looked up; else ip_input() does all. */
int ip_peek(struct berth_stack *st, const struct berth_rx *rx, struct packet *ret);
/* A frame, whatever is in it. Ends in tcp_input(), udp_input(), icmp, arp, nd... `peeked` is ip_peek()'s packet, or NULL. */
void ip_input(struct berth_stack *st, const struct berth_rx *rx, const struct packet *peeked);

/* --- out --- */
/**
 * ip_route_find() - where packets to dst go
 * @src:     the address they come from if it is bound; NULL or a wildcard: choose (RFC 6724's rules that matter here)
 * @iface:   BERTH_IFACE_ANY, or the one to use
 * @ret_src: the source address; may be NULL
 *
 * Return: 0; -ENETUNREACH; -EADDRNOTAVAIL, src is not ours; -ENETDOWN.
 */
MUST_CHECK int ip_route_find(struct berth_stack *st, const struct port_addr *src, const struct port_addr *dst,
			     uint16_t iface, struct ip_route *ret, struct port_addr *ret_src);
/* The same for a socket's own wish: what it is bound to (src) and BERTH_PUBLIC_SOURCE. */
MUST_CHECK int ip_route_find_for(struct berth_stack *st, const struct sock *s, const struct port_addr *src,
				 const struct port_addr *dst, uint16_t iface, struct ip_route *ret,
				 struct port_addr *ret_src);
/* Is the next hop's link address known? 0: yes, and in use from now on (NUD: it may be verified); -EINPROGRESS: it is being asked for,
 * and sock_wake_waiting() will be called; -EHOSTUNREACH: nobody answers. */
MUST_CHECK int ip_route_ready(struct berth_stack *st, const struct ip_route *rt);
/* The transport got an answer: the neighbour is reachable (RFC 4861, 7.3.1), without a question of its own. */
void ip_route_confirm(struct berth_stack *st, const struct ip_route *rt);

struct ip_head {
	const struct port_addr *src, *dst;
	uint8_t proto, ttl, tos; /* ttl 0: the interface's default, 64 or what routers say */
	bool dont_fragment;	 /* IPv4's DF */
	uint16_t id;		 /* IPv4 with DF: the identification [0] */
	uint32_t flow_label;	 /* IPv6; 0: none */
	uint32_t l4_len;	 /* what follows; a super-frame's length may be more than 16 bits say */
};
/* Link and IP header for a route that is ready: returns their octets (at most 14 + 40), at head[0]. IPv4's ID is by RFC 6864. */
size_t ip_head_put(struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h, uint8_t *head);
/* IPv6's label of a flow (RFC 6437): the same in all its packets, none is 0, and who does not see them cannot tell it. */
uint32_t ip_flow_label(const struct berth_stack *st, const struct port_tuple *t);
/* Octets of link header on this route: 14 or 0. */
size_t ip_link_len(const struct berth_stack *st, const struct ip_route *rt);
/* May this interface do that? flags: BERTH_IF_. */
bool ip_iface_can(const struct berth_stack *st, uint16_t iface, uint32_t flags);
uint32_t ip_iface_gso_max(const struct berth_stack *st, uint16_t iface);

/* Send pkt i, whose data[off .. off + len) is the transport's header and data, checksum done: adds the headers, fragments if it must,
 * waits for the neighbour (at most 3 packets each). The packet is the callee's from here on, also on failure.
 * Return: 0; -ENETUNREACH; -EMSGSIZE, does not fit and may not be fragmented; -ENOBUFS; -EHOSTUNREACH. */
int ip_send(struct berth_stack *st, uint32_t pkt_index, const struct ip_head *h, const struct ip_route *rt);
/* A frame that is complete goes to the end of st->control: out, or back in when it is for ourselves (ip_loops()). */
void ip_transmit(struct berth_stack *st, uint32_t pkt_index);

/* What is sent on this interface comes back in: the stack's own, or one with BERTH_IF_LOOPBACK. Whoever would hand such a frame to the
 * program (berth_stack_output()) hands it to ip_input() instead; a route to one of our addresses always names such an interface. It has no link
 * header, can all offloads, and its number may be IP_IFACE_SELF. */
#define IP_IFACE_SELF 0xfffe
bool ip_loops(const struct berth_stack *st, uint16_t iface);
/* A datagram larger than the route's MTU, for who has its octets in a ring (UDP): an identification for all fragments, then for each the
 * link and IP header of that which begins at octet at (0, then at + *ret_len and so on until h->l4_len). Returns the header's octets, at most
 * 14 + 48; *ret_len: octets of the datagram that follow it. */
uint32_t ip_fragment_id(struct berth_stack *st, const struct ip_head *h);
size_t ip_fragment_put(struct berth_stack *st, const struct ip_route *rt, const struct ip_head *h, uint32_t id,
		       uint32_t at, uint8_t *head, uint32_t *ret_len);

/* --- addresses --- */
bool ip_is_local(const struct berth_stack *st, const struct port_addr *a); /* one of ours, not tentative */
bool ip_is_broadcast(const struct berth_stack *st, uint16_t iface, const struct port_addr *a);

/* --- path MTU (RFC 1191, 8201, 8899) --- */
uint32_t pmtu_get(struct berth_stack *st, const struct port_addr *dst, uint32_t iface_mtu);
/* No packet to dst that is as small as this is too big. */
uint32_t pmtu_floor(const struct port_addr *dst);
/* A router said so, or the sender's probe did. Never below 552 (IPv4) and 1280 (IPv6): S13. True: it is lower than before. */
bool pmtu_lower(struct berth_stack *st, const struct port_addr *dst, uint32_t mtu_bytes);
/* The connection found that more goes through (PLPMTUD). */
void pmtu_raise(struct berth_stack *st, const struct port_addr *dst, uint32_t mtu_bytes);

/* --- ICMP --- */
enum icmp_error {
	ICMP_ERR_NET_UNREACH,	/* soft: ENETUNREACH */
	ICMP_ERR_HOST_UNREACH,	/* soft: EHOSTUNREACH */
	ICMP_ERR_PORT_UNREACH,	/* ECONNREFUSED */
	ICMP_ERR_PROTO_UNREACH, /* ENOPROTOOPT */
	ICMP_ERR_PROHIBITED,	/* EACCES on IPv6, EHOSTUNREACH on IPv4 */
	ICMP_ERR_TOO_BIG,	/* mtu_bytes */
	ICMP_ERR_TIME_EXCEEDED, /* soft: EHOSTUNREACH */
	ICMP_ERR_PARAMETER,	/* EPROTO */
};
/* An error about a packet that we sent (its addresses are checked to be ours): the transport checks the rest (RFC 5927). */
struct icmp_note {
	enum icmp_error error;
	uint32_t mtu_bytes;
	struct port_addr local, peer; /* of the packet quoted: its source and destination */
	const uint8_t *l4;	      /* its transport header as far as it is there, at least 8 octets */
	uint32_t l4_len;
	uint32_t head_bytes, total_bytes; /* of the packet quoted, as its header says: up to the transport's; in all */
	uint32_t flow_label;		  /* IPv6's */
	uint16_t id;			  /* IPv4's */
	uint16_t iface;			  /* where the error came in */
	bool fragment;			  /* total_bytes are a fragment's */
	uint8_t proto;
};
/* Answer p with an error, if RFC 1122, 3.2.2 and RFC 4443, 2.4 allow and the limits (per source and in all, randomised: S11) have room. */
void icmp_send_error(struct berth_stack *st, const struct packet *p, enum icmp_error error, uint32_t value);
int icmp_errno(enum icmp_error e, bool is4); /* negative */

/* --- multicast --- */
/* Whom a member of a group hears (RFC 3376, 2): all but those in the list, or those alone. Zeros: everybody. Its list is changed by the
 * functions below alone. */
struct member_filter {
	uint32_t n, first; /* sources, in st->ip->filters; first counts when there are some */
	bool include;
};
/* Memberships are counted, one by one. join and leave are of members who hear everybody, as our own addresses do. */
MUST_CHECK int group_join(struct berth_stack *st, uint16_t iface, const struct port_addr *group);
MUST_CHECK int group_leave(struct berth_stack *st, uint16_t iface, const struct port_addr *group);
struct group_want {
	bool include;
	unsigned n;
	const struct berth_addr *sources; /* good ones of the group's family; one that is there twice counts once */
};
/**
 * group_change() - a member comes, goes, or wants to hear others
 * @f:   its filter as it is, without sources when it comes; as it is to be afterwards
 * @was: it is a member already
 * @to:  what it is to be; NULL: it goes
 *
 * Return: 0; -ENODEV; -EINVAL, not a group; -EADDRNOTAVAIL, no member has that group; -ENOBUFS, no room: nothing has changed.
 */
MUST_CHECK int group_change(struct berth_stack *st, uint16_t iface, const struct port_addr *group,
			    struct member_filter *f, bool was, const struct group_want *to);
/* One source more, or less, in a member's list. -ENOBUFS. */
MUST_CHECK int group_change_one(struct berth_stack *st, uint16_t iface, const struct port_addr *group,
				struct member_filter *f, const struct port_addr *source, bool add);
bool group_is_member(const struct berth_stack *st, uint16_t iface, const struct port_addr *group);
/* Does any member of it here want to hear this source? */
bool group_takes(const struct berth_stack *st, uint16_t iface, const struct port_addr *group,
		 const struct port_addr *source);
bool group_filter_has(const struct berth_stack *st, const struct member_filter *f, const struct port_addr *source);
bool group_filter_takes(const struct berth_stack *st, const struct member_filter *f, const struct port_addr *source);
/* The list, one after the other: until the cursor is NIL. The address has 16 octets. */
uint32_t group_filter_first(const struct member_filter *f);
const uint8_t *group_filter_next(const struct berth_stack *st, uint32_t *cursor);
/* The list goes, and nobody is told: the interface and its groups are gone. */
void group_filter_clear(struct berth_stack *st, struct member_filter *f);

#endif
