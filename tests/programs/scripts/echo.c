/* echo.c: a server and a client for TCP and UDP, built in many ways.
 *
 *     echo serve PORT          what comes goes back in capitals, over TCP (a thread for each client) and UDP
 *     echo ask ADDRESS PORT    asks it over both, checks the answers and the addresses, says "all is well"
 *
 * -DINLINE_SYSCALLS and -DSYSCALL_FUNCTION replace libc's socket calls by the instruction, or by syscall(2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(INLINE_SYSCALLS)
static long kernel(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	long r;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long r __asm__("x0") = a;
	register long x8 __asm__("x8") = n, x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d,
			 x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(r) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
#endif
	if (r < 0 && r > -4096) {
		errno = (int)-r;
		return -1;
	}
	return r;
}
#elif defined(SYSCALL_FUNCTION)
#define kernel syscall
#endif

#if defined(INLINE_SYSCALLS) || defined(SYSCALL_FUNCTION)
#define L(x) ((long)(x))
#define socket(a, b, c) (int)kernel(SYS_socket, L(a), L(b), L(c), 0L, 0L, 0L)
#define bind(a, b, c) (int)kernel(SYS_bind, L(a), L(b), L(c), 0L, 0L, 0L)
#define listen(a, b) (int)kernel(SYS_listen, L(a), L(b), 0L, 0L, 0L, 0L)
#define accept(a, b, c) (int)kernel(SYS_accept4, L(a), L(b), L(c), 0L, 0L, 0L)
#define connect(a, b, c) (int)kernel(SYS_connect, L(a), L(b), L(c), 0L, 0L, 0L)
#define shutdown(a, b) (int)kernel(SYS_shutdown, L(a), L(b), 0L, 0L, 0L, 0L)
#define getsockname(a, b, c) (int)kernel(SYS_getsockname, L(a), L(b), L(c), 0L, 0L, 0L)
#define getpeername(a, b, c) (int)kernel(SYS_getpeername, L(a), L(b), L(c), 0L, 0L, 0L)
#define setsockopt(a, b, c, d, e) (int)kernel(SYS_setsockopt, L(a), L(b), L(c), L(d), L(e), 0L)
#define getsockopt(a, b, c, d, e) (int)kernel(SYS_getsockopt, L(a), L(b), L(c), L(d), L(e), 0L)
#define recvfrom(a, b, c, d, e, f) kernel(SYS_recvfrom, L(a), L(b), L(c), L(d), L(e), L(f))
#define sendto(a, b, c, d, e, f) kernel(SYS_sendto, L(a), L(b), L(c), L(d), L(e), L(f))
#define recv(a, b, c, d) kernel(SYS_recvfrom, L(a), L(b), L(c), L(d), 0L, 0L)
#define send(a, b, c, d) kernel(SYS_sendto, L(a), L(b), L(c), L(d), 0L, 0L)
#define read(a, b, c) kernel(SYS_read, L(a), L(b), L(c), 0L, 0L, 0L)
#define write(a, b, c) kernel(SYS_write, L(a), L(b), L(c), 0L, 0L, 0L)
#endif

#define CHECK(x)                                                                                       \
	do {                                                                                           \
		if (!(x)) {                                                                            \
			fprintf(stderr, "not so in line %d: %s: %s\n", __LINE__, #x, strerror(errno)); \
			exit(1);                                                                       \
		}                                                                                      \
	} while (0)

/* Not known to the compiler, so that fortified calls are really made. */
static volatile size_t buffer_bytes = 4096;

static void upper(char *b, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++)
		b[i] = (char)toupper((unsigned char)b[i]);
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char b[4096];
	ssize_t n;

	while ((n = read(fd, b, buffer_bytes)) > 0) {
		upper(b, n);
		if (write(fd, b, (size_t)n) != n)
			break;
	}
	close(fd);
	return NULL;
}

static int serve(uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int one = 1, off = 0, tcp, udp;
	struct pollfd p[2];

	CHECK((tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	CHECK(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(setsockopt(tcp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0);
	CHECK(bind(tcp, (struct sockaddr *)&a, sizeof(a)) == 0);
	CHECK(listen(tcp, 100) == 0);
	CHECK((udp = socket(AF_INET6, SOCK_DGRAM, 0)) >= 0);
	CHECK(setsockopt(udp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0);
	CHECK(bind(udp, (struct sockaddr *)&a, sizeof(a)) == 0);
	p[0] = (struct pollfd){.fd = tcp, .events = POLLIN};
	p[1] = (struct pollfd){.fd = udp, .events = POLLIN};
	for (;;) {
		CHECK(poll(p, buffer_bytes ? 2 : 1, -1) > 0);
		if (p[0].revents) {
			struct sockaddr_in6 who;
			socklen_t len = sizeof(who);
			int fd = accept(tcp, (struct sockaddr *)&who, &len);
			pthread_t t;

			CHECK(fd >= 0);
			CHECK(len == sizeof(who) && who.sin6_family == AF_INET6 && who.sin6_port != 0);
			CHECK(pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) == 0);
			CHECK(pthread_detach(t) == 0);
		}
		if (p[1].revents) {
			struct sockaddr_in6 who;
			socklen_t len = sizeof(who);
			char b[4096];
			ssize_t n = recvfrom(udp, b, buffer_bytes, 0, (struct sockaddr *)&who, &len);

			CHECK(n >= 0 && who.sin6_family == AF_INET6);
			upper(b, n);
			CHECK(sendto(udp, b, (size_t)n, 0, (struct sockaddr *)&who, len) == n);
		}
	}
}

static void ask_tcp(const struct sockaddr_in *far)
{
	struct sockaddr_in me, peer;
	socklen_t len = sizeof(me);
	char b[4096];
	size_t got = 0;
	ssize_t n;
	int fd, kind = 0;

	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	CHECK(connect(fd, (const struct sockaddr *)far, sizeof(*far)) == 0);
	CHECK(getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && len == sizeof(peer));
	CHECK(peer.sin_family == AF_INET && peer.sin_port == far->sin_port &&
	      peer.sin_addr.s_addr == far->sin_addr.s_addr);
	CHECK(getsockname(fd, (struct sockaddr *)&me, &len) == 0 && me.sin_family == AF_INET && me.sin_port != 0);
	len = sizeof(kind);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &kind, &len) == 0 && kind == AF_INET);
	CHECK(send(fd, "over tcp", 8, MSG_NOSIGNAL) == 8);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	while ((n = recv(fd, b + got, buffer_bytes - got, 0)) > 0)
		got += (size_t)n;
	CHECK(n == 0 && got == 8 && memcmp(b, "OVER TCP", 8) == 0);
	close(fd);
}

static void ask_udp(const struct sockaddr_in *far)
{
	struct sockaddr_in who;
	socklen_t len = sizeof(who);
	struct pollfd p = {.events = POLLIN};
	char b[4096];

	CHECK((p.fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
	CHECK(sendto(p.fd, "over udp", 8, 0, (const struct sockaddr *)far, sizeof(*far)) == 8);
	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(recvfrom(p.fd, b, buffer_bytes, 0, (struct sockaddr *)&who, &len) == 8);
	CHECK(memcmp(b, "OVER UDP", 8) == 0);
	CHECK(who.sin_port == far->sin_port && who.sin_addr.s_addr == far->sin_addr.s_addr);
	CHECK(connect(p.fd, (const struct sockaddr *)far, sizeof(*far)) == 0);
	CHECK(send(p.fd, "again", 5, 0) == 5);
	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(recv(p.fd, b, buffer_bytes, 0) == 5 && memcmp(b, "AGAIN", 5) == 0);
	close(p.fd);
}

static void ask_closed(struct sockaddr_in far)
{
	int fd;

	far.sin_port = htons((uint16_t)(ntohs(far.sin_port) + 1));
	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	CHECK(connect(fd, (struct sockaddr *)&far, sizeof(far)) == -1 && errno == ECONNREFUSED);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in far = {.sin_family = AF_INET};

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve((uint16_t)atoi(argv[2]));
	if (argc != 4 || strcmp(argv[1], "ask") != 0 || inet_pton(AF_INET, argv[2], &far.sin_addr) != 1)
		return 2;
	far.sin_port = htons((uint16_t)atoi(argv[3]));
	for (int i = 0; i < 20; i++)
		ask_tcp(&far);
	ask_udp(&far);
	ask_closed(far);
	puts("all is well");
	return 0;
}
