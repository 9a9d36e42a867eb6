/* src/port/demux.h: what arrives, to the right claim (RFC 9293, 3.10.7; RFC 1122, 4.1.3.5).
 *
 * First the flow with exactly this four-tuple; then a listener (TCP) or bound socket (UDP) of the
 * destination port: exact address before wildcard, the packet's own family before a dual-stack
 * wildcard, bound to the device before not; several with SO_REUSEPORT form a group, and the flow's
 * keyed hash picks one by rendezvous, so that a group that grows or shrinks moves only the flows it
 * must. Two UDP sockets that share by SO_REUSEADDR alone: the one bound last (D4).
 */
#ifndef BERTH_PORT_DEMUX_H
#define BERTH_PORT_DEMUX_H

#include "port/table.h"

/* Tuples are as seen from here: local is the destination of what arrived. */
/* Return: 0; -ENOENT; -EUCLEAN. */
MUST_CHECK int port_demux_flow(const struct port_table *t, const struct port_tuple *tuple, struct port_ref *ret);
MUST_CHECK int port_demux_listener(const struct port_table *t, const struct port_tuple *tuple, uint32_t dev,
				   struct port_ref *ret);
/* The flow, else the listener. */
MUST_CHECK int port_demux(const struct port_table *t, const struct port_tuple *tuple, uint32_t dev,
			  struct port_ref *ret);

#define PORT_DEMUX_BATCH 32
/* port_demux_flow() for n tuples (at most PORT_DEMUX_BATCH) at the price of about one: memory is asked for before it is needed, so that
 * the waits for it overlap. ret[i] is PORT_REF_NONE where there is no such flow (or the table is damaged: port_demux() says which);
 * ret_users[i] is the claim's user word where there is. Returns the steps of the longest chain that was walked. */
unsigned port_demux_batch(const struct port_table *t, const struct port_tuple *v, unsigned n, struct port_ref *ret,
			  uint64_t *ret_users);

#endif
