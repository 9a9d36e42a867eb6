/* src/cli/conf.c: berth.conf, read by inih (https://github.com/benhoyt/inih).
 *
 *     network = lab
 *     host    = auto
 *     publish = 8080:3000, 8443:3443
 *
 *     [environment]
 *     PORT = 3000
 *
 * inih takes a file line by line and calls handle() for each value; it knows no line numbers there and cuts lines that are
 * longer than it has room for, so it reads through next_line(), which counts, and refuses what inih would misread.
 * The first thing that is wrong is said, with file and line, and the command is not run.
 *
 * An indented line continues the one above: that makes lists, and of anything else a second value, which is refused.
 *
 * Variables that decide which code a program loads are not taken from a file that may have come with a strange repository; that
 * list is not complete and cannot be (docs/conf.md says so).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/conf.h"

enum { SIZE_MAX_OCTETS = 64 << 10 };
#define ENVIRONMENT "environment"

struct reader {
	struct cli *cli;
	struct conf *conf;
	FILE *file;
	char *text; /* of the line, by getline(3) */
	size_t room;
	unsigned line;
	bool wrong;	   /* and said */
	unsigned switches; /* bit i: keys[i] was there */
};

/* "berth: /home/a/berth.conf:3: <text>"; only the first time. Returns 0, as inih wants it. */
static int wrong(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int wrong(struct reader *r, const char *fmt, ...)
{
	char text[512], path[PATH_MAX];
	va_list ap;

	if (r->wrong)
		return 0;
	r->wrong = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s", r->conf->path);
	cli_warn(r->cli, "%s:%u: %s", cli_clean(path), r->line, cli_clean(text));
	return 0;
}

static char *next_line(char *s, int room, void *ctx)
{
	struct reader *r = ctx;
	ssize_t n = r->wrong ? -1 : getline(&r->text, &r->room, r->file);

	if (n < 0)
		return NULL;
	r->line++;
	if (n > room - 3)
		wrong(r, "the line is longer than %d characters", room - 4);
	else if (strlen(r->text) != (size_t)n)
		wrong(r, "there is a NUL character in the line");
	if (r->wrong)
		return NULL;
	memcpy(s, r->text, (size_t)n + 1);
	return s;
}

/* --- values --- */

static int set_name(struct reader *r, const char *key, char to[NETWORK_NAME_MAX], const char *value)
{
	if (to[0])
		return wrong(r, "'%s' is given a second time (an indented line continues the one above)", key);
	if (!network_name_ok(value) || (strcmp(key, "host") == 0 && strcasecmp(value, "localhost") == 0))
		return wrong(r, "'%s' cannot be the name of a %s", value, key);
	snprintf(to, NETWORK_NAME_MAX, "%.63s", value);
	return 1;
}

static int add_setting(struct reader *r, const char *key, const char *value, size_t len)
{
	struct conf *c = r->conf;

	if (c->n_settings == CONF_SETTINGS_MAX)
		return wrong(r, "more than %d values", CONF_SETTINGS_MAX);
	c->settings[c->n_settings++] =
		(struct conf_setting){.key = key, .value = value ? strndup(value, len) : NULL, .line = r->line};
	return 1;
}

static int add_list(struct reader *r, const char *key, const char *value)
{
	for (const char *p = value; *p;) {
		size_t len = strcspn(p, ", \t");

		if (len > 0 && !add_setting(r, key, p, len))
			return 0;
		p += len;
		p += strspn(p, ", \t");
	}
	return 1;
}

static int add_switch(struct reader *r, unsigned which, const char *key, const char *value)
{
	static const char *const on[] = {"yes", "true", "on", "1"}, *const off[] = {"no", "false", "off", "0"};

	if (r->switches & 1u << which)
		return wrong(r, "'%s' is given a second time", key);
	r->switches |= 1u << which;
	for (size_t i = 0; i < COUNT_OF(on); i++) {
		if (strcasecmp(value, on[i]) == 0)
			return add_setting(r, key, NULL, 0);
		if (strcasecmp(value, off[i]) == 0)
			return 1;
	}
	return wrong(r, "'%s' is yes or no, not '%s'", key, value);
}

static const struct {
	const char *name;
	enum { NETWORK, HOST, LIST, SWITCH } kind;
	bool way_out; /* one subject together: a command line that says anything about it says all */
} keys[] = {
	{"network", NETWORK, false}, {"host", HOST, false}, {"publish", LIST, false},	{"publish-all", SWITCH, false},
	{"allow", LIST, true},	     {"deny", LIST, true},  {"isolated", SWITCH, true}, {"open", SWITCH, true},
};

static bool is_way_out(const char *key)
{
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		if (keys[i].way_out && strcmp(keys[i].name, key) == 0)
			return true;
	return false;
}

bool conf_same_subject(const char *a, const char *b)
{
	return strcmp(a, b) == 0 || (is_way_out(a) && is_way_out(b));
}

static int handle_key(struct reader *r, const char *name, const char *value)
{
	const char *near;

	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		switch (keys[i].kind) {
		case NETWORK:
			return set_name(r, name, r->conf->network, value);
		case HOST:
			return set_name(r, name, r->conf->host, value);
		case LIST:
			return add_list(r, keys[i].name, value);
		case SWITCH:
			return add_switch(r, (unsigned)i, keys[i].name, value);
		}
	}
	near = cli_nearest(name, keys, COUNT_OF(keys), sizeof(keys[0]));
	return near ? wrong(r, "there is no key '%s'; did you mean '%s'?", name, near)
		    : wrong(r, "there is no key '%s' (variables belong under [" ENVIRONMENT "])", name);
}

/* --- the environment --- */

static bool decides_what_is_loaded(const char *name)
{
	static const char *const names[] = {"PATH",	  "IFS",    "ENV",	 "BASH_ENV",
					    "GCONV_PATH", "SHELL",  "SHELLOPTS", "GLIBC_TUNABLES",
					    "LOCPATH",	  "NLSPATH"};

	if (strncmp(name, "LD_", 3) == 0 || strncmp(name, "BERTH_", 6) == 0 || strncmp(name, "BASH_FUNC_", 10) == 0)
		return true;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int handle_variable(struct reader *r, const char *name, const char *value)
{
	struct conf *c = r->conf;
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!(isalnum((unsigned char)name[i]) || name[i] == '_') || isdigit((unsigned char)name[0]))
			return wrong(r, "'%s' cannot be the name of a variable", name);
	if (decides_what_is_loaded(name))
		return wrong(r, "%s is not set by a berth.conf: it decides which code programs run", name);
	for (size_t i = 0; i < c->n_variables; i++)
		if (strcmp(c->variables[i].name, name) == 0)
			return wrong(r, "%s is set a second time (an indented line continues the one above)", name);
	if (c->n_variables == CONF_SETTINGS_MAX)
		return wrong(r, "more than %d variables", CONF_SETTINGS_MAX);
	c->variables[c->n_variables++] = (struct conf_variable){strdup(name), strdup(value)};
	return 1;
}

static int handle(void *ctx, const char *section, const char *name, const char *value)
{
	struct reader *r = ctx;

	size_t len = strlen(value);

	if (r->wrong)
		return 0;
	if (len >= 2 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0])
		return wrong(r, "a value is written without quotes: %s = %.*s", name, (int)(len - 2), value + 1);
	if (!section[0])
		return handle_key(r, name, value);
	if (strcmp(section, ENVIRONMENT) == 0)
		return handle_variable(r, name, value);
	return wrong(r, "there is no section [%s]: [" ENVIRONMENT "] is the only one", section);
}

/* --- the file --- */

static int parse(struct reader *r)
{
	int at = ini_parse_stream(next_line, r, handle, r);

	if (at > 0 && !r->wrong) {
		r->line = (unsigned)at;
		wrong(r, "this is neither 'key = value' nor a [section]");
	}
	free(r->text);
	return r->wrong ? CLI_FAILED : 0;
}

int conf_read(struct cli *cli, const struct conf **ret)
{
	static struct conf conf;
	const struct folder *f = folder_find(cli);
	struct reader r = {.cli = cli, .conf = &conf};
	struct stat st;
	int fd, code;

	*ret = &conf;
	if (!f || !f->conf[0])
		return 0;
	conf.path = f->conf;
	fd = open(conf.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0 || (r.file = fdopen(fd, "r")) == NULL) {
		code = cli_fail(cli, -errno, "cannot read %s", conf.path);
		if (fd >= 0)
			close(fd);
		return code;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & S_IWOTH || st.st_size > SIZE_MAX_OCTETS)
		code = cli_fail(cli, 0, "%s is not used: it %s", conf.path,
				!S_ISREG(st.st_mode)	 ? "is not a plain file"
				: st.st_uid != geteuid() ? "belongs to another user"
				: st.st_mode & S_IWOTH	 ? "may be written by everybody"
							 : "is larger than 64 KiB");
	else
		code = parse(&r);
	fclose(r.file);
	return code;
}

int conf_set_environment(const struct conf *c)
{
	for (size_t i = 0; c && i < c->n_variables; i++)
		if (!c->variables[i].name || !c->variables[i].value ||
		    setenv(c->variables[i].name, c->variables[i].value, 0) < 0)
			return -ENOMEM;
	return 0;
}
