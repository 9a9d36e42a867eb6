/* src/network/internal.h: the mapped file's layout, and what the files of network/ ask of each other.
 *
 *     0        header: what never changes (summed), then the network's lock and the allocator's cursor
 *     4 KiB    NETWORK_HOSTS_MAX host records of 128 octets, in order of index
 *     516 KiB  MAP_RUNS (1 MiB) run records: explanations on their way to a `berth run`
 *     then     the network's policy, twice, and what it refused (policy.c, refused.c)
 *     then     regions, page aligned: a summed region head and one host's port table
 *
 * The order of locks: a host's, then the network's, then the directory's flock (repair of the file).
 * Nothing here is trusted: every number read from the map is checked where it is read.
 */
#ifndef BERTH_NETWORK_INTERNAL_H
#define BERTH_NETWORK_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>

#include "base/trace.h"
#include "network/network.h"
#include "network/raw.h"
#include "network/reach.h"
#include "network/text.h"

#define PAGE_BYTES 4096u
#define MAP_MAGIC UINT64_C(0x0a68747265620a89) /* octets no text file begins with */
#define MAP_RUNS 128u
#define MAP_RUN_EVENTS 16u
#define MAP_REFUSED 256u
#define MAP_LEN_MAX ((UINT64_C(1) << 40) - PAGE_BYTES)
#define HOST_USED 0x74736f68u
#define TABLE_CLAIMS_FIRST 8u
#define HOST_INDEX_BASE 2u /* host 0 has the subnet's address 2; 1 is the gateway */

/* A lock in the map; see lock.c. */
struct map_lock {
	_Atomic uint64_t word;	   /* low 32: owner's tid and the waiters bit; high 32: its pid namespace */
	_Atomic uint64_t since_ns; /* CLOCK_BOOTTIME when taken; 0 while not yet written */
};

/* What never changes while the network exists. Its sum tells garbage from another version, so the place of
 * magic, version and sum is the same in every version. */
struct map_fixed {
	uint64_t magic;
	uint32_t version, layout; /* layout: sizes of what is shared, so that two builds agree or refuse */
	uint64_t sum;		  /* over all of this but sum */
	uint8_t key[16];
	struct port_addr net4, net6;
	uint32_t prefix4_bits, prefix6_bits; /* in the 128-bit form */
	uint32_t privileged_deny, pad;
	uint64_t created_unix_s;
};

struct map_header {
	struct map_fixed fixed;
	struct map_lock lock;	    /* the network's: making hosts, regions, runs */
	_Atomic uint64_t alloc_end; /* first octet no region has; a hint: regions themselves are what counts */
	_Atomic uint64_t resets;    /* not 0: a flow of this network may end with a reset (reset.c) */
	_Atomic uint64_t swept_ns, sweep_cost_ns; /* CLOCK_BOOTTIME of the last sweep of all, and what it took */
	_Atomic uint32_t n_hosts;		  /* a hint: records are what counts */
	_Atomic uint32_t run_pad;
	_Atomic uint64_t free_off[32]; /* regions given back; their own heads say how long they are */
	_Atomic uint32_t change;       /* counts who began or ceased to listen (change.c) */
	uint32_t change_pad;
};

struct map_host {
	struct map_lock lock;
	uint64_t table_off, table_len_bytes; /* of the region, its head included; 0: none yet */
	uint64_t sum;			     /* over used, index and name */
	uint32_t used, pad0;		     /* HOST_USED */
	char name[NETWORK_NAME_MAX];
	_Atomic uint64_t udp_epoch; /* counts changes of its UDP claims; 0: it never had one (udp.c) */
	uint64_t pad;
};

#define REGION_MAGIC UINT64_C(0x6e6f696765720a8a)
#define REGION_FREE UINT32_MAX
struct map_region {
	uint64_t magic, len_bytes;
	uint32_t host, pad; /* REGION_FREE: on the free list */
	uint64_t sum;	    /* over its place too, so that a copy elsewhere is not taken for one */
	uint64_t spare[4];
};

struct map_event {
	_Atomic uint64_t stamp; /* its number plus one once it is whole; 0 while it is written */
	struct network_event e;
};

struct map_run {
	_Atomic uint32_t used;
	int32_t pid; /* of the supervisor */
	uint32_t pidns;
	_Atomic uint32_t bell; /* the futex word */
	uint64_t opened_ns;    /* CLOCK_BOOTTIME: a younger process of that pid is another */
	_Atomic uint64_t head; /* number of events ever put */
	struct map_event events[MAP_RUN_EVENTS];
};

/* What may leave the network. The one that is not in force is written, then `word` says that it is. */
struct map_policy_slot {
	uint64_t sum;	     /* over the rest, keyed */
	uint64_t generation; /* the word with which it is in force: an older one is no policy of today */
	struct port_policy policy;
};
struct map_policy {
	_Atomic uint64_t word; /* the generation; its lowest bit is the slot */
	struct map_policy_slot slot[2];
};

/* One program that was refused one destination, and how often. */
struct map_refused {
	_Atomic uint64_t tag;			   /* of what it is about, keyed; 0: free */
	_Atomic uint64_t stamp;			   /* tag once all is written */
	_Atomic uint64_t count, first_us, last_us; /* CLOCK_REALTIME */
	_Atomic int32_t pid;			   /* the last one's */
	int32_t err;
	uint32_t host;
	uint8_t proto, pad0;
	uint16_t port;
	char comm[16];
	struct port_addr addr;
	struct port_policy_refusal by;
	uint32_t pad1[3];
};
static_assert(sizeof(struct map_refused) == 144, "no padding: all of it is summed");

#define MAP_HOSTS_OFF ((size_t)PAGE_BYTES)
#define MAP_RUNS_OFF (MAP_HOSTS_OFF + NETWORK_HOSTS_MAX * sizeof(struct map_host))
#define PAGE_UP(n) (((n) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1))
#define MAP_POLICY_OFF ((MAP_RUNS_OFF + MAP_RUNS * sizeof(struct map_run) + 7) & ~(size_t)7)
#define MAP_REFUSED_OFF (MAP_POLICY_OFF + sizeof(struct map_policy))
#define MAP_REGIONS_OFF PAGE_UP(MAP_REFUSED_OFF + MAP_REFUSED * sizeof(struct map_refused))
#define MAP_LEN_FIRST (MAP_REGIONS_OFF + (UINT64_C(256) << 10)) /* real from the beginning */
#define MAP_LEN_SPARSE (UINT64_C(256) << 20)			/* the file's length, holes included */
#define MAP_VIEW_FIRST (UINT64_C(16) << 20)			/* what a process maps at first */

static_assert(sizeof(struct map_header) <= PAGE_BYTES, "the header is a page");
static_assert(sizeof(struct map_host) == 128, "host records do not straddle cache lines more than they must");

/* --- dir.c --- */
/* Fill e and return err. The text is a, then b, then c; NULL ends it early. */
int error_say(struct network_error *e, int err, const char *a, const char *b, const char *c);
/* The same, and after a and b the reason that err is. */
int error_because(struct network_error *e, int err, const char *a, const char *b);
/* Open a directory that must be ours and 0700. */
MUST_CHECK int dir_open_checked(int at, const char *path, const char *shown, struct network_error *reterr);
/* Call each() for every entry but dots. Stops when it returns non-zero, and returns that. */
int dir_each(int fd, int (*each)(void *ctx, int dir, const char *name), void *ctx);
/* Our network's directory again, checked. */
MUST_CHECK int dir_reopen(const struct network *n);
/* Remove what is in the directory `name` of dir (one level and s/ below), and it. */
int dir_remove_tree(int dir, const char *name);
/* Make the file at least so long, all of it real (file.c). Return: 0; -ENOSPC; -EFBIG; others. */
bool file_too_long(uint64_t len_bytes); /* for RLIMIT_FSIZE: the kernel would send the program a SIGXFSZ */
MUST_CHECK int file_reserve(int fd, uint64_t len_bytes);
MUST_CHECK int write_all(int fd, const char *s, size_t len_bytes);

/* --- map_view.c --- */
/* The newest mapping as one word: page number (36 bits) and length in pages (28 bits). Two threads may map
 * the grown file at once; with two words a reader could meet the address of one and the length of the
 * other. */
#define MAP_VIEW_PAGE_BITS 36
static inline uint8_t *map_base(const struct network *n)
{
	uint64_t v = atomic_load(&n->view);

	return (uint8_t *)(uintptr_t)((v & ((UINT64_C(1) << MAP_VIEW_PAGE_BITS) - 1)) * PAGE_BYTES);
}
static inline size_t map_len(const struct network *n)
{
	return (atomic_load(&n->view) >> MAP_VIEW_PAGE_BITS) * PAGE_BYTES;
}
/* How long a view that reaches `end` should be; a view of the file; and it is the newest from now on. */
uint64_t map_view_len(uint64_t end);
uint8_t *map_view(int fd, uint64_t size, uint64_t used, uint64_t *ret_len);
void map_publish(struct network *n, uint8_t *map, uint64_t len_bytes);
/* Before the file is mapped: what n->asked is to be once the view of it is published; until then nobody asks. */
uint32_t *map_prepare_asking(struct network *n, int fd);
/* The mapping if its end can be touched, else mended first. NULL: it cannot be. */
uint8_t *map_get(struct network *n, size_t *ret_len_bytes);
struct map_header *map_header(struct network *n);
struct map_host *map_host(struct network *n, uint32_t host);
struct map_run *map_run(struct network *n, uint32_t run);
/* Room: map at least so much. Return: 0; -EUCLEAN, the file is shorter. */
MUST_CHECK int map_extend(struct network *n, uint64_t end);
/* --- map_region.c --- */
/* Make a file of `real` octets longer, with holes, and the last page of each possible view real. */
void map_sparse(int fd, uint64_t real);
/* A new region for a host, under the network's lock which it takes. */
MUST_CHECK int region_new(struct network *n, uint32_t host, uint64_t len_bytes, uint64_t *ret_off);
void region_free(struct network *n, uint64_t off, uint64_t len_bytes);
/* Is there a region of this host there, of that length? */
uint64_t region_says(struct network *n, uint64_t off); /* the length a region gives itself; 0: it is none */
bool region_ok(struct network *n, uint32_t host, uint64_t off, uint64_t len_bytes);
/* --- map.c --- */
/* Make the file whole again from `hosts`. */
MUST_CHECK int map_mend(struct network *n, struct network_error *reterr);
void map_fixed_fill(struct map_fixed *f);
uint64_t map_fixed_sum(const struct map_fixed *f);
uint32_t map_layout(void);

/* --- hosts.c --- */
struct hosts_file {
	struct map_fixed fixed; /* sum and layout filled in */
	struct port_policy policy;
	uint32_t n_hosts;
	char (*names)[NETWORK_NAME_MAX]; /* by index, "" where none; NETWORK_HOSTS_MAX of them */
};
/* Choose subnets, key and time for a new network. */
MUST_CHECK int hosts_choose(struct map_fixed *ret, const struct network_options *o, struct network_error *reterr);
/* Names come in memory of the caller's, NETWORK_HOSTS_MAX entries. Return: 0; -ENOENT; -EPROTO; -EUCLEAN. */
MUST_CHECK int hosts_read(int dir, struct hosts_file *ret, struct network_error *reterr);
MUST_CHECK int hosts_write(int dir, const char *network, const struct hosts_file *f);
uint64_t host_sum(const struct network *n, uint32_t index, const struct map_host *h);
/* Make the records agree with the file, under the network's lock. made: the host that is new; every other one whose
 * record is not there had one, and its table is to be made of what lives. NETWORK_HOSTS_MAX: none is new. */
void hosts_restore(struct network *n, const struct hosts_file *f, uint32_t made);
struct port_addr host_addr(const struct port_addr *net, uint32_t index);

/* --- policy.c --- */
/* What a new network's record is: key and policy. */
void policy_first(const struct map_fixed *f, const struct port_policy *p, struct map_policy *ret);
/* The record says what the hosts file says; under the network's lock. */
void policy_restore(struct network *n, const struct port_policy *p);

/* --- lock.c --- */
/* Signals must be blocked; me is lock_me(). Return: 0; 1, taken from a dead owner; -ETIMEDOUT and the
 * owner's pid; -EUCLEAN, the file was cut short. */
MUST_CHECK int map_lock_take(struct map_lock *l, uint64_t me, int32_t *reterr_pid);
void map_lock_give(struct map_lock *l, uint64_t me);
uint64_t lock_me(void); /* what the word says while this task owns it */
uint32_t lock_pidns(void);
/* Is the task that was alive at since_ns gone? Only asked of our own pid namespace. */
bool task_is_gone(int32_t tid, uint64_t since_ns);
uint64_t boot_ns(void);

/* --- repair.c --- */
/* Under the host's lock: make its table sane, from itself if possible, else from what is alive. */
MUST_CHECK int host_mend(struct network *n, uint32_t host, struct network_lock *l, bool rebuild);
/* Attach the host's table, making or mending it where needed. */
MUST_CHECK int host_attach(struct network *n, uint32_t host, struct network_lock *l);
/* Are its addresses and settings what they must be? */
bool host_set_up(const struct network *n, uint32_t host, const struct port_table *t);
/* Give it a bigger one. */
MUST_CHECK int host_grow(struct network *n, uint32_t host, struct network_lock *l, uint32_t n_claims);
uint32_t host_claims_room(const struct network_lock *l);

/* --- live.c --- */
/* What network/ writes into a claim's user word: a keyed sum of its owner, so that an owner somebody
 * scribbled over is not asked about for ever. */
uint64_t owner_sum(const struct network *n, const struct port_owner *o);
bool owner_is_garbage(const struct network *n, const struct port_claim *c);
struct live_id {
	uint64_t inode, cookie;
};
/* A dump of every AF_UNIX socket of this namespace. With names the callback gets the name (len 0:
 * none) and its file's inode.
 * Return: count; negative errno when it could not be had whole. */
int live_dump(const struct network *n, bool names,
	      void (*each)(void *ctx, const struct live_id *id, int state, uint32_t vfs_ino, const uint8_t *name,
			   size_t len_bytes),
	      void *ctx);

/* --- ports.c --- */
/* What needs one lock, one call on the table and, when it is damaged, one mend. */
#define WITH_TABLE(n, host, call)                                                     \
	({                                                                            \
		struct network_lock lock_;                                            \
		int r_ = network_lock(n, host, &lock_);                               \
		if (r_ == 0) {                                                        \
			struct port_table *t = &lock_.table;                          \
			r_ = (call);                                                  \
			if (r_ == -EUCLEAN && host_mend(n, host, &lock_, false) == 0) \
				r_ = (call);                                          \
			network_unlock(&lock_);                                       \
		}                                                                     \
		r_;                                                                   \
	})
/* Does somebody wait for it to come or go (change.c)? */
bool claim_is_reachable(const struct port_claim *c);
/* The path of a listener's claim that was ended. Where the owner's numbers were scribbled over, the claim looked
 * dead though the socket lives: its path stays, and from it the broom makes the claim again. */
void drop_path(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c);

/* --- sweep.c --- */
/* End the dead claims of one host, because room is wanted. ret_room and ret_sockets (may be NULL): the table's
 * size, and how many sockets there are in this namespace. Return: claims ended; negative errno. */
int sweep_room(struct network *n, uint32_t host, uint32_t *ret_room, uint32_t *ret_sockets);

/* --- world.c: other namespaces, for a sweep of a berth command --- */
#define WORLD_MAX 256u
struct world {
	bool looked, unsure;
	uint32_t euid, n_nets, n_pids;
	uint64_t since_ns;			   /* CLOCK_BOOTTIME when the network was made */
	uint32_t nets[WORLD_MAX], pids[WORLD_MAX]; /* inode numbers of namespaces that a thread is in */
};
/* Certainly: no thread of the machine is in it. Looks around at the first question. */
bool world_net_is_empty(const struct network *n, struct world *w, uint32_t netns);
bool world_pidns_is_gone(const struct network *n, struct world *w, uint32_t pidns);
/* Every socket that a process has a descriptor of. Return: 0; negative errno, not all were told. */
MUST_CHECK int world_sockets(void (*each)(void *ctx, uint64_t inode), void *ctx);

/* --- path.c --- */
#define PATH_LEAF_MAX 96
uint32_t path_tag(const struct network *n);
void path_leaf(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c,
	       char ret[PATH_LEAF_MAX]);
/* What a file name of s/ says. False: not one of ours. */
bool path_leaf_parse(const struct network *n, const char *leaf, uint32_t *ret_host, struct port_ref *ret_ref,
		     struct port_claim *ret);
/* Probe a listener's path: 1 alive, 0 looks dead, negative errno cannot tell. */
int path_probe(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c);

#endif
