/* src/wire/udp.c: the UDP header (RFC 768).
 *
 * The length in the header must hold the header and lie within what IP delivered (S1). Less than IP delivered is allowed; the
 * checksum covers length octets only, so the rest is cut here, before anybody sums it. A length of 0 is a jumbogram's (RFC 2675)
 * and too short for us.
 */
#include "wire/udp.h"

#include <errno.h>

int wire_udp_parse(const uint8_t *data, size_t len_bytes, struct wire_udp *ret)
{
	size_t len;

	if (len_bytes < WIRE_UDP_LEN)
		return -EBADMSG;
	len = wire_get16(data + 4);
	if (len < WIRE_UDP_LEN || len > len_bytes)
		return -EBADMSG;
	*ret = (struct wire_udp){.src_port = wire_get16(data),
				 .dst_port = wire_get16(data + 2),
				 .checksum = wire_get16(data + 6),
				 .payload = {data + WIRE_UDP_LEN, len - WIRE_UDP_LEN}};
	return 0;
}

int wire_udp_emit(const struct wire_udp *u, uint8_t *buf, size_t len_bytes)
{
	if (len_bytes < WIRE_UDP_LEN)
		return -ENOBUFS;
	if (u->payload.len_bytes > UINT16_MAX - WIRE_UDP_LEN)
		return -EMSGSIZE;
	wire_put16(buf, u->src_port);
	wire_put16(buf + 2, u->dst_port);
	wire_put16(buf + 4, (uint16_t)(WIRE_UDP_LEN + u->payload.len_bytes));
	wire_put16(buf + 6, u->checksum);
	return WIRE_UDP_LEN;
}
