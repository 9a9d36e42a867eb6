/* src/network/publish.c: the records of published ports: a file of the network's, "published".
 *
 *     record i, PUBLISH_OCTETS at i * PUBLISH_OCTETS:   sum, then what is said, then the mark "please end"
 *
 * Octet i of the file is locked (an open file description's lock, fcntl(2)) by the publisher that has record i. To
 * take a record is to get that lock, so nothing else arbitrates, and a publisher that is killed has given all its
 * records back in that moment. Others ask whether the lock can be had: it can, so the record is nobody's.
 *
 * Far behind the records there is an octet for each host, locked for reading by every `berth run` on it: who gets it for
 * writing knows that the host's last program has gone, and can sleep until then.
 *
 * A record is written by one pwrite() and read by one pread(); neither is atomic, so it carries a keyed sum of what it
 * says, and a reader who meets half of one reads again. Anybody of the network may write to the file: what does not
 * sum up, or says what cannot be, is passed over. The mark lies outside the sum, as others write it.
 *
 * Nothing is mapped: a file on a full disk is an error here and not a signal.
 */
#include "network/publish.h"

#include <errno.h>

#include "base/cursor.h"
#include "base/siphash.h"
#include "network/internal.h"

#define PUBLISH_OCTETS 512u
#define MARK_AT (PUBLISH_OCTETS - 1)
#define FILE_OCTETS (PUBLISH_MAX * PUBLISH_OCTETS)
#define HOSTS_AT (1u << 24) /* locks need no octets to be there */
#define LEAF "published"
#define VERSION 1
#define READS_MAX 8

enum { IS_AUTOMATIC = 1, IS_SPLICED = 2 };

/* --- octets --- */

static uint64_t sum_of(const struct network *n, uint32_t record, const uint8_t *octets)
{
	struct siphash_key k = siphash_key_from(n->key);
	uint8_t all[PUBLISH_OCTETS];

	memcpy(all, octets, sizeof(all));
	memset(all, 0, 8); /* where the sum itself is */
	memcpy(all, &record, sizeof(record));
	return siphash24(&k, all, MARK_AT);
}

static void encode(const struct network *n, uint32_t record, const struct network_published *p,
		   uint8_t ret[PUBLISH_OCTETS])
{
	struct cursor_writer w = cursor_writer(ret, MARK_AT);
	uint64_t sum;

	memset(ret, 0, PUBLISH_OCTETS);
	cursor_put_be64(&w, 0);
	cursor_put_u8(&w, VERSION);
	cursor_put_u8(&w, (uint8_t)p->proto);
	cursor_put_u8(&w, (uint8_t)((p->automatic ? IS_AUTOMATIC : 0) | (p->spliced ? IS_SPLICED : 0)));
	cursor_put_u8(&w, (uint8_t)p->n_addrs);
	cursor_put_be32(&w, p->host);
	cursor_put_be16(&w, p->outer.first);
	cursor_put_be16(&w, p->outer.last);
	cursor_put_be16(&w, p->inner);
	cursor_put_be32(&w, p->n_up);
	cursor_put_be32(&w, (uint32_t)p->pid);
	cursor_put_be64(&w, p->started);
	cursor_put_be64(&w, p->since_unix_s);
	for (uint32_t i = 0; i < p->n_addrs; i++) {
		cursor_put_bytes(&w, p->addrs[i].b, sizeof(p->addrs[i].b));
		cursor_put_be32(&w, p->addrs[i].scope);
	}
	ASSERT(cursor_writer_ok(&w));
	sum = sum_of(n, record, ret);
	memcpy(ret, &sum, sizeof(sum));
}

/* False: no record of ours, or one that says what cannot be. */
static bool decode(const struct network *n, uint32_t record, const uint8_t octets[PUBLISH_OCTETS],
		   struct network_published *ret)
{
	struct cursor_reader r = cursor_reader(octets, MARK_AT);
	struct network_published p = {0};
	uint64_t sum;
	uint8_t proto, is;

	memcpy(&sum, octets, sizeof(sum));
	if (sum != sum_of(n, record, octets))
		return false;
	(void)cursor_get_be64(&r);
	if (cursor_get_u8(&r) != VERSION)
		return false;
	proto = cursor_get_u8(&r);
	is = cursor_get_u8(&r);
	p.automatic = (is & IS_AUTOMATIC) != 0;
	p.spliced = (is & IS_SPLICED) != 0;
	p.n_addrs = cursor_get_u8(&r);
	p.host = cursor_get_be32(&r);
	p.outer.first = cursor_get_be16(&r);
	p.outer.last = cursor_get_be16(&r);
	p.inner = cursor_get_be16(&r);
	p.n_up = cursor_get_be32(&r);
	p.pid = (int32_t)cursor_get_be32(&r);
	p.started = cursor_get_be64(&r);
	p.since_unix_s = cursor_get_be64(&r);
	if (proto >= PORT_NPROTOS || p.n_addrs > PUBLISH_ADDRS_MAX || p.host >= NETWORK_HOSTS_MAX || !p.outer.first ||
	    p.outer.last < p.outer.first || !p.inner || p.inner + (p.outer.last - p.outer.first) > UINT16_MAX ||
	    p.pid <= 0)
		return false;
	p.proto = (enum port_proto)proto;
	for (uint32_t i = 0; i < p.n_addrs; i++) {
		(void)cursor_get_bytes(&r, p.addrs[i].b, sizeof(p.addrs[i].b));
		p.addrs[i].scope = cursor_get_be32(&r);
	}
	*ret = p;
	return cursor_reader_ok(&r);
}

/* --- locks --- */

static int lock_call(int file, int cmd, short type, uint32_t record, short *ret_type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = record, .l_len = 1};
	int r = (int)raw_call(SYS_fcntl, file, cmd, (long)&l, 0, 0, 0);

	if (ret_type)
		*ret_type = l.l_type;
	return r;
}

static void unlock(int file, uint32_t record)
{
	(void)lock_call(file, F_OFD_SETLK, F_UNLCK, record, NULL);
}

/* Return: 1, somebody else has it; 0, nobody; negative errno. */
static int is_taken(int file, uint32_t record)
{
	short type;
	int r = lock_call(file, F_OFD_GETLK, F_WRLCK, record, &type);

	return r < 0 ? r : type != F_UNLCK;
}

/* --- the process --- */

/* Field 22 of /proc/PID/stat; 0: there is no such process. */
static uint64_t start_of(int32_t pid)
{
	char path[32], line[1024];
	struct text t = text_on(path, sizeof(path));
	const char *s;
	uint64_t v = 0;
	long len;
	int fd;

	text_str(&t, "/proc/");
	text_u64(&t, (uint64_t)pid);
	text_str(&t, "/stat");
	fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	len = raw_pread(fd, line, sizeof(line) - 1, 0);
	raw_close(fd);
	if (len <= 0)
		return 0;
	line[len] = '\0';
	s = strrchr(line, ')'); /* a name may contain anything, spaces and parentheses too */
	for (int field = 2; s && field < 22; field++) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	return s && text_take_u64(&s, 10, &v) ? v : 0;
}

bool network_publish_is_by(const struct network_published *p)
{
	return start_of(p->pid) == p->started && p->started != 0;
}

/* --- the file --- */

int network_publish_open(const struct network *n, bool make)
{
	int fd = reach_open(n, LEAF, O_RDWR | (make ? O_CREAT : 0), 0600);
	struct stat st;
	int r;

	if (fd < 0 || !make)
		return fd;
	r = raw_fstat(fd, &st);
	if (r == 0 && st.st_size < (off_t)FILE_OCTETS)
		r = file_too_long(FILE_OCTETS) ? -EFBIG
					       : (int)raw_call(SYS_ftruncate, fd, (long)FILE_OCTETS, 0, 0, 0, 0);
	if (r < 0) {
		raw_close(fd);
		return r;
	}
	return fd;
}

int network_publish_set(const struct network *n, int file, uint32_t record, const struct network_published *p)
{
	uint8_t octets[PUBLISH_OCTETS];
	long r;

	if (p->n_addrs > PUBLISH_ADDRS_MAX || record >= PUBLISH_MAX)
		return -EINVAL;
	encode(n, record, p, octets);
	r = raw_pwrite(file, octets, MARK_AT, (uint64_t)record * PUBLISH_OCTETS);
	return r == (long)MARK_AT ? 0 : r < 0 ? (int)r : -EIO;
}

static int wipe(int file, uint32_t record)
{
	static const uint8_t nothing[PUBLISH_OCTETS];
	long r = raw_pwrite(file, nothing, sizeof(nothing), (uint64_t)record * PUBLISH_OCTETS);

	return r == (long)sizeof(nothing) ? 0 : r < 0 ? (int)r : -EIO;
}

int network_publish_put(const struct network *n, int file, struct network_published *p)
{
	p->pid = raw_getpid();
	p->started = start_of(p->pid);
	for (uint32_t i = 0; i < PUBLISH_MAX; i++) {
		short type;
		int r = lock_call(file, F_OFD_GETLK, F_WRLCK, i, &type);
		uint8_t octets[PUBLISH_OCTETS];
		struct network_published own;

		if (r < 0)
			return r;
		if (type != F_UNLCK)
			continue;
		/* Our own locks do not show: a record of ours says so. */
		if (raw_pread(file, octets, sizeof(octets), (uint64_t)i * PUBLISH_OCTETS) == (long)sizeof(octets) &&
		    decode(n, i, octets, &own) && own.pid == p->pid && own.started == p->started)
			continue;
		if (lock_call(file, F_OFD_SETLK, F_WRLCK, i, NULL) < 0)
			continue;  /* somebody was faster */
		r = wipe(file, i); /* with the mark */
		if (r == 0)
			r = network_publish_set(n, file, i, p);
		if (r < 0) {
			unlock(file, i);
			return r;
		}
		return (int)i;
	}
	return -ENOSPC;
}

void network_publish_drop(int file, uint32_t record)
{
	(void)wipe(file, record);
	unlock(file, record);
}

/* A record whose lock can be had is nobody's: its octets go while we have it. */
static void bury(int file, uint32_t record)
{
	if (lock_call(file, F_OFD_SETLK, F_WRLCK, record, NULL) < 0)
		return;
	network_publish_drop(file, record);
}

static bool is_blank(const uint8_t octets[PUBLISH_OCTETS])
{
	for (size_t i = 0; i < PUBLISH_OCTETS; i++)
		if (octets[i])
			return false;
	return true;
}

int network_publish_next(const struct network *n, int file, uint32_t *at, uint32_t *ret_record,
			 struct network_published *ret)
{
	for (; *at < PUBLISH_MAX; ++*at) {
		uint32_t i = *at;
		int taken = -1;

		for (int again = 0; again < READS_MAX; again++) {
			uint8_t octets[PUBLISH_OCTETS];
			long len = raw_pread(file, octets, sizeof(octets), (uint64_t)i * PUBLISH_OCTETS);

			if (len < 0)
				return (int)len;
			if (len < (long)sizeof(octets))
				return -ENOENT; /* the file is shorter */
			if (is_blank(octets))
				break;
			if (taken < 0)
				taken = is_taken(file, i);
			if (taken < 0)
				return taken;
			if (taken == 0) {
				bury(file, i);
				break;
			}
			if (decode(n, i, octets, ret)) {
				*ret_record = i;
				*at = i + 1;
				return 0;
			}
		}
	}
	return -ENOENT;
}

bool network_publish_has(const struct network *n, enum port_proto proto, uint32_t host, uint16_t port)
{
	uint8_t octets[16][PUBLISH_OCTETS];
	int file = network_publish_open(n, false), blank = 0;
	bool found = false;

	for (uint32_t i = 0; file >= 0 && !found && i < PUBLISH_MAX && blank < (int)COUNT_OF(octets) * 2; i++) {
		uint32_t k = i % COUNT_OF(octets);
		struct network_published p;

		if (k == 0 &&
		    raw_pread(file, octets, sizeof(octets), (uint64_t)i * PUBLISH_OCTETS) < (long)sizeof(octets))
			break;
		blank = is_blank(octets[k]) ? blank + 1 : 0;
		found = !blank && decode(n, i, octets[k], &p) && p.proto == proto && p.host == host &&
			port >= p.inner && port - p.inner <= p.outer.last - p.outer.first && is_taken(file, i) == 1;
	}
	if (file >= 0)
		raw_close(file);
	return found;
}

/* --- the end of one --- */

int network_publish_ask_end(int file, uint32_t record)
{
	const uint8_t mark = 1;
	long r = raw_pwrite(file, &mark, 1, (uint64_t)record * PUBLISH_OCTETS + MARK_AT);

	return r == 1 ? 0 : r < 0 ? (int)r : -EIO;
}

bool network_publish_is_asked(int file, uint32_t record)
{
	uint8_t mark = 0;

	return raw_pread(file, &mark, 1, (uint64_t)record * PUBLISH_OCTETS + MARK_AT) == 1 && mark;
}

int network_publish_wait_end(int file, uint32_t record)
{
	int r = lock_call(file, F_OFD_SETLKW, F_WRLCK, record, NULL);

	if (r == 0)
		network_publish_drop(file, record);
	return r;
}

/* --- hosts --- */

int network_publish_hold_host(int file, uint32_t host)
{
	return lock_call(file, F_OFD_SETLKW, F_RDLCK, HOSTS_AT + host, NULL);
}

int network_publish_host_is_held(int file, uint32_t host)
{
	return is_taken(file, HOSTS_AT + host);
}

int network_publish_wait_host(int file, uint32_t host)
{
	int r = lock_call(file, F_OFD_SETLKW, F_WRLCK, HOSTS_AT + host, NULL);

	if (r == 0)
		unlock(file, HOSTS_AT + host);
	return r;
}
