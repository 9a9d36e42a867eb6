/* tests/outside/calls_more.c: more sections of calls.c: options, epolls, data, datagrams. */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "calls.h"

/* --- options: set before, asked after --- */

static const struct option {
	const char *text;
	int level, name, value;
} options[] = {
	{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
	{"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 1},
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
	{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1},
	{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 30000},
	{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 40000},
	{"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 3},
	{"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 5},
	{"SO_MARK", SOL_SOCKET, SO_MARK, 77},
	{"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, 1},
	{"SO_BUSY_POLL", SOL_SOCKET, SO_BUSY_POLL, 20},
	{"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 1},
	{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
	{"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 1000},
	{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77},
	{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 7},
	{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 3},
	{"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 4},
	{"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 9},
	{"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000},
	{"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1},
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 9000},
	{"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384},
	{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 3},
	{"TCP_THIN_LINEAR_TIMEOUTS", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1},
	{"IP_TOS", IPPROTO_IP, IP_TOS, 0x10},
	{"IP_TTL", IPPROTO_IP, IP_TTL, 33},
	{"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
	{"IP_RECVTTL", IPPROTO_IP, IP_RECVTTL, 1},
	{"IP_RECVERR", IPPROTO_IP, IP_RECVERR, 1},
	{"IP_MINTTL", IPPROTO_IP, IP_MINTTL, 5},
	{"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1},
	{"IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 1},
	{"IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, 1},
	{"IP_LOCAL_PORT_RANGE", IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, 40100 << 16 | 40000},
	{"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 1},
	{"IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, 0x20},
	{"IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44},
	{"IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT},
	{"IPV6_RECVERR", IPPROTO_IPV6, IPV6_RECVERR, 1},
	{"IPV6_AUTOFLOWLABEL", IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0},
	{"IPV6_MINHOPCOUNT", IPPROTO_IPV6, IPV6_MINHOPCOUNT, 7},
	{"IPV6_ADDR_PREFERENCES", IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, 2 /* IPV6_PREFER_SRC_PUBLIC */},
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static void one_by_one(const char *to)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option *o = &options[i];
		int fd = tcp(to, 0);
		char text[64];

		if (o->level == IPPROTO_IPV6 && !strchr(to, ':'))
			continue;
		snprintf(text, sizeof(text), "%s set", o->text);
		say(text, set(fd, o->level, o->name, o->value));
		if (do_connect(fd, to, port) < 0)
			say("connect", -1);
		snprintf(text, sizeof(text), "%s after", o->text);
		say_option(text, fd, o->level, o->name);
		close(fd);
	}
}

static void all_defaults(const char *to)
{
	int fd = tcp(to, 0);

	if (do_connect(fd, to, port) < 0)
		say("connect", -1);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		char text[64];

		if (options[i].level == IPPROTO_IPV6 && !strchr(to, ':'))
			continue;
		if ((options[i].level == SOL_SOCKET && /* the kernel moves these by itself */
		     (options[i].name == SO_SNDBUF || options[i].name == SO_RCVBUF)) ||
		    (options[i].level == IPPROTO_TCP && options[i].name == TCP_QUICKACK))
			continue;
		snprintf(text, sizeof(text), "%s default", options[i].text);
		say_option(text, fd, options[i].level, options[i].name);
	}
	close(fd);
}

static void say_time(const char *what, int fd, int name)
{
	struct timeval t = {-1, -1};
	socklen_t len = sizeof(t);
	char text[48];

	if (getsockopt(fd, SOL_SOCKET, name, &t, &len) < 0)
		say(what, -1);
	snprintf(text, sizeof(text), "%ld %ld", (long)t.tv_sec, (long)t.tv_usec);
	say_text(what, text);
}

static void larger_ones(void)
{
	struct timeval t = {2, 500000};
	struct linger l = {1, 5};
	char name[16] = "";
	socklen_t len = sizeof(l);
	int fd = tcp(four, 0);

	section("options-large");
	say("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	say("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	say("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	say("TCP_CONGESTION", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	say("connect", do_connect(fd, four, port));
	say_time("SO_RCVTIMEO after", fd, SO_RCVTIMEO);
	say_time("SO_SNDTIMEO after", fd, SO_SNDTIMEO);
	say("SO_LINGER after", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say_num("its seconds", l.l_onoff ? l.l_linger : -1);
	len = sizeof(name);
	say("TCP_CONGESTION after", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	say_text("its name", name);
	close(fd);
	fd = tcp(four, 0);
	say("SO_BINDTODEVICE lo", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	close(fd);
	fd = tcp(four, 0);
	say("SO_BINDTODEVICE v0", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "v0", 2));
	say("connect", do_connect(fd, four, port));
	close(fd);
}

static void bound(void)
{
	int fd = tcp(four, 0), other;

	section("bound");
	say("port", do_bind(fd, "0.0.0.0", 6130));
	say("connect", do_connect(fd, four, port));
	names("port", fd);
	close(fd);
	fd = tcp(six, 0);
	say("IPv6 port", do_bind(fd, "::", 6131));
	say("connect", do_connect(fd, six, port));
	say_num("its port", port_of(fd));
	close(fd);
	fd = tcp(six, 0);
	say("both families", do_bind(fd, "::", 6132));
	say("connect mapped", do_connect(fd, "::ffff:198.51.100.2", port));
	names("both", fd);
	close(fd);
	fd = tcp(four, 0);
	say("port 0", do_bind(fd, "0.0.0.0", 0));
	other = port_of(fd);
	say("connect", do_connect(fd, four, port));
	say_num("the same port", port_of(fd) == other);
	close(fd);
	fd = tcp(four, 0);
	say("loopback", do_bind(fd, "127.0.0.1", 6133));
	say("connect", do_connect(fd, four, port));
	close(fd);
	fd = tcp(six, 0);
	say("loopback, IPv6", do_bind(fd, "::ffff:127.0.0.1", 6134));
	say("connect", do_connect(fd, "::ffff:198.51.100.2", port));
	say("connect", do_connect(fd, six, port));
	close(fd);
	fd = tcp(four, 0);
	say("no port yet", set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
	say("bind", do_bind(fd, "0.0.0.0", 0));
	say_num("port", port_of(fd));
	say("connect", do_connect(fd, four, port));
	say_num("a port", port_of(fd) > 0);
	close(fd);
	fd = tcp(four, 0);
	say("a range", set(fd, IPPROTO_IP, 51, 40100 << 16 | 40000));
	say("connect", do_connect(fd, four, port));
	say_num("in it", port_of(fd) >= 40000 && port_of(fd) <= 40100);
	close(fd);
	/* A listener cannot connect. */
	fd = tcp(four, 0);
	say("bind", do_bind(fd, "0.0.0.0", 6135));
	say("listen", listen(fd, 5));
	say("connect", do_connect(fd, four, port));
	close(fd);
}

void calls_options(void)
{
	section("options-4");
	one_by_one(four);
	section("options-6");
	one_by_one(six);
	section("defaults-4");
	all_defaults(four);
	section("defaults-6");
	all_defaults(six);
	larger_ones();
	bound();
}

/* --- epolls --- */

int watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.u64 = UINT64_C(0xabcdef0012340000) + (unsigned)events};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

void say_events(const char *what, int epoll, int ms)
{
	struct epoll_event e[8];
	int n = epoll_wait(epoll, e, 8, ms);
	char text[128];
	size_t at;

	at = (size_t)snprintf(text, sizeof(text), "%d:", n);
	for (int i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %#x of %llx", e[i].events,
				       (unsigned long long)e[i].data.u64);
	say_text(what, text);
}

void calls_epoll(void)
{
	static const uint32_t kinds[] =
		{0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLRDHUP | EPOLLET, EPOLLPRI};

	section("epoll");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (int p = port; p <= port + 1; p++) {
			int e = epoll_create1(EPOLL_CLOEXEC), fd = tcp(four, SOCK_NONBLOCK);

			say("add", watch(e, fd, EPOLLIN | EPOLLOUT | kinds[i]));
			say("connect", do_connect(fd, four, p));
			say_events("events", e, 5000);
			say_events("once more", e, 20);
			say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
			say("del", epoll_ctl(e, EPOLL_CTL_DEL, fd, NULL));
			close(fd);
			close(e);
		}
	}
	section("epoll-many");
	{
		int e[3] = {epoll_create1(0), epoll_create1(0), epoll_create1(0)}, fd = tcp(four, SOCK_NONBLOCK);
		int copy = dup(fd), outer = epoll_create1(0);

		say("nested", watch(outer, e[0], EPOLLIN));
		say("one", watch(e[0], fd, EPOLLOUT | EPOLLET));
		say("a copy in the same", watch(e[0], copy, EPOLLOUT));
		say("two", watch(e[1], fd, EPOLLIN));
		say("copy in a third", watch(e[2], copy, EPOLLOUT | EPOLLONESHOT));
		(void)epoll_wait(e[0], &(struct epoll_event){0}, 1, 0);
		(void)epoll_wait(e[2], &(struct epoll_event){0}, 1, 0);
		say("connect", do_connect(copy, four, port));
		say_events("nested", outer, 5000);
		say_ready("poll of the copy", copy, POLLOUT, 5000);
		say_events("two", e[1], 20);
		say_echo("echo", fd, "multi");
		say("the original goes", close(fd));
		say_echo("echo", copy, "multi");
		say("mod", epoll_ctl(e[2], EPOLL_CTL_MOD, copy, &(struct epoll_event){.events = EPOLLOUT}));
		say_events("third", e[2], 1000);
		for (int i = 0; i < 3; i++)
			close(e[i]);
		close(outer);
		close(copy);
	}
	section("epoll-after");
	{
		int e = epoll_create1(0), fd = tcp(four, 0);

		say("add", watch(e, fd, EPOLLIN | EPOLLRDHUP | EPOLLET));
		(void)epoll_wait(e, &(struct epoll_event){0}, 1, 0);
		say("blocking connect", do_connect(fd, four, port));
		say_events("nothing yet", e, 20);
		say_count("send", send(fd, "abc", 3, 0));
		say_events("data", e, 5000);
		say("shut", shutdown(fd, SHUT_WR));
		say_ready("the end", fd, POLLRDHUP, 5000);
		say_events("the end", e, 5000);
		close(fd);
		say_events("closed", e, 20);
		close(e);
	}
}

/* --- data --- */

long drain(int fd)
{
	static char buf[65536];
	long n, all = 0;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		all += n;
	return n < 0 ? n : all;
}

long pour(int fd, long len)
{
	static char buf[65536];
	long all = 0;

	while (all < len) {
		long n = send(fd, buf, len - all < (long)sizeof(buf) ? (size_t)(len - all) : sizeof(buf), MSG_NOSIGNAL);

		if (n < 0)
			return n;
		all += n;
	}
	return all;
}

void calls_data(void)
{
	char buf[64] = "";
	int fd = opened('b'), p[2], file;
	FILE *f;
	long n;

	section("data");
	say_count("8 MiB", drain(fd));
	say_count("then", recv(fd, buf, 1, 0));
	close(fd);
	fd = opened('s');
	say_count("pour", pour(fd, 5000000));
	say("shut", shutdown(fd, SHUT_WR));
	say_count("all there", recv(fd, buf, 7, MSG_WAITALL));
	say_text("count", buf);
	close(fd);
	fd = opened('h');
	say_count("its end", recv(fd, buf, 1, 0));
	say_count("pour against an end", pour(fd, 100000));
	close(fd);
	fd = opened('r');
	say_ready("reset", fd, POLLIN, 5000);
	say("recv", recv(fd, buf, 1, 0));
	say("recv then", recv(fd, buf, 1, 0));
	say("send then", send(fd, "x", 1, MSG_NOSIGNAL));
	names("reset", fd);
	close(fd);
	fd = opened('x');
	say_ready("closed", fd, POLLIN | POLLRDHUP, 5000);
	say_count("recv", recv(fd, buf, 1, 0));
	say("send", send(fd, "x", 1, MSG_NOSIGNAL));
	(void)ready(fd, POLLHUP, 5000);
	say("send then", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
	fd = opened('o');
	say_ready("urgent", fd, POLLPRI, 5000);
	say_count("recv OOB", recv(fd, buf, 1, MSG_OOB));
	say_num("SIOCATMARK", ioctl(fd, SIOCATMARK, &file) == 0 ? file : -1);
	close(fd);
	fd = tcp(four, 0);
	say("pipe", pipe(p));
	say("connect", do_connect(fd, four, port));
	say_count("write to the pipe", write(p[1], "tspliced", 8));
	say_count("splice out", splice(p[0], NULL, fd, NULL, 8, 0));
	say_ready("back", fd, POLLIN, 5000);
	say_count("splice in", splice(fd, NULL, p[1], NULL, 8, 0));
	say_count("peek nothing", recv(fd, buf, 1, MSG_PEEK | MSG_DONTWAIT));
	file = open("/proc/self/exe", O_RDONLY);
	say_count("sendfile", sendfile(fd, file, NULL, 500));
	for (n = 0; n < 500 && ready(fd, POLLIN, 5000) & POLLIN;)
		n += recv(fd, buf, sizeof(buf), 0);
	say_num("all back", n);
	say_count("read with a name", recvfrom(fd, buf, 1, MSG_DONTWAIT, (struct sockaddr *)buf, &(socklen_t){16}));
	close(file);
	close(p[0]);
	close(p[1]);
	f = fdopen(fd, "r+");
	say_num("stdio", fprintf(f, "through stdio\n") + fflush(f));
	say_text("line", fgets(buf, sizeof(buf), f) ? "came" : "did not");
	say("fclose", fclose(f));
	fd = tcp(four, SOCK_NONBLOCK);
	(void)do_connect(fd, four, port);
	(void)ready(fd, POLLOUT, 5000);
	(void)send(fd, "b", 1, 0);
	(void)ready(fd, POLLIN, 5000);
	usleep(1000);
	fcntl(fd, F_SETFL, 0);
	say_count("a slow reader", drain(fd));
	close(fd);
}

/* --- datagrams --- */

static int udp(const char *to, int flags)
{
	return socket(strchr(to, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM | flags, 0);
}

static long send_to(int fd, const char *to, int p, const void *data, size_t len)
{
	union addr a;
	socklen_t a_len = addr(&a, to, p);

	return sendto(fd, data, len, 0, &a.sa, a_len);
}

static void say_from(const char *what, int fd)
{
	static char buf[65536];
	union addr a = {0};
	socklen_t len = sizeof(a);
	long n = -1;
	char text[80];

	errno = EAGAIN;
	if (ready(fd, POLLIN, 5000) > 0)
		n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &a.sa, &len);
	snprintf(text, sizeof(text), "%s octets", what);
	say_count(text, n);
	say_addr(what, n < 0 ? -1 : 0, &a, len);
}

static void say_error(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct sock_extended_err *x = c ? (void *)CMSG_DATA(c) : NULL;
	union addr offender = {0};

	say_num("flags", m->msg_flags & MSG_ERRQUEUE);
	say_num("errno", x ? (long)x->ee_errno : -1);
	say_num("origin", x ? x->ee_origin : -1);
	say_num("type", x ? x->ee_type : -1);
	say_num("code", x ? x->ee_code : -1);
	if (x)
		memcpy(&offender, x + 1,
		       c->cmsg_len - CMSG_LEN(sizeof(*x)) < sizeof(offender) ? c->cmsg_len - CMSG_LEN(sizeof(*x))
									     : sizeof(offender));
	say_addr("offender", 0, &offender, 0);
}

static void udp_errors(const char *to)
{
	struct iovec iov;
	char buf[64], control[512];
	union addr a;
	struct msghdr m = {.msg_name = &a,
			   .msg_namelen = sizeof(a),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	bool v6 = strchr(to, ':') != NULL;
	int fd = udp(to, 0);
	long r;

	iov = (struct iovec){buf, sizeof(buf)};
	say("RECVERR", set(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1));
	say("connect", do_connect(fd, to, port + 1));
	say_count("send", send(fd, "abc", 3, 0));
	say_ready("poll", fd, POLLIN, 5000);
	say("recv", recv(fd, buf, 1, MSG_DONTWAIT));
	r = say_count("error queue", recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT));
	if (r >= 0) {
		say_addr("whose", 0, &a, m.msg_namelen);
		say_error(&m);
	}
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	close(fd);
}

static void udp_one(const char *to)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	static char big[65507];
	int fd = udp(to, 0);
	char buf[64];

	names("before", fd);
	say_count("sendto", send_to(fd, to, port, "abc", 3));
	say_num("a port", port_of(fd) > 0);
	say_from("back", fd);
	say_count("empty", send_to(fd, to, port, "", 0));
	say_from("empty back", fd);
	say_count("8000", send_to(fd, to, port, big, 8000));
	say_from("8000 back", fd);
	say_count("65507", send_to(fd, to, port, big, 65507));
	say_from("65507 back", fd);
	say("65508", send_to(fd, to, port, big, strchr(to, ':') ? 65528 : 65508));
	say("no address", send(fd, "x", 1, 0));
	say("port 0", send_to(fd, to, 0, "x", 1));
	say("no route", send_to(fd, strchr(to, ':') ? "2001:db8:99::1" : "198.18.0.1", 9, "x", 1));
	say("connect", do_connect(fd, to, port));
	names("connected", fd);
	say_count("send", send(fd, "abcd", 4, 0));
	say_from("back", fd);
	say("connect elsewhere", do_connect(fd, to, port + 1));
	say_count("send", send(fd, "abcd", 4, 0));
	say_ready("refused", fd, POLLIN, 5000);
	say("recv", recv(fd, buf, 1, MSG_DONTWAIT));
	say("recv then", recv(fd, buf, 1, MSG_DONTWAIT));
	say("unspec", connect(fd, &none, sizeof(none)));
	names("unspec", fd);
	say_count("sendto", send_to(fd, to, port, "abc", 3));
	say_from("back", fd);
	say("shutdown", shutdown(fd, SHUT_RDWR));
	close(fd);
}

static void udp_size(const char *to, int discover)
{
	static char big[3000];
	int fd = udp(to, 0);

	say("discover", strchr(to, ':') ? set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, discover)
					: set(fd, IPPROTO_IP, IP_MTU_DISCOVER, discover));
	say("connect", do_connect(fd, to, port));
	say_count("3000", send(fd, big, 3000, 0));
	say_option("IP_MTU", fd, strchr(to, ':') ? IPPROTO_IPV6 : IPPROTO_IP, strchr(to, ':') ? IPV6_MTU : IP_MTU);
	close(fd);
}

static void udp_segments(void)
{
	static char out[3000];
	int fd = udp(four, 0), all = 0;
	char buf[4096];

	say("connect", do_connect(fd, four, port));
	say("UDP_SEGMENT", set(fd, IPPROTO_UDP, 103, 1000));
	say_count("3000 at once", send(fd, out, 3000, 0));
	for (int i = 0; i < 3 && ready(fd, POLLIN, 5000) > 0; i++)
		all += (int)recv(fd, buf, sizeof(buf), 0);
	say_num("back in thousands", all);
	close(fd);
	fd = udp(four, 0);
	say("before connect", set(fd, IPPROTO_UDP, 103, 1000));
	say("connect", do_connect(fd, four, port));
	say_option("UDP_SEGMENT", fd, IPPROTO_UDP, 103);
	say("UDP_GRO", set(fd, IPPROTO_UDP, 104, 1));
	close(fd);
}

/* Not connected: what comes back comes by the supervisor. */
static void udp_loose(const char *to)
{
	static char big[9000];
	bool v6 = strchr(to, ':') != NULL;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, fd = udp(to, 0);
	char buf[8], control[512];
	struct iovec iov = {buf, sizeof(buf)};
	union addr a = {0};
	struct msghdr m = {.msg_name = &a, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	struct timeval t = {.tv_usec = 50000};
	char text[200] = "";
	size_t at = 0;
	long r;

	say("RECVTTL", set(fd, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1));
	say("RECVTOS", set(fd, level, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1));
	say("PKTINFO", set(fd, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1));
	say("SO_TIMESTAMP", set(fd, SOL_SOCKET, SO_TIMESTAMP, 1));
	say_count("send", send_to(fd, to, port, "abcdefghij", 10));
	say_ready("poll", fd, POLLIN, 5000);
	m.msg_namelen = sizeof(a);
	m.msg_controllen = sizeof(control);
	r = say_count("recvmsg", recvmsg(fd, &m, MSG_DONTWAIT | MSG_TRUNC));
	say_addr("from", r < 0 ? -1 : 0, &a, m.msg_namelen);
	say_num("cut", m.msg_flags & MSG_TRUNC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); r >= 0 && c && at < sizeof(text) - 40; c = CMSG_NXTHDR(&m, c))
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %d/%d/%zu", c->cmsg_level, c->cmsg_type,
				       (size_t)c->cmsg_len);
	say_text("control", text);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	say("nothing more", recv(fd, buf, 1, 0));
	say("TTL", set(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, 33));
	say("TOS", set(fd, level, v6 ? IPV6_TCLASS : IP_TOS, 0x20));
	say_count("send", send_to(fd, to, port, "x", 1));
	say_from("back", fd);
	say("connect to nobody", do_connect(fd, to, port + 1));
	say_count("send elsewhere", send_to(fd, to, port, "y", 1));
	say_ready("its answer is not heard", fd, POLLIN, 50);
	close(fd);
	fd = udp(to, 0);
	say("RECVERR", set(fd, level, v6 ? IPV6_RECVERR : IP_RECVERR, 1));
	say_count("to nobody", send_to(fd, to, port + 1, "x", 1));
	say_ready("error", fd, POLLIN, 2000);
	say("recv", recv(fd, buf, 1, MSG_DONTWAIT));
	m.msg_namelen = sizeof(a);
	m.msg_controllen = sizeof(control);
	say("queue", recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT));
	say_addr("whose", 0, &a, m.msg_namelen);
	say_error(&m);
	say_ready("no more", fd, POLLIN, 0);
	say_count("to nobody", send_to(fd, to, port + 1, "x", 1));
	say_ready("error", fd, POLLIN, 2000);
	say_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
	say("off", set(fd, level, v6 ? IPV6_RECVERR : IP_RECVERR, 0));
	say_count("to nobody", send_to(fd, to, port + 1, "x", 1));
	say_ready("no error", fd, POLLIN, 50);
	close(fd);
	fd = udp(to, 0);
	say_count("to nobody", send_to(fd, to, port + 1, "x", 1));
	say_ready("no error", fd, POLLIN, 50);
	say("DO", set(fd, level, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DO));
	say_count("9000", send_to(fd, to, port, big, 9000));
	say("DONT", set(fd, level, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DONT));
	say_count("9000", send_to(fd, to, port, big, 9000));
	say_from("9000 back", fd);
	say("UDP_SEGMENT", set(fd, IPPROTO_UDP, 103, 1000));
	say_count("2500", send_to(fd, to, port, big, 2500));
	for (int i = 0; i < 3; i++)
		say_from("segment", fd);
	close(fd);
}

void calls_udp(void)
{
	struct mmsghdr many[3];
	struct iovec iov[3] = {{(char[]){"1"}, 1}, {(char[]){"22"}, 2}, {(char[]){"333"}, 3}};
	union addr a[3];
	int fd, e;

	section("udp-4");
	udp_one(four);
	section("udp-6");
	udp_one(six);
	section("udp-mapped");
	fd = udp(six, 0);
	say_count("sendto", send_to(fd, "::ffff:198.51.100.2", port, "abc", 3));
	say_from("back", fd);
	say("connect", do_connect(fd, "::ffff:198.51.100.2", port));
	names("connected", fd);
	say_count("send", send(fd, "abc", 3, 0));
	say_from("back", fd);
	close(fd);
	section("udp-errors-4");
	udp_errors(four);
	section("udp-errors-6");
	udp_errors(six);
	section("udp-size");
	udp_size(four, IP_PMTUDISC_DO);
	udp_size(four, IP_PMTUDISC_DONT);
	udp_size(six, IPV6_PMTUDISC_DO);
	udp_segments();
	section("udp-many");
	fd = udp(six, 0);
	memset(many, 0, sizeof(many));
	for (int i = 0; i < 3; i++) {
		many[i].msg_hdr.msg_namelen = addr(&a[i], i == 1 ? "::ffff:198.51.100.2" : six, port);
		many[i].msg_hdr.msg_name = &a[i];
		many[i].msg_hdr.msg_iov = &iov[i];
		many[i].msg_hdr.msg_iovlen = 1;
	}
	e = epoll_create1(0);
	say("watched", watch(e, fd, EPOLLIN));
	say_count("sendmmsg", sendmmsg(fd, many, 3, 0));
	say_events("events", e, 5000);
	for (int i = 0; i < 3; i++)
		say_num("back", ready(fd, POLLIN, 2000) > 0 && recv(fd, &a[0], 10, 0) > 0);
	close(fd);
	close(e);
}

void calls_loose(void)
{
	section("udp-loose-4");
	udp_loose(four);
	section("udp-loose-6");
	udp_loose(six);
}
