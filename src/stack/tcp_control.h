/* src/stack/tcp_control.h: what the control files of TCP share among themselves (tcp.h has what others see). */
#ifndef BERTH_STACK_TCP_CONTROL_H
#define BERTH_STACK_TCP_CONTROL_H

#include "stack/tcp.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* R2 of data is 15 as Linux's tcp_retries2, which is above 100 s (RFC 9293, SHLD-11); of a SYN 6, which is 127 s (MUST-23 says three
 * minutes: BERTH_SYNCNT 7 is that). Keepalive comes after two hours (MUST-28). */
#define TCP_SYN_RETRIES 6
#define TCP_KEEP_IDLE_S 7200
#define TCP_KEEP_INTVL_S 75
#define TCP_KEEP_CNT 9
#define TCP_LINGER2_S 60

/* --- tcp_sock.c --- */
/* A zeroed block with the defaults of a socket; NULL: none left (counted). */
struct tcp_conn *tcp_block_new(struct berth_stack *st, uint8_t family, uint32_t *ret_index);
/* A child has its listener's options. */
void tcp_inherit(struct tcp_conn *c, const struct tcp_conn *l);
/* No timer, queue, claim, ring or burst refers to it any more. */
void tcp_block_free(struct berth_stack *st, struct tcp_conn *c);
/* --- tcp_work.c --- */
void tcp_work_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t);
/* --- tcp_state.c --- */
static inline bool tcp_state_in(const struct tcp_conn *c, uint32_t states)
{
	return states >> c->state & 1;
}
#define TCP_IN(s) (1u << TCP_##s)
#define TCP_SYNCHRONIZED                                                                                        \
	(TCP_IN(ESTABLISHED) | TCP_IN(FIN_WAIT_1) | TCP_IN(FIN_WAIT_2) | TCP_IN(CLOSE_WAIT) | TCP_IN(CLOSING) | \
	 TCP_IN(LAST_ACK))
/* A connection that comes back by berth_sock_restore(): the one way into a state that is no edge. */
void tcp_state_restore(struct tcp_conn *c, enum tcp_state_name to);

/* --- tcp_in.c --- */
/* A segment for connection c, which is in any state but CLOSED and LISTEN. c may be gone afterwards. */
void tcp_conn_input(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);
/* Octets of sequence space: payload, SYN and FIN. */
static inline uint32_t tcp_seg_len(const struct tcp_seg *s)
{
	return s->len + ((s->flags & WIRE_TCP_SYN) != 0) + ((s->flags & WIRE_TCP_FIN) != 0);
}
/* The ports stand in the header. */
static inline uint16_t tcp_seg_peer_port(const struct tcp_seg *s)
{
	return wire_get16(s->p->l4);
}
static inline uint16_t tcp_seg_local_port(const struct tcp_seg *s)
{
	return wire_get16(s->p->l4 + 2);
}
/* The link that its addresses belong to, if one of them is link-local (else 0): elsewhere the same addresses are another connection's. */
static inline uint32_t tcp_seg_scope(const struct tcp_seg *s)
{
	return s->p->dst.scope ? s->p->dst.scope : s->p->src.scope;
}
/* It leaves SYN-RECEIVED. */
void tcp_fastopen_done(struct berth_stack *st, struct tcp_conn *c);
/* The handshake is done on this side. rtt_ns 0: not measured. */
void tcp_established(struct berth_stack *st, struct tcp_conn *c, uint64_t rtt_ns);

/* --- tcp_open.c --- */
/* Back to what it was before connect(), which failed at once or later. */
void tcp_connect_undo(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_close.c --- */
/* A listener's child that nobody accepted, or will: reset, and gone. */
void tcp_child_discard(struct berth_stack *st, struct tcp_conn *c);
/* Our FIN was acknowledged in FIN-WAIT-1: an orphan does not wait for ever. */
void tcp_fin_wait_2(struct berth_stack *st, struct tcp_conn *c);
/* A block will be taken: if few are left, and orphans have most of them, the oldest one is reset. Its block is free once the program
 * fetched BERTH_EV_CLOSED. */
void tcp_orphans_yield(struct berth_stack *st);

/* --- tcp_options.c --- */
/* What we offer as the largest segment on a route of this MTU. */
uint16_t tcp_mss_offer(uint16_t mtu_bytes, bool is4, uint16_t mss_user);
uint16_t tcp_mss_of_peer(const struct wire_tcp_options *o, bool is4);

/* --- tcp_reset.c --- */
/* A bare acknowledgment at seq, now: for probes and for segments that are not acceptable. */
void tcp_ack_bare(struct berth_stack *st, struct tcp_conn *c, uint32_t seq);
/* Out of the connection's own budget: is there an answer left for doubtful segments? So two ends that disagree do not answer each other
 * for ever, and nobody learns from a counter that all share. */
bool tcp_may_answer(struct berth_stack *st, struct tcp_conn *c);
/* The same for a handshake's or TIME-WAIT's record, which has one octet for it: when it answered last, 0 at first. */
bool tcp_record_may_answer(struct berth_stack *st, uint8_t *answered);

/* --- tcp_syn.c --- */
void tcp_syn_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t);
void tcp_syn_init(struct berth_stack *st);
void tcp_syn_timer(struct berth_stack *st, uint32_t level);
bool tcp_syn_check(const struct berth_stack *st);
/* A segment for listener l; a new connection's sequence numbers begin at iss_min at least (0: anywhere). */
void tcp_listen_from(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s, uint32_t iss_min);
/* The handshakes of a listener that listens no more. */
void tcp_syn_forget(struct berth_stack *st, const struct tcp_conn *l);
/* A SYN-ACK of listener l: b has addresses, ports and numbers, f and the rest say what it answers. */
void tcp_syn_answer(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_bare *b, uint32_t f,
		    uint8_t rcv_scale, uint32_t ts_ecr);

/* What is known of a handshake that is done, from the SYN cache or from a cookie. */
struct tcp_child {
	uint32_t iss, irs;
	uint64_t rtt_ns;
	uint32_t ts_recent;
	uint16_t mss;		      /* the peer's option, or the default */
	uint16_t peer_uto;	      /* conn->peer_uto */
	uint8_t snd_scale, rcv_scale; /* with TF_WSCALE */
	uint32_t f;		      /* TF_TS, TF_SACK, TF_WSCALE, TF_ECN */
	bool early;		      /* fast open: made by the SYN, the handshake goes on in SYN-RECEIVED */
	bool cookie;		      /* fast open: the client wants one */
};

/* --- tcp_listen.c --- */
bool tcp_accept_is_full(const struct tcp_conn *l);
/* It listens no more: handshakes are forgotten, connections nobody accepted are reset. Back in CLOSED. */
void tcp_listener_stop(struct berth_stack *st, struct tcp_conn *l);
/* The child of listener l, on its queue; NULL: no room (counted). */
struct tcp_conn *tcp_child_new(struct berth_stack *st, struct tcp_conn *l, const struct tcp_seg *s,
			       const struct tcp_child *k);

/* --- tcp_cookie.c --- */
/* The sequence number of a SYN-ACK that remembers for us, and the timestamp that goes with it. */
uint32_t tcp_cookie_make(struct berth_stack *st, const struct tcp_seg *s, struct tcp_child *k, uint32_t *ret_ts);
/* Is this the acknowledgment of one that is not older than two minutes? */
bool tcp_cookie_check(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_seg *s, struct tcp_child *ret);

/* --- tcp_fastopen.c --- */
void tcp_fastopen_layout(struct arena *a, struct tcp_state *t);
void tcp_fastopen_init(struct berth_stack *st);
/* A cookie for this client, into the SYN-ACK's options. */
void tcp_fastopen_offer(struct berth_stack *st, const struct port_addr *client, struct wire_tcp_options *o);
/* May this SYN's data be taken at once? */
bool tcp_fastopen_good(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_seg *s);
/* The SYN's option: the cookie, or the question for one. */
void tcp_fastopen_ask(struct berth_stack *st, const struct tcp_conn *c, struct wire_tcp_options *o);
/* The SYN-ACK came: a cookie for the next time. */
void tcp_fastopen_answered(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);

/* --- tcp_time_wait.c --- */
void tcp_wait_layout(struct berth_stack *st, struct arena *a, struct tcp_state *t);
void tcp_wait_init(struct berth_stack *st);
void tcp_wait_timer(struct berth_stack *st);
/* Of record index; PORT_REF_NONE when there is no such record. */
struct port_ref tcp_wait_claim(struct berth_stack *st, uint32_t index);
bool tcp_wait_check(const struct berth_stack *st);
/* A segment for record index. True: the record is gone, and the segment (a SYN) is the listener's, with *ret_iss_min as the least
 * sequence number of the new connection. That is never so unless there is a listener. */
bool tcp_wait_input(struct berth_stack *st, uint32_t index, const struct tcp_seg *s, bool has_listener,
		    uint32_t *ret_iss_min);
/* connect() wants this four-tuple: may it have it (RFC 6191; RFC 9293, MAY-2)? Then the record is gone and *ret_iss says where its
 * sequence numbers may start. 0; -ENOENT, there was no record; -EADDRNOTAVAIL. */
MUST_CHECK int tcp_wait_reuse(struct berth_stack *st, const struct port_tuple *t, uint32_t *ret_iss);

/* --- tcp_timers.c --- */
void tcp_timers_init(struct tcp_conn *c);
void tcp_timers_stop(struct berth_stack *st, struct tcp_conn *c);
/* SO_KEEPALIVE, its times or the state changed. */
void tcp_keep_update(struct berth_stack *st, struct tcp_conn *c);

#endif
