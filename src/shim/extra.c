/* src/shim/extra.c: values of socket options that have no room on the socket.
 *
 * A fixed table in this process's memory, keyed by SO_COOKIE, which the kernel never gives twice. It
 * survives fork (copied) and not exec or SCM_RIGHTS: a program that sets TCP_KEEPIDLE and hands the
 * socket to another reads the default there (docs/shim.md). Nothing that decides who gets a port or
 * where a connection goes is kept here, but for SO_BINDTODEVICE and IP_LOCAL_PORT_RANGE.
 *
 * As close() is not seen, entries are never freed; a full set gives up its oldest entry. No lock: a
 * key is taken by compare-and-swap, values are single words. A reader that meets an entry on its way
 * to another socket may read a default, never another socket's value: it looks at the key again.
 */
#include <stdatomic.h>

#include "shim/shim.h"

#define SETS 256
#define WAYS 4

struct entry {
	_Atomic uint64_t cookie; /* 0: free */
	_Atomic uint64_t known;	 /* bit e: value[e] was set */
	_Atomic int32_t value[EXTRA_N];
};
static_assert(EXTRA_N <= 64, "a bit each");
static_assert(EXTRA_V6_DONTFRAG + 1 == EXTRA_N, "EXTRA_N counts them");

static struct entry entries[SETS][WAYS];
static _Atomic uint32_t next_victim;

static struct entry *find(uint64_t cookie)
{
	struct entry *set = entries[cookie % SETS];

	for (int i = 0; i < WAYS; i++)
		if (atomic_load(&set[i].cookie) == cookie)
			return &set[i];
	return NULL;
}

static struct entry *take(uint64_t cookie)
{
	struct entry *set = entries[cookie % SETS], *e = find(cookie);

	for (int i = 0; !e && i < WAYS; i++) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&set[i].cookie, &none, cookie))
			return &set[i];
		if (none == cookie)
			return &set[i];
	}
	if (e)
		return e;
	e = &set[atomic_fetch_add(&next_victim, 1) % WAYS];
	atomic_store(&e->known, 0);
	atomic_store(&e->cookie, cookie);
	return e;
}

bool extra_get(uint64_t cookie, enum extra e, int32_t *ret)
{
	const struct entry *x = cookie ? find(cookie) : NULL;
	int32_t v;

	if (!x || !(atomic_load(&x->known) & (UINT64_C(1) << e)))
		return false;
	v = atomic_load(&x->value[e]);
	if (atomic_load(&x->cookie) != cookie)
		return false;
	*ret = v;
	return true;
}

void extra_put(uint64_t cookie, enum extra e, int32_t value)
{
	struct entry *x;

	if (!cookie)
		return;
	x = take(cookie);
	atomic_store(&x->value[e], value);
	atomic_fetch_or(&x->known, UINT64_C(1) << e);
}

void extra_copy(uint64_t from, uint64_t to)
{
	int32_t v;

	for (int e = 0; e < EXTRA_N; e++)
		if (extra_get(from, (enum extra)e, &v))
			extra_put(to, (enum extra)e, v);
}
