/* src/network/live.c: does a socket still live? The kernel is asked (decision 4).
 *
 * NETLINK_SOCK_DIAG finds an AF_UNIX socket by inode, and compares the cookie, which is never used twice:
 * an exact answer, in 6 us, also for sockets that are unbound, inherited or in flight in a message. A
 * kernel without unix_diag also answers ENOENT, so before the first "dead" is believed a socket of
 * our own must be found. Sockets of another network namespace are not visible: UNKNOWN, which counts
 * as alive, as does every failure to ask; world.c says when such a namespace is gone.
 *
 * A dump of all sockets is far cheaper for many claims, but it can miss a socket that moves between the
 * kernel's buckets meanwhile (bind() does that, once). Its users ask twice, or confirm exactly.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "base/siphash.h"
#include "network/internal.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#define DUMP_BUF_BYTES (256u << 10)
#define DUMP_READS_MAX 100000

extern char *program_invocation_short_name;

static uint64_t netns_cookie_of(int fd)
{
	uint64_t v = 0;
	socklen_t len = sizeof(v);

	return raw_pass(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, (long)&v, (long)&len) < 0 ? 0 : v;
}

static uint32_t netns_inode(void)
{
	struct stat st;
	int keep = errno, r = stat("/proc/thread-self/ns/net", &st);

	errno = keep;
	return r < 0 ? 0 : (uint32_t)st.st_ino;
}

/* A netlink socket, if it sees what the network's view sees. */
static int diag_open(const struct network *n)
{
	int fd = (int)raw_pass(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG, 0, 0);
	uint64_t cookie;

	if (fd < 0)
		return fd;
	cookie = netns_cookie_of(fd);
	if (cookie && n->netns_cookie ? cookie != n->netns_cookie : netns_inode() != n->netns) {
		raw_close(fd);
		return -EXDEV;
	}
	return fd;
}

uint64_t owner_sum(const struct network *n, const struct port_owner *o)
{
	struct siphash_key k = siphash_key_from(n->key);
	uint64_t m[3] = {o->inode, o->cookie, o->netns};

	return siphash13(&k, m, sizeof(m)) | 1; /* 0: a claim that was made past network/, and is believed */
}

bool owner_is_garbage(const struct network *n, const struct port_claim *c)
{
	return c->user != 0 && c->user != owner_sum(n, &c->owner);
}

static int diag_send(int fd, const struct live_id *id, uint32_t show)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} q = {
		.h = {.nlmsg_len = sizeof(q),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_seq = 1,
		      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (id ? 0 : NLM_F_DUMP))},
		.r = {.sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX, .udiag_show = show},
	};

	if (id) {
		q.r.udiag_ino = (uint32_t)id->inode;
		q.r.udiag_cookie[0] = (uint32_t)id->cookie;
		q.r.udiag_cookie[1] = (uint32_t)(id->cookie >> 32);
	}
	/* No address: that is the kernel. */
	return (int)raw_call(SYS_sendto, fd, (long)&q, sizeof(q), 0, 0, 0);
}

static long diag_recv(int fd, void *buf, size_t len_bytes)
{
	long r;

	do
		r = raw_call(SYS_recvfrom, fd, (long)buf, (long)len_bytes, 0, 0, 0);
	while (r == -EINTR);
	return r;
}

/* 1 there, 0 not there, negative errno: no answer. */
static int diag_ask(int fd, const struct live_id *id)
{
	_Alignas(8) uint8_t buf[1024];
	struct nlmsghdr *h = (void *)buf;
	long len;
	int r = diag_send(fd, id, 0), err;

	if (r < 0)
		return r;
	len = diag_recv(fd, buf, sizeof(buf));
	if (len < (long)sizeof(*h))
		return len < 0 ? (int)len : -EIO;
	if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		return 1;
	if (h->nlmsg_type != NLMSG_ERROR || len < (long)(sizeof(*h) + sizeof(struct nlmsgerr)))
		return -EIO;
	memcpy(&err, buf + NLMSG_HDRLEN, sizeof(err));
	return err == -ENOENT || err == -ESTALE ? 0 : err < 0 ? err : -EIO;
}

static int socket_id(int fd, struct live_id *ret)
{
	socklen_t len = sizeof(ret->cookie);
	struct stat st;
	int r = raw_fstat(fd, &st);

	if (r < 0)
		return r;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	r = (int)raw_pass(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, (long)&ret->cookie, (long)&len);
	ret->inode = st.st_ino;
	return r;
}

/* Does this kernel answer for AF_UNIX at all? Asked once; a fork inherits the answer. */
static bool diag_works(int diag)
{
	static _Atomic int known;
	struct live_id id;
	int fd, v = atomic_load(&known);

	if (v)
		return v > 0;
	fd = (int)raw_pass(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return false; /* not known yet */
	v = socket_id(fd, &id) == 0 && diag_ask(diag, &id) == 1 ? 1 : -1;
	raw_close(fd);
	atomic_store(&known, v);
	return v > 0;
}

enum network_alive network_owner_alive(const struct network *n, const struct port_owner *o)
{
	struct live_id id = {o->inode, o->cookie};
	int fd, r;

	if (o->inode == 0)
		return NETWORK_ALIVE; /* not a kernel socket: whoever made the claim ends it */
	if (o->netns == 0 || o->netns != n->netns)
		return NETWORK_UNKNOWN;
	fd = diag_open(n);
	if (fd < 0)
		return NETWORK_UNKNOWN;
	/* The kernel walks its 512 chains one by one, and bind(2) moves a socket from one to another: a
	 * socket that is bound at this very moment can be missed. It moves once in its life, so a second
	 * walk that begins after the first cannot miss it again. */
	r = diag_ask(fd, &id);
	if (r == 0)
		r = diag_ask(fd, &id);
	if (r == 0 && !diag_works(fd))
		r = -EOPNOTSUPP;
	raw_close(fd);
	return r == 1 ? NETWORK_ALIVE : r == 0 ? NETWORK_DEAD : NETWORK_UNKNOWN;
}

int network_owner_of(const struct network *n, int fd, struct port_owner *o)
{
	struct live_id id;
	uint64_t cookie;
	int r = socket_id(fd, &id);

	if (r < 0)
		return r;
	*o = (struct port_owner){.inode = id.inode, .cookie = id.cookie, .pid = raw_getpid(), .netns = n->netns};
	cookie = netns_cookie_of(fd);
	if (cookie && n->netns_cookie && cookie != n->netns_cookie)
		o->netns = 0; /* made elsewhere; nobody here can ask for it */
	if (program_invocation_short_name) {
		size_t len = strnlen(program_invocation_short_name, sizeof(o->comm) - 1);

		memcpy(o->comm, program_invocation_short_name, len);
	}
	return 0;
}

/* Return: 0 more to come, 1 done, negative errno. */
static int dump_part(const uint8_t *buf, size_t len, uint32_t euid,
		     void (*each)(void *, const struct live_id *, int, uint32_t, const uint8_t *, size_t), void *ctx,
		     int *n_seen)
{
	while (len >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr h;
		struct unix_diag_msg m;
		const uint8_t *name = NULL;
		uint32_t vfs_ino = 0, uid = euid;
		size_t name_len = 0, step;

		memcpy(&h, buf, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
			return -EIO;
		if (h.nlmsg_type == NLMSG_DONE)
			return 1;
		if (h.nlmsg_type == NLMSG_ERROR)
			return -EOPNOTSUPP;
		if (h.nlmsg_type == SOCK_DIAG_BY_FAMILY && h.nlmsg_len >= NLMSG_HDRLEN + sizeof(m)) {
			size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(m));
			struct live_id id;

			memcpy(&m, buf + NLMSG_HDRLEN, sizeof(m));
			while (at + sizeof(struct rtattr) <= h.nlmsg_len) {
				struct rtattr a;

				memcpy(&a, buf + at, sizeof(a));
				if (a.rta_len < sizeof(a) || at + a.rta_len > h.nlmsg_len)
					break;
				if (a.rta_type == UNIX_DIAG_NAME) {
					name = buf + at + RTA_LENGTH(0);
					name_len = a.rta_len - RTA_LENGTH(0);
				}
				if (a.rta_type == UNIX_DIAG_VFS && a.rta_len >= RTA_LENGTH(sizeof(vfs_ino)))
					memcpy(&vfs_ino, buf + at + RTA_LENGTH(0), sizeof(vfs_ino));
				if (a.rta_type == UNIX_DIAG_UID && a.rta_len >= RTA_LENGTH(sizeof(uid)))
					memcpy(&uid, buf + at + RTA_LENGTH(0), sizeof(uid));
				at += RTA_ALIGN(a.rta_len);
			}
			id = (struct live_id){m.udiag_ino, (uint64_t)m.udiag_cookie[1] << 32 | m.udiag_cookie[0]};
			/* Names are public: another user's socket that bears one of ours is not believed. */
			if (uid == euid)
				each(ctx, &id, m.udiag_state, vfs_ino, name, name_len);
			++*n_seen;
		}
		step = NLMSG_ALIGN(h.nlmsg_len);
		if (step >= len)
			break;
		buf += step;
		len -= step;
	}
	return 0;
}

int live_dump(const struct network *n, bool names,
	      void (*each)(void *ctx, const struct live_id *id, int state, uint32_t vfs_ino, const uint8_t *name,
			   size_t len_bytes),
	      void *ctx)
{
	uint8_t *buf = raw_mmap(DUMP_BUF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	uint32_t euid = raw_geteuid();
	int fd, r, n_seen = 0;

	if (!buf)
		return -ENOMEM;
	fd = diag_open(n);
	r = fd;
	if (fd < 0)
		goto out;
	r = diag_works(fd) ? diag_send(fd, NULL, names ? UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_UID : 0)
			   : -EOPNOTSUPP;
	for (int i = 0; r >= 0 && i < DUMP_READS_MAX; i++) {
		long len = diag_recv(fd, buf, DUMP_BUF_BYTES);

		r = len <= 0 ? (len < 0 ? (int)len : -EIO) : dump_part(buf, (size_t)len, euid, each, ctx, &n_seen);
		if (r == 1)
			break;
	}
	raw_close(fd);
	if (r == 0)
		r = -EIO;
out:
	raw_munmap(buf, DUMP_BUF_BYTES);
	return r < 0 ? r : n_seen;
}
