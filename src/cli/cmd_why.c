/* src/cli/cmd_why.c: `berth why PORT`: would a bind work, and if not, why, and what would.
 *
 * Asks the table (network_probe()); nothing is bound, nobody is disturbed. The question
 * is that of a server with no options set, unless they are given: what the kernel would say depends
 * on them.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/explain.h"

enum { OPT_UDP = CLI_LONG + 1, OPT_REUSEADDR, OPT_REUSEPORT, OPT_LISTEN, OPT_V6ONLY };

/* A table for a host that nobody has made yet: every port of it is free, but for what is wrong by itself. */
static int probe_nothing(const struct port_want *want, struct port_refusal *reterr)
{
	bool local = port_addr_is_any(&want->addr) || port_addr_is_loopback(&want->addr);

	*reterr = (struct port_refusal){0};
	if (!local)
		*reterr = (struct port_refusal){.err = -EADDRNOTAVAIL, .rule = PORT_RULE_NOT_LOCAL};
	return reterr->err;
}

static int answer(struct cli *cli, uint32_t host_index, bool exists, const struct port_want *want, bool listen)
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

		json_object_set_new(j, "port", json_integer(want->port));
		json_object_set_new(j, "proto", json_string(port_proto_name[want->proto]));
		json_object_set_new(j, "address", json_string(port_addr_print(&want->addr, endpoint)));
		json_object_set_new(j, "host", json_string(cli->host_name));
		json_object_set_new(j, "network", json_string(cli->network_name));
		json_object_set_new(j, "free", json_boolean(r == 0));
		if (cli_json(cli, j) != CLI_OK)
			return CLI_FAILED;
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

static int run(struct cli *cli)
{
	struct port_want want = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4, .uid = geteuid()};
	const char *what = NULL, *address = NULL;
	bool listen = false, missing, no_host = false;
	struct network_host host = {0};
	struct port_endpoint e;
	int o, r;

	while ((o = cli_next(cli)) != CLI_END) {
		switch (o) {
		case 'a':
			address = cli->value;
			break;
		case OPT_UDP:
			want.proto = PORT_UDP;
			break;
		case OPT_REUSEADDR:
			want.flags |= PORT_REUSEADDR;
			break;
		case OPT_REUSEPORT:
			want.flags |= PORT_REUSEPORT;
			break;
		case OPT_V6ONLY:
			want.flags |= PORT_V6ONLY;
			break;
		case OPT_LISTEN:
			listen = true;
			break;
		case CLI_ARG:
			if (what)
				return cli_usage(cli, "one port at a time: '%s'", cli->value);
			what = cli->value;
			break;
		default:
			return cli->status;
		}
	}
	if (!what)
		return cli_usage(cli, "which port? berth why 80");
	r = cli_endpoint(cli, what, &e);
	if (r != 0)
		return r;
	if (e.ports.first != e.ports.last)
		return cli_usage(cli, "one port at a time, not the range %u-%u", e.ports.first, e.ports.last);
	if (e.has_proto && want.proto == PORT_UDP && e.proto != PORT_UDP)
		return cli_usage(cli, "'%s' says tcp and --udp says udp", what);
	if (e.has_proto)
		want.proto = e.proto;
	want.port = e.ports.first;
	if (e.has_addr)
		want.addr = e.addr;
	if (strcmp(e.host, "localhost") == 0)
		want.addr = PORT_ADDR_LOOP4;
	else if (e.host[0]) {
		cli->host_name = e.host;
		cli->host_given = true;
	}
	r = address ? set_address(cli, address, &want) : 0;
	if (r != 0)
		return r;
	if (listen && want.proto == PORT_UDP)
		return cli_usage(cli, "UDP does not listen: leave --listen out");
	if (!port_addr_is4(&want.addr) || (want.flags & PORT_V6ONLY))
		want.family = PORT_FAMILY_6;
	if (want.family == PORT_FAMILY_6 && !address && !e.has_addr)
		want.addr = PORT_ADDR_ANY6;

	r = cli_network(cli, NULL, &missing);
	if (r == 0 && !missing)
		r = cli_host(cli, false, &host, &no_host);
	if (r != 0)
		return r;
	if (!missing) {
		struct network_info info;

		network_get_info(&cli->net, &info);
		if (!info.privileged_deny || may_bind_low())
			want.flags |= PORT_PRIVILEGED;
	}
	return answer(cli, host.index, !missing && !no_host, &want, listen);
}

static const struct cli_option options[] = {
	{'a', "address", "ADDRESS", "the address to bind (default: 0.0.0.0; :: is both families)"},
	{OPT_UDP, "udp", NULL, "UDP instead of TCP (or write 53/udp)"},
	{OPT_REUSEADDR, "reuseaddr", NULL, "as a socket with SO_REUSEADDR"},
	{OPT_REUSEPORT, "reuseport", NULL, "as a socket with SO_REUSEPORT"},
	{OPT_V6ONLY, "v6only", NULL, "as a socket with IPV6_V6ONLY"},
	{OPT_LISTEN, "listen", NULL, "listen, too: it is checked again then"},
	{0},
};

const struct cmd cmd_why = {
	"why",
	"[options] PORT",
	"say why a port cannot be had, and what would work",
	"Asks what a bind would answer now, without binding. Exits 0 when the port is free, 1 when it would\n"
	"be refused; then it says who holds it, which rule decides, and what would work instead.\n"
	"\n"
	"Examples:\n"
	"  berth why 80                          on host 'local', all addresses\n"
	"  berth why 80 -H web --reuseport       with the option set\n"
	"  berth why 8080 --address :: --listen  as most servers do\n"
	"  berth why 127.0.0.1:53/udp\n"
	"  berth why 80 --json | jq -r .reason   a word of docs/reasons.md\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON | CMD_ASKS,
	options,
	run,
};
