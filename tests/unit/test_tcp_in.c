/* tests/unit/test_tcp_in.c: RFC 9293, 3.10.7.4 in the synchronized states; RFC 5961; RFC 7323's PAWS; urgent data. */
#include <string.h>

#include "stack_fixture.h"

#include "port/internal.h"
#include "stack/stack.h"

static const struct stack_row rows[] = {
	{"S10: a reset at exactly the next number ends the connection",
	 {"established", "< R 1", "events IN OUT RDHUP HUP ERR", "poll IN OUT RDHUP HUP ERR", "recv ECONNRESET",
	  "recv eof", "state CLOSED"}},
	{"S10: a reset elsewhere in the window is challenged",
	 {"established", "< R 2", "> A 1 ack 1", "< R 60000", "> A 1 ack 1", "state ESTABLISHED",
	  "count tcp_challenge_acks 2"}},
	{"S10: a reset outside of the window is dropped",
	 {"established", "< R 65537", "< R 0", "quiet", "state ESTABLISHED", "count tcp_out_of_window 2"}},
	{"RFC 5961, 4: a SYN in the window is challenged",
	 {"established", "< S 1", "> A 1 ack 1", "< S 500", "> A 1 ack 1", "state ESTABLISHED"}},
	{"RFC 5961, 4: so is one outside of it",
	 {"established", "< S =2000000000", "> A 1 ack 1", "state ESTABLISHED"}},
	{"RFC 5961, 5: an ACK half the circle away is challenged, with data and without",
	 {"established", "< A 1 ack 2147483649", "> A 1 ack 1", "< PA 1+5 ack 2147483649", "> A 1 ack 1", "recv EAGAIN",
	  "< PA 1+5 ack 1", "> A 1 ack 6", "send 5", "> PA 1+5 ack 6", "< A 6 ack 2147483649", "> A 6 ack 6",
	  "< A 6 ack 2147483654", "> A 6 ack 6"}},
	{"a number half the circle away is not acceptable, with data and without",
	 {"established", "send 5", "> PA 1+5 ack 1", "< A 2147483649 ack 6", "> A 6 ack 1", "< PA 2147483649+5 ack 6",
	  "> A 6 ack 1", "+1100", "> PA 1+5 ack 1"}},
	{"RFC 5961, 5: an ACK of what was never sent is challenged",
	 {"established", "< PA 1+5 ack 100", "> A 1 ack 1", "recv EAGAIN"}},
	{"RFC 5961, 5: a very old ACK is challenged, its data dropped",
	 {"established", "< PA 1+5 ack -70000", "> A 1 ack 1", "recv EAGAIN"}},
	{"an old ACK within the largest window is ignored, its data is not",
	 {"established", "send 5", "> PA 1+5 ack 1", "< A 1 ack 6", "< PA 1+5 ack 3", "recv 5", "> A 6 ack 6"}},
	{"an ACK of before the first octet is nobody's, nor are its octets",
	 {"established", "< PA 1+5 ack 0", "> A 1 ack 1", "recv EAGAIN"}},
	{"a segment without ACK is dropped", {"established", "< P 1+5", "quiet", "recv EAGAIN"}},
	{"an old segment is answered",
	 {"established", "< PA 1+5 ack 1", "> A 1 ack 6", "< PA 1+5 ack 1", "> A 1 ack 6", "recv 5"}},
	{"a keepalive's probe is answered", {"established", "< A 0 ack 1", "> A 1 ack 1"}},
	{"SHLD-31: segments out of order wait for the hole",
	 {"established", "< PA 11+10 ack 1", "> A 1 ack 1", "recv EAGAIN", "< PA 1+10 ack 1", "> A 1 ack 21",
	  "recv 20"}},
	{"a segment that overlaps what is there gives only what is new",
	 {"established", "< PA 1+10 ack 1", "> A 1 ack 11", "< PA 1+20 ack 1", "> A 1 ack 21", "recv 20"}},
	{"beyond the window nothing is taken", {"established", "< PA 65537+5 ack 1", "> A 1 ack 1", "recv EAGAIN"}},
	{"a zero window: the ACK counts, the octets do not",
	 {"listen", "lset rcvbuf 2048", "established", "< PA 1+2048 ack 1", "> A 1 ack 2049 win 0", "send 5",
	  "> PA 1+5 ack 2049", "< PA 2049+10 ack 6", "> A 6 ack 2049 win 0", "recv 2048", "> A 6 ack 2049 win 2048"}},
	{"MUST-39: a window that opened by less than a step is not offered with what goes anyway",
	 {"listen", "lset rcvbuf 2048", "established", "< PA 1+2048 ack 1", "> A 1 ack 2049 win 0", "recv 100",
	  "send 5", "> PA 1+5 ack 2049 win 0"}},
	{"MUST-66: a reset counts though the window is zero",
	 {"listen", "lset rcvbuf 2048", "established", "< PA 1+2048 ack 1", "> A 1 ack 2049 win 0", "< R 2049",
	  "recv 2048", "recv ECONNRESET"}},
	{"SHLD-2: a reset may carry data", {"established", "< R 1+10", "recv ECONNRESET"}},
	{"data that was in order before a reset can be read",
	 {"established", "< PA 1+5 ack 1", "< R 6", "recv 5", "recv ECONNRESET", "recv eof"}},
	{"PAWS: an older timestamp is dropped and answered",
	 {"established win 65535 mss 1460 ts 1000 0", "< PA 1+5 ack 1 ts 1001 0", "> A 1 ack 6 ts * 1001",
	  "< PA 6+5 ack 1 ts 1000 0", "> A 1 ack 6 ts * 1001", "recv 5", "recv EAGAIN", "count tcp_paws_dropped 1"}},
	{"PAWS: timestamps go round",
	 {"established win 65535 mss 1460 ts 4294967290 0", "< PA 1+5 ack 1 ts 4294967294 0",
	  "> A 1 ack 6 ts * 4294967294", "< PA 6+5 ack 1 ts 3 0", "> A 1 ack 11 ts * 3", "recv 10",
	  "< PA 11+5 ack 1 ts 4294967294 0", "> A 1 ack 11 ts * 3", "recv EAGAIN", "count tcp_paws_dropped 1",
	  "< PA 11+5 ack 1 ts 4 0", "> A 1 ack 16 ts * 4", "recv 5", "count tcp_paws_dropped 1"}},
	{"PAWS: less than half the circle ahead is newer, more is older",
	 {"established win 65535 mss 1460 ts 1000 0", "< PA 1+5 ack 1 ts 2147484647 0", "> A 1 ack 6 ts * 2147484647",
	  "< PA 6+5 ack 1 ts 998 0", "> A 1 ack 11 ts * 998", "recv 10", "< PA 11+5 ack 1 ts 2147484646 0",
	  "> A 1 ack 11 ts * 998", "recv EAGAIN", "count tcp_paws_dropped 1"}},
	{"PAWS: a reset with an old timestamp is still a reset (RFC 7323, 5.2)",
	 {"established win 65535 mss 1460 ts 1000 0", "< R 1 ts 5 0", "recv ECONNRESET"}},
	{"PAWS: after 24 days of silence any timestamp is good (RFC 7323, 5.5)",
	 {"established win 65535 mss 1460 ts 1000 0", "+2073600001", "< PA 1+5 ack 1 ts 5 0", "recv 5",
	  "> A 1 ack 6 ts * 5", "count tcp_paws_dropped 0"}},
	{"PAWS: an hour earlier it is not",
	 {"established win 65535 mss 1460 ts 1000 0", "+2070000000", "< PA 1+5 ack 1 ts 5 0", "recv EAGAIN",
	  "> A 1 ack 1 ts * 1000", "count tcp_paws_dropped 1"}},
	{"RFC 7323, 4.3: a timestamp beyond a hole is not echoed",
	 {"established win 65535 mss 1460 ts 1000 0", "< PA 11+10 ack 1 ts 1005 0", "> A 1 ack 1 ts * 1000",
	  "< PA 1+10 ack 1 ts 1006 0", "> A 1 ack 21 ts * 1006"}},
	{"urgent data raises PRI, and it is in the stream",
	 {"established", "< UPA 1+10 ack 1 urg 5", "events IN PRI", "poll IN OUT PRI", "recv 5", "poll IN OUT",
	  "recv 5", "> A 1 ack 11"}},
	{"S7: an urgent pointer beyond the segment is cut",
	 {"established", "< UPA 1+4 ack 1 urg 65535", "recv 4", "poll OUT", "> A 1 ack 5"}},
	{"S7: an urgent pointer without data is nothing", {"established", "< UA 1 ack 1 urg 100", "quiet", "poll OUT"}},
	{"MUST-31: urgent data goes out with a pointer", {"established", "send 5 urgent", "> UPA 1+5 ack 1 urg 5"}},
	{"data after the peer's FIN is ignored (RFC 9293, 3.10.7.4, seventh)",
	 {"established", "< FA 1 ack 1", "> A 1 ack 2", "< PA 2+5 ack 1", "quiet", "recv eof"}},
	{"CLOSE-WAIT: data still goes out",
	 {"established", "< FA 1 ack 1", "> A 1 ack 2", "send 5", "> PA 1+5 ack 2", "poll IN OUT RDHUP"}},
	{"CLOSE-WAIT: a reset says EPIPE, as on Linux",
	 {"established", "< FA 1 ack 1", "> A 1 ack 2", "< R 2", "error EPIPE"}},
	{"a window update lets data go",
	 {"established win 0 mss 1460", "< A 1 ack 1 win 0", "send 100", "quiet", "< A 1 ack 1 win 1000",
	  "> PA 1+100 ack 1"}},
	{"an older segment does not change the window (WL1, WL2)",
	 {"established", "< PA 1+5 ack 1", "> A 1 ack 6", "< PA 6+5 ack 1 win 10", "> A 1 ack 11",
	  "< A 1 ack 1 win 60000", "> A 1 ack 11", "send 20", "quiet"}},
	{"of two that differ in nothing but the window the larger one counts, and a closed one",
	 {"established", "< A 1 ack 1 win 60000", "< A 1 ack 1 win 10", "send 20", "> PA 1+20 ack 1",
	  "< A 1 ack 21 win 60000", "< A 1 ack 21 win 0", "send 20", "quiet"}},
	{"a FIN out of order waits",
	 {"established", "< FA 6 ack 1", "> A 1 ack 1", "state ESTABLISHED", "< PA 1+5 ack 1", "> A 1 ack 7",
	  "state CLOSE-WAIT", "recv 5", "recv eof"}},
};

/* MUST-57, S11: what is sent to many or from nobody gets no answer. */
static void test_not_one_host(void **state)
{
	static const uint8_t from[][4] = {{224, 0, 0, 1}, {255, 255, 255, 255}, {10, 0, 0, 255}, {0, 0, 0, 0}};
	struct stack_fixture f;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "listen");
	for (size_t i = 0; i < COUNT_OF(from); i++) {
		struct berth_addr peer = f.peers;

		memcpy(f.peers.ip + 12, from[i], 4);
		stack_line(&f, "< S 0");
		stack_line(&f, "quiet");
		stack_line(&f, "local-port 81");
		stack_line(&f, "< S 0");
		stack_line(&f, "quiet");
		stack_line(&f, "local-port 80");
		f.peers = peer;
	}
	f.ours.ip[15] = 255; /* the subnet's broadcast address */
	stack_line(&f, "< S 0");
	stack_line(&f, "quiet");
	stack_fixture_free(&f);
}

/* MUST-2, MUST-3: a wrong checksum. S3: a data offset that lies. */
static void test_wrong_octets(void **state)
{
	struct stack_fixture f;
	uint8_t p[60] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1};

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "listen");
	wire_put16(p + 10, 0x26cc); /* the header's sum: 0xffff - ... is set below */
	p[10] = p[11] = 0;
	for (uint32_t sum = 0, i = 0; i <= 20; i += 2) {
		if (i == 20) {
			sum = (sum & 0xffff) + (sum >> 16);
			wire_put16(p + 10, (uint16_t) ~(sum + (sum >> 16)));
			break;
		}
		sum += wire_get16(p + i);
	}
	wire_put16(p + 20, 5000);
	wire_put16(p + 22, 80);
	p[32] = 0x50;
	p[33] = WIRE_TCP_SYN;
	wire_put16(p + 36, 0x1234);
	stack_fixture_packet(&f, p, 40);
	stack_line(&f, "quiet");
	stack_line(&f, "count dropped_checksum 1");
	p[32] = 0x40;
	stack_fixture_packet(&f, p, 40);
	p[32] = 0x60;
	stack_fixture_packet(&f, p, 40);
	stack_line(&f, "quiet");
	stack_line(&f, "count dropped_malformed 2");
	stack_fixture_free(&f);
}

/* S10: one connection's budget says nothing about another's (CVE-2016-5696), and comes back. */
static void test_budget_is_own(void **state)
{
	struct stack_fixture f;
	int n = 0;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "established");
	for (int i = 0; i < 50; i++)
		stack_line(&f, "< R 2");
	while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
		n++;
	assert_in_range(n, 6, 18); /* drawn anew each time */
	stack_line(&f, "peer-port 5001");
	stack_line(&f, "established");
	stack_line(&f, "< R 2");
	stack_line(&f, "> A 1 ack 1");
	stack_line(&f, "+1600"); /* longer than any window */
	stack_line(&f, "< R 2");
	stack_line(&f, "> A 1 ack 1");
	for (int i = 0; i < 50; i++)
		stack_line(&f, "< R 2");
	while (stack_fixture_next(&f, f.out_octets, sizeof(f.out_octets)) != 0)
		n++;
	stack_line(&f, "+2592000000"); /* more than half of the clock's round */
	stack_line(&f, "< R 2");
	stack_line(&f, "> A 1 ack 1");
	stack_fixture_free(&f);
}

/* What leaves after n times the same segment. */
static int answers_to(struct stack_fixture *f, const char *line, int n)
{
	int answers = 0;

	for (int i = 0; i < n; i++) {
		stack_line(f, line);
		while (stack_fixture_next(f, f->out_octets, sizeof(f->out_octets)) != 0)
			answers++;
	}
	return answers;
}

/* S10: segments with data or a FIN that are refused have a budget of the connection's, too; it is wide enough for a window that is sent
 * again, and comes back. A batch of them has one answer. */
static void test_refused_are_limited(void **state)
{
	struct stack_fixture f;

	(void)state;
	for (int fin = 0; fin < 2; fin++) {
		const char *old = fin ? "< FA 1+5 ack 1" : "< PA 1+5 ack 1";

		stack_fixture_init(&f, false, NULL);
		stack_line(&f, "established win 65535 mss 1460 sackok");
		stack_line(&f, old);
		stack_line(&f, "+50"); /* a FIN's acknowledgment waits for a ride */
		stack_line(&f, fin ? "> A 1 ack 7" : "> A 1 ack 6");
		stack_line(&f, "+1600");
		assert_in_range(answers_to(&f, old, 1000), 60, 220);
		stack_line(&f, "+1600");
		for (int i = 0; i < 1000; i++)
			stack_line(&f, old);
		assert_int_equal(answers_to(&f, old, 50), 50);
		stack_fixture_free(&f);
	}
}

/* S10: so have SYNs that are sent again in SYN-RECEIVED. */
static void test_repeated_syns_are_limited(void **state)
{
	struct stack_fixture f;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	stack_line(&f, "connect");
	stack_line(&f, "> S 0");
	stack_line(&f, "< S 0 mss 1460");
	stack_line(&f, "> SA 0 ack 1");
	assert_in_range(answers_to(&f, "< S 0 mss 1460", 100), 6, 18);
	stack_fixture_free(&f);
}

/* S11: resets for nobody's segments have a budget of their source, and one of all; both come back. What one source has used up tells
 * another nothing (CVE-2016-5696), and a flood of one does not silence the answers to others. */
static void test_resets_are_limited(void **state)
{
	struct berth_stack_config c = stack_fixture_config();
	struct stack_fixture f;

	(void)state;
	stack_fixture_init(&f, false, &c);
	assert_in_range(answers_to(&f, "< A 1 ack 1", 2000), 750, 1250);
	stack_line(&f, "+1600");
	stack_line(&f, "< A 1 ack 1");
	stack_line(&f, "> R *");
	stack_fixture_free(&f);
}

static void test_resets_for_others(void **state)
{
	(void)state;
	for (int is6 = 0; is6 < 2; is6++) {
		struct berth_stack_config c = stack_fixture_config();
		struct stack_fixture f;
		int n = 0, silent = 0;

		stack_fixture_init(&f, is6, &c);
		answers_to(&f, "< A 1 ack 1", 1300);
		for (uint8_t i = 10; i < 60; i++) { /* others; a few share the hash's place with the first */
			f.peers.ip[is6 ? 7 : 15] = i;
			silent += answers_to(&f, "< A 1 ack 1", 1) == 0;
		}
		assert_in_range(silent, 0, 3);
		for (uint8_t i = 60; i < 100; i++) {
			f.peers.ip[is6 ? 7 : 15] = i;
			n += answers_to(&f, "< A 1 ack 1", 1000);
		}
		assert_in_range(n, 9000, 20000); /* all of them together */
		stack_line(&f, "+1600");
		assert_int_equal(answers_to(&f, "< A 1 ack 1", 1), 1);
		stack_fixture_free(&f);
	}
}

/* S18: the longest walk to a flow is counted. Nobody without the key can make this one. */
static void test_chain_of_flows(void **state)
{
	struct port_addr ours = port_addr_v4(10, 0, 0, 1), peer = port_addr_v4(10, 0, 0, 2);
	struct stack_fixture f;
	const uint32_t *head;
	uint16_t ports[6];
	unsigned n = 0;

	(void)state;
	stack_fixture_init(&f, false, NULL);
	head = index_flow_head(&f.st->ports, PORT_TCP, &ours, 80, &peer, 5000);
	for (uint16_t port = 5000; n < COUNT_OF(ports); port++)
		if (index_flow_head(&f.st->ports, PORT_TCP, &ours, 80, &peer, port) == head)
			ports[n++] = port;
	for (unsigned i = 0; i < n; i++) {
		f.peer_port = ports[i];
		stack_line(&f, "established");
	}
	f.peer_port = ports[0]; /* the oldest is the last of the chain */
	stack_line(&f, "< R 2");
	stack_line(&f, "> A * ack 1");
	stack_line(&f, "count flow_chain_max 6");
	stack_line(&f, "peer-port 4999");
	stack_line(&f, "established");
	stack_line(&f, "< R 2");
	stack_line(&f, "> A 1 ack 1");
	stack_line(&f, "count flow_chain_max 6"); /* the longest, not the last */
	stack_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest more[] = {cmocka_unit_test(test_not_one_host),
					  cmocka_unit_test(test_wrong_octets),
					  cmocka_unit_test(test_budget_is_own),
					  cmocka_unit_test(test_refused_are_limited),
					  cmocka_unit_test(test_repeated_syns_are_limited),
					  cmocka_unit_test(test_resets_are_limited),
					  cmocka_unit_test(test_resets_for_others),
					  cmocka_unit_test(test_chain_of_flows)};

	return stack_rows_run("tcp in", rows, COUNT_OF(rows), more, COUNT_OF(more));
}
