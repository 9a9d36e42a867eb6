/* src/wire/checksum.h: the Internet checksum (RFC 1071, 1624), whole, in parts, and left to somebody else.
 *
 * A sum is a uint32_t: the ones' complement sum of 16-bit words, in host order, carries not yet all folded. Sums of parts are
 * added with wire_sum_add(); a plain number (a protocol, a length below 65536) is added the same way. 0 is the empty sum.
 * A checksum is the uint16_t that stands in a header: the complement of the folded sum.
 */
#ifndef BERTH_WIRE_CHECKSUM_H
#define BERTH_WIRE_CHECKSUM_H

#include "port/addr.h"
#include "wire/wire.h"

/* The folded sum, 0 to 0xffff. */
static inline uint16_t wire_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* Sums and plain numbers below 2^32 add up without losing a carry. */
static inline uint32_t wire_sum_add(uint32_t a, uint32_t b)
{
	uint32_t sum = a + b;

	return sum + (sum < a);
}

/* What stands in a header, in host order: ~sum. UDP writes 0 as 0xffff (RFC 768): wire_checksum_udp(). */
static inline uint16_t wire_checksum(uint32_t sum)
{
	return (uint16_t)~wire_sum_fold(sum);
}

static inline uint16_t wire_checksum_udp(uint32_t sum)
{
	uint16_t checksum = wire_checksum(sum);

	return checksum ? checksum : 0xffff;
}

/* Is a sum taken over everything, the checksum field and the pseudo header included, that of a good packet? */
static inline bool wire_sum_good(uint32_t sum)
{
	return wire_sum_fold(sum) == 0xffff;
}

/* sum plus that of the octets, the first of which is a word's high octet; an odd last octet is padded with 0. */
uint32_t wire_sum(uint32_t sum, const void *data, size_t len_bytes);
/* The same for a part that begins at_bytes into what is summed: an odd offset begins with a word's low octet. */
uint32_t wire_sum_at(uint32_t sum, size_t at_bytes, const void *data, size_t len_bytes);
/* sum plus part, the sum of at least one octet that begins at_bytes into what is summed: for parts summed on their own. */
uint32_t wire_sum_join(uint32_t sum, size_t at_bytes, uint32_t part);
/* Of n slices that follow each other, of any lengths. */
uint32_t wire_sum_slices(uint32_t sum, const struct wire_slice *slices, size_t n_slices);
/* wire_sum() of src while it is copied to dst. They do not overlap. */
uint32_t wire_sum_copy(uint32_t sum, void *dst, const void *src, size_t len_bytes);

/* The pseudo header of TCP, UDP and ICMPv6 (RFC 9293, 3.1; RFC 768; RFC 8200, 8.1), of the addresses' family.
 * len_bytes: the transport header and its payload. */
uint32_t wire_sum_pseudo(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint32_t len_bytes);

/* The checksum after a 16-bit or 32-bit word it covers went from old to new (RFC 1624, eqn. 3). The word stands at an even
 * offset. For UDP a result of 0 is the caller's to write as 0xffff. */
uint16_t wire_checksum_update16(uint16_t checksum, uint16_t old, uint16_t new);
uint16_t wire_checksum_update32(uint16_t checksum, uint32_t old, uint32_t new);

/* Is the checksum of a whole transport message right? data is the transport header and its payload, nothing behind it.
 * Knows that ICMPv4 and IGMP have no pseudo header, that UDP over IPv4 may have none at all and that over IPv6 it must. Protocols
 * without a checksum known here are good. */
bool wire_transport_checksum_good(const struct port_addr *src, const struct port_addr *dst, uint8_t proto,
				  const void *data, size_t len_bytes);

/* Where in its header a protocol keeps its checksum: 16 for TCP, 6 for UDP, 2 for ICMP and IGMP; -EPROTONOSUPPORT. */
int wire_checksum_offset(uint8_t proto);

/**
 * wire_checksum_fill() - compute a transport's checksum and write it
 * @header:       the transport header, its checksum field of any value
 * @header_bytes: its length
 * @payload:      the sum of what follows it, from wire_sum_at(0, header_bytes, ...) or wire_sum_slices(); header_bytes is even
 * @payload_bytes: how much that is
 *
 * Asserts that proto has a checksum and that header holds its field.
 */
void wire_checksum_fill(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint8_t *header,
			size_t header_bytes, uint32_t payload, size_t payload_bytes);

/* As virtio's NEEDS_CSUM wants it: the field gets the folded sum of the pseudo header, not complemented, and whoever is asked
 * finishes the work with wire_checksum_finish(). */
void wire_checksum_defer(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint8_t *header,
			 size_t header_bytes, size_t payload_bytes);

/**
 * wire_checksum_finish() - do what NEEDS_CSUM asks for
 * @packet:  a frame whose checksum at start + offset covers start to its end and holds the pseudo header's sum
 *
 * A result of 0 is written as 0xffff: right for UDP, and the same number to all others.
 *
 * Return: 0; -EBADMSG, the field does not lie within the packet (S28: these numbers are a peer's).
 */
MUST_CHECK int wire_checksum_finish(uint8_t *packet, size_t len_bytes, size_t start, size_t offset);

#endif
