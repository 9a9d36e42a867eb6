/* src/shim/fdset.c: which descriptors may be UDP sockets of ours.
 *
 * read() and write() on a UDP socket must come to us, because what is in the socket is its doorbell. They are
 * also what programs do most, to files and streams, and to those it must cost nothing: one bit is tested.
 *
 * The bit is a hint. It is set where a descriptor can become a UDP socket: socket(), dup() and its
 * kin, a message with descriptors, the start of a program. close() does not clear it, as not every
 * close is seen; who finds it set asks the kernel (udp_check()), and clears it when the answer is no.
 *
 * A child of vfork() shares our memory and not our descriptors: what it finds out about its own says nothing of ours,
 * so only the process itself clears bits (fork()'s children are told apart by a handler, vfork()'s have none).
 *
 * Clearing must not lose a bit that another thread set meanwhile for a new socket of the same number: each
 * word counts what was set in it, and is cleared only if it is still as it was before the kernel was asked.
 */
#include <string.h>
#include <sys/stat.h>

#include "shim/deaf.h"
#include "shim/shared.h"
#include "shim/gone.h"
#include "shim/swap.h"
#include "shim/udp.h"

_Atomic uint64_t fdset_words[FDSET_MAX / 32];
_Atomic bool fdset_high;

static _Atomic int32_t owner; /* the process; 0 before main() */

#define ONE_MORE (UINT64_C(1) << 32)

void fdset_add(int fd)
{
	uint64_t w, next;

	if (fd < 0)
		return;
	if (fd >= FDSET_MAX) {
		atomic_store(&fdset_high, true);
		return;
	}
	w = atomic_load(&fdset_words[fd / 32]);
	do
		next = (w | UINT64_C(1) << (fd % 32)) + ONE_MORE;
	while (!atomic_compare_exchange_weak(&fdset_words[fd / 32], &w, next));
}

uint64_t fdset_word(int fd)
{
	return fd >= 0 && fd < FDSET_MAX ? atomic_load(&fdset_words[fd / 32]) : 0;
}

bool fdset_is_child(void)
{
	return atomic_load(&owner) != raw_getpid();
}

void fdset_remove(int fd, uint64_t word)
{
	if (fd >= 0 && fd < FDSET_MAX && atomic_load(&owner) == raw_getpid())
		(void)atomic_compare_exchange_strong(&fdset_words[fd / 32], &word, word & ~(UINT64_C(1) << (fd % 32)));
}

void fdset_look(int fd)
{
	struct tag t;

	shared_given(fd);
	if (tag_get(fd, &t) < 0) {
		swap_look(fd);
		return;
	}
	atomic_store(&swap_all, true);
	if (t.flags & TAG_UDP)
		fdset_add(fd);
	else {
		gone_mark(fd);
		deaf_share(); /* whoever started us may read from it, too */
	}
}

struct entry { /* struct linux_dirent64 */
	uint64_t ino, off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* What pthread_atfork() calls. Weak: another libc, into which we are loaded for nothing, has none. */
extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));

/* Before a child is made. */
static void forking(void)
{
	deaf_share();
	shared_forked();
}

static void forked(void)
{
	atomic_store(&owner, raw_getpid());
}

void fdset_probe(void)
{
	_Alignas(8) char buf[4096];
	int dir = raw_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (__register_atfork && __register_atfork(forking, NULL, forked, NULL) == 0)
		forked();
	else
		deaf_share();
	if (dir < 0) { /* no /proc: the first ones, then */
		for (int fd = 0; fd < 256; fd++)
			fdset_look(fd);
		return;
	}
	for (;;) {
		long n = raw_getdents(dir, buf, sizeof(buf));

		if (n <= 0)
			break;
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(buf + at);
			int fd = 0;

			for (const char *c = e->name; *c >= '0' && *c <= '9' && fd < 100000000; c++)
				fd = fd * 10 + (*c - '0');
			if (e->name[0] != '.' && fd != dir)
				fdset_look(fd);
			at += e->len;
		}
	}
	raw_close(dir);
}
