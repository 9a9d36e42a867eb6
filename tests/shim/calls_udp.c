/* tests/shim/calls_udp.c: a long script of UDP calls that says what each one answered.
 *
 * As calls.c, which see: run natively and under berth, compared line by line. Here: what a socket sends and receives,
 * and what it answers when it cannot; the rest is in calls_udp_wait.c and calls_udp_control.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>
#include <linux/sockios.h>

#include "calls_udp.h"

int udp4(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

int udp6(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
}

int disconnect(int fd)
{
	struct sockaddr a = {.sa_family = AF_UNSPEC};

	return connect(fd, &a, sizeof(a));
}

int bound4(const char *text, int port)
{
	int fd = udp4();

	if (do_bind(fd, text, port) < 0)
		say("bind", -1);
	return fd;
}

ssize_t to(int fd, const void *octets, size_t n, const char *text, int port)
{
	union addr a;
	socklen_t l = addr(&a, text, port);

	return sendto(fd, octets, n, 0, &a.sa, l);
}

char buf[70000];

ssize_t get(int fd)
{
	memset(buf, 0, 32);
	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
}

int opt(int fd, int level, int name)
{
	int v = -12345;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) < 0 ? -1 : v;
}

int mask(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static int pending(int fd)
{
	int v = -1;

	return ioctl(fd, FIONREAD, &v) < 0 ? -1 : v;
}

/* --- the sections --- */

static void first_things(void)
{
	int a, b, v;
	union addr from;
	socklen_t len;

	section("first");
	say("udp over tcp's number", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	say("tcp over udp's number", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	a = udp4();
	say("type", opt(a, SOL_SOCKET, SO_TYPE));
	say("protocol", opt(a, SOL_SOCKET, SO_PROTOCOL));
	say("domain", opt(a, SOL_SOCKET, SO_DOMAIN));
	say("listen", listen(a, 5));
	say("accept", accept(a, NULL, NULL));
	names("new", a);
	say("mask of a new one", mask(a));
	say("recv with nothing there", recv(a, buf, 10, MSG_DONTWAIT));
	say("send, no destination", send(a, "x", 1, 0));
	say("that chose a port", port_of(a) > 0);
	say("bind now", do_bind(a, "127.0.0.1", 5001));
	close(a);
	a = bound4("0.0.0.0", 5001);
	names("bound", a);
	say("bind twice", do_bind(a, "0.0.0.0", 5002));
	b = udp4();
	say("bind to a port in use", do_bind(b, "127.0.0.1", 5001));
	say("bind to an address that is not ours", do_bind(b, "192.0.2.1", 5001));
	say("bind short", bind(b, &from.sa, 3));
	say("sendto", to(b, "hello", 5, "127.0.0.1", 5001));
	names("sender", b);
	say("mask", mask(a));
	say("FIONREAD", pending(a));
	say("SIOCOUTQ", ioctl(b, SIOCOUTQ, &v) < 0 ? -1 : v);
	len = sizeof(from);
	memset(&from, 0, sizeof(from));
	say_addr("recvfrom", recvfrom(a, buf, sizeof(buf), 0, &from.sa, &len), &from, len);
	say("that was the sender's port", ntohs(from.in.sin_port) == port_of(b));
	say("mask after", mask(a));
	say("FIONREAD after", pending(a));
	say("an answer", sendto(a, "yes", 3, 0, &from.sa, len));
	len = sizeof(from);
	say_addr("arrives", recvfrom(b, buf, sizeof(buf), 0, &from.sa, &len), &from, len);
	say("to 0.0.0.0", to(b, "any", 3, "0.0.0.0", 5001));
	len = sizeof(from);
	say_addr("arrives from", recvfrom(a, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len), &from, len);
	to(b, "trunc", 5, "127.0.0.1", 5001);
	len = 4;
	memset(&from, 0, sizeof(from));
	say("recvfrom with a short address", recvfrom(a, buf, sizeof(buf), 0, &from.sa, &len));
	say("its whole length", len);
	say("nothing behind", from.in.sin_addr.s_addr);
	to(b, "null", 4, "127.0.0.1", 5001);
	say("recvfrom with no length", recvfrom(a, buf, sizeof(buf), 0, &from.sa, NULL));
	say("was it taken", get(a));
	close(a);
	close(b);
}

static void order_of_errors(void)
{
	union addr to_a, un = {0};
	socklen_t len = addr(&to_a, "127.0.0.1", 5101);
	int a = bound4("127.0.0.1", 5101), b = udp4(), six = udp6();
	struct iovec iov = {buf, 5};
	struct msghdr m = {.msg_name = &to_a, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

	section("errors");
	say("port 0", to(b, "x", 1, "127.0.0.1", 0));
	say("a family it does not know", (un.sa.sa_family = 77, sendto(b, "x", 1, 0, &un.sa, sizeof(un.in))));
	say("AF_INET6", (un.sa.sa_family = AF_INET6, sendto(b, "x", 1, 0, &un.sa, sizeof(un.in6))));
	un = to_a;
	un.sa.sa_family = AF_UNSPEC;
	say("AF_UNSPEC is IPv4 here", sendto(b, "x", 1, 0, &un.sa, sizeof(un.in)));
	say("arrives", get(a));
	say("an address that is too short", sendto(b, "x", 1, 0, &to_a.sa, 8));
	say("of length 0", sendto(b, "x", 1, 0, &to_a.sa, 0));
	say("longer than any", sendto(b, "x", 1, 0, &to_a.sa, 1000));
	say("65507 octets", to(b, buf, 65507, "127.0.0.1", 5101));
	say("arrive", get(a));
	say("65508", to(b, buf, 65508, "127.0.0.1", 5101));
	say("65536", to(b, buf, 65536, "127.0.0.1", 5101));
	say("65536 to nowhere", to(b, buf, 65536, "127.0.0.1", 0));
	say("65508 to nowhere", to(b, buf, 65508, "127.0.0.1", 0));
	say("out of band", sendto(b, "x", 1, MSG_OOB, &to_a.sa, len));
	say("recv out of band", recv(a, buf, 10, MSG_OOB | MSG_DONTWAIT));
	say("nothing, unconnected", send(b, "", 0, 0));
	say("nothing", to(b, "", 0, "127.0.0.1", 5101));
	say("mask", mask(a));
	say("FIONREAD", pending(a));
	say("arrives", get(a));
	say("is gone", get(a));
	say("with MSG_DONTROUTE", sendto(b, "x", 1, MSG_DONTROUTE, &to_a.sa, len));
	say("arrives", get(a));
	say("with MSG_CONFIRM, MSG_NOSIGNAL, MSG_EOR",
	    sendto(b, "x", 1, MSG_CONFIRM | MSG_NOSIGNAL | MSG_EOR, &to_a.sa, len));
	say("arrives", get(a));
	say("with MSG_PROBE", sendto(b, "x", 1, 0x10, &to_a.sa, len));
	say("does not arrive", get(a));
	say("with MSG_FASTOPEN", sendto(b, "x", 1, MSG_FASTOPEN, &to_a.sa, len));
	say("arrives", get(a));
	say("broadcast without the right", to(b, "x", 1, "127.255.255.255", 5101));
	say("SO_BROADCAST", set(b, SOL_SOCKET, SO_BROADCAST, 1));
	say("six to four, AF_INET", sendto(six, "x", 1, 0, &to_a.sa, len));
	say("arrives", get(a));
	un = to_a;
	un.sa.sa_family = AF_UNSPEC;
	say("six, AF_UNSPEC", sendto(six, "x", 1, 0, &un.sa, sizeof(un.in)));
	(void)get(a);
	m.msg_iovlen = 2000;
	say("sendmsg with too many pieces", sendmsg(b, &m, 0));
	m.msg_iovlen = 0;
	say("sendmsg with none", sendmsg(b, &m, 0));
	say("arrives", get(a));
	close(a);
	close(b);
	close(six);
}

static void large6(void)
{
	int a = udp6(), b = udp6();

	section("large6");
	say("SO_RCVBUF", set(a, SOL_SOCKET, SO_RCVBUF, 400000));
	say("bind", do_bind(a, "::1", 5150));
	say("65487", to(b, buf, 65487, "::1", 5150));
	say("arrives", get(a));
	say("65507", to(b, buf, 65507, "::1", 5150));
	say("arrives", get(a));
	say("65527", to(b, buf, 65527, "::1", 5150));
	say("arrives", get(a));
	say("65528", to(b, buf, 65528, "::1", 5150));
	close(a);
	close(b);
}

static void connecting(void)
{
	int a = bound4("127.0.0.1", 5201), b = bound4("127.0.0.1", 5202), c = udp4(), d;
	union addr un = {0};

	section("connect");
	say("short", connect(c, &un.sa, 8));
	say("another family", (un.sa.sa_family = AF_INET6, connect(c, &un.sa, sizeof(un.in6))));
	say("port was chosen all the same", port_of(c) > 0);
	say("connect", do_connect(c, "127.0.0.1", 5201));
	names("connected", c);
	say("send", send(c, "one", 3, 0));
	say("arrives", get(a));
	say("a stranger's", to(b, "no", 2, "127.0.0.1", port_of(c)));
	say("is not received", get(c));
	say("the peer's", to(a, "yes", 3, "127.0.0.1", port_of(c)));
	say("is", get(c));
	say("sendto another while connected", to(c, "other", 5, "127.0.0.1", 5202));
	say("arrives", get(b));
	say("its answer is not received", (to(b, "no", 2, "127.0.0.1", port_of(c)), get(c)));
	say("reconnect", do_connect(c, "127.0.0.1", 5202));
	names("reconnected", c);
	say("now it is", (to(b, "yes!", 4, "127.0.0.1", port_of(c)), get(c)));
	say("and the first is not", (to(a, "no", 2, "127.0.0.1", port_of(c)), get(c)));
	say("disconnect", disconnect(c));
	names("disconnected", c);
	say("send", send(c, "x", 1, 0));
	close(c);
	c = bound4("0.0.0.0", 5203);
	say("connect a bound one", do_connect(c, "127.0.0.1", 5201));
	names("bound and connected", c);
	say("disconnect", disconnect(c));
	names("disconnected", c);
	say("receives from all again", (to(b, "two", 3, "127.0.0.1", 5203), get(c)));
	close(c);
	c = bound4("127.0.0.5", 0);
	names("bound to an address", c);
	say("disconnect one that was not connected", disconnect(c));
	names("disconnected", c);
	say("send from it", to(c, "x", 1, "127.0.0.1", 5201));
	names("sent", c);
	(void)get(a);
	close(c);
	c = udp4();
	say("connect to 0.0.0.0", do_connect(c, "0.0.0.0", 5201));
	names("to itself", c);
	close(c);
	c = udp4();
	say("connect to port 0", do_connect(c, "127.0.0.1", 0));
	names("port 0", c);
	close(c);
	c = udp4();
	say("connect to 127.0.0.9", do_connect(c, "127.0.0.9", 5201));
	names("127.0.0.9", c);
	close(c);
	c = udp4();
	say("connect to broadcast", do_connect(c, "127.255.255.255", 5201));
	close(c);
	c = bound4("127.0.0.1", 5204);
	say("connect to oneself", do_connect(c, "127.0.0.1", 5204));
	say("send", send(c, "me", 2, 0));
	say("arrives", get(c));
	close(c);
	/* a connected socket gets its peer's, one that is not the rest, on one port */
	c = udp4();
	d = udp4();
	set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	set(d, SOL_SOCKET, SO_REUSEADDR, 1);
	say("bind one", do_bind(c, "127.0.0.1", 5205));
	say("bind another", do_bind(d, "127.0.0.1", 5205));
	say("connect the first", do_connect(c, "127.0.0.1", 5201));
	say("from the peer", to(a, "peer", 4, "127.0.0.1", 5205));
	say("to the connected one", get(c));
	say("from a stranger", to(b, "stranger", 8, "127.0.0.1", 5205));
	say("to the other", get(d));
	say("and not both", get(c));
	close(a);
	close(b);
	close(c);
	close(d);
}

static void refused(void)
{
	int a, c = udp4(), v = 1;
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in offender;
	} * e;
	union {
		struct cmsghdr align;
		char room[512];
	} control;
	union addr from;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};

	section("refused");
	say("unconnected, to nobody", to(c, "x", 1, "127.0.0.1", 5301));
	say("no error", opt(c, SOL_SOCKET, SO_ERROR));
	say("connect", do_connect(c, "127.0.0.1", 5301));
	say("send", send(c, "x", 1, 0));
	say("mask", mask(c));
	say("recv says it", recv(c, buf, 10, MSG_DONTWAIT));
	say("once", recv(c, buf, 10, MSG_DONTWAIT));
	say("mask", mask(c));
	say("send", send(c, "x", 1, 0));
	say("send says it", send(c, "x", 1, 0));
	say("mask, the second was not sent", mask(c));
	say("send", send(c, "x", 1, 0));
	say("SO_ERROR", opt(c, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
	say("once", opt(c, SOL_SOCKET, SO_ERROR));
	say("mask", mask(c));
	say("send", send(c, "x", 1, 0));
	say("sendto another says it, too", to(c, "x", 1, "127.0.0.1", 5302));
	say("sendto another, refused", to(c, "x", 1, "127.0.0.1", 5302));
	say("and says so", recv(c, buf, 10, MSG_DONTWAIT));
	say("poll waits", (send(c, "x", 1, 0), mask(c)));
	say("a blocking recv", recv(c, buf, 10, 0));
	a = bound4("127.0.0.1", 5301);
	say("somebody comes", send(c, "x", 1, 0));
	say("arrives", get(a));
	to(a, "old", 3, "127.0.0.1", port_of(c));
	close(a);
	say("and goes", send(c, "x", 1, 0));
	say("the error comes before data", recv(c, buf, 10, MSG_DONTWAIT));
	say("then data", recv(c, buf, 10, MSG_DONTWAIT));
	say("mask", mask(c));
	a = bound4("127.0.0.1", 5301);
	say("one that goes with data unread", send(c, "unread", 6, 0));
	close(a);
	say("send", send(c, "x", 1, 0));
	say("is refused", recv(c, buf, 10, MSG_DONTWAIT));
	close(c);

	c = udp4();
	say("IP_RECVERR", setsockopt(c, IPPROTO_IP, IP_RECVERR, &v, sizeof(v)));
	say("error queue is empty", recvmsg(c, &m, MSG_ERRQUEUE));
	say("unconnected, to nobody", to(c, "quote", 5, "127.0.0.1", 5301));
	say("mask", mask(c));
	say("recvmsg from the error queue", recvmsg(c, &m, MSG_ERRQUEUE));
	say("flags", m.msg_flags);
	say_addr("whom it was for", 0, &from, m.msg_namelen);
	say("quoted", memcmp(buf, "quote", 5) == 0);
	e = (void *)CMSG_DATA(&control.align);
	say("level", control.align.cmsg_level);
	say("type", control.align.cmsg_type);
	say("length", (long)control.align.cmsg_len);
	say("errno", e->ee.ee_errno);
	say("origin", e->ee.ee_origin);
	say("icmp type", e->ee.ee_type);
	say("icmp code", e->ee.ee_code);
	say("offender", ntohl(e->offender.sin_addr.s_addr) == INADDR_LOOPBACK);
	say("mask", mask(c));
	say("no error is left", opt(c, SOL_SOCKET, SO_ERROR));
	to(c, "first", 5, "127.0.0.1", 5301);
	say("a second says the first's error", to(c, "second", 6, "127.0.0.1", 5301));
	say("a third", to(c, "third", 5, "127.0.0.1", 5301));
	say("SO_ERROR", opt(c, SOL_SOCKET, SO_ERROR) != 0);
	say("mask stays", mask(c));
	iov.iov_len = 2;
	m.msg_controllen = 0;
	say("short, without control", recvmsg(c, &m, MSG_ERRQUEUE));
	say("flags", m.msg_flags);
	iov.iov_len = sizeof(buf);
	m.msg_controllen = sizeof(control);
	say("recv from the queue", recv(c, buf, sizeof(buf), MSG_ERRQUEUE));
	say("empty", recvmsg(c, &m, MSG_ERRQUEUE));
	say("mask", mask(c));
	to(c, "purged", 6, "127.0.0.1", 5301);
	v = 0;
	say("IP_RECVERR off", setsockopt(c, IPPROTO_IP, IP_RECVERR, &v, sizeof(v)));
	say("empties the queue", recvmsg(c, &m, MSG_ERRQUEUE));
	close(c);
}

static void flags_of_recv(void)
{
	int a = bound4("127.0.0.1", 5401), b = udp4();
	struct iovec two[2] = {{buf, 3}, {buf + 100, 3}};
	struct msghdr m = {.msg_iov = two, .msg_iovlen = 2};
	struct mmsghdr mm[4];
	struct iovec each[4];
	struct timespec ts = {.tv_nsec = 20000000};

	section("flags");
	do_connect(b, "127.0.0.1", 5401);
	send(b, "0123456789", 10, 0);
	say("peek", recv(a, buf, 4, MSG_PEEK));
	say("peek with MSG_TRUNC", recv(a, buf, 4, MSG_PEEK | MSG_TRUNC));
	say("FIONREAD", pending(a));
	say("recvmsg in two pieces", recvmsg(a, &m, 0));
	say("flags", m.msg_flags);
	say("first", memcmp(buf, "012", 3));
	say("second", memcmp(buf + 100, "345", 3));
	say("the rest is gone", get(a));
	send(b, "0123456789", 10, 0);
	say("MSG_TRUNC", recv(a, buf, 4, MSG_TRUNC));
	send(b, "0123456789", 10, 0);
	say("MSG_WAITALL waits for no more", recv(a, buf, 100, MSG_WAITALL));
	send(b, "0123456789", 10, 0);
	say("recv of 0 octets", recv(a, buf, 0, 0));
	say("takes it", get(a));
	send(b, "0123456789", 10, 0);
	say("NULL and MSG_TRUNC", recv(a, NULL, 0, MSG_TRUNC));
	send(b, "0123456789", 10, 0);
	say("read of 0 octets", read(a, buf, 0));
	say("leaves it", read(a, buf, 100));
	send(b, "0123456789", 10, 0);
	say("read", read(a, buf, 5));
	say("write", write(b, "write", 5));
	say("write of 0 octets", write(b, "", 0));
	say("read", read(a, buf, 100));
	say("readv", readv(a, two, 2));
	two[0] = (struct iovec){(char[]){"ab"}, 2};
	two[1] = (struct iovec){(char[]){"cde"}, 3};
	say("writev", writev(b, two, 2));
	say("is one datagram", get(a));
	say("whole", memcmp(buf, "abcde", 5));
	two[0].iov_len = two[1].iov_len = 0;
	say("writev of nothing", writev(b, two, 2));
	say("sends nothing", get(a));
	say("pread", pread(a, buf, 1, 0));
	say("lseek", lseek(a, 0, SEEK_CUR));
	for (int i = 0; i < 4; i++) {
		each[i] = (struct iovec){buf + 100 * i, (size_t)i + 1};
		memset(&mm[i], 0, sizeof(mm[i]));
		mm[i].msg_hdr.msg_iov = &each[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}
	say("sendmmsg", sendmmsg(b, mm, 3, 0));
	say("length of the third", mm[2].msg_len);
	say("recvmmsg, four wanted, MSG_WAITFORONE", recvmmsg(a, mm, 4, MSG_WAITFORONE, NULL));
	say("length of the third", mm[2].msg_len);
	say("recvmmsg of nothing", recvmmsg(a, mm, 4, MSG_DONTWAIT, NULL));
	say("sendmmsg", sendmmsg(b, mm, 2, 0));
	say("recvmmsg, two wanted, a limit", recvmmsg(a, mm, 2, 0, &ts));
	say("sendmmsg of none", sendmmsg(b, mm, 0, 0));
	say("recvmmsg of none", recvmmsg(a, mm, 0, 0, NULL));
	ts.tv_nsec = -1;
	say("a limit that is none", recvmmsg(a, mm, 2, 0, &ts));
	close(a);
	close(b);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--reader"))
		return read(200, buf, 100) == 4 ? 0 : 1;
	signal(SIGPIPE, SIG_IGN);
	script_style("-1 ", true);
	first_things();
	order_of_errors();
	large6();
	connecting();
	refused();
	flags_of_recv();
	waiting();
	ending();
	epolls();
	buffers();
	ancillary();
	six();
	sharing();
	groups();
	corks();
	shared(argv[0]);
	threads();
	return 0;
}
