/* src/cli/offers.c: who in the network listens on a service.
 *
 * Asked as DNS is asked (RFC 2782): _http._tcp.web.NETWORK.berth, of one host or of all; or shorter, http@web,
 * http@. The answer is what the tables of the hosts say at this moment, and the same as a program gets by
 * res_query() (shim/dns.c): host, address, port. An address is one that reaches the listener from another
 * host; a listener on a loopback address is told as such.
 */
#include "cli/offers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/rows.h"

/* The rest of a DNS name behind "_tcp": a host, the network, or both. */
static bool parse_where(struct cli *cli, const char *where, struct offers_question *q, int *ret_status)
{
	char name[2 * NETWORK_NAME_MAX + 8], suffix[NETWORK_NAME_MAX + 8];
	size_t len = strlen(where), n;

	if (len > 0 && where[len - 1] == '.')
		len--;
	if (len >= sizeof(name)) {
		*ret_status = cli_usage(cli, "that is too long to be the name of a host");
		return false;
	}
	memcpy(name, where, len);
	name[len] = '\0';
	n = (size_t)snprintf(suffix, sizeof(suffix), ".%s.berth", cli->network_name);
	if (strcasecmp(name, suffix + 1) == 0)
		return true;
	if (len > n && strcasecmp(name + len - n, suffix) == 0)
		name[len - n] = '\0';
	if (name[0] && !network_name_ok(name)) {
		cli_clean(name);
		*ret_status = cli_usage(cli, "'%s' is not a host of network '%s'", name, cli->network_name);
		return false;
	}
	snprintf(q->host, sizeof(q->host), "%s", name);
	return true;
}

bool offers_parse(struct cli *cli, const char *text, struct offers_question *ret, int *ret_status)
{
	const char *at = strchr(text, '@'), *dot = strchr(text, '.');
	size_t len;

	*ret = (struct offers_question){.service = ""};
	*ret_status = 0;
	if (at) {
		len = (size_t)(at - text);
	} else if (text[0] == '_' && dot && dot[1] == '_') {
		text++;
		len = (size_t)(dot - text);
	} else {
		return false;
	}
	if (len == 0 || len >= sizeof(ret->service)) {
		*ret_status = cli_usage(cli, "whose listeners? berth name _http._tcp, berth name http@web");
		return true;
	}
	memcpy(ret->service, text, len);
	ret->service[len] = '\0';
	if (at) {
		(void)parse_where(cli, at + 1, ret, ret_status);
		return true;
	}
	ret->has_proto = true;
	if (strncasecmp(dot, "._udp", 5) == 0)
		ret->proto = PORT_UDP;
	else if (strncasecmp(dot, "._tcp", 5) != 0 || (dot[5] && dot[5] != '.'))
		*ret_status =
			cli_usage(cli, "a service is asked for over _tcp or _udp: berth name _%s._tcp", ret->service);
	if (*ret_status == 0 && dot[5])
		(void)parse_where(cli, dot + 6, ret, ret_status);
	return true;
}

/* Is this row somebody who waits for others? */
static bool offers(const struct port_claim *c)
{
	return c->proto == PORT_TCP ? c->state == CLAIM_LISTENING : c->state == CLAIM_HELD;
}

/* Where others reach it. Return: how many; 0, only on its own host. */
static unsigned reached_at(const struct network_host *h, const struct port_claim *c, struct port_addr ret[2])
{
	if (port_addr_is_loopback(&c->addr))
		return 0;
	if (!port_addr_is_any(&c->addr)) {
		ret[0] = c->addr;
		return 1;
	}
	if (rows_is_dual(c)) {
		ret[0] = h->addr4;
		ret[1] = h->addr6;
		return 2;
	}
	ret[0] = port_addr_is4(&c->addr) ? h->addr4 : h->addr6;
	return 1;
}

struct found {
	struct rows rows;
	size_t n; /* rows that are offers, in front */
};

/* The listeners of a service, over one protocol. Return: 0; an exit code, said. */
static int find(struct cli *cli, const struct offers_question *q, enum port_proto proto, struct found *ret)
{
	struct rows_filter f = {.has_ports = true, .has_proto = true, .proto = proto};
	struct port_service s;
	struct network_host host;
	uint16_t port;
	int r;

	*ret = (struct found){.n = 0};
	if (port_service_find(q->service, proto, cli_services(cli), &s) == 0)
		f.ports = (struct port_range){s.first, s.last};
	else if (strspn(q->service, "0123456789") == strlen(q->service) &&
		 port_number_parse(q->service, &port, &(struct port_parse_error){.what = ""}) == 0 && port)
		f.ports = (struct port_range){port, port};
	else
		return 0;
	if (q->host[0]) {
		cli->host_name = q->host;
		cli->host_given = true;
		r = cli_host(cli, false, &host, NULL);
		if (r != 0)
			return r;
		f.one_host = true;
		f.host_index = host.index;
	}
	r = rows_read(cli, &f, &ret->rows);
	if (r != 0)
		return r;
	for (size_t i = 0; i < ret->rows.n; i++)
		if (offers(&ret->rows.r[i].claim))
			ret->rows.r[ret->n++] = ret->rows.r[i];
	ret->rows.n = ret->n;
	return 0;
}

static void say(struct cli *cli, struct rows *rows, size_t i, const char *indent)
{
	struct network_host host;
	struct port_addr at[2];
	struct row row;
	char port[16], a[PORT_ADDR_STR_MAX], where[2 * PORT_ADDR_STR_MAX + 32] = "only on the host itself";
	unsigned n;

	rows_get(rows, i, &row);
	if (network_host_at(&cli->net, row.host_index, &host) < 0)
		return;
	n = reached_at(&host, &row.claim, at);
	for (unsigned k = 0; k < n; k++)
		snprintf(k ? where + strlen(where) : where, sizeof(where) - (k ? strlen(where) : 0), "%s%s",
			 k ? " " : "", port_addr_print(&at[k], a));
	cli_say(cli, "%s%-9s %-15s %s", indent, cli_port(row.claim.port, row.claim.proto, port), row.host, where);
	cli_say(cli, "  %s", row.holder.program[0] ? row.holder.program : "an unknown program");
	if (row.holder.pid > 0)
		cli_say(cli, " (pid %d)", row.holder.pid);
	cli_say(cli, "\n");
}

static json_t *to_json(struct cli *cli, struct rows *rows, size_t i)
{
	json_t *addrs = json_array();
	struct network_host host;
	struct port_addr at[2];
	struct row row;
	char a[PORT_ADDR_STR_MAX], target[2 * NETWORK_NAME_MAX + 16];
	unsigned n;

	rows_get(rows, i, &row);
	if (network_host_at(&cli->net, row.host_index, &host) < 0)
		host = rows->hosts[0];
	n = reached_at(&host, &row.claim, at);
	for (unsigned k = 0; k < n; k++)
		json_array_append_new(addrs, json_string(port_addr_print(&at[k], a)));
	snprintf(target, sizeof(target), "%s.%s.berth", row.host, cli->network_name);
	return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "port", (int)row.claim.port, "proto",
			 port_proto_name[row.claim.proto], "host", row.host, "target", target, "addresses", addrs,
			 "service", row.service[0] ? cli_json_text(row.service) : json_null(), "program",
			 cli_json_text(row.holder.program), "pid",
			 row.holder.pid > 0 ? json_integer(row.holder.pid) : json_null());
}

static void say_none(struct cli *cli, const struct offers_question *q, bool known)
{
	char shown[sizeof(q->service)];

	snprintf(shown, sizeof(shown), "%s", q->service);
	cli_clean(shown);
	if (!known)
		cli_say(cli, "no service is called '%s'; 'berth name --search %s' looks for what comes near\n", shown,
			shown);
	else if (q->host[0])
		cli_say(cli, "nobody listens on %s on host '%s' of network '%s'\n", shown, q->host, cli->network_name);
	else
		cli_say(cli, "nobody listens on %s in network '%s'\n", shown, cli->network_name);
}

static bool is_known(struct cli *cli, const struct offers_question *q)
{
	struct port_service s;

	if (strspn(q->service, "0123456789") == strlen(q->service))
		return true;
	for (int p = 0; p < PORT_NPROTOS; p++)
		if (port_service_find(q->service, (enum port_proto)p, cli_services(cli), &s) == 0)
			return true;
	return false;
}

int offers_answer(struct cli *cli, const struct offers_question *q)
{
	json_t *all = cli->json ? json_array() : NULL;
	size_t shown = 0;
	bool missing;
	int r = cli_network(cli, NULL, &missing);

	for (int p = 0; p < PORT_NPROTOS && r == 0 && !missing; p++) {
		struct found found;

		if (q->has_proto && (int)q->proto != p)
			continue;
		r = find(cli, q, (enum port_proto)p, &found);
		for (size_t i = 0; i < found.n && r == 0; i++) {
			if (all)
				json_array_append_new(all, to_json(cli, &found.rows, i));
			else
				say(cli, &found.rows, i, "");
			shown++;
		}
		rows_free(&found.rows);
	}
	if (r != 0) {
		json_decref(all);
		return r;
	}
	if (all && cli_json(cli, all) != CLI_OK)
		return CLI_FAILED;
	if (!all && shown == 0)
		say_none(cli, q, is_known(cli, q));
	return shown > 0 ? CLI_OK : CLI_NO;
}

void offers_mention(struct cli *cli, const char *service)
{
	struct offers_question q = {.service = ""};
	bool said = false;

	if (cli->json || !cli->net.dir[0] ||
	    snprintf(q.service, sizeof(q.service), "%s", service) >= (int)sizeof(q.service))
		return;
	for (int p = 0; p < PORT_NPROTOS; p++) {
		struct found found;

		if (find(cli, &q, (enum port_proto)p, &found) != 0)
			return;
		for (size_t i = 0; i < found.n; i++) {
			if (!said)
				cli_say(cli, "in network '%s' these listen on it:\n", cli->network_name);
			said = true;
			say(cli, &found.rows, i, "  ");
		}
		rows_free(&found.rows);
	}
}
