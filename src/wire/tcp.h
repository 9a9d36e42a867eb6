/* src/wire/tcp.h: the TCP header (RFC 9293, 3.1) and its options. */
#ifndef BERTH_WIRE_TCP_H
#define BERTH_WIRE_TCP_H

#include "wire/wire.h"

#define WIRE_TCP_LEN 20
#define WIRE_TCP_OPTIONS_MAX 40
#define WIRE_TCP_LEN_MAX 60

#define WIRE_TCP_FIN 0x001
#define WIRE_TCP_SYN 0x002
#define WIRE_TCP_RST 0x004
#define WIRE_TCP_PSH 0x008
#define WIRE_TCP_ACK 0x010
#define WIRE_TCP_URG 0x020
#define WIRE_TCP_ECE 0x040 /* RFC 3168 */
#define WIRE_TCP_CWR 0x080
#define WIRE_TCP_AE 0x100 /* RFC 9768; was NS */
#define WIRE_TCP_FLAGS 0x1ff

/* Where fields stand in the header, for who patches a template. */
#define WIRE_TCP_AT_SEQ 4
#define WIRE_TCP_AT_ACK 8
#define WIRE_TCP_AT_FLAGS 12
#define WIRE_TCP_AT_WINDOW 14
#define WIRE_TCP_AT_CHECKSUM 16
#define WIRE_TCP_AT_URGENT 18

/* Bits of wire_tcp_options.has. A field whose bit is not set is 0. */
#define WIRE_TCP_HAS_MSS 0x01
#define WIRE_TCP_HAS_WSCALE 0x02
#define WIRE_TCP_HAS_SACK_OK 0x04
#define WIRE_TCP_HAS_SACK 0x08
#define WIRE_TCP_HAS_TS 0x10
#define WIRE_TCP_HAS_USER_TIMEOUT 0x20
#define WIRE_TCP_HAS_COOKIE 0x40 /* fast open; a request is a cookie of no octets */

#define WIRE_TCP_WSCALE_MAX 14 /* RFC 7323, 2.3 */
#define WIRE_TCP_SACKS_MAX 4   /* 2 + 8 * 4 octets; 3 beside timestamps */
#define WIRE_TCP_COOKIE_MIN 4  /* RFC 7413, 4.1.1 */
#define WIRE_TCP_COOKIE_MAX 16

/* The octets left up to, not with, right. parse gives only blocks with left < right in sequence space. */
struct wire_tcp_sack {
	uint32_t left, right;
};

struct wire_tcp_options {
	uint8_t has;
	uint8_t wscale; /* capped at WIRE_TCP_WSCALE_MAX by parse */
	uint8_t n_sacks;
	uint8_t cookie_bytes;
	uint16_t mss;	    /* as sent, any value: the stack has its floor (S16) */
	uint16_t n_ignored; /* options of a kind we know, of a length it cannot have: passed over */
	uint32_t ts_val, ts_ecr;
	uint32_t user_timeout_s;  /* RFC 5482; below 32768, or a multiple of 60 */
	bool cookie_experimental; /* kind 254 with 0xf989, before RFC 7413 */
	uint8_t cookie[WIRE_TCP_COOKIE_MAX];
	struct wire_tcp_sack sacks[WIRE_TCP_SACKS_MAX]; /* in the order sent; the first may be a D-SACK (RFC 2883) */
};

struct wire_tcp {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint16_t flags;	   /* WIRE_TCP_*; reserved bits are ignored and sent as 0 */
	uint16_t window;   /* as on the wire, not scaled */
	uint16_t checksum; /* as on the wire; parse does not judge it: wire_transport_checksum_good() */
	uint16_t urgent;   /* as on the wire, may point anywhere (S7) */
	struct wire_tcp_options options;
	struct wire_slice payload;
};

/* -EBADMSG: data offset below 5 or beyond the segment (S3); an option of length 0, 1 or past the header (RFC 9293, MUST-7). */
MUST_CHECK int wire_tcp_parse(const uint8_t *data, size_t len_bytes, struct wire_tcp *ret);
/* The same, the options to another place: ret->options is left as it is. */
MUST_CHECK int wire_tcp_parse_split(const uint8_t *data, size_t len_bytes, struct wire_tcp *ret,
				    struct wire_tcp_options *ret_options);

/* Header and options with t->checksum; wire_checksum_fill() puts the right one. payload is not looked at. -EMSGSIZE: the options
 * take more than 40 octets. */
MUST_CHECK int wire_tcp_emit(const struct wire_tcp *t, uint8_t *buf, size_t len_bytes);

/* The options alone: of a header's options, without its first 20 octets. */
MUST_CHECK int wire_tcp_options_parse(const uint8_t *data, size_t len_bytes, struct wire_tcp_options *ret);
/* Padded to a multiple of 4 octets; what wire_tcp_emit() writes behind the first 20. */
MUST_CHECK int wire_tcp_options_emit(const struct wire_tcp_options *o, uint8_t *buf, size_t len_bytes);
/* How many octets that takes, a multiple of 4; may be beyond WIRE_TCP_OPTIONS_MAX. */
unsigned wire_tcp_options_len(const struct wire_tcp_options *o);

#endif
