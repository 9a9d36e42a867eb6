/* src/cli/apparmor.c: does an AppArmor profile hold a program back?
 *
 * A profile is attached by the kernel at exec, by the program's path. One that is enforced and knows nothing
 * of berth forbids the program to read libberth.so or the network's folder, and all the program and we see is
 * "permission denied". So the command's label is read when it has been executed, and named. A profile that we
 * run under ourselves (a container's) lets us through, and so the program.
 */
#include "cli/apparmor.h"

#include <stdio.h>
#include <string.h>

bool apparmor_parse(const char *label, char ret_name[APPARMOR_NAME_MAX])
{
	static const char *const held[] = {" (enforce)", " (kill)", " (mixed)"};
	size_t len = strcspn(label, "\n");

	for (size_t i = 0; i < COUNT_OF(held); i++) {
		size_t n = strlen(held[i]);

		if (len <= n || memcmp(label + len - n, held[i], n) != 0)
			continue;
		snprintf(ret_name, APPARMOR_NAME_MAX, "%.*s", (int)(len - n), label);
		return true;
	}
	return false;
}

static bool read_label(const char *process, char label[256])
{
	static const char *const files[] = {"apparmor/current", "current"};
	char path[64];
	bool ok = false;

	for (size_t i = 0; i < COUNT_OF(files) && !ok; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/attr/%s", process, files[i]);
		f = fopen(path, "re");
		ok = f && fgets(label, 256, f);
		if (f)
			fclose(f);
	}
	return ok;
}

bool apparmor_holds(int32_t pid, char ret_name[APPARMOR_NAME_MAX])
{
	char process[16], label[256], own[256];

	snprintf(process, sizeof(process), "%d", pid);
	if (!read_label(process, label) || !apparmor_parse(label, ret_name))
		return false;
	return !read_label("self", own) || strcmp(own, label) != 0;
}
