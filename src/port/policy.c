/* src/port/policy.c: rules about addresses outside: reading, printing, and which one decides.
 *
 * Rules come from the command line, from a file people can read and from memory others can write. The last is
 * only compared and never an index: port_policy_sane() looks at it first.
 *
 * An IPv4 address is one whether it was written 10.0.0.1 or ::ffff:10.0.0.1 (addr.c), so the second spelling is no
 * way round a rule; and a rule about IPv6, ::/0 too, never means IPv4.
 *
 * Always true of a rule that was read here
 *   P1  no octet of net below the prefix is set, so equal prefixes compare equal;
 *   P2  it means no loopback address: those are the program's own host's;
 *   P3  what is printed is read as the same rule.
 *
 * Cost: each question looks at every rule; there are at most PORT_POLICY_RULES_MAX.
 */
#include "port/policy.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cursor.h"

#define NO_ADDRESS 0xff /* family, between port_policy_rule_parse() of a name and port_policy_rule_at() */
#define TEXT_MAX 160

static const struct port_range every_port = {0, UINT16_MAX};

/* --- sane --- */

bool port_policy_rule_sane(const struct port_policy_rule *r)
{
	if (r->allow > 1 || r->proto > PORT_NPROTOS || r->ports.first > r->ports.last)
		return false;
	switch (r->family) {
	case 0:
		return r->bits == 0;
	case PORT_FAMILY_4:
		return r->bits >= 96 && r->bits <= 128 && port_addr_is4(&r->net);
	case PORT_FAMILY_6:
		return r->bits <= 128 && !port_addr_is4(&r->net);
	default:
		return false;
	}
}

bool port_policy_sane(const struct port_policy *p)
{
	if (p->closed > 1 || p->n_rules > PORT_POLICY_RULES_MAX)
		return false;
	for (unsigned i = 0; i < p->n_rules; i++)
		if (!port_policy_rule_sane(&p->rules[i]))
			return false;
	return true;
}

bool port_policy_chain_sane(const struct port_policy_chain *c)
{
	if (c->n_layers > PORT_POLICY_LAYERS_MAX || c->garbled > 1)
		return false;
	for (unsigned i = 0; i < c->n_layers; i++)
		if (!port_policy_sane(&c->layer[i]))
			return false;
	return true;
}

bool port_policy_refusal_sane(const struct port_policy_refusal *r)
{
	return r->by < PORT_NPOLICY_BYS && r->closed <= 1 && r->has_rule <= 1 &&
	       (!r->has_rule || port_policy_rule_sane(&r->rule));
}

/* --- which one decides --- */

static bool is_met(const struct port_policy_rule *r, enum port_proto proto, const struct port_addr *addr, uint16_t port)
{
	uint8_t family = port_addr_is4(addr) ? PORT_FAMILY_4 : PORT_FAMILY_6;

	if (r->proto != PORT_NPROTOS && r->proto != (uint8_t)proto)
		return false;
	if (port < r->ports.first || port > r->ports.last)
		return false;
	return r->family == 0 || (r->family == family && port_addr_in(addr, &r->net, r->bits));
}

/* Every address of both families is less exact than every address of one. */
static int exactness(const struct port_policy_rule *r)
{
	return r->family == 0 ? -1 : r->bits;
}

static bool is_stronger(const struct port_policy_rule *a, const struct port_policy_rule *b)
{
	unsigned wide_a = (unsigned)(a->ports.last - a->ports.first),
		 wide_b = (unsigned)(b->ports.last - b->ports.first);

	if (exactness(a) != exactness(b))
		return exactness(a) > exactness(b);
	if (wide_a != wide_b)
		return wide_a < wide_b;
	if ((a->proto == PORT_NPROTOS) != (b->proto == PORT_NPROTOS))
		return b->proto == PORT_NPROTOS;
	return !a->allow && b->allow;
}

int port_policy_ask(const struct port_policy *p, enum port_proto proto, const struct port_addr *addr, uint16_t port,
		    int *ret_rule)
{
	int best = -1;

	for (int i = 0; i < p->n_rules; i++)
		if (is_met(&p->rules[i], proto, addr, port) && (best < 0 || is_stronger(&p->rules[i], &p->rules[best])))
			best = i;
	if (ret_rule)
		*ret_rule = best;
	if (best < 0)
		return p->closed ? -ENETUNREACH : 0;
	return p->rules[best].allow ? 0 : -ECONNREFUSED;
}

static bool same_traffic(const struct port_policy_rule *a, const struct port_policy_rule *b)
{
	return a->family == b->family && a->bits == b->bits && a->proto == b->proto &&
	       a->ports.first == b->ports.first && a->ports.last == b->ports.last &&
	       (a->family == 0 || port_addr_equal(&a->net, &b->net));
}

int port_policy_add(struct port_policy *p, const struct port_policy_rule *r)
{
	ASSERT(port_policy_rule_sane(r));
	for (unsigned i = 0; i < p->n_rules; i++)
		if (same_traffic(&p->rules[i], r)) {
			p->rules[i] = *r;
			return 0;
		}
	if (p->n_rules >= PORT_POLICY_RULES_MAX)
		return -ENOSPC;
	p->rules[p->n_rules++] = *r;
	return 0;
}

int port_policy_chain_add(struct port_policy_chain *c, const struct port_policy *p)
{
	for (unsigned i = 0; i < c->n_layers; i++)
		if (memcmp(&c->layer[i], p, sizeof(*p)) == 0)
			return 0; /* said already */
	if (c->n_layers >= PORT_POLICY_LAYERS_MAX)
		return -ENOSPC;
	c->layer[c->n_layers++] = *p;
	return 0;
}

/* --- reading --- */

static int fail(struct port_parse_error *reterr, size_t at, const char *what)
{
	if (reterr)
		*reterr = (struct port_parse_error){at, what};
	return -EINVAL;
}

static bool only(const char *s, const char *of)
{
	return *s && s[strspn(s, of)] == '\0';
}

/* The octets below the prefix, which say nothing, are cleared (P1). */
static void set_net(struct port_policy_rule *r, const struct port_addr *a, unsigned bits)
{
	r->net = *a;
	r->net.scope = 0;
	r->bits = (uint8_t)bits;
	r->family = port_addr_is4(a) ? PORT_FAMILY_4 : PORT_FAMILY_6;
	for (unsigned i = bits; i < 128; i++)
		r->net.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

void port_policy_rule_at(struct port_policy_rule *r, const struct port_addr *addr)
{
	set_net(r, addr, 128);
}

/* "10.0.0.0" or "10.0.0.0/8", without brackets; at: where it stands in the whole text. */
static int parse_net(char *where, size_t at, struct port_policy_rule *r, struct port_parse_error *reterr)
{
	char *slash = strchr(where, '/');
	struct port_parse_error e = {.what = ""};
	struct port_addr a;
	unsigned bits = 128;
	bool four;

	if (slash)
		*slash++ = '\0';
	if (port_addr_parse(where, &a, &e) < 0)
		return fail(reterr, at + e.at, e.what);
	four = !strchr(where, ':');
	if (slash) {
		if (!only(slash, "0123456789") || strlen(slash) > 3)
			return fail(reterr, at + (size_t)(slash - where),
				    "after the slash comes the length of a prefix, such as 10.0.0.0/8, or tcp or udp");
		bits = 0;
		for (const char *c = slash; *c; c++)
			bits = bits * 10 + (unsigned)(*c - '0');
		if (bits > (four ? 32 : 128))
			return fail(reterr, at + (size_t)(slash - where),
				    "a prefix has at most 32 bits of an IPv4 address, 128 of an IPv6 address");
		if (four)
			bits += 96;
		if (port_addr_is4(&a) && bits < 96)
			return fail(reterr, at, "write a prefix of IPv4 addresses as such, like 10.0.0.0/8");
	}
	if (port_addr_is_any(&a) && bits == 128)
		return fail(reterr, at,
			    "this is no address to send to; every address is written '*', 0.0.0.0/0 or ::/0");
	if (port_addr_is_loopback(&a) && bits >= (port_addr_is4(&a) ? 104 : 128))
		return fail(reterr, at, "a loopback address is each host's own; the machine's is called 'gateway'");
	set_net(r, &a, bits);
	return 0;
}

/* "443", "8000-8010", "https", "*"; proto: "", "/tcp" or "/udp", which a service's name may need. */
static int parse_ports(const char *ports, const char *proto, size_t at, struct port_policy_rule *r,
		       struct port_parse_error *reterr)
{
	char text[TEXT_MAX + 8];
	struct cursor_writer w = cursor_writer(text, sizeof(text) - 1);
	struct port_parse_error e = {.what = ""};
	struct port_endpoint p;

	if (strcmp(ports, "*") == 0)
		return 0;
	cursor_put_text(&w, ":");
	cursor_put_text(&w, ports);
	cursor_put_text(&w, proto);
	text[cursor_writer_len(&w)] = '\0';
	if (port_endpoint_parse(text, &p, &e) < 0)
		return fail(reterr, at + (e.at ? e.at - 1 : 0), e.what);
	if (p.ports.first == 0)
		return fail(reterr, at, "nobody can send to port 0; leave the port out for every port");
	r->ports = p.ports;
	if (p.proto == PORT_UDP)
		r->proto = PORT_UDP; /* said so, or the service is one of UDP only */
	return 0;
}

/* A name, for the caller to resolve. */
static int parse_name(const char *where, size_t at, char ret_host[64], struct port_parse_error *reterr)
{
	char text[TEXT_MAX + 8];
	struct cursor_writer w = cursor_writer(text, sizeof(text) - 1);
	struct port_parse_error e = {.what = ""};
	struct port_endpoint p;

	cursor_put_text(&w, where);
	cursor_put_text(&w, ":1");
	text[cursor_writer_len(&w)] = '\0';
	if (port_endpoint_parse(text, &p, &e) < 0 || !p.host[0])
		return fail(reterr, at + e.at, e.what[0] ? e.what : "this is neither an address nor a name");
	memcpy(ret_host, p.host, sizeof(p.host));
	return 0;
}

int port_policy_rule_parse(const char *text, bool allow, struct port_policy_rule *ret, char ret_host[64],
			   struct port_parse_error *reterr)
{
	struct port_policy_rule r = {.ports = every_port, .proto = PORT_NPROTOS, .allow = allow};
	char copy[TEXT_MAX + 1], *where = copy, *ports = NULL, *end, *colon;
	size_t len = strnlen(text, TEXT_MAX + 1);
	const char *proto = "";
	int e = 0;

	ret_host[0] = '\0';
	if (len == 0)
		return fail(reterr, 0, "an address is missing here, such as 10.0.0.0/8 or 192.168.1.10:443");
	if (len > TEXT_MAX)
		return fail(reterr, TEXT_MAX, "this is too long");
	memcpy(copy, text, len + 1);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)copy[i] <= ' ' || copy[i] == 0x7f || copy[i] == ',')
			return fail(reterr, i, "a rule has no blank and no comma in it; give the option once for each");
	if (len > 4 && (strcasecmp(copy + len - 4, "/tcp") == 0 || strcasecmp(copy + len - 4, "/udp") == 0)) {
		r.proto = copy[len - 3] == 't' || copy[len - 3] == 'T' ? PORT_TCP : PORT_UDP;
		proto = r.proto == PORT_TCP ? "/tcp" : "/udp";
		copy[len - 4] = '\0';
	}
	if (copy[0] == '[') {
		end = strchr(copy, ']');
		if (!end)
			return fail(reterr, 0, "this bracket is never closed");
		if (end[1] && end[1] != ':' && end[1] != '/')
			return fail(reterr, (size_t)(end + 1 - copy),
				    "after the closing bracket comes a slash or a colon");
		colon = strchr(end, ':');
		where++;
		memmove(end, end + 1, strlen(end)); /* "[fd00::]/8:443" without its brackets */
		if (colon) {
			colon[-1] = '\0';
			ports = colon; /* it moved, too */
		}
	} else {
		colon = strchr(copy, ':');
		if (colon && strchr(colon + 1, ':')) {
			colon = NULL; /* an IPv6 address without brackets: no port can follow */
		} else if (colon) {
			*colon = '\0';
			ports = colon + 1;
		} else if (only(copy, "0123456789-")) {
			where = copy + strlen(copy);
			ports = copy;
		}
	}
	if (ports)
		e = parse_ports(ports, proto, (size_t)(ports - copy), &r, reterr);
	if (e < 0)
		return e;
	if (*where == '\0' || strcmp(where, "*") == 0)
		e = *where || ports ? 0 : fail(reterr, 0, "an address is missing here, such as 10.0.0.0/8");
	else if (copy[0] == '[' || strchr(where, ':') || strchr(where, '/') || only(where, "0123456789."))
		e = parse_net(where, (size_t)(where - copy), &r, reterr);
	else {
		e = parse_name(where, (size_t)(where - copy), ret_host, reterr);
		r.family = NO_ADDRESS;
	}
	if (e == 0)
		*ret = r;
	return e;
}

/* --- whole policies --- */

static void put_rule(struct cursor_writer *w, const struct port_policy_rule *r)
{
	bool all = r->ports.first == 0 && r->ports.last == UINT16_MAX, four = r->family == PORT_FAMILY_4;
	char addr[PORT_ADDR_STR_MAX];

	if (r->family == 0) {
		cursor_put_text(w, "*");
	} else {
		cursor_put_text(w, four || all ? "" : "[");
		cursor_put_text(w, port_addr_print(&r->net, addr));
		cursor_put_text(w, four || all ? "" : "]");
		if (r->bits < 128) {
			cursor_put_text(w, "/");
			cursor_put_decimal(w, four ? r->bits - 96u : r->bits);
		}
	}
	if (!all) {
		cursor_put_text(w, ":");
		cursor_put_decimal(w, r->ports.first);
		if (r->ports.last != r->ports.first) {
			cursor_put_text(w, "-");
			cursor_put_decimal(w, r->ports.last);
		}
	}
	if (r->proto < PORT_NPROTOS) {
		cursor_put_text(w, "/");
		cursor_put_text(w, port_proto_name[r->proto]);
	}
}

char *port_policy_rule_print(const struct port_policy_rule *r, char s[PORT_POLICY_RULE_STR_MAX])
{
	struct cursor_writer w = cursor_writer(s, PORT_POLICY_RULE_STR_MAX - 1);

	put_rule(&w, r);
	s[cursor_writer_len(&w)] = '\0';
	return s;
}

static void put_policy(struct cursor_writer *w, const struct port_policy *p)
{
	cursor_put_text(w, p->closed ? "closed" : "open");
	for (unsigned i = 0; i < p->n_rules; i++) {
		cursor_put_text(w, p->rules[i].allow ? " +" : " -");
		put_rule(w, &p->rules[i]);
	}
}

char *port_policy_print(const struct port_policy *p, char *s, size_t size_bytes)
{
	struct cursor_writer w = cursor_writer(s, size_bytes - 1);

	put_policy(&w, p);
	s[cursor_writer_len(&w)] = '\0';
	return s;
}

char *port_policy_chain_print(const struct port_policy_chain *c, char *s, size_t size_bytes)
{
	struct cursor_writer w = cursor_writer(s, size_bytes - 1);

	for (unsigned i = 0; i < c->n_layers; i++) {
		cursor_put_text(&w, i ? "," : "");
		put_policy(&w, &c->layer[i]);
	}
	s[cursor_writer_len(&w)] = '\0';
	return s;
}

/* One word of a line into buf. False: it is too long. */
static bool take_word(const char **s, const char *end, char buf[TEXT_MAX + 1])
{
	size_t len = 0;

	while (*s < end && **s == ' ')
		++*s;
	while (*s + len < end && (*s)[len] != ' ')
		len++;
	if (len > TEXT_MAX)
		return false;
	memcpy(buf, *s, len);
	buf[len] = '\0';
	*s += len;
	return true;
}

static int parse_policy(const char *s, const char *end, struct port_policy *ret)
{
	struct port_policy_rule r;
	char word[TEXT_MAX + 1], host[64];

	memset(ret, 0, sizeof(*ret)); /* compared whole, padding too */
	if (!take_word(&s, end, word) || (strcmp(word, "open") != 0 && strcmp(word, "closed") != 0))
		return -EINVAL;
	ret->closed = word[0] == 'c';
	for (;;) {
		if (!take_word(&s, end, word))
			return -EINVAL;
		if (!word[0])
			return 0;
		if ((word[0] != '+' && word[0] != '-') ||
		    port_policy_rule_parse(word + 1, word[0] == '+', &r, host, NULL) < 0 || host[0] ||
		    port_policy_add(ret, &r) < 0)
			return -EINVAL;
	}
}

int port_policy_parse(const char *text, struct port_policy *ret)
{
	return parse_policy(text, text + strlen(text), ret);
}

int port_policy_chain_parse(const char *text, struct port_policy_chain *ret)
{
	ret->n_layers = ret->garbled = 0;
	memset(ret->pad, 0, sizeof(ret->pad));
	while (*text) {
		size_t len = strcspn(text, ",");

		if (ret->n_layers >= PORT_POLICY_LAYERS_MAX ||
		    parse_policy(text, text + len, &ret->layer[ret->n_layers]) < 0)
			return -EINVAL;
		ret->n_layers++;
		text += len + (text[len] == ',');
	}
	return ret->n_layers ? 0 : -EINVAL;
}
