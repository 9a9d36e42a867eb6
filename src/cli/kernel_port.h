/* src/cli/kernel_port.h: ports of the machine's own kernel, for the publisher (publisher.c). */
#ifndef BERTH_CLI_KERNEL_PORT_H
#define BERTH_CLI_KERNEL_PORT_H

#include <sys/socket.h>

#include "port/addr.h"

/* A socket that holds addr:port and does not listen. port 0: a free one is chosen, and then held as if it had been
 * named. family is the socket's: PORT_FAMILY_6 with an IPv4 address is one that sees ::ffff:a.b.c.d.
 * Return: descriptor, close-on-exec and non-blocking, and *ret_port; negative errno. */
MUST_CHECK int kernel_port_hold(const struct port_addr *addr, uint16_t port, enum port_family family,
				enum port_proto proto, uint16_t *ret_port);
/* The same port held by a new socket, of that family; somebody holds it all the time. Return: the new descriptor, and
 * fd is closed; negative errno, and fd is as it was. */
MUST_CHECK int kernel_port_swap(int fd, const struct port_addr *addr, uint16_t port, enum port_family family,
				enum port_proto proto);
/* Callers are heard, and refused again. Return: 0; negative errno. */
MUST_CHECK int kernel_port_listen(int fd);
void kernel_port_unlisten(int fd);
/* The next caller. Return: descriptor, non-blocking, and where it comes from; negative errno. */
MUST_CHECK int kernel_port_accept(int fd, struct port_addr *ret, uint16_t *ret_port);
/* Who has it, in a few words: "python3 (pid 12) listens there" (kernel_port_who.c). Returns s. */
#define KERNEL_PORT_WHO_MAX 160
char *kernel_port_who(const struct port_addr *addr, uint16_t port, enum port_proto proto, char s[KERNEL_PORT_WHO_MAX]);
/* net.ipv4.ip_unprivileged_port_start. */
unsigned kernel_port_unprivileged(void);

#endif
