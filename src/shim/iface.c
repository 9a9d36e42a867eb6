/* src/shim/iface.c: what a host's network interfaces are, and ioctl() on sockets.
 *
 *     1 lo       127.0.0.1/8, ::1/128
 *     2 berth0   the host's two addresses in the network's subnets
 *
 * A program that looks for its own addresses must find those it can bind, and not the machine's. So the questions
 * about interfaces (SIOCGIF*) are answered here on every socket of the IP families and on ours, and changing one
 * is EPERM, for root too: they are nobody's to change. The netlink sockets that some programs and libc use
 * for the same questions are the kernel's (docs/sockets.md); getifaddrs() and its kin are ours (ifaddrs.c).
 *
 * Of the rest of ioctl(), what a stream of AF_UNIX answers otherwise than TCP: SIOCOUTQ counts what the peer has
 * not read, where TCP counts what has not reached it: on one machine, nothing.
 */
#include <net/if.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/iface.h"
#include "shim/udp.h"

#define SIOCOUTQNSD_ 0x894b
#define SIOCGSTAMPNS_OLD_ 0x8907
#define SIOCGSTAMP_OLD_ 0x8906
#define SIOC_FIRST 0x8900ul
#define SIOC_LAST 0x89fful

static const char *const names[IFACE_N] = {"lo", "berth0"};

const char *iface_name(unsigned index)
{
	return index >= 1 && index <= IFACE_N ? names[index - 1] : NULL;
}

unsigned iface_number(const char *name)
{
	for (unsigned i = 0; i < IFACE_N; i++)
		if (!strncmp(name, names[i], IFNAMSIZ))
			return i + 1;
	return 0;
}

static struct port_addr mask(unsigned bits, bool v4)
{
	struct port_addr m = v4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;

	for (unsigned i = v4 ? 96 : 0; i < bits && i < 128; i++)
		m.b[i / 8] |= (uint8_t)(0x80 >> (i % 8));
	return m;
}

bool iface_get(struct shim *s, unsigned n, struct iface *ret)
{
	struct network_info info;

	if (s->err || n >= IFACE_N)
		return false;
	*ret = (struct iface){.index = n + 1, .name = names[n]};
	if (n == 0) {
		ret->flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
		ret->addr4 = PORT_ADDR_LOOP4;
		ret->addr6 = PORT_ADDR_LOOP6;
		ret->mask4 = mask(104, true);
		ret->mask6 = mask(128, false);
		return true;
	}
	network_get_info(&s->net, &info);
	ret->flags = IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST;
	ret->addr4 = s->host.addr4;
	ret->addr6 = s->host.addr6;
	ret->mask4 = mask(info.prefix4_bits, true);
	ret->mask6 = mask(info.prefix6_bits, false);
	ret->broadcast4 = ret->addr4;
	for (unsigned i = 12; i < 16; i++)
		ret->broadcast4.b[i] |= (uint8_t)~ret->mask4.b[i];
	/* Locally administered, and the IPv4 address, so that no two hosts have the same. */
	memcpy(ret->hardware, (uint8_t[]){0x02, 0xbe}, 2);
	memcpy(ret->hardware + 2, ret->addr4.b + 12, 4);
	return true;
}

static void put4(struct sockaddr *sa, const struct port_addr *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	memcpy(&in.sin_addr, a->b + 12, 4);
	memcpy(sa, &in, sizeof(in));
}

/* SIOCGIFCONF: the IPv4 addresses. No buffer: how long one would have to be. */
static int list(struct shim *s, struct ifconf *c)
{
	int done = 0;

	if (bad_pointer(c))
		return -EFAULT;
	for (unsigned n = 0; n < IFACE_N; n++) {
		struct ifreq r = {0};
		struct iface i;

		if (!iface_get(s, n, &i))
			return -ENODEV;
		if (c->ifc_buf && c->ifc_len - done < (int)sizeof(r))
			break;
		strcpy(r.ifr_name, i.name);
		put4(&r.ifr_addr, &i.addr4);
		if (c->ifc_buf)
			memcpy(c->ifc_buf + done, &r, sizeof(r));
		done += (int)sizeof(r);
	}
	c->ifc_len = done;
	return 0;
}

/* Questions about one interface, by name. Return: 0; negative errno; 1, not one of them, or of an interface that
 * is the machine's: who learned its number by netlink (dnsmasq) must not hear that it does not exist. */
static int ask_interface(struct shim *s, unsigned long request, struct ifreq *r, bool v6)
{
	struct iface i;
	unsigned index;

	if (bad_pointer(r))
		return -EFAULT;
	if (request == SIOCGIFNAME) {
		const char *name = iface_name((unsigned)r->ifr_ifindex);

		if (!name)
			return 1;
		strcpy(r->ifr_name, name);
		return 0;
	}
	index = iface_number(r->ifr_name);
	if (!index)
		return 1;
	if (!iface_get(s, index - 1, &i))
		return -ENODEV;
	switch (request) {
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
		if (v6)
			return -ENOTTY; /* the kernel answers them on AF_INET sockets only */
		put4(&r->ifr_addr, request == SIOCGIFBRDADDR   ? (index == 1 ? &PORT_ADDR_ANY4 : &i.broadcast4)
				   : request == SIOCGIFNETMASK ? &i.mask4
							       : &i.addr4);
		return 0;
	case SIOCGIFFLAGS:
		r->ifr_flags = (short)i.flags;
		return 0;
	case SIOCGIFMETRIC:
		r->ifr_metric = 0;
		return 0;
	case SIOCGIFMTU:
		r->ifr_mtu = IFACE_MTU;
		return 0;
	case SIOCGIFINDEX:
		r->ifr_ifindex = (int)index;
		return 0;
	case SIOCGIFTXQLEN:
		r->ifr_qlen = 1000;
		return 0;
	case SIOCGIFHWADDR:
		memset(&r->ifr_hwaddr, 0, sizeof(r->ifr_hwaddr));
		r->ifr_hwaddr.sa_family = index == 1 ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
		memcpy(r->ifr_hwaddr.sa_data, i.hardware, sizeof(i.hardware));
		return 0;
	case SIOCGIFMAP:
		memset(&r->ifr_map, 0, sizeof(r->ifr_map));
		return 0;
	}
	return 1;
}

static bool is_question(unsigned long request)
{
	switch (request) {
	case SIOCGIFNAME:
	case SIOCGIFCONF:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN:
	case SIOCGIFHWADDR:
	case SIOCGIFMAP:
		return true;
	}
	return false;
}

static bool is_change(unsigned long request)
{
	switch (request) {
	case SIOCSIFNAME:
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMTU:
	case SIOCSIFTXQLEN:
	case SIOCSIFHWADDR:
	case SIOCSIFMAP:
	case SIOCSIFHWBROADCAST:
	case SIOCDIFADDR:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCADDRT:
	case SIOCDELRT:
	case SIOCSARP:
	case SIOCDARP:
		return true;
	}
	return false;
}

/* One of the kernel's own IP sockets? */
static bool is_ip(int fd, bool *ret_v6)
{
	int32_t domain = 0;
	socklen_t len = sizeof(domain);

	if (sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return false;
	*ret_v6 = domain == AF_INET6;
	return domain == AF_INET || domain == AF_INET6;
}

/* What AF_UNIX says otherwise than TCP. Return: 0; negative errno; 1, the kernel's answer is right. */
static int ask_stream(const struct tag *t, unsigned long request, int *value)
{
	switch (request) {
	case SIOCOUTQ:
	case SIOCOUTQNSD_:
		if (t->state == SOCK_LISTENING)
			return -EINVAL;
		if (bad_pointer(value))
			return -EFAULT;
		*value = 0;
		return 0;
	case FIONREAD:
		if (t->state == SOCK_CONNECTED || t->state == SOCK_ACCEPTED)
			return 1;
		if (t->state == SOCK_LISTENING)
			return -EINVAL;
		if (bad_pointer(value))
			return -EFAULT;
		*value = 0;
		return 0;
	case SIOCATMARK:
		if (t->state == SOCK_CONNECTED || t->state == SOCK_ACCEPTED)
			return 1;
		if (bad_pointer(value))
			return -EFAULT;
		*value = 0;
		return 0;
	case SIOCGSTAMP_OLD_:
	case SIOCGSTAMPNS_OLD_:
		return -ENOENT; /* no segment was ever stamped */
	}
	return 1;
}

/* Return: 0; negative errno; 1, the kernel's. */
static int sock_ioctl(int fd, unsigned long request, void *arg)
{
	struct shim *s = shim_get();
	struct tag t;
	bool ours, v6 = false, about_interfaces = is_question(request) || is_change(request);

	if (!s)
		return 1;
	ours = tag_get(fd, &t) == 0;
	if (ours)
		v6 = t.family == PORT_FAMILY_6;
	if (about_interfaces && (ours || is_ip(fd, &v6))) {
		if (is_change(request))
			return -EPERM;
		return request == SIOCGIFCONF ? list(s, arg) : ask_interface(s, request, arg, v6);
	}
	if (ours && t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);

		return udp_ioctl(&u, request, arg);
	}
	return ours ? ask_stream(&t, request, arg) : 1;
}

EXPORT(int, ioctl, (int fd, unsigned long request, ...))
{
	va_list ap;
	void *arg;
	int r = 1;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* Terminals, files and devices pass at the price of this comparison. */
	if ((request >= SIOC_FIRST && request <= SIOC_LAST) || request == SIOCOUTQ || request == FIONREAD)
		r = sock_ioctl(fd, request, arg);
	if (r == 1)
		return shim_next()->ioctl(fd, request, arg);
	return shim_ret(r);
}
