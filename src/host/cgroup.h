/* src/host/cgroup.h: from a socket's or a process's cgroup to what started it: a unit of systemd's, a container, a pod.
 *
 * A socket's row carries the number of the cgroup that its maker was in (socket.h: cgroup_id), which anybody may read; so a
 * unit is known where the process is another user's and cannot be seen.
 */
#ifndef BERTH_HOST_CGROUP_H
#define BERTH_HOST_CGROUP_H

#include "host/root.h"

enum host_runtime {
	HOST_RUNTIME_NONE,
	HOST_RUNTIME_DOCKER,
	HOST_RUNTIME_PODMAN,
	HOST_RUNTIME_CONTAINERD, /* with a pod: kubernetes */
	HOST_RUNTIME_CRIO,
	HOST_RUNTIME_LXC,     /* LXC, LXD, Incus, Proxmox */
	HOST_RUNTIME_NSPAWN,  /* systemd-nspawn, or another that systemd-machined knows */
	HOST_RUNTIME_LIBVIRT, /* a virtual machine */
	HOST_RUNTIME_OTHER,   /* a pod whose runtime is not said */
};
#define HOST_NRUNTIMES 9
extern const char *const host_runtime_name[HOST_NRUNTIMES]; /* "docker" */

enum host_manager {
	HOST_MANAGER_NONE,
	HOST_MANAGER_SYSTEM, /* systemctl ... UNIT */
	HOST_MANAGER_USER,   /* systemctl --user ... UNIT, as that user */
	HOST_MANAGER_OPENRC, /* rc-service UNIT ... */
};

/* What a path says. Text is as it stands in the path, of characters that file names may have. */
struct host_place {
	enum host_manager manager;
	char unit[160];	 /* "nginx.service", "session-3.scope", "app-x.service" of a user; "" */
	char slice[160]; /* the slice it is in, "system.slice"; "" */
	bool has_user;	 /* it is below that user's slice */
	uint32_t user;
	enum host_runtime runtime;
	char container[80]; /* an id of 64 digits, or a name (LXC, nspawn, libvirt); "" */
	char pod[80];	    /* of kubernetes: "0c9e2a5b-..."; of podman: an id; "" */
	bool is_helper;	    /* of the container, but outside of it: conmon, LXC's monitor */
};

/* Pure text. A path that says nothing gives an empty place. Of containers in containers it is the outermost, which this
 * machine's own tools know. */
void host_place_parse(const char *path, struct host_place *ret);
/* The first twelve digits of an id, or the whole name. Returns s. */
char *host_place_short(const struct host_place *p, char s[80]);

#define HOST_CGROUP_PATH_MAX 512
/* /proc/PID/cgroup as text: of its lines (one in version 2, many in version 1 and hybrids) the path that says most.
 * Return: 0; -ENOENT, there is none. */
MUST_CHECK int host_cgroup_choose(const char *text, char path[HOST_CGROUP_PATH_MAX], struct host_place *ret);
/* A process's. Return: 0; -ESRCH; -ENOENT. */
MUST_CHECK int host_cgroup_of(const struct host_root *root, int32_t pid, char path[HOST_CGROUP_PATH_MAX],
			      struct host_place *ret);

/* Numbers of cgroups as paths, remembered. */
struct host_cgroups {
	const struct host_root *root;
	int mount; /* the hierarchy of version 2; -1: there is none */
	bool by_handle;
	bool is_listed;
	struct host_cgroup_row *rows; /* by number, when they had to be listed */
	size_t n, room;
	struct host_cgroup_known {
		uint64_t id;
		char path[HOST_CGROUP_PATH_MAX]; /* "": no such */
	} known[32];
};
/* Never fails: where there is no cgroup2, no number is found. root must stay. */
void host_cgroups_init(struct host_cgroups *c, const struct host_root *root);
/* The path below the hierarchy's root, "/system.slice/x.service", good until the next call or fini. NULL: not found (it is
 * gone, or outside of our cgroup namespace). */
const char *host_cgroups_path(struct host_cgroups *c, uint64_t id);
/* The processes in it, at most max. Returns how many; 0, too, where its path is not found at once (no CAP_DAC_READ_SEARCH). */
size_t host_cgroups_pids(struct host_cgroups *c, uint64_t id, int32_t *pids, size_t max);
void host_cgroups_fini(struct host_cgroups *c);

#endif
