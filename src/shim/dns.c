/* src/shim/dns.c: DNS questions about the network, answered without a server.
 *
 * Programs that read DNS messages themselves (res_query and its kin: cgo, mail servers, getent's kin)
 * ask here first. What can be asked:
 *
 *     A, AAAA   of a host's name, localhost
 *     PTR       of a host's address, in in-addr.arpa and ip6.arpa
 *     SRV       _http._tcp.web.NETWORK.berth: the ports of host web on which somebody listens and whose
 *               name is http; _http._tcp.NETWORK.berth: of every host of the network (RFC 2782)
 *     ANY       A and AAAA
 *
 * Another type of a name that exists has no records (NOERROR, none); a name in .berth or an address of
 * the network that nobody has does not exist (NXDOMAIN); everything else is not ours.
 *
 *     header 12 | question: name type class | each answer: pointer to the name, type class ttl len data
 *
 * TTL 0: hosts and listeners come and go, nobody is to keep this. Names in answers are not compressed,
 * but for the question's own.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shim/resolve.h"

enum { HEADER = 12, NAME_TEXT_MAX = 256, OFFERS_MAX = 64, CLASS_IN = 1, CLASS_ANY = 255 };
enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_ANY = 255 };
enum { RCODE_OK = 0, RCODE_NXDOMAIN = 3 };

struct message {
	uint8_t *at;
	size_t len, size;
	uint16_t n_answers;
	bool cut; /* something did not fit: TC */
};

static void put(struct message *m, const void *octets, size_t n)
{
	if (m->cut || m->size - m->len < n) {
		m->cut = true;
		return;
	}
	memcpy(m->at + m->len, octets, n);
	m->len += n;
}

static void put16(struct message *m, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(m, b, sizeof(b));
}

/* "web.default.berth" as labels. Return: octets, at most 255; 0, not a name. */
static size_t pack_name(const char *name, uint8_t ret[NAME_TEXT_MAX])
{
	size_t len = 0;

	while (*name) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > 63 || len + n + 2 > 255)
			return 0;
		ret[len++] = (uint8_t)n;
		memcpy(ret + len, name, n);
		len += n;
		name += n;
		if (*name == '.')
			name++;
	}
	ret[len++] = 0;
	return len;
}

/* One answer. A record that does not fit leaves the message as it was, marked as cut. */
static void put_record(struct message *m, uint16_t type, const void *data, size_t n)
{
	size_t before = m->len;

	put16(m, 0xc000 | HEADER);
	put16(m, type);
	put16(m, CLASS_IN);
	put16(m, 0);
	put16(m, 0); /* TTL */
	put16(m, (uint16_t)n);
	put(m, data, n);
	if (m->cut)
		m->len = before;
	else
		m->n_answers++;
}

/* --- what is asked --- */

struct question {
	char name[NAME_TEXT_MAX]; /* "web.default.berth", no final dot */
	uint16_t type, class;
	size_t end; /* offset after the question */
};

static uint16_t read16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A message with one plain question. Names with a dot or a NUL within a label are not for us. */
static int read_question(const uint8_t *query, size_t len, struct question *ret)
{
	size_t at = HEADER, out = 0;

	if (len < HEADER + 5 || query[2] & 0x80 || (query[2] >> 3 & 15) != 0 || read16(query + 4) != 1)
		return -ENOENT;
	while (at < len && query[at]) {
		size_t n = query[at++];

		if (n > 63 || at + n >= len || out + n + 2 > sizeof(ret->name) || memchr(query + at, '.', n) ||
		    memchr(query + at, '\0', n))
			return -ENOENT;
		if (out)
			ret->name[out++] = '.';
		memcpy(ret->name + out, query + at, n);
		out += n;
		at += n;
	}
	ret->name[out] = '\0';
	if (len < at + 5)
		return -ENOENT;
	ret->type = read16(query + at + 1);
	ret->class = read16(query + at + 3);
	ret->end = at + 5;
	return out ? 0 : -ENOENT;
}

/* "2.0.77.10.in-addr.arpa", "...0.d.f.ip6.arpa". False: not an address written out in full. */
static bool read_reverse(const char *name, struct port_addr *ret)
{
	uint8_t b[16] = {0};
	const char *p = name;
	size_t len = strlen(name);

	if (len > 13 && strcasecmp(name + len - 13, ".in-addr.arpa") == 0) {
		for (unsigned i = 0; i < 4; i++) {
			char *end;
			unsigned long v = *p >= '0' && *p <= '9' ? strtoul(p, &end, 10) : 256;

			if (v > 255 || *end != '.')
				return false;
			b[3 - i] = (uint8_t)v;
			p = end + 1;
		}
		*ret = port_addr_from4(b);
		return strcasecmp(p, "in-addr.arpa") == 0;
	}
	if (len != 32 * 2 + 8 || strcasecmp(name + 64, "ip6.arpa") != 0)
		return false;
	for (unsigned i = 0; i < 32; i++, p += 2) {
		static const char digits[] = "0123456789abcdef";
		const char *d = *p ? strchr(digits, *p | 0x20) : NULL;

		if (!d || p[1] != '.')
			return false;
		b[15 - i / 2] |= (uint8_t)((d - digits) << (i % 2 ? 4 : 0));
	}
	*ret = port_addr_from6(b, 0);
	return true;
}

/* --- SRV --- */

struct offers {
	uint16_t port[OFFERS_MAX];
	struct port_owner owner[OFFERS_MAX];
	uint32_t n;
};

/* Is service a name of this port: registered, an alias, seen in practice, or the network's own? */
static bool is_called(struct shim *s, uint16_t port, enum port_proto proto, const char *service)
{
	struct port_service rows[16], own;
	uint32_t n = port_service_all(port, proto, NULL, rows, COUNT_OF(rows));

	if (resolve_port(s, port, proto, true, &own) == 0 && strcasecmp(own.name, service) == 0)
		return true;
	for (uint32_t i = 0; i < n && i < COUNT_OF(rows); i++)
		if (strcasecmp(rows[i].name, service) == 0)
			return true;
	return false;
}

/* The ports of a host on which somebody listens (TCP) or that are bound (UDP), each once. Names are looked
 * up and owners asked afterwards: both take longer than a lock should be held. */
static void read_ports(struct shim *s, uint32_t host, enum port_proto proto, struct offers *ret)
{
	struct network_lock lock;
	struct port_claim c;
	struct port_ref ref;
	uint32_t cursor = 0;

	ret->n = 0;
	if (network_lock(&s->net, host, &lock) < 0)
		return;
	while (ret->n < OFFERS_MAX && port_table_next(&lock.table, &cursor, &ref, &c)) {
		bool known = c.proto != proto || c.state != (proto == PORT_TCP ? CLAIM_LISTENING : CLAIM_HELD);

		for (uint32_t i = 0; i < ret->n && !known; i++)
			known = ret->port[i] == c.port;
		if (known || (port_addr_is_loopback(&c.addr) && host != s->host.index))
			continue;
		ret->port[ret->n] = c.port;
		ret->owner[ret->n++] = c.owner;
	}
	network_unlock(&lock);
}

static void put_offers(struct shim *s, struct message *m, const struct network_host *h, enum port_proto proto,
		       const char *service)
{
	struct offers o;
	struct resolved name;
	uint8_t data[6 + NAME_TEXT_MAX];

	read_ports(s, h->index, proto, &o);
	resolve_host(s, h, &name);
	for (uint32_t i = 0; i < o.n; i++) {
		if (!is_called(s, o.port[i], proto, service) ||
		    network_owner_alive(&s->net, &o.owner[i]) == NETWORK_DEAD)
			continue;
		memset(data, 0, 4); /* priority, weight */
		data[4] = (uint8_t)(o.port[i] >> 8);
		data[5] = (uint8_t)o.port[i];
		put_record(m, TYPE_SRV, data, 6 + pack_name(name.alias, data + 6));
	}
}

static int rcode_of(enum found f)
{
	return f == FOUND ? RCODE_OK : f == NO_SUCH ? RCODE_NXDOMAIN : -ENOENT;
}

/* "_http._tcp.web". Return: RCODE; -ENOENT, not such a name, or not of ours. */
static int answer_service(struct shim *s, struct message *m, const struct question *q)
{
	char service[64], whole[NETWORK_NAME_MAX + 8];
	const char *dot = strchr(q->name, '.'), *of;
	enum port_proto proto = PORT_TCP;
	struct network_host h;
	struct resolved found;
	int r;

	if (q->name[0] != '_' || !dot || dot[1] != '_' || dot - q->name > 63)
		return -ENOENT;
	memcpy(service, q->name + 1, (size_t)(dot - q->name - 1));
	service[dot - q->name - 1] = '\0';
	of = dot + 6;
	if (strncasecmp(dot, "._udp.", 6) == 0)
		proto = PORT_UDP;
	else if (strncasecmp(dot, "._tcp.", 6) != 0)
		return -ENOENT;
	snprintf(whole, sizeof(whole), "%s.berth", s->net.name);
	if (strcasecmp(of, whole) == 0) {
		for (uint32_t i = 0; i < network_n_hosts(&s->net) && q->type == TYPE_SRV && !m->cut; i++)
			if (network_host_at(&s->net, i, &h) == 0)
				put_offers(s, m, &h, proto, service);
		return RCODE_OK;
	}
	r = rcode_of(resolve_name(s, of, &found));
	if (r != RCODE_OK)
		return r;
	if ((q->type == TYPE_SRV || q->type == TYPE_ANY) && network_host_at(&s->net, found.host, &h) == 0)
		put_offers(s, m, &h, proto, service);
	return RCODE_OK;
}

/* --- the answer --- */

static int answer_address(struct shim *s, struct message *m, const struct question *q, const struct port_addr *a)
{
	struct resolved found;
	uint8_t data[NAME_TEXT_MAX];
	int r = rcode_of(resolve_addr(s, a, &found));

	if (r != RCODE_OK)
		return r;
	if (q->type == TYPE_PTR || q->type == TYPE_ANY)
		put_record(m, TYPE_PTR, data, pack_name(found.alias[0] ? found.alias : found.name, data));
	return RCODE_OK;
}

static int answer_name(struct shim *s, struct message *m, const struct question *q)
{
	char network[NETWORK_NAME_MAX + 8];
	struct resolved found;

	switch (resolve_name(s, q->name, &found)) {
	case NOT_OURS:
		return -ENOENT;
	case NO_SUCH: /* the network's own name, and .berth, have names below them */
		snprintf(network, sizeof(network), "%s.berth", s->net.name);
		return strcasecmp(q->name, network) == 0 || strcasecmp(q->name, "berth") == 0 ? RCODE_OK
											      : RCODE_NXDOMAIN;
	case FOUND:
		break;
	}
	if (q->type == TYPE_A || q->type == TYPE_ANY)
		put_record(m, TYPE_A, resolve_octets(&found, AF_INET), 4);
	if (q->type == TYPE_AAAA || q->type == TYPE_ANY)
		put_record(m, TYPE_AAAA, resolve_octets(&found, AF_INET6), 16);
	return RCODE_OK;
}

int dns_answer(struct shim *s, const uint8_t *query, size_t len, uint8_t *answer, size_t size)
{
	struct message m = {.at = answer, .size = size};
	struct port_addr a;
	struct question q;
	int r;

	if (!s || s->err || read_question(query, len, &q) < 0 || (q.class != CLASS_IN && q.class != CLASS_ANY))
		return -ENOENT;
	if (size < q.end)
		m.size = 0; /* answer() below only decides whose it is */
	put(&m, query, q.end);
	r = answer_service(s, &m, &q);
	if (r < 0)
		r = read_reverse(q.name, &a) ? answer_address(s, &m, &q, &a) : answer_name(s, &m, &q);
	if (r < 0)
		return r;
	if (size < q.end)
		return -EMSGSIZE;
	answer[2] = (uint8_t)(0x80 | 0x04 | (m.cut ? 0x02 : 0) | (query[2] & 1)); /* QR AA TC RD */
	answer[3] = (uint8_t)(0x80 | r);					  /* RA */
	memset(answer + 4, 0, 8);
	answer[5] = 1;
	answer[6] = (uint8_t)(m.n_answers >> 8);
	answer[7] = (uint8_t)m.n_answers;
	return (int)m.len;
}

int dns_question(const char *name, uint16_t class, uint16_t type, uint16_t id, uint8_t *ret, size_t size)
{
	uint8_t head[HEADER] = {(uint8_t)(id >> 8), (uint8_t)id, 1 /* RD */, 0, 0, 1}, packed[NAME_TEXT_MAX];
	struct message m = {.at = ret, .size = size};
	size_t n = pack_name(name, packed);

	if (n == 0)
		return -EINVAL;
	put(&m, head, sizeof(head));
	put(&m, packed, n);
	put16(&m, type);
	put16(&m, class);
	return m.cut ? -EMSGSIZE : (int)m.len;
}

int dns_h_errno(const uint8_t *answer, size_t len)
{
	if (len < HEADER)
		return NO_RECOVERY;
	if ((answer[3] & 15) == RCODE_NXDOMAIN)
		return HOST_NOT_FOUND;
	return read16(answer + 6) ? NETDB_SUCCESS : NO_DATA;
}
