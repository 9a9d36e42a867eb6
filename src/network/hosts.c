/* src/network/hosts.c: names and addresses of a network's hosts, in a file people can read.
 *
 * `hosts` is what lasts: the mapped table is made again from it. Its comments carry what else a network
 * is (key, subnets, age). It is written whole, beside, and renamed into place, under the network's lock.
 *
 * A host's addresses follow from its index: subnet + 2 + index (the first address is the gateway's), so
 * finding a host by address is arithmetic. Records in the map are a cache with a sum each; one that does
 * not add up is restored from the file.
 */
#include <errno.h>
#include <time.h>

#include "base/siphash.h"
#include "network/internal.h"
#include "port/endpoint.h"

#define HOSTS_FILE_MAX (4u << 20)
#define NAMES_BYTES ((size_t)NETWORK_HOSTS_MAX * NETWORK_NAME_MAX)

struct port_addr host_addr(const struct port_addr *net, uint32_t index)
{
	struct port_addr a = *net;
	uint32_t low = (uint32_t)a.b[14] << 8 | a.b[15];

	low += index + HOST_INDEX_BASE;
	a.b[14] = (uint8_t)(low >> 8);
	a.b[15] = (uint8_t)low;
	if (low > 0xffff)
		a.b[13] = (uint8_t)(a.b[13] + 1);
	return a;
}

/* Hosts the subnet has addresses for: without its own, the gateway's and the broadcast address. */
static uint32_t capacity(unsigned prefix4_bits)
{
	uint32_t bits = 128 - prefix4_bits, n;

	if (bits >= 16)
		return NETWORK_HOSTS_MAX;
	n = (1u << bits) < 4 ? 0 : (1u << bits) - 3;
	return n < NETWORK_HOSTS_MAX ? n : NETWORK_HOSTS_MAX;
}

uint64_t host_sum(const struct network *n, uint32_t index, const struct map_host *h)
{
	struct siphash_key k = siphash_key_from(n->key);
	uint8_t m[8 + NETWORK_NAME_MAX];

	memcpy(m, &h->used, 4);
	memcpy(m + 4, &index, 4);
	memcpy(m + 8, h->name, NETWORK_NAME_MAX);
	return siphash13(&k, m, sizeof(m));
}

/* --- choosing subnets --- */

/* Routes and addresses of this machine, IPv4: base and mask in host order. */
struct nets {
	uint32_t base[512], mask[512];
	uint32_t n;
};

static long read_proc(const char *path, char *buf, size_t size)
{
	int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	size_t at = 0;

	if (fd < 0)
		return fd;
	while (at < size - 1) {
		long r = raw_pread(fd, buf + at, size - 1 - at, at);

		if (r <= 0)
			break;
		at += (size_t)r;
	}
	raw_close(fd);
	buf[at] = '\0';
	return (long)at;
}

static void add_net(struct nets *s, uint32_t base, uint32_t mask)
{
	if (mask == 0 || s->n == COUNT_OF(s->base))
		return; /* a default route meets everything and says nothing */
	s->base[s->n] = base & mask;
	s->mask[s->n++] = mask;
}

static const char *word(const char *p, unsigned skip)
{
	for (;;) {
		while (*p == ' ' || *p == '\t')
			p++;
		if (skip-- == 0)
			return p;
		while (*p && *p != ' ' && *p != '\t' && *p != '\n')
			p++;
	}
}

/* The next of a line's hexadecimal words (upper case, as /proc/net/route has them). */
static bool hex32(const char *p, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 8; i++) {
		char c = p[i];
		unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
			     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
						    : 99;

		if (d > 15)
			return false;
		v = v << 4 | d;
	}
	*ret = __builtin_bswap32(v); /* printed as the little-endian machine sees network order */
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		*ret = v;
	return true;
}

static void read_nets(struct nets *s)
{
	static const size_t size = 256u << 10;
	char *buf = raw_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (!buf)
		return;
	if (read_proc("/proc/net/route", buf, size) > 0)
		for (const char *line = strchr(buf, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
			uint32_t base, mask;

			if (hex32(word(line + 1, 1), &base) && hex32(word(line + 1, 7), &mask))
				add_net(s, base, mask);
		}
	if (read_proc("/proc/net/fib_trie", buf, size) > 0) /* its leaves are addresses, also of no route */
		for (const char *p = strstr(buf, "|-- "); p; p = strstr(p + 4, "|-- ")) {
			const char *q = p + 4;
			uint64_t o[4];
			bool ok = true;

			for (unsigned i = 0; i < 4; i++)
				ok = ok && (i == 0 || text_take_char(&q, '.')) && text_take_u64(&q, 10, &o[i]) &&
				     o[i] < 256;
			if (ok)
				add_net(s, (uint32_t)(o[0] << 24 | o[1] << 16 | o[2] << 8 | o[3]), UINT32_MAX);
		}
	raw_munmap(buf, size);
}

static bool meets(const struct nets *s, uint32_t base, uint32_t mask)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (((base ^ s->base[i]) & mask & s->mask[i]) == 0)
			return true;
	return false;
}

/* "10.77.0.0/24" */
static int parse_subnet(const char *text, struct port_addr *ret, uint32_t *ret_bits)
{
	char addr[PORT_ADDR_STR_MAX];
	const char *slash = strchr(text, '/');
	struct port_addr a;
	uint64_t bits;

	if (!slash || (size_t)(slash - text) >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	slash++;
	if (!text_take_u64(&slash, 10, &bits) || *slash || port_addr_parse(addr, &a, NULL) < 0)
		return -EINVAL;
	if (port_addr_is4(&a))
		bits += 96;
	if (bits > 128)
		return -EINVAL;
	for (unsigned i = (unsigned)bits; i < 128; i++)
		if (a.b[i / 8] & (0x80u >> i % 8))
			return -EINVAL; /* octets below the prefix: probably a host's address */
	*ret = a;
	*ret_bits = (uint32_t)bits;
	return 0;
}

int hosts_choose(struct map_fixed *ret, const struct network_options *o, struct network_error *reterr)
{
	struct map_fixed f = {0};
	struct timespec now = {0};
	uint8_t rnd[32];
	int r = raw_getrandom(rnd, sizeof(rnd));

	if (r != (int)sizeof(rnd))
		return error_say(reterr, r < 0 ? r : -EIO, "no random numbers to be had", NULL, NULL);
	memcpy(f.key, rnd, sizeof(f.key));
	if (o->subnet) {
		if (parse_subnet(o->subnet, &f.net4, &f.prefix4_bits) < 0 || !port_addr_is4(&f.net4) ||
		    f.prefix4_bits < 96 + 8 || f.prefix4_bits > 96 + 30 || port_addr_is_loopback(&f.net4) ||
		    port_addr_is_multicast(&f.net4))
			return error_say(reterr, -EINVAL, o->subnet,
					 " is not a subnet berth can use; like this: 10.77.0.0/24 (from /8 to /30)",
					 NULL);
	} else {
		struct nets s = {0};
		uint32_t base = 0, start = (uint32_t)rnd[16] << 8 | rnd[17], i;

		read_nets(&s);
		for (i = 0; i < 4096; i++) { /* the /20s of 10/8, from a random one */
			base = UINT32_C(0x0a000000) | ((start + i) & 4095) << 12;
			if (!meets(&s, base, UINT32_C(0xfffff000)))
				break;
		}
		for (uint32_t j = 0; i == 4096 && j < 1024; j++) { /* 100.64/10, shared address space */
			base = UINT32_C(0x64400000) | ((start + j) & 1023) << 12;
			if (!meets(&s, base, UINT32_C(0xfffff000)))
				i = 0;
		}
		if (i == 4096)
			return error_say(reterr, -EADDRNOTAVAIL,
					 "no subnet is free of this machine's routes; give one with --subnet", NULL,
					 NULL);
		f.net4 =
			port_addr_v4((uint8_t)(base >> 24), (uint8_t)(base >> 16), (uint8_t)(base >> 8), (uint8_t)base);
		f.prefix4_bits = 96 + 20;
	}
	f.net6 = (struct port_addr){.b = {0xfd, rnd[18], rnd[19], rnd[20], rnd[21], rnd[22]}}; /* RFC 4193, 3.2 */
	f.prefix6_bits = 64;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	f.created_unix_s = (uint64_t)now.tv_sec;
	f.privileged_deny = o->privileged_deny;
	map_fixed_fill(&f);
	*ret = f;
	return 0;
}

/* --- the file --- */

static void line_addr(struct text *t, const char *label, const struct port_addr *a, uint32_t bits, bool v4)
{
	char s[PORT_ADDR_STR_MAX];

	text_str(t, label);
	text_str(t, port_addr_print(a, s));
	text_str(t, "/");
	text_u64(t, v4 ? bits - 96 : bits);
	text_str(t, "\n");
}

int hosts_write(int dir, const char *network, const struct hosts_file *f)
{
	char *buf = raw_mmap(HOSTS_FILE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char temp[48];
	struct text t = text_on(temp, sizeof(temp));
	int fd, r;

	if (!buf)
		return -ENOMEM;
	text_str(&t, ".hosts-");
	text_u64(&t, (uint32_t)raw_gettid());
	t = text_on(buf, HOSTS_FILE_MAX);
	text_str(&t, "# The hosts of a berth network. Written by berth; read it, do not edit it.\n# format ");
	text_u64(&t, f->fixed.version);
	text_str(&t, "\n# key ");
	for (unsigned i = 0; i < sizeof(f->fixed.key); i++)
		text_hex(&t, f->fixed.key[i], 2);
	line_addr(&t, "\n# net4 ", &f->fixed.net4, f->fixed.prefix4_bits, true);
	line_addr(&t, "# net6 ", &f->fixed.net6, f->fixed.prefix6_bits, false);
	text_str(&t, "# created ");
	text_u64(&t, f->fixed.created_unix_s);
	text_str(&t, f->fixed.privileged_deny ? "\n# privileged-ports deny" : "\n# privileged-ports allow");
	text_str(&t, "\n# policy ");
	(void)port_policy_print(&f->policy, t.s + t.len, t.size - t.len);
	t.len += strlen(t.s + t.len);
	text_str(&t, "\n");
	for (uint32_t i = 0; i < NETWORK_HOSTS_MAX; i++)
		for (unsigned v6 = 0; v6 < 2 && f->names[i][0]; v6++) {
			struct port_addr a = host_addr(v6 ? &f->fixed.net6 : &f->fixed.net4, i);
			char s[PORT_ADDR_STR_MAX];

			text_str(&t, port_addr_print(&a, s));
			text_str(&t, "\t");
			text_str(&t, f->names[i]);
			text_str(&t, " ");
			text_str(&t, f->names[i]);
			text_str(&t, ".");
			text_str(&t, network);
			text_str(&t, ".berth\n");
		}
	fd = raw_openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd;
	if (fd >= 0) {
		r = t.full ? -EFBIG : write_all(fd, buf, t.len);
		raw_close(fd);
		if (r == 0)
			r = raw_renameat(dir, temp, dir, "hosts");
		if (r < 0)
			(void)raw_unlinkat(dir, temp, 0);
	}
	raw_munmap(buf, HOSTS_FILE_MAX);
	return r;
}

static bool starts(const char **line, const char *with)
{
	size_t len = strlen(with);

	if (strncmp(*line, with, len) != 0)
		return false;
	*line += len;
	return true;
}

/* One line, without its end. Wrong ones are passed over: the file is for people too. */
static void read_line(const char *line, struct hosts_file *f, unsigned *seen)
{
	char addr[PORT_ADDR_STR_MAX], name[NETWORK_NAME_MAX] = {0}; /* its tail is summed too */
	size_t len = strcspn(line, " \t");
	struct port_addr a, first;
	uint64_t v;

	if (starts(&line, "# format ")) {
		if (text_take_u64(&line, 10, &v)) {
			f->fixed.version = (uint32_t)v;
			*seen |= 1;
		}
	} else if (starts(&line, "# key ")) {
		for (unsigned i = 0; i < sizeof(f->fixed.key); i++) {
			char pair[3] = {line[0], line[0] ? line[1] : '\0', '\0'};
			const char *p = pair;

			if (!text_take_u64(&p, 16, &v) || p != pair + 2)
				return;
			f->fixed.key[i] = (uint8_t)v;
			line += 2;
		}
		*seen |= 2;
	} else if (starts(&line, "# net4 ")) {
		if (parse_subnet(line, &f->fixed.net4, &f->fixed.prefix4_bits) == 0 && port_addr_is4(&f->fixed.net4))
			*seen |= 4;
	} else if (starts(&line, "# net6 ")) {
		if (parse_subnet(line, &f->fixed.net6, &f->fixed.prefix6_bits) == 0 && !port_addr_is4(&f->fixed.net6))
			*seen |= 8;
	} else if (starts(&line, "# created ")) {
		if (text_take_u64(&line, 10, &v))
			f->fixed.created_unix_s = v;
	} else if (starts(&line, "# policy ")) {
		if (port_policy_parse(line, &f->policy) == 0)
			*seen |= 16;
	} else if (starts(&line, "# privileged-ports deny")) {
		f->fixed.privileged_deny = 1;
	} else if (line[0] != '#' && len > 0 && len < sizeof(addr) && (*seen & 4)) {
		uint32_t at, base;

		memcpy(addr, line, len);
		addr[len] = '\0';
		line += len + strspn(line + len, " \t");
		len = strcspn(line, " \t");
		if (port_addr_parse(addr, &a, NULL) < 0 || !port_addr_is4(&a) || len == 0 || len >= sizeof(name))
			return;
		memcpy(name, line, len);
		name[len] = '\0';
		first = host_addr(&f->fixed.net4, 0);
		at = (uint32_t)a.b[12] << 24 | (uint32_t)a.b[13] << 16 | (uint32_t)a.b[14] << 8 | a.b[15];
		base = (uint32_t)first.b[12] << 24 | (uint32_t)first.b[13] << 16 | (uint32_t)first.b[14] << 8 |
		       first.b[15];
		if (at < base || at - base >= capacity(f->fixed.prefix4_bits) || !network_name_ok(name))
			return;
		if (!f->names[at - base][0])
			f->n_hosts++;
		memcpy(f->names[at - base], name, sizeof(name));
	}
}

int hosts_read(int dir, struct hosts_file *ret, struct network_error *reterr)
{
	char *buf, *line;
	unsigned seen = 0;
	long len = 0, r = 0;
	int fd = raw_openat(dir, "hosts", O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return error_because(reterr, fd, "the network's hosts file", " cannot be read");
	buf = raw_mmap(HOSTS_FILE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!buf) {
		raw_close(fd);
		return error_say(reterr, -ENOMEM, "no memory for the network's hosts file", NULL, NULL);
	}
	while (len < HOSTS_FILE_MAX - 1 &&
	       (r = raw_pread(fd, buf + len, (size_t)(HOSTS_FILE_MAX - 1 - len), (uint64_t)len)) > 0)
		len += r;
	raw_close(fd);
	memset(&ret->fixed, 0, sizeof(ret->fixed));
	memset(ret->names, 0, NAMES_BYTES);
	ret->n_hosts = 0;
	for (line = buf; line < buf + len;) {
		char *end = memchr(line, '\n', (size_t)(buf + len - line));

		if (!end)
			break; /* a line without its end was cut off */
		*end = '\0';
		read_line(line, ret, &seen);
		line = end + 1;
	}
	raw_munmap(buf, HOSTS_FILE_MAX);
	if (r < 0)
		return error_because(reterr, (int)r, "the network's hosts file", " cannot be read");
	if (seen & 1 && ret->fixed.version != NETWORK_FORMAT_VERSION)
		return error_say(reterr, -EPROTO, "the network was made by another version of berth", NULL, NULL);
	if (seen != 31)
		return error_say(reterr, -EUCLEAN,
				 "the network's hosts file is damaged; remove the network and make it again", NULL,
				 NULL);
	map_fixed_fill(&ret->fixed);
	return 0;
}

void hosts_restore(struct network *n, const struct hosts_file *f, uint32_t made)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NETWORK_HOSTS_MAX; i++) {
		struct map_host *h = (void *)(map_base(n) + MAP_HOSTS_OFF + i * sizeof(*h));

		if (!f->names[i][0]) { /* one that is not in use has no sum */
			h->used = 0;
			h->table_off = h->table_len_bytes = 0;
			continue;
		}
		count++;
		if (h->used == HOST_USED && memcmp(h->name, f->names[i], NETWORK_NAME_MAX) == 0 &&
		    h->sum == host_sum(n, i, h))
			continue;
		h->used = HOST_USED;
		memcpy(h->name, f->names[i], NETWORK_NAME_MAX);
		h->sum = host_sum(n, i, h);
		if (i != made && h->table_off == 0) {
			h->table_len_bytes = PAGE_BYTES; /* which is nowhere: host_attach() rebuilds it */
			atomic_store(&h->udp_epoch, boot_ns());
		}
	}
	atomic_store(&((struct map_header *)(void *)map_base(n))->n_hosts, count);
	policy_restore(n, &f->policy);
}

/* --- finding --- */

static void fill(const struct network *n, uint32_t index, const char *name, struct network_host *ret)
{
	*ret = (struct network_host){.index = index};
	memcpy(ret->name, name, NETWORK_NAME_MAX - 1);
	ret->addr4 = host_addr(&n->net4, index);
	ret->addr6 = host_addr(&n->net6, index);
}

static void lower(const char *from, size_t len, char ret[NETWORK_NAME_MAX])
{
	memset(ret, 0, NETWORK_NAME_MAX);
	for (size_t i = 0; i < len && i < NETWORK_NAME_MAX - 1; i++)
		ret[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + 32 : from[i]);
}

static bool is_sound(const struct network *n, uint32_t index, const struct map_host *h)
{
	return h->used == HOST_USED && h->sum == host_sum(n, index, h) && h->name[NETWORK_NAME_MAX - 1] == '\0';
}

/* A used record whose sum is right. A wrong sum has the records restored, once. */
static int record(struct network *n, uint32_t index, struct map_host **ret)
{
	struct map_host *h = NULL;

	for (int attempt = 0; attempt < 2; attempt++) {
		h = map_host(n, index);
		if (!h)
			return -EUCLEAN;
		if (h->used == 0)
			return -ENOENT;
		if (is_sound(n, index, h)) {
			*ret = h;
			return 0;
		}
		if (map_mend(n, NULL) < 0)
			return -EUCLEAN;
	}
	return -EUCLEAN;
}

/* Look through the records, LOOK at a time with one look at the map's end, which is a system call: a name is looked
 * up for every connection by name, among a thousand hosts. Sums are checked of records that bear the name or, to be
 * thorough, of all: what is wrong is restored as record() does it. Return: 0; -ENOENT. */
static int find_by(struct network *n, const char *name, bool thorough, uint32_t *ret_index)
{
	enum { LOOK = 64 };
	uint32_t max = capacity(n->prefix4_bits), left = network_n_hosts(n);
	const struct map_host *first = NULL, *h;

	for (uint32_t i = 0; i < max && left > 0; i++) {
		struct map_host *whole;

		if (i % LOOK == 0 || !first)
			first = map_host(n, i - i % LOOK);
		if (!first)
			return -ENOENT;
		h = first + i % LOOK;
		if (h->used == 0)
			continue;
		if (thorough && !is_sound(n, i, h)) {
			first = NULL; /* the map may be another now */
			if (record(n, i, &whole) < 0)
				continue;
			h = whole;
		}
		left--;
		if (strncmp(h->name, name, NETWORK_NAME_MAX) == 0 && record(n, i, &whole) == 0 &&
		    strncmp(whole->name, name, NETWORK_NAME_MAX) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	return -ENOENT;
}

static int find(struct network *n, const char *name, uint32_t *ret_index)
{
	int r = find_by(n, name, false, ret_index);

	return r == -ENOENT ? find_by(n, name, true, ret_index) : r;
}

/* Write the new host into the file, then into the map: a killed maker leaves the file right. */
static int make_locked(struct network *n, const char *name, uint32_t *ret_index)
{
	struct hosts_file f;
	int dir, r;
	uint32_t i, max;

	f.names = raw_mmap(NAMES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!f.names)
		return -ENOMEM;
	dir = dir_reopen(n);
	r = dir < 0 ? dir : hosts_read(dir, &f, NULL);
	if (r < 0)
		goto out;
	max = capacity(n->prefix4_bits);
	for (i = 0; i < max; i++)
		if (strcmp(f.names[i], name) == 0)
			break;
	if (i == max) {
		for (i = 0; i < max && f.names[i][0]; i++)
			continue;
		if (i == max) {
			r = -ENOSPC;
			goto out;
		}
		memcpy(f.names[i], name, NETWORK_NAME_MAX);
		r = hosts_write(dir, n->name, &f);
		if (r < 0)
			goto out;
	}
	hosts_restore(n, &f, i);
	*ret_index = i;
out:
	if (dir >= 0)
		raw_close(dir);
	raw_munmap(f.names, NAMES_BYTES);
	return r;
}

int network_host_get(struct network *n, const char *name, bool make, struct network_host *ret)
{
	char low[NETWORK_NAME_MAX];
	struct map_header *hd;
	uint64_t sigmask, me;
	uint32_t index = 0;
	int r;

	if (!network_name_ok(name))
		return -EINVAL;
	lower(name, strlen(name), low);
	r = find(n, low, &index);
	if (r == -ENOENT && make) {
		sigmask = raw_sigmask_block_all();
		me = lock_me();
		hd = map_header(n);
		r = hd ? map_lock_take(&hd->lock, me, NULL) : -EUCLEAN;
		if (r >= 0) {
			r = make_locked(n, low, &index);
			map_lock_give(&hd->lock, me);
			if (r == 0)
				network_changed(n);
		}
		raw_sigmask_restore(sigmask);
	}
	if (r < 0)
		return r;
	fill(n, index, low, ret);
	return 0;
}

int network_host_at(struct network *n, uint32_t index, struct network_host *ret)
{
	struct map_host *h;
	int r = index < NETWORK_HOSTS_MAX ? record(n, index, &h) : -ENOENT;

	if (r < 0)
		return r;
	fill(n, index, h->name, ret);
	return 0;
}

int network_host_by_name(struct network *n, const char *name, struct network_host *ret)
{
	size_t len = strlen(name);
	char whole[2 * NETWORK_NAME_MAX + 8], label[NETWORK_NAME_MAX];
	const char *dot;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0 || len >= sizeof(whole))
		return -ENOENT;
	for (size_t i = 0; i < len; i++)
		whole[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	whole[len] = '\0';
	dot = strchr(whole, '.');
	if (dot) {
		char suffix[NETWORK_NAME_MAX + 8], net[NETWORK_NAME_MAX];
		struct text t = text_on(suffix, sizeof(suffix));

		lower(n->name, strlen(n->name), net);
		text_str(&t, ".");
		text_str(&t, net);
		text_str(&t, ".berth");
		if (strcmp(dot, suffix) != 0)
			return -ENOENT;
		len = (size_t)(dot - whole);
	}
	if (len >= sizeof(label))
		return -ENOENT;
	lower(whole, len, label);
	return network_host_get(n, label, false, ret) == 0 ? 0 : -ENOENT;
}

int network_host_by_addr(struct network *n, uint32_t self, const struct port_addr *a, struct network_host *ret)
{
	uint32_t index;
	uint64_t low = 0, base = 0;
	const struct port_addr *net = port_addr_is4(a) ? &n->net4 : &n->net6;

	if (port_addr_is_loopback(a))
		return network_host_at(n, self, ret);
	if (!network_covers(n, a))
		return -ENOENT;
	for (unsigned i = 8; i < 16; i++) {
		low = low << 8 | a->b[i];
		base = base << 8 | net->b[i];
	}
	if (low < base + HOST_INDEX_BASE || low - base - HOST_INDEX_BASE >= NETWORK_HOSTS_MAX)
		return -ENOENT;
	index = (uint32_t)(low - base - HOST_INDEX_BASE);
	return network_host_at(n, index, ret) == 0 ? 0 : -ENOENT;
}

bool network_covers(struct network *n, const struct port_addr *a)
{
	return port_addr_in(a, &n->net4, n->prefix4_bits) || port_addr_in(a, &n->net6, n->prefix6_bits);
}

uint32_t network_n_hosts(struct network *n)
{
	struct map_header *hd = map_header(n);
	uint32_t v = hd ? atomic_load(&hd->n_hosts) : 0;

	return v <= NETWORK_HOSTS_MAX ? v : NETWORK_HOSTS_MAX;
}
