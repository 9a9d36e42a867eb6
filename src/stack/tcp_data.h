/* src/stack/tcp_data.h: what the files of receiving and sending say among themselves (tcp.h has what others may call). */
#ifndef BERTH_STACK_TCP_DATA_H
#define BERTH_STACK_TCP_DATA_H

#include "stack/tcp.h"

#define TCP_BUF_FIRST (64u << 10) /* octets of a ring in use before autotuning asks for more */
#define TCP_RCV_MSS_DEFAULT 536u  /* RFC 9293, 3.7.1: until segments tell */
#define TCP_QUICKACKS 16	  /* segments acknowledged at once when a stream begins */

/* --- tcp_gaps.c --- */
/* Adds [from, to). ret_dup: what of it was there already, its first piece, left end == right end if none. false: full, and it touches
 * nothing that is there: nothing was changed. */
MUST_CHECK bool tcp_gaps_add(struct tcp_gaps *g, uint32_t from, uint32_t to, struct wire_tcp_sack *ret_dup);
/* Everything before nxt is in order now: forgets it, and returns how far the order reaches, nxt or more. */
uint32_t tcp_gaps_advance(struct tcp_gaps *g, uint32_t nxt);
/* The interval that has s; NULL: none. */
const struct wire_tcp_sack *tcp_gaps_find(const struct tcp_gaps *g, uint32_t s);
bool tcp_gaps_check(const struct tcp_gaps *g, uint32_t nxt);

/* --- tcp_ring.c: frames that are pinned --- */
/* A frame of c points into its ring. Returns what struct berth_tx shall say. */
uint64_t tcp_pin_take(struct berth_stack *st, struct tcp_conn *c);
bool tcp_pin_room(const struct tcp_conn *c);
/* len octets were dropped from the sending ring: not free yet, if frames are pinned. */
void tcp_tx_hold(struct berth_stack *st, struct tcp_conn *c, uint32_t len);

/* --- tcp_rcv.c --- */
bool tcp_rcv_pingpong(const struct tcp_conn *c);
/* Data left: if it answers what came a moment ago, this is a dialogue and acknowledgments can wait for a ride. */
void tcp_rcv_data_sent(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_window.c --- */
/* Octets that the peer may send beyond rcv_nxt, by what was advertised. */
static inline uint32_t tcp_window_open(const struct tcp_conn *c)
{
	return seq_lt(c->rcv_nxt, c->rcv_adv) ? c->rcv_adv - c->rcv_nxt : 0;
}
/* A data segment arrived: the receiver's round trip (for autotuning). */
void tcp_window_rtt(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);

/* --- tcp_mtu.c: the search for a path's MTU without the routers' help --- */
/* Before something is sent again after a timeout: is this a black hole? */
void tcp_mtu_timeouts(struct berth_stack *st, struct tcp_conn *c);
/* Before something is sent: what was learnt long ago may be tried anew. */
void tcp_mtu_tick(struct berth_stack *st, struct tcp_conn *c);
/* Payload of a probe, if one is wanted and `may` octets of new data may go now; 0: none. */
uint16_t tcp_mtu_probe_size(struct berth_stack *st, const struct tcp_conn *c, uint32_t may);
void tcp_mtu_probe_sent(struct tcp_conn *c, uint32_t seq, uint16_t len);
/* What the probe had goes out again, in usual segments: its acknowledgment will say nothing. */
void tcp_mtu_probe_resent(struct berth_stack *st, struct tcp_conn *c);
void tcp_mtu_acked(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_train.c --- */
/* Of len octets that windows allow, of `left` that were written: how many go now as one train; 0: better wait for more room. */
uint32_t tcp_train(struct berth_stack *st, const struct tcp_conn *c, uint32_t len, uint32_t left, uint32_t mss);

/* --- tcp_io.c --- */
/* Octets of the sending ring that the program may still fill. */
uint32_t tcp_tx_room(const struct tcp_conn *c);
/* Enough to say BERTH_EV_OUT? */
bool tcp_tx_writable(const struct tcp_conn *c);
/* Room appeared: BERTH_EV_OUT, if it is enough. */
void tcp_tx_tell(struct berth_stack *st, struct tcp_conn *c);
bool tcp_rx_readable(const struct tcp_conn *c);
/* End of what the program wrote, in sequence space; FIN comes there. */
static inline uint32_t tcp_tx_end(const struct tcp_conn *c)
{
	return tcp_tx_seq(c) + c->tx.used;
}

/* --- tcp_emit.c --- */
struct tcp_frame {
	uint32_t seq, len; /* of data, from the sending ring */
	uint16_t flags;	   /* WIRE_TCP_; ACK is added */
	uint16_t mss;	   /* more than so much is a super-frame of such segments */
	bool rexmit;
};
void tcp_emit_frame(struct berth_stack *st, struct tcp_conn *c, const struct tcp_frame *f, struct berth_tx *v);
/* Octets of data in a full segment that has what acknowledgments we owe beside it (SACK blocks take room). */
uint16_t tcp_emit_mss(const struct berth_stack *st, const struct tcp_conn *c);

#endif
