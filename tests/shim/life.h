/* tests/shim/life.h: what the files of the test share: life.c has these functions, the others have the checks. */
#ifndef BERTH_TESTS_LIFE_H
#define BERTH_TESTS_LIFE_H

#include <stdbool.h>

#include "../checks.h"

extern bool life_under;	     /* under berth, and not natively */
extern char life_self[4096]; /* the path of this program */

extern const struct check life_exec[], life_fds[], life_limits[];
extern const size_t n_life_exec, n_life_fds, n_life_limits;

/* A listener on 127.0.0.1; port 0: any. Return: fd, -1. */
int listener(int port);
int port_of(int fd);
int peer_port_of(int fd);
int dial(int port);
/* socket, bind, listen, getsockname, connect, accept, getpeername, send, recv, shutdown, close: what a pair of
 * programs does. Safe in signal handlers. Return: 0; the step that failed, and errno. */
int cycle(void);
/* Wait for a child. Return: its exit status, 128 + signal. */
int reap(int pid);
/* Do it in a child, which must return 0. */
void in_child(int (*work)(void));
/* In figures; good for the next seven calls. */
const char *number(int n);

/* Accept one connection and answer it with the peer's and own port. Return: an exit status. */
int serve(int fd);
/* Does the program that serves there answer as it must? */
bool answers(int port);
/* A descriptor over an AF_UNIX socket. take(): the descriptor, -1. */
int pass(int sock, int fd);
int take(int sock);

/* Become the program `--role a b` (life.c), in one of the ways there are. env: for those that take one. */
enum form { EXECV, EXECVE, EXECVP, EXECVPE, EXECL, EXECLP, EXECLE, FEXECVE, EXECVEAT, N_FORMS };
void exec_as(enum form f, const char *a, const char *b, char *const *env);

#endif
