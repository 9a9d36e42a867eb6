/* tests/support/conn_text.c: see conn_text.h. */
#include "conn_text.h"

#include <stdio.h>

#include "stack/stack.h"
#include "stack/tcp_flight.h"

static const char *const ca_text[] = {
	[CA_OPEN] = "open",	    [CA_DISORDER] = "disorder", [CA_CWR] = "cwr",
	[CA_RECOVERY] = "recovery", [CA_LOSS] = "loss",
};

/* A walk over all: a capture has time. */
static const struct tcp_conn *conn_of(const struct berth_stack *st, const struct link_view *v, bool is_out)
{
	const struct port_addr *local = is_out ? &v->src : &v->dst, *peer = is_out ? &v->dst : &v->src;
	uint16_t local_port = is_out ? v->tcp.src_port : v->tcp.dst_port;
	uint16_t peer_port = is_out ? v->tcp.dst_port : v->tcp.src_port;

	for (uint32_t i = 0; i < st->conns.n_max; i++) {
		const struct tcp_conn *c = slab_used(&st->conns, i) ? slab_at(&st->conns, i) : NULL;

		if (c && c->state && c->state != TCP_LISTEN && c->w && c->w->local_port == local_port &&
		    c->w->peer_port == peer_port && port_addr_equal(&c->w->local, local) &&
		    port_addr_equal(&c->w->peer, peer))
			return c;
	}
	return NULL;
}

int conn_text(const struct berth_stack *st, const struct link_view *v, bool is_out, char *text, size_t room)
{
	const struct tcp_conn *c = st && v->has_tcp ? conn_of(st, v, is_out) : NULL;
	char ssthresh[16] = "none";
	uint32_t rcv_nxt;
	int n;

	text[0] = 0;
	if (!c)
		return 0;
	rcv_nxt = c->state == TCP_SYN_SENT ? 0 : c->rcv_nxt - c->irs; /* nothing came yet */
	if (c->ssthresh != CC_SSTHRESH_NONE)
		snprintf(ssthresh, sizeof(ssthresh), "%u", c->ssthresh);
	n = snprintf(text, room, "%s una %u nxt %u rcv_nxt %u cwnd %u ssthresh %s pipe %u srtt %u us rto %u us %s",
		     tcp_state_text[c->state], c->una - c->iss, tcp_nxt(c) - c->iss, rcv_nxt, c->cwnd, ssthresh,
		     tcp_flight_pipe(c), c->srtt_us, (unsigned)(rtt_timeout_ns(c) / 1000), ca_text[c->w->ca_state]);
	return n < 0 ? 0 : n;
}
