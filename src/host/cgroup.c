/* src/host/cgroup.c: numbers of cgroups as paths.
 *
 * The kernel's number of a cgroup is the inode number of its folder, and a file handle of that filesystem is that number
 * alone. So with CAP_DAC_READ_SEARCH one call opens it (3 us); without, the whole hierarchy is listed once, folders only,
 * and looked up from then on. Either way the last few are remembered: sockets come in crowds of one unit.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/cgroup.h"

#define HANDLE_KERNFS 0xfe
#define DEPTH_MAX 24
#define LISTED_MAX (1u << 17)

struct host_cgroup_row {
	uint64_t id;
	char *path;
};

static bool is_version_2(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

void host_cgroups_init(struct host_cgroups *c, const struct host_root *root)
{
	char path[512];

	*c = (struct host_cgroups){.root = root, .mount = -1};
	c->mount = open(host_root_cgroup(root), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->mount >= 0 && !is_version_2(c->mount)) {
		int fd;

		/* A hybrid has it below the others. A test's folder is none at all, and is listed. */
		snprintf(path, sizeof(path), "%s/unified", host_root_cgroup(root));
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 || !(root && root->cgroup)) {
			close(c->mount);
			c->mount = fd;
		}
	}
	c->by_handle = c->mount >= 0 && is_version_2(c->mount);
}

/* Return: 0; -EPERM, not allowed; -ESTALE, no such. */
static int path_by_handle(struct host_cgroups *c, uint64_t id, char path[HOST_CGROUP_PATH_MAX])
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + sizeof(uint64_t)];
	} u = {.h = {.handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS}};
	char link[64], mount[HOST_CGROUP_PATH_MAX], full[HOST_CGROUP_PATH_MAX];
	ssize_t n, m;
	int fd;

	memcpy(u.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(c->mount, &u.h, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EPERM || errno == EACCES || errno == EOPNOTSUPP || errno == ENOSYS ? -EPERM : -ESTALE;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, full, sizeof(full) - 1);
	close(fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", c->mount);
	m = readlink(link, mount, sizeof(mount) - 1);
	if (n <= 0 || m <= 0)
		return -EPERM; /* no /proc: the list does without */
	full[n] = mount[m] = '\0';
	if (strncmp(full, mount, (size_t)m) != 0 || (full[m] != '/' && full[m] != '\0'))
		return -ESTALE;
	snprintf(path, HOST_CGROUP_PATH_MAX, "%s", full[m] ? full + m : "/");
	return 0;
}

/* --- the list --- */

static void add(struct host_cgroups *c, uint64_t id, const char *path)
{
	if (c->n == c->room) {
		size_t more = c->room ? c->room * 2 : 64;
		struct host_cgroup_row *rows = realloc(c->rows, more * sizeof(*rows));

		if (!rows)
			return;
		c->rows = rows;
		c->room = more;
	}
	c->rows[c->n].path = strdup(path);
	c->rows[c->n].id = id;
	c->n += c->rows[c->n].path != NULL;
}

/* dir is closed. path is its own, and has room for what is below. */
static void list(struct host_cgroups *c, int dir, char path[HOST_CGROUP_PATH_MAX], unsigned depth)
{
	size_t len = strlen(path);
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (fstat(dir, &st) < 0 || c->n >= LISTED_MAX || !(d = fdopendir(dir))) {
		close(dir);
		return;
	}
	add(c, st.st_ino, len ? path : "/");
	while (depth < DEPTH_MAX && (e = readdir(d)) != NULL) {
		int fd;

		if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) ||
		    len + 1 + strlen(e->d_name) >= HOST_CGROUP_PATH_MAX)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		snprintf(path + len, HOST_CGROUP_PATH_MAX - len, "/%s", e->d_name);
		list(c, fd, path, depth + 1);
		path[len] = '\0';
	}
	closedir(d);
}

static int by_id(const void *a, const void *b)
{
	const struct host_cgroup_row *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static const char *path_by_list(struct host_cgroups *c, uint64_t id)
{
	const struct host_cgroup_row key = {.id = id}, *found;

	if (!c->is_listed) {
		char path[HOST_CGROUP_PATH_MAX] = "";
		int fd = openat(c->mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		c->is_listed = true;
		if (fd >= 0)
			list(c, fd, path, 0);
		if (c->n)
			qsort(c->rows, c->n, sizeof(c->rows[0]), by_id);
	}
	found = c->n ? bsearch(&key, c->rows, c->n, sizeof(c->rows[0]), by_id) : NULL;
	return found ? found->path : NULL;
}

const char *host_cgroups_path(struct host_cgroups *c, uint64_t id)
{
	struct host_cgroup_known *k = &c->known[(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % COUNT_OF(c->known)];
	const char *listed;
	int r;

	if (c->mount < 0 || id == 0)
		return NULL;
	if (k->id != id) {
		r = c->by_handle ? path_by_handle(c, id, k->path) : -EPERM;
		if (r == -EPERM) {
			c->by_handle = false;
			listed = path_by_list(c, id);
			snprintf(k->path, sizeof(k->path), "%s", listed ? listed : "");
		} else if (r < 0) {
			k->path[0] = '\0';
		}
		k->id = id;
	}
	return k->path[0] ? k->path : NULL;
}

size_t host_cgroups_pids(struct host_cgroups *c, uint64_t id, int32_t *pids, size_t max)
{
	/* To list the hierarchy would cost more than is spared. */
	const char *path = c->by_handle || c->is_listed ? host_cgroups_path(c, id) : NULL;
	char file[HOST_CGROUP_PATH_MAX + 32], text[8192], *at = text, *end;
	size_t n = 0;

	if (!path)
		return 0;
	snprintf(file, sizeof(file), ".%s/cgroup.procs", path);
	if (host_slurp(c->mount, file, text, sizeof(text)) <= 0)
		return 0;
	while (n < max) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		at = end;
		if (pid > 0 && pid <= INT32_MAX && *end == '\n') /* 0: of another pid namespace. No newline: cut */
			pids[n++] = (int32_t)pid;
	}
	return n;
}

void host_cgroups_fini(struct host_cgroups *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->rows[i].path);
	free(c->rows);
	if (c->mount >= 0)
		close(c->mount);
	*c = (struct host_cgroups){.mount = -1};
}

int host_cgroup_of(const struct host_root *root, int32_t pid, char path[HOST_CGROUP_PATH_MAX], struct host_place *ret)
{
	char file[512], text[8192];
	long n;

	snprintf(file, sizeof(file), "%s/%d/cgroup", host_root_proc(root), pid);
	n = host_slurp(AT_FDCWD, file, text, sizeof(text));
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	return host_cgroup_choose(text, path, ret);
}
