/* tests/shim/calls_options.c: calls.c: options, lengths of addresses, and what the calls on data say. */
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "calls.h"

void options(void)
{
	static const struct {
		const char *name;
		int level, opt, bad;
	} ints[] = {
		{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 0},
		{"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 0},
		{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 0},
		{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 0},
		{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 0},
		{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 0},
		{"SO_ZEROCOPY", SOL_SOCKET, SO_ZEROCOPY, 7},
		{"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 0},
		{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 0},
		{"TCP_CORK", IPPROTO_TCP, TCP_CORK, 0},
		{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 40000},
		{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 40000},
		{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 128},
		{"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 128},
		{"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 87},
		{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, -1},
		{"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 0},
		{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 0},
		{"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 0},
		{"TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, -1},
		{"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0},
		{"TCP_INQ", IPPROTO_TCP, 36, 2},
		{"IP_TOS", IPPROTO_IP, IP_TOS, 0},
		{"IP_TTL", IPPROTO_IP, IP_TTL, 256},
		{"IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 0},
		{"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, 6},
		{"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0},
		{"IP_RECVERR", IPPROTO_IP, IP_RECVERR, 0},
		{"IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, 0},
		{"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, 0},
		{"IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, 256},
		{"IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256},
		{"IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO, 0},
		{"SOL_UDP", IPPROTO_UDP, 1, 0},
		{"unknown TCP", IPPROTO_TCP, 999, 0},
		{"unknown IP", IPPROTO_IP, 999, 0},
		{"unknown SOL_SOCKET", SOL_SOCKET, 999, 0},
		{"unknown level", 999, 1, 0},
	};
	int fam[2] = {AF_INET, AF_INET6};
	char what[100], text[64];
	struct linger lin = {1, 5};
	struct ucred cred;
	struct tcp_info info;
	socklen_t len;
	int fd, l, c, s;

	for (int f = 0; f < 2; f++) {
		section(f ? "options-6" : "options-4");
		for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
			fd = socket(fam[f], SOCK_STREAM, 0);
			snprintf(what, sizeof(what), "%s default", ints[i].name);
			say_option(what, fd, ints[i].level, ints[i].opt);
			snprintf(what, sizeof(what), "%s set 1", ints[i].name);
			say(what, set(fd, ints[i].level, ints[i].opt, 1));
			snprintf(what, sizeof(what), "%s after 1", ints[i].name);
			say_option(what, fd, ints[i].level, ints[i].opt);
			snprintf(what, sizeof(what), "%s set 100", ints[i].name);
			say(what, set(fd, ints[i].level, ints[i].opt, 100));
			snprintf(what, sizeof(what), "%s after 100", ints[i].name);
			say_option(what, fd, ints[i].level, ints[i].opt);
			if (ints[i].bad) {
				snprintf(what, sizeof(what), "%s set %d", ints[i].name, ints[i].bad);
				say(what, set(fd, ints[i].level, ints[i].opt, ints[i].bad));
			}
			snprintf(what, sizeof(what), "%s set short", ints[i].name);
			say(what, setsockopt(fd, ints[i].level, ints[i].opt, "", 0));
			close(fd);
		}
	}
	section("options");
	l = listener4("127.0.0.1", 7800);
	set(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(l, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	say("SO_LINGER", setsockopt(l, SOL_SOCKET, SO_LINGER, &lin, sizeof(lin)));
	c = tcp4();
	do_connect(c, "127.0.0.1", 7800);
	s = accept(l, NULL, NULL);
	say_option("child TCP_NODELAY", s, IPPROTO_TCP, TCP_NODELAY);
	say_option("child SO_REUSEADDR", s, SOL_SOCKET, SO_REUSEADDR);
	say_option("child SO_KEEPALIVE", s, SOL_SOCKET, SO_KEEPALIVE);
	say_option("child TCP_KEEPIDLE", s, IPPROTO_TCP, TCP_KEEPIDLE);
	say_option("child SO_ACCEPTCONN", s, SOL_SOCKET, SO_ACCEPTCONN);
	len = sizeof(lin);
	memset(&lin, 0, sizeof(lin));
	say("child SO_LINGER", getsockopt(s, SOL_SOCKET, SO_LINGER, &lin, &len));
	say_num("child linger seconds", lin.l_linger);
	say_option("TCP_MAXSEG connected", c, IPPROTO_TCP, TCP_MAXSEG);
	len = sizeof(cred);
	memset(&cred, 1, sizeof(cred));
	say("SO_PEERCRED", getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	say_num("SO_PEERCRED pid", cred.pid);
	say_num("SO_PEERCRED uid", (int)cred.uid);
	len = sizeof(info);
	say("TCP_INFO", getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &len));
	say_num("TCP_INFO state connected", info.tcpi_state);
	len = 1;
	memset(&info, 0, sizeof(info));
	say("TCP_INFO, one octet", getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len));
	say_num("TCP_INFO state listening", info.tcpi_state);
	say_num("TCP_INFO length", len);
	fd = tcp4();
	len = 1;
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	say_num("TCP_INFO state fresh", info.tcpi_state);
	len = sizeof(text);
	memset(text, 0, sizeof(text));
	say("TCP_CONGESTION", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len));
	say_text("TCP_CONGESTION", text);
	say("TCP_CONGESTION reno", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	memset(text, 0, sizeof(text));
	len = sizeof(text);
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len);
	say_text("TCP_CONGESTION", text);
	say("TCP_CONGESTION nonsense", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	say("SO_BINDTODEVICE lo", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	memset(text, 0, sizeof(text));
	len = sizeof(text);
	say("SO_BINDTODEVICE get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, text, &len));
	say_text("SO_BINDTODEVICE", text);
	say_num("its length", len);
	say("SO_BINDTODEVICE none", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	say("SO_BINDTODEVICE unknown", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8));
	say_option("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE);
	say("SO_MAX_PACING_RATE set", set(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 1000000));
	say_option("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE);
	say("still a TCP socket", do_bind(fd, "127.0.0.1", 7801));
	names("after pacing", fd);
	say_option("IP_MTU unconnected", fd, IPPROTO_IP, IP_MTU);
	len = sizeof(text);
	say("IP_OPTIONS", getsockopt(fd, IPPROTO_IP, IP_OPTIONS, text, &len));
	say_num("IP_OPTIONS length", len);
	len = 1;
	memset(text, 0x55, sizeof(text));
	say("IP_TTL, one octet", getsockopt(fd, IPPROTO_IP, IP_TTL, text, &len));
	say_num("value", text[0]);
	say_num("length", len);
	len = 2;
	say("SO_TYPE, two octets", getsockopt(fd, SOL_SOCKET, SO_TYPE, text, &len));
	say_num("length", len);
	say("getsockopt EBADF", getsockopt(-1, SOL_SOCKET, SO_TYPE, text, &len));
	len = (socklen_t)-1;
	say("negative length", getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, text, &len));
	close(fd);
	close(c);
	close(s);
	close(l);
}

void lengths(void)
{
	int l = listener4("127.0.0.1", 7850);
	unsigned char raw[40];
	socklen_t len;

	section("lengths");
	for (int n = 0; n <= 20; n += 4) {
		char what[40];

		memset(raw, 0xee, sizeof(raw));
		len = (socklen_t)n;
		snprintf(what, sizeof(what), "getsockname into %d", n);
		say(what, getsockname(l, (struct sockaddr *)raw, &len));
		say_num("length", len);
		say_num("octet 3", raw[3]);
		say_num("the octet after", raw[n]);
	}
	len = (socklen_t)-5;
	say("negative", getsockname(l, (struct sockaddr *)raw, &len));
	say("null length", getsockname(l, (struct sockaddr *)raw, NULL));
	len = 16;
	say("null address", getsockname(l, NULL, &len));
	len = 0;
	say("null address, length 0", getsockname(l, NULL, &len));
	say("getsockname EBADF", getsockname(-1, (struct sockaddr *)raw, &len));
	say("getpeername of a listener", getpeername(l, (struct sockaddr *)raw, &len));
	close(l);
}

void data(void)
{
	int l = listener4("127.0.0.1", 7900), c = tcp4(), s;
	char buf[64] = "", ctl[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {buf, sizeof(buf)};
	union addr a;
	socklen_t len = addr(&a, "127.0.0.1", 7900);
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *h;

	section("data");
	signal(SIGPIPE, SIG_IGN);
	do_connect(c, "127.0.0.1", 7900);
	s = accept(l, NULL, NULL);
	say("errqueue", (int)recv(s, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT));
	say_num("sendto with an address", sendto(c, "hello world", 11, 0, &a.sa, len));
	say("errqueue with data", (int)recv(s, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT));
	say_num("discard 6", recv(s, NULL, 6, MSG_TRUNC));
	len = sizeof(a);
	memset(buf, 0, sizeof(buf));
	say_num("recvfrom", recvfrom(s, buf, sizeof(buf), 0, &a.sa, &len));
	say_text("data", buf);
	say_num("names nobody", len);
	m.msg_control = ctl;
	m.msg_controllen = sizeof(ctl);
	h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &l, sizeof(int));
	iov.iov_len = 5;
	memcpy(buf, "12345", 5);
	say_num("sendmsg with SCM_RIGHTS", sendmsg(c, &m, 0));
	memset(ctl, 0, sizeof(ctl));
	m.msg_controllen = sizeof(ctl);
	m.msg_name = &a;
	m.msg_namelen = sizeof(a);
	iov.iov_len = sizeof(buf);
	say_num("recvmsg", recvmsg(s, &m, 0));
	say_num("no control", (long)m.msg_controllen);
	say_num("no name", m.msg_namelen);
	memset(buf, 'x', sizeof(buf));
	for (int i = 0; i < 500; i++)
		send(c, buf, sizeof(buf), 0);
	usleep(100000);
	say_num("peek and count", recv(s, NULL, 20000, MSG_PEEK | MSG_TRUNC));
	say_num("peek and count, all", recv(s, NULL, 40000, MSG_PEEK | MSG_TRUNC));
	say_num("discard all", recv(s, NULL, 40000, MSG_TRUNC));
	len = sizeof(a);
	say("recvfrom, nothing there", (int)recvfrom(s, buf, 1, MSG_DONTWAIT, &a.sa, &len));
	say_num("the length is untouched", len == sizeof(a));
	m.msg_namelen = sizeof(a);
	say("recvmsg, nothing there", (int)recvmsg(s, &m, MSG_DONTWAIT));
	say_num("the length is untouched", m.msg_namelen == sizeof(a));
	say("recv of a listener", (int)recv(l, buf, 1, 0));
	say("recvfrom of a listener", (int)recvfrom(l, buf, 1, 0, &a.sa, &len));
	say("discard of a listener", (int)recv(l, buf, 1, MSG_TRUNC));
	say_num("urgent", send(c, "!", 1, MSG_OOB));
	say_num("urgent read", recv(s, buf, 1, MSG_OOB));
	close(c);
	say_num("end", read(s, buf, sizeof(buf)));
	close(s);
	close(l);
}
