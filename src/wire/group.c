/* src/wire/group.c: multicast membership messages, IGMP (RFC 2236, 3376) and MLD (RFC 2710, 3810).
 *
 *     IGMP  type, code, checksum, group(4)                       [v3 query: + S/QRV, QQIC, n, sources(4 each)]
 *     MLD   type, 0, checksum, code(2), 0(2), group(16)          [v2 query: + S/QRV, QQIC, n, sources(16 each)]
 *     v3 report, MLDv2 report: type, 0, checksum, 0(2), n, records: type, aux words, n, group, sources, aux
 *
 * Which version a query is of is told by its length (RFC 3376, 7.1; RFC 3810, 8.1). A record's auxiliary data is passed over. Counts
 * are held against the octets that are there before anybody loops over them; a record takes at least 8 octets, so a
 * message bounds the walk.
 *
 * Cost: one pass over records, none over sources. Elsewhere: who is a member and when it is said (stack/).
 */
#include "wire/group.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/icmp.h"

#define IGMP_QUERY 0x11
#define IGMP_REPORT1 0x12
#define IGMP_REPORT2 0x16
#define IGMP_LEAVE 0x17
#define IGMP_REPORT3 0x22

#define QUERY_SUPPRESS 0x08

static size_t addr_len(enum port_family family)
{
	return family == PORT_FAMILY_4 ? 4 : 16;
}

static struct port_addr addr_from(enum port_family family, const uint8_t *p)
{
	return family == PORT_FAMILY_4 ? port_addr_from4(p) : port_addr_from6(p, 0);
}

static struct port_addr get_addr(struct cursor_reader *c, enum port_family family)
{
	uint8_t octets[16];

	cursor_get_bytes(c, octets, addr_len(family));
	return addr_from(family, octets);
}

static void put_addr(struct cursor_writer *w, const struct port_addr *a)
{
	cursor_put_bytes(w, port_addr_is4(a) ? a->b + 12 : a->b, port_addr_is4(a) ? 4 : 16);
}

/* A code of bits: below `1 << bits` itself, else a 3-bit exponent and a mantissa of bits - 3 (RFC 3376, 4.1.1: bits is 7 there, the
 * mantissa 4; RFC 3810, 5.1.3: 15 and 12). */
static uint32_t code_value(uint32_t code, unsigned bits)
{
	unsigned mantissa_bits = bits - 3;
	uint32_t top = UINT32_C(1) << mantissa_bits;

	if (code < UINT32_C(1) << bits)
		return code;
	return (code % top + top) << ((code >> mantissa_bits & 7) + 3);
}

/* The largest code whose value is at most v. */
static uint32_t value_code(uint32_t v, unsigned bits)
{
	unsigned mantissa_bits = bits - 3, exponent = 0;
	uint32_t top = UINT32_C(1) << mantissa_bits;

	if (v < UINT32_C(1) << bits)
		return v;
	for (v >>= 3; v >= 2 * top && exponent < 7; exponent++)
		v >>= 1;
	if (v >= 2 * top)
		v = 2 * top - 1;
	return UINT32_C(1) << bits | exponent << mantissa_bits | (v - top);
}

/* What a query of version 3 says behind its group. */
static bool get_query3(struct cursor_reader *c, enum port_family family, struct wire_group *g)
{
	uint8_t flags = cursor_get_u8(c);
	size_t len;

	g->version = 3;
	g->suppress = flags & QUERY_SUPPRESS;
	g->robustness = flags & 7;
	g->query_interval_s = code_value(cursor_get_u8(c), 7);
	g->n_sources = cursor_get_be16(c);
	len = g->n_sources * addr_len(family);
	g->body = (struct wire_slice){cursor_take(c, len), len};
	return cursor_reader_ok(c);
}

/* One record, or the cursor has failed. */
static struct wire_group_record get_record(struct cursor_reader *c, enum port_family family)
{
	struct wire_group_record r = {.change = (enum wire_group_change)cursor_get_u8(c)};
	size_t aux = (size_t)cursor_get_u8(c) * 4;

	r.n_sources = cursor_get_be16(c);
	r.address = get_addr(c, family);
	if (!port_addr_is_multicast(&r.address) || port_addr_is4(&r.address) != (family == PORT_FAMILY_4))
		c->failed = true;
	r.sources.len_bytes = r.n_sources * addr_len(family);
	r.sources.data = cursor_take(c, r.sources.len_bytes);
	cursor_skip(c, aux);
	return r;
}

/* The records behind the 8 octets of a report of version 3, which the cursor is 4 into. */
static bool get_report3(struct cursor_reader *c, enum port_family family, struct wire_group *g)
{
	const uint8_t *begin;

	g->kind = WIRE_GROUP_REPORT3;
	g->version = 3;
	cursor_skip(c, 2);
	g->n_records = cursor_get_be16(c);
	begin = cursor_take(c, 0);
	for (unsigned i = 0; i < g->n_records && cursor_reader_ok(c); i++)
		(void)get_record(c, family);
	if (!cursor_reader_ok(c))
		return false;
	g->body = (struct wire_slice){begin, (size_t)(c->data + c->at - begin)};
	return true;
}

/* Groups are groups; a query may name none. */
static bool address_fits(const struct wire_group *g)
{
	switch (g->kind) {
	case WIRE_GROUP_REPORT3:
		return true;
	case WIRE_GROUP_QUERY:
		return port_addr_is_any(&g->address) || port_addr_is_multicast(&g->address);
	default:
		return port_addr_is_multicast(&g->address);
	}
}

int wire_igmp_parse(const uint8_t *data, size_t len_bytes, struct wire_group *ret)
{
	struct cursor_reader c = cursor_reader(data, len_bytes);
	struct wire_group g = {.version = 2, .address = PORT_ADDR_ANY4};
	uint8_t type = cursor_get_u8(&c), code = cursor_get_u8(&c);
	bool good = true;

	cursor_skip(&c, 2);
	if (len_bytes < 8)
		return -EBADMSG;
	if (type == IGMP_REPORT3)
		good = get_report3(&c, PORT_FAMILY_4, &g);
	else
		g.address = get_addr(&c, PORT_FAMILY_4);
	switch (type) {
	case IGMP_QUERY:
		g.kind = WIRE_GROUP_QUERY;
		if (len_bytes > 8 && len_bytes < 12)
			return -EBADMSG; /* of no version: RFC 3376, 7.1 */
		if (len_bytes == 8)
			g.version = code ? 2 : 1;
		else
			good = get_query3(&c, PORT_FAMILY_4, &g);
		g.max_response_ms = 100 * (g.version == 3 ? code_value(code, 7) : code);
		break;
	case IGMP_REPORT1:
		g.kind = WIRE_GROUP_REPORT1;
		g.version = 1;
		break;
	case IGMP_REPORT2:
		g.kind = WIRE_GROUP_REPORT2;
		break;
	case IGMP_LEAVE:
		g.kind = WIRE_GROUP_LEAVE;
		break;
	case IGMP_REPORT3:
		break;
	default:
		return -EPROTONOSUPPORT;
	}
	if (!good || !address_fits(&g))
		return -EBADMSG;
	*ret = g;
	return 0;
}

int wire_mld_parse(const uint8_t *data, size_t len_bytes, struct wire_group *ret)
{
	struct cursor_reader c = cursor_reader(data, len_bytes);
	struct wire_group g = {.version = 2, .address = PORT_ADDR_ANY6};
	uint8_t type = cursor_get_u8(&c);
	uint16_t code = 0;
	bool good = true;

	cursor_skip(&c, 3);
	if (type == WIRE_ICMP6_MLD_REPORT2) {
		good = get_report3(&c, PORT_FAMILY_6, &g);
	} else {
		code = cursor_get_be16(&c);
		cursor_skip(&c, 2);
		g.address = get_addr(&c, PORT_FAMILY_6);
	}
	switch (type) {
	case WIRE_ICMP6_MLD_QUERY:
		g.kind = WIRE_GROUP_QUERY;
		if (len_bytes > 24 && len_bytes < 28)
			return -EBADMSG;
		if (len_bytes > 24)
			good = get_query3(&c, PORT_FAMILY_6, &g);
		g.max_response_ms = g.version == 3 ? code_value(code, 15) : code;
		break;
	case WIRE_ICMP6_MLD_REPORT1:
		g.kind = WIRE_GROUP_REPORT2;
		break;
	case WIRE_ICMP6_MLD_DONE:
		g.kind = WIRE_GROUP_LEAVE;
		break;
	case WIRE_ICMP6_MLD_REPORT2:
		break;
	default:
		return -EPROTONOSUPPORT;
	}
	if (!good || !cursor_reader_ok(&c) || port_addr_is4(&g.address) || !address_fits(&g))
		return -EBADMSG; /* a mapped address is IPv4 to all of us: ip6.c */
	*ret = g;
	return 0;
}

static void put_query3(struct cursor_writer *w, const struct wire_group *g)
{
	ASSERT(g->robustness < 8);
	cursor_put_u8(w, (uint8_t)((g->suppress ? QUERY_SUPPRESS : 0) | g->robustness));
	cursor_put_u8(w, (uint8_t)value_code(g->query_interval_s, 7));
	cursor_put_be16(w, g->n_sources);
}

static int written(const struct cursor_writer *w)
{
	return cursor_writer_ok(w) ? (int)cursor_writer_len(w) : -ENOBUFS;
}

int wire_igmp_emit(const struct wire_group *g, uint8_t *buf, size_t len_bytes)
{
	static const uint8_t types[] = {[WIRE_GROUP_QUERY] = IGMP_QUERY,
					[WIRE_GROUP_REPORT1] = IGMP_REPORT1,
					[WIRE_GROUP_REPORT2] = IGMP_REPORT2,
					[WIRE_GROUP_LEAVE] = IGMP_LEAVE,
					[WIRE_GROUP_REPORT3] = IGMP_REPORT3};
	struct cursor_writer w = cursor_writer(buf, len_bytes);
	uint32_t code = g->max_response_ms / 100;

	ASSERT(g->kind == WIRE_GROUP_REPORT3 || port_addr_is4(&g->address));
	if (g->kind != WIRE_GROUP_QUERY)
		code = 0;
	else if (g->version == 3)
		code = value_code(code, 7);
	else if (code > UINT8_MAX)
		code = UINT8_MAX;
	cursor_put_u8(&w, types[g->kind]);
	cursor_put_u8(&w, (uint8_t)code);
	cursor_put_be16(&w, 0);
	if (g->kind == WIRE_GROUP_REPORT3) {
		cursor_put_be16(&w, 0);
		cursor_put_be16(&w, g->n_records);
		return written(&w);
	}
	put_addr(&w, &g->address);
	if (g->kind == WIRE_GROUP_QUERY && g->version == 3)
		put_query3(&w, g);
	return written(&w);
}

int wire_mld_emit(const struct wire_group *g, uint8_t *buf, size_t len_bytes)
{
	static const uint8_t types[] = {[WIRE_GROUP_QUERY] = WIRE_ICMP6_MLD_QUERY,
					[WIRE_GROUP_REPORT2] = WIRE_ICMP6_MLD_REPORT1,
					[WIRE_GROUP_LEAVE] = WIRE_ICMP6_MLD_DONE,
					[WIRE_GROUP_REPORT3] = WIRE_ICMP6_MLD_REPORT2};
	struct cursor_writer w = cursor_writer(buf, len_bytes);
	uint32_t code = 0;

	ASSERT(g->kind == WIRE_GROUP_REPORT3 || !port_addr_is4(&g->address));
	ASSERT(g->kind != WIRE_GROUP_REPORT1);
	cursor_put_u8(&w, types[g->kind]);
	cursor_put_be(&w, 0, 3);
	if (g->kind == WIRE_GROUP_REPORT3) {
		cursor_put_be16(&w, 0);
		cursor_put_be16(&w, g->n_records);
		return written(&w);
	}
	if (g->kind == WIRE_GROUP_QUERY && g->version == 3)
		code = value_code(g->max_response_ms, 15);
	else if (g->kind == WIRE_GROUP_QUERY)
		code = g->max_response_ms < UINT16_MAX ? g->max_response_ms : UINT16_MAX;
	cursor_put_be16(&w, (uint16_t)code);
	cursor_put_be16(&w, 0);
	put_addr(&w, &g->address);
	if (g->kind == WIRE_GROUP_QUERY && g->version == 3)
		put_query3(&w, g);
	return written(&w);
}

bool wire_group_record_next(enum port_family family, struct wire_slice *rest, struct wire_group_record *ret)
{
	struct cursor_reader c = cursor_reader(rest->data, rest->len_bytes);
	struct wire_group_record r = get_record(&c, family);

	if (!cursor_reader_ok(&c))
		return false;
	*rest = (struct wire_slice){c.data + c.at, c.len - c.at};
	*ret = r;
	return true;
}

int wire_group_record_emit(const struct wire_group_record *r, uint8_t *buf, size_t len_bytes)
{
	struct cursor_writer w = cursor_writer(buf, len_bytes);
	enum port_family family = port_addr_is4(&r->address) ? PORT_FAMILY_4 : PORT_FAMILY_6;

	ASSERT(r->sources.len_bytes == r->n_sources * addr_len(family));
	cursor_put_u8(&w, (uint8_t)r->change);
	cursor_put_u8(&w, 0);
	cursor_put_be16(&w, r->n_sources);
	put_addr(&w, &r->address);
	cursor_put_bytes(&w, r->sources.data, r->sources.len_bytes);
	return written(&w);
}

struct port_addr wire_group_source(enum port_family family, struct wire_slice sources, size_t i)
{
	ASSERT(i < sources.len_bytes / addr_len(family));
	return addr_from(family, sources.data + i * addr_len(family));
}
