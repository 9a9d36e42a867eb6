/* src/shim/deaf.h: streams of ours that were shut for reading (deaf.c). */
#ifndef BERTH_SHIM_DEAF_H
#define BERTH_SHIM_DEAF_H

#include <stdatomic.h>

#include "shim/shim.h"

extern _Atomic uint64_t deaf_slots; /* one bit for each that only this process knows of; nearly always 0 */
static inline bool deaf_any(void)
{
	return __builtin_expect(atomic_load_explicit(&deaf_slots, memory_order_relaxed) != 0, 0);
}
bool deaf_look(int fd);
/* What is not there already will never come: a receive is made without waiting, and EAGAIN is the end. */
static inline bool deaf(int fd)
{
	return deaf_any() && deaf_look(fd);
}
/* shutdown(SHUT_RD) of a connected stream. Return: 0; negative errno. */
int deaf_shut(int fd, struct tag *t);
/* It is told to the kernel, if only we knew: somebody else is going to wait for it. deaf_tell_all(): for any of them. */
void deaf_tell(int fd);
void deaf_tell_all(void);
/* From now on somebody else may read from our sockets: a child, or a copy of a descriptor. */
void deaf_share(void);

#endif
