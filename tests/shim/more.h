/* tests/shim/more.h: what the two files of the script share. */
#ifndef BERTH_TESTS_MORE_H
#define BERTH_TESTS_MORE_H

#include "script.h"

/* Connected to 127.0.0.1. Return: fd. */
int client(int port);
/* A listener on that port, a client and what was accepted. */
void pair(int port, int *l, int *c, int *s);
void shut(int a, int b, int c); /* all of them */

/* The sections, in more_shut.c */
void deaf(void);
void deaf_polled(void);
void waiting(void);

#endif
