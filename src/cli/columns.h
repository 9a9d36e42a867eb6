/* src/cli/columns.h: what can be told of a door, each with a name: the columns of `ls -o` and the keys of --json. */
#ifndef BERTH_CLI_COLUMNS_H
#define BERTH_CLI_COLUMNS_H

#include "cli/doors.h"
#include "cli/json_out.h"

#define COLUMN_CELL_MAX 272 /* the longest text, a command line */

struct column {
	const char *name, *alias; /* the key of --json; another name for -o, or NULL */
	const char *title;
	bool right;	/* numbers line up at their end */
	int give_up;	/* on a narrow terminal, the highest goes first; 0: never */
	size_t least;	/* it shrinks to this before others go; 0: it does not shrink */
	bool by_number; /* how it is sorted */
	void (*cell)(const struct door *d, char s[COLUMN_CELL_MAX]);
	void (*json)(const struct door *d, struct json_out *o);
	uint64_t (*number)(const struct door *d); /* to be sorted by */
	const char *
		group; /* shown only when it is named, or all of "memory", "timers", "congestion" (-o congestion); else NULL */
};

/* Those of --json, in its order. */
extern const struct column columns_all[];
extern const size_t columns_n;
/* Those with a group (columns_info.c). */
extern const struct column columns_info[];
extern const size_t columns_info_n;

#define COLUMNS_MAX 64
#define COLUMNS_INFO_MAX 24
struct columns {
	const struct column *c[COLUMNS_MAX];
	size_t n;
	const struct column *spare; /* this one goes when it says nothing of any row; NULL: none */
};
const struct column *column_find(const char *name);
/* "port,pid,program"; with signs "-age,port" (sorting), *ret_down[i] true for '-'. Return: 0; an exit code, said. */
MUST_CHECK int columns_parse(struct cli *cli, const char *option, const char *list, bool signs, struct columns *ret,
			     bool ret_down[COLUMNS_MAX]);
/* Does one of them take what the kernel tells on wish only (doors_filter.info)? */
bool columns_ask_more(const struct columns *c);
/* By their names; the list ends with NULL. */
void columns_by_name(struct columns *ret, const char *const *names);

/* A table, in the terminal's width. */
void columns_print_table(struct cli *cli, struct doors *d, const struct columns *c);
/* An array, or a line for each. Return: 0; an exit code, said. */
MUST_CHECK int columns_print_json(struct cli *cli, struct doors *d, const struct columns *c, bool lines);
/* The keys of a row, in an object that is open. */
void columns_put(struct json_out *o, const struct columns *c, const struct door *d);

#endif
