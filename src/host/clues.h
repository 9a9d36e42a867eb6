/* src/host/clues.h: who may hold a socket that no process has open (HOST_HELD_NOBODY).
 *
 * Such a socket is the kernel's own (a tunnel's, NFS's), or is under way: in a message (SCM_RIGHTS) that nobody has read.
 * The kernel says neither of the socket itself. So what else is known is collected: interfaces that take a UDP
 * port, services of the kernel's that are there, messages that carry descriptors.
 */
#ifndef BERTH_HOST_CLUES_H
#define BERTH_HOST_CLUES_H

#include "host/owners.h"
#include "host/socket.h"

enum host_clue_kind {
	HOST_CLUE_NONE,
	HOST_CLUE_TUNNEL,    /* an interface: what is "vxlan vx0" */
	HOST_CLUE_KERNEL,    /* a service of the kernel's: what is "the NFS server" */
	HOST_CLUE_IN_FLIGHT, /* a message to process pid, waiting in its descriptor fd, carries descriptors */
};

struct host_clue {
	enum host_clue_kind kind;
	bool is_certain;      /* it is this very port; else it may be */
	uint8_t proto;	      /* enum host_proto; HOST_NPROTOS: any */
	uint16_t port;	      /* 0: any */
	int32_t pid, fd;      /* IN_FLIGHT */
	uint32_t n_in_flight; /* descriptors that wait there */
	char what[64];
};

struct host_clues {
	struct host_clue *rows;
	size_t n, room;
};
/* Never fails: what cannot be read is no clue. o: all owners, for whose sockets messages wait in. Costs some milliseconds: read
 * it when there is a row that nobody has. */
void host_clues_read(const struct host_root *root, const struct host_owners *o, struct host_clues *ret);
/* The best of them for this socket; NULL: none. */
const struct host_clue *host_clues_find(const struct host_clues *c, const struct host_socket *s);
void host_clues_free(struct host_clues *c);

#endif
