/* src/port/table.h: one host's port table: who holds which port, and who may have it next.
 *
 * Memory is the caller's (a shared mapping, a static array, a test's heap); the table keeps offsets
 * in it and no pointers, so several processes may map it at different places. struct port_table is
 * a process's own view: it holds the base pointer and the layout, checked once by
 * port_table_attach(), so that octets another process scribbled over never become a size or an
 * offset that was not checked. Whatever a scribble does, calls return -EUCLEAN; they do not crash,
 * loop or assert. The caller then repairs (port_table_repair()) and tries again.
 *
 * The table does not lock. Its caller does, around every call, readers too.
 *
 * Rules R0 to R7, C3 and D3 that comments name are in docs/linux-bind.md.
 */
#ifndef BERTH_PORT_TABLE_H
#define BERTH_PORT_TABLE_H

#include "port/addr.h"
#include "port/endpoint.h"
#include "port/policy.h"

/* Flags of a claim: what the socket was told, or what it is. */
enum {
	PORT_REUSEADDR = 1 << 0,    /* SO_REUSEADDR */
	PORT_REUSEPORT = 1 << 1,    /* SO_REUSEPORT */
	PORT_V6ONLY = 1 << 2,	    /* IPV6_V6ONLY; meaningful with family 6 */
	PORT_AUTOBOUND = 1 << 3,    /* connect() chose the port, or (UDP) bind() to port 0; set by the table */
	PORT_PRIVILEGED = 1 << 4,   /* want only: may bind below the first unprivileged port */
	PORT_FREEBIND = 1 << 5,	    /* want only: IP_FREEBIND, IP_TRANSPARENT: address need not be local */
	PORT_LISTEN_READY = 1 << 6, /* the listener's path exists; set by network/ */
	PORT_PUMPED = 1 << 7,	    /* delivered by the supervisor (docs/second-net.md) */
	PORT_CHOSEN = 1 << 8,	    /* TCP: bind() or listen() chose the port; set by the table */
	PORT_COLLAPSED = 1 << 9,    /* connected, and bound to the wildcard before (R2); set by the table */
	PORT_RESETS = 1 << 10,	    /* a flow: its owner ends it with a reset (SO_LINGER 0); set by network/ */
	PORT_PEER_RESETS = 1 << 11, /* a flow: its peer does */
};

enum claim_state {
	CLAIM_FREE,	 /* no claim: the slot is in the pool */
	CLAIM_HELD,	 /* bound, nothing more */
	CLAIM_LISTENING, /* TCP: accepts */
	CLAIM_CONNECTED, /* a client's flow, or a connected UDP socket */
	CLAIM_ACCEPTED,	 /* a listener's child */
	CLAIM_LINGER,	 /* TIME-WAIT: nobody owns it, the port is still taken (RFC 9293, 3.6.1) */
};
#define CLAIM_NSTATES 6
extern const char *const claim_state_name[CLAIM_NSTATES];

/* Who holds a claim, as written down when it was made. The pid is a hint; inode and
 * cookie are the socket's, and tell whether it still lives (decision 4). */
struct port_owner {
	uint64_t inode, cookie; /* 0: not a kernel socket (the stack, a test) */
	uint32_t netns;		/* inode number of the network namespace the socket is in; 0 unknown */
	int32_t pid;
	char comm[16]; /* the program's short name; need not be terminated in hostile memory */
};

struct port_claim {
	struct port_addr addr; /* as bound; the address in use once connected (R2) */
	struct port_addr peer; /* CONNECTED, ACCEPTED, LINGER */
	uint16_t port, peer_port;
	uint8_t proto;	/* enum port_proto */
	uint8_t family; /* enum port_family: the socket's, not the address's */
	uint8_t state;	/* enum claim_state */
	uint8_t pad0;
	uint16_t flags;
	uint16_t pad1;
	uint32_t uid;
	uint32_t dev; /* SO_BINDTODEVICE, interface index; 0: none */
	uint32_t pad2;
	uint64_t since_us;   /* monotonic, when it was bound */
	uint64_t expires_us; /* LINGER: when it ends; else NEVER_US */
	uint64_t user;	     /* the caller's word (network/: the listener's path number) */
	struct port_owner owner;
};

/* A handle: a slot and its generation. A stale one is refused, never taken for a stranger's. */
struct port_ref {
	uint32_t slot, generation; /* generation 0: no claim */
};
#define PORT_REF_NONE ((struct port_ref){0, 0})

/* Which rule decided. Numbers are those of docs/linux-bind.md, and stable. */
enum port_rule {
	PORT_RULE_NONE,
	PORT_RULE_ARGUMENT,    /* C3, 4 and 7: the call makes no sense */
	PORT_RULE_NOT_LOCAL,   /* C3, 5 */
	PORT_RULE_PRIVILEGED,  /* C3, 6 */
	PORT_RULE_R1_OVERLAP,  /* no sharing asked for: equal addresses, or one is a wildcard */
	PORT_RULE_R2_COLLAPSE, /* a connected dual-stack socket against 0.0.0.0 */
	PORT_RULE_R4_SHARING,  /* TCP: both must ask, and the flags did not suffice */
	PORT_RULE_R4_UID,      /* SO_REUSEPORT of two users */
	PORT_RULE_R5_LISTEN,   /* one listens: SO_REUSEADDR does not excuse it */
	PORT_RULE_R6_UDP,      /* UDP sharing: flags did not suffice */
	PORT_RULE_RANGE_FULL,  /* port 0, and every port of the range is taken */
	PORT_RULE_TUPLE,       /* connect: this very four-tuple is in use */
	PORT_RULE_TABLE_FULL,
	PORT_RULE_POLICY, /* the way out of the network is barred (docs/policy.md) */
};
#define PORT_NRULES 14

struct port_refusal {
	int err; /* the negative errno returned */
	enum port_rule rule;
	bool by_valid;
	struct port_ref by_ref;		   /* the claim in the way, when by_valid */
	struct port_claim by;		   /* and a copy of it */
	struct port_policy_refusal policy; /* PORT_RULE_POLICY only: whose, and by which rule */
};

/* What a caller wants: the socket as it is at the time of bind(), listen() or connect(). */
struct port_want {
	enum port_proto proto;
	enum port_family family;
	struct port_addr addr; /* PORT_ADDR_ANY4 / ANY6, a local address, or ::ffff:x on a v6 socket */
	uint16_t port;	       /* 0: choose one */
	uint16_t flags;
	uint32_t uid, dev;
	struct port_range range; /* IP_LOCAL_PORT_RANGE; {0,0}: none. Either end may be 0 */
	uint64_t user;
	struct port_owner owner;
};

/* Settings of the host, as Linux's sysctls. port_table_init() sets the kernel's defaults. */
struct port_settings {
	struct port_range range;     /* ip_local_port_range: 32768 60999 */
	uint16_t unprivileged_start; /* ip_unprivileged_port_start; 0: everybody may (berth's default is 1024) */
};

/* A process's view. Make it with init or attach; copy it freely. */
struct port_table {
	uint8_t *base;
	size_t len_bytes;
	uint32_t n_max; /* claims the memory has room for */
	uint32_t n_places, n_buckets, n_pages;
	uint32_t hash_mask[4]; /* of each array of hash heads */
	bool lean;
	size_t off[13]; /* of each section, from base */
};

#define PORT_TABLE_CLAIMS_MAX (1u << 22)

/**
 * struct port_table_form - how much a table has room for
 * @n_claims: 1 to PORT_TABLE_CLAIMS_MAX
 * @n_places: different places of all claims together, 1 to n_claims; 0: n_claims, so that claims run out first. Claims of TCP with
 *            one address, port, user, device and SO_ flags are at one place, but those that listen, those in TIME-WAIT, those that
 *            are connected and those that are merely bound are at one each; a claim of UDP's is always alone. A listener's
 *            children by the thousand are so one place for each address they came to, and their TIME-WAITs one more
 * @lean:     nobody asks whose a claim is or since when: owner, since_us and expires_us are not kept (port_table_get() says 0; 0;
 *            NEVER_US), and lingering claims end by port_table_release() only
 *
 * A claim takes 88 octets, 64 more when not lean, and a hash head of 4 to 8; a place about 270.
 */
struct port_table_form {
	uint32_t n_claims, n_places;
	bool lean;
};

/* Octets needed for n_claims_max claims (1 to PORT_TABLE_CLAIMS_MAX) at as many places, with owners. */
size_t port_table_size(uint32_t n_claims_max);
size_t port_table_form_size(const struct port_table_form *f);

/**
 * port_table_init() - make an empty table
 * @mem:    8-byte aligned, zeroed or not, at least port_table_size(n_claims_max) octets
 * @secret: keys every hash and every port choice; from getrandom(), or a seed in a simulation
 *
 * The address set starts with 127.0.0.0/8 and ::1. Return: 0; -EINVAL, sizes do not fit.
 */
MUST_CHECK int port_table_init(struct port_table *t, void *mem, size_t len_bytes, uint32_t n_claims_max,
			       const uint8_t secret[16]);
/* The same, of another form. */
MUST_CHECK int port_table_form_init(struct port_table *t, void *mem, size_t len_bytes, const struct port_table_form *f,
				    const uint8_t secret[16]);
/* Look at a table somebody else made. Return: 0; -EUCLEAN, it is not one or does not fit. */
MUST_CHECK int port_table_attach(struct port_table *t, void *mem, size_t len_bytes);
/* Empty bigger memory filled with the claims of t: slots, generations and settings are kept, so
 * refs stay good. Its form is that of t; where t has as many places as claims, it does. Return: 0; -EINVAL; -EUCLEAN. */
MUST_CHECK int port_table_copy(struct port_table *ret_bigger, void *mem, size_t len_bytes, uint32_t n_claims_max,
			       const struct port_table *t);

MUST_CHECK int port_table_set_settings(struct port_table *t, const struct port_settings *s);
void port_table_get_settings(const struct port_table *t, struct port_settings *ret);
/* ip_local_reserved_ports: never chosen, still bindable. At most 32 ranges with gaps between them.
 * Return: 0; -EINVAL; -ENOSPC. */
MUST_CHECK int port_table_reserve(struct port_table *t, struct port_range r, bool reserved);
/* An address of this host's. At most 16 besides the loopbacks. Return: 0; -ENOSPC; -EEXIST. */
MUST_CHECK int port_table_add_local(struct port_table *t, const struct port_addr *net, unsigned prefix_bits);
bool port_table_is_local(const struct port_table *t, const struct port_addr *a);

/**
 * port_table_bind() - claim a local port, as bind(2) would
 * @have:    the socket's claim if it has one already (then -EINVAL, C3, 7); else PORT_REF_NONE
 * @want:    the claim; port 0 chooses one no overlapping claim has (RFC 6056)
 * @now_us:  monotonic; starts the claim's age
 * @ret_ref: the claim's handle
 * @reterr:  what refused and by which rule, on failure; may be NULL
 *
 * Errors come in the kernel's order (C3): -EINVAL, argument; -EADDRNOTAVAIL, not a local address;
 * -EACCES, privileged; -EINVAL, already bound; -EADDRINUSE, conflict or range full; then -ENOBUFS,
 * table full, and -EUCLEAN, damaged.
 */
MUST_CHECK int port_table_bind(struct port_table *t, struct port_ref have, const struct port_want *want,
			       uint64_t now_us, struct port_ref *ret_ref, struct port_refusal *reterr);
/* A claim that holds elsewhere (a socket of the kernel's), as it is: nobody is asked whether it may be. Its place in UDP's order is
 * the newest; TCP's memory of who shares (D3) is not made. Return: 0; -EINVAL, it is no claim; -ENOBUFS; -EUCLEAN. */
MUST_CHECK int port_table_put(struct port_table *t, const struct port_claim *c, struct port_ref *ret_ref);
/* The answer port_table_bind() would give (and with listen, port_table_listen() after it), with
 * nothing changed. For port 0: whether the range has one. */
MUST_CHECK int port_table_probe(struct port_table *t, const struct port_want *want, bool listen,
				struct port_refusal *reterr);
/**
 * port_table_listen() - become a listener (R5)
 * @ref:  in: the bound claim, or PORT_REF_NONE for an unbound socket, which gets a port chosen for
 *        want->addr; out: the claim
 * @want: the socket (flags, uid, owner); its port is read only when ref is none
 *
 * Twice is fine. Return: 0; -EADDRINUSE, another listens or no port left; -EINVAL, connected;
 * -EOPNOTSUPP, UDP; -ESTALE, ref is not a claim; -ENOBUFS; -EUCLEAN.
 */
MUST_CHECK int port_table_listen(struct port_table *t, struct port_ref *ref, const struct port_want *want,
				 uint64_t now_us, struct port_refusal *reterr);
/* A listener back to HELD (its listen() failed below us, or shutdown). Return: 0; -ESTALE; -EUCLEAN. */
MUST_CHECK int port_table_unlisten(struct port_table *t, struct port_ref ref);

/**
 * port_table_connect() - open a flow
 * @ref:   in: the bound claim or PORT_REF_NONE; out: the claim, now CONNECTED
 * @want:  the socket; with ref none, want->port 0 chooses the port late, so that flows to different
 *         peers may share it (IP_BIND_ADDRESS_NO_PORT); a port other than 0 is -EINVAL
 * @local: the source address the flow uses (a wildcard collapses to it, R2); never a wildcard
 * @peer, @peer_port: port 0 is -ECONNREFUSED for TCP
 *
 * A bound claim takes over its four-tuple from a lingering claim (RFC 9293, MAY-2), as Linux does. One of family 6
 * that is bound to ::ffff:0.0.0.0 has @local as its address from then on, also when its four-tuple is in use. A
 * caller that gives up then calls port_table_undo(), which gives back a port that bind() chose.
 *
 * Return: 0; -EADDRNOTAVAIL, four-tuple in use or (TCP) range full; -EAGAIN, (UDP) range full;
 * -EISCONN, TCP and connected already; -EINVAL; -ESTALE; -ENOBUFS; -EUCLEAN. UDP may connect again.
 */
MUST_CHECK int port_table_connect(struct port_table *t, struct port_ref *ref, const struct port_want *want,
				  const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port,
				  uint64_t now_us, struct port_refusal *reterr);
/* UDP connect(AF_UNSPEC): the claim gets back `bound` as its address. Return: 0; -ESTALE; -EUCLEAN;
 * an autobound one is released (ref becomes stale). */
MUST_CHECK int port_table_disconnect(struct port_table *t, struct port_ref ref, const struct port_addr *bound);
/* TCP, after a connect() that failed, connect(AF_UNSPEC), or shutdown() of a listener: the claim is as bind()
 * left it, and belongs to the socket o, which may be another than before. Linux gives a port back that it
 * chose itself; keep: not so. Return: 0, bound; 1, given back, ref is stale; -ESTALE; -EUCLEAN. */
MUST_CHECK int port_table_undo(struct port_table *t, struct port_ref ref, bool keep, const struct port_owner *o,
			       uint64_t user);
/* A listener's child: shares its port and flags. Return: 0; -EADDRNOTAVAIL, tuple in use; -ESTALE;
 * -ENOBUFS; -EUCLEAN. */
MUST_CHECK int port_table_accept(struct port_table *t, struct port_ref listener, const struct port_addr *local,
				 const struct port_addr *peer, uint16_t peer_port, const struct port_owner *owner,
				 uint64_t now_us, struct port_ref *ret_ref);
/* TIME-WAIT until expires_us; the claim stays, its owner and its user's word are gone. One that lingers may do so longer. */
MUST_CHECK int port_table_linger(struct port_table *t, struct port_ref ref, uint64_t expires_us);
/* End lingering claims whose time has come, at most budget of them; returns how many it ended. */
uint32_t port_table_expire(struct port_table *t, uint64_t now_us, uint32_t budget);
MUST_CHECK int port_table_release(struct port_table *t, struct port_ref ref);

/* PORT_REUSEADDR and PORT_REUSEPORT may change after bind, for later binders (D3). Other bits of
 * mask: PORT_LISTEN_READY, PORT_PUMPED. */
MUST_CHECK int port_table_set_flags(struct port_table *t, struct port_ref ref, uint16_t mask, uint16_t flags);
/* The caller's word: a flow's owner may become another while the claim lasts (the stack's TIME-WAIT records). Return: 0; -ESTALE. */
MUST_CHECK int port_table_set_user(struct port_table *t, struct port_ref ref, uint64_t user);
MUST_CHECK int port_table_get_user(const struct port_table *t, struct port_ref ref, uint64_t *ret);
MUST_CHECK int port_table_set_owner(struct port_table *t, struct port_ref ref, const struct port_owner *o);

/* Return: 0 and a copy; -ESTALE. */
MUST_CHECK int port_table_get(const struct port_table *t, struct port_ref ref, struct port_claim *ret);
/* The claim in a slot, whatever its generation; -ESTALE when free or out of range. The shim, whose
 * socket's tag has room for the slot only, compares owner.cookie. */
MUST_CHECK int port_table_get_slot(const struct port_table *t, uint32_t slot, struct port_ref *ret_ref,
				   struct port_claim *ret);
/* Walk all claims in slot order: start with *cursor = 0; false at the end. */
bool port_table_next(const struct port_table *t, uint32_t *cursor, struct port_ref *ret_ref, struct port_claim *ret);
/* The claims of one port, every address, in no particular order; costs a walk of that port's claims
 * only. Fills at most max; returns how many there are. */
uint32_t port_table_on_port(const struct port_table *t, enum port_proto proto, uint16_t port, struct port_ref *refs,
			    uint32_t max);
uint32_t port_table_n_claims(const struct port_table *t);
/* A free port for want, nearest above want->port and then below, never reserved, never in the
 * ephemeral range if it can be helped. Return: 0; -EADDRINUSE, none. */
MUST_CHECK int port_table_nearest_free(struct port_table *t, const struct port_want *want, uint16_t *ret_port);

/* The slow checker: every index against every claim. False: damaged. */
bool port_table_check(const struct port_table *t);
/* Keep what claims make sense by themselves (and, when keep is given, what keep() approves), drop the
 * rest, and build every index anew. Bounded, never fails: in the worst case the table is empty.
 * Returns the number of claims dropped. Settings that make no sense get the defaults. */
uint32_t port_table_repair(struct port_table *t, bool (*keep)(void *ctx, const struct port_claim *c), void *ctx);

#endif
