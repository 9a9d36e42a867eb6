/* src/cli/iana_csv.c: IANA's CSV file, as it comes from the net or from a stranger.
 *
 * Quotes, line ends inside of fields and CRLF are libcsv's to take apart; what comes from it is a field at a time, of any
 * length and with any octet in it. Here a field is cut to what its column may have, and a record becomes a row if
 * it has a name, a number or range, and one of our two protocols. Most records have not: unassigned ranges have no name,
 * names for DNS look-ups have no number, and SCTP and DCCP are not ours. Those are passed over; a record that has all three
 * and makes no sense is counted as odd.
 *
 * The columns are found by their titles, because IANA has added some over the years. A file without them is
 * not IANA's. One that ends inside of a line or of a quoted field was cut short.
 *
 * Cost: one field and the rows in memory. No I/O and no clock: the same code runs under the fuzzer (fuzz/fuzz_iana_csv.c).
 */
#include "cli/iana_csv.h"

#include <csv.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { C_NAME, C_PORT, C_PROTO, C_TEXT, C_REGISTERED, C_MODIFIED, N_COLUMNS };

/* The first four must be there. */
static const char *const titles[N_COLUMNS] = {
	"Service Name", "Port Number", "Transport Protocol", "Description", "Registration Date", "Modification Date",
};
#define FIELD_MAX 160 /* more than any column needs; what is longer was longer than that */
#define BLOCK_BYTES (64 * 1024)

struct iana_csv {
	struct csv_parser parser;
	char today[IANA_DATE_MAX], newest[IANA_DATE_MAX];
	int column[N_COLUMNS]; /* its place; -1: not there */
	char field[N_COLUMNS][FIELD_MAX];
	int at; /* place of the next field of this record */
	uint64_t n_records, n_odd;
	struct iana_row *rows;
	uint32_t n_rows, room;
	bool any, ends_line; /* something came; it ended in a line end */
	int status;
	const char *what;
};

static void fail(struct iana_csv *c, int r, const char *what)
{
	if (c->status == 0) {
		c->status = r;
		c->what = what;
	}
}

/* One line: runs of blanks and line ends become one space, the ends are trimmed, other control octets become '?'; cut at
 * a word with "...". */
static void tidy(const unsigned char *s, size_t len, char *to, size_t size_bytes)
{
	size_t n = 0, i = 0;
	bool blank = false;

	for (; i < len; i++) {
		if (s[i] == ' ' || (s[i] >= '\t' && s[i] <= '\r')) {
			blank = n > 0;
			continue;
		}
		if (n + (blank ? 2u : 1u) >= size_bytes)
			break;
		if (blank)
			to[n++] = ' ';
		blank = false;
		to[n++] = s[i] < ' ' || s[i] == 0x7f ? '?' : (char)s[i];
	}
	if (i < len) { /* room for the dots: back to the end of a word, never into a UTF-8 character */
		size_t cut = size_bytes - 4, word = cut;

		while (word > cut / 2 && to[word] != ' ')
			word--;
		if (word == cut / 2)
			for (word = cut; word > 0 && ((unsigned char)to[word] & 0xc0) == 0x80;)
				word--;
		n = word;
		memcpy(to + n, "...", 3);
		n += 3;
	}
	to[n] = '\0';
}

static void take_title(struct iana_csv *c, const unsigned char *s, size_t len)
{
	char title[32];

	if (c->at == 0 && len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		s += 3;
		len -= 3;
	}
	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') { /* the mark hid the quotes from libcsv */
		s++;
		len -= 2;
	}
	tidy(s, len, title, sizeof(title));
	for (int i = 0; i < N_COLUMNS; i++)
		if (c->column[i] < 0 && strcasecmp(title, titles[i]) == 0)
			c->column[i] = c->at;
}

static void on_field(void *data, size_t len, void *arg)
{
	struct iana_csv *c = arg;

	if (c->status == 0 && c->n_records == 0)
		take_title(c, data, len);
	for (int i = 0; i < N_COLUMNS && c->status == 0 && c->n_records > 0; i++)
		if (c->column[i] == c->at)
			tidy(data, len, c->field[i], i == C_TEXT ? sizeof(c->rows->description) : FIELD_MAX);
	if (c->at < 1 << 20)
		c->at++;
}

/* "80" or "6000-6063". */
static bool take_ports(const char *s, struct iana_row *row)
{
	uint32_t v[2] = {0};
	int n = 0;

	for (;; n++) {
		if (n == 2 || !isdigit((unsigned char)*s))
			return false;
		while (isdigit((unsigned char)*s)) {
			v[n] = v[n] * 10 + (uint32_t)(*s++ - '0');
			if (v[n] > UINT16_MAX)
				return false;
		}
		if (*s != '-')
			break;
		s++;
	}
	row->first = (uint16_t)v[0];
	row->last = (uint16_t)v[n ? 1 : 0];
	return !*s && row->first > 0 && row->first <= row->last;
}

static bool take_name(const char *s, struct iana_row *row)
{
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~' || s[i] == '?')
			return false;
	if (len >= sizeof(row->name))
		return false;
	memcpy(row->name, s, len + 1);
	return true;
}

static void take_date(struct iana_csv *c, const char *s)
{
	static const char form[] = "dddd-dd-dd";

	for (size_t i = 0; i < sizeof(form); i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != form[i])
			return;
	if (strcmp(s, c->today) <= 0 && strcmp(s, c->newest) > 0)
		memcpy(c->newest, s, sizeof(form));
}

static void push(struct iana_csv *c, const struct iana_row *row)
{
	if (c->n_rows == c->room) {
		uint32_t more = c->room ? c->room * 2 : 4096;
		struct iana_row *rows = realloc(c->rows, more * sizeof(*rows));

		if (!rows) {
			fail(c, -ENOMEM, "there is not enough memory");
			return;
		}
		c->rows = rows;
		c->room = more;
	}
	if (c->n_rows == IANA_ROWS_MAX)
		fail(c, -E2BIG, "it has more names than there are ports");
	else
		c->rows[c->n_rows++] = *row;
}

/* Names with characters that RFC 6335 does not allow got well-formed ones beside them, and the new ones' descriptions a
 * sentence about that. */
static void drop_remark(char *description)
{
	char *remark = strstr(description, "IANA assigned this well-formed service name");

	if (!remark)
		return;
	while (remark > description && remark[-1] == ' ')
		remark--;
	*remark = '\0';
}

static void take_record(struct iana_csv *c)
{
	struct iana_row row = {.first = 0};
	bool tcp = strcasecmp(c->field[C_PROTO], "tcp") == 0, udp = strcasecmp(c->field[C_PROTO], "udp") == 0;

	take_date(c, c->field[C_REGISTERED]);
	take_date(c, c->field[C_MODIFIED]);
	if (!c->field[C_NAME][0] || !c->field[C_PORT][0] || !(tcp || udp))
		return;
	if (!take_ports(c->field[C_PORT], &row) || !take_name(c->field[C_NAME], &row)) {
		c->n_odd++;
		return;
	}
	row.proto = udp ? PORT_UDP : PORT_TCP;
	memcpy(row.description, c->field[C_TEXT], sizeof(row.description));
	drop_remark(row.description);
	push(c, &row);
}

static void on_record(int end, void *arg)
{
	struct iana_csv *c = arg;

	(void)end;
	if (c->status == 0 && c->n_records > 0)
		take_record(c);
	for (int i = 0; i <= C_TEXT && c->n_records == 0; i++)
		if (c->column[i] < 0)
			fail(c, -EINVAL,
			     "this is not IANA's file: its first line lacks one of the titles 'Service Name', 'Port "
			     "Number', 'Transport Protocol' and 'Description'");
	for (int i = 0; i < N_COLUMNS; i++)
		c->field[i][0] = '\0';
	c->at = 0;
	if (c->status == 0)
		c->n_records++;
}

struct iana_csv *iana_csv_new(const char *today)
{
	struct iana_csv *c = calloc(1, sizeof(*c));

	if (!c || csv_init(&c->parser, 0) != 0) {
		free(c);
		return NULL;
	}
	csv_set_blk_size(&c->parser, BLOCK_BYTES);
	snprintf(c->today, sizeof(c->today), "%s", today);
	for (int i = 0; i < N_COLUMNS; i++)
		c->column[i] = -1;
	return c;
}

void iana_csv_free(struct iana_csv *c)
{
	if (c) {
		csv_free(&c->parser);
		free(c->rows);
		free(c);
	}
}

int iana_csv_feed(struct iana_csv *c, const void *data, size_t len_bytes)
{
	const unsigned char *s = data;

	if (c->status == 0 && len_bytes > 0) {
		c->any = true;
		c->ends_line = s[len_bytes - 1] == '\n' || s[len_bytes - 1] == '\r';
		if (csv_parse(&c->parser, data, len_bytes, on_field, on_record, c) != len_bytes)
			fail(c, -ENOMEM, "there is not enough memory");
	}
	return c->status;
}

int iana_csv_end(struct iana_csv *c)
{
	if (c->parser.quoted && c->ends_line) /* after a line end that was one it is 0 */
		fail(c, -EINVAL, "a quoted field does not end: the file was cut short");
	if (c->status == 0 && csv_fini(&c->parser, on_field, on_record, c) != 0)
		fail(c, -ENOMEM, "there is not enough memory");
	if (!c->any)
		fail(c, -EINVAL, "it is empty");
	else if (!c->ends_line)
		fail(c, -EINVAL, "it does not end in a line end: the file was cut short");
	else if (c->n_records == 0)
		fail(c, -EINVAL, "it has nothing but blank lines");
	return c->status;
}

const char *iana_csv_error(const struct iana_csv *c, uint64_t *ret_record)
{
	*ret_record = c->status && c->any ? c->n_records + 1 : 0;
	return c->what ? c->what : "";
}

const struct iana_row *iana_csv_rows(const struct iana_csv *c, uint32_t *ret_n)
{
	*ret_n = c->n_rows;
	return c->rows;
}

const char *iana_csv_newest(const struct iana_csv *c)
{
	return c->newest;
}

uint64_t iana_csv_n_odd(const struct iana_csv *c)
{
	return c->n_odd;
}
