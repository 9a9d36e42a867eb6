/* src/cli/refused.c: `berth ls --refused`: who was refused the way out, the last one first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/policy.h"
#include "cli/table.h"

enum { REFUSED_MAX = 1024, RULE_MAX = 128 };

static int by_time(const void *a, const void *b)
{
	const struct network_refused *x = a, *y = b;

	return x->last_us < y->last_us ? 1 : x->last_us > y->last_us ? -1 : 0;
}

static const char *proto_name(const struct network_refused *r)
{
	return r->proto == PORT_UDP ? "udp" : "tcp";
}

static const char *errno_name(int err)
{
	const char *s = err < 0 ? strerrorname_np(-err) : NULL;

	return s ? s : "?";
}

static void host_name(struct cli *cli, uint32_t index, char ret[NETWORK_NAME_MAX])
{
	struct network_host h;

	snprintf(ret, NETWORK_NAME_MAX, "%s", network_host_at(&cli->net, index, &h) == 0 ? h.name : "?");
}

static json_t *row_json(struct cli *cli, const struct network_refused *r)
{
	static const char *const whose[PORT_NPOLICY_BYS] = {"network", "run", "unreadable"};
	char addr[PORT_ADDR_STR_MAX], host[NETWORK_NAME_MAX], rule[PORT_POLICY_RULE_STR_MAX];

	host_name(cli, r->host, host);
	return json_pack("{s:s, s:s, s:i, s:b, s:s, s:o, s:i, s:I, s:f, s:f, s:s, s:s, s:o}", "proto", proto_name(r),
			 "address", port_addr_print(&r->addr, addr), "port", (int)r->port, "gateway",
			 (int)network_is_gateway(&cli->net, &r->addr), "host", host, "program", cli_json_text(r->comm),
			 "pid", r->pid, "count", (json_int_t)r->count, "first_unix_s", (double)r->first_us / 1e6,
			 "last_unix_s", (double)r->last_us / 1e6, "errno", errno_name(r->err), "by", whose[r->by.by],
			 "rule", r->by.has_rule ? json_string(port_policy_rule_print(&r->by.rule, rule)) : json_null());
}

/* "3 min"; a clock that was set back makes it 0. */
static char *ago(uint64_t then_us, uint64_t now_us, char s[24])
{
	return port_age_print(now_us > then_us ? now_us - then_us : 0, s);
}

/* As --allow would be given it. */
static void destination(struct cli *cli, const struct network_refused *r, char *ret, size_t size_bytes)
{
	char e[PORT_ENDPOINT_STR_MAX];

	if (network_is_gateway(&cli->net, &r->addr))
		snprintf(ret, size_bytes, "gateway:%u/%s", r->port, proto_name(r));
	else
		snprintf(ret, size_bytes, "%s/%s", port_endpoint_print(&r->addr, r->port, e), proto_name(r));
}

static void print(struct cli *cli, const struct network_refused *r, size_t n)
{
	static const struct table_column columns[] = {
		{.title = "DESTINATION"},
		{.title = "HOST", .least = 8},
		{.title = "PROGRAM", .least = 7},
		{.title = "PID", .right = true, .give_up = 4},
		{.title = "TIMES", .right = true, .give_up = 1},
		{.title = "LAST", .right = true, .give_up = 3},
		{.title = "BY"},
	};
	char to[PORT_ENDPOINT_STR_MAX + 16], host[NETWORK_NAME_MAX], program[16], pid[16], times[24], last[24],
		rule[RULE_MAX];
	const char *cells[] = {to, host, program, pid, times, last, rule};
	struct timespec now = {0};
	struct table t;

	clock_gettime(CLOCK_REALTIME, &now);
	table_begin(&t, columns, COUNT_OF(columns), 0);
	for (size_t i = 0; i < 2 * n; i++) {
		const struct network_refused *one = &r[i % n];
		uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;

		if (i == n) /* the second time */
			table_titles(cli, &t);
		destination(cli, one, to, sizeof(to));
		host_name(cli, one->host, host);
		snprintf(program, sizeof(program), "%s", one->comm);
		cli_clean(program);
		snprintf(pid, sizeof(pid), "%d", one->pid);
		snprintf(times, sizeof(times), "%llu", (unsigned long long)one->count);
		ago(one->last_us, now_us, last);
		policy_refusal_print(&one->by, rule, sizeof(rule));
		if (i < n)
			table_measure(&t, cells);
		else
			table_row(&t, cells);
	}
}

/* The gateway's two addresses are one name to who reads it. r is sorted, the last first. Return: how many are left. */
static size_t join_gateways(struct cli *cli, struct network_refused *r, size_t n)
{
	char one[RULE_MAX], other[RULE_MAX];
	size_t kept = 0, j;

	for (size_t i = 0; i < n; i++) {
		policy_refusal_print(&r[i].by, one, sizeof(one));
		for (j = 0; j < kept; j++)
			if (r[j].pid == r[i].pid && r[j].port == r[i].port && r[j].proto == r[i].proto &&
			    r[j].host == r[i].host && strcmp(r[j].comm, r[i].comm) == 0 &&
			    network_is_gateway(&cli->net, &r[j].addr) && network_is_gateway(&cli->net, &r[i].addr)) {
				policy_refusal_print(&r[j].by, other, sizeof(other));
				if (strcmp(one, other) == 0)
					break;
			}
		if (j < kept)
			r[j].count += r[i].count;
		else
			r[kept++] = r[i];
	}
	return kept;
}

int refused_list(struct cli *cli, bool one_host, uint32_t host)
{
	static struct network_refused all[REFUSED_MAX];
	json_t *a = cli->json ? json_array() : NULL;
	uint32_t cursor = 0;
	size_t n = 0;

	while (n < REFUSED_MAX && network_refused_next(&cli->net, &cursor, &all[n]))
		n += !one_host || all[n].host == host;
	qsort(all, n, sizeof(all[0]), by_time);
	for (size_t i = 0; a && i < n; i++)
		json_array_append_new(a, row_json(cli, &all[i]));
	if (a)
		return cli_json(cli, a);
	if (n == 0)
		return cli_say(cli, "no program was refused the way out of network '%s'\n", cli->network_name);
	print(cli, all, join_gateways(cli, all, n));
	return CLI_OK;
}
