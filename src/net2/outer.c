/* src/net2/outer.c: what comes from outside to programs' UDP sockets: read here, put into their mailboxes.
 *
 *     program --> outer socket --> the machine's network        (shim/udp_outside.c sends; so do letters.c's sockets)
 *     program <-- mailbox <-- we <-- outer socket
 *
 * An outer socket is the kernel's, unbound but for the port that its first datagram gets. The program made it and gave
 * us a copy, or we made it for a program past libc. It belongs to a mailbox, and ends with it: we look from time to
 * time whether the doorbell is still there (outer_sweep()), and notice when we want to put something in.
 *
 * A datagram's source is as it came. From the machine's own loopback it comes from the gateway, which is what the
 * program knows the machine by. Its destination is the host's address, whichever the machine's was. A socket
 * that is connected to one of the network's hosts hears nobody else.
 *
 * With IP_RECVERR the program is told what ICMP says of its datagrams: it is put among its mailbox's errors, and for poll()
 * the program's own descriptor is got for a moment.
 *
 * All is bounded: OUTERS_MAX of them, never more than three quarters of our descriptors, and of each at most AT_ONCE
 * datagrams before the others have their turn. What does not fit into the mailbox is lost and counted there.
 */
#include "net2/outer.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim/outside.h"

#include "network/policy.h"

#define AT_ONCE 16
#define OCTETS_MAX 65536
#define CONTROL_MAX 128
#define KEY(i) (OUTER_KEYS << 61 | (i))
#define DEV_BERTH0 2u

struct outer {
	uint64_t key; /* of the mailbox; 0: free */
	struct target who;
	int fd;
	int number; /* the program's of its own socket, when it gave us this one; -1: it has a pair (letters.c) */
};
static struct outer outers[OUTERS_MAX];
static uint32_t n_high; /* those from here on are free */
static uint8_t octets[AT_ONCE][OCTETS_MAX];

static struct outer *find(uint64_t key)
{
	for (uint32_t i = 0; i < n_high; i++)
		if (outers[i].key == key)
			return &outers[i];
	return NULL;
}

static void end(struct outer *o)
{
	close(o->fd);
	o->key = 0;
	while (n_high && outers[n_high - 1].key == 0)
		n_high--;
}

/* --- receiving --- */

static int ringer(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd;
}

static void read_control(struct msghdr *m, struct letter *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int32_t v = 0;

		memcpy(&v, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) < sizeof(v) ? 1 : sizeof(v));
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
			ret->ttl = (uint8_t)v;
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS))
			ret->tos = (uint8_t)v;
	}
}

static void to_gateway(const struct network *n, struct port_addr *a)
{
	struct port_addr g4, g6;

	network_gateway(n, &g4, &g6);
	*a = port_addr_is4(a) ? g4 : g6;
}

/* Who it is from and to, as the program is to see it. Return: it is for the program. */
static bool address(struct network *n, const struct mailbox_state *st, const struct network_host *h, struct msghdr *m,
		    struct letter *ret)
{
	const struct sockaddr_storage *from = m->msg_name;

	*ret = (struct letter){.ttl = 64, .dst_port = st->port, .ifindex = DEV_BERTH0};
	if (from->ss_family != AF_INET && from->ss_family != AF_INET6)
		return false;
	addr_read(from->ss_family == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4, m->msg_name, m->msg_namelen, &ret->src,
		  &ret->src_port);
	if (port_addr_is_loopback(&ret->src) && !nameserver_is_named(&ret->src, ret->src_port))
		to_gateway(n, &ret->src);
	ret->dst = port_addr_is4(&ret->src) ? h->addr4 : h->addr6;
	read_control(m, ret);
	return !st->connected || (st->peer_port == ret->src_port && port_addr_equal(&st->peer, &ret->src));
}

/* False: the mailbox is gone, and so is o. */
static bool deliver(struct outer *o, struct mmsghdr *m, unsigned count)
{
	struct network *n = &o->who.context->shim.net;
	struct mailbox_state st;
	struct network_host h;
	struct timespec now;
	int r = mailbox_load(n, o->key, &st);

	if (r == 0)
		r = network_host_at(n, st.host, &h);
	clock_gettime(CLOCK_REALTIME, &now);
	for (unsigned i = 0; r == 0 && i < count; i++) {
		struct letter l;

		if (!address(n, &st, &h, &m[i].msg_hdr, &l))
			continue;
		l.at_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
		l.len_bytes = m[i].msg_len;
		m[i].msg_hdr.msg_iov->iov_len = m[i].msg_len;
		r = mailbox_put(n, o->key, ringer(), &l, m[i].msg_hdr.msg_iov, 1);
		r = r == -ECONNREFUSED || r == -ENOENT ? r : 0; /* else it is lost, as UDP may */
	}
	if (r != -ECONNREFUSED && r != -ENOENT)
		return true;
	end(o);
	return false;
}

/* --- what ICMP tells, when the program wants to know (IP_RECVERR) --- */

/* The program's own socket, for a moment. Return: a descriptor; -1, it is gone or has another number by now. */
static int doorbell(const struct outer *o)
{
	int pidfd = o->number < 0 ? -1 : (int)syscall(SYS_pidfd_open, o->who.tgid, 0), fd = -1;

	if (pidfd >= 0) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, o->number, 0);
		close(pidfd);
	}
	if (fd >= 0 && mailbox_key(&shim_get()->net, sock_cookie(fd)) != o->key) {
		close(fd);
		fd = -1;
	}
	return fd;
}

struct told {
	const struct outer *o;
	struct mailbox_error e;
};

static int add_error(void *ctx, struct mailbox_state *s, struct mailbox_error e[MAILBOX_ERRORS])
{
	struct told *t = ctx;
	int fd;

	if (s->connected && (s->peer_port != t->e.dst_port || !port_addr_equal(&s->peer, &t->e.dst)))
		return -EAGAIN;
	s->err = t->e.err;
	if (s->n_errors < MAILBOX_ERRORS)
		e[s->n_errors++] = t->e;
	fd = doorbell(t->o);
	if (fd >= 0) { /* else the next call says it, and poll() does not */
		mailbox_mark(&shim_get()->net, t->o->key, fd);
		close(fd);
	}
	return 0;
}

static void read_address(const struct sockaddr *sa, socklen_t len, struct port_addr *ret, uint16_t *ret_port)
{
	if ((sa->sa_family != AF_INET || len < sizeof(struct sockaddr_in)) &&
	    (sa->sa_family != AF_INET6 || len < sizeof(struct sockaddr_in6)))
		return;
	addr_read(sa->sa_family == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4, sa, len, ret, ret_port);
	if (port_addr_is_loopback(ret))
		to_gateway(&shim_get()->net, ret);
}

/* False: it is not about a datagram. */
static bool read_error(struct msghdr *m, size_t len_bytes, struct mailbox_error *ret)
{
	struct sock_extended_err ee;
	struct sockaddr_storage offender;
	uint16_t unused;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t room = c->cmsg_len - CMSG_LEN(0);

		if (!((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
		      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
		    room < sizeof(ee))
			continue;
		memcpy(&ee, CMSG_DATA(c), sizeof(ee));
		ret->err = (int32_t)ee.ee_errno;
		ret->origin = ee.ee_origin;
		ret->type = ee.ee_type;
		ret->code = ee.ee_code;
		ret->info = ee.ee_info;
		memset(&offender, 0, sizeof(offender));
		room -= sizeof(ee);
		room = room < sizeof(offender) ? room : sizeof(offender);
		memcpy(&offender, CMSG_DATA(c) + sizeof(ee), room);
		read_address((const void *)&offender, (socklen_t)room, &ret->offender, &unused);
		read_address(m->msg_name, m->msg_namelen, &ret->dst, &ret->dst_port);
		ret->len = (uint16_t)len_bytes;
		return ret->err > 0 && ret->err < 4096;
	}
	return false;
}

static void take_errors(struct outer *o)
{
	for (unsigned i = 0; i < AT_ONCE; i++) {
		_Alignas(struct cmsghdr) uint8_t control[512];
		struct sockaddr_storage to = {0};
		struct told t = {.o = o};
		struct iovec iov = {t.e.quote, sizeof(t.e.quote)};
		struct msghdr m = {.msg_name = &to,
				   .msg_namelen = sizeof(to),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(o->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (n < 0)
			return;
		if (read_error(&m, (size_t)n, &t.e))
			(void)!mailbox_change_errors(&shim_get()->net, o->key, add_error, &t);
	}
}

static void receive(struct outer *o)
{
	static struct sockaddr_storage from[AT_ONCE];
	static _Alignas(struct cmsghdr) uint8_t control[AT_ONCE][CONTROL_MAX];
	static struct iovec iov[AT_ONCE];
	struct mmsghdr m[AT_ONCE];
	int count;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		iov[i] = (struct iovec){octets[i], OCTETS_MAX};
		m[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
					       .msg_namelen = sizeof(from[i]),
					       .msg_iov = &iov[i],
					       .msg_iovlen = 1,
					       .msg_control = control[i],
					       .msg_controllen = CONTROL_MAX};
	}
	count = recvmmsg(o->fd, m, AT_ONCE, MSG_DONTWAIT, NULL);
	if (count > 0)
		(void)deliver(o, m, (unsigned)count);
	else
		take_errors(o);
}

void outer_event(uint64_t key)
{
	uint32_t i = (uint32_t)key;

	if (i >= n_high || outers[i].key == 0)
		return;
	context_enter(&outers[i].who);
	receive(&outers[i]);
	context_leave();
}

bool outer_sweep(void)
{
	for (uint32_t i = n_high; i-- > 0;) {
		struct outer *o = &outers[i];

		if (o->key == 0)
			continue;
		context_enter(&o->who);
		if (!mailbox_alive(&o->who.context->shim.net, o->key))
			end(o);
		context_leave();
	}
	return n_high != 0;
}

/* --- beginning --- */

static bool is_crowded(int fd)
{
	struct rlimit files;

	return getrlimit(RLIMIT_NOFILE, &files) == 0 && (rlim_t)fd >= files.rlim_cur / 4 * 3;
}

static struct outer *free_one(void)
{
	for (uint32_t i = 0; i < OUTERS_MAX; i++)
		if (outers[i].key == 0) {
			n_high = i >= n_high ? i + 1 : n_high;
			return &outers[i];
		}
	return NULL;
}

static int full(const struct target *t)
{
	static bool said;

	if (!said)
		serve_say(
			true,
			"wants to send UDP outside, and berth's supervisor has no descriptors left for that: ENOBUFS");
	said = true;
	(void)t;
	return -ENOBUFS;
}

/* A datagram socket of IPv4 or IPv6? Then it tells TTL and TOS from now on. */
static bool prepare(int fd)
{
	int one = 1, domain = 0, type = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_DGRAM ||
	    (domain != AF_INET && domain != AF_INET6))
		return false;
	(void)setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one));
	if (domain == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one));
	}
	return true;
}

static int put(const struct target *t, uint64_t key, int number, int outer)
{
	struct outer *o;

	if (!prepare(outer))
		return -EINVAL;
	if (find(key))
		return -EEXIST;
	o = is_crowded(outer) ? NULL : free_one();
	if (!o)
		return full(t);
	*o = (struct outer){.key = key, .who = *t, .fd = outer, .number = number};
	outer_watch(outer, KEY((uint32_t)(o - outers)));
	return 0;
}

static int key_of(int fd, uint64_t *ret)
{
	struct tag t;
	int r = tag_get(fd, &t);

	if (r < 0 || !(t.flags & TAG_UDP))
		return -EINVAL;
	*ret = mailbox_key(&shim_get()->net, sock_cookie(fd));
	return 0;
}

int outer_put(const struct target *t, int number, int fd, int outer)
{
	uint64_t key;
	int r = key_of(fd, &key);

	if (r == 0)
		r = put(t, key, number, outer);
	if (r < 0)
		close(outer);
	return r;
}

static int copy_of(const struct outer *o)
{
	int fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}

int outer_of(int fd)
{
	const struct outer *o;
	uint64_t key;
	int r = key_of(fd, &key);

	if (r < 0)
		return r;
	o = find(key);
	return o ? copy_of(o) : -ENOENT;
}

/* --- what the shim's files ask, when we send for a program (shim/udp_outer.c in a program) --- */

int udp_outer_get(const struct udp *u, const struct mailbox_state *st, struct udp_outer *ret)
{
	const struct outer *o = find(u->key);
	int fd, r;

	if (!o) {
		fd = udp_outer_make(u, st);
		r = fd < 0 ? fd : put(context_target(), u->key, -1, fd);
		if (r < 0) {
			if (fd >= 0)
				close(fd);
			return r == -EMFILE || r == -ENFILE ? full(NULL) : r;
		}
		o = find(u->key);
	}
	*ret = (struct udp_outer){.fd = o->fd, .six = udp_outer_is6(o->fd)};
	return 0;
}

bool udp_outer_find(const struct udp *u, struct udp_outer *ret)
{
	const struct outer *o = find(u->key);

	if (o)
		*ret = (struct udp_outer){.fd = o->fd, .six = udp_outer_is6(o->fd)};
	return o != NULL;
}

void udp_outer_put(struct udp_outer *o)
{
	(void)o; /* it stays ours */
}

void udp_outer_closed(uint64_t cookie)
{
	(void)cookie; /* outer_sweep() finds out */
}
