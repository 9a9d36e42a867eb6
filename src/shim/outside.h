/* src/shim/outside.h: the way out: sockets that talk to addresses that are no host's (outside.c). */
#ifndef BERTH_SHIM_OUTSIDE_H
#define BERTH_SHIM_OUTSIDE_H

#include "shim/shim.h"

/* The machine's name server on a loopback address (nameserver.c): the first asks /etc/resolv.conf alone. */
bool nameserver_is_named(const struct port_addr *a, uint16_t port);
bool nameserver_is(struct shim *s, enum port_proto proto, const struct port_addr *a, uint16_t port);

/* connect() of a TCP socket of ours to peer, which is no host's. Return: as connect(2); the socket behind fd is the
 * kernel's then, unless the kernel refused the address at once. */
int outside_connect(struct shim *s, int fd, struct tag *t, const struct port_addr *peer, const struct sockaddr *sa,
		    socklen_t len);
/* The same of a UDP socket. */
struct udp;
struct mailbox_state;
int outside_connect_udp(const struct udp *u, const struct mailbox_state *st, const struct port_addr *peer,
			const struct sockaddr *sa, socklen_t len);
/* A UDP socket of ours for who is served: a mailbox's, or in the second net one end of a pair (net2/letters.c). */
int outside_new_udp(struct shim *s, enum port_family family, int type_flags);

/* connect() of a socket that is the kernel's. Return: true, and *ret is the answer; false: it is libc's call to make. */
bool outside_again(struct shim *s, int fd, const struct sockaddr *sa, socklen_t len, int *ret);

/* bind(), or listen(), of a socket that is the kernel's: one that is not connected comes back to its host first, so that it
 * serves there and not on the machine. Return: true, and fd is ours now if *ret is 0, else *ret is the answer; false, it is
 * libc's call to make. */
bool outside_serves(struct shim *s, int fd, bool listens, int *ret);

/* A name to send to, on a socket that is the kernel's: one that went outside by connect() is asked about each other address.
 * Return: 0, as it is; 1, *ret in its place, as long; negative errno, refused. */
struct sockaddr_storage;
MUST_CHECK int outside_name(struct shim *s, int fd, const struct sockaddr *sa, socklen_t len, int flags,
			    struct sockaddr_storage *ret);

/* What was set on a socket of ours, for the kernel's in its place (carry.c); and back: into the tag, then, when the socket
 * is made, onto it. */
void carry_out(int from, int to, const struct tag *t);
void carry_home(int from, struct tag *t);
void carry_values_home(int from, int to, const struct tag *t);
/* What a mailbox knows (udp_options.c). */
void udp_carry_out(const struct mailbox_state *st, int to);
void udp_carry_home(struct shim *s, int from, int to);

#endif
