/* src/network/repair.c: a host's table in its region: made, attached, grown, mended, rebuilt.
 *
 * Three depths of damage. Indexes or claims that make no sense: port_table_repair() keeps what does.
 * A table that cannot be attached: an empty one is made in its place. In both cases the kernel is then
 * asked for every AF_UNIX socket, and those that are ours by name (listeners by their path in s/, flows
 * by their abstract name) are claimed again where the table no longer knows them. The flags a listener
 * was bound with are not in its name: two that live on one port must have shared it.
 */
#include "network/internal.h"
#include "network/mailbox.h"

#define SOCKET_LISTENS 10 /* TCP_LISTEN, as unix_diag gives states */

uint32_t host_claims_room(const struct network_lock *l)
{
	return l->table.n_max;
}

static void host_secret(const struct network *n, uint32_t host, uint8_t ret[16])
{
	memcpy(ret, n->key, 16);
	for (unsigned i = 0; i < 4; i++)
		ret[i] = (uint8_t)(ret[i] ^ host >> 8 * i);
}

/* What a host's table is set to: Linux's range of ports, and who may have the low ones. */
static struct port_settings host_settings(const struct network *n)
{
	return (struct port_settings){.range = {32768, 60999}, .unprivileged_start = n->privileged_deny ? 1024 : 0};
}

bool host_set_up(const struct network *n, uint32_t host, const struct port_table *t)
{
	struct port_settings s, want = host_settings(n);
	struct port_addr a4 = host_addr(&n->net4, host), a6 = host_addr(&n->net6, host);

	port_table_get_settings(t, &s);
	return s.range.first == want.range.first && s.range.last == want.range.last &&
	       s.unprivileged_start == want.unprivileged_start && port_table_is_local(t, &a4) &&
	       port_table_is_local(t, &a6);
}

static uint8_t *region_mem(struct network *n, uint64_t off)
{
	return map_base(n) + off + sizeof(struct map_region);
}

static int fresh(struct network *n, uint32_t host, uint64_t off, uint64_t len_bytes, uint32_t n_claims,
		 struct port_table *ret)
{
	struct port_settings s = host_settings(n);
	struct port_addr a4 = host_addr(&n->net4, host), a6 = host_addr(&n->net6, host);
	uint8_t secret[16];
	uint64_t rnd;
	int r;

	host_secret(n, host, secret);
	/* Another one each time it is made: then its refs are none of an earlier table's, either. */
	if (raw_getrandom(&rnd, sizeof(rnd)) == (int)sizeof(rnd))
		for (unsigned i = 0; i < sizeof(rnd); i++)
			secret[i] = (uint8_t)(secret[i] ^ rnd >> 8 * i);
	r = port_table_init(ret, region_mem(n, off), len_bytes - sizeof(struct map_region), n_claims, secret);
	if (r < 0)
		return r;
	r = port_table_set_settings(ret, &s);
	if (r == 0)
		r = port_table_add_local(ret, &a4, 128);
	if (r == 0)
		r = port_table_add_local(ret, &a6, 128);
	return r;
}

static uint64_t region_len(uint32_t n_claims)
{
	return PAGE_UP(sizeof(struct map_region) + port_table_size(n_claims));
}

static int host_make(struct network *n, uint32_t host, struct network_lock *l, uint32_t n_claims)
{
	struct map_host *h;
	uint64_t off, len = region_len(n_claims);
	int r = region_new(n, host, len, &off);

	if (r < 0)
		return r;
	r = fresh(n, host, off, len, n_claims, &l->table);
	h = map_host(n, host);
	if (r < 0 || !h)
		return r < 0 ? r : -EUCLEAN;
	h->table_off = off;
	h->table_len_bytes = len;
	return 0;
}

int host_grow(struct network *n, uint32_t host, struct network_lock *l, uint32_t n_claims)
{
	struct map_host *h = map_host(n, host);
	struct port_table bigger;
	uint64_t off, len = region_len(n_claims), old_off, old_len;
	int r;

	if (!h || n_claims > PORT_TABLE_CLAIMS_MAX)
		return h ? -ENOBUFS : -EUCLEAN;
	old_off = h->table_off;
	old_len = h->table_len_bytes;
	r = region_new(n, host, len, &off);
	if (r < 0)
		return r;
	r = port_table_copy(&bigger, region_mem(n, off), len - sizeof(struct map_region), n_claims, &l->table);
	h = map_host(n, host);
	if (r < 0 || !h) {
		region_free(n, off, len);
		return r < 0 ? r : -EUCLEAN;
	}
	TRACE(network_grow, host, l->table.n_max, n_claims);
	l->table = bigger;
	atomic_store((_Atomic uint64_t *)&h->table_off, off); /* this one store is the change; the length follows */
	h->table_len_bytes = len;
	if (region_ok(n, host, old_off, old_len))
		region_free(n, old_off, old_len);
	return 0;
}

/* --- from what is alive --- */

struct refill {
	struct network *n;
	struct network_lock *l;
	uint32_t host;
	int s_dir;
	bool full; /* the table had no room: grow and ask again */
};

static bool known(const struct port_table *t, enum port_proto proto, uint16_t port, uint64_t cookie)
{
	struct port_ref refs[64], ref;
	struct port_claim c;
	uint32_t cursor = 0, n = port_table_on_port(t, proto, port, refs, COUNT_OF(refs));

	if (n <= COUNT_OF(refs)) {
		for (uint32_t i = 0; i < n; i++)
			if (port_table_get(t, refs[i], &c) == 0 && c.owner.cookie == cookie)
				return true;
		return false;
	}
	while (port_table_next(t, &cursor, &ref, &c))
		if (c.owner.cookie == cookie)
			return true;
	return false;
}

struct by_inode {
	uint32_t ino;
	bool found;
	char leaf[PATH_LEAF_MAX];
};

static int find_inode(void *ctx, int dir, const char *leaf)
{
	struct by_inode *b = ctx;
	struct stat st;

	if (b->found || strlen(leaf) >= sizeof(b->leaf) || raw_lstatat(dir, leaf, &st) < 0 ||
	    (uint32_t)st.st_ino != b->ino)
		return 0;
	b->found = true;
	memcpy(b->leaf, leaf, strlen(leaf) + 1);
	return 0;
}

static void refill_listener(struct refill *f, const struct live_id *id, uint32_t vfs_ino, const char *leaf)
{
	struct port_table *t = &f->l->table;
	struct port_ref old_ref, ref = PORT_REF_NONE;
	struct port_refusal no = {0};
	struct port_claim c;
	char new_leaf[PATH_LEAF_MAX];
	struct by_inode renamed;
	uint32_t host;
	struct stat st;
	int r = -EADDRINUSE;

	if (!path_leaf_parse(f->n, leaf, &host, &old_ref, &c) || host != f->host || f->s_dir < 0 ||
	    known(t, c.proto, c.port, id->cookie))
		return;
	if (raw_lstatat(f->s_dir, leaf, &st) < 0 || (uint32_t)st.st_ino != vfs_ino) {
		/* Renamed by a rebuild before this one: the socket keeps its first name, the file does not. */
		renamed = (struct by_inode){.ino = vfs_ino};
		(void)dir_each(f->s_dir, find_inode, &renamed);
		if (!renamed.found)
			return;
		leaf = renamed.leaf;
	}
	struct port_want w = {.proto = c.proto,
			      .family = c.family,
			      .addr = c.addr,
			      .port = c.port,
			      .uid = c.uid,
			      .dev = c.dev,
			      .flags = (uint16_t)(c.flags | PORT_FREEBIND | PORT_PRIVILEGED | PORT_REUSEADDR),
			      .owner = {.inode = id->inode, .cookie = id->cookie, .netns = f->n->netns}};
	w.user = owner_sum(f->n, &w.owner);
	for (int attempt = 0; attempt < 2 && r == -EADDRINUSE; attempt++) {
		r = port_table_bind(t, PORT_REF_NONE, &w, network_now_us(), &ref, &no);
		if (r == 0) {
			r = port_table_listen(t, &ref, &w, network_now_us(), &no);
			if (r < 0)
				(void)!port_table_release(t, ref);
		}
		if (r == -EADDRINUSE && no.by_valid) {
			(void)!port_table_set_flags(t, no.by_ref, PORT_REUSEPORT, PORT_REUSEPORT);
			w.flags |= PORT_REUSEPORT;
		}
	}
	if (r == -ENOBUFS)
		f->full = true;
	if (r < 0)
		return;
	if (port_table_set_flags(t, ref, PORT_LISTEN_READY, PORT_LISTEN_READY) == 0 &&
	    port_table_get(t, ref, &c) == 0) {
		/* The socket keeps its old name, and the file leads to the socket. */
		path_leaf(f->n, host, ref, &c, new_leaf);
		(void)raw_renameat(f->s_dir, leaf, f->s_dir, new_leaf);
	}
}

static void refill_flow(struct refill *f, const struct live_id *id, const struct network_name *m)
{
	struct port_table *t = &f->l->table;
	struct port_ref ref = PORT_REF_NONE;
	int r;

	if (m->client_host != f->host || m->tuple.local_port == 0 || m->tuple.remote_port == 0 ||
	    known(t, m->tuple.proto, m->tuple.local_port, id->cookie))
		return;
	struct port_want w = {.proto = m->tuple.proto,
			      .family = (enum port_family)m->client_family,
			      .addr = m->tuple.local,
			      .port = m->tuple.local_port,
			      .uid = raw_geteuid(),
			      .flags = PORT_FREEBIND | PORT_PRIVILEGED | PORT_REUSEADDR,
			      .owner = {.inode = id->inode, .cookie = id->cookie, .netns = f->n->netns}};
	w.user = owner_sum(f->n, &w.owner);
	r = port_table_bind(t, PORT_REF_NONE, &w, network_now_us(), &ref, NULL);
	if (r == 0) {
		r = port_table_connect(t, &ref, &w, &m->tuple.local, &m->tuple.remote, m->tuple.remote_port,
				       network_now_us(), NULL);
		if (r < 0)
			(void)!port_table_release(t, ref);
	}
	if (r == -ENOBUFS)
		f->full = true;
}

/* A doorbell: its mailbox says what was claimed. One that rings for another socket (PORT_PUMPED) is passed over. */
static void refill_mailbox(struct refill *f, const struct live_id *id, uint64_t key)
{
	struct port_table *t = &f->l->table;
	struct port_ref ref = PORT_REF_NONE;
	struct port_refusal no = {0};
	struct mailbox_state s;
	int r = -EADDRINUSE;

	if (key != mailbox_key(f->n, id->cookie) || mailbox_load(f->n, key, &s) < 0 || s.host != f->host || !s.port ||
	    known(t, PORT_UDP, s.port, id->cookie))
		return;
	struct port_want w = {.proto = PORT_UDP,
			      .family = (enum port_family)s.family,
			      .addr = s.bound,
			      .port = s.port,
			      .uid = s.uid,
			      .dev = s.dev,
			      .flags = (uint16_t)((s.claim_flags & (PORT_REUSEADDR | PORT_REUSEPORT | PORT_V6ONLY)) |
						  PORT_FREEBIND | PORT_PRIVILEGED),
			      .owner = {.inode = id->inode, .cookie = id->cookie, .netns = f->n->netns}};
	w.user = owner_sum(f->n, &w.owner);
	for (int attempt = 0; attempt < 2 && r == -EADDRINUSE; attempt++) {
		r = port_table_bind(t, PORT_REF_NONE, &w, network_now_us(), &ref, &no);
		if (r == -EADDRINUSE && no.by_valid) {
			(void)!port_table_set_flags(t, no.by_ref, PORT_REUSEPORT, PORT_REUSEPORT);
			w.flags |= PORT_REUSEPORT;
		}
	}
	if (r == 0 && s.connected && !port_addr_is_any(&s.local))
		(void)!port_table_connect(t, &ref, &w, &s.local, &s.peer, s.peer_port, network_now_us(), NULL);
	if (r == 0)
		network_udp_changed(f->n, f->host);
	if (r == -ENOBUFS)
		f->full = true;
}

static void refill_one(void *ctx, const struct live_id *id, int state, uint32_t vfs_ino, const uint8_t *name,
		       size_t len)
{
	struct refill *f = ctx;
	struct network_name m;
	char leaf[PATH_LEAF_MAX];
	size_t at = len;
	uint64_t key;

	if (len == 0)
		return;
	if (name[0] == 0) {
		if (network_name_decode(f->n, name, len, &m) == 0)
			refill_flow(f, id, &m);
		return;
	}
	while (len > 0 && name[len - 1] == 0)
		len--;
	for (at = len; at > 0 && name[at - 1] != '/'; at--)
		continue;
	if (len - at >= sizeof(leaf))
		return;
	memcpy(leaf, name + at, len - at);
	leaf[len - at] = '\0';
	if (mailbox_leaf_parse(leaf, &key)) {
		refill_mailbox(f, id, key);
		return;
	}
	if (state != SOCKET_LISTENS)
		return; /* what it accepted bears its name too */
	refill_listener(f, id, vfs_ino, leaf);
}

static void refill(struct network *n, uint32_t host, struct network_lock *l)
{
	struct refill f = {.n = n, .l = l, .host = host};
	int dir = dir_reopen(n);

	f.s_dir = dir < 0 ? dir : raw_openat(dir, "s", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	for (int round = 0; round < 16; round++) {
		f.full = false;
		if (live_dump(n, true, refill_one, &f) < 0 || !f.full ||
		    host_grow(n, host, l, 2 * host_claims_room(l)) < 0)
			break;
	}
	if (f.s_dir >= 0)
		raw_close(f.s_dir);
	if (dir >= 0)
		raw_close(dir);
}

int host_mend(struct network *n, uint32_t host, struct network_lock *l, bool rebuild)
{
	struct map_host *h = map_host(n, host);
	int r = 0;

	TRACE(network_damage, host, rebuild);
	if (!h)
		return -EUCLEAN;
	if (!rebuild) {
		struct port_addr a4 = host_addr(&n->net4, host), a6 = host_addr(&n->net6, host);
		struct port_settings s = host_settings(n);

		(void)port_table_repair(&l->table, NULL, NULL);
		(void)!port_table_add_local(&l->table, &a4, 128); /* -EEXIST, mostly */
		(void)!port_table_add_local(&l->table, &a6, 128);
		(void)!port_table_set_settings(&l->table, &s);
		rebuild = !port_table_check(&l->table) || !host_set_up(n, host, &l->table);
	}
	if (rebuild) {
		uint64_t off = h->table_off, len = h->table_len_bytes;
		uint32_t n_claims = TABLE_CLAIMS_FIRST;

		if (region_ok(n, host, off, len) && region_len(n_claims) <= len) {
			while (n_claims < PORT_TABLE_CLAIMS_MAX && region_len(2 * n_claims) <= len)
				n_claims *= 2;
			r = fresh(n, host, off, len, n_claims, &l->table);
		} else {
			r = host_make(n, host, l, n_claims);
		}
		if (r < 0)
			return r;
	}
	refill(n, host, l);
	return port_table_check(&l->table) ? 0 : -EUCLEAN;
}

/* Where the host's table is. Whoever was killed while the table grew has stored the new place and perhaps
 * not yet its length: the region itself says how long it is.
 * A process that may not map so much (RLIMIT_AS) is poor; the table is not damaged for that.
 * Return: 0; -EUCLEAN, there is no region of this host's; others, it cannot be mapped. */
static int find_region(struct network *n, uint32_t host, struct map_host *h, uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t off = h->table_off, len = h->table_len_bytes;
	int r;

	if (off > MAP_LEN_MAX || len > MAP_LEN_MAX - off)
		return -EUCLEAN;
	r = map_extend(n, off + len);
	if (r < 0 && r != -EUCLEAN)
		return r;
	if (!region_ok(n, host, off, len)) {
		len = region_says(n, off);
		if (len == 0 || len > MAP_LEN_MAX - off)
			return -EUCLEAN;
		r = map_extend(n, off + len);
		if (r < 0 || !region_ok(n, host, off, len))
			return r < 0 ? r : -EUCLEAN;
		h->table_len_bytes = len;
	}
	*ret_off = off;
	*ret_len = len;
	return 0;
}

/* A host's table has a place for each claim and all that is said of one: any other form is somebody's scribble,
 * and one with too few places would be full for ever, however much it grows. */
static bool form_ok(const struct port_table *t)
{
	return t->n_places == t->n_max && !t->lean;
}

int host_attach(struct network *n, uint32_t host, struct network_lock *l)
{
	struct map_host *h = (void *)((uint8_t *)l->word - offsetof(struct map_host, lock));
	uint64_t off, len;
	int r;

	if (h->used == 0)
		return -ENOENT;
	if (h->table_off == 0 && h->table_len_bytes == 0)
		return host_make(n, host, l, TABLE_CLAIMS_FIRST);
	r = find_region(n, host, h, &off, &len);
	if (r < 0 && r != -EUCLEAN)
		return r;
	if (r < 0 || port_table_attach(&l->table, region_mem(n, off), len - sizeof(struct map_region)) < 0 ||
	    !form_ok(&l->table))
		return host_mend(n, host, l, true);
	return 0;
}
