/* src/cli/finding.c: findings as text. Lines that mend are exact: to be pasted behind a root prompt. */
#include "cli/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEEP_FILE "/etc/sysctl.d/90-ports.conf"

const char *const finding_state_name[FINDING_NSTATES] = {"good", "note", "trouble", "unseen"};
const char *const finding_part_name[2] = {"berth", "ports"};

struct finding *finding_new(struct findings *all, enum finding_part part, const char *code)
{
	struct finding *f;

	ASSERT(all->n < FINDINGS_MAX);
	f = &all->rows[all->n++];
	memset(f, 0, sizeof(*f));
	f->part = part;
	f->code = code;
	return f;
}

void finding_value(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->value, sizeof(f->value), fmt, ap);
	va_end(ap);
}

void finding_means(struct finding *f, enum finding_state state, const char *fmt, ...)
{
	va_list ap;

	f->state = state;
	va_start(ap, fmt);
	vsnprintf(f->means, sizeof(f->means), fmt, ap);
	va_end(ap);
}

void finding_unseen(struct finding *f, bool root_helps, const char *fmt, ...)
{
	va_list ap;

	f->state = FINDING_UNSEEN;
	f->root_helps = root_helps;
	va_start(ap, fmt);
	vsnprintf(f->value, sizeof(f->value), fmt, ap);
	va_end(ap);
}

void finding_lines(struct finding *f, const char *now, const char *keep)
{
	snprintf(f->now, sizeof(f->now), "%s", now);
	snprintf(f->keep, sizeof(f->keep), "%s", keep);
}

void finding_sysctl(struct finding *f, const char *name, const char *fmt, ...)
{
	char value[3500], line[4000];
	const char *quote;
	size_t n = strlen(f->now), end = strlen(f->keep);
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	quote = strchr(value, ' ') ? "'" : "";
	if (r >= (int)sizeof(value) || n + strlen(name) + (size_t)r + 16 > sizeof(f->now)) {
		f->now[0] = f->keep[0] = '\0'; /* half a line would do harm */
		return;
	}
	snprintf(f->now + n, sizeof(f->now) - n, "%s %s=%s%s%s", n ? "" : "sysctl -w", name, quote, value, quote);
	snprintf(line, sizeof(line), "%secho '%s = %s' >> " KEEP_FILE, end ? " && " : "", name, value);
	if (end + strlen(line) >= sizeof(f->keep))
		f->now[0] = f->keep[0] = '\0';
	else
		strcpy(f->keep + end, line);
}
