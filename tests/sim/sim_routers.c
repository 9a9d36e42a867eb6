/* tests/sim/sim_routers.c: hosts that live on what routers say (RFC 4861, 4862): prefixes that come, change their lifetimes and go, two routers
 * of changing preference, a rogue one that says too much, and somebody who claims addresses that are being checked.
 *
 * Beside the stack stands a model of RFC 4862, 5.5.3, in a few lines. The wire loses nothing, so all hosts hear the same and the model is one
 * for all: each prefix that is valid is one address on each host, with the model's lifetimes, two hours and all; a router is a way
 * out as long as it said; what leaves the link goes to the router that is preferred.
 *
 * In half of the worlds hosts have temporary addresses, too (RFC 8981). They are drawn, so there is no model, but bounds: a prefix that is
 * preferred has one that is, or two while one follows the other; none lives longer than its prefix, or than the host said; what leaves the
 * link comes from one. Who claims addresses claims those, too, but never three in a row.
 */
#include "sim.h"

#include <errno.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip6.h"
#include "wire/nd.h"

#define HOSTS_MAX 4
#define N_PREFIXES 3u
#define TWO_HOURS (7200 * SIM_S)
#define NEAR (2 * SIM_S) /* of a time at which something ends nobody can say on which side we are */
#define TAKEN_MAX 64
#define REGEN (5 * SIM_S) /* REGEN_ADVANCE of RFC 8981 */

static const struct port_addr everybody = {.b = {0xff, 2, [15] = 1}};
static const uint8_t all[WIRE_MAC_LEN] = {0x33, 0x33, 0, 0, 0, 1};
static const struct port_addr far_away = {.b = {0x20, 1, 0x0d, 0xb8, 0xff, 0xff, [15] = 0x99}};

struct router {
	struct port_addr addr;
	uint8_t mac[WIRE_MAC_LEN];
	unsigned port;
	struct wire_nd_ra says; /* again to who asks; said_once: anything */
	bool has_spoken;
	uint64_t until_ns; /* the model's */
};

static struct {
	struct sim_wire *w;
	struct sim_host *h[HOSTS_MAX];
	berth_sock sock[HOSTS_MAX];
	unsigned n;
	uint64_t delay_ns;
	struct router r[2];
	struct {
		struct port_addr net;
		uint64_t valid_ns, preferred_ns;
	} prefixes[N_PREFIXES];
	unsigned n_claims; /* of addresses of each host and prefix that are being checked */
	struct {
		uint8_t mac[WIRE_MAC_LEN], net[8];
		unsigned n;
	} taken[TAKEN_MAX];
	unsigned n_taken;
	uint64_t changed_ns;  /* the latest of anything that the model knows */
	uint64_t n_left;      /* packets that left the link */
	uint64_t n_left_temp; /* ... from a temporary address */
	bool has_rogue, has_temps;
} town;

static void send(struct sim *s, const uint8_t mac[WIRE_MAC_LEN], const struct port_addr *src,
		 const struct port_addr *dst, const uint8_t to[WIRE_MAC_LEN], uint8_t *msg, int len)
{
	struct wire_ip6 ip = {.src = *src, .dst = *dst, .hops = WIRE_ND_HOPS, .proto = WIRE_PROTO_ICMP6};
	struct wire_eth e = {.type = WIRE_ETH_IP6};
	uint8_t frame[600];
	int n;

	ASSERT(len > 0 && len < 500);
	wire_checksum_fill(src, dst, WIRE_PROTO_ICMP6, msg, (size_t)len, 0, 0);
	memcpy(e.src, mac, WIRE_MAC_LEN);
	memcpy(e.dst, to, WIRE_MAC_LEN);
	ip.next = ip.proto;
	ip.payload.len_bytes = (size_t)len;
	n = wire_eth_emit(&e, frame, sizeof(frame));
	ASSERT(n == WIRE_ETH_LEN);
	n = wire_ip6_emit(&ip, frame + WIRE_ETH_LEN, sizeof(frame) - WIRE_ETH_LEN);
	ASSERT(n == WIRE_IP6_LEN);
	memcpy(frame + WIRE_ETH_LEN + n, msg, (size_t)len);
	for (unsigned i = 0; i < town.n; i++)
		sim_inject(s, town.w, i, frame, (uint32_t)(WIRE_ETH_LEN + n + len));
}

static uint64_t after(uint64_t at_ns, uint32_t lifetime_s)
{
	return lifetime_s == WIRE_ND_INFINITE_S ? BERTH_NEVER : at_ns + lifetime_s * SIM_S;
}

/* RFC 4862, 5.5.3. */
static void model_prefix(const struct wire_nd_prefix *p, uint64_t at_ns)
{
	for (unsigned i = 0; i < N_PREFIXES; i++) {
		uint64_t *valid = &town.prefixes[i].valid_ns, said = after(at_ns, p->valid_s);

		if (memcmp(p->prefix.b, town.prefixes[i].net.b, 16) != 0)
			continue;
		if (*valid <= at_ns) { /* not there */
			if (!p->valid_s)
				return;
			*valid = said;
		} else if (said > at_ns + TWO_HOURS || said > *valid) {
			*valid = said;
		} else if (*valid > at_ns + TWO_HOURS) {
			*valid = at_ns + TWO_HOURS;
		}
		town.prefixes[i].preferred_ns = after(at_ns, p->preferred_s);
	}
}

static void say(struct sim *s, struct router *r)
{
	uint64_t at_ns = s->now_ns + town.delay_ns;
	uint8_t msg[500];

	r->has_spoken = true;
	r->says.options.has = WIRE_ND_HAS_SOURCE_MAC;
	memcpy(r->says.options.source_mac, r->mac, WIRE_MAC_LEN);
	send(s, r->mac, &r->addr, &everybody, all, msg, wire_nd_ra_emit(&r->says, msg, sizeof(msg)));
	r->until_ns = at_ns + r->says.lifetime_s * SIM_S;
	for (unsigned i = 0; i < r->says.options.n_prefixes; i++)
		model_prefix(&r->says.options.prefixes[i], at_ns);
	town.changed_ns = s->now_ns;
}

/* --- who hears what hosts send --- */

static void answer_ask(struct sim *s, const struct router *r, const struct port_addr *who,
		       const uint8_t mac[WIRE_MAC_LEN])
{
	struct wire_nd_na na = {.router = true, .solicited = true, .override = true, .target = r->addr};
	uint8_t msg[100];

	na.options.has = WIRE_ND_HAS_TARGET_MAC;
	memcpy(na.options.target_mac, r->mac, WIRE_MAC_LEN);
	send(s, r->mac, &r->addr, who, mac, msg, wire_nd_na_emit(&na, msg, sizeof(msg)));
}

/* "That one is mine": the first n_claims addresses of each host in each prefix. */
static void claim(struct sim *s, const uint8_t mac[WIRE_MAC_LEN], const struct port_addr *target)
{
	static const uint8_t thief[WIRE_MAC_LEN] = {2, 0, 0, 0, 0xee, 9};
	struct wire_nd_na na = {.override = true, .target = *target};
	uint8_t msg[100];
	unsigned i;

	for (i = 0; i < town.n_taken; i++)
		if (memcmp(town.taken[i].mac, mac, WIRE_MAC_LEN) == 0 && memcmp(town.taken[i].net, target->b, 8) == 0)
			break;
	if (i == town.n_taken) {
		if (i == TAKEN_MAX)
			return;
		memcpy(town.taken[i].mac, mac, WIRE_MAC_LEN);
		memcpy(town.taken[i].net, target->b, 8);
		town.taken[town.n_taken++].n = 0;
	}
	if (town.taken[i].n >= town.n_claims)
		return;
	town.taken[i].n++;
	town.changed_ns = s->now_ns;
	na.options.has = WIRE_ND_HAS_TARGET_MAC;
	memcpy(na.options.target_mac, thief, WIRE_MAC_LEN);
	send(s, thief, target, &everybody, all, msg, wire_nd_na_emit(&na, msg, sizeof(msg)));
}

/* Is it from a temporary address? If not while the host has one that is as good, that is wrong. */
static bool is_temp_source(struct sim *s, const struct port_addr *src)
{
	bool is_temp = false, could_be = false, is_old = false;
	const struct sim_host *from = NULL;
	struct berth_addr_info a = {.struct_size = sizeof(a)};

	for (unsigned i = 0; i < town.n; i++)
		for (uint32_t cursor = 0; berth_addr_next(town.h[i]->st, &cursor, &a) == 1;)
			if (memcmp(a.addr.ip, src->b, 16) == 0) {
				from = town.h[i];
				is_temp = a.flags & BERTH_ADDR_TEMPORARY;
				is_old = a.preferred_until_ns + 5 * SIM_S < s->now_ns; /* it may have waited */
			}
	for (uint32_t cursor = 0; from && berth_addr_next(from->st, &cursor, &a) == 1;)
		could_be |=
			(a.flags & BERTH_ADDR_TEMPORARY) && !(a.flags & (BERTH_ADDR_TENTATIVE | BERTH_ADDR_DEPRECATED));
	if (from && could_be && (!is_temp || is_old) && s->now_ns - town.changed_ns > 5 * SIM_S)
		sim_fail(s, "what leaves the link comes from a temporary address", "host %u", from->index);
	return is_temp;
}

/* A packet for a place beyond the link: is the one it is handed to a router, and the preferred one? */
static void check_way_out(struct sim *s, const uint8_t mac[WIRE_MAC_LEN], const struct port_addr *src)
{
	const struct router *r = NULL, *best = NULL;

	town.n_left++;
	town.n_left_temp += is_temp_source(s, src);
	for (int i = 0; i < 2; i++) {
		int rank = town.r[i].says.preference == WIRE_ND_HIGH  ? 2
			   : town.r[i].says.preference == WIRE_ND_LOW ? 0
								      : 1;
		int best_rank = best ? best->says.preference == WIRE_ND_HIGH   ? 2
					: best->says.preference == WIRE_ND_LOW ? 0
									       : 1
				     : -1;

		if (memcmp(mac, town.r[i].mac, WIRE_MAC_LEN) == 0)
			r = &town.r[i];
		if (town.r[i].until_ns + NEAR > s->now_ns && rank > best_rank)
			best = &town.r[i];
	}
	if (!r || r->until_ns + NEAR <= s->now_ns)
		sim_fail(s, "what leaves the link goes to a router", "to %02x:%02x, %s", mac[4], mac[5],
			 r ? "whose time is over" : "which is none");
	if (r->says.preference != best->says.preference && best->until_ns > s->now_ns + NEAR &&
	    s->now_ns - town.changed_ns > 5 * SIM_S)
		sim_fail(s, "what leaves the link goes to the preferred router", "to %02x:%02x", mac[4], mac[5]);
}

static void hears(struct sim *s, struct sim_wire *w, unsigned port, const uint8_t *data, uint32_t len)
{
	struct router *r = &town.r[port - town.n];
	const uint8_t *src = data + WIRE_MAC_LEN;
	struct wire_nd_ns ns;
	struct link_view v;

	if (link_view(data, len, w->link, &v) < 0 || v.family != 6 || !link_checksum_good(data, &v))
		return;
	if (memcmp(v.dst.b, far_away.b, 16) == 0 && port == town.n)
		check_way_out(s, data, &v.src);
	if (v.proto != WIRE_PROTO_ICMP6 || v.has_options || v.ttl != WIRE_ND_HOPS)
		return;
	if (data[v.l4_at] == WIRE_ICMP6_ND_RS && r->has_spoken)
		say(s, r);
	if (data[v.l4_at] != WIRE_ICMP6_ND_NS ||
	    wire_nd_ns_parse(data + v.l4_at, v.ip_len - (uint32_t)(v.l4_at - v.ip_at), &ns) < 0)
		return;
	if (memcmp(ns.target.b, r->addr.b, 16) == 0)
		answer_ask(s, r, &v.src, src);
	else if (port_addr_is_any(&v.src) && port == town.n)
		claim(s, src, &ns.target);
}

/* --- what must be so --- */

static void check_temp(struct sim *s, const struct sim_host *h, unsigned k, const struct berth_addr_info *a)
{
	uint64_t valid = town.prefixes[k].valid_ns, preferred = town.prefixes[k].preferred_ns;

	if (a->valid_until_ns > s->now_ns + h->temp_valid_s * SIM_S ||
	    (a->valid_until_ns > valid && a->valid_until_ns - valid > NEAR) ||
	    (a->preferred_until_ns > preferred && a->preferred_until_ns - preferred > NEAR) ||
	    (!(a->flags & BERTH_ADDR_DEPRECATED) && a->preferred_until_ns > s->now_ns + h->temp_preferred_s * SIM_S))
		sim_fail(s, "a temporary address ends in time",
			 "host %u, prefix %u: valid until %.3f s, preferred %.3f", h->index, k,
			 (double)a->valid_until_ns / 1e9, (double)a->preferred_until_ns / 1e9);
}

static void check_prefix(struct sim *s, struct sim_host *h, unsigned k)
{
	uint64_t valid = town.prefixes[k].valid_ns, preferred = town.prefixes[k].preferred_ns;
	struct berth_addr_info a = {.struct_size = sizeof(a)};
	unsigned n = 0, n_temps = 0;

	if (valid > s->now_ns - NEAR && valid < s->now_ns + NEAR)
		return;
	for (uint32_t cursor = 0; berth_addr_next(h->st, &cursor, &a) == 1;) {
		if (!(a.flags & BERTH_ADDR_AUTO) || memcmp(a.addr.ip, town.prefixes[k].net.b, 8) != 0)
			continue;
		if (a.flags & BERTH_ADDR_TEMPORARY) {
			check_temp(s, h, k, &a);
			n_temps += !(a.flags & BERTH_ADDR_DEPRECATED);
			continue;
		}
		n++;
		if (a.flags & (BERTH_ADDR_TENTATIVE | BERTH_ADDR_DUPLICATE))
			sim_fail(s, "a prefix is an address", "host %u, prefix %u: flags %x", h->index, k, a.flags);
		if ((a.valid_until_ns > valid ? a.valid_until_ns - valid : valid - a.valid_until_ns) > NEAR)
			sim_fail(s, "a lifetime is as routers said", "host %u, prefix %u: %.3f s, the model says %.3f",
				 h->index, k, (double)a.valid_until_ns / 1e9, (double)valid / 1e9);
		if ((preferred < s->now_ns - NEAR && !(a.flags & BERTH_ADDR_DEPRECATED)) ||
		    (preferred > s->now_ns + NEAR && a.flags & BERTH_ADDR_DEPRECATED))
			sim_fail(s, "an address is deprecated in time", "host %u, prefix %u: flags %x", h->index, k,
				 a.flags);
	}
	if (n != (valid > s->now_ns))
		sim_fail(s, "a prefix is an address", "host %u has %u in prefix %u", h->index, n, k);
	sim_expect_le(s, "temporary addresses that are preferred", n_temps, town.has_temps ? 2 : 0);
	if (town.has_temps && n_temps == 0 && valid > s->now_ns && preferred > s->now_ns + REGEN + NEAR &&
	    s->now_ns - town.changed_ns > NEAR)
		sim_fail(s, "a prefix has a temporary address", "host %u, prefix %u", h->index, k);
}

static void check_routers(struct sim *s, struct sim_host *h)
{
	unsigned n = 0;

	for (int i = 0; i < 2; i++) {
		struct berth_route_info e = {.struct_size = sizeof(e)};
		bool there = false;

		for (uint32_t cursor = 0; berth_route_next(h->st, &cursor, &e) == 1;) {
			if (e.origin != BERTH_ROUTE_ROUTER)
				continue;
			n += i == 0;
			there |= memcmp(e.gateway.ip, town.r[i].addr.b, 16) == 0;
		}
		if (town.r[i].until_ns > s->now_ns - NEAR && town.r[i].until_ns < s->now_ns + NEAR)
			continue;
		if (there != (town.r[i].until_ns > s->now_ns))
			sim_fail(s, "a router is a way as long as it said", "host %u, router %d: %d", h->index, i,
				 there);
	}
	sim_expect_le(s, "S19: default routers", n, 4);
}

static void check_all(struct sim *s)
{
	for (unsigned i = 0; i < town.n; i++) {
		struct berth_addr_info a = {.struct_size = sizeof(a)};
		unsigned n_auto = 0, n_temps = 0;

		for (unsigned k = 0; k < N_PREFIXES; k++)
			check_prefix(s, town.h[i], k);
		check_routers(s, town.h[i]);
		for (uint32_t cursor = 0; berth_addr_next(town.h[i]->st, &cursor, &a) == 1;)
			*(a.flags & BERTH_ADDR_TEMPORARY ? &n_temps : &n_auto) += (a.flags & BERTH_ADDR_AUTO) != 0;
		sim_expect_le(s, "S19: addresses that routers made", n_auto, 9); /* eight, and the link-local one */
		sim_expect_le(s, "S19: temporary addresses", n_temps, town.has_temps ? 16 : 0);
	}
}

static void knock(struct sim *s)
{
	for (unsigned i = 0; i < town.n; i++) {
		uint8_t data[4] = "who";
		struct berth_dgram d = {.data = data, .len = sizeof(data), .iface = BERTH_IFACE_ANY};
		int r;

		memcpy(d.peer.ip, far_away.b, 16);
		d.peer.port = 9;
		r = berth_sock_udp_send(town.h[i]->st, town.sock[i], &d, 1);
		if (r < 0 && r != -ENETUNREACH && r != -EADDRNOTAVAIL && r != -EHOSTUNREACH && r != -EAGAIN)
			sim_fail(s, "udp_send", "%s", strerror(-r));
	}
}

static void no_event(struct sim *s, struct sim_host *h, const struct berth_event *ev)
{
	(void)s;
	(void)h;
	(void)ev;
}

/* --- the world --- */

static uint32_t draw_lifetime(struct sim *s, const char *name, bool is_long)
{
	static const uint32_t lifetimes[] = {86400, 2592000, WIRE_ND_INFINITE_S, 30000, 7300, 7100, 1800, 120, 30, 0};

	/* beside a rogue that fills the caps what has gone could not come back: then all outlast the world */
	return is_long ? lifetimes[1 + sim_draw(s, name, 0, 1)]
		       : lifetimes[sim_draw(s, name, 0, COUNT_OF(lifetimes) - 1)];
}

/* Router 0 knows the first two prefixes, router 1 the last two. */
static void new_words(struct sim *s, struct router *r, unsigned first, bool is_long)
{
	static const enum wire_nd_preference preferences[] = {WIRE_ND_MEDIUM, WIRE_ND_HIGH, WIRE_ND_LOW};
	static const uint16_t lifetimes[] = {1800, 9000, 60, 0};

	r->says = (struct wire_nd_ra){.lifetime_s = lifetimes[sim_draw(s, "router_lifetime", 0, 3)]};
	r->says.preference = preferences[sim_draw(s, "preference", 0, 2)];
	r->says.options.n_prefixes = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct wire_nd_prefix *p = &r->says.options.prefixes[i];

		*p = (struct wire_nd_prefix){.prefix = town.prefixes[first + i].net,
					     .prefix_bits = 64,
					     .on_link = true,
					     .autonomous = true};
		p->valid_s = draw_lifetime(s, "valid", is_long);
		p->preferred_s = draw_lifetime(s, "preferred", is_long);
		if (p->preferred_s > p->valid_s)
			p->preferred_s = p->valid_s;
	}
}

/* Another router with each word, and prefixes of its own that nobody needs. */
static void rogue(struct sim *s, unsigned n)
{
	struct router r = {.mac = {2, 0, 0, 0, 0xee, 8}};
	uint8_t msg[500];

	r.says.lifetime_s = 0;
	r.says.options.has = WIRE_ND_HAS_SOURCE_MAC;
	r.says.options.n_prefixes = 8;
	memcpy(r.says.options.source_mac, r.mac, WIRE_MAC_LEN);
	r.addr = (struct port_addr){.b = {0xfe, 0x80, [14] = 0xbd, (uint8_t)n}};
	for (unsigned i = 0; i < 8; i++)
		r.says.options.prefixes[i] = (struct wire_nd_prefix){.prefix = {.b = {0x20, 1, 0x0d, 0xb8, 0xba, 0xd0,
										      (uint8_t)n, (uint8_t)i}},
								     .prefix_bits = 64,
								     .on_link = true,
								     .autonomous = true,
								     .valid_s = 86400,
								     .preferred_s = 86400};
	send(s, r.mac, &r.addr, &everybody, all, msg, wire_nd_ra_emit(&r.says, msg, sizeof(msg)));
}

static void settle(struct sim *s)
{
	sim_run_for(s, 15 * SIM_S); /* three checks for duplicates, two seconds each, and the last repair of one */
	for (unsigned i = 0; i < 20 && s->now_ns - town.changed_ns < 5 * SIM_S; i++)
		sim_run_for(s, 5 * SIM_S); /* a host asked just now, and was answered */
	check_all(s);
	knock(s);
	sim_run_for(s, 6 * SIM_S);
}

SIM_TEST(routers_that_come_and_go)
{
	struct fault_config c = {.link = BERTH_LINK_ETHERNET};
	struct sim_host *places[HOSTS_MAX + 2] = {NULL};
	unsigned n_words = (unsigned)sim_draw(s, "n_words", 1, 12);

	memset(&town, 0, sizeof(town));
	town.has_rogue = sim_once_in(s, "has_rogue", 4);
	town.has_temps = sim_once_in(s, "has_temps", 2);
	town.n = (unsigned)sim_draw(s, "n_hosts", 1, HOSTS_MAX);
	town.n_claims = (unsigned)sim_draw(s, "n_claims", 0, 2);
	town.delay_ns = c.delay_ns = sim_draw(s, "delay_us", 1, 20000) * SIM_US;
	if (sim_once_in(s, "has_dup", 3))
		c.dup_ppm = (uint32_t)sim_draw(s, "dup_ppm", 0, 100000);
	for (unsigned i = 0; i < N_PREFIXES; i++)
		town.prefixes[i].net = (struct port_addr){.b = {0x20, 1, 0x0d, 0xb8, 0, (uint8_t)i}};
	for (unsigned i = 0; i < town.n; i++) {
		places[i] = town.h[i] = sim_host(s);
		town.h[i]->is_auto = true;
		town.h[i]->config.n_packets = town.h[i]->config.n_neighs = 0; /* who has few cannot hear all */
		if (!town.has_temps)
			continue;
		town.h[i]->iface_flags |= BERTH_IF_TEMP_ADDRS;
		town.h[i]->temp_preferred_s = (uint32_t)sim_draw(s, "temp_preferred_s", 600, 86400);
		town.h[i]->temp_valid_s = (uint32_t)sim_draw(s, "temp_valid_s", 86401, 172800);
	}
	town.w = sim_wire(s, places, town.n + 2, &c);
	for (unsigned i = 0; i < 2; i++) {
		town.r[i].port = town.n + i;
		town.r[i].addr = (struct port_addr){.b = {0xfe, 0x80, [14] = 0xee, (uint8_t)(i + 1)}};
		memcpy(town.r[i].mac, (uint8_t[WIRE_MAC_LEN]){2, 0, 0, 0, 0xee, (uint8_t)(i + 1)}, WIRE_MAC_LEN);
		new_words(s, &town.r[i], i, town.has_rogue);
	}
	town.r[0].has_spoken = true; /* who asks is answered from the start */
	s->stranger = hears;
	s->other_event = no_event;
	for (unsigned i = 0; i < town.n; i++) {
		sim_boot(town.h[i]);
		if (berth_sock_open(town.h[i]->st, BERTH_UDP, BERTH_IPV6, SIM_USER_OTHER + i, &town.sock[i]) < 0)
			sim_fail(s, "setup", "UDP");
	}
	settle(s);
	say(s, &town.r[1]);
	settle(s);
	for (unsigned i = 0; i < n_words; i++) {
		unsigned who = (unsigned)sim_draw(s, "who", 0, 1);

		sim_run_for(s, sim_draw(s, "pause_s", 0, 10000) * SIM_S);
		settle(s);
		if (town.has_rogue)
			rogue(s, i);
		new_words(s, &town.r[who], who, town.has_rogue);
		say(s, &town.r[who]);
		settle(s);
	}
	sim_note(s, "%llu packets left the link, %llu from temporary addresses", (unsigned long long)town.n_left,
		 (unsigned long long)town.n_left_temp);
	for (unsigned i = 0; i < town.n; i++)
		if (berth_sock_close(town.h[i]->st, town.sock[i]) < 0)
			sim_fail(s, "close", "UDP");
	sim_expect_all_over(s);
}
