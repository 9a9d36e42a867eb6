/* tests/shim/under_udp.h: what under_udp.c and under_udp_again.c share. */
#ifndef BERTH_TESTS_UNDER_UDP_H
#define BERTH_TESTS_UNDER_UDP_H

#include <sys/types.h>

#include "under.h"

extern const struct check under_udp_again[];
extern const size_t n_under_udp_again;

extern char buf[70000]; /* what get() received */
int udp(int family);
/* A socket that is bound there, with room for many. Return: fd; -1. */
int bound(const char *text, int port);
ssize_t to(int fd, const void *octets, size_t n, const char *text, int port);
/* The next datagram, once poll() says that there is one. Return: its length; -1; -2, poll() said nothing. */
ssize_t get(int fd, int wait_ms);

#endif
