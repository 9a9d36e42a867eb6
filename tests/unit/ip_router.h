/* tests/unit/ip_router.h: routers at ip_fixture.h's link, and what they say. */
#ifndef BERTH_TESTS_IP_ROUTER_H
#define BERTH_TESTS_IP_ROUTER_H

#include "ip_fixture.h"

#define ROUTER "fe80::aa"
#define ROUTER2 "fe80::bb"

static inline struct wire_nd_ra advert(uint16_t lifetime_s)
{
	struct wire_nd_ra ra = {.lifetime_s = lifetime_s};

	ra.options.has = WIRE_ND_HAS_SOURCE_MAC;
	memcpy(ra.options.source_mac, his_mac, 6);
	return ra;
}

static inline void add_prefix(struct wire_nd_ra *ra, const char *prefix, uint32_t valid_s, uint32_t preferred_s)
{
	ra->options.prefixes[ra->options.n_prefixes++] = (struct wire_nd_prefix){.prefix = A(prefix),
										 .prefix_bits = 64,
										 .on_link = true,
										 .autonomous = true,
										 .valid_s = valid_s,
										 .preferred_s = preferred_s};
}

static inline void say_from(struct lab *l, const char *router, const struct wire_nd_ra *ra, uint8_t hops)
{
	uint8_t msg[600];

	lab_nd(l, router, "ff02::1", msg, wire_nd_ra_emit(ra, msg, sizeof(msg)), hops);
}

static inline void say(struct lab *l, const struct wire_nd_ra *ra)
{
	say_from(l, ROUTER, ra, 255);
}

#endif
