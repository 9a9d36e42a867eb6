/* fuzz/fuzz_wire.c: any octets are refused or read, written and read again as the same; printing never overruns; the checksum
 * is the one that two loops make.
 *
 * The first octet says what the rest is: a frame, a bare IP packet, a transport's message, options of TCP.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/eth.h"
#include "wire_round.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static uint16_t naive_sum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

/* 0 and 0xffff are both zero. */
static bool same_sum(uint16_t a, uint16_t b)
{
	return a % 0xffff == b % 0xffff;
}

static void check_sums(const uint8_t *data, size_t len_bytes)
{
	size_t cut = len_bytes ? data[0] % (len_bytes + 1) : 0;
	const struct wire_slice parts[] = {{data, cut}, {NULL, 0}, {data + cut, len_bytes - cut}};
	uint16_t want = naive_sum(data, len_bytes);
	uint8_t *copy = malloc(len_bytes + 1);

	ASSERT(copy);
	ASSERT(same_sum(wire_sum_fold(wire_sum(0, data, len_bytes)), want));
	ASSERT(same_sum(wire_sum_fold(wire_sum_slices(0, parts, COUNT_OF(parts))), want));
	ASSERT(same_sum(wire_sum_fold(wire_sum_copy(0, copy, data, len_bytes)), want));
	ASSERT(len_bytes == 0 || memcmp(copy, data, len_bytes) == 0);
	if (len_bytes >= 4 && wire_checksum_finish(copy, len_bytes, copy[0], copy[1]) == 0)
		ASSERT((size_t)data[0] + data[1] + 2 <= len_bytes);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static const uint8_t protos[] = {WIRE_PROTO_TCP, WIRE_PROTO_UDP, WIRE_PROTO_ICMP4, WIRE_PROTO_IGMP,
					 WIRE_PROTO_ICMP6};
	uint8_t *exact; /* of the right length, so that a sanitizer sees one octet too many */
	uint8_t kind;

	if (len_bytes == 0)
		return 0;
	kind = data[0] % 8;
	len_bytes--;
	exact = malloc(len_bytes ? len_bytes : 1);
	ASSERT(exact);
	memcpy(exact, data + 1, len_bytes);
	check_sums(exact, len_bytes);
	switch (kind) {
	case 0:
		(void)wire_round_frame(exact, len_bytes);
		wire_round_print(exact, len_bytes, true);
		break;
	case 1:
		(void)wire_round_ip(exact, len_bytes);
		wire_round_print(exact, len_bytes, false);
		break;
	case 2:
		(void)wire_round_tcp_options(exact, len_bytes);
		break;
	default:
		(void)wire_round_upper(PORT_FAMILY_4, protos[kind - 3], exact, len_bytes);
	}
	free(exact);
	return 0;
}
