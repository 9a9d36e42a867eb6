/* src/cli/publisher.h: the process that has published ports: starting it, hearing of it, ending it (publisher.c). */
#ifndef BERTH_CLI_PUBLISHER_H
#define BERTH_CLI_PUBLISHER_H

#include <sys/types.h>

#include "cli/cli.h"
#include "cli/publish_spec.h"

struct publisher_order {
	const struct network_host *host;
	const struct publish_spec *specs;
	size_t n_specs;
	bool all; /* -P */
	/* It ends with the run that holds `life` (below), or with the host's last program. */
	bool with_run;
	bool quiet; /* who starts it says itself which free ports were taken */
};

/* What who started it has of it. */
struct publisher {
	pid_t pid; /* 0: none */
	int news;  /* readable when it has something to say, or is gone; -1: it is */
	int life;  /* with_run: it ends when the last copy of this is closed; else -1 */
};

/* Start it, and wait until it has all ports. Return: 0; an exit code, said, and nothing is published. */
MUST_CHECK int publisher_start(struct cli *cli, const struct publisher_order *o, struct publisher *ret);
/* Say what it has to say; verbose: what it published, too. False: it is gone, and so is news. */
bool publisher_hear(struct cli *cli, struct publisher *p, bool quiet);
/* The run is over: close life, and, if its last program has gone, wait until the ports are free. */
void publisher_end(struct cli *cli, struct publisher *p, bool last);

/* --- the process itself (publisher_loop.c) --- */
struct publisher_pipes {
	int news, life; /* its ends; life -1: until the host's last program has gone */
};
_Noreturn void publisher_main(struct network *n, const struct publisher_order *o, const struct publisher_pipes *pipes);

/* One line over news. */
enum publisher_news_kind {
	PUBLISHER_READY,
	PUBLISHER_FAILED, /* text says why; nothing was taken */
	PUBLISHER_LINE,	  /* for the person */
};
struct publisher_news {
	int32_t kind;
	char text[508];
};

#endif
