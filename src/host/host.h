/* src/host/host.h: the ports of the machine's own kernel, for whoever shows them.
 *
 *     socket.h    its sockets as rows: host_sockets_read(); one row as a network's claim: host_socket_claim()
 *     owners.h    which processes have a socket open, by its inode: host_owners_read(), host_owners_find()
 *		 of some sockets alone, without everything being read: host_owners_seek()
 *     process.h   what a process is, and its parents: host_process_read(), host_process_parents();
 *                 many processes' names: host_names_get()
 *     cgroup.h    which unit, container or pod it belongs to: host_cgroups_path(), host_place_parse(), host_cgroup_of()
 *     flags.h     a socket's options, SO_REUSEADDR and so on, where we may ask the socket itself: host_flags_read()
 *     settings.h  port range, reserved ports and the like: host_settings_read(); how many sockets: host_counts_read()
 *     link.h      interfaces and addresses: host_links_read()
 *     bind.h      would a bind be refused, by whom and by which rule: host_bind_read(), host_bind_ask()
 *     netns.h     other network namespaces, and everything above inside them: host_netns_read(), host_netns_do()
 *     clues.h     who may hold a socket that no process has: host_clues_read(), host_clues_find()
 *
 * A listing, whole:
 *
 *	struct host_filter f = {.ports = {80, 80}};	(all zero: everything)
 *	struct host_sockets s;
 *	struct host_owners o;
 *
 *	r = host_sockets_read(NULL, &f, &s);		(NULL: this machine; a test gives canned files)
 *	host_owners_read(NULL, &o);			(once for all rows)
 *	for (i = 0; i < s.n; i++) {
 *		who = host_owners_find(&o, s.rows[i].inode, &n);
 *		if (host_socket_holder(&s.rows[i], n, o.unseen == 0) == HOST_HELD_BY_PROCESS)
 *			r = host_process_read(NULL, who[0].pid, &p);	(-ESRCH: it has just ended)
 *		host_socket_claim(&s.rows[i], network_now_us(), &claim);	(false: raw, which no network has)
 *	}
 *	host_owners_free(&o);
 *	host_sockets_free(&s);
 *
 * What could not be seen is part of the answer: s.notes (how it was read), o.unseen and o.n_denied (who was hidden).
 * All text is as programs chose it: whoever prints it makes it harmless. Nothing here prints, waits or needs root.
 */
#ifndef BERTH_HOST_HOST_H
#define BERTH_HOST_HOST_H

#include "host/bind.h"
#include "host/cgroup.h"
#include "host/clues.h"
#include "host/flags.h"
#include "host/link.h"
#include "host/netns.h"
#include "host/owners.h"
#include "host/process.h"
#include "host/settings.h"
#include "host/socket.h"

#endif
