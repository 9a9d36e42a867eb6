/* src/cli/publisher_acceptor.h: can whoever accepts on a listener be given a socket of the kernel's? (publisher_acceptor.c) */
#ifndef BERTH_CLI_PUBLISHER_ACCEPTOR_H
#define BERTH_CLI_PUBLISHER_ACCEPTOR_H

#include "port/table.h"

struct acceptor {
	struct port_ref of;
	bool outside;		     /* only processes outside berth have it */
	int32_t pid, fd;	     /* one under berth that has it; pid 0: none was seen */
	uint64_t again_us, pause_us; /* when all of /proc may be read again */
};

/* Look at the listener ref, whose claim is c; cheap when nothing changed. What it is stays in *a, all zeroes at first. */
void acceptor_look(struct acceptor *a, struct port_ref ref, const struct port_claim *c, uint64_t now_us);

#endif
