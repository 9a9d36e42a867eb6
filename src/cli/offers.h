/* src/cli/offers.h: who in the network listens on a service: the command line's side of an SRV look-up. */
#ifndef BERTH_CLI_OFFERS_H
#define BERTH_CLI_OFFERS_H

#include "cli/cli.h"

struct offers_question {
	char service[64]; /* "http"; "" in offers_parse()'s failure */
	bool has_proto;
	enum port_proto proto;
	char host[NETWORK_NAME_MAX]; /* ""; every host of the network */
};

/* "_http._tcp", "_http._tcp.web", "_http._tcp.web.NETWORK.berth", "http@web", "http@". False: not of this form.
 * A name that has the form and makes no sense: *ret_status is the exit code, said. */
bool offers_parse(struct cli *cli, const char *text, struct offers_question *ret, int *ret_status);
/* Print the answer, or with --json an array. Exit code: CLI_OK, somebody offers it; CLI_NO. */
int offers_answer(struct cli *cli, const struct offers_question *q);
/* For `berth name http`: what is offered of it in the network, if that is open, in words, or nothing. */
void offers_mention(struct cli *cli, const char *service);

#endif
