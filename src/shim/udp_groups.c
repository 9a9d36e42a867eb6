/* src/shim/udp_groups.c: multicast groups: joined, left, with sources (RFC 3376, 3678), on which interface.
 *
 * A socket's groups are kept in its mailbox's file, where senders look (network/udp.c); so they end with it. A
 * host's interfaces are the loopback and one other; groups are joined on the second unless the first is named.
 * A datagram to a group reaches every host of the network, whatever the interface: there is one wire.
 */
#include <string.h>

#include "shim/udp.h"

#define IF_LO 1u
#define IF_NET 2u

enum verb { JOIN, LEAVE, JOIN_SOURCE, LEAVE_SOURCE, BLOCK, UNBLOCK, SET_FILTER };

struct change {
	enum verb verb;
	struct port_addr group, source;
	uint32_t ifindex;
	bool include; /* SET_FILTER */
	uint32_t n;
	struct port_addr list[MAILBOX_SOURCES];
};

static int find_source(const struct mailbox_member *m, const struct port_addr *a)
{
	for (int i = 0; i < m->n_sources && i < MAILBOX_SOURCES; i++)
		if (memcmp(m->sources[i].b, a->b, 16) == 0)
			return i;
	return -1;
}

static int add_source(struct mailbox_member *m, const struct port_addr *a)
{
	if (find_source(m, a) >= 0)
		return -EADDRNOTAVAIL;
	if (m->n_sources >= MAILBOX_SOURCES)
		return -ENOBUFS;
	m->sources[m->n_sources++] = *a;
	return 0;
}

static int drop_source(struct mailbox_member *m, const struct port_addr *a)
{
	int i = find_source(m, a);

	if (i < 0)
		return -EADDRNOTAVAIL;
	m->sources[i] = m->sources[--m->n_sources];
	return 0;
}

static void remove_member(struct mailbox_member m[], uint32_t *n, uint32_t i)
{
	m[i] = m[--*n];
}

static int add_member(struct mailbox_member m[], uint32_t *n, const struct change *c)
{
	if (*n >= MAILBOX_MEMBERS)
		return -ENOBUFS;
	m[*n] = (struct mailbox_member){.group = c->group, .ifindex = c->ifindex};
	++*n;
	return 0;
}

/* As Linux: the mode may change while there never was a source. */
static int change_source(struct mailbox_member m[], uint32_t *n, uint32_t i, const struct change *c)
{
	bool add = c->verb == JOIN_SOURCE || c->verb == BLOCK,
	     include = c->verb == JOIN_SOURCE || c->verb == LEAVE_SOURCE;
	int r;

	if (c->verb == SET_FILTER) {
		m[i].include = c->include;
		m[i].had_sources = 1;
		m[i].n_sources = (uint8_t)c->n;
		memcpy(m[i].sources, c->list, sizeof(m[i].sources));
		if (c->include && c->n == 0)
			remove_member(m, n, i);
		return 0;
	}
	if (m[i].include != include) {
		if (m[i].had_sources)
			return -EINVAL;
		m[i].include = include;
	}
	if (!add && !m[i].had_sources)
		return -EADDRNOTAVAIL;
	r = add ? add_source(&m[i], &c->source) : drop_source(&m[i], &c->source);
	m[i].had_sources = 1;
	if (r == 0 && !add && include && m[i].n_sources == 0)
		remove_member(m, n, i);
	return r;
}

static int apply(void *ctx, struct mailbox_member m[MAILBOX_MEMBERS], uint32_t *n)
{
	const struct change *c = ctx;
	uint32_t i;
	int r;

	for (i = 0; i < *n; i++)
		if (memcmp(m[i].group.b, c->group.b, 16) == 0 && (!c->ifindex || m[i].ifindex == c->ifindex))
			break;
	if (i < *n) {
		if (c->verb == JOIN)
			return -EADDRINUSE;
		if (c->verb != LEAVE)
			return change_source(m, n, i, c);
		remove_member(m, n, i);
		return 0;
	}
	switch (c->verb) {
	case JOIN:
		return add_member(m, n, c);
	case JOIN_SOURCE:
		r = add_member(m, n, c);
		if (r < 0)
			return r;
		m[i].include = m[i].had_sources = 1;
		return add_source(&m[i], &c->source);
	case LEAVE:
		return -EADDRNOTAVAIL;
	case LEAVE_SOURCE:
	case BLOCK:
	case UNBLOCK:
	case SET_FILTER:
		break;
	}
	return -EINVAL;
}

static int change_groups(const struct udp *u, struct change *c)
{
	struct mailbox_state st;
	int r;

	if (!port_addr_is_multicast(&c->group))
		return -EINVAL;
	r = udp_load(u, &st);
	if (r == 0)
		r = mailbox_change_members(&u->s->net, u->key, apply, c);
	if (r == 0)
		network_udp_changed(&u->s->net, st.host);
	return r;
}

/* --- interfaces --- */

/* The interface with this address. Return: 0; -ENODEV. */
static int iface_of(const struct udp *u, const struct in_addr *a, uint32_t *ret)
{
	struct mailbox_state st;
	struct network_host h;
	struct port_addr p = PORT_ADDR_ANY4;

	*ret = IF_NET;
	if (!a->s_addr)
		return 0;
	memcpy(p.b + 12, a, 4);
	if (port_addr_is_loopback(&p)) {
		*ret = IF_LO;
		return 0;
	}
	if (udp_load(u, &st) < 0)
		return -ENODEV;
	udp_host(u, &st, &h);
	return port_addr_equal(&p, &h.addr4) ? 0 : -ENODEV;
}

static int iface_index(uint32_t index, uint32_t *ret)
{
	*ret = index ? index : IF_NET;
	return *ret <= IF_NET ? 0 : -ENODEV;
}

static struct port_addr from4(struct in_addr a)
{
	struct port_addr p = PORT_ADDR_ANY4;

	memcpy(p.b + 12, &a, 4);
	return p;
}

/* --- the options --- */

static int old_group4(const struct udp *u, int name, const void *val, socklen_t len)
{
	struct ip_mreqn mr = {0};
	struct change c = {.verb = name == IP_ADD_MEMBERSHIP ? JOIN : LEAVE};
	int r;

	if (len < sizeof(struct ip_mreq))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(&mr, val, len >= sizeof(mr) ? sizeof(mr) : sizeof(struct ip_mreq));
	c.group = from4(mr.imr_multiaddr);
	if (!port_addr_is_multicast(&c.group))
		return c.verb == JOIN ? -EINVAL : -EADDRNOTAVAIL;
	r = mr.imr_ifindex ? iface_index((uint32_t)mr.imr_ifindex, &c.ifindex)
			   : iface_of(u, &mr.imr_address, &c.ifindex);
	if (r < 0)
		return r;
	if (c.verb == LEAVE && !mr.imr_ifindex && !mr.imr_address.s_addr)
		c.ifindex = 0; /* wherever it was joined */
	return change_groups(u, &c);
}

static int old_source4(const struct udp *u, int name, const void *val, socklen_t len)
{
	struct ip_mreq_source mr;
	struct change c = {.verb = name == IP_ADD_SOURCE_MEMBERSHIP    ? JOIN_SOURCE
				   : name == IP_DROP_SOURCE_MEMBERSHIP ? LEAVE_SOURCE
				   : name == IP_BLOCK_SOURCE	       ? BLOCK
								       : UNBLOCK};
	int r;

	if (len != sizeof(mr))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(&mr, val, sizeof(mr));
	c.group = from4(mr.imr_multiaddr);
	c.source = from4(mr.imr_sourceaddr);
	r = iface_of(u, &mr.imr_interface, &c.ifindex);
	return r < 0 ? r : change_groups(u, &c);
}

static int take_sockaddr(const struct sockaddr_storage *ss, struct port_addr *ret, bool v6)
{
	uint16_t port;

	if (ss->ss_family != (v6 ? AF_INET6 : AF_INET))
		return -EADDRNOTAVAIL;
	addr_read(v6 ? PORT_FAMILY_6 : PORT_FAMILY_4, (const struct sockaddr *)ss, sizeof(*ss), ret, &port);
	ret->scope = 0;
	return 0;
}

static int new_group(const struct udp *u, bool v6, int name, const void *val, socklen_t len)
{
	bool source = name != MCAST_JOIN_GROUP && name != MCAST_LEAVE_GROUP;
	struct group_source_req q = {0};
	struct group_req g;
	struct change c = {.verb = name == MCAST_JOIN_GROUP	      ? JOIN
				   : name == MCAST_LEAVE_GROUP	      ? LEAVE
				   : name == MCAST_JOIN_SOURCE_GROUP  ? JOIN_SOURCE
				   : name == MCAST_LEAVE_SOURCE_GROUP ? LEAVE_SOURCE
				   : name == MCAST_BLOCK_SOURCE	      ? BLOCK
								      : UNBLOCK};
	int r;

	if (source ? len != sizeof(q) : len < sizeof(g))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	if (source) {
		memcpy(&q, val, sizeof(q));
	} else {
		memcpy(&g, val, sizeof(g));
		q.gsr_interface = g.gr_interface;
		q.gsr_group = g.gr_group;
	}
	r = take_sockaddr(&q.gsr_group, &c.group, v6);
	if (r == 0 && source)
		r = take_sockaddr(&q.gsr_source, &c.source, v6);
	if (r < 0)
		return source ? r : -EINVAL;
	r = iface_index(q.gsr_interface, &c.ifindex);
	if (c.verb == LEAVE && !q.gsr_interface)
		c.ifindex = 0;
	return r < 0 ? r : change_groups(u, &c);
}

static int old_group6(const struct udp *u, int name, const void *val, socklen_t len)
{
	struct change c = {.verb = name == IPV6_JOIN_GROUP ? JOIN : LEAVE};
	struct ipv6_mreq mr;
	int r;

	if (len < sizeof(mr))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(&mr, val, sizeof(mr));
	c.group = port_addr_from6(mr.ipv6mr_multiaddr.s6_addr, 0);
	if (port_addr_is4(&c.group))
		return -EINVAL;
	r = iface_index(mr.ipv6mr_interface, &c.ifindex);
	if (c.verb == LEAVE && !mr.ipv6mr_interface)
		c.ifindex = 0;
	return r < 0 ? r : change_groups(u, &c);
}

static int filter4(const struct udp *u, const void *val, socklen_t len)
{
	struct change c = {.verb = SET_FILTER};
	struct ip_msfilter f;
	int r;

	if (len < offsetof(struct ip_msfilter, imsf_slist))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(&f, val, offsetof(struct ip_msfilter, imsf_slist));
	if (f.imsf_numsrc > MAILBOX_SOURCES)
		return -ENOBUFS;
	if (len < offsetof(struct ip_msfilter, imsf_slist) + f.imsf_numsrc * sizeof(struct in_addr) ||
	    (f.imsf_fmode != MCAST_INCLUDE && f.imsf_fmode != MCAST_EXCLUDE))
		return -EINVAL;
	c.group = from4(f.imsf_multiaddr);
	c.include = f.imsf_fmode == MCAST_INCLUDE;
	c.n = f.imsf_numsrc;
	for (uint32_t i = 0; i < c.n; i++) {
		struct in_addr a;

		memcpy(&a, (const uint8_t *)val + offsetof(struct ip_msfilter, imsf_slist) + i * sizeof(a), sizeof(a));
		c.list[i] = from4(a);
	}
	r = iface_of(u, &f.imsf_interface, &c.ifindex);
	return r < 0 ? r : change_groups(u, &c);
}

static int set_iface4(const struct udp *u, const void *val, socklen_t len)
{
	struct ip_mreqn mr = {0};
	uint32_t index;
	int r;

	if (len < sizeof(struct in_addr))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	if (len >= sizeof(mr))
		memcpy(&mr, val, sizeof(mr));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(&mr, val, sizeof(struct ip_mreq));
	else
		memcpy(&mr.imr_address, val, sizeof(struct in_addr));
	if (mr.imr_ifindex) {
		r = iface_index((uint32_t)mr.imr_ifindex, &index);
		return r < 0 ? -EADDRNOTAVAIL : udp_store(u, UDP_OPT_MC_IF, (int32_t)mr.imr_address.s_addr);
	}
	r = iface_of(u, &mr.imr_address, &index);
	return r < 0 ? -EADDRNOTAVAIL : udp_store(u, UDP_OPT_MC_IF, (int32_t)mr.imr_address.s_addr);
}

static int set_iface6(const struct udp *u, const void *val, socklen_t len)
{
	int32_t v;
	uint32_t index;

	if (len < sizeof(v))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(&v, val, sizeof(v));
	if (v < 0 || iface_index((uint32_t)v, &index) < 0)
		return -ENODEV;
	return udp_store(u, UDP_OPT_MC_IF6, v);
}

int udp_group_option(const struct udp *u, int level, int name, const void *val, socklen_t len)
{
	bool v6 = level == IPPROTO_IPV6;

	if (!v6)
		switch (name) {
		case IP_ADD_MEMBERSHIP:
		case IP_DROP_MEMBERSHIP:
			return old_group4(u, name, val, len);
		case IP_ADD_SOURCE_MEMBERSHIP:
		case IP_DROP_SOURCE_MEMBERSHIP:
		case IP_BLOCK_SOURCE:
		case IP_UNBLOCK_SOURCE:
			return old_source4(u, name, val, len);
		case IP_MSFILTER:
			return filter4(u, val, len);
		case IP_MULTICAST_IF:
			return set_iface4(u, val, len);
		}
	else
		switch (name) {
		case IPV6_JOIN_GROUP:
		case IPV6_LEAVE_GROUP:
			return old_group6(u, name, val, len);
		case IPV6_MULTICAST_IF:
			return set_iface6(u, val, len);
		}
	switch (name) {
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
		return new_group(u, v6, name, val, len);
	}
	return UDP_NOT_HERE;
}
