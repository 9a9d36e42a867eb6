/* src/shim/spin.h: receives that look a little before they sleep (spin.c). */
#ifndef BERTH_SHIM_SPIN_H
#define BERTH_SHIM_SPIN_H

#include <stdatomic.h>

#include "shim/shim.h"

#define SPIN_FDS_MAX 4096
#define SPIN_LOOK_NS 50000u
/* What the process has learned about one kind of waiting. */
struct spinner {
	_Atomic uint32_t skip, backoff;
};
#define SPINNER_INIT \
	{            \
		0, 1 \
	}
/* Is this one of those that sleep at once, because looking did not help lately? */
bool spin_skips(struct spinner *s);
/* The same for who looks without spin_look(): for how long, 0: not at all; and whether it helped. */
uint32_t spin_limit_ns(struct spinner *s);
void spin_learn(struct spinner *s, bool found);
/* Which signals came while all were blocked, that the program has a handler for: 1, and it wants the call to go on
 * (SA_RESTART); -EINTR, it does not; 0, none. */
int spin_interrupted(uint64_t before);
/* Ask again and again, for some microseconds, while the answer is `nothing`. restarts: the call goes on after a handler
 * with SA_RESTART. Return: the last answer; -EINTR, a handler ran. */
long spin_look(struct spinner *s, long nothing, bool restarts, long (*ask)(const void *what), const void *what);
extern _Atomic bool spin_streams;		       /* this process had a connected stream of ours */
extern _Atomic uint64_t spin_words[SPIN_FDS_MAX / 64]; /* a hint: became a connected stream of ours */
void spin_mark(int fd);
void spin_forget(int fd); /* it is something else by now */
/* May this receive look before it sleeps? */
static inline bool spin_may(int fd, int flags)
{
	return (unsigned)fd < SPIN_FDS_MAX && !(flags & ~(MSG_NOSIGNAL | MSG_PEEK)) &&
	       atomic_load_explicit(&spin_words[(unsigned)fd / 64], memory_order_relaxed) >> ((unsigned)fd % 64) & 1 &&
	       !confined();
}
/* As recv(2) and read(2). */
ssize_t spin_recv(int fd, void *buf, size_t len, int flags);
ssize_t spin_read(int fd, void *buf, size_t len);

#endif
