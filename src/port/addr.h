/* src/port/addr.h: an address, host order of meaning, no network headers.
 *
 * One shape for both families: sixteen octets, IPv4 held as its IPv4-mapped IPv6 form
 * ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). So 0.0.0.0 is ::ffff:0.0.0.0 and is NOT the same as ::.
 * Scope is an interface index, for link-local addresses only (RFC 4007); otherwise 0.
 */
#ifndef BERTH_PORT_ADDR_H
#define BERTH_PORT_ADDR_H

#include <string.h>

#include "base/base.h"

struct port_addr {
	uint8_t b[16];
	uint32_t scope;
};

enum port_proto { PORT_TCP, PORT_UDP };
#define PORT_NPROTOS 2
extern const char *const port_proto_name[PORT_NPROTOS]; /* "tcp", "udp" */

enum port_family { PORT_FAMILY_4 = 4, PORT_FAMILY_6 = 6 };

#define PORT_ADDR_ANY4 ((struct port_addr){.b = {[10] = 0xff, [11] = 0xff}})
#define PORT_ADDR_ANY6 ((struct port_addr){.b = {0}})
#define PORT_ADDR_LOOP4 ((struct port_addr){.b = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}})
#define PORT_ADDR_LOOP6 ((struct port_addr){.b = {[15] = 1}})

/* Those that a packet meets are here, to be inlined: each is a comparison or two. */
static inline struct port_addr port_addr_from4(const uint8_t octets[4])
{
	struct port_addr a = PORT_ADDR_ANY4;

	memcpy(a.b + 12, octets, 4);
	return a;
}

/* ::ffff:0:0/96 */
static inline bool port_addr_is4(const struct port_addr *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->b, prefix, sizeof(prefix)) == 0;
}

/* 0.0.0.0 or :: */
static inline bool port_addr_is_any(const struct port_addr *a)
{
	static const uint8_t zero[16];

	if (port_addr_is4(a))
		return memcmp(a->b + 12, zero, 4) == 0;
	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

static inline bool port_addr_is_multicast(const struct port_addr *a)
{
	if (port_addr_is4(a))
		return (a->b[12] & 0xf0) == 0xe0; /* 224.0.0.0/4 */
	return a->b[0] == 0xff;
}

/* fe80::/10 */
static inline bool port_addr_is_linklocal6(const struct port_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static inline bool port_addr_equal(const struct port_addr *a, const struct port_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0 && a->scope == b->scope;
}

struct port_addr port_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
struct port_addr port_addr_from6(const uint8_t octets[16], uint32_t scope);

bool port_addr_is_loopback(const struct port_addr *a); /* 127/8 or ::1 */
/* Does a lie in net/prefix_bits? prefix_bits counts in the 128-bit form: 127.0.0.0/8 is 104. */
bool port_addr_in(const struct port_addr *a, const struct port_addr *net, unsigned prefix_bits);

/* Longest form: a full IPv6 address, '%' and a scope number, and the final NUL. */
#define PORT_ADDR_STR_MAX 58
/* "10.0.0.1", "::1", "fe80::1%3" (RFC 5952). Always terminates; returns s. */
char *port_addr_print(const struct port_addr *a, char s[PORT_ADDR_STR_MAX]);

#endif
