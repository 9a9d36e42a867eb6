/* src/wire/tcp.c: the TCP header (RFC 9293, 3.1).
 *
 * The data offset is held against what IP delivered, once (S3). Options are tcp_options.c's. Nothing here judges a segment: flags
 * of any combination and an urgent pointer to anywhere are the stack's to refuse.
 *
 * Cost: 20 octets read once; the options most segments have (NOP NOP timestamps) take a comparison more.
 */
#include "wire/tcp.h"

#include <errno.h>

int wire_tcp_parse(const uint8_t *data, size_t len_bytes, struct wire_tcp *ret)
{
	return wire_tcp_parse_split(data, len_bytes, ret, &ret->options);
}

int wire_tcp_parse_split(const uint8_t *data, size_t len_bytes, struct wire_tcp *ret,
			 struct wire_tcp_options *ret_options)
{
	size_t header;
	int r;

	if (len_bytes < WIRE_TCP_LEN)
		return -EBADMSG;
	header = (size_t)(data[WIRE_TCP_AT_FLAGS] >> 4) * 4;
	if (header < WIRE_TCP_LEN || header > len_bytes)
		return -EBADMSG;
	r = wire_tcp_options_parse(data + WIRE_TCP_LEN, header - WIRE_TCP_LEN,
				   ret_options); /* the last that can fail */
	if (r < 0)
		return r;
	ret->src_port = wire_get16(data);
	ret->dst_port = wire_get16(data + 2);
	ret->seq = wire_get32(data + WIRE_TCP_AT_SEQ);
	ret->ack = wire_get32(data + WIRE_TCP_AT_ACK);
	ret->flags = wire_get16(data + WIRE_TCP_AT_FLAGS) & WIRE_TCP_FLAGS;
	ret->window = wire_get16(data + WIRE_TCP_AT_WINDOW);
	ret->checksum = wire_get16(data + WIRE_TCP_AT_CHECKSUM);
	ret->urgent = wire_get16(data + WIRE_TCP_AT_URGENT);
	ret->payload = (struct wire_slice){data + header, len_bytes - header};
	return 0;
}

int wire_tcp_emit(const struct wire_tcp *t, uint8_t *buf, size_t len_bytes)
{
	unsigned options = wire_tcp_options_len(&t->options);
	size_t header = WIRE_TCP_LEN + options;
	int r;

	ASSERT((t->flags & ~WIRE_TCP_FLAGS) == 0);
	if (options > WIRE_TCP_OPTIONS_MAX)
		return -EMSGSIZE;
	if (len_bytes < header)
		return -ENOBUFS;
	r = wire_tcp_options_emit(&t->options, buf + WIRE_TCP_LEN, options);
	if (r < 0)
		return r;
	wire_put16(buf, t->src_port);
	wire_put16(buf + 2, t->dst_port);
	wire_put32(buf + WIRE_TCP_AT_SEQ, t->seq);
	wire_put32(buf + WIRE_TCP_AT_ACK, t->ack);
	wire_put16(buf + WIRE_TCP_AT_FLAGS, (uint16_t)(header / 4 << 12 | t->flags));
	wire_put16(buf + WIRE_TCP_AT_WINDOW, t->window);
	wire_put16(buf + WIRE_TCP_AT_CHECKSUM, t->checksum);
	wire_put16(buf + WIRE_TCP_AT_URGENT, t->urgent);
	return (int)header;
}
