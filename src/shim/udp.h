/* src/shim/udp.h: UDP sockets in the shim: what its files share.
 *
 * A UDP socket of a program is an AF_UNIX datagram socket, the doorbell of its mailbox (network/mailbox.h). What
 * it is (addresses, peer, options, groups) is kept in the mailbox's file, so that it is the same for all
 * who share the socket.
 */
#ifndef BERTH_SHIM_UDP_H
#define BERTH_SHIM_UDP_H

#include <stdatomic.h>

#include "network/mailbox.h"
#include "shim/shim.h"

/* --- descriptors that may be UDP sockets (fdset.c): a hint, never the truth --- */
#define FDSET_MAX 65536
extern _Atomic uint64_t fdset_words[FDSET_MAX / 32]; /* low half: a bit each; high half: counts what was set */
extern _Atomic bool fdset_high;			     /* one of FDSET_MAX or above was one */
static inline bool fdset_maybe(int fd)
{
	if ((unsigned)fd >= FDSET_MAX)
		return fd >= 0 && atomic_load_explicit(&fdset_high, memory_order_relaxed);
	return atomic_load_explicit(&fdset_words[(unsigned)fd / 32], memory_order_relaxed) >> ((unsigned)fd % 32) & 1;
}
void fdset_add(int fd);
/* What the descriptor's word was before it was looked at, and: it is none after all. */
uint64_t fdset_word(int fd);
void fdset_remove(int fd, uint64_t word);
bool fdset_is_child(void); /* of vfork(): our memory, and descriptors of its own */
/* At the start of a program: what it was given at exec. */
void fdset_probe(void);
/* A descriptor that came from another program: what is it? */
void fdset_look(int fd);

/* --- a UDP socket at hand (udp.c) --- */
struct udp {
	struct shim *s;
	int fd;
	bool looked; /* the table is whole, just now: network_way_holds() may be asked */
	uint64_t cookie, key;
};
/* Is the descriptor, whose bit is set, a UDP socket of ours? */
bool udp_check(int fd, struct udp *ret);
/* Is any descriptor? Cheap when it cannot be. */
static inline bool udp_mine(int fd, struct udp *ret)
{
	return __builtin_expect(fdset_maybe(fd), 0) && udp_check(fd, ret);
}
/* In a sandbox (confine.c) nothing is looked at. The call is made as the program asked for it, and the second net does
 * it, for whom the sandbox's list of calls is none. nr: recvmsg, sendmsg, recvmmsg or sendmmsg. */
ssize_t udp_plain(long nr, int fd, const void *m, long a, long b, long c);
/* Such a call said that the descriptor is something else by now. */
bool udp_was_none(const struct udp *u, ssize_t n);
/* What the socket is; its mailbox is made if there is none yet. Return: 0; negative errno. */
MUST_CHECK int udp_load(const struct udp *u, struct mailbox_state *ret);
/* The same without making one: -ENOENT. */
MUST_CHECK int udp_peek(const struct udp *u, struct mailbox_state *ret);
MUST_CHECK int udp_change(const struct udp *u, int (*change)(void *ctx, struct mailbox_state *s), void *ctx);
/* The host it is on. */
void udp_host(const struct udp *u, const struct mailbox_state *st, struct network_host *ret);
/* A port, if it has none. Return: 0, and *st is up to date; -EAGAIN, none left; others. */
MUST_CHECK int udp_autobind(const struct udp *u, struct mailbox_state *st);
/* The source address of what goes to dst. Return: 0; -EINVAL, a loopback address cannot leave its host. */
MUST_CHECK int udp_source(const struct udp *u, const struct mailbox_state *st, const struct port_addr *dst,
			  struct port_addr *ret);
/* A destination as programs write it. Return: 0; negative errno as sendto() or connect() gives it. */
MUST_CHECK int udp_read_dest(const struct udp *u, const struct mailbox_state *st, const struct sockaddr *sa,
			     socklen_t len, bool connect, struct port_addr *ret, uint16_t *ret_port);
/* Is there a way to it, and may the socket go it? Return: 0; -EACCES, a broadcast without SO_BROADCAST; -ENETUNREACH, said. */
MUST_CHECK int udp_way(const struct udp *u, const struct port_addr *dst, uint16_t port);
void udp_unreachable(const struct udp *u, const struct port_addr *dst, uint16_t port);

int udp_new(struct shim *s, enum port_family family, int type_flags);
int udp_bind(const struct udp *u, const struct sockaddr *sa, socklen_t len);
int udp_connect(const struct udp *u, const struct sockaddr *sa, socklen_t len);
int udp_name(const struct udp *u, bool peer, struct sockaddr *sa, socklen_t *len);
int udp_shutdown(const struct udp *u, int how);

/* --- options (udp_options.c, udp_groups.c) --- */
enum udp_opt {
	UDP_OPT_SNDBUF = MAILBOX_OPT_FIRST,
	UDP_OPT_STAMP, /* enum udp_stamp */
	UDP_OPT_OVFL,
	UDP_OPT_TOS,
	UDP_OPT_TTL,
	UDP_OPT_MC_TTL,
	UDP_OPT_MC_LOOP,
	UDP_OPT_MC_IF, /* an address, network order */
	UDP_OPT_MC_IFINDEX,
	UDP_OPT_RECVERR,
	UDP_OPT_PKTINFO,
	UDP_OPT_RECVTTL,
	UDP_OPT_RECVTOS,
	UDP_OPT_ORIGDST,
	UDP_OPT_MTU_DISCOVER,
	UDP_OPT_TCLASS6,
	UDP_OPT_HOPS6,
	UDP_OPT_MC_HOPS6,
	UDP_OPT_MC_LOOP6,
	UDP_OPT_MC_IF6,
	UDP_OPT_RECVERR6,
	UDP_OPT_PKTINFO6,
	UDP_OPT_RECVHOPS6,
	UDP_OPT_RECVTCLASS6,
	UDP_OPT_ORIGDST6,
	UDP_OPT_OLDPKTINFO6,
	UDP_OPT_OLDRECVHOPS6,
	UDP_OPT_CORK,
	UDP_OPT_SEGMENT,
	UDP_OPT_GRO,
	UDP_OPT_ENCAP,
	UDP_OPT_NO_CHECK6_TX,
	UDP_OPT_NO_CHECK6_RX,
	UDP_OPT_END,
};
static_assert(UDP_OPT_END <= MAILBOX_OPTS, "options fit the mailbox");
enum udp_stamp { UDP_STAMP_NONE, UDP_STAMP_US, UDP_STAMP_NS };
int32_t udp_opt(const struct mailbox_state *st, int opt); /* its value, or Linux's default */
/* Return: UDP_NOT_HERE, an option that UDP has no own idea of; else 0 or negative errno. */
#define UDP_NOT_HERE 1
int udp_getsockopt(const struct udp *u, int level, int name, void *val, socklen_t *len);
int udp_setsockopt(const struct udp *u, int level, int name, const void *val, socklen_t len);
int udp_store(const struct udp *u, int opt, int32_t v);
int udp_group_option(const struct udp *u, int level, int name, const void *val, socklen_t len);

/* --- errors that wait for the next call (udp_error.c) --- */
/* The datagram was refused by its host: nobody has the port. */
void udp_refused(const struct udp *u, const struct mailbox_state *st, const struct letter *m, const struct iovec *iov,
		 size_t n_iov);
/* The error that waits, taken away. 0: none. */
int udp_take_error(const struct udp *u);
ssize_t udp_recv_error(const struct udp *u, struct msghdr *m, int flags);
/* In a UDP socket's tag we know already. */
static inline struct udp udp_of(struct shim *s, int fd)
{
	struct udp u = {.s = s, .fd = fd, .cookie = sock_cookie(fd)};

	u.key = mailbox_key(&s->net, u.cookie);
	fdset_add(fd);
	return u;
}
void udp_purge_errors(const struct udp *u);

/* --- data (udp_send.c, udp_recv.c). errno is set as libc's calls do --- */
ssize_t udp_sendmsg(const struct udp *u, const struct msghdr *m, int flags);
ssize_t udp_recvmsg(const struct udp *u, struct msghdr *m, int flags);
/* A datagram like one before (udp_again.c). Return: true, it is sent. */
bool udp_again(const struct udp *u, const struct msghdr *m, int flags, size_t len);
/* It was sent the long way: it may be gone again. epoch: network_udp_epoch() before st was read. */
void udp_remember(const struct udp *u, const struct mailbox_state *st, uint64_t epoch, const struct msghdr *m,
		  const struct letter *l);
extern _Atomic uint32_t udp_corks; /* sockets of this process that gather */
/* UDP_CORK was taken off: what was gathered is sent. */
int udp_uncork(const struct udp *u);
void udp_cork_closed(uint64_t cookie); /* what was gathered is thrown away */
ssize_t udp_recv(const struct udp *u, void *buf, size_t len, int flags, struct sockaddr *sa, socklen_t *sa_len);
ssize_t udp_send(const struct udp *u, const void *buf, size_t len, int flags, const struct sockaddr *sa,
		 socklen_t sa_len);
/* Descriptors may have come with the message: the hint is set where they are UDP sockets. */
void udp_passed(const struct msghdr *m);

/* --- datagrams that leave the network (udp_outside.c; udp_outer.c and, in the supervisor, net2/outer.c) --- */
/* Is it no host's address, and none that reaches many? */
bool udp_is_outside(const struct udp *u, const struct port_addr *dst);
/* Return: 0; -EINVAL or -ENETUNREACH, from a loopback address; what the policy says, counted and told. */
MUST_CHECK int udp_may_leave(const struct udp *u, const struct mailbox_state *st, const struct port_addr *dst,
			     uint16_t port);
/* Is the socket's port published, as far as it knows? Then what goes outside goes out by those who publish it, who know
 * where they heard of whom. Return: true, somebody has it. */
static inline bool udp_is_published(const struct mailbox_state *st)
{
	return st->outlets[0] || st->outlets[1] || st->outlets[2] || st->outlets[3];
}
bool udp_send_published(const struct udp *u, const struct mailbox_state *st, const struct letter *m,
			const struct iovec *iov, size_t n_iov);
/* Return: 0; negative errno: -ENETUNREACH, there is no way, or nobody who would take the answers. */
MUST_CHECK int udp_send_outside(const struct udp *u, const struct mailbox_state *st, const struct letter *m,
				const struct iovec *iov, size_t n_iov, int flags);
/* The kernel's socket by which u sends outside. Return: 0, and to be put back; negative errno. */
struct udp_outer {
	int fd;
	bool six; /* it is an IPv6 socket */
	void *place;
};
MUST_CHECK int udp_outer_get(const struct udp *u, const struct mailbox_state *st, struct udp_outer *ret);
void udp_outer_put(struct udp_outer *o);
void udp_outer_closed(uint64_t cookie); /* a descriptor of this socket was closed */
MUST_CHECK int udp_outer_make(const struct udp *u, const struct mailbox_state *st); /* a new one. Return: fd */
bool udp_outer_is6(int fd);
/* The one that u has already. Return: true, and to be put back. */
MUST_CHECK bool udp_outer_find(const struct udp *u, struct udp_outer *ret);
void udp_outer_options(const struct udp *u); /* an option has changed */

/* FIONREAD, SIOCOUTQ and the like. Return: 0; negative errno; 1, the kernel's. */
int udp_ioctl(const struct udp *u, unsigned long request, void *arg);

#endif
