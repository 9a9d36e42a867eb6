/* src/host/owners.c: from a socket's inode to the processes that have it open now.
 *
 * /proc/PID/fd of every process we may look into is read (walk.c). Of a few sockets that is more than needed: seek.c.
 *
 * Of a few claims on a machine with many processes only one descriptor of each process is looked at: the number
 * that the claim's own process has the socket under. kcmp(2) says whether two descriptors are one open file,
 * without a path to be walked (1.5 us, against 5 for the link; a socket is only ever one open file). A
 * yes is confirmed by the link: between the two the number may have been given to something else. Where
 * kcmp may not be used (some containers) or /proc is another pid namespace's, it is the link alone.
 *
 * Who cannot be seen is counted, so that "nobody has it" and "somebody you may not see has it" are two answers.
 */
#include <errno.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/walk.h"

#define MANY_PROCESSES 400
#define LOW_NUMBERS 32

/* A socket, and where its claim's own process has it. */
struct wanted {
	uint64_t inode;
	int32_t pid;
	int fd;
	bool compare; /* kcmp can be asked */
};

struct few {
	struct wanted wanted[HOST_OWNERS_FEW];
	size_t n;
};

bool host_owners_push(struct host_owners *s, uint64_t inode, int32_t pid, int fd)
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

/* Of one process of the running machine. */
static uint64_t socket_of(int32_t pid, int fd)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return host_walk_socket_at(-1, path, &err);
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

void host_owners_put_in_order(struct host_owners *s)
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

void host_owners_make_index(struct host_owners *s)
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

static bool found_one(void *ctx, int fd, uint64_t inode)
{
	struct host_share *s = ctx;

	return host_owners_push(&s->found, inode, s->pid, fd);
}

static void read_all(struct host_share *s, int32_t pid)
{
	int r = host_walk_sockets(s->walk, pid, found_one, s);

	s->found.n_processes++;
	if (r == -EACCES && host_walk_has_memory(s->walk, pid))
		s->found.n_denied++;
}

void host_owners_read(const struct host_root *root, struct host_owners *ret)
{
	struct host_walk w = {.each = read_all};

	*ret = (struct host_owners){0};
	ret->is_whole = true;
	if (host_walk_open(root, &w) == 0)
		host_walk_run(&w, ret);
	ret->unseen = host_walk_unseen(&w, ret);
	host_walk_close(&w);
	host_owners_put_in_order(ret);
	host_owners_make_index(ret);
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
static void find_number(const struct host_walk *walk, struct wanted *w)
{
	for (int fd = 0; fd < LOW_NUMBERS; fd++)
		if (socket_of(w->pid, fd) == w->inode) {
			w->fd = fd;
			return;
		}
	(void)!host_walk_sockets(walk, w->pid, is_wanted, w);
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

static void read_wanted(struct host_share *s, int32_t pid)
{
	const struct few *few = s->walk->ctx;

	for (size_t k = 0; k < few->n; k++) {
		const struct wanted *w = &few->wanted[k];

		if (pid == w->pid || has_it(w, pid))
			(void)!host_owners_push(&s->found, w->inode, pid, w->fd);
	}
}

/* Where do the claims' own processes have their sockets? Return: 0; -ENOENT, one has its socket no more. */
static int find_numbers(const struct host_walk *w, struct few *few, const struct port_claim *const *claims, size_t n)
{
	bool ours = proc_is_ours();

	for (size_t i = 0; i < n && i < HOST_OWNERS_FEW; i++) {
		struct wanted *x = &few->wanted[few->n];

		if (claims[i]->owner.inode == 0) /* no kernel socket: nobody has it */
			continue;
		*x = (struct wanted){.inode = claims[i]->owner.inode, .pid = claims[i]->owner.pid, .fd = -1};
		if (x->pid > 0)
			find_number(w, x);
		if (x->fd < 0)
			return -ENOENT;
		x->compare = ours && compare(x->pid, x->fd, x->pid, x->fd) == 0;
		few->n++;
	}
	return 0;
}

int host_owners_read_number(struct host_owners *ret, const struct port_claim *const *claims, size_t n)
{
	struct few few = {.n = 0};
	struct host_walk w = {.each = read_wanted, .ctx = &few};
	int r;

	*ret = (struct host_owners){0};
	r = host_walk_open(NULL, &w);
	if (r == 0)
		r = find_numbers(&w, &few, claims, n);
	if (r == 0 && few.n > 0)
		host_walk_run(&w, ret);
	host_walk_close(&w);
	host_owners_put_in_order(ret);
	return r;
}

static bool has_many_processes(void)
{
	struct stat st;

	return stat("/proc", &st) == 0 && st.st_nlink > MANY_PROCESSES;
}

void host_owners_read_for(struct host_owners *ret, const struct port_claim *const *claims, size_t n)
{
	struct host_sought sought[HOST_OWNERS_SEEK];

	if (n <= HOST_OWNERS_FEW && has_many_processes() && host_owners_read_number(ret, claims, n) == 0)
		return;
	for (size_t i = 0; i < n && i < HOST_OWNERS_SEEK; i++)
		sought[i] = (struct host_sought){.inode = claims[i]->owner.inode};
	if (n <= HOST_OWNERS_SEEK)
		host_owners_seek(NULL, sought, n, NULL, 0, false, ret);
	else
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
