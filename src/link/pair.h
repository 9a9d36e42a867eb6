/* src/link/pair.h: ends in one process, joined without delay or loss: what one end sends arrives at all others, in order.
 *
 * For tests, examples and benchmarks. With two ends it is a cable, with more a hub: who it is not for drops it by its address.
 */
#ifndef BERTH_LINK_PAIR_H
#define BERTH_LINK_PAIR_H

#include "link/frame.h"

#define PAIR_ENDS_MAX 8

struct pair {
	struct link_frames frames;
	enum berth_link link;
	unsigned n_ends;
	uint64_t n_lost; /* for lack of memory */
	struct {
		struct link_frame *first, *last; /* on their way to this end */
		struct link_frame *lent;	 /* handed out by the last pair_take() */
		uint16_t iface;			 /* how this end's stack calls it */
		uint32_t n;
	} ends[PAIR_ENDS_MAX];
};

/* n_ends: 2 to PAIR_ENDS_MAX, else asserted. ifaces: the interface's number at each end. */
void pair_init(struct pair *p, enum berth_link link, unsigned n_ends, const uint16_t *ifaces);
void pair_fini(struct pair *p);
/* n frames from an end: copied. */
void pair_put(struct pair *p, unsigned from, const struct berth_tx *v, unsigned n);
/* At most n frames for an end; returns how many. They are good until the next pair_take() of this end, or pair_fini(). */
unsigned pair_take(struct pair *p, unsigned to, struct berth_rx *v, unsigned n);
bool pair_idle(const struct pair *p); /* nothing is on its way */

#endif
