/* bench/wire.c: checksums and headers, timed.
 *
 *     wire
 *
 * One thread on one processor, all data in the first or second level cache; the best of 15 rounds. memcpy() stands beside the checksums,
 * since whoever copies anyway pays only the difference.
 */
#include <stdio.h>
#include <string.h>

#include "measure.h"
#include "wire/checksum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

#define ROUNDS 15
#define ROUND_S 0.01

static uint8_t octets[1 << 17], copy[1 << 17];
static volatile uint32_t sink; /* so that no work can be left out */

static void sum_once(size_t n)
{
	sink = wire_sum(sink, octets, n);
}

static void sum_copy_once(size_t n)
{
	sink = wire_sum_copy(sink, copy, octets, n);
}

static void memcpy_once(size_t n)
{
	memcpy(copy, octets, n);
	__asm__ volatile("" : : "r"(copy) : "memory");
}

static struct wire_tcp tcp_ack = {.src_port = 80,
				  .dst_port = 40000,
				  .seq = 1,
				  .ack = 2,
				  .flags = WIRE_TCP_ACK,
				  .window = 1000,
				  .options = {.has = WIRE_TCP_HAS_TS, .ts_val = 1, .ts_ecr = 2}};
static struct wire_tcp tcp_syn = {.src_port = 80,
				  .dst_port = 40000,
				  .flags = WIRE_TCP_SYN,
				  .window = 65535,
				  .options = {.has = WIRE_TCP_HAS_MSS | WIRE_TCP_HAS_SACK_OK | WIRE_TCP_HAS_TS |
						     WIRE_TCP_HAS_WSCALE,
					      .mss = 1460,
					      .wscale = 7}};
static struct wire_tcp tcp_sack = {.src_port = 80,
				   .dst_port = 40000,
				   .flags = WIRE_TCP_ACK,
				   .window = 1000,
				   .options = {.has = WIRE_TCP_HAS_TS | WIRE_TCP_HAS_SACK,
					       .n_sacks = 3,
					       .sacks = {{1, 2}, {3, 4}, {5, 6}}}};
static uint8_t header[3][WIRE_TCP_LEN_MAX], ip4_header[WIRE_IP4_LEN], ip6_header[WIRE_IP6_LEN];
static size_t header_len[3];

static void parse_once(size_t which)
{
	struct wire_tcp t;

	__asm__ volatile("" : : "r"(header) : "memory");
	if (wire_tcp_parse(header[which], header_len[which], &t) < 0)
		fail("parse");
	sink = t.seq + t.options.ts_val;
}

static void emit_once(size_t which)
{
	const struct wire_tcp *const all[] = {&tcp_ack, &tcp_syn, &tcp_sack};

	__asm__ volatile("" : : "r"(all[which]) : "memory");
	if (wire_tcp_emit(all[which], header[which], WIRE_TCP_LEN_MAX) < 0)
		fail("emit");
}

static void ip4_once(size_t unused)
{
	struct wire_ip4 ip;

	(void)unused;
	__asm__ volatile("" : : "r"(ip4_header) : "memory");
	if (wire_ip4_parse(ip4_header, sizeof(ip4_header), &ip) < 0)
		fail("parse");
	sink = ip.id;
}

static void ip6_once(size_t unused)
{
	struct wire_ip6 ip;

	(void)unused;
	__asm__ volatile("" : : "r"(ip6_header) : "memory");
	if (wire_ip6_parse(ip6_header, sizeof(ip6_header), &ip, NULL) < 0)
		fail("parse");
	sink = ip.flow;
}

/* Nanoseconds of one call, in the best round: the others were disturbed. */
static double time_of(void (*what)(size_t), size_t n)
{
	double best = 0;

	for (int r = 0; r < ROUNDS; r++) {
		double begin = now_s(), end;
		uint64_t calls = 0;

		do {
			for (int i = 0; i < 256; i++)
				what(n);
			calls += 256;
			end = now_s();
		} while (end - begin < ROUND_S);
		best = r && best < (end - begin) / (double)calls * 1e9 ? best : (end - begin) / (double)calls * 1e9;
	}
	return best;
}

int main(void)
{
	static const size_t lengths[] = {20, 64, 536, 1460, 9000, 65536};
	static const char *const names[] = {"timestamps (the short cut)", "SYN with four options",
					    "timestamps and three SACK blocks"};
	struct wire_ip4 ip = {.src = PORT_ADDR_LOOP4,
			      .dst = PORT_ADDR_LOOP4,
			      .ttl = 64,
			      .proto = WIRE_PROTO_TCP,
			      .df = true};
	struct wire_ip6 ip6 = {.src = PORT_ADDR_LOOP6, .dst = PORT_ADDR_LOOP6, .hops = 64, .proto = WIRE_PROTO_TCP};

	pin(0);
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (uint8_t)(i * 167 + i / 251);
	printf("%-34s %10s %10s %10s\n", "octets", "sum GB/s", "sum+copy", "memcpy");
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		double n = (double)lengths[i];

		printf("%-34zu %10.1f %10.1f %10.1f\n", lengths[i], n / time_of(sum_once, lengths[i]),
		       n / time_of(sum_copy_once, lengths[i]), n / time_of(memcpy_once, lengths[i]));
	}
	printf("\n%-34s %10s %10s\n", "TCP header", "parse ns", "emit ns");
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		double emit_ns = time_of(emit_once, i);

		header_len[i] = (size_t)(header[i][12] >> 4) * 4;
		printf("%-34s %10.1f %10.1f\n", names[i], time_of(parse_once, i), emit_ns);
	}
	if (wire_ip4_emit(&ip, ip4_header, sizeof(ip4_header)) < 0)
		fail("emit");
	if (wire_ip6_emit(&ip6, ip6_header, sizeof(ip6_header)) < 0)
		fail("emit");
	printf("%-34s %10.1f\n", "IPv4 header, with its checksum", time_of(ip4_once, 0));
	printf("%-34s %10.1f\n", "IPv6 header", time_of(ip6_once, 0));
	return 0;
}
