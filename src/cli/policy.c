/* src/cli/policy.c: rules about the outside, from a command line and for people.
 *
 * A name in a rule is looked up when the command runs: a policy is about addresses, and asks nobody when a program
 * connects. So the addresses are said, because a name may have others tomorrow. `gateway` is the machine itself.
 *
 * Rules that could never be asked (a host of the network, its own host's loopback) are refused: who wrote one
 * would think that something is barred which is not.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/policy.h"

bool policy_option(struct cli *cli, struct policy_args *a, int option)
{
	switch (option) {
	case OPT_POLICY_ISOLATED:
		a->isolated = true;
		return true;
	case OPT_POLICY_OPEN:
		a->open = true;
		return true;
	case OPT_POLICY_CLEAR:
		a->clear = true;
		return true;
	case OPT_POLICY_ALLOW:
	case OPT_POLICY_DENY:
		a->too_many = a->n_rules == COUNT_OF(a->rules);
		if (!a->too_many) {
			a->rules[a->n_rules].text = cli->value;
			a->rules[a->n_rules++].allow = option == OPT_POLICY_ALLOW;
		}
		return true;
	default:
		return false;
	}
}

bool policy_given(const struct policy_args *a)
{
	return a->isolated || a->open || a->clear || a->n_rules > 0;
}

int policy_check(struct cli *cli, const struct policy_args *a)
{
	struct port_parse_error e = {.what = "this is not a rule"};
	struct port_policy_rule r;
	char host[64];

	if (a->isolated && a->open)
		return cli_usage(cli, "--isolated and --open are each other's contrary");
	if (a->too_many)
		return cli_usage(cli, "at most %d rules", PORT_POLICY_RULES_MAX);
	for (size_t i = 0; i < a->n_rules; i++)
		if (port_policy_rule_parse(a->rules[i].text, a->rules[i].allow, &r, host, &e) < 0)
			return cli_usage_at(cli, a->rules[i].text, &e);
	return 0;
}

static int add(struct cli *cli, struct port_policy *p, const struct port_policy_rule *r)
{
	if (port_policy_add(p, r) < 0)
		return cli_fail(cli, 0, "no room: a policy has at most %d rules (each address of a name is one)",
				PORT_POLICY_RULES_MAX);
	return 0;
}

/* The machine itself, as the network's hosts see it: `gateway`, `gateway.berth`, `gateway.NETWORK.berth`. */
static bool names_gateway(const struct cli *cli, const char *host)
{
	size_t len = strlen(cli->net.name);

	if (strncasecmp(host, "gateway", 7) != 0)
		return false;
	host += 7;
	if (host[0] == '.' && strncasecmp(host + 1, cli->net.name, len) == 0 && host[1 + len] == '.')
		host += 1 + len;
	return host[0] == '\0' || strcasecmp(host, ".berth") == 0;
}

static int add_gateway(struct cli *cli, struct port_policy *p, struct port_policy_rule *r)
{
	struct port_addr g4, g6;
	int e;

	network_gateway(&cli->net, &g4, &g6);
	port_policy_rule_at(r, &g4);
	e = add(cli, p, r);
	if (e != 0)
		return e;
	port_policy_rule_at(r, &g6);
	return add(cli, p, r);
}

static bool to_addr(const struct addrinfo *ai, struct port_addr *ret)
{
	const struct sockaddr_in *in = (const void *)ai->ai_addr;
	const struct sockaddr_in6 *in6 = (const void *)ai->ai_addr;

	if (ai->ai_family == AF_INET)
		*ret = port_addr_from4((const uint8_t *)&in->sin_addr);
	else if (ai->ai_family == AF_INET6)
		*ret = port_addr_from6((const uint8_t *)&in6->sin6_addr, in6->sin6_scope_id);
	else
		return false;
	return true;
}

/* Every address that the name has now. */
static int add_name(struct cli *cli, struct port_policy *p, struct port_policy_rule *r, const char *host)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	struct network_host h;
	char said[512] = "", text[PORT_ADDR_STR_MAX];
	size_t at = 0;
	int e;

	if (names_gateway(cli, host))
		return add_gateway(cli, p, r);
	if (network_host_by_name(&cli->net, host, &h) == 0)
		return cli_usage(cli, "'%s' is a host of this network; these rules are about what is outside it", host);
	e = getaddrinfo(host, NULL, &hints, &list);
	if (e != 0)
		return cli_fail(cli, 0, "the name '%s' has no address now: %s", host, gai_strerror(e));
	e = 0;
	for (const struct addrinfo *ai = list; ai && e == 0; ai = ai->ai_next) {
		struct port_addr a;

		if (!to_addr(ai, &a))
			continue;
		if (port_addr_is_loopback(&a) || port_addr_is_any(&a)) {
			e = cli_usage(cli, "'%s' is a loopback address, each host's own; the machine's is 'gateway'",
				      host);
			break;
		}
		port_policy_rule_at(r, &a);
		e = add(cli, p, r);
		if (at < sizeof(said))
			at += (size_t)snprintf(said + at, sizeof(said) - at, "%s%s", at ? ", " : "",
					       port_addr_print(&a, text));
	}
	freeaddrinfo(list);
	if (e == 0)
		cli_warn(cli, "%s is %s now; the rules are about these addresses, whatever the name has later", host,
			 said);
	return e;
}

/* Does it mean addresses of the network alone, none of which is the machine? */
static bool is_inside(const struct network *n, const struct port_policy_rule *r)
{
	const struct port_addr *net = r->family == PORT_FAMILY_4 ? &n->net4 : &n->net6;
	uint32_t bits = r->family == PORT_FAMILY_4 ? n->prefix4_bits : n->prefix6_bits;
	struct port_addr g4, g6;

	network_gateway(n, &g4, &g6);
	return r->family != 0 && r->bits >= bits && port_addr_in(&r->net, net, bits) &&
	       !port_addr_in(r->family == PORT_FAMILY_4 ? &g4 : &g6, &r->net, r->bits);
}

int policy_apply(struct cli *cli, const struct policy_args *a, bool anew, struct port_policy *p)
{
	bool allows = false;
	int e = 0;

	if (a->isolated || a->open || a->clear)
		*p = (struct port_policy){.closed = a->isolated || (a->clear && !a->open && p->closed)};
	for (size_t i = 0; i < a->n_rules && e == 0; i++) {
		struct port_policy_rule r;
		char host[64];

		if (port_policy_rule_parse(a->rules[i].text, a->rules[i].allow, &r, host, NULL) < 0)
			return policy_check(cli, a);
		allows |= a->rules[i].allow;
		if (host[0])
			e = add_name(cli, p, &r, host);
		else if (is_inside(&cli->net, &r))
			e = cli_usage(cli, "%s is inside the network; these rules are about what is outside it",
				      a->rules[i].text);
		else
			e = add(cli, p, &r);
	}
	if (anew && allows && !a->open)
		p->closed = 1;
	return e;
}

int policy_of_run(struct cli *cli, const struct policy_args *a, struct port_policy_chain *ret)
{
	static char line[PORT_POLICY_CHAIN_STR_MAX];
	const char *outer = getenv("BERTH_POLICY");
	struct port_policy p = {0};
	int r;

	if (outer && port_policy_chain_parse(outer, ret) < 0)
		return cli_fail(
			cli, 0,
			"BERTH_POLICY, the rules of the outer berth run, cannot be read ('%.40s'); unset it to run "
			"without",
			outer);
	if (!policy_given(a))
		return 0;
	r = policy_apply(cli, a, true, &p);
	if (r != 0)
		return r;
	if (port_policy_chain_add(ret, &p) < 0)
		return cli_fail(cli, 0, "at most %d runs inside each other can have rules of their own",
				PORT_POLICY_LAYERS_MAX);
	if (setenv("BERTH_POLICY", port_policy_chain_print(ret, line, sizeof(line)), 1) < 0)
		return cli_fail(cli, -ENOMEM, "cannot set the environment");
	return 0;
}

/* --- for people and programs --- */

void policy_print(FILE *out, const struct port_policy *p, const char *indent)
{
	char s[PORT_POLICY_RULE_STR_MAX];

	if (p->n_rules == 0)
		fputs(p->closed ? "closed: no program reaches it (--isolated)\n" : "open: every program reaches it\n",
		      out);
	else
		fprintf(out, "%s, by these rules\n", p->closed ? "closed but" : "open but");
	for (unsigned i = 0; i < p->n_rules; i++)
		fprintf(out, "%s%s %s\n", indent, p->rules[i].allow ? "allow" : "deny ",
			port_policy_rule_print(&p->rules[i], s));
}

json_t *policy_json(const struct port_policy *p)
{
	json_t *rules = json_array();
	char s[PORT_POLICY_RULE_STR_MAX];

	for (unsigned i = 0; i < p->n_rules; i++)
		json_array_append_new(rules, json_pack("{s:b, s:s}", "allow", (int)p->rules[i].allow, "rule",
						       port_policy_rule_print(&p->rules[i], s)));
	return json_pack("{s:b, s:o}", "closed", (int)p->closed, "rules", rules);
}

void policy_refusal_print(const struct port_policy_refusal *r, char *s, size_t size_bytes)
{
	const char *whose = r->by == PORT_POLICY_RUN ? "run" : "network";
	char rule[PORT_POLICY_RULE_STR_MAX];

	if (r->by == PORT_POLICY_GARBLED)
		snprintf(s, size_bytes, "rules that cannot be read");
	else if (r->has_rule)
		snprintf(s, size_bytes, "%s: deny %s", whose, port_policy_rule_print(&r->rule, rule));
	else
		snprintf(s, size_bytes, "%s: closed", whose);
}
