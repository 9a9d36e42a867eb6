/* tests/shim/calls_udp.h: what the files of the script of UDP calls share. */
#ifndef BERTH_TESTS_CALLS_UDP_H
#define BERTH_TESTS_CALLS_UDP_H

#include "script.h"

extern char buf[70000]; /* what get() received, and what is sent where the octets do not matter */

int udp4(void);
int udp6(void);
int bound4(const char *text, int port);
int disconnect(int fd);
ssize_t to(int fd, const void *octets, size_t n, const char *text, int port);
/* Receive what there is, without waiting. */
ssize_t get(int fd);
int opt(int fd, int level, int name);
/* What poll() says at once. */
int mask(int fd);

/* The sections, in calls_udp_wait.c */
void waiting(void);
void ending(void);
void epolls(void);
void buffers(void);
void shared(const char *self);
void threads(void);

/* and in calls_udp_control.c */
void ancillary(void);
void six(void);
void sharing(void);
void groups(void);
void corks(void);

#endif
