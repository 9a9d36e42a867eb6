/* src/cli/publisher_splice.h: connections whose octets the publisher carries (publisher_splice.c). */
#ifndef BERTH_CLI_PUBLISHER_SPLICE_H
#define BERTH_CLI_PUBLISHER_SPLICE_H

#include "base/base.h"

/* Can one more be carried? Each may come to need six descriptors, and had all of them only the two they begin with, none would move. */
bool publisher_splice_has_room(void);
/* Carry between in (AF_UNIX, connected to the program's listener) and out (the kernel's, of the caller), both non-blocking, until
 * either end goes. Return: 0, both are its own; negative errno, both are the caller's still. */
MUST_CHECK int publisher_splice(int in, int out);

#endif
