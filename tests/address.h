/* tests/address.h: socket addresses from text, for test programs. */
#ifndef BERTH_TESTS_ADDRESS_H
#define BERTH_TESTS_ADDRESS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

static inline struct sockaddr_in at(const char *text, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		abort();
	return a;
}

/* Of either family. Return: its length. */
static inline socklen_t addr(union addr *a, const char *text, int port)
{
	memset(a, 0, sizeof(*a));
	if (!strchr(text, ':')) {
		a->in = at(text, port);
		return sizeof(a->in);
	}
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons((uint16_t)port);
	if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) != 1)
		abort();
	return sizeof(a->in6);
}

/* An address of the network's subnet that no host has, by its file of hosts (BERTH_NETWORK_DIR): "10.77.0.250". */
static inline const char *nobodys(char text[64])
{
	const char *dir = getenv("BERTH_NETWORK_DIR");
	char path[4200];
	unsigned a, b, c;
	FILE *f;

	snprintf(path, sizeof(path), "%s/hosts", dir ? dir : "");
	f = fopen(path, "r");
	while (f && fgets(path, sizeof(path), f))
		if (sscanf(path, "%u.%u.%u.", &a, &b, &c) == 3) {
			snprintf(text, 64, "%u.%u.%u.250", a, b, c);
			fclose(f);
			return text;
		}
	abort();
}

#endif
