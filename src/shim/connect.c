/* src/shim/connect.c: connect, as TCP on a loopback does it.
 *
 *   1. what the call says: lengths, families, states (EISCONN, EALREADY's kin), in the kernel's order
 *   2. the destination is a host's address, or outside (outside.c), or nobody's: ENETUNREACH and an explanation
 *   3. somebody listens there, or ECONNREFUSED; nothing was claimed yet
 *   4. a claim for the flow, in our host's table, which chooses the port and arbitrates the four-tuple
 *   5. the socket is bound to the flow's name, which tells both ends the four-tuple
 *   6. connect(2) to the listener's path. It may wait for room in the backlog, as TCP's may
 *
 * A bound socket that connects to its own address and port asks no listener: the supervisor's socket is its peer.
 *
 * AF_UNIX binds a socket once. So 3 comes before 5, and when the listener dies between them and
 * another one serves the port, 6 is tried again under the same name. A socket whose flow has to
 * change its name (an interrupted connect() followed by one to somebody else; AF_UNSPEC) is replaced
 * by a new one on the same descriptor (swap.c).
 *
 * A non-blocking connect() says EINPROGRESS even though all is done, because that is what TCP says on
 * a loopback and what event loops are written for; setting SO_SNDBUF to what it is already raises the
 * edge that an edge-triggered epoll waits for.
 */
#include <string.h>

#include "shim/gone.h"
#include "shim/outside.h"
#include "shim/shim.h"
#include "shim/spin.h"
#include "shim/udp.h"

#define LISTENERS_MAX 64 /* dead ones we bury in one connect() */
#define NAMES_MAX 16	 /* ports we try when the name of the flow is taken */

/* The program knows of the refusal: what was only shown until then is forgotten. */
static void told(struct tag *t)
{
	t->state = t->flags & TAG_CLAIM ? SOCK_BOUND : SOCK_NEW;
	if (!(t->flags & TAG_CLAIM) && t->slot & LATE_PASSING)
		t->slot &= ~(LATE_CODE | LATE_PASSING);
}

/* The socket has a name, or is shut down, and must be as it was: a new one on the same descriptor, with the
 * claim as bind() left it. */
static int rename_socket(struct shim *s, int fd, struct tag *t)
{
	struct port_claim c;
	struct port_ref ref;
	struct port_addr any = addr_any(t->family), unused;
	uint16_t port = 0;
	bool had = sock_claim(s, fd, t, &ref, &c) == 0;
	int r;

	if (!had && sock_name(s, fd, t, false, &unused, &port) < 0)
		port = 0;
	r = sock_replace(fd, t);
	if (r < 0)
		return r;
	if (had)
		sock_undo(s, fd, t, ref, &c);
	else
		sock_unclaimed(s, t, &any, port);
	return 0;
}

/* connect() to AF_UNSPEC: TCP forgets the connection and what connect() or bind() chose. */
static int disconnect(struct shim *s, int fd, struct tag *t)
{
	int r;

	switch (t->state) {
	case SOCK_NEW:
	case SOCK_BOUND:
		return 0;
	case SOCK_REFUSED:
	case SOCK_ABORTED:
		told(t);
		tag_set(fd, t);
		return 0;
	case SOCK_LISTENING:
	case SOCK_CONNECTING:
	case SOCK_CONNECTED:
	case SOCK_ACCEPTED:
		break;
	}
	sys_shutdown(fd, SHUT_RDWR);
	r = rename_socket(s, fd, t);
	if (r == 0)
		tag_set(fd, t);
	return r;
}

/* The destination. Return: 0; negative errno. */
static int read_peer(const struct tag *t, const struct sockaddr *sa, socklen_t len, const struct port_claim *bound,
		     struct port_addr *ret, uint16_t *ret_port)
{
	bool v6 = t->family == PORT_FAMILY_6;

	if (len < (v6 ? offsetof(struct sockaddr_in6, sin6_scope_id) : sizeof(struct sockaddr_in)))
		return -EINVAL;
	if (sa->sa_family != (v6 ? AF_INET6 : AF_INET))
		return -EAFNOSUPPORT;
	addr_read(t->family, sa, len, ret, ret_port);
	if (port_addr_is_any(ret)) { /* "this host": the kernel means the loopback */
		bool as4 = port_addr_is4(ret) || (bound && port_addr_is4(&bound->addr));

		*ret = as4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
	}
	if (port_addr_is_multicast(ret))
		return -ENETUNREACH;
	if (v6 && port_addr_is_linklocal6(ret) && !ret->scope)
		return -EINVAL;
	if (v6 && port_addr_is4(ret)) {
		if (t->flags & TAG_V6ONLY || (bound && !port_addr_is4(&bound->addr) && !port_addr_is_any(&bound->addr)))
			return -ENETUNREACH;
	} else if (v6 && bound && port_addr_is4(&bound->addr)) {
		return -EAFNOSUPPORT;
	}
	return 0;
}

/* Where the flow comes from. Return: 0; -EINVAL, a loopback address cannot leave its host. */
static int choose_source(const struct shim *s, const struct port_addr *bound, const struct port_addr *peer,
			 bool to_self, struct port_addr *ret)
{
	bool v4 = port_addr_is4(peer);

	if (!port_addr_is_any(bound)) {
		*ret = *bound;
		return port_addr_is_loopback(bound) && !to_self ? -EINVAL : 0;
	}
	if (!port_addr_is_loopback(peer))
		*ret = v4 ? s->host.addr4 : s->host.addr6;
	else
		*ret = v4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
	return 0;
}

struct attempt {
	struct tag *t;
	struct network_host to;
	struct port_addr peer, source;
	uint16_t peer_port;
	struct port_want want;
	struct port_ref ref; /* the flow's claim */
	uint16_t port;	     /* its port; 0: not chosen */
	uint32_t late;	     /* what the tag's slot said while there was no claim (enum tag_late) */
};

/* Which of a group's listeners takes the flow hangs on its port; before there is one, on chance. */
static int find_listener(struct shim *s, const struct attempt *a, struct port_ref *ret, struct port_claim *ret_claim)
{
	struct port_tuple seen = {.proto = PORT_TCP, .local = a->peer, .remote = a->source};

	seen.local_port = a->peer_port;
	seen.remote_port = a->port ? a->port : (uint16_t)((a->want.owner.cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 48);
	return network_find_listener(&s->net, a->to.index, &seen, ret, ret_claim);
}

/* The flow comes to nothing: the claim as it was before. */
static void give_up_claim(struct shim *s, int fd, struct attempt *a)
{
	struct port_claim c;
	struct port_ref ref;

	a->t->slot = a->ref.slot;
	a->t->flags |= TAG_CLAIM;
	if (sock_claim(s, fd, a->t, &ref, &c) == 0)
		sock_undo(s, fd, a->t, ref, &c);
	else
		sock_unclaimed(s, a->t, &a->want.addr, 0);
	tag_set(fd, a->t);
}

/* Step 4: the claim and the port it got. One visit to the table when it has room and nothing is in the way;
 * network_connect() makes room, ends the claims of the dead and mends, and needs a second visit. */
static int claim_port(struct shim *s, struct attempt *a, struct port_claim *ret)
{
	struct port_refusal refusal;
	struct port_ref ref = a->ref;
	struct network_lock l;
	int r = network_lock(&s->net, a->t->host, &l);

	if (r == 0) {
		r = port_table_connect(&l.table, &ref, &a->want, &a->source, &a->peer, a->peer_port, network_now_us(),
				       &refusal);
		if (r == 0)
			r = port_table_get(&l.table, ref, ret);
		network_unlock(&l);
	}
	if (r == 0) {
		a->ref = ref;
		return 0;
	}
	r = network_connect(&s->net, a->t->host, &a->ref, &a->want, &a->source, &a->peer, a->peer_port, &refusal);
	if (r == -ETIMEDOUT)
		shim_event(s, 'k', &a->want, &refusal);
	if (r < 0)
		return r;
	r = network_get_slot(&s->net, a->t->host, a->ref.slot, &a->ref, ret);
	return r < 0 || ret->owner.cookie != a->want.owner.cookie ? -EADDRNOTAVAIL : 0;
}

/* Steps 4 and 5. Return: 0; negative errno, and nothing is left claimed. */
static int claim_flow(struct shim *s, int fd, struct attempt *a, bool bound_before, const struct port_claim *listener)
{
	for (int i = 0; i < NAMES_MAX; i++) {
		struct port_claim c;
		struct network_name flow = {.client_host = a->t->host, .server_host = a->to.index};
		struct {
			sa_family_t family;
			uint8_t path[NETWORK_NAME_OCTETS];
		} un = {.family = AF_UNIX};
		size_t len;
		int r;

		if (!bound_before)
			a->ref = PORT_REF_NONE;
		r = claim_port(s, a, &c);
		if (r == -EADDRNOTAVAIL && bound_before)
			give_up_claim(s, fd, a); /* a port that bind() chose is given back */
		if (r < 0)
			return r;
		flow.tuple = (struct port_tuple){.proto = PORT_TCP, .local = a->source, .remote = a->peer};
		flow.tuple.local_port = a->port = c.port;
		flow.tuple.remote_port = a->peer_port;
		flow.client_slot = a->ref.slot;
		flow.client_family = (uint8_t)a->t->family;
		flow.server_family = listener->family;
		len = network_name_encode(&s->net, &flow, un.path);
		r = sys_bind(fd, &un, (socklen_t)(offsetof(__typeof__(un), path) + len));
		if (r == 0) {
			a->t->slot = a->ref.slot;
			a->t->flags |= TAG_CLAIM;
			return 0;
		}
		/* The table gave us a four-tuple whose name somebody still has: another port then. */
		give_up_claim(s, fd, a);
		if (r != -EADDRINUSE || bound_before)
			return r == -EADDRINUSE ? -EADDRNOTAVAIL : r;
	}
	return -EADDRNOTAVAIL;
}

/* Step 6. Return: 0; -ECONNREFUSED, nobody listens any more; other negative errno. */
static int reach(struct shim *s, int fd, const struct attempt *a, struct port_ref lref, struct port_claim *listener)
{
	for (int i = 0; i < LISTENERS_MAX; i++) {
		int r = network_path_connect(&s->net, fd, a->to.index, lref, listener);

		if (r == -EAGAIN)
			return -ETIMEDOUT; /* the backlog of 4096 is full and we may not wait */
		if (r == -EISCONN)
			return 0;
		if (r != -ECONNREFUSED && r != -ENOENT)
			return r;
		(void)network_dead(&s->net, a->to.index, lref);
		if (i == 2) /* a group that was killed: all of its dead at once */
			(void)network_sweep(&s->net, a->to.index);
		r = find_listener(s, a, &lref, listener);
		if (r < 0)
			return r;
	}
	return -ECONNREFUSED;
}

static int established(struct shim *s, int fd, struct tag *t, bool nonblocking)
{
	t->state = SOCK_CONNECTED;
	if (nonblocking)
		t->flags |= TAG_FRESH;
	tag_set(fd, t);
	spin_mark(fd);
	gone_mark(fd);
	if (t->flags & TAG_EXTRA)
		gone_linger(s, fd, t);
	if (!nonblocking)
		return 0;
	sock_grow(fd, t);
	return -EINPROGRESS;
}

/* Nobody listens. A port that connect() chooses is given back, and so is one that bind() chose; getsockname()
 * goes on showing it. claimed: claim_flow() was there. */
static int refused(struct shim *s, int fd, struct attempt *a, bool bound, bool claimed)
{
	struct tag *t = a->t;
	struct port_claim c;
	bool nonblocking = sock_nonblocking(fd);

	if (bound) {
		/* To Linux ::ffff:0.0.0.0 was an address: what connect() puts in its place stays. */
		if (!claimed && t->family == PORT_FAMILY_6 && port_addr_is4(&a->want.addr) &&
		    port_addr_is_any(&a->want.addr)) {
			a->peer_port = a->peer_port ? a->peer_port : 1;
			(void)!claim_port(s, a, &c);
		}
		give_up_claim(s, fd, a);
	} else {
		bool kept = (a->late & LATE_CODE) != LATE_NONE && !(a->late & LATE_PASSING);
		int r;

		a->peer_port = a->peer_port ? a->peer_port : 1; /* asked only to choose */
		r = claimed ? sock_claim(s, fd, t, &a->ref, &c) : claim_port(s, a, &c);
		if (r < 0)
			return claimed ? -ECONNREFUSED : r;
		r = network_release(&s->net, t->host, a->ref);
		(void)r;
		sock_unclaimed(s, t, nonblocking || kept ? &c.addr : &a->want.addr, c.port);
		if (!kept && nonblocking)
			t->slot |= LATE_PASSING;
		tag_set(fd, t);
	}
	if (!nonblocking)
		return -ECONNREFUSED;
	t->state = SOCK_REFUSED;
	tag_set(fd, t);
	sock_grow(fd, t);
	return -EINPROGRESS;
}

/* A connect() that was interrupted goes on where it was, if it is for the same peer. */
static bool same_flow(struct shim *s, int fd, const struct attempt *a)
{
	struct network_name flow;

	return sock_flow(s, fd, a->t, &flow) == 0 && port_addr_equal(&flow.tuple.remote, &a->peer) &&
	       flow.tuple.remote_port == a->peer_port;
}

/* The kernel finds the socket itself before any listener of its port: a simultaneous open, of one. */
static bool is_to_itself(const struct attempt *a, bool bound)
{
	return bound && a->port == a->peer_port && port_addr_equal(&a->source, &a->peer) && shim_has_echo();
}

/* Steps 4 to 6 of such a one. No AF_UNIX stream is its own peer: the supervisor's is (net2/echo.c). */
static int open_to_itself(struct shim *s, int fd, struct attempt *a)
{
	struct port_claim itself = {.family = (uint8_t)a->t->family};
	int r = claim_flow(s, fd, a, true, &itself);

	if (r < 0)
		return r;
	if (shim_echo(s, fd) == 0)
		return established(s, fd, a->t, sock_nonblocking(fd));
	a->t->flags |= TAG_SHUT_RD; /* it has a name: sock_revive() */
	return refused(s, fd, a, true, true);
}

/* It is no host's address: the way out, if there is one and the program may. */
static int leave(struct shim *s, int fd, struct attempt *a, const struct port_claim *before, const struct sockaddr *sa,
		 socklen_t len)
{
	int r = shim_may_pass(s, PORT_TCP, &a->peer, a->peer_port);

	if (r < 0)
		return r;
	if (confined()) /* it takes calls that the program does not make itself */
		return -ENETUNREACH;
	if (port_addr_is_loopback(&before->addr)) /* it cannot leave its host; Linux sends from ::1, and it is lost */
		return port_addr_is4(&a->peer) ? -EINVAL : -ENETUNREACH;
	if (a->t->state == SOCK_CONNECTING) { /* its flow's name, and a claim with a peer */
		r = rename_socket(s, fd, a->t);
		if (r < 0)
			return r;
		tag_set(fd, a->t);
	}
	return outside_connect(s, fd, a->t, &a->peer, sa, len);
}

static int open_flow(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len)
{
	struct port_claim before = {.addr = addr_any(t->family)}, listener;
	struct attempt a = {.t = t};
	struct port_ref lref;
	uint16_t unused_port;
	bool bound, loop, itself;
	int r = sock_revive(s, fd, t);

	if (r < 0)
		return r;
	bound = sock_claim(s, fd, t, &a.ref, &before) == 0;
	if (!bound && sock_name(s, fd, t, false, &before.addr, &unused_port) < 0)
		before.addr = addr_any(t->family);
	r = read_peer(t, sa, len, bound || t->slot & LATE_CODE ? &before : NULL, &a.peer, &a.peer_port);
	if (r < 0)
		return r;
	r = sock_want(s, fd, t, &a.want);
	if (r < 0)
		return r;
	loop = port_addr_is_loopback(&a.peer);
	if (loop && nameserver_is(s, PORT_TCP, &a.peer, a.peer_port)) {
		return leave(s, fd, &a, &before, sa, len);
	} else if (loop) {
		a.to = s->host;
	} else if (network_host_by_addr(&s->net, s->host.index, &a.peer, &a.to) < 0) {
		return leave(s, fd, &a, &before, sa, len);
	}
	r = choose_source(s, &before.addr, &a.peer, a.to.index == s->host.index, &a.source);
	if (r < 0)
		return r;
	if (bound)
		a.port = before.port;
	a.want.addr = before.addr;
	itself = is_to_itself(&a, bound);
	if (itself)
		r = 0;
	else
		r = a.peer_port ? find_listener(s, &a, &lref, &listener) : -ECONNREFUSED;
	if (t->state == SOCK_CONNECTING && (r < 0 || itself || !same_flow(s, fd, &a))) {
		int again = rename_socket(s, fd, t);

		if (again < 0)
			return again;
		tag_set(fd, t);
		bound = sock_claim(s, fd, t, &a.ref, &before) == 0;
		if (!bound)
			a.ref = PORT_REF_NONE;
		again = sock_want(s, fd, t, &a.want);
		if (again < 0)
			return again;
		a.want.addr = before.addr;
	}
	a.late = t->flags & TAG_CLAIM ? LATE_NONE : t->slot;
	if (r == 0 && itself && bound)
		return open_to_itself(s, fd, &a);
	if (r == -ECONNREFUSED || itself)
		return refused(s, fd, &a, bound, false);
	if (r < 0)
		return r;
	if (t->state != SOCK_CONNECTING) {
		r = claim_flow(s, fd, &a, bound, &listener);
		if (r < 0)
			return r;
	}
	r = reach(s, fd, &a, lref, &listener);
	if (r == 0)
		return established(s, fd, t, sock_nonblocking(fd));
	if (r == -ECONNREFUSED) {
		/* The listener we found had died. The name cannot be taken off the socket: sock_revive() will. */
		t->flags |= TAG_SHUT_RD;
		return refused(s, fd, &a, bound, true);
	}
	/* The name stays on the socket: the next connect() goes on with it, or replaces the socket. */
	t->state = SOCK_CONNECTING;
	tag_set(fd, t);
	return r;
}

int sock_connect(struct shim *s, int fd, struct tag *t, const struct sockaddr *sa, socklen_t len)
{
	if ((int)len < 0 || len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (len && bad_pointer(sa))
		return -EFAULT;
	if (len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_UNSPEC)
		return disconnect(s, fd, t);
	switch (t->state) {
	case SOCK_LISTENING:
	case SOCK_ACCEPTED:
		return -EISCONN;
	case SOCK_CONNECTED:
		if (!(t->flags & TAG_FRESH))
			return -EISCONN;
		t->flags &= (uint16_t)~TAG_FRESH;
		tag_set(fd, t);
		return 0;
	case SOCK_REFUSED:
	case SOCK_ABORTED: {
		int r = t->state == SOCK_REFUSED ? -ECONNREFUSED : -ECONNABORTED;

		told(t);
		tag_set(fd, t);
		return r;
	}
	case SOCK_NEW:
	case SOCK_BOUND:
	case SOCK_CONNECTING:
		break;
	}
	return open_flow(s, fd, t, sa, len);
}

EXPORT(int, connect, (int fd, const struct sockaddr *sa, socklen_t len))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0) {
		int r;

		if (s && outside_again(s, fd, sa, len, &r))
			return shim_ret(r);
		return shim_next()->connect(fd, sa, len);
	}
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);

		return shim_ret(udp_connect(&u, sa, len));
	}
	return shim_ret(sock_connect(s, fd, &t, sa, len));
}

EXPORT(int, __connect, (int fd, const struct sockaddr *sa, socklen_t len))
{
	return shim_connect(fd, sa, len);
}
