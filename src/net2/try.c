/* src/net2/try.c: what `berth doctor` tries: each step of the second net, on a child made for it.
 *
 * A kernel may be new enough and still refuse: containers put filters of their own before these calls, Yama
 * keeps programs from each other. Only a try tells.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net2/filter.h"
#include "net2/try.h"

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int try_filter(bool *ret_killable)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		bool killable = false;
		int fd = filter_install(&killable);

		_exit(fd < 0 ? -fd & 127 : killable ? 128 : 129);
	}
	status = wait_for(pid);
	*ret_killable = status == 128;
	return status == 128 || status == 129 ? 0 : status < 0 ? status : -status;
}

/* A child that stays until it is ended. Its pid; negative errno. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid < 0 ? -errno : pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)wait_for(pid);
}

int try_getfd(void)
{
	pid_t pid = child();
	int pair[2], r = 0;
	long pidfd, fd;

	if (pid < 0)
		return pid;
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = -errno;
	} else {
		fd = syscall(SYS_pidfd_getfd, pidfd, STDERR_FILENO, 0);
		if (fd < 0 && errno == EBADF && pipe(pair) == 0) { /* it has none: nothing was refused */
			close(pair[0]);
			close(pair[1]);
		} else if (fd < 0) {
			r = -errno;
		} else {
			close((int)fd);
		}
		close((int)pidfd);
	}
	end(pid);
	return r;
}

int try_memory(void)
{
	static int here = 42;
	int there = 0, r = 0;
	struct iovec local = {&there, sizeof(there)}, remote = {&here, sizeof(here)};
	pid_t pid = child();

	if (pid < 0)
		return pid;
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof(there))
		r = errno ? -errno : -EFAULT;
	else if (there != here)
		r = -EIO;
	end(pid);
	return r;
}

bool try_release(unsigned major, unsigned minor)
{
	return filter_release_at_least(major, minor);
}
