/* src/port/addr.c: one shape for the addresses of both families.
 *
 * Sixteen octets; an IPv4 address is held as ::ffff:a.b.c.d, so that one comparison and one hash
 * serve both. What a text calls "::ffff:10.0.0.1" and what it calls "10.0.0.1" are then the same
 * address, which is what Linux does with them too (docs/linux-bind.md, R1): only the socket's family,
 * kept in the claim, tells them apart.
 *
 * Always true
 *   A1  scope is 0 unless the address is fe80::/10: so octets and scope compare without asking.
 *
 * Cost: a few octets each. Elsewhere: reading addresses from text (endpoint.c).
 */
#include "port/addr.h"

#include <string.h>

#include "base/cursor.h"

const char *const port_proto_name[PORT_NPROTOS] = {[PORT_TCP] = "tcp", [PORT_UDP] = "udp"};

struct port_addr port_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t octets[4] = {a, b, c, d};

	return port_addr_from4(octets);
}

struct port_addr port_addr_from6(const uint8_t octets[16], uint32_t scope)
{
	struct port_addr a = {.scope = 0};

	memcpy(a.b, octets, sizeof(a.b));
	if (port_addr_is_linklocal6(&a))
		a.scope = scope; /* A1 */
	return a;
}

bool port_addr_is_loopback(const struct port_addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (port_addr_is4(a))
		return a->b[12] == 127;
	return memcmp(a->b, one, sizeof(one)) == 0;
}

bool port_addr_in(const struct port_addr *a, const struct port_addr *net, unsigned prefix_bits)
{
	unsigned n_octets, n_bits;

	if (prefix_bits > 128)
		return false;
	n_octets = prefix_bits / 8;
	n_bits = prefix_bits % 8;
	if (memcmp(a->b, net->b, n_octets) != 0)
		return false;
	return n_bits == 0 || (a->b[n_octets] ^ net->b[n_octets]) >> (8 - n_bits) == 0;
}

static uint16_t group(const struct port_addr *a, int i)
{
	return (uint16_t)(a->b[2 * i] << 8 | a->b[2 * i + 1]);
}

static void put_hex(struct cursor_writer *w, uint16_t v)
{
	for (int shift = 12; shift >= 0; shift -= 4)
		if (v >> shift || shift == 0)
			cursor_put_u8(w, (uint8_t) "0123456789abcdef"[v >> shift & 0xf]);
}

/* RFC 5952, 4.2: the longest run of two or more zero groups; the first of equal ones. */
static int longest_zero_run(const struct port_addr *a, int *ret_n)
{
	int best = -1, best_n = 1;

	for (int i = 0, n = 0; i < 8; i++) {
		n = group(a, i) ? 0 : n + 1;
		if (n > best_n) {
			best = i - n + 1;
			best_n = n;
		}
	}
	*ret_n = best_n;
	return best;
}

static void print6(struct cursor_writer *w, const struct port_addr *a)
{
	int n_zero, zero = longest_zero_run(a, &n_zero);

	for (int i = 0; i < 8; i++) {
		if (i == zero) {
			cursor_put_text(w, "::");
			i += n_zero - 1;
			continue;
		}
		if (i > 0 && !(zero >= 0 && i == zero + n_zero))
			cursor_put_text(w, ":");
		put_hex(w, group(a, i));
	}
	if (a->scope) {
		cursor_put_text(w, "%");
		cursor_put_decimal(w, a->scope);
	}
}

char *port_addr_print(const struct port_addr *a, char s[PORT_ADDR_STR_MAX])
{
	struct cursor_writer w = cursor_writer(s, PORT_ADDR_STR_MAX - 1);

	if (port_addr_is4(a)) {
		for (int i = 12; i < 16; i++) {
			if (i > 12)
				cursor_put_text(&w, ".");
			cursor_put_decimal(&w, a->b[i]);
		}
	} else {
		print6(&w, a);
	}
	ASSERT(cursor_writer_ok(&w)); /* 39 + 1 + 10 characters at most */
	s[cursor_writer_len(&w)] = '\0';
	return s;
}
