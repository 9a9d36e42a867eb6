/* src/shim/extra.c: values of socket options that have no room on the socket.
 *
 * One file of the network, `values`, mapped by every process that needs it and keyed by SO_COOKIE, which the
 * kernel never gives twice: so a value is there for whoever holds the socket, after fork, exec and SCM_RIGHTS.
 *
 *     page 0     magic; one bit for each further page that is there for good
 *     sets       of 8 entries: cookie, whose socket it is, 14 words. A socket may have several entries
 *     a word     63 used | 60 level | 52 option | 48 part | 32 octets in all | 0 four octets of it
 *
 * The file is made long with nothing behind it; a page is made real before it is first written
 * (MADV_POPULATE_WRITE: a full disk is an answer and not SIGBUS), and only real ones are read. Whether somebody has cut
 * the file short is asked of its last page before each use.
 * Before each use the kernel is asked whether the file is still so long: who cut it short costs values, no program.
 * No lock: an entry is taken by compare-and-swap of its cookie, a word is stored whole. An option of more than
 * four octets is several words; two threads that set the same one at the same moment may mix them.
 * close() is not seen, so entries of dead sockets stay until their set is full: then the kernel is asked which
 * are dead. Anybody of this user may scribble here: what is read is only ever given back to a program as an
 * option's value, or judged as one that a program set.
 *
 * Where the file cannot be had (another user's by now, no disk, another root), or a set is full of living
 * sockets, this process's memory is used instead: a value is then known here and in what it forks.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/shim.h"

#define FILE_SETS 8192u
#define OWN_SETS 128u
#define WAYS 8u
#define WORDS 14u
#define PAGE 4096u
#define FILE_MAGIC UINT64_C(0x0a76657274620a8b)
#define FILE_OCTETS (PAGE + (size_t)FILE_SETS * WAYS * sizeof(struct entry))
#define USED (UINT64_C(1) << 63)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct entry {
	_Atomic uint64_t cookie; /* 0: free */
	_Atomic uint64_t whose;	 /* network namespace and inode, for asking whether it lives */
	_Atomic uint64_t word[WORDS];
};
static_assert(sizeof(struct entry) == 128, "whole entries fill a page");

struct head {
	_Atomic uint64_t magic;
	_Atomic uint64_t real[FILE_SETS * WAYS * sizeof(struct entry) / PAGE / 64];
};
static_assert(sizeof(struct head) <= PAGE, "the head is a page");

static struct entry own[OWN_SETS][WAYS];
static _Atomic(uint8_t *) file; /* NULL: not asked for yet */
static uint8_t no_file[1];	/* where it points when it cannot be had */
static _Atomic uint32_t next_victim;

static uint32_t hash(uint64_t cookie, uint32_t n_sets)
{
	return (uint32_t)((cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % n_sets;
}

static bool make_page(uint8_t *p)
{
	return sys_call(SYS_madvise, (long)p, PAGE, MADV_POPULATE_WRITE, 0, 0) == 0;
}

/* Its head, its last page (where a cut is noticed) and its magic number. */
static bool set_up(uint8_t *p)
{
	uint64_t none = 0;

	if (!make_page(p) || !make_page(p + FILE_OCTETS - PAGE))
		return false;
	return atomic_compare_exchange_strong(&((struct head *)p)->magic, &none, FILE_MAGIC) || none == FILE_MAGIC;
}

static struct head *file_head(void)
{
	uint8_t *p = atomic_load(&file), *had = NULL;
	struct shim *s;

	if (p)
		return p == no_file ? NULL : (struct head *)p;
	if (confined())
		return NULL; /* a filter of the program's own: no call that it does not make itself */
	s = shim_get();
	p = s && !s->err ? network_file_map(&s->net, "values", FILE_OCTETS) : NULL;
	if (p && !set_up(p)) {
		raw_munmap(p, FILE_OCTETS);
		p = NULL;
	}
	if (!atomic_compare_exchange_strong(&file, &had, p ? p : no_file)) {
		if (p)
			raw_munmap(p, FILE_OCTETS);
		p = had == no_file ? NULL : had;
	}
	return (struct head *)p;
}

/* Is the file so long still? Somebody may have cut it short, and a touch would be SIGBUS. */
static bool is_there(const void *page)
{
	return confined() || sys_call(SYS_madvise, (long)page, PAGE, MADV_POPULATE_READ, 0, 0) != -EFAULT;
}

/* Where a socket's entries may be: in the file (NULL: nowhere there), and in this process. */
struct place {
	struct entry *sets[2];
};

/* make: the page in the file is made real. */
static struct place place_of(uint64_t cookie, bool make)
{
	struct head *h = file_head();
	size_t at = (size_t)hash(cookie, FILE_SETS) * WAYS * sizeof(struct entry), page = at / PAGE;
	uint64_t bit = UINT64_C(1) << (page % 64);
	struct place ret = {{NULL, own[hash(cookie, OWN_SETS)]}};
	uint8_t *p;

	if (!h || !is_there(h))
		return ret;
	p = (uint8_t *)h + PAGE + page * PAGE;
	if (atomic_load_explicit(&h->real[page / 64], memory_order_acquire) & bit) {
		if (!is_there(p))
			return ret;
	} else {
		if (!make || confined() || sys_call(SYS_madvise, (long)p, PAGE, MADV_POPULATE_WRITE, 0, 0) < 0)
			return ret;
		atomic_fetch_or(&h->real[page / 64], bit);
	}
	ret.sets[0] = (struct entry *)(p + at % PAGE);
	return ret;
}

/* The n-th entry of the socket, the file's first. */
static struct entry *find(const struct place *at, uint64_t cookie, unsigned n)
{
	for (int k = 0; cookie && k < 2; k++)
		for (unsigned i = 0; at->sets[k] && i < WAYS; i++)
			if (atomic_load(&at->sets[k][i].cookie) == cookie && n-- == 0)
				return &at->sets[k][i];
	return NULL;
}

static bool take(struct entry *e, uint64_t was, const struct extra_id *id)
{
	if (!atomic_compare_exchange_strong(&e->cookie, &was, id->cookie))
		return false;
	atomic_store(&e->whose, id->whose);
	for (unsigned i = 0; i < WORDS; i++)
		atomic_store(&e->word[i], 0);
	return true;
}

static bool is_dead(const struct entry *e, uint64_t cookie)
{
	struct shim *s = shim_get();
	uint64_t whose = atomic_load(&e->whose);
	struct port_owner o = {.inode = (uint32_t)whose, .cookie = cookie, .netns = (uint32_t)(whose >> 32)};

	return s && !s->err && o.inode && network_owner_alive(&s->net, &o) == NETWORK_DEAD;
}

/* A new entry for the socket. */
static struct entry *make(const struct place *at, const struct extra_id *id)
{
	struct entry *set = at->sets[0];

	for (unsigned i = 0; set && i < WAYS; i++)
		if (!atomic_load(&set[i].cookie) && take(&set[i], 0, id))
			return &set[i];
	for (unsigned i = 0; set && i < WAYS; i++) {
		uint64_t was = atomic_load(&set[i].cookie);

		if (was != id->cookie && is_dead(&set[i], was) && take(&set[i], was, id))
			return &set[i];
	}
	set = at->sets[1];
	for (unsigned i = 0; i < WAYS; i++)
		if (!atomic_load(&set[i].cookie) && take(&set[i], 0, id))
			return &set[i];
	for (unsigned i = 0; i < WAYS; i++) {
		struct entry *e = &set[atomic_fetch_add(&next_victim, 1) % WAYS];
		uint64_t was = atomic_load(&e->cookie);

		if (was != id->cookie && take(e, was, id))
			return e;
	}
	return NULL;
}

static uint64_t word_of(int key, unsigned part, size_t len, uint32_t octets)
{
	return USED | (uint64_t)key << 52 | (uint64_t)part << 48 | (uint64_t)len << 32 | octets;
}

static bool is_part(uint64_t w, int key, unsigned part)
{
	return w >> 48 == word_of(key, part, 0, 0) >> 48;
}

static void put_word(const struct place *at, const struct extra_id *id, int key, unsigned part, uint64_t w)
{
	struct entry *e;

	for (unsigned n = 0; (e = find(at, id->cookie, n)) != NULL; n++)
		for (unsigned i = 0; i < WORDS; i++)
			if (is_part(atomic_load(&e->word[i]), key, part)) {
				atomic_store(&e->word[i], w);
				return;
			}
	for (unsigned n = 0; n < 2 * WAYS; n++) {
		e = find(at, id->cookie, n);
		if (!e)
			e = make(at, id);
		if (!e)
			return;
		for (unsigned i = 0; i < WORDS; i++) {
			uint64_t none = 0;

			if (atomic_compare_exchange_strong(&e->word[i], &none, w))
				return;
		}
	}
}

void extra_id_of(int fd, struct extra_id *ret)
{
	struct shim *s = shim_get();
	struct port_owner o = {0};

	if (!s || confined() || shim_owner(s, fd, &o) < 0)
		o.cookie = sock_cookie(fd);
	ret->cookie = o.cookie;
	ret->whose = (uint64_t)o.netns << 32 | (uint32_t)o.inode;
}

void extra_put_octets(const struct extra_id *id, int key, const void *val, size_t len)
{
	uint8_t v[EXTRA_OCTETS_MAX] = {0};
	struct place place;

	if (!id->cookie || key <= 0 || key > EXTRA_KEY_MAX || len > sizeof(v))
		return;
	memcpy(v, val, len);
	place = place_of(id->cookie, true);
	for (size_t at = 0; at == 0 || at < len; at += 4) {
		uint32_t four;

		memcpy(&four, v + at, sizeof(four));
		put_word(&place, id, key, (unsigned)(at / 4), word_of(key, (unsigned)(at / 4), len, four));
	}
}

bool extra_get_octets(uint64_t cookie, int key, uint8_t ret[EXTRA_OCTETS_MAX], size_t *ret_len)
{
	struct place place = place_of(cookie, false);
	bool found = false;
	struct entry *e;

	for (unsigned n = 0; (e = find(&place, cookie, n)) != NULL; n++)
		for (unsigned i = 0; i < WORDS; i++) {
			uint64_t w = atomic_load(&e->word[i]);
			unsigned part = (unsigned)(w >> 48) & 0xf;
			uint32_t four = (uint32_t)w;

			if (!is_part(w, key, part) || part * 4 >= EXTRA_OCTETS_MAX)
				continue;
			memcpy(ret + (size_t)part * 4, &four, sizeof(four));
			if (part == 0) {
				found = true;
				*ret_len = (w >> 32) & 0xff;
			}
		}
	return found && *ret_len <= EXTRA_OCTETS_MAX && find(&place, cookie, 0);
}

bool extra_get(uint64_t cookie, enum extra e, int32_t *ret)
{
	uint8_t v[EXTRA_OCTETS_MAX] = {0};
	size_t len;

	if (!extra_get_octets(cookie, (int)e, v, &len))
		return false;
	memcpy(ret, v, sizeof(*ret));
	return true;
}

bool extra_next(uint64_t cookie, unsigned *at, int *ret_key)
{
	struct place place = place_of(cookie, false);
	struct entry *e;

	for (; (e = find(&place, cookie, *at / WORDS)) != NULL; ++*at) {
		uint64_t w = atomic_load(&e->word[*at % WORDS]);

		if (w & USED && ((w >> 48) & 0xf) == 0) {
			*ret_key = (int)(w >> 52) & EXTRA_KEY_MAX;
			++*at;
			return true;
		}
	}
	return false;
}
