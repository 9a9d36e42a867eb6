/* tests/unit/group_fixture.h: a stack on a link whose other end is a querier: what is said of groups, and what is asked. */
#ifndef BERTH_TESTS_GROUP_FIXTURE_H
#define BERTH_TESTS_GROUP_FIXTURE_H

#include "ip_fixture.h"
#include "stack/group.h"

struct family {
	const char *name, *us, *querier, *all, *group, *to_routers3, *to_leave;
	unsigned bits;
	bool v4;
};
static const struct family families[] = {
	{"IGMP", "10.0.0.1", "10.0.0.254", "224.0.0.1", "239.1.2.3", "224.0.0.22", "224.0.0.2", 24, true},
	{"MLD", "fe80::1", "fe80::fe", "ff02::1", "ff05::77", "ff02::16", "ff02::2", 64, false},
};

struct world {
	struct lab l;
	const struct family *f;
	uint8_t robustness; /* that queries say; 0: 2 */
};

static inline void open_world_with(struct world *w, const struct family *f, uint32_t mtu, struct berth_stack_config *c)
{
	w->f = f;
	w->robustness = 0;
	c->n_packets = 128;
	lab_open_with(&w->l, BERTH_LINK_ETHERNET, BERTH_IF_NO_DAD, mtu, c);
	lab_addr(&w->l, f->us, f->bits);
	lab_pass(&w->l, SEC(30));
	lab_clear(&w->l);
}

static inline void open_world(struct world *w, const struct family *f)
{
	struct berth_stack_config c = {.n_groups = 0};

	open_world_with(w, f, 1500, &c);
}

/* The i-th message of ours about groups; false: there is none. Checks what all of them share. */
static inline bool said(struct world *w, unsigned which, struct wire_group *g, struct seen *ret)
{
	for (unsigned i = 0; i < w->l.n_out; i++) {
		struct seen s = lab_seen(&w->l, i);
		struct wire_group m;
		uint8_t mac[6];

		if (s.is_arp || s.proto != (w->f->v4 ? WIRE_PROTO_IGMP : WIRE_PROTO_ICMP6) || s.v4 != w->f->v4)
			continue;
		if ((w->f->v4 ? wire_igmp_parse(s.payload.data, s.payload.len_bytes, &m)
			      : wire_mld_parse(s.payload.data, s.payload.len_bytes, &m)) < 0)
			continue;
		if (which--)
			continue;
		assert_int_equal(s.hops, 1);
		assert_true(w->f->v4 ? s.ip4.has & WIRE_IP4_ROUTER_ALERT : s.ip6.router_alert);
		wire_mac_of_group(&s.dst, mac);
		assert_memory_equal(s.eth.dst, mac, 6);
		*g = m;
		*ret = s;
		return true;
	}
	return false;
}

static inline unsigned n_said(struct world *w)
{
	struct wire_group g;
	struct seen s;
	unsigned n = 0;

	while (said(w, n, &g, &s))
		n++;
	return n;
}

/* A query with the octets of n_sources addresses behind it; it says that there are says_sources. */
static inline void query_sources(struct world *w, unsigned version, const char *group, uint32_t max_ms,
				 const char *from, uint8_t ttl, bool alert, const uint8_t *sources, size_t n_sources,
				 uint16_t says_sources)
{
	struct wire_group g = {.kind = WIRE_GROUP_QUERY,
			       .version = (uint8_t)version,
			       .max_response_ms = version == 1 ? 0 : max_ms};
	static uint8_t msg[16 + 16 * 80], buf[1600];
	uint8_t hbh[8], mac[6];
	size_t len = n_sources * (w->f->v4 ? 4 : 16);
	const char *dst = group ? group : w->f->all;
	struct pk p = {.src = from,
		       .dst = dst,
		       .proto = w->f->v4 ? WIRE_PROTO_IGMP : WIRE_PROTO_ICMP6,
		       .ttl = ttl,
		       .payload = msg};
	struct port_addr to = A(dst);
	int n;

	g.address = group ? A(group) : w->f->v4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	g.robustness = 2;
	g.query_interval_s = 125;
	g.n_sources = says_sources;
	if (w->robustness)
		g.robustness = w->robustness;
	n = w->f->v4 ? wire_igmp_emit(&g, msg, sizeof(msg)) : wire_mld_emit(&g, msg, sizeof(msg));
	assert_true(n > 0);
	assert_true(len <= sizeof(msg) - (size_t)n);
	if (len)
		memcpy(msg + n, sources, len);
	p.len = (size_t)n + len;
	seal(from, dst, p.proto, msg, p.len);
	if (alert && w->f->v4) {
		p.options = wire_ip4_router_alert;
		p.n_options = 4;
	} else if (alert) {
		wire_ip6_put_router_alert(hbh, WIRE_PROTO_ICMP6, 0);
		p.extensions = hbh;
		p.n_extensions = 8;
		p.next = WIRE_PROTO_HOPOPTS;
	}
	wire_mac_of_group(&to, mac);
	lab_packet_to(&w->l, mac, his_mac, buf, pk_build(&p, buf, sizeof(buf)));
}

static inline void query(struct world *w, unsigned version, const char *group, uint32_t max_ms, const char *from,
			 uint8_t ttl, bool alert)
{
	query_sources(w, version, group, max_ms, from, ttl, alert, NULL, 0, 0);
}

#endif
