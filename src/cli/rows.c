/* src/cli/rows.c: reading every host's table, and joining claims with processes and names.
 *
 * A host's table is copied under its lock and looked at afterwards: /proc is slow, and nobody should
 * wait for us. The order is total, so that two calls with nothing in between print the same.
 *
 * There may be a hundred thousand claims. So /proc is read once for all of them and only if somebody asks who
 * holds them, a process's name once for its sockets, and a row is made when it is printed. Of a few
 * claims (one port's) each is asked for whether it lives, and nothing else is swept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"

#define ASK_MAX 16 /* claims asked for one by one; more are swept */

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

bool rows_meets(const struct port_claim *c, const struct port_addr *a)
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
	return !f->has_addr || rows_meets(c, &f->addr);
}

static int push(struct rows *rows, size_t *room, const struct row_claim *row)
{
	if (rows->n == *room) {
		size_t more = *room ? *room * 2 : 64;
		struct row_claim *r = realloc(rows->r, more * sizeof(*r));

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
	struct row_claim row = {.host = h->name, .host_index = h->index};
	struct network_lock lock;
	uint32_t cursor = 0;
	int r = network_lock(&cli->net, h->index, &lock);

	if (r == -ETIMEDOUT)
		return cli_fail(
			cli, 0,
			"host '%s' is locked by process %d, which is stopped or does not let go (kill -CONT %d)",
			h->name, lock.blocker_pid, lock.blocker_pid);
	if (r < 0)
		return cli_fail(cli, r, "cannot read the port table of host '%s'", h->name);
	while (r == 0 && port_table_next(&lock.table, &cursor, &row.ref, &row.claim)) {
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
	const struct row_claim *x = a, *y = b;
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

/* Leave out the dead among those that were read. False: too many to ask one by one. */
static bool drop_dead(struct cli *cli, struct rows *rows)
{
	size_t n = 0;

	if (rows->n > ASK_MAX)
		return false;
	for (size_t i = 0; i < rows->n; i++)
		if (network_dead(&cli->net, rows->r[i].host_index, rows->r[i].ref) != 0)
			rows->r[n++] = rows->r[i];
	rows->n = n;
	return true;
}

static int read_hosts(struct cli *cli, const struct rows_filter *f, struct rows *ret)
{
	uint32_t n = network_n_hosts(&cli->net);
	size_t room = ret->n = ret->n_hosts = 0;
	int r = 0;

	ret->n_hidden = 0;
	free(ret->r);
	ret->r = NULL;
	for (uint32_t i = f->one_host ? f->host_index : 0; i < n && r == 0; i++) {
		struct network_host *h = &ret->hosts[ret->n_hosts];

		if (network_host_at(&cli->net, i, h) < 0)
			continue;
		ret->n_hosts++;
		r = read_host(cli, f, h, ret, &room);
		if (f->one_host)
			break;
	}
	return r;
}

int rows_read(struct cli *cli, const struct rows_filter *f, struct rows *ret)
{
	bool ask = f->has_ports && !cli->swept;
	int r = 0;

	*ret = (struct rows){.hosts = calloc(network_n_hosts(&cli->net) + 1, sizeof(*ret->hosts))};
	if (!ret->hosts)
		return cli_fail(cli, -ENOMEM, "cannot list the hosts");
	if (!ask)
		cli_sweep(cli, f->one_host ? f->host_index : NETWORK_HOSTS_MAX);
	r = read_hosts(cli, f, ret);
	if (r == 0 && ask && !drop_dead(cli, ret)) {
		cli_sweep(cli, f->one_host ? f->host_index : NETWORK_HOSTS_MAX);
		r = read_hosts(cli, f, ret);
	}
	if (r != 0) {
		rows_free(ret);
		return r;
	}
	if (ret->n > 0)
		qsort(ret->r, ret->n, sizeof(ret->r[0]), in_order);
	ret->names = cli_services(cli);
	return 0;
}

static void read_sockets(struct rows *rows)
{
	const struct port_claim *few[ASK_MAX];
	size_t n = rows->n < ASK_MAX ? rows->n : ASK_MAX;

	rows->now_us = network_now_us();
	if (rows->shared)
		return;
	for (size_t i = 0; i < n; i++)
		few[i] = &rows->r[i].claim;
	if (n == rows->n)
		host_owners_read_for(&rows->sockets, few, n);
	else
		host_owners_read(NULL, &rows->sockets);
}

void rows_get(struct rows *rows, size_t i, struct row *ret)
{
	const struct row_claim *c = &rows->r[i];
	struct port_service s;

	if (rows->now_us == 0)
		read_sockets(rows);
	*ret = (struct row){.host = c->host, .host_index = c->host_index, .claim = c->claim};
	ret->n_pids = proc_holder(rows->shared ? rows->shared : &rows->sockets, &rows->known, &c->claim, rows->now_us,
				  &ret->holder, ret->pids);
	if (port_service_name(c->claim.port, (enum port_proto)c->claim.proto, rows->names, &s) == 0)
		snprintf(ret->service, sizeof(ret->service), "%s", s.name);
	cli_clean(ret->service);
}

void rows_free(struct rows *rows)
{
	host_owners_free(&rows->sockets);
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

const char *rows_delivery(const struct port_claim *c)
{
	if (c->proto == PORT_UDP)
		return c->flags & PORT_PUMPED ? "pumped" : "mailbox";
	switch (c->state) {
	case CLAIM_LISTENING:
		return "path";
	case CLAIM_CONNECTED:
	case CLAIM_ACCEPTED:
		return "stream";
	default:
		return NULL;
	}
}
