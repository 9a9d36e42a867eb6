/* src/cli/cmd_exec.c: `berth exec HOST COMMAND`: one more program on a host where something runs.
 *
 * It is `berth run` but for one thing: nothing is made. Who writes the name of a host wrongly, or comes too late, hears of it
 * instead of having a program on a host of its own that reaches nobody.
 *
 * Something runs on a host if a claim of it is alive; a program without a port is known by its environment, which says the
 * network and the host (run sets it, and children inherit it).
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run.h"

enum { OPT_ANY = CLI_LONG + 1, OPT_VERBOSE, OPT_ALLOW_OUTSIDE };

/* Does the environment of that process say so? One that replaced its environment is not seen. */
static bool says(const char *pid, const char *dir, const char *host)
{
	static char text[256 << 10]; /* of a longer environment the beginning */
	char path[64];
	bool is_dir = false, is_host = false;
	size_t at = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while ((n = read(fd, text + at, sizeof(text) - 2 - at)) > 0)
		at += (size_t)n;
	close(fd);
	text[at] = text[at + 1] = '\0';
	for (const char *s = text; *s; s += strlen(s) + 1) {
		if (strncmp(s, "BERTH_NETWORK_DIR=", 18) == 0)
			is_dir = strcmp(s + 18, dir) == 0;
		else if (strncmp(s, "BERTH_HOST=", 11) == 0)
			is_host = strcmp(s + 11, host) == 0;
	}
	return is_dir && is_host;
}

static bool somebody_says(const char *dir, const char *host)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)) != NULL)
		found = isdigit((unsigned char)e->d_name[0]) && says(e->d_name, dir, host);
	if (d)
		closedir(d);
	return found;
}

static int check_runs(struct cli *cli, const struct network_host *h)
{
	struct network_lock lock;
	uint32_t claims;
	int r;

	cli_sweep(cli, h->index);
	r = network_lock(&cli->net, h->index, &lock);
	if (r < 0)
		return cli_fail(cli, r, "cannot read the port table of host '%s'", h->name);
	claims = port_table_n_claims(&lock.table);
	network_unlock(&lock);
	if (claims > 0 || somebody_says(cli->net.dir, h->name))
		return 0;
	return cli_fail(cli, 0, "nothing runs on host '%s' of network '%s' (--any runs the command all the same)",
			h->name, cli->network_name);
}

static int run(struct cli *cli)
{
	struct run_how how = {.check_host = check_runs};
	char **argv;
	int c;

	while ((c = cli_next(cli)) != CLI_END) {
		if (policy_option(cli, &how.policy, c))
			continue;
		switch (c) {
		case 'q':
			how.quiet = true;
			break;
		case OPT_ANY:
			how.check_host = NULL;
			break;
		case OPT_VERBOSE:
			how.verbose = true;
			break;
		case OPT_ALLOW_OUTSIDE:
			how.allow_outside = true;
			break;
		default:
			return cli->status;
		}
	}
	argv = cli_rest(cli);
	if (!argv[0])
		return cli_usage(cli, "no host: berth exec HOST -- COMMAND");
	if (!network_name_ok(argv[0])) {
		char shown[80];

		snprintf(shown, sizeof(shown), "%s", argv[0]);
		return cli_usage(cli, "'%s' cannot be the name of a host", cli_clean(shown));
	}
	cli->host_name = *argv++;
	cli->host_given = true;
	if (argv[0] && strcmp(argv[0], "--") == 0) {
		argv++;
	} else if (argv[0] && argv[0][0] == '-') { /* "exec web -n lab ..." would run a command called -n */
		char shown[80];

		snprintf(shown, sizeof(shown), "%s", argv[0]);
		return cli_usage(cli, "options come before the host: berth exec %s ... %s -- COMMAND", cli_clean(shown),
				 cli->host_name);
	}
	if (!argv[0])
		return cli_usage(cli, "no command to run: berth exec %s -- COMMAND", cli->host_name);
	return run_command(cli, &how, argv);
}

static const struct cli_option options[] = {
	{OPT_ANY, "any", NULL, "also on a host that exists and where nothing runs"},
	POLICY_OPTIONS,
	{'q', "quiet", NULL, "do not explain refusals"},
	{OPT_VERBOSE, "verbose", NULL, "also say which programs go past libc and are served by the second net"},
	{OPT_ALLOW_OUTSIDE, "allow-outside", NULL, "run also what berth cannot serve; it uses the real network"},
	{0},
};

const struct cmd cmd_exec = {
	"exec",
	"[options] HOST [--] COMMAND [ARGUMENT...]",
	"run one more program on a host where something runs",
	"As 'berth run -H HOST', but nothing is made: a host that does not exist, or on which nothing runs, is an\n"
	"error (125). HOST may be 'auto', the host of this folder. The network's rules of the way out hold\n"
	"for it, and its own; those that another 'run' on the host was given do not.\n"
	"\n"
	"Examples:\n"
	"  berth exec db -- psql                        beside the server, on localhost\n"
	"  berth exec auto -- curl -s localhost:3000    beside this work tree's server\n"
	"  berth exec --any web -- sh                   a host with nothing on it, too\n",
	CMD_NETWORK | CMD_STOP,
	options,
	run,
};
