/* src/net2/outer.h: sockets of the kernel's by which programs' UDP sockets talk to the outside (outer.c). */
#ifndef BERTH_NET2_OUTER_H
#define BERTH_NET2_OUTER_H

#include "net2/serve.h"
#include "shim/udp.h"

#define OUTERS_MAX 4096

/* ASK_OUTER. fd: a mailbox's socket of the program that is served. Return: a descriptor of the outer socket that it has,
 * the caller's to close; -ENOENT, none; -EINVAL. */
MUST_CHECK int outer_of(int fd);
/* outer becomes that of the mailbox's socket fd, which the program has as `number`. Takes outer, also when it fails. Return: 0; -EEXIST, it has one;
 * -ENOBUFS, OUTERS_MAX, or no descriptors left; -EINVAL, not both are what they should be. */
MUST_CHECK int outer_put(const struct target *t, int number, int fd, int outer);

/* Something came to one of them. */
#define OUTER_KEYS UINT64_C(1) /* the three highest bits of every key */
void outer_event(uint64_t key);
/* From time to time: those whose mailboxes are gone. False: there is none left. */
bool outer_sweep(void);

/* keeper.c: tell outer_event(key) when fd is readable. */
void outer_watch(int fd, uint64_t key);

#endif
