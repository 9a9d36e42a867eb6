/* src/wire/checksum.c: the Internet checksum.
 *
 * The ones' complement sum does not care in which byte order it is taken (RFC 1071, 2(B)): words are added as they lie in memory
 * and the folded result is turned once. Nor does it care how wide the words are, as long as carries come back around, so 32-bit
 * words are added into 64-bit lanes that cannot overflow: 2^32 words of 32 bits, 16 GiB, before one could.
 *
 * A part that begins at an odd offset has all its octets on the other side of their words: its sum with the two octets
 * exchanged is its share (RFC 1071, 2(B) again).
 *
 * Cost: one pass over the octets. Elsewhere: which packets have a checksum at all (stack/).
 */
#include "wire/checksum.h"

#include <errno.h>
#include <string.h>

static uint16_t turned(uint16_t v)
{
	return (uint16_t)(v << 8 | v >> 8);
}

/* A folded sum as it lies in memory, as a number. */
static uint16_t to_host(uint16_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return turned(v);
#else
	return v;
#endif
}

static uint16_t fold64(uint64_t v)
{
	v = (v & 0xffffffff) + (v >> 32);
	v = (v & 0xffffffff) + (v >> 32);
	return wire_sum_fold((uint32_t)v);
}

static uint64_t sum_memory(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; n >= 4; p += 4, n -= 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (n) {
		word = 0;
		memcpy(&word, p, n);
		sum += word;
	}
	return sum;
}

uint32_t wire_sum(uint32_t sum, const void *data, size_t len_bytes)
{
	return wire_sum_add(sum, to_host(fold64(sum_memory(data, len_bytes))));
}

uint32_t wire_sum_at(uint32_t sum, size_t at_bytes, const void *data, size_t len_bytes)
{
	uint16_t part = to_host(fold64(sum_memory(data, len_bytes)));

	return wire_sum_add(sum, at_bytes % 2 ? turned(part) : part);
}

uint32_t wire_sum_slices(uint32_t sum, const struct wire_slice *slices, size_t n_slices)
{
	size_t at = 0;

	for (size_t i = 0; i < n_slices; i++) {
		sum = wire_sum_at(sum, at, slices[i].data, slices[i].len_bytes);
		at += slices[i].len_bytes;
	}
	return sum;
}

uint32_t wire_sum_copy(uint32_t sum, void *dst, const void *src, size_t len_bytes)
{
	if (len_bytes)
		memcpy(dst, src, len_bytes);
	return wire_sum(sum, dst, len_bytes);
}

uint32_t wire_sum_pseudo(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint32_t len_bytes)
{
	uint32_t sum = wire_sum_add(proto, len_bytes);

	/* IPv4's mapped prefix is not on the wire. */
	if (port_addr_is4(src))
		return wire_sum(wire_sum(sum, src->b + 12, 4), dst->b + 12, 4);
	return wire_sum(wire_sum(sum, src->b, 16), dst->b, 16);
}

uint16_t wire_checksum_update16(uint16_t checksum, uint16_t old, uint16_t new)
{
	return wire_checksum((uint32_t)(uint16_t)~checksum + (uint16_t)~old + new);
}

uint16_t wire_checksum_update32(uint16_t checksum, uint32_t old, uint32_t new)
{
	checksum = wire_checksum_update16(checksum, (uint16_t)(old >> 16), (uint16_t)(new >> 16));
	return wire_checksum_update16(checksum, (uint16_t)old, (uint16_t) new);
}

int wire_checksum_offset(uint8_t proto)
{
	switch (proto) {
	case WIRE_PROTO_TCP:
		return 16;
	case WIRE_PROTO_UDP:
		return 6;
	case WIRE_PROTO_ICMP4:
	case WIRE_PROTO_ICMP6:
	case WIRE_PROTO_IGMP:
		return 2;
	default:
		return -EPROTONOSUPPORT;
	}
}

static uint32_t pseudo_of(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, size_t len_bytes)
{
	if (proto == WIRE_PROTO_ICMP4 || proto == WIRE_PROTO_IGMP)
		return 0;
	return wire_sum_pseudo(src, dst, proto, (uint32_t)len_bytes);
}

bool wire_transport_checksum_good(const struct port_addr *src, const struct port_addr *dst, uint8_t proto,
				  const void *data, size_t len_bytes)
{
	int at = wire_checksum_offset(proto);

	if (at < 0)
		return true;
	if (len_bytes < (size_t)at + 2)
		return false;
	if (proto == WIRE_PROTO_UDP && wire_get16((const uint8_t *)data + at) == 0)
		return port_addr_is4(src); /* absent: RFC 768; not allowed by RFC 8200, 8.1 */
	return wire_sum_good(wire_sum(pseudo_of(src, dst, proto, len_bytes), data, len_bytes));
}

void wire_checksum_fill(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint8_t *header,
			size_t header_bytes, uint32_t payload, size_t payload_bytes)
{
	int at = wire_checksum_offset(proto);
	uint32_t sum = wire_sum_add(payload, pseudo_of(src, dst, proto, header_bytes + payload_bytes));

	ASSERT(at >= 0 && (size_t)at + 2 <= header_bytes);
	wire_put16(header + at, 0);
	sum = wire_sum(sum, header, header_bytes);
	wire_put16(header + at, proto == WIRE_PROTO_UDP ? wire_checksum_udp(sum) : wire_checksum(sum));
}

void wire_checksum_defer(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint8_t *header,
			 size_t header_bytes, size_t payload_bytes)
{
	int at = wire_checksum_offset(proto);

	ASSERT(at >= 0 && (size_t)at + 2 <= header_bytes);
	wire_put16(header + at, wire_sum_fold(pseudo_of(src, dst, proto, header_bytes + payload_bytes)));
}

int wire_checksum_finish(uint8_t *packet, size_t len_bytes, size_t start, size_t offset)
{
	if (start > len_bytes || len_bytes - start < 2 || offset > len_bytes - start - 2)
		return -EBADMSG;
	wire_put16(packet + start + offset, wire_checksum_udp(wire_sum(0, packet + start, len_bytes - start)));
	return 0;
}
