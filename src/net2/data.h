/* src/net2/data.h: the few data calls that are stopped: those that may carry an address. */
#ifndef BERTH_NET2_DATA_H
#define BERTH_NET2_DATA_H

#include "net2/serve.h"

/* sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg on a socket of ours, c->fd. */
struct reply data_serve(struct call *c);
/* A send on a socket of the kernel's. */
struct reply data_outside(struct call *c);
struct reply serve_connect_to(struct call *c, const struct sockaddr *sa, socklen_t len);

#endif
