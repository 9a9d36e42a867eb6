/* src/cli/cmd_ls.c: `berth ls`: every port that somebody holds, number first. */
#include <stdlib.h>
#include <string.h>

#include "cli/explain.h"
#include "cli/policy.h"
#include "cli/published.h"
#include "cli/rows.h"

enum { OPT_REFUSED = CLI_LONG + 1 };
enum { PORT, NAME, PROTO, ADDRESS, STATE, HOST, PROGRAM, PID, USER, AGE, N_COLUMNS };

static const struct {
	const char *title;
	bool right;   /* numbers line up at their end */
	int give_up;  /* on a narrow terminal, the highest goes first; 0: never */
	size_t least; /* before it goes, it shrinks to this; 0: it does not shrink */
} columns[N_COLUMNS] = {
	[PORT] = {"PORT", true, 0, 0},	      [NAME] = {"NAME", false, 3, 6},	[PROTO] = {"PROTO", false, 0, 0},
	[ADDRESS] = {"ADDRESS", false, 1, 9}, [STATE] = {"STATE", false, 4, 0}, [HOST] = {"HOST", false, 0, 0},
	[PROGRAM] = {"PROGRAM", false, 0, 7}, [PID] = {"PID", true, 2, 0},	[USER] = {"USER", false, 5, 0},
	[AGE] = {"AGE", true, 6, 0},
};

#define CELL_MAX ROWS_ADDRESS_MAX
struct line {
	char cell[N_COLUMNS][CELL_MAX];
};

/* Characters, not octets. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

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

static size_t total(const size_t w[N_COLUMNS])
{
	size_t sum = 0;

	for (int i = 0; i < N_COLUMNS; i++)
		sum += w[i] ? w[i] + 2 : 0;
	return sum ? sum - 2 : 0;
}

/* Make the columns fit: the dispensable ones go, then the long ones shrink. */
static void fit(size_t w[N_COLUMNS], size_t room)
{
	for (int i = 0; i < N_COLUMNS && total(w) > room; i++) {
		size_t over = total(w) - room,
		       spare = columns[i].least && w[i] > columns[i].least ? w[i] - columns[i].least : 0;

		if (i != ADDRESS) /* half an address is worse than no age */
			w[i] -= over < spare ? over : spare;
	}
	for (int round = 6; round > 0 && total(w) > room; round--)
		for (int i = 0; i < N_COLUMNS; i++)
			if (columns[i].give_up == round)
				w[i] = 0;
}

/* At most w characters of s; what is cut ends in '~'. Padding is the caller's. */
static void put_cell(const char *s, size_t w, bool right, bool last)
{
	size_t have = width(s), n = 0;
	const char *p = s;

	if (right)
		for (; have < w; have++)
			putchar(' ');
	if (have <= w) {
		fputs(s, stdout);
	} else {
		for (; *p && n < w - 1; n++) {
			do
				putchar(*p++);
			while (((unsigned char)*p & 0xc0) == 0x80);
		}
		putchar('~');
	}
	if (!right && !last)
		for (; have < w; have++)
			putchar(' ');
	if (!last)
		fputs("  ", stdout);
}

static void put_line(const struct line *l, const size_t w[N_COLUMNS])
{
	int last = N_COLUMNS - 1;

	while (last > 0 && w[last] == 0)
		last--;
	for (int i = 0; i <= last; i++)
		if (w[i])
			put_cell(l->cell[i], w[i], columns[i].right, i == last);
	putchar('\n');
}

static int print_table(struct cli *cli, struct rows *rows)
{
	unsigned room = explain_columns(stdout);
	size_t w[N_COLUMNS];
	struct line l;
	struct row row;

	/* Twice through: first how wide they are. */
	for (int i = 0; i < N_COLUMNS; i++)
		w[i] = strlen(columns[i].title);
	for (size_t k = 0; k < rows->n; k++) {
		rows_get(rows, k, &row);
		fill(&l, &row);
		for (int i = 0; i < N_COLUMNS; i++)
			if (width(l.cell[i]) > w[i])
				w[i] = width(l.cell[i]);
	}
	if (room)
		fit(w, room);
	for (int i = 0; i < N_COLUMNS; i++)
		snprintf(l.cell[i], CELL_MAX, "%s", columns[i].title);
	if (cli->colour_out)
		fputs("\033[1m", stdout);
	put_line(&l, w);
	if (cli->colour_out)
		fputs("\033[0m", stdout);
	for (size_t k = 0; k < rows->n; k++) {
		rows_get(rows, k, &row);
		fill(&l, &row);
		put_line(&l, w);
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
