/* src/shim/socket.c: socket, bind, listen, shutdown.
 *
 * A TCP socket of a program under berth is an AF_UNIX stream socket from the start, so that the
 * descriptor the program puts into its epoll or hands to a child is the one that carries the data.
 *
 *     socket()   the AF_UNIX socket, its send buffer raised, its tag
 *     bind()     a claim in the host's table; nothing on the socket (AF_UNIX binds once, and the name
 *                differs between a listener and a client: it is bound when we know which)
 *     listen()   the claim listens; the socket is bound to the claim's path; listen(2); ready
 *     shutdown() of a listener: the claim stays held and no longer listens, as TCP's does
 *
 * close() does nothing for TCP: a claim whose socket is gone is found dead by the next who wants the port.
 */
#include <string.h>
#include <sys/un.h>

#include "shim/deaf.h"
#include "shim/shared.h"
#include "shim/gone.h"
#include "shim/outside.h"
#include "shim/shim.h"
#include "shim/spin.h"
#include "shim/swap.h"
#include "shim/udp.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define BACKLOG 4096	      /* the kernel clamps it to somaxconn. A full AF_UNIX backlog cannot be polled */
#define SNDBUF_WISH (1 << 28) /* clamped to wmem_max */
#define PEER_RCVBUF 131072    /* what TCP's peer takes besides our SO_SNDBUF, while it reads nothing */
#define FIRST_LEN_MAX 128     /* sizeof(struct sockaddr_storage): longer is EINVAL */

void sock_grow(int fd, const struct tag *t)
{
	int wish = SNDBUF_WISH;
	int32_t own;

	if (t->flags & TAG_EXTRA && extra_get(sock_cookie(fd), EXTRA_SNDBUF, &own))
		wish = (int)(((int64_t)own + PEER_RCVBUF) / 2); /* the kernel doubles it */
	(void)sys_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wish, sizeof(wish));
}

uint64_t sock_cookie(int fd)
{
	uint64_t v = 0;
	socklen_t len = sizeof(v);

	return sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &v, &len) < 0 ? 0 : v;
}

bool sock_nonblocking(int fd)
{
	int fl = sys_fcntl(fd, F_GETFL, 0);

	return fl >= 0 && (fl & O_NONBLOCK);
}

int sock_new(const struct tag *t, int type_flags)
{
	int fd = sys_socket(AF_UNIX, SOCK_STREAM | type_flags, 0);

	if (fd < 0)
		return fd;
	sock_grow(fd, &(struct tag){0});
	tag_set(fd, t);
	return fd;
}

static int new_ip(struct shim *s, int domain, int type_flags)
{
	struct tag t = {.state = SOCK_NEW, .family = PORT_FAMILY_4, .host = s->host.index};
	int fd;

	if (s->err)
		return s->err;
	if (domain == AF_INET6)
		t.family = PORT_FAMILY_6;
	fd = sock_new(&t, type_flags);
	gone_mark(fd);
	return fd;
}

EXPORT(int, socket, (int domain, int type, int protocol))
{
	struct shim *s = shim_calls();
	int flags = type & ~0xf, r;

	if (s && (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_DGRAM &&
	    !(flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) && (protocol == 0 || protocol == IPPROTO_UDP))
		return shim_ret(udp_new(s, domain == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4, flags));
	if (!s || (domain != AF_INET && domain != AF_INET6) || (type & 0xf) != SOCK_STREAM ||
	    (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)))
		return shim_next()->socket(domain, type, protocol);
	if (protocol == IPPROTO_MPTCP) /* as a kernel without it: programs fall back to TCP */
		return shim_ret(-EPROTONOSUPPORT);
	if (protocol != 0 && protocol != IPPROTO_TCP)
		return shim_next()->socket(domain, type, protocol);
	r = new_ip(s, domain, flags);
	shared_new(r);
	return shim_ret(r);
}

int sock_claim(struct shim *s, int fd, const struct tag *t, struct port_ref *ret_ref, struct port_claim *ret)
{
	if (!(t->flags & TAG_CLAIM))
		return -ESTALE;
	if (network_get_slot(&s->net, t->host, t->slot, ret_ref, ret) < 0)
		return -ESTALE;
	return ret->owner.cookie && ret->owner.cookie == sock_cookie(fd) ? 0 : -ESTALE;
}

int sock_want(struct shim *s, int fd, const struct tag *t, struct port_want *ret)
{
	int32_t v;

	memset(ret, 0, sizeof(*ret));
	ret->proto = t->flags & TAG_UDP ? PORT_UDP : PORT_TCP;
	ret->family = t->family;
	ret->addr = addr_any(t->family);
	ret->uid = shim_euid(s);
	ret->flags |= t->flags & TAG_REUSEADDR ? PORT_REUSEADDR : 0;
	ret->flags |= t->flags & TAG_REUSEPORT ? PORT_REUSEPORT : 0;
	ret->flags |= t->family == PORT_FAMILY_6 && t->flags & TAG_V6ONLY ? PORT_V6ONLY : 0;
	ret->flags |= t->flags & TAG_FREEBIND ? PORT_FREEBIND : 0;
	ret->flags |= t->flags & TAG_UDP && shim_pumped(fd) ? PORT_PUMPED : 0;
	if (t->flags & TAG_EXTRA) {
		uint64_t cookie = sock_cookie(fd);

		if (extra_get(cookie, EXTRA_DEV, &v))
			ret->dev = (uint32_t)v;
		if ((extra_get(cookie, EXTRA_TRANSPARENT, &v) && v) ||
		    (extra_get(cookie, EXTRA_V6_TRANSPARENT, &v) && v))
			ret->flags |= PORT_FREEBIND;
		if (extra_get(cookie, EXTRA_PORT_RANGE, &v))
			ret->range = (struct port_range){(uint16_t)v, (uint16_t)((uint32_t)v >> 16)};
	}
	return shim_owner(s, fd, &ret->owner);
}

int sock_check_addr(enum port_family f, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in in;

	if ((int)len < 0 || len > FIRST_LEN_MAX)
		return -EINVAL;
	if (len && bad_pointer(sa))
		return -EFAULT;
	if (f == PORT_FAMILY_6) {
		if (len < offsetof(struct sockaddr_in6, sin6_scope_id))
			return -EINVAL;
		return sa->sa_family == AF_INET6 ? 0 : -EAFNOSUPPORT;
	}
	if (len < sizeof(in))
		return -EINVAL;
	memcpy(&in, sa, sizeof(in));
	if (in.sin_family == AF_INET || (in.sin_family == AF_UNSPEC && in.sin_addr.s_addr == INADDR_ANY))
		return 0;
	return -EAFNOSUPPORT;
}

/* IP_BIND_ADDRESS_NO_PORT: an address that the tag can name needs no claim until connect(). */
static enum tag_late late_code(const struct shim *s, const struct tag *t, const struct port_addr *a)
{
	const struct port_addr *own = port_addr_is4(a) ? &s->host.addr4 : &s->host.addr6;
	struct port_addr loop = port_addr_is4(a) ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6, any = addr_any(t->family);

	if (t->family == PORT_FAMILY_6 && port_addr_is4(a))
		return LATE_NONE;
	if (port_addr_equal(a, &any))
		return LATE_ANY;
	if (port_addr_equal(a, &loop))
		return LATE_LOOP;
	return port_addr_equal(a, own) ? LATE_OWN : LATE_NONE;
}

void sock_unclaimed(const struct shim *s, struct tag *t, const struct port_addr *a, uint16_t port)
{
	enum tag_late late = late_code(s, t, a);

	t->state = SOCK_NEW;
	t->flags &= (uint16_t)~TAG_CLAIM;
	t->slot = (uint32_t)(late == LATE_ANY ? LATE_NONE : late) | (uint32_t)port << LATE_PORT_SHIFT;
}

void sock_undo(struct shim *s, int fd, struct tag *t, struct port_ref ref, const struct port_claim *c)
{
	struct port_addr bound = c->flags & PORT_COLLAPSED ? addr_any(t->family) : c->addr;
	bool keep = late_code(s, t, &bound) == LATE_NONE; /* an address the tag cannot name stays claimed */
	struct port_owner o;
	int r = shim_owner(s, fd, &o);

	if (r == 0)
		r = network_undo(&s->net, t->host, ref, keep, &o);
	if (r == 0) {
		t->state = SOCK_BOUND;
		t->slot = ref.slot;
		t->flags |= TAG_CLAIM;
	} else {
		sock_unclaimed(s, t, &bound, c->port);
	}
}

int sock_replace(int fd, struct tag *t)
{
	int fl = sys_fcntl(fd, F_GETFL, 0), r, new_fd;

	if (fl < 0)
		return -EBADF;
	t->state = SOCK_NEW;
	t->slot = LATE_NONE;
	t->flags &= (uint16_t) ~(TAG_CLAIM | TAG_FRESH | TAG_SHUT_RD | TAG_SHUT_WR);
	new_fd = sock_new(t, SOCK_CLOEXEC | (fl & O_NONBLOCK ? SOCK_NONBLOCK : 0));
	if (new_fd < 0)
		return new_fd;
	sock_inherit(fd, new_fd, t, true);
	r = swap_socket(fd, new_fd);
	sys_close(new_fd);
	return r;
}

int sock_revive(struct shim *s, int fd, struct tag *t)
{
	uint32_t slot = t->slot;
	struct port_owner o;
	struct port_claim c;
	struct port_ref ref;
	bool had;
	int r;

	if (!(t->flags & TAG_SHUT_RD) || (t->state != SOCK_NEW && t->state != SOCK_BOUND))
		return 0;
	had = sock_claim(s, fd, t, &ref, &c) == 0;
	r = sock_replace(fd, t);
	if (r < 0)
		return r;
	t->slot = had ? LATE_NONE : slot;
	if (had && shim_owner(s, fd, &o) == 0 && network_undo(&s->net, t->host, ref, true, &o) == 0) {
		t->state = SOCK_BOUND;
		t->slot = slot;
		t->flags |= TAG_CLAIM;
	}
	tag_set(fd, t);
	return 0;
}

/* Linux takes a socket for IPv6-only that is bound to an address of IPv6's, and IPV6_V6ONLY says so. */
static void mark_v6only(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct port_addr a;
	uint16_t port;
	struct tag t;

	if (tag_get(fd, &t) < 0 || t.family != PORT_FAMILY_6)
		return;
	addr_read(t.family, sa, len, &a, &port);
	if (port_addr_is_any(&a) || port_addr_is4(&a))
		return;
	t.flags |= TAG_V6ONLY;
	tag_set(fd, &t);
}

int sock_bind(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len)
{
	struct port_ref have = PORT_REF_NONE, ref;
	struct port_refusal refusal = {0};
	struct port_claim c;
	struct port_want want;
	int r = sock_check_addr(t->family, sa, len);

	if (r < 0)
		return r;
	r = sock_want(s, fd, t, &want);
	if (r < 0)
		return r;
	addr_read(t->family, sa, len, &want.addr, &want.port);
	if (want.port && shim_privileged(s))
		want.flags |= PORT_PRIVILEGED;
	if (t->state == SOCK_NEW && want.port == 0 && t->flags & TAG_NOPORT) {
		enum tag_late late = late_code(s, t, &want.addr);

		if (late != LATE_NONE) {
			t->slot = late;
			tag_set(fd, t);
			return 0;
		}
	}
	if (sock_claim(s, fd, t, &have, &c) < 0 && (t->state == SOCK_CONNECTED || t->state == SOCK_ACCEPTED))
		return -EINVAL;
	r = network_bind(&s->net, t->host, have, &want, &ref, &refusal);
	if (r < 0) {
		if (r == -EADDRINUSE || r == -EACCES || r == -EADDRNOTAVAIL || r == -ENOBUFS || r == -ETIMEDOUT)
			shim_event(s, r == -ETIMEDOUT ? 'k' : 'b', &want, &refusal);
		return r;
	}
	if (t->state == SOCK_NEW) /* one that was refused and not yet told so still has to be */
		t->state = SOCK_BOUND;
	t->slot = ref.slot;
	t->flags |= TAG_CLAIM;
	tag_set(fd, t);
	mark_v6only(fd, sa, len);
	return 0;
}

EXPORT(int, bind, (int fd, const struct sockaddr *sa, socklen_t len))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s)
		return shim_next()->bind(fd, sa, len);
	if (tag_get(fd, &t) < 0) {
		int r;

		if (!outside_serves(s, fd, false, &r))
			return shim_next()->bind(fd, sa, len);
		if (r < 0 || tag_get(fd, &t) < 0)
			return shim_ret(r);
	}
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);
		int r = udp_bind(&u, sa, len);

		if (r == 0)
			mark_v6only(fd, sa, len);
		return shim_ret(r);
	}
	return shim_ret(sock_bind(s, fd, &t, sa, len));
}

static struct port_addr late_addr(const struct shim *s, const struct tag *t)
{
	bool v6 = t->family == PORT_FAMILY_6;

	if (t->flags & TAG_CLAIM)
		return addr_any(t->family);
	switch ((enum tag_late)(t->slot & LATE_CODE)) {
	case LATE_LOOP:
		return v6 ? PORT_ADDR_LOOP6 : PORT_ADDR_LOOP4;
	case LATE_OWN:
		return v6 ? s->host.addr6 : s->host.addr4;
	case LATE_ANY:
	case LATE_NONE:
		break;
	}
	return addr_any(t->family);
}

/* A listener's address, from its own name: no lock and no table, so that a program that is in a sandbox, or out of
 * reach of the network's folder, hears it as well. */
static int listener_name(struct shim *s, int fd, struct port_addr *ret, uint16_t *ret_port)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	struct port_claim c;

	if (sys_getsockname(fd, &un, &len) < 0 || len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(un) ||
	    network_path_parse(&s->net, un.sun_path, len - offsetof(struct sockaddr_un, sun_path), &c) < 0 ||
	    port_addr_is_linklocal6(&c.addr))
		return -ENOENT;
	*ret = c.addr;
	*ret_port = c.port;
	return 0;
}

int sock_name(struct shim *s, int fd, const struct tag *t, bool peer, struct port_addr *ret, uint16_t *ret_port)
{
	struct network_name flow;
	struct port_claim c;
	struct port_ref ref;
	bool client = t->state == SOCK_CONNECTED;

	if (client || t->state == SOCK_ACCEPTED) {
		bool local = client != peer;

		if (sock_flow(s, fd, t, &flow) < 0)
			return -ENOTCONN;
		*ret = local ? flow.tuple.local : flow.tuple.remote;
		*ret_port = local ? flow.tuple.local_port : flow.tuple.remote_port;
		return 0;
	}
	if (peer)
		return -ENOTCONN;
	if (t->state == SOCK_LISTENING && listener_name(s, fd, ret, ret_port) == 0)
		return 0;
	if (sock_claim(s, fd, t, &ref, &c) == 0) {
		*ret = c.addr;
		*ret_port = c.port;
	} else {
		*ret = late_addr(s, t);
		*ret_port = t->flags & TAG_CLAIM ? 0 : (uint16_t)(t->slot >> LATE_PORT_SHIFT);
	}
	return 0;
}

static int sock_listen(struct shim *s, int fd, struct tag *t)
{
	struct port_ref ref = PORT_REF_NONE;
	struct port_refusal refusal = {0};
	struct port_claim c;
	struct port_want want;
	int r;

	if (t->state == SOCK_LISTENING)
		return sys_listen(fd, BACKLOG); /* only the backlog: nginx does it to every socket */
	if (t->state != SOCK_NEW && t->state != SOCK_BOUND)
		return -EINVAL;
	r = sock_revive(s, fd, t);
	if (r == 0)
		r = sock_want(s, fd, t, &want);
	if (r < 0)
		return r;
	want.addr = late_addr(s, t);
	if (t->flags & TAG_CLAIM) {
		if (sock_claim(s, fd, t, &ref, &c) < 0)
			return -EINVAL;
		want.addr = c.addr; /* for the explanation; the claim itself decides */
		want.port = c.port;
	}
	r = network_listen(&s->net, t->host, &ref, &want, &refusal);
	if (r < 0) {
		if (r == -EADDRINUSE || r == -ENOBUFS || r == -ETIMEDOUT)
			shim_event(s, r == -ETIMEDOUT ? 'k' : 'l', &want, &refusal);
		return r;
	}
	t->slot = ref.slot;
	t->flags |= TAG_CLAIM;
	t->state = SOCK_BOUND;
	r = sock_claim(s, fd, t, &ref, &c);
	if (r == 0)
		r = network_path_bind(&s->net, fd, t->host, ref, &c);
	if (r == 0)
		r = sys_listen(fd, BACKLOG);
	if (r == 0)
		r = network_listen_ready(&s->net, t->host, ref);
	if (r < 0) {
		int ignored = network_unlisten(&s->net, t->host, ref);

		(void)ignored; /* the claim may be gone; the error we return is the one that matters */
		tag_set(fd, t);
		return r == -ESTALE ? -EADDRINUSE : r == -ENOENT ? -ENETDOWN : r; /* ENOENT: the folder is gone */
	}
	t->state = SOCK_LISTENING;
	tag_set(fd, t);
	return 0;
}

EXPORT(int, listen, (int fd, int backlog))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s)
		return shim_next()->listen(fd, backlog);
	if (tag_get(fd, &t) < 0) {
		int r;

		if (!outside_serves(s, fd, true, &r))
			return shim_next()->listen(fd, backlog);
		if (r < 0 || tag_get(fd, &t) < 0)
			return shim_ret(r);
	}
	if (t.flags & TAG_UDP)
		return shim_ret(-EOPNOTSUPP);
	return shim_ret(sock_listen(s, fd, &t));
}

static int sock_shutdown(struct shim *s, int fd, struct tag *t, int how)
{
	struct port_claim c;
	struct port_ref ref;
	int r = 0;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	switch (t->state) {
	case SOCK_NEW:
	case SOCK_BOUND:
	case SOCK_CONNECTING:
	case SOCK_REFUSED:
	case SOCK_ABORTED:
		return -ENOTCONN;
	case SOCK_LISTENING:
		if (how == SHUT_WR)
			return 0;
		t->state = SOCK_BOUND;
		if (sock_claim(s, fd, t, &ref, &c) == 0)
			sock_undo(s, fd, t, ref, &c);
		t->flags |= TAG_SHUT_RD;
		tag_set(fd, t);
		return sys_shutdown(fd, SHUT_RDWR); /* wakes who waits in accept() */
	case SOCK_CONNECTED:
	case SOCK_ACCEPTED:
		if (gone_closed(s, fd, t))
			return -ENOTCONN;
		if (how == SHUT_RD)
			return deaf_shut(fd, t);
		if (deaf(fd))
			how = SHUT_RDWR;
		t->flags |= how == SHUT_RDWR ? TAG_SHUT_RD | TAG_SHUT_WR : TAG_SHUT_WR;
		tag_set(fd, t);
		if (network_resets(&s->net))
			gone_linger(s, fd, t);
		r = sys_shutdown(fd, how);
	}
	return r;
}

EXPORT(int, shutdown, (int fd, int how))
{
	struct shim *s = shim_calls();
	struct tag t;

	/* In a sandbox: this call and no other. Nobody is left who would read what it notes on the socket. */
	if (!s || confined() || tag_get(fd, &t) < 0)
		return shim_next()->shutdown(fd, how);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);

		return shim_ret(udp_shutdown(&u, how));
	}
	return shim_ret(sock_shutdown(s, fd, &t, how));
}
