/* tests/net2/outside_udp.c: UDP sockets that talk to hosts and to the outside, seen by a program.
 *
 * run_outside_udp.sh starts it on host "one" of a network whose machine has 10.98.0.1 and fd98::1 on a link to another
 * (10.98.0.2, fd98::2), where `server` (this program, natively) answers on port 5300, as it does on the machine's
 * loopback. Built twice: with the C library, so that berth's library serves it, and static, so that the second net does.
 *
 * The server answers "who": the sender's address and port; "other": the same from another port; "ttl": the TTL it
 * came with; "N": N datagrams numbered from 0; anything else: the same.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checks.h"

#define PORT 5300
#define WAIT_MS 3000

_Atomic int failures;
static char gateway4[64], gateway6[64], own4[64];
static const char *const link4 = "10.98.0.2", *const link6 = "fd98::2";

/* --- the server, on the machine itself --- */

static void answer(int fd, const union addr *from, socklen_t len, char *octets, ssize_t n, int ttl)
{
	char text[128];

	if (n == 3 && !memcmp(octets, "who", 3)) {
		inet_ntop(from->sa.sa_family,
			  from->sa.sa_family == AF_INET ? (const void *)&from->in.sin_addr : &from->in6.sin6_addr, text,
			  64);
		sprintf(text + strlen(text), " %d", ntohs(from->in.sin_port));
		sendto(fd, text, strlen(text), 0, &from->sa, len);
	} else if (n == 3 && !memcmp(octets, "ttl", 3)) {
		sprintf(text, "%d", ttl);
		sendto(fd, text, strlen(text), 0, &from->sa, len);
	} else if (n == 5 && !memcmp(octets, "other", 5)) {
		int other = socket(from->sa.sa_family, SOCK_DGRAM, 0);

		sendto(other, "other", 5, 0, &from->sa, len);
		close(other);
	} else if (n < 6 && octets[0] >= '1' && octets[0] <= '9') {
		for (int i = 0, most = atoi(octets); i < most; i++)
			sendto(fd, text, (size_t)sprintf(text, "%d", i), 0, &from->sa, len);
	} else {
		sendto(fd, octets, (size_t)n, 0, &from->sa, len);
	}
}

static int server(void)
{
	struct pollfd p[2];
	static char octets[70000];

	for (int i = 0; i < 2; i++) {
		union addr a;
		socklen_t len = addr(&a, i ? "::" : "0.0.0.0", PORT);

		p[i] = (struct pollfd){socket(i ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), POLLIN, 0};
		setsockopt(p[i].fd, IPPROTO_IP, IP_RECVTTL, &(int){1}, sizeof(int));
		setsockopt(p[i].fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
		setsockopt(p[i].fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &(int){1}, sizeof(int));
		if (bind(p[i].fd, &a.sa, len) < 0)
			return 1;
	}
	puts("ready");
	fflush(stdout);
	while (poll(p, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			union addr from;
			_Alignas(struct cmsghdr) char control[64];
			struct iovec iov = {octets, sizeof(octets) - 1};
			struct msghdr m = {.msg_name = &from,
					   .msg_namelen = sizeof(from),
					   .msg_iov = &iov,
					   .msg_iovlen = 1,
					   .msg_control = control,
					   .msg_controllen = sizeof(control)};
			int ttl = -1;
			ssize_t n = p[i].revents ? recvmsg(p[i].fd, &m, 0) : -1;

			if (n < 0)
				continue;
			octets[n] = '\0';
			if (CMSG_FIRSTHDR(&m))
				memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(ttl));
			answer(p[i].fd, &from, m.msg_namelen, octets, n, ttl);
		}
	return 1;
}

/* --- the program under berth --- */

static int udp(int family)
{
	return socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static ssize_t to(int fd, const void *octets, size_t n, const char *text, int port)
{
	union addr a;
	socklen_t len = addr(&a, text, port);

	return sendto(fd, octets, n, 0, &a.sa, len);
}

static char got[70000];
static char from[64];
static int from_port;

static ssize_t get(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	union addr a;
	socklen_t len = sizeof(a);
	ssize_t n;

	if (poll(&p, 1, WAIT_MS) != 1)
		return -2;
	n = recvfrom(fd, got, sizeof(got) - 1, 0, &a.sa, &len);
	if (n < 0)
		return n;
	got[n] = '\0';
	inet_ntop(a.sa.sa_family, a.sa.sa_family == AF_INET ? (const void *)&a.in.sin_addr : &a.in6.sin6_addr, from,
		  64);
	from_port = ntohs(a.in.sin_port);
	return n;
}

/* What is sent there comes back, and from there. */
static bool echoes(int fd, const char *text, const char *shown)
{
	static int turn;
	char octets[32];
	int n = sprintf(octets, "echo %d", turn++);

	if (to(fd, octets, (size_t)n, text, PORT) != n || get(fd) != n || memcmp(got, octets, (size_t)n) != 0) {
		printf("    %s: got '%s' (%s)\n", text, got, strerror(errno));
		return false;
	}
	if (strcmp(from, shown) == 0 && from_port == PORT)
		return true;
	printf("    %s: from '%s' port %d\n", text, from, from_port);
	return false;
}

static void both_families(void)
{
	int four = udp(AF_INET), six = udp(AF_INET6);

	WANT(echoes(four, link4, link4));
	WANT(echoes(four, gateway4, gateway4));
	WANT(echoes(four, "10.98.0.1", "10.98.0.1"));
	WANT(echoes(six, link6, link6));
	WANT(echoes(six, gateway6, gateway6));
	WANT(echoes(six, "::ffff:10.98.0.2", "::ffff:10.98.0.2"));
	close(four);
	close(six);
}

static void own_name_stays(void)
{
	int fd = udp(AF_INET);
	union addr a, b;
	socklen_t len = sizeof(b);

	addr(&a, "0.0.0.0", 4321);
	WANT(bind(fd, &a.sa, sizeof(a.in)) == 0);
	WANT(echoes(fd, link4, link4));
	WANT(getsockname(fd, &b.sa, &len) == 0 && ntohs(b.in.sin_port) == 4321 && b.in.sin_addr.s_addr == 0);
	/* The machine's own port of that number is not taken by us. */
	WANT(to(fd, "who", 3, link4, PORT) == 3 && get(fd) > 0);
	WANT(strncmp(got, "10.98.0.1 ", 10) == 0 && strcmp(got, "10.98.0.1 4321") != 0);
	close(fd);
}

static void from_another_port(void)
{
	int fd = udp(AF_INET);

	WANT(to(fd, "other", 5, link4, PORT) == 5 && get(fd) == 5);
	WANT(strcmp(from, link4) == 0 && from_port != PORT);
	close(fd);
}

static void sizes(void)
{
	static const size_t each[] = {0, 1, 512, 1400, 9000, 65507};
	static char big[70000], back[70000];
	int fd = udp(AF_INET);

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		WANT(to(fd, big, each[i], link4, PORT) == (ssize_t)each[i]);
		WANT(get(fd) == (ssize_t)each[i]);
		memcpy(back, got, each[i]);
		WANT(memcmp(back, big, each[i]) == 0);
	}
	WANT(to(fd, big, 65508, link4, PORT) == -1 && errno == EMSGSIZE);
	WANT(echoes(fd, link4, link4));
	close(fd);
}

static void hosts_and_outside(void)
{
	int fd = udp(AF_INET), peer = udp(AF_INET), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	union addr a;
	socklen_t len = addr(&a, "0.0.0.0", 4000);

	WANT(bind(peer, &a.sa, len) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
	for (int i = 0; i < 20; i++) {
		char octets[16];
		int n = sprintf(octets, "turn %d", i);
		union addr back;
		socklen_t back_len = sizeof(back);

		if (i % 2) { /* a host of the network */
			WANT(to(fd, octets, (size_t)n, own4, 4000) == n);
			WANT(recvfrom(peer, got, sizeof(got), 0, &back.sa, &back_len) == n);
			WANT(sendto(peer, got, (size_t)n, 0, &back.sa, back_len) == n);
		} else {
			WANT(to(fd, octets, (size_t)n, i % 4 ? gateway4 : link4, PORT) == n);
		}
		WANT(epoll_wait(ep, &e, 1, WAIT_MS) == 1 && e.events == EPOLLIN);
		back_len = sizeof(back);
		WANT(recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, &back.sa, &back_len) == n &&
		     !memcmp(got, octets, (size_t)n));
		WANT(ntohs(back.in.sin_port) == (i % 2 ? 4000 : PORT));
		WANT(recv(fd, got, sizeof(got), MSG_DONTWAIT) == -1 && errno == EAGAIN);
	}
	close(fd);
	close(peer);
	close(ep);
}

static void many_at_once(void)
{
	int fd = udp(AF_INET), most = 0;

	WANT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int)) == 0);
	WANT(to(fd, "150", 3, link4, PORT) == 3);
	for (int i = 0; i < 150; i++) {
		WANT(get(fd) > 0);
		WANT(atoi(got) == most++);
	}
	close(fd);
}

static void ttl_goes_along(void)
{
	int fd = udp(AF_INET);

	WANT(to(fd, "ttl", 3, link4, PORT) == 3 && get(fd) == 2 && !strcmp(got, "64"));
	WANT(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){9}, sizeof(int)) == 0);
	WANT(to(fd, "ttl", 3, link4, PORT) == 3 && get(fd) == 1 && !strcmp(got, "9"));
	close(fd);
}

static void loopback_stays(void)
{
	int fd = udp(AF_INET);
	union addr a;
	socklen_t len = addr(&a, "127.0.0.1", 4322);

	/* Nobody listens on the host; the machine's own loopback, where somebody does, is not asked. */
	WANT(to(fd, "x", 1, "127.0.0.1", PORT) == 1);
	WANT(recv(fd, got, sizeof(got), MSG_DONTWAIT) == -1);
	close(fd);
	fd = udp(AF_INET);
	WANT(bind(fd, &a.sa, len) == 0);
	WANT(to(fd, "x", 1, link4, PORT) == -1 && errno == EINVAL);
	WANT(to(fd, "x", 1, gateway4, PORT) == -1 && errno == EINVAL);
	close(fd);
	fd = udp(AF_INET6);
	len = addr(&a, "::1", 4322);
	WANT(bind(fd, &a.sa, len) == 0);
	WANT(to(fd, "x", 1, link6, PORT) == -1 && errno == ENETUNREACH);
	close(fd);
}

static void who(int fd, char ret[128])
{
	ret[0] = '\0';
	if (to(fd, "who", 3, link4, PORT) == 3 && get(fd) > 0)
		strcpy(ret, got);
}

/* One outer socket for all who share the socket; and what others close, or close all of, comes back. */
static void shared_and_closed(void)
{
	char first[128], then[128];
	int fd = udp(AF_INET), copy, status = 1;
	pid_t pid;

	who(fd, first);
	WANT(first[0]);
	who(fd, then);
	WANT(!strcmp(first, then));
	pid = fork();
	if (pid == 0) {
		closefrom(fd + 1);
		who(fd, then);
		_exit(strcmp(first, then) != 0);
	}
	WANT(waitpid(pid, &status, 0) == pid && status == 0);
	copy = dup(fd);
	close(fd);
	who(copy, then);
	WANT(!strcmp(first, then));
	closefrom(copy + 1);
	who(copy, then);
	WANT(!strcmp(first, then));
	close(copy);
}

static void nothing_left_open(void)
{
	int before, fd = udp(AF_INET);

	WANT(echoes(fd, link4, link4)); /* the library's own mappings, once */
	close(fd);
	before = n_descriptors();
	for (int i = 0; i < 300; i++) {
		fd = udp(AF_INET);
		WANT(fd >= 0 && fd < before + 4); /* the lowest number, as ever */
		WANT(echoes(fd, link4, link4));
		close(fd);
	}
	WANT(n_descriptors() == before);
}

static void connected_to_a_host(void)
{
	int fd = udp(AF_INET), peer = udp(AF_INET);
	union addr a;
	socklen_t len = addr(&a, own4, 4001);

	WANT(bind(peer, &a.sa, len) == 0);
	WANT(echoes(fd, link4, link4));
	WANT(connect(fd, &a.sa, len) == 0);
	/* It can still send elsewhere, and hears its peer alone. */
	WANT(to(fd, "who", 3, link4, PORT) == 3);
	WANT(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 300) == 0);
	WANT(send(fd, "hi", 2, 0) == 2 && recv(peer, got, sizeof(got), 0) == 2);
	close(fd);
	close(peer);
}

static void *thread(void *arg)
{
	int fd = udp(AF_INET);

	for (int i = 0; i < 200; i++) {
		char octets[32], back[32];
		int n = sprintf(octets, "%c thread %d", 'a' + (int)(intptr_t)arg, i);
		struct pollfd p = {fd, POLLIN, 0};

		if (to(fd, octets, (size_t)n, i % 2 ? link4 : gateway4, PORT) != n || poll(&p, 1, WAIT_MS) != 1 ||
		    recv(fd, back, sizeof(back), 0) != n || memcmp(octets, back, (size_t)n) != 0)
			return NULL;
	}
	close(fd);
	return arg;
}

static void threads(void)
{
	pthread_t th[8];
	bool ok = true;

	for (intptr_t i = 0; i < 8; i++)
		WANT(pthread_create(&th[i], NULL, thread, (void *)(i + 1)) == 0);
	for (intptr_t i = 0; i < 8; i++) {
		void *r;

		pthread_join(th[i], &r);
		ok = ok && r == (void *)(i + 1);
	}
	WANT(ok);
}

static void *sender(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 500; i++)
		if (to(fd, "x", 1, link4, PORT) != 1)
			return arg;
	return NULL;
}

static void threads_on_one_socket(void)
{
	pthread_t th[4];
	int fd = udp(AF_INET);
	void *r = NULL, *bad = NULL;

	for (int i = 0; i < 4; i++)
		WANT(pthread_create(&th[i], NULL, sender, &fd) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(th[i], &r);
		bad = bad ? bad : r;
	}
	WANT(!bad);
	close(fd);
}

static const struct check checks[] = {
	{"there and back, both families, and the gateway", both_families},
	{"the socket's own name and the machine's ports", own_name_stays},
	{"an answer from another port", from_another_port},
	{"datagrams of all sizes", sizes},
	{"hosts and outside by turns, edge-triggered", hosts_and_outside},
	{"many at once, in order", many_at_once},
	{"the TTL goes along", ttl_goes_along},
	{"a loopback address stays on its host", loopback_stays},
	{"one outer socket for all who share the socket", shared_and_closed},
	{"nothing is left open", nothing_left_open},
	{"connected to a host it hears its peer alone", connected_to_a_host},
	{"threads, each with a socket", threads},
	{"threads on one socket", threads_on_one_socket},
};

int main(int argc, char **argv)
{
	int ran;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "server"))
		return server();
	if (argc < 4)
		return 2;
	snprintf(own4, sizeof(own4), "%s", argv[1]);
	snprintf(gateway4, sizeof(gateway4), "%s", argv[2]);
	snprintf(gateway6, sizeof(gateway6), "%s", argv[3]);
	ran = run_checks(checks, sizeof(checks) / sizeof(checks[0]), argc > 4 ? argv[4] : NULL);
	return ran == 0 || failures ? 1 : 0;
}
