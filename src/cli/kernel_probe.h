/* src/cli/kernel_probe.h: questions to the machine's own kernel that only a bind answers, none of which does harm. */
#ifndef BERTH_CLI_KERNEL_PROBE_H
#define BERTH_CLI_KERNEL_PROBE_H

#include "port/table.h"

/* May a socket of this kind be bound to this address, whatever the port? No port is taken. Return: 0; -EADDRNOTAVAIL, it is not
 * one of this machine's; -EINVAL, it does not fit the socket; -EAFNOSUPPORT, there is no such family here. */
MUST_CHECK int kernel_probe_address(const struct port_want *want);
/* Bind, and close at once: it never listens, and on UDP it shares with nobody. As root for a socket of want->uid's.
 * Return: 0, it worked; negative errno, the kernel's answer. */
MUST_CHECK int kernel_probe_bind(const struct port_want *want);

#endif
