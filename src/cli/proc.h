/* src/cli/proc.h: who holds a socket, read from /proc at the time of asking (SETTLED 6). */
#ifndef BERTH_CLI_PROC_H
#define BERTH_CLI_PROC_H

#include "port/explain.h"

struct proc_socket {
	uint64_t inode;
	int32_t pid;
};

/* What was read about processes and users, so that it is read once. */
#define PROC_KNOWN 64u
struct proc_known {
	int32_t pid[PROC_KNOWN]; /* by pid % PROC_KNOWN; 0: nobody */
	char program[PROC_KNOWN][32], command[PROC_KNOWN][256];
	uint32_t uid;
	char user[32]; /* "": nobody asked yet */
};

/* Every socket every process we may look into has open, sorted by inode, then pid. */
struct proc_sockets {
	struct proc_socket *rows;
	size_t n;
	struct proc_known known;
};

/* Walk /proc/PID/fd of all processes. Never fails: what cannot be read is not there. */
void proc_sockets_read(struct proc_sockets *ret);
/* The same for a few claims only. On a machine with very many processes those are asked for the descriptor the
 * claim's own process has the socket under, which fork() keeps; a copy under another number is then not seen. */
void proc_sockets_read_for(struct proc_sockets *ret, const struct port_claim *const *claims, size_t n);
void proc_sockets_free(struct proc_sockets *s);

#define PROC_PIDS_MAX 16
/* The processes that have the claim's socket open, the one to name first in front: the one that made
 * the claim if it still has it, else the one that runs longest. Fills at most PROC_PIDS_MAX; returns
 * how many there are. */
uint32_t proc_claim_pids(const struct proc_sockets *s, const struct port_claim *c, int32_t pids[PROC_PIDS_MAX]);

/* The claim's holder in words. s may be NULL: then the process the claim names is tried first and all
 * of /proc is read only when it has the socket no more. */
void proc_holder(struct proc_sockets *s, const struct port_claim *c, uint64_t now_us, struct port_holder *ret);

/* "alice", or "uid 1001" when it has no name. Returns s. */
char *proc_user(uint32_t uid, char s[32]);
/* Where the process works; "" when not known. Returns s. */
char *proc_cwd(int32_t pid, char *s, size_t size_bytes);

#endif
