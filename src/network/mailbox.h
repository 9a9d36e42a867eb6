/* src/network/mailbox.h: what a UDP socket receives: a ring of datagrams in a mapped file, and a doorbell.
 *
 *     s/uKEY       the program's AF_UNIX datagram socket is bound here: the doorbell
 *     s/uKEY.box   the mailbox: what the socket is, and the ring
 *
 * KEY is a keyed hash of the socket's SO_COOKIE, which the kernel never gives twice, and of the network's
 * secret. So whoever has the socket finds its mailbox, after dup, fork, exec and SCM_RIGHTS, and whoever
 * finds a UDP claim in a port table finds its holder's (claim.owner.cookie).
 *
 * The doorbell: one octet is queued in the socket exactly while the mailbox is not empty. So poll, select
 * and every kind of epoll on the program's own descriptor are the kernel's, and right.
 *
 * Octets of the file are the world's. Scribbled ones lose datagrams; they crash and hang nobody.
 * Every call blocks signals while it works, waits at most 5 s for a lock, keeps no descriptor, may be made in signal
 * handlers, by many threads and in vfork children. Errors are negative errno; errno is left alone.
 *
 * A supervisor that serves a program which cannot be preloaded (SETTLED 9) makes the mailbox for the program's
 * socket (key of its cookie) with a doorbell of its own (any AF_UNIX datagram socket), claims with
 * PORT_PUMPED, waits on that doorbell, and moves datagrams with mailbox_take() and network_udp_send().
 */
#ifndef BERTH_NETWORK_MAILBOX_H
#define BERTH_NETWORK_MAILBOX_H

#include <sys/uio.h>
#include <time.h>

#include "network/network.h"

#define MAILBOX_UDP4_MAX 65507 /* octets of one datagram: 65535 less the headers of IPv4 and UDP */
#define MAILBOX_UDP6_MAX 65527
#define MAILBOX_RCVBUF_DEFAULT 212992 /* as getsockopt() says it: Linux's net.core.rmem_default */
#define MAILBOX_RCVBUF_MAX (16 << 20) /* more is taken for this */
#define MAILBOX_MEMBERS 20	      /* igmp_max_memberships */
#define MAILBOX_SOURCES 10	      /* igmp_max_msf */
#define MAILBOX_OPTS 64
#define MAILBOX_ERRORS 4
#define MAILBOX_OUTLETS 4
#define MAILBOX_QUOTE 512 /* octets of a refused datagram that are kept for MSG_ERRQUEUE */

/* One datagram, without its octets. */
struct letter {
	struct port_addr src, dst; /* dst: as the sender wrote it, so a group or a broadcast address too */
	uint16_t src_port, dst_port;
	uint32_t len_bytes;
	uint32_t ifindex; /* 1: it came over the host's loopback. To an outlet: the sender's host */
	uint64_t at_ns;	  /* CLOCK_REALTIME, when it was sent */
	uint32_t drops;	  /* SO_RXQ_OVFL: how many were lost before it was put in */
	uint16_t segment; /* UDP_GRO: length of each segment; 0: one datagram */
	uint8_t ttl, tos;
	uint8_t many;	/* enum letter_many: whom it was sent to */
	uint8_t family; /* out: enum port_family of the socket that took it */
	uint8_t first; /* to an outlet that does not know the destination: how many may be asked; the last sends it all the same */
	uint8_t pad[5];
};
enum letter_many { LETTER_ONE, LETTER_BROADCAST, LETTER_MULTICAST };

/* A group a socket is in, on an interface; sources as RFC 3678 has them. */
struct mailbox_member {
	struct port_addr group;
	uint32_t ifindex;
	uint8_t include; /* sources are the only ones wanted; else: the ones not wanted */
	uint8_t n_sources;
	uint8_t had_sources; /* once; from then on the mode stays */
	uint8_t pad;
	struct port_addr sources[MAILBOX_SOURCES];
};

/* A refused datagram (IP_RECVERR). */
struct mailbox_error {
	int32_t err; /* positive errno */
	uint8_t origin, type, code, pad;
	uint32_t info;
	struct port_addr offender, dst;
	uint16_t dst_port, len;
	uint32_t pad2;
	uint8_t quote[MAILBOX_QUOTE];
};

/* What the socket is, for all processes that share it. */
struct mailbox_state {
	uint32_t host;		/* whose port table its claim is in */
	uint8_t family;		/* enum port_family */
	uint8_t connected;	/* to peer */
	uint8_t n_errors;	/* in errors[] */
	uint8_t shut;		/* 1 << SHUT_RD, 1 << SHUT_WR */
	struct port_addr bound; /* what bind() said; the wildcard of the family before */
	struct port_addr local; /* what getsockname() says */
	struct port_addr peer;
	uint16_t port, peer_port;   /* port 0: no claim */
	uint16_t claim_flags, pad2; /* PORT_REUSEADDR and the like, so that a lost table can be made anew */
	uint32_t uid, dev;
	int32_t err; /* positive errno: the next call's, SO_ERROR's */
	/* Mailboxes of those who publish the port: what goes outside goes there, and they send it. 0: none. */
	uint64_t outlets[MAILBOX_OUTLETS];
	uint64_t opts_known; /* bit i: opts[i] was set */
	int32_t opts[MAILBOX_OPTS];
};
/* Options the network looks at. The shim has the others. */
enum mailbox_opt { MAILBOX_OPT_RCVBUF, MAILBOX_OPT_MC_ALL, MAILBOX_OPT_MC_ALL6, MAILBOX_OPT_FIRST };

/* The key of the socket with this cookie. */
uint64_t mailbox_key(const struct network *n, uint64_t cookie);
/* The leaves of s/ that belong to one mailbox, all of them removed. */
void mailbox_unlink(const struct network *n, uint64_t key);

/**
 * mailbox_make() - the mailbox of a socket, made if it is not there
 * @doorbell: AF_UNIX datagram socket; bound to s/uKEY here
 * @inode:    the program's socket's, with its cookie in key: a leftover of before a reboot is known by it
 *
 * Return: 0; -ENOSPC and -ENOMEM, no room; -EACCES and others, the directory cannot be reached.
 */
MUST_CHECK int mailbox_make(struct network *n, uint64_t key, int doorbell, uint64_t inode, uint32_t host,
			    enum port_family family);
/* A copy of what the socket is. Return: 0; -ENOENT, there is no such mailbox; -EUCLEAN. */
MUST_CHECK int mailbox_load(struct network *n, uint64_t key, struct mailbox_state *ret);
/* Change what the socket is: change() runs under the mailbox's lock, and must not block. Its result is
 * returned; when negative, nothing was changed. Counts as a change of the host's UDP sockets. */
MUST_CHECK int mailbox_change(struct network *n, uint64_t key, int (*change)(void *ctx, struct mailbox_state *s),
			      void *ctx);
/* The same for the groups it is in, *n_members of them. */
MUST_CHECK int mailbox_change_members(struct network *n, uint64_t key,
				      int (*change)(void *ctx, struct mailbox_member m[MAILBOX_MEMBERS],
						    uint32_t *n_members),
				      void *ctx);
/* And for its queue of errors. */
MUST_CHECK int mailbox_change_errors(struct network *n, uint64_t key,
				     int (*change)(void *ctx, struct mailbox_state *s,
						   struct mailbox_error e[MAILBOX_ERRORS]),
				     void *ctx);
/* Would a datagram to `group` from src reach the socket? 0 no, 1 yes by membership, -1 it is in no such group. */
int mailbox_wants(struct network *n, uint64_t key, const struct port_addr *group, const struct port_addr *src);

/**
 * mailbox_put() - put a datagram in, and ring if the mailbox was empty
 * @from: an AF_UNIX datagram socket of ours to ring with, or -1: one is made for it
 *
 * Return: 0; -ENOBUFS, no room: dropped and counted; -ECONNREFUSED, the socket is gone; -ENOENT, no such
 * mailbox; -ETIMEDOUT; -EACCES, it cannot be reached from here; -EUCLEAN.
 */
MUST_CHECK int mailbox_put(struct network *n, uint64_t key, int from, const struct letter *m, const struct iovec *iov,
			   size_t n_iov);
enum mailbox_how { MAILBOX_TAKE, MAILBOX_PEEK /* leave it in */ };
/* How a receive that finds nothing looks for a while before it says so, without a system call. A datagram that comes
 * meanwhile rings no bell. Signals are blocked: interrupted() says whether one with a handler came, by the mask they had
 * before; what it returns, if not 0, is what the receive returns. */
struct mailbox_look {
	uint32_t limit_ns; /* 0: it does not look */
	int (*interrupted)(uint64_t sigmask);
	bool looked, found; /* out */
};
/**
 * mailbox_take() - take the oldest datagram out
 * @doorbell: the socket itself: its octet is taken with the last datagram
 * @look:     NULL: do not look for a while
 * @iov:      as much as fits is copied; ret->len_bytes is the whole
 *
 * Return: octets copied; -EAGAIN, none; -ECOMM, an error waits in the state; -ENOENT, no such mailbox; -ETIMEDOUT; -EUCLEAN.
 */
MUST_CHECK ssize_t mailbox_take(struct network *n, uint64_t key, int doorbell, enum mailbox_how how,
				struct mailbox_look *look, struct letter *ret, const struct iovec *iov, size_t n_iov);
/**
 * mailbox_sleep() - sleep until there may be something to take, or an error
 * @wait: called when there is nothing: makes the system call futex(word, FUTEX_WAIT, value) and returns what the
 *	  kernel says, or why it does not want to sleep. The shim's is a cancellation point
 *
 * A datagram that wakes a sleeper rings no bell: who sleeps here must look into the mailbox afterwards.
 * Return: 0, look; what wait() said; -ESHUTDOWN, nothing is in and SHUT_RD was said; -ENOENT; -EUCLEAN.
 */
typedef long mailbox_wait_call(void *ctx, _Atomic uint32_t *word, uint32_t value);
int mailbox_sleep(struct network *n, uint64_t key, mailbox_wait_call *wait, void *ctx);
/* Have poll() show ERR on the doorbell, and its SO_ERROR say ECONNRESET, until that is asked. For use inside
 * mailbox_change_errors() only: the doorbell's octets are lost, and put back by it. */
void mailbox_mark(const struct network *n, uint64_t key, int doorbell);
/* How many were dropped, and how many are in. */
MUST_CHECK int mailbox_count(struct network *n, uint64_t key, uint32_t *ret_drops, uint32_t *ret_letters,
			     uint32_t *ret_next_len);
/* Is a doorbell's socket still there? Return: true unless it certainly is not. */
bool mailbox_alive(const struct network *n, uint64_t key);
/* What a leaf of s/ is called when it belongs to a mailbox. */
bool mailbox_leaf_parse(const char *leaf, uint64_t *ret_key);
/* Remove the leaf if it belongs to a mailbox whose socket is gone. Return: it belongs to a mailbox. */
bool mailbox_tidy(const struct network *n, int dir, const char *leaf);

/* --- whom a datagram reaches (udp.c) --- */
/* Each change of a host's UDP claims or groups is followed by this: senders look again. */
void network_udp_changed(struct network *n, uint32_t host);
/* The claim of the socket with this cookie, wherever in the table it is by now. Return: 0; -ESTALE. */
MUST_CHECK int network_udp_claim(struct network *n, uint32_t host, uint16_t port, uint64_t cookie, struct port_ref *ret,
				 struct port_claim *ret_claim);
/* Those who have a UDP port of the host, and live. Return: how many, at most max. */
struct network_udp_holder {
	uint64_t key; /* of the mailbox */
	int32_t pid;  /* who bound it: a hint */
	bool v4, v6;  /* which callers it hears */
};
uint32_t network_udp_holders(struct network *n, uint32_t host, uint16_t port, struct network_udp_holder *ret,
			     uint32_t max);
/* Who publishes the port of the mailbox `key` has an outlet there. Return: 0; -ENOSPC, others have all there are;
 * -ENOENT and others, as mailbox_change(). */
MUST_CHECK int mailbox_add_outlet(struct network *n, uint64_t key, uint64_t outlet);
/* End some of the host's UDP claims whose sockets are gone, with their mailboxes. Called for one new claim in some thirty,
 * at a different place each time, so that programs that end without close() leave a few dozen and not thousands. */
void network_udp_tidy(struct network *n, uint32_t host, uint64_t where);
/* UDP connect() to AF_UNSPEC: the claim gets its address back; one whose port was chosen is released. */
MUST_CHECK int network_disconnect(struct network *n, uint32_t host, struct port_ref ref, const struct port_addr *bound);
/* The network's broadcast address, 255.255.255.255, or the loopback's. */
bool network_is_broadcast(const struct network *n, const struct port_addr *a);
/**
 * network_udp_send() - bring a datagram to whoever it is for
 * @host: the sender's, whose loopback it is
 * @from: as mailbox_put()
 * @m:    source, destination, ttl...; many is set here
 * @loop: multicast: members on the sender's own host get it, too
 *
 * Lost on the way (no room, an address of the subnet that no host has) is success, as with UDP.
 * Return: 0; -ECONNREFUSED, nobody has the port; -ENETUNREACH, the address is no host's; -EACCES, -ETIMEDOUT,
 * -EUCLEAN.
 */
MUST_CHECK int network_udp_send(struct network *n, uint32_t host, int from, struct letter *m, const struct iovec *iov,
				size_t n_iov, bool loop);

/* --- the way a datagram went, to be gone again (udp.c) ---
 * Who sends to whom is decided by the sender's state and the receiver's port table; any change of either counts its
 * host's epoch up. So a sender that keeps what it sent, and both counts, need not ask again while they stand. */
struct network_way {
	uint64_t key; /* the receiver's mailbox; 0: no way */
	uint64_t epoch, to_epoch;
	uint32_t host, to, ifindex;
	struct port_ref ref; /* the receiver's claim */
};
/* The host's count of changes, to be read before the sender's state is; 0: not to be had. */
uint64_t network_udp_epoch(struct network *n, uint32_t host);
/* The way that network_udp_send() has just gone with m, if it reached one mailbox. */
bool network_way_of(uint32_t host, uint64_t epoch, const struct letter *m, struct network_way *ret);
bool network_way_holds(const struct network *n, const struct network_way *w);
/* The way that network_udp_send() would go with m now, if to one mailbox. Return: as that; -EHOSTUNREACH, no such host. */
MUST_CHECK int network_way_find(struct network *n, uint32_t host, struct letter *m, struct network_way *ret);
/* As network_udp_send() by a way that holds. Return: 0; -EAGAIN: nobody is there now, send it as the first time. */
MUST_CHECK int network_way_send(struct network *n, const struct network_way *w, int from, struct letter *m,
				const struct iovec *iov, size_t n_iov);

#endif
