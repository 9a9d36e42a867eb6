/* src/stack/tcp_info.c: what a connection is like now, in the units of Linux's struct tcp_info. */
#include <errno.h>
#include <string.h>

#include "stack/tcp_control.h"
#include "stack/tcp_flight.h"

#define TS_OCTETS 12	  /* of a timestamp, in each segment */
#define RCV_MSS_FIRST 536 /* what is believed of the peer's segments before the first */

static uint32_t ms_since(const struct berth_stack *st, uint64_t then_ns)
{
	uint64_t ms = then_ns ? (st->now_ns - then_ns) / NS_PER_MS : 0;

	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static uint8_t options(const struct tcp_conn *c)
{
	return (uint8_t)((c->f & TF_TS ? 1 : 0) | (c->f & TF_SACK ? 2 : 0) | (c->f & TF_WSCALE ? 4 : 0) |
			 (c->f & TF_FASTOPEN && c->state != TCP_SYN_SENT ? 32 : 0) | (c->f & TF_ECN ? 8 : 0) |
			 (c->f & TF_ECN_SEEN ? 16 : 0));
}

static void sending(const struct tcp_conn *c, struct berth_tcp_info *i)
{
	uint32_t mss = c->mss ? c->mss : 1, out = c->w->max - c->una;

	if (c->state == TCP_LISTEN) /* its path is nobody's */
		return;
	i->ca_state = c->w->ca_state;
	i->retransmits = out ? c->w->n_rtx : 0; /* else it is tcp_persist.c's, which `probes` shows */
	i->probes = c->w->n_probes;
	i->backoff = c->w->n_probes ? c->w->n_probes : c->w->backoff;
	i->snd_wscale = c->snd_scale;
	i->rto_us = (uint32_t)(rtt_timeout_ns(c) / 1000);
	i->rtt_us = c->srtt_us;
	i->rttvar_us = c->rttvar_us;
	i->min_rtt_us = c->min_rtt_us;
	i->snd_mss = c->mss;
	i->snd_cwnd = c->cwnd / mss;
	i->snd_ssthresh =
		c->ssthresh == CC_SSTHRESH_NONE ? c->ssthresh : c->ssthresh / mss; /* none yet: as Linux says it */
	i->snd_wnd = c->snd_wnd;
	i->unacked = c->w->n_out;
	i->sacked = c->f & TF_SACK ? c->w->n_sacked : c->w->dupacks;
	i->lost = c->w->n_lost;
	i->retrans = c->w->n_rexmit;
	i->reordering = c->reordering ? c->reordering : TCP_REORDERING;
	i->reord_seen = c->reord_seen;
	i->total_retrans = c->rexmits;
	i->notsent_bytes = c->tx.used > out ? c->tx.used - out : 0;
	i->delivery_rate_bps = c->w->rate_bps;
	i->pacing_rate_bps = c->pacing_max_bps ? c->w->pacing_bps : 0;
	i->snd_una = c->una;
	i->snd_nxt = c->w->nxt;
	i->dsack_dups = c->dsacks;
	i->bytes_acked = c->bytes_acked;
	i->bytes_sent = tcp_bytes_out(c);
	i->bytes_retrans = c->bytes_rexmit;
	i->segs_out = c->segs_out;
	i->data_segs_out = c->data_segs_out;
}

static void receiving(const struct berth_stack *st, const struct tcp_conn *c, struct berth_tcp_info *i)
{
	i->rcv_wscale = c->rcv_scale;
	i->ato_us = (uint32_t)(TCP_DELACK_NS / 1000);
	i->rcv_rtt_us = c->w->rcv_rtt_us;
	i->rcv_mss = c->rcv_mss ? c->rcv_mss : c->mss < RCV_MSS_FIRST ? c->mss : RCV_MSS_FIRST;
	i->advmss = tcp_mss_offer(c->w->route.mtu_bytes, port_addr_is4(&c->w->local), c->mss_user);
	if (c->f & TF_TS && c->state != TCP_SYN_SENT)
		i->advmss -= TS_OCTETS;
	i->rcv_wnd = seq_lt(c->rcv_nxt, c->rcv_adv) ? c->rcv_adv - c->rcv_nxt : 0;
	i->rcv_space = c->w->rcv_space;
	i->rcv_nxt = c->rcv_nxt;
	i->bytes_received = c->bytes_in;
	i->segs_in = c->segs_in;
	i->data_segs_in = c->data_segs_in;
	if (c->w->gaps != NIL)
		i->rcv_ooopack = ((const struct tcp_gaps *)slab_at(&st->tcp->gaps, c->w->gaps))->n;
	i->last_data_sent_ms = ms_since(st, c->last_out_ns);
	i->last_ack_recv_ms = ms_since(st, c->last_in_ns);
	i->last_data_recv_ms = c->rcv_mss ? (tcp_now_us(st) - c->w->rcv_last_us) / 1000 : 0;
}

int berth_sock_tcp_info(struct berth_stack *st, berth_sock s, struct berth_tcp_info *ret)
{
	struct berth_tcp_info i = {0};
	struct tcp_work image;
	struct tcp_conn *c;
	uint32_t index;
	bool lent;
	int r = sock_find_tcp(st, s, &index);

	if (r < 0)
		return r;
	c = tcp_at(st, index);
	lent = tcp_work_lend(st, c, &image);
	i.state = c->state;
	i.options = options(c);
	i.pmtu = c->w->route.mtu_bytes;
	i.user_timeout_ms = (uint32_t)(tcp_user_timeout_ns(c) / 1000000);
	i.peer_uto_s = tcp_uto_s(c->peer_uto);
	sending(c, &i);
	if (c->state == TCP_LISTEN) { /* as Linux: how many wait for accept(), how many may */
		i.unacked = c->n_accept;
		i.sacked = c->backlog;
	}
	receiving(st, c, &i);
	if (lent)
		c->w = NULL;
	return struct_out(ret, &i, sizeof(i), offsetof(struct berth_tcp_info, rto_us));
}
