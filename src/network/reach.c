/* src/network/reach.c: files and sockets of the network's folder, from wherever the program stands.
 *
 * The folder is open to its owner only. A server that started as root and became www-data cannot enter it any
 * more, not even by a descriptor it kept; after chroot(2), or in another mount namespace, the path leads
 * nowhere. Each such call is made by path first, which is all there is to it for almost every program. Where
 * that fails because the folder cannot be reached, the supervisor of the tree is asked to do it (ask.h).
 * Without one the first answer stands.
 */
#include <errno.h>
#include <sys/un.h>

#include "network/ask.h"
#include "network/internal.h"

static_assert(PATH_LEAF_MAX + 4 <= REACH_LEAF_MAX, "a name in s/ fits");

/* Does this answer mean that the folder cannot be reached, rather than that the file is not there? */
static bool out_of_reach(const struct network *n, long r)
{
	struct stat st;

	if (r == -EACCES || r == -EPERM)
		return true;
	return r == -ENOENT && raw_lstatat(AT_FDCWD, n->dir, &st) < 0;
}

static void full_path(const struct network *n, const char *leaf, char ret[REACH_PATH_MAX])
{
	struct text t = text_on(ret, REACH_PATH_MAX);

	text_str(&t, n->dir);
	text_str(&t, "/");
	text_str(&t, leaf);
}

static bool name_it(struct ask_path *p, const char *leaf, const char *leaf2)
{
	struct text a = text_on(p->leaf, sizeof(p->leaf)), b = text_on(p->leaf2, sizeof(p->leaf2));

	text_str(&a, leaf);
	text_str(&b, leaf2);
	return !a.full && !b.full;
}

/* -EBADF: there is nobody to ask; -ENOSYS: there was. */
static long ask_for(enum ask what, struct ask_path *p, const char *leaf, const char *leaf2, long before)
{
	long r = name_it(p, leaf, leaf2) ? ask(what, p, sizeof(*p)) : before;

	return r == -EBADF || r == -ENOSYS ? before : r;
}

int reach_open_afar(const char *leaf, int flags, unsigned mode)
{
	struct ask_path p = {.flags = flags, .mode = mode};

	return (int)ask_for(ASK_OPEN, &p, leaf, "", -EACCES);
}

int reach_open(const struct network *n, const char *leaf, int flags, unsigned mode)
{
	char path[REACH_PATH_MAX];
	int r;

	full_path(n, leaf, path);
	r = raw_openat(AT_FDCWD, path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	if (r < 0 && out_of_reach(n, r)) {
		struct ask_path p = {.flags = flags, .mode = mode};

		r = (int)ask_for(ASK_OPEN, &p, leaf, "", r);
	}
	return r;
}

int reach_unlink(const struct network *n, const char *leaf)
{
	char path[REACH_PATH_MAX];
	int r;

	full_path(n, leaf, path);
	r = raw_unlinkat(AT_FDCWD, path, 0);
	if (r < 0 && out_of_reach(n, r)) {
		struct ask_path p = {0};

		r = (int)ask_for(ASK_UNLINK, &p, leaf, "", r);
	}
	return r;
}

int reach_link(const struct network *n, const char *from, const char *to)
{
	char a[REACH_PATH_MAX], b[REACH_PATH_MAX];
	int r;

	full_path(n, from, a);
	full_path(n, to, b);
	r = (int)raw_call(SYS_linkat, AT_FDCWD, (long)a, AT_FDCWD, (long)b, 0, 0);
	if (r < 0 && out_of_reach(n, r)) {
		struct ask_path p = {0};

		r = (int)ask_for(ASK_LINK, &p, from, to, r);
	}
	return r;
}

/* The socket address of a leaf; *ret_fd is a descriptor to close afterwards, or -1. An AF_UNIX address has 107
 * usable octets: a folder too deep for that is reached by /proc/self/fd and a descriptor. */
static int socket_addr(const struct network *n, const char *leaf, struct sockaddr_un *ret, int *ret_fd)
{
	struct text t = text_on(ret->sun_path, sizeof(ret->sun_path));
	int fd;

	ret->sun_family = AF_UNIX;
	*ret_fd = -1;
	text_str(&t, n->dir);
	text_str(&t, "/");
	text_str(&t, leaf);
	if (!t.full)
		return 0;
	fd = raw_openat(AT_FDCWD, n->dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	t = text_on(ret->sun_path, sizeof(ret->sun_path));
	text_str(&t, "/proc/self/fd/");
	text_u64(&t, (uint64_t)fd);
	text_str(&t, "/");
	text_str(&t, leaf);
	if (t.full) {
		raw_close(fd);
		return -ENAMETOOLONG;
	}
	*ret_fd = fd;
	return 0;
}

long reach_send_octet(int fd, const struct sockaddr_un *to, socklen_t len)
{
	uint8_t octet = 0;
	struct iovec iov = {&octet, 1};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)to, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

	return raw_pass(SYS_sendmsg, fd, (long)&m, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

static int by_address(const struct network *n, enum ask what, int fd, const char *leaf)
{
	struct sockaddr_un sun;
	struct ask_path p = {.fd = fd};
	int dir = -1;
	long r = socket_addr(n, leaf, &sun, &dir);

	if (r == 0 && what == ASK_BIND)
		r = raw_pass(SYS_bind, fd, (long)&sun, sizeof(sun), 0, 0);
	else if (r == 0 && what == ASK_CONNECT)
		r = raw_pass(SYS_connect, fd, (long)&sun, sizeof(sun), 0, 0);
	else if (r == 0)
		r = reach_send_octet(fd, &sun, sizeof(sun));
	if (dir >= 0)
		raw_close(dir);
	if (r < 0 && out_of_reach(n, r))
		r = ask_for(what, &p, leaf, "", r);
	return (int)r;
}

bool reach_has_echo(void)
{
	return ask(ASK_HELLO, NULL, 0) == 0;
}

int reach_echo(int fd)
{
	struct ask_path p = {.fd = fd};

	return (int)ask_for(ASK_ECHO, &p, "", "", -ECONNREFUSED);
}

int reach_take(int fd, bool cloexec)
{
	struct ask_path p = {.fd = fd, .mode = cloexec};

	return (int)ask_for(ASK_TAKE, &p, "", "", -EMFILE);
}

void reach_in_s(const char *leaf, char ret[REACH_LEAF_MAX])
{
	struct text t = text_on(ret, REACH_LEAF_MAX);

	text_str(&t, "s/");
	text_str(&t, leaf);
	ASSERT(!t.full);
}

int reach_bind(const struct network *n, int fd, const char *leaf)
{
	return by_address(n, ASK_BIND, fd, leaf);
}

int reach_connect(const struct network *n, int fd, const char *leaf)
{
	return by_address(n, ASK_CONNECT, fd, leaf);
}

int reach_ring(const struct network *n, int fd, const char *leaf)
{
	return by_address(n, ASK_RING, fd, leaf);
}
