/* src/network/mailbox_map.c: mailboxes mapped into this process, kept in a small table.
 *
 * Sets of four, found by key. An entry is used between hold and drop; who wants its place takes it only
 * while nobody does: CAS pins 0 -> TAKEN. So threads and signal handlers need no lock. A child of fork() made while
 * another thread held one, and a handler that jumps out, never give that entry up; where a whole set is
 * held, the file is mapped for the one call.
 *
 * Touching a file that somebody has cut short is SIGBUS. So the kernel is made to look first, in a call that is
 * made anyway: rt_sigprocmask(2) reads the set of signals to block from the file's last octets, which are
 * all ones, and says EFAULT if they are gone. Where they hold something else (the ring has grown over them, or
 * a scribble) the signals are blocked once more, from our own memory.
 *
 * A ring grows (mailbox.c). Then the longer file is mapped at another place and the shorter mapping stays
 * until the entry is given up, because other threads may stand in it. Sizes double, so all of
 * them together are less than the longest once more.
 *
 * Always true: an entry's key changes only while TAKEN; its newest mapping is the longest.
 */
#include "network/mailbox_map.h"

#define SETS 128
#define WAYS 4
#define TAKEN 0x80000000u
#define MAPS_MAX 14

struct box_entry {
	_Atomic uint64_t key; /* 0: none */
	_Atomic uint32_t pins;
	_Atomic uint32_t n_maps;
	struct {
		void *p;
		size_t len_bytes;
	} maps[MAPS_MAX];
};

static struct box_entry entries[SETS][WAYS];
static _Atomic uint32_t next_victim;

void box_leaf(uint64_t key, const char *tail, char ret[BOX_LEAF_MAX])
{
	struct text t = text_on(ret, BOX_LEAF_MAX);

	text_str(&t, "u");
	text_hex(&t, key, 16);
	text_str(&t, tail);
}

void box_path(uint64_t key, const char *tail, char ret[REACH_LEAF_MAX])
{
	char leaf[BOX_LEAF_MAX];

	box_leaf(key, tail, leaf);
	reach_in_s(leaf, ret);
}

/* Return: the mapping and its length; NULL and a negative errno. */
static void *map_file(const struct network *n, uint64_t key, size_t *ret_len, int *reterr)
{
	char leaf[REACH_LEAF_MAX];
	struct stat st;
	void *p = NULL;
	int fd, r;

	box_path(key, ".box", leaf);
	fd = reach_open(n, leaf, O_RDWR | O_NONBLOCK, 0);
	if (fd < 0) {
		*reterr = fd;
		return NULL;
	}
	r = raw_fstat(fd, &st);
	if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size < (off_t)(BOX_HEAD_BYTES + BOX_RING_FIRST + BOX_TAIL_BYTES) ||
		       st.st_size > (off_t)(BOX_HEAD_BYTES + 2 * MAILBOX_RCVBUF_MAX + BOX_TAIL_BYTES)))
		r = -EUCLEAN;
	if (r == 0) {
		p = raw_mmap((size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
		r = p ? 0 : -ENOMEM;
	}
	raw_close(fd);
	if (r == 0 && (((struct box *)p)->magic != BOX_MAGIC || ((struct box *)p)->key != key)) {
		raw_munmap(p, (size_t)st.st_size);
		r = -EUCLEAN;
	}
	if (r < 0) {
		*reterr = r;
		return NULL;
	}
	*ret_len = (size_t)st.st_size;
	return p;
}

static bool take_newest(struct box_entry *e, struct box_pin *ret)
{
	uint32_t i = atomic_load(&e->n_maps);

	if (i == 0 || i > MAPS_MAX)
		return false;
	ret->b = e->maps[i - 1].p;
	ret->len_bytes = e->maps[i - 1].len_bytes;
	ret->e = e;
	return true;
}

static void let_go(struct box_entry *e)
{
	atomic_fetch_sub(&e->pins, 1);
}

static void empty(struct box_entry *e)
{
	uint32_t maps = atomic_load(&e->n_maps);

	atomic_store(&e->key, 0);
	atomic_store(&e->n_maps, 0);
	for (uint32_t i = 0; i < maps && i < MAPS_MAX; i++)
		raw_munmap(e->maps[i].p, e->maps[i].len_bytes);
}

/* An entry of the set that nobody stands in, emptied; NULL: there is none. */
static struct box_entry *take_place(struct box_entry *set)
{
	uint32_t first = atomic_fetch_add(&next_victim, 1);

	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < WAYS; i++) {
			struct box_entry *e = &set[(first + i) % WAYS];
			uint32_t none = 0;

			if (pass == 0 && atomic_load(&e->key) != 0)
				continue;
			if (!atomic_compare_exchange_strong(&e->pins, &none, TAKEN))
				continue;
			empty(e);
			return e;
		}
	return NULL;
}

static int hold(const struct network *n, uint64_t key, struct box_pin *ret)
{
	struct box_entry *set = entries[key % SETS], *e;
	size_t len;
	void *p;
	int r = 0;

	for (int i = 0; i < WAYS; i++) {
		e = &set[i];
		if (atomic_load(&e->key) != key)
			continue;
		if (!(atomic_fetch_add(&e->pins, 1) & TAKEN) && atomic_load(&e->key) == key && take_newest(e, ret))
			return 0;
		let_go(e);
	}
	p = map_file(n, key, &len, &r);
	if (!p)
		return r;
	*ret = (struct box_pin){.b = p, .len_bytes = len};
	e = take_place(set);
	if (!e)
		return 0;
	e->maps[0].p = p;
	e->maps[0].len_bytes = len;
	atomic_store(&e->n_maps, 1);
	atomic_store(&e->key, key);
	atomic_fetch_sub(&e->pins, TAKEN - 1); /* pinned once, by us */
	ret->e = e;
	return 0;
}

static const uint8_t *tail(const struct box_pin *p)
{
	return (const uint8_t *)p->b + p->len_bytes - BOX_TAIL_BYTES;
}

int box_hold(const struct network *n, uint64_t key, struct box_pin *ret)
{
	int r = hold(n, key, ret);

	if (r < 0 || raw_readable(tail(ret)))
		return r;
	box_drop(ret);
	box_forget(key);
	return -EUCLEAN;
}

void box_drop(struct box_pin *p)
{
	if (p->e)
		let_go(p->e);
	else
		raw_munmap(p->b, p->len_bytes);
}

int box_pin(const struct network *n, uint64_t key, struct box_pin *ret)
{
	uint64_t ignored;
	int r = hold(n, key, ret);

	if (r < 0)
		return r;
	r = (int)raw_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)tail(ret), (long)&ret->sigmask, sizeof(ret->sigmask), 0,
			  0);
	if (r < 0) {
		box_drop(ret);
		box_forget(key);
		return -EUCLEAN;
	}
	memcpy(&ignored, tail(ret), sizeof(ignored));
	if (ignored != UINT64_MAX)
		(void)raw_sigmask_block_all();
	ret->me = lock_me();
	return 0;
}

int box_widen(const struct network *n, struct box_pin *p)
{
	uint64_t key = p->b->key;
	size_t len;
	void *wide;
	int r = 0;

	wide = map_file(n, key, &len, &r);
	if (!wide)
		return r;
	if (len <= p->len_bytes) {
		raw_munmap(wide, len);
		return -EUCLEAN; /* the ring says it is longer than its file */
	}
	if (p->e) {
		/* Under the mailbox's lock: no other thread of ours does this to the same entry now. */
		uint32_t i = atomic_load(&p->e->n_maps);

		if (i >= MAPS_MAX) {
			raw_munmap(wide, len);
			return -EUCLEAN;
		}
		p->e->maps[i].p = wide;
		p->e->maps[i].len_bytes = len;
		atomic_store(&p->e->n_maps, i + 1);
	} else {
		raw_munmap(p->b, p->len_bytes);
	}
	p->b = wide;
	p->len_bytes = len;
	return 0;
}

void box_unpin(struct box_pin *p)
{
	box_drop(p);
	raw_sigmask_restore(p->sigmask);
}

void box_forget(uint64_t key)
{
	struct box_entry *set = entries[key % SETS];

	for (int i = 0; i < WAYS; i++) {
		uint32_t none = 0;

		if (atomic_load(&set[i].key) != key || !atomic_compare_exchange_strong(&set[i].pins, &none, TAKEN))
			continue;
		if (atomic_load(&set[i].key) == key)
			empty(&set[i]);
		atomic_fetch_sub(&set[i].pins, TAKEN);
	}
}
