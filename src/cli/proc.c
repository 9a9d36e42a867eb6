/* src/cli/proc.c: from a claim to the process that has its socket open now.
 *
 * A claim remembers the pid that made it, but servers bind first and become daemons, masters and
 * workers later; and a pid is given to a stranger once its process is gone. The socket's inode is
 * the truth: who has it open is host/owners.c's affair, here it is put into words. A socket that
 * nobody we can see has open (it is under way in a message, or is another user's) leaves the
 * program's name as the claim wrote it down, and no pid.
 */
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/proc.h"
#include "host/process.h"

#define PF_EXITING_ 4 /* include/linux/sched.h */

/* When the process started, in the kernel's ticks; UINT64_MAX when it is gone. */
static uint64_t started(int32_t pid)
{
	char path[64], text[1024];
	unsigned long long ticks;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (host_slurp(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return UINT64_MAX;
	p = strrchr(text, ')'); /* the name before it may contain anything */
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			 &ticks) != 1)
		return UINT64_MAX;
	return ticks;
}

bool proc_is_leaving(int32_t pid)
{
	char path[64], text[1024], state;
	unsigned flags;
	unsigned long long pending;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (host_slurp(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return true;
	p = strrchr(text, ')');
	return !p ||
	       sscanf(p + 1,
		      " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %*d %*u %*u %*u"
		      " %*u %*u %*u %llu",
		      &state, &flags, &pending) != 3 ||
	       strchr("ZXx", state) || flags & PF_EXITING_ || pending & 1u << (SIGKILL - 1);
}

/* As proc_holder() says. */
static uint32_t claim_pids(const struct host_owners *s, const struct port_claim *c, int32_t pids[PROC_PIDS_MAX])
{
	size_t n, best = 0;
	const struct host_owner *rows;
	uint64_t oldest = UINT64_MAX;

	if (c->owner.inode == 0)
		return 0;
	rows = host_owners_find(s, c->owner.inode, &n);
	for (size_t i = 0; i < n; i++)
		if (i < PROC_PIDS_MAX)
			pids[i] = rows[i].pid;
		else if (rows[i].pid == c->owner.pid)
			pids[PROC_PIDS_MAX - 1] = rows[i].pid;
	for (size_t i = 0; n > 1 && i < n && i < PROC_PIDS_MAX; i++) {
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
	return (uint32_t)n;
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
	struct host_name name;

	if (k && k->pid[at] == pid) {
		memcpy(h->program, k->program[at], sizeof(h->program));
		memcpy(h->command, k->command[at], sizeof(h->command));
		return;
	}
	host_name_read(NULL, pid, &name);
	if (name.comm[0])
		snprintf(h->program, sizeof(h->program), "%.31s", name.comm);
	snprintf(h->command, sizeof(h->command), "%s", name.command);
	cli_clean(h->program);
	cli_clean(h->command);
	if (k) {
		k->pid[at] = pid;
		memcpy(k->program[at], h->program, sizeof(h->program));
		memcpy(k->command[at], h->command, sizeof(h->command));
	}
}

void proc_user_known(struct proc_known *k, uint32_t uid, char s[32])
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

uint32_t proc_holder(const struct host_owners *s, struct proc_known *k, const struct port_claim *c, uint64_t now_us,
		     struct port_holder *ret, int32_t pids[PROC_PIDS_MAX])
{
	struct host_owners own = {0};
	uint32_t n;

	*ret = (struct port_holder){.age_us = NEVER_US};
	snprintf(ret->program, sizeof(ret->program), "%.*s", (int)sizeof(c->owner.comm), c->owner.comm);
	cli_clean(ret->program);
	proc_user_known(k, c->uid, ret->user);
	if (now_us >= c->since_us) /* else it is a clock of before the last boot */
		ret->age_us = now_us - c->since_us;

	if (!s && c->owner.inode != 0)
		host_owners_read_for(&own, &c, 1);
	n = claim_pids(s ? s : &own, c, pids);
	host_owners_free(&own);
	if (n > 0) {
		ret->pid = pids[0];
		read_command(k, pids[0], ret);
	}
	return n;
}
