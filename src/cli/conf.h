/* src/cli/conf.h: what a folder's berth.conf says (docs/conf.md). */
#ifndef BERTH_CLI_CONF_H
#define BERTH_CLI_CONF_H

#include "cli/folder.h"

enum { CONF_SETTINGS_MAX = 256 };

/* One that is an option of commands by the same name: it is given to those that have the option. */
struct conf_setting {
	const char *key;   /* "publish" */
	const char *value; /* one of a list; NULL for those that are on or off, and then it is on */
	unsigned line;
};

struct conf_variable {
	char *name, *value;
};

struct conf {
	const char *path;					/* NULL: there is none */
	char network[NETWORK_NAME_MAX], host[NETWORK_NAME_MAX]; /* "": not said */
	struct conf_setting settings[CONF_SETTINGS_MAX];
	size_t n_settings;
	struct conf_variable variables[CONF_SETTINGS_MAX];
	size_t n_variables;
};

/* The one of the folder that the command was called in. Return: 0; an exit code, said. */
MUST_CHECK int conf_read(struct cli *cli, const struct conf **ret);
/* Does an option of the one name on the command line take the place of the other key? */
bool conf_same_subject(const char *a, const char *b);
/* Set the variables that are not set. Return: 0; -ENOMEM. */
MUST_CHECK int conf_set_environment(const struct conf *c);

#endif
