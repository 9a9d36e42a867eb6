/* src/stack/stack.h: what all files of the stack share: the stack itself, sockets, packets. docs/stack.md shows how a segment
 * travels; ip.h, udp.h and tcp.h have the contracts of the layers.
 *
 *	stack.c		memory, keys, time, the two loops (input, output), timers' dispatch
 *	sock.c		handles, options, bind, names: what TCP and UDP have in common; the heart's claims
 *	event.c		the queue of sockets that changed
 *	version.c	public structures of other versions
 *	packet.c	2 KiB buffers for what belongs to no stream
 *
 * Nothing here is reached by another thread. Indices, not pointers, link things: they are half the size and replay.
 */
#ifndef BERTH_STACK_STACK_H
#define BERTH_STACK_STACK_H

#include <string.h>

#include <berth/stack.h>

#include "base/siphash.h"
#include "port/demux.h"
#include "port/table.h"
#include "stack/slab.h"
#include "stack/wheel.h"

/* One key for each purpose, so that one identifier tells nothing about another (RFC 9415; S22). */
struct stack_keys {
	struct siphash_key isn, ts, ip_id, frag_id, flow_label, cookie[2], syn_hash, neigh_hash, frag_hash, pmtu_hash,
		udp_sent, icmp_hash, rst_hash, iid, random;
};

/* --- sockets: the part that TCP and UDP have in common, first in their own structures --- */

/* Bits of struct sock's options, and what has happened to it. */
enum {
	SOCK_REUSEADDR = 1 << 0,
	SOCK_REUSEPORT = 1 << 1,
	SOCK_V6ONLY = 1 << 2,
	SOCK_FREEBIND = 1 << 3,
	SOCK_BROADCAST = 1 << 4,
	SOCK_ORPHAN = 1 << 5, /* closed by the program: its handle is stale for it */
	SOCK_SHUT_RD = 1 << 6,
	SOCK_SHUT_WR = 1 << 7,
	SOCK_TX_QUEUED = 1 << 8, /* in st->ready (or st->waiting) */
	SOCK_EV_QUEUED = 1 << 9, /* in st->events */
	SOCK_NODELAY = 1 << 10,
	SOCK_CORK = 1 << 11,
	SOCK_KEEPALIVE = 1 << 12,
	SOCK_NO_CHECKSUM = 1 << 13,
	SOCK_MCAST_NO_LOOP = 1 << 14,
	SOCK_CONNECTED = 1 << 15, /* UDP: has a peer */
	SOCK_WAITING = 1 << 16,	  /* in st->waiting: its neighbour is not resolved yet */
	SOCK_MCAST_OWN = 1 << 17, /* UDP: hears the groups that it joined itself, no others */
	SOCK_PUBLIC = 1 << 18,	  /* BERTH_PUBLIC_SOURCE */
};

struct sock_link {
	uint32_t next, prev; /* socket ids, NIL */
};

struct sock {
	uint8_t proto;	/* BERTH_TCP, BERTH_UDP */
	uint8_t family; /* PORT_FAMILY_4, PORT_FAMILY_6 */
	uint8_t ttl, tos;
	uint32_t flags;	       /* SOCK_ */
	struct port_ref claim; /* PORT_REF_NONE: no port */
	uint64_t user;	       /* the program's word */
	union {
		struct sock_link ev;	      /* st->events */
		struct {		      /* a connection that waits for accept() has no events: tcp_listen.c */
			uint32_t accept_next; /* of its listener's queue, NIL */
			uint32_t listener;
		};
	};
	struct sock_link tx;	 /* st->ready, st->waiting */
	uint8_t ev_mask;	 /* what has not been said yet */
	uint8_t bind_iface;	 /* interface + 1; 0: any */
	int16_t err;		 /* SO_ERROR, as a negative errno */
	struct port_range range; /* BERTH_LOCAL_PORTS; {0, 0}: none */
};

/* Socket ids inside the stack: the protocol in bit 31, the slab's index below. Claims carry one in port_claim.user. */
#define SOCK_ID_UDP 0x80000000u
#define SOCK_ID_TIME_WAIT 0x40000000u /* port_claim.user only: index of a TIME-WAIT record */

/* --- a datagram that came in, as IP hands it up. Everything is borrowed for the call. --- */
struct packet {
	struct port_addr src, dst;
	const uint8_t *ip; /* the IP header, for ICMP errors that quote it; ip_len octets are there in one piece */
	uint32_t ip_len;
	const uint8_t *l4; /* the transport header; l4_head octets are there in one piece, the rest is in parts */
	uint32_t l4_head;
	uint32_t l4_len; /* header and data, parts too; the IP header's word, never more than the frame has */
	const struct berth_part *parts;
	uint16_t n_parts;
	uint16_t iface;
	uint16_t gso_size;
	uint8_t gso; /* enum berth_gso */
	uint8_t proto, ttl, tos;
	bool csum_known;  /* the transport checksum need not be looked at (device, loopback) */
	bool not_unicast; /* to a broadcast or multicast address, IP's or the link's (S11: no answers) */
	bool has_options; /* IPv4 options or IPv6 extension headers were there */
	bool has_flow;	  /* the batch look-up found flow already */
	struct port_ref flow;
	uint32_t flow_sock; /* its port_claim.user */
};

/* --- what is sent that belongs to no stream --- */
#define PKT_BYTES 2048
#define PKT_HEADROOM 128 /* for link and IP headers, written by ip_send() */
struct pkt {
	uint32_t next;
	uint16_t off, len; /* what is in data[] */
	uint16_t iface;
	uint8_t flags; /* BERTH_F_ */
	uint8_t l2_done;
	uint16_t csum_start, csum_offset; /* csum_start counts from data[off] */
	uint32_t hops_to;		  /* neighbour it waits for, NIL */
	uint8_t data[PKT_BYTES - 20];
};
_Static_assert(sizeof(struct pkt) == PKT_BYTES, "a packet buffer is 2 KiB");

struct pkt_queue {
	uint32_t first, last, n;
};

struct sock_queue {
	uint32_t first, last; /* socket ids */
};

/* Octets of st->scratch: the largest datagram, its link header, and room for an IPv6 chain that is put in front. */
#define STACK_SCRATCH_BYTES (65536 + 512)

struct iface;
struct ip_addr;
struct ip_route_entry;
struct neigh;
struct tcp_conn;
struct udp_sock;

struct berth_stack {
	struct berth_stack_config cfg;
	uint64_t now_ns;
	struct stack_keys keys;
	uint64_t random_counter;
	struct berth_counters n;
	struct wheel wheel;
	struct port_table ports;

	struct slab conns, udps,
		pkts; /* tcp_layout() and tcp_init() make conns, udp_layout() and udp_init() udps, stack.c pkts */
	struct sock_queue events;
	struct sock_queue ready;   /* have something to send; served in turn */
	struct sock_queue waiting; /* ... but the neighbour is not known yet; all go back to ready when one is */
	struct pkt_queue control;  /* complete frames, sent before anything else */
	struct pkt_queue held;	   /* parts of what output() gave out; free at the next input() or tick() */

	struct ip_state *ip;   /* ip.h */
	struct tcp_state *tcp; /* tcp.h */
	struct udp_state *udp; /* udp.h */
	uint8_t *scratch;      /* 64 KiB + headers: a datagram that came in pieces and must be in one */
	uint32_t route_epoch;  /* changes whenever routes, addresses, interfaces or path MTUs do */
	uint32_t n_pinned;
};

/* --- stack.c --- */

/* Memory is laid out twice: once to count (base NULL), once for real. */
struct arena {
	uint8_t *base; /* NULL: only counting */
	size_t at, len;
};
/* n octets, 64-byte aligned; NULL while counting. */
void *arena_take(struct arena *a, size_t n);

/* Behind each ring in the stack's memory (S30). Zeros, as that memory came, so nothing need be written or touched for it. */
#define RING_GUARD 64u
static inline bool ring_guard_ok(const uint8_t *end)
{
	static const uint8_t zeros[RING_GUARD];

	return memcmp(end, zeros, RING_GUARD) == 0;
}

/* Random octets for nonces and jitter: a counter under a keyed hash (S23). */
uint64_t stack_random(struct berth_stack *st);
/* Uniform in [0, n); n > 0. */
uint32_t stack_random_below(struct berth_stack *st, uint32_t n);
/* Every deadline that changed is in the wheel already: nothing else to tell. */

/* --- version.c --- */
/* theirs, which begins with its size, as this version has it. first_bytes: what the first version had, less is -EINVAL. -E2BIG: it says
 * something that this version does not know. */
MUST_CHECK int struct_in(void *own, size_t own_bytes, size_t first_bytes, const void *theirs);
/* own to theirs, as much as theirs has. 0; -EINVAL. */
MUST_CHECK int struct_out(void *theirs, const void *own, size_t own_bytes, size_t first_bytes);

/* --- event.c --- */
/* By id, in use; asserts that it is. */
static inline struct sock *sock_at(struct berth_stack *st, uint32_t id)
{
	const struct slab *s = id & SOCK_ID_UDP ? &st->udps : &st->conns;
	uint32_t i = id & ~SOCK_ID_UDP;

	ASSERT(slab_used(s, i));
	return slab_at(s, i); /* struct sock is the first member of both */
}
/* Something happened: bits are added to what has not been said. A socket that the program closed (SOCK_ORPHAN) says
 * BERTH_EV_CLOSED only: the other bits are left out. Its block stays, as TCP_CLOSED and without a claim, until that event was
 * fetched; berth_stack_events() then frees it (slab_give). So whoever says BERTH_EV_CLOSED does not free the block itself. */
void event_add(struct berth_stack *st, uint32_t id, uint32_t bits);
/* Take it out of the queue: the socket goes away without an event. Before slab_give(). */
void event_forget(struct berth_stack *st, uint32_t id);

/* Lists of sockets; ev: by sock.ev, else by sock.tx. */
void sock_list_add(struct berth_stack *st, struct sock_queue *q, uint32_t id, bool ev);
void sock_list_remove(struct berth_stack *st, struct sock_queue *q, uint32_t id, bool ev);
bool sock_list_check(const struct berth_stack *st, const struct sock_queue *q, bool ev, uint32_t flag, uint32_t *ret_n);

/* --- sock.c --- */
berth_sock sock_handle(const struct berth_stack *st, uint32_t id);
/* What a program gave us: every berth_sock_ function begins with it. -EBADF: stale, closed by the program, or a child that nobody
 * accepted yet. */
MUST_CHECK int sock_find(const struct berth_stack *st, berth_sock s, uint32_t *ret_id);
/* tcp_io.c has berth_sock_attach(), tx_space(), tx_commit(), rx_peek(), rx_consume(), send() and recv(); the last two give a UDP
 * socket (SOCK_ID_UDP) to udp_send() and udp_recv(). tcp_info.c and tcp_save.c have theirs. All others are in sock.c. */
/* The same for calls that are TCP's alone: the connection's index. -EBADF; -EOPNOTSUPP, it is UDP's. */
MUST_CHECK int sock_find_tcp(const struct berth_stack *st, berth_sock s, uint32_t *ret_index);
/* Common fields of a new socket. */
void sock_init(struct sock *s, int proto, int family, uint64_t user);
/* An address that a program gave as a peer, made sense of: the family's, a wildcard is the loopback, a link-local one has a scope.
 * -EAFNOSUPPORT; -ENETUNREACH, IPv4 on a socket that is IPv6's only; -EINVAL, no scope. */
MUST_CHECK int sock_peer(const struct sock *s, const struct berth_addr *a, struct port_addr *ret);
/* What the heart answered, r: -ENOBUFS is counted, for there are claims enough and only places can run out. Returns r. */
int sock_placed(struct berth_stack *st, int r);
/* Gives its claim back to the heart, if it has one. */
void sock_release(struct berth_stack *st, struct sock *s);
/* The socket has something to send, or may have: output() will ask it. */
void sock_ready(struct berth_stack *st, uint32_t id);
void sock_unready(struct berth_stack *st, uint32_t id);
/* Its neighbour is unknown yet: until sock_wake_waiting() nobody asks it. */
void sock_wait(struct berth_stack *st, uint32_t id);
void sock_wake_waiting(struct berth_stack *st);
/* It had its turn: to the end of st->ready. */
void sock_turn(struct berth_stack *st, uint32_t id);
bool sock_check(const struct berth_stack *st);
/* What the heart is to be told of this socket: flags, family, device, range, user; the address is the family's wildcard, the port 0. */
struct port_want sock_want(const struct berth_stack *st, const struct sock *s, uint32_t id);
/* The heart's microseconds. */
static inline uint64_t stack_now_us(const struct berth_stack *st)
{
	return st->now_ns / 1000;
}

/* A link-local address has its scope: interface number + 1, in berth_addr as in port_addr; all others have 0. */
static inline struct port_addr addr_of(const struct berth_addr *a)
{
	return port_addr_from6(a->ip, a->scope);
}
struct berth_addr addr_public(const struct port_addr *a, uint16_t port);

/* berth_tx.pin: bit 63 for packet buffers and UDP (stack.c), 0 for TCP (tcp_unpin()); 0 altogether: nothing is pinned. */
#define PIN_NOT_TCP (UINT64_C(1) << 63)
#define PIN_UDP (UINT64_C(1) << 62)

/* --- packet.c --- */
/* A buffer with PKT_HEADROOM octets free in front; NULL: none left (counted). */
struct pkt *pkt_take(struct berth_stack *st, uint32_t *ret_index);
void pkt_give(struct berth_stack *st, uint32_t index);
void pkt_queue_add(struct berth_stack *st, struct pkt_queue *q, uint32_t index);
uint32_t pkt_queue_take(struct berth_stack *st, struct pkt_queue *q); /* NIL: empty */
static inline struct pkt *pkt_at(struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->pkts, i);
}

#endif
