/* tests/packetdrill/cut.c: super-frames become segments, as a device (or Linux, when the device cannot) makes them.
 *
 * packetdrill takes segments together until they are as long as its script says, and looks at the flags of the last one only. Where Linux
 * made other trains than we did, each segment of one may be that last one: so each has PSH. FIN is on the last, CWR on the first.
 */
#include "world.h"

#include <string.h>

#define TCP_FIN 1
#define TCP_PSH 8
#define TCP_CWR 0x80

static uint32_t sum(uint32_t s, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	if (len & 1)
		s += (uint32_t)p[len - 1] << 8;
	return (s & 0xffff) + (s >> 16);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_sum(uint8_t *p, uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	put16(p, ~s & 0xffff);
}

/* The packet of len octets at p, whose transport header is at l4. */
static void complete(uint8_t *p, uint32_t l4, uint32_t len)
{
	uint32_t s = len - l4 + 6; /* protocol: TCP, of which alone there are trains */

	if (p[0] >> 4 == 4) {
		put16(p + 2, len);
		put16(p + 10, 0);
		put_sum(p + 10, sum(0, p, l4));
		s = sum(s, p + 12, 8);
	} else {
		put16(p + 4, len - 40);
		s = sum(s, p + 8, 32);
	}
	put16(p + l4 + 16, 0);
	put_sum(p + l4 + 16, sum(s, p + l4, len - l4));
}

static void number(uint8_t *p, uint32_t l4, uint32_t at, uint32_t i, bool last)
{
	uint32_t seq = (uint32_t)p[l4 + 4] << 24 | (uint32_t)p[l4 + 5] << 16 | (uint32_t)p[l4 + 6] << 8 | p[l4 + 7];

	seq += at;
	put16(p + l4 + 4, seq >> 16);
	put16(p + l4 + 6, seq & 0xffff);
	p[l4 + 13] |= TCP_PSH;
	if (!last)
		p[l4 + 13] &= (uint8_t)~TCP_FIN;
	if (i > 0)
		p[l4 + 13] &= (uint8_t)~TCP_CWR;
	if (p[0] >> 4 == 4)
		put16(p + 4, ((uint32_t)p[4] << 8 | p[5]) + i);
}

void cut_frame(const struct berth_tx *t, bool whole, void (*take)(void *arg, const uint8_t *data, uint32_t len),
	       void *arg)
{
	static uint8_t all[WORLD_PACKET_BYTES + BERTH_TX_HEAD_MAX], one[WORLD_PACKET_BYTES];
	uint32_t n = t->head_len, head = t->head_len;

	memcpy(all, t->head, t->head_len);
	for (unsigned i = 0; i < t->n_parts && n + t->parts[i].len <= sizeof(all); n += t->parts[i].len, i++)
		memcpy(all + n, t->parts[i].data, t->parts[i].len);
	if (t->gso == BERTH_GSO_NONE || t->gso_size == 0) {
		take(arg, all, n);
		return;
	}
	if (whole) {
		complete(all, t->csum_start, n);
		take(arg, all, n);
		return;
	}
	for (uint32_t at = head, i = 0; at < n; at += t->gso_size, i++) {
		uint32_t len = n - at < t->gso_size ? n - at : t->gso_size;

		memcpy(one, all, head);
		memcpy(one + head, all + at, len);
		number(one, t->csum_start, at - head, i, at + len == n);
		complete(one, t->csum_start, head + len);
		take(arg, one, head + len);
	}
}
