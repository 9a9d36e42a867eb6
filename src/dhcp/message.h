/* src/dhcp/message.h: DHCP messages (RFC 2131, 2; RFC 2132) to structures and back. */
#ifndef BERTH_DHCP_MESSAGE_H
#define BERTH_DHCP_MESSAGE_H

#include "base/base.h"
#include <berth/dhcp.h>

enum dhcp_type {
	DHCP_DISCOVER = 1,
	DHCP_OFFER,
	DHCP_REQUEST,
	DHCP_DECLINE,
	DHCP_ACK,
	DHCP_NAK,
	DHCP_RELEASE,
};

#define DHCP_CLIENT_ID_MAX 31

/* A server's message, as far as a client wants to know it. */
struct dhcp_answer {
	enum dhcp_type type;
	uint32_t xid;
	uint8_t mac[6];
	uint32_t yiaddr, server; /* server: option 54; 0: not there */
	bool has_lease, has_mask, has_client_id;
	uint32_t lease_s, t1_s, t2_s; /* t1_s, t2_s: 0: not said */
	uint8_t prefix_bits;
	uint8_t client_id_len, client_id[DHCP_CLIENT_ID_MAX]; /* client_id_len 255: longer than any of ours */
	uint16_t mtu_bytes;
	uint8_t n_routers, n_routes, n_dns;
	uint32_t routers[BERTH_DHCP_ROUTERS_MAX], dns[BERTH_DHCP_DNS_MAX];
	struct berth_dhcp_route routes[BERTH_DHCP_ROUTES_MAX];
	char domain[64];
};

/* Return: 0; -EBADMSG, no correct server's answer. Options of a length that they cannot have are passed over. */
MUST_CHECK int dhcp_answer_parse(const uint8_t *data, size_t len_bytes, struct dhcp_answer *ret);

/* Is a one host's address: not 0/8, 127/8, a group, class E or broadcast? */
bool dhcp_is_host(uint32_t addr);

/* A client's message. Zeros are left out. */
struct dhcp_ask {
	enum dhcp_type type;
	uint32_t xid, ciaddr, requested, server;
	uint16_t secs;
	bool broadcast;
	const uint8_t *mac, *client_id;
	uint8_t client_id_len;
	const char *hostname;
};
/* Returns the octets written, at least 300 (as BOOTP's relays want it) and at most BERTH_DHCP_MESSAGE_MAX. */
size_t dhcp_ask_emit(const struct dhcp_ask *m, uint8_t buf[BERTH_DHCP_MESSAGE_MAX]);

#endif
