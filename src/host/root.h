/* src/host/root.h: where the machine is read from.
 *
 * Everything in host/ takes a struct host_root first; NULL is the running machine. A test gives a folder with
 * canned files, and a caller who wants to see what is left without netlink says so.
 */
#ifndef BERTH_HOST_ROOT_H
#define BERTH_HOST_ROOT_H

#include "base/base.h"

struct host_root {
	const char *proc;   /* NULL: "/proc" */
	const char *cgroup; /* NULL: "/sys/fs/cgroup" */
	const char *run;    /* NULL: "/run" (names of network namespaces) */
	bool no_netlink;    /* read text files only, as where seccomp forbids netlink */
	const char *net;    /* below proc; NULL: ours. "123/net": those of the process's network namespace */
	int diag_fd; /* a NETLINK_SOCK_DIAG socket of another network namespace (netns.h); 0: one of ours is made */
};

/* The folder as a path. */
const char *host_root_proc(const struct host_root *root);
const char *host_root_cgroup(const struct host_root *root);
const char *host_root_run(const struct host_root *root);
/* Below proc: what /proc/net is to the calling thread, or to the process that root names. */
const char *host_root_net(const struct host_root *root);
/* The folder of processes, opened; negative errno. */
MUST_CHECK int host_root_open_proc(const struct host_root *root);
/* At most room - 1 octets of a small file below dir (a descriptor, or AT_FDCWD), terminated. Return: how many;
 * negative errno, and s is "". */
long host_slurp(int dir, const char *path, char *s, size_t room);

#endif
