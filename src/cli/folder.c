/* src/cli/folder.c: the folder a command was called in: whose work tree it is in, and which berth.conf is meant.
 *
 * Both are looked for upwards. A work tree ends where a .git is (a folder, or a file in a linked work tree of git's). The
 * search for a berth.conf ends at the work tree's top; in none, at the home folder; and outside of that at the first folder that
 * is not ours. The nearest counts, and only that one.
 *
 * What a berth.conf says is done in our name: which network a program is in, what its environment is, who reaches it. So one
 * that somebody else could have put there is not used, and that is said: file and folder must be ours (the effective user's),
 * not writable by everybody, and the file no symbolic link. $BERTH_CONF names another file, or with "" none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/folder.h"
#include "cli/proc.h"

#define CONF "berth.conf"

static bool exists_in(const char *dir, const char *leaf, struct stat *ret)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, leaf);
	return lstat(path, ret) == 0;
}

/* Cut off the last name. False: it was the root. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || strcmp(path, "/") == 0)
		return false;
	slash[slash == path] = '\0';
	return true;
}

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0' || len == 1);
}

/* Why the file may not be used; NULL: it may. */
static const char *why_not(const struct stat *file, const struct stat *dir, char s[80])
{
	char user[32];

	if (!S_ISREG(file->st_mode))
		return "it is not a plain file";
	if (file->st_uid != geteuid() || dir->st_uid != geteuid()) {
		snprintf(s, 80, "%s belongs to user %s", file->st_uid != geteuid() ? "it" : "its folder",
			 proc_user(file->st_uid != geteuid() ? file->st_uid : dir->st_uid, user));
		return s;
	}
	if ((file->st_mode | dir->st_mode) & S_IWOTH)
		return file->st_mode & S_IWOTH ? "everybody may write it" : "everybody may write to its folder";
	return NULL;
}

static bool may_use(struct cli *cli, const char *dir, const struct stat *file)
{
	char text[80], shown[PATH_MAX];
	const char *why;
	struct stat d;

	if (stat(dir, &d) < 0)
		return false;
	why = why_not(file, &d, text);
	if (!why)
		return true;
	snprintf(shown, sizeof(shown), "%s", dir);
	cli_warn(cli, "%s/" CONF " is not used: %s", strcmp(dir, "/") == 0 ? "" : cli_clean(shown), why);
	return false;
}

static void find_top(struct folder *f)
{
	char at[PATH_MAX];
	struct stat st;

	memcpy(at, f->here, sizeof(at));
	do
		if (exists_in(at, ".git", &st)) {
			memcpy(f->top, at, sizeof(at));
			return;
		}
	while (go_up(at));
}

static void find_conf(struct cli *cli, struct folder *f)
{
	const char *home = getenv("HOME");
	char at[PATH_MAX], real_home[PATH_MAX];
	struct stat file, dir;
	const char *end;

	if (!home || home[0] != '/' || !realpath(home, real_home))
		real_home[0] = '\0';
	end = f->top[0] ? f->top : real_home[0] && is_below(f->here, real_home) ? real_home : NULL;
	memcpy(at, f->here, sizeof(at));
	do {
		if (exists_in(at, CONF, &file) && may_use(cli, at, &file)) {
			snprintf(f->conf, sizeof(f->conf), "%.*s/" CONF, PATH_MAX - 16, strcmp(at, "/") == 0 ? "" : at);
			return;
		}
		if (end ? strcmp(at, end) == 0 : stat(at, &dir) < 0 || dir.st_uid != geteuid())
			return;
	} while (go_up(at));
}

/* Named by the person: what is wrong with it is no reason to go on without it. */
static void use_given(struct folder *f, const char *given)
{
	if (strlen(given) < sizeof(f->conf) && !realpath(given, f->conf))
		snprintf(f->conf, sizeof(f->conf), "%s", given);
}

const struct folder *folder_find(struct cli *cli)
{
	static struct folder f;
	static bool done;
	const char *given = getenv("BERTH_CONF");

	if (!done) {
		done = true;
		if (!getcwd(f.here, sizeof(f.here)) || f.here[0] != '/')
			f.here[0] = '\0'; /* removed, or outside of our root */
		if (f.here[0])
			find_top(&f);
		if (given && *given)
			use_given(&f, given);
		else if (!given && f.here[0])
			find_conf(cli, &f);
	}
	return f.here[0] ? &f : NULL;
}

const char *folder_of_host(struct cli *cli)
{
	const struct folder *f = folder_find(cli);
	static char dir[PATH_MAX];

	if (!f || f->top[0] || !f->conf[0])
		return !f ? NULL : f->top[0] ? f->top : f->here;
	memcpy(dir, f->conf, sizeof(dir));
	go_up(dir);
	return dir[0] ? dir : "/";
}
