/* tests/checks.h: a test program that is a list of named checks.
 *
 * Each check reports under its own name; an argument of the program picks those whose name contains it. A check ends
 * at its first WANT that does not hold. `failures` is defined by the program's main file. All in a header, because
 * net2/raw.c is built by musl's compiler alone, too.
 */
#ifndef BERTH_TESTS_CHECKS_H
#define BERTH_TESTS_CHECKS_H

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "address.h"

extern _Atomic int failures; /* so far, in all threads */

#define WANT(e)                                                                                \
	do {                                                                                   \
		if (!(e)) {                                                                    \
			printf("    line %d: %s (errno %s)\n", __LINE__, #e, strerror(errno)); \
			failures++;                                                            \
			return;                                                                \
		}                                                                              \
	} while (0)

struct check {
	const char *name;
	void (*run)(void);
};

/* Run those whose name contains `only`; NULL: all. Return: how many ran. */
static inline int run_checks(const struct check *c, size_t n, const char *only)
{
	int ran = 0;

	for (size_t i = 0; i < n; i++) {
		int before = failures;

		if (only && !strstr(c[i].name, only))
			continue;
		c[i].run();
		printf("%s: %s\n", failures == before ? "ok" : "FAIL", c[i].name);
		ran++;
	}
	return ran;
}

static inline int n_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

#endif
