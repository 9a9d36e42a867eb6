/* src/wire/group.h: multicast membership: IGMP (RFC 2236, 3376) for IPv4 and MLD (RFC 2710, 3810) for IPv6.
 *
 * The two say the same in different octets, so they share one structure. Times are in milliseconds, the short floating point form of
 * version 3 (RFC 3376, 4.1.1; RFC 3810, 5.1.3) is undone. The IP header's part (TTL or hop limit 1, router alert, link-local source)
 * is the caller's to check and to write.
 */
#ifndef BERTH_WIRE_GROUP_H
#define BERTH_WIRE_GROUP_H

#include "port/addr.h"
#include "wire/wire.h"

enum wire_group_kind {
	WIRE_GROUP_QUERY,
	WIRE_GROUP_REPORT1, /* IGMPv1 */
	WIRE_GROUP_REPORT2, /* IGMPv2, MLDv1: the group is address */
	WIRE_GROUP_LEAVE,   /* IGMPv2's leave, MLDv1's done */
	WIRE_GROUP_REPORT3, /* IGMPv3, MLDv2: the groups are records */
};

/* Types of records (RFC 3376, 4.2.12; RFC 3810, 5.2.12). */
enum wire_group_change {
	WIRE_GROUP_IS_INCLUDE = 1,
	WIRE_GROUP_IS_EXCLUDE = 2,
	WIRE_GROUP_TO_INCLUDE = 3,
	WIRE_GROUP_TO_EXCLUDE = 4,
	WIRE_GROUP_ALLOW = 5,
	WIRE_GROUP_BLOCK = 6,
};

struct wire_group {
	enum wire_group_kind kind;
	uint8_t version;	  /* of IGMP 1 to 3; MLDv1 counts as 2 and MLDv2 as 3 */
	struct port_addr address; /* of a query: 0.0.0.0 or :: asks for all groups */
	uint32_t max_response_ms; /* a query's; 0: at once (IGMPv1: 10 s are to be taken) */
	bool suppress;		  /* S of a query, version 3 */
	uint8_t robustness;	  /* QRV */
	uint32_t query_interval_s;
	uint16_t n_sources;	/* of a query, version 3: wire_group_source() */
	uint16_t n_records;	/* of a report, version 3: wire_group_record_next() */
	struct wire_slice body; /* the sources or the records, whole */
};

struct wire_group_record {
	enum wire_group_change change;
	struct port_addr address;
	uint16_t n_sources;
	struct wire_slice sources; /* wire_group_source() */
};

/* data is the IGMP message, checksum and all; or the ICMPv6 message from its type on. The checksum is the caller's
 * (wire_transport_checksum_good()). All records are walked: their lengths are good. -EPROTONOSUPPORT: another type. */
MUST_CHECK int wire_igmp_parse(const uint8_t *data, size_t len_bytes, struct wire_group *ret);
MUST_CHECK int wire_mld_parse(const uint8_t *data, size_t len_bytes, struct wire_group *ret);

/* The header of the message with a checksum of 0, n_records and n_sources as they are; body.data is not read: the caller appends
 * records (wire_group_record_emit()) or sources (octets of addresses) and fills the checksum in. */
MUST_CHECK int wire_igmp_emit(const struct wire_group *g, uint8_t *buf, size_t len_bytes);
MUST_CHECK int wire_mld_emit(const struct wire_group *g, uint8_t *buf, size_t len_bytes);

/* Takes the first record off *rest, which began as a report's body. False: none is left. */
bool wire_group_record_next(enum port_family family, struct wire_slice *rest, struct wire_group_record *ret);
/* One record and its sources.data as octets; the family is that of r->address. */
MUST_CHECK int wire_group_record_emit(const struct wire_group_record *r, uint8_t *buf, size_t len_bytes);
/* The i-th source. i < n_sources. */
struct port_addr wire_group_source(enum port_family family, struct wire_slice sources, size_t i);

#endif
