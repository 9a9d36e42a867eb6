/* src/cli/policy.h: --isolated, --allow, --deny and their kin, for every command that has them. */
#ifndef BERTH_CLI_POLICY_H
#define BERTH_CLI_POLICY_H

#include "cli/cli.h"
#include "network/policy.h"

/* What a command line says about the way out. */
struct policy_args {
	bool isolated, open, clear;
	struct {
		const char *text;
		bool allow;
	} rules[PORT_POLICY_RULES_MAX];
	size_t n_rules;
	bool too_many;
};

/* Ids of the options, far from those of any command. */
enum { OPT_POLICY_ISOLATED = CLI_LONG + 500, OPT_POLICY_ALLOW, OPT_POLICY_DENY, OPT_POLICY_OPEN, OPT_POLICY_CLEAR };
/* clang-format off */
#define POLICY_OPTIONS \
	{OPT_POLICY_ISOLATED, "isolated", NULL, "nothing outside the network may be reached, but what --allow names"}, \
	{OPT_POLICY_ALLOW, "allow", "RULE", "this may be: ADDR[/BITS][:PORT[-PORT]][/tcp|/udp]; without --open nothing else"}, \
	{OPT_POLICY_DENY, "deny", "RULE", "this may not; of the rules that are met the most exact decides"}, \
	{OPT_POLICY_OPEN, "open", NULL, "with --allow: what no rule is about may be reached, too"}
/* clang-format on */

/* One option, as cli_next() gave it. True: it was one of these. */
bool policy_option(struct cli *cli, struct policy_args *a, int option);
bool policy_given(const struct policy_args *a);
/* Is the text right? Says what is not. Names are not looked up. Return: 0; an exit code. */
MUST_CHECK int policy_check(struct cli *cli, const struct policy_args *a);
/* Change p by what was given, names looked up now, in the open network of cli. anew: it is a new policy's beginning, and
 * an --allow alone closes it. Return: 0; an exit code, said. */
MUST_CHECK int policy_apply(struct cli *cli, const struct policy_args *a, bool anew, struct port_policy *p);

/* The rules of the runs that this one is in, and its own, if any, below them: it may only narrow. In BERTH_POLICY, too.
 * Return: 0; an exit code, said. */
MUST_CHECK int policy_of_run(struct cli *cli, const struct policy_args *a, struct port_policy_chain *ret);

/* "closed to the outside; 2 rules" and the rules, with `indent` before each line but the first. */
void policy_print(FILE *out, const struct port_policy *p, const char *indent);
json_t *policy_json(const struct port_policy *p);
/* Whose rule refused: "network: closed", "run: deny 10.0.0.1". */
void policy_refusal_print(const struct port_policy_refusal *r, char *s, size_t size_bytes);

/* `berth ls --refused`. Returns the exit code. */
int refused_list(struct cli *cli, bool one_host, uint32_t host);

#endif
