/* tests/shim/more.c: the rest of the socket calls: ioctl, interfaces, several messages at once, urgent data, streams,
 * passed and inherited descriptors, calls by number, bad pointers.
 *
 * An ordinary program that knows nothing of berth. run_calls.sh runs it natively and under the shim and compares the
 * two outputs line by line (more-differences.txt has what may differ). Ports that the machine chose are shown as P.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "more.h"

int bindresvport(int fd, struct sockaddr_in *sin);
int rresvport_af(int *port, sa_family_t family);
int isfdtype(int fd, int type);

static int listener(int port)
{
	struct sockaddr_in a = at("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		say("listener", -1);
	return fd;
}

int client(int port)
{
	struct sockaddr_in a = at("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		say("client", -1);
	return fd;
}

void pair(int port, int *l, int *c, int *s)
{
	*l = listener(port);
	*c = client(port);
	*s = accept(*l, NULL, NULL);
}

void shut(int a, int b, int c)
{
	close(a);
	close(b);
	close(c);
}

static void show_name(const char *what, int fd, bool peer)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);
	char text[64], line[100];
	const struct sockaddr_in *four = (const struct sockaddr_in *)&a;
	int port;

	if ((peer ? getpeername(fd, (struct sockaddr *)&a, &len) : getsockname(fd, (struct sockaddr *)&a, &len)) < 0) {
		say(what, -1);
		return;
	}
	port = ntohs(a.sin6_port);
	if (a.sin6_family == AF_INET)
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof(text));
	if (port >= 32768)
		snprintf(line, sizeof(line), "%s P", text);
	else
		snprintf(line, sizeof(line), "%s %d", text, port);
	say_text(what, line);
}

static void one_ioctl(const char *what, int fd, unsigned long request)
{
	int v = -12345;

	if (ioctl(fd, request, &v) < 0)
		say(what, -1);
	else
		say_num(what, v);
}

static void ioctls_of(const char *who, int fd)
{
	char what[80];
	static const struct {
		const char *name;
		unsigned long request;
	} all[] = {{"FIONREAD", FIONREAD},     {"SIOCOUTQ", SIOCOUTQ},	 {"SIOCOUTQNSD", SIOCOUTQNSD},
		   {"SIOCATMARK", SIOCATMARK}, {"SIOCGPGRP", SIOCGPGRP}, {"FIOGETOWN", FIOGETOWN}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(what, sizeof(what), "%s %s", who, all[i].name);
		one_ioctl(what, fd, all[i].request);
	}
}

static int client_udp(int server)
{
	struct sockaddr_in a = at("127.0.0.1", 0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (bind(server, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(server, (struct sockaddr *)&a, &len) < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		say("udp", -1);
	return fd;
}

static void ioctls(void)
{
	int l, c, s, fresh = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
	struct timeval tv;

	section("ioctl");
	pair(8100, &l, &c, &s);
	ioctls_of("fresh", fresh);
	ioctls_of("listener", l);
	ioctls_of("client", c);
	say_count("write", write(s, "0123456789", 10));
	usleep(20000);
	ioctls_of("client with data", c);
	ioctls_of("server with data sent", s);
	say("SIOCGSTAMP", ioctl(c, SIOCGSTAMP, &tv));
	say("FIONBIO", ioctl(c, FIONBIO, &on));
	say_num("non-blocking", (fcntl(c, F_GETFL) & O_NONBLOCK) != 0);
	say("FIOASYNC", ioctl(c, FIOASYNC, &on));
	say_num("asynchronous", (fcntl(c, F_GETFL) & O_ASYNC) != 0);
	say("FIOCLEX", ioctl(c, FIOCLEX));
	say_num("close on exec", fcntl(c, F_GETFD) & FD_CLOEXEC);
	say("TCGETS", ioctl(c, TIOCGWINSZ, &tv));
	say("unknown 0x89ff", ioctl(c, 0x89ff, &tv));
	say("EBADF", ioctl(-1, FIONREAD, &on));
	say("FIONREAD, bad pointer", ioctl(l, FIONREAD, (void *)1));
	say("SIOCGIFFLAGS, bad pointer", ioctl(l, SIOCGIFFLAGS, (void *)1));
	say("SIOCGIFCONF, bad pointer", ioctl(l, SIOCGIFCONF, NULL));
	close(fresh);
	shut(l, c, s);
	l = socket(AF_INET, SOCK_DGRAM, 0);
	c = client_udp(l);
	ioctls_of("udp", l);
	say_count("send", send(c, "0123456789", 10, 0));
	say_count("send", send(c, "01234", 5, 0));
	usleep(20000);
	ioctls_of("udp with two", l);
	ioctls_of("udp that sent", c);
	say_count("read", read(l, &tv, 4));
	ioctls_of("udp with one", l);
	shut(l, c, -1);
}

static void interfaces_of(const char *who, int fd)
{
	static const struct {
		const char *name;
		unsigned long request;
	} all[] = {{"SIOCGIFINDEX", SIOCGIFINDEX},     {"SIOCGIFFLAGS", SIOCGIFFLAGS},
		   {"SIOCGIFMTU", SIOCGIFMTU},	       {"SIOCGIFMETRIC", SIOCGIFMETRIC},
		   {"SIOCGIFADDR", SIOCGIFADDR},       {"SIOCGIFNETMASK", SIOCGIFNETMASK},
		   {"SIOCGIFDSTADDR", SIOCGIFDSTADDR}, {"SIOCGIFBRDADDR", SIOCGIFBRDADDR},
		   {"SIOCGIFTXQLEN", SIOCGIFTXQLEN}};
	char what[80], text[64];
	struct ifreq r = {.ifr_ifindex = 1};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)&r.ifr_addr;

		memset(&r, 0, sizeof(r));
		strcpy(r.ifr_name, "lo");
		snprintf(what, sizeof(what), "%s lo %s", who, all[i].name);
		if (ioctl(fd, all[i].request, &r) < 0)
			say(what, -1);
		else if (i >= 4 && i <= 7)
			say_text(what, inet_ntop(AF_INET, &a->sin_addr, text, sizeof(text)));
		else if (all[i].request == SIOCGIFFLAGS)
			say_num(what, r.ifr_flags);
		else
			say_num(what, r.ifr_mtu);
	}
	memset(&r, 0, sizeof(r));
	r.ifr_ifindex = 1;
	snprintf(what, sizeof(what), "%s SIOCGIFNAME 1", who);
	say(what, ioctl(fd, SIOCGIFNAME, &r));
	say_text(what, r.ifr_name);
	r.ifr_ifindex = 99;
	snprintf(what, sizeof(what), "%s SIOCGIFNAME 99", who);
	say(what, ioctl(fd, SIOCGIFNAME, &r));
	strcpy(r.ifr_name, "nosuch0");
	snprintf(what, sizeof(what), "%s of an unknown one", who);
	say(what, ioctl(fd, SIOCGIFFLAGS, &r));
	strcpy(r.ifr_name, "lo");
	snprintf(what, sizeof(what), "%s SIOCGIFHWADDR", who);
	say(what, ioctl(fd, SIOCGIFHWADDR, &r));
	say_num(what, r.ifr_hwaddr.sa_family);
}

static void interfaces(void)
{
	int four = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0),
	    udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq list[8];
	struct ifconf c = {.ifc_len = sizeof(list), .ifc_req = list};
	struct if_nameindex *names;
	struct ifaddrs *all;
	char text[64], what[80];

	section("interfaces");
	interfaces_of("tcp4", four);
	interfaces_of("tcp6", six);
	interfaces_of("udp4", udp);
	say("SIOCGIFCONF", ioctl(udp, SIOCGIFCONF, &c));
	say_text("the first", list[0].ifr_name);
	say_text("its address",
		 inet_ntop(AF_INET, &((struct sockaddr_in *)&list[0].ifr_addr)->sin_addr, text, sizeof(text)));
	say_num("whole entries", c.ifc_len % (int)sizeof(list[0]));
	c.ifc_len = sizeof(list[0]) + 10;
	say("room for one and a half", ioctl(udp, SIOCGIFCONF, &c));
	say_num("one was given", c.ifc_len / (int)sizeof(list[0]));
	say_num("if_nametoindex lo", if_nametoindex("lo"));
	say("if_nametoindex unknown", if_nametoindex("nosuch0") ? 0 : -1);
	say_text("if_indextoname 1", if_indextoname(1, text));
	say("if_indextoname 99", if_indextoname(99, text) ? 0 : -1);
	names = if_nameindex();
	say_num("if_nameindex, the first", names ? names[0].if_index : 0);
	say_text("its name", names ? names[0].if_name : "none");
	if_freenameindex(names);
	say("getifaddrs", getifaddrs(&all));
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo"))
			continue;
		snprintf(what, sizeof(what), "lo family %d flags", i->ifa_addr->sa_family);
		say_num(what, i->ifa_flags);
		if (i->ifa_addr->sa_family == AF_INET) {
			say_text("address", inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text,
						      sizeof(text)));
			say_text("mask", inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_netmask)->sin_addr, text,
						   sizeof(text)));
		}
		if (i->ifa_addr->sa_family == AF_INET6) {
			say_text("address", inet_ntop(AF_INET6, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, text,
						      sizeof(text)));
			say_text("mask", inet_ntop(AF_INET6, &((struct sockaddr_in6 *)i->ifa_netmask)->sin6_addr, text,
						   sizeof(text)));
		}
	}
	freeifaddrs(all);
	shut(four, six, udp);
}

static void messages(void)
{
	char a[8] = "abc", b[8] = "defg", in[2][16] = {"", ""};
	struct iovec out[2] = {{a, 3}, {b, 4}}, into[2] = {{in[0], 5}, {in[1], 16}};
	struct sockaddr_in from[2];
	struct mmsghdr v[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};
	struct timespec none = {0, 0}, bad = {0, -1};
	int l, c, s;

	section("mmsg");
	pair(8110, &l, &c, &s);
	say_count("sendmmsg", sendmmsg(c, v, 2, 0));
	say_num("first", v[0].msg_len);
	say_num("second", v[1].msg_len);
	usleep(20000);
	for (int i = 0; i < 2; i++) {
		memset(&v[i], 0, sizeof(v[i]));
		v[i].msg_hdr = (struct msghdr){.msg_iov = &into[i],
					       .msg_iovlen = 1,
					       .msg_name = &from[i],
					       .msg_namelen = sizeof(from[i])};
	}
	say_count("recvmmsg", recvmmsg(s, v, 2, 0, NULL));
	say_num("first", v[0].msg_len);
	say_text("data", in[0]);
	say_num("second", v[1].msg_len);
	say_text("data", in[1]);
	say_num("names nobody", v[0].msg_hdr.msg_namelen);
	say_count("nothing there", recvmmsg(s, v, 2, MSG_DONTWAIT, NULL));
	write(c, "xyz", 3);
	usleep(20000);
	say_count("MSG_WAITFORONE", recvmmsg(s, v, 2, MSG_WAITFORONE, NULL));
	write(c, "xyz", 3);
	usleep(20000);
	say_count("a time limit", recvmmsg(s, v, 2, 0, &none));
	say_count("a bad time limit", recvmmsg(s, v, 2, 0, &bad));
	say_count("none wanted", recvmmsg(s, v, 0, MSG_DONTWAIT, NULL));
	say_count("EBADF", sendmmsg(-1, v, 1, 0));
	shut(l, c, s);
}

static void urgent(void)
{
	char buf[16] = "";
	int l, c, s, on = 1;
	struct pollfd p;

	section("urgent");
	pair(8120, &l, &c, &s);
	say_num("sockatmark before", sockatmark(s));
	say_count("send", send(c, "ab", 2, 0));
	say_count("urgent", send(c, "!", 1, MSG_OOB));
	say_count("send", send(c, "cd", 2, 0));
	usleep(20000);
	p = (struct pollfd){.fd = s, .events = POLLPRI | POLLIN};
	say_num("poll", poll(&p, 1, 1000));
	say_num("with PRI", (p.revents & POLLPRI) != 0);
	say_count("reads up to the mark", recv(s, buf, sizeof(buf), 0));
	say_num("sockatmark at it", sockatmark(s));
	say_count("reads the urgent one", recv(s, buf, 1, MSG_OOB));
	say_count("and not twice", recv(s, buf, 1, MSG_OOB));
	memset(buf, 0, sizeof(buf));
	say_count("reads on", recv(s, buf, sizeof(buf), 0));
	say_text("data", buf);
	setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	send(c, "e", 1, 0);
	send(c, "?", 1, MSG_OOB);
	usleep(20000);
	say_count("inline, up to the mark", recv(s, buf, sizeof(buf), 0));
	say_count("inline, the urgent one", recv(s, buf, sizeof(buf), 0));
	say_num("it is", buf[0]);
	shut(l, c, s);
	l = socket(AF_INET, SOCK_STREAM, 0);
	say_num("isfdtype socket", isfdtype(l, S_IFSOCK));
	say_num("isfdtype file", isfdtype(l, S_IFREG));
	close(l);
}

static void streams(void)
{
	char path[] = "/tmp/more.XXXXXX", buf[64] = "";
	struct timeval tv = {.tv_usec = 50000};
	int l, c, s, file = mkstemp(path), p[2];
	off_t off = 2;
	FILE *f;

	section("streams");
	unlink(path);
	pair(8130, &l, &c, &s);
	say_count("file", write(file, "0123456789", 10));
	say_count("sendfile", sendfile(c, file, &off, 5));
	say_num("offset", off);
	say_count("MSG_WAITALL", recv(s, buf, 5, MSG_WAITALL));
	say_text("data", buf);
	pipe(p);
	say_count("pipe", write(p[1], "through", 7));
	say_count("splice in", splice(p[0], NULL, c, NULL, 7, 0));
	usleep(20000);
	say_count("splice out", splice(s, NULL, p[1], NULL, 7, 0));
	memset(buf, 0, sizeof(buf));
	say_count("read", read(p[0], buf, sizeof(buf)));
	say_text("data", buf);
	f = fdopen(dup(c), "r+");
	say_count("fprintf", fprintf(f, "hello %d\n", 7));
	say("fflush", fflush(f));
	memset(buf, 0, sizeof(buf));
	say_count("read", read(s, buf, sizeof(buf)));
	say_text("data", buf);
	say_count("answer", write(s, "line\nrest", 9));
	say("fgets", fgets(buf, sizeof(buf), f) ? 0 : -1);
	say_text("data", buf);
	fclose(f);
	show_name("still there", c, true);
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say_count("read in time", recv(c, buf, 1, 0));
	say_count("SO_RCVTIMEO", recv(c, buf, 1, 0));
	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	say("accept, SO_RCVTIMEO", accept(l, NULL, NULL));
	say_count("writev",
		  writev(c, (struct iovec[]){{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "c", 1}}, 2));
	say_count("readv", readv(s, (struct iovec[]){{buf, 1}, {buf + 1, 8}}, 2));
	close(file);
	close(p[0]);
	close(p[1]);
	shut(l, c, s);
}

static void descriptors(void)
{
	int l, c, s, d;

	section("descriptors");
	pair(8140, &l, &c, &s);
	d = dup3(c, 200, O_CLOEXEC);
	say_num("dup3", d);
	say_num("close on exec", fcntl(d, F_GETFD) & FD_CLOEXEC);
	show_name("of the duplicate", d, true);
	say("close_range", close_range(200, 210, 0));
	show_name("closed", d, false);
	d = fcntl(s, F_DUPFD_CLOEXEC, 300);
	show_name("F_DUPFD_CLOEXEC", d, false);
	closefrom(300);
	show_name("closefrom", d, false);
	show_name("the original", s, false);
	say_num("write after all that", write(c, "x", 1));
	shut(l, c, s);
	/* The number is another's now. */
	d = open("/dev/null", O_RDWR);
	show_name("a file with the number of a socket", d, false);
	say("setsockopt on it", setsockopt(d, SOL_SOCKET, SO_REUSEADDR, &d, sizeof(d)));
	close(d);
}

static void set_or_say(int fd, int level, int opt, int v)
{
	if (setsockopt(fd, level, opt, &v, sizeof(v)) < 0)
		say("setsockopt", -1);
}

static void dress(int fd)
{
	set_or_say(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_or_say(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_or_say(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	set_or_say(fd, IPPROTO_IP, IP_TOS, 0x10);
	set_or_say(fd, IPPROTO_IP, IP_MTU_DISCOVER, 2);
	set_or_say(fd, IPPROTO_IP, IP_RECVTTL, 1);
	set_or_say(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_or_say(fd, SOL_SOCKET, SO_RCVBUF, 100000);
	set_or_say(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4321);
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static void undress(const char *who, int fd)
{
	static const struct {
		const char *name;
		int level, opt;
	} all[] = {{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE},		 {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
		   {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT},	 {"IP_TOS", IPPROTO_IP, IP_TOS},
		   {"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER},	 {"IP_RECVTTL", IPPROTO_IP, IP_RECVTTL},
		   {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE},		 {"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF},
		   {"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT}};
	char what[80], text[32] = "";
	socklen_t len = sizeof(text);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(what, sizeof(what), "%s %s", who, all[i].name);
		say_option(what, fd, all[i].level, all[i].opt);
	}
	snprintf(what, sizeof(what), "%s TCP_CONGESTION", who);
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len);
	say_text(what, text);
}

/* Values that are no number. */
static void structures(void)
{
	struct timeval tv = {.tv_sec = 3, .tv_usec = 500000}, got;
	struct linger lin = {1, 9}, got_lin;
	socklen_t len = sizeof(got);
	int l = listener(8145), c, s;

	section("structures");
	say("SO_RCVTIMEO", setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	say("SO_SNDTIMEO", setsockopt(l, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	say("SO_LINGER", setsockopt(l, SOL_SOCKET, SO_LINGER, &lin, sizeof(lin)));
	c = client(8145);
	s = accept(l, NULL, NULL);
	memset(&got, 0, sizeof(got));
	say("child SO_RCVTIMEO", getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	say_num("seconds", got.tv_sec);
	say_num("microseconds", got.tv_usec);
	say_num("length", len);
	memset(&got, 0, sizeof(got));
	say("child SO_SNDTIMEO", getsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &got, &len));
	say_num("seconds", got.tv_sec);
	len = sizeof(got_lin);
	memset(&got_lin, 0, sizeof(got_lin));
	say("child SO_LINGER", getsockopt(s, SOL_SOCKET, SO_LINGER, &got_lin, &len));
	say_num("on", got_lin.l_onoff);
	say_num("seconds", got_lin.l_linger);
	memset(&got, 0, sizeof(got));
	len = sizeof(got);
	say("client SO_RCVTIMEO", getsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	say_num("seconds", got.tv_sec);
	shut(l, c, s);
}

static void look_at(int l, int c, int s)
{
	show_name("listener", l, false);
	show_name("client", c, false);
	show_name("client's peer", c, true);
	show_name("server's peer", s, true);
	undress("client", c);
	undress("server", s);
	say("accepts", accept(l, NULL, NULL));
	say_count("writes", write(c, "from the child", 14));
}

static int in_the_other_program(void)
{
	union {
		char buf[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} u;
	char one;
	struct iovec iov = {&one, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	int fd[3];

	section("passed");
	line_in_section = 20;
	if (recvmsg(3, &m, 0) != 1) {
		say("recvmsg", -1);
		return 1;
	}
	memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	look_at(fd[0], fd[1], fd[2]);
	return 0;
}

/* To a child that is another program, which has them by inheritance or in a message. */
static void passed(bool inherit)
{
	int l = listener(8150), c, s, sp[2], st;
	char a[3][8], buf[32] = "";
	pid_t pid;

	section(inherit ? "inherited" : "passed");
	dress(l);
	c = client(8150);
	dress(c);
	s = accept(l, NULL, NULL);
	undress("here client", c);
	undress("here server", s);
	close(client(8150));
	socketpair(AF_UNIX, SOCK_STREAM, 0, sp);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (inherit) {
			for (int i = 0; i < 3; i++)
				snprintf(a[i], sizeof(a[i]), "%d", (int[]){l, c, s}[i]);
			execl("/proc/self/exe", "more", "inherited", a[0], a[1], a[2], (char *)NULL);
		} else {
			dup2(sp[1], 3);
			closefrom(4);
			execl("/proc/self/exe", "more", "passed", (char *)NULL);
		}
		_exit(9);
	}
	if (!inherit) {
		union {
			char buf[CMSG_SPACE(3 * sizeof(int))];
			struct cmsghdr align;
		} u = {.buf = {0}};
		struct iovec iov = {a, 1};
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = u.buf,
				   .msg_controllen = sizeof(u.buf)};
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);

		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(3 * sizeof(int));
		memcpy(CMSG_DATA(h), (int[]){l, c, s}, 3 * sizeof(int));
		sendmsg(sp[0], &m, 0);
	}
	waitpid(pid, &st, 0);
	line_in_section = 60;
	say_num("the other program ended with", st);
	say_count("it wrote", read(s, buf, sizeof(buf)));
	close(sp[0]);
	close(sp[1]);
	shut(l, c, s);
}

/* Descriptors taken out of another program: pidfd_getfd(2), read by read(2). */
static void got_from_another(void)
{
	struct sockaddr_in a = at("127.0.0.1", 8167);
	int u = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0), st = 0;
	pid_t child;

	bind(u, (struct sockaddr *)&a, sizeof(a));
	sendto(to, "taken", 5, 0, (struct sockaddr *)&a, sizeof(a));
	child = fork();
	if (child == 0) {
		char buf[16];
		int parent, got;

		while (open("/dev/null", O_RDONLY) < 200) /* a number that was never a socket's here */
			;
		parent = (int)syscall(SYS_pidfd_open, getppid(), 0);
		got = (int)syscall(SYS_pidfd_getfd, parent, u, 0);
		_exit(got < 0 ? 99 : (int)read(got, buf, sizeof(buf)));
	}
	waitpid(child, &st, 0);
	say_num("read from it", WIFEXITED(st) ? WEXITSTATUS(st) : -1);
	shut(u, to, -1);
}

static void by_number(void)
{
	struct sockaddr_in a = at("127.0.0.1", 8160), b;
	int one = 1, v = 0, l = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), c, s;
	socklen_t len = sizeof(v);
	char buf[16] = "";

	section("by-number");
	say("socket", l);
	say("setsockopt", syscall(SYS_setsockopt, l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	say("getsockopt", syscall(SYS_getsockopt, l, SOL_SOCKET, SO_REUSEADDR, &v, &len));
	say_num("value", v);
	say_option("SO_DOMAIN", l, SOL_SOCKET, SO_DOMAIN);
	say("bind", syscall(SYS_bind, l, &a, sizeof(a)));
	say("listen", syscall(SYS_listen, l, 5));
	c = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	say("connect", syscall(SYS_connect, c, &a, sizeof(a)));
	len = sizeof(b);
	s = (int)syscall(SYS_accept4, l, &b, &len, SOCK_CLOEXEC);
	say("accept4", s);
	say_num("from", ntohl(b.sin_addr.s_addr));
	len = sizeof(b);
	say("getpeername", syscall(SYS_getpeername, c, &b, &len));
	say_num("to", ntohs(b.sin_port));
	say_count("sendto", syscall(SYS_sendto, c, "hello", 5, 0, &a, sizeof(a)));
	len = sizeof(b);
	say_count("recvfrom", syscall(SYS_recvfrom, s, buf, sizeof(buf), 0, &b, &len));
	say_text("data", buf);
	say("shutdown", syscall(SYS_shutdown, c, SHUT_WR));
	say_count("end", syscall(SYS_read, s, buf, sizeof(buf)));
	say("connect again", syscall(SYS_connect, c, &a, sizeof(a)));
	say("EBADF", syscall(SYS_getsockname, -1, &b, &len));
	say_num("getpid", syscall(SYS_getpid) == getpid());
	say("a number that is none", syscall(9999));
	got_from_another();
	say_count("six arguments", syscall(SYS_pwritev2, -1, NULL, 0, 0, 0, 0));
	shut(l, c, s);
}

static void reserved(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), fd2, port = 1023;
	struct sockaddr_in a = at("127.0.0.1", 0);
	socklen_t len = sizeof(a);

	section("reserved");
	say("bindresvport", bindresvport(fd, &a));
	say_num("it says below 1024", ntohs(a.sin_port) < 1024 && ntohs(a.sin_port) >= 512);
	getsockname(fd, (struct sockaddr *)&a, &len);
	say_num("and it is", ntohs(a.sin_port) < 1024 && ntohs(a.sin_port) >= 512);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	say("bindresvport, any", bindresvport(fd, NULL));
	fd2 = rresvport_af(&port, AF_INET6);
	say("rresvport_af", fd2);
	say_num("below 1024", port < 1024 && port >= 512);
	say("another family", rresvport_af(&port, AF_UNIX));
	close(fd);
	close(fd2);
}

static void bad_pointers(void)
{
	void *bad[] = {NULL, (void *)1, (void *)-1};
	int l = listener(8170), fd, c;
	socklen_t len;

	section("bad-pointers");
	for (int i = 0; i < 3; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		say("bind", bind(fd, bad[i], 16));
		say("connect", connect(fd, bad[i], 16));
		len = 16;
		say("getsockname", getsockname(fd, bad[i], &len));
		say("getsockname, length", getsockname(fd, (struct sockaddr *)&len, bad[i]));
		len = 4;
		say("getsockopt SO_REUSEADDR", getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, bad[i], &len));
		say("getsockopt TCP_KEEPIDLE", getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, bad[i], &len));
		say("getsockopt TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, bad[i], &len));
		say("getsockopt, length", getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &len, bad[i]));
		say("setsockopt SO_REUSEADDR", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, bad[i], 4));
		say("setsockopt TCP_KEEPIDLE", setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, bad[i], 4));
		say("setsockopt IP_TOS", setsockopt(fd, IPPROTO_IP, IP_TOS, bad[i], 4));
		say("setsockopt SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, bad[i], 8));
		close(fd);
		c = client(8170);
		if (i) {
			len = 16;
			fd = accept(l, bad[i], &len);
			say("accept", fd);
		} else {
			fd = accept(l, (struct sockaddr *)&len, NULL);
			say("accept, no length", fd);
		}
		close(fd);
		close(c);
	}
	close(l);
}

static void state(const char *what, int fd)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) < 0)
		say(what, -1);
	else
		say_num(what, i.tcpi_state);
}

static void states(void)
{
	int l, c, s;

	section("tcp-info");
	pair(8180, &l, &c, &s);
	state("listener", l);
	state("client", c);
	state("server", s);
	shutdown(c, SHUT_WR);
	usleep(20000);
	state("client that ended", c);
	state("server whose peer ended", s);
	shutdown(s, SHUT_WR);
	usleep(20000);
	state("client, both ended", c);
	state("server, both ended", s);
	shut(l, c, s);
	c = socket(AF_INET, SOCK_STREAM, 0);
	state("fresh", c);
	close(c);
}

/* TCP_INQ: how much is left, beside what was received. */
static void show_inq(const char *what, int fd, size_t len, size_t room, int flags)
{
	_Alignas(8) char control[64], buf[64];
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room ? control : NULL,
			   .msg_controllen = room};
	const struct cmsghdr *c;
	char line[100];
	int left;
	long n;

	memset(control, 0x55, sizeof(control));
	n = recvmsg(fd, &m, flags);
	if (n < 0) {
		say(what, n);
		return;
	}
	c = CMSG_FIRSTHDR(&m);
	if (c && m.msg_controllen >= CMSG_LEN(sizeof(left))) {
		memcpy(&left, CMSG_DATA(c), sizeof(left));
		snprintf(line, sizeof(line), "%ld flags %x control %zu: level %d type %d len %zu left %d", n,
			 m.msg_flags, (size_t)m.msg_controllen, c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len, left);
	} else {
		snprintf(line, sizeof(line), "%ld flags %x control %zu", n, m.msg_flags, (size_t)m.msg_controllen);
	}
	say_text(what, line);
}

static void what_is_left(void)
{
	int l, c, s, one = 1, child;
	char buf[1];

	section("inq");
	pair(8191, &l, &c, &s);
	write(c, "0123456789", 10);
	usleep(20000);
	show_inq("not asked for", s, 1, 64, 0);
	say("TCP_INQ", setsockopt(s, IPPROTO_TCP, 36, &one, sizeof(one)));
	show_inq("three of nine", s, 3, 64, 0);
	show_inq("a look at two", s, 2, 64, MSG_PEEK);
	read(s, buf, 1);
	show_inq("too little room", s, 1, 8, 0);
	show_inq("room for a part", s, 1, 18, 0);
	show_inq("the rest", s, 8, 64, 0);
	show_inq("nothing", s, 8, 64, MSG_DONTWAIT);
	write(c, "ab", 2);
	usleep(20000);
	show_inq("two of two, by name", s, 2, 24, 0);
	close(c);
	usleep(20000);
	show_inq("the end", s, 8, 64, 0);
	one = 0;
	say("off", setsockopt(s, IPPROTO_TCP, 36, &one, sizeof(one)));
	show_inq("off", s, 8, 64, 0);
	close(s);
	one = 1;
	setsockopt(l, IPPROTO_TCP, 36, &one, sizeof(one));
	c = client(8191);
	child = accept(l, NULL, NULL);
	write(c, "xyz", 3);
	usleep(20000);
	show_inq("a listener's child", child, 1, 64, 0);
	shut(l, c, child);
}

static void devices(void)
{
	struct sockaddr_in a = at("127.0.0.1", 8190);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	section("device");
	say("SO_BINDTODEVICE", setsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	say("bind", bind(l, (struct sockaddr *)&a, sizeof(a)));
	say("listen", listen(l, 1));
	say("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	say("SO_BINDTODEVICE", setsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	say("connect", connect(c, (struct sockaddr *)&a, sizeof(a)));
	shut(l, c, -1);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	script_style("", false);
	if (argc == 2)
		return in_the_other_program();
	if (argc == 5) {
		section("inherited");
		line_in_section = 20;
		look_at(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
		return 0;
	}
	deaf_polled(); /* before a thread, a child or a copy: readers that may wait (src/shim/deaf.c) */
	deaf();
	ioctls();
	interfaces();
	messages();
	urgent();
	streams();
	descriptors();
	structures();
	passed(true);
	passed(false);
	by_number();
	reserved();
	bad_pointers();
	states();
	waiting();
	what_is_left();
	devices();
	return 0;
}
