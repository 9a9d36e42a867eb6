/* src/cli/table.c: a table that does not wrap.
 *
 * Rows are seen twice, first to learn how wide the columns are. What does not fit the terminal is made narrower: the most
 * dispensable columns go, then those that may shrink do so, from the left, and when that is not enough more go. Where standard output is no terminal
 * everything is printed.
 */
#include <string.h>

#include "cli/explain.h"
#include "cli/table.h"

enum { GAP = 2, GIVE_UP_MAX = 9, GIVE_UP_FIRST = 7 };

/* Characters, not octets. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void table_begin(struct table *t, const struct table_column *columns, int n, unsigned indent)
{
	ASSERT(n <= TABLE_COLUMNS_MAX);
	*t = (struct table){.columns = columns, .n = n, .indent = indent};
	for (int i = 0; i < n; i++)
		t->w[i] = columns[i].title ? width(columns[i].title) : 0;
}

void table_measure(struct table *t, const char *const cells[])
{
	for (int i = 0; i < t->n; i++)
		if (width(cells[i]) > t->w[i])
			t->w[i] = width(cells[i]);
}

static size_t total(const struct table *t)
{
	size_t sum = t->indent;

	for (int i = 0; i < t->n; i++)
		sum += t->w[i] ? t->w[i] + GAP : 0;
	return sum > GAP ? sum - GAP : 0;
}

static void shrink(struct table *t, int i, size_t room)
{
	size_t all = total(t), over = all > room ? all - room : 0, least = t->columns[i].least,
	       spare = least && t->w[i] > least ? t->w[i] - least : 0;

	t->w[i] -= over < spare ? over : spare;
}

static void give_up(struct table *t, int from, int to, size_t room)
{
	for (int round = from; round >= to; round--)
		for (int i = t->n - 1; i >= 0; i--) {
			if (t->columns[i].give_up != round || total(t) <= room)
				continue;
			shrink(t, i, room);
			if (total(t) > room)
				t->w[i] = 0;
		}
}

static void fit(struct table *t, size_t room)
{
	give_up(t, GIVE_UP_MAX, GIVE_UP_FIRST, room);
	for (int i = 0; i < t->n; i++)
		if (!t->columns[i].late)
			shrink(t, i, room);
	give_up(t, GIVE_UP_FIRST - 1, 1, room);
}

/* The n characters from s on; returns what follows them. */
static const char *put_some(const char *s, size_t n)
{
	for (; *s && n > 0; n--) {
		do
			putchar_unlocked(*s++);
		while (((unsigned char)*s & 0xc0) == 0x80);
	}
	return s;
}

/* What is cut has a '~' where something is missing. */
static void put_cell(const struct table_column *c, const char *s, size_t w, bool last)
{
	size_t have = width(s), tail = c->both_ends ? (w - 1) / 2 : 0;

	if (c->right)
		for (; have < w; have++)
			putchar_unlocked(' ');
	if (have <= w) {
		fputs_unlocked(s, stdout);
	} else {
		s = put_some(s, w - 1 - tail);
		putchar_unlocked('~');
		while (width(s) > tail)
			s++;
		while (((unsigned char)*s & 0xc0) == 0x80)
			s++;
		fputs_unlocked(s, stdout);
	}
	if (last)
		return;
	if (!c->right)
		for (; have < w; have++)
			putchar_unlocked(' ');
	fputs_unlocked("  ", stdout);
}

void table_row(const struct table *t, const char *const cells[])
{
	int last = t->n - 1;

	while (last > 0 && t->w[last] == 0)
		last--;
	for (unsigned i = 0; i < t->indent; i++)
		putchar_unlocked(' ');
	for (int i = 0; i <= last; i++)
		if (t->w[i])
			put_cell(&t->columns[i], cells[i], t->w[i], i == last);
	putchar_unlocked('\n');
}

void table_titles(struct cli *cli, struct table *t)
{
	unsigned room = explain_columns(stdout);
	const char *titles[TABLE_COLUMNS_MAX];

	if (room)
		fit(t, room);
	for (int i = 0; i < t->n; i++)
		titles[i] = t->columns[i].title;
	if (!titles[0])
		return;
	if (cli->colour_out)
		fputs("\033[1m", stdout);
	table_row(t, titles);
	if (cli->colour_out)
		fputs("\033[0m", stdout);
}
