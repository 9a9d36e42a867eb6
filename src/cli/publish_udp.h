/* src/cli/publish_udp.h: UDP ports published on the machine, for the publisher (publish_udp.c). */
#ifndef BERTH_CLI_PUBLISH_UDP_H
#define BERTH_CLI_PUBLISH_UDP_H

#include "network/mailbox.h"

#define PUBLISH_UDP_FDS 8 /* sockets of one port */

struct publish_udp;
/* One for a publisher and its network. The event PUBLISH_UDP_EVENT of `epoll` says that publish_udp_event() has something to do: there
 * are datagrams, or a program ended. Return: 0; negative errno. */
#define PUBLISH_UDP_EVENT 4095
MUST_CHECK int publish_udp_new(struct network *n, int epoll, struct publish_udp **ret);
/* Return: at some door who is heard has changed. */
bool publish_udp_event(struct publish_udp *p);
/* All doors have been removed, or we end with them open. */
void publish_udp_free(struct publish_udp *p);
/**
 * publish_udp_add() - a port of the host is reached by these sockets from now on
 * @fds: the kernel's, bound (kernel_port_hold()); taken, also when it fails
 *
 * While nobody in the network has the port, callers are refused by the kernel.
 * Return: a number for it; -ENOBUFS, -ENOMEM and others.
 */
MUST_CHECK int publish_udp_add(struct publish_udp *p, uint32_t host, uint16_t inner, const int *fds, size_t n_fds);
void publish_udp_remove(struct publish_udp *p, int number);
/* Somebody began or ceased to have a UDP port (network_change_word()): who is refused, and who is heard? Return: somebody
 * has the port. *ret_starved is set when there was no descriptor for something: negative errno; look again later. */
bool publish_udp_look(struct publish_udp *p, int number, int *ret_starved);

#endif
