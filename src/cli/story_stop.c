/* src/cli/story_stop.c: what a holder is when that is not plain, and the command that stops it properly.
 *
 * A process that systemd, docker or OpenRC started comes back when it is killed, or leaves its unit failed; so they
 * are asked before the process is. A login session's scope is not: stopping that ends the session. Nothing is run here.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/docker_proxy.h"
#include "cli/story.h"

static const char *sudo_for(uint32_t uid)
{
	return geteuid() == 0 || geteuid() == uid ? "" : "sudo ";
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && strcmp(s + n - k, end) == 0;
}

/* What goes into a shell is a word of plain characters, or is not put there. */
static bool is_plain(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@:-")] == '\0' &&
	       *s != '-';
}

/* --- units that listen for others --- */

/* Does this line of a .socket file ask for that port? "ListenStream=8080", "=[::]:22", "=0.0.0.0:22" */
static bool listens_on(const char *line, const char *key, uint16_t port)
{
	const char *v;
	char *end;
	unsigned long n;

	if (strncmp(line, key, strlen(key)) != 0)
		return false;
	v = line + strlen(key);
	v += strspn(v, " \t");
	if (*v == '/' || *v == '@' || *v == '%')
		return false;
	if (strrchr(v, ':'))
		v = strrchr(v, ':') + 1;
	n = strtoul(v, &end, 10);
	return end != v && *(end + strspn(end, " \t\r\n")) == '\0' && n == port;
}

static bool file_listens(const char *path, enum port_proto proto, uint16_t port)
{
	FILE *f = fopen(path, "re");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = listens_on(line, proto == PORT_UDP ? "ListenDatagram=" : "ListenStream=", port);
	if (f)
		fclose(f);
	return found;
}

/* The unit that systemd itself listens for on this port. */
static void find_socket_unit(struct story *s)
{
	static const char *const dirs[] = {"/run/systemd/transient",
					   "/etc/systemd/system",
					   "/run/systemd/system",
					   "/run/systemd/generator",
					   "/usr/local/lib/systemd/system",
					   "/usr/lib/systemd/system",
					   "/lib/systemd/system"};
	const struct port_claim *c = &s->door.row.claim;

	for (size_t i = 0; i < COUNT_OF(dirs) && !s->socket_unit[0]; i++) {
		char path[1024], folder[600];
		struct dirent *e;
		DIR *dir;

		snprintf(folder, sizeof(folder), "%.500s%s", machine_top(), dirs[i]);
		dir = opendir(folder);
		while (dir && !s->socket_unit[0] && (e = readdir(dir)) != NULL) {
			snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
			if (ends_with(e->d_name, ".socket") && is_plain(e->d_name) &&
			    file_listens(path, (enum port_proto)c->proto, c->port))
				snprintf(s->socket_unit, sizeof(s->socket_unit), "%.127s", e->d_name);
		}
		if (dir)
			closedir(dir);
	}
}

static bool held_by_init(const struct story *s)
{
	for (uint32_t i = 0; i < s->door.row.n_pids && i < PROC_PIDS_MAX; i++)
		if (s->door.row.pids[i] == 1)
			return true;
	return false;
}

static void explain_activation(struct story *s)
{
	s->is_activation = true;
	find_socket_unit(s);
	if (s->door.row.n_pids > 1)
		snprintf(s->what, sizeof(s->what), "systemd opened it and handed it on (socket activation)");
	else
		snprintf(s->what, sizeof(s->what),
			 "systemd itself listens here and starts the service when somebody calls (socket activation)");
	if (s->socket_unit[0])
		snprintf(s->stop, sizeof(s->stop), "%ssystemctl stop %s", sudo_for(0), s->socket_unit);
}

/* --- holders that are no process --- */

static void explain_tunnel(struct story *s, const struct host_clue *c)
{
	const char *name = strchr(c->what, ' '); /* "vxlan vx0" */

	snprintf(s->what, sizeof(s->what), "%s: the tunnel %s",
		 c->is_certain ? "the kernel's own" : "no process; most likely the kernel's own", c->what);
	if (name && is_plain(name + 1))
		snprintf(s->stop, sizeof(s->stop), "%sip link set %s down", sudo_for(0), name + 1);
}

static void explain_kernel(struct doors *d, struct story *s)
{
	const struct host_clue *c;
	struct host_clues clues;

	host_clues_read(d->machine.root, machine_all_owners(&d->machine), &clues);
	c = host_clues_find(&clues, s->door.socket);
	switch (c ? c->kind : HOST_CLUE_NONE) {
	case HOST_CLUE_NONE:
		snprintf(s->what, sizeof(s->what),
			 "no process: it is the kernel's own, on its way in a message, or of another pid namespace");
		break;
	case HOST_CLUE_TUNNEL:
		explain_tunnel(s, c);
		break;
	case HOST_CLUE_KERNEL:
		snprintf(s->what, sizeof(s->what), "%s%s",
			 c->is_certain ? "the kernel's own: " : "no process; most likely the kernel's own: ", c->what);
		if (s->door.row.claim.port == 2049)
			snprintf(s->stop, sizeof(s->stop), "%ssystemctl stop nfs-server.service", sudo_for(0));
		break;
	case HOST_CLUE_IN_FLIGHT:
		snprintf(s->what, sizeof(s->what),
			 "no process: most likely it is on its way in a message that process %d has not read", c->pid);
		break;
	}
	cli_clean(s->what);
	host_clues_free(&clues);
}

static void explain_holder(struct doors *d, struct story *s)
{
	switch (s->door.held) {
	case HOST_HELD_BY_PROCESS:
		break;
	case HOST_HELD_TIME_WAIT:
		snprintf(s->what, sizeof(s->what),
			 "nobody: connections that are over, kept for late packets (TIME_WAIT); the last ends in %u s",
			 (unsigned)((s->ends_in_ms + 999) / 1000));
		break;
	case HOST_HELD_ORPHAN:
		snprintf(s->what, sizeof(s->what),
			 "the kernel: its program closed the connection, and what is left is sent or waited for");
		break;
	case HOST_HELD_UNACCEPTED:
		snprintf(s->what, sizeof(s->what),
			 "the kernel, for a listener that has not accepted the connection yet");
		break;
	case HOST_HELD_UNSEEN:
		snprintf(s->what, sizeof(s->what),
			 geteuid() == 0 ? "a process that even root may not look into here"
					: "a process that you may not look into; root may: sudo berth who %u",
			 s->door.row.claim.port);
		break;
	case HOST_HELD_NOBODY:
		explain_kernel(d, s);
		break;
	}
}

/* --- stopping it --- */

static void stop_container(struct story *s)
{
	static const struct {
		enum host_runtime runtime;
		const char *command;
	} commands[] = {
		{HOST_RUNTIME_DOCKER, "docker stop"},	  {HOST_RUNTIME_PODMAN, "podman stop"},
		{HOST_RUNTIME_CONTAINERD, "crictl stop"}, {HOST_RUNTIME_CRIO, "crictl stop"},
		{HOST_RUNTIME_LXC, "lxc-stop -n"},	  {HOST_RUNTIME_NSPAWN, "machinectl poweroff"},
		{HOST_RUNTIME_LIBVIRT, "virsh shutdown"},
	};
	const struct host_place *p = &s->door.place;
	char name[80];

	machine_container_name(p, name);
	if (p->runtime == HOST_RUNTIME_CRIO ||
	    (p->runtime == HOST_RUNTIME_CONTAINERD && p->pod[0])) /* crictl knows containers by id */
		host_place_short(p, name);
	for (size_t i = 0; i < COUNT_OF(commands) && is_plain(name); i++)
		if (commands[i].runtime == p->runtime)
			snprintf(s->stop, sizeof(s->stop), "%s%s %s",
				 p->runtime == HOST_RUNTIME_DOCKER || p->has_user ? "" : sudo_for(0),
				 p->runtime == HOST_RUNTIME_CONTAINERD && !p->pod[0] ? "nerdctl stop"
										     : commands[i].command,
				 name);
}

static void stop_unit(struct cli *cli, struct story *s)
{
	const struct host_place *p = &s->door.place;
	char user[32];

	(void)cli;
	if (!is_plain(p->unit))
		return;
	if (p->manager == HOST_MANAGER_OPENRC) {
		snprintf(s->stop, sizeof(s->stop), "%src-service %s stop", sudo_for(0), p->unit);
		return;
	}
	if (!ends_with(p->unit, ".service"))
		return;
	if (p->manager == HOST_MANAGER_SYSTEM)
		snprintf(s->stop, sizeof(s->stop), "%ssystemctl stop %s", sudo_for(0), p->unit);
	else if (p->manager == HOST_MANAGER_USER && p->user == geteuid())
		snprintf(s->stop, sizeof(s->stop), "systemctl --user stop %s", p->unit);
	else if (p->manager == HOST_MANAGER_USER)
		snprintf(s->stop, sizeof(s->stop), "%ssystemctl --user -M %s@ stop %s", sudo_for(0),
			 proc_user(p->user, user), p->unit);
}

/* docker's own helper that holds a published port: the container is behind it. */
static bool explain_docker_proxy(struct story *s)
{
	const char *ip, *port;

	if (!s->has_process || strcmp(s->process.comm, DOCKER_PROXY) != 0)
		return false;
	if (docker_proxy_leads(&s->process, &ip, &port))
		snprintf(s->what, sizeof(s->what), "docker publishes it: it leads to %s port %s, a container's", ip,
			 port);
	else
		snprintf(s->what, sizeof(s->what), "docker publishes it: it leads into a container");
	cli_clean(s->what);
	snprintf(s->stop, sizeof(s->stop), "docker stop $(docker ps -q --filter publish=%u)", s->door.row.claim.port);
	return true;
}

static void explain_published(struct story *s)
{
	const char *net = strstr(s->door.leads_to, " of network '");

	snprintf(s->what, sizeof(s->what), "berth publishes it: it leads to %s", s->door.leads_to);
	if (net)
		snprintf(s->stop, sizeof(s->stop), "berth unpublish -n %.*s %u%s",
			 (int)strcspn(net + strlen(" of network '"), "'"), net + strlen(" of network '"),
			 s->door.row.claim.port, s->door.row.claim.proto == PORT_UDP ? "/udp" : "");
}

void story_explain(struct cli *cli, struct doors *d, struct story *s)
{
	const struct door *door = &s->door;

	explain_holder(d, s);
	if (door->leads_to[0]) {
		explain_published(s);
		return;
	}
	if (explain_docker_proxy(s))
		return;
	if (door->held == HOST_HELD_BY_PROCESS && held_by_init(s)) {
		explain_activation(s);
		if (s->stop[0] || door->row.holder.pid == 1)
			return;
	}
	if (s->stop[0] || (door->held != HOST_HELD_BY_PROCESS && door->held != HOST_HELD_UNSEEN))
		return;
	if (door->container[0])
		stop_container(s);
	if (!s->stop[0])
		stop_unit(cli, s);
	if (!s->stop[0] && door->row.holder.pid > 1)
		snprintf(s->stop, sizeof(s->stop), "%skill %d",
			 s->has_process ? sudo_for(s->process.uid) : sudo_for(door->row.claim.uid),
			 door->row.holder.pid);
}
