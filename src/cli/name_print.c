/* src/cli/name_print.c: names of ports as a table and as JSON.
 *
 * Ports and names are never cut. On a terminal who uses the port is shortened first to the hosts, then the
 * description is cut at the edge, ending in '~'; what would have less than ten columns left goes.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/explain.h"
#include "cli/name.h"

enum { USES_SHOWN = 3, TEXT_LEAST = 10 };

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
		      bool programs, char out[NAME_HERE_MAX])
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
		if (programs && u->program[0])
			len += (size_t)snprintf(out + len, NAME_HERE_MAX - len, " (%s)", u->program);
	}
	if (more)
		snprintf(out + len, NAME_HERE_MAX - len, " and %zu more", more);
	cli_clean(out);
}

bool name_here(const struct cli *cli, uint16_t port, int proto, const struct name_uses *uses, char out[NAME_HERE_MAX])
{
	list_uses(cli, (struct port_range){port, port}, proto, uses, true, out);
	return out[0] != '\0';
}

static char *print_here(const struct cli *cli, const struct port_service *s, const struct name_uses *uses,
			bool programs, char out[NAME_HERE_MAX])
{
	list_uses(cli, (struct port_range){s->first, s->last}, (int)s->proto, uses, programs, out);
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

/* Characters, not octets. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void put(const char *s, size_t w)
{
	size_t have = width(s);

	fputs(s, stdout);
	for (; have < w + 2; have++)
		putchar(' ');
}

/* At most w characters. */
static void put_cut(const char *s, size_t w)
{
	if (width(s) <= w) {
		fputs(s, stdout);
		return;
	}
	for (size_t n = 0; *s && n < w - 1; n++)
		do
			putchar(*s++);
		while (((unsigned char)*s & 0xc0) == 0x80);
	putchar('~');
}

struct layout {
	size_t ports, name, here, text; /* 0: not shown */
	bool programs;
};

static size_t max_of(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void measure(const struct cli *cli, const struct name_rows *rows, const struct name_uses *uses, size_t n,
		    struct layout *l)
{
	char ports[32], here[NAME_HERE_MAX], name[sizeof(rows->r->name)];

	l->ports = strlen("PORT");
	l->name = strlen("NAME");
	l->here = strlen("IN USE HERE");
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s", rows->r[i].name);
		l->ports = max_of(l->ports, strlen(print_ports(&rows->r[i], ports)));
		l->name = max_of(l->name, width(cli_clean(name)));
		l->here = max_of(l->here, width(print_here(cli, &rows->r[i], uses, l->programs, here)));
	}
}

static struct layout lay_out(const struct cli *cli, const struct name_rows *rows, const struct name_uses *uses,
			     size_t n)
{
	struct layout l = {.programs = true, .text = SIZE_MAX};
	size_t room = explain_columns(stdout), used;

	measure(cli, rows, uses, n, &l);
	if (room == 0)
		return l;
	if (l.ports + l.name + l.here + 6 + 2 * TEXT_LEAST > room) {
		l.programs = false;
		measure(cli, rows, uses, n, &l);
	}
	used = l.ports + l.name + l.here + 6;
	l.text = used + TEXT_LEAST <= room ? room - used : 0;
	if (l.text == 0 && used - 2 > room)
		l.here = room > l.ports + l.name + 4 + TEXT_LEAST ? room - l.ports - l.name - 4 : 0;
	return l;
}

static void put_line(const struct layout *l, const char *ports, const char *name, const char *here, const char *text)
{
	put(ports, l->ports);
	if (!l->here) {
		fputs(name, stdout);
	} else {
		put(name, l->name);
		if (!l->text || !*text) {
			put_cut(here, l->here);
		} else {
			put(here, l->here);
			put_cut(text, l->text);
		}
	}
	putchar('\n');
}

void name_print(struct cli *cli, const struct name_rows *rows, const struct name_uses *uses, size_t max)
{
	size_t n = max && max < rows->n ? max : rows->n;
	struct layout l = lay_out(cli, rows, uses, n);

	if (n == 0)
		return;
	if (cli->colour_out)
		fputs("\033[1m", stdout);
	put_line(&l, "PORT", "NAME", "IN USE HERE", "DESCRIPTION");
	if (cli->colour_out)
		fputs("\033[0m", stdout);
	for (size_t i = 0; i < n; i++) {
		char ports[32], here[NAME_HERE_MAX], text[256], name[sizeof(rows->r->name)];

		snprintf(name, sizeof(name), "%s", rows->r[i].name);
		print_text(&rows->r[i], text);
		put_line(&l, print_ports(&rows->r[i], ports), cli_clean(name),
			 print_here(cli, &rows->r[i], uses, l.programs, here), text);
	}
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
