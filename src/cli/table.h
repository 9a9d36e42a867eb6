/* src/cli/table.h: rows and columns for people, as wide as their terminal. */
#ifndef BERTH_CLI_TABLE_H
#define BERTH_CLI_TABLE_H

#include "cli/cli.h"

enum { TABLE_COLUMNS_MAX = 64 };

struct table_column {
	const char *title; /* NULL in all columns: no line of titles */
	bool right;	   /* numbers line up at their end */
	int give_up;	/* on a narrow terminal, the highest goes first; 0: never; above 6: before any other shrinks */
	size_t least;	/* before any goes, it shrinks to this; 0: it does not shrink */
	bool late;	/* it shrinks only when its turn to go has come */
	bool both_ends; /* when it shrinks it loses its middle, and else its end */
};

struct table {
	const struct table_column *columns;
	int n;
	unsigned indent;
	size_t w[TABLE_COLUMNS_MAX]; /* 0: not shown */
};

/* Three steps: begin; every row to table_measure(); table_titles(), and every row to table_row(). */
void table_begin(struct table *t, const struct table_column *columns, int n, unsigned indent);
void table_measure(struct table *t, const char *const cells[]);
/* How wide each column is is decided here. */
void table_titles(struct cli *cli, struct table *t);
void table_row(const struct table *t, const char *const cells[]);

#endif
