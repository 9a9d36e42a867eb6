/* src/shim/udp_again.c: a datagram that goes where one went before.
 *
 * Most datagrams are sent from one socket to one address thousands of times. What the first needed (the
 * socket's state, the order of errors, a source address, the receiver's mailbox) holds for the next, while neither
 * the sender's socket nor the sockets of the receiver's host change: both hosts count their changes (network_way).
 * So the letter is kept, with the way it went and the destination as the program wrote it, and a send that
 * looks the same is the mailbox's lock, the octets and three system calls:
 *
 *     getsockopt    which socket is it? and: is the network's table whole (network_ask())
 *     rt_sigprocmask x 2, around the lock; the first looks whether the receiver's mailbox is whole
 *
 * Anything else (ancillary data, flags, corks, many receivers, an error that waits) goes the long way of udp_send.c,
 * which says the errors; so does a datagram whose receiver has gone.
 *
 * A place is read and written by whoever holds its flag; who finds it held goes the long way.
 */
#include <string.h>

#include "shim/udp.h"

#define PLACES 256
#define NAME_MAX_ 28 /* struct sockaddr_in6 */
#define PLAIN_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

struct again {
	_Atomic uint32_t busy;
	uint32_t name_len; /* 0: the socket's peer */
	uint64_t cookie;   /* 0: free */
	struct network_way way;
	struct letter m;
	uint8_t name[NAME_MAX_];
};
static struct again places[PLACES];

static struct again *place_of(const struct udp *u, const struct msghdr *m)
{
	uint64_t h = u->cookie, v;

	if (m->msg_name && m->msg_namelen >= sizeof(v)) { /* family, port, and an IPv4 address */
		memcpy(&v, m->msg_name, sizeof(v));
		h += v * 3;
	}
	return &places[(h * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}
static_assert(PLACES == 256, "eight bits");

static bool hold(struct again *a)
{
	uint32_t none = 0;

	return atomic_compare_exchange_strong_explicit(&a->busy, &none, 1, memory_order_acquire, memory_order_relaxed);
}

static void drop(struct again *a)
{
	atomic_store_explicit(&a->busy, 0, memory_order_release);
}

static bool same_name(const struct again *a, const struct msghdr *m)
{
	if (!m->msg_name)
		return a->name_len == 0;
	return m->msg_namelen == a->name_len && memcmp(m->msg_name, a->name, a->name_len) == 0;
}

bool udp_again(const struct udp *u, const struct msghdr *m, int flags, size_t len)
{
	struct again *a = place_of(u, m);
	struct network_way way;
	struct timespec now;
	struct letter l;
	bool known;

	if (!u->looked || flags & ~PLAIN_FLAGS || m->msg_controllen || atomic_load(&udp_corks) || !hold(a))
		return false;
	known = a->cookie == u->cookie && same_name(a, m) && network_way_holds(&u->s->net, &a->way);
	if (known) {
		way = a->way;
		l = a->m;
	}
	drop(a);
	if (!known || len > (port_addr_is4(&l.dst) ? MAILBOX_UDP4_MAX : MAILBOX_UDP6_MAX))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	l.at_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
	l.len_bytes = (uint32_t)len;
	return network_way_send(&u->s->net, &way, u->fd, &l, m->msg_iov, m->msg_iovlen) == 0;
}

void udp_remember(const struct udp *u, const struct mailbox_state *st, uint64_t epoch, const struct msghdr *m,
		  const struct letter *l)
{
	struct again *a = place_of(u, m);
	struct network_way way;

	if (m->msg_controllen || m->msg_namelen > NAME_MAX_ || st->err || l->segment ||
	    !network_way_of(st->host, epoch, l, &way) || !hold(a))
		return;
	a->cookie = u->cookie;
	a->name_len = m->msg_name ? m->msg_namelen : 0;
	if (a->name_len)
		memcpy(a->name, m->msg_name, a->name_len);
	a->way = way;
	a->m = *l;
	drop(a);
}
