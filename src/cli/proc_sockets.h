/* src/cli/proc_sockets.h: which processes have which sockets open, read from /proc at the time of asking. */
#ifndef BERTH_CLI_PROC_SOCKETS_H
#define BERTH_CLI_PROC_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

#include "port/table.h"

struct proc_socket {
	uint64_t inode;
	int32_t pid;
};

/* Sorted by inode, then pid; each pair once. */
struct proc_sockets {
	struct proc_socket *rows;
	size_t n, room;
};

/* Every socket every process we may look into has open. Never fails: what cannot be read is not there. */
void proc_sockets_read(struct proc_sockets *ret);

/**
 * proc_sockets_read_number() - the sockets of a few claims, sought under one descriptor number in each process
 * @claims: at most PROC_SOCKETS_FEW of them
 *
 * The number is the one that the claim's own process has the socket under, which fork() keeps; a copy under
 * another number is not seen. It costs 2 us for each process of the machine.
 *
 * Return: 0; -ENOENT, a claim's own process has its socket no more: only reading everything can tell.
 */
int proc_sockets_read_number(struct proc_sockets *ret, const struct port_claim *const *claims, size_t n);
#define PROC_SOCKETS_FEW 8

/* What answers best for these claims: everything where that is cheap; on a machine with very many processes, and for
 * a few claims, by number. */
void proc_sockets_read_for(struct proc_sockets *ret, const struct port_claim *const *claims, size_t n);

/* Where the rows of this inode begin; *ret_n: how many there are. */
const struct proc_socket *proc_sockets_find(const struct proc_sockets *s, uint64_t inode, size_t *ret_n);
void proc_sockets_free(struct proc_sockets *s);

#endif
