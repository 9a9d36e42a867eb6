/* src/wire/print_text.h: the words that print.c and print_icmp.c are made of. Theirs alone.
 *
 * A cursor takes a word whole or not at all, and nothing after the first that did not fit.
 */
#ifndef BERTH_WIRE_PRINT_TEXT_H
#define BERTH_WIRE_PRINT_TEXT_H

#include <errno.h>

#include "base/cursor.h"
#include "port/addr.h"
#include "wire/eth.h"
#include "wire/wire.h"

static inline void wire_put(struct cursor_writer *w, const char *text)
{
	cursor_put_text(w, text);
}

/* A word and a number. */
static inline void wire_put_number(struct cursor_writer *w, const char *word, uint64_t v)
{
	wire_put(w, word);
	cursor_put_decimal(w, v);
}

static inline void wire_put_hex(struct cursor_writer *w, uint32_t v, unsigned n_digits)
{
	static const char digits[] = "0123456789abcdef";

	while (n_digits--)
		cursor_put_u8(w, (uint8_t)digits[v >> 4 * n_digits & 15]);
}

static inline void wire_put_mac(struct cursor_writer *w, const uint8_t mac[WIRE_MAC_LEN])
{
	for (unsigned i = 0; i < WIRE_MAC_LEN; i++) {
		if (i)
			wire_put(w, ":");
		wire_put_hex(w, mac[i], 2);
	}
}

/* 10.0.0.1, [fe80::1] */
static inline void wire_put_addr(struct cursor_writer *w, const struct port_addr *a)
{
	char s[PORT_ADDR_STR_MAX];
	bool is4 = port_addr_is4(a);

	wire_put(w, is4 ? "" : "[");
	wire_put(w, port_addr_print(a, s));
	wire_put(w, is4 ? "" : "]");
}

static inline void wire_put_malformed(struct cursor_writer *w, const char *what, int error, size_t len_bytes)
{
	wire_put(w, what);
	wire_put(w, error == -EPROTONOSUPPORT ? " not known" : " malformed");
	wire_put_number(w, " (", len_bytes);
	wire_put(w, " octets)");
}

/* Begins a list in angle brackets, or goes on with it. */
static inline void wire_put_next(struct cursor_writer *w, bool *first)
{
	wire_put(w, *first ? ", <" : ",");
	*first = false;
}

/* What ICMP, IGMP and ICMPv6 messages say: print_icmp.c. */
void wire_put_icmp4(struct cursor_writer *w, struct wire_slice s);
void wire_put_igmp(struct cursor_writer *w, struct wire_slice s);
void wire_put_icmp6(struct cursor_writer *w, struct wire_slice s);

#endif
