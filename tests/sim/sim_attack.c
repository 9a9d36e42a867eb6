/* tests/sim/sim_attack.c: strangers and liars. A connection goes on while somebody floods its host, and what that costs is bounded.
 *
 * The attacker has a place of its own on a raw IP wire and can forge every address, but does not see the traffic of others (off the
 * path), except where a row says that it is the peer itself. What must hold: the polite flow ends as it should; memory stays within
 * what the configuration gave; what is sent in answer is bounded by what came (S11, S14, S15, S17, S10, S13).
 */
#include "sim.h"

#include <string.h>

#include "stack/stack.h"
#include "stack/tcp.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define PORT 80
#define VICTIM 1

struct attack {
	struct sim_wire *w;
	struct sim_host *h[3];
	struct sim_flow *f;
	struct rng rng;
	uint64_t until_ns, every_ns, n_sent;
	unsigned kind;
	int family;
	uint64_t out_before;
};

static struct port_addr addr4(const struct sim_host *h, const struct sim_wire *w)
{
	struct berth_addr a = sim_addr(h, w, 4, 0);

	return port_addr_from6(a.ip, 0);
}

static struct port_addr addr_in(const struct attack *a, const struct sim_host *h)
{
	struct berth_addr b = sim_addr(h, a->w, a->family, 0);

	return port_addr_from6(b.ip, 0);
}

/* Somebody of the world outside: 203.0.113.0 or 2001:db8::, and two octets. */
static struct port_addr outsider(const struct attack *a, uint8_t high, uint8_t low)
{
	struct port_addr r = port_addr_v4(203, 0, 113, 0);

	if (a->family == 6)
		r = port_addr_from6((uint8_t[16]){0x20, 0x01, 0x0d, 0xb8}, 0);
	r.b[14] = high;
	r.b[15] = low;
	return r;
}

static uint32_t put_ip6(uint8_t *buf, const struct port_addr *src, const struct port_addr *dst, uint8_t proto,
			const void *l4, uint32_t len)
{
	struct wire_ip6 ip = {.src = *src, .dst = *dst, .hops = 60, .proto = proto};
	int n;

	ip.payload.len_bytes = len;
	n = wire_ip6_emit(&ip, buf, 128);
	ASSERT(n > 0);
	memcpy(buf + n, l4, len);
	return (uint32_t)n + len;
}

static uint32_t put_ip4(uint8_t *buf, const struct port_addr *src, const struct port_addr *dst, uint8_t proto,
			const void *l4, uint32_t len)
{
	struct wire_ip4 ip = {.src = *src, .dst = *dst, .ttl = 60, .proto = proto, .df = true};
	int n;

	ip.payload.len_bytes = len;
	n = wire_ip4_emit(&ip, buf, 128);
	ASSERT(n > 0);
	memcpy(buf + n, l4, len);
	return (uint32_t)n + len;
}

static void send_tcp(struct sim *s, struct attack *a, const struct port_addr *src, const struct wire_tcp *t,
		     uint32_t payload)
{
	struct port_addr dst = addr_in(a, a->h[VICTIM]);
	uint8_t l4[256] = {0}, frame[400];
	uint32_t len;
	int n = wire_tcp_emit(t, l4, sizeof(l4));

	ASSERT(n > 0 && (uint32_t)n + payload <= sizeof(l4));
	wire_checksum_fill(src, &dst, WIRE_PROTO_TCP, l4, (size_t)n, wire_sum_at(0, (size_t)n, l4 + n, payload),
			   payload);
	len = (uint32_t)n + payload;
	len = a->family == 4 ? put_ip4(frame, src, &dst, WIRE_PROTO_TCP, l4, len)
			     : put_ip6(frame, src, &dst, WIRE_PROTO_TCP, l4, len);
	sim_inject(s, a->w, VICTIM, frame, len);
	a->n_sent++;
}

/* Three places: client, victim, attacker. The family is the attack's and that of the polite flow. */
static void setup_family(struct sim *s, struct attack *a, int family, uint64_t bytes)
{
	struct fault_config c = {.link = BERTH_LINK_IP, .delay_ns = 5 * SIM_MS, .rate_bps = 2000000};
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 0);

	a->family = family;
	if (family == 6)
		any = (struct berth_addr){0};
	s->is_attacked = true;
	rng_init_stream(&a->rng, s->seed, "attack");
	for (int i = 0; i < 2; i++) {
		a->h[i] = sim_host(s);
		a->h[i]->config.n_conns = 64;
		a->h[i]->config.n_syn = 32;
		a->h[i]->config.frag_bytes = 128 << 10;
	}
	a->w = sim_wire(s, a->h, 3, &c);
	c.rate_bps = 0; /* a flood does not wait in the polite flow's queue: it is the stack that is tried */
	sim_wire_set(s, a->w, VICTIM, &c);
	for (int i = 0; i < 2; i++) {
		sim_boot(a->h[i]);
		if (berth_route_add(a->h[i]->st, &any, 0, NULL, a->w->ports[i].iface, 9) < 0)
			sim_fail(s, "setup", "no default route");
	}
	sim_listen(a->h[VICTIM], PORT, 16);
	a->f = sim_flow(s, a->h[0], a->h[VICTIM], a->w, family, PORT);
	a->f->end[SIM_CLIENT].manners.bytes = bytes;
	a->f->end[SIM_SERVER].manners.bytes = bytes;
	a->until_ns = s->now_ns + 2 * SIM_S;
}

static void setup(struct sim *s, struct attack *a, uint64_t bytes)
{
	setup_family(s, a, 4, bytes);
}

static void finish(struct sim *s)
{
	if (!sim_run_until(s, sim_idle, s->now_ns + 600 * SIM_S))
		sim_fail(s, "stall", "the polite flow did not end");
	sim_expect_all_over(s);
}

/* --- SYN flood (S14; RFC 4987) --- */

static void flood_syns(struct sim *s, void *ctx)
{
	struct attack *a = ctx;
	const struct berth_stack *st = a->h[VICTIM]->st;

	for (int i = 0; i < 20; i++) {
		struct wire_tcp t = {.src_port = (uint16_t)rng_range(&a->rng, 1, 65535),
				     .dst_port = PORT,
				     .flags = WIRE_TCP_SYN};
		struct port_addr src = outsider(a, 0, 0);

		src.b[14] = (uint8_t)rng_u64(&a->rng); /* one draw per statement: C orders no arguments */
		src.b[15] = (uint8_t)rng_range(&a->rng, 1, 254);
		t.seq = (uint32_t)rng_u64(&a->rng);
		t.window = 1024;
		t.options.has = WIRE_TCP_HAS_MSS | WIRE_TCP_HAS_SACK_OK | WIRE_TCP_HAS_WSCALE;
		t.options.mss = 1460;
		t.options.wscale = 7;
		send_tcp(s, a, &src, &t, 0);
	}
	sim_expect_le(s, "S14: handshakes that wait", st->tcp->syns.n_used, a->h[VICTIM]->config.n_syn);
	sim_expect_le(s, "S14: a SYN costs no connection", st->conns.n_used, 8);
	sim_expect_le(s, "S14: a SYN costs no rings", st->tcp->rings.n_used, 8);
	if (s->now_ns < a->until_ns)
		sim_at(s, s->now_ns + SIM_MS, flood_syns, a);
}

SIM_TEST(a_flood_of_syns)
{
	static struct attack a;
	struct sim_flow *later[4];
	struct berth_counters c;

	s->row = (s->seed - 1) / 2 % 2 ? "IPv6" : NULL;
	setup_family(s, &a, s->row ? 6 : 4, 100000);
	sim_at(s, s->now_ns, flood_syns, &a);
	for (int i = 0; i < 4; i++) { /* these connect in the middle of it */
		later[i] = sim_flow(s, a.h[0], a.h[VICTIM], a.w, a.family, PORT);
		later[i]->start_ns = s->now_ns + (uint64_t)(i + 1) * 300 * SIM_MS;
		later[i]->end[SIM_CLIENT].wake_ns = later[i]->start_ns;
		later[i]->end[SIM_CLIENT].manners.bytes = 20000;
	}
	finish(s);
	c = sim_counters(a.h[VICTIM]);
	sim_expect_ge(s, "it was a flood", a.n_sent, 40000);
	sim_expect_ge(s, "cookies were sent", c.tcp_cookies_sent, 1000);
	/* one SYN-ACK for each SYN, and those that wait in the cache are repeated a few times */
	sim_expect_le(s, "S11: answers are no more than what came", c.tcp_segs_out, a.n_sent + a.n_sent / 10 + 2000);
}

/* --- resets, SYNs, data from off the path (S10; RFC 5961) --- */

static void forge_segments(struct sim *s, void *ctx)
{
	struct attack *a = ctx;
	struct port_addr client = addr_in(a, a->h[0]);

	for (int i = 0; i < 50 && a->f->client_port; i++) {
		struct wire_tcp t = {.src_port = a->f->client_port, .dst_port = PORT, .window = 65535};
		uint32_t payload = 0;

		t.seq = (uint32_t)rng_u64(&a->rng);
		t.ack = (uint32_t)rng_u64(&a->rng);
		switch (a->kind) {
		case 0:
			t.flags = WIRE_TCP_RST;
			break;
		case 1:
			t.flags = WIRE_TCP_SYN;
			break;
		case 2:
			t.flags = WIRE_TCP_ACK | WIRE_TCP_PSH;
			payload = 40;
			break;
		default:
			t.flags = (uint16_t)rng_range(&a->rng, 0, 255);
			payload = (uint32_t)rng_range(&a->rng, 0, 100);
		}
		send_tcp(s, a, &client, &t, payload);
	}
	if (s->now_ns < a->until_ns)
		sim_at(s, s->now_ns + SIM_MS, forge_segments, a);
}

SIM_TEST(segments_of_a_stranger)
{
	static const char *const names[] = {"resets",	    "SYNs",	  "data",	"anything",
					    "resets, IPv6", "SYNs, IPv6", "data, IPv6", "anything, IPv6"};
	static struct attack a;
	struct berth_counters c;

	a.kind = (unsigned)((s->seed - 1) % 4);
	s->row = names[(s->seed - 1) % 8];
	setup_family(s, &a, (s->seed - 1) / 4 % 2 ? 6 : 4, 1000000);
	sim_at(s, s->now_ns + 100 * SIM_MS, forge_segments, &a);
	finish(s);
	c = sim_counters(a.h[VICTIM]);
	sim_expect_ge(s, "there were many", a.n_sent, 20000);
	/* RFC 5961, 10: challenge ACKs are limited for each connection */
	sim_expect_le(s, "S10: challenge ACKs", c.tcp_challenge_acks, 200);
	sim_expect_u64(s, "the connection was not reset", c.tcp_estab_resets, 0);
}

/* --- ICMP from off the path (S13; RFC 5927) --- */

static void forge_icmp(struct sim *s, void *ctx)
{
	static const uint8_t codes[] = {WIRE_ICMP4_UNREACHABLE_PORT, WIRE_ICMP4_UNREACHABLE_PROTO,
					WIRE_ICMP4_UNREACHABLE_HOST, WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED};
	struct attack *a = ctx;
	struct port_addr client = addr4(a->h[0], a->w), victim = addr4(a->h[VICTIM], a->w);
	struct port_addr router = port_addr_v4(10, 0, 0, 77);

	for (int i = 0; i < 20 && a->f->client_port; i++) {
		struct wire_icmp4 icmp = {.type = WIRE_ICMP4_UNREACHABLE, .code = codes[a->kind], .mtu = 68};
		uint8_t l4[128] = {0}, quoted[64], frame[256], tcp[8];
		uint32_t len, guess;
		int n = wire_icmp4_emit(&icmp, l4, sizeof(l4));

		/* a segment of the victim's, with a guess for its number */
		wire_put16(tcp, PORT);
		wire_put16(tcp + 2, a->f->client_port);
		guess = (uint32_t)rng_u64(&a->rng);
		if (guess - sim_look(&a->f->end[SIM_SERVER]).una < UINT32_C(1) << 24)
			guess += UINT32_C(1) << 31; /* one in thousands would be right, and believed */
		wire_put32(tcp + 4, guess);
		len = put_ip4(quoted, &victim, &client, WIRE_PROTO_TCP, tcp, sizeof(tcp));
		ASSERT(n == WIRE_ICMP_LEN);
		memcpy(l4 + n, quoted, len);
		wire_checksum_fill(&router, &victim, WIRE_PROTO_ICMP4, l4, WIRE_ICMP_LEN,
				   wire_sum_at(0, WIRE_ICMP_LEN, l4 + WIRE_ICMP_LEN, len), len);
		sim_inject(s, a->w, VICTIM, frame,
			   put_ip4(frame, &router, &victim, WIRE_PROTO_ICMP4, l4, WIRE_ICMP_LEN + len));
		a->n_sent++;
	}
	if (s->now_ns < a->until_ns)
		sim_at(s, s->now_ns + SIM_MS, forge_icmp, a);
}

SIM_TEST(errors_of_a_stranger)
{
	static const char *const names[] = {"port unreachable", "protocol unreachable", "host unreachable",
					    "too big, 68"};
	static struct attack a;
	struct sim_look info;

	a.kind = (unsigned)((s->seed - 1) % 4);
	s->row = names[a.kind];
	setup(s, &a, 1000000);
	sim_at(s, s->now_ns + 100 * SIM_MS, forge_icmp, &a);
	sim_run_for(s, 400 * SIM_MS);
	info = sim_look(&a.f->end[SIM_SERVER]);
	sim_expect_ge(s, "S13: the segment size did not fall", info.mss, 1400);
	finish(s);
	sim_expect_ge(s, "there were many", a.n_sent, 10000);
}

/* --- a peer that lies in its SACK blocks (S5, S15, S16; CVE-2019-11477 to 11479) --- */

static void lie(struct sim *s, void *ctx)
{
	struct attack *a = ctx;
	struct sim_end *e = &a->f->end[SIM_SERVER];
	struct port_addr client = addr4(a->h[0], a->w);
	const struct berth_stack *st = a->h[VICTIM]->st;

	for (int i = 0; i < 20 && e->is_open; i++) {
		struct sim_look t = sim_look(e);
		struct wire_tcp w = {.src_port = a->f->client_port,
				     .dst_port = PORT,
				     .flags = WIRE_TCP_ACK,
				     .window = 65535};
		uint32_t out = t.nxt - t.una;

		w.seq = t.rcv_nxt;
		w.ack = t.una;
		w.options.has = WIRE_TCP_HAS_SACK;
		w.options.n_sacks = 4;
		for (int k = 0; k < 4; k++) {
			/* one octet here and there; ranges that are never sent; ranges below what is acknowledged */
			uint32_t at = t.una + (uint32_t)rng_range(&a->rng, 0, out + 10);

			if (a->kind == 1)
				at = (uint32_t)rng_u64(&a->rng);
			w.options.sacks[k].left = at;
			w.options.sacks[k].right = at + (a->kind == 2 ? (uint32_t)rng_range(&a->rng, 1, 5000) : 1);
		}
		if (a->kind == 3)
			w.window = (uint16_t)rng_range(&a->rng, 0, 3);
		send_tcp(s, a, &client, &w, 0);
	}
	sim_expect_le(s, "S16: records of what is in flight", st->tcp->bursts.n_used, st->tcp->bursts.n_max);
	if (!berth_stack_check(st))
		sim_fail(s, "berth_stack_check", "after lies");
	if (s->now_ns < a->until_ns)
		sim_at(s, s->now_ns + 3 * SIM_MS, lie, a);
}

SIM_TEST(a_peer_that_lies_in_sack)
{
	static const char *const names[] = {"single octets", "anywhere", "long ranges", "and tiny windows"};
	static struct attack a;
	struct berth_counters c;
	uint64_t frames;

	a.kind = (unsigned)((s->seed - 1) % 4);
	s->row = names[a.kind];
	setup(s, &a, 3000000);
	a.f->may_fail = true; /* who lies about what arrived may wait for it in vain */
	a.f->end[0].manners.keepalive = a.f->end[1].manners.keepalive = true;
	sim_at(s, s->now_ns + 50 * SIM_MS, lie, &a);
	sim_run_for(s, 3 * SIM_S);
	c = sim_counters(a.h[VICTIM]);
	frames = c.tcp_segs_out;
	sim_expect_ge(s, "there were many lies", a.n_sent, 1000);
	/* at most what an honest acknowledgment would have set free: a segment or two for each */
	sim_expect_le(s, "S16: what lies make it send", frames, a.n_sent * 4 + 20000);
	if (!sim_run_until(s, sim_idle, s->now_ns + 7200 * SIM_S))
		sim_fail(s, "stall", "neither done nor given up");
	sim_expect_all_over(s);
}

/* --- fragments (S17; CVE-2018-5391) --- */

/* len octets of the datagram id's payload from octet at on, and more to come. Return: octets; < 0: past the largest datagram. */
static int put_fragment(const struct attack *a, uint8_t *frame, size_t room, const struct port_addr *src, uint16_t id,
			uint16_t at, uint32_t len)
{
	struct port_addr victim = addr_in(a, a->h[VICTIM]);
	struct wire_ip4 ip = {.src = *src, .dst = victim, .ttl = 60, .proto = WIRE_PROTO_UDP, .id = id, .mf = true};
	struct wire_ip6 ip6 = {.src = *src, .dst = victim, .hops = 60, .proto = WIRE_PROTO_FRAGMENT};
	int n;

	ip.fragment_at = at;
	ip.payload.len_bytes = len;
	if (a->family == 4) {
		n = wire_ip4_emit(&ip, frame, room);
		return n < 0 ? n : n + (int)len;
	}
	ip6.payload.len_bytes = len + 8;
	n = wire_ip6_emit(&ip6, frame, room);
	if (n < 0)
		return n;
	frame[n] = WIRE_PROTO_UDP;
	wire_put16(frame + n + 2, (uint16_t)(at | 1));
	wire_put32(frame + n + 4, id);
	return n + 8 + (int)len;
}

static void flood_fragments(struct sim *s, void *ctx)
{
	struct attack *a = ctx;

	for (int i = 0; i < 30; i++) {
		struct port_addr src = outsider(a, a->family == 4 ? 113 : 0, (uint8_t)rng_range(&a->rng, 1, 254));
		uint8_t frame[1500] = {0};
		uint16_t id = (uint16_t)rng_u64(&a->rng), at;
		uint32_t len;
		int n;

		if (a->kind > 0)
			id &= 3; /* few datagrams, many overlapping pieces */
		at = (uint16_t)(rng_range(&a->rng, 0, 8000) * 8);
		len = 8 * (uint32_t)rng_range(&a->rng, a->kind == 2 ? 1 : 60, a->kind == 2 ? 4 : 150);
		n = put_fragment(a, frame, sizeof(frame), &src, id, at, len);
		if (n < 0)
			continue;
		sim_inject(s, a->w, VICTIM, frame, (uint32_t)n);
		a->n_sent++;
	}
	if (s->now_ns < a->until_ns)
		sim_at(s, s->now_ns + SIM_MS, flood_fragments, a);
}

SIM_TEST(a_flood_of_fragments)
{
	static const char *const names[] = {"many datagrams",	    "many pieces of few",	"tiny pieces",
					    "many datagrams, IPv6", "many pieces of few, IPv6", "tiny pieces, IPv6"};
	static struct attack a;
	struct berth_counters c;

	a.kind = (unsigned)((s->seed - 1) % 3);
	s->row = names[(s->seed - 1) % 6];
	setup_family(s, &a, (s->seed - 1) / 3 % 2 ? 6 : 4, 1000000);
	sim_at(s, s->now_ns + 50 * SIM_MS, flood_fragments, &a);
	finish(s);
	c = sim_counters(a.h[VICTIM]);
	sim_expect_ge(s, "S17: fragments came", a.kind == 2 ? c.dropped_malformed : c.frag_in, 30000);
	sim_expect_le(s, "S17: tiny pieces are not even looked at", a.kind == 2 ? c.frag_in : 0, 0);
	sim_expect_le(s, "S11: few answers", c.icmp_out, 2000);
	sim_expect_u64(s, "none was whole", c.frag_done, 0);
}
