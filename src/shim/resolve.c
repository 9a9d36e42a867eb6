/* src/shim/resolve.c: host names of the network, for programs that ask libc.
 *
 * In this order, first match wins:
 *
 *     localhost, *.localhost   127.0.0.1 and ::1, never asked of anybody (RFC 6761, 6.3)
 *     gateway.berth            the network's first address: the machine itself
 *     web, web.NETWORK.berth   the host's addresses; a host stands before /etc/hosts
 *     gateway, gateway.NETWORK.berth   the machine, where no host has that name
 *     what uname(2) says       this program's own host: the machine's name must not lead to the machine
 *     anything else in .berth  does not exist; it must not leak to the machine's DNS
 *     all else, and numbers    libc's, as it came: /etc/hosts, DNS, whatever nsswitch.conf says
 *
 * The lists that getaddrinfo() returns belong to libc's freeaddrinfo(), so libc makes them: it is
 * asked for each address of the host as a number, and the lists are joined. IPv4 comes first, as
 * RFC 6724 (2.1, 10.6) orders it before unique local IPv6 addresses; localhost follows suit, so that a
 * server that takes the first address and a client that does meet.
 *
 * AI_ADDRCONFIG asks whether the machine has an address of the family. Under berth every host has both,
 * so it is dropped where the answer is ours, and for numbers.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "network/policy.h"
#include "shim/resolve.h"

#define ASKED_AT_ONCE_MAX 512 /* requests in one getaddrinfo_a() that we look at */

void *resolve_next(_Atomic(void *) *cache, const char *name)
{
	void *p = atomic_load_explicit(cache, memory_order_acquire);

	if (p)
		return p;
	p = dlsym(RTLD_NEXT, name);
	atomic_store_explicit(cache, p, memory_order_release);
	return p;
}

/* --- whose it is --- */

void resolve_host(struct shim *s, const struct network_host *h, struct resolved *ret)
{
	*ret = (struct resolved){.host = h->index, .addr4 = h->addr4, .addr6 = h->addr6};
	memcpy(ret->name, h->name, sizeof(ret->name));
	snprintf(ret->alias, sizeof(ret->alias), "%s.%s.berth", h->name, s->net.name);
}

static void loopback(struct shim *s, struct resolved *ret)
{
	*ret = (struct resolved){.name = "localhost", .host = s->host.index};
	ret->addr4 = PORT_ADDR_LOOP4;
	ret->addr6 = PORT_ADDR_LOOP6;
}

/* The machine itself. */
static void gateway(struct shim *s, struct resolved *ret)
{
	*ret = (struct resolved){.name = "gateway.berth", .host = NETWORK_HOSTS_MAX};
	network_gateway(&s->net, &ret->addr4, &ret->addr6);
	snprintf(ret->alias, sizeof(ret->alias), "gateway.%s.berth", s->net.name);
}

/* "gateway" and "gateway.NETWORK.berth", where no host has that name. */
static bool is_gateway(const struct shim *s, const char *name, size_t len)
{
	static const char label[] = "gateway";
	char whole[RESOLVE_FQDN_MAX];
	size_t n = sizeof(label) - 1;

	if (len < n || strncasecmp(name, label, n) != 0)
		return false;
	if (len == n)
		return true;
	snprintf(whole, sizeof(whole), "gateway.%s.berth", s->net.name);
	return strlen(whole) == len && strncasecmp(name, whole, len) == 0;
}

/* Does name (len octets) end in the label, or is it the label? */
static bool under(const char *name, size_t len, const char *label)
{
	size_t n = strlen(label);

	if (len < n || strncasecmp(name + len - n, label, n) != 0)
		return false;
	return len == n || name[len - n - 1] == '.';
}

static bool is_machine(const char *name, size_t len)
{
	struct utsname u;

	return uname(&u) == 0 && strlen(u.nodename) == len && strncasecmp(u.nodename, name, len) == 0;
}

enum found resolve_name(struct shim *s, const char *name, struct resolved *ret)
{
	struct network_host h;
	size_t len;

	if (!s || s->err || !name || !*name)
		return NOT_OURS;
	len = strlen(name);
	if (name[len - 1] == '.')
		len--;
	if (under(name, len, "localhost")) {
		loopback(s, ret);
		return FOUND;
	}
	if (len == sizeof("gateway.berth") - 1 && strncasecmp(name, "gateway.berth", len) == 0) {
		gateway(s, ret);
		return FOUND;
	}
	if (network_host_by_name(&s->net, name, &h) == 0) {
		resolve_host(s, &h, ret);
		return FOUND;
	}
	if (is_gateway(s, name, len)) {
		gateway(s, ret);
		return FOUND;
	}
	if (len && is_machine(name, len)) {
		resolve_host(s, &s->host, ret);
		return FOUND;
	}
	return under(name, len, "berth") ? NO_SUCH : NOT_OURS;
}

enum found resolve_addr(struct shim *s, const struct port_addr *a, struct resolved *ret)
{
	struct port_addr loop = PORT_ADDR_LOOP4;
	struct network_host h;

	if (!s || s->err || port_addr_is_any(a))
		return NOT_OURS;
	if (port_addr_is_loopback(a)) {
		if (port_addr_is4(a) && !port_addr_equal(a, &loop))
			return NOT_OURS; /* 127.0.1.1 and its like: /etc/hosts may have a name for it */
		loopback(s, ret);
		return FOUND;
	}
	if (!network_covers(&s->net, a))
		return NOT_OURS;
	if (network_is_gateway(&s->net, a)) {
		gateway(s, ret);
		return FOUND;
	}
	if (network_host_by_addr(&s->net, s->host.index, a, &h) < 0)
		return NO_SUCH;
	resolve_host(s, &h, ret);
	return FOUND;
}

const uint8_t *resolve_octets(const struct resolved *h, int family)
{
	return family == AF_INET6 ? h->addr6.b : h->addr4.b + 12;
}

/* --- getaddrinfo --- */

/* libc's, with one more place to look for the name of a service. */
static int ask(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	static const struct {
		int socktype, protocol;
		enum port_proto proto;
	} kinds[] = {{SOCK_STREAM, IPPROTO_TCP, PORT_TCP}, {SOCK_DGRAM, IPPROTO_UDP, PORT_UDP}};
	struct addrinfo mine = hints ? *hints : (struct addrinfo){.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	struct addrinfo *first = NULL, **end = &first;
	struct shim *s = shim_get();
	struct port_service found;
	char number[8];
	bool named = s && service && *service && !(mine.ai_flags & AI_NUMERICSERV) &&
		     strspn(service, "0123456789") != strlen(service);
	int r = EAI_SERVICE, socktype = mine.ai_socktype, protocol = mine.ai_protocol;
	bool of_network = named && (resolve_service(s, service, PORT_TCP, true, &found) == 0 ||
				    resolve_service(s, service, PORT_UDP, true, &found) == 0);

	if (!of_network)
		r = shim_next()->getaddrinfo(node, service, hints, ret);
	if (r != EAI_SERVICE || !named)
		return r;
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		if ((socktype && socktype != kinds[i].socktype) || (protocol && protocol != kinds[i].protocol) ||
		    resolve_service(s, service, kinds[i].proto, of_network, &found) < 0)
			continue;
		mine.ai_socktype = kinds[i].socktype;
		mine.ai_protocol = kinds[i].protocol;
		snprintf(number, sizeof(number), "%u", found.first);
		r = shim_next()->getaddrinfo(node, number, &mine, end);
		if (r != 0)
			break;
		while (*end)
			end = &(*end)->ai_next;
		mine.ai_flags &= ~AI_CANONNAME; /* only the first has one */
	}
	if (r != 0 && first)
		shim_next()->freeaddrinfo(first);
	else if (r == 0)
		*ret = first;
	return r;
}

/* One address of the host. mapped: the IPv4 one, for an AF_INET6 socket. */
static int one_address(const struct resolved *h, int family, bool mapped, const char *service,
		       const struct addrinfo *hints, struct addrinfo **ret)
{
	char text[PORT_ADDR_STR_MAX];
	struct addrinfo mine = {.ai_family = family};

	if (hints) {
		mine.ai_socktype = hints->ai_socktype;
		mine.ai_protocol = hints->ai_protocol;
		mine.ai_flags = hints->ai_flags & ~(AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL | AI_CANONNAME);
	}
	mine.ai_flags |= AI_NUMERICHOST | (mapped ? AI_V4MAPPED : 0);
	port_addr_print(family == AF_INET6 && !mapped ? &h->addr6 : &h->addr4, text);
	return ask(text, service, &mine, ret);
}

static int lookup(const struct resolved *h, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	const int v4mapped_all = AI_V4MAPPED | AI_ALL;
	int wanted = hints ? hints->ai_family : AF_UNSPEC, flags = hints ? hints->ai_flags : 0, r = 0;
	struct addrinfo *first = NULL, **end = &first;
	const struct {
		bool take;
		int family;
		bool mapped;
	} parts[] = {
		{wanted != AF_INET6, AF_INET, false},
		{wanted != AF_INET, AF_INET6, false},
		{wanted == AF_INET6 && (flags & v4mapped_all) == v4mapped_all, AF_INET6, true},
	};

	if (wanted != AF_UNSPEC && wanted != AF_INET && wanted != AF_INET6)
		return EAI_FAMILY;
	for (size_t i = 0; i < COUNT_OF(parts) && r == 0; i++) {
		if (!parts[i].take)
			continue;
		r = one_address(h, parts[i].family, parts[i].mapped, service, hints, end);
		while (r == 0 && *end)
			end = &(*end)->ai_next;
	}
	if (r == 0 && first && flags & AI_CANONNAME) {
		free(first->ai_canonname);
		first->ai_canonname = strdup(h->name);
		r = first->ai_canonname ? 0 : EAI_MEMORY;
	}
	if (r != 0 && first)
		shim_next()->freeaddrinfo(first);
	else if (r == 0)
		*ret = first;
	return r;
}

/* A number of the network's or the loopback's, or no node at all: which families the machine's interfaces
 * have says nothing about it. */
static bool is_ours_by_number(struct shim *s, const char *node)
{
	uint8_t octets[16];
	struct port_addr a;

	if (!s || s->err)
		return false;
	if (!node)
		return true;
	if (inet_pton(AF_INET, node, octets) == 1)
		a = port_addr_from4(octets);
	else if (inet_pton(AF_INET6, node, octets) == 1)
		a = port_addr_from6(octets, 0);
	else
		return false;
	return port_addr_is_any(&a) || port_addr_is_loopback(&a) || network_covers(&s->net, &a);
}

EXPORT(int, getaddrinfo, (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret))
{
	struct shim *s = shim_get();
	struct resolved h;

	if (!(hints && hints->ai_flags & AI_NUMERICHOST)) {
		switch (resolve_name(s, node, &h)) {
		case FOUND:
			return lookup(&h, service, hints, ret);
		case NO_SUCH:
			return EAI_NONAME;
		case NOT_OURS:
			break;
		}
	}
	if ((!hints || hints->ai_flags & AI_ADDRCONFIG) && is_ours_by_number(s, node)) {
		struct addrinfo mine = hints ? *hints : (struct addrinfo){.ai_flags = AI_V4MAPPED};

		mine.ai_flags &= ~AI_ADDRCONFIG;
		return ask(node, service, &mine, ret);
	}
	return ask(node, service, hints, ret);
}

/* --- getaddrinfo_a: libc looks names up in threads of its own, past us --- */

static void notify(const struct sigevent *sig)
{
	siginfo_t info = {0};
	pthread_attr_t attr;
	pthread_t thread;
	union { /* a notification takes a union by value, a thread a pointer: what the ABI passes alike */
		void (*notify)(union sigval);
		void *(*start)(void *);
	} f;

	if (!sig || sig->sigev_notify == SIGEV_NONE)
		return;
	if (sig->sigev_notify == SIGEV_SIGNAL) {
		info.si_signo = sig->sigev_signo;
		info.si_code = SI_ASYNCNL;
		info.si_pid = getpid();
		info.si_uid = getuid();
		info.si_value = sig->sigev_value;
		(void)sys_call(SYS_rt_sigqueueinfo, info.si_pid, info.si_signo, (long)&info, 0, 0);
		return;
	}
	if (sig->sigev_notify != SIGEV_THREAD || pthread_attr_init(&attr) != 0)
		return;
	f.notify = sig->sigev_notify_function;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_create(&thread, sig->sigev_notify_attributes ? sig->sigev_notify_attributes : &attr, f.start,
			     sig->sigev_value.sival_ptr);
	pthread_attr_destroy(&attr);
}

/* Names of ours are answered at once, as that takes microseconds; the others go to libc's threads. */
EXPORT(int, getaddrinfo_a, (int mode, struct gaicb *list[], int n, struct sigevent *sig))
{
	struct shim *s = shim_get();
	struct gaicb *rest[ASKED_AT_ONCE_MAX];
	__typeof__(&shim_getaddrinfo_a) next = RESOLVE_NEXT(getaddrinfo_a);
	int n_rest = 0;

	if (!next)
		return EAI_SYSTEM;
	if (!s || s->err || (mode != GAI_WAIT && mode != GAI_NOWAIT) || n > ASKED_AT_ONCE_MAX)
		return next(mode, list, n, sig);
	for (int i = 0; i < n; i++) {
		struct resolved h;
		struct gaicb *g = list[i];

		if (!g)
			continue;
		if ((g->ar_request && g->ar_request->ai_flags & AI_NUMERICHOST) ||
		    resolve_name(s, g->ar_name, &h) == NOT_OURS) {
			rest[n_rest++] = g;
			continue;
		}
		g->ar_result = NULL;
		g->__return = shim_getaddrinfo(g->ar_name, g->ar_service, g->ar_request, &g->ar_result);
	}
	if (n_rest > 0)
		return next(mode, rest, n_rest, sig);
	if (mode == GAI_NOWAIT)
		notify(sig);
	return 0;
}

/* --- getnameinfo --- */

static bool read_sockaddr(const struct sockaddr *sa, socklen_t len, struct port_addr *ret, uint16_t *ret_port)
{
	if (!sa || len < sizeof(sa->sa_family))
		return false;
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in))
		addr_read(PORT_FAMILY_4, sa, len, ret, ret_port);
	else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6))
		addr_read(PORT_FAMILY_6, sa, len, ret, ret_port);
	else
		return false;
	return true;
}

/* Return: 0, serv is written; EAI_OVERFLOW; EAI_SERVICE, no name of ours: libc's. */
static int name_service(struct shim *s, uint16_t port, int flags, bool first, char *serv, socklen_t serv_len)
{
	struct port_service found;

	if (!serv || !serv_len || flags & NI_NUMERICSERV ||
	    resolve_port(s, port, flags & NI_DGRAM ? PORT_UDP : PORT_TCP, first, &found) < 0)
		return EAI_SERVICE;
	if (strlen(found.name) + 1 > serv_len)
		return EAI_OVERFLOW;
	strcpy(serv, found.name);
	return 0;
}

EXPORT(int, getnameinfo,
       (const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len, char *serv, socklen_t serv_len,
	int flags))
{
	const int known = NI_NUMERICHOST | NI_NUMERICSERV | NI_NOFQDN | NI_NAMEREQD | NI_DGRAM | NI_IDN;
	struct shim *s = shim_get();
	enum found found = NOT_OURS;
	struct resolved h;
	struct port_addr a;
	uint16_t port;
	int r;

	if (!s || s->err || flags & ~known || !read_sockaddr(sa, len, &a, &port))
		return shim_next()->getnameinfo(sa, len, host, host_len, serv, serv_len, flags);
	if (host && host_len && !(flags & NI_NUMERICHOST))
		found = resolve_addr(s, &a, &h);
	if (found == NO_SUCH && flags & NI_NAMEREQD)
		return EAI_NONAME;
	if (found == FOUND && strlen(h.name) + 1 > host_len)
		return EAI_OVERFLOW;
	r = name_service(s, port, flags, true, serv, serv_len);
	if (r == EAI_OVERFLOW)
		return r;
	if (r == 0) { /* the network's own name: libc has only the host left to say */
		serv = NULL;
		serv_len = 0;
	}
	if (found == FOUND) {
		strcpy(host, h.name);
		host = NULL;
		host_len = 0;
	}
	if (host && host_len && found == NO_SUCH)
		flags |= NI_NUMERICHOST;
	if (!(host && host_len) && !(serv && serv_len))
		return r == 0 || found == FOUND ? 0 : EAI_NONAME;
	r = shim_next()->getnameinfo(sa, len, host, host_len, serv, serv_len,
				     found == FOUND ? (flags & ~NI_NAMEREQD) | NI_NUMERICHOST : flags);
	if (r == 0 && serv && serv_len && name_service(s, port, flags, false, serv, serv_len) == EAI_OVERFLOW)
		return EAI_OVERFLOW;
	return r;
}
