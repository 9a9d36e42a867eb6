/* berth/port.h: a free port of this machine that stays free until you use it.
 *
 *	struct berth_port p;
 *
 *	if (berth_port_reserve(BERTH_PORT_TCP, 0, 0, &p, 1, NULL) == 0) {
 *		... start your server on p.port, it sets SO_REUSEADDR or SO_REUSEPORT as nearly all do ...
 *		berth_port_drop(&p, 1);
 *	}
 *
 * "Ask for port 0, close, and hand the number on" gives away a port that anybody may have by the time it is used. Here the
 * number is held by a socket that is bound to it on all addresses, IPv4 and IPv6, and never listens: bind() to port 0,
 * connect() and other reservations do not get it, while a server that sets SO_REUSEADDR, or SO_REUSEPORT and is the
 * same user's, binds it and listens as if it were free. A server that sets neither is refused with EADDRINUSE: give it
 * a socket made by berth_port_socket().
 *
 * In a program started by `berth run` the port is one of its host in the network, not of the machine.
 *
 * Link with -lberth-port (pkg-config berth-port). Nothing but libc is needed. All functions may be called from any thread;
 * they keep no state, write nothing to any stream and do not touch errno's meaning: errors are returned, as negative errno.
 */
#ifndef BERTH_PORT_H
#define BERTH_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	BERTH_PORT_TCP = 1,	    /* free for TCP */
	BERTH_PORT_UDP = 2,	    /* free for UDP; with BERTH_PORT_TCP: one number that is free for both */
	BERTH_PORT_CONSECUTIVE = 4, /* n numbers in a row, ascending */
	BERTH_PORT_REGISTERED = 8,  /* also numbers that have a name (3306, 5173, 8080) */
	BERTH_PORT_LISTEN = 16	    /* berth_port_socket(): listening already */
};

/* A port that is held. Its descriptors are yours: close-on-exec, never 0, 1 or 2. They hold the port as long as a copy of
 * them is open in any process, so kill -9 gives it back, too; and a child made by fork() that does not exec holds it, too. */
struct berth_port {
	uint16_t port; /* 1024 to 65535, in host order */
	int tcp, udp;  /* the sockets that hold it; -1: not held for that protocol */
};

/**
 * berth_port_reserve() - find n ports that nobody has, and hold them: all of them or none
 * @flags:       BERTH_PORT_TCP, BERTH_PORT_UDP or both; BERTH_PORT_CONSECUTIVE, BERTH_PORT_REGISTERED
 * @first,@last: the range to choose from, both ends included; 0, 0: any
 * @ports:       n of them; written on success only. The caller gives them back with berth_port_drop()
 * @reterr_free: how many of the range could have been held, on -EADDRINUSE only; may be NULL
 *
 * Chosen at random, in this order: 49152 and above outside the kernel's range for outgoing connections
 * (net.ipv4.ip_local_port_range); below that, outside; and last, inside. Never below 1024 or
 * net.ipv4.ip_unprivileged_port_start, none of net.ipv4.ip_local_reserved_ports, none that browsers refuse, and
 * none that has a name unless BERTH_PORT_REGISTERED is given.
 *
 * Return: 0; -EADDRINUSE, fewer than n are free; -EINVAL, no protocol, n is 0, or first is above last; -EMFILE, -ENFILE,
 * -ENOBUFS, -ENOMEM: no more descriptors or memory.
 */
int berth_port_reserve(unsigned flags, uint16_t first, uint16_t last, struct berth_port *ports, size_t n,
		       size_t *reterr_free) __attribute__((warn_unused_result));

/* Give n ports back: closes the descriptors and sets them to -1. What listens on them goes on. */
void berth_port_drop(struct berth_port *ports, size_t n);

/**
 * berth_port_socket() - a socket bound to a port that is held, for a server that takes a descriptor
 * @p:       held, and it stays held
 * @flags:   BERTH_PORT_TCP or BERTH_PORT_UDP, for which @p is held; BERTH_PORT_LISTEN: a TCP socket that listens already
 * @address: "127.0.0.1", "::1"...: an address of the machine; NULL: all of them, IPv4 and IPv6
 *
 * It has SO_REUSEADDR, as a server would have set it.
 *
 * Return: a descriptor, close-on-exec, the caller's to close; -EINVAL, no such address, or @p is not held for that
 * protocol; -EADDRINUSE, another server has it by now; other errors of socket(2) and bind(2).
 */
int berth_port_socket(const struct berth_port *p, unsigned flags, const char *address)
	__attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
