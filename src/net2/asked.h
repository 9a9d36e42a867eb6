/* src/net2/asked.h: questions of the shim's to the supervisor (asked.c). */
#ifndef BERTH_NET2_ASKED_H
#define BERTH_NET2_ASKED_H

#include "net2/serve.h"

/* Serve a call that is one of network/ask.h. Never waits. */
struct reply asked_serve(struct call *c);

#endif
