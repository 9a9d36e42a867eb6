/* src/cli/cmd_doctor.c: `berth doctor`: what this machine lacks for berth, and what that means.
 *
 * Each line is one thing berth stands on. What can be tried is tried. "ok" is good; "note" works, with a limit that is
 * said; "bad" means that something of berth does not work here, and the exit code is 1.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/shim_file.h"
#include "net2/try.h"

#define WMEM_GOOD (4 << 20)
#define SOMAXCONN_GOOD 4096
#define FILES_GOOD 4096

enum level { OK, NOTE, BAD, LEVELS };
static const char *const level_name[LEVELS] = {"ok", "note", "bad"};

struct doctor {
	struct cli *cli;
	json_t *list;
	bool bad;
};

static void found(struct doctor *d, const char *what, enum level level, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void found(struct doctor *d, const char *what, enum level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_clean(text);
	d->bad |= level == BAD;
	if (d->list)
		json_array_append_new(d->list, json_pack("{s:s, s:s, s:o}", "check", what, "result", level_name[level],
							 "text", cli_json_text(text)));
	else
		cli_say(d->cli, "%-4s  %-16s  %s\n", level_name[level], what, text);
}

/* A number from /proc/sys. Return: it, or -1. */
static long sysctl(const char *path)
{
	FILE *f = fopen(path, "re");
	long v = -1;

	if (f) {
		if (fscanf(f, "%ld", &v) != 1)
			v = -1;
		fclose(f);
	}
	return v;
}

static void kernel(struct doctor *d)
{
	struct utsname u;

	if (uname(&u) < 0)
		snprintf(u.release, sizeof(u.release), "?");
	if (!try_release(5, 14))
		found(d, "kernel", BAD,
		      "Linux %s: before 5.14 programs that go past libc (static, Go) cannot be served, and are refused",
		      u.release);
	else if (!try_release(5, 19))
		found(d, "kernel", NOTE,
		      "Linux %s: before 5.19 a signal may come between a served call and its answer: the call is made again",
		      u.release);
	else
		found(d, "kernel", OK, "Linux %s", u.release);
}

/* May every user read the file? Programs that root starts and that give their rights away load it, too. */
static bool for_everybody(const char *file)
{
	char path[PATH_MAX];
	struct stat st;

	if (stat(file, &st) < 0 || !(st.st_mode & S_IROTH))
		return false;
	snprintf(path, sizeof(path), "%s", file);
	for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (stat(path, &st) < 0 || !(st.st_mode & S_IXOTH))
			return false;
	}
	return true;
}

static void library(struct doctor *d)
{
	char shim[PATH_MAX], what[PATH_MAX + 128] = "";

	if (shim_file_find(shim, sizeof(shim), what, sizeof(what)) < 0)
		found(d, "library", BAD, "%s", what);
	else if (geteuid() == 0 && !for_everybody(shim))
		found(d, "library", NOTE,
		      "%s: other users cannot read it; what a server executes after it became another user goes past it",
		      shim);
	else
		found(d, "library", OK, "%s", shim);
}

static void folder(struct doctor *d)
{
	char dir[NETWORK_PATH_MAX];
	struct network_error err;
	int r = network_base_dir(false, dir, &err);

	if (r == 0)
		found(d, "folder", OK, "%s", dir);
	else if (r == -ENOENT)
		found(d, "folder", OK, "%s; the first berth run makes it", err.what);
	else
		found(d, "folder", BAD, "%s", err.what);
}

static void second_net(struct doctor *d)
{
	bool killable = false;
	int r = try_filter(&killable);

	if (r == -EBUSY)
		found(d, "second-net", OK,
		      "this is inside a tree that is watched already; a nested berth run joins it");
	else if (r < 0)
		found(d, "second-net", BAD,
		      "seccomp user notification: %s; static programs, Go programs and raw system calls are refused",
		      strerror(-r));
	else
		found(d, "second-net", OK, "seccomp user notification works%s",
		      killable ? "" : ", without WAIT_KILLABLE_RECV");
	r = try_getfd();
	if (r < 0)
		found(d, "pidfd-getfd", BAD,
		      "a program's descriptor cannot be got (%s): what goes past libc cannot be served", strerror(-r));
	else
		found(d, "pidfd-getfd", OK, "a program's descriptors can be got");
	r = try_memory();
	if (r < 0)
		found(d, "memory", BAD, "a program's memory cannot be read (%s): what goes past libc cannot be served",
		      strerror(-r));
	else
		found(d, "memory", OK, "a program's memory can be read");
}

static void rights(struct doctor *d)
{
	long scope = sysctl("/proc/sys/kernel/yama/ptrace_scope");

	if (scope >= 2 && (scope >= 3 || geteuid() != 0))
		found(d, "ptrace", BAD,
		      "kernel.yama.ptrace_scope=%ld keeps programs from each other: what goes past libc cannot be served",
		      scope);
	else if (scope >= 0)
		found(d, "ptrace", OK, "kernel.yama.ptrace_scope=%ld lets a parent look into its children", scope);
	else
		found(d, "ptrace", OK, "Yama is not there");
	if (geteuid() == 0)
		found(d, "setuid", OK, "you are root: setuid programs keep their rights");
	else
		found(d, "setuid", NOTE,
		      "under berth run setuid, setgid and file capabilities give no rights (no_new_privs), unless root starts it");
}

/* Is a live socket of ours said to be alive, and a dead one dead? */
static void liveness(struct doctor *d)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	static struct network n; /* big; only its namespace matters here */
	enum network_alive alive, dead;
	struct port_owner o;
	struct stat st;

	n.netns = stat("/proc/self/ns/net", &st) == 0 ? (uint32_t)st.st_ino : 0;
	r = fd < 0 ? -errno : network_owner_of(&n, fd, &o);
	if (r < 0) {
		found(d, "liveness", BAD, "no socket to be had: %s", strerror(-r));
		return;
	}
	alive = network_owner_alive(&n, &o);
	close(fd);
	dead = network_owner_alive(&n, &o);
	if (alive == NETWORK_ALIVE && dead == NETWORK_DEAD)
		found(d, "liveness", OK, "the kernel tells which sockets live (unix_diag)");
	else
		found(d, "liveness", BAD,
		      "the kernel does not tell which sockets live (unix_diag): ports of programs that died stay held");
}

static void limits(struct doctor *d)
{
	long wmem = sysctl("/proc/sys/net/core/wmem_max"), backlog = sysctl("/proc/sys/net/core/somaxconn");
	long userns = sysctl("/proc/sys/user/max_user_namespaces"),
	     clone = sysctl("/proc/sys/kernel/unprivileged_userns_clone");
	struct rlimit files = {0};

	if (wmem >= 0 && wmem < WMEM_GOOD)
		found(d, "wmem-max", NOTE,
		      "net.core.wmem_max=%ld: about %ld KB may be unread on a connection; sysctl net.core.wmem_max=%d makes it megabytes",
		      wmem, wmem * 2 / 1000, WMEM_GOOD);
	else
		found(d, "wmem-max", OK, "net.core.wmem_max=%ld", wmem);
	if (backlog >= 0 && backlog < SOMAXCONN_GOOD)
		found(d, "somaxconn", NOTE,
		      "net.core.somaxconn=%ld: that many connections may wait to be accepted, then a non-blocking connect fails",
		      backlog);
	else
		found(d, "somaxconn", OK, "net.core.somaxconn=%ld", backlog);
	if (userns == 0 || clone == 0)
		found(d, "user-namespaces", NOTE, "not for plain users here; berth run does not need them");
	else
		found(d, "user-namespaces", OK, "plain users may have them");
	(void)getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max < FILES_GOOD)
		found(d, "descriptors", NOTE, "at most %llu for each process (ulimit -Hn)",
		      (unsigned long long)files.rlim_max);
	else
		found(d, "descriptors", OK, "%llu for each process", (unsigned long long)files.rlim_max);
}

static int run(struct cli *cli)
{
	struct doctor d = {.cli = cli};
	int o = cli_next(cli);

	if (o != CLI_END)
		return o == CLI_ARG ? cli_usage(cli, "no arguments, please: '%s'", cli->value) : cli->status;
	if (cli->json)
		d.list = json_array();
	fflush(NULL); /* children are made */
	kernel(&d);
	library(&d);
	folder(&d);
	second_net(&d);
	rights(&d);
	liveness(&d);
	limits(&d);
	if (cli->json) {
		int r = cli_json(cli, json_pack("{s:b, s:o}", "ok", !d.bad, "checks", d.list));

		if (r != CLI_OK)
			return r;
	}
	return d.bad ? CLI_NO : CLI_OK;
}

const struct cmd cmd_doctor = {
	"doctor",
	"[--json]",
	"say what this machine lacks",
	"Looks at all that berth stands on, and tries what can be tried. One line each: ok; note, which works with the\n"
	"limit that is said; bad, which does not work here.\n"
	"\n"
	"Exits 0 when nothing is bad, 1 when something is.\n"
	"\n"
	"Examples:\n"
	"  berth doctor\n"
	"  berth doctor --json\n",
	CMD_JSON,
	NULL,
	run,
};
