/* src/cli/iana_csv.h: reading IANA's registry of port names as IANA publishes it (service-names-port-numbers.csv). */
#ifndef BERTH_CLI_IANA_CSV_H
#define BERTH_CLI_IANA_CSV_H

#include "port/service.h"

/* One name of one number or range, over TCP or UDP, in the order of the file. */
struct iana_row {
	char name[32]; /* as in struct port_service */
	uint16_t first, last;
	enum port_proto proto;
	char description[128]; /* one line, shortened at a word */
};

#define IANA_DATE_MAX 11 /* "2026-11-20" */
#define IANA_ROWS_MAX 65000u

struct iana_csv;

/* today: "2026-11-21"; dates after it are not believed. NULL: no memory. */
struct iana_csv *iana_csv_new(const char *today);
void iana_csv_free(struct iana_csv *c);
/* The next octets of the file, cut anywhere. Return: 0; negative errno, and iana_csv_error() says what is wrong. */
MUST_CHECK int iana_csv_feed(struct iana_csv *c, const void *data, size_t len_bytes);
/* That was all. Return as above. */
MUST_CHECK int iana_csv_end(struct iana_csv *c);
/* A sentence without a full stop, and the record it is about (1: the line of titles; 0: the file). */
const char *iana_csv_error(const struct iana_csv *c, uint64_t *ret_record);

/* What was read; the rows are the parser's. */
const struct iana_row *iana_csv_rows(const struct iana_csv *c, uint32_t *ret_n);
/* The newest date in it; "" when there is none. */
const char *iana_csv_newest(const struct iana_csv *c);
/* Records that are not of the form the registry has: a number that is none, a name with blanks. They were left out. */
uint64_t iana_csv_n_odd(const struct iana_csv *c);

#endif
