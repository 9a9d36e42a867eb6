/* src/net2/echo.h: TCP sockets that are connected to themselves (echo.c). */
#ifndef BERTH_NET2_ECHO_H
#define BERTH_NET2_ECHO_H

#include "net2/serve.h"

/* Connect fd, a stream socket of berth's that bears its flow's name, to one of ours that gives back what it is
 * sent. Return: 0; -ENOBUFS, there are ECHOES_MAX already; other negative errno. */
#define ECHOES_MAX 256
MUST_CHECK int echo_connect(const struct network *n, int fd);

/* Connect fd, a stream socket that bears its flow's name, to one of ours. Return: ours, which does not block; negative errno. */
MUST_CHECK int echo_meet(const struct network *n, int fd);

/* Something happened to a descriptor that echo_watch() was told about. */
#define ECHO_KEYS UINT64_C(3) /* the two highest bits of every key */
void echo_event(uint64_t key);

/* keeper.c: tell echo_event(key) when fd is readable, has room, or has been hung up. */
void echo_watch(int fd, uint64_t key, bool readable, bool room);

#endif
