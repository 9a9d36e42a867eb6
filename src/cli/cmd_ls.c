/* src/cli/cmd_ls.c: `berth ls`: every port that somebody holds, number first: the machine's own and berth's. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "cli/columns.h"
#include "cli/explain.h"
#include "cli/policy.h"
#include "cli/published.h"
#include "cli/worlds.h"

enum {
	OPT_REFUSED = CLI_LONG + 1,
	OPT_PUBLISHED,
	OPT_NDJSON,
	OPT_SORT,
	OPT_USER,
	OPT_PROGRAM,
	OPT_UNIT,
	OPT_STATE,
	OPT_ADDRESS,
	OPT_PID,
	OPT_RAW
};

struct asked {
	struct doors_filter f;
	struct columns columns, sort;
	bool down[COLUMNS_MAX];
	bool lines, published, refused;
	const char *what, *columns_list, *sort_list;
};

/* --- sorting --- */

struct sort_key {
	uint64_t number;
	char *text; /* NULL: the number counts */
};

struct sorting {
	const struct asked *a;
	struct sort_key *keys; /* n_columns for each row */
};

static int by_keys(const void *x, const void *y, void *ctx)
{
	const struct sorting *s = ctx;
	uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
	size_t n = s->a->sort.n;

	for (size_t c = 0; c < n; c++) {
		const struct sort_key *p = &s->keys[i * n + c], *q = &s->keys[k * n + c];
		int r = p->text && q->text ? strcmp(p->text, q->text)
					   : (p->number > q->number) - (p->number < q->number);

		if (r != 0)
			return s->a->down[c] ? -r : r;
	}
	return (i > k) - (i < k); /* as they stood */
}

static bool make_keys(struct doors *d, const struct asked *a, struct sort_key *keys)
{
	char cell[COLUMN_CELL_MAX];
	struct door door;
	bool ok = true;

	for (size_t i = 0; i < d->n; i++) {
		doors_get(d, i, &door);
		for (size_t c = 0; c < a->sort.n; c++) {
			struct sort_key *key = &keys[i * a->sort.n + c];

			if (a->sort.c[c]->by_number) {
				key->number = a->sort.c[c]->number(&door);
				continue;
			}
			a->sort.c[c]->cell(&door, cell);
			key->text = strdup(cell);
			ok &= key->text != NULL;
		}
	}
	return ok;
}

static int sort(struct cli *cli, struct doors *d, const struct asked *a)
{
	size_t n = d->n * a->sort.n;
	struct sort_key *keys = calloc(n ? n : 1, sizeof(*keys));
	uint32_t *order = malloc((d->n ? d->n : 1) * sizeof(*order));
	struct door_ref *r = malloc((d->n ? d->n : 1) * sizeof(*r));
	struct sorting s = {a, keys};
	bool ok = keys && order && r && make_keys(d, a, keys);

	if (ok) {
		for (size_t i = 0; i < d->n; i++)
			order[i] = (uint32_t)i;
		qsort_r(order, d->n, sizeof(order[0]), by_keys, &s);
		for (size_t i = 0; i < d->n; i++)
			r[i] = d->r[order[i]];
		if (d->n)
			memcpy(d->r, r, d->n * sizeof(*r));
	}
	for (size_t i = 0; keys && i < n; i++)
		free(keys[i].text);
	free(keys);
	free(order);
	free(r);
	return ok ? 0 : cli_fail(cli, 0, "no memory to sort %zu rows", d->n);
}

/* --- what is said beside the rows --- */

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

/* Of the other family's half, in the same world; d->n: none. */
static size_t other_half(const struct doors *d, size_t i)
{
	const struct door_ref *r = &d->r[i];

	for (size_t k = 0; k < d->n; k++)
		if (d->r[k].split == 6 && d->r[k].port == r->port && d->r[k].proto == r->proto && d->r[k].net == r->net)
			return k;
	return d->n;
}

static char *half(const struct door *d, char s[64])
{
	if (d->row.holder.pid > 0)
		snprintf(s, 64, "%s (pid %d)", d->row.holder.program, d->row.holder.pid);
	else
		snprintf(s, 64, "a program that was not seen");
	return s;
}

/* One line for each split door. */
static void say_splits(struct cli *cli, struct doors *d)
{
	char text[256], x[64], y[64];
	struct door a, b;
	size_t k;

	(void)cli;
	for (size_t i = 0; i < d->n; i++) {
		if (d->r[i].split != 4 || (i > 0 && d->r[i - 1].split == 4 && d->r[i - 1].port == d->r[i].port))
			continue;
		k = other_half(d, i);
		if (k == d->n)
			continue;
		doors_get(d, i, &a);
		doors_get(d, k, &b);
		snprintf(text, sizeof(text),
			 "%u/%s is a split door: over IPv4 it is %s, over IPv6 %s; 'localhost' may be either",
			 a.row.claim.port, a.proto, half(&a, x), half(&b, y));
		explain_wrap_at(stdout, NULL, 0, text, explain_columns(stdout));
	}
}

static int say_none(struct cli *cli, const struct asked *a, const struct doors *d, const struct worlds *w)
{
	const char *hidden = d->n_hidden || (a->f.machine && !a->f.rows.connections && !a->f.n_states)
				     ? " (connections are not shown; --all shows them)"
				     : "";

	if (w->missing && !a->f.machine)
		return cli_say(cli, "nothing: there is no network '%s' yet ('berth run -- COMMAND' makes it)\n",
			       cli->network_name);
	if (a->f.machine)
		return cli_say(cli, "no program holds %s on this machine%s%s\n", a->what ? a->what : "such a port",
			       a->f.networks ? ", nor in a network of berth's" : "", hidden);
	return cli_say(cli, "no program holds %s%s%s%s in network '%s'%s\n", a->what ? "" : "a port",
		       a->what ? a->what : "", a->f.rows.one_host ? " on host " : "",
		       a->f.rows.one_host ? cli->host_name : "", cli->network_name,
		       d->n_hidden ? " (connections are not shown; --all shows them)" : "");
}

/* --- which columns --- */

static bool any_of(struct doors *d, bool machine)
{
	for (size_t i = 0; i < d->n; i++)
		if ((d->r[i].net == 0) == machine)
			return true;
	return false;
}

static void choose_columns(struct asked *a, struct doors *d)
{
	static const char *const of_network[] = {"port",    "service", "proto", "addresses", "state", "host",
						 "program", "pid",     "user",	"age_s",     NULL},
				 *const of_machine[] = {"port", "service", "proto", "addresses", "state",   "program",
							"pid",	"user",	   "age_s", "unit",	 "command", NULL},
				 *const of_both[] = {"port", "service", "proto", "addresses", "state",
						     "host", "program", "pid",	 "user",      "age_s",
						     "unit", "command", NULL};

	if (!a->f.machine)
		columns_by_name(&a->columns, of_network);
	else
		columns_by_name(&a->columns, any_of(d, false) ? of_both : of_machine);
	a->columns.spare = column_find("unit");
}

static bool shows_pids(const struct cli *cli, const struct asked *a)
{
	for (size_t i = 0; i < a->columns.n; i++)
		if (a->columns.c[i] == column_find("pids"))
			return true;
	return cli->json && a->columns.n == 0;
}

static int show(struct cli *cli, struct asked *a, struct doors *d, const struct worlds *w)
{
	int r = 0;

	if (a->sort.n)
		r = sort(cli, d, a);
	if (r != 0)
		return r;
	if (cli->json) {
		if (!a->columns.n)
			for (size_t i = 0; i < columns_n; i++)
				a->columns.c[a->columns.n++] = &columns_all[i];
		r = columns_print_json(cli, d, &a->columns, a->lines);
	} else if (d->n == 0) {
		r = say_none(cli, a, d, w);
	} else {
		if (!a->columns.n)
			choose_columns(a, d);
		columns_print_table(cli, d, &a->columns);
		say_splits(cli, d);
	}
	return r;
}

/* --- the command line --- */

static int set_what(struct cli *cli, struct asked *a)
{
	struct port_endpoint e;
	int r = cli_endpoint(cli, a->what, &e);

	if (r != 0)
		return r;
	if (e.ports.first == 0 && e.ports.last == 0)
		return cli_usage(cli, "port 0 is a request for any port; nobody holds it");
	worlds_endpoint(cli, &e, &a->f.rows);
	return 0;
}

static int set_user(struct cli *cli, struct asked *a)
{
	struct passwd *pw = getpwnam(cli->value);
	char *end;
	unsigned long uid = strtoul(cli->value, &end, 10);

	a->f.has_uid = true;
	if (pw) {
		a->f.uid = pw->pw_uid;
		return 0;
	}
	a->f.uid = (uint32_t)uid;
	return *end || end == cli->value || uid > UINT32_MAX ? cli_usage(cli, "there is no user '%s'", cli->value) : 0;
}

static int set_states(struct cli *cli, struct asked *a)
{
	static char text[256];
	char *save = NULL;

	snprintf(text, sizeof(text), "%s", cli->value);
	for (char *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		const char *near = NULL;

		if (!doors_state_ok(s, &near))
			return near ? cli_usage(cli, "there is no state '%s'; did you mean '%s'?", s, near)
				    : cli_usage(
					      cli,
					      "there is no state '%s'; 'listening', 'bound', 'connected', 'accepted', "
					      "'time-wait' and others in docs/json.md",
					      s);
		if (a->f.n_states == DOORS_STATES_MAX)
			return cli_usage(cli, "at most %d states", DOORS_STATES_MAX);
		a->f.states[a->f.n_states++] = s;
	}
	return a->f.n_states ? 0 : cli_usage(cli, "--state: which?");
}

static int set_address(struct cli *cli, struct asked *a)
{
	struct port_parse_error e;

	if (port_addr_parse(cli->value, &a->f.rows.addr, &e) < 0)
		return cli_usage_at(cli, cli->value, &e);
	a->f.rows.has_addr = true;
	return 0;
}

static int set_pid(struct cli *cli, struct asked *a)
{
	char *end;
	long pid = strtol(cli->value, &end, 10);

	if (*end || pid <= 0 || pid > INT32_MAX)
		return cli_usage(cli, "'%s' is no process's number", cli->value);
	a->f.pid = (int32_t)pid;
	return 0;
}

static void set_proto(struct asked *a, enum port_proto proto)
{
	/* Both given: both meant. */
	a->f.rows.has_proto = !(a->f.rows.has_proto && a->f.rows.proto != proto);
	a->f.rows.proto = proto;
}

/* Return: 0; an exit code, said. */
static int take(struct cli *cli, struct asked *a, int o)
{
	switch (o) {
	case 'a':
		a->f.rows.connections = true;
		return 0;
	case 't':
	case 'u':
		set_proto(a, o == 't' ? PORT_TCP : PORT_UDP);
		return 0;
	case '4':
	case '6':
		a->f.family = a->f.family && a->f.family != o - '0' ? 0 : o - '0';
		return 0;
	case 'o':
		a->columns_list = cli->value;
		return 0;
	case OPT_SORT:
		a->sort_list = cli->value;
		return 0;
	case OPT_NDJSON:
		cli->json = a->lines = true;
		return 0;
	case OPT_PUBLISHED:
		a->published = true;
		return 0;
	case OPT_REFUSED:
		a->refused = true;
		return 0;
	case OPT_USER:
		return set_user(cli, a);
	case OPT_PROGRAM:
		a->f.program = cli->value;
		return 0;
	case OPT_UNIT:
		a->f.unit = cli->value;
		return 0;
	case OPT_STATE:
		return set_states(cli, a);
	case OPT_ADDRESS:
		return set_address(cli, a);
	case OPT_PID:
		return set_pid(cli, a);
	case OPT_RAW:
		a->f.raw = true;
		return 0;
	default:
		return worlds_option(cli, o) ? 0 : cli->status;
	}
}

static int parse(struct cli *cli, struct asked *a)
{
	int o, r = 0;

	while (r == 0 && (o = cli_next(cli)) != CLI_END) {
		if (o == CLI_ARG && !a->what)
			a->what = cli->value;
		else if (o == CLI_ARG)
			r = cli_usage(cli, "one port, range or name at a time: '%s'", cli->value);
		else if (o == CLI_DONE)
			return cli->status ? cli->status : -1;
		else
			r = take(cli, a, o);
	}
	if (r == 0 && a->what && a->refused)
		r = cli_usage(cli, "--refused lists all that was refused; it takes no port: '%s'", a->what);
	if (r == 0 && a->columns_list)
		r = columns_parse(cli, "-o", a->columns_list, false, &a->columns, NULL);
	if (r == 0 && a->sort_list)
		r = columns_parse(cli, "--sort", a->sort_list, true, &a->sort, a->down);
	if (r == 0 && a->what)
		r = set_what(cli, a);
	return r;
}

static int run(struct cli *cli)
{
	static struct asked a;
	static struct doors doors;
	struct worlds w = {.needs_network = false};
	struct network_host host;
	int r = parse(cli, &a);

	if (r != 0)
		return r < 0 ? CLI_OK : r;
	w.needs_network = a.published || a.refused;
	r = worlds_choose(cli, &w);
	a.f.machine = w.machine;
	a.f.networks = w.networks;
	a.f.one_network = w.one_network;
	if (r == 0 && !w.missing && w.networks && cli->host_given) {
		r = cli_host(cli, false, &host, NULL);
		a.f.rows.one_host = true;
		a.f.rows.host_index = host.index;
	}
	if (r != 0)
		return r;
	if (a.published && !w.missing)
		return print_published(cli, a.f.rows.one_host ? a.f.rows.host_index : NETWORK_HOSTS_MAX, true);
	if (a.refused && !w.missing)
		return refused_list(cli, a.f.rows.one_host, a.f.rows.host_index);
	a.f.all_pids = shows_pids(cli, &a);
	a.f.info = columns_ask_more(&a.columns) || columns_ask_more(&a.sort);
	r = doors_read(cli, &a.f, &doors);
	if (r != 0)
		return r;
	if (!cli->json && !a.f.rows.connections)
		doors_fold(&doors);
	r = show(cli, &a, &doors, &w);
	if (r == 0 && w.networks && !w.missing && cli->net.dir[0] && !a.what && !cli->json)
		r = print_published(cli, a.f.rows.one_host ? a.f.rows.host_index : NETWORK_HOSTS_MAX, false);
	if (r == 0) {
		doors_say_notes(cli, &doors);
		worlds_say_inside(cli, &w);
	}
	doors_free(&doors);
	return r;
}

static const struct cli_option options[] = {
	{'a', "all", NULL, "connections, too, not only who listens or is bound"},
	{WORLDS_MACHINE, "machine", NULL, "only the machine's own ports, none of berth's networks"},
	{'t', "tcp", NULL, "only TCP"},
	{'u', "udp", NULL, "only UDP"},
	{'4', "ipv4", NULL, "only what takes IPv4"},
	{'6', "ipv6", NULL, "only what takes IPv6"},
	{OPT_RAW, "raw", NULL, "raw sockets, too; their port is a protocol number"},
	{OPT_ADDRESS, "address", "ADDRESS", "only what a packet to this address would meet"},
	{OPT_STATE, "state", "STATES", "only these: listening, bound, connected, accepted, time-wait, close-wait..."},
	{OPT_PROGRAM, "program", "PROGRAM", "only programs with this in their name"},
	{OPT_PID, "pid", "PID", "only this process"},
	{OPT_USER, "user", "USER", "only this user's, by name or number"},
	{OPT_UNIT, "unit", "TEXT", "only systemd units and containers with this in their name"},
	{'o', "columns", "COLUMNS", "these columns, in this order: port,pid,command; also memory, timers, congestion"},
	{OPT_SORT, "sort", "COLUMNS", "by these columns; -age: the highest first"},
	{OPT_NDJSON, "ndjson", NULL, "JSON, a line for each row"},
	{OPT_PUBLISHED, "published", NULL, "only the ports of the machine that lead to hosts"},
	{OPT_REFUSED, "refused", NULL, "instead: which programs were refused the way out, whereto and how often"},
	{0},
};

const struct cmd cmd_ls = {
	"ls",
	"[options] [PORT|RANGE|NAME]",
	"list who holds which port, on the machine and in berth's networks",
	"One row for each door: a listening TCP socket, a bound UDP one, a port that is held and does nothing.\n"
	"The number comes first, then its registered name. The machine's own ports and those of all your\n"
	"networks are shown; -n and -H show one network's, --machine the machine's alone. Both families' halves\n"
	"of one program are one row; two programs that share one number are a split door, and marked. What\n"
	"could not be seen is said below.\n"
	"\n"
	"Examples:\n"
	"  berth ls                       every port here, and who has it\n"
	"  berth ls -n default -H web     one host of a network\n"
	"  berth ls 8000-8100             a range\n"
	"  berth ls http                  a name\n"
	"  berth ls -a --user www-data    with connections, of one user\n"
	"  berth ls -o port,pid,command --sort -pid\n"
	"  berth ls -at -o port,peer,rtt,cwnd,total_retrans\n"
	"  berth ls --json | jq '.[].port'\n"
	"  berth ls --refused             what --isolated, --allow and --deny kept in\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON,
	options,
	run,
};
