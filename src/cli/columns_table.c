/* src/cli/columns_table.c: doors as a table for people.
 *
 * It goes through twice: how wide are the columns, then the lines. Of very many rows the first WIDTHS_OF decide the widths:
 * whoever looks at a hundred thousand looks at none closely, and making every cell twice would take most of the time.
 */
#include <string.h>

#include "cli/columns.h"
#include "cli/table.h"

#define WIDTHS_OF 2000

struct cells {
	char text[COLUMNS_MAX][COLUMN_CELL_MAX];
	const char *at[COLUMNS_MAX];
};
static_assert(COLUMNS_MAX <= TABLE_COLUMNS_MAX, "a table has room for all");

static void make(struct doors *d, size_t row, const struct columns *c, const struct table *t, struct cells *ret)
{
	struct door door;

	doors_get(d, row, &door);
	for (size_t i = 0; i < c->n; i++)
		if (t->w[i])
			c->c[i]->cell(&door, ret->text[i]);
}

static size_t place_of(const struct columns *c, const struct column *x)
{
	size_t i = 0;

	while (i < c->n && c->c[i] != x)
		i++;
	return i;
}

void columns_print_table(struct cli *cli, struct doors *d, const struct columns *c)
{
	struct table_column columns[COLUMNS_MAX] = {{0}};
	static struct cells cells;
	struct table t;
	size_t spare = c->spare ? place_of(c, c->spare) : c->n;
	bool says_nothing = spare < c->n && d->n <= WIDTHS_OF;

	for (size_t i = 0; i < c->n; i++) {
		const struct column *x = c->c[i];

		columns[i] = (struct table_column){.title = x->title,
						   .right = x->right,
						   .give_up = x->give_up,
						   .least = x->least,
						   .late = x->give_up == 1}; /* half an address is worse than no age */
		cells.at[i] = cells.text[i];
	}
	table_begin(&t, columns, (int)c->n, 0);
	for (size_t k = 0; k < d->n && k < WIDTHS_OF; k++) {
		make(d, k, c, &t, &cells);
		table_measure(&t, cells.at);
		says_nothing &= spare == c->n || strcmp(cells.text[spare], "-") == 0;
	}
	if (says_nothing)
		t.w[spare] = 0;
	table_titles(cli, &t);
	for (size_t k = 0; k < d->n; k++) {
		make(d, k, c, &t, &cells);
		table_row(&t, cells.at);
	}
}
