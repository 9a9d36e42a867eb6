/* src/shim/outside.c: connect() to an address that is no host's: the way out.
 *
 * A socket of ours is AF_UNIX's and reaches hosts only. When a program connects one to the outside, a socket of the
 * kernel's own comes behind the same descriptor number (swap.c), with what was set on it (carry.c), and from then on
 * it is the kernel's alone: it has no tag, so every function of ours leaves it to libc, after one bit test.
 *
 *     whose address?    a host's: connect.c. Inside the subnet, but nobody's: unreachable. Else here
 *     may it?           shim_may_pass(); refused is counted and told
 *     the gateway's     the machine itself: its loopback of that family
 *     socket()          the kernel's, with options; bound to the same port if the program bound one and the kernel has
 *                       it free, else to any
 *     connect()         without waiting. An error at once (no route, no permission): the new socket is closed, the
 *                       old one is as it was, the program has the kernel's errno
 *     swap              unless another process has the socket, too: then it stays, and is relayed (shared.c).
 *                       Registrations in epolls find a socket that is connecting
 *     wait              a blocking socket is made blocking again, and connect() called once more: the kernel waits,
 *                       with its own timeouts, signals and errno. The second net does not wait: there the
 *                       program's own call goes on in the kernel (net2/serve.c)
 *
 * A socket that failed outside, or was disconnected, and is then bound or listens, must not do so on the machine's
 * network: it comes back to its host (outside_serves()). One that is then connected to a host comes back the same way
 * (outside_again()): whether the kernel has still something to tell of the attempt before, an error or that it goes
 * on, a connect() with an address that is too short finds out. It is judged after that and does nothing.
 */
#include <netinet/tcp.h>
#include <string.h>

#include "network/policy.h"
#include "shim/gone.h"
#include "shim/outside.h"
#include "shim/shared.h"
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

/* Where an address that programs use really leads. */
static void destination(const struct shim *s, const struct port_addr *peer, const struct sockaddr *sa, socklen_t len,
			struct target_addr *ret)
{
	ret->len = len < sizeof(ret->any) ? len : sizeof(ret->any);
	memcpy(&ret->any, sa, ret->len);
	if (!network_is_gateway(&s->net, peer))
		return;
	if (sa->sa_family == AF_INET)
		ret->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (port_addr_is4(peer)) /* ::ffff:127.0.0.1 */
		memcpy(ret->in6.sin6_addr.s6_addr + 12, "\x7f\0\0\1", 4);
	else
		ret->in6.sin6_addr = in6addr_loopback;
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

/* The claim ends now, unless another process has the old socket still; so does the mailbox. */
static void release(struct shim *s, const struct tag *t, const struct port_ref *ref, const struct udp *u)
{
	if (u && !mailbox_alive(&s->net, u->key)) {
		udp_cork_closed(u->cookie);
		mailbox_unlink(&s->net, u->key);
	}
	if (ref)
		(void)network_dead(&s->net, t->host, *ref);
	if (u && ref)
		network_udp_changed(&s->net, t->host);
}

/* u: a UDP socket; else NULL. */
static int go(struct shim *s, int fd, struct tag *t, const struct udp *u, const struct mailbox_state *st,
	      const struct target_addr *to)
{
	bool nonblocking = sock_nonblocking(fd), had;
	int fresh = make(t, true), r, at_all;
	struct port_claim c;
	struct port_ref ref;

	if (fresh < 0)
		return fresh;
	carry_out(fd, fresh, t);
	if (u)
		udp_carry_out(st, fresh);
	bind_like(s, fd, fresh, t);
	r = start(fresh, true, to);
	if (r < 0 && r != -EINPROGRESS) {
		sys_close(fresh);
		return r;
	}
	if (!u && shared_is(fd)) {
		r = shared_connect(s, fd, t, fresh, &to->sa, to->len);
		sys_close(fresh);
		return r;
	}
	if (!nonblocking)
		(void)sys_fcntl(fresh, F_SETFL, O_RDWR);
	had = sock_claim(s, fd, t, &ref, &c) == 0;
	if (u)
		udp_outer_closed(u->cookie);
	at_all = swap_socket(fd, fresh);
	sys_close(fresh);
	if (at_all < 0)
		return at_all;
	release(s, t, had ? &ref : NULL, u);
	let_go(fd);
	return finish(fd, nonblocking, to, r);
}

int outside_connect(struct shim *s, int fd, struct tag *t, const struct port_addr *peer, const struct sockaddr *sa,
		    socklen_t len)
{
	struct target_addr to;

	destination(s, peer, sa, len, &to);
	return go(s, fd, t, NULL, NULL, &to);
}

int outside_connect_udp(const struct udp *u, const struct mailbox_state *st, const struct port_addr *peer,
			const struct sockaddr *sa, socklen_t len)
{
	struct target_addr to;
	struct tag t;
	int r = tag_get(u->fd, &t);

	if (r < 0)
		return r;
	destination(u->s, peer, sa, len, &to);
	return go(u->s, u->fd, &t, u, st, &to);
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

/* A socket of ours comes in its place. */
static int bring_home(struct shim *s, int fd, enum port_family f, bool udp, struct tag *ret)
{
	struct tag t = {.state = SOCK_NEW, .family = f, .flags = udp ? TAG_UDP : 0, .host = s->host.index};
	int type_flags = SOCK_CLOEXEC | (sock_nonblocking(fd) ? SOCK_NONBLOCK : 0), fresh, r;

	carry_home(fd, &t);
	fresh = udp ? outside_new_udp(s, f, type_flags) : sock_new(&t, type_flags);
	if (fresh < 0)
		return fresh;
	if (udp)
		tag_set(fresh, &t);
	carry_values_home(fd, fresh, &t);
	if (udp)
		udp_carry_home(s, fd, fresh);
	r = swap_socket(fd, fresh);
	sys_close(fresh);
	if (r == 0 && !udp)
		gone_mark(fd);
	*ret = t;
	return r;
}

static int come_home(struct shim *s, int fd, enum port_family f, bool udp, const struct sockaddr *sa, socklen_t len)
{
	struct tag t;
	struct udp u;
	int r = bring_home(s, fd, f, udp, &t);

	if (r < 0)
		return r;
	if (!udp)
		return sock_connect(s, fd, &t, sa, len);
	u = udp_of(s, fd);
	return udp_connect(&u, sa, len);
}

/* What kind of socket of the kernel's is it? False: none that could have been ours. */
static bool kind_of(int fd, enum port_family *ret_family, bool *ret_udp)
{
	int32_t domain, type, protocol;

	if (!number(fd, SO_DOMAIN, &domain) || (domain != AF_INET && domain != AF_INET6) ||
	    !number(fd, SO_TYPE, &type) || !number(fd, SO_PROTOCOL, &protocol))
		return false;
	*ret_family = domain == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4;
	*ret_udp = type == SOCK_DGRAM && protocol == IPPROTO_UDP;
	return *ret_udp || (type == SOCK_STREAM && protocol == IPPROTO_TCP);
}

/* Has nobody bound it? bind(2) says so, which where it finds that nobody has, changes nothing that is kept. */
static bool is_unbound(int fd, enum port_family f)
{
	struct target_addr any = {.len = f == PORT_FAMILY_6 ? sizeof(any.in6) : sizeof(any.in)};
	int32_t on = 1, was = 0;
	socklen_t len = sizeof(was);
	bool unbound;

	any.sa.sa_family = f == PORT_FAMILY_6 ? AF_INET6 : AF_INET;
	if (sys_getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &was, &len) < 0 ||
	    sys_setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
		return false;
	unbound = sys_bind(fd, &any.sa, any.len) == 0;
	(void)sys_setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &was, sizeof(was));
	return unbound;
}

/* The port that it is bound to, on the socket in its place. */
static int bind_again(struct shim *s, int fd, struct tag *t, uint16_t port)
{
	struct target_addr a = {.len = t->family == PORT_FAMILY_6 ? sizeof(a.in6) : sizeof(a.in)};

	if (t->family == PORT_FAMILY_6)
		a.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	else
		a.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	return sock_bind(s, fd, t, &a.sa, a.len);
}

bool outside_serves(struct shim *s, int fd, bool listens, int *ret)
{
	struct target_addr own = {.len = sizeof(own.any)};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	enum port_family f;
	uint16_t port = 0;
	struct tag t;
	bool udp;

	*ret = 0;
	if (s->err || confined() || !kind_of(fd, &f, &udp) || udp ||
	    sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || info.tcpi_state != TCP_CLOSE_)
		return false;
	if (!is_unbound(fd, f)) {
		if (!listens) /* bound is bound: the kernel says so */
			return false;
		if (sys_getsockname(fd, (void *)&own.any, &own.len) < 0)
			return false;
		port = ntohs(f == PORT_FAMILY_6 ? own.in6.sin6_port : own.in.sin_port);
	}
	*ret = bring_home(s, fd, f, false, &t);
	if (*ret == 0 && port)
		*ret = bind_again(s, fd, &t, port);
	return true;
}

static int home_if_idle(struct shim *s, int fd, enum port_family f, bool udp, const struct sockaddr *sa, socklen_t len)
{
	int r = udp ? 0 : is_idle(fd);

	return r == 0 ? come_home(s, fd, f, udp, sa, len) : r;
}

static bool is_inside(struct shim *s, enum port_proto proto, const struct port_addr *a, uint16_t port)
{
	if (port_addr_is_any(a) || port_addr_is_loopback(a))
		return !nameserver_is(s, proto, a, port);
	return network_covers(&s->net, a) && !network_is_gateway(&s->net, a);
}

bool outside_again(struct shim *s, int fd, const struct sockaddr *sa, socklen_t len, int *ret)
{
	struct target_addr to;
	enum port_family f, of;
	struct port_addr peer;
	uint16_t port;
	bool udp, nonblocking;

	if (s->err || confined() || (int)len < (int)sizeof(sa->sa_family) || len > sizeof(to.any) || bad_pointer(sa) ||
	    (sa->sa_family != AF_INET && sa->sa_family != AF_INET6 && sa->sa_family != AF_UNSPEC) ||
	    !kind_of(fd, &f, &udp))
		return false;
	if (sa->sa_family == AF_UNSPEC) {
		if (udp) /* may talk to hosts again */
			*ret = come_home(s, fd, f, udp, sa, len);
		return udp;
	}
	of = sa->sa_family == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4;
	if (len < (of == PORT_FAMILY_6 ? offsetof(struct sockaddr_in6, sin6_scope_id) : sizeof(struct sockaddr_in)) ||
	    (of == PORT_FAMILY_6 && f == PORT_FAMILY_4))
		return false;
	addr_read(of, sa, len, &peer, &port);
	if (is_inside(s, udp ? PORT_UDP : PORT_TCP, &peer, port)) {
		*ret = home_if_idle(s, fd, f, udp, sa, len);
		return *ret != -EISCONN;
	}
	*ret = shim_may_pass(s, udp ? PORT_UDP : PORT_TCP, &peer, port);
	if (*ret < 0) {
		int idle = udp ? 0 : is_idle(fd);

		*ret = idle < 0 ? idle : *ret;
		return idle != -EISCONN; /* what is connected, or about to be, asks only how it stands */
	}
	if (!network_is_gateway(&s->net, &peer))
		return false;
	destination(s, &peer, sa, len, &to);
	nonblocking = sock_nonblocking(fd);
	*ret = finish(fd, nonblocking, &to, start(fd, nonblocking, &to));
	return true;
}

/* Only a socket with a peer can be one that went outside: without, it was given to the program from elsewhere, and its
 * answers go where they must. TCP opens connections this way, too. */
int outside_name(struct shim *s, int fd, const struct sockaddr *sa, socklen_t len, int flags,
		 struct sockaddr_storage *ret)
{
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	struct target_addr to;
	enum port_family f, of;
	struct port_addr a;
	uint16_t port;
	bool udp;
	int r;

	if (!s || s->err || confined() || (int)len < (int)sizeof(struct sockaddr_in) || len > sizeof(to.any) ||
	    bad_pointer(sa) || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6 && sa->sa_family != AF_UNSPEC) ||
	    !kind_of(fd, &f, &udp))
		return 0;
	of = sa->sa_family == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4; /* to UDP, AF_UNSPEC is AF_INET */
	if ((of == PORT_FAMILY_6 && (f == PORT_FAMILY_4 || len < offsetof(struct sockaddr_in6, sin6_scope_id))) ||
	    (sa->sa_family == AF_UNSPEC && f == PORT_FAMILY_6))
		return 0;
	if (udp ? sys_getpeername(fd, (void *)&peer, &peer_len) < 0 : !(flags & MSG_FASTOPEN))
		return 0;
	addr_read(of, sa, len, &a, &port);
	if (is_inside(s, udp ? PORT_UDP : PORT_TCP, &a, port))
		return -ENETUNREACH; /* a host's, where this socket does not lead */
	r = shim_may_pass(s, udp ? PORT_UDP : PORT_TCP, &a, port);
	if (r < 0 || !network_is_gateway(&s->net, &a))
		return r;
	destination(s, &a, sa, len, &to);
	memcpy(ret, &to.any, len);
	return 1;
}
