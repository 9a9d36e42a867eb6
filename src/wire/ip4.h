/* src/wire/ip4.h: the IPv4 header (RFC 791) and its options. */
#ifndef BERTH_WIRE_IP4_H
#define BERTH_WIRE_IP4_H

#include "port/addr.h"
#include "wire/wire.h"

#define WIRE_IP4_LEN 20
#define WIRE_IP4_AT_SRC 12
#define WIRE_IP4_AT_DST 16
#define WIRE_IP4_OPTIONS_MAX 40
#define WIRE_IP4_TOTAL_MAX 65535

/* Which options there are, bits of wire_ip4.has. */
#define WIRE_IP4_SOURCE_ROUTE 0x01 /* loose or strict: never followed (S6, RFC 7126) */
#define WIRE_IP4_RECORD_ROUTE 0x02
#define WIRE_IP4_TIMESTAMP 0x04
#define WIRE_IP4_ROUTER_ALERT 0x08 /* RFC 2113 */
#define WIRE_IP4_OTHER 0x10

struct wire_ip4 {
	struct port_addr src, dst;
	uint8_t tos; /* DSCP and ECN (WIRE_ECN_*) */
	uint8_t ttl;
	uint8_t proto; /* WIRE_PROTO_* */
	uint8_t has;   /* found by parse; emit writes options, whatever this says */
	uint16_t id;
	uint16_t fragment_at; /* where the payload belongs, octets: a multiple of 8 */
	bool df, mf;
	bool checksum_good;	   /* set by parse: the caller drops the packet if not. emit writes a good one */
	struct wire_slice options; /* as on the wire, a multiple of 4 octets, at most 40 */
	struct wire_slice payload; /* what total length leaves: padding of the frame is gone */
};

/* A fragment, first or later? */
static inline bool wire_ip4_is_fragment(const struct wire_ip4 *ip)
{
	return ip->mf || ip->fragment_at;
}

/* Options are walked and counted, their slice is well formed. -EBADMSG also: a fragment that reaches past 65535 octets. A fragment
 * with more to come whose length is no multiple of 8 is the reassembler's to refuse. */
MUST_CHECK int wire_ip4_parse(const uint8_t *data, size_t len_bytes, struct wire_ip4 *ret);
/* The same for a frame whose headers are in data and whose other more_bytes octets are elsewhere: payload.len_bytes counts those, too, so
 * only what lies within data may be read there. */
MUST_CHECK int wire_ip4_parse_split(const uint8_t *data, size_t len_bytes, size_t more_bytes, struct wire_ip4 *ret);
/* Header and options, with the total length of both and payload.len_bytes; payload.data is not read. */
MUST_CHECK int wire_ip4_emit(const struct wire_ip4 *ip, uint8_t *buf, size_t len_bytes);

/* The router alert option, four octets, as IGMP sends it. */
extern const uint8_t wire_ip4_router_alert[4];

#endif
