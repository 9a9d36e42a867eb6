/* src/cli/publish_spec.c: reading [ADDR:]OUTER[:INNER][/PROTOCOL][+splice], docker's and podman's spelling and one
 * word more.
 *
 * From the left: an address is what has brackets, a dot or a star in front of its colon; what is left has one colon at
 * most. So 8080:80 are two ports and 127.0.0.1:8080 is an address and one, and ::1:8080:80, which could be read in
 * several ways, is none of these and refused with the brackets as advice.
 */
#include "cli/publish_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int wrong(struct port_parse_error *e, size_t at, const char *what)
{
	*e = (struct port_parse_error){at, what};
	return -EINVAL;
}

static const char no_name[] = "an address is expected here, not a name: 127.0.0.1:8080:80, *:8080:80";

/* Somebody's name, and no address: it has a letter that IPv6 does not have. */
static bool is_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len && s[0] != '['; i++)
		if ((s[i] >= 'g' && s[i] <= 'z') || (s[i] >= 'G' && s[i] <= 'Z'))
			return true;
	return false;
}

/* The address in front, if there is one; *at goes past its colon. */
static int take_addr(const char *text, size_t *at, struct publish_spec *s, struct port_parse_error *e)
{
	const char *colon = strchr(text, ':'), *close;
	char addr[PORT_ADDR_STR_MAX + 2];
	size_t len;

	if (text[0] == '[') {
		close = strchr(text, ']');
		if (!close)
			return wrong(e, 0, "this bracket is not closed");
		if (close[1] != ':')
			return wrong(e, (size_t)(close - text) + 1, "after an address comes a colon and a port");
		len = (size_t)(close - text) + 1;
	} else {
		len = colon ? (size_t)(colon - text) : 0;
		if (!len || (!memchr(text, '.', len) && text[0] != '*'))
			return 0;
	}
	if (len >= sizeof(addr))
		return wrong(e, 0, "this is too long for an address");
	memcpy(addr, text, len);
	addr[len] = '\0';
	s->addr_given = true;
	s->n_addrs = 1;
	if (strcmp(addr, "*") == 0) {
		s->addrs[0] = port_addr_from4((const uint8_t[4]){0});
		s->addrs[1] = (struct port_addr){0};
		s->n_addrs = 2;
	} else if (port_addr_parse(addr, &s->addrs[0], e) < 0) {
		return wrong(e, 0, is_name(addr, strlen(addr)) ? no_name : e->what);
	}
	if (port_addr_is_multicast(&s->addrs[0]))
		return wrong(e, 0, "nobody connects to a multicast address");
	if (port_addr_is_linklocal6(&s->addrs[0]) && !s->addrs[0].scope)
		return wrong(e, 0,
			     "a link-local address is an interface's: its number goes behind it, [fe80::1%3]:8080:80");
	*at = len + 1;
	return 0;
}

/* A port or a range, up to the colon or the end. */
static int take_ports(const char *text, size_t at, size_t end, struct port_range *ret, struct port_parse_error *e)
{
	size_t dash = at;
	char first[8], last[8];

	while (dash < end && text[dash] != '-')
		dash++;
	if (dash - at >= sizeof(first) || (dash < end && end - dash - 1 >= sizeof(last)))
		return wrong(e, at, "this is no port: 0 to 65535");
	snprintf(first, sizeof(first), "%.*s", (int)(dash - at), text + at);
	snprintf(last, sizeof(last), "%.*s", dash < end ? (int)(end - dash - 1) : 0, dash < end ? text + dash + 1 : "");
	if (port_number_parse(first, &ret->first, e) < 0)
		return wrong(e, at, "a port is expected here, 0 to 65535");
	ret->last = ret->first;
	if (dash == end)
		return 0;
	if (port_number_parse(last, &ret->last, e) < 0)
		return wrong(e, dash + 1, "a port is expected here, 1 to 65535");
	if (!ret->first || ret->last < ret->first)
		return wrong(e, at, "a range goes from a port to a higher one");
	return 0;
}

/* "/udp", "+splice" at the end; *end is where that begins. */
static int take_proto(const char *text, size_t *end, struct publish_spec *s, struct port_parse_error *e)
{
	const char *slash = strchr(text, '/'), *plus = strchr(text, '+');
	size_t len;

	if (plus) {
		*end = (size_t)(plus - text);
		if (strcmp(plus, PUBLISH_SPLICE) != 0)
			return wrong(e, *end + 1, "only splice can be asked for: 8080:80/tcp+splice");
		s->splice = true;
	}
	if (!slash)
		return 0;
	len = *end - (size_t)(slash - text);
	*end = (size_t)(slash - text);
	if (len == 4 && strncmp(slash, "/udp", len) == 0)
		s->proto = PORT_UDP;
	else if (len != 4 || strncmp(slash, "/tcp", len) != 0)
		return wrong(e, *end + 1, "the protocol is tcp or udp");
	if (s->splice && s->proto == PORT_UDP)
		return wrong(e, *end + 5, "datagrams are always carried: only TCP can be spliced");
	return 0;
}

int publish_spec_parse(const char *text, struct publish_spec *ret, struct port_parse_error *reterr)
{
	struct publish_spec s = {.proto = PORT_TCP, .n_addrs = 2};
	size_t at = 0, end = strlen(text), colon;
	int r;

	s.addrs[0] = PORT_ADDR_LOOP4;
	s.addrs[1] = PORT_ADDR_LOOP6;
	if (end == 0 || end >= sizeof(s.text))
		return wrong(reterr, 0, "this is no port");
	memcpy(s.text, text, end + 1);
	r = take_proto(text, &end, &s, reterr);
	if (r == 0)
		r = take_addr(text, &at, &s, reterr);
	if (r < 0)
		return r;
	colon = at;
	while (colon < end && text[colon] != ':')
		colon++;
	if (colon < end && is_name(text + at, colon - at))
		return wrong(reterr, at, no_name);
	if (colon < end && memchr(text + colon + 1, ':', end - colon - 1))
		return wrong(reterr, at, "too many colons; an IPv6 address goes in brackets: [::1]:8080:80");
	if (colon > at)
		r = take_ports(text, at, colon, &s.outer, reterr);
	else if (colon == end)
		return wrong(reterr, at, "a port is expected here");
	if (r < 0)
		return r;
	s.inner = s.outer;
	if (colon < end)
		r = take_ports(text, colon + 1, end, &s.inner, reterr);
	if (r < 0)
		return r;
	if (!s.inner.first)
		return wrong(reterr, colon < end ? colon + 1 : at,
			     colon < end ? "a program's own port is 1 to 65535"
					 : "for any free port say which port of the program it leads to: 0:80");
	if (!s.outer.first && s.inner.last != s.inner.first)
		return wrong(reterr, at, "a range is published on ports that are named: 8000-8010:80-90");
	if (s.outer.first && s.outer.last - s.outer.first != s.inner.last - s.inner.first)
		return wrong(reterr, at, "the two ranges are not equally long");
	*ret = s;
	return 0;
}
