/* src/cli/free_watch.h: servers without a reuse flag, helped or remembered as they bind (free_watch.c). */
#ifndef BERTH_CLI_FREE_WATCH_H
#define BERTH_CLI_FREE_WATCH_H

#include "cli/free.h"

#define FREE_REFUSED_MAX 8

struct free_watch {
	const struct free_order *order;
	bool help; /* set SO_REUSEADDR for who did not; else only remember him */
	struct free_refused {
		char comm[16];
		pid_t pid;
		uint16_t port;
		bool udp;
	} refused[FREE_REFUSED_MAX];
	unsigned n_refused;
};

/* Something is asked at bind_watch_install()'s descriptor. False: nobody is left who could ask. */
bool free_watch_serve(struct free_watch *w, int fd);
/* Afterwards: who was refused, and what would help. */
void free_watch_say(struct cli *cli, const struct free_watch *w);

#endif
