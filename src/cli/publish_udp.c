/* src/cli/publish_udp.c: datagrams from the machine's network to a host's port, and the answers back.
 *
 *     caller --> door (the kernel's socket) --> us --> mailbox of whoever has the host's port
 *     caller <-- door <-- us <-- outlet (a mailbox of ours) <-- the program's sendto()
 *
 * A door is a published port: its sockets, one for each address. The program sees the caller's own address, and sends to
 * it as to any address outside; as its socket's mailbox names our outlet (mailbox_add_outlet()), the datagram comes to us
 * and not to a socket of the kernel's that knows nothing of the caller. Programs past libc do the same, as
 * the second net sends for them with the same code.
 *
 * A flow is a caller of a door: by which socket, and to which of the machine's addresses, it came. Answers leave by that
 * socket from that address. Flows are a table of FLOWS in sets of WAYS: one idle for idle_ms is forgotten, and in a
 * full set the one that is idle longest. To whom no flow leads, a program may send first: by a socket of the
 * door that can reach it, else by one without a port of its own (a roamer), whose answers come in like a door's; if the
 * network's policy allows it, which callers' answers need not ask.
 *
 * The machine's loopback is not the host's: a caller at 127.0.0.1 or ::1 is seen as the gateway, and may be served in
 * either family, whichever the program has.
 *
 * Nobody has the port: the door is shut. A bound UDP socket always hears; but one that is connected hears its peer alone,
 * and others are refused by the kernel as if there were no socket (ICMP port unreachable), while the port stays taken. So a
 * door that is shut is connected to itself. It is opened when the network tells of a new UDP socket, and shut when it
 * tells that one is gone, when a holder's process has ended, or when a datagram finds nobody (which is lost:
 * the kernel had taken it).
 *
 * Calls on the kernel's sockets are made past libc: in a nested `berth run` they are to be the kernel's all the same.
 */
#include "cli/publish_udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/kernel_port.h"
#include "network/policy.h"
#include "network/raw.h"

#define FLOWS 8192
#define WAYS 8
#define IDLE_MS (180 * 1000) /* BERTH_PUBLISH_IDLE_MS says otherwise */
#define AT_ONCE 16
#define OCTETS_MAX 65536
#define CONTROL_MAX 256
#define HOLDERS_MAX 16
#define TRIES 8
#define OUTLET_RCVBUF (8 << 20)
#define DOOR_RCVBUF (4 << 20)
#define FROM_OUTSIDE NETWORK_HOSTS_MAX /* no host: the datagram comes from none */
#define DEFAULT_TTL 64

/* What an event is of. */
enum { OF_OUTLET, OF_SOCKET, OF_HOLDER };
#define EVENT(of, door, i) ((uint64_t)(of) << 32 | (uint64_t)(door) << 8 | (i))
#define EVENT_OF(v) ((v) >> 32)
#define EVENT_DOOR(v) ((uint32_t)(v) >> 8)
#define EVENT_I(v) ((v)&0xff)

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

struct mouth {
	int fd; /* -1: none */
	bool six, open;
	struct address at; /* what it is bound to; a roamer's is all zeroes */
};

struct door {
	bool used;
	uint32_t host;
	uint16_t inner;
	uint32_t n_mouths;
	struct mouth mouths[PUBLISH_UDP_FDS + 2]; /* the last two: roamers */
	uint32_t n_holders;
	struct network_udp_holder holders[HOLDERS_MAX];
	int pidfds[HOLDERS_MAX]; /* -1: not watched; -2: yet */
	bool by_loop[2];	 /* v4, v6: the last datagram found its way by the host's loopback address */
};

struct flow {
	uint32_t door; /* plus one; 0: free */
	uint16_t port, mouth;
	struct port_addr caller; /* as the program sees it */
	struct address real;
	struct port_addr to;   /* the machine's address it came to; any: not known */
	uint64_t last_ms, nth; /* of all datagrams, when he last called */
};

struct publish_udp {
	struct network *net;
	int epoll, ringer, bell;
	uint64_t outlet, idle_ms, n_heard;
	int starved;  /* what had no descriptor is to be looked at again: why; 0: nothing */
	bool changed; /* somebody began or ceased to have a door's port */
	uint32_t n_doors;
	struct door *doors;
	struct flow flows[FLOWS];
	uint8_t octets[AT_ONCE][OCTETS_MAX];
};

/* --- small things --- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set(int fd, int level, int name, int v)
{
	(void)raw_pass(SYS_setsockopt, fd, level, name, (long)&v, sizeof(v));
}

static struct port_addr addr_of(const struct address *a)
{
	if (a->any.sa_family == AF_INET)
		return port_addr_from4((const uint8_t *)&a->v4.sin_addr);
	return port_addr_from6((const uint8_t *)&a->v6.sin6_addr, a->v6.sin6_scope_id);
}

static struct address address_to(const struct port_addr *a, uint16_t port, bool six)
{
	struct address r = {.len = six ? sizeof(r.v6) : sizeof(r.v4)};

	if (six) {
		r.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					     .sin6_port = htons(port),
					     .sin6_scope_id = a->scope};
		memcpy(&r.v6.sin6_addr, a->b, 16);
	} else {
		r.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&r.v4.sin_addr, a->b + 12, 4);
	}
	return r;
}

static void watch(struct publish_udp *p, int fd, uint64_t what)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = what};

	(void)epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e);
}

static uint32_t number_of(const struct publish_udp *p, const struct door *d)
{
	return (uint32_t)(d - p->doors);
}

/* --- flows --- */

static struct flow *set_of(struct publish_udp *p, uint32_t door, const struct port_addr *caller, uint16_t port)
{
	uint64_t h = door;

	for (int i = 0; i < 16; i++)
		h = h * 31 + caller->b[i];
	h = (h * 65599 + port) * UINT64_C(0x9e3779b97f4a7c15);
	return &p->flows[(h >> 54) * WAYS];
}
static_assert(FLOWS / WAYS == 1 << 10, "ten bits");

static struct flow *flow_of(struct publish_udp *p, uint32_t door, const struct port_addr *caller, uint16_t port,
			    uint64_t now)
{
	struct flow *f = set_of(p, door, caller, port);

	for (int i = 0; i < WAYS; i++, f++)
		if (f->door == door + 1 && f->port == port && port_addr_equal(&f->caller, caller) &&
		    now - f->last_ms < p->idle_ms)
			return f;
	return NULL;
}

static void remember(struct publish_udp *p, const struct flow *new)
{
	struct flow *f = set_of(p, new->door - 1, &new->caller, new->port), *oldest = f;
	struct flow *same = flow_of(p, new->door - 1, &new->caller, new->port, new->last_ms);

	for (int i = 0; !same && i < WAYS; i++)
		if (f[i].door == 0 || (oldest->door != 0 && f[i].last_ms < oldest->last_ms))
			oldest = &f[i];
	*(same ? same : oldest) = *new;
}

/* --- doors --- */

static bool prepare(struct mouth *m)
{
	m->at.len = sizeof(m->at.v6);
	if (raw_pass(SYS_getsockname, m->fd, (long)&m->at.any, (long)&m->at.len, 0, 0) < 0 ||
	    (m->at.any.sa_family != AF_INET && m->at.any.sa_family != AF_INET6))
		return false;
	m->six = m->at.any.sa_family == AF_INET6;
	/* The program's mailbox has the room that a socket has; this is what comes while we are not running. */
	set(m->fd, SOL_SOCKET, SO_RCVBUF, DOOR_RCVBUF);
	set(m->fd, SOL_SOCKET, SO_RCVBUFFORCE, DOOR_RCVBUF);
	set(m->fd, IPPROTO_IP, IP_PKTINFO, 1);
	set(m->fd, IPPROTO_IP, IP_RECVTTL, 1);
	set(m->fd, IPPROTO_IP, IP_RECVTOS, 1);
	if (m->six) {
		set(m->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		set(m->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		set(m->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	}
	return true;
}

/* A socket of IPv6 that was connected hears its last peer alone for ever: connect(2) to AF_UNSPEC takes the port back from it
 * and not the address (Linux 6.18, udp_disconnect()). So the port gets another socket. */
static bool renew(struct publish_udp *p, struct door *d, uint32_t i)
{
	struct mouth *m = &d->mouths[i];
	struct port_addr at = addr_of(&m->at);
	int fd = kernel_port_swap(m->fd, &at, ntohs(m->at.v6.sin6_port), PORT_FAMILY_6, PORT_UDP);

	if (fd < 0) {
		p->starved = fd;
		return false;
	}
	m->fd = fd;
	(void)prepare(m);
	watch(p, fd, EVENT(OF_SOCKET, number_of(p, d), i));
	return true;
}

static void open_mouth(struct publish_udp *p, struct door *d, uint32_t i, bool open)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct mouth *m = &d->mouths[i];
	struct address self = m->at;
	struct port_addr any = addr_of(&self);

	if (m->open == open)
		return;
	if (open && m->six) {
		m->open = renew(p, d, i);
		return;
	}
	if (open) {
		(void)raw_pass(SYS_connect, m->fd, (long)&none, sizeof(none), 0, 0);
		m->open = true;
		return;
	}
	if (port_addr_is_any(&any)) {
		if (m->six)
			self.v6.sin6_addr = in6addr_loopback;
		else
			self.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	if (raw_pass(SYS_connect, m->fd, (long)&self.any, (long)self.len, 0, 0) == 0)
		m->open = false;
}

/* Whom the holders hear. A caller at the machine's loopback is led to whichever family there is. */
static bool is_heard(const struct door *d, const struct mouth *m)
{
	struct port_addr at = addr_of(&m->at);
	bool heard = false;

	for (uint32_t i = 0; i < d->n_holders; i++)
		heard = heard || (m->six && !port_addr_is4(&at) ? d->holders[i].v6 : d->holders[i].v4) ||
			port_addr_is_loopback(&at) || port_addr_is_any(&at);
	return heard;
}

static void unwatch_holders(struct door *d)
{
	for (uint32_t i = 0; i < d->n_holders; i++)
		if (d->pidfds[i] >= 0)
			close(d->pidfds[i]);
}

static void watch_holders(struct publish_udp *p, struct door *d)
{
	for (uint32_t i = 0; i < d->n_holders; i++) {
		if (d->pidfds[i] != -2)
			continue;
		d->pidfds[i] = (int)syscall(SYS_pidfd_open, d->holders[i].pid, 0);
		if (d->pidfds[i] >= 0) {
			watch(p, d->pidfds[i], EVENT(OF_HOLDER, number_of(p, d), i));
		} else if (errno == EMFILE || errno == ENFILE) {
			p->starved = -errno;
			d->pidfds[i] = -2;
		}
	}
}

static bool same_holders(const struct door *d, const struct network_udp_holder *h, uint32_t n)
{
	return n == d->n_holders && memcmp(h, d->holders, n * sizeof(*h)) == 0;
}

static void look_at(struct publish_udp *p, struct door *d)
{
	struct network_udp_holder h[HOLDERS_MAX] = {0};
	uint32_t n = network_udp_holders(p->net, d->host, d->inner, h, HOLDERS_MAX);

	for (uint32_t i = 0; i < n;
	     i++) /* before the door is open: an answer must find its way from the first one on */
		(void)!mailbox_add_outlet(p->net, h[i].key, p->outlet);
	if (!same_holders(d, h, n)) {
		p->changed = true;
		unwatch_holders(d);
		memcpy(d->holders, h, sizeof(h));
		d->n_holders = n;
		for (uint32_t i = 0; i < n; i++)
			d->pidfds[i] = -2;
	}
	watch_holders(p, d);
	for (uint32_t i = 0; i < d->n_mouths; i++)
		open_mouth(p, d, i, is_heard(d, &d->mouths[i]));
}

bool publish_udp_look(struct publish_udp *p, int number, int *ret_starved)
{
	p->starved = 0;
	look_at(p, &p->doors[number]);
	if (p->starved)
		*ret_starved = p->starved;
	return p->doors[number].n_holders != 0;
}

/* --- in --- */

static void read_control(struct msghdr *m, struct letter *l, struct port_addr *ret_to)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		const uint8_t *v = CMSG_DATA(c);

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo pi;

			memcpy(&pi, v, sizeof(pi));
			*ret_to = port_addr_from4((const uint8_t *)&pi.ipi_spec_dst);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo pi;

			memcpy(&pi, v, sizeof(pi));
			*ret_to = port_addr_from6((const uint8_t *)&pi.ipi6_addr, 0);
			if (port_addr_is_linklocal6(ret_to))
				ret_to->scope = pi.ipi6_ifindex;
		} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			int ttl;

			memcpy(&ttl, v, sizeof(ttl));
			l->ttl = (uint8_t)ttl;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			l->tos = *v;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			int tos;

			memcpy(&tos, v, sizeof(tos));
			l->tos = (uint8_t)tos;
		}
	}
}

/* The mailbox it is for, which names our outlet from now on. */
static int find(struct publish_udp *p, struct door *d, struct letter *l, struct network_way *ret)
{
	struct network_host h;
	bool v4 = port_addr_is4(&l->src);
	int r = network_host_at(p->net, d->host, &h);

	if (r < 0)
		return -ECONNREFUSED;
	for (int i = 0; i < 2; i++) {
		bool loop = d->by_loop[v4] != (i != 0);

		l->dst = loop ? v4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6 : v4 ? h.addr4 : h.addr6;
		r = network_way_find(p->net, loop ? d->host : FROM_OUTSIDE, l, ret);
		if (r == 0)
			d->by_loop[v4] = loop;
		if (r != -ECONNREFUSED)
			break;
	}
	for (uint32_t i = 0; r == 0 && i < d->n_holders; i++)
		if (d->holders[i].key == ret->key)
			return 0;
	if (r == 0)
		(void)!mailbox_add_outlet(p->net, ret->key, p->outlet); /* it was faster than who told us of it */
	return r;
}

/* Return: 0; -ECONNREFUSED, nobody is there. */
static int put(struct publish_udp *p, struct door *d, struct letter *l, struct iovec *iov)
{
	for (int i = 0; i < TRIES; i++) {
		struct network_way way;
		int r = find(p, d, l, &way);

		if (r < 0)
			return r == -ECONNREFUSED ? r : 0;
		r = network_way_send(p->net, &way, p->ringer, l, iov, 1);
		if (r != -EAGAIN)
			return 0;
	}
	return 0;
}

/* As the program is to see the caller: as it is, or the gateway of either family. */
static struct port_addr seen(const struct publish_udp *p, const struct port_addr *real, bool v4)
{
	struct port_addr g4, g6;

	if (!port_addr_is_loopback(real))
		return *real;
	network_gateway(p->net, &g4, &g6);
	return v4 ? g4 : g6;
}

static void bring(struct publish_udp *p, struct door *d, uint32_t mouth, struct mmsghdr *mm, uint64_t at_ns,
		  uint64_t now)
{
	struct msghdr *m = &mm->msg_hdr;
	struct flow f = {.door = number_of(p, d) + 1, .mouth = (uint16_t)mouth, .last_ms = now, .nth = ++p->n_heard};
	struct letter l = {.at_ns = at_ns, .ttl = DEFAULT_TTL, .dst_port = d->inner, .len_bytes = mm->msg_len};
	struct port_addr real;
	bool v4;

	memcpy(&f.real, m->msg_name, m->msg_namelen < sizeof(f.real.v6) ? m->msg_namelen : sizeof(f.real.v6));
	f.real.len = m->msg_namelen;
	real = addr_of(&f.real);
	v4 = port_addr_is4(&real);
	f.port = l.src_port = ntohs(f.real.v4.sin_port);
	read_control(m, &l, &f.to);
	m->msg_iov->iov_len = mm->msg_len;
	for (int i = 0; i < 2; i++, v4 = !v4) {
		f.caller = l.src = seen(p, &real, v4);
		remember(p, &f); /* before it is there: the answer may be faster than we are */
		if (put(p, d, &l, m->msg_iov) == 0)
			return;
		if (!port_addr_is_loopback(&real))
			break;
	}
	look_at(p, d); /* nobody: the door is shut, and the next one refused by the kernel */
}

static void receive(struct publish_udp *p, struct door *d, uint32_t mouth)
{
	struct address from[AT_ONCE];
	_Alignas(struct cmsghdr) uint8_t control[AT_ONCE][CONTROL_MAX];
	struct iovec iov[AT_ONCE];
	struct mmsghdr m[AT_ONCE];
	struct timespec at;
	uint64_t now = now_ms();
	long count;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		iov[i] = (struct iovec){p->octets[i], OCTETS_MAX};
		m[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
					       .msg_namelen = sizeof(from[i].v6),
					       .msg_iov = &iov[i],
					       .msg_iovlen = 1,
					       .msg_control = control[i],
					       .msg_controllen = CONTROL_MAX};
	}
	count = raw_pass(SYS_recvmmsg, d->mouths[mouth].fd, (long)m, AT_ONCE, MSG_DONTWAIT, 0);
	clock_gettime(CLOCK_REALTIME, &at);
	for (long i = 0; i < count; i++)
		bring(p, d, mouth, &m[i], (uint64_t)at.tv_sec * UINT64_C(1000000000) + (uint64_t)at.tv_nsec, now);
}

/* --- out --- */

struct control {
	_Alignas(struct cmsghdr) uint8_t octets[CONTROL_MAX];
	size_t used;
};

static void add(struct control *c, int level, int type, const void *v, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};

	memset(c->octets + c->used, 0, CMSG_SPACE(len));
	memcpy(c->octets + c->used, &h, sizeof(h));
	memcpy(c->octets + c->used + CMSG_LEN(0), v, len);
	c->used += CMSG_SPACE(len);
}

static void fill_control(struct control *c, const struct letter *l, const struct port_addr *from, bool v4)
{
	int ttl = l->ttl, tos = l->tos;

	if (!port_addr_is_any(from) && v4) {
		struct in_pktinfo pi = {0};

		memcpy(&pi.ipi_spec_dst, from->b + 12, 4);
		add(c, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
	} else if (!port_addr_is_any(from)) {
		struct in6_pktinfo pi = {.ipi6_ifindex = from->scope};

		memcpy(&pi.ipi6_addr, from->b, 16);
		add(c, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	}
	if (ttl != DEFAULT_TTL && ttl)
		add(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof(ttl));
	if (tos)
		add(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos));
}

static void send_by(const struct mouth *m, const struct address *to, const struct port_addr *from,
		    const struct letter *l, struct iovec *iov)
{
	struct control c = {.used = 0};
	struct msghdr h = {.msg_name = (void *)(uintptr_t)&to->any,
			   .msg_namelen = to->len,
			   .msg_iov = iov,
			   .msg_iovlen = 1,
			   .msg_control = c.octets};
	struct port_addr a = addr_of(to);

	fill_control(&c, l, from, port_addr_is4(&a));
	h.msg_controllen = c.used;
	/* A refusal that a datagram before it met is told to this one, which then is sent again. */
	if (raw_pass(SYS_sendmsg, m->fd, (long)&h, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0) == -ECONNREFUSED)
		(void)raw_pass(SYS_sendmsg, m->fd, (long)&h, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

/* To one who has not called: by a socket that can reach it. */
static const struct mouth *roam(struct publish_udp *p, struct door *d, const struct port_addr *to, bool here)
{
	bool six = !port_addr_is4(to);
	uint32_t i = PUBLISH_UDP_FDS + six;
	struct mouth *m = &d->mouths[i];

	for (uint32_t k = 0; k < d->n_mouths; k++) {
		struct port_addr at = addr_of(&d->mouths[k].at);

		if (d->mouths[k].six == six && (port_addr_is_any(&at) || port_addr_is_loopback(&at) == here))
			return &d->mouths[k];
	}
	if (m->fd >= 0)
		return m;
	m->fd = (int)raw_pass(SYS_socket, six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0);
	if (m->fd < 0)
		return NULL;
	(void)prepare(m);
	m->open = true;
	watch(p, m->fd, EVENT(OF_SOCKET, number_of(p, d), i));
	return m;
}

/* May it? The network's rules say; those of a run are asked by nobody here. */
static bool may(struct publish_udp *p, const struct letter *l)
{
	struct network_refused why = {.host = l->ifindex,
				      .pid = (int32_t)getpid(),
				      .comm = "berth-publish",
				      .proto = PORT_UDP,
				      .addr = l->dst,
				      .port = l->dst_port};

	why.err = network_policy_ask(p->net, NULL, PORT_UDP, &l->dst, l->dst_port, &why.by);
	if (why.err < 0)
		network_refused_put(p->net, &why);
	return why.err == 0;
}

/* The door that its destination called last: one caller may know several that lead to one port. */
static struct flow *last_flow(struct publish_udp *p, const struct letter *l)
{
	uint64_t now = now_ms();
	struct flow *last = NULL;

	for (uint32_t i = 0; i < p->n_doors; i++) {
		struct door *d = &p->doors[i];
		struct flow *f;

		if (!d->used || d->host != l->ifindex || d->inner != l->src_port)
			continue;
		f = flow_of(p, i, &l->dst, l->dst_port, now);
		if (f && d->mouths[f->mouth].fd >= 0 && (!last || f->nth > last->nth))
			last = f;
	}
	if (last)
		last->last_ms = now;
	return last;
}

/* Another publisher of that port may know its destination. The program's socket names all of them; who comes after us there
 * is asked. False: nobody. */
static bool pass_on(struct publish_udp *p, const struct door *d, const struct letter *l, const struct iovec *iov)
{
	struct mailbox_state st;
	struct letter next = *l;
	int own = 0;

	if (l->first <= 1 || d->n_holders == 0 || mailbox_load(p->net, d->holders[0].key, &st) < 0)
		return false;
	next.first--;
	while (own < MAILBOX_OUTLETS && st.outlets[own] != p->outlet)
		own++;
	for (int i = own + 1; i < MAILBOX_OUTLETS; i++) {
		int r = st.outlets[i] ? mailbox_put(p->net, st.outlets[i], p->ringer, &next, iov, 1) : -ENOENT;

		if (r != -ECONNREFUSED && r != -ENOENT)
			return true;
	}
	return false;
}

static void send_out(struct publish_udp *p, struct letter *l, struct iovec *iov)
{
	struct flow *f = last_flow(p, l);

	if (f) {
		send_by(&p->doors[f->door - 1].mouths[f->mouth], &f->real, &f->to, l, iov);
		return;
	}
	for (uint32_t i = 0; l->first && i < p->n_doors; i++) {
		struct door *d = &p->doors[i];
		bool here = network_is_gateway(p->net, &l->dst), v4 = port_addr_is4(&l->dst);
		const struct mouth *m;
		struct address to;

		if (!d->used || d->host != l->ifindex || d->inner != l->src_port)
			continue;
		if (pass_on(p, d, l, iov))
			return;
		m = may(p, l) ? roam(p, d, &l->dst, here) : NULL;
		to = address_to(here ? v4 ? &PORT_ADDR_LOOP4 : &PORT_ADDR_LOOP6 : &l->dst, l->dst_port, !v4);
		if (m)
			send_by(m, &to, &PORT_ADDR_ANY4, l, iov);
		return;
	}
}

static void empty_outlet(struct publish_udp *p)
{
	for (int i = 0; i < AT_ONCE * 4; i++) {
		struct iovec iov = {p->octets[0], OCTETS_MAX};
		struct letter l;
		ssize_t n = mailbox_take(p->net, p->outlet, p->bell, MAILBOX_TAKE, NULL, &l, &iov, 1);

		if (n < 0) {
			uint8_t octet;

			if (n != -EAGAIN) /* scribbled over: its octets are to wake nobody again */
				(void)raw_call(SYS_recvfrom, p->bell, (long)&octet, 1, MSG_DONTWAIT, 0, 0);
			return;
		}
		iov.iov_len = (size_t)n;
		send_out(p, &l, &iov);
	}
}

/* --- the whole --- */

bool publish_udp_event(struct publish_udp *p)
{
	struct epoll_event e[32];
	int n = epoll_wait(p->epoll, e, COUNT_OF(e), 0);

	p->changed = false;

	for (int i = 0; i < n; i++) {
		uint64_t v = e[i].data.u64;
		struct door *d = p->doors + EVENT_DOOR(v);

		if (EVENT_OF(v) == OF_OUTLET) {
			empty_outlet(p);
			continue;
		}
		if (!d->used)
			continue;
		if (EVENT_OF(v) == OF_SOCKET) {
			if (d->mouths[EVENT_I(v)].fd >= 0)
				receive(p, d, (uint32_t)EVENT_I(v));
		} else if (EVENT_I(v) < d->n_holders && d->pidfds[EVENT_I(v)] >= 0) {
			close(d->pidfds[EVENT_I(v)]);
			d->pidfds[EVENT_I(v)] = -1;
			look_at(p, d);
		}
	}
	return p->changed;
}

static struct door *free_door(struct publish_udp *p)
{
	struct door *more;

	for (uint32_t i = 0; i < p->n_doors; i++)
		if (!p->doors[i].used)
			return &p->doors[i];
	more = realloc(p->doors, (p->n_doors + 1) * sizeof(*more));
	if (!more)
		return NULL;
	p->doors = more;
	return &p->doors[p->n_doors++];
}

int publish_udp_add(struct publish_udp *p, uint32_t host, uint16_t inner, const int *fds, size_t n_fds)
{
	struct door *d = n_fds <= PUBLISH_UDP_FDS ? free_door(p) : NULL;
	bool ok = d != NULL;

	if (d)
		*d = (struct door){.used = true, .host = host, .inner = inner};
	for (size_t i = 0; d && i < COUNT_OF(d->mouths); i++)
		d->mouths[i] = (struct mouth){.fd = -1};
	for (size_t i = 0; i < n_fds; i++) {
		struct mouth m = {.fd = fds[i], .open = true};

		ok = ok && prepare(&m);
		if (!ok) {
			close(fds[i]);
			continue;
		}
		d->mouths[d->n_mouths] = m;
		open_mouth(p, d, d->n_mouths, false);
		watch(p, m.fd, EVENT(OF_SOCKET, number_of(p, d), d->n_mouths));
		d->n_mouths++;
	}
	if (!ok && d)
		publish_udp_remove(p, (int)number_of(p, d));
	if (!ok)
		return d ? -EINVAL : -ENOMEM;
	look_at(p, d);
	return (int)number_of(p, d);
}

void publish_udp_remove(struct publish_udp *p, int number)
{
	struct door *d = &p->doors[number];

	unwatch_holders(d);
	for (size_t i = 0; i < COUNT_OF(d->mouths); i++)
		if (d->mouths[i].fd >= 0)
			close(d->mouths[i].fd);
	for (size_t i = 0; i < FLOWS; i++)
		if (p->flows[i].door == (uint32_t)number + 1)
			p->flows[i].door = 0;
	*d = (struct door){0};
}

static int set_room(void *ctx, struct mailbox_state *s)
{
	(void)ctx;
	s->opts[MAILBOX_OPT_RCVBUF] = OUTLET_RCVBUF;
	s->opts_known |= UINT64_C(1) << MAILBOX_OPT_RCVBUF;
	return 0;
}

static int make_outlet(struct publish_udp *p)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	struct stat st;
	int r;

	p->bell = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	p->ringer = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->bell < 0 || p->ringer < 0 || p->epoll < 0)
		return -errno;
	if (fstat(p->bell, &st) < 0 || getsockopt(p->bell, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return -errno;
	p->outlet = mailbox_key(p->net, cookie);
	r = mailbox_make(p->net, p->outlet, p->bell, st.st_ino, 0, PORT_FAMILY_6);
	if (r == 0)
		r = mailbox_change(p->net, p->outlet, set_room, NULL);
	return r;
}

void publish_udp_free(struct publish_udp *p)
{
	if (p->outlet)
		mailbox_unlink(p->net, p->outlet);
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? p->epoll : i == 1 ? p->ringer : p->bell;

		if (fd >= 0)
			close(fd);
	}
	free(p->doors);
	free(p);
}

int publish_udp_new(struct network *n, int epoll, struct publish_udp **ret)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = PUBLISH_UDP_EVENT};
	struct publish_udp *p = calloc(1, sizeof(*p));
	const char *idle = getenv("BERTH_PUBLISH_IDLE_MS");
	int r;

	if (!p)
		return -ENOMEM;
	p->net = n;
	p->idle_ms = idle ? strtoull(idle, NULL, 10) : 0;
	p->idle_ms = p->idle_ms ? p->idle_ms : IDLE_MS;
	p->epoll = p->ringer = p->bell = -1;
	r = make_outlet(p);
	if (r == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, p->epoll, &e) < 0)
		r = -errno;
	if (r < 0) {
		publish_udp_free(p);
		return r;
	}
	watch(p, p->bell, EVENT(OF_OUTLET, 0, 0));
	*ret = p;
	return 0;
}
