/* src/cli/refused.c: `berth ls --refused`: who was refused the way out, the last one first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/policy.h"

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
static int destination(struct cli *cli, const struct network_refused *r, char *ret, size_t size_bytes)
{
	char e[PORT_ENDPOINT_STR_MAX];

	if (network_is_gateway(&cli->net, &r->addr))
		return snprintf(ret, size_bytes, "gateway:%u/%s", r->port, proto_name(r));
	return snprintf(ret, size_bytes, "%s/%s", port_endpoint_print(&r->addr, r->port, e), proto_name(r));
}

static int wider(int wide, int len)
{
	return len > wide ? len : wide;
}

/* Columns as narrow as they can be: most lists fit on 80. */
static void print(struct cli *cli, const struct network_refused *r, size_t n)
{
	char to[PORT_ENDPOINT_STR_MAX + 16], host[NETWORK_NAME_MAX], rule[RULE_MAX], last[24], program[16];
	int wide_to = 11, wide_host = 4, wide_program = 7, wide_pid = 3;
	struct timespec t = {0};
	uint64_t now;

	clock_gettime(CLOCK_REALTIME, &t);
	now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	for (size_t i = 0; i < n; i++) {
		wide_to = wider(wide_to, destination(cli, &r[i], to, sizeof(to)));
		host_name(cli, r[i].host, host);
		wide_host = wider(wide_host, (int)strlen(host));
		wide_program = wider(wide_program, (int)strnlen(r[i].comm, sizeof(program) - 1));
		wide_pid = wider(wide_pid, snprintf(last, sizeof(last), "%d", r[i].pid));
	}
	cli_say(cli, "%s%-*s  %-*s  %-*s  %*s  %5s  %6s  %s%s\n", cli->colour_out ? "\033[1m" : "", wide_to,
		"DESTINATION", wide_host, "HOST", wide_program, "PROGRAM", wide_pid, "PID", "TIMES", "LAST", "BY",
		cli->colour_out ? "\033[0m" : "");
	for (size_t i = 0; i < n; i++) {
		snprintf(program, sizeof(program), "%s", r[i].comm);
		host_name(cli, r[i].host, host);
		policy_refusal_print(&r[i].by, rule, sizeof(rule));
		(void)destination(cli, &r[i], to, sizeof(to));
		cli_say(cli, "%-*s  %-*s  %-*s  %*d  %5llu  %6s  %s\n", wide_to, to, wide_host, host, wide_program,
			cli_clean(program), wide_pid, r[i].pid, (unsigned long long)r[i].count,
			ago(r[i].last_us, now, last), rule);
	}
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
	print(cli, all, n);
	return CLI_OK;
}
