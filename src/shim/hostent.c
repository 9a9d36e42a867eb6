/* src/shim/hostent.c: the old family of look-ups: one hostent, in the caller's memory or in static memory.
 *
 * The host's name is h_name and HOST.NETWORK.berth its alias, so that programs that look for a name with
 * a dot in it (getfqdn) find one. gethostent() lists the network's hosts, then what libc lists
 * (/etc/hosts). The forms without _r share one answer, and their place in the list, as libc's do.
 */
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>

#include "shim/resolve.h"

struct entry {
	char *aliases[2];
	char *addrs[2];
	uint8_t octets[16];
	char name[NETWORK_NAME_MAX];
	char alias[RESOLVE_FQDN_MAX];
};

/* Return: 0; ERANGE, buf is too small. octets: what was asked for; NULL: the host's address. */
static int fill(const struct resolved *h, int family, const uint8_t *octets, struct hostent *he, char *buf,
		size_t buf_len)
{
	size_t skip = -(uintptr_t)buf % _Alignof(struct entry), n_octets = family == AF_INET6 ? 16 : 4;
	struct entry *e = (struct entry *)(void *)(buf + skip);

	if (buf_len < skip + sizeof(*e))
		return ERANGE;
	memset(e, 0, sizeof(*e));
	memcpy(e->octets, octets ? octets : resolve_octets(h, family), n_octets);
	memcpy(e->name, h->name, sizeof(e->name));
	memcpy(e->alias, h->alias, sizeof(e->alias));
	e->aliases[0] = h->alias[0] ? e->alias : NULL;
	e->addrs[0] = (char *)e->octets;
	he->h_name = e->name;
	he->h_aliases = e->aliases;
	he->h_addrtype = family;
	he->h_length = (int)n_octets;
	he->h_addr_list = e->addrs;
	return 0;
}

/* What the _r forms say. Return: 0, ERANGE. */
static int give(enum found f, const struct resolved *h, int family, const uint8_t *octets, struct hostent *he,
		char *buf, size_t len, struct hostent **ret, int *h_err)
{
	int r;

	*ret = NULL;
	if (f == NO_SUCH) {
		*h_err = HOST_NOT_FOUND;
		return 0;
	}
	r = fill(h, family, octets, he, buf, len);
	if (r != 0) {
		*h_err = NETDB_INTERNAL;
		errno = r; /* as libc: who asks without looking at the result sees it, too */
		return r;
	}
	*ret = he;
	*h_err = NETDB_SUCCESS;
	return 0;
}

static struct hostent static_hostent;
static char static_buf[sizeof(struct entry) + _Alignof(struct entry)];

static struct hostent *give_static(enum found f, const struct resolved *h, int family, const uint8_t *octets)
{
	struct hostent *ret;
	int err;

	(void)give(f, h, family, octets, &static_hostent, static_buf, sizeof(static_buf), &ret, &err);
	if (!ret)
		h_errno = err;
	return ret;
}

EXPORT(int, gethostbyname2_r,
       (const char *name, int family, struct hostent *he, char *buf, size_t len, struct hostent **ret, int *h_err))
{
	struct resolved h;
	enum found f = resolve_name(shim_get(), name, &h);

	if (f == NOT_OURS || (family != AF_INET && family != AF_INET6))
		return shim_next()->gethostbyname2_r(name, family, he, buf, len, ret, h_err);
	return give(f, &h, family, NULL, he, buf, len, ret, h_err);
}

EXPORT(int, gethostbyname_r,
       (const char *name, struct hostent *he, char *buf, size_t len, struct hostent **ret, int *h_err))
{
	struct resolved h;
	enum found f = resolve_name(shim_get(), name, &h);

	if (f == NOT_OURS)
		return shim_next()->gethostbyname_r(name, he, buf, len, ret, h_err);
	return give(f, &h, AF_INET, NULL, he, buf, len, ret, h_err);
}

EXPORT(struct hostent *, gethostbyname2, (const char *name, int family))
{
	struct resolved h;
	enum found f = resolve_name(shim_get(), name, &h);

	if (f == NOT_OURS || (family != AF_INET && family != AF_INET6))
		return shim_next()->gethostbyname2(name, family);
	return give_static(f, &h, family, NULL);
}

EXPORT(struct hostent *, gethostbyname, (const char *name))
{
	struct resolved h;
	enum found f = resolve_name(shim_get(), name, &h);

	if (f == NOT_OURS)
		return shim_next()->gethostbyname(name);
	return give_static(f, &h, AF_INET, NULL);
}

/* --- the other way round --- */

static enum found find_octets(const void *addr, socklen_t len, int family, struct resolved *ret)
{
	struct port_addr a;

	if (!addr || (family == AF_INET ? len < 4 : family != AF_INET6 || len < 16))
		return NOT_OURS;
	a = family == AF_INET ? port_addr_from4(addr) : port_addr_from6(addr, 0);
	return resolve_addr(shim_get(), &a, ret);
}

EXPORT(int, gethostbyaddr_r,
       (const void *addr, socklen_t len, int family, struct hostent *he, char *buf, size_t buf_len,
	struct hostent **ret, int *h_err))
{
	struct resolved h;
	enum found f = find_octets(addr, len, family, &h);

	if (f == NOT_OURS)
		return shim_next()->gethostbyaddr_r(addr, len, family, he, buf, buf_len, ret, h_err);
	return give(f, &h, family, addr, he, buf, buf_len, ret, h_err);
}

EXPORT(struct hostent *, gethostbyaddr, (const void *addr, socklen_t len, int family))
{
	struct resolved h;
	enum found f = find_octets(addr, len, family, &h);

	if (f == NOT_OURS)
		return shim_next()->gethostbyaddr(addr, len, family);
	return give_static(f, &h, family, addr);
}

/* --- the list --- */

static _Atomic uint32_t list_at; /* the next host's index */

static bool next_host(struct resolved *ret)
{
	struct shim *s = shim_get();
	struct network_host h;

	while (s && !s->err) {
		uint32_t i = atomic_fetch_add(&list_at, 1);

		if (i >= network_n_hosts(&s->net)) { /* indexes are given in order and not taken back */
			atomic_store(&list_at, NETWORK_HOSTS_MAX);
			return false;
		}
		if (network_host_at(&s->net, i, &h) < 0)
			continue;
		resolve_host(s, &h, ret);
		return true;
	}
	return false;
}

EXPORT(void, sethostent, (int stay_open))
{
	__typeof__(&shim_sethostent) next = RESOLVE_NEXT(sethostent);

	atomic_store(&list_at, 0);
	if (next)
		next(stay_open);
}

EXPORT(void, endhostent, (void))
{
	__typeof__(&shim_endhostent) next = RESOLVE_NEXT(endhostent);

	atomic_store(&list_at, 0);
	if (next)
		next();
}

EXPORT(struct hostent *, gethostent, (void))
{
	__typeof__(&shim_gethostent) next;
	struct resolved h;

	if (next_host(&h))
		return give_static(FOUND, &h, AF_INET, NULL);
	next = RESOLVE_NEXT(gethostent);
	return next ? next() : NULL;
}

EXPORT(int, gethostent_r, (struct hostent * he, char *buf, size_t len, struct hostent **ret, int *h_err))
{
	__typeof__(&shim_gethostent_r) next;
	struct resolved h;

	if (next_host(&h)) {
		int r = give(FOUND, &h, AF_INET, NULL, he, buf, len, ret, h_err);

		if (r == ERANGE) /* with a larger buffer it is this one's turn again */
			atomic_fetch_sub(&list_at, 1);
		return r;
	}
	next = RESOLVE_NEXT(gethostent_r);
	if (next)
		return next(he, buf, len, ret, h_err);
	*ret = NULL;
	return ENOENT;
}
