/* src/shim/udp.c: UDP sockets: made, bound, connected, named, shut down.
 *
 *     socket()    an AF_UNIX datagram socket and its tag; nothing else yet
 *     bind()      its mailbox, then a claim in the host's table (in this order: a claim that can be found has
 *                 a mailbox), then its addresses into the mailbox
 *     connect()   a port if it has none; the claim gets a peer; the mailbox too. Nothing is sent
 *     AF_UNSPEC   the claim gets its address back, or is released when its port was chosen
 *
 * The claim decides what is received; the mailbox's state says what names are shown and where send() goes.
 * Two threads that connect one socket at once may leave one's claim with the other's names, until the next
 * connect(); Linux locks the socket here.
 */
#include <string.h>
#include <sys/stat.h>

#include "network/policy.h"
#include "network/publish.h"
#include "shim/outside.h"
#include "shim/udp.h"

#define TIDY_EVERY 32
#define AWAIT_TURNS 100
#define AWAIT_TURN_US 100
#define KNOWN 1024
static _Atomic uint64_t known[KNOWN]; /* cookies of UDP sockets, so that the tag need not be read each time */

bool udp_check(int fd, struct udp *ret)
{
	uint64_t word = fdset_word(fd);
	struct tag t;
	int r;

	ret->s = shim_get();
	if (!ret->s)
		return false;
	ret->fd = fd;
	ret->looked = false;
	if (confined()) { /* the bit must do: udp_plain() makes the call, and says when it was wrong */
		ret->cookie = ret->key = 0;
		return true;
	}
	ret->looked = network_ask(&ret->s->net, fd, &ret->cookie);
	if (ret->cookie == 0) {
		fdset_remove(fd, word);
		return false;
	}
	if (atomic_load_explicit(&known[ret->cookie % KNOWN], memory_order_relaxed) != ret->cookie) {
		r = tag_get(fd, &t);
		if (r < 0 || !(t.flags & TAG_UDP)) {
			fdset_remove(fd, word);
			return false;
		}
		atomic_store_explicit(&known[ret->cookie % KNOWN], ret->cookie, memory_order_relaxed);
	}
	ret->key = mailbox_key(&ret->s->net, ret->cookie);
	return true;
}

bool udp_was_none(const struct udp *u, ssize_t n)
{
	if (n >= 0 || errno != ENOTSOCK || !confined())
		return false;
	fdset_remove(u->fd, fdset_word(u->fd));
	return true;
}

ssize_t udp_plain(long nr, int fd, const void *m, long a, long b, long c)
{
	long r = raw_call(nr, fd, (long)m, a, b, c, 0);

	return r < 0 ? shim_ret((int)r) : r;
}

int udp_new(struct shim *s, enum port_family family, int type_flags)
{
	struct tag t = {.state = SOCK_NEW, .family = family, .flags = TAG_UDP, .host = s->host.index};
	int fd;

	if (s->err)
		return s->err;
	fd = sys_socket(AF_UNIX, SOCK_DGRAM | type_flags, 0);
	if (fd < 0)
		return fd;
	sock_grow(fd, &t);
	tag_set(fd, &t);
	fdset_add(fd);
	return fd;
}

#ifndef BERTH_NET2
int outside_new_udp(struct shim *s, enum port_family family, int type_flags)
{
	return udp_new(s, family, type_flags);
}
#endif

/* --- the mailbox --- */

int udp_peek(const struct udp *u, struct mailbox_state *ret)
{
	return mailbox_load(&u->s->net, u->key, ret);
}

static int make(const struct udp *u)
{
	struct tag t;
	struct stat st;
	int r = tag_get(u->fd, &t);

	if (r == 0)
		r = raw_fstat(u->fd, &st);
	if (r < 0)
		return r;
	r = mailbox_make(&u->s->net, u->key, u->fd, st.st_ino, t.host, t.family);
	if (r == -ENOENT) /* the network's folder is gone */
		return -ENETDOWN;
	return r == -ENOSPC || r == -EDQUOT || r == -EFBIG || r == -EMFILE || r == -ENFILE ? -ENOBUFS : r;
}

int udp_load(const struct udp *u, struct mailbox_state *ret)
{
	int r = udp_peek(u, ret);

	if (r != -ENOENT && r != -EUCLEAN)
		return r;
	r = make(u);
	return r < 0 ? r : udp_peek(u, ret);
}

int udp_change(const struct udp *u, int (*change)(void *ctx, struct mailbox_state *s), void *ctx)
{
	int r = mailbox_change(&u->s->net, u->key, change, ctx);

	if (r != -ENOENT)
		return r;
	r = make(u);
	return r < 0 ? r : mailbox_change(&u->s->net, u->key, change, ctx);
}

void udp_host(const struct udp *u, const struct mailbox_state *st, struct network_host *ret)
{
	/* A socket that was passed from a program on another host stays on that host. */
	if (st->host == u->s->host.index || network_host_at(&u->s->net, st->host, ret) < 0)
		*ret = u->s->host;
}

/* The socket's claim; looked for when the table was made anew and the tag names an old slot. */
static int claim_of(const struct udp *u, const struct tag *t, const struct mailbox_state *st, struct port_ref *ret,
		    struct port_claim *ret_claim)
{
	if (sock_claim(u->s, u->fd, t, ret, ret_claim) == 0)
		return 0;
	return st->port ? network_udp_claim(&u->s->net, t->host, st->port, u->cookie, ret, ret_claim) : -ESTALE;
}

/* --- bind --- */

struct names {
	struct port_addr bound, local, peer;
	uint16_t port, peer_port;
	bool connected;
	const struct port_claim *claim; /* NULL: as it was */
};

static int set_names(void *ctx, struct mailbox_state *s)
{
	const struct names *n = ctx;

	s->bound = n->bound;
	s->local = n->local;
	s->peer = n->peer;
	s->port = n->port;
	s->peer_port = n->peer_port;
	s->connected = n->connected;
	if (n->claim) {
		s->claim_flags = n->claim->flags;
		s->uid = n->claim->uid;
		s->dev = n->claim->dev;
	}
	return 0;
}

static struct names names_of(const struct mailbox_state *st)
{
	return (struct names){st->bound, st->local, st->peer, st->port, st->peer_port, st->connected, NULL};
}

static void claimed(const struct udp *u, struct tag *t, enum sock_state state, uint32_t slot)
{
	t->state = state;
	t->slot = slot;
	t->flags |= TAG_CLAIM;
	tag_set(u->fd, t);
	network_udp_changed(&u->s->net, t->host);
}

/* A claim for want, its names into the mailbox. *st is brought up to date. */
static int claim(const struct udp *u, struct tag *t, struct port_want *want, struct mailbox_state *st, bool explain)
{
	struct port_ref have = PORT_REF_NONE, ref;
	struct port_refusal refusal = {0};
	struct port_claim c;
	struct names n;
	int r;

	(void)!claim_of(u, t, st, &have, &c);
	r = network_bind(&u->s->net, t->host, have, want, &ref, &refusal);
	if (r < 0) {
		if (explain && (r == -EADDRINUSE || r == -EACCES || r == -EADDRNOTAVAIL || r == -ETIMEDOUT))
			shim_event(u->s, r == -ETIMEDOUT ? 'k' : 'b', want, &refusal);
		return r;
	}
	r = network_get_slot(&u->s->net, t->host, ref.slot, &ref, &c);
	if (r < 0)
		return r;
	n = (struct names){.bound = want->addr, .local = want->addr, .port = c.port, .claim = &c};
	r = mailbox_change(&u->s->net, u->key, set_names, &n);
	if (r < 0) {
		(void)!network_release(&u->s->net, t->host, ref);
		return r;
	}
	st->bound = st->local = want->addr;
	st->port = c.port;
	claimed(u, t, SOCK_BOUND, ref.slot);
	if (u->key % TIDY_EVERY == 0)
		network_udp_tidy(&u->s->net, t->host, u->key / TIDY_EVERY);
	return 0;
}

/* A port that is published is heard from outside when its publisher has seen that it is bound: until then, if it is there
 * and quick, bind() has not ended, so that who is told of the port finds it open. */
static void await_publisher(const struct udp *u, const struct mailbox_state *was, uint32_t host, uint16_t port)
{
#ifdef BERTH_NET2 /* others wait for us */
	(void)u;
	(void)was;
	(void)host;
	(void)port;
#else
	struct mailbox_state st;

	if (port == 0 || udp_is_published(was) || !network_publish_has(&u->s->net, PORT_UDP, host, port))
		return;
	for (int i = 0; i < AWAIT_TURNS && udp_peek(u, &st) == 0 && !udp_is_published(&st); i++)
		raw_sleep_us(AWAIT_TURN_US);
	raw_sleep_us(AWAIT_TURN_US); /* it opens the door next */
#endif
}

int udp_bind(const struct udp *u, const struct sockaddr *sa, socklen_t len)
{
	struct mailbox_state st;
	struct port_want want;
	struct tag t;
	int r = tag_get(u->fd, &t);

	if (r == 0)
		r = sock_check_addr(t.family, sa, len);
	if (r == 0)
		r = sock_want(u->s, u->fd, &t, &want);
	if (r < 0)
		return r;
	addr_read(t.family, sa, len, &want.addr, &want.port);
	if (want.port && shim_privileged(u->s))
		want.flags |= PORT_PRIVILEGED;
	r = udp_load(u, &st);
	if (r < 0)
		return r;
	if (want.port == 0 && t.flags & TAG_NOPORT && st.port == 0) {
		struct names n = {.bound = want.addr, .local = want.addr};
		struct port_refusal refusal;

		r = network_probe(&u->s->net, t.host, &want, false, &refusal);
		return r < 0 ? r : mailbox_change(&u->s->net, u->key, set_names, &n);
	}
	r = claim(u, &t, &want, &st, true);
	if (r == 0)
		await_publisher(u, &st, t.host, want.port);
	return r;
}

int udp_autobind(const struct udp *u, struct mailbox_state *st)
{
	struct port_want want;
	struct tag t;
	int r;

	if (st->port)
		return 0;
	r = tag_get(u->fd, &t);
	if (r == 0)
		r = sock_want(u->s, u->fd, &t, &want);
	if (r < 0)
		return r;
	want.addr = st->bound;
	want.flags |= PORT_FREEBIND; /* bind() judged the address when it was given */
	r = claim(u, &t, &want, st, false);
	if (r == -EINVAL) /* another thread's send was faster */
		r = udp_peek(u, st) == 0 && st->port ? 0 : -EAGAIN;
	return r == -EADDRINUSE ? -EAGAIN : r;
}

/* --- addresses --- */

static bool usable_source(const struct port_addr *a)
{
	return !port_addr_is_any(a) && !port_addr_is_multicast(a);
}

int udp_source(const struct udp *u, const struct mailbox_state *st, const struct port_addr *dst, struct port_addr *ret)
{
	bool v4 = port_addr_is4(dst), many = port_addr_is_multicast(dst) || network_is_broadcast(&u->s->net, dst);
	struct network_host h, to;
	int32_t iface = udp_opt(st, UDP_OPT_MC_IF);

	udp_host(u, st, &h);
	if (!usable_source(&st->local) || network_is_broadcast(&u->s->net, &st->local)) {
		if (port_addr_is_loopback(dst))
			*ret = v4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
		else
			*ret = v4 ? h.addr4 : h.addr6;
		if (v4 && port_addr_is_multicast(dst) && iface)
			memcpy(ret->b + 12, &iface, 4);
		return 0;
	}
	*ret = st->local;
	if (port_addr_is_loopback(&st->local) && !port_addr_is_loopback(dst) && !many &&
	    network_covers(&u->s->net, dst) && !network_is_gateway(&u->s->net, dst) &&
	    (network_host_by_addr(&u->s->net, h.index, dst, &to) < 0 || to.index != h.index))
		return -EINVAL;
	return 0;
}

int udp_read_dest(const struct udp *u, const struct mailbox_state *st, const struct sockaddr *sa, socklen_t len,
		  bool connect, struct port_addr *ret, uint16_t *ret_port)
{
	bool v6 = st->family == PORT_FAMILY_6, only6 = false;
	enum port_family f = PORT_FAMILY_4;
	struct tag t;

	if (v6 && tag_get(u->fd, &t) == 0)
		only6 = t.flags & TAG_V6ONLY;
	if (v6 && len < sizeof(sa->sa_family))
		return -EINVAL;
	if (!v6 || sa->sa_family == AF_INET) {
		if (v6 && only6)
			return connect ? -EAFNOSUPPORT : -ENETUNREACH;
		if (len < sizeof(struct sockaddr_in))
			return -EINVAL;
		if (sa->sa_family != AF_INET && (connect || sa->sa_family != AF_UNSPEC))
			return -EAFNOSUPPORT;
	} else {
		if (sa->sa_family != AF_INET6)
			return connect ? -EAFNOSUPPORT : -EINVAL;
		if (len < offsetof(struct sockaddr_in6, sin6_scope_id))
			return -EINVAL;
		f = PORT_FAMILY_6;
	}
	addr_read(f, sa, len, ret, ret_port);
	if (f == PORT_FAMILY_6 && port_addr_is4(ret) && only6)
		return -ENETUNREACH;
	if (port_addr_is_any(ret)) { /* "this host": the kernel means the loopback */
		bool as4 = port_addr_is4(ret) || port_addr_is4(&st->local);

		*ret = as4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
	}
	if (!connect && *ret_port == 0)
		return -EINVAL;
	if (connect && f == PORT_FAMILY_6 && port_addr_is_linklocal6(ret) && !ret->scope)
		return -EINVAL;
	/* A socket bound to an address of one family does not speak the other. */
	if (v6 && !port_addr_is_any(&st->local) && port_addr_is4(&st->local) != port_addr_is4(ret))
		return port_addr_is4(ret) ? -ENETUNREACH : -EAFNOSUPPORT;
	return 0;
}

void udp_unreachable(const struct udp *u, const struct port_addr *dst, uint16_t port)
{
	struct port_refusal refusal = {.err = -ENETUNREACH};
	struct port_want want;
	struct tag t;

	if (tag_get(u->fd, &t) < 0 || sock_want(u->s, u->fd, &t, &want) < 0)
		return;
	want.addr = *dst;
	want.port = port;
	shim_event(u->s, 'c', &want, &refusal);
}

/* --- connect --- */

static int disconnect(const struct udp *u)
{
	struct mailbox_state st;
	struct port_claim c;
	struct port_ref ref;
	struct names n;
	struct tag t;
	bool chosen;
	int r = udp_load(u, &st);

	if (r == 0)
		r = tag_get(u->fd, &t);
	if (r < 0)
		return r;
	n = names_of(&st);
	n.connected = false;
	n.peer = (struct port_addr){0};
	n.peer_port = 0;
	n.local = n.bound;
	if (claim_of(u, &t, &st, &ref, &c) == 0) {
		chosen = c.flags & PORT_AUTOBOUND;
		r = network_disconnect(&u->s->net, t.host, ref, &n.bound);
		if (r < 0)
			return r;
		if (chosen)
			t.flags &= (uint16_t)~TAG_CLAIM;
		t.slot = chosen ? 0 : t.slot;
		t.state = chosen ? SOCK_NEW : SOCK_BOUND;
		n.port = chosen ? 0 : n.port;
		tag_set(u->fd, &t);
	}
	return mailbox_change(&u->s->net, u->key, set_names, &n);
}

int udp_way(const struct udp *u, const struct port_addr *dst, uint16_t port)
{
	int32_t may = 0;
	socklen_t len = sizeof(may);

	if (network_is_broadcast(&u->s->net, dst)) {
		(void)sys_getsockopt(u->fd, SOL_SOCKET, SO_BROADCAST, &may, &len);
		return may ? 0 : -EACCES;
	}
	if (port_addr_is_multicast(dst) || port_addr_is_loopback(dst))
		return 0;
	if (network_covers(&u->s->net, dst))
		return 0;
	udp_unreachable(u, dst, port);
	return -ENETUNREACH;
}

/* What the socket is, or would be had it a mailbox. */
static int peek_or_new(const struct udp *u, struct mailbox_state *ret)
{
	int r = udp_peek(u, ret);
	struct tag t;

	if (r != -ENOENT)
		return r;
	r = tag_get(u->fd, &t);
	if (r == 0)
		*ret = (struct mailbox_state){.family = (uint8_t)t.family, .local = addr_any(t.family)};
	return r;
}

int udp_connect(const struct udp *u, const struct sockaddr *sa, socklen_t len)
{
	struct port_addr peer, source;
	struct port_refusal refusal;
	struct mailbox_state st;
	struct port_want want;
	struct port_claim c;
	struct port_ref ref;
	uint16_t peer_port;
	struct names n;
	struct tag t;
	bool caller; /* of the port, which is published: the mailbox stays */
	int r;

	if ((int)len < 0 || len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (len && !sa)
		return -EFAULT;
	if (len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_UNSPEC)
		return disconnect(u);
	r = peek_or_new(u, &st);
	caller = r == 0 && udp_is_published(&st);
	if (r == 0 && udp_read_dest(u, &st, sa, len, true, &peer, &peer_port) == 0 &&
	    ((udp_is_outside(u, &peer) && !caller) || nameserver_is(u->s, PORT_UDP, &peer, peer_port))) {
		r = udp_may_leave(u, &st, &peer, peer_port);
		return r < 0 ? r : outside_connect_udp(u, &st, &peer, sa, len);
	}
	r = udp_load(u, &st);
	if (r == 0)
		r = udp_autobind(u, &st);
	if (r == 0)
		r = udp_read_dest(u, &st, sa, len, true, &peer, &peer_port);
	caller = caller && r == 0 && udp_is_outside(u, &peer);
	if (r == 0 && !caller)
		r = udp_way(u, &peer, peer_port);
	source = st.local;
	if (r == 0 && !(caller && port_addr_is_loopback(&st.local)))
		r = udp_source(u, &st, &peer, &source);
	if (r == 0)
		r = tag_get(u->fd, &t);
	if (r == 0)
		r = sock_want(u->s, u->fd, &t, &want);
	if (r == 0)
		r = claim_of(u, &t, &st, &ref, &c) < 0 ? -EAGAIN : 0;
	if (r < 0)
		return r;
	r = network_connect(&u->s->net, t.host, &ref, &want, &source, &peer, peer_port, &refusal);
	if (r < 0)
		return r;
	n = names_of(&st);
	if (port_addr_is_any(&n.local))
		n.local = source;
	n.peer = peer;
	n.peer_port = peer_port;
	n.connected = true;
	r = mailbox_change(&u->s->net, u->key, set_names, &n);
	claimed(u, &t, SOCK_CONNECTED, ref.slot);
	return r;
}

/* --- names, shutdown --- */

int udp_name(const struct udp *u, bool peer, struct sockaddr *sa, socklen_t *len)
{
	struct mailbox_state st;
	int r = peek_or_new(u, &st);

	if (r < 0)
		return r;
	if (peer && (!st.connected || !st.peer_port))
		return -ENOTCONN;
	return addr_write((enum port_family)st.family, peer ? &st.peer : &st.local, peer ? st.peer_port : st.port, sa,
			  len);
}

static int set_shut(void *ctx, struct mailbox_state *s)
{
	s->shut |= *(const uint8_t *)ctx;
	return 0;
}

int udp_shutdown(const struct udp *u, int how)
{
	uint8_t shut = how == SHUT_RDWR ? 1 << SHUT_RD | 1 << SHUT_WR : (uint8_t)(1 << (how & 1));
	struct mailbox_state st;
	struct tag t;
	int r;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	r = tag_get(u->fd, &t);
	if (r < 0)
		return r;
	if (how != SHUT_WR)
		t.flags |= TAG_SHUT_RD;
	if (how != SHUT_RD)
		t.flags |= TAG_SHUT_WR;
	tag_set(u->fd, &t);
	r = udp_change(u, set_shut, &shut);
	if (r < 0)
		return r;
	(void)sys_shutdown(u->fd, how); /* wakes who waits, and poll() shows it */
	return udp_peek(u, &st) == 0 && st.connected ? 0 : -ENOTCONN;
}
