/* src/cli/cli.h: what every subcommand of `berth` stands on.
 *
 * A subcommand is one file, cmd_X.c, with one `const struct cmd cmd_X`, a line in the table of
 * commands (main.c) and golden files in tests/golden/cli/. Its run() takes options and arguments
 * with cli_next(), which has already dealt with --help, --json, -n and -H and speaks itself when
 * something is wrong:
 *
 *	static int run(struct cli *cli)
 *	{
 *		const char *what = NULL;
 *		int o;
 *
 *		while ((o = cli_next(cli)) != CLI_END) {
 *			if (o == 'u')			(its own option, from the table in cmd_X.options)
 *				udp = true;
 *			else if (o == CLI_ARG && !what)
 *				what = cli->value;
 *			else
 *				return o == CLI_ARG ? cli_usage(cli, "too many arguments: '%s'", cli->value)
 *						    : cli->status;
 *		}
 *		...
 *		return cli_say(cli, "%s\n", ...);
 *	}
 *
 * Answers go to standard output, everything else to standard error, one clear line each that starts
 * with "berth: ". A CMD_NETWORK command gets what the folder's berth.conf says as if it stood on its command line, unless it
 * does: the names of network and host, and its own options by their long names (conf.h). Text that other programs chose (names, command lines) goes through cli_clean()
 * before a person sees it, so that it cannot move their cursor, and through cli_json_text() before a
 * program does, so that it is UTF-8.
 */
#ifndef BERTH_CLI_CLI_H
#define BERTH_CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "network/network.h"
#include "port/explain.h"

/* Exit codes: docs/cli.md. Commands and scripts rely on them. */
enum {
	CLI_OK = 0,		  /* done; the answer is yes */
	CLI_NO = 1,		  /* the answer is no: nobody holds it, it would be refused, no such name */
	CLI_WRONG_USE = 2,	  /* berth was called wrongly; nothing was done */
	CLI_FAILED = 125,	  /* berth could not do it; the message says why */
	CLI_NOT_EXECUTABLE = 126, /* run: found, but cannot be executed */
	CLI_NOT_FOUND = 127,	  /* run: no such command */
};

/* The host of the folder a command was called in (folder.h). */
#define CLI_HOST_AUTO "auto"

/* What a command accepts besides its own options. */
enum {
	CMD_NETWORK = 1 << 0, /* -n, --network NAME */
	CMD_HOST = 1 << 1,    /* -H, --host NAME */
	CMD_JSON = 1 << 2,    /* --json */
	CMD_STOP = 1 << 3,    /* the first argument ends the options (run's COMMAND) */
	CMD_ASKS = 1 << 4,    /* asks about one port, and leaves a long sweep of everybody to others */
};

struct cli_option {
	int id;		  /* its letter, or CLI_LONG + n for an option that has none */
	const char *name; /* without the dashes; NULL ends the list */
	const char *arg;  /* what its value is called in the help; NULL: it has none */
	const char *help; /* one line */
};
#define CLI_LONG 256

struct cli;

struct cmd {
	const char *name;     /* "who" */
	const char *synopsis; /* "[options] PORT", after the name */
	const char *summary;  /* one line in `berth --help`, no full stop */
	const char *help; /* the rest of `berth who --help`: paragraphs, then "Examples:" lines; ends in a newline */
	unsigned accepts; /* CMD_... */
	const struct cli_option *options; /* its own; NULL: none */
	int (*run)(struct cli *cli);	  /* returns the exit code */
};

struct conf;

struct cli {
	const struct cmd *cmd;
	const char *network_name; /* -n, or "default" */
	const char *host_name;	  /* -H, or "local" */
	bool network_given, host_given;
	bool json;
	bool colour_out; /* a terminal that wants it (NO_COLOR, TERM=dumb) */

	/* cli_next()'s own */
	int argc, at;
	char **argv;
	const char *letters;	 /* rest of a group such as -xyz */
	bool only_args;		 /* after "--" */
	const char *value;	 /* of the option or argument just returned */
	int status;		 /* the exit code, when cli_next() returned CLI_DONE */
	const struct conf *conf; /* after CLI_END of a CMD_NETWORK command */
	size_t conf_at;		 /* the next of its settings */
	unsigned conf_line;	 /* where the option just returned stands; 0: on the command line */
	const char *given[64];	 /* names of options that were on the command line */
	size_t n_given;

	struct network net; /* valid after cli_network() returned 0 */
	bool swept;	    /* the dead of all its hosts were moved out of the way */
};

/* --- options and arguments (options.c) --- */
enum { CLI_END = -1, CLI_ARG = -2, CLI_DONE = -3 };
/* The next option's id, CLI_ARG (cli->value is the argument), CLI_END, or CLI_DONE: return
 * cli->status, all has been said. With CMD_STOP the first argument is not consumed: cli_rest(). */
int cli_next(struct cli *cli);
/* What follows the options, NULL-terminated, after CLI_END of a CMD_STOP command. */
char **cli_rest(struct cli *cli);
/* The i-th option of a command, its own first, then those that all have; NULL past the end. */
const struct cli_option *cli_option_at(const struct cmd *cmd, size_t i);
/* The nearest of n names to a mistyped one, or NULL when none is near. stride_bytes apart, each a
 * `const char *` at its start. */
const char *cli_nearest(const char *typed, const void *names, size_t n, size_t stride_bytes);
/* How many slips (a letter more, less, another, two swapped) lead from a to b; 32 when either is longer than that. */
size_t cli_distance(const char *a, const char *b);
/* Print a command's --help to standard output. */
void cli_help(const struct cmd *cmd);

/* --- saying things (say.c) --- */
/* An answer, on standard output. Returns CLI_OK. */
int cli_say(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "berth: <text>" on standard error. */
void cli_warn(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "berth: <text>: <strerror(-r)>" (r == 0: without the last part). Returns CLI_FAILED. */
int cli_fail(struct cli *cli, int r, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "berth CMD: <text>", and where to read on. Returns CLI_WRONG_USE. */
int cli_usage(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same for a text in which one character is wrong: shows it with a caret. */
int cli_usage_at(struct cli *cli, const char *text, const struct port_parse_error *e);
/* Print root, two spaces' indent, and give it back. Returns CLI_OK, or CLI_FAILED out of memory. */
int cli_json(struct cli *cli, json_t *root);
/* Octets of the well-formed UTF-8 character at s; 0 when it is none (RFC 3629). */
size_t cli_utf8_len(const unsigned char *s);
/* A JSON string whatever the octets are. */
json_t *cli_json_text(const char *s);
/* Control characters become '?', in place. Returns s. */
char *cli_clean(char *s);
/* "80/tcp" */
const char *cli_port(uint16_t port, enum port_proto proto, char s[16]);

/* --- a port argument --- */
/* Parse it; on failure says where it is wrong and returns CLI_WRONG_USE, else 0. */
MUST_CHECK int cli_endpoint(struct cli *cli, const char *text, struct port_endpoint *ret);

/* --- the network (say.c's neighbour, open.c) --- */
/* Open cli->network_name into cli->net and sweep it. Return: 0; an exit code, the message is out.
 * With create it is made when missing; without, and with the default network that nobody has made
 * yet, *ret_missing becomes true and 0 is returned (ret_missing NULL: that is a failure, too). */
MUST_CHECK int cli_network(struct cli *cli, const struct network_options *o, bool *ret_missing);
/* End the claims of the dead on a host that is about to be shown, or, with NETWORK_HOSTS_MAX, on all, unless
 * cli_network() did so. */
void cli_sweep(struct cli *cli, uint32_t host);
/* Find cli->host_name (make: create it). Return: 0; an exit code, said. As above: the default host
 * that does not exist yet sets *ret_missing. */
MUST_CHECK int cli_host(struct cli *cli, bool make, struct network_host *ret, bool *ret_missing);
/* Names of ports from /etc/services and the network's own `services` file, read once. Never NULL. */
const struct port_service_overlay *cli_services(struct cli *cli);

/* --- the table of commands (main.c) --- */
/* All of them, in the order of the help. */
const struct cmd *const *cli_commands(size_t *ret_n);
/* `berth complete`, for the shells' completion and for building the man pages; in no help. Returns an exit code. */
int cli_complete(struct cli *cli);
/* The texts of `berth --help`, before and after the table of commands. */
extern const char *const cli_general_help[2];
extern const struct cmd cmd_publish, cmd_unpublish;
extern const struct cmd cmd_run, cmd_ls, cmd_who, cmd_why, cmd_name, cmd_net, cmd_doctor, cmd_version, cmd_wait,
	cmd_exec, cmd_open, cmd_free;

#endif
