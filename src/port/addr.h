/* src/port/addr.h: an address, host order of meaning, no network headers.
 *
 * One shape for both families: sixteen octets, IPv4 held as its IPv4-mapped IPv6 form
 * ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). So 0.0.0.0 is ::ffff:0.0.0.0 and is NOT the same as ::.
 * Scope is an interface index, for link-local addresses only (RFC 4007); otherwise 0.
 */
#ifndef BERTH_PORT_ADDR_H
#define BERTH_PORT_ADDR_H

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

struct port_addr port_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
struct port_addr port_addr_from4(const uint8_t octets[4]);
struct port_addr port_addr_from6(const uint8_t octets[16], uint32_t scope);

bool port_addr_is4(const struct port_addr *a);	       /* ::ffff:0:0/96 */
bool port_addr_is_any(const struct port_addr *a);      /* 0.0.0.0 or :: */
bool port_addr_is_loopback(const struct port_addr *a); /* 127/8 or ::1 */
bool port_addr_is_multicast(const struct port_addr *a);
bool port_addr_is_linklocal6(const struct port_addr *a); /* fe80::/10 */
bool port_addr_equal(const struct port_addr *a, const struct port_addr *b);
/* Does a lie in net/prefix_bits? prefix_bits counts in the 128-bit form: 127.0.0.0/8 is 104. */
bool port_addr_in(const struct port_addr *a, const struct port_addr *net, unsigned prefix_bits);

/* Longest form: a full IPv6 address, '%' and a scope number, and the final NUL. */
#define PORT_ADDR_STR_MAX 58
/* "10.0.0.1", "::1", "fe80::1%3" (RFC 5952). Always terminates; returns s. */
char *port_addr_print(const struct port_addr *a, char s[PORT_ADDR_STR_MAX]);

#endif
