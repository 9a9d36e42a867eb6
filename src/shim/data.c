/* src/shim/data.c: the few calls of the data path that AF_UNIX would answer wrongly.
 *
 * A stream's data is the kernel's own (read and write: udp_calls.c; before a sleep: spin.c, wait.c). Only a flag or an address that means
 * something on TCP and something else, or harm, on AF_UNIX brings a call here past its first line:
 *
 *     MSG_ERRQUEUE   AF_UNIX ignores it and returns data: EAGAIN, as there is never an error queued
 *     MSG_TRUNC      TCP throws the octets away; AF_UNIX writes them, to NULL perhaps: read and drop
 *     an address     TCP ignores it once connected; AF_UNIX says EISCONN: dropped
 *     SCM_RIGHTS     TCP ignores it; AF_UNIX really passes descriptors: dropped
 *     MSG_FASTOPEN   connect, then send
 *     TCP_INQ        a control message with what is left
 *
 * And a send that failed because nobody is there any more says what TCP says (gone.c).
 */
#include <limits.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "shim/deaf.h"
#include "shim/outside.h"
#include "shim/shim.h"
#include "shim/shared.h"
#include "shim/spin.h"
#include "shim/gone.h"
#include "shim/udp.h"

#define SCRATCH_OCTETS 16384
#ifndef TCP_INQ
#define TCP_INQ 36
#endif
#define DROPS_MAX 4096 /* 64 MiB in one call; a short count is right for a stream */

static bool ours(int fd, struct shim **ret_s, struct tag *ret)
{
	*ret_s = shim_get();
	return *ret_s && !confined() && tag_get(fd, ret) == 0;
}

/* AF_UNIX says EINVAL where TCP says ENOTCONN, or what became of a connect(). Looked at when it went wrong only. */
static ssize_t unconnected(int fd, ssize_t n, size_t len)
{
	struct shim *s;
	struct tag t;
	int e = errno;

	if (n < 0 && e == EAGAIN && deaf(fd))
		return 0;
	if (n == 0 && len)
		return gone_read(fd);
	if (n >= 0 || (e != EINVAL && e != ECONNRESET))
		return n;
	if (e == ECONNRESET) {
		gone_reset(fd);
		errno = e;
		return -1;
	}
	if (ours(fd, &s, &t) && t.state != SOCK_CONNECTED && t.state != SOCK_ACCEPTED) {
		e = ENOTCONN;
		if (t.state == SOCK_REFUSED) {
			e = ECONNREFUSED;
			t.state = SOCK_ABORTED;
			tag_set(fd, &t);
		} else if (t.state == SOCK_ABORTED) {
			return 0;
		}
	}
	errno = e;
	return -1;
}

static size_t msg_len(const struct msghdr *m)
{
	size_t len = 0;

	for (size_t i = 0; m && i < m->msg_iovlen; i++)
		len += m->msg_iov[i].iov_len;
	return len;
}

static ssize_t unconnected_msg(int fd, ssize_t n, const struct msghdr *m)
{
	return unconnected(fd, n, n == 0 ? msg_len(m) : 0);
}

/* MSG_PEEK and MSG_TRUNC: how many octets are there, once there is one. */
static ssize_t count(int fd, size_t len, int flags)
{
	uint8_t one;
	int there = 0;
	ssize_t n = shim_next()->recv(fd, &one, len ? 1 : 0, flags);

	if (n <= 0 || sys_call(SYS_ioctl, fd, FIONREAD, (long)&there, 0, 0) < 0)
		return n;
	return there < 1 ? n : len < (size_t)there ? (ssize_t)len : there;
}

/* MSG_TRUNC: take up to len octets off the stream and keep none. */
static ssize_t discard(int fd, size_t len, int flags)
{
	uint8_t scratch[SCRATCH_OCTETS];
	size_t done = 0;

	for (int i = 0; i < DROPS_MAX && done < len; i++) {
		size_t part = len - done < sizeof(scratch) ? len - done : sizeof(scratch);
		int saved = errno;
		ssize_t n = shim_next()->recv(fd, scratch, part, flags | (done ? MSG_DONTWAIT : 0));

		if (n < 0 && done) {
			errno = saved;
			break;
		}
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Does a receive need us? The flags alone say so, and cost nothing. */
static bool odd(int flags)
{
	return flags & (MSG_TRUNC | MSG_ERRQUEUE);
}

static ssize_t receive(int fd, size_t len, int flags)
{
	if (flags & MSG_ERRQUEUE)
		return shim_ret(-EAGAIN);
	flags &= ~MSG_TRUNC;
	return unconnected(fd, flags & MSG_PEEK ? count(fd, len, flags) : discard(fd, len, flags), len);
}

EXPORT(ssize_t, recv, (int fd, void *buf, size_t len, int flags))
{
	struct shim *s;
	struct tag t;
	struct udp u;

	if (udp_mine(fd, &u))
		return udp_recv(&u, buf, len, flags, NULL, NULL);
	flags |= deaf(fd) ? MSG_DONTWAIT : 0;
	if (spin_may(fd, flags))
		return unconnected(fd, spin_recv(fd, buf, len, flags), len);
	if (!odd(flags) || !ours(fd, &s, &t))
		return unconnected(fd, shim_next()->recv(fd, buf, len, flags), len);
	return receive(fd, len, flags);
}

EXPORT(ssize_t, recvfrom, (int fd, void *buf, size_t len, int flags, struct sockaddr *sa, socklen_t *sa_len))
{
	struct shim *s;
	struct tag t;
	ssize_t n;
	struct udp u;

	if (udp_mine(fd, &u))
		return udp_recv(&u, buf, len, flags, sa, sa_len);
	flags |= deaf(fd) ? MSG_DONTWAIT : 0;
	if (!sa && spin_may(fd, flags))
		return unconnected(fd, spin_recv(fd, buf, len, flags), len);
	if ((!odd(flags) && !sa) || !ours(fd, &s, &t))
		return unconnected(fd, shim_next()->recvfrom(fd, buf, len, flags, sa, sa_len), len);
	n = odd(flags) ? receive(fd, len, flags)
		       : unconnected(fd, shim_next()->recvfrom(fd, buf, len, flags, NULL, NULL), len);
	if (n < 0 || !sa)
		return n;
	if (bad_pointer(sa_len))
		return shim_ret(-EFAULT);
	*sa_len = 0; /* TCP names nobody */
	return n;
}

/* What -D_FORTIFY_SOURCE makes of the two above. A buffer that is too small is libc's to abort on. */
EXPORT(ssize_t, __recv_chk, (int fd, void *buf, size_t len, size_t buf_len, int flags))
{
	if (len > buf_len)
		return shim_next()->__recv_chk(fd, buf, len, buf_len, flags);
	return shim_recv(fd, buf, len, flags);
}

EXPORT(ssize_t, __recvfrom_chk,
       (int fd, void *buf, size_t len, size_t buf_len, int flags, struct sockaddr *sa, socklen_t *sa_len))
{
	if (len > buf_len)
		return shim_next()->__recvfrom_chk(fd, buf, len, buf_len, flags, sa, sa_len);
	return shim_recvfrom(fd, buf, len, flags, sa, sa_len);
}

/* TCP_INQ: beside what was received, how much is left; one more than that when the peer has ended. Only a call that has
 * room for it is asked whose it is. As the kernel's put_cmsg(): what does not fit is cut, and said. */
static void say_inq(int fd, struct msghdr *m, size_t room)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_TCP, .cmsg_type = TCP_INQ};
	int32_t on;
	int left = 0;
	struct shim *s;
	struct tag t;

	if (!ours(fd, &s, &t) || t.flags & TAG_UDP || !(t.flags & TAG_EXTRA) ||
	    !extra_get(sock_cookie(fd), EXTRA_INQ, &on) || !on ||
	    sys_call(SYS_ioctl, fd, FIONREAD, (long)&left, 0, 0) < 0)
		return;
	left += gone_ended(fd);
	if (room < sizeof(h)) {
		m->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < h.cmsg_len) {
		m->msg_flags |= MSG_CTRUNC;
		h.cmsg_len = room;
	}
	memcpy(m->msg_control, &h, sizeof(h));
	memcpy((uint8_t *)m->msg_control + sizeof(h), &left, h.cmsg_len - sizeof(h));
	m->msg_controllen = room < CMSG_SPACE(sizeof(left)) ? room : CMSG_SPACE(sizeof(left));
}

static ssize_t receive_message(int fd, struct msghdr *m, int flags)
{
	struct shim *s;
	struct tag t;
	ssize_t n;

	flags |= deaf(fd) ? MSG_DONTWAIT : 0;
	if (!m || (!odd(flags) && !m->msg_name) || !ours(fd, &s, &t)) {
		n = unconnected_msg(fd, shim_next()->recvmsg(fd, m, flags), m);
		if (n >= 0 && m && m->msg_controllen)
			udp_passed(m);
		return n;
	}
	if (!odd(flags)) {
		struct msghdr bare = *m;

		bare.msg_name = NULL;
		n = unconnected_msg(fd, shim_next()->recvmsg(fd, &bare, flags), &bare);
		if (n < 0)
			return n;
		m->msg_flags = bare.msg_flags;
		m->msg_controllen = bare.msg_controllen;
	} else {
		n = receive(fd, msg_len(m), flags);
		if (n < 0)
			return n;
		m->msg_flags = 0;
		m->msg_controllen = 0;
	}
	if (m->msg_name)
		m->msg_namelen = 0;
	return n;
}

ssize_t sock_recvmsg(int fd, struct msghdr *m, int flags)
{
	size_t room = m && m->msg_control ? m->msg_controllen : 0;
	ssize_t n = receive_message(fd, m, flags);

	if (n >= 0 && room && gone_known(fd) && m->msg_controllen == 0)
		say_inq(fd, m, room);
	return n;
}

EXPORT(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags))
{
	struct udp u;

	if (udp_mine(fd, &u))
		return m ? udp_recvmsg(&u, m, flags) : shim_ret(-EFAULT);
	return sock_recvmsg(fd, m, flags);
}

/* Return: 0; -1 and errno, the connect of MSG_FASTOPEN failed. */
static int fastopen(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len)
{
	int r = sock_connect(s, fd, t, sa, len);

	return shim_ret(r == -EINPROGRESS && t->state == SOCK_CONNECTED ? 0 : r);
}

/* MSG_FASTOPEN that names nobody: only who has a connection knows whereto. */
static bool fastopen_nowhere(int fd)
{
	struct shim *s;
	struct tag t;

	return ours(fd, &s, &t) && (t.state == SOCK_NEW || t.state == SOCK_BOUND);
}

ssize_t sock_send(int fd, const void *buf, size_t len, int flags)
{
	bool quiet = gone_known(fd);

	if (flags & MSG_FASTOPEN && fastopen_nowhere(fd))
		return shim_ret(-EINVAL);

	return gone_sent(fd, shim_next()->send(fd, buf, len, quiet ? flags | MSG_NOSIGNAL : flags), len, flags, quiet);
}

static ssize_t plain_sendmsg(int fd, const struct msghdr *m, int flags)
{
	bool quiet = gone_known(fd);
	ssize_t n = shim_next()->sendmsg(fd, m, quiet ? flags | MSG_NOSIGNAL : flags);

	return gone_sent(fd, n, n < 0 && errno == EPIPE ? msg_len(m) : 0, flags, quiet);
}

/* write() of a stream is send(), so that SIGPIPE is ours to send or not; a descriptor that is no socket any more
 * is remembered as such. */
ssize_t sock_write(int fd, const void *buf, size_t len)
{
	int saved = errno;
	ssize_t n = shim_next()->send(fd, buf, len, MSG_NOSIGNAL);

	if (n >= 0)
		return n;
	if (errno != ENOTSOCK)
		return gone_sent(fd, n, len, 0, true);
	gone_forget(fd);
	errno = saved;
	return shim_next()->write(fd, buf, len);
}

ssize_t sock_writev(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	int saved = errno;
	ssize_t r;

	if (n <= 0 || n > IOV_MAX)
		return shim_next()->writev(fd, iov, n);
	r = shim_next()->sendmsg(fd, &m, MSG_NOSIGNAL);
	if (r >= 0)
		return r;
	if (errno != ENOTSOCK)
		return gone_sent(fd, r, errno == EPIPE ? msg_len(&m) : 0, 0, true);
	gone_forget(fd);
	errno = saved;
	return shim_next()->writev(fd, iov, n);
}

ssize_t sock_read(int fd, void *buf, size_t len)
{
	ssize_t n;

	if (deaf(fd))
		n = shim_next()->recv(fd, buf, len, MSG_DONTWAIT);
	else
		n = spin_may(fd, 0) ? spin_read(fd, buf, len) : shim_next()->read(fd, buf, len);
	return n > 0 ? n : unconnected(fd, n, len);
}

ssize_t sock_readv(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	ssize_t r = deaf(fd) && n >= 0 ? shim_next()->recvmsg(fd, &m, MSG_DONTWAIT) : shim_next()->readv(fd, iov, n);

	return r > 0 ? r : unconnected_msg(fd, r, &m);
}

EXPORT(ssize_t, sendto, (int fd, const void *buf, size_t len, int flags, const struct sockaddr *sa, socklen_t sa_len))
{
	struct shim *s;
	struct tag t;
	struct udp u;

	if (udp_mine(fd, &u))
		return udp_send(&u, buf, len, flags, sa, sa_len);
	if (!sa)
		return shim_get() ? sock_send(fd, buf, len, flags) : shim_next()->send(fd, buf, len, flags);
	if (!ours(fd, &s, &t)) {
		struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
		struct sockaddr_storage to;
		struct msghdr m = {.msg_name = &to, .msg_namelen = sa_len, .msg_iov = &iov, .msg_iovlen = 1};
		int r = outside_name(shim_calls(), fd, sa, sa_len, flags, &to);

		if (r < 0)
			return shim_ret(r);
		return r ? shim_next()->sendmsg(fd, &m, flags) : shim_next()->sendto(fd, buf, len, flags, sa, sa_len);
	}
	if (flags & MSG_FASTOPEN && fastopen(s, fd, &t, sa, sa_len) < 0)
		return -1;
	return sock_send(fd, buf, len, flags & ~MSG_FASTOPEN);
}

ssize_t sock_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct shim *s = shim_get();
	struct msghdr bare;
	struct tag t;

	if (!s)
		return shim_next()->sendmsg(fd, m, flags);
	if (!m || (!m->msg_name && !m->msg_controllen) || confined())
		return plain_sendmsg(fd, m, flags);
	if (m->msg_controllen)
		shared_sent(m);
	if (tag_get(fd, &t) < 0) {
		struct sockaddr_storage to;
		int r = m->msg_name ? outside_name(s, fd, m->msg_name, m->msg_namelen, flags, &to) : 0;

		if (r < 0)
			return shim_ret(r);
		bare = *m;
		if (r)
			bare.msg_name = &to;
		return plain_sendmsg(fd, r ? &bare : m, flags);
	}
	if (flags & MSG_FASTOPEN && m->msg_name && fastopen(s, fd, &t, m->msg_name, m->msg_namelen) < 0)
		return -1;
	bare = *m;
	bare.msg_name = NULL;
	bare.msg_namelen = 0;
	bare.msg_control = NULL;
	bare.msg_controllen = 0;
	return plain_sendmsg(fd, &bare, flags & ~MSG_FASTOPEN);
}

EXPORT(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags))
{
	struct udp u;

	if (udp_mine(fd, &u))
		return m ? udp_sendmsg(&u, m, flags) : shim_ret(-EFAULT);
	return sock_sendmsg(fd, m, flags);
}
