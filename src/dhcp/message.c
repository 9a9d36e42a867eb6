/* src/dhcp/message.c: DHCP messages (RFC 2131, 2132, 3396, 3442).
 *
 *	0    op htype hlen hops | 4 xid | 8 secs flags | 12 ciaddr | 16 yiaddr | 20 siaddr | 24 giaddr | 28 chaddr (16)
 *	44   sname (64) | 108 file (128) | 236 magic cookie | 240 options ... end
 *
 * Options are code, length, octets. Option 52 says that file and sname hold options, too; the same option in several pieces is one
 * (RFC 3396, 7): the pieces are put together in a buffer of limited size, and what does not fit is not read. Each area is walked once,
 * each step takes at least one octet. Nothing else in the message is believed: lengths are compared with what is there (S1, S29).
 */
#include "dhcp/message.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define OP_REQUEST 1
#define OP_REPLY 2
#define ETHERNET 1
#define MAC_LEN 6
#define AT_SNAME 44
#define SNAME_LEN 64
#define AT_FILE 108
#define FILE_LEN 128
#define AT_COOKIE 236
#define AT_OPTIONS 240
#define COOKIE 0x63825363u
#define FLAG_BROADCAST 0x8000
#define LEN_MIN 300

enum option {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_HOSTNAME = 12,
	OPT_DOMAIN = 15,
	OPT_MTU = 26,
	OPT_REQUESTED = 50,
	OPT_LEASE = 51,
	OPT_OVERLOAD = 52,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_PARAMETERS = 55,
	OPT_MAX_SIZE = 57,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_CLIENT_ID = 61,
	OPT_ROUTES = 121,
	OPT_END = 255,
};

/* The options that we read, each with its octets from all its pieces. */
#define VALUE_MAX 128
struct values {
	struct {
		uint8_t len;
		bool there, cut; /* cut: there was more than fits */
		uint8_t data[VALUE_MAX];
	} v[12];
};
static const uint8_t wanted[12] = {OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_DOMAIN, OPT_MTU,	     OPT_LEASE,
				   OPT_TYPE, OPT_SERVER, OPT_T1,  OPT_T2,     OPT_CLIENT_ID, OPT_ROUTES};

static int slot_of(uint8_t code)
{
	for (int i = 0; i < (int)COUNT_OF(wanted); i++)
		if (wanted[i] == code)
			return i;
	return -1;
}

static void keep(struct values *v, uint8_t code, const uint8_t *data, size_t len)
{
	int slot = slot_of(code);
	size_t room;

	if (slot < 0)
		return;
	room = VALUE_MAX - v->v[slot].len;
	v->v[slot].there = true;
	v->v[slot].cut |= len > room;
	if (len > room)
		len = room;
	memcpy(v->v[slot].data + v->v[slot].len, data, len);
	v->v[slot].len = (uint8_t)(v->v[slot].len + len);
}

/* One area. overload: set from option 52, of the first area only. False: a length that lies. */
static bool walk(struct values *v, const uint8_t *data, size_t len, uint8_t *overload)
{
	struct cursor_reader c = cursor_reader(data, len);

	while (cursor_reader_left(&c)) {
		uint8_t code = cursor_get_u8(&c), n;
		const uint8_t *value;

		if (code == OPT_PAD)
			continue;
		if (code == OPT_END)
			return true;
		n = cursor_get_u8(&c);
		value = cursor_take(&c, n);
		if (!value)
			return false;
		if (code == OPT_OVERLOAD && overload && n == 1)
			*overload = *value;
		keep(v, code, value, n);
	}
	return true; /* without an end, as some servers send it */
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool dhcp_is_host(uint32_t a)
{
	return a >> 24 != 0 && a >> 24 != 127 && a >> 24 < 224;
}

static const uint8_t *value_of(const struct values *v, uint8_t code, unsigned len)
{
	int slot = slot_of(code);

	return v->v[slot].there && v->v[slot].len == len ? v->v[slot].data : NULL;
}

static uint32_t number(const struct values *v, uint8_t code)
{
	const uint8_t *p = value_of(v, code, 4);

	return p ? get32(p) : 0;
}

static uint8_t hosts(const struct values *v, uint8_t code, uint32_t *ret, unsigned max)
{
	int slot = slot_of(code);
	unsigned n = 0;

	if (v->v[slot].len % 4)
		return 0;
	for (unsigned at = 0; at + 4 <= v->v[slot].len && n < max; at += 4) {
		uint32_t a = get32(v->v[slot].data + at);

		if (dhcp_is_host(a))
			ret[n++] = a;
	}
	return (uint8_t)n;
}

/* RFC 3442: prefix length, as many octets of it as count, gateway. One that is wrong ends the list, for what follows means nothing. */
static uint8_t routes(const struct values *v, struct berth_dhcp_route *ret)
{
	int slot = slot_of(OPT_ROUTES);
	struct cursor_reader c = cursor_reader(v->v[slot].data, v->v[slot].len);
	unsigned n = 0;

	while (cursor_reader_left(&c) && n < BERTH_DHCP_ROUTES_MAX) {
		struct berth_dhcp_route r = {.prefix_bits = cursor_get_u8(&c)};
		unsigned n_octets = (r.prefix_bits + 7u) / 8;

		if (r.prefix_bits > 32)
			break;
		r.net = (uint32_t)(cursor_get_be(&c, n_octets) << (32 - 8 * n_octets));
		r.gateway = cursor_get_be32(&c);
		if (!cursor_reader_ok(&c))
			break;
		r.net &= r.prefix_bits ? UINT32_MAX << (32 - r.prefix_bits) : 0;
		if (r.gateway == 0 || dhcp_is_host(r.gateway))
			ret[n++] = r;
	}
	return (uint8_t)n;
}

/* A name that may be written anywhere without harm; else none. */
static void domain(const struct values *v, char ret[64])
{
	int slot = slot_of(OPT_DOMAIN);
	unsigned len = v->v[slot].len;

	while (len && v->v[slot].data[len - 1] == 0)
		len--; /* some servers send the final NUL */
	if (len == 0 || len > 63 || v->v[slot].cut)
		return;
	for (unsigned i = 0; i < len; i++) {
		uint8_t c = v->v[slot].data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_' || c == '.'))
			return;
	}
	memcpy(ret, v->v[slot].data, len);
	ret[len] = 0;
}

/* The prefix length of a mask; -1: its ones are not in a row. */
static int bits_of(uint32_t mask)
{
	int n = 0;

	while (n < 32 && (mask & 0x80000000u >> n))
		n++;
	return n == 32 || (mask << n) == 0 ? n : -1;
}

static void read_values(const struct values *v, struct dhcp_answer *a)
{
	const uint8_t *p = value_of(v, OPT_MASK, 4);
	int id = slot_of(OPT_CLIENT_ID), bits = p ? bits_of(get32(p)) : -1;

	a->has_mask = bits > 0;
	a->prefix_bits = bits > 0 ? (uint8_t)bits : 0;
	a->has_lease = value_of(v, OPT_LEASE, 4) != NULL;
	a->lease_s = number(v, OPT_LEASE);
	a->t1_s = number(v, OPT_T1);
	a->t2_s = number(v, OPT_T2);
	a->server = number(v, OPT_SERVER);
	p = value_of(v, OPT_MTU, 2);
	a->mtu_bytes = p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
	if (a->mtu_bytes < 576)
		a->mtu_bytes = 0; /* what every link carries: less is a mistake, or worse */
	a->n_routers = hosts(v, OPT_ROUTER, a->routers, BERTH_DHCP_ROUTERS_MAX);
	a->n_dns = hosts(v, OPT_DNS, a->dns, BERTH_DHCP_DNS_MAX);
	a->n_routes = routes(v, a->routes);
	domain(v, a->domain);
	a->has_client_id = v->v[id].there;
	a->client_id_len = v->v[id].len <= DHCP_CLIENT_ID_MAX ? v->v[id].len : UINT8_MAX;
	if (a->client_id_len <= DHCP_CLIENT_ID_MAX)
		memcpy(a->client_id, v->v[id].data, a->client_id_len);
}

int dhcp_answer_parse(const uint8_t *data, size_t len_bytes, struct dhcp_answer *ret)
{
	struct dhcp_answer a = {.xid = 0};
	struct values v;
	const uint8_t *type;
	uint8_t overload = 0;

	if (len_bytes < AT_OPTIONS || data[0] != OP_REPLY || data[1] != ETHERNET || data[2] != MAC_LEN ||
	    get32(data + AT_COOKIE) != COOKIE)
		return -EBADMSG;
	memset(&v, 0, sizeof(v));
	if (!walk(&v, data + AT_OPTIONS, len_bytes - AT_OPTIONS, &overload))
		return -EBADMSG;
	if ((overload & 1) && !walk(&v, data + AT_FILE, FILE_LEN, NULL))
		return -EBADMSG;
	if ((overload & 2) && !walk(&v, data + AT_SNAME, SNAME_LEN, NULL))
		return -EBADMSG;
	type = value_of(&v, OPT_TYPE, 1);
	if (!type || (*type != DHCP_OFFER && *type != DHCP_ACK && *type != DHCP_NAK))
		return -EBADMSG;
	a.type = (enum dhcp_type) * type;
	a.xid = get32(data + 4);
	a.yiaddr = get32(data + 16);
	memcpy(a.mac, data + 28, MAC_LEN);
	read_values(&v, &a);
	*ret = a;
	return 0;
}

/* --- what we say --- */

static void put_option(struct cursor_writer *w, uint8_t code, const void *data, size_t len)
{
	cursor_put_u8(w, code);
	cursor_put_u8(w, (uint8_t)len);
	cursor_put_bytes(w, data, len);
}

static void put_addr(struct cursor_writer *w, uint8_t code, uint32_t a)
{
	if (!a)
		return;
	cursor_put_u8(w, code);
	cursor_put_u8(w, 4);
	cursor_put_be32(w, a);
}

size_t dhcp_ask_emit(const struct dhcp_ask *m, uint8_t buf[BERTH_DHCP_MESSAGE_MAX])
{
	static const uint8_t parameters[] = {OPT_MASK, OPT_ROUTES, OPT_ROUTER, OPT_DNS, OPT_DOMAIN,
					     OPT_MTU,  OPT_LEASE,  OPT_T1,     OPT_T2};
	struct cursor_writer w = cursor_writer(buf, BERTH_DHCP_MESSAGE_MAX);
	bool asks = m->type == DHCP_DISCOVER || m->type == DHCP_REQUEST;
	size_t host_len = m->hostname ? strlen(m->hostname) : 0;

	memset(buf, 0, BERTH_DHCP_MESSAGE_MAX);
	cursor_put_u8(&w, OP_REQUEST);
	cursor_put_u8(&w, ETHERNET);
	cursor_put_u8(&w, MAC_LEN);
	cursor_put_u8(&w, 0);
	cursor_put_be32(&w, m->xid);
	cursor_put_be16(&w, m->secs);
	cursor_put_be16(&w, m->broadcast ? FLAG_BROADCAST : 0);
	cursor_put_be32(&w, m->ciaddr);
	w.at = 28;
	cursor_put_bytes(&w, m->mac, MAC_LEN);
	w.at = AT_COOKIE;
	cursor_put_be32(&w, COOKIE);
	put_option(&w, OPT_TYPE, &(uint8_t){(uint8_t)m->type}, 1);
	put_option(&w, OPT_CLIENT_ID, m->client_id, m->client_id_len);
	put_addr(&w, OPT_REQUESTED, m->requested);
	put_addr(&w, OPT_SERVER, m->server);
	if (asks) {
		put_option(&w, OPT_MAX_SIZE, (uint8_t[]){1500 >> 8, 1500 & 0xff}, 2);
		put_option(&w, OPT_PARAMETERS, parameters, sizeof(parameters));
		if (host_len)
			put_option(&w, OPT_HOSTNAME, m->hostname, host_len);
	}
	cursor_put_u8(&w, OPT_END);
	ASSERT(cursor_writer_ok(&w)); /* 240 and at most 3 + 33 + 6 + 6 + 4 + 11 + 65 + 1 */
	return cursor_writer_len(&w) < LEN_MIN ? LEN_MIN : cursor_writer_len(&w);
}
