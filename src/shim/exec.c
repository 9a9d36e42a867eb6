/* src/shim/exec.c: a program that starts another keeps it in the network.
 *
 * Servers start their successors with an environment of their own making (nginx -USR2, sshd), and a
 * child without LD_PRELOAD would be loose on the machine's real ports. So the calls that take an
 * environment get ours added where it lacks it. What the program set itself is left as it set it:
 * a nested `berth run` names another network, and another library in LD_PRELOAD stays after ours.
 *
 * These run in vfork children and signal handlers: the stack, no allocation, no lock, no global
 * written. An environment so large that its copy would not be safe on the stack passes unchanged.
 */
#include <alloca.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <wordexp.h>

#include "shim/deaf.h"
#include "shim/resolve.h"

#define ENV_ENTRIES_MAX 16384 /* 128 KiB of pointers */
#define PRELOAD_MAX 16384
#define ARGS_MAX 8192

static const char preload_name[] = "LD_PRELOAD=";

static size_t name_len(const char *entry)
{
	return strcspn(entry, "=") + 1;
}

static char *const *find(char *const *env, const char *entry)
{
	size_t len = name_len(entry);

	for (; env && *env; env++)
		if (!strncmp(*env, entry, len))
			return env;
	return NULL;
}

/* Octets for the merged LD_PRELOAD; 0 when there is nothing to merge. */
static size_t merged_size(char *const *env)
{
	const char *const *ours = shim_env();
	char *const *theirs;

	if (!ours[0] || strncmp(ours[0], preload_name, sizeof(preload_name) - 1))
		return 0;
	theirs = find(env, ours[0]);
	if (!theirs || strstr(*theirs, "libberth.so"))
		return 0;
	return strlen(ours[0]) + strlen(*theirs) + 2;
}

static size_t count(char *const *env)
{
	size_t n = 0;

	while (env && env[n] && n <= ENV_ENTRIES_MAX)
		n++;
	return n;
}

/* Does env lack anything of ours? With no preload entry we do not know ourselves and change nothing. */
static bool needs(char *const *env)
{
	const char *const *ours = shim_get() ? shim_env() : NULL;

	deaf_share(); /* a flag, also in a child of vfork(): the new program has our sockets */
	if (!ours || !ours[0] || strncmp(ours[0], preload_name, sizeof(preload_name) - 1))
		return false;
	if (count(env) > ENV_ENTRIES_MAX || merged_size(env) > PRELOAD_MAX)
		return false;
	for (; *ours; ours++)
		if (!find(env, *ours))
			return true;
	return merged_size(env) > 0;
}

/* Fill new (count(env) + 5 + 1 pointers) and preload (merged_size() octets). A network of the
 * program's own choosing brings its own host and run. */
static char *const *fill(char *const *env, char **new, char *preload)
{
	const char *const *ours = shim_env();
	size_t n = 0, merge = merged_size(env);
	bool own_network = false;

	for (size_t i = 0; env && env[i]; i++)
		new[n++] = env[i];
	for (; *ours; ours++) {
		char *const *theirs = find(env, *ours);

		if (!theirs) {
			if (!own_network)
				memcpy(&new[n++], ours, sizeof(*ours));
		} else if (!strncmp(*ours, preload_name, sizeof(preload_name) - 1)) {
			if (merge) {
				size_t len = strlen(*ours);

				memcpy(preload, *ours, len);
				preload[len] = ':';
				strcpy(preload + len + 1, *theirs + sizeof(preload_name) - 1);
				new[theirs - env] = preload;
			}
		} else if (strcmp(*theirs, *ours)) {
			own_network = true;
		}
	}
	new[n] = NULL;
	return new;
}

/* env, or a copy on the caller's stack with ours added. A macro, as alloca() belongs to the caller. */
#define WITH_OURS(env) \
	(!needs(env) ? (env) : fill(env, alloca((count(env) + 6) * sizeof(char *)), alloca(merged_size(env) + 1)))

EXPORT(int, execve, (const char *path, char *const *argv, char *const *env))
{
	return shim_next()->execve(path, argv, WITH_OURS(env));
}

EXPORT(int, execv, (const char *path, char *const *argv))
{
	return shim_next()->execve(path, argv, WITH_OURS(environ));
}

EXPORT(int, execvpe, (const char *file, char *const *argv, char *const *env))
{
	return shim_next()->execvpe(file, argv, WITH_OURS(env));
}

EXPORT(int, execvp, (const char *file, char *const *argv))
{
	return shim_next()->execvpe(file, argv, WITH_OURS(environ));
}

EXPORT(int, fexecve, (int fd, char *const *argv, char *const *env))
{
	return shim_next()->fexecve(fd, argv, env ? WITH_OURS(env) : env); /* glibc: EINVAL */
}

EXPORT(int, execveat, (int fd, const char *path, char *const *argv, char *const *env, int flags))
{
	return shim_next()->execveat(fd, path, argv, WITH_OURS(env), flags);
}

EXPORT(int, posix_spawn,
       (pid_t * pid, const char *path, const void *actions, const void *attr, char *const *argv, char *const *env))
{
	return shim_next()->posix_spawn(pid, path, actions, attr, argv, WITH_OURS(env));
}

EXPORT(int, posix_spawnp,
       (pid_t * pid, const char *file, const void *actions, const void *attr, char *const *argv, char *const *env))
{
	return shim_next()->posix_spawnp(pid, file, actions, attr, argv, WITH_OURS(env));
}

/* The list forms: arguments up to a NULL, into an array on the stack. */
static size_t count_args(va_list ap)
{
	size_t n = 1; /* the first argument is named */

	while (n <= ARGS_MAX && va_arg(ap, char *))
		n++;
	return n;
}

static void take_args(const char *first, va_list ap, size_t n, char **argv)
{
	memcpy(&argv[0], &first, sizeof(first));
	for (size_t i = 1; i <= n; i++)
		argv[i] = i < n ? va_arg(ap, char *) : NULL;
}

#define LIST_ARGS(first, argv)                            \
	do {                                              \
		va_list ap_;                              \
		size_t n_;                                \
		va_start(ap_, first);                     \
		n_ = first ? count_args(ap_) : 0;         \
		va_end(ap_);                              \
		if (n_ > ARGS_MAX)                        \
			return shim_ret(-E2BIG);          \
		argv = alloca((n_ + 1) * sizeof(char *)); \
		va_start(ap_, first);                     \
		take_args(first, ap_, n_, argv);          \
		va_end(ap_);                              \
	} while (0)

EXPORT(int, execl, (const char *path, const char *first, ...))
{
	char **argv;

	LIST_ARGS(first, argv);
	return shim_next()->execve(path, argv, WITH_OURS(environ));
}

EXPORT(int, execlp, (const char *file, const char *first, ...))
{
	char **argv;

	LIST_ARGS(first, argv);
	return shim_next()->execvpe(file, argv, WITH_OURS(environ));
}

EXPORT(int, execle, (const char *path, const char *first, ...))
{
	char **argv, *const *env;
	va_list ap;
	size_t n = first ? 1 : 0;

	LIST_ARGS(first, argv);
	va_start(ap, first); /* the environment follows the NULL */
	while (n && va_arg(ap, char *))
		n++;
	env = va_arg(ap, char *const *);
	va_end(ap);
	return shim_next()->execve(path, argv, WITH_OURS(env));
}

/* libc starts the shell itself, with the program's environment as it stands. One that was cleared gets ours
 * for as long as that takes; when another thread has set a variable meanwhile, what it made is left. */
#define WITH_ENVIRON(result, call)                          \
	do {                                                \
		char **theirs_ = environ;                   \
		char **ours_ = (char **)WITH_OURS(theirs_); \
		environ = ours_;                            \
		result = (call);                            \
		if (environ == ours_)                       \
			environ = theirs_;                  \
	} while (0)

EXPORT(int, system, (const char *command))
{
	int r;

	if (!needs(environ))
		return shim_next()->system(command);
	WITH_ENVIRON(r, shim_next()->system(command));
	return r;
}

EXPORT(void *, popen, (const char *command, const char *type))
{
	void *r;

	if (!needs(environ))
		return shim_next()->popen(command, type);
	WITH_ENVIRON(r, shim_next()->popen(command, type));
	return r;
}

EXPORT(int, wordexp, (const char *words, wordexp_t *ret, int flags))
{
	__typeof__(&shim_wordexp) next = RESOLVE_NEXT(wordexp);
	int r;

	if (!next)
		return WRDE_NOSPACE;
	if (flags & WRDE_NOCMD || !needs(environ))
		return next(words, ret, flags);
	WITH_ENVIRON(r, next(words, ret, flags));
	return r;
}
