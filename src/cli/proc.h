/* src/cli/proc.h: who holds a socket, read from /proc at the time of asking. */
#ifndef BERTH_CLI_PROC_H
#define BERTH_CLI_PROC_H

#include "host/owners.h"
#include "port/explain.h"

/* What was read about processes and users, so that it is read once. */
#define PROC_KNOWN 64u
struct proc_known {
	int32_t pid[PROC_KNOWN]; /* by pid % PROC_KNOWN; 0: nobody */
	char program[PROC_KNOWN][32], command[PROC_KNOWN][256];
	uint32_t uid;
	char user[32]; /* "": nobody asked yet */
};

#define PROC_PIDS_MAX 16
/**
 * proc_holder() - a claim's holder in words
 * @s:    who has which socket open; NULL: it is looked up for this claim alone
 * @k:    what is known already, and is added to; may be NULL
 * @pids: the processes that have the claim's socket open, the one to name first in front: the one that made the
 *        claim if it still has it, else the one that runs longest. At most PROC_PIDS_MAX are filled in
 *
 * Return: how many processes there are.
 */
uint32_t proc_holder(const struct host_owners *s, struct proc_known *k, const struct port_claim *c, uint64_t now_us,
		     struct port_holder *ret, int32_t pids[PROC_PIDS_MAX]);

/* "alice", or "uid 1001" when it has no name. Returns s. */
char *proc_user(uint32_t uid, char s[32]);
/* The same, with the last one remembered in k. */
void proc_user_known(struct proc_known *k, uint32_t uid, char s[32]);
/* It is gone, or was killed and has what it had open for a moment still. */
bool proc_is_leaving(int32_t pid);
/* Where the process works; "" when not known. Returns s. */
char *proc_cwd(int32_t pid, char *s, size_t size_bytes);

#endif
