/* src/shim/resolve.c: host names of the network, for programs that ask libc.
 *
 * A name that is a host's is answered here; every other name, and numbers, go to libc as they came.
 * A name under this network's own suffix (NETWORK.berth) that is no host's does not exist: it must
 * not leak to the machine's DNS.
 *
 * The lists that getaddrinfo() returns belong to libc's freeaddrinfo(), so libc makes them: it is
 * asked for each address of the host as a number, and the lists are joined. IPv4 comes first, as
 * RFC 6724 (2.1, 10.6) orders it before unique local IPv6 addresses.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shim/shim.h"

enum found { FOUND, NOT_OURS, NO_SUCH };

static enum found find_host(struct shim *s, const char *name, struct network_host *ret)
{
	char suffix[NETWORK_NAME_MAX + 16];
	size_t len, n;

	if (!s || s->err || !name || !*name)
		return NOT_OURS;
	if (network_host_by_name(&s->net, name, ret) == 0)
		return FOUND;
	len = strlen(name);
	if (len && name[len - 1] == '.')
		len--;
	n = (size_t)snprintf(suffix, sizeof(suffix), ".%s.berth", s->net.name);
	if (n < sizeof(suffix) && len > n && !strncasecmp(name + len - n, suffix, n))
		return NO_SUCH;
	return NOT_OURS;
}

static enum found find_addr(struct shim *s, const struct port_addr *a, struct network_host *ret)
{
	if (!s || s->err || port_addr_is_loopback(a) || port_addr_is_any(a))
		return NOT_OURS;
	return network_host_by_addr(&s->net, s->host.index, a, ret) == 0 ? FOUND : NOT_OURS;
}

/* The host's address as 4 or 16 octets. */
static const uint8_t *octets_of(const struct network_host *h, int family)
{
	return family == AF_INET6 ? h->addr6.b : h->addr4.b + 12;
}

static int one_family(const struct network_host *h, int family, const char *service, const struct addrinfo *hints,
		      struct addrinfo **ret)
{
	char text[PORT_ADDR_STR_MAX];
	struct addrinfo mine = {0};

	if (hints) {
		mine.ai_socktype = hints->ai_socktype;
		mine.ai_protocol = hints->ai_protocol;
		mine.ai_flags = hints->ai_flags & ~(AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL);
	}
	mine.ai_family = family;
	mine.ai_flags |= AI_NUMERICHOST;
	port_addr_print(family == AF_INET6 ? &h->addr6 : &h->addr4, text);
	return shim_next()->getaddrinfo(text, service, &mine, ret);
}

static int lookup(const struct network_host *h, const char *service, const struct addrinfo *hints,
		  struct addrinfo **ret)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct addrinfo *first = NULL, **end = &first;
	int wanted = hints ? hints->ai_family : AF_UNSPEC, r = 0;

	if (wanted != AF_UNSPEC && wanted != AF_INET && wanted != AF_INET6)
		return EAI_FAMILY;
	for (size_t i = 0; i < COUNT_OF(families); i++) {
		if (wanted != AF_UNSPEC && wanted != families[i])
			continue;
		r = one_family(h, families[i], service, hints, end);
		if (r != 0)
			break;
		while (*end)
			end = &(*end)->ai_next;
	}
	if (r == 0 && first && hints && hints->ai_flags & AI_CANONNAME) {
		char *name = strdup(h->name);

		if (!name) {
			r = EAI_MEMORY;
		} else {
			free(first->ai_canonname);
			first->ai_canonname = name;
			for (struct addrinfo *a = first->ai_next; a; a = a->ai_next) {
				free(a->ai_canonname); /* only the first has one */
				a->ai_canonname = NULL;
			}
		}
	}
	if (r != 0) {
		if (first)
			shim_next()->freeaddrinfo(first);
		return r;
	}
	*ret = first;
	return 0;
}

EXPORT(int, getaddrinfo, (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret))
{
	struct network_host h;

	if (hints && hints->ai_flags & AI_NUMERICHOST)
		return shim_next()->getaddrinfo(node, service, hints, ret);
	switch (find_host(shim_get(), node, &h)) {
	case FOUND:
		return lookup(&h, service, hints, ret);
	case NO_SUCH:
		return EAI_NONAME;
	case NOT_OURS:
		break;
	}
	return shim_next()->getaddrinfo(node, service, hints, ret);
}

static bool read_sockaddr(const struct sockaddr *sa, socklen_t len, struct port_addr *ret)
{
	uint16_t port;

	if (!sa || len < sizeof(sa->sa_family))
		return false;
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in))
		addr_read(PORT_FAMILY_4, sa, len, ret, &port);
	else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6))
		addr_read(PORT_FAMILY_6, sa, len, ret, &port);
	else
		return false;
	return true;
}

EXPORT(int, getnameinfo,
       (const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len, char *serv, socklen_t serv_len,
	int flags))
{
	struct network_host h;
	struct port_addr a;
	int r;

	if (!host || !host_len || flags & NI_NUMERICHOST || !read_sockaddr(sa, len, &a) ||
	    find_addr(shim_get(), &a, &h) != FOUND)
		return shim_next()->getnameinfo(sa, len, host, host_len, serv, serv_len, flags);
	if (serv && serv_len) {
		r = shim_next()->getnameinfo(sa, len, NULL, 0, serv, serv_len, (flags & ~NI_NAMEREQD) | NI_NUMERICHOST);
		if (r != 0)
			return r;
	}
	if (strlen(h.name) + 1 > host_len)
		return EAI_OVERFLOW;
	strcpy(host, h.name);
	return 0;
}

/* --- the old family: one hostent, in the caller's memory or in libc's kind of static memory --- */

struct entry {
	char *aliases[1];
	char *addrs[2];
	char octets[16];
	char name[NETWORK_NAME_MAX];
};

/* Return: 0; ERANGE, buf is too small. */
static int fill(const struct network_host *h, int family, struct hostent *he, char *buf, size_t buf_len)
{
	size_t skip = -(uintptr_t)buf % _Alignof(struct entry);
	struct entry *e = (struct entry *)(void *)(buf + skip);

	if (buf_len < skip + sizeof(*e))
		return ERANGE;
	memset(e, 0, sizeof(*e));
	memcpy(e->octets, octets_of(h, family), family == AF_INET6 ? 16 : 4);
	memcpy(e->name, h->name, sizeof(e->name));
	e->addrs[0] = e->octets;
	he->h_name = e->name;
	he->h_aliases = e->aliases;
	he->h_addrtype = family;
	he->h_length = family == AF_INET6 ? 16 : 4;
	he->h_addr_list = e->addrs;
	return 0;
}

static struct hostent static_hostent;
static char static_buf[sizeof(struct entry) + _Alignof(struct entry)];

EXPORT(int, gethostbyname2_r,
       (const char *name, int family, struct hostent *he, char *buf, size_t len, struct hostent **ret, int *h_err))
{
	struct network_host h;
	enum found f = find_host(shim_get(), name, &h);
	int r;

	if (f == NOT_OURS || (family != AF_INET && family != AF_INET6))
		return shim_next()->gethostbyname2_r(name, family, he, buf, len, ret, h_err);
	*ret = NULL;
	if (f == NO_SUCH) {
		*h_err = HOST_NOT_FOUND;
		return 0;
	}
	r = fill(&h, family, he, buf, len);
	if (r == 0)
		*ret = he;
	else
		*h_err = NETDB_INTERNAL;
	return r;
}

EXPORT(int, gethostbyname_r,
       (const char *name, struct hostent *he, char *buf, size_t len, struct hostent **ret, int *h_err))
{
	struct network_host h;

	if (find_host(shim_get(), name, &h) == NOT_OURS)
		return shim_next()->gethostbyname_r(name, he, buf, len, ret, h_err);
	return shim_gethostbyname2_r(name, AF_INET, he, buf, len, ret, h_err);
}

EXPORT(struct hostent *, gethostbyname2, (const char *name, int family))
{
	struct network_host h;
	enum found f = find_host(shim_get(), name, &h);

	if (f == NOT_OURS || (family != AF_INET && family != AF_INET6))
		return shim_next()->gethostbyname2(name, family);
	if (f == NO_SUCH) {
		h_errno = HOST_NOT_FOUND;
		return NULL;
	}
	return fill(&h, family, &static_hostent, static_buf, sizeof(static_buf)) == 0 ? &static_hostent : NULL;
}

EXPORT(struct hostent *, gethostbyname, (const char *name))
{
	struct network_host h;

	if (find_host(shim_get(), name, &h) == NOT_OURS)
		return shim_next()->gethostbyname(name);
	return shim_gethostbyname2(name, AF_INET);
}

static enum found find_octets(const void *addr, socklen_t len, int family, struct network_host *ret)
{
	struct port_addr a;

	if (!addr || (family == AF_INET ? len < 4 : family != AF_INET6 || len < 16))
		return NOT_OURS;
	a = family == AF_INET ? port_addr_from4(addr) : port_addr_from6(addr, 0);
	return find_addr(shim_get(), &a, ret);
}

EXPORT(int, gethostbyaddr_r,
       (const void *addr, socklen_t len, int family, struct hostent *he, char *buf, size_t buf_len,
	struct hostent **ret, int *h_err))
{
	struct network_host h;
	int r;

	if (find_octets(addr, len, family, &h) != FOUND)
		return shim_next()->gethostbyaddr_r(addr, len, family, he, buf, buf_len, ret, h_err);
	*ret = NULL;
	r = fill(&h, family, he, buf, buf_len);
	if (r == 0)
		*ret = he;
	else
		*h_err = NETDB_INTERNAL;
	return r;
}

EXPORT(struct hostent *, gethostbyaddr, (const void *addr, socklen_t len, int family))
{
	struct network_host h;

	if (find_octets(addr, len, family, &h) != FOUND)
		return shim_next()->gethostbyaddr(addr, len, family);
	return fill(&h, family, &static_hostent, static_buf, sizeof(static_buf)) == 0 ? &static_hostent : NULL;
}
