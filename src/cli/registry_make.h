/* src/cli/registry_make.h: tables of port names from a newer registry, and the file they are kept in. */
#ifndef BERTH_CLI_REGISTRY_MAKE_H
#define BERTH_CLI_REGISTRY_MAKE_H

#include "cli/iana_csv.h"
#include "port/service_data.h"

struct registry_head {
	char newest[IANA_DATE_MAX]; /* the newest date in IANA's file; "" unknown */
	int64_t taken_unix_s;	    /* when it was taken in */
	uint32_t n_rows;
};

#define REGISTRY_BYTES_MAX (1u << 24)

/**
 * registry_make() - the text of a registry file
 * @rows: what IANA registered, in its order
 * @old:  the built-in tables: they say which of several names is meant, what was called so once, and what is only seen
 * @head: n_rows is filled in
 *
 * Return: 0, and *ret_text (malloc) of *ret_len octets; -ENOMEM; -E2BIG.
 */
MUST_CHECK int registry_make(const struct iana_row *rows, uint32_t n_rows, const struct port_service_tables *old,
			     struct registry_head *head, char **ret_text, size_t *ret_len);

struct registry_tables {
	struct port_service_tables t;
	void *memory;
};

/* Read such a text. The tables point into it, so it stays; it is written into. Return: 0; -EUCLEAN, it is damaged;
 * -EPROTO, a later version's; -ENOMEM. */
MUST_CHECK int registry_read(char *text, size_t len, struct registry_head *ret_head, struct registry_tables *ret);

/* The sum in its first line, of all that follows it. */
uint64_t registry_sum(const char *s, size_t len);

#endif
