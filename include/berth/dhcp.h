/* berth/dhcp.h: a DHCPv4 client (RFC 2131, 2132) as a library that does no I/O.
 *
 *	payloads that came to UDP port 68 ---> berth_dhcp_input()    \             / berth_dhcp_output() ---> payloads for port 67
 *	time			       ---> berth_dhcp_tick()    > a client < berth_dhcp_deadline() -> when to call again
 *	berth_dhcp_start(), ..._release() ...		   /              \ berth_dhcp_event() ---> a lease came, changed, went
 *
 * It knows nothing of sockets, interfaces and clocks, and nothing of berth's stack: tests/dhcp/dhcp_live.c has the two together,
 * examples/dhcp/dhcp_ask.c Linux's sockets.
 * A client is memory that you give it, one thread's at a time. Time is nanoseconds of a monotonic clock.
 *
 *	for (;;) {
 *		while (berth_dhcp_output(d, &tx, now()))	send tx.data from tx.src, port 68, to tx.dst, port 67
 *		while (berth_dhcp_event(d, &ev))		set or remove address, routes; after the messages have left, since a
 *								RELEASE comes from the address that goes
 *		wait for a packet until berth_dhcp_deadline(d);
 *		berth_dhcp_input(d, payload, len, now()); or berth_dhcp_tick(d, now());
 *	}
 *
 * Addresses are IPv4 in host order: 10.0.0.1 is 0x0a000001; 0 is none.
 */
#ifndef BERTH_DHCP_H
#define BERTH_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

struct berth_dhcp;

enum {
	BERTH_DHCP_UNICAST = 1, /* can take packets for an address that is not set yet: answers need not be broadcast */
};

struct berth_dhcp_config {
	uint32_t struct_size; /* sizeof(struct berth_dhcp_config) */
	uint32_t flags;	      /* BERTH_DHCP_ */
	uint8_t secret[16];   /* random: transaction numbers and jitter. All zeros: -EINVAL */
	uint8_t mac[6];
	uint8_t zero[2];
	uint32_t last_addr; /* had before: asked for first (INIT-REBOOT); 0: none */
	uint32_t
		start_delay_ms; /* a random part of it is waited before the first message [1000]; RFC 2131, 4.4.1: up to 10000 */
	uint8_t client_id_len; /* 0: hardware type and MAC */
	uint8_t client_id[31]; /* option 61, from its type on */
	char hostname[64];     /* option 12; "": not sent */
};

#define BERTH_DHCP_ROUTERS_MAX 4
#define BERTH_DHCP_ROUTES_MAX 8
#define BERTH_DHCP_DNS_MAX 4

struct berth_dhcp_route {
	uint32_t net, gateway; /* gateway 0: on the link */
	uint8_t prefix_bits;
	uint8_t zero[3];
};

struct berth_dhcp_lease {
	uint32_t addr, server;
	uint8_t prefix_bits;
	uint8_t n_routers, n_routes, n_dns;
	uint16_t mtu_bytes; /* 0: not said */
	uint16_t zero;
	uint32_t routers[BERTH_DHCP_ROUTERS_MAX];
	struct berth_dhcp_route
		routes[BERTH_DHCP_ROUTES_MAX]; /* if there are any, they take the routers' place (RFC 3442) */
	uint32_t dns[BERTH_DHCP_DNS_MAX];
	char domain[64];				 /* letters, digits, '-', '_' and '.', or "" */
	uint64_t begun_ns, renew_ns, rebind_ns, ends_ns; /* ends_ns UINT64_MAX: never */
};

/* Octets of memory for a client. */
size_t berth_dhcp_size(void);
/* mem: zeroed, 8-byte aligned, yours. Return: 0; -EINVAL; -ENOMEM. The client is stopped. */
int berth_dhcp_init(struct berth_dhcp **ret, void *mem, size_t len_bytes, const struct berth_dhcp_config *config,
		    uint64_t now_ns);

/* Get an address and keep it. Does nothing when it is started already. */
void berth_dhcp_start(struct berth_dhcp *d, uint64_t now_ns);
/* Give the address back, and stop. The lease is gone at once; output() has what the server is told. */
void berth_dhcp_release(struct berth_dhcp *d, uint64_t now_ns);
/* Somebody else has the address (RFC 2131, 3.1, 5): the server is told, and after ten seconds it begins anew. */
void berth_dhcp_decline(struct berth_dhcp *d, uint64_t now_ns);
/* Forget everything, silently. */
void berth_dhcp_stop(struct berth_dhcp *d);

/* Any octets: what is not an answer to us is counted and passed over. */
void berth_dhcp_input(struct berth_dhcp *d, const uint8_t *data, size_t len_bytes, uint64_t now_ns);

#define BERTH_DHCP_MESSAGE_MAX 576
struct berth_dhcp_tx {
	uint8_t data[BERTH_DHCP_MESSAGE_MAX];
	uint32_t len;
	uint32_t src; /* 0: 0.0.0.0 */
	uint32_t dst; /* 0xffffffff: broadcast */
};
/* 1: *ret is to be sent; 0: nothing for now. */
int berth_dhcp_output(struct berth_dhcp *d, struct berth_dhcp_tx *ret, uint64_t now_ns);
/* When to call berth_dhcp_tick() at the latest; UINT64_MAX: not before something else happens. In the past: now. */
uint64_t berth_dhcp_deadline(const struct berth_dhcp *d);
void berth_dhcp_tick(struct berth_dhcp *d, uint64_t now_ns);

enum berth_dhcp_what {
	BERTH_DHCP_BOUND = 1, /* a lease: set it up. Try the address first (ARP); taken: berth_dhcp_decline() */
	BERTH_DHCP_RENEWED,   /* the same address for longer; the rest may have changed */
	BERTH_DHCP_LOST,      /* take the address away: over, refused, declined, or given back */
};
/* In C++ write `struct berth_dhcp_event` and `struct berth_dhcp_counters`: there are functions of these names. */
struct berth_dhcp_event {
	enum berth_dhcp_what what;
	struct berth_dhcp_lease lease; /* LOST: the one that was */
};
/* 1; 0: nothing happened. At most one RENEWED is kept; BOUND and LOST are never lost. */
int berth_dhcp_event(struct berth_dhcp *d, struct berth_dhcp_event *ret);

enum berth_dhcp_state {
	BERTH_DHCP_STOPPED,
	BERTH_DHCP_INIT,
	BERTH_DHCP_SELECTING,
	BERTH_DHCP_REQUESTING,
	BERTH_DHCP_REBOOTING,
	BERTH_DHCP_BOUND_STATE,
	BERTH_DHCP_RENEWING,
	BERTH_DHCP_REBINDING,
};
enum berth_dhcp_state berth_dhcp_state(const struct berth_dhcp *d);

struct berth_dhcp_counters {
	uint64_t sent, received, malformed, not_for_us, refused; /* refused: well formed, but not to be believed */
};
void berth_dhcp_counters(const struct berth_dhcp *d, struct berth_dhcp_counters *ret);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
