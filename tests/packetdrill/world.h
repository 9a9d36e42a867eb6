/* tests/packetdrill/world.h: the stack under test, its virtual clock, and the packets that left it.
 *
 * Time stands still unless somebody sleeps: usleep() and netdev_receive() move it from deadline to deadline of the stack, and each
 * look at the clock costs a microsecond, because packetdrill waits the last 20 of them by looking.
 *
 * Two threads: packetdrill's own, and one for calls that take time (0.1...0.3 read()). The second waits here (world_wait()) until
 * its socket is ready; the first hands it the turn at that very moment and goes on when the call is done, so virtual time cannot
 * run past it.
 */
#ifndef BERTH_PACKETDRILL_WORLD_H
#define BERTH_PACKETDRILL_WORLD_H

#include <berth/stack.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WORLD_FDS 256
#define WORLD_PACKETS 4096
#define WORLD_PACKET_BYTES 65600

enum fd_kind { FD_FREE, FD_SOCKET, FD_EPOLL, FD_PIPE };

struct watch {
	int fd;
	uint32_t events;
	uint64_t data;
	uint32_t said;	  /* edge triggered: what was reported already */
	bool used, spent; /* spent: EPOLLONESHOT has fired */
};

struct fd {
	enum fd_kind kind;
	int number; /* the descriptor: a real one of the kernel's (/dev/null), so that close(2) of anybody finds it */
	berth_sock sock;
	int domain, type;
	bool nonblocking, listening, connecting, connected;
	struct {
		int on, seconds;
	} linger;
	uint64_t rcv_timeout_us, snd_timeout_us; /* 0: none */
	struct watch watches[16];		 /* FD_EPOLL */
	int sndbuf, rcvbuf;			 /* as they are read back */
	bool bound;				 /* by bind(): a disconnected socket keeps its address */
	bool fastopen_connect, deferred; /* TCP_FASTOPEN_CONNECT; connect() was called, the first write makes the SYN */
	struct berth_addr peer;		 /* ... to there */
	bool linger2_none, quickack_off;
	uint64_t max_pacing;
	bool inq; /* TCP_INQ: recvmsg() tells how much is left */
	struct told {
		int level, option, value;
	} told[16];	 /* options that mean nothing here, as they were set */
	uint64_t chosen; /* a bit for each enum berth_option that the program has set */
};

struct packet_out {
	uint8_t *data;
	uint32_t len;
	uint64_t at_us;
};

/* world_wait() of the second thread. */
struct world;
struct waiter {
	bool (*ready)(struct world *w, void *arg);
	void *arg;
	uint64_t until_us;
	bool woken, timed_out;
};
struct world {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	struct berth_stack *st;
	void *memory;
	size_t memory_len;
	uint64_t now_us;
	struct packet_out out[WORLD_PACKETS]; /* a ring */
	unsigned out_first, out_n;
	struct fd fds[WORLD_FDS];
	struct berth_addr local4, local6, remote4, remote6;
	unsigned prefix4, prefix6, mtu_bytes;
	uint16_t iface;
	pthread_t main_thread;
	struct waiter *waiter; /* the second thread's: from when it waits until its call is over; NULL, or the next */
	struct waiter waiting; /* not on its stack: world_wait() has returned before the call is over */
	uint64_t patience_us;  /* netdev_receive(): then there is no packet */
	bool verbose, sysctls, super_frames;
	struct {
		enum berth_option option;
		uint64_t value;
	} presets[32]; /* --so_flags=ecn=1: for every new socket */
	unsigned n_presets;
};

/* Flags: "local=192.168.0.1/16,remote=192.0.2.1,local6=...,remote6=...,mtu=1500,verbose,nosysctl" and options for all
 * sockets: ecn=1, cookies=2, timestamps=0, sack=0, wscale=0, cc=0 (NewReno), pacing=1, train=2. Trains leave as single segments,
 * each with PSH (packetdrill puts them together, and looks at the last one's), or whole with "gso" (for --strict_segments).
 * patience=10000: milliseconds that netdev_receive() waits; a script's slowest wait is some seconds.
 * Return: 0, or -1 with a message printed. */
int world_init(struct world *w, const char *flags);
void world_fini(struct world *w);

/* What the stack wants to send moves to w->out, at this time; waiters get their turn. After each call on the stack. */
void world_settle(struct world *w);
/* Move time to at_us, through the stack's deadlines; stops at the first packet when asked. True: stopped for a packet. */
bool world_advance(struct world *w, uint64_t at_us, bool until_packet);
/* A datagram from the wire. */
void world_inject(struct world *w, const void *data, uint32_t len);
/* The clock as this thread sees it, a microsecond later than the last time. */
uint64_t world_clock(struct world *w);

/* Wait until one of the sockets has one of the events (BERTH_EV_), at most timeout_us (UINT64_MAX: for ever). Return: true, or false
 * when the time is over. Called with the lock held. In packetdrill's own thread it moves time by itself, up to a minute. */
bool world_wait(struct world *w, bool (*ready)(struct world *w, void *arg), void *arg, uint64_t timeout_us);
/* Around each call: the second thread's clock stands still once its call is over, and packetdrill's own thread goes on. */
void world_call_begins(struct world *w);
void world_call_done(struct world *w);

struct fd *world_fd(struct world *w, int number); /* NULL: not ours */
struct fd *world_fd_new(struct world *w, enum fd_kind kind);
void world_fd_free(struct fd *f);

/* cut.c: a super-frame as the segments that a device would make of it. take() gets each, complete with checksums. */
void cut_frame(const struct berth_tx *t, bool whole, void (*take)(void *arg, const uint8_t *data, uint32_t len),
	       void *arg);

/* sysctl.c: what /proc/sys/net says now, and then --so_flags, for a socket that is made, listens or connects. */
void sysctl_apply(struct world *w, struct fd *f);
/* Some of tcp_fastopen's bits: client, server, every listener is one. */
enum { FASTOPEN_CLIENT = 1, FASTOPEN_SERVER = 2, FASTOPEN_ALL = 0x400 };
unsigned sysctl_fastopen(const struct world *w);
/* The second number of tcp_rmem, tcp_wmem. */
int sysctl_buffer(const struct world *w, const char *name, int else_bytes);
/* options.c */
int option_set(struct world *w, struct fd *f, int level, int option, const void *value, uint32_t len);
int option_get(struct world *w, struct fd *f, int level, int option, void *value, uint32_t *len);

#endif
