/* src/net2/owed.h: connections that were accepted and could not be handed over (owed.c). */
#ifndef BERTH_NET2_OWED_H
#define BERTH_NET2_OWED_H

#include "net2/serve.h"

/* fd was accepted for c, and its program has no descriptor left for it, or has gone. Takes fd. ret_ticket: to be
 * watched for its end; -1: fd was closed. */
void owed_put(const struct call *c, int fd, int *ret_ticket);
bool owed_any(void);
/* What is owed to this listener (a descriptor of it). Return: the connection, the caller's now; -1: none. */
int owed_take(int listener);
/* A ticket ended: its listener is gone, and with it those who would have been accepted there. */
void owed_sweep(void);

#endif
