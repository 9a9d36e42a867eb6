/* src/cli/complete.h: what may stand at a place of a command line. Between complete.c and complete_values.c. */
#ifndef BERTH_CLI_COMPLETE_H
#define BERTH_CLI_COMPLETE_H

#include "cli/cli.h"

/* Kinds of values. A place may take several. */
enum {
	COMPLETE_NETWORK = 1 << 0,
	COMPLETE_HOST = 1 << 1,	     /* and CLI_HOST_AUTO */
	COMPLETE_PLACE = 1 << 2,     /* HOST:PORT */
	COMPLETE_PORT = 1 << 3,	     /* one that somebody holds: number, HOST:PORT */
	COMPLETE_SERVICE = 1 << 4,   /* a name of a port */
	COMPLETE_PUBLISHED = 1 << 5, /* a published port of the machine */
	COMPLETE_ADDRESS = 1 << 6,
	COMPLETE_FILE = 1 << 7,
	COMPLETE_FOLDER = 1 << 8,
	COMPLETE_COMMAND = 1 << 9, /* from here on it is somebody else's command line */
	COMPLETE_USER = 1 << 10,
	COMPLETE_LEASED = 1 << 11,  /* a port that `berth free` holds */
	COMPLETE_PROGRAM = 1 << 12, /* one that has a port */
	COMPLETE_PID = 1 << 13,	    /* of one that has */
	COMPLETE_COLUMNS = 1 << 14, /* of ls, with commas between them */
	COMPLETE_STATES = 1 << 15,
};

/* "CANDIDATE <tab> WHAT IT IS", if the candidate begins as what was typed does. text may be NULL. */
void complete_offer(const char *typed, const char *candidate, const char *text);
/* The live ones of these kinds; the network and the host are cli's. */
void complete_values(struct cli *cli, unsigned kinds, const char *typed);

#endif
