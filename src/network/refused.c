/* src/network/refused.c: who was refused the way out, how often and when.
 *
 * A table of MAP_REFUSED records in the network's map. What a record is about (program's name, host, protocol,
 * destination, rule) has a keyed sum, its tag; the tag says where the record may be, in PROBES places from there on.
 * Who is refused looks for its tag and adds one; else it takes a free place, or of the places the one whose
 * last refusal is longest ago.
 *
 *     tag   claimed by compare-and-exchange: whose place it is
 *     stamp the same number once the rest is written; before, and when they differ, there is nothing to read
 *
 * Nobody locks and nobody waits: a refused program may be a signal handler, or be stopped half way. One
 * that is killed after it took a place leaves a record without a stamp; the next with that tag writes it. Two that
 * take one another's place at the same moment lose a count. Garbage does not add up to its tag and is not shown.
 */
#include "base/siphash.h"
#include "network/internal.h"
#include "network/policy.h"

#define PROBES 8u

static uint64_t real_us(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What the record is about: never 0. */
static uint64_t tag_of(const struct network *n, const struct map_refused *r)
{
	struct siphash_key k = siphash_key_from(n->key);
	uint64_t sum = siphash13(&k, &r->err, sizeof(*r) - offsetof(struct map_refused, err));

	return sum ? sum : 1;
}

static struct map_refused *records(struct network *n)
{
	uint8_t *map = map_get(n, NULL);

	return map ? (void *)(map + MAP_REFUSED_OFF) : NULL;
}

static void write_down(struct map_refused *to, const struct map_refused *what, uint64_t tag)
{
	atomic_store(&to->stamp, 0);
	memcpy(&to->err, &what->err, sizeof(*what) - offsetof(struct map_refused, err));
	atomic_store(&to->stamp, tag);
}

/* The place of this tag, taken if need be. NULL: others were quicker, each time. */
static struct map_refused *place_of(struct map_refused *all, const struct map_refused *what, uint64_t tag, uint64_t now)
{
	for (unsigned attempt = 0; attempt < 4; attempt++) {
		struct map_refused *oldest = NULL;
		uint64_t had;

		for (uint32_t i = 0; i < PROBES; i++) {
			struct map_refused *r = &all[(tag + i) % MAP_REFUSED];

			if (atomic_load(&r->tag) == tag)
				return r;
			if (!oldest ||
			    (atomic_load(&oldest->tag) &&
			     (!atomic_load(&r->tag) || atomic_load(&r->last_us) < atomic_load(&oldest->last_us))))
				oldest = r;
		}
		had = atomic_load(&oldest->tag);
		if (!atomic_compare_exchange_strong(&oldest->tag, &had, tag))
			continue;
		atomic_store(&oldest->stamp, 0);
		atomic_store(&oldest->count, 0);
		atomic_store(&oldest->first_us, now);
		write_down(oldest, what, tag);
		return oldest;
	}
	return NULL;
}

void network_refused_put(struct network *n, const struct network_refused *refused)
{
	struct map_refused what, *all = records(n), *r;
	uint64_t tag, now = real_us();

	if (!all)
		return;
	memset(&what, 0, sizeof(what));
	what.err = refused->err;
	what.host = refused->host;
	what.proto = (uint8_t)refused->proto;
	what.port = refused->port;
	memcpy(what.comm, refused->comm, strnlen(refused->comm, sizeof(what.comm) - 1));
	what.addr = refused->addr;
	what.by = refused->by;
	tag = tag_of(n, &what);
	r = place_of(all, &what, tag, now);
	if (!r)
		return;
	if (atomic_load(&r->stamp) != tag)
		write_down(r, &what, tag);
	atomic_fetch_add(&r->count, 1);
	atomic_store(&r->last_us, now);
	atomic_store(&r->pid, refused->pid);
}

bool network_refused_next(struct network *n, uint32_t *cursor, struct network_refused *ret)
{
	struct map_refused *all = records(n);

	while (all && *cursor < MAP_REFUSED) {
		struct map_refused *r = &all[(*cursor)++], copy;
		uint64_t tag = atomic_load(&r->tag);

		if (!tag || atomic_load(&r->stamp) != tag)
			continue;
		memcpy(&copy.err, &r->err, sizeof(copy) - offsetof(struct map_refused, err));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load(&r->stamp) != tag || tag_of(n, &copy) != tag || copy.proto >= PORT_NPROTOS ||
		    copy.host >= NETWORK_HOSTS_MAX || !port_policy_refusal_sane(&copy.by))
			continue;
		*ret = (struct network_refused){.count = atomic_load(&r->count),
						.first_us = atomic_load(&r->first_us),
						.last_us = atomic_load(&r->last_us),
						.host = copy.host,
						.pid = atomic_load(&r->pid),
						.err = copy.err,
						.proto = (enum port_proto)copy.proto,
						.addr = copy.addr,
						.port = copy.port,
						.by = copy.by};
		memcpy(ret->comm, copy.comm, sizeof(ret->comm) - 1);
		return true;
	}
	return false;
}
