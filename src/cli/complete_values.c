/* src/cli/complete_values.c: networks, hosts, ports and names as they are at this moment, for the shells' completion.
 *
 * Each is read in the cheapest way: tables are looked at and not swept, so a port whose program was killed a moment ago may be
 * offered; processes are looked into only where a program is asked for, else its name is the one that was written down when it bound. Who completes
 * waits for us with his finger on the key.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "cli/columns.h"
#include "cli/complete.h"
#include "cli/conf.h"
#include "cli/free.h"
#include "cli/published.h"
#include "host/host.h"
#include "port/endpoint.h"

enum { NETWORKS_MAX = 256, OFFERS_MAX = 500 };

static unsigned n_ports; /* offered so far: nobody reads a list of more than OFFERS_MAX */

static void offer_networks(const char *typed)
{
	static char names[NETWORKS_MAX][NETWORK_NAME_MAX];
	struct network_error e;
	int n = network_list(names, NETWORKS_MAX, &e);

	for (int i = 0; i < n && i < NETWORKS_MAX; i++)
		complete_offer(typed, names[i], "network");
}

/* Open the network, if there is one: -n's, berth.conf's, or the default one. */
static bool open_network(struct cli *cli)
{
	static const struct network_options only_open;
	struct network_error e;
	const struct conf *conf;

	if (cli->net.dir[0])
		return true;
	if (!cli->network_given && conf_read(cli, &conf) == 0 && conf->network[0])
		cli->network_name = conf->network;
	if (network_open(&cli->net, cli->network_name, &only_open, &e) == 0)
		return true;
	cli->net.dir[0] = '\0';
	return false;
}

static void offer_hosts(struct cli *cli, const char *typed, const char *behind)
{
	uint32_t n = network_n_hosts(&cli->net), shown = 0;
	char word[NETWORK_NAME_MAX + 8], text[PORT_ADDR_STR_MAX + 16], a[PORT_ADDR_STR_MAX];
	struct network_host h;

	for (uint32_t i = 0; i < n && shown < OFFERS_MAX; i++) {
		if (network_host_at(&cli->net, i, &h) < 0)
			continue;
		snprintf(word, sizeof(word), "%s%s", h.name, behind);
		snprintf(text, sizeof(text), "host %s", port_addr_print(&h.addr4, a));
		shown += strncmp(word, typed, strlen(typed)) == 0;
		complete_offer(typed, word, text);
	}
}

static void offer_claim(const char *typed, const struct network_host *h, const struct port_claim *c, bool with_host)
{
	char word[NETWORK_NAME_MAX + 24], text[160], name[40] = "";
	struct port_service s;

	if (port_service_name(c->port, (enum port_proto)c->proto, NULL, &s) == 0)
		snprintf(name, sizeof(name), "%s ", s.name);
	snprintf(word, sizeof(word), "%s%s%u%s", with_host ? h->name : "", with_host ? ":" : "", c->port,
		 c->proto == PORT_UDP ? "/udp" : "");
	snprintf(text, sizeof(text), "%s%.15s%s%s", name, c->owner.comm, with_host ? "" : " on ",
		 with_host ? "" : h->name);
	n_ports += strncmp(word, typed, strlen(typed)) == 0;
	complete_offer(typed, word, text);
}

/* What listens or is bound on one host. */
static void offer_host_ports(struct cli *cli, const struct network_host *h, const char *typed, bool with_host)
{
	struct network_lock lock;
	struct port_claim c, last = {.port = 0};
	struct port_ref ref;
	uint32_t cursor = 0;

	if (network_lock(&cli->net, h->index, &lock) < 0)
		return;
	while (n_ports < OFFERS_MAX && port_table_next(&lock.table, &cursor, &ref, &c)) {
		bool waits = c.state == CLAIM_LISTENING || c.state == CLAIM_HELD;

		if (!waits || (c.port == last.port && c.proto == last.proto))
			continue;
		offer_claim(typed, h, &c, with_host);
		last = c;
	}
	network_unlock(&lock);
}

/* Ports of one host (-H) or all: as "80" when they are one host's, and as "web:80". */
static void offer_ports(struct cli *cli, const char *typed, bool plain)
{
	uint32_t n = network_n_hosts(&cli->net);
	const char *colon = strchr(typed, ':');
	struct network_host h;

	for (uint32_t i = 0; i < n && n_ports < OFFERS_MAX; i++) {
		if (network_host_at(&cli->net, i, &h) < 0 || (colon && (strlen(h.name) != (size_t)(colon - typed) ||
									strncmp(h.name, typed, strlen(h.name)) != 0)))
			continue;
		if (plain && !colon && (!cli->host_given || strcmp(cli->host_name, h.name) == 0))
			offer_host_ports(cli, &h, typed, false);
		if (colon || (!plain && !cli->host_given))
			offer_host_ports(cli, &h, typed, true);
	}
}

/* What the machine's own kernel has listening. */
static void offer_machine(const char *typed)
{
	struct host_filter f = {.protos = 1 << HOST_TCP | 1 << HOST_UDP, .states = 1 << HOST_LISTEN | 1 << HOST_BOUND};
	struct host_sockets s;
	uint32_t last = UINT32_MAX;

	if (host_sockets_read(NULL, &f, &s) < 0)
		return;
	for (size_t i = 0; i < s.n && i < OFFERS_MAX; i++) {
		uint32_t this = (uint32_t)s.rows[i].port << 8 | s.rows[i].proto;
		char word[24], text[64];
		struct port_service name;
		bool named = port_service_name(s.rows[i].port, (enum port_proto)s.rows[i].proto, NULL, &name) == 0;

		if (this == last)
			continue;
		last = this;
		snprintf(word, sizeof(word), "%u%s", s.rows[i].port, s.rows[i].proto == HOST_UDP ? "/udp" : "");
		snprintf(text, sizeof(text), "%s%son this machine", named ? name.name : "", named ? " " : "");
		complete_offer(typed, word, text);
	}
	host_sockets_free(&s);
}

/* Names that begin so. Without a letter there would be six thousand. */
static void offer_services(const char *typed)
{
	uint32_t n = *typed && !strchr(typed, ':') ? port_service_search(typed, -1, NULL, NULL, 0) : 0, shown = 0;
	struct port_service *rows = n ? malloc(n * sizeof(*rows)) : NULL;
	const char *last = "";

	if (!rows)
		return;
	n = port_service_search(typed, -1, NULL, rows, n);
	for (uint32_t i = 0; i < n && shown < OFFERS_MAX; i++) {
		char text[sizeof(rows->description) + 32];

		if (strncmp(rows[i].name, typed, strlen(typed)) != 0 || strcmp(rows[i].name, last) == 0)
			continue;
		snprintf(text, sizeof(text), "%u/%s %s", rows[i].first, port_proto_name[rows[i].proto],
			 rows[i].description);
		complete_offer(typed, rows[i].name, text);
		last = rows[i].name;
		shown++;
	}
	free(rows);
}

/* A program that has a port, once. */
static void offer_program(const char *typed, bool pids, int32_t pid, const char *program, const char *where)
{
	static int32_t told[OFFERS_MAX];
	static char names[OFFERS_MAX][16];
	static size_t n;
	char word[16];

	for (size_t i = 0; i < n; i++)
		if (pids ? told[i] == pid : strncmp(names[i], program, sizeof(names[i]) - 1) == 0)
			return;
	if (n == OFFERS_MAX || pid <= 0 || !program[0])
		return;
	told[n] = pid;
	snprintf(names[n++], sizeof(names[0]), "%.15s", program);
	snprintf(word, sizeof(word), "%d", pid);
	if (pids)
		complete_offer(typed, word, program);
	else
		complete_offer(typed, program, where);
}

static void offer_programs_of_hosts(struct cli *cli, const char *typed, bool pids)
{
	uint32_t n = network_n_hosts(&cli->net);
	struct network_host h;

	for (uint32_t i = 0; i < n; i++) {
		struct network_lock lock;
		struct port_claim c;
		struct port_ref ref;
		uint32_t cursor = 0;

		if (network_host_at(&cli->net, i, &h) < 0 || network_lock(&cli->net, h.index, &lock) < 0)
			continue;
		while (port_table_next(&lock.table, &cursor, &ref, &c)) {
			char program[sizeof(c.owner.comm) + 1];

			snprintf(program, sizeof(program), "%.16s", c.owner.comm);
			offer_program(typed, pids, c.owner.pid, program, h.name);
		}
		network_unlock(&lock);
	}
}

static void offer_programs_of_machine(const char *typed, bool pids)
{
	struct host_filter f = {.protos = 1 << HOST_TCP | 1 << HOST_UDP, .states = 1 << HOST_LISTEN | 1 << HOST_BOUND};
	struct host_sought sought[OFFERS_MAX];
	struct host_sockets s;
	struct host_owners owners;
	size_t n_sought = 0;

	if (host_sockets_read(NULL, &f, &s) < 0)
		return;
	for (size_t i = 0; i < s.n && i < OFFERS_MAX; i++)
		host_socket_sought(&s.rows[i], &sought[n_sought++]);
	host_owners_seek(NULL, sought, n_sought, NULL, 0, false, &owners);
	for (size_t i = 0; i < s.n && i < OFFERS_MAX; i++) {
		struct host_process p;
		size_t n;
		const struct host_owner *who = host_owners_find(&owners, s.rows[i].inode, &n);

		if (n > 0 && host_process_read(NULL, who[0].pid, &p) == 0)
			offer_program(typed, pids, p.pid, p.comm, "on this machine");
	}
	host_owners_free(&owners);
	host_sockets_free(&s);
}

static void offer_published(struct cli *cli, const char *typed)
{
	struct published_list list;

	if (published_read(cli, &list) != 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		char word[16], to[PUBLISHED_TO_MAX];

		snprintf(word, sizeof(word), "%u", list.r[i].p.outer.first);
		complete_offer(typed, word, published_to(&list.r[i], to));
	}
	published_free(&list);
}

static void offer_leased(struct cli *cli, const char *typed)
{
	struct lease_row *rows;
	size_t n;

	if (leases_read(cli, true, &rows, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		char word[16], text[64];

		rows[i].lease.by[sizeof(rows[i].lease.by) - 1] = '\0';
		snprintf(word, sizeof(word), "%u", rows[i].port.port);
		snprintf(text, sizeof(text), "for %s, by pid %d", rows[i].lease.by, rows[i].pid);
		complete_offer(typed, word, text);
	}
	free(rows);
}

static void offer_addresses(struct cli *cli, const char *typed)
{
	struct network_host h;
	char a[PORT_ADDR_STR_MAX];

	complete_offer(typed, "0.0.0.0", "all IPv4 addresses");
	complete_offer(typed, "::", "all addresses");
	complete_offer(typed, "127.0.0.1", "loopback");
	complete_offer(typed, "::1", "loopback");
	if (open_network(cli) && network_host_by_name(&cli->net, cli->host_name, &h) == 0) {
		complete_offer(typed, port_addr_print(&h.addr4, a), "the host's own");
		complete_offer(typed, port_addr_print(&h.addr6, a), "the host's own");
	}
}

static void offer_users(const char *typed)
{
	const struct passwd *p;

	setpwent();
	for (int i = 0; i < OFFERS_MAX && (p = getpwent()) != NULL; i++)
		complete_offer(typed, p->pw_name, p->pw_gecos);
	endpwent();
}

/* The last of a list with commas. A sign before it (--sort) stays. */
static void offer_of_list(const char *typed, const char *name, const char *text)
{
	const char *comma = strrchr(typed, ',');
	size_t n = comma ? (size_t)(comma - typed) + 1 : 0;
	char word[200];

	snprintf(word, sizeof(word), "%.*s%s%s", (int)(n < 120 ? n : 120), typed, typed[n] == '-' ? "-" : "", name);
	complete_offer(typed, word, text);
}

static void offer_columns(const char *typed)
{
	for (size_t i = 0; i < columns_n; i++)
		offer_of_list(typed, columns_all[i].name, columns_all[i].title);
	for (size_t i = 0; i < columns_info_n; i++) {
		if (i == 0 || strcmp(columns_info[i].group, columns_info[i - 1].group) != 0)
			offer_of_list(typed, columns_info[i].group, "all columns about it");
		offer_of_list(typed, columns_info[i].name, columns_info[i].title);
	}
}

static void offer_states(const char *typed)
{
	const char *state;

	for (size_t i = 0; (state = doors_state_at(i)) != NULL; i++)
		offer_of_list(typed, state, NULL);
}

void complete_values(struct cli *cli, unsigned kinds, const char *typed)
{
	bool opened =
		kinds & (COMPLETE_HOST | COMPLETE_PLACE | COMPLETE_PORT | COMPLETE_PUBLISHED) && open_network(cli);

	if (kinds & COMPLETE_NETWORK)
		offer_networks(typed);
	if (kinds & COMPLETE_HOST) {
		complete_offer(typed, CLI_HOST_AUTO, "the host of this folder");
		if (opened)
			offer_hosts(cli, typed, "");
	}
	if (kinds & (COMPLETE_PORT | COMPLETE_PLACE) && opened)
		offer_ports(cli, typed, kinds & COMPLETE_PORT);
	if (kinds & COMPLETE_PLACE && opened && !strchr(typed, ':'))
		offer_hosts(cli, typed, ":");
	if (kinds & COMPLETE_PORT && !strchr(typed, ':') && !cli->host_given && !cli->network_given)
		offer_machine(typed);
	if (kinds & COMPLETE_SERVICE)
		offer_services(typed);
	if (kinds & COMPLETE_PUBLISHED && opened)
		offer_published(cli, typed);
	if (kinds & COMPLETE_ADDRESS)
		offer_addresses(cli, typed);
	if (kinds & COMPLETE_LEASED)
		offer_leased(cli, typed);
	if (kinds & (COMPLETE_PROGRAM | COMPLETE_PID)) {
		if (open_network(cli))
			offer_programs_of_hosts(cli, typed, kinds & COMPLETE_PID);
		if (!cli->network_given)
			offer_programs_of_machine(typed, kinds & COMPLETE_PID);
	}
	if (kinds & COMPLETE_USER)
		offer_users(typed);
	if (kinds & COMPLETE_COLUMNS)
		offer_columns(typed);
	if (kinds & COMPLETE_STATES)
		offer_states(typed);
}
