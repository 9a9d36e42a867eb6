/* src/cli/attend.h: a command as our child, and we are not noticed (attend.c). */
#ifndef BERTH_CLI_ATTEND_H
#define BERTH_CLI_ATTEND_H

#include <stddef.h>
#include <sys/resource.h>

#include "base/base.h"

struct attend {
	/* Descriptors that it gets as 3, 4, 5...; ours are closed once it has them. None: it gets what we have. */
	int *fds;
	size_t n_fds;
	const char *names;	    /* LISTEN_FDNAMES */
	const struct rlimit *files; /* its RLIMIT_NOFILE; NULL: ours */
	/* Called in the command's process before it is executed: a descriptor for us; and here, when that has something to
	 * say, until it returns false. NULL: none. */
	int (*prepare)(void);
	bool (*hear)(void *ctx, int fd);
	void *ctx;
};

/* Run path with argv, in this process group, until it has ended. Signals that are sent to us reach it, it stops and goes on
 * with us, and what the terminal sends it has from the terminal.
 * Return: 0, *ret_status as waitpid(2) gives it; a positive errno, path could not be executed; negative, it was not tried
 * (-EBUSY among others: prepare() said so). */
MUST_CHECK int attend(const char *path, char **argv, const struct attend *how, int *ret_status);

#endif
