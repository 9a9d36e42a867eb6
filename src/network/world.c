/* src/network/world.c: what of other namespaces is certainly gone.
 *
 * A claim from another network namespace cannot be asked for (live.c), so it counts as alive. When that namespace's
 * last program was killed, nobody is left to end it. A sweep of a berth command, which has time, looks around:
 *
 *     each thread's /proc/TID/ns/net     none is in that namespace: nobody there makes or uses sockets
 *     each process's /proc/PID/fd        none has the claim's socket, wherever it took it
 *
 * Then it is gone; a namespace that only a mount still holds (`ip netns`) has no sockets of programs either. Whoever
 * cannot be seen may have it, and then nothing is said:
 *
 *     other pid namespaces       theirs are seen from the first one only: we must be in that, /proc must be its own
 *     hidepid                    hides whom we may not look into
 *     a process of our user that may not be looked into (PR_SET_DUMPABLE): it may be one of ours, unless it
 *                                was there before the network was: `berth run` starts new ones
 *
 * Processes of other users that a plain user may not look into do not count: the network's folder is closed to them, and
 * what such a user starts under berth cannot become another. Root's programs can; root may look into all.
 *
 * Not seen is a socket on its way in an unread message. It is nobody's, and is believed to be gone: a bound socket
 * or a flow, as who listens and who receives datagrams is asked by path (sweep.c), and that is exact.
 */
#include <errno.h>
#include <linux/kcmp.h>

#include "network/internal.h"

#define SLACK_NS UINT64_C(2000000000)
#define FIRST_PIDNS 0xeffffffcu /* the kernel's constant: PROC_PID_INIT_INO */

static bool number(const char *s, uint32_t *ret)
{
	uint64_t v;

	if (!text_take_u64(&s, 10, &v) || *s || v > INT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* "net:[4026531833]", "socket:[12345]": the number. Return: 0; -ENOENT, it is something else; other negative errno. */
static int link_number(int dir, const char *name, const char *kind, uint64_t *ret)
{
	char buf[64];
	const char *s = buf;
	size_t len = strlen(kind);
	long n = raw_call(SYS_readlinkat, dir, (long)name, (long)buf, sizeof(buf) - 1, 0, 0);

	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	if (strncmp(buf, kind, len) != 0)
		return -ENOENT;
	s += len;
	return text_take_char(&s, ':') && text_take_char(&s, '[') && text_take_u64(&s, 10, ret) && *s == ']' ? 0
													     : -ENOENT;
}

static void add(uint32_t *set, uint32_t *n, uint64_t v, bool *unsure)
{
	for (uint32_t i = 0; i < *n; i++)
		if (set[i] == (uint32_t)v)
			return;
	if (*n == WORLD_MAX)
		*unsure = true;
	else
		set[(*n)++] = (uint32_t)v;
}

static bool has(const uint32_t *set, uint32_t n, uint32_t v)
{
	for (uint32_t i = 0; i < n; i++)
		if (set[i] == v)
			return true;
	return false;
}

/* Octets of a small file of /proc, as text. Return: 0; negative errno. */
static int slurp(int dir, const char *name, char *buf, size_t size_bytes)
{
	int fd = raw_openat(dir, name, O_RDONLY | O_CLOEXEC, 0);
	long n;

	if (fd < 0)
		return fd;
	n = raw_pread(fd, buf, size_bytes - 1, 0);
	raw_close(fd);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	return 0;
}

/* When the process of this thread began. Return: 0; negative errno. */
static int start_of(int dir, uint64_t *ret_boot_ns)
{
	char buf[512];
	const char *s;
	uint64_t ticks;
	int r = slurp(dir, "../../stat", buf, sizeof(buf));

	if (r < 0)
		return r;
	s = strrchr(buf, ')'); /* the name may contain one */
	for (int field = 2; s && field < 22; field++)
		s = strchr(s + 1, ' ');
	if (!s || !text_take_char(&s, ' ') || !text_take_u64(&s, 10, &ticks))
		return -EIO;
	*ret_boot_ns = ticks * 10000000u; /* USER_HZ is 100 on every Linux */
	return 0;
}

/* A thread that we may not look into: gone meanwhile, older than the network, another user's, or one that matters? */
static bool matters(const struct world *w, int dir)
{
	char buf[2048];
	const char *s;
	uint32_t euid = w->euid;
	uint64_t start_ns;
	int r = start_of(dir, &start_ns);

	if (r == 0 && start_ns + SLACK_NS < w->since_ns)
		return false;
	r = slurp(dir, "status", buf, sizeof(buf));

	if (r == -ENOENT || r == -ESRCH)
		return false;
	s = r < 0 ? NULL : strstr(buf, "\nUid:");
	if (!s || euid == 0)
		return true;
	s += 5;
	for (int i = 0; i < 4; i++) {
		uint64_t uid;

		if (!text_take_char(&s, '\t') || !text_take_u64(&s, 10, &uid) || uid == euid)
			return true;
	}
	return false;
}

static int look_at_task(void *ctx, int tasks, const char *name)
{
	struct world *w = ctx;
	uint64_t net, pid;
	uint32_t tid;
	int dir, r;

	if (!number(name, &tid))
		return 0;
	dir = raw_openat(tasks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0) {
		w->unsure |= dir != -ENOENT && dir != -ESRCH;
		return 0;
	}
	r = link_number(dir, "ns/net", "net", &net);
	if (r == 0)
		add(w->nets, &w->n_nets, net, &w->unsure);
	if (r == 0)
		r = link_number(dir, "ns/pid", "pid", &pid);
	if (r == 0)
		add(w->pids, &w->n_pids, pid, &w->unsure);
	else if (r != -ENOENT && r != -ESRCH && matters(w, dir))
		w->unsure = true;
	raw_close(dir);
	return w->unsure;
}

static int look_at_process(void *ctx, int proc, const char *name)
{
	struct world *w = ctx;
	char path[32];
	struct text t = text_on(path, sizeof(path));
	uint32_t pid;
	int tasks, r;

	if (!number(name, &pid))
		return 0;
	text_u64(&t, pid);
	text_str(&t, "/task");
	tasks = raw_openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (tasks < 0) {
		w->unsure |= tasks != -ENOENT && tasks != -ESRCH;
		return w->unsure;
	}
	r = dir_each(tasks, look_at_task, w);
	raw_close(tasks);
	if (r < 0 && r != -ENOENT && r != -ESRCH)
		w->unsure = true;
	return w->unsure;
}

/* Any mount of a /proc that hides will do to be careful. */
static bool hides(void)
{
	int fd = raw_openat(AT_FDCWD, "/proc/self/mounts", O_RDONLY | O_CLOEXEC, 0);
	char buf[1024];
	size_t keep = 0;
	bool hidden = false;
	long n = fd;

	/* The word may lie across two reads. */
	while (fd >= 0 &&
	       (n = raw_call(SYS_read, fd, (long)(buf + keep), (long)(sizeof(buf) - 1 - keep), 0, 0, 0)) > 0) {
		size_t have = keep + (size_t)n;

		buf[have] = '\0';
		hidden |= strstr(buf, "hidepid=") != NULL;
		keep = have < 16 ? have : 16;
		memmove(buf, buf + have - keep, keep);
	}
	if (fd >= 0)
		raw_close(fd);
	return n != 0 || hidden;
}

/* Are all processes of the machine in this /proc? */
static bool sees_all(void)
{
	char self[16], me[16];
	struct text t = text_on(me, sizeof(me));
	uint64_t pidns;
	long n = raw_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self", (long)self, sizeof(self) - 1, 0, 0);

	text_u64(&t, (uint32_t)raw_getpid());
	if (n <= 0)
		return false;
	self[n] = '\0';
	return strcmp(self, me) == 0 && link_number(AT_FDCWD, "/proc/self/ns/pid", "pid", &pidns) == 0 &&
	       pidns == FIRST_PIDNS && !hides();
}

static void look_around(const struct network *n, struct world *w)
{
	struct timespec now = {0};
	uint64_t age_ns;
	int proc, r;

	*w = (struct world){.looked = true, .unsure = true, .euid = raw_geteuid()};
	if (!sees_all())
		return;
	proc = raw_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (proc < 0)
		return;
	(void)raw_call(SYS_clock_gettime, CLOCK_REALTIME, (long)&now, 0, 0, 0, 0);
	age_ns = (uint64_t)now.tv_sec > n->created_unix_s
			 ? ((uint64_t)now.tv_sec - n->created_unix_s) * UINT64_C(1000000000)
			 : 0;
	w->since_ns = boot_ns() > age_ns ? boot_ns() - age_ns : 0;
	w->unsure = false;
	r = dir_each(proc, look_at_process, w);
	raw_close(proc);
	if (r < 0)
		w->unsure = true;
}

bool world_net_is_empty(const struct network *n, struct world *w, uint32_t netns)
{
	if (!w->looked)
		look_around(n, w);
	return !w->unsure && !has(w->nets, w->n_nets, netns);
}

bool world_pidns_is_gone(const struct network *n, struct world *w, uint32_t pidns)
{
	if (!w->looked)
		look_around(n, w);
	return !w->unsure && !has(w->pids, w->n_pids, pidns);
}

struct holders {
	void (*each)(void *ctx, uint64_t inode);
	void *ctx;
	uint32_t pid;
	int r;
};

static int look_at_fd(void *ctx, int dir, const char *name)
{
	struct holders *h = ctx;
	uint64_t inode = 0;

	if (link_number(dir, name, "socket", &inode) == 0)
		h->each(h->ctx, inode);
	return 0;
}

/* A thread may have descriptors of its own (CLONE_FILES not given), and nearly none has. */
static int look_at_fds(void *ctx, int tasks, const char *name)
{
	struct holders *h = ctx;
	char path[32];
	struct text t = text_on(path, sizeof(path));
	uint32_t tid;
	int dir;

	if (!number(name, &tid) || (tid != h->pid && raw_call(SYS_kcmp, h->pid, tid, KCMP_FILES, 0, 0, 0) == 0))
		return 0;
	text_u64(&t, tid);
	text_str(&t, "/fd");
	dir = raw_openat(tasks, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return 0; /* gone; or not ours to look into, and look_around() has said what that means */
	h->r = dir_each(dir, look_at_fd, h);
	if (h->r == -ENOENT || h->r == -ESRCH)
		h->r = 0;
	raw_close(dir);
	return h->r;
}

static int look_at_threads(void *ctx, int proc, const char *name)
{
	struct holders *h = ctx;
	char path[32];
	struct text t = text_on(path, sizeof(path));
	int tasks, r;

	if (!number(name, &h->pid))
		return 0;
	text_u64(&t, h->pid);
	text_str(&t, "/task");
	tasks = raw_openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (tasks < 0)
		return 0;
	r = dir_each(tasks, look_at_fds, h);
	raw_close(tasks);
	return r < 0 && r != -ENOENT && r != -ESRCH ? r : 0;
}

int world_sockets(void (*each)(void *ctx, uint64_t inode), void *ctx)
{
	struct holders h = {.each = each, .ctx = ctx};
	int proc = raw_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), r;

	if (proc < 0)
		return proc;
	r = dir_each(proc, look_at_threads, &h);
	raw_close(proc);
	return r < 0 ? r : h.r;
}
