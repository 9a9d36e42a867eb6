/* src/cli/json_out.h: JSON that is written as it is made, through one buffer. */
#ifndef BERTH_CLI_JSON_OUT_H
#define BERTH_CLI_JSON_OUT_H

#include <stdio.h>

#include "base/base.h"

#define JSON_OUT_BYTES (64u << 10)
#define JSON_OUT_DEPTH 8

struct json_out {
	char s[JSON_OUT_BYTES];
	size_t n;
	FILE *to;
	bool lines; /* a value of the top is a line; else two spaces' indent */
	unsigned depth;
	char closes[JSON_OUT_DEPTH];
	bool has[JSON_OUT_DEPTH]; /* there is a value before this one */
	bool after_key;
};

/* On the heap, as it is big; NULL: out of memory. */
struct json_out *json_out_new(FILE *to, bool lines);
/* The rest goes out. main() asks the stream for its error. */
void json_out_free(struct json_out *o);

/* '[' or '{', and its end. */
void json_out_begin(struct json_out *o, char c);
void json_out_end(struct json_out *o);
/* In an object, before each value; the key is plain ASCII. */
void json_out_key(struct json_out *o, const char *key);
void json_out_number(struct json_out *o, uint64_t v);
void json_out_bool(struct json_out *o, bool v);
void json_out_null(struct json_out *o);
/* Any octets; what is no UTF-8 becomes U+FFFD. NULL: null. */
void json_out_text(struct json_out *o, const char *text);
/* The same; "" is null, too. */
void json_out_text_or_null(struct json_out *o, const char *text);
/* 12.0, 12.345 */
void json_out_seconds(struct json_out *o, uint64_t us);

#endif
