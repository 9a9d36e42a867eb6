/* A test program in C, with the library: cc reserve.c $(pkg-config --cflags --libs berth-port) */
#include <arpa/inet.h>
#include <berth/port.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct berth_port ports[2];
	struct sockaddr_in to = {.sin_family = AF_INET};
	int r = berth_port_reserve(BERTH_PORT_TCP, 0, 0, ports, 2, NULL), server, caller, accepted;
	char word[8] = "";

	if (r < 0) {
		fprintf(stderr, "no ports: %s\n", strerror(-r));
		return 1;
	}
	/* ports[0].port is for a server that sets SO_REUSEADDR; this one takes a socket instead. */
	server = berth_port_socket(&ports[1], BERTH_PORT_TCP | BERTH_PORT_LISTEN, "127.0.0.1");
	if (server < 0) {
		fprintf(stderr, "no socket: %s\n", strerror(-server));
		return 1;
	}
	to.sin_port = htons(ports[1].port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(caller, (struct sockaddr *)&to, sizeof(to)) < 0 || write(caller, "hello", 5) != 5)
		return 1;
	accepted = accept(server, NULL, NULL);
	if (read(accepted, word, sizeof(word) - 1) != 5 || strcmp(word, "hello") != 0)
		return 1;
	close(accepted);
	close(caller);
	close(server);
	berth_port_drop(ports, 2);
	puts("a server answered on a port that was free");
	return 0;
}
