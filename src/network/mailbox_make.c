/* src/network/mailbox_make.c: a mailbox's beginning and end.
 *
 *     s/uKEY      the doorbell: the program's socket, bound here
 *     s/uKEY.box  the mailbox
 *
 * KEY is a hash, with the network's secret, of the socket's cookie, which the kernel never gives twice while the
 * machine is up. The doorbell comes first and the mailbox is linked whole, so a mailbox without a doorbell that
 * answers is a leftover, which anybody may remove.
 */
#include <string.h>

#include "base/siphash.h"
#include "network/mailbox_ring.h"

uint64_t mailbox_key(const struct network *n, uint64_t cookie)
{
	struct siphash_key k = siphash_key_from(n->key);
	uint64_t m[2] = {cookie, UINT64_C(0x786f626c69616d)}, h = siphash13(&k, m, sizeof(m));

	return h ? h : 1;
}

bool mailbox_alive(const struct network *n, uint64_t key)
{
	return box_probe(n, key) != 0;
}

void mailbox_unlink(const struct network *n, uint64_t key)
{
	char leaf[REACH_LEAF_MAX];

	box_path(key, ".box", leaf);
	(void)reach_unlink(n, leaf);
	box_path(key, "", leaf);
	(void)reach_unlink(n, leaf);
	box_forget(key);
}

/* A whole new file under a name of its own, then linked: nobody sees half of it. */
static int make_file(const struct network *n, uint64_t key, uint64_t inode, uint32_t host, enum port_family family)
{
	char tail[32], temp[REACH_LEAF_MAX], path[REACH_LEAF_MAX];
	struct text t = text_on(tail, sizeof(tail));
	bool six = family == PORT_FAMILY_6;
	struct box b = {.magic = BOX_MAGIC,
			.key = key,
			.inode = inode,
			.made_ns = boot_ns(),
			.cap = BOX_RING_FIRST,
			.state = {.host = host,
				  .family = (uint8_t)family,
				  .bound = six ? PORT_ADDR_ANY6 : PORT_ADDR_ANY4,
				  .local = six ? PORT_ADDR_ANY6 : PORT_ADDR_ANY4}};
	int fd, r;

	text_str(&t, ".");
	text_u64(&t, (uint32_t)raw_gettid());
	box_path(key, tail, temp);
	box_path(key, ".box", path);
	(void)reach_unlink(n, temp);
	fd = reach_open(n, temp, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = box_reserve(fd, BOX_RING_FIRST);
	if (r == 0)
		r = write_all(fd, (const char *)&b, offsetof(struct box, members));
	raw_close(fd);
	if (r == 0)
		r = reach_link(n, temp, path);
	(void)reach_unlink(n, temp);
	return r;
}

/* Is what is there this socket's? A machine that started anew counts cookies anew. */
static int is_ours(const struct network *n, uint64_t key, uint64_t inode)
{
	struct box_pin p;
	int r = box_hold(n, key, &p);

	if (r < 0)
		return r;
	r = p.b->inode == inode && p.b->made_ns <= boot_ns();
	box_drop(&p);
	return r;
}

int mailbox_make(struct network *n, uint64_t key, int doorbell, uint64_t inode, uint32_t host, enum port_family family)
{
	char leaf[REACH_LEAF_MAX];
	int r = is_ours(n, key, inode);

	if (r == 1)
		return 0;
	if (r == 0 || r == -EUCLEAN)
		mailbox_unlink(n, key);
	/* The doorbell first: a mailbox without one is a leftover, and may be removed by anybody. */
	box_path(key, "", leaf);
	r = reach_bind(n, doorbell, leaf);
	if (r == -EADDRINUSE && box_probe(n, key) == 0) {
		mailbox_unlink(n, key);
		r = reach_bind(n, doorbell, leaf);
	}
	if (r < 0 && r != -EINVAL && r != -EADDRINUSE) /* another thread was faster */
		return r;
	r = make_file(n, key, inode, host, family);
	return r == -EEXIST ? 0 : r;
}

bool mailbox_leaf_parse(const char *leaf, uint64_t *ret_key)
{
	const char *s = leaf + 1;

	return leaf[0] == 'u' && text_take_u64(&s, 16, ret_key) && s == leaf + 17 && (*s == '\0' || *s == '.');
}

bool mailbox_tidy(const struct network *n, int dir, const char *leaf)
{
	uint64_t key;

	if (!mailbox_leaf_parse(leaf, &key))
		return false;
	if (box_probe(n, key) == 0) {
		(void)raw_unlinkat(dir, leaf, 0);
		box_forget(key);
	}
	return true;
}
