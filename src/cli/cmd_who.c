/* src/cli/cmd_who.c: `berth who PORT`: the story of a port's holder, in each world that has one. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/explain.h"
#include "cli/story.h"
#include "cli/worlds.h"

struct asked {
	struct port_endpoint e;
	struct doors_filter f;
	struct worlds w;
	bool no_host; /* the network is there, its default host is not */
};

/* --- of a network --- */

static char *network_stop(const struct row *row, char s[32])
{
	s[0] = '\0';
	if (row->holder.pid > 0)
		snprintf(s, 32, "%skill %d", geteuid() == 0 || geteuid() == row->claim.uid ? "" : "sudo ",
			 row->holder.pid);
	return s;
}

static void print_row(struct cli *cli, const struct row *row)
{
	const struct port_claim *c = &row->claim;
	const struct port_holder *h = &row->holder;
	char port[16], age[24], address[ROWS_ADDRESS_MAX], cwd[512], others[256] = "", stop[32];
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
	if (network_stop(row, stop)[0] && c->state != CLAIM_ACCEPTED)
		cli_say(cli, "  stop     %s\n", stop);
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

static int say_free_on_host(struct cli *cli, const struct asked *a)
{
	const struct port_endpoint *e = &a->e;
	char port[16];

	if (e->ports.first != e->ports.last)
		cli_say(cli, "%u-%u/%s are free on host %s\n", e->ports.first, e->ports.last,
			e->has_proto ? port_proto_name[e->proto] : "tcp and udp", cli->host_name);
	else
		cli_say(cli, "%s is free on host %s\n",
			cli_port(e->ports.first, e->has_proto ? e->proto : PORT_TCP, port), cli->host_name);
	if (!a->w.missing && !cli->host_given)
		hint_other_hosts(cli, a->f.rows);
	return CLI_NO;
}

/* --- of the machine --- */

/* What is in another network namespace is in nobody's way here, and yet it may be what somebody looks for. */
struct elsewhere {
	struct host_filter f;
	size_t n;
};

static int look(void *ctx)
{
	struct elsewhere *e = ctx;
	struct host_sockets s;
	int r = host_sockets_read(NULL, &e->f, &s);

	if (r < 0)
		return r;
	e->n = s.n;
	host_sockets_free(&s);
	return 0;
}

static void say_elsewhere(struct cli *cli, const struct asked *a)
{
	struct elsewhere e = {.f = {.protos = 1 << HOST_TCP | 1 << HOST_UDP,
				    .states = 1 << HOST_LISTEN | 1 << HOST_BOUND,
				    .ports = a->e.ports}};
	struct host_netns_list all;

	if (machine_root() || host_netns_read(NULL, &all) < 0)
		return;
	if (a->e.has_proto)
		e.f.protos = 1u << a->e.proto;
	for (size_t i = 0, said = 0; i < all.n && said < 4; i++) {
		const struct host_netns *ns = &all.ns[i];
		char name[80];

		e.n = 0;
		if (ns->is_ours || host_netns_do(NULL, ns, look, &e) != 0 || e.n == 0)
			continue;
		snprintf(name, sizeof(name), "%.63s", ns->name);
		cli_say(cli, "  but in another network namespace somebody does: %s%snet:[%llu]", cli_clean(name),
			name[0] ? ", " : "", (unsigned long long)ns->inode);
		if (ns->pid > 0)
			cli_say(cli, ", to which pid %d belongs", ns->pid);
		cli_say(cli, "\n");
		said++;
	}
	host_netns_free(&all);
}

static void say_indented(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say_indented(const char *fmt, ...)
{
	char text[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	explain_wrap_at(stdout, "", 2, text, explain_columns(stdout));
}

static void say_near(const struct asked *a)
{
	struct host_settings set;
	uint16_t port = a->e.ports.first;

	if (a->e.ports.first != a->e.ports.last)
		return;
	host_settings_read(machine_root(), &set);
	if (port >= set.ports.range.first && port <= set.ports.range.last && !host_settings_is_reserved(&set, port))
		say_indented(
			"it lies in the range from which the kernel gives ports to whoever asks for any (%u-%u): an "
			"outgoing connection may have it at any moment",
			set.ports.range.first, set.ports.range.last);
	if (port < set.ports.unprivileged_start)
		say_indented("below %u only root may bind it", set.ports.unprivileged_start);
}

static char *what_was_asked(const struct asked *a, char s[64])
{
	const char *proto = a->e.has_proto ? port_proto_name[a->e.proto] : NULL;

	if (a->e.ports.first != a->e.ports.last)
		snprintf(s, 64, "%u-%u%s%s", a->e.ports.first, a->e.ports.last, proto ? "/" : "", proto ? proto : "");
	else
		snprintf(s, 64, "%u%s%s", a->e.ports.first, proto ? "/" : "", proto ? proto : "");
	return s;
}

static int say_nobody(struct cli *cli, const struct asked *a, const struct stories *all)
{
	char what[64];

	cli_say(cli, "nobody holds %s on this machine%s\n", what_was_asked(a, what),
		a->f.networks ? ", nor in a network of berth's" : "");
	for (size_t i = 0; i < all->n; i++)
		cli_say(cli, "  %u connection%s of %u/tcp linger%s (TIME_WAIT): the last ends in %u s\n",
			all->r[i].n_connections, all->r[i].n_connections == 1 ? "" : "s", all->r[i].door.row.claim.port,
			all->r[i].n_connections == 1 ? "s" : "", (unsigned)((all->r[i].ends_in_ms + 999) / 1000));
	say_near(a);
	say_elsewhere(cli, a);
	return CLI_NO;
}

/* --- both --- */

static bool is_held(const struct doors *d, const struct stories *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->r[i].door.held != HOST_HELD_TIME_WAIT)
			return true;
	for (size_t i = 0; i < d->n; i++)
		if (d->r[i].net != 0)
			return true;
	return false;
}

static int print_json(struct cli *cli, struct doors *d, const struct stories *all)
{
	struct json_out *o = json_out_new(stdout, false);
	struct columns every = {.n = 0};
	struct door door;
	char stop[32];

	if (!o)
		return cli_fail(cli, 0, "no memory for the JSON");
	for (size_t i = 0; i < columns_n; i++)
		every.c[every.n++] = &columns_all[i];
	for (size_t i = 0; i < columns_info_n; i++)
		every.c[every.n++] = &columns_info[i];
	json_out_begin(o, '[');
	for (size_t i = 0; i < d->n; i++) {
		doors_get(d, i, &door);
		json_out_begin(o, '{');
		columns_put(o, &every, &door);
		story_put(o, all->of_row[i] ? &all->r[all->of_row[i] - 1] : NULL, i, network_stop(&door.row, stop));
		json_out_end(o);
	}
	json_out_end(o);
	json_out_free(o);
	return CLI_OK;
}

static int print_text(struct cli *cli, const struct asked *a, struct doors *d, const struct stories *all)
{
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		story_print(cli, d, &all->r[i]);
		any = true;
	}
	if (all->n_left_out)
		cli_say(cli, "and %zu sockets of others; berth ls -a lists them\n", all->n_left_out);
	for (size_t i = 0; i < d->n; i++) {
		struct door door;

		if (d->r[i].net == 0)
			continue;
		doors_get(d, i, &door);
		if (any)
			cli_say(cli, "\n");
		if (!a->f.one_network && strcmp(door.network, "default") != 0)
			cli_say(cli, "In network '%s': ", door.network);
		print_row(cli, &door.row);
		any = !a->f.one_network;
	}
	return CLI_OK;
}

static int answer(struct cli *cli, const struct asked *a)
{
	static struct doors doors;
	struct stories all = {0};
	int r = a->w.missing && a->f.one_network ? 0 : a->no_host ? 0 : doors_read(cli, &a->f, &doors);
	bool held;

	if (r == 0)
		r = stories_read(cli, &doors, &all);
	if (r != 0)
		return r;
	held = is_held(&doors, &all);
	if (cli->json)
		r = print_json(cli, &doors, &all);
	else if (!held && a->f.one_network)
		r = say_free_on_host(cli, a);
	else if (!held)
		r = say_nobody(cli, a, &all);
	else
		r = print_text(cli, a, &doors, &all);
	if (r == CLI_OK && !held)
		r = CLI_NO;
	doors_say_notes(cli, &doors);
	worlds_say_inside(cli, &a->w);
	stories_free(&all);
	doors_free(&doors);
	return r;
}

static int parse(struct cli *cli, struct asked *a)
{
	const char *what = NULL;
	int o, r;

	while ((o = cli_next(cli)) != CLI_END) {
		if (o == CLI_DONE)
			return cli->status ? cli->status : -1;
		if (o != CLI_ARG && worlds_option(cli, o))
			continue;
		if (what)
			return cli_usage(cli, "one port at a time: '%s'", cli->value);
		what = cli->value;
	}
	if (!what)
		return cli_usage(cli, "which port? berth who 80");
	r = cli_endpoint(cli, what, &a->e);
	if (r != 0)
		return r;
	if (a->e.ports.first == 0 && a->e.ports.last == 0)
		return cli_usage(cli, "port 0 is a request for any port; nobody holds it");
	worlds_endpoint(cli, &a->e, &a->f.rows);
	return 0;
}

static int run(struct cli *cli)
{
	static struct asked a;
	struct network_host host;
	int r = parse(cli, &a);

	if (r != 0)
		return r < 0 ? CLI_OK : r;
	r = worlds_choose(cli, &a.w);
	a.f.machine = a.w.machine;
	a.f.networks = a.w.networks;
	a.f.one_network = a.f.rows.one_host = a.w.one_network;
	a.f.rows.connections = true;
	a.f.info = cli->json;
	if (r == 0 && a.f.one_network && !a.w.missing) {
		r = cli_host(cli, false, &host, &a.no_host);
		a.f.rows.host_index = host.index;
	}
	return r ? r : answer(cli, &a);
}

static const struct cli_option options[] = {
	{WORLDS_MACHINE, "machine", NULL, "only the machine's own ports, none of berth's networks"},
	{0},
};

const struct cmd cmd_who = {
	"who",
	"[options] PORT",
	"say who holds a port, since when, and how to stop it",
	"Names the program behind a port, found by looking at who has the socket open now: process, user,\n"
	"command, folder, unit or container, parents, since when, options, its connections in short, and the\n"
	"command that stops it properly, which you run yourself. The machine's own port and those of all your\n"
	"networks' hosts are told, each by itself; -H and -n ask one host, --machine the machine alone. Exits\n"
	"0 when somebody holds it, 1 when nobody does, and then says what is near.\n"
	"\n"
	"Examples:\n"
	"  berth who 80                   here, wherever it is\n"
	"  berth who web:http             on host 'web', by the port's name\n"
	"  berth who 53/udp -H dns\n"
	"  berth who 127.0.0.1:8080       what a call to that address would meet\n"
	"  berth who 8080 --json\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON | CMD_ASKS,
	options,
	run,
};
