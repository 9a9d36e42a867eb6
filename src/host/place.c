/* src/host/place.c: what a cgroup's path says about who started what is in it. Text only.
 *
 * systemd nests slices, then a unit, then whatever the unit makes of its own part:
 *
 *     /system.slice/system-getty.slice/getty@tty1.service
 *     /user.slice/user-1000.slice/session-3.scope
 *     /user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-x-123.scope    a user's own systemd
 *
 * A container is one folder whose name has its id, made by its runtime alone or as a scope of systemd's:
 *
 *     /docker/ID                      /system.slice/docker-ID.scope
 *     /machine.slice/libpod-ID.scope  /kubepods.slice/.../kubepods-burstable-podUID.slice/cri-containerd-ID.scope
 *     /kubepods/burstable/podUID/ID   /lxc.payload.NAME/...
 *
 * So the path is read from the left, one folder at a time. The first unit after slices is the unit, except that
 * user@UID.service begins anew; the first folder that names a container is the container; a pod is named before it.
 * An id is 64 hexadecimal digits: shorter ones are somebody's own names.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cgroup.h"

#define ID_DIGITS 64

const char *const host_runtime_name[HOST_NRUNTIMES] = {
	"", "docker", "podman", "containerd", "cri-o", "lxc", "nspawn", "libvirt", "container",
};

struct part {
	const char *s;
	size_t n;
};

static bool begins(struct part p, const char *with)
{
	return p.n >= strlen(with) && memcmp(p.s, with, strlen(with)) == 0;
}

static bool ends(struct part p, const char *with)
{
	size_t n = strlen(with);

	return p.n > n && memcmp(p.s + p.n - n, with, n) == 0;
}

static bool is(struct part p, const char *what)
{
	return p.n == strlen(what) && memcmp(p.s, what, p.n) == 0;
}

static struct part cut(struct part p, size_t front, size_t back)
{
	return (struct part){p.s + front, p.n - front - back};
}

static void put(char *to, size_t room, struct part p)
{
	snprintf(to, room, "%.*s", (int)p.n, p.s);
}

static bool is_id(struct part p)
{
	if (p.n != ID_DIGITS)
		return false;
	for (size_t i = 0; i < p.n; i++)
		if (!isdigit((unsigned char)p.s[i]) && !(p.s[i] >= 'a' && p.s[i] <= 'f'))
			return false;
	return true;
}

/* --- units --- */

static bool is_unit(struct part p)
{
	static const char *const kinds[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (ends(p, kinds[i]))
			return true;
	return false;
}

/* "user-1000.slice", "user@1000.service" */
static bool take_user(struct part p, const char *before, const char *after, struct host_place *ret)
{
	char digits[12];
	struct part id;

	if (!begins(p, before) || !ends(p, after) || p.n <= strlen(before) + strlen(after))
		return false;
	id = cut(p, strlen(before), strlen(after));
	if (id.n > 10 || !isdigit((unsigned char)id.s[0]))
		return false;
	put(digits, sizeof(digits), id);
	ret->user = (uint32_t)strtoul(digits, NULL, 10);
	ret->has_user = true;
	return true;
}

/* Is there room for a unit: none yet, or a user's systemd, whose own units say more? */
static bool wants_unit(const struct host_place *p)
{
	return !p->unit[0] || (p->manager == HOST_MANAGER_SYSTEM && strncmp(p->unit, "user@", 5) == 0);
}

static void take_unit(struct part p, size_t depth, struct host_place *ret)
{
	/* systemd puts '_' before names that the kernel's own files could have. */
	if (begins(p, "_"))
		p = cut(p, 1, 0);
	if (!wants_unit(ret))
		return;
	if (ends(p, ".slice")) {
		put(ret->slice, sizeof(ret->slice), p);
		(void)take_user(p, "user-", ".slice", ret);
	} else if (depth == 0 && begins(p, "openrc.") && p.n > strlen("openrc.")) {
		ret->manager = HOST_MANAGER_OPENRC;
		put(ret->unit, sizeof(ret->unit), cut(p, strlen("openrc."), 0));
	} else if (is_unit(p) && !(ret->unit[0] && is(p, "init.scope"))) { /* that is the user's systemd itself */
		ret->manager = ret->unit[0] ? HOST_MANAGER_USER : HOST_MANAGER_SYSTEM;
		(void)take_user(p, "user@", ".service", ret);
		put(ret->unit, sizeof(ret->unit), p);
	}
}

/* --- containers --- */

static const struct scope {
	const char *before, *after;
	enum host_runtime runtime;
	bool is_helper;
} scopes[] = {
	{"docker-", ".scope", HOST_RUNTIME_DOCKER, false},
	{"libpod-conmon-", ".scope", HOST_RUNTIME_PODMAN, true},
	{"libpod-payload-", "", HOST_RUNTIME_PODMAN, false},
	{"libpod-", ".scope", HOST_RUNTIME_PODMAN, false},
	{"libpod-", "", HOST_RUNTIME_PODMAN, false},
	{"cri-containerd-", ".scope", HOST_RUNTIME_CONTAINERD, false},
	{"nerdctl-", ".scope", HOST_RUNTIME_CONTAINERD, false},
	{"crio-conmon-", ".scope", HOST_RUNTIME_CRIO, true},
	{"crio-", ".scope", HOST_RUNTIME_CRIO, false},
	{"crio-", "", HOST_RUNTIME_CRIO, false},
};

static bool take_scope(struct part p, struct host_place *ret)
{
	for (size_t i = 0; i < COUNT_OF(scopes); i++) {
		const struct scope *s = &scopes[i];
		size_t a = strlen(s->before), b = strlen(s->after);

		if (p.n != a + ID_DIGITS + b || !begins(p, s->before) || (b && !ends(p, s->after)) ||
		    !is_id(cut(p, a, b)))
			continue;
		ret->runtime = s->runtime;
		ret->is_helper = s->is_helper;
		put(ret->container, sizeof(ret->container), cut(p, a, b));
		return true;
	}
	return false;
}

/* "kubepods-burstable-podUID.slice" with '_' for '-', "podUID" */
static void take_pod(struct part p, struct part before, struct host_place *ret)
{
	static const char podman[] = "machine-libpod_pod_";
	struct part uid = p;
	const char *at;

	if (begins(p, podman) && ends(p, ".slice")) {
		put(ret->pod, sizeof(ret->pod), cut(p, sizeof(podman) - 1, 6));
		return;
	}
	if (ends(p, ".slice")) {
		uid = cut(p, 0, 6);
		at = uid.n ? memmem(uid.s, uid.n, "-pod", 4) : NULL;
		if (!at || !memmem(p.s, p.n, "kubepods", 8))
			return;
		uid = cut(uid, (size_t)(at - uid.s) + 4, 0);
	} else if (begins(p, "pod") &&
		   (is(before, "kubepods") || is(before, "burstable") || is(before, "besteffort"))) {
		uid = cut(p, 3, 0);
	} else {
		return;
	}
	put(ret->pod, sizeof(ret->pod), uid);
	for (char *c = ret->pod; *c; c++)
		if (*c == '_')
			*c = '-';
	if (ret->runtime == HOST_RUNTIME_NONE)
		ret->runtime = HOST_RUNTIME_OTHER;
}

/* "lxc.payload.NAME", "lxc.payload/NAME", "lxc/NAME" */
static bool take_lxc(struct part p, struct part before, size_t depth, struct host_place *ret)
{
	struct part name = {0};

	if (begins(p, "lxc.payload.") && p.n > 12)
		name = cut(p, 12, 0);
	else if (begins(p, "lxc.monitor.") && p.n > 12)
		name = cut(p, 12, 0);
	else if (depth == 1 && (is(before, "lxc") || is(before, "lxc.payload") || is(before, "lxc.monitor")))
		name = p;
	if (!name.n)
		return false;
	ret->runtime = HOST_RUNTIME_LXC;
	ret->is_helper = begins(p, "lxc.monitor") || begins(before, "lxc.monitor");
	put(ret->container, sizeof(ret->container), name);
	return true;
}

/* "\x2d" of systemd's names as the character it stands for. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		unsigned v;

		if (s[0] == '\\' && s[1] == 'x' && isxdigit((unsigned char)s[2]) && isxdigit((unsigned char)s[3]) &&
		    sscanf(s + 2, "%2x", &v) == 1 && v >= ' ' && v < 127) {
			*to++ = (char)v;
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* What systemd-machined knows: "systemd-nspawn@NAME.service", "machine-NAME.scope", "machine-qemu\x2d1\x2dNAME.scope" */
static bool take_machine(struct part p, struct host_place *ret)
{
	static const char spawned[] = "systemd-nspawn@", qemu[] = "machine-qemu\\x2d";
	struct part name;

	if (begins(p, spawned) && ends(p, ".service")) {
		name = cut(p, sizeof(spawned) - 1, 8);
		ret->runtime = HOST_RUNTIME_NSPAWN;
	} else if (begins(p, qemu) && ends(p, ".scope")) {
		const char *dash;

		name = cut(p, sizeof(qemu) - 1, 6);
		dash = memmem(name.s, name.n, "\\x2d", 4); /* after libvirt's number */
		if (dash)
			name = cut(name, (size_t)(dash - name.s) + 4, 0);
		ret->runtime = HOST_RUNTIME_LIBVIRT;
	} else if (begins(p, "machine-") && ends(p, ".scope") && strcmp(ret->slice, "machine.slice") == 0) {
		name = cut(p, 8, 6);
		ret->runtime = HOST_RUNTIME_NSPAWN;
	} else {
		return false;
	}
	put(ret->container, sizeof(ret->container), name);
	unescape(ret->container);
	return true;
}

/* An id alone: whose it is, the folder before it tells. Also "kubepods-x-podUID.slice:cri-containerd:ID". */
static bool take_id(struct part p, struct part before, size_t depth, struct host_place *ret)
{
	const char *colon = memrchr(p.s, ':', p.n);

	if (colon && is_id(cut(p, (size_t)(colon - p.s) + 1, 0))) {
		struct part prefix = {p.s, (size_t)(colon - p.s)};
		const char *slice = memchr(prefix.s, ':', prefix.n);

		if (slice)
			take_pod((struct part){prefix.s, (size_t)(slice - prefix.s)}, before, ret);
		ret->runtime = ends(prefix, "docker")	    ? HOST_RUNTIME_DOCKER
			       : ends(prefix, "crio")	    ? HOST_RUNTIME_CRIO
			       : ends(prefix, "containerd") ? HOST_RUNTIME_CONTAINERD
							    : HOST_RUNTIME_OTHER;
		put(ret->container, sizeof(ret->container), cut(p, (size_t)(colon - p.s) + 1, 0));
		return true;
	}
	if (!is_id(p) || depth == 0)
		return false;
	if (is(before, "docker") || is(before, "buildkit"))
		ret->runtime = HOST_RUNTIME_DOCKER;
	else if (begins(before, "libpod_"))
		ret->runtime = HOST_RUNTIME_PODMAN;
	else if (!ret->pod[0])
		return false;
	put(ret->container, sizeof(ret->container), p);
	return true;
}

void host_place_parse(const char *path, struct host_place *ret)
{
	struct part before = {"", 0};
	size_t depth = 0;

	*ret = (struct host_place){0};
	while (*path) {
		struct part p = {path, strcspn(path, "/")};

		path += p.n + (path[p.n] == '/');
		if (p.n == 0)
			continue;
		if (ret->container[0])
			break; /* what is inside is the container's own affair */
		take_unit(p, depth, ret);
		if (!take_scope(p, ret) && !take_lxc(p, before, depth, ret) && !take_machine(p, ret) &&
		    !take_id(p, before, depth, ret))
			take_pod(p, before, ret);
		before = p;
		depth++;
	}
}

char *host_place_short(const struct host_place *p, char s[80])
{
	struct part id = {p->container, strlen(p->container)};

	snprintf(s, 80, "%.*s", is_id(id) ? 12 : 79, p->container);
	return s;
}

/* --- /proc/PID/cgroup --- */

/* How much a path says; among equals the earlier line. */
static int worth(const struct host_place *p)
{
	return (p->container[0] ? 4 : 0) + (p->pod[0] ? 2 : 0) + (p->unit[0] ? 1 : 0);
}

int host_cgroup_choose(const char *text, char path[HOST_CGROUP_PATH_MAX], struct host_place *ret)
{
	int best = -1;

	for (const char *line = text; *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
		size_t n = strcspn(line, "\n");
		const char *colon = memchr(line, ':', n);
		char found[HOST_CGROUP_PATH_MAX];
		struct host_place place;

		colon = colon ? memchr(colon + 1, ':', n - (size_t)(colon + 1 - line)) : NULL;
		if (!colon)
			continue;
		snprintf(found, sizeof(found), "%.*s", (int)(n - (size_t)(colon + 1 - line)), colon + 1);
		host_place_parse(found, &place);
		/* Version 1 keeps a unit on one hierarchy and a container on another: each is taken from where it is. */
		if (best >= 0 && place.container[0] && !ret->container[0] && ret->unit[0] && !place.unit[0]) {
			ret->runtime = place.runtime;
			memcpy(ret->container, place.container, sizeof(ret->container));
			memcpy(ret->pod, place.pod, sizeof(ret->pod));
			best = worth(ret);
			continue;
		}
		if (worth(&place) > best) {
			best = worth(&place);
			memcpy(path, found, sizeof(found));
			*ret = place;
		}
	}
	return best < 0 ? -ENOENT : 0;
}
