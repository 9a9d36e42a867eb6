/* tests/unit/test_explain.c: reasons by table, sentences by golden text, and advice by trying it.
 *
 * The last test is the one that matters: pairs of random sockets meet in a real port table; where the
 * second is refused, each line of advice that names a flag or an address is followed, and the table
 * must then agree. Advice that does not help fails the test.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "port/explain.h"

#define A PORT_REUSEADDR
#define P PORT_REUSEPORT
#define V6 PORT_V6ONLY
#define ANY4 "0.0.0.0"
#define N_CLAIMS 64

struct side {
	const char *addr;
	int family;
	uint16_t flags;
	uint8_t state;
	uint32_t uid;
};

static struct port_addr addr_of(const char *text)
{
	struct port_addr a;

	assert_int_equal(port_addr_parse(text, &a, NULL), 0);
	return a;
}

static struct port_want want_of(const struct side *s, enum port_proto proto)
{
	return (struct port_want){.proto = proto,
				  .family = (enum port_family)s->family,
				  .addr = addr_of(s->addr),
				  .port = 80,
				  .flags = s->flags,
				  .uid = s->uid};
}

static struct port_claim by_of(const struct side *s, enum port_proto proto)
{
	return (struct port_claim){.proto = (uint8_t)proto,
				   .family = (uint8_t)s->family,
				   .addr = addr_of(s->addr),
				   .port = 80,
				   .flags = s->flags,
				   .uid = s->uid,
				   .state = s->state,
				   .since_us = 1000000,
				   .expires_us = s->state == CLAIM_LINGER ? 61000000 : NEVER_US};
}

static const struct {
	const char *name;
	enum port_proto proto;
	struct side want, by;
	enum port_rule rule;
	int err;
	enum port_reason reason;
} reasons[] = {
	{"free", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_NONE, 0, PORT_REASON_OK},
	{"a listener",
	 PORT_TCP,
	 {ANY4, 4, 0, 0, 0},
	 {ANY4, 4, 0, CLAIM_LISTENING, 0},
	 PORT_RULE_R1_OVERLAP,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_LISTEN},
	{"only bound",
	 PORT_TCP,
	 {ANY4, 4, 0, 0, 0},
	 {ANY4, 4, 0, CLAIM_HELD, 0},
	 PORT_RULE_R1_OVERLAP,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_BOUND},
	{"a client's port",
	 PORT_TCP,
	 {ANY4, 4, A, 0, 0},
	 {"10.0.0.1", 4, 0, CLAIM_CONNECTED, 0},
	 PORT_RULE_R4_SHARING,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_FLOW},
	{"a listener's child",
	 PORT_TCP,
	 {ANY4, 4, A, 0, 0},
	 {"10.0.0.1", 4, 0, CLAIM_ACCEPTED, 0},
	 PORT_RULE_R4_SHARING,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_FLOW},
	{"TIME-WAIT",
	 PORT_TCP,
	 {ANY4, 4, A, 0, 0},
	 {"10.0.0.1", 4, 0, CLAIM_LINGER, 0},
	 PORT_RULE_R4_SHARING,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_LINGER},
	{"two users",
	 PORT_TCP,
	 {ANY4, 4, P, 0, 1},
	 {ANY4, 4, P, CLAIM_LISTENING, 2},
	 PORT_RULE_R4_UID,
	 -EADDRINUSE,
	 PORT_REASON_OTHER_USER},
	{"dual meets IPv4",
	 PORT_TCP,
	 {"::", 6, 0, 0, 0},
	 {ANY4, 4, 0, CLAIM_LISTENING, 0},
	 PORT_RULE_R1_OVERLAP,
	 -EADDRINUSE,
	 PORT_REASON_FAMILY_SPLIT},
	{"IPv4 meets dual",
	 PORT_TCP,
	 {"127.0.0.1", 4, 0, 0, 0},
	 {"::", 6, 0, CLAIM_LISTENING, 0},
	 PORT_RULE_R1_OVERLAP,
	 -EADDRINUSE,
	 PORT_REASON_FAMILY_SPLIT},
	{"dual meets dual",
	 PORT_TCP,
	 {"::", 6, 0, 0, 0},
	 {"::", 6, 0, CLAIM_LISTENING, 0},
	 PORT_RULE_R1_OVERLAP,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_LISTEN},
	{"UDP is bound, connected or not",
	 PORT_UDP,
	 {ANY4, 4, 0, 0, 0},
	 {"10.0.0.1", 4, 0, CLAIM_CONNECTED, 0},
	 PORT_RULE_R1_OVERLAP,
	 -EADDRINUSE,
	 PORT_REASON_IN_USE_BOUND},
	{"privileged", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_PRIVILEGED, -EACCES, PORT_REASON_PRIVILEGED},
	{"not local",
	 PORT_TCP,
	 {"10.0.0.1", 4, 0, 0, 0},
	 {0},
	 PORT_RULE_NOT_LOCAL,
	 -EADDRNOTAVAIL,
	 PORT_REASON_NOT_LOCAL},
	{"range full", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_RANGE_FULL, -EADDRINUSE, PORT_REASON_RANGE_FULL},
	{"the same connection",
	 PORT_TCP,
	 {ANY4, 4, 0, 0, 0},
	 {ANY4, 4, 0, CLAIM_CONNECTED, 0},
	 PORT_RULE_TUPLE,
	 -EADDRNOTAVAIL,
	 PORT_REASON_TUPLE_IN_USE},
	{"table full", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_TABLE_FULL, -ENOBUFS, PORT_REASON_TABLE_FULL},
	{"bound already",
	 PORT_TCP,
	 {ANY4, 4, 0, 0, 0},
	 {ANY4, 4, 0, CLAIM_HELD, 0},
	 PORT_RULE_ARGUMENT,
	 -EINVAL,
	 PORT_REASON_ALREADY_BOUND},
	{"nonsense", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_ARGUMENT, -EINVAL, PORT_REASON_BAD_ARGUMENT},
	{"UDP listens", PORT_UDP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_ARGUMENT, -EOPNOTSUPP, PORT_REASON_BAD_ARGUMENT},
	{"no host", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_NONE, -ENETUNREACH, PORT_REASON_NO_SUCH_HOST},
	{"stopped", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_NONE, -ETIMEDOUT, PORT_REASON_LOCK_STOPPED},
	{"barred", PORT_TCP, {ANY4, 4, 0, 0, 0}, {0}, PORT_RULE_POLICY, -ECONNREFUSED, PORT_REASON_POLICY_DENIED},
};

static void reasons_by_table(void **state)
{
	uint32_t seen = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(reasons); i++) {
		struct port_want w = want_of(&reasons[i].want, reasons[i].proto);
		struct port_refusal r = {.err = reasons[i].err, .rule = reasons[i].rule};
		struct port_explanation e;

		if (reasons[i].by.addr) {
			r.by_valid = true;
			r.by = by_of(&reasons[i].by, reasons[i].proto);
		}
		if (port_explain_reason(&w, &r) != reasons[i].reason)
			fail_msg("%s: %s", reasons[i].name, port_reason_name[port_explain_reason(&w, &r)]);
		port_explain(&w, &r, NULL, 8080, &e);
		assert_int_equal(e.reason, reasons[i].reason);
		assert_true(e.what[0] != '\0');
		seen |= 1u << reasons[i].reason;
	}
	assert_int_equal(seen, (1u << PORT_NREASONS) - 1); /* every reason has a row */
}

static const struct {
	const char *name;
	enum port_proto proto;
	struct side want, by;
	enum port_rule rule;
	struct port_holder holder;
	uint16_t near;
	const char *what, *who, *why, *try0, *try1, *try2;
} golden[] = {
	{"two web servers",
	 PORT_TCP,
	 {ANY4, 4, A, 0, 0},
	 {ANY4, 4, A, CLAIM_LISTENING, 0},
	 PORT_RULE_R5_LISTEN,
	 {4242, "python3", "python3 -m http.server 80", "alice", 180 * UINT64_C(1000000)},
	 81,
	 "80/tcp (http) on 0.0.0.0 is in use on this host: a listener holds *:80",
	 "python3 (pid 4242, user alice), since 3 min: python3 -m http.server 80",
	 "both set SO_REUSEADDR, but when one of them listens that does not share a port; SO_REUSEPORT on both does [R5]",
	 "use port 81/tcp: it is free",
	 "bind [::1]:80: it does not meet the holder's 0.0.0.0",
	 ""},
	{"a restart that left a connection behind",
	 PORT_TCP,
	 {ANY4, 4, A, 0, 0},
	 {"127.0.0.1", 4, 0, CLAIM_LINGER, 0},
	 PORT_RULE_R4_SHARING,
	 {0, "", "", "", 19 * UINT64_C(1000000)},
	 8080,
	 "80/tcp (http) on 0.0.0.0 is in use on this host: a closed connection in TIME-WAIT holds 127.0.0.1:80",
	 "nobody: its program has closed it, the system keeps the port until TIME-WAIT ends",
	 "SO_REUSEADDR works only when both sockets set it, and the holder did not [R4, R7]",
	 "use port 8080/tcp (http-alt): it is free",
	 "wait 41 s: TIME-WAIT ends then",
	 "bind [::1]:80: it does not meet the holder's 127.0.0.1"},
	{"node on both families",
	 PORT_TCP,
	 {"::", 6, A, 0, 0},
	 {"127.0.0.1", 4, A, CLAIM_LISTENING, 0},
	 PORT_RULE_R5_LISTEN,
	 {7, "nginx", "", "", NEVER_US},
	 0,
	 "80/tcp (http) on :: is in use on this host: a listener holds 127.0.0.1:80",
	 "nginx (pid 7, uid 0)",
	 "[::] takes both families unless IPV6_V6ONLY is set, and the IPv4 half is taken [R1]",
	 "set IPV6_V6ONLY before bind(): [::]:80 then takes IPv6 only and does not meet the holder",
	 "",
	 ""},
	{"another user's reuse group",
	 PORT_UDP,
	 {ANY4, 4, P, 0, 1},
	 {ANY4, 4, P, CLAIM_HELD, 2},
	 PORT_RULE_R4_UID,
	 {0, "", "", "", NEVER_US},
	 0,
	 "80/udp (http) on 0.0.0.0 is in use on this host: a bound socket holds *:80",
	 "",
	 "both sockets set SO_REUSEPORT, but that shares a port between sockets of one user only [R4]",
	 "run this program as the holder's user (uid 2): SO_REUSEPORT is set on both",
	 "bind [::1]:80: it does not meet the holder's 0.0.0.0",
	 ""},
};

static void sentences_by_golden_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(golden); i++) {
		struct port_want w = want_of(&golden[i].want, golden[i].proto);
		struct port_refusal r = {.err = -EADDRINUSE,
					 .rule = golden[i].rule,
					 .by_valid = true,
					 .by = by_of(&golden[i].by, golden[i].proto)};
		struct port_explanation e;

		port_explain(&w, &r, &golden[i].holder, golden[i].near, &e);
		assert_string_equal(e.what, golden[i].what);
		assert_string_equal(e.who, golden[i].who);
		assert_string_equal(e.why, golden[i].why);
		assert_string_equal(e.try_[0], golden[i].try0);
		assert_string_equal(e.try_[1], golden[i].try1);
		assert_string_equal(e.try_[2], golden[i].try2);
	}
}

/* What a connect() inside the subnets is told: nothing about the outside. */
static void nobodys_address(void **state)
{
	struct port_want w = want_of(&(struct side){"10.42.0.77", 4, 0, 0, 0}, PORT_TCP);
	struct port_refusal r = {.err = -ENETUNREACH};
	struct port_explanation e;

	(void)state;
	port_explain(&w, &r, NULL, 0, &e);
	assert_string_equal(e.what, "no host of this network has the address");
	assert_string_equal(
		e.why,
		"the address is inside the network's own subnet, which is never sent outside, and no host has it");
	assert_string_equal(e.try_[0], "connect to a host of this network by its name; berth net show lists them");
	assert_string_equal(e.try_[1], "");
}

static void ages(void **state)
{
	static const struct {
		uint64_t s;
		const char *text;
	} cases[] = {{0, "0 s"},	   {59, "59 s"},  {60, "1 min"},
		     {3599, "59 min"},	   {3600, "1 h"}, {47 * 3600 + 3599, "47 h"},
		     {48 * 3600, "2 days"}};
	char s[24];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_string_equal(port_age_print(cases[i].s * 1000000, s), cases[i].text);
	port_age_print(NEVER_US, s); /* no promise but to stay inside */
}

/* ---- advice, tried ---- */

static const struct {
	const char *addr;
	int family;
} places[] = {
	{ANY4, 4},  {"127.0.0.1", 4}, {"127.0.0.2", 4},	     {"10.0.0.1", 4},	      {"::", 6},
	{"::1", 6}, {"fd00::1", 6},   {"::ffff:0.0.0.0", 6}, {"::ffff:127.0.0.1", 6},
};

static void fresh(struct port_table *t, void *mem, size_t len_bytes, const uint8_t secret[16])
{
	struct port_addr local4 = addr_of("10.0.0.1"), local6 = addr_of("fd00::1");

	assert_int_equal(port_table_init(t, mem, len_bytes, N_CLAIMS, secret), 0);
	assert_int_equal(port_table_add_local(t, &local4, 128), 0);
	assert_int_equal(port_table_add_local(t, &local6, 128), 0);
}

static struct port_want draw_want(struct rng *r, enum port_proto proto)
{
	uint64_t place = rng_range(r, 0, COUNT_OF(places) - 1), flags = rng_range(r, 0, 7), uid = rng_range(r, 1, 2);
	struct side s = {places[place].addr, places[place].family, (uint16_t)flags, 0, (uint32_t)uid};

	if (s.family == 4 || place >= 7)
		s.flags &= (uint16_t)~V6; /* a mapped address on a v6-only socket is -EINVAL */
	s.flags |= PORT_PRIVILEGED;
	return want_of(&s, proto);
}

/* The holder, in a random state. The table may hold several claims of it (a listener and a child). */
static void seat(struct port_table *t, struct rng *r, struct port_want *w)
{
	struct port_addr local, peer4 = addr_of("10.9.9.9"), peer6 = addr_of("fd00::9"), *peer;
	uint64_t kind = rng_range(r, 0, w->proto == PORT_TCP ? 4 : 1);
	struct port_ref ref, child;

	assert_int_equal(port_table_bind(t, PORT_REF_NONE, w, 0, &ref, NULL), 0);
	local = w->addr;
	if (port_addr_is_any(&local)) /* a dual socket may be used over either family */
		local = addr_of(port_addr_is4(&local) || (!(w->flags & V6) && rng_chance_ppm(r, 500000)) ? "10.0.0.1"
													 : "fd00::1");
	peer = port_addr_is4(&local) ? &peer4 : &peer6;
	if (kind == 1 && w->proto == PORT_UDP)
		kind = 2;
	switch (kind) {
	case 1:
		assert_int_equal(port_table_listen(t, &ref, w, 0, NULL), 0);
		return;
	case 2:
	case 3:
		(void)!port_table_connect(t, &ref, w, &local, peer, 999, 0, NULL);
		if (kind == 3)
			(void)!port_table_linger(t, ref, 60000000);
		return;
	case 4:
		assert_int_equal(port_table_listen(t, &ref, w, 0, NULL), 0);
		if (port_table_accept(t, ref, &local, peer, 999, &w->owner, 0, &child) == 0)
			assert_int_equal(port_table_release(t, ref), 0);
		return;
	default:
		return;
	}
}

/* Change w as the advice says. False: it is no advice that a table can check. */
static bool follow(const char *advice, const struct port_refusal *r, struct port_want *w)
{
	if (strncmp(advice, "set SO_REUSEADDR", 16) == 0) {
		w->flags |= A;
	} else if (strncmp(advice, "set SO_REUSEPORT", 16) == 0) {
		w->flags |= P;
	} else if (strncmp(advice, "set IPV6_V6ONLY", 15) == 0) {
		w->flags |= V6;
	} else if (strncmp(advice, "run this program as", 19) == 0) {
		w->uid = r->by.uid;
	} else if (strncmp(advice, "bind ", 5) == 0) {
		char text[PORT_ENDPOINT_STR_MAX];
		struct port_endpoint e;

		strncpy(text, advice + 5, sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		*strchr(text, ' ') = '\0';
		text[strlen(text) - 1] = '\0'; /* the colon of the sentence */
		assert_int_equal(port_endpoint_parse(text, &e, NULL), 0);
		w->addr = e.addr;
		w->family = port_addr_is4(&e.addr) ? PORT_FAMILY_4 : PORT_FAMILY_6;
		w->flags &= (uint16_t)~V6;
	} else {
		return false;
	}
	return true;
}

static void advice_that_is_followed_helps(void **state)
{
	uint64_t seed = getenv("BERTH_TEST_SEED") ? strtoull(getenv("BERTH_TEST_SEED"), NULL, 0) : UINT64_C(0xad71ce);
	size_t len_bytes = port_table_size(N_CLAIMS);
	void *mem = aligned_alloc(64, (len_bytes + 63) & ~(size_t)63);
	const uint8_t secret[16] = {1};
	uint32_t n_followed = 0;
	struct rng r;

	(void)state;
	rng_init_stream(&r, seed, "advice");
	for (int round = 0; round < 60000; round++) {
		enum port_proto proto = rng_chance_ppm(&r, 300000) ? PORT_UDP : PORT_TCP;
		bool listen = proto == PORT_TCP && rng_chance_ppm(&r, 500000);
		struct port_want first = draw_want(&r, proto), second = draw_want(&r, proto), changed;
		struct port_refusal refusal;
		struct port_explanation e;
		struct port_table t;

		fresh(&t, mem, len_bytes, secret);
		seat(&t, &r, &first);
		if (port_table_probe(&t, &second, listen, &refusal) == 0)
			continue;
		assert_true(refusal.by_valid);
		port_explain(&second, &refusal, NULL, 0, &e);
		for (size_t i = 0; i < COUNT_OF(e.try_); i++) {
			struct port_refusal again;

			changed = second;
			if (!follow(e.try_[i], &refusal, &changed))
				continue;
			n_followed++;
			if (port_table_probe(&t, &changed, listen, &again) != 0)
				fail_msg(
					"seed %#llx round %d: %s | %s | first flags %x second flags %x listen %d | did not help: %s",
					(unsigned long long)seed, round, e.what, e.why, first.flags, second.flags,
					listen, e.try_[i]);
		}
	}
	assert_true(n_followed > 10000);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons_by_table),
		cmocka_unit_test(sentences_by_golden_text),
		cmocka_unit_test(nobodys_address),
		cmocka_unit_test(ages),
		cmocka_unit_test(advice_that_is_followed_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
