/* src/cli/main.c: `berth`: the table of commands, and which one was meant.
 *
 * main() knows nothing about ports. It finds the command, hands it the rest of the line and makes
 * sure that what was said reached standard output: an answer that did not (full disk) is a failure,
 * whatever the command thought.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct cmd *const commands[] = {
	&cmd_run, &cmd_exec, &cmd_wait, &cmd_open, &cmd_publish, &cmd_unpublish, &cmd_free,
	&cmd_ls,  &cmd_who,  &cmd_why,	&cmd_name, &cmd_net,	 &cmd_doctor,	 &cmd_version,
};

const struct cmd *const *cli_commands(size_t *ret_n)
{
	*ret_n = COUNT_OF(commands);
	return commands;
}

const char *const cli_general_help[2] = {
	"berth gives programs ports of their own, and says who holds a port and why.\n"
	"\n"
	"Usage: berth COMMAND [options] [arguments]\n"
	"\n",
	"\n"
	"A network has hosts; a host has an address and all 65,536 TCP and UDP ports.\n"
	"Without -n and -H the network is 'default' and the host 'local', or what the\n"
	"folder's berth.conf says.\n"
	"\n"
	"Examples:\n"
	"  berth run -H web -- python3 -m http.server 80   port 80, without root\n"
	"  berth run -- curl http://web/                   another program reaches it\n"
	"  berth publish web:80 8080                       and so does the browser\n"
	"  berth ls                                        who listens where\n"
	"  berth why 80 -H web                             who is in the way, what works\n"
	"\n"
	"'berth COMMAND --help' says more. Exit codes: 0 yes or done, 1 no, 2 wrong use,\n"
	"125 berth failed; run and exec exit as their COMMAND does.\n",
};

static void general_help(FILE *out)
{
	fputs(cli_general_help[0], out);
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs(cli_general_help[1], out);
}

static const struct cmd *find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* What other tools have a command for, and we have not. */
#define MEANT(what) "did you mean '" what "'?"
static const char *const elsewhere[][2] = {
	{"policy", MEANT("berth net policy")},
	{"create", MEANT("berth net create")},
	{"rm", MEANT("berth net rm")},
	{"down", MEANT("berth net rm")},
	{"hosts", MEANT("berth net show")},
	{"ip", MEANT("berth net show")},
	{"inspect", MEANT("berth net show")},
	{"port", MEANT("berth ls --published")},
	{"ports", MEANT("berth ls")},
	{"sh", MEANT("berth exec HOST -- sh")},
	{"shell", MEANT("berth exec HOST -- sh")},
	{"kill", "a program is ended as ever, by Ctrl-C or kill(1); 'berth who HOST:PORT' names its process"},
	{"stop", "a program is ended as ever, by Ctrl-C or kill(1); 'berth who HOST:PORT' names its process"},
};

/* The command is wrong: say so, and what was probably meant. */
static int unknown(const char *typed)
{
	const char *names[COUNT_OF(commands)], *near, *other = NULL;
	char shown[64];

	for (size_t i = 0; i < COUNT_OF(commands); i++)
		names[i] = commands[i]->name;
	near = cli_nearest(typed, names, COUNT_OF(names), sizeof(names[0]));
	snprintf(shown, sizeof(shown), "%s", typed);
	cli_clean(shown);
	for (size_t i = 0; i < COUNT_OF(elsewhere) && !other; i++)
		if (strcasecmp(typed, elsewhere[i][0]) == 0)
			other = elsewhere[i][1];
	if (typed[0] == '-')
		fprintf(stderr,
			"berth: the command comes before its options: berth COMMAND %s ...; 'berth --help' lists the "
			"commands\n",
			shown);
	else if (other)
		fprintf(stderr, "berth: no command '%s'; %s\n", shown, other);
	else if (near)
		fprintf(stderr, "berth: no command '%s'; did you mean 'berth %s'?\n", shown, near);
	else
		fprintf(stderr, "berth: no command '%s'; 'berth --help' lists those there are\n", shown);
	return CLI_WRONG_USE;
}

static bool wants_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

/* What was said must have arrived. */
static int flush(int status)
{
	int r = 0;

	errno = 0;
	if (ferror(stdout))
		r = -EIO;
	if (fflush(stdout) != 0 && errno != 0)
		r = -errno;
	if (r < 0 && r != -EBADF) {
		fprintf(stderr, "berth: cannot write the answer: %s\n", strerror(-r));
		return CLI_FAILED;
	}
	return status;
}

int main(int argc, char **argv)
{
	/* Static: struct network is big, and lives as long as the process does. */
	static struct cli cli;
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct cmd *cmd;

	if (!name) {
		general_help(stderr);
		return CLI_WRONG_USE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		if (argc == 2) {
			general_help(stdout);
			return flush(CLI_OK);
		}
		cmd = find(argv[2]);
		if (!cmd)
			return unknown(argv[2]);
		cli_help(cmd);
		return flush(CLI_OK);
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	if (strcmp(name, "complete") == 0) {
		cli = (struct cli){.cmd = &cmd_version,
				   .network_name = "default",
				   .host_name = "local",
				   .argc = argc - 2,
				   .argv = argv + 2};
		return flush(cli_complete(&cli));
	}
	cmd = find(name);
	if (!cmd)
		return unknown(name);

	cli = (struct cli){.cmd = cmd,
			   .network_name = "default",
			   .host_name = "local",
			   .colour_out = wants_colour(STDOUT_FILENO),
			   .argc = argc - 2,
			   .argv = argv + 2};
	return flush(cmd->run(&cli));
}
