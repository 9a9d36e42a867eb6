/* src/stack/tcp_icmp.c: what routers and the peer's host say about our segments (RFC 9293, 3.9.2.2; RFC 5927).
 *
 * Anybody can send such a message, so it counts only if the segment it quotes is in flight now: its sequence number within
 * [una, max). And it never ends a connection that was established (MUST-56; RFC 5927, 5.2): the error is remembered, for the program to
 * hear should the connection time out. In SYN-SENT a hard error ends the attempt, a soft one is remembered too.
 */
#include <errno.h>

#include "stack/tcp_control.h"

/* Net, host and time exceeded may pass (RFC 9293, 3.9.2.2, codes 0, 1 and 5). */
static bool is_hard(enum icmp_error e)
{
	return e == ICMP_ERR_PORT_UNREACH || e == ICMP_ERR_PROTO_UNREACH || e == ICMP_ERR_PROHIBITED;
}

static struct tcp_conn *conn_of(struct berth_stack *st, const struct icmp_note *e)
{
	struct port_tuple t = {PORT_TCP, e->local, e->peer, wire_get16(e->l4), wire_get16(e->l4 + 2)};
	struct port_claim claim;
	struct port_ref ref;

	if (port_demux_flow(&st->ports, &t, &ref) < 0 || port_table_get(&st->ports, ref, &claim) < 0 ||
	    claim.user & SOCK_ID_TIME_WAIT || !slab_used(&st->conns, (uint32_t)claim.user))
		return NULL;
	return tcp_at(st, (uint32_t)claim.user);
}

/* The smallest we go to is pmtu_lower()'s: a lie costs no more than that (S13). */
static void too_big(struct berth_stack *st, struct tcp_conn *c, uint32_t mtu_bytes)
{
	uint32_t mtu;

	if (mtu_bytes >= c->w->route.mtu_bytes || !pmtu_lower(st, &c->w->peer, mtu_bytes))
		return;
	mtu = pmtu_get(st, &c->w->peer, c->w->route.mtu_bytes);
	if (mtu < c->w->route.mtu_bytes)
		tcp_mtu_lowered(st, c, mtu);
}

void tcp_icmp_error(struct berth_stack *st, const struct icmp_note *e)
{
	struct tcp_conn *c;
	uint32_t seq;
	int err;

	if (e->l4_len < 8) {
		st->n.icmp_rejected++;
		return;
	}
	c = conn_of(st, e);
	seq = wire_get32(e->l4 + 4);
	if (c == NULL || c->w == NULL || c->una == c->w->max || !seq_in(seq, c->una, c->w->max)) {
		st->n.icmp_rejected++;
		return;
	}
	if (e->error == ICMP_ERR_TOO_BIG) {
		too_big(st, c, e->mtu_bytes);
		return;
	}
	err = icmp_errno(e->error, port_addr_is4(&c->w->peer));
	if (c->state == TCP_SYN_SENT && is_hard(e->error)) {
		tcp_end(st, c, err);
		return;
	}
	c->soft_err = (int16_t)err;
}
