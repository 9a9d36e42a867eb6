/* tests/shim/calls_udp_control.c: calls_udp.c: control messages, IPv6, sharing a port, groups, corks. */
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "calls_udp.h"

/* The control messages of one datagram, in order. */
static void control_of(const char *what, int fd, size_t room)
{
	union {
		struct cmsghdr align;
		char room[512];
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = room};
	char line[512];
	int n;

	memset(&control, 0, sizeof(control));
	if (recvmsg(fd, &m, MSG_DONTWAIT) < 0) {
		say(what, -1);
		return;
	}
	n = snprintf(line, sizeof(line), "flags %d", m.msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c && n < 400; c = CMSG_NXTHDR(&m, c)) {
		n += snprintf(line + n, sizeof(line) - (size_t)n, " + %d %d len %zu", c->cmsg_level, c->cmsg_type,
			      c->cmsg_len);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo pi;

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			n += snprintf(line + n, sizeof(line) - (size_t)n, " if %d spec %08x addr %08x", pi.ipi_ifindex,
				      ntohl(pi.ipi_spec_dst.s_addr), ntohl(pi.ipi_addr.s_addr));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo pi;
			char text[64];

			memcpy(&pi, CMSG_DATA(c), sizeof(pi));
			inet_ntop(AF_INET6, &pi.ipi6_addr, text, sizeof(text));
			n += snprintf(line + n, sizeof(line) - (size_t)n, " if %u %s", pi.ipi6_ifindex, text);
		} else if (c->cmsg_len == CMSG_LEN(1)) {
			n += snprintf(line + n, sizeof(line) - (size_t)n, " = %d", *CMSG_DATA(c));
		} else if (c->cmsg_len == CMSG_LEN(sizeof(int))) {
			int v;

			memcpy(&v, CMSG_DATA(c), sizeof(v));
			n += snprintf(line + n, sizeof(line) - (size_t)n, " = %d", v);
		}
	}
	say_text(what, line);
}

static long send_with(int fd, const union addr *a, int level, int type, const void *v, size_t len)
{
	union {
		struct cmsghdr align;
		char room[128];
	} control;
	struct iovec iov = {(char[]){"ctl"}, 3};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)a,
			   .msg_namelen = a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = CMSG_SPACE(len)};

	memset(&control, 0, sizeof(control));
	control.align.cmsg_level = level;
	control.align.cmsg_type = type;
	control.align.cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(&control.align), v, len);
	return sendmsg(fd, &m, 0);
}

void ancillary(void)
{
	int a = bound4("0.0.0.0", 5801), b = udp4(), v;
	struct in_pktinfo pi = {0};
	union addr to_a, from;
	socklen_t len = addr(&to_a, "127.0.0.1", 5801);
	struct timespec before, ts;
	union {
		struct cmsghdr align;
		char room[256];
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};

	section("control");
	set(a, IPPROTO_IP, IP_PKTINFO, 1);
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("IP_PKTINFO", a, 512);
	to(b, "x", 1, "127.0.0.7", 5801);
	control_of("another of ours", a, 512);
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("with little room", a, 20);
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("with less", a, 8);
	set(a, IPPROTO_IP, IP_RECVTTL, 1);
	set(a, IPPROTO_IP, IP_RECVTOS, 1);
	set(a, IPPROTO_IP, 20, 1);
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("and TTL, TOS, the original destination", a, 512);
	say("IP_TTL", set(b, IPPROTO_IP, IP_TTL, 33));
	say("IP_TOS", set(b, IPPROTO_IP, IP_TOS, 0x2b));
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("as set", a, 512);
	v = 7;
	say("IP_TTL for one", send_with(b, &to_a, IPPROTO_IP, IP_TTL, &v, sizeof(v)));
	control_of("as asked", a, 512);
	say("IP_TOS for one", send_with(b, &to_a, IPPROTO_IP, IP_TOS, &v, sizeof(v)));
	control_of("as asked", a, 512);
	v = 0;
	say("IP_TTL 0", send_with(b, &to_a, IPPROTO_IP, IP_TTL, &v, sizeof(v)));
	v = 256;
	say("IP_TTL 256", send_with(b, &to_a, IPPROTO_IP, IP_TTL, &v, sizeof(v)));
	say("IP_TTL of two octets", send_with(b, &to_a, IPPROTO_IP, IP_TTL, &v, 2));
	say("a type nobody knows", send_with(b, &to_a, IPPROTO_IP, 99, &v, sizeof(v)));
	say("a level nobody knows", send_with(b, &to_a, 99, 1, &v, sizeof(v)));
	control_of("arrives", a, 512);
	pi.ipi_spec_dst.s_addr = htonl(0x7f000009);
	say("from 127.0.0.9", send_with(b, &to_a, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi)));
	len = sizeof(from);
	say_addr("arrives from", recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	pi.ipi_spec_dst.s_addr = htonl(0xc0000201);
	say("from 192.0.2.1", send_with(b, &to_a, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi)));
	pi.ipi_spec_dst.s_addr = 0;
	say("from wherever", send_with(b, &to_a, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi)));
	say("arrives", get(a));
	say("a short one", send_with(b, &to_a, IPPROTO_IP, IP_PKTINFO, &pi, 4));
	v = 0;
	say("SCM_RIGHTS is not for UDP", send_with(b, &to_a, SOL_SOCKET, SCM_RIGHTS, &v, sizeof(v)));
	control_of("arrives", a, 512);
	set(a, IPPROTO_IP, IP_PKTINFO, 0);
	set(a, IPPROTO_IP, IP_RECVTTL, 0);
	set(a, IPPROTO_IP, IP_RECVTOS, 0);
	set(a, IPPROTO_IP, 20, 0);
	clock_gettime(CLOCK_REALTIME, &before);
	set(a, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	to(b, "x", 1, "127.0.0.1", 5801);
	say("recvmsg", recvmsg(a, &m, MSG_DONTWAIT));
	say("SO_TIMESTAMPNS type", control.align.cmsg_type);
	memcpy(&ts, CMSG_DATA(&control.align), sizeof(ts));
	say("is now", ts.tv_sec >= before.tv_sec && ts.tv_sec - before.tv_sec < 5);
	set(a, SOL_SOCKET, SO_TIMESTAMP, 1);
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("SO_TIMESTAMP", a, 512);
	set(a, SOL_SOCKET, SO_TIMESTAMP, 0);
	to(b, "x", 1, "127.0.0.1", 5801);
	control_of("nothing asked for", a, 512);
	close(a);
	close(b);
}

void six(void)
{
	int a = udp6(), b = udp6(), c = udp4(), v;
	struct in6_pktinfo pi = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT};
	union addr from, to_a;
	socklen_t len;

	section("six");
	addr(&to_a, "::1", 5901);
	say("bind ::", do_bind(a, "::", 5901));
	names("bound", a);
	say("from ::1", to(b, "six", 3, "::1", 5901));
	len = sizeof(from);
	say_addr("arrives", recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	say("from IPv4", to(c, "four", 4, "127.0.0.1", 5901));
	len = sizeof(from);
	say_addr("arrives mapped", recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	say("answered", sendto(a, "yes", 3, 0, &from.sa, len));
	len = sizeof(from);
	say_addr("arrives", recvfrom(c, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	say("mapped from six", to(b, "map", 3, "::ffff:127.0.0.1", 5901));
	len = sizeof(from);
	say_addr("arrives", recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	say("to ::", to(b, "any", 3, "::", 5901));
	say("arrives", get(a));
	set(a, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(a, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	to(b, "x", 1, "::1", 5901);
	control_of("packet, hops and class", a, 512);
	to(c, "x", 1, "127.0.0.1", 5901);
	control_of("of an IPv4 datagram", a, 512);
	say("IPV6_UNICAST_HOPS", set(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9));
	say("IPV6_TCLASS", set(b, IPPROTO_IPV6, IPV6_TCLASS, 0x40));
	to(b, "x", 1, "::1", 5901);
	control_of("as set", a, 512);
	v = 5;
	say("IPV6_HOPLIMIT for one", send_with(b, &to_a, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v)));
	control_of("as asked", a, 512);
	v = 300;
	say("300 hops", send_with(b, &to_a, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v)));
	say("IPV6_PKTINFO", send_with(b, &to_a, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi)));
	control_of("arrives", a, 512);
	inet_pton(AF_INET6, "2001:db8::1", &pi.ipi6_addr);
	say("from an address that is not ours", send_with(b, &to_a, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi)));
	say("an option of IPv4 on a mapped address", set(b, IPPROTO_IP, IP_TTL, 12));
	close(a);
	close(b);
	a = udp6();
	b = udp6();
	say("IPV6_V6ONLY", set(a, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	say("bind", do_bind(a, "::", 5902));
	say("IPv4 beside it", do_bind(c, "0.0.0.0", 5902));
	close(c);
	c = udp4();
	say("bind IPv4", do_bind(c, "0.0.0.0", 5902));
	say("to IPv4", to(b, "x", 1, "::ffff:127.0.0.1", 5902));
	say("goes there", get(c));
	say("and not here", get(a));
	say("six only, to IPv4", to(a, "x", 1, "::ffff:127.0.0.1", 5902));
	say("six only, connect to IPv4", do_connect(a, "::ffff:127.0.0.1", 5902));
	addr(&to_a, "127.0.0.1", 5902);
	say("six only, AF_INET", sendto(a, "x", 1, 0, &to_a.sa, sizeof(to_a.in)));
	say("six only, connect AF_INET", connect(a, &to_a.sa, sizeof(to_a.in)));
	say("connect AF_INET", connect(b, &to_a.sa, sizeof(to_a.in)));
	names("connected", b);
	say("send", send(b, "mapped", 6, 0));
	say("arrives", get(c));
	say("disconnect", disconnect(b));
	names("disconnected", b);
	close(b);
	b = udp6();
	say("connect mapped", do_connect(b, "::ffff:127.0.0.1", 5903));
	names("connected mapped", b);
	say("send to nobody", send(b, "x", 1, 0));
	say("is refused", recv(b, buf, 10, MSG_DONTWAIT));
	close(b);
	b = udp6();
	say("connect ::1", do_connect(b, "::1", 5903));
	names("connected", b);
	say("send to nobody", send(b, "x", 1, 0));
	say("is refused", recv(b, buf, 10, MSG_DONTWAIT));
	close(b);
	b = udp6();
	say("bind to a mapped address", do_bind(b, "::ffff:127.0.0.1", 5904));
	names("bound mapped", b);
	say("to six from it", to(b, "x", 1, "::1", 5901));
	say("connect to six", do_connect(b, "::1", 5901));
	close(b);
	b = udp6();
	say("bind ::1", do_bind(b, "::1", 5905));
	say("to four from it", to(b, "x", 1, "::ffff:127.0.0.1", 5901));
	say("link-local without a scope", to(b, "x", 1, "fe80::1", 5901));
	say("short", sendto(b, "x", 1, 0, &to_a.sa, 1));
	close(a);
	close(b);
	close(c);
}

static int with(const char *text, int port, int option)
{
	int fd = udp4();

	set(fd, SOL_SOCKET, option, 1);
	if (do_bind(fd, text, port) < 0)
		say("bind", -1);
	return fd;
}

void sharing(void)
{
	int a, b, c = udp4(), n[3] = {0}, g[3];

	section("share");
	a = with("127.0.0.1", 6001, SO_REUSEADDR);
	b = with("127.0.0.1", 6001, SO_REUSEADDR);
	say("two by SO_REUSEADDR: to", to(c, "x", 1, "127.0.0.1", 6001));
	say("the first", get(a));
	say("the second", get(b));
	close(b);
	say("the second went: to", to(c, "x", 1, "127.0.0.1", 6001));
	say("the first", get(a));
	b = with("0.0.0.0", 6001, SO_REUSEADDR);
	say("a wildcard beside it: to", to(c, "x", 1, "127.0.0.1", 6001));
	say("the exact one", get(a));
	say("to another address", to(c, "x", 1, "127.0.0.2", 6001));
	say("the wildcard", get(b));
	close(a);
	close(b);
	for (int i = 0; i < 3; i++)
		g[i] = with("127.0.0.1", 6002, SO_REUSEPORT);
	for (int i = 0; i < 300; i++) {
		int s = udp4();

		to(s, "x", 1, "127.0.0.1", 6002);
		close(s);
	}
	for (int i = 0; i < 3; i++)
		while (get(g[i]) >= 0)
			n[i]++;
	say("SO_REUSEPORT: all arrived", n[0] + n[1] + n[2]);
	say("everybody got some", n[0] > 20 && n[1] > 20 && n[2] > 20);
	for (int i = 0; i < 20; i++)
		to(c, "x", 1, "127.0.0.1", 6002);
	n[0] = 0;
	for (int i = 0; i < 3; i++) {
		int k = 0;

		while (get(g[i]) >= 0)
			k++;
		n[0] += k != 0;
	}
	say("one sender's all go to one", n[0]);
	say("a fourth that does not share", do_bind(c, "127.0.0.1", 6002));
	for (int i = 0; i < 3; i++)
		close(g[i]);
	close(c);
}

static int join(int fd, const char *group, const char *iface, int option)
{
	struct ip_mreq mr;

	inet_pton(AF_INET, group, &mr.imr_multiaddr);
	inet_pton(AF_INET, iface, &mr.imr_interface);
	return setsockopt(fd, IPPROTO_IP, option, &mr, sizeof(mr));
}

static int join_source(int fd, const char *group, const char *source, int option)
{
	struct ip_mreq_source mr;

	inet_pton(AF_INET, group, &mr.imr_multiaddr);
	inet_pton(AF_INET, "127.0.0.1", &mr.imr_interface);
	inet_pton(AF_INET, source, &mr.imr_sourceaddr);
	return setsockopt(fd, IPPROTO_IP, option, &mr, sizeof(mr));
}

void groups(void)
{
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	struct group_req gr = {.gr_interface = 1};
	struct group_source_req gs = {.gsr_interface = 1};
	struct ipv6_mreq m6 = {.ipv6mr_interface = 1};
	struct sockaddr_in in = {.sin_family = AF_INET};
	int a = with("0.0.0.0", 6101, SO_REUSEADDR), b = with("0.0.0.0", 6101, SO_REUSEADDR),
	    d = with("239.1.1.1", 6101, SO_REUSEADDR), s = udp4(), six_;
	union addr from;
	socklen_t len;

	section("groups");
	names("bound to a group", d);
	say("IP_MULTICAST_IF", setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	say("join", join(a, "239.1.1.1", "127.0.0.1", IP_ADD_MEMBERSHIP));
	say("join twice", join(a, "239.1.1.1", "127.0.0.1", IP_ADD_MEMBERSHIP));
	say("join what is no group", join(a, "10.1.1.1", "127.0.0.1", IP_ADD_MEMBERSHIP));
	say("leave what was not joined", join(a, "239.1.1.9", "127.0.0.1", IP_DROP_MEMBERSHIP));
	say("join on an interface there is not", join(a, "239.1.1.2", "192.0.2.1", IP_ADD_MEMBERSHIP));
	say("send", to(s, "group", 5, "239.1.1.1", 6101));
	len = sizeof(from);
	say_addr("the member", recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	say("one that takes all groups of the host", get(b));
	say("one bound to the group", get(d));
	say("IP_MULTICAST_ALL off", set(b, IPPROTO_IP, 49, 0));
	say("send", to(s, "group", 5, "239.1.1.1", 6101));
	say("the member", get(a));
	say("the other", get(b));
	say("the group's", get(d));
	say("both join", join(b, "239.1.1.1", "127.0.0.1", IP_ADD_MEMBERSHIP));
	to(s, "both", 4, "239.1.1.1", 6101);
	say("the first", get(a));
	say("the second", get(b));
	(void)get(d);
	say("another group", to(s, "none", 4, "239.1.1.7", 6101));
	say("nobody", get(a));
	say("IP_MULTICAST_LOOP off", set(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0));
	say("send", to(s, "quiet", 5, "239.1.1.1", 6101));
	say("is not heard here", get(a));
	(void)get(b);
	(void)get(d);
	set(s, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
	say("leave", join(a, "239.1.1.1", "127.0.0.1", IP_DROP_MEMBERSHIP));
	say("leave twice", join(a, "239.1.1.1", "127.0.0.1", IP_DROP_MEMBERSHIP));
	set(a, IPPROTO_IP, 49, 0);
	to(s, "left", 4, "239.1.1.1", 6101);
	say("is not received any more", get(a));
	(void)get(b);
	(void)get(d);
	say("connect to a group", do_connect(s, "239.1.1.1", 6101));
	names("connected to a group", s);
	say("send", send(s, "con", 3, 0));
	say("arrives", get(b));
	(void)get(d);
	say("to nobody's group, no error", (do_connect(s, "239.1.1.8", 6101), send(s, "x", 1, 0)));
	say("no error", opt(s, SOL_SOCKET, SO_ERROR));
	close(s);
	s = udp4();
	setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo));
	set(a, IPPROTO_IP, IP_PKTINFO, 1);
	set(a, IPPROTO_IP, IP_RECVTTL, 1);
	join(a, "239.1.1.3", "127.0.0.1", IP_ADD_MEMBERSHIP);
	to(s, "pkt", 3, "239.1.1.3", 6101);
	control_of("IP_PKTINFO and TTL", a, 512);
	set(s, IPPROTO_IP, IP_MULTICAST_TTL, 4);
	to(s, "pkt", 3, "239.1.1.3", 6101);
	control_of("as set", a, 512);
	say("source, already joined", join_source(a, "239.1.1.3", "127.0.0.1", IP_ADD_SOURCE_MEMBERSHIP));
	say("block a source", join_source(a, "239.1.1.3", "127.0.0.1", IP_BLOCK_SOURCE));
	to(s, "blk", 3, "239.1.1.3", 6101);
	say("is not heard", get(a));
	say("block twice", join_source(a, "239.1.1.3", "127.0.0.1", IP_BLOCK_SOURCE));
	say("unblock", join_source(a, "239.1.1.3", "127.0.0.1", IP_UNBLOCK_SOURCE));
	to(s, "unb", 3, "239.1.1.3", 6101);
	say("is heard", get(a));
	say("unblock twice", join_source(a, "239.1.1.3", "127.0.0.1", IP_UNBLOCK_SOURCE));
	join(a, "239.1.1.3", "127.0.0.1", IP_DROP_MEMBERSHIP);
	say("one source", join_source(a, "239.1.1.4", "127.0.0.9", IP_ADD_SOURCE_MEMBERSHIP));
	to(s, "src", 3, "239.1.1.4", 6101);
	say("another's", get(a));
	say("a second source", join_source(a, "239.1.1.4", "127.0.0.1", IP_ADD_SOURCE_MEMBERSHIP));
	to(s, "src", 3, "239.1.1.4", 6101);
	say("the second's", get(a));
	say("block in include mode", join_source(a, "239.1.1.4", "127.0.0.1", IP_BLOCK_SOURCE));
	say("drop a source", join_source(a, "239.1.1.4", "127.0.0.1", IP_DROP_SOURCE_MEMBERSHIP));
	say("drop it twice", join_source(a, "239.1.1.4", "127.0.0.1", IP_DROP_SOURCE_MEMBERSHIP));
	inet_pton(AF_INET, "239.1.1.5", &in.sin_addr);
	memcpy(&gr.gr_group, &in, sizeof(in));
	say("MCAST_JOIN_GROUP", setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &gr, sizeof(gr)));
	say("short", setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &gr, 10));
	to(s, "mcj", 3, "239.1.1.5", 6101);
	say("is heard", get(a));
	memcpy(&gs.gsr_group, &in, sizeof(in));
	in.sin_addr = lo;
	memcpy(&gs.gsr_source, &in, sizeof(in));
	say("MCAST_BLOCK_SOURCE", setsockopt(a, IPPROTO_IP, MCAST_BLOCK_SOURCE, &gs, sizeof(gs)));
	to(s, "mcb", 3, "239.1.1.5", 6101);
	say("is not heard", get(a));
	say("MCAST_LEAVE_GROUP", setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &gr, sizeof(gr)));
	say("MCAST_LEAVE_GROUP twice", setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &gr, sizeof(gr)));
	for (int i = 0; i < 30; i++) {
		char text[32];

		snprintf(text, sizeof(text), "239.2.2.%d", i + 1);
		if (join(a, text, "127.0.0.1", IP_ADD_MEMBERSHIP) < 0) {
			say("too many groups", -1);
			say("after", i);
			break;
		}
	}
	close(a);
	close(b);
	close(d);
	close(s);
	six_ = udp6();
	s = udp6();
	say("bind six", do_bind(six_, "::", 6102));
	inet_pton(AF_INET6, "ff02::77", &m6.ipv6mr_multiaddr);
	say("IPV6_JOIN_GROUP", setsockopt(six_, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof(m6)));
	say("twice", setsockopt(six_, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof(m6)));
	say("IPV6_MULTICAST_IF", set(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1));
	set(six_, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	say("send", to(s, "m6", 2, "ff02::77", 6102));
	control_of("arrives", six_, 512);
	say("IPV6_LEAVE_GROUP", setsockopt(six_, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m6, sizeof(m6)));
	say("twice", setsockopt(six_, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m6, sizeof(m6)));
	set(six_, IPPROTO_IPV6, 29, 0);
	to(s, "m6", 2, "ff02::77", 6102);
	say("is not heard", get(six_));
	inet_pton(AF_INET6, "::1", &m6.ipv6mr_multiaddr);
	say("join what is no group", setsockopt(six_, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof(m6)));
	close(six_);
	close(s);
}

void corks(void)
{
	int a = bound4("127.0.0.1", 6201), b = udp4();
	uint16_t gso = 100;
	union addr to_a;

	section("cork");
	addr(&to_a, "127.0.0.1", 6201);
	do_connect(b, "127.0.0.1", 6201);
	say("MSG_MORE", send(b, "abc", 3, MSG_MORE));
	say("nothing yet", get(a));
	say("the rest", send(b, "def", 3, 0));
	say("is one", get(a));
	say("whole", memcmp(buf, "abcdef", 6));
	say("UDP_CORK", set(b, IPPROTO_UDP, UDP_CORK, 1));
	say("one", write(b, "123", 3));
	say("two", send(b, "4567", 4, 0));
	say("nothing yet", get(a));
	say("uncork", set(b, IPPROTO_UDP, UDP_CORK, 0));
	say("is one", get(a));
	say("MSG_MORE, then too much", send(b, buf, 60000, MSG_MORE));
	say("too much", send(b, buf, 6000, 0));
	say("end of it", send(b, buf, 1, 0));
	say("arrives", get(a));
	say("and", get(a));
	say("UDP_SEGMENT", set(b, IPPROTO_UDP, 103, 100));
	say("send 250", send(b, buf, 250, 0));
	say("first", get(a));
	say("second", get(a));
	say("third", get(a));
	say("no more", get(a));
	say("send 50", send(b, buf, 50, 0));
	say("one", get(a));
	say("off", set(b, IPPROTO_UDP, 103, 0));
	say("for one datagram", send_with(b, &to_a, IPPROTO_UDP, 103, &gso, sizeof(gso)));
	say("arrives", get(a));
	say("UDP_GRO", set(a, IPPROTO_UDP, 104, 1));
	say("is on", opt(a, IPPROTO_UDP, 104));
	close(a);
	close(b);
}
