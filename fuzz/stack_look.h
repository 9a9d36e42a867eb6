/* fuzz/stack_look.h: what is true of each frame that a stack sends, whatever came before. For the fuzz targets; the simulator's is
 * tests/sim/observe.c, which knows more of the flow. */
#ifndef BERTH_FUZZ_STACK_LOOK_H
#define BERTH_FUZZ_STACK_LOOK_H

#include "link/frame.h"

#define LOOK_ROOM 70000

/* The interface that it leaves by. */
struct look_iface {
	enum berth_link link;
	uint32_t flags; /* BERTH_IF_ */
	uint32_t mtu_bytes;
};

/* Asserts that the frame is whole (lengths add up, parsers read it), as long as the MTU allows, with checksums that are right or that its
 * device makes. octets: LOOK_ROOM of them, for a copy of it; *ret_v says what is in there. */
void stack_look(const struct berth_tx *tx, const struct look_iface *by, uint8_t *octets, struct link_view *ret_v);

#endif
