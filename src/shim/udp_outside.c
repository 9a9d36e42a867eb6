/* src/shim/udp_outside.c: a datagram to an address that is no host's: it leaves by a socket of the kernel's.
 *
 * A UDP socket keeps its mailbox, whomever it talks to. The first datagram outside gives it an outer socket besides: one
 * of the kernel's, on a port that the kernel chooses. By it the program sends, and the supervisor receives what comes
 * back, and puts it into the mailbox (net2/outer.c):
 *
 *     sendto() --> outer socket --> the machine's network
 *     recv() <-- mailbox <-- supervisor <-- outer socket <--/
 *
 * So poll() and its kin, and who receives, see no difference between a host's datagram and one from outside.
 *
 * The gateway (the network's first address) is the machine itself: what goes there goes to the machine's loopback,
 * and what comes from the machine's loopback comes from the gateway.
 *
 * TTL and TOS go along with each datagram that does not have the default; the path MTU's discovery and IP_RECVERR are set on
 * the outer socket. What is told of it by ICMP then, the supervisor hears (net2/outer.c). The source address is the kernel's choice: what a program asks for here (IP_PKTINFO)
 * is its host's address, which the outside does not know.
 */
#include <netinet/udp.h>
#include <string.h>

#include "network/policy.h"
#include "shim/udp.h"

#define CONTROL_INTS 2
#define PASSED_ON (MSG_DONTROUTE | MSG_CONFIRM | MSG_DONTWAIT)

bool udp_is_outside(const struct udp *u, const struct port_addr *dst)
{
	struct network *n = &u->s->net;

	if (network_is_broadcast(n, dst) || port_addr_is_multicast(dst) || port_addr_is_loopback(dst))
		return false;
	return !network_covers(n, dst) || network_is_gateway(n, dst);
}

int udp_may_leave(const struct udp *u, const struct mailbox_state *st, const struct port_addr *dst, uint16_t port)
{
	if (port_addr_is_loopback(&st->local)) /* it cannot leave its host. Linux sends from ::1, and it is lost */
		return port_addr_is4(dst) ? -EINVAL : -ENETUNREACH;
	return shim_may_pass(u->s, PORT_UDP, dst, port);
}

/* --- a port that is published --- */

bool udp_send_published(const struct udp *u, const struct mailbox_state *st, const struct letter *m,
			const struct iovec *iov, size_t n_iov)
{
	struct letter l = *m;

	l.ifindex = st->host;
	l.first = MAILBOX_OUTLETS;
	for (int i = 0; i < MAILBOX_OUTLETS; i++) {
		int r;

		if (!st->outlets[i])
			continue;
		/* To one: a publisher who does not know the destination asks the next (cli/publish_udp.c). */
		r = mailbox_put(&u->s->net, st->outlets[i], u->fd, &l, iov, n_iov);
		if (r != -ECONNREFUSED && r != -ENOENT) /* no room there: lost, as UDP may */
			return true;
	}
	return false;
}

/* --- a new one --- */

/* What is not told with each datagram. */
static void set_options(const struct udp *u, const struct mailbox_state *st, int fd, bool six)
{
	int32_t found = udp_opt(st, UDP_OPT_MTU_DISCOVER), err4 = udp_opt(st, UDP_OPT_RECVERR),
		err6 = udp_opt(st, UDP_OPT_RECVERR6);

	if (st->opts_known & UINT64_C(1) << UDP_OPT_MTU_DISCOVER)
		(void)sys_setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &found, sizeof(found));
	if (six && extra_get(u->cookie, EXTRA_V6_MTU_DISCOVER, &found))
		(void)sys_setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &found, sizeof(found));
	if (st->opts_known & UINT64_C(1) << UDP_OPT_RECVERR)
		(void)sys_setsockopt(fd, IPPROTO_IP, IP_RECVERR, &err4, sizeof(err4));
	if (six && st->opts_known & UINT64_C(1) << UDP_OPT_RECVERR6)
		(void)sys_setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &err6, sizeof(err6));
}

int udp_outer_make(const struct udp *u, const struct mailbox_state *st)
{
	bool six = st->family == PORT_FAMILY_6;
	int32_t only6 = 0;
	struct tag t;
	int fd;

	if (six && tag_get(u->fd, &t) == 0)
		only6 = (t.flags & TAG_V6ONLY) != 0;
	fd = sys_socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -EAFNOSUPPORT && six && !only6) /* a machine without IPv6 */
		fd = sys_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	else if (fd >= 0 && six)
		(void)sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
	if (fd >= 0)
		set_options(u, st, fd, six);
	return fd;
}

void udp_outer_options(const struct udp *u)
{
	struct mailbox_state st;
	struct udp_outer o;

	if (udp_peek(u, &st) < 0 || !udp_outer_find(u, &o))
		return;
	set_options(u, &st, o.fd, o.six);
	udp_outer_put(&o);
}

bool udp_outer_is6(int fd)
{
	int domain = AF_INET;
	socklen_t len = sizeof(domain);

	return sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_INET6;
}

/* --- one datagram --- */

struct control {
	_Alignas(struct cmsghdr) uint8_t octets[CONTROL_INTS * CMSG_SPACE(sizeof(int32_t))];
	size_t used;
};

static void add(struct control *c, int level, int type, int32_t v)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(sizeof(v)), .cmsg_level = level, .cmsg_type = type};

	memcpy(c->octets + c->used, &h, sizeof(h));
	memcpy(c->octets + c->used + CMSG_LEN(0), &v, sizeof(v));
	c->used += CMSG_SPACE(sizeof(v));
}

static void fill_control(struct control *c, const struct letter *m)
{
	bool v4 = port_addr_is4(&m->dst);

	if (m->ttl != 64 && m->ttl != 0)
		add(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT, m->ttl);
	if (m->tos)
		add(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, m->tos);
}

/* As the outer socket's family has it. */
static int write_dest(const struct udp *u, const struct udp_outer *o, const struct letter *m,
		      struct sockaddr_storage *ret, socklen_t *ret_len)
{
	bool v4 = port_addr_is4(&m->dst);
	struct port_addr dst = m->dst;

	*ret_len = sizeof(*ret);
	if (!o->six && !v4)
		return -ENETUNREACH;
	if (network_is_gateway(&u->s->net, &dst))
		dst = v4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
	return addr_write(o->six ? PORT_FAMILY_6 : PORT_FAMILY_4, &dst, m->dst_port, (void *)ret, ret_len);
}

/* It does not wait for room in the outer socket but where the program's own would. */
static long send_by(const struct udp *u, int fd, const struct msghdr *m, int flags)
{
	long r = sys_call(SYS_sendmsg, fd, (long)m, flags | MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);

	if (r != -EAGAIN || flags & MSG_DONTWAIT || sock_nonblocking(u->fd))
		return r;
	return sys_sendmsg(fd, m, flags | MSG_NOSIGNAL);
}

int udp_send_outside(const struct udp *u, const struct mailbox_state *st, const struct letter *m,
		     const struct iovec *iov, size_t n_iov, int flags)
{
	struct sockaddr_storage to;
	struct control control = {.used = 0};
	struct msghdr h = {.msg_name = &to, .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n_iov};
	struct udp_outer o;
	long r = udp_outer_get(u, st, &o);

	if (r < 0)
		return (int)r;
	r = write_dest(u, &o, m, &to, &h.msg_namelen);
	if (r == 0) {
		fill_control(&control, m);
		h.msg_control = control.used ? control.octets : NULL;
		h.msg_controllen = control.used;
		r = send_by(u, o.fd, &h, flags & PASSED_ON);
	}
	udp_outer_put(&o);
	return r < 0 ? (int)r : 0;
}
