/* src/cli/relay.h: being between a terminal and a program without being noticed. */
#ifndef BERTH_CLI_RELAY_H
#define BERTH_CLI_RELAY_H

#include <signal.h>
#include <sys/signalfd.h>

#include "net2/net2.h"

struct relay {
	/* Called in the parent while the child runs, each time *word has changed, and once at its end. */
	void (*news)(void *ctx);
	void *ctx;
	uint32_t *word; /* NULL: there will be no news */
	const struct net2 *net2;
	/* The second net could not be put on. Called before the program runs, or instead of that. */
	void (*no_net)(void *ctx, int err);
	/* A line for the person. always false: only for one who wants to know more. */
	void (*say)(void *ctx, bool always, const char *text);
	void (*started)(void *ctx, int32_t pid); /* the command has been executed */
	/* One more descriptor to listen to while the command runs; -1: none. Return: what to listen to from now on. */
	int other;
	int (*other_news)(void *ctx);
};

struct relay_end {
	bool executed;	/* false: exec_errno says why */
	int exec_errno; /* 0, and not executed: net_errno says why */
	int net_errno;	/* the second net could not be put on */
	int status;	/* as waitpid(2) gives it */
	bool last;	/* nothing that the command started is left */
};

/* Run path with argv as a child, in this process group, and return when it has ended. argv[0] is the
 * name, path the file. Return: 0 and *ret; negative errno, nothing was started. */
MUST_CHECK int relay_run(const char *path, char **argv, const struct relay *r, struct relay_end *ret);

/* Its parts, for who runs a command without a second net (attend.c). The signals that are read, not taken: */
void relay_signals(sigset_t *ret);
/* One of them came: the child gets it, unless it has had it. */
void relay_pass_on(pid_t child, const struct signalfd_siginfo *si);
/* The child stopped: so do we, until somebody continues us. */
void relay_stop_with(pid_t child, int sig);
/* Become that program. Return: the errno, when it cannot be. */
int relay_exec(const char *path, char **argv);

/* End as the child did: exit code, or the same signal. Returns the code for the exit case only. */
int relay_exit_code(int status);

#endif
