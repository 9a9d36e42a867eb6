/* src/stack/tcp.h: TCP (RFC 9293): one connection's memory, and the contracts between the files that work on it. No file is "the
 * connection"; each owns some of its fields (written in front of them) and the others read those.
 *
 * Control
 *	tcp_state.c	states and the edges between them	tcp_in.c	a segment arrives (RFC 9293, 3.10.7)
 *	tcp_open.c	connect, ISN, simultaneous open		tcp_syn.c	handshakes of listeners: SYN cache
 *	tcp_cookie.c	SYN cookies (RFC 4987)			tcp_listen.c	listeners: accept queue, its connections
 *	tcp_close.c	shutdown, close, abort, orphans, FIN-WAIT-2
 *	tcp_time_wait.c	records of 64 octets			tcp_reset.c	RST, challenge ACKs (RFC 5961)
 *	tcp_options.c	what is agreed in the handshake		tcp_timers.c	one wheel node for all deadlines; keepalive
 *	tcp_icmp.c	errors from the way (RFC 5927)		tcp_info.c, tcp_save.c, tcp_fastopen.c
 * Receiving and sending
 *	tcp_ring.c	the two rings				tcp_rcv.c	payload in, holes, FIN, what is acknowledged
 *	tcp_gaps.c	intervals received out of order		tcp_window.c	what is advertised; autotuning
 *	tcp_out.c	the next segment or super-frame		tcp_emit.c	headers and options of a segment
 *	tcp_persist.c	zero windows				tcp_mtu.c	segment size, path MTU probing
 *	tcp_train.c	how long a super-frame is
 * What is in flight
 *	tcp_ack.c	an acknowledgment arrives		tcp_board.c	bursts: what was sent, sacked, lost
 *	tcp_rtt.c	RTT and RTO (RFC 6298)			tcp_rack.c	RACK-TLP (RFC 8985)
 *	tcp_recover.c	recovery: PRR, undo, F-RTO		tcp_cc.c	table of congestion controls; newreno, cubic
 *	tcp_pace.c	rate samples and pacing			tcp_ecn.c	RFC 3168
 *
 * Always true of a connection past SYN-SENT (tcp_check())
 *	C1  una <= nxt <= max: what is acknowledged, what was sent, the furthest ever sent;
 *	C2  the sending ring holds from una (plus what SYN and FIN take) to una + used: nothing unacknowledged is ever overwritten;
 *	C3  the receiving ring's free room is never less than what is advertised beyond rcv_nxt;
 *	C4  bursts cover [una, max) without holes or overlap.
 */
#ifndef BERTH_STACK_TCP_H
#define BERTH_STACK_TCP_H

#include "stack/ip.h"
#include "stack/seq.h"
#include "wire/tcp.h"

enum tcp_state_name { /* Linux's numbers, as tcp_info shows them */
		      TCP_ESTABLISHED = 1,
		      TCP_SYN_SENT,
		      TCP_SYN_RCVD,
		      TCP_FIN_WAIT_1,
		      TCP_FIN_WAIT_2,
		      TCP_TIME_WAIT, /* never a struct tcp_conn's for long: it becomes a record (tcp_time_wait.c) */
		      TCP_CLOSED,
		      TCP_CLOSE_WAIT,
		      TCP_LAST_ACK,
		      TCP_LISTEN,
		      TCP_CLOSING,
};
#define TCP_NSTATES 12

#define TCP_MSL_NS (UINT64_C(30) * 1000000000) /* as Linux: TIME-WAIT lasts 60 s; RFC 9293 says 2 minutes for the MSL */
#define TCP_RTO_MIN_NS (UINT64_C(200) * 1000000) /* as Linux; RFC 6298, 2.4 says 1 s SHOULD */
#define TCP_RTO_MAX_NS (UINT64_C(120) * 1000000000)
#define TCP_RTO_FIRST_NS (UINT64_C(1) * 1000000000)
#define TCP_DELACK_NS (UINT64_C(40) * 1000000)
#define TCP_MSS_FLOOR 216u   /* effective; what a peer asks below it is clamped (S16) */
#define TCP_MSS_USER_MIN 88u /* of BERTH_MAXSEG, as Linux; the floor holds all the same */
#define TCP_INIT_CWND 10u    /* segments (RFC 6928) */

enum tcp_deadline {
	TCP_AT_RTX,	/* retransmission, tail loss probe or reordering: conn->rtx_mode */
	TCP_AT_DELACK,	/* an acknowledgment is owed */
	TCP_AT_PERSIST, /* zero window probe */
	TCP_AT_PACE,	/* sending may go on */
	TCP_AT_KEEP,	/* keepalive; FIN-WAIT-2's end: conn->keep_at_ns */
};
#define TCP_NDEADLINES 5

enum tcp_rtx_mode { RTX_NONE, RTX_RTO, RTX_TLP, RTX_REORDER };

/* conn->f */
enum {
	TF_WSCALE = 1 << 0, /* agreed in the handshake */
	TF_TS = 1 << 1,
	TF_SACK = 1 << 2,
	TF_ECN = 1 << 3,
	TF_ACK_NOW = 1 << 4,	/* send an acknowledgment at once */
	TF_FIN_QUEUED = 1 << 5, /* the program is done sending: FIN after the ring's last octet */
	TF_FIN_SENT = 1 << 6,	/* nxt has been past it at least once */
	TF_FIN_RCVD = 1 << 7,	/* in order: rcv_nxt is past it */
	TF_ECN_CE = 1 << 8,	/* a CE mark came: ECE on all until CWR (RFC 3168, 6.1.3) */
	TF_ECN_CWR = 1 << 9,	/* say CWR with the next new segment */
	TF_ECN_SEEN = 1 << 10,
	TF_URG_OUT = 1 << 11,  /* snd_up is set */
	TF_URG_IN = 1 << 12,   /* rcv_up is set */
	TF_RING_OWN = 1 << 13, /* rings are the program's, not the pool's */
	TF_QUICKACK = 1 << 14,
	TF_PUSH = 1 << 15,	 /* snd_push is set */
	TF_PASSIVE = 1 << 16,	 /* came from a listener */
	TF_IN_ACCEPT = 1 << 17,	 /* waits in a listener's accept queue */
	TF_CONNECTED = 1 << 18,	 /* was ESTABLISHED once */
	TF_CC_LIMITED = 1 << 19, /* the window was full at the last send (RFC 7661, RFC 9438's app limit) */
	TF_OWE_CLOSED = 1 << 20, /* the program closed it and wants BERTH_EV_CLOSED */
	TF_TS_RECENT = 1 << 21,	 /* ts_recent is good (PAWS: not after 24 days of silence) */
	TF_PROBE =
		1
		<< 22, /* send what makes the peer answer: a segment without data below una (zero window, keepalive) */
	TF_MORE = 1 << 23,	 /* the program said BERTH_MORE with the last octets */
	TF_RCVBUF_SET = 1 << 24, /* rcvbuf is the program's choice: not tuned */
	TF_SNDBUF_SET = 1 << 25, /* the same of sndbuf */
	TF_FASTOPEN = 1 << 27,	 /* client: asks for it (RFC 7413); server: began by it */
	TF_TX_FULL = 1 << 28,	 /* the program saw no room worth writing to: it is told when there is (BERTH_EV_OUT) */
	TF_PIN_EPOCH = 1 << 26,	 /* which of tx_pins counts the frames that are handed out now */
};

/* What came in, taken apart. */
struct tcp_seg {
	const struct packet *p;
	uint32_t seq, ack;
	uint32_t len;	   /* of the payload, without SYN and FIN; may be a super-frame's, more than 16 bits */
	uint32_t data_off; /* of the payload in p->l4 (and its parts) */
	uint16_t wnd;	   /* as on the wire, not scaled */
	uint16_t urg;
	uint16_t flags;	 /* WIRE_TCP_ */
	uint16_t n_segs; /* of a super-frame; 1 */
	bool ce;	 /* the IP header says Congestion Experienced */
	struct wire_tcp_options opt;
};

/* A ring: octets of the stream by sequence number. Its index is seq & mask plus base; only tcp_ring.c knows. */
struct tcp_ring {
	uint8_t *data; /* NULL: none yet */
	uint32_t size; /* a power of two */
	uint32_t head; /* offset of the first octet that is still needed */
	uint32_t used; /* octets from head on: sending: committed; receiving: in order and not read */
	uint32_t held; /* sending: octets before head that an asynchronous writer may still look at (BERTH_STACK_PIN) */
};

/* What was sent in one go: 64 octets for up to 64 segments of mss octets (the last may be shorter), so the peer cannot make more
 * of them than we sent (S16), and one super-frame is one record. Segment i begins at seq + i * mss and ends where the next one
 * begins, the last at seq + len. Times are tcp_now_us(). tcp_board.c has the theory. */
struct tcp_burst {
	uint32_t next;	   /* the connection's, in order of sequence; NIL */
	uint32_t seq, len; /* sequence space: SYN and FIN count */
	uint16_t mss;
	uint8_t n;	    /* segments */
	uint8_t flags;	    /* BURST_ */
	uint32_t sent_us;   /* when the first segment was sent */
	uint16_t sent_span; /* the last one so many us later: what is sent shortly after may join */
	uint16_t rexmit_span;
	uint32_t rexmit_us; /* retransmissions in flight were sent from then on, for rexmit_span << 6 us */
	uint32_t delivered, delivered_us, first_sent_us; /* when it was sent: for rate samples (tcp_pace.c) */
	uint64_t sacked, lost,
		rexmit; /* a bit for each segment: acknowledged by SACK, taken for lost, its copy is in flight */
};
_Static_assert(sizeof(struct tcp_burst) == 64, "a burst is one cache line");
/* conn->refuse, RFC 5482: the SYN tells the user timeout, and the peer's is heard; the program's own gives way to a longer one. */
#define SAY_UTO 0x80
#define UTO_YIELDS 0x40

enum { BURST_SYN = 1, BURST_FIN = 2, BURST_APP_LIMITED = 4, BURST_PUSH = 8 }; /* PUSH, FIN: the last segment's */

#define TCP_GAPS_MAX 32
/* Intervals that arrived beyond rcv_nxt, ascending, apart from each other. Taken from a slab when the first hole appears. */
struct tcp_gaps {
	uint64_t since_ns; /* the first hole has not become smaller since */
	uint32_t conn;
	uint32_t n;
	uint32_t fin_seq; /* of a FIN that came early, when has_fin; its interval counts it */
	bool has_fin;
	uint8_t n_recent;
	uint32_t recent
		[8]; /* a number in those that changed last, the newest first: the order of SACK blocks (RFC 2018, 4) */
	struct wire_tcp_sack v[TCP_GAPS_MAX];
};

/* A congestion control's own memory. */
#define TCP_CC_PRIVATE 56

/* What matters while a connection works: octets are in flight, or arrive, or wait to be read. From a slab of its own (tcp_work.c). */
struct tcp_work {
	uint32_t conn;	     /* whose it is */
	uint32_t next, prev; /* in the order of use, NIL */
	uint32_t touched;    /* when that was; tcp_work.c */

	/* identity, as the claim has it, and the way to the peer: tcp_open.c, tcp_syn.c */
	struct port_addr local, peer;
	uint16_t local_port, peer_port;
	struct ip_route route;
	uint64_t at[TCP_NDEADLINES - 1]; /* NEVER_NS; tcp_deadline_set() only; all but TCP_AT_KEEP */
	uint8_t rtx_mode;
	uint8_t backoff;  /* of the RTO: doublings */
	uint8_t ca_state; /* 0 open 1 disorder 2 CWR 3 recovery 4 loss, as Linux */
	uint8_t n_probes, n_rtx;
	uint8_t mtu_rtx;    /* n_rtx when tcp_mtu.c last looked */
	uint8_t n_dup_acks; /* acknowledgments owed for early segments: one for each (tcp_rcv.c) */

	/* sending: tcp_out.c writes nxt, max, push */
	uint32_t nxt, max;
	uint32_t snd_up, snd_push;
	uint16_t tx_pins[2];   /* frames handed out and not unpinned (tcp_ring.c has the theory) */
	uint32_t tx_held_late; /* what of tx.held was acknowledged since the epoch turned */
	uint32_t snd_small;    /* end of the last segment sent that was not full (Nagle as Minshall has it) */

	/* receiving: tcp_rcv.c, tcp_window.c */
	uint32_t rcv_acked; /* rcv_nxt as last acknowledged */
	uint32_t rcv_up;
	uint32_t gaps;		       /* index in tcp->gaps, NIL */
	uint32_t dsack_from, dsack_to; /* to report next (RFC 2883); equal: none */
	uint32_t rcv_rtt_us;
	uint32_t rcv_space;	/* autotuning: octets the program read in the last receive RTT */
	uint32_t rcv_copied;	/* ... so far in this one */
	uint64_t rcv_epoch_ns;	/* when it began */
	uint32_t rcv_epoch_seq; /* a window further than it began: it lasted a round trip at least */
	uint32_t rcv_last_us;	/* when data came last, in microseconds that go round */
	uint64_t ts_recent_ns;	/* when the connection's ts_recent came */

	/* in flight: tcp_board.c, tcp_rtt.c, tcp_rack.c, tcp_recover.c. _us: tcp_now_us(), which goes round */
	uint32_t burst_first, burst_last;	    /* in tcp->bursts; NIL */
	uint32_t n_sacked, n_lost, n_rexmit, n_out; /* segments, by the board */
	uint32_t pipe;				    /* octets in flight, by the board (RFC 6675) */
	uint32_t rexmit_from;
	uint32_t
		rexmit_at; /* the next octet of a segment that goes out in pieces, because the path's segments became smaller */
	uint32_t rtt_seq;      /* where the round trip ends of which mdev_max_us is the maximum */
	uint32_t rack_sent_us; /* RACK.xmit_ts, end_seq, rtt of the latest delivered (RFC 8985, 5.2) */
	uint32_t rack_end_seq, rack_rtt_us, rack_fack;
	uint32_t rack_dsack_seq;			 /* the round in which D-SACKs were counted ends there */
	uint32_t tlp_end_seq;				 /* with RF_TLP */
	uint32_t recover_seq;				 /* recovery ends when this is acknowledged */
	uint32_t prr_delivered, prr_out, prr_recover_fs; /* octets (RFC 6937) */
	uint32_t undo_cwnd, undo_ssthresh, undo_una, undo_retrans;
	uint32_t rexmit_ts; /* our timestamp of the first retransmission since (Eifel, RFC 3522) */
	uint16_t dupacks;   /* without SACK: segments that arrived beyond una, as far as duplicates tell */
	uint16_t mtu_probe; /* path MTU probing: 0: none is out */
	uint32_t mtu_probe_seq;
	uint64_t first_rtx_ns; /* when what is unacknowledged was first sent again: R2, user timeout; 0: not */

	/* congestion: tcp_cc.c */
	uint32_t cwnd_acked; /* octets acknowledged towards the next growth */
	uint32_t cwnd_seq;   /* TF_CC_LIMITED holds until this is acknowledged */
	uint64_t cc_private[TCP_CC_PRIVATE / 8];

	/* rates: tcp_pace.c */
	uint32_t delivered, delivered_us,
		first_sent_us;	       /* octets that arrived there, by what we know; when it was last so */
	uint32_t app_limited;	       /* `delivered` at which the limit ends; 0 */
	uint64_t rate_bps, pacing_bps; /* octets a second */
	uint64_t pace_at_ns;	       /* earliest next departure */
} __attribute__((aligned(64)));

/* What lasts while nothing happens. An idle connection costs this, its slab's 8 octets and the heart's claim; docs/stack.md has the sum. */
struct tcp_conn {
	struct sock s;

	struct tcp_work *w; /* NULL: nothing is under way */
	struct timer timer;
	uint64_t keep_at_ns;  /* the deadline TCP_AT_KEEP */
	uint64_t last_in_ns;  /* anything came: keepalive, PAWS's age, idle restart */
	uint64_t last_out_ns; /* data was sent */
	uint8_t state;	      /* tcp_state.c: tcp_set_state() only */
	uint8_t cc;	      /* enum berth_congestion */
	uint8_t snd_scale, rcv_scale;
	uint32_t f; /* TF_ */

	/* sending: tcp_ack.c writes una, wnd, wl1, wl2, wnd_max */
	struct tcp_ring tx;
	uint32_t iss, una;
	uint32_t snd_wnd, snd_wl1, snd_wl2, snd_wnd_max; /* octets, scaled */
	uint16_t mss;		 /* payload of a full segment as things are: options and path MTU taken off */
	uint16_t mss_peer;	 /* what the peer's MSS option allows, or the default */
	uint32_t sndbuf, rcvbuf; /* octets of the rings in use; tuned, or as BERTH_SNDBUF and BERTH_RCVBUF say */

	/* receiving: tcp_rcv.c, tcp_window.c */
	struct tcp_ring rx;
	uint32_t irs, rcv_nxt;
	uint32_t rcv_adv;   /* right edge that was advertised: never goes back (RFC 9293, 3.8.6) */
	uint32_t ts_recent; /* RFC 7323, 4.3 */
	uint32_t ts_offset; /* our clock plus this (RFC 7323, 5.4) */
	uint16_t rcv_mss;   /* the largest segment of late */
	uint8_t ato_pingpong, quickacks;

	union {
		/* the path, as far as it is known: tcp_rtt.c, tcp_rack.c, tcp_recover.c, tcp_cc.c */
		struct {
			uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us; /* 0: not measured */
			uint32_t mdev_us, mdev_max_us;			 /* deviation, its maximum in this round trip */
		};
		/* a listener's: tcp_listen.c. Between the two lies CLOSED, in which neither is looked at */
		struct {
			uint32_t accept_first, accept_last; /* those that wait for accept(): s.accept_next */
			uint32_t n_accept, n_syn, backlog;
		};
	};
	uint32_t min_rtt_at_us; /* when min_rtt_us was measured */
	uint8_t rack_reo_mult, rack_reo_persist;
	uint16_t recover_flags;	    /* RF_ */
	uint32_t cwnd, ssthresh;    /* octets */
	uint32_t cc_kept;	    /* of the congestion control while w is NULL */
	uint16_t mtu_low, mtu_high; /* path MTU probing (RFC 4821, 8899): tcp_mtu.c */
	uint32_t mtu_next_s;	    /* not before then, in seconds of the stack's time; 0: not */
	uint32_t challenge_ms;
	uint8_t challenge_left; /* tcp_reset.c: answers to doubtful segments until challenge_ms */
	uint8_t mtu_fails;	/* probes of mtu_high that were lost, one after the other */
	int16_t soft_err; /* what the way reported of late: told if the connection times out (RFC 9293, MUST-56) */

	/* as the program wishes; 0: the default. Children inherit it */
	uint64_t pacing_max_bps; /* octets a second; 0: off, 1: no limit */
	uint32_t user_timeout_ms;
	uint32_t notsent_lowat, rcvlowat;
	uint16_t keep_idle_s, keep_intvl_s;
	uint16_t mss_user;     /* BERTH_MAXSEG; 0 none */
	uint16_t fastopen_max; /* not inherited, as the next two */
	uint8_t defer_s, syn_linear;
	uint8_t linger2_s, keep_cnt, syn_retries;
	uint8_t refuse; /* TF_WSCALE, TF_TS, TF_SACK that the program does not want; SAY_UTO, UTO_YIELDS if it wants that */
	uint8_t train;	/* BERTH_TRAIN */
	uint8_t n_keep; /* keepalives that nobody answered: tcp_timers.c */
	uint8_t ecn_wish : 2, pmtu_disc : 2, mtu_probing : 2, syncookies : 2;
	uint8_t idle_keep : 1; /* not BERTH_IDLE_RESTART */
	uint16_t peer_uto;     /* the peer's user timeout option as it came last; 0: none */

	/* counts for tcp_info */
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out, rexmits, dsacks;
	uint16_t reord_seen, reordering; /* how often, and how many segments at most; 0: TCP_REORDERING */
	uint64_t bytes_acked, bytes_in, bytes_rexmit;
};
_Static_assert(sizeof(struct tcp_conn) <= 376,
	       "with the heart's share an idle connection is to cost 500 octets at most");

struct tcp_time_wait;
struct tcp_syn;

/* Microseconds that go round in 71 minutes: nothing is in flight for so long without being sent again. */
static inline uint32_t tcp_now_us(const struct berth_stack *st)
{
	return (uint32_t)(st->now_ns / 1000);
}

#define TCP_RST_SOURCES 256

struct tcp_state {
	struct slab work, bursts, gaps;
	uint32_t gaps_hand;		/* tcp_rcv.c: where the last look for an old hole ended */
	uint32_t work_first, work_last; /* tcp_work.c: in the order of use */
	struct slab rings;		/* a small item for each pair; their octets are in ring_memory (tcp_ring.c) */
	uint8_t *ring_memory;
	struct slab syns, time_waits;
	uint64_t rst_until_ns; /* tcp_reset.c: resets for nobody's segments until then */
	uint64_t rst_salt;
	uint32_t rst_left, rst_left_source; /* of all; of each source before it sent any */
	uint16_t rst_used[TCP_RST_SOURCES]; /* by a hash of the source */
	uint32_t n_fastopen;		    /* tcp_fastopen.c: connections in SYN-RECEIVED that began with data */
	struct tcp_fastopen_state *fastopen;
	uint32_t n_orphans;	     /* tcp_close.c */
	struct sock_queue orphans;   /* the oldest first; by sock.ev */
	uint64_t cookie_ns;	     /* tcp_cookie.c: when the last one was made; 0: never */
	struct tcp_syn_state *syn;   /* tcp_syn.c's own */
	struct tcp_wait_state *wait; /* tcp_time_wait.c's own */
};

/* --- memory and dispatch: stack.c calls these --- */
void tcp_layout(struct berth_stack *st, struct arena *a);
void tcp_init(struct berth_stack *st);
bool tcp_check(const struct berth_stack *st);
void tcp_input(struct berth_stack *st, const struct packet *p);
void tcp_icmp_error(struct berth_stack *st, const struct icmp_note *e);
/* A timer of TIMER_TCP, TIMER_SYN or TIMER_TIME_WAIT is due. */
void tcp_timer(struct berth_stack *st, enum timer_kind kind, uint32_t index);
/* At most n frames of connection index; when it has no more for now it is out of st->ready (sock_unready, or sock_wait). */
unsigned tcp_output(struct berth_stack *st, uint32_t index, struct berth_tx *v, unsigned n);
/* What output() handed out is free again. */
void tcp_unpin(struct berth_stack *st, uint64_t pin);

/* what sock.c calls for a TCP socket */
int tcp_open(struct berth_stack *st, int family, uint64_t user, uint32_t *ret_index);
int tcp_connect(struct berth_stack *st, uint32_t index, const struct berth_addr *peer);
int tcp_listen(struct berth_stack *st, uint32_t index, unsigned backlog);
int tcp_accept(struct berth_stack *st, uint32_t index, uint32_t *ret_index);
int tcp_shutdown(struct berth_stack *st, uint32_t index, int how);
int tcp_close(struct berth_stack *st, uint32_t index); /* the program's close() */
int tcp_abort(struct berth_stack *st, uint32_t index);
int tcp_poll(struct berth_stack *st, uint32_t index);
int tcp_set(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t value); /* -ENOPROTOOPT: not TCP's */
int tcp_get(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t *ret);

static inline struct tcp_conn *tcp_at(struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->conns, i);
}
uint32_t tcp_index(const struct berth_stack *st, const struct tcp_conn *c);

/* --- tcp_work.c --- */
/* c->w is there, and was used now; false: none is left (counted). */
MUST_CHECK bool tcp_work_take_or_touch(struct berth_stack *st, struct tcp_conn *c);
#define TCP_WORK_SHIFT 27 /* of nanoseconds: what is used again within 134 ms stays where it is in the order of use */
MUST_CHECK static inline bool tcp_work_take(struct berth_stack *st, struct tcp_conn *c)
{
	return (c->w != NULL && c->w->touched == (uint32_t)(st->now_ns >> TCP_WORK_SHIFT)) ||
	       tcp_work_take_or_touch(st, c);
}
void tcp_work_give(struct berth_stack *st, struct tcp_conn *c);
/* The same if c is CLOSED and nothing in its block is of use any more: frames that are pinned are counted there; and whoever accepts c later
 * learns there who called. */
void tcp_work_done(struct berth_stack *st, struct tcp_conn *c);
/* For tcp_output(): has c something to send, and the block to do it with? false: no; a timer asks again if the block is missing. */
MUST_CHECK bool tcp_work_wanted(struct berth_stack *st, struct tcp_conn *c);
/* What c->w would be if it were taken now. */
void tcp_work_image(struct berth_stack *st, const struct tcp_conn *c, struct tcp_work *ret);
/* The same for the length of a call that must not fail: it is c->w, if there was none (true: the caller sets it to NULL again). */
MUST_CHECK bool tcp_work_lend(struct berth_stack *st, struct tcp_conn *c, struct tcp_work *image);
bool tcp_work_check(const struct berth_stack *st);
/* What would be sent next, also of a connection without a block. */
static inline uint32_t tcp_nxt(const struct tcp_conn *c)
{
	return c->w ? c->w->nxt : c->una;
}

/* Octets of data that were sent, each counted once. */
static inline uint64_t tcp_bytes_out(const struct tcp_conn *c)
{
	uint32_t first = c->una + (c->una == c->iss && (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD));
	uint32_t end = c->w ? c->w->max : c->una, fin = c->f & TF_FIN_SENT && end != c->una ? 1 : 0;

	return c->bytes_acked + (seq_lt(first, end) ? end - first - fin : 0);
}

/* --- tcp_state.c --- */
void tcp_set_state(struct berth_stack *st, struct tcp_conn *c, enum tcp_state_name to);
extern const char *const tcp_state_text[TCP_NSTATES];

/* --- tcp_open.c --- */
uint32_t tcp_isn(struct berth_stack *st, const struct port_addr *local, uint16_t local_port,
		 const struct port_addr *peer, uint16_t peer_port); /* RFC 6528 */
uint32_t tcp_ts_offset(struct berth_stack *st, const struct port_addr *local,
		       const struct port_addr *peer); /* RFC 7323, 5.4 */
/* A connection block for an active or passive open has its defaults, rings and route; -ENOBUFS, -ENETUNREACH. */
MUST_CHECK int tcp_setup(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_options.c --- */
/* Who sends a SYN: tcp_output(), in SYN-SENT and SYN-RECEIVED, whenever nxt == iss: flags SYN and tcp_ecn_out_flags() (ACK too in
 * SYN-RECEIVED), then tcp_flight_sent(iss, 1, BURST_SYN). The board sends it again. connect() only sets iss == una == nxt == max
 * and calls sock_ready(); so does a simultaneous open. A listener's SYN-ACK is tcp_syn.c's: its child starts at nxt == iss + 1. */
/* The options of c's SYN (SYN-SENT: what we offer) or SYN-ACK (SYN-RECEIVED: what both want): tcp_emit_frame() asks. */
void tcp_options_syn(struct berth_stack *st, const struct tcp_conn *c, struct wire_tcp_options *ret);
/* The peer's SYN or SYN-ACK: sets TF_WSCALE, TF_TS, TF_SACK, mss_peer, snd_scale, ts_recent; calls tcp_mss_update(). */
void tcp_options_agree(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);
/* The user timeout option that c (a listener, too) is to send, if it is and there is room. */
void tcp_uto_say(const struct tcp_conn *c, struct wire_tcp_options *o);
/* What conn->peer_uto becomes by a segment with these options: was, if they say nothing or c does not ask. */
uint16_t tcp_uto_heard(const struct tcp_conn *c, const struct wire_tcp_options *o, uint16_t was);
static inline uint32_t tcp_uto_s(uint16_t uto)
{
	return uto & 0x8000 ? (uint32_t)(uto & 0x7fff) * 60 : uto;
}
/* What our timestamps say now: milliseconds and an offset (c->ts_offset; RFC 7323, 5.4). */
static inline uint32_t tcp_ts_now(const struct berth_stack *st, uint32_t offset)
{
	return (uint32_t)(st->now_ns / 1000000) + offset;
}

/* --- tcp_close.c --- */
/* The connection is over: err (0: in good order) is what the program learns. Claim, rings, bursts go; the block when the program
 * closed it, too. After this c must not be used. */
void tcp_end(struct berth_stack *st, struct tcp_conn *c, int err);

/* --- tcp_time_wait.c --- */
/* c becomes a record of 64 octets that answers in its place, and is freed as tcp_end(0) does. */
void tcp_time_wait_enter(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_reset.c --- */
/* RST for a segment that belongs to nobody (RFC 9293, 3.10.7.1), never to an RST, limited. */
void tcp_reset_for(struct berth_stack *st, const struct tcp_seg *s);
/* RST on a connection that ends. */
void tcp_reset_conn(struct berth_stack *st, struct tcp_conn *c);
/* May a segment be answered that has data or a FIN, and may be the peer's, sent again? These cost little of tcp_may_answer()'s budget. One
 * for which an answer is owed already costs nothing. */
bool tcp_may_repeat(struct berth_stack *st, struct tcp_conn *c);
uint32_t tcp_bare_seq(const struct tcp_conn *c); /* of a segment without data: tcp_reset.c */
/* RFC 5961: at most so many in a time of random length, for each connection. */
void tcp_challenge_ack(struct berth_stack *st, struct tcp_conn *c);
/* A segment without data and without a connection block: SYN-ACKs of the cache, acknowledgments of TIME-WAIT, resets. */
struct tcp_bare {
	const struct port_addr *local, *peer;
	uint16_t local_port, peer_port;
	uint32_t seq, ack;
	uint16_t flags, wnd;
	uint8_t ttl, tos;
	uint8_t bind_iface; /* the way it must take, interface + 1; 0: any */
	struct wire_tcp_options opt;
};
void tcp_send_bare(struct berth_stack *st, const struct tcp_bare *b);

/* --- tcp_timers.c --- */
void tcp_deadline_set(struct berth_stack *st, struct tcp_conn *c, enum tcp_deadline which, uint64_t at_ns);
static inline uint64_t tcp_deadline(const struct tcp_conn *c, enum tcp_deadline which)
{
	if (which == TCP_AT_KEEP)
		return c->keep_at_ns;
	return c->w ? c->w->at[which] : NEVER_NS;
}
static inline void tcp_deadline_clear(struct berth_stack *st, struct tcp_conn *c, enum tcp_deadline which)
{
	if (tcp_deadline(c, which) != NEVER_NS)
		tcp_deadline_set(st, c, which, NEVER_NS);
}
/* The user timeout that holds, by the program's word and the peer's (RFC 5482, 3.1); 0: none, R2 does. */
uint64_t tcp_user_timeout_ns(const struct tcp_conn *c);
/* Is it over? */
bool tcp_user_timeout_is_over(const struct berth_stack *st, const struct tcp_conn *c);
/* May it go on trying? Looks at R2, the user timeout and the retry counts. false: it was ended with -ETIMEDOUT. */
bool tcp_may_retry(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_ring.c --- */
/* The pool of pairs: tcp_layout() and tcp_init() call these. */
void tcp_rings_layout(struct berth_stack *st, struct arena *a);
void tcp_rings_init(struct berth_stack *st);
bool tcp_rings_check(const struct berth_stack *st, const struct tcp_conn *c); /* C2, C3, gaps */
bool tcp_ring_guards_check(const struct berth_stack *st);
void tcp_ring_init(struct tcp_ring *r, uint8_t *data, uint32_t size);
/* Octets [at, at + len) from head on, as at most two pieces; returns how many pieces. */
unsigned tcp_ring_parts(const struct tcp_ring *r, uint32_t at, uint32_t len, struct berth_part v[2]);
/* The first len octets are not needed any more. */
static inline void tcp_ring_drop(struct tcp_ring *r, uint32_t len)
{
	ASSERT(len <= r->used);
	r->head = (r->head + len) & (r->size - 1);
	r->used -= len;
}
void tcp_ring_write(struct tcp_ring *r, uint32_t at, const uint8_t *data, uint32_t len);
/* Take a pair from the stack's pool; -ENOBUFS. And give it back. */
MUST_CHECK int tcp_rings_take(struct berth_stack *st, struct tcp_conn *c);
void tcp_rings_give(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_io.c: the program's side of the rings; and what is acknowledged leaves the sending one --- */
/* Sequence number of the sending ring's first octet. */
static inline uint32_t tcp_tx_seq(const struct tcp_conn *c)
{
	return c->una + (c->una == c->iss && (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD));
}
/* tcp_ack.c: una becomes ack, and with that len octets of data (SYN and FIN do not count) leave the ring; the program hears of the room. */
void tcp_tx_acked(struct berth_stack *st, struct tcp_conn *c, uint32_t ack, uint32_t len);
/* BERTH_EV_IN, OUT and PRI as they are now, as far as rings say it: for tcp_poll(). */
int tcp_io_poll(const struct tcp_conn *c);

/* --- tcp_rcv.c --- */
/* The peer's SYN is known (c->irs is set): rcv_nxt, rcv_adv, rcv_acked and the rest begin. */
void tcp_rcv_init(struct berth_stack *st, struct tcp_conn *c);
/* The segment was not acceptable: if it is no RST an acknowledgment is owed, and a D-SACK if it repeats what is here. */
void tcp_rcv_refused(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);
/* TCP_AT_DELACK is due. */
void tcp_rcv_delack_timer(struct berth_stack *st, struct tcp_conn *c);
/* The payload and FIN of an acceptable segment: kept, and what is in order made readable; sets what has to be acknowledged and
 * when. true: FIN is in order now (TF_FIN_RCVD is set). */
bool tcp_rcv_segment(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);
/* Is the segment acceptable (RFC 9293, 3.10.7.4, first)? */
bool tcp_rcv_acceptable(const struct tcp_conn *c, const struct tcp_seg *s);
/* SACK blocks to send now, the D-SACK first (RFC 2883); returns how many, at most max. */
unsigned tcp_rcv_sack_blocks(struct berth_stack *st, const struct tcp_conn *c, struct wire_tcp_sack v[4], unsigned max);
void tcp_gaps_free(struct berth_stack *st, struct tcp_conn *c);
/* Nothing has filled the hole for so long that what lies behind it need not be kept, when somebody else wants the room (S15). */
bool tcp_gaps_stale(const struct berth_stack *st, const struct tcp_conn *c);
/* An acknowledgment left, with everything up to rcv_nxt. */
void tcp_rcv_acked(struct berth_stack *st, struct tcp_conn *c);

/* --- tcp_window.c --- */
/* What to advertise now (octets, not scaled), and remember that it was: rcv_adv. */
uint32_t tcp_window_advertise(struct berth_stack *st, struct tcp_conn *c);
/* The program has read len octets: autotuning (DRS), and an update to the peer if the window opened enough (SWS: RFC 9293, 3.8.6.2.2). */
void tcp_window_read(struct berth_stack *st, struct tcp_conn *c, uint32_t len);
uint8_t tcp_window_scale(const struct berth_stack *st, const struct tcp_conn *c);
/* What a SYN or SYN-ACK says: at most 65535, not scaled (RFC 7323, 2.2). c may be the listener. */
uint16_t tcp_window_syn(const struct berth_stack *st, const struct tcp_conn *c);

/* --- tcp_mtu.c --- */
/* c->mss anew, from the route, the peer's MSS and the options. */
void tcp_mss_update(struct berth_stack *st, struct tcp_conn *c);
/* Segments were marked lost. true: it was the probe of a larger segment, alone, and its loss says nothing of congestion. */
bool tcp_mtu_probe_lost(struct berth_stack *st, struct tcp_conn *c);
/* The path takes mtu_bytes at most: what is in flight and larger is sent again, smaller. */
void tcp_mtu_lowered(struct berth_stack *st, struct tcp_conn *c, uint32_t mtu_bytes);

/* --- tcp_board.c, tcp_ack.c, tcp_recover.c: what is in flight --- */
/* After una, nxt = iss are set. */
void tcp_flight_init(struct berth_stack *st, struct tcp_conn *c);
void tcp_flight_free(struct berth_stack *st, struct tcp_conn *c);
/* The handshake is done; its round trip, if it was measured (0: it was not, or a SYN was sent twice). */
void tcp_flight_established(struct berth_stack *st, struct tcp_conn *c, uint64_t handshake_rtt_ns);
enum {
	ACK_ADVANCED = 1, /* una moved */
	ACK_FIN = 2,	  /* our FIN is acknowledged */
	ACK_WINDOW = 4,	  /* the send window changed */
	ACK_SYN = 8,	  /* our SYN is */
	ACK_ENDED = 16,	  /* the connection was ended: do not touch it */
};
/* The ACK field of an acceptable segment, una <= ack <= max: una, window (RFC 9293's WL1 and WL2), SACK, RTT, loss, congestion, timers;
 * room in the sending ring is announced. Returns ACK_ bits. */
unsigned tcp_ack(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);
/* What to send next, if congestion, recovery and pacing allow: retransmissions first. false: nothing now. For new data the caller
 * (tcp_out.c) adds the window, Nagle and SWS; tcp_flight_room() says how many octets of new data may go. */
struct tcp_send {
	uint32_t seq, len; /* sequence space of a retransmission: at most len_max octets, and a SYN or FIN besides */
	uint32_t burst;	   /* the board's */
	uint64_t segs;	   /* which segments of it */
	bool probe;	   /* TLP: allowed whatever the window of congestion says */
};
bool tcp_flight_rexmit(struct berth_stack *st, struct tcp_conn *c, uint32_t len_max, struct tcp_send *ret);
/* What directly follows `after`, whole segments that are lost, or a FIN: as many as room octets hold. false: none. */
bool tcp_flight_join(struct berth_stack *st, const struct tcp_conn *c, const struct tcp_send *after, uint32_t room,
		     struct tcp_send *ret);
/* It was emitted. */
void tcp_flight_rexmitted(struct berth_stack *st, struct tcp_conn *c, const struct tcp_send *s);
uint32_t tcp_flight_room(struct berth_stack *st, struct tcp_conn *c);
/* What goes next is to find out what became of the flight: Nagle and corks do not hold it back. */
bool tcp_flight_probing(const struct tcp_conn *c);
/* May a burst be written down? false: no record is left, wait for acknowledgments. */
bool tcp_flight_can_send(struct berth_stack *st, struct tcp_conn *c);
/* New sequence space [seq, seq + len) was emitted, in segments of mss. Arms the timer. */
void tcp_flight_sent(struct berth_stack *st, struct tcp_conn *c, uint32_t seq, uint32_t len, uint16_t mss,
		     uint8_t burst_flags);
/* TCP_AT_RTX is due. */
void tcp_flight_timer(struct berth_stack *st, struct tcp_conn *c);
/* Octets in flight as congestion control counts them (RFC 6675's pipe). */
uint32_t tcp_flight_pipe(const struct tcp_conn *c);
/* Everything from seq on that is in segments larger than mss is lost (path MTU; not congestion). */
void tcp_flight_too_big(struct berth_stack *st, struct tcp_conn *c, uint16_t mss);
/* Another congestion control (enum berth_congestion) takes over, with the window as it is. */
void tcp_flight_congestion(struct tcp_conn *c, uint8_t cc);
bool tcp_flight_check(const struct berth_stack *st, const struct tcp_conn *c);
/* The rate the pacer allows now: how many octets may leave in this go; 0: not before *ret_at_ns. */
uint32_t tcp_pace_quantum(struct berth_stack *st, struct tcp_conn *c, uint64_t *ret_at_ns);
void tcp_pace_sent(struct berth_stack *st, struct tcp_conn *c, uint32_t len);

/* --- tcp_ecn.c --- */
void tcp_ecn_in(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s);
uint16_t tcp_ecn_out_flags(struct tcp_conn *c, bool new_data); /* ECE, CWR */
uint8_t tcp_ecn_out_tos(const struct tcp_conn *c, bool new_data, bool rexmit);

/* --- tcp_persist.c: TCP_AT_PERSIST --- */
void tcp_persist_timer(struct berth_stack *st, struct tcp_conn *c);
void tcp_persist_check(struct berth_stack *st, struct tcp_conn *c); /* start or stop it, by window and ring */
void tcp_persist_again(struct berth_stack *st, struct tcp_conn *c); /* the peer spoke: the interval begins anew */

/* --- tcp_fastopen.c --- */
/* Octets of the sending ring that go with c's SYN: 0 unless it has a cookie for its peer. */
uint32_t tcp_fastopen_room(struct berth_stack *st, const struct tcp_conn *c); /* of a SYN that has not left yet */
uint32_t tcp_fastopen_len(struct berth_stack *st, const struct tcp_conn *c);

/* --- tcp_in.c --- */
/* Take p apart. 0; -EBADMSG malformed; -EILSEQ checksum. */
MUST_CHECK int tcp_seg_parse(struct berth_stack *st, const struct packet *p, struct tcp_seg *ret);

#endif
