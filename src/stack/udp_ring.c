/* src/stack/udp_ring.c: a ring of datagrams.
 *
 *	| record | data, rounded up to 64 | record | data | ...
 *	^ head                                             ^ head + used
 *
 * A record's header is 64 octets at a multiple of 64, so it lies in one piece; the data behind it may go on at the ring's beginning.
 */
#include "stack/udp.h"

#include <string.h>

void udp_ring_init(struct udp_ring *r, uint8_t *data, uint32_t size)
{
	*r = (struct udp_ring){.data = data, .size = size};
}

static uint32_t place(const struct udp_ring *r, uint32_t at)
{
	return (r->head + at) & (r->size - 1);
}

struct udp_record *udp_ring_at(const struct udp_ring *r, uint32_t at)
{
	ASSERT(at < r->used);
	return (struct udp_record *)(void *)(r->data + place(r, at));
}

struct udp_record *udp_ring_add(struct udp_ring *r, uint32_t len, uint32_t *ret_at)
{
	uint32_t at = r->used;
	struct udp_record *rec;

	ASSERT(udp_record_bytes(len) <= udp_ring_free(r));
	r->used += udp_record_bytes(len);
	rec = udp_ring_at(r, at);
	*rec = (struct udp_record){.len = len};
	*ret_at = at;
	return rec;
}

void udp_ring_drop(struct udp_ring *r)
{
	uint32_t bytes = udp_record_bytes(udp_ring_at(r, 0)->len);

	r->head += bytes;
	r->used -= bytes;
}

unsigned udp_ring_parts(const struct udp_ring *r, uint32_t at, uint32_t from, uint32_t len, struct berth_part v[2])
{
	uint32_t begin = place(r, at + (uint32_t)sizeof(struct udp_record) + from), first = r->size - begin;

	if (len == 0)
		return 0;
	if (first >= len) {
		v[0] = (struct berth_part){r->data + begin, len};
		return 1;
	}
	v[0] = (struct berth_part){r->data + begin, first};
	v[1] = (struct berth_part){r->data, len - first};
	return 2;
}

void udp_ring_write(struct udp_ring *r, uint32_t at, uint32_t from, const uint8_t *data, uint32_t len)
{
	struct berth_part v[2];
	unsigned n = udp_ring_parts(r, at, from, len, v);

	for (unsigned i = 0; i < n; data += v[i].len, i++)
		memcpy(r->data + (v[i].data - r->data), data, v[i].len);
}

void udp_ring_read(const struct udp_ring *r, uint32_t at, uint32_t from, uint8_t *data, uint32_t len)
{
	struct berth_part v[2];
	unsigned n = udp_ring_parts(r, at, from, len, v);

	for (unsigned i = 0; i < n; data += v[i].len, i++)
		memcpy(data, v[i].data, v[i].len);
}

bool udp_ring_check(const struct udp_ring *r)
{
	uint32_t at = 0;

	while (at < r->used) {
		uint32_t bytes = udp_record_bytes(udp_ring_at(r, at)->len);

		if (bytes > r->used - at)
			return false;
		at += bytes;
	}
	return r->used <= r->size && r->head % 64 == 0;
}
