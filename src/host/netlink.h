/* src/host/netlink.h: one question to the kernel and all its answers, for the files of host/ and their tests. */
#ifndef BERTH_HOST_NETLINK_H
#define BERTH_HOST_NETLINK_H

#include <libmnl/libmnl.h>

#include "base/base.h"

/* Ask family (NETLINK_ROUTE, ...) what `question` says, and call each() for every message of the answer; a torn answer is asked
 * for again, after again() (may be NULL). Return: 0; negative errno, also an each()'s own. */
MUST_CHECK int host_netlink_ask(int family, struct nlmsghdr *question,
				int (*each)(void *ctx, const struct nlmsghdr *nlh), void (*again)(void *ctx),
				void *ctx);

#endif
