/* src/shim/shared.h: sockets that other processes may have, too (shared.c). */
#ifndef BERTH_SHIM_SHARED_H
#define BERTH_SHIM_SHARED_H

#include "shim/shim.h"

#define SHARED_FDS_MAX 4096
extern _Atomic uint64_t shared_alone[SHARED_FDS_MAX / 64];

/* socket() made it; it came from elsewhere, or went there; it is a copy of another number; a child is about to have all. */
void shared_new(int fd);
void shared_given(int fd);
void shared_copied(int from, int to);
void shared_forked(void);
/* Descriptors that go with a message. */
struct msghdr;
void shared_sent(const struct msghdr *m);

/* Has another process the socket? Asked before it goes outside. */
MUST_CHECK bool shared_is(int fd);
/* fd, a TCP socket of ours that is not connected, is connected to the outside by fresh, which is the kernel's and on its way to
 * sa. Return: as connect(2). */
MUST_CHECK int shared_connect(struct shim *s, int fd, struct tag *t, int fresh, const struct sockaddr *sa,
			      socklen_t len);

#endif
