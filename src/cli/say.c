/* src/cli/say.c: words to people, JSON to programs; one clear line for each thing that went wrong. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/conf.h"

int cli_say(struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	(void)cli;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	return CLI_OK;
}

/* The whole line in one write, so that lines of several processes do not mix. */
static void say_line(const char *prefix, const char *fmt, va_list ap, const char *suffix)
{
	char text[2048], line[NETWORK_PATH_MAX + 2304];

	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "berth%s: %s%s\n", prefix, text, suffix);
	fflush(stdout);
	fputs(line, stderr);
}

void cli_warn(struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	(void)cli;
	va_start(ap, fmt);
	say_line("", fmt, ap, "");
	va_end(ap);
}

int cli_fail(struct cli *cli, int r, const char *fmt, ...)
{
	char why[128] = "";
	va_list ap;

	(void)cli;
	if (r < 0)
		snprintf(why, sizeof(why), ": %s", strerror(-r));
	va_start(ap, fmt);
	say_line("", fmt, ap, why);
	va_end(ap);
	return CLI_FAILED;
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
	char prefix[NETWORK_PATH_MAX + 64], more[64];
	va_list ap;

	if (cli->conf_line)
		snprintf(prefix, sizeof(prefix), " %s: %s:%u", cli->cmd->name, cli->conf->path, cli->conf_line);
	else
		snprintf(prefix, sizeof(prefix), " %s", cli->cmd->name);
	cli_clean(prefix);
	snprintf(more, sizeof(more), " (see 'berth %s --help')", cli->cmd->name);
	va_start(ap, fmt);
	say_line(prefix, fmt, ap, more);
	va_end(ap);
	return CLI_WRONG_USE;
}

/* A text that berth.conf said may be looked at later, when all options are there. */
static unsigned line_of(const struct cli *cli, const char *text)
{
	for (size_t i = 0; !cli->conf_line && cli->conf && i < cli->conf->n_settings; i++)
		if (cli->conf->settings[i].value == text)
			return cli->conf->settings[i].line;
	return cli->conf_line;
}

int cli_usage_at(struct cli *cli, const char *text, const struct port_parse_error *e)
{
	size_t at = e->at < strlen(text) ? e->at : strlen(text);
	char shown[256], where[NETWORK_PATH_MAX + 16] = "";

	snprintf(shown, sizeof(shown), "%s", text);
	cli_clean(shown);
	fflush(stdout);
	if (at >= sizeof(shown))
		at = sizeof(shown) - 1;
	if (line_of(cli, text))
		snprintf(where, sizeof(where), "%s:%u: ", cli->conf->path, line_of(cli, text));
	fprintf(stderr, "berth %s: %s%s\n    %s\n    %*s^\n", cli->cmd->name, cli_clean(where), e->what, shown, (int)at,
		"");
	return CLI_WRONG_USE;
}

int cli_json(struct cli *cli, json_t *root)
{
	int r;

	if (!root)
		return cli_fail(cli, -ENOMEM, "cannot make the JSON");
	r = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
	json_decref(root);
	putchar('\n');
	return r == 0 ? CLI_OK : CLI_FAILED;
}

size_t cli_utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char first_lo, first_hi, second_lo, second_hi, len;
	} forms[] = {
		{0x01, 0x7f, 0, 0, 1},	     {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		if (s[0] < forms[i].first_lo || s[0] > forms[i].first_hi)
			continue;
		if (forms[i].len > 1 && (s[1] < forms[i].second_lo || s[1] > forms[i].second_hi))
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		return forms[i].len;
	}
	return 0;
}

json_t *cli_json_text(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	char *out = malloc(strlen(s) * 3 + 1);
	size_t n = 0;
	json_t *j;

	if (!out)
		return NULL;
	while (*p) {
		size_t len = cli_utf8_len(p);

		if (len == 0) { /* U+FFFD, the replacement character */
			memcpy(out + n, "\xef\xbf\xbd", 3);
			n += 3;
			p++;
		} else {
			memcpy(out + n, p, len);
			n += len;
			p += len;
		}
	}
	out[n] = '\0';
	j = json_string(out);
	free(out);
	return j;
}

char *cli_clean(char *s)
{
	unsigned char *p = (unsigned char *)s;

	while (*p) {
		size_t len = cli_utf8_len(p);
		bool c1 = len == 2 && p[0] == 0xc2 && p[1] < 0xa0;

		if (len == 0 || (len == 1 && (*p < ' ' || *p == 0x7f)))
			*p = '?';
		else if (c1) /* U+0080 to U+009F steer terminals as ESC does */
			p[0] = p[1] = '?';
		p += len > 0 ? len : 1;
	}
	return s;
}

const char *cli_port(uint16_t port, enum port_proto proto, char s[16])
{
	snprintf(s, 16, "%u/%s", port, proto == PORT_UDP ? "udp" : "tcp");
	return s;
}
