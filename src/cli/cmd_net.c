/* src/cli/cmd_net.c: `berth net`: make, list, show and remove networks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/conf.h"
#include "cli/policy.h"
#include "cli/rows.h"
#include "cli/table.h"

enum { OPT_SUBNET = CLI_LONG + 1, OPT_PRIVILEGED };
enum { LIST_MAX = 1024, ARGS_MAX = 64 };

struct net_args {
	const char *names[ARGS_MAX];
	size_t n;
	const char *subnet;
	bool deny, privileged_given, force;
	struct policy_args policy;
};

/* "10.77.0.0/24": the 128-bit form is ours, not people's. */
static char *print_net4(const struct network_info *i, char s[PORT_ADDR_STR_MAX + 8])
{
	char a[PORT_ADDR_STR_MAX];

	snprintf(s, PORT_ADDR_STR_MAX + 8, "%s/%u", port_addr_print(&i->net4, a),
		 i->prefix4_bits >= 96 ? i->prefix4_bits - 96 : i->prefix4_bits);
	return s;
}

static char *print_net6(const struct network_info *i, char s[PORT_ADDR_STR_MAX + 8])
{
	char a[PORT_ADDR_STR_MAX];

	snprintf(s, PORT_ADDR_STR_MAX + 8, "%s/%u", port_addr_print(&i->net6, a), i->prefix6_bits);
	return s;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* A rule may speak of the network's own addresses, which there are none of before it is made: until it has its rules it
 * is closed. One that cannot have them is removed again. */
static int make_policy(struct cli *cli, const struct policy_args *a)
{
	struct network_error e = {.what = ""};
	struct port_policy p = {0};
	int r, gone;

	if (!policy_given(a))
		return 0;
	r = policy_apply(cli, a, true, &p);
	if (r == 0) {
		r = network_policy_set(&cli->net, &p);
		if (r == 0)
			return 0;
		r = cli_fail(cli, r, "network '%s' cannot have its rules", cli->network_name);
	}
	gone = network_remove(cli->network_name, true, &e);
	if (gone < 0)
		cli_warn(cli, "network '%s' has been made, and is closed: %s", cli->network_name, e.what);
	return r;
}

static int create(struct cli *cli, const struct net_args *a)
{
	struct network_options o = {.create = true, .subnet = a->subnet, .privileged_deny = a->deny};
	static const struct network_options look;
	static const struct port_policy closed = {.closed = 1};
	char net4[PORT_ADDR_STR_MAX + 8], net6[PORT_ADDR_STR_MAX + 8];
	struct network_error e = {.what = ""};
	struct network_info info;
	int r;

	if (policy_given(&a->policy))
		o.policy = &closed;
	cli->network_name = a->names[0];
	if (network_open(&cli->net, cli->network_name, &look, &e) == 0)
		return cli_fail(cli, 0, "network '%s' exists already", cli->network_name);
	memset(&cli->net, 0, sizeof(cli->net));
	r = cli_network(cli, &o, NULL);
	if (r == 0)
		r = make_policy(cli, &a->policy);
	if (r != 0)
		return r;
	network_get_info(&cli->net, &info);
	if (cli->json)
		return cli_json(cli, json_pack("{s:s, s:o, s:s, s:s}", "network", cli->network_name, "directory",
					       cli_json_text(cli->net.dir), "subnet4", print_net4(&info, net4),
					       "subnet6", print_net6(&info, net6)));
	return cli_say(cli, "network %s: %s and %s\n", cli->network_name, print_net4(&info, net4),
		       print_net6(&info, net6));
}

/* What one network is like, without complaining about one that cannot be opened. */
struct summary {
	struct network_info info;
	uint32_t n_listening;
	int err;
	char what[256];
};

static void summarise(struct cli *cli, const char *name, struct summary *ret)
{
	static const struct network_options look;
	struct network_error e = {.what = ""};
	struct rows_filter f = {0};
	struct rows rows;

	*ret = (struct summary){0};
	memset(&cli->net, 0, sizeof(cli->net));
	ret->err = network_open(&cli->net, name, &look, &e);
	if (ret->err < 0) {
		snprintf(ret->what, sizeof(ret->what), "%s", e.what[0] ? e.what : strerror(-ret->err));
		return;
	}
	cli->swept = false; /* it was another network's */
	network_get_info(&cli->net, &ret->info);
	if (rows_read(cli, &f, &rows) != 0)
		return;
	ret->n_listening = (uint32_t)rows.n;
	rows_free(&rows);
}

static int ls(struct cli *cli)
{
	static char names[LIST_MAX][NETWORK_NAME_MAX];
	struct network_error e = {.what = ""};
	json_t *a = cli->json ? json_array() : NULL;
	int n = network_list(names, LIST_MAX, &e), widest = 7, status = CLI_OK;

	if (n == -ENOENT)
		n = 0;
	if (n < 0) {
		json_decref(a);
		return cli_fail(cli, e.what[0] ? 0 : n, "%s", e.what[0] ? e.what : "cannot list the networks");
	}
	if (n > LIST_MAX)
		n = LIST_MAX;
	qsort(names, (size_t)n, sizeof(names[0]), (int (*)(const void *, const void *))strcmp);
	for (int i = 0; i < n; i++)
		if ((int)strlen(names[i]) > widest)
			widest = (int)strlen(names[i]);
	if (n == 0 && !a)
		return cli_say(cli, "no networks yet ('berth run -- COMMAND' or 'berth net create NAME' makes one)\n");
	if (!a)
		cli_say(cli, "%s%-*s  %-18s  %5s  %5s%s\n", cli->colour_out ? "\033[1m" : "", widest, "NETWORK",
			"SUBNET", "HOSTS", "PORTS", cli->colour_out ? "\033[0m" : "");
	for (int i = 0; i < n; i++) {
		char net4[PORT_ADDR_STR_MAX + 8], net6[PORT_ADDR_STR_MAX + 8];
		struct summary s;

		summarise(cli, names[i], &s);
		if (s.err < 0) {
			cli_warn(cli, "network '%s': %s", names[i], s.what);
			status = CLI_FAILED;
		} else if (a) {
			json_array_append_new(a,
					      json_pack("{s:s, s:s, s:s, s:i, s:i}", "network", names[i], "subnet4",
							print_net4(&s.info, net4), "subnet6", print_net6(&s.info, net6),
							"hosts", (int)s.info.n_hosts, "ports", (int)s.n_listening));
		} else {
			cli_say(cli, "%-*s  %-18s  %5u  %5u\n", widest, names[i], print_net4(&s.info, net4),
				s.info.n_hosts, s.n_listening);
		}
	}
	if (a && cli_json(cli, a) != CLI_OK)
		status = CLI_FAILED;
	return status;
}

/* Listening or bound, and connections, of one host. Rows are in order of hosts' names, so a host's are in a
 * row: *at is where to begin, and where the last host's ended. */
static void count(const struct rows *rows, uint32_t host, size_t *at, uint32_t *ret_ports, uint32_t *ret_connections)
{
	size_t i = *at, seen = 0;

	*ret_ports = *ret_connections = 0;
	for (; seen < rows->n && rows->r[i % rows->n].host_index != host; seen++)
		i++;
	for (; seen < rows->n && rows->r[i % rows->n].host_index == host; seen++, i++) {
		const struct port_claim *c = &rows->r[i % rows->n].claim;

		if (c->state == CLAIM_LISTENING || c->state == CLAIM_HELD)
			++*ret_ports;
		else
			++*ret_connections;
	}
	*at = rows->n ? i % rows->n : 0;
}

static void print_hosts(struct cli *cli, const struct rows *rows)
{
	static const struct table_column columns[] = {{.least = 12}, {0}, {.give_up = 6}, {.give_up = 5}};
	char a4[PORT_ADDR_STR_MAX], a6[PORT_ADDR_STR_MAX], counts[64];
	const char *cells[] = {"", a4, a6, counts};
	struct table t;

	table_begin(&t, columns, COUNT_OF(columns), 2);
	for (int round = 0; round < 2; round++) {
		size_t at = 0;

		for (uint32_t i = 0; i < rows->n_hosts; i++) {
			const struct network_host *h = &rows->hosts[i];
			uint32_t ports, connections;

			count(rows, h->index, &at, &ports, &connections);
			cells[0] = h->name;
			port_addr_print(&h->addr4, a4);
			port_addr_print(&h->addr6, a6);
			snprintf(counts, sizeof(counts), "%u port%s, %u connection%s", ports, plural(ports),
				 connections, plural(connections));
			if (round == 0)
				table_measure(&t, cells);
			else
				table_row(&t, cells);
		}
		if (round == 0)
			table_titles(cli, &t);
	}
}

static int show(struct cli *cli)
{
	struct rows_filter f = {.connections = true};
	char net4[PORT_ADDR_STR_MAX + 8], net6[PORT_ADDR_STR_MAX + 8], when[64] = "?";
	json_t *hosts = json_array();
	struct network_info info;
	struct port_policy policy;
	bool policy_read;
	struct rows rows;
	size_t at = 0;
	time_t created;
	struct tm tm;
	int r = cli_network(cli, NULL, NULL);

	if (r == 0)
		r = rows_read(cli, &f, &rows);
	if (r != 0) {
		json_decref(hosts);
		return r;
	}
	network_get_info(&cli->net, &info);
	created = (time_t)info.created_unix_s;
	if (localtime_r(&created, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	policy_read = network_policy_get(&cli->net, &policy) == 0;
	if (!cli->json) {
		cli_say(cli,
			"network    %s\ndirectory  %s\nsubnets    %s, %s\ncreated    %s\nports      below 1024 %s\n"
			"table      %llu KiB\noutside    ",
			cli->network_name, cli->net.dir, print_net4(&info, net4), print_net6(&info, net6), when,
			info.privileged_deny ? "are privileged (--privileged-ports=deny)" : "are open to its owner",
			(unsigned long long)(info.size_bytes / 1024));
		if (policy_read)
			policy_print(stdout, &policy, "             ");
		else
			cli_say(cli, "its rules cannot be read, and so nothing may pass\n");
		cli_say(cli, "hosts      %u\n", rows.n_hosts);
		print_hosts(cli, &rows);
	}
	for (uint32_t i = 0; cli->json && i < rows.n_hosts; i++) {
		const struct network_host *h = &rows.hosts[i];
		char a4[PORT_ADDR_STR_MAX], a6[PORT_ADDR_STR_MAX];
		uint32_t ports, connections;

		count(&rows, h->index, &at, &ports, &connections);
		json_array_append_new(hosts, json_pack("{s:s, s:s, s:s, s:i, s:i}", "host", h->name, "address4",
						       port_addr_print(&h->addr4, a4), "address6",
						       port_addr_print(&h->addr6, a6), "ports", (int)ports,
						       "connections", (int)connections));
	}
	rows_free(&rows);
	if (!cli->json) {
		json_decref(hosts);
		return CLI_OK;
	}
	return cli_json(cli, json_pack("{s:s, s:o, s:s, s:s, s:I, s:b, s:I, s:o, s:o}", "network", cli->network_name,
				       "directory", cli_json_text(cli->net.dir), "subnet4", print_net4(&info, net4),
				       "subnet6", print_net6(&info, net6), "created_unix_s",
				       (json_int_t)info.created_unix_s, "privileged_deny", (int)info.privileged_deny,
				       "table_bytes", (json_int_t)info.size_bytes, "policy",
				       policy_read ? policy_json(&policy) : json_null(), "hosts", hosts));
}

/* Show it, or change it and show what it is now. */
static int policy(struct cli *cli, const struct policy_args *a)
{
	bool was_open, change = policy_given(a);
	struct port_policy p;
	int r = cli_network(cli, NULL, NULL);

	if (r != 0)
		return r;
	r = network_policy_get(&cli->net, &p);
	if (r < 0 && !(a->isolated || a->open))
		return cli_fail(
			cli, 0,
			"the rules of network '%s' cannot be read, and so nothing may pass: 'berth net policy %s "
			"--isolated' or '--open' writes new ones",
			cli->network_name, cli->network_name);
	if (r < 0)
		p = (struct port_policy){.closed = 1};
	was_open = !p.closed && p.n_rules == 0;
	if (change) {
		r = policy_apply(cli, a, false, &p);
		if (r != 0)
			return r;
		r = network_policy_set(&cli->net, &p);
		if (r < 0)
			return cli_fail(cli, r, "the rules of network '%s' cannot be changed", cli->network_name);
		if (was_open && !p.closed && a->n_rules && !a->open) {
			bool denies = false;

			for (size_t i = 0; i < a->n_rules; i++)
				denies |= !a->rules[i].allow;
			if (!denies)
				cli_warn(
					cli,
					"network '%s' is open, and so --allow alone changes nothing; --isolated closes it",
					cli->network_name);
		}
	}
	if (cli->json)
		return cli_json(cli, json_pack("{s:s, s:o}", "network", cli->network_name, "policy", policy_json(&p)));
	cli_say(cli, "outside of network %s: ", cli->network_name);
	policy_print(stdout, &p, "  ");
	return CLI_OK;
}

static int rm(struct cli *cli, const struct net_args *a)
{
	int status = CLI_OK;

	for (size_t i = 0; i < a->n; i++) {
		struct network_error e = {.what = ""};
		int r = network_remove(a->names[i], a->force, &e);

		if (r == -EBUSY)
			status = cli_fail(
				cli, 0,
				"network '%s' is in use: 'berth ls --all -n %s' shows by whom, 'berth net rm -f %s' removes "
				"it all the same",
				a->names[i], a->names[i], a->names[i]);
		else if (r == -ENOENT)
			status = cli_fail(cli, 0, "there is no network '%s'", a->names[i]);
		else if (r < 0)
			status = cli_fail(cli, e.what[0] ? 0 : r, "%s",
					  e.what[0] ? e.what : "cannot remove the network");
		else if (!cli->json)
			cli_say(cli, "network %s is gone\n", a->names[i]);
	}
	return status;
}

static int add_name(struct cli *cli, struct net_args *a)
{
	if (a->n == ARGS_MAX)
		return cli_usage(cli, "too many names");
	if (!network_name_ok(cli->value))
		return cli_usage(
			cli,
			"'%s' cannot be the name of a network: letters, digits and hyphens inside, at most 63 characters",
			cli->value);
	a->names[a->n++] = cli->value;
	return 0;
}

/* Without a name 'show' and 'policy' are about the network that the other commands are about in this folder. */
static int choose_network(struct cli *cli, const struct net_args *a)
{
	int r;

	if (a->n > 1)
		return cli_usage(cli, "one network at a time");
	if (a->n == 1) {
		cli->network_name = a->names[0];
		cli->network_given = true;
		return 0;
	}
	r = conf_read(cli, &cli->conf);
	if (r == 0 && cli->conf->network[0])
		cli->network_name = cli->conf->network;
	return r;
}

static int read_args(struct cli *cli, const char **ret_verb, struct net_args *a)
{
	int o, r;

	while ((o = cli_next(cli)) != CLI_END) {
		if (policy_option(cli, &a->policy, o))
			continue;
		switch (o) {
		case 'f':
			a->force = true;
			break;
		case 'n': /* as everywhere else */
			r = add_name(cli, a);
			if (r != 0)
				return r;
			break;
		case OPT_SUBNET:
			a->subnet = cli->value;
			break;
		case OPT_PRIVILEGED:
			if (strcmp(cli->value, "deny") != 0 && strcmp(cli->value, "allow") != 0)
				return cli_usage(cli, "--privileged-ports is 'allow' or 'deny', not '%s'", cli->value);
			a->deny = strcmp(cli->value, "deny") == 0;
			a->privileged_given = true;
			break;
		case CLI_ARG:
			if (!*ret_verb)
				*ret_verb = cli->value;
			else if ((r = add_name(cli, a)) != 0)
				return r;
			break;
		default:
			return cli->status == CLI_OK ? -1 : cli->status; /* -1: --help has been printed */
		}
	}
	return 0;
}

static int run(struct cli *cli)
{
	static const char *const verbs[] = {"create", "ls", "show", "policy", "rm"};
	const char *verb = NULL, *near;
	struct net_args a = {.n = 0};
	int r = read_args(cli, &verb, &a);

	if (r != 0)
		return r < 0 ? CLI_OK : r;
	if (!verb)
		return cli_usage(cli, "what about networks? create, ls, show, policy or rm");
	if ((a.subnet || a.privileged_given) && strcmp(verb, "create") != 0)
		return cli_usage(cli, "--subnet and --privileged-ports belong to 'create'");
	if (policy_given(&a.policy) && strcmp(verb, "create") != 0 && strcmp(verb, "policy") != 0)
		return cli_usage(cli, "--isolated, --allow and their kin belong to 'create' and 'policy'");
	if (a.policy.clear && strcmp(verb, "create") == 0)
		return cli_usage(cli, "--clear belongs to 'policy': a new network has no rules yet");
	r = policy_check(cli, &a.policy);
	if (r != 0)
		return r;
	if (a.force && strcmp(verb, "rm") != 0)
		return cli_usage(cli, "--force belongs to 'rm'");
	if (strcmp(verb, "ls") == 0)
		return a.n == 0 ? ls(cli)
				: cli_usage(cli, "'ls' takes no names; 'berth net show %s' shows one", a.names[0]);
	if (strcmp(verb, "show") == 0 || strcmp(verb, "policy") == 0) {
		r = choose_network(cli, &a);
		return r != 0 ? r : verb[0] == 's' ? show(cli) : policy(cli, &a.policy);
	}
	if (strcmp(verb, "create") == 0)
		return a.n == 1 ? create(cli, &a) : cli_usage(cli, "one name, please: berth net create NAME");
	if (strcmp(verb, "rm") == 0)
		return a.n >= 1 ? rm(cli, &a) : cli_usage(cli, "which network? berth net rm NAME");
	near = cli_nearest(verb, verbs, COUNT_OF(verbs), sizeof(verbs[0]));
	return near ? cli_usage(cli, "no such thing to do: '%s'; did you mean 'berth net %s'?", verb, near)
		    : cli_usage(cli, "no such thing to do: '%s'; there are create, ls, show, policy and rm", verb);
}

static const struct cli_option options[] = {
	{OPT_SUBNET, "subnet", "NET/BITS", "create: the IPv4 subnet (default: one that meets no route of the machine)"},
	{OPT_PRIVILEGED, "privileged-ports", "allow|deny", "create: may ports below 1024 be had (default: allow)"},
	POLICY_OPTIONS,
	{OPT_POLICY_CLEAR, "clear", NULL, "policy: forget all rules; open stays open and closed closed"},
	{'n', "network", "NAME", "the network, if it is not named behind the verb"},
	{'f', "force", NULL, "rm: also when programs are running in it"},
	{0},
};

const struct cmd cmd_net = {
	"net",
	"create|ls|show|policy|rm [options] [NETWORK...]",
	"make, list, show and remove networks, and say what may leave them",
	"A network is a directory that only you can enter. The first 'berth run' in it makes it, too; its hosts\n"
	"keep their addresses until it is removed. 'rm' refuses while a program holds a port in it.\n"
	"\n"
	"Programs reach the outside unless the network is told otherwise, when it is made or later; a change holds\n"
	"at once. --isolated and --open begin anew, --allow and --deny add a rule each (docs/policy.md). For\n"
	"programs that cooperate: it is no sandbox.\n"
	"\n"
	"Examples:\n"
	"  berth net create lab --subnet 10.99.0.0/24\n"
	"  berth net ls\n"
	"  berth net show lab             hosts, addresses, counts, where it is\n"
	"  berth net create lab2 --allow gateway:5432 --allow 10.0.0.0/8:443/tcp\n"
	"  berth net policy lab --deny 192.168.1.1 --deny :smtp\n"
	"  berth net policy lab --isolated\n"
	"  berth net policy lab           what may leave it now\n"
	"  berth net rm lab\n",
	CMD_JSON,
	options,
	run,
};
