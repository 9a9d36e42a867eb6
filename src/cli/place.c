/* src/cli/place.c: HOST:PORT, and who answers there.
 *
 * Reached is: a TCP claim that listens and can be connected to, or a UDP socket that is bound and not connected; and its
 * socket lives. The table alone does not say the last: a listener that was closed, or whose process was killed, leaves its
 * claim behind until somebody asks. So the kernel is asked for each (network_dead(): a few microseconds), without a lock.
 *
 * Any address of the host counts: a development server that listens on 127.0.0.1 of its host, or on ::1 only, listens. Who
 * means one address writes it.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cli/rows.h"
#include "cli/folder.h"
#include "cli/place.h"

enum {
	ON_PORT_MAX = 16384, /* claims of one port; flows from it may be very many */
	CLAIMS_MAX = 64,     /* of these who are asked whether they live: a SO_REUSEPORT group has rarely more */
};

/* "web", "web.NETWORK.berth", "web." */
static bool host_ok(const char *name)
{
	char first[NETWORK_NAME_MAX];
	size_t len = strcspn(name, ".");

	if (len >= sizeof(first))
		return false;
	memcpy(first, name, len);
	first[len] = '\0';
	return network_name_ok(first);
}

int place_parse(struct cli *cli, const char *text, struct place *ret)
{
	struct port_endpoint e;
	int r = cli_endpoint(cli, text, &e);
	bool any;

	if (r != 0)
		return r;
	if (e.ports.first != e.ports.last || e.ports.first == 0)
		return cli_usage(cli, "'%s' is not one port", text);
	if (e.host[0] && !host_ok(e.host)) {
		char shown[sizeof(e.host)];

		snprintf(shown, sizeof(shown), "%s", e.host);
		return cli_usage(cli, "'%s' cannot be the name of a host: letters, digits and hyphens inside",
				 cli_clean(shown));
	}
	any = e.has_addr && port_addr_is_any(&e.addr);
	*ret = (struct place){.text = text,
			      .port = e.ports.first,
			      .proto = e.has_proto ? e.proto : PORT_TCP,
			      .only_addr = e.has_addr && !any,
			      .by_addr = e.has_addr && !any && !port_addr_is_loopback(&e.addr),
			      .addr = e.addr};
	snprintf(ret->host, sizeof(ret->host), "%s",
		 e.host[0] && strcasecmp(e.host, "localhost") != 0 ? e.host : cli->host_name);
	return 0;
}

int place_host(struct cli *cli, const struct place *t, struct network_host *ret)
{
	if (t->by_addr)
		return network_host_by_addr(&cli->net, 0, &t->addr, ret);
	if (strcmp(t->host, CLI_HOST_AUTO) == 0) {
		char name[NETWORK_NAME_MAX];
		int r = folder_host(cli, false, name);

		return r == 0 ? network_host_get(&cli->net, name, false, ret) : r < 0 ? r : -EIO;
	}
	return network_host_by_name(&cli->net, t->host, ret);
}

bool place_meets(const struct place *t, const struct port_claim *c)
{
	if (!t->only_addr || port_addr_equal(&c->addr, &t->addr))
		return true;
	return port_addr_is_any(&c->addr) && (port_addr_is4(&c->addr) == port_addr_is4(&t->addr) || rows_is_dual(c));
}

static bool answers(const struct port_claim *c)
{
	return c->proto == PORT_UDP ? c->state == CLAIM_HELD
				    : c->state == CLAIM_LISTENING && c->flags & PORT_LISTEN_READY;
}

/* Bound and no more: a flow from or to the port holds it too, and says nothing about who answers. */
static bool holds(const struct port_claim *c)
{
	return c->state == CLAIM_HELD || c->state == CLAIM_LISTENING;
}

struct few {
	struct port_ref refs[CLAIMS_MAX];
	struct port_claim claims[CLAIMS_MAX];
	uint32_t n;
};

/* Those that answer first, then those that hold it, as many as there is room for. */
static void collect(const struct port_table *t, const struct place *p, struct few *f)
{
	static struct port_ref refs[ON_PORT_MAX];
	uint32_t count = port_table_on_port(t, p->proto, p->port, refs, ON_PORT_MAX);
	struct port_claim c;

	f->n = 0;
	for (int others = 0; others < 2; others++)
		for (uint32_t i = 0; i < count && i < ON_PORT_MAX && f->n < CLAIMS_MAX; i++)
			if (port_table_get(t, refs[i], &c) == 0 && place_meets(p, &c) && answers(&c) == !others &&
			    holds(&c)) {
				f->refs[f->n] = refs[i];
				f->claims[f->n++] = c;
			}
}

int place_look(struct cli *cli, const struct place *p, struct place_look *ret)
{
	struct network_host host;
	struct network_lock lock;
	static struct few f;
	int r = place_host(cli, p, &host);

	ret->reached = ret->held = ret->buried = false;
	ret->host = r == 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = network_lock(&cli->net, host.index, &lock);
	if (r < 0)
		return r;
	collect(&lock.table, p, &f);
	network_unlock(&lock);
	for (uint32_t i = 0; i < f.n && !ret->reached && !ret->held; i++) {
		if (network_dead(&cli->net, host.index, f.refs[i]) == 0) {
			ret->buried = true;
			ret->dead = f.claims[i];
			continue;
		}
		ret->reached = answers(&f.claims[i]);
		ret->held = !ret->reached;
		ret->claim = f.claims[i];
	}
	return 0;
}
