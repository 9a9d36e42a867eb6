/* src/cli/cmd_ls.c: `berth ls`: every port that somebody holds, number first. */
#include <stdlib.h>
#include <string.h>

#include "cli/policy.h"
#include "cli/published.h"
#include "cli/rows.h"
#include "cli/table.h"

enum { OPT_REFUSED = CLI_LONG + 1 };
enum { PORT, NAME, PROTO, ADDRESS, STATE, HOST, PROGRAM, PID, USER, AGE, N_COLUMNS };

static const struct table_column columns[N_COLUMNS] = {
	[PORT] = {.title = "PORT", .right = true},
	[NAME] = {.title = "NAME", .give_up = 3, .least = 6},
	[PROTO] = {.title = "PROTO"},
	[ADDRESS] = {.title = "ADDRESS", .give_up = 1}, /* half an address is worse than no age */
	[STATE] = {.title = "STATE", .give_up = 4},
	[HOST] = {.title = "HOST"},
	[PROGRAM] = {.title = "PROGRAM", .least = 7},
	[PID] = {.title = "PID", .right = true, .give_up = 2},
	[USER] = {.title = "USER", .give_up = 5},
	[AGE] = {.title = "AGE", .right = true, .give_up = 6},
};

#define CELL_MAX ROWS_ADDRESS_MAX
struct line {
	char cell[N_COLUMNS][CELL_MAX];
};

static void fill(struct line *l, const struct row *row)
{
	const struct port_holder *h = &row->holder;
	char age[24];

	snprintf(l->cell[PORT], CELL_MAX, "%u", row->claim.port);
	snprintf(l->cell[NAME], CELL_MAX, "%s", row->service[0] ? row->service : "-");
	snprintf(l->cell[PROTO], CELL_MAX, "%s", port_proto_name[row->claim.proto]);
	rows_address(&row->claim, l->cell[ADDRESS]);
	snprintf(l->cell[STATE], CELL_MAX, "%s", rows_state(&row->claim));
	snprintf(l->cell[HOST], CELL_MAX, "%s", row->host);
	snprintf(l->cell[PROGRAM], CELL_MAX, "%s", h->program[0] ? h->program : "-");
	if (h->pid > 0)
		snprintf(l->cell[PID], CELL_MAX, "%d", h->pid);
	else
		snprintf(l->cell[PID], CELL_MAX, "-");
	snprintf(l->cell[USER], CELL_MAX, "%s", h->user);
	snprintf(l->cell[AGE], CELL_MAX, "%s", h->age_us == NEVER_US ? "-" : port_age_print(h->age_us, age));
}

static int print_table(struct cli *cli, struct rows *rows)
{
	const char *cells[N_COLUMNS];
	struct table t;
	struct line l;
	struct row row;

	for (int i = 0; i < N_COLUMNS; i++)
		cells[i] = l.cell[i];
	table_begin(&t, columns, N_COLUMNS, 0);
	for (size_t k = 0; k < rows->n; k++) {
		rows_get(rows, k, &row);
		fill(&l, &row);
		table_measure(&t, cells);
	}
	table_titles(cli, &t);
	for (size_t k = 0; k < rows->n; k++) {
		rows_get(rows, k, &row);
		fill(&l, &row);
		table_row(&t, cells);
	}
	return CLI_OK;
}

enum { OPT_PUBLISHED = CLI_LONG + 40 };

/* Below the table, or alone. only: nothing else was asked for. */
static int print_published(struct cli *cli, uint32_t host, bool only)
{
	struct published_list list;
	bool any = false;
	int r = published_read(cli, &list);

	if (r != 0)
		return r;
	for (size_t i = 0; i < list.n; i++)
		any |= host == NETWORK_HOSTS_MAX || list.r[i].p.host == host;
	if (only && cli->json)
		r = published_print_json(cli, &list, host);
	else if (any) {
		if (!only)
			printf("\n");
		r = published_print(cli, &list, host);
	} else if (only)
		r = cli_say(cli, "nothing is published in network '%s'\n", cli->network_name);
	published_free(&list);
	return r;
}

static int run(struct cli *cli)
{
	struct rows_filter f = {0};
	struct network_host host;
	struct rows rows = {0};
	struct port_endpoint e;
	const char *what = NULL;
	bool missing, published = false, refused = false;
	int o, r;

	while ((o = cli_next(cli)) != CLI_END) {
		if (o == 'a')
			f.connections = true;
		else if (o == OPT_PUBLISHED)
			published = true;
		else if (o == OPT_REFUSED)
			refused = true;
		else if (o == CLI_ARG && !what)
			what = cli->value;
		else
			return o == CLI_ARG ? cli_usage(cli, "one port, range or name at a time: '%s'", cli->value)
					    : cli->status;
	}
	if (what && refused)
		return cli_usage(cli, "--refused lists all that was refused; it takes no port: '%s'", what);
	if (what) {
		r = cli_endpoint(cli, what, &e);
		if (r != 0)
			return r;
		f.has_ports = true;
		f.ports = e.ports;
		f.has_proto = e.has_proto;
		f.proto = e.proto;
		f.has_addr = e.has_addr;
		f.addr = e.addr;
		if (e.host[0] && strcmp(e.host, "localhost") != 0) {
			cli->host_name = e.host;
			cli->host_given = true;
		}
	}
	r = cli_network(cli, NULL, &missing);
	if (r == 0 && !missing && cli->host_given) {
		r = cli_host(cli, false, &host, NULL);
		f.one_host = true;
		f.host_index = host.index;
	}
	if (r == 0 && published && !missing)
		return print_published(cli, f.one_host ? f.host_index : NETWORK_HOSTS_MAX, true);
	if (r == 0 && !missing && refused)
		return refused_list(cli, f.one_host, f.host_index);
	if (r == 0 && !missing)
		r = rows_read(cli, &f, &rows);
	if (r != 0)
		return r;
	if (cli->json)
		r = rows_print_json(cli, &rows);
	else if (rows.n > 0)
		r = print_table(cli, &rows);
	else if (missing)
		r = cli_say(cli, "nothing: there is no network '%s' yet ('berth run -- COMMAND' makes it)\n",
			    cli->network_name);
	else
		r = cli_say(cli, "no program holds %s%s%s%s in network '%s'%s\n", what ? "" : "a port",
			    what ? what : "", f.one_host ? " on host " : "", f.one_host ? cli->host_name : "",
			    cli->network_name, rows.n_hidden ? " (connections are not shown; --all shows them)" : "");
	rows_free(&rows);
	if (r == 0 && !missing && !what && !cli->json)
		r = print_published(cli, f.one_host ? f.host_index : NETWORK_HOSTS_MAX, false);
	return r;
}

static const struct cli_option options[] = {
	{OPT_PUBLISHED, "published", NULL, "only the ports of the machine that lead to hosts"},
	{'a', "all", NULL, "connections, too, not only who listens or is bound"},
	{OPT_REFUSED, "refused", NULL, "instead: which programs were refused the way out, whereto and how often"},
	{0},
};

const struct cmd cmd_ls = {
	"ls",
	"[options] [PORT|RANGE|NAME]",
	"list who holds which port",
	"One row for each listening or bound socket of the network's hosts: the number first, then its\n"
	"registered name. A listener on both families shows both addresses. Without -H all hosts are shown.\n"
	"\n"
	"Examples:\n"
	"  berth ls                       everything in network 'default'\n"
	"  berth ls -H web                one host\n"
	"  berth ls 8000-8100             a range\n"
	"  berth ls http                  a name\n"
	"  berth ls --json | jq '.[].port'\n"
	"  berth ls --refused             what --isolated, --allow and --deny kept in\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON,
	options,
	run,
};
