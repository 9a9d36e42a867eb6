/* src/host/process.c: one process, out of /proc/PID.
 *
 * Several files are read one after the other and the process may end between two, and its number be given to another.
 * So the time it started is read first and last; when the two differ, it was not one process, and the answer is
 * that it is gone. What another user may not know (folder, program, namespace) is left out and marked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/process.h"

#define TICKS_A_SECOND 100u /* USER_HZ of every Linux */
#define KERNEL_THREAD 0x00200000u

struct stat_line {
	int32_t ppid;
	unsigned flags;
	char state;
	unsigned long long start_ticks;
	char comm[64];
};

/* "1234 (name) S 1 ...": the name may hold anything, so it ends at the last parenthesis. */
static int read_stat(int dir, struct stat_line *ret)
{
	char text[1024], *open, *close;
	long n = host_slurp(dir, "stat", text, sizeof(text));

	if (n <= 0)
		return -ESRCH;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -ESRCH;
	if (sscanf(close + 1, " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &ret->state, &ret->ppid, &ret->flags, &ret->start_ticks) != 4)
		return -ESRCH;
	*close = '\0';
	snprintf(ret->comm, sizeof(ret->comm), "%.63s", open + 1);
	return 0;
}

/* "Uid:\treal\teffective..." */
static bool read_uids(int dir, uint32_t *ret_uid, uint32_t *ret_euid)
{
	char text[4096];
	const char *p;

	if (host_slurp(dir, "status", text, sizeof(text)) <= 0)
		return false;
	p = strstr(text, "\nUid:");
	return p && sscanf(p + 5, "%u %u", ret_uid, ret_euid) == 2;
}

static uint64_t age_us(uint64_t start_ticks)
{
	struct timespec t;
	uint64_t now, start = start_ticks * (1000000 / TICKS_A_SECOND);

	clock_gettime(CLOCK_BOOTTIME, &t);
	now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	return now > start ? now - start : 0;
}

/* Where a link leads, without the kernel's " (deleted)". False: not told. */
static bool read_link(int dir, const char *name, char *s, size_t room, bool *ret_deleted, bool *denied)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlinkat(dir, name, s, room - 1);
	size_t cut;

	s[n > 0 ? n : 0] = '\0';
	*ret_deleted = false;
	if (n < 0)
		*denied |= errno == EACCES || errno == EPERM;
	if (n <= 0)
		return false;
	cut = (size_t)n >= sizeof(deleted) - 1 ? (size_t)n - (sizeof(deleted) - 1) : 0;
	if (cut > 0 && strcmp(s + cut, deleted) == 0) {
		s[cut] = '\0';
		*ret_deleted = true;
	}
	return true;
}

static void read_command(int dir, struct host_process *p)
{
	long n = host_slurp(dir, "cmdline", p->command, sizeof(p->command));

	if (n <= 0)
		return;
	p->is_command_cut = n == sizeof(p->command) - 1;
	p->command_len = (uint32_t)n;
	if (p->command[n - 1] != '\0')
		p->command[p->command_len++] = '\0';
	for (uint32_t i = 0; i < p->command_len; i++)
		p->n_arguments += p->command[i] == '\0';
}

static int open_process(const struct host_root *root, int32_t pid)
{
	char path[512];
	int dir;

	snprintf(path, sizeof(path), "%s/%d", host_root_proc(root), pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -ESRCH : dir;
}

static void read_links(int dir, struct host_process *p)
{
	char ns[64];
	bool deleted;

	read_link(dir, "cwd", p->cwd, sizeof(p->cwd), &p->is_cwd_deleted, &p->is_denied);
	read_link(dir, "exe", p->exe, sizeof(p->exe), &p->is_exe_deleted, &p->is_denied);
	if (read_link(dir, "ns/net", ns, sizeof(ns), &deleted, &p->is_denied) && strncmp(ns, "net:[", 5) == 0)
		p->netns = strtoull(ns + 5, NULL, 10);
}

int host_process_read(const struct host_root *root, int32_t pid, struct host_process *ret)
{
	struct stat_line first, last;
	int dir = open_process(root, pid), r;

	if (dir < 0)
		return dir;
	memset(ret, 0, sizeof(*ret));
	r = read_stat(dir, &first);
	if (r == 0 && !read_uids(dir, &ret->uid, &ret->euid))
		r = -ESRCH;
	if (r == 0) {
		read_command(dir, ret);
		read_links(dir, ret);
		r = read_stat(dir, &last);
	}
	close(dir);
	if (r < 0 || first.start_ticks != last.start_ticks)
		return -ESRCH;
	ret->pid = pid;
	ret->ppid = last.ppid;
	ret->state = last.state;
	ret->is_kernel_thread = (last.flags & KERNEL_THREAD) != 0;
	ret->start_ticks = last.start_ticks;
	ret->age_us = age_us(last.start_ticks);
	memcpy(ret->comm, last.comm, sizeof(ret->comm));
	return 0;
}

/* n octets of arguments with a NUL behind each, as one line. is_cut: there were more. */
static char *one_line(const char *args, size_t n, bool is_cut, char *s, size_t room)
{
	while (n > 0 && args[n - 1] == '\0')
		n--;
	is_cut |= n > room - 1;
	if (n > room - 1)
		n = room - 1;
	for (size_t i = 0; i < n; i++)
		s[i] = args[i] ? args[i] : ' ';
	s[n] = '\0';
	if (is_cut && n == room - 1 && n >= 3)
		memcpy(s + n - 3, "...", 3);
	return s;
}

char *host_process_command(const struct host_process *p, char *s, size_t room)
{
	return one_line(p->command, p->command_len, p->is_command_cut, s, room);
}

/* --- many processes --- */

void host_name_read(const struct host_root *root, int32_t pid, struct host_name *ret)
{
	char path[512], text[sizeof(ret->command) + 1];
	long n;

	*ret = (struct host_name){.pid = pid};
	snprintf(path, sizeof(path), "%s/%d/comm", host_root_proc(root), pid);
	n = host_slurp(AT_FDCWD, path, ret->comm, sizeof(ret->comm));
	if (n > 0 && ret->comm[n - 1] == '\n')
		ret->comm[n - 1] = '\0';
	snprintf(path, sizeof(path), "%s/%d/cmdline", host_root_proc(root), pid);
	n = host_slurp(AT_FDCWD, path, text, sizeof(text));
	if (n > 0)
		one_line(text, (size_t)n, n == sizeof(text) - 1, ret->command, sizeof(ret->command));
}

static size_t place(const struct host_names *k, size_t size, int32_t pid)
{
	size_t at = (uint32_t)pid * 2654435761u & (size - 1);

	while (k->table[at] && k->rows[k->table[at] - 1].pid != pid)
		at = (at + 1) & (size - 1);
	return at;
}

/* Room for one more; the table is twice as long as the rows. */
static bool grow(struct host_names *k)
{
	size_t more = k->room ? k->room * 2 : 64;
	struct host_name *rows = realloc(k->rows, more * sizeof(*rows));
	uint32_t *table = calloc(more * 2, sizeof(*table));

	if (rows)
		k->rows = rows;
	if (!rows || !table) {
		free(table);
		return false;
	}
	free(k->table);
	k->table = table;
	k->room = more;
	for (size_t i = 0; i < k->n; i++)
		table[place(k, more * 2, rows[i].pid)] = (uint32_t)i + 1;
	return true;
}

const struct host_name *host_names_get(struct host_names *k, const struct host_root *root, int32_t pid)
{
	size_t at;

	if (k->n == k->room && !grow(k))
		return NULL;
	at = place(k, k->room * 2, pid);
	if (!k->table[at]) {
		host_name_read(root, pid, &k->rows[k->n]);
		k->table[at] = (uint32_t)++k->n;
	}
	return &k->rows[k->table[at] - 1];
}

void host_names_free(struct host_names *k)
{
	free(k->rows);
	free(k->table);
	*k = (struct host_names){0};
}

size_t host_process_parents(const struct host_root *root, int32_t pid, struct host_parent chain[HOST_PARENTS_MAX])
{
	struct stat_line st;
	size_t n = 0;

	for (size_t step = 0; step <= HOST_PARENTS_MAX; step++) {
		int dir = open_process(root, pid);
		uint32_t uid = 0, euid;
		int r;

		if (dir < 0)
			break;
		r = read_stat(dir, &st);
		if (r == 0 && step > 0) {
			(void)read_uids(dir, &uid, &euid);
			chain[n] = (struct host_parent){.pid = pid, .uid = uid};
			memcpy(chain[n++].comm, st.comm, sizeof(st.comm));
		}
		close(dir);
		if (r < 0 || st.ppid <= 0 || st.ppid == pid || n == HOST_PARENTS_MAX)
			break;
		pid = st.ppid;
	}
	return n;
}
