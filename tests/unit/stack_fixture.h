/* tests/unit/stack_fixture.h: one stack on an interface without link headers, and a peer that is played by a script.
 *
 *	{"a handshake, data, both ends close", {
 *		"listen",
 *		"< S 0 win 65535 mss 1460",
 *		"> SA 0 ack 1 mss 1460",
 *		"< A 1 ack 1",
 *		"accept",
 *		"< PA 1+10 ack 1",
 *		"recv 10",
 *		...
 *
 * A row of a test's table is such a script; stack_script() runs it, and checks every invariant of the stack after each line;
 * at its end nothing may be left to leave.
 *
 * Segments: `<` arrives, `>` must be the next to leave. FLAGS is letters of SFRPAUEC. SEQ is relative to the first number of its
 * sender, SEQ+LEN has LEN octets of payload; =SEQ is absolute. Then any of
 *	ack N | win N | mss N | ws N | sackok | ts VAL ECR (echo: what left last) | sack L-R (up to four times) | urg N | uto S | cookie HEX | ect | ce
 * An expected segment must have the flags, SEQ+LEN, and whatever else is named; `no-ts` `no-sack` `no-ws` `no-sackok` `no-mss` forbid
 * an option; N may be * (anything). `ts * E` and `ts V *` too.
 *
 * Other lines
 *	listen [BACKLOG]	f->listener, port 80			connect			f->s, to the peer's port 8080
 *	accept | no accept	f->s					bind PORT		f->s is opened and bound
 *	established [OPTIONS]	a whole passive handshake; OPTIONS are the SYN's words (default: win 65535 mss 1460)
 *	connected [OPTIONS]	a whole active one; OPTIONS are the SYN-ACK's
 *	quiet			nothing leaves now			+MS, +MSus		time passes; timers run when they are due
 *	lost MS			the same, and whatever leaves meanwhile is lost
 *	send N | recv N | recv eof | recv EAGAIN | send EPIPE		N octets of the stream's pattern; N, or the error
 *	shutdown wr|rd|rdwr | close | abort				of f->s
 *	info NAME N		of f->s: retransmits, probes, backoff, snd_wscale, snd_wnd
 *	used NAME NOW PEAK	of berth_stack_usage()
 *	state NAME		of f->s, as tcp_state_text		poll [IN] [OUT] [RDHUP] [HUP] [ERR] [PRI] [nothing]
 *	error NAME|none		BERTH_SO_ERROR				events [IN] ... [CLOSED] [nothing]	all events, together
 *	count NAME N		a counter				set OPTION N, lset OPTION N		of f->s, of the listener
 *	get OPTION N		of f->s					peer-port N		of segments from here on
 *	icmp NAME [MTU]		an error about our segment at: icmp port 0 (see stack_fixture.c)
 *	route down | route up	the interface
 *	reborn			f->s is saved, and restored in another stack	close-listener
 *	gone			f->s is no handle any more: -EBADF
 */
#ifndef BERTH_TESTS_STACK_FIXTURE_H
#define BERTH_TESTS_STACK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <berth/stack.h>

#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

#define FIX_PEER_ISS UINT32_C(0xfffffc18) /* goes round after 1000 octets */
#define FIX_LINES 64

struct stack_fixture {
	struct berth_stack *st;
	void *mem;
	uint64_t now_ns;
	uint16_t iface;
	bool is6;
	struct berth_addr ours, peers;
	uint16_t local_port, peer_port;
	uint32_t our_iss;	 /* learned from our SYN */
	uint64_t sent, received; /* of the streams' patterns, by the program */
	berth_sock listener, s;
	const char *row; /* for messages */
	int line;
	/* the last segment that left */
	struct wire_tcp out;
	uint8_t out_octets[65536 + 100];
	uint32_t out_len; /* of the payload */
	uint8_t out_tos, out_ttl;
	uint32_t out_label; /* IPv6's */
};

/* What may be different: NULL takes the defaults (small numbers of everything). */
void stack_fixture_init(struct stack_fixture *f, bool is6, const struct berth_stack_config *config);
void stack_fixture_free(struct stack_fixture *f);
struct berth_stack_config stack_fixture_config(void);

/* One line of a script. Fails the test, with the row's name and the line, if it does not hold. */
void stack_line(struct stack_fixture *f, const char *line);
/* All of them, up to NULL, on a stack of its own. */
void stack_script(const char *row, bool is6, const struct berth_stack_config *config, const char *const *lines);

/* Give the stack a packet as it is (IP header and all). */
void stack_fixture_packet(struct stack_fixture *f, const uint8_t *data, uint32_t len);
/* Take the next packet that leaves; 0: none. */
uint32_t stack_fixture_next(struct stack_fixture *f, uint8_t *data, uint32_t room);

/* A table of scripts, each over IPv4 and IPv6, and more tests after them: all report under their own names. */
struct stack_row {
	const char *name;
	const char *lines[FIX_LINES];
};
int stack_rows_run(const char *group, const struct stack_row *rows, size_t n, const struct CMUnitTest *more,
		   size_t n_more);

#endif
