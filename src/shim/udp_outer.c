/* src/shim/udp_outer.c: the outer sockets of this process's UDP sockets: kept at hand, found again, given up.
 *
 * The supervisor is the one who has them: it reads them, and ends them with their mailbox (net2/outer.c). A program
 * that wants to send gets a copy from it, or makes the socket and gives the supervisor one (ASK_OUTER); so all who
 * share a socket, after fork, exec and SCM_RIGHTS, share its outer one. It is asked once: the copy is kept here, on a
 * number above those that programs count with.
 *
 * Descriptors are the program's: it may close all there are, or put another in our place. So each copy's cookie is
 * kept, and the kernel asked for it before each use, 0.2 us; a copy that is gone is asked for again. Whoever closes
 * the program's socket closes our copy with it, be there other descriptors of the socket or not: they ask again.
 *
 * A place is used by many threads at once and changed by one that finds it unused: `users` counts the former, or is
 * CHANGING. Who finds its place being changed, or no place to be had, gets a copy for this one datagram. A thread that
 * never comes back (a handler that jumps away) leaves its place in use for ever: one less of 256.
 */
#include <string.h>
#include <sys/resource.h>

#include "network/ask.h"
#include "shim/udp.h"

#define PLACES 256
#define WAYS 4
#define CHANGING UINT32_MAX
#define LOW_MAX 4000 /* numbers above cost the process memory for a larger table */

struct place {
	_Atomic uint32_t users;
	int fd;
	bool six;
	uint64_t cookie; /* of the program's socket; 0: free */
	uint64_t outer;	 /* of the copy at fd */
};
static struct place places[PLACES];

static struct place *first_of(uint64_t cookie)
{
	return &places[((cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 58) * WAYS];
}
static_assert(PLACES / WAYS == 64, "six bits");

static bool enter(struct place *p)
{
	uint32_t v = atomic_load(&p->users);

	while (v < CHANGING - 1)
		if (atomic_compare_exchange_weak(&p->users, &v, v + 1))
			return true;
	return false;
}

static void leave(struct place *p)
{
	atomic_fetch_sub(&p->users, 1);
}

static bool hold(struct place *p)
{
	uint32_t none = 0;

	return atomic_compare_exchange_strong(&p->users, &none, CHANGING);
}

static void drop(struct place *p)
{
	atomic_store(&p->users, 0);
}

/* Held: what it has is given up, if it is still there. A child of vfork() closes its own and forgets nothing for its
 * parent. */
static void clear(struct place *p)
{
	if (p->cookie && sock_cookie(p->fd) == p->outer)
		sys_close(p->fd);
	if (!fdset_is_child())
		p->cookie = 0;
}

/* --- from the supervisor --- */

/* Return: a copy; -ENOENT, it has none; -EBADF and -ENOSYS, there is nobody. */
static int fetch(const struct udp *u)
{
	struct ask_outer a = {.fd = u->fd, .outer = -1};

	return (int)ask(ASK_OUTER, &a, sizeof(a));
}

static int fetch_or_make(const struct udp *u, const struct mailbox_state *st)
{
	for (int i = 0; i < 4; i++) {
		struct ask_outer a = {.fd = u->fd};
		int fd = fetch(u), r;

		if (fd != -ENOENT)
			return fd;
		a.outer = fd = udp_outer_make(u, st);
		if (fd < 0)
			return fd;
		r = (int)ask(ASK_OUTER, &a, sizeof(a));
		if (r == 0)
			return fd;
		sys_close(fd);
		if (r != -EEXIST) /* another thread or process was faster */
			return r;
	}
	return -EAGAIN;
}

/* Out of the way of the program, which counts on the lowest numbers, and of select(). */
static int raise_number(int fd)
{
	struct rlimit files = {.rlim_cur = 1024};
	long low;
	int up;

	(void)sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&files, 0);
	low = files.rlim_cur > LOW_MAX + LOW_MAX / 8 ? LOW_MAX : (long)(files.rlim_cur - files.rlim_cur / 8);
	if (fd >= low)
		return fd;
	up = sys_fcntl(fd, F_DUPFD_CLOEXEC, low);
	if (up < 0)
		return fd;
	sys_close(fd);
	return up;
}

/* A place for it: a free one, or the first that nobody uses. */
static void keep(const struct udp *u, struct udp_outer *o)
{
	struct place *first = first_of(u->cookie);

	for (int turn = 0; turn < 2; turn++)
		for (struct place *p = first; p < first + WAYS; p++) {
			if (!hold(p))
				continue;
			if (turn == 0 && p->cookie && p->cookie != u->cookie) {
				drop(p);
				continue;
			}
			clear(p);
			p->fd = o->fd = raise_number(o->fd);
			p->six = o->six;
			p->outer = sock_cookie(o->fd);
			p->cookie = u->cookie;
			o->place = p;
			atomic_store(&p->users, 1); /* ours, from the first moment on */
			return;
		}
}

static bool at_hand(const struct udp *u, struct udp_outer *ret)
{
	struct place *first = first_of(u->cookie);

	for (struct place *p = first; p < first + WAYS; p++) {
		if (!enter(p))
			continue;
		if (p->cookie == u->cookie && sock_cookie(p->fd) == p->outer) {
			*ret = (struct udp_outer){p->fd, p->six, p};
			return true;
		}
		leave(p);
	}
	return false;
}

bool udp_outer_find(const struct udp *u, struct udp_outer *ret)
{
	if (at_hand(u, ret))
		return true;
	*ret = (struct udp_outer){.fd = fetch(u)};
	if (ret->fd < 0)
		return false;
	ret->six = udp_outer_is6(ret->fd);
	return true;
}

int udp_outer_get(const struct udp *u, const struct mailbox_state *st, struct udp_outer *ret)
{
	if (at_hand(u, ret))
		return 0;
	*ret = (struct udp_outer){.fd = fetch_or_make(u, st)};
	if (ret->fd >= 0) {
		ret->six = udp_outer_is6(ret->fd);
		if (!fdset_is_child())
			keep(u, ret);
		return 0;
	}
	/* Nobody would read what comes back: there is no way outside. */
	if (ret->fd == -EBADF || ret->fd == -ENOSYS)
		return -ENETUNREACH;
	return ret->fd == -EMFILE || ret->fd == -ENFILE || ret->fd == -ENOMEM ? -ENOBUFS : ret->fd;
}

void udp_outer_put(struct udp_outer *o)
{
	if (o->place)
		leave(o->place);
	else
		sys_close(o->fd);
}

void udp_outer_closed(uint64_t cookie)
{
	struct place *first = first_of(cookie);

	for (struct place *p = first; p < first + WAYS; p++) {
		if (p->cookie != cookie || !hold(p))
			continue;
		if (p->cookie == cookie)
			clear(p);
		drop(p);
	}
}
