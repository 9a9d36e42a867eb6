/* src/net2/serve.h: one stopped call, and its answer. */
#ifndef BERTH_NET2_SERVE_H
#define BERTH_NET2_SERVE_H

#include <fcntl.h>
#include <linux/seccomp.h>

#include "net2/target.h"

struct call {
	struct seccomp_notif n;
	struct target *t;  /* looked up anew each time it is served */
	int fd;		   /* a descriptor of ours for its first argument, or -1 */
	bool again;	   /* it waited, and this is another try */
	bool asked;	   /* of network/ask.h */
	uint64_t done;	   /* octets of a send that have gone */
	uint64_t until_us; /* SO_RCVTIMEO, SO_SNDTIMEO: then it ends with EAGAIN; 0: never */
};

enum reply_kind {
	REPLY_VALUE,  /* value, or a negative errno */
	REPLY_KERNEL, /* none of ours: the kernel does it after all */
	REPLY_SOCKET, /* a new descriptor for the program: fd, which is closed here afterwards */
	REPLY_WAIT,   /* not yet: when call->fd has these events, or after a moment when there are none */
	REPLY_NONE,   /* the program is gone, or was interrupted: nobody waits for an answer */
};

struct reply {
	enum reply_kind kind;
	int64_t value;
	int fd;
	uint32_t fd_flags, events;
	bool accepted; /* a connection: must not be lost when the program has no descriptor left */
};

static inline struct reply reply_value(int64_t v)
{
	return (struct reply){.kind = REPLY_VALUE, .value = v, .fd = -1};
}

static inline struct reply reply_plain(enum reply_kind kind)
{
	return (struct reply){.kind = kind, .fd = -1};
}

static inline struct reply reply_socket(int fd, bool cloexec)
{
	return (struct reply){.kind = REPLY_SOCKET, .fd = fd, .fd_flags = cloexec ? O_CLOEXEC : 0};
}

/* Serve it. Never waits. */
struct reply serve(struct call *c);

/* Come again when c->fd has these events (none: after a moment), or its time (SO_RCVTIMEO, SO_SNDTIMEO) is over. */
struct reply serve_wait(struct call *c, uint32_t events, int timeout_option);
/* Around a call of ours that could block on a descriptor that is not ours to make non-blocking: EINTR after 2 ms. */
void serve_guard(bool on);
bool serve_is_nonblocking(int fd);
/* Is somebody still waiting for it? (keeper.c) */
bool serve_is_wanted(uint64_t id);
/* Put a new descriptor in the place of the program's own (keeper.c). */
int serve_replace_fd(uint64_t id, int from, int to, bool cloexec);
/* A line for the person at `berth run` (keeper.c). */
void serve_say(bool always, const char *fmt, ...) PRINTF_LIKE(2, 3);

extern struct ask_counts serve_counts;

#endif
