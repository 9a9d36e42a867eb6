/* src/cli/publisher_acceptor.c: who accepts on a listener, a program under berth or one that knows nothing of it.
 *
 * A caller's socket is sent over the listener's AF_UNIX path, and the library's accept() or the keeper takes it out. A listener
 * that was handed to a process without either (SCM_RIGHTS, systemd's kind of inheritance) gives that process the carrier itself:
 * one octet, and the end. So the processes that have the socket open are looked at:
 *
 *     under berth     the library is mapped; or it has a seccomp filter more than we have: berth's, perhaps
 *     outside         neither, and both could be read
 *     not known       its /proc says nothing to us
 *
 * One of the first kind is enough: the caller is handed over. Only ones of the second kind: his octets are carried. Nobody of either: handed over, as most
 * listeners that nobody can be seen to have are servers that gave their rights away, or in another namespace.
 *
 * The answer holds as long as the witness, the process and number under which the socket was found, has it: one
 * readlink(2). When it has it no more, all of /proc is read, a few ms; at most every PAUSE_US and ever less often, as servers
 * whose workers come and go would ask for it all the time.
 */
#include "cli/publisher_acceptor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/owners.h"
#include "network/network.h"
#include "net2/net2.h"

#define PAUSE_US 100000
#define PAUSE_MAX_US 12800000
#define LIBRARY "libberth.so"
#define MAPS_MAX (4u << 20) /* octets of it that are read */

enum kind { NOT_KNOWN, OUTSIDE, UNDER_BERTH };

/* --- one process --- */

/* Does its memory map name the library? -1: it cannot be read. */
static int has_library(int32_t pid)
{
	char path[40], buf[8192 + 1];
	size_t kept = 0, total = 0;
	bool found = false;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while (!found && total < MAPS_MAX && (n = read(fd, buf + kept, sizeof(buf) - 1 - kept)) > 0) {
		size_t len = kept + (size_t)n;

		buf[len] = '\0';
		found = strstr(buf, LIBRARY) != NULL;
		total += (size_t)n;
		kept = len < sizeof(LIBRARY) ? len : sizeof(LIBRARY) - 1; /* it may begin here and end there */
		memmove(buf, buf + len - kept, kept);
	}
	close(fd);
	return found ? 1 : n < 0 || !total ? -1 : 0;
}

/* How many seccomp filters it has; -1: not told (Linux before 5.9, or no such process). */
static int n_filters(int32_t pid)
{
	static const char key[] = "\nSeccomp_filters:";
	char path[40], text[4096];
	const char *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strstr(text, key);
	return at ? atoi(at + sizeof(key) - 1) : -1;
}

static bool is_keeper(int32_t pid)
{
	char path[40], comm[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	comm[n - 1] = '\0'; /* instead of the end of the line */
	return strcmp(comm, NET2_KEEPER) == 0;
}

static enum kind kind_of(int32_t pid)
{
	/* A publisher that was started by a program under berth has berth's filter itself. */
	int own = n_filters(getpid()) - (getenv("BERTH_NETWORK_DIR") != NULL);
	int library = has_library(pid), filters = library == 0 ? n_filters(pid) : -1;

	if (library > 0)
		return UNDER_BERTH;
	if (library < 0 || filters < 0 || is_keeper(pid))
		return NOT_KNOWN;
	return filters > (own > 0 ? own : 0) ? UNDER_BERTH : OUTSIDE;
}

/* --- who has it --- */

static bool is_it(int32_t pid, int32_t fd, uint64_t inode)
{
	char path[48], want[40], to[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	n = readlink(path, to, sizeof(to) - 1);
	if (n <= 0)
		return false;
	to[n] = '\0';
	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)inode);
	return strcmp(to, want) == 0;
}

/* The number under which it has it; -1: it has not. */
static int32_t number_in(int32_t pid, uint64_t inode)
{
	char path[40];
	struct dirent *e;
	int32_t found = -1;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && found < 0 && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && is_it(pid, atoi(e->d_name), inode))
			found = atoi(e->d_name);
	if (d)
		closedir(d);
	return found;
}

/* The process that listened, which nearly always is the one that accepts. */
static bool look_at_owner(struct acceptor *a, const struct port_claim *c)
{
	int32_t fd = c->owner.pid > 0 ? number_in(c->owner.pid, c->owner.inode) : -1;

	if (fd < 0 || kind_of(c->owner.pid) != UNDER_BERTH)
		return false;
	a->pid = c->owner.pid;
	a->fd = fd;
	return true;
}

static void look_at_all(struct acceptor *a, const struct port_claim *c)
{
	const struct host_sought sought = {.inode = c->owner.inode};
	struct host_owners all;
	const struct host_owner *o;
	size_t n = 0;

	host_owners_seek(NULL, &sought, 1, NULL, 0, false, &all);
	o = host_owners_find(&all, c->owner.inode, &n);
	for (size_t i = 0; o && i < n && !a->pid; i++) {
		enum kind k = o[i].pid == getpid() ? NOT_KNOWN : kind_of(o[i].pid);

		a->outside |= k == OUTSIDE;
		if (k == UNDER_BERTH) {
			a->pid = o[i].pid;
			a->fd = o[i].fd;
		}
	}
	host_owners_free(&all);
	a->outside &= !a->pid;
}

void acceptor_look(struct acceptor *a, struct port_ref ref, const struct port_claim *c, uint64_t now_us)
{
	bool same = a->of.generation == ref.generation && a->of.slot == ref.slot;

	if (!same)
		*a = (struct acceptor){.of = ref};
	if (!c->owner.inode || c->flags & PORT_REUSEPORT) /* one of a group stands for nobody else */
		return;
	if (same && (a->outside || (a->pid && is_it(a->pid, a->fd, c->owner.inode))))
		return;
	if (same && a->again_us > now_us)
		return;
	a->pid = 0;
	if (look_at_owner(a, c))
		return;
	look_at_all(a, c);
	a->pause_us = a->pause_us ? a->pause_us * 2 : PAUSE_US;
	a->pause_us = a->pause_us > PAUSE_MAX_US ? PAUSE_MAX_US : a->pause_us;
	a->again_us = now_us + a->pause_us;
}
