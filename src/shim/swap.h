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
