/* src/cli/name_use.c: who waits for others on a port, in berth's networks at this moment.
 *
 * A port is in use where somebody listens, or has it bound without listening (UDP has nothing else). Connections do
 * not count: that a browser talks to port 443 of somewhere does not use the machine's. A network that cannot be read (another
 * version's) is passed over: who asks what a port is called has not asked about it.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/name.h"
#include "cli/rows.h"

enum { NETWORKS_MAX = 64 };

void name_uses_add(struct name_uses *uses, const struct name_use *u)
{
	if (uses->n == uses->room) {
		size_t more = uses->room ? uses->room * 2 : 32;
		struct name_use *bigger = realloc(uses->r, more * sizeof(*bigger));

		if (!bigger)
			return;
		uses->r = bigger;
		uses->room = more;
	}
	uses->r[uses->n++] = *u;
}

void name_uses_free(struct name_uses *uses)
{
	free(uses->r);
	*uses = (struct name_uses){0};
}

static void add_network(struct cli *cli, struct port_range ports, struct name_uses *uses)
{
	struct rows_filter f = {.has_ports = true, .ports = ports};
	struct rows rows;

	if (rows_read(cli, &f, &rows) != 0)
		return;
	for (size_t i = 0; i < rows.n; i++) {
		struct name_use u = {.port = rows.r[i].claim.port,
				     .proto = (enum port_proto)rows.r[i].claim.proto,
				     .addr = rows.r[i].claim.addr};
		struct row row;

		rows_get(&rows, i, &row);
		u.pid = row.holder.pid > 0 ? row.holder.pid : 0;
		snprintf(u.network, sizeof(u.network), "%s", cli->network_name);
		snprintf(u.host, sizeof(u.host), "%s", row.host);
		snprintf(u.program, sizeof(u.program), "%s", row.holder.program);
		name_uses_add(uses, &u);
	}
	rows_free(&rows);
}

/* Every network but the one that is open. */
static void add_others(const struct cli *cli, struct port_range ports, struct name_uses *uses)
{
	static char names[NETWORKS_MAX][NETWORK_NAME_MAX];
	static const struct network_options only_open;
	static struct cli other;
	struct network_error e;
	int n = network_list(names, NETWORKS_MAX, &e);

	for (int i = 0; i < n && i < NETWORKS_MAX; i++) {
		if (strcmp(names[i], cli->network_name) == 0)
			continue;
		other = (struct cli){.cmd = cli->cmd, .network_name = names[i]};
		if (network_open(&other.net, names[i], &only_open, &e) == 0)
			add_network(&other, ports, uses);
	}
}

void name_uses_read(struct cli *cli, struct port_range ports, struct name_uses *ret)
{
	*ret = (struct name_uses){0};
	if (cli->net.dir[0])
		add_network(cli, ports, ret);
	if (cli->network_given)
		return; /* that network, and nothing else */
	add_others(cli, ports, ret);
	machine_uses_add(ret, ports);
}
