/* src/shim/names.c: getsockname, getpeername, accept: the addresses of a flow.
 *
 * A client's socket is bound to an abstract name that says the whole four-tuple (network_name_encode).
 * The client reads it with getsockname(2), the accepted side with getpeername(2), and accept(2)
 * returns it without being asked twice. So both ends answer both questions from one name, after fork
 * and exec, and when the other end is gone. A socket that has no flow answers from its claim.
 */
#include <fcntl.h>
#include <sys/un.h>

#include "shim/gone.h"
#include "shim/shim.h"
#include "shim/spin.h"
#include "shim/udp.h"

#define STRANGERS_MAX 64 /* in one accept(), before we tell the program to come again */

int sock_flow(struct shim *s, int fd, const struct tag *t, struct network_name *ret)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	int r = t->state == SOCK_ACCEPTED ? sys_getpeername(fd, &un, &len) : sys_getsockname(fd, &un, &len);

	if (r < 0)
		return r;
	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(un))
		return -ENOENT;
	return network_name_decode(&s->net, (const uint8_t *)un.sun_path, len - offsetof(struct sockaddr_un, sun_path),
				   ret);
}

static int name_of(struct shim *s, int fd, const struct tag *t, bool peer, struct sockaddr *sa, socklen_t *len)
{
	struct port_addr a;
	uint16_t port;
	int r = sock_name(s, fd, t, peer, &a, &port);

	return r < 0 ? r : addr_write(t->family, &a, port, sa, len);
}

EXPORT(int, getsockname, (int fd, struct sockaddr *sa, socklen_t *len))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->getsockname(fd, sa, len);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);

		return shim_ret(udp_name(&u, false, sa, len));
	}
	return shim_ret(name_of(s, fd, &t, false, sa, len));
}

EXPORT(int, getpeername, (int fd, struct sockaddr *sa, socklen_t *len))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->getpeername(fd, sa, len);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);

		return shim_ret(udp_name(&u, true, sa, len));
	}
	if ((t.state == SOCK_CONNECTED || t.state == SOCK_ACCEPTED) && gone_closed(s, fd, &t))
		return shim_ret(-ENOTCONN);
	return shim_ret(name_of(s, fd, &t, true, sa, len));
}

/* The new socket's tag; *ret is its peer's address. Return: 0; -ENOENT, no client of this network. */
static int adopt(struct shim *s, int listener, const struct tag *lt, int fd, const struct sockaddr_un *un,
		 socklen_t len, struct network_name *ret)
{
	struct tag t = {.state = SOCK_ACCEPTED, .family = lt->family, .host = lt->host};
	int r;

	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(*un))
		return -ENOENT;
	r = network_name_decode(&s->net, (const uint8_t *)un->sun_path, len - offsetof(struct sockaddr_un, sun_path),
				ret);
	if (r < 0)
		return r;
	t.flags = lt->flags & (TAG_REUSEADDR | TAG_REUSEPORT | TAG_V6ONLY | TAG_NODELAY | TAG_CORK | TAG_FREEBIND |
			       TAG_NOPORT | TAG_EXTRA);
	sock_grow(fd, &(struct tag){0});
	tag_set(fd, &t);
	spin_mark(fd);
	gone_mark(fd);
	sock_inherit(listener, fd, lt, false);
	if (lt->flags & TAG_EXTRA)
		gone_linger(s, fd, &t);
	return 0;
}

static int sock_accept(struct shim *s, int fd, const struct tag *t, struct sockaddr *sa, socklen_t *len, int flags)
{
	int saved = errno;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (t->state != SOCK_LISTENING)
		return -EINVAL;
	for (int i = 0; i < STRANGERS_MAX; i++) {
		struct network_name flow;
		struct sockaddr_un un;
		socklen_t un_len = sizeof(un);
		/* Never by the next library: a sanitizer's would ask libc, and libc's call would meet the second net. */
		int r, new_fd = shim_inline_calls.accept4(fd, (struct sockaddr *)&un, &un_len, flags);

		if (new_fd < 0)
			return -errno;
		r = adopt(s, fd, t, new_fd, &un, un_len, &flow);
		if (r == -ENOENT && un_len > offsetof(struct sockaddr_un, sun_path)) {
			struct port_tuple outer;
			int kernel_fd = published_take(s, fd, t, new_fd, un.sun_path,
						       un_len - offsetof(struct sockaddr_un, sun_path), flags, &outer);

			if (kernel_fd != -ENOENT)
				errno = saved;
			if (kernel_fd >= 0) {
				r = sa ? addr_write(t->family, &outer.remote, outer.remote_port, sa, len) : 0;
				if (r == 0)
					return kernel_fd;
				sys_close(kernel_fd);
				return r;
			}
			if (kernel_fd != -ENOENT)
				continue;
		}
		if (r == 0 && (sa || len))
			r = sa ? addr_write(t->family, &flow.tuple.local, flow.tuple.local_port, sa, len) : 0;
		errno = saved;
		if (r == 0)
			return new_fd;
		sys_close(new_fd);
		if (r != -ENOENT)
			return r;
	}
	return -EAGAIN;
}

EXPORT(int, accept4, (int fd, struct sockaddr *sa, socklen_t *len, int flags))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->accept4(fd, sa, len, flags);
	if (t.flags & TAG_UDP)
		return shim_ret(flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) ? -EINVAL : -EOPNOTSUPP);
	return shim_ret(sock_accept(s, fd, &t, sa, len, flags));
}

EXPORT(int, accept, (int fd, struct sockaddr *sa, socklen_t *len))
{
	return shim_accept4(fd, sa, len, 0);
}
