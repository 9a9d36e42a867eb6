/* src/cli/cmd_name.c: `berth name`: from a number to its names and back (RFC 6335), and to who listens.
 *
 * A number shows its primary name first, then aliases, then names that are only seen in practice and
 * say so. A name shows its numbers; a word that is no name is searched for in names and descriptions.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/explain.h"
#include "cli/offers.h"

enum { ROWS_MAX = 64 };

static const char *source_name(enum port_service_source s)
{
	switch (s) {
	case PORT_SERVICE_IANA:
		return "iana";
	case PORT_SERVICE_ALIAS:
		return "alias";
	case PORT_SERVICE_OBSERVED:
		return "observed";
	case PORT_SERVICE_OVERLAY:
		return "local";
	}
	return "?";
}

static char *print_ports(const struct port_service *s, char out[32])
{
	if (s->first == s->last)
		snprintf(out, 32, "%u/%s", s->first, port_proto_name[s->proto]);
	else
		snprintf(out, 32, "%u-%u/%s", s->first, s->last, port_proto_name[s->proto]);
	return out;
}

static void print_row(struct cli *cli, const struct port_service *s)
{
	static const char *const note[] = {
		[PORT_SERVICE_IANA] = "",
		[PORT_SERVICE_ALIAS] = "alias",
		[PORT_SERVICE_OBSERVED] = "seen in practice, not registered",
		[PORT_SERVICE_OVERLAY] = "from /etc/services or the network's own file",
	};
	char ports[32], name[sizeof(s->name)], text[sizeof(s->description)];

	snprintf(name, sizeof(name), "%s", s->name);
	snprintf(text, sizeof(text), "%s", s->description);
	cli_clean(name);
	cli_clean(text);
	cli_say(cli, "%-15s %-16s", print_ports(s, ports), name);
	if (text[0])
		cli_say(cli, " %s", text);
	if (note[s->source][0])
		cli_say(cli, " (%s)", note[s->source]);
	cli_say(cli, "\n");
}

static json_t *row_json(const struct port_service *s)
{
	return json_pack("{s:i, s:i, s:s, s:o, s:s, s:o, s:b, s:s}", "port", (int)s->first, "last_port", (int)s->last,
			 "proto", port_proto_name[s->proto], "name", cli_json_text(s->name), "source",
			 source_name(s->source), "description", cli_json_text(s->description), "browser_blocked",
			 port_is_browser_blocked(s->first), "class", port_class_name[port_class_of(s->first)]);
}

static int print_all(struct cli *cli, const struct port_service *rows, uint32_t n, uint32_t shown)
{
	json_t *a;

	if (!cli->json) {
		for (uint32_t i = 0; i < shown; i++)
			print_row(cli, &rows[i]);
		if (n > shown)
			cli_say(cli, "and %u more\n", n - shown);
		return n > 0 ? CLI_OK : CLI_NO;
	}
	a = json_array();
	for (uint32_t i = 0; i < shown; i++)
		json_array_append_new(a, row_json(&rows[i]));
	if (cli_json(cli, a) != CLI_OK)
		return CLI_FAILED;
	return n > 0 ? CLI_OK : CLI_NO;
}

/* One name for one number and protocol is enough: /etc/services repeats much of the registry. */
static uint32_t drop_repeats(struct port_service *rows, uint32_t n)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = 0;

		while (k < kept && (strcasecmp(rows[k].name, rows[i].name) != 0 || rows[k].proto != rows[i].proto ||
				    rows[k].first != rows[i].first))
			k++;
		if (k == kept)
			rows[kept++] = rows[i];
		else if (rows[k].source == PORT_SERVICE_OVERLAY && rows[i].source != PORT_SERVICE_OVERLAY)
			rows[k] = rows[i]; /* the registry says more */
	}
	return kept;
}

static int by_number(struct cli *cli, uint16_t port, int proto)
{
	static struct port_service rows[ROWS_MAX];
	uint32_t n = port_service_all(port, proto, cli_services(cli), rows, ROWS_MAX);
	uint32_t shown = drop_repeats(rows, n < ROWS_MAX ? n : ROWS_MAX);
	int r = print_all(cli, rows, shown, shown);

	if (cli->json)
		return r;
	if (n == 0)
		cli_say(cli, "%u has no name; it is a %s port\n", port, port_class_name[port_class_of(port)]);
	if (port_is_browser_blocked(port))
		cli_say(cli, "web browsers refuse to connect to port %u\n", port);
	return r;
}

static int by_name(struct cli *cli, const char *name, int proto, bool search)
{
	static struct port_service rows[ROWS_MAX];
	uint32_t n = 0, shown;
	char text[80];

	for (int p = 0; p < PORT_NPROTOS && !search; p++)
		if ((proto < 0 || proto == p) &&
		    port_service_find(name, (enum port_proto)p, cli_services(cli), &rows[n]) == 0)
			n++;
	if (n > 0) {
		int r = print_all(cli, rows, n, n);

		offers_mention(cli, name);
		return r;
	}
	n = port_service_search(name, proto, cli_services(cli), rows, ROWS_MAX);
	shown = n < ROWS_MAX ? n : ROWS_MAX;
	if (n <= ROWS_MAX)
		n = shown = drop_repeats(rows, shown);
	snprintf(text, sizeof(text), "%s", name);
	cli_clean(text);
	if (n == 0 && !cli->json) {
		cli_say(cli, "no service is called '%s', and none says so in its description\n", text);
		return CLI_NO;
	}
	if (!search && !cli->json)
		cli_say(cli, "no service is called '%s'; it occurs in:\n", text);
	if (print_all(cli, rows, n, shown) == CLI_FAILED)
		return CLI_FAILED;
	return search && n > 0 ? CLI_OK : CLI_NO;
}

/* The network has names of its own for ports, if there is one. Nobody needs one to ask for a number.
 * Return: 0; an exit code, said. */
static int know_network(struct cli *cli)
{
	static const struct network_options only_open;
	struct network_error e;

	if (cli->network_given)
		return cli_network(cli, NULL, NULL);
	if (network_open(&cli->net, cli->network_name, &only_open, &e) < 0)
		cli->net.dir[0] = '\0';
	return 0;
}

static int run(struct cli *cli)
{
	struct offers_question q;
	const char *what = NULL, *slash;
	bool search = false;
	char name[64];
	int o, proto = -1;
	uint16_t port;

	while ((o = cli_next(cli)) != CLI_END) {
		if (o == 's')
			search = true;
		else if (o == CLI_ARG && !what)
			what = cli->value;
		else
			return o == CLI_ARG ? cli_usage(cli, "one port or name at a time: '%s'", cli->value)
					    : cli->status;
	}
	if (!what || !*what)
		return cli_usage(cli, "which port or name? berth name 443, berth name https");
	o = know_network(cli);
	if (o != 0)
		return o;
	if (!search && offers_parse(cli, what, &q, &o)) {
		if (o == 0 && cli->host_given && !q.host[0])
			snprintf(q.host, sizeof(q.host), "%s", cli->host_name);
		return o != 0 ? o : offers_answer(cli, &q);
	}
	slash = strrchr(what, '/');
	if (slash && strcasecmp(slash, "/udp") == 0)
		proto = PORT_UDP;
	else if (slash && strcasecmp(slash, "/tcp") == 0)
		proto = PORT_TCP;
	if (snprintf(name, sizeof(name), "%.*s", (int)(proto >= 0 ? (size_t)(slash - what) : strlen(what)), what) >=
	    (int)sizeof(name))
		return cli_usage(cli, "that is too long to be the name of a port");
	if (!search && name[0] && strspn(name, "0123456789") == strlen(name)) {
		struct port_parse_error e = {.what = "this is not a port"};

		if (port_number_parse(name, &port, &e) < 0)
			return cli_usage_at(cli, name, &e);
		return by_number(cli, port, proto);
	}
	return by_name(cli, name, proto, search);
}

static const struct cli_option options[] = {
	{'s', "search", NULL, "search names and descriptions for a word"},
	{0},
};

const struct cmd cmd_name = {
	"name",
	"[options] PORT|NAME",
	"from a port's number to its names, and back",
	"Knows the whole IANA registry, /etc/services, and ports seen in practice that nobody registered (it\n"
	"says so). Exits 1 when there is no such name; what comes near is then listed.\n"
	"\n"
	"_SERVICE._tcp and SERVICE@HOST ask who in the network listens on it, as a DNS SRV look-up does: of one\n"
	"host, or of all when none is named. Exits 1 when nobody does.\n"
	"\n"
	"Examples:\n"
	"  berth name 443\n"
	"  berth name 53/udp\n"
	"  berth name postgresql\n"
	"  berth name --search redis\n"
	"  berth name _http._tcp              every web server of the network: host, address, port, program\n"
	"  berth name _http._tcp.web          those of host 'web'; or http@web\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON,
	options,
	run,
};
