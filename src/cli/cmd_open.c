/* src/cli/cmd_open.c: `berth open HOST:PORT`: the browser, on a port of a host.
 *
 * A browser is not in the network (and should not be: it reaches the outside, too), so the way is a published port: one that
 * there is, or a free one of the machine's loopbacks that is published now, for as long as the host has programs. Called inside the
 * network, from a program of a `berth run`, the way is the host's own name.
 *
 * The browser replaces us. $BROWSER is what it is elsewhere: commands with a colon between them, each perhaps with %s for the
 * address; without it xdg-open is asked. No shell sees the address, and it has only characters that an address may have.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/elf.h"
#include "cli/place.h"
#include "cli/published.h"
#include "cli/publisher.h"
#include "cli/worlds.h"
#include "network/raw.h"

enum { OPT_PRINT = CLI_LONG + 1, OPT_HTTPS, OPT_HTTP };
enum { URL_MAX = 4096, WORDS_MAX = 32, UP_TRIES = 200, UP_PAUSE_US = 5000 };

/* --- the address --- */

static bool needs_escape(unsigned char c)
{
	return c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL;
}

/* The path, as a URL has it: what is escaped already stays so. False: too long. */
static bool put_path(char *url, size_t at, const char *path)
{
	if (path[0] != '/')
		url[at++] = '/';
	for (; *path && at < URL_MAX - 4; path++)
		if (needs_escape((unsigned char)*path))
			at += (size_t)snprintf(url + at, URL_MAX - at, "%%%02X", (unsigned)(unsigned char)*path);
		else
			url[at++] = *path;
	url[at] = '\0';
	return *path == '\0';
}

static bool is_published(const struct published *p, uint32_t host, uint16_t port)
{
	return p->p.host == host && p->p.proto == PORT_TCP && port >= p->p.inner &&
	       port - p->p.inner <= p->p.outer.last - p->p.outer.first;
}

/* "localhost" where both families lead there, which is what browsers and development servers like best. */
static void name_of(const struct network_published *p, char s[PORT_ADDR_STR_MAX + 2])
{
	bool lo4 = false, lo6 = false;
	char a[PORT_ADDR_STR_MAX];

	for (uint32_t i = 0; i < p->n_addrs && i < PUBLISH_ADDRS_MAX; i++) {
		bool any = port_addr_is_any(&p->addrs[i]), is4 = port_addr_is4(&p->addrs[i]);

		lo4 |= is4 && (any || (port_addr_is_loopback(&p->addrs[i]) && p->addrs[i].b[15] == 1));
		lo6 |= !is4 && (any || port_addr_is_loopback(&p->addrs[i]));
	}
	port_addr_print(&p->addrs[0], a);
	if (lo4 || lo6)
		snprintf(s, PORT_ADDR_STR_MAX + 2, "%s", lo4 && lo6 ? "localhost" : lo4 ? "127.0.0.1" : "[::1]");
	else
		snprintf(s, PORT_ADDR_STR_MAX + 2, port_addr_is4(&p->addrs[0]) ? "%s" : "[%s]", a);
}

/* --- the way there --- */

struct way {
	char name[NETWORK_NAME_MAX + PORT_ADDR_STR_MAX];
	uint16_t port;
	bool published; /* by somebody before us */
};

/* Return: 1, it is there and up; 0, it is not, or not yet; an exit code less than 0: -(code), said. */
static int find_published(struct cli *cli, uint32_t host, uint16_t port, struct way *ret)
{
	struct published_list list;
	int r = published_read(cli, &list), found = 0;

	if (r != 0)
		return -r;
	for (size_t i = 0; i < list.n && !found; i++)
		if (is_published(&list.r[i], host, port)) {
			name_of(&list.r[i].p, ret->name);
			ret->port = (uint16_t)(list.r[i].p.outer.first + (port - list.r[i].p.inner));
			found = list.r[i].p.n_up > 0;
		}
	published_free(&list);
	return found;
}

static int publish_now(struct cli *cli, const struct network_host *host, uint16_t port)
{
	struct publisher_order o = {.host = host, .n_specs = 1};
	struct port_parse_error where;
	struct publish_spec spec;
	struct publisher p;
	char text[32];
	int file = network_publish_open(&cli->net, true), r;

	if (file < 0)
		return cli_fail(cli, file, "cannot publish anything in network '%s'", cli->network_name);
	r = network_publish_host_is_held(file, host->index);
	raw_close(file);
	if (r == 0) /* a daemon whose run is over: no publisher would know when to end */
		return cli_fail(cli, 0,
				"%u/tcp of host %s is not published, and the run that began it is over: start it with "
				"'berth run -p'",
				port, host->name);
	snprintf(text, sizeof(text), "0:%u", port);
	r = publish_spec_parse(text, &spec, &where);
	if (r < 0)
		return cli_fail(cli, r, "cannot publish %s", text);
	o.specs = &spec;
	r = publisher_start(cli, &o, &p);
	if (r != 0)
		return r;
	close(p.life);
	close(p.news);
	return 0;
}

/* Return: 0; an exit code, said. */
static int find_way(struct cli *cli, const struct network_host *host, uint16_t port, struct way *ret)
{
	const char *inside = getenv("BERTH_NETWORK_DIR");
	bool started = false;
	int r;

	if (inside && strcmp(inside, cli->net.dir) == 0) {
		snprintf(ret->name, sizeof(ret->name), "%s", host->name);
		ret->port = port;
		return 0;
	}
	ret->port = 0;
	for (int i = 0; i < UP_TRIES; i++) { /* it opens a moment after its program listens */
		r = find_published(cli, host->index, port, ret);
		if (r != 0) {
			ret->published = !started;
			return r < 0 ? -r : 0;
		}
		if (ret->port == 0 && !started) {
			r = publish_now(cli, host, port);
			if (r != 0)
				return r;
			started = true;
		} else {
			usleep(UP_PAUSE_US);
		}
	}
	return cli_fail(cli, 0,
			"%u/tcp of host %s is published on %s:%u, but does not open there: is its publisher stopped?",
			port, host->name, ret->name, ret->port);
}

/* --- the browser --- */

/* One command of $BROWSER, with the address in the place of %s or behind it. Returns when it cannot be run. */
static void try_browser(const char *command, const char *url)
{
	static char words[URL_MAX], all[WORDS_MAX][URL_MAX], path[PATH_MAX];
	char *argv[WORDS_MAX + 2], *save = NULL;
	size_t n = 0;
	bool placed = false;

	snprintf(words, sizeof(words), "%s", command);
	for (char *w = strtok_r(words, " \t", &save); w && n < WORDS_MAX; w = strtok_r(NULL, " \t", &save), n++) {
		char *s = strstr(w, "%s");

		if (s && (placed = true))
			snprintf(all[n], sizeof(all[n]), "%.*s%s%s", (int)(s - w), w, url, s + 2);
		else
			snprintf(all[n], sizeof(all[n]), "%s", w);
		argv[n] = all[n];
	}
	if (n == 0)
		return;
	if (!placed)
		argv[n++] = (char *)(uintptr_t)url;
	argv[n] = NULL;
	if (elf_find_command(argv[0], path, sizeof(path)) == 0)
		execv(path, argv);
}

static int start_browser(struct cli *cli, const char *url)
{
	const char *browser = getenv("BROWSER");
	char *all = browser && *browser ? strdup(browser) : NULL, *save = NULL;

	fflush(NULL);
	for (char *c = all ? strtok_r(all, ":", &save) : NULL; c; c = strtok_r(NULL, ":", &save))
		try_browser(c, url);
	free(all);
	if (!browser || !*browser)
		try_browser("xdg-open", url);
	return cli_fail(cli, 0,
			browser && *browser
				? "no command of BROWSER can be run"
				: "there is no browser to be found: set BROWSER to one, or install xdg-utils");
}

/* --- the command --- */

static int open_place(struct cli *cli, const struct place *p, const char *scheme, const char *path, bool print)
{
	static struct place_look look;
	struct network_host host;
	char url[URL_MAX], port[16];
	struct way way = {.port = 0};
	size_t at;
	int r;

	r = cli_network(cli, NULL, NULL);
	if (r != 0)
		return r;
	r = place_host(cli, p, &host);
	if (r < 0) { /* a wrong name is answered as everywhere */
		cli->host_name = p->host;
		cli->host_given = true;
		r = cli_host(cli, false, &host, NULL);
	}
	if (r != 0)
		return r;
	r = place_look(cli, p, &look);
	if (r < 0)
		return cli_fail(cli, r, "cannot read the ports of host '%s'", host.name);
	if (!look.reached)
		return cli_fail(cli, 0,
				"nobody listens on %s of host %s ('berth wait %s:%u' returns when somebody does)",
				cli_port(p->port, p->proto, port), host.name, host.name, p->port);
	r = find_way(cli, &host, p->port, &way);
	if (r != 0)
		return r;
	if (!scheme)
		scheme = p->port == 443 || p->port == 8443 ? "https" : "http";
	at = (size_t)snprintf(url, sizeof(url), "%s://%s", scheme, way.name);
	if (way.port != (strcmp(scheme, "https") == 0 ? 443 : 80))
		at += (size_t)snprintf(url + at, sizeof(url) - at, ":%u", way.port);
	if (!put_path(url, at, path))
		return cli_usage(cli, "the path is too long");
	if (cli->json)
		return cli_json(cli,
				json_pack("{s:s, s:s, s:i, s:s, s:b}", "url", url, "host", host.name, "port", p->port,
					  "network", cli->network_name, "published_before", (int)way.published));
	cli_say(cli, "%s\n", url);
	return print ? CLI_OK : start_browser(cli, url);
}

static int run(struct cli *cli)
{
	const char *what = NULL, *path = NULL, *scheme = NULL;
	bool print = false;
	struct place p;
	int c, r;

	while ((c = cli_next(cli)) != CLI_END) {
		if (c == OPT_PRINT)
			print = true;
		else if (c == OPT_HTTPS || c == OPT_HTTP)
			scheme = c == OPT_HTTPS ? "https" : "http";
		else if (c == CLI_ARG && !what)
			what = cli->value;
		else if (c == CLI_ARG && !path)
			path = cli->value;
		else
			return c == CLI_ARG ? cli_usage(cli, "too many arguments: '%s'", cli->value) : cli->status;
	}
	if (!what)
		return cli_usage(cli, "which port? berth open HOST:PORT [PATH]");
	(void)worlds_be_inside(cli); /* within a run, the run's network and host */
	r = place_parse(cli, what, &p);
	if (r != 0)
		return r;
	if (p.proto != PORT_TCP)
		return cli_usage(cli, "a browser speaks TCP: '%s'", what);
	if (p.only_addr)
		return cli_usage(cli, "a host's name and a port are expected, as web:80, not '%s'", what);
	return open_place(cli, &p, scheme, path ? path : "", print);
}

static const struct cli_option options[] = {
	{OPT_PRINT, "print", NULL, "only print the address"},
	{OPT_HTTPS, "https", NULL, "https, also on another port than 443 and 8443"},
	{OPT_HTTP, "http", NULL, "http, also on these"},
	{0},
};

const struct cmd cmd_open = {
	"open",
	"[options] HOST:PORT [PATH]",
	"open a browser on a port of a host",
	"The port is reached where it is published; when it is not, it is published on a free port of this machine's\n"
	"loopbacks, until the host's last program has ended. The address is printed, and the browser started: $BROWSER,\n"
	"else xdg-open, whose exit code is ours. Nobody listens there: 125, and nothing is opened.\n"
	"\n"
	"Examples:\n"
	"  berth open web:80                   the page of host web\n"
	"  berth open auto:3000 /admin         of this work tree's development server\n"
	"  curl -s \"$(berth open --print web:80 /status)\"\n",
	CMD_NETWORK | CMD_HOST | CMD_JSON,
	options,
	run,
};
