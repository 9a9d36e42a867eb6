/* src/wire/icmp.h: ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443), and the packet an error quotes. */
#ifndef BERTH_WIRE_ICMP_H
#define BERTH_WIRE_ICMP_H

#include "port/addr.h"
#include "wire/wire.h"

#define WIRE_ICMP_LEN 8 /* type, code, checksum and a word that depends on the type */

#define WIRE_ICMP4_ECHO_REPLY 0
#define WIRE_ICMP4_UNREACHABLE 3
#define WIRE_ICMP4_ECHO 8
#define WIRE_ICMP4_TIME_EXCEEDED 11
#define WIRE_ICMP4_PARAMETER_PROBLEM 12

/* Codes of WIRE_ICMP4_UNREACHABLE (RFC 792, RFC 1122, 3.2.2.1). */
#define WIRE_ICMP4_UNREACHABLE_NET 0
#define WIRE_ICMP4_UNREACHABLE_HOST 1
#define WIRE_ICMP4_UNREACHABLE_PROTO 2
#define WIRE_ICMP4_UNREACHABLE_PORT 3
#define WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED 4
#define WIRE_ICMP4_UNREACHABLE_SOURCE_ROUTE 5
#define WIRE_ICMP4_UNREACHABLE_ADMIN 13

#define WIRE_ICMP6_UNREACHABLE 1
#define WIRE_ICMP6_TOO_BIG 2
#define WIRE_ICMP6_TIME_EXCEEDED 3
#define WIRE_ICMP6_PARAMETER_PROBLEM 4
#define WIRE_ICMP6_ECHO 128
#define WIRE_ICMP6_ECHO_REPLY 129
#define WIRE_ICMP6_MLD_QUERY 130
#define WIRE_ICMP6_MLD_REPORT1 131
#define WIRE_ICMP6_MLD_DONE 132
#define WIRE_ICMP6_ND_RS 133
#define WIRE_ICMP6_ND_RA 134
#define WIRE_ICMP6_ND_NS 135
#define WIRE_ICMP6_ND_NA 136
#define WIRE_ICMP6_ND_REDIRECT 137
#define WIRE_ICMP6_MLD_REPORT2 143

/* Codes of WIRE_ICMP6_UNREACHABLE (RFC 4443, 3.1). */
#define WIRE_ICMP6_UNREACHABLE_ROUTE 0
#define WIRE_ICMP6_UNREACHABLE_ADMIN 1
#define WIRE_ICMP6_UNREACHABLE_SCOPE 2
#define WIRE_ICMP6_UNREACHABLE_ADDRESS 3
#define WIRE_ICMP6_UNREACHABLE_PORT 4

/* Both codes of time exceeded, either family. */
#define WIRE_ICMP_TTL_EXCEEDED 0
#define WIRE_ICMP_REASSEMBLY_EXCEEDED 1

struct wire_icmp4 {
	uint8_t type, code;
	uint8_t pointer;	   /* parameter problem: offset of the wrong octet */
	uint16_t checksum;	   /* as on the wire; parse does not judge it: wire_transport_checksum_good() */
	uint16_t id, seq;	   /* echo and its reply */
	uint16_t mtu;		   /* unreachable, fragmentation needed (RFC 1191); 0: an old router does not say */
	struct wire_slice payload; /* echo: the data; an error: the packet it quotes */
};

/* -EPROTONOSUPPORT: a type that no host answers or believes any more: source quench (RFC 6633), redirect, timestamp, address mask
 * and unknown ones. Redirects among them: whoever wants them asks for a parser. */
MUST_CHECK int wire_icmp4_parse(const uint8_t *data, size_t len_bytes, struct wire_icmp4 *ret);
/* 8 octets with i->checksum, the payload follows; wire_checksum_fill() puts the right one. */
MUST_CHECK int wire_icmp4_emit(const struct wire_icmp4 *i, uint8_t *buf, size_t len_bytes);
bool wire_icmp4_is_error(uint8_t type); /* unknown types are none (RFC 1122, 3.2.2) */

struct wire_icmp6 {
	uint8_t type, code;
	uint16_t checksum;
	uint16_t id, seq; /* echo and its reply */
	uint32_t mtu;	  /* packet too big; any value: the stack has its floor (S13) */
	uint32_t pointer; /* parameter problem */
	struct wire_slice
		payload; /* echo: the data; an error, known or not: the packet it quotes; ND and MLD: empty, see nd.h, group.h */
};

/* -EPROTONOSUPPORT: an unknown informational message (RFC 4443, 2.4 (b)). Unknown errors are parsed (2.4 (a)). */
MUST_CHECK int wire_icmp6_parse(const uint8_t *data, size_t len_bytes, struct wire_icmp6 *ret);
/* 8 octets with i->checksum. Not for ND and MLD. */
MUST_CHECK int wire_icmp6_emit(const struct wire_icmp6 *i, uint8_t *buf, size_t len_bytes);
bool wire_icmp6_is_error(uint8_t type); /* the high bit is 0 */

/* What an ICMP error quotes: a packet somebody sent, us if it is true, cut anywhere behind the first 8 octets of the transport
 * (RFC 792) or before (then n_known says so). */
struct wire_embedded {
	struct port_addr src, dst; /* of the quoted packet: src is ours */
	uint8_t proto;
	bool fragment;		     /* of a datagram: total_bytes are this fragment's */
	bool later_fragment;	     /* no transport header in it: n_known is 0 */
	uint16_t id;		     /* IPv4's identification */
	uint8_t tos;		     /* or traffic class */
	uint32_t flow_label;	     /* IPv6's */
	size_t total_bytes;	     /* of the quoted packet when it was whole, as its header says */
	size_t header_bytes;	     /* of IP, extension headers included */
	unsigned n_known;	     /* octets of the transport header that are there, capped at 8 */
	uint16_t src_port, dst_port; /* TCP, UDP with n_known >= 4; an echo's id and sequence number with 8 */
	uint32_t seq;		     /* TCP with n_known == 8 */
	uint16_t udp_bytes;	     /* UDP with n_known == 8: its length field */
	uint8_t icmp_type;	     /* ICMP with n_known >= 1 */
	struct wire_slice transport; /* all that is there */
};

/* The quoted packet of an error of either family. Its checksum is not looked at: routers change quoted headers. Lengths in it may
 * be beyond what is there, that is what quoting is. -EBADMSG: no whole IP header, or no whole chain of extension headers. */
MUST_CHECK int wire_embedded_parse(enum port_family family, struct wire_slice quoted, struct wire_embedded *ret);

#endif
