/* src/cli/machine.h: the machine's own ports, read once for a command: sockets, who has them open, what those are. */
#ifndef BERTH_CLI_MACHINE_H
#define BERTH_CLI_MACHINE_H

#include <pthread.h>

#include "cli/cli.h"
#include "host/clues.h"
#include "host/host.h"

/* What is known of a process that has a socket open; text is harmless. */
struct machine_process {
	int32_t pid, ppid;
	uint64_t age_us; /* NEVER_US: it has ended meanwhile */
	char program[32], command[256];
	bool asked_place, has_place;
	struct host_place place; /* machine_place() */
};

struct machine {
	const struct host_root *root;
	struct host_sockets sockets;
	struct host_owners owners;
	bool has_owners;
	uint64_t *sought; /* of which sockets they tell, in order, when they were sought */
	size_t n_sought;
	bool is_reading; /* in the thread below */
	pthread_t reader;
	uint64_t now_us;
	struct host_cgroups cgroups;
	bool has_cgroups;
	struct machine_process **known; /* by pid, a hash table */
	size_t n_known, room;
};

/* Where it is read from: NULL, the running machine; $BERTH_MACHINE_ROOT, a folder with a canned `proc` (the tests'). */
const struct host_root *machine_root(void);
/* What stands before the path of any other file of the machine's: that folder, or "". */
const char *machine_top(void);
/* Its sockets. Return: 0; an exit code, said. */
MUST_CHECK int machine_read(struct cli *cli, struct machine *m, const struct host_filter *f);
void machine_free(struct machine *m);
/* They will be asked for: read them beside what comes now. */
void machine_owners_begin(struct machine *m);
/* Only these sockets' processes will be asked for, most likely: they are looked for, and not everything. one: one process of each
 * is enough. Whoever asks for another makes it read everything. */
void machine_seek(struct machine *m, const struct host_sought *sought, size_t n, bool one);
#define MACHINE_SEEK_MAX 4096 /* of more sockets everything is read */
/* The same for one process of each of these rows; those from n_needed on may stay without, as it may cost too much to find them. */
void machine_seek_one(struct machine *m, const struct host_socket *const *rows, size_t n_needed, size_t n);
/* Who has which socket open, of all processes, or of what was sought; read at the first call. */
const struct host_owners *machine_owners(struct machine *m);
/* Of all processes. */
const struct host_owners *machine_all_owners(struct machine *m);
/* Of one socket, as host_owners_find(). */
const struct host_owner *machine_owners_of(struct machine *m, uint64_t inode, size_t *ret_n);
/* Remembered; NULL out of memory. */
struct machine_process *machine_process(struct machine *m, int32_t pid);
/* The unit, container or pod: of the process (0: none), else of what made the socket (may be NULL). False: not known. */
bool machine_place(struct machine *m, int32_t pid, const struct host_socket *s, struct host_place *ret);
/* What its tools call it: its name where the runtime's files may be read (container.h), else the short id, or the name. */
char *machine_container_name(const struct host_place *p, char s[80]);
/* "docker:web", "docker:0123456789ab", "lxc:web"; "" when it is no container. */
void machine_container(const struct host_place *p, char s[96]);
/* The processes that have a socket open, the one to name first in front: the parent of the others, or the one that
 * runs longest. At most max are filled in. Returns how many there are. */
uint32_t machine_pids(struct machine *m, uint64_t inode, int32_t *pids, uint32_t max);
/* Is some process of both in both? */
bool machine_shares_process(struct machine *m, uint64_t inode_a, uint64_t inode_b);

/* What could not be seen, one sentence a call, until "" comes: *at counts from 0. any_unseen: a row has a holder
 * that was not found. */
#define MACHINE_NOTE_MAX 256
bool machine_note(struct machine *m, bool any_unseen, unsigned *at, char s[MACHINE_NOTE_MAX]);

#endif
