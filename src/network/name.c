/* src/network/name.c: what a client's abstract name says, so that both ends know both addresses.
 *
 *     NUL 'b' tag[4] version proto families local[20] remote[20] lport rport client server slot
 *
 * A publisher (cli/publisher.c) that brings a connection of the machine's to a listener has a name of another kind, 'p':
 *
 *     NUL 'p' tag[4] version local[20] remote[20] lport rport          of the machine's connection
 *
 * It is no flow: what follows on its stream is that connection's socket itself, and nothing else.
 *
 * The tag is a keyed hash of the network: a name of another network, or a stranger's, is not ours. The
 * table arbitrates four-tuples (decision 3); the name only carries them.
 */
#include <errno.h>

#include "base/cursor.h"
#include "base/siphash.h"
#include "network/internal.h"

#define NAME_VERSION 1

static uint32_t tag(const struct network *n)
{
	struct siphash_key k = siphash_key_from(n->key);

	return (uint32_t)siphash24(&k, "flow name", 9);
}

static void put_addr(struct cursor_writer *w, const struct port_addr *a)
{
	cursor_put_bytes(w, a->b, sizeof(a->b));
	cursor_put_be32(w, a->scope);
}

static void get_addr(struct cursor_reader *r, struct port_addr *a)
{
	(void)cursor_get_bytes(r, a->b, sizeof(a->b));
	a->scope = cursor_get_be32(r);
}

size_t network_name_encode(const struct network *n, const struct network_name *m, uint8_t ret[NETWORK_NAME_OCTETS])
{
	struct cursor_writer w = cursor_writer(ret, NETWORK_NAME_OCTETS);

	cursor_put_u8(&w, 0);
	cursor_put_u8(&w, 'b');
	cursor_put_be32(&w, tag(n));
	cursor_put_u8(&w, NAME_VERSION);
	cursor_put_u8(&w, (uint8_t)m->tuple.proto);
	cursor_put_u8(&w, (uint8_t)(m->client_family << 4 | m->server_family));
	put_addr(&w, &m->tuple.local);
	put_addr(&w, &m->tuple.remote);
	cursor_put_be16(&w, m->tuple.local_port);
	cursor_put_be16(&w, m->tuple.remote_port);
	cursor_put_be16(&w, (uint16_t)m->client_host);
	cursor_put_be16(&w, (uint16_t)m->server_host);
	cursor_put_be32(&w, m->client_slot);
	ASSERT(cursor_writer_ok(&w));
	return cursor_writer_len(&w);
}

static bool family_ok(uint8_t f)
{
	return f == PORT_FAMILY_4 || f == PORT_FAMILY_6;
}

int network_name_decode(const struct network *n, const uint8_t *path, size_t len_bytes, struct network_name *ret)
{
	struct cursor_reader r = cursor_reader(path, len_bytes);
	struct network_name m = {0};
	uint8_t proto, families;
	bool ours = cursor_get_u8(&r) == 0;

	ours &= cursor_get_u8(&r) == 'b';
	ours &= cursor_get_be32(&r) == tag(n);
	ours &= cursor_get_u8(&r) == NAME_VERSION;
	if (!ours)
		return -ENOENT;
	proto = cursor_get_u8(&r);
	families = cursor_get_u8(&r);
	get_addr(&r, &m.tuple.local);
	get_addr(&r, &m.tuple.remote);
	m.tuple.local_port = cursor_get_be16(&r);
	m.tuple.remote_port = cursor_get_be16(&r);
	m.client_host = cursor_get_be16(&r);
	m.server_host = cursor_get_be16(&r);
	m.client_slot = cursor_get_be32(&r);
	if (!cursor_reader_ok(&r) || cursor_reader_left(&r) != 0 || proto >= PORT_NPROTOS)
		return -ENOENT;
	m.tuple.proto = (enum port_proto)proto;
	m.client_family = families >> 4;
	m.server_family = families & 15;
	if (!family_ok(m.client_family) || !family_ok(m.server_family) || m.client_host > NETWORK_HOSTS_MAX ||
	    m.server_host >= NETWORK_HOSTS_MAX)
		return -ENOENT;
	*ret = m;
	return 0;
}

size_t network_name_published(const struct network *n, const struct port_tuple *t, uint8_t ret[NETWORK_NAME_OCTETS])
{
	struct cursor_writer w = cursor_writer(ret, NETWORK_NAME_OCTETS);

	cursor_put_u8(&w, 0);
	cursor_put_u8(&w, 'p');
	cursor_put_be32(&w, tag(n));
	cursor_put_u8(&w, NAME_VERSION);
	put_addr(&w, &t->local);
	put_addr(&w, &t->remote);
	cursor_put_be16(&w, t->local_port);
	cursor_put_be16(&w, t->remote_port);
	ASSERT(cursor_writer_ok(&w));
	return cursor_writer_len(&w);
}

int network_name_is_published(const struct network *n, const uint8_t *path, size_t len_bytes, struct port_tuple *ret)
{
	struct cursor_reader r = cursor_reader(path, len_bytes);
	struct port_tuple t = {.proto = PORT_TCP};
	bool ours = cursor_get_u8(&r) == 0;

	ours &= cursor_get_u8(&r) == 'p';
	ours &= cursor_get_be32(&r) == tag(n);
	ours &= cursor_get_u8(&r) == NAME_VERSION;
	if (!ours)
		return -ENOENT;
	get_addr(&r, &t.local);
	get_addr(&r, &t.remote);
	t.local_port = cursor_get_be16(&r);
	t.remote_port = cursor_get_be16(&r);
	if (!cursor_reader_ok(&r) || cursor_reader_left(&r) != 0)
		return -ENOENT;
	*ret = t;
	return 0;
}
