/* src/network/map.c: the network's file: making it, opening it, mending and removing it (decision 9).
 *
 * Whoever makes a network builds it whole in a directory beside and renames that into place; who comes
 * second finds a non-empty directory there and uses it.
 *
 * What somebody cut short or overwrote is mended from `hosts`, under a flock of the directory. Space is reserved before
 * it is used, so a full disk is an error code.
 *
 * How it is mapped: map_view.c. The hosts' parts of it: map_region.c.
 */
#include <sys/file.h>

#include "base/siphash.h"
#include "network/internal.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

uint32_t map_layout(void)
{
	return (uint32_t)(sizeof(struct port_claim) * 31 + sizeof(struct map_run) * 131 + port_table_size(64) * 1031 +
			  sizeof(struct map_header) * 7 + MAP_REGIONS_OFF * 3 +
			  (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__));
}

uint64_t map_fixed_sum(const struct map_fixed *f)
{
	struct siphash_key k = {UINT64_C(0x6265727468), 1}; /* a checksum, not a secret */
	struct map_fixed copy = *f;

	copy.sum = 0;
	return siphash13(&k, &copy, sizeof(copy));
}

void map_fixed_fill(struct map_fixed *f)
{
	f->magic = MAP_MAGIC;
	f->version = NETWORK_FORMAT_VERSION;
	f->layout = map_layout();
	f->sum = map_fixed_sum(f);
}

static void take_fixed(struct network *n, const struct map_fixed *f)
{
	memcpy(n->key, f->key, sizeof(n->key));
	n->net4 = f->net4;
	n->net6 = f->net6;
	n->prefix4_bits = f->prefix4_bits;
	n->prefix6_bits = f->prefix6_bits;
	n->created_unix_s = f->created_unix_s;
	n->privileged_deny = f->privileged_deny != 0;
}

/* --- mending --- */

static int flock_bounded(int fd)
{
	uint64_t start = boot_ns();
	int r;

	while ((r = raw_flock(fd, LOCK_EX | LOCK_NB)) == -EWOULDBLOCK || r == -EINTR) {
		if (boot_ns() - start > UINT64_C(5000000000))
			return -ETIMEDOUT;
		raw_sleep_us(2000);
	}
	return r;
}

/* Is the old mapping one of this very file, whole? Told by a number written through the descriptor. */
static bool same_file(struct network *n, int fd)
{
	uint8_t *map = map_base(n);
	size_t len = map_len(n);
	uint32_t nonce = 0;

	if (!map || !raw_readable(map + len - 8) || raw_getrandom(&nonce, sizeof(nonce)) != (int)sizeof(nonce) ||
	    raw_pwrite(fd, &nonce, sizeof(nonce), offsetof(struct map_header, run_pad)) != (long)sizeof(nonce))
		return false;
	return atomic_load(&((struct map_header *)(void *)map)->run_pad) == nonce;
}

static int mend_file(struct network *n, int dir, int fd, struct hosts_file *f, struct network_error *reterr)
{
	struct map_header *hd;
	struct map_fixed had;
	uint64_t real = MAP_LEN_FIRST, me = lock_me();
	struct stat st;
	int r = raw_fstat(fd, &st), locked;

	if (r < 0 || !S_ISREG(st.st_mode))
		return error_say(reterr, r < 0 ? r : -EUCLEAN, n->dir, "/table is not a file", NULL);
	if ((uint64_t)st.st_size > MAP_LEN_MAX) { /* nobody made it so long but to harm */
		r = (int)raw_call(SYS_ftruncate, fd, (long)MAP_LEN_FIRST, 0, 0, 0, 0);
		if (r < 0)
			return error_say(reterr, r, n->dir, "/table has a senseless size and cannot be cut", NULL);
		st.st_size = (off_t)MAP_LEN_FIRST;
	}
	r = file_reserve(fd, real);
	if (r == 0) {
		map_sparse(fd, PAGE_UP((uint64_t)st.st_size) > real ? PAGE_UP((uint64_t)st.st_size) : real);
		if (map_len(n)) /* the page by which our own view, of whatever length, is told to be whole */
			r = raw_fallocate(fd, 0, map_len(n) - PAGE_BYTES, PAGE_BYTES);
		if (r == -EOPNOTSUPP || r == -ENOSYS)
			r = file_reserve(fd, map_len(n));
	}
	if (r < 0)
		return error_because(reterr, r, n->dir, "/table cannot be given its space");
	if (raw_pread(fd, &had, sizeof(had), 0) != (long)sizeof(had) || memcmp(&had, &f->fixed, sizeof(had)) != 0) {
		long w = raw_pwrite(fd, &f->fixed, sizeof(f->fixed), 0);

		if (w != (long)sizeof(f->fixed))
			return error_because(reterr, w < 0 ? (int)w : -EIO, n->dir, "/table cannot be written");
	}
	if (!same_file(n, fd)) {
		uint32_t *asked = map_prepare_asking(n, fd);
		uint64_t len;
		uint8_t *map;

		r = raw_fstat(fd, &st);
		map = r < 0 ? NULL : map_view(fd, (uint64_t)st.st_size, real, &len);
		if (!map)
			return error_because(reterr, -ENOMEM, n->dir, "/table cannot be mapped");
		map_publish(n, map, len);
		atomic_store(&n->asked, asked);
	}
	atomic_store(&n->real_bytes, 0);
	take_fixed(n, &f->fixed);
	hd = (void *)map_base(n);
	/* Somebody may be adding a host: the file first, then the records; so we read it under the lock.
	 * A lock that cannot be had in time is one more damaged thing. */
	locked = map_lock_take(&hd->lock, me, NULL);
	r = hosts_read(dir, f, reterr);
	if (r == 0)
		hosts_restore(n, f, NETWORK_HOSTS_MAX);
	if (locked >= 0)
		map_lock_give(&hd->lock, me);
	return r;
}

int map_mend(struct network *n, struct network_error *reterr)
{
	static const size_t names_bytes = (size_t)NETWORK_HOSTS_MAX * NETWORK_NAME_MAX;
	uint64_t sigmask = raw_sigmask_block_all();
	struct hosts_file f;
	int r, dir = dir_open_checked(AT_FDCWD, n->dir, n->dir, reterr), fd = -1;

	f.names = NULL;
	r = dir;
	if (r < 0)
		goto out;
	r = flock_bounded(dir);
	if (r < 0) {
		error_say(reterr, r, n->dir, ": somebody has been mending it for too long", NULL);
		goto out;
	}
	f.names = raw_mmap(names_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	r = f.names ? hosts_read(dir, &f, reterr) : -ENOMEM;
	if (r < 0)
		goto out;
	fd = raw_openat(dir, "table", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? error_because(reterr, fd, n->dir, "/table cannot be opened") : mend_file(n, dir, fd, &f, reterr);
	if (fd >= 0)
		raw_close(fd);
	if (r == 0) {
		int s = raw_mkdirat(dir, "s", 0700);

		r = s == -EEXIST ? 0 : s;
	}
out:
	if (f.names)
		raw_munmap(f.names, names_bytes);
	if (dir >= 0)
		raw_close(dir);
	raw_sigmask_restore(sigmask);
	return r;
}

/* --- opening --- */

static void look_around(struct network *n)
{
	struct stat st;
	socklen_t len = sizeof(n->netns_cookie);
	int keep = errno, fd;

	n->netns = stat("/proc/self/ns/net", &st) == 0 ? (uint32_t)st.st_ino : 0;
	errno = keep;
	n->netns_cookie = 0;
	fd = (int)raw_pass(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return;
	if (raw_pass(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, (long)&n->netns_cookie, (long)&len) < 0)
		n->netns_cookie = 0;
	raw_close(fd);
}

static int refuse_version(const char *dir, uint32_t version, struct network_error *reterr)
{
	char text[160];
	struct text t = text_on(text, sizeof(text));

	text_str(&t, " has format ");
	text_u64(&t, version);
	text_str(&t, ", this berth speaks ");
	text_u64(&t, NETWORK_FORMAT_VERSION);
	text_str(&t, "; end its programs and remove it (berth net rm -f), or use the berth that made it");
	return error_say(reterr, -EPROTO, dir, text, NULL);
}

/* n->dir and n->name are set and the directory was checked. */
static int open_map(struct network *n, int dir, struct network_error *reterr)
{
	struct hosts_file f = {.names = NULL};
	struct map_header hd;
	struct map_fixed fixed;
	struct stat st;
	uint64_t len, used;
	uint32_t *asked;
	uint8_t *map;
	int r, fd;

	look_around(n);
	fd = dir < 0 ? reach_open_afar("table", O_RDWR, 0)
		     : raw_openat(dir, "table", O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0 && dir < 0)
		return fd;
	if (fd == -ENOENT) {
		r = raw_lstatat(dir, "hosts", &st);
		if (r < 0)
			return error_say(reterr, -EUCLEAN, n->dir, " is not a berth network (it has no hosts file)",
					 NULL);
		return map_mend(n, reterr);
	}
	if (fd < 0)
		return error_because(reterr, fd, n->dir, "/table cannot be opened");
	r = raw_fstat(fd, &st);
	if (r < 0)
		goto out;
	if (raw_pread(fd, &hd, sizeof(hd), 0) != (long)sizeof(hd) || hd.fixed.magic != MAP_MAGIC)
		goto mend;
	fixed = hd.fixed;
	used = atomic_load(&hd.alloc_end);
	if (fixed.version != NETWORK_FORMAT_VERSION || fixed.layout != map_layout()) {
		/* Another version, or garbage? The hosts file says which version made it. */
		static const size_t names_bytes = (size_t)NETWORK_HOSTS_MAX * NETWORK_NAME_MAX;
		bool summed = map_fixed_sum(&fixed) == fixed.sum;

		f.names = raw_mmap(names_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		r = f.names ? hosts_read(dir, &f, NULL) : -ENOMEM;
		if (f.names)
			raw_munmap(f.names, names_bytes);
		if (r == 0 && !summed)
			goto mend;
		if (fixed.version != NETWORK_FORMAT_VERSION)
			r = refuse_version(n->dir, fixed.version, reterr);
		else
			r = error_say(reterr, -EPROTO, n->dir,
				      " was made by a berth built for another layout; remove it, or use that berth",
				      NULL);
		goto out;
	}
	if (fixed.sum != map_fixed_sum(&fixed) || (uint64_t)st.st_size < MAP_LEN_FIRST ||
	    (uint64_t)st.st_size > MAP_LEN_MAX || st.st_size % PAGE_BYTES)
		goto mend;
	if (used < MAP_LEN_FIRST || used > (uint64_t)st.st_size || used % PAGE_BYTES)
		used = MAP_LEN_FIRST;
	asked = map_prepare_asking(n, fd);
	map = map_view(fd, (uint64_t)st.st_size, used, &len);
	if (!map) {
		r = error_because(reterr, -ENOMEM, n->dir, "/table cannot be mapped");
		goto out;
	}
	take_fixed(n, &fixed);
	map_publish(n, map, len);
	atomic_store(&n->asked, asked);
out:
	raw_close(fd);
	return r;
mend:
	raw_close(fd);
	return dir < 0 ? -EUCLEAN : map_mend(n, reterr); /* who can reach the folder mends it */
}

static void start(struct network *n)
{
	memset(n, 0, sizeof(*n));
}

int network_open_dir(struct network *n, const char *dir, struct network_error *reterr)
{
	size_t len = strlen(dir);
	const char *leaf;
	struct network_error err;
	int fd, up, r;

	start(n);
	if (dir[0] != '/' || len + PATH_LEAF_MAX + 8 > NETWORK_PATH_MAX)
		return error_say(reterr, -EINVAL, dir, " is not an absolute path of usable length", NULL);
	memcpy(n->dir, dir, len + 1);
	while (len > 1 && n->dir[len - 1] == '/')
		n->dir[--len] = '\0';
	leaf = strrchr(n->dir, '/') + 1;
	if (!network_name_ok(leaf))
		return error_say(reterr, -EINVAL, n->dir, " does not end in a network's name", NULL);
	memcpy(n->name, leaf, strlen(leaf) + 1);
	fd = dir_open_checked(AT_FDCWD, n->dir, n->dir, &err);
	if (fd < 0) {
		/* Another user by now, or another root: the supervisor of the tree opens the table for us. */
		if (open_map(n, -1, NULL) == 0)
			return 0;
		if (reterr)
			*reterr = err;
		return fd;
	}
	up = dir_open_checked(fd, "..", "the directory above the network's", reterr);
	r = up;
	if (up >= 0) {
		raw_close(up);
		r = open_map(n, fd, reterr);
	}
	raw_close(fd);
	return r;
}

/* Build a network in the directory `temp` of base: hosts, s/, table. */
static int build(struct network *n, int base, const char *temp, const struct network_options *o,
		 struct network_error *reterr)
{
	static const size_t names_bytes = (size_t)NETWORK_HOSTS_MAX * NETWORK_NAME_MAX;
	struct hosts_file f = {.names = NULL};
	struct map_policy policy;
	struct map_header hd;
	int dir, fd, r;

	if (o->policy)
		f.policy = *o->policy;
	r = hosts_choose(&f.fixed, o, reterr);
	if (r < 0)
		return r;
	r = raw_mkdirat(base, temp, 0700);
	if (r < 0)
		return error_because(reterr, r, n->dir, " cannot be made");
	dir = dir_open_checked(base, temp, n->dir, reterr);
	if (dir < 0)
		return dir;
	memset(&hd, 0, sizeof(hd));
	hd.fixed = f.fixed;
	atomic_store(&hd.alloc_end, MAP_REGIONS_OFF);
	f.names = raw_mmap(names_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	r = f.names ? hosts_write(dir, n->name, &f) : -ENOMEM;
	if (f.names)
		raw_munmap(f.names, names_bytes);
	if (r == 0)
		r = raw_mkdirat(dir, "s", 0700);
	if (r == 0) {
		fd = raw_openat(dir, "table", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		r = fd < 0 ? fd : file_reserve(fd, MAP_LEN_FIRST);
		if (r == 0)
			map_sparse(fd, MAP_LEN_FIRST);
		if (r == 0)
			r = write_all(fd, (const char *)&hd, sizeof(hd));
		policy_first(&f.fixed, &f.policy, &policy);
		if (r == 0 && raw_pwrite(fd, &policy, sizeof(policy), MAP_POLICY_OFF) != (long)sizeof(policy))
			r = -EIO;
		if (fd >= 0)
			raw_close(fd);
	}
	raw_close(dir);
	if (r < 0)
		return error_because(reterr, r, n->dir, " cannot be made");
	return 0;
}

int network_open(struct network *n, const char *name, const struct network_options *o, struct network_error *reterr)
{
	char temp[64];
	struct text t = text_on(temp, sizeof(temp)), d;
	uint64_t rnd = 0;
	int base, fd, r;

	start(n);
	if (!network_name_ok(name))
		return error_say(reterr, -EINVAL, name,
				 " is not a network's name: letters, digits and inner hyphens, at most 63", NULL);
	r = network_base_dir(o->create, n->dir, reterr);
	if (r < 0)
		return r;
	base = dir_open_checked(AT_FDCWD, n->dir, n->dir, reterr);
	if (base < 0)
		return base;
	d = (struct text){.s = n->dir, .len = strlen(n->dir), .size = sizeof(n->dir)};
	text_str(&d, "/");
	text_str(&d, name);
	memcpy(n->name, name, strlen(name) + 1);
	for (int attempt = 0; attempt < 8; attempt++) {
		fd = dir_open_checked(base, name, n->dir, reterr);
		if (fd >= 0) {
			r = open_map(n, fd, reterr);
			raw_close(fd);
			break;
		}
		r = fd;
		if (fd != -ENOENT || !o->create)
			break;
		(void)raw_getrandom(&rnd, sizeof(rnd));
		t = text_on(temp, sizeof(temp));
		text_str(&t, ".new-");
		text_u64(&t, (uint32_t)raw_getpid());
		text_str(&t, "-");
		text_hex(&t, rnd, 16);
		r = build(n, base, temp, o, reterr);
		if (r == 0)
			r = raw_renameat(base, temp, base, name);
		if (r < 0)
			(void)dir_remove_tree(base, temp);
		/* A network that somebody made meanwhile is not empty, and is as good as ours. */
		if (r < 0 && r != -ENOTEMPTY && r != -EEXIST)
			break;
	}
	raw_close(base);
	return r;
}

struct list {
	char (*names)[NETWORK_NAME_MAX];
	uint32_t n, max;
};

static int list_one(void *ctx, int dir, const char *name)
{
	struct list *l = ctx;
	char path[NETWORK_NAME_MAX + 8];
	struct text t = text_on(path, sizeof(path));
	struct stat st;

	text_str(&t, name);
	text_str(&t, "/hosts");
	if (!network_name_ok(name) || t.full || raw_lstatat(dir, path, &st) < 0)
		return 0;
	if (l->n < l->max)
		memcpy(l->names[l->n], name, strlen(name) + 1);
	l->n++;
	return 0;
}

int network_list(char (*names)[NETWORK_NAME_MAX], uint32_t max, struct network_error *reterr)
{
	char base[NETWORK_PATH_MAX];
	struct list l = {names, 0, max};
	int r = network_base_dir(false, base, reterr), fd;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	fd = dir_open_checked(AT_FDCWD, base, base, reterr);
	if (fd < 0)
		return fd;
	r = dir_each(fd, list_one, &l);
	raw_close(fd);
	return r < 0 ? error_because(reterr, r, base, " cannot be listed") : (int)l.n;
}

int network_remove(const char *name, bool force, struct network_error *reterr)
{
	struct network_options o = {0};
	static struct network n;
	char base[NETWORK_PATH_MAX], temp[64];
	struct text t = text_on(temp, sizeof(temp));
	int fd, r;

	r = network_open(&n, name, &o, reterr);
	if (r < 0 && !(force && (r == -EUCLEAN || r == -EPROTO)))
		return r;
	if (r == 0 && !force)
		(void)network_sweep(&n, NETWORK_HOSTS_MAX);
	for (uint32_t i = 0; r == 0 && !force && i < NETWORK_HOSTS_MAX; i++) {
		struct network_lock l;
		uint32_t left;

		if (map_host(&n, i) == NULL || map_host(&n, i)->used != HOST_USED)
			continue;
		r = network_lock(&n, i, &l);
		if (r < 0)
			return error_say(reterr, r, n.dir, ": a host's table is locked by a program that does not move",
					 NULL);
		left = port_table_n_claims(&l.table);
		network_unlock(&l);
		if (left > 0)
			return error_say(reterr, -EBUSY, n.dir, " has ports in use by running programs", NULL);
	}
	r = network_base_dir(false, base, reterr);
	fd = r < 0 ? r : dir_open_checked(AT_FDCWD, base, base, reterr);
	if (fd < 0)
		return fd;
	/* Renamed first: nobody opens half a network. */
	text_str(&t, ".new-");
	text_u64(&t, (uint32_t)raw_getpid());
	text_str(&t, "-gone");
	r = raw_renameat(fd, name, fd, temp);
	if (r == 0)
		r = dir_remove_tree(fd, temp);
	raw_close(fd);
	return r < 0 ? error_because(reterr, r, n.dir, " cannot be removed") : 0;
}

void network_get_info(struct network *n, struct network_info *ret)
{
	char path[NETWORK_PATH_MAX + 8];
	struct text t = text_on(path, sizeof(path));
	struct stat st;

	text_str(&t, n->dir);
	text_str(&t, "/table");
	*ret = (struct network_info){.net4 = n->net4,
				     .net6 = n->net6,
				     .prefix4_bits = n->prefix4_bits,
				     .prefix6_bits = n->prefix6_bits,
				     .created_unix_s = n->created_unix_s,
				     .privileged_deny = n->privileged_deny,
				     .n_hosts = network_n_hosts(n)};
	if (raw_lstatat(AT_FDCWD, path, &st) == 0)
		ret->size_bytes = (uint64_t)st.st_blocks * 512;
}
