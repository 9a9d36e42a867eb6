/* src/port/service_data.h: the shape of the generated tables, for service.c, avoid.c, their test, and who makes tables of the
 * same form from a newer registry (cli/registry.c). */
#ifndef BERTH_PORT_SERVICE_DATA_H
#define BERTH_PORT_SERVICE_DATA_H

#include <stdint.h>

/* Bits of service_row.name_flags above SERVICE_NAME_BITS. */
#define SERVICE_NAME_BITS 24
#define SERVICE_TCP 1u
#define SERVICE_UDP 2u
#define SERVICE_PRIMARY_TCP 4u
#define SERVICE_PRIMARY_UDP 8u
#define SERVICE_OBSERVED 16u

struct service_row {
	uint32_t name_flags; /* offset of the name in service_text, flags above it */
	uint32_t description;
	uint16_t first, last;
};

/* All that the registry is. Text is NUL-terminated, offset 0 is "". Rows are ordered by first, then best name first;
 * by_name holds rows by name without case, the best first; ranges those with first < last. */
struct port_service_tables {
	uint32_t n_rows, n_ranges;
	const char *text;
	const struct service_row *rows;
	const uint16_t *by_name, *ranges;
};

extern const uint32_t service_n_rows, service_n_ranges;
extern const char service_date[]; /* of the registry that the tables were made from */
extern const char service_text[];
extern const struct service_row service_rows[]; /* by first, then best name first */
extern const uint16_t service_by_name[];	/* rows by name without case, primaries first */
extern const uint16_t service_ranges[];		/* rows with first < last */
extern const uint64_t service_named[1024];	/* a bit for each number that has a row */

#endif
