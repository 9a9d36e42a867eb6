/* src/wire/udp.h: the UDP header (RFC 768). */
#ifndef BERTH_WIRE_UDP_H
#define BERTH_WIRE_UDP_H

#include "wire/wire.h"

#define WIRE_UDP_LEN 8

struct wire_udp {
	uint16_t src_port, dst_port;
	uint16_t checksum; /* as on the wire; 0: none. parse does not judge it: wire_transport_checksum_good() */
	struct wire_slice payload; /* what the length leaves; octets behind it are nobody's */
};

MUST_CHECK int wire_udp_parse(const uint8_t *data, size_t len_bytes, struct wire_udp *ret);
/* The header with u->checksum; wire_checksum_fill() puts the right one. */
MUST_CHECK int wire_udp_emit(const struct wire_udp *u, uint8_t *buf, size_t len_bytes);

#endif
