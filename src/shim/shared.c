/* src/shim/shared.c: a socket that another process has too, on its way outside.
 *
 * connect() to the outside puts a socket of the kernel's behind the number, in this process (swap.c). Another process
 * that has the same socket, by fork or SCM_RIGHTS, would keep the old one. So where there is one the socket stays, and the
 * supervisor carries its octets to the kernel's and back (net2/ferry.c).
 *
 *     a bit for each number     "socket() made it here, and nobody else can have it": set by socket(), copied by dup(), taken
 *                               away by fork(), by a message that carries it away, and of what came with one
 *     no bit                    the supervisor looks whether any other process has it
 *     another has it            the socket gets the name of its flow, as one to a host does, so that everybody who has it
 *                               knows both addresses; the supervisor connects it to itself
 *
 * Not seen: children that libc's fork() does not make (a raw clone(), posix_spawn()), and sockets on their way in a message
 * that nobody has read yet. Those have the old socket.
 */
#include <poll.h>
#include <string.h>
#include <sys/un.h>

#include "network/ask.h"
#include "shim/gone.h"
#include "shim/shared.h"
#include "shim/spin.h"
#include "shim/udp.h"

_Atomic uint64_t shared_alone[SHARED_FDS_MAX / 64];

static uint64_t bit(int fd)
{
	return UINT64_C(1) << (fd % 64);
}

static bool is_alone(int fd)
{
	return fd >= 0 && fd < SHARED_FDS_MAX &&
	       atomic_load_explicit(&shared_alone[fd / 64], memory_order_relaxed) & bit(fd);
}

void shared_new(int fd)
{
	if (fd >= 0 && fd < SHARED_FDS_MAX && !is_alone(fd))
		atomic_fetch_or_explicit(&shared_alone[fd / 64], bit(fd), memory_order_relaxed);
}

void shared_given(int fd)
{
	if (is_alone(fd))
		atomic_fetch_and_explicit(&shared_alone[fd / 64], ~bit(fd), memory_order_relaxed);
}

void shared_copied(int from, int to)
{
	if (is_alone(from))
		shared_new(to);
	else
		shared_given(to);
}

void shared_forked(void)
{
	for (int i = 0; i < SHARED_FDS_MAX / 64; i++)
		atomic_store_explicit(&shared_alone[i], 0, memory_order_relaxed);
}

void shared_sent(const struct msghdr *m)
{
	size_t at = 0;

	while (m->msg_control && m->msg_controllen >= at + sizeof(struct cmsghdr)) {
		struct cmsghdr c;

		memcpy(&c, (const uint8_t *)m->msg_control + at, sizeof(c));
		if (c.cmsg_len < sizeof(c) || c.cmsg_len > m->msg_controllen - at)
			return;
		if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_RIGHTS)
			for (size_t i = CMSG_LEN(0); i + sizeof(int) <= c.cmsg_len; i += sizeof(int)) {
				int fd;

				memcpy(&fd, (const uint8_t *)m->msg_control + at + i, sizeof(fd));
				shared_given(fd);
			}
		at += CMSG_ALIGN(c.cmsg_len);
	}
}

#ifdef BERTH_NET2
/* The supervisor did not see where the sockets of those it serves come from: who connects gets the kernel's socket
 * (net2/replace.c). */
bool shared_is(int fd)
{
	(void)fd;
	return false;
}

int shared_connect(struct shim *s, int fd, struct tag *t, int fresh, const struct sockaddr *sa, socklen_t len)
{
	(void)s, (void)fd, (void)t, (void)fresh, (void)sa, (void)len;
	return -EOPNOTSUPP;
}
#else
bool shared_is(int fd)
{
	struct ask_ferry a = {.fd = fd, .out = -1};

	return (!is_alone(fd) || fdset_is_child()) && ask(ASK_FERRY, &a, sizeof(a)) == 1;
}

/* The flow's name, from the machine's address to the other's. */
static int name_it(struct shim *s, int fd, const struct tag *t, int fresh, const struct sockaddr *sa, socklen_t len)
{
	struct network_name flow = {.client_host = t->host, .server_host = t->host};
	struct {
		sa_family_t family;
		uint8_t path[NETWORK_NAME_OCTETS];
	} un = {.family = AF_UNIX};
	struct sockaddr_storage own;
	socklen_t own_len = sizeof(own);
	size_t octets;

	if (sys_getsockname(fresh, (void *)&own, &own_len) < 0)
		return -ENOBUFS;
	flow.tuple.proto = PORT_TCP;
	addr_read(t->family, (const void *)&own, own_len, &flow.tuple.local, &flow.tuple.local_port);
	addr_read(t->family, sa, len, &flow.tuple.remote, &flow.tuple.remote_port);
	flow.client_slot = t->flags & TAG_CLAIM ? t->slot : 0;
	flow.client_family = flow.server_family = (uint8_t)t->family;
	octets = network_name_encode(&s->net, &flow, un.path);
	return sys_bind(fd, &un, (socklen_t)(offsetof(__typeof__(un), path) + octets));
}

/* Until the supervisor has taken its filler out, or says that it was refused. Return: as connect(2). */
static int wait_for(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct timeval limit = {0};
	struct timespec most;
	socklen_t limit_len = sizeof(limit);
	bool forever;
	long r;

	forever = sys_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &limit_len) < 0 ||
		  (!limit.tv_sec && !limit.tv_usec);
	most = (struct timespec){.tv_sec = limit.tv_sec, .tv_nsec = limit.tv_usec * 1000};
	r = sys_call(SYS_ppoll, (long)&p, 1, forever ? 0 : (long)&most, 0, 0);
	if (r <= 0)
		return r == 0 ? -EINPROGRESS : (int)r;
	if (tag_get(fd, t) < 0)
		return -EBADF;
	return t->state == SOCK_REFUSED ? sock_connect(s, fd, t, sa, len) : 0;
}

int shared_connect(struct shim *s, int fd, struct tag *t, int fresh, const struct sockaddr *sa, socklen_t len)
{
	struct ask_ferry a = {.fd = fd, .out = fresh};
	bool nonblocking = sock_nonblocking(fd);
	struct tag before = *t;
	int r = name_it(s, fd, t, fresh, sa, len);

	if (r < 0)
		return r == -EADDRINUSE ? -EADDRNOTAVAIL : r;
	/* First, as the supervisor may say what became of it at any moment from now on. */
	t->state = SOCK_CONNECTED;
	t->flags |= nonblocking ? TAG_FRESH : 0;
	tag_set(fd, t);
	spin_mark(fd);
	gone_mark(fd);
	r = (int)ask(ASK_FERRY, &a, sizeof(a));
	if (r < 0) {
		*t = before;
		t->flags |= TAG_SHUT_RD; /* it has a name: sock_revive() */
		tag_set(fd, t);
		return -ENOBUFS;
	}
	return nonblocking ? -EINPROGRESS : wait_for(s, fd, t, sa, len);
}
#endif
