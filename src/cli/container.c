/* src/cli/container.c: what a container is called by those who made it.
 *
 * A cgroup tells the container's id. Its name stands in files of the runtime's, which mostly root alone may read; where
 * they may not be, or there are none, the id is what there is.
 *
 *     docker        /var/lib/docker/containers/ID/config.v2.json                 "Name": "/web"
 *     podman, CRI-O STORAGE/DRIVER-containers/containers.json and volatile-...   [{"id": ID, "names": ["web"]}]
 *     containerd    /run/containerd/io.containerd.runtime.v2.task/SPACE/ID/config.json, annotations: nerdctl/name, or kubernetes' three
 *
 * STORAGE is /var/lib/containers/storage; of a user's own podman ~/.local/share/containers/storage. A container of kubernetes' has
 * the name of its pod before its own: "shop-7d4b/web".
 */
#include "cli/container.h"

#include <dirent.h>
#include <pwd.h>
#include <string.h>

#include "cli/machine.h"

#define FILE_MAX (16u << 20) /* a list of some thousand containers */

/* NULL: it cannot be read, or is no JSON. */
static json_t *load(const char *path)
{
	FILE *f = fopen(path, "re");
	json_t *j = NULL;

	if (f && fseek(f, 0, SEEK_END) == 0 && ftell(f) <= (long)FILE_MAX && fseek(f, 0, SEEK_SET) == 0)
		j = json_loadf(f, 0, NULL);
	if (f)
		fclose(f);
	return j;
}

/* Is it what such names are made of? */
static bool put(const char *name, char s[CONTAINER_NAME_MAX])
{
	if (!name || !*name || strlen(name) >= CONTAINER_NAME_MAX ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] != '\0')
		return false;
	memcpy(s, name, strlen(name) + 1);
	return true;
}

static bool put_in_pod(const char *pod, const char *name, char s[CONTAINER_NAME_MAX])
{
	char both[2][CONTAINER_NAME_MAX];

	return put(pod, both[0]) && put(name, both[1]) &&
	       snprintf(s, CONTAINER_NAME_MAX, "%s/%s", both[0], both[1]) < CONTAINER_NAME_MAX;
}

static bool of_docker(const struct host_place *p, char s[CONTAINER_NAME_MAX])
{
	char path[768];
	const char *name;
	bool found;
	json_t *j;

	snprintf(path, sizeof(path), "%.500s/var/lib/docker/containers/%.80s/config.v2.json", machine_top(),
		 p->container);
	j = load(path);
	name = json_string_value(json_object_get(j, "Name"));
	found = name && name[0] == '/' && put(name + 1, s);
	json_decref(j);
	return found;
}

/* --- podman and CRI-O: containers/storage --- */

/* What CRI-O calls "k8s_NAME_POD_NAMESPACE_UID_ATTEMPT" is POD/NAME to people. */
static bool put_stored(const char *name, char s[CONTAINER_NAME_MAX])
{
	char container[CONTAINER_NAME_MAX], pod[CONTAINER_NAME_MAX];

	if (name && strlen(name) < CONTAINER_NAME_MAX && sscanf(name, "k8s_%79[^_]_%79[^_]_", container, pod) == 2)
		return put_in_pod(pod, container, s);
	return put(name, s);
}

static bool in_list(const char *path, const char *id, char s[CONTAINER_NAME_MAX])
{
	json_t *list = load(path), *c;
	bool found = false;
	size_t i;

	json_array_foreach(list, i, c)
	{
		const char *its = json_string_value(json_object_get(c, "id"));

		if (its && strcmp(its, id) == 0)
			found = put_stored(json_string_value(json_array_get(json_object_get(c, "names"), 0)), s);
	}
	json_decref(list);
	return found;
}

static bool of_storage(const struct host_place *p, char s[CONTAINER_NAME_MAX])
{
	static const char *const drivers[] = {"overlay", "vfs", "btrfs", "zfs"};
	static const char *const lists[] = {"containers.json", "volatile-containers.json"};
	struct passwd *pw = p->has_user ? getpwuid(p->user) : NULL;
	char storage[800], path[1024];

	if (pw)
		snprintf(storage, sizeof(storage), "%.400s%.300s/.local/share/containers/storage", machine_top(),
			 pw->pw_dir);
	else
		snprintf(storage, sizeof(storage), "%.400s/var/lib/containers/storage", machine_top());
	for (size_t i = 0; i < COUNT_OF(drivers) * COUNT_OF(lists); i++) {
		snprintf(path, sizeof(path), "%s/%s-containers/%s", storage, drivers[i / COUNT_OF(lists)],
			 lists[i % COUNT_OF(lists)]);
		if (in_list(path, p->container, s))
			return true;
	}
	return false;
}

/* --- containerd --- */

static bool of_annotations(const char *path, char s[CONTAINER_NAME_MAX])
{
	json_t *j = load(path), *a = json_object_get(j, "annotations");
	const char *name = json_string_value(json_object_get(a, "nerdctl/name"));
	bool found = name ? put(name, s)
			  : put_in_pod(json_string_value(json_object_get(a, "io.kubernetes.cri.sandbox-name")),
				       json_string_value(json_object_get(a, "io.kubernetes.cri.container-name")), s);

	json_decref(j);
	return found;
}

static bool of_containerd(const struct host_place *p, char s[CONTAINER_NAME_MAX])
{
	char folder[600], path[1024];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%.500s/run/containerd/io.containerd.runtime.v2.task", machine_top());
	dir = opendir(folder);
	while (dir && !found && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.200s/%.80s/config.json", folder, e->d_name, p->container);
		found = of_annotations(path, s);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool read_name(const struct host_place *p, char s[CONTAINER_NAME_MAX])
{
	if (strchr(p->container, '/'))
		return false;
	switch (p->runtime) {
	case HOST_RUNTIME_DOCKER:
		return of_docker(p, s);
	case HOST_RUNTIME_PODMAN:
	case HOST_RUNTIME_CRIO:
		return of_storage(p, s);
	case HOST_RUNTIME_CONTAINERD:
	case HOST_RUNTIME_OTHER: /* a pod's, whose cgroup does not say which */
		return of_containerd(p, s) || of_storage(p, s);
	case HOST_RUNTIME_NONE:
	case HOST_RUNTIME_LXC: /* named by their cgroup */
	case HOST_RUNTIME_NSPAWN:
	case HOST_RUNTIME_LIBVIRT:
		break;
	}
	return false;
}

/* A container has many sockets, and each is looked at twice to be shown once. */
bool container_name(const struct host_place *p, char s[CONTAINER_NAME_MAX])
{
	static struct {
		char id[sizeof(p->container)], name[CONTAINER_NAME_MAX];
		bool has_name;
	} known[32];
	static unsigned next;
	unsigned i = 0;

	while (i < COUNT_OF(known) && strcmp(known[i].id, p->container) != 0)
		i++;
	if (i == COUNT_OF(known)) {
		i = next++ % COUNT_OF(known);
		memcpy(known[i].id, p->container, sizeof(known[i].id));
		known[i].has_name = read_name(p, known[i].name);
	}
	if (known[i].has_name)
		memcpy(s, known[i].name, CONTAINER_NAME_MAX);
	return known[i].has_name;
}
