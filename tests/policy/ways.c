/* tests/policy/ways.c: every way to send to an address, and what became of each.
 *
 *     ways serve PORT                  TCP and UDP of both families; a line for each connection and datagram
 *     ways try ADDR4 ADDR6 OPEN SHUT   each way to port SHUT, by way of port OPEN where it has two steps: "name result"
 *     ways watch ADDR4 PORT            a line whenever what becomes of a connect() changes; ends at the end of input.
 *                                      Then a connection that was made at first is asked for an echo: "kept"
 *
 * The result is "ok" or the name of an errno. For a rule it does not matter which way was taken, so all are the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in open4, shut4;
static struct sockaddr_in6 open6, shut6, open_mapped, shut_mapped;
static const char *self;
static char **arguments;

static void say(const char *name, int r)
{
	const char *e = r < 0 ? strerrorname_np(-r) : "ok";

	printf("%s %s\n", name, e ? e : "?");
	fflush(stdout);
}

static int made(int family, int type)
{
	struct timeval limit = {.tv_sec = 5};
	int fd = socket(family, type, 0);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static int to(int fd, const void *sa, socklen_t len)
{
	return connect(fd, sa, len) < 0 ? -errno : 0;
}

static int to4(int fd, const struct sockaddr_in *a)
{
	return to(fd, a, sizeof(*a));
}

static int sent(ssize_t n)
{
	return n < 0 ? -errno : 0;
}

static int unspec(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	return to(fd, &none, sizeof(none));
}

static ssize_t by_sendmsg(int fd, const void *sa, socklen_t len, int flags)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t) "msg", .iov_len = 3};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)sa, .msg_namelen = len, .msg_iov = &v, .msg_iovlen = 1};

	return sendmsg(fd, &m, flags);
}

static int by_sendmmsg(int fd, const struct sockaddr_in *first, const struct sockaddr_in *second)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t) "mmsg", .iov_len = 4};
	struct mmsghdr m[2] = {0};
	int n = 0, r;

	for (int i = first ? 0 : 1; i < 2; i++, n++)
		m[n].msg_hdr = (struct msghdr){.msg_name = (void *)(uintptr_t)(i ? second : first),
					       .msg_namelen = sizeof(*second),
					       .msg_iov = &v,
					       .msg_iovlen = 1};
	r = sendmmsg(fd, m, (unsigned)n, 0);
	if (r == 1 && n == 2) /* the first has gone; the other says why it has not */
		r = (int)by_sendmsg(fd, second, sizeof(*second), 0);
	return r < 0 ? -errno : 0;
}

/* --- the ways: each on a socket of its own --- */

static int tcp4(int fd)
{
	return to4(fd, &shut4);
}

static int tcp4_waits_not(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int r, e = 0;
	socklen_t len = sizeof(e);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	r = to4(fd, &shut4);
	if (r != -EINPROGRESS)
		return r;
	poll(&p, 1, 5000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
	return -e;
}

static int tcp_unspec_again(int fd)
{
	int r = to4(fd, &open4);

	return r < 0 || (r = unspec(fd)) < 0 ? r : to4(fd, &shut4);
}

static int tcp_refused_again(int fd)
{
	struct sockaddr_in nobody = open4;

	nobody.sin_port = htons(1); /* allowed, and nobody listens */
	if (to4(fd, &nobody) != -ECONNREFUSED)
		return -EPROTO;
	return to4(fd, &shut4);
}

static int tcp_fastopen(int fd)
{
	return sent(sendto(fd, "fast", 4, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&shut4, sizeof(shut4)));
}

static int tcp_fastopen_again(int fd)
{
	int r = to4(fd, &open4);

	return r < 0 || (r = unspec(fd)) < 0 ? r : tcp_fastopen(fd);
}

static int tcp_fastopen_msg_again(int fd)
{
	int r = to4(fd, &open4);

	return r < 0 || (r = unspec(fd)) < 0 ? r
					     : sent(by_sendmsg(fd, &shut4, sizeof(shut4), MSG_FASTOPEN | MSG_NOSIGNAL));
}

static int tcp6(int fd)
{
	return to(fd, &shut6, sizeof(shut6));
}

static int tcp_mapped(int fd)
{
	return to(fd, &shut_mapped, sizeof(shut_mapped));
}

static int udp_sendto(int fd)
{
	return sent(sendto(fd, "to", 2, 0, (void *)&shut4, sizeof(shut4)));
}

static int udp_sendto_unspec(int fd) /* to UDP over IPv4 that is AF_INET */
{
	struct sockaddr_in a = shut4;

	a.sin_family = AF_UNSPEC;
	return sent(sendto(fd, "to", 2, 0, (void *)&a, sizeof(a)));
}

static int udp_sendmsg(int fd)
{
	return sent(by_sendmsg(fd, &shut4, sizeof(shut4), 0));
}

static int udp_sendmmsg(int fd)
{
	return by_sendmmsg(fd, NULL, &shut4);
}

static int udp_sendmmsg_second(int fd)
{
	return by_sendmmsg(fd, &open4, &shut4);
}

static int udp_connect(int fd)
{
	int r = to4(fd, &shut4);

	return r < 0 ? r : sent(send(fd, "connected", 9, 0));
}

static int udp_after_another(int fd)
{
	int r = sent(sendto(fd, "open", 4, 0, (void *)&open4, sizeof(open4)));

	return r < 0 ? r : udp_sendto(fd);
}

static int connected_first(int fd, int (*then)(int))
{
	int r = to4(fd, &open4);

	return r < 0 || (r = sent(send(fd, "open", 4, 0))) < 0 ? r : then(fd);
}

static int udp_connected_sendto(int fd)
{
	return connected_first(fd, udp_sendto);
}

static int udp_connected_sendto_unspec(int fd)
{
	return connected_first(fd, udp_sendto_unspec);
}

static int udp_connected_sendmsg(int fd)
{
	return connected_first(fd, udp_sendmsg);
}

static int udp_connected_sendmmsg(int fd)
{
	return connected_first(fd, udp_sendmmsg);
}

static int udp_connected_sendmmsg_second(int fd)
{
	return connected_first(fd, udp_sendmmsg_second);
}

static int udp_connected_connect(int fd)
{
	return connected_first(fd, udp_connect);
}

static int udp_unspec_sendto(int fd)
{
	int r = to4(fd, &open4);

	return r < 0 || (r = unspec(fd)) < 0 ? r : udp_sendto(fd);
}

static int udp6(int fd)
{
	return sent(sendto(fd, "six", 3, 0, (void *)&shut6, sizeof(shut6)));
}

static int udp_mapped(int fd)
{
	return sent(sendto(fd, "mapped", 6, 0, (void *)&shut_mapped, sizeof(shut_mapped)));
}

/* A child of its own, which gives the errno as its status. */
static int in_child(int fd, int (*way)(int))
{
	int status;
	pid_t p = fork();

	if (p == 0)
		_exit(-way(fd));
	waitpid(p, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

static int child_tcp(int fd)
{
	return in_child(fd, tcp4);
}

static int copy_udp(int fd)
{
	int copy = dup(fd), r = connected_first(fd, udp_connect);

	close(copy);
	return r;
}

/* A program that was started with nothing in its environment. */
static int exec_tcp(int fd)
{
	char *const nothing[] = {NULL};
	char *argv[] = {arguments[0], (char *)(uintptr_t) "one", arguments[2], arguments[3], arguments[4], arguments[5],
			NULL};
	int status;
	pid_t p;

	(void)fd;
	p = fork();
	if (p == 0) {
		execve(self, argv, nothing);
		_exit(EPROTO);
	}
	waitpid(p, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

static const struct {
	const char *name;
	int (*way)(int fd);
	int family, type;
} ways[] = {
	{"tcp", tcp4, AF_INET, SOCK_STREAM},
	{"tcp-that-waits-not", tcp4_waits_not, AF_INET, SOCK_STREAM},
	{"tcp-unspec-again", tcp_unspec_again, AF_INET, SOCK_STREAM},
	{"tcp-refused-again", tcp_refused_again, AF_INET, SOCK_STREAM},
	{"tcp-fastopen", tcp_fastopen, AF_INET, SOCK_STREAM},
	{"tcp-fastopen-again", tcp_fastopen_again, AF_INET, SOCK_STREAM},
	{"tcp-fastopen-sendmsg-again", tcp_fastopen_msg_again, AF_INET, SOCK_STREAM},
	{"tcp6", tcp6, AF_INET6, SOCK_STREAM},
	{"tcp-mapped", tcp_mapped, AF_INET6, SOCK_STREAM},
	{"tcp-of-a-child", child_tcp, AF_INET, SOCK_STREAM},
	{"tcp-after-exec", exec_tcp, AF_INET, SOCK_STREAM},
	{"udp-sendto", udp_sendto, AF_INET, SOCK_DGRAM},
	{"udp-sendto-unspec", udp_sendto_unspec, AF_INET, SOCK_DGRAM},
	{"udp-sendmsg", udp_sendmsg, AF_INET, SOCK_DGRAM},
	{"udp-sendmmsg", udp_sendmmsg, AF_INET, SOCK_DGRAM},
	{"udp-sendmmsg-second", udp_sendmmsg_second, AF_INET, SOCK_DGRAM},
	{"udp-connect", udp_connect, AF_INET, SOCK_DGRAM},
	{"udp-after-another", udp_after_another, AF_INET, SOCK_DGRAM},
	{"udp-connected-sendto", udp_connected_sendto, AF_INET, SOCK_DGRAM},
	{"udp-connected-sendto-unspec", udp_connected_sendto_unspec, AF_INET, SOCK_DGRAM},
	{"udp-connected-sendmsg", udp_connected_sendmsg, AF_INET, SOCK_DGRAM},
	{"udp-connected-sendmmsg", udp_connected_sendmmsg, AF_INET, SOCK_DGRAM},
	{"udp-connected-sendmmsg-second", udp_connected_sendmmsg_second, AF_INET, SOCK_DGRAM},
	{"udp-connected-connect", udp_connected_connect, AF_INET, SOCK_DGRAM},
	{"udp-unspec-sendto", udp_unspec_sendto, AF_INET, SOCK_DGRAM},
	{"udp6", udp6, AF_INET6, SOCK_DGRAM},
	{"udp-mapped", udp_mapped, AF_INET6, SOCK_DGRAM},
	{"udp-of-a-copy", copy_udp, AF_INET, SOCK_DGRAM},
};

static void read_addresses(char **argv)
{
	uint16_t o = htons((uint16_t)atoi(argv[4])), s = htons((uint16_t)atoi(argv[5]));
	char mapped[64];

	open4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = o};
	open6 = open_mapped = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = o};
	snprintf(mapped, sizeof(mapped), "::ffff:%s", argv[2]);
	if (inet_pton(AF_INET, argv[2], &open4.sin_addr) != 1 || inet_pton(AF_INET6, argv[3], &open6.sin6_addr) != 1 ||
	    inet_pton(AF_INET6, mapped, &open_mapped.sin6_addr) != 1)
		exit(2);
	shut4 = open4;
	shut6 = open6;
	shut_mapped = open_mapped;
	shut4.sin_port = shut6.sin6_port = shut_mapped.sin6_port = s;
}

static int try_all(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int fd = made(ways[i].family, ways[i].type);

		say(ways[i].name, ways[i].way(fd));
		close(fd);
	}
	return 0;
}

static int watch(const char *addr, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	struct pollfd input = {.fd = 0, .events = POLLIN};
	int kept = made(AF_INET, SOCK_STREAM), was = 1;
	char c = 0;

	if (inet_pton(AF_INET, addr, &a.sin_addr) != 1 || to4(kept, &a) < 0)
		return 1;
	while (poll(&input, 1, 20) == 0) {
		int fd = made(AF_INET, SOCK_STREAM), r = to4(fd, &a);

		if (r != was)
			say("now", r);
		was = r;
		close(fd);
	}
	if (write(kept, "x", 1) == 1 && read(kept, &c, 1) == 1 && c == 'x')
		printf("kept\n");
	return 0;
}

/* --- the other end --- */

static int serve(const char *port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
	struct pollfd p[64] = {{.fd = made(AF_INET6, SOCK_STREAM), .events = POLLIN},
			       {.fd = made(AF_INET6, SOCK_DGRAM), .events = POLLIN}};
	int one = 1, n = 2;
	char buf[256];

	setsockopt(p[0].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(p[0].fd, (void *)&a, sizeof(a)) < 0 || listen(p[0].fd, 64) < 0 ||
	    bind(p[1].fd, (void *)&a, sizeof(a)) < 0) {
		perror("bind");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("serving\n");
	for (;;) {
		poll(p, (nfds_t)n, -1);
		if (p[0].revents) {
			int fd = accept(p[0].fd, NULL, NULL);

			printf("tcp\n");
			if (fd >= 0 && n < 64)
				p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
			else
				close(fd);
		}
		if (p[1].revents) {
			ssize_t len = recv(p[1].fd, buf, sizeof(buf), 0);

			printf("udp %.*s\n", (int)(len > 0 ? len : 0), buf);
		}
		for (int i = 2; i < n; i++) {
			ssize_t len = p[i].revents ? read(p[i].fd, buf, sizeof(buf)) : 1;

			if (p[i].revents && len > 0)
				len = write(p[i].fd, buf, (size_t)len);
			if (len <= 0) {
				close(p[i].fd);
				p[i--] = p[--n];
			}
		}
	}
}

int main(int argc, char **argv)
{
	int fd;

	self = "/proc/self/exe";
	arguments = argv;
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 4 && strcmp(argv[1], "watch") == 0)
		return watch(argv[2], argv[3]);
	if (argc != 6)
		return 2;
	read_addresses(argv);
	if (strcmp(argv[1], "try") == 0)
		return try_all();
	fd = made(AF_INET, SOCK_STREAM);
	return -tcp4(fd);
}
