/* src/net2/letters.c: UDP for programs that go past libc: a plain pair of datagram sockets, pumped by us.
 *
 *     program's socket ==pair== ours --> udp_sendmsg() --> mailboxes of others
 *                               ours <-- our mailbox for it <-- others; its doorbell is a socket of ours
 *
 * A mailbox's own descriptor would give its doorbell's octet to read(2); a pair gives the datagram. So read, write,
 * send and recv are the kernel's, as on a connected UDP socket. Calls that name an address are stopped: to send, the
 * datagram is taken from the program and sent for it; to receive, it is taken from the program's own end of the
 * pair, and whose it was we know: we have sent it there.
 *
 * Which of those we sent has been taken already? The kernel says how much memory the unread ones hold (SIOCOUTQ), and
 * how much one of a certain length holds was measured once. They are taken in order.
 *
 * At most a quarter of our send buffer is in flight: then the pair is still writable for one of any length, and the
 * kernel tells when it has become so again. All else waits in the mailbox, where SO_RCVBUF is counted.
 *
 * Nothing tells us that the program has closed its end; so we look from time to time (letters_sweep()), with each new
 * socket, and notice at the next datagram.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net2/letters.h"
#include "shim/outside.h"
#include "shim/udp.h"

#define SENT_MAX 256
#define AT_ONCE 64
#define SWEEP_EACH 32 /* new sockets */
#define KEY_BELL (UINT64_C(1) << 63)
#define KEY_PAIR (UINT64_C(1) << 62)

struct sent {
	struct port_addr src;
	uint16_t port;
	uint32_t held_bytes;
};

struct box {
	struct box *next;
	uint64_t cookie; /* of the program's socket */
	struct port_owner owner;
	uint64_t key;
	struct target who;
	int bell, pair;
	uint64_t most_bytes, in_flight_bytes;
	bool full;
	unsigned head, n;
	struct sent sent[SENT_MAX];
};

static struct box *boxes;
static uint8_t letter[LETTERS_MAX];

static struct box *find(uint64_t cookie)
{
	for (struct box *b = boxes; b; b = b->next)
		if (b->cookie == cookie)
			return b;
	return NULL;
}

static struct udp by_bell(const struct box *b)
{
	return (struct udp){.s = &b->who.context->shim, .fd = b->bell, .cookie = b->cookie, .key = b->key};
}

static void unmake(struct box *b)
{
	for (struct box **at = &boxes; *at; at = &(*at)->next)
		if (*at == b) {
			*at = b->next;
			break;
		}
	mailbox_unlink(&b->who.context->shim.net, b->key);
	close(b->bell);
	close(b->pair);
	free(b);
}

/* How much an unread datagram of this length holds: the kernel rounds as it likes. */
static uint32_t held_by(size_t len_bytes)
{
	static uint32_t known[LETTERS_MAX / 64 + 2];
	static int pair[2] = {-1, -1};
	size_t i = (len_bytes + 63) / 64;
	int held = 0;

	if (known[i])
		return known[i];
	if (pair[0] < 0 && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return (uint32_t)len_bytes + 1024;
	sock_grow(pair[0], &(struct tag){0});
	if (send(pair[0], letter, i * 64 < LETTERS_MAX ? i * 64 : LETTERS_MAX, MSG_NOSIGNAL) >= 0 &&
	    ioctl(pair[0], SIOCOUTQ, &held) == 0)
		known[i] = (uint32_t)held;
	(void)recv(pair[1], letter, 1, MSG_TRUNC);
	return known[i] ? known[i] : (uint32_t)len_bytes + 1024;
}

/* Forget those the program has taken. */
static void look(struct box *b)
{
	int held = 0;

	if (b->n == 0 || ioctl(b->pair, SIOCOUTQ, &held) < 0)
		return;
	if (held == 0) {
		b->n = 0;
		b->in_flight_bytes = 0;
	}
	while (b->n && b->in_flight_bytes - b->sent[b->head].held_bytes >= (uint64_t)held) {
		b->in_flight_bytes -= b->sent[b->head].held_bytes;
		b->head = (b->head + 1) % SENT_MAX;
		b->n--;
	}
}

static void watch(struct box *b, bool full)
{
	if (b->full == full)
		return;
	b->full = full;
	letters_watch(b->bell, KEY_BELL | b->cookie, !full, false);
	letters_watch(b->pair, KEY_PAIR | b->cookie, true, full);
}

/* From the mailbox to the program. False: the program is gone, and so is b. */
static bool pump(struct box *b)
{
	struct network *n = &b->who.context->shim.net;
	struct iovec iov = {letter, sizeof(letter)};

	look(b);
	for (int i = 0; i < AT_ONCE; i++) {
		struct letter m;
		ssize_t len;

		if (b->n == SENT_MAX || b->in_flight_bytes > b->most_bytes) {
			watch(b, true);
			return true;
		}
		len = mailbox_take(n, b->key, b->bell, MAILBOX_TAKE, NULL, &m, &iov, 1);
		if (len == -ECOMM) {
			struct udp u = by_bell(b);

			(void)udp_take_error(&u); /* nothing carries it to a program that reads */
			continue;
		}
		if (len < 0) {
			uint8_t octet;

			if (len != -EAGAIN) /* scribbled over, or cut short: its octets are to wake nobody again */
				(void)raw_call(SYS_recvfrom, b->bell, (long)&octet, 1, MSG_DONTWAIT, 0, 0);
			break;
		}
		if (send(b->pair, letter, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == ECONNREFUSED || errno == ENOTCONN || errno == EPIPE) {
				unmake(b);
				return false;
			}
			break; /* lost, as UDP may */
		}
		b->sent[(b->head + b->n++) % SENT_MAX] = (struct sent){m.src, m.src_port, held_by((size_t)len)};
		b->in_flight_bytes += held_by((size_t)len);
	}
	watch(b, false);
	return true;
}

/* What the program wrote without an address goes to its peer. */
static void fetch(struct box *b)
{
	struct udp u = by_bell(b);

	for (int i = 0; i < AT_ONCE; i++) {
		struct iovec iov = {letter, 0};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n = recv(b->pair, letter, sizeof(letter), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			break;
		iov.iov_len = (size_t)n;
		if ((size_t)n <= sizeof(letter))
			(void)udp_sendmsg(&u, &m, MSG_NOSIGNAL); /* what is wrong with it nobody hears */
	}
}

void letters_event(uint64_t key)
{
	struct box *b = find(key & ~(KEY_BELL | KEY_PAIR));

	if (!b)
		return;
	context_enter(&b->who);
	if (key & KEY_PAIR)
		fetch(b);
	(void)pump(b);
	context_leave();
}

bool letters_sweep(void)
{
	struct box *next;

	for (struct box *b = boxes; b; b = next) {
		next = b->next;
		if (network_owner_alive(&b->who.context->shim.net, &b->owner) != NETWORK_DEAD)
			continue;
		context_enter(&b->who);
		unmake(b);
		context_leave();
	}
	return boxes != NULL;
}

/* --- calls --- */

int letters_new(const struct target *t, int domain, int type_flags)
{
	struct tag tag = {.state = SOCK_NEW,
			  .family = domain == AF_INET6 ? PORT_FAMILY_6 : PORT_FAMILY_4,
			  .flags = TAG_UDP,
			  .host = t->context->shim.host.index};
	struct network *n = &t->context->shim.net;
	struct box *b;
	static unsigned n_made;
	int fds[2] = {-1, -1}, r = -ENOMEM, sndbuf = 0;
	socklen_t len = sizeof(sndbuf);

	if (++n_made % SWEEP_EACH == 0) {
		context_leave();
		(void)letters_sweep();
		context_enter(t);
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->who = *t;
	b->bell = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->bell < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) < 0) {
		r = -errno;
		goto fail;
	}
	if (type_flags & SOCK_NONBLOCK)
		(void)sys_fcntl(fds[0], F_SETFL, O_RDWR | O_NONBLOCK);
	sock_grow(fds[0], &tag);
	sock_grow(fds[1], &tag);
	tag_set(fds[0], &tag);
	b->pair = fds[1];
	b->cookie = sock_cookie(fds[0]);
	b->key = mailbox_key(n, b->cookie);
	if (getsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &sndbuf, &len) == 0)
		b->most_bytes = (uint64_t)sndbuf / 4;
	r = shim_owner(&t->context->shim, fds[0], &b->owner);
	if (r == 0)
		r = mailbox_make(n, b->key, b->bell, b->owner.inode, tag.host, tag.family);
	if (r < 0)
		goto fail;
	b->next = boxes;
	boxes = b;
	b->full = true;
	watch(b, false);
	return fds[0];
fail:
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (b->bell >= 0)
		close(b->bell);
	free(b);
	return r;
}

int outside_new_udp(struct shim *s, enum port_family family, int type_flags)
{
	(void)s;
	return letters_new(context_target(), family == PORT_FAMILY_6 ? AF_INET6 : AF_INET, type_flags);
}

bool letters_paired(const struct call *c)
{
	return find(sock_cookie(c->fd)) != NULL;
}

bool letters_pumps(int fd)
{
	uint64_t cookie = sock_cookie(fd);

	for (const struct box *b = boxes; b; b = b->next)
		if (b->bell == fd || b->cookie == cookie)
			return true;
	return false;
}

int64_t letters_send(const struct call *c, const void *octets, size_t len_bytes, int flags, const struct sockaddr *sa,
		     socklen_t sa_len)
{
	struct box *b = find(sock_cookie(c->fd));
	struct udp u = udp_of(shim_get(), c->fd);
	struct iovec iov = {(void *)(uintptr_t)octets, len_bytes};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)sa, .msg_namelen = sa_len, .msg_iov = &iov, .msg_iovlen = 1};
	struct mailbox_state st;
	ssize_t n;
	int r = udp_load(&u, &st);

	if (r == 0)
		r = udp_autobind(&u, &st); /* by the program's own socket: the claim is its */
	if (r < 0)
		return r;
	if (b) { /* errors are marked on what we send by, and the pair must not be */
		int broadcast = 0;
		socklen_t len = sizeof(broadcast);

		if (getsockopt(c->fd, SOL_SOCKET, SO_BROADCAST, &broadcast, &len) == 0)
			(void)setsockopt(b->bell, SOL_SOCKET, SO_BROADCAST, &broadcast, sizeof(broadcast));
		u.fd = b->bell;
	}
	n = udp_sendmsg(&u, &m, flags | MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* A mailbox's own descriptor, which a program with the library has left to this one. */
static int64_t receive_directly(const struct call *c, void *octets, size_t room, int flags, struct letters_name *ret)
{
	struct udp u = udp_of(shim_get(), c->fd);
	struct iovec iov = {octets, room};
	struct letter m;
	ssize_t n =
		mailbox_take(&u.s->net, u.key, u.fd, flags & MSG_PEEK ? MAILBOX_PEEK : MAILBOX_TAKE, NULL, &m, &iov, 1);

	if (n == -ECOMM)
		return -udp_take_error(&u);
	if (n < 0)
		return n == -ENOENT ? -EAGAIN : n;
	ret->known = true;
	ret->addr = m.src;
	ret->port = m.src_port;
	return m.len_bytes;
}

int64_t letters_receive(const struct call *c, void *octets, size_t room, int flags, struct letters_name *ret)
{
	struct box *b = find(sock_cookie(c->fd));
	struct tag t;
	ssize_t n;

	*ret = (struct letters_name){.family = PORT_FAMILY_4};
	if (tag_get(c->fd, &t) == 0)
		ret->family = t.family;
	if (!b)
		return receive_directly(c, octets, room, flags, ret);
	if (!pump(b))
		return -EAGAIN;
	n = recv(c->fd, octets, room, (flags & MSG_PEEK) | MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return -errno;
	if (b->n) {
		ret->known = true;
		ret->addr = b->sent[b->head].src;
		ret->port = b->sent[b->head].port;
	}
	if (!(flags & MSG_PEEK))
		look(b);
	return n;
}
