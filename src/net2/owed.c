/* src/net2/owed.c: connections that were accepted and could not be handed over.
 *
 * accept(2) of a program that has no descriptor left is EMFILE, and the connection stays in the queue. Here
 * it is accepted before it is installed, and it is the installing that fails: by then it is out of the queue, and
 * nothing puts it back. (To install something else first, and then the connection over it, would be the other
 * way; but what was installed stays there when nobody is left to accept, as it cannot be closed from here.)
 *
 * So it is owed: kept here, and given to the next accept() on that listener. Until then the listener must show
 * that there is one. A ticket does that: a connection of ours to the listener, from no client of the network, which
 * accept() closes and passes over as any such (shim/names.c). The ticket also tells when the listener is gone:
 * the kernel then ends what is in its queue, and what is owed there is closed, as it would have been in the queue.
 *
 * One listener is owed one connection at most, as accept() takes what is owed before it looks at the queue; but
 * for threads that run into it together.
 */
#include "net2/owed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWED_MAX 64

static struct owed {
	uint64_t cookie; /* the listener's */
	uint64_t order;
	int fd, ticket;
} owed[OWED_MAX];
static size_t n_owed;
static uint64_t last;

/* The listener is still there, and shows that somebody is waiting. Return: the ticket; negative errno. */
static int buy_ticket(const struct call *c)
{
	struct shim *s = shim_get();
	struct port_claim claim;
	struct port_ref ref;
	struct tag t;
	int fd, r;

	if (tag_get(c->fd, &t) < 0 || t.state != SOCK_LISTENING || sock_claim(s, c->fd, &t, &ref, &claim) < 0)
		return -ENOENT;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = network_path_connect(&s->net, fd, t.host, ref, &claim);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

void owed_put(const struct call *c, int fd, int *ret_ticket)
{
	*ret_ticket = -1;
	if (n_owed < OWED_MAX) {
		context_enter(c->t);
		*ret_ticket = buy_ticket(c);
		context_leave();
	}
	if (*ret_ticket < 0) {
		*ret_ticket = -1;
		close(fd);
		return;
	}
	owed[n_owed++] = (struct owed){sock_cookie(c->fd), last++, fd, *ret_ticket};
}

static void forget(size_t i)
{
	close(owed[i].ticket);
	owed[i] = owed[--n_owed];
}

bool owed_any(void)
{
	return n_owed > 0;
}

int owed_take(int listener)
{
	uint64_t cookie = sock_cookie(listener);
	size_t found = n_owed;
	int fd;

	for (size_t i = 0; i < n_owed; i++)
		if (owed[i].cookie == cookie && (found == n_owed || owed[i].order < owed[found].order))
			found = i;
	if (found == n_owed)
		return -1;
	fd = owed[found].fd;
	forget(found);
	return fd;
}

void owed_sweep(void)
{
	for (size_t i = n_owed; i-- > 0;) {
		struct pollfd p = {.fd = owed[i].ticket};

		if (poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR)) {
			close(owed[i].fd);
			forget(i);
		}
	}
}
