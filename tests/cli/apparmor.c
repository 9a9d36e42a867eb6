/* tests/cli/apparmor.c: the labels that Linux writes into /proc/PID/attr/current, and who is held by them. */
#include "cli/apparmor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *label, *name; /* name NULL: not held */
} rows[] = {
	{"unconfined\n", NULL},
	{"/usr/sbin/named (enforce)\n", "/usr/sbin/named"},
	{"/usr/sbin/named (enforce)", "/usr/sbin/named"},
	{"firefox (complain)\n", NULL},
	{"firefox (kill)\n", "firefox"},
	{"firefox (unconfined)\n", NULL},
	{"a//&b (mixed)\n", "a//&b"},
	{"two words (enforce)\n", "two words"},
	{"unconfined_u:unconfined_r:unconfined_t:s0", NULL}, /* SELinux */
	{" (enforce)", NULL},
	{"", NULL},
};

int main(void)
{
	char name[APPARMOR_NAME_MAX], longest[600];
	int failed = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool held = apparmor_parse(rows[i].label, name);

		if (held == (rows[i].name != NULL) && (!held || !strcmp(name, rows[i].name)))
			continue;
		printf("FAIL: '%s'\n", rows[i].label);
		failed++;
	}
	memset(longest, 'x', sizeof(longest));
	strcpy(longest + sizeof(longest) - 11, " (enforce)");
	if (!apparmor_parse(longest, name) || strlen(name) != APPARMOR_NAME_MAX - 1)
		failed += printf("FAIL: a name of 589 characters\n") > 0;
	if (apparmor_holds((int32_t)getpid(), name))
		failed += printf("FAIL: who holds us as well is nobody to speak of\n") > 0;
	return failed != 0;
}
