/* src/cli/worlds.h: which ports a command speaks of: the machine's own, a network's, or all. */
#ifndef BERTH_CLI_WORLDS_H
#define BERTH_CLI_WORLDS_H

#include "cli/rows.h"
#include "port/endpoint.h"

/* The option that asks for the machine alone, by its letter. */
enum { WORLDS_MACHINE = 'm' };

struct worlds {
	bool needs_network; /* in: the question is about a network */
	bool machine;	    /* the machine's own ports */
	bool networks;	    /* berth's: the open one, and unless one_network this user's others */
	bool one_network;
	bool missing; /* the network is not there yet */
};

/* True: it was --machine, and is kept in mind. */
bool worlds_option(struct cli *cli, int o);
/* Was --machine among the options? */
bool worlds_machine_only(void);
/* What was asked for, as a filter; a host in it is as if it had been given by -H. */
void worlds_endpoint(struct cli *cli, const struct port_endpoint *e, struct rows_filter *f);
/* --machine: the machine. -n, -H, a host in the argument or a berth.conf that names one: that network, and nothing else.
 * Else both, and all of this user's networks. Opens the network. Return: 0; an exit code, said. */
MUST_CHECK int worlds_choose(struct cli *cli, struct worlds *w);
/* Within `berth run`, what the command line did not name is the run's: its network, and its host unless -H named one.
 * True: it is so. */
bool worlds_be_inside(struct cli *cli);
/* Within `berth run`: a line that says which world is which. */
void worlds_say_inside(struct cli *cli, const struct worlds *w);

#endif
