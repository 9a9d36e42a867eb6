/* src/cli/open.c: the network and the host a command is about, and what its ports are called.
 *
 * Every command that opens a network sweeps it: what a killed program left behind is gone before
 * anybody is told about it. Where there is so much that a sweep is long, one is made now and then, and
 * a command sweeps only the hosts it speaks of; who asks about a port never waits for one. The default network and host need not exist: nobody has run
 * anything yet, and then every port is free, which is an answer and not a failure.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/folder.h"
#include "cli/name.h"
#include "cli/registry.h"

enum { NAMES_MAX = 256, SERVICES_MAX = 1 << 16 };

/* "no network 'lap'; did you mean 'lab'?" */
static int no_such_network(struct cli *cli)
{
	static char names[NAMES_MAX][NETWORK_NAME_MAX];
	const char *rows[NAMES_MAX], *near;
	struct network_error e;
	int n = network_list(names, NAMES_MAX, &e);

	for (int i = 0; i < n && i < NAMES_MAX; i++)
		rows[i] = names[i];
	near = n > 0 ? cli_nearest(cli->network_name, rows, n < NAMES_MAX ? (size_t)n : NAMES_MAX, sizeof(rows[0]))
		     : NULL;
	if (near)
		return cli_fail(cli, 0, "there is no network '%s'; did you mean '%s'?", cli->network_name, near);
	return cli_fail(cli, 0, "there is no network '%s'; 'berth net ls' lists those there are", cli->network_name);
}

int cli_network(struct cli *cli, const struct network_options *o, bool *ret_missing)
{
	static const struct network_options only_open;
	struct network_error e = {.what = ""};
	int r = network_open(&cli->net, cli->network_name, o ? o : &only_open, &e);

	if (ret_missing)
		*ret_missing = false;
	if (r == -ENOENT && !(o && o->create)) {
		if (!ret_missing || cli->network_given ||
		    (cli->host_given && strcmp(cli->host_name, CLI_HOST_AUTO) != 0))
			return no_such_network(cli);
		*ret_missing = true;
		return 0;
	}
	if (r < 0)
		return e.what[0] ? cli_fail(cli, 0, "%s", e.what)
				 : cli_fail(cli, r, "cannot open the network '%s'", cli->network_name);
	if (network_sweep_due(&cli->net) && !(cli->cmd->accepts & CMD_ASKS && network_sweep_is_long(&cli->net)))
		cli_sweep(cli, NETWORK_HOSTS_MAX);
	return 0;
}

void cli_sweep(struct cli *cli, uint32_t host)
{
	if (cli->swept)
		return;
	cli->swept = host == NETWORK_HOSTS_MAX;
	if (network_sweep(&cli->net, host) == -ETIMEDOUT)
		cli_warn(cli, "a stopped process holds the lock of a host of network '%s': what it shows may be old",
			 cli->network_name);
}

int cli_host(struct cli *cli, bool make, struct network_host *ret, bool *ret_missing)
{
	bool automatic = strcmp(cli->host_name, CLI_HOST_AUTO) == 0;
	static char name[NETWORK_NAME_MAX];
	int r = 0;

	if (ret_missing)
		*ret_missing = false;
	if (automatic) {
		r = folder_host(cli, make, name);
		if (r > 0)
			return r;
		if (r == 0)
			cli->host_name = name;
		else if (!ret_missing)
			return cli_fail(cli, 0, "%s has no host in network '%s' yet: 'berth run -H auto' makes it",
					folder_of_host(cli), cli->network_name);
	}
	if (r == 0)
		r = network_host_get(&cli->net, cli->host_name, make, ret);
	if (r == -ENOENT && ret_missing && (automatic || !cli->host_given)) {
		*ret_missing = true;
		return 0;
	}
	if (r == -ENOENT) {
		static struct network_host hosts[NETWORK_HOSTS_MAX];
		static const char *names[NETWORK_HOSTS_MAX];
		uint32_t n = network_n_hosts(&cli->net);
		const char *near;
		size_t found = 0;

		for (uint32_t i = 0; i < n && i < NETWORK_HOSTS_MAX; i++)
			if (network_host_at(&cli->net, i, &hosts[found]) == 0) {
				names[found] = hosts[found].name;
				found++;
			}
		near = found ? cli_nearest(cli->host_name, names, found, sizeof(names[0])) : NULL;
		if (near)
			return cli_fail(cli, 0, "there is no host '%s' in network '%s'; did you mean '%s'?",
					cli->host_name, cli->network_name, near);
		return cli_fail(cli, 0,
				"there is no host '%s' in network '%s'; 'berth net show %s' lists those there are",
				cli->host_name, cli->network_name, cli->network_name);
	}
	if (r == -ENOSPC)
		return cli_fail(cli, 0, "no room for host '%s': network '%s' has given out all its addresses",
				cli->host_name, cli->network_name);
	if (r < 0)
		return cli_fail(cli, r, "cannot %s host '%s' of network '%s'", make ? "make" : "find", cli->host_name,
				cli->network_name);
	return 0;
}

/* The rows of one file in services(5)'s form, after those already there. */
static void read_services(const char *path, struct port_service **rows, uint32_t *n, uint32_t *room)
{
	FILE *f = fopen(path, "re");
	char line[1024];

	while (f && *n < SERVICES_MAX && fgets(line, sizeof(line), f)) {
		struct port_service few[16];
		int got;

		line[strcspn(line, "\n")] = '\0';
		got = port_service_parse_line(line, few, COUNT_OF(few));
		if (got <= 0)
			continue;
		if (*n + (uint32_t)got > *room) {
			uint32_t more = *room ? *room * 2 : 1024;
			struct port_service *bigger = realloc(*rows, more * sizeof(**rows));

			if (!bigger)
				break;
			*rows = bigger;
			*room = more;
		}
		memcpy(*rows + *n, few, (uint32_t)got * sizeof(few[0]));
		*n += (uint32_t)got;
	}
	if (f)
		fclose(f);
}

const struct port_service_overlay *cli_services(struct cli *cli)
{
	static struct port_service_overlay overlay;
	static bool done, with_own;
	struct port_service *rows = NULL;
	uint32_t n = 0, room = 0;
	char path[NETWORK_PATH_MAX + 16];

	if (done && (with_own || !cli->net.dir[0]))
		return &overlay;
	free((void *)overlay.rows); /* they were asked for before the network was known */
	done = true;
	with_own = cli->net.dir[0];
	registry_use(cli);
	if (cli->net.dir[0]) { /* the network's own names stand before the machine's */
		snprintf(path, sizeof(path), "%s/services", cli->net.dir);
		read_services(path, &rows, &n, &room);
	}
	read_services("/etc/services", &rows, &n, &room);
	overlay = (struct port_service_overlay){rows, n};
	return &overlay;
}

/* What stands for a service's name where it went wrong: of "web:htpp/tcp" "htpp". Return: its length; 0: no name. */
static size_t word_at(const char *text, size_t at, char ret[32])
{
	size_t len = strcspn(text + at, "/");

	if ((at > 0 && text[at - 1] != ':') || len >= 32)
		return 0;
	memcpy(ret, text + at, len);
	ret[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)ret[i]) && !strchr("-_.+", ret[i]))
			return 0;
	return strspn(ret, "0123456789-") == len ? 0 : len;
}

/* The same words, and names of services that are near. */
static const char *with_near(struct cli *cli, const char *what, const char *word)
{
	static char out[256];
	char near[NAME_NEAR_MAX][32];
	size_t n = name_near(word, cli_services(cli), near), len;

	if (n == 0)
		return what;
	len = (size_t)snprintf(out, sizeof(out), "%s; did you mean", what);
	for (size_t i = 0; i < n && len < sizeof(out); i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s '%s'",
					i == 0	    ? ""
					: i + 1 < n ? ","
						    : " or",
					near[i]);
	if (len + 1 < sizeof(out))
		memcpy(out + len, "?", 2);
	return out;
}

/* The heart knows the registry; names of /etc/services and of the network's own file are found here, and the number is
 * put in their place. */
static bool parse_own_name(struct cli *cli, const char *text, size_t at, const char *word, struct port_endpoint *ret)
{
	const char *rest = text + at + strlen(word);
	enum port_proto proto = strcasecmp(rest, "/udp") == 0 ? PORT_UDP : PORT_TCP;
	struct port_parse_error e;
	struct port_service found;
	char number[320];

	if (port_service_find(word, proto, cli_services(cli), &found) < 0) {
		if (*rest || port_service_find(word, PORT_UDP, cli_services(cli), &found) < 0)
			return false;
		rest = "/udp";
	}
	if ((size_t)snprintf(number, sizeof(number), "%.*s%u%s", (int)at, text, found.first, rest) >= sizeof(number) ||
	    port_endpoint_parse(number, ret, &e) < 0)
		return false;
	snprintf(ret->service, sizeof(ret->service), "%s", word);
	return true;
}

int cli_endpoint(struct cli *cli, const char *text, struct port_endpoint *ret)
{
	struct port_parse_error e = {.what = "this is not a port"};
	char word[32];

	if (strspn(text, "0123456789:-/") != strlen(text)) /* there may be a name of a port in it */
		registry_use(cli);
	if (port_endpoint_parse(text, ret, &e) == 0)
		return 0;
	if (word_at(text, e.at, word) && parse_own_name(cli, text, e.at, word, ret))
		return 0;
	if (e.at == 0 && network_name_ok(text) && strspn(text, "0123456789-") < strlen(text)) /* "web", for web:80 */
		e.what = "this is no port and no service's name; a port of a host is HOST:PORT";
	if (word_at(text, e.at, word))
		e.what = with_near(cli, e.what, word);
	return cli_usage_at(cli, text, &e);
}
