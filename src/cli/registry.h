/* src/cli/registry.h: which registry of port names the command line answers from: the built-in one, or a newer file. */
#ifndef BERTH_CLI_REGISTRY_H
#define BERTH_CLI_REGISTRY_H

#include "cli/cli.h"

/* From now on this process answers from the newest registry there is; looked for once. A file that is damaged, or somebody
 * else's, is said on standard error and not used. */
void registry_use(struct cli *cli);
/* berth name --update FILE ("-": standard input), --remove, --registry. Each returns an exit code. */
MUST_CHECK int registry_update(struct cli *cli, const char *file);
MUST_CHECK int registry_remove(struct cli *cli);
MUST_CHECK int registry_show(struct cli *cli);

#endif
