/* src/shim/mmsg.c: several messages in one call.
 *
 * recvmmsg() and sendmmsg() on a socket of ours are so many recvmsg() and sendmsg(). As on Linux the time limit is
 * looked at after each message, not while it waits for one, and what is left of it is written back. An error after the
 * first message is kept for the next call there; here it comes again by itself or is lost (EINTR).
 */
#include <time.h>

#include "shim/gone.h"
#include "shim/shim.h"
#include "shim/udp.h"

#define MANY_MAX 1024u /* UIO_MAXIOV: the kernel's limit, too */
#define SECOND_NS UINT64_C(1000000000)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static bool our_stream(int fd)
{
	struct tag t;

	return shim_get() && !confined() && tag_get(fd, &t) == 0;
}

/* What to return when message i could not be had: those before it count. */
static int ended(unsigned i, int saved)
{
	if (i == 0)
		return -1;
	errno = saved;
	return (int)i;
}

/* u: NULL for a stream. MSG_WAITFORONE: the first waits, the others take what is there. */
static int receive_many(int fd, const struct udp *u, struct mmsghdr *v, unsigned n, int flags, uint64_t end_ns)
{
	int saved = errno;

	for (unsigned i = 0; i < n; i++) {
		struct msghdr *m = &v[i].msg_hdr;
		int f = flags & ~MSG_WAITFORONE;
		ssize_t r = u ? udp_recvmsg(u, m, f) : sock_recvmsg(fd, m, f);

		if (r < 0)
			return ended(i, saved);
		v[i].msg_len = (unsigned)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if ((end_ns && now_ns() >= end_ns) || m->msg_flags & MSG_OOB)
			return (int)i + 1;
	}
	return (int)n;
}

EXPORT(int, recvmmsg, (int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout))
{
	uint64_t end_ns = 0, now;
	struct udp u;
	bool udp = udp_mine(fd, &u);
	int r;

	if (!udp && !our_stream(fd))
		return shim_next()->recvmmsg(fd, v, n, flags, timeout);
	if (udp && confined())
		return (int)udp_plain(SYS_recvmmsg, fd, v, (long)n, flags, (long)timeout);
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || (uint64_t)timeout->tv_nsec >= SECOND_NS)
			return shim_ret(-EINVAL);
		end_ns = now_ns() + (uint64_t)timeout->tv_sec * SECOND_NS + (uint64_t)timeout->tv_nsec;
	}
	r = receive_many(fd, udp ? &u : NULL, v, n < MANY_MAX ? n : MANY_MAX, flags, end_ns);
	if (timeout && r > 0) {
		now = now_ns();
		now = now < end_ns ? end_ns - now : 0;
		timeout->tv_sec = (time_t)(now / SECOND_NS);
		timeout->tv_nsec = (long)(now % SECOND_NS);
	}
	return r;
}

/* Messages on a socket of the kernel's, one of which names an address: each is asked about (outside_name()). */
static bool names_somebody(int fd, const struct mmsghdr *v, unsigned n)
{
	if (!shim_get() || confined() || fd < 0 || bad_pointer(v))
		return false;
	for (unsigned i = 0; i < n && i < MANY_MAX; i++) {
		const struct sockaddr *sa = v[i].msg_hdr.msg_name;

		if (sa && v[i].msg_hdr.msg_namelen >= sizeof(struct sockaddr_in) && !bad_pointer(sa) &&
		    (sa->sa_family == AF_INET || sa->sa_family == AF_INET6 || sa->sa_family == AF_UNSPEC))
			return true;
	}
	return false;
}

EXPORT(int, sendmmsg, (int fd, struct mmsghdr *v, unsigned n, int flags))
{
	struct udp u;
	int saved = errno;
	bool udp = udp_mine(fd, &u);
	uint64_t cookie;

	if (!udp && !our_stream(fd) && !names_somebody(fd, v, n))
		return shim_next()->sendmmsg(fd, v, n, flags);
	if (udp && confined())
		return (int)udp_plain(SYS_sendmmsg, fd, v, (long)n, flags, 0);
	n = n < MANY_MAX ? n : MANY_MAX;
	for (unsigned i = 0; i < n; i++) {
		const struct msghdr *m = &v[i].msg_hdr;
		ssize_t r;

		if (udp && i > 0) /* the one before may have waited for a lock */
			u.looked = network_ask(&u.s->net, fd, &cookie) && cookie == u.cookie;
		r = udp ? udp_sendmsg(&u, m, flags) : sock_sendmsg(fd, m, flags);
		if (r < 0)
			return ended(i, saved);
		v[i].msg_len = (unsigned)r;
	}
	return (int)n;
}
