/* tests/shim/calls_udp.c: a long script of UDP calls that says what each one answered.
 *
 * As calls.c, which see: run natively and under berth, compared line by line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>
#include <linux/sockios.h>

#include "script.h"

static int udp4(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int udp6(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
}

static int disconnect(int fd)
{
	struct sockaddr a = {.sa_family = AF_UNSPEC};

	return connect(fd, &a, sizeof(a));
}

static int bound4(const char *text, int port)
{
	int fd = udp4();

	if (do_bind(fd, text, port) < 0)
		say("bind", -1);
	return fd;
}

static ssize_t to(int fd, const void *buf, size_t len, const char *text, int port)
{
	union addr a;
	socklen_t l = addr(&a, text, port);

	return sendto(fd, buf, len, 0, &a.sa, l);
}

static char buf[70000];

static ssize_t get(int fd)
{
	memset(buf, 0, 32);
	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
}

static int opt(int fd, int level, int name)
{
	int v = -12345;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) < 0 ? -1 : v;
}

static int mask(int fd)
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

static void *late_sender(void *arg)
{
	usleep(30000);
	to(*(int *)arg, "late", 4, "127.0.0.1", 5501);
	return NULL;
}

static void *late_shutdown(void *arg)
{
	usleep(30000);
	shutdown(*(int *)arg, SHUT_RD);
	return NULL;
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void *cancelled(void *arg)
{
	char c;

	recv(*(int *)arg, &c, 1, 0);
	return NULL;
}

static void waiting(void)
{
	int a = bound4("127.0.0.1", 5501), b = udp4();
	struct timeval tv = {.tv_usec = 30000};
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval_ {
		long a[4];
	};
	pthread_t t;
	void *ret;
	fd_set set_;

	section("wait");
	pthread_create(&t, NULL, late_sender, &b);
	say("a blocking recv", recv(a, buf, 100, 0));
	pthread_join(t, NULL);
	pthread_create(&t, NULL, late_sender, &b);
	say("a blocking read", read(a, buf, 100));
	pthread_join(t, NULL);
	pthread_create(&t, NULL, late_sender, &b);
	say("a blocking peek", recv(a, buf, 100, MSG_PEEK));
	pthread_join(t, NULL);
	say("and take", get(a));
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("SO_RCVTIMEO", recv(a, buf, 100, 0));
	tv.tv_usec = 0;
	setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	sigaction(SIGALRM, &sa, NULL);
	ualarm(30000, 0);
	say("a signal", recv(a, buf, 100, 0));
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	ualarm(10000, 0);
	pthread_create(&t, NULL, late_sender, &b);
	say("a signal with SA_RESTART", recv(a, buf, 100, 0));
	pthread_join(t, NULL);
	pthread_create(&t, NULL, cancelled, &a);
	usleep(20000);
	pthread_cancel(t);
	pthread_join(t, &ret);
	say("pthread_cancel", ret == PTHREAD_CANCELED);
	nonblock(a);
	say("O_NONBLOCK", recv(a, buf, 100, 0));
	say("and read", read(a, buf, 100));
	FD_ZERO(&set_);
	FD_SET(a, &set_);
	tv.tv_usec = 10000;
	say("select", select(a + 1, &set_, NULL, NULL, &tv));
	to(b, "x", 1, "127.0.0.1", 5501);
	FD_SET(a, &set_);
	say("select", select(a + 1, &set_, NULL, NULL, &tv));
	get(a);
	close(a);
	close(b);
}

static void ending(void)
{
	int a = bound4("127.0.0.1", 5501), b = udp4();
	pthread_t t;

	section("shutdown");
	say("unconnected", shutdown(b, SHUT_RDWR));
	say("a bad one", shutdown(b, 7));
	say("mask all the same", mask(b));
	say("sendto", to(b, "x", 1, "127.0.0.1", 5501));
	close(b);
	b = udp4();
	do_connect(b, "127.0.0.1", 5501);
	say("connected, SHUT_WR", shutdown(b, SHUT_WR));
	say("mask", mask(b));
	say("send", send(b, "x", 1, 0));
	say("still receives", (to(a, "y", 1, "127.0.0.1", port_of(b)), get(b)));
	say("SHUT_RD", shutdown(b, SHUT_RD));
	say("mask", mask(b));
	say("recv", recv(b, buf, 10, 0));
	say("recv without waiting", recv(b, buf, 10, MSG_DONTWAIT));
	say("what comes is kept", (to(a, "z", 1, "127.0.0.1", port_of(b)), get(b)));
	close(b);
	b = udp4();
	do_connect(b, "127.0.0.1", 5501);
	pthread_create(&t, NULL, late_shutdown, &b);
	say("a reader that waits is woken", recv(b, buf, 10, 0));
	pthread_join(t, NULL);
	close(a);
	close(b);
}

static int wait_ep(int ep)
{
	struct epoll_event e;
	int n = epoll_wait(ep, &e, 1, 0);

	return n <= 0 ? n : (int)e.events;
}

static void epolls(void)
{
	int a = bound4("127.0.0.1", 5601), b = udp4(), lt = epoll_create1(0), et = epoll_create1(0),
	    once = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};

	section("epoll");
	do_connect(b, "127.0.0.1", 5601);
	epoll_ctl(lt, EPOLL_CTL_ADD, a, &e);
	e.events = EPOLLIN | EPOLLET;
	epoll_ctl(et, EPOLL_CTL_ADD, a, &e);
	e.events = EPOLLIN | EPOLLONESHOT;
	epoll_ctl(once, EPOLL_CTL_ADD, a, &e);
	say("level, nothing", wait_ep(lt));
	say("edge, nothing", wait_ep(et));
	for (int i = 0; i < 3; i++) {
		send(b, "12", 2, 0);
		say("level", wait_ep(lt));
		say("level again", wait_ep(lt));
		say("edge", wait_ep(et));
		say("edge again", wait_ep(et));
		say("once", wait_ep(once));
		say("once again", wait_ep(once));
		say("recv", get(a));
		say("level, empty", wait_ep(lt));
		say("edge, empty", wait_ep(et));
	}
	epoll_ctl(once, EPOLL_CTL_MOD, a, &e);
	say("once, armed", wait_ep(once));
	send(b, "1", 1, 0);
	send(b, "2", 1, 0);
	say("two: edge", wait_ep(et));
	say("once", wait_ep(once));
	say("take one", get(a));
	say("level", wait_ep(lt));
	epoll_ctl(once, EPOLL_CTL_MOD, a, &e);
	say("once, armed with one there", wait_ep(once));
	say("take the other", get(a));
	say("level", wait_ep(lt));
	for (int i = 0; i < 200; i++) {
		send(b, "x", 1, 0);
		if (wait_ep(et) != EPOLLIN || get(a) != 1 || wait_ep(et) != 0 || wait_ep(lt) != 0)
			say("out of step", i);
	}
	close(lt);
	close(et);
	close(once);
	close(a);
	close(b);
}

static void buffers(void)
{
	static const int sizes[] = {1, 64, 200, 1000, 1400, 4000, 8192, 20000, 65507};
	union {
		struct cmsghdr align;
		char room[64];
	} control;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};

	section("buffer");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int a = bound4("127.0.0.1", 5701), b = udp4(), n = 0;
		char what[64];

		do_connect(b, "127.0.0.1", 5701);
		for (int k = 0; k < 500; k++)
			if (send(b, buf, (size_t)sizes[i], 0) < 0)
				say("send", -1);
		while (get(a) >= 0)
			n++;
		snprintf(what, sizeof(what), "default, %d octets", sizes[i]);
		say(what, n);
		close(a);
		close(b);
	}
	int a = bound4("127.0.0.1", 5701), b = udp4(), n = 0;

	do_connect(b, "127.0.0.1", 5701);
	say("SO_RCVBUF", opt(a, SOL_SOCKET, SO_RCVBUF));
	say("SO_SNDBUF", opt(a, SOL_SOCKET, SO_SNDBUF));
	say("set SO_RCVBUF", set(a, SOL_SOCKET, SO_RCVBUF, 5000));
	say("SO_RCVBUF", opt(a, SOL_SOCKET, SO_RCVBUF));
	say("set SO_RXQ_OVFL", set(a, SOL_SOCKET, SO_RXQ_OVFL, 1));
	for (int k = 0; k < 50; k++)
		send(b, buf, 100, 0);
	while (get(a) >= 0)
		n++;
	say("fit", n);
	send(b, "x", 1, 0);
	say("recvmsg", recvmsg(a, &m, 0));
	say("control", (long)m.msg_controllen);
	say("drops", m.msg_controllen ? *(int *)(void *)CMSG_DATA(&control.align) : -1);
	say("the least", set(a, SOL_SOCKET, SO_RCVBUF, 1));
	say("SO_RCVBUF", opt(a, SOL_SOCKET, SO_RCVBUF));
	say("one large always fits", (send(b, buf, 60000, 0), get(a)));
	close(a);
	close(b);
}

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

static void ancillary(void)
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

static void six(void)
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

static void sharing(void)
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

static void groups(void)
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

static void corks(void)
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

static void pass(int over, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	struct iovec iov = {(char[]){"f"}, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	memset(&c, 0, sizeof(c));
	c.align = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	say("pass", sendmsg(over, &m, 0));
}

static int passed(int over)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	char x;
	struct iovec iov = {&x, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd = -1;

	if (recvmsg(over, &m, 0) == 1)
		memcpy(&fd, CMSG_DATA(&c.align), sizeof(fd));
	return fd;
}

static void shared(const char *self)
{
	int a = bound4("127.0.0.1", 6301), b = udp4(), c, p[2], st;
	pid_t pid;

	section("shared");
	do_connect(b, "127.0.0.1", 6301);
	c = dup(a);
	send(b, "dup", 3, 0);
	say("mask of the copy", mask(c));
	say("read through the copy", read(c, buf, 100));
	say("mask of the first", mask(a));
	close(c);
	c = fcntl(a, F_DUPFD_CLOEXEC, 100);
	send(b, "dupfd", 5, 0);
	say("read through F_DUPFD", read(c, buf, 100));
	say("dup2", dup2(a, 150) == 150);
	send(b, "dup2", 4, 0);
	say("read through dup2", read(150, buf, 100));
	close(150);
	close(c);
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	pass(p[0], a);
	c = passed(p[1]);
	send(b, "passed", 6, 0);
	say("read through the passed one", read(c, buf, 100));
	names("passed", c);
	close(c);
	pid = fork();
	if (pid == 0)
		_exit(read(a, buf, 100) == 4 && write(b, "child", 5) == 5 ? 0 : 1);
	send(b, "fork", 4, 0);
	waitpid(pid, &st, 0);
	say("read in a child", st);
	say("what the child wrote", get(a));
	pid = fork();
	if (pid == 0) {
		dup2(a, 200); /* without close-on-exec */
		execl("/proc/self/exe", self, "--reader", (char *)NULL);
		_exit(9);
	}
	send(b, "exec", 4, 0);
	waitpid(pid, &st, 0);
	say("read after exec", st);
	/* closed here, and still held by a child */
	pid = fork();
	if (pid == 0) {
		usleep(100000);
		_exit(get(a) == 4 ? 0 : 1);
	}
	close(a);
	say("the other copy keeps it", send(b, "kept", 4, 0));
	waitpid(pid, &st, 0);
	say("and receives", st);
	say("nobody has it any more", send(b, "gone", 4, 0));
	say("refused", recv(b, buf, 10, MSG_DONTWAIT));
	close(b);
	close(p[0]);
	close(p[1]);
}

static void *reader(void *arg)
{
	char c[10];

	return (void *)(intptr_t)recv(*(int *)arg, c, sizeof(c), 0);
}

static void threads(void)
{
	int a = bound4("127.0.0.1", 6401), b = udp4();
	pthread_t t[4];
	void *got;
	long sum = 0;

	section("threads");
	do_connect(b, "127.0.0.1", 6401);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, reader, &a);
	usleep(30000);
	for (int i = 0; i < 4; i++)
		send(b, "123", 3, 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &got);
		sum += (intptr_t)got;
	}
	say("four readers, four datagrams at once", sum);
	say("nothing is left", get(a));
	say("mask", mask(a));
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
