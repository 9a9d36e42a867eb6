/* src/shim/udp_recv.c: a datagram arrives: taken out of the mailbox, or waited for.
 *
 * Who waits looks for a while, where that has paid, and then sleeps on a futex in the mailbox: a datagram that
 * wakes it need not ring. The system call behaves as recv(2)'s own sleep towards signals (SA_RESTART, and
 * EINTR with SO_RCVTIMEO), and is a cancellation point. Awake, it looks into the mailbox again; another may have
 * been faster.
 */
#include <linux/futex.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/spin.h"
#include "shim/udp.h"

#define SIOCGSTAMP_OLD_ 0x8906
#define SIOCGSTAMPNS_OLD_ 0x8907
#define WAKES_MAX 1000000
#ifndef IP_RECVORIGDSTADDR
#define IP_RECVORIGDSTADDR 20
#endif

/* --- ancillary data out --- */

struct control {
	uint8_t *at;
	size_t left, used;
	bool cut;
};

static void put(struct control *c, int level, int type, const void *v, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	size_t space = CMSG_SPACE(len), copy;

	if (c->left < sizeof(h)) {
		c->cut = true;
		return;
	}
	if (c->left < h.cmsg_len) {
		c->cut = true;
		h.cmsg_len = c->left;
	}
	copy = h.cmsg_len - CMSG_LEN(0);
	memcpy(c->at, &h, sizeof(h));
	memcpy(c->at + CMSG_LEN(0), v, copy);
	space = space < c->left ? space : c->left;
	c->at += space;
	c->left -= space;
	c->used += space;
}

static void put_int(struct control *c, int level, int type, int32_t v)
{
	put(c, level, type, &v, sizeof(v));
}

static void put_stamp(struct control *c, const struct mailbox_state *st, uint64_t at_ns)
{
	struct timespec ns = {.tv_sec = (time_t)(at_ns / UINT64_C(1000000000)),
			      .tv_nsec = (long)(at_ns % UINT64_C(1000000000))};
	struct timeval us = {.tv_sec = ns.tv_sec, .tv_usec = ns.tv_nsec / 1000};
	int32_t kind = udp_opt(st, UDP_OPT_STAMP);

	if (kind == UDP_STAMP_US)
		put(c, SOL_SOCKET, SCM_TIMESTAMP, &us, sizeof(us));
	else if (kind == UDP_STAMP_NS)
		put(c, SOL_SOCKET, SCM_TIMESTAMPNS, &ns, sizeof(ns));
}

static void put_v4(struct control *c, const struct udp *u, const struct mailbox_state *st, const struct letter *m)
{
	struct network_host h;

	if (udp_opt(st, UDP_OPT_PKTINFO)) {
		struct in_pktinfo pi = {.ipi_ifindex = (int)m->ifindex};

		memcpy(&pi.ipi_addr, m->dst.b + 12, 4);
		memcpy(&pi.ipi_spec_dst, m->dst.b + 12, 4);
		if (m->many != LETTER_ONE) { /* from which address one would answer */
			udp_host(u, st, &h);
			memcpy(&pi.ipi_spec_dst,
			       port_addr_is_loopback(&m->src) ? PORT_ADDR_LOOP4.b + 12 : h.addr4.b + 12, 4);
		}
		put(c, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
	}
	if (udp_opt(st, UDP_OPT_RECVTTL))
		put_int(c, IPPROTO_IP, IP_TTL, m->ttl);
	if (udp_opt(st, UDP_OPT_RECVTOS))
		put(c, IPPROTO_IP, IP_TOS, &m->tos, 1);
	if (udp_opt(st, UDP_OPT_ORIGDST)) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(m->dst_port)};

		memcpy(&in.sin_addr, m->dst.b + 12, 4);
		put(c, IPPROTO_IP, IP_RECVORIGDSTADDR, &in, sizeof(in));
	}
}

static void put_v6(struct control *c, const struct mailbox_state *st, const struct letter *m)
{
	struct in6_pktinfo pi = {.ipi6_ifindex = m->ifindex};

	memcpy(&pi.ipi6_addr, m->dst.b, 16);
	if (udp_opt(st, UDP_OPT_PKTINFO6))
		put(c, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	if (port_addr_is4(&m->dst))
		return; /* an IPv4 datagram has no hop limit and no traffic class to show here */
	if (udp_opt(st, UDP_OPT_RECVHOPS6))
		put_int(c, IPPROTO_IPV6, IPV6_HOPLIMIT, m->ttl);
	if (udp_opt(st, UDP_OPT_RECVTCLASS6))
		put_int(c, IPPROTO_IPV6, IPV6_TCLASS, m->tos);
	if (udp_opt(st, UDP_OPT_OLDPKTINFO6))
		put(c, IPPROTO_IPV6, IPV6_2292PKTINFO, &pi, sizeof(pi));
	if (udp_opt(st, UDP_OPT_OLDRECVHOPS6))
		put_int(c, IPPROTO_IPV6, IPV6_2292HOPLIMIT, m->ttl);
	if (udp_opt(st, UDP_OPT_ORIGDST6)) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(m->dst_port)};

		memcpy(&in6.sin6_addr, m->dst.b, 16);
		put(c, IPPROTO_IPV6, IPV6_ORIGDSTADDR, &in6, sizeof(in6));
	}
}

static void fill_control(const struct udp *u, struct msghdr *m, const struct letter *l)
{
	struct control c = {.at = m->msg_control, .left = m->msg_control ? m->msg_controllen : 0};
	struct mailbox_state st;

	if (udp_peek(u, &st) == 0) {
		put_stamp(&c, &st, l->at_ns);
		if (udp_opt(&st, UDP_OPT_OVFL) && l->drops)
			put_int(&c, SOL_SOCKET, SO_RXQ_OVFL, (int32_t)l->drops);
		if (st.family == PORT_FAMILY_6)
			put_v6(&c, &st, l);
		if (port_addr_is4(&l->dst))
			put_v4(&c, u, &st, l);
	}
	m->msg_controllen = c.used;
	if (c.cut)
		m->msg_flags |= MSG_CTRUNC;
}

/* --- waiting --- */

/* There is nothing: as recv(2) would, wait. Asked only now: may we, and for how long? */
static long futex_call(void *ctx, _Atomic uint32_t *word, uint32_t value)
{
	const struct udp *u = ctx;
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);
	struct timespec limit;

	if (sock_nonblocking(u->fd))
		return -ENODATA;
	(void)sys_getsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	limit = (struct timespec){.tv_sec = tv.tv_sec, .tv_nsec = tv.tv_usec * 1000};
	return sys_wait(SYS_futex, (long)word, FUTEX_WAIT, (long)value, tv.tv_sec || tv.tv_usec ? (long)&limit : 0, 0);
}

/* Return: 0, look again; 1, it was shut down: nothing more comes; negative errno. */
static int wait_for_mail(const struct udp *u)
{
	int r = mailbox_sleep(&u->s->net, u->key, futex_call, (void *)(uintptr_t)u);

	if (r == -ENOENT) { /* no mailbox: it is not bound; whoever binds it does not know of us */
		uint8_t octet;

		r = shim_next()->recv(u->fd, &octet, 1, MSG_PEEK) < 0 ? -errno : 0;
		return r == -ECONNRESET ? 0 : r;
	}
	return r == -ESHUTDOWN ? 1 : r == -ETIMEDOUT || r == -ENODATA ? -EAGAIN : r == -EUCLEAN ? -ENETDOWN : r;
}

/* What the last receive on this mailbox met: hints, so sockets that share a place mislead each other harmlessly. */
#define HABITS 256
enum habit {
	HABIT_NONE,
	HABIT_WAITS, /* the socket waits, and may look for a while first */
	HABIT_SLEPT, /* it had to sleep: the next one probably has to, and looking under the lock first is for nothing */
};
static _Atomic uint8_t habits[HABITS];

static int interrupted(uint64_t sigmask)
{
	int r = spin_interrupted(sigmask);

	return r == 1 ? -ERESTART : r;
}

/* Take, and look for a while if there is nothing, where that has paid: the policy is spin.c's, for streams. */
static ssize_t look(const struct udp *u, enum mailbox_how how, bool or_sleep, struct letter *l, const struct iovec *iov,
		    size_t n_iov)
{
	static struct spinner looks = SPINNER_INIT;
	struct mailbox_look look = {.limit_ns = spin_limit_ns(&looks), .interrupted = interrupted};
	ssize_t n;

	if (or_sleep && !look.limit_ns)
		return -EAGAIN;
	n = mailbox_take(&u->s->net, u->key, u->fd, how, &look, l, iov, n_iov);
	if (look.looked)
		spin_learn(&looks, look.found);
	if (n == -ERESTART) { /* a handler ran; with a time limit recv(2) ends, whatever SA_RESTART says */
		struct timeval tv = {0};
		socklen_t len = sizeof(tv);

		(void)sys_getsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
		return tv.tv_sec || tv.tv_usec ? -EINTR : -EAGAIN;
	}
	return n;
}

static ssize_t take(const struct udp *u, struct letter *l, const struct iovec *iov, size_t n_iov, int flags)
{
	enum mailbox_how how = flags & MSG_PEEK ? MAILBOX_PEEK : MAILBOX_TAKE;
	_Atomic uint8_t *habit = &habits[u->key % HABITS];
	enum habit was = flags & MSG_DONTWAIT ? HABIT_NONE : atomic_load_explicit(habit, memory_order_relaxed);

	for (int i = 0; i < WAKES_MAX; i++) {
		ssize_t n;

		if (i == 0 && was != HABIT_NONE)
			n = look(u, how, was == HABIT_SLEPT, l, iov, n_iov);
		else
			n = mailbox_take(&u->s->net, u->key, u->fd, how, NULL, l, iov, n_iov);
		if (n == -ECOMM) {
			int e = udp_take_error(u);

			if (e)
				return -e;
			continue;
		}
		if (n == -ETIMEDOUT)
			n = -EAGAIN;
		if (n != -EAGAIN && n != -ENOENT) {
			if (i == 0 && was == HABIT_SLEPT)
				atomic_store_explicit(habit, HABIT_WAITS, memory_order_relaxed);
			return n;
		}
		if (flags & MSG_DONTWAIT)
			return -EAGAIN;
		n = wait_for_mail(u);
		if (n < 0) {
			atomic_store_explicit(habit, HABIT_NONE, memory_order_relaxed);
			return n;
		}
		if (n == 1) {
			l->len_bytes = UINT32_MAX;
			return 0;
		}
		atomic_store_explicit(habit, HABIT_SLEPT, memory_order_relaxed);
	}
	return -EINTR;
}

ssize_t udp_recvmsg(const struct udp *u, struct msghdr *m, int flags)
{
	struct letter l;
	socklen_t name_len = m->msg_namelen;
	ssize_t n;
	int r;

	if (confined())
		return udp_plain(SYS_recvmsg, u->fd, m, flags, 0, 0);
	if (flags & MSG_ERRQUEUE)
		return udp_recv_error(u, m, flags);
	for (size_t i = 0; i < m->msg_iovlen; i++)
		if (m->msg_iov[i].iov_len && !m->msg_iov[i].iov_base)
			return shim_ret(-EFAULT);
	n = take(u, &l, m->msg_iov, m->msg_iovlen, flags);
	if (n < 0)
		return shim_ret((int)n);
	m->msg_flags = 0;
	if (l.len_bytes == UINT32_MAX) { /* shut down */
		m->msg_controllen = 0;
		m->msg_namelen = 0;
		return 0;
	}
	if ((size_t)n < l.len_bytes)
		m->msg_flags |= MSG_TRUNC;
	if (flags & MSG_CMSG_CLOEXEC)
		m->msg_flags |= MSG_CMSG_CLOEXEC;
	if (m->msg_controllen)
		fill_control(u, m, &l);
	if (m->msg_name) {
		r = addr_write((enum port_family)l.family, &l.src, l.src_port, m->msg_name, &name_len);
		if (r < 0)
			return shim_ret(r);
		m->msg_namelen = name_len;
	}
	return flags & MSG_TRUNC ? (ssize_t)l.len_bytes : n;
}

int udp_ioctl(const struct udp *u, unsigned long request, void *arg)
{
	uint32_t drops, letters, len = 0;
	int v = 0;

	switch (request) {
	case FIONREAD: /* of the next datagram */
		if (mailbox_count(&u->s->net, u->key, &drops, &letters, &len) == 0)
			v = (int)len;
		break;
	case SIOCOUTQ:
		break;
	case SIOCATMARK:
		return -ENOTTY;
	case SIOCGSTAMP_OLD_:
	case SIOCGSTAMPNS_OLD_:
		return -ENOENT; /* stamps are shown by SO_TIMESTAMP only */
	default:
		return 1;
	}
	if (bad_pointer(arg))
		return -EFAULT;
	memcpy(arg, &v, sizeof(v));
	return 0;
}
