/* tests/shim/script.h: a script of calls that says what each one answered, a line a call.
 *
 *     section NN what was asked: answer
 *
 * compare.py reads two such outputs side by side. So a line names what was asked and shows result, errno and values,
 * and nothing that changes from run to run: ports that were chosen are shown as P.
 */
#ifndef BERTH_TESTS_SCRIPT_H
#define BERTH_TESTS_SCRIPT_H

#include <stdbool.h>

#include "../address.h"

/* How say() puts it, for the whole program: what stands before the name of an errno; and whether what was returned
 * is shown as a number, or as "ok". */
void script_style(const char *before_errno, bool numbers);

void section(const char *name);
extern int line_in_section; /* to be moved on where another process writes lines, too */

/* What a call returned: below 0, errno. Return: r; errno is kept. */
long say(const char *what, long r);
/* The same, and always as a number. */
long say_count(const char *what, long r);
void say_num(const char *what, long v);
void say_text(const char *what, const char *v);
/* An address that a call gave, which returned r. */
void say_addr(const char *what, long r, const union addr *a, socklen_t len);
/* Both names of a socket. */
void names(const char *who, int fd);
/* An int of getsockopt(). */
void say_option(const char *what, int fd, int level, int name);

int do_bind(int fd, const char *text, int port);
int do_connect(int fd, const char *text, int port);
int port_of(int fd);
int set(int fd, int level, int name, int v);
void nonblock(int fd);

#endif
