/* src/cli/proc.h: who holds a socket, read from /proc at the time of asking (SETTLED 6). */
#ifndef BERTH_CLI_PROC_H
#define BERTH_CLI_PROC_H

#include "port/explain.h"

struct proc_socket {
	uint64_t inode;
	int32_t pid;
};

/* Every socket every process we may look into has open, sorted by inode, then pid. */
struct proc_sockets {
	struct proc_socket *rows;
	size_t n;
};

/* Walk /proc/PID/fd of all processes. Never fails: what cannot be read is not there. */
void proc_sockets_read(struct proc_sockets *ret);
void proc_sockets_free(struct proc_sockets *s);

#define PROC_PIDS_MAX 16
/* The processes that have the claim's socket open, the one to name first in front: the one that made
 * the claim if it still has it, else the one that runs longest. Fills at most PROC_PIDS_MAX; returns
 * how many there are. */
uint32_t proc_claim_pids(const struct proc_sockets *s, const struct port_claim *c, int32_t pids[PROC_PIDS_MAX]);

/* The claim's holder in words. s may be NULL: then the process the claim names is tried first and all
 * of /proc is read only when it has the socket no more. */
void proc_holder(const struct proc_sockets *s, const struct port_claim *c, uint64_t now_us, struct port_holder *ret);

/* "alice", or "uid 1001" when it has no name. Returns s. */
char *proc_user(uint32_t uid, char s[32]);
/* Where the process works; "" when not known. Returns s. */
char *proc_cwd(int32_t pid, char *s, size_t size_bytes);

#endif
