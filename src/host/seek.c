/* src/host/seek.c: the processes that have a few sockets open, found without looking at every descriptor of the machine.
 *
 * A walk through all of /proc/PID/fd costs 3 to 7 us for each descriptor; one program with 19,000 connections makes that 70 ms,
 * and has nothing to do with the port that was asked about. So processes are looked at in this order:
 *
 *     whom the caller guesses (those of the socket's cgroup), if one process for each socket is enough
 *     all others with few descriptors, those with least first
 *     those with many: of each the lowest numbers, where servers have what they listen on, and the numbers under which
 *     another process was found to have one of the sockets, which fork() keeps
 *     where all were found, the parents of who was found, whole: systemd has under any number what it passes on
 *     those with many, whole, until nothing is left to be found
 *
 * When one process is enough, the first that has the last of the sockets ends it, and then its parents are asked for the same
 * number: a server's master is to be named rather than its worker. When all are wanted, everything but the
 * last step is always done, so what can be missed is a process with more than FEW_FILES descriptors that has the socket under a
 * number of its own that is not low, while another one has it, too, and is not its child.
 *
 * How many descriptors a process has, the kernel says since 6.2; before, all count as few, and the walk is as long as
 * host_owners_read()'s. A socket of another user's that some process we may not look into can have is given up before the
 * last step: who has it will not be seen. So is one that the caller calls optional.
 *
 * Always true: when a sought socket has no row and was not given up, every process was looked through (is_whole).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/process.h"
#include "host/walk.h"

#define FEW_FILES 256	  /* a process with so many descriptors is looked through */
#define LOW_NUMBERS 64	  /* of one with more */
#define NUMBERS_MAX 64	  /* others under which sockets were found */
#define PARENT_FILES 4096 /* a parent with so many is looked through */
#define HOLDERS_MAX 64	  /* whose parents are looked at */

struct quest {
	uint64_t *inodes; /* in order */
	atomic_uchar *seen;
	size_t n;
	atomic_size_t n_left;
	const struct host_sought *sought;
	size_t n_sought;
	bool one;  /* process for each is enough */
	bool last; /* nothing is looked for but what is left */
	bool counts;
	int numbers[LOW_NUMBERS + NUMBERS_MAX];
	size_t n_numbers;
};

/* A process that is to be looked at. */
struct candidate {
	uint32_t n_files;
	int32_t pid;
};

struct candidates {
	struct candidate *r;
	size_t n, n_few; /* the first n_few have few descriptors */
};

/* --- one process --- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void keep_number(struct host_walk *w, struct quest *q, int fd)
{
	bool is_known = fd < LOW_NUMBERS;

	if (is_known)
		return;
	pthread_mutex_lock(&w->lock);
	for (size_t i = LOW_NUMBERS; i < q->n_numbers && !is_known; i++)
		is_known = q->numbers[i] == fd;
	if (!is_known && q->n_numbers < COUNT_OF(q->numbers))
		q->numbers[q->n_numbers++] = fd;
	pthread_mutex_unlock(&w->lock);
}

static bool take(void *ctx, int fd, uint64_t inode)
{
	struct host_share *s = ctx;
	struct quest *q = s->walk->ctx;
	const uint64_t *at = bsearch(&inode, q->inodes, q->n, sizeof(inode), by_number);

	if (!host_owners_push(&s->found, inode, s->pid, fd))
		return false;
	if (!at)
		return true;
	keep_number(s->walk, q, fd);
	if (!atomic_exchange(&q->seen[at - q->inodes], 1))
		atomic_fetch_sub(&q->n_left, 1);
	if ((q->one || q->last) && atomic_load(&q->n_left) == 0)
		atomic_store(&s->walk->enough, true);
	return !atomic_load(&s->walk->enough);
}

static void count(struct host_share *s, int32_t pid, int r)
{
	const struct quest *q = s->walk->ctx;

	if (!q->counts)
		return;
	s->found.n_processes++;
	if (r == -EACCES && host_walk_has_memory(s->walk, pid))
		s->found.n_denied++;
}

static void look_through(struct host_share *s, int32_t pid)
{
	count(s, pid, host_walk_sockets(s->walk, pid, take, s));
}

static void look_at_numbers(struct host_share *s, int32_t pid)
{
	const struct quest *q = s->walk->ctx;

	count(s, pid, host_walk_numbers(s->walk, pid, q->numbers, q->n_numbers, take, s));
}

/* --- which, and in which order --- */

static int by_pid(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int by_count(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->n_files != y->n_files)
		return x->n_files < y->n_files ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Those of pids, but for the first n_done of `done` (in order). A process without descriptors is a thread of the kernel's, or a
 * zombie. */
static void choose(const struct host_walk *w, const int32_t *pids, size_t n, const int32_t *done, size_t n_done,
		   struct candidates *ret)
{
	*ret = (struct candidates){.r = malloc((n ? n : 1) * sizeof(*ret->r))};
	for (size_t i = 0; ret->r && i < n; i++) {
		struct candidate c = {.pid = pids[i]};

		if (n_done && bsearch(&c.pid, done, n_done, sizeof(*done), by_pid))
			continue;
		c.n_files = host_walk_count(w, c.pid);
		if (w->knows_counts && c.n_files == 0)
			continue;
		ret->r[ret->n++] = c;
		ret->n_few += c.n_files <= FEW_FILES;
	}
	if (ret->n)
		qsort(ret->r, ret->n, sizeof(*ret->r), by_count);
}

/* Each of these. */
static void run(struct host_walk *w, const struct candidate *c, size_t n, void (*each)(struct host_share *, int32_t),
		struct host_owners *found)
{
	int32_t *pids = n ? malloc(n * sizeof(*pids)) : NULL;

	for (size_t i = 0; pids && i < n; i++)
		pids[i] = c[i].pid;
	w->each = each;
	w->pids = pids;
	w->n_pids = n;
	if (pids)
		host_walk_run(w, found);
	w->pids = NULL;
	free(pids);
}

/* --- what is left --- */

/* What is optional, and what is of another user when there are processes that we may not look into. */
static void give_up(struct quest *q, const struct host_owners *found)
{
	uint32_t me = geteuid();

	for (size_t i = 0; i < q->n_sought; i++) {
		const struct host_sought *s = &q->sought[i];
		bool strange = me != 0 && found->n_denied > 0 && s->has_uid && s->uid != me;
		const uint64_t *at = bsearch(&s->inode, q->inodes, q->n, sizeof(s->inode), by_number);

		if (at && (strange || s->optional) && !atomic_exchange(&q->seen[at - q->inodes], 1))
			atomic_fetch_sub(&q->n_left, 1);
	}
}

/* The pids of who has one of the sockets. */
static size_t holders(const struct quest *q, const struct host_owners *found, struct host_owner ret[HOLDERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < found->n && n < HOLDERS_MAX; i++) {
		const struct host_owner *o = &found->rows[i];
		bool is_there = !bsearch(&o->inode, q->inodes, q->n, sizeof(o->inode), by_number);

		for (size_t k = 0; k < n && !is_there; k++)
			is_there = ret[k].pid == o->pid && ret[k].fd == o->fd;
		if (!is_there)
			ret[n++] = *o;
	}
	return n;
}

/* 0: none, or out of sight. */
static int32_t parent_of(const struct host_walk *w, int32_t pid)
{
	char path[32], text[256];
	const char *p;
	int ppid = 0;

	snprintf(path, sizeof(path), "%d/stat", pid);
	p = host_slurp(w->proc, path, text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
	return p && sscanf(p + 1, " %*c %d", &ppid) == 1 ? ppid : 0;
}

/* What a parent has: under the holder's number, or all of it if it is one of `many`. */
static void look_at_parent(struct host_share *s, int fd, const struct candidate *many, size_t n_many)
{
	bool through = false;

	atomic_store(&s->walk->enough, false);
	for (size_t m = 0; m < n_many && !through; m++)
		through = many[m].pid == s->pid && many[m].n_files <= PARENT_FILES;
	if (through)
		look_through(s, s->pid);
	else if (!n_many) /* else their numbers were looked at */
		(void)!host_walk_numbers(s->walk, s->pid, &fd, 1, take, s);
}

/* Servers share their parents: each is looked at once. */
static void look_at_parents(struct host_walk *w, struct quest *q, const struct candidate *many, size_t n_many,
			    struct host_owners *found)
{
	struct host_owner who[HOLDERS_MAX], met[HOLDERS_MAX * 2];
	size_t n_who = holders(q, found, who), n_met = 0;
	struct host_share s = {.walk = w};

	q->counts = false;
	pthread_mutex_init(&w->lock, NULL);
	for (size_t i = 0; i < n_who; i++) {
		int fd = n_many ? 0 : who[i].fd;
		bool is_met = false;

		s.pid = who[i].pid;
		for (int step = 0; step < HOST_PARENTS_MAX && !is_met && n_met < COUNT_OF(met); step++) {
			s.pid = parent_of(w, s.pid);
			for (size_t k = 0; k < n_met && !is_met; k++)
				is_met = met[k].pid == s.pid && met[k].fd == fd;
			if (s.pid <= 0 || is_met)
				break;
			met[n_met++] = (struct host_owner){.pid = s.pid, .fd = fd};
			look_at_parent(&s, fd, many, n_many);
		}
	}
	pthread_mutex_destroy(&w->lock);
	for (size_t i = 0; i < s.found.n; i++)
		(void)!host_owners_push(found, s.found.rows[i].inode, s.found.rows[i].pid, s.found.rows[i].fd);
	host_owners_free(&s.found);
}

/* Those with many descriptors. Returns whether all were looked through. */
static bool look_at_many(struct host_walk *w, struct quest *q, const struct candidate *many, size_t n,
			 struct host_owners *found)
{
	size_t n_known;
	bool whole = false;

	run(w, many, n, look_at_numbers, found);
	give_up(q, found);
	q->counts = false;
	n_known = q->n_numbers;
	if (atomic_load(&q->n_left) > 0) {
		q->last = true;
		run(w, many, n, look_through, found);
		whole = !atomic_load(&w->enough);
		q->last = false;
	}
	if (whole || q->one)
		return whole;
	look_at_parents(w, q, many, n, found);
	if (q->n_numbers > n_known)
		run(w, many, n, look_at_numbers, found);
	return false;
}

/* All processes but those that were looked through already, in order. Returns whether every one was looked through. */
static bool look_at_all(struct host_walk *w, struct quest *q, const int32_t *done, size_t n_done,
			struct host_owners *found)
{
	struct candidates all;
	int32_t *pids;
	size_t n = host_walk_list(w, &pids);
	bool whole;

	choose(w, pids, n, done, n_done, &all);
	free(pids);
	run(w, all.r, all.n_few, look_through, found);
	whole = all.r && !atomic_load(&w->enough);
	if (all.n > all.n_few && !atomic_load(&w->enough))
		whole = look_at_many(w, q, all.r + all.n_few, all.n - all.n_few, found);
	free(all.r);
	return whole;
}

/* Those of the guesses that have few descriptors: in `done` afterwards, in order. Returns how many. */
static size_t look_at_first(struct host_walk *w, const int32_t *first, size_t n, int32_t *done,
			    struct host_owners *found)
{
	struct candidates c;
	size_t n_done;

	choose(w, first, n, NULL, 0, &c);
	run(w, c.r, c.n_few, look_through, found);
	n_done = c.n_few;
	for (size_t i = 0; i < n_done; i++)
		done[i] = c.r[i].pid;
	free(c.r);
	if (n_done)
		qsort(done, n_done, sizeof(*done), by_pid);
	return n_done;
}

static bool quest_init(struct quest *q, const struct host_sought *sought, size_t n, bool one)
{
	*q = (struct quest){
		.inodes = malloc((n ? n : 1) * sizeof(*q->inodes)),
		.seen = calloc(n ? n : 1, sizeof(*q->seen)),
		.sought = sought,
		.n_sought = n,
		.one = one,
		.counts = true,
		.n_numbers = LOW_NUMBERS,
	};
	if (!q->inodes || !q->seen)
		return false;
	for (int i = 0; i < LOW_NUMBERS; i++)
		q->numbers[i] = i;
	for (size_t i = 0; i < n; i++)
		q->inodes[i] = sought[i].inode;
	qsort(q->inodes, n, sizeof(*q->inodes), by_number);
	for (size_t i = 0; i < n; i++) /* each once, and 0 is no socket */
		if (q->inodes[i] != 0 && (q->n == 0 || q->inodes[q->n - 1] != q->inodes[i]))
			q->inodes[q->n++] = q->inodes[i];
	atomic_store(&q->n_left, q->n);
	return true;
}

void host_owners_seek(const struct host_root *root, const struct host_sought *sought, size_t n, const int32_t *first,
		      size_t n_first, bool one, struct host_owners *ret)
{
	int32_t done[HOST_FIRST_MAX];
	struct host_walk w = {.is_procfs = false};
	size_t n_done = 0;
	struct quest q;

	if (!quest_init(&q, sought, n, one)) {
		host_owners_read(root, ret);
	} else {
		*ret = (struct host_owners){0};
		w.ctx = &q;
		if (q.n > 0 && host_walk_open(root, &w) == 0) {
			if (one && n_first)
				n_done = look_at_first(&w, first, n_first < HOST_FIRST_MAX ? n_first : HOST_FIRST_MAX,
						       done, ret);
			if (!one || atomic_load(&q.n_left) > 0)
				ret->is_whole = look_at_all(&w, &q, done, n_done, ret);
			if (one && !ret->is_whole)
				look_at_parents(&w, &q, NULL, 0, ret);
			ret->unseen = host_walk_unseen(&w, ret);
			host_walk_close(&w);
		} else if (q.n > 0) {
			ret->unseen = HOST_UNSEEN_NO_PROC;
		}
		host_owners_put_in_order(ret);
		host_owners_make_index(ret);
	}
	free(q.inodes);
	free(q.seen);
}
