/* src/cli/kernel_port_who.c: who has a port of the machine's own kernel, in words.
 *
 * Of the sockets on that port that host/ lists, one that could be in the way: a listener before one that is only bound, that
 * before a connection, any of them before TIME_WAIT, which nobody has. The process is found by the inode, if we may look
 * into it. If not, it is another user's, and the user is named.
 */
#include <pwd.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/kernel_port.h"
#include "host/host.h"

static bool meets(const struct port_addr *a, const struct port_addr *b)
{
	return port_addr_equal(a, b) || port_addr_is_any(a) || port_addr_is_any(b);
}

/* How much it is in the way; 0: not at all. */
static int weight(const struct host_socket *s)
{
	if (s->inode == 0)
		return s->state == HOST_TIME_WAIT ? 1 : 0;
	return s->proto == HOST_UDP || s->state == HOST_LISTEN ? 4 : s->state == HOST_BOUND ? 3 : 2;
}

static const struct host_socket *choose(const struct host_sockets *s, const struct port_addr *addr)
{
	const struct host_socket *best = NULL;

	for (size_t i = 0; i < s->n; i++)
		if (meets(&s->rows[i].addr, addr) && weight(&s->rows[i]) > (best ? weight(best) : 0))
			best = &s->rows[i];
	return best;
}

/* A process that has the socket; 0: none that we may look into. */
static int32_t find_process(const struct host_socket *s, char comm[32])
{
	struct host_sought sought;
	struct host_owners o;
	struct host_name name;
	const struct host_owner *who;
	int32_t pid = 0;
	size_t n;

	host_socket_sought(s, &sought);
	host_owners_seek(NULL, &sought, 1, NULL, 0, true, &o);
	who = host_owners_find(&o, s->inode, &n);
	if (n > 0) {
		pid = who[0].pid;
		host_name_read(NULL, pid, &name);
		snprintf(comm, 32, "%.31s", name.comm[0] ? name.comm : "a program");
		cli_clean(comm);
	}
	host_owners_free(&o);
	return pid;
}

static const char *user_of(const struct host_socket *s, char user[40])
{
	struct passwd *pw = s->have & HOST_HAS_UID ? getpwuid(s->uid) : NULL;

	if (pw)
		snprintf(user, 40, "%.30s", pw->pw_name);
	else
		snprintf(user, 40, "%u", s->uid);
	return user;
}

static void tell(const struct host_socket *s, char t[KERNEL_PORT_WHO_MAX])
{
	const char *does = s->proto == HOST_UDP	     ? "has it"
			   : s->state == HOST_LISTEN ? "listens there"
			   : s->state == HOST_BOUND  ? "has it and does not listen"
						     : "has a connection on it";
	char comm[32], user[40];
	int32_t pid = s->inode ? find_process(s, comm) : 0;

	if (pid)
		snprintf(t, KERNEL_PORT_WHO_MAX, "%s (pid %d) %s", comm, pid, does);
	else if (s->state == HOST_TIME_WAIT)
		snprintf(t, KERNEL_PORT_WHO_MAX, "nobody: a connection that ended is in TIME_WAIT there for %u s more",
			 (s->timer_ms + 999) / 1000);
	else
		snprintf(
			t, KERNEL_PORT_WHO_MAX,
			"a process of user %s that cannot be seen from here %s; sudo ss -Hanp%c 'sport = :%u' names it",
			user_of(s, user), does, s->proto == HOST_UDP ? 'u' : 't', s->port);
}

char *kernel_port_who(const struct port_addr *addr, uint16_t port, enum port_proto proto, char s[KERNEL_PORT_WHO_MAX])
{
	const struct host_filter f = {.protos = 1u << proto, .ports = {port, port}};
	const struct host_socket *found = NULL;
	struct host_sockets sockets;

	if (host_sockets_read(NULL, &f, &sockets) == 0)
		found = choose(&sockets, addr);
	else
		sockets = (struct host_sockets){0};
	if (found)
		tell(found, s);
	else
		snprintf(s, KERNEL_PORT_WHO_MAX, "a program has it that does not listen yet, or has just gone");
	host_sockets_free(&sockets);
	return s;
}
