/* src/cli/cmd_free.c: `berth free`: a free port that stays free until it is used.
 *
 * What is asked for is read here; the ports are chosen and held by the library of door/ (free_reserve.c), and kept either by this
 * process, while a command runs (free_command.c), or by a process that is left behind for a time (lease.c). A number that
 * is printed and held by nobody would be a lie a moment later, so there is no such way: without anything said it is held for
 * a minute.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/free.h"

enum {
	OPT_RANGE = CLI_LONG + 1,
	OPT_UDP,
	OPT_BOTH,
	OPT_CONSECUTIVE,
	OPT_REGISTERED,
	OPT_ENV,
	OPT_NO_BRACES,
	OPT_LISTEN_FDS,
	OPT_LISTENING,
	OPT_ADDRESS,
	OPT_EXPLAIN,
	OPT_ANY_SERVER,
	OPT_LEASE,
	OPT_WITH,
	OPT_LIST,
	OPT_DROP,
};

#define LEASE_DEFAULT_S 60
#define LEASE_MAX_S (30u * 86400)

struct wish {
	struct free_order o;
	bool n_given, udp, both, list, quiet;
	const char *drop, *lease, *lease_only, *command_only; /* options that belong to one of the two ways */
	char **command;
};

/* --- reading --- */

static int read_count(struct cli *cli, const char *text, struct wish *w)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (w->n_given || !isdigit((unsigned char)text[0]) || *end)
		return cli_usage(cli,
				 w->n_given ? "too many arguments: '%s'; a command goes behind --"
					    : "'%s' is no number of ports; a command goes behind --",
				 text);
	if (n == 0 || n > FREE_MAX)
		return cli_usage(cli, "from 1 to %u ports can be had at a time, not %s", FREE_MAX, text);
	w->n_given = true;
	w->o.n = (unsigned)n;
	return 0;
}

static int read_range(struct cli *cli, const char *text, struct port_range *ret, unsigned *ret_flags)
{
	struct port_parse_error where;
	struct port_endpoint e;

	if (port_endpoint_parse(text, &e, &where) < 0)
		return cli_usage_at(cli, text, &where);
	if (e.has_addr || e.has_proto || e.host[0] || e.service[0])
		return cli_usage(cli, "a range is two numbers, as 20000-20999, not '%s'", text);
	if (!e.ports.first)
		return cli_usage(cli, "port 0 is none; a range begins at 1 or above");
	*ret = e.ports;
	if (e.ports.first == e.ports.last) /* who names one means it */
		*ret_flags |= BERTH_PORT_REGISTERED;
	return 0;
}

/* "90", "90s", "10m", "1h30m", "2d" */
static int read_lease(struct cli *cli, const char *text, uint64_t *ret_s)
{
	static const struct {
		char unit;
		unsigned s;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	uint64_t sum = 0;
	const char *s = text;

	do {
		uint64_t n = 0, in_s = 0;

		if (!isdigit((unsigned char)*s))
			return cli_usage(cli, "a time is a number and a unit, as 90s, 10m or 1h30m, not '%s'", text);
		for (; isdigit((unsigned char)*s); s++)
			n = n > LEASE_MAX_S ? n : n * 10 + (unsigned)(*s - '0');
		for (size_t i = 0; i < COUNT_OF(units); i++)
			if (*s == units[i].unit)
				in_s = units[i].s;
		if (*s && !in_s)
			return cli_usage(cli, "a time has s, m, h or d behind its number, not '%s': '%s'", s, text);
		sum += n * (in_s ? in_s : 1);
		s += *s != '\0';
	} while (*s);
	if (sum == 0 || sum > LEASE_MAX_S)
		return cli_usage(cli, "a lease is from 1 second to 30 days long, not '%s'", text);
	*ret_s = sum;
	return 0;
}

static int read_pid(struct cli *cli, const char *text, pid_t *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)text[0]) || *end || n == 0 || n > INT32_MAX)
		return cli_usage(cli, "'%s' is no process; its number is expected, as --with $$", text);
	*ret = (pid_t)n;
	return 0;
}

static int read_name(struct cli *cli, const char *text, struct free_order *o)
{
	bool ok = (isalpha((unsigned char)text[0]) || text[0] == '_') && strlen(text) <= 200;

	for (const char *s = text; *s && ok; s++)
		ok = isalnum((unsigned char)*s) || *s == '_';
	if (!ok)
		return cli_usage(cli, "'%s' cannot be the name of a variable: letters, digits and _", text);
	if (o->n_names == FREE_NAMES_MAX)
		return cli_usage(cli, "at most %u --env at a time", FREE_NAMES_MAX);
	o->names[o->n_names++] = text;
	return 0;
}

static int read_option(struct cli *cli, int c, struct wish *w)
{
	struct free_order *o = &w->o;

	switch (c) {
	case OPT_RANGE:
		return read_range(cli, cli->value, &o->range, &o->flags);
	case OPT_UDP:
		w->udp = true;
		return 0;
	case OPT_BOTH:
		w->both = true;
		return 0;
	case OPT_CONSECUTIVE:
		o->flags |= BERTH_PORT_CONSECUTIVE;
		return 0;
	case OPT_REGISTERED:
		o->flags |= BERTH_PORT_REGISTERED;
		return 0;
	case OPT_ENV:
		w->command_only = "--env";
		return read_name(cli, cli->value, o);
	case OPT_NO_BRACES:
		w->command_only = "--no-braces";
		o->no_braces = true;
		return 0;
	case OPT_LISTENING:
		o->listening = true;
		FALLTHROUGH;
	case OPT_LISTEN_FDS:
		w->command_only = c == OPT_LISTENING ? "--listening" : "--listen-fds";
		o->listen_fds = true;
		return 0;
	case OPT_ADDRESS:
		w->command_only = "--address";
		o->address = cli->value;
		return 0;
	case OPT_EXPLAIN:
		w->command_only = "--explain";
		o->explain = true;
		return 0;
	case OPT_ANY_SERVER:
		w->command_only = "--any-server";
		o->any_server = true;
		return 0;
	case OPT_LEASE:
		w->lease_only = "--lease";
		return read_lease(cli, cli->value, &o->lease_s);
	case OPT_WITH:
		w->lease_only = "--with";
		return read_pid(cli, cli->value, &o->with);
	case OPT_LIST:
		w->list = true;
		return 0;
	case OPT_DROP:
		w->drop = cli->value;
		return 0;
	case 'q':
		w->quiet = true;
		return 0;
	}
	return cli->status;
}

/* Options and number, up to the command. Return: 0; an exit code, said; -1: all is done (--help). */
static int read_all(struct cli *cli, struct wish *w)
{
	int c, r = 0;

	while (r == 0 && !w->command && (c = cli_next(cli)) != CLI_END) {
		if (c == CLI_DONE)
			return cli->status ? cli->status : -1;
		if (c == CLI_ARG && cli->only_args)
			w->command = cli->argv + cli->at - 1;
		else
			r = c == CLI_ARG ? read_count(cli, cli->value, w) : read_option(cli, c, w);
	}
	if (r == 0 && cli->only_args && !w->command)
		return cli_usage(cli, "no command behind --");
	return r;
}

/* Do they go together? */
static int check(struct cli *cli, struct wish *w)
{
	struct free_order *o = &w->o;

	if ((w->list || w->drop) &&
	    (w->command || w->n_given || w->lease_only || w->command_only || (w->list && w->drop)))
		return cli_usage(cli, "%s stands alone", w->list ? "--list" : "--drop");
	if (w->command && w->lease_only)
		return cli_usage(cli, "with a command the ports are held until it ends: no %s", w->lease_only);
	if (!w->command && w->command_only)
		return cli_usage(cli, "%s is for a command: berth free %s ... -- COMMAND", w->command_only,
				 w->command_only);
	if (w->command && cli->json)
		return cli_usage(cli, "with a command nothing is printed: no --json");
	if (o->address && !o->listen_fds)
		return cli_usage(cli, "--address says where the sockets of --listen-fds are bound; what is only "
				      "reserved is free on all addresses");
	if (o->listening && w->udp && !w->both)
		return cli_usage(cli, "a UDP socket does not listen: --listen-fds");
	if (w->n_given && o->n_names > o->n)
		return cli_usage(cli, "%u names of variables for %u port%s", o->n_names, o->n, o->n == 1 ? "" : "s");
	if (!w->n_given && o->n_names > 1)
		o->n = o->n_names;
	o->flags |= w->both ? BERTH_PORT_TCP | BERTH_PORT_UDP : w->udp ? BERTH_PORT_UDP : BERTH_PORT_TCP;
	if (!o->lease_s && !o->with)
		o->lease_s = LEASE_DEFAULT_S;
	return 0;
}

/* --- answering --- */

static int print(struct cli *cli, const struct free_order *o, pid_t pid)
{
	json_t *ports;

	if (!cli->json) {
		for (unsigned i = 0; i < o->n; i++)
			cli_say(cli, "%u\n", o->ports[i].port);
		return CLI_OK;
	}
	ports = json_array();
	for (unsigned i = 0; i < o->n; i++)
		json_array_append_new(ports, json_integer(o->ports[i].port));
	return cli_json(cli, json_pack("{s:o, s:b, s:b, s:i, s:o, s:o, s:s?}", "ports", ports, "tcp",
				       (o->flags & BERTH_PORT_TCP) != 0, "udp", (o->flags & BERTH_PORT_UDP) != 0, "pid",
				       (int)pid, "until_unix_s",
				       o->lease_s ? json_integer((json_int_t)(time(NULL) + (time_t)o->lease_s))
						  : json_null(),
				       "with", o->with ? json_integer(o->with) : json_null(), "host", free_host()));
}

/* To a person: what the number is worth. */
static void say_worth(struct cli *cli, const struct free_order *o, pid_t pid)
{
	char until[96];

	if (cli->json || !isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO))
		return;
	if (o->lease_s && o->with)
		snprintf(until, sizeof(until), "for %lu s, or until process %d ends", (unsigned long)o->lease_s,
			 o->with);
	else if (o->with)
		snprintf(until, sizeof(until), "until process %d ends", o->with);
	else
		snprintf(until, sizeof(until), "for %lu s", (unsigned long)o->lease_s);
	cli_warn(
		cli,
		"held %s by process %d, for servers that set SO_REUSEADDR or SO_REUSEPORT; 'berth free --drop %u' gives it "
		"back",
		until, pid, o->ports[0].port);
}

static int run(struct cli *cli)
{
	static struct wish w = {.o.n = 1};
	pid_t pid;
	int r = read_all(cli, &w);

	if (r == 0)
		r = check(cli, &w);
	if (r != 0)
		return r < 0 ? CLI_OK : r;
	if (w.list)
		return leases_list(cli);
	if (w.drop)
		return leases_drop(cli, w.drop);
	if (free_host() && !w.quiet)
		cli_warn(cli, "in a network: what is free here is a port of host %s, not of the machine", free_host());
	if (w.command)
		return free_command(cli, &w.o, w.command);
	r = free_reserve(cli, &w.o);
	if (r == 0)
		r = lease_start(cli, &w.o, &pid);
	if (r != 0)
		return r;
	r = print(cli, &w.o, pid);
	say_worth(cli, &w.o, pid);
	return r;
}

static const struct cli_option options[] = {
	{OPT_RANGE, "range", "A-B", "choose from these; one number: this one, also if it has a name"},
	{OPT_UDP, "udp", NULL, "free for UDP, instead of TCP"},
	{OPT_BOTH, "both", NULL, "one number that is free for TCP and UDP"},
	{OPT_CONSECUTIVE, "consecutive", NULL, "N numbers in a row"},
	{OPT_REGISTERED, "registered", NULL, "also ports that have a name (3306, 5173, 8080)"},
	{OPT_ENV, "env", "VARIABLE", "with COMMAND: a variable, besides PORT; several: one for each port"},
	{OPT_NO_BRACES, "no-braces", NULL, "with COMMAND: leave {} in its arguments alone"},
	{OPT_LISTEN_FDS, "listen-fds", NULL, "with COMMAND: hand over bound sockets, too (LISTEN_FDS)"},
	{OPT_LISTENING, "listening", NULL, "the same, and they listen already, as systemd's do"},
	{OPT_ADDRESS, "address", "ADDRESS", "bound to this address (default: all, IPv4 and IPv6)"},
	{OPT_EXPLAIN, "explain", NULL, "with COMMAND: say afterwards which server set no reuse flag"},
	{OPT_ANY_SERVER, "any-server", NULL, "with COMMAND: set SO_REUSEADDR for servers that do not"},
	{OPT_LEASE, "lease", "TIME", "hold them for so long, as 90s, 10m or 1h30m (default: 1m)"},
	{OPT_WITH, "with", "PID", "hold them until that process ends"},
	{OPT_LIST, "list", NULL, "the ports that are held by leases of yours"},
	{OPT_DROP, "drop", "LEASED|all", "give a port back before its time"},
	{'q', "quiet", NULL, "in a network: do not say whose port it is"},
	{0},
};

const struct cmd cmd_free = {
	"free",
	"[N] [options] [-- COMMAND [ARGUMENT...]]",
	"a free port that stays free until it is used",
	"N ports (1) that nobody has on any address, IPv4 or IPv6, held so that the kernel gives them to nobody\n"
	"else, and no second 'berth free' either. A server that sets SO_REUSEADDR or SO_REUSEPORT, as nearly all\n"
	"do, takes the port as if it were free. One that sets neither is refused (EADDRINUSE): --any-server sets it\n"
	"for it, --listen-fds hands it a socket, or 'berth run' gives it ports of its own; --explain names it. What\n"
	"watches bind() for --any-server and --explain leaves setuid programs without their rights (not for root).\n"
	"\n"
	"With COMMAND they are held while it runs, and free when it has ended, however it or berth ends. It has\n"
	"PORT, with several PORT_1, PORT_2..., and {} ({1}, {2}...) in its arguments is the port. Exits as it does.\n"
	"\n"
	"Without, the ports are printed, one a line, and held by a small process for a minute; --lease and --with\n"
	"say how long instead. When that is over, nobody holds what no server has taken.\n"
	"\n"
	"Never below 1024, reserved by the kernel's list, refused by browsers, or somebody's by name. First from\n"
	"outside the range the kernel chooses from for connections (docs/free.md).\n"
	"\n"
	"Examples:\n"
	"  berth free -- npm start                              PORT is set\n"
	"  berth free -- python3 -m http.server {}              where it is an argument\n"
	"  berth free --env API_PORT --env DB_PORT -- make test two of them, by name\n"
	"  berth free --listen-fds -- gunicorn app:app          for those that take them\n"
	"  PORT=$(berth free --with $$)                         until the script ends\n"
	"  berth free 5 --both --range 20000-29999 --lease 10m  five, TCP and UDP\n",
	CMD_JSON,
	options,
	run,
};
