/* tests/publish/plain.c: a server that tells each caller what accept(), getpeername() and getsockname() say of him. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char *text(const struct sockaddr_in *a, char s[64])
{
	const unsigned char *b = (const unsigned char *)&a->sin_addr;

	snprintf(s, 64, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], ntohs(a->sin_port));
	return s;
}

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)}, peer, own;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 16) < 0) {
		perror("plain");
		return 1;
	}
	for (;;) {
		char x[64], y[64], z[64], line[300];
		socklen_t len = sizeof(a);
		int c = accept4(s, (struct sockaddr *)&a, &len, SOCK_CLOEXEC), n;

		if (c < 0)
			continue;
		memset(&peer, 0, sizeof(peer));
		memset(&own, 0, sizeof(own));
		len = sizeof(peer);
		(void)getpeername(c, (struct sockaddr *)&peer, &len);
		len = sizeof(own);
		(void)getsockname(c, (struct sockaddr *)&own, &len);
		n = snprintf(line, sizeof(line), "accept %s peer %s own %s blocks %d cloexec %d\n", text(&a, x),
			     text(&peer, y), text(&own, z), !(fcntl(c, F_GETFL) & O_NONBLOCK),
			     fcntl(c, F_GETFD) & FD_CLOEXEC);
		if (write(c, line, (size_t)n) != n)
			perror("plain: write");
		close(c);
	}
}
