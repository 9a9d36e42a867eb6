/* tests/unit/ip_temp.h: a link whose router gives prefixes, and temporary addresses in them (RFC 8981): test_ip_temp.c, test_ip_temp_use.c. */
#ifndef BERTH_TESTS_IP_TEMP_H
#define BERTH_TESTS_IP_TEMP_H

#include "ip_router.h"

#define NET "2001:db8:1::"
#define NET2 "2001:db8:2::"
#define FAR "2001:db8:ffff::1"
#define DAY 86400u
#define FLAGS (BERTH_IF_ROUTER_ADV | BERTH_IF_TEMP_ADDRS)
#define ADVANCE_S 5u /* REGEN_ADVANCE: 2 + 3 * 1 * 1 */
#define AT_ONCE 4    /* two days, one after the other after three fifths of one at the earliest */
#define N_MAX 16

static inline void open_sized(struct lab *l, uint32_t flags, uint32_t valid_s, uint32_t preferred_s,
			      struct berth_stack_config *c)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.flags = flags,
				.mtu_bytes = 1500,
				.name = "lab0",
				.temp_valid_s = valid_s,
				.temp_preferred_s = preferred_s};

	memcpy(f.mac, our_mac, 6);
	c->n_packets = 128;
	lab_open_iface(l, &f, c);
	lab_pass(l, SEC(5)); /* its link-local address is good */
	lab_clear(l);
}

static inline void open_lab(struct lab *l, uint32_t flags)
{
	struct berth_stack_config c = {.n_conns = 0};

	open_sized(l, flags, 0, 0, &c);
}

/* A way out that no router can take back. */
static inline void way_out(struct lab *l)
{
	struct berth_addr any = {.port = 0}, router = pub(ROUTER "%1");

	assert_int_equal(berth_route_add(l->st, &any, 0, &router, l->iface, 0), 0);
}

static inline void say_prefix(struct lab *l, const char *prefix, uint32_t valid_s, uint32_t preferred_s)
{
	struct wire_nd_ra ra = advert(1800);

	add_prefix(&ra, prefix, valid_s, preferred_s);
	say(l, &ra);
}

/* Those of a prefix (NULL: of all) that have these of some flags. */
static inline unsigned n_of(struct lab *l, const char *prefix, uint8_t some, uint8_t these, const struct ip_addr **ret)
{
	struct port_addr net = prefix ? A(prefix) : PORT_ADDR_ANY6;
	unsigned n = 0;

	for (uint32_t i = 0; i < l->st->ip->n_addrs; i++) {
		const struct ip_addr *a = &l->st->ip->addrs[i];

		if (!a->used || (a->flags & some) != these || (prefix && !port_addr_in(&a->addr, &net, 64)))
			continue;
		n++;
		if (ret)
			*ret = a;
	}
	return n;
}

#define T BERTH_ADDR_TEMPORARY
#define GONE BERTH_ADDR_DEPRECATED

static inline unsigned n_temps(struct lab *l, const char *prefix)
{
	return n_of(l, prefix, T, T, NULL);
}

/* The one that is preferred; there is no other. */
static inline const struct ip_addr *temp(struct lab *l, const char *prefix)
{
	const struct ip_addr *a = NULL;

	assert_int_equal(n_of(l, prefix, T | GONE, T, &a), 1);
	return a;
}

static inline const struct ip_addr *lasting(struct lab *l, const char *prefix)
{
	const struct ip_addr *a = NULL;

	assert_int_equal(n_of(l, prefix, BERTH_ADDR_AUTO | T, BERTH_ADDR_AUTO, &a), 1);
	return a;
}

static inline struct port_addr source(struct lab *l, const char *dst)
{
	struct port_addr to = A(dst), from = PORT_ADDR_ANY6;
	struct ip_route rt;

	assert_int_equal(ip_route_find(l->st, NULL, &to, BERTH_IFACE_ANY, &rt, &from), 0);
	return from;
}

/* The newest packet to dst that is not the stack's own business. */
static inline struct port_addr seen_from(struct lab *l, const char *dst, uint8_t proto)
{
	struct port_addr to = A(dst);

	for (unsigned i = l->n_out; i-- > 0;) {
		struct seen s = lab_seen(l, i);

		if (s.v6 && s.proto == proto && port_addr_equal(&s.dst, &to))
			return s.src;
	}
	fail_msg("nothing left for %s", dst);
	return PORT_ADDR_ANY6;
}

#endif
