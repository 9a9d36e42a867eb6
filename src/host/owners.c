/* src/host/owners.c: from a socket's inode to the processes that have it open now.
 *
 * /proc/PID/fd of every process we may look into is read: the link of a descriptor says "socket:[INODE]". That
 * is 3 to 7 us for each descriptor of the machine, nearly all of it the kernel's. To list the folder first makes it dearer by a
 * third, so where the kernel says how many descriptors a process has (the size of that folder, since 6.2) they
 * are asked for by number, from 0 on, until all were met. A number that nobody has costs as much as one that somebody has, so
 * once as many were missed as the list would have cost, the table is listed after all: one with many holes, as a program's
 * that a shell left a high descriptor in.
 *
 * Of a few claims on a machine with many processes only one descriptor of each process is looked at: the number
 * that the claim's own process has the socket under. kcmp(2) says whether two descriptors are one open file,
 * without a path to be walked (1.5 us, against 5 for the link; a socket is only ever one open file). A
 * yes is confirmed by the link: between the two the number may have been given to something else. Where
 * kcmp may not be used (some containers) or /proc is another pid namespace's, it is the link alone.
 *
 * Nearly all of that is the kernel's time, the listing of /proc too (1.3 us for each process). So where there are
 * many processes or open files and more than one processor, threads share them: each takes the next name out of the one
 * open /proc and looks at that process while others look at theirs.
 *
 * Who cannot be seen is counted, so that "nobody has it" and "somebody you may not see has it" are two answers.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"
#include "host/owners.h"

#define MANY_PROCESSES 400
#define LOW_NUMBERS 32
#define THREADS_MAX 4
#define WORTH_A_THREAD 128 /* processes */
#define FILES_WORTH_A_THREAD 4096
#define TAKE_BYTES 4096 /* of /proc's listing at a time: some 160 processes */
#define LIST_BYTES 8192 /* of a process's descriptors */
#define HOLES 3		/* in a small table of descriptors, and still it is asked by number */

/* A socket, and where its claim's own process has it. */
struct wanted {
	uint64_t inode;
	int32_t pid;
	int fd;
	bool compare; /* kcmp can be asked */
};

struct share;

/* A walk through all processes, and what one of its threads does and finds. */
struct walk {
	int proc; /* the directory */
	bool is_procfs;
	bool knows_counts;    /* the size of a folder of descriptors is their number */
	pthread_mutex_t lock; /* over what the threads share: the names that were listed, and where they are in them */
	union {
		struct dirent64 align;
		char text[TAKE_BYTES];
	} names;
	long n_listed, at;
	void (*each)(struct share *s, int32_t pid);
	const struct wanted *wanted;
	size_t n_wanted;
};

struct share {
	struct walk *walk;
	struct host_owners found;
	int32_t pid; /* who is being looked at */
	pthread_t thread;
};

/* Of each socket of a process; false: enough. */
typedef bool each_socket_fn(void *ctx, int fd, uint64_t inode);

static bool push(struct host_owners *s, uint64_t inode, int32_t pid, int fd)
{
	if (s->n == s->room) {
		size_t more = s->room ? s->room * 2 : 256;
		struct host_owner *rows = realloc(s->rows, more * sizeof(*rows));

		if (!rows)
			return false;
		s->rows = rows;
		s->room = more;
	}
	s->rows[s->n++] = (struct host_owner){inode, pid, fd};
	return true;
}

/* The inode of the socket that one of a process's descriptors leads to; 0: it leads elsewhere. *ret_err: negative
 * errno, when there is no such link or we may not read it. */
static uint64_t socket_at(int dir, const char *fd, int *ret_err)
{
	static const char is[] = "socket:[";
	char link[64];
	ssize_t n = readlinkat(dir, fd, link, sizeof(link) - 1);

	*ret_err = n < 0 ? -errno : 0;
	if (n <= (ssize_t)sizeof(is) || memcmp(link, is, sizeof(is) - 1) != 0)
		return 0;
	link[n] = '\0';
	return strtoull(link + sizeof(is) - 1, NULL, 10);
}

/* Of one process of the running machine. */
static uint64_t socket_of(int32_t pid, int fd)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return socket_at(-1, path, &err);
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
static int each_by_number(int dir, off_t n_open, each_socket_fn *each, void *ctx, int *ret_err)
{
	off_t met = 0, missed = 0;
	int i;

	for (i = 0; met < n_open && missed <= n_open / 3 + HOLES; i++) {
		char s[12];
		uint64_t inode = socket_at(dir, number(i, s), ret_err);

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
static void each_listed(int dir, int first, each_socket_fn *each, void *ctx, int *ret_err)
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
			inode = socket_at(dir, e->d_name, ret_err);
			if (denied(*ret_err) || (inode && !each(ctx, atoi(e->d_name), inode)))
				return;
		}
}

/* Call each() for every socket of a process. Return: 0; -EACCES, we may not look; -ENOENT and others, it is gone.
 * In a user namespace, as elsewhere, the folder may open and its links not be readable. */
static int each_socket(const struct walk *w, int32_t pid, each_socket_fn *each, void *ctx)
{
	char path[32], s[12];
	struct stat st;
	int dir, first = 0, err = 0;

	snprintf(path, sizeof(path), "%s/fd", number(pid, s));
	dir = openat(w->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return denied(-errno) ? -EACCES : -ENOENT;
	if (w->knows_counts && fstat(dir, &st) == 0) /* of a kernel's thread: 0 */
		first = each_by_number(dir, st.st_size, each, ctx, &err);
	if (first >= 0)
		each_listed(dir, first, each, ctx, &err);
	close(dir);
	return denied(err) ? -EACCES : 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct host_owner *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int by_inode_and_number(const void *a, const void *b)
{
	const struct host_owner *x = a, *y = b;
	int r = by_inode(x, y);

	return r ? r : (x->fd > y->fd) - (x->fd < y->fd);
}

/* In order, and each pair once: a process may have a socket open twice. */
static void put_in_order(struct host_owners *s)
{
	size_t n = 0;

	if (s->n > 0)
		qsort(s->rows, s->n, sizeof(s->rows[0]), by_inode_and_number);
	for (size_t i = 0; i < s->n; i++)
		if (n == 0 || by_inode(&s->rows[n - 1], &s->rows[i]) != 0)
			s->rows[n++] = s->rows[i];
	s->n = n;
}

static size_t slot(const struct host_owners *s, uint64_t inode)
{
	return (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 24) & (s->index_size - 1);
}

/* Among many rows a search costs ten times this. */
static void make_index(struct host_owners *s)
{
	size_t size = 64;

	while (size < s->n * 2)
		size *= 2;
	s->index = calloc(size, sizeof(*s->index));
	s->index_size = s->index ? size : 0;
	for (size_t i = 0; s->index && i < s->n; i++) {
		size_t at = slot(s, s->rows[i].inode);

		if (i > 0 && s->rows[i - 1].inode == s->rows[i].inode)
			continue;
		while (s->index[at])
			at = (at + 1) & (size - 1);
		s->index[at] = (uint32_t)i + 1;
	}
}

/* --- all processes --- */

/* The next process; 0: that was all. One at a time, because one may have more descriptors than all others. */
static int32_t next_process(struct walk *w)
{
	int32_t pid = 0;

	pthread_mutex_lock(&w->lock);
	while (!pid) {
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
	struct share *s = arg;

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

static size_t count_threads(int proc)
{
	cpu_set_t set;
	size_t n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
	size_t worth = 1 + count_processes(proc) / WORTH_A_THREAD + count_files(proc) / FILES_WORTH_A_THREAD;

	n = n > THREADS_MAX ? THREADS_MAX : n;
	return n > worth ? worth : n;
}

/* Take what another found. */
static void append(struct host_owners *to, struct host_owners *from)
{
	for (size_t i = 0; i < from->n && push(to, from->rows[i].inode, from->rows[i].pid, from->rows[i].fd); i++)
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

/* Has a process that may not be looked into descriptors at all? Kernel threads and zombies have no memory either. */
static bool has_memory(int proc, int32_t pid)
{
	char path[32], s[12], text[16];

	snprintf(path, sizeof(path), "%s/statm", number(pid, s));
	return host_slurp(proc, path, text, sizeof(text)) > 0 && strncmp(text, "0 0 0", 5) != 0;
}

static int walk_open(const struct host_root *root, struct walk *w)
{
	struct statfs fs;
	struct stat st;

	w->proc = host_root_open_proc(root);
	w->is_procfs = w->proc >= 0 && fstatfs(w->proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
	/* We have one open at least: w->proc. */
	w->knows_counts = w->is_procfs && fstatat(w->proc, "self/fd", &st, 0) == 0 && st.st_size > 0;
	return w->proc < 0 ? w->proc : 0;
}

static void walk_close(struct walk *w)
{
	if (w->proc >= 0)
		close(w->proc);
}

static void walk(struct walk *w, struct host_owners *ret)
{
	size_t n = count_threads(w->proc), started = 1;
	struct share s[THREADS_MAX];

	pthread_mutex_init(&w->lock, NULL);
	for (size_t i = 0; i < n; i++)
		s[i] = (struct share){.walk = w};
	while (started < n && pthread_create(&s[started].thread, NULL, walk_share, &s[started]) == 0)
		started++;
	walk_share(&s[0]);
	*ret = s[0].found;
	for (size_t i = 1; i < started; i++) {
		pthread_join(s[i].thread, NULL);
		append(ret, &s[i].found);
	}
	pthread_mutex_destroy(&w->lock);
}

static bool found_one(void *ctx, int fd, uint64_t inode)
{
	struct share *s = ctx;

	return push(&s->found, inode, s->pid, fd);
}

static void read_all(struct share *s, int32_t pid)
{
	int r = each_socket(s->walk, pid, found_one, s);

	s->found.n_processes++;
	if (r == -EACCES && has_memory(s->walk->proc, pid))
		s->found.n_denied++;
}

void host_owners_read(const struct host_root *root, struct host_owners *ret)
{
	struct walk w = {.each = read_all};

	*ret = (struct host_owners){0};
	if (walk_open(root, &w) == 0)
		walk(&w, ret);
	if (w.is_procfs) {
		ret->unseen |= hides_processes(w.proc) ? HOST_UNSEEN_HIDEPID : 0;
		ret->unseen |= is_inside(w.proc) ? HOST_UNSEEN_OUTSIDE : 0;
	}
	walk_close(&w);
	ret->unseen |= ret->n_processes == 0 ? HOST_UNSEEN_NO_PROC : 0;
	ret->unseen |= ret->n_denied > 0 ? HOST_UNSEEN_USERS : 0;
	put_in_order(ret);
	make_index(ret);
}

/* --- a few claims --- */

static bool is_wanted(void *ctx, int fd, uint64_t inode)
{
	struct wanted *w = ctx;

	if (inode == w->inode)
		w->fd = fd;
	return w->fd < 0;
}

/* Under which number does the claim's own process have it? A low one, mostly, and to ask for those spares the kernel
 * the listing of a long table. */
static void find_number(const struct walk *walk, struct wanted *w)
{
	for (int fd = 0; fd < LOW_NUMBERS; fd++)
		if (socket_of(w->pid, fd) == w->inode) {
			w->fd = fd;
			return;
		}
	(void)each_socket(walk, w->pid, is_wanted, w);
}

/* 0: both are the same open file; 1 to 3: they are not; negative errno. */
static int compare(int32_t pid_a, int fd_a, int32_t pid_b, int fd_b)
{
	long r = syscall(SYS_kcmp, pid_a, pid_b, KCMP_FILE, (long)fd_a, (long)fd_b);

	return r < 0 ? -errno : (int)r;
}

/* Does /proc speak of the processes that system calls mean by the same numbers? */
static bool proc_is_ours(void)
{
	char link[16];
	ssize_t n = readlink("/proc/self", link, sizeof(link) - 1);

	link[n > 0 ? n : 0] = '\0';
	return atoi(link) == getpid();
}

static bool has_it(const struct wanted *w, int32_t pid)
{
	if (w->compare && compare(w->pid, w->fd, pid, w->fd) != 0)
		return false;
	return socket_of(pid, w->fd) == w->inode;
}

static void read_wanted(struct share *s, int32_t pid)
{
	for (size_t k = 0; k < s->walk->n_wanted; k++) {
		const struct wanted *w = &s->walk->wanted[k];

		if (pid == w->pid || has_it(w, pid))
			(void)!push(&s->found, w->inode, pid, w->fd);
	}
}

/* Where do the claims' own processes have their sockets? Return: 0; -ENOENT, one has its socket no more. */
static int find_numbers(struct walk *w, struct wanted *wanted, const struct port_claim *const *claims, size_t n)
{
	bool ours = proc_is_ours();

	for (size_t i = 0; i < n && i < HOST_OWNERS_FEW; i++) {
		struct wanted *x = &wanted[w->n_wanted];

		if (claims[i]->owner.inode == 0) /* no kernel socket: nobody has it */
			continue;
		*x = (struct wanted){.inode = claims[i]->owner.inode, .pid = claims[i]->owner.pid, .fd = -1};
		if (x->pid > 0)
			find_number(w, x);
		if (x->fd < 0)
			return -ENOENT;
		x->compare = ours && compare(x->pid, x->fd, x->pid, x->fd) == 0;
		w->n_wanted++;
	}
	return 0;
}

int host_owners_read_number(struct host_owners *ret, const struct port_claim *const *claims, size_t n)
{
	struct wanted wanted[HOST_OWNERS_FEW];
	struct walk w = {.each = read_wanted, .wanted = wanted};
	int r;

	*ret = (struct host_owners){0};
	r = walk_open(NULL, &w);
	if (r == 0)
		r = find_numbers(&w, wanted, claims, n);
	if (r == 0 && w.n_wanted > 0)
		walk(&w, ret);
	walk_close(&w);
	put_in_order(ret);
	return r;
}

static bool has_many_processes(void)
{
	struct stat st;

	return stat("/proc", &st) == 0 && st.st_nlink > MANY_PROCESSES;
}

void host_owners_read_for(struct host_owners *ret, const struct port_claim *const *claims, size_t n)
{
	if (n > HOST_OWNERS_FEW || !has_many_processes() || host_owners_read_number(ret, claims, n) < 0)
		host_owners_read(NULL, ret);
}

/* The first row whose inode is not below this one. */
static size_t search(const struct host_owners *s, uint64_t inode)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->rows[mid].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct host_owner *host_owners_find(const struct host_owners *s, uint64_t inode, size_t *ret_n)
{
	size_t at, from, n = 0;

	if (s->index) {
		at = slot(s, inode);
		while (s->index[at] && s->rows[s->index[at] - 1].inode != inode)
			at = (at + 1) & (s->index_size - 1);
		from = s->index[at] ? s->index[at] - 1 : s->n;
	} else {
		from = search(s, inode);
	}
	while (from + n < s->n && s->rows[from + n].inode == inode)
		n++;
	*ret_n = n;
	return n ? s->rows + from : NULL;
}

void host_owners_free(struct host_owners *s)
{
	free(s->rows);
	free(s->index);
	*s = (struct host_owners){0};
}
