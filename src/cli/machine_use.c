/* src/cli/machine_use.c: who waits for others on a port of the machine's own kernel, for `berth name`.
 *
 * Listeners, and sockets that are bound and not connected: connections are not a use of a port's name. Programs of
 * other users have no name here, unless root asks. This is the one place where `name` asks about the machine.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/name.h"
#include "host/host.h"

static void add(const struct host_socket *s, const struct host_owners *owners, struct name_uses *uses)
{
	struct name_use u = {.port = s->port, .proto = (enum port_proto)s->proto, .machine = true, .addr = s->addr};
	size_t n;
	const struct host_owner *who = host_owners_find(owners, s->inode, &n);
	struct host_process p;

	switch (host_socket_holder(s, n, owners->unseen == 0)) {
	case HOST_HELD_BY_PROCESS:
		u.pid = who[0].pid;
		if (host_process_read(NULL, u.pid, &p) == 0)
			snprintf(u.program, sizeof(u.program), "%.31s", p.comm);
		break;
	case HOST_HELD_NOBODY:
		snprintf(u.program, sizeof(u.program), "kernel");
		break;
	default:
		break;
	}
	name_uses_add(uses, &u);
}

/* One process of each is named. */
static void read_owners(const struct host_sockets *s, struct host_owners *ret)
{
	struct host_sought *sought = malloc(s->n * sizeof(*sought));

	for (size_t i = 0; sought && i < s->n; i++)
		host_socket_sought(&s->rows[i], &sought[i]);
	if (sought)
		host_owners_seek(NULL, sought, s->n, NULL, 0, true, ret);
	else
		host_owners_read(NULL, ret);
	free(sought);
}

void machine_uses_add(struct name_uses *uses, struct port_range ports)
{
	struct host_filter f = {.protos = 1 << HOST_TCP | 1 << HOST_UDP,
				.states = 1 << HOST_LISTEN | 1 << HOST_BOUND,
				.ports = ports};
	struct host_sockets s;
	struct host_owners owners;

	if (ports.last == 0 || host_sockets_read(NULL, &f, &s) < 0)
		return;
	if (s.n > 0) {
		read_owners(&s, &owners);
		for (size_t i = 0; i < s.n; i++)
			add(&s.rows[i], &owners, uses);
		host_owners_free(&owners);
	}
	host_sockets_free(&s);
}
