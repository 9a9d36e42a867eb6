/* src/cli/worlds.c: which ports a command speaks of.
 *
 * Without a word about it: the machine's own and those of every network of this user, as who asks "what is on port 3000?"
 * does not know where it is. A network that cannot be read must not keep the machine's ports from being shown.
 */
#include "cli/worlds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/conf.h"
#include "cli/explain.h"

static bool only_machine;

bool worlds_option(struct cli *cli, int o)
{
	(void)cli;
	if (o != WORLDS_MACHINE)
		return false;
	only_machine = true;
	return true;
}

bool worlds_machine_only(void)
{
	return only_machine;
}

void worlds_endpoint(struct cli *cli, const struct port_endpoint *e, struct rows_filter *f)
{
	static char host[sizeof(e->host)];

	f->has_ports = true;
	f->ports = e->ports;
	f->has_proto |= e->has_proto;
	if (e->has_proto)
		f->proto = e->proto;
	if (e->has_addr) {
		f->has_addr = true;
		f->addr = e->addr;
	}
	if (e->host[0] && strcmp(e->host, "localhost") != 0) {
		snprintf(host, sizeof(host), "%s", e->host);
		cli->host_name = host;
		cli->host_given = true;
	}
}

static bool conf_names_one(const struct cli *cli)
{
	return cli->conf && (cli->conf->network[0] || cli->conf->host[0]);
}

/* The network without which there is still something to show: a folder that is wrong is told of, no more. */
static void open_if_any(struct cli *cli, struct worlds *w)
{
	static const struct network_options only_open;
	struct network_error e = {.what = ""};
	int r = network_open(&cli->net, cli->network_name, &only_open, &e);

	w->missing = r < 0;
	if (r < 0)
		memset(&cli->net, 0, sizeof(cli->net));
	if (r < 0 && r != -ENOENT)
		cli_warn(cli, "berth's networks are not shown: %s", e.what[0] ? e.what : strerror(-r));
	w->networks = r == 0 || r == -ENOENT;
}

int worlds_choose(struct cli *cli, struct worlds *w)
{
	bool one = cli->network_given || cli->host_given || w->needs_network || conf_names_one(cli);

	if (only_machine && (cli->network_given || cli->host_given || w->needs_network))
		return cli_usage(cli, "--machine is about the machine's own ports, -n and -H are about a network's");
	w->machine = only_machine || !one;
	w->networks = !only_machine;
	w->one_network = one && !only_machine;
	w->missing = false;
	if (w->one_network)
		return cli_network(cli, NULL, &w->missing);
	if (w->networks)
		open_if_any(cli, w);
	return 0;
}

bool worlds_be_inside(struct cli *cli)
{
	const char *host = getenv("BERTH_HOST"), *dir = getenv("BERTH_NETWORK_DIR"),
		   *name = dir ? strrchr(dir, '/') : NULL;

	if (!host || !*host || !name || !name[1] || cli->network_given)
		return false;
	cli->network_name = name + 1;
	if (!cli->host_given)
		cli->host_name = host;
	cli->network_given = cli->host_given = true;
	return true;
}

void worlds_say_inside(struct cli *cli, const struct worlds *w)
{
	const char *host = getenv("BERTH_HOST"), *dir = getenv("BERTH_NETWORK_DIR"), *name;
	char h[80], n[80], text[300];

	if (!host || !dir || cli->json || !w->machine)
		return;
	name = strrchr(dir, '/');
	snprintf(h, sizeof(h), "%.63s", host);
	snprintf(n, sizeof(n), "%.63s", name ? name + 1 : dir);
	snprintf(text, sizeof(text),
		 "this is inside of 'berth run': programs here bind on host '%s' of network '%s', not on the machine",
		 cli_clean(h), cli_clean(n));
	explain_wrap_at(stdout, NULL, 0, text, explain_columns(stdout));
}
