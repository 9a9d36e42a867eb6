/* src/cli/cmd_why.c: `berth why PORT`: would a bind work, and if not, why, and what would.
 *
 * Two worlds can be meant. The machine's own kernel is answered for by why.c; a host of a network by its table
 * (network_probe()), where nothing is bound. Without a word about it the machine's answer comes first and decides the exit code, and
 * that of host 'local' of the network follows, if there is one. Within `berth run` it is the run's own host that programs bind on, so
 * that is asked.
 *
 * The question is that of a server with no options set, unless they are given: what the kernel would say depends
 * on them.
 */
#include <errno.h>
#include <linux/capability.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/rows.h"
#include "cli/why.h"
#include "cli/worlds.h"

enum { OPT_UDP = CLI_LONG + 1, OPT_REUSEADDR, OPT_REUSEPORT, OPT_LISTEN, OPT_V6ONLY, OPT_USER, OPT_FROM };

/* A table for a host that nobody has made yet: every port of it is free, but for what is wrong by itself. */
static int probe_nothing(const struct port_want *want, struct port_refusal *reterr)
{
	bool local = port_addr_is_any(&want->addr) || port_addr_is_loopback(&want->addr);

	*reterr = (struct port_refusal){0};
	if (!local)
		*reterr = (struct port_refusal){.err = -EADDRNOTAVAIL, .rule = PORT_RULE_NOT_LOCAL};
	return reterr->err;
}

/* A network's answer, as JSON in *ret_json or said. Return: CLI_OK, free; CLI_NO; others, said. */
static int answer(struct cli *cli, uint32_t host_index, bool exists, const struct port_want *want, bool listen,
		  json_t **ret_json)
{
	struct port_refusal refusal = {0};
	struct port_explanation x = {0};
	struct port_holder holder;
	char port[16], endpoint[PORT_ENDPOINT_STR_MAX];
	const char *name;
	uint16_t near = 0;
	int r = exists ? network_probe(&cli->net, host_index, want, listen, &refusal) : probe_nothing(want, &refusal);

	if (r == -ETIMEDOUT)
		return cli_fail(cli, 0, "host '%s' is locked by a process that is stopped or does not let go",
				cli->host_name);
	if (r == -EUCLEAN)
		return cli_fail(cli, 0, "the port table of host '%s' is damaged and cannot be mended", cli->host_name);
	refusal.err = r;
	holder = (struct port_holder){.age_us = NEVER_US};
	if (exists)
		explain_refusal(cli, host_index, want, &refusal, &x, &holder, &near);
	else
		port_explain(want, &refusal, NULL, 0, &x);
	if (cli->json) {
		json_t *j = explain_json(&x, &refusal, &holder, near);

		json_object_set_new(j, "world", json_string("network"));
		json_object_set_new(j, "port", json_integer(want->port));
		json_object_set_new(j, "proto", json_string(port_proto_name[want->proto]));
		json_object_set_new(j, "address", json_string(port_addr_print(&want->addr, endpoint)));
		json_object_set_new(j, "host", json_string(cli->host_name));
		json_object_set_new(j, "network", json_string(cli->network_name));
		json_object_set_new(j, "free", json_boolean(r == 0));
		*ret_json = j;
		return r == 0 ? CLI_OK : CLI_NO;
	}
	port_endpoint_print(&want->addr, want->port, endpoint);
	if (r == 0)
		return cli_say(cli, "%s is free on host %s: a bind%s to %s would work\n",
			       cli_port(want->port, want->proto, port), cli->host_name, listen ? " and listen" : "",
			       endpoint);
	name = strerrorname_np(-r);
	cli_say(cli, "%s\n", x.what);
	cli_say(cli, "  a bind%s to %s on host %s would fail: %s\n", listen ? " and listen" : "", endpoint,
		cli->host_name, name ? name : "error");
	explain_lines(stdout, &x, explain_columns(stdout));
	return CLI_NO;
}

static int set_address(struct cli *cli, const char *text, struct port_want *want)
{
	struct port_parse_error e = {.what = "this is not an address"};

	if (strcmp(text, "*") == 0)
		want->addr = PORT_ADDR_ANY4;
	else if (strcmp(text, "localhost") == 0)
		want->addr = PORT_ADDR_LOOP4;
	else if (port_addr_parse(text, &want->addr, &e) < 0)
		return cli_usage_at(cli, text, &e);
	return 0;
}

/* As a program that we start would be (CAP_NET_BIND_SERVICE). */
static bool may_bind_low(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &head, data) == 0 && (data[0].effective & (1u << CAP_NET_BIND_SERVICE));
}

/* What was asked, as it was written. */
struct question {
	const char *what, *address, *user, *from;
	char **command; /* what follows "--" */
	bool options;	/* some were given */
	struct port_endpoint e;
	struct why_asked q;
};

static int set_user(struct cli *cli, const char *user, struct port_want *want)
{
	struct passwd *pw = getpwnam(user);
	char *end;
	unsigned long uid = strtoul(user, &end, 10);

	if (pw)
		want->uid = pw->pw_uid;
	else if (*user >= '0' && *user <= '9' && !*end && uid < UINT32_MAX)
		want->uid = (uint32_t)uid;
	else
		return cli_usage(cli, "there is no user '%s' on this machine", user);
	return 0;
}

/* An address, or a name that has one. */
static int set_from(struct cli *cli, const char *text, struct why_asked *q)
{
	const struct addrinfo hint = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct port_parse_error e;

	q->has_from = true;
	q->from_text = text;
	if (port_addr_parse(text, &q->from, &e) == 0)
		return 0;
	if (strchr(text, ':') || text[0] == '\0')
		return cli_usage_at(cli, text, &e);
	if (getaddrinfo(text, NULL, &hint, &found) != 0 || !found)
		return cli_usage(cli, "--from: '%s' is no address, and no name that has one now", text);
	if (found->ai_family == AF_INET)
		q->from = port_addr_from4((uint8_t *)&((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr);
	else
		q->from = port_addr_from6((uint8_t *)&((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, 0);
	freeaddrinfo(found);
	return 0;
}

static int take_options(struct cli *cli, struct question *a)
{
	struct port_want *want = &a->q.want;
	int o;

	while ((o = cli_next(cli)) != CLI_END) {
		a->options |= o != CLI_ARG && o != CLI_DONE;
		switch (o) {
		case 'a':
			a->address = cli->value;
			break;
		case OPT_UDP:
			want->proto = PORT_UDP;
			break;
		case OPT_REUSEADDR:
			want->flags |= PORT_REUSEADDR;
			break;
		case OPT_REUSEPORT:
			want->flags |= PORT_REUSEPORT;
			break;
		case OPT_V6ONLY:
			want->flags |= PORT_V6ONLY;
			break;
		case OPT_LISTEN:
			a->q.listen = true;
			break;
		case OPT_USER:
			a->user = cli->value;
			break;
		case OPT_FROM:
			a->from = cli->value;
			break;
		case CLI_ARG:
			if (cli->only_args && !a->what) {
				a->command = cli->argv + cli->at - 1;
				return 0;
			}
			if (a->what)
				return cli_usage(cli, "one port at a time: '%s'", cli->value);
			a->what = cli->value;
			break;
		default:
			if (o == CLI_DONE || !worlds_option(cli, o))
				return cli->status ? cli->status : -1;
		}
	}
	return a->what ? 0 : cli_usage(cli, "which port? berth why 80");
}

static int parse(struct cli *cli, struct question *a)
{
	struct port_want *want = &a->q.want;
	int r = take_options(cli, a);

	if (r == 0 && a->command)
		return 0;
	if (r == 0)
		r = cli_endpoint(cli, a->what, &a->e);
	if (r != 0)
		return r;
	if (a->e.ports.first != a->e.ports.last)
		return cli_usage(cli, "one port at a time, not the range %u-%u", a->e.ports.first, a->e.ports.last);
	if (a->e.has_proto && want->proto == PORT_UDP && a->e.proto != PORT_UDP)
		return cli_usage(cli, "'%s' says tcp and --udp says udp", a->what);
	if (a->e.has_proto)
		want->proto = a->e.proto;
	want->port = a->e.ports.first;
	if (a->e.has_addr)
		want->addr = a->e.addr;
	if (strcmp(a->e.host, "localhost") == 0)
		want->addr = PORT_ADDR_LOOP4;
	else if (a->e.host[0]) {
		cli->host_name = a->e.host;
		cli->host_given = true;
	}
	if (a->address)
		r = set_address(cli, a->address, want);
	if (r == 0 && a->user)
		r = set_user(cli, a->user, want);
	if (r == 0 && a->from)
		r = set_from(cli, a->from, &a->q);
	if (r != 0)
		return r;
	if (a->q.listen && want->proto == PORT_UDP)
		return cli_usage(cli, "UDP does not listen: leave --listen out");
	if (!port_addr_is4(&want->addr) || (want->flags & PORT_V6ONLY))
		want->family = PORT_FAMILY_6;
	if (want->family == PORT_FAMILY_6 && !a->address && !a->e.has_addr)
		want->addr = PORT_ADDR_ANY6;
	return 0;
}

static int answer_network(struct cli *cli, const struct question *a, const struct worlds *w, json_t **ret_json)
{
	struct network_host host = {0};
	struct port_want want = a->q.want;
	bool no_host = false;
	int r = w->missing ? 0 : cli_host(cli, false, &host, &no_host);

	if (r != 0)
		return r;
	if (!w->one_network && (w->missing || no_host))
		return -1; /* nothing to say about it */
	if (!w->one_network && !cli->json)
		cli_say(cli, "\n");
	if (!w->missing) {
		struct network_info info;

		network_get_info(&cli->net, &info);
		if (!info.privileged_deny || may_bind_low())
			want.flags |= PORT_PRIVILEGED;
	}
	return answer(cli, host.index, !w->missing && !no_host, &want, a->q.listen, ret_json);
}

static int answer_machine(struct cli *cli, struct question *a, const struct worlds *w, json_t **ret_json)
{
	static struct why why;
	struct published_list published = {0};
	int r;

	if (a->user ? a->q.want.uid == 0 : may_bind_low())
		a->q.want.flags |= PORT_PRIVILEGED;
	if (w->networks && !w->missing && published_read(cli, &published) != 0)
		published = (struct published_list){0}; /* said */
	r = why_ask(cli, &a->q, &published, &why);
	published_free(&published);
	if (r != 0)
		return r;
	r = why.a.refusal.err == 0 ? CLI_OK : CLI_NO;
	if (cli->json)
		*ret_json = why_json(&why);
	else
		why_print(stdout, cli, &why);
	why_free(&why);
	return r;
}

/* Hosts of the network that have it, as programs in them are not on the machine. */
static void say_other_hosts(struct cli *cli, const struct question *a, bool json, json_t **ret_json)
{
	const struct rows_filter f = {.has_ports = true,
				      .ports = a->e.ports,
				      .has_proto = true,
				      .proto = a->q.want.proto};
	struct rows rows;
	const char *last = "";
	size_t n = 0;

	*ret_json = json_array();
	if (rows_read(cli, &f, &rows) != 0)
		return; /* said */
	for (size_t i = 0; i < rows.n; i++) {
		if (strcmp(rows.r[i].host, last) == 0)
			continue;
		last = rows.r[i].host;
		json_array_append_new(*ret_json, json_string(last));
		if (!json && n < 4)
			cli_say(cli, "%s%s",
				n ? ", " : "\nhosts of berth that have a port of that number, each its own: ", last);
		else if (!json && n == 4)
			cli_say(cli, "...");
		n++;
	}
	if (n && !json)
		cli_say(cli, " (berth why %s:%u%s)\n", rows.r[0].host, a->q.want.port,
			a->q.want.proto == PORT_UDP ? "/udp" : "");
	rows_free(&rows);
}

/* The machine's answer decides; what follows is beside it. */
static int answer_both(struct cli *cli, struct question *a, const struct worlds *w)
{
	json_t *machine = NULL, *network = NULL, *hosts = NULL;
	int r = answer_machine(cli, a, w, &machine), n;

	if (r != CLI_OK && r != CLI_NO)
		return r;
	a->q.want.flags &= (uint16_t)~PORT_PRIVILEGED;
	n = w->networks ? answer_network(cli, a, w, &network) : -1;
	if (n > CLI_NO) {
		json_decref(machine);
		return n;
	}
	if (w->networks && !w->missing && n < 0)
		say_other_hosts(cli, a, cli->json, &hosts);
	if (!cli->json) {
		json_decref(hosts);
		return r;
	}
	json_object_set_new(machine, "hosts", hosts ? hosts : json_array());
	json_object_set_new(machine, "networks", network ? json_pack("[o]", network) : json_array());
	n = cli_json(cli, machine);
	return n == CLI_OK ? r : n;
}

static int say_no_from(struct cli *cli)
{
	return cli_usage(cli,
			 "--from is about the machine's own ports: 'berth publish' lets callers from elsewhere in");
}

static int run(struct cli *cli)
{
	static struct question a;
	struct worlds w = {0};
	json_t *network = NULL;
	bool inside;
	int r;

	a.q.want = (struct port_want){.proto = PORT_TCP,
				      .family = PORT_FAMILY_4,
				      .addr = PORT_ADDR_ANY4,
				      .uid = geteuid()};
	r = parse(cli, &a);
	if (r != 0)
		return r < 0 ? CLI_OK : r;
	if (a.command && (a.options || cli->network_given || cli->host_given || cli->json))
		return cli_usage(cli,
				 "with a command there are no options: each of its binds is a question of its own");
	if (a.command)
		return why_command(cli, a.command);
	inside = !worlds_machine_only() && !cli->host_given && worlds_be_inside(cli);
	if (a.from && (cli->network_given || cli->host_given))
		return say_no_from(cli);
	r = worlds_choose(cli, &w);
	if (r != 0)
		return r;
	if (!w.one_network && a.q.want.port == 0)
		return cli_usage(cli, "port 0 is a request for any port, and never in use");
	if (!w.one_network)
		return answer_both(cli, &a, &w);
	if (a.from)
		return say_no_from(cli);
	r = answer_network(cli, &a, &w, &network);
	if (network && cli_json(cli, network) != CLI_OK)
		return CLI_FAILED;
	if (inside && !cli->json && (r == CLI_OK || r == CLI_NO))
		cli_say(cli,
			"\nthat is the host of this 'berth run'; of the machine's own port: berth why --machine %u\n",
			a.q.want.port);
	return r;
}

static const struct cli_option options[] = {
	{'a', "address", "ADDRESS", "the address to bind (default: 0.0.0.0; :: is both families)"},
	{OPT_UDP, "udp", NULL, "UDP instead of TCP (or write 53/udp)"},
	{OPT_REUSEADDR, "reuseaddr", NULL, "as a socket with SO_REUSEADDR"},
	{OPT_REUSEPORT, "reuseport", NULL, "as a socket with SO_REUSEPORT"},
	{OPT_V6ONLY, "v6only", NULL, "as a socket with IPV6_V6ONLY"},
	{OPT_LISTEN, "listen", NULL, "listen, too: it is checked again then"},
	{OPT_USER, "user", "USER", "as a program of that user (default: you)"},
	{OPT_FROM, "from", "HOST", "and would a caller there reach it?"},
	{WORLDS_MACHINE, "machine", NULL, "only the machine's own port, no network's"},
	{0},
};

const struct cmd cmd_why = {
	"why",
	"[options] PORT | -- COMMAND [ARGUMENT...]",
	"say why a port cannot be had, and what would work",
	"Says what a bind would answer now: on the machine, and on host 'local' of the network, if there is one; -H\n"
	"and -n ask one host, --machine the machine alone. Nothing is listened on and no options are shared that\n"
	"could take traffic; a port that is free is proved so by a bind. Exits 0 when it is free, 1 when it\n"
	"would be refused (of the machine's, when both are told); then it says who holds it, as what, when that ends, which rule decides,\n"
	"and what would work instead. Notes tell of what is no conflict and hurts all the same.\n"
	"\n"
	"With a command it runs that on the machine, not on a network, and explains on standard error each bind of\n"
	"its tree that is refused. Exits as the command does.\n"
	"\n"
	"Examples:\n"
	"  berth why 8080                        a server's plain bind\n"
	"  berth why 8080 --address :: --listen  as most servers do\n"
	"  berth why 80 --user www-data          as that user\n"
	"  berth why 5432 --from 10.0.0.7        would it be reached from there?\n"
	"  berth why 127.0.0.1:53/udp\n"
	"  berth why -- npm run dev              which of its binds fails, and why\n"
	"  berth why 80 -H web --reuseport       on a host of berth's network\n"
	"  berth why 80 --json | jq -r .reason   a word of docs/reasons.md\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON | CMD_ASKS,
	options,
	run,
};
