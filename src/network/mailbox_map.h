/* src/network/mailbox_map.h: the mailbox's file, mapped: what mailbox.c and mailbox_map.c share. */
#ifndef BERTH_NETWORK_MAILBOX_MAP_H
#define BERTH_NETWORK_MAILBOX_MAP_H

#include <stdalign.h>

#include "network/internal.h"
#include "network/mailbox.h"

#define BOX_MAGIC UINT64_C(0x0b786f626c69616d)
#define BOX_HEAD_BYTES (16u << 10) /* the ring begins here */
#define BOX_RING_FIRST (4u << 10)
#define BOX_TAIL_BYTES 8u /* after the ring, all ones: see box_pin() */
#define BOX_LEAF_MAX 48

/* The file's first octets, so that two processors that send and receive pass few cache lines to and fro: what
 * changes under the lock is in the lock's own, and what a receiver looks at while it waits is in another. */
#define BOX_LINE 64
struct box {
	uint64_t magic, key;
	uint64_t inode, made_ns; /* of the program's socket; CLOCK_BOOTTIME */

	alignas(BOX_LINE) struct map_lock lock;
	uint32_t cap;		   /* octets of the ring, a power of two */
	uint32_t at, used;	   /* where the oldest begins, and how many octets are taken */
	uint32_t n, charge;	   /* datagrams, and what they count against SO_RCVBUF */
	uint32_t bells;		   /* octets rung, or about to be, that nobody has taken */
	uint64_t sign_us, rang_us; /* when it was last known to have a socket; and rung */
	_Atomic uint64_t watch_us; /* a receiver looks until then at the latest, and needs no bell; 0: none does */

	alignas(BOX_LINE) _Atomic uint32_t word; /* a futex: changes with each datagram */
	_Atomic uint32_t sleepers;		 /* on it; more than there are, where some were killed */
	_Atomic uint32_t ringing; /* low half: so many ring just now; high: so often they were given up */
	_Atomic uint32_t drops;
	uint64_t busy_us; /* under the lock: since then one rings each time somebody asks; 0: not known */

	alignas(BOX_LINE) _Atomic uint32_t seq; /* odd while the state changes */
	uint32_t n_members;
	struct mailbox_state state;
	struct mailbox_member members[MAILBOX_MEMBERS];
	struct mailbox_error errors[MAILBOX_ERRORS];
};
static_assert(sizeof(struct box) <= BOX_HEAD_BYTES, "the ring follows");
static_assert(offsetof(struct box, word) == offsetof(struct box, lock) + BOX_LINE, "the lock's line");

/* A mailbox held mapped. */
struct box_pin {
	struct box *b;
	size_t len_bytes;    /* of the mapping, ring included */
	struct box_entry *e; /* NULL: mapped for this once */
	uint64_t sigmask;
	uint64_t me;   /* lock_me() */
	uint32_t turn; /* we were to ring after so many had been given up */
};
/* To look only. */
MUST_CHECK int box_hold(const struct network *n, uint64_t key, struct box_pin *ret);
void box_drop(struct box_pin *p);
/* To change: all signals are blocked until unpin. */
MUST_CHECK int box_pin(const struct network *n, uint64_t key, struct box_pin *ret);
/* The file has grown: map all of it. The mapping's place changes. */
MUST_CHECK int box_widen(const struct network *n, struct box_pin *p);
void box_unpin(struct box_pin *p);
/* Forget the mapping when it is next free: the file is gone. */
void box_forget(uint64_t key);

void box_leaf(uint64_t key, const char *tail, char ret[BOX_LEAF_MAX]);
/* dir/s/leaf, as a path. */
void box_path(uint64_t key, const char *tail, char ret[REACH_LEAF_MAX]);

#endif
