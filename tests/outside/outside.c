/* tests/outside/outside.c: a program that talks to the outside, natively and under berth.
 *
 *     outside serve PORT          natively: echoes on TCP and UDP, both families, until it is killed
 *     outside orphan FOUR PORT    under berth: a connection that is relayed, and the supervisor is killed
 *     outside FOUR SIX PORT [CHECK]   the checks. The server is at FOUR and SIX; PORT+1 is nobody's; 203.0.113.1 is a hole
 *
 * Each check holds on Linux itself: run_outside.sh runs the same list without berth, under berth, and as a static
 * program. Those at the end need a network of berth.
 */
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checks.h"
#include "network/ask.h"

_Atomic int failures;
static const char *four, *six;
static int port;

#ifndef SERVED
#define SERVED 0 /* 1: a program of the second net's */
#endif
#define HOLE "203.0.113.1"
#define FAILS(call, e) ((call) < 0 && errno == (e))

static int tcp(const char *to, int flags)
{
	return socket(strchr(to, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | flags, 0);
}

static int connect_to(int fd, const char *to, int p)
{
	union addr a;
	socklen_t len = addr(&a, to, p);

	return connect(fd, &a.sa, len);
}

static bool echoes(int fd, const char *text)
{
	char back[64];
	size_t len = strlen(text), have = 0;

	if (write(fd, text, len) != (ssize_t)len)
		return false;
	while (have < len) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, 5000) != 1)
			return false;
		n = read(fd, back + have, sizeof(back) - have);
		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return memcmp(back, text, len) == 0;
}

static int error_of(int fd)
{
	int e = -1;
	socklen_t len = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0 ? -1 : e;
}

static int ready(int fd, int events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};

	return poll(&p, 1, 5000) == 1 ? p.revents : 0;
}

static int port_of(int fd)
{
	union addr a;
	socklen_t len = sizeof(a);

	return getsockname(fd, &a.sa, &len) < 0 ? -1 : ntohs(a.in.sin_port);
}

/* --- connect --- */

static void blocking(void)
{
	const char *to[] = {four, six};

	for (int i = 0; i < 2; i++) {
		int fd = tcp(to[i], SOCK_CLOEXEC);
		union addr a, want;
		socklen_t len = sizeof(a);

		WANT(fd >= 0 && connect_to(fd, to[i], port) == 0);
		WANT(getpeername(fd, &a.sa, &len) == 0 && len == addr(&want, to[i], port));
		WANT(i ? memcmp(&a.in6.sin6_addr, &want.in6.sin6_addr, 16) == 0
		       : a.in.sin_addr.s_addr == want.in.sin_addr.s_addr);
		WANT(port_of(fd) > 0);
		WANT(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
		WANT(echoes(fd, "there and back"));
		WANT(FAILS(connect_to(fd, to[i], port), EISCONN));
		WANT(shutdown(fd, SHUT_WR) == 0 && read(fd, &a, 1) == 0);
		close(fd);
	}
}

static void mapped(void)
{
	char text[80];
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	snprintf(text, sizeof(text), "::ffff:%s", four);
	WANT(fd >= 0 && connect_to(fd, text, port) == 0 && echoes(fd, "mapped"));
	close(fd);
}

static void non_blocking(void)
{
	int fd = tcp(four, SOCK_NONBLOCK);

	WANT(FAILS(connect_to(fd, four, port), EINPROGRESS));
	WANT(ready(fd, POLLOUT) == POLLOUT && error_of(fd) == 0);
	WANT(connect_to(fd, four, port) == 0);
	WANT(FAILS(connect_to(fd, four, port), EISCONN));
	WANT(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) == 0);
	WANT(echoes(fd, "quick"));
	close(fd);
}

static void refused(void)
{
	int fd = tcp(four, 0);

	WANT(FAILS(connect_to(fd, four, port + 1), ECONNREFUSED));
	WANT(FAILS(connect_to(fd, four, port + 1), ECONNREFUSED));
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "after all"));
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	WANT(FAILS(connect_to(fd, four, port + 1), EINPROGRESS));
	WANT(ready(fd, POLLOUT) == (POLLOUT | POLLERR | POLLHUP));
	WANT(error_of(fd) == ECONNREFUSED && error_of(fd) == 0);
	WANT(FAILS(connect_to(fd, four, port), ECONNABORTED));
	WANT(FAILS(connect_to(fd, four, port), EINPROGRESS));
	WANT(ready(fd, POLLOUT) == POLLOUT && echoes(fd, "second"));
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	WANT(FAILS(connect_to(fd, four, port + 1), EINPROGRESS) && ready(fd, POLLOUT));
	WANT(FAILS(connect_to(fd, four, port), ECONNREFUSED)); /* told of the first */
	WANT(FAILS(connect_to(fd, four, port), EINPROGRESS) && ready(fd, POLLOUT) == POLLOUT);
	close(fd);
}

static void at_once(void)
{
	int fd = tcp(four, 0);
	union addr a;

	WANT(FAILS(connect_to(fd, "198.18.0.1", 80), ENETUNREACH)); /* run_outside.sh has no route there */
	WANT(FAILS(connect(fd, &a.sa, 3), EINVAL));
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "another way"));
	close(fd);
}

static void nothing(int sig)
{
	(void)sig;
}

static void a_hole(void)
{
	struct timeval t = {.tv_usec = 200000};
	struct sigaction act = {.sa_handler = nothing};
	int fd = tcp(four, 0), first = EINPROGRESS;

	if (SERVED && getenv("BERTH_NETWORK_DIR"))
		first = EALREADY; /* the supervisor has begun it, the program's own call goes on with it */

	WANT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0);
	WANT(FAILS(connect_to(fd, HOLE, 80), first));
	WANT(FAILS(connect_to(fd, HOLE, 80), EALREADY));
	close(fd);
	fd = tcp(four, 0);
	WANT(sigaction(SIGALRM, &act, NULL) == 0);
	ualarm(200000, 0);
	WANT(FAILS(connect_to(fd, HOLE, 80), EINTR));
	WANT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && FAILS(connect_to(fd, HOLE, 80), EALREADY));
	close(fd);
}

static void unspec(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = tcp(four, 0);

	WANT(connect(fd, &none, sizeof(none)) == 0);
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "one"));
	WANT(connect(fd, &none, sizeof(none)) == 0);
	WANT(send(fd, "x", 1, MSG_NOSIGNAL) < 0);
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "two"));
	close(fd);
}

static void fast_open(void)
{
	int fd = tcp(four, 0);
	union addr a;
	socklen_t len = addr(&a, four, port);
	char back[8];

	WANT(sendto(fd, "fast", 4, MSG_FASTOPEN, &a.sa, len) == 4);
	WANT(recv(fd, back, 4, MSG_WAITALL) == 4 && memcmp(back, "fast", 4) == 0);
	close(fd);
}

/* --- registered before it was connected --- */

static int watched(int fd, int epoll, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.u64 = UINT64_C(0x123456789abcdef0) + (unsigned)fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static uint32_t next_event(int fd, int epoll, int ms)
{
	struct epoll_event e[4];

	if (epoll_wait(epoll, e, 4, ms) != 1 || e[0].data.u64 != UINT64_C(0x123456789abcdef0) + (unsigned)fd)
		return 0;
	return e[0].events;
}

static void epoll_before(void)
{
	static const uint32_t kinds[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLEXCLUSIVE};

	for (size_t i = 0; i < 4; i++) {
		int epoll = epoll_create1(EPOLL_CLOEXEC), fd = tcp(four, SOCK_NONBLOCK);
		struct epoll_event e = {.events = EPOLLIN, .data.u64 = UINT64_C(0x123456789abcdef0) + (unsigned)fd};
		bool once = kinds[i] & EPOLLONESHOT;

		WANT(watched(fd, epoll, EPOLLIN | EPOLLOUT | kinds[i]) == 0);
		if (!once)
			WANT(next_event(fd, epoll, 1000) == (EPOLLOUT | EPOLLHUP));
		WANT(FAILS(connect_to(fd, four, port), EINPROGRESS));
		WANT(next_event(fd, epoll, 5000) == EPOLLOUT);
		WANT(next_event(fd, epoll, 50) == (kinds[i] ? 0 : EPOLLOUT)); /* an edge and a shot come once */
		if (!(kinds[i] & EPOLLEXCLUSIVE)) {
			WANT(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e) == 0);
			WANT(write(fd, "abc", 3) == 3 && next_event(fd, epoll, 5000) == EPOLLIN);
		}
		WANT(FAILS(watched(fd, epoll, EPOLLIN), EEXIST));
		WANT(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) == 0);
		WANT(FAILS(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), ENOENT));
		close(fd);
		close(epoll);
	}
}

static void epoll_refused(void)
{
	int two[2] = {epoll_create1(0), epoll_create1(0)}, fd = tcp(four, SOCK_NONBLOCK), other = dup(fd);

	WANT(watched(fd, two[0], EPOLLIN | EPOLLOUT | EPOLLET) == 0 && watched(other, two[1], EPOLLOUT) == 0);
	WANT(next_event(fd, two[0], 1000) && next_event(other, two[1], 1000));
	WANT(FAILS(connect_to(fd, four, port + 1), EINPROGRESS));
	WANT(next_event(fd, two[0], 5000) == (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP));
	WANT(next_event(other, two[1], 5000) == (EPOLLOUT | EPOLLERR | EPOLLHUP));
	WANT(error_of(other) == ECONNREFUSED);
	close(fd);
	close(other);
	close(two[0]);
	close(two[1]);
}

static _Atomic uint32_t seen;

static void *wait_there(void *arg)
{
	int *fds = arg;

	seen = next_event(fds[0], fds[1], 5000);
	return NULL;
}

/* Another thread sleeps in epoll_wait() meanwhile, and sees nothing before the connection is there. */
static void epoll_elsewhere(void)
{
	for (int blocks = 0; blocks < 2; blocks++) {
		int fds[2] = {tcp(four, blocks ? 0 : SOCK_NONBLOCK), epoll_create1(0)};
		pthread_t t;
		int r;

		WANT(watched(fds[0], fds[1], EPOLLOUT | EPOLLET) == 0 && next_event(fds[0], fds[1], 1000));
		WANT(pthread_create(&t, NULL, wait_there, fds) == 0);
		usleep(50000);
		r = connect_to(fds[0], four, port);
		WANT(blocks ? r == 0 : r < 0 && errno == EINPROGRESS);
		pthread_join(t, NULL);
		WANT(seen == EPOLLOUT);
		close(fds[0]);
		close(fds[1]);
	}
}

/* --- what stays --- */

static void options(void)
{
	static const struct {
		int level, name, value;
	} o[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{SOL_SOCKET, SO_REUSEADDR, 1},
		{SOL_SOCKET, SO_RCVBUF, 20000},
		{SOL_SOCKET, SO_SNDBUF, 30000},
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 77},
		{IPPROTO_TCP, TCP_KEEPINTVL, 7},
		{IPPROTO_TCP, TCP_KEEPCNT, 3},
		{IPPROTO_TCP, TCP_SYNCNT, 4},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, 9000},
		{IPPROTO_IP, IP_TOS, 0x10},
		{IPPROTO_IP, IP_TTL, 33},
		{IPPROTO_TCP, TCP_LINGER2, 9},
		{SOL_SOCKET, SO_OOBINLINE, 1},
		{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384},
		{SOL_SOCKET, SO_PRIORITY, 3},
	};
	struct linger l = {1, 5}, l2;
	struct timeval t = {.tv_sec = 3, .tv_usec = 40000}, t2;
	socklen_t len = sizeof(l2);
	int fd = tcp(four, 0), before[16], v;

	for (size_t i = 0; i < 16; i++) {
		len = sizeof(int);
		WANT(setsockopt(fd, o[i].level, o[i].name, &o[i].value, sizeof(int)) == 0);
		WANT(getsockopt(fd, o[i].level, o[i].name, &before[i], &len) == 0);
	}
	WANT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == 0);
	WANT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	WANT(connect_to(fd, four, port) == 0);
	for (size_t i = 0; i < 16; i++) {
		len = sizeof(int);
		v = -1;
		WANT(getsockopt(fd, o[i].level, o[i].name, &v, &len) == 0);
		if (v != before[i])
			printf("    option %d %d: %d, was %d\n", o[i].level, o[i].name, v, before[i]);
		WANT(v == before[i]);
	}
	len = sizeof(l2);
	WANT(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l2, &len) == 0 && l2.l_onoff == 1 && l2.l_linger == 5);
	len = sizeof(t2);
	WANT(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t2, &len) == 0 && t2.tv_sec == 3 && t2.tv_usec == 40000);
	WANT(echoes(fd, "options"));
	close(fd);
}

static void a_port_of_its_own(void)
{
	int fd = tcp(four, 0), on = 1;
	struct sockaddr_in a = at("0.0.0.0", 4567);

	WANT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	WANT(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && port_of(fd) == 4567);
	WANT(connect_to(fd, four, port) == 0 && port_of(fd) == 4567 && echoes(fd, "bound"));
	close(fd);
}

static void copies(void)
{
	int fd = tcp(four, SOCK_CLOEXEC), other = dup(fd), third = fcntl(fd, F_DUPFD_CLOEXEC, 100), status;
	pid_t child;

	WANT(fd >= 0 && other >= 0 && third >= 100);
	WANT(connect_to(other, four, port) == 0);
	WANT(echoes(fd, "first") && echoes(other, "second") && echoes(third, "third"));
	WANT(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(other, F_GETFD) == 0 && fcntl(third, F_GETFD) == FD_CLOEXEC);
	close(fd);
	close(third);
	child = fork();
	if (child == 0)
		_exit(echoes(other, "from a child") ? 0 : 1);
	WANT(waitpid(child, &status, 0) == child && status == 0);
	WANT(echoes(other, "still here"));
	close(other);
}

static void nothing_left(void)
{
	int before = n_descriptors();

	for (int i = 0; i < 20; i++) {
		int fd = tcp(four, i % 2 ? SOCK_NONBLOCK : 0);

		(void)connect_to(fd, four, port + i % 3 / 2);
		close(fd);
	}
	WANT(n_descriptors() == before);
}

/* --- datagrams --- */

static void connected_udp(void)
{
	const char *to[] = {four, six};

	for (int i = 0; i < 2; i++) {
		int fd = socket(i ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), epoll = epoll_create1(0);

		WANT(fd >= 0 && watched(fd, epoll, EPOLLIN) == 0);
		WANT(connect_to(fd, to[i], port) == 0 && port_of(fd) > 0);
		WANT(write(fd, "datagram", 8) == 8 && next_event(fd, epoll, 5000) == EPOLLIN);
		WANT(echoes(fd, "x") || true); /* takes the first answer */
		close(fd);
		close(epoll);
	}
}

static void udp_refused(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	WANT(connect_to(fd, four, port + 1) == 0 && send(fd, "x", 1, 0) == 1);
	WANT(ready(fd, POLLIN) && FAILS(recv(fd, &c, 1, 0), ECONNREFUSED));
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "elsewhere"));
	close(fd);
}

/* connect() by turns, and what was set stays. */
static void udp_turns(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, v = 0;
	struct sockaddr_in own = at("127.0.0.1", 7200);
	socklen_t len = sizeof(v);
	union addr a;
	char c;

	WANT(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)) == 0);
	WANT(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) == 0);
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "one"));
	WANT(getsockopt(fd, IPPROTO_IP, IP_RECVTTL, &v, &len) == 0 && v == 1);
	WANT(getsockopt(fd, SOL_SOCKET, SO_BROADCAST, &v, &len) == 0 && v == 1);
	WANT(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
	len = sizeof(a);
	WANT(getpeername(fd, &a.sa, &len) == 0 && ntohs(a.in.sin_port) == port);
	WANT(connect(fd, &none, sizeof(none)) == 0 && FAILS(getpeername(fd, &a.sa, &len), ENOTCONN));
	if (!SERVED) /* the second net: what is wrong with a send without an address nobody hears */
		WANT(FAILS(send(fd, "x", 1, 0), EDESTADDRREQ));
	WANT(connect_to(fd, four, port) == 0 && echoes(fd, "two"));
	WANT(connect(fd, &none, sizeof(none)) == 0);
	WANT(bind(fd, (struct sockaddr *)&own, sizeof(own)) == 0 && port_of(fd) == 7200);
	WANT(sendto(fd, "y", 1, 0, (struct sockaddr *)&own, sizeof(own)) == 1);
	WANT(ready(fd, POLLIN) == POLLIN && read(fd, &c, 1) == 1 && c == 'y');
	WANT(getsockopt(fd, IPPROTO_IP, IP_RECVTTL, &v, &len) == 0 && v == 1);
	close(fd);
}

/* --- under berth alone --- */

static bool under_berth(void)
{
	return getenv("BERTH_NETWORK_DIR") != NULL;
}

/* A listener on this host, and the same socket tried outside before. */
static void home_again(void)
{
	struct sockaddr_in a = at("127.0.0.1", 7100);
	int l = tcp("127.0.0.1", 0), fd = tcp(four, 0), epoll = epoll_create1(0), s;
	char c;

	if (!under_berth())
		return;
	WANT(bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 5) == 0);
	WANT(watched(fd, epoll, EPOLLIN) == 0);
	WANT(FAILS(connect_to(fd, four, port + 1), ECONNREFUSED));
	WANT(connect_to(fd, "127.0.0.1", 7100) == 0);
	s = accept(l, NULL, NULL);
	WANT(s >= 0 && write(s, "y", 1) == 1 && (next_event(fd, epoll, 1000) & EPOLLIN) && read(fd, &c, 1) == 1);
	close(s);
	close(fd);
	fd = tcp(four, 0);
	WANT(FAILS(connect_to(fd, "127.0.0.1", 7101), ECONNREFUSED) && connect_to(fd, four, port) == 0);
	WANT(echoes(fd, "out"));
	close(fd);
	close(l);
	close(epoll);
}

static void loopback_stays(void)
{
	int fd = tcp(four, 0);

	if (under_berth())
		WANT(FAILS(connect_to(fd, "127.0.0.1", port), ECONNREFUSED)); /* the machine's has one there */
	close(fd);
}

/* A connected UDP socket may name another address each time. */
static void udp_elsewhere(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char text[64], buf[16];
	struct mmsghdr many[2];
	char one[] = "a";
	struct iovec iov = {one, 1};
	union addr a, from;
	socklen_t len = addr(&a, four, port), from_len;

	if (!under_berth() || SERVED)
		return;
	WANT(connect_to(fd, four, port + 1) == 0 && sendto(fd, "x", 1, 0, &a.sa, len) == 1);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	WANT(connect_to(fd, four, port) == 0);
	len = addr(&a, nobodys(text), port);
	WANT(FAILS(sendto(fd, "x", 1, 0, &a.sa, len), ENETUNREACH)); /* inside, which it does not reach */
	snprintf(strrchr(text, '.'), 5, ".1");
	len = addr(&a, text, port);
	WANT(sendto(fd, "x", 1, 0, &a.sa, len) == 1); /* arrives, and its answer is not its peer's */
	memset(many, 0, sizeof(many));
	len = addr(&a, four, port);
	for (int i = 0; i < 2; i++)
		many[i].msg_hdr = (struct msghdr){.msg_name = &a, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};
	WANT(sendmmsg(fd, many, 2, 0) == 2);
	for (int i = 0; i < 2; i++) {
		from_len = sizeof(from);
		WANT(ready(fd, POLLIN) && recvfrom(fd, buf, sizeof(buf), 0, &from.sa, &from_len) == 1 && buf[0] == 'a');
		WANT(from.in.sin_addr.s_addr == a.in.sin_addr.s_addr);
	}
	close(fd);
}

/* The supervisor relays between a socket of berth's and one of the kernel's, and nothing else. */
static void no_relay(void)
{
	int ours = tcp(four, 0), other = tcp(four, 0), u = socket(AF_INET, SOCK_DGRAM, 0), p[2];
	struct ask_ferry wrong[] = {{-1, -1}, {ours, 999}, {999, ours}, {ours, ours}, {ours, other},
				    {u, -1},  {ours, u},   {0, -1},	{ours, 0},    {ours, -1}};

	if (!under_berth() || SERVED)
		return;
	WANT(pipe(p) == 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]) - 1; i++) {
		long r = ask(ASK_FERRY, &wrong[i], sizeof(wrong[i]));

		if (r >= 0)
			printf("    relay %d %d: %ld\n", wrong[i].fd, wrong[i].out, r);
		WANT(r < 0);
	}
	WANT(ask(ASK_FERRY, &wrong[9], sizeof(wrong[9]) - 1) == -EFAULT);
	WANT(ask(ASK_FERRY, &wrong[9], sizeof(wrong[9])) == 0); /* nobody else has it */
	WANT(connect_to(ours, four, port) == 0 && echoes(ours, "after all that"));
	close(ours);
	close(other);
	close(u);
	close(p[0]);
	close(p[1]);
}

/* The machine's own loopback. */
static void gateway(void)
{
	char text[64];
	const char *none;
	int fd = tcp(four, 0);
	char *dot;

	if (!under_berth()) {
		close(fd);
		return;
	}
	none = nobodys(text);
	WANT(FAILS(connect_to(fd, none, port), ENETUNREACH));
	dot = strrchr(text, '.');
	snprintf(dot, 5, ".1");
	WANT(connect_to(fd, text, port) == 0 && echoes(fd, "machine"));
	close(fd);
	fd = tcp(four, SOCK_NONBLOCK);
	WANT(FAILS(connect_to(fd, text, port), EINPROGRESS) && ready(fd, POLLOUT) == POLLOUT && echoes(fd, "machine"));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	WANT(connect_to(fd, text, port) == 0 && echoes(fd, "machine"));
	close(fd);
	fd = tcp(four, 0);
	WANT(FAILS(connect_to(fd, text, port + 1), ECONNREFUSED) && connect_to(fd, text, port) == 0);
	WANT(echoes(fd, "again"));
	close(fd);
}

/* --- the server --- */

static int serve(int p)
{
	int l = socket(AF_INET6, SOCK_STREAM, 0), u = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p)};

	signal(SIGCHLD, SIG_IGN);
	if (setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || bind(u, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(l, 100) < 0)
		return 1;
	printf("serving\n");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[2] = {{.fd = l, .events = POLLIN}, {.fd = u, .events = POLLIN}};
		char buf[2048];
		union addr from;
		socklen_t len = sizeof(from);
		ssize_t n;
		int c;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents && (n = recvfrom(u, buf, sizeof(buf), 0, &from.sa, &len)) >= 0)
			(void)!sendto(u, buf, (size_t)n, 0, &from.sa, len);
		c = fds[0].revents ? accept(l, NULL, NULL) : -1;
		if (c < 0)
			continue;
		if (fork() == 0) {
			while ((n = read(c, buf, sizeof(buf))) > 0 && write(c, buf, (size_t)n) == n)
				;
			_exit(0);
		}
		close(c);
	}
}

/* By name, and whichever family comes first. */
static void gateway_by_name(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all, *ai;
	char service[8];
	int n = 0;

	if (!under_berth() || SERVED) /* what is static asks no library of ours */
		return;
	snprintf(service, sizeof(service), "%d", port);
	WANT(getaddrinfo("gateway.berth", service, &hints, &all) == 0);
	for (ai = all; ai; ai = ai->ai_next, n++) {
		int fd = socket(ai->ai_family, ai->ai_socktype, 0);

		WANT(connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 && echoes(fd, "machine"));
		close(fd);
	}
	freeaddrinfo(all);
	WANT(n == 2);
}

static const struct check checks[] = {
	{"a blocking connect, both families", blocking},
	{"an IPv4 address of an IPv6 socket", mapped},
	{"a non-blocking connect", non_blocking},
	{"refused, and tried again on the same socket", refused},
	{"no route: at once, and nothing has changed", at_once},
	{"nobody answers: a timeout, a signal", a_hole},
	{"AF_UNSPEC before and after", unspec},
	{"fast open", fast_open},
	{"epoll before connect: level, edge, one shot, exclusive", epoll_before},
	{"two epolls, a copy, refused", epoll_refused},
	{"another thread waits in epoll", epoll_elsewhere},
	{"options stay", options},
	{"a bound port stays", a_port_of_its_own},
	{"copies and children", copies},
	{"no descriptor is left", nothing_left},
	{"a connected UDP socket", connected_udp},
	{"a connected UDP socket is refused", udp_refused},
	{"a UDP socket by turns", udp_turns},
	{"from outside back to a host", home_again},
	{"the host's loopback is its own", loopback_stays},
	{"the gateway is the machine", gateway},
	{"a connected UDP socket sends elsewhere", udp_elsewhere},
	{"the gateway by name", gateway_by_name},
	{"what is not relayed", no_relay},
};

/* A child connects what we have, too; our parent, the supervisor, dies. It is not to be waited for for ever. */
static void orphan(void)
{
	struct timeval t = {.tv_sec = 20};
	int fd = tcp(four, 0), status = -1;
	pid_t child = fork();
	char c;

	if (child == 0) {
		if (connect_to(fd, four, port) < 0)
			_exit(1);
		kill(getpid(), SIGSTOP); /* has it while it is connected, and until its parent was there */
		_exit(0);
	}
	WANT(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	WANT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
	WANT(echoes(fd, "both"));
	WANT(kill(getppid(), SIGKILL) == 0);
	WANT(recv(fd, &c, 1, 0) == 0);
	WANT(FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE) || FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE));
	kill(child, SIGCONT);
	WANT(waitpid(child, &status, 0) == child);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(atoi(argv[2]));
	if (argc == 4 && strcmp(argv[1], "orphan") == 0) {
		four = argv[2];
		port = atoi(argv[3]);
		orphan();
		return failures ? 1 : 0;
	}
	if (argc < 4)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	four = argv[1];
	six = argv[2];
	port = atoi(argv[3]);
	if (run_checks(checks, sizeof(checks) / sizeof(checks[0]), argc > 4 ? argv[4] : NULL) == 0)
		return 2;
	return failures ? 1 : 0;
}
