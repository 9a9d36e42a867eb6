/* src/port/service_data.h: the shape of the generated tables. Private to service.c, avoid.c and their test. */
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

extern const uint32_t service_n_rows, service_n_ranges;
extern const char service_text[];
extern const struct service_row service_rows[]; /* by first, then best name first */
extern const uint16_t service_by_name[];	/* rows by name without case, primaries first */
extern const uint16_t service_ranges[];		/* rows with first < last */
extern const uint64_t service_named[1024];	/* a bit for each number that has a row */

#endif
