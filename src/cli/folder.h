/* src/cli/folder.h: where on the disk a command was called: work tree, berth.conf, and a host named after it. */
#ifndef BERTH_CLI_FOLDER_H
#define BERTH_CLI_FOLDER_H

#include <limits.h>

#include "cli/cli.h"

struct folder {
	char here[PATH_MAX]; /* the current folder, without symbolic links */
	char top[PATH_MAX];  /* of the work tree it is in: the nearest above with a .git; "": in none */
	char conf[PATH_MAX]; /* the nearest berth.conf that may be used; "": none */
};

/* Looked up once. Warns of a berth.conf that is not used because it is somebody else's. NULL: there is no current folder. */
const struct folder *folder_find(struct cli *cli);
/* The folder an `auto` host is of: the work tree's top, else berth.conf's, else the current one. NULL as above. */
const char *folder_of_host(struct cli *cli);

/* The name of the host of this folder in the network that is open: with make chosen, and remembered, when there is none
 * yet. Return: 0; -ENOENT, none yet; an exit code, said. */
MUST_CHECK int folder_host(struct cli *cli, bool make, char ret[NETWORK_NAME_MAX]);
/* What a host of this folder would be called if nobody had that name. */
void folder_host_base(const char *path, char ret[NETWORK_NAME_MAX]);

#endif
