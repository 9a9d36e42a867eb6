/* src/stack/tcp_newreno.c: the congestion control of RFC 5681: double in each round trip, then a segment more in each; half on a loss. */
#include "stack/tcp_flight.h"

static void init(struct tcp_conn *c)
{
	(void)c;
}

static void on_ack(struct tcp_conn *c, const struct cc_ack *a)
{
	uint32_t left = a->octets;

	if (cc_in_slow_start(c))
		left = cc_slow_start(c, left);
	if (left > 0)
		cc_grow(c, left);
}

/* Half, and two segments at least (RFC 5681, equation 4; of cwnd, which grows only while it is used). */
static uint32_t half(struct tcp_conn *c)
{
	uint32_t least = 2u * c->mss;

	c->w->cwnd_acked = 0;
	return c->cwnd / 2 > least ? c->cwnd / 2 : least;
}

const struct tcp_cc_ops cc_newreno = {
	.name = "newreno",
	.init = init,
	.on_ack = on_ack,
	.on_loss = half,
	.on_rto = half,
};
