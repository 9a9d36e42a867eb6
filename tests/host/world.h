/* tests/host/world.h: a network namespace full of sockets, each of which is known. */
#ifndef BERTH_TESTS_HOST_WORLD_H
#define BERTH_TESTS_HOST_WORLD_H

#include <sys/types.h>

#include "host/socket.h"

/* What a row has to be. */
struct made {
	const char *what;
	uint8_t proto, family, state;
	struct port_addr addr, peer;
	uint16_t port, peer_port;
	uint16_t is;	 /* of HOST_IS_V6ONLY, _FREEBIND, _LATE_PORT, _SHUT_*, _ACCEPTED */
	uint64_t inode;	 /* 0: nobody's */
	uint64_t cookie; /* 0: not known */
	uint32_t uid;
	int32_t pids[4]; /* who has it open, in order; 0 ends */
	int fd;		 /* its number in pids[0] */
	bool reuseaddr, reuseport;
	enum host_holder holder;
};

#define MADE_MAX 128
struct world {
	struct made made[MADE_MAX];
	int n;
	pid_t children[8];
	int n_children;
	bool is_root; /* of the machine, not of a user namespace */
};

/* Go to a network namespace of our own, loopback up; user_ns: with a user namespace even as root. 77: not possible here. */
int world_enter(struct world *w, bool user_ns);
/* Make everything. */
void world_make(struct world *w);
/* End the children. */
void world_end(struct world *w);

#endif
