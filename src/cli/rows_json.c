/* src/cli/rows_json.c: rows as JSON, written as they are read.
 *
 * There may be a hundred thousand rows of half a kilobyte, so no tree is made of them: each is put, key by key, into one
 * buffer that goes out when it is full. It looks as cli_json() would print it: two spaces' indent, ASCII only, octets
 * that are no UTF-8 shown as U+FFFD. The keys and what they mean are in docs/json.md.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"

#define OUT_BYTES (64u << 10)
#define NUMBER_MAX 24 /* octets of the longest number, and its end */

struct out {
	char s[OUT_BYTES];
	size_t n;
};

static void put_octets(struct out *o, const char *s, size_t n)
{
	if (n > sizeof(o->s) - o->n) {
		fwrite(o->s, 1, o->n, stdout); /* main() asks for its error */
		o->n = 0;
	}
	memcpy(o->s + o->n, s, n);
	o->n += n;
}

/* Less than a buffer of it. */
static void put(struct out *o, const char *s)
{
	put_octets(o, s, strlen(s));
}

static void put_number(struct out *o, uint64_t v)
{
	char s[NUMBER_MAX];
	size_t at = sizeof(s);

	do
		s[--at] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	put_octets(o, s + at, sizeof(s) - at);
}

/* Seconds with a fraction: 12.0, 12.345 */
static void put_seconds(struct out *o, uint64_t us)
{
	unsigned ms = (unsigned)(us / 1000 % 1000);
	char s[8] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)};
	size_t n = 4;

	put_number(o, us / 1000000);
	while (n > 2 && s[n - 1] == '0')
		n--;
	put_octets(o, s, n);
}

static void put_unit(struct out *o, uint32_t unit)
{
	static const char digits[] = "0123456789ABCDEF";
	char s[6] = {'\\', 'u', digits[unit >> 12], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]};

	put_octets(o, s, sizeof(s));
}

/* A character past ASCII, as UTF-16 has it (RFC 8259, 7). */
static void put_character(struct out *o, const unsigned char *s, size_t len)
{
	uint32_t c = s[0] & (0xffu >> (len + 1));

	for (size_t i = 1; i < len; i++)
		c = c << 6 | (s[i] & 0x3f);
	if (c < 0x10000) {
		put_unit(o, c);
		return;
	}
	put_unit(o, 0xd800 + ((c - 0x10000) >> 10));
	put_unit(o, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

/* What stands for an ASCII character after a backslash; 0: nothing does. */
static char escape_of(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static void put_text(struct out *o, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	put_octets(o, "\"", 1);
	while (*p) {
		const unsigned char *plain = p;
		size_t len;
		char e[2] = {'\\'};

		while (*p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
			p++;
		put_octets(o, (const char *)plain, (size_t)(p - plain));
		if (!*p)
			break;
		len = cli_utf8_len(p);
		e[1] = escape_of(*p);
		if (e[1])
			put_octets(o, e, sizeof(e));
		else if (len <= 1)
			put_unit(o, len == 0 ? 0xfffd : *p);
		else
			put_character(o, p, len);
		p += len > 0 ? len : 1;
	}
	put_octets(o, "\"", 1);
}

static void put_text_or_null(struct out *o, const char *text)
{
	if (text)
		put_text(o, text);
	else
		put(o, "null");
}

static void put_addresses(struct out *o, const struct port_claim *c)
{
	char a[PORT_ADDR_STR_MAX];

	put(o, ",\n    \"addresses\": [\n      ");
	if (rows_is_dual(c))
		put(o, "\"0.0.0.0\",\n      ");
	put_text(o, port_addr_print(&c->addr, a));
	put(o, "\n    ]");
}

static void put_pids(struct out *o, const struct row *row)
{
	uint32_t n = row->n_pids < PROC_PIDS_MAX ? row->n_pids : PROC_PIDS_MAX;

	put(o, ",\n    \"pid\": ");
	if (row->holder.pid > 0)
		put_number(o, (uint64_t)row->holder.pid);
	else
		put(o, "null");
	put(o, ",\n    \"pids\": [");
	for (uint32_t i = 0; i < n; i++) {
		put(o, i ? ",\n      " : "\n      ");
		put_number(o, (uint64_t)row->pids[i]);
	}
	put(o, n ? "\n    ]" : "]");
}

static void put_row(struct out *o, const struct row *row)
{
	const struct port_claim *c = &row->claim;
	const struct port_holder *h = &row->holder;
	char peer[PORT_ENDPOINT_STR_MAX];

	put(o, "{\n    \"port\": ");
	put_number(o, c->port);
	put(o, ",\n    \"service\": ");
	put_text_or_null(o, row->service[0] ? row->service : NULL);
	put(o, ",\n    \"proto\": ");
	put_text(o, port_proto_name[c->proto]);
	put_addresses(o, c);
	put(o, ",\n    \"state\": ");
	put_text(o, rows_state(c));
	put(o, ",\n    \"delivery\": ");
	put_text_or_null(o, rows_delivery(c));
	put(o, ",\n    \"peer\": ");
	put_text_or_null(o, c->peer_port ? port_endpoint_print(&c->peer, c->peer_port, peer) : NULL);
	put(o, ",\n    \"host\": ");
	put_text(o, row->host);
	put(o, ",\n    \"program\": ");
	put_text(o, h->program);
	put_pids(o, row);
	put(o, ",\n    \"command\": ");
	put_text(o, h->command);
	put(o, ",\n    \"user\": ");
	put_text(o, h->user);
	put(o, ",\n    \"uid\": ");
	put_number(o, c->uid);
	put(o, ",\n    \"age_s\": ");
	if (h->age_us == NEVER_US)
		put(o, "null");
	else
		put_seconds(o, h->age_us);
	put(o, c->flags & PORT_REUSEADDR ? ",\n    \"reuseaddr\": true" : ",\n    \"reuseaddr\": false");
	put(o, c->flags & PORT_REUSEPORT ? ",\n    \"reuseport\": true" : ",\n    \"reuseport\": false");
	put(o, c->flags & PORT_V6ONLY ? ",\n    \"v6only\": true\n  }" : ",\n    \"v6only\": false\n  }");
}

int rows_print_json(struct cli *cli, struct rows *rows)
{
	struct out *o = malloc(sizeof(*o));

	if (!o)
		return cli_fail(cli, -ENOMEM, "cannot make the JSON");
	o->n = 0;
	put(o, "[");
	for (size_t i = 0; i < rows->n; i++) {
		struct row row;

		rows_get(rows, i, &row);
		put(o, i ? ",\n  " : "\n  ");
		put_row(o, &row);
	}
	put(o, rows->n ? "\n]\n" : "]\n");
	fwrite(o->s, 1, o->n, stdout);
	free(o);
	return CLI_OK;
}
