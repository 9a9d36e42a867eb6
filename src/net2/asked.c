/* src/net2/asked.c: what the shim asks of the supervisor (network/ask.h).
 *
 * Where a program cannot do for itself what berth needs (after chroot, as another user, without a descriptor), its shim makes a
 * control call whose arguments mean a question. Everything in a question is as little trusted as any program's memory: it is
 * copied once, names lead nowhere but into the network's folder, and what is done is done on the program's own descriptor.
 */
#include "net2/asked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net2/echo.h"
#include "net2/ferry.h"
#include "net2/outer.h"
#include "net2/shim_calls.h"
#include "network/reach.h"

/* What the question says. False: it is not of that size, or cannot be read. */
static bool take(const struct call *c, void *ret, size_t size_bytes)
{
	return c->n.data.args[4] == size_bytes && target_read(c->t, c->n.data.args[3], ret, size_bytes) >= 0;
}

static struct reply serve_join(struct call *c)
{
	static struct ask_join j;
	struct target_state s;
	struct context *new;
	int r;

	if (!take(c, &j, sizeof(j)))
		return reply_value(-EFAULT);
	if (target_look(c->t->tid, &s) < 0 || !serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	new = context_new(&j, s.euid);
	if (!new)
		return reply_value(-ENOENT);
	r = target_anchor(c->t, new);
	return reply_value(r);
}

/* "table", "s/xyz": a name in the network's folder or in s/, and nothing that leads elsewhere. */
static bool leaf_ok(const char *leaf, size_t size_bytes)
{
	const char *s = leaf;

	if (!memchr(leaf, 0, size_bytes))
		return false;
	if (strncmp(s, "s/", 2) == 0)
		s += 2;
	if (*s == '\0' || *s == '.')
		return false;
	return strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") == strlen(s);
}

/* On the program's own descriptor. */
static struct reply serve_at_path(struct call *c, enum ask what, const struct ask_path *p)
{
	const struct network *n = &c->t->context->shim.net;
	bool may_block;
	int r;

	c->fd = target_fd(c->t, p->fd);
	if (c->fd < 0)
		return reply_value(c->fd);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	if (what != ASK_CONNECT)
		return reply_value(what == ASK_BIND ? reach_bind(n, c->fd, p->leaf) : reach_ring(n, c->fd, p->leaf));
	may_block = !serve_is_nonblocking(c->fd);
	if (may_block)
		serve_guard(true);
	r = reach_connect(n, c->fd, p->leaf);
	if (may_block)
		serve_guard(false);
	return r == -EINTR && may_block ? serve_wait(c, 0, SO_SNDTIMEO) : reply_value(r);
}

static struct reply serve_path(struct call *c, enum ask what)
{
	const struct network *n = &c->t->context->shim.net;
	const int64_t flags = O_ACCMODE | O_CREAT | O_EXCL | O_NONBLOCK;
	struct ask_path p;
	int r;

	if (!take(c, &p, sizeof(p)))
		return reply_value(-EFAULT);
	if (!leaf_ok(p.leaf, sizeof(p.leaf)) || (what == ASK_LINK && !leaf_ok(p.leaf2, sizeof(p.leaf2))) ||
	    p.flags & ~flags)
		return reply_value(-EINVAL);
	if (what == ASK_BIND || what == ASK_CONNECT || what == ASK_RING)
		return serve_at_path(c, what, &p);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	if (what == ASK_UNLINK)
		return reply_value(reach_unlink(n, p.leaf));
	if (what == ASK_LINK)
		return reply_value(reach_link(n, p.leaf, p.leaf2));
	/* Whatever somebody has put there in the file's place (a FIFO): we do not wait for it. */
	r = reach_open(n, p.leaf, (int)p.flags | O_NONBLOCK, p.mode & 0600);
	return r < 0 ? reply_value(r) : reply_socket(r, true);
}

static struct reply serve_echo(struct call *c)
{
	struct ask_path p;
	struct tag t;
	bool may_block;
	int r;

	if (!take(c, &p, sizeof(p)))
		return reply_value(-EFAULT);
	c->fd = target_fd(c->t, p.fd);
	if (c->fd < 0)
		return reply_value(c->fd);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	if (tag_get(c->fd, &t) < 0 || t.flags & TAG_UDP)
		return reply_value(-EINVAL);
	may_block = !serve_is_nonblocking(c->fd);
	if (may_block)
		serve_guard(true);
	r = echo_connect(&c->t->context->shim.net, c->fd);
	if (may_block)
		serve_guard(false);
	return reply_value(r);
}

/* A stream of the kernel's: what is relayed to one of ours would come back for ever. */
static bool is_kernels_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
	       (domain == AF_INET || domain == AF_INET6);
}

static struct reply serve_ferry(struct call *c)
{
	struct ask_ferry a;
	struct tag t;
	bool may_block;
	int out, r;

	if (!take(c, &a, sizeof(a)))
		return reply_value(-EFAULT);
	c->fd = target_fd(c->t, a.fd);
	if (c->fd < 0)
		return reply_value(c->fd);
	if (tag_get(c->fd, &t) < 0 || t.flags & TAG_UDP)
		return reply_value(-EINVAL);
	if (a.out < 0)
		return reply_value(ferry_is_shared(c->t, a.fd, c->fd));
	out = target_fd(c->t, a.out);
	if (out < 0)
		return reply_value(out);
	if (!serve_is_wanted(c->n.id) || !is_kernels_stream(out)) {
		close(out);
		return serve_is_wanted(c->n.id) ? reply_value(-EINVAL) : reply_plain(REPLY_NONE);
	}
	may_block = !serve_is_nonblocking(c->fd);
	if (may_block)
		serve_guard(true);
	r = ferry_begin(&c->t->context->shim.net, c->fd, out);
	if (may_block)
		serve_guard(false);
	if (r < 0)
		close(out);
	return reply_value(r);
}

static struct reply serve_outer(struct call *c)
{
	struct ask_outer a;
	int r;

	if (!take(c, &a, sizeof(a)))
		return reply_value(-EFAULT);
	c->fd = target_fd(c->t, a.fd);
	if (c->fd < 0)
		return reply_value(c->fd);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	if (a.outer < 0) {
		r = outer_of(c->fd);
		return r < 0 ? reply_value(r) : reply_socket(r, true);
	}
	r = target_fd(c->t, a.outer);
	return reply_value(r < 0 ? r : outer_put(c->t, a.fd, c->fd, r));
}

/* A published port's caller, for whom the program has no second descriptor (shim/published.c). */
static struct reply serve_take(struct call *c)
{
	struct ask_path p;
	int fd, r;

	if (!take(c, &p, sizeof(p)))
		return reply_value(-EFAULT);
	c->fd = target_fd(c->t, p.fd);
	if (c->fd < 0)
		return reply_value(c->fd);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	fd = published_receive(c->fd, SOCK_CLOEXEC);
	if (fd < 0)
		return reply_value(fd);
	r = published_is_stream(fd) ? serve_replace_fd(c->n.id, fd, p.fd, p.mode & 1) : -EINVAL;
	close(fd);
	return reply_value(r);
}

struct reply asked_serve(struct call *c)
{
	serve_counts.n_asked += !c->again;
	c->asked = true;
	switch ((enum ask)c->n.data.args[2]) {
	case ASK_HELLO:
		return reply_value(0);
	case ASK_JOIN:
		return serve_join(c);
	case ASK_COUNTS:
		if (c->n.data.args[4] != sizeof(serve_counts))
			return reply_value(-EINVAL);
		return reply_value(target_write(c->t, c->n.data.args[3], &serve_counts, sizeof(serve_counts)));
	case ASK_OPEN:
	case ASK_BIND:
	case ASK_CONNECT:
	case ASK_RING:
	case ASK_UNLINK:
	case ASK_LINK:
		return serve_path(c, (enum ask)c->n.data.args[2]);
	case ASK_ECHO:
		return serve_echo(c);
	case ASK_FERRY:
		return serve_ferry(c);
	case ASK_OUTER:
		return serve_outer(c);
	case ASK_TAKE:
		return serve_take(c);
	}
	return reply_value(-ENOSYS);
}
