/* src/cli/cmd_version.c: `berth version`: what this is, and whether it is whole. */
#include <limits.h>

#include "cli/cli.h"
#include "cli/shim_file.h"

static int run(struct cli *cli)
{
	char shim[PATH_MAX], what[PATH_MAX + 128] = "";
	int o = cli_next(cli), r;

	if (o != CLI_END)
		return o == CLI_ARG ? cli_usage(cli, "no arguments, please: '%s'", cli->value) : cli->status;
	r = shim_file_find(shim, sizeof(shim), what, sizeof(what));
	if (cli->json)
		return cli_json(cli,
				json_pack("{s:s, s:i, s:o}", "version", BERTH_VERSION, "format", NETWORK_FORMAT_VERSION,
					  "library", r < 0 ? json_null() : cli_json_text(shim)));
	cli_say(cli, "berth %s (network format %d)\n", BERTH_VERSION, NETWORK_FORMAT_VERSION);
	if (r < 0)
		cli_warn(cli, "%s", what);
	return CLI_OK;
}

const struct cmd cmd_version = {
	"version",
	"[--json]",
	"print the version",
	"Prints the version of berth and of the format of its networks: programs of two formats refuse to\n"
	"share a network. --json also says which preload library `berth run` would use.\n"
	"\n"
	"Examples:\n"
	"  berth version\n"
	"  berth version --json\n",
	CMD_JSON,
	NULL,
	run,
};
