/* src/cli/json_out.c: JSON that is written as it is made.
 *
 * There may be a hundred thousand rows of half a kilobyte, so no tree is made of them: each is put, key by key, into one
 * buffer that goes out when it is full. It looks as jansson would print it: two spaces' indent, or a line for each value of
 * the top; ASCII only, octets that are no UTF-8 shown as U+FFFD.
 */
#include "cli/json_out.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define NUMBER_MAX 24 /* octets of the longest number, and its end */

struct json_out *json_out_new(FILE *to, bool lines)
{
	struct json_out *o = malloc(sizeof(*o));

	if (!o)
		return NULL;
	o->n = 0;
	o->to = to;
	o->lines = lines;
	o->depth = 0;
	o->has[0] = o->after_key = false;
	return o;
}

void json_out_free(struct json_out *o)
{
	fwrite(o->s, 1, o->n, o->to);
	free(o);
}

static void put_octets(struct json_out *o, const char *s, size_t n)
{
	if (n > sizeof(o->s) - o->n) {
		fwrite(o->s, 1, o->n, o->to);
		o->n = 0;
	}
	if (n > sizeof(o->s)) {
		fwrite(s, 1, n, o->to);
		return;
	}
	memcpy(o->s + o->n, s, n);
	o->n += n;
}

static void put(struct json_out *o, const char *s)
{
	put_octets(o, s, strlen(s));
}

static void new_line(struct json_out *o)
{
	static const char spaces[] = "\n                                ";

	put_octets(o, spaces, 1 + 2 * (size_t)o->depth);
}

/* A comma, a line and its indent, as this place needs. */
static void before_value(struct json_out *o)
{
	if (o->after_key) {
		o->after_key = false;
		return;
	}
	if (o->depth > 0 && o->has[o->depth])
		put(o, o->lines ? ", " : ",");
	if (o->depth > 0 && !o->lines)
		new_line(o);
	o->has[o->depth] = true;
}

static void after_value(struct json_out *o)
{
	if (o->depth == 0)
		put_octets(o, "\n", 1);
}

void json_out_begin(struct json_out *o, char c)
{
	before_value(o);
	put_octets(o, &c, 1);
	ASSERT(o->depth + 1 < JSON_OUT_DEPTH);
	o->depth++;
	o->closes[o->depth] = c == '[' ? ']' : '}';
	o->has[o->depth] = false;
}

void json_out_end(struct json_out *o)
{
	char c = o->closes[o->depth];
	bool any = o->has[o->depth];

	o->depth--;
	if (any && !o->lines)
		new_line(o);
	put_octets(o, &c, 1);
	after_value(o);
}

void json_out_key(struct json_out *o, const char *key)
{
	before_value(o);
	put_octets(o, "\"", 1);
	put(o, key);
	put_octets(o, "\": ", 3);
	o->after_key = true;
}

static void put_number(struct json_out *o, uint64_t v)
{
	char s[NUMBER_MAX];
	size_t at = sizeof(s);

	do
		s[--at] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	put_octets(o, s + at, sizeof(s) - at);
}

void json_out_number(struct json_out *o, uint64_t v)
{
	before_value(o);
	put_number(o, v);
	after_value(o);
}

void json_out_bool(struct json_out *o, bool v)
{
	before_value(o);
	put(o, v ? "true" : "false");
	after_value(o);
}

void json_out_null(struct json_out *o)
{
	before_value(o);
	put(o, "null");
	after_value(o);
}

void json_out_seconds(struct json_out *o, uint64_t us)
{
	unsigned ms = (unsigned)(us / 1000 % 1000);
	char s[8] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)};
	size_t n = 4;

	before_value(o);
	put_number(o, us / 1000000);
	while (n > 2 && s[n - 1] == '0')
		n--;
	put_octets(o, s, n);
	after_value(o);
}

/* --- text --- */

static void put_unit(struct json_out *o, uint32_t unit)
{
	static const char digits[] = "0123456789ABCDEF";
	char s[6] = {'\\', 'u', digits[unit >> 12], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]};

	put_octets(o, s, sizeof(s));
}

/* A character past ASCII, as UTF-16 has it (RFC 8259, 7). */
static void put_character(struct json_out *o, const unsigned char *s, size_t len)
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

static void put_text(struct json_out *o, const char *text)
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

void json_out_text(struct json_out *o, const char *text)
{
	before_value(o);
	if (text)
		put_text(o, text);
	else
		put(o, "null");
	after_value(o);
}

void json_out_text_or_null(struct json_out *o, const char *text)
{
	json_out_text(o, text && *text ? text : NULL);
}
