/* src/network/sweep.c: ending the claims of the dead, one host's or everybody's.
 *
 *     collect     every claim of the hosts asked for, under each host's lock in turn
 *     dump        the kernel lists its AF_UNIX sockets: whose socket is there lives
 *     confirm     what the dump did not show is asked for once more, by a dump that begins later or one by one
 *     end         what is dead and still the same claim of the same socket; its path goes too
 *
 * One dump serves all hosts, and no kernel is asked while a lock is held. A dump can miss a socket that moves
 * between the kernel's chains meanwhile (bind() does that, once in a socket's life) or whose neighbour in
 * its chain goes away between two parts of the answer. Therefore a second one before anybody is called dead; a
 * listener's path is probed as well (exact, 1.5 us), and of sockets that are bound and nothing more a few are
 * asked for by number (exact, but the kernel walks all its sockets for each), many by a third dump.
 *
 * Cost: a dump is 0.5 us for each socket of the namespace, all else is proportional to the claims looked at.
 * network_sweep_due() keeps what commands spend on it in proportion to the time between them.
 */
#include "network/internal.h"
#include "network/mailbox.h"

#define TIDY_BATCH 256u /* paths looked up at a time */
#define NOT_ASKED 1
#define FEW_LISTENERS 256u /* so few claims, and of them so few that do not listen, are not worth a dump */
#define FEW_OTHERS 8u
#define EXACT_MAX 64u		   /* asked for by number in one sweep */
#define BATCH 1024u		   /* claims ended under one lock */
#define CHEAP_NS UINT64_C(5000000) /* a sweep that costs no more is always due */
#define COST_MAX_NS UINT64_C(2000000000)
#define DUE_FACTOR 50 /* else one is due when so many times its cost has passed */

struct suspect {
	struct port_ref ref;
	uint32_t host, netns;
	struct live_id id;
	bool alive;
	bool exact; /* two dumps are not enough: not a flow, not garbage */
	bool listens, garbage;
	bool receives; /* UDP */
};

struct sweep {
	struct suspect *s;
	uint32_t n, max, mask;
	uint32_t *slots; /* open addressing by cookie; index + 1 */
	size_t s_bytes, slots_bytes;
	uint32_t dead;
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

		if (s->id.cookie == id->cookie && (uint32_t)s->id.inode == (uint32_t)id->inode && !s->alive) {
			s->alive = true; /* several claims may name one socket: go on */
			w->dead--;
		}
	}
}

/* Room for one more. Called under a host's lock: it maps memory and asks nobody. */
static bool reserve_one(struct sweep *w)
{
	uint32_t more = w->max ? 2 * w->max : 512;
	size_t bytes = more * sizeof(*w->s);
	void *mem;

	if (w->n < w->max)
		return true;
	mem = raw_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!mem)
		return false;
	if (w->s) {
		memcpy(mem, w->s, w->n * sizeof(*w->s));
		raw_munmap(w->s, w->s_bytes);
	}
	w->s = mem;
	w->s_bytes = bytes;
	w->max = more;
	return true;
}

static void sweep_end(struct sweep *w)
{
	if (w->s)
		raw_munmap(w->s, w->s_bytes);
	if (w->slots)
		raw_munmap(w->slots, w->slots_bytes);
}

static int take(struct sweep *w, const struct suspect *s)
{
	if (!reserve_one(w))
		return -ENOMEM;
	w->s[w->n++] = *s;
	return 0;
}

/* abroad (may be NULL): those of other network namespaces, whom the kernel does not tell us of.
 * Return: 0; -ENOMEM. */
static int collect(const struct network *n, uint32_t host, const struct port_table *t, struct sweep *w,
		   struct sweep *abroad)
{
	struct port_claim c;
	struct port_ref ref;
	uint32_t cursor = 0, left = t->n_max;

	while (left-- > 0 && port_table_next(t, &cursor, &ref, &c)) {
		bool garbage = owner_is_garbage(n, &c);
		bool far = !garbage && (c.owner.netns == 0 || c.owner.netns != n->netns);
		struct suspect s = {.ref = ref,
				    .host = host,
				    .netns = c.owner.netns,
				    .id = {c.owner.inode, c.owner.cookie},
				    .exact = !garbage && c.state != CLAIM_CONNECTED,
				    .listens = c.state == CLAIM_LISTENING,
				    .receives = c.proto == PORT_UDP,
				    .garbage = garbage};
		int r = 0;

		if (!far && (garbage || c.owner.inode != 0))
			r = take(w, &s);
		else if (abroad && far && c.owner.inode != 0 && c.owner.netns != 0)
			r = take(abroad, &s);
		if (r < 0)
			return r;
	}
	return 0;
}

static int hash_all(struct sweep *w)
{
	uint32_t slots = 16;

	while (slots < 2 * w->n)
		slots *= 2;
	w->slots_bytes = slots * sizeof(*w->slots);
	w->slots = raw_mmap(w->slots_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!w->slots)
		return -ENOMEM;
	w->mask = slots - 1;
	w->dead = w->n;
	for (uint32_t k = 0; k < w->n; k++) {
		uint32_t i = cookie_hash(w->s[k].id.cookie) & w->mask;

		while (w->slots[i])
			i = (i + 1) & w->mask;
		w->slots[i] = k + 1;
	}
	return 0;
}

/* Its path, as path_probe(). */
static int probe(struct network *n, const struct suspect *s)
{
	struct port_claim c;
	int r = WITH_TABLE(n, s->host, port_table_get(t, s->ref, &c));

	return r == 0 ? path_probe(n, s->host, s->ref, &c) : -ENOENT;
}

/* Listeners and bound sockets that two dumps did not show. */
static int confirm(struct network *n, struct sweep *w)
{
	uint32_t unsure = 0;
	int r = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		struct suspect *s = &w->s[i];
		int answer = -ENOENT;

		if (s->alive || !s->exact)
			continue;
		if (s->listens)
			answer = probe(n, s);
		if (answer == 1) {
			s->alive = true;
			w->dead--;
		} else if (answer == 0) {
			s->exact = false;
		} else {
			unsure++;
		}
	}
	if (unsure > EXACT_MAX)
		r = live_dump(n, false, mark_alive, w);
	for (uint32_t i = 0; unsure <= EXACT_MAX && i < w->n; i++) {
		struct suspect *s = &w->s[i];
		struct port_owner o = {.inode = s->id.inode, .cookie = s->id.cookie, .netns = n->netns};

		if (!s->alive && s->exact && network_owner_alive(n, &o) != NETWORK_DEAD) {
			s->alive = true;
			w->dead--;
		}
	}
	return r;
}

static uint32_t end_suspects(struct network *n, const struct sweep *w)
{
	uint32_t ended = 0;

	for (uint32_t i = 0; i < w->n && w->dead > 0;) {
		struct network_lock l;
		struct {
			struct port_ref ref;
			struct port_claim c;
		} paths[16];
		uint32_t n_paths = 0, host;

		if (w->s[i].alive) {
			i++;
			continue;
		}
		host = w->s[i].host;
		if (network_lock(n, host, &l) < 0) { /* stopped, perhaps: the others' dead go all the same */
			while (i < w->n && w->s[i].host == host)
				i++;
			continue;
		}
		for (uint32_t batch = 0; i < w->n && w->s[i].host == host && batch < BATCH && n_paths < COUNT_OF(paths);
		     i++, batch++) {
			const struct suspect *s = &w->s[i];
			struct port_claim c;

			if (s->alive || port_table_get(&l.table, s->ref, &c) < 0 || c.owner.cookie != s->id.cookie ||
			    c.owner.inode != s->id.inode)
				continue;
			int r = port_table_release(&l.table, s->ref);

			if (r == -EUCLEAN && host_mend(n, host, &l, false) == 0)
				r = port_table_release(&l.table, s->ref);
			if (r < 0)
				continue;
			ended++;
			if (claim_is_reachable(&c)) {
				paths[n_paths].ref = s->ref;
				paths[n_paths++].c = c;
			}
		}
		network_unlock(&l);
		for (uint32_t p = 0; p < n_paths; p++)
			drop_path(n, host, paths[p].ref, &paths[p].c);
		if (n_paths > 0)
			network_changed(n);
	}
	return ended;
}

/* Few enough to be asked for one by one: listeners by their paths, others by number. Where a hundred thousand
 * sockets live a dump of them all is long. False: some are left to the dump. */
static bool ask_each(struct network *n, struct sweep *w)
{
	uint32_t others = 0;

	for (uint32_t i = 0; i < w->n; i++)
		others += !w->s[i].listens;
	if (w->n > FEW_LISTENERS || others > FEW_OTHERS)
		return false;
	w->dead = w->n;
	for (uint32_t i = 0; i < w->n; i++) {
		struct suspect *s = &w->s[i];
		struct port_owner o = {.inode = s->id.inode, .cookie = s->id.cookie, .netns = n->netns};
		int answer = s->listens ? probe(n, s) : -ENOENT;

		if (answer == 1 || (answer != 0 && !s->garbage && network_owner_alive(n, &o) != NETWORK_DEAD)) {
			s->alive = true;
			w->dead--;
		}
	}
	return true;
}

/* Who of those collected is dead, and an end to him. ret_sockets (may be NULL): how many sockets there are.
 * Return: claims ended; negative errno. */
static int bury(struct network *n, struct sweep *w, uint32_t *ret_sockets)
{
	int r, sockets = 0;

	if (!ret_sockets && ask_each(n, w))
		return (int)end_suspects(n, w);
	r = w->n ? hash_all(w) : 0;
	if (r == 0 && w->n)
		r = sockets = live_dump(n, false, mark_alive, w);
	/* Again: a socket that changed its chain during the first dump stands still in the second. */
	if (r >= 0 && w->dead > 0)
		r = live_dump(n, false, mark_alive, w);
	if (r >= 0 && w->dead > 0)
		r = confirm(n, w);
	if (ret_sockets)
		*ret_sockets = sockets > 0 ? (uint32_t)sockets : 0;
	return r < 0 ? r : (int)end_suspects(n, w);
}

/* --- other network namespaces --- */

#define FILTER_BITS 65536u
struct absent {
	struct sweep *w;
	uint64_t filter[FILTER_BITS / 64]; /* of the inodes asked for: most sockets are none of them */
};

static void seen(void *ctx, uint64_t inode)
{
	struct absent *a = ctx;

	if (!(a->filter[inode % FILTER_BITS / 64] >> (inode % 64) & 1))
		return;
	for (uint32_t i = 0; i < a->w->n; i++)
		a->w->s[i].alive |= a->w->s[i].id.inode == inode;
}

/* Listeners and who receives datagrams are asked by path, which knows of no such namespaces; all others die with
 * the last program of theirs (world.c). Return: claims ended; negative errno. */
static int bury_abroad(struct network *n, struct sweep *w, struct world *world)
{
	struct absent a = {.w = w};
	uint32_t unsure = 0;
	int r = 0;

	w->dead = w->n;
	for (uint32_t i = 0; i < w->n; i++) {
		struct suspect *s = &w->s[i];
		int answer = -ENOENT;

		if (s->listens)
			answer = probe(n, s);
		else if (s->receives)
			answer = mailbox_alive(n, mailbox_key(n, s->id.cookie));
		if (answer == 0)
			continue;
		s->alive = answer == 1 || !world_net_is_empty(n, world, s->netns);
		if (!s->alive) {
			a.filter[s->id.inode % FILTER_BITS / 64] |= UINT64_C(1) << (s->id.inode % 64);
			unsure++;
		}
	}
	if (unsure)
		r = world_sockets(seen, &a);
	for (uint32_t i = 0; i < w->n; i++)
		w->dead -= w->s[i].alive;
	return r < 0 ? r : (int)end_suspects(n, w);
}

int sweep_room(struct network *n, uint32_t host, uint32_t *ret_room, uint32_t *ret_sockets)
{
	struct network_lock l;
	struct sweep w = {0};
	int r = network_lock(n, host, &l);

	if (r < 0)
		return r;
	(void)port_table_expire(&l.table, network_now_us(), UINT32_MAX);
	if (ret_room)
		*ret_room = host_claims_room(&l);
	r = collect(n, host, &l.table, &w, NULL);
	network_unlock(&l);
	if (r == 0)
		r = bury(n, &w, ret_sockets);
	sweep_end(&w);
	return r;
}

/* --- the broom of berth's commands --- */

struct tidy_path {
	uint32_t host;
	struct port_ref ref;
	int answer; /* the table's; NOT_ASKED */
	char leaf[PATH_LEAF_MAX];
};

struct tidy {
	struct network *n;
	uint32_t mended_host;
	bool changed;
	uint32_t n_paths;
	struct tidy_path *p; /* TIDY_BATCH of them */
};

/* Check a host's table and mend it when it is wrong, or is known to be. */
static void check_locked(struct network *n, uint32_t host, struct network_lock *l, bool wrong)
{
	if (wrong || !port_table_check(&l->table) || !host_set_up(n, host, &l->table))
		(void)!host_mend(n, host, l, false);
}

/* Does the path say what the claim says? */
static bool bears(const struct network *n, const struct port_claim *c, const struct tidy_path *p)
{
	char leaf[PATH_LEAF_MAX];

	path_leaf(n, p->host, p->ref, c, leaf);
	return strcmp(leaf, p->leaf) == 0;
}

/* Which of the batch's paths of one host, that of `first` and others behind it, have no claim? One lock for all of
 * them: listeners of many hosts lie in the folder in the order in which they were made. */
static void look_up(struct tidy *y, uint32_t first)
{
	uint32_t host = y->p[first].host;
	struct network_lock l;
	struct port_claim c;
	int r = network_lock(y->n, host, &l);

	for (uint32_t i = first; i < y->n_paths; i++) {
		struct tidy_path *p = &y->p[i];

		if (p->host != host)
			continue;
		p->answer = r < 0 ? r : port_table_get(&l.table, p->ref, &c);
		if (p->answer == 0 && c.state != CLAIM_LISTENING)
			p->answer = -ENOENT;
		else if (p->answer == 0 && !bears(y->n, &c, p))
			p->answer = -EUCLEAN;
	}
	if (r == 0)
		network_unlock(&l);
}

/* A path whose claim is gone, or whose slot has another by now: a leftover if its socket is gone too, else
 * a listener that the table forgot. A claim that says another port than its path, or has another generation, was
 * scribbled over: it goes, and is made again from the path. (Where it was a younger listener's of the same port
 * and slot, the same mending makes that one's again, too.) */
static void tidy_one(struct tidy *y, int dir, const struct tidy_path *p)
{
	struct network_lock l;
	struct port_claim named, c;
	struct port_ref ref, in;
	uint32_t host;
	int answer;

	if ((p->answer != -ESTALE && p->answer != -ENOENT && p->answer != -EUCLEAN) ||
	    !path_leaf_parse(y->n, p->leaf, &host, &ref, &named))
		return;
	answer = path_probe(y->n, host, ref, &named);
	if (answer == 0) {
		(void)raw_unlinkat(dir, p->leaf, 0);
		y->changed = true;
	} else if (answer == 1 && p->answer != -ENOENT && (y->mended_host != host || p->answer == -EUCLEAN) &&
		   network_lock(y->n, host, &l) == 0) {
		y->mended_host = host; /* once in a row: not every such path is a listener's */
		if (port_table_get_slot(&l.table, ref.slot, &in, &c) == 0 && c.state == CLAIM_LISTENING &&
		    (p->answer == -EUCLEAN ? !bears(y->n, &c, p)
					   : in.generation != ref.generation && c.port == named.port))
			(void)!port_table_release(&l.table, in);
		check_locked(y->n, host, &l, true);
		network_unlock(&l);
		y->changed = true;
	}
}

static void tidy_batch(struct tidy *y, int dir)
{
	for (uint32_t i = 0; i < y->n_paths; i++)
		if (y->p[i].answer == NOT_ASKED)
			look_up(y, i);
	for (uint32_t i = 0; i < y->n_paths; i++)
		tidy_one(y, dir, &y->p[i]);
	y->n_paths = 0;
}

static int tidy_path(void *ctx, int dir, const char *leaf)
{
	struct tidy *y = ctx;
	struct tidy_path *p = &y->p[y->n_paths];
	struct port_claim named;

	if (mailbox_tidy(y->n, dir, leaf) || strlen(leaf) >= sizeof(p->leaf) ||
	    !path_leaf_parse(y->n, leaf, &p->host, &p->ref, &named))
		return 0;
	memcpy(p->leaf, leaf, strlen(leaf) + 1);
	p->answer = NOT_ASKED;
	if (++y->n_paths == TIDY_BATCH)
		tidy_batch(y, dir);
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

static int tidy_folder(struct network *n)
{
	static const size_t bytes = TIDY_BATCH * sizeof(struct tidy_path);
	struct tidy y = {.n = n, .mended_host = NETWORK_HOSTS_MAX, .changed = true};
	int dir = dir_reopen(n), s;

	if (dir < 0)
		return dir;
	y.p = raw_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!y.p) {
		raw_close(dir);
		return -ENOMEM;
	}
	s = raw_openat(dir, "s", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	/* Removing while reading may skip entries: again, if anything was. */
	for (int pass = 0; s >= 0 && pass < 2 && y.changed; pass++) {
		y.changed = false;
		(void)raw_call(SYS_lseek, s, 0, 0, 0, 0, 0);
		(void)dir_each(s, tidy_path, &y);
		tidy_batch(&y, s);
	}
	raw_munmap(y.p, bytes);
	if (s >= 0)
		raw_close(s);
	s = raw_openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (s >= 0) {
		(void)dir_each(s, tidy_temp, NULL);
		raw_close(s);
	}
	raw_close(dir);
	return 0;
}

static void tidy_runs(struct network *n, struct world *world)
{
	for (uint32_t i = 0; i < MAP_RUNS; i++) {
		struct map_run *run = map_run(n, i);

		if (run && atomic_load(&run->used) &&
		    (run->pidns == lock_pidns() ? task_is_gone(run->pid, run->opened_ns)
						: world_pidns_is_gone(n, world, run->pidns)))
			atomic_store(&run->used, 0);
	}
}

int network_sweep(struct network *n, uint32_t host)
{
	uint32_t first = host == NETWORK_HOSTS_MAX ? 0 : host;
	uint32_t last = host == NETWORK_HOSTS_MAX ? NETWORK_HOSTS_MAX - 1 : host;
	uint64_t began = boot_ns();
	uint8_t *map = map_get(n, NULL);
	struct sweep w = {0}, abroad = {0};
	struct world world = {0};
	struct map_header *hd;
	uint32_t used = 0;
	int failed = 0, r = map ? 0 : -EUCLEAN;

	for (uint32_t i = first; i <= last && i < NETWORK_HOSTS_MAX && r == 0; i++) {
		const struct map_host *h = (const void *)(map + MAP_HOSTS_OFF + i * sizeof(*h));
		struct network_lock l;

		used += h->used != 0;
		if (h->used == 0 || h->table_len_bytes == 0)
			continue;
		r = network_lock(n, i, &l);
		if (r < 0) {
			failed = r; /* told at the end: the other hosts are swept all the same */
			r = 0;
			continue;
		}
		check_locked(n, i, &l, false);
		(void)port_table_expire(&l.table, network_now_us(), UINT32_MAX);
		r = collect(n, i, &l.table, &w, &abroad);
		network_unlock(&l);
	}
	if (r == 0)
		r = bury(n, &w, NULL);
	sweep_end(&w);
	if (r >= 0 && abroad.n) {
		int far = bury_abroad(n, &abroad, &world);

		r = far < 0 ? far : r + far;
	}
	sweep_end(&abroad);
	if (r >= 0 && host == NETWORK_HOSTS_MAX && used != network_n_hosts(n))
		(void)!map_mend(n, NULL); /* a record or the count of them was scribbled over */
	if (r >= 0 && host == NETWORK_HOSTS_MAX) {
		int t;

		tidy_runs(n, &world);
		t = tidy_folder(n);
		if (t < 0)
			r = t;
		hd = map_header(n);
		if (hd) {
			uint64_t now = boot_ns();

			atomic_store(&hd->sweep_cost_ns, now - began);
			atomic_store(&hd->swept_ns, now);
		}
	}
	return r < 0 ? r : failed < 0 ? failed : r;
}

bool network_sweep_is_long(struct network *n)
{
	struct map_header *hd = map_header(n);

	return hd && atomic_load(&hd->sweep_cost_ns) > CHEAP_NS;
}

bool network_sweep_due(struct network *n)
{
	struct map_header *hd = map_header(n);
	uint64_t cost, swept, now = boot_ns();

	if (!hd)
		return false;
	cost = atomic_load(&hd->sweep_cost_ns);
	swept = atomic_load(&hd->swept_ns);
	if (cost > COST_MAX_NS) /* somebody scribbled */
		cost = COST_MAX_NS;
	return cost <= CHEAP_NS || swept > now || now - swept > cost * DUE_FACTOR;
}
