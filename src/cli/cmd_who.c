/* src/cli/cmd_who.c: `berth who PORT`: the story of a port's holder. */
#include <stdlib.h>
#include <string.h>

#include "cli/explain.h"
#include "cli/columns.h"

static void print_story(struct cli *cli, const struct row *row)
{
	const struct port_claim *c = &row->claim;
	const struct port_holder *h = &row->holder;
	char port[16], age[24], address[ROWS_ADDRESS_MAX], cwd[512], others[256] = "";
	unsigned columns = explain_columns(stdout);
	size_t at = 0;

	cli_say(cli, "%s%s%s%s on host %s is held by %s", cli_port(c->port, c->proto, port),
		row->service[0] ? " (" : "", row->service, row->service[0] ? ")" : "", row->host,
		h->program[0] ? h->program : "an unknown program");
	if (h->pid > 0)
		cli_say(cli, " (pid %d)", h->pid);
	cli_say(cli, " of user %s", h->user);
	if (h->age_us != NEVER_US)
		cli_say(cli, ", since %s", port_age_print(h->age_us, age));
	cli_say(cli, "\n  address  %s, %s\n", rows_address(c, address), rows_state(c));
	if (c->flags & PORT_PUMPED)
		cli_say(cli, "  delivery by its berth-keeper, as it goes past libc: the second net\n");
	if (h->command[0])
		cli_say(cli, "  command  %s\n", h->command);
	if (h->pid > 0 && proc_cwd(h->pid, cwd, sizeof(cwd))[0])
		cli_say(cli, "  folder   %s\n", cwd);
	if (c->flags & (PORT_REUSEADDR | PORT_REUSEPORT | PORT_V6ONLY))
		cli_say(cli, "  options %s%s%s\n", c->flags & PORT_REUSEADDR ? " SO_REUSEADDR" : "",
			c->flags & PORT_REUSEPORT ? " SO_REUSEPORT" : "", c->flags & PORT_V6ONLY ? " IPV6_V6ONLY" : "");
	for (uint32_t i = 1; i < row->n_pids && i < PROC_PIDS_MAX && at < sizeof(others) - 16; i++)
		at += (size_t)snprintf(others + at, sizeof(others) - at, " %d", row->pids[i]);
	if (row->n_pids > 1)
		cli_say(cli, "  shared   with pid%s%s: the same socket is open there, too\n", others,
			row->n_pids > PROC_PIDS_MAX ? " and more" : "");
	if (h->pid == 0 && c->state != CLAIM_LINGER)
		explain_wrap(stdout, "note",
			     "no process that you can see has the socket open: it is another user's, or on its way",
			     columns);
}

/* Somebody who asks about the wrong host should hear of the right one. */
static void hint_other_hosts(struct cli *cli, struct rows_filter f)
{
	struct rows rows;
	struct row row;

	f.one_host = false;
	if (rows_read(cli, &f, &rows) != 0)
		return;
	if (rows.n > 0) {
		rows_get(&rows, 0, &row);
		cli_say(cli, "  (but %s has it on host %s: berth who %u -H %s)\n",
			row.holder.program[0] ? row.holder.program : "somebody", row.host, row.claim.port, row.host);
	}
	rows_free(&rows);
}

static int say_free(struct cli *cli, const struct port_endpoint *e, const struct rows_filter *f, bool missing)
{
	char port[16];

	if (e->ports.first != e->ports.last)
		cli_say(cli, "%u-%u/%s are free on host %s\n", e->ports.first, e->ports.last,
			e->has_proto ? port_proto_name[e->proto] : "tcp and udp", cli->host_name);
	else
		cli_say(cli, "%s is free on host %s\n",
			cli_port(e->ports.first, e->has_proto ? e->proto : PORT_TCP, port), cli->host_name);
	if (!missing && !cli->host_given)
		hint_other_hosts(cli, *f);
	return CLI_NO;
}

static int run(struct cli *cli)
{
	struct rows_filter f = {.one_host = true, .has_ports = true, .connections = true};
	struct network_host host;
	struct port_endpoint e;
	struct rows rows = {0};
	const char *what = NULL;
	bool missing, no_host = false;
	int o, r;

	while ((o = cli_next(cli)) != CLI_END) {
		if (o != CLI_ARG)
			return cli->status;
		if (what)
			return cli_usage(cli, "one port at a time: '%s'", cli->value);
		what = cli->value;
	}
	if (!what)
		return cli_usage(cli, "which port? berth who 80");
	r = cli_endpoint(cli, what, &e);
	if (r != 0)
		return r;
	if (e.ports.first == 0 && e.ports.last == 0)
		return cli_usage(cli, "port 0 is a request for any port; nobody holds it");
	if (e.host[0] && strcmp(e.host, "localhost") != 0) {
		cli->host_name = e.host;
		cli->host_given = true;
	}
	f.ports = e.ports;
	f.has_proto = e.has_proto;
	f.proto = e.proto;
	f.has_addr = e.has_addr;
	f.addr = e.addr;

	r = cli_network(cli, NULL, &missing);
	if (r == 0 && !missing)
		r = cli_host(cli, false, &host, &no_host);
	if (r == 0 && !missing && !no_host) {
		f.host_index = host.index;
		r = rows_read(cli, &f, &rows);
	}
	if (r != 0)
		return r;
	if (cli->json) {
		static struct doors doors;
		const struct doors_filter df = {.networks = true, .one_network = true, .rows = f};
		struct columns all = {.n = 0};

		for (size_t i = 0; i < columns_n; i++)
			all.c[all.n++] = &columns_all[i];
		r = missing || no_host ? 0 : doors_read(cli, &df, &doors);
		if (r == 0)
			r = columns_print_json(cli, &doors, &all, false);
		doors_free(&doors);
		if (r == CLI_OK && rows.n == 0)
			r = CLI_NO;
	} else if (rows.n == 0) {
		r = say_free(cli, &e, &f, missing);
	} else {
		for (size_t i = 0; i < rows.n; i++) {
			struct row row;

			rows_get(&rows, i, &row);
			print_story(cli, &row);
		}
	}
	rows_free(&rows);
	return r;
}

const struct cmd cmd_who = {
	"who",
	"[options] PORT",
	"say who holds a port",
	"Names the program, process, user and command line behind a port of a host, found by looking at who\n"
	"has the socket open now. Exits 0 when somebody holds it, 1 when it is free.\n"
	"\n"
	"Examples:\n"
	"  berth who 80                   on host 'local'\n"
	"  berth who web:http             on host 'web', by the port's name\n"
	"  berth who 53/udp -H dns\n"
	"  berth who 8080 --json\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON | CMD_ASKS,
	NULL,
	run,
};
