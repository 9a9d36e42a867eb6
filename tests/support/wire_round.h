/* tests/support/wire_round.h: whatever the parsers of wire/ take is written again, read again, and must be the same.
 *
 * For tests and the fuzzer: an ASSERT fails if not. Also checks what is always true of parsed structures: slices lie within the octets
 * that were given, and bounds hold. Functions return whether the octets were taken.
 */
#ifndef TESTS_SUPPORT_WIRE_ROUND_H
#define TESTS_SUPPORT_WIRE_ROUND_H

#include "port/addr.h"
#include "wire/wire.h"

bool wire_round_frame(const uint8_t *data, size_t len_bytes); /* and what is in it */
bool wire_round_ip(const uint8_t *data, size_t len_bytes);
bool wire_round_upper(enum port_family family, uint8_t proto, const uint8_t *data, size_t len_bytes);
bool wire_round_tcp_options(const uint8_t *data, size_t len_bytes);

/* The line of a frame, or of a bare IP packet, in buffers of every size from 0 to that of the whole line. */
void wire_round_print(const uint8_t *data, size_t len_bytes, bool is_frame);

#endif
