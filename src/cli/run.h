/* src/cli/run.h: a program on a host: what `berth run` and `berth exec` have in common. */
#ifndef BERTH_CLI_RUN_H
#define BERTH_CLI_RUN_H

#include "cli/cli.h"
#include "cli/policy.h"
#include "cli/publisher.h"

struct run_how {
	struct network_options o; /* create: network and host are made when missing */
	bool privileged_given, allow_outside, quiet, verbose;
	struct publisher_order publish; /* but its host */
	struct policy_args policy;
	int (*check_host)(struct cli *cli,
			  const struct network_host *h); /* NULL: none. Return: 0; an exit code, said */
};

/* Run argv, NULL-terminated and not empty, on the host of cli; returns when it has ended, with its exit code, and dies of
 * the signal it died of. Or an exit code of our own, said. */
int run_command(struct cli *cli, const struct run_how *how, char **argv);

#endif
