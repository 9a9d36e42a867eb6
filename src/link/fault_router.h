/* src/link/fault_router.h: what a router in the middle of a link does with a packet that is too long: fault.c's own. */
#ifndef BERTH_LINK_FAULT_ROUTER_H
#define BERTH_LINK_FAULT_ROUTER_H

#include "link/frame.h"

/* The ICMP error that says so (RFC 792 with RFC 1191's MTU; RFC 4443, 3.2), from router to the packet's sender. NULL: none may be sent
 * (RFC 1122, 3.2.2: not about ICMP errors, later fragments, groups), or no memory. */
struct link_frame *router_too_big(struct link_frames *f, const struct link_frame *about, const struct link_view *v,
				  const struct port_addr *router, uint32_t mtu_bytes);
/* IPv4 fragments of a packet without DF, a list through next (RFC 791, 3.2); NULL: it cannot be cut. */
struct link_frame *router_fragment(struct link_frames *f, const struct link_frame *whole, const struct link_view *v,
				   uint32_t mtu_bytes);

#endif
