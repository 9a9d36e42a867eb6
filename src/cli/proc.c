/* src/cli/proc.c: from a claim to the process that has its socket open now.
 *
 * A claim remembers the pid that made it, but servers bind first and become daemons, masters and
 * workers later; and a pid is given to a stranger once its process is gone. The socket's inode is
 * the truth: /proc/PID/fd of every process we may look into is searched for "socket:[INODE]".
 * A socket that nobody we can see has open (it is under way in a message, or is another user's)
 * leaves the program's name as the claim wrote it down, and no pid.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/proc.h"

#define FEW_CLAIMS 8
#define MANY_PROCESSES 400

/* At most room - 1 octets of a small file. Returns how many; 0 when there are none. */
static size_t slurp(const char *path, char *s, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	s[0] = '\0';
	if (fd < 0)
		return 0;
	while (n < room - 1) {
		ssize_t r = read(fd, s + n, room - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	close(fd);
	s[n] = '\0';
	return n;
}

static bool push(struct proc_sockets *s, size_t *room, uint64_t inode, int32_t pid)
{
	if (s->n == *room) {
		size_t more = *room ? *room * 2 : 256;
		struct proc_socket *rows = realloc(s->rows, more * sizeof(*rows));

		if (!rows)
			return false;
		s->rows = rows;
		*room = more;
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

/* The sockets of one process; only the one with inode `only`, if that is not 0, and then its descriptor. */
static void read_process(struct proc_sockets *s, size_t *room, int32_t pid, uint64_t only, char ret_fd[16])
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL) {
		uint64_t inode = socket_at(dirfd(d), e->d_name);

		if (inode == 0 || (only && inode != only))
			continue;
		if (!push(s, room, inode, pid))
			break;
		if (only) {
			snprintf(ret_fd, 16, "%.15s", e->d_name);
			break;
		}
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

static void sort(struct proc_sockets *s)
{
	if (s->n > 0)
		qsort(s->rows, s->n, sizeof(s->rows[0]), by_inode);
}

void proc_sockets_read(struct proc_sockets *ret)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	size_t room = 0;

	*ret = (struct proc_sockets){0};
	while (d && (e = readdir(d)) != NULL)
		if (isdigit((unsigned char)e->d_name[0]))
			read_process(ret, &room, atoi(e->d_name), 0, NULL);
	if (d)
		closedir(d);
	sort(ret);
}

/* Which processes have the claim's socket open under the number its own process has it? False: that one has it
 * no more. */
static bool read_claim(struct proc_sockets *s, size_t *room, const struct port_claim *c)
{
	char fd[16] = "", path[64];
	struct dirent *e;
	DIR *d;

	if (c->owner.inode == 0)
		return true;
	if (c->owner.pid > 0)
		read_process(s, room, c->owner.pid, c->owner.inode, fd);
	d = fd[0] ? opendir("/proc") : NULL;
	if (!d)
		return false;
	while ((e = readdir(d)) != NULL) {
		int32_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;

		snprintf(path, sizeof(path), "%.15s/fd/%s", e->d_name, fd);
		if (pid > 0 && pid != c->owner.pid && socket_at(dirfd(d), path) == c->owner.inode &&
		    !push(s, room, c->owner.inode, pid))
			break;
	}
	closedir(d);
	return true;
}

void proc_sockets_read_for(struct proc_sockets *ret, const struct port_claim *const *claims, size_t n)
{
	struct stat st;
	size_t room = 0;

	*ret = (struct proc_sockets){0};
	/* The links of /proc are its processes. Up to so many the whole truth costs little. */
	if (n <= FEW_CLAIMS && stat("/proc", &st) == 0 && st.st_nlink > MANY_PROCESSES) {
		while (n > 0 && read_claim(ret, &room, claims[n - 1]))
			n--;
		if (n == 0) {
			sort(ret);
			return;
		}
		proc_sockets_free(ret);
	}
	proc_sockets_read(ret);
}

void proc_sockets_free(struct proc_sockets *s)
{
	free(s->rows);
	*s = (struct proc_sockets){0};
}

/* When the process started, in the kernel's ticks; UINT64_MAX when it is gone. */
static uint64_t started(int32_t pid)
{
	char path[64], text[1024];
	unsigned long long ticks;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, text, sizeof(text)) == 0)
		return UINT64_MAX;
	p = strrchr(text, ')'); /* the name before it may contain anything */
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			 &ticks) != 1)
		return UINT64_MAX;
	return ticks;
}

uint32_t proc_claim_pids(const struct proc_sockets *s, const struct port_claim *c, int32_t pids[PROC_PIDS_MAX])
{
	size_t lo = 0, hi = s->n, best = 0;
	uint64_t oldest = UINT64_MAX;
	uint32_t n = 0, filled;

	if (c->owner.inode == 0)
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->rows[mid].inode < c->owner.inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t i = lo; i < s->n && s->rows[i].inode == c->owner.inode; i++) {
		if (i > lo && s->rows[i].pid == s->rows[i - 1].pid)
			continue; /* a process may have it open twice */
		if (n < PROC_PIDS_MAX)
			pids[n] = s->rows[i].pid;
		else if (s->rows[i].pid == c->owner.pid)
			pids[PROC_PIDS_MAX - 1] = s->rows[i].pid;
		n++;
	}
	filled = n < PROC_PIDS_MAX ? n : PROC_PIDS_MAX;
	for (uint32_t i = 0; i < filled; i++) {
		uint64_t t = pids[i] == c->owner.pid ? 0 : started(pids[i]);

		if (t < oldest) {
			oldest = t;
			best = i;
		}
	}
	if (best > 0) {
		int32_t first = pids[best];

		memmove(pids + 1, pids, best * sizeof(pids[0]));
		pids[0] = first;
	}
	return n;
}

char *proc_user(uint32_t uid, char s[32])
{
	struct passwd pw, *found = NULL;
	char buf[1024];

	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found)
		snprintf(s, 32, "%s", found->pw_name);
	else
		snprintf(s, 32, "uid %u", uid);
	return cli_clean(s);
}

char *proc_cwd(int32_t pid, char *s, size_t size_bytes)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	n = readlink(path, s, size_bytes - 1);
	s[n > 0 ? n : 0] = '\0';
	return cli_clean(s);
}

/* What a process is called and was started as, remembered in k (may be NULL). */
static void read_command(struct proc_known *k, int32_t pid, struct port_holder *h)
{
	uint32_t at = (uint32_t)pid % PROC_KNOWN;
	char path[64], text[sizeof(h->command)];
	size_t n;

	if (k && k->pid[at] == pid) {
		memcpy(h->program, k->program[at], sizeof(h->program));
		memcpy(h->command, k->command[at], sizeof(h->command));
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	n = slurp(path, text, sizeof(text));
	if (n > 0 && text[n - 1] == '\n')
		text[n - 1] = '\0';
	if (n > 1)
		snprintf(h->program, sizeof(h->program), "%.31s", text);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	n = slurp(path, h->command, sizeof(h->command));
	while (n > 0 && h->command[n - 1] == '\0')
		n--;
	for (size_t i = 0; i < n; i++)
		if (h->command[i] == '\0')
			h->command[i] = ' ';
	if (n == sizeof(h->command) - 1) /* more than we keep */
		memcpy(h->command + n - 3, "...", 3);
	cli_clean(h->program);
	cli_clean(h->command);
	if (k) {
		k->pid[at] = pid;
		memcpy(k->program[at], h->program, sizeof(h->program));
		memcpy(k->command[at], h->command, sizeof(h->command));
	}
}

static void read_user(struct proc_known *k, uint32_t uid, char s[32])
{
	if (k && k->user[0] && k->uid == uid) {
		memcpy(s, k->user, sizeof(k->user));
		return;
	}
	proc_user(uid, s);
	if (k) {
		k->uid = uid;
		memcpy(k->user, s, sizeof(k->user));
	}
}

void proc_holder(struct proc_sockets *s, const struct port_claim *c, uint64_t now_us, struct port_holder *ret)
{
	struct proc_known *known = s ? &s->known : NULL;
	struct proc_sockets own;
	int32_t pids[PROC_PIDS_MAX];
	uint32_t n = 0;

	*ret = (struct port_holder){.age_us = NEVER_US};
	snprintf(ret->program, sizeof(ret->program), "%.*s", (int)sizeof(c->owner.comm), c->owner.comm);
	cli_clean(ret->program);
	read_user(known, c->uid, ret->user);
	if (now_us >= c->since_us) /* else it is a clock of before the last boot */
		ret->age_us = now_us - c->since_us;

	if (s) {
		n = proc_claim_pids(s, c, pids);
	} else if (c->owner.inode != 0) {
		proc_sockets_read_for(&own, &c, 1);
		n = proc_claim_pids(&own, c, pids);
		proc_sockets_free(&own);
	}
	if (n == 0)
		return;
	ret->pid = pids[0];
	read_command(known, pids[0], ret);
}
