/* src/shim/gone.c: writing to a peer that is gone, and asking for its name.
 *
 * An AF_UNIX socket knows at once that its peer has closed, and every write fails with EPIPE. TCP has to
 * find out: its first write is taken, the answer is a reset, and only the next one fails. Programs are
 * written for that: a server that has answered and closed is not an error to who still sends. So:
 *
 *     peer closed, all was read   first write: taken (and lost, as on TCP); then EPIPE and SIGPIPE
 *     peer closed, unread data    ECONNRESET once, without a signal; then EPIPE and SIGPIPE
 *     peer reads no more          taken (and lost), as long as it is there: deaf.c
 *     we shut writing             EPIPE and SIGPIPE
 *     connect() was refused       ECONNREFUSED once, without a signal; then EPIPE and SIGPIPE
 *     never connected             EPIPE and SIGPIPE (AF_UNIX: ENOTCONN)
 *
 * That a write was taken, or a reset was seen, is remembered as TAG_SHUT_WR: nothing can be sent any more.
 * The kernel must not send SIGPIPE before we know whether there is one. So where the descriptor was once a
 * stream of ours (gone_known()) the call is made with MSG_NOSIGNAL, write() as send(), and we send the signal, to
 * this thread and with the kernel's own octets. Where it was not, EPIPE comes at once.
 *
 * A peer that closed with SO_LINGER 0 has reset the connection: it wrote that down (network/reset.c), and who
 * finds the end of the stream looks there.
 *
 * All of it happens after a call has failed or has found the end; one that moves data pays for a bit test.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "shim/gone.h"

#define SNDBUF_ESTABLISHED 2626560 /* what TCP takes of a large write before the reset is there */

_Atomic uint64_t gone_words[GONE_FDS_MAX / 64];

void gone_mark(int fd)
{
	if (fd >= 0 && fd < GONE_FDS_MAX)
		atomic_fetch_or_explicit(&gone_words[fd / 64], UINT64_C(1) << (fd % 64), memory_order_relaxed);
}

void gone_forget(int fd)
{
	if (fd >= 0 && fd < GONE_FDS_MAX)
		atomic_fetch_and_explicit(&gone_words[fd / 64], ~(UINT64_C(1) << (fd % 64)), memory_order_relaxed);
}

static bool was_reset(struct shim *s, int fd, const struct tag *t);
static short look(int fd);

static void sigpipe(void)
{
	siginfo_t info;
	long pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0), tid = sys_call(SYS_gettid, 0, 0, 0, 0, 0);

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGPIPE;
	info.si_code = SI_USER;
	info.si_pid = (pid_t)pid;
	info.si_uid = (uid_t)sys_call(SYS_getuid, 0, 0, 0, 0, 0);
	if (sys_call(SYS_rt_tgsigqueueinfo, pid, tid, SIGPIPE, (long)&info, 0) < 0)
		(void)sys_call(SYS_tgkill, pid, tid, SIGPIPE, 0, 0);
}

/* EPIPE, and the signal unless the caller wants none or the kernel has sent it. */
static ssize_t broken(bool signal_wanted)
{
	if (signal_wanted)
		sigpipe();
	errno = EPIPE;
	return -1;
}

static bool connected(const struct tag *t)
{
	return !(t->flags & TAG_UDP) && (t->state == SOCK_CONNECTED || t->state == SOCK_ACCEPTED);
}

static void cannot_send(int fd, struct tag *t)
{
	t->flags |= TAG_SHUT_WR;
	tag_set(fd, t);
}

/* The peer of a connected socket does not take what we write. */
static ssize_t peer_gone(struct shim *s, int fd, struct tag *t, size_t len, bool quiet, bool signal_wanted)
{
	int32_t err = 0, room = SNDBUF_ESTABLISHED;
	socklen_t err_len = sizeof(err);

	if (t->flags & TAG_SHUT_WR)
		return broken(quiet && signal_wanted);
	if ((sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_len) == 0 && err == ECONNRESET) ||
	    was_reset(s, fd, t)) {
		cannot_send(fd, t);
		errno = ECONNRESET;
		return -1;
	}
	if (!quiet)
		return broken(false); /* the signal is on its way: it has to be an error */
	if (!len)
		return 0;
	if (look(fd) & POLLHUP)
		cannot_send(fd, t);
	if (t->flags & TAG_EXTRA && !extra_get(sock_cookie(fd), EXTRA_SNDBUF, &room))
		room = SNDBUF_ESTABLISHED;
	return room > 0 && len > (size_t)room ? room : (ssize_t)len;
}

ssize_t gone_sent(int fd, ssize_t n, size_t len, int flags, bool quiet)
{
	bool signal_wanted = !(flags & MSG_NOSIGNAL);
	struct shim *s;
	struct tag t;
	int e = errno;

	if (n >= 0 || (e != EPIPE && e != ENOTCONN) || confined())
		return n;
	s = shim_get();
	if (!s || tag_get(fd, &t) < 0 || t.flags & TAG_UDP) {
		if (e == EPIPE)
			return broken(quiet && signal_wanted);
		errno = e;
		return -1;
	}
	switch (t.state) {
	case SOCK_CONNECTED:
	case SOCK_ACCEPTED:
		return peer_gone(s, fd, &t, len, quiet, signal_wanted);
	case SOCK_REFUSED:
		t.state = SOCK_ABORTED;
		tag_set(fd, &t);
		errno = ECONNREFUSED;
		return -1;
	case SOCK_CONNECTING:
		errno = EAGAIN;
		return -1;
	case SOCK_NEW:
	case SOCK_BOUND:
	case SOCK_LISTENING:
	case SOCK_ABORTED:
		break;
	}
	return broken(signal_wanted); /* AF_UNIX said ENOTCONN, and sent no signal */
}

void gone_reset(int fd)
{
	struct tag t;

	if (!confined() && tag_get(fd, &t) == 0 && connected(&t))
		cannot_send(fd, &t);
}

static short look(int fd)
{
	struct pollfd p = {.fd = fd};
	struct timespec now = {0};

	return sys_call(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0) == 1 ? p.revents : 0;
}

bool gone_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	struct timespec now = {0};

	return sys_call(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0) == 1;
}

/* Both directions have ended, and it was the peer who did it: did it reset? */
static bool was_reset(struct shim *s, int fd, const struct tag *t)
{
	struct network_name flow;

	return !(t->flags & TAG_SHUT_WR) && !confined() && network_resets(&s->net) && look(fd) & POLLHUP &&
	       sock_flow(s, fd, t, &flow) == 0 && network_reset_seen(&s->net, &flow, t->state == SOCK_ACCEPTED);
}

bool gone_closed(struct shim *s, int fd, const struct tag *t)
{
	short now = look(fd);

	if (now & POLLERR)
		return true;
	if (!(now & POLLHUP))
		return false;
	return t->flags & TAG_SHUT_WR ? !(t->flags & TAG_SHUT_RD) : was_reset(s, fd, t);
}

ssize_t gone_read(int fd)
{
	struct shim *s = shim_get();
	struct tag t;

	if (!s || s->err || confined() || !network_resets(&s->net) || tag_get(fd, &t) < 0 || !connected(&t) ||
	    !was_reset(s, fd, &t))
		return 0;
	cannot_send(fd, &t);
	errno = ECONNRESET;
	return -1;
}

int gone_error(struct shim *s, int fd, const struct tag *t)
{
	struct tag now = *t;

	if (!connected(t) || !was_reset(s, fd, t))
		return 0;
	cannot_send(fd, &now);
	return ECONNRESET;
}

void gone_linger(struct shim *s, int fd, const struct tag *t)
{
	struct network_name flow;
	struct linger l;
	socklen_t len = sizeof(l);

	bool on;

	if (!connected(t) || sys_getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) < 0)
		return;
	on = l.l_onoff && l.l_linger == 0 && !(t->flags & TAG_SHUT_WR); /* after its FIN a reset tells no reader */
	if ((on || network_resets(&s->net)) && sock_flow(s, fd, t, &flow) == 0)
		network_reset_mark(&s->net, &flow, t->state == SOCK_CONNECTED, on);
}
