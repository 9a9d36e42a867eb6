/* src/wire/checksum.c: the Internet checksum.
 *
 * The ones' complement sum does not care in which byte order it is taken (RFC 1071, 2(B)): words are added as they lie in memory
 * and the folded result is turned once. Nor does it care how wide the words are, as long as carries come back around.
 *
 * A 64-bit word is its two halves added. Rather than take each apart, two running sums are kept: `all` of whole words, whose overflow
 * is lost, and `high` of their upper halves, which cannot overflow before 2^32 words. Then the sum of the lower halves is
 * all - (high << 32) modulo 2^64, and it is below 2^64 itself, so nothing was lost. That is an add, a shift and an add for each
 * vector, the same on every machine. With 128-bit vectors it was measured at 80 GB/s, and no faster with AVX2's 256 bits, so there is no
 * second version and nothing to ask of the processor (bench/wire.c).
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

/* The compiler's vectors, of the width that every 64-bit processor has. */
struct lanes {
	uint64_t v __attribute__((vector_size(16)));
};
#define N_CHAINS 4 /* sums that do not wait for each other */
#define BLOCK (N_CHAINS * sizeof(struct lanes))

struct running {
	uint64_t all, high; /* see above */
};

static void add_word(struct running *r, uint64_t word)
{
	r->all += word;
	r->high += word >> 32;
}

/* Folded, in memory order. */
static uint16_t finish(struct running r)
{
	uint64_t low = r.all - (r.high << 32);

	return fold64((low & 0xffffffff) + (low >> 32) + r.high);
}

static inline __attribute__((always_inline)) struct lanes load(const uint8_t *p)
{
	struct lanes l;

	memcpy(&l, p, sizeof(l));
	return l;
}

/* Whole blocks at p, copied to `to` unless that is NULL, which the compiler knows where this is inlined. */
static inline __attribute__((always_inline)) struct running blocks(uint8_t *to, const uint8_t *p, size_t n_blocks)
{
	struct lanes all0 = {{0}}, all1 = {{0}}, all2 = {{0}}, all3 = {{0}};
	struct lanes high0 = {{0}}, high1 = {{0}}, high2 = {{0}}, high3 = {{0}};
	struct running r = {0, 0};

	for (const uint8_t *end = p + n_blocks * BLOCK; p < end; p += BLOCK) {
		struct lanes a = load(p), b = load(p + 16), c = load(p + 32), d = load(p + 48);

		if (to) {
			memcpy(to, &a, 16);
			memcpy(to + 16, &b, 16);
			memcpy(to + 32, &c, 16);
			memcpy(to + 48, &d, 16);
			to += BLOCK;
		}
		all0.v += a.v;
		high0.v += a.v >> 32;
		all1.v += b.v;
		high1.v += b.v >> 32;
		all2.v += c.v;
		high2.v += c.v >> 32;
		all3.v += d.v;
		high3.v += d.v >> 32;
	}
	/* `high` of all lanes together is exact, and `all` modulo 2^64 is, too: what the lower halves were is told by finish(). */
	all0.v += all1.v + all2.v + all3.v;
	high0.v += high1.v + high2.v + high3.v;
	r.all = all0.v[0] + all0.v[1];
	r.high = high0.v[0] + high0.v[1];
	return r;
}

/* Fewer octets than a block. */
static inline void tail(struct running *r, const uint8_t *p, size_t n)
{
	uint64_t word;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		add_word(r, word);
	}
	if (n >= 4) {
		uint32_t half;

		memcpy(&half, p, 4);
		add_word(r, half);
		p += 4;
		n -= 4;
	}
	if (n >= 2) {
		uint16_t quarter;

		memcpy(&quarter, p, 2);
		add_word(r, quarter);
		p += 2;
		n -= 2;
	}
	if (n) {
		const uint8_t padded[2] = {*p, 0};
		uint16_t quarter;

		memcpy(&quarter, padded, 2);
		add_word(r, quarter);
	}
}

/* The folded sum of octets that begin at an even offset, in host order. */
static uint16_t sum_memory(const uint8_t *p, size_t n)
{
	struct running r = {0, 0};
	size_t n_blocks = n / BLOCK;

	if (n_blocks)
		r = blocks(NULL, p, n_blocks);
	tail(&r, p + n_blocks * BLOCK, n % BLOCK);
	return to_host(finish(r));
}

uint32_t wire_sum_join(uint32_t sum, size_t at_bytes, uint32_t part)
{
	uint16_t folded = wire_sum_fold(part);

	return wire_sum_add(sum, at_bytes % 2 ? turned(folded) : folded);
}

uint32_t wire_sum(uint32_t sum, const void *data, size_t len_bytes)
{
	if (len_bytes == 0)
		return sum; /* data may be NULL */
	return wire_sum_add(sum, sum_memory(data, len_bytes));
}

uint32_t wire_sum_at(uint32_t sum, size_t at_bytes, const void *data, size_t len_bytes)
{
	return wire_sum_join(sum, at_bytes, wire_sum(0, data, len_bytes));
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
	struct running r = {0, 0};
	size_t n_blocks = len_bytes / BLOCK, done = n_blocks * BLOCK;

	if (len_bytes == 0)
		return sum;
	if (n_blocks)
		r = blocks(dst, src, n_blocks);
	memcpy((uint8_t *)dst + done, (const uint8_t *)src + done, len_bytes - done);
	tail(&r, (const uint8_t *)src + done, len_bytes - done);
	return wire_sum_add(sum, to_host(finish(r)));
}

uint32_t wire_sum_pseudo(const struct port_addr *src, const struct port_addr *dst, uint8_t proto, uint32_t len_bytes)
{
	uint64_t sum = (uint64_t)proto + len_bytes;

	/* IPv4's mapped prefix is not on the wire. */
	for (size_t at = port_addr_is4(src) ? 12 : 0; at < 16; at += 4)
		sum += (uint64_t)wire_get32(src->b + at) + wire_get32(dst->b + at);
	return fold64(sum);
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
