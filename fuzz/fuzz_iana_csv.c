/* fuzz/fuzz_iana_csv.c: any octets are IANA's registry or a message; what is kept of them answers as a walk over the rows
 * would; and any octets in the place of the kept file are tables that are whole, or refused.
 *
 * The first octet chooses: even, the rest is a CSV file, and the octet is also where it is cut into pieces, which must make
 * no difference. Odd, the rest is the rows of a kept file, and gets a first line that fits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/iana_csv.h"
#include "cli/registry_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static struct iana_csv *parse(const uint8_t *data, size_t len, size_t piece, int *ret_status)
{
	struct iana_csv *c = iana_csv_new("2026-11-21");
	int r = 0;

	ASSERT(c);
	for (size_t at = 0; at < len && r == 0; at += piece)
		r = iana_csv_feed(c, data + at, len - at < piece ? len - at : piece);
	if (r == 0)
		r = iana_csv_end(c);
	*ret_status = r;
	return c;
}

static bool is_clean(const char *s, size_t max, bool blanks)
{
	size_t n = 0;

	for (; s[n]; n++)
		if ((unsigned char)s[n] < ' ' || s[n] == 0x7f || (s[n] == ' ' && !blanks))
			return false;
	return n <= max;
}

static void check_row(const struct iana_row *row)
{
	ASSERT(row->first > 0 && row->first <= row->last);
	ASSERT(row->name[0] && is_clean(row->name, 31, false));
	ASSERT(is_clean(row->description, 127, true));
	ASSERT(row->proto == PORT_TCP || row->proto == PORT_UDP);
}

/* Whoever asks gets an answer that stands in the tables. */
static void check_tables(const struct port_service_tables *t)
{
	for (uint32_t i = 0; i < t->n_rows; i++) {
		const struct service_row *r = &t->rows[i];
		const char *name = t->text + (r->name_flags & ((1u << SERVICE_NAME_BITS) - 1));

		ASSERT(i == 0 || t->rows[i - 1].first <= r->first);
		ASSERT(is_clean(name, 31, false) && is_clean(t->text + r->description, 127, true));
		for (int p = 0; p < PORT_NPROTOS; p++) {
			struct port_service s;

			if (!(r->name_flags >> SERVICE_NAME_BITS & (p == PORT_UDP ? SERVICE_UDP : SERVICE_TCP)))
				continue;
			ASSERT(port_service_find(name, (enum port_proto)p, NULL, &s) == 0);
			ASSERT(strcasecmp(s.name, name) == 0);
			ASSERT(port_service_all(r->last, p, NULL, &s, 1) > 0);
		}
	}
}

/* Read what was made. The text is the reader's to write into. */
static void check_made(const struct iana_row *rows, uint32_t n)
{
	struct registry_head head = {.newest = "2026-11-20", .taken_unix_s = 5}, back;
	struct port_service_tables built_in;
	struct registry_tables tables;
	char *text;
	size_t len;

	port_service_built_in(&built_in);
	ASSERT(registry_make(rows, n, &built_in, &head, &text, &len) == 0);
	ASSERT(registry_read(text, len, &back, &tables) == 0);
	ASSERT(back.n_rows == head.n_rows && back.taken_unix_s == 5 && strcmp(back.newest, head.newest) == 0);
	port_service_use(&tables.t);
	check_tables(&tables.t);
	for (uint32_t i = 0; i < n; i++) {
		struct port_service s;

		/* Registered: found by its number, and by its name at that or another number. */
		ASSERT(port_service_name(rows[i].first, rows[i].proto, NULL, &s) == 0);
		ASSERT(s.source == PORT_SERVICE_IANA);
		ASSERT(port_service_find(rows[i].name, rows[i].proto, NULL, &s) == 0);
	}
	port_service_use(NULL);
	free(tables.memory);
	free(text);
}

static void fuzz_csv(const uint8_t *data, size_t len, size_t piece)
{
	int whole, cut;
	struct iana_csv *a = parse(data, len, len ? len : 1, &whole), *b = parse(data, len, piece, &cut);
	uint32_t n, m;
	uint64_t record;
	const struct iana_row *rows = iana_csv_rows(a, &n), *again = iana_csv_rows(b, &m);

	ASSERT(whole == cut && n == m);
	if (whole < 0)
		ASSERT(iana_csv_error(a, &record)[0]);
	for (uint32_t i = 0; i < n; i++) {
		ASSERT(memcmp(&rows[i], &again[i], sizeof(rows[i])) == 0);
		check_row(&rows[i]);
	}
	if (whole == 0)
		check_made(rows, n);
	iana_csv_free(a);
	iana_csv_free(b);
}

static void fuzz_kept(const uint8_t *data, size_t len)
{
	struct registry_head head;
	struct registry_tables tables;
	char *text = malloc(len + 200);
	uint32_t n = 0;
	int used;

	ASSERT(text);
	for (size_t i = 0; i < len; i++)
		n += data[i] == '\n';
	used = snprintf(text, 200, "berth-registry 1 newest=- taken=0 rows=%" PRIu32 " sum=%016" PRIx64 "\n", n,
			registry_sum((const char *)data, len));
	memcpy(text + used, data, len);
	text[(size_t)used + len] = '\0';
	if (registry_read(text, (size_t)used + len, &head, &tables) == 0) {
		port_service_use(&tables.t);
		check_tables(&tables.t);
		port_service_use(NULL);
		free(tables.memory);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	if (len_bytes == 0)
		return 0;
	if (data[0] % 2 == 0)
		fuzz_csv(data + 1, len_bytes - 1, data[0] / 2u + 1);
	else
		fuzz_kept(data + 1, len_bytes - 1);
	return 0;
}
