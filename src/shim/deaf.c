/* src/shim/deaf.c: shutdown(SHUT_RD) of a stream.
 *
 * TCP sends nothing. Whoever waits for data, in any call and any process, is woken and gets the end; the peer's
 * writes go on being taken, and what it writes can even be read. AF_UNIX's shutdown(SHUT_RD) wakes the same
 * waiters, and fails the peer's writes with EPIPE; there is no way to have the one without the other. So:
 *
 *     quiet   only this process knows. Its receives do not wait, and EAGAIN is the end (data.c): the peer
 *             notices nothing, and what it writes is read. Nobody is woken.
 *     told    the kernel's shutdown. Everybody is woken, poll and epoll show it. The peer's library takes EPIPE for
 *             what it is (gone.c): writes are taken and lost, as they are on TCP once the socket is closed.
 *
 * Quiet is right as long as nobody can be waiting: the process has one thread, never had a child, inherited no
 * stream and copied no descriptor of one. For any other, shutdown(SHUT_RD) is told at once. What is quiet is told as
 * soon as that ends, and before this process asks poll, select or epoll about it. Better a peer that learns too much
 * than a thread that waits for ever.
 *
 * A slot for each descriptor number modulo 64, with the socket's cookie, as the number may be another's by now. A
 * program that never calls shutdown(SHUT_RD) pays one test of one word.
 */
#include "shim/deaf.h"
#include "shim/gone.h"

#define SLOTS 64u

static struct {
	_Atomic uint64_t cookie;
	_Atomic int fd;
} quiet[SLOTS];
_Atomic uint64_t deaf_slots;
static _Atomic bool shared;

#ifdef BERTH_NET2
static bool alone(void)
{
	return false; /* the supervisor does it for others */
}
#else
extern char __libc_single_threaded __attribute__((weak)); /* glibc 2.32 */
static bool alone(void)
{
	return &__libc_single_threaded && __libc_single_threaded &&
	       !atomic_load_explicit(&shared, memory_order_relaxed);
}
#endif

static uint64_t bit(int fd)
{
	return UINT64_C(1) << ((unsigned)fd % SLOTS);
}

static void clear(int fd)
{
	atomic_fetch_and(&deaf_slots, ~bit(fd));
}

bool deaf_look(int fd)
{
	unsigned i = (unsigned)fd % SLOTS;

	if (!(atomic_load(&deaf_slots) & bit(fd)) || atomic_load(&quiet[i].fd) != fd || confined())
		return false;
	if (atomic_load(&quiet[i].cookie) == sock_cookie(fd))
		return true;
	clear(fd); /* it was closed, and the number is another's */
	return false;
}

static int tell(int fd, struct tag *t)
{
	t->flags |= TAG_SHUT_RD;
	tag_set(fd, t);
	return sys_shutdown(fd, SHUT_RD);
}

void deaf_tell(int fd)
{
	struct tag t;

	if (!deaf_look(fd))
		return;
	if (tag_get(fd, &t) == 0)
		(void)tell(fd, &t);
	clear(fd);
}

void deaf_tell_all(void)
{
	if (deaf_any())
		for (unsigned i = 0; i < SLOTS; i++)
			deaf_tell(atomic_load(&quiet[i].fd));
}

void deaf_share(void)
{
	if (!atomic_load_explicit(&shared, memory_order_relaxed))
		atomic_store(&shared, true);
	deaf_tell_all();
}

int deaf_shut(int fd, struct tag *t)
{
	unsigned i = (unsigned)fd % SLOTS;

	/* Receives of a number that gone_known() does not know are not ours to answer. */
	if (!alone() || !gone_known(fd) || t->flags & (TAG_SHUT_RD | TAG_SHUT_WR))
		return tell(fd, t);
	if (atomic_load(&deaf_slots) & bit(fd) && atomic_load(&quiet[i].fd) != fd)
		return tell(fd, t);
	atomic_store(&quiet[i].cookie, sock_cookie(fd));
	atomic_store(&quiet[i].fd, fd);
	atomic_fetch_or(&deaf_slots, bit(fd));
	return 0;
}
