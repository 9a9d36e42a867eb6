/* src/wire/nd.c: neighbour and router discovery (RFC 4861).
 *
 * Every message is a fixed part and options of 8 octets' multiples. An option of length 0 would be walked forever; the whole message
 * is refused (RFC 4861, 4.6; S19), and an option that reaches past the message is, too. Each step takes at least 8 octets, so the walk is bounded by the
 * message. What is kept is bounded as well: WIRE_ND_PREFIXES_MAX prefixes, one of everything else.
 *
 * Cost: one pass. Elsewhere: neighbours, routers, addresses made of prefixes (stack/).
 */
#include "wire/nd.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/icmp.h"

#define OPTION_SOURCE_MAC 1
#define OPTION_TARGET_MAC 2
#define OPTION_PREFIX 3
#define OPTION_REDIRECTED 4
#define OPTION_MTU 5
#define OPTION_NONCE 14

#define RA_MANAGED 0x80
#define RA_OTHER 0x40
#define NA_ROUTER 0x80
#define NA_SOLICITED 0x40
#define NA_OVERRIDE 0x20
#define PREFIX_ON_LINK 0x80
#define PREFIX_AUTONOMOUS 0x40

/* Checks the four octets all have, leaves the cursor behind them. */
static struct cursor_reader open_message(const uint8_t *data, size_t len_bytes, uint8_t type)
{
	struct cursor_reader c = cursor_reader(data, len_bytes);
	uint8_t got = cursor_get_u8(&c), code = cursor_get_u8(&c);

	cursor_skip(&c, 2);
	if (got != type || code != 0)
		c.failed = true;
	return c;
}

static struct port_addr get_addr(struct cursor_reader *c)
{
	uint8_t octets[16];

	cursor_get_bytes(c, octets, sizeof(octets));
	return port_addr_from6(octets, 0);
}

/* A mapped address would be taken for IPv4's by everybody behind us. */
static bool is_unicast6(const struct port_addr *a)
{
	return !port_addr_is_multicast(a) && !port_addr_is4(a) && !port_addr_is_any(a);
}

static void get_mac(struct wire_nd_options *o, uint8_t bit, uint8_t mac[WIRE_MAC_LEN], const uint8_t *value)
{
	if (o->has & bit)
		return;
	o->has |= bit;
	memcpy(mac, value, WIRE_MAC_LEN);
}

static void clear_behind(struct port_addr *a, unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		a->b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

/* The 30 octets behind kind and length. */
static bool get_prefix(struct wire_nd_options *o, const uint8_t *value)
{
	struct wire_nd_prefix p = {.prefix_bits = value[0]};

	p.on_link = value[1] & PREFIX_ON_LINK;
	p.autonomous = value[1] & PREFIX_AUTONOMOUS;
	p.valid_s = wire_get32(value + 2);
	p.preferred_s = wire_get32(value + 6);
	p.prefix = port_addr_from6(value + 14, 0);
	if (p.prefix_bits > 128 || p.preferred_s > p.valid_s || o->n_prefixes == WIRE_ND_PREFIXES_MAX)
		return false; /* RFC 4862, 5.5.3 (c) */
	clear_behind(&p.prefix, p.prefix_bits);
	p.prefix.scope = 0;
	if (port_addr_is_multicast(&p.prefix) || port_addr_is4(&p.prefix))
		return false;
	o->prefixes[o->n_prefixes++] = p;
	return true;
}

/* One option, n octets behind kind and length. false: passed over though its kind is known. */
static bool get_option(struct wire_nd_options *o, uint8_t kind, const uint8_t *value, size_t n)
{
	switch (kind) {
	case OPTION_SOURCE_MAC:
		if (n == WIRE_MAC_LEN)
			get_mac(o, WIRE_ND_HAS_SOURCE_MAC, o->source_mac, value);
		return n == WIRE_MAC_LEN;
	case OPTION_TARGET_MAC:
		if (n == WIRE_MAC_LEN)
			get_mac(o, WIRE_ND_HAS_TARGET_MAC, o->target_mac, value);
		return n == WIRE_MAC_LEN;
	case OPTION_NONCE:
		if (n == WIRE_ND_NONCE_LEN)
			get_mac(o, WIRE_ND_HAS_NONCE, o->nonce, value);
		return n == WIRE_ND_NONCE_LEN;
	case OPTION_PREFIX:
		return n == 30 && get_prefix(o, value);
	case OPTION_MTU:
		if (n == 6 && !(o->has & WIRE_ND_HAS_MTU)) {
			o->has |= WIRE_ND_HAS_MTU;
			o->mtu = wire_get32(value + 2);
		}
		return n == 6;
	case OPTION_REDIRECTED:
		if (n > 6 && !(o->has & WIRE_ND_HAS_REDIRECTED)) {
			o->has |= WIRE_ND_HAS_REDIRECTED;
			o->redirected = (struct wire_slice){value + 6, n - 6};
		}
		return n > 6;
	default:
		return true;
	}
}

/* Whatever is left in the message. */
static int get_options(struct cursor_reader *c, struct wire_nd_options *o)
{
	while (cursor_reader_left(c)) {
		uint8_t kind = cursor_get_u8(c), len = cursor_get_u8(c);
		const uint8_t *value;

		if (!cursor_reader_ok(c) || len == 0)
			return -EBADMSG;
		value = cursor_take(c, (size_t)len * 8 - 2);
		if (!value)
			return -EBADMSG;
		if (!get_option(o, kind, value, (size_t)len * 8 - 2))
			o->n_ignored++;
	}
	return cursor_reader_ok(c) ? 0 : -EBADMSG;
}

int wire_nd_rs_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_rs *ret)
{
	struct cursor_reader c = open_message(data, len_bytes, WIRE_ICMP6_ND_RS);
	struct wire_nd_rs m = {.options = {.has = 0}};
	int r;

	cursor_skip(&c, 4);
	r = get_options(&c, &m.options);
	if (r == 0)
		*ret = m;
	return r;
}

int wire_nd_ra_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_ra *ret)
{
	struct cursor_reader c = open_message(data, len_bytes, WIRE_ICMP6_ND_RA);
	struct wire_nd_ra m = {.hops = 0};
	uint8_t flags, preference;
	int r;

	m.hops = cursor_get_u8(&c);
	flags = cursor_get_u8(&c);
	m.managed = flags & RA_MANAGED;
	m.other = flags & RA_OTHER;
	preference = flags >> 3 & 3;
	m.preference = preference == WIRE_ND_HIGH || preference == WIRE_ND_LOW ? (enum wire_nd_preference)preference
									       : WIRE_ND_MEDIUM;
	m.lifetime_s = cursor_get_be16(&c);
	m.reachable_ms = cursor_get_be32(&c);
	m.retrans_ms = cursor_get_be32(&c);
	r = get_options(&c, &m.options);
	if (r == 0)
		*ret = m;
	return r;
}

int wire_nd_ns_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_ns *ret)
{
	struct cursor_reader c = open_message(data, len_bytes, WIRE_ICMP6_ND_NS);
	struct wire_nd_ns m = {.options = {.has = 0}};
	int r;

	cursor_skip(&c, 4);
	m.target = get_addr(&c);
	r = get_options(&c, &m.options);
	if (r < 0 || !is_unicast6(&m.target))
		return -EBADMSG;
	*ret = m;
	return 0;
}

int wire_nd_na_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_na *ret)
{
	struct cursor_reader c = open_message(data, len_bytes, WIRE_ICMP6_ND_NA);
	struct wire_nd_na m = {.router = false};
	uint8_t flags;
	int r;

	flags = cursor_get_u8(&c);
	m.router = flags & NA_ROUTER;
	m.solicited = flags & NA_SOLICITED;
	m.override = flags & NA_OVERRIDE;
	cursor_skip(&c, 3);
	m.target = get_addr(&c);
	r = get_options(&c, &m.options);
	if (r < 0 || !is_unicast6(&m.target))
		return -EBADMSG;
	*ret = m;
	return 0;
}

int wire_nd_redirect_parse(const uint8_t *data, size_t len_bytes, struct wire_nd_redirect *ret)
{
	struct cursor_reader c = open_message(data, len_bytes, WIRE_ICMP6_ND_REDIRECT);
	struct wire_nd_redirect m = {.options = {.has = 0}};
	int r;

	cursor_skip(&c, 4);
	m.target = get_addr(&c);
	m.dst = get_addr(&c);
	r = get_options(&c, &m.options);
	if (r < 0 || !is_unicast6(&m.dst))
		return -EBADMSG;
	/* The target is a router's link-local address, or the destination itself (RFC 4861, 8.1). */
	if (!port_addr_is_linklocal6(&m.target) && !port_addr_equal(&m.target, &m.dst))
		return -EBADMSG;
	*ret = m;
	return 0;
}

static struct cursor_writer begin_message(uint8_t *buf, size_t len_bytes, uint8_t type)
{
	struct cursor_writer w = cursor_writer(buf, len_bytes);

	cursor_put_u8(&w, type);
	cursor_put_be(&w, 0, 3); /* code and checksum */
	return w;
}

static void put_short_option(struct cursor_writer *w, uint8_t kind, const uint8_t *value)
{
	cursor_put_u8(w, kind);
	cursor_put_u8(w, 1);
	cursor_put_bytes(w, value, 6);
}

static void put_prefix(struct cursor_writer *w, const struct wire_nd_prefix *p)
{
	cursor_put_u8(w, OPTION_PREFIX);
	cursor_put_u8(w, 4);
	cursor_put_u8(w, p->prefix_bits);
	cursor_put_u8(w, (uint8_t)((p->on_link ? PREFIX_ON_LINK : 0) | (p->autonomous ? PREFIX_AUTONOMOUS : 0)));
	cursor_put_be32(w, p->valid_s);
	cursor_put_be32(w, p->preferred_s);
	cursor_put_be32(w, 0);
	cursor_put_bytes(w, p->prefix.b, 16);
}

static int put_options(struct cursor_writer *w, const struct wire_nd_options *o)
{
	size_t redirected = o->has & WIRE_ND_HAS_REDIRECTED ? o->redirected.len_bytes / 8 * 8 : 0;

	ASSERT(o->n_prefixes <= WIRE_ND_PREFIXES_MAX);
	if (redirected > 254 * 8)
		return -EMSGSIZE;
	if (o->has & WIRE_ND_HAS_SOURCE_MAC)
		put_short_option(w, OPTION_SOURCE_MAC, o->source_mac);
	if (o->has & WIRE_ND_HAS_TARGET_MAC)
		put_short_option(w, OPTION_TARGET_MAC, o->target_mac);
	if (o->has & WIRE_ND_HAS_NONCE)
		put_short_option(w, OPTION_NONCE, o->nonce);
	if (o->has & WIRE_ND_HAS_MTU) {
		cursor_put_u8(w, OPTION_MTU);
		cursor_put_u8(w, 1);
		cursor_put_be16(w, 0);
		cursor_put_be32(w, o->mtu);
	}
	for (unsigned i = 0; i < o->n_prefixes; i++)
		put_prefix(w, &o->prefixes[i]);
	if (redirected) {
		cursor_put_u8(w, OPTION_REDIRECTED);
		cursor_put_u8(w, (uint8_t)(redirected / 8 + 1));
		cursor_put_be(w, 0, 6);
		cursor_put_bytes(w, o->redirected.data, redirected);
	}
	return 0;
}

/* Nothing counts as written when not all fits; what was is overwritten by whoever tries again. */
static int end_message(struct cursor_writer *w, const struct wire_nd_options *o)
{
	int r = put_options(w, o);

	if (r < 0)
		return r;
	return cursor_writer_ok(w) ? (int)cursor_writer_len(w) : -ENOBUFS;
}

int wire_nd_rs_emit(const struct wire_nd_rs *m, uint8_t *buf, size_t len_bytes)
{
	struct cursor_writer w = begin_message(buf, len_bytes, WIRE_ICMP6_ND_RS);

	cursor_put_be32(&w, 0);
	return end_message(&w, &m->options);
}

int wire_nd_ra_emit(const struct wire_nd_ra *m, uint8_t *buf, size_t len_bytes)
{
	struct cursor_writer w = begin_message(buf, len_bytes, WIRE_ICMP6_ND_RA);

	cursor_put_u8(&w, m->hops);
	cursor_put_u8(&w, (uint8_t)((m->managed ? RA_MANAGED : 0) | (m->other ? RA_OTHER : 0) |
				    (unsigned)m->preference << 3));
	cursor_put_be16(&w, m->lifetime_s);
	cursor_put_be32(&w, m->reachable_ms);
	cursor_put_be32(&w, m->retrans_ms);
	return end_message(&w, &m->options);
}

int wire_nd_ns_emit(const struct wire_nd_ns *m, uint8_t *buf, size_t len_bytes)
{
	struct cursor_writer w = begin_message(buf, len_bytes, WIRE_ICMP6_ND_NS);

	cursor_put_be32(&w, 0);
	cursor_put_bytes(&w, m->target.b, 16);
	return end_message(&w, &m->options);
}

int wire_nd_na_emit(const struct wire_nd_na *m, uint8_t *buf, size_t len_bytes)
{
	struct cursor_writer w = begin_message(buf, len_bytes, WIRE_ICMP6_ND_NA);

	cursor_put_u8(&w, (uint8_t)((m->router ? NA_ROUTER : 0) | (m->solicited ? NA_SOLICITED : 0) |
				    (m->override ? NA_OVERRIDE : 0)));
	cursor_put_be(&w, 0, 3);
	cursor_put_bytes(&w, m->target.b, 16);
	return end_message(&w, &m->options);
}

int wire_nd_redirect_emit(const struct wire_nd_redirect *m, uint8_t *buf, size_t len_bytes)
{
	struct cursor_writer w = begin_message(buf, len_bytes, WIRE_ICMP6_ND_REDIRECT);

	cursor_put_be32(&w, 0);
	cursor_put_bytes(&w, m->target.b, 16);
	cursor_put_bytes(&w, m->dst.b, 16);
	return end_message(&w, &m->options);
}

struct port_addr wire_nd_solicited_node(const struct port_addr *a)
{
	struct port_addr g = {.b = {0xff, 0x02, [11] = 0x01, 0xff}};

	memcpy(g.b + 13, a->b + 13, 3);
	return g;
}
