/* src/wire/ip6.h: the IPv6 header and the chain of extension headers behind it (RFC 8200). */
#ifndef BERTH_WIRE_IP6_H
#define BERTH_WIRE_IP6_H

#include "port/addr.h"
#include "wire/wire.h"

#define WIRE_IP6_LEN 40
#define WIRE_IP6_FRAGMENT_LEN 8
#define WIRE_IP6_PAYLOAD_MAX 65535
#define WIRE_IP6_HEADERS_MAX 8	 /* extension headers in one packet (S2) */
#define WIRE_IP6_OPTIONS_MAX 256 /* octets of hop-by-hop and destination options headers together (S2) */

/* The chain as it was walked:
 *
 *     | fixed | hop-by-hop, routing ... | fragment | destination options | upper layer ...
 *             |<----------------- extensions ------------------------->|<- payload ->
 *             |<-- unfragmentable ---->|           |<----------- fragment ---------->
 *
 * Where fragment_at is not 0 the walk ends behind the fragment header: proto is what that header names and the payload is what
 * follows. Unknown headers end the walk, too: proto is their number, for the caller to refuse (code 1 at proto_at).
 */
struct wire_ip6 {
	struct port_addr src, dst; /* scope 0: the interface is the caller's */
	uint32_t flow;		   /* 20 bits */
	uint8_t tclass;		   /* DSCP and ECN (WIRE_ECN_*) */
	uint8_t hops;
	uint8_t proto;	   /* of the payload: WIRE_PROTO_*, or a header unknown here */
	uint8_t next;	   /* of the fixed header: proto, or the first extension header */
	uint16_t proto_at; /* offset in the packet of the octet that names proto */
	bool router_alert; /* RFC 2711, in the hop-by-hop options */
	uint16_t router_alert_value;
	bool fragmented; /* a fragment header is there; alone, with fragment_at 0 and no more, it is atomic (RFC 6946) */
	bool more;	 /* M */
	uint16_t fragment_at; /* where the fragment belongs, octets: a multiple of 8 */
	uint16_t
		fragment_named; /* offset in the packet of the octet that says "fragment header": the reassembled packet has fragment_next there */
	uint8_t fragment_next; /* what the fragment header names */
	uint32_t fragment_id;
	uint16_t unfragmentable_bytes; /* of extensions, before the fragment header */
	struct wire_slice fragment;    /* behind the fragment header; empty unless fragmented */
	struct wire_slice extensions;  /* as on the wire */
	struct wire_slice payload;
};

static inline bool wire_ip6_is_fragment(const struct wire_ip6 *ip)
{
	return ip->fragmented && (ip->more || ip->fragment_at);
}

/* Codes of the ICMPv6 parameter problem (RFC 4443, 3.4; RFC 7112, 5). */
#define WIRE_IP6_PROBLEM_FIELD 0
#define WIRE_IP6_PROBLEM_HEADER 1
#define WIRE_IP6_PROBLEM_OPTION 2
#define WIRE_IP6_PROBLEM_CHAIN 3 /* a first fragment without all headers */

/* A packet to be answered with a parameter problem. */
struct wire_ip6_problem {
	struct port_addr src, dst; /* of the packet */
	uint8_t code;
	bool to_multicast_too; /* answer even if dst is a group: option type 10 (RFC 8200, 4.2) */
	uint32_t pointer;
};

/**
 * wire_ip6_parse() - read the fixed header, walk the chain, cut the payload to the payload length
 * @reterr_problem: set only with -EPROTO; may be NULL
 *
 * Known headers are hop-by-hop options (first only), routing, fragment (once), destination options. A routing header with segments
 * left is refused whatever its type, 0 included (RFC 5095); without any it is passed over.
 *
 * Return: 0; -EBADMSG; -EPROTONOSUPPORT, a jumbogram; -EPROTO, discard and answer with *reterr_problem.
 */
MUST_CHECK int wire_ip6_parse(const uint8_t *data, size_t len_bytes, struct wire_ip6 *ret,
			      struct wire_ip6_problem *reterr_problem);

/* The same for a frame whose headers are in data and whose other more_bytes octets are elsewhere: payload.len_bytes and fragment.len_bytes
 * count those, too, so only what lies within data may be read there. */
MUST_CHECK int wire_ip6_parse_split(const uint8_t *data, size_t len_bytes, size_t more_bytes, struct wire_ip6 *ret,
				    struct wire_ip6_problem *reterr_problem);

/* Fixed header and extensions; payload.data is not read. With extensions the fixed header names next, else proto. The fields of
 * the chain (fragmented, router_alert ...) are not looked at: extensions are made by the two functions below. */
MUST_CHECK int wire_ip6_emit(const struct wire_ip6 *ip, uint8_t *buf, size_t len_bytes);

/* A fragment header, 8 octets. at_bytes is a multiple of 8. */
void wire_ip6_put_fragment(uint8_t buf[WIRE_IP6_FRAGMENT_LEN], uint8_t next, uint16_t at_bytes, bool more, uint32_t id);
/* Hop-by-hop options with a router alert, 8 octets, as MLD sends it (value 0). */
#define WIRE_IP6_ROUTER_ALERT_LEN 8
void wire_ip6_put_router_alert(uint8_t buf[WIRE_IP6_ROUTER_ALERT_LEN], uint8_t next, uint16_t value);

#endif
