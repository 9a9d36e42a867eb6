/* src/cli/range_use.h: how much of the ephemeral range is used, counted as the kernel counts when it chooses a port. */
#ifndef BERTH_CLI_RANGE_USE_H
#define BERTH_CLI_RANGE_USE_H

#include "host/settings.h"
#include "host/socket.h"

struct range_use {
	uint32_t usable;     /* ports of the range that are not reserved */
	uint32_t first_half; /* of them those that connect() tries first: of the low end's parity */
	uint32_t used;	     /* TCP ports of the range that any socket has, on whatever address */
	uint32_t used_udp;
	/* The local address with the fewest left for bind(0): what wildcards have counts for every address. */
	struct port_addr addr;
	uint32_t addr_used;
	/* The destination with the fewest left for connect(), which may use a port once for each destination. */
	struct range_destination {
		struct port_addr local, peer;
		uint16_t peer_port;
		uint32_t n, n_first, n_time_wait; /* n_first: of the first half */
	} worst;
	uint32_t time_wait; /* all, of TCP */
	uint32_t
		time_wait_client; /* of them on ports of the range where nobody listens: of connections made from here */
};

/* rows: all TCP and UDP sockets, in whatever order. Return: 0; -ENOMEM. */
MUST_CHECK int range_use_measure(const struct host_settings *s, const struct host_socket *rows, size_t n,
				 struct range_use *ret);

#endif
