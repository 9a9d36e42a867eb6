/* src/cli/options.c: options and arguments, and what was probably meant by a wrong one.
 *
 * The options of a command are a table, so that its --help, its parsing and its "did you mean" are
 * the same list. Options may stand anywhere among the arguments, `--name value` and `--name=value`
 * are the same, letters may be grouped (-qn lab), and "--" ends them; for a CMD_STOP command the
 * first argument ends them too, since what follows is somebody else's command line. Abbreviations
 * are not accepted: a script that used one would break when a longer option appears.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/conf.h"

enum { OPT_HELP = 'h', OPT_NETWORK = 'n', OPT_HOST = 'H', OPT_JSON = CLI_LONG + 1000, HELP_COLUMNS = 80 };

static const struct {
	unsigned needs; /* CMD_... bit; 0: every command */
	struct cli_option o;
} common[] = {
	{CMD_NETWORK, {OPT_NETWORK, "network", "NAME", "the network (default: default)"}},
	{CMD_HOST, {OPT_HOST, "host", "NAME", "the host in it (default: local)"}},
	{CMD_JSON, {OPT_JSON, "json", NULL, "print JSON; the keys are documented in docs/json.md"}},
	{0, {OPT_HELP, "help", NULL, "print this and exit"}},
};

const struct cli_option *cli_option_at(const struct cmd *cmd, size_t i)
{
	for (const struct cli_option *o = cmd->options; o && o->name; o++)
		if (i-- == 0)
			return o;
	for (size_t k = 0; k < COUNT_OF(common); k++)
		if ((cmd->accepts & common[k].needs) == common[k].needs && i-- == 0)
			return &common[k].o;
	return NULL;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b. */
size_t cli_distance(const char *a, const char *b)
{
	enum { MAX = 32 };
	size_t d[3][MAX + 1], n = strlen(a), m = strlen(b);

	if (n > MAX || m > MAX)
		return MAX;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = min3(up[j] + 1, row[j - 1] + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < row[j])
				row[j] = up2[j - 2] + 1;
		}
	}
	return d[n % 3][m];
}

/* Words people know from other tools. */
static const char *const synonyms[][2] = {
	{"list", "ls"},	     {"ps", "ls"},	   {"show", "ls"},     {"status", "ls"},  {"start", "run"},
	{"network", "net"},  {"networks", "net"},  {"whohas", "who"},  {"lsof", "who"},	  {"explain", "why"},
	{"service", "name"}, {"services", "name"}, {"lookup", "name"}, {"delete", "rm"},  {"remove", "rm"},
	{"reserve", "free"}, {"get-port", "free"}, {"lease", "free"},  {"new", "create"}, {"add", "create"},
	{"inspect", "show"},
};

const char *cli_nearest(const char *typed, const void *names, size_t n, size_t stride_bytes)
{
	const char *best = NULL;
	size_t best_d = SIZE_MAX, len = strlen(typed);

	for (size_t s = 0; s < COUNT_OF(synonyms); s++) {
		if (strcasecmp(typed, synonyms[s][0]) != 0)
			continue;
		for (size_t i = 0; i < n; i++) {
			const char *name = *(const char *const *)((const char *)names + i * stride_bytes);

			if (strcmp(name, synonyms[s][1]) == 0)
				return name;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride_bytes);
		size_t d = cli_distance(typed, name);

		if (len >= 3 && strncasecmp(name, typed, len) == 0)
			d = 1; /* the beginning of a longer word */
		if (d < best_d) {
			best_d = d;
			best = name;
		}
	}
	/* One slip in a short word, about one in three letters in a longer one; and never everything. */
	return best && best_d <= (len <= 4 ? 1 : 1 + len / 4) && best_d < len ? best : NULL;
}

static int unknown_option(struct cli *cli, const char *typed)
{
	const char *names[32], *near;
	const struct cli_option *o;
	char shown[64];
	size_t n = 0;

	for (; n < COUNT_OF(names) && (o = cli_option_at(cli->cmd, n)) != NULL; n++)
		names[n] = o->name;
	near = cli_nearest(typed, names, n, sizeof(names[0]));
	snprintf(shown, sizeof(shown), "%s", typed);
	cli_clean(shown);
	cli->status = near ? cli_usage(cli, "unknown option '--%s'; did you mean '--%s'?", shown, near)
			   : cli_usage(cli, "unknown option '--%s'", shown);
	return CLI_DONE;
}

/* Options every command shares are served here. Returns the id for the command's own, 0 when done. */
static int serve(struct cli *cli, const struct cli_option *o)
{
	switch (o->id) {
	case OPT_JSON:
		cli->json = true;
		return 0;
	case OPT_HELP:
		cli_help(cli->cmd);
		cli->status = CLI_OK;
		return CLI_DONE;
	case OPT_NETWORK:
	case OPT_HOST:
		break;
	default:
		if (cli->n_given < COUNT_OF(cli->given))
			cli->given[cli->n_given++] = o->name;
		return o->id;
	}
	if (!(cli->cmd->accepts & (o->id == OPT_NETWORK ? CMD_NETWORK : CMD_HOST)))
		return o->id; /* the command's own -n or -H */
	if (!network_name_ok(cli->value)) {
		char shown[80];

		snprintf(shown, sizeof(shown), "%s", cli->value);
		cli->status = cli_usage(cli,
					"'%s' cannot be the name of a %s: letters, digits and hyphens inside, "
					"at most 63 characters",
					cli_clean(shown), o->id == OPT_NETWORK ? "network" : "host");
		return CLI_DONE;
	}
	if (o->id == OPT_HOST && strcasecmp(cli->value, "localhost") == 0) {
		cli->status = cli_usage(cli, "'localhost' is what every host calls itself; give this one another name");
		return CLI_DONE;
	}
	if (o->id == OPT_NETWORK) {
		cli->network_name = cli->value;
		cli->network_given = true;
	} else {
		cli->host_name = cli->value;
		cli->host_given = true;
	}
	return 0;
}

static int long_option(struct cli *cli, const char *text)
{
	const char *eq = strchr(text, '=');
	size_t len = eq ? (size_t)(eq - text) : strlen(text);
	const struct cli_option *o;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1), text);
	for (size_t i = 0; (o = cli_option_at(cli->cmd, i)) != NULL; i++) {
		if (strcmp(o->name, name) != 0)
			continue;
		if (eq && !o->arg) {
			cli->status = cli_usage(cli, "option '--%s' takes no value", o->name);
			return CLI_DONE;
		}
		if (o->arg && !eq && cli->at >= cli->argc) {
			cli->status = cli_usage(cli, "option '--%s' needs a value: --%s %s", o->name, o->name, o->arg);
			return CLI_DONE;
		}
		cli->value = !o->arg ? NULL : eq ? eq + 1 : cli->argv[cli->at++];
		return serve(cli, o);
	}
	return unknown_option(cli, name);
}

static int letter_option(struct cli *cli)
{
	char c = *cli->letters++;
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(cli->cmd, i)) != NULL; i++) {
		if (o->id != c)
			continue;
		if (!o->arg) {
			cli->value = NULL;
			return serve(cli, o);
		}
		if (*cli->letters) { /* -nlab, -n=lab is not a form anybody documents */
			cli->value = cli->letters;
			cli->letters = "";
		} else if (cli->at < cli->argc) {
			cli->value = cli->argv[cli->at++];
		} else {
			cli->status = cli_usage(cli, "option '-%c' needs a value: -%c %s", c, c, o->arg);
			return CLI_DONE;
		}
		return serve(cli, o);
	}
	cli->status = cli_usage(cli, "unknown option '-%c'%s", c > ' ' && c < 127 ? c : '?',
				c >= '0' && c <= '9' ? "; a number is written without a sign" : "");
	return CLI_DONE;
}

/* Has the command line an option of that subject? */
static bool is_given(const struct cli *cli, const char *key)
{
	for (size_t i = 0; i < cli->n_given; i++)
		if (conf_same_subject(cli->given[i], key))
			return true;
	return false;
}

/* The command line is over: what berth.conf says and the line does not. */
static int from_conf(struct cli *cli)
{
	const struct cmd *cmd = cli->cmd;
	int r;

	if (!(cmd->accepts & CMD_NETWORK))
		return CLI_END;
	if (!cli->conf) {
		r = conf_read(cli, &cli->conf);
		if (r != 0) {
			cli->status = r;
			return CLI_DONE;
		}
		if (!cli->network_given && cli->conf->network[0])
			cli->network_name = cli->conf->network;
		if (!cli->host_given && cli->conf->host[0] && cmd->accepts & CMD_HOST)
			cli->host_name = cli->conf->host;
	}
	while (cli->conf_at < cli->conf->n_settings) {
		const struct conf_setting *s = &cli->conf->settings[cli->conf_at++];

		for (const struct cli_option *o = cmd->options; o && o->name; o++)
			if (strcmp(o->name, s->key) == 0 && (o->arg != NULL) == (s->value != NULL) &&
			    !is_given(cli, s->key)) {
				cli->value = s->value;
				cli->conf_line = s->line;
				return o->id;
			}
	}
	cli->conf_line = 0;
	return CLI_END;
}

int cli_next(struct cli *cli)
{
	for (;;) {
		const char *a;
		int o;

		if (cli->letters && *cli->letters) {
			o = letter_option(cli);
			if (o != 0)
				return o;
			continue;
		}
		if (cli->at >= cli->argc)
			return from_conf(cli);
		a = cli->argv[cli->at];
		if (cli->only_args || a[0] != '-' || a[1] == '\0') {
			if (cli->cmd->accepts & CMD_STOP)
				return from_conf(cli);
			cli->at++;
			cli->value = a;
			return CLI_ARG;
		}
		cli->at++;
		if (strcmp(a, "--") == 0) {
			if (cli->cmd->accepts & CMD_STOP) {
				cli->only_args = true; /* and there are no more options when we are called again */
				return from_conf(cli);
			}
			cli->only_args = true;
			continue;
		}
		if (a[1] == '-') {
			o = long_option(cli, a + 2);
			if (o != 0)
				return o;
			continue;
		}
		cli->letters = a + 1;
	}
}

char **cli_rest(struct cli *cli)
{
	return cli->argv + cli->at;
}

/* --- help: for a terminal of 80 columns, the common one --- */

/* Where a line of at most room octets ends: at a blank, unless its first word is longer than that. */
static size_t line_end(const char *text, size_t len, size_t room)
{
	size_t cut = room;

	if (len <= room)
		return len;
	while (cut > 0 && text[cut] != ' ' && text[cut] != '\n')
		cut--;
	return cut ? cut : strcspn(text, " \n");
}

/* The text behind `left`, in lines below each other. */
static void print_option(const char *left, const char *help)
{
	enum { LEFT = 28, ROOM = HELP_COLUMNS - LEFT - 3 };

	if (strlen(left) > LEFT) {
		printf("  %s\n", left);
		left = "";
	}
	for (;; left = "") {
		size_t cut = line_end(help, strlen(help), ROOM);

		printf("  %-*s %.*s\n", LEFT, left, (int)cut, help);
		help += cut + strspn(help + cut, " ");
		if (!*help)
			return;
	}
}

/* Paragraphs are filled anew; a line that is indented, or before one that is, stays as it is. */
static void print_help(const char *text)
{
	while (*text) {
		const char *end = strstr(text, "\n\n"), *next = strchr(text, '\n') + 1;

		if (*text == '\n' || *text == ' ' || *next == ' ') {
			printf("%.*s", (int)(next - text), text);
			text = next;
			continue;
		}
		end = end ? end : text + strlen(text) - 1;
		while (text < end) {
			size_t cut = line_end(text, (size_t)(end - text), HELP_COLUMNS);

			for (size_t i = 0; i < cut; i++)
				putchar(text[i] == '\n' ? ' ' : text[i]);
			putchar('\n');
			text += cut;
			while (text < end && (*text == ' ' || *text == '\n'))
				text++;
		}
		text = *end ? end + 1 : end;
	}
}

void cli_help(const struct cmd *cmd)
{
	const struct cli_option *o;

	printf("berth %s: %s\n\nUsage: berth %s%s%s\n\n", cmd->name, cmd->summary, cmd->name, *cmd->synopsis ? " " : "",
	       cmd->synopsis);
	print_help(cmd->help);
	printf("\nOptions:\n");
	for (size_t i = 0; (o = cli_option_at(cmd, i)) != NULL; i++) {
		char left[64], letter[8] = "    ";

		if (o->id < CLI_LONG)
			snprintf(letter, sizeof(letter), "-%c, ", o->id);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		print_option(left, o->help);
	}
}
