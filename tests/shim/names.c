/* tests/shim/names.c: every way to look up a name, as an ordinary program on host "one" of network "names".
 *
 * Run by run_names.sh; the network also has a host "two", and a file `services` with the line
 * "berthly 7777/tcp". Each check reports under its own name; the first argument, when there is one, picks
 * the checks whose name contains it. --no-services: the machine has no /etc/services.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../checks.h"

_Atomic int failures;

/* "4s:127.0.0.1:80 6d:::1:53": family, kind, address, port of each; "error N" when there is none. */
static const char *list(const char *node, const char *service, int family, int type, int flags, char out[1024])
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = type, .ai_flags = flags}, *ai, *a;
	char host[64], port[16];
	int r = getaddrinfo(node, service, &hints, &ai), n = 0;

	if (r != 0) {
		snprintf(out, 1024, "error %d", r);
		return out;
	}
	out[0] = '\0';
	for (a = ai; a && n < 900; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof(host), port, sizeof(port),
				NI_NUMERICHOST | NI_NUMERICSERV) != 0)
			strcpy(host, "?");
		n += snprintf(out + n, (size_t)(1024 - n), "%s%c%c:%s:%s", n ? " " : "",
			      a->ai_family == AF_INET ? '4' : '6',
			      a->ai_socktype == SOCK_STREAM  ? 's'
			      : a->ai_socktype == SOCK_DGRAM ? 'd'
							     : 'r',
			      host, port);
	}
	freeaddrinfo(ai);
	return out;
}

static bool lists(const char *want, const char *node, const char *service, int family, int type, int flags)
{
	char out[1024];

	if (!strcmp(list(node, service, family, type, flags, out), want))
		return true;
	printf("    %s: got '%s', wanted '%s'\n", node ? node : "(null)", out, want);
	return false;
}

static char four[64], six[64]; /* of host two */
static char own4[64], own6[64];

static const char *text(const char *fmt, const char *a, const char *b)
{
	static _Thread_local char buf[512];

	snprintf(buf, sizeof(buf), fmt, a, b);
	return buf;
}

/* --- names --- */

static void localhost_names(void)
{
	struct hostent *h;

	WANT(lists("4s:127.0.0.1:80 6s:::1:80", "localhost", "80", AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists("4s:127.0.0.1:80 6s:::1:80", "LocalHost.", "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG));
	WANT(lists("6s:::1:80", "shop.localhost", "80", AF_INET6, SOCK_STREAM, AI_ADDRCONFIG));
	WANT(lists("4d:127.0.0.1:53", "a.b.c.localhost", "53", AF_INET, SOCK_DGRAM, 0));
	h = gethostbyname("x.localhost");
	WANT(h && h->h_addrtype == AF_INET && !memcmp(h->h_addr_list[0], "\177\0\0\1", 4) && !h->h_addr_list[1]);
	h = gethostbyname2("localhost", AF_INET6);
	WANT(h && h->h_length == 16 && !strcmp(h->h_name, "localhost"));
	WANT(lists("error -2", "notlocalhost.berth", "80", AF_INET, SOCK_STREAM, 0));
}

static void machine_name(void)
{
	char name[256], want[256];
	struct hostent *h;

	WANT(gethostname(name, sizeof(name)) == 0);
	snprintf(want, sizeof(want), "4s:%s:80 6s:%s:80", own4, own6);
	WANT(lists(want, name, "80", AF_UNSPEC, SOCK_STREAM, 0));
	h = gethostbyname(name);
	WANT(h && !strcmp(h->h_name, "one") && h->h_aliases[0] && !strcmp(h->h_aliases[0], "one.names.berth"));
}

static int name_info(const char *address, int port, int flags, char host[128], char serv[64])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	host[0] = serv[0] = '\0';
	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return getnameinfo((struct sockaddr *)&in, sizeof(in), host, 128, serv, 64, flags);
	inet_pton(AF_INET6, address, &in6.sin6_addr);
	return getnameinfo((struct sockaddr *)&in6, sizeof(in6), host, 128, serv, 64, flags);
}

/* The machine itself: the subnet's first address. */
static void the_gateway(void)
{
	char want[256], first[64], host[128], serv[64];
	struct hostent *h;

	snprintf(first, sizeof(first), "%s", four);
	strcpy(strrchr(first, '.'), ".1");
	snprintf(want, sizeof(want), "4s:%s:80", first);
	WANT(lists(want, "gateway.berth", "80", AF_INET, SOCK_STREAM, 0));
	WANT(lists(want, "gateway", "80", AF_INET, SOCK_STREAM, AI_ADDRCONFIG));
	WANT(lists(want, "Gateway.names.Berth.", "80", AF_INET, SOCK_STREAM, 0));
	WANT(lists("error -2", "gateway.other.berth", "80", AF_INET, SOCK_STREAM, 0));
	snprintf(want, sizeof(want), "%s", six);
	strcpy(strrchr(want, ':'), ":1");
	h = gethostbyname2("gateway.berth", AF_INET6);
	WANT(h && inet_ntop(AF_INET6, h->h_addr_list[0], serv, sizeof(serv)) && !strcmp(serv, want));
	WANT(name_info(first, 80, NI_NAMEREQD, host, serv) == 0 && !strcmp(host, "gateway.berth"));
}

static void berth_does_not_leak(void)
{
	struct hostent *h;

	WANT(lists("error -2", "nobody.names.berth", "80", AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists("error -2", "two.other.berth", "80", AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists("error -2", "names.berth.", "80", AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists("error -2", "berth", "80", AF_UNSPEC, SOCK_STREAM, 0));
	h = gethostbyname("gone.berth");
	WANT(!h && h_errno == HOST_NOT_FOUND);
}

static void every_flag(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME}, *ai;
	char want[300], host[64];

	snprintf(want, sizeof(want), "4s:%s:80 6s:%s:80", four, six);
	WANT(lists(want, "two", "80", AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists(want, "two", "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG | AI_V4MAPPED));
	WANT(lists(want, "two", "http", AF_UNSPEC, SOCK_STREAM, AI_PASSIVE));
	WANT(lists("error -2", "two", "http", AF_UNSPEC, SOCK_STREAM, AI_NUMERICSERV));
	WANT(lists("error -2", "two", "80", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST));
	WANT(lists(text("6s:%s:80", six, ""), "two", "80", AF_INET6, SOCK_STREAM, AI_V4MAPPED));
	WANT(lists(text("6s:%s:80 6s:::ffff:%s:80", six, four), "two", "80", AF_INET6, SOCK_STREAM,
		   AI_V4MAPPED | AI_ALL));
	WANT(lists(text("6s:%s:80", six, ""), "two", "80", AF_INET6, SOCK_STREAM, AI_ALL));
	WANT(lists(text("4s:%s:80", four, ""), "two", "80", AF_INET, SOCK_STREAM, AI_V4MAPPED | AI_ALL));
	snprintf(want, sizeof(want), "4s:%s:53 4d:%s:53 6s:%s:53 6d:%s:53", four, four, six, six);
	WANT(lists(want, "two", "domain", AF_UNSPEC, 0, 0));
	snprintf(want, sizeof(want), "4s:%s:0 4d:%s:0 4r:%s:0", four, four, four);
	WANT(lists(want, "two", NULL, AF_INET, 0, 0));
	WANT(lists("error -6", "two", "80", AF_UNIX, SOCK_STREAM, 0));
	WANT(lists("error -1", "two", "80", AF_UNSPEC, SOCK_STREAM, 0x40000000));
	WANT(lists("error -7", "two", "80", AF_UNSPEC, 77, 0));
	WANT(lists("error -8", "two", "no-such-service", AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists("4s:0.0.0.0:80", "0.0.0.0", "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG));
	WANT(lists("4s:0.0.0.0:80 6s::::80", NULL, "80", AF_UNSPEC, SOCK_STREAM, AI_PASSIVE | AI_ADDRCONFIG));
	WANT(lists("error -2", NULL, NULL, AF_UNSPEC, SOCK_STREAM, 0));
	WANT(lists(text("6s:%s:80", six, ""), six, "80", AF_UNSPEC, SOCK_STREAM, AI_ADDRCONFIG | AI_NUMERICHOST));
	WANT(getaddrinfo("TWO", "80", &hints, &ai) == 0);
	WANT(ai->ai_canonname && !strcmp(ai->ai_canonname, "two") && ai->ai_next && !ai->ai_next->ai_canonname);
	freeaddrinfo(ai);
	WANT(getaddrinfo("two", "80", NULL, &ai) == 0 && ai->ai_next);
	WANT(getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0, NI_NAMEREQD) == 0);
	WANT(!strcmp(host, "two"));
	freeaddrinfo(ai);
}

/* --- the other way --- */

static void reverse(void)
{
	char host[128], serv[64], mapped[80], none[64], buf[1024];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct hostent *h, he, *ret;
	uint8_t octets[16];
	int err;

	snprintf(mapped, sizeof(mapped), "::ffff:%s", four);
	strcpy(none, four);
	strcpy(strrchr(none, '.'), ".201"); /* in the subnet, nobody's */
	WANT(name_info(four, 80, 0, host, serv) == 0 && !strcmp(host, "two") && !strcmp(serv, "http"));
	WANT(name_info(six, 443, NI_NAMEREQD, host, serv) == 0 && !strcmp(host, "two") && !strcmp(serv, "https"));
	WANT(name_info(mapped, 80, NI_NOFQDN, host, serv) == 0 && !strcmp(host, "two"));
	WANT(name_info(four, 80, NI_NUMERICHOST, host, serv) == 0 && !strcmp(host, four));
	WANT(name_info(four, 80, NI_NUMERICSERV | NI_DGRAM, host, serv) == 0 && !strcmp(serv, "80"));
	WANT(name_info("127.0.0.1", 80, NI_NAMEREQD, host, serv) == 0 && !strcmp(host, "localhost"));
	WANT(name_info("::1", 80, NI_NAMEREQD, host, serv) == 0 && !strcmp(host, "localhost"));
	WANT(name_info(none, 80, NI_NAMEREQD, host, serv) == EAI_NONAME);
	WANT(name_info(none, 80, 0, host, serv) == 0 && !strcmp(host, none) && !strcmp(serv, "http"));
	WANT(name_info(four, 80, 0x4000, host, serv) == EAI_BADFLAGS);
	inet_pton(AF_INET, four, &in.sin_addr);
	WANT(getnameinfo((struct sockaddr *)&in, sizeof(in), host, 3, NULL, 0, 0) == EAI_OVERFLOW);
	WANT(getnameinfo((struct sockaddr *)&in, sizeof(in), NULL, 0, serv, 3, 0) == EAI_OVERFLOW);
	WANT(getnameinfo((struct sockaddr *)&in, sizeof(in), NULL, 0, NULL, 0, 0) == EAI_NONAME);
	WANT(getnameinfo((struct sockaddr *)&in, 3, host, sizeof(host), NULL, 0, 0) == EAI_FAMILY);
	h = gethostbyaddr(&in.sin_addr, 4, AF_INET);
	WANT(h && !strcmp(h->h_name, "two") && !strcmp(h->h_aliases[0], "two.names.berth") && !h->h_aliases[1]);
	inet_pton(AF_INET6, mapped, octets);
	WANT(gethostbyaddr_r(octets, 16, AF_INET6, &he, buf, sizeof(buf), &ret, &err) == 0 && ret == &he);
	WANT(!strcmp(he.h_name, "two") && !memcmp(he.h_addr_list[0], octets, 16));
	WANT(gethostbyaddr_r(octets, 16, AF_INET6, &he, buf, 10, &ret, &err) == ERANGE && !ret);
	inet_pton(AF_INET, none, octets);
	WANT(!gethostbyaddr(octets, 4, AF_INET) && h_errno == HOST_NOT_FOUND);
}

static void list_of_hosts(void)
{
	struct hostent *h, he, *ret;
	char buf[1024];
	int err;

	for (int round = 0; round < 2; round++) {
		sethostent(1);
		h = gethostent();
		WANT(h && !strcmp(h->h_name, "one") && h->h_addrtype == AF_INET);
		h = gethostent();
		WANT(h && !strcmp(h->h_name, "two"));
		for (int i = 0; i < 1000 && h; i++) /* and then those of /etc/hosts, to their end */
			h = gethostent();
		WANT(!h);
		endhostent();
	}
	WANT(gethostent_r(&he, buf, 4, &ret, &err) == ERANGE);
	WANT(gethostent_r(&he, buf, sizeof(buf), &ret, &err) == 0 && ret && !strcmp(he.h_name, "one"));
	endhostent();
}

/* --- getaddrinfo_a --- */

static volatile sig_atomic_t told;
static _Atomic int thread_told;

static void on_told(int sig, siginfo_t *info, void *unused)
{
	(void)sig;
	(void)unused;
	told = info->si_value.sival_int;
}

static void in_thread(union sigval v)
{
	thread_told = v.sival_int;
}

static void asynchronous(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct gaicb a = {.ar_name = "two", .ar_service = "80", .ar_request = &hints}, b = {.ar_name = "127.0.0.3"},
		     c = {.ar_name = "nobody.names.berth"}, d = {.ar_name = "two.names.berth"};
	struct gaicb *all[] = {&a, NULL, &b, &c}, *one[] = {&d};
	struct sigaction act = {.sa_sigaction = on_told, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	char text4[64];

	WANT(getaddrinfo_a(GAI_WAIT, all, 4, NULL) == 0);
	WANT(gai_error(&a) == 0 && gai_error(&b) == 0 && gai_error(&c) == EAI_NONAME);
	inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)a.ar_result->ai_addr)->sin_addr, text4, sizeof(text4));
	WANT(!strcmp(text4, four));
	freeaddrinfo(a.ar_result);
	freeaddrinfo(b.ar_result);
	sigaction(SIGUSR2, &act, NULL);
	ev.sigev_value.sival_int = 42;
	WANT(getaddrinfo_a(GAI_NOWAIT, one, 1, &ev) == 0);
	for (int i = 0; i < 200 && told != 42; i++)
		usleep(10000);
	WANT(told == 42 && gai_error(&d) == 0);
	freeaddrinfo(d.ar_result);
	ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread};
	ev.sigev_value.sival_int = 43;
	WANT(getaddrinfo_a(GAI_NOWAIT, one, 1, &ev) == 0);
	for (int i = 0; i < 200 && thread_told != 43; i++)
		usleep(10000);
	WANT(thread_told == 43);
	WANT(gai_suspend((const struct gaicb *const *)one, 1, NULL) != EAI_AGAIN && gai_cancel(&d) == EAI_ALLDONE);
	freeaddrinfo(d.ar_result);
	WANT(getaddrinfo_a(99, one, 1, NULL) == EAI_SYSTEM && errno == EINVAL);
}

/* --- names of ports --- */

/* With no /etc/services (--no-services) the registry answers; with one it does not. */
static bool no_services;

static void services(void)
{
	struct servent *s, se, *ret;
	char host[128], serv[64], buf[1024];

	s = getservbyname("http", "tcp");
	WANT(s && s->s_port == htons(80) && !strcmp(s->s_proto, "tcp"));
	s = getservbyport(htons(443), NULL);
	WANT(s && !strcmp(s->s_name, "https"));
	s = getservbyname("domain", "udp");
	WANT(s && s->s_port == htons(53) && !strcmp(s->s_proto, "udp"));
	WANT(!getservbyname("http", "nonsense") && !getservbyname("no-such-service", NULL));
	s = getservbyname("berthly", "tcp"); /* the network's own file */
	WANT(s && s->s_port == htons(7777));
	WANT(!getservbyname("berthly", "udp"));
	s = getservbyport(htons(7777), "tcp");
	WANT(s && !strcmp(s->s_name, "berthly"));
	WANT(getservbyname_r("berthly", NULL, &se, buf, 8, &ret) == ERANGE && !ret);
	WANT(getservbyname_r("berthly", NULL, &se, buf, sizeof(buf), &ret) == 0 && ret == &se);
	WANT(getservbyport_r(htons(7777), "tcp", &se, buf, sizeof(buf), &ret) == 0 && ret == &se);
	WANT(getservbyport_r(htons(22), "tcp", &se, buf, sizeof(buf), &ret) == 0 && !strcmp(ret->s_name, "ssh"));
	WANT(lists(text("4s:%s:7777", four, ""), "two", "berthly", AF_INET, 0, 0));
	WANT(lists("4s:127.0.0.5:7777", "127.0.0.5", "berthly", AF_INET, SOCK_STREAM, 0));
	WANT(lists("error -8", "127.0.0.5", "berthly", AF_INET, SOCK_DGRAM, 0));
	WANT(name_info(four, 7777, 0, host, serv) == 0 && !strcmp(serv, "berthly") && !strcmp(host, "two"));
	WANT(name_info("192.0.2.1", 7777, NI_NUMERICHOST, host, serv) == 0 && !strcmp(serv, "berthly"));
	WANT(name_info("192.0.2.1", 7777, NI_NUMERICHOST | NI_DGRAM, host, serv) == 0 &&
	     !strcmp(serv, no_services ? "cbt" : "7777"));
	setservent(0);
	WANT(getservent() && getservent());
	WANT(getservent_r(&se, buf, sizeof(buf), &ret) == 0 && ret == &se);
	endservent();
}

static void registry(void)
{
	struct servent *s = getservbyport(htons(6379), "tcp");
	char host[128], serv[64];
	int n = 0;

	WANT(name_info("127.0.0.1", 5671, 0, host, serv) == 0);
	if (!no_services) {
		WANT(!getservbyname("cadlock2", "tcp")); /* registered, and in nobody's /etc/services */
		return;
	}
	WANT(s && !strcmp(s->s_name, "redis") && !strcmp(serv, "amqps"));
	WANT(getservbyname("www", "tcp") && getservbyname("cadlock2", "tcp"));
	WANT(lists("4s:127.0.0.1:6379", "127.0.0.1", "redis", AF_INET, 0, 0));
	setservent(1);
	while ((s = getservent()) && n < 100000)
		n++;
	endservent();
	WANT(n > 5000 && n < 20000);
}

/* --- DNS messages --- */

static int answers(const uint8_t *msg, int len, int type, char out[256])
{
	ns_msg m;
	ns_rr rr;
	int n = 0;

	out[0] = '\0';
	if (ns_initparse(msg, len, &m) < 0)
		return -1;
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		char name[256] = "";
		const uint8_t *d;

		if (ns_parserr(&m, ns_s_an, i, &rr) < 0)
			return -1;
		d = ns_rr_rdata(rr);
		if ((int)ns_rr_type(rr) != type)
			continue;
		n++;
		if (type == ns_t_a)
			inet_ntop(AF_INET, d, out, 256);
		else if (type == ns_t_aaaa)
			inet_ntop(AF_INET6, d, out, 256);
		else if (dn_expand(msg, msg + len, type == ns_t_srv ? d + 6 : d, name, sizeof(name)) < 0)
			return -1;
		else if (type == ns_t_ptr)
			snprintf(out, 256, "%s", name);
		else
			snprintf(out + strlen(out), 256 - strlen(out), "%s%d:%.64s", n > 1 ? " " : "", d[4] << 8 | d[5],
				 name);
	}
	return n;
}

static void dns(void)
{
	uint8_t a[512], q[300];
	char out[256], name[128], want[80];
	struct __res_state st = {0};
	unsigned o[4];
	int n;

	n = res_query("two.names.berth", ns_c_in, ns_t_a, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_a, out) == 1 && !strcmp(out, four));
	n = res_search("two", ns_c_in, ns_t_aaaa, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_aaaa, out) == 1 && !strcmp(out, six));
	n = res_querydomain("two", "names.berth", ns_c_in, ns_t_a, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_a, out) == 1 && !strcmp(out, four));
	sscanf(four, "%u.%u.%u.%u", &o[0], &o[1], &o[2], &o[3]);
	snprintf(name, sizeof(name), "%u.%u.%u.%u.in-addr.arpa", o[3], o[2], o[1], o[0]);
	n = res_query(name, ns_c_in, ns_t_ptr, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_ptr, out) == 1 && !strcmp(out, "two.names.berth"));
	snprintf(name, sizeof(name), "201.%u.%u.%u.in-addr.arpa", o[2], o[1], o[0]);
	WANT(res_query(name, ns_c_in, ns_t_ptr, a, sizeof(a)) == -1 && h_errno == HOST_NOT_FOUND);
	n = res_query("1.0.0.127.IN-ADDR.arpa", ns_c_in, ns_t_ptr, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_ptr, out) == 1 && !strcmp(out, "localhost"));
	n = res_query("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", ns_c_in, ns_t_ptr, a,
		      sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_ptr, out) == 1 && !strcmp(out, "localhost"));
	WANT(res_query("two", ns_c_in, ns_t_mx, a, sizeof(a)) == -1 && h_errno == NO_DATA);
	WANT(res_query("nobody.names.berth", ns_c_in, ns_t_a, a, sizeof(a)) == -1 && h_errno == HOST_NOT_FOUND);
	WANT(res_query("names.berth", ns_c_in, ns_t_a, a, sizeof(a)) == -1 && h_errno == NO_DATA);
	/* A buffer that is too small: cut and marked, or refused; never written past. */
	memset(a, 0x5a, sizeof(a));
	n = res_query("two", ns_c_in, ns_t_any, a, 40);
	WANT(n <= 40 && (n < 0 || a[2] & 2) && a[40] == 0x5a);
	memset(a, 0x5a, sizeof(a));
	WANT(res_query("two", ns_c_in, ns_t_a, a, 10) == -1 && a[10] == 0x5a);
	/* The same with a state, and as a message. */
	n = res_nquery(&st, "two", ns_c_in, ns_t_a, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_a, out) == 1 && !strcmp(out, four));
	WANT(res_nsearch(&st, "nobody.berth", ns_c_in, ns_t_a, a, sizeof(a)) == -1);
	WANT(st.res_h_errno == HOST_NOT_FOUND);
	n = res_mkquery(ns_o_query, "two.names.berth", ns_c_in, ns_t_aaaa, NULL, 0, NULL, q, sizeof(q));
	WANT(n > 12);
	n = res_send(q, n, a, sizeof(a));
	WANT(n > 12 && !memcmp(a, q, 2) && a[2] & 0x80 && answers(a, n, ns_t_aaaa, out) == 1 && !strcmp(out, six));
	n = res_mkquery(ns_o_query, "x.berth", ns_c_in, ns_t_a, NULL, 0, NULL, q, sizeof(q));
	n = res_nsend(&st, q, n, a, sizeof(a));
	WANT(n > 12 && (a[3] & 15) == ns_r_nxdomain);
	snprintf(want, sizeof(want), "%s", four);
}

static int listener(const char *address, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &a.sin_addr);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 5) == 0)
		return fd;
	close(fd);
	return -1;
}

static void srv(void)
{
	uint8_t a[1024];
	char out[256];
	int n, l = listener("0.0.0.0", 80), m = listener("127.0.0.1", 8080), o = listener("0.0.0.0", 7777);

	WANT(l >= 0 && m >= 0 && o >= 0);
	n = res_query("_http._tcp.one.names.berth", ns_c_in, ns_t_srv, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_srv, out) == 1 && !strcmp(out, "80:one.names.berth"));
	n = res_query("_http-alt._tcp.one", ns_c_in, ns_t_srv, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_srv, out) == 1 && !strcmp(out, "8080:one.names.berth"));
	n = res_query("_HTTP._TCP.names.berth", ns_c_in, ns_t_srv, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_srv, out) == 1 && !strcmp(out, "80:one.names.berth"));
	n = res_query("_berthly._tcp.localhost", ns_c_in, ns_t_srv, a, sizeof(a));
	WANT(n > 12 && answers(a, n, ns_t_srv, out) == 1 && !strcmp(out, "7777:one.names.berth"));
	WANT(res_query("_http._tcp.two", ns_c_in, ns_t_srv, a, sizeof(a)) == -1 && h_errno == NO_DATA);
	WANT(res_query("_http._udp.one", ns_c_in, ns_t_srv, a, sizeof(a)) == -1 && h_errno == NO_DATA);
	WANT(res_query("_http._tcp.no.names.berth", ns_c_in, ns_t_srv, a, sizeof(a)) == -1 &&
	     h_errno == HOST_NOT_FOUND);
	close(l);
	WANT(res_query("_http._tcp.one", ns_c_in, ns_t_srv, a, sizeof(a)) == -1 && h_errno == NO_DATA);
	close(m);
	close(o);
}

/* --- questions nobody should ask --- */

static uint32_t draw(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void garbage(void)
{
	struct __res_state st = {.options = RES_INIT}; /* no server: what is not ours fails at once */
	uint32_t state = 20260101;
	uint8_t q[300], a[560];
	int ours = 0;

	for (int i = 0; i < 100000; i++) {
		int n = res_mkquery(ns_o_query, i % 2 ? "_http._tcp.one.names.berth" : "two.names.berth", ns_c_in,
				    i % 3 ? ns_t_srv : ns_t_any, NULL, 0, NULL, q, sizeof(q));
		int size = 1 + (int)(draw(&state) % 512), r;

		for (unsigned k = draw(&state) % 4; k > 0; k--)
			q[draw(&state) % (unsigned)n] = (uint8_t)draw(&state);
		if (draw(&state) % 8 == 0)
			n = (int)(draw(&state) % (unsigned)n);
		memset(a, 0x5a, sizeof(a));
		r = res_nsend(&st, q, n, a, size);
		WANT(r <= size && a[size] == 0x5a);
		ours += r > 0;
	}
	WANT(ours > 10000);
}

static const struct check checks[] = {
	{"localhost and what ends in it", localhost_names},
	{"the machine's own name leads to this host", machine_name},
	{"the gateway is the machine", the_gateway},
	{"names in .berth that nobody has do not exist", berth_does_not_leak},
	{"getaddrinfo with every flag", every_flag},
	{"addresses to names", reverse},
	{"the list of hosts", list_of_hosts},
	{"getaddrinfo_a", asynchronous},
	{"names of ports", services},
	{"names of ports without /etc/services", registry},
	{"DNS messages", dns},
	{"SRV: who listens on a service", srv},
	{"DNS messages that were scribbled on", garbage},
};

static void *again(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		every_flag();
		dns();
	}
	return NULL;
}

static void own_addresses(void)
{
	char out[1024], *p;

	sscanf(list("two.names.berth", "1", AF_INET, SOCK_STREAM, 0, out), "4s:%60[0-9.]", four);
	list("two.names.berth", "1", AF_INET6, SOCK_STREAM, 0, out);
	if ((p = strrchr(out, ':')) && !strncmp(out, "6s:", 3))
		snprintf(six, sizeof(six), "%.*s", (int)(p - out - 3), out + 3);
	sscanf(list("one.names.berth", "1", AF_INET, SOCK_STREAM, 0, out), "4s:%60[0-9.]", own4);
	list("one.names.berth", "1", AF_INET6, SOCK_STREAM, 0, out);
	if ((p = strrchr(out, ':')) && !strncmp(out, "6s:", 3))
		snprintf(own6, sizeof(own6), "%.*s", (int)(p - out - 3), out + 3);
}

int main(int argc, char **argv)
{
	enum { N = 4 };
	pthread_t th[N];
	int ran, before;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "--no-services")) {
		no_services = true;
		argc--;
		argv++;
	}
	own_addresses();
	before = n_descriptors();
	ran = run_checks(checks, sizeof(checks) / sizeof(checks[0]), argc > 1 ? argv[1] : NULL);
	if (argc == 1) {
		int failed = failures;

		for (int i = 0; i < N; i++)
			pthread_create(&th[i], NULL, again, NULL);
		for (int i = 0; i < N; i++)
			pthread_join(th[i], NULL);
		printf("%s: four threads look up at once\n", failures == failed ? "ok" : "FAIL");
		if (n_descriptors() != before) {
			printf("    %d descriptors before, %d after\n", before, n_descriptors());
			failures++;
		}
		printf("%s: no descriptor is left open\n", n_descriptors() == before ? "ok" : "FAIL");
	}
	return ran == 0 || failures ? 1 : 0;
}
