/* src/cli/cmd_name.c: `berth name`: from a number to its names and back (RFC 6335), and to who listens.
 *
 * Every argument is a number, a range, a name, or with --search a part of one. What they mean comes into one table: a
 * number's primary name first, then aliases, then names that are only seen in practice and say so; beside each who uses
 * the port here. What is to be said besides (a number without a name, a port that browsers refuse) follows the
 * table. A word that is no name is answered by what it may have meant and by the names it occurs in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/name.h"
#include "cli/offers.h"
#include "cli/registry.h"

enum { OPT_UPDATE = CLI_LONG + 1, OPT_REMOVE, OPT_REGISTRY };
enum { NEAR_SHOWN = 20 }; /* rows for a word that nobody asked to search for */

struct asking {
	struct cli *cli;
	bool search;
	struct name_rows table; /* what was found, until it is printed */
	json_t *json;
	FILE *notes; /* what follows the table */
	char *notes_text;
	size_t notes_len;
	bool none; /* something had no answer */
};

/* The ports of these rows, as one range around them. */
static struct port_range span(const struct name_rows *rows)
{
	struct port_range r = {UINT16_MAX, 0};

	for (size_t i = 0; i < rows->n; i++) {
		r.first = rows->r[i].first < r.first ? rows->r[i].first : r.first;
		r.last = rows->r[i].last > r.last ? rows->r[i].last : r.last;
	}
	return r;
}

static void show(struct asking *a, const struct name_rows *rows, size_t max)
{
	struct name_uses uses;

	if (rows->n == 0)
		return;
	name_uses_read(a->cli, span(rows), &uses);
	name_print(a->cli, rows, &uses, max);
	name_uses_free(&uses);
}

/* Print what has been found so far, and its notes. */
static void flush_table(struct asking *a)
{
	show(a, &a->table, 0);
	a->table.n = 0;
	if (a->notes) {
		fflush(a->notes);
		if (a->notes_text)
			fputs(a->notes_text, stdout);
		rewind(a->notes);
		fflush(a->notes);
		if (a->notes_text)
			a->notes_text[0] = '\0';
	}
}

/* What an argument has found: into the table, or into the array. */
static void take(struct asking *a, const char *text, struct name_rows *rows, size_t from)
{
	struct name_rows part = {.n = rows->n - from};
	struct name_uses uses;

	if (!a->json || part.n == 0)
		return;
	part.r = rows->r + from;
	name_uses_read(a->cli, span(&part), &uses);
	name_to_json(a->json, text, &part, &uses);
	name_uses_free(&uses);
	rows->n = from;
}

static void by_number(struct asking *a, const char *text, struct port_range ports, int proto)
{
	size_t from = a->table.n;
	uint32_t n = (uint32_t)ports.last - ports.first + 1,
		 none = name_rows_of(&a->table, ports, proto, cli_services(a->cli));

	a->none |= none == n;
	if (n == 1 && none) {
		struct name_uses uses;
		char here[NAME_HERE_MAX];

		name_uses_read(a->cli, ports, &uses);
		fprintf(a->notes, "%u has no name; it is a %s port", ports.first,
			port_class_name[port_class_of(ports.first)]);
		if (name_here(a->cli, ports.first, proto, &uses, here))
			fprintf(a->notes, "; in use here: %s", here);
		fprintf(a->notes, "\n");
		name_uses_free(&uses);
	} else if (none) {
		fprintf(a->notes, "%u of the %u ports from %u to %u have no name\n", none, n, ports.first, ports.last);
	}
	for (uint32_t p = ports.first, told = 0; p <= ports.last && told <= 8; p++)
		if (port_is_browser_blocked((uint16_t)p)) {
			if (told++ == 8)
				fprintf(a->notes, "and to others of them\n");
			else
				fprintf(a->notes, "web browsers refuse to connect to port %u\n", p);
		}
	take(a, text, &a->table, from);
}

static char *shown_text(const char *name, char out[80])
{
	snprintf(out, 80, "%s", name);
	return cli_clean(out);
}

/* "did you mean 'postgresql' or 'postgrest'?" */
static bool say_near(struct asking *a, const char *name)
{
	char near[NAME_NEAR_MAX][32];
	size_t n = name_near(name, cli_services(a->cli), near);

	for (size_t i = 0; i < n; i++)
		cli_say(a->cli, "%s'%s'%s",
			i == 0	    ? "; did you mean "
			: i + 1 < n ? ", "
				    : " or ",
			near[i], i + 1 < n ? "" : "?");
	return n > 0;
}

/* A word that is nobody's name. */
static void by_part(struct asking *a, const char *text, const char *name, int proto)
{
	struct name_rows found = {.n = 0};
	size_t max = a->search ? 0 : NEAR_SHOWN;
	char shown[80];
	bool near;

	name_rows_search(&found, name, proto, cli_services(a->cli));
	a->none |= !a->search || found.n == 0;
	shown_text(name, shown);
	if (a->json) {
		take(a, text, &found, 0);
		name_rows_free(&found);
		return;
	}
	flush_table(a);
	if (!a->search || found.n == 0) {
		cli_say(a->cli, "no service is called '%s'", shown);
		near = say_near(a, name);
		cli_say(a->cli, "%s\n",
			found.n > 0 ? near ? " It occurs in:" : "; it occurs in:"
			: near	    ? ""
				    : ", and none says so in its description");
	}
	show(a, &found, max);
	if (max && found.n > max)
		cli_say(a->cli, "and %zu more: berth name --search %s\n", found.n - max, shown);
	name_rows_free(&found);
}

/* "[::1]:80", "web:http", "80/sctp": what other commands take. A port has its names on every address. Return: 0; an exit code, said. */
static int by_endpoint(struct asking *a, const char *text)
{
	struct port_endpoint e;
	int r = cli_endpoint(a->cli, text, &e);

	if (r != 0)
		return r;
	if (!a->json)
		fprintf(a->notes, "a port has its names on every address and host: this is berth name %u%s%s\n",
			e.ports.first, e.has_proto ? "/" : "", e.has_proto ? port_proto_name[e.proto] : "");
	by_number(a, text, e.ports, e.has_proto ? (int)e.proto : -1);
	return 0;
}

/* Return: 0; an exit code, said. */
static int by_name(struct asking *a, const char *text, const char *name, int proto)
{
	size_t from = a->table.n;

	if (!a->search)
		name_rows_called(&a->table, name, proto, cli_services(a->cli));
	if (a->table.n > from)
		take(a, text, &a->table, from);
	else if (!a->search && strpbrk(name, ":/[]")) /* a few names have a slash: those were found */
		return by_endpoint(a, text);
	else
		by_part(a, text, name, proto);
	return 0;
}

/* "6000" and "6000-6010". Return: 0; an exit code, said. */
static int parse_ports(struct cli *cli, const char *text, struct port_range *ret)
{
	struct port_parse_error e = {.what = "this is not a port"};
	struct port_endpoint end;

	if (port_endpoint_parse(text, &end, &e) < 0)
		return cli_usage_at(cli, text, &e);
	*ret = end.ports;
	return 0;
}

/* Return: 0; an exit code, said. */
static int one(struct asking *a, const char *text)
{
	const char *slash = strrchr(text, '/');
	struct port_range ports = {0};
	char name[64];
	int proto = -1, r;

	if (slash && strcasecmp(slash, "/udp") == 0)
		proto = PORT_UDP;
	else if (slash && strcasecmp(slash, "/tcp") == 0)
		proto = PORT_TCP;
	if (snprintf(name, sizeof(name), "%.*s", (int)(proto >= 0 ? (size_t)(slash - text) : strlen(text)), text) >=
	    (int)sizeof(name))
		return cli_usage(a->cli, "that is too long to be the name of a port");
	if (!name[0])
		return cli_usage(a->cli, "which port or name? berth name 443, berth name https");
	if (a->search || strspn(name, "0123456789-") != strlen(name) || name[0] == '-') {
		return by_name(a, text, name, proto);
	}
	r = parse_ports(a->cli, name, &ports);
	if (r == 0)
		by_number(a, text, ports, proto);
	return r;
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

static int answer(struct cli *cli, bool search, char **what, size_t n)
{
	struct asking a = {.cli = cli, .search = search, .json = cli->json ? json_array() : NULL};
	int r = 0;

	a.notes = open_memstream(&a.notes_text, &a.notes_len);
	if (!a.notes)
		return cli_fail(cli, -errno, "cannot look for names");
	for (size_t i = 0; i < n && r == 0; i++)
		r = one(&a, what[i]);
	if (r == 0 && a.json)
		r = cli_json(cli, json_incref(a.json));
	else if (r == 0)
		flush_table(&a);
	if (r == 0 && n == 1 && !a.none && !search)
		offers_mention(cli, what[0]);
	if (r == 0 && a.table.out_of_memory)
		r = cli_fail(cli, -ENOMEM, "something is missing here");
	json_decref(a.json);
	name_rows_free(&a.table);
	fclose(a.notes);
	free(a.notes_text);
	return r ? r : a.none ? CLI_NO : CLI_OK;
}

/* What the command line says. */
struct wish {
	char **what;
	size_t n;
	const char *update;
	bool search, remove, registry;
};

/* Return: 0; an exit code, said. */
static int read_wish(struct cli *cli, struct wish *w)
{
	int o;

	while ((o = cli_next(cli)) != CLI_END) {
		if (o == 's')
			w->search = true;
		else if (o == OPT_UPDATE)
			w->update = cli->value;
		else if (o == OPT_REMOVE)
			w->remove = true;
		else if (o == OPT_REGISTRY)
			w->registry = true;
		else if (o == CLI_ARG)
			w->what[w->n++] = (char *)(uintptr_t)cli->value;
		else
			return cli->status;
	}
	if (w->update && strcmp(w->update, "--remove") == 0) {
		w->update = NULL;
		w->remove = true;
	}
	if (w->n > 0 && (w->update || w->remove || w->registry))
		return cli_usage(cli, "--%s takes no port or name: '%s'",
				 w->update   ? "update"
				 : w->remove ? "remove"
					     : "registry",
				 w->what[0]);
	if (w->update && w->remove)
		return cli_usage(cli, "either --update or --remove");
	if (w->n == 0 && !w->update && !w->remove && !w->registry)
		return cli_usage(cli, "which port or name? berth name 443, berth name https");
	return 0;
}

static int act(struct cli *cli, const struct wish *w)
{
	struct offers_question q;
	int r;

	if (w->update)
		return registry_update(cli, w->update);
	if (w->remove || w->registry)
		return w->remove ? registry_remove(cli) : registry_show(cli);
	r = know_network(cli);
	if (r != 0)
		return r;
	if (w->n == 1 && !w->search && offers_parse(cli, w->what[0], &q, &r)) {
		if (r == 0 && cli->host_given && !q.host[0])
			snprintf(q.host, sizeof(q.host), "%s", cli->host_name);
		return r != 0 ? r : offers_answer(cli, &q);
	}
	return answer(cli, w->search, w->what, w->n);
}

static int run(struct cli *cli)
{
	struct wish w = {.what = calloc((size_t)cli->argc + 1, sizeof(*w.what))};
	int r;

	if (!w.what)
		return cli_fail(cli, -ENOMEM, "cannot look for names");
	r = read_wish(cli, &w);
	if (r == 0)
		r = act(cli, &w);
	free(w.what);
	return r;
}

static const struct cli_option options[] = {
	{'s', "search", NULL, "search names and descriptions for a word, best matches first"},
	{OPT_UPDATE, "update", "FILE", "from now on use IANA's newer CSV file; - is standard input"},
	{OPT_REMOVE, "remove", NULL, "from now on use the built-in registry again"},
	{OPT_REGISTRY, "registry", NULL, "which registry is used, and how old it is"},
	{0},
};

const struct cmd cmd_name = {
	"name",
	"[options] PORT|RANGE|NAME...",
	"from a port's number to its names, and back",
	"Knows the whole IANA registry, /etc/services, and ports seen in practice that nobody registered (it\n"
	"says so). Beside each name: who uses the port here, on which host of a network or on the machine itself.\n"
	"Exits 1 when there is no such name; what comes near is then listed.\n"
	"\n"
	"_SERVICE._tcp and SERVICE@HOST ask who in the network listens on it, as a DNS SRV look-up does: of one\n"
	"host, or of all when none is named. Exits 1 when nobody does.\n"
	"\n"
	"Examples:\n"
	"  berth name 443\n"
	"  berth name 53/udp 6000-6010 postgresql\n"
	"  berth name --search redis\n"
	"  berth name _http._tcp              every web server of the network\n"
	"  berth name _http._tcp.web          those of host 'web'; or http@web\n"
	"  berth name --update service-names-port-numbers.csv   IANA's newer file\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON,
	options,
	run,
};
