/* src/shim/gone.h: which descriptors were a stream of ours, and what the files of the shim ask of gone.c. */
#ifndef BERTH_SHIM_GONE_H
#define BERTH_SHIM_GONE_H

#include <stdatomic.h>

#include "shim/shim.h"

/* A hint, never the truth: set where a descriptor becomes a stream of ours, not cleared by close(). */
#define GONE_FDS_MAX 65536
extern _Atomic uint64_t gone_words[GONE_FDS_MAX / 64];
static inline bool gone_known(int fd)
{
	return (unsigned)fd < GONE_FDS_MAX &&
	       atomic_load_explicit(&gone_words[(unsigned)fd / 64], memory_order_relaxed) >> ((unsigned)fd % 64) & 1 &&
	       !confined();
}
void gone_mark(int fd);
void gone_forget(int fd); /* it is something else by now */

/* What TCP says where AF_UNIX says EPIPE or ENOTCONN. n is what the send returned, with errno; flags are the
 * caller's; quiet: MSG_NOSIGNAL was added to them. Return: what the program is told, with errno. */
ssize_t gone_sent(int fd, ssize_t n, size_t len, int flags, bool quiet);
/* The program saw ECONNRESET: nothing can be sent any more. */
void gone_reset(int fd);
/* What a read that found the end of the stream says: 0; or -1 and errno, it was a reset. */
ssize_t gone_read(int fd);
/* SO_LINGER was set, or a socket that has it was connected or shut down: its peer can ask what close() will be. */
void gone_linger(struct shim *s, int fd, const struct tag *t);
/* Of a connected socket: was it reset, or did both sides end it? TCP forgets the peer's name then. */
bool gone_closed(struct shim *s, int fd, const struct tag *t);
/* Nothing more will come than is there. */
bool gone_ended(int fd);
/* SO_ERROR of a socket that AF_UNIX says has none. */
int gone_error(struct shim *s, int fd, const struct tag *t);

/* send(), sendmsg() and recvmsg() of whatever is no UDP socket of ours (data.c). */
ssize_t sock_send(int fd, const void *buf, size_t len, int flags);
ssize_t sock_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t sock_recvmsg(int fd, struct msghdr *m, int flags);
/* The same of a descriptor that gone_known() knows. */
struct iovec;
ssize_t sock_read(int fd, void *buf, size_t len);
ssize_t sock_readv(int fd, const struct iovec *iov, int n);
ssize_t sock_write(int fd, const void *buf, size_t len);
ssize_t sock_writev(int fd, const struct iovec *iov, int n);

#endif
