/* tests/net2/drop.c: a server that starts as root and gives its rights away; it keeps its host.
 *
 *     drop setuid              before it makes its first socket
 *     drop chroot DIRECTORY    the same, with another root first
 *     drop early               it has bound and listens; then it drops, and serves
 *     drop exec SELF           it drops, then executes "SELF none"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WANT(e)                                                                            \
	do {                                                                               \
		if (!(e)) {                                                                \
			printf("FAIL: line %d: %s (%s)\n", __LINE__, #e, strerror(errno)); \
			exit(1);                                                           \
		}                                                                          \
	} while (0)

static struct sockaddr_in at(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int listener(int port)
{
	struct sockaddr_in a = at(port);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	WANT(l >= 0 && bind(l, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(l, 5) == 0);
	return l;
}

static void drop(void)
{
	WANT(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "none";
	struct sockaddr_in a = at(8100), from;
	socklen_t len = sizeof(from);
	struct hostent *h;
	char buf[16];
	int l = -1, c, s, u, v;

	if (!strcmp(how, "chroot") && argc > 2) {
		/* libc's own files are looked for before the root is gone: a server does the same. */
		(void)gethostbyname("other");
		WANT(chroot(argv[2]) == 0 && chdir("/") == 0);
	}
	if (!strcmp(how, "early"))
		l = listener(8100);
	if (strcmp(how, "none") != 0)
		drop();
	if (!strcmp(how, "exec") && argc > 2) {
		execl(argv[2], argv[2], "none", (char *)NULL);
		WANT(!"executed");
	}
	if (l < 0)
		l = listener(8100);
	c = socket(AF_INET, SOCK_STREAM, 0);
	WANT(connect(c, (struct sockaddr *)&a, sizeof(a)) == 0);
	s = accept(l, (struct sockaddr *)&from, &len);
	WANT(s >= 0 && from.sin_family == AF_INET && write(c, "hi", 2) == 2 && read(s, buf, sizeof(buf)) == 2);
	h = gethostbyname("other");
	WANT(h && h->h_length == 4);
	memcpy(&a.sin_addr, h->h_addr_list[0], 4);
	a.sin_port = htons(1);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	WANT(connect(c, (struct sockaddr *)&a, sizeof(a)) == -1 && errno == ECONNREFUSED);
	u = socket(AF_INET, SOCK_DGRAM, 0);
	v = socket(AF_INET, SOCK_DGRAM, 0);
	a = at(8101);
	WANT(bind(u, (struct sockaddr *)&a, sizeof(a)) == 0);
	WANT(sendto(v, "udp", 3, 0, (struct sockaddr *)&a, sizeof(a)) == 3);
	len = sizeof(from);
	WANT(recvfrom(u, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len) == 3 && ntohs(from.sin_port) != 0);
	printf("served as user %d\n", (int)getuid());
	return 0;
}
