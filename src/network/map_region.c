/* src/network/map_region.c: a host's part of the network's file: made, grown into, given back.
 *
 * Growing takes no descriptor and no path: a program that became another user, or changed its root, can do
 * it. The file is made MAP_LEN_SPARSE long with nothing behind most of it; a new region's pages are made
 * real by madvise(MADV_POPULATE_WRITE) through the mapping, which says EFAULT where a touch would be SIGBUS
 * (a full disk). Everything below the highest region ever made is real (regions are made upwards), so what
 * is believed is never a hole. Only beyond MAP_LEN_SPARSE is the file opened and made longer.
 */
#include <sys/resource.h>

#include "base/siphash.h"
#include "network/internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static uint64_t region_sum(const struct network *n, uint64_t off, uint64_t len_bytes, uint32_t host)
{
	struct siphash_key k = siphash_key_from(n->key);
	uint64_t m[3] = {off, len_bytes, host};

	return siphash13(&k, m, sizeof(m));
}

/* Everything below the end of a region is real. */
static void raise_real(struct network *n, uint64_t end)
{
	uint64_t was = atomic_load(&n->real_bytes);

	while (was < end && !atomic_compare_exchange_weak(&n->real_bytes, &was, end))
		continue;
}

bool region_ok(struct network *n, uint32_t host, uint64_t off, uint64_t len_bytes)
{
	const struct map_region *g;

	if (off % PAGE_BYTES || len_bytes % PAGE_BYTES || off < MAP_REGIONS_OFF || len_bytes == 0 ||
	    off > MAP_LEN_MAX || len_bytes > MAP_LEN_MAX || map_extend(n, off + len_bytes) < 0)
		return false;
	g = (const void *)(map_base(n) + off);
	if (off + len_bytes > atomic_load(&n->real_bytes) && !raw_readable(g))
		return false; /* a hole on a full disk */
	if (g->magic != REGION_MAGIC || g->len_bytes != len_bytes || g->host != host ||
	    g->sum != region_sum(n, off, len_bytes, host))
		return false;
	raise_real(n, off + len_bytes);
	return true;
}

uint64_t region_says(struct network *n, uint64_t off)
{
	const struct map_region *g;

	if (off % PAGE_BYTES || off < MAP_REGIONS_OFF || off > MAP_LEN_MAX || map_extend(n, off + PAGE_BYTES) < 0)
		return 0;
	g = (const void *)(map_base(n) + off);
	if (off + PAGE_BYTES > atomic_load(&n->real_bytes) && !raw_readable(g))
		return 0;
	return g->magic == REGION_MAGIC ? g->len_bytes : 0;
}

static void region_mark(struct network *n, uint32_t host, uint64_t off, uint64_t len_bytes)
{
	struct map_region *g = (void *)(map_base(n) + off);

	*g = (struct map_region){.magic = REGION_MAGIC,
				 .len_bytes = len_bytes,
				 .host = host,
				 .sum = region_sum(n, off, len_bytes, host)};
}

/* A region there, whosever it is? Its length; 0: none. */
static uint64_t region_at(struct network *n, uint64_t off)
{
	uint64_t len = region_says(n, off);
	const struct map_region *g = (const void *)(map_base(n) + off);

	return len && region_ok(n, g->host, off, len) ? len : 0;
}

/* The first octet after every region: those there is a record of, and from there upwards those that lie
 * without a gap (given back, or between their making and their record). Return: 0; negative errno, a record
 * speaks of what this process may not map, and it cannot tell. */
static int regions_end(struct network *n, uint64_t *ret)
{
	uint64_t end = atomic_load(&n->real_bytes), len;
	int r;

	if (end < MAP_REGIONS_OFF)
		end = MAP_REGIONS_OFF;
	for (uint32_t i = 0; i < NETWORK_HOSTS_MAX; i++) {
		const struct map_host *h = (const void *)(map_base(n) + MAP_HOSTS_OFF + i * sizeof(*h));
		uint64_t off = h->table_off;

		len = h->table_len_bytes;
		if (off == 0 || off > MAP_LEN_MAX || len > MAP_LEN_MAX - off || off + len <= end)
			continue;
		r = map_extend(n, off + len);
		if (r < 0 && r != -EUCLEAN)
			return r;
		if (r == 0 && region_ok(n, i, off, len))
			end = off + len;
	}
	while ((len = region_at(n, end)) != 0)
		end += len;
	*ret = end;
	return 0;
}

/* Make a file of `real` octets longer, with holes, and the last page of each possible view real. Where a file
 * may not be so long (RLIMIT_FSIZE, a file system without holes) it is as long as it is, and growing
 * opens it each time. */
void map_sparse(int fd, uint64_t real)
{
	uint64_t end = real < MAP_LEN_SPARSE ? MAP_LEN_SPARSE : map_view_len(real);

	if (file_too_long(end) || end > MAP_LEN_MAX)
		return;
	for (uint64_t len = MAP_VIEW_FIRST; len <= end; len *= 2)
		if (len > real && raw_fallocate(fd, 0, len - PAGE_BYTES, PAGE_BYTES) < 0)
			return;
}

/* Make [off, end) of the mapping real. Return: 0; -ENOSPC, it cannot be: the disk is full, or the file ends. */
static int populate(struct network *n, uint64_t off, uint64_t end)
{
	uint8_t *map = map_base(n);
	long r;

	do
		r = raw_call(SYS_madvise, (long)(map + off), (long)(end - off), MADV_POPULATE_WRITE, 0, 0, 0);
	while (r == -EINTR || r == -EAGAIN);
	if (r != -EINVAL) /* a kernel before 5.14 does not know it */
		return r < 0 ? -ENOSPC : 0;
	/* Let the kernel write a word of each page for us: EFAULT where we would have died. */
	for (uint64_t at = off; at < end; at += PAGE_BYTES)
		if (raw_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)(map + at), sizeof(uint64_t), 0, 0) < 0)
			return -ENOSPC;
	return 0;
}

static int grow_file(struct network *n, uint64_t end)
{
	struct stat st;
	int dir = dir_reopen(n), fd, r;

	if (dir < 0)
		return dir;
	fd = raw_openat(dir, "table", O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	raw_close(dir);
	if (fd < 0)
		return fd;
	r = raw_fstat(fd, &st);
	if (r < 0)
		goto out;
	r = file_reserve(fd, end);
	if (r == 0 && (uint64_t)st.st_size < end)
		map_sparse(fd, end);
out:
	raw_close(fd);
	return r;
}

/* A view that reaches `end`, and everything from off to there real. */
static int make_real(struct network *n, uint64_t off, uint64_t end)
{
	int r = map_extend(n, end);

	if (r == 0)
		r = populate(n, off, end);
	if (r == 0 || (r != -EUCLEAN && r != -ENOSPC))
		return r;
	r = grow_file(n, end);
	if (r == 0)
		r = map_extend(n, end);
	return r;
}

static int region_new_locked(struct network *n, uint32_t host, uint64_t len_bytes, uint64_t *ret_off)
{
	struct map_header *hd = (void *)map_base(n);
	uint64_t off;
	int r;

	for (uint32_t i = 0; i < COUNT_OF(hd->free_off); i++) {
		off = atomic_load(&hd->free_off[i]);
		if (off && region_ok(n, REGION_FREE, off, len_bytes)) {
			hd = (void *)map_base(n);
			atomic_store(&hd->free_off[i], 0);
			region_mark(n, host, off, len_bytes);
			*ret_off = off;
			return 0;
		}
	}
	r = regions_end(n, &off);
	if (r < 0)
		return r;
	if (off + len_bytes > MAP_LEN_MAX)
		return -ENOSPC;
	r = make_real(n, off, off + len_bytes);
	if (r < 0)
		return r;
	hd = (void *)map_base(n);
	region_mark(n, host, off, len_bytes);
	atomic_store(&hd->alloc_end, off + len_bytes);
	*ret_off = off;
	return 0;
}

int region_new(struct network *n, uint32_t host, uint64_t len_bytes, uint64_t *ret_off)
{
	uint64_t me = lock_me();
	struct map_header *hd = map_header(n);
	int r = hd ? map_lock_take(&hd->lock, me, NULL) : -EUCLEAN;

	if (r < 0)
		return r;
	r = region_new_locked(n, host, len_bytes, ret_off);
	map_lock_give(&hd->lock, me); /* the same word, through an older mapping perhaps */
	return r;
}

void region_free(struct network *n, uint64_t off, uint64_t len_bytes)
{
	struct map_header *hd = (void *)map_base(n);

	region_mark(n, REGION_FREE, off, len_bytes);
	for (uint32_t i = 0; i < COUNT_OF(hd->free_off); i++) {
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&hd->free_off[i], &none, off))
			return;
	}
	/* The list is full: its space is lost until the network is made again. */
}
