/* src/shim/shim.h: what the files of the shim share.
 *
 * Every exported function is defined by EXPORT() under a name of ours with libc's symbol as its
 * assembler name: so libc's prototypes (transparent unions, nonnull, fortify) do not get in the way,
 * and no call inside the shim can mean libc's function by accident.
 */
#ifndef BERTH_SHIM_SHIM_H
#define BERTH_SHIM_SHIM_H

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "network/network.h"
#include "shim/sys.h"

#ifdef BERTH_NET2 /* compiled for the supervisor of the second net: plain functions */
#define EXPORT(type, name, args) \
	type shim_##name args;   \
	type shim_##name args
#else
#define EXPORT(type, name, args)                                                     \
	type shim_##name args __asm__(#name) __attribute__((visibility("default"))); \
	type shim_##name args
#endif

/* One that another file exports. */
#define EXPORTED(type, name, args) type shim_##name args __asm__(#name) __attribute__((visibility("default")))

/* --- this process's place in the network (env.c) --- */
struct shim {
	struct network net;
	struct network_host host;
	uint32_t run; /* BERTH_RUN, when has_run */
	bool has_run;
	bool privileged_deny;
	struct port_policy_chain policy; /* of this run (BERTH_POLICY); no layers: none of its own */
	int err; /* the negative errno with which every IP stream socket is refused; 0: all is well */
};
/* The process's shim, made at the first call. NULL: not under berth, everything passes to libc. */
struct shim *shim_get(void);
/* -errno into errno and -1; anything else unchanged. Leaves errno alone on success. A damaged table is
 * nothing a program has a word for: to it, the network is down. */
static inline int shim_ret(int r)
{
	if (r >= 0)
		return r;
	errno = r == -EUCLEAN || r == -EPROTO ? ENETDOWN : -r;
	return -1;
}
/* The environment entries that a new program needs to be under berth, each "NAME=value"; NULL ends
 * them. The first is "LD_PRELOAD=" and the path of this library alone. */
const char *const *shim_env(void);

/* libc's own functions, found once (RTLD_NEXT): foreign descriptors, and calls that may block, as
 * those are cancellation points. */
struct sockaddr;
struct addrinfo;
struct hostent;
struct msghdr;
struct mmsghdr;
struct epoll_event;
struct pollfd;
struct iovec;
struct timespec;
struct timeval;
struct ifaddrs;
struct if_nameindex;
#define SHIM_NEXT_LIST(X)                                                                                         \
	X(int, socket, (int, int, int))                                                                           \
	X(int, bind, (int, const struct sockaddr *, socklen_t))                                                   \
	X(int, listen, (int, int))                                                                                \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                               \
	X(int, connect, (int, const struct sockaddr *, socklen_t))                                                \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                                \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                                \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))                                                  \
	X(int, setsockopt, (int, int, int, const void *, socklen_t))                                              \
	X(int, shutdown, (int, int))                                                                              \
	X(int, ioctl, (int, unsigned long, void *))                                                               \
	X(int, bindresvport, (int, struct sockaddr_in *))                                                         \
	X(int, rresvport_af, (int *, sa_family_t))                                                                \
	X(int, setsourcefilter, (int, uint32_t, const void *, socklen_t, uint32_t, uint32_t, const void *))       \
	X(int, getsourcefilter, (int, uint32_t, const void *, socklen_t, uint32_t *, uint32_t *, void *))         \
	X(int, setipv4sourcefilter, (int, struct in_addr, struct in_addr, uint32_t, uint32_t, const void *))      \
	X(int, getipv4sourcefilter, (int, struct in_addr, struct in_addr, uint32_t *, uint32_t *, void *))        \
	X(int, getifaddrs, (struct ifaddrs **))                                                                   \
	X(void, freeifaddrs, (struct ifaddrs *))                                                                  \
	X(struct if_nameindex *, if_nameindex, (void))                                                            \
	X(void, if_freenameindex, (struct if_nameindex *))                                                        \
	X(unsigned, if_nametoindex, (const char *))                                                               \
	X(char *, if_indextoname, (unsigned, char *))                                                             \
	X(ssize_t, recv, (int, void *, size_t, int))                                                              \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))                          \
	X(ssize_t, __recv_chk, (int, void *, size_t, size_t, int))                                                \
	X(ssize_t, __recvfrom_chk, (int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *))            \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                                          \
	X(ssize_t, send, (int, const void *, size_t, int))                                                        \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))                  \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                                    \
	X(ssize_t, read, (int, void *, size_t))                                                                   \
	X(ssize_t, __read_chk, (int, void *, size_t, size_t))                                                     \
	X(ssize_t, write, (int, const void *, size_t))                                                            \
	X(ssize_t, readv, (int, const struct iovec *, int))                                                       \
	X(ssize_t, writev, (int, const struct iovec *, int))                                                      \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                               \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                                  \
	X(int, close, (int))                                                                                      \
	X(int, dup, (int))                                                                                        \
	X(int, dup2, (int, int))                                                                                  \
	X(int, dup3, (int, int, int))                                                                             \
	X(int, fcntl, (int, int, ...))                                                                            \
	X(int, fcntl64, (int, int, ...))                                                                          \
	X(int, epoll_create, (int))                                                                               \
	X(int, epoll_create1, (int))                                                                              \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))                                                 \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const void *))                                  \
	X(int, poll, (struct pollfd *, unsigned long, int))                                                       \
	X(int, __poll_chk, (struct pollfd *, unsigned long, int, size_t))                                         \
	X(int, ppoll, (struct pollfd *, unsigned long, const struct timespec *, const void *))                    \
	X(int, __ppoll_chk, (struct pollfd *, unsigned long, const struct timespec *, const void *, size_t))      \
	X(int, epoll_pwait2, (int, struct epoll_event *, int, const struct timespec *, const void *))             \
	X(int, select, (int, void *, void *, void *, struct timeval *))                                           \
	X(int, pselect, (int, void *, void *, void *, const struct timespec *, const void *))                     \
	X(int, execve, (const char *, char *const *, char *const *))                                              \
	X(int, execvpe, (const char *, char *const *, char *const *))                                             \
	X(int, system, (const char *))                                                                            \
	X(void *, popen, (const char *, const char *))                                                            \
	X(int, fexecve, (int, char *const *, char *const *))                                                      \
	X(int, execveat, (int, const char *, char *const *, char *const *, int))                                  \
	X(int, posix_spawn, (pid_t *, const char *, const void *, const void *, char *const *, char *const *))    \
	X(int, posix_spawnp, (pid_t *, const char *, const void *, const void *, char *const *, char *const *))   \
	X(int, getaddrinfo, (const char *, const char *, const struct addrinfo *, struct addrinfo **))            \
	X(void, freeaddrinfo, (struct addrinfo *))                                                                \
	X(int, getnameinfo, (const struct sockaddr *, socklen_t, char *, socklen_t, char *, socklen_t, int))      \
	X(struct hostent *, gethostbyname, (const char *))                                                        \
	X(struct hostent *, gethostbyname2, (const char *, int))                                                  \
	X(int, gethostbyname_r, (const char *, struct hostent *, char *, size_t, struct hostent **, int *))       \
	X(int, gethostbyname2_r, (const char *, int, struct hostent *, char *, size_t, struct hostent **, int *)) \
	X(struct hostent *, gethostbyaddr, (const void *, socklen_t, int))                                        \
	X(int, gethostbyaddr_r,                                                                                   \
	  (const void *, socklen_t, int, struct hostent *, char *, size_t, struct hostent **, int *))
#define SHIM_NEXT_FIELD(type, name, args) type(*name) args;
struct shim_next {
	SHIM_NEXT_LIST(SHIM_NEXT_FIELD)
};
/* Every field is set: where libc lacks a function, to one that answers ENOSYS. */
const struct shim_next *shim_next(void);
/* Those that programs call most, on descriptors that are not ours: one indirect jump, good before anything was
 * found too. */
struct shim_hot {
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*readv)(int, const struct iovec *, int);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*send)(int, const void *, size_t, int);
	int (*close)(int);
};
extern struct shim_hot shim_hot;
/* Puts inline system calls in the place of libc's (next.c), so that they pass the second net. */
void shim_next_inline(struct shim_next *n);
extern const struct shim_next shim_inline_calls; /* those that there are; NULL elsewhere */
/* Who calls (env.c): this process. In the second net, the program that is served (net2/context.c). */
MUST_CHECK int shim_owner(const struct shim *s, int fd, struct port_owner *ret);
uint32_t shim_euid(const struct shim *s);
int32_t shim_caller(const struct shim *s, char ret_comm[16]); /* its process, and the name of the thread */
bool shim_privileged(const struct shim *s);		      /* to ports below 1024 */
/* May the caller send to this address, which is no host's (0.0.0.0 and loopbacks: of the machine itself)? Asked once
 * for each connect(), and for a datagram unless the answer is remembered with network_policy_generation().
 * Return: 0; -ENETUNREACH or -ECONNREFUSED (network/policy.h), which is counted and told. An address of the
 * network's own subnets that nobody has, the gateway's apart, is no outside: -ENETUNREACH, and told. */
MUST_CHECK int shim_may_pass(struct shim *s, enum port_proto proto, const struct port_addr *addr, uint16_t port);
bool shim_pumped(int fd); /* a UDP socket that the supervisor delivers to (net2/letters.c) */

/* Connected to itself (env.c, net2/echo.c): is there somebody who can do that? Then: 0; negative errno. */
bool shim_has_echo(void);
MUST_CHECK int shim_echo(struct shim *s, int fd);

/* --- a program in a sandbox of its own (confine.c): no system call that it does not ask for --- */
extern _Atomic bool confine_filter;
extern _Atomic bool confine_served; /* and the second net is there: calls about sockets are left to it */
static inline struct shim *shim_calls(void)
{
	return atomic_load_explicit(&confine_served, memory_order_relaxed) ? NULL : shim_get();
}
/* The call, noticed if it installs a filter. Return: the kernel's. */
long confine_syscall(long nr, long a, long b, long c, long d, long e);
static inline bool confined(void)
{
	return atomic_load_explicit(&confine_filter, memory_order_relaxed);
}

/* --- the tag that rides on each socket of ours (tag.c) --- */
enum sock_state {
	SOCK_NEW,	 /* nothing happened, or a bind() without a port (IP_BIND_ADDRESS_NO_PORT) */
	SOCK_BOUND,	 /* has a claim */
	SOCK_LISTENING,	 /* has a claim, a path, and accepts */
	SOCK_CONNECTING, /* has a claim and its flow's name, but connect() did not finish (EINTR) */
	SOCK_CONNECTED,	 /* a client's flow */
	SOCK_ACCEPTED,	 /* a listener's child */
	SOCK_REFUSED,	 /* a non-blocking connect() failed with ECONNREFUSED; nobody was told yet */
	SOCK_ABORTED,	 /* the same, and SO_ERROR told; the next connect() says ECONNABORTED */
};
enum {
	TAG_REUSEADDR = 1 << 0,
	TAG_REUSEPORT = 1 << 1,
	TAG_V6ONLY = 1 << 2,
	TAG_NODELAY = 1 << 3,
	TAG_CORK = 1 << 4,
	TAG_NOPORT = 1 << 5, /* IP_BIND_ADDRESS_NO_PORT */
	TAG_FREEBIND = 1 << 6,
	TAG_FRESH = 1 << 7, /* connected, but the program was told EINPROGRESS: connect() says 0 once */
	TAG_SHUT_RD = 1 << 8,
	TAG_SHUT_WR = 1 << 9, /* nothing can be sent any more: shutdown(), or the peer is gone (gone.c) */
	TAG_CLAIM = 1 << 10,  /* slot is its claim's; without it slot is an enum tag_late */
	TAG_EXTRA = 1 << 11,  /* extra.c knows more about it */
	TAG_UDP = 1 << 13,    /* a datagram socket, the doorbell of a mailbox (udp.h) */
};
/* What the slot of a socket without a claim says. In its low bits, where the socket is bound to (bind() with port
 * 0 and IP_BIND_ADDRESS_NO_PORT, or a bind() whose chosen port a failed connect() gave back); above them the
 * port that getsockname() goes on showing although it is held no more, as Linux does. */
enum tag_late { LATE_NONE, LATE_ANY, LATE_LOOP, LATE_OWN };
#define LATE_CODE 3u
#define LATE_PASSING 4u /* shown, and not kept: the address of a non-blocking connect() that was refused */
#define LATE_PORT_SHIFT 3

struct tag {
	enum sock_state state;
	enum port_family family;
	uint16_t flags;
	uint32_t slot; /* 22 bits */
	uint32_t host; /* 12 bits: whose table the claim is in */
};
/* Return: 0, the socket is ours; -ENOENT, another's; other negative errno, no socket. */
MUST_CHECK int tag_get(int fd, struct tag *ret);
void tag_set(int fd, const struct tag *t);

/* --- what the files do for each other --- */
/* A new socket of ours (socket.c). type_flags: SOCK_NONBLOCK, SOCK_CLOEXEC. Return: fd; negative errno. */
int sock_new(const struct tag *t, int type_flags);
/* A send buffer for all that may be unread, as AF_UNIX charges the sender for it: what the program set and a
 * TCP peer's receive buffer, or as large as the machine allows. Also raises an edge for epoll. */
void sock_grow(int fd, const struct tag *t);
uint64_t sock_cookie(int fd);
bool sock_nonblocking(int fd);
/* The socket's claim, checked to be its own by its cookie. Return: 0; -ESTALE. */
MUST_CHECK int sock_claim(struct shim *s, int fd, const struct tag *t, struct port_ref *ret_ref,
			  struct port_claim *ret);
/* What the socket is, for the table. The address is the wildcard of its family, the port 0. */
MUST_CHECK int sock_want(struct shim *s, int fd, const struct tag *t, struct port_want *ret);
/* C3, items 2 and 3: what the kernel says of the octets before it looks at the address. */
MUST_CHECK int sock_check_addr(enum port_family f, const struct sockaddr *sa, socklen_t len);
void shim_event(struct shim *s, char call, const struct port_want *want, const struct port_refusal *r);

/* Options that `to` must have from `from` (options.c): an accepted socket those that a listener's child has, one
 * that takes another's place all of them. */
void sock_inherit(int from, int to, const struct tag *from_tag, bool all);
/* The same for a socket of the kernel's that the listener's accept() returns (published.c). */
void sock_inherit_published(int listener, int fd, const struct tag *t);
/* A client that brings a connection of the machine's (published.c). un, len: its name. Return: the kernel's socket, and
 * the client is closed; -ENOENT, no such client, left as it is; -ECONNABORTED, closed, it brought nothing. */
MUST_CHECK int published_take(struct shim *s, int listener, const struct tag *t, int client, const void *path,
			      size_t len_bytes, int flags, struct port_tuple *ret);
/* What it brings; it stays in it, too. Return: the descriptor; -EAGAIN, no message yet; -ENOENT, none will come; -EMFILE. */
MUST_CHECK int published_receive(int client, int flags);
bool published_is_stream(int fd);
int sock_setsockopt(struct shim *s, int fd, struct tag *t, int level, int name, const void *val, socklen_t len);
int sock_getsockopt(struct shim *s, int fd, struct tag *t, int level, int name, void *val, socklen_t *len);
/* The kernel's own socket of the kind that t is, for one question (ask.c). Each: 0 (or fd); negative errno. */
MUST_CHECK int sock_ask_open(const struct tag *t);
int sock_ask_set(const struct tag *t, int level, int name, const void *val, socklen_t len);
/* As `ours` would answer: key's value, if it has one, is set first; 0: nothing is. */
int sock_ask_get(int ours, const struct tag *t, int key, int level, int name, void *val, socklen_t *len);
/* The host's network interfaces (iface.c): 1 is lo, 2 is berth0. Return: NULL; 0: no such. */
const char *iface_name(unsigned index);
unsigned iface_number(const char *name);

/* A pointer that no program's memory can be at: NULL, small numbers, -1. The kernel would say EFAULT; we would be the
 * ones to touch it. Any other that leads nowhere is not told from a good one without asking the kernel each time. */
static inline bool bad_pointer(const void *p)
{
	return (uintptr_t)p < 65536 || (intptr_t)p < 0;
}

/* sockaddr in and out (sockaddr.c). */
struct port_addr addr_any(enum port_family f);
/* Family and length are known to be right: at least 16 octets, or 24 for family 6. */
void addr_read(enum port_family f, const struct sockaddr *sa, socklen_t len, struct port_addr *ret, uint16_t *ret_port);
/* As the kernel: at most *len octets are written, *len becomes the whole length. Return: 0; -EINVAL;
 * -EFAULT. A NULL sa writes nothing (accept). */
MUST_CHECK int addr_write(enum port_family f, const struct port_addr *a, uint16_t port, struct sockaddr *sa,
			  socklen_t *len);
/* The four-tuple in the socket's own or its peer's name. Return: 0; -ENOENT. */
MUST_CHECK int sock_flow(struct shim *s, int fd, const struct tag *t, struct network_name *ret);

/* connect.c, names.c, options.c: the calls of ours that others need. Return 0 or negative errno. */
int sock_connect(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len);
int sock_bind(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len);
/* The claim goes back to what bind() left, or is given up if its port was chosen: then the tag says what
 * getsockname() still shows. The claim becomes fd's, which may have been replaced. Does not write the tag. */
void sock_undo(struct shim *s, int fd, struct tag *t, struct port_ref ref, const struct port_claim *c);
/* The socket has no claim (any more): it shows this. Does not write the tag. */
void sock_unclaimed(const struct shim *s, struct tag *t, const struct port_addr *a, uint16_t port);
/* A new socket in the place of fd, on the same descriptor, keeping what the descriptor and the tag say. */
MUST_CHECK int sock_replace(int fd, struct tag *t);
/* A listener that was shut down is one for good on AF_UNIX: before it listens or connects again it is replaced.
 * Any other socket is left as it is. */
MUST_CHECK int sock_revive(struct shim *s, int fd, struct tag *t);
int sock_name(struct shim *s, int fd, const struct tag *t, bool peer, struct port_addr *ret, uint16_t *ret_port);

/* --- option values the tag has no room for (extra.c): a file of the network's, keyed by the socket --- */
/* A level and an option as one number. Every option up to 255 of the five levels has one. */
enum { EXTRA_SOCKET = 1, EXTRA_IP, EXTRA_IPV6, EXTRA_TCP, EXTRA_UDP };
#define EXTRA_KEY(level, name) ((level) << 8 | (name))
#define EXTRA_KEY_MAX 0x7ff
#define EXTRA_OCTETS_MAX 56u
/* Keys that have a name because code asks for them; any other is made by EXTRA_KEY(). */
enum extra {
	EXTRA_SNDBUF = EXTRA_KEY(EXTRA_SOCKET, SO_SNDBUF),
	EXTRA_RCVBUF = EXTRA_KEY(EXTRA_SOCKET, SO_RCVBUF),
	EXTRA_PACING = EXTRA_KEY(EXTRA_SOCKET, SO_MAX_PACING_RATE),
	EXTRA_DEV = EXTRA_KEY(EXTRA_SOCKET, SO_BINDTODEVICE),
	EXTRA_BUF_LOCK = EXTRA_KEY(EXTRA_SOCKET, 72 /* SO_BUF_LOCK */),
	EXTRA_MAXSEG = EXTRA_KEY(EXTRA_TCP, 2),
	EXTRA_LINGER2 = EXTRA_KEY(EXTRA_TCP, 8),
	EXTRA_DEFER_ACCEPT = EXTRA_KEY(EXTRA_TCP, 9),
	EXTRA_WINDOW_CLAMP = EXTRA_KEY(EXTRA_TCP, 10),
	EXTRA_INQ = EXTRA_KEY(EXTRA_TCP, 36),
	EXTRA_PORT_RANGE = EXTRA_KEY(EXTRA_IP, 51 /* IP_LOCAL_PORT_RANGE */),
	EXTRA_TOS = EXTRA_KEY(EXTRA_IP, IP_TOS),
	EXTRA_TTL = EXTRA_KEY(EXTRA_IP, IP_TTL),
	EXTRA_TRANSPARENT = EXTRA_KEY(EXTRA_IP, IP_TRANSPARENT),
	EXTRA_V6_TCLASS = EXTRA_KEY(EXTRA_IPV6, IPV6_TCLASS),
	EXTRA_V6_MTU_DISCOVER = EXTRA_KEY(EXTRA_IPV6, IPV6_MTU_DISCOVER),
	EXTRA_V6_TRANSPARENT = EXTRA_KEY(EXTRA_IPV6, 75 /* IPV6_TRANSPARENT */),
};
/* Whose values: the cookie finds them; the rest tells later whether the socket still lives. */
struct extra_id {
	uint64_t cookie, whose;
};
void extra_id_of(int fd, struct extra_id *ret);
/* Return: true and the value, when it was set. Of a longer one its first four octets; of a shorter, zeroes. */
bool extra_get(uint64_t cookie, enum extra e, int32_t *ret);
bool extra_get_octets(uint64_t cookie, int key, uint8_t ret[EXTRA_OCTETS_MAX], size_t *ret_len);
/* Longer than EXTRA_OCTETS_MAX: not kept. The caller sets TAG_EXTRA. */
void extra_put_octets(const struct extra_id *id, int key, const void *val, size_t len);
/* Each key that has a value, once; *at starts at 0. */
bool extra_next(uint64_t cookie, unsigned *at, int *ret_key);

#endif
