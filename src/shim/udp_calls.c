/* src/shim/udp_calls.c: the calls that only a UDP socket brings to us.
 *
 * read() and its kin are the kernel's for every other descriptor. A function here tests one bit (fdset.c), read()
 * a second one (spin.c), and jumps on through a pointer; docs/udp.md has the count of instructions. dup() and its kin copy the bit.
 */
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>

#include "shim/deaf.h"
#include "shim/shared.h"
#include "shim/gone.h"
#include "shim/spin.h"
#include "shim/swap.h"
#include "shim/udp.h"

#define VLEN_MAX 1024

/* --- as one call with a message --- */

ssize_t udp_recv(const struct udp *u, void *buf, size_t len, int flags, struct sockaddr *sa, socklen_t *sa_len)
{
	struct sockaddr_storage from;
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_name = sa ? &from : NULL,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1};
	socklen_t room;
	ssize_t n;

	if ((ssize_t)len < 0)
		iov.iov_len = SSIZE_MAX;
	n = udp_recvmsg(u, &m, flags);
	if (n < 0 || !sa)
		return n;
	if (!sa_len)
		return shim_ret(-EFAULT);
	if ((int)*sa_len < 0)
		return shim_ret(-EINVAL);
	room = *sa_len < m.msg_namelen ? *sa_len : m.msg_namelen;
	memcpy(sa, &from, room);
	*sa_len = m.msg_namelen;
	return n;
}

ssize_t udp_send(const struct udp *u, const void *buf, size_t len, int flags, const struct sockaddr *sa,
		 socklen_t sa_len)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (sa && ((int)sa_len < 0 || sa_len > sizeof(struct sockaddr_storage)))
		return shim_ret(-EINVAL);
	if (sa) {
		m.msg_name = (void *)(uintptr_t)sa;
		m.msg_namelen = sa_len ? sa_len : 1; /* too short either way; sendmsg() takes 0 for no address */
	}
	return udp_sendmsg(u, &m, flags);
}

static size_t iov_len(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

static __attribute__((noinline)) ssize_t slow_read(int fd, void *buf, size_t len)
{
	struct udp u;
	ssize_t n;

	if (!udp_check(fd, &u))
		return gone_known(fd) ? sock_read(fd, buf, len) : shim_next()->read(fd, buf, len);
	n = len ? udp_recv(&u, buf, len, 0, NULL, NULL) : 0;
	return udp_was_none(&u, n) ? shim_next()->read(fd, buf, len) : n;
}

static __attribute__((noinline)) ssize_t slow_write(int fd, const void *buf, size_t len)
{
	struct udp u;
	ssize_t n;

	if (!udp_check(fd, &u))
		return gone_known(fd) ? sock_write(fd, buf, len) : shim_next()->write(fd, buf, len);
	n = udp_send(&u, buf, len, 0, NULL, 0);
	return udp_was_none(&u, n) ? shim_next()->write(fd, buf, len) : n;
}

static __attribute__((noinline)) ssize_t slow_readv(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	struct udp u;
	ssize_t r;

	if (!udp_check(fd, &u))
		return gone_known(fd) ? sock_readv(fd, iov, n) : shim_next()->readv(fd, iov, n);
	if (n < 0 || n > VLEN_MAX)
		return shim_ret(-EINVAL);
	r = iov_len(iov, n) ? udp_recvmsg(&u, &m, 0) : 0;
	return udp_was_none(&u, r) ? shim_next()->readv(fd, iov, n) : r;
}

static __attribute__((noinline)) ssize_t slow_writev(int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	struct udp u;
	ssize_t r;

	if (!udp_check(fd, &u))
		return gone_known(fd) ? sock_writev(fd, iov, n) : shim_next()->writev(fd, iov, n);
	if (n < 0 || n > VLEN_MAX)
		return shim_ret(-EINVAL);
	r = iov_len(iov, n) ? udp_sendmsg(&u, &m, 0) : 0;
	return udp_was_none(&u, r) ? shim_next()->writev(fd, iov, n) : r;
}

static __attribute__((noinline)) ssize_t slow_send(int fd, const void *buf, size_t len, int flags)
{
	struct udp u;

	if (!udp_check(fd, &u))
		return sock_send(fd, buf, len, flags);
	return udp_send(&u, buf, len, flags, NULL, 0);
}

EXPORT(ssize_t, read, (int fd, void *buf, size_t len))
{
	if (__builtin_expect(fdset_maybe(fd), 0))
		return slow_read(fd, buf, len);
	if (__builtin_expect(gone_known(fd), 0))
		return sock_read(fd, buf, len);
	return shim_hot.read(fd, buf, len);
}

EXPORT(ssize_t, __read, (int fd, void *buf, size_t len))
{
	return shim_read(fd, buf, len);
}

EXPORT(ssize_t, __read_chk, (int fd, void *buf, size_t len, size_t buf_len))
{
	if (len > buf_len)
		return shim_next()->__read_chk(fd, buf, len, buf_len);
	return shim_read(fd, buf, len);
}

EXPORT(ssize_t, write, (int fd, const void *buf, size_t len))
{
	if (__builtin_expect(fdset_maybe(fd), 0))
		return slow_write(fd, buf, len);
	if (__builtin_expect(gone_known(fd), 0))
		return sock_write(fd, buf, len);
	return shim_hot.write(fd, buf, len);
}

EXPORT(ssize_t, __write, (int fd, const void *buf, size_t len))
{
	return shim_write(fd, buf, len);
}

EXPORT(ssize_t, readv, (int fd, const struct iovec *iov, int n))
{
	if (__builtin_expect(fdset_maybe(fd), 0))
		return slow_readv(fd, iov, n);
	if (__builtin_expect(gone_known(fd), 0))
		return sock_readv(fd, iov, n);
	return shim_hot.readv(fd, iov, n);
}

EXPORT(ssize_t, writev, (int fd, const struct iovec *iov, int n))
{
	if (__builtin_expect(fdset_maybe(fd), 0))
		return slow_writev(fd, iov, n);
	if (__builtin_expect(gone_known(fd), 0))
		return sock_writev(fd, iov, n);
	return shim_hot.writev(fd, iov, n);
}

EXPORT(ssize_t, send, (int fd, const void *buf, size_t len, int flags))
{
	if (__builtin_expect(fdset_maybe(fd), 0))
		return slow_send(fd, buf, len, flags);
	return sock_send(fd, buf, len, flags);
}

EXPORT(ssize_t, __send, (int fd, const void *buf, size_t len, int flags))
{
	return shim_send(fd, buf, len, flags);
}

/* The last copy of the socket takes its claim and its mailbox along, at once. Whose close() we do not see (the end of
 * a program, dup2() over it), is found dead by the next who looks. */
static __attribute__((noinline)) int slow_close(int fd)
{
	struct port_claim c;
	struct port_ref ref;
	struct udp u;
	struct tag t;
	bool had;
	int r, saved;

	if (confined() || !udp_check(fd, &u) || tag_get(fd, &t) < 0)
		return shim_next()->close(fd);
	had = sock_claim(u.s, fd, &t, &ref, &c) == 0;
	udp_outer_closed(u.cookie);
	r = shim_next()->close(fd); /* the bit stays: in a child of vfork() it is its parent's, too */
	saved = errno;
	if (!mailbox_alive(&u.s->net, u.key)) {
		udp_cork_closed(u.cookie);
		if (had) {
			(void)network_dead(&u.s->net, t.host, ref);
			network_udp_changed(&u.s->net, t.host);
		}
		mailbox_unlink(&u.s->net, u.key);
	}
	errno = saved;
	return r;
}

EXPORT(int, close, (int fd))
{
	if (__builtin_expect(fdset_maybe(fd), 0))
		return slow_close(fd);
	return shim_hot.close(fd);
}

EXPORT(int, __close, (int fd))
{
	return shim_close(fd);
}

/* --- copies of descriptors --- */

static int copied(int from, int to)
{
	if (to < 0)
		return to;
	if (__builtin_expect(fdset_maybe(from) || gone_known(from), 0))
		atomic_store_explicit(&swap_all, true, memory_order_relaxed);
	shared_copied(from, to);
	if (__builtin_expect(swap_maybe_epoll(from), 0))
		swap_mark_epoll(to);
	if (__builtin_expect(fdset_maybe(from), 0))
		fdset_add(to);
	if (gone_known(from)) {
		gone_mark(to);
		deaf_share();
	} else if (gone_known(to))
		gone_forget(to);
	return to;
}

EXPORT(int, dup, (int fd))
{
	return copied(fd, shim_next()->dup(fd));
}

EXPORT(int, dup2, (int fd, int to))
{
	return copied(fd, shim_next()->dup2(fd, to));
}

EXPORT(int, __dup2, (int fd, int to))
{
	return copied(fd, shim_next()->dup2(fd, to));
}

EXPORT(int, dup3, (int fd, int to, int flags))
{
	return copied(fd, shim_next()->dup3(fd, to, flags));
}

/* Another program's descriptor. By the system call itself: libc has it only since 2.36. */
EXPORT(int, pidfd_getfd, (int pidfd, int fd, unsigned flags))
{
	long r = raw_call(SYS_pidfd_getfd, pidfd, fd, (long)flags, 0, 0, 0);

	if (r >= 0 && shim_get() && !confined())
		fdset_look((int)r);
	return shim_ret((int)r);
}

static int fcntl_any(int (*next)(int, int, ...), int fd, int cmd, void *arg)
{
	int r = next(fd, cmd, arg);

	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? copied(fd, r) : r;
}

#define FCNTL(name, next_name)                                          \
	EXPORT(int, name, (int fd, int cmd, ...))                       \
	{                                                               \
		va_list ap;                                             \
		void *arg;                                              \
		va_start(ap, cmd);                                      \
		arg = va_arg(ap, void *);                               \
		va_end(ap);                                             \
		return fcntl_any(shim_next()->next_name, fd, cmd, arg); \
	}
FCNTL(fcntl, fcntl)
FCNTL(__fcntl, fcntl)
FCNTL(fcntl64, fcntl64)

/* Descriptors that came with a message. */
void udp_passed(const struct msghdr *m)
{
	size_t at = 0;

	while (m->msg_control && m->msg_controllen >= at + sizeof(struct cmsghdr)) {
		const struct cmsghdr *c = (const void *)((const uint8_t *)m->msg_control + at);

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > m->msg_controllen - at)
			return;
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			for (size_t i = 0; i + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); i += sizeof(int)) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i, sizeof(fd));
				if (!confined())
					fdset_look(fd);
			}
		at += CMSG_ALIGN(c->cmsg_len);
	}
}
