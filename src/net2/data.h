/* src/net2/data.h: the few data calls that are stopped: those that may carry an address. */
#ifndef BERTH_NET2_DATA_H
#define BERTH_NET2_DATA_H

#include "net2/serve.h"

/* sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg on a socket of ours, c->fd. */
struct reply data_serve(struct call *c);
/* A send on a socket of the kernel's. */
struct reply data_outside(struct call *c);

/* serve.c: come again when c->fd has these events (none: after a moment), or its time is over. */
struct reply serve_wait(struct call *c, uint32_t events, int timeout_option);
struct reply serve_connect_to(struct call *c, const struct sockaddr *sa, socklen_t len);

#endif
