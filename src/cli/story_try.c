/* src/cli/story_try.c: a door's options where the socket itself may not be asked: by a bind beside it.
 *
 * A copy of somebody's descriptor takes the right to trace him, which Yama, seccomp profiles and containers refuse even for one's own
 * processes. TCP tells something without it (docs/linux-bind.md): a second socket on the same address and port is
 * let in beside one that is bound and does not listen if both have SO_REUSEADDR, whoever they belong to, and beside any if both have
 * SO_REUSEPORT and one user. So such a bind is made, and closed at once. It does not listen, so nobody's connection comes to it, and
 * the port is held by another meanwhile anyhow.
 *
 *     let in     every socket in its way has the option, so this one has
 *     refused    it has not, if it is the only socket on that port: else another may be the one that refuses
 *
 * What cannot be found: whether a listener has SO_REUSEADDR (listeners refuse either way), SO_REUSEPORT of another user's socket
 * unless we are root, and anything of UDP, where a socket that shares would get datagrams.
 */
#include <errno.h>
#include <unistd.h>

#include "cli/kernel_probe.h"
#include "cli/story.h"

/* Nobody else is on that port, listed or not. */
static bool is_alone(const struct host_sockets *all, const struct host_socket *s)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->rows[i].port == s->port && all->rows[i].proto == s->proto;
	return n == 1 && !all->notes.no_bound && !all->notes.torn && !all->notes.n_bad;
}

static enum story_tried try_one(const struct host_socket *s, uint16_t flag, bool refusal_counts)
{
	const struct port_want want = {
		.proto = PORT_TCP,
		.family = (enum port_family)s->family,
		.addr = s->addr,
		.port = s->port,
		.uid = s->uid,
		.flags = (uint16_t)(flag | (s->is & HOST_IS_V6ONLY ? PORT_V6ONLY : 0)),
	};
	int r = kernel_probe_bind(&want);

	if (r == 0)
		return STORY_TRIED_YES;
	return r == -EADDRINUSE && refusal_counts ? STORY_TRIED_NO : STORY_TRIED_NOTHING;
}

void story_try(struct doors *d, struct story *story)
{
	const struct host_sockets *all = &d->machine.sockets;

	for (size_t i = 0; i < story->n_doors && i < STORY_DOORS_MAX && !d->machine.root; i++) {
		const struct host_socket *s = &all->rows[d->r[story->doors[i]].at];
		bool alone = is_alone(all, s), own = s->uid == geteuid();

		if (story->flags[i].known || s->proto != HOST_TCP || s->dev || !(s->have & HOST_HAS_UID) ||
		    all->notes.netlink_err)
			continue;
		if (s->state == HOST_BOUND)
			story->flags[i].reuseaddr = try_one(s, PORT_REUSEADDR, alone);
		if (own ||
		    geteuid() == 0) /* as its user, if the user namespace has that one: a refusal may be for its lack */
			story->flags[i].reuseport = try_one(s, PORT_REUSEPORT, alone && own);
	}
}
