/* src/cli/try_machine.c: what `berth doctor` tries of the machine, beside what the second net needs (net2/try.c).
 *
 * A child goes to namespaces of its own and says how far it came in a few octets through a pipe; with its end everything it
 * made is gone, the TAP device first.
 */
#include "cli/try_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define IO_URING_SETUP 425 /* on every architecture */

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int error_of(long r)
{
	return r < 0 ? -errno : 0;
}

static int try_tap(int tun)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "berthtry"};

	return error_of(ioctl(tun, TUNSETIFF, &ifr));
}

/* In the child. */
static struct try_namespaces in_child(void)
{
	struct try_namespaces t = {.tap = -EPERM};
	int tun;

	t.user = error_of(unshare(CLONE_NEWUSER));
	t.net = error_of(unshare(CLONE_NEWNET));
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	t.tun = error_of(tun);
	if (tun < 0)
		t.tap = t.tun;
	else if (t.net == 0) /* never among the machine's own devices */
		t.tap = try_tap(tun);
	/* Where AppArmor gives the namespace and takes its rights, the next step is what fails. */
	if (t.user == 0 && t.net < 0)
		t.user = t.net;
	return t;
}

struct try_namespaces try_namespaces(void)
{
	struct try_namespaces t;
	int pair[2], r;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0) {
		r = -errno;
		return (struct try_namespaces){r, r, r, r};
	}
	pid = fork();
	if (pid == 0) {
		t = in_child();
		_exit(write(pair[1], &t, sizeof(t)) != (ssize_t)sizeof(t));
	}
	r = pid < 0 ? -errno : -EIO;
	close(pair[1]);
	if (pid < 0 || read(pair[0], &t, sizeof(t)) != (ssize_t)sizeof(t))
		t = (struct try_namespaces){r, r, r, r};
	close(pair[0]);
	if (pid > 0)
		wait_for(pid);
	return t;
}

int try_io_uring(void)
{
	uint32_t params[30] = {0}; /* struct io_uring_params: 120 octets, none of them wanted */
	long fd = syscall(IO_URING_SETUP, 1, params);

	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

/* In the child: LD_TRACE_LOADED_OBJECTS makes the dynamic linker load, list, and end. */
static _Noreturn void list_libraries(const char *shim, int out)
{
	static char name[] = "berth", list[] = "LD_TRACE_LOADED_OBJECTS=1", c[] = "LC_ALL=C";
	char preload[4200], *argv[] = {name, NULL}, *envp[] = {preload, list, c, NULL};
	int none = open("/dev/null", O_RDONLY);

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", shim);
	if (none >= 0)
		dup2(none, STDIN_FILENO);
	if (dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0)
		execve("/proc/self/exe", argv, envp);
	_exit(127);
}

int try_preload(const char *shim, char *reterr_why, size_t size)
{
	char text[16384];
	size_t n = 0;
	ssize_t got;
	int pair[2];
	pid_t pid;

	reterr_why[0] = '\0';
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		list_libraries(shim, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		got = -errno;
		close(pair[0]);
		return (int)got;
	}
	do {
		got = read(pair[0], text + n, sizeof(text) - 1 - n);
		n += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && n < sizeof(text) - 1) || (got < 0 && errno == EINTR));
	close(pair[0]);
	wait_for(pid);
	text[n] = '\0';
	if (strstr(text, shim) && !strstr(text, "cannot be preloaded"))
		return 0;
	snprintf(reterr_why, size, "%.*s", (int)strcspn(text, "\n"), text);
	return -ELIBBAD;
}
