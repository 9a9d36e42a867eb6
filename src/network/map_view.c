/* src/network/map_view.c: the network's file as this process maps it, and looking before touching (decision 9).
 *
 * The file may be cut short or overwritten by anybody of our uid. Each use begins with map_get(), which
 * has the kernel touch the mapping's end for us and compares what never changes with our own copy;
 * what is wrong is mended first (map.c).
 *
 * A process maps MAP_VIEW_FIRST of it at first and more when it meets a region beyond: mremap() of a shared
 * mapping with an old size of zero maps the same file anew, larger. Old mappings stay, other threads may be
 * reading there; views double, so they are few. Where the address space is limited a view is what is used.
 * A view's last page is real from the beginning: touching it tells that the file was not cut short.
 */
#include "network/internal.h"

static uint64_t view_of(const uint8_t *map, uint64_t len_bytes)
{
	uint64_t page = (uintptr_t)map / PAGE_BYTES;

	ASSERT(page >> MAP_VIEW_PAGE_BITS == 0 && len_bytes % PAGE_BYTES == 0 && len_bytes <= MAP_LEN_MAX);
	return (len_bytes / PAGE_BYTES) << MAP_VIEW_PAGE_BITS | page;
}

/* Have the kernel look whether the file is whole, in a system call that reads a number from memory anyway and writes
 * the same number back: the length it is given is in a private copy of the last of the pages that hold the hosts'
 * records, and a private copy goes when its page of the file does. The page stays where it is: a thread may be asking
 * just now. It is mapped with all before it, and before the file is: a kernel that cuts a file goes through its mappings by
 * where they begin, then by age, so that this one goes first and not some ten microseconds after what is to be touched. */
uint32_t *map_prepare_asking(struct network *n, int fd)
{
	uint32_t *was = atomic_exchange(&n->asked, NULL);
	uint8_t *at = was ? (uint8_t *)(was + 1) - MAP_RUNS_OFF : NULL;
	long r = raw_call(SYS_mmap, (long)at, (long)MAP_RUNS_OFF, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_NORESERVE | (was ? MAP_FIXED : 0), fd, 0);

	return r < 0 && r > -4096 ? was : (uint32_t *)(r + (long)MAP_RUNS_OFF) - 1;
}

bool network_ask(const struct network *n, int fd, uint64_t *ret_cookie)
{
	uint32_t *len = atomic_load_explicit(&n->asked, memory_order_relaxed), own = sizeof(*ret_cookie);
	long r = -EFAULT;

	if (len)
		r = raw_pass(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, (long)ret_cookie, (long)len);
	if (r == 0)
		return true;
	if (raw_pass(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, (long)ret_cookie, (long)&own) < 0)
		*ret_cookie = 0;
	else if (r ==
		 -EINVAL) { /* the page is there (again), without a number of ours: any that is large enough will do */
		own = sizeof(*len);
		(void)raw_pass(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, (long)len, (long)&own);
	}
	return false;
}

/* A mended file's mapping replaces whatever there was. */
void map_publish(struct network *n, uint8_t *map, uint64_t len_bytes)
{
	atomic_store(&n->real_bytes, 0);
	atomic_store(&n->view, view_of(map, len_bytes));
}

/* A grown file's mapping never replaces a longer one, which another thread made meanwhile. */
static void publish_longer(struct network *n, uint8_t *map, uint64_t len_bytes)
{
	uint64_t was = atomic_load(&n->view), mine = view_of(map, len_bytes);

	while (was >> MAP_VIEW_PAGE_BITS < mine >> MAP_VIEW_PAGE_BITS)
		if (atomic_compare_exchange_weak(&n->view, &was, mine))
			return;
	raw_munmap(map, len_bytes); /* nobody has seen it */
}

static bool map_sound(struct network *n, uint8_t *map, size_t len)
{
	const struct map_fixed *f = (const void *)map;

	return map && len >= MAP_LEN_FIRST && raw_readable(map + len - 8) && f->magic == MAP_MAGIC &&
	       f->version == NETWORK_FORMAT_VERSION && memcmp(f->key, n->key, sizeof(n->key)) == 0;
}

uint8_t *map_get(struct network *n, size_t *ret_len_bytes)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		uint64_t view = atomic_load(&n->view);
		size_t len = (view >> MAP_VIEW_PAGE_BITS) * PAGE_BYTES;
		uint8_t *map = (uint8_t *)(uintptr_t)((view & ((UINT64_C(1) << MAP_VIEW_PAGE_BITS) - 1)) * PAGE_BYTES);

		if (map_sound(n, map, len)) {
			if (ret_len_bytes)
				*ret_len_bytes = len;
			return map;
		}
		if (map_mend(n, NULL) < 0)
			return NULL;
	}
	return NULL;
}

struct map_header *map_header(struct network *n)
{
	return (void *)map_get(n, NULL);
}

struct map_host *map_host(struct network *n, uint32_t host)
{
	uint8_t *map = host < NETWORK_HOSTS_MAX ? map_get(n, NULL) : NULL;

	return map ? (void *)(map + MAP_HOSTS_OFF + host * sizeof(struct map_host)) : NULL;
}

struct map_run *map_run(struct network *n, uint32_t run)
{
	uint8_t *map = run < MAP_RUNS ? map_get(n, NULL) : NULL;

	return map ? (void *)(map + MAP_RUNS_OFF + run * sizeof(struct map_run)) : NULL;
}

/* How long a view that reaches `end` should be. */
uint64_t map_view_len(uint64_t end)
{
	uint64_t len = MAP_VIEW_FIRST;

	while (len < end)
		len *= 2;
	return len;
}

int map_extend(struct network *n, uint64_t end)
{
	uint64_t want;
	long r;

	if (end <= map_len(n))
		return 0;
	if (end > MAP_LEN_MAX)
		return -EUCLEAN;
	end = PAGE_UP(end);
	want = map_view_len(end);
	if (want > MAP_LEN_MAX)
		want = end;
	for (;;) {
		r = raw_call(SYS_mremap, (long)map_base(n), 0, (long)want, MREMAP_MAYMOVE, 0, 0);
		if (r >= 0 || r <= -4096) {
			if (raw_readable((uint8_t *)r + want - 8))
				break;
			raw_munmap((void *)r, want);
			r = -EUCLEAN; /* the file ends before */
		}
		if (want == end)
			return (int)r;
		want = end;
	}
	publish_longer(n, (void *)r, want);
	return 0;
}

/* Map the open file: as much as a view should have, else what is used. NULL: not even that. */
uint8_t *map_view(int fd, uint64_t size, uint64_t used, uint64_t *ret_len)
{
	uint64_t len = size < MAP_VIEW_FIRST ? size - size % PAGE_BYTES : map_view_len(used);
	uint8_t *map;

	if (len > size)
		len = size - size % PAGE_BYTES; /* somebody is cutting it just now, or nobody may make it longer */
	map = raw_mmap(len, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	if (!map) {
		len = used;
		map = raw_mmap(len, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	}
	if (!map)
		return NULL;
	/* Nobody's core file is to have it, should the network be removed under the program. */
	(void)raw_call(SYS_madvise, (long)map, (long)len, MADV_DONTDUMP, 0, 0, 0);
	*ret_len = len;
	return map;
}
