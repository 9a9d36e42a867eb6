/* src/cli/cmd_doctor.c: `berth doctor`: what this machine lacks, for berth and for everybody's ports, and the line that mends it.
 *
 * Two halves look (doctor_berth.c tries, doctor_ports.c counts) and leave findings, one for each code of docs/doctor.md, always
 * all of them and in one order. Here they are shown: what needs somebody first and whole, what is good in a line each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/explain.h"

#define COLUMNS 80

/* Which state is shown first. */
static const enum finding_state order[] = {FINDING_TROUBLE, FINDING_NOTE, FINDING_UNSEEN};

static size_t count(const struct findings *all, enum finding_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->rows[i].state == state;
	return n;
}

static void show_whole(struct cli *cli, const struct finding *f)
{
	char head[64];

	snprintf(head, sizeof(head), "%-7s  %s", finding_state_name[f->state], f->code);
	cli_say(cli, "%s%s%s\n", cli->colour_out && f->state == FINDING_TROUBLE ? "\033[1m" : "", head,
		cli->colour_out && f->state == FINDING_TROUBLE ? "\033[0m" : "");
	explain_wrap_at(stdout, "found", 9, f->value, COLUMNS);
	if (*f->means)
		explain_wrap_at(stdout, "means", 9, f->means, COLUMNS);
	if (f->root_helps)
		explain_wrap_at(stdout, "root", 9, "sees more: sudo berth doctor", COLUMNS);
	if (*f->now) /* never broken: it is to be pasted */
		explain_wrap_at(stdout, "now", 9, f->now, 0);
	if (*f->keep)
		explain_wrap_at(stdout, "keep", 9, f->keep, 0);
	cli_say(cli, "\n");
}

static void show_good(struct cli *cli, const struct findings *all, enum finding_part part, const char *title)
{
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		const struct finding *f = &all->rows[i];

		if (f->part != part || f->state != FINDING_GOOD)
			continue;
		if (!any)
			cli_say(cli, "%s%s%s\n", cli->colour_out ? "\033[1m" : "", title,
				cli->colour_out ? "\033[0m" : "");
		any = true;
		explain_wrap_at(stdout, f->code, 20, f->value, COLUMNS);
	}
	if (any)
		cli_say(cli, "\n");
}

static void show(struct cli *cli, const struct findings *all)
{
	bool any_line = false;

	for (size_t k = 0; k < COUNT_OF(order); k++)
		for (size_t i = 0; i < all->n; i++)
			if (all->rows[i].state == order[k]) {
				show_whole(cli, &all->rows[i]);
				any_line |= *all->rows[i].now || *all->rows[i].keep;
			}
	show_good(cli, all, FINDING_BERTH, "good, of what berth stands on");
	show_good(cli, all, FINDING_PORTS, "good, of the machine's ports");
	cli_say(cli, "%zu trouble, %zu note%s, %zu not seen, %zu good.%s\n", count(all, FINDING_TROUBLE),
		count(all, FINDING_NOTE), count(all, FINDING_NOTE) == 1 ? "" : "s", count(all, FINDING_UNSEEN),
		count(all, FINDING_GOOD), any_line ? " `now`, `keep`: for root's shell." : "");
}

static json_t *text_or_null(const char *s)
{
	return *s ? cli_json_text(s) : json_null();
}

static int show_json(struct cli *cli, const struct findings *all)
{
	json_t *list = json_array();

	for (size_t i = 0; i < all->n; i++) {
		const struct finding *f = &all->rows[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:b}", "code", f->code,
						      "part", finding_part_name[f->part], "state",
						      finding_state_name[f->state], "value", cli_json_text(f->value),
						      "means", text_or_null(f->means), "now", text_or_null(f->now),
						      "keep", text_or_null(f->keep), "root_helps", f->root_helps));
	}
	return cli_json(cli, json_pack("{s:b, s:o}", "ok", count(all, FINDING_TROUBLE) == 0, "findings", list));
}

static int run(struct cli *cli)
{
	struct findings *all;
	const char *part = NULL;
	int o, r = CLI_OK;

	while ((o = cli_next(cli)) != CLI_END) {
		if (o != CLI_ARG)
			return cli->status;
		if (part)
			return cli_usage(cli, "too many arguments: '%s'", cli->value);
		part = cli->value;
		if (strcmp(part, "berth") != 0 && strcmp(part, "ports") != 0)
			return cli_usage(cli, "'%s' is neither 'berth' nor 'ports'", part);
	}
	all = calloc(1, sizeof(*all));
	if (!all)
		return cli_fail(cli, -ENOMEM, "cannot look");
	if (!part || strcmp(part, "berth") == 0)
		doctor_berth(cli, all);
	if (!part || strcmp(part, "ports") == 0)
		doctor_ports(cli, all);
	for (size_t i = 0; i < all->n; i++)
		cli_clean(all->rows[i].value);
	if (cli->json)
		r = show_json(cli, all);
	else
		show(cli, all);
	if (r == CLI_OK && count(all, FINDING_TROUBLE) > 0)
		r = CLI_NO;
	free(all);
	return r;
}

const struct cmd cmd_doctor = {
	"doctor",
	"[berth|ports] [--json]",
	"say what this machine lacks, and the line that mends it",
	"Looks at what berth stands on, trying what can be tried, and at the machine's ports: services in the range that\n"
	"outgoing connections get their ports from, how much of it is used, TIME_WAIT, full queues. Only one of the two\n"
	"where it is named. Changes nothing.\n"
	"\n"
	"Each finding is trouble, a note (it works, with the limit that is said), good, or not seen; docs/doctor.md has them\n"
	"all. Trouble comes first, with what was found, what it means, the line that mends it now, and the one that keeps\n"
	"it so.\n"
	"\n"
	"Exits 0 when nothing is trouble, 1 when something is.\n"
	"\n"
	"Examples:\n"
	"  berth doctor\n"
	"  sudo berth doctor ports\n"
	"  berth doctor --json\n",
	CMD_JSON,
	NULL,
	run,
};
