/* src/stack/tcp_flight.h: what the files about what is in flight tell each other. Nobody else includes it; tcp.h has their promises.
 *
 *	a segment's ACK field --> tcp_ack.c --> tcp_board.c	what did it deliver: octets, times, reordering
 *				     |	    --> tcp_rtt.c	how long did that take
 *				     |	    --> tcp_rack.c	what is lost by that
 *				     |	    --> tcp_recover.c	so what state are we in, how much may be in flight
 *				     +	    --> tcp_cc.c	grow or shrink
 */
#ifndef BERTH_STACK_TCP_FLIGHT_H
#define BERTH_STACK_TCP_FLIGHT_H

#include "stack/tcp.h"

/* conn->recover_flags */
enum {
	RF_UNDO = 1 << 0,	 /* undo_ fields are good: the window was reduced, and that may turn out wrong */
	RF_REXMITTED = 1 << 1,	 /* something was sent again since: rexmit_ts is good */
	RF_FRTO = 1 << 2,	 /* after a timeout: is it spurious? (RFC 5682) */
	RF_FRTO_NEW = 1 << 3,	 /* ... two new segments are to tell */
	RF_TLP = 1 << 4,	 /* a tail loss probe is out */
	RF_TLP_REXMIT = 1 << 5,	 /* ... and it was a segment sent again */
	RF_TLP_DUE = 1 << 6,	 /* a probe is to be sent now */
	RF_REORDER = 1 << 7,	 /* segments arrived out of order on this path (RACK.reordering_seen) */
	RF_DSACK_ROUND = 1 << 8, /* rack_dsack_seq is good */
	RF_CWR_SENT = 1 << 9,	 /* ca_state 2 because of ECE, not yet said */
	RF_TLP_DSACK = 1 << 10,	 /* the probe's copy was reported: nothing was lost */
	RF_PIECES = 1 << 11,	 /* rexmit_at is inside a segment */
	RF_RACK = 1 << 12,	 /* rack_sent_us and rack_end_seq are good */
	RF_IDLE_SEEN = 1 << 13,	 /* cwnd has decayed for the silence that is going on */
};

enum { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS }; /* conn->ca_state */

#define TCP_REORDERING 3 /* duplicate acknowledgments that mean loss (RFC 5681, 3.2) */

/* Is time a after time b? Both tcp_now_us(), and not later than now: then age tells, whose 32 bits are 71 minutes. A distance between them has
 * a sign, and would say of what is half as old that it is yet to come: there are silences of an hour. */
static inline bool us_after(uint32_t a, uint32_t b, uint32_t now_us)
{
	return now_us - a < now_us - b;
}

/* What one acknowledgment turned out to say. */
struct flight_ack {
	uint32_t now_us;
	uint32_t acked;	      /* octets by which una moved */
	uint32_t delivered;   /* octets heard of for the first time, by una or SACK */
	uint32_t sack_octets; /* of those, what SACK told */
	uint32_t segs;	      /* the same in segments */
	uint32_t cum_segs;    /* segments that una moved past */
	uint32_t pipe_before; /* in flight before */
	uint32_t lost_before; /* n_lost before */
	uint32_t dsack_segs;
	uint32_t fack;	   /* rack_fack before */
	bool sacked;	   /* SACK told something new */
	bool orig;	   /* ... or una, of a segment that was sent only once */
	bool orig_low;	   /* ... and below recover_seq: it was in flight when the last timeout or recovery began */
	bool rexmit_acked; /* una moved over something that was sent again */
	bool syn, fin;
	bool dup; /* a duplicate acknowledgment (RFC 5681, 2) */
	bool ece;
	bool reorder;		       /* something that was sent once arrived after what was sent later */
	bool rtt, rack;		       /* the fields below are good */
	uint32_t oldest_us, newest_us; /* when what was delivered now, and sent only once, was sent */
	uint32_t rtt_us;	       /* of the newest; with rtt */
	uint32_t rack_us, rack_end;    /* the latest sent of what was delivered now */
	uint32_t rack_last_us;	       /* ... it cannot have been sent later than that */
	uint32_t reorder_octets;       /* and so far behind */
	uint32_t rack_rtt_us;	       /* of the last one looked at: SACK's in order, then una's */
	bool rack_rexmit;
	bool rate;
	struct {
		uint32_t delivered, delivered_us, first_sent_us, sent_us;
		bool app_limited;
	} r;
};

/* --- tcp_board.c --- */
bool flight_in_window(const struct tcp_conn *c, uint32_t seq); /* may it be sent again? */
uint64_t board_all(const struct tcp_burst *b);		       /* a bit for each segment */
uint64_t board_sacked(const struct tcp_burst *b);	       /* ... that arrived beyond una */
uint32_t board_octets(const struct tcp_burst *b, uint64_t m);  /* of those segments */
uint32_t board_from(const struct tcp_burst *b, unsigned i);    /* where segment i begins */
uint32_t board_to(const struct tcp_burst *b, unsigned i);      /* and ends */
uint32_t board_sent_us(const struct tcp_burst *b, unsigned i); /* when it was sent first */
uint32_t board_rexmit_last_us(const struct tcp_burst *b,
			      uint32_t now_us); /* when the last copy was, at most 64 us later */
/* Segments taken for lost whose copy is not in flight: more than before, when a copy was lost, too. */
static inline int32_t flight_to_resend(const struct tcp_conn *c)
{
	return (int32_t)(c->w->n_lost - c->w->n_rexmit); /* below 0: a probe's copy is */
}
static inline struct tcp_burst *burst_at(const struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->tcp->bursts, i);
}
void board_cum_ack(struct berth_stack *st, struct tcp_conn *c, uint32_t ack, struct flight_ack *a);
/* n blocks, ascending, each within [una, max]. */
void board_sack(struct berth_stack *st, struct tcp_conn *c, const struct wire_tcp_sack *v, unsigned n,
		struct flight_ack *a);
/* These segments (those that are not sacked) are lost, their copies too. */
void board_lose(struct tcp_conn *c, struct tcp_burst *b, uint64_t m);
void board_lose_all(struct berth_stack *st, struct tcp_conn *c);
void board_lose_overdue(struct berth_stack *st, struct tcp_conn *c);
void board_lose_first(struct berth_stack *st, struct tcp_conn *c); /* the segment at una */
/* Nothing is lost after all: copies that are in flight stay so. */
void board_unlose(struct berth_stack *st, struct tcp_conn *c);
/* Forget all SACKs: the receiver did (RFC 2018, 8). */
void board_renege(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_rtt.c --- */
void rtt_sample(struct tcp_conn *c, uint32_t rtt_us, uint32_t now_us);
void rtt_from_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a);
/* The timeout as it is now, with its doublings. */
uint64_t rtt_timeout_ns(const struct tcp_conn *c);

/* --- tcp_rack.c --- */
void rack_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, const struct flight_ack *a);
/* A segment arrived after others that lie up to so many octets further on. */
void reordering_seen(struct tcp_conn *c, uint32_t octets);
/* Marks what is lost; returns in how many us to look again, 0: not. */
uint32_t rack_detect(struct berth_stack *st, struct tcp_conn *c);
void rack_timer_due(struct berth_stack *st, struct tcp_conn *c);
/* Is there a segment of new data that ring and window let go, and that Nagle does not hold: a full one, or all? */
bool flight_has_new(const struct tcp_conn *c);
/* Tail loss probes (RFC 8985, 7). */
/* RFC 8985, 7.2: nothing is known to be amiss, and no probe is out. */
bool tlp_may(const struct tcp_conn *c);
void tlp_sent(struct berth_stack *st, struct tcp_conn *c, bool rexmit); /* the probe is out */
bool tlp_arm(struct berth_stack *st, struct tcp_conn *c, uint64_t rto_ns);
void tlp_due(struct berth_stack *st, struct tcp_conn *c);
void tlp_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, const struct flight_ack *a);
bool tlp_rexmit(struct berth_stack *st, struct tcp_conn *c, uint32_t len_max, struct tcp_send *ret);

/* --- tcp_recover.c --- */
void recover_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s, struct flight_ack *a);
void recover_enter_cwr(struct berth_stack *st, struct tcp_conn *c);
void recover_lost(struct berth_stack *st, struct tcp_conn *c); /* something was marked lost outside of an ACK */
void recover_sent(struct berth_stack *st, struct tcp_conn *c, uint32_t len, bool rexmit, uint32_t segs);
void recover_timeout(struct berth_stack *st, struct tcp_conn *c);
/* Without SACK: duplicates stand for segments that can have arrived. */
void recover_limit_duplicates(struct tcp_conn *c);
/* Set TCP_AT_RTX for what is in flight now; restart: it begins anew. */
/* advanced: on an acknowledgment; else a probe may not be later than the RTO that runs. */
void recover_arm(struct berth_stack *st, struct tcp_conn *c, bool restart, bool advanced);
void recover_rto(struct berth_stack *st, struct tcp_conn *c); /* as it would have run had there been no other timer */
bool recover_check(const struct tcp_conn *c);

/* --- tcp_cc.c --- */
struct cc_ack {
	uint32_t octets;	 /* delivered */
	uint32_t now_us, rtt_us; /* rtt_us 0: no sample */
};
/* A congestion control: one file, and its line in tcp_cc.c. cwnd and ssthresh are octets, in struct tcp_conn. */
struct tcp_cc_ops {
	const char *name;
	void (*init)(struct tcp_conn *c);
	/* An acknowledgment while nothing is being recovered and the window is what limits us: grow. */
	void (*on_ack)(struct tcp_conn *c, const struct cc_ack *a);
	/* A loss or an ECN mark: the new ssthresh. */
	uint32_t (*on_loss)(struct tcp_conn *c);
	/* A timeout: the new ssthresh. */
	uint32_t (*on_rto)(struct tcp_conn *c);
	/* That loss was none: cwnd and ssthresh are restored already. May be NULL. */
	void (*undo)(struct tcp_conn *c);
	/* Nothing was sent for so long. May be NULL. */
	void (*on_idle)(struct tcp_conn *c, uint32_t idle_us);
	/* Its memory goes while the connection rests: one word of it is kept, and given back after init(). Both may be NULL. */
	uint32_t (*kept)(struct tcp_conn *c);
	void (*wake)(struct tcp_conn *c, uint32_t kept);
};
extern const struct tcp_cc_ops cc_newreno, cc_cubic;
const struct tcp_cc_ops *cc_of(const struct tcp_conn *c);
void cc_start(struct berth_stack *st, struct tcp_conn *c); /* the initial window (RFC 6928) */
/* after_loss: a timeout was being recovered from when it came, and that was not undone. */
void cc_ack(struct tcp_conn *c, const struct flight_ack *a, bool after_loss);
void cc_idle(struct berth_stack *st, struct tcp_conn *c);
void cc_sent(struct tcp_conn *c, uint32_t end_seq);
/* Slow start takes what it needs of octets; returns what is left for congestion avoidance. */
uint32_t cc_slow_start(struct tcp_conn *c, uint32_t octets);
/* cwnd grows by a segment for each window acknowledged; from a fraction (half of an odd window) to the whole one in as much less. */
void cc_grow(struct tcp_conn *c, uint32_t octets);
static inline bool cc_in_slow_start(const struct tcp_conn *c)
{
	return c->cwnd < c->ssthresh;
}
#define CC_SSTHRESH_NONE 0x7fffffffu
#define CC_CWND_MAX (1u << 30) /* RFC 7323: no window is larger */

/* --- tcp_hystart.c --- */
struct hystart {
	uint32_t round_end, current_us, last_us, base_us;
	uint8_t n_samples, css_rounds, state;
	bool begun;
};
void hystart_init(struct hystart *h);
/* Slow start while ssthresh is CC_SSTHRESH_NONE; returns octets left for congestion avoidance, when it decided to begin that. */
uint32_t hystart_ack(struct tcp_conn *c, struct hystart *h, const struct cc_ack *a);

/* --- tcp_pace.c --- */
void rate_sent(struct tcp_conn *c, uint32_t now_us);
void rate_delivered(const struct tcp_conn *c, const struct tcp_burst *b, uint32_t sent_us, struct flight_ack *a);
void rate_ack(struct tcp_conn *c, const struct flight_ack *a);
void rate_look(struct tcp_conn *c); /* after an acknowledgment: has the program more to send? */
void pace_update(struct tcp_conn *c);

/* --- tcp_ecn.c --- */
void ecn_ack(struct berth_stack *st, struct tcp_conn *c, const struct flight_ack *a);

#endif
