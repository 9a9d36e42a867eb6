/* tests/outside/calls.h: what the sections of calls.c and calls_more.c share. */
#ifndef BERTH_TESTS_OUTSIDE_CALLS_H
#define BERTH_TESTS_OUTSIDE_CALLS_H

#include "../shim/script.h"

extern const char *four, *six;
extern int port;

int tcp(const char *to, int flags);
int ready(int fd, int events, int ms);
void say_ready(const char *what, int fd, int events, int ms);
void say_echo(const char *what, int fd, const char *text);
void say_state(const char *what, int fd);
int opened(char kind);
long drain(int fd);
long pour(int fd, long len);
int watch(int epoll, int fd, uint32_t events);
void say_events(const char *what, int epoll, int ms);

void calls_options(void);
void calls_epoll(void);
void calls_data(void);
void calls_processes(void);
void calls_shared(void);
void calls_udp(void);
void calls_loose(void);

#endif
