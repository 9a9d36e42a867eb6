/* src/host/socket.h: the sockets of the machine's own kernel: who holds which of its ports.
 *
 * One row is one socket that has a port (raw: a protocol number): TCP in every state, bound and idle ones
 * too, which ss does not list by default; UDP; raw; IPv4 and IPv6. The kernel is asked by NETLINK_SOCK_DIAG with ports and
 * states as a filter of its own, so that one port costs the same among a hundred thousand sockets. Where there
 * is no netlink the rows come from /proc/net, which knows no bound and idle TCP sockets, no cookies and no cgroups;
 * struct host_notes says so.
 */
#ifndef BERTH_HOST_SOCKET_H
#define BERTH_HOST_SOCKET_H

#include "host/root.h"
#include "port/table.h"

/* The first two are enum port_proto. */
enum host_proto { HOST_TCP = PORT_TCP, HOST_UDP = PORT_UDP, HOST_RAW };
#define HOST_NPROTOS 3
extern const char *const host_proto_name[HOST_NPROTOS]; /* "tcp", "udp", "raw" */

/* The kernel's numbers. UDP and raw are ESTABLISHED (connected) or BOUND. */
enum host_state {
	HOST_ESTABLISHED = 1,
	HOST_SYN_SENT,
	HOST_SYN_RECV, /* a caller of a listener's: the handshake is not done */
	HOST_FIN_WAIT1,
	HOST_FIN_WAIT2,
	HOST_TIME_WAIT,
	HOST_CLOSE, /* no row has it: BOUND instead */
	HOST_CLOSE_WAIT,
	HOST_LAST_ACK,
	HOST_LISTEN,
	HOST_CLOSING,
	HOST_NEW_SYN_RECV, /* no row has it: SYN_RECV instead */
	HOST_BOUND,	   /* holds the port and does nothing (6.8 and later tell it of TCP) */
};
#define HOST_NSTATES 14
extern const char *const host_state_name[HOST_NSTATES]; /* "established", "listening", "bound", "time-wait"; [0] "?" */

/* What is known of a row: host_socket.have. */
enum {
	HOST_HAS_UID = 1 << 0, /* not of TIME_WAIT and SYN_RECV */
	HOST_HAS_COOKIE = 1 << 1,
	HOST_HAS_CGROUP = 1 << 2,
	HOST_HAS_MARK = 1 << 3, /* the kernel tells it to CAP_NET_ADMIN */
	HOST_HAS_V6ONLY = 1 << 4,
	HOST_HAS_MEMORY = 1 << 5,
	HOST_HAS_OPTIONS = 1 << 6,
	HOST_HAS_INFO = 1 << 7, /* struct host_tcp_info */
	HOST_HAS_QUEUES = 1 << 8,
	HOST_HAS_BACKLOG = 1 << 9, /* of a listener: how many callers may wait (wqueue); /proc/net does not tell */
};

/* What it is: host_socket.is. */
enum {
	HOST_IS_V6ONLY = 1 << 0,
	HOST_IS_FREEBIND = 1 << 1,    /* IP_FREEBIND */
	HOST_IS_TRANSPARENT = 1 << 2, /* IP_TRANSPARENT */
	HOST_IS_LATE_PORT = 1 << 3,   /* IP_BIND_ADDRESS_NO_PORT */
	HOST_IS_HDRINCL = 1 << 4,     /* raw */
	HOST_IS_MPTCP = 1 << 5,	      /* told with host_filter.info only */
	HOST_IS_ACCEPTED = 1 << 6,    /* a listener on this port has this address: host_sockets_read() only */
	HOST_IS_SHUT_RD = 1 << 7,
	HOST_IS_SHUT_WR = 1 << 8,
};

enum host_timer {
	HOST_TIMER_NONE,
	HOST_TIMER_RETRANSMIT,
	HOST_TIMER_KEEPALIVE,
	HOST_TIMER_TIME_WAIT,
	HOST_TIMER_PROBE
};

struct host_socket {
	struct port_addr addr, peer;	     /* port_addr_is4() with family 6: a dual-stack socket used over IPv4 */
	uint16_t port, peer_port;	     /* raw: port is the protocol number */
	uint8_t proto, family, state, timer; /* enum host_proto, port_family, host_state, host_timer */
	uint16_t have, is;
	uint8_t retransmits, pad[3];
	uint32_t timer_ms; /* until the timer's time; TIME_WAIT: until the port is free of it */
	uint32_t uid, dev; /* dev: SO_BINDTODEVICE, or a connection's link */
	uint32_t mark;
	uint32_t rqueue, wqueue;	     /* octets; listening: callers waiting for accept(), and how many may */
	uint32_t rmem, rcvbuf, wmem, sndbuf; /* octets; HOST_HAS_MEMORY */
	uint32_t drops;
	uint64_t inode;	    /* 0: no process can have it (TIME_WAIT, orphaned, not yet accepted) */
	uint64_t cookie;    /* SO_COOKIE */
	uint64_t cgroup_id; /* of the process that made it: cgroup.h */
};

/* Of TCP, on wish. */
struct host_tcp_info {
	char congestion[16]; /* "cubic" */
	uint32_t rtt_us, rttvar_us, min_rtt_us, cwnd, ssthresh, mss, unacked, lost, retransmitted;
	uint32_t last_sent_ms, last_received_ms;	     /* ago */
	uint64_t bytes_acked, bytes_received, delivery_rate; /* octets, octets per second */
};

struct host_filter {
	uint32_t protos;	 /* 1 << HOST_TCP | ...; 0: all */
	uint32_t states;	 /* 1 << HOST_LISTEN | ...; 0: all */
	enum port_family family; /* 0: both. A dual-stack socket is of family 6 */
	struct port_range ports; /* local ones; {0, 0}: all */
	bool info;		 /* struct host_tcp_info and memory, too */
};

/* Where rows go. */
struct host_sink {
	/* Nonzero ends the reading and is returned. info is NULL unless there is one. The pointers are good for the call */
	int (*each)(void *ctx, const struct host_socket *s, const struct host_tcp_info *info);
	/* The kernel's answer was not whole and is asked for again: forget the rows since the last begin(). */
	void (*again)(void *ctx);
	/* A part (a protocol of a family) begins; may be NULL. */
	void (*begin)(void *ctx);
	void *ctx;
};

/* How it was read. */
struct host_notes {
	int netlink_err;    /* negative errno: netlink could not be used, and the rows are /proc/net's */
	bool raw_from_text; /* raw sockets' rows are /proc/net's: the kernel has no raw_diag */
	bool no_bound;	    /* bound and idle TCP sockets cannot be listed: no netlink, or a kernel before 6.8 */
	bool torn;	    /* the answer was never whole, however often it was asked for: rows may be missing */
	uint32_t n_bad;	    /* messages and lines that made no sense and were left out */
	uint32_t n_repeats;
};

/**
 * host_sockets_each() - every socket that f asks for, as the kernel lists them
 *
 * A socket that moves while it is listed (bound, then listening) may come twice, with one cookie: host_sockets_read()
 * mends that. Memory: one buffer of 32 KiB.
 *
 * Return: 0; what sink->each() returned; negative errno, neither netlink nor /proc/net can be read.
 */
MUST_CHECK int host_sockets_each(const struct host_root *root, const struct host_filter *f,
				 const struct host_sink *sink, struct host_notes *ret_notes);

struct host_sockets {
	struct host_socket *rows;    /* by port, protocol, address, family, peer port, peer, cookie: a total order */
	struct host_tcp_info *infos; /* beside rows, when f->info; else NULL */
	size_t n, room;
	struct host_notes notes;
};

/* The same, kept (176 octets a row) and in order, each once, connections marked that a listener accepted (if listeners
 * were asked for, too). Return: 0; negative errno, and nothing is kept. */
MUST_CHECK int host_sockets_read(const struct host_root *root, const struct host_filter *f, struct host_sockets *ret);
void host_sockets_free(struct host_sockets *s);

/* The row as a claim, in the words of a network's own rows; now_us as network_now_us(). since_us is NEVER_US: the kernel
 * does not tell. False: raw, no claim. */
bool host_socket_claim(const struct host_socket *s, uint64_t now_us, struct port_claim *ret);
/* The row as one whose processes are looked for (owners.h). */
struct host_sought;
void host_socket_sought(const struct host_socket *s, struct host_sought *ret);
/* [::] that also takes IPv4. */
bool host_socket_is_dual(const struct host_socket *s);

/* Who holds a socket, as far as its row and its holders tell. */
enum host_holder {
	HOST_HELD_BY_PROCESS,
	HOST_HELD_TIME_WAIT,  /* nobody: ends by itself in timer_ms */
	HOST_HELD_ORPHAN,     /* its program closed it; the kernel sends what is left, and waits for the peer */
	HOST_HELD_UNACCEPTED, /* in a listener's queue: the program has not accepted it yet */
	HOST_HELD_UNSEEN,     /* an open socket, and some processes could not be looked into: one of them, mostly */
	HOST_HELD_NOBODY, /* an open socket, all processes seen, none has it: the kernel's own (WireGuard, NFS), in a
			      * message that nobody has read (SCM_RIGHTS), in io_uring, or of another pid namespace */
};
/* n_owners: how many processes have it open (owners.h); all_seen: none was hidden. */
enum host_holder host_socket_holder(const struct host_socket *s, size_t n_owners, bool all_seen);

#endif
