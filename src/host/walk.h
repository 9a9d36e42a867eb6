/* src/host/walk.h: the way through /proc: one process's sockets, and processes shared by threads. Between the files of host/. */
#ifndef BERTH_HOST_WALK_H
#define BERTH_HOST_WALK_H

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include "host/owners.h"

#define HOST_WALK_TAKE_BYTES 4096 /* of /proc's listing at a time: some 160 processes */

struct host_share;

/* A walk through all processes, or through those of a list. */
struct host_walk {
	int proc; /* the directory */
	bool is_procfs;
	bool knows_counts;    /* the size of a folder of descriptors is their number */
	pthread_mutex_t lock; /* over what the threads share: the names that were listed, and where they are in them */
	union {
		struct dirent64 align;
		char text[HOST_WALK_TAKE_BYTES];
	} names;
	long n_listed, at;
	const int32_t *pids; /* these and no others; NULL: all */
	size_t n_pids;
	void (*each)(struct host_share *s, int32_t pid);
	void *ctx;	    /* each()'s */
	atomic_bool enough; /* set by each(): nobody begins another process */
};

/* What one of its threads does and finds. */
struct host_share {
	struct host_walk *walk;
	struct host_owners found;
	int32_t pid; /* who is being looked at */
	pthread_t thread;
};

/* Of each socket of a process; false: enough. */
typedef bool host_each_socket_fn(void *ctx, int fd, uint64_t inode);

/* Opens /proc; what else the caller has set in w stays. Return: 0; negative errno, and nothing is to be closed. */
MUST_CHECK int host_walk_open(const struct host_root *root, struct host_walk *w);
void host_walk_close(struct host_walk *w);
/* Calls each() for every process, in several threads where that pays. What they found is added to *found. */
void host_walk_run(struct host_walk *w, struct host_owners *found);
/* All processes, as /proc lists them now. Return: how many; *ret is to be freed, NULL when there are none. */
size_t host_walk_list(struct host_walk *w, int32_t **ret);
/* How many descriptors it has, whether we may look at them or not; 0: none, or not told (knows_counts). */
uint32_t host_walk_count(const struct host_walk *w, int32_t pid);
/* Call each() for every socket of a process. Return: 0; -EACCES, we may not look; -ENOENT and others, it is gone.
 * In a user namespace, as elsewhere, the folder may open and its links not be readable. */
MUST_CHECK int host_walk_sockets(const struct host_walk *w, int32_t pid, host_each_socket_fn *each, void *ctx);
/* The same for these numbers of descriptors alone. */
MUST_CHECK int host_walk_numbers(const struct host_walk *w, int32_t pid, const int *numbers, size_t n,
				 host_each_socket_fn *each, void *ctx);
/* The inode of the socket that a path below dir (or from dir -1) leads to; 0: none. *ret_err: negative errno, when there is no
 * such link or we may not read it. */
uint64_t host_walk_socket_at(int dir, const char *path, int *ret_err);
/* Has a process that may not be looked into descriptors at all? Kernel threads and zombies have no memory either. */
bool host_walk_has_memory(const struct host_walk *w, int32_t pid);
/* Why a process may not have been seen: HOST_UNSEEN_..., of what found counted. */
uint32_t host_walk_unseen(const struct host_walk *w, const struct host_owners *found);

/* One more row. False: no memory. */
bool host_owners_push(struct host_owners *s, uint64_t inode, int32_t pid, int fd);
/* In order, and each pair once: a process may have a socket open twice. */
void host_owners_put_in_order(struct host_owners *s);
/* Among many rows a search costs ten times this. */
void host_owners_make_index(struct host_owners *s);

#endif
