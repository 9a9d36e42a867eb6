/* src/wire/nd.h: neighbour and router discovery (RFC 4861), messages of ICMPv6 types 133 to 137.
 *
 * data is the whole ICMPv6 message, from its type on. What the message alone can tell is checked here (RFC 4861, 6.1 and 7.1): code 0,
 * lengths, no option of length 0 (S19), targets that are no groups, lifetimes that fit each other. What needs more is the caller's: checksum,
 * hop limit 255, source and destination addresses, and that the packet was no fragment (RFC 6980).
 */
#ifndef BERTH_WIRE_ND_H
#define BERTH_WIRE_ND_H

#include "port/addr.h"
#include "wire/eth.h"
#include "wire/wire.h"

#define WIRE_ND_HOPS 255	      /* any other hop limit came from another link */
#define WIRE_ND_PREFIXES_MAX 8	      /* of one advertisement; more are counted, not kept (S19) */
#define WIRE_ND_INFINITE_S UINT32_MAX /* a lifetime without end */

/* RFC 4861, 4.6.2 */
struct wire_nd_prefix {
	struct port_addr prefix; /* bits behind the length are 0, whatever was sent */
	uint8_t prefix_bits;	 /* of IPv6: 0 to 128 */
	bool on_link, autonomous;
	uint32_t valid_s, preferred_s; /* preferred_s <= valid_s */
};

/* Bits of wire_nd_options.has. */
#define WIRE_ND_HAS_SOURCE_MAC 0x01
#define WIRE_ND_HAS_TARGET_MAC 0x02
#define WIRE_ND_HAS_MTU 0x04
#define WIRE_ND_HAS_REDIRECTED 0x08
#define WIRE_ND_HAS_NONCE 0x10

#define WIRE_ND_NONCE_LEN 6

/* The first of a kind counts; later ones, RDNSS (RFC 8106: names are not the stack's, S29) and unknown ones are passed over. A known
 * option of a length it cannot have is passed over, too, and counted. */
struct wire_nd_options {
	uint8_t has;
	uint8_t n_prefixes;
	uint16_t n_ignored;
	uint8_t source_mac[WIRE_MAC_LEN], target_mac[WIRE_MAC_LEN];
	uint8_t nonce[WIRE_ND_NONCE_LEN]; /* RFC 3971, 5.3.2; for DAD: RFC 7527 */
	uint32_t mtu;			  /* any value: at least 1280 is the caller's check */
	struct wire_slice redirected;	  /* the packet, a multiple of 8 octets */
	struct wire_nd_prefix prefixes[WIRE_ND_PREFIXES_MAX];
};

struct wire_nd_rs {
	struct wire_nd_options options;
};

/* RFC 4191, 2.1: 2 is to be read as medium, which parse does. */
enum wire_nd_preference { WIRE_ND_MEDIUM = 0, WIRE_ND_HIGH = 1, WIRE_ND_LOW = 3 };

struct wire_nd_ra {
	uint8_t hops; /* 0: not said */
	bool managed, other;
	enum wire_nd_preference preference;
	uint16_t lifetime_s;		   /* 0: not a default router */
	uint32_t reachable_ms, retrans_ms; /* 0: not said */
	struct wire_nd_options options;
};

struct wire_nd_ns {
	struct port_addr target;
	struct wire_nd_options options;
};

struct wire_nd_na {
	bool router, solicited, override;
	struct port_addr target;
	struct wire_nd_options options;
};

struct wire_nd_redirect {
	struct port_addr target, dst; /* to dst by way of target; equal: dst is on this link */
	struct wire_nd_options options;
};

MUST_CHECK int wire_nd_rs_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_rs *ret);
MUST_CHECK int wire_nd_ra_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_ra *ret);
MUST_CHECK int wire_nd_ns_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_ns *ret);
MUST_CHECK int wire_nd_na_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_na *ret);
MUST_CHECK int wire_nd_redirect_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_redirect *ret);

/* Whole messages with a checksum of 0, for wire_checksum_fill(src, dst, WIRE_PROTO_ICMP6, buf, n, 0, 0). A redirected packet is
 * written as far as it is a multiple of 8 octets. */
MUST_CHECK int wire_nd_rs_emit(const struct wire_nd_rs *m, uint8_t *buf, size_t len_bytes);
MUST_CHECK int wire_nd_ra_emit(const struct wire_nd_ra *m, uint8_t *buf, size_t len_bytes);
MUST_CHECK int wire_nd_ns_emit(const struct wire_nd_ns *m, uint8_t *buf, size_t len_bytes);
MUST_CHECK int wire_nd_na_emit(const struct wire_nd_na *m, uint8_t *buf, size_t len_bytes);
MUST_CHECK int wire_nd_redirect_emit(const struct wire_nd_redirect *m, uint8_t *buf, size_t len_bytes);

/* ff02::1:ffXX:XXXX, where the owners of a listen (RFC 4291, 2.7.1). */
struct port_addr wire_nd_solicited_node(const struct port_addr *a);

#endif
