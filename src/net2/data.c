/* src/net2/data.c: data that travels with an address.
 *
 * read(), write(), send() and recv() are the program's own affair and never seen here. Calls that can name
 * a peer are stopped because on UDP the name matters. On a stream of ours they come here for nothing most of
 * the time: without a name and without control octets the kernel does them after all. With one, AF_UNIX
 * would answer what TCP does not:
 *
 *     a name to send to       TCP ignores it (MSG_FASTOPEN: connects); AF_UNIX says EISCONN
 *     room for a name         TCP says nothing; AF_UNIX writes an address of its own kind
 *     control octets          TCP ignores SCM_RIGHTS; AF_UNIX passes descriptors
 *
 * So the octets go through us, at most CHUNK at a time: a receive may be shorter than it was asked for, as
 * any receive from a stream; a send goes on until all has gone, waiting for room in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net2/letters.h"
#include "shim/outside.h"

#define CHUNK 65536
#define IOVECS_MAX 64

/* What the six calls have in common. Addresses are the program's. */
struct message {
	struct iovec iov[IOVECS_MAX];
	size_t n_iov;
	uint64_t name, name_len_at; /* receive: where the name's length goes, 0: nowhere */
	socklen_t name_len;
	uint64_t header; /* of a msghdr, or 0 */
	bool control;
	int flags;
	bool many; /* of recvmmsg, sendmmsg: one message is done, which they may */
};

static uint8_t chunk[CHUNK];

static int take_header(const struct call *c, uint64_t at, struct message *m)
{
	struct msghdr h;

	if (target_read(c->t, at, &h, sizeof(h)) < 0)
		return -EFAULT;
	m->header = at;
	m->name = (uint64_t)(uintptr_t)h.msg_name;
	m->name_len = h.msg_namelen;
	m->name_len_at = at + offsetof(struct msghdr, msg_namelen);
	m->control = h.msg_control && h.msg_controllen;
	if (h.msg_iovlen > 1024)
		return -EMSGSIZE;
	m->n_iov = h.msg_iovlen < IOVECS_MAX ? h.msg_iovlen : IOVECS_MAX;
	return target_read(c->t, (uint64_t)(uintptr_t)h.msg_iov, m->iov, m->n_iov * sizeof(m->iov[0])) < 0 ? -EFAULT
													   : 0;
}

static int take_message(const struct call *c, struct message *m, bool *ret_send)
{
	const uint64_t *a = (const uint64_t *)c->n.data.args;

	*m = (struct message){0};
	*ret_send = false;
	switch (c->n.data.nr) {
	case SYS_sendto:
		*ret_send = true;
		m->name_len = (socklen_t)a[5];
		FALLTHROUGH;
	case SYS_recvfrom:
		m->iov[0] = (struct iovec){(void *)(uintptr_t)a[1], a[2]};
		m->n_iov = 1;
		m->flags = (int)a[3];
		m->name = a[4];
		m->name_len_at = a[5];
		return 0;
	case SYS_sendmsg:
		*ret_send = true;
		FALLTHROUGH;
	case SYS_recvmsg:
		m->flags = (int)a[2];
		return take_header(c, a[1], m);
	case SYS_sendmmsg:
		*ret_send = true;
		FALLTHROUGH;
	case SYS_recvmmsg:
		m->flags = (int)a[3];
		m->many = true;
		return a[2] ? take_header(c, a[1], m) : -EINVAL;
	}
	return -ENOSYS;
}

/* The message's octets from `from` on, at most CHUNK, copied between the program and chunk[]. */
static ssize_t move(const struct call *c, const struct message *m, uint64_t from, size_t len_bytes, bool write)
{
	size_t done = 0;

	for (size_t i = 0; i < m->n_iov && done < len_bytes; i++) {
		uint64_t at = (uint64_t)(uintptr_t)m->iov[i].iov_base;
		size_t part = m->iov[i].iov_len;
		int r;

		if (from >= part) {
			from -= part;
			continue;
		}
		at += from;
		part -= from;
		from = 0;
		if (part > len_bytes - done)
			part = len_bytes - done;
		r = write ? target_write(c->t, at, chunk + done, part) : target_read(c->t, at, chunk + done, part);
		if (r < 0)
			return done && !write ? (ssize_t)done : -EFAULT;
		done += part;
	}
	return (ssize_t)done;
}

static uint64_t total(const struct message *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n_iov; i++)
		n += m->iov[i].iov_len;
	return n;
}

static bool waits(const struct call *c, const struct message *m)
{
	int fl = fcntl(c->fd, F_GETFL);

	return !(m->flags & MSG_DONTWAIT) && fl >= 0 && !(fl & O_NONBLOCK);
}

/* One message of several: its length, and "one". */
static struct reply finish(const struct call *c, const struct message *m, int64_t n)
{
	uint32_t len = (uint32_t)n;

	if (n < 0 || !m->many)
		return reply_value(n);
	if (target_write(c->t, m->header + offsetof(struct mmsghdr, msg_len), &len, sizeof(len)) < 0)
		return reply_value(-EFAULT);
	return reply_value(1);
}

/* --- streams --- */

static struct reply stream_send(struct call *c, const struct message *m)
{
	uint64_t whole = total(m);

	if (m->flags & MSG_FASTOPEN && m->name && !c->done) {
		_Alignas(8) uint8_t octets[128] = {0};
		socklen_t len = m->name_len < sizeof(octets) ? m->name_len : sizeof(octets);
		struct reply r;

		if (target_read(c->t, m->name, octets, len) < 0)
			return reply_value(-EFAULT);
		r = serve_connect_to(c, (const struct sockaddr *)(const void *)octets, m->name_len);
		if (r.kind != REPLY_VALUE || (r.value < 0 && r.value != -EISCONN && r.value != -EINPROGRESS))
			return r;
	}
	do {
		ssize_t got = move(c, m, c->done, CHUNK, false), n;

		if (got < 0)
			return c->done ? finish(c, m, (int64_t)c->done) : reply_value(got);
		n = send(c->fd, chunk, (size_t)got, (m->flags & ~MSG_FASTOPEN) | MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN && waits(c, m))
			return serve_wait(c, POLLOUT, SO_SNDTIMEO);
		if (n < 0 && c->done)
			break;
		if (n < 0 && (errno == EPIPE || errno == ENOTCONN)) {
			if (!(m->flags & MSG_NOSIGNAL))
				target_signal(c->t, SIGPIPE);
			return reply_value(-EPIPE);
		}
		if (n < 0)
			return reply_value(-errno);
		c->done += (uint64_t)n;
	} while (c->done < whole);
	return finish(c, m, (int64_t)c->done);
}

static int give_no_name(const struct call *c, const struct message *m)
{
	static const socklen_t none;
	int r = 0;

	if (m->name && m->name_len_at)
		r = target_write(c->t, m->name_len_at, &none, sizeof(none));
	if (r == 0 && m->header) {
		static const uint64_t no_control;

		r = target_write(c->t, m->header + offsetof(struct msghdr, msg_controllen), &no_control,
				 sizeof(no_control));
		if (r == 0)
			r = target_write(c->t, m->header + offsetof(struct msghdr, msg_flags), &(int){0}, sizeof(int));
	}
	return r;
}

static struct reply stream_receive(struct call *c, const struct message *m)
{
	uint64_t want = total(m);
	ssize_t n = 0;

	if (m->flags & MSG_ERRQUEUE)
		return reply_value(-EAGAIN);
	if (want > CHUNK)
		want = CHUNK;
	n = recv(c->fd, chunk, want, (m->flags & ~(MSG_WAITALL | MSG_TRUNC)) | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN && waits(c, m))
		return serve_wait(c, POLLIN, SO_RCVTIMEO);
	if (n < 0)
		return reply_value(errno == EINVAL ? -ENOTCONN : -errno);
	if (!(m->flags & MSG_TRUNC) && move(c, m, 0, (size_t)n, true) < 0)
		return reply_value(-EFAULT);
	if (give_no_name(c, m) < 0)
		return reply_value(-EFAULT);
	return finish(c, m, n);
}

/* --- datagrams --- */

static struct reply datagram_send(struct call *c, const struct message *m)
{
	_Alignas(8) uint8_t octets[128] = {0};
	ssize_t got;

	if (total(m) > CHUNK)
		return reply_value(-EMSGSIZE);
	if (m->name && (m->name_len > sizeof(octets) || target_read(c->t, m->name, octets, m->name_len) < 0))
		return reply_value(m->name_len > sizeof(octets) ? -EINVAL : -EFAULT);
	got = move(c, m, 0, CHUNK, false);
	if (got < 0 || (uint64_t)got != total(m))
		return reply_value(-EFAULT);
	if (!serve_is_wanted(c->n.id))
		return (struct reply){.kind = REPLY_NONE, .fd = -1};
	return finish(c, m,
		      letters_send(c, chunk, (size_t)got, m->flags,
				   m->name ? (const struct sockaddr *)(const void *)octets : NULL, m->name_len));
}

/* The sender's address, as far as there is room, and its whole length. */
static int give_name(const struct call *c, const struct message *m, const struct letters_name *from)
{
	_Alignas(8) uint8_t octets[128];
	socklen_t room = m->name_len, len = sizeof(octets);
	int r;

	if (!m->name)
		return 0;
	if (!m->header && target_read(c->t, m->name_len_at, &room, sizeof(room)) < 0)
		return -EFAULT;
	if ((int32_t)room < 0)
		return -EINVAL;
	if (!from->known)
		len = 0;
	else if (addr_write(from->family, &from->addr, from->port, (struct sockaddr *)(void *)octets, &len) < 0)
		return -EFAULT;
	r = target_write(c->t, m->name, octets, room < len ? room : len);
	return r < 0 ? r : target_write(c->t, m->name_len_at, &len, sizeof(len));
}

static struct reply datagram_receive(struct call *c, const struct message *m)
{
	struct letters_name from;
	uint64_t room = total(m);
	int64_t n;
	int flags;

	if (m->flags & MSG_ERRQUEUE)
		return reply_value(-EAGAIN);
	n = letters_receive(c, chunk, CHUNK, m->flags, &from);
	if (n == -EAGAIN && waits(c, m))
		return serve_wait(c, POLLIN, SO_RCVTIMEO);
	if (n < 0)
		return reply_value(n);
	if (move(c, m, 0, (uint64_t)n < room ? (size_t)n : room, true) < 0 || give_name(c, m, &from) < 0)
		return reply_value(-EFAULT);
	flags = (uint64_t)n > room ? MSG_TRUNC : 0;
	if (m->header &&
	    (target_write(c->t, m->header + offsetof(struct msghdr, msg_flags), &flags, sizeof(flags)) < 0 ||
	     target_write(c->t, m->header + offsetof(struct msghdr, msg_controllen), &(uint64_t){0}, 8) < 0))
		return reply_value(-EFAULT);
	return finish(c, m, (uint64_t)n < room || m->flags & MSG_TRUNC ? n : (int64_t)room);
}

struct reply data_serve(struct call *c)
{
	struct tag t;
	struct message m;
	bool is_send;
	int r = take_message(c, &m, &is_send);

	if (r < 0)
		return reply_value(r);
	if (tag_get(c->fd, &t) == 0 && t.flags & TAG_UDP && (m.name || !letters_paired(c)))
		return is_send ? datagram_send(c, &m) : datagram_receive(c, &m);
	if (!m.name && !(m.control && is_send) && !(m.flags & (MSG_TRUNC | MSG_ERRQUEUE | MSG_FASTOPEN)))
		return (struct reply){.kind = REPLY_KERNEL, .fd = -1};
	if (!serve_is_wanted(c->n.id))
		return (struct reply){.kind = REPLY_NONE, .fd = -1};
	return is_send ? stream_send(c, &m) : stream_receive(c, &m);
}

/* --- a socket of the kernel's: one that went outside is asked about the other addresses that the program names --- */

struct named {
	struct sockaddr_storage as_is, to; /* to: where it leads really, when that is another */
	socklen_t len;			   /* 0: there is no name */
};

/* Return: 0; 1, n->to is meant; negative errno, refused. */
static int look_at_name(const struct call *c, const struct message *m, struct named *n)
{
	n->len = 0;
	if (!m->name || m->name_len == 0 || m->name_len > sizeof(n->as_is) ||
	    target_read(c->t, m->name, &n->as_is, m->name_len) < 0)
		return 0; /* the kernel says what is wrong with it */
	n->len = m->name_len;
	return outside_name(shim_get(), c->fd, (const void *)&n->as_is, n->len, m->flags, &n->to);
}

/* May all messages of a sendmmsg() after the first go as they are? */
static bool rest_may_go(const struct call *c, uint64_t n_messages)
{
	struct named n;

	for (uint64_t i = 1; i < n_messages && i < 1024; i++) {
		struct message m = {.flags = (int)c->n.data.args[3]};
		struct msghdr h;

		if (target_read(c->t, c->n.data.args[1] + i * sizeof(struct mmsghdr), &h, sizeof(h)) < 0)
			return true; /* the kernel stops there */
		m.name = (uint64_t)(uintptr_t)h.msg_name;
		m.name_len = h.msg_namelen;
		if (look_at_name(c, &m, &n) != 0)
			return false;
	}
	return true;
}

/* The kernel does the call, but for one to the gateway, whose address is another in the kernel, and for several
 * messages of which a later one may not go: then the first alone is sent, from here. */
struct reply data_outside(struct call *c)
{
	struct message m;
	struct named to;
	struct iovec iov = {.iov_base = chunk};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	bool is_send;
	ssize_t n;
	int r = take_message(c, &m, &is_send);

	if (r < 0 || !is_send)
		return (struct reply){.kind = REPLY_KERNEL, .fd = -1};
	r = look_at_name(c, &m, &to);
	if (!serve_is_wanted(c->n.id))
		return (struct reply){.kind = REPLY_NONE, .fd = -1};
	if (r < 0)
		return reply_value(r);
	if (r == 0 && (!m.many || rest_may_go(c, c->n.data.args[2])))
		return (struct reply){.kind = REPLY_KERNEL, .fd = -1};
	if (total(&m) > CHUNK)
		return reply_value(-EMSGSIZE);
	n = move(c, &m, 0, CHUNK, false);
	if (n < 0 || (uint64_t)n != total(&m))
		return reply_value(-EFAULT);
	iov.iov_len = (size_t)n;
	h.msg_name = to.len ? (r ? &to.to : &to.as_is) : NULL;
	h.msg_namelen = to.len;
	n = sendmsg(c->fd, &h, m.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN && waits(c, &m))
		return serve_wait(c, POLLOUT, SO_SNDTIMEO);
	return finish(c, &m, n < 0 ? -errno : n);
}
