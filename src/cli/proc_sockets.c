/* src/cli/proc_sockets.c: from a socket's inode to the processes that have it open now.
 *
 * /proc/PID/fd of every process we may look into is read: the link of a descriptor says "socket:[INODE]". That
 * is 4 us for each descriptor of the machine.
 *
 * Of a few claims on a machine with many processes only one descriptor of each process is looked at: the number
 * that the claim's own process has the socket under. kcmp(2) says whether two descriptors are one open file,
 * without a path to be walked (1.5 us, against 5 for the link; a socket is only ever one open file). A
 * yes is confirmed by the link: between the two the number may have been given to something else. Where
 * kcmp may not be used (some containers) or /proc is another pid namespace's, it is the link alone.
 *
 * Nearly all of that is the kernel's time, the listing of /proc too (1.3 us for each process). So where there are
 * many processes and more than one processor, threads share them: each takes the next few names out of the one
 * open /proc and looks at those while others list on.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/proc_sockets.h"

#define MANY_PROCESSES 400
#define LOW_NUMBERS 32
#define THREADS_MAX 4
#define WORTH_A_THREAD 128 /* processes */
#define TAKE_BYTES 1024	   /* of /proc's listing at a time: some forty processes */

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
	int proc; /* the directory; its position is what the threads share */
	pthread_mutex_t lock;
	void (*each)(struct share *s, int32_t pid);
	const struct wanted *wanted;
	size_t n_wanted;
};

struct share {
	struct walk *walk;
	struct proc_sockets found;
	int32_t pid; /* who is being looked at */
	pthread_t thread;
};

static bool push(struct proc_sockets *s, uint64_t inode, int32_t pid)
{
	if (s->n == s->room) {
		size_t more = s->room ? s->room * 2 : 256;
		struct proc_socket *rows = realloc(s->rows, more * sizeof(*rows));

		if (!rows)
			return false;
		s->rows = rows;
		s->room = more;
	}
	s->rows[s->n++] = (struct proc_socket){inode, pid};
	return true;
}

/* The inode of the socket that one of a process's descriptors leads to; 0: it leads elsewhere. */
static uint64_t socket_at(int dir, const char *fd)
{
	static const char is[] = "socket:[";
	char link[64];
	ssize_t n = readlinkat(dir, fd, link, sizeof(link) - 1);

	if (n <= (ssize_t)sizeof(is) || memcmp(link, is, sizeof(is) - 1) != 0)
		return 0;
	link[n] = '\0';
	return strtoull(link + sizeof(is) - 1, NULL, 10);
}

static uint64_t socket_of(int32_t pid, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return socket_at(-1, path);
}

/* Call each() for every socket of a process, until it says false. */
static void each_socket(int32_t pid, bool (*each)(void *ctx, int fd, uint64_t inode), void *ctx)
{
	char path[64];
	struct dirent *e;
	uint64_t inode;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL) {
		inode = e->d_name[0] == '.' ? 0 : socket_at(dirfd(d), e->d_name);
		if (inode && !each(ctx, atoi(e->d_name), inode))
			break;
	}
	closedir(d);
}

static int by_inode(const void *a, const void *b)
{
	const struct proc_socket *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* In order, and each pair once: a process may have a socket open twice. */
static void put_in_order(struct proc_sockets *s)
{
	size_t n = 0;

	if (s->n > 0)
		qsort(s->rows, s->n, sizeof(s->rows[0]), by_inode);
	for (size_t i = 0; i < s->n; i++)
		if (n == 0 || by_inode(&s->rows[n - 1], &s->rows[i]) != 0)
			s->rows[n++] = s->rows[i];
	s->n = n;
}

/* --- all processes --- */

static void *walk_share(void *arg)
{
	struct share *s = arg;
	union {
		struct dirent64 align;
		char text[TAKE_BYTES];
	} names;
	long n;

	for (;;) {
		pthread_mutex_lock(&s->walk->lock);
		n = syscall(SYS_getdents64, s->walk->proc, &names, sizeof(names));
		pthread_mutex_unlock(&s->walk->lock);
		if (n <= 0)
			return NULL;
		for (long at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(names.text + at);

			at += e->d_reclen;
			if (!isdigit((unsigned char)e->d_name[0]))
				continue;
			s->pid = atoi(e->d_name);
			s->walk->each(s, s->pid);
		}
	}
}

/* The links of /proc are its processes. */
static size_t count_processes(void)
{
	struct stat st;

	return stat("/proc", &st) == 0 ? (size_t)st.st_nlink : 0;
}

static size_t count_threads(void)
{
	cpu_set_t set;
	size_t n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
	size_t worth = count_processes() / WORTH_A_THREAD + 1;

	n = n > THREADS_MAX ? THREADS_MAX : n;
	return n > worth ? worth : n;
}

/* Take what another found. */
static void append(struct proc_sockets *to, struct proc_sockets *from)
{
	for (size_t i = 0; i < from->n && push(to, from->rows[i].inode, from->rows[i].pid); i++)
		continue;
	proc_sockets_free(from);
}

static void walk(struct walk *w, struct proc_sockets *ret)
{
	size_t n = count_threads(), started = 1;
	struct share s[THREADS_MAX];

	w->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
	if (w->proc >= 0)
		close(w->proc);
}

static bool found_one(void *ctx, int fd, uint64_t inode)
{
	struct share *s = ctx;

	(void)fd;
	return push(&s->found, inode, s->pid);
}

static void read_all(struct share *s, int32_t pid)
{
	each_socket(pid, found_one, s);
}

void proc_sockets_read(struct proc_sockets *ret)
{
	struct walk w = {.each = read_all};

	walk(&w, ret);
	put_in_order(ret);
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
static void find_number(struct wanted *w)
{
	for (int fd = 0; fd < LOW_NUMBERS; fd++)
		if (socket_of(w->pid, fd) == w->inode) {
			w->fd = fd;
			return;
		}
	each_socket(w->pid, is_wanted, w);
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
			(void)!push(&s->found, w->inode, pid);
	}
}

int proc_sockets_read_number(struct proc_sockets *ret, const struct port_claim *const *claims, size_t n)
{
	struct wanted wanted[PROC_SOCKETS_FEW];
	struct walk w = {.each = read_wanted, .wanted = wanted};
	bool ours = proc_is_ours();

	*ret = (struct proc_sockets){0};
	for (size_t i = 0; i < n && i < COUNT_OF(wanted); i++) {
		struct wanted *x = &wanted[w.n_wanted];

		if (claims[i]->owner.inode == 0) /* no kernel socket: nobody has it */
			continue;
		*x = (struct wanted){.inode = claims[i]->owner.inode, .pid = claims[i]->owner.pid, .fd = -1};
		if (x->pid > 0)
			find_number(x);
		if (x->fd < 0)
			return -ENOENT;
		x->compare = ours && compare(x->pid, x->fd, x->pid, x->fd) == 0;
		w.n_wanted++;
	}
	if (w.n_wanted > 0)
		walk(&w, ret);
	put_in_order(ret);
	return 0;
}

void proc_sockets_read_for(struct proc_sockets *ret, const struct port_claim *const *claims, size_t n)
{
	if (n > PROC_SOCKETS_FEW || count_processes() <= MANY_PROCESSES || proc_sockets_read_number(ret, claims, n) < 0)
		proc_sockets_read(ret);
}

const struct proc_socket *proc_sockets_find(const struct proc_sockets *s, uint64_t inode, size_t *ret_n)
{
	size_t lo = 0, hi = s->n, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->rows[mid].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + n < s->n && s->rows[lo + n].inode == inode)
		n++;
	*ret_n = n;
	return s->n ? s->rows + lo : NULL;
}

void proc_sockets_free(struct proc_sockets *s)
{
	free(s->rows);
	*s = (struct proc_sockets){0};
}
