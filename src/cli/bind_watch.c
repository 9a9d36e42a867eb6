/* src/cli/bind_watch.c: each bind() of a command's tree, stopped for the moment that we need to look.
 *
 * A seccomp filter stops the call. We look at what it asks for, and at a copy of its socket's descriptor (pidfd_getfd). The call
 * then goes on in the kernel as it was made: nothing is done in the program's place, and what it changes meanwhile in its
 * memory changes only what it asks for.
 *
 * A filter never comes off, and a user who is not root gives up setuid programs for it. When we are gone, bind() in what the
 * command left running fails with ENOSYS. That is why it is asked for, and not always there. For all other
 * system calls the kernel keeps a bit that they are let through (Linux 5.11): they cost what they did.
 */
#include "cli/bind_watch.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

int bind_watch_install(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bind, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {.len = COUNT_OF(f), .filter = f};
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);

	if (fd < 0 && errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	return fd < 0 ? -errno : (int)fd;
}

int bind_watch_socket(pid_t pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), copy;

	if (pidfd < 0)
		return -1;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close(pidfd);
	return copy;
}

bool bind_watch_hear(int fd, bind_watch_look *look, void *ctx)
{
	static struct {
		struct seccomp_notif n;
		char more[256]; /* a newer kernel's may be longer */
	} q;
	struct {
		struct seccomp_notif_resp r;
		char more[256];
	} a;

	memset(&q, 0, sizeof(q));
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &q.n) < 0)
		return errno == EINTR || errno == ENOENT; /* it was killed meanwhile */
	look(ctx, fd, &q.n);
	memset(&a, 0, sizeof(a));
	a.r.id = q.n.id;
	a.r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &a.r);
	return true;
}
