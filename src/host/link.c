/* src/host/link.c: RTM_GETLINK and RTM_GETADDR. */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/link.h"
#include "host/netlink.h"

struct reading {
	struct host_links *l;
	size_t room;
};

static void *one_more(void *rows, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return rows;
	*room = *room ? *room * 2 : 16;
	return realloc(rows, *room * size);
}

static void copy_name(char to[16], const struct nlattr *a)
{
	size_t n = mnl_attr_get_payload_len(a);

	memset(to, 0, 16);
	memcpy(to, mnl_attr_get_payload(a), n < 15 ? n : 15);
}

/* A tunnel's own part of a link: which UDP port it takes. */
static void read_tunnel(const struct nlattr *data, struct host_link *link)
{
	int want = strcmp(link->kind, "vxlan") == 0    ? IFLA_VXLAN_PORT
		   : strcmp(link->kind, "geneve") == 0 ? IFLA_GENEVE_PORT
						       : -1;
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, data) if (mnl_attr_get_type(a) == want && mnl_attr_get_payload_len(a) >= 2)
	{
		const uint8_t *p = mnl_attr_get_payload(a); /* in network order */

		link->port = (uint16_t)(p[0] << 8 | p[1]);
	}
}

static void read_kind(const struct nlattr *info, struct host_link *link)
{
	const struct nlattr *a, *data = NULL;

	mnl_attr_for_each_nested(a, info)
	{
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			copy_name(link->kind, a);
		if (mnl_attr_get_type(a) == IFLA_INFO_DATA)
			data = a;
	}
	if (data)
		read_tunnel(data, link);
}

static int take_link(void *ctx, const struct nlmsghdr *nlh)
{
	struct reading *r = ctx;
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;
	struct host_link *rows, *link;

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return 0;
	rows = one_more(r->l->links, r->l->n_links, &r->room, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	r->l->links = rows;
	link = &rows[r->l->n_links++];
	*link = (struct host_link){
		.index = (uint32_t)m->ifi_index,
		.is_up = (m->ifi_flags & IFF_UP) != 0,
		.is_loopback = (m->ifi_flags & IFF_LOOPBACK) != 0,
		.has_carrier = (m->ifi_flags & IFF_LOWER_UP) != 0,
	};
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		size_t n = mnl_attr_get_payload_len(a);

		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			copy_name(link->name, a);
		else if (mnl_attr_get_type(a) == IFLA_MTU && n >= 4)
			link->mtu = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_MASTER && n >= 4)
			link->master = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_LINKINFO)
			read_kind(a, link);
	}
	return 0;
}

/* IFA_LOCAL is ours where both are there: IFA_ADDRESS is then the other end's. */
static int take_addr(void *ctx, const struct nlmsghdr *nlh)
{
	struct reading *r = ctx;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	const uint8_t *octets = NULL;
	struct host_addr *rows, *addr;
	const struct nlattr *a;
	uint32_t flags;
	size_t len;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return 0;
	flags = m->ifa_flags;
	len = m->ifa_family == AF_INET ? 4 : m->ifa_family == AF_INET6 ? 16 : SIZE_MAX;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		size_t n = mnl_attr_get_payload_len(a);

		if (n >= len && (mnl_attr_get_type(a) == IFA_LOCAL || (mnl_attr_get_type(a) == IFA_ADDRESS && !octets)))
			octets = mnl_attr_get_payload(a);
		if (mnl_attr_get_type(a) == IFA_FLAGS && n >= 4)
			flags = mnl_attr_get_u32(a);
	}
	if (!octets)
		return 0;
	rows = one_more(r->l->addrs, r->l->n_addrs, &r->room, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	r->l->addrs = rows;
	addr = &rows[r->l->n_addrs++];
	*addr = (struct host_addr){
		.addr = len == 4 ? port_addr_from4(octets) : port_addr_from6(octets, 0),
		.link = m->ifa_index,
		.prefix_bits = m->ifa_prefixlen,
		.is_tentative = (flags & IFA_F_TENTATIVE) != 0,
		.is_deprecated = (flags & IFA_F_DEPRECATED) != 0,
	};
	if (port_addr_is_linklocal6(&addr->addr))
		addr->addr.scope = m->ifa_index;
	return 0;
}

static void no_links(void *ctx)
{
	((struct reading *)ctx)->l->n_links = 0;
}

static void no_addrs(void *ctx)
{
	((struct reading *)ctx)->l->n_addrs = 0;
}

static int ask(uint16_t type, size_t head, int (*each)(void *, const struct nlmsghdr *), void (*again)(void *),
	       struct host_links *l)
{
	_Alignas(struct nlmsghdr) char buf[64] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct reading r = {.l = l};

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(nlh, head);
	return host_netlink_ask(NETLINK_ROUTE, nlh, each, again, &r);
}

static int by_index(const void *a, const void *b)
{
	const struct host_link *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

int host_links_read(const struct host_root *root, struct host_links *ret)
{
	int r = root && root->no_netlink ? -EOPNOTSUPP : 0;

	*ret = (struct host_links){0};
	if (r == 0)
		r = ask(RTM_GETLINK, sizeof(struct ifinfomsg), take_link, no_links, ret);
	if (r == 0)
		r = ask(RTM_GETADDR, sizeof(struct ifaddrmsg), take_addr, no_addrs, ret);
	if (r < 0) {
		host_links_free(ret);
		return r;
	}
	if (ret->n_links)
		qsort(ret->links, ret->n_links, sizeof(ret->links[0]), by_index);
	return 0;
}

void host_links_free(struct host_links *l)
{
	free(l->links);
	free(l->addrs);
	*l = (struct host_links){0};
}

const struct host_link *host_link_by_index(const struct host_links *l, uint32_t index)
{
	const struct host_link key = {.index = index};

	return l->n_links ? bsearch(&key, l->links, l->n_links, sizeof(key), by_index) : NULL;
}

bool host_addr_is_local(const struct host_links *l, const struct port_addr *a)
{
	if (port_addr_is_loopback(a))
		return true;
	for (size_t i = 0; i < l->n_addrs; i++)
		if (memcmp(l->addrs[i].addr.b, a->b, sizeof(a->b)) == 0 &&
		    (!a->scope || !l->addrs[i].addr.scope || a->scope == l->addrs[i].addr.scope))
			return true;
	return false;
}
