/* src/network/path.c: a listener's socket in the directory, under a name the table can be rebuilt from.
 *
 *     s/HOST-SLOT-GENERATION-PF[o]-ADDRESS-PORT-UID-DEV-TAG    all hexadecimal; P is t or u, F 4 or 6
 *
 * TAG is a hash of the network's key: programs of a network that was removed by force go on running, and what
 * they do to their paths must not meet those of a new network of that name.
 * HOST to GENERATION make it unique; the rest says what the claim is. Flags that may change later
 * (SO_REUSEADDR, SO_REUSEPORT) are not in it, so the name stays computable from the claim. 'o' is V6ONLY.
 *
 * How the folder is reached is reach.c's affair.
 */
#include <errno.h>
#include <sys/un.h>

#include "base/siphash.h"
#include "network/internal.h"

uint32_t path_tag(const struct network *n)
{
	struct siphash_key k = siphash_key_from(n->key);

	return (uint32_t)siphash24(&k, "path", 4);
}

void path_leaf(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c,
	       char ret[PATH_LEAF_MAX])
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
	text_str(&t, "-");
	text_hex(&t, path_tag(n), 8);
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

bool path_leaf_parse(const struct network *n, const char *leaf, uint32_t *ret_host, struct port_ref *ret_ref,
		     struct port_claim *ret)
{
	struct port_claim c = {.expires_us = NEVER_US, .state = CLAIM_LISTENING};
	uint64_t host, slot, generation, port, uid, dev, tag;
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
	    !text_take_char(&s, '-') || !take_field(&s, UINT32_MAX, &dev) || !text_take_char(&s, '-') ||
	    !take_field(&s, UINT32_MAX, &tag) || tag != path_tag(n) || *s)
		return false;
	c.port = (uint16_t)port;
	c.uid = (uint32_t)uid;
	c.dev = (uint32_t)dev;
	*ret_host = (uint32_t)host;
	*ret_ref = (struct port_ref){(uint32_t)slot, (uint32_t)generation};
	*ret = c;
	return true;
}

int network_path_parse(const struct network *n, const char *path, size_t len_bytes, struct port_claim *ret)
{
	char leaf[PATH_LEAF_MAX];
	struct port_ref ref;
	uint32_t host;
	size_t len = strnlen(path, len_bytes), from = len;

	while (from > 0 && path[from - 1] != '/')
		from--;
	if (from == 0 || len - from >= sizeof(leaf))
		return -ENOENT;
	memcpy(leaf, path + from, len - from);
	leaf[len - from] = '\0';
	return path_leaf_parse(n, leaf, &host, &ref, ret) ? 0 : -ENOENT;
}

static void leaf_of(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c,
		    char ret[REACH_LEAF_MAX])
{
	char leaf[PATH_LEAF_MAX];

	path_leaf(n, host, ref, c, leaf);
	reach_in_s(leaf, ret);
}

/* The socket has a path already: somebody who shares it was faster. */
static bool has_path(int fd)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);

	return raw_pass(SYS_getsockname, fd, (long)&un, (long)&len, 0, 0) == 0 &&
	       len > offsetof(struct sockaddr_un, sun_path) && un.sun_path[0];
}

int network_path_bind(const struct network *n, int fd, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	char leaf[REACH_LEAF_MAX];
	int r;

	leaf_of(n, host, ref, c, leaf);
	r = reach_bind(n, fd, leaf);
	if (r == -EADDRINUSE && has_path(fd))
		return 0;
	if (r == -EADDRINUSE) {
		/* Slot and generation are ours alone: whoever made this name has been gone since before. */
		(void)reach_unlink(n, leaf);
		r = reach_bind(n, fd, leaf);
	}
	return r;
}

int network_path_connect(const struct network *n, int fd, uint32_t host, struct port_ref ref,
			 const struct port_claim *c)
{
	char leaf[REACH_LEAF_MAX];

	leaf_of(n, host, ref, c, leaf);
	return reach_connect(n, fd, leaf);
}

void network_path_unlink(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	char leaf[REACH_LEAF_MAX];

	leaf_of(n, host, ref, c, leaf);
	(void)reach_unlink(n, leaf);
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
