/* src/host/walk.c: through /proc, one process's descriptors after the other.
 *
 * /proc/PID/fd is read: the link of a descriptor says "socket:[INODE]". That
 * is 3 to 7 us for each descriptor, nearly all of it the kernel's. To list the folder first makes it dearer by a
 * third, so where the kernel says how many descriptors a process has (the size of that folder, since 6.2) they
 * are asked for by number, from 0 on, until all were met. A number that nobody has costs as much as one that somebody has, so
 * once as many were missed as the list would have cost, the table is listed after all: one with many holes, as a program's
 * that a shell left a high descriptor in.
 *
 * Nearly all of that is the kernel's time, the listing of /proc too (1.3 us for each process). So where there are
 * many processes or open files and more than one processor, threads share them: each takes the next name out of the one
 * open /proc, or of the caller's list, and looks at that process while others look at theirs.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/walk.h"

#define THREADS_MAX 4
#define WORTH_A_THREAD 128 /* processes */
#define FILES_WORTH_A_THREAD 4096
#define LIST_BYTES 8192 /* of a process's descriptors */
#define HOLES 3		/* in a small table of descriptors, and still it is asked by number */

uint64_t host_walk_socket_at(int dir, const char *path, int *ret_err)
{
	static const char is[] = "socket:[";
	char link[64];
	ssize_t n = readlinkat(dir, path, link, sizeof(link) - 1);

	*ret_err = n < 0 ? -errno : 0;
	if (n <= (ssize_t)sizeof(is) || memcmp(link, is, sizeof(is) - 1) != 0)
		return 0;
	link[n] = '\0';
	return strtoull(link + sizeof(is) - 1, NULL, 10);
}

/* n as text; returns where it begins in s. */
static const char *number(int n, char s[12])
{
	char *p = s + 11;

	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	return p;
}

static bool denied(int err)
{
	return err == -EACCES || err == -EPERM;
}

/* By number, while that pays. Returns the first number that was not asked for, or -1: all were met, or *ret_err. */
static int each_by_number(int dir, off_t n_open, host_each_socket_fn *each, void *ctx, int *ret_err)
{
	off_t met = 0, missed = 0;
	int i;

	for (i = 0; met < n_open && missed <= n_open / 3 + HOLES; i++) {
		char s[12];
		uint64_t inode = host_walk_socket_at(dir, number(i, s), ret_err);

		if (denied(*ret_err))
			return -1;
		if (*ret_err < 0)
			missed++;
		else
			met++;
		if (inode && !each(ctx, i, inode))
			return -1;
	}
	return met < n_open ? i : -1;
}

/* By the folder's list, numbers from first on. */
static void each_listed(int dir, int first, host_each_socket_fn *each, void *ctx, int *ret_err)
{
	union {
		struct dirent64 align;
		char text[LIST_BYTES];
	} names;
	long n;

	while ((n = syscall(SYS_getdents64, dir, &names, sizeof(names))) > 0)
		for (long at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(names.text + at);
			uint64_t inode;

			at += e->d_reclen;
			if (!isdigit((unsigned char)e->d_name[0]) || atoi(e->d_name) < first)
				continue;
			inode = host_walk_socket_at(dir, e->d_name, ret_err);
			if (denied(*ret_err) || (inode && !each(ctx, atoi(e->d_name), inode)))
				return;
		}
}

/* Return: the folder, opened; -EACCES; -ENOENT. */
static int open_folder(const struct host_walk *w, int32_t pid)
{
	char path[32], s[12];
	int dir;

	snprintf(path, sizeof(path), "%s/fd", number(pid, s));
	dir = openat(w->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 ? dir : denied(-errno) ? -EACCES : -ENOENT;
}

int host_walk_sockets(const struct host_walk *w, int32_t pid, host_each_socket_fn *each, void *ctx)
{
	struct stat st;
	int dir = open_folder(w, pid), first = 0, err = 0;

	if (dir < 0)
		return dir;
	if (w->knows_counts && fstat(dir, &st) == 0) /* of a kernel's thread: 0 */
		first = each_by_number(dir, st.st_size, each, ctx, &err);
	if (first >= 0)
		each_listed(dir, first, each, ctx, &err);
	close(dir);
	return denied(err) ? -EACCES : 0;
}

int host_walk_numbers(const struct host_walk *w, int32_t pid, const int *numbers, size_t n, host_each_socket_fn *each,
		      void *ctx)
{
	int dir = open_folder(w, pid), err = 0;

	if (dir < 0)
		return dir;
	for (size_t i = 0; i < n && !denied(err); i++) {
		char s[12];
		uint64_t inode = host_walk_socket_at(dir, number(numbers[i], s), &err);

		if (inode && !each(ctx, numbers[i], inode))
			break;
	}
	close(dir);
	return denied(err) ? -EACCES : 0;
}

uint32_t host_walk_count(const struct host_walk *w, int32_t pid)
{
	char path[32], s[12];
	struct stat st;

	snprintf(path, sizeof(path), "%s/fd", number(pid, s));
	return w->knows_counts && fstatat(w->proc, path, &st, 0) == 0 ? (uint32_t)st.st_size : 0;
}

/* --- all processes --- */

/* The next process; 0: that was all, or it is enough. One at a time, because one may have more descriptors than all others. */
static int32_t next_process(struct host_walk *w)
{
	int32_t pid = 0;

	if (atomic_load(&w->enough))
		return 0;
	pthread_mutex_lock(&w->lock);
	if (w->pids && (size_t)w->at < w->n_pids)
		pid = w->pids[w->at++];
	while (!pid && !w->pids) {
		const struct dirent64 *e;

		if (w->at >= w->n_listed) {
			w->at = 0;
			w->n_listed = syscall(SYS_getdents64, w->proc, &w->names, sizeof(w->names));
			if (w->n_listed <= 0)
				break;
		}
		e = (const void *)(w->names.text + w->at);
		w->at += e->d_reclen;
		if (isdigit((unsigned char)e->d_name[0]))
			pid = atoi(e->d_name);
	}
	pthread_mutex_unlock(&w->lock);
	return pid;
}

static void *walk_share(void *arg)
{
	struct host_share *s = arg;

	while ((s->pid = next_process(s->walk)) != 0)
		s->walk->each(s, s->pid);
	return NULL;
}

/* The links of /proc are its processes. */
static size_t count_processes(int proc)
{
	struct stat st;

	return fstat(proc, &st) == 0 ? (size_t)st.st_nlink : 0;
}

/* Of the machine. */
static size_t count_files(int proc)
{
	char text[64];

	return host_slurp(proc, "sys/fs/file-nr", text, sizeof(text)) > 0 ? strtoul(text, NULL, 10) : 0;
}

static size_t count_threads(const struct host_walk *w)
{
	cpu_set_t set;
	size_t n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
	size_t worth = 1 + (w->pids ? w->n_pids : count_processes(w->proc)) / WORTH_A_THREAD +
		       count_files(w->proc) / FILES_WORTH_A_THREAD;

	n = n > THREADS_MAX ? THREADS_MAX : n;
	return n > worth ? worth : n;
}

/* Take what another found. */
static void append(struct host_owners *to, struct host_owners *from)
{
	for (size_t i = 0;
	     i < from->n && host_owners_push(to, from->rows[i].inode, from->rows[i].pid, from->rows[i].fd); i++)
		continue;
	to->n_processes += from->n_processes;
	to->n_denied += from->n_denied;
	host_owners_free(from);
}

/* Is our /proc without processes that are there? From the line of its mount: hidepid=1 (noaccess) names them. */
static bool hides_processes(int proc)
{
	char text[16384];
	const char *line;

	if (geteuid() == 0 || host_slurp(proc, "self/mountinfo", text, sizeof(text)) <= 0)
		return false;
	for (line = strstr(text, " - proc "); line; line = strstr(line + 1, " - proc ")) {
		size_t n = strcspn(line, "\n");

		if (memmem(line, n, "hidepid=2", 9) || memmem(line, n, "hidepid=invisible", 17) ||
		    memmem(line, n, "hidepid=ptraceable", 18) || memmem(line, n, "hidepid=4", 9))
			return true;
	}
	return false;
}

/* The first pid namespace has a number of its own. */
static bool is_inside(int proc)
{
	char link[64];
	ssize_t n = readlinkat(proc, "self/ns/pid", link, sizeof(link) - 1);

	link[n > 0 ? n : 0] = '\0';
	return n > 0 && strcmp(link, "pid:[4026531836]") != 0;
}

bool host_walk_has_memory(const struct host_walk *w, int32_t pid)
{
	char path[32], s[12], text[16];

	snprintf(path, sizeof(path), "%s/statm", number(pid, s));
	return host_slurp(w->proc, path, text, sizeof(text)) > 0 && strncmp(text, "0 0 0", 5) != 0;
}

int host_walk_open(const struct host_root *root, struct host_walk *w)
{
	struct statfs fs;
	struct stat st;

	w->proc = host_root_open_proc(root);
	w->is_procfs = w->proc >= 0 && fstatfs(w->proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
	/* We have one open at least: w->proc. */
	w->knows_counts = w->is_procfs && fstatat(w->proc, "self/fd", &st, 0) == 0 && st.st_size > 0;
	return w->proc < 0 ? w->proc : 0;
}

void host_walk_close(struct host_walk *w)
{
	if (w->proc >= 0)
		close(w->proc);
}

void host_walk_run(struct host_walk *w, struct host_owners *found)
{
	size_t n = count_threads(w), started = 1;
	struct host_share s[THREADS_MAX];

	pthread_mutex_init(&w->lock, NULL);
	w->at = w->n_listed = 0;
	atomic_store(&w->enough, false);
	for (size_t i = 0; i < n; i++)
		s[i] = (struct host_share){.walk = w};
	while (started < n && pthread_create(&s[started].thread, NULL, walk_share, &s[started]) == 0)
		started++;
	walk_share(&s[0]);
	append(found, &s[0].found);
	for (size_t i = 1; i < started; i++) {
		pthread_join(s[i].thread, NULL);
		append(found, &s[i].found);
	}
	pthread_mutex_destroy(&w->lock);
}

size_t host_walk_list(struct host_walk *w, int32_t **ret)
{
	size_t n = 0, room = 0;
	int32_t pid;

	*ret = NULL;
	w->pids = NULL;
	w->at = w->n_listed = 0;
	atomic_store(&w->enough, false);
	pthread_mutex_init(&w->lock, NULL);
	(void)lseek(w->proc, 0, SEEK_SET);
	while ((pid = next_process(w)) != 0) {
		if (n == room) {
			int32_t *more = realloc(*ret, (room ? room * 2 : 256) * sizeof(*more));

			if (!more)
				break;
			*ret = more;
			room = room ? room * 2 : 256;
		}
		(*ret)[n++] = pid;
	}
	pthread_mutex_destroy(&w->lock);
	return n;
}

uint32_t host_walk_unseen(const struct host_walk *w, const struct host_owners *found)
{
	uint32_t unseen = 0;

	if (w->is_procfs) {
		unseen |= hides_processes(w->proc) ? HOST_UNSEEN_HIDEPID : 0;
		unseen |= is_inside(w->proc) ? HOST_UNSEEN_OUTSIDE : 0;
	}
	unseen |= found->n_processes == 0 ? HOST_UNSEEN_NO_PROC : 0;
	return unseen | (found->n_denied > 0 ? HOST_UNSEEN_USERS : 0);
}
