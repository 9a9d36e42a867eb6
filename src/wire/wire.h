/* src/wire/wire.h: what all files of wire/ share.
 *
 * wire/ turns octets into checked structs in host order and back. It is the only place that knows network byte order: outside of
 * it a port is a uint16_t, an address a struct port_addr, a length counts octets.
 *
 * The same for every header X
 *   wire_X_parse(data, len_bytes, &x)  0, or
 *                  -EBADMSG            octets that no correct sender writes: too short, a length that lies, a walk that does not advance
 *                  -EPROTONOSUPPORT    well formed as far as we looked, but not for us
 *                  x is set only on success. Slices in x point into data, which stays the caller's.
 *   wire_X_emit(&x, buf, len_bytes)    octets written (the header, not the payload), or
 *                  -ENOBUFS            buf is too short; -EMSGSIZE, a length does not fit its field
 *                  Nothing is written on failure. Reserved bits are 0.
 *
 * A parser looks only at the len_bytes it was given (STACK.md, S1): lengths inside a header can make a slice shorter, never
 * longer. (wire_ip4_parse_split() and wire_ip6_parse_split(), for frames in several parts, say what their payload counts.) parse(emit(x)) == x for all that emit accepts.
 */
#ifndef BERTH_WIRE_WIRE_H
#define BERTH_WIRE_WIRE_H

#include <string.h>

#include "port/addr.h"

/* Octets of somebody else's. data may be NULL when len_bytes is 0. */
struct wire_slice {
	const uint8_t *data;
	size_t len_bytes;
};

/* Numbers of protocols: IPv4's protocol field and IPv6's next header (IANA). */
#define WIRE_PROTO_HOPOPTS 0
#define WIRE_PROTO_ICMP4 1
#define WIRE_PROTO_IGMP 2
#define WIRE_PROTO_TCP 6
#define WIRE_PROTO_UDP 17
#define WIRE_PROTO_ROUTING 43
#define WIRE_PROTO_FRAGMENT 44
#define WIRE_PROTO_ICMP6 58
#define WIRE_PROTO_NONE 59
#define WIRE_PROTO_DSTOPTS 60

/* The ECN field, the two low bits of IPv4's TOS and IPv6's traffic class (RFC 3168, 5). */
#define WIRE_ECN_MASK 0x03
#define WIRE_ECN_NOT_ECT 0x00
#define WIRE_ECN_ECT1 0x01
#define WIRE_ECN_ECT0 0x02
#define WIRE_ECN_CE 0x03

/* Numbers at any address. The caller has checked the length. */
static inline uint16_t wire_get16(const uint8_t *p)
{
	return (uint16_t)((uint32_t)p[0] << 8 | p[1]);
}

static inline uint32_t wire_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void wire_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void wire_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* Addresses, without a call each and in one store: what is put together from smaller ones and copied as a whole soon after, as addresses
 * are, waits for those stores to reach the cache. The scope is 0. */
static inline void wire_get_addr4(const uint8_t *p, struct port_addr *ret)
{
	uint32_t v __attribute__((vector_size(16))) = {0, 0, 0, 0};
	uint32_t octets;

	memcpy(&octets, p, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v[2] = 0xffff0000;
#else
	v[2] = 0x0000ffff;
#endif
	v[3] = octets;
	memcpy(ret->b, &v, 16);
	ret->scope = 0;
}

static inline void wire_get_addr6(const uint8_t *p, struct port_addr *ret)
{
	memcpy(ret->b, p, 16);
	ret->scope = 0;
}

/* An IPv6 address on the wire that would be IPv4 to all of us, and has no place there (RFC 4942, 2.2). */
static inline bool wire_is_mapped(const uint8_t *p)
{
	return (wire_get32(p) | wire_get32(p + 4)) == 0 && wire_get32(p + 8) == 0xffff;
}

#endif
