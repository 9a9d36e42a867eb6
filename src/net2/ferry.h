/* src/net2/ferry.h: connections to the outside of sockets that several processes have (ferry.c). */
#ifndef BERTH_NET2_FERRY_H
#define BERTH_NET2_FERRY_H

#include "net2/serve.h"

/* Has another process than t's the socket that t has as `number`, and we as fd? */
MUST_CHECK bool ferry_is_shared(const struct target *t, int number, int fd);
/* What the program sends on fd, a stream socket of berth's that bears its flow's name, goes to out, a socket of the kernel's
 * that is connected or on its way; and back. Takes out if it succeeds. Return: 0; -ENOBUFS, there are FERRIES_MAX; other
 * negative errno. */
#define FERRIES_MAX 256
MUST_CHECK int ferry_begin(const struct network *n, int fd, int out);

/* Something happened to a descriptor that echo_watch() was told about. */
#define FERRY_KEYS UINT64_C(3) /* the four highest bits of every key */
void ferry_event(uint64_t key);

#endif
