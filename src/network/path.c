/* src/network/path.c: a listener's socket in the directory, under a name the table can be rebuilt from.
 *
 *     s/HOST-SLOT-GENERATION-PF[o]-ADDRESS-PORT-UID-DEV        all hexadecimal; P is t or u, F 4 or 6
 *
 * HOST to GENERATION make it unique; the rest says what the claim is. Flags that may change later
 * (SO_REUSEADDR, SO_REUSEPORT) are not in it, so the name stays computable from the claim. 'o' is V6ONLY.
 *
 * An AF_UNIX address has 107 usable octets. A directory too deep for that is reached through
 * /proc/self/fd and a descriptor that lives for the one call.
 */
#include <errno.h>
#include <sys/un.h>

#include "network/internal.h"

void path_leaf(uint32_t host, struct port_ref ref, const struct port_claim *c, char ret[PATH_LEAF_MAX])
{
	struct text t = text_on(ret, PATH_LEAF_MAX);
	bool v4 = port_addr_is4(&c->addr);

	text_hex(&t, host, 1);
	text_str(&t, "-");
	text_hex(&t, ref.slot, 1);
	text_str(&t, "-");
	text_hex(&t, ref.generation, 1);
	text_str(&t, c->proto == PORT_UDP ? "-u" : "-t");
	text_str(&t, c->family == PORT_FAMILY_6 ? "6" : "4");
	if (c->family == PORT_FAMILY_6 && c->flags & PORT_V6ONLY)
		text_str(&t, "o");
	text_str(&t, "-");
	for (unsigned i = v4 ? 12 : 0; i < 16; i++)
		text_hex(&t, c->addr.b[i], 2);
	text_str(&t, "-");
	text_hex(&t, c->port, 1);
	text_str(&t, "-");
	text_hex(&t, c->uid, 1);
	text_str(&t, "-");
	text_hex(&t, c->dev, 1);
	ASSERT(!t.full);
}

static bool take_field(const char **s, uint64_t max, uint64_t *ret)
{
	return text_take_u64(s, 16, ret) && *ret <= max;
}

static bool take_addr(const char **s, struct port_addr *ret)
{
	uint8_t b[16];
	size_t n = 0;

	while (n < 16 && **s != '-') {
		uint64_t v;
		char pair[3] = {(*s)[0], (*s)[0] ? (*s)[1] : '\0', '\0'};
		const char *p = pair;

		if (!text_take_u64(&p, 16, &v) || p != pair + 2)
			return false;
		b[n++] = (uint8_t)v;
		*s += 2;
	}
	if (n == 4)
		*ret = port_addr_from4(b);
	else if (n == 16)
		*ret = port_addr_from6(b, 0);
	else
		return false;
	return true;
}

bool path_leaf_parse(const char *leaf, uint32_t *ret_host, struct port_ref *ret_ref, struct port_claim *ret)
{
	struct port_claim c = {.expires_us = NEVER_US, .state = CLAIM_LISTENING};
	uint64_t host, slot, generation, port, uid, dev;
	const char *s = leaf;

	if (!take_field(&s, NETWORK_HOSTS_MAX - 1, &host) || !text_take_char(&s, '-') ||
	    !take_field(&s, UINT32_MAX, &slot) || !text_take_char(&s, '-') ||
	    !take_field(&s, UINT32_MAX, &generation) || !text_take_char(&s, '-'))
		return false;
	if (text_take_char(&s, 'u'))
		c.proto = PORT_UDP;
	else if (!text_take_char(&s, 't'))
		return false;
	c.family = text_take_char(&s, '6') ? PORT_FAMILY_6 : PORT_FAMILY_4;
	if (c.family == PORT_FAMILY_4 && !text_take_char(&s, '4'))
		return false;
	if (text_take_char(&s, 'o'))
		c.flags |= PORT_V6ONLY;
	if (!text_take_char(&s, '-') || !take_addr(&s, &c.addr) || !text_take_char(&s, '-') ||
	    !take_field(&s, UINT16_MAX, &port) || !text_take_char(&s, '-') || !take_field(&s, UINT32_MAX, &uid) ||
	    !text_take_char(&s, '-') || !take_field(&s, UINT32_MAX, &dev) || *s)
		return false;
	c.port = (uint16_t)port;
	c.uid = (uint32_t)uid;
	c.dev = (uint32_t)dev;
	*ret_host = (uint32_t)host;
	*ret_ref = (struct port_ref){(uint32_t)slot, (uint32_t)generation};
	*ret = c;
	return true;
}

int path_addr(const struct network *n, const char *leaf, struct sockaddr_un *ret, int *ret_fd)
{
	struct text t = text_on(ret->sun_path, sizeof(ret->sun_path));
	int fd;

	ret->sun_family = AF_UNIX;
	*ret_fd = -1;
	text_str(&t, n->dir);
	text_str(&t, "/s/");
	text_str(&t, leaf);
	if (!t.full)
		return 0;
	fd = raw_openat(AT_FDCWD, n->dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	t = text_on(ret->sun_path, sizeof(ret->sun_path));
	text_str(&t, "/proc/self/fd/");
	text_u64(&t, (uint64_t)fd);
	text_str(&t, "/s/");
	text_str(&t, leaf);
	if (t.full) {
		raw_close(fd);
		return -ENAMETOOLONG;
	}
	*ret_fd = fd;
	return 0;
}

static void file_path(const struct network *n, const char *leaf, char ret[NETWORK_PATH_MAX + PATH_LEAF_MAX + 4])
{
	struct text t = text_on(ret, NETWORK_PATH_MAX + PATH_LEAF_MAX + 4);

	text_str(&t, n->dir);
	text_str(&t, "/s/");
	text_str(&t, leaf);
}

static int at_leaf(const struct network *n, int fd, const char *leaf, long call)
{
	struct sockaddr_un sun;
	int dir, r = path_addr(n, leaf, &sun, &dir);

	if (r < 0)
		return r;
	r = (int)raw_pass(call, fd, (long)&sun, sizeof(sun), 0, 0);
	if (dir >= 0)
		raw_close(dir);
	return r;
}

int network_path_bind(const struct network *n, int fd, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	char leaf[PATH_LEAF_MAX];
	int r;

	path_leaf(host, ref, c, leaf);
	r = at_leaf(n, fd, leaf, SYS_bind);
	if (r == -EADDRINUSE) {
		/* Slot and generation are ours alone: whoever made this name has been gone since before. */
		network_path_unlink(n, host, ref, c);
		r = at_leaf(n, fd, leaf, SYS_bind);
	}
	return r;
}

int network_path_connect(const struct network *n, int fd, uint32_t host, struct port_ref ref,
			 const struct port_claim *c)
{
	char leaf[PATH_LEAF_MAX];

	path_leaf(host, ref, c, leaf);
	return at_leaf(n, fd, leaf, SYS_connect);
}

void network_path_unlink(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	char leaf[PATH_LEAF_MAX], path[NETWORK_PATH_MAX + PATH_LEAF_MAX + 4];

	path_leaf(host, ref, c, leaf);
	file_path(n, leaf, path);
	(void)raw_unlinkat(AT_FDCWD, path, 0);
}

int path_probe(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	int fd = (int)raw_pass(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0);
	int r;

	if (fd < 0)
		return fd;
	r = network_path_connect(n, fd, host, ref, c);
	raw_close(fd);
	return r == -EPROTOTYPE ? 1 : r == -ECONNREFUSED ? 0 : r < 0 ? r : 1;
}
