/* src/shim/udp_send.c: a datagram leaves: its destination, its source, what the ancillary data asks, corks.
 *
 * Errors come in the order of Linux's udp_sendmsg(): length, destination, ancillary data, the way there, the
 * broadcast permission, the error that waits, shut down, then the size that fits. The port is chosen before any of them.
 *
 * A corked datagram (UDP_CORK, MSG_MORE) is gathered in this process; a child of fork() has what was
 * gathered before, another program that has the socket has not.
 */
#include <netinet/udp.h>
#include <string.h>

#include "shim/outside.h"
#include "shim/udp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define MSG_PROBE_ 0x10
#define SEGMENTS_MAX 128
#define CORKS 32
#define IOV_MAX_ 1024

struct out {
	struct letter m;
	bool to_peer;	  /* no address was given */
	uint32_t segment; /* UDP_SEGMENT */
	bool spec_src;
	bool outside;	/* the destination is no host's */
	bool published; /* and the port is, perhaps: to be sent from there */
	int flags;	/* of the call */
};

/* --- ancillary data --- */

static int local_source(const struct udp *u, const struct mailbox_state *st, const struct port_addr *a)
{
	struct network_host h;

	udp_host(u, st, &h);
	if (port_addr_is_loopback(a) || port_addr_equal(a, &h.addr4) || port_addr_equal(a, &h.addr6))
		return 0;
	return port_addr_is4(a) ? -ENETUNREACH : -EINVAL;
}

static int take_number(const struct cmsghdr *c, int32_t low, int32_t high, int32_t *ret)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);

	if (len == sizeof(*ret))
		memcpy(ret, CMSG_DATA(c), sizeof(*ret));
	else if (len == 1)
		*ret = *CMSG_DATA(c);
	else
		return -EINVAL;
	return *ret < low || *ret > high ? -EINVAL : 0;
}

static int one_cmsg(const struct udp *u, const struct mailbox_state *st, const struct cmsghdr *c, struct out *o)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);
	bool v4 = port_addr_is4(&o->m.dst);
	struct in6_pktinfo pi6;
	struct in_pktinfo pi;
	uint16_t gso;
	int32_t v;
	int r = 0;

	if (c->cmsg_level == IPPROTO_UDP || c->cmsg_level == 17) {
		if (c->cmsg_type != UDP_SEGMENT || len != sizeof(gso))
			return -EINVAL;
		memcpy(&gso, CMSG_DATA(c), sizeof(gso));
		o->segment = gso;
		return 0;
	}
	if (c->cmsg_level == IPPROTO_IP && v4)
		switch (c->cmsg_type) {
		case IP_PKTINFO:
			if (len != sizeof(pi))
				return -EINVAL;
			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			if (!pi.ipi_spec_dst.s_addr)
				return 0;
			o->m.src = PORT_ADDR_ANY4;
			memcpy(o->m.src.b + 12, &pi.ipi_spec_dst, 4);
			o->spec_src = true;
			return local_source(u, st, &o->m.src);
		case IP_TTL:
			r = take_number(c, 1, 255, &v);
			o->m.ttl = r < 0 ? o->m.ttl : (uint8_t)v;
			return r;
		case IP_TOS:
			r = take_number(c, 0, 255, &v);
			o->m.tos = r < 0 ? o->m.tos : (uint8_t)v;
			return r;
		case IP_RETOPTS:
			return 0;
		default:
			return -EINVAL;
		}
	if (c->cmsg_level == IPPROTO_IPV6 && st->family == PORT_FAMILY_6)
		switch (c->cmsg_type) {
		case IPV6_PKTINFO:
			if (len < sizeof(pi6))
				return -EINVAL;
			memcpy(&pi6, CMSG_DATA(c), sizeof(pi6));
			struct port_addr a = port_addr_from6(pi6.ipi6_addr.s6_addr, 0);

			if (port_addr_is_any(&a))
				return 0;
			if (v4 != port_addr_is4(&a))
				return v4 ? 0 : -EINVAL;
			o->m.src = a;
			o->spec_src = true;
			return local_source(u, st, &o->m.src);
		case IPV6_HOPLIMIT:
			r = len == sizeof(v) ? take_number(c, -1, 255, &v) : -EINVAL;
			if (r == 0 && v >= 0 && !v4)
				o->m.ttl = (uint8_t)v;
			return r;
		case IPV6_TCLASS:
			r = len == sizeof(v) ? take_number(c, -1, 255, &v) : -EINVAL;
			if (r == 0 && v >= 0 && !v4)
				o->m.tos = (uint8_t)v;
			return r;
		case IPV6_DONTFRAG:
			return len == sizeof(v) ? 0 : -EINVAL;
		default:
			return v4 ? 0 : -EINVAL;
		}
	return 0; /* other levels are not looked at */
}

static int read_control(const struct udp *u, const struct mailbox_state *st, const struct msghdr *m, struct out *o)
{
	size_t at = 0;

	if (!m->msg_control)
		return 0;
	while (m->msg_controllen - at >= sizeof(struct cmsghdr) && at <= m->msg_controllen) {
		const struct cmsghdr *c = (const void *)((const uint8_t *)m->msg_control + at);
		int r;

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > m->msg_controllen - at)
			return -EINVAL;
		r = one_cmsg(u, st, c, o);
		if (r < 0)
			return r;
		at += CMSG_ALIGN(c->cmsg_len);
		if (at > m->msg_controllen)
			break;
	}
	return 0;
}

/* --- corks --- */

struct cork {
	_Atomic uint64_t cookie;
	struct out o;
	uint32_t len;
	uint8_t *octets; /* 64 KiB, once made */
};
static struct cork corks[CORKS];
_Atomic uint32_t udp_corks;

static void cork_free(struct cork *k)
{
	k->len = 0;
	atomic_store(&k->cookie, 0);
	atomic_fetch_sub(&udp_corks, 1);
}

static struct cork *cork_of(uint64_t cookie, bool make)
{
	for (int i = 0; i < CORKS; i++)
		if (atomic_load(&corks[i].cookie) == cookie)
			return &corks[i];
	for (int i = 0; make && i < CORKS; i++) {
		uint64_t none = 0;

		if (!atomic_compare_exchange_strong(&corks[i].cookie, &none, cookie))
			continue;
		atomic_fetch_add(&udp_corks, 1);
		corks[i].len = 0;
		if (!corks[i].octets)
			corks[i].octets = raw_mmap(1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (corks[i].octets)
			return &corks[i];
		cork_free(&corks[i]);
		break;
	}
	return NULL;
}

/* --- on its way --- */

static uint32_t datagram_max(const struct out *o)
{
	return port_addr_is4(&o->m.dst) ? MAILBOX_UDP4_MAX : MAILBOX_UDP6_MAX;
}

static int deliver(const struct udp *u, const struct mailbox_state *st, struct out *o, const struct iovec *iov,
		   size_t n_iov)
{
	bool v4 = port_addr_is4(&o->m.dst);
	bool loop = udp_opt(st, v4 ? UDP_OPT_MC_LOOP : UDP_OPT_MC_LOOP6) || port_addr_is_loopback(&o->m.src);
	struct timespec now;
	int r;

	if (o->outside && !o->published)
		return udp_send_outside(u, st, &o->m, iov, n_iov, o->flags);
	clock_gettime(CLOCK_REALTIME, &now);
	o->m.at_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
	if (o->published) {
		if (udp_send_published(u, st, &o->m, iov, n_iov))
			return 0;
		r = udp_may_leave(u, st, &o->m.dst, o->m.dst_port);
		return r < 0 ? r : udp_send_outside(u, st, &o->m, iov, n_iov, o->flags);
	}
	r = network_udp_send(&u->s->net, st->host, u->fd, &o->m, iov, n_iov, loop);
	if (r == -ECONNREFUSED) {
		/* The refusal comes back to the socket with this very peer, or with none. */
		bool peer = o->m.dst_port == st->peer_port && port_addr_equal(&o->m.dst, &st->peer);

		if (st->connected ? peer : udp_opt(st, v4 ? UDP_OPT_RECVERR : UDP_OPT_RECVERR6))
			udp_refused(u, st, &o->m, iov, n_iov);
		return 0;
	}
	if (r == -ETIMEDOUT || r == -EUCLEAN || r == -EHOSTUNREACH)
		return 0; /* lost */
	/* Its mailbox could not be mapped. No program expects this of a send. */
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM ? -ENOBUFS : r;
}

/* UDP_SEGMENT: as many datagrams as it takes, each from its own stretch of the octets. */
static int deliver_segments(const struct udp *u, const struct mailbox_state *st, struct out *o, const struct iovec *iov,
			    size_t n_iov, uint32_t len)
{
	struct iovec part[64];
	size_t i = 0, skip = 0;

	if (len > o->segment * SEGMENTS_MAX || o->segment > datagram_max(o))
		return -EINVAL;
	for (uint32_t done = 0; done < len;) {
		uint32_t want = len - done < o->segment ? len - done : o->segment, have = 0;
		size_t parts = 0;
		int r;

		while (have < want && i < n_iov && parts < COUNT_OF(part)) {
			size_t rest = iov[i].iov_len - skip, take = rest < want - have ? rest : want - have;

			part[parts++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, take};
			have += (uint32_t)take;
			skip += take;
			if (skip == iov[i].iov_len) {
				i++;
				skip = 0;
			}
		}
		if (have < want)
			return -EMSGSIZE; /* a segment in more than 64 pieces */
		o->m.len_bytes = want;
		r = deliver(u, st, o, part, parts);
		if (r < 0)
			return r;
		done += want;
	}
	return 0;
}

static int send_whole(const struct udp *u, const struct mailbox_state *st, struct out *o, const struct iovec *iov,
		      size_t n_iov, uint32_t len)
{
	if (len > datagram_max(o))
		return -EMSGSIZE;
	if (o->segment && len > o->segment)
		return deliver_segments(u, st, o, iov, n_iov, len);
	o->m.len_bytes = len;
	return deliver(u, st, o, iov, n_iov);
}

/* Gather; send when nothing more is to come. */
static int send_corked(const struct udp *u, const struct mailbox_state *st, struct out *o, const struct iovec *iov,
		       size_t n_iov, uint32_t len, bool more)
{
	struct cork *k = cork_of(u->cookie, true);
	struct iovec whole;
	uint32_t at, end;
	int r;

	if (!k)
		return -ENOBUFS;
	at = k->len; /* once: another thread may gather, too, and neither may pass the end */
	end = at + len;
	if (at == 0)
		k->o = *o;
	if (end > datagram_max(&k->o)) { /* all of it is thrown away */
		cork_free(k);
		return -EMSGSIZE;
	}
	for (size_t i = 0; i < n_iov && at < end; i++) {
		uint32_t part = iov[i].iov_len < end - at ? (uint32_t)iov[i].iov_len : end - at;

		if (part)
			memcpy(k->octets + at, iov[i].iov_base, part);
		at += part;
	}
	k->len = at;
	if (more)
		return 0;
	whole = (struct iovec){k->octets, at};
	*o = k->o;
	r = send_whole(u, st, o, &whole, 1, at);
	cork_free(k);
	return r;
}

/* And from a loopback address only to the host's own. */
static int check_way(const struct udp *u, const struct mailbox_state *st, struct out *o)
{
	const struct port_addr *dst = &o->m.dst;
	bool resolver = nameserver_is(u->s, PORT_UDP, dst, o->m.dst_port);
	struct network_host h, to;
	int r;

	o->outside = resolver || udp_is_outside(u, dst);
	o->published = o->outside && !resolver && udp_is_published(st);
	if (o->published)
		return 0;
	r = o->outside ? udp_may_leave(u, st, dst, o->m.dst_port) : udp_way(u, dst, o->m.dst_port);
	if (o->outside)
		return r;

	if (r < 0 || !port_addr_is_loopback(&o->m.src) || !network_covers(&u->s->net, dst) ||
	    network_is_broadcast(&u->s->net, dst))
		return r;
	udp_host(u, st, &h);
	return network_host_by_addr(&u->s->net, h.index, dst, &to) < 0 || to.index != h.index ? -EINVAL : 0;
}

static int address(const struct udp *u, const struct mailbox_state *st, const struct msghdr *m, struct out *o)
{
	const struct sockaddr *sa = m->msg_name;
	bool many;
	int r;

	/* An IPv6 socket takes AF_UNSPEC for no address. */
	o->to_peer = !sa || (st->family == PORT_FAMILY_6 && m->msg_namelen >= sizeof(sa->sa_family) &&
			     sa->sa_family == AF_UNSPEC);
	if (o->to_peer) {
		if (!st->connected)
			return -EDESTADDRREQ;
		o->m.dst = st->peer;
		o->m.dst_port = st->peer_port;
	} else {
		r = udp_read_dest(u, st, m->msg_name, m->msg_namelen, false, &o->m.dst, &o->m.dst_port);
		if (r < 0)
			return r;
	}
	many = port_addr_is_multicast(&o->m.dst);
	if (port_addr_is4(&o->m.dst)) {
		o->m.ttl = (uint8_t)udp_opt(st, many ? UDP_OPT_MC_TTL : UDP_OPT_TTL);
		o->m.tos = (uint8_t)udp_opt(st, UDP_OPT_TOS);
	} else {
		o->m.ttl = (uint8_t)udp_opt(st, many ? UDP_OPT_MC_HOPS6 : UDP_OPT_HOPS6);
		o->m.tos = (uint8_t)udp_opt(st, UDP_OPT_TCLASS6);
	}
	o->m.src_port = st->port;
	o->segment = (uint32_t)udp_opt(st, UDP_OPT_SEGMENT);
	return 0;
}

static int send_it(const struct udp *u, const struct msghdr *m, int flags, size_t len)
{
	struct mailbox_state st;
	struct out o = {.flags = flags};
	uint64_t epoch = network_udp_epoch(&u->s->net, u->s->host.index); /* before what it stands for is read */
	struct cork *k;
	bool more;
	int r = udp_load(u, &st);

	if (r == 0 && !st.port)
		r = udp_autobind(u, &st);
	if (r < 0)
		return r;
	if (len > UINT16_MAX)
		return -EMSGSIZE;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	r = address(u, &st, m, &o);
	if (r == 0 && m->msg_controllen)
		r = read_control(u, &st, m, &o);
	if (r == 0 && !o.spec_src)
		r = udp_source(u, &st, &o.m.dst, &o.m.src);
	if (r == 0)
		r = check_way(u, &st, &o);
	if (r < 0)
		return r;
	if (flags & MSG_PROBE_) /* nothing is sent: Linux only looks for the way */
		return 0;
	if (st.err) {
		r = udp_take_error(u);
		if (r)
			return -r;
	}
	if (st.shut & 1 << SHUT_WR)
		return -EPIPE;
	k = cork_of(u->cookie, false);
	more = flags & MSG_MORE || udp_opt(&st, UDP_OPT_CORK);
	if (more || (k && k->len))
		return send_corked(u, &st, &o, m->msg_iov, m->msg_iovlen, (uint32_t)len, more);
	r = send_whole(u, &st, &o, m->msg_iov, m->msg_iovlen, (uint32_t)len);
	if (r == 0 && !o.segment && !o.outside && st.host == u->s->host.index)
		udp_remember(u, &st, epoch, m, &o.m);
	return r;
}

int udp_uncork(const struct udp *u)
{
	struct cork *k = cork_of(u->cookie, false);
	struct mailbox_state st;
	struct iovec whole;
	struct out o;
	int r = k ? udp_load(u, &st) : 0;

	if (!k || r < 0)
		return r;
	whole = (struct iovec){k->octets, k->len};
	o = k->o;
	r = k->len ? send_whole(u, &st, &o, &whole, 1, k->len) : 0;
	cork_free(k);
	return r;
}

void udp_cork_closed(uint64_t cookie)
{
	struct cork *k = cork_of(cookie, false);

	if (k)
		cork_free(k);
}

ssize_t udp_sendmsg(const struct udp *u, const struct msghdr *m, int flags)
{
	struct msghdr bare = *m;
	size_t len = 0;
	int r;

	if (confined())
		return udp_plain(SYS_sendmsg, u->fd, m, flags, 0, 0);
	if (m->msg_name && !m->msg_namelen)
		bare.msg_name = NULL;
	if (m->msg_iovlen > IOV_MAX_)
		return shim_ret(-EMSGSIZE);
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if ((ssize_t)m->msg_iov[i].iov_len < 0)
			return shim_ret(-EINVAL);
		if (m->msg_iov[i].iov_len && !m->msg_iov[i].iov_base)
			return shim_ret(-EFAULT);
		len += m->msg_iov[i].iov_len;
		len = len > INT32_MAX ? INT32_MAX : len;
	}
	if (udp_again(u, &bare, flags, len))
		return (ssize_t)len;
	r = send_it(u, &bare, flags, len);
	return r < 0 ? shim_ret(r) : (ssize_t)len;
}
