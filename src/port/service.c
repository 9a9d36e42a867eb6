/* src/port/service.c: from port numbers to names and back.
 *
 * The registry is two sorted tables made at build time (service_data.c): rows by number, and the same
 * rows by name. One row serves TCP and UDP when both agree; its flags say for which protocol it exists
 * and for which it is the primary name. Both ways are a binary search. The few ranges (x11, 6000-6063)
 * are also listed apart, because a number inside one is not found by its first number; a name of the
 * exact number goes before that of a range around it.
 *
 * An overlay (/etc/services, a network's own names) is short and in the order people wrote it: it is
 * walked, and the first row that fits wins over the registry.
 *
 * What was only observed is never a primary name: port_service_name() does not return it, _all(),
 * _find() and _search() do, labelled.
 *
 * Other tables of the same form may take the built-in ones' place (port_service_use()): the command line does so with
 * a newer registry that it was given; in the shim nobody does.
 *
 * Elsewhere: reading files (cli/), how the tables are made (tools/gen_services.py, cli/registry_make.c).
 */
#include "port/service.h"

#include <errno.h>

#include "port/service_data.h"

/* The registry in use; NULL: the built-in one. */
static const struct port_service_tables *newer;

void port_service_built_in(struct port_service_tables *ret)
{
	*ret = (struct port_service_tables){service_n_rows, service_n_ranges, service_text,
					    service_rows,   service_by_name,  service_ranges};
}

void port_service_use(const struct port_service_tables *t)
{
	newer = t;
}

static uint32_t n_rows(void)
{
	return newer ? newer->n_rows : service_n_rows;
}

static uint32_t n_ranges(void)
{
	return newer ? newer->n_ranges : service_n_ranges;
}

static const struct service_row *row_at(uint32_t i)
{
	return newer ? &newer->rows[i] : &service_rows[i];
}

static const struct service_row *row_by_name(uint32_t i)
{
	return row_at(newer ? newer->by_name[i] : service_by_name[i]);
}

static const struct service_row *row_of_range(uint32_t i)
{
	return row_at(newer ? newer->ranges[i] : service_ranges[i]);
}

static const char *text_at(uint32_t offset)
{
	return (newer ? newer->text : service_text) + offset;
}

static uint8_t lower(char c)
{
	return (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

static int compare_nocase(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b))
		a++, b++;
	return (int)lower(*a) - (int)lower(*b);
}

static bool contains_nocase(const char *s, const char *text)
{
	for (;; s++) {
		size_t i = 0;

		while (text[i] && lower(s[i]) == lower(text[i]))
			i++;
		if (!text[i])
			return true;
		if (!*s)
			return false;
	}
}

static void copy_text(char *to, size_t size_bytes, const char *from)
{
	size_t i = 0;

	for (; from[i] && i + 1 < size_bytes; i++)
		to[i] = from[i];
	to[i] = '\0';
}

static uint32_t row_flags(const struct service_row *r)
{
	return r->name_flags >> SERVICE_NAME_BITS;
}

static const char *row_name(const struct service_row *r)
{
	return text_at(r->name_flags & ((1u << SERVICE_NAME_BITS) - 1));
}

static bool row_has(const struct service_row *r, enum port_proto proto)
{
	return row_flags(r) & (proto == PORT_TCP ? SERVICE_TCP : SERVICE_UDP);
}

static enum port_service_source row_source(const struct service_row *r, enum port_proto proto)
{
	if (row_flags(r) & SERVICE_OBSERVED)
		return PORT_SERVICE_OBSERVED;
	if (row_flags(r) & (proto == PORT_TCP ? SERVICE_PRIMARY_TCP : SERVICE_PRIMARY_UDP))
		return PORT_SERVICE_IANA;
	return PORT_SERVICE_ALIAS;
}

static void row_fill(const struct service_row *r, enum port_proto proto, struct port_service *ret)
{
	*ret = (struct port_service){.first = r->first, .last = r->last, .proto = proto};
	ret->source = row_source(r, proto);
	copy_text(ret->name, sizeof(ret->name), row_name(r));
	copy_text(ret->description, sizeof(ret->description), text_at(r->description));
}

/* The first row whose number is at least port. */
static uint32_t lower_bound_port(uint16_t port)
{
	uint32_t lo = 0, hi = n_rows();

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (row_at(mid)->first < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The rows about a port, one after another: those of the exact number, then the ranges around it. */
struct walk {
	uint16_t port;
	uint32_t next_row, next_range;
};

static struct walk walk_port(uint16_t port)
{
	return (struct walk){.port = port, .next_row = lower_bound_port(port)};
}

static const struct service_row *walk_next(struct walk *w)
{
	for (; w->next_row < n_rows() && row_at(w->next_row)->first == w->port; w->next_row++) {
		const struct service_row *r = row_at(w->next_row);

		if (r->last == r->first) {
			w->next_row++;
			return r;
		}
	}
	while (w->next_range < n_ranges()) {
		const struct service_row *r = row_of_range(w->next_range++);

		if (r->first <= w->port && w->port <= r->last)
			return r;
	}
	return NULL;
}

static uint32_t overlay_n(const struct port_service_overlay *o)
{
	return o ? o->n_rows : 0;
}

int port_service_name(uint16_t port, enum port_proto proto, const struct port_service_overlay *o,
		      struct port_service *ret)
{
	const struct service_row *r, *best = NULL;
	struct walk w = walk_port(port);

	for (uint32_t i = 0; i < overlay_n(o); i++) {
		const struct port_service *s = &o->rows[i];

		if (s->proto == proto && s->first <= port && port <= s->last) {
			*ret = *s;
			return 0;
		}
	}
	while ((r = walk_next(&w))) {
		if (!row_has(r, proto) || row_source(r, proto) == PORT_SERVICE_OBSERVED)
			continue;
		if (!best || row_source(r, proto) < row_source(best, proto))
			best = r;
	}
	if (!best)
		return -ENOENT;
	row_fill(best, proto, ret);
	return 0;
}

int port_service_find(const char *name, enum port_proto proto, const struct port_service_overlay *o,
		      struct port_service *ret)
{
	const struct service_row *best = NULL;
	uint32_t lo = 0, hi = n_rows();

	for (uint32_t i = 0; i < overlay_n(o); i++)
		if (o->rows[i].proto == proto && compare_nocase(o->rows[i].name, name) == 0) {
			*ret = o->rows[i];
			return 0;
		}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (compare_nocase(row_name(row_by_name(mid)), name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < n_rows(); lo++) {
		const struct service_row *r = row_by_name(lo);

		if (compare_nocase(row_name(r), name) != 0)
			break;
		if (row_has(r, proto) && (!best || row_source(r, proto) < row_source(best, proto)))
			best = r;
	}
	if (!best)
		return -ENOENT;
	row_fill(best, proto, ret);
	return 0;
}

/* What a caller's array holds so far; n counts on past max. */
struct sink {
	struct port_service *rows;
	uint32_t max, n;
};

static void sink_row(struct sink *k, const struct service_row *r, enum port_proto proto)
{
	if (k->n < k->max)
		row_fill(r, proto, &k->rows[k->n]);
	k->n++;
}

static void sink_copy(struct sink *k, const struct port_service *s)
{
	if (k->n < k->max)
		k->rows[k->n] = *s;
	k->n++;
}

static bool wants(int proto, enum port_proto p)
{
	return proto < 0 || (enum port_proto)proto == p;
}

uint32_t port_service_all(uint16_t port, int proto, const struct port_service_overlay *o, struct port_service *ret,
			  uint32_t max)
{
	struct sink k = {.rows = ret, .max = max};

	for (uint32_t i = 0; i < overlay_n(o); i++)
		if (wants(proto, o->rows[i].proto) && o->rows[i].first <= port && port <= o->rows[i].last)
			sink_copy(&k, &o->rows[i]);
	for (int source = PORT_SERVICE_IANA; source <= PORT_SERVICE_OBSERVED; source++) {
		const struct service_row *r;
		struct walk w = walk_port(port);

		while ((r = walk_next(&w)))
			for (int p = PORT_TCP; p < PORT_NPROTOS; p++) {
				enum port_proto has = (enum port_proto)p;

				if (wants(proto, has) && row_has(r, has) && (int)row_source(r, has) == source)
					sink_row(&k, r, has);
			}
	}
	return k.n;
}

/* The overlay row that matches text and comes next by (number, place) after `after`; n_rows if none. */
static uint32_t overlay_next(const struct port_service_overlay *o, const char *text, int proto, uint32_t after)
{
	uint32_t n = overlay_n(o), best = n;

	for (uint32_t i = 0; i < n; i++) {
		const struct port_service *s = &o->rows[i];

		if (!wants(proto, s->proto) ||
		    (!contains_nocase(s->name, text) && !contains_nocase(s->description, text)))
			continue;
		if (after < n && (s->first < o->rows[after].first || (s->first == o->rows[after].first && i <= after)))
			continue;
		if (best == n || s->first < o->rows[best].first)
			best = i;
	}
	return best;
}

uint32_t port_service_search(const char *text, int proto, const struct port_service_overlay *o,
			     struct port_service *ret, uint32_t max)
{
	struct sink k = {.rows = ret, .max = max};
	uint32_t n_overlay = overlay_n(o), next = overlay_next(o, text, proto, n_overlay);

	for (uint32_t i = 0; i < n_rows(); i++) {
		const struct service_row *r = row_at(i);

		if (!contains_nocase(row_name(r), text) && !contains_nocase(text_at(r->description), text))
			continue;
		for (; next < n_overlay && o->rows[next].first <= r->first; next = overlay_next(o, text, proto, next))
			sink_copy(&k, &o->rows[next]);
		for (int p = PORT_TCP; p < PORT_NPROTOS; p++)
			if (wants(proto, (enum port_proto)p) && row_has(r, (enum port_proto)p))
				sink_row(&k, r, (enum port_proto)p);
	}
	for (; next < n_overlay; next = overlay_next(o, text, proto, next))
		sink_copy(&k, &o->rows[next]);
	return k.n;
}

bool port_service_name_ok(const char *name)
{
	bool letter = false;
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i >= 15 || !(is_letter(name[i]) || is_digit(name[i]) || name[i] == '-'))
			return false;
		if (name[i] == '-' && (i == 0 || name[i - 1] == '-' || !name[i + 1]))
			return false;
		letter = letter || is_letter(name[i]);
	}
	return letter;
}

/* A word up to a blank, a comment or the end. Returns its length. */
static size_t word_len(const char *s)
{
	size_t n = 0;

	while (s[n] && s[n] != '#' && !is_blank(s[n]))
		n++;
	return n;
}

static const char *skip_blanks(const char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

/* Decimal digits below 65536. Return: what follows them; NULL, not a number. */
static const char *take_port(const char *s, uint16_t *ret)
{
	uint32_t value = 0;

	if (!is_digit(*s))
		return NULL;
	for (; is_digit(*s); s++) {
		value = value * 10 + (uint32_t)(*s - '0');
		if (value > UINT16_MAX)
			return NULL;
	}
	*ret = (uint16_t)value;
	return s;
}

static bool word_is(const char *s, size_t n, const char *word)
{
	size_t i = 0;

	while (i < n && word[i] && lower(s[i]) == (uint8_t)word[i])
		i++;
	return i == n && !word[i];
}

/* "80/tcp", or "6000-6063/tcp", which only a network's own file has. Return: 0, ours; 1, well-formed,
 * of a protocol we have no ports for; -EINVAL. */
static int parse_place(const char *s, size_t n, struct port_service *row)
{
	const char *end = s + n, *p = take_port(s, &row->first);

	row->last = row->first;
	if (p && *p == '-')
		p = take_port(p + 1, &row->last);
	if (!p || p >= end || *p != '/' || p + 1 == end || row->first == 0 || row->last < row->first)
		return -EINVAL;
	p++;
	for (int i = PORT_TCP; i < PORT_NPROTOS; i++)
		if (word_is(p, (size_t)(end - p), i == PORT_TCP ? "tcp" : "udp")) {
			row->proto = (enum port_proto)i;
			return 0;
		}
	return 1;
}

int port_service_parse_line(const char *line, struct port_service *rows, uint32_t max)
{
	struct port_service row = {.source = PORT_SERVICE_OVERLAY};
	const char *name = skip_blanks(line), *s;
	size_t len = word_len(name), n;
	uint32_t n_rows = 0;
	int r;

	if (len == 0)
		return 0;
	s = skip_blanks(name + len);
	n = word_len(s);
	r = parse_place(s, n, &row);
	if (r < 0)
		return r;
	/* The comment describes the line; it is known only after the aliases, so look ahead. */
	for (const char *c = s; *c; c++)
		if (*c == '#') {
			copy_text(row.description, sizeof(row.description), skip_blanks(c + 1));
			break;
		}
	for (size_t end = sizeof(row.description); end-- > 0;)
		if (row.description[end] && !is_blank(row.description[end]))
			break;
		else
			row.description[end] = '\0';
	s += n;
	for (const char *w = name; len > 0; w = skip_blanks(s), len = word_len(w), s = w + len) {
		if (len >= sizeof(row.name))
			return -EINVAL;
		if (r > 0 || n_rows == max)
			continue;
		rows[n_rows] = row;
		for (size_t i = 0; i < len; i++)
			rows[n_rows].name[i] = w[i];
		n_rows++;
	}
	return (int)n_rows;
}
