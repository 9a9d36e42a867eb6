/* src/host/owners.h: which processes have which sockets open, read from /proc at the time of asking. */
#ifndef BERTH_HOST_OWNERS_H
#define BERTH_HOST_OWNERS_H

#include "host/root.h"
#include "port/table.h"

struct host_owner {
	uint64_t inode;
	int32_t pid;
	int32_t fd; /* the lowest number it has there */
};

/* Why a socket's process may not have been seen. */
enum {
	HOST_UNSEEN_USERS = 1 << 0,   /* processes of other users, which only root may look into: n_denied */
	HOST_UNSEEN_HIDEPID = 1 << 1, /* /proc does not even name them (mount option hidepid) */
	HOST_UNSEEN_OUTSIDE = 1 << 2, /* we are in a pid namespace: a container sees its own processes */
	HOST_UNSEEN_NO_PROC = 1 << 3, /* /proc cannot be read at all */
};

/* Sorted by inode, then pid; each pair once. */
struct host_owners {
	struct host_owner *rows;
	size_t n, room;
	uint32_t *index; /* row + 1 where an inode begins, by its hash; NULL: none, and rows are searched */
	size_t index_size;
	uint32_t n_processes; /* looked at */
	uint32_t n_denied; /* of them not allowed; kernel threads and zombies, which have no descriptors, not counted */
	uint32_t unseen;   /* HOST_UNSEEN_...; 0: every process of this machine was seen */
};

/* Every socket every process we may look into has open. Never fails: what cannot be read is not there. */
void host_owners_read(const struct host_root *root, struct host_owners *ret);

/**
 * host_owners_read_number() - the sockets of a few claims, sought under one descriptor number in each process
 * @claims: at most HOST_OWNERS_FEW of them
 *
 * The number is the one that the claim's own process has the socket under, which fork() keeps; a copy under
 * another number is not seen. It costs 2 us for each process of the machine.
 *
 * Return: 0; -ENOENT, a claim's own process has its socket no more: only reading everything can tell.
 */
int host_owners_read_number(struct host_owners *ret, const struct port_claim *const *claims, size_t n);
#define HOST_OWNERS_FEW 8

/* What answers best for these claims: everything where that is cheap; on a machine with very many processes, and for
 * a few claims, by number. */
void host_owners_read_for(struct host_owners *ret, const struct port_claim *const *claims, size_t n);

/* Where the rows of this inode begin; *ret_n: how many there are. */
const struct host_owner *host_owners_find(const struct host_owners *s, uint64_t inode, size_t *ret_n);
void host_owners_free(struct host_owners *s);

#endif
