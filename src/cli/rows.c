/* src/cli/rows.c: reading every host's table, and joining claims with processes and names.
 *
 * A host's table is copied under its lock and looked at afterwards: /proc is slow, and nobody should
 * wait for us. The order is total, so that two calls with nothing in between print the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"

bool rows_is_dual(const struct port_claim *c)
{
	return c->family == PORT_FAMILY_6 && !port_addr_is4(&c->addr) && port_addr_is_any(&c->addr) &&
	       !(c->flags & PORT_V6ONLY);
}

static bool is_connection(const struct port_claim *c)
{
	return c->state == CLAIM_ACCEPTED || c->state == CLAIM_LINGER ||
	       (c->state == CLAIM_CONNECTED && c->proto == PORT_TCP);
}

static bool meets(const struct port_claim *c, const struct port_addr *a)
{
	if (port_addr_equal(&c->addr, a) || port_addr_is_any(a))
		return true;
	return port_addr_is_any(&c->addr) && (port_addr_is4(&c->addr) == port_addr_is4(a) || rows_is_dual(c));
}

static bool wanted(const struct rows_filter *f, const struct port_claim *c)
{
	if (f->has_ports && (c->port < f->ports.first || c->port > f->ports.last))
		return false;
	if (f->has_proto && c->proto != f->proto)
		return false;
	return !f->has_addr || meets(c, &f->addr);
}

static int push(struct rows *rows, size_t *room, const struct row *row)
{
	if (rows->n == *room) {
		size_t more = *room ? *room * 2 : 64;
		struct row *r = realloc(rows->r, more * sizeof(*r));

		if (!r)
			return -ENOMEM;
		rows->r = r;
		*room = more;
	}
	rows->r[rows->n++] = *row;
	return 0;
}

static int read_host(struct cli *cli, const struct rows_filter *f, const struct network_host *h, struct rows *rows,
		     size_t *room)
{
	struct row row = {.host = h->name, .host_index = h->index};
	struct network_lock lock;
	struct port_ref ref;
	uint32_t cursor = 0;
	int r = network_lock(&cli->net, h->index, &lock);

	if (r == -ETIMEDOUT)
		return cli_fail(
			cli, 0,
			"host '%s' is locked by process %d, which is stopped or does not let go (kill -CONT %d)",
			h->name, lock.blocker_pid, lock.blocker_pid);
	if (r < 0)
		return cli_fail(cli, r, "cannot read the port table of host '%s'", h->name);
	while (r == 0 && port_table_next(&lock.table, &cursor, &ref, &row.claim)) {
		if (!wanted(f, &row.claim) || row.claim.proto >= PORT_NPROTOS)
			continue;
		if (!f->connections && is_connection(&row.claim))
			rows->n_hidden++;
		else
			r = push(rows, room, &row);
	}
	network_unlock(&lock);
	return r < 0 ? cli_fail(cli, r, "cannot list the ports of host '%s'", h->name) : 0;
}

static int in_order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	const struct port_claim *c = &x->claim, *d = &y->claim;
	int r = strcmp(x->host, y->host);

	if (r == 0)
		r = (c->port > d->port) - (c->port < d->port);
	if (r == 0)
		r = (c->proto > d->proto) - (c->proto < d->proto);
	if (r == 0)
		r = memcmp(c->addr.b, d->addr.b, sizeof(c->addr.b));
	if (r == 0)
		r = (c->peer_port > d->peer_port) - (c->peer_port < d->peer_port);
	if (r == 0)
		r = memcmp(c->peer.b, d->peer.b, sizeof(c->peer.b));
	if (r == 0)
		r = (c->owner.cookie > d->owner.cookie) - (c->owner.cookie < d->owner.cookie);
	return r;
}

int rows_read(struct cli *cli, const struct rows_filter *f, struct rows *ret)
{
	const struct port_service_overlay *names = cli_services(cli);
	struct proc_sockets sockets;
	uint32_t n = network_n_hosts(&cli->net);
	uint64_t now_us;
	size_t room = 0;
	int r = 0;

	*ret = (struct rows){.hosts = calloc(n + 1, sizeof(*ret->hosts))};
	if (!ret->hosts)
		return cli_fail(cli, -ENOMEM, "cannot list the hosts");
	for (uint32_t i = 0; i < n && r == 0; i++) {
		struct network_host *h = &ret->hosts[ret->n_hosts];

		if ((f->one_host && i != f->host_index) || network_host_at(&cli->net, i, h) < 0)
			continue;
		ret->n_hosts++;
		r = read_host(cli, f, h, ret, &room);
	}
	if (r != 0) {
		rows_free(ret);
		return r;
	}
	if (ret->n == 0)
		return 0;
	now_us = network_now_us();
	proc_sockets_read(&sockets);
	for (size_t i = 0; i < ret->n; i++) {
		struct row *row = &ret->r[i];
		struct port_service s;

		proc_holder(&sockets, &row->claim, now_us, &row->holder);
		row->n_pids = proc_claim_pids(&sockets, &row->claim, row->pids);
		if (port_service_name(row->claim.port, row->claim.proto, names, &s) == 0)
			snprintf(row->service, sizeof(row->service), "%s", s.name);
		cli_clean(row->service);
	}
	proc_sockets_free(&sockets);
	qsort(ret->r, ret->n, sizeof(ret->r[0]), in_order);
	return 0;
}

void rows_free(struct rows *rows)
{
	free(rows->r);
	free(rows->hosts);
	*rows = (struct rows){0};
}

char *rows_address(const struct port_claim *c, char s[ROWS_ADDRESS_MAX])
{
	char a[PORT_ADDR_STR_MAX], peer[PORT_ENDPOINT_STR_MAX];
	int n;

	port_addr_print(&c->addr, a);
	if (rows_is_dual(c))
		n = snprintf(s, ROWS_ADDRESS_MAX, "0.0.0.0 [::]");
	else
		n = snprintf(s, ROWS_ADDRESS_MAX, port_addr_is4(&c->addr) ? "%s" : "[%s]", a);
	if (c->peer_port != 0)
		snprintf(s + n, ROWS_ADDRESS_MAX - (size_t)n, " -> %s",
			 port_endpoint_print(&c->peer, c->peer_port, peer));
	return s;
}

const char *rows_state(const struct port_claim *c)
{
	switch (c->state) {
	case CLAIM_LISTENING:
		return "listening";
	case CLAIM_HELD:
		return "bound";
	case CLAIM_CONNECTED:
		return "connected";
	case CLAIM_ACCEPTED:
		return "accepted";
	case CLAIM_LINGER:
		return "time-wait";
	default:
		return "?";
	}
}

json_t *rows_json(const struct row *row)
{
	const struct port_claim *c = &row->claim;
	const struct port_holder *h = &row->holder;
	json_t *addrs = json_array(), *pids = json_array(), *peer = json_null();
	char a[PORT_ENDPOINT_STR_MAX];

	if (rows_is_dual(c))
		json_array_append_new(addrs, json_string("0.0.0.0"));
	json_array_append_new(addrs, json_string(port_addr_print(&c->addr, a)));
	for (uint32_t i = 0; i < row->n_pids && i < PROC_PIDS_MAX; i++)
		json_array_append_new(pids, json_integer(row->pids[i]));
	if (c->peer_port != 0)
		peer = json_string(port_endpoint_print(&c->peer, c->peer_port, a));
	return json_pack("{s:i, s:o, s:s, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:b, s:b, s:b}",
			 "port", (int)c->port, "service", row->service[0] ? cli_json_text(row->service) : json_null(),
			 "proto", port_proto_name[c->proto], "addresses", addrs, "state", rows_state(c), "peer", peer,
			 "host", row->host, "program", cli_json_text(h->program), "pid",
			 h->pid > 0 ? json_integer(h->pid) : json_null(), "pids", pids, "command",
			 cli_json_text(h->command), "user", cli_json_text(h->user), "uid", (json_int_t)c->uid, "age_s",
			 h->age_us == NEVER_US ? json_null() : json_real((double)(h->age_us / 1000) / 1000.0),
			 "reuseaddr", !!(c->flags & PORT_REUSEADDR), "reuseport", !!(c->flags & PORT_REUSEPORT),
			 "v6only", !!(c->flags & PORT_V6ONLY));
}
