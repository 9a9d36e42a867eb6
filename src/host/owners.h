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
	bool is_whole;	   /* every process was looked through; else rows say nothing of sockets that were not sought */
};

/* Every socket every process we may look into has open. Never fails: what cannot be read is not there. */
void host_owners_read(const struct host_root *root, struct host_owners *ret);

/* A socket whose processes are sought. */
struct host_sought {
	uint64_t inode; /* 0: none */
	bool has_uid;
	uint32_t uid;  /* whose it is */
	bool optional; /* not worth that processes with many descriptors are looked through for it */
};
#define HOST_FIRST_MAX 256

/**
 * host_owners_seek() - the processes of some sockets, without looking through every process
 * @first: who has them most likely, at most HOST_FIRST_MAX; with `one` they are looked at before others
 * @one: a process for each socket is enough, with those of its parents that have it under the same number; else all processes
 *
 * What it may miss: of a process with more than 256 descriptors, a socket that it has under a number of its own from 64 on, when
 * others have that socket, too. A socket that nobody was seen to have is treated as host_owners_read() does: everybody was looked
 * through, unless it is optional, or another user's and some processes may not be looked into. n_processes and unseen are of what was looked at.
 */
void host_owners_seek(const struct host_root *root, const struct host_sought *sought, size_t n, const int32_t *first,
		      size_t n_first, bool one, struct host_owners *ret);

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

/* What answers best for these claims: they are sought; on a machine with very many processes, and for a few claims, by number. */
#define HOST_OWNERS_SEEK 64 /* more: everything */
void host_owners_read_for(struct host_owners *ret, const struct port_claim *const *claims, size_t n);

/* Where the rows of this inode begin; *ret_n: how many there are. */
const struct host_owner *host_owners_find(const struct host_owners *s, uint64_t inode, size_t *ret_n);
void host_owners_free(struct host_owners *s);

#endif
