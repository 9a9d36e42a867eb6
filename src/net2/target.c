/* src/net2/target.c: looking into the programs that are served.
 *
 * The kernel tells the thread that called. From it follow
 *
 *     its process, by a pidfd      that cannot come to mean another process; its descriptors are got by it
 *     its memory                   process_vm_readv(2). What was read may be another process's, if the thread
 *                                  died meanwhile, so the notification is checked again before it is used
 *     its context                  network and host: those of the nearest ancestor that joined one
 *
 * The last is found once for a thread and kept, with the pidfd, in a small table. Ancestry holds because
 * each `berth run` stays, as the reaper of its orphans, for as long as it has descendants.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net2/target.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

#define TARGETS 512
#define ANCHORS_MAX 4096
#define ANCESTORS_MAX 4096

static struct target targets[TARGETS]; /* tid 0: free */
static struct {
	int32_t pid;
	int pidfd;
	struct context *context;
} * anchors;
static size_t n_anchors;

/* --- /proc --- */

static ssize_t read_proc(int32_t pid, const char *leaf, char *buf, size_t size_bytes)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, leaf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size_bytes - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	buf[n] = '\0';
	return n;
}

static uint64_t field(const char *text, const char *name, int base, int nth)
{
	const char *p = strstr(text, name);
	char *end;
	uint64_t v = 0;

	if (!p)
		return 0;
	p += strlen(name);
	for (int i = 0; i <= nth; i++, p = end)
		v = strtoull(p, &end, base);
	return v;
}

int target_look(int32_t tid, struct target_state *ret)
{
	char buf[4096];
	const char *name;
	ssize_t n = read_proc(tid, "status", buf, sizeof(buf));
	uint64_t deaf;

	if (n < 0)
		return (int)n;
	memset(ret, 0, sizeof(*ret));
	name = strncmp(buf, "Name:\t", 6) == 0 ? buf + 6 : "?";
	for (size_t i = 0; i < sizeof(ret->comm) - 1 && name[i] && name[i] != '\n'; i++)
		ret->comm[i] = name[i];
	/* A name may hold anything but a newline, so the fields after it are found from its end. */
	name = strchr(buf, '\n');
	if (!name)
		return -ESRCH;
	ret->tgid = (int32_t)field(name, "\nTgid:", 10, 0);
	ret->ppid = (int32_t)field(name, "\nPPid:", 10, 0);
	ret->euid = (uint32_t)field(name, "\nUid:", 10, 1);
	ret->n_threads = (uint32_t)field(name, "\nThreads:", 10, 0);
	deaf = field(name, "\nSigBlk:", 16, 0) | field(name, "\nSigIgn:", 16, 0);
	ret->sig_thread = field(name, "\nSigPnd:", 16, 0) & ~deaf;
	ret->sig_process = field(name, "\nShdPnd:", 16, 0) & ~deaf;
	ret->cap_effective = field(name, "\nCapEff:", 16, 0);
	return ret->tgid > 0 ? 0 : -ESRCH;
}

/* --- who --- */

static bool is_alive(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

static int open_pidfd(int32_t tid, int32_t tgid, bool *ret_exact)
{
	long fd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

	*ret_exact = true;
	if (fd < 0 && errno == EINVAL) {
		fd = syscall(SYS_pidfd_open, tgid, 0);
		*ret_exact = tid == tgid;
	}
	return fd < 0 ? -errno : (int)fd;
}

static struct context *anchored(int32_t pid)
{
	for (size_t i = 0; i < n_anchors; i++)
		if (anchors[i].pid == pid && is_alive(anchors[i].pidfd))
			return anchors[i].context;
	return NULL;
}

static struct context *context_of(const struct target_state *s)
{
	int32_t pid = s->tgid, parent = s->ppid, self = getpid();

	for (int i = 0; n_anchors && i < ANCESTORS_MAX && pid > 1 && pid != self; i++) {
		struct context *c = anchored(pid);
		struct target_state up;

		if (c)
			return c;
		pid = parent;
		if (pid <= 1 || target_look(pid, &up) < 0)
			break;
		parent = up.ppid;
	}
	return context_first();
}

static void forget(struct target *t)
{
	if (t->tid)
		close(t->pidfd);
	t->tid = 0;
}

/* We may have no more descriptors than the programs' limit says; those kept here can be had again. */
static void forget_all(void)
{
	for (size_t i = 0; i < TARGETS; i++)
		forget(&targets[i]);
}

/* So many descriptors are for keeping, the rest is for what is being done. */
static bool is_crowded(int fd)
{
	static rlim_t half;
	struct rlimit files;

	if (!half && getrlimit(RLIMIT_NOFILE, &files) == 0)
		half = files.rlim_cur / 2;
	return (rlim_t)fd >= half;
}

static int meet(int32_t tid, struct target *t)
{
	struct target_state s;
	int r = target_look(tid, &s), pidfd;
	bool exact;

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	pidfd = open_pidfd(tid, s.tgid, &exact);
	if (pidfd < 0)
		return pidfd;
	*t = (struct target){.tid = tid, .tgid = s.tgid, .pidfd = pidfd, .exact = exact, .context = context_of(&s)};
	return 0;
}

struct target *target_get(int32_t tid, int *reterr)
{
	struct target *t = &targets[(uint32_t)tid % TARGETS], was = *t;

	if (t->tid == tid && t->exact && is_alive(t->pidfd))
		return t;
	forget(t);
	*reterr = meet(tid, t);
	if ((*reterr == 0 && is_crowded(t->pidfd)) || *reterr == -EMFILE || *reterr == -ENFILE) {
		forget_all();
		*reterr = meet(tid, t);
	}
	if (*reterr < 0)
		return NULL;
	t->told = was.told && was.tid == tid && was.tgid == t->tgid;
	return t;
}

int target_anchor(struct target *t, struct context *c)
{
	size_t at = n_anchors;
	long pidfd;

	for (size_t i = 0; i < n_anchors; i++)
		if (!is_alive(anchors[i].pidfd)) {
			at = i;
			break;
		}
	if (at == ANCHORS_MAX)
		return -ENOSPC;
	if (at == n_anchors) {
		void *more = realloc(anchors, (n_anchors + 1) * sizeof(*anchors));

		if (!more)
			return -ENOMEM;
		anchors = more;
	}
	pidfd = syscall(SYS_pidfd_open, t->tgid, 0);
	if (pidfd < 0)
		return -errno;
	if (at < n_anchors) {
		close(anchors[at].pidfd);
		context_put(anchors[at].context);
	} else {
		n_anchors++;
	}
	anchors[at].pid = t->tgid;
	anchors[at].pidfd = (int)pidfd;
	anchors[at].context = c;
	t->context = c;
	return 0;
}

/* --- descriptors and memory --- */

int target_fd(const struct target *t, int fd)
{
	long r = syscall(SYS_pidfd_getfd, t->pidfd, fd, 0);

	return r < 0 ? -errno : (int)r;
}

static int copy(const struct target *t, bool write, uint64_t there, void *here, size_t len_bytes)
{
	struct iovec local = {here, len_bytes}, remote = {(void *)(uintptr_t)there, len_bytes};
	ssize_t n;

	if (len_bytes == 0)
		return 0;
	n = write ? process_vm_writev(t->tid, &local, 1, &remote, 1, 0)
		  : process_vm_readv(t->tid, &local, 1, &remote, 1, 0);
	if (n < 0)
		return -errno;
	return (size_t)n == len_bytes ? 0 : -EFAULT;
}

int target_read(const struct target *t, uint64_t from, void *to, size_t len_bytes)
{
	return copy(t, false, from, to, len_bytes);
}

int target_write(const struct target *t, uint64_t to, const void *from, size_t len_bytes)
{
	return copy(t, true, to, (void *)(uintptr_t)from, len_bytes);
}

void target_signal(const struct target *t, int sig)
{
	(void)syscall(SYS_tgkill, t->tgid, t->tid, sig);
}

void target_rule(const struct target *t, char *ret, size_t size_bytes)
{
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	struct target_state s;
	char scope = '0';

	if (fd >= 0) {
		if (read(fd, &scope, 1) != 1)
			scope = '0';
		close(fd);
	}
	if (scope >= '2')
		snprintf(ret, size_bytes, "kernel.yama.ptrace_scope=%c lets nobody%s look into other programs", scope,
			 scope == '2' ? " but root" : "");
	else if (target_look(t->tid, &s) == 0 && s.euid != geteuid())
		snprintf(ret, size_bytes, "it runs as user %u, and berth, as user %u, may not look into it (ptrace)",
			 s.euid, geteuid());
	else
		snprintf(ret, size_bytes,
			 "it does not let itself be looked into (PR_SET_DUMPABLE, or a file that cannot be read)");
}
