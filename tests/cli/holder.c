/* tests/cli/holder.c: a program that takes a port and keeps it: holder ADDRESS PORT [OPTION...]
 *
 * Options: udp, reuseaddr, reuseport, v6only, listen, all (the ports after it, too, until one is refused). Prints "ready" when it has the port, or the name of
 * the error and exits 3. Ends when its standard input does, so that no test has to kill it by name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int refused(const char *call)
{
	printf("%s %s\n", call, strerrorname_np(errno));
	return 3;
}

static int take_all(struct sockaddr_in a4)
{
	for (int port = ntohs(a4.sin_port) + 1; port < 65536; port++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			return refused("socket");
		a4.sin_port = htons((uint16_t)port);
		if (bind(fd, (struct sockaddr *)&a4, sizeof(a4)) < 0)
			return refused("bind");
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	int one = 1, listens = 0, all = 0, type = SOCK_STREAM, fd, six, r;
	char c;

	if (argc < 3)
		return 2;
	six = strchr(argv[1], ':') != NULL;
	if (inet_pton(six ? AF_INET6 : AF_INET, argv[1], six ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1)
		return 2;
	a4.sin_port = a6.sin6_port = htons((uint16_t)atoi(argv[2]));
	for (int i = 3; i < argc; i++)
		if (strcmp(argv[i], "udp") == 0)
			type = SOCK_DGRAM;
	fd = socket(six ? AF_INET6 : AF_INET, type, 0);
	if (fd < 0)
		return refused("socket");
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "listen") == 0)
			listens = 1;
		else if (strcmp(argv[i], "all") == 0)
			all = 1;
		else if (strcmp(argv[i], "reuseaddr") == 0)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		else if (strcmp(argv[i], "reuseport") == 0)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		else if (strcmp(argv[i], "v6only") == 0)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	}
	r = six ? bind(fd, (struct sockaddr *)&a6, sizeof(a6)) : bind(fd, (struct sockaddr *)&a4, sizeof(a4));
	if (r < 0)
		return refused("bind");
	if (listens && listen(fd, 5) < 0)
		return refused("listen");
	if (all)
		return take_all(a4);
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
