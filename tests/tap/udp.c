/* tests/tap/udp.c: UDP echo on port 7. Trains come and go as trains. */
#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t room[65536];

void udp_echo_open(struct driver *d)
{
	struct berth_addr any = {.port = 7};
	int r = berth_sock_open(d->st, BERTH_UDP, BERTH_IPV6, UINT64_MAX, &d->udp_echo);

	if (r == 0)
		r = berth_sock_bind(d->st, d->udp_echo, &any);
	if (r < 0) {
		fprintf(stderr, "driver: udp: %s\n", strerror(-r));
		exit(1);
	}
}

void udp_echo_run(struct driver *d)
{
	for (int i = 0; i < 4096; i++) {
		struct berth_dgram g = {.data = room, .len = sizeof(room), .gso_size = 1};
		int r = berth_sock_udp_recv(d->st, d->udp_echo, &g, 1);

		if (r == -EAGAIN || r == 0)
			return;
		if (r < 0)
			continue; /* an error of an earlier answer: the next call has the next datagram */
		if (g.len > sizeof(room)) {
			printf("note udp: a datagram of %u\n", g.len);
			continue;
		}
		g.ttl = g.tos = 0;
		r = berth_sock_udp_send(d->st, d->udp_echo, &g, 1);
		if (r < 0)
			printf("note udp: send of %u: %s\n", g.len, strerrorname_np(-r));
	}
}
