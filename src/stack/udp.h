/* src/stack/udp.h: UDP (RFC 768; RFC 8200, 8.1; RFC 8085; Linux's udp(7) where those are silent): sockets with two rings of datagrams.
 *
 *	udp.c		sockets: making, connecting, options, the end
 *	udp_group.c	groups: who is in which, and whom of their senders he hears
 *	udp_ring.c	the rings: records of 64 octets, each with its datagram behind it
 *	udp_in.c	what arrives, to whom it belongs, and how the program takes it
 *	udp_out.c	what the program sends, and how it leaves
 *	udp_sent.c	what left lately, for errors about it
 */
#ifndef BERTH_STACK_UDP_H
#define BERTH_STACK_UDP_H

#include "stack/ip.h"

/* --- what stack.c and IP call --- */
void udp_layout(struct berth_stack *st, struct arena *a);
void udp_init(struct berth_stack *st);
bool udp_check(const struct berth_stack *st);

void udp_input(struct berth_stack *st, const struct packet *p);
void udp_icmp_error(struct berth_stack *st, const struct icmp_note *e);
/* Fill at most n frames of what socket index has queued; returns how many. When it has no more it is out of st->ready. */
unsigned udp_output(struct berth_stack *st, uint32_t index, struct berth_tx *v, unsigned n);
/* A pin of ours is undone. */
void udp_unpin(struct berth_stack *st, uint64_t pin);

/* --- what sock.c calls for a UDP socket --- */
int udp_open(struct berth_stack *st, int family, uint64_t user, uint32_t *ret_index);
/* bind() succeeded: the claim has an address. */
void udp_bound(struct berth_stack *st, uint32_t index);
int udp_connect(struct berth_stack *st, uint32_t index, const struct berth_addr *peer);
/* send(2), recv(2) of a connected one. */
int64_t udp_send(struct berth_stack *st, uint32_t index, const void *data, uint32_t len);
int64_t udp_recv(struct berth_stack *st, uint32_t index, void *data, uint32_t len);
int udp_send_many(struct berth_stack *st, uint32_t index, const struct berth_dgram *v, unsigned n);
int udp_recv_many(struct berth_stack *st, uint32_t index, struct berth_dgram *v, unsigned n);
int udp_shutdown(struct berth_stack *st, uint32_t index, int how);
int udp_set(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t value); /* -ENOPROTOOPT: not UDP's */
int udp_get(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t *ret);
int udp_join(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface);
int udp_leave(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface);
int udp_source(struct berth_stack *st, uint32_t index, enum berth_source_change change, const struct berth_addr *group,
	       const struct berth_addr *source, uint16_t iface);
int udp_set_filter(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface,
		   enum berth_filter_mode mode, const struct berth_addr *sources, unsigned n);
int udp_get_filter(struct berth_stack *st, uint32_t index, const struct berth_addr *group, uint16_t iface,
		   enum berth_filter_mode *ret_mode, struct berth_addr *sources, unsigned *n);
/* The interface is gone, and IP has forgotten its groups. */
void udp_forget_iface(struct berth_stack *st, uint16_t iface);
int udp_poll(struct berth_stack *st, uint32_t index);
int udp_close(struct berth_stack *st, uint32_t index);

/* --- rings --- */
enum udp_record_state {
	UDP_QUEUED, /* sending: not all of it went out yet; receiving: not read */
	UDP_WAITS,  /* sending: its neighbour is not known yet */
	UDP_DONE,   /* sending: went out. Its octets stay until the next call that is not berth_stack_output() */
};

/* Before each datagram (or train of them) in a ring. 64-byte aligned, so it never goes round the ring's end; its octets may. */
struct udp_record {
	uint32_t len;	   /* of the datagram's data, without UDP's header */
	uint32_t at;	   /* sending: octets that went out; receiving: octets that were read (of a train) */
	uint32_t id;	   /* sending: of its fragments */
	uint16_t gso_size; /* 0: one datagram */
	uint16_t iface;	   /* sending: BERTH_IFACE_ANY or the one to use; receiving: where it came in */
	uint16_t peer_port, local_port;
	uint8_t ttl, tos;
	uint8_t state; /* enum udp_record_state */
	uint8_t pins;  /* frames of it that are pinned */
	struct port_addr peer, local;
};
_Static_assert(sizeof(struct udp_record) == 64, "a record is one cache line");

struct udp_ring {
	uint8_t *data;
	uint32_t size;	     /* a power of two */
	uint32_t head, used; /* octets; head counts on, its place is head % size */
};

/* The route that was looked up last: from `want` (or a wildcard) to dst by iface; src is what IP chose. */
struct udp_way {
	struct port_addr dst, want, src;
	uint16_t iface;
	uint16_t label_from, label_to; /* IPv6: the ports that flow_label is for */
	uint32_t flow_label;	       /* 0: not asked for yet */
	bool is_public;		       /* BERTH_PUBLIC_SOURCE, when it was found */
	struct ip_route route;
};

struct udp_sock {
	struct sock s;
	struct port_addr bound; /* as bind() had it: where disconnect goes back to */
	struct port_addr local; /* the claim's */
	struct port_addr peer;	/* SOCK_CONNECTED */
	uint16_t peer_port, local_port;
	struct udp_ring rx, tx;
	uint32_t tx_at;	 /* octets from the ring's head to the first record that was not looked at yet */
	uint32_t n_wait; /* records in UDP_WAITS */
	uint32_t rcvbuf; /* octets of the receiving ring in use at most */
	uint32_t n_pins;
	struct udp_way way;
	uint32_t member_first; /* groups it is in; NIL */
	uint16_t mcast_iface;  /* + 1; 0: the route's */
	uint8_t mcast_ttl, pmtu_disc;
	bool blocked; /* a send found no room: the program waits for BERTH_EV_OUT */
};

/* A socket in a group: so many of them as n_groups, for all sockets. */
struct udp_member {
	uint32_t sock; /* index; NIL: free */
	uint32_t next; /* of its socket; NIL */
	uint16_t iface;
	struct port_addr group;
	struct member_filter filter;
};

/* udp_sent.c: the names of datagrams that left, in two halves that take turns. */
#define UDP_SENT_BITS 65536u
struct udp_sent {
	uint64_t bits[2][UDP_SENT_BITS / 64];
	uint64_t since_ns; /* when `now` became the half that is written */
	bool now;
};

/* A datagram as an ICMP error quotes it. */
#define UDP_QUOTE_DATA 8
struct udp_quote {
	const struct port_addr *local, *peer;
	const uint8_t *udp;  /* its header */
	const uint8_t *data; /* UDP_QUOTE_DATA octets behind it; NULL: not quoted. IPv4: not looked at */
	uint16_t id;	     /* IPv4 */
};

struct udp_state {
	uint8_t *rings;
	struct udp_member *members;
	struct udp_sent *sent;
};

static inline struct udp_sock *udp_at(struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->udps, i);
}

/* Octets a record takes with len octets of data. */
static inline uint32_t udp_record_bytes(uint32_t len)
{
	return (uint32_t)sizeof(struct udp_record) + ((len + 63) & ~63u);
}

void udp_ring_init(struct udp_ring *r, uint8_t *data, uint32_t size);
/* The record that begins at octets behind the head. */
struct udp_record *udp_ring_at(const struct udp_ring *r, uint32_t at);
/* Room for a record at the end: its header is zeroed, but for len. The caller has looked whether it fits. */
struct udp_record *udp_ring_add(struct udp_ring *r, uint32_t len, uint32_t *ret_at);
/* The oldest one goes. */
void udp_ring_drop(struct udp_ring *r);
static inline uint32_t udp_ring_free(const struct udp_ring *r)
{
	return r->size - r->used;
}
/* Octets [from, from + len) of the data of the record at `at`, as at most two pieces; returns how many. */
unsigned udp_ring_parts(const struct udp_ring *r, uint32_t at, uint32_t from, uint32_t len, struct berth_part v[2]);
void udp_ring_write(struct udp_ring *r, uint32_t at, uint32_t from, const uint8_t *data, uint32_t len);
void udp_ring_read(const struct udp_ring *r, uint32_t at, uint32_t from, uint8_t *data, uint32_t len);
bool udp_ring_check(const struct udp_ring *r);

/* --- between the files --- */
/* A datagram into a socket's receiving ring; what does not fit is counted. data begins from_bytes into p's transport header. */
void udp_deliver(struct berth_stack *st, uint32_t index, const struct packet *p, uint16_t src_port, uint32_t len);
/* To all members of its group, or all who hear a broadcast. */
void udp_deliver_all(struct berth_stack *st, const struct packet *p, uint16_t src_port, uint16_t dst_port,
		     uint32_t len);
/* Does it hear what source sends to group? */
bool udp_hears_group(const struct berth_stack *st, uint32_t index, uint16_t iface, const struct port_addr *group,
		     const struct port_addr *source, bool *ret_filtered);
void udp_leave_all(struct berth_stack *st, uint32_t index);
bool udp_group_check(const struct berth_stack *st);
/* What went out before this call is free now. */
void udp_reclaim(struct berth_stack *st, struct udp_sock *u);
/* Is there room for a datagram of ordinary size? */
bool udp_writable(const struct udp_sock *u);
/* It leaves now, and a router may find it too big. deferred: its checksum is not made yet; train: it is the first of many. */
void udp_sent_note(struct berth_stack *st, const struct udp_quote *q, bool deferred, bool train);
bool udp_sent_lately(struct berth_stack *st, const struct udp_quote *q);
/* IPv4's identification for it. */
uint16_t udp_sent_id(struct berth_stack *st, bool train);
/* A socket that the program closed, and whose pins are all undone, goes. */
void udp_end(struct berth_stack *st, uint32_t index);

#endif
