/* src/cli/published.c: the published ports of a network in one stable order, as text and as JSON. */
#include "cli/published.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "network/raw.h"

static int in_order(const void *a, const void *b)
{
	const struct network_published *x = &((const struct published *)a)->p, *y = &((const struct published *)b)->p;
	int r = (x->outer.first > y->outer.first) - (x->outer.first < y->outer.first);

	if (r == 0)
		r = (x->proto > y->proto) - (x->proto < y->proto);
	if (r == 0)
		r = memcmp(x->addrs[0].b, y->addrs[0].b, sizeof(x->addrs[0].b));
	return r;
}

int published_read(struct cli *cli, struct published_list *ret)
{
	int file = network_publish_open(&cli->net, false), r = 0;
	struct published p, *more;
	uint32_t at = 0;

	*ret = (struct published_list){0};
	if (file == -ENOENT)
		return 0; /* nobody ever published anything */
	if (file < 0)
		return cli_fail(cli, file, "cannot read the published ports of network '%s'", cli->network_name);
	while (r == 0 && (r = network_publish_next(&cli->net, file, &at, &p.record, &p.p)) == 0) {
		struct network_host host;

		snprintf(p.host, sizeof(p.host), "%s",
			 network_host_at(&cli->net, p.p.host, &host) == 0 ? host.name : "?");
		more = realloc(ret->r, (ret->n + 1) * sizeof(*more));
		if (!more) {
			r = -ENOMEM;
			break;
		}
		ret->r = more;
		ret->r[ret->n++] = p;
	}
	raw_close(file);
	if (r != -ENOENT) {
		published_free(ret);
		return cli_fail(cli, r, "cannot read the published ports of network '%s'", cli->network_name);
	}
	if (ret->n)
		qsort(ret->r, ret->n, sizeof(*ret->r), in_order);
	return 0;
}

void published_free(struct published_list *list)
{
	free(list->r);
	*list = (struct published_list){0};
}

char *published_door(const struct port_addr *addr, uint16_t port, char s[PORT_ENDPOINT_STR_MAX])
{
	if (!port_addr_is4(addr) || !port_addr_is_any(addr))
		return port_endpoint_print(addr, port, s);
	snprintf(s, PORT_ENDPOINT_STR_MAX, "0.0.0.0:%u", port);
	return s;
}

char *published_where(const struct network_published *p, char s[PUBLISHED_WHERE_MAX])
{
	size_t at = 0;

	s[0] = '\0';
	for (uint32_t i = 0; i < p->n_addrs && at < PUBLISHED_WHERE_MAX - PORT_ENDPOINT_STR_MAX - 8; i++) {
		char e[PORT_ENDPOINT_STR_MAX];

		at += (size_t)snprintf(s + at, PUBLISHED_WHERE_MAX - at, "%s%s", i ? " " : "",
				       published_door(&p->addrs[i], p->outer.first, e));
		if (p->outer.last != p->outer.first)
			at += (size_t)snprintf(s + at, PUBLISHED_WHERE_MAX - at, "-%u", p->outer.last);
	}
	return s;
}

char *published_to(const struct published *p, char s[PUBLISHED_TO_MAX])
{
	int n = snprintf(s, PUBLISHED_TO_MAX, "%s:%u", p->host, p->p.inner);

	if (p->p.outer.last != p->p.outer.first)
		n += snprintf(s + n, PUBLISHED_TO_MAX - (size_t)n, "-%u",
			      p->p.inner + (unsigned)(p->p.outer.last - p->p.outer.first));
	if (p->p.proto != PORT_TCP || p->p.spliced)
		snprintf(s + n, PUBLISHED_TO_MAX - (size_t)n, "/%s%s", port_proto_name[p->p.proto],
			 p->p.spliced ? "+splice" : "");
	return s;
}

static void state_of(const struct network_published *p, char s[32])
{
	unsigned n = (unsigned)(p->outer.last - p->outer.first) + 1, up = p->n_up > n ? n : p->n_up;

	if (n == 1)
		snprintf(s, 32, "%s", up ? "open" : "waits");
	else
		snprintf(s, 32, "%u of %u", up, n);
}

int published_print(struct cli *cli, const struct published_list *list, uint32_t host)
{
	static const struct table_column columns[] = {
		{.title = "PUBLISHED"},
		{.title = "LEADS TO", .least = 12, .both_ends = true}, /* the port is at its end */
		{.title = "STATE", .give_up = 1},
		{.title = "PID", .give_up = 2},
	};
	char where[PUBLISHED_WHERE_MAX], to[PUBLISHED_TO_MAX], state[32], pid[16];
	const char *const cells[] = {where, to, state, pid};
	struct table t;

	table_begin(&t, columns, COUNT_OF(columns), 0);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < list->n; i++) {
			const struct published *p = &list->r[i];

			if (host != NETWORK_HOSTS_MAX && p->p.host != host)
				continue;
			published_where(&p->p, where);
			published_to(p, to);
			state_of(&p->p, state);
			snprintf(pid, sizeof(pid), "%d", p->p.pid);
			if (round == 0)
				table_measure(&t, cells);
			else
				table_row(&t, cells);
		}
		if (round == 0)
			table_titles(cli, &t);
	}
	return CLI_OK;
}

int published_print_json(struct cli *cli, const struct published_list *list, uint32_t host)
{
	json_t *root = json_array();

	for (size_t i = 0; i < list->n; i++) {
		const struct network_published *p = &list->r[i].p;
		json_t *addresses = json_array();

		if (host != NETWORK_HOSTS_MAX && p->host != host) {
			json_decref(addresses);
			continue;
		}
		for (uint32_t k = 0; k < p->n_addrs; k++) {
			char a[PORT_ADDR_STR_MAX];

			json_array_append_new(addresses, cli_json_text(port_addr_print(&p->addrs[k], a)));
		}
		json_array_append_new(root,
				      json_pack("{s:o, s:i, s:i, s:s, s:o, s:i, s:i, s:i, s:b, s:b, s:i, s:I}",
						"addresses", addresses, "outer", (int)p->outer.first, "outer_last",
						(int)p->outer.last, "proto", port_proto_name[p->proto], "host",
						cli_json_text(list->r[i].host), "inner", (int)p->inner, "inner_last",
						p->inner + (p->outer.last - p->outer.first), "open", (int)p->n_up,
						"automatic", (int)p->automatic, "spliced", (int)p->spliced, "pid",
						(int)p->pid, "since_unix_s", (json_int_t)p->since_unix_s));
	}
	return cli_json(cli, root);
}
