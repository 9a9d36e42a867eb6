/* src/port/endpoint.h: ports as people write them.
 *
 *   80   80/tcp   :8080   http   http/tcp   192.168.1.10:3306   [::1]:53/udp   8000-8010   8000-8010/udp
 *   *:80   localhost:80 and web:80 (a host name is handed back as text for the caller to resolve)
 *
 * A text that is wrong gets a message and the offset of the character that is wrong.
 */
#ifndef BERTH_PORT_ENDPOINT_H
#define BERTH_PORT_ENDPOINT_H

#include "port/addr.h"

/* RFC 6335, 6: System 0-1023, User 1024-49151, Dynamic 49152-65535. */
enum port_class { PORT_CLASS_SYSTEM, PORT_CLASS_USER, PORT_CLASS_DYNAMIC };
enum port_class port_class_of(uint16_t port);
extern const char *const port_class_name[3]; /* "system", "user", "dynamic" */

struct port_range {
	uint16_t first, last; /* both ends included; one port: first == last */
};

struct port_endpoint {
	struct port_addr addr; /* when has_addr */
	struct port_range ports;
	enum port_proto proto; /* when has_proto; else PORT_TCP */
	bool has_addr, has_proto;
	char host[64];	  /* a name that is no address, or "" */
	char service[32]; /* the service name the port came from, or "" */
};

struct port_tuple {
	enum port_proto proto;
	struct port_addr local, remote;
	uint16_t local_port, remote_port;
};

struct port_parse_error {
	size_t at;	  /* offset of the character the message is about */
	const char *what; /* a sentence without a full stop; static */
};

/**
 * port_endpoint_parse() - read an endpoint in any of the forms above
 * @text:    NUL-terminated, at most 255 characters
 * @ret:     the endpoint; set only on success
 * @reterr:  where and what, on -EINVAL only; may be NULL
 *
 * Service names are looked up with port_service_find() (RFC 6335, 5.1: compared without case).
 * Port 0 parses: it is a request, not a place; whoever cannot serve it says so.
 *
 * Return: 0 or -EINVAL.
 */
MUST_CHECK int port_endpoint_parse(const char *text, struct port_endpoint *ret, struct port_parse_error *reterr);
/* An address alone: "10.0.0.1", "::1", "[::1]", "fe80::1%3". Return: 0 or -EINVAL. */
MUST_CHECK int port_addr_parse(const char *text, struct port_addr *ret, struct port_parse_error *reterr);
/* Digits only, 0 to 65535. */
MUST_CHECK int port_number_parse(const char *text, uint16_t *ret, struct port_parse_error *reterr);

#define PORT_ENDPOINT_STR_MAX 96
/* "127.0.0.1:80", "[::1]:80", "*:80" for 0.0.0.0 and "[::]:80" for ::. Returns s. */
char *port_endpoint_print(const struct port_addr *addr, uint16_t port, char s[PORT_ENDPOINT_STR_MAX]);
#define PORT_TUPLE_STR_MAX 200
/* "tcp 10.0.0.1:40000 -> 10.0.0.2:80". Returns s. */
char *port_tuple_print(const struct port_tuple *t, char s[PORT_TUPLE_STR_MAX]);

#endif
