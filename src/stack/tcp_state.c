/* src/stack/tcp_state.c: the states of a connection, and the edges between them (RFC 9293, 3.3.2, figure 5).
 *
 * The edges are data: a change that the figure does not have is a bug of ours and stops the program. States change in
 * tcp_set_state() and nowhere else, except that a connection that is restored comes back as what it was.
 */
#include "stack/tcp_control.h"

const char *const tcp_state_text[TCP_NSTATES] = {
	[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_SYN_SENT] = "SYN-SENT",	    [TCP_SYN_RCVD] = "SYN-RECEIVED",
	[TCP_FIN_WAIT_1] = "FIN-WAIT-1",   [TCP_FIN_WAIT_2] = "FIN-WAIT-2", [TCP_TIME_WAIT] = "TIME-WAIT",
	[TCP_CLOSED] = "CLOSED",	   [TCP_CLOSE_WAIT] = "CLOSE-WAIT", [TCP_LAST_ACK] = "LAST-ACK",
	[TCP_LISTEN] = "LISTEN",	   [TCP_CLOSING] = "CLOSING",
};

/* Every state may end in CLOSED: a reset, a timeout, abort(). CLOSED to SYN-RECEIVED and ESTABLISHED are a listener's children: the
 * listener itself stays in LISTEN. */
static const uint16_t edges[TCP_NSTATES] = {
	[TCP_CLOSED] = TCP_IN(LISTEN) | TCP_IN(SYN_SENT) | TCP_IN(SYN_RCVD) | TCP_IN(ESTABLISHED),
	[TCP_LISTEN] = TCP_IN(CLOSED),
	[TCP_SYN_SENT] = TCP_IN(SYN_RCVD) | TCP_IN(ESTABLISHED) | TCP_IN(CLOSED),
	[TCP_SYN_RCVD] = TCP_IN(ESTABLISHED) | TCP_IN(FIN_WAIT_1) | TCP_IN(CLOSED),
	[TCP_ESTABLISHED] = TCP_IN(FIN_WAIT_1) | TCP_IN(CLOSE_WAIT) | TCP_IN(CLOSED),
	[TCP_FIN_WAIT_1] = TCP_IN(FIN_WAIT_2) | TCP_IN(CLOSING) | TCP_IN(CLOSED),
	[TCP_FIN_WAIT_2] = TCP_IN(TIME_WAIT) | TCP_IN(CLOSED),
	[TCP_CLOSING] = TCP_IN(TIME_WAIT) | TCP_IN(CLOSED),
	[TCP_CLOSE_WAIT] = TCP_IN(LAST_ACK) | TCP_IN(CLOSED),
	[TCP_LAST_ACK] = TCP_IN(CLOSED),
	[TCP_TIME_WAIT] = TCP_IN(CLOSED),
};

void tcp_set_state(struct berth_stack *st, struct tcp_conn *c, enum tcp_state_name to)
{
	(void)st;
	ASSERT(edges[c->state] >> to & 1);
	c->state = (uint8_t)to;
	if (to == TCP_ESTABLISHED)
		c->f |= TF_CONNECTED;
}

void tcp_state_restore(struct tcp_conn *c, enum tcp_state_name to)
{
	ASSERT(c->state == TCP_CLOSED && (TCP_SYNCHRONIZED >> to & 1));
	c->state = (uint8_t)to;
	c->f |= TF_CONNECTED;
}
