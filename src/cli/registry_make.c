/* src/cli/registry_make.c: a newer registry of port names, and the one that is built in, made into one.
 *
 * IANA's file says what is registered today. It does not say which of a number's names people mean, which number they
 * mean by a name that has several, what a port was called before, and what is only seen in practice; the built-in
 * tables do (tools/gen_services.py), so for all that they are asked:
 *
 *   - a number's primary name is the one it has in the built-in tables if that is still registered, else IANA's first;
 *   - a name leads to the number it leads to there, if that is still registered for it, else to the lowest;
 *   - other names of a number that is still registered stay as aliases, as do Debian's for numbers that never were;
 *   - what is only seen stays, unless it has been registered since.
 *
 * The file is text, a line of facts and a line for each row, in the order of service_data.h:
 *
 *   berth-registry 1 newest=2026-11-20 taken=1795276800 rows=6529 sum=9f3c...
 *   FIRST <tab> LAST <tab> FLAGS <tab> PLACE-BY-NAME <tab> NAME <tab> DESCRIPTION
 *
 * so that it can be used where it was read: the tabs become ends of strings, and nothing is sorted. The sum finds what a
 * disk did; every row is checked all the same, because who wrote the file may have been another.
 *
 * Cost: reading 6,500 rows takes about a millisecond. No I/O.
 */
#include "cli/registry_make.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/siphash.h"

static const struct siphash_key sum_key = {0x6265727468206e61, 0x6d6573206f662070}; /* against accidents */

struct entry {
	uint16_t first, last;
	uint8_t flags; /* SERVICE_... */
	uint8_t kind;  /* REGISTERED, ... */
	uint32_t order;
	const char *name, *text;
	bool meant; /* the number that the name leads to in the built-in tables */
};
enum { REGISTERED, FORMER, SEEN };

struct entries {
	struct entry *e;
	uint32_t n, room;
};

static int push(struct entries *a, const struct entry *e)
{
	if (a->n == a->room) {
		uint32_t more = a->room ? a->room * 2 : 8192;
		struct entry *bigger = realloc(a->e, more * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		a->e = bigger;
		a->room = more;
	}
	a->e[a->n++] = *e;
	return 0;
}

static int by_place(const struct entry *x, const struct entry *y)
{
	int r = (x->first > y->first) - (x->first < y->first);

	return r ? r : (x->last > y->last) - (x->last < y->last);
}

static int by_place_and_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = by_place(x, y);

	if (r == 0)
		r = strcasecmp(x->name, y->name);
	return r ? r : (x->order > y->order) - (x->order < y->order);
}

/* As service_rows: by number, then the best name. */
static int by_rank(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	uint8_t primary = SERVICE_PRIMARY_TCP | SERVICE_PRIMARY_UDP;
	int r = (x->first > y->first) - (x->first < y->first);

	if (r == 0)
		r = !(x->flags & primary) - !(y->flags & primary);
	if (r == 0)
		r = x->kind - y->kind;
	if (r == 0)
		r = (x->order > y->order) - (x->order < y->order);
	return r ? r : by_place_and_name(a, b);
}

/* As service_by_name: the one that is meant, primaries, aliases, what is only seen; then the lowest. */
static int by_name(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
	uint8_t primary = SERVICE_PRIMARY_TCP | SERVICE_PRIMARY_UDP;
	int r = strcasecmp(x->name, y->name);

	if (r == 0)
		r = !x->meant - !y->meant;
	if (r == 0)
		r = !(x->flags & primary) - !(y->flags & primary);
	if (r == 0)
		r = !!(x->flags & SERVICE_OBSERVED) - !!(y->flags & SERVICE_OBSERVED);
	return r ? r : (x > y) - (x < y); /* they stand in by_rank's order */
}

static uint8_t old_flags(const struct service_row *r)
{
	return (uint8_t)(r->name_flags >> SERVICE_NAME_BITS);
}

static const char *old_name(const struct port_service_tables *t, const struct service_row *r)
{
	return t->text + (r->name_flags & ((1u << SERVICE_NAME_BITS) - 1));
}

static uint8_t proto_flag(int proto)
{
	return proto == PORT_UDP ? SERVICE_UDP : SERVICE_TCP;
}

static uint8_t primary_flag(int proto)
{
	return proto == PORT_UDP ? SERVICE_PRIMARY_UDP : SERVICE_PRIMARY_TCP;
}

/* The built-in row that is the primary name of exactly this place; NULL: none. */
static const struct service_row *old_primary(const struct port_service_tables *t, uint16_t first, uint16_t last,
					     int proto)
{
	uint32_t lo = 0, hi = t->n_rows;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->rows[mid].first < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < t->n_rows && t->rows[lo].first == first; lo++)
		if (t->rows[lo].last == last && old_flags(&t->rows[lo]) & primary_flag(proto))
			return &t->rows[lo];
	return NULL;
}

/* Does the built-in table take this name to mean this place? */
static bool old_meant(const struct port_service_tables *t, const struct entry *e)
{
	uint32_t lo = 0, hi = t->n_rows;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (strcasecmp(old_name(t, &t->rows[t->by_name[mid]]), e->name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == t->n_rows)
		return false;
	return strcasecmp(old_name(t, &t->rows[t->by_name[lo]]), e->name) == 0 &&
	       t->rows[t->by_name[lo]].first == e->first && t->rows[t->by_name[lo]].last == e->last;
}

/* What IANA registered, each (place, name) once. */
static int take_registered(const struct iana_row *rows, uint32_t n_rows, struct entries *a)
{
	uint32_t kept = 0;
	int r = 0;

	for (uint32_t i = 0; i < n_rows && r == 0; i++)
		r = push(a, &(struct entry){.first = rows[i].first,
					    .last = rows[i].last,
					    .flags = proto_flag(rows[i].proto),
					    .order = i,
					    .name = rows[i].name,
					    .text = rows[i].description});
	if (r < 0 || a->n == 0)
		return r;
	qsort(a->e, a->n, sizeof(a->e[0]), by_place_and_name);
	for (uint32_t i = 1; i < a->n; i++) {
		struct entry *e = &a->e[kept];

		if (by_place(e, &a->e[i]) == 0 && strcasecmp(e->name, a->e[i].name) == 0) {
			e->flags |= a->e[i].flags;
			if (!e->text[0])
				e->text = a->e[i].text;
		} else {
			a->e[++kept] = a->e[i];
		}
	}
	a->n = kept + 1;
	return 0;
}

/* Of the names of one place, [from, to), which is the primary one. */
static void choose_primary(const struct port_service_tables *old, struct entries *a, uint32_t from, uint32_t to)
{
	for (int p = 0; p < PORT_NPROTOS; p++) {
		const struct service_row *was = old_primary(old, a->e[from].first, a->e[from].last, p);
		struct entry *best = NULL;

		for (uint32_t i = from; i < to; i++) {
			struct entry *e = &a->e[i];

			if (!(e->flags & proto_flag(p)))
				continue;
			if (was && strcasecmp(old_name(old, was), e->name) == 0) {
				best = e;
				break;
			}
			if (!best || e->order < best->order)
				best = e;
		}
		if (best)
			best->flags |= primary_flag(p);
	}
}

static void choose_primaries(const struct port_service_tables *old, struct entries *a)
{
	for (uint32_t from = 0, to; from < a->n; from = to) {
		for (to = from + 1; to < a->n && by_place(&a->e[from], &a->e[to]) == 0;)
			to++;
		choose_primary(old, a, from, to);
	}
}

/* Is the name, or with NULL any, registered for exactly this place over the protocol? The first n entries are sorted by
 * place. */
static bool is_registered(const struct entries *a, uint32_t n, const struct service_row *r, const char *name, int proto)
{
	struct entry want = {.first = r->first, .last = r->last};
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (by_place(&a->e[mid], &want) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < n && by_place(&a->e[lo], &want) == 0; lo++)
		if (name ? strcasecmp(a->e[lo].name, name) == 0 : (a->e[lo].flags & proto_flag(proto)) != 0)
			return true;
	return false;
}

/* What of a built-in row stays beside what is registered today: for which protocols. */
static uint8_t stays(const struct port_service_tables *old, const struct entries *a, uint32_t n,
		     const struct service_row *r)
{
	uint8_t flags = old_flags(r), kept = 0;

	if (is_registered(a, n, r, old_name(old, r), 0))
		return 0;
	for (int p = 0; p < PORT_NPROTOS; p++) {
		if (!(flags & proto_flag(p)))
			continue;
		if (flags & SERVICE_OBSERVED || is_registered(a, n, r, NULL, p) ||
		    !old_primary(old, r->first, r->last, p))
			kept |= proto_flag(p);
	}
	return kept ? kept | (flags & SERVICE_OBSERVED) : 0;
}

static int take_former(const struct port_service_tables *old, struct entries *a)
{
	uint32_t n = a->n;
	int r = 0;

	for (uint32_t i = 0; i < old->n_rows && r == 0; i++) {
		const struct service_row *row = &old->rows[i];
		uint8_t flags = stays(old, a, n, row);

		if (flags)
			r = push(a, &(struct entry){.first = row->first,
						    .last = row->last,
						    .flags = flags,
						    .kind = flags & SERVICE_OBSERVED ? SEEN : FORMER,
						    .order = i,
						    .name = old_name(old, row),
						    .text = old->text + row->description});
	}
	return r;
}

uint64_t registry_sum(const char *s, size_t len)
{
	return siphash13(&sum_key, s, len);
}

/* The rows as lines; place[i]: where entry i stands by name. */
static int write_rows(const struct entries *a, const uint32_t *place, char **ret, size_t *ret_len)
{
	size_t len = 0, size = (size_t)a->n * (32 + 128 + 40) + 1;
	char *s = size < 2u * REGISTRY_BYTES_MAX ? malloc(size) : NULL;

	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->n; i++) {
		const struct entry *e = &a->e[i];

		len += (size_t)snprintf(s + len, size - len, "%u\t%u\t%u\t%u\t%.31s\t%.127s\n", e->first, e->last,
					e->flags, place[i], e->name, e->text);
	}
	*ret = s;
	*ret_len = len;
	return 0;
}

static int write_all(const struct entries *a, struct registry_head *head, char **ret_text, size_t *ret_len)
{
	const struct entry **order = calloc(a->n + 1, sizeof(const struct entry *));
	uint32_t *place = calloc(a->n + 1, sizeof(*place));
	char line[160], *rows = NULL;
	size_t len = 0;
	int r = order && place ? 0 : -ENOMEM, n;

	for (uint32_t i = 0; r == 0 && i < a->n; i++)
		order[i] = &a->e[i];
	if (r == 0 && a->n)
		qsort(order, a->n, sizeof(const struct entry *), by_name);
	for (uint32_t i = 0; r == 0 && i < a->n; i++)
		place[order[i] - a->e] = i;
	if (r == 0)
		r = write_rows(a, place, &rows, &len);
	if (r == 0) {
		head->n_rows = a->n;
		n = snprintf(line, sizeof(line),
			     "berth-registry 1 newest=%s taken=%" PRId64 " rows=%u sum=%016" PRIx64 "\n",
			     head->newest[0] ? head->newest : "-", head->taken_unix_s, a->n, registry_sum(rows, len));
		*ret_len = (size_t)n + len;
		*ret_text = *ret_len < REGISTRY_BYTES_MAX ? malloc(*ret_len + 1) : NULL;
		r = *ret_text ? 0 : *ret_len < REGISTRY_BYTES_MAX ? -ENOMEM : -E2BIG;
	}
	if (r == 0) {
		memcpy(*ret_text, line, (size_t)n);
		memcpy(*ret_text + n, rows, len);
		(*ret_text)[*ret_len] = '\0';
	}
	free(rows);
	free(place);
	free(order);
	return r;
}

int registry_make(const struct iana_row *rows, uint32_t n_rows, const struct port_service_tables *old,
		  struct registry_head *head, char **ret_text, size_t *ret_len)
{
	struct entries a = {.n = 0};
	int r = take_registered(rows, n_rows, &a);

	if (r == 0) {
		choose_primaries(old, &a);
		r = take_former(old, &a);
	}
	if (r == 0 && a.n > UINT16_MAX)
		r = -E2BIG;
	for (uint32_t i = 0; r == 0 && i < a.n; i++)
		a.e[i].meant = old_meant(old, &a.e[i]);
	if (r == 0 && a.n)
		qsort(a.e, a.n, sizeof(a.e[0]), by_rank);
	if (r == 0)
		r = write_all(&a, head, ret_text, ret_len);
	free(a.e);
	return r;
}

/* --- reading it --- */

/* Digits up to the tab, which becomes the end of a string. NULL: that is none. */
static char *take_number(char *s, uint32_t max, uint32_t *ret)
{
	uint32_t v = 0;
	char *begin = s;

	while (*s >= '0' && *s <= '9' && v <= max)
		v = v * 10 + (uint32_t)(*s++ - '0');
	if (s == begin || *s != '\t' || v > max)
		return NULL;
	*s = '\0';
	*ret = v;
	return s + 1;
}

/* Up to the given octet, which becomes the end of the string: at most max octets, all of them to be shown. */
static char *take_text(char *s, char end, size_t max, bool blanks)
{
	size_t n = 0;

	for (; s[n] != end; n++)
		if (n >= max || (unsigned char)s[n] < ' ' || s[n] == 0x7f || (s[n] == ' ' && !blanks))
			return NULL;
	s[n] = '\0';
	return s + n + 1;
}

static const struct service_row *row_by_name(const struct port_service_tables *t, uint32_t i)
{
	return &t->rows[t->by_name[i]];
}

/* Each row once, in the order of names. */
static bool is_index(const struct port_service_tables *t)
{
	for (uint32_t i = 1; i < t->n_rows; i++)
		if (strcasecmp(old_name(t, row_by_name(t, i - 1)), old_name(t, row_by_name(t, i))) > 0)
			return false;
	return true;
}

struct reader {
	char *text;
	struct service_row *rows;
	uint16_t *by_name, *ranges;
	uint8_t *taken; /* a place by name that somebody has */
	uint32_t n_rows, n_ranges;
};

static char *read_row(struct reader *r, char *s, uint32_t i)
{
	uint32_t first, last, flags, place;
	char *name, *text;

	s = take_number(s, UINT16_MAX, &first);
	s = s ? take_number(s, UINT16_MAX, &last) : NULL;
	s = s ? take_number(s, 31, &flags) : NULL;
	s = s ? take_number(s, r->n_rows - 1, &place) : NULL;
	name = s;
	s = s && *s != '\t' ? take_text(s, '\t', sizeof(((struct port_service *)0)->name) - 1, false) : NULL;
	text = s;
	s = s ? take_text(s, '\n', sizeof(((struct port_service *)0)->description) - 1, true) : NULL;
	if (!s || first == 0 || last < first || !(flags & (SERVICE_TCP | SERVICE_UDP)) || r->taken[place] ||
	    (i > 0 && r->rows[i - 1].first > first))
		return NULL;
	r->taken[place] = 1;
	r->by_name[place] = (uint16_t)i;
	if (last > first)
		r->ranges[r->n_ranges++] = (uint16_t)i;
	r->rows[i] = (struct service_row){.name_flags = flags << SERVICE_NAME_BITS | (uint32_t)(name - r->text),
					  .description = (uint32_t)(text - r->text),
					  .first = (uint16_t)first,
					  .last = (uint16_t)last};
	return s;
}

/* The first line. Return: what follows it; NULL, and *ret_error. */
static char *read_head(char *text, size_t len, struct registry_head *ret, int *ret_error)
{
	char *end = memchr(text, '\n', len < 200 ? len : 200);
	uint64_t sum;
	int used = 0, version = 0;

	*ret_error = -EUCLEAN;
	if (!end || memchr(text, 0, (size_t)(end - text)))
		return NULL;
	if (sscanf(text, "berth-registry %9d ", &version) == 1 && version > 1)
		*ret_error = -EPROTO;
	*ret = (struct registry_head){.n_rows = 0};
	if (version != 1 ||
	    sscanf(text, "berth-registry 1 newest=%10[0-9-] taken=%18" SCNd64 " rows=%9" SCNu32 " sum=%16" SCNx64 "%n",
		   ret->newest, &ret->taken_unix_s, &ret->n_rows, &sum, &used) != 4 ||
	    text + used != end)
		return NULL;
	if (strcmp(ret->newest, "-") == 0)
		ret->newest[0] = '\0';
	else if (strlen(ret->newest) != 10)
		return NULL;
	if (ret->n_rows == 0 || ret->n_rows > UINT16_MAX || ret->taken_unix_s < 0 ||
	    registry_sum(end + 1, len - (size_t)(end + 1 - text)) != sum)
		return NULL;
	return end + 1;
}

int registry_read(char *text, size_t len, struct registry_head *ret_head, struct registry_tables *ret)
{
	struct reader r = {.text = text};
	struct registry_head head;
	char *s, *memory;
	int error;
	size_t n;

	if (len >= REGISTRY_BYTES_MAX || text[len] != '\0')
		return -EUCLEAN;
	s = read_head(text, len, &head, &error);
	if (!s)
		return error;
	n = head.n_rows;
	memory = malloc(n * (sizeof(*r.rows) + sizeof(*r.by_name) + sizeof(*r.ranges) + sizeof(*r.taken)));
	if (!memory)
		return -ENOMEM;
	r.n_rows = head.n_rows;
	r.rows = (struct service_row *)(void *)memory;
	r.by_name = (uint16_t *)(r.rows + n);
	r.ranges = r.by_name + n;
	r.taken = (uint8_t *)(r.ranges + n);
	memset(r.taken, 0, n);
	for (uint32_t i = 0; s && i < r.n_rows; i++)
		s = read_row(&r, s, i);
	*ret = (struct registry_tables){.t = {r.n_rows, r.n_ranges, text, r.rows, r.by_name, r.ranges},
					.memory = memory};
	if (!s || s != text + len || !is_index(&ret->t)) {
		free(memory);
		return -EUCLEAN;
	}
	*ret_head = head;
	return 0;
}
