/* src/shim/swap.h: another socket behind the same descriptor number (swap.c). */
#ifndef BERTH_SHIM_SWAP_H
#define BERTH_SHIM_SWAP_H

#include <sys/stat.h>

#include "shim/shim.h"

#define SWAP_COPIES_MAX 64
#define SWAP_WATCHES_MAX 64

/* One registration in an epoll: of the socket, under the number fd. */
struct swap_watch {
	int epoll, fd;
	uint32_t events;
	uint64_t data;
};

/* Where a process has a socket. */
struct swap_places {
	int copies[SWAP_COPIES_MAX]; /* its descriptors */
	struct swap_watch watches[SWAP_WATCHES_MAX];
	unsigned n_copies, n_watches;
};

/* --- hints, so that not all descriptors have to be looked at each time --- */
#define SWAP_FDS_MAX 65536
extern _Atomic uint64_t swap_epolls[SWAP_FDS_MAX / 64]; /* numbers that may be epolls */
extern _Atomic bool swap_all; /* a socket of ours may have copies, or an epoll a high number */
static inline bool swap_maybe_epoll(int fd)
{
	return (unsigned)fd < SWAP_FDS_MAX &&
	       atomic_load_explicit(&swap_epolls[(unsigned)fd / 64], memory_order_relaxed) >> ((unsigned)fd % 64) & 1;
}
void swap_mark_epoll(int fd);
/* A descriptor that came from elsewhere: is it one? */
void swap_look(int fd);

/* Look for the socket with this inode among the descriptors and the epolls of a process: of the calling thread's
 * own, or with pid (the second net) of that process. What does not fit is left out. Without /proc nothing is found.
 * Return: 0; -EMFILE, -ENFILE, no descriptor was left to look. */
int swap_find(int pid, uint64_t inode, struct swap_places *ret);
bool swap_is_cloexec(int pid, int fd);

/* The socket `fresh` comes behind fd, and behind every copy of it in this process; registrations in epolls are made
 * again; what F_GETFL, F_GETFD and F_GETOWN said stays. `fresh` itself stays open. Return: 0; negative errno, and
 * nothing was done. */
MUST_CHECK int swap_socket(int fd, int fresh);

#endif
