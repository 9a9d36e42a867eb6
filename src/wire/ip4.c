/* src/wire/ip4.c: the IPv4 header (RFC 791).
 *
 * Three lengths must agree: what the frame holds, the total length, the header length (S1, S3). A total length beyond the frame is
 * refused; a frame beyond the total length is cut, since Ethernet pads. Options are walked once, here, so that nobody walks them
 * again: what the stack needs to know of them are bits.
 *
 * Cost: a header without options is 20 octets read once. Elsewhere: fragments put together (stack/).
 */
#include "wire/ip4.h"

#include <errno.h>
#include <string.h>

#include "wire/checksum.h"

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_RECORD_ROUTE 7
#define OPTION_TIMESTAMP 68
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137
#define OPTION_ROUTER_ALERT 148

#define FLAG_DF 0x4000
#define FLAG_MF 0x2000
#define OFFSET_MASK 0x1fff

const uint8_t wire_ip4_router_alert[4] = {OPTION_ROUTER_ALERT, 4, 0, 0};

static uint8_t option_bit(uint8_t kind)
{
	switch (kind) {
	case OPTION_RECORD_ROUTE:
		return WIRE_IP4_RECORD_ROUTE;
	case OPTION_TIMESTAMP:
		return WIRE_IP4_TIMESTAMP;
	case OPTION_LOOSE_ROUTE:
	case OPTION_STRICT_ROUTE:
		return WIRE_IP4_SOURCE_ROUTE;
	case OPTION_ROUTER_ALERT:
		return WIRE_IP4_ROUTER_ALERT;
	default:
		return WIRE_IP4_OTHER;
	}
}

/* Which options there are, or -EBADMSG. Each step takes at least one of at most 40 octets (S2). */
static int walk_options(const uint8_t *p, size_t n)
{
	int has = 0;

	while (n) {
		if (*p == OPTION_END)
			break;
		if (*p == OPTION_NOP) {
			p++;
			n--;
			continue;
		}
		if (n < 2 || p[1] < 2 || p[1] > n)
			return -EBADMSG;
		has |= option_bit(*p);
		n -= p[1];
		p += p[1];
	}
	return has;
}

/* Of a header of 5 to 15 words. */
static bool checksum_good(const uint8_t *p, size_t header)
{
	uint64_t sum = 0;

	for (size_t at = 0; at < header; at += 4)
		sum += wire_get32(p + at);
	return wire_sum_good(wire_sum_add((uint32_t)sum, (uint32_t)(sum >> 32)));
}

int wire_ip4_parse(const uint8_t *data, size_t len_bytes, struct wire_ip4 *ret)
{
	return wire_ip4_parse_split(data, len_bytes, 0, ret);
}

int wire_ip4_parse_split(const uint8_t *data, size_t len_bytes, size_t more_bytes, struct wire_ip4 *ret)
{
	size_t header, total;
	uint16_t flags;
	int has = 0;

	if (len_bytes < WIRE_IP4_LEN || data[0] >> 4 != 4)
		return -EBADMSG;
	header = (size_t)(data[0] & 0x0f) * 4;
	total = wire_get16(data + 2);
	if (header < WIRE_IP4_LEN || header > len_bytes || header > total || total > len_bytes + more_bytes)
		return -EBADMSG;
	if (header > WIRE_IP4_LEN)
		has = walk_options(data + WIRE_IP4_LEN, header - WIRE_IP4_LEN);
	if (has < 0)
		return has;
	flags = wire_get16(data + 6);
	if ((flags & OFFSET_MASK) * 8 + total > WIRE_IP4_TOTAL_MAX)
		return -EBADMSG; /* whole, it would not fit the total length */
	wire_get_addr4(data + WIRE_IP4_AT_SRC, &ret->src);
	wire_get_addr4(data + WIRE_IP4_AT_DST, &ret->dst);
	ret->tos = data[1];
	ret->ttl = data[8];
	ret->proto = data[9];
	ret->has = (uint8_t)has;
	ret->id = wire_get16(data + 4);
	ret->fragment_at = (uint16_t)((flags & OFFSET_MASK) * 8);
	ret->df = flags & FLAG_DF;
	ret->mf = flags & FLAG_MF;
	ret->checksum_good = checksum_good(data, header);
	ret->options = (struct wire_slice){data + WIRE_IP4_LEN, header - WIRE_IP4_LEN};
	ret->payload = (struct wire_slice){data + header, total - header};
	return 0;
}

int wire_ip4_emit(const struct wire_ip4 *ip, uint8_t *buf, size_t len_bytes)
{
	size_t header = WIRE_IP4_LEN + ip->options.len_bytes;

	ASSERT(ip->options.len_bytes % 4 == 0 && ip->options.len_bytes <= WIRE_IP4_OPTIONS_MAX);
	ASSERT(ip->fragment_at % 8 == 0 && port_addr_is4(&ip->src) && port_addr_is4(&ip->dst));
	if (len_bytes < header)
		return -ENOBUFS;
	if (ip->payload.len_bytes > WIRE_IP4_TOTAL_MAX ||
	    header + ip->fragment_at + ip->payload.len_bytes > WIRE_IP4_TOTAL_MAX)
		return -EMSGSIZE;
	buf[0] = (uint8_t)(4 << 4 | header / 4);
	buf[1] = ip->tos;
	wire_put16(buf + 2, (uint16_t)(header + ip->payload.len_bytes));
	wire_put16(buf + 4, ip->id);
	wire_put16(buf + 6, (uint16_t)((ip->df ? FLAG_DF : 0) | (ip->mf ? FLAG_MF : 0) | ip->fragment_at / 8));
	buf[8] = ip->ttl;
	buf[9] = ip->proto;
	wire_put16(buf + 10, 0);
	memcpy(buf + 12, ip->src.b + 12, 4);
	memcpy(buf + 16, ip->dst.b + 12, 4);
	if (ip->options.len_bytes)
		memcpy(buf + WIRE_IP4_LEN, ip->options.data, ip->options.len_bytes);
	wire_put16(buf + 10, wire_checksum(wire_sum(0, buf, header)));
	return (int)header;
}
