/* tests/unit/test_tcp_fastopen.c: data with the SYN (RFC 7413), both sides. */
#include <stdio.h>
#include <string.h>

#include "stack_fixture.h"

static const struct stack_row rows[] = {
	{"server: off, the option is nobody's", {"listen", "< S 0+5 mss 1460 cookie", "> SA 0 ack 1 no-cookie"}},
	{"server: without the option, data with a SYN is dropped",
	 {"listen", "lset fastopen 5", "< S 0+5 mss 1460", "> SA 0 ack 1 no-cookie", "no accept"}},
	{"server: a wrong cookie gets a good one, and the usual handshake",
	 {"listen", "lset fastopen 5", "< S 0+5 mss 1460 cookie 0102030405060708", "> SA 0 ack 1", "no accept",
	  "< A 1 ack 1", "accept", "count tcp_fast_open 0"}},
	{"client: without a cookie it asks for one",
	 {"open", "set fastopen 1", "connect", "send 20", "> S 0 cookie",
	  "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011", "> PA 1+20 ack 1"}},
	{"client: with a cookie what is written at once goes with the SYN",
	 {"open", "set fastopen 1", "connect", "> S 0 cookie", "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1", "abort", "> RA 1 ack 1", "open", "set fastopen 1", "connect", "send 20",
	  "> S 0+20 cookie 0a0b0c0d0e0f1011", "< SA 0 ack 21 mss 1460", "> A 21 ack 1", "count tcp_fast_open 1",
	  "send 5", "> PA 21+5 ack 1"}},
	{"client: what the SYN-ACK does not acknowledge is sent anew",
	 {"open", "set fastopen 1", "connect", "> S 0 cookie", "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1", "abort", "> RA 1 ack 1", "open", "set fastopen 1", "connect", "send 20",
	  "> S 0+20 cookie 0a0b0c0d0e0f1011", "< SA 0 ack 1 mss 1460", "> PA 1+20 ack 1", "< A 1 ack 21",
	  "count tcp_fast_open 0"}},
	{"client: sent again, a SYN is a plain one, and the cookie is forgotten",
	 {"open",
	  "set fastopen 1",
	  "connect",
	  "> S 0 cookie",
	  "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1",
	  "abort",
	  "> RA 1 ack 1",
	  "open",
	  "set fastopen 1",
	  "connect",
	  "send 20",
	  "> S 0+20 cookie 0a0b0c0d0e0f1011",
	  "+1010",
	  "> S 0 no-cookie",
	  "quiet",
	  "< SA 0 ack 1 mss 1460",
	  "> PA 1+20 ack 1",
	  "< A 1 ack 21",
	  "abort",
	  "> RA 21 ack 1",
	  "open",
	  "set fastopen 1",
	  "connect",
	  "> S 0 cookie"}},
	{"client: a reset refuses, data and all",
	 {"open", "set fastopen 1", "connect", "> S 0 cookie", "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1", "abort", "> RA 1 ack 1", "open", "set fastopen 1", "connect", "send 20", "> S 0+20",
	  "< RA 0 ack 21", "error ECONNREFUSED"}},
	{"client: both call each other: that is no server's early connection",
	 {"open", "set fastopen 1", "connect", "> S 0 cookie", "< S 0 mss 1460", "> SA 0 ack 1", "< A 1 ack 1",
	  "state ESTABLISHED"}},
	{"client: the same, and the peer took the data that went with our SYN",
	 {"open",
	  "set fastopen 1",
	  "connect",
	  "> S 0 cookie",
	  "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1",
	  "abort",
	  "> RA 1 ack 1",
	  "open",
	  "set fastopen 1",
	  "connect",
	  "send 20",
	  "> S 0+20 cookie 0a0b0c0d0e0f1011",
	  "< S 0 mss 1460",
	  "> SA 0 ack 1",
	  "state SYN-RECEIVED",
	  "< SA 0 ack 21 mss 1460",
	  "state ESTABLISHED",
	  "count tcp_fast_open 1",
	  "send 5",
	  "> PA 21+5 ack 1",
	  "< A 1 ack 26",
	  "+3000",
	  "quiet"}},
	{"client: the same, and the peer did not take it",
	 {"open",
	  "set fastopen 1",
	  "connect",
	  "> S 0 cookie",
	  "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1",
	  "abort",
	  "> RA 1 ack 1",
	  "open",
	  "set fastopen 1",
	  "connect",
	  "send 20",
	  "> S 0+20 cookie 0a0b0c0d0e0f1011",
	  "< S 0 mss 1460",
	  "> SA 0 ack 1",
	  "+1010",
	  "> SA 0 ack 1",
	  "quiet",
	  "< A 1 ack 1",
	  "state ESTABLISHED",
	  "count tcp_fast_open 0",
	  "> PA 1+20 ack 1",
	  "< A 1 ack 21"}},
	{"client: the same, and a reset ends it",
	 {"open", "set fastopen 1", "connect", "> S 0 cookie", "< S 0 mss 1460", "> SA 0 ack 1", "< R 1",
	  "poll IN OUT RDHUP HUP ERR"}},
	{"client: with a cookie in store a socket without a connection may be asked, too",
	 {"open", "set fastopen 1", "connect", "> S 0 cookie", "< SA 0 ack 1 mss 1460 cookie 0a0b0c0d0e0f1011",
	  "> A 1 ack 1", "abort", "> RA 1 ack 1", "open", "error none"}},
	{"client: without the option nothing is written before the handshake",
	 {"connect", "send EAGAIN", "> S 0 no-cookie"}},
};

static struct stack_fixture f;
static char syn[128];

/* A listener, and in `syn` a SYN with a good cookie and 10 octets. */
static void with_cookie(bool is6)
{
	int n;

	stack_fixture_init(&f, is6, NULL);
	stack_line(&f, "listen");
	stack_line(&f, "lset fastopen 2");
	stack_line(&f, "< S 0 mss 1460 cookie");
	stack_line(&f, "> SA 0 ack 1");
	assert_int_equal(f.out.options.cookie_bytes, 8);
	n = snprintf(syn, sizeof(syn), "< S 0+10 mss 1460 cookie ");
	for (unsigned i = 0; i < 8; i++)
		n += snprintf(syn + n, sizeof(syn) - (size_t)n, "%02x", f.out.options.cookie[i]);
	stack_line(&f, "< R 1");
	stack_line(&f, "peer-port 5001");
}

static void script(const char *const *lines)
{
	f.row = "fast open";
	for (f.line = 1; *lines != NULL; lines++, f.line++)
		stack_line(&f, strcmp(*lines, "SYN") == 0 ? syn : *lines);
	stack_fixture_free(&f);
}

#define SCRIPT(...) script((const char *const[]){__VA_ARGS__, NULL})

static void test_server(void **state)
{
	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		with_cookie(is6);
		SCRIPT("SYN", "> SA 0 ack 11 no-cookie", "count tcp_fast_open 1", "accept", "state SYN-RECEIVED",
		       "recv 10", "recv EAGAIN", "send EAGAIN", "< A 11 ack 1", "state ESTABLISHED", "events IN OUT",
		       "send 7", "> PA 1+7 ack 11");
	}
}

static void test_server_syn_again(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("SYN", "> SA 0 ack 11", "SYN", "> SA 0 ack 11", "+1010", "> SA 0 ack 11", "< A 11 ack 1", "accept",
	       "recv 10", "state ESTABLISHED");
}

static void test_server_reset(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("SYN", "> SA 0 ack 11", "< R 11", "accept", "recv 10", "recv ECONNRESET", "close");
}

static void test_server_never_ends(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("SYN", "> SA 0 ack 11", "accept", "close", "lost 200000", "peer-port 5001", "< A 11 ack 1", "> R 1");
}

static void test_server_close_early(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("SYN", "> SA 0 ack 11", "accept", "recv 10", "shutdown wr", "quiet", "state SYN-RECEIVED",
	       "< A 11 ack 1", "> FA 1 ack 11", "state FIN-WAIT-1", "< A 11 ack 2", "state FIN-WAIT-2");
}

/* The limit: more than BERTH_FASTOPEN at once take the usual way, with the data dropped. */
static void test_server_limit(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("SYN", "> SA 0 ack 11", "peer-port 5002", "SYN", "> SA 0 ack 11", "peer-port 5003", "SYN",
	       "> SA 0 ack 1", "peer-port 5002", "count tcp_fast_open 2", "peer-port 5001");
}

/* A cookie is one address's, and a day old at most; then it is a wrong one. */
static void test_server_old_cookie(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("+172800000", "SYN", "> SA 0 ack 1");
	with_cookie(false);
	f.peers.ip[15] = 77;
	SCRIPT("SYN", "> SA 0 ack 1");
}

static void test_listener_closed(void **state)
{
	(void)state;
	with_cookie(false);
	SCRIPT("SYN", "> SA 0 ack 11", "close-listener", "> RA 1 ack 11", "quiet");
}

int main(void)
{
	const struct CMUnitTest more[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_server_syn_again),
		cmocka_unit_test(test_server_reset),
		cmocka_unit_test(test_server_never_ends),
		cmocka_unit_test(test_server_close_early),
		cmocka_unit_test(test_server_limit),
		cmocka_unit_test(test_server_old_cookie),
		cmocka_unit_test(test_listener_closed),
	};

	return stack_rows_run("tcp fast open", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
