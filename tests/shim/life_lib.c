/* tests/shim/life_lib.c: a library that uses sockets, for run_life.sh to load with RTLD_DEEPBIND and dlmopen: its
 * calls find libc's functions and not the preloaded ones. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((visibility("default"))) int life_lib_dial(int port);

/* Connect to a port of 127.0.0.1 and read an octet. Return: the octet; negative, the step that failed. */
int life_lib_dial(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}, b;
	socklen_t len = sizeof(b);
	unsigned char octet = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	if (getpeername(fd, (struct sockaddr *)&b, &len) < 0 || b.sin_family != AF_INET || b.sin_port != a.sin_port)
		return -2;
	if (read(fd, &octet, 1) != 1)
		return -3;
	close(fd);
	return octet;
}
