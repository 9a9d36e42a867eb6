/* src/cli/container.h: what a container is called, from its runtime's files. */
#ifndef BERTH_CLI_CONTAINER_H
#define BERTH_CLI_CONTAINER_H

#include "cli/cli.h"
#include "host/cgroup.h"

#define CONTAINER_NAME_MAX 80

/* "web"; kubernetes': "shop-7d4b/web". False: it has none, or it may not be read (mostly for root alone). */
bool container_name(const struct host_place *p, char s[CONTAINER_NAME_MAX]);

#endif
