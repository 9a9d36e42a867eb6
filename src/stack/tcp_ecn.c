/* src/stack/tcp_ecn.c: Explicit Congestion Notification (RFC 3168).
 *
 * As receiver: a CE mark is echoed on every acknowledgment (ECE) until the sender says CWR (6.1.3).
 * As sender: new data is ECT(0), nothing else is: not acknowledgments, retransmissions, or window probes (6.1.4 to 6.1.6). An ECE
 * reduces the window as a loss does, once in a round trip, and the next new segment says CWR (6.1.2).
 * Whether both ends do this was agreed in the handshake (tcp_options.c, TF_ECN).
 */
#include "stack/tcp_flight.h"

#define IP_ECT0 2

void tcp_ecn_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!(c->f & TF_ECN) || s->flags & WIRE_TCP_SYN)
		return;
	if (s->flags & WIRE_TCP_CWR)
		c->f &= ~(uint32_t)TF_ECN_CE;
	if (s->ce) {
		st->n.tcp_ecn_ce_in++;
		c->f |= TF_ECN_CE | TF_ECN_SEEN;
		if (s->len > 0)
			c->f |= TF_ACK_NOW;
	}
}

uint16_t tcp_ecn_out_flags(struct tcp_conn *c, bool new_data)
{
	uint16_t flags = 0;

	if (c->state == TCP_SYN_SENT) /* ECN-setup SYN (6.1.1), while it was not sent too often */
		return c->ecn_wish == 1 && c->w->n_rtx < 2 ? WIRE_TCP_ECE | WIRE_TCP_CWR : 0;
	if (!(c->f & TF_ECN))
		return 0;
	if (c->state == TCP_SYN_RCVD && c->w->nxt == c->iss)
		return WIRE_TCP_ECE; /* ECN-setup SYN-ACK */
	if (c->f & TF_ECN_CE)
		flags |= WIRE_TCP_ECE;
	if (new_data && c->f & TF_ECN_CWR) {
		flags |= WIRE_TCP_CWR;
		c->f &= ~(uint32_t)TF_ECN_CWR;
	}
	return flags;
}

uint8_t tcp_ecn_out_tos(const struct tcp_conn *c, bool new_data, bool rexmit)
{
	return c->f & TF_ECN && new_data && !rexmit ? IP_ECT0 : 0;
}

void ecn_ack(struct berth_stack *st, struct tcp_conn *c, const struct flight_ack *a)
{
	if (!a->ece || c->w->ca_state >= CA_CWR || seq_lt(c->una, c->w->recover_seq))
		return; /* once in a round trip, and a loss has done it already */
	recover_enter_cwr(st, c);
	c->f |= TF_ECN_CWR;
}
