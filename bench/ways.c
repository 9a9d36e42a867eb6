/* bench/ways.c: the two programs that bench/ways.py puts on the two sides of each way into, and out of, a network.
 *
 *     ways server PORT             says "ready PORT" and serves it until it is killed, or its input ends
 *     ways client                  reads lines "FIGURE ADDR PORT"; answers each with a number, or with "- why"
 *
 * They know nothing of berth or its rivals. The server is four processes, one for each of {TCP, UDP} x {IPv4, IPv6}, that
 * wait in accept(2) and recvfrom(2), on the same port; what it does with a connection is its first octet. Each measurement
 * goes on for MEASURE_S, and no call of the client waits longer than PATIENCE_S.
 *
 *     throughput   64 KiB writes over one connection, to the server (GB/s, by what the server has read) ...
 *     back         ... and from it (GB/s, by what the client has read)
 *     trip         64 octets there and back, over one connection (us)
 *     conn         connect, one octet from the server, close; one after the other (thousands a second)
 *     conns        the same, AT_ONCE at once
 *     utrip        64 octets there and back, datagrams of a connected socket (us)
 *     udp          datagrams of UDP_OCTETS there and back, WINDOW on their way (thousands a second that came back)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define MEASURE_S 0.25
#define PATIENCE_S 5
#define PIECE 65536
#define AT_ONCE 16
#define UDP_OCTETS 1024
#define WINDOW 32
#define LOST_MS 50

static const char *trouble; /* what went wrong with this measurement, and errno */

static double sorry(const char *what)
{
	trouble = what;
	return -1;
}

struct place {
	struct sockaddr_storage sa;
	socklen_t len;
	int family;
};

static bool place_of(const char *addr, int port, struct place *ret)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)&ret->sa;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)&ret->sa;

	*ret = (struct place){.family = strchr(addr, ':') ? AF_INET6 : AF_INET};
	if (ret->family == AF_INET) {
		*a4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		ret->len = sizeof(*a4);
		return inet_pton(AF_INET, addr, &a4->sin_addr) == 1;
	}
	*a6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	ret->len = sizeof(*a6);
	return inet_pton(AF_INET6, addr, &a6->sin6_addr) == 1;
}

/* --- the server --- */

static void send_for_a_while(int c)
{
	static char buf[PIECE];
	double end = now_s() + MEASURE_S;

	while (now_s() < end && write(c, buf, sizeof(buf)) > 0)
		continue;
}

static void serve_one(int c)
{
	static char buf[PIECE];
	uint64_t got = 0;
	char kind;
	ssize_t n;

	if (read(c, &kind, 1) != 1)
		return;
	if (kind == 'c') {
		(void)!write(c, "c", 1);
		(void)!read(c, buf, 1); /* the client closes first */
		return;
	}
	if (kind == 'b') {
		send_for_a_while(c);
		return;
	}
	while ((n = read(c, buf, sizeof(buf))) > 0) {
		got += (uint64_t)n;
		if (kind == 'r' && write(c, buf, (size_t)n) != n)
			return;
	}
	if (kind == 't')
		(void)!write(c, &got, sizeof(got));
}

static _Noreturn void serve_streams(int s)
{
	for (;;) {
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0)
			continue;
		serve_one(c);
		close(c);
	}
}

static _Noreturn void serve_datagrams(int s)
{
	static char buf[PIECE];

	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			(void)!sendto(s, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

/* Return: descriptor; -1: this family has no such port. */
static int open_server(int family, int type, int *port)
{
	struct place p;
	int s = socket(family, type | SOCK_CLOEXEC, 0), one = 1;

	if (s < 0 || !place_of(family == AF_INET ? "0.0.0.0" : "::", *port, &p))
		return -1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (type == SOCK_STREAM)
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&p.sa, p.len) < 0 || (type == SOCK_STREAM && listen(s, 1024) < 0) ||
	    getsockname(s, (struct sockaddr *)&p.sa, &p.len) < 0) {
		close(s);
		return -1;
	}
	*port = ntohs(((struct sockaddr_in *)&p.sa)->sin_port); /* at the same place in both */
	return s;
}

static int server(int port)
{
	static const struct {
		int family, type;
	} what[] = {{AF_INET, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM}};
	pid_t parent = getpid();
	char c;

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		int s = open_server(what[i].family, what[i].type, &port);
		pid_t pid = s < 0 ? -1 : fork();

		if (s < 0 && what[i].family == AF_INET)
			fail("server"); /* another family may be missing here */
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				return 1;
			if (what[i].type == SOCK_STREAM)
				serve_streams(s);
			serve_datagrams(s);
		}
	}
	printf("ready %d\n", port);
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		continue;
	return 0;
}

/* --- the client --- */

static int reach(const struct place *p, char kind, int flags)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int s = socket(p->family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), one = 1;

	if (s < 0)
		return -1;
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!flags && kind != 'c') {
		setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	}
	if (connect(s, (const struct sockaddr *)&p->sa, p->len) < 0) {
		if (errno == EINPROGRESS && flags)
			return s;
		close(s);
		return -1;
	}
	if (!flags && write(s, &kind, 1) != 1) {
		close(s);
		return -1;
	}
	return s;
}

/* With a reset, so that no port is in TIME_WAIT for the next round. */
static void drop(int s)
{
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(s);
}

static double throughput(const struct place *p)
{
	static char buf[PIECE];
	int s = reach(p, 't', 0);
	double t = now_s();
	uint64_t got = 0;
	bool ok = true;

	if (s < 0)
		return sorry("connect");
	while (ok && now_s() < t + MEASURE_S)
		ok = write(s, buf, sizeof(buf)) > 0;
	shutdown(s, SHUT_WR);
	ok = ok && recv(s, &got, sizeof(got), MSG_WAITALL) == sizeof(got);
	t = now_s() - t;
	drop(s);
	return ok ? (double)got / t / 1e9 : sorry("throughput");
}

static double back(const struct place *p)
{
	static char buf[PIECE];
	int s = reach(p, 'b', 0);
	double t = now_s();
	uint64_t got = 0;
	ssize_t n;

	if (s < 0)
		return sorry("connect");
	while ((n = read(s, buf, sizeof(buf))) > 0)
		got += (uint64_t)n;
	t = now_s() - t;
	drop(s);
	return n == 0 ? (double)got / t / 1e9 : sorry("back");
}

static double trip(const struct place *p)
{
	char buf[64] = "";
	int s = reach(p, 'r', 0), n = 0;
	double t = now_s();
	bool ok = true;

	if (s < 0)
		return sorry("connect");
	for (; ok && (n % 16 || now_s() < t + MEASURE_S); n++)
		ok = write(s, buf, sizeof(buf)) == sizeof(buf) && recv(s, buf, sizeof(buf), MSG_WAITALL) == sizeof(buf);
	t = now_s() - t;
	drop(s);
	return ok ? t / n * 1e6 : sorry("trip");
}

/* Wait for it no longer than PATIENCE_S. A poll for each connection would be a system call that no program makes, so only where
 * nothing is known of the way yet. */
static double conn(const struct place *p)
{
	double t = now_s();
	int n = 0;
	char c;

	alarm(PATIENCE_S);
	for (; now_s() < t + MEASURE_S; n++) {
		int s = reach(p, 'c', 0);
		bool ok = s >= 0 && read(s, &c, 1) == 1;

		if (s >= 0)
			drop(s);
		if (!ok) {
			alarm(0);
			return sorry("conn");
		}
	}
	alarm(0);
	return n / (now_s() - t) / 1000;
}

/* One of those at once. Return: 1, it is over; 0, it goes on; -1. */
static int step(struct pollfd *p)
{
	char c = 'c';

	if (!p->revents)
		return 0;
	if (p->events == POLLOUT) {
		p->events = POLLIN;
		return write(p->fd, &c, 1) == 1 ? 0 : -1;
	}
	return read(p->fd, &c, 1) == 1 ? 1 : -1;
}

static double conns(const struct place *to)
{
	struct pollfd p[AT_ONCE];
	double t = now_s();
	bool ok = true;
	int done = 0;

	for (int i = 0; i < AT_ONCE; i++)
		p[i] = (struct pollfd){.fd = reach(to, 'c', SOCK_NONBLOCK), .events = POLLOUT};
	while (ok && now_s() < t + MEASURE_S) {
		ok = poll(p, AT_ONCE, PATIENCE_S * 1000) > 0;
		for (int i = 0; i < AT_ONCE && ok; i++) {
			int r = step(&p[i]);

			ok = r >= 0;
			if (r <= 0)
				continue;
			drop(p[i].fd);
			done++;
			p[i] = (struct pollfd){.fd = reach(to, 'c', SOCK_NONBLOCK), .events = POLLOUT};
			ok = p[i].fd >= 0;
		}
	}
	t = now_s() - t;
	for (int i = 0; i < AT_ONCE; i++)
		if (p[i].fd >= 0)
			drop(p[i].fd);
	return ok ? done / t / 1000 : sorry("conns");
}

/* --- datagrams: one that is lost is waited for LOST_MS --- */

static int reach_udp(const struct place *p)
{
	const struct timeval lost = {.tv_usec = LOST_MS * 1000};
	int s = socket(p->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &lost, sizeof(lost));
	if (s >= 0 && connect(s, (const struct sockaddr *)&p->sa, p->len) == 0)
		return s;
	if (s >= 0)
		close(s);
	return -1;
}

static double utrip(const struct place *p)
{
	char buf[64] = "";
	int s = reach_udp(p), n = 0, lost = 0;
	double t = now_s();

	if (s < 0)
		return sorry("connect");
	for (int i = 0; i % 16 || now_s() < t + MEASURE_S; i++) {
		bool ok = send(s, buf, sizeof(buf), 0) == sizeof(buf) && recv(s, buf, sizeof(buf), 0) == sizeof(buf);

		n += ok;
		lost += !ok;
	}
	t = now_s() - t - lost * LOST_MS / 1e3;
	close(s);
	return n > lost && t > 0 ? t / n * 1e6 : sorry("utrip");
}

static double udp(const struct place *p)
{
	char buf[UDP_OCTETS] = "";
	int s = reach_udp(p), n = 0, out = 0;
	double t = now_s();

	if (s < 0)
		return sorry("connect");
	while (n % 16 || now_s() < t + MEASURE_S) {
		while (out < WINDOW && send(s, buf, sizeof(buf), 0) == sizeof(buf))
			out++;
		if (recv(s, buf, sizeof(buf), 0) == sizeof(buf)) {
			n++;
			out--;
		} else if (now_s() > t + PATIENCE_S) {
			break;
		} else {
			out = 0; /* all of them */
		}
	}
	t = now_s() - t;
	close(s);
	return n > WINDOW ? n / t / 1000 : sorry("udp");
}

static const struct {
	const char *name;
	double (*measure)(const struct place *p);
} figures[] = {{"throughput", throughput}, {"back", back},   {"trip", trip}, {"conn", conn},
	       {"conns", conns},	   {"utrip", utrip}, {"udp", udp}};

static void interrupt(int sig)
{
	(void)sig;
}

static int client(void)
{
	const struct sigaction sa = {.sa_handler = interrupt}; /* no SA_RESTART: a read ends with it */
	char line[256], name[32], addr[64];
	int port;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &sa, NULL);
	printf("ready 0\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		struct place p;
		double v = -1;

		errno = 0;
		trouble = "what?";
		if (sscanf(line, "%31s %63s %d", name, addr, &port) == 3 && place_of(addr, port, &p))
			for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
				if (strcmp(figures[i].name, name) == 0)
					v = figures[i].measure(&p);
		if (v < 0)
			printf("- %s: %s\n", trouble, strerror(errno));
		else
			printf("%.6f\n", v);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "server") == 0)
		return server(atoi(argv[2]));
	if (argc == 2 && strcmp(argv[1], "client") == 0)
		return client();
	fprintf(stderr, "usage: ways server PORT | ways client (bench/ways.py runs them)\n");
	return 2;
}
