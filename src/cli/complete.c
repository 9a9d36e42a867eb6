/* src/cli/complete.c: `berth complete`: what may come next on a command line, asked by the shells' completion.
 *
 *     berth complete -- WORD...     the words behind `berth`, the last one as far as it has been typed
 *
 * prints a line for each candidate, "CANDIDATE <tab> WHAT IT IS", and lines for what a shell does better:
 *
 *     :files   :folders             names of files, of folders
 *     :command N                    the words from number N on (0: the first behind `berth`) are another command's line
 *
 * Nothing about any command is written here: commands and options are their tables', and what stands behind an
 * option or as an argument is what its help calls it (NETWORK, HOST:PORT, FILE, words in small letters for
 * themselves). So a new command or option is completed as soon as it exists. The shells' parts (completions/) know nothing.
 *
 * `berth complete --spec` prints the tables as JSON, from which tools/gen_man.py makes the man pages' options.
 *
 * Cost: a few milliseconds; nothing is swept, nothing is made, nothing is said on standard error.
 */
#include "cli/complete.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SYNOPSIS_MAX = 256, PLACES_MAX = 16 };

void complete_offer(const char *typed, const char *candidate, const char *text)
{
	char shown[128], word[160];

	if (strncmp(candidate, typed, strlen(typed)) != 0)
		return;
	snprintf(word, sizeof(word), "%s", candidate);
	snprintf(shown, sizeof(shown), "%s", text ? text : "");
	printf("%s\t%s\n", cli_clean(word), cli_clean(shown));
}

/* --- what a place takes, from what the help calls it --- */

static const struct {
	const char *word;
	unsigned kind;
} kinds[] = {
	{"NETWORK", COMPLETE_NETWORK}, {"HOST", COMPLETE_HOST},	      {"HOST:PORT", COMPLETE_PLACE},
	{"PORT", COMPLETE_PORT},       {"RANGE", COMPLETE_PORT},      {"NAME", COMPLETE_SERVICE},
	{"OUTER", COMPLETE_PUBLISHED}, {"ADDRESS", COMPLETE_ADDRESS}, {"FILE", COMPLETE_FILE},
	{"FOLDER", COMPLETE_FOLDER},   {"COMMAND", COMPLETE_COMMAND}, {"USER", COMPLETE_USER},
	{"LEASED", COMPLETE_LEASED},   {"PROGRAM", COMPLETE_PROGRAM}, {"PID", COMPLETE_PID},
	{"COLUMNS", COMPLETE_COLUMNS}, {"STATES", COMPLETE_STATES},
};

/* Offers what one alternative of "PORT|RANGE|NAME" or "allow|deny" stands for. */
static unsigned kind_of(const char *word, const char *typed)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strcmp(word, kinds[i].word) == 0)
			return kinds[i].kind;
	for (const char *p = word; *p; p++)
		if (!islower((unsigned char)*p) && *p != '-')
			return 0;
	if (typed && *word && *word != '-')
		complete_offer(typed, word, NULL);
	return 0;
}

/* Without the brackets that say "may be left out" and the dots that say "more of them", and what is behind a slash. */
static void strip(char *word)
{
	char *dots = strstr(word, "...");
	size_t n = 0;

	if (dots)
		*dots = '\0';
	if (strncmp(word, "[[ADDR:]", 8) == 0)
		memmove(word, word + 8, strlen(word + 8) + 1);
	else if (strncmp(word, "[ADDR:]", 7) == 0)
		memmove(word, word + 7, strlen(word + 7) + 1);
	for (const char *p = word; *p && !(*p == '[' && p[1] == '/'); p++)
		if (*p != '[' && *p != ']')
			word[n++] = *p;
	word[n] = '\0';
}

/* The kinds of a word of the help; words for themselves are offered at once if typed is not NULL. */
static unsigned kinds_of(const char *word, const char *typed)
{
	char copy[SYNOPSIS_MAX], *save = NULL;
	unsigned found = 0;

	snprintf(copy, sizeof(copy), "%s", word);
	strip(copy);
	for (char *w = strtok_r(copy, "|", &save); w; w = strtok_r(NULL, "|", &save))
		found |= kind_of(w, typed);
	return found;
}

/* The places of arguments in a synopsis, "[options] HOST:PORT [PATH]" being two; one that repeats is the last. */
struct places {
	char word[PLACES_MAX][SYNOPSIS_MAX];
	size_t n;
	bool repeats;
};

static void find_places(const struct cmd *cmd, struct places *p)
{
	char copy[SYNOPSIS_MAX], *save = NULL;
	bool joins = false;

	*p = (struct places){.n = 0};
	snprintf(copy, sizeof(copy), "%s", cmd->synopsis);
	for (char *w = strtok_r(copy, " ", &save); w && p->n < PLACES_MAX; w = strtok_r(NULL, " ", &save)) {
		if (strcmp(w, "|") == 0) { /* "A | B" is one place */
			joins = p->n > 0;
			continue;
		}
		if (strncmp(w, "[options", 8) == 0 || strncmp(w, "[-", 2) == 0 || strncmp(w, "--", 2) == 0)
			continue;
		p->repeats = strstr(w, "...") != NULL;
		if (joins) {
			size_t at = strlen(p->word[p->n - 1]);

			snprintf(p->word[p->n - 1] + at, SYNOPSIS_MAX - at, "|%s", w);
		} else {
			snprintf(p->word[p->n++], SYNOPSIS_MAX, "%s", w);
		}
		joins = false;
	}
}

/* --- the line --- */

struct line {
	struct cli *cli;
	const struct cmd *cmd;
	char **words;
	int n;
	const char *typed; /* the last of them */
	size_t n_args;	   /* arguments before it */
	int first_arg;	   /* where the first is */
	bool only_args;	   /* "--" was there */
	int dashes;	   /* where that is, 0: nowhere; not behind the first argument of a CMD_STOP command */
	const struct cli_option *value_of; /* what is typed is this option's value */
};

static const struct cli_option *long_option(const struct cmd *cmd, const char *name, size_t len)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(cmd, i)) != NULL; i++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static void note_value(struct line *l, const struct cli_option *o, const char *value)
{
	if (strcmp(o->name, "network") == 0 && network_name_ok(value)) {
		l->cli->network_name = value;
		l->cli->network_given = true;
	} else if (strcmp(o->name, "host") == 0 && network_name_ok(value)) {
		l->cli->host_name = value;
		l->cli->host_given = true;
	}
}

/* A group such as -qn. Returns the option in it that the next word is the value of; -nlab has its own. */
static const struct cli_option *take_letters(struct line *l, const char *group)
{
	const struct cli_option *o;

	for (; *group; group++)
		for (size_t i = 0; (o = cli_option_at(l->cmd, i)) != NULL; i++) {
			if (o->id != *group || !o->arg)
				continue;
			if (!group[1])
				return o;
			note_value(l, o, group + 1);
			return NULL;
		}
	return NULL;
}

/* A word before the one that is typed. Returns the option that the next word is the value of. */
static const struct cli_option *take_word(struct line *l, int i)
{
	const char *w = l->words[i], *eq = strchr(w, '=');
	const struct cli_option *o;

	if (l->only_args || w[0] != '-' || !w[1]) {
		l->first_arg = l->n_args++ ? l->first_arg : i;
		if (l->cmd->accepts & CMD_STOP)
			l->only_args = true;
		return NULL;
	}
	if (strcmp(w, "--") == 0) {
		l->only_args = true;
		l->dashes = i;
		return NULL;
	}
	if (w[1] != '-')
		return take_letters(l, w + 1);
	o = long_option(l->cmd, w + 2, eq ? (size_t)(eq - w - 2) : strlen(w + 2));
	if (o && o->arg && eq)
		note_value(l, o, eq + 1);
	return o && o->arg && !eq ? o : NULL;
}

static void read_line(struct line *l)
{
	for (int i = 1; i < l->n - 1; i++) {
		if (l->value_of) {
			note_value(l, l->value_of, l->words[i]);
			l->value_of = NULL;
		} else {
			l->value_of = take_word(l, i);
		}
	}
}

static unsigned kinds_of_option(const struct cli_option *o, const char *typed)
{
	if (strcmp(o->name, "network") == 0)
		return COMPLETE_NETWORK;
	if (strcmp(o->name, "host") == 0)
		return COMPLETE_HOST;
	return kinds_of(o->arg, typed);
}

static void offer_options(const struct line *l)
{
	const struct cli_option *o;
	char word[80];

	for (size_t i = 0; (o = cli_option_at(l->cmd, i)) != NULL; i++) {
		snprintf(word, sizeof(word), "--%s", o->name);
		complete_offer(l->typed, word, o->help);
		snprintf(word, sizeof(word), "-%c", o->id);
		if (o->id < CLI_LONG)
			complete_offer(l->typed, word, o->help);
	}
}

/* Where the other command begins whose place in the synopsis is the i-th; -1: not yet. */
static int command_begins(const struct line *l, const struct places *p, size_t i)
{
	bool optional = true; /* all that stands before it */
	int first = l->n_args ? l->first_arg + (int)i : l->n - 1;

	for (size_t k = 0; k < i; k++)
		optional = optional && p->word[k][0] == '[';
	if (l->dashes && optional)
		return l->dashes + 1; /* free [N] -- COMMAND */
	if (i > l->n_args)
		return -1;
	if (l->n_args && i > 0 && first < l->n - 1 && strcmp(l->words[first], "--") == 0)
		first++; /* exec HOST -- COMMAND */
	return first;
}

/* What kinds could stand here; *ret_command: where somebody else's command line begins, -1 if it does not. */
static unsigned kinds_here(const struct line *l, int *ret_command)
{
	static struct places p;
	size_t at = l->n_args;

	*ret_command = -1;
	find_places(l->cmd, &p);
	for (size_t i = 0; i < p.n; i++)
		if (kinds_of(p.word[i], NULL) & COMPLETE_COMMAND) {
			*ret_command = command_begins(l, &p, i);
			if (*ret_command >= 0)
				return COMPLETE_COMMAND;
		}
	if (at >= p.n && p.n > 0 && p.repeats)
		at = p.n - 1;
	return at < p.n ? kinds_of(p.word[at], l->typed) & ~(unsigned)COMPLETE_COMMAND : 0;
}

static void complete(struct line *l)
{
	unsigned found;
	int command = -1;
	const char *eq;

	read_line(l);
	eq = strchr(l->typed, '=');
	if (l->value_of) {
		found = kinds_of_option(l->value_of, l->typed);
	} else if (!l->only_args && strncmp(l->typed, "--", 2) == 0 && eq) {
		/* --network=la: the shells cut at the =, or replace the whole word */
		const struct cli_option *o = long_option(l->cmd, l->typed + 2, (size_t)(eq - l->typed - 2));

		l->typed = eq + 1;
		found = o && o->arg ? kinds_of_option(o, l->typed) : 0;
	} else if (!l->only_args && l->typed[0] == '-') {
		offer_options(l);
		return;
	} else {
		found = kinds_here(l, &command);
	}
	if (command >= 0)
		printf(":command %d\n", command);
	else if (found & COMPLETE_FILE)
		printf(":files\n");
	else if (found & COMPLETE_FOLDER)
		printf(":folders\n");
	fflush(stdout);
	complete_values(l->cli, found, l->typed);
}

static int complete_words(struct cli *cli, char **words, int n)
{
	struct line l = {.cli = cli, .words = words, .n = n, .typed = words[n - 1]};
	size_t n_commands;
	const struct cmd *const *all = cli_commands(&n_commands);

	if (n == 1 || (n == 2 && strcmp(words[0], "help") == 0)) {
		for (size_t i = 0; i < n_commands; i++)
			complete_offer(l.typed, all[i]->name, all[i]->summary);
		if (n == 1 && l.typed[0] == '-') {
			complete_offer(l.typed, "--help", "what there is");
			complete_offer(l.typed, "--version", cmd_version.summary);
		}
		return CLI_OK;
	}
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(words[0], all[i]->name) == 0)
			l.cmd = all[i];
	if (l.cmd)
		complete(&l);
	return CLI_OK;
}

/* --- the tables, for programs --- */

static json_t *option_json(const struct cli_option *o)
{
	char letter[2] = {o->id < CLI_LONG ? (char)o->id : '\0', '\0'};

	return json_pack("{s:o, s:s, s:s?, s:s}", "letter", letter[0] ? json_string(letter) : json_null(), "name",
			 o->name, "arg", o->arg, "help", o->help);
}

static int print_spec(struct cli *cli)
{
	json_t *list = json_array();
	size_t n;
	const struct cmd *const *all = cli_commands(&n);

	for (size_t i = 0; i < n; i++) {
		json_t *options = json_array();
		const struct cli_option *o;

		for (size_t k = 0; (o = cli_option_at(all[i], k)) != NULL; k++)
			json_array_append_new(options, option_json(o));
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", all[i]->name, "synopsis",
						      all[i]->synopsis, "summary", all[i]->summary, "help",
						      all[i]->help, "options", options));
	}
	return cli_json(cli, json_pack("{s:s, s:s, s:o}", "version", BERTH_VERSION, "help", cli_general_help[1],
				       "commands", list));
}

int cli_complete(struct cli *cli)
{
	if (cli->argc == 1 && strcmp(cli->argv[0], "--spec") == 0)
		return print_spec(cli);
	if (cli->argc < 2 || strcmp(cli->argv[0], "--") != 0)
		return cli_fail(cli, 0, "this is for shells: berth complete -- WORD...");
	/* A person is typing: nothing but candidates. */
	if (!freopen("/dev/null", "we", stderr))
		return CLI_FAILED;
	return complete_words(cli, cli->argv + 1, cli->argc - 1);
}
