/* tests/shim/life.h: what the two files of the test share (life.c: exec and descriptors; life2.c: limits, signals, threads). */
#ifndef BERTH_TESTS_LIFE_H
#define BERTH_TESTS_LIFE_H

#include <stdbool.h>

#include "../checks.h"

extern bool life_under; /* under berth, and not natively */

extern const struct check life_limits[];
extern const size_t n_life_limits;

/* A listener on 127.0.0.1; port 0: any. Return: fd, -1. */
int listener(int port);
int port_of(int fd);
int dial(int port);
/* socket, bind, listen, getsockname, connect, accept, getpeername, send, recv, shutdown, close: what a pair of
 * programs does. Safe in signal handlers. Return: 0; the step that failed, and errno. */
int cycle(void);
/* Wait for a child. Return: its exit status, 128 + signal. */
int reap(int pid);

#endif
