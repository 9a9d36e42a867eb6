/* src/shim/next.c: the functions that ours stand in front of.
 *
 * A call on a descriptor that is not ours goes on to the next library that has it. Where that is libc, the
 * system call is made here instead: the same call, with the value in its sixth register that lets it
 * through the second net (network/pass.h), so a program that we are loaded into is never held up there.
 * Where another library stands between us and libc (a sanitizer's, another preload), it gets the call.
 *
 * Calls that may wait stay cancellation points. sendto() and recvfrom() with an address use all six
 * registers, so they are made as sendmsg() and recvmsg(), which is what the kernel makes of them.
 */
#include <dlfcn.h>
#include <string.h>
#include <sys/uio.h>

#include "shim/shim.h"

static struct {
	__typeof__(((struct shim_next *)0)->recvfrom) recvfrom;
	__typeof__(((struct shim_next *)0)->sendto) sendto;
} libc;

static long answer(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

/* With the value that passes, unless the program is in a sandbox and the second net is to do it (confine.c). */
static bool passing(void)
{
	return !atomic_load_explicit(&confine_served, memory_order_relaxed);
}

static long plain(long nr, long a, long b, long c, long d, long e)
{
	return answer(passing() ? sys_call(nr, a, b, c, d, e) : raw_call(nr, a, b, c, d, e, 0));
}

static int next_socket(int domain, int type, int protocol)
{
	return (int)plain(SYS_socket, domain, type, protocol, 0, 0);
}

static int next_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	return (int)plain(SYS_bind, fd, (long)sa, len, 0, 0);
}

static int next_listen(int fd, int backlog)
{
	return (int)plain(SYS_listen, fd, backlog, 0, 0, 0);
}

static int next_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	if (!passing())
		return (int)plain(SYS_accept4, fd, (long)sa, (long)len, flags, 0);
	return (int)answer(sys_accept4(fd, sa, len, flags));
}

static int next_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	if (!passing())
		return (int)plain(SYS_connect, fd, (long)sa, len, 0, 0);
	return (int)answer(sys_connect(fd, sa, len));
}

static int next_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	return (int)plain(SYS_getsockname, fd, (long)sa, (long)len, 0, 0);
}

static int next_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	return (int)plain(SYS_getpeername, fd, (long)sa, (long)len, 0, 0);
}

static int next_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)plain(SYS_getsockopt, fd, level, name, (long)val, (long)len);
}

static int next_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)plain(SYS_setsockopt, fd, level, name, (long)val, len);
}

static int next_shutdown(int fd, int how)
{
	return (int)plain(SYS_shutdown, fd, how, 0, 0, 0);
}

static ssize_t next_recvmsg(int fd, struct msghdr *m, int flags)
{
	if (!passing() && m && m->msg_name)
		return plain(SYS_recvmsg, fd, (long)m, flags, 0, 0);
	return answer(sys_recvmsg(fd, m, flags));
}

static ssize_t next_sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (!passing() && m && m->msg_name)
		return plain(SYS_sendmsg, fd, (long)m, flags, 0, 0);
	return answer(sys_sendmsg(fd, m, flags));
}

static ssize_t next_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *sa, socklen_t *sa_len)
{
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_name = sa, .msg_iov = &iov, .msg_iovlen = 1};
	long r;

	if (!passing() || !sa || !sa_len || (int)*sa_len < 0)
		return libc.recvfrom(fd, buf, len, flags, sa, sa_len);
	m.msg_namelen = *sa_len;
	r = sys_recvmsg(fd, &m, flags);
	if (r >= 0)
		*sa_len = m.msg_namelen;
	return answer(r);
}

static ssize_t next_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *sa, socklen_t sa_len)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_namelen = sa_len};

	if (!passing() || !sa || sa_len > sizeof(struct sockaddr_storage))
		return libc.sendto(fd, buf, len, flags, sa, sa_len);
	m.msg_name = (void *)(uintptr_t)sa;
	return answer(sys_sendmsg(fd, &m, flags));
}

const struct shim_next shim_inline_calls = {
	.socket = next_socket,
	.bind = next_bind,
	.listen = next_listen,
	.accept4 = next_accept4,
	.connect = next_connect,
	.getsockname = next_getsockname,
	.getpeername = next_getpeername,
	.getsockopt = next_getsockopt,
	.setsockopt = next_setsockopt,
	.shutdown = next_shutdown,
	.recvmsg = next_recvmsg,
	.sendmsg = next_sendmsg,
	.recvfrom = next_recvfrom,
	.sendto = next_sendto,
};

static bool is_libc(const void *function, const void *libc_base)
{
	Dl_info info;

	return dladdr(function, &info) && info.dli_fbase == libc_base;
}

void shim_next_inline(struct shim_next *n)
{
	void *known = dlsym(RTLD_NEXT, "gnu_get_libc_version"), *p;
	Dl_info info;

	if (!known || !dladdr(known, &info))
		return;
	libc.recvfrom = n->recvfrom;
	libc.sendto = n->sendto;
#define INLINE(name)                                      \
	do {                                              \
		memcpy(&p, &n->name, sizeof(p));          \
		if (is_libc(p, info.dli_fbase))           \
			n->name = shim_inline_calls.name; \
	} while (0)
	INLINE(socket);
	INLINE(bind);
	INLINE(listen);
	INLINE(accept4);
	INLINE(connect);
	INLINE(getsockname);
	INLINE(getpeername);
	INLINE(getsockopt);
	INLINE(setsockopt);
	INLINE(shutdown);
	INLINE(recvmsg);
	INLINE(sendmsg);
	INLINE(recvfrom);
	INLINE(sendto);
}
