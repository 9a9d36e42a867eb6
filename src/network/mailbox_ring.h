/* src/network/mailbox_ring.h: a mailbox under its lock: what mailbox.c does for mailbox_state.c and mailbox_make.c. */
#ifndef BERTH_NETWORK_MAILBOX_RING_H
#define BERTH_NETWORK_MAILBOX_RING_H

#include "network/mailbox_map.h"

#define BELLS_MAX 8 /* Linux queues eleven datagrams of any kind on an AF_UNIX socket */

/* The two halves of box.ringing. */
#define RINGERS(v) ((v)&0xffffu)
#define GIVEN_UP(v) ((v) >> 16)

/* The ring's numbers, read once and checked. */
struct ring {
	struct box *b;
	uint8_t *mem;
	uint32_t cap, at, used, n, charge;
};

/* Return: 0, locked and attached; negative errno, unpinned. */
MUST_CHECK int box_open(struct network *n, uint64_t key, struct box_pin *p, struct ring *g);
void box_close(struct box_pin *p);
/* Memory for a ring of cap octets, and what follows it. Return: 0; -ENOSPC and others. */
MUST_CHECK int box_reserve(int fd, uint32_t cap);
/* Is the doorbell's socket there? 1; 0, no; negative: cannot tell. */
MUST_CHECK int box_probe(const struct network *n, uint64_t key);
/* Ring, without the lock. from: a descriptor that may send, or -1. Return: 0; -ECONNREFUSED; -EACCES and others, it
 * cannot be reached. */
int box_ring(struct network *n, uint64_t key, struct box_pin *p, int from);
/* Those who sleep look again. Return: how many. */
int box_wake(struct box *b, int most);

#endif
