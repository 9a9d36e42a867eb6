/* tests/shim/calls.h: what the files of the script of TCP calls share. */
#ifndef BERTH_TESTS_CALLS_H
#define BERTH_TESTS_CALLS_H

#include "script.h"

int tcp4(void);
int tcp6(void);
int listener4(const char *text, int port);

/* The sections, in calls_options.c */
void options(void);
void lengths(void);
void data(void);

/* and in calls_self.c */
void self_connect(void);

#endif
