/* src/shim/outside.c: connect() to an address that is no host's: the way out.
 *
 * A socket of ours is AF_UNIX's and reaches hosts only. When a program connects one to the outside, a socket of the
 * kernel's own comes behind the same descriptor number (swap.c), with what was set on it (carry.c), and from then on
 * it is the kernel's alone: it has no tag, so every function of ours leaves it to libc, after one bit test.
 *
 *     whose address?    a host's: connect.c. Inside the subnet, but nobody's: unreachable. Else here
 *     may it?           network/policy.c; refused is counted and told
 *     the gateway's     the machine itself: its loopback of that family
 *     socket()          the kernel's, with options; bound to the same port if the program bound one and the kernel has
 *                       it free, else to any
 *     connect()         without waiting. An error at once (no route, no permission): the new socket is closed, the
 *                       old one is as it was, the program has the kernel's errno
 *     swap              registrations in epolls find a socket that is connecting
 *     wait              a blocking socket is made blocking again, and connect() called once more: the kernel waits,
 *                       with its own timeouts, signals and errno. The second net does not wait: there the
 *                       program's own call goes on in the kernel (net2/serve.c)
 *
 * A socket that failed outside and is then connected to a host is the kernel's by now, and comes back the same way
 * (outside_again()): whether the kernel has still something to tell of the attempt before, an error or that it goes
 * on, a connect() with an address that is too short finds out. It is judged after that and does nothing.
 */
#include <netinet/tcp.h>
#include <string.h>

#include "shim/gone.h"
#include "shim/outside.h"
#include "shim/spin.h"
#include "shim/swap.h"
#include "shim/udp.h"

#define TCP_CLOSE_ 7 /* of the kernel's enum, which linux/tcp.h has not */

struct target_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage any;
	};
	socklen_t len;
};

/* --- the address --- */

/* The network's first address of each family: the machine itself. */
static bool is_gateway(const struct shim *s, const struct port_addr *a)
{
	struct port_addr g = port_addr_is4(a) ? s->net.net4 : s->net.net6;

	g.b[15] |= 1;
	return port_addr_equal(&g, a);
}

/* Where an address that programs use really leads. */
static void destination(const struct shim *s, const struct port_addr *peer, const struct sockaddr *sa, socklen_t len,
			struct target_addr *ret)
{
	ret->len = len < sizeof(ret->any) ? len : sizeof(ret->any);
	memcpy(&ret->any, sa, ret->len);
	if (!is_gateway(s, peer))
		return;
	if (sa->sa_family == AF_INET)
		ret->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (port_addr_is4(peer)) /* ::ffff:127.0.0.1 */
		memcpy(ret->in6.sin6_addr.s6_addr + 12, "\x7f\0\0\1", 4);
	else
		ret->in6.sin6_addr = in6addr_loopback;
}

bool outside_is(struct shim *s, const struct port_addr *peer)
{
	return is_gateway(s, peer) || !network_covers(&s->net, peer);
}

/* --- the kernel's socket --- */

static int make(const struct tag *t, bool nonblocking)
{
	return sys_socket(t->family == PORT_FAMILY_6 ? AF_INET6 : AF_INET,
			  (t->flags & TAG_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC |
				  (nonblocking ? SOCK_NONBLOCK : 0),
			  0);
}

/* The port that bind() gave the old one, if the machine has it free. A host's address is none of the machine's. */
static void bind_like(struct shim *s, int fd, int fresh, const struct tag *t)
{
	struct target_addr a = {.len = sizeof(a.in)};
	struct port_claim c;
	struct port_ref ref;

	if (sock_claim(s, fd, t, &ref, &c) < 0 || !c.port || c.flags & PORT_AUTOBOUND)
		return;
	if (t->family == PORT_FAMILY_6) {
		a.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(c.port)};
		a.len = sizeof(a.in6);
	} else {
		a.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(c.port)};
	}
	(void)sys_bind(fresh, &a.sa, a.len); /* taken, or privileged: the kernel chooses one, as we would */
}

/* connect(2) without waiting, whatever the socket's flag says. */
static int start(int fd, bool nonblocking, const struct target_addr *to)
{
	int fl = sys_fcntl(fd, F_GETFL, 0), r;

	if (!nonblocking)
		(void)sys_fcntl(fd, F_SETFL, fl | O_NONBLOCK);
	r = (int)sys_call(SYS_connect, fd, (long)&to->sa, to->len, 0, 0);
	if (!nonblocking)
		(void)sys_fcntl(fd, F_SETFL, fl & ~O_NONBLOCK);
	return r;
}

/* A blocking socket waits for what was begun. */
static int finish(int fd, bool nonblocking, const struct target_addr *to, int r)
{
#ifdef BERTH_NET2
	(void)fd, (void)nonblocking, (void)to;
#else
	if (r == -EINPROGRESS && !nonblocking) {
		r = sys_connect(fd, &to->sa, to->len);
		if (r == -EALREADY) /* SO_SNDTIMEO is over: what the first call says then */
			r = -EINPROGRESS;
	}
#endif
	return r;
}

/* It is the kernel's from now on: nothing of ours is to look at it. */
static void let_go(int fd)
{
	gone_forget(fd);
	spin_forget(fd);
	fdset_remove(fd, fdset_word(fd));
}

int outside_connect(struct shim *s, int fd, struct tag *t, const struct port_addr *peer, uint16_t port,
		    const struct sockaddr *sa, socklen_t len)
{
	bool nonblocking = sock_nonblocking(fd), had;
	struct target_addr to;
	struct port_claim c;
	struct port_ref ref;
	int fresh, r;

	r = shim_may_pass(s, t->flags & TAG_UDP ? PORT_UDP : PORT_TCP, peer, port);
	if (r < 0)
		return r;
	destination(s, peer, sa, len, &to);
	fresh = make(t, true);
	if (fresh < 0)
		return fresh;
	carry_out(fd, fresh, t);
	bind_like(s, fd, fresh, t);
	r = start(fresh, true, &to);
	if (r < 0 && r != -EINPROGRESS) {
		sys_close(fresh);
		return r;
	}
	if (!nonblocking)
		(void)sys_fcntl(fresh, F_SETFL, O_RDWR);
	had = sock_claim(s, fd, t, &ref, &c) == 0;
	if (swap_socket(fd, fresh) < 0)
		r = -EBADF;
	sys_close(fresh);
	if (had) /* ends now, unless another process has the old socket still */
		(void)network_dead(&s->net, t->host, ref);
	let_go(fd);
	return finish(fd, nonblocking, &to, r);
}

/* --- a socket that is the kernel's --- */

static bool number(int fd, int name, int32_t *ret)
{
	socklen_t len = sizeof(*ret);

	return sys_getsockopt(fd, SOL_SOCKET, name, ret, &len) == 0 && len == sizeof(*ret);
}

/* Has it neither a connection nor one under way, nor something to tell of one? Return: 0; else the answer to connect(). */
static int is_idle(int fd)
{
	struct sockaddr too_short = {.sa_family = AF_INET};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	int r;

	if (sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || info.tcpi_state != TCP_CLOSE_)
		return -EISCONN; /* never said: the kernel is asked */
	r = (int)sys_call(SYS_connect, fd, (long)&too_short, sizeof(too_short.sa_family), 0, 0);
	return r == -EINVAL ? 0 : r;
}

/* A socket of ours comes in its place, and connects. */
static int come_home(struct shim *s, int fd, enum port_family f, const struct sockaddr *sa, socklen_t len)
{
	struct tag t = {.state = SOCK_NEW, .family = f, .host = s->host.index};
	int fresh, r;

	carry_home(fd, &t);
	fresh = sock_new(&t, SOCK_CLOEXEC | (sock_nonblocking(fd) ? SOCK_NONBLOCK : 0));
	if (fresh < 0)
		return fresh;
	carry_values_home(fd, fresh, &t);
	r = swap_socket(fd, fresh);
	sys_close(fresh);
	if (r < 0)
		return r;
	gone_mark(fd);
	return sock_connect(s, fd, &t, sa, len);
}

bool outside_again(struct shim *s, int fd, const struct sockaddr *sa, socklen_t len, int *ret)
{
	bool six, nonblocking;
	struct target_addr to;
	struct port_addr peer;
	int32_t domain, protocol;
	uint16_t port;

	if (s->err || confined() || (int)len < (int)sizeof(struct sockaddr_in) || bad_pointer(sa))
		return false;
	six = sa->sa_family == AF_INET6;
	if (six ? len < offsetof(struct sockaddr_in6, sin6_scope_id) : sa->sa_family != AF_INET)
		return false;
	if (!number(fd, SO_DOMAIN, &domain) || domain != sa->sa_family || !number(fd, SO_PROTOCOL, &protocol) ||
	    protocol != IPPROTO_TCP)
		return false;
	addr_read(six ? PORT_FAMILY_6 : PORT_FAMILY_4, sa, len, &peer, &port);
	if (port_addr_is_any(&peer) || port_addr_is_loopback(&peer) || !outside_is(s, &peer)) {
		*ret = is_idle(fd);
		if (*ret == -EISCONN)
			return false;
		if (*ret == 0)
			*ret = come_home(s, fd, six ? PORT_FAMILY_6 : PORT_FAMILY_4, sa, len);
		return true;
	}
	*ret = shim_may_pass(s, PORT_TCP, &peer, port);
	if (*ret < 0 && is_idle(fd) != -EISCONN) /* what is connected, or about to be, asks only how it stands */
		return true;
	if (!is_gateway(s, &peer))
		return false;
	destination(s, &peer, sa, len, &to);
	nonblocking = sock_nonblocking(fd);
	*ret = finish(fd, nonblocking, &to, start(fd, nonblocking, &to));
	return true;
}
