/* src/port/endpoint.c: ports as people write them, read strictly and explained kindly.
 *
 *     endpoint = [ where ] port [ "-" port ] [ "/" proto ]      where = ( address | host | "*" | "" ) ":"
 *
 * The text is cut from its end: first "/proto", then the last colon that is outside brackets; what
 * is left of that says where, what is right of it says which port. Each part is a span of the text,
 * so every message knows the offset of its character. Two colons outside brackets are an IPv6
 * address that lost them, and the message says so: guessing where its port begins would be wrong
 * half of the time ("::1:80" is a valid address).
 *
 * Strict where tools differ: no octal ("010.0.0.1" is refused, not 8.0.0.1), no sign, no blanks, no
 * hexadecimal. Messages are static sentences: a caller may keep them.
 *
 * Cost: one pass over at most 255 characters. Elsewhere: names of ports (service.c); names of hosts
 * are handed back as text, who has a hosts file looks them up.
 */
#include "port/endpoint.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "port/service.h"

#define TEXT_MAX 255
#define LABEL_MAX 63

const char *const port_class_name[3] = {
	[PORT_CLASS_SYSTEM] = "system",
	[PORT_CLASS_USER] = "user",
	[PORT_CLASS_DYNAMIC] = "dynamic",
};

/* text[at .. end) */
struct span {
	const char *text;
	size_t at, end;
};

enum port_class port_class_of(uint16_t port)
{
	return port < 1024 ? PORT_CLASS_SYSTEM : port < 49152 ? PORT_CLASS_USER : PORT_CLASS_DYNAMIC;
}

static int fail(struct port_parse_error *reterr, size_t at, const char *what)
{
	if (reterr)
		*reterr = (struct port_parse_error){at, what};
	return -EINVAL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static size_t span_len(struct span s)
{
	return s.end - s.at;
}

/* Offset of the first c in s, or s.end. */
static size_t span_find(struct span s, char c)
{
	size_t i = s.at;

	while (i < s.end && s.text[i] != c)
		i++;
	return i;
}

static bool span_is(struct span s, const char *word)
{
	size_t n = strlen(word);

	if (span_len(s) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s.text[s.at + i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != word[i])
			return false;
	}
	return true;
}

/* Only digits and dots, with a digit first: meant as an IPv4 address. */
static bool looks_v4(struct span s)
{
	for (size_t i = s.at; i < s.end; i++)
		if (!is_digit(s.text[i]) && s.text[i] != '.')
			return false;
	return span_len(s) > 0 && span_find(s, '.') < s.end;
}

/* ---- numbers ---- */

static int parse_port(struct span s, uint16_t *ret, struct port_parse_error *reterr)
{
	uint32_t v = 0;

	if (span_len(s) == 0)
		return fail(reterr, s.at, "a port number is missing here");
	for (size_t i = s.at; i < s.end; i++) {
		if (!is_digit(s.text[i]))
			return fail(reterr, i, "a port is written with the digits 0 to 9 only");
		v = v * 10 + (uint32_t)(s.text[i] - '0');
		if (v > UINT16_MAX)
			return fail(reterr, s.at, "a port is a number from 0 to 65535");
	}
	*ret = (uint16_t)v;
	return 0;
}

int port_number_parse(const char *text, uint16_t *ret, struct port_parse_error *reterr)
{
	size_t n = strnlen(text, TEXT_MAX + 1);

	if (n > TEXT_MAX)
		return fail(reterr, TEXT_MAX, "this is too long; 255 characters are the most");
	return parse_port((struct span){text, 0, n}, ret, reterr);
}

/* ---- addresses ---- */

static int parse_v4(struct span s, uint8_t ret[4], struct port_parse_error *reterr)
{
	size_t i = s.at;
	uint8_t octets[4];

	for (int n = 0; n < 4; n++) {
		size_t start = i;
		uint32_t v = 0;

		if (n > 0) {
			if (i == s.end || s.text[i] != '.')
				return fail(reterr, i, "an IPv4 address is four numbers with dots between them");
			start = ++i;
		}
		while (i < s.end && is_digit(s.text[i])) {
			v = v * 10 + (uint32_t)(s.text[i++] - '0');
			if (v > 255)
				return fail(reterr, start, "each number of an IPv4 address is at most 255");
		}
		if (i == start)
			return fail(reterr, i, "an IPv4 address is four numbers with dots between them");
		if (s.text[start] == '0' && i - start > 1)
			return fail(reterr, start,
				    "a number of an IPv4 address has no leading zero (some read it as octal)");
		octets[n] = (uint8_t)v;
	}
	if (i != s.end)
		return fail(reterr, i, "an IPv4 address ends after four numbers");
	memcpy(ret, octets, 4);
	return 0;
}

/* The groups of an IPv6 address, "::" and an IPv4 tail included; no brackets, no scope. */
static int parse_v6(struct span s, uint8_t ret[16], struct port_parse_error *reterr)
{
	uint8_t b[16] = {0};
	size_t n = 0, gap = SIZE_MAX, i = s.at, start, end;
	int r;

	if (span_len(s) == 0)
		return fail(reterr, s.at, "an IPv6 address is missing here");
	if (s.text[i] == ':') {
		if (i + 1 == s.end || s.text[i + 1] != ':')
			return fail(reterr, i, "an IPv6 address does not begin with a single colon");
	}
	while (i < s.end) {
		if (s.end - i >= 2 && s.text[i] == ':' && s.text[i + 1] == ':') {
			if (gap != SIZE_MAX)
				return fail(reterr, i, "\"::\" may stand only once in an IPv6 address");
			gap = n;
			i += 2;
			if (i == s.end)
				break;
		} else if (n > 0 && i > s.at && s.text[i] == ':') {
			if (++i == s.end)
				return fail(reterr, i - 1, "an IPv6 address does not end in a single colon");
		}
		start = i;
		end = span_find((struct span){s.text, i, s.end}, ':');
		if (end == s.end && looks_v4((struct span){s.text, i, end})) {
			if (n > 12)
				return fail(reterr, i, "an IPv6 address has no room for an IPv4 address here");
			r = parse_v4((struct span){s.text, i, end}, b + n, reterr);
			if (r < 0)
				return r;
			n += 4;
			i = end;
			break;
		}
		if (n == 16)
			return fail(reterr, start, "an IPv6 address has at most eight groups");
		uint32_t v = 0;
		while (i < end) {
			int h = hex_value(s.text[i]);

			if (h < 0)
				return fail(reterr, i, "this character cannot be part of an IPv6 address");
			if (i - start == 4)
				return fail(reterr, i, "a group of an IPv6 address has at most four digits");
			v = v << 4 | (uint32_t)h;
			i++;
		}
		if (i == start)
			return fail(reterr, i, "a group of an IPv6 address is missing here");
		b[n++] = (uint8_t)(v >> 8);
		b[n++] = (uint8_t)v;
	}
	if (gap == SIZE_MAX && n < 16)
		return fail(reterr, s.end, "an IPv6 address has eight groups, or \"::\" for those that are zero");
	if (gap != SIZE_MAX) {
		if (n == 16)
			return fail(reterr, s.at, "\"::\" stands for at least one group, and all eight are here");
		memmove(b + gap + (16 - n), b + gap, n - gap);
		memset(b + gap, 0, 16 - n);
	}
	memcpy(ret, b, 16);
	return 0;
}

/* An IPv6 address with an optional %scope. */
static int parse_v6_scoped(struct span s, struct port_addr *ret, struct port_parse_error *reterr)
{
	size_t percent = span_find(s, '%');
	uint8_t octets[16];
	uint64_t scope = 0;
	struct port_addr a;
	int r = parse_v6((struct span){s.text, s.at, percent}, octets, reterr);

	if (r < 0)
		return r;
	if (percent < s.end) {
		if (percent + 1 == s.end)
			return fail(reterr, s.end, "after % comes the number of a network interface");
		for (size_t i = percent + 1; i < s.end; i++) {
			if (!is_digit(s.text[i]))
				return fail(reterr, i, "after % comes the number of a network interface, not its name");
			scope = scope * 10 + (uint64_t)(s.text[i] - '0');
			if (scope > UINT32_MAX)
				return fail(reterr, percent + 1, "the number of this interface is too large");
		}
		a = port_addr_from6(octets, 1);
		if (!port_addr_is_linklocal6(&a))
			return fail(reterr, percent, "only a link-local address (fe80::/10) has a % part");
	}
	*ret = port_addr_from6(octets, (uint32_t)scope);
	return 0;
}

static int parse_addr(struct span s, struct port_addr *ret, struct port_parse_error *reterr)
{
	uint8_t octets[4];
	int r;

	if (span_len(s) == 0)
		return fail(reterr, s.at, "an address is missing here");
	if (s.text[s.at] == '[') {
		size_t close = span_find(s, ']');

		if (close == s.end)
			return fail(reterr, s.at, "this bracket is never closed");
		if (close + 1 != s.end)
			return fail(reterr, close + 1, "nothing may follow the closing bracket of an address");
		return parse_v6_scoped((struct span){s.text, s.at + 1, close}, ret, reterr);
	}
	if (span_find(s, ':') < s.end)
		return parse_v6_scoped(s, ret, reterr);
	if (!is_digit(s.text[s.at]))
		return fail(reterr, s.at, "this is not an address");
	r = parse_v4(s, octets, reterr);
	if (r == 0)
		*ret = port_addr_from4(octets);
	return r;
}

int port_addr_parse(const char *text, struct port_addr *ret, struct port_parse_error *reterr)
{
	size_t n = strnlen(text, TEXT_MAX + 1);

	if (n > TEXT_MAX)
		return fail(reterr, TEXT_MAX, "this is too long; 255 characters are the most");
	return parse_addr((struct span){text, 0, n}, ret, reterr);
}

/* ---- endpoints ---- */

static int parse_proto(struct span s, struct port_endpoint *e, struct port_parse_error *reterr)
{
	for (int p = 0; p < PORT_NPROTOS; p++) {
		if (!span_is(s, port_proto_name[p]))
			continue;
		e->proto = (enum port_proto)p;
		e->has_proto = true;
		return 0;
	}
	return fail(reterr, s.at, "after the slash comes tcp or udp");
}

static int parse_service(struct span s, struct port_endpoint *e, struct port_parse_error *reterr)
{
	struct port_service found;
	int r;

	for (size_t i = s.at; i < s.end; i++) {
		char c = s.text[i];

		if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.' && c != '+' && c != '/' &&
		    c != '*')
			return fail(reterr, i, "this character cannot be part of a port or a service name");
	}
	if (span_len(s) >= sizeof(e->service))
		return fail(reterr, s.at, "no service has so long a name");
	memcpy(e->service, s.text + s.at, span_len(s));
	r = port_service_find(e->service, e->proto, NULL, &found);
	if (r < 0 && !e->has_proto) { /* "syslog" is a UDP service only: the name then says the protocol */
		r = port_service_find(e->service, PORT_UDP, NULL, &found);
		if (r == 0)
			e->proto = PORT_UDP;
	}
	if (r < 0)
		return fail(reterr, s.at, "no service has this name; write the port as a number");
	e->ports = (struct port_range){found.first, found.last};
	return 0;
}

/* "80", "8000-8010" or a service name. */
static int parse_ports(struct span s, struct port_endpoint *e, struct port_parse_error *reterr)
{
	struct span first = {s.text, s.at, span_find(s, '-')}, last;
	bool all_digits = true;
	int r;

	if (span_len(s) == 0)
		return fail(reterr, s.at, "a port is missing here, such as 80 or http");
	if (s.text[s.at] == '-')
		return fail(reterr, s.at, "a port is a number from 0 to 65535");
	for (size_t i = first.at; i < first.end; i++)
		all_digits &= is_digit(s.text[i]);
	/* A name may begin with digits and have a hyphen ("914c-g"): a range has digits on both sides
	 * or nothing on the right. */
	if (all_digits && first.end < s.end && first.end + 1 < s.end && is_letter(s.text[first.end + 1]))
		all_digits = false;
	if (!all_digits) {
		bool letter = false;

		for (size_t i = s.at; i < s.end; i++)
			letter |= is_letter(s.text[i]);
		if (!letter)
			return parse_port(s, &e->ports.first, reterr) < 0
				       ? -EINVAL
				       : fail(reterr, s.at, "a port is a number from 0 to 65535");
		return parse_service(s, e, reterr);
	}
	r = parse_port(first, &e->ports.first, reterr);
	if (r < 0)
		return r;
	e->ports.last = e->ports.first;
	if (first.end == s.end)
		return 0;
	last = (struct span){s.text, first.end + 1, s.end};
	r = parse_port(last, &e->ports.last, reterr);
	if (r < 0)
		return r;
	if (e->ports.last < e->ports.first)
		return fail(reterr, last.at, "a range goes from the smaller port to the larger one");
	return 0;
}

/* A host name (RFC 1123, 2.1, and underscores, which people have). */
static int parse_host(struct span s, struct port_endpoint *e, struct port_parse_error *reterr)
{
	size_t label = s.at;

	for (size_t i = s.at; i <= s.end; i++) {
		char c = i < s.end ? s.text[i] : '.';

		if (c == '.') {
			if (i == label)
				return fail(reterr, i < s.end ? i : i - 1, "a part of this host name is empty");
			if (i - label > LABEL_MAX)
				return fail(reterr, label, "a part of a host name has at most 63 characters");
			if (s.text[label] == '-' || s.text[i - 1] == '-')
				return fail(reterr, s.text[label] == '-' ? label : i - 1,
					    "a part of a host name does not begin or end with a hyphen");
			label = i + 1;
		} else if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_') {
			return fail(reterr, i, "this character cannot be part of a host name");
		}
	}
	if (span_len(s) >= sizeof(e->host))
		return fail(reterr, s.at, "a host name has at most 63 characters here");
	memcpy(e->host, s.text + s.at, span_len(s));
	return 0;
}

/* What stands before the colon. "" and "*" say every address: no address at all is remembered for
 * "" (the caller chooses the family), and 0.0.0.0 for "*". */
static int parse_where(struct span s, struct port_endpoint *e, struct port_parse_error *reterr)
{
	int r;

	if (span_len(s) == 0)
		return 0;
	if (span_is(s, "*")) {
		e->addr = PORT_ADDR_ANY4;
		e->has_addr = true;
		return 0;
	}
	if (s.text[s.at] != '[' && !looks_v4(s))
		return parse_host(s, e, reterr);
	r = parse_addr(s, &e->addr, reterr);
	e->has_addr = r == 0;
	return r;
}

/* A text with several colons and no bracket. at_end is where a port should stand. */
static int unbracketed(struct span s, struct port_parse_error *reterr)
{
	struct port_addr a;

	if (parse_v6_scoped(s, &a, NULL) == 0)
		return fail(reterr, s.at,
			    "an IPv6 address is written in brackets when a port follows, such as [::1]:80");
	return fail(reterr, span_find(s, ':'),
		    "there is one colon before the port; an IPv6 address is written in brackets, such as [::1]:80");
}

/* Where the colon before the port is, or s.end when there is none. */
static int find_colon(struct span s, size_t *ret, struct port_parse_error *reterr)
{
	size_t i = s.at, colon, n_colons = 0;

	if (i < s.end && s.text[i] == '[') {
		i = span_find(s, ']');
		if (i == s.end)
			return fail(reterr, s.at, "this bracket is never closed");
		i++;
		if (i == s.end)
			return fail(
				reterr, i,
				"a port is missing here: after the address comes a colon and the port, such as :80");
		if (s.text[i] != ':')
			return fail(reterr, i, "after the closing bracket comes a colon and the port");
		*ret = i;
		return 0;
	}
	colon = s.end;
	for (; i < s.end; i++) {
		if (s.text[i] != ':')
			continue;
		n_colons++;
		colon = i;
	}
	if (n_colons > 1)
		return unbracketed(s, reterr);
	*ret = colon;
	return 0;
}

static int parse_endpoint(struct span s, struct port_endpoint *e, struct port_parse_error *reterr)
{
	size_t colon, slash = s.at;
	int r;

	if (span_len(s) == 0)
		return fail(reterr, 0, "a port is missing here, such as 80 or http");
	for (size_t i = s.at; i < s.end; i++)
		if ((unsigned char)s.text[i] <= ' ' || s.text[i] == 0x7f)
			return fail(reterr, i, "there is a blank here; an endpoint has none");
	slash = span_find(s, '/');
	if (slash < s.end) {
		r = parse_proto((struct span){s.text, slash + 1, s.end}, e, reterr);
		if (r < 0)
			return r;
		s.end = slash;
	}
	r = find_colon(s, &colon, reterr);
	if (r < 0)
		return r;
	if (colon == s.end) {
		if (looks_v4(s)) {
			r = parse_addr(s, &e->addr, reterr);
			return r < 0 ? r
				     : fail(reterr, s.end,
					    "a port is missing here: after the address comes a colon and the port, such as :80");
		}
		return parse_ports(s, e, reterr);
	}
	r = parse_where((struct span){s.text, s.at, colon}, e, reterr);
	if (r < 0)
		return r;
	return parse_ports((struct span){s.text, colon + 1, s.end}, e, reterr);
}

int port_endpoint_parse(const char *text, struct port_endpoint *ret, struct port_parse_error *reterr)
{
	struct port_endpoint e = {.proto = PORT_TCP};
	size_t n = strnlen(text, TEXT_MAX + 1);
	int r;

	if (n > TEXT_MAX)
		return fail(reterr, TEXT_MAX, "this is too long; 255 characters are the most");
	r = parse_endpoint((struct span){text, 0, n}, &e, reterr);
	if (r == 0)
		*ret = e;
	return r;
}

/* ---- printing ---- */

static void put_endpoint(struct cursor_writer *w, const struct port_addr *addr, uint16_t port)
{
	char s[PORT_ADDR_STR_MAX];

	if (port_addr_is4(addr)) {
		cursor_put_text(w, port_addr_is_any(addr) ? "*" : port_addr_print(addr, s));
	} else {
		cursor_put_text(w, "[");
		cursor_put_text(w, port_addr_print(addr, s));
		cursor_put_text(w, "]");
	}
	cursor_put_text(w, ":");
	cursor_put_decimal(w, port);
}

char *port_endpoint_print(const struct port_addr *addr, uint16_t port, char s[PORT_ENDPOINT_STR_MAX])
{
	struct cursor_writer w = cursor_writer(s, PORT_ENDPOINT_STR_MAX - 1);

	put_endpoint(&w, addr, port);
	ASSERT(cursor_writer_ok(&w));
	s[cursor_writer_len(&w)] = '\0';
	return s;
}

char *port_tuple_print(const struct port_tuple *t, char s[PORT_TUPLE_STR_MAX])
{
	struct cursor_writer w = cursor_writer(s, PORT_TUPLE_STR_MAX - 1);

	/* The protocol may come out of memory that others can write: never an index unchecked. */
	cursor_put_text(&w, (unsigned)t->proto < PORT_NPROTOS ? port_proto_name[t->proto] : "?");
	cursor_put_text(&w, " ");
	put_endpoint(&w, &t->local, t->local_port);
	cursor_put_text(&w, " -> ");
	put_endpoint(&w, &t->remote, t->remote_port);
	ASSERT(cursor_writer_ok(&w));
	s[cursor_writer_len(&w)] = '\0';
	return s;
}
