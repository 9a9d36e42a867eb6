/* src/cli/name_rows.c: finding names of ports: by number, by name, by a part of one, by something like one.
 *
 * The heart answers for one port, one name, or a text that occurs somewhere, in the order of the ports. A
 * person wants what he meant in front, so what was found is ranked here, and the ports keep their order within a rank.
 * /etc/services repeats much of the registry: of two rows that say the same the one that says more is kept.
 */
#include "cli/name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool room_for(struct name_rows *rows, size_t n)
{
	struct port_service *bigger;
	size_t more = rows->room ? rows->room : 256;

	while (more < rows->n + n)
		more *= 2;
	if (more == rows->room)
		return true;
	bigger = realloc(rows->r, more * sizeof(*bigger));
	if (!bigger) {
		rows->out_of_memory = true;
		return false;
	}
	rows->r = bigger;
	rows->room = more;
	return true;
}

void name_rows_free(struct name_rows *rows)
{
	free(rows->r);
	*rows = (struct name_rows){0};
}

static bool is_same(const struct port_service *a, const struct port_service *b)
{
	return a->first == b->first && a->proto == b->proto && strcasecmp(a->name, b->name) == 0;
}

/* Of rows from `from` on, which are ordered by port: one name for one number and protocol is enough. */
static void drop_repeats(struct name_rows *rows, size_t from)
{
	size_t kept = from, begin = from;

	for (size_t i = from; i < rows->n; i++) {
		struct port_service *row = &rows->r[i];
		size_t k;

		while (begin < kept && rows->r[begin].first != row->first)
			begin++;
		for (k = begin; k < kept && !is_same(&rows->r[k], row);)
			k++;
		if (k == kept)
			rows->r[kept++] = *row;
		else if (rows->r[k].source == PORT_SERVICE_OVERLAY && row->source != PORT_SERVICE_OVERLAY)
			rows->r[k] = *row; /* the registry says more */
	}
	rows->n = kept;
}

/* Names of a number: people's own, then the primary, aliases, what is only seen. */
static void sort_by_source(struct port_service *rows, size_t n)
{
	static const uint8_t rank[] = {[PORT_SERVICE_OVERLAY] = 0,
				       [PORT_SERVICE_IANA] = 1,
				       [PORT_SERVICE_ALIAS] = 2,
				       [PORT_SERVICE_OBSERVED] = 3};

	for (size_t i = 1; i < n; i++) {
		struct port_service row = rows[i];
		size_t k = i;

		for (; k > 0 && rank[rows[k - 1].source] > rank[row.source]; k--)
			rows[k] = rows[k - 1];
		rows[k] = row;
	}
}

uint32_t name_rows_of(struct name_rows *rows, struct port_range ports, int proto, const struct port_service_overlay *o)
{
	uint32_t n_none = 0;

	for (uint32_t port = ports.first; port <= ports.last; port++) {
		uint32_t n = port_service_all((uint16_t)port, proto, o, NULL, 0), kept = 0;
		struct port_service *at;
		size_t from;

		n_none += n == 0;
		if (n == 0 || !room_for(rows, n))
			continue;
		at = rows->r + rows->n;
		n = port_service_all((uint16_t)port, proto, o, at, n);
		for (uint32_t i = 0; i < n; i++) /* a range was told at its first port that was asked for */
			if (at[i].first == port || port == ports.first)
				at[kept++] = at[i];
		rows->n += kept;
		from = rows->n - kept;
		drop_repeats(rows, from);
		sort_by_source(rows->r + from, rows->n - from);
	}
	return n_none;
}

void name_rows_called(struct name_rows *rows, const char *name, int proto, const struct port_service_overlay *o)
{
	for (int p = 0; p < PORT_NPROTOS; p++)
		if ((proto < 0 || proto == p) && room_for(rows, 1) &&
		    port_service_find(name, (enum port_proto)p, o, &rows->r[rows->n]) == 0)
			rows->n++;
}

/* --- the order of what was found --- */

enum { NAMED, ALIASED, BEGINS, INSIDE, WORD, ELSEWHERE };

/* Does text stand at the beginning of a word of s? */
static bool begins_word(const char *s, const char *text, size_t len)
{
	for (size_t i = 0; s[i]; i++)
		if ((i == 0 || !isalnum((unsigned char)s[i - 1])) && strncasecmp(s + i, text, len) == 0)
			return true;
	return false;
}

static int rank_of(const struct port_service *s, const char *text, size_t len)
{
	if (strcasecmp(s->name, text) == 0)
		return s->source == PORT_SERVICE_ALIAS || s->source == PORT_SERVICE_OBSERVED ? ALIASED : NAMED;
	if (strncasecmp(s->name, text, len) == 0)
		return BEGINS;
	if (strcasestr(s->name, text))
		return INSIDE;
	return begins_word(s->description, text, len) ? WORD : ELSEWHERE;
}

void name_rows_search(struct name_rows *rows, const char *text, int proto, const struct port_service_overlay *o)
{
	uint32_t n = port_service_search(text, proto, o, NULL, 0);
	struct port_service *found = n ? malloc(n * sizeof(*found)) : NULL;
	struct name_rows all = {.r = found, .n = n, .room = n};
	size_t len = strlen(text);

	if (n == 0)
		return;
	if (!found || !room_for(rows, n)) {
		rows->out_of_memory = true;
		free(found);
		return;
	}
	(void)port_service_search(text, proto, o, found, n);
	drop_repeats(&all, 0);
	for (int rank = NAMED; rank <= ELSEWHERE; rank++)
		for (size_t i = 0; i < all.n; i++)
			if (rank_of(&found[i], text, len) == rank)
				rows->r[rows->n++] = found[i];
	free(found);
}

/* --- what was probably meant --- */

size_t name_near(const char *typed, const struct port_service_overlay *o, char ret[NAME_NEAR_MAX][32])
{
	size_t best[NAME_NEAR_MAX], n = 0, len = strlen(typed), most = len <= 4 ? 1 : 1 + len / 4;
	uint32_t n_all = port_service_search("", -1, o, NULL, 0);
	struct port_service *all = malloc(n_all * sizeof(*all));

	if (!all)
		return 0;
	(void)port_service_search("", -1, o, all, n_all);
	for (uint32_t i = 0; i < n_all; i++) {
		size_t d = cli_distance(typed, all[i].name), at = 0;

		if (d > most || d >= len)
			continue;
		while (at < n && best[at] <= d && strcasecmp(ret[at], all[i].name) != 0)
			at++;
		if (at == NAME_NEAR_MAX || (at < n && strcasecmp(ret[at], all[i].name) == 0))
			continue;
		n += n < NAME_NEAR_MAX;
		for (size_t k = n - 1; k > at; k--) {
			best[k] = best[k - 1];
			memcpy(ret[k], ret[k - 1], sizeof(ret[k]));
		}
		best[at] = d;
		memcpy(ret[at], all[i].name, sizeof(ret[at]));
	}
	free(all);
	for (size_t i = 0; i < n; i++)
		cli_clean(ret[i]);
	return n;
}
