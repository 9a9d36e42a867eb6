/* tests/support/wire_round.c: see wire_round.h. */
#include "wire_round.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire/group.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/nd.h"
#include "wire/print.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define SAME(field) ASSERT(a.field == b.field)
#define SAME_OPTION(field) ASSERT(a->field == b->field)
#define SAME_ADDR(field) ASSERT(port_addr_equal(&a.field, &b.field))

/* Room for a header of any kind and for a payload of 64 KiB. */
static uint8_t room[66000];

static void same_slice(struct wire_slice a, struct wire_slice b)
{
	ASSERT(a.len_bytes == b.len_bytes);
	ASSERT(a.len_bytes == 0 || memcmp(a.data, b.data, a.len_bytes) == 0);
}

static void lies_within(struct wire_slice s, const uint8_t *data, size_t len_bytes)
{
	if (s.len_bytes)
		ASSERT(s.data >= data && s.len_bytes <= len_bytes &&
		       s.data - data <= (ptrdiff_t)(len_bytes - s.len_bytes));
}

/* A header of r octets, and the payload behind it. */
static size_t whole(int r, struct wire_slice payload)
{
	ASSERT(r >= 0 && (size_t)r + payload.len_bytes <= sizeof(room));
	if (payload.len_bytes)
		memcpy(room + r, payload.data, payload.len_bytes);
	return (size_t)r + payload.len_bytes;
}

static bool round_arp(const uint8_t *data, size_t len_bytes)
{
	struct wire_arp a, b;

	if (wire_arp_parse(data, len_bytes, &a) < 0)
		return false;
	ASSERT(wire_arp_emit(&a, room, sizeof(room)) == WIRE_ARP_LEN);
	ASSERT(memcmp(room, data, WIRE_ARP_LEN) == 0);
	ASSERT(wire_arp_parse(room, WIRE_ARP_LEN, &b) == 0);
	SAME(op);
	SAME_ADDR(sender);
	SAME_ADDR(target);
	return true;
}

static bool round_udp(const uint8_t *data, size_t len_bytes)
{
	struct wire_udp a, b;
	int r;

	if (wire_udp_parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.payload, data, len_bytes);
	r = wire_udp_emit(&a, room, sizeof(room));
	ASSERT(r == WIRE_UDP_LEN && memcmp(room, data, WIRE_UDP_LEN) == 0);
	ASSERT(wire_udp_parse(room, whole(r, a.payload), &b) == 0);
	SAME(src_port);
	SAME(dst_port);
	SAME(checksum);
	same_slice(a.payload, b.payload);
	return true;
}

static void check_tcp_options(const struct wire_tcp_options *o)
{
	ASSERT(o->n_sacks <= WIRE_TCP_SACKS_MAX && (o->n_sacks > 0) == !!(o->has & WIRE_TCP_HAS_SACK));
	for (unsigned i = 0; i < o->n_sacks; i++)
		ASSERT((int32_t)(o->sacks[i].right - o->sacks[i].left) > 0);
	ASSERT(o->wscale <= WIRE_TCP_WSCALE_MAX);
	ASSERT(o->cookie_bytes == 0 || (o->cookie_bytes >= 4 && o->cookie_bytes <= 16 && o->cookie_bytes % 2 == 0));
}

static void same_tcp_options(const struct wire_tcp_options *a, const struct wire_tcp_options *b)
{
	SAME_OPTION(has);
	SAME_OPTION(mss);
	SAME_OPTION(wscale);
	SAME_OPTION(ts_val);
	SAME_OPTION(ts_ecr);
	SAME_OPTION(user_timeout_s);
	SAME_OPTION(cookie_bytes);
	SAME_OPTION(cookie_experimental);
	SAME_OPTION(n_sacks);
	ASSERT(memcmp(a->cookie, b->cookie, sizeof(a->cookie)) == 0);
	ASSERT(memcmp(a->sacks, b->sacks, sizeof(a->sacks)) == 0);
}

bool wire_round_tcp_options(const uint8_t *data, size_t len_bytes)
{
	struct wire_tcp_options a, b;
	uint8_t buf[WIRE_TCP_OPTIONS_MAX];
	int r;

	if (wire_tcp_options_parse(data, len_bytes, &a) < 0)
		return false;
	check_tcp_options(&a);
	r = wire_tcp_options_emit(&a, buf, sizeof(buf));
	/* What came without padding may take more than 40 octets with it. */
	ASSERT((r < 0) == (wire_tcp_options_len(&a) > WIRE_TCP_OPTIONS_MAX));
	if (r < 0)
		return true;
	ASSERT(r % 4 == 0 && (unsigned)r == wire_tcp_options_len(&a));
	ASSERT(wire_tcp_options_parse(buf, (size_t)r, &b) == 0 && b.n_ignored == 0);
	same_tcp_options(&a, &b);
	return true;
}

static bool round_tcp(const uint8_t *data, size_t len_bytes)
{
	struct wire_tcp a, b;
	int r;

	if (wire_tcp_parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.payload, data, len_bytes);
	check_tcp_options(&a.options);
	r = wire_tcp_emit(&a, room, sizeof(room));
	if (r < 0)
		return true; /* as above */
	ASSERT(wire_tcp_parse(room, whole(r, a.payload), &b) == 0);
	SAME(src_port);
	SAME(dst_port);
	SAME(seq);
	SAME(ack);
	SAME(flags);
	SAME(window);
	SAME(checksum);
	SAME(urgent);
	same_tcp_options(&a.options, &b.options);
	same_slice(a.payload, b.payload);
	return true;
}

static bool round_icmp4(const uint8_t *data, size_t len_bytes)
{
	struct wire_icmp4 a, b;
	int r;

	if (wire_icmp4_parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.payload, data, len_bytes);
	if (wire_icmp4_is_error(a.type)) {
		struct wire_embedded e;

		if (wire_embedded_parse(PORT_FAMILY_4, a.payload, &e) == 0)
			lies_within(e.transport, data, len_bytes);
	}
	r = wire_icmp4_emit(&a, room, sizeof(room));
	ASSERT(wire_icmp4_parse(room, whole(r, a.payload), &b) == 0);
	SAME(type);
	SAME(code);
	SAME(pointer);
	SAME(checksum);
	SAME(id);
	SAME(seq);
	SAME(mtu);
	same_slice(a.payload, b.payload);
	return true;
}

static void same_nd_options(const struct wire_nd_options *a, const struct wire_nd_options *b)
{
	SAME_OPTION(has);
	SAME_OPTION(n_prefixes);
	SAME_OPTION(mtu);
	ASSERT(memcmp(a->source_mac, b->source_mac, 6) == 0 && memcmp(a->target_mac, b->target_mac, 6) == 0);
	ASSERT(memcmp(a->nonce, b->nonce, 6) == 0);
	same_slice(a->redirected, b->redirected);
	for (unsigned i = 0; i < a->n_prefixes; i++) {
		const struct wire_nd_prefix *p = &a->prefixes[i], *q = &b->prefixes[i];

		ASSERT(port_addr_equal(&p->prefix, &q->prefix) && p->prefix_bits == q->prefix_bits &&
		       p->prefix_bits <= 128);
		ASSERT(p->on_link == q->on_link && p->autonomous == q->autonomous);
		ASSERT(p->valid_s == q->valid_s && p->preferred_s == q->preferred_s && p->preferred_s <= p->valid_s);
	}
}

/* One of the five messages. */
#define ROUND_ND(kind, checks)                                                                                  \
	static bool round_##kind(const uint8_t *data, size_t len_bytes)                                         \
	{                                                                                                       \
		struct wire_nd_##kind a, b;                                                                     \
		int r;                                                                                          \
                                                                                                                \
		if (wire_nd_##kind##_parse(data, len_bytes, &a) < 0)                                            \
			return false;                                                                           \
		lies_within(a.options.redirected, data, len_bytes);                                             \
		r = wire_nd_##kind##_emit(&a, room, sizeof(room));                                              \
		ASSERT(r >= 0 && wire_nd_##kind##_parse(room, (size_t)r, &b) == 0 && b.options.n_ignored == 0); \
		checks;                                                                                         \
		same_nd_options(&a.options, &b.options);                                                        \
		return true;                                                                                    \
	}
ROUND_ND(rs, (void)0)
ROUND_ND(ra, (SAME(hops), SAME(managed), SAME(other), SAME(preference), SAME(lifetime_s), SAME(reachable_ms),
	      SAME(retrans_ms)))
ROUND_ND(ns, SAME_ADDR(target))
ROUND_ND(na, (SAME_ADDR(target), SAME(router), SAME(solicited), SAME(override)))
ROUND_ND(redirect, (SAME_ADDR(target), SAME_ADDR(dst)))

/* Octets of all records, emitted one by one. */
static size_t round_records(enum port_family family, const struct wire_group *g, uint8_t *buf, size_t size)
{
	struct wire_slice rest = g->body;
	struct wire_group_record r;
	size_t at = 0;
	unsigned n = 0;

	for (; wire_group_record_next(family, &rest, &r); n++) {
		int len = wire_group_record_emit(&r, buf + at, size - at);

		ASSERT(len > 0);
		at += (size_t)len;
		for (size_t i = 0; i < r.n_sources; i++)
			(void)wire_group_source(family, r.sources, i);
	}
	ASSERT(n == g->n_records && rest.len_bytes == 0);
	return at;
}

static bool round_group(enum port_family family, const uint8_t *data, size_t len_bytes)
{
	int (*parse)(const uint8_t *, size_t, struct wire_group *) =
		family == PORT_FAMILY_4 ? wire_igmp_parse : wire_mld_parse;
	struct wire_group a, b;
	size_t n;
	int r;

	if (parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.body, data, len_bytes);
	r = family == PORT_FAMILY_4 ? wire_igmp_emit(&a, room, sizeof(room)) : wire_mld_emit(&a, room, sizeof(room));
	ASSERT(r > 0);
	if (a.kind == WIRE_GROUP_REPORT3)
		n = (size_t)r + round_records(family, &a, room + r, sizeof(room) - (size_t)r);
	else
		n = whole(r, a.body);
	ASSERT(parse(room, n, &b) == 0);
	SAME(kind);
	SAME(version);
	SAME(max_response_ms);
	SAME(suppress);
	SAME(robustness);
	SAME(query_interval_s);
	SAME(n_sources);
	SAME(n_records);
	SAME_ADDR(address);
	if (a.kind == WIRE_GROUP_QUERY)
		same_slice(a.body, b.body);
	return true;
}

static bool round_icmp6(const uint8_t *data, size_t len_bytes)
{
	struct wire_icmp6 a, b;
	int r;

	if (wire_icmp6_parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.payload, data, len_bytes);
	switch (a.type) {
	case WIRE_ICMP6_ND_RS:
		return round_rs(data, len_bytes);
	case WIRE_ICMP6_ND_RA:
		return round_ra(data, len_bytes);
	case WIRE_ICMP6_ND_NS:
		return round_ns(data, len_bytes);
	case WIRE_ICMP6_ND_NA:
		return round_na(data, len_bytes);
	case WIRE_ICMP6_ND_REDIRECT:
		return round_redirect(data, len_bytes);
	case WIRE_ICMP6_MLD_QUERY:
	case WIRE_ICMP6_MLD_REPORT1:
	case WIRE_ICMP6_MLD_DONE:
	case WIRE_ICMP6_MLD_REPORT2:
		return round_group(PORT_FAMILY_6, data, len_bytes);
	}
	if (wire_icmp6_is_error(a.type)) {
		struct wire_embedded e;

		if (wire_embedded_parse(PORT_FAMILY_6, a.payload, &e) == 0)
			lies_within(e.transport, data, len_bytes);
	}
	r = wire_icmp6_emit(&a, room, sizeof(room));
	ASSERT(wire_icmp6_parse(room, whole(r, a.payload), &b) == 0);
	SAME(type);
	SAME(code);
	SAME(checksum);
	SAME(id);
	SAME(seq);
	SAME(mtu);
	SAME(pointer);
	same_slice(a.payload, b.payload);
	return true;
}

bool wire_round_upper(enum port_family family, uint8_t proto, const uint8_t *data, size_t len_bytes)
{
	switch (proto) {
	case WIRE_PROTO_TCP:
		return round_tcp(data, len_bytes);
	case WIRE_PROTO_UDP:
		return round_udp(data, len_bytes);
	case WIRE_PROTO_ICMP4:
		return round_icmp4(data, len_bytes);
	case WIRE_PROTO_IGMP:
		return round_group(PORT_FAMILY_4, data, len_bytes);
	case WIRE_PROTO_ICMP6:
		return round_icmp6(data, len_bytes);
	default:
		return family == PORT_FAMILY_4 || family == PORT_FAMILY_6;
	}
}

/* The first cut octets in memory of their own, so that a sanitizer sees one too many; the rest is elsewhere. The IPv4 packet a is
 * the same, if its header is whole. */
static void split_ip4(const struct wire_ip4 *a, const uint8_t *data, size_t len_bytes, size_t cut)
{
	uint8_t *front = malloc(cut + 1);
	struct wire_ip4 b;
	int r;

	ASSERT(front);
	memcpy(front, data, cut);
	r = wire_ip4_parse_split(front, cut, len_bytes - cut, &b);
	ASSERT(r == (cut < WIRE_IP4_LEN + a->options.len_bytes ? -EBADMSG : 0));
	if (r == 0)
		ASSERT(b.payload.len_bytes == a->payload.len_bytes &&
		       b.payload.data - front == a->payload.data - data && b.has == a->has &&
		       b.checksum_good == a->checksum_good);
	free(front);
}

/* The same for IPv6, where headers may be cut in many places. */
static void split_ip6(const struct wire_ip6 *a, const uint8_t *data, size_t len_bytes, size_t cut)
{
	size_t headers = WIRE_IP6_LEN + a->extensions.len_bytes;
	uint8_t *front = malloc(cut + 1);
	struct wire_ip6 b;
	int r;

	ASSERT(front);
	memcpy(front, data, cut);
	r = wire_ip6_parse_split(front, cut, len_bytes - cut, &b, NULL);
	if (cut < headers)
		ASSERT(r < 0);
	else if (!a->more || a->fragment_at) /* else the transport's header must be in front, too */
		ASSERT(r == 0);
	if (r == 0)
		ASSERT(b.payload.len_bytes == a->payload.len_bytes &&
		       b.payload.data - front == a->payload.data - data && b.proto == a->proto &&
		       b.fragment.len_bytes == a->fragment.len_bytes);
	free(front);
}

static bool round_ip4(const uint8_t *data, size_t len_bytes)
{
	struct wire_ip4 a, b;
	int r;

	if (wire_ip4_parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.options, data, len_bytes);
	lies_within(a.payload, data, len_bytes);
	r = wire_ip4_emit(&a, room, sizeof(room));
	ASSERT(wire_ip4_parse(room, whole(r, a.payload), &b) == 0 && b.checksum_good);
	SAME_ADDR(src);
	SAME_ADDR(dst);
	SAME(tos);
	SAME(ttl);
	SAME(proto);
	SAME(has);
	SAME(id);
	SAME(fragment_at);
	SAME(df);
	SAME(mf);
	same_slice(a.options, b.options);
	same_slice(a.payload, b.payload);
	split_ip4(&a, data, len_bytes, WIRE_IP4_LEN + a.options.len_bytes);
	split_ip4(&a, data, len_bytes, WIRE_IP4_LEN + a.options.len_bytes - 1);
	split_ip4(&a, data, len_bytes, len_bytes / 2);
	if (!wire_ip4_is_fragment(&a))
		(void)wire_round_upper(PORT_FAMILY_4, a.proto, a.payload.data, a.payload.len_bytes);
	return true;
}

static void check_ip6(const struct wire_ip6 *a, const uint8_t *data, size_t len_bytes)
{
	lies_within(a->extensions, data, len_bytes);
	lies_within(a->payload, data, len_bytes);
	lies_within(a->fragment, data, len_bytes);
	ASSERT(a->proto_at < len_bytes && data[a->proto_at] == a->proto);
	ASSERT(a->extensions.len_bytes % 8 == 0);
	if (!a->fragmented)
		return;
	ASSERT(data[a->fragment_named] == WIRE_PROTO_FRAGMENT);
	ASSERT((size_t)a->unfragmentable_bytes + WIRE_IP6_FRAGMENT_LEN <= a->extensions.len_bytes);
	ASSERT(a->fragment.data == data + WIRE_IP6_LEN + a->unfragmentable_bytes + WIRE_IP6_FRAGMENT_LEN);
	ASSERT(a->fragment_at % 8 == 0);
}

static bool round_ip6(const uint8_t *data, size_t len_bytes)
{
	struct wire_ip6_problem problem = {.pointer = UINT32_MAX};
	struct wire_ip6 a, b;
	int r = wire_ip6_parse(data, len_bytes, &a, &problem);

	if (r == -EPROTO)
		ASSERT(problem.pointer < len_bytes && problem.code <= WIRE_IP6_PROBLEM_CHAIN);
	else
		ASSERT(problem.pointer == UINT32_MAX);
	if (r < 0)
		return false;
	check_ip6(&a, data, len_bytes);
	r = wire_ip6_emit(&a, room, sizeof(room));
	ASSERT(wire_ip6_parse(room, whole(r, a.payload), &b, NULL) == 0);
	SAME_ADDR(src);
	SAME_ADDR(dst);
	SAME(flow);
	SAME(tclass);
	SAME(hops);
	SAME(proto);
	SAME(next);
	SAME(proto_at);
	SAME(router_alert);
	SAME(router_alert_value);
	SAME(fragmented);
	SAME(more);
	SAME(fragment_at);
	SAME(fragment_id);
	SAME(fragment_named);
	SAME(fragment_next);
	SAME(unfragmentable_bytes);
	same_slice(a.fragment, b.fragment);
	same_slice(a.extensions, b.extensions);
	same_slice(a.payload, b.payload);
	split_ip6(&a, data, len_bytes, WIRE_IP6_LEN + a.extensions.len_bytes);
	split_ip6(&a, data, len_bytes, WIRE_IP6_LEN + a.extensions.len_bytes - 1);
	split_ip6(&a, data, len_bytes, len_bytes / 2);
	split_ip6(&a, data, len_bytes, len_bytes);
	if (!wire_ip6_is_fragment(&a))
		(void)wire_round_upper(PORT_FAMILY_6, a.proto, a.payload.data, a.payload.len_bytes);
	return true;
}

bool wire_round_ip(const uint8_t *data, size_t len_bytes)
{
	return len_bytes && data[0] >> 4 == 6 ? round_ip6(data, len_bytes) : round_ip4(data, len_bytes);
}

bool wire_round_frame(const uint8_t *data, size_t len_bytes)
{
	struct wire_eth a;
	int r;

	if (wire_eth_parse(data, len_bytes, &a) < 0)
		return false;
	lies_within(a.payload, data, len_bytes);
	r = wire_eth_emit(&a, room, sizeof(room));
	ASSERT(r >= WIRE_ETH_LEN && memcmp(room, data, (size_t)r) == 0 && (size_t)r + a.payload.len_bytes == len_bytes);
	if (a.type == WIRE_ETH_ARP)
		return round_arp(a.payload.data, a.payload.len_bytes);
	if (a.type == WIRE_ETH_IP4 || a.type == WIRE_ETH_IP6)
		return wire_round_ip(a.payload.data, a.payload.len_bytes);
	return true;
}

/* Printed into size octets: terminated, nothing behind them touched, and a beginning of the whole line, marked as one. */
static void print_into(const uint8_t *data, size_t len_bytes, bool is_frame, size_t size, const char *line)
{
	char *(*print)(const uint8_t *, size_t, char *, size_t) = is_frame ? wire_print_frame : wire_print_ip;
	char *part = malloc(size + 1); /* so that a sanitizer sees one octet too many */
	size_t len;

	ASSERT(part);
	memset(part, 0x5a, size + 1);
	print(data, len_bytes, part, size);
	ASSERT(part[size] == 0x5a);
	ASSERT(size == 0 || memchr(part, 0, size));
	if (size >= sizeof(" ...")) {
		len = strlen(part);
		if (strcmp(part, line) != 0)
			ASSERT(len >= 4 && strcmp(part + len - 4, " ...") == 0 && strncmp(part, line, len - 4) == 0);
	}
	free(part);
}

void wire_round_print(const uint8_t *data, size_t len_bytes, bool is_frame)
{
	char line[WIRE_PRINT_MAX];
	size_t len;

	if (is_frame)
		wire_print_frame(data, len_bytes, line, sizeof(line));
	else
		wire_print_ip(data, len_bytes, line, sizeof(line));
	len = strlen(line);
	ASSERT(len > 0);
	for (size_t i = 0; i < len; i++)
		ASSERT(line[i] >= ' ' && line[i] <= '~');
	for (size_t size = 0; size < len + 8; size += 1 + size / 8)
		print_into(data, len_bytes, is_frame, size, line);
}
