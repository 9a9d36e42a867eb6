/* src/net2/target.h: the programs that are served: who they are, their descriptors, their memory. */
#ifndef BERTH_NET2_TARGET_H
#define BERTH_NET2_TARGET_H

#include <sys/types.h>

#include "net2/context.h"

/* What /proc says of a thread, at this moment. */
struct target_state {
	int32_t tgid, ppid;
	uint32_t euid;
	uint64_t cap_effective;
	uint64_t sig_thread, sig_process; /* pending, and neither blocked nor ignored */
	uint32_t n_threads;
	char comm[16];
};

struct target {
	int32_t tid, tgid;
	int pidfd;  /* of the thread, or of its process on kernels before 6.9 */
	bool exact; /* while pidfd lives, tid means nobody else */
	struct context *context;
	bool told; /* that it is served, or cannot be */
};

/* The thread tid, which waits in a call at this moment. Valid until the next call. NULL: -ESRCH, it is gone; others, it
 * cannot be looked at (no descriptors left). */
struct target *target_get(int32_t tid, int *reterr);
/* Everything forked by this process from now on, and it itself, is of context c. */
MUST_CHECK int target_anchor(struct target *t, struct context *c);
MUST_CHECK int target_look(int32_t tid, struct target_state *ret);

/* A descriptor of ours for its fd: the same open file. Return: the descriptor; -EBADF, it has no such fd;
 * -EPERM, the kernel's rules of ptrace are in the way; -EMFILE, -ENFILE, we have none left. */
MUST_CHECK int target_fd(const struct target *t, int fd);

/* Its memory. Return: 0; -EFAULT; -EPERM, as above; -ESRCH. */
MUST_CHECK int target_read(const struct target *t, uint64_t from, void *to, size_t len_bytes);
MUST_CHECK int target_write(const struct target *t, uint64_t to, const void *from, size_t len_bytes);

/* As the kernel would send it for its own call (SIGPIPE). */
void target_signal(const struct target *t, int sig);

/* Which rule that is, in words: "it runs as user 33 and ..." */
void target_rule(const struct target *t, char *ret, size_t size_bytes);

#endif
