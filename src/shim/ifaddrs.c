/* src/shim/ifaddrs.c: getifaddrs, if_nameindex and their kin, for the interfaces of iface.c.
 *
 * What is given to the program is one block of fresh memory from mmap(2), with a mark before what the program gets
 * to see, so that it can be taken back. libc's own are used when the library is inert.
 */
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/iface.h"

#define LOWER_UP 0x10000u /* IFF_LOWER_UP: more than an ifreq has room for */
#define MARK UINT64_C(0x0a69666164647273)

union any_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_ll ll;
};

struct block {
	uint64_t mark[2];
	struct ifaddrs ifa[3 * IFACE_N];
	union any_addr addr[3 * IFACE_N][3];
	struct rtnl_link_stats stats[IFACE_N];
	char name[IFACE_N][IFNAMSIZ];
};

struct names {
	uint64_t mark[2];
	struct if_nameindex list[IFACE_N + 1];
	char name[IFACE_N][IFNAMSIZ];
};

static void *block_new(size_t len)
{
	uint64_t *p = raw_mmap(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (p)
		*p = MARK;
	return p;
}

static void block_free(void *p, size_t len)
{
	if (*(uint64_t *)p == MARK)
		raw_munmap(p, len);
}

static struct sockaddr *put(union any_addr *at, const struct port_addr *a, bool v6)
{
	if (v6) {
		at->in6.sin6_family = AF_INET6;
		memcpy(&at->in6.sin6_addr, a->b, 16);
	} else {
		at->in.sin_family = AF_INET;
		memcpy(&at->in.sin_addr, a->b + 12, 4);
	}
	return &at->sa;
}

/* libc's order: first the hardware, then the IPv4 and then the IPv6 addresses. */
static void fill(struct block *b, unsigned n, const struct iface *i)
{
	bool lo = n == 0;

	strcpy(b->name[n], i->name);
	for (unsigned kind = 0; kind < 3; kind++) {
		unsigned at = kind * IFACE_N + n;
		struct ifaddrs *ifa = &b->ifa[at];
		union any_addr *addr = b->addr[at];

		ifa->ifa_next = at + 1 < 3 * IFACE_N ? ifa + 1 : NULL;
		ifa->ifa_name = b->name[n];
		ifa->ifa_flags = i->flags | LOWER_UP;
		if (kind == 0) {
			addr[0].ll.sll_family = AF_PACKET;
			addr[0].ll.sll_ifindex = (int)i->index;
			addr[0].ll.sll_hatype = lo ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
			addr[0].ll.sll_halen = 6;
			memcpy(addr[0].ll.sll_addr, i->hardware, 6);
			addr[1].ll = addr[0].ll;
			memset(addr[1].ll.sll_addr, lo ? 0 : 0xff, 6);
			ifa->ifa_addr = &addr[0].sa;
			ifa->ifa_broadaddr = &addr[1].sa;
			ifa->ifa_data = &b->stats[n];
			continue;
		}
		ifa->ifa_addr = put(&addr[0], kind == 1 ? &i->addr4 : &i->addr6, kind == 2);
		ifa->ifa_netmask = put(&addr[1], kind == 1 ? &i->mask4 : &i->mask6, kind == 2);
		if (kind == 1)
			ifa->ifa_broadaddr = put(&addr[2], lo ? &i->addr4 : &i->broadcast4, false);
	}
}

EXPORT(int, getifaddrs, (struct ifaddrs * *ret))
{
	struct shim *s = shim_get();
	struct block *b;

	if (!s)
		return shim_next()->getifaddrs(ret);
	b = block_new(sizeof(*b));
	if (!b)
		return shim_ret(-ENOMEM);
	for (unsigned n = 0; n < IFACE_N; n++) {
		struct iface i;

		if (!iface_get(s, n, &i)) {
			block_free(b, sizeof(*b));
			return shim_ret(-ENETDOWN);
		}
		fill(b, n, &i);
	}
	*ret = b->ifa;
	return 0;
}

EXPORT(void, freeifaddrs, (struct ifaddrs * ifa))
{
	if (!shim_get())
		shim_next()->freeifaddrs(ifa);
	else if (ifa)
		block_free((uint8_t *)ifa - offsetof(struct block, ifa), sizeof(struct block));
}

EXPORT(struct if_nameindex *, if_nameindex, (void))
{
	struct names *b;

	if (!shim_get())
		return shim_next()->if_nameindex();
	b = block_new(sizeof(*b));
	if (!b) {
		errno = ENOBUFS;
		return NULL;
	}
	for (unsigned n = 0; n < IFACE_N; n++) {
		strcpy(b->name[n], iface_name(n + 1));
		b->list[n] = (struct if_nameindex){n + 1, b->name[n]};
	}
	return b->list;
}

EXPORT(void, if_freenameindex, (struct if_nameindex * list))
{
	if (!shim_get())
		shim_next()->if_freenameindex(list);
	else if (list)
		block_free((uint8_t *)list - offsetof(struct names, list), sizeof(struct names));
}

EXPORT(unsigned, if_nametoindex, (const char *name))
{
	unsigned index;

	if (!shim_get())
		return shim_next()->if_nametoindex(name);
	index = iface_number(name);
	if (!index)
		errno = ENODEV;
	return index;
}

EXPORT(char *, if_indextoname, (unsigned index, char *name))
{
	const char *found = iface_name(index);

	if (!shim_get())
		return shim_next()->if_indextoname(index, name);
	if (!found) {
		errno = ENXIO;
		return NULL;
	}
	return strcpy(name, found);
}
