/* tests/sim/sim.h: worlds of stacks in virtual time, drawn from a seed, and what must hold in each of them.
 *
 *	struct sim --- hosts, each a berth_stack ---- programs (struct sim_flow: two ends that talk)
 *	     \-------- wires, each with a fault per host
 *
 * Nothing here looks at a clock: the next event is the earliest of all deadlines (stacks, links, programs, plans). An hour without
 * events costs nothing. Whatever is random is drawn by name (sim_draw()), from streams that the seed makes; so one seed is one
 * world, on every compiler, and a failing world shrinks by setting its draws to their lowest value one after the other.
 *
 * A SIM_TEST makes a world, runs it, and says what it expects. Oracles (observe.c, sim_check()) look at every frame and every state
 * without being asked. The first thing that does not hold ends the run with one line and the line that replays it.
 */
#ifndef BERTH_TESTS_SIM_H
#define BERTH_TESTS_SIM_H

#include <berth/stack.h>

#include "base/rng.h"
#include "link/fault.h"
#include "wire/tcp.h"

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

#define SIM_HOSTS_MAX 8
#define SIM_WIRES_MAX 8
#define SIM_PORTS_MAX 8
#define SIM_PLANS_MAX 64
#define SIM_CONNS_MAX 64 /* of a host */

struct sim;
struct sim_flow;
struct observer;

/* --- hosts --- */

/* A connection before output(): flight.c. */
struct sim_pipe {
	int64_t octets, least; /* least: small segments that duplicates took for full ones may bring it below 0 */
};
struct sim_flight {
	struct sim_pipe pipe;
	uint32_t generation, sent, mss;
	struct port_addr peer;
	uint16_t local_port, peer_port;
	bool is_conn, is_probe_due;
};

struct sim_host {
	struct sim *s;
	unsigned index;
	uint8_t octet; /* its addresses end with it: 10.0.W.octet and fd00:W::octet, W the wire */
	struct berth_stack_config config;
	uint32_t iface_flags;			 /* BERTH_IF_ */
	bool is_auto;				 /* IPv6 only, addresses as routers say, checked for duplicates */
	uint32_t temp_valid_s, temp_preferred_s; /* struct berth_iface's */
	uint32_t mtu_bytes;
	void *memory;
	size_t len_bytes;
	struct berth_stack *st; /* NULL: it is off */
	unsigned n_boots;
	uint64_t late_ns; /* a program comes so much after its deadline */
	unsigned batch;	  /* frames and events per call, 1 to 32 */
	bool split_rx;	  /* what arrives lies in several parts */
	unsigned n_ifaces;
	struct {
		struct sim_wire *wire;
		unsigned port;
	} ifaces[4];
	berth_sock listeners[8];
	uint16_t listen_ports[8];
	unsigned n_listeners;
	struct {
		enum berth_option option; /* 0: none */
		uint64_t value;
	} listener_options[8];
	unsigned n_closing; /* sockets closed by their program whose BERTH_EV_CLOSED has not come */
	uint64_t n_frames_out, n_frames_in;
	/* BERTH_STACK_PIN: frames whose writer has not looked at them yet, in order */
	uint64_t pin_ns;
	struct sim_pinned *pinned_first, *pinned_last;
	struct sim_flight flights[SIM_CONNS_MAX];
	uint64_t stuck_ns; /* the same deadline again and again: a bug */
	unsigned n_stuck;
};

/* --- wires: a hub of faults. Port i's fault is what frames go through on their way to host i --- */

struct sim_wire {
	unsigned index;
	enum berth_link link;
	unsigned n_ports;
	struct {
		struct sim_host *host; /* NULL: an attacker's place */
		uint16_t iface;
		struct fault *to;
	} ports[SIM_PORTS_MAX];
};

/* --- programs --- */

/* How one end of a flow behaves. All zeros: sends its octets, ends its stream, reads to the end, closes. */
struct sim_manners {
	uint64_t bytes;		 /* it sends */
	uint32_t write_max;	 /* octets at a time; 0: as many as go */
	uint64_t write_pause_ns; /* after each */
	bool whole_words;	 /* ... after each write_max octets, however many writes they took */
	uint32_t read_max;
	uint64_t read_pause_ns;
	uint64_t read_after_ns; /* does not read before then (from the connection's start) */
	uint64_t abort_at;	/* resets after it sent so many octets; BERTH_NEVER: never */
	bool never_reads;	/* closes with what it did not read: a reset for the peer */
	bool waits_for_peer;	/* ends its stream only after the peer did */
	bool echo;		/* sends back what it reads; bytes is not looked at */
	bool zero_copy;		/* tx_space, tx_commit, rx_peek, rx_consume in place of send and recv */
	bool keepalive;		/* looks for a dead peer */
	uint32_t keepalive_s;	/* ... after so many; 0: 10 */
};

struct sim_end {
	struct sim_flow *flow;
	struct sim_host *host;
	unsigned boot; /* of the host's stack the socket belongs to */
	berth_sock sock;
	struct sim_manners manners;
	bool is_open, is_connected, is_shut, got_eof, is_done;
	bool has_left;	   /* of its own will, before the end of the peer's stream */
	bool is_away;	   /* saved, and not restored yet: its host has no socket of it */
	bool was_restored; /* what was in flight then counts as sent at that time, whatever the window was */
	int err;	   /* what ended it, negative errno */
	uint64_t sent, received;
	uint64_t begun_ns, done_ns, wake_ns;
	uint64_t read_at_ns, write_at_ns;
	uint8_t echo[2048];
	uint32_t echo_used;
};

enum { SIM_CLIENT, SIM_SERVER };

struct sim_flow {
	struct sim *s;
	unsigned index;
	uint64_t key; /* of the octets */
	int family;
	struct sim_wire *wire;
	uint16_t port, client_port;
	uint16_t bind_port; /* of the client; 0: the stack chooses */
	uint64_t start_ns;
	bool may_fail;	      /* errors are fine, on both ends; else all octets must arrive */
	bool may_not_connect; /* an error of connect() is fine (bad links), none after it */
	bool waits_for_port;  /* connect() is tried again while no port is free */
	bool no_accept;	      /* the server side is nobody's business (storms, attacks) */
	uint32_t options;     /* SIM_OPT_ */
	struct sim_end end[2];
};

enum {
	SIM_OPT_CUBIC = 1,
	SIM_OPT_PACING = 2,
	SIM_OPT_ECN = 4,
	SIM_OPT_NODELAY = 8,
	SIM_OPT_NO_TS = 16,
	SIM_OPT_NO_SACK = 32,
	SIM_OPT_NO_WSCALE = 64,
	SIM_OPT_QUICKACK = 128,
	SIM_OPT_CORK = 256,  /* not where the peer waits for what is held back */
	SIM_OPT_LOWAT = 512, /* BERTH_NOTSENT_LOWAT */
	SIM_OPT_MAXSEG = 1024,
	SIM_OPT_BUFS = 2048,   /* BERTH_RCVBUF and BERTH_SNDBUF */
	SIM_OPT_ATTACH = 4096, /* rings of the program's own */
	SIM_OPT_FASTOPEN = 8192,
};

/* A connection from inside: all that the simulator knows of it. All zeros: it is none. */
struct sim_look {
	uint32_t mss, cwnd, pipe; /* octets */
	uint32_t ca_state;
	uint32_t una, nxt, rcv_nxt, rcv_acked;
	bool is_conn;	   /* not a listener, not closed */
	uint64_t block;	   /* which: another number after a restore */
	bool is_receiving; /* in a state in which data is taken */
	bool waits_for_neigh;
	uint8_t state; /* Linux's number */
	uint32_t iss;
	uint64_t rto_ns;  /* with its doublings */
	uint64_t n_tried; /* retransmissions and probes, also those that never became frames */
	struct port_addr local, peer;
	uint16_t local_port, peer_port;
};

/* When one end of a connection last said something, and what it owes: silence.c. */
struct silence {
	uint32_t una;	     /* the furthest acknowledgment that reached it */
	uint32_t looked_una; /* ... that it believed */
	uint64_t since_ns;
	uint64_t rto_ns; /* the largest since then */
	uint64_t n_tried;
	bool had_work, has_acked, owes_ack, waits, has_ts;
	uint32_t ts_recent;   /* the newest timestamp at or below what it acknowledged */
	uint64_t ts_ns;	      /* when it came */
	uint32_t window_max;  /* that it was ever given */
	uint32_t acked, owed; /* the furthest it acknowledged, and what it should */
	uint64_t owed_ns, waits_ns, block;
};

/* --- the world --- */

struct sim_set { /* a draw that is given: --set name=value */
	char name[48];
	uint64_t value; /* above the draw's lowest */
};

struct sim {
	const char *name, *row; /* of a table of worlds: the row */
	uint64_t seed, now_ns, end_ns;
	uint64_t digest, n_events, n_frames;
	bool trace;
	void *pcap; /* FILE */
	struct sim_host *hosts[SIM_HOSTS_MAX];
	unsigned n_hosts;
	struct sim_wire *wires[SIM_WIRES_MAX];
	unsigned n_wires;
	struct sim_flow **flows;
	unsigned n_flows, room_flows;
	struct {
		uint64_t at_ns;
		void (*run)(struct sim *s, void *ctx);
		void *ctx;
	} plans[SIM_PLANS_MAX];
	unsigned n_plans;
	struct observer *observer;
	/* sockets whose word is SIM_USER_OTHER or more are a test's own affair */
	void (*other_event)(struct sim *s, struct sim_host *h, const struct berth_event *ev);
	/* A frame comes to a place at a wire that is no host's; in one piece. */
	void (*stranger)(struct sim *s, struct sim_wire *w, unsigned port, const uint8_t *data, uint32_t len);
	/* Something on the wire that changes a frame in place, checksums too; true: it did. The devices make no checksums then. */
	bool (*middlebox)(struct sim *s, const struct sim_wire *w, uint8_t *data, uint32_t len);
	bool is_broken;	  /* an oracle is, on purpose: --break */
	bool is_attacked; /* somebody forges segments: what was sent and granted cannot be known from the stacks alone */
	bool has_corruption;
	bool windows_shrink;
	uint64_t check_ns;    /* the next look at every structure */
	uint64_t patience_ns; /* sim_run_all() waits so much longer than else */
	struct sim_set sets[256];
	unsigned n_sets;
	bool is_low; /* draws that are not given are lowest: what shrinking leaves */
	struct {     /* what was drawn, for the shrinker */
		char name[48];
		uint64_t value, span;
	} drawn[2048];
	unsigned n_drawn;
};

#define SIM_USER_OTHER (UINT64_C(1) << 40)
#define SIM_USER_OTHER_LAST (UINT64_C(1) << 41)

#define SIM_TEST(name)                       \
	void sim_test_##name(struct sim *s); \
	void sim_test_##name(struct sim *s)

/* A number in [lo, hi] by name; the lowest is the simplest, so that shrinking has a direction. The same name again is name#2. */
uint64_t sim_draw(struct sim *s, const char *name, uint64_t lo, uint64_t hi);
#define sim_range(s, lo, hi) sim_draw(s, __func__, lo, hi)
/* True once in n; false is simpler. */
bool sim_once_in(struct sim *s, const char *name, unsigned n);

/* A host that is off yet, with drawn sizes. sim_boot() starts its stack, with a secret of its own. */
struct sim_host *sim_host(struct sim *s);
void sim_boot(struct sim_host *h);
/* Its stack is thrown away, without a word to anybody; what its programs had is gone. Then sim_boot() again. */
void sim_kill(struct sim_host *h);
void sim_listen(struct sim_host *h, uint16_t port, unsigned backlog);
/* An end's connection as octets (malloc()), gone from its host; NULL: it cannot be saved. And back, on the host's stack as it is now. */
uint8_t *sim_end_save(struct sim_end *e, uint32_t *ret_len);
void sim_end_restore(struct sim_end *e, const uint8_t *data, uint32_t len);
/* All hosts at one wire, before they boot. c: of every direction. */
struct sim_wire *sim_wire(struct sim *s, struct sim_host **hosts, unsigned n, const struct fault_config *c);
/* Direction to port. */
void sim_wire_set(struct sim *s, struct sim_wire *w, unsigned port, const struct fault_config *c);
void sim_wire_set_all(struct sim *s, struct sim_wire *w, const struct fault_config *c);
/* From port (or SIM_NOWHERE) octets of a forger, to the port of the host the destination address names. */
#define SIM_NOWHERE UINT32_MAX
void sim_inject(struct sim *s, struct sim_wire *w, unsigned to, const uint8_t *data, uint32_t len);
struct berth_addr sim_addr(const struct sim_host *h, const struct sim_wire *w, int family, uint16_t port);
/* A program's plan: run(ctx) at a time. */
void sim_at(struct sim *s, uint64_t at_ns, void (*run)(struct sim *s, void *ctx), void *ctx);

struct sim_flow *sim_flow(struct sim *s, struct sim_host *client, struct sim_host *server, struct sim_wire *w,
			  int family, uint16_t port);
bool sim_flow_done(const struct sim_flow *f);
bool sim_idle(struct sim *s); /* every flow is done at both ends */
/* Until done() or a time; false: the time came. Fails when nothing is left to happen. */
bool sim_run_until(struct sim *s, bool (*done)(struct sim *s), uint64_t end_ns);
void sim_run_for(struct sim *s, uint64_t ns);
/* Flows are as they should be, every socket is gone, TIME-WAIT ends, memory and ports are back. */
void sim_expect_all_over(struct sim *s);

_Noreturn void sim_fail(struct sim *s, const char *oracle, const char *fmt, ...) PRINTF_LIKE(3, 4);
void sim_expect_u64(struct sim *s, const char *what, uint64_t got, uint64_t want);
void sim_expect_le(struct sim *s, const char *what, uint64_t got, uint64_t max);
void sim_expect_ge(struct sim *s, const char *what, uint64_t got, uint64_t min);
void sim_note(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3); /* with --trace */
struct berth_counters sim_counters(const struct sim_host *h);
struct sim_look sim_look(const struct sim_end *e);
struct sim_look sim_look_at(const struct berth_stack *st, uint32_t conn_index);

/* --- between the files of the simulator --- */
void sim_hash(struct sim *s, const void *data, size_t len);
void sim_check(struct sim *s); /* every checker of every host */
void host_pump(struct sim_host *h);
void host_input(struct sim_host *h, uint16_t iface);
uint64_t host_deadline(const struct sim_host *h);
void host_expect_clean(struct sim_host *h);
/* A frame as output() gave it: looked at, hashed. Then on its way. */
void wire_look(struct sim *s, struct sim_host *from, const struct berth_tx *tx);
void wire_put(struct sim *s, struct sim_host *from, const struct berth_tx *tx);
/* An octet sum of a frame, to see whether a pinned one stays as it is. */
uint64_t wire_sum_of(const struct berth_tx *tx);
void host_write_pinned(struct sim_host *h);
unsigned wire_frames_on_way(const struct sim *s);
void app_event(struct sim_host *h, const struct berth_event *ev);
void app_start(struct sim_flow *f);
uint64_t app_deadline(const struct sim *s);
void app_timers(struct sim *s);
void app_host_died(struct sim_host *h);
void app_expect_over(struct sim_flow *f);
/* Around each call of output(): congestion windows. */
void flight_before(struct sim_host *h);
void flight_sent(struct sim_host *h, const struct link_view *v);
void flight_after(struct sim_host *h);
uint8_t app_octet(uint64_t key, uint64_t at);
struct sim_end *app_end_at(struct sim *s, const struct sim_host *h, uint16_t local_port, const struct port_addr *peer,
			   uint16_t peer_port);
struct observer *observer_new(void);
void observer_free(struct observer *o);
/* A frame as its stack gave it out, and as a host takes it in. Both in one piece. */
void observe_out(struct sim *s, struct sim_host *h, const struct berth_tx *tx, const uint8_t *data, uint32_t len);
void observe_in(struct sim *s, struct sim_host *h, enum berth_link link, const struct berth_rx *rx);

/* The record of the end that a look is of, and whether it has anything to say; NULL: nobody saw it begin. */
struct silence *observe_silence(struct sim *s, const struct sim_look *t, bool *ret_has_work);
void silence_syn(struct silence *q, uint32_t isn, uint64_t now_ns);
void silence_sent(struct silence *q, const struct wire_tcp *t, uint64_t now_ns);
/* window: of this segment, octets. granted: the right edge of the window it gave. */
void silence_got(struct silence *q, const struct wire_tcp *t, uint32_t window, uint32_t granted, uint64_t now_ns);
void silence_check(struct sim *s);

/* --- drawing --- */
uint64_t draw_clock(struct sim *s);
struct fault_config draw_faults(struct sim *s, enum berth_link link);
void draw_manners(struct sim *s, struct sim_manners *m, uint64_t bytes_max);
uint32_t draw_options(struct sim *s);
enum berth_link draw_link(struct sim *s);
/* n hosts, off, with devices of the same MTU; then at one wire, up, with a listener on SIM_PORT. */
#define SIM_PORT 80
void draw_hosts(struct sim *s, struct sim_host **h, unsigned n);
struct sim_wire *sim_hub(struct sim *s, struct sim_host **h, unsigned n, const struct fault_config *c);
struct sim_flow *draw_flow(struct sim *s, struct sim_host *a, struct sim_host *b, struct sim_wire *w,
			   uint64_t bytes_max);
/* Errors are fine, silence is not: keepalive finds what a lost reset left. */
void sim_flow_may_fail(struct sim_flow *f);
/* Until all flows are done, six hours (and s->patience_ns) after the last began at most; then sim_expect_all_over(). */
void sim_run_all(struct sim *s);

#endif
