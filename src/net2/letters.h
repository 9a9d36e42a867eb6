/* src/net2/letters.h: UDP sockets of programs that go past libc (letters.c). */
#ifndef BERTH_NET2_LETTERS_H
#define BERTH_NET2_LETTERS_H

#include "net2/data.h"

/* A new UDP socket for the program that is served. Return: a descriptor; negative errno. */
MUST_CHECK int letters_new(const struct target *t, int domain, int type_flags);
/* sendto, recvfrom and their kin on c->fd, a UDP socket of ours: chunk is what goes or came, at most
 * LETTERS_MAX octets. */
#define LETTERS_MAX 65536
struct letters_name {
	struct port_addr addr;
	uint16_t port;
	enum port_family family;
	bool known;
};
/* Return: octets; -EAGAIN; other negative errno. sa NULL: to its peer. */
int64_t letters_send(const struct call *c, const void *octets, size_t len_bytes, int flags, const struct sockaddr *sa,
		     socklen_t sa_len);
/* Return: the datagram's whole length; -EAGAIN, none is there; other negative errno. */
int64_t letters_receive(const struct call *c, void *octets, size_t room, int flags, struct letters_name *ret);

/* Is it one of those? Else: one that a program with the library has made. */
bool letters_paired(const struct call *c);
bool letters_pumps(int fd); /* of its own descriptor, or of its doorbell */

/* Something happened to one of the descriptors that letters_watch() was told about. */
void letters_event(uint64_t key);
/* From time to time: what belonged to programs that are gone. False: there is nothing left to look at. */
bool letters_sweep(void);

/* keeper.c: tell letters_event(key) when fd is readable or, with room, writable. */
void letters_watch(int fd, uint64_t key, bool readable, bool room);

#endif
