/* src/shim/udp_error.c: errors that wait: a datagram was refused, and the next call says so.
 *
 * As on Linux the error belongs to the socket: whoever calls next gets it, poll() shows ERR until then, and with
 * IP_RECVERR it is queued with the head of the datagram for recvmsg(MSG_ERRQUEUE).
 *
 * The errno is kept in the mailbox. That poll() shows ERR is the kernel's doing: an AF_UNIX datagram socket
 * whose peer turns away from it is given ECONNRESET (mailbox_mark()); getsockopt(SO_ERROR) takes it off again.
 */
#include <time.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <string.h>

#include "shim/udp.h"

static void unmark(int fd)
{
	int32_t v;
	socklen_t len = sizeof(v);

	(void)sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len);
}

struct refusal {
	const struct udp *u;
	const struct letter *m;
	const struct iovec *iov;
	size_t n_iov;
	int taken;
};

static void fill(struct mailbox_error *e, const struct refusal *r)
{
	bool v4 = port_addr_is4(&r->m->dst);

	*e = (struct mailbox_error){.err = ECONNREFUSED,
				    .origin = v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6,
				    .type = v4 ? ICMP_DEST_UNREACH : ICMPV6_DEST_UNREACH,
				    .code = v4 ? ICMP_PORT_UNREACH : ICMPV6_PORT_UNREACH,
				    .offender = r->m->dst,
				    .dst = r->m->dst,
				    .dst_port = r->m->dst_port};
	for (size_t i = 0; i < r->n_iov && e->len < MAILBOX_QUOTE; i++) {
		size_t room = MAILBOX_QUOTE - e->len, part = r->iov[i].iov_len < room ? r->iov[i].iov_len : room;

		if (part)
			memcpy(e->quote + e->len, r->iov[i].iov_base, part);
		e->len = (uint16_t)(e->len + part);
	}
	if (e->len > r->m->len_bytes)
		e->len = (uint16_t)r->m->len_bytes;
}

static int refuse(void *ctx, struct mailbox_state *s, struct mailbox_error e[MAILBOX_ERRORS])
{
	struct refusal *r = ctx;
	bool v4 = port_addr_is4(&r->m->dst);

	s->err = ECONNREFUSED;
	if (udp_opt(s, v4 && s->family == PORT_FAMILY_4 ? UDP_OPT_RECVERR : UDP_OPT_RECVERR6) &&
	    s->n_errors < MAILBOX_ERRORS)
		fill(&e[s->n_errors++], r);
	mailbox_mark(&r->u->s->net, r->u->key, r->u->fd);
	return 0;
}

void udp_refused(const struct udp *u, const struct mailbox_state *st, const struct letter *m, const struct iovec *iov,
		 size_t n_iov)
{
	struct refusal r = {.u = u, .m = m, .iov = iov, .n_iov = n_iov};

	(void)st;
	(void)!mailbox_change_errors(&u->s->net, u->key, refuse, &r);
}

static int take(void *ctx, struct mailbox_state *s, struct mailbox_error e[MAILBOX_ERRORS])
{
	struct refusal *r = ctx;

	(void)e;
	r->taken = s->err > 0 && s->err < 4096 ? s->err : 0;
	s->err = 0;
	unmark(r->u->fd);
	if (s->n_errors) /* poll() says ERR until the queue is read */
		mailbox_mark(&r->u->s->net, r->u->key, r->u->fd);
	return 0;
}

int udp_take_error(const struct udp *u)
{
	struct refusal r = {.u = u};

	return mailbox_change_errors(&u->s->net, u->key, take, &r) < 0 ? 0 : r.taken;
}

static int purge(void *ctx, struct mailbox_state *s, struct mailbox_error e[MAILBOX_ERRORS])
{
	const struct udp *u = ctx;

	(void)e;
	if (s->n_errors && !s->err)
		unmark(u->fd);
	s->n_errors = 0;
	return 0;
}

void udp_purge_errors(const struct udp *u)
{
	(void)!mailbox_change_errors(&u->s->net, u->key, purge, (void *)(uintptr_t)u);
}

/* --- MSG_ERRQUEUE --- */

struct popped {
	const struct udp *u;
	struct mailbox_error e;
	enum port_family family;
	bool peek;
};

static int pop(void *ctx, struct mailbox_state *s, struct mailbox_error e[MAILBOX_ERRORS])
{
	struct popped *p = ctx;

	if (!s->n_errors)
		return -EAGAIN;
	p->e = e[0];
	p->family = (enum port_family)s->family;
	if (p->e.len > MAILBOX_QUOTE)
		p->e.len = 0;
	if (p->peek)
		return 0;
	s->n_errors--;
	memmove(&e[0], &e[1], s->n_errors * sizeof(e[0]));
	s->err = s->n_errors ? e[0].err : 0;
	unmark(p->u->fd);
	if (s->n_errors)
		mailbox_mark(&p->u->s->net, p->u->key, p->u->fd);
	return 0;
}

static void fill_control(struct msghdr *m, const struct mailbox_error *e, enum port_family family)
{
	struct {
		struct sock_extended_err ee;
		union {
			struct sockaddr_in in;
			struct sockaddr_in6 in6;
		} offender;
	} v;
	struct cmsghdr h = {.cmsg_level = IPPROTO_IP, .cmsg_type = IP_RECVERR};
	size_t len = sizeof(v.ee) + sizeof(v.offender.in);

	memset(&v, 0, sizeof(v));
	v.ee = (struct sock_extended_err){.ee_errno = (uint32_t)e->err,
					  .ee_origin = e->origin,
					  .ee_type = e->type,
					  .ee_code = e->code,
					  .ee_info = e->info};
	if (family == PORT_FAMILY_6) {
		len = sizeof(v.ee) + sizeof(v.offender.in6);
		h.cmsg_level = IPPROTO_IPV6;
		h.cmsg_type = IPV6_RECVERR;
		v.offender.in6.sin6_family = AF_INET6;
		memcpy(&v.offender.in6.sin6_addr, e->offender.b, 16);
	} else {
		v.offender.in.sin_family = AF_INET;
		memcpy(&v.offender.in.sin_addr, e->offender.b + 12, 4);
	}
	h.cmsg_len = CMSG_LEN(len);
	if (!m->msg_control || m->msg_controllen < h.cmsg_len) {
		m->msg_flags |= MSG_CTRUNC;
		m->msg_controllen = 0;
		return;
	}
	memcpy(m->msg_control, &h, sizeof(h));
	memcpy((uint8_t *)m->msg_control + CMSG_LEN(0), &v, len);
	m->msg_controllen = m->msg_controllen < CMSG_SPACE(len) ? m->msg_controllen : CMSG_SPACE(len);
}

ssize_t udp_recv_error(const struct udp *u, struct msghdr *m, int flags)
{
	struct popped p = {.u = u, .peek = false};
	socklen_t name_len = m->msg_namelen;
	uint32_t at = 0;
	int r;

	(void)flags; /* Linux does not peek here either */
	r = mailbox_change_errors(&u->s->net, u->key, pop, &p);
	if (r < 0)
		return shim_ret(-EAGAIN);
	m->msg_flags = MSG_ERRQUEUE;
	for (size_t i = 0; i < m->msg_iovlen && at < p.e.len; i++) {
		uint32_t left = p.e.len - at,
			 part = m->msg_iov[i].iov_len < left ? (uint32_t)m->msg_iov[i].iov_len : left;

		if (part)
			memcpy(m->msg_iov[i].iov_base, p.e.quote + at, part);
		at += part;
	}
	if (at < p.e.len)
		m->msg_flags |= MSG_TRUNC;
	fill_control(m, &p.e, p.family);
	if (m->msg_name) {
		r = addr_write(p.family, &p.e.dst, p.e.dst_port, m->msg_name, &name_len);
		if (r < 0)
			return shim_ret(r);
		m->msg_namelen = name_len;
	}
	return at;
}
