/* src/net2/net2.h: the second net: programs and calls that go past libc (docs/second-net.md).
 *
 * `berth run` is three processes:
 *
 *     front     what the shell started: terminal, signals, explanations, exit status (cli/relay.c)
 *     keeper    its child: puts the filter on, serves calls, reaps orphans; stays as long as there is a
 *               descendant (net2/keeper.c)
 *     command   the keeper's child
 */
#ifndef BERTH_NET2_NET2_H
#define BERTH_NET2_NET2_H

#include "network/network.h"

#define NET2_HELD 2
#define NET2_KEEPER "berth-keeper"
#define NET2_PUBLISHER "berth-publish" /* processes of this name are no programs: no keeper waits for them */
struct net2 {
	const struct network *net;
	const struct network_host *host;
	const struct port_policy_chain *policy; /* of this run, and of those it is in */
	uint32_t run;
	bool has_run;	     /* run is its ring for explanations */
	bool inside;	     /* a tree that has a supervisor already: it is joined, no filter is put on */
	bool without;	     /* nor is there one to be had here */
	bool needed;	     /* the command cannot run without */
	bool allow_outside;  /* programs that cannot be served may use the machine's own network */
	int held[NET2_HELD]; /* descriptors, above 2, that the keeper keeps open as long as it lives; 0: none */
};

/* Is there a supervisor above us? */
bool net2_inside(void);
/* Can this machine have one? Return: 0; -ENOSYS. */
MUST_CHECK int net2_possible(void);

/* What the keeper tells the front, one record at a time. */
enum net2_news_kind {
	NET2_FORKED,  /* value: the command's pid, before its exec */
	NET2_STARTED, /* value: the command's pid. Its exec has succeeded */
	NET2_FAILED,  /* value: errno of its exec. The keeper ends */
	NET2_NO_NET,  /* value: errno of putting the filter on. The command runs without */
	NET2_STOPPED, /* value: the signal */
	NET2_ENDED,   /* value: status, as waitpid(2) gives it; text NET2_LAST: the keeper ends, too */
	NET2_LINE,    /* text: for the person */
	NET2_VERBOSE, /* text: for the person who wants to know more */
};
#define NET2_LAST "last"
struct net2_news {
	int32_t kind, value;
	char text[400];
};

/* The keeper's life. become() is called in the command's process, with everything as it was, and executes
 * it; an errno it writes to tell_fd when that fails. All signals are blocked when this is called. */
_Noreturn void net2_keep(const struct net2 *o, int front_fd, void (*become)(void *ctx, int tell_fd), void *ctx);

#endif
