/* berth/stack.h: TCP, UDP and IP as a library that does no I/O.
 *
 *	frames in  ---> berth_stack_input()  \            / berth_stack_output() ---> frames out
 *	time in    ---> berth_stack_tick()    > the stack < berth_stack_deadline() -> when to call again
 *	calls      ---> berth_sock_...()     /            \ berth_stack_events() ---> which sockets changed
 *
 * A stack is memory that you give it. It has no thread, no clock, no descriptor, no callback and no global variable, and after
 * berth_stack_init() it allocates nothing. The same inputs give the same outputs, bit for bit: what it does can be replayed.
 *
 * Threads: one stack is one thread's at a time; two stacks have nothing in common. Signal handlers must not call it.
 *
 * The loop of a program (examples/stack/ has whole ones):
 *
 *	for (;;) {
 *		n = berth_stack_output(st, tx, 32, now());	... write the n frames; when n is 32, ask again
 *		n = berth_stack_events(st, ev, 32);		... accept, read, write, close
 *		wait for the device until berth_stack_deadline(st);
 *		berth_stack_input(st, rx, n_read, now());
 *		berth_stack_tick(st, now(), 256);
 *	}
 *
 * Time is nanoseconds of a monotonic clock, any origin. input, output and tick are told it; socket calls happen at the latest time
 * that was told. A time before the latest one counts as the latest one.
 *
 * Errors are negative errno numbers, and mean what the same call's errno means on Linux. No call blocks: -EAGAIN. A comment names the errors
 * that tell something; besides, every call on a socket may say -EBADF, one that is for the other protocol -EOPNOTSUPP (TCP's, of a UDP
 * socket) or -EPROTO (UDP's, of a TCP socket), and one with an argument that makes no sense -EINVAL.
 *
 * Structures that begin with struct_size may grow in a later version: the caller sets it to sizeof what it was compiled with. A field
 * that the caller's version lacks is 0 (its default) on the way in and left out on the way out; on the way in a field that this version lacks
 * must be 0 (-E2BIG), on the way out it is set to 0. Smaller than the first version's is -EINVAL.
 *
 * Handles (berth_sock) go stale when the socket is gone: a stale handle is -EBADF, never another socket.
 *
 * Who owns what, and how long (docs/stack.md, "Ownership"):
 *	frames given to berth_stack_input()	yours; the stack keeps nothing of them after the call
 *	struct berth_tx, its head[]		yours, filled in
 *	the parts of a berth_tx			the stack's or the socket's ring; good until the next call on this stack other than
 *						berth_stack_output(). BERTH_STACK_PIN: until berth_stack_unpin()
 *	a socket's rings			the stack's, or yours if attached; then until the socket's handle is stale
 *	what berth_sock_rx_peek() shows		the ring's; good until berth_sock_rx_consume()
 */
#ifndef BERTH_STACK_H
#define BERTH_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

#define BERTH_NEVER UINT64_MAX /* no deadline */

struct berth_stack;

/* 0: none. */
typedef uint64_t berth_sock;

/* An address and a port. IPv4 a.b.c.d is ::ffff:a.b.c.d, so one shape serves both families: 0.0.0.0 is berth_addr4(0, 0, 0, 0, 0), all
 * zeros are ::. Octets of ip stand as in the packet: inet_pton(AF_INET6) writes to ip, inet_pton(AF_INET) to ip + 12. */
struct berth_addr {
	uint8_t ip[16];
	uint32_t scope; /* link-local IPv6 addresses: the interface's number + 1; else 0 */
	uint16_t port;	/* host order */
	uint16_t zero;
};

static inline struct berth_addr berth_addr4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
	struct berth_addr r = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, 0, port, 0};

	return r;
}

/* --- making a stack --- */

enum {
	BERTH_STACK_PIN =
		1 << 0, /* parts of output stay untouched until berth_stack_unpin(): for asynchronous writers */
	BERTH_STACK_FORWARD = 1 << 1, /* reserved: must not be set. This stack is a host, not a router */
};

/* How much of everything, taken at once: rings make the most of it (n_rings pairs for TCP, n_udp pairs for UDP), 208 MB by default. What
 * no socket has used is not touched. A field that is 0 takes the default in brackets. docs/stack.md, "How much memory". */
struct berth_stack_config {
	uint32_t struct_size; /* sizeof(struct berth_stack_config): tells versions apart */
	uint32_t flags;
	uint8_t secret[32]; /* random; keys every hash, port, sequence number and identifier. All zeros: -EINVAL */

	uint32_t n_conns;     /* TCP sockets: connections, listeners and unconnected ones [1024] */
	uint32_t n_udp;	      /* UDP sockets [256] */
	uint32_t n_syn;	      /* handshakes that wait for their last segment, before cookies are used [1024] */
	uint32_t n_time_wait; /* connections in TIME-WAIT; the oldest goes when there are more [4096] */
	uint32_t n_ifaces;    /* [4] */
	uint32_t n_addrs;     /* addresses of all interfaces together [32] */
	uint32_t n_routes;    /* [64] */
	uint32_t n_neighs;    /* neighbours (ARP, ND) [256] */
	uint32_t n_groups;    /* multicast memberships [64] */
	uint32_t n_packets;   /* 2 KiB buffers for what belongs to no stream: ARP, ICMP, RST, UDP on its way [256] */
	uint32_t frag_bytes;  /* memory for reassembly, at most [256 KiB] */

	uint32_t n_rings;	/* pairs of rings for TCP sockets that have none attached [n_conns] */
	uint32_t rx_ring_bytes; /* a power of two, 4 KiB to 1 GiB [64 KiB] */
	uint32_t tx_ring_bytes; /* the same [64 KiB] */
	uint32_t
		udp_ring_bytes; /* a UDP socket's queues, receive and send each; the largest datagram needs [128 KiB] */
	uint32_t n_bursts;	/* records of 64 octets about segments in flight [16 for each pair of rings] */
	uint32_t n_gaps;	/* connections that may have holes in what they received, at once [n_conns / 4] */
	uint32_t n_work; /* connections that may have something under way at once; idle ones need none [n_conns] */
	/* Different ports, more exactly places, that all sockets hold at once. Sockets of TCP share a place when they have the same
	 * local address and port, interface and SO_REUSE flags, and are of one kind: listening; connected; only bound; in TIME-WAIT.
	 * So a listening port, the connections it accepted at one address and their TIME-WAITs are three, however many they are; a
	 * connect() from a port that no other socket has takes one, its TIME-WAIT keeps that; a UDP socket always has its own.
	 * Where there is none left bind(), listen() and connect() are -ENOBUFS, a handshake that would have been completed is not,
	 * and TIME-WAIT is left out; no_places counts them all. [n_conns + n_udp + n_time_wait: there is always one] */
	uint32_t n_places;
	uint32_t n_sources;	   /* sources in the filters of all memberships together, at most 4096 [256] */
	uint32_t n_filter_sources; /* in one filter, at most 256; Linux's limits are 10 for IPv4 and 64 [64] */
};

/* Octets of memory that berth_stack_init() wants for this configuration. 0: the configuration makes no sense. */
size_t berth_stack_size(const struct berth_stack_config *config);
/**
 * berth_stack_init() - a stack in your memory
 * @mem: 64-byte aligned, zeroed (as mmap and calloc give it), at least berth_stack_size(config) octets; yours to free when you
 *       are done. There is nothing to finish: a stack holds nothing but its memory
 *
 * Return: 0; -EINVAL, the configuration, the alignment or the secret make no sense; -E2BIG, it says something that this version does
 * not know; -ENOMEM, too little memory.
 */
int berth_stack_init(struct berth_stack **ret, void *mem, size_t len_bytes, const struct berth_stack_config *config,
		     uint64_t now_ns);

/* --- frames --- */

enum berth_gso {
	BERTH_GSO_NONE = 0,
	BERTH_GSO_TCP4 = 1,
	BERTH_GSO_UDP4 = 3,
	BERTH_GSO_TCP6 = 4,
	BERTH_GSO_UDP = 5
}; /* virtio's numbers */
enum {
	BERTH_F_NEEDS_CSUM =
		1, /* the checksum field holds the pseudo header's sum; complete it from csum_start (virtio) */
	BERTH_F_DATA_VALID = 2, /* in: the device checked the transport checksum */
	BERTH_F_GSO_ECN = 4,	/* a super-frame's first segment alone has CWR */
};

struct berth_part {
	const uint8_t *data;
	uint32_t len;
};

/* A frame that arrived. head holds at least all headers up to the transport's; what does not fit there is in parts. */
struct berth_rx {
	const uint8_t *head;
	const struct berth_part *parts;
	uint32_t head_len;
	uint16_t n_parts;
	uint16_t iface;
	uint8_t gso;	   /* enum berth_gso: a super-frame of segments of gso_size */
	uint8_t flags;	   /* BERTH_F_ */
	uint16_t gso_size; /* payload of each of its segments */
	/* With BERTH_F_NEEDS_CSUM. csum_start is from the frame's first octet, link header included. */
	uint16_t csum_start, csum_offset;
};

#define BERTH_TX_HEAD_MAX 160
#define BERTH_TX_PARTS_MAX 4

/* A frame to send: head, then the parts. */
struct berth_tx {
	uint8_t head[BERTH_TX_HEAD_MAX];
	struct berth_part parts[BERTH_TX_PARTS_MAX];
	uint16_t head_len;
	uint16_t n_parts;
	uint32_t len; /* of head and parts together */
	uint16_t iface;
	uint8_t gso, flags;
	uint16_t gso_size, hdr_len;	  /* gso: payload of each segment, octets before it (link header included) */
	uint16_t csum_start, csum_offset; /* as above */
	uint64_t pin;			  /* for berth_stack_unpin(); 0: nothing is pinned */
};

/* Takes all n frames, whatever is in them: a bad one is counted and dropped. Bounded work for each. */
void berth_stack_input(struct berth_stack *st, const struct berth_rx *v, unsigned n, uint64_t now_ns);
/* Fills at most n frames, returns how many. Fewer than n: there is no more for now. */
unsigned berth_stack_output(struct berth_stack *st, struct berth_tx *v, unsigned n, uint64_t now_ns);
void berth_stack_unpin(struct berth_stack *st, uint64_t pin);
/* When to call berth_stack_tick() and berth_stack_output() at the latest. In the past: now. */
uint64_t berth_stack_deadline(const struct berth_stack *st);
/* Runs at most budget timers that are due; returns how many it ran. budget: there may be more. */
unsigned berth_stack_tick(struct berth_stack *st, uint64_t now_ns, unsigned budget);

/* --- events --- */

enum {
	BERTH_EV_IN = 1 << 0,	  /* data, a datagram, end of stream, or (listener) a connection to accept */
	BERTH_EV_OUT = 1 << 1,	  /* room to write, or a connect() that is done (ask BERTH_SO_ERROR) */
	BERTH_EV_RDHUP = 1 << 2,  /* the peer will send no more */
	BERTH_EV_HUP = 1 << 3,	  /* both directions are over */
	BERTH_EV_ERR = 1 << 4,	  /* an error waits: BERTH_SO_ERROR */
	BERTH_EV_PRI = 1 << 5,	  /* urgent data arrived */
	BERTH_EV_CLOSED = 1 << 6, /* TCP: the socket was closed by you before and is gone now; its handle is stale */
};

/* What changed since it was last said. One event for each socket, however much happened to it. As with EPOLLET, what was said is not said
 * again while it lasts: accept and read until -EAGAIN, write until less was taken than there was. A new connection may be written to
 * without being told so. BERTH_EV_CLOSED comes once for each TCP socket that was closed or aborted, whatever it was: what `user` points
 * to may go then. Its block is free from then on, so events must be fetched. */
struct berth_event {
	berth_sock sock;
	uint64_t user; /* as given to berth_sock_open() or berth_sock_accept() */
	uint32_t mask; /* BERTH_EV_ */
	int32_t err;   /* with BERTH_EV_ERR: a negative errno. It stays until it is asked for or told by a call */
};

unsigned berth_stack_events(struct berth_stack *st, struct berth_event *v, unsigned n);
/* What is so now: the same bits, as poll() would give them. Negative errno: -EBADF. */
int berth_sock_poll(struct berth_stack *st, berth_sock s);

/* --- sockets --- */

enum { BERTH_TCP = 6, BERTH_UDP = 17 };
enum { BERTH_IPV4 = 4, BERTH_IPV6 = 6 }; /* IPV6: both families, unless BERTH_V6ONLY */

/* user: yours, handed back with each event. Return: 0; -EPROTONOSUPPORT; -EAFNOSUPPORT; -ENOBUFS, none left. */
int berth_sock_open(struct berth_stack *st, int proto, int family, uint64_t user, berth_sock *ret);
/* As bind(2), by Linux's rules (docs/linux-bind.md): the heart's. Return: 0; -EADDRINUSE; -EADDRNOTAVAIL, not an address of ours, or
 * still being checked (berth_addr_add()); -EACCES; -EINVAL, bound already; -EAFNOSUPPORT. */
int berth_sock_bind(struct berth_stack *st, berth_sock s, const struct berth_addr *a);
/* backlog: connections that wait for accept, n_conns at most. Again: changes it. Return: 0; -EADDRINUSE; -EINVAL, is or was a
 * connection; -ENOBUFS. */
int berth_sock_listen(struct berth_stack *st, berth_sock s, unsigned backlog);
/* The oldest connection whose handshake is done. Return: 0; -EAGAIN; -EINVAL, no listener; -EBADF. */
int berth_sock_accept(struct berth_stack *st, berth_sock s, uint64_t user, berth_sock *ret,
		      struct berth_addr *ret_peer);
/* UDP: 0; a NULL address disconnects. TCP: -EINPROGRESS, then an event: BERTH_EV_OUT, or BERTH_EV_ERR with
 *	-ECONNREFUSED	a reset, or "port unreachable"
 *	-EHOSTUNREACH	the neighbour (peer or router) did not answer for three seconds, or interface, address or route went; or at the
 *			end, when routers had said so
 *	-ETIMEDOUT	no answer to BERTH_SYNCNT repetitions (127 s), or within BERTH_USER_TIMEOUT_MS
 * "Host unreachable" and "net unreachable" do not end it, as they do on Linux: routes come back (RFC 9293, MUST-56).
 * At once, with nothing changed: -ENETUNREACH, no route; -EADDRNOTAVAIL, no source address that is good yet (berth_addr_add()), or no port
 * left; -EALREADY; -EISCONN; -EADDRINUSE, that very connection exists; -EAFNOSUPPORT; -ENOBUFS. A socket whose attempt failed may try
 * again. */
int berth_sock_connect(struct berth_stack *st, berth_sock s, const struct berth_addr *peer);
/* Your own memory as rings: lengths are powers of two, 4 KiB to 1 GiB. Before connect(), or right after accept() (what arrived
 * already moves over). Return: 0; -EINVAL, also when they overlap each other, or the ring that octets would move out of; -EISCONN, too
 * late; -ENOBUFS, more has arrived than fits; -EBADF. */
int berth_sock_attach(struct berth_stack *st, berth_sock s, uint8_t *rx, uint32_t rx_bytes, uint8_t *tx,
		      uint32_t tx_bytes);

/* Free room of the sending ring, at most two pieces; returns its octets, 0 when there is none, or -EBADF, -EPIPE, -ENOTCONN, the
 * socket's error. Write there, then commit. */
int64_t berth_sock_tx_space(struct berth_stack *st, berth_sock s, struct berth_part v[2]);
enum {
	BERTH_MORE = 1,	  /* more follows at once: no PSH, wait to fill a segment (MSG_MORE) */
	BERTH_URGENT = 2, /* urgent data ends with the last octet (MSG_OOB; RFC 9293, 3.8.5) */
};
int berth_sock_tx_commit(struct berth_stack *st, berth_sock s, uint32_t len, uint32_t flags);
/* What arrived, in order, at most two pieces; returns its octets. 0: end of stream; -EAGAIN: nothing yet; -ENOTCONN; -EBADF, or the
 * socket's error. */
int64_t berth_sock_rx_peek(struct berth_stack *st, berth_sock s, struct berth_part v[2]);
int berth_sock_rx_consume(struct berth_stack *st, berth_sock s, uint32_t len);
/* The same with a copy, as send(2) and recv(2). */
int64_t berth_sock_send(struct berth_stack *st, berth_sock s, const void *data, uint32_t len, uint32_t flags);
int64_t berth_sock_recv(struct berth_stack *st, berth_sock s, void *data, uint32_t len);

/* A datagram, or a train of them: gso_size octets each, the last may be shorter. */
struct berth_dgram {
	struct berth_addr peer;	 /* send: to (all zeros: where the socket is connected); receive: from */
	struct berth_addr local; /* send: from (all zeros: chosen); receive: to */
	void *data;
	uint32_t len; /* receive: in the room, out the datagram's length, which may be more than the room */
	uint16_t
		gso_size; /* 0: one datagram. receive: not 0 if a train is welcome, else it comes one by one; out, what it is */
	uint8_t ttl, tos; /* send: 0 takes the socket's */
	uint16_t iface;	  /* receive: where it came in; send: BERTH_IFACE_ANY or the way to take */
	uint16_t zero;
};
#define BERTH_IFACE_ANY UINT16_MAX
/* Returns how many of the n were taken; the first one's error if none was: -EAGAIN, the queue is full; -EMSGSIZE; -EDESTADDRREQ;
 * -ENETUNREACH; -EACCES, broadcast without BERTH_BROADCAST; the socket's error (-ECONNREFUSED); -EBADF. */
int berth_sock_udp_send(struct berth_stack *st, berth_sock s, const struct berth_dgram *v, unsigned n);
int berth_sock_udp_recv(struct berth_stack *st, berth_sock s, struct berth_dgram *v, unsigned n);

enum { BERTH_SHUT_RD = 1, BERTH_SHUT_WR = 2 };
/* Return: 0; -ENOTCONN; -EINVAL. */
int berth_sock_shutdown(struct berth_stack *st, berth_sock s, int how);
/* The handle is stale from here on, for you; TCP ends as close(2) does, and BERTH_EV_CLOSED says when it is over: what was written still goes
 * out (a reset instead, as on Linux, when there are octets that you did not read). Rings that you attached are the stack's until then. */
int berth_sock_close(struct berth_stack *st, berth_sock s);
/* Close with a reset (SO_LINGER 0). */
int berth_sock_abort(struct berth_stack *st, berth_sock s);

enum berth_option {
	BERTH_SO_ERROR = 1,    /* get: the error that waits, as a positive errno, and takes it away */
	BERTH_REUSEADDR,       /* SO_REUSEADDR */
	BERTH_REUSEPORT,       /* SO_REUSEPORT */
	BERTH_V6ONLY,	       /* IPV6_V6ONLY */
	BERTH_FREEBIND,	       /* IP_FREEBIND */
	BERTH_BIND_IFACE,      /* SO_BINDTODEVICE: interface number + 1; 0: none */
	BERTH_LOCAL_PORTS,     /* IP_LOCAL_PORT_RANGE: first | last << 16 */
	BERTH_BROADCAST,       /* SO_BROADCAST */
	BERTH_TTL,	       /* IP_TTL, IPV6_UNICAST_HOPS */
	BERTH_TOS,	       /* IP_TOS, IPV6_TCLASS; TCP: without its ECN bits */
	BERTH_MULTICAST_TTL,   /* [1] */
	BERTH_MULTICAST_LOOP,  /* [1] */
	BERTH_MULTICAST_IFACE, /* interface number + 1 */
	BERTH_NODELAY,	       /* TCP_NODELAY */
	BERTH_CORK,	       /* TCP_CORK */
	BERTH_QUICKACK,	       /* TCP_QUICKACK */
	BERTH_KEEPALIVE,       /* SO_KEEPALIVE */
	BERTH_KEEPIDLE_S,      /* TCP_KEEPIDLE [7200] */
	BERTH_KEEPINTVL_S,     /* TCP_KEEPINTVL [75] */
	BERTH_KEEPCNT,	       /* TCP_KEEPCNT [9] */
	BERTH_USER_TIMEOUT_MS, /* TCP_USER_TIMEOUT; 0: the standard's */
	BERTH_LINGER2_S,       /* TCP_LINGER2: how long FIN-WAIT-2 lasts once closed [60] */
	BERTH_MAXSEG,	       /* TCP_MAXSEG; get: the segment size in use */
	BERTH_CONGESTION,      /* enum berth_congestion */
	BERTH_PACING,	       /* 1: pace; 0: do not [0]; more: at most so many octets a second */
	BERTH_ECN,	       /* RFC 3168: 0 no, 1 ask and answer, 2 answer only [2] */
	BERTH_RCVBUF,	       /* octets of the receive ring to use at most; 0: tuned by itself [0] */
	BERTH_SNDBUF,	       /* of the sending ring [0] */
	BERTH_RCVLOWAT,	       /* BERTH_EV_IN from so many octets on [1] */
	BERTH_NOTSENT_LOWAT,   /* TCP_NOTSENT_LOWAT: BERTH_EV_OUT while less than so much is unsent */
	BERTH_DEFER_ACCEPT_S,  /* TCP_DEFER_ACCEPT */
	BERTH_FASTOPEN,	       /* TCP_FASTOPEN: the listener's queue; 0 off */
	BERTH_PMTUDISC,	       /* enum as IP_PMTUDISC_: 0 never (fragment), 1 want, 2 do, 3 probe [1] */
	BERTH_SYNCOOKIES,      /* listener: 0 never, 1 when the cache is full, 2 always [1] */
	BERTH_NO_CHECKSUM,     /* UDP over IPv4: send without one */
	BERTH_TIMESTAMPS,      /* offer and accept them (RFC 7323) [1] */
	BERTH_SACK,	       /* the same (RFC 2018) [1] */
	BERTH_WINDOW_SCALING,  /* the same (RFC 7323) [1] */
	BERTH_SYNCNT,	       /* TCP_SYNCNT: how often a SYN is sent again [6] */
	BERTH_MTU_PROBING, /* look for the path's MTU without routers (RFC 4821): 0 never, 1 after a black hole, 2 always [1] */
	BERTH_TRAIN, /* segments of a super-frame: 0, as many as fit [0]; n: a millisecond's worth, at least n, as Linux */
	BERTH_SYN_LINEAR,   /* so many timeouts of a SYN before they double [0] */
	BERTH_IDLE_RESTART, /* a window that was not used for an RTO shrinks (RFC 2861, RFC 5681, 4.1) [1] */
	BERTH_MULTICAST_ALL, /* UDP: hear groups that others here joined: IP_MULTICAST_ALL, of IPv6 sockets IPV6_MULTICAST_ALL [1] */
	BERTH_UTO, /* RFC 5482: 1: SYN and SYN-ACK tell BERTH_USER_TIMEOUT_MS, if there is one; if not, what the peer tells holds, from 2 to
		      30 minutes. 2: it also lengthens the one that is told. 0: none of it [0] */
	BERTH_FASTOPEN_ROOM, /* get: octets that may go with a SYN that has not left yet; 0: none, or no cookie for the peer */
	BERTH_PUBLIC_SOURCE, /* IPv6: where IP chooses the source, one that stays before a temporary one (BERTH_IF_TEMP_ADDRS):
				IPV6_PREFER_SRC_PUBLIC. Before connect(), or at any time of UDP that is not connected [0] */
	BERTH_NOPTIONS,
};
enum berth_congestion { BERTH_NEWRENO = 0, BERTH_CUBIC = 1 };
/* Return: 0; -EINVAL, not such a value; -ENOPROTOOPT, not for this kind of socket. Children inherit a listener's. */
int berth_sock_set(struct berth_stack *st, berth_sock s, enum berth_option o, uint64_t value);
int berth_sock_get(struct berth_stack *st, berth_sock s, enum berth_option o, uint64_t *ret);
/* Either may be NULL. Return: 0; -ENOTCONN, no peer; -EBADF. */
int berth_sock_names(struct berth_stack *st, berth_sock s, struct berth_addr *ret_local, struct berth_addr *ret_peer);
/* Multicast: iface number, or BERTH_IFACE_ANY for the route's. A source-specific group (232.0.0.0/8, ff3x::/32) that is joined so is heard, but
 * no router is told (RFC 4604): BERTH_SOURCE_JOIN is for those. Return: 0; -EADDRINUSE, joined already; -EADDRNOTAVAIL; -ENODEV;
 * -ENOBUFS; -EINVAL; -EBADF. */
int berth_sock_join(struct berth_stack *st, berth_sock s, const struct berth_addr *group, uint16_t iface);
int berth_sock_leave(struct berth_stack *st, berth_sock s, const struct berth_addr *group, uint16_t iface);
/* Source filters (RFC 3678): a membership hears all senders but those in its list, as after berth_sock_join(), or those in its list alone. What
 * all sockets want of a group together is told to routers by IGMPv3 and MLDv2, and what none of them wants is not taken in. Sources are
 * addresses of the group's family that can send: no group, no wildcard. Their ports do not count. mcast_filtered counts what was not delivered.
 *
 * One source, as Linux's options do. JOIN joins the group if need be; a filter without sources changes its mode (JOIN); LEAVE of the last one
 * leaves the group. Return: 0; -EINVAL, not joined (not JOIN), or the filter is of the other mode; -EADDRNOTAVAIL, it is in the list
 * already, or is not; -ENOBUFS, n_filter_sources, n_sources or n_groups; -ENODEV; -EBADF. Nothing has changed then. */
enum berth_source_change {
	BERTH_SOURCE_JOIN,    /* hear it, too: IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_SOURCE_GROUP */
	BERTH_SOURCE_LEAVE,   /* no more: IP_DROP_SOURCE_MEMBERSHIP, MCAST_LEAVE_SOURCE_GROUP */
	BERTH_SOURCE_BLOCK,   /* hear all but it, too: IP_BLOCK_SOURCE, MCAST_BLOCK_SOURCE */
	BERTH_SOURCE_UNBLOCK, /* hear it again: IP_UNBLOCK_SOURCE, MCAST_UNBLOCK_SOURCE */
};
int berth_sock_source(struct berth_stack *st, berth_sock s, enum berth_source_change change,
		      const struct berth_addr *group, const struct berth_addr *source, uint16_t iface);
/* The whole filter of a group that is joined, as IP_MSFILTER and MCAST_MSFILTER; routers are told the difference. To include nobody is to leave.
 * A source that is there twice counts once. Return: 0; -EINVAL, not joined; -EADDRNOTAVAIL, not joined (to include nobody);
 * -ENOBUFS, too many; -ENODEV; -EBADF. */
enum berth_filter_mode { BERTH_EXCLUDE = 0, BERTH_INCLUDE = 1 }; /* Linux's numbers */
int berth_sock_set_filter(struct berth_stack *st, berth_sock s, const struct berth_addr *group, uint16_t iface,
			  enum berth_filter_mode mode, const struct berth_addr *sources, unsigned n);
/* *n: in, room for so many; out, so many there are, which may be more. In the order in which they came. Return: 0; -EADDRNOTAVAIL, not joined;
 * -ENODEV; -EINVAL; -EBADF. */
int berth_sock_get_filter(struct berth_stack *st, berth_sock s, const struct berth_addr *group, uint16_t iface,
			  enum berth_filter_mode *ret_mode, struct berth_addr *sources, unsigned *n);

/* As Linux's struct tcp_info, in the units of its names. */
struct berth_tcp_info {
	uint32_t struct_size; /* set by the caller */
	uint8_t state;	      /* Linux's numbers: 1 established ... 11 closing */
	uint8_t ca_state;     /* 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss */
	uint8_t retransmits, probes, backoff;
	uint8_t snd_wscale, rcv_wscale;
	uint8_t options; /* 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 16 ECN seen, 32 fast open */
	uint32_t rto_us, ato_us, rtt_us, rttvar_us, min_rtt_us, rcv_rtt_us;
	uint32_t snd_mss, rcv_mss, advmss, pmtu;
	uint32_t snd_cwnd, snd_ssthresh; /* segments */
	uint32_t snd_wnd, rcv_wnd, rcv_space;
	uint32_t unacked, sacked, lost, retrans, reordering; /* segments */
	uint32_t notsent_bytes;
	uint32_t reord_seen, total_retrans;
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans;
	uint64_t segs_out, segs_in, data_segs_out, data_segs_in, dsack_dups;
	uint64_t delivery_rate_bps, pacing_rate_bps; /* octets a second */
	uint32_t last_data_sent_ms, last_ack_sent_ms, last_data_recv_ms, last_ack_recv_ms;
	uint32_t rcv_ooopack, snd_una, snd_nxt, rcv_nxt;
	uint32_t user_timeout_ms; /* the one that holds, by BERTH_USER_TIMEOUT_MS and BERTH_UTO; 0: none */
	uint32_t peer_uto_s;	  /* what the peer told last; 0: nothing, or BERTH_UTO is off */
};
int berth_sock_tcp_info(struct berth_stack *st, berth_sock s, struct berth_tcp_info *ret);
/* All sockets that you have a handle of, in the order of their slots: start with *cursor 0. Return: 1; 0 at the end. */
int berth_sock_next(struct berth_stack *st, uint32_t *cursor, berth_sock *ret);

/* A connection as octets, and back: for a program that replaces itself. The saved one goes silent and is gone (no reset is sent).
 * save returns the octets needed (data NULL, nothing happens) or written, or -ENOBUFS when len is less, -EBADF, -EINVAL (not an established
 * or half-closed connection). There is no BERTH_EV_CLOSED of it.
 * The other stack may have another secret and another clock; it needs the interfaces and addresses first, and should get no frames before
 * the connection is there: it would reset it. An event tells what there is to read. Return: 0; -EINVAL, not such octets; -EADDRINUSE,
 * the connection exists; -EADDRNOTAVAIL, -ENETUNREACH, no such address or no way; -ENOBUFS. */
int64_t berth_sock_save(struct berth_stack *st, berth_sock s, void *data, uint32_t len);
int berth_sock_restore(struct berth_stack *st, const void *data, uint32_t len, uint64_t user, berth_sock *ret);

/* --- interfaces, addresses, routes --- */

enum berth_link { BERTH_LINK_IP = 0, BERTH_LINK_ETHERNET = 1 };
enum {
	BERTH_IF_TX_CSUM = 1, /* the device completes checksums (BERTH_F_NEEDS_CSUM) */
	BERTH_IF_TSO4 = 2,
	BERTH_IF_TSO6 = 4,
	BERTH_IF_USO = 8,
	BERTH_IF_TSO_ECN = 16,
	BERTH_IF_LOOPBACK = 32,	   /* what is sent comes back in: no neighbours, no checksums */
	BERTH_IF_NO_DAD = 64,	   /* addresses are good at once (RFC 4862, 5.4 is left out) */
	BERTH_IF_ROUTER_ADV = 128, /* listen to router advertisements, make addresses by them (RFC 4862) */
	/* With BERTH_IF_ROUTER_ADV: besides, for each prefix, temporary addresses, one after the other, which connections that begin
	 * here use (RFC 8981; Linux's use_tempaddr of 2). Who comes to another network takes the interface down and up. */
	BERTH_IF_TEMP_ADDRS = 256,
};
struct berth_iface {
	uint32_t struct_size;
	uint8_t link; /* enum berth_link */
	uint8_t mac[6];
	uint8_t zero;
	uint32_t flags;
	uint32_t mtu_bytes;	/* of IP, 68 (IPv6: 1280) to 65535 */
	uint32_t gso_max_bytes; /* of a super-frame, IP header included [65535] */
	char name[16];
	/* BERTH_IF_TEMP_ADDRS: how long an address lives at most, and how long new connections use it; less by up to two fifths, by
	 * chance. 600 or more, and less than it lives [172800, 86400: two days, one day] */
	uint32_t temp_valid_s, temp_preferred_s;
};
/* Interfaces are numbers from 0, and up from the start. 127.0.0.1/8 and ::1 are there without any. All calls here: 0; -EINVAL; -E2BIG;
 * -ENOBUFS; -EEXIST; -ENODEV; -ESRCH. Those that end in _next() walk: start with *cursor 0; 1, 0 at the end, -EINVAL. What changes during a
 * walk may be missed or seen twice. */
int berth_iface_add(struct berth_stack *st, const struct berth_iface *i, uint16_t *ret);
int berth_iface_remove(struct berth_stack *st, uint16_t iface);
int berth_iface_set_up(struct berth_stack *st, uint16_t iface, bool up);
/* Below 1280 there is no IPv6 on an interface (RFC 8200, 5), as on Linux: its IPv6 addresses go, as if each were removed, and so does what
 * routers said. From 1280 on they may be added again; with BERTH_IF_ROUTER_ADV the link-local one comes by itself, and routers are asked.
 * Routes, neighbours and memberships that were added stay, and count again then (on Linux they go, too). */
int berth_iface_set_mtu(struct berth_stack *st, uint16_t iface, uint32_t mtu_bytes);
struct berth_iface_info {
	uint32_t struct_size; /* set by the caller */
	uint16_t iface;
	uint8_t link; /* enum berth_link */
	bool up;
	uint8_t mac[6];
	uint8_t hop_limit; /* that routers advertise (RFC 4861, 4.2); 0: none did */
	uint8_t zero;
	uint32_t flags;			/* BERTH_IF_ */
	uint32_t mtu_bytes, mtu6_bytes; /* of IP; of IPv6, where a router advertised less */
	uint32_t gso_max_bytes;
	char name[16];
};
int berth_iface_next(struct berth_stack *st, uint32_t *cursor, struct berth_iface_info *ret);
/* prefix_bits: the family's own, 0 to 32 or 0 to 128; brings the route to that prefix along. On Ethernet an address is BERTH_ADDR_TENTATIVE
 * while it is asked for on the link, and cannot be used: 1 to 2 s (IPv6), 4 to 7 s (IPv4). No event tells the end; look with
 * berth_addr_next(). BERTH_IF_NO_DAD leaves that out, and interfaces without link addresses do not have it. */
int berth_addr_add(struct berth_stack *st, uint16_t iface, const struct berth_addr *a, unsigned prefix_bits);
int berth_addr_remove(struct berth_stack *st, uint16_t iface, const struct berth_addr *a);
enum {
	BERTH_ADDR_TENTATIVE = 1,
	BERTH_ADDR_DUPLICATE = 2,
	BERTH_ADDR_DEPRECATED = 4, /* new connections use another one, if there is one */
	BERTH_ADDR_AUTO = 8,	   /* made by a router's word */
	BERTH_ADDR_TEMPORARY = 16, /* ... for a time (BERTH_IF_TEMP_ADDRS); removed, another follows that word */
};
struct berth_addr_info {
	uint32_t struct_size; /* set by the caller */
	struct berth_addr addr;
	uint16_t iface;
	uint8_t prefix_bits, flags;
	uint64_t valid_until_ns, preferred_until_ns; /* BERTH_NEVER */
};
int berth_addr_next(struct berth_stack *st, uint32_t *cursor, struct berth_addr_info *ret);
/* prefix_bits as above. gateway NULL: on the link. Lower metric first. The default route of IPv4 is to berth_addr4(0, 0, 0, 0, 0), that of
 * IPv6 to all zeros, 0 bits both. */
int berth_route_add(struct berth_stack *st, const struct berth_addr *net, unsigned prefix_bits,
		    const struct berth_addr *gateway, uint16_t iface, uint32_t metric);
int berth_route_remove(struct berth_stack *st, const struct berth_addr *net, unsigned prefix_bits, uint16_t iface);
enum berth_route_origin {
	BERTH_ROUTE_STATIC,   /* berth_route_add() */
	BERTH_ROUTE_ON_LINK,  /* an address's prefix */
	BERTH_ROUTE_PREFIX,   /* a prefix that a router says is on the link */
	BERTH_ROUTE_ROUTER,   /* a router advertised itself (RFC 4861, 6.3.4) or a way (RFC 4191) */
	BERTH_ROUTE_REDIRECT, /* a better first hop for one address (RFC 4861, 8.3) */
};
struct berth_route_info {
	uint32_t struct_size; /* set by the caller */
	struct berth_addr net, gateway;
	uint16_t iface;
	uint8_t prefix_bits; /* the family's own */
	bool has_gateway;
	uint8_t origin;	   /* enum berth_route_origin */
	int8_t preference; /* RFC 4191: 1 high, 0 medium, -1 low */
	uint8_t zero[2];
	uint32_t metric;
	uint64_t valid_until_ns; /* BERTH_NEVER */
};
/* In the order in which routes are asked: the longest prefix first, then the lowest metric, then the routers' preference. */
int berth_route_next(struct berth_stack *st, uint32_t *cursor, struct berth_route_info *ret);
int berth_neigh_add(struct berth_stack *st, uint16_t iface, const struct berth_addr *a,
		    const uint8_t mac[6]); /* for good */
int berth_neigh_remove(struct berth_stack *st, uint16_t iface, const struct berth_addr *a);
enum berth_neigh_state {		   /* RFC 4861, 7.3.2, for ARP too */
			 BERTH_NEIGH_NONE, /* a router's or a queued packet's next hop that nobody asked for yet */
			 BERTH_NEIGH_INCOMPLETE,
			 BERTH_NEIGH_REACHABLE,
			 BERTH_NEIGH_STALE,
			 BERTH_NEIGH_DELAY,
			 BERTH_NEIGH_PROBE,
			 BERTH_NEIGH_FAILED,	/* did not answer; asked again a second later at the earliest */
			 BERTH_NEIGH_PERMANENT, /* berth_neigh_add() */
};
struct berth_neigh_info {
	uint32_t struct_size; /* set by the caller */
	struct berth_addr addr;
	uint16_t iface;
	uint8_t mac[6]; /* zeros while nobody answered */
	uint8_t state;	/* enum berth_neigh_state */
	bool is_router;
	uint8_t n_queued; /* packets that wait for its address; what sockets have waits there */
	uint8_t zero;
};
int berth_neigh_next(struct berth_stack *st, uint32_t *cursor, struct berth_neigh_info *ret);

/* --- settings of the whole stack, and what it counted --- */

struct berth_port_settings {
	uint16_t ephemeral_first, ephemeral_last; /* ip_local_port_range */
	uint16_t unprivileged_start;		  /* ip_unprivileged_port_start; 0: everybody may have every port [0] */
};
int berth_stack_set_ports(struct berth_stack *st, const struct berth_port_settings *p);
int berth_stack_reserve_ports(struct berth_stack *st, uint16_t first, uint16_t last, bool reserved);

/* All count up from 0. neigh_chain_max is the longest chain there was in the table of neighbours; 16 is the bound. flow_chain_max is the
 * longest that a segment or datagram had to walk to its flow: no bound, but the hash is keyed, and beyond some ten somebody knows the key.
 * temp_addrs_taken: prefixes without temporary addresses, because somebody else had three of them (RFC 8981, 3.4).
 * mcast_filtered: datagrams whose sender no member of the group here wants, and each time that a socket's own filter kept one from it.
 * The formatter never comes to rest on this list. */
/* clang-format off */
#define BERTH_COUNTERS(X) \
	X(frames_in) X(frames_out) X(octets_in) X(octets_out) X(dropped_malformed) X(dropped_checksum) \
	X(dropped_not_ours) X(dropped_no_buffer) X(dropped_no_route) X(dropped_policy) X(arp_in) X(arp_out) \
	X(nd_in) X(nd_out) X(icmp_in) X(icmp_out) X(icmp_limited) X(icmp_rejected) X(frag_in) X(frag_done) \
	X(frag_timeout) X(frag_overlap) X(frag_evicted) X(frag_out) X(neigh_evicted) X(neigh_failed) \
	X(udp_in) X(udp_out) X(udp_no_port) X(udp_queue_full) X(tcp_segs_in) X(tcp_segs_out) X(tcp_retrans) \
	X(tcp_rst_in) X(tcp_rst_out) X(tcp_active_opens) X(tcp_passive_opens) X(tcp_attempt_fails) \
	X(tcp_estab_resets) X(tcp_syn_dropped) X(tcp_accept_overflow) X(tcp_cookies_sent) X(tcp_cookies_ok) \
	X(tcp_cookies_bad) X(tcp_challenge_acks) X(tcp_challenge_limited) X(tcp_paws_dropped) \
	X(tcp_out_of_window) X(tcp_ooo_queued) X(tcp_ooo_dropped) X(tcp_dsack_out) X(tcp_dsack_in) \
	X(tcp_sack_ignored) X(tcp_rto) X(tcp_tlp) X(tcp_fast_recovery) X(tcp_undo) X(tcp_spurious_rto) \
	X(tcp_zero_window_probes) X(tcp_keepalive_probes) X(tcp_time_wait) X(tcp_time_wait_reused) \
	X(tcp_time_wait_evicted) X(tcp_ecn_ce_in) X(tcp_aborts) X(tcp_timeouts) X(tcp_no_memory) \
	X(tcp_fast_open) X(mcast_reports_out) X(mcast_queries_in) X(neigh_chain_max) \
	X(tcp_no_work) X(no_places) X(flow_chain_max) X(temp_addrs_taken) X(mcast_filtered)
/* clang-format on */
struct berth_counters {
	uint32_t struct_size; /* set by the caller */
	uint32_t zero;
#define BERTH_COUNTER_FIELD(name) uint64_t name;
	BERTH_COUNTERS(BERTH_COUNTER_FIELD)
#undef BERTH_COUNTER_FIELD
};
int berth_stack_counters(const struct berth_stack *st, struct berth_counters *ret); /* 0; -EINVAL */

/* How much of what the configuration set aside is in use: which bound is near, and what a smaller configuration would have sufficed. */
struct berth_used {
	uint32_t used, peak; /* now, and the most there ever were */
	uint32_t limit;
};
/* clang-format off */
#define BERTH_USAGE(X) \
	X(conns)	/* n_conns */ \
	X(work)		/* n_work: of those, the ones with something under way; idle ones keep theirs until another needs it */ \
	X(rings)	/* n_rings */ \
	X(bursts)	/* n_bursts */ \
	X(gaps)		/* n_gaps */ \
	X(syns)		/* n_syn */ \
	X(time_waits)	/* n_time_wait */ \
	X(udp)		/* n_udp */ \
	X(packets)	/* n_packets */ \
	X(sources)	/* n_sources */
/* clang-format on */
struct berth_usage {
	uint32_t struct_size;  /* set by the caller */
	uint32_t n_orphans;    /* of conns: closed by the program, and not by TCP yet */
	uint32_t n_ports;      /* claims: bound sockets, connections, TIME-WAITs */
	uint32_t n_frag_bytes; /* of frag_bytes */
#define BERTH_USAGE_FIELD(name) struct berth_used name;
	BERTH_USAGE(BERTH_USAGE_FIELD)
#undef BERTH_USAGE_FIELD
};
int berth_stack_usage(const struct berth_stack *st, struct berth_usage *ret); /* 0; -EINVAL */

/* The slow checker: every invariant of every structure. False: a bug. */
bool berth_stack_check(const struct berth_stack *st);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
