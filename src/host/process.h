/* src/host/process.h: what /proc tells about one process, and the chain of its parents. */
#ifndef BERTH_HOST_PROCESS_H
#define BERTH_HOST_PROCESS_H

#include "host/root.h"

/* Text is as the process chose it, control characters and all: whoever prints it makes it harmless. */
struct host_process {
	int32_t pid, ppid; /* ppid 0: its parent is outside of what we see */
	uint32_t uid, euid;
	uint64_t start_ticks; /* since boot, 100 a second: with the pid, the name of this very process */
	uint64_t age_us;      /* since it started */
	uint64_t netns;	      /* inode number of its network namespace; 0: not told */
	char state;	      /* 'R', 'S', 'D', 'T' (stopped), 'Z' (ended, not yet waited for) */
	bool is_kernel_thread;
	bool is_exe_deleted; /* the program was replaced or removed since it started */
	bool is_cwd_deleted;
	bool is_command_cut;  /* the command line is longer than this */
	bool is_denied;	      /* folder, program and namespace are not told to us */
	uint32_t n_arguments; /* in command, which holds them one after the other, a NUL behind each */
	uint32_t command_len;
	char comm[64];		 /* its short name; a kernel thread's may be long */
	char command[1024];	 /* always ends in a NUL */
	char cwd[512], exe[512]; /* "": not told */
};

/* Return: 0; -ESRCH, there is no such process (any more, or another has the number by now). */
MUST_CHECK int host_process_read(const struct host_root *root, int32_t pid, struct host_process *ret);
/* The command line with spaces between arguments, cut to room. Returns s. */
char *host_process_command(const struct host_process *p, char *s, size_t room);

/* What a listing shows of a process, read once for all its sockets. */
struct host_name {
	int32_t pid;
	char comm[64];	   /* "": it has ended */
	char command[256]; /* spaces between arguments, "..." at the end of what was longer */
};
/* One of them. */
void host_name_read(const struct host_root *root, int32_t pid, struct host_name *ret);
struct host_names {
	struct host_name *rows;
	uint32_t *table; /* numbers of rows + 1, by pid */
	size_t n, room;
};
/* NULL: no memory. Good until the next call. Start with {0}. */
const struct host_name *host_names_get(struct host_names *k, const struct host_root *root, int32_t pid);
void host_names_free(struct host_names *k);

struct host_parent {
	int32_t pid;
	uint32_t uid;
	char comm[64];
};
#define HOST_PARENTS_MAX 32
/* Its parent, the parent's parent, and so on to pid 1 or what is out of sight. Returns how many. */
size_t host_process_parents(const struct host_root *root, int32_t pid, struct host_parent chain[HOST_PARENTS_MAX]);

#endif
