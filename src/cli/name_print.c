/* src/cli/name_print.c: names of ports as a table and as JSON.
 *
 * Ports and names are never cut. On a terminal that is too narrow it is first said more shortly who uses the port, then the
 * description is cut, and then both go.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/explain.h"
#include "cli/name.h"
#include "cli/table.h"

enum { USES_SHOWN = 3 };

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

static bool is_of(const struct name_use *u, struct port_range ports, int proto)
{
	return (proto < 0 || (int)u->proto == proto) && ports.first <= u->port && u->port <= ports.last;
}

static bool same_place(const struct name_use *a, const struct name_use *b)
{
	return a->machine == b->machine && strcmp(a->network, b->network) == 0 && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->program, b->program) == 0;
}

/* Those of the uses that are of these ports, proto < 0 over both protocols; "" when there are none. */
static void list_uses(const struct cli *cli, struct port_range ports, int proto, const struct name_uses *uses,
		      char out[NAME_HERE_MAX])
{
	size_t len = 0, shown = 0, more = 0;

	out[0] = '\0';
	for (size_t i = 0; i < uses->n; i++) {
		const struct name_use *u = &uses->r[i];
		bool other = !u->machine && strcmp(u->network, cli->network_name) != 0;
		size_t k = 0;

		if (!is_of(u, ports, proto))
			continue;
		while (k < i && !(is_of(&uses->r[k], ports, proto) && same_place(&uses->r[k], u)))
			k++;
		if (k < i)
			continue;
		if (shown++ >= USES_SHOWN) {
			more++;
			continue;
		}
		len += (size_t)snprintf(out + len, NAME_HERE_MAX - len, "%s%s%s%s", len ? ", " : "",
					other ? u->network : "", other ? "/" : "", u->machine ? "machine" : u->host);
		if (u->program[0])
			len += (size_t)snprintf(out + len, NAME_HERE_MAX - len, " (%s)", u->program);
	}
	if (more)
		snprintf(out + len, NAME_HERE_MAX - len, " and %zu more", more);
	cli_clean(out);
}

bool name_here(const struct cli *cli, uint16_t port, int proto, const struct name_uses *uses, char out[NAME_HERE_MAX])
{
	list_uses(cli, (struct port_range){port, port}, proto, uses, out);
	return out[0] != '\0';
}

static char *print_here(const struct cli *cli, const struct port_service *s, const struct name_uses *uses,
			char out[NAME_HERE_MAX])
{
	list_uses(cli, (struct port_range){s->first, s->last}, (int)s->proto, uses, out);
	if (!out[0])
		snprintf(out, NAME_HERE_MAX, "-");
	return out;
}

static void print_text(const struct port_service *s, char out[256])
{
	static const char *const note[] = {
		[PORT_SERVICE_IANA] = "",
		[PORT_SERVICE_ALIAS] = "(alias)",
		[PORT_SERVICE_OBSERVED] = "(seen in practice, not registered)",
		[PORT_SERVICE_OVERLAY] = "(from /etc/services or the network's own file)",
	};

	snprintf(out, 256, "%s%s%s", s->description, s->description[0] && note[s->source][0] ? " " : "",
		 note[s->source]);
	cli_clean(out);
}

enum { PORT, NAME, HERE, TEXT, N_COLUMNS };

static const struct table_column columns[N_COLUMNS] = {
	[PORT] = {"PORT", false, 0, 0, false, false},
	[NAME] = {"NAME", false, 0, 0, false, false},
	[HERE] = {"IN USE HERE", false, 1, 16, false, false},
	[TEXT] = {"DESCRIPTION", false, 2, 10, false, false},
};

struct line {
	char ports[32], name[32], here[NAME_HERE_MAX], text[256];
	const char *cells[N_COLUMNS];
};

static const char *const *fill(const struct cli *cli, const struct port_service *s, const struct name_uses *uses,
			       struct line *l)
{
	snprintf(l->name, sizeof(l->name), "%s", s->name);
	print_text(s, l->text);
	l->cells[PORT] = print_ports(s, l->ports);
	l->cells[NAME] = cli_clean(l->name);
	l->cells[HERE] = print_here(cli, s, uses, l->here);
	l->cells[TEXT] = l->text;
	return l->cells;
}

void name_print(struct cli *cli, const struct name_rows *rows, const struct name_uses *uses, size_t max)
{
	size_t n = max && max < rows->n ? max : rows->n;
	struct table t;
	struct line l;

	if (n == 0)
		return;
	table_begin(&t, columns, N_COLUMNS, 0);
	for (size_t i = 0; i < n; i++)
		table_measure(&t, fill(cli, &rows->r[i], uses, &l));
	table_titles(cli, &t);
	for (size_t i = 0; i < n; i++)
		table_row(&t, fill(cli, &rows->r[i], uses, &l));
}

static json_t *uses_json(const struct port_service *s, const struct name_uses *uses)
{
	json_t *a = json_array();
	char addr[PORT_ADDR_STR_MAX];

	for (size_t i = 0; i < uses->n; i++) {
		const struct name_use *u = &uses->r[i];

		if (is_of(u, (struct port_range){s->first, s->last}, (int)s->proto))
			json_array_append_new(a, json_pack("{s:o, s:o, s:i, s:s, s:o, s:o}", "network",
							   u->machine ? json_null() : json_string(u->network), "host",
							   u->machine ? json_null() : json_string(u->host), "port",
							   (int)u->port, "address", port_addr_print(&u->addr, addr),
							   "program",
							   u->program[0] ? cli_json_text(u->program) : json_null(),
							   "pid", u->pid > 0 ? json_integer(u->pid) : json_null()));
	}
	return a;
}

void name_to_json(json_t *array, const char *asked, const struct name_rows *rows, const struct name_uses *uses)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct port_service *s = &rows->r[i];

		json_array_append_new(array,
				      json_pack("{s:i, s:i, s:s, s:o, s:s, s:o, s:b, s:s, s:o, s:o}", "port",
						(int)s->first, "last_port", (int)s->last, "proto",
						port_proto_name[s->proto], "name", cli_json_text(s->name), "source",
						source_name(s->source), "description", cli_json_text(s->description),
						"browser_blocked", port_is_browser_blocked(s->first), "class",
						port_class_name[port_class_of(s->first)], "asked", cli_json_text(asked),
						"in_use", uses_json(s, uses)));
	}
}
