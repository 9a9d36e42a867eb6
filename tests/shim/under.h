/* tests/shim/under.h: what under.c, its other two files, and under_udp.c share. */
#ifndef BERTH_TESTS_UNDER_H
#define BERTH_TESTS_UNDER_H

#include <netdb.h>
#include <stdbool.h>

#include "../checks.h"

/* The first address that a name has in this family, in figures. */
static inline bool address_of(const char *name, char text[64], int family)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *ai;
	bool ok;

	if (getaddrinfo(name, NULL, &hints, &ai) != 0)
		return false;
	ok = getnameinfo(ai->ai_addr, ai->ai_addrlen, text, 64, NULL, 0, NI_NUMERICHOST) == 0;
	freeaddrinfo(ai);
	return ok;
}

extern const char *network_dir;
/* A socket that is connected there: under.c's TCP, under_udp.c's UDP. Return: fd; -1. */
int dial(const char *text, int port);

/* --- under.c alone --- */
extern const struct check under_wait[], under_files[];
extern const size_t n_under_wait, n_under_files;

/* option: of SOL_SOCKET, to be switched on; 0: none. Return: fd; -1. */
int listener(const char *text, int port, int option);

#endif
