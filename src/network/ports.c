/* src/network/ports.c: bind, listen, connect on a host's table, with the dead moved out of the way.
 *
 * Every call is: lock, ask the heart, unlock. Only when the heart refuses is there more to do:
 *
 *     somebody in the way    ask the kernel whether he lives; if not, end his claim and try again
 *     no room, no port left  sweep: end every claim whose socket is gone; then grow if it did not help
 *     damaged                mend and try once more
 *
 * Nobody releases a flow's claim when its socket closes (that would cost every close a lock): a
 * client's table fills with the dead and a sweep empties it. One sweep asks the kernel for all sockets
 * at once, so the table is kept large enough, in proportion to what lives on the machine, for a sweep
 * to cost each connection a fraction of a microsecond.
 *
 * No kernel is asked while a lock is held: claims are copied, the lock given back, the kernel asked, and
 * what is dead is ended only if it is still the same claim of the same socket.
 */
#include "network/internal.h"
#include "network/mailbox.h"

#define ROUNDS_MAX 64	       /* of trying again with one blocker gone; then a sweep does the rest */
#define SWEEPS_MAX 3	       /* of a full range in one call: others take what a sweep frees */
#define SWEEP_CLAIMS_MIN 1024u /* a smaller table that is full grows even when a sweep helped */

enum call { CALL_BIND, CALL_PROBE, CALL_LISTEN, CALL_CONNECT };

struct request {
	enum call call;
	struct port_ref have;
	const struct port_want *want;
	const struct port_addr *local, *peer;
	uint16_t peer_port;
	bool listen;
};

static int ask(struct port_table *t, const struct request *q, struct port_ref *ref, struct port_refusal *no)
{
	uint64_t now = network_now_us();

	switch (q->call) {
	case CALL_BIND:
		return port_table_bind(t, q->have, q->want, now, ref, no);
	case CALL_PROBE:
		return port_table_probe(t, q->want, q->listen, no);
	case CALL_LISTEN:
		*ref = q->have;
		return port_table_listen(t, ref, q->want, now, no);
	case CALL_CONNECT:
		*ref = q->have;
		return port_table_connect(t, ref, q->want, q->local, q->peer, q->peer_port, now, no);
	}
	return -EINVAL;
}

/* --- ending the dead --- */

static bool same_owner(const struct port_claim *a, const struct port_claim *b)
{
	return a->owner.cookie == b->owner.cookie && a->owner.inode == b->owner.inode;
}

/* The path of a listener's claim that was ended. Where the owner's numbers were scribbled over the claim looked
 * dead though the socket lives: its path stays, and from it the broom makes the claim again. */
static void drop_path(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	uint64_t key = mailbox_key(n, c->owner.cookie);

	if (c->state == CLAIM_LISTENING && path_probe(n, host, ref, c) != 1)
		network_path_unlink(n, host, ref, c);
	if (c->proto == PORT_UDP && !mailbox_alive(n, key))
		mailbox_unlink(n, key);
}

/* End a claim found dead, if it is still that one. */
static int end_dead(struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *was)
{
	struct network_lock l;
	struct port_claim c;
	int r = network_lock(n, host, &l);

	TRACE(claim_dead, ref.slot, was->port, was->owner.inode, was->owner.cookie);

	if (r < 0)
		return r;
	r = port_table_get(&l.table, ref, &c);
	if (r == 0 && same_owner(&c, was))
		r = port_table_release(&l.table, ref);
	network_unlock(&l);
	drop_path(n, host, ref, was);
	return 0;
}

/* 0: it was dead and is ended; -EBUSY: it lives. */
static int end_if_dead(struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	enum network_alive owner;
	int path = -ENOENT;

	/* The short cut: a listener whose path answers lives. */
	if (c->state == CLAIM_LISTENING && c->flags & PORT_LISTEN_READY) {
		path = path_probe(n, host, ref, c);
		if (path == 1)
			return -EBUSY;
	}
	owner = owner_is_garbage(n, c) ? NETWORK_DEAD
		: c->owner.inode == 0  ? NETWORK_UNKNOWN
				       : network_owner_alive(n, &c->owner);
	/* Where the kernel cannot be asked (another namespace, an owner somebody scribbled over), a ready
	 * listener that nobody can reach any more does not keep its port. */
	if (owner == NETWORK_ALIVE || (owner == NETWORK_UNKNOWN && path != 0))
		return -EBUSY;
	return end_dead(n, host, ref, c);
}

struct suspect {
	struct port_ref ref;
	struct live_id id;
	bool alive, exact; /* exact: the dump's word is not enough */
};

struct sweep {
	struct suspect *s;
	uint32_t n, mask;
	uint32_t *slots; /* open addressing by cookie; index + 1 */
};

static uint32_t cookie_hash(uint64_t cookie)
{
	return (uint32_t)((cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static void mark_alive(void *ctx, const struct live_id *id, int state, uint32_t vfs_ino, const uint8_t *name,
		       size_t len)
{
	struct sweep *w = ctx;

	(void)state, (void)vfs_ino, (void)name, (void)len;
	for (uint32_t i = cookie_hash(id->cookie) & w->mask, step = 0; step <= w->mask; step++, i = (i + 1) & w->mask) {
		if (!w->slots[i])
			return;
		struct suspect *s = &w->s[w->slots[i] - 1];

		if (s->id.cookie == id->cookie && (uint32_t)s->id.inode == (uint32_t)id->inode)
			s->alive = true; /* several claims may name one socket: go on */
	}
}

static void collect(const struct network *n, const struct port_table *t, struct sweep *w, uint32_t max)
{
	struct port_claim c;
	struct port_ref ref;
	uint32_t cursor = 0;

	while (w->n < max && port_table_next(t, &cursor, &ref, &c)) {
		uint32_t i;

		bool garbage = owner_is_garbage(n, &c);

		if (!garbage && (c.owner.inode == 0 || c.owner.netns == 0 || c.owner.netns != n->netns))
			continue;
		w->s[w->n] = (struct suspect){ref,
					      {c.owner.inode, c.owner.cookie},
					      false,
					      !garbage && c.state != CLAIM_CONNECTED};
		for (i = cookie_hash(c.owner.cookie) & w->mask; w->slots[i]; i = (i + 1) & w->mask)
			continue;
		w->slots[i] = ++w->n;
	}
}

static uint32_t end_suspects(struct network *n, uint32_t host, struct sweep *w)
{
	uint32_t ended = 0;

	/* Listeners and bound sockets: confirmed one by one, outside the lock. */
	for (uint32_t i = 0; i < w->n; i++) {
		struct suspect *s = &w->s[i];
		struct port_owner o = {.inode = s->id.inode, .cookie = s->id.cookie, .netns = n->netns};

		if (!s->alive && s->exact && network_owner_alive(n, &o) != NETWORK_DEAD)
			s->alive = true;
	}
	for (uint32_t i = 0; i < w->n;) {
		struct network_lock l;
		struct {
			struct port_ref ref;
			struct port_claim c;
		} paths[16];
		uint32_t n_paths = 0;

		if (network_lock(n, host, &l) < 0)
			break;
		for (uint32_t batch = 0; i < w->n && batch < 1024 && n_paths < COUNT_OF(paths); i++, batch++) {
			struct suspect *s = &w->s[i];
			struct port_claim c;

			if (s->alive || port_table_get(&l.table, s->ref, &c) < 0 || c.owner.cookie != s->id.cookie ||
			    c.owner.inode != s->id.inode || port_table_release(&l.table, s->ref) < 0)
				continue;
			ended++;
			if (c.state == CLAIM_LISTENING || c.proto == PORT_UDP) {
				paths[n_paths].ref = s->ref;
				paths[n_paths++].c = c;
			}
		}
		network_unlock(&l);
		for (uint32_t p = 0; p < n_paths; p++)
			drop_path(n, host, paths[p].ref, &paths[p].c);
	}
	return ended;
}

/* End the dead claims of one host. ret_room and ret_sockets (may be NULL): the table's size, and how many
 * sockets there are in this namespace. Return: claims ended; negative errno. */
static int sweep_host(struct network *n, uint32_t host, uint32_t *ret_room, uint32_t *ret_sockets)
{
	struct network_lock l;
	struct sweep w = {0};
	uint32_t slots = 16, max;
	size_t bytes;
	uint8_t *mem;
	int r = network_lock(n, host, &l);

	if (r < 0)
		return r;
	(void)port_table_expire(&l.table, network_now_us(), UINT32_MAX);
	max = port_table_n_claims(&l.table);
	if (max > l.table.n_max)
		max = l.table.n_max;
	while (slots < 2 * max)
		slots *= 2;
	if (ret_room)
		*ret_room = host_claims_room(&l);
	bytes = max * sizeof(*w.s) + slots * sizeof(*w.slots);
	mem = raw_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (mem) {
		w.s = (void *)mem;
		w.slots = (void *)(mem + max * sizeof(*w.s));
		w.mask = slots - 1;
		collect(n, &l.table, &w, max);
	}
	network_unlock(&l);
	if (!mem)
		return -ENOMEM;
	/* Twice: a socket that changed its bucket during the first dump stands still in the second. */
	r = w.n ? live_dump(n, false, mark_alive, &w) : 0;
	if (r >= 0 && w.n)
		r = live_dump(n, false, mark_alive, &w);
	if (ret_sockets)
		*ret_sockets = r > 0 ? (uint32_t)r : 0;
	if (r >= 0)
		r = (int)end_suspects(n, host, &w);
	raw_munmap(mem, bytes);
	return r;
}

/* The table is full, or the range. Sweep, and grow if that did not free enough. */
static int make_room(struct network *n, uint32_t host, bool grow)
{
	struct network_lock l;
	uint32_t room = 0, sockets = 0;
	int ended = sweep_host(n, host, &room, &sockets), r;

	/* When nothing was left to end, another thread may have swept a moment ago: look again. */
	if (!grow)
		return ended < 0 ? ended : 0;
	r = network_lock(n, host, &l);
	if (r < 0)
		return r;
	/* What counts is how much room there is now: other threads sweep and grow at the same time. A small
	 * table, or one with fewer claims than the machine has sockets, would be swept too often. */
	uint32_t now = port_table_n_claims(&l.table);
	bool often = room < SWEEP_CLAIMS_MIN || room < sockets;

	if (host_claims_room(&l) > room || (!often && now <= room / 2) || (ended == 0 && now < room))
		r = 0;
	else
		r = host_grow(n, host, &l, 2 * host_claims_room(&l));
	network_unlock(&l);
	return r < 0 && ended > 0 ? 0 : r;
}

/* --- the calls --- */

/* A call that met damage half-way may have left its own claim behind. */
static void drop_own(struct port_table *t, const struct request *q)
{
	struct port_ref ref;
	struct port_claim c;
	uint32_t cursor = 0;

	if (q->have.generation != 0 || q->call == CALL_PROBE || q->want->owner.cookie == 0)
		return;
	while (port_table_next(t, &cursor, &ref, &c))
		if (c.owner.cookie == q->want->owner.cookie && c.owner.inode == q->want->owner.inode)
			(void)!port_table_release(t, ref);
}

/* A refusal that names nobody and is not about a full range contradicts itself; one over rights or
 * addresses may come from settings somebody scribbled. */
static bool suspicious(const struct network *n, uint32_t host, int r, const struct port_refusal *no,
		       const struct port_table *t)
{
	if (r == -EACCES || no->rule == PORT_RULE_NOT_LOCAL || no->rule == PORT_RULE_RANGE_FULL)
		return !host_set_up(n, host, t);
	return (r == -EADDRINUSE || r == -EADDRNOTAVAIL) && !no->by_valid && !port_table_check(t);
}

static int run(struct network *n, uint32_t host, const struct request *q, struct port_ref *ret,
	       struct port_refusal *reterr)
{
	unsigned sweeps = 0;
	bool mended = false;
	struct port_refusal no;
	struct network_lock l;
	struct port_want want = *q->want;
	struct request sealed = *q;
	struct port_ref ref;
	int r = -EUCLEAN;

	want.user = owner_sum(n, &want.owner);
	sealed.want = &want;
	/* Growing may take several rounds while others fill what we made; all is bounded. */
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		no = (struct port_refusal){0};
		ref = PORT_REF_NONE;
		r = network_lock(n, host, &l);
		if (r < 0) {
			no.err = r;
			no.by.owner.pid = r == -ETIMEDOUT ? l.blocker_pid : 0;
			break;
		}
		r = ask(&l.table, &sealed, &ref, &no);
		if (!mended && (r == -EUCLEAN || suspicious(n, host, r, &no, &l.table))) {
			mended = true;
			r = host_mend(n, host, &l, false);
			if (r == 0) {
				drop_own(&l.table, &sealed);
				r = ask(&l.table, &sealed, &ref, &no);
			}
		}
		network_unlock(&l);
		if (r == 0) {
			if (ret)
				*ret = ref;
			return 0;
		}
		if (r == -ENOBUFS) {
			if (make_room(n, host, true) < 0)
				break;
			continue;
		}
		if (r != -EADDRINUSE && r != -EADDRNOTAVAIL && r != -EAGAIN)
			break;
		if (no.by_valid) {
			/* Many dead in a row (a group of SO_REUSEPORT that was killed): all at once. */
			if (round == 8)
				(void)sweep_host(n, host, NULL, NULL);
			if (end_if_dead(n, host, no.by_ref, &no.by) == 0)
				continue;
			break;
		}
		if (no.rule != PORT_RULE_RANGE_FULL || sweeps == SWEEPS_MAX || make_room(n, host, false) < 0)
			break;
		sweeps++;
	}
	if (reterr) {
		no.err = r;
		*reterr = no;
	}
	return r;
}

int network_bind(struct network *n, uint32_t host, struct port_ref have, const struct port_want *want,
		 struct port_ref *ret, struct port_refusal *reterr)
{
	struct request q = {.call = CALL_BIND, .have = have, .want = want};

	return run(n, host, &q, ret, reterr);
}

int network_probe(struct network *n, uint32_t host, const struct port_want *want, bool listen,
		  struct port_refusal *reterr)
{
	struct request q = {.call = CALL_PROBE, .want = want, .listen = listen};

	return run(n, host, &q, NULL, reterr);
}

int network_listen(struct network *n, uint32_t host, struct port_ref *ref, const struct port_want *want,
		   struct port_refusal *reterr)
{
	struct request q = {.call = CALL_LISTEN, .have = *ref, .want = want};

	return run(n, host, &q, ref, reterr);
}

int network_connect(struct network *n, uint32_t host, struct port_ref *ref, const struct port_want *want,
		    const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port,
		    struct port_refusal *reterr)
{
	struct request q = {.call = CALL_CONNECT,
			    .have = *ref,
			    .want = want,
			    .local = local,
			    .peer = peer,
			    .peer_port = peer_port};

	return run(n, host, &q, ref, reterr);
}

/* What needs one lock, one call on the table and, when it is damaged, one mend. */
#define WITH_TABLE(n, host, call)                                                 \
	({                                                                        \
		struct network_lock l;                                            \
		int r_ = network_lock(n, host, &l);                               \
		if (r_ == 0) {                                                    \
			struct port_table *t = &l.table;                          \
			r_ = (call);                                              \
			if (r_ == -EUCLEAN && host_mend(n, host, &l, false) == 0) \
				r_ = (call);                                      \
			network_unlock(&l);                                       \
		}                                                                 \
		r_;                                                               \
	})

int network_listen_ready(struct network *n, uint32_t host, struct port_ref ref)
{
	return WITH_TABLE(n, host, port_table_set_flags(t, ref, PORT_LISTEN_READY, PORT_LISTEN_READY));
}

static int unlisten(struct port_table *t, struct port_ref ref)
{
	int r = port_table_set_flags(t, ref, PORT_LISTEN_READY, 0);

	return r < 0 ? r : port_table_unlisten(t, ref);
}

int network_unlisten(struct network *n, uint32_t host, struct port_ref ref)
{
	return WITH_TABLE(n, host, unlisten(t, ref));
}

int network_release(struct network *n, uint32_t host, struct port_ref ref)
{
	return WITH_TABLE(n, host, port_table_release(t, ref));
}

int network_undo(struct network *n, uint32_t host, struct port_ref ref, bool keep, const struct port_owner *o)
{
	return WITH_TABLE(n, host, port_table_undo(t, ref, keep, o, owner_sum(n, o)));
}

int network_set_flags(struct network *n, uint32_t host, struct port_ref ref, uint16_t mask, uint16_t flags)
{
	return WITH_TABLE(n, host, port_table_set_flags(t, ref, mask, flags));
}

int network_get_slot(struct network *n, uint32_t host, uint32_t slot, struct port_ref *ret_ref, struct port_claim *ret)
{
	return WITH_TABLE(n, host, port_table_get_slot(t, slot, ret_ref, ret));
}

/* The demultiplexer's choice; if that listener is not ready to be connected to, another of its group. */
static int find_ready(struct port_table *t, const struct port_tuple *tuple, struct port_ref *ret,
		      struct port_claim *ret_claim)
{
	struct port_ref refs[64];
	struct port_claim c;
	uint32_t count;
	int r = port_demux_listener(t, tuple, 0, ret);

	if (r == 0)
		r = port_table_get(t, *ret, ret_claim);
	if (r < 0)
		return r;
	if (ret_claim->flags & PORT_LISTEN_READY)
		return 0;
	count = port_table_on_port(t, tuple->proto, tuple->local_port, refs, COUNT_OF(refs));
	for (uint32_t i = 0; i < count && i < COUNT_OF(refs); i++)
		if (port_table_get(t, refs[i], &c) == 0 && c.state == CLAIM_LISTENING && c.flags & PORT_LISTEN_READY &&
		    c.dev == ret_claim->dev && port_addr_equal(&c.addr, &ret_claim->addr)) {
			*ret = refs[i];
			*ret_claim = c;
			return 0;
		}
	return -ENOENT;
}

int network_find_listener(struct network *n, uint32_t to_host, const struct port_tuple *tuple, struct port_ref *ret,
			  struct port_claim *ret_claim)
{
	struct port_ref ref;
	struct port_claim c;
	int r = WITH_TABLE(n, to_host, find_ready(t, tuple, &ref, &c));

	if (r == -ENOENT || r == -ESTALE)
		return -ECONNREFUSED;
	if (r < 0)
		return r;
	*ret = ref;
	*ret_claim = c;
	return 0;
}

int network_dead(struct network *n, uint32_t host, struct port_ref ref)
{
	struct port_claim c;
	int r = WITH_TABLE(n, host, port_table_get(t, ref, &c));

	if (r == -ESTALE)
		return 0;
	return r < 0 ? r : end_if_dead(n, host, ref, &c);
}

/* --- the broom of every berth command --- */

struct tidy {
	struct network *n;
	uint32_t host;
	uint32_t mended_host;
};

/* Check a host's table, and mend it when it is wrong (or is known to be). */
static void check_host(struct network *n, uint32_t host, bool wrong)
{
	struct network_lock l;

	if (network_lock(n, host, &l) < 0)
		return;
	if (wrong || !port_table_check(&l.table) || !host_set_up(n, host, &l.table))
		(void)!host_mend(n, host, &l, false);
	network_unlock(&l);
}

/* A path whose claim is gone, or whose slot has another by now: a leftover if its socket is gone too, else
 * a listener that the table forgot. */
static int tidy_path(void *ctx, int dir, const char *leaf)
{
	struct tidy *y = ctx;
	struct port_claim named, c;
	struct port_ref ref;
	uint32_t host;
	int r;

	if (mailbox_tidy(y->n, dir, leaf))
		return 0;
	if (!path_leaf_parse(leaf, &host, &ref, &named) || (y->host != NETWORK_HOSTS_MAX && host != y->host))
		return 0;
	r = WITH_TABLE(y->n, host, port_table_get(t, ref, &c));
	if (r == 0 && c.state == CLAIM_LISTENING)
		return 0;
	if (r != 0 && r != -ESTALE && r != -ENOENT)
		return 0;
	int answer = path_probe(y->n, host, ref, &named);

	if (answer == 0) {
		(void)raw_unlinkat(dir, leaf, 0);
	} else if (answer == 1 && r == -ESTALE && y->mended_host != host) {
		y->mended_host = host; /* once in a row: not every such path is a listener's */
		check_host(y->n, host, true);
	}
	return 0;
}

/* Networks half made by a process that is gone. */
static int tidy_temp(void *ctx, int dir, const char *name)
{
	const char *s = name;
	uint64_t pid;

	(void)ctx;
	if (strncmp(s, ".new-", 5) != 0)
		return 0;
	s += 5;
	if (text_take_u64(&s, 10, &pid) && pid <= INT32_MAX && *s == '-' && task_is_gone((int32_t)pid, 0))
		(void)dir_remove_tree(dir, name);
	return 0;
}

int network_sweep(struct network *n, uint32_t host)
{
	struct tidy y = {n, host, NETWORK_HOSTS_MAX};
	int total = 0, r, dir, s;

	for (uint32_t i = 0; i < NETWORK_HOSTS_MAX; i++) {
		struct map_host *h = host == NETWORK_HOSTS_MAX || host == i ? map_host(n, i) : NULL;

		if (!h || h->used == 0 || h->table_len_bytes == 0)
			continue;
		check_host(n, i, false);
		r = sweep_host(n, i, NULL, NULL);
		if (r < 0)
			return r;
		total += r;
	}
	for (uint32_t i = 0; i < MAP_RUNS; i++) {
		struct map_run *run_rec = map_run(n, i);

		if (run_rec && atomic_load(&run_rec->used) && run_rec->pidns == lock_pidns() &&
		    task_is_gone(run_rec->pid, run_rec->opened_ns))
			atomic_store(&run_rec->used, 0);
	}
	dir = dir_reopen(n);
	if (dir < 0)
		return dir;
	s = raw_openat(dir, "s", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	for (int pass = 0; s >= 0 && pass < 2; pass++) {
		(void)raw_call(SYS_lseek, s, 0, 0, 0, 0, 0);
		(void)dir_each(s, tidy_path, &y);
	}
	if (s >= 0)
		raw_close(s);
	s = raw_openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (s >= 0) {
		(void)dir_each(s, tidy_temp, NULL);
		raw_close(s);
	}
	raw_close(dir);
	return total;
}
