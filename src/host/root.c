/* src/host/root.c: the folders that are read, and small files in them. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "host/root.h"

const char *host_root_proc(const struct host_root *root)
{
	return root && root->proc ? root->proc : "/proc";
}

const char *host_root_cgroup(const struct host_root *root)
{
	return root && root->cgroup ? root->cgroup : "/sys/fs/cgroup";
}

const char *host_root_run(const struct host_root *root)
{
	return root && root->run ? root->run : "/run";
}

const char *host_root_net(const struct host_root *root)
{
	if (root && root->net)
		return root->net;
	/* /proc/net is the process's, and a thread may be elsewhere (netns.c). A canned tree has no threads. */
	return root && root->proc ? "net" : "thread-self/net";
}

int host_root_open_proc(const struct host_root *root)
{
	int fd = open(host_root_proc(root), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

long host_slurp(int dir, const char *path, char *s, size_t room)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t n = 0;
	long r = 0;

	s[0] = '\0';
	if (fd < 0)
		return -errno;
	while (n < room - 1) {
		r = read(fd, s + n, room - 1 - n);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	r = r < 0 && n == 0 ? -errno : (long)n;
	close(fd);
	s[n] = '\0';
	return r;
}
