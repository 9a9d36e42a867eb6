/* src/network/network.h: a network: its directory, its hosts, its port tables, shared by everybody in it.
 *
 *     $BERTH_DIR  or /run/user/EUID/berth  or /tmp/berth-EUID        0700, "the berth directory"
 *       NETWORK/                                                      0700, one per network
 *         hosts      readable: "10.77.0.2 web", "fd..::2 web"; the durable list (hosts.c)
 *         table      the mapped file (map.c): header, host records, one port table per host
 *         s/         listener sockets, one path per listening claim (path.c); doorbells and mailboxes of
 *                    UDP sockets (mailbox.h)
 *
 * Used by the shim inside other people's processes: libc only, no malloc, no stdio, safe in signal
 * handlers and in vfork children, no descriptor kept open, errors returned and never printed. All
 * signals are blocked while a host's lock is held, and nothing blocks under it but page faults.
 *
 * The mapped file is the world, not ours (decision 9): its octets are checked before use. A host whose
 * table turns out damaged is mended by whoever notices (repair.c), and the call goes on.
 */
#ifndef BERTH_NETWORK_NETWORK_H
#define BERTH_NETWORK_NETWORK_H

#include <sys/types.h>

#include "port/demux.h"
#include "port/table.h"

#define NETWORK_NAME_MAX 64 /* with the NUL; RFC 1123 label: letters, digits, inner hyphens */
#define NETWORK_PATH_MAX 4096
#define NETWORK_HOSTS_MAX 4096
#define NETWORK_FORMAT_VERSION 5

/* Why opening or using a network failed, for the one who may print it. */
struct network_error {
	int err;	/* negative errno */
	char what[256]; /* one clear line, names the path: "/tmp/berth-0 belongs to user 1000, not to you" */
};

/* A process's view of a network. Static memory, never freed; safe to copy by fork. Private to
 * network/ apart from the fields named here. */
struct network {
	char dir[NETWORK_PATH_MAX]; /* absolute path of the NETWORK directory */
	char name[NETWORK_NAME_MAX];
	_Atomic uint64_t
		view; /* the newest mapping, address and length in one word (map_view.c); older ones stay mapped */
	_Atomic uint64_t real_bytes; /* of the file, so many are known to be no holes (map_region.c) */
	_Atomic(uint32_t *) asked;   /* network_ask() (map_view.c) */
	uint8_t key[16];	     /* the network's secret: names and hashes */
	uint32_t netns;		     /* ours, when the view was made */
	/* Checked copies of what never changes; private to network/. */
	uint64_t netns_cookie; /* SO_NETNS_COOKIE, 0: the kernel has none */
	struct port_addr net4, net6;
	uint32_t prefix4_bits, prefix6_bits;
	uint64_t created_unix_s;
	bool privileged_deny;
};

struct network_host {
	uint32_t index; /* stable while the network exists */
	char name[NETWORK_NAME_MAX];
	struct port_addr addr4, addr6;
};

/* --- the directory (dir.c) --- */
/* The berth directory: $BERTH_DIR, else /run/user/EUID/berth, else TMPDIR-or-/tmp/berth-EUID.
 * make: create it 0700. Owner and mode are checked, symbolic links refused.
 * Return: 0; -EPERM, wrong owner; -EACCES, too open; -ENOTDIR; -ENOENT; others. reterr is always filled on failure. */
MUST_CHECK int network_base_dir(bool make, char ret[NETWORK_PATH_MAX], struct network_error *reterr);
bool network_name_ok(const char *name);

/* --- opening (map.c) --- */
struct network_options {
	bool create;			  /* make it when missing; concurrent makers agree on one */
	const char *subnet;		  /* "10.77.0.0/24", or NULL: one that meets none of the machine's routes */
	bool privileged_deny;		  /* ports below 1024 need the privilege (PORT_PRIVILEGED in want) */
	const struct port_policy *policy; /* what may leave it (policy.h); NULL: everything */
};
/**
 * network_open() - open, or create, the network `name` of this user
 * Return: 0; -ENOENT, no such network; -EPROTO, made by another version of berth; -EUCLEAN, damaged
 * beyond mending; -ENOSPC; -EPERM, -EACCES as network_base_dir(). reterr filled on failure.
 */
MUST_CHECK int network_open(struct network *n, const char *name, const struct network_options *o,
			    struct network_error *reterr);
/**
 * network_ask() - a descriptor's SO_COOKIE, asked in the system call that also looks whether the table is whole
 *
 * Return: true, its pages below the regions may be touched now (network_way_holds()). *ret_cookie 0: it is no socket.
 */
bool network_ask(const struct network *n, int fd, uint64_t *ret_cookie);
/* The same by the NETWORK directory's absolute path; what the shim does. Never creates. */
MUST_CHECK int network_open_dir(struct network *n, const char *dir, struct network_error *reterr);
/* Names of this user's networks. Return: count, at most max are written; negative errno. */
int network_list(char (*names)[NETWORK_NAME_MAX], uint32_t max, struct network_error *reterr);
/* Remove it. Return: 0; -EBUSY, a claim's holder is alive (force removes all the same); -ENOENT. */
MUST_CHECK int network_remove(const char *name, bool force, struct network_error *reterr);
struct network_info {
	struct port_addr net4, net6;
	unsigned prefix4_bits, prefix6_bits; /* in the 128-bit form */
	uint32_t n_hosts;
	uint64_t created_unix_s;
	uint64_t size_bytes; /* of the table file, without its holes */
	bool privileged_deny;
};
void network_get_info(struct network *n, struct network_info *ret);

/* --- hosts (hosts.c) --- */
/* Find, or with make create, the host `name`. Return: 0; -ENOENT; -ENOSPC, subnet or table full;
 * -EINVAL, not a name. */
MUST_CHECK int network_host_get(struct network *n, const char *name, bool make, struct network_host *ret);
MUST_CHECK int network_host_at(struct network *n, uint32_t index, struct network_host *ret);
/* Accepts "web", "web.NETWORK.berth", any case, a final dot. Return: 0; -ENOENT. */
MUST_CHECK int network_host_by_name(struct network *n, const char *name, struct network_host *ret);
/* The host that has this address. Loopbacks are self's. Return: 0; -ENOENT, no host's. */
MUST_CHECK int network_host_by_addr(struct network *n, uint32_t self, const struct port_addr *a,
				    struct network_host *ret);
/* Is it inside the network's subnets (whether or not a host has it)? */
bool network_covers(struct network *n, const struct port_addr *a);
uint32_t network_n_hosts(struct network *n);

/* --- one host's table under its lock (lock.c) --- */
struct network_lock {
	uint64_t sigmask; /* the kernel's own sigset, as rt_sigprocmask(2) takes it */
	void *word;
	uint64_t me;		 /* what the word says while we own it */
	struct port_table table; /* valid between lock and unlock */
	int32_t blocker_pid;	 /* on -ETIMEDOUT: who holds it */
};
/* Blocks all signals, takes the lock (from a dead owner too: then the table is checked and, when
 * wrong, repaired), attaches the table. Waits at most 5 s for a live owner.
 * Return: 0; -ETIMEDOUT, blocker_pid is stopped or will not let go; -EUCLEAN, cannot be mended. */
MUST_CHECK int network_lock(struct network *n, uint32_t host, struct network_lock *ret);
void network_unlock(struct network_lock *l);

/* --- ports: each takes the locks it needs, removes dead claims in the way and tries again, grows
 *     the table when it is full, repairs it when damaged (ports.c) --- */
MUST_CHECK int network_bind(struct network *n, uint32_t host, struct port_ref have, const struct port_want *want,
			    struct port_ref *ret, struct port_refusal *reterr);
MUST_CHECK int network_probe(struct network *n, uint32_t host, const struct port_want *want, bool listen,
			     struct port_refusal *reterr);
/* The claim becomes a listener in the table; then make its path with network_path_bind() on the
 * socket, listen(2) on it, and call network_listen_ready(); on failure network_unlisten(). */
MUST_CHECK int network_listen(struct network *n, uint32_t host, struct port_ref *ref, const struct port_want *want,
			      struct port_refusal *reterr);
MUST_CHECK int network_listen_ready(struct network *n, uint32_t host, struct port_ref ref);
MUST_CHECK int network_unlisten(struct network *n, uint32_t host, struct port_ref ref);
/* Choose and claim the flow's port on `host`. Local is the concrete source address. */
MUST_CHECK int network_connect(struct network *n, uint32_t host, struct port_ref *ref, const struct port_want *want,
			       const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port,
			       struct port_refusal *reterr);
/* The interfaces of every host, as a claim's dev names them (SO_BINDTODEVICE). */
enum { NETWORK_DEV_LO = 1, NETWORK_DEV_BERTH0 = 2 };
/* The listener that a connect to peer:peer_port on to_host reaches, as seen from the flow's tuple
 * (local = destination). Return: 0, with the claim; -ECONNREFUSED. A caller whose connect(2) to the
 * path then fails calls network_dead() and asks again. */
MUST_CHECK int network_find_listener(struct network *n, uint32_t to_host, const struct port_tuple *tuple,
				     struct port_ref *ret, struct port_claim *ret_claim);
/* Tell that a claim looked dead from outside; it is probed exactly and released if so.
 * Return: 0, it was dead and is gone, or was gone already; -EBUSY, alive. */
int network_dead(struct network *n, uint32_t host, struct port_ref ref);
MUST_CHECK int network_release(struct network *n, uint32_t host, struct port_ref ref);
/* The claim is as bind() left it, and the socket o's (port_table_undo()). Return: 0, bound; 1, given back as
 * its port had been chosen (not with keep); negative errno. */
MUST_CHECK int network_undo(struct network *n, uint32_t host, struct port_ref ref, bool keep,
			    const struct port_owner *o);
MUST_CHECK int network_set_flags(struct network *n, uint32_t host, struct port_ref ref, uint16_t mask, uint16_t flags);
MUST_CHECK int network_get_slot(struct network *n, uint32_t host, uint32_t slot, struct port_ref *ret_ref,
				struct port_claim *ret);
/* End every dead claim of a host, or, with NETWORK_HOSTS_MAX, of all hosts; then also remove paths no claim has
 * and free the run records of runs that are gone. A host whose lock cannot be had is passed over.
 * Return: claims ended; negative errno. */
int network_sweep(struct network *n, uint32_t host);
/* Is a sweep of all hosts due? Always, where it costs little; else when it was long ago for what it costs. */
bool network_sweep_due(struct network *n);
/* Did the last one take so long that somebody with a small question would notice? */
bool network_sweep_is_long(struct network *n);

/* --- liveness (live.c) --- */
enum network_alive { NETWORK_DEAD, NETWORK_ALIVE, NETWORK_UNKNOWN /* counts as alive */ };
/* Exact: unix_diag asked for (inode, cookie), 6 us. UNKNOWN: no descriptors left, other netns. */
enum network_alive network_owner_alive(const struct network *n, const struct port_owner *o);
/* Fill o from a socket: inode, cookie, our pid, netns and comm. Return: 0; negative errno. */
MUST_CHECK int network_owner_of(const struct network *n, int fd, struct port_owner *o);

/* --- listener paths and flow names (path.c, name.c) --- */
/* bind(2) the AF_UNIX socket fd to the claim's path (unlinks a leftover of the same name), within
 * AF_UNIX's 108 octets whatever dir is. Return: 0 or negative errno. */
MUST_CHECK int network_path_bind(const struct network *n, int fd, uint32_t host, struct port_ref ref,
				 const struct port_claim *c);
/* connect(2) fd to the claim's path. Blocks as fd does. Return: 0 or negative errno. Not restarted on EINTR. */
MUST_CHECK int network_path_connect(const struct network *n, int fd, uint32_t host, struct port_ref ref,
				    const struct port_claim *c);
void network_path_unlink(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c);

/* What the name of a listening socket says, as getsockname(2) gives it (len_bytes of sun_path). The address, port,
 * protocol and family are set; the scope of a link-local address is not in it. Return: 0; -ENOENT, not such a name. */
MUST_CHECK int network_path_parse(const struct network *n, const char *path, size_t len_bytes, struct port_claim *ret);

/* What a client's abstract name says, and so both ends know (decision 3). */
struct network_name {
	struct port_tuple tuple;	      /* local = the client's side */
	uint32_t client_host, server_host;    /* NETWORK_HOSTS_MAX: a client on no host, without a claim */
	uint32_t client_slot;		      /* of its claim, in client_host's table */
	uint8_t client_family, server_family; /* of the sockets: an AF_INET6 one sees ::ffff:a.b.c.d */
};
#define NETWORK_NAME_OCTETS 108
/* The sun_path octets (first is NUL). The table arbitrates four-tuples; the name carries them, with a tag
 * of the network's (so that another network's or a stranger's name is not taken for ours). Returns the
 * length in octets. */
size_t network_name_encode(const struct network *n, const struct network_name *m, uint8_t ret[NETWORK_NAME_OCTETS]);
/* Return: 0; -ENOENT, not one of this network's names. */
MUST_CHECK int network_name_decode(const struct network *n, const uint8_t *path, size_t len_bytes,
				   struct network_name *ret);

/* The name of a publisher's end that brings the machine's connection t (local: the machine's side) to a listener. */
size_t network_name_published(const struct network *n, const struct port_tuple *t, uint8_t ret[NETWORK_NAME_OCTETS]);
/* Return: 0; -ENOENT, no such name of this network. */
MUST_CHECK int network_name_is_published(const struct network *n, const uint8_t *path, size_t len_bytes,
					 struct port_tuple *ret);

/* --- resets (reset.c): an end of a flow says that it will close with a reset, and the other asks, later --- */
/* by_client: which end says so. on: or takes it back. */
void network_reset_mark(struct network *n, const struct network_name *flow, bool by_client, bool on);
/* Of a flow whose other end is known to be gone. */
bool network_reset_seen(struct network *n, const struct network_name *flow, bool by_client);
/* Did anybody in this network ever say so? Costs nothing. */
bool network_resets(const struct network *n);

/* --- what changed (change.c): waiting for somebody to listen, without polling ---
 * The network's count of changes: a TCP socket began to listen, a UDP socket was bound, a host was made, such a claim
 * was given back or found dead. That a process merely died is noticed, and counted, by the next who asks for its port.
 *
 *     for (;;) {
 *         uint32_t seen = network_change_seen(n);    before looking
 *         if (what is waited for is there) break;
 *         r = network_change_wait(n, seen, timeout_ms);
 *     }
 */
uint32_t network_change_seen(struct network *n);
/* Sleep until the count is not what was seen. timeout_ms -1: none. A sleep ends after a second at the latest, whatever the
 * timeout, with 0 (the word is memory others can write, and the network may be removed meanwhile).
 * Return: 0, look again (perhaps for nothing); -ETIMEDOUT; -EINTR; -EUCLEAN, the file cannot be used at this moment. */
MUST_CHECK int network_change_wait(struct network *n, uint32_t seen, int timeout_ms);
/* To sleep on it oneself (futex_waitv(2), a thread with an eventfd): arm, then FUTEX_WAIT (not private) on the word for *ret_value,
 * a second at most. Return: 0; -EAGAIN, it changed already; -EUCLEAN. */
MUST_CHECK int network_change_arm(struct network *n, uint32_t seen, uint32_t *ret_value);
uint32_t *network_change_word(struct network *n); /* its address stays mapped; NULL: it cannot be had */
/* Count it up, and wake who waits. Called by network/ itself. */
void network_changed(struct network *n);

/* --- explanations (ring.c) --- */
struct network_event {
	uint64_t at_us; /* monotonic */
	int32_t pid;
	char comm[16];
	uint32_t host;
	uint8_t call;	       /* 'b' bind, 'l' listen, 'c' connect, 'k' lock, 'p' the way out is barred */
	struct port_want want; /* for 'c' and 'p': addr and port are the destination */
	struct port_refusal refusal;
};
/* A record for one `berth run`: its ring and the word its supervisor sleeps on. Return: its number,
 * which goes into BERTH_RUN; -ENOSPC. */
int network_run_open(struct network *n);
void network_run_close(struct network *n, uint32_t run);
/* From the shim: never blocks; the oldest is overwritten when nobody drains. Safe for any run number. */
void network_event_put(struct network *n, uint32_t run, const struct network_event *e);
/* From the supervisor: the next one. *cursor starts at 0. Return: 0; -EAGAIN, none. Validates. */
MUST_CHECK int network_event_take(struct network *n, uint32_t run, uint64_t *cursor, struct network_event *ret);
/* The futex word that changes with each put, to wait on; its address stays mapped. */
uint32_t *network_event_word(struct network *n, uint32_t run);

uint64_t network_now_us(void); /* CLOCK_MONOTONIC */

/* A file of the network's, made when missing and mapped whole, readable and writable by all in it; never
 * unmapped by us. Its octets are zero until somebody writes them, and anybody may. NULL: it cannot be had. */
uint8_t *network_file_map(const struct network *n, const char *leaf, size_t len_bytes);

#endif
