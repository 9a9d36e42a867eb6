/* src/network/udp.c: whom a datagram reaches.
 *
 *     one address     the host that has it, then its port table (port/demux.c): a connected socket with this
 *                     very peer, else the exact address, a wildcard, one of a SO_REUSEPORT group
 *     broadcast       every socket of that port on every host of the network
 *     a group         every socket of that port whose mailbox is in the group, and those that take all the
 *                     groups of their host (IP_MULTICAST_ALL), where somebody of the host is in it
 *
 * Looking into a table takes its lock, so the answer for one address is remembered: who sends to whom, the
 * receiver's mailbox, and the host's count of changes (udp_epoch in its record) before the table was asked.
 * Each change of a UDP claim counts it up, to the nanoseconds since boot at least: a table that was lost and made anew
 * begins at 0 and must not come by a count that somebody remembers. A remembered socket that has gone is found out by ringing.
 *
 * A route is read and written whole, by whoever holds its flag; who finds the flag set does without.
 */
#include "network/mailbox_map.h"

#define ROUTES 512
#define RETRIES 16
#define PORT_CLAIMS_SEEN 1024
#define TIDY_CLAIMS 64u
#define TIDY_SLOTS 1024u
#define DEV_LOOP 1u

struct route {
	_Atomic uint32_t busy;
	struct port_addr src, dst;
	uint16_t src_port, dst_port;
	uint32_t from_host, host;
	uint64_t epoch, key; /* key 0: free */
	struct port_ref ref;
};
static struct route routes[ROUTES];

void network_udp_changed(struct network *n, uint32_t host)
{
	struct map_host *h = map_host(n, host);
	uint64_t was = h ? atomic_load(&h->udp_epoch) : 0, now = boot_ns();

	while (h && !atomic_compare_exchange_weak(&h->udp_epoch, &was, was + 1 > now ? was + 1 : now))
		continue;
}

static uint64_t epoch_of(struct network *n, uint32_t host)
{
	struct map_host *h = map_host(n, host);

	return h ? atomic_load(&h->udp_epoch) : 0;
}

int network_udp_claim(struct network *n, uint32_t host, uint16_t port, uint64_t cookie, struct port_ref *ret,
		      struct port_claim *ret_claim)
{
	struct port_ref refs[PORT_CLAIMS_SEEN];
	struct network_lock l;
	uint32_t count;
	int r = network_lock(n, host, &l);

	if (r < 0)
		return r;
	r = -ESTALE;
	count = port_table_on_port(&l.table, PORT_UDP, port, refs, COUNT_OF(refs));
	for (uint32_t i = 0; r < 0 && i < count && i < COUNT_OF(refs); i++)
		if (port_table_get(&l.table, refs[i], ret_claim) == 0 && ret_claim->owner.cookie == cookie) {
			*ret = refs[i];
			r = 0;
		}
	network_unlock(&l);
	return r;
}

int network_disconnect(struct network *n, uint32_t host, struct port_ref ref, const struct port_addr *bound)
{
	struct network_lock l;
	int r = network_lock(n, host, &l);

	if (r < 0)
		return r;
	r = port_table_disconnect(&l.table, ref, bound);
	network_unlock(&l);
	network_udp_changed(n, host);
	return r;
}

bool network_is_broadcast(const struct network *n, const struct port_addr *a)
{
	struct port_addr last = n->net4;

	if (!port_addr_is4(a))
		return false;
	if ((a->b[12] == 255 || a->b[12] == 127) && a->b[13] == 255 && a->b[14] == 255 && a->b[15] == 255)
		return true;
	for (uint32_t bit = n->prefix4_bits; bit < 128; bit++)
		last.b[bit / 8] = (uint8_t)(last.b[bit / 8] | 0x80u >> bit % 8);
	return memcmp(last.b, a->b, 16) == 0;
}

/* --- sockets that nobody saw closing --- */

void network_udp_tidy(struct network *n, uint32_t host, uint64_t where)
{
	struct {
		struct port_ref ref;
		uint64_t key;
	} some[TIDY_CLAIMS];
	struct network_lock l;
	uint32_t count = 0;
	bool ended = false;

	if (network_lock(n, host, &l) < 0)
		return;
	for (uint32_t i = 0; i < l.table.n_max && i < TIDY_SLOTS && count < TIDY_CLAIMS; i++) {
		struct port_claim c;

		if (port_table_get_slot(&l.table, (uint32_t)((where + i) % l.table.n_max), &some[count].ref, &c) < 0 ||
		    c.proto != PORT_UDP)
			continue;
		some[count++].key = mailbox_key(n, c.owner.cookie);
	}
	network_unlock(&l);
	for (uint32_t i = 0; i < count; i++)
		if (!mailbox_alive(n, some[i].key) && network_dead(n, host, some[i].ref) == 0)
			ended = true;
	if (ended)
		network_udp_changed(n, host);
}

/* --- one address --- */

static struct route *route_at(const struct letter *m, uint32_t from_host)
{
	uint64_t h = from_host;

	for (int i = 8; i < 16; i++)
		h = (h * 31 + m->dst.b[i]) * 37 + m->src.b[i];
	h = (h * 65599 + m->dst_port) * 65599 + m->src_port;
	return &routes[(h * UINT64_C(0x9e3779b97f4a7c15)) >> 55];
}
static_assert(ROUTES == 512, "nine bits");

static bool route_hold(struct route *r)
{
	uint32_t none = 0;

	return atomic_compare_exchange_strong_explicit(&r->busy, &none, 1, memory_order_acquire, memory_order_relaxed);
}

static void route_drop(struct route *r)
{
	atomic_store_explicit(&r->busy, 0, memory_order_release);
}

struct found {
	uint32_t host;
	struct port_ref ref;
	uint64_t key;
};

static bool is_route_of(const struct route *r, const struct letter *m, uint32_t from_host)
{
	return r->key != 0 && r->from_host == from_host && r->dst_port == m->dst_port && r->src_port == m->src_port &&
	       port_addr_equal(&r->dst, &m->dst) && port_addr_equal(&r->src, &m->src);
}

static bool recall(struct network *n, const struct letter *m, uint32_t from_host, struct found *ret)
{
	struct route *r = route_at(m, from_host);
	bool same;

	if (!route_hold(r))
		return false;
	same = is_route_of(r, m, from_host);
	if (same) {
		*ret = (struct found){r->host, r->ref, r->key};
		same = epoch_of(n, r->host) == r->epoch;
	}
	route_drop(r);
	return same;
}

static void remember(const struct letter *m, uint32_t from_host, const struct found *f, uint64_t epoch)
{
	struct route *r = route_at(m, from_host);

	if (!route_hold(r))
		return;
	r->src = m->src;
	r->dst = m->dst;
	r->src_port = m->src_port;
	r->dst_port = m->dst_port;
	r->from_host = from_host;
	r->host = f->host;
	r->ref = f->ref;
	r->key = f->key;
	r->epoch = epoch;
	route_drop(r);
}

static int look_up(struct network *n, const struct letter *m, uint32_t from_host, struct found *ret)
{
	struct port_tuple tuple = {.proto = PORT_UDP, .local = m->dst, .remote = m->src};
	struct network_lock l;
	struct port_claim c;
	struct network_host to;
	uint64_t epoch;
	int r;

	tuple.local_port = m->dst_port;
	tuple.remote_port = m->src_port;
	if (port_addr_is_loopback(&m->dst))
		to.index = from_host;
	else if (network_host_by_addr(n, from_host, &m->dst, &to) < 0)
		return network_covers(n, &m->dst) ? -EHOSTUNREACH : -ENETUNREACH;
	epoch = epoch_of(n, to.index);
	r = network_lock(n, to.index, &l);
	if (r < 0)
		return r;
	r = port_demux(&l.table, &tuple, to.index == from_host ? DEV_LOOP : DEV_LOOP + 1, &ret->ref);
	if (r == 0)
		r = port_table_get(&l.table, ret->ref, &c);
	network_unlock(&l);
	if (r == -ENOENT || r == -ESTALE)
		return -ECONNREFUSED;
	if (r < 0)
		return r;
	ret->host = to.index;
	ret->key = mailbox_key(n, c.owner.cookie);
	remember(m, from_host, ret, epoch);
	return 0;
}

/* The socket is gone, and its claim is not: end it. Return: 0; -EBUSY, it lives after all; others. */
static int bury(struct network *n, uint32_t host, struct port_ref ref)
{
	int r = network_dead(n, host, ref);

	network_udp_changed(n, host);
	return r;
}

static int send_one(struct network *n, uint32_t host, int from, struct letter *m, const struct iovec *iov, size_t n_iov)
{
	m->many = LETTER_ONE;
	for (int i = 0; i < RETRIES; i++) {
		struct found f;
		int r = recall(n, m, host, &f) ? 0 : look_up(n, m, host, &f);

		if (r == -EHOSTUNREACH)
			return 0; /* lost on the way: what a kernel says too, until nobody answers its ARP */
		if (r < 0)
			return r;
		m->ifindex = f.host == host ? DEV_LOOP : DEV_LOOP + 1;
		r = mailbox_put(n, f.key, from, m, iov, n_iov);
		if (r == -ENOBUFS)
			return 0;
		if (r != -ECONNREFUSED && r != -ENOENT)
			return r;
		r = bury(n, f.host, f.ref);
		if (r < 0)
			return r == -EBUSY ? 0 : r; /* it lives and has no mailbox (any more): lost */
		if (i == 4)
			(void)network_sweep(n, f.host);
	}
	return -ECONNREFUSED;
}

/* --- published ports: who would get it, who has the port --- */

int network_way_find(struct network *n, uint32_t host, struct letter *m, struct network_way *ret)
{
	struct found f;
	int r = recall(n, m, host, &f) ? 0 : look_up(n, m, host, &f);

	if (r == 0)
		*ret = (struct network_way){.key = f.key,
					    .host = host,
					    .to = f.host,
					    .ref = f.ref,
					    .ifindex = f.host == host ? DEV_LOOP : DEV_LOOP + 1};
	return r;
}

uint32_t network_udp_holders(struct network *n, uint32_t host, uint16_t port, struct network_udp_holder *ret,
			     uint32_t max)
{
	struct port_ref refs[PORT_CLAIMS_SEEN], held[TIDY_CLAIMS];
	struct network_lock l;
	uint32_t count, n_held = 0, n_ret = 0;

	if (network_lock(n, host, &l) < 0)
		return 0;
	count = port_table_on_port(&l.table, PORT_UDP, port, refs, COUNT_OF(refs));
	for (uint32_t i = 0; i < count && i < COUNT_OF(refs) && n_held < max && n_held < COUNT_OF(held); i++) {
		struct port_claim c;
		bool six;

		if (port_table_get(&l.table, refs[i], &c) < 0)
			continue;
		six = c.family == PORT_FAMILY_6 && !port_addr_is4(&c.addr);
		ret[n_held] = (struct network_udp_holder){
			.key = mailbox_key(n, c.owner.cookie),
			.pid = c.owner.pid,
			.v4 = !six || (port_addr_is_any(&c.addr) && !(c.flags & PORT_V6ONLY)),
			.v6 = six,
		};
		held[n_held++] = refs[i];
	}
	network_unlock(&l);
	for (uint32_t i = 0; i < n_held; i++) {
		if (mailbox_alive(n, ret[i].key))
			ret[n_ret++] = ret[i];
		else if (network_dead(n, host, held[i]) == 0)
			network_udp_changed(n, host);
	}
	return n_ret;
}

/* --- the same way again --- */

uint64_t network_udp_epoch(struct network *n, uint32_t host)
{
	return epoch_of(n, host);
}

bool network_way_of(uint32_t host, uint64_t epoch, const struct letter *m, struct network_way *ret)
{
	struct route *r = route_at(m, host);
	bool known;

	if (m->many != LETTER_ONE || epoch == 0 || !route_hold(r))
		return false;
	known = is_route_of(r, m, host);
	if (known)
		*ret = (struct network_way){.key = r->key,
					    .epoch = epoch,
					    .to_epoch = r->epoch,
					    .host = host,
					    .to = r->host,
					    .ref = r->ref,
					    .ifindex = r->host == host ? DEV_LOOP : DEV_LOOP + 1};
	route_drop(r);
	return known;
}

static uint64_t epoch_there(const struct network *n, uint32_t host)
{
	struct map_host *h = (void *)(map_base(n) + MAP_HOSTS_OFF + host * sizeof(*h));

	return atomic_load(&h->udp_epoch);
}

bool network_way_holds(const struct network *n, const struct network_way *w)
{
	const struct map_fixed *f = (const void *)map_base(n);

	return w->key != 0 && f->magic == MAP_MAGIC && memcmp(f->key, n->key, sizeof(n->key)) == 0 &&
	       epoch_there(n, w->host) == w->epoch && (w->to == w->host || epoch_there(n, w->to) == w->to_epoch);
}

int network_way_send(struct network *n, const struct network_way *w, int from, struct letter *m,
		     const struct iovec *iov, size_t n_iov)
{
	int r;

	m->many = LETTER_ONE;
	m->ifindex = w->ifindex;
	r = mailbox_put(n, w->key, from, m, iov, n_iov);
	if (r == 0 || r == -ENOBUFS)
		return 0;
	if (r != -ECONNREFUSED && r != -ENOENT)
		return -EAGAIN;
	return bury(n, w->to, w->ref) == -EBUSY ? 0 : -EAGAIN;
}

/* --- many --- */

struct receiver {
	uint64_t key;
	struct port_ref ref;
};

static bool takes(const struct port_claim *c, const struct letter *m)
{
	bool is4 = port_addr_is4(&m->dst);

	if (c->proto != PORT_UDP || (c->dev != 0 && c->dev != m->ifindex))
		return false;
	if (c->family == PORT_FAMILY_4 ? !is4 : is4 && c->flags & PORT_V6ONLY)
		return false;
	if (!port_addr_is_any(&c->addr) && memcmp(c->addr.b, m->dst.b, 16) != 0)
		return false;
	if (port_addr_is_any(&c->addr) && c->family == PORT_FAMILY_6 && is4 && port_addr_is4(&c->addr) == false &&
	    c->flags & PORT_V6ONLY)
		return false;
	if (c->state == CLAIM_CONNECTED && (c->peer_port != m->src_port || memcmp(c->peer.b, m->src.b, 16) != 0))
		return false;
	return true;
}

/* The sockets of one host that a broadcast or a group's datagram may be for. */
static uint32_t collect(struct network *n, uint32_t host, const struct letter *m, struct receiver *ret, uint32_t max)
{
	struct port_ref refs[PORT_CLAIMS_SEEN];
	struct network_lock l;
	uint32_t count, n_ret = 0;

	if (epoch_of(n, host) == 0 || network_lock(n, host, &l) < 0)
		return 0; /* a host on which nobody ever had a UDP socket is not locked */
	count = port_table_on_port(&l.table, PORT_UDP, m->dst_port, refs, COUNT_OF(refs));
	for (uint32_t i = 0; i < count && i < COUNT_OF(refs) && n_ret < max; i++) {
		struct port_claim c;

		if (port_table_get(&l.table, refs[i], &c) == 0 && takes(&c, m))
			ret[n_ret++] = (struct receiver){mailbox_key(n, c.owner.cookie), refs[i]};
	}
	network_unlock(&l);
	return n_ret;
}

/* Does the socket take every group its host is in? */
static bool takes_all(struct network *n, uint64_t key, bool v6)
{
	struct mailbox_state s;
	enum mailbox_opt o = v6 ? MAILBOX_OPT_MC_ALL6 : MAILBOX_OPT_MC_ALL;

	return mailbox_load(n, key, &s) == 0 && (!(s.opts_known & (UINT64_C(1) << o)) || s.opts[o]);
}

static void put_many(struct network *n, uint32_t host, int from, const struct letter *m, const struct iovec *iov,
		     size_t n_iov)
{
	struct receiver to[PORT_CLAIMS_SEEN / 4];
	int want[COUNT_OF(to)];
	uint32_t count = collect(n, host, m, to, COUNT_OF(to));
	bool joined = false;

	for (uint32_t i = 0; i < count; i++) {
		want[i] = m->many == LETTER_MULTICAST ? mailbox_wants(n, to[i].key, &m->dst, &m->src) : 1;
		joined = joined || want[i] == 1;
	}
	for (uint32_t i = 0; i < count; i++) {
		int r;

		if (want[i] < 0)
			want[i] = joined && takes_all(n, to[i].key, !port_addr_is4(&m->dst));
		if (want[i] != 1)
			continue;
		r = mailbox_put(n, to[i].key, from, m, iov, n_iov);
		if ((r == -ECONNREFUSED || r == -ENOENT) && network_dead(n, host, to[i].ref) == 0)
			network_udp_changed(n, host);
	}
}

static int send_many(struct network *n, uint32_t host, int from, struct letter *m, const struct iovec *iov,
		     size_t n_iov, bool loop)
{
	uint32_t hosts = network_n_hosts(n), seen = 0;

	if (m->ttl == 0 || port_addr_is_loopback(&m->src) || port_addr_is_loopback(&m->dst))
		hosts = 0; /* it does not leave the host */
	m->ifindex = DEV_LOOP;
	if (loop)
		put_many(n, host, from, m, iov, n_iov);
	m->ifindex = DEV_LOOP + 1;
	for (uint32_t i = 0; i < NETWORK_HOSTS_MAX && seen < hosts; i++) {
		struct network_host h;

		if (network_host_at(n, i, &h) < 0)
			continue;
		seen++;
		if (i != host)
			put_many(n, i, from, m, iov, n_iov);
	}
	return 0;
}

int network_udp_send(struct network *n, uint32_t host, int from, struct letter *m, const struct iovec *iov,
		     size_t n_iov, bool loop)
{
	if (port_addr_is_multicast(&m->dst)) {
		m->many = LETTER_MULTICAST;
		return send_many(n, host, from, m, iov, n_iov, loop);
	}
	if (network_is_broadcast(n, &m->dst)) {
		m->many = LETTER_BROADCAST;
		return send_many(n, host, from, m, iov, n_iov, true);
	}
	return send_one(n, host, from, m, iov, n_iov);
}
