/* fuzz/pair.h: what the files of fuzz_stack_pair share: two sides, the frames on their way, the streams between programs. */
#ifndef BERTH_FUZZ_PAIR_H
#define BERTH_FUZZ_PAIR_H

#include "base/cursor.h"
#include "link/frame.h"
#include "stack/tcp_control.h"
#include "stack_look.h"

#define SECOND UINT64_C(1000000000)
#define N_ENDS 8
#define N_QUEUE 24
#define N_OLD 4
#define N_PINNED 6
#define N_FLOWS 32
#define N_CONNS 6
#define RING 4096
#define PORT_LISTEN 80
#define PORT_UDP 9
#define PORT_CROSS 7000 /* both ends connect() to and from it: simultaneous opens */

/* A program's end of a connection. */
struct end {
	bool used; /* the handle is ours */
	berth_sock s;
	uint16_t port;	/* the client's: names the stream */
	uint8_t opener; /* the side that called connect(); 2: both */
	bool shut_read, failed, ended;
	uint32_t iss, irs;
	uint64_t sent, received;
};

/* What was ever written to streams of this name. */
struct flow {
	uint16_t port;
	uint8_t opener, n_opened, n_accepted;
	bool lost;	     /* something was thrown away: aborted, not restored, attempted twice */
	uint64_t written[2]; /* by side: the most that one end wrote */
};

struct queue {
	struct link_frame *v[N_QUEUE];
	unsigned n;
};

struct pinned {
	struct berth_tx tx;
	uint32_t sum;
};

struct side {
	struct berth_stack *st;
	void *memory;
	size_t memory_size;
	struct look_iface iface;
	struct port_addr addr;
	berth_sock listener, udp;
	struct end ends[N_ENDS];
	struct queue out;	       /* on their way from here */
	struct link_frame *old[N_OLD]; /* that were delivered: to be repeated */
	unsigned n_old;
	struct pinned pinned[N_PINNED];
	unsigned n_pinned;
	unsigned n_bare, n_full; /* that left since somebody counts */
};

/* All of it. */
struct pair_world {
	struct side sides[2];
	struct link_frames frames;
	struct flow flows[N_FLOWS];
	unsigned n_flows;
	uint64_t now_ns;
	struct cursor_reader in;
	bool is_v4;
	bool is_lazy;	/* programs and devices do not look after each step */
	bool is_short;	/* of working blocks or bursts */
	bool is_forged; /* somebody was there who is not only bad luck */
	bool is_ended;	/* no more steps: all was closed */
	bool is_traced;
};
extern struct pair_world w;

static inline struct side *other(const struct side *s)
{
	return &w.sides[s == &w.sides[0]];
}

static inline unsigned number(const struct side *s)
{
	return (unsigned)(s - w.sides);
}

/* With BERTH_FUZZ_TRACE in the environment: what happens, for who looks at a finding. f may be NULL. */
void pair_say(const struct side *s, const char *what, const struct link_frame *f);

/* --- pair_link.c --- */
/* All that s has to send is on its way; looked at. */
void pair_drain(struct side *s);
void pair_unpin(struct side *s, unsigned i);
void pair_unpin_all(struct side *s);
/* All that is on its way arrives, and the answers, until both are silent. */
void pair_settle(void);
/* What the input says becomes of the frames that come from s: as on a bad link, and worse. */
void pair_link_step(struct side *s, uint8_t what, uint8_t how);
void pair_attack(struct side *s, uint8_t how);
/* Frames on their way are lost; and those, too, that might have come again. */
void pair_lose(struct side *s);
void pair_forget(struct side *s);

/* --- pair_ends.c --- */
/* The program of s does something, as the input says. */
void pair_program(struct side *s, uint8_t what, uint8_t how);
void pair_set(struct side *s);
void pair_udp_send(struct side *s);
void pair_udp_receive(struct side *s);
void pair_fetch_events(struct side *s);
/* Whoever waits for accept() is accepted, what can be read is read. */
void pair_read_all(struct side *s);
/* Good link, both read: everything is there that was written, or somebody heard that it is not. */
void pair_all_arrived(struct side *s);
/* bit i of how: end i by a reset. */
void pair_close_all(struct side *s, uint8_t how);
bool pair_used_cookies(void);

#endif
